/* SPDX-License-Identifier: Apache-2.0
 * Answers of the server: fields that are masked columns are masked, rows beyond a limit are held
 * back, errors that may quote masked values lose their words. OWNS the fields of texts and notes.
 * PROCESS db gate workers. TRUST the server's bytes are checked by the wire's readers; what does
 * not read is not passed. SPEC gates/db/judging.h, lib/mask/mask.h.
 */
#include "gates/db/judging.h"
#include "lib/mask/mask.h"

#include <stdio.h>

enum { WORDS = DB_WATCH_ERROR | DB_WATCH_NOTICE };

/* ---- which field is masked how ---- */

/* Never 0. */
static uint64_t name_of_column(const sp_sql_catalogue *catalogue, uint32_t relation,
                               uint32_t column)
{
    const sp_sql_relation *at = sp_sql_catalogue_at(catalogue, relation);
    uint64_t hash = sp_span_hash(at->schema, 0);
    hash = sp_span_hash(at->name, hash);
    return sp_span_hash(sp_sql_catalogue_column_at(catalogue, column)->name, hash) | 1U;
}

/* Tags are numbered anew by each policy: under another one than decided, any tag counts. */
static uint64_t tags_of(const db_note *note, const db_catalogue *known)
{
    return note->serial == known->serial ? note->ruling.decision.mask_tags : UINT64_MAX;
}

/* A row as one value, or many of them: no column that could have been masked by its origin. */
static bool is_row(uint32_t type_oid)
{
    enum { TYPE_RECORD = 2249, TYPE_RECORDS = 2287 };
    return type_oid == TYPE_RECORD || type_oid == TYPE_RECORDS;
}

static uint8_t mask_of_field(const db_note *note, const db_catalogue *known, db_field *field)
{
    const sp_sql_catalogue *catalogue = known->now;
    if (field->table_oid == 0 || field->attnum <= 0) {
        bool suspect = note->masking == SP_SQL_MASKING_STRICT || field->table_oid != 0 ||
                       (note->masking != SP_SQL_MASKING_CLEAN && is_row(field->type_oid));
        return suspect ? SP_MASK_FULL + 1 : 0;
    }
    uint32_t relation = sp_sql_catalogue_find_oid(catalogue, field->table_oid);
    if (relation == SP_NONE || known->serial == 0) {
        return SP_MASK_FULL + 1; /* newer than what we know, or nobody said what is masked */
    }
    uint32_t column = sp_sql_catalogue_find_attnum(catalogue, relation, field->attnum);
    if (column == SP_NONE) {
        return SP_MASK_FULL + 1;
    }
    uint64_t name = name_of_column(catalogue, relation, column);
    field->name = field->name == 0 ? name : field->name;
    if (field->name != name) {
        return SP_MASK_FULL + 1; /* tables or columns were renamed: who knows what is read now */
    }
    const sp_sql_bound *bound = &sp_sql_catalogue_column_at(catalogue, column)->bound;
    return (bound->tags & tags_of(note, known)) != 0 ? (uint8_t)(bound->mask + 1) : 0;
}

static void look_at_all(db_session *session, bool words)
{
    db_session_set_watch(session, db_session_watch(session) | DB_WATCH_DATA_ROW |
                                      DB_WATCH_COPY_DATA |
                                      (words ? DB_WATCH_ROW_DESCRIPTION | WORDS : 0));
}

/* Whether a field is, by its origin, what is masked, or of a relation that nobody knows where none
 * should be. */
static bool is_masked_origin(const db_note *note, const db_catalogue *known,
                             const sp_pg_field *field)
{
    uint32_t at =
        field->table_oid == 0 ? SP_NONE : sp_sql_catalogue_find_oid(known->now, field->table_oid);
    if (at == SP_NONE) { /* numbers of the server's own begin with 1, of others here */
        return field->table_oid >= 16384 && !note->ruling.reads_temps;
    }
    const sp_sql_relation *relation = sp_sql_catalogue_at(known->now, at);
    if ((relation->flags & SP_SQL_REL_TAGGED) == 0) {
        return false;
    }
    uint32_t column = sp_sql_catalogue_find_attnum(known->now, at, field->attnum);
    return column == SP_NONE ||
           (sp_sql_catalogue_column_at(known->now, column)->bound.tags & tags_of(note, known)) != 0;
}

