/* SPDX-License-Identifier: Apache-2.0
 * The line to the ledger.
 * OWNS the line. PROCESS core, vault, ledger. TRUST replies are bounded. SPEC core/ledger_client.h.
 *
 * Each connection is a source of its own, numbered from 1: an event whose reply never came is not
 * sent again, because its change was refused; how many such there were is told to the next
 * connection, since some of them may be on disk.
 */
#include "core/ledger_client.h"

#include "infra/crypto/random.h"
#include "infra/ipc/line.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

struct sp_ledger_client {
    sp_line *line;
    uint64_t source;
    uint64_t next_seq;
    uint64_t undone; /* sent, not acknowledged, their changes refused */
    bool recording;
};

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
    if (sp_failed(err)) {
        call.client->undone++;
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
    client->next_seq++;
    sp_line_call(client->line, SP_LEDGER_APPEND, sp_buf_borrow(&body), on_appended, call);
}

static void on_told(void *self, sp_err err)
{
    (void)self;
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "an event could not be written in the ledger: %s",
               sp_code_word(err.code));
    }
}

void sp_ledger_client_tell(sp_ledger_client *client, const sp_event *event)
{
    sp_ledger_client_append(client, event, on_told, NULL);
}

void sp_ledger_client_call(sp_ledger_client *client, uint16_t kind, sp_span body,
                           sp_on_reply on_reply, void *self)
{
    sp_line_call(client->line, kind, body, on_reply, self);
}

static void on_up(void *self)
{
    sp_ledger_client *client = self;
    client->source = sp_random_u64();
    client->next_seq = 1;
    client->recording = true;
    if (client->undone > 0) {
        sp_event event = {.when_unix_us = sp_now_unix_us(),
                          .kind = SP_EVENT_GAP,
                          .severity = SP_SEVERITY_MEDIUM,
                          .count = client->undone,
                          .object =
                              SP_SPAN_LIT("changes refused because they were not acknowledged; "
                                          "some may stand in the ledger before this")};
        client->undone = 0;
        sp_ledger_client_tell(client, &event);
    }
}

static void on_push(void *self, uint16_t kind, sp_span body)
{
    sp_ledger_client *client = self;
    sp_ledger_state state;
    if (kind == SP_LEDGER_STATE && !sp_failed(sp_ledger_state_read(body, &state))) {
        client->recording = state.recording;
    }
}

sp_err sp_ledger_client_new(sp_core *core, sp_ledger_client **ret_client)
{
    auto_free sp_ledger_client *client = NULL;
    auto_free char *path = NULL;
    TRY(sp_alloc(1, sizeof(*client), &client));
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
        sp_free(client);
    }
}
