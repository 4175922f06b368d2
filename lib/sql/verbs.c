/* SPDX-License-Identifier: Apache-2.0
 * What a statement does with rows and objects, for undo: it says what has to be kept and how it is
 * put back.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC lib/sql/statement.h.
 */
#include "lib/sql/lexing.h"
#include "lib/sql/walk.h"

enum { NAME_MAX_BYTES = 63 /* the server cuts longer ones */ };

static unsigned cascade_of(const AlterTableStmt *alter)
{
    bool cascades = false;
    for (int i = 0; i < list_length(alter->cmds); i++) {
        cascades |= AS(AlterTableCmd, list_nth(alter->cmds, i))->behavior == DROP_CASCADE;
    }
    return cascades ? SP_SQL_VERB_CASCADE : 0U;
}

static unsigned verb_of(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_DeleteStmt:
        return SP_SQL_VERB_DELETE;
    case T_InsertStmt:
        return SP_SQL_VERB_INSERT;
    case T_MergeStmt:
        return SP_SQL_VERB_MERGE;
    case T_UpdateStmt:
        return SP_SQL_VERB_UPDATE;
    case T_TruncateStmt:
        return SP_SQL_VERB_TRUNCATE |
               (AS(TruncateStmt, node)->behavior == DROP_CASCADE ? SP_SQL_VERB_CASCADE : 0U);
    case T_DropStmt:
        return SP_SQL_VERB_DROP |
               (AS(DropStmt, node)->behavior == DROP_CASCADE ? SP_SQL_VERB_CASCADE : 0U);
    case T_DropOwnedStmt:
        return SP_SQL_VERB_DROP | SP_SQL_VERB_OWNED | SP_SQL_VERB_CASCADE;
    case T_DropdbStmt:
        return SP_SQL_VERB_DROP | SP_SQL_VERB_CASCADE;
    case T_AlterTableStmt:
        return SP_SQL_VERB_ALTER | cascade_of(AS(AlterTableStmt, node));
    case T_AlterDomainStmt:
    case T_AlterEnumStmt:
    case T_AlterTypeStmt:
    case T_AlterObjectSchemaStmt:
    case T_RenameStmt:
        return SP_SQL_VERB_ALTER;
    default:
        return 0;
    }
}

void note_verb(walker *w, const Node *node)
{
    if (w->statement != NULL) {
        w->statement->verbs |= (uint16_t)verb_of(node);
    }
}

/* The next word, of `room` bytes at most; SP_NONE: what it is cannot be told. */
static size_t next_word(sp_span text, size_t at, char word[NAME_MAX_BYTES])
{
    bool quoted = text.ptr[at] == '"';
    size_t len = 0;
    for (size_t i = at + (quoted ? 1 : 0); i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (quoted ? c == '"' : !lex_is_name_byte(c)) {
            break;
        }
        if (len == NAME_MAX_BYTES) {
            return SP_NONE;
        }
        word[len++] = (char)(!quoted && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return len;
}

bool sp_sql_words_write(sp_span text, sp_buf *out)
{
    /* where a word may be more, or less, than it looks like */
    static const char *const doubtful[] = {"'", "$", "--", "/*", "\"\"", "U&", "u&"};
    bool known = true;
    for (size_t i = 0; i < SP_COUNT(doubtful); i++) {
        known = known && sp_span_find(text, sp_span_cstr(doubtful[i])) == text.len;
    }
    sp_buf_text(out, "[");
    for (size_t at = 0; known && at < text.len;) {
        char word[NAME_MAX_BYTES];
        bool quoted = text.ptr[at] == '"';
        if (!quoted && !lex_is_name_byte(text.ptr[at])) {
            at++;
            continue;
        }
        size_t len = next_word(text, at, word);
        size_t end = at + len + (quoted ? 2 : 0);
        known = len != SP_NONE && end <= text.len;
        sp_span name = sp_span_of((const uint8_t *)word, known ? len : 0);
        known = known && !sp_span_eq(name, SP_SPAN_LIT("execute"));
        sp_buf_text(out, out->ptr[out->len - 1] == '[' ? "{\"name\":" : ",{\"name\":");
        sp_buf_json(out, name);
        sp_buf_text(out, "}");
        at = end;
    }
    sp_buf_text(out, "]");
    return known && !sp_failed(sp_buf_error(out));
}

void sp_sql_verbs_write(unsigned verbs, sp_buf *out)
{
    static const char *const words[] = {"ALTER",    "DELETE", "DROP",    "INSERT", "MERGE",
                                        "TRUNCATE", "UPDATE", "CASCADE", "ANY",    "OWNED"};
    size_t begin = out->len;
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if ((verbs & (1U << i)) != 0) {
            sp_buf_text(out, out->len > begin ? " " : "");
            sp_buf_text(out, words[i]);
        }
    }
}

unsigned sp_sql_verbs(const sp_sql_judgement *judgement)
{
    unsigned verbs = 0;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        verbs |= judgement->statements[i].verbs;
    }
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        verbs |= (judgement->uses[i].flags & SP_SQL_USE_OPAQUE) != 0 ? SP_SQL_VERB_ANY : 0U;
    }
    return (verbs & ~(unsigned)SP_SQL_VERB_CASCADE) == 0 ? SP_SQL_VERB_ANY : verbs;
}
