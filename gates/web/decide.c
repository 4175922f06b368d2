/* SPDX-License-Identifier: Apache-2.0
 * The answer of the policy.
 * OWNS nothing. PROCESS nginx workers. TRUST ctx was filled by access.c.
 * SPEC gates/web/decide.h.
 */
#include "gates/web/decide.h"

#include "gates/web/subject.h"

void gate_decide_refuse(gate_ctx *ctx, sp_reason reason)
{
    ctx->verdict = SP_VERDICT_DENY;
    ctx->reason = (uint8_t)reason;
}

/* The resource of a host changes its number with each snapshot: found once, kept in the worker's
 * copy of the configuration. */
static void find_resource(gate_loc_conf *conf, const gate_snapshot *snapshot)
{
    if (conf->found_in == snapshot->serial) {
        return;
    }
    conf->found_in = snapshot->serial;
    conf->resource = sp_policy_web_find_host(&snapshot->policy, gate_span(conf->label));
    if (conf->resource != SP_NONE &&
        !sp_policy_web_resource(&snapshot->policy, conf->resource, &conf->web)) {
        conf->resource = SP_NONE;
    }
}

static bool same_place(sp_web_place a, sp_web_place b)
{
    return a.part == b.part && a.action == b.action;
}

/* Whether the path without its parameters (";...") is of the same place. */
static __attribute__((noinline)) bool same_without_params(const gate_ctx *ctx)
{
    SP_UNSET uint8_t room[SP_WEB_PATH_MAX_BYTES];
    sp_span cut = sp_web_path_without_params(ctx->path.plain, room);
    return same_place(ctx->place, sp_policy_web_place(&ctx->snapshot->policy, ctx->conf->resource,
                                                      ctx->method, cut));
}

bool gate_decide_place(gate_ctx *ctx)
{
    gate_snapshot *now = gate_this_worker.snapshot;
    if (now == NULL) {
        gate_decide_refuse(ctx, SP_REASON_UNAVAILABLE);
        return false;
    }
    if (ctx->snapshot != now) {
        gate_snapshot_unref(ctx->snapshot);
        ctx->snapshot = gate_snapshot_ref(now);
    }
    gate_loc_conf *conf = ctx->conf;
    find_resource(conf, now);
    if (conf->resource == SP_NONE) {
        gate_decide_refuse(ctx, SP_REASON_UNAVAILABLE);
        return false;
    }
    sp_span method = ctx->method;
    ctx->place = sp_policy_web_place(&now->policy, conf->resource, method, ctx->path.plain);
    ctx->action = ctx->place.action;
    if (ctx->path.has_params && !same_without_params(ctx)) {
        gate_decide_refuse(ctx, SP_REASON_UNPARSED);
        return false;
    }
    return true;
}

static sp_decision ask(const gate_ctx *ctx, sp_action action, uint64_t now_unix_s)
{
    sp_question question = {.who = &ctx->subject.who,
                            .resource = ctx->conf->resource,
                            .part = ctx->place.part,
                            .action = action,
                            .now_unix_s = now_unix_s,
                            .cuts = sp_live_cuts(&gate_this_worker.live),
                            .face = SP_FACE_WEB};
    return sp_policy_decide(&ctx->snapshot->policy, &question);
}

/* Adds the answer for one more action; false when it is not allowed. */
static bool add(gate_ctx *ctx, sp_action action, uint64_t now_unix_s)
{
    uint32_t must = ctx->decision.must;
    sp_decision answer = ask(ctx, action, now_unix_s);
    ctx->decision = answer;
    ctx->decision.must |= must;
    ctx->action = action;
    ctx->reason = answer.reason;
    /* nobody can be asked while a request waits: what needs approval is refused, and says so */
    ctx->verdict = answer.verdict == SP_VERDICT_ALLOW ? SP_VERDICT_ALLOW : SP_VERDICT_DENY;
    return answer.verdict == SP_VERDICT_ALLOW;
}

/* Things may only be put where they may be written. */
static bool may_put(gate_ctx *ctx, uint64_t now_unix_s)
{
    if (ctx->destination.len == 0) {
        return true;
    }
    sp_web_place from = ctx->place;
    ctx->place = sp_policy_web_place(&ctx->snapshot->policy, ctx->conf->resource,
                                     SP_SPAN_LIT("PUT"), ctx->destination);
    bool may = add(ctx, SP_ACTION_WRITE, now_unix_s);
    ctx->place = from;
    return may;
}

/* The last one asked is the one that is recorded. */
static void ask_all(gate_ctx *ctx, uint64_t now_unix_s)
{
    sp_action main = ctx->place.action;
    if (!may_put(ctx, now_unix_s) || !add(ctx, main, now_unix_s)) {
        return;
    }
    /* an upgraded connection is opaque in both directions */
    if (ctx->is_upgrade && main != SP_ACTION_WRITE && !add(ctx, SP_ACTION_WRITE, now_unix_s)) {
        return;
    }
    if (ctx->is_import && main != SP_ACTION_IMPORT && !add(ctx, SP_ACTION_IMPORT, now_unix_s)) {
        return;
    }
    if (ctx->is_export && main != SP_ACTION_EXPORT) {
        (void)add(ctx, SP_ACTION_EXPORT, now_unix_s);
    }
}

void gate_decide(gate_ctx *ctx)
{
    uint64_t now_unix_s = (uint64_t)ngx_time();
    ctx->decision = (sp_decision){.rule = SP_NONE};
    ctx->may_export = false;
    gate_subject_find(ctx, now_unix_s);
    if (!gate_decide_place(ctx)) {
        return;
    }
    if (ctx->subject.trouble != SP_REASON_NONE) {
        gate_decide_refuse(ctx, ctx->subject.trouble);
        return;
    }
    ask_all(ctx, now_unix_s);
    if (ctx->verdict == SP_VERDICT_ALLOW) {
        ctx->may_export = ctx->action == SP_ACTION_EXPORT ||
                          ask(ctx, SP_ACTION_EXPORT, now_unix_s).verdict == SP_VERDICT_ALLOW;
    }
}

bool gate_decide_export(gate_ctx *ctx)
{
    ctx->is_export = true;
    return ctx->action == SP_ACTION_EXPORT || add(ctx, SP_ACTION_EXPORT, (uint64_t)ngx_time());
}
