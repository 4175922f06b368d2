/* SPDX-License-Identifier: Apache-2.0
 * The vault's entries in the ledger.
 * OWNS the queue and its line. PROCESS vault. TRUST replies are bounded. SPEC vault/recorder.h.
 */
#include "vault/recorder.h"

#include "infra/crypto/random.h"
#include "infra/ipc/line.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

enum { QUEUE_MAX = 256, RETRY_MS = 1000 };

typedef struct {
    uint64_t seq;
    uint8_t *bytes; /* an encoded APPEND of one event */
    size_t len;
    sp_recorder_done done; /* NULL: nobody waits */
    void *self;
} item;

struct sp_recorder {
    sp_line *line;
    uv_timer_t retry;
    uint64_t source;
    uint64_t last_seq;
    uint64_t lost;
    item queue[QUEUE_MAX]; /* a ring */
    size_t first;
    size_t count;
    bool sending;
};

static void send_first(sp_recorder *recorder);

static void drop_first(sp_recorder *recorder, sp_err err)
{
    item first = recorder->queue[recorder->first];
    sp_free(first.bytes);
    recorder->queue[recorder->first] = (item){0};
    recorder->first = (recorder->first + 1) % QUEUE_MAX;
    recorder->count--;
    if (first.done != NULL) {
        first.done(first.self, err);
    }
}

bool sp_recorder_has_room(const sp_recorder *recorder)
{
    return recorder->count < QUEUE_MAX;
}

static sp_err enqueue(sp_recorder *recorder, const sp_event *event, sp_recorder_done done,
                      void *self)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_free uint8_t *bytes = NULL;
    if (!sp_recorder_has_room(recorder)) {
        return sp_fail(SP_EAGAIN);
    }
    sp_ledger_append_write(recorder->source, recorder->last_seq + 1, 1, &body);
    sp_ledger_append_add(event, &body);
    TRY(sp_buf_error(&body));
    TRY(sp_alloc(body.len, 1, &bytes));
    sp_copy(bytes, body.ptr, body.len);
    recorder->last_seq++;
    item *last = &recorder->queue[(recorder->first + recorder->count) % QUEUE_MAX];
    *last = (item){recorder->last_seq, SP_STEAL(bytes), body.len, done, self};
    recorder->count++;
    return sp_ok();
}

static void tell_loss(sp_recorder *recorder)
{
    sp_event loss = {.when_unix_us = sp_now_unix_us(),
                     .kind = SP_EVENT_LOSS,
                     .severity = SP_SEVERITY_HIGH,
                     .count = recorder->lost,
                     .resource = SP_SPAN_LIT("vault"),
                     .object = SP_SPAN_LIT("the vault's queue to the ledger was full")};
    if (!sp_failed(enqueue(recorder, &loss, NULL, NULL))) {
        recorder->lost = 0;
    }
}

static void on_appended(void *self, sp_err err, sp_span body)
{
    sp_recorder *recorder = self;
    (void)body;
    recorder->sending = false;
    if (err.code == SP_EDENIED || err.code == SP_EINVALID) {
        sp_log(SP_LOG_ERROR, "the ledger refused an event of the vault: %s",
               sp_code_word(err.code));
        recorder->lost++;
        drop_first(recorder, err);
        return;
    }
    if (sp_failed(err)) {
        return; /* sent again by the timer or when the line is up again */
    }
    drop_first(recorder, sp_ok());
    if (recorder->lost > 0) {
        tell_loss(recorder);
    }
    send_first(recorder);
}

static void send_first(sp_recorder *recorder)
{
    if (recorder->count > 0 && !recorder->sending && sp_line_is_up(recorder->line)) {
        const item *first = &recorder->queue[recorder->first];
        recorder->sending = true;
        sp_line_call(recorder->line, SP_LEDGER_APPEND, sp_span_of(first->bytes, first->len),
                     on_appended, recorder);
    }
}

static void on_retry(uv_timer_t *timer)
{
    send_first(timer->data);
}

sp_err sp_recorder_tell_then(sp_recorder *recorder, const sp_event *event, sp_recorder_done done,
                             void *self)
{
    sp_event whole = *event;
    whole.when_unix_us = whole.when_unix_us == 0 ? sp_now_unix_us() : whole.when_unix_us;
    whole.resource = whole.resource.len == 0 ? SP_SPAN_LIT("vault") : whole.resource;
    TRY(enqueue(recorder, &whole, done, self));
    send_first(recorder);
    return sp_ok();
}

void sp_recorder_tell(sp_recorder *recorder, const sp_event *event)
{
    if (sp_failed(sp_recorder_tell_then(recorder, event, NULL, NULL))) {
        recorder->lost++;
    }
}

static void timer_closed(uv_handle_t *handle)
{
    sp_recorder *recorder = handle->data;
    sp_free(recorder);
}

void sp_recorder_free(sp_recorder *recorder)
{
    if (recorder != NULL) {
        sp_line_free(recorder->line);
        while (recorder->count > 0) {
            drop_first(recorder, sp_fail(SP_ECLOSED));
        }
        uv_timer_stop(&recorder->retry);
        uv_close((uv_handle_t *)&recorder->retry, timer_closed);
    }
}

sp_err sp_recorder_new(uv_loop_t *loop, const char *ledger_socket, sp_recorder **ret_recorder)
{
    auto_free sp_recorder *recorder = NULL;
    TRY(sp_alloc(1, sizeof(*recorder), &recorder));
    recorder->source = sp_random_u64();
    if (uv_timer_init(loop, &recorder->retry) != 0) {
        return sp_fail(SP_EIO);
    }
    recorder->retry.data = recorder;
    sp_line_calls calls = {.self = recorder};
    sp_err err = sp_line_new(loop, ledger_socket, &calls, &recorder->line);
    if (sp_failed(err)) {
        sp_recorder_free(SP_STEAL(recorder));
        return err;
    }
    uv_timer_start(&recorder->retry, on_retry, 0, RETRY_MS);
    *ret_recorder = SP_STEAL(recorder);
    return sp_ok();
}
