/* SPDX-License-Identifier: Apache-2.0
 * Messages of the client that carry SQL or run it: judged, decided, remembered by name.
 * OWNS the notes it hangs on flights. PROCESS db gate workers. TRUST messages are hostile.
 * SPEC gates/db/judging.h; PostgreSQL 15 manual, 55.2.
 */
#include "gates/db/judging.h"
#include "lib/sql/redact.h"

#include <stdio.h>

enum { BY_NAME = SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH };
/* ---- judging a text ---- */

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

/* A known one stays as it is. */
static sp_err keep_judged(const db_session *session, sp_span text,
                          const sp_sql_judgement *judgement, sp_sql_known **known)
{
    return *known != NULL ? sp_ok()
                          : sp_sql_known_new(text, judgement,
                                             db_session_judge(session)->catalogue->version, known);
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
        if (ruling->snapshot != NULL) { /* it may be replaced while the answer comes */
            sp_gate_snapshot_ref(ruling->snapshot);
        }
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

/* ---- the order to run ---- */

/* How many statements run now: what is only prepared or declared does not. A cursor that is held
 * does: the server runs it to its end when the transaction commits. One that calls code does too:
 * the server plans it, and planning computes what is declared IMMUTABLE. */
static uint32_t running(const sp_sql_judgement *judgement, const db_ruling *ruling)
{
    bool waits = (judgement->flags & SP_SQL_IS_HOLD) == 0 && !ruling->asks_code;
    uint32_t later = SP_SQL_IS_PREPARE | (waits ? SP_SQL_IS_DECLARE : 0U);
    uint32_t count = 0;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        count += (judgement->statements[i].flags & later) == 0 ? 1 : 0;
    }
    return count;
}

/* A cut cancels what the server runs, and then the server takes up what lies in its buffer: behind
 * a Query or Sync that it has not answered lies nothing that changes anything, or commits. Within
 * one pipeline a cancel skips the rest. */
