/* SPDX-License-Identifier: Apache-2.0
 * Following the ledger over HTTP as server-sent events, and the statements at databases: what
 * security and audit administrators watch. Nothing is shown that is not on the ledger's disk.
 *
 * Story: each follower has a line of his own to the ledger, which pushes what his filter matches as
 * it becomes durable (and writes down that he reads). What he does not take in time, and what comes
 * faster than a person reads, is left out, and he is told so. He is cut off when his session or
 * his role ends.
 *
 * OWNS its followers. PROCESS core. TRUST the ledger's replies are bounded; readers may be slow or
 * leave. SPEC docs/api/openapi.yaml "/admin/databases/statements"; WHATWG HTML "Server-sent
 * events".
 */
#include "core/admin/events.h"
#include "core/http/stream.h"
#include "core/identity/people.h"
#include "core/sessions/sessions.h"
#include "infra/ipc/line.h"
#include "infra/proc/clock.h"

enum {
    FOLLOWERS_MAX = 32,
    QUEUE_MAX_BYTES = 256 * 1024,
    EVENTS_A_SECOND = 300, /* more is for a search, and core has other things to do */
    BEAT_SECONDS = 15
};

typedef struct {
    sp_core *core;
    sp_line *line;
    sp_stream *stream;
    uv_timer_t timer;
    sp_ledger_search search; /* its texts stand below */
    uint64_t session;        /* 0 = root on the host */
    uint32_t session_slot;
    unsigned who; /* SP_WHO_ bits: one of them is held as long as this lasts */
    sp_buf queue;
    unsigned left; /* events that may still be shown this second */
    unsigned seconds;
    bool waiting; /* the reader has taken all there was */
    bool ended;
    bool has_left_out;
    bool was_up;
    char resource[SP_NAME_MAX_BYTES + 1];
    char text[SP_LEDGER_TEXT_MAX_BYTES + 1];
    char reader_name[SP_NAME_MAX_BYTES + 1];
} follower;

/* ---- to the reader ---- */

static void flush(follower *f)
{
    if (f->waiting && f->queue.len > 0) {
        f->waiting = false;
        sp_stream_put(f->stream, &f->queue);
    }
}

/* Takes the reference on body. */
static void tell(follower *f, const char *name, json_t *body)
{
    auto_free char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text == NULL || f->ended) {
        f->has_left_out = true;
        return;
    }
    sp_buf_fmt(&f->queue, "event: %s\ndata: ", name);
    sp_buf_text(&f->queue, text);
    sp_buf_text(&f->queue, "\n\n");
    flush(f);
}

static void end(follower *f, const char *reason)
{
    tell(f, "signed_out", json_pack("{s:s}", "reason", reason));
    f->ended = true;
    if (f->waiting) {
        sp_stream_end(f->stream, true);
    }
}

static void on_next(void *self, sp_stream *stream)
{
    follower *f = self;
    f->stream = stream;
    f->waiting = true;
    flush(f);
    if (f->waiting && f->ended) {
        sp_stream_end(stream, true);
    }
}

static void on_closed(uv_handle_t *handle)
{
    follower *f = handle->data;
    sp_buf_done(&f->queue);
    sp_free(f);
}

static void on_gone(void *self)
{
    follower *f = self;
    sp_line_free(f->line);
    f->line = NULL;
    f->ended = true;
    uv_timer_stop(&f->timer);
    uv_close((uv_handle_t *)&f->timer, on_closed);
}

static const sp_stream_calls calls = {on_next, on_gone};

/* ---- from the ledger ---- */

static bool may_still(const follower *f)
{
    sp_live_session session;
    if (f->session == 0) {
        return true;
    }
    if (sp_failed(sp_live_session_get(&f->core->live, f->session_slot, f->session, &session)) ||
        session.expires_unix_s <= sp_now_unix_us() / 1000000) {
        return false;
    }
    return ((f->who & SP_WHO_AUDIT) != 0 && sp_roles_hold(session.roles, SP_ROLE_NR_AUDIT)) ||
           ((f->who & SP_WHO_SECURITY) != 0 && sp_roles_hold(session.roles, SP_ROLE_NR_SECURITY));
}

static void show(follower *f, const sp_ledger_found *found)
{
    json_t *items = json_array();
    sp_span rest = found->items;
    sp_ledger_item item;
    f->has_left_out = f->has_left_out || found->more;
    while (sp_ledger_found_next(&rest, &item)) {
        if (f->left == 0 || f->queue.len > QUEUE_MAX_BYTES) {
            f->has_left_out = true;
            break;
        }
        f->left--;
        json_array_insert_new(items, 0, sp_event_shape(&item)); /* they come newest first */
    }
    if (json_array_size(items) > 0 || f->has_left_out) {
        bool left_out = f->has_left_out;
        f->has_left_out = false;
        tell(f, "events", json_pack("{s:O, s:b}", "items", items, "left_out", left_out));
    }
    json_decref(items);
}

static void on_push(void *self, uint16_t kind, sp_span body)
{
    follower *f = self;
    sp_ledger_found found;
    if (f->ended || kind != SP_LEDGER_EVENT || sp_failed(sp_ledger_found_read(body, &found))) {
        return;
    }
    if (!may_still(f)) {
        end(f, "ended");
    } else if (f->left > 0 && f->queue.len <= QUEUE_MAX_BYTES) {
        show(f, &found);
    } else {
        f->has_left_out = true;
    }
}

