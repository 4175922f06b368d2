/* SPDX-License-Identifier: Apache-2.0
 * Whether what runs would still be let through: asked when a role of its person has ended.
 *
 * A text is not kept while it runs, only what it met: which action on which relation. What was
 * anything else, or more than there is room for, is asked as an action on all of the database, so
 * that the answer is never milder than the text itself would get.
 *
 * OWNS nothing. PROCESS db gate workers. TRUST numbers of relations are the server's and looked up
 * only. SPEC gates/db/judging.h.
 */
#include "gates/db/judging.h"
#include "infra/proc/clock.h"
#include "lib/policy/database.h"

enum { COLUMNS_MAX_BYTES = 1 << 18 }; /* of one relation: the server's have 1,600 at most */

void db_ruling_meet(db_ruling *ruling, const db_catalogue *catalogue, const sp_sql_use *use)
{
    bool is_system = (use->flags & SP_SQL_USE_SYSTEM) != 0;
    bool is_relation = use->kind == SP_SQL_RELATION && use->relation != SP_NONE && !is_system &&
                       (use->flags & SP_SQL_USE_BECOMES) == 0;
    bool is_resource = use->kind == SP_SQL_SETTING || use->kind == SP_SQL_ROLE ||
                       use->kind == SP_SQL_CODE || (use->kind == SP_SQL_FUNCTION && !is_system);
    if ((!is_relation && !is_resource) || ruling->met_count == DB_MET_MAX) {
        ruling->met_wide |= 1U << use->action;
        return;
    }
    ruling->met[ruling->met_count++] =
        (db_met){.oid = is_relation ? sp_sql_catalogue_at(catalogue->now, use->relation)->oid : 0,
                 .action = (uint8_t)use->action};
}

/* What a relation is by its definition: rules, triggers, row security; what a view says. Columns by
 * which a text may name other values by now. */
static void add_definition(const sp_sql_catalogue *now, const sp_sql_use *use, sp_buf *text)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(now, use->relation);
    const sp_sql_column *columns = sp_sql_catalogue_columns(now, use->relation);
    bool is_named = (use->flags & SP_SQL_USE_IMPLIED) == 0;
    sp_hash said = sp_sha256(relation->definition);
    sp_buf_u32(text,
               relation->flags & (SP_SQL_REL_RULES | SP_SQL_REL_TRIGGERS | SP_SQL_REL_GUARDED));
    sp_buf_bytes(text, sp_span_of(said.bytes, SP_SHA256_BYTES));
    for (uint32_t i = 0; is_named && i < relation->column_count; i++) {
        sp_buf_u32(text, (uint32_t)columns[i].attnum);
        sp_buf_u32(text, columns[i].type_oid);
        sp_buf_bytes(text, columns[i].name);
    }
}

sp_hash db_met_hash(const db_catalogue *catalogue, const sp_sql_judgement *judgement, bool whole)
{
    uint64_t sum[SP_SHA256_BYTES / sizeof(uint64_t)] = {0};
    auto_buf sp_buf text = sp_buf_make(COLUMNS_MAX_BYTES);
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        const sp_sql_relation *relation = use->kind == SP_SQL_RELATION && use->relation != SP_NONE
                                              ? sp_sql_catalogue_at(catalogue->now, use->relation)
                                              : NULL;
        sp_buf_reset(&text);
        sp_buf_u32(&text, use->action);
        sp_buf_u32(&text, use->kind);
        sp_buf_u32(&text, whole ? use->flags : 0);
        sp_buf_u32(&text, relation == NULL ? 0 : relation->oid);
        sp_buf_u32(&text, relation == NULL ? 0 : (uint32_t)relation->kind);
        sp_buf_bytes(&text, use->schema);
        sp_buf_bytes(&text, use->name);
        if (whole && relation != NULL) {
            add_definition(catalogue->now, use, &text);
        }
        sp_hash one = sp_sha256(sp_buf_borrow(&text));
        for (size_t w = 0; w < SP_COUNT(sum); w++) {
            uint64_t word = 0;
            sp_copy(&word, one.bytes + w * sizeof(word), sizeof(word));
            sum[w] += word;
        }
    }
    sp_hash met = {{0}};
    sp_copy(met.bytes, sum, sizeof(sum));
    return met;
}

bool db_ruling_waits(const db_ruling *ruling, const db_session *session)
{
    const db_catalogue *catalogue = session->judge->catalogue;
    uint32_t own = session->back == NULL ? 0 : session->back->pid;
    bool waits = ruling->met_wide != 0 && catalogue->locks.count > 0;
    for (uint8_t i = 0; i < ruling->met_count && !waits; i++) {
        waits = db_catalogue_is_locked(catalogue, ruling->met[i].oid, own);
    }
    return waits;
}

