/* SPDX-License-Identifier: Apache-2.0
 * Messages of the client that carry SQL or run it: judged, decided, remembered by name.
 * OWNS the notes it hangs on flights. PROCESS db gate workers. TRUST messages are hostile.
 * SPEC gates/db/judging.h; PostgreSQL 15 manual, 55.2.
 */
#include "gates/db/judging.h"
#include "lib/policy/database.h"
#include "lib/sql/redact.h"

#include <stdio.h>

/* ---- judging a text ---- */

static bool is_temporary(const void *of, sp_span name)
{
    const db_judge *judge = of;
    for (uint32_t i = 0; i < judge->temp_count; i++) {
        if (sp_span_eq(name, sp_span_cstr(judge->temps[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_made(const void *of, sp_span name)
{
    const db_judge *judge = of;
    for (uint32_t i = 0; judge->codes != NULL && i < judge->code_count; i++) {
        if (sp_span_eq(name, sp_span_cstr(judge->codes[i]))) {
            return true;
        }
    }
    return judge->code_count == DB_TEMPS_MAX;
}

static bool function_action(const void *of, sp_span schema, sp_span name, sp_action *ret_action)
{
    const db_session *session = of;
    return sp_policy_database_function(&session->snapshot->policy, session->resource, schema, name,
                                       ret_action);
}

static sp_sql_context context_of(db_session *session)
{
    const db_judge *judge = db_session_judge(session);
    return (sp_sql_context){.catalogue = judge->catalogue->now,
                            .is_temporary = judge->temp_count > 0 ? is_temporary : NULL,
                            .is_made = judge->code_count > 0 ? is_made : NULL,
                            .session = judge,
                            .function_action = function_action,
                            .policy = session};
}

static const sp_sql_judgement *judge_text(db_session *session, sp_span text)
{
    db_catalogue_bind(db_session_judge(session)->catalogue, session);
    const sp_sql_context context = context_of(session);
    return sp_sql_judge_text(db_sql, &context, text);
}

static void refuse_fault(const db_session *session, const sp_sql_judgement *judgement,
                         db_refusal *refusal)
{
    bool syntax = judgement->fault == SP_SQL_SYNTAX;
    sp_reason reason =
        judgement->fault == SP_SQL_FORBIDDEN
            ? SP_REASON_DENY_RULE
            : (judgement->fault == SP_SQL_TOO_LONG ? SP_REASON_LIMIT : SP_REASON_UNPARSED);
    db_refuse(refusal, sp_sql_fault_state(judgement->fault), reason, "%s%s", judgement->reason,
              syntax || judgement->fault == SP_SQL_TOO_LONG ? "" : " is not let through");
    switch (judgement->fault) {
    case SP_SQL_SYNTAX:
        refusal->position = judgement->reason_at;
        if (db_session_judge(session)->server_is_newer) {
            snprintf(refusal->detail, sizeof(refusal->detail),
                     "The gate reads PostgreSQL 15 and runs nothing that it cannot read.");
        }
        break;
    case SP_SQL_AMBIGUOUS:
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Write literals with a backslash as E'...', or pass them as parameters.");
        break;
    case SP_SQL_FINE:
    case SP_SQL_TOO_LONG:
    case SP_SQL_NOT_UTF8:
    case SP_SQL_UNKNOWN:
    case SP_SQL_FORBIDDEN:
    case SP_SQL_TOO_COMPLEX:
    case SP_SQL_FAULT_COUNT:
        break;
    }
}

static const char *tag_of(const sp_sql_judgement *judgement)
{
    return judgement->statement_count > 0
               ? judgement->statements[judgement->statement_count - 1].tag
               : "SQL";
}

/* ---- what runs by a name ---- */

/* Adds all texts that the name may stand for; false: there is none that we know. */
static bool add_named(db_ruling *ruling, db_session *session, db_named_kind kind, sp_span name,
                      unsigned depth);

static bool add_text(db_ruling *ruling, db_session *session, db_text *text, unsigned depth)
{
    const db_judge *judge = db_session_judge(session);
    if (text->version != judge->catalogue->version) {
        const sp_sql_judgement *fresh = judge_text(session, (sp_span){text->text, text->text_len});
        sp_sql_judgement *copy = NULL;
        if (fresh->fault != SP_SQL_FINE || sp_failed(sp_sql_judgement_copy(fresh, &copy))) {
            return false;
        }
        sp_free(text->judgement);
        text->judgement = copy;
        text->version = judge->catalogue->version;
    }
    db_ruling_add(ruling, session, judge->catalogue, text->judgement);
    for (uint32_t i = 0; i < text->judgement->statement_count; i++) {
        const sp_sql_statement *statement = &text->judgement->statements[i];
        db_named_kind kind =
            (statement->flags & SP_SQL_IS_EXECUTE) != 0 ? DB_NAMED_PREPARED : DB_NAMED_PORTAL;
        if ((statement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0 && depth < 4) {
            (void)add_named(ruling, session, kind, statement->name, depth + 1);
        }
    }
    return true;
}

static bool add_named(db_ruling *ruling, db_session *session, db_named_kind kind, sp_span name,
                      unsigned depth)
{
    const db_names *names = &db_session_judge(session)->names;
    bool found = false;
    for (db_named *at = db_names_find(names, kind, name, NULL); at != NULL;
         at = db_names_find(names, kind, name, at)) {
        if (!add_text(ruling, session, at->text, depth)) {
            return false;
        }
        found = true;
    }
    return found;
}

/* ---- notes ---- */

static db_note *new_note(const db_ruling *ruling, sp_span shown)
{
    db_note *note = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*note) + shown.len, &note))) {
        return NULL;
    }
    if (ruling != NULL) {
        note->ruling = *ruling;
        note->ruling.has_use = false; /* it points into a judgement that does not last */
    }
    note->tag = "SQL";
    note->shown_len = (uint16_t)shown.len;
    sp_copy(note->shown, shown.ptr, shown.len);
    return note;
}

static db_verdict no_memory(db_refusal *refusal)
{
    db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left for this statement");
    return DB_REFUSE;
}

/* ---- masks ---- */

static bool has_opaque(const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        if ((judgement->uses[i].flags & SP_SQL_USE_OPAQUE) != 0) {
            return true;
        }
    }
    return false;
}

/* How an answer is masked. */
typedef struct {
    sp_sql_masking_mode mode;
    sp_copy_plan *plan; /* of COPY TO */
} masking_of;

static void masks_done(masking_of *masks)
{
    sp_free(masks->plan);
}
#define auto_masks __attribute__((cleanup(masks_done))) masking_of

/* False with a refusal: which column of COPY is which is not certain. */
static bool find_plan(const sp_sql_context *context, sp_span text, uint64_t mask_tags,
                      masking_of *masks, db_refusal *refusal)
{
    const char *why = NULL;
    sp_copy_plan *plan = NULL;
    sp_err err = sp_sql_masking_copy(db_sql, context, text, mask_tags, &plan, &why);
    if (sp_failed(err) || masks->plan != NULL) {
        sp_free(plan);
        db_refuse(refusal, "42501", SP_REASON_DENY_RULE, "%s",
                  why != NULL ? why : "COPY of masked columns");
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Copy a table, its columns named, or a query that selects columns as they are.");
        return false;
    }
    masks->plan = plan;
    return true;
}

/* A text that is kept is read for its masks once, as it is judged once: until the catalogue moves.
 * In a session that made names of its own it is read each time. */
static sp_sql_masking masking_by(db_session *session, sp_span text, uint64_t tags, db_text *kept)
{
    const db_judge *judge = db_session_judge(session);
    bool may_keep = kept != NULL && judge->temp_count == 0 && judge->code_count == 0;
    if (may_keep && kept->masking.tags == tags &&
        kept->masking.version == judge->catalogue->version) {
        return (sp_sql_masking){.mode = kept->masking.mode};
    }
    const sp_sql_context context = context_of(session);
    sp_sql_masking found = sp_sql_masking_text(db_sql, &context, text, tags);
    if (may_keep && found.mode != SP_SQL_MASKING_REFUSED && !found.copies) {
        kept->masking.tags = tags;
        kept->masking.version = judge->catalogue->version;
        kept->masking.mode = found.mode;
    }
    return found;
}

/* How the answer of a text is masked; false with a refusal: it would tell masked values. kept: the
 * text as names stand for it, NULL for one that runs once. */
static bool find_masking(db_session *session, const db_ruling *ruling,
                         const sp_sql_judgement *judgement, sp_span text, db_text *kept,
                         masking_of *masks, db_refusal *refusal)
{
    const sp_decision *decision = &ruling->decision;
    if ((decision->must & SP_MUST_MASK) == 0 || decision->mask_tags == 0) {
        return true;
    }
    sp_sql_masking found = masking_by(session, text, decision->mask_tags, kept);
    if (found.mode == SP_SQL_MASKING_REFUSED) {
        db_refuse(refusal, "42501", SP_REASON_DENY_RULE, "%s", found.reason);
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Masked columns may be selected as they are, and nothing else.");
        return false;
    }
    if (found.mode < SP_SQL_MASKING_STRICT && has_opaque(judgement)) {
        found.mode = SP_SQL_MASKING_STRICT;
    }
    const sp_sql_context context = context_of(session);
    if (found.copies && !find_plan(&context, text, decision->mask_tags, masks, refusal)) {
        return false;
    }
    masks->mode = found.mode > masks->mode ? found.mode : masks->mode;
    return true;
}

static bool find_named_masking(db_session *session, const db_ruling *ruling, db_named_kind kind,
                               sp_span name, masking_of *masks, db_refusal *refusal)
{
    const db_names *names = &db_session_judge(session)->names;
    for (const db_named *at = db_names_find(names, kind, name, NULL); at != NULL;
         at = db_names_find(names, kind, name, at)) {
        if (!find_masking(session, ruling, at->text->judgement,
                          (sp_span){at->text->text, at->text->text_len}, at->text, masks,
                          refusal)) {
            return false;
        }
        for (uint32_t i = 0; i < at->text->judgement->statement_count; i++) {
            const sp_sql_statement *statement = &at->text->judgement->statements[i];
            if ((statement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0) {
                masks->mode = (ruling->decision.must & SP_MUST_MASK) != 0 ? SP_SQL_MASKING_STRICT
                                                                          : masks->mode;
            }
        }
    }
    return true;
}

/* What rows.c goes by; false: out of memory. */
static bool set_masks(db_note *note, const masking_of *masks)
{
    note->masking = masks->mode;
    return masks->plan == NULL ||
           !sp_failed(sp_copy_mask_new(masks->plan, db_mask_key, &note->copy));
}

/* ---- the order to run ---- */

/* How many statements run now: what is only prepared or declared does not. */
static uint32_t running(const sp_sql_judgement *judgement)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        uint32_t flags = judgement->statements[i].flags;
        count += (flags & (SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE)) == 0 ? 1 : 0;
    }
    return count;
}

/* May it run now? DB_PASS, DB_WAIT or DB_REFUSE, which is written down. */
static db_verdict may_run(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    if (run->ruling->decision.verdict == SP_VERDICT_DENY) {
        db_ruling_refuse(run->ruling, session, refusal);
        db_judge_refused(session, run->ruling, run->tag, run->shown, refusal);
        return DB_REFUSE;
    }
    if (!sp_recorder_works(&db_here.recorder)) {
        db_refuse(refusal, "53400", SP_REASON_UNRECORDED,
                  "this statement cannot be written down, so it does not run");
        return DB_REFUSE;
    }
    db_verdict verdict = DB_PASS;
    if (run->statements > 0) {
        verdict = db_pending_step(session, run, refusal);
    }
    if (run->statements > 0 && verdict == DB_PASS) {
        verdict = db_spend(session, run, refusal);
    }
    if (verdict == DB_REFUSE) {
        db_estimate_forget(session);
        db_judge_refused(session, run->ruling, run->tag, run->shown, refusal);
    }
    return verdict;
}

/* It runs: what was asked of others was given. */
static void note_run(db_session *session, db_note *note)
{
    uint64_t recorded = db_pending_take(session);
    db_estimate_forget(session);
    note->spent = db_spend_take(session);
    note->is_recorded = recorded != 0;
    note->reference = recorded != 0 ? recorded : sp_recorder_reference();
    if (note->ruling.decision.verdict == SP_VERDICT_ASK) {
        note->ruling.decision.verdict = SP_VERDICT_ALLOW;
    }
}

static db_verdict refuse_text(db_session *session, const sp_sql_judgement *judgement, sp_span text,
                              db_refusal *refusal)
{
    auto_buf sp_buf shown = sp_buf_make(DB_TEXT_KEPT_BYTES + 16);
    const db_ruling ruling = {.decision = {.verdict = SP_VERDICT_DENY, .rule = SP_NONE},
                              .action = SP_ACTION_EXECUTE};
    refuse_fault(session, judgement, refusal);
    sp_sql_redact(text, false, DB_TEXT_KEPT_BYTES - 16, &shown);
    db_judge_refused(session, &ruling, "SQL", sp_buf_borrow(&shown), refusal);
    if (judgement->fault == SP_SQL_SYNTAX && !db_session_judge(session)->server_is_newer) {
        refusal->reference = 0; /* the server's own words, and nothing else */
    }
    return DB_REFUSE;
}

/* A text whose names may be newer than the catalogue (a function that is called like a column)
 * waits until the catalogue is of now. DB_PASS, DB_WAIT, or DB_REFUSE. */
static db_verdict be_sure(db_session *session, uint32_t flags, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    if ((flags & SP_SQL_IS_UNSURE) == 0) {
        judge->look_us = 0;
        return DB_PASS;
    }
    if (judge->look_us == 0) {
        judge->look_us = sp_loop_now_us(db_here.loop);
        db_catalogue_look(judge->catalogue);
    }
    bool is_over = judge->look_is_over;
    bool is_seen = judge->catalogue->seen_us >= judge->look_us;
    if (!is_over && !is_seen && judge->catalogue->back != NULL) {
        return DB_WAIT;
    }
    judge->look_us = 0;
    judge->look_is_over = false;
    if (is_over) {
        db_refuse(refusal, "57014", SP_REASON_UNAVAILABLE,
                  "canceling statement due to user request");
        return DB_REFUSE;
    }
    if (!is_seen) {
        db_refuse(refusal, "57P03", SP_REASON_UNAVAILABLE,
                  "names in this statement may be new, and the gate cannot look at the database");
        return DB_REFUSE;
    }
    return DB_PASS;
}

/* ---- messages ---- */

/* Names that a text itself makes: PREPARE, DECLARE. */
static sp_err keep_names(db_session *session, const sp_sql_judgement *judgement, sp_span text)
{
    db_judge *judge = db_session_judge(session);
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        bool is_prepare = (statement->flags & SP_SQL_IS_PREPARE) != 0;
        if (!is_prepare && (statement->flags & SP_SQL_IS_DECLARE) == 0) {
            continue;
        }
        db_text *kept = NULL;
        TRY(db_text_new(text, judgement, judge->catalogue->version, &kept));
        db_named *named = NULL;
        sp_err err = db_names_add(&judge->names, is_prepare ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                                  statement->name, kept, &named);
        db_text_unref(kept);
        TRY(err);
        named->sure = true; /* even when the message fails later: what it prepared may stay */
        named->declared = !is_prepare;
    }
    return sp_ok();
}

