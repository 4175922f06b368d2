/* SPDX-License-Identifier: Apache-2.0
 * Texts of any bytes, judged: whatever the parser's own print of the tree calls a change of rows or
 * of definitions is a change in the judgement, or the text is refused. Masking and redaction read
 * the same texts. OWNS nothing. PROCESS fuzzing. TRUST none. SPEC lib/sql/judge.h.
 */
#include "lib/base/buf.h"
#include "lib/sql/masking.h"
#include "lib/sql/redact.h"

#include <pg_query.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool changes(const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        if (judgement->uses[i].action != SP_ACTION_READ &&
            judgement->uses[i].action != SP_ACTION_EXPORT) {
            return true;
        }
    }
    return false;
}

/* Node names stand unescaped in the print; in a literal their quotes are escaped. Statements that
 * are only planned, and temporary tables, change nothing of anybody's. */
static bool is_change(const char *print)
{
    static const char *const nodes[] = {
        "{\"DeleteStmt\":{", "{\"UpdateStmt\":{",     "{\"InsertStmt\":{",
        "{\"MergeStmt\":{",  "{\"TruncateStmt\":{",   "{\"DropStmt\":{",
        "{\"DropdbStmt\":{", "{\"AlterTableStmt\":{", "{\"DoStmt\":{"};
    if (strstr(print, "{\"ExplainStmt\":{") != NULL || strstr(print, "pg_temp") != NULL ||
        strstr(print, "\"relpersistence\":\"t\"") != NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        if (strstr(print, nodes[i]) != NULL) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sp_sql_judge *judge;
    if (judge == NULL && sp_failed(sp_sql_judge_new(&judge))) {
        abort();
    }
    const sp_sql_context context = {.catalogue = NULL};
    const sp_span text = {data, size};
    const sp_sql_judgement *judgement = sp_sql_judge_text(judge, &context, text);
    bool fine = judgement->fault == SP_SQL_FINE;
    if (!sp_span_is_utf8(sp_span_cstr(judgement->reason))) {
        abort();
    }
    sp_buf shown = sp_buf_make(1 << 16);
    sp_sql_redact(text, size % 2 == 0, 2048, &shown);
    auto_buf sp_buf whole = sp_buf_make(4096);
    if (sp_sql_show(text, size % 2 == 0, 2048, &whole) != (whole.len > 0 || size == 0)) {
        abort();
    }
    if (!sp_span_is_utf8(sp_buf_borrow(&shown))) {
        abort();
    }
    sp_buf_done(&shown);
    if (!fine) {
        return 0;
    }
    char *copy = NULL;
    if (sp_failed(sp_strdup(text, &copy))) {
        return 0;
    }
    PgQueryParseResult parsed = pg_query_parse(copy);
    if (parsed.error == NULL && is_change(parsed.parse_tree) && !changes(judgement)) {
        abort();
    }
    pg_query_free_parse_result(parsed);
    sp_free(copy);
    (void)sp_sql_masking_text(judge, &context, text, 1);
    return 0;
}
