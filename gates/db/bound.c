/* SPDX-License-Identifier: Apache-2.0
 * Bind: portals, and the values that stand beside a statement. They are kept only where somebody
 * may have to see them (others are asked, a plan is asked for), and belong to what runs as much as
 * its text does: others are shown both, and agree to the hash of both.
 *
 * OWNS kept values by reference. PROCESS db gate workers. TRUST values are hostile: copied with a
 * maximum, shown as literals. SPEC gates/db/judging.h; PostgreSQL 15 manual, 55.7 "Bind".
 */
#include "gates/db/judging.h"

#include <stdio.h>

enum {
    OID_BOOL = 16,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_FIRST_OF_USERS = 16384
};

/* ---- values ---- */

static sp_err keep_values(const sp_pg_bind *bind, db_values **ret_values)
{
    db_values *made = NULL;
    size_t bytes = bind->formats.len + bind->values.len;
    TRY(sp_alloc(1, sizeof(*made) + bytes, &made));
    made->refs = 1;
    made->len = bytes;
    sp_copy(made->bytes, bind->formats.ptr, bind->formats.len);
    sp_copy(made->bytes + bind->formats.len, bind->values.ptr, bind->values.len);
    made->bind = (sp_pg_bind){.format_count = bind->format_count,
                              .formats = {made->bytes, bind->formats.len},
                              .value_count = bind->value_count,
                              .values = {made->bytes + bind->formats.len, bind->values.len}};
    *ret_values = made;
    return sp_ok();
}

db_values *db_values_ref(db_values *values)
{
    if (values != NULL) {
        values->refs++;
    }
    return values;
}

void db_values_unref(db_values *values)
{
    if (values != NULL && --values->refs == 0) {
        sp_free(values);
    }
}

sp_hash db_run_hash(const db_run_ask *run)
{
    if (run->values == NULL) {
        return sp_sha256(run->text);
    }
    const sp_pg_bind *bind = &run->values->bind;
    auto_buf sp_buf counts = sp_buf_make(32);
    sp_buf_u8(&counts, 0); /* no text holds it */
    sp_buf_u32(&counts, run->types.type_count);
    sp_buf_u32(&counts, bind->format_count);
    sp_buf_u32(&counts, bind->value_count);
    const sp_span parts[] = {run->text, sp_buf_borrow(&counts), run->types.types, bind->formats,
                             bind->values};
    return sp_sha256_parts(parts, SP_COUNT(parts));
}

/* ---- shown ---- */

static uint32_t type_of(const sp_pg_parse *types, uint16_t at)
{
    sp_reader in = sp_reader_of(types->types);
    uint32_t oid = 0;
    for (uint32_t i = 0; i <= at && i < types->type_count; i++) {
        oid = sp_read_u32(&in);
    }
    return at < types->type_count ? oid : 0;
}

bool db_values_are_plain(const db_run_ask *run)
{
    /* none; bool, numbers, texts, bytes, JSON, addresses, times, uuid; arrays of these */
    static const uint16_t plain[] = {0,    16,   17,   20,   21,   23,   25,   26,   114,  199,
                                     650,  700,  701,  705,  869,  1000, 1001, 1005, 1007, 1009,
                                     1014, 1015, 1016, 1021, 1022, 1028, 1041, 1042, 1043, 1082,
                                     1083, 1114, 1115, 1182, 1183, 1184, 1185, 1186, 1187, 1231,
                                     1266, 1270, 1700, 2950, 2951, 3802, 3807};
    sp_reader in = sp_reader_of(run->types.types);
    bool all = run->values == NULL || !run->is_typed;
    for (uint32_t i = 0; run->values != NULL && all && i < run->types.type_count; i++) {
        uint32_t type = sp_read_u32(&in);
        size_t at = 0;
        while (at < SP_COUNT(plain) && plain[at] != type) {
            at++;
        }
        all = at < SP_COUNT(plain);
    }
    return all;
}

