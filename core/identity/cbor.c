/* SPDX-License-Identifier: Apache-2.0
 * Reading CBOR.
 * OWNS nothing. PROCESS core. TRUST the input is hostile. SPEC core/identity/cbor.h.
 */
#include "core/identity/cbor.h"

typedef enum { UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE } major;

enum { ARGUMENT_BITS = 5, ARGUMENT_MASK = 31, SIMPLE_FIRST = 20, SIMPLE_LAST = 23 };

/* The head of an item; the shortest form is required. */
static uint64_t read_head(sp_reader *in, major *ret_major)
{
    uint8_t first = sp_read_u8(in);
    uint8_t argument = first & ARGUMENT_MASK;
    uint64_t value = argument;
    uint64_t least = 0;
    *ret_major = (major)(first >> ARGUMENT_BITS);
    if (argument == 24) {
        value = sp_read_u8(in);
        least = 24;
    } else if (argument == 25) {
        value = sp_read_u16(in);
        least = UINT64_C(1) << 8;
    } else if (argument == 26) {
        value = sp_read_u32(in);
        least = UINT64_C(1) << 16;
    } else if (argument == 27) {
        value = sp_read_u64(in);
        least = UINT64_C(1) << 32;
    } else if (argument > 27) {
        sp_reader_fail(in, SP_EINVALID);
    }
    if (value < least) {
        sp_reader_fail(in, SP_EINVALID);
    }
    return sp_failed(in->err) ? 0 : value;
}

static uint64_t read_of(sp_reader *in, major want)
{
    major got = SIMPLE;
    uint64_t value = read_head(in, &got);
    if (got != want) {
        sp_reader_fail(in, SP_EINVALID);
        return 0;
    }
    return value;
}

uint64_t sp_cbor_map(sp_reader *in)
{
    uint64_t pairs = read_of(in, MAP);
    if (pairs > SP_CBOR_PAIRS_MAX) {
        sp_reader_fail(in, SP_ELIMIT);
        return 0;
    }
    return pairs;
}

static sp_span read_run(sp_reader *in, uint64_t len)
{
    if (len > in->rest.len) {
        sp_reader_fail(in, SP_ESHORT);
        return SP_SPAN_EMPTY;
    }
    return sp_read_span(in, (size_t)len);
}

sp_span sp_cbor_text(sp_reader *in)
{
    sp_span text = read_run(in, read_of(in, TEXT));
    if (!sp_span_is_utf8(text)) {
        sp_reader_fail(in, SP_EINVALID);
        return SP_SPAN_EMPTY;
    }
    return text;
}

sp_span sp_cbor_bytes(sp_reader *in)
{
    return read_run(in, read_of(in, BYTES));
}

int64_t sp_cbor_int(sp_reader *in)
{
    major got = SIMPLE;
    uint64_t value = read_head(in, &got);
    if ((got != UNSIGNED && got != NEGATIVE) || value > INT64_MAX) {
        sp_reader_fail(in, SP_EINVALID);
        return 0;
    }
    return got == UNSIGNED ? (int64_t)value : -1 - (int64_t)value;
}

bool sp_cbor_is_int(const sp_reader *in)
{
    return in->rest.len > 0 && (in->rest.ptr[0] >> ARGUMENT_BITS) <= NEGATIVE;
}

/* How many items stand below the one whose head was read. */
static uint64_t children_of(sp_reader *in, major kind, uint64_t value)
{
    switch (kind) {
    case UNSIGNED:
    case NEGATIVE:
        return 0;
    case BYTES:
    case TEXT:
        (void)read_run(in, value);
        return 0;
    case ARRAY:
    case MAP:
        if (value > SP_CBOR_PAIRS_MAX) {
            sp_reader_fail(in, SP_ELIMIT);
            return 0;
        }
        return kind == MAP ? 2 * value : value;
    case TAG:
        break;
    case SIMPLE:
        if (value >= SIMPLE_FIRST && value <= SIMPLE_LAST) {
            return 0;
        }
        break;
    }
    sp_reader_fail(in, SP_EINVALID);
    return 0;
}

void sp_cbor_skip(sp_reader *in)
{
    uint64_t left[SP_CBOR_DEPTH_MAX] = {1};
    unsigned depth = 0;
    while (!sp_failed(in->err)) {
        if (left[depth] == 0) {
            if (depth == 0) {
                return;
            }
            depth--;
            continue;
        }
        left[depth]--;
        major kind = SIMPLE;
        uint64_t value = read_head(in, &kind);
        uint64_t below = sp_failed(in->err) ? 0 : children_of(in, kind, value);
        if (below > 0 && depth + 1 == SP_CBOR_DEPTH_MAX) {
            sp_reader_fail(in, SP_ELIMIT);
        } else if (below > 0) {
            left[++depth] = below;
        }
    }
}
