/* SPDX-License-Identifier: Apache-2.0
 * Judges the statements on its standard input, for tests that hold judgements against a real server
 * (tests/system/test_sql_oracle.py).
 *
 * A line is a word and values in hexadecimal, "-" = empty, between single spaces:
 *   path SCHEMA | r OID SCHEMA NAME KIND RULES SYSTEM ATTNUM COLUMN TYPE NOTNULL DEFINITION TELLING
 *   e KIND FROM TO | k ATTNUM FROM TO | u OID ATTNUM | p SCHEMA NAME HARMLESS
 *   g OID ATTNUM ATTNUM | c OID SCHEMA NAME | x KIND WORD SCHEMA NAME TYPE
 *   tag SCHEMA TABLE COLUMN    is masked
 *   finish                     the catalogue is whole
 *   temp NAME                  a temporary relation of the session; - = none is left
 *   q TEXT                     answered by one line of JSON
 *
 * OWNS what it reads. PROCESS tests. TRUST its input. SPEC lib/sql/judge.h,
 * gates/db/catalogue_rows.c.
 */
#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/sql/judge.h"
#include "lib/sql/masking.h"

#include <stdio.h>
#include <stdlib.h>

enum { VALUES_MAX = 16, TEMPS_MAX = 64 };

typedef struct {
    sp_sql_judge *judge;
    sp_sql_catalogue *catalogue;
    uint32_t last_oid;
    sp_span temps[TEMPS_MAX];
    size_t temp_count;
} desk;