bool db_types_fit(const db_session *session, const sp_sql_judgement *judgement,
                  const sp_pg_parse *parse, db_refusal *refusal)
{
    const sp_sql_catalogue *now = db_session_judge(session)->catalogue->now;
    bool defines = (judgement->flags & (SP_SQL_IS_DDL | SP_SQL_IS_CREATE_TEMP)) != 0;
    sp_reader in = sp_reader_of(parse->types);
    for (uint32_t i = 0; i < parse->type_count; i++) {
        uint32_t type = sp_read_u32(&in);
        bool may_be_row = defines && type >= OID_FIRST_OF_USERS;
        if (may_be_row || (now != NULL && sp_sql_catalogue_is_cast(now, type))) {
            db_refuse(refusal, "0A000", SP_REASON_UNPARSED, "a parameter of a type %s",
                      may_be_row ? "that may be a temporary table's, in what makes a table"
                                 : "for which users made casts");
            snprintf(refusal->hint, sizeof(refusal->hint),
                     "Leave its type to the server and cast it in the statement.");
            return false;
        }
    }
    return true;
}

static bool is_text(uint32_t oid)
{
    return oid == OID_TEXT || oid == OID_VARCHAR || oid == OID_BPCHAR || oid == OID_NAME ||
           oid == OID_JSON;
}

void db_literal_write(sp_buf *out, sp_span value)
{
    bool escapes = sp_span_index(value, '\\') < value.len;
    sp_buf_text(out, escapes ? "E'" : "'");
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (c == '\'' || c == '\\') {
            sp_buf_byte(out, c);
        }
        sp_buf_byte(out, c);
    }
    sp_buf_byte(out, '\'');
}

/* Whole numbers as such; what is no text as its bytes. */
static void put_binary(sp_buf *out, uint32_t oid, sp_span value)
{
    size_t size = oid == OID_INT2 ? 2 : oid == OID_INT4 ? 4 : oid == OID_INT8 ? 8 : 0;
    if (is_text(oid)) {
        db_literal_write(out, value);
    } else if (oid == OID_BOOL && value.len == 1) {
        sp_buf_text(out, value.ptr[0] != 0 ? "'true'" : "'false'");
    } else if (size != 0 && value.len == size) {
        uint64_t number = (value.ptr[0] & 0x80) != 0 ? UINT64_MAX : 0;
        for (size_t i = 0; i < size; i++) {
            number = number << 8 | value.ptr[i];
        }
        sp_buf_text(out, "'");
        sp_buf_i64_text(out, (int64_t)number);
        sp_buf_text(out, "'");
    } else {
        sp_buf_text(out, "'bytes ");
        sp_buf_hex(out, value);
        sp_buf_text(out, "'");
    }
}

void db_run_write(const db_run_ask *run, sp_buf *out)
{
    sp_buf_span(out, run->text);
    if (run->values == NULL) {
        return;
    }
    const sp_pg_bind *bind = &run->values->bind;
    sp_span rest = bind->values;
    sp_span value;
    bool is_null = false;
    sp_buf_text(out, "\n\nVALUES");
    for (uint16_t i = 0; sp_pg_value_next(&rest, &value, &is_null); i++) {
        sp_buf_fmt(out, "%s\n  $%u = ", i == 0 ? "" : ",", (unsigned)i + 1);
        if (is_null) {
            sp_buf_text(out, "NULL");
        } else if (sp_pg_format_of(bind->format_count, bind->formats, i) == 0) {
            db_literal_write(out, value);
        } else {
            put_binary(out, type_of(&run->types, i), value);
        }
    }
}

/* ---- Bind ---- */