/* Nothing masked was in reach of what was asked, and yet it comes: names mean something else than
 * when it was judged. From here on nothing without a clean origin passes. */
static void doubt(db_session *session, db_note *note, sp_span body)
{
    const db_catalogue *known = db_session_judge(session)->catalogue;
    sp_pg_row_description description;
    sp_pg_field field;
    bool tells = sp_failed(sp_pg_row_description_read(body, &description));
    sp_span rest = tells ? SP_SPAN_EMPTY : description.fields;
    while (!tells && sp_pg_field_next(&rest, &field)) {
        tells = is_masked_origin(note, known, &field);
    }
    if (tells) {
        note->masking = SP_SQL_MASKING_STRICT;
        if (note->text != NULL) {
            note->text->tells = true;
        }
        look_at_all(session, true);
    }
}

/* Policy, the catalogue and the mode may have moved since the description came; mostly none has. */
static void find_masks(const db_note *note, const db_catalogue *known, db_fields *fields)
{
    uint64_t tags = tags_of(note, known);
    if (fields->version == known->version && fields->tags == tags &&
        fields->masking == (uint8_t)note->masking) {
        return;
    }
    fields->version = known->version;
    fields->tags = tags;
    fields->masking = (uint8_t)note->masking;
    fields->any = false;
    for (uint16_t i = 0; i < fields->count; i++) {
        fields->items[i].mask = mask_of_field(note, known, &fields->items[i]);
        fields->any |= fields->items[i].mask != 0;
    }
}

/* Remembers what a RowDescription says, on the note or on the text that it describes. */
static sp_err keep_fields(db_judge *judge, db_note *note, sp_span body)
{
    sp_pg_row_description description;
    TRY(sp_pg_row_description_read(body, &description));
    db_fields *fields = NULL;
    TRY(sp_alloc(1, sizeof(*fields) + description.count * sizeof(fields->items[0]), &fields));
    sp_span rest = description.fields;
    sp_pg_field field;
    while (fields->count < description.count && sp_pg_field_next(&rest, &field)) {
        fields->items[fields->count++] = (db_field){
            .type_oid = field.type_oid, .table_oid = field.table_oid, .attnum = field.attnum};
    }
    fields->moves = note->moves;
    find_masks(note, judge->catalogue, fields); /* what the columns are called now */
    note->aimed = NULL;
    if (note->text != NULL) {
        return db_text_described(&judge->names, note->text, fields);
    }
    sp_free(note->fields);
    note->fields = fields;
    return sp_ok();
}

/* ---- rows ---- */

static const uint8_t *mask_key(void)
{
    return db_mask_key;
}

static sp_err mask_row(const db_fields *fields, sp_span body, sp_buf *out)
{
    sp_pg_data_row row;
    TRY(sp_pg_data_row_read(body, &row));
    if (row.count != fields->count) {
        return sp_fail(SP_EINVALID);
    }
    size_t begun = sp_pg_begin(out, 'D');
    sp_buf_u16(out, row.count);
    sp_span rest = row.values;
    sp_span value;
    bool is_null = false;
    for (uint16_t i = 0; sp_pg_value_next(&rest, &value, &is_null); i++) {
        const db_field *field = &fields->items[i];
        size_t length_at = out->len;
        sp_buf_u32(out, is_null ? UINT32_MAX : (uint32_t)value.len);
        if (is_null || field->mask == 0) {
            sp_buf_span(out, is_null ? SP_SPAN_EMPTY : value);
            continue;
        }
        bool becomes_null = false;
        sp_mask_value((sp_mask)(field->mask - 1), field->type_oid, mask_key(), value, out,
                      &becomes_null);
        TRY(sp_buf_error(out));
        uint32_t len = becomes_null ? UINT32_MAX : (uint32_t)(out->len - length_at - 4);
        for (unsigned b = 0; b < 4; b++) {
            out->ptr[length_at + b] = (uint8_t)(len >> (24 - 8 * b));
        }
    }
    sp_pg_end(out, begun);
    return sp_buf_error(out);
}

