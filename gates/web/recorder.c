/* SPDX-License-Identifier: Apache-2.0
 * The worker's side of the ledger.
 * OWNS the ring. PROCESS nginx workers. TRUST the ledger may be dead. SPEC gates/web/recorder.h.
 */
#include "gates/web/recorder.h"

#include "gates/web/access.h"
#include "gates/web/link.h"
#include "gates/web/peer.h"
#include "infra/crypto/random.h"
#include "infra/gate/shared.h"
#include "infra/proc/clock.h"
#include "lib/proto/ledger_msg.h"
#include "lib/proto/ring.h"
#include "lib/web/strangers.h"

enum {
    RING_HEAD_BYTES = 4096,
    FULL_PERCENT = 90,
    LEDGER_DEAD_US = 3000000,
    WAIT_MAX_US = 3000000,
    START_WAIT_MS = 1000,
    STOP_WAIT_MS = 1000
};

static sp_shm ring_shm;
static int ring_fd = -1;
static sp_ring ring;
static bool attached;
static bool detached;
static uint32_t attach_call;
static uint32_t detach_call;
static uint32_t flush_call; /* 0 = none on its way */
static ngx_queue_t waiting;
static sp_strangers strangers;

static void write_counted(void *self, const sp_stranger *counted);
static const sp_strangers_calls strangers_calls = {write_counted, NULL};

static void on_open(gate_link *link);
static void on_message(gate_link *link, const sp_msg *msg, sp_fds *fds);
static void on_closed(gate_link *link);

static gate_link ledger = {
    .name = "the ledger", .on_open = on_open, .on_message = on_message, .on_closed = on_closed};

/* ---- waiting for the disk ---- */

static void ask_flush(void)
{
    if (flush_call == 0 && attached && !ngx_queue_empty(&waiting)) {
        flush_call = gate_link_call(&ledger, SP_LEDGER_FLUSH, SP_SPAN_EMPTY, NULL, 0);
    }
}

bool gate_recorder_is_durable(const gate_ctx *ctx)
{
    return sp_ring_is_durable(&ring, ctx->recorded_seq);
}

/* Runs the first one that need not wait any more; false when there is none. A request that runs
 * may take others with it, so the list is looked through from the start again. */
static bool run_one(uint64_t now_us)
{
    for (ngx_queue_t *q = ngx_queue_head(&waiting); q != ngx_queue_sentinel(&waiting);
         q = ngx_queue_next(q)) {
        gate_ctx *ctx = ngx_queue_data(q, gate_ctx, waiting);
        if (gate_recorder_is_durable(ctx) || now_us - ctx->started_steady_us > WAIT_MAX_US) {
            gate_access_resume(ctx);
            return true;
        }
    }
    return false;
}

static void run_waiting(void)
{
    uint64_t now_us = sp_now_steady_us();
    while (run_one(now_us)) {
    }
    ask_flush();
}

void gate_recorder_wait(gate_ctx *ctx)
{
    ngx_queue_insert_tail(&waiting, &ctx->waiting);
    ask_flush();
}

/* ---- the link ---- */

static void on_open(gate_link *link)
{
    char name[SP_NAME_MAX_BYTES];
    u_char *end = ngx_snprintf((u_char *)name, sizeof(name), "web worker %ui", ngx_worker + 1);
    auto_buf sp_buf body = sp_buf_make(256);
    sp_ledger_attach attach = {.source = sp_ring_source_id(&ring),
                               .gate = SP_GATE_WEB,
                               .name = {(uint8_t *)name, (size_t)(end - (u_char *)name)}};
    sp_ledger_attach_write(&attach, &body);
    attach_call = gate_link_call(link, SP_LEDGER_ATTACH, sp_buf_borrow(&body), &ring_fd, 1);
}

static void on_message(gate_link *link, const sp_msg *msg, sp_fds *fds)
{
    (void)link;
    (void)fds;
    if (msg->kind == SP_LEDGER_ATTACH && msg->id == attach_call) {
        attached = msg->status == SP_OK;
        if (!attached) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "sallyport: the ledger refused this worker's ring (%s)",
                          sp_code_word(msg->status));
        }
        run_waiting();
    } else if (msg->kind == SP_LEDGER_FLUSH && msg->id == flush_call) {
        flush_call = 0;
        run_waiting();
    } else if (msg->kind == SP_LEDGER_DETACH && msg->id == detach_call) {
        detached = true;
    }
}

static void on_closed(gate_link *link)
{
    (void)link;
    attached = false;
    flush_call = 0;
}

static bool is_attached(void)
{
    return attached;
}

static bool is_detached(void)
{
    return detached;
}

