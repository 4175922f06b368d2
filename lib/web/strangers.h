/* SPDX-License-Identifier: Apache-2.0
 * Refusals of visitors whom nobody knows: a flood of them must not fill the ledger.
 *
 * Story: the first refusals of an address in a minute are events of their own. Those that follow
 * are counted, carry the reference of the last one that was written (so that the number on a page
 * is found in the ledger), and become one event with that count when the minute is over. So do the
 * refusals of all addresses together above a number a second, under no address. Whatever comes,
 * a worker writes a bounded number of such events a minute, and nothing goes uncounted.
 *
 * OWNS the caller's table. PROCESS nginx workers. TRUST addresses are hostile: hashed with a secret
 * seed. SPEC docs/ARCHITECTURE.md "Events".
 */
#ifndef SP_WEB_STRANGERS_H
#define SP_WEB_STRANGERS_H

#include "lib/base/buf.h"

enum {
    SP_STRANGERS_SETS = 64,
    SP_STRANGERS_WAYS = 8,
    SP_STRANGERS_ALONE = 20, /* events of an address in a minute that are written one by one */
    SP_STRANGERS_ALONE_ALL = 1200, /* of all addresses in a minute */
    SP_STRANGERS_MINUTE_US = 60 * 1000000
};

/* One address (an IPv6 network of 64 bits counts as one), or all others. */
typedef struct {
    uint8_t peer[16];
    uint64_t since_us; /* 0 = free */
    uint64_t reference;
    uint32_t alone;
    uint32_t counted; /* not yet written */
    uint8_t reason;   /* sp_reason of the last one */
} sp_stranger;

typedef struct {
    uint64_t seed;
    uint64_t since_us;
    uint32_t alone;
    sp_stranger others;
    sp_stranger table[SP_STRANGERS_SETS][SP_STRANGERS_WAYS];
} sp_strangers;

/* Called with what has been counted when its minute is over or its place is needed; count > 0. */
typedef void (*sp_strangers_write)(void *self, const sp_stranger *counted);

typedef struct {
    sp_strangers_write write;
    void *self;
} sp_strangers_calls;

/* One refusal. True: it is to be written by itself, under its own reference. False: it has been
 * counted, and *reference is now that of an event that stands in the ledger. */
bool sp_strangers_take(sp_strangers *strangers, const uint8_t peer[16], uint8_t reason,
                       uint64_t now_us, uint64_t *reference, const sp_strangers_calls *calls);
/* Writes what is over; all of it when now_us is UINT64_MAX (the worker stops). */
void sp_strangers_sweep(sp_strangers *strangers, uint64_t now_us, const sp_strangers_calls *calls);

#endif
