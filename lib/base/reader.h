/* SPDX-License-Identifier: Apache-2.0
 * sp_reader: reads fields off a span. The error is sticky and the end of input is required.
 * OWNS nothing; spans it returns point into its input. PROCESS all.
 * TRUST the input is hostile. SPEC docs/STYLE.md "Bytes".
 *
 *     sp_reader in = sp_reader_of(message);
 *     out->kind = sp_read_u8(&in);
 *     out->name = sp_read_bytes(&in, NAME_MAX_BYTES);
 *     return sp_reader_finish(&in);      SP_ESHORT, SP_ELIMIT or SP_EINVALID (bytes left over)
 *
 * After the first error every read returns zero or the empty span.
 */
#ifndef SP_BASE_READER_H
#define SP_BASE_READER_H

#include "lib/base/span.h"

typedef struct {
    sp_span rest;
    sp_err err;
} sp_reader;

sp_reader sp_reader_of(sp_span input);
/* Records a failure found by the caller; the first one stays. */
void sp_reader_fail(sp_reader *reader, sp_code code);

static inline sp_span sp_read_span(sp_reader *reader, size_t len)
{
    if (sp_failed(reader->err) || len > reader->rest.len) {
        sp_reader_fail(reader, SP_ESHORT);
        return SP_SPAN_EMPTY;
    }
    sp_span taken = {reader->rest.ptr, len};
    reader->rest.len -= len;
    reader->rest.ptr = len == 0 ? reader->rest.ptr : reader->rest.ptr + len;
    return taken;
}

static inline uint8_t sp_read_u8(sp_reader *reader)
{
    sp_span byte = sp_read_span(reader, 1);
    return byte.len == 1 ? byte.ptr[0] : 0;
}

/* Network byte order. */
uint16_t sp_read_u16(sp_reader *reader);
uint32_t sp_read_u32(sp_reader *reader);
uint64_t sp_read_u64(sp_reader *reader);
/* A u32 length <= max_bytes, then the bytes. */
sp_span sp_read_bytes(sp_reader *reader, size_t max_bytes);
/* The same, for a text that people and logs see: valid UTF-8 without NUL, else SP_EINVALID. */
sp_span sp_read_text(sp_reader *reader, size_t max_bytes);
/* The same, without control characters: nothing that begins a line of its own. */
sp_span sp_read_line(sp_reader *reader, size_t max_bytes);
/* A u8 below count, for enums. */
uint8_t sp_read_enum(sp_reader *reader, uint8_t count);
SP_MUST sp_err sp_reader_finish(sp_reader *reader);

#endif
