/* SPDX-License-Identifier: Apache-2.0
 * Signed identity tokens for upstreams.
 * OWNS the kept tokens. PROCESS nginx workers. TRUST core. SPEC gates/web/identity.h.
 */
#include "gates/web/identity.h"

#include "gates/web/access.h"
#include "gates/web/office.h"
#include "infra/proc/clock.h"
#include "lib/proto/core_msg.h"

enum { KEPT = 2048, RENEW_BEFORE_S = 10 };

/* Direct mapped: a collision costs a question to core, nothing else. */
typedef struct {
    uint64_t session_id;
    uint64_t audience;
    uint64_t expires_unix_s;
    char *jwt;
    uint64_t epoch; /* when it was asked for: what was taken away since is not in it */
    size_t len;
} kept_token;

static kept_token kept[KEPT];
static ngx_queue_t waiting;

void gate_identity_start(void)
{
    ngx_queue_init(&waiting);
}

void gate_identity_stop(void)
{
    for (size_t i = 0; i < KEPT; i++) {
        if (kept[i].jwt != NULL) {
            sp_wipe(kept[i].jwt, kept[i].len);
            sp_free(kept[i].jwt);
        }
        kept[i] = (kept_token){.session_id = 0};
    }
}

static kept_token *place_of(const gate_ctx *ctx)
{
    return &kept[(ctx->subject.session_id ^ ctx->conf->audience) % KEPT];
}

static bool is_good(const kept_token *token, const gate_ctx *ctx)
{
    return token->jwt != NULL && token->session_id == ctx->subject.session_id &&
           token->audience == ctx->conf->audience &&
           token->epoch == sp_live_epoch(&gate_this_worker.live) &&
           token->expires_unix_s > (uint64_t)ngx_time() + RENEW_BEFORE_S;
}

static ngx_int_t give(gate_ctx *ctx, const kept_token *token)
{
    u_char *copy = ngx_pnalloc(ctx->request->pool, token->len);
    if (copy == NULL) {
        return NGX_ERROR;
    }
    sp_copy(copy, token->jwt, token->len);
    ctx->identity.data = copy;
    ctx->identity.len = token->len;
    return NGX_OK;
}

ngx_int_t gate_identity_get(gate_ctx *ctx)
{
    const kept_token *token = place_of(ctx);
    if (is_good(token, ctx)) {
        return give(ctx, token);
    }
    sp_span resource = sp_policy_resource_name(&ctx->snapshot->policy, ctx->conf->resource);
    ctx->token_epoch = sp_live_epoch(&gate_this_worker.live);
    ctx->token_call = gate_office_ask_token(&ctx->subject, resource);
    if (ctx->token_call == 0) {
        return NGX_ERROR;
    }
    ngx_queue_insert_tail(&waiting, &ctx->waiting);
    return NGX_AGAIN;
}

static void keep(const gate_ctx *ctx, const sp_core_token *token)
{
    char *copy = NULL;
    if (sp_failed(sp_strdup(token->jwt, &copy))) {
        return; /* asked again by the next request */
    }
    kept_token *place = place_of(ctx);
    if (place->jwt != NULL) {
        sp_wipe(place->jwt, place->len);
        sp_free(place->jwt);
    }
    *place = (kept_token){.session_id = ctx->subject.session_id,
                          .audience = ctx->conf->audience,
                          .expires_unix_s = token->expires_unix_s,
                          .epoch = ctx->token_epoch,
                          .jwt = copy,
                          .len = token->jwt.len};
}

static ngx_int_t take(gate_ctx *ctx, const sp_msg *msg)
{
    sp_core_token token;
    if (msg->status != SP_OK || sp_failed(sp_core_token_read(msg->body, &token))) {
        return NGX_ERROR;
    }
    keep(ctx, &token);
    kept_token fresh = {.jwt = (char *)(uintptr_t)token.jwt.ptr, .len = token.jwt.len};
    return give(ctx, &fresh);
}

void gate_identity_come(const sp_msg *msg)
{
    for (ngx_queue_t *q = ngx_queue_head(&waiting); q != ngx_queue_sentinel(&waiting);
         q = ngx_queue_next(q)) {
        gate_ctx *ctx = ngx_queue_data(q, gate_ctx, waiting);
        if (ctx->token_call == msg->id) {
            if (take(ctx, msg) != NGX_OK) {
                ctx->token_call = 0;
            }
            gate_access_resume(ctx);
            return;
        }
    }
}

void gate_identity_lost(void)
{
    while (!ngx_queue_empty(&waiting)) {
        gate_ctx *ctx = ngx_queue_data(ngx_queue_head(&waiting), gate_ctx, waiting);
        ctx->token_call = 0;
        gate_access_resume(ctx);
    }
}
