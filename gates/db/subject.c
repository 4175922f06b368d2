/* SPDX-License-Identifier: Apache-2.0
 * Who a session is, now: the live session it rides on, and the device whose certificate was shown.
 * OWNS nothing. PROCESS db gate workers. TRUST the live table is core's word; the certificate was
 * proved in TLS. SPEC lib/proto/live.h.
 */
#include "gates/db/db.h"
#include "infra/proc/clock.h"

#include <stdlib.h>

/* ---- after a restart of core: the same sessions, in other slots ---- */

typedef struct {
    uint64_t id;
    uint32_t slot;
} place;

static struct {
    const void *of; /* the mapping it was made of */
    place *places;  /* by id */
    size_t count;
} moved;

static int by_id(const void *a, const void *b)
{
    uint64_t left = ((const place *)a)->id;
    uint64_t right = ((const place *)b)->id;
    return left < right ? -1 : left > right ? 1 : 0;
}

static void list_places(void)
{
    const sp_live *live = &db_here.office.live;
    sp_free(moved.places);
    moved.places = NULL;
    moved.count = 0;
    moved.of = live->head;
    if (sp_failed(sp_alloc(live->caps.sessions, sizeof(place), &moved.places))) {
        return; /* nobody is found: connections end */
    }
    for (uint32_t slot = 0; slot < live->caps.sessions; slot++) {
        uint64_t id = sp_live_session_id(live, slot);
        if (id != 0) {
            moved.places[moved.count++] = (place){.id = id, .slot = slot};
        }
    }
    qsort(moved.places, moved.count, sizeof(place), by_id);
}

static sp_err find_live(db_session *session, sp_live_session *ret_live)
{
    const sp_live *live = &db_here.office.live;
    sp_err err = sp_live_session_get(live, session->live_slot, session->live_id, ret_live);
    if (!sp_failed(err) || session->table == live->head) {
        return err;
    }
    if (moved.of != live->head) {
        list_places();
    }
    const place wanted = {.id = session->live_id};
    const place *found =
        moved.count == 0 ? NULL : bsearch(&wanted, moved.places, moved.count, sizeof(place), by_id);
    if (found == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    session->live_slot = found->slot;
    return sp_live_session_get(live, session->live_slot, session->live_id, ret_live);
}

/* ---- who it is ---- */

static sp_reason device_trouble(uint8_t state)
{
    switch ((sp_device_state)state) {
    case SP_DEVICE_ACTIVE:
        return SP_REASON_NONE;
    case SP_DEVICE_PENDING:
        return SP_REASON_DEVICE_PENDING;
    case SP_DEVICE_QUARANTINED:
        return SP_REASON_DEVICE_QUARANTINE;
    case SP_DEVICE_REVOKED:
        return SP_REASON_DEVICE_REVOKED;
    case SP_DEVICE_FREE:
    case SP_DEVICE_COUNT:
        break;
    }
    return SP_REASON_DEVICE_UNKNOWN;
}

/* A certificate that was shown must be that of an active device of this person, whatever the policy
 * would let an unknown one do. */
static sp_reason find_device(db_session *session, const sp_live_session *live)
{
    sp_live_device device;
    uint32_t slot = SP_NONE;
    session->who.owner = SP_OWNER_UNKNOWN;
    session->who.posture = SP_POSTURE_UNKNOWN;
    if (!session->has_certificate) {
        return SP_REASON_NONE;
    }
    if (sp_failed(sp_live_find_cert(&db_here.office.live, &session->fingerprint, &device, &slot))) {
        return SP_REASON_DEVICE_UNKNOWN;
    }
    session->device_id = device.id;
    sp_copy(session->device_name, device.name, sizeof(session->device_name));
    if (device_trouble(device.state) != SP_REASON_NONE) {
        return device_trouble(device.state);
    }
    if ((device.person != 0 && device.person != live->person) ||
        (live->device != SP_NONE && live->device != slot)) {
        return SP_REASON_SESSION_DEVICE;
    }
    session->who.owner = device.owner;
    session->who.posture = device.posture;
    return SP_REASON_NONE;
}

bool db_subject_find(db_session *session, sp_reason *ret_reason)
{
    sp_live_session live;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    if (!db_here.office.has_live) {
        *ret_reason = SP_REASON_UNAVAILABLE;
        return false;
    }
    if (sp_failed(find_live(session, &live)) || live.state != SP_SESSION_LIVE ||
        live.expires_unix_s <= now_unix_s) {
        *ret_reason = SP_REASON_SESSION_ENDED;
        return false;
    }
    session->table = db_here.office.live.head;
    session->who.person = live.person;
    session->who.strength = live.strength;
    sp_copy(session->who.roles, live.roles, sizeof(live.roles));
    sp_copy(session->person_name, live.person_name, sizeof(live.person_name));
    uint64_t age_s = now_unix_s > live.auth_unix_s ? now_unix_s - live.auth_unix_s : 0;
    session->who.auth_age_s = age_s > UINT32_MAX ? UINT32_MAX : (uint32_t)age_s;
    *ret_reason = find_device(session, &live);
    return *ret_reason == SP_REASON_NONE;
}
