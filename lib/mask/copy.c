/* SPDX-License-Identifier: Apache-2.0
 * The three formats of COPY, each a small machine over bytes.
 * OWNS what a plan needs and one field. PROCESS database gate. TRUST see lib/mask/copy.h.
 * SPEC PostgreSQL 15, copyto.c: CopyAttributeOutText, CopyAttributeOutCSV, CopyOneRowTo.
 */
#include "lib/mask/copy.h"

#include "lib/base/mem.h"

enum {
    SIGNATURE_BYTES = 11,
    HEADER_BYTES = SIGNATURE_BYTES + 8, /* and flags, and the length of an extension */
    TRAILER = 0xFFFF,
    TYPE_TEXT = 25
};

typedef enum {
    AT_BEGIN, /* of a field, in text and CSV; of the file, in binary */
    AT_PLAIN,
    AT_ESCAPED,  /* behind an escape character */
    AT_QUOTED,   /* CSV */
    AT_QUOTE,    /* CSV, quote is the escape: behind one in a quoted field */
    AT_COUNT,    /* binary: how many fields */
    AT_LENGTH,   /* binary: of a field */
    AT_VALUE,    /* binary */
    AT_EXTENSION /* binary, of the header */
} place;

struct sp_copy_mask {
    uint8_t key[SP_MASK_KEY_BYTES];
    sp_buf field; /* of a masked column, as it stands there (text: raw, CSV: without quotes) */
    bool is_long; /* more than is kept */
    bool was_quoted;
    bool in_header;
    bool is_done; /* binary: the trailer was seen */
    place at;
    uint16_t column;
    uint32_t left; /* bytes of the value, or of the extension */
    uint8_t have;  /* bytes of a number or of the header */
    uint8_t word[HEADER_BYTES];
    sp_copy_plan plan; /* with as many columns as there are */
};

sp_err sp_copy_mask_new(const sp_copy_plan *plan, const uint8_t key[SP_MASK_KEY_BYTES],
                        sp_copy_mask **ret_mask)
{
    bool is_text = plan->format == SP_COPY_TEXT;
    bool is_written = plan->delimiter != '\0' && plan->delimiter != '\n' && plan->delimiter < 0x80;
    /* a value that reads like the NULL of the text format cannot be told from it, but for \N */
    bool is_sure =
        !is_text || sp_span_eq((sp_span){plan->null, plan->null_len}, SP_SPAN_LIT("\\N"));
    bool is_csv = plan->format == SP_COPY_CSV;
    if (plan->format >= SP_COPY_FORMAT_COUNT || plan->column_count > SP_COPY_COLUMNS_MAX ||
        plan->null_len > SP_COPY_NULL_MAX_BYTES ||
        (plan->format != SP_COPY_BINARY && (!is_written || !is_sure)) ||
        (is_text && plan->delimiter == '\\') ||
        (is_csv &&
         (plan->quote == '\0' || plan->quote == plan->delimiter || plan->escape == '\0'))) {
        return sp_fail(SP_EINVALID);
    }
    sp_copy_mask *mask = NULL;
    TRY(sp_alloc(1, sizeof(*mask), &mask));
    mask->plan = *plan;
    mask->field = sp_buf_make(SP_COPY_FIELD_MAX_BYTES);
    mask->in_header = plan->has_header && plan->format != SP_COPY_BINARY;
    sp_copy(mask->key, key, SP_MASK_KEY_BYTES);
    *ret_mask = mask;
    return sp_ok();
}

void sp_copy_mask_free(sp_copy_mask *mask)
{
    if (mask != NULL) {
        sp_buf_wipe(&mask->field);
        sp_buf_done(&mask->field);
        sp_free(mask);
    }
}

bool sp_copy_mask_fits(const sp_copy_mask *mask, bool is_binary, uint16_t column_count)
{
    return is_binary == (mask->plan.format == SP_COPY_BINARY) &&
           column_count == mask->plan.column_count;
}

/* ---- fields ---- */

static bool is_masked(const sp_copy_mask *m)
{
    return !m->in_header && m->column < m->plan.column_count &&
           m->plan.columns[m->column].mask != 0;
}

static sp_span null_of(const sp_copy_mask *m)
{
    return (sp_span){m->plan.null, m->plan.null_len};
}

static void keep(sp_copy_mask *m, uint8_t byte)
{
    if (m->field.len == SP_COPY_FIELD_MAX_BYTES) {
        m->is_long = true;
    } else {
        sp_buf_byte(&m->field, byte);
    }
}