static bool is_behind(db_session *session, const db_run_ask *run)
{
    bool changes = (run->ruling->actions & ~(uint32_t)DB_LOOKS) != 0 ||
                   (run->judgement->flags & SP_SQL_IS_END) != 0;
    return changes && session->flights.ready_count > 0 && db_session_drain(session);
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
    if (run->statements > 0 && is_behind(session, run)) {
        return DB_WAIT;
    }
    db_verdict verdict = DB_PASS;
    if (run->statements > 0) {
        verdict = db_pending_step(session, run, refusal);
    }
    if (run->statements > 0 && verdict == DB_PASS) {
        verdict = db_spend(session, run, refusal);
    }
    if (run->statements > 0 && verdict == DB_PASS) {
        verdict = db_pending_record(session, run, refusal);
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
    uint64_t recorded = db_pending_take(session, &note->agreed);
    db_estimate_forget(session);
    db_drawn_keep(&db_session_judge(session)->drawn, &note->ruling);
    note->spent = db_spend_take(session);
    note->is_recorded = recorded != 0;
    note->reference = recorded != 0 ? recorded : sp_recorder_reference();
    if (note->ruling.decision.verdict == SP_VERDICT_ASK) {
        note->ruling.decision.verdict = SP_VERDICT_ALLOW;
    }
}

/* Hung on a note that will not be needed: it does not run. */
static db_verdict drop_note(db_session *session, db_note *note, sp_err err, db_refusal *refusal)
{
    if (note != NULL) {
        const db_end end = {.how = DB_END_SKIPPED};
        db_judge *judge = db_session_judge(session);
        judge->defining -= note->runs && (note->flags & SP_SQL_IS_DDL) != 0 ? 1 : 0;
        db_names_settle(&judge->names, note->number, note->made_last, false);
        db_spend_after(session, note, &end);
        db_count_unref(note->count);
        db_text_unref(note->text);
        db_names_drop(&judge->names, note->names);
        sp_copy_mask_free(note->copy);
        sp_gate_snapshot_unref(note->ruling.snapshot);
        sp_free(note);
    }
    db_names_refuse(err, "prepared statements and cursors", refusal);
    return DB_REFUSE;
}

/* An Execute of a part, or of what was fetched in parts, counts with the rest of its portal. */
static sp_err count_portal(db_judge *judge, const sp_pg_execute *execute, const db_named *portal,
                           db_note *note)
{
    bool is_part = execute->rows_max != 0 || portal->count != NULL || note->needs_fresh;
    return is_part ? db_names_count(judge, DB_NAMED_PORTAL, execute->portal, &note->count)
                   : sp_ok();
}

static db_verdict refuse_text(db_session *session, const sp_sql_judgement *judgement, sp_span text,
                              db_refusal *refusal)
{
    auto_buf sp_buf shown = sp_buf_make(SP_SQL_SHOWN_BYTES);
    const db_ruling ruling = {.decision = {.verdict = SP_VERDICT_DENY, .rule = SP_NONE},
                              .action = SP_ACTION_EXECUTE};
    refuse_fault(session, judgement, refusal);
    sp_sql_redact_unread(text, SP_SQL_SHOWN_BYTES - 16, &shown);
    db_judge_refused(session, &ruling, "SQL", sp_buf_borrow(&shown), refusal);
    if (judgement->fault == SP_SQL_SYNTAX && !db_session_judge(session)->server_is_newer) {
        refusal->reference = 0; /* the server's own words, and nothing else */
    }
    return DB_REFUSE;
}

/* ---- messages ---- */

/* DISCARD ALL by itself. */
static bool discards(const sp_sql_judgement *judgement)
{
    const uint32_t all = SP_SQL_IS_DEALLOCATE | SP_SQL_IS_CLOSE;
    return judgement->statement_count == 1 && (judgement->statements[0].flags & all) == all;
}

static void note_flight(db_session *session, const sp_sql_judgement *judgement, const db_note *note,
                        db_flight *flight)
{
    const uint32_t reads = SP_SQL_RETURNS_ROWS | SP_SQL_IS_FETCH | SP_SQL_IS_DECLARE |
                           SP_SQL_IS_EXECUTE | SP_SQL_IS_EXPLAIN | SP_SQL_IS_COPY_OUT |
                           SP_SQL_IS_BINARY | SP_SQL_IS_UNSURE | SP_SQL_IS_MAYBE_CALL |
                           SP_SQL_IS_BEGIN | SP_SQL_READS_TEMP;
    flight->flags |= (judgement->flags & SP_SQL_IS_COPY_IN) != 0 ? DB_FLIGHT_COPY : 0;
    session->has_changed |=
        (note->ruling.actions & ~(uint32_t)DB_LOOKS) != 0 || (judgement->flags & ~reads) != 0;
    session->has_ended |= (judgement->flags & SP_SQL_IS_END) != 0;
    session->has_begun |= (judgement->flags & SP_SQL_IS_BEGIN) != 0;
}

/* Of a Query, and of what it runs by a name. */
static bool find_masks(db_session *session, const db_ruling *ruling,
                       const sp_sql_judgement *judgement, sp_span text, sp_sql_known *known,
                       db_masks *masks, db_refusal *refusal)
{
    bool good = db_masks_find(session, ruling, judgement, text, known, masks, refusal);
    for (uint32_t i = 0; good && i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & BY_NAME) != 0) {
            bool executes = (statement->flags & SP_SQL_IS_EXECUTE) != 0;
            good =
                db_masks_find_named(session, ruling, executes ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                                    statement->name, masks, refusal);
        }
    }
    return good;
}

/* Who may not drop what the name could be by then is not refused: only his own is dropped. */
static bool writes_absent(const db_ruling *ruling, const sp_sql_judgement *judgement, sp_span text,
                          sp_buf *written)
{
    return ruling->decision.verdict != SP_VERDICT_ALLOW &&
           sp_sql_write_absent(text, judgement, written) && !sp_failed(sp_buf_error(written));
}

