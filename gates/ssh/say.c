/* SPDX-License-Identifier: Apache-2.0
 * What the client is told.
 * OWNS nothing. PROCESS ssh gate workers. TRUST texts may quote clients and targets: control
 * characters never reach a terminal. SPEC gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"

#include <stdarg.h>
#include <stdio.h>

void sg_refusal_make(sg_refusal *refusal, sp_reason reason, const char *format, ...)
{
    *refusal = (sg_refusal){.reason = reason, .reference = sp_recorder_reference()};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
    va_end(arguments);
}

/* U+2028 to U+202E, U+2066 to U+2069: lines, and directions that show words in another order than
 * they are in. */
static bool is_turning(sp_span one)
{
    return one.len == 3 && one.ptr[0] == 0xE2 &&
           ((one.ptr[1] == 0x80 && one.ptr[2] >= 0xA8 && one.ptr[2] <= 0xAE) ||
            (one.ptr[1] == 0x81 && one.ptr[2] >= 0xA6 && one.ptr[2] <= 0xA9));
}

void sg_text_clean(sp_span bytes, size_t max_bytes, sp_buf *out)
{
    for (size_t i = 0; i < bytes.len && out->len < max_bytes;) {
        uint8_t c = bytes.ptr[i];
        size_t len = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
        sp_span one = sp_span_slice(bytes, i, i + len);
        bool c1 = one.len == 2 && c == 0xC2 && one.ptr[1] < 0xA0;
        if (one.len == len && c >= 0x20 && c != 0x7F && !c1 && !is_turning(one) &&
            sp_span_is_utf8(one)) {
            sp_buf_span(out, one);
            i += len;
        } else {
            sp_buf_fmt(out, "\\x%02x", c);
            i++;
        }
    }
}

void sg_refusal_line(const sg_refusal *refusal, bool terminal, sp_buf *out)
{
    char reference[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(refusal->reference, reference);
    sp_buf_text(out, "sallyport: ");
    sg_text_clean(sp_span_cstr(refusal->text), out->len + SG_TEXT_BYTES, out);
    if (refusal->reference != 0) {
        sp_buf_fmt(out, " (reference %s)", reference);
    }
    sp_buf_text(out, terminal ? "\r\n" : "\n");
}