static void on_following(void *self, sp_err err, sp_span body)
{
    follower *f = self;
    (void)body;
    if (f->ended || sp_failed(err)) {
        return; /* the line is broken, and will be made again */
    }
    /* what was recorded while the ledger was away has to be asked for */
    tell(f, f->was_up ? "again" : "hello", json_object());
    f->was_up = true;
}

static void on_up(void *self)
{
    follower *f = self;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(&f->search, &body);
    if (f->line != NULL) {
        sp_line_call(f->line, SP_LEDGER_TAIL, sp_buf_borrow(&body), on_following, f);
    }
}

static void on_second(uv_timer_t *timer)
{
    follower *f = timer->data;
    f->left = EVENTS_A_SECOND;
    if (f->ended) {
        return;
    }
    if (!may_still(f)) {
        end(f, "ended");
        return;
    }
    if (f->has_left_out && f->queue.len <= QUEUE_MAX_BYTES) {
        f->has_left_out = false;
        tell(f, "events", json_pack("{s:[], s:b}", "items", "left_out", true));
    }
    if (++f->seconds % BEAT_SECONDS == 0 && f->waiting) {
        sp_buf_text(&f->queue, ": alive\n\n");
        flush(f);
    }
}

/* ---- beginning ---- */

static sp_err fill(const sp_request *req, const sp_ledger_search *search, follower *f)
{
    const sp_live_session *session = sp_request_session(req);
    f->core = sp_request_core(req);
    f->queue = sp_buf_make(2 * QUEUE_MAX_BYTES);
    f->left = EVENTS_A_SECOND;
    f->timer.data = f;
    if (session != NULL) {
        f->session = session->id;
        f->session_slot = sp_request_session_slot(req);
    }
    f->search = *search;
    TRY(sp_fit(f->resource, sizeof(f->resource), search->resource));
    TRY(sp_fit(f->text, sizeof(f->text), search->text));
    TRY(sp_fit(f->reader_name, sizeof(f->reader_name), search->reader.reader_name));
    f->search.resource = sp_span_cstr(f->resource);
    f->search.text = sp_span_cstr(f->text);
    f->search.reader.reader_name = sp_span_cstr(f->reader_name);
    return uv_timer_init(f->core->loop, &f->timer) == 0 ? sp_ok() : sp_fail(SP_EIO);
}

static sp_err connect_ledger(follower *f)
{
    auto_free char *path = NULL;
    TRY(sp_config_socket(f->core->config, "ledger", &path));
    const sp_line_calls line_calls = {.on_up = on_up, .on_push = on_push, .self = f};
    TRY(sp_line_new(f->core->loop, path, &line_calls, &f->line));
    if (sp_line_is_up(f->line) && !f->was_up) {
        on_up(f); /* it was up before we knew the line */
    }
    return sp_ok();
}

static void follow(sp_request *req, const sp_ledger_search *search, unsigned who)
{
    follower *f = NULL;
    if (sp_streams_count(sp_request_core(req), &calls) >= FOLLOWERS_MAX) {
        sp_answer_problem(req, 503, "unavailable", "Too many people follow already.");
        return;
    }
    sp_err err = sp_alloc(1, sizeof(*f), &f);
    if (!sp_failed(err)) {
        err = fill(req, search, f);
    }
    if (sp_failed(err)) {
        sp_free(f);
        sp_answer_failed(req, err);
        return;
    }
    f->who = who;
    sp_answer_header(req, "X-Accel-Buffering", SP_SPAN_LIT("no"));
    if (!sp_answer_stream(req, 200, "text/event-stream", &calls, f)) {
        on_gone(f);
        return;
    }
    uv_timer_start(&f->timer, on_second, 1000, 1000);
    if (sp_failed(connect_ledger(f))) {
        end(f, "unavailable");
    }
}

/* ---- routes ---- */

static void get_ledger_live(sp_request *req)
{
    sp_ledger_search search = {.reader = sp_events_reader(req, "followed in the console")};
    if (sp_events_filter(req, &search)) {
        follow(req, &search, SP_WHO_AUDIT);
    }
}

static void get_statements(sp_request *req)
{
    sp_ledger_search search = {.reader = sp_events_reader(req, "statements at databases"),
                               .gates = 1U << SP_GATE_DB};
    if (sp_events_page(req, &search) && sp_events_filter(req, &search)) {
        sp_events_answer(req, &search, NULL);
    }
}

static void get_statements_live(sp_request *req)
{
    sp_ledger_search search = {.reader = sp_events_reader(req, "statements at databases, live"),
                               .gates = 1U << SP_GATE_DB};
    if (sp_events_filter(req, &search)) {
        follow(req, &search, SP_WHO_SECURITY | SP_WHO_AUDIT);
    }
}

sp_err sp_admin_live_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/ledger/live", SP_WHO_AUDIT, get_ledger_live, 0},
        {"GET", "/api/v1/admin/databases/statements", SP_WHO_SECURITY | SP_WHO_AUDIT,
         get_statements, 0},
        {"GET", "/api/v1/admin/databases/statements/live", SP_WHO_SECURITY | SP_WHO_AUDIT,
         get_statements_live, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
