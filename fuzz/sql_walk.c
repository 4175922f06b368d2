/* SPDX-License-Identifier: Apache-2.0
 * Texts of any bytes, judged: whatever the parser's own print of the tree does to a relation stands
 * in the judgement as at least that, or the text is refused. Masking and redaction read the same
 * texts. OWNS nothing. PROCESS fuzzing. TRUST none. SPEC lib/sql/judge.h.
 */
#include "fuzz/sql_said.h"
#include "lib/base/buf.h"
#include "lib/sql/alike.h"
#include "lib/sql/masking.h"
#include "lib/sql/redact.h"

#include <pg_query.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* customers(id, phone), whose phone is masked; orders(id, note). Each id is a key. */
static sp_sql_catalogue *small_office(void)
{
    static const char *const tables[][3] = {{"customers", "id", "phone"}, {"orders", "id", "note"}};
    sp_sql_catalogue *office = NULL;
    sp_err err = sp_sql_catalogue_new(1 << 16, &office);
    const sp_span schema = SP_SPAN_LIT("public");
    for (uint32_t i = 0; i < 2 && !sp_failed(err); i++) {
        uint32_t index = 0;
        err = sp_sql_catalogue_relation(office, schema, sp_span_cstr(tables[i][0]), 20000 + i, 'r',
                                        0, &index);
        for (int16_t c = 1; c < 3 && !sp_failed(err); c++) {
            err = sp_sql_catalogue_column(office, sp_span_cstr(tables[i][c]), c, c == 1 ? 23 : 25,
                                          c == 1);
        }
        err = sp_failed(err) ? err : sp_sql_catalogue_unique(office, index, 1);
    }
    if (sp_failed(err) || sp_failed(sp_sql_catalogue_path(office, schema)) ||
        sp_failed(sp_sql_catalogue_finish(office))) {
        abort();
    }
    const sp_sql_bound bound = {.part = SP_NONE, .mask = SP_MASK_MOBILE, .tags = 1};
    sp_sql_catalogue_bind_column(office, 1, &bound);
    sp_sql_catalogue_bind_finish(office);
    return office;
}

/* Texts that are alike do the same, and are masked the same unless a number told. */
static void check_alike(sp_sql_judge *judge, const sp_sql_context *context, sp_span text)
{
    uint8_t room[SP_SQL_ALIKE_BYTES];
    if (!sp_sql_alike(text, room) ||
        !sp_sql_is_by_no_number(sp_sql_judge_text(judge, context, text))) {
        return;
    }
    sp_sql_judgement *kept = NULL;
    if (sp_failed(sp_sql_judgement_copy(sp_sql_judge_text(judge, context, text), &kept))) {
        return;
    }
    sp_sql_masking masking = sp_sql_masking_text(judge, context, text, 1);
    const sp_span like = {room, text.len};
    const sp_sql_judgement *got = sp_sql_judge_text(judge, context, like);
    bool same = got->fault == SP_SQL_FINE && sp_sql_is_by_no_number(got) &&
                got->use_count == kept->use_count &&
                got->statements[0].offset == kept->statements[0].offset &&
                got->statements[0].len == kept->statements[0].len;
    for (uint32_t i = 0; same && i < got->use_count; i++) {
        same = got->uses[i].action == kept->uses[i].action &&
               got->uses[i].kind == kept->uses[i].kind &&
               got->uses[i].flags == kept->uses[i].flags &&
               got->uses[i].relation == kept->uses[i].relation &&
               sp_span_eq(got->uses[i].schema, kept->uses[i].schema) &&
               sp_span_eq(got->uses[i].name, kept->uses[i].name);
    }
    /* "float(0)" is a mistake that the server tells, "float(1)" is none */
    same = same || got->fault == SP_SQL_SYNTAX;
    if (!same || (got->fault == SP_SQL_FINE && !masking.by_number &&
                  masking.mode != sp_sql_masking_text(judge, context, like, 1).mode)) {
        abort();
    }
    sp_free(kept);
}

static void check_said(const sp_sql_judgement *judgement, sp_span text)
{
    char *copy = NULL;
    if (sp_failed(sp_strdup(text, &copy))) {
        return;
    }
    PgQueryParseResult parsed = pg_query_parse(copy);
    if (parsed.error == NULL) {
        said_check(judgement, parsed.parse_tree);
    }
    pg_query_free_parse_result(parsed);
    sp_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sp_sql_judge *judge;
    static sp_sql_catalogue *office;
    if (judge == NULL && sp_failed(sp_sql_judge_new(&judge))) {
        abort();
    }
    office = office == NULL ? small_office() : office;
    const sp_sql_context context = {.catalogue = office};
    const sp_span text = {data, size};
    const sp_sql_judgement *judgement = sp_sql_judge_text(judge, &context, text);
    bool fine = judgement->fault == SP_SQL_FINE;
    if (!sp_span_is_utf8(sp_span_cstr(judgement->reason))) {
        abort();
    }
    sp_buf shown = sp_buf_make(1 << 16);
    sp_sql_redact(text, size % 2 == 0, 2048, &shown);
    auto_buf sp_buf whole = sp_buf_make(4096);
    if (sp_sql_show(text, size % 2 == 0, size % 3 == 0, 2048, &whole) !=
        (whole.len > 0 || size == 0)) {
        abort();
    }
    if (!sp_span_is_utf8(sp_buf_borrow(&shown))) {
        abort();
    }
    sp_buf_reset(&shown);
    sp_sql_redact_unread(text, 2048, &shown);
    if (!sp_span_is_utf8(sp_buf_borrow(&shown))) {
        abort();
    }
    sp_buf_done(&shown);
    auto_buf sp_buf words = sp_buf_make(1 << 16);
    if (sp_sql_words_write(text, &words) && words.ptr[words.len - 1] != ']') {
        abort();
    }
    if (!fine) {
        return 0;
    }
    check_said(judgement, text);
    check_alike(judge, &context, text);
    sp_sql_masking masking = sp_sql_masking_text(judge, &context, text, 1);
    if (masking.copies && masking.mode == SP_SQL_MASKING_BY_ORIGIN) {
        sp_copy_plan *plan = NULL;
        const char *why = NULL;
        sp_err err = sp_sql_masking_copy(judge, &context, text, 1, &plan, &why);
        bool masks = false;
        for (uint16_t i = 0; !sp_failed(err) && i < plan->column_count; i++) {
            masks |= plan->columns[i].mask != 0;
        }
        /* it was asked for because a masked column is among them */
        if (sp_failed(err) ? why == NULL : !masks) {
            abort();
        }
        sp_free(plan);
    }
    return 0;
}
