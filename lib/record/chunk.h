/* SPDX-License-Identifier: Apache-2.0
 * Chunks: runs of lines of a recording, compressed, as they lie in events of the ledger
 * (SP_EVENT_RECORDING: reference = the connection, object = the channel, detail = the chunk).
 *
 * Story: the gate cuts (lib/record/cast.h) and calls sp_packer_pack, which hands out one detail a
 * chunk: lines that do not compress into one event are split at line ends, each part a chunk with
 * its own number. Readers take the numbers of the detail and call sp_chunk_text. Each chunk stands
 * alone: one that is missing takes nothing else with it.
 *
 * OWNS the compressor (sp_packer). PROCESS ssh gate packs; core, cli unpack. TRUST details that are
 * read are hostile: sizes are bounded before anything is unpacked. SPEC RFC 8878, RFC 4648.
 */
#ifndef SP_RECORD_CHUNK_H
#define SP_RECORD_CHUNK_H

#include "lib/record/cast.h"

enum {
    SP_CHUNK_TEXT_MAX_BYTES = 64 * 1024, /* of lines in one chunk */
    SP_CHUNK_ZSTD_MAX_BYTES = 8 * 1024,  /* compressed, so that its base64 fits an event's detail */
    SP_CHUNK_DETAIL_MAX_BYTES = 12 * 1024
};

typedef struct {
    uint32_t number;
    uint64_t t0_us; /* since the start of the recording */
    uint64_t t1_us;
    uint32_t raw_bytes; /* of the lines */
    bool end;
    sp_span zstd; /* base64 */
} sp_chunk;

typedef struct sp_packer sp_packer;
SP_MUST sp_err sp_packer_new(sp_packer **ret_packer);
void sp_packer_free(sp_packer *packer);

/* One chunk: its detail, valid during the call. A failure ends the packing and is returned. */
typedef sp_err (*sp_chunk_fn)(void *ctx, const sp_chunk *chunk, sp_span detail);
/* Calls put for each chunk that the lines become, in order; *ret_count: how many, for
 * sp_cast_numbered. */
SP_MUST sp_err sp_packer_pack(sp_packer *packer, const sp_cast_lines *lines, sp_chunk_fn put,
                              void *ctx, uint32_t *ret_count);

/* {"n":0,"t0":0,"t1":1000000,"raw":123,"end":true,"zstd":"..."} */
void sp_chunk_detail(const sp_chunk *chunk, sp_buf *out);
/* Reads such a detail, members in whichever order, no others. SP_EINVALID, SP_ELIMIT. */
SP_MUST sp_err sp_chunk_read(sp_span detail, sp_chunk *ret_chunk);
/* Appends the lines. SP_ECORRUPT, SP_ELIMIT. */
SP_MUST sp_err sp_chunk_text(const sp_chunk *chunk, sp_buf *out);

#endif
