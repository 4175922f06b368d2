/* SPDX-License-Identifier: Apache-2.0
 * Packing lines into details of events, and back.
 * OWNS the compressor. PROCESS ssh gate packs; core, cli unpack. TRUST details are hostile.
 * SPEC lib/record/chunk.h.
 */
#include "lib/record/chunk.h"

#include "lib/record/json.h"

#include <zstd.h>

enum { LEVEL = 3, BASE64_MAX_BYTES = (SP_CHUNK_ZSTD_MAX_BYTES + 2) / 3 * 4 };

struct sp_packer {
    ZSTD_CCtx *zstd;
    uint8_t packed[SP_CHUNK_ZSTD_MAX_BYTES];
};

sp_err sp_packer_new(sp_packer **ret_packer)
{
    sp_packer *packer = NULL;
    TRY(sp_alloc(1, sizeof(*packer), &packer));
    packer->zstd = ZSTD_createCCtx();
    /* a small window keeps what is held small; recordings come in runs of 48 KiB */
    if (packer->zstd == NULL ||
        ZSTD_isError(ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, LEVEL)) != 0 ||
        ZSTD_isError(ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_windowLog, 16)) != 0 ||
        ZSTD_isError(ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_checksumFlag, 1)) != 0) {
        sp_packer_free(packer);
        return sp_fail(SP_ENOMEM);
    }
    *ret_packer = packer;
    return sp_ok();
}

void sp_packer_free(sp_packer *packer)
{
    if (packer != NULL) {
        ZSTD_freeCCtx(packer->zstd);
        sp_free(packer);
    }
}

void sp_chunk_detail(const sp_chunk *chunk, sp_buf *out)
{
    sp_buf_fmt(out, "{\"n\":%u,\"t0\":%llu,\"t1\":%llu,\"raw\":%u%s,\"zstd\":\"", chunk->number,
               (unsigned long long)chunk->t0_us, (unsigned long long)chunk->t1_us, chunk->raw_bytes,
               chunk->end ? ",\"end\":true" : "");
    sp_buf_span(out, chunk->zstd);
    sp_buf_text(out, "\"}");
}

typedef struct {
    sp_packer *packer;
    const sp_cast_lines *lines;
    sp_chunk_fn put;
    void *ctx;
    uint32_t count;
} packing;

static sp_err put_chunk(packing *p, size_t packed_bytes, sp_span text, bool last)
{
    auto_buf sp_buf base64 = sp_buf_make(BASE64_MAX_BYTES);
    auto_buf sp_buf detail = sp_buf_make(SP_CHUNK_DETAIL_MAX_BYTES);
    sp_buf_base64(&base64, sp_span_of(p->packer->packed, packed_bytes));
    TRY(sp_buf_error(&base64));
    sp_chunk chunk = {.number = p->lines->number + p->count++,
                      .t0_us = p->lines->t0_us,
                      .t1_us = p->lines->t1_us,
                      .raw_bytes = (uint32_t)text.len,
                      .end = p->lines->end && last,
                      .zstd = sp_buf_borrow(&base64)};
    sp_chunk_detail(&chunk, &detail);
    TRY(sp_buf_error(&detail));
    return p->put(p->ctx, &chunk, sp_buf_borrow(&detail));
}

/* The end of the line that holds or follows the middle, and is not the last one; 0 = one line. */
static size_t middle_of(sp_span text)
{
    for (size_t i = text.len / 2; i + 1 < text.len; i++) {
        if (text.ptr[i] == '\n') {
            return i + 1;
        }
    }
    for (size_t i = text.len / 2; i > 0; i--) {
        if (text.ptr[i - 1] == '\n') {
            return i;
        }
    }
    return 0;
}

