/* SPDX-License-Identifier: Apache-2.0
 * Reading times of the API.
 * OWNS nothing. PROCESS core. TRUST the text is hostile. SPEC RFC 3339, core/admin/when.h.
 */
#include "core/admin/when.h"

/* Days since 1970-01-01 of a date in the Gregorian calendar (Howard Hinnant's days_from_civil). */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day)
{
    uint64_t y = month <= 2 ? year - 1 : year;
    uint64_t era = y / 400;
    uint64_t of_era = y - era * 400;
    uint64_t shifted = month > 2 ? month - 3 : month + 9;
    uint64_t of_year = (153 * shifted + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool number_at(sp_span text, size_t from, size_t len, uint64_t least, uint64_t most,
                      uint64_t *ret_value)
{
    sp_span piece = sp_span_slice(text, from, from + len);
    return piece.len == len && !sp_failed(sp_span_to_u64(piece, most, ret_value)) &&
           *ret_value >= least;
}

bool sp_admin_time(sp_span text, uint64_t *ret_unix_s)
{
    static const char shape[] = "0000-00-00T00:00:00";
    uint64_t year = 0;
    uint64_t month = 0;
    uint64_t day = 0;
    uint64_t hour = 0;
    uint64_t minute = 0;
    uint64_t second = 0;
    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        if (shape[i] != '0' && (i >= text.len || text.ptr[i] != (uint8_t)shape[i])) {
            return false;
        }
    }
    sp_span rest = sp_span_slice(text, sizeof(shape) - 1, text.len);
    if (!number_at(text, 0, 4, 1970, 9999, &year) || !number_at(text, 5, 2, 1, 12, &month) ||
        !number_at(text, 8, 2, 1, 31, &day) || !number_at(text, 11, 2, 0, 23, &hour) ||
        !number_at(text, 14, 2, 0, 59, &minute) || !number_at(text, 17, 2, 0, 60, &second) ||
        !sp_span_ends(rest, SP_SPAN_LIT("Z")) ||
        (rest.len > 1 && (rest.ptr[0] != '.' || rest.len > 11))) {
        return false;
    }
    *ret_unix_s = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}