static bool is_limited(const sp_decision *decision)
{
    return (decision->must & SP_MUST_LIMIT) != 0 && (decision->limit_rows | decision->limit_bytes |
                                                     decision->day_rows | decision->day_bytes) != 0;
}

/* One more row, or piece of COPY, of so many bytes. DB_WAIT: for core's word. */
static db_verdict may_pass(db_session *session, db_note *note, size_t bytes, db_refusal *refusal)
{
    const sp_decision *decision = &note->ruling.decision;
    const db_count none = {.rows = 0};
    const db_count *before = note->count == NULL ? &none : db_count_root(note->count);
    uint64_t rows = note->rows + 1;
    uint64_t sum = note->bytes + bytes;
    bool is_over = decision->limit_rows != 0 && before->rows + rows > decision->limit_rows;
    if (is_over || (decision->limit_bytes != 0 && before->bytes + sum > decision->limit_bytes)) {
        db_refuse(refusal, "53400", SP_REASON_LIMIT,
                  "the answer is larger than policy allows: %llu %s",
                  (unsigned long long)(is_over ? decision->limit_rows : decision->limit_bytes),
                  is_over ? "rows" : "bytes");
        snprintf(refusal->hint, sizeof(refusal->hint), "Ask for less at a time.");
        return DB_REFUSE;
    }
    if (decision->day_rows != 0 || decision->day_bytes != 0) {
        db_verdict verdict = db_spend_row(session, note, rows, sum, refusal);
        if (verdict != DB_PASS) {
            return verdict;
        }
    }
    note->rows = rows;
    note->bytes = sum;
    return DB_PASS;
}

static db_verdict refuse_row(sp_err err, const db_fields *fields, const sp_buf *out,
                             db_refusal *refusal)
{
    if (err.code == SP_ELIMIT) {
        db_refuse(refusal, "54000", SP_REASON_LIMIT,
                  "a row with masked columns is longer than the gate rewrites (at most %zu bytes)",
                  out->max_bytes);
    } else {
        db_refuse(
            refusal, "54000", SP_REASON_UNPARSED,
            "a row cannot be masked: it does not fit to its description, which has %u columns",
            (unsigned)fields->count);
    }
    return DB_REFUSE;
}

static db_verdict on_row(db_session *session, db_note *note, const sp_pg_msg *msg, sp_buf *out,
                         db_refusal *refusal)
{
    db_verdict passes = may_pass(session, note, msg->body_len, refusal);
    if (passes != DB_PASS) {
        return passes;
    }
    if (note->masking == SP_SQL_MASKING_CLEAN && (note->text == NULL || !note->text->tells)) {
        return DB_PASS;
    }
    db_fields *fields = note->text != NULL ? note->text->fields : note->fields;
    if (fields == NULL || (note->needs_fresh && fields->moves != note->moves)) {
        db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                  "an answer with masked columns needs a Describe before it");
        return DB_REFUSE;
    }
    if (fields != note->aimed) {
        find_masks(note, db_session_judge(session)->catalogue, fields);
        note->aimed = fields;
    }
    if (!fields->any) {
        return DB_PASS;
    }
    sp_err err = msg->whole ? mask_row(fields, msg->body, out) : sp_fail(SP_ELIMIT);
    return sp_failed(err) ? refuse_row(err, fields, out, refusal) : DB_REPLACE;
}

/* ---- COPY ---- */

