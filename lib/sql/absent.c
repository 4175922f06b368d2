/* SPDX-License-Identifier: Apache-2.0
 * DROP TABLE IF EXISTS of what is not there, as loads begin with. Somebody may make a table of that
 * name before the statement runs, and a look at the catalogue is no promise; with the name in the
 * schema of temporary relations the statement can meet nothing but the session's own, and does
 * what the one by the bare name would have done when it was looked.
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile, and was judged. SPEC
 * lib/sql/statement.h; PostgreSQL 15 manual, DROP TABLE.
 */
#include "lib/sql/statement.h"

static const char drops[] = "DROP TABLE IF EXISTS pg_temp.";

/* In quotes, as an identifier. */
static void write_quoted(sp_span name, sp_buf *out)
{
    sp_buf_text(out, "\"");
    for (size_t i = 0; i < name.len; i++) {
        sp_buf_text(out, name.ptr[i] == '"' ? "\"" : "");
        sp_buf_u8(out, name.ptr[i]);
    }
    sp_buf_text(out, "\"");
}

bool sp_sql_write_absent(sp_span text, const sp_sql_judgement *judgement, sp_buf *out)
{
    size_t done = 0;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        bool begins = (statement->flags & SP_SQL_IS_BEGIN) != 0;
        if (statement->absent.len == 0 && !begins) {
            break; /* what stands behind it may mean what it made */
        }
        if (begins) {
            continue;
        }
        bool cascades = (statement->verbs & SP_SQL_VERB_CASCADE) != 0;
        sp_buf_span(out, sp_span_slice(text, done, statement->offset));
        sp_buf_text(out, i == 0 ? "" : " ");
        sp_buf_text(out, drops);
        write_quoted(statement->absent, out);
        sp_buf_text(out, cascades ? " CASCADE" : "");
        done = statement->len == 0 ? text.len : statement->offset + statement->len;
    }
    sp_buf_span(out, sp_span_slice(text, done, text.len));
    return done > 0;
}
