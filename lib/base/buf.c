/* SPDX-License-Identifier: Apache-2.0
 * The growing buffer: memory, plain appends and numbers on the wire.
 * OWNS its bytes. PROCESS all. TRUST appended bytes may be hostile. SPEC lib/base/buf.h.
 */
#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAP = 64 };

sp_buf sp_buf_make(size_t max_bytes)
{
    return (sp_buf){.max_bytes = max_bytes};
}

void sp_buf_done(sp_buf *buf)
{
    if (buf != NULL) {
        sp_free(buf->ptr);
        *buf = (sp_buf){.max_bytes = buf->max_bytes};
    }
}

void sp_buf_reset(sp_buf *buf)
{
    buf->len = 0;
    buf->err = sp_ok();
}

void sp_buf_wipe(sp_buf *buf)
{
    if (buf->ptr != NULL) {
        sp_wipe(buf->ptr, buf->cap);
    }
    sp_buf_reset(buf);
}

sp_err sp_buf_error(const sp_buf *buf)
{
    return buf->err;
}

sp_span sp_buf_borrow(const sp_buf *buf)
{
    return sp_failed(buf->err) ? SP_SPAN_EMPTY : (sp_span){buf->ptr, buf->len};
}

sp_err sp_buf_take_cstr(sp_buf *buf, char **ret_text)
{
    sp_buf_byte(buf, 0);
    TRY(buf->err);
    *ret_text = (char *)buf->ptr;
    *buf = sp_buf_make(buf->max_bytes);
    return sp_ok();
}

void sp_buf_drop(sp_buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    sp_move(buf->ptr, buf->ptr + len, buf->len - len);
    buf->len -= len;
}

void sp_buf_shed(sp_buf *buf, size_t len)
{
    enum { KEPT_CAP = 256 * 1024 };
    sp_buf_drop(buf, len);
    if (buf->len == 0 && !sp_failed(buf->err)) {
        sp_buf_done(buf);
    } else if (buf->cap > KEPT_CAP && buf->len < buf->cap / 8) {
        size_t cap = buf->cap / 4;
        SP_IGNORE(sp_resize(&buf->ptr, cap, 1)); /* stays as large */
        buf->cap = cap;
    }
}

uint8_t *sp_buf_room(sp_buf *buf, size_t len)
{
    size_t need = 0;
    if (sp_failed(buf->err)) {
        return NULL;
    }
    if (__builtin_add_overflow(buf->len, len, &need) || need > buf->max_bytes) {
        buf->err = sp_fail(SP_ELIMIT);
        return NULL;
    }
    if (need > buf->cap || buf->ptr == NULL) {
        size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap;
        while (cap < need) {
            cap = cap > buf->max_bytes / 2 ? buf->max_bytes : cap * 2;
        }
        buf->err = sp_resize(&buf->ptr, cap, 1);
        if (sp_failed(buf->err)) {
            return NULL;
        }
        buf->cap = cap;
    }
    return buf->ptr + buf->len;
}

void sp_buf_grown(sp_buf *buf, size_t len)
{
    buf->len += len;
}

void sp_buf_span(sp_buf *buf, sp_span bytes)
{
    uint8_t *room = sp_buf_room(buf, bytes.len);
    if (room != NULL) {
        sp_copy(room, bytes.ptr, bytes.len);
        buf->len += bytes.len;
    }
}

void sp_buf_text(sp_buf *buf, const char *text)
{
    sp_buf_span(buf, sp_span_cstr(text));
}

void sp_buf_byte(sp_buf *buf, uint8_t byte)
{
    sp_buf_span(buf, (sp_span){&byte, 1});
}

void sp_buf_u64_text(sp_buf *buf, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    sp_buf_span(buf, (sp_span){digits + at, sizeof(digits) - at});
}

void sp_buf_i64_text(sp_buf *buf, int64_t value)
{
    if (value < 0) {
        sp_buf_byte(buf, '-');
        sp_buf_u64_text(buf, (uint64_t)(-(value + 1)) + 1);
    } else {
        sp_buf_u64_text(buf, (uint64_t)value);
    }
}

void sp_buf_fmt(sp_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *room = len < 0 ? NULL : sp_buf_room(buf, (size_t)len + 1);
    if (room != NULL) {
        vsnprintf((char *)room, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    } else if (len < 0) {
        buf->err = sp_fail(SP_EINVALID);
    }
    va_end(again);
}

void sp_buf_u8(sp_buf *buf, uint8_t value)
{
    sp_buf_byte(buf, value);
}

static void big_endian(sp_buf *buf, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    }
    sp_buf_span(buf, (sp_span){bytes, len});
}

void sp_buf_u16(sp_buf *buf, uint16_t value)
{
    big_endian(buf, value, 2);
}

void sp_buf_u32(sp_buf *buf, uint32_t value)
{
    big_endian(buf, value, 4);
}

void sp_buf_u64(sp_buf *buf, uint64_t value)
{
    big_endian(buf, value, 8);
}

void sp_buf_bytes(sp_buf *buf, sp_span bytes)
{
    if (bytes.len > UINT32_MAX) {
        buf->err = sp_fail(SP_ELIMIT);
        return;
    }
    sp_buf_u32(buf, (uint32_t)bytes.len);
    sp_buf_span(buf, bytes);
}