static bool is_tighter(uint64_t now, uint64_t had)
{
    return now != 0 && (had == 0 || now < had);
}

/* Others have agreed to it where they were asked: as many of the same people as are asked now, by
 * the policy of now too. */
static bool is_as_before(const db_session *session, const db_note *note, sp_action action,
                         const sp_decision *now)
{
    const sp_decision *had = &note->ruling.decision;
    bool same_policy = note->serial == session->snapshot->serial; /* it numbers tags */
    uint64_t had_tags = same_policy && (had->must & SP_MUST_MASK) != 0 ? had->mask_tags : 0;
    uint64_t tags = (now->must & SP_MUST_MASK) != 0 ? now->mask_tags : 0;
    bool limits = (now->must & SP_MUST_LIMIT) != 0;
    bool is_agreed = now->verdict == SP_VERDICT_ASK && (note->ruling.asked & 1U << action) != 0 &&
                     sp_agreed_covers(&note->agreed, &session->snapshot->policy, now);
    const uint32_t reads = 1U << SP_ACTION_READ | 1U << SP_ACTION_CONNECT;
    bool is_unrecorded = (now->must & SP_MUST_RECORD) != 0 && !note->is_recorded &&
                         (note->ruling.actions & ~reads) != 0; /* it had to be, before it ran */
    return (now->verdict == SP_VERDICT_ALLOW || is_agreed) && !is_unrecorded &&
           (tags & ~had_tags) == 0 &&
           !(limits && (is_tighter(now->limit_rows, had->limit_rows) ||
                        is_tighter(now->day_rows, had->day_rows) ||
                        is_tighter(now->limit_bytes, had->limit_bytes) ||
                        is_tighter(now->day_bytes, had->day_bytes)));
}

static sp_question question_of(const db_session *session, sp_action action)
{
    return (sp_question){.who = &session->who,
                         .resource = session->resource,
                         .part = SP_NONE,
                         .action = action,
                         .now_unix_s = sp_now_unix_us() / 1000000,
                         .cuts = sp_live_cuts(&db_here.office.live),
                         .face = SP_FACE_DATABASE};
}

sp_decision db_met_whole(const db_session *session, sp_action action)
{
    const sp_question question = question_of(session, action);
    return sp_policy_database_whole(&session->snapshot->policy, &question,
                                    sp_span_cstr(session->database), SP_SPAN_EMPTY);
}

sp_decision db_met_about(const db_session *session, const db_met *met, sp_action action)
{
    const sp_sql_catalogue *now = session->judge->catalogue->now;
    sp_question question = question_of(session, action);
    if (met->oid != 0) {
        uint32_t relation = sp_sql_catalogue_find_oid(now, met->oid);
        if (relation == SP_NONE) {
            return db_met_whole(session, action);
        }
        question.part = sp_sql_catalogue_at(now, relation)->bound.part;
    }
    return sp_policy_decide(&session->snapshot->policy, &question);
}

static bool stands(const db_session *session, const db_note *note, sp_action action,
                   sp_decision *decision)
{
    if (is_as_before(session, note, action, decision)) {
        return true;
    }
    if (decision->verdict != SP_VERDICT_DENY) {
        decision->verdict = SP_VERDICT_DENY;
        decision->reason = SP_REASON_DEFAULT;
        decision->rule = SP_NONE;
    }
    return false;
}

bool db_note_stands(const db_session *session, const db_note *note, sp_decision *ret_decision)
{
    const db_ruling *ruling = &note->ruling;
    bool exports = note->exporting != DB_EXPORT_NO;
    for (uint8_t i = 0; i < ruling->met_count; i++) {
        sp_action action = (sp_action)ruling->met[i].action;
        sp_decision decision = db_met_about(session, &ruling->met[i], action);
        bool good = stands(session, note, action, &decision);
        if (good && exports && action != SP_ACTION_CONNECT) {
            decision = db_met_about(session, &ruling->met[i], SP_ACTION_EXPORT);
            good = stands(session, note, SP_ACTION_EXPORT, &decision);
        }
        if (!good) {
            *ret_decision = decision;
            return false;
        }
    }
    uint32_t wide =
        ruling->met_wide | (exports && ruling->met_wide != 0 ? 1U << SP_ACTION_EXPORT : 0);
    for (uint32_t action = 0; action < SP_ACTION_COUNT; action++) {
        if ((wide & 1U << action) == 0) {
            continue;
        }
        sp_decision decision = db_met_whole(session, (sp_action)action);
        if (!stands(session, note, (sp_action)action, &decision)) {
            *ret_decision = decision;
            return false;
        }
    }
    return true;
}
