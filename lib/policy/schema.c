/* SPDX-License-Identifier: Apache-2.0
 * What the schema's tables say in words and in JSON.
 * OWNS nothing. PROCESS core, cli. TRUST words may be hostile, their length is bounded by the
 * loader. SPEC lib/policy/schema.h.
 */
#include "lib/policy/schema.h"

#include "lib/base/mem.h"

void doc_field_expects(const doc_field *field, sp_buf *out)
{
    switch (field->type) {
    case FIELD_NAME:
        sp_buf_fmt(out, "a text of 1 to %u bytes", (unsigned)field->max);
        return;
    case FIELD_SLUG:
        sp_buf_text(out, "a name of a-z, 0-9, '.', '_' and '-', as in \"audit-admin\"");
        return;
    case FIELD_TEXT:
        sp_buf_fmt(out, "a text of at most %u bytes", (unsigned)field->max);
        return;
    case FIELD_SLUGS:
        sp_buf_text(out, "a name or a list of names, as in [engineer, dba]");
        return;
    case FIELD_NAMES:
        sp_buf_text(out, "a text or a list of texts");
        return;
    case FIELD_WORD:
    case FIELD_WORDS:
        sp_buf_text(out, field->type == FIELD_WORD ? "one of " : "one or a list of ");
        for (size_t i = 0; field->words[i] != NULL; i++) {
            sp_buf_fmt(out, "%s%s", i == 0 ? "" : ", ", field->words[i]);
        }
        return;
    case FIELD_FLAG:
        sp_buf_text(out, "true or false");
        return;
    case FIELD_COUNT_NR:
        sp_buf_fmt(out, "a whole number from %llu to %llu", (unsigned long long)field->min,
                   (unsigned long long)field->max);
        return;
    case FIELD_SIZE:
        sp_buf_text(out, "a size, as in 8 MiB (B, KiB, MiB, GiB)");
        return;
    case FIELD_DURATION:
        sp_buf_text(out, "a duration, as in 90s, 15m, 12h or 30d");
        return;
    case FIELD_MAP:
        sp_buf_text(out, "a mapping");
        return;
    case FIELD_MAPS:
        sp_buf_text(out, "a list of mappings");
        return;
    }
}

/* Levenshtein over short words; more than DISTANCE_MAX_BYTES counts as far. */
enum { DISTANCE_MAX_BYTES = 64 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t doc_distance(sp_span a, sp_span b)
{
    size_t row[DISTANCE_MAX_BYTES + 1];
    if (a.len > DISTANCE_MAX_BYTES || b.len > DISTANCE_MAX_BYTES) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t swap = diagonal + (a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = smaller(swap, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

const char *doc_nearest(sp_span word, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t best_distance = smaller(DOC_NEAR_ENOUGH, (word.len + 1) / 2 + 1);
    for (size_t i = 0; i < count && words[i] != NULL; i++) {
        size_t d = doc_distance(word, sp_span_cstr(words[i]));
        if (d < best_distance) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}

static void texts_json(const doc_texts *texts, sp_buf *out)
{
    sp_buf_byte(out, '[');
    for (size_t i = 0; i < texts->count; i++) {
        sp_buf_text(out, i == 0 ? "" : ",");
        sp_buf_json(out, texts->items[i].text);
    }
    sp_buf_byte(out, ']');
}

static void words_json(const doc_field *field, uint32_t bits, sp_buf *out)
{
    const char *comma = "";
    sp_buf_byte(out, '[');
    for (size_t i = 0; field->words[i] != NULL; i++) {
        if ((bits >> i & 1) != 0) {
            sp_buf_fmt(out, "%s\"%s\"", comma, field->words[i]);
            comma = ",";
        }
    }
    sp_buf_byte(out, ']');
}

static void maps_json(const doc_field *field, const doc_maps *maps, sp_buf *out)
{
    sp_buf_byte(out, '[');
    for (size_t i = 0; i < maps->count; i++) {
        sp_buf_text(out, i == 0 ? "" : ",");
        doc_record_json(field->sub, doc_at(maps, field->sub->struct_bytes, i), out);
    }
    sp_buf_byte(out, ']');
}

static bool is_written(const doc_field *field, const void *at, const void *record)
{
    switch (field->type) {
    case FIELD_NAME:
    case FIELD_SLUG:
    case FIELD_TEXT:
        return ((const doc_text *)at)->line != 0;
    case FIELD_SLUGS:
    case FIELD_NAMES:
        return ((const doc_texts *)at)->count != 0 ||
               (field->count_offset != 0 && ((const uint8_t *)record)[field->count_offset] != 0);
    case FIELD_WORD:
    case FIELD_FLAG:
        return *(const uint8_t *)at != 0;
    case FIELD_WORDS:
        return *(const uint32_t *)at != 0;
    case FIELD_COUNT_NR:
    case FIELD_SIZE:
    case FIELD_DURATION:
        return ((const doc_number *)at)->line != 0;
    case FIELD_MAP:
        return ((const doc_place *)at)->line != 0;
    case FIELD_MAPS:
        return ((const doc_maps *)at)->count != 0;
    }
    return false;
}

static void value_json(const doc_field *field, const void *at, sp_buf *out)
{
    switch (field->type) {
    case FIELD_NAME:
    case FIELD_SLUG:
    case FIELD_TEXT:
        sp_buf_json(out, ((const doc_text *)at)->text);
        return;
    case FIELD_SLUGS:
    case FIELD_NAMES:
        texts_json(at, out);
        return;
    case FIELD_WORD:
        sp_buf_json(out, sp_span_cstr(field->words[*(const uint8_t *)at - 1]));
        return;
    case FIELD_FLAG:
        sp_buf_text(out, *(const uint8_t *)at == DOC_TRUE ? "true" : "false");
        return;
    case FIELD_WORDS:
        words_json(field, *(const uint32_t *)at, out);
        return;
    case FIELD_COUNT_NR:
    case FIELD_SIZE:
    case FIELD_DURATION:
        sp_buf_u64_text(out, ((const doc_number *)at)->value);
        return;
    case FIELD_MAP:
        doc_record_json(field->sub, at, out);
        return;
    case FIELD_MAPS:
        maps_json(field, at, out);
        return;
    }
}

bool doc_fields_json(const doc_schema *schema, const void *record, bool first, sp_buf *out)
{
    for (size_t i = 0; i < schema->fields_count; i++) {
        const doc_field *field = &schema->fields[i];
        const void *at = (const uint8_t *)record + field->offset;
        if (is_written(field, at, record)) {
            sp_buf_fmt(out, "%s\"%s\":", first ? "" : ",", field->key);
            value_json(field, at, out);
            first = false;
        }
    }
    return !first;
}

void doc_record_json(const doc_schema *schema, const void *record, sp_buf *out)
{
    sp_buf_byte(out, '{');
    doc_fields_json(schema, record, true, out);
    sp_buf_byte(out, '}');
}
