/* SPDX-License-Identifier: Apache-2.0
 * What runs by a name: EXECUTE, FETCH and an Execute message are judged as all that their name may
 * stand for, and what that speaks of; where it is not certain that the server has this under the
 * name, they do not run.
 * OWNS nothing. PROCESS db gate workers. TRUST names and texts are hostile.
 * SPEC gates/db/judging.h; gates/db/names.c tells what is certain.
 */
#include "gates/db/judging.h"

#include <stdio.h>

enum { BY_NAME = SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH, NAMES_DEEP = 5 };

static void refuse_unread(sp_span name, db_refusal *refusal)
{
    db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
              "what \"%.*s\" runs cannot be read any more, runs names of names, or is no query",
              SP_SPAN_ARG(name));
}

void db_means_nothing(bool is_prepared, const char *what, sp_span name, db_refusal *refusal)
{
    db_refuse(refusal, is_prepared ? "26000" : "34000", SP_REASON_UNPARSED,
              "%s \"%.*s\" does not exist", what, SP_SPAN_ARG(name));
    refusal->reference = 0; /* the server's own words, and nothing else */
}

static db_verdict add_names(db_ruling *ruling, db_session *session, db_named_kind kind,
                            sp_span name, unsigned depth, db_refusal *refusal);

/* Of what it stands for now. False: that cannot be judged any more. */
static bool judge_again(db_session *session, db_text *text)
{
    db_judge *judge = db_session_judge(session);
    if (text->known->version == judge->catalogue->version && judge->other_count == 0 &&
        text->made == db_made_state(judge)) {
        return true;
    }
    sp_sql_known *fresh = NULL;
    if (!db_judge_and_keep(session, text->known->text, &fresh)) {
        return false;
    }
    db_text_judged(&judge->names, text, fresh);
    text->made = db_made_state(judge);
    return true;
}

static const sp_hash *met_of(const db_judge *judge, db_text *text)
{
    if (!text->has_met) {
        text->met = db_met_hash(judge->catalogue, text->known->judgement, false);
        text->has_met = true;
    }
    return &text->met;
}

db_verdict db_means_meet(db_session *session, db_text *text, sp_span name, sp_hash *ret_met,
                         db_refusal *refusal)
{
    if (!judge_again(session, text)) {
        refuse_unread(name, refusal);
        return DB_REFUSE;
    }
    db_verdict temps = db_temps_sure(session, text->known->judgement, refusal);
    if (temps == DB_PASS) {
        *ret_met = *met_of(db_session_judge(session), text);
    }
    return temps;
}

/* The rows of a portal are of what its names meant when it was made. */
static bool is_as_made(const db_judge *judge, const db_named *named, db_refusal *refusal)
{
    if (named->kind != DB_NAMED_PORTAL || sp_hash_eq(&named->met, met_of(judge, named->text))) {
        return true;
    }
    db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
              "the names in what \"%.*s\" reads mean something else than when it was made",
              (int)named->name_len, (const char *)named->name);
    snprintf(refusal->hint, sizeof(refusal->hint), "Close it, and declare or bind it anew.");
    return false;
}

static db_verdict add_one(db_ruling *ruling, db_session *session, db_named *named, unsigned depth,
                          db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    db_text *text = named->text;
    bool is_seen = text->walk == judge->walks;
    if (!is_seen && !judge_again(session, text)) {
        refuse_unread((sp_span){named->name, named->name_len}, refusal);
        return DB_REFUSE;
    }
    db_verdict temps = is_seen ? DB_PASS : db_temps_sure(session, text->known->judgement, refusal);
    if (temps != DB_PASS) {
        return temps;
    }
    if (!is_as_made(judge, named, refusal)) {
        return DB_REFUSE;
    }
    if (is_seen) {
        return DB_PASS;
    }
    text->walk = judge->walks;
    db_ruling_add(ruling, session, judge->catalogue, text->known->judgement);
    for (uint32_t i = 0; i < text->known->judgement->statement_count; i++) {
        const sp_sql_statement *statement = &text->known->judgement->statements[i];
        if ((statement->flags & BY_NAME) != 0) {
            bool executes = (statement->flags & SP_SQL_IS_EXECUTE) != 0;
            db_verdict found =
                add_names(ruling, session, executes ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                          statement->name, depth + 1, refusal);
            if (found != DB_PASS) {
                return found;
            }
        }
    }
    return DB_PASS;
}

static db_verdict add_names(db_ruling *ruling, db_session *session, db_named_kind kind,
                            sp_span name, unsigned depth, db_refusal *refusal)
{
    const db_names *names = &db_session_judge(session)->names;
    bool in_text = depth > 0;
    db_verdict verdict = db_names_clear(session, kind, name, refusal);
    db_named *at = db_names_find(names, kind, name, NULL);
    if (verdict == DB_PASS && at == NULL) {
        bool is_prepared = kind == DB_NAMED_PREPARED;
        db_means_nothing(is_prepared,
                         is_prepared ? "prepared statement" : (in_text ? "cursor" : "portal"), name,
                         refusal);
        return DB_REFUSE;
    }
    for (; verdict == DB_PASS && at != NULL; at = db_names_find(names, kind, name, at)) {
        if (depth > NAMES_DEEP ||
            (in_text && (db_named_runs_names(at) || !db_named_is_query(at)))) {
            refuse_unread(name, refusal);
            return DB_REFUSE;
        }
        verdict = add_one(ruling, session, at, depth, refusal);
    }
    return verdict;
}