db_verdict db_texts_query(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal)
{
    sp_span text;
    if (sp_failed(sp_pg_query_read(msg->body, &text))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Query message that is malformed");
        return DB_CUT;
    }
    auto_known sp_sql_known *known = NULL;
    const sp_sql_judgement *judgement = db_judge_text(session, text, false, &known);
    if (judgement->fault != SP_SQL_FINE) {
        return refuse_text(session, judgement, text, refusal);
    }
    db_judge *judge = db_session_judge(session);
    if ((judgement->flags & DB_NAMING) != 0 || db_ends_any(judge, judgement)) {
        /* looking at other texts uses the judge's room again */
        if (sp_failed(keep_judged(session, text, judgement, &known))) {
            return no_memory(refusal);
        }
        judgement = known->judgement;
    }
    db_verdict temps = db_temps_sure(session, judgement, refusal);
    if (temps != DB_PASS) {
        return temps;
    }
    if (!db_means_fits_text(judge, judgement, refusal)) {
        return DB_REFUSE;
    }
    db_ruling ruling = db_ruling_none();
    const char *tag = tag_of(judgement);
    uint32_t flags = judgement->flags;
    db_ruling_add(&ruling, session, judge->catalogue, judgement);
    db_verdict sure = db_means_text(&ruling, session, judgement, refusal);
    if (sure == DB_PASS && out != NULL) { /* else what it stands for was looked for just now */
        sure = db_sure_to_run(session, judgement, flags, &ruling, refusal);
    }
    if (sure != DB_PASS) {
        return sure;
    }
    auto_buf sp_buf written = sp_buf_make(DB_STATEMENT_MAX_BYTES);
    if (out != NULL && writes_absent(&ruling, judgement, text, &written)) {
        sp_pg_query_write(out, sp_buf_borrow(&written));
        return DB_REPLACE;
    }
    auto_buf sp_buf hidden = sp_buf_make(SP_SQL_SHOWN_BYTES);
    sp_span shown = known != NULL ? known->shown : sp_sql_cache_shown(db_known, judgement, text);
    if (shown.len == 0) {
        sp_sql_redact(text, (flags & SP_SQL_IS_SECRET) != 0, SP_SQL_SHOWN_BYTES - 16, &hidden);
        shown = sp_buf_borrow(&hidden);
    }
    auto_masks masks = {.mode = SP_SQL_MASKING_CLEAN};
    if (!find_masks(session, &ruling, judgement, text, known, &masks, refusal)) {
        db_judge_refused(session, &ruling, tag, shown, refusal);
        return DB_REFUSE;
    }
    const db_run_ask run = {
        &ruling, judgement,         tag,   text,  shown, running(judgement, &ruling),
        NULL,    {.type_count = 0}, false, false, false};
    db_verdict verdict = may_run(session, &run, refusal);
    if (verdict != DB_PASS) {
        return verdict;
    }
    db_note *note = new_note(&ruling, shown);
    if (note == NULL || !db_masks_set(note, &masks)) {
        return drop_note(session, note, sp_fail(SP_ENOMEM), refusal);
    }
    note_run(session, note);
    note->runs = judgement->statement_count > 0;
    judge->moves++;
    note->tag = tag;
    note->flags = flags;
    note->number = judge->names.numbers + 1;
    note->is_behind = session->is_unsynced;
    note->discards = discards(judgement);
    note->ends_within = db_ends_within(session, judgement);
    db_made_things(judge, judgement);
    db_temps_note(judgement, note);
    sp_err err = known == NULL ? sp_ok() : db_made_names(session, known, NULL, note);
    if (known != NULL && !sp_failed(err)) {
        err = db_names_count_text(judge, judgement, note->number, &note->count);
    }
    if (sp_failed(err)) {
        return drop_note(session, note, err, refusal);
    }
    note_flight(session, judgement, note, flight);
    db_rows_watch(session, note, flight);
    flight->note = note;
    return DB_PASS;
}

