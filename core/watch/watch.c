/* SPDX-License-Identifier: Apache-2.0
 * The watch's messages: the program of detections in pieces, alarms, status.
 * OWNS the peer that is the watch, alarms that wait for the ledger. PROCESS core. TRUST see
 * watch.h. SPEC lib/proto/watch_msg.h.
 */
#include "core/watch/inside.h"

#include "core/documents/documents.h"
#include "core/incidents/incidents.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

enum { SILENT_S = 10 };

/* ---- the program ---- */

static sp_detections in_force(const sp_core *core)
{
    const sp_documents *documents = core->state->documents;
    return (sp_detections){.policy_version = sp_documents_version(documents),
                           .bytes = sp_policy_set_detections(sp_documents_set(documents)).len};
}

static void put_in_force(const sp_core *core, sp_buf *body)
{
    const sp_detections detections = in_force(core);
    sp_detections_write(&detections, body);
}

static sp_err on_hello(sp_watcher *watch, sp_peer *peer, const sp_msg *msg)
{
    auto_buf sp_buf body = sp_buf_make(64);
    watch->peer = peer;
    put_in_force(watch->core, &body);
    sp_peer_reply(peer, msg, SP_OK, sp_buf_borrow(&body), NULL, 0);
    return sp_ok();
}

static sp_err on_piece(sp_watcher *watch, sp_peer *peer, const sp_msg *msg)
{
    sp_detections_piece ask;
    TRY(sp_detections_piece_read(msg->body, &ask));
    const sp_documents *documents = watch->core->state->documents;
    sp_span program = sp_policy_set_detections(sp_documents_set(documents));
    bool current = ask.policy_version == sp_documents_version(documents);
    sp_span piece =
        current && ask.from <= program.len
            ? sp_span_slice(program, (size_t)ask.from, (size_t)ask.from + SP_DETECTIONS_PIECE_BYTES)
            : SP_SPAN_EMPTY;
    sp_peer_reply(peer, msg, current ? SP_OK : SP_ECONFLICT, piece, NULL, 0);
    return sp_ok();
}

void sp_watcher_changed(sp_core *core)
{
    if (core->watcher == NULL || core->watcher->peer == NULL) {
        return;
    }
    auto_buf sp_buf body = sp_buf_make(64);
    put_in_force(core, &body);
    sp_peer_push(core->watcher->peer, SP_CORE_DETECTIONS, sp_buf_borrow(&body), NULL, 0);
}

/* ---- alarms ---- */

typedef struct taking {
    struct taking *next;
    sp_watcher *watcher;
    sp_peer *peer;
    sp_msg to;
    sp_alarm alarm; /* spans into body */
    sp_buf body;
    uint64_t before_entry; /* searching the ledger for it */
    uint16_t before_at;
} taking;

static void taking_free(taking *t)
{
    taking **at = &t->watcher->taking;
    while (*at != NULL && *at != t) {
        at = &(*at)->next;
    }
    if (*at == t) {
        *at = t->next;
    }
    sp_peer_unref(t->peer);
    sp_buf_done(&t->body);
    sp_free(t);
}

static void answer(taking *t, sp_code code)
{
    sp_peer_reply(t->peer, &t->to, code, SP_SPAN_EMPTY, NULL, 0);
    taking_free(t);
}

static void on_recorded(void *self, sp_err err)
{
    taking *t = self;
    sp_core *core = t->watcher->core;
    if (!sp_failed(err)) {
        err = sp_watcher_alarm_written(core->store, &t->alarm.id);
    }
    if (!sp_failed(err)) {
        sp_watcher_alarms_changed(core);
        sp_log(SP_LOG_WARN, "alarm %.*s: %.*s (%.*s)", SP_SPAN_ARG(t->alarm.detection),
               SP_SPAN_ARG(t->alarm.title), SP_SPAN_ARG(t->alarm.keys));
    } else {
        sp_log(SP_LOG_ERROR, "an alarm of %.*s cannot be written: %s",
               SP_SPAN_ARG(t->alarm.detection), sp_code_word(err.code));
    }
    answer(t, err.code);
}

static bool is_taken_now(const sp_watcher *watch, const sp_hash *id)
{
    for (const taking *t = watch->taking; t != NULL; t = t->next) {
        if (sp_hash_eq(&t->alarm.id, id)) {
            return true;
        }
    }
    return false;
}

static sp_err new_taking(sp_watcher *watch, sp_peer *peer, const sp_msg *msg, taking **ret_taking)
{
    taking *t = NULL;
    TRY(sp_alloc(1, sizeof(*t), &t));
    *t = (taking){.watcher = watch,
                  .peer = sp_peer_ref(peer),
                  .to = {.kind = msg->kind, .id = msg->id},
                  .body = sp_buf_make(SP_MSG_MAX_BYTES),
                  .before_entry = UINT64_MAX};
    sp_buf_span(&t->body, msg->body);
    sp_err err = sp_buf_error(&t->body);
    if (!sp_failed(err)) {
        err = sp_alarm_read(sp_buf_borrow(&t->body), &t->alarm);
    }
    if (sp_failed(err)) {
        taking_free(t);
        return err;
    }
    *ret_taking = t;
    return sp_ok();
}

/* ---- told again ---- */

static void take(taking *t, bool is_on_ledger)
{
    sp_alarm_take(t->watcher->core, &t->alarm, is_on_ledger, on_recorded, t);
}

static void search(taking *t);

static void on_found(void *self, sp_err err, sp_span body)
{
    taking *t = self;
    sp_ledger_found found;
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        answer(t, err.code); /* the watch tells it once more */
    } else if (found.count > 0 || !found.more) {
        take(t, found.count > 0);
    } else {
        t->before_entry = found.before_entry;
        t->before_at = found.before_at;
        search(t);
    }
}