static void keep_codes(db_judge *judge, const sp_sql_judgement *judgement)
{
    if (judge->codes == NULL && sp_failed(sp_alloc(DB_TEMPS_MAX, DB_NAME_BYTES, &judge->codes))) {
        judge->code_count = DB_TEMPS_MAX;
        return;
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & SP_SQL_IS_CREATE_CODE) == 0 || judge->code_count == DB_TEMPS_MAX ||
            is_made(judge, statement->name)) {
            continue;
        }
        char *kept = judge->codes[judge->code_count++];
        SP_IGNORE(sp_fit(kept, DB_NAME_BYTES, statement->name)); /* longer than names can be */
    }
}

static void keep_temps(db_judge *judge, const sp_sql_judgement *judgement)
{
    judge->has_alias |= (judgement->flags & SP_SQL_IS_ALIAS) != 0;
    judge->has_made |= (judgement->flags & SP_SQL_IS_DDL) != 0;
    if ((judgement->flags & SP_SQL_IS_CREATE_CODE) != 0) {
        keep_codes(judge, judgement);
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & SP_SQL_IS_CREATE_TEMP) == 0 ||
            statement->name.len >= DB_NAME_BYTES || is_temporary(judge, statement->name) ||
            judge->temp_count == DB_TEMPS_MAX) {
            continue;
        }
        if (judge->temps == NULL &&
            sp_failed(sp_alloc(DB_TEMPS_MAX, DB_NAME_BYTES, &judge->temps))) {
            return;
        }
        sp_copy(judge->temps[judge->temp_count], statement->name.ptr, statement->name.len);
        judge->temps[judge->temp_count][statement->name.len] = '\0';
        judge->temp_count++;
    }
}

