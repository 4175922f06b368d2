/* SPDX-License-Identifier: Apache-2.0
 * Reading and writing the PostgreSQL wire.
 * OWNS nothing. PROCESS db gate. TRUST see pgwire.h. SPEC lib/proto/pgwire.h.
 */
#include "lib/proto/pgwire.h"

enum {
    FIRST_LEAST_BYTES = 8,
    PROTOCOL_MAJOR = 3,
    CODE_CANCEL = 80877102,
    CODE_SSL = 80877103,
    CODE_GSSENC = 80877104,
    CANCEL_KEY_MAX_BYTES = 256,
    FIELD_FIXED_BYTES = 18
};

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* A string up to its NUL, which must be there. */
static sp_span read_cstr(sp_reader *in)
{
    size_t len = sp_span_index(in->rest, '\0');
    if (len == in->rest.len) {
        sp_reader_fail(in, SP_EINVALID);
        return SP_SPAN_EMPTY;
    }
    sp_span text = sp_read_span(in, len);
    (void)sp_read_u8(in);
    return text;
}

/* ---- before log-in ---- */

static sp_err check_parameters(sp_span list)
{
    sp_reader in = sp_reader_of(list);
    while (!sp_failed(in.err)) {
        if (in.rest.len == 1 && in.rest.ptr[0] == '\0') {
            return sp_ok();
        }
        sp_span name = read_cstr(&in);
        if (name.len == 0) {
            return sp_fail(SP_EINVALID); /* an empty name ends the list: nothing may follow */
        }
        (void)read_cstr(&in);
    }
    return sp_fail(SP_EINVALID);
}

static sp_err read_cancel(sp_reader *in, sp_pg_first *first)
{
    first->kind = SP_PG_FIRST_CANCEL;
    first->cancel_pid = sp_read_u32(in);
    first->cancel_key = in->rest;
    bool good = first->cancel_key.len >= 4 && first->cancel_key.len <= CANCEL_KEY_MAX_BYTES;
    return sp_failed(in->err) || !good ? sp_fail(SP_EINVALID) : sp_ok();
}

