/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing SFTP: a stream that is cut differently must be told the same way, and come out whole.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/proto/sftp.h.
 */
#include "lib/proto/sftp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sp_err follow(sp_sftp_side side, sp_span stream, size_t step, sp_buf *told, sp_buf *again)
{
    sp_sftp sftp = sp_sftp_make(side);
    sp_err err = sp_ok();
    for (size_t at = 0; at < stream.len && !sp_failed(err); at += step) {
        sp_span input = sp_span_slice(stream, at, at + step);
        sp_sftp_event event = {.kind = SP_SFTP_PACKET};
        while (event.kind != SP_SFTP_WANTS_MORE) {
            err = sp_sftp_next(&sftp, &input, &event);
            if (sp_failed(err)) {
                break;
            }
            sp_span names = event.packet.names;
            sp_sftp_name name;
            while (event.packet.count > 0 && sp_sftp_name_next(&names, &name)) {
                sp_buf_span(told, name.name);
            }
            if (event.kind == SP_SFTP_PACKET) {
                sp_buf_text(told, sp_sftp_word(&event.packet));
                sp_buf_u32(told, sp_sftp_actions(&event.packet));
                sp_buf_span(told, event.packet.path);
                sp_buf_span(again, event.packet.raw);
            }
            sp_buf_span(again, event.piece);
        }
    }
    sp_sftp_done(&sftp);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ROOM = 1 << 22 };
    if (size < 2 || size > 1 << 16) {
        return 0;
    }
    sp_sftp_side side = (data[0] & 1) != 0 ? SP_SFTP_FROM_SERVER : SP_SFTP_FROM_CLIENT;
    sp_span stream = sp_span_of(data + 1, size - 1);
    auto_buf sp_buf told = sp_buf_make(ROOM);
    auto_buf sp_buf again = sp_buf_make(ROOM);
    auto_buf sp_buf told_cut = sp_buf_make(ROOM);
    auto_buf sp_buf again_cut = sp_buf_make(ROOM);
    (void)sp_sftp_runs(stream);
    sp_err err = follow(side, stream, stream.len, &told, &again);
    sp_err err_cut = follow(side, stream, 1 + (size_t)(data[0] >> 1), &told_cut, &again_cut);
    if (err.code != err_cut.code || !sp_span_eq(sp_buf_borrow(&told), sp_buf_borrow(&told_cut)) ||
        !sp_span_eq(sp_buf_borrow(&again), sp_buf_borrow(&again_cut)) ||
        !sp_span_starts(stream, sp_buf_borrow(&again))) {
        __builtin_trap();
    }
    return 0;
}
