/* SPDX-License-Identifier: Apache-2.0
 * COPY's formats with bytes that may be anything: however they are cut the result is the same, what
 * comes out can be read again, and a second mask changes nothing.
 * OWNS nothing. PROCESS fuzzing. TRUST none. SPEC lib/mask/copy.h.
 */
#include "lib/mask/copy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[SP_MASK_KEY_BYTES] = {7};

/* False: refused. */
static bool run(const sp_copy_plan *plan, sp_span in, size_t piece, sp_buf *out)
{
    sp_copy_mask *mask = NULL;
    sp_err err = sp_copy_mask_new(plan, key, &mask);
    for (size_t at = 0; at < in.len && !sp_failed(err); at += piece) {
        err = sp_copy_mask_data(mask, sp_span_slice(in, at, at + piece), out);
    }
    if (!sp_failed(err)) {
        err = sp_copy_mask_end(mask);
    }
    sp_copy_mask_free(mask);
    return !sp_failed(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sp_copy_plan plan;
    if (size < 4) {
        return 0;
    }
    plan = (sp_copy_plan){.format = data[0] % SP_COPY_FORMAT_COUNT,
                          .has_header = (data[0] & 0x10) != 0,
                          .quotes_text = (data[0] & 0x20) != 0,
                          .quote = '"',
                          .escape = (data[0] & 0x40) != 0 ? '\\' : '"'};
    plan.delimiter = (data[0] & 0x80) != 0 ? '|' : plan.format == SP_COPY_CSV ? ',' : '\t';
    if (plan.format == SP_COPY_TEXT) {
        plan.null[plan.null_len++] = '\\';
        plan.null[plan.null_len++] = 'N';
    } else if ((data[1] & 0x80) != 0) {
        plan.null[plan.null_len++] = '*';
    }
    plan.column_count = data[1] % 5;
    for (uint16_t i = 0; i < plan.column_count; i++) {
        uint8_t mask = (data[2] >> i & 1) == 0 ? 0
                       : data[3] % 2 == 0      ? SP_MASK_FULL + 1
                                               : SP_MASK_NULL + 1;
        plan.columns[i] = (sp_copy_column){25, mask};
    }
    const sp_span in = {data + 4, size - 4};
    sp_buf whole = sp_buf_make(size * 4 + 1024);
    sp_buf cut = sp_buf_make(size * 4 + 1024);
    sp_buf again = sp_buf_make(size * 16 + 4096);
    bool is_fine = run(&plan, in, in.len + 1, &whole);
    if (is_fine != run(&plan, in, 1 + data[3] % 7, &cut) ||
        (is_fine && !sp_span_eq(sp_buf_borrow(&whole), sp_buf_borrow(&cut)))) {
        abort();
    }
    if (is_fine && (!run(&plan, sp_buf_borrow(&whole), 3, &again) ||
                    !sp_span_eq(sp_buf_borrow(&whole), sp_buf_borrow(&again)))) {
        abort();
    }
    sp_buf_done(&whole);
    sp_buf_done(&cut);
    sp_buf_done(&again);
    return 0;
}
