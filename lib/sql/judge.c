/* SPDX-License-Identifier: Apache-2.0
 * One text: checked, parsed (twice when a backslash makes that matter), walked, and written up.
 * OWNS its scratch room. PROCESS database gate. TRUST the text is hostile. SPEC lib/sql/judge.h.
 */
#include "lib/sql/judge.h"

#include "lib/base/mem.h"
#include "lib/sql/walk.h"

#include <string.h>

struct sp_sql_judge {
    walk_room room;
    sp_sql_statement first[SP_SQL_STATEMENTS_MAX]; /* of the first of two readings */
    sp_sql_use first_uses[SP_SQL_USES_MAX];
    char *text; /* a copy that ends with NUL */
    size_t text_cap;
};

/* ---- words ---- */

const char *sp_sql_fault_state(sp_sql_fault fault)
{
    switch (fault) {
    case SP_SQL_FINE:
        return "00000";
    case SP_SQL_TOO_LONG:
    case SP_SQL_TOO_COMPLEX:
        return "54001"; /* statement_too_complex */
    case SP_SQL_NOT_UTF8:
        return "22021"; /* character_not_in_repertoire */
    case SP_SQL_SYNTAX:
        return "42601"; /* syntax_error */
    case SP_SQL_AMBIGUOUS:
    case SP_SQL_UNKNOWN:
        return "0A000"; /* feature_not_supported */
    case SP_SQL_FORBIDDEN:
    case SP_SQL_FAULT_COUNT:
        break;
    }
    return "42501"; /* insufficient_privilege */
}

unsigned sp_sql_gravity(sp_action action)
{
    switch (action) {
    case SP_ACTION_DESTROY:
        return 9;
    case SP_ACTION_ADMINISTER:
        return 8;
    case SP_ACTION_ALTER:
        return 7;
    case SP_ACTION_EXECUTE:
        return 6;
    case SP_ACTION_WRITE:
        return 5;
    case SP_ACTION_IMPORT:
        return 4;
    case SP_ACTION_EXPORT:
        return 3;
    case SP_ACTION_READ:
        return 2;
    case SP_ACTION_FORWARD:
    case SP_ACTION_CONNECT:
        return 1;
    case SP_ACTION_COUNT:
        break;
    }
    return 0;
}

/* ---- one reading of a text ---- */

static void walk_tree(sp_sql_judge *judge, const sp_sql_context *context, const sql_tree *tree,
                      bool is_standard)
{
    walk_room *room = &judge->room;
    walker w = {.context = context,
                .room = room,
                .read_as = SP_ACTION_READ,
                .text = judge->text,
                .is_standard = is_standard};
    for (int i = 0; i < list_length(tree->statements) && !walk_failed(&w); i++) {
        walk_statement(&w, AS(RawStmt, list_nth(tree->statements, i)));
    }
}

static void begin_reading(walk_room *room)
{
    room->statement_count = 0;
    room->use_count = 0;
    room->work = 0;
    room->folds = 0;
    room->ranges = 0;
    room->temp_count = 0;
    room->temporary.made_count = room->temporary.ended_count = 0;
    room->temporary.is_over = false;
    room->is_temp_renamed = false;
    room->code_count = 0;
    room->other_count = 0;
    room->made_count = 0;
}

/* False: the server would not take it. */
static bool read_text(sp_sql_judge *judge, const sp_sql_context *context, bool is_standard)
{
    walk_room *room = &judge->room;
    sql_tree tree;
    tree_parse(judge->text, is_standard, &tree);
    if (tree.failed && !is_standard && tree_is_refused_by_server(&tree, context->is_utf8)) {
        tree_done(&tree);
        return false;
    }
    if (tree.failed) {
        walker w = {.context = context, .room = room};
        walk_fault(&w, is_standard ? SP_SQL_SYNTAX : SP_SQL_AMBIGUOUS, "%s", tree.message);
        room->judgement.reason_at = tree.at;
    } else {
        begin_reading(room);
        walk_tree(judge, context, &tree, is_standard);
    }
    tree_done(&tree);
    return true;
}

static bool is_same_statement(const sp_sql_statement *a, const sp_sql_statement *b)
{
    return sp_span_eq(sp_span_cstr(a->tag), sp_span_cstr(b->tag)) && a->flags == b->flags &&
           a->verbs == b->verbs && a->computes == b->computes && a->by_key == b->by_key &&
           a->is_typed == b->is_typed && a->query == b->query && a->offset == b->offset &&
           a->len == b->len && a->temps == b->temps && sp_span_eq(a->name, b->name) &&
           sp_span_eq(a->ended, b->ended) && sp_span_eq(a->absent, b->absent);
}

/* A backslash in a plain literal means something else under standard_conforming_strings off, and
 * nobody can be sure of that setting: both readings must be fine, and say the same. */
