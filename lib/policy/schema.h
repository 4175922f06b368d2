/* SPDX-License-Identifier: Apache-2.0
 * The schema of documents: one table from which the loader's checks, the error texts, the JSON
 * form, the canonical form and the reference are all made.
 * OWNS nothing: constant tables. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md.
 */
#ifndef SP_POLICY_SCHEMA_H
#define SP_POLICY_SCHEMA_H

#include "lib/policy/doc.h"

typedef enum {
    FIELD_NAME,     /* doc_text: a sentence of at most SP_NAME_MAX_BYTES */
    FIELD_SLUG,     /* doc_text: a-z 0-9 . _ - of at most SP_NAME_MAX_BYTES */
    FIELD_TEXT,     /* doc_text */
    FIELD_SLUGS,    /* doc_texts: a list, or one alone */
    FIELD_NAMES,    /* doc_texts of free words */
    FIELD_WORD,     /* uint8_t: position in words + 1 */
    FIELD_WORDS,    /* uint32_t: a bit each; a list, or one alone */
    FIELD_FLAG,     /* uint8_t: doc_flag */
    FIELD_COUNT_NR, /* doc_number between min and max */
    FIELD_SIZE,     /* doc_number of bytes: 8 MiB */
    FIELD_DURATION, /* doc_number of seconds: 15m, 12h, 30d */
    FIELD_MAP,      /* a record of the sub-schema, in place */
    FIELD_MAPS      /* doc_maps of the sub-schema */
} field_type;

typedef struct doc_schema doc_schema;

typedef struct {
    const char *key;
    field_type type;
    bool required;
    size_t offset;
    const doc_schema *sub;    /* MAP, MAPS */
    const char *const *words; /* WORD, WORDS; ends with NULL */
    size_t count_offset;      /* SLUGS, NAMES: of a uint8_t set to 1 when written; 0 = none */
    uint64_t min;             /* numbers; texts: at most max bytes */
    uint64_t max;             /* NAMES: of each, 0 = SP_NAME_MAX_BYTES */
    const char *doc;          /* one sentence or more, for the reference and for errors */
} doc_field;

struct doc_schema {
    const char *name;
    const char *doc;
    size_t struct_bytes;
    size_t scalar_at; /* index + 1 of the field that a bare scalar stands for; 0 = none */
    const doc_field *fields;
    size_t fields_count;
    const char *sample; /* YAML, for the reference; documents only */
};

/* Shared by the tables of several files. */
extern const doc_schema DOC_WHO;
extern const doc_schema DOC_ON;
extern const doc_schema DOC_POSTGRES;
extern const doc_schema DOC_SSH;
extern const doc_schema DOC_TITLE;
extern const char *const DOC_EVENT_WORDS[]; /* kinds of events */
extern const char *const DOC_DAY_WORDS[];
enum { DOC_DETECTION_FIELDS_COUNT = 20, DOC_CANARY_FIELDS_COUNT = 10 };
extern const doc_field DOC_DETECTION_FIELDS[DOC_DETECTION_FIELDS_COUNT];
extern const doc_field DOC_CANARY_FIELDS[DOC_CANARY_FIELDS_COUNT];
enum { DOC_PLAN_FIELDS_COUNT = 9, DOC_ROTA_FIELDS_COUNT = 4 };
extern const doc_field DOC_PLAN_FIELDS[DOC_PLAN_FIELDS_COUNT];
extern const doc_field DOC_ROTA_FIELDS[DOC_ROTA_FIELDS_COUNT];
enum { DOC_BUDGET_FIELDS_COUNT = 9 };
extern const doc_field DOC_BUDGET_FIELDS[DOC_BUDGET_FIELDS_COUNT];
enum { DOC_NOTICE_FIELDS_COUNT = 11, DOC_AUDIENCE_FIELDS_COUNT = 5, DOC_CHANNEL_FIELDS_COUNT = 14 };
extern const doc_field DOC_NOTICE_FIELDS[DOC_NOTICE_FIELDS_COUNT];
extern const doc_field DOC_AUDIENCE_FIELDS[DOC_AUDIENCE_FIELDS_COUNT];
extern const doc_field DOC_CHANNEL_FIELDS[DOC_CHANNEL_FIELDS_COUNT];

enum { DOC_SINK_FIELDS_COUNT = 12, DOC_LAW_PACK_FIELDS_COUNT = 8, DOC_OFFICER_FIELDS_COUNT = 7 };
extern const doc_field DOC_SINK_FIELDS[DOC_SINK_FIELDS_COUNT];
extern const doc_field DOC_LAW_PACK_FIELDS[DOC_LAW_PACK_FIELDS_COUNT];
extern const doc_field DOC_OFFICER_FIELDS[DOC_OFFICER_FIELDS_COUNT];

extern const doc_schema DOC_SCHEMAS[SP_DOC_COUNT];

/* "a name", "one of allow, deny, ask", for errors and the reference. */
void doc_field_expects(const doc_field *field, sp_buf *out);
/* Edits from one word to the other; SIZE_MAX for long ones. Below DOC_NEAR_ENOUGH it is worth
 * asking "did you mean". */
enum { DOC_NEAR_ENOUGH = 3 };
size_t doc_distance(sp_span a, sp_span b);
/* The word that was most likely meant, or NULL. */
const char *doc_nearest(sp_span word, const char *const *words, size_t count);

/* The record as JSON: an object with the fields that are written. */
void doc_record_json(const doc_schema *schema, const void *record, sp_buf *out);
/* The fields only, each with a comma in front unless first. Returns whether any was written. */
bool doc_fields_json(const doc_schema *schema, const void *record, bool first, sp_buf *out);

#endif