static void note_deallocated(const sp_sql_judgement *judgement, db_note *note)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & (SP_SQL_IS_DEALLOCATE | SP_SQL_IS_CLOSE)) != 0 &&
            judgement->statement_count == 1 && statement->name.len <= SP_NAME_MAX_BYTES) {
            note->close_kind = (statement->flags & SP_SQL_IS_DEALLOCATE) != 0 ? 's' : 'p';
            note->name_len = (uint8_t)statement->name.len;
            sp_copy(note->name, statement->name.ptr, statement->name.len);
        }
    }
}

static bool prepares(const sp_sql_judgement *judgement, uint32_t before, sp_span name)
{
    for (uint32_t i = 0; i < before; i++) {
        if ((judgement->statements[i].flags & (SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE)) != 0 &&
            sp_span_eq(judgement->statements[i].name, name)) {
            return true; /* its uses are among the text's own */
        }
    }
    return false;
}

/* EXECUTE and FETCH: what their names stand for. False with a refusal: for nothing. */
static bool add_referenced(db_ruling *ruling, db_session *session,
                           const sp_sql_judgement *judgement, db_refusal *refusal)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        bool executes = (statement->flags & SP_SQL_IS_EXECUTE) != 0;
        if (!executes && (statement->flags & SP_SQL_IS_FETCH) == 0) {
            continue;
        }
        bool found = add_named(ruling, session, executes ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                               statement->name, 0);
        if (!found && !prepares(judgement, i, statement->name)) {
            db_refuse(refusal, executes ? "26000" : "34000", SP_REASON_UNPARSED,
                      executes ? "prepared statement \"%.*s\" does not exist"
                               : "cursor \"%.*s\" does not exist",
                      SP_SPAN_ARG(statement->name));
            refusal->reference = 0; /* the server's own words, and nothing else */
            return false;
        }
    }
    return true;
}

