/* SPDX-License-Identifier: Apache-2.0
 * What is asked of the server about a statement: its settings, EXPLAIN of what can be planned, and
 * what stands on what it acts on. What cannot be asked is noted.
 * OWNS nothing. PROCESS db gate workers. TRUST texts are the client's and were judged. SPEC
 * gates/db/judging.h; PostgreSQL 15 manual, EXPLAIN.
 */
#include "gates/db/estimating.h"

enum {
    OBJECTS_MAX_BYTES = 1 << 20, /* each use of a judgement, by the longest of names */
};

static void add_stage(db_estimate *e, db_stage kind)
{
    e->stages[e->stage_count++] = kind;
    sp_pg_empty_write(&e->out, 'S');
}

/* EXPLAIN twice: a form for the numbers, a form for people. */
static void ask_explain(db_estimate *e, const db_run_ask *run, sp_span text)
{
    static const struct {
        const char *words;
        db_stage kind;
    } forms[] = {{"EXPLAIN (FORMAT JSON) ", STAGE_JSON}, {"EXPLAIN ", STAGE_TEXT}};
    for (size_t i = 0; i < SP_COUNT(forms); i++) {
        auto_buf sp_buf whole = sp_buf_make(DB_STATEMENT_MAX_BYTES + 64);
        sp_buf_text(&whole, forms[i].words);
        sp_buf_span(&whole, text);
        const sp_pg_bind none = {.value_count = 0};
        sp_pg_parse parse = run->types;
        parse.text = sp_buf_borrow(&whole);
        sp_pg_parse_typed_write(&e->out, &parse);
        sp_pg_bind_write(&e->out, run->values != NULL ? &run->values->bind : &none);
        sp_pg_execute_write(&e->out, SP_SPAN_EMPTY);
        add_stage(e, forms[i].kind);
    }
}

static bool is_planned(const sp_sql_statement *statement)
{
    static const char *const tags[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"};
    for (size_t i = 0; i < SP_COUNT(tags); i++) {
        if (sp_span_eq(sp_span_cstr(statement->tag), sp_span_cstr(tags[i]))) {
            return true;
        }
    }
    return false;
}

/* What EXECUTE runs; NULL: it is not known. */
static const db_text *named_by(const db_estimate *e, const sp_sql_statement *statement)
{
    const db_named *named = db_names_find(&db_session_judge(e->session)->names, DB_NAMED_PREPARED,
                                          statement->name, NULL);
    return named == NULL ? NULL : named->text;
}

/* The server plans EXECUTE only where it was prepared, so it is prepared there too: that runs
 * nothing. */
static void prepare(db_estimate *e, const sp_sql_statement *statement)
{
    const db_text *text = named_by(e, statement);
    if (text == NULL) {
        return;
    }
    bool by_text = text->words.len > 0; /* the types that it names */
    auto_buf sp_buf whole = sp_buf_make(DB_STATEMENT_MAX_BYTES);
    sp_buf_span(&whole, text->words);
    sp_buf_span(&whole, text->known->text);
    sp_pg_parse_write(&e->out, by_text ? SP_SPAN_EMPTY : statement->name, sp_buf_borrow(&whole));
    if (by_text) {
        sp_pg_bind_write(&e->out, &(sp_pg_bind){.value_count = 0});
        sp_pg_execute_write(&e->out, SP_SPAN_EMPTY);
    }
    add_stage(e, STAGE_QUIET);
}

static void forget_prepared(db_estimate *e)
{
    sp_pg_parse_write(&e->out, SP_SPAN_EMPTY, SP_SPAN_LIT("DEALLOCATE ALL"));
    sp_pg_bind_write(&e->out, &(sp_pg_bind){.value_count = 0});
    sp_pg_execute_write(&e->out, SP_SPAN_EMPTY);
    add_stage(e, STAGE_QUIET);
}

static bool is_opaque(const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        if ((judgement->uses[i].flags & SP_SQL_USE_OPAQUE) != 0) {
            return true;
        }
    }
    return false;
}

/* Messages under way may have given the name another meaning. */
static bool is_certain(const db_estimate *e, const sp_sql_judgement *judgement, uint32_t at)
{
    const sp_sql_statement *statement = &judgement->statements[at];
    if (db_text_made(judgement, at, DB_NAMED_PREPARED, statement->name) != DB_OWN_NOT) {
        return false; /* what is known by that name is older */
    }
    const db_names *names = &db_session_judge(e->session)->names;
    const db_named *named = db_names_find(names, DB_NAMED_PREPARED, statement->name, NULL);
    return named == NULL || db_names_find(names, DB_NAMED_PREPARED, statement->name, named) == NULL;
}

/* Why it is better not planned; NULL: it may be. */
static const char *unplannable(const db_estimate *e, const db_run_ask *run)
{
    const sp_sql_judgement *judgement = run->judgement;
    unsigned count = 0;
    bool opaque = is_opaque(judgement);
    bool certain = true;
    bool computes = false;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *one = &judgement->statements[i];
        bool runs_other = (one->flags & SP_SQL_IS_EXECUTE) != 0;
        const db_text *text = runs_other ? named_by(e, one) : NULL;
        opaque = opaque || (text != NULL && is_opaque(text->known->judgement));
        computes |= one->computes;
        certain = certain && (!runs_other || is_certain(e, judgement, i));
        count += is_planned(one) || runs_other ? 1 : 0;
    }
    if (opaque) {
        return "it runs code that planning could run too, so no plan was asked for";
    }
    if (run->is_typed) {
        return "PREPARE named the types of its values, so no plan was asked for";
    }
    if (computes) {
        return "the parameters of EXECUTE are more than literals, and EXPLAIN would run them";
    }
    if (!certain) {
        return "what its name stands for is not certain yet, so no plan was asked for";
    }
    return count > EXPLAINED_MAX ? "it is more than four statements, so no plan was asked for"
                                 : NULL;
}

