/* SPDX-License-Identifier: Apache-2.0
 * Running the parser, and small readings of its nodes.
 * OWNS a tree's memory until tree_done(). PROCESS database gate; one thread. TRUST the text is
 * hostile, but bounded and valid UTF-8 by the time it comes here. SPEC libpg_query 15.
 */
#include "lib/sql/tree.h"

#include "lib/base/mem.h"

#include <pg_query.h>
#include <pg_query/pg_query_internal.h>

/* of the parser; the server's own header would give it without __thread */
extern __thread bool standard_conforming_strings;

/* The parser quotes hostile text: no control bytes, cut at a character's border. */
static void keep_message(sql_tree *tree, const char *message)
{
    sp_span text = sp_span_cstr(message);
    size_t len = text.len < sizeof(tree->message) ? text.len : sizeof(tree->message) - 1;
    while (len > 0 && len < text.len && (text.ptr[len] & 0xC0) == 0x80) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        tree->message[i] = text.ptr[i] < 0x20 || text.ptr[i] == 0x7F ? ' ' : (char)text.ptr[i];
    }
    tree->message[len] = '\0';
}

void tree_parse(const char *text, bool is_standard, sql_tree *ret_tree)
{
    ret_tree->memory = pg_query_enter_memory_context();
    ret_tree->failed = false;
    ret_tree->at = 0;
    ret_tree->message[0] = '\0';
    standard_conforming_strings = is_standard;
    PgQueryInternalParsetreeAndError raw = pg_query_raw_parse(text);
    standard_conforming_strings = true;
    sp_free(raw.stderr_buffer);
    ret_tree->statements = raw.tree;
    if (raw.error != NULL) {
        ret_tree->failed = true;
        ret_tree->at = raw.error->cursorpos > 0 ? (uint32_t)raw.error->cursorpos : 0;
        keep_message(ret_tree, raw.error->message);
        pg_query_free_error(raw.error);
    }
}

void tree_done(sql_tree *tree)
{
    if (tree->memory != NULL) {
        pg_query_exit_memory_context(tree->memory);
        tree->memory = NULL;
        tree->statements = NULL;
    }
}

/* scan.l raises them at a literal, before anything of the message runs. */
bool tree_is_refused_by_server(const sql_tree *tree, bool is_utf8)
{
    const sp_span why = sp_span_cstr(tree->message);
    const sp_span unsafe = SP_SPAN_LIT("unsafe use of string constant with Unicode escapes");
    const sp_span nul = SP_SPAN_LIT("invalid byte sequence for encoding \"UTF8\": 0x00");
    const sp_span bad = sp_span_slice(nul, 0, nul.len - 2);
    return tree->failed && (sp_span_eq(why, unsafe) || sp_span_eq(why, nul) ||
                            (is_utf8 && sp_span_starts(why, bad)));
}

sp_span string_of(const Node *node)
{
    return node != NULL && nodeTag(node) == T_String
               ? text_of(((const String *)(const void *)node)->sval)
               : SP_SPAN_EMPTY;
}

sp_span literal_of(const Node *node)
{
    while (node != NULL && nodeTag(node) == T_TypeCast) {
        node = ((const TypeCast *)(const void *)node)->arg;
    }
    if (node == NULL || nodeTag(node) != T_A_Const) {
        return SP_SPAN_EMPTY;
    }
    const A_Const *constant = (const A_Const *)(const void *)node;
    if (constant->isnull || nodeTag(&constant->val.node) != T_String) {
        return SP_SPAN_EMPTY;
    }
    return text_of(constant->val.sval.sval);
}

sp_span names_last(const List *names)
{
    int count = list_length(names);
    return count > 0 ? string_of((const Node *)list_nth(names, count - 1)) : SP_SPAN_EMPTY;
}

sp_span names_before(const List *names)
{
    int count = list_length(names);
    return count > 1 ? string_of((const Node *)list_nth(names, count - 2)) : SP_SPAN_EMPTY;
}

const IntoClause *into_of(const SelectStmt *select)
{
    while (select->op != SETOP_NONE && select->larg != NULL) {
        select = select->larg;
    }
    return select->intoClause;
}
