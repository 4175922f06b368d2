/* SPDX-License-Identifier: Apache-2.0
 * Looking again.
 * OWNS nothing. PROCESS nginx workers. TRUST none. SPEC gates/web/held.h.
 */
#include "gates/web/held.h"

#include "gates/web/decide.h"

void gate_held_add(gate_ctx *ctx)
{
    ngx_queue_insert_tail(&gate_this_worker.open, &ctx->open);
}

/* Nothing passes any more. A stream of HTTP/2 shares its connection with others that may go on:
 * it has to wait until it is ended. */
static void shut(const gate_ctx *ctx)
{
    if (ctx->request->stream == NULL) {
        (void)shutdown(ctx->request->connection->fd, SHUT_RDWR);
    }
}

/* Ends a request wherever it stands: its clean-ups close the upstream, the client's connection (or
 * HTTP/2 stream) is closed, and the log phase writes the end. */
static void end(gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    ngx_connection_t *connection = r->connection;
    ngx_log_error(NGX_LOG_INFO, connection->log, 0, "sallyport: an open request may not go on: %s",
                  sp_reason_word(ctx->reason));
    connection->error = 1;
    /* an upstream's clean-up finalizes the request too: without a count of our own it would be
     * freed in the middle of being terminated */
    r->main->count++;
    ngx_http_finalize_request(r, NGX_ERROR);
    ngx_http_run_posted_requests(connection);
}

/* First everybody is cut, then requests are ended: a thousand ends take a while, and the last one
 * would still be served meanwhile. */
void gate_held_look_again(void)
{
    ngx_queue_t *open = &gate_this_worker.open;
    ngx_queue_t doomed;
    ngx_queue_init(&doomed);
    for (ngx_queue_t *q = ngx_queue_head(open); q != ngx_queue_sentinel(open);) {
        gate_ctx *ctx = ngx_queue_data(q, gate_ctx, open);
        q = ngx_queue_next(q);
        gate_decide(ctx);
        if (ctx->verdict == SP_VERDICT_ALLOW && ctx->is_unbounded && !ctx->may_export) {
            gate_decide_refuse(ctx, SP_REASON_DEFAULT);
        }
        if (ctx->verdict != SP_VERDICT_ALLOW) {
            ngx_queue_remove(&ctx->open);
            ngx_queue_insert_tail(&doomed, &ctx->open);
            shut(ctx);
        }
    }
    /* ending one request may end others of its connection: each takes itself out of the list */
    while (!ngx_queue_empty(&doomed)) {
        gate_ctx *ctx = ngx_queue_data(ngx_queue_head(&doomed), gate_ctx, open);
        ngx_queue_remove(&ctx->open);
        ngx_queue_init(&ctx->open);
        end(ctx);
    }
}
