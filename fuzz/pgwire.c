/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: the PostgreSQL wire. The first byte chooses a reader; what it hands out must lie inside
 * the input, and the walks must end.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/pgwire.h.
 */
#include "lib/proto/pgwire.h"

#include <stdlib.h>

static void inside(sp_span whole, sp_span part)
{
    if (part.len > 0 && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len)) {
        abort();
    }
}

static void walk_values(sp_span body, sp_span values, uint16_t count)
{
    sp_span value;
    bool is_null = false;
    unsigned seen = 0;
    inside(body, values);
    while (sp_pg_value_next(&values, &value, &is_null)) {
        inside(body, value);
        seen++;
    }
    if (seen != count) {
        abort();
    }
}

static void first(sp_span body)
{
    sp_pg_first packet;
    if (sp_failed(sp_pg_first_read(body, &packet)) || packet.kind != SP_PG_FIRST_STARTUP) {
        return;
    }
    sp_span name;
    sp_span value;
    while (packet.major == 3 && sp_pg_parameter_next(&packet.parameters, &name, &value)) {
        inside(body, name);
        inside(body, value);
    }
}

static void front(sp_span body)
{
    sp_pg_parse parse;
    if (!sp_failed(sp_pg_parse_read(body, &parse))) {
        inside(body, parse.text);
        inside(body, parse.types);
    }
    sp_pg_bind bind;
    if (!sp_failed(sp_pg_bind_read(body, &bind))) {
        walk_values(body, bind.values, bind.value_count);
        for (unsigned i = 0; i < 70000; i += 999) {
            (void)sp_pg_format_of(bind.result_format_count, bind.result_formats, (uint16_t)i);
        }
    }
    sp_pg_named named;
    sp_pg_execute execute;
    sp_pg_sasl_initial initial;
    SP_IGNORE(sp_pg_named_read(body, &named));     /* only that it ends well */
    SP_IGNORE(sp_pg_execute_read(body, &execute)); /* the same */
    if (!sp_failed(sp_pg_sasl_initial_read(body, &initial))) {
        inside(body, initial.data);
    }
}

static void back(sp_span body)
{
    sp_pg_row_description description;
    if (!sp_failed(sp_pg_row_description_read(body, &description))) {
        sp_pg_field field;
        unsigned seen = 0;
        while (sp_pg_field_next(&description.fields, &field)) {
            inside(body, field.name);
            seen++;
        }
        if (seen != description.count) {
            abort();
        }
    }
    sp_pg_data_row row;
    if (!sp_failed(sp_pg_data_row_read(body, &row))) {
        walk_values(body, row.values, row.count);
    }
    sp_pg_error error;
    if (!sp_failed(sp_pg_error_read(body, &error))) {
        inside(body, error.message);
    }
    error = sp_pg_error_begin(body, 8);
    inside(body, error.message);
    if (error.message.len > 8) {
        abort();
    }
    sp_pg_copy copy;
    sp_span a;
    sp_span b;
    uint32_t pid = 0;
    SP_IGNORE(sp_pg_copy_read(body, &copy));    /* only that it ends well */
    SP_IGNORE(sp_pg_status_read(body, &a, &b)); /* the same */
    SP_IGNORE(sp_pg_key_read(body, &pid, &a));  /* the same */
    SP_IGNORE(sp_pg_complete_read(body, &a));   /* the same */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span input = {data, size};
    sp_span body = sp_span_slice(input, 1, size);
    if (size == 0) {
        return 0;
    }
    if (data[0] % 3 == 0) {
        first(body);
    } else if (data[0] % 3 == 1) {
        front(body);
    } else {
        back(body);
    }
    sp_pg_head head;
    SP_IGNORE(sp_pg_head_read(body, &head)); /* only that it ends well */
    return 0;
}