static void must(sp_err err)
{
    if (sp_failed(err)) {
        fprintf(stderr, "judge_lines: error %d\n", (int)err.code);
        exit(1);
    }
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* In place. */
static sp_span unhex(char *text)
{
    size_t len = 0;
    for (; text[0] != '-' && text[2 * len] != '\0'; len++) {
        text[len] = (char)(nibble(text[2 * len]) << 4 | nibble(text[2 * len + 1]));
    }
    return (sp_span){(const uint8_t *)text, len};
}

static uint32_t number(sp_span text)
{
    uint64_t value = 0;
    must(sp_span_to_u64(text, UINT32_MAX, &value));
    return (uint32_t)value;
}

static bool yes(sp_span text)
{
    return sp_span_eq(text, SP_SPAN_LIT("t"));
}

/* ---- the catalogue ---- */

static void add_relation(desk *d, const sp_span *v)
{
    uint32_t oid = number(v[0]);
    if (oid != d->last_oid) {
        uint32_t index = SP_NONE;
        uint32_t flags = (yes(v[4]) ? SP_SQL_REL_RULES : 0) | (yes(v[5]) ? SP_SQL_REL_SYSTEM : 0) |
                         (yes(v[11]) ? SP_SQL_REL_TELLING : 0);
        must(sp_sql_catalogue_relation(d->catalogue, v[1], v[2], oid, (char)v[3].ptr[0], flags,
                                       &index));
        d->last_oid = oid;
    }
    if (v[6].len > 0) {
        must(sp_sql_catalogue_column(d->catalogue, v[7], (int16_t)number(v[6]), number(v[8]),
                                     yes(v[9])));
    }
    if (v[10].len > 0) {
        must(sp_sql_catalogue_definition(d->catalogue, v[10]));
    }
}

static void add_edge(desk *d, const sp_span *v, bool is_key)
{
    uint32_t from = sp_sql_catalogue_find_oid(d->catalogue, number(v[1]));
    uint32_t to = sp_sql_catalogue_find_oid(d->catalogue, number(v[2]));
    if (from == SP_NONE || to == SP_NONE) {
        return;
    }
    static const sp_sql_edge_kind kinds[] = {SP_SQL_EDGE_READS, SP_SQL_EDGE_CHILD,
                                             SP_SQL_EDGE_CASCADES, SP_SQL_EDGE_INDEX};
    if (is_key) {
        must(sp_sql_catalogue_key(d->catalogue, from, to, (int16_t)number(v[0])));
    } else {
        must(sp_sql_catalogue_edge(d->catalogue, kinds[number(v[0])], from, to));
    }
}

static void add_generated(desk *d, const sp_span *v)
{
    uint32_t relation = sp_sql_catalogue_find_oid(d->catalogue, number(v[0]));
    if (relation != SP_NONE) {
        must(sp_sql_catalogue_generated(d->catalogue, relation, (int16_t)number(v[1]),
                                        (int16_t)number(v[2])));
    }
}

static void add_call(desk *d, const sp_span *v)
{
    uint32_t view = sp_sql_catalogue_find_oid(d->catalogue, number(v[0]));
    if (view != SP_NONE) {
        must(sp_sql_catalogue_call(d->catalogue, view, v[1], v[2]));
    }
}

static void add_cast(desk *d, const sp_span *v)
{
    static const char *const kinds[] = {"t", "p", "*", "a"};
    size_t kind = sp_span_which(v[0], kinds, SP_COUNT(kinds));
    uint32_t relation =
        kind < SP_COUNT(kinds) ? SP_NONE : sp_sql_catalogue_find_oid(d->catalogue, number(v[1]));
    if (kind < SP_COUNT(kinds)) {
        must(sp_sql_catalogue_cast(d->catalogue, (sp_sql_cast_kind)kind, number(v[4]), v[1], v[2],
                                   v[3]));
    } else if (relation != SP_NONE) {
        must(sp_sql_catalogue_cast_rows(d->catalogue, relation, v[2], v[3]));
    }
}

static void add_unique(desk *d, const sp_span *v)
{
    uint32_t relation = sp_sql_catalogue_find_oid(d->catalogue, number(v[0]));
    if (relation != SP_NONE) {
        must(sp_sql_catalogue_unique(d->catalogue, relation, (int16_t)number(v[1])));
    }
}

static void add_mark(desk *d, const sp_span *v)
{
    static const char *const words[] = {"t", "g", "h"};
    static const uint32_t flags[] = {SP_SQL_REL_TRIGGERS, SP_SQL_REL_GUARDED, SP_SQL_REL_HELD};
    size_t which = sp_span_which(v[1], words, SP_COUNT(words));
    uint32_t relation = sp_sql_catalogue_find_oid(d->catalogue, number(v[0]));
    if (relation != SP_NONE && which < SP_COUNT(words)) {
        must(sp_sql_catalogue_mark(d->catalogue, relation, flags[which]));
    }
}

static void tag(desk *d, const sp_span *v)
{
    const sp_sql_bound bound = {.part = 1, .class_level = 1, .mask = SP_MASK_FULL, .tags = 1};
    uint32_t relation = sp_sql_catalogue_find(d->catalogue, v[0], v[1]);
    if (relation == SP_NONE) {
        must(sp_fail(SP_EINVALID));
    }
    sp_sql_catalogue_bind_column(
        d->catalogue, sp_sql_catalogue_find_column(d->catalogue, relation, v[2]), &bound);
}

/* ---- judging ---- */

static bool is_temporary(const void *session, sp_span name)
{
    const desk *d = session;
    for (size_t i = 0; i < d->temp_count; i++) {
        if (sp_span_eq(d->temps[i], name)) {
            return true;
        }
    }
    return false;
}

static void keep_temp(desk *d, sp_span name)
{
    if (name.len == 0) {
        d->temp_count = 0;
    } else if (d->temp_count < TEMPS_MAX) {
        uint8_t *copy = NULL;
        must(sp_alloc(name.len, 1, &copy));
        sp_copy(copy, name.ptr, name.len);
        d->temps[d->temp_count++] = (sp_span){copy, name.len};
    }
}

static void answer(desk *d, sp_span text)
{
    const sp_sql_context context = {
        .catalogue = d->catalogue, .is_temporary = is_temporary, .session = d, .is_utf8 = true};
    auto_buf sp_buf out = sp_buf_make(4 << 20);
    const sp_sql_judgement *got = sp_sql_judge_text(d->judge, &context, text);
    sp_buf_fmt(&out, "{\"fault\":%d,\"reason\":", (int)got->fault);
    sp_buf_json(&out, sp_span_cstr(got->reason));
    sp_buf_fmt(&out, ",\"flags\":%u,\"uses\":[", (unsigned)got->flags);
    for (uint32_t i = 0; i < got->use_count; i++) {
        const sp_sql_use *use = &got->uses[i];
        sp_buf_fmt(&out, "%s[\"%s\",%u,%u,", i > 0 ? "," : "",
                   sp_action_word((sp_action)use->action), use->kind, use->flags);
        sp_buf_json(&out, use->schema);
        sp_buf_text(&out, ",");
        sp_buf_json(&out, use->name);
        sp_buf_text(&out, "]");
    }
    sp_buf_text(&out, "],\"temps\":[");
    for (uint32_t i = 0, n = 0; i < got->statement_count; i++) {
        if ((got->statements[i].flags & SP_SQL_IS_CREATE_TEMP) != 0) {
            sp_buf_text(&out, n++ > 0 ? "," : "");
            sp_buf_json(&out, got->statements[i].name);
        }
    }
    bool fine = got->fault == SP_SQL_FINE;
    sp_sql_masking masking = {.mode = SP_SQL_MASKING_CLEAN};
    if (fine) {
        masking = sp_sql_masking_text(d->judge, &context, text, 1);
    }
    sp_buf_fmt(&out, "],\"masking\":%d,\"why\":", fine ? (int)masking.mode : -1);
    sp_buf_json(&out, sp_span_cstr(masking.reason));
    sp_buf_text(&out, "}\n");
    must(sp_buf_error(&out));
    sp_span line = sp_buf_borrow(&out);
    fwrite(line.ptr, 1, line.len, stdout);
    fflush(stdout);
}

static void take(desk *d, sp_span word, const sp_span *v)
{
    if (sp_span_eq(word, SP_SPAN_LIT("q"))) {
        answer(d, v[0]);
    } else if (sp_span_eq(word, SP_SPAN_LIT("temp"))) {
        keep_temp(d, v[0]);
    } else if (sp_span_eq(word, SP_SPAN_LIT("path"))) {
        must(sp_sql_catalogue_path(d->catalogue, v[0]));
    } else if (sp_span_eq(word, SP_SPAN_LIT("r"))) {
        add_relation(d, v);
    } else if (sp_span_eq(word, SP_SPAN_LIT("e"))) {
        add_edge(d, v, false);
    } else if (sp_span_eq(word, SP_SPAN_LIT("k"))) {
        add_edge(d, v, true);
    } else if (sp_span_eq(word, SP_SPAN_LIT("u"))) {
        add_unique(d, v);
    } else if (sp_span_eq(word, SP_SPAN_LIT("g"))) {
        add_generated(d, v);
    } else if (sp_span_eq(word, SP_SPAN_LIT("c"))) {
        add_call(d, v);
    } else if (sp_span_eq(word, SP_SPAN_LIT("x"))) {
        add_cast(d, v);
    } else if (sp_span_eq(word, SP_SPAN_LIT("m"))) {
        add_mark(d, v);
    } else if (sp_span_eq(word, SP_SPAN_LIT("y"))) {
        must(sp_sql_catalogue_type(d->catalogue, v[0], v[1]));
    } else if (sp_span_eq(word, SP_SPAN_LIT("p"))) {
        must(sp_sql_catalogue_function(d->catalogue, v[0], v[1], yes(v[2])));
    } else if (sp_span_eq(word, SP_SPAN_LIT("index"))) {
        must(sp_sql_catalogue_finish(d->catalogue));
        sp_sql_catalogue_bind_clear(d->catalogue);
    } else if (sp_span_eq(word, SP_SPAN_LIT("tag"))) {
        tag(d, v);
    } else if (sp_span_eq(word, SP_SPAN_LIT("finish"))) {
        sp_sql_catalogue_bind_finish(d->catalogue);
        sp_sql_masking_bind_views(d->judge, d->catalogue);
    }
}

int main(void)
{
    desk d = {.last_oid = 0};
    auto_free char *line = NULL;
    size_t cap = 0;
    must(sp_sql_judge_new(&d.judge));
    must(sp_sql_catalogue_new(64 << 20, &d.catalogue));
    for (ssize_t len = 0; (len = getline(&line, &cap, stdin)) > 0;) {
        line[len - 1] = '\0';
        sp_span v[VALUES_MAX] = {SP_SPAN_EMPTY};
        char *at = line;
        for (size_t i = 0; i < VALUES_MAX && at != NULL; i++) {
            char *end = at;
            while (*end != ' ' && *end != '\0') {
                end++;
            }
            bool is_last = *end == '\0';
            *end = '\0';
            v[i] = i == 0 ? sp_span_cstr(at) : unhex(at);
            at = is_last ? NULL : end + 1;
        }
        take(&d, v[0], v + 1);
    }
    sp_sql_judge_free(d.judge);
    sp_sql_catalogue_free(d.catalogue);
    return 0;
}