db_verdict db_texts_query(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                          db_refusal *refusal)
{
    sp_span text;
    if (sp_failed(sp_pg_query_read(msg->body, &text))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Query message that is malformed");
        return DB_CUT;
    }
    const sp_sql_judgement *judgement = judge_text(session, text);
    if (judgement->fault != SP_SQL_FINE) {
        return refuse_text(session, judgement, text, refusal);
    }
    db_verdict sure = be_sure(session, judgement->flags, refusal);
    if (sure != DB_PASS) {
        return sure;
    }
    db_judge *judge = db_session_judge(session);
    db_ruling ruling = db_ruling_none();
    const char *tag = tag_of(judgement);
    uint32_t flags = judgement->flags;
    db_ruling_add(&ruling, session, judge->catalogue, judgement);
    static uint8_t shown_bytes[DB_TEXT_KEPT_BYTES + 16];
    auto_buf sp_buf shown = sp_buf_make(sizeof(shown_bytes));
    sp_sql_redact(text, (flags & SP_SQL_IS_SECRET) != 0, DB_TEXT_KEPT_BYTES - 16, &shown);
    db_verdict verdict = DB_PASS;
    db_note *note = NULL;
    auto_free sp_sql_judgement *own = NULL;
    if ((flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH | SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE)) !=
        0) {
        /* looking at other texts uses the judge's room again */
        if (sp_failed(sp_sql_judgement_copy(judgement, &own))) {
            return no_memory(refusal);
        }
        judgement = own;
        ruling = db_ruling_none();
        db_ruling_add(&ruling, session, judge->catalogue, judgement);
        if (!add_referenced(&ruling, session, judgement, refusal)) {
            return DB_REFUSE;
        }
    }
    auto_masks masks = {.mode = SP_SQL_MASKING_CLEAN};
    bool known = find_masking(session, &ruling, judgement, text, NULL, &masks, refusal);
    for (uint32_t i = 0; known && i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0) {
            bool executes = (statement->flags & SP_SQL_IS_EXECUTE) != 0;
            known =
                find_named_masking(session, &ruling, executes ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                                   statement->name, &masks, refusal);
        }
    }
    if (!known) {
        db_judge_refused(session, &ruling, tag, sp_buf_borrow(&shown), refusal);
        return DB_REFUSE;
    }
    const db_run_ask run = {
        &ruling, judgement,         tag,  text, sp_buf_borrow(&shown), running(judgement),
        NULL,    {.type_count = 0}, false};
    verdict = may_run(session, &run, refusal);
    if (verdict != DB_PASS) {
        return verdict;
    }
    note = new_note(&ruling, sp_buf_borrow(&shown));
    if (note == NULL || !set_masks(note, &masks)) {
        sp_free(note);
        return no_memory(refusal);
    }
    note_run(session, note);
    note->runs = judgement->statement_count > 0;
    judge->moves++;
    note->tag = tag;
    note->flags = flags;
    note->number = judge->names.numbers + 1;
    note_deallocated(judgement, note);
    keep_temps(judge, judgement);
    if (sp_failed(keep_names(session, judgement, text))) {
        sp_copy_mask_free(note->copy);
        sp_free(note);
        return no_memory(refusal);
    }
    db_rows_watch(session, note);
    flight->own = note;
    return DB_PASS;
}