db_verdict db_texts_parse(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal)
{
    sp_pg_parse parse;
    if (sp_failed(sp_pg_parse_read(msg->body, &parse))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Parse message that is malformed");
        return DB_CUT;
    }
    auto_known sp_sql_known *known = NULL;
    const sp_sql_judgement *judgement = db_judge_text(session, parse.text, true, &known);
    if (judgement->fault != SP_SQL_FINE) {
        return refuse_text(session, judgement, parse.text, refusal);
    }
    db_verdict temps = db_temps_sure(session, judgement, refusal);
    if (temps != DB_PASS) {
        return temps;
    }
    db_verdict sure = db_sure_of_names(session, judgement, refusal);
    if (sure != DB_PASS) {
        return sure;
    }
    db_judge *judge = db_session_judge(session);
    if (judgement->statement_count > 1) {
        db_refuse(refusal, "42601", SP_REASON_UNPARSED,
                  "cannot insert multiple commands into a prepared statement");
        refusal->reference = 0; /* the server's own words, and nothing else */
        return DB_REFUSE;
    }
    if (!db_means_fits(judge, parse.name, refusal) ||
        !db_means_fits_text(judge, judgement, refusal) ||
        !db_types_fit(session, judgement, &parse, refusal)) {
        return DB_REFUSE;
    }
    db_ruling ruling = db_ruling_none();
    db_ruling_add(&ruling, session, judge->catalogue, judgement);
    auto_buf sp_buf written = sp_buf_make(DB_STATEMENT_MAX_BYTES);
    if (out != NULL && writes_absent(&ruling, judgement, parse.text, &written)) {
        parse.text = sp_buf_borrow(&written);
        sp_pg_parse_typed_write(out, &parse);
        return DB_REPLACE;
    }
    db_text *text = NULL;
    if (sp_failed(keep_judged(session, parse.text, judgement, &known)) ||
        sp_failed(db_text_new(known, &text))) {
        return no_memory(refusal);
    }
    text->made = db_made_state(judge);
    text->keeps_values = db_keeps_values(session, &ruling);
    if (text->keeps_values && sp_failed(db_text_types(text, &parse))) {
        db_text_unref(text);
        return no_memory(refusal);
    }
    db_verdict verdict = DB_PASS;
    if (ruling.decision.verdict == SP_VERDICT_DENY) {
        const db_run_ask run = {&ruling,
                                known->judgement,
                                tag_of(known->judgement),
                                known->text,
                                known->shown,
                                0,
                                NULL,
                                {.type_count = 0},
                                false,
                                false,
                                false};
        verdict = may_run(session, &run, refusal);
    }
    db_note *note = verdict == DB_PASS ? new_note(NULL, SP_SPAN_EMPTY) : NULL;
    if (verdict == DB_PASS && note == NULL) {
        verdict = no_memory(refusal);
    }
    db_named *named = NULL;
    sp_err err = verdict == DB_PASS
                     ? db_names_add(&judge->names, DB_NAMED_PREPARED, parse.name, text, &named)
                     : sp_ok();
    if (sp_failed(err)) {
        sp_free(note);
        db_names_refuse(err, "prepared statements", refusal);
        verdict = DB_REFUSE;
    } else if (verdict == DB_PASS) {
        note->number = note->made_last = named->number;
        flight->note = note;
    }
    db_text_unref(text);
    return verdict;
}

/* What a portal was bound to has been looked at, but names that were temporary then. */
static uint32_t unsure_now(const sp_sql_judgement *judgement)
{
    return (judgement->flags & DB_OF_SESSION) != 0 ? judgement->flags & SP_SQL_IS_UNSURE : 0;
}