/* What is sent must be written as the statement said, with as many columns as we know. */
static bool is_as_planned(const db_note *note, const sp_pg_msg *msg)
{
    sp_pg_copy copy;
    return msg->whole && !sp_failed(sp_pg_copy_read(msg->body, &copy)) &&
           sp_copy_mask_fits(note->copy, copy.format == 1, copy.column_count);
}

static db_verdict refuse_copy(db_refusal *refusal)
{
    db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
              "what COPY sends does not fit to what is known of the masked columns");
    snprintf(refusal->hint, sizeof(refusal->hint),
             "Name the columns: COPY table (a, b) TO; generated columns cannot be copied.");
    return DB_REFUSE;
}

static db_verdict on_copy(db_note *note, const sp_pg_msg *msg, sp_buf *out, db_refusal *refusal)
{
    if (msg->type == 'H') {
        return is_as_planned(note, msg) ? DB_PASS : refuse_copy(refusal);
    }
    if (msg->type == 'c') {
        return sp_failed(sp_copy_mask_end(note->copy)) ? refuse_copy(refusal) : DB_PASS;
    }
    size_t begun = sp_pg_begin(out, 'd');
    if (!msg->whole || sp_failed(sp_copy_mask_data(note->copy, msg->body, out))) {
        return refuse_copy(refusal);
    }
    if (out->len == SP_PG_HEAD_BYTES) {
        sp_buf_reset(out); /* it was all of a field that is not complete */
        return DB_REPLACE;
    }
    sp_pg_end(out, begun);
    return DB_REPLACE;
}

/* ---- errors ---- */

enum { QUIET_MAX_BYTES = 320 };

/* Words that quote no values of rows: short, and about the transaction or the server, or raised
 * where the statement was read (they have a position in it, and then they quote that). What is
 * raised when it runs may quote any value under any code: "unrecognized configuration parameter",
 * "relation does not exist", "syntax error in tsquery". */
static bool is_quiet(const sp_pg_msg *msg, const sp_pg_error *error)
{
    static const char *const quiet[] = {"21", "24", "25", "26", "3B", "40",
                                        "53", "54", "55", "57", "58"};
    static const char *const read[] = {"0A", "3F", "42"};
    bool is_read = error->position.len > 0;
    for (size_t i = 0; i < SP_COUNT(quiet) && msg->body_len <= QUIET_MAX_BYTES; i++) {
        if (sp_span_starts(error->sqlstate, sp_span_cstr(quiet[i])) ||
            (is_read && i < SP_COUNT(read) &&
             sp_span_starts(error->sqlstate, sp_span_cstr(read[i])))) {
            return true;
        }
    }
    return false;
}

/* Whether an error or notice may quote values of rows. */
static bool quotes_values(const sp_pg_msg *msg)
{
    sp_pg_error error;
    return !msg->whole || sp_failed(sp_pg_error_read(msg->body, &error)) || !is_quiet(msg, &error);
}

static db_verdict withhold(const sp_pg_msg *msg, sp_span what, sp_span why, sp_buf *out)
{
    sp_pg_error error;
    if (!quotes_values(msg)) {
        return DB_PASS;
    }
    if (!msg->whole || sp_failed(sp_pg_error_read(msg->body, &error))) {
        error = (sp_pg_error){.severity = SP_SPAN_LIT("ERROR"), .sqlstate = SP_SPAN_LIT("XX000")};
    }
    error.message = what;
    error.detail = why;
    error.hint = SP_SPAN_EMPTY;
    sp_pg_error_write(out, msg->type, &error);
    return DB_REPLACE;
}

static db_verdict on_error(const sp_pg_msg *msg, sp_buf *out)
{
    return withhold(msg, SP_SPAN_LIT("the database raised an error about masked values"),
                    SP_SPAN_LIT("Its words are withheld: they may quote such a value."), out);
}

