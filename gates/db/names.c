/* SPDX-License-Identifier: Apache-2.0
 * Names of prepared statements and portals, as the server has them or may have them.
 *
 * Messages are pipelined: whether the server makes what a Parse asks for is only known when its
 * answer has come, and a Close may be skipped. So a name may stand for several texts at a time:
 * those the server said it has, and those under way; what runs by the name is judged as all of
 * them. The server may also have one of that name that was forgotten here, or that code made. So a
 * name counts only where the newest of it was made for certain: the server said so (it is settled,
 * and nothing that may end it is under way), or what runs by it is skipped when that fails.
 *
 * OWNS the lists and the texts by reference. PROCESS db gate workers. TRUST names are hostile;
 * counts and bytes have a maximum. SPEC gates/db/judging.h; PostgreSQL 15 manual, 55.2.3.
 */
#include "gates/db/judging.h"

#include <stdio.h>

sp_err db_text_new(sp_sql_known *known, db_text **ret_text)
{
    db_text *made = NULL;
    TRY(sp_alloc(1, sizeof(*made), &made));
    made->refs = 1;
    made->known = sp_sql_known_ref(known);
    made->bytes = sizeof(*made) + known->bytes;
    *ret_text = made;
    return sp_ok();
}

sp_err db_text_types(db_text *text, const sp_pg_parse *parse)
{
    TRY(sp_alloc(parse->types.len + 1, 1, &text->type_bytes));
    sp_copy(text->type_bytes, parse->types.ptr, parse->types.len);
    text->types = (sp_pg_parse){.type_count = parse->type_count,
                                .types = {text->type_bytes, parse->types.len}};
    text->bytes += parse->types.len;
    return sp_ok();
}

sp_err db_text_words(db_text *text, sp_span words)
{
    TRY(sp_alloc(words.len + 1, 1, &text->word_bytes));
    sp_copy(text->word_bytes, words.ptr, words.len);
    text->words = (sp_span){text->word_bytes, words.len};
    text->bytes += words.len;
    return sp_ok();
}

static sp_err has_room(const db_names *names, size_t more)
{
    bool fits = names->bytes <= DB_NAMED_BYTES_MAX && more <= DB_NAMED_BYTES_MAX - names->bytes;
    if (!fits) {
        return sp_fail(SP_ELIMIT);
    }
    return db_share_fits(names->session, more) ? sp_ok() : sp_fail(SP_EDENIED);
}

void db_names_refuse(sp_err err, const char *what, db_refusal *refusal)
{
    if (err.code == SP_EDENIED) {
        db_share_refuse(refusal);
    } else if (err.code == SP_ELIMIT) {
        db_refuse(refusal, "53400", SP_REASON_LIMIT, "too many %s are open, or they hold too much",
                  what);
    } else {
        db_refuse(refusal, "53200", SP_REASON_LIMIT,
                  "the gate has no memory left for this statement");
    }
}

static void count_anew(db_names *names, db_text *text, size_t more, size_t less)
{
    text->bytes = text->bytes + more - less;
    names->bytes += text->names > 0 ? more : 0;
    names->bytes -= text->names > 0 ? less : 0;
}

void db_text_judged(db_names *names, db_text *text, sp_sql_known *known)
{
    count_anew(names, text, known->bytes, text->known->bytes);
    sp_sql_known_unref(text->known);
    text->known = known;
    text->has_met = false;
}

static size_t fields_bytes(const db_fields *fields)
{
    return fields == NULL ? 0 : sizeof(*fields) + fields->count * sizeof(fields->items[0]);
}

sp_err db_text_described(db_names *names, db_text *text, db_fields *fields)
{
    sp_err err = has_room(names, fields_bytes(fields));
    if (sp_failed(err)) {
        sp_free(fields);
        fields = NULL;
    }
    count_anew(names, text, fields_bytes(fields), fields_bytes(text->fields));
    sp_free(text->fields);
    text->fields = fields;
    return err;
}

db_text *db_text_ref(db_text *text)
{
    text->refs++;
    return text;
}

void db_text_unref(db_text *text)
{
    if (text != NULL && --text->refs == 0) {
        sp_sql_known_unref(text->known);
        sp_free(text->fields);
        sp_free(text->type_bytes);
        sp_free(text->word_bytes);
        sp_free(text);
    }
}

