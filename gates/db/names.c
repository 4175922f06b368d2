/* SPDX-License-Identifier: Apache-2.0
 * Names of prepared statements and portals, as the server has them or may have them.
 *
 * Messages are pipelined: whether the server makes what a Parse asks for is only known when its
 * answer has come, and a Close may be skipped. So a name may stand for several texts at a time:
 * those the server said it has, and those under way; what runs by the name is judged as all of
 * them.
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
    *ret_text = made;
    return sp_ok();
}

sp_err db_text_types(db_text *text, const sp_pg_parse *parse)
{
    TRY(sp_alloc(parse->types.len + 1, 1, &text->type_bytes));
    sp_copy(text->type_bytes, parse->types.ptr, parse->types.len);
    text->types = (sp_pg_parse){.type_count = parse->type_count,
                                .types = {text->type_bytes, parse->types.len}};
    return sp_ok();
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
        sp_free(text);
    }
}

sp_err db_names_add(db_names *names, db_named_kind kind, sp_span name, db_text *text,
                    db_named **ret_named)
{
    if (name.len > SP_NAME_MAX_BYTES || names->count >= DB_NAMED_MAX ||
        names->bytes + text->known->text.len > DB_NAMED_BYTES_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    db_named *named = NULL;
    TRY(sp_alloc(1, sizeof(*named), &named));
    named->kind = kind;
    named->text = db_text_ref(text);
    named->number = ++names->numbers;
    named->name_len = (uint8_t)name.len;
    sp_copy(named->name, name.ptr, name.len);
    named->next = names->first;
    names->first = named;
    names->count++;
    names->bytes += text->known->text.len;
    *ret_named = named;
    return sp_ok();
}

db_named *db_names_find(const db_names *names, db_named_kind kind, sp_span name,
                        const db_named *after)
{
    db_named *at = after == NULL ? names->first : after->next;
    while (at != NULL &&
           (at->kind != kind || !sp_span_eq(name, (sp_span){at->name, at->name_len}))) {
        at = at->next;
    }
    return at;
}

static void free_named(db_names *names, db_named *named)
{
    names->count--;
    names->bytes -= named->text->known->text.len;
    db_text_unref(named->text);
    db_values_unref(named->values);
    sp_free(named);
}

void db_names_remove(db_names *names, db_named *named)
{
    for (db_named **link = &names->first; *link != NULL; link = &(*link)->next) {
        if (*link == named) {
            *link = named->next;
            free_named(names, named);
            return;
        }
    }
}

void db_names_forget(db_names *names, db_named_kind kind, sp_span name, bool all, uint64_t before)
{
    db_named **link = &names->first;
    while (*link != NULL) {
        db_named *at = *link;
        bool hit = at->kind == kind && at->number < before &&
                   (all || sp_span_eq(name, (sp_span){at->name, at->name_len}));
        if (hit) {
            *link = at->next;
            free_named(names, at);
        } else {
            link = &at->next;
        }
    }
}

void db_names_settle(db_names *names, uint64_t first, uint64_t last, bool stays)
{
    db_named *at = names->first;
    while (at != NULL && at->number >= first) {
        db_named *made = at;
        if (made->number > last) {
            at = made->next;
        } else if (stays) {
            sp_span name = {made->name, made->name_len};
            db_names_forget(names, made->kind, name, false, first);
            at = made->next;
        } else {
            at = made->next;
            db_names_remove(names, made);
        }
    }
}

db_verdict db_names_clear(db_session *session, db_named_kind kind, sp_span name,
                          db_refusal *refusal)
{
    const db_judge *judge = db_session_judge(session);
    const db_named *newest = db_names_find(&judge->names, kind, name, NULL);
    if (newest == NULL || newest->number > judge->pipeline ||
        db_names_find(&judge->names, kind, name, newest) == NULL) {
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

void db_names_end_transaction(db_names *names, uint64_t before)
{
    db_named **link = &names->first;
    while (*link != NULL) {
        db_named *at = *link;
        if (at->kind == DB_NAMED_PORTAL && !at->declared && at->number < before) {
            *link = at->next;
            free_named(names, at);
        } else {
            link = &at->next;
        }
    }
}

void db_names_done(db_names *names)
{
    while (names->first != NULL) {
        db_names_remove(names, names->first);
    }
}