/* What stands in the place of a value; false: NULL. */
static bool mask_field(sp_copy_mask *m, sp_span value, sp_buf *out)
{
    const sp_copy_column *column = &m->plan.columns[m->column];
    bool becomes_null = false;
    sp_mask kind = (sp_mask)(column->mask - 1);
    sp_mask_value(m->is_long && kind != SP_MASK_NULL ? SP_MASK_FULL : kind, column->type_oid,
                  m->key, m->is_long ? SP_SPAN_EMPTY : value, out, &becomes_null);
    return !becomes_null;
}

static void end_field(sp_copy_mask *m)
{
    sp_buf_reset(&m->field);
    m->is_long = false;
    m->was_quoted = false;
}

/* ---- the text format ---- */

static uint8_t unescaped(uint8_t c)
{
    static const char letters[] = "bfnrtv";
    static const char meant[] = "\b\f\n\r\t\v";
    for (size_t i = 0; i < sizeof(letters) - 1; i++) {
        if (c == (uint8_t)letters[i]) {
            return (uint8_t)meant[i];
        }
    }
    return c;
}

static void put_text(const sp_copy_mask *m, sp_span value, sp_buf *out)
{
    static const char letters[] = "bfnrtv";
    static const char meant[] = "\b\f\n\r\t\v";
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        size_t control = 0;
        while (control < sizeof(meant) - 1 && c != (uint8_t)meant[control]) {
            control++;
        }
        if (c == m->plan.delimiter || c == '\\') {
            sp_buf_byte(out, '\\');
            sp_buf_byte(out, c);
        } else if (control < sizeof(meant) - 1) {
            sp_buf_byte(out, '\\');
            sp_buf_byte(out, (uint8_t)letters[control]);
        } else {
            sp_buf_byte(out, c);
        }
    }
}

static void end_text(sp_copy_mask *m, sp_buf *out)
{
    sp_span raw = sp_buf_borrow(&m->field);
    auto_buf sp_buf value = sp_buf_make(SP_COPY_FIELD_MAX_BYTES);
    auto_buf sp_buf masked = sp_buf_make(SP_COPY_FIELD_MAX_BYTES + 64);
    bool is_null = !m->is_long && sp_span_eq(raw, null_of(m));
    for (size_t i = 0; i < raw.len; i++) {
        bool escapes = raw.ptr[i] == '\\' && i + 1 < raw.len;
        i += escapes ? 1 : 0;
        sp_buf_byte(&value, escapes ? unescaped(raw.ptr[i]) : raw.ptr[i]);
    }
    if (is_null || !mask_field(m, sp_buf_borrow(&value), &masked)) {
        sp_buf_span(out, null_of(m));
    } else {
        put_text(m, sp_buf_borrow(&masked), out);
    }
    sp_buf_wipe(&value);
}

/* ---- CSV ---- */

static void put_csv(const sp_copy_mask *m, sp_span value, sp_buf *out)
{
    bool quotes = m->plan.quotes_text || sp_span_eq(value, null_of(m)) ||
                  sp_span_eq(value, SP_SPAN_LIT("\\."));
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        quotes |= c == m->plan.delimiter || c == m->plan.quote || c == '\n' || c == '\r';
    }
    if (!quotes) {
        sp_buf_span(out, value);
        return;
    }
    sp_buf_byte(out, m->plan.quote);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == m->plan.quote || value.ptr[i] == m->plan.escape) {
            sp_buf_byte(out, m->plan.escape);
        }
        sp_buf_byte(out, value.ptr[i]);
    }
    sp_buf_byte(out, m->plan.quote);
}

static void end_csv(sp_copy_mask *m, sp_buf *out)
{
    auto_buf sp_buf masked = sp_buf_make(SP_COPY_FIELD_MAX_BYTES + 64);
    sp_span value = sp_buf_borrow(&m->field);
    bool is_null = !m->was_quoted && !m->is_long && sp_span_eq(value, null_of(m));
    if (is_null || !mask_field(m, value, &masked)) {
        sp_buf_span(out, null_of(m));
    } else {
        put_csv(m, sp_buf_borrow(&masked), out);
    }
}

/* ---- text and CSV ---- */

