/* SPDX-License-Identifier: Apache-2.0
 * How the answer of a text is masked, before it runs: which fields may hold what is masked, or that
 * it would tell masked values and is refused.
 * OWNS nothing. PROCESS db gate workers. TRUST texts are hostile. SPEC lib/sql/masking.h.
 */
#include "gates/db/judging.h"

#include <stdio.h>

enum { NAMES_DEEP = 5 };

static bool has_opaque(const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        if ((judgement->uses[i].flags & SP_SQL_USE_OPAQUE) != 0) {
            return true;
        }
    }
    return false;
}

/* A bare name means the same temporary relation in all of its statements only if none of them may
 * end it. */
static bool may_end_temps(const sp_sql_judgement *judgement)
{
    const uint32_t undoes =
        SP_SQL_IS_END | SP_SQL_IS_ROLLBACK_TO | SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH;
    bool ends = (judgement->flags & undoes) != 0;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        ends |= (judgement->statements[i].temps & SP_SQL_TEMP_ENDS) != 0;
    }
    return ends && judgement->statement_count > 1;
}

void db_masks_done(db_masks *masks)
{
    sp_free(masks->plan);
}

/* False with a refusal: which column of COPY is which is not certain. */
static bool find_plan(const sp_sql_context *context, sp_span text, uint64_t mask_tags,
                      db_masks *masks, db_refusal *refusal)
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

bool db_masks_find(db_session *session, const db_ruling *ruling, const sp_sql_judgement *judgement,
                   sp_span text, sp_sql_known *known, db_masks *masks, db_refusal *refusal)
{
    const sp_decision *decision = &ruling->decision;
    if ((decision->must & SP_MUST_MASK) == 0 || decision->mask_tags == 0) {
        return true;
    }
    sp_sql_context context = db_context_of(session);
    context.is_temporary = may_end_temps(judgement) ? NULL : context.is_temporary;
    sp_sql_masking found = sp_sql_cache_masking(db_known, db_sql, &context,
                                                db_session_judge(session)->catalogue->version, text,
                                                decision->mask_tags, known);
    if (found.mode != SP_SQL_MASKING_CLEAN && found.mode != SP_SQL_MASKING_REFUSED &&
        (judgement->flags & SP_SQL_IS_ROW_CALL) != 0) {
        found.mode = SP_SQL_MASKING_REFUSED;
        snprintf(found.reason, sizeof(found.reason),
                 "a function may be called with a row beside masked columns");
    }
    if (found.mode != SP_SQL_MASKING_CLEAN && found.mode != SP_SQL_MASKING_REFUSED &&
        !found.copies && (judgement->flags & SP_SQL_IS_COPY_OUT) != 0 &&
        judgement->statement_count > 1) {
        found.mode = SP_SQL_MASKING_REFUSED;
        snprintf(found.reason, sizeof(found.reason),
                 "COPY in one message with statements on masked columns: send it apart");
    }
    if (found.mode == SP_SQL_MASKING_REFUSED) {
        db_refuse(refusal, "42501", SP_REASON_DENY_RULE, "%s", found.reason);
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Masked columns may be selected as they are, and nothing else.");
        return false;
    }
    if (found.mode < SP_SQL_MASKING_STRICT && has_opaque(judgement)) {
        found.mode = SP_SQL_MASKING_STRICT;
    }
    if (found.copies && !find_plan(&context, text, decision->mask_tags, masks, refusal)) {
        return false;
    }
    masks->mode = found.mode > masks->mode ? found.mode : masks->mode;
    return true;
}

static bool find_named(db_session *session, const db_ruling *ruling, db_named_kind kind,
                       sp_span name, unsigned depth, db_masks *masks, db_refusal *refusal)
{
    const db_names *names = &db_session_judge(session)->names;
    for (const db_named *at = db_names_find(names, kind, name, NULL); at != NULL;
         at = db_names_find(names, kind, name, at)) {
        sp_sql_known *known = at->text->known;
        bool good =
            db_masks_find(session, ruling, known->judgement, known->text, known, masks, refusal);
        for (uint32_t i = 0; good && i < known->judgement->statement_count; i++) {
            const sp_sql_statement *statement = &known->judgement->statements[i];
            bool executes = (statement->flags & SP_SQL_IS_EXECUTE) != 0;
            if (!executes && (statement->flags & SP_SQL_IS_FETCH) == 0) {
                continue;
            }
            if (depth == NAMES_DEEP) {
                masks->mode = SP_SQL_MASKING_STRICT;
                continue;
            }
            good = find_named(session, ruling, executes ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                              statement->name, depth + 1, masks, refusal);
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

bool db_masks_find_named(db_session *session, const db_ruling *ruling, db_named_kind kind,
                         sp_span name, db_masks *masks, db_refusal *refusal)
{
    return (ruling->decision.must & SP_MUST_MASK) == 0 ||
           find_named(session, ruling, kind, name, 0, masks, refusal);
}

bool db_masks_set(db_note *note, const db_masks *masks)
{
    note->masking = masks->mode;
    return masks->plan == NULL ||
           !sp_failed(sp_copy_mask_new(masks->plan, db_mask_key, &note->copy));
}
