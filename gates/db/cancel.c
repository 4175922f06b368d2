/* SPDX-License-Identifier: Apache-2.0
 * Cancel requests: a client names a session by number and key, on a connection that any worker may
 * have got; the worker that has the session passes it on to the server.
 * OWNS nothing. PROCESS db gate workers. TRUST the request is anybody's: without the key nothing
 * happens, and nothing is answered. SPEC PostgreSQL 15 manual, 55.2.9.
 */
#include "gates/db/db.h"

enum { SLOT_BITS = 20 };

uint32_t db_cancel_pid(const db_session *session)
{
    return (db_here.number + 1) << SLOT_BITS | session->slot;
}

void db_cancel_here(uint32_t pid, uint32_t key)
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
        db_cancel_here(pid, u32_at(key.ptr));
    } else {
        db_mesh_cancel(number, pid, u32_at(key.ptr));
    }
}