/* Halves what does not fit. A line of SP_CAST_LINE_BYTES always fits. */
static sp_err pack(packing *p, sp_span text, bool last, unsigned depth)
{
    size_t packed = SIZE_MAX;
    if (text.len <= SP_CHUNK_TEXT_MAX_BYTES) {
        size_t got = ZSTD_compress2(p->packer->zstd, p->packer->packed, SP_CHUNK_ZSTD_MAX_BYTES,
                                    text.ptr, text.len);
        packed = ZSTD_isError(got) != 0 ? SIZE_MAX : got;
    }
    if (packed != SIZE_MAX) {
        return put_chunk(p, packed, text, last);
    }
    size_t middle = middle_of(text);
    if (middle == 0 || depth == 0) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(pack(p, sp_span_slice(text, 0, middle), false, depth - 1));
    return pack(p, sp_span_slice(text, middle, text.len), last, depth - 1);
}

sp_err sp_packer_pack(sp_packer *packer, const sp_cast_lines *lines, sp_chunk_fn put, void *ctx,
                      uint32_t *ret_count)
{
    enum { DEPTH_MAX = 24 };
    packing p = {packer, lines, put, ctx, 0};
    sp_err err = pack(&p, lines->text, true, DEPTH_MAX);
    *ret_count = p.count;
    return err;
}

/* ---- reading ---- */

sp_err sp_chunk_read(sp_span detail, sp_chunk *ret_chunk)
{
    record_json in = {detail};
    sp_chunk chunk = {0};
    uint64_t number = 0;
    uint64_t raw = 0;
    unsigned seen = 0;
    sp_span key;
    TRY(record_json_open(&in, '{'));
    for (bool first = true; record_json_member(&in, first, &key); first = false) {
        if (sp_span_eq(key, SP_SPAN_LIT("n"))) {
            TRY(record_json_number(&in, UINT32_MAX, &number));
            seen |= 1;
        } else if (sp_span_eq(key, SP_SPAN_LIT("t0"))) {
            TRY(record_json_number(&in, UINT64_MAX, &chunk.t0_us));
        } else if (sp_span_eq(key, SP_SPAN_LIT("t1"))) {
            TRY(record_json_number(&in, UINT64_MAX, &chunk.t1_us));
        } else if (sp_span_eq(key, SP_SPAN_LIT("raw"))) {
            TRY(record_json_number(&in, SP_CHUNK_TEXT_MAX_BYTES, &raw));
            seen |= 2;
        } else if (sp_span_eq(key, SP_SPAN_LIT("end"))) {
            TRY(record_json_flag(&in, &chunk.end));
        } else if (sp_span_eq(key, SP_SPAN_LIT("zstd"))) {
            TRY(record_json_plain(&in, &chunk.zstd));
            seen |= 4;
        } else {
            return sp_fail(SP_EINVALID);
        }
    }
    TRY(record_json_close(&in, '}'));
    if (in.rest.len > 0 || seen != 7 || chunk.t1_us < chunk.t0_us) {
        return sp_fail(SP_EINVALID);
    }
    chunk.number = (uint32_t)number;
    chunk.raw_bytes = (uint32_t)raw;
    *ret_chunk = chunk;
    return sp_ok();
}

sp_err sp_chunk_text(const sp_chunk *chunk, sp_buf *out)
{
    auto_buf sp_buf packed = sp_buf_make(SP_CHUNK_ZSTD_MAX_BYTES);
    if (chunk->raw_bytes > SP_CHUNK_TEXT_MAX_BYTES || chunk->zstd.len > BASE64_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    if (sp_failed(sp_buf_unbase64(&packed, chunk->zstd))) {
        return sp_fail(SP_ECORRUPT);
    }
    /* one byte more, so that room for nothing is room too */
    uint8_t *room = sp_buf_room(out, (size_t)chunk->raw_bytes + 1);
    TRY(sp_buf_error(out));
    size_t got = ZSTD_decompress(room, chunk->raw_bytes, packed.ptr, packed.len);
    if (ZSTD_isError(got) != 0 || got != chunk->raw_bytes) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_buf_grown(out, got);
    return sp_ok();
}