sp_err sp_pg_first_read(sp_span bytes, sp_pg_first *ret_first)
{
    if (bytes.len < 4) {
        return sp_fail(SP_EAGAIN);
    }
    uint32_t size = u32_at(bytes.ptr);
    if (size > SP_PG_FIRST_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    if (size < FIRST_LEAST_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    if (bytes.len < size) {
        return sp_fail(SP_EAGAIN);
    }
    sp_reader in = sp_reader_of(sp_span_slice(bytes, 4, size));
    uint32_t code = sp_read_u32(&in);
    sp_pg_first first = {.size_bytes = size};
    if (code == CODE_CANCEL) {
        TRY(read_cancel(&in, &first));
    } else if (code == CODE_SSL || code == CODE_GSSENC) {
        if (size != FIRST_LEAST_BYTES) {
            return sp_fail(SP_EINVALID);
        }
        first.kind = code == CODE_SSL ? SP_PG_FIRST_SSL : SP_PG_FIRST_GSSENC;
    } else {
        first.kind = SP_PG_FIRST_STARTUP;
        first.major = (uint16_t)(code >> 16);
        first.minor = (uint16_t)(code & 0xffff);
        first.parameters = in.rest;
        TRY(first.major == PROTOCOL_MAJOR ? check_parameters(in.rest) : sp_ok());
    }
    *ret_first = first;
    return sp_ok();
}

bool sp_pg_parameter_next(sp_span *parameters, sp_span *ret_name, sp_span *ret_value)
{
    if (parameters->len <= 1) {
        return false;
    }
    sp_reader in = sp_reader_of(*parameters);
    *ret_name = read_cstr(&in);
    *ret_value = read_cstr(&in);
    *parameters = in.rest;
    return !sp_failed(in.err);
}

/* ---- messages ---- */

sp_err sp_pg_head_read(sp_span bytes, sp_pg_head *ret_head)
{
    if (bytes.len < SP_PG_HEAD_BYTES) {
        return sp_fail(SP_EAGAIN);
    }
    uint32_t length = u32_at(bytes.ptr + 1);
    if (length < 4) {
        return sp_fail(SP_EINVALID);
    }
    if (length - 4 > SP_PG_BODY_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    *ret_head = (sp_pg_head){.type = bytes.ptr[0], .body_len = length - 4};
    return sp_ok();
}

bool sp_pg_is_front(uint8_t type)
{
    return sp_span_index(SP_SPAN_LIT("BCDEFHPQSXcdfp"), type) < sizeof("BCDEFHPQSXcdfp") - 1;
}

/* ---- front messages ---- */

sp_err sp_pg_query_read(sp_span body, sp_span *ret_text)
{
    sp_reader in = sp_reader_of(body);
    sp_span text = read_cstr(&in);
    TRY(sp_reader_finish(&in));
    *ret_text = text;
    return sp_ok();
}

sp_err sp_pg_parse_read(sp_span body, sp_pg_parse *ret_parse)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_parse parse = {.name = read_cstr(&in)};
    parse.text = read_cstr(&in);
    parse.type_count = sp_read_u16(&in);
    parse.types = sp_read_span(&in, (size_t)parse.type_count * 4);
    TRY(sp_reader_finish(&in));
    *ret_parse = parse;
    return sp_ok();
}

/* Steps over count values; the span that holds them. */
static sp_span read_values(sp_reader *in, uint16_t count)
{
    const uint8_t *from = in->rest.ptr;
    for (uint16_t i = 0; i < count && !sp_failed(in->err); i++) {
        uint32_t len = sp_read_u32(in);
        if (len != UINT32_MAX) {
            (void)sp_read_span(in, len);
        }
    }
    return sp_failed(in->err) || count == 0 ? SP_SPAN_EMPTY
                                            : sp_span_of(from, (size_t)(in->rest.ptr - from));
}

sp_err sp_pg_bind_read(sp_span body, sp_pg_bind *ret_bind)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_bind bind = {.portal = read_cstr(&in)};
    bind.statement = read_cstr(&in);
    bind.format_count = sp_read_u16(&in);
    bind.formats = sp_read_span(&in, (size_t)bind.format_count * 2);
    bind.value_count = sp_read_u16(&in);
    bind.values = read_values(&in, bind.value_count);
    bind.result_format_count = sp_read_u16(&in);
    bind.result_formats = sp_read_span(&in, (size_t)bind.result_format_count * 2);
    TRY(sp_reader_finish(&in));
    *ret_bind = bind;
    return sp_ok();
}

sp_err sp_pg_bind_names_read(sp_span body, sp_span *ret_portal, sp_span *ret_statement)
{
    sp_reader in = sp_reader_of(body);
    sp_span portal = read_cstr(&in);
    sp_span statement = read_cstr(&in);
    TRY(in.err);
    *ret_portal = portal;
    *ret_statement = statement;
    return sp_ok();
}

sp_err sp_pg_named_read(sp_span body, sp_pg_named *ret_named)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_named named = {.kind = sp_read_u8(&in)};
    named.name = read_cstr(&in);
    TRY(sp_reader_finish(&in));
    if (named.kind != 'S' && named.kind != 'P') {
        return sp_fail(SP_EINVALID);
    }
    *ret_named = named;
    return sp_ok();
}

sp_err sp_pg_execute_read(sp_span body, sp_pg_execute *ret_execute)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_execute execute = {.portal = read_cstr(&in)};
    execute.rows_max = sp_read_u32(&in);
    TRY(sp_reader_finish(&in));
    *ret_execute = execute;
    return sp_ok();
}

sp_err sp_pg_sasl_initial_read(sp_span body, sp_pg_sasl_initial *ret_initial)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_sasl_initial initial = {.mechanism = read_cstr(&in)};
    uint32_t len = sp_read_u32(&in);
    initial.has_data = len != UINT32_MAX;
    initial.data = initial.has_data ? sp_read_span(&in, len) : SP_SPAN_EMPTY;
    TRY(sp_reader_finish(&in));
    *ret_initial = initial;
    return sp_ok();
}

