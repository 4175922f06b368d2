/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing recordings: what is written must read back byte for byte however it is cut; what is read
 * may be anything; the filter lets nothing through that is no text, colour or movement.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/record/{cast,chunk,safe}.h.
 */
#include "lib/record/chunk.h"
#include "lib/record/echo.h"
#include "lib/record/hidden.h"
#include "lib/record/safe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 4 << 20, FUZZ_MAX_BYTES = 30000 };

static sp_err take(void *ctx, const sp_chunk *chunk, sp_span detail)
{
    sp_chunk read;
    if (sp_failed(sp_chunk_read(detail, &read)) || read.number != chunk->number ||
        sp_failed(sp_chunk_text(&read, ctx))) {
        __builtin_trap();
    }
    return sp_ok();
}

static void write_and_read(sp_span bytes, size_t step)
{
    static sp_packer *packer;
    if (packer == NULL && sp_failed(sp_packer_new(&packer))) {
        return;
    }
    sp_cast cast = sp_cast_make();
    sp_cast_lines lines;
    bool any = false;
    uint32_t count = 0;
    auto_buf sp_buf text = sp_buf_make(ROOM);
    auto_buf sp_buf back = sp_buf_make(ROOM);
    auto_buf sp_buf room = sp_buf_make(ROOM);
    SP_IGNORE(sp_cast_begin(&cast, &(sp_cast_header){.width = 80, .height = 24}, 0)); /* below */
    for (size_t at = 0; at < bytes.len; at += step) {
        SP_IGNORE(sp_cast_output(&cast, sp_span_slice(bytes, at, at + step), at)); /* below */
        if (at % 3 == 0) {
            if (sp_failed(sp_cast_cut(&cast, false, &lines, &any)) ||
                (any && sp_failed(sp_packer_pack(packer, &lines, take, &text, &count)))) {
                __builtin_trap();
            }
            sp_cast_numbered(&cast, any ? count : 1);
        }
    }
    if (sp_failed(sp_cast_cut(&cast, true, &lines, &any)) || !any ||
        sp_failed(sp_packer_pack(packer, &lines, take, &text, &count))) {
        __builtin_trap();
    }
    sp_span rest = sp_buf_borrow(&text);
    sp_span line;
    for (size_t i = 0; sp_span_split(&rest, '\n', &line); i++) {
        sp_cast_event event;
        if (i > 0 && sp_failed(sp_cast_read_event(line, &room, &event))) {
            __builtin_trap();
        }
        if (i > 0) {
            sp_buf_span(&back, event.data);
        }
    }
    if (!sp_span_eq(sp_buf_borrow(&back), bytes)) {
        __builtin_trap();
    }
    sp_cast_done(&cast);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span bytes = sp_span_of(data, size);
    auto_buf sp_buf out = sp_buf_make(ROOM);
    sp_cast_event event;
    sp_cast_told told;
    sp_chunk chunk;
    sp_safe safe = {0};
    sp_echo echo = {0};
    if (size == 0 || size > FUZZ_MAX_BYTES) {
        return 0;
    }
    write_and_read(bytes, 1 + data[0] % 97);
    SP_IGNORE(sp_cast_read_event(bytes, &out, &event)); /* hostile */
    SP_IGNORE(sp_cast_read_header(bytes, &told));       /* hostile */
    if (!sp_failed(sp_chunk_read(bytes, &chunk))) {
        sp_buf_reset(&out);
        SP_IGNORE(sp_chunk_text(&chunk, &out)); /* hostile */
    }
    sp_buf_reset(&out);
    sp_safe_output(&safe, bytes, &out);
    sp_span shown = sp_buf_borrow(&out);
    if (!sp_span_is_utf8(shown) || sp_span_find(shown, SP_SPAN_LIT("\x1b]")) < shown.len ||
        sp_span_find(shown, SP_SPAN_LIT("\x1bP")) < shown.len ||
        sp_span_find(shown, SP_SPAN_LIT("\x1b"
                                        "c")) < shown.len) {
        __builtin_trap();
    }
    auto_buf sp_buf typed = sp_buf_make(ROOM);
    sp_echo_typed(&echo, sp_span_slice(bytes, 0, size / 2), &typed);
    sp_echo_printed(&echo, sp_span_slice(bytes, size / 2, size), &typed);
    sp_echo_end(&echo, &typed);
    if (echo.len != 0) {
        __builtin_trap();
    }
    sp_hidden hidden = {0};
    uint32_t count = 0;
    for (size_t at = 0; at < size; at += 1 + data[0] % 7) {
        sp_span part = sp_span_slice(bytes, at, at + 1 + data[0] % 7);
        count += data[at] % 2 == 0 ? sp_hidden_typed(&hidden, part, at * 100000)
                                   : sp_hidden_printed(&hidden, part, at * 100000);
    }
    count += sp_hidden_end(&hidden);
    if (count > size || hidden.line_count != 0) {
        __builtin_trap();
    }
    return 0;
}
