/* SPDX-License-Identifier: Apache-2.0
 * Settings by which a text has another meaning: what its dates say, in which zone it is now, which
 * words its searches know.
 *
 * What others agree to is the text as the asker's own session reads it. So before people are asked
 * the server tells all settings on his connection (SHOW ALL, hold.c), and on the estimate's what
 * the account has by default; the estimate reads by those of the asker. Those that differ are shown
 * to people behind the text, and agreed to with it. Where nobody is asked (budgets of rows) the
 * estimate reads by those of them that the server reports by itself, as they are now.
 *
 * OWNS nothing. PROCESS db gate workers. TRUST values come from the server, set by the client; they
 * have a maximum. SPEC gates/db/judging.h; PostgreSQL 15 manual, 20.11 "Client Connection
 * Defaults".
 */
#include "gates/db/judging.h"

/* As SHOW ALL writes them. What a session sets besides does not change what a text does, or cannot
 * be set through the gate. */
enum { EXTRA_FLOAT_DIGITS = 7 };
static const char *const names[DB_SETTINGS] = {
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "DateStyle",
    "default_table_access_method",
    "default_tablespace",
    "default_text_search_config",
    [EXTRA_FLOAT_DIGITS] = "extra_float_digits",
    "gin_fuzzy_search_limit",
    "IntervalStyle",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "quote_all_identifiers",
    "row_security",
    "standard_conforming_strings",
    "TimeZone",
    "timezone_abbreviations",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
};

const char *const db_settings_reported[DB_REPORTED] = {"DateStyle", "IntervalStyle", "TimeZone"};

static void put(db_settings *all, size_t at, sp_span value)
{
    /* above zero a number is written as short as it can be read again, whatever that is */
    bool is_short = at == EXTRA_FLOAT_DIGITS && value.len == 1 && value.ptr[0] > '0';
    value = is_short ? SP_SPAN_LIT("1") : value;
    size_t len = value.len < DB_SETTING_BYTES ? value.len : DB_SETTING_BYTES;
    sp_copy(all->items[at].value, value.ptr, len);
    all->items[at].len = (uint8_t)len;
}

sp_err db_settings_report(db_reported *all, sp_span name, sp_span value)
{
    size_t at = sp_span_which(name, db_settings_reported, DB_REPORTED);
    if (at == DB_REPORTED || value.len > DB_SETTING_BYTES) {
        return sp_ok();
    }
    sp_free(all->items[at]);
    all->items[at] = NULL;
    return sp_strdup(value, &all->items[at]);
}

void db_reported_done(db_reported *all)
{
    for (size_t i = 0; i < DB_REPORTED; i++) {
        sp_free(all->items[i]);
    }
}

void db_settings_are_now(db_settings *all, const db_reported *now)
{
    for (size_t i = 0; i < DB_REPORTED; i++) {
        size_t at = sp_span_which(sp_span_cstr(db_settings_reported[i]), names, DB_SETTINGS);
        if (now->items[i] != NULL && now->items[i][0] != '\0') {
            put(all, at, sp_span_cstr(now->items[i]));
        }
    }
}

void db_settings_take(db_settings *all, db_reported *now, sp_span body)
{
    sp_pg_data_row row;
    sp_span name = SP_SPAN_EMPTY;
    sp_span value = SP_SPAN_EMPTY;
    bool is_null = false;
    all->are_known = true;
    if (sp_failed(sp_pg_data_row_read(body, &row)) ||
        !sp_pg_value_next(&row.values, &name, &is_null) ||
        !sp_pg_value_next(&row.values, &value, &is_null)) {
        return;
    }
    size_t at = sp_span_which(name, names, DB_SETTINGS);
    if (at < DB_SETTINGS) {
        put(all, at, value);
    }
    if (now != NULL) {
        SP_IGNORE(db_settings_report(now, name, value)); /* it is taken from here, then */
    }
}

static sp_span value_of(const db_settings *all, size_t at)
{
    return (sp_span){all->items[at].value, all->items[at].len};
}

bool db_settings_differ(const db_settings *all, const db_settings *from, sp_buf *out)
{
    bool any = false;
    for (size_t i = 0; all->are_known && i < DB_SETTINGS; i++) {
        sp_span value = value_of(all, i);
        if (from->are_known && sp_span_eq(value, value_of(from, i))) {
            continue;
        }
        sp_buf_fmt(out, "%s\n  %s = ", any ? "," : "\n\nSETTINGS", names[i]);
        db_literal_write(out, value);
        any = true;
    }
    return any;
}

/* What the server does not know has no value. */
void db_settings_set(const db_settings *all, sp_buf *out)
{
    auto_buf sp_buf json = sp_buf_make((size_t)DB_SETTINGS * (DB_SETTING_BYTES * 6 + 64));
    auto_buf sp_buf value = sp_buf_make(json.max_bytes + 16);
    for (size_t i = 0; i < DB_SETTINGS; i++) {
        sp_buf_text(&json, i == 0 ? "{" : ",");
        sp_buf_json(&json, sp_span_cstr(names[i]));
        sp_buf_text(&json, ":");
        sp_buf_json(&json, value_of(all, i));
    }
    sp_buf_text(&json, "}");
    sp_buf_bytes(&value, sp_buf_borrow(&json));
    sp_pg_parse_write(out, SP_SPAN_EMPTY,
                      SP_SPAN_LIT("SELECT pg_catalog.set_config(key, value, false) FROM "
                                  "pg_catalog.json_each_text($1) WHERE value <> ''"));
    sp_pg_bind_write(out, &(sp_pg_bind){.value_count = 1, .values = sp_buf_borrow(&value)});
    sp_pg_execute_write(out, SP_SPAN_EMPTY);
}
