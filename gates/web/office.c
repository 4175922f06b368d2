/* SPDX-License-Identifier: Apache-2.0
 * The worker's side of core.
 * OWNS the mappings. PROCESS nginx workers. TRUST core. SPEC gates/web/office.h.
 */
#include "gates/web/office.h"

#include "gates/web/held.h"
#include "gates/web/identity.h"
#include "gates/web/link.h"
#include "lib/proto/core_msg.h"

enum {
    LIVE_MAX_BYTES = 1 << 30,
    START_WAIT_MS = 3000,
    SEEN_SLOTS = 1024, /* direct mapped by session: a collision only says "seen" more often */
    SEEN_EVERY_S = 30,
    SEEN_BATCH = 512
};

gate_worker gate_this_worker;

static void on_open(gate_link *link);
static void on_message(gate_link *link, const sp_msg *msg, sp_fds *fds);
static void on_closed(gate_link *link);

static gate_link core = {
    .name = "core", .on_open = on_open, .on_message = on_message, .on_closed = on_closed};

static uint32_t hello_call;

gate_snapshot *gate_snapshot_ref(gate_snapshot *snapshot)
{
    snapshot->refs++;
    return snapshot;
}

void gate_snapshot_unref(gate_snapshot *snapshot)
{
    if (snapshot != NULL && --snapshot->refs == 0) {
        sp_shm_done(&snapshot->shm);
        sp_free(snapshot);
    }
}

static sp_err take_snapshot(int fd)
{
    static uint64_t serial;
    gate_snapshot *fresh = NULL;
    TRY(sp_alloc(1, sizeof(*fresh), &fresh));
    fresh->refs = 1;
    sp_err err = sp_shm_map_read(fd, true, SP_CORE_SNAPSHOT_MAX_BYTES, &fresh->shm);
    if (!sp_failed(err)) {
        err = sp_policy_open((sp_span){fresh->shm.ptr, fresh->shm.size_bytes}, &fresh->policy);
    }
    if (sp_failed(err)) {
        gate_snapshot_unref(fresh);
        return err;
    }
    fresh->serial = ++serial;
    gate_snapshot_unref(gate_this_worker.snapshot);
    gate_this_worker.snapshot = fresh;
    return sp_ok();
}

static sp_err take_live(int fd)
{
    sp_shm shm = {0};
    sp_live live;
    TRY(sp_shm_map_read(fd, false, LIVE_MAX_BYTES, &shm));
    sp_err err = sp_live_open(shm.ptr, shm.size_bytes, &live);
    if (sp_failed(err)) {
        sp_shm_done(&shm);
        return err;
    }
    sp_shm_done(&gate_this_worker.live_shm);
    gate_this_worker.live_shm = shm;
    gate_this_worker.live = live;
    gate_this_worker.has_live = true;
    return sp_ok();
}

static sp_err take_fd(sp_fds *fds, size_t at, sp_err (*take)(int fd))
{
    auto_close int fd = sp_fds_take(fds, at);
    return fd < 0 ? sp_fail(SP_EINVALID) : take(fd);
}

static void on_open(gate_link *link)
{
    auto_buf sp_buf body = sp_buf_make(64);
    sp_core_hello_write(&(sp_core_hello){.gate = SP_GATE_WEB, .part = SP_CORE_WORKER}, &body);
    hello_call = gate_link_call(link, SP_CORE_HELLO, sp_buf_borrow(&body), NULL, 0);
}

static sp_err on_hello(const sp_msg *msg, sp_fds *fds)
{
    if (msg->status != SP_OK) {
        return sp_fail(msg->status);
    }
    TRY(take_fd(fds, SP_CORE_FD_SNAPSHOT, take_snapshot));
    TRY(take_fd(fds, SP_CORE_FD_LIVE, take_live));
    gate_held_look_again();
    return sp_ok();
}

static sp_err on_push(const sp_msg *msg, sp_fds *fds)
{
    if (msg->kind == SP_CORE_SNAPSHOT) {
        TRY(take_fd(fds, SP_CORE_FD_SNAPSHOT, take_snapshot));
    }
    if (msg->kind == SP_CORE_SNAPSHOT || msg->kind == SP_CORE_AGAIN) {
        gate_held_look_again();
    }
    return sp_ok();
}

static void on_message(gate_link *link, const sp_msg *msg, sp_fds *fds)
{
    (void)link;
    sp_err err = sp_ok();
    if (msg->id == 0) {
        err = on_push(msg, fds);
    } else if (msg->kind == SP_CORE_HELLO && msg->id == hello_call) {
        err = on_hello(msg, fds);
    } else if (msg->kind == SP_CORE_TOKEN) {
        gate_identity_come(msg);
    }
    if (sp_failed(err)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "sallyport: core sent what cannot be used (%s); going on with what there is",
                      sp_code_word(err.code));
    }
}

static void on_closed(gate_link *link)
{
    (void)link;
    gate_identity_lost();
}

static bool is_ready(void)
{
    return gate_this_worker.has_live;
}

void gate_office_start(const gate_main_conf *conf)
{
    core.path = (const char *)conf->core_path.data;
    gate_link_start(&core);
    gate_link_wait(&core, is_ready, START_WAIT_MS);
}

void gate_office_stop(void)
{
    gate_link_stop(&core);
}

uint32_t gate_office_ask_token(const gate_subject *subject, sp_span resource)
{
    auto_buf sp_buf body = sp_buf_make(512);
    sp_core_token_ask_write(&(sp_core_token_ask){.session_slot = subject->session_slot,
                                                 .session_id = subject->session_id,
                                                 .resource = resource},
                            &body);
    if (sp_failed(sp_buf_error(&body))) {
        return 0;
    }
    return gate_link_call(&core, SP_CORE_TOKEN, sp_buf_borrow(&body), NULL, 0);
}

/* ---- seen ---- */

static struct {
    uint64_t session_id;
    time_t told_s;
} last_seen[SEEN_SLOTS];
static sp_core_seen_one seen_batch[SEEN_BATCH];
static size_t seen_count;

static void tell_seen(void)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_core_seen_write(seen_batch, seen_count, &body);
    /* not sent: it will be said again with the next request of the session */
    (void)gate_link_tell(&core, SP_CORE_SEEN, sp_buf_borrow(&body));
    seen_count = 0;
}

void gate_office_seen(const gate_subject *subject)
{
    size_t at = subject->session_id % SEEN_SLOTS;
    bool lately = last_seen[at].session_id == subject->session_id &&
                  ngx_time() - last_seen[at].told_s < SEEN_EVERY_S;
    if (lately) {
        return;
    }
    last_seen[at].session_id = subject->session_id;
    last_seen[at].told_s = ngx_time();
    seen_batch[seen_count++] = (sp_core_seen_one){.session_slot = subject->session_slot,
                                                  .session_id = subject->session_id};
    if (seen_count == SEEN_BATCH) {
        tell_seen();
    }
}

void gate_office_tick(void)
{
    if (seen_count > 0) {
        tell_seen();
    }
}