bool sp_pg_value_next(sp_span *values, sp_span *ret_value, bool *ret_is_null)
{
    if (values->len < 4) {
        return false;
    }
    uint32_t len = u32_at(values->ptr);
    *ret_is_null = len == UINT32_MAX;
    size_t size = *ret_is_null ? 0 : len;
    *ret_value = sp_span_slice(*values, 4, 4 + size);
    *values = sp_span_slice(*values, 4 + size, values->len);
    return true;
}

uint16_t sp_pg_format_of(uint16_t count, sp_span formats, uint16_t at)
{
    size_t from = count == 1 ? 0 : (size_t)at * 2;
    if (count == 0 || formats.len < from + 2) {
        return 0;
    }
    return (uint16_t)(formats.ptr[from] << 8 | formats.ptr[from + 1]);
}

/* ---- back messages ---- */

sp_err sp_pg_auth_read(sp_span body, sp_pg_auth *ret_auth)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_auth auth = {.kind = sp_read_u32(&in)};
    TRY(in.err);
    auth.data = in.rest;
    *ret_auth = auth;
    return sp_ok();
}

sp_err sp_pg_key_read(sp_span body, uint32_t *ret_pid, sp_span *ret_key)
{
    sp_reader in = sp_reader_of(body);
    uint32_t pid = sp_read_u32(&in);
    if (sp_failed(in.err) || in.rest.len < 4 || in.rest.len > CANCEL_KEY_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    *ret_pid = pid;
    *ret_key = in.rest;
    return sp_ok();
}

sp_err sp_pg_status_read(sp_span body, sp_span *ret_name, sp_span *ret_value)
{
    sp_reader in = sp_reader_of(body);
    sp_span name = read_cstr(&in);
    sp_span value = read_cstr(&in);
    TRY(sp_reader_finish(&in));
    *ret_name = name;
    *ret_value = value;
    return sp_ok();
}

sp_err sp_pg_ready_read(sp_span body, uint8_t *ret_status)
{
    if (body.len != 1 || sp_span_index(SP_SPAN_LIT("ITE"), body.ptr[0]) == 3) {
        return sp_fail(SP_EINVALID);
    }
    *ret_status = body.ptr[0];
    return sp_ok();
}

sp_err sp_pg_complete_read(sp_span body, sp_span *ret_tag)
{
    return sp_pg_query_read(body, ret_tag);
}

bool sp_pg_field_next(sp_span *fields, sp_pg_field *ret_field)
{
    if (fields->len == 0) {
        return false;
    }
    sp_reader in = sp_reader_of(*fields);
    sp_pg_field field = {.name = read_cstr(&in)};
    field.table_oid = sp_read_u32(&in);
    field.attnum = (int16_t)sp_read_u16(&in);
    field.type_oid = sp_read_u32(&in);
    field.type_len = (int16_t)sp_read_u16(&in);
    field.type_mod = (int32_t)sp_read_u32(&in);
    field.format = sp_read_u16(&in);
    *fields = in.rest;
    *ret_field = field;
    return !sp_failed(in.err);
}

sp_err sp_pg_row_description_read(sp_span body, sp_pg_row_description *ret_description)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_row_description description = {.count = sp_read_u16(&in)};
    TRY(in.err);
    if (description.count > SP_PG_COLUMNS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    description.fields = in.rest;
    for (uint16_t i = 0; i < description.count; i++) {
        (void)read_cstr(&in);
        (void)sp_read_span(&in, FIELD_FIXED_BYTES);
    }
    TRY(sp_reader_finish(&in));
    *ret_description = description;
    return sp_ok();
}

sp_err sp_pg_data_row_read(sp_span body, sp_pg_data_row *ret_row)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_data_row row = {.count = sp_read_u16(&in)};
    row.values = read_values(&in, row.count);
    TRY(sp_reader_finish(&in));
    *ret_row = row;
    return sp_ok();
}

