/* SPDX-License-Identifier: Apache-2.0
 * The catalogue and the words of the tests.
 * OWNS one static buffer. PROCESS tests. TRUST none. SPEC tests/unit/sql/office.h.
 */
#include "tests/unit/sql/office.h"

#include "tests/unit/cm.h"

#include "lib/base/buf.h"
#include "lib/sql/masking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(sp_err err)
{
    if (sp_failed(err)) {
        abort();
    }
}

static uint32_t add_table(sp_sql_catalogue *office, const char *schema, const char *name, char kind,
                          uint32_t flags, const char *columns)
{
    static uint32_t next_oid = 16384;
    uint32_t index = SP_NONE;
    must(sp_sql_catalogue_relation(office, sp_span_cstr(schema), sp_span_cstr(name), next_oid++,
                                   kind, flags, &index));
    sp_span rest = sp_span_cstr(columns);
    sp_span column;
    int16_t attnum = 1;
    while (sp_span_split(&rest, ' ', &column)) {
        enum { OID_BOOL = 16, OID_INT4 = 23, OID_TEXT = 25 };
        bool not_null = sp_span_ends(column, SP_SPAN_LIT("!"));
        column = sp_span_slice(column, 0, column.len - not_null);
        bool is_bool = sp_span_ends(column, SP_SPAN_LIT("?"));
        bool is_int = sp_span_ends(column, SP_SPAN_LIT("#"));
        must(sp_sql_catalogue_column(
            office, sp_span_slice(column, 0, column.len - (is_bool || is_int)), attnum++,
            is_bool  ? OID_BOOL
            : is_int ? OID_INT4
                     : OID_TEXT,
            not_null));
    }
    return index;
}

/* What is more than its rows: row security, row triggers, a row type that others have columns of,
 * another server's. */
static void add_marked(sp_sql_catalogue *office)
{
    static const struct {
        const char *name;
        char kind;
        uint32_t flags;
    } all[] = {{"guarded", 'r', SP_SQL_REL_GUARDED},
               {"watched", 'r', SP_SQL_REL_TRIGGERS},
               {"held", 'r', SP_SQL_REL_HELD},
               {"foreign_t", 'f', 0}};
    for (size_t i = 0; i < SP_COUNT(all); i++) {
        uint32_t one = add_table(office, "public", all[i].name, all[i].kind, 0, "id note");
        must(sp_sql_catalogue_mark(office, one, all[i].flags));
    }
    add_table(office, "public", "parted", 'p', 0, "id note");
    uint32_t from = add_table(office, "public", "chain_a", 'r', 0, "id!");
    uint32_t over = add_table(office, "public", "chain_b", 'r', 0, "x");
    uint32_t last = add_table(office, "audit", "chain_c", 'r', 0, "y");
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_CASCADES, from, over));
    must(sp_sql_catalogue_key(office, over, last, 1));
}

/* A column of each of several types. */
static void add_kinds(sp_sql_catalogue *office)
{
    static const struct {
        const char *name;
        uint32_t type_oid;
    } columns[] = {{"f", 701},  {"at", 1114}, {"tz", 1184},
                   {"d", 1082}, {"j", 114},   {"mood", 20000}};
    add_table(office, "public", "kinds", 'r', 0, "");
    for (size_t i = 0; i < SP_COUNT(columns); i++) {
        must(sp_sql_catalogue_column(office, sp_span_cstr(columns[i].name), (int16_t)(i + 1),
                                     columns[i].type_oid, false));
    }
}

static void add_wide_table(sp_sql_catalogue *office)
{
    auto_buf sp_buf columns = sp_buf_make(4096);
    for (int i = 0; i < 300; i++) {
        sp_buf_fmt(&columns, i > 0 ? " c%d" : "c%d", i);
    }
    sp_buf_byte(&columns, 0);
    add_table(office, "public", "wide", 'r', 0, (const char *)sp_buf_borrow(&columns).ptr);
}

/* deep_0 reads deep_1, and so on; the last one reads the relation. */
static void add_deep_views(sp_sql_catalogue *office, uint32_t relation)
{
    enum { DEEP = 40 };
    uint32_t first = SP_NONE;
    for (int i = 0; i < DEEP; i++) {
        char name[16];
        snprintf(name, sizeof(name), "deep_%d", i);
        uint32_t one = add_table(office, "public", name, 'v', 0, "vals");
        first = i == 0 ? one : first;
    }
    for (uint32_t i = 0; i < DEEP; i++) {
        uint32_t next = i + 1 == DEEP ? relation : first + i + 1;
        must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_READS, first + i, next));
    }
}

