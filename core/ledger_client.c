/* SPDX-License-Identifier: Apache-2.0
 * The line to the ledger.
 * OWNS the line. PROCESS core, vault, ledger. TRUST replies are bounded. SPEC core/ledger_client.h.
 *
 * Each connection is a source of its own, numbered from 1: an event whose reply never came is not
 * sent again, because its change was refused; how many such there were is told to the next
 * connection, since some of them may be on disk. What has happened already is sent again until the
 * ledger has it, so it may stand there twice.
 */
#include "core/ledger_client.h"

#include "infra/crypto/random.h"
#include "infra/ipc/line.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

enum { UNTOLD_MAX_BYTES = 1 << 20 };

struct sp_ledger_client {
    sp_line *line;
    uint64_t source;
    uint64_t next_seq;
    uint64_t undone; /* sent, not acknowledged, their changes refused */
    sp_buf untold;   /* what has happened and is not written down: events, each after its length */
    uint64_t lost;   /* of these, for which there was no room */
    bool *unsent;    /* NULL = nothing is being sent just now */
    bool recording;
};

/* False: it was not sent, and on_reply was called, which says so by note_unsent. */
static bool put_event(sp_ledger_client *client, sp_span body, sp_line_reply on_reply, void *self)
{
    bool unsent = false;
    client->unsent = &unsent;
    sp_line_call(client->line, SP_LEDGER_APPEND, body, on_reply, self);
    client->unsent = NULL;
    client->next_seq += unsent ? 0 : 1; /* the ledger counts without gaps */
    return !unsent;
}

static bool note_unsent(sp_ledger_client *client)
{
    bool *unsent = SP_STEAL(client->unsent); /* who hears of it may send more */
    if (unsent != NULL) {
        *unsent = true;
    }
    return unsent != NULL;
}

/* ---- what has happened already: it waits for the ledger, and what has no room is counted ---- */

typedef struct {
    sp_ledger_client *client;
    uint64_t lost; /* 0, or it says how many were: that is counted on when it is not taken */
    size_t len;
    uint8_t event[];
} tell_call;

static void keep_untold(sp_ledger_client *client, sp_span event)
{
    sp_buf *untold = &client->untold;
    size_t before = untold->len;
    bool fits = untold->max_bytes - before >= sizeof(uint32_t) + event.len;
    if (fits) {
        sp_buf_bytes(untold, event);
    }
    if (!fits || sp_failed(sp_buf_error(untold))) {
        untold->len = before;
        untold->err = sp_ok();
        client->lost++;
    }
}

static void tell_untold(sp_ledger_client *client);

static void on_told(void *self, sp_err err, sp_span body)
{
    tell_call *call = self;
    sp_ledger_client *client = call->client;
    bool later = err.code == SP_EAGAIN || err.code == SP_ECLOSED || err.code == SP_ETIMEOUT ||
                 err.code == SP_EIO;
    (void)body;
    if (note_unsent(client)) {
        /* it is still where it was */
    } else if (call->lost > 0 && sp_failed(err)) {
        client->lost += call->lost;
    } else if (later) {
        keep_untold(client, sp_span_of(call->event, call->len));
    } else if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the ledger does not take an event: %s", sp_code_word(err.code));
        client->lost++;
    } else {
        tell_untold(client);
    }
    sp_free(call);
}

/* False: not now. lost: see tell_call. */
static bool tell_encoded(sp_ledger_client *client, sp_span event, uint64_t lost)
{
    tell_call *call = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_append_write(client->source, client->next_seq, 1, &body);
    sp_buf_bytes(&body, event);
    if (!sp_line_is_up(client->line) || sp_failed(sp_buf_error(&body)) ||
        sp_failed(sp_alloc(1, sizeof(*call) + event.len, &call))) {
        return false;
    }
    call->client = client;
    call->lost = lost;
    call->len = event.len;
    sp_copy(call->event, event.ptr, event.len);
    return put_event(client, sp_buf_borrow(&body), on_told, call);
}

static void tell_lost(sp_ledger_client *client)
{
    uint64_t count = client->lost;
    auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    const sp_event event = {.when_unix_us = sp_now_unix_us(),
                            .kind = SP_EVENT_GAP,
                            .severity = SP_SEVERITY_HIGH,
                            .count = count,
                            .object = SP_SPAN_LIT("events that core had no room to keep while the "
                                                  "ledger was away")};
    if (count > 0 && !sp_failed(sp_event_encode(&event, &bytes)) &&
        tell_encoded(client, sp_buf_borrow(&bytes), count)) {
        client->lost -= count;
    }
}