static void take_words(sp_pg_error *error, uint8_t code, sp_span text)
{
    if ((code == 'S' && error->severity.len == 0) || code == 'V') {
        error->severity = text;
    } else if (code == 'C') {
        error->sqlstate = text;
    } else if (code == 'M') {
        error->message = text;
    } else if (code == 'D') {
        error->detail = text;
    } else if (code == 'H') {
        error->hint = text;
    } else if (code == 'P') {
        error->position = text;
    }
}

sp_err sp_pg_error_read(sp_span body, sp_pg_error *ret_error)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_error error = {.severity = SP_SPAN_EMPTY};
    for (uint8_t code = sp_read_u8(&in); code != 0; code = sp_read_u8(&in)) {
        take_words(&error, code, read_cstr(&in));
    }
    TRY(sp_reader_finish(&in));
    *ret_error = error;
    return sp_ok();
}

sp_err sp_pg_copy_read(sp_span body, sp_pg_copy *ret_copy)
{
    sp_reader in = sp_reader_of(body);
    sp_pg_copy copy = {.format = sp_read_enum(&in, 2)};
    copy.column_count = sp_read_u16(&in);
    copy.column_formats = sp_read_span(&in, (size_t)copy.column_count * 2);
    TRY(sp_reader_finish(&in));
    *ret_copy = copy;
    return sp_ok();
}

/* ---- writers ---- */

static void put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

size_t sp_pg_begin(sp_buf *out, uint8_t type)
{
    sp_buf_u8(out, type);
    size_t at = out->len;
    sp_buf_u32(out, 0);
    return at;
}

void sp_pg_end(sp_buf *out, size_t begun_at)
{
    if (!sp_failed(sp_buf_error(out))) {
        put_u32(out->ptr + begun_at, (uint32_t)(out->len - begun_at));
    }
}

void sp_pg_cstr(sp_buf *out, sp_span text)
{
    if (sp_span_index(text, '\0') < text.len && !sp_failed(out->err)) {
        out->err = sp_fail(SP_EINVALID);
    }
    sp_buf_span(out, text);
    sp_buf_u8(out, 0);
}

void sp_pg_startup_write(sp_buf *out, const sp_span *names_and_values, size_t pair_count)
{
    size_t at = out->len;
    sp_buf_u32(out, 0);
    sp_buf_u32(out, (uint32_t)PROTOCOL_MAJOR << 16);
    for (size_t i = 0; i < pair_count * 2; i++) {
        sp_pg_cstr(out, names_and_values[i]);
    }
    sp_buf_u8(out, 0);
    sp_pg_end(out, at);
}

void sp_pg_ssl_request_write(sp_buf *out)
{
    sp_buf_u32(out, FIRST_LEAST_BYTES);
    sp_buf_u32(out, CODE_SSL);
}

void sp_pg_cancel_write(sp_buf *out, uint32_t pid, sp_span key)
{
    sp_buf_u32(out, (uint32_t)(12 + key.len));
    sp_buf_u32(out, CODE_CANCEL);
    sp_buf_u32(out, pid);
    sp_buf_span(out, key);
}

void sp_pg_query_write(sp_buf *out, sp_span text)
{
    size_t at = sp_pg_begin(out, 'Q');
    sp_pg_cstr(out, text);
    sp_pg_end(out, at);
}

void sp_pg_parse_typed_write(sp_buf *out, const sp_pg_parse *parse)
{
    size_t at = sp_pg_begin(out, 'P');
    sp_pg_cstr(out, parse->name);
    sp_pg_cstr(out, parse->text);
    sp_buf_u16(out, parse->type_count);
    sp_buf_span(out, parse->types);
    sp_pg_end(out, at);
}

void sp_pg_parse_write(sp_buf *out, sp_span name, sp_span text)
{
    const sp_pg_parse parse = {.name = name, .text = text};
    sp_pg_parse_typed_write(out, &parse);
}