static void read_other_way(sp_sql_judge *judge, const sp_sql_context *context)
{
    walk_room *room = &judge->room;
    uint32_t count = room->statement_count;
    uint32_t use_count = room->use_count;
    for (uint32_t i = 0; i < count; i++) {
        judge->first[i] = room->statements[i];
    }
    for (uint32_t i = 0; i < use_count; i++) {
        judge->first_uses[i] = room->uses[i];
    }
    if (!read_text(judge, context, false)) {
        return; /* the server takes it in one way only */
    }
    bool is_same = room->statement_count == count && room->use_count == use_count;
    for (uint32_t i = 0; is_same && i < count; i++) {
        is_same = is_same_statement(&judge->first[i], &room->statements[i]);
    }
    for (uint32_t i = 0; is_same && i < use_count; i++) {
        is_same = record_is_same(&judge->first_uses[i], &room->uses[i]);
    }
    if (room->judgement.fault == SP_SQL_FINE && !is_same) {
        walker w = {.context = context, .room = room};
        walk_fault(&w, SP_SQL_AMBIGUOUS, "a literal with a backslash ends at two places");
    }
}

static void sort_uses(walk_room *room)
{
    /* few and nearly always of one action; insertion keeps equal ones in the order of the text */
    for (uint32_t i = 1; i < room->use_count; i++) {
        sp_sql_use use = room->uses[i];
        uint32_t at = i;
        unsigned gravity = sp_sql_gravity((sp_action)use.action);
        while (at > 0 && sp_sql_gravity((sp_action)room->uses[at - 1].action) < gravity) {
            room->uses[at] = room->uses[at - 1];
            at--;
        }
        room->uses[at] = use;
    }
}

static bool keep_text(sp_sql_judge *judge, sp_span text)
{
    if (judge->text_cap < text.len + 1) {
        size_t cap = text.len + 1 < 8192 ? 8192 : text.len + 1;
        if (sp_failed(sp_resize(&judge->text, cap, 1))) {
            return false;
        }
        judge->text_cap = cap;
    }
    sp_copy(judge->text, text.ptr, text.len);
    judge->text[text.len] = '\0';
    return true;
}

const char *judge_keep_text(sp_sql_judge *judge, sp_span text)
{
    return keep_text(judge, text) ? judge->text : NULL;
}

/* False: a fault is written down. */
static bool check_text(sp_sql_judge *judge, sp_span text)
{
    walker w = {.room = &judge->room};
    if (text.len > SP_SQL_TEXT_MAX_BYTES) {
        walk_fault(&w, SP_SQL_TOO_LONG, "a text of %zu bytes; %d are read", text.len,
                   SP_SQL_TEXT_MAX_BYTES);
    } else if (!sp_span_is_utf8(text) || sp_span_index(text, 0) != text.len) {
        walk_fault(&w, SP_SQL_NOT_UTF8, "bytes that are not UTF-8");
    } else if (!keep_text(judge, text)) {
        walk_fault(&w, SP_SQL_TOO_COMPLEX, "out of memory");
    }
    return judge->room.judgement.fault == SP_SQL_FINE;
}

const sp_sql_judgement *sp_sql_judge_text(sp_sql_judge *judge, const sp_sql_context *context,
                                          sp_span text)
{
    walk_room *room = &judge->room;
    begin_reading(room);
    room->names_len = 0;
    room->judgement.fault = SP_SQL_FINE;
    room->judgement.reason[0] = '\0';
    room->judgement.reason_at = 0;
    room->judgement.flags = 0;
    if (check_text(judge, text)) {
        bool has_backslash = sp_span_index(text, '\\') != text.len;
        bool taken = read_text(judge, context, true);
        if (taken && has_backslash && room->judgement.fault == SP_SQL_FINE) {
            read_other_way(judge, context);
        }
    }
    bool fine = room->judgement.fault == SP_SQL_FINE;
    if (fine) {
        sort_uses(room);
    }
    room->judgement.statements = room->statements;
    room->judgement.uses = room->uses;
    room->judgement.statement_count = fine ? room->statement_count : 0;
    room->judgement.use_count = fine ? room->use_count : 0;
    return &room->judgement;
}

/* ---- copies ---- */

static sp_span copy_name(uint8_t *names, size_t *len, sp_span name)
{
    sp_copy(names + *len, name.ptr, name.len);
    sp_span copy = {names + *len, name.len};
    *len += name.len;
    return copy;
}

size_t sp_sql_judgement_bytes(const sp_sql_judgement *judgement)
{
    size_t bytes = sizeof(sp_sql_judgement) +
                   judgement->statement_count * sizeof(sp_sql_statement) +
                   judgement->use_count * sizeof(sp_sql_use);
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        bytes += judgement->uses[i].schema.len + judgement->uses[i].name.len;
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        bytes += judgement->statements[i].name.len + judgement->statements[i].ended.len +
                 judgement->statements[i].absent.len;
    }
    return bytes;
}