db_verdict db_means_message(db_ruling *ruling, db_session *session, db_named_kind kind,
                            sp_span name, db_refusal *refusal)
{
    db_session_judge(session)->walks++;
    return add_names(ruling, session, kind, name, 0, refusal);
}

static bool is_ascii(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* The gate reads names as a server does whose encoding is UTF8: another one folds other letters,
 * and has other bytes, of which it keeps 63. */
static bool is_same_there(const db_judge *judge, sp_span name, db_refusal *refusal)
{
    if (sp_span_starts(name, SP_SPAN_LIT("sallyport "))) {
        db_refuse(refusal, "42939", SP_REASON_UNPARSED,
                  "names that begin with \"sallyport \" are the gate's own");
        return false;
    }
    if (!judge->server_is_utf8 && !is_ascii(name)) {
        db_refuse(
            refusal, "42622", SP_REASON_UNPARSED,
            "a name of a prepared statement, cursor or savepoint has to be ASCII in a database "
            "whose encoding is not UTF8");
        return false;
    }
    return true;
}

bool db_means_fits(const db_judge *judge, sp_span name, db_refusal *refusal)
{
    if (name.len > SP_NAME_MAX_BYTES) {
        db_refuse(refusal, "42622", SP_REASON_UNPARSED,
                  "a name of a prepared statement or portal has %zu bytes; at most %u are let "
                  "through",
                  name.len, (unsigned)SP_NAME_MAX_BYTES);
        return false;
    }
    return is_same_there(judge, name, refusal);
}

bool db_means_fits_text(const db_judge *judge, const sp_sql_judgement *judgement,
                        db_refusal *refusal)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        bool is_name = db_ends_names(statement->flags) || (statement->flags & BY_NAME) != 0;
        if (is_name && !is_same_there(judge, statement->name, refusal)) {
            return false;
        }
    }
    return true;
}

bool db_means_may_run(const db_judge *judge, const db_named *portal, db_refusal *refusal)
{
    if (portal == NULL || !db_named_runs_names(portal)) {
        return true;
    }
    if (portal->moves != judge->moves) {
        db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                  "a portal of FETCH or EXECUTE runs once, right after it was bound");
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Bind it again, or fetch from the cursor itself.");
        return false;
    }
    return true;
}

/* ---- a text ---- */

db_own db_text_made(const sp_sql_judgement *judgement, uint32_t before, db_named_kind kind,
                    sp_span name)
{
    uint32_t makes = kind == DB_NAMED_PREPARED ? SP_SQL_IS_PREPARE : SP_SQL_IS_DECLARE;
    bool commits = false;
    for (uint32_t i = before; i-- > 0;) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & makes) != 0 && sp_span_eq(statement->name, name)) {
            bool lasts = !commits || (statement->flags & SP_SQL_IS_HOLD) != 0;
            return lasts ? DB_OWN_MADE : DB_OWN_ENDED;
        }
        if (sp_span_eq(sp_span_cstr(statement->tag), SP_SPAN_LIT("COMMIT"))) {
            commits = kind == DB_NAMED_PORTAL; /* what it holds goes on, or nothing does */
        } else if (db_ends_one(statement, kind, name)) {
            return DB_OWN_ENDED;
        }
    }
    return commits ? DB_OWN_ENDED : DB_OWN_NOT;
}

static db_verdict refuse_ended(bool executes, db_refusal *refusal)
{
    db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
              "%s in one message behind the end of what it names is not let through",
              executes ? "EXECUTE" : "FETCH");
    snprintf(refusal->hint, sizeof(refusal->hint), "Send them apart.");
    return DB_REFUSE;
}

db_verdict db_means_text(db_ruling *ruling, db_session *session, const sp_sql_judgement *judgement,
                         db_refusal *refusal)
{
    db_session_judge(session)->walks++;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & BY_NAME) == 0) {
            continue;
        }
        bool executes = (statement->flags & SP_SQL_IS_EXECUTE) != 0;
        if (executes && (judgement->flags & SP_SQL_IS_OTHER) != 0) {
            db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                      "EXECUTE in one message with a new meaning of names is not let through");
            return DB_REFUSE;
        }
        db_named_kind kind = executes ? DB_NAMED_PREPARED : DB_NAMED_PORTAL;
        db_own own = db_text_made(judgement, i, kind, statement->name);
        if (own == DB_OWN_ENDED) {
            return refuse_ended(executes, refusal);
        }
        if (own == DB_OWN_MADE) {
            continue;
        }
        db_verdict found = add_names(ruling, session, kind, statement->name, 1, refusal);
        if (found != DB_PASS) {
            return found;
        }
    }
    return DB_PASS;
}