db_count *db_count_root(db_count *count)
{
    while (count->into != NULL) {
        count = count->into;
    }
    return count;
}

void db_count_unref(db_count *count)
{
    while (count != NULL && --count->refs == 0) {
        db_count *into = count->into;
        sp_free(count);
        count = into;
    }
}

static db_named **bucket_of(const db_names *names, db_named_kind kind, sp_span name)
{
    return &names->buckets[kind][sp_span_hash(name, 0) % DB_NAMED_BUCKETS];
}

static void link_in(db_names *names, db_named *named)
{
    db_named **first = &names->first[named->kind];
    db_named **bucket = bucket_of(names, named->kind, (sp_span){named->name, named->name_len});
    named->next = *first;
    named->link = first;
    if (named->next != NULL) {
        named->next->link = &named->next;
    }
    *first = named;
    named->same = *bucket;
    *bucket = named;
}

static void link_out(db_names *names, db_named *named)
{
    db_named **at = bucket_of(names, named->kind, (sp_span){named->name, named->name_len});
    while (*at != named) {
        at = &(*at)->same;
    }
    *at = named->same;
    *named->link = named->next;
    if (named->next != NULL) {
        named->next->link = named->link;
    }
}

sp_err db_names_add(db_names *names, db_named_kind kind, sp_span name, db_text *text,
                    db_named **ret_named)
{
    db_named *named = NULL;
    size_t more = sizeof(*named) + (text != NULL && text->names == 0 ? text->bytes : 0);
    if (name.len > SP_NAME_MAX_BYTES || names->count >= DB_NAMED_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(has_room(names, more));
    if (names->buckets == NULL) {
        TRY(sp_alloc(DB_NAMED_KIND_COUNT, sizeof(*names->buckets), &names->buckets));
    }
    TRY(sp_alloc(1, sizeof(*named), &named));
    named->kind = kind;
    named->text = text == NULL ? NULL : db_text_ref(text);
    named->number = ++names->numbers;
    named->name_len = (uint8_t)name.len;
    sp_copy(named->name, name.ptr, name.len);
    link_in(names, named);
    names->count++;
    names->bytes += more;
    if (text != NULL) {
        text->names++;
    }
    *ret_named = named;
    return sp_ok();
}

sp_err db_named_bind(db_names *names, db_named *named, db_values *values)
{
    size_t len = values == NULL ? 0 : values->len;
    TRY(has_room(names, len));
    named->values = db_values_ref(values);
    names->bytes += len;
    return sp_ok();
}

db_named *db_names_find(const db_names *names, db_named_kind kind, sp_span name,
                        const db_named *after)
{
    db_named *at = after != NULL            ? after->same
                   : names->buckets == NULL ? NULL
                                            : *bucket_of(names, kind, name);
    while (at != NULL && !sp_span_eq(name, (sp_span){at->name, at->name_len})) {
        at = at->same;
    }
    return at;
}

bool db_named_runs_names(const db_named *named)
{
    const uint32_t by_name = SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH;
    return named->kind == DB_NAMED_PORTAL && (named->text->known->judgement->flags & by_name) != 0;
}

bool db_named_is_query(const db_named *named)
{
    const uint32_t of_queries = SP_SQL_IS_EXECUTE | SP_SQL_IS_EXPLAIN | SP_SQL_IS_SECRET |
                                SP_SQL_RETURNS_ROWS | SP_SQL_IS_UNSURE | SP_SQL_IS_MAYBE_CALL |
                                SP_SQL_IS_ROW_CALL | SP_SQL_READS_TEMP | SP_SQL_FILLS_TEMP;
    const sp_sql_judgement *judgement = named->text->known->judgement;
    bool looks = true; /* FETCH runs all of what changes something, whatever it fetches */
    for (uint32_t i = 0; named->kind == DB_NAMED_PORTAL && i < judgement->use_count; i++) {
        looks = looks && (1U << judgement->uses[i].action & DB_LOOKS) != 0;
    }
    return named->is_sql || (looks && (judgement->flags & ~of_queries) == 0);
}

void db_names_remove(db_names *names, db_named *named)
{
    link_out(names, named);
    names->count--;
    names->bytes -= sizeof(*named);
    if (named->text != NULL) {
        named->text->names--;
        names->bytes -= named->text->names == 0 ? named->text->bytes : 0;
    }
    names->bytes -= named->values == NULL ? 0 : named->values->len;
    db_text_unref(named->text);
    db_values_unref(named->values);
    db_count_unref(named->count);
    sp_free(named);
}

sp_err db_names_carry(db_names *names, sp_sql_known *known)
{
    TRY(has_room(names, known->bytes));
    names->bytes += known->bytes;
    (void)sp_sql_known_ref(known);
    return sp_ok();
}

void db_names_drop(db_names *names, sp_sql_known *known)
{
    names->bytes -= known == NULL ? 0 : known->bytes;
    sp_sql_known_unref(known);
}

static void forget_all(db_names *names, db_named_kind kind, uint64_t before)
{
    db_named *next = NULL;
    for (db_named *at = names->first[kind]; at != NULL; at = next) {
        next = at->next;
        if (at->number < before) {
            db_names_remove(names, at);
        }
    }
}

void db_names_forget(db_names *names, db_named_kind kind, sp_span name, bool all, uint64_t before)
{
    if (all) {
        forget_all(names, kind, before);
        return;
    }
    db_named *next = NULL;
    for (db_named *at = db_names_find(names, kind, name, NULL); at != NULL; at = next) {
        next = db_names_find(names, kind, name, at);
        if (at->number < before) {
            db_names_remove(names, at);
        }
    }
}

static void settle(db_names *names, db_named_kind kind, uint64_t first, uint64_t last, bool stays)
{
    db_named *at = names->first[kind];
    while (at != NULL && at->number >= first) {
        db_named *made = at;
        if (made->number > last) {
            at = made->next;
        } else if (stays) {
            sp_span name = {made->name, made->name_len};
            made->is_settled = true;
            db_names_forget(names, kind, name, false, first);
            at = made->next;
        } else {
            at = made->next;
            db_names_remove(names, made);
        }
    }
}

void db_names_settle(db_names *names, uint64_t first, uint64_t last, bool stays)
{
    settle(names, DB_NAMED_PREPARED, first, last, stays);
    settle(names, DB_NAMED_PORTAL, first, last, stays);
    settle(names, DB_NAMED_TEMP, first, last, stays);
}

void db_names_part(db_names *names, db_named_kind kind)
{
    names->since[kind] = names->numbers;
}

db_verdict db_names_clear(db_session *session, db_named_kind kind, sp_span name,
                          db_refusal *refusal)
{
    const db_names *names = &db_session_judge(session)->names;
    const db_named *newest = db_names_find(names, kind, name, NULL);
    if (newest == NULL || newest->number > names->since[kind]) {
        return DB_PASS;
    }
    bool is_one = newest->is_settled && db_names_find(names, kind, name, newest) == NULL;
    /* any Sync under way may end portals, any Query the statement without a name */
    bool lasts = kind == DB_NAMED_PREPARED && !names->are_ending && name.len > 0;
    if (is_one && (lasts || session->flights.count == 0)) {
        return DB_PASS;
    }
    if (db_session_drain(session)) {
        return DB_WAIT;
    }
    db_refuse(refusal, kind == DB_NAMED_PREPARED ? "42P05" : "42P03", SP_REASON_UNPARSED,
              "what \"%.*s\" stands for is not certain", SP_SPAN_ARG(name));
    snprintf(refusal->hint, sizeof(refusal->hint),
             "A message that failed may have made it: close or deallocate that name first.");
    return DB_REFUSE;
}

/* ---- counting together ---- */

/* Of two roots one, the lower into the higher: no way to a root gets long. */
static void unite(db_count *own, db_count *other)
{
    db_count *into = other->height > own->height ? other : own;
    db_count *from = into == own ? other : own;
    into->height += into->height == from->height ? 1 : 0;
    into->rows += from->rows;
    into->bytes += from->bytes;
    into->day_rows += from->day_rows;
    into->day_bytes += from->day_bytes;
    into->exports = from->exports == 0 ? 0 : into->exports; /* one that is new in it begins anew */
    into->refs++;
    from->into = into;
}

static sp_err join(db_named *portal, db_count **count)
{
    if (*count == NULL && portal->count == NULL) {
        TRY(sp_alloc(1, sizeof(**count), &portal->count));
        portal->count->refs = 1;
    }
    if (*count == NULL) {
        *count = portal->count;
        (*count)->refs++;
        return sp_ok();
    }
    db_count *all = db_count_root(*count);
    db_count *own = portal->count == NULL ? NULL : db_count_root(portal->count);
    if (own == all) {
        return sp_ok();
    }
    if (own == NULL) {
        all->refs++;
        all->exports = 0;
        portal->count = all;
        return sp_ok();
    }
    unite(own, all);
    return sp_ok();
}

/* Each text is looked into once; names of names without an end are not let through. own: numbers
 * that the text's own message made begin there. */
static sp_err count_text(db_judge *judge, const sp_sql_judgement *judgement, uint64_t own,
                         db_count **count);

static sp_err count_named(db_judge *judge, db_named_kind kind, sp_span name, uint64_t since,
                          db_count **count)
{
    for (db_named *at = db_names_find(&judge->names, kind, name, NULL);
         at != NULL && at->number >= since; at = db_names_find(&judge->names, kind, name, at)) {
        bool fetches = (at->text->known->judgement->flags & SP_SQL_IS_FETCH) != 0;
        if (kind == DB_NAMED_PORTAL && !fetches) { /* else it is the other one's rows */
            TRY(join(at, count));
        }
        if (since == 0 && at->text->walk != judge->walks) { /* else it is the text that asks */
            at->text->walk = judge->walks;
            TRY(count_text(judge, at->text->known->judgement, 0, count));
        }
    }
    return sp_ok();
}

static sp_err count_text(db_judge *judge, const sp_sql_judgement *judgement, uint64_t own,
                         db_count **count)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0) {
            db_named_kind kind =
                (statement->flags & SP_SQL_IS_EXECUTE) != 0 ? DB_NAMED_PREPARED : DB_NAMED_PORTAL;
            bool is_own =
                own != 0 && db_text_made(judgement, i, kind, statement->name) == DB_OWN_MADE;
            TRY(count_named(judge, kind, statement->name, is_own ? own : 0, count));
        }
    }
    return sp_ok();
}