db_verdict db_texts_parse(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                          db_refusal *refusal)
{
    sp_pg_parse parse;
    if (sp_failed(sp_pg_parse_read(msg->body, &parse))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Parse message that is malformed");
        return DB_CUT;
    }
    const sp_sql_judgement *judgement = judge_text(session, parse.text);
    if (judgement->fault != SP_SQL_FINE) {
        return refuse_text(session, judgement, parse.text, refusal);
    }
    db_verdict sure = be_sure(session, judgement->flags, refusal);
    if (sure != DB_PASS) {
        return sure;
    }
    db_judge *judge = db_session_judge(session);
    db_ruling ruling = db_ruling_none();
    db_ruling_add(&ruling, session, judge->catalogue, judgement);
    db_text *text = NULL;
    if (sp_failed(db_text_new(parse.text, judgement, judge->catalogue->version, &text))) {
        return no_memory(refusal);
    }
    text->keeps_values =
        ruling.decision.verdict == SP_VERDICT_ASK || db_spend_counts_rows(session, &ruling);
    if (text->keeps_values && sp_failed(db_text_types(text, &parse))) {
        db_text_unref(text);
        return no_memory(refusal);
    }
    db_verdict verdict = DB_PASS;
    if (ruling.decision.verdict == SP_VERDICT_DENY) {
        const db_run_ask run = {&ruling, judgement, tag_of(judgement), parse.text, text->shown,
                                0,       NULL,      {.type_count = 0}, false};
        verdict = may_run(session, &run, refusal);
    }
    db_note *note = verdict == DB_PASS ? new_note(NULL, SP_SPAN_EMPTY) : NULL;
    if (verdict == DB_PASS && note == NULL) {
        verdict = no_memory(refusal);
    }
    if (verdict == DB_PASS &&
        sp_failed(db_names_add(&judge->names, DB_NAMED_PREPARED, parse.name, text, &note->named))) {
        sp_free(note);
        db_refuse(refusal, "53400", SP_REASON_LIMIT,
                  "too many prepared statements are open, or one has too long a name");
        verdict = DB_REFUSE;
    } else if (verdict == DB_PASS) {
        flight->own = note;
    }
    db_text_unref(text);
    return verdict;
}

