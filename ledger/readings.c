/* SPDX-License-Identifier: Apache-2.0
 * Who is reading what.
 * OWNS nothing. PROCESS ledger. TRUST see ledger/readings.h. SPEC ledger/readings.h.
 */
#include "ledger/readings.h"

#include "lib/base/mem.h"

/* False: it cannot be told apart, so it is a reading of its own. */
static bool hash_of(const sp_ledger_search *search, sp_hash *ret_hash)
{
    auto_buf sp_buf body = sp_buf_make(4096);
    sp_ledger_search what = *search;
    what.goes_on = false;
    what.before_entry = 0;
    what.before_at = 0;
    what.limit = 0;
    sp_ledger_search_write(&what, &body);
    if (sp_failed(sp_buf_error(&body))) {
        return false;
    }
    *ret_hash = sp_sha256(sp_buf_borrow(&body));
    return true;
}

bool sp_readings_goes_on(sp_readings *readings, const sp_ledger_search *search, uint64_t now_us)
{
    sp_hash hash;
    if (search->before_entry == UINT64_MAX || !hash_of(search, &hash)) {
        return false;
    }
    for (size_t i = 0; i < SP_READINGS_MAX; i++) {
        sp_reading *r = &readings->readings[i];
        if (r->until_us > now_us && sp_hash_eq(&r->search, &hash) &&
            r->next_entry == search->before_entry && r->next_at == search->before_at) {
            r->until_us = 0;
            return true;
        }
    }
    return false;
}

void sp_readings_handed_out(sp_readings *readings, const sp_ledger_search *search,
                            const sp_ledger_found *found, uint64_t now_us)
{
    sp_hash hash;
    sp_reading *place = &readings->readings[0];
    if (!hash_of(search, &hash)) {
        return;
    }
    for (size_t i = 1; i < SP_READINGS_MAX; i++) {
        sp_reading *r = &readings->readings[i];
        place = r->until_us < place->until_us ? r : place;
    }
    *place =
        (sp_reading){hash, found->before_entry, now_us + SP_READING_LASTS_US, found->before_at};
}