/* Ends a field, and with '\n' a row. */
static sp_err end_written(sp_copy_mask *m, uint8_t byte, sp_buf *out)
{
    if (is_masked(m)) {
        if (m->plan.format == SP_COPY_CSV) {
            end_csv(m, out);
        } else {
            end_text(m, out);
        }
    }
    end_field(m);
    sp_buf_byte(out, byte);
    m->at = AT_BEGIN;
    m->column++;
    if (byte == '\n') {
        /* a row without columns is an empty line */
        bool whole =
            m->column == m->plan.column_count || (m->plan.column_count == 0 && m->column == 1);
        m->column = 0;
        m->in_header = false;
        return whole ? sp_ok() : sp_fail(SP_EINVALID);
    }
    return m->column < m->plan.column_count ? sp_ok() : sp_fail(SP_EINVALID);
}

/* A byte that is part of the field: clear ones pass as they are. */
static void take(sp_copy_mask *m, uint8_t byte, bool is_value, sp_buf *out)
{
    if (!is_masked(m)) {
        sp_buf_byte(out, byte);
    } else if (is_value) {
        keep(m, byte);
    }
}

static sp_err text_byte(sp_copy_mask *m, uint8_t c, sp_buf *out)
{
    if (m->at != AT_ESCAPED && (c == m->plan.delimiter || c == '\n')) {
        return end_written(m, c, out);
    }
    m->at = m->at != AT_ESCAPED && c == '\\' ? AT_ESCAPED : AT_PLAIN;
    take(m, c, true, out);
    return sp_ok();
}

/* In a quoted field; false: the byte does not belong to it any more. */
static bool quoted_byte(sp_copy_mask *m, uint8_t c, sp_buf *out)
{
    const sp_copy_plan *plan = &m->plan;
    bool doubles = plan->escape == plan->quote;
    if (m->at == AT_QUOTE) {
        if (!doubles || c != plan->quote) {
            return false;
        }
        m->at = AT_QUOTED;
        take(m, c, true, out);
    } else if (m->at == AT_ESCAPED) {
        if (c != plan->quote && c != plan->escape && is_masked(m)) {
            keep(m, plan->escape); /* it stood for itself */
        }
        m->at = AT_QUOTED;
        take(m, c, true, out);
    } else if (c == plan->quote || c == plan->escape) {
        m->at = c == plan->quote ? AT_QUOTE : AT_ESCAPED;
        take(m, c, false, out);
    } else {
        take(m, c, true, out);
    }
    return true;
}

static sp_err csv_byte(sp_copy_mask *m, uint8_t c, sp_buf *out)
{
    bool in_quotes = m->at == AT_QUOTED || m->at == AT_QUOTE || m->at == AT_ESCAPED;
    if (in_quotes && quoted_byte(m, c, out)) {
        return sp_ok();
    }
    if (c == m->plan.delimiter || c == '\n') {
        return end_written(m, c, out);
    }
    bool is_quote = c == m->plan.quote;
    if (m->at == AT_QUOTE || (is_quote && m->at != AT_BEGIN)) {
        return sp_fail(SP_EINVALID); /* the server quotes whole fields */
    }
    m->was_quoted |= is_quote;
    m->at = is_quote ? AT_QUOTED : AT_PLAIN;
    take(m, c, !is_quote, out);
    return sp_ok();
}

/* ---- binary ---- */