sp_sql_catalogue *office_new(void)
{
    sp_sql_catalogue *office = NULL;
    must(sp_sql_catalogue_new(1 << 20, &office));
    must(sp_sql_catalogue_path(office, SP_SPAN_LIT("public")));
    uint32_t customers = add_table(office, "public", "customers", 'r', 0, "id! name phone note");
    uint32_t orders = add_table(office, "public", "orders", 'r', 0, "id! customer_id total note");
    uint32_t lines = add_table(office, "public", "order_lines", 'r', 0, "order_id! item n");
    uint32_t view = add_table(office, "public", "v_customers", 'v', 0, "id name tel");
    must(sp_sql_catalogue_definition(
        office, SP_SPAN_LIT("SELECT c.id, c.name, c.phone AS tel FROM customers c")));
    uint32_t names = add_table(office, "public", "v_names", 'v', 0, "id name");
    must(sp_sql_catalogue_definition(
        office, SP_SPAN_LIT("SELECT v.id, v.name FROM v_customers v WHERE v.id > 10")));
    uint32_t logs = add_table(office, "public", "logs", 'p', 0, "at! line");
    uint32_t logs_2024 = add_table(office, "public", "logs_2024", 'r', 0, "at! line");
    add_table(office, "public", "wares", 'r', 0, "id! listed?! sold?");
    add_table(office, "audit", "entries", 'r', 0, "id! who what");
    add_table(office, "public", "items", 'r', SP_SQL_REL_RULES, "id! name");
    add_table(office, "pg_catalog", "pg_class", 'r', SP_SQL_REL_SYSTEM, "oid! relname");
    add_table(office, "pg_catalog", "pg_settings", 'v', SP_SQL_REL_SYSTEM, "name setting");
    uint32_t stats =
        add_table(office, "pg_catalog", "pg_stats", 'v', SP_SQL_REL_SYSTEM | SP_SQL_REL_TELLING,
                  "schemaname tablename most_common_vals");
    static const struct {
        const char *view, *schema, *function;
        char kind;
    } calling[] = {{"v_totals", "public", "order_total", 'v'},
                   {"v_alike", "public", "similarity", 'v'},
                   {"v_ends", "pg_catalog", "pg_terminate_backend", 'v'},
                   {"v_upper", "pg_catalog", "upper", 'v'},
                   {"v_reads", "pg_catalog", "pg_read_file", 'v'},
                   {"v_asks", "pg_catalog", "pg_stat_get_activity", 'v'},
                   {"m_totals", "public", "order_total", 'm'}};
    for (size_t i = 0; i < SP_COUNT(calling); i++) {
        uint32_t one = add_table(office, "public", calling[i].view, calling[i].kind, 0, "id");
        must(sp_sql_catalogue_call(office, one, sp_span_cstr(calling[i].schema),
                                   sp_span_cstr(calling[i].function)));
    }
    uint32_t over = add_table(office, "public", "v_over", 'v', 0, "id");
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_READS, over,
                               over - (uint32_t)SP_COUNT(calling))); /* v_totals */
    uint32_t index = add_table(office, "audit", "i_orders", 'i', 0, "");
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_INDEX, orders, index));
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_CASCADES, customers, orders));
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_CASCADES, orders, lines));
    must(sp_sql_catalogue_key(office, customers, orders, 1));
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_READS, view, customers));
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_READS, names, view));
    uint32_t common = add_table(office, "public", "v_common", 'v', 0, "tablename vals");
    uint32_t commoner = add_table(office, "public", "m_common", 'm', 0, "vals");
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_READS, common, stats));
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_READS, commoner, common));
    must(sp_sql_catalogue_edge(office, SP_SQL_EDGE_CHILD, logs, logs_2024));
    must(sp_sql_catalogue_function(office, SP_SPAN_LIT("public"), SP_SPAN_LIT("order_total"),
                                   false));
    must(sp_sql_catalogue_function(office, SP_SPAN_LIT("public"), SP_SPAN_LIT("similarity"), true));
    add_table(office, "public", "shapes", 'r', 0, "id! concat row_to_json");
    uint32_t parcels = add_table(office, "public", "parcels", 'r', 0, "id#! code year# weight");
    must(sp_sql_catalogue_unique(office, parcels, 1));
    must(sp_sql_catalogue_unique(office, parcels, 2));
    must(sp_sql_catalogue_unique(office, parcels, 9)); /* no such column */
    add_wide_table(office);
    add_kinds(office);
    add_marked(office);
    add_table(office, "audit", "entry_no", 'S', 0, "last_value");
    add_deep_views(office, stats);
    must(sp_sql_catalogue_finish(office));
    return office;
}