sp_err gate_recorder_start(const gate_main_conf *conf)
{
    ngx_queue_init(&waiting);
    TRY(sp_crypto_start());
    strangers = (sp_strangers){.seed = sp_random_u64()};
    TRY(sp_shm_new("sallyport-ring", RING_HEAD_BYTES + conf->ring_bytes, &ring_shm, &ring_fd));
    TRY(sp_ring_format(ring_shm.ptr, ring_shm.size_bytes, sp_random_u64(), &ring));
    ledger.path = (const char *)conf->ledger_path.data;
    gate_link_start(&ledger);
    gate_link_wait(&ledger, is_attached, START_WAIT_MS);
    return sp_ok();
}

void gate_recorder_stop(void)
{
    sp_strangers_sweep(&strangers, UINT64_MAX, &strangers_calls);
    if (attached) {
        detach_call = gate_link_call(&ledger, SP_LEDGER_DETACH, SP_SPAN_EMPTY, NULL, 0);
        gate_link_wait(&ledger, is_detached, detach_call != 0 ? STOP_WAIT_MS : 0);
    }
    gate_link_stop(&ledger);
}

bool gate_recorder_works(void)
{
    return attached && sp_ring_fill_percent(&ring) <= FULL_PERCENT &&
           sp_now_steady_us() - sp_ring_consumer_seen_us(&ring) < LEDGER_DEAD_US;
}

void gate_recorder_tick(void)
{
    sp_strangers_sweep(&strangers, sp_now_steady_us(), &strangers_calls);
    sp_ring_beat(&ring, sp_now_steady_us());
    if (sp_ring_must_wake(&ring)) {
        (void)gate_link_tell(&ledger, SP_LEDGER_WAKE, SP_SPAN_EMPTY); /* again in a second */
    }
    run_waiting();
}

/* ---- events ---- */

static uint64_t put(const sp_event *event)
{
    uint8_t *room = sp_ring_reserve(&ring, sp_event_most(event));
    if (room == NULL) {
        sp_ring_lose(&ring);
        return 0;
    }
    uint64_t seq = sp_ring_commit(&ring, sp_event_write(event, room));
    if (sp_ring_must_wake(&ring)) {
        (void)gate_link_tell(&ledger, SP_LEDGER_WAKE, SP_SPAN_EMPTY); /* the tick says it again */
    }
    return seq;
}

/* The refusals of strangers that were only counted. */
static void write_counted(void *self, const sp_stranger *counted)
{
    (void)self;
    sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = counted->reference,
        .kind = SP_EVENT_DECISION,
        .severity = SP_SEVERITY_MEDIUM,
        .gate = SP_GATE_WEB,
        .verdict = SP_VERDICT_DENY,
        .reason = counted->reason,
        .count = counted->counted,
        .detail = SP_SPAN_LIT("{\"counted\":\"refusals of visitors who are not signed in, of one "
                              "address (or of many when it is empty), within a minute\"}"),
    };
    sp_copy(event.peer, counted->peer, sizeof(event.peer));
    (void)put(&event); /* no room is counted as a loss */
}

static uint8_t severity_of(const gate_ctx *ctx)
{
    if (ctx->verdict == SP_VERDICT_ALLOW) {
        return SP_SEVERITY_INFO;
    }
    switch ((sp_reason)ctx->reason) {
    case SP_REASON_SESSION_DEVICE:
    case SP_REASON_DEVICE_REVOKED:
    case SP_REASON_DEVICE_QUARANTINE:
        return SP_SEVERITY_HIGH;
    case SP_REASON_NEVER:
    case SP_REASON_UNPARSED:
    case SP_REASON_UNRECORDED:
        return SP_SEVERITY_MEDIUM;
    case SP_REASON_NO_SESSION:
    case SP_REASON_SESSION_ENDED:
        return SP_SEVERITY_INFO;
    case SP_REASON_NONE:
    case SP_REASON_RULE:
    case SP_REASON_DEFAULT:
    case SP_REASON_DENY_RULE:
    case SP_REASON_DEVICE_UNKNOWN:
    case SP_REASON_DEVICE_OWNER:
    case SP_REASON_DEVICE_POSTURE:
    case SP_REASON_DEVICE_PENDING:
    case SP_REASON_STRENGTH:
    case SP_REASON_HOURS:
    case SP_REASON_NETWORK:
    case SP_REASON_APPROVAL:
    case SP_REASON_UNAVAILABLE:
    case SP_REASON_LIMIT:
    case SP_REASON_CUT:
    case SP_REASON_DUTY:
    case SP_REASON_COUNT:
        break;
    }
    return SP_SEVERITY_LOW;
}