static unsigned verbs_of(const db_text *text)
{
    unsigned verbs = 0;
    for (uint32_t i = 0; text != NULL && i < text->known->judgement->statement_count; i++) {
        verbs |= text->known->judgement->statements[i].verbs;
    }
    return verbs;
}

/* EXPLAIN ANALYZE, COPY of a query, CREATE TABLE AS: what changes rows inside of them has no plan.
 */
static void note_inside(db_estimate *e, const db_run_ask *run, const sp_sql_statement *one,
                        unsigned does)
{
    const unsigned verbs =
        SP_SQL_VERB_DELETE | SP_SQL_VERB_INSERT | SP_SQL_VERB_MERGE | SP_SQL_VERB_UPDATE;
    bool changes = (run->ruling->actions & ~(uint32_t)DB_LOOKS) != 0 && (does & verbs) != 0 &&
                   (one->flags & SP_SQL_IS_PREPARE) == 0;
    if (changes) {
        e->takes_all = true;
        e->makes_all = e->makes_all || (does & (SP_SQL_VERB_INSERT | SP_SQL_VERB_MERGE)) != 0;
        db_estimate_why(&e->found, "a change inside another statement (EXPLAIN ANALYZE, COPY, "
                                   "CREATE TABLE AS) is not planned");
    }
}

static void explain_all(db_estimate *e, const db_run_ask *run)
{
    const sp_sql_judgement *judgement = run->judgement;
    const char *why = unplannable(e, run);
    bool prepared = false;
    if (why != NULL) {
        db_estimate_why(&e->found, why);
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *one = &judgement->statements[i];
        bool runs_other = (one->flags & SP_SQL_IS_EXECUTE) != 0;
        bool plans = is_planned(one) || runs_other;
        unsigned does = runs_other ? verbs_of(named_by(e, one)) : one->verbs;
        e->found.planned += plans ? 1 : 0;
        /* what EXECUTE runs may have been made by its own text */
        unsigned may = does | (runs_other ? sp_sql_verbs(judgement) : 0);
        e->makes |= plans && (may & (SP_SQL_VERB_INSERT | SP_SQL_VERB_MERGE)) != 0;
        bool may_take = !plans && (one->flags & SP_SQL_IS_ALIAS) == 0; /* a name takes no row */
        e->takes_all =
            e->takes_all || (may_take && (run->ruling->actions & 1U << SP_ACTION_DESTROY) != 0);
        if (!plans) {
            note_inside(e, run, one, one->verbs);
        } else if (runs_other && (one->flags & SP_SQL_IS_EXPLAIN) != 0) {
            note_inside(e, run, one, does);
        }
        if (!plans || why != NULL) {
            continue;
        }
        if (runs_other) {
            prepare(e, one);
            prepared = true;
        }
        size_t end = one->len == 0 ? run->text.len : one->offset + (size_t)one->len;
        ask_explain(e, run,
                    judgement->statement_count == 1 ? run->text
                                                    : sp_span_slice(run->text, one->offset, end));
    }
    if (prepared) {
        forget_prepared(e);
    }
}

/* A new connection tells what it has by default, where people see what differs. */
static void ask_settings(db_estimate *e)
{
    db_settings_are_now(&e->theirs, &db_session_judge(e->session)->reported);
    if (e->theirs.are_known && (e->back == NULL || !e->own.are_known)) {
        e->own = (db_settings){.are_known = false};
        sp_pg_parse_write(&e->out, SP_SPAN_EMPTY, SP_SPAN_LIT("SHOW ALL"));
        sp_pg_bind_write(&e->out, &(sp_pg_bind){.value_count = 0});
        sp_pg_execute_write(&e->out, SP_SPAN_EMPTY);
        add_stage(e, STAGE_SHOW);
    }
    db_settings_set(&e->theirs, &e->out);
    add_stage(e, STAGE_SET);
}

static void ask_touches(db_estimate *e, const db_run_ask *run)
{
    auto_buf sp_buf objects = sp_buf_make(OBJECTS_MAX_BYTES);
    sp_buf_text(&objects, "[");
    bool all = db_touches_add(e->session, run, run->judgement, &objects);
    for (uint32_t i = 0; i < run->judgement->statement_count; i++) {
        const sp_sql_statement *one = &run->judgement->statements[i];
        const db_text *text = (one->flags & SP_SQL_IS_EXECUTE) != 0 ? named_by(e, one) : NULL;
        all = (text == NULL || db_touches_add(e->session, run, text->known->judgement, &objects)) &&
              all;
    }
    bool any = objects.len > 1;
    sp_buf_text(&objects, "]");
    e->is_open = !all || sp_failed(sp_buf_error(&objects));
    if (!any || sp_failed(sp_buf_error(&objects))) {
        return;
    }
    db_touches_ask(sp_buf_borrow(&objects), &e->out);
    add_stage(e, STAGE_TOUCHES);
}

void db_estimate_write_asked(db_estimate *e, const db_run_ask *run)
{
    ask_settings(e);
    explain_all(e, run);
    ask_touches(e, run);
}
