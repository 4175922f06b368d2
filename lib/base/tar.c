/* SPDX-License-Identifier: Apache-2.0
 * Writing tar.
 * OWNS nothing. PROCESS core. TRUST see tar.h. SPEC lib/base/tar.h.
 */
#include "lib/base/tar.h"

/* Octal digits that fill all but the field's last byte, which stays NUL. */
static void put_octal(uint8_t *to, size_t field_bytes, uint64_t value)
{
    for (size_t i = field_bytes - 1; i > 0; i--) {
        to[i - 1] = (uint8_t)('0' + (value & 7));
        value >>= 3;
    }
}

static void put_text(uint8_t *to, const char *text)
{
    sp_span bytes = sp_span_cstr(text);
    sp_copy(to, bytes.ptr, bytes.len);
}

void sp_tar_file(sp_span name, sp_span bytes, uint64_t when_unix_s, sp_buf *out)
{
    uint8_t head[SP_TAR_BLOCK_BYTES] = {0};
    static const uint8_t zeros[SP_TAR_BLOCK_BYTES] = {0};
    if (name.len == 0 || name.len > SP_TAR_NAME_MAX_BYTES) {
        out->err = sp_fail(SP_ELIMIT);
        return;
    }
    sp_copy(head, name.ptr, name.len);
    put_octal(head + 100, 8, 0644);
    put_octal(head + 108, 8, 0);
    put_octal(head + 116, 8, 0);
    put_octal(head + 124, 12, bytes.len);
    put_octal(head + 136, 12, when_unix_s);
    head[156] = '0';
    put_text(head + 257, "ustar");
    put_text(head + 263, "00");
    uint64_t sum = 8 * (uint64_t)' '; /* the sum's own field counts as blanks */
    for (size_t i = 0; i < sizeof(head); i++) {
        sum += head[i];
    }
    put_octal(head + 148, 7, sum);
    head[155] = ' ';
    sp_buf_span(out, (sp_span){head, sizeof(head)});
    sp_buf_span(out, bytes);
    size_t over = bytes.len % SP_TAR_BLOCK_BYTES;
    sp_buf_span(out, (sp_span){zeros, over == 0 ? 0 : SP_TAR_BLOCK_BYTES - over});
}

void sp_tar_end(sp_buf *out)
{
    static const uint8_t zeros[2 * SP_TAR_BLOCK_BYTES] = {0};
    sp_buf_span(out, (sp_span){zeros, sizeof(zeros)});
}
