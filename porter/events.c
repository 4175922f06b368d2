/* SPDX-License-Identifier: Apache-2.0
 * What happened to roles, told to the ledger: a small queue that waits while the ledger is away.
 * OWNS its connection and queue. PROCESS porter. TRUST the ledger's reply is bounded; a wrong one
 * only breaks this connection. SPEC lib/proto/ledger_msg.h APPEND.
 *
 * Numbers stay with their events: what was sent and not acknowledged is sent again with the same
 * number, and the ledger writes it once.
 */
#include "infra/crypto/random.h"
#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"
#include "porter/porter.h"

#include <stdio.h>
#include <unistd.h>

enum { QUEUE_MAX = 256, RETRY_US = 1000 * 1000, REPLY_US = 10 * 1000 * 1000 };

typedef struct {
    uint64_t when_unix_us;
    uint8_t severity;
    char detail[PORTER_NOTE_BYTES * 2];
    char role[16];
    char what[16];
} item;

struct porter_events {
    char *path;
    int fd;
    uint64_t source;
    uint64_t first_seq; /* number of the oldest in the queue */
    uint32_t request;   /* id of the request that is under way, 0 = none */
    uint16_t sent;      /* how many it carries */
    uint64_t sent_us;
    uint64_t retry_us; /* not before */
    size_t count;
    size_t head;
    item queue[QUEUE_MAX];
};

sp_err porter_events_new(const sp_config *config, porter_events **ret_events)
{
    porter_events *events = NULL;
    TRY(sp_alloc(1, sizeof(*events), &events));
    events->fd = -1;
    events->source = sp_random_u64();
    events->first_seq = 1;
    sp_err err = sp_config_socket(config, "ledger", &events->path);
    if (sp_failed(err)) {
        sp_free(events);
        return err;
    }
    *ret_events = events;
    return sp_ok();
}

static void hang_up(porter_events *events)
{
    if (events->fd >= 0) {
        close(events->fd);
    }
    events->fd = -1;
    events->request = 0;
    events->retry_us = sp_now_steady_us() + RETRY_US;
}

void porter_events_free(porter_events *events)
{
    if (events == NULL) {
        return;
    }
    hang_up(events);
    sp_free(events->path);
    sp_free(events);
}

void porter_events_add(porter_events *events, sp_severity severity, sp_role_kind role,
                       const char *what, const char *why)
{
    if (events->count == QUEUE_MAX) {
        /* its number is not used again: the ledger sees the gap */
        events->head = (events->head + 1) % QUEUE_MAX;
        events->count--;
        events->first_seq++;
    }
    item *one = &events->queue[(events->head + events->count) % QUEUE_MAX];
    *one = (item){.when_unix_us = sp_now_unix_us(), .severity = (uint8_t)severity};
    snprintf(one->role, sizeof(one->role), "%s", sp_role_word(role));
    snprintf(one->what, sizeof(one->what), "%s", what);
    auto_buf sp_buf detail = sp_buf_make(sizeof(one->detail) - 1);
    sp_buf_text(&detail, "{\"why\":");
    sp_buf_json(&detail, sp_span_cstr(why));
    sp_buf_text(&detail, "}");
    sp_span text = sp_buf_borrow(&detail);
    sp_copy(one->detail, text.ptr, text.len);
    events->count++;
}

static void add_item(const item *one, sp_buf *out)
{
    const sp_event event = {
        .when_unix_us = one->when_unix_us,
        .kind = SP_EVENT_ROLE,
        .severity = one->severity,
        .verdict = SP_VERDICT_ALLOW,
        .resource = sp_span_cstr(one->role),
        .method = sp_span_cstr(one->what),
        .detail = sp_span_cstr(one->detail),
    };
    sp_ledger_append_add(&event, out);
}

static void send_waiting(porter_events *events)
{
    uint16_t count =
        (uint16_t)(events->count < SP_LEDGER_APPEND_MAX ? events->count : SP_LEDGER_APPEND_MAX);
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    uint32_t id = (uint32_t)(events->first_seq & 0x7fffffff) + 1;
    sp_msg_begin(&packet, SP_LEDGER_APPEND, id, SP_OK);
    sp_ledger_append_write(events->source, events->first_seq, count, &packet);
    for (uint16_t i = 0; i < count; i++) {
        add_item(&events->queue[(events->head + i) % QUEUE_MAX], &packet);
    }
    sp_err err = sp_buf_error(&packet);
    if (!sp_failed(err)) {
        err = sp_ipc_send(events->fd, sp_buf_borrow(&packet), NULL, 0);
    }
    if (sp_failed(err)) {
        hang_up(events);
        return;
    }
    events->request = id;
    events->sent = count;
    events->sent_us = sp_now_steady_us();
}

static void drop_sent(porter_events *events, uint16_t count)
{
    events->head = (events->head + count) % QUEUE_MAX;
    events->count -= count;
    events->first_seq += count;
    events->request = 0;
}

/* True while there may be more to read. */
static bool read_one(porter_events *events)
{
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_fds sp_fds fds = {.fds = {-1, -1, -1, -1}};
    sp_err err = sp_ipc_receive(events->fd, &packet, &fds);
    if (err.code == SP_EAGAIN) {
        return false;
    }
    sp_msg msg;
    if (sp_failed(err) || sp_failed(sp_msg_open(sp_buf_borrow(&packet), &msg))) {
        hang_up(events);
        return false;
    }
    if (events->request == 0 || msg.id != events->request) {
        return true;
    }
    if (msg.status != SP_OK) {
        sp_log(SP_LOG_WARN, "the ledger does not take what happened to roles: %s",
               sp_code_word((sp_code)msg.status));
        hang_up(events);
        return false;
    }
    drop_sent(events, events->sent);
    return true;
}

void porter_events_turn(porter_events *events, bool open)
{
    uint64_t now = sp_now_steady_us();
    while (events->fd >= 0 && read_one(events)) {
    }
    if (events->fd >= 0 && events->request != 0 && now - events->sent_us > REPLY_US) {
        hang_up(events);
    }
    if (!open || events->count == 0 || events->request != 0 || now < events->retry_us) {
        return;
    }
    if (events->fd < 0 && sp_failed(sp_ipc_connect(events->path, &events->fd))) {
        events->fd = -1;
        events->retry_us = now + RETRY_US;
        return;
    }
    send_waiting(events);
}

int porter_events_fd(const porter_events *events)
{
    return events->fd;
}

bool porter_events_waiting(const porter_events *events)
{
    return events->count > 0;
}