sp_err db_names_count(db_judge *judge, db_named_kind kind, sp_span name, db_count **count)
{
    judge->walks++;
    return count_named(judge, kind, name, 0, count);
}

sp_err db_names_count_text(db_judge *judge, const sp_sql_judgement *judgement, uint64_t own,
                           db_count **count)
{
    judge->walks++;
    return count_text(judge, judgement, own, count);
}

static const db_named_kind of_transactions[] = {DB_NAMED_PORTAL, DB_NAMED_TEMP};

static void end_transaction(db_names *names, db_named_kind kind, uint64_t held_since,
                            uint64_t before)
{
    db_named *next = NULL;
    for (db_named *at = names->first[kind]; at != NULL; at = next) {
        next = at->next;
        if (at->number < before && (!at->holds || at->number >= held_since)) {
            db_names_remove(names, at);
        }
    }
}

void db_names_end_transaction(db_names *names, uint64_t held_since, uint64_t before)
{
    for (size_t i = 0; i < SP_COUNT(of_transactions); i++) {
        end_transaction(names, of_transactions[i], held_since, before);
    }
}

static void undo(db_names *names, db_named_kind kind, uint64_t after, uint64_t before)
{
    db_named *next = NULL;
    for (db_named *at = names->first[kind]; at != NULL && at->number > after; at = next) {
        next = at->next;
        if (at->number < before) {
            db_names_remove(names, at);
        }
    }
}

void db_names_undo(db_names *names, uint64_t after, uint64_t before)
{
    for (size_t i = 0; i < SP_COUNT(of_transactions); i++) {
        undo(names, of_transactions[i], after, before);
    }
}

void db_names_done(db_names *names)
{
    for (unsigned kind = 0; kind < DB_NAMED_KIND_COUNT; kind++) {
        while (names->first[kind] != NULL) {
            db_names_remove(names, names->first[kind]);
        }
    }
    sp_free(names->buckets);
    names->buckets = NULL;
}
