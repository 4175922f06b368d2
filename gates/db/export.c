/* SPDX-License-Identifier: Apache-2.0
 * A large answer is an export: beyond so many rows or bytes (`postgres.export.over`), of a message
 * or of a portal in all its parts, what is read is carried off, and policy is asked about that too.
 *
 * Story: the pump counts rows and bytes as it did; only the one that is too many comes here. What
 * the statement met was remembered when it was judged (stands.c), so it is asked without the text:
 * may this person export that, by a rule that masks no more? Then the answer goes on, with the
 * limits of both, and stands in the ledger and in the budgets as an export; else it ends here.
 *
 * OWNS nothing. PROCESS db gate workers. TRUST counts are the server's. SPEC docs/POLICY.md
 * "postgres", gates/db/judging.h.
 */
#include "gates/db/judging.h"
#include "lib/policy/database.h"

#include <stdio.h>

void db_export_bind(db_session *session)
{
    uint64_t rows = 0;
    uint64_t bytes = 0;
    if (sp_policy_database_export_over(&session->snapshot->policy, session->resource, &rows,
                                       &bytes)) {
        db_session_set_large(session, rows, bytes);
    }
}

/* ---- whether it may be ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a == 0 ? b : (b == 0 || a < b ? a : b);
}

static void join(const db_session *session, sp_decision *all, const sp_decision *one)
{
    if (all->rule == SP_NONE && all->verdict == SP_VERDICT_ALLOW) {
        *all = *one; /* the first */
    } else {
        sp_decision_join(&session->snapshot->policy, all, one);
    }
}

/* Of all that the statement was about. What was judged as an export has been asked already; the
 * server's own catalogue is nobody's. *ret_met: what may not be had, NULL = all there is. */
static sp_decision ask(const db_session *session, const db_note *note, const db_met **ret_met)
{
    const uint32_t asked = 1U << SP_ACTION_EXPORT | 1U << SP_ACTION_CONNECT;
    sp_decision all = {.verdict = SP_VERDICT_ALLOW, .reason = SP_REASON_RULE, .rule = SP_NONE};
    const db_ruling *ruling = &note->ruling;
    *ret_met = NULL;
    for (uint8_t i = 0; i < ruling->met_count; i++) {
        if ((asked & 1U << ruling->met[i].action) == 0) {
            *ret_met = *ret_met == NULL ? &ruling->met[i] : *ret_met;
            sp_decision one = db_met_about(session, &ruling->met[i], SP_ACTION_EXPORT);
            *ret_met = one.verdict < all.verdict ? &ruling->met[i] : *ret_met;
            join(session, &all, &one);
        }
    }
    if ((ruling->met_wide & ~asked) != 0) {
        sp_decision one = db_met_whole(session, SP_ACTION_EXPORT);
        *ret_met = one.verdict < all.verdict ? NULL : *ret_met;
        join(session, &all, &one);
    }
    return all;
}

static bool masks_more(const db_session *session, const db_note *note, const sp_decision *now)
{
    const sp_decision *had = &note->ruling.decision;
    bool same_policy = note->serial == session->snapshot->serial; /* it numbers tags */
    uint64_t masked = same_policy && (had->must & SP_MUST_MASK) != 0 ? had->mask_tags : 0;
    return (now->must & SP_MUST_MASK) != 0 && (now->mask_tags & ~masked) != 0;
}

static void name(const db_session *session, const db_met *met, char *out, size_t size)
{
    const sp_sql_catalogue *now = db_session_judge(session)->catalogue->now;
    uint32_t at = met == NULL || met->oid == 0 ? SP_NONE : sp_sql_catalogue_find_oid(now, met->oid);
    if (at == SP_NONE) {
        snprintf(out, size, "this database");
        return;
    }
    const sp_sql_relation *relation = sp_sql_catalogue_at(now, at);
    snprintf(out, size, "the table %.*s.%.*s", SP_SPAN_ARG(relation->schema),
             SP_SPAN_ARG(relation->name));
}

