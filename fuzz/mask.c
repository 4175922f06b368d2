/* SPDX-License-Identifier: Apache-2.0
 * Values of any bytes, masked: what is not a text of its kind shows none of itself, and a text
 * stays a text. OWNS nothing. PROCESS fuzzing. TRUST none. SPEC lib/mask/mask.h.
 */
#include "lib/mask/mask.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[SP_MASK_KEY_BYTES] = {7};
    if (size == 0) {
        return 0;
    }
    const sp_span value = {data + 1, size - 1};
    sp_buf out = sp_buf_make(size + 256);
    bool is_null = false;
    sp_mask_value((sp_mask)(data[0] % SP_MASK_COUNT), 25, key, value, &out, &is_null);
    sp_span masked = sp_buf_borrow(&out);
    if (!sp_span_is_utf8(masked) || (is_null && masked.len > 0) ||
        (value.len > 1 && sp_span_eq(masked, value) &&
         sp_span_find(value, SP_SPAN_LIT("*")) == value.len)) {
        abort();
    }
    sp_buf_done(&out);
    return 0;
}