sp_err sp_sql_judgement_copy(const sp_sql_judgement *judgement, sp_sql_judgement **ret_copy)
{
    size_t statements_bytes = judgement->statement_count * sizeof(sp_sql_statement);
    size_t uses_bytes = judgement->use_count * sizeof(sp_sql_use);
    uint8_t *block = NULL;
    TRY(sp_alloc(1, sp_sql_judgement_bytes(judgement), &block));
    sp_sql_judgement *copy = (sp_sql_judgement *)(void *)block;
    *copy = *judgement;
    sp_sql_use *uses = (sp_sql_use *)(void *)(block + sizeof(*copy));
    sp_sql_statement *statements = (sp_sql_statement *)(void *)(block + sizeof(*copy) + uses_bytes);
    uint8_t *names = block + sizeof(*copy) + uses_bytes + statements_bytes;
    size_t len = 0;
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        uses[i] = judgement->uses[i];
        uses[i].schema = copy_name(names, &len, judgement->uses[i].schema);
        uses[i].name = copy_name(names, &len, judgement->uses[i].name);
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        statements[i] = judgement->statements[i];
        statements[i].name = copy_name(names, &len, judgement->statements[i].name);
        statements[i].ended = copy_name(names, &len, judgement->statements[i].ended);
        statements[i].absent = copy_name(names, &len, judgement->statements[i].absent);
    }
    copy->uses = uses;
    copy->statements = statements;
    *ret_copy = copy;
    return sp_ok();
}

/* ---- life ---- */

sp_err sp_sql_judge_new(sp_sql_judge **ret_judge)
{
    sp_sql_judge *judge = NULL;
    TRY(sp_alloc(1, sizeof(*judge), &judge));
    sp_err err = sp_sql_judge_self_test(judge);
    if (sp_failed(err)) {
        sp_sql_judge_free(judge);
        return err;
    }
    *ret_judge = judge;
    return sp_ok();
}

void sp_sql_judge_free(sp_sql_judge *judge)
{
    if (judge != NULL) {
        sp_free(judge->text);
        sp_free(judge);
    }
}

void sp_sql_judge_auto_free(sp_sql_judge **judge)
{
    sp_sql_judge_free(*judge);
}

/* ---- self-test: the headers and the library must mean the same tree ---- */

const sp_sql_expected *sp_sql_judge_expect(sp_sql_judge *judge, const sp_sql_expected *cases,
                                           size_t count)
{
    const sp_sql_context nothing = {.catalogue = NULL};
    for (size_t i = 0; i < count; i++) {
        const sp_sql_judgement *got = sp_sql_judge_text(judge, &nothing, text_of(cases[i].text));
        bool fine = got->fault == SP_SQL_FINE && got->statement_count == 1 &&
                    strcmp(got->statements[0].tag, cases[i].tag) == 0 &&
                    (got->use_count > 0) == (cases[i].name != NULL);
        if (fine && cases[i].name != NULL) {
            fine = got->uses[0].action == cases[i].action &&
                   sp_span_eq(got->uses[0].name, text_of(cases[i].name));
        }
        if (!fine) {
            return &cases[i];
        }
    }
    return NULL;
}

sp_err sp_sql_judge_self_test(sp_sql_judge *judge)
{
    static const sp_sql_expected cases[] = {
        {"SELECT a.b FROM c.d AS a WHERE a.e = 1 ORDER BY 1", "SELECT", SP_ACTION_READ, "d"},
        {"DELETE FROM x.y WHERE true", "DELETE", SP_ACTION_DESTROY, "y"},
        {"UPDATE y SET z = 2 WHERE w = 3", "UPDATE", SP_ACTION_WRITE, "y"},
        {"MERGE INTO m USING n ON m.a = n.a WHEN MATCHED THEN DELETE", "MERGE", SP_ACTION_WRITE,
         "m"},
        {"DROP TABLE t", "DROP TABLE", SP_ACTION_DESTROY, "t"},
        {"TRUNCATE t", "TRUNCATE TABLE", SP_ACTION_DESTROY, "t"},
        {"ALTER TABLE t DROP COLUMN c", "ALTER TABLE", SP_ACTION_DESTROY, "t"},
        {"COPY t TO STDOUT", "COPY", SP_ACTION_EXPORT, "t"},
        {"DO 'x'", "DO", SP_ACTION_DESTROY, ""},
        {"ALTER STATISTICS s SET STATISTICS 1", "OTHER", SP_ACTION_ALTER, "s"},
        {"SHOW all", "SHOW", SP_ACTION_CONNECT, NULL},
    };
    bool good = sp_sql_judge_expect(judge, cases, SP_COUNT(cases)) == NULL;
    return good ? sp_ok() : sp_fail(SP_EINTERNAL);
}
