/* SPDX-License-Identifier: Apache-2.0
 * What the client is told.
 * OWNS nothing. PROCESS ssh gate workers. TRUST texts may quote clients and targets: control
 * characters never reach a terminal. SPEC gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"
#include "lib/record/utf8.h"

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

void sg_text_clean(sp_span bytes, size_t max_bytes, sp_buf *out)
{
    while (bytes.len > 0 && out->len < max_bytes) {
        sp_utf8 c = sp_utf8_first(bytes);
        bool shows = c.well_formed && c.code >= 0x20 && !sp_is_unseen(c.code);
        size_t len = shows ? c.len : 1;
        if (shows) {
            sp_buf_span(out, sp_span_slice(bytes, 0, len));
        } else {
            sp_buf_fmt(out, "\\x%02x", bytes.ptr[0]);
        }
        bytes = sp_span_slice(bytes, len, bytes.len);
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