/* Words that may quote values count as a row does, and are withheld where there is no room. */
static db_verdict on_words(db_session *session, db_note *note, const sp_pg_msg *msg, sp_buf *out,
                           db_refusal *refusal)
{
    if (!is_limited(&note->ruling.decision) || !quotes_values(msg)) {
        return DB_PASS;
    }
    db_verdict passes = may_pass(session, note, msg->body_len, refusal);
    return passes != DB_REFUSE
               ? passes
               : withhold(msg,
                          SP_SPAN_LIT("the database raised something, and its words are withheld"),
                          SP_SPAN_LIT("They may quote values, and policy limits how many of them "
                                      "may be had."),
                          out);
}

/* ---- the seam ---- */

void db_rows_refuse_part(db_refusal *refusal)
{
    db_refuse(refusal, "0A000", SP_REASON_LIMIT,
              "a budget counts the rows of this change, and the server tells how many they are "
              "with the last one only: it cannot be fetched in parts, and nothing of it stays");
    snprintf(refusal->hint, sizeof(refusal->hint),
             "Fetch all rows at once: no fetch size, no maximum of rows.");
}

void db_rows_passed(const db_session *session, db_note *note)
{
    if (note->rows < session->rows) {
        note->rows = session->rows;
        note->bytes = session->bytes_out;
    }
}

void db_rows_watch_more(db_session *session, db_note *note)
{
    if (is_limited(&note->ruling.decision)) {
        db_session_judge(session)->watched += note->is_watched ? 0 : 1;
        note->is_watched = true;
        look_at_all(session, false);
        db_session_set_watch(session, db_session_watch(session) | WORDS);
    }
}

void db_rows_watch(db_session *session, db_note *note, db_flight *flight)
{
    const sp_decision *decision = &note->ruling.decision;
    bool masks = note->masking != SP_SQL_MASKING_CLEAN;
    bool doubts = (decision->must & SP_MUST_MASK) != 0 && decision->mask_tags != 0;
    bool limits = is_limited(decision);
    /* with other answers: one row more may be one too many; always so when it is in_one */
    bool counts = note->count != NULL;
    note->serial = session->snapshot->serial;
    if (!masks && !limits && !doubts && !counts) {
        return;
    }
    note->is_watched = true;
    db_session_judge(session)->watched++;
    if ((limits || note->in_one) && flight != NULL) {
        flight->flags |= DB_FLIGHT_LIMITED;
    }
    if (masks || limits || counts) {
        look_at_all(session, masks);
    }
    uint32_t bits = (limits || counts ? WORDS : 0) | (doubts ? DB_WATCH_ROW_DESCRIPTION : 0) |
                    (note->copy != NULL ? DB_WATCH_COPY : 0) |
                    (note->in_one ? DB_WATCH_COMPLETE : 0);
    db_session_set_watch(session, db_session_watch(session) | bits);
}

void db_rows_unwatch(db_session *session, db_note *note)
{
    db_judge *judge = db_session_judge(session);
    if (note->is_watched && --judge->watched == 0) {
        db_session_set_watch(session, judge->is_late ? WORDS : 0);
    }
    note->is_watched = false;
}

void db_rows_late(db_session *session, bool is_late)
{
    db_judge *judge = db_session_judge(session);
    judge->is_late = is_late;
    if (is_late) {
        db_session_set_watch(session, db_session_watch(session) | WORDS);
    } else if (judge->watched == 0) {
        db_session_set_watch(session, 0);
    }
}

static db_verdict on_description(db_session *session, db_note *note, const sp_pg_msg *msg,
                                 db_refusal *refusal)
{
    sp_err err =
        msg->whole ? keep_fields(db_session_judge(session), note, msg->body) : sp_fail(SP_EINVALID);
    if (!sp_failed(err)) {
        return DB_PASS;
    }
    if (err.code == SP_ELIMIT) {
        db_refuse(refusal, "53400", SP_REASON_LIMIT,
                  "the gate has no room left to keep the description of this answer: prepared "
                  "statements and portals of this connection hold too much");
        snprintf(refusal->hint, sizeof(refusal->hint), "Close some of them: DEALLOCATE, CLOSE.");
    } else if (err.code == SP_EDENIED) {
        db_share_refuse(refusal);
    } else {
        db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                  "the description of the answer cannot be read");
    }
    return DB_REFUSE;
}