static db_verdict refuse(db_session *session, db_note *note, const sp_decision *decision,
                         const db_met *met, bool by_rows, db_refusal *refusal)
{
    char what[160];
    bool is_masked = decision->verdict == SP_VERDICT_ALLOW;
    bool asks = decision->verdict == SP_VERDICT_ASK;
    name(session, met, what, sizeof(what));
    db_refuse(refusal, "42501", is_masked ? SP_REASON_DENY_RULE : (sp_reason)decision->reason,
              "more than %llu %s are an export, and export of %s %s",
              (unsigned long long)(by_rows ? session->large_rows : session->large_bytes),
              by_rows ? "rows" : "bytes", what,
              is_masked ? "masks more than reading it"
              : asks    ? "waits for other people"
                        : "is not allowed");
    snprintf(refusal->hint, sizeof(refusal->hint), "%s",
             is_masked || asks ? "COPY (...) TO STDOUT is an export from its beginning."
                               : "Ask for less at a time, or for the right to export.");
    db_ruling ruling = note->ruling;
    ruling.snapshot = NULL; /* this is said by the policy of now */
    ruling.decision = *decision;
    ruling.decision.verdict = SP_VERDICT_DENY;
    ruling.action = SP_ACTION_EXPORT;
    ruling.actions = 1U << SP_ACTION_EXPORT; /* as what else it is it has been counted */
    ruling.has_use = !asks;                  /* then it is no attempt against anything */
    note->is_refused = true;                 /* and written down */
    db_judge_refused(session, &ruling, note->tag, (sp_span){note->shown, note->shown_len}, refusal);
    return DB_REFUSE;
}

/* ---- it is one ---- */

static void become(db_session *session, db_note *note, const db_count *before,
                   const sp_decision *decision)
{
    sp_decision *own = &note->ruling.decision;
    db_rows_passed(session, note);
    /* of the day are those of the parts before as well, unless it has counted them */
    note->told_rows -= before->rows - before->day_rows;
    note->told_bytes -= before->bytes - before->day_bytes;
    own->must |= decision->must;
    own->limit_rows = least(own->limit_rows, decision->limit_rows);
    own->limit_bytes = least(own->limit_bytes, decision->limit_bytes);
    own->day_rows = least(own->day_rows, decision->day_rows);
    own->day_bytes = least(own->day_bytes, decision->day_bytes);
    db_bound_bytes(own);
    note->ruling.actions |= 1U << SP_ACTION_EXPORT;
    if (sp_sql_gravity(note->ruling.action) < sp_sql_gravity(SP_ACTION_EXPORT)) {
        note->ruling.action = SP_ACTION_EXPORT;
    }
    db_rows_watch_more(session, note);
}

static void on_written(sp_recorder_wait *wait, bool durable)
{
    db_writing *writing = (db_writing *)(void *)((uint8_t *)wait - offsetof(db_writing, wait));
    writing->state = durable ? DB_WRITING_NONE : DB_WRITING_FAILED;
    db_session_resume_answer(writing->session);
}

static void await_disk(db_session *session, uint64_t seq)
{
    db_writing *writing = &db_session_judge(session)->writing;
    *writing =
        (db_writing){.state = DB_WRITING_WAITS, .session = session, .wait = {.on_end = on_written}};
    sp_recorder_await(&db_here.recorder, &writing->wait, seq);
}

void db_export_over(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge->writing.state == DB_WRITING_WAITS) {
        sp_recorder_forget(&judge->writing.wait);
    }
    judge->writing.state = DB_WRITING_NONE;
    sp_link_forget(&db_here.office.link, judge->portion_call);
    judge->portion_call = 0;
    judge->portion = DB_SPEND_NONE;
}

