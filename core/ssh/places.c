/* SPDX-License-Identifier: Apache-2.0
 * Places: how many SSH connections a person has, over all workers of the gate, and how fast they
 * come. One is taken when he has proved who he is and given back when the gate says that the
 * connection is over, whether it ever led anywhere or not; so what waits at a menu or for a machine
 * counts as well. OWNS the list. PROCESS core. TRUST a gate may be taken over: it can keep its own
 * lines' places. SPEC docs/SSH.md 7.
 */
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"
#include "lib/base/rate.h"

typedef struct {
    uint64_t connection;
    const sp_peer *line;
    uint32_t person;
} place;

typedef struct {
    uint32_t person;
    sp_rate rate;
} pace;

struct sp_ssh_places {
    place *items;
    size_t count;
    size_t cap;
    pace *paces; /* of who has logged in lately */
    size_t pace_count;
    size_t pace_cap;
};

sp_err sp_ssh_places_new(sp_ssh_places **ret_places)
{
    return sp_alloc(1, sizeof(**ret_places), ret_places);
}

void sp_ssh_places_free(sp_ssh_places *places)
{
    if (places != NULL) {
        sp_free(places->items);
        sp_free(places->paces);
        sp_free(places);
    }
}

static sp_err add(sp_ssh_places *places, const place *one)
{
    if (places->count == places->cap) {
        size_t cap = places->cap == 0 ? 64 : places->cap * 2;
        if (cap > 2 * SP_SSH_CONNECTIONS_MAX) {
            return sp_fail(SP_ENOMEM);
        }
        TRY(sp_resize(&places->items, cap, sizeof(place)));
        places->cap = cap;
    }
    places->items[places->count++] = *one;
    return sp_ok();
}

/* Drops who has not come for a while; the one of this person, or NULL. */
static pace *find_pace(sp_ssh_places *places, uint32_t person, uint64_t now_us)
{
    pace *found = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < places->pace_count; i++) {
        pace one = places->paces[i];
        if (one.person == person || !sp_rate_is_calm(&one.rate, now_us)) {
            places->paces[kept] = one;
            found = one.person == person ? &places->paces[kept] : found;
            kept++;
        }
    }
    places->pace_count = kept;
    return found;
}

static sp_err keep_pace(sp_ssh_places *places, uint32_t person, uint32_t a_minute)
{
    uint64_t now_us = sp_now_steady_us();
    pace *one = find_pace(places, person, now_us);
    if (one == NULL) {
        if (places->pace_count == places->pace_cap) {
            size_t cap = places->pace_cap == 0 ? 64 : places->pace_cap * 2; /* so many people */
            TRY(sp_resize(&places->paces, cap, sizeof(pace)));
            places->pace_cap = cap;
        }
        one = &places->paces[places->pace_count++];
        *one = (pace){.person = person};
    }
    return sp_rate_take(&one->rate, a_minute, now_us) ? sp_ok() : sp_fail(SP_EAGAIN);
}

sp_err sp_ssh_place_take(sp_ssh *ssh, uint64_t connection, uint32_t person, const sp_peer *line)
{
    sp_ssh_places *places = ssh->places;
    uint32_t count = 0;
    for (size_t i = 0; i < places->count; i++) {
        if (places->items[i].connection == connection) {
            return sp_ok();
        }
        count += places->items[i].person == person ? 1 : 0;
    }
    if (count >= ssh->core->config->ssh_connections_each) {
        return sp_fail(SP_EEXISTS);
    }
    TRY(keep_pace(places, person, ssh->core->config->ssh_log_ins_each));
    return add(places, &(place){connection, line, person});
}

void sp_ssh_place_hold(sp_ssh *ssh, const sp_ssh_connection *c)
{
    for (size_t i = 0; i < ssh->places->count; i++) {
        if (ssh->places->items[i].connection == c->id) {
            return;
        }
    }
    SP_IGNORE(add(ssh->places, &(place){c->id, c->peer, c->person})); /* it is open already */
}

void sp_ssh_place_leave(sp_ssh *ssh, uint64_t connection, const sp_peer *line)
{
    sp_ssh_places *places = ssh->places;
    for (size_t i = 0; i < places->count; i++) {
        if (places->items[i].connection == connection && places->items[i].line == line) {
            places->items[i] = places->items[--places->count];
            return;
        }
    }
}

void sp_ssh_places_gone(sp_ssh *ssh, const sp_peer *line)
{
    sp_ssh_places *places = ssh->places;
    for (size_t i = places->count; i-- > 0;) {
        if (places->items[i].line == line) {
            places->items[i] = places->items[--places->count];
        }
    }
}