static void tell_untold(sp_ledger_client *client)
{
    size_t used = 0;
    tell_lost(client);
    while (used < client->untold.len) {
        sp_span left = sp_span_slice(sp_buf_borrow(&client->untold), used, client->untold.len);
        sp_reader in = sp_reader_of(left);
        sp_span event = sp_read_bytes(&in, SP_EVENT_MAX_BYTES);
        if (!tell_encoded(client, event, 0)) {
            break;
        }
        used += left.len - in.rest.len;
    }
    sp_buf_drop(&client->untold, used);
}

void sp_ledger_client_tell(sp_ledger_client *client, const sp_event *event)
{
    auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    sp_err err = sp_event_encode(event, &bytes);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "an event cannot be written: %s", sp_code_word(err.code));
        client->lost++;
    } else if (!tell_encoded(client, sp_buf_borrow(&bytes), 0)) {
        keep_untold(client, sp_buf_borrow(&bytes));
    }
}

/* ---- what is asked: it is written, or its change does not take effect ---- */

typedef struct {
    sp_ledger_client *client;
    sp_on_recorded on_recorded;
    void *self;
} append_call;

static void on_appended(void *self, sp_err err, sp_span body)
{
    (void)body;
    append_call call = *(append_call *)self;
    sp_free(self);
    if (!note_unsent(call.client)) {
        call.client->undone += sp_failed(err) ? 1 : 0;
        if (!sp_failed(err)) {
            tell_untold(call.client);
        }
    }
    call.on_recorded(call.self, err);
}

static sp_err prepare(sp_ledger_client *client, const sp_event *event, sp_buf *body)
{
    sp_ledger_append_write(client->source, client->next_seq, 1, body);
    sp_ledger_append_add(event, body);
    return sp_buf_error(body);
}

void sp_ledger_client_append(sp_ledger_client *client, const sp_event *event,
                             sp_on_recorded on_recorded, void *self)
{
    append_call *call = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_err err = sp_line_is_up(client->line) ? prepare(client, event, &body) : sp_fail(SP_EAGAIN);
    if (!sp_failed(err)) {
        err = sp_alloc(1, sizeof(*call), &call);
    }
    if (sp_failed(err)) {
        on_recorded(self, err);
        return;
    }
    *call = (append_call){client, on_recorded, self};
    (void)put_event(client, sp_buf_borrow(&body), on_appended, call);
}

void sp_ledger_client_call(sp_ledger_client *client, uint16_t kind, sp_span body,
                           sp_on_reply on_reply, void *self)
{
    sp_line_call(client->line, kind, body, on_reply, self);
}

static void tell_undone(sp_ledger_client *client)
{
    if (client->undone > 0) {
        const sp_event event = {.when_unix_us = sp_now_unix_us(),
                                .kind = SP_EVENT_GAP,
                                .severity = SP_SEVERITY_MEDIUM,
                                .count = client->undone,
                                .object = SP_SPAN_LIT("changes refused because they were not "
                                                      "acknowledged; some may stand in the ledger "
                                                      "before this")};
        client->undone = 0;
        sp_ledger_client_tell(client, &event);
    }
}

static void on_up(void *self)
{
    sp_ledger_client *client = self;
    client->source = sp_random_u64();
    client->next_seq = 1;
    client->recording = true;
    tell_undone(client);
    tell_untold(client);
}

static void on_push(void *self, uint16_t kind, sp_span body)
{
    sp_ledger_client *client = self;
    sp_ledger_state state;
    if (kind == SP_LEDGER_STATE && !sp_failed(sp_ledger_state_read(body, &state))) {
        client->recording = state.recording;
        if (state.recording) {
            tell_untold(client);
        }
    }
}

sp_err sp_ledger_client_new(sp_core *core, sp_ledger_client **ret_client)
{
    auto_free sp_ledger_client *client = NULL;
    auto_free char *path = NULL;
    TRY(sp_alloc(1, sizeof(*client), &client));
    client->untold = sp_buf_make(UNTOLD_MAX_BYTES);
    TRY(sp_config_socket(core->config, "ledger", &path));
    sp_line_calls calls = {.on_up = on_up, .on_push = on_push, .self = client};
    TRY(sp_line_new(core->loop, path, &calls, &client->line));
    *ret_client = SP_STEAL(client);
    return sp_ok();
}

void sp_ledger_client_hang_up(sp_ledger_client *client)
{
    if (client != NULL) {
        sp_line_hang_up(client->line);
    }
}

void sp_ledger_client_free(sp_ledger_client *client)
{
    if (client != NULL) {
        sp_line_free(client->line);
        if (client->untold.len > 0 || client->lost > 0) {
            sp_log(SP_LOG_ERROR, "the ledger was away when core ended: what happened last is not "
                                 "written in it");
        }
        sp_buf_done(&client->untold);
        sp_free(client);
    }
}