/* By its reference, which follows from its id. */
static void search(taking *t)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    const sp_ledger_search ask = {.reader = {.reader_name = SP_SPAN_LIT("core"),
                                             .purpose = SP_SPAN_LIT("an alarm is told again")},
                                  .from_unix_us = t->alarm.first_unix_us,
                                  .reference = sp_alarm_reference(&t->alarm.id),
                                  .kinds = 1U << SP_EVENT_ALARM,
                                  .before_entry = t->before_entry,
                                  .before_at = t->before_at,
                                  .limit = 1};
    sp_ledger_search_write(&ask, &body);
    sp_ledger_client_call(t->watcher->core->ledger, SP_LEDGER_SEARCH, sp_buf_borrow(&body),
                          on_found, t);
}

/* The row first, then the event, the incident and its plans: told again after any break, it is none
 * of them twice. Core may have ended between the event's writing and the row's mark: then the
 * ledger says whether it has the event. */
static sp_err on_alarm(sp_watcher *watch, sp_peer *peer, const sp_msg *msg)
{
    taking *t = NULL;
    bool is_written = false;
    bool again = false;
    TRY(new_taking(watch, peer, msg, &t));
    if (is_taken_now(watch, &t->alarm.id)) {
        answer(t, SP_EAGAIN);
        return sp_ok();
    }
    sp_err err = sp_watcher_alarm_keep(watch->core->store, &t->alarm, &again, &is_written);
    if (sp_failed(err) || is_written) {
        answer(t, err.code);
        return sp_ok();
    }
    t->next = watch->taking;
    watch->taking = t;
    if (again) {
        search(t);
    } else {
        take(t, false);
    }
    return sp_ok();
}

/* ---- status ---- */

static void tell_entry(sp_watcher *watch, const sp_watch_status *status, bool bad,
                       const char *method)
{
    auto_buf sp_buf detail = sp_buf_make(1024);
    sp_buf_fmt(&detail, "{\"lag_ms\":%llu,\"forgotten\":%llu,\"trouble\":",
               (unsigned long long)status->lag_ms, (unsigned long long)status->evicted);
    sp_buf_json(&detail, status->trouble);
    sp_buf_byte(&detail, '}');
    const sp_event event = {.kind = SP_EVENT_ADMIN,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = bad ? SP_SEVERITY_HIGH : SP_SEVERITY_INFO,
                            .method = sp_span_cstr(method),
                            .object = SP_SPAN_LIT("watch"),
                            .detail = sp_buf_borrow(&detail)};
    sp_ledger_client_tell(watch->core->ledger, &event);
}

/* It is behind, or forgets, or did: two states, each with its entries of the ledger, as long as
 * somebody reads them. */
static void tell_news(sp_watcher *watch, const sp_watch_status *status)
{
    if (status->detections == 0) {
        return; /* it has just begun */
    }
    if (status->degraded != watch->was_degraded) {
        watch->was_degraded = status->degraded;
        tell_entry(watch, status, status->degraded,
                   status->degraded ? "watch degraded" : "watch in time again");
    }
    if (status->forgets != watch->was_forgetful) {
        watch->was_forgetful = status->forgets;
        tell_entry(watch, status, status->forgets,
                   status->forgets ? "watch forgets keys" : "watch forgets no more");
    }
}

static sp_err on_status(sp_watcher *watch, sp_peer *peer, const sp_msg *msg)
{
    sp_watch_status status;
    TRY(sp_watch_status_read(msg->body, &status));
    TRY(sp_fit(watch->trouble, sizeof(watch->trouble), status.trouble));
    tell_news(watch, &status);
    watch->status = status;
    watch->status.trouble = sp_span_cstr(watch->trouble);
    watch->status_us = sp_now_steady_us();
    watch->peer = peer;
    sp_peer_reply(peer, msg, SP_OK, SP_SPAN_EMPTY, NULL, 0);
    return sp_ok();
}

bool sp_watcher_status_of(const sp_core *core, sp_watch_status *ret_status)
{
    const sp_watcher *watch = core->watcher;
    if (watch == NULL || watch->status_us == 0 ||
        sp_now_steady_us() - watch->status_us > (uint64_t)SILENT_S * 1000000) {
        return false;
    }
    *ret_status = watch->status;
    return true;
}

/* ---- the room ---- */

sp_err sp_watcher_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg)
{
    sp_watcher *watch = core->watcher;
    if (watch == NULL) {
        sp_peer_reply(peer, msg, SP_EAGAIN, SP_SPAN_EMPTY, NULL, 0);
        return sp_ok();
    }
    switch (msg->kind) {
    case SP_CORE_WATCH_HELLO:
        return on_hello(watch, peer, msg);
    case SP_CORE_WATCH_PIECE:
        return on_piece(watch, peer, msg);
    case SP_CORE_ALARM:
        return on_alarm(watch, peer, msg);
    case SP_CORE_WATCH_STATUS:
        return on_status(watch, peer, msg);
    default:
        return sp_fail(SP_EUNSUPPORTED);
    }
}

void sp_watcher_gone(sp_core *core, const sp_peer *peer)
{
    if (core->watcher != NULL && core->watcher->peer == peer) {
        core->watcher->peer = NULL;
    }
}

sp_err sp_watcher_start(sp_core *core, sp_watcher **ret_watch)
{
    sp_watcher *watch = NULL;
    TRY(sp_alloc(1, sizeof(*watch), &watch));
    watch->core = core;
    *ret_watch = watch;
    TRY(sp_watcher_rows_start(core->store));
    return sp_watcher_routes(core);
}

/* The line to the ledger was hung up before: nothing is being taken any more. */
void sp_watcher_stop(sp_watcher *watch)
{
    sp_free(watch);
}
