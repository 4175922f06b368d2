/* SPDX-License-Identifier: Apache-2.0
 * sp_buf: a growing byte buffer that has a maximum, and writers into it.
 * OWNS its bytes. PROCESS all. TRUST appended bytes may be hostile; the maximum bounds them.
 * SPEC docs/STYLE.md "Bytes".
 *
 * The error is sticky: appending to a failed buffer does nothing, so a message is written in one
 * run of calls and checked once with sp_buf_error(). A buffer that failed never yields bytes:
 * sp_buf_borrow() is empty then.
 */
#ifndef SP_BASE_BUF_H
#define SP_BASE_BUF_H

#include "lib/base/mem.h"

typedef struct {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max_bytes;
    sp_err err;
} sp_buf;

sp_buf sp_buf_make(size_t max_bytes);
void sp_buf_done(sp_buf *buf);
#define auto_buf __attribute__((cleanup(sp_buf_done)))

/* Empties it and clears the error; keeps the memory. */
void sp_buf_reset(sp_buf *buf);
/* Wipes and empties it. */
void sp_buf_wipe(sp_buf *buf);
SP_MUST sp_err sp_buf_error(const sp_buf *buf);
/* Valid until the next call that changes the buffer. */
sp_span sp_buf_borrow(const sp_buf *buf);
/* Hands out NUL-terminated bytes that the caller frees; the buffer is empty afterwards. */
SP_MUST sp_err sp_buf_take_cstr(sp_buf *buf, char **ret_text);
/* Drops the first len bytes. */
void sp_buf_drop(sp_buf *buf, size_t len);
/* The same, and gives memory back: all of it when nothing is left, and what is much more than what
 * is left needs. */
void sp_buf_shed(sp_buf *buf, size_t len);
/* Room for len more bytes, to be written at the returned place and counted by sp_buf_grown(). */
uint8_t *sp_buf_room(sp_buf *buf, size_t len);
void sp_buf_grown(sp_buf *buf, size_t len);

void sp_buf_span(sp_buf *buf, sp_span bytes);
void sp_buf_text(sp_buf *buf, const char *text);
void sp_buf_byte(sp_buf *buf, uint8_t byte);
/* Decimal. */
void sp_buf_u64_text(sp_buf *buf, uint64_t value);
void sp_buf_i64_text(sp_buf *buf, int64_t value);
void sp_buf_hex(sp_buf *buf, sp_span bytes);
/* RFC 4648 base64 with padding; base64url without. */
void sp_buf_base64(sp_buf *buf, sp_span bytes);
void sp_buf_base64url(sp_buf *buf, sp_span bytes);
/* A JSON string with its quotes (RFC 8259); bytes that are not UTF-8 become U+FFFD. */
void sp_buf_json(sp_buf *buf, sp_span text);
/* A letter that a screen would hide or turn around; a tab and a line's end are none. */
bool sp_is_unseen(uint32_t letter);
/* For people who decide about a text: all of it, with its lines. What a screen would hide or turn
 * around (control bytes, marks of direction), and every blank but the space, is written out as
 * <U+202E>, and a byte that is not UTF-8 as <0xFF>. */
void sp_buf_seen(sp_buf *buf, sp_span text);
/* The same where a language takes all that is not ASCII for letters of a name: there marks that are
 * none (<U+FF1D>, which looks like =) are written out, too. */
void sp_buf_seen_bare(sp_buf *buf, sp_span text);
/* HTML text or attribute value, escaped. */
void sp_buf_html(sp_buf *buf, sp_span text);
/* Percent-encoded for a path's segment or a query's value (RFC 3986). */
void sp_buf_percent(sp_buf *buf, sp_span text);
/* RFC 3339, UTC, microseconds: 2026-02-23T18:56:00.000000Z */
void sp_buf_time(sp_buf *buf, uint64_t when_unix_us);
void sp_buf_fmt(sp_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Network byte order. */
void sp_buf_u8(sp_buf *buf, uint8_t value);
void sp_buf_u16(sp_buf *buf, uint16_t value);
void sp_buf_u32(sp_buf *buf, uint32_t value);
void sp_buf_u64(sp_buf *buf, uint64_t value);
/* A u32 length, then the bytes. */
void sp_buf_bytes(sp_buf *buf, sp_span bytes);

/* Decoders. base64url takes no padding, base64 needs it. SP_EINVALID. */
SP_MUST sp_err sp_buf_unhex(sp_buf *buf, sp_span text);
SP_MUST sp_err sp_buf_unbase64(sp_buf *buf, sp_span text);
SP_MUST sp_err sp_buf_unbase64url(sp_buf *buf, sp_span text);

#endif