/* The server has changed all rows by now, and the client has what he asked for. */
static db_verdict refuse_part(db_refusal *refusal)
{
    db_rows_refuse_part(refusal);
    return DB_REFUSE;
}

static db_verdict look_at(db_session *session, db_note *note, const sp_pg_msg *msg, sp_buf *out,
                          db_refusal *refusal)
{
    db_verdict passes = DB_PASS;
    switch (msg->type) {
    case 'T':
        if (note->masking == SP_SQL_MASKING_CLEAN && msg->whole) {
            doubt(session, note, msg->body);
        }
        return note->masking == SP_SQL_MASKING_CLEAN ? DB_PASS
                                                     : on_description(session, note, msg, refusal);
    case 'D':
        return on_row(session, note, msg, out, refusal);
    case 'd':
        passes = may_pass(session, note, msg->body_len, refusal);
        if (passes != DB_PASS) {
            return passes;
        }
        return note->copy != NULL ? on_copy(note, msg, out, refusal) : DB_PASS;
    case 'H':
    case 'c':
        return note->copy != NULL ? on_copy(note, msg, out, refusal) : DB_PASS;
    case 'E':
    case 'N':
        return note->masking != SP_SQL_MASKING_CLEAN ? on_error(msg, out)
                                                     : on_words(session, note, msg, out, refusal);
    case 's':
        return note->in_one ? refuse_part(refusal) : DB_PASS;
    default:
        return DB_PASS;
    }
}

/* Its answer is ended by us: that is written down, and its end tells what has passed. */
static db_verdict ended(db_session *session, db_note *note, const db_refusal *refusal)
{
    bool is_told = note->is_refused;
    db_rows_passed(session, note);
    note->is_refused = true;
    if (!is_told) {
        db_judge_refused(session, &note->ruling, note->tag, (sp_span){note->shown, note->shown_len},
                         refusal);
    }
    return DB_REFUSE;
}

/* Of an answer that may be large by now. Words that are too many bytes are not had without the
 * right to export, and the answer goes on. */
static db_verdict on_large(db_session *session, db_note *note, db_flight *flight,
                           const sp_pg_msg *msg, sp_buf *out, db_refusal *refusal)
{
    uint64_t size = msg->body_len + SP_PG_HEAD_BYTES;
    bool is_words = msg->type == 'E' || msg->type == 'N';
    if ((!is_words && msg->type != 'D' && msg->type != 'd') || !note->runs ||
        note->exporting == DB_EXPORT_YES || (is_words && !quotes_values(msg))) {
        return DB_PASS;
    }
    db_verdict may = is_words ? db_export_words(session, note, flight, size, refusal)
                              : db_export_row(session, note, flight, size, refusal);
    if (may != DB_REFUSE) {
        return may;
    }
    return is_words
               ? withhold(msg,
                          SP_SPAN_LIT("the database raised something, and its words are withheld"),
                          SP_SPAN_LIT("They are longer than an answer may be without the right to "
                                      "export it."),
                          out)
               : ended(session, note, refusal);
}

db_verdict db_judge_back(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                         db_refusal *refusal)
{
    if (flight == NULL && msg->type == 'N') {
        flight = db_flights_head(session); /* whatever raised it, it may quote what runs now */
    }
    db_note *note = flight == NULL ? NULL : flight->note;
    if ((msg->type == 'E' || msg->type == 'N') && db_session_judge(session)->is_late) {
        return on_error(msg, out);
    }
    db_verdict may = note == NULL ? DB_PASS : on_large(session, note, flight, msg, out, refusal);
    if (may != DB_PASS || note == NULL || !note->is_watched) {
        return may;
    }
    db_verdict verdict = look_at(session, note, msg, out, refusal);
    return verdict == DB_REFUSE && note->runs ? ended(session, note, refusal) : verdict;
}