static sp_span cut_name(sp_span name)
{
    return sp_span_slice(name, 0, SP_NAME_MAX_BYTES);
}

static sp_event event_of(const gate_ctx *ctx, sp_event_kind kind)
{
    const gate_subject *subject = &ctx->subject;
    sp_event event = {
        .when_unix_us = ctx->started_unix_us,
        .reference = ctx->reference,
        .session = subject->session_id,
        .device = subject->device_id,
        .person = subject->who.person,
        .kind = (uint8_t)kind,
        .severity = severity_of(ctx),
        .gate = SP_GATE_WEB,
        .action = (uint8_t)ctx->action,
        .class_level = ctx->decision.class_level,
        .verdict = ctx->verdict,
        .reason = ctx->reason,
        .owner = subject->who.owner,
        .posture = subject->who.posture,
        .strength = subject->who.strength,
        .person_name = cut_name(sp_span_cstr(subject->person_name)),
        .device_name = cut_name(sp_span_cstr(subject->device_name)),
        .method = cut_name(ctx->method),
        .object = ctx->path.plain,
    };
    sp_copy(event.peer, subject->who.peer, sizeof(event.peer));
    sp_copy(event.roles, subject->who.roles, sizeof(event.roles));
    if (ctx->snapshot != NULL && ctx->conf != NULL) {
        const sp_policy *policy = &ctx->snapshot->policy;
        event.policy_version = sp_policy_version(policy);
        event.resource = cut_name(sp_policy_resource_name(policy, ctx->conf->resource));
        event.class_name = cut_name(sp_policy_class_name(policy, ctx->decision.class_level));
        event.rule = cut_name(sp_policy_rule_name(policy, ctx->decision.rule));
    }
    return event;
}

static void add_end(sp_event *event, const gate_ctx *ctx)
{
    const ngx_http_request_t *r = ctx->request;
    uint64_t lasted_us = sp_now_steady_us() - ctx->started_steady_us;
    event->duration_us = lasted_us > UINT32_MAX ? UINT32_MAX : (uint32_t)lasted_us;
    event->bytes_in = (uint64_t)r->request_length;
    event->bytes_out = (uint64_t)r->connection->sent;
    event->status = (uint16_t)(r->err_status != 0 ? r->err_status : r->headers_out.status);
}

void gate_recorder_begin(gate_ctx *ctx)
{
    if (!ctx->recorded) {
        sp_event event = event_of(ctx, SP_EVENT_DECISION);
        ctx->recorded_seq = put(&event);
        ctx->recorded = true;
    }
}

void gate_recorder_end(gate_ctx *ctx)
{
    if (ctx->counted) {
        return;
    }
    sp_event event = event_of(ctx, ctx->recorded ? SP_EVENT_CLOSE : SP_EVENT_DECISION);
    if (ctx->recorded) {
        event.when_unix_us = sp_now_unix_us();
    }
    add_end(&event, ctx);
    (void)put(&event); /* no room is counted as a loss */
    ctx->recorded = true;
}

void gate_recorder_refused(gate_ctx *ctx)
{
    uint8_t peer[16];
    bool stranger = ctx->subject.who.person == 0 && ctx->subject.device_id == 0;
    if (ctx->weighed || ctx->recorded || !stranger) {
        return;
    }
    sp_copy(peer, ctx->subject.who.peer, sizeof(peer));
    if (!ctx->judged) {
        gate_peer_of(ctx->request, peer);
    }
    uint8_t reason = ctx->judged ? ctx->reason : SP_REASON_UNPARSED;
    ctx->weighed = true;
    ctx->counted = !sp_strangers_take(&strangers, peer, reason, sp_now_steady_us(), &ctx->reference,
                                      &strangers_calls);
}

void gate_recorder_unread(ngx_http_request_t *r)
{
    gate_ctx *ctx = gate_ctx_of(r);
    if (ctx != NULL) {
        gate_recorder_refused(ctx);
    }
    if (ctx != NULL && ctx->counted) {
        return;
    }
    sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = ctx != NULL ? ctx->reference : sp_recorder_reference(),
        .kind = SP_EVENT_DECISION,
        .severity = SP_SEVERITY_LOW,
        .gate = SP_GATE_WEB,
        .verdict = SP_VERDICT_DENY,
        .reason = SP_REASON_UNPARSED,
        .status = (uint16_t)(r->err_status != 0 ? r->err_status : r->headers_out.status),
        .bytes_in = (uint64_t)r->request_length,
        .method = cut_name(gate_span(r->method_name)),
    };
    gate_peer_of(r, event.peer);
    (void)put(&event); /* no room is counted as a loss */
}
