/* SPDX-License-Identifier: Apache-2.0
 * The sticky-error reader.
 * OWNS nothing. PROCESS all. TRUST the input is hostile. SPEC lib/base/reader.h.
 */
#include "lib/base/reader.h"

sp_reader sp_reader_of(sp_span input)
{
    return (sp_reader){.rest = input};
}

void sp_reader_fail(sp_reader *reader, sp_code code)
{
    if (!sp_failed(reader->err)) {
        reader->err = sp_fail(code);
    }
    reader->rest = SP_SPAN_EMPTY;
}

static uint64_t big_endian(sp_reader *reader, size_t len)
{
    sp_span bytes = sp_read_span(reader, len);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value = (value << 8) | bytes.ptr[i];
    }
    return value;
}

uint16_t sp_read_u16(sp_reader *reader)
{
    return (uint16_t)big_endian(reader, 2);
}

uint32_t sp_read_u32(sp_reader *reader)
{
    return (uint32_t)big_endian(reader, 4);
}

uint64_t sp_read_u64(sp_reader *reader)
{
    return big_endian(reader, 8);
}

sp_span sp_read_bytes(sp_reader *reader, size_t max_bytes)
{
    uint32_t len = sp_read_u32(reader);
    if (len > max_bytes) {
        sp_reader_fail(reader, SP_ELIMIT);
        return SP_SPAN_EMPTY;
    }
    return sp_read_span(reader, len);
}

sp_span sp_read_text(sp_reader *reader, size_t max_bytes)
{
    sp_span text = sp_read_bytes(reader, max_bytes);
    if (!sp_span_is_utf8(text) || sp_span_index(text, 0) != text.len) {
        sp_reader_fail(reader, SP_EINVALID);
        return SP_SPAN_EMPTY;
    }
    return text;
}

sp_span sp_read_line(sp_reader *reader, size_t max_bytes)
{
    sp_span text = sp_read_text(reader, max_bytes);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] == 0x7f) {
            sp_reader_fail(reader, SP_EINVALID);
        }
    }
    return text;
}

uint8_t sp_read_enum(sp_reader *reader, uint8_t count)
{
    uint8_t value = sp_read_u8(reader);
    if (value >= count) {
        sp_reader_fail(reader, SP_EINVALID);
        return 0;
    }
    return value;
}

sp_err sp_reader_finish(sp_reader *reader)
{
    if (!sp_failed(reader->err) && reader->rest.len > 0) {
        sp_reader_fail(reader, SP_EINVALID);
    }
    return reader->err;
}