db_verdict db_texts_execute(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                            db_refusal *refusal)
{
    sp_pg_execute execute;
    if (sp_failed(sp_pg_execute_read(msg->body, &execute))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "an Execute message that is malformed");
        return DB_CUT;
    }
    db_judge *judge = db_session_judge(session);
    const db_named *portal = db_names_find(&judge->names, DB_NAMED_PORTAL, execute.portal, NULL);
    db_ruling ruling = db_ruling_none();
    if (portal == NULL || !add_named(&ruling, session, DB_NAMED_PORTAL, execute.portal, 0)) {
        db_refuse(refusal, "34000", SP_REASON_UNPARSED, "portal \"%.*s\" does not exist",
                  (int)(execute.portal.len < 63 ? execute.portal.len : 63),
                  (const char *)execute.portal.ptr);
        return DB_REFUSE;
    }
    const char *tag = tag_of(portal->text->judgement);
    if (ruling.decision.verdict == SP_VERDICT_ASK && portal->has_values && portal->values == NULL) {
        portal->text->keeps_values = true;
        db_refuse(refusal, "42501", SP_REASON_APPROVAL,
                  "others have to agree to this statement, and its values were not kept for them");
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Bind it again; values of more than %u KiB cannot be shown.",
                 (unsigned)DB_BIND_WHOLE_BYTES / 1024);
        db_judge_refused(session, &ruling, tag, portal->text->shown, refusal);
        return DB_REFUSE;
    }
    auto_masks masks = {.mode = SP_SQL_MASKING_CLEAN};
    if (!find_named_masking(session, &ruling, DB_NAMED_PORTAL, execute.portal, &masks, refusal)) {
        db_judge_refused(session, &ruling, tag, portal->text->shown, refusal);
        return DB_REFUSE;
    }
    const db_run_ask run = {&ruling,
                            portal->text->judgement,
                            tag,
                            (sp_span){portal->text->text, portal->text->text_len},
                            portal->text->shown,
                            1,
                            portal->values,
                            portal->text->types,
                            true};
    db_verdict verdict = may_run(session, &run, refusal);
    if (verdict != DB_PASS) {
        return verdict;
    }
    db_note *note = new_note(&ruling, portal->text->shown);
    if (note == NULL || !set_masks(note, &masks)) {
        sp_free(note);
        return no_memory(refusal);
    }
    note_run(session, note);
    note->runs = true;
    note->text = db_text_ref(portal->text);
    note->moves = judge->moves++;
    note->needs_fresh =
        (portal->text->judgement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0;
    note->tag = tag;
    note->flags = portal->text->judgement->flags;
    note->number = judge->names.numbers + 1;
    note_deallocated(portal->text->judgement, note);
    keep_temps(judge, portal->text->judgement);
    if (sp_failed(keep_names(session, portal->text->judgement,
                             (sp_span){portal->text->text, portal->text->text_len}))) {
        db_text_unref(note->text);
        sp_copy_mask_free(note->copy);
        sp_free(note);
        return no_memory(refusal);
    }
    db_rows_watch(session, note);
    flight->own = note;
    return DB_PASS;
}