/* By itself: what counts together with others may be one that has not run. */
static bool has_stopped(const db_named *portal)
{
    const db_count *count = portal->count;
    return count != NULL && count->has_stopped && count->into == NULL && count->height == 0;
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
    if (!db_means_fits(judge, execute.portal, refusal) ||
        !db_means_may_run(judge, portal, refusal)) {
        return DB_REFUSE;
    }
    db_ruling ruling = db_ruling_none();
    db_verdict found = db_means_message(&ruling, session, DB_NAMED_PORTAL, execute.portal, refusal);
    db_verdict sure = found == DB_PASS ? db_sure_to_run(session, portal->text->known->judgement,
                                                        unsure_now(portal->text->known->judgement),
                                                        &ruling, refusal)
                                       : found;
    if (sure != DB_PASS) {
        return sure;
    }
    const char *tag = tag_of(portal->text->known->judgement);
    if (ruling.decision.verdict == SP_VERDICT_ASK && portal->has_values && portal->values == NULL) {
        portal->text->keeps_values = true;
        db_refuse(refusal, "42501", SP_REASON_APPROVAL,
                  "others have to agree to this statement, and its values were not kept for them");
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Bind it again; values of more than %u KiB cannot be shown.",
                 (unsigned)DB_BIND_WHOLE_BYTES / 1024);
        db_judge_refused(session, &ruling, tag, portal->text->known->shown, refusal);
        return DB_REFUSE;
    }
    auto_masks masks = {.mode = SP_SQL_MASKING_CLEAN};
    if (!db_masks_find_named(session, &ruling, DB_NAMED_PORTAL, execute.portal, &masks, refusal)) {
        db_judge_refused(session, &ruling, tag, portal->text->known->shown, refusal);
        return DB_REFUSE;
    }
    if (portal->text->tells) {
        masks.mode = SP_SQL_MASKING_STRICT;
    }
    const db_run_ask run = {&ruling,
                            portal->text->known->judgement,
                            tag,
                            portal->text->known->text,
                            portal->text->known->shown,
                            1,
                            portal->values,
                            portal->text->types,
                            true,
                            has_stopped(portal),
                            portal->text->words.len > 0};
    bool in_one = execute.rows_max != 0 && !run.goes_on &&
                  (portal->text->known->judgement->flags & SP_SQL_RETURNS_ROWS) != 0 &&
                  db_spend_counts_rows(session, &ruling);
    if (in_one && ruling.decision.verdict == SP_VERDICT_ASK) { /* nobody is asked in vain */
        db_rows_refuse_part(refusal);
        db_judge_refused(session, &ruling, tag, portal->text->known->shown, refusal);
        return DB_REFUSE;
    }
    db_verdict verdict = may_run(session, &run, refusal);
    if (verdict != DB_PASS) {
        return verdict;
    }
    db_note *note = new_note(&ruling, portal->text->known->shown);
    if (note == NULL || !db_masks_set(note, &masks)) {
        return drop_note(session, note, sp_fail(SP_ENOMEM), refusal);
    }
    note_run(session, note);
    note->runs = true;
    note->text = db_text_ref(portal->text);
    note->moves = judge->moves++;
    note->needs_fresh = (portal->text->known->judgement->flags & BY_NAME) != 0;
    note->tag = tag;
    note->flags = portal->text->known->judgement->flags;
    note->number = judge->names.numbers + 1;
    note->discards = discards(portal->text->known->judgement);
    note->ends_within = db_ends_within(session, portal->text->known->judgement);
    note->in_one = in_one;
    db_made_things(judge, portal->text->known->judgement);
    db_temps_note(portal->text->known->judgement, note);
    sp_err err = db_made_names(session, portal->text->known, portal, note);
    if (!sp_failed(err)) {
        err = count_portal(judge, &execute, portal, note);
    }
    if (sp_failed(err)) {
        return drop_note(session, note, err, refusal);
    }
    note_flight(session, portal->text->known->judgement, note, flight);
    db_rows_watch(session, note, flight);
    flight->note = note;
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
    db_verdict clear = db_means_fits(judge, named.name, refusal)
                           ? db_names_clear(session, kind, named.name, refusal)
                           : DB_REFUSE;
    if (clear != DB_PASS) {
        return clear;
    }
    if (at == NULL) { /* what the server has there may be of a Query that failed */
        bool is_prepared = kind == DB_NAMED_PREPARED;
        db_means_nothing(is_prepared, is_prepared ? "prepared statement" : "portal", named.name,
                         refusal);
        return DB_REFUSE;
    }
    db_ruling ruling = db_ruling_none();
    db_verdict found = db_means_message(&ruling, session, kind, named.name, refusal);
    if (found != DB_PASS) { /* it will not run, and shows nothing */
        bool is_skipped = judge->asked == DB_ASKED_FAILED;
        return found == DB_REFUSE && !is_skipped ? DB_PASS : found;
    }
    auto_masks masks = {.mode = SP_SQL_MASKING_CLEAN};
    if (!db_masks_find_named(session, &ruling, kind, named.name, &masks, refusal)) {
        return DB_REFUSE;
    }
    if (masks.mode == SP_SQL_MASKING_CLEAN && (ruling.decision.must & SP_MUST_MASK) == 0) {
        return DB_PASS;
    }
    db_note *note = new_note(&ruling, SP_SPAN_EMPTY);
    if (note == NULL) {
        return no_memory(refusal);
    }
    note->masking = masks.mode;
    /* a prepared FETCH is described as of what its name meant when it was parsed */
    bool is_older = kind == DB_NAMED_PREPARED && (at->text->known->judgement->flags & BY_NAME) != 0;
    note->moves = is_older ? UINT64_MAX : judge->moves;
    note->text = db_text_ref(at->text);
    db_rows_watch(session, note, NULL);
    flight->note = note;
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
    if (!db_means_fits(db_session_judge(session), named.name, refusal)) {
        return DB_REFUSE;
    }
    db_note *note = new_note(NULL, SP_SPAN_EMPTY);
    if (note == NULL) {
        return no_memory(refusal);
    }
    note->close_kind = named.kind;
    note->name_len = (uint8_t)named.name.len;
    sp_copy(note->name, named.name.ptr, named.name.len);
    note->number = db_session_judge(session)->names.numbers + 1;
    db_session_judge(session)->moves++;
    flight->note = note;
    return DB_PASS;
}