static uint32_t number(const uint8_t *bytes, size_t count)
{
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* Gathers a number that may come in pieces. */
static bool gather(sp_copy_mask *m, uint8_t wanted, sp_span *bytes)
{
    while (m->have < wanted && bytes->len > 0) {
        m->word[m->have++] = bytes->ptr[0];
        *bytes = sp_span_slice(*bytes, 1, bytes->len);
    }
    if (m->have < wanted) {
        return false;
    }
    m->have = 0;
    return true;
}

static sp_err begin_binary(sp_copy_mask *m, sp_buf *out)
{
    static const uint8_t signature[SIGNATURE_BYTES] = "PGCOPY\n\377\r\n";
    if (!sp_span_eq(sp_span_of(m->word, SIGNATURE_BYTES), sp_span_of(signature, SIGNATURE_BYTES)) ||
        number(m->word + SIGNATURE_BYTES, 4) != 0) {
        return sp_fail(SP_EINVALID);
    }
    sp_buf_span(out, sp_span_of(m->word, HEADER_BYTES));
    m->left = number(m->word + SIGNATURE_BYTES + 4, 4);
    m->at = AT_EXTENSION;
    return sp_ok();
}

static sp_err count_binary(sp_copy_mask *m, sp_buf *out)
{
    uint32_t count = number(m->word, 2);
    sp_buf_span(out, sp_span_of(m->word, 2));
    m->is_done = count == TRAILER;
    m->column = 0;
    m->at = count == 0 ? AT_COUNT : AT_LENGTH;
    return m->is_done || count == m->plan.column_count ? sp_ok() : sp_fail(SP_EINVALID);
}

static void end_binary(sp_copy_mask *m, sp_buf *out)
{
    if (is_masked(m)) {
        auto_buf sp_buf masked = sp_buf_make(SP_COPY_FIELD_MAX_BYTES + 64);
        bool is_value = mask_field(m, sp_buf_borrow(&m->field), &masked);
        sp_buf_u32(out, is_value ? (uint32_t)masked.len : UINT32_MAX);
        sp_buf_span(out, is_value ? sp_buf_borrow(&masked) : SP_SPAN_EMPTY);
        end_field(m);
    }
    m->column++;
    m->at = m->column == m->plan.column_count ? AT_COUNT : AT_LENGTH;
}

static sp_err length_binary(sp_copy_mask *m, sp_buf *out)
{
    uint32_t len = number(m->word, 4);
    bool is_null = len == UINT32_MAX;
    if (!is_null && len > INT32_MAX) {
        return sp_fail(SP_EINVALID);
    }
    if (is_null || !is_masked(m)) {
        sp_buf_span(out, sp_span_of(m->word, 4));
    }
    m->left = is_null ? 0 : len;
    m->at = AT_VALUE;
    if (is_null) {
        m->column++;
        m->at = m->column == m->plan.column_count ? AT_COUNT : AT_LENGTH;
    } else if (len == 0) {
        end_binary(m, out);
    }
    return sp_ok();
}

static void value_binary(sp_copy_mask *m, sp_span *bytes, sp_buf *out)
{
    size_t here = bytes->len < m->left ? bytes->len : m->left;
    if (!is_masked(m)) {
        sp_buf_span(out, sp_span_slice(*bytes, 0, here));
    } else {
        size_t room = SP_COPY_FIELD_MAX_BYTES - m->field.len;
        sp_buf_span(&m->field, sp_span_slice(*bytes, 0, here < room ? here : room));
        m->is_long |= here > room;
    }
    *bytes = sp_span_slice(*bytes, here, bytes->len);
    m->left -= (uint32_t)here;
    if (m->left == 0) {
        end_binary(m, out);
    }
}

static sp_err binary(sp_copy_mask *m, sp_span bytes, sp_buf *out)
{
    while (bytes.len > 0) {
        if (m->is_done) {
            return sp_fail(SP_EINVALID);
        }
        if (m->at == AT_BEGIN) {
            if (gather(m, HEADER_BYTES, &bytes)) {
                TRY(begin_binary(m, out));
            }
        } else if (m->at == AT_EXTENSION) {
            size_t here = bytes.len < m->left ? bytes.len : m->left;
            sp_buf_span(out, sp_span_slice(bytes, 0, here));
            bytes = sp_span_slice(bytes, here, bytes.len);
            m->left -= (uint32_t)here;
        } else if (m->at == AT_COUNT) {
            if (gather(m, 2, &bytes)) {
                TRY(count_binary(m, out));
            }
        } else if (m->at == AT_LENGTH) {
            if (gather(m, 4, &bytes)) {
                TRY(length_binary(m, out));
            }
        } else {
            value_binary(m, &bytes, out);
        }
        if (m->at == AT_EXTENSION && m->left == 0) {
            m->at = AT_COUNT;
        }
    }
    return sp_ok();
}

/* ---- the calls ---- */

sp_err sp_copy_mask_data(sp_copy_mask *mask, sp_span bytes, sp_buf *out)
{
    if (mask->plan.format == SP_COPY_BINARY) {
        TRY(binary(mask, bytes, out));
    } else {
        bool is_csv = mask->plan.format == SP_COPY_CSV;
        for (size_t i = 0; i < bytes.len; i++) {
            TRY(is_csv ? csv_byte(mask, bytes.ptr[i], out) : text_byte(mask, bytes.ptr[i], out));
        }
    }
    TRY(sp_buf_error(&mask->field));
    return sp_buf_error(out);
}

sp_err sp_copy_mask_end(const sp_copy_mask *mask)
{
    bool whole = mask->plan.format == SP_COPY_BINARY
                     ? mask->is_done
                     : mask->at == AT_BEGIN && mask->column == 0 && mask->field.len == 0;
    return whole ? sp_ok() : sp_fail(SP_EINVALID);
}