db_verdict db_texts_describe(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                             db_refusal *refusal)
{
    sp_pg_named named;
    if (sp_failed(sp_pg_named_read(msg->body, &named))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Describe message that is malformed");
        return DB_CUT;
    }
    db_judge *judge = db_session_judge(session);
    db_named_kind kind = named.kind == 'S' ? DB_NAMED_PREPARED : DB_NAMED_PORTAL;
    const db_named *at = db_names_find(&judge->names, kind, named.name, NULL);
    db_ruling ruling = db_ruling_none();
    if (at == NULL || !add_named(&ruling, session, kind, named.name, 0)) {
        return DB_PASS; /* the server says that there is no such thing */
    }
    auto_masks masks = {.mode = SP_SQL_MASKING_CLEAN};
    if (!find_named_masking(session, &ruling, kind, named.name, &masks, refusal)) {
        return DB_REFUSE;
    }
    if (masks.mode == SP_SQL_MASKING_CLEAN) {
        return DB_PASS;
    }
    db_note *note = new_note(&ruling, SP_SPAN_EMPTY);
    if (note == NULL) {
        return no_memory(refusal);
    }
    note->masking = masks.mode;
    note->moves = judge->moves;
    note->text = db_text_ref(at->text);
    db_rows_watch(session, note);
    flight->own = note;
    return DB_PASS;
}

db_verdict db_texts_close(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                          db_refusal *refusal)
{
    sp_pg_named named;
    if (sp_failed(sp_pg_named_read(msg->body, &named))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Close message that is malformed");
        return DB_CUT;
    }
    db_note *note = new_note(NULL, SP_SPAN_EMPTY);
    if (note == NULL) {
        return no_memory(refusal);
    }
    if (named.name.len <= SP_NAME_MAX_BYTES) {
        note->close_kind = named.kind;
        note->name_len = (uint8_t)named.name.len;
        sp_copy(note->name, named.name.ptr, named.name.len);
        note->number = db_session_judge(session)->names.numbers + 1;
        db_session_judge(session)->moves++;
    }
    flight->own = note;
    return DB_PASS;
}
