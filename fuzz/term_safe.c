/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing what is shown on somebody else's terminal: it is UTF-8, no longer than what came in,
 * passes itself unchanged, and no string sequence or question is in it; the first byte says where
 * the input is cut.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/term/safe.h.
 */
#include "lib/term/safe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_BYTES = 1 << 20 };

static void must(bool good)
{
    if (!good) {
        __builtin_trap();
    }
}

/* What follows an escape is '[' with a known final byte, a character set, or a known letter. */
static void look(sp_span out)
{
    for (size_t i = 0; i < out.len; i++) {
        uint8_t c = out.ptr[i];
        must(c >= 0x20 || c == '\n' || c == '\t' || c == '\r' || c == '\b' || c == 0x1b);
        if (c == 0x1b) {
            uint8_t next = i + 1 < out.len ? out.ptr[i + 1] : 0;
            must(next == '[' || next == '(' || next == ')' || next == '7' || next == '8' ||
                 next == 'D' || next == 'E' || next == 'M');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > OUT_BYTES / 4) {
        return 0;
    }
    sp_span in = sp_span_of(data + 1, size - 1);
    size_t cut = data[0];
    sp_term_safe safe = {0};
    auto_buf sp_buf out = sp_buf_make(OUT_BYTES);
    sp_term_safe_feed(&safe, sp_span_slice(in, 0, cut), &out);
    sp_term_safe_feed(&safe, sp_span_slice(in, cut, in.len), &out);
    sp_span shown = sp_buf_borrow(&out);
    must(shown.len <= in.len && sp_span_is_utf8(shown));
    look(shown);
    sp_term_safe again = {0};
    auto_buf sp_buf twice = sp_buf_make(OUT_BYTES);
    sp_term_safe_feed(&again, shown, &twice);
    must(sp_span_eq(shown, sp_buf_borrow(&twice)));
    sp_term_safe plain = {0};
    auto_buf sp_buf text = sp_buf_make(OUT_BYTES);
    sp_term_plain_feed(&plain, in, &text);
    sp_span words = sp_buf_borrow(&text);
    must(words.len <= in.len && sp_span_is_utf8(words) && sp_span_index(words, 0x1b) == words.len);
    return 0;
}
