/* SPDX-License-Identifier: Apache-2.0
 * Whom a connection rides on.
 * OWNS a list of where sessions are now, of this process. PROCESS gate workers. TRUST see rider.h.
 * SPEC infra/gate/rider.h.
 */
#include "infra/gate/rider.h"

#include "infra/gate/shared.h"
#include "infra/proc/clock.h"
#include "lib/proto/core_msg.h"

#include <stdlib.h>

typedef struct {
    uint64_t id;
    uint32_t slot;
} place;

/* Where sessions are in a table that was filled anew: made once for all who look for theirs. */
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

static void list_places(const sp_live *live)
{
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

static sp_err find_live(const sp_live *live, sp_rider *rider, sp_live_session *ret_live)
{
    sp_err err = sp_live_session_get(live, rider->slot, rider->id, ret_live);
    if (!sp_failed(err) || rider->table == live->head) {
        return err;
    }
    if (moved.of != live->head) {
        list_places(live);
    }
    const place wanted = {.id = rider->id};
    const place *found =
        moved.count == 0 ? NULL : bsearch(&wanted, moved.places, moved.count, sizeof(place), by_id);
    if (found == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    rider->slot = found->slot;
    return sp_live_session_get(live, rider->slot, rider->id, ret_live);
}

static sp_reason find_device(const sp_live *table, sp_rider *rider, const sp_live_session *live)
{
    sp_live_device device;
    uint32_t slot = SP_NONE;
    rider->who.owner = SP_OWNER_UNKNOWN;
    rider->who.posture = SP_POSTURE_UNKNOWN;
    if (!rider->has_fingerprint) {
        return SP_REASON_NONE;
    }
    if (sp_failed(sp_live_find_cert(table, &rider->fingerprint, &device, &slot))) {
        return SP_REASON_DEVICE_UNKNOWN;
    }
    rider->device_id = device.id;
    sp_copy(rider->device_name, device.name, sizeof(rider->device_name));
    if (sp_gate_device_trouble(device.state) != SP_REASON_NONE) {
        return sp_gate_device_trouble(device.state);
    }
    if ((device.person != 0 && device.person != live->person) ||
        (live->device != SP_NONE && live->device != slot)) {
        return SP_REASON_SESSION_DEVICE;
    }
    rider->who.owner = device.owner;
    rider->who.posture = device.posture;
    return SP_REASON_NONE;
}

bool sp_rider_find(const sp_office *office, sp_rider *rider, sp_reason *ret_reason)
{
    sp_live_session live;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    if (!office->has_live) {
        *ret_reason = SP_REASON_UNAVAILABLE;
        return false;
    }
    if (sp_failed(find_live(&office->live, rider, &live)) || live.state != SP_SESSION_LIVE ||
        live.expires_unix_s <= now_unix_s) {
        *ret_reason = SP_REASON_SESSION_ENDED;
        return false;
    }
    rider->table = office->live.head;
    rider->who.person = live.person;
    rider->who.strength = live.strength;
    rider->expires_unix_s = live.expires_unix_s;
    sp_copy(rider->who.roles, live.roles, sizeof(live.roles));
    sp_copy(rider->person_name, live.person_name, sizeof(live.person_name));
    uint64_t age_s = now_unix_s > live.auth_unix_s ? now_unix_s - live.auth_unix_s : 0;
    rider->who.auth_age_s = age_s > UINT32_MAX ? UINT32_MAX : (uint32_t)age_s;
    *ret_reason = find_device(&office->live, rider, &live);
    return *ret_reason == SP_REASON_NONE;
}

void sp_rider_seen(sp_office *office, sp_rider *rider, uint64_t active_us)
{
    const sp_core_seen_one one = {.session_slot = rider->slot, .session_id = rider->id};
    auto_buf sp_buf body = sp_buf_make(64);
    if (rider->id == 0 || active_us == 0) {
        return;
    }
    if (rider->next_seen_us == 0) {
        rider->next_seen_us = active_us + SP_RIDER_SEEN_FIRST_US;
    }
    if (active_us < rider->next_seen_us) {
        return;
    }
    sp_core_seen_write(&one, 1, &body);
    if (!sp_failed(sp_buf_error(&body)) &&
        sp_link_tell(&office->link, SP_CORE_SEEN, sp_buf_borrow(&body))) {
        rider->next_seen_us = active_us + SP_RIDER_SEEN_EVERY_US;
    }
}
