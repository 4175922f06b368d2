/* SPDX-License-Identifier: Apache-2.0
 * Where the query of a PREPARE or DECLARE begins. The tree does not say it, so the words AS and FOR
 * are looked for in the text; what stands behind one is the query if it reads as the very tree that
 * the whole statement has there. So whatever is found means what the server runs.
 *
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile, and has been parsed; how often it
 * is parsed again has a maximum. SPEC lib/sql/statement.h; PostgreSQL 15 gram.y.
 */
#include "lib/sql/lexing.h"
#include "lib/sql/walk.h"

#include "lib/base/mem.h"

enum { TRIES_MAX = 4 }; /* both are reserved: the first one is it, but in a type's own arguments */

static sp_span text_from(sp_span text, const sp_sql_statement *statement, size_t at)
{
    size_t end = statement->len == 0 ? text.len : statement->offset + (size_t)statement->len;
    return sp_span_slice(text, statement->offset + at, end);
}

sp_span sp_sql_words_before(sp_span text, const sp_sql_statement *statement)
{
    return sp_span_slice(text_from(text, statement, 0), 0, statement->query);
}

sp_span sp_sql_query_of(sp_span text, const sp_sql_statement *statement)
{
    return statement->query == 0 ? SP_SPAN_EMPTY : text_from(text, statement, statement->query);
}

static bool reads_as(sp_span text, bool is_standard, const Node *query)
{
    auto_free char *copy = NULL; /* it has to end with NUL */
    sql_tree tree;
    if (sp_failed(sp_alloc(text.len + 1, 1, &copy))) {
        return false;
    }
    sp_copy(copy, text.ptr, text.len);
    tree_parse(copy, is_standard, &tree);
    bool is_same = !tree.failed && list_length(tree.statements) == 1 &&
                   equal(AS(RawStmt, linitial(tree.statements))->stmt, query);
    tree_done(&tree);
    return is_same;
}

/* Behind the next such word; text.len: there is none. */
static size_t behind_word(sp_span text, size_t at, sp_span word)
{
    while (at < text.len) {
        if (lex_opens_comment(text, at)) {
            at = lex_end_of_comment(text, at);
        } else if (text.ptr[at] == '"') {
            at = lex_end_of_name(text, at);
        } else if (!lex_is_name_byte(text.ptr[at])) {
            at++;
        } else {
            size_t begin = at;
            while (at < text.len && lex_is_name_byte(text.ptr[at])) {
                at++;
            }
            if (sp_span_eq_nocase(sp_span_slice(text, begin, at), word)) {
                return at;
            }
        }
    }
    return text.len;
}

void walk_note_query(walker *w, const Node *query, sp_span word)
{
    sp_span text = text_from(text_of(w->text), w->statement, 0);
    size_t at = 0;
    for (unsigned tries = 0; tries < TRIES_MAX && at < text.len; tries++) {
        at = behind_word(text, at, word);
        while (at < text.len && sp_span_index(SP_SPAN_LIT(" \t\r\n\f"), text.ptr[at]) < 5) {
            at++;
        }
        if (at < text.len && reads_as(sp_span_slice(text, at, text.len), w->is_standard, query)) {
            w->statement->query = (uint32_t)at;
            return;
        }
    }
    walk_fault(w, SP_SQL_UNKNOWN, "PREPARE or DECLARE whose query is hard to tell apart");
}
