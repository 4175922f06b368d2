/* SPDX-License-Identifier: Apache-2.0
 * Who is reading what, and how far he has come: a page that goes on exactly where the one before
 * ended belongs to the same reading, and is not written down again.
 * OWNS nothing. PROCESS ledger. TRUST positions come from browsers: only one that was handed out
 * last, to this reader, for this very search, goes on. SPEC ledger/README.md.
 */
#ifndef SP_LEDGER_READINGS_H
#define SP_LEDGER_READINGS_H

#include "lib/proto/ledger_msg.h"

#define SP_READING_LASTS_US UINT64_C(600000000)
enum { SP_READINGS_MAX = 64 };

typedef struct {
    sp_hash search; /* who, what for and which filter, without the position */
    uint64_t next_entry;
    uint64_t until_us; /* steady; 0 = free */
    uint16_t next_at;
} sp_reading;

typedef struct {
    sp_reading readings[SP_READINGS_MAX];
} sp_readings;

/* Whether this page is the next of a reading that is under way. It is used up by that. */
bool sp_readings_goes_on(sp_readings *readings, const sp_ledger_search *search, uint64_t now_us);
/* A page was answered, and more may follow: the longest silent reading gives its place. */
void sp_readings_handed_out(sp_readings *readings, const sp_ledger_search *search,
                            const sp_ledger_found *found, uint64_t now_us);

#endif