static void say_use(sp_buf *out, const sp_sql_use *use)
{
    static const char *const kinds[] = {"database", "",     "schema", "function",
                                        "setting",  "role", "code"};
    sp_buf_text(out, sp_action_word((sp_action)use->action));
    sp_buf_text(out, (use->flags & SP_SQL_USE_ALL) != 0 ? "!" : "");
    sp_buf_text(out, (use->flags & SP_SQL_USE_OPAQUE) != 0 ? "?" : "");
    sp_buf_text(out, (use->flags & SP_SQL_USE_IMPLIED) != 0 ? "~" : "");
    sp_buf_text(out, (use->flags & SP_SQL_USE_SYSTEM) != 0 ? "*" : "");
    sp_buf_text(out, (use->flags & SP_SQL_USE_BECOMES) != 0 ? ">" : "");
    sp_buf_text(out, (use->flags & SP_SQL_USE_MOVES) != 0 ? ">" : "");
    sp_buf_text(out, (use->flags & SP_SQL_USE_BROAD) != 0 ? "+" : "");
    sp_buf_text(out, (use->flags & SP_SQL_USE_UNSURE) != 0 ? "%" : "");
    if (use->kind != SP_SQL_RELATION) {
        sp_buf_fmt(out, " %s", kinds[use->kind]);
    }
    bool is_home = sp_span_eq(use->schema, SP_SPAN_LIT("public"));
    if (use->schema.len > 0 && (!is_home || use->name.len == 0)) {
        sp_buf_text(out, " ");
        sp_buf_span(out, use->schema);
    }
    if (use->name.len > 0) {
        sp_buf_text(out, use->schema.len > 0 && !is_home ? "." : " ");
        sp_buf_span(out, use->name);
    }
}

const char *office_judge(sp_sql_judge *judge, const sp_sql_context *context, const char *text)
{
    static char line[4096];
    auto_buf sp_buf out = sp_buf_make(sizeof(line) - 1);
    const sp_sql_judgement *got = sp_sql_judge_text(judge, context, sp_span_cstr(text));
    if (got->fault != SP_SQL_FINE) {
        static const char *const words[] = {"fine",      "too long", "not utf8",  "syntax",
                                            "ambiguous", "unknown",  "forbidden", "too complex"};
        sp_buf_text(&out, words[got->fault]);
    }
    for (uint32_t i = 0; i < got->use_count; i++) {
        sp_buf_text(&out, i > 0 ? "; " : "");
        say_use(&out, &got->uses[i]);
    }
    sp_span all = sp_buf_borrow(&out);
    sp_copy(line, all.ptr, all.len);
    line[all.len] = '\0';
    return line;
}

int office_set_up(void **state)
{
    static office_room it;
    assert_ok(sp_sql_judge_new(&it.judge));
    it.office = office_new();
    *state = &it;
    return 0;
}

int office_set_up_masked(void **state)
{
    (void)office_set_up(state);
    office_room *it = *state;
    uint32_t customers = sp_sql_catalogue_find(it->office, SP_SPAN_EMPTY, SP_SPAN_LIT("customers"));
    uint32_t phone = sp_sql_catalogue_find_column(it->office, customers, SP_SPAN_LIT("phone"));
    const sp_sql_bound bound = {.part = SP_NONE, .tags = OFFICE_PERSONAL, .mask = SP_MASK_MOBILE};
    sp_sql_catalogue_bind_column(it->office, phone, &bound);
    sp_sql_catalogue_bind_finish(it->office);
    sp_sql_masking_bind_views(it->judge, it->office);
    return 0;
}

int office_tear_down(void **state)
{
    office_room *it = *state;
    sp_sql_judge_free(it->judge);
    sp_sql_catalogue_free(it->office);
    return 0;
}

bool office_is_listed(const void *policy, sp_span schema, sp_span name, sp_action *ret_action)
{
    (void)policy;
    *ret_action = SP_ACTION_READ;
    return sp_span_eq(schema, SP_SPAN_LIT("public")) && sp_span_eq(name, SP_SPAN_LIT("listed"));
}

void office_check(void **state, sp_sql_context context, const office_judged *cases, size_t count)
{
    office_room *it = *state;
    context.catalogue = it->office;
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const char *got = office_judge(it->judge, &context, cases[i].text);
        if (strcmp(got, cases[i].uses) != 0) {
            print_error("%s\n   got:  %s\n   want: %s\n", cases[i].text, got, cases[i].uses);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}