static db_verdict cannot_write(db_refusal *refusal)
{
    db_refuse(refusal, "53400", SP_REASON_UNRECORDED,
              "this export cannot be written down, so it ends here");
    return DB_REFUSE;
}

/* DB_WAIT: for the disk, or for core. A later part of what has become an export is of that one. */
static db_verdict begin(db_session *session, db_note *note, const db_count *before, bool by_rows,
                        db_refusal *refusal)
{
    const db_met *met = NULL;
    sp_decision decision = ask(session, note, &met);
    if (decision.verdict != SP_VERDICT_ALLOW || masks_more(session, note, &decision)) {
        return refuse(session, note, &decision, met, by_rows, refusal);
    }
    if (decision.rule == SP_NONE) {
        return DB_PASS; /* it is about nothing of anybody, or was an export from its beginning */
    }
    become(session, note, before, &decision);
    note->is_export = true;
    if (before->exports != 0) {
        note->reference = note->is_recorded ? note->reference : before->exports;
        note->is_recorded = true;
        return DB_PASS;
    }
    uint64_t seq = db_judge_exported(session, note, &decision);
    if (seq == 0) {
        return cannot_write(refusal);
    }
    note->is_recorded = true;
    if ((decision.must & SP_MUST_RECORD) != 0) {
        await_disk(session, seq);
    }
    return DB_WAIT;
}

/* What it waits for, one after the other. */
static db_verdict go_on(db_session *session, db_note *note, uint64_t size, db_refusal *refusal)
{
    db_writing *writing = &db_session_judge(session)->writing;
    if (writing->state == DB_WRITING_FAILED) {
        writing->state = DB_WRITING_NONE;
        return cannot_write(refusal);
    }
    if (writing->state == DB_WRITING_WAITS) {
        return DB_WAIT;
    }
    return db_spend_is_needed(session, &note->ruling)
               ? db_spend_export(session, note, note->rows + 1, note->bytes + size, refusal)
               : DB_PASS;
}

static const db_count *counted_before(const db_note *note)
{
    static const db_count none = {.rows = 0};
    return note->count == NULL ? &none : db_count_root(note->count);
}

/* It is one row, or so many bytes, too many. */
static db_verdict go_beyond(db_session *session, db_note *note, db_flight *flight, uint64_t size,
                            bool by_rows, db_refusal *refusal)
{
    const db_count *before = counted_before(note);
    db_verdict verdict = DB_WAIT;
    if (note->exporting == DB_EXPORT_NO) {
        verdict = begin(session, note, before, by_rows, refusal);
        note->exporting = DB_EXPORT_ASKED;
    }
    if (verdict == DB_WAIT) {
        verdict = go_on(session, note, size, refusal);
    }
    if (verdict == DB_PASS) {
        note->exporting = DB_EXPORT_YES;
        if (note->is_export && note->count != NULL) {
            db_count_root(note->count)->exports = note->reference;
        }
        flight->flags |= DB_FLIGHT_LARGE;
    }
    return verdict;
}

db_verdict db_export_row(db_session *session, db_note *note, db_flight *flight, uint64_t size,
                         db_refusal *refusal)
{
    const db_count *before = counted_before(note);
    bool by_rows = before->rows + session->rows >= session->large_rows;
    return by_rows || before->bytes + session->bytes_out + size > session->large_bytes
               ? go_beyond(session, note, flight, size, by_rows, refusal)
               : DB_PASS;
}

db_verdict db_export_words(db_session *session, db_note *note, db_flight *flight, uint64_t size,
                           db_refusal *refusal)
{
    if (counted_before(note)->bytes + session->bytes_out + size <= session->large_bytes) {
        return DB_PASS;
    }
    db_verdict verdict = go_beyond(session, note, flight, size, false, refusal);
    if (verdict == DB_REFUSE) { /* the answer goes on without them */
        note->is_refused = false;
        note->exporting = DB_EXPORT_NO;
    }
    return verdict;
}
