/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing scp: a stream that is cut differently must be told the same way; names stay in place.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/proto/scp.h.
 */
#include "lib/proto/scp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sp_err follow(sp_scp_side side, sp_span stream, size_t step, sp_buf *told)
{
    static sp_scp scp;
    sp_err err = sp_ok();
    sp_scp_init(&scp, side);
    for (size_t at = 0; at < stream.len && !sp_failed(err); at += step) {
        sp_span input = sp_span_slice(stream, at, at + step);
        while (input.len > 0 && !sp_failed(err)) {
            sp_scp_event event;
            err = sp_scp_next(&scp, &input, &event);
            if (sp_failed(err) || event.kind == SP_SCP_WANTS_MORE) {
                continue;
            }
            if (event.kind != SP_SCP_PIECE) {
                sp_buf_u8(told, event.kind);
                sp_buf_bytes(told, event.name);
                sp_buf_u64(told, event.size);
            }
            sp_buf_span(told, event.raw);
            if (sp_span_index(event.name, '/') < event.name.len) {
                __builtin_trap();
            }
        }
    }
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 16) {
        return 0;
    }
    sp_scp_side side = (data[0] & 1) != 0 ? SP_SCP_SINK : SP_SCP_SOURCE;
    sp_span stream = sp_span_of(data + 1, size - 1);
    auto_buf sp_buf whole = sp_buf_make(1 << 22);
    auto_buf sp_buf cut = sp_buf_make(1 << 22);
    sp_err err = follow(side, stream, stream.len, &whole);
    sp_err err_cut = follow(side, stream, 1 + (size_t)(data[0] >> 1), &cut);
    if (err.code != err_cut.code || !sp_span_eq(sp_buf_borrow(&whole), sp_buf_borrow(&cut))) {
        __builtin_trap();
    }
    return 0;
}
