/* SPDX-License-Identifier: Apache-2.0
 * Masking what COPY ... TO STDOUT sends, as it comes: bytes of the text, CSV or binary format in,
 * the same with masked fields out. A row may be cut anywhere; clear fields pass without being kept,
 * and of a masked one no more than SP_COPY_FIELD_MAX_BYTES is.
 *
 * Story: sp_copy_mask_new() with how the statement said it is written and what becomes of each
 * column; sp_copy_mask_data() for every CopyData; sp_copy_mask_end() when the server says that it
 * is done. An error means that the bytes are not what was announced: nothing more may be sent.
 *
 * OWNS its state. PROCESS database gate. TRUST the bytes come from the database and may be
 * anything. SPEC PostgreSQL 15 manual, COPY "File Formats"; copyto.c.
 */
#ifndef SP_MASK_COPY_H
#define SP_MASK_COPY_H

#include "lib/mask/mask.h"

enum {
    SP_COPY_COLUMNS_MAX = 1664,          /* of a target list */
    SP_COPY_FIELD_MAX_BYTES = 64 * 1024, /* a longer masked one is shown as "***" */
    SP_COPY_NULL_MAX_BYTES = 64
};

typedef enum { SP_COPY_TEXT, SP_COPY_CSV, SP_COPY_BINARY, SP_COPY_FORMAT_COUNT } sp_copy_format;

typedef struct {
    uint32_t type_oid;
    uint8_t mask; /* sp_mask + 1; 0 = clear */
} sp_copy_column;

/* How it is written; in the binary format the rest does not matter. */
typedef struct {
    uint8_t format; /* sp_copy_format */
    uint8_t delimiter;
    uint8_t quote;    /* CSV */
    uint8_t escape;   /* CSV */
    bool has_header;  /* the first row names the columns */
    bool quotes_text; /* CSV: FORCE_QUOTE of anything */
    uint8_t null_len;
    uint8_t null[SP_COPY_NULL_MAX_BYTES];
    uint16_t column_count;
    sp_copy_column columns[SP_COPY_COLUMNS_MAX];
} sp_copy_plan;

typedef struct sp_copy_mask sp_copy_mask;

/* The plan is copied. SP_EINVALID: the text format with another NULL than \N and masked columns (a
 * value could look like it), or a delimiter that is none. SP_ENOMEM. */
SP_MUST sp_err sp_copy_mask_new(const sp_copy_plan *plan, const uint8_t key[SP_MASK_KEY_BYTES],
                                sp_copy_mask **ret_mask);
void sp_copy_mask_free(sp_copy_mask *mask);
/* Whether a CopyOutResponse of that format with so many columns is what was planned. */
bool sp_copy_mask_fits(const sp_copy_mask *mask, bool is_binary, uint16_t column_count);
/* Appends to out. SP_EINVALID: not what was announced. */
SP_MUST sp_err sp_copy_mask_data(sp_copy_mask *mask, sp_span bytes, sp_buf *out);
/* SP_EINVALID: in the middle of a row. */
SP_MUST sp_err sp_copy_mask_end(const sp_copy_mask *mask);

#endif
