/* SPDX-License-Identifier: Apache-2.0
 * A gate worker's side of core.
 * OWNS the mappings. PROCESS gate workers. TRUST core. SPEC infra/gate/office.h.
 */
#include "infra/gate/office.h"

#include "infra/proc/log.h"
#include "lib/proto/core_msg.h"
#include "lib/proto/db_msg.h"

enum { LIVE_MAX_BYTES = 1 << 30, START_WAIT_MS = 3000 };

sp_gate_snapshot *sp_gate_snapshot_ref(sp_gate_snapshot *snapshot)
{
    snapshot->refs++;
    return snapshot;
}

void sp_gate_snapshot_unref(sp_gate_snapshot *snapshot)
{
    if (snapshot != NULL && --snapshot->refs == 0) {
        sp_shm_done(&snapshot->shm);
        sp_free(snapshot);
    }
}

static sp_err take_snapshot(sp_office *office, sp_fds *fds)
{
    auto_close int fd = sp_fds_take(fds, SP_CORE_FD_SNAPSHOT);
    if (fd < 0) {
        return sp_fail(SP_EINVALID);
    }
    sp_gate_snapshot *fresh = NULL;
    TRY(sp_alloc(1, sizeof(*fresh), &fresh));
    fresh->refs = 1;
    sp_err err = sp_shm_map_read(fd, true, SP_CORE_SNAPSHOT_MAX_BYTES, &fresh->shm);
    if (!sp_failed(err)) {
        err = sp_policy_open((sp_span){fresh->shm.ptr, fresh->shm.size_bytes}, &fresh->policy);
    }
    if (sp_failed(err)) {
        sp_gate_snapshot_unref(fresh);
        return err;
    }
    fresh->serial = ++office->serial;
    sp_gate_snapshot_unref(office->snapshot);
    office->snapshot = fresh;
    return sp_ok();
}

static sp_err take_live(sp_office *office, sp_fds *fds)
{
    auto_close int fd = sp_fds_take(fds, SP_CORE_FD_LIVE);
    sp_shm shm = {.ptr = NULL};
    sp_live live;
    if (fd < 0) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_shm_map_read(fd, false, LIVE_MAX_BYTES, &shm));
    sp_err err = sp_live_open(shm.ptr, shm.size_bytes, &live);
    if (sp_failed(err)) {
        sp_shm_done(&shm);
        return err;
    }
    sp_shm_done(&office->live_shm);
    office->live_shm = shm;
    office->live = live;
    office->has_live = true;
    return sp_ok();
}

static void complain(sp_err err)
{
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "core sent what cannot be used (%s); going on with what there is",
               sp_code_word(err.code));
    }
}

static sp_err take_hello(sp_office *office, sp_fds *fds)
{
    TRY(take_snapshot(office, fds));
    return take_live(office, fds);
}

static void on_hello(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sp_office *office = self;
    if (msg == NULL) {
        return; /* the link says so */
    }
    if (!sp_failed(err)) {
        err = take_hello(office, fds);
    }
    complain(err);
    if (!sp_failed(err)) {
        office->on_again(office, true);
        if (office->on_hello != NULL) {
            office->on_hello(office);
        }
    }
}

static void on_open(sp_link *link)
{
    sp_office *office = link->self;
    auto_buf sp_buf body = sp_buf_make(64);
    sp_core_hello_write(&(sp_core_hello){.gate = (uint8_t)office->gate, .part = SP_CORE_WORKER},
                        &body);
    (void)sp_link_call(link, SP_CORE_HELLO, sp_buf_borrow(&body), NULL, 0, on_hello, office);
}

static void on_push(sp_link *link, const sp_msg *msg, sp_fds *fds)
{
    sp_office *office = link->self;
    if (msg->kind == SP_CORE_SNAPSHOT) {
        sp_err err = take_snapshot(office, fds);
        complain(err);
        office->on_again(office, !sp_failed(err));
    } else if (msg->kind == SP_CORE_AGAIN) {
        office->on_again(office, false);
    } else if (office->on_push != NULL) {
        office->on_push(office, msg);
    }
}

/* Others were asked, and whoever asked them has been told otherwise or is gone. */
static void on_stray(sp_link *link, const sp_msg *msg)
{
    sp_db_ask_id id;
    if (msg->kind == SP_CORE_DB_ASK && msg->status == SP_OK &&
        !sp_failed(sp_db_ask_id_read(msg->body, &id))) {
        (void)sp_link_tell(link, SP_CORE_DB_ASK_DROP, msg->body);
    }
}

static bool is_ready(const void *self)
{
    return ((const sp_office *)self)->has_live;
}

void sp_office_start(sp_office *office, sp_loop *loop, const char *core_path, sp_gate gate)
{
    office->gate = gate;
    office->link = (sp_link){.name = "core",
                             .path = core_path,
                             .on_open = on_open,
                             .on_push = on_push,
                             .on_stray = on_stray,
                             .self = office};
    sp_link_start(&office->link, loop);
    sp_link_wait(&office->link, is_ready, office, START_WAIT_MS);
}

void sp_office_stop(sp_office *office)
{
    sp_link_stop(&office->link);
    sp_gate_snapshot_unref(office->snapshot);
    office->snapshot = NULL;
    sp_shm_done(&office->live_shm);
    office->has_live = false;
}
