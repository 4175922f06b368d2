/* SPDX-License-Identifier: Apache-2.0
 * Sessions that were made for one SSH connection: they end with it.
 * OWNS the list. PROCESS core. TRUST a gate may be taken over: it can keep a session that it has
 * opened for somebody who signed in alive as long as its line. SPEC core/ssh/inside.h.
 */
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"

enum { RIDES_MAX = 16384, WAIT_US = 150 * 1000000 };

/* Core was away: by which key it began is not known. */
#define KEY_UNKNOWN UINT64_MAX

typedef struct {
    uint64_t session; /* 0 = free */
    uint64_t key;     /* registered, by which it was opened; 0 = by none */
    uint32_t person;
    const sp_peer *line;
    uint64_t until_us; /* while no connection is open */
    uint32_t open;
} ride;

struct sp_ssh_rides {
    ride items[RIDES_MAX];
    size_t used; /* places that may be taken */
};

sp_err sp_ssh_rides_new(sp_ssh_rides **ret_rides)
{
    return sp_alloc(1, sizeof(**ret_rides), ret_rides);
}

void sp_ssh_rides_free(sp_ssh_rides *rides)
{
    sp_free(rides);
}

static ride *find(sp_ssh_rides *rides, uint64_t session)
{
    for (size_t i = 0; i < rides->used; i++) {
        if (rides->items[i].session == session) {
            return &rides->items[i];
        }
    }
    return NULL;
}

static void drop(sp_ssh_rides *rides, ride *r)
{
    *r = (ride){0};
    while (rides->used > 0 && rides->items[rides->used - 1].session == 0) {
        rides->used--;
    }
}

static void end(sp_ssh *ssh, ride *r)
{
    uint64_t session = r->session;
    drop(ssh->rides, r);
    SP_IGNORE(sp_sessions_end(ssh->core, session, SP_END_SIGN_OUT, 0)); /* or it ended before */
}

sp_err sp_ssh_ride_add(sp_ssh *ssh, uint64_t session, uint32_t person, uint64_t key,
                       const sp_peer *line)
{
    sp_ssh_rides *rides = ssh->rides;
    ride *at = find(rides, 0);
    if (at == NULL && rides->used < RIDES_MAX) {
        at = &rides->items[rides->used++];
    }
    if (at == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    *at = (ride){session, key, person, line, sp_now_steady_us() + WAIT_US, 0};
    return sp_ok();
}

void sp_ssh_rides_of_key_end(sp_ssh *ssh, uint32_t person, uint64_t key)
{
    for (size_t i = ssh->rides->used; i > 0; i--) {
        ride *r = &ssh->rides->items[i - 1];
        if (r->session != 0 && r->person == person && (r->key == key || r->key == KEY_UNKNOWN)) {
            uint64_t session = r->session;
            drop(ssh->rides, r);
            SP_IGNORE(sp_sessions_end(ssh->core, session, SP_END_PERSON, 0)); /* or it ended */
        }
    }
}

void sp_ssh_ride_opened(sp_ssh *ssh, uint64_t session, const sp_peer *line)
{
    sp_session_view view;
    ride *r = find(ssh->rides, session);
    /* core has been away, and the gate tells of a connection from before */
    if (r == NULL && sp_sessions_find(ssh->core, session, &view) && view.kind == SP_SESSION_SSH &&
        !sp_failed(sp_ssh_ride_add(ssh, session, view.person, KEY_UNKNOWN, line))) {
        r = find(ssh->rides, session);
    }
    if (r != NULL) {
        r->open++;
    }
}

void sp_ssh_ride_closed(sp_ssh *ssh, uint64_t session)
{
    ride *r = find(ssh->rides, session);
    if (r != NULL && r->open > 0 && --r->open == 0) {
        end(ssh, r);
    }
}

void sp_ssh_rides_gone(sp_ssh *ssh, const sp_peer *line)
{
    for (size_t i = ssh->rides->used; i > 0; i--) {
        ride *r = &ssh->rides->items[i - 1];
        if (r->session != 0 && r->line == line) {
            end(ssh, r);
        }
    }
}

void sp_ssh_rides_expire(sp_ssh *ssh, uint64_t now_us)
{
    for (size_t i = ssh->rides->used; i > 0; i--) {
        ride *r = &ssh->rides->items[i - 1];
        if (r->session != 0 && r->open == 0 && r->until_us <= now_us) {
            end(ssh, r);
        }
    }
}
