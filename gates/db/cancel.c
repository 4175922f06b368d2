/* SPDX-License-Identifier: Apache-2.0
 * Cancel requests: a client names a session by number and key, on a connection that any worker may
 * have got; the worker that has the session passes it on to the server.
 * OWNS nothing. PROCESS db gate workers. TRUST the request is anybody's: without the key nothing
 * happens, and nothing is answered. SPEC PostgreSQL 15 manual, 55.2.9.
 */
#include "gates/db/db.h"

#include <sys/socket.h>

enum { SLOT_BITS = 20, MESSAGE_BYTES = 8 };

uint32_t db_cancel_pid(const db_session *session)
{
    return (db_here.number + 1) << SLOT_BITS | session->slot;
}

static void cancel_here(uint32_t pid, uint32_t key)
{
    uint32_t slot = pid & ((1U << SLOT_BITS) - 1);
    db_session *session = slot < db_here.session_cap ? db_here.sessions[slot] : NULL;
    if (session == NULL || session->key != key || session->at != DB_AT_OPEN) {
        return;
    }
    if (session->waits) {
        db_judge_cancelled(session);
    }
    if (session->flights.count > 0) {
        db_back_cancel(session->back);
    }
}

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void db_cancel_request(uint32_t pid, sp_span key)
{
    uint32_t number = (pid >> SLOT_BITS) - 1;
    if (key.len != 4 || number >= db_here.count) {
        return;
    }
    if (number == db_here.number) {
        cancel_here(pid, u32_at(key.ptr));
        return;
    }
    auto_buf sp_buf message = sp_buf_make(MESSAGE_BYTES);
    sp_buf_u32(&message, pid);
    sp_buf_span(&message, key);
    /* a worker that does not keep up loses cancels, as a server under a flood of them does */
    (void)send(db_here.mesh[number], message.ptr, message.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void db_cancel_on_mesh(sp_watch *watch, unsigned ready)
{
    uint8_t message[MESSAGE_BYTES];
    (void)ready;
    while (recv(watch->fd, message, sizeof(message), MSG_DONTWAIT) == MESSAGE_BYTES) {
        cancel_here(u32_at(message), u32_at(message + 4));
    }
}
