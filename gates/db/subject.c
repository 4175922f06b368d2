/* SPDX-License-Identifier: Apache-2.0
 * Who a session is, now: the live session it rides on, and the device whose certificate was shown.
 * OWNS nothing. PROCESS db gate workers. TRUST the live table is core's word; the certificate was
 * proved in TLS. SPEC infra/gate/rider.h.
 */
#include "gates/db/db.h"
#include "infra/gate/rider.h"

bool db_subject_find(db_session *session, sp_reason *ret_reason)
{
    sp_rider rider = {.slot = session->live_slot,
                      .id = session->live_id,
                      .has_fingerprint = session->has_certificate,
                      .fingerprint = session->fingerprint,
                      .table = session->table,
                      .who = session->who,
                      .device_id = session->device_id};
    sp_copy(rider.person_name, session->person_name, sizeof(rider.person_name));
    sp_copy(rider.device_name, session->device_name, sizeof(rider.device_name));
    bool found = sp_rider_find(&db_here.office, &rider, ret_reason);
    session->live_slot = rider.slot;
    session->table = rider.table;
    session->who = rider.who;
    session->found_us = sp_loop_now_us(db_here.loop);
    session->auth_age_found_s = rider.who.auth_age_s;
    session->device_id = rider.device_id;
    sp_copy(session->person_name, rider.person_name, sizeof(rider.person_name));
    sp_copy(session->device_name, rider.device_name, sizeof(rider.device_name));
    return found;
}

static void tell_seen(db_session *session)
{
    sp_rider rider = {
        .slot = session->live_slot, .id = session->live_id, .next_seen_us = session->next_seen_us};
    sp_rider_seen(&db_here.office, &rider, session->active_us);
    session->next_seen_us = rider.next_seen_us;
}

void db_subject_active(db_session *session, uint64_t now_us)
{
    uint64_t age_s = session->auth_age_found_s + (now_us - session->found_us) / 1000000;
    session->who.auth_age_s = age_s > UINT32_MAX ? UINT32_MAX : (uint32_t)age_s;
    session->active_us = now_us;
    if (now_us >= session->next_seen_us) {
        tell_seen(session);
    }
}