void sp_pg_bind_write(sp_buf *out, const sp_pg_bind *bind)
{
    size_t at = sp_pg_begin(out, 'B');
    sp_pg_cstr(out, bind->portal);
    sp_pg_cstr(out, bind->statement);
    sp_buf_u16(out, bind->format_count);
    sp_buf_span(out, bind->formats);
    sp_buf_u16(out, bind->value_count);
    sp_buf_span(out, bind->values);
    sp_buf_u16(out, 0);
    sp_pg_end(out, at);
}

void sp_pg_execute_write(sp_buf *out, sp_span portal)
{
    size_t at = sp_pg_begin(out, 'E');
    sp_pg_cstr(out, portal);
    sp_buf_u32(out, 0);
    sp_pg_end(out, at);
}

void sp_pg_empty_write(sp_buf *out, uint8_t type)
{
    sp_pg_end(out, sp_pg_begin(out, type));
}

void sp_pg_copy_fail_write(sp_buf *out, const char *why)
{
    size_t at = sp_pg_begin(out, 'f');
    sp_pg_cstr(out, sp_span_cstr(why));
    sp_pg_end(out, at);
}

void sp_pg_sasl_initial_write(sp_buf *out, sp_span mechanism, sp_span data)
{
    size_t at = sp_pg_begin(out, 'p');
    sp_pg_cstr(out, mechanism);
    sp_buf_bytes(out, data);
    sp_pg_end(out, at);
}

void sp_pg_password_write(sp_buf *out, sp_span bytes)
{
    size_t at = sp_pg_begin(out, 'p');
    sp_buf_span(out, bytes);
    sp_pg_end(out, at);
}

void sp_pg_auth_write(sp_buf *out, uint32_t kind, sp_span data)
{
    size_t at = sp_pg_begin(out, 'R');
    sp_buf_u32(out, kind);
    sp_buf_span(out, data);
    sp_pg_end(out, at);
}

void sp_pg_negotiate_write(sp_buf *out, uint16_t minor, const sp_span *options, size_t count)
{
    size_t at = sp_pg_begin(out, 'v');
    sp_buf_u32(out, (uint32_t)PROTOCOL_MAJOR << 16 | minor);
    sp_buf_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        sp_pg_cstr(out, options[i]);
    }
    sp_pg_end(out, at);
}

void sp_pg_key_write(sp_buf *out, uint32_t pid, sp_span key)
{
    size_t at = sp_pg_begin(out, 'K');
    sp_buf_u32(out, pid);
    sp_buf_span(out, key);
    sp_pg_end(out, at);
}

void sp_pg_ready_write(sp_buf *out, uint8_t status)
{
    size_t at = sp_pg_begin(out, 'Z');
    sp_buf_u8(out, status);
    sp_pg_end(out, at);
}

static void put_field(sp_buf *out, uint8_t code, sp_span text)
{
    if (text.len > 0) {
        sp_buf_u8(out, code);
        sp_pg_cstr(out, text);
    }
}

sp_pg_error sp_pg_error_begin(sp_span begin, size_t each_max)
{
    sp_pg_error error = {.severity = SP_SPAN_EMPTY};
    while (begin.len > 1 && begin.ptr[0] != 0) {
        sp_span text = sp_span_slice(begin, 1, begin.len);
        size_t len = sp_span_index(text, 0);
        take_words(&error, begin.ptr[0], sp_span_cut(sp_span_slice(text, 0, len), each_max));
        begin = sp_span_slice(text, len < text.len ? len + 1 : len, text.len);
    }
    return error;
}

void sp_pg_error_write(sp_buf *out, uint8_t type, const sp_pg_error *error)
{
    size_t at = sp_pg_begin(out, type);
    put_field(out, 'S', error->severity);
    put_field(out, 'V', error->severity);
    put_field(out, 'C', error->sqlstate);
    put_field(out, 'M', error->message);
    put_field(out, 'D', error->detail);
    put_field(out, 'H', error->hint);
    put_field(out, 'P', error->position);
    sp_buf_u8(out, 0);
    sp_pg_end(out, at);
}
