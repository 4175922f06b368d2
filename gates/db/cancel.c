/* SPDX-License-Identifier: Apache-2.0
 * Cancel requests: a client names a session by number and key, on a connection that any worker may
 * have got; the worker that has the session passes it on to the server.
 * Keys have 32 bits before protocol 3.2 (then 256), so wrong ones are counted: after some of an
 * address (an IPv6 network of 64 bits counts as one) within a minute none of it is looked at until
 * the minute is over. Counters stand in a fixed table by a secret hash; addresses that meet there
 * share one. OWNS the counters. PROCESS db gate workers. TRUST the request is anybody's: without
 * the key nothing happens, and nothing is answered. SPEC PostgreSQL 15 manual, 55.2.9.
 */
#include "gates/db/db.h"
#include "infra/crypto/random.h"
#include "infra/proc/log.h"

enum { SLOT_BITS = 20, COUNTERS = 1024, WRONG_MAX = 20, MINUTE_US = 60 * 1000000 };

static struct {
    uint64_t seed;
    uint64_t since_us;
    uint8_t wrong[COUNTERS];
} tries;

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

static uint8_t *tries_of(const uint8_t peer[16])
{
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    if (tries.seed == 0 || now_us - tries.since_us > MINUTE_US) {
        sp_set(tries.wrong, 0, sizeof(tries.wrong));
        tries.seed = sp_random_u64() | 1;
        tries.since_us = now_us;
    }
    bool is_v4 = sp_span_starts((sp_span){peer, 16}, (sp_span){mapped, sizeof(mapped)});
    return &tries.wrong[sp_span_hash((sp_span){peer, is_v4 ? 16 : 8}, tries.seed) % COUNTERS];
}

uint32_t db_cancel_pid(const db_session *session)
{
    return (db_here.number + 1) << SLOT_BITS | session->slot;
}

void db_cancel_session(db_session *session)
{
    if (session->waits) {
        db_judge_cancelled(session);
    }
    if (session->flights.count > 0) {
        db_back_cancel(session->back);
    }
}

void db_cancel_here(uint32_t pid, sp_span key, const uint8_t peer[16])
{
    uint32_t slot = pid & ((1U << SLOT_BITS) - 1);
    db_session *session = slot < db_here.session_cap ? db_here.sessions[slot] : NULL;
    uint8_t *wrong = tries_of(peer);
    if (*wrong == WRONG_MAX) {
        db_cancel_refused(peer);
        return;
    }
    if (session == NULL || session->at != DB_AT_OPEN ||
        !sp_span_eq_secret((sp_span){session->key, session->key_len}, key)) {
        db_cancel_refused(peer);
        *wrong += 1;
        if (*wrong == WRONG_MAX) {
            sp_log(SP_LOG_WARN,
                   "%d cancel requests of one address had wrong keys: no more of it are "
                   "looked at for a minute",
                   WRONG_MAX);
        }
        return;
    }
    db_cancel_session(session);
}

void db_cancel_request(uint32_t pid, sp_span key, const uint8_t peer[16])
{
    uint32_t number = (pid >> SLOT_BITS) - 1;
    if (number < db_here.count && number != db_here.number && key.len <= DB_KEY_MAX_BYTES) {
        db_mesh_cancel(number, pid, key, peer);
    } else {
        db_cancel_here(number == db_here.number ? pid : UINT32_MAX, key, peer);
    }
}