static sp_err bind_portal(db_judge *judge, const db_named *from, sp_span portal,
                          const sp_pg_bind *bind, const sp_hash *met, db_note *note)
{
    db_values *values = NULL;
    if (bind != NULL && note->has_values && from->text->keeps_values) {
        TRY(keep_values(bind, &values));
    }
    db_named *named = NULL;
    sp_err err = db_names_add(&judge->names, DB_NAMED_PORTAL, portal, from->text, &named);
    if (!sp_failed(err) && sp_failed(err = db_named_bind(&judge->names, named, values))) {
        db_names_remove(&judge->names, named);
    } else if (!sp_failed(err)) {
        named->has_values = note->has_values;
        named->moves = judge->moves;
        named->met = *met;
        note->made_last = named->number;
    }
    db_values_unref(values);
    return err;
}

static bool calls_code(const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        if (use->kind == SP_SQL_FUNCTION || use->kind == SP_SQL_CODE ||
            (use->flags & SP_SQL_USE_OPAQUE) != 0) {
            return true;
        }
    }
    return false;
}

/* The server plans at Bind, and planning computes what is declared IMMUTABLE: code that others have
 * to agree to would run before anybody is asked. */
static bool may_be_planned(db_session *session, const db_named *from, db_refusal *refusal)
{
    const sp_sql_known *known = from->text->known;
    db_ruling ruling = db_ruling_none();
    if (!calls_code(known->judgement)) {
        return true; /* what it does is asked when it is executed */
    }
    db_ruling_add(&ruling, session, db_session_judge(session)->catalogue, known->judgement);
    if (!ruling.asks_code) {
        return true;
    }
    const char *tag =
        known->judgement->statement_count > 0 ? known->judgement->statements[0].tag : "SQL";
    if (ruling.decision.verdict == SP_VERDICT_DENY) {
        db_ruling_refuse(&ruling, session, refusal);
    } else {
        db_refuse(refusal, "42501", SP_REASON_APPROVAL,
                  "others have to agree to this code, and the server may run parts of it at Bind");
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Send it as a simple query, without parameters (psql; JDBC: "
                 "preferQueryMode=simple).");
    }
    db_judge_refused(session, &ruling, tag, known->shown, refusal);
    return false;
}

db_verdict db_texts_bind(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                         db_refusal *refusal)
{
    sp_span portal;
    sp_span statement;
    sp_pg_bind bind;
    sp_err err = sp_pg_bind_names_read(msg->body, &portal, &statement);
    bool has_values = true;
    if (!sp_failed(err) && msg->whole) {
        err = sp_pg_bind_read(msg->body, &bind);
        has_values = sp_failed(err) || bind.value_count > 0;
    }
    if (sp_failed(err)) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Bind message that is malformed");
        return DB_CUT;
    }
    db_judge *judge = db_session_judge(session);
    if (!db_means_fits(judge, portal, refusal) || !db_means_fits(judge, statement, refusal)) {
        return DB_REFUSE;
    }
    const db_named *from = db_names_find(&judge->names, DB_NAMED_PREPARED, statement, NULL);
    if (from == NULL) {
        db_means_nothing(true, "prepared statement", statement, refusal);
        return DB_REFUSE;
    }
    db_verdict clear = db_names_clear(session, DB_NAMED_PREPARED, statement, refusal);
    if (clear != DB_PASS) {
        return clear;
    }
    if (!may_be_planned(session, from, refusal)) {
        return DB_REFUSE;
    }
    sp_hash met;
    db_verdict meets = db_means_meet(session, from->text, statement, &met, refusal);
    if (meets != DB_PASS) {
        return meets;
    }
    db_note *note = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*note), &note))) {
        db_refuse(refusal, "53200", SP_REASON_LIMIT,
                  "the gate has no memory left for this message");
        return DB_REFUSE;
    }
    note->tag = "SQL";
    note->number = judge->names.numbers + 1;
    note->has_values = has_values;
    judge->moves++;
    err = bind_portal(judge, from, portal, msg->whole ? &bind : NULL, &met, note);
    if (sp_failed(err)) {
        sp_free(note);
        db_names_refuse(err, "portals", refusal);
        return DB_REFUSE;
    }
    flight->note = note;
    return DB_PASS;
}
