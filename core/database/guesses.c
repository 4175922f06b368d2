/* SPDX-License-Identifier: Apache-2.0
 * Changes of which nobody knows beforehand how many rows they meet: of a person one is under way at
 * a time, whatever sessions he has. So one may go beyond a budget of rows, and the next is asked
 * about when that has been counted.
 * OWNS the list. PROCESS core. TRUST a gate may be taken over: it can hold up such changes of
 * living people, until it is gone. SPEC core/database/inside.h, lib/proto/db_msg.h "SPEND".
 */
#include "core/database/inside.h"

enum { GUESSES_MAX = SP_DB_CONNECTIONS_MAX };

struct sp_db_guess {
    struct sp_db_guess *next;
    const sp_peer *peer; /* compared only */
    uint64_t reference;
    uint32_t person;
};

bool sp_db_guess_is_other(const sp_databases *databases, const sp_peer *peer, uint32_t person,
                          uint64_t reference)
{
    for (const sp_db_guess *g = databases->guesses; g != NULL; g = g->next) {
        if (g->person == person && (g->peer != peer || g->reference != reference)) {
            return true;
        }
    }
    return false;
}

sp_err sp_db_guess_begin(sp_databases *databases, const sp_peer *peer, uint32_t person,
                         uint64_t reference)
{
    size_t count = 0;
    for (const sp_db_guess *g = databases->guesses; g != NULL; g = g->next) {
        if (g->peer == peer && g->reference == reference) {
            return sp_ok();
        }
        count++;
    }
    sp_db_guess *made = NULL;
    if (count >= GUESSES_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*made), &made));
    *made = (sp_db_guess){databases->guesses, peer, reference, person};
    databases->guesses = made;
    return sp_ok();
}

bool sp_db_guess_end(sp_databases *databases, const sp_peer *peer, uint64_t reference)
{
    bool any = false;
    sp_db_guess **at = &databases->guesses;
    while (*at != NULL) {
        sp_db_guess *g = *at;
        if (g->peer != peer || (reference != 0 && g->reference != reference)) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        sp_free(g);
        any = true;
    }
    return any;
}

void sp_db_guesses_free(sp_databases *databases)
{
    while (databases->guesses != NULL) {
        sp_db_guess *g = databases->guesses;
        databases->guesses = g->next;
        sp_free(g);
    }
}
