/* SPDX-License-Identifier: Apache-2.0
 * Which names a text gives to which rows, where the search path has two schemas.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/given.c.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

static uint32_t add(sp_sql_catalogue *office, const char *schema, const char *name, char kind)
{
    static uint32_t next_oid = 20000;
    uint32_t index = SP_NONE;
    assert_ok(sp_sql_catalogue_relation(office, sp_span_cstr(schema), sp_span_cstr(name),
                                        next_oid++, kind, 0, &index));
    assert_ok(sp_sql_catalogue_column(office, SP_SPAN_LIT("id"), 1, 23, true));
    return index;
}

static int set_up(void **state)
{
    static office_room it;
    assert_ok(sp_sql_judge_new(&it.judge));
    assert_ok(sp_sql_catalogue_new(1 << 20, &it.office));
    assert_ok(sp_sql_catalogue_path(it.office, SP_SPAN_LIT("scr")));
    assert_ok(sp_sql_catalogue_path(it.office, SP_SPAN_LIT("public")));
    add(it.office, "scr", "cust", 'r');
    add(it.office, "public", "cust", 'r');
    add(it.office, "public", "plain", 'r');
    uint32_t entries = add(it.office, "audit", "entries", 'r');
    uint32_t seen = add(it.office, "public", "seen", 'v');
    uint32_t over = add(it.office, "public", "over", 'v');
    uint32_t kept = add(it.office, "public", "kept", 'm');
    add(it.office, "other", "cust", 'r');
    uint32_t parent = add(it.office, "scr", "parent", 'p');
    uint32_t child = add(it.office, "scr", "child", 'r');
    add(it.office, "public", "child", 'r');
    add(it.office, "scr", "idx", 'i');
    add(it.office, "public", "idx", 'r');
    add(it.office, "scr", "seq", 'S');
    add(it.office, "public", "seq", 'r');
    add(it.office, "pg_catalog", "pg_class", 'r');
    assert_ok(sp_sql_catalogue_edge(it.office, SP_SQL_EDGE_CHILD, parent, child));
    assert_ok(sp_sql_catalogue_edge(it.office, SP_SQL_EDGE_READS, seen, entries));
    assert_ok(sp_sql_catalogue_edge(it.office, SP_SQL_EDGE_READS, over, seen));
    assert_ok(sp_sql_catalogue_edge(it.office, SP_SQL_EDGE_READS, kept, entries));
    assert_ok(sp_sql_catalogue_type(it.office, SP_SPAN_LIT("public"), SP_SPAN_LIT("mood")));
    assert_ok(sp_sql_catalogue_type(it.office, SP_SPAN_LIT("audit"), SP_SPAN_LIT("short")));
    assert_ok(sp_sql_catalogue_finish(it.office));
    *state = &it;
    return 0;
}

static bool has_temp(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("tt"));
}

/* "a.b>c.d": rows of a.b are found by c.d; ? rows of something unknown. */
static const char *given_by(office_room *it, const char *text)
{
    static char line[2048];
    const sp_sql_context context = {.catalogue = it->office, .is_temporary = has_temp};
    auto_buf sp_buf out = sp_buf_make(sizeof(line) - 1);
    const sp_sql_judgement *got = sp_sql_judge_text(it->judge, &context, sp_span_cstr(text));
    assert_int_equal(got->fault, SP_SQL_FINE);
    for (uint32_t i = 0; i < got->use_count; i++) {
        const sp_sql_use *use = &got->uses[i];
        if ((use->flags & SP_SQL_USE_BECOMES) == 0) {
            continue;
        }
        sp_buf_text(&out, out.len > 0 ? " " : "");
        if (use->relation != SP_NONE) {
            const sp_sql_relation *from = sp_sql_catalogue_at(it->office, use->relation);
            sp_buf_fmt(&out, "%.*s.%.*s", SP_SPAN_ARG(from->schema), SP_SPAN_ARG(from->name));
        }
        sp_buf_text(&out, (use->flags & SP_SQL_USE_OPAQUE) != 0 ? "?" : "");
        sp_buf_text(&out, (use->flags & SP_SQL_USE_MOVES) != 0 ? ">" : "");
        sp_buf_fmt(&out, ">%.*s.%.*s", SP_SPAN_ARG(use->schema), SP_SPAN_ARG(use->name));
    }
    sp_span all = sp_buf_borrow(&out);
    sp_copy(line, all.ptr, all.len);
    line[all.len] = '\0';
    return line;
}

static void names_are_given(void **state)
{
    static const struct {
        const char *text;
        const char *given;
    } cases[] = {
        {"CREATE VIEW x AS SELECT * FROM audit.entries", "audit.entries>scr.x"},
        {"CREATE VIEW audit.x AS SELECT * FROM audit.entries", "audit.entries>audit.x"},
        {"CREATE VIEW x AS SELECT 1", ""},
        /* through views, but not a materialized one, whose rows are its own */
        {"CREATE VIEW audit.x AS SELECT * FROM over",
         "public.over>audit.x public.seen>audit.x audit.entries>audit.x"},
        {"CREATE VIEW audit.x AS SELECT * FROM kept", "public.kept>audit.x"},
        {"CREATE VIEW audit.x AS SELECT 1 WHERE EXISTS (WITH c AS (SELECT * FROM seen) SELECT 1 "
         "FROM c)",
         "public.seen>audit.x audit.entries>audit.x"},
        /* a name that is known, by whatever schema of the path */
        {"CREATE OR REPLACE VIEW public.seen AS SELECT * FROM plain", "public.plain>>public.seen"},
        {"CREATE OR REPLACE VIEW public.seen AS SELECT 1 FROM audit.entries",
         "audit.entries>>public.seen"},
        {"ALTER TABLE plain RENAME id TO no", "public.plain>>public.plain"},
        {"ALTER INDEX scr.idx RENAME TO no", "scr.idx>scr.no public.idx>>scr.idx"},
        {"CREATE VIEW plain AS SELECT * FROM audit.entries",
         "public.plain>>scr.plain audit.entries>scr.plain audit.entries>public.plain"},
        {"DROP TABLE plain; CREATE VIEW public.plain AS SELECT * FROM audit.entries",
         "audit.entries>public.plain"},
        {"CREATE TABLE x (id int); CREATE VIEW public.x AS SELECT * FROM audit.entries",
         "audit.entries>public.x"},
        {"CREATE VIEW public.tt AS SELECT * FROM audit.entries", "audit.entries>public.tt"},
        {"CREATE VIEW audit.x AS SELECT 1; CREATE VIEW audit.x AS SELECT * FROM audit.entries",
         "audit.entries>audit.x"},
        /* what nobody knows; a table of the text itself */
        {"CREATE VIEW audit.x AS SELECT * FROM nowhere", "?>audit.x"},
        {"CREATE TABLE y (id int); CREATE VIEW audit.x AS SELECT * FROM y", ">audit.x"},
        {"CREATE TABLE scr.y (id int); CREATE VIEW audit.x AS SELECT * FROM y", ">audit.x"},
        /* somebody may make a scr.y meanwhile */
        {"CREATE TABLE public.y (id int); CREATE VIEW audit.x AS SELECT * FROM y", "?>audit.x"},
        {"CREATE TABLE public.y (id int); CREATE VIEW audit.x AS SELECT * FROM public.y",
         ">audit.x"},
        {"CREATE TABLE other.y (id int); CREATE VIEW audit.x AS SELECT * FROM y", "?>audit.x"},
        {"CREATE TABLE other.y (id int); CREATE VIEW audit.x AS SELECT * FROM public.y",
         "?>audit.x"},
        {"CREATE TABLE IF NOT EXISTS y (id int); CREATE VIEW audit.x AS SELECT * FROM y",
         "?>audit.x"},
        {"CREATE TABLE IF NOT EXISTS y AS SELECT 1; CREATE VIEW audit.x AS SELECT * FROM y",
         "?>audit.x"},
        {"CREATE TABLE p (id int); CREATE TABLE y () INHERITS (p); CREATE VIEW audit.x AS SELECT * "
         "FROM y",
         ">audit.x"},
        {"CREATE TABLE y () INHERITS (audit.entries); CREATE VIEW audit.x AS SELECT * FROM y",
         "audit.entries>scr.y ?>audit.x"},
        {"CREATE VIEW audit.y AS SELECT 1; CREATE VIEW audit.x AS SELECT * FROM audit.y",
         "?>audit.x"},
        /* renamed and moved, with what is seen through it */
        {"ALTER VIEW seen RENAME TO x", "public.seen>>public.x audit.entries>public.x"},
        {"DROP TABLE plain; ALTER VIEW seen RENAME TO plain",
         "public.seen>>public.plain audit.entries>public.plain"},
        {"ALTER TABLE other.cust SET SCHEMA scr",
         "public.cust>>scr.cust other.cust>>scr.cust other.cust>>public.cust"},
        /* a name that hid another one goes */
        {"DROP TABLE cust", "public.cust>>scr.cust"},
        {"DROP TABLE scr.cust", "public.cust>>scr.cust"},
        {"DROP TABLE other.cust", ""},
        {"DROP TABLE public.cust", ""},
        {"ALTER TABLE public.cust RENAME TO x", "public.cust>>public.x"},
        {"DROP TABLE parent", "public.child>>scr.child"},
        {"ALTER TABLE parent RENAME TO x", "scr.parent>>scr.x"},
        {"ALTER INDEX idx RENAME TO x", "scr.idx>scr.x public.idx>>scr.idx"},
        {"DROP TABLE plain", ""},
        {"ALTER TABLE scr.cust RENAME TO x", "scr.cust>>scr.x public.cust>>scr.cust"},
        {"ALTER TABLE scr.cust SET SCHEMA other", "scr.cust>>other.cust public.cust>>scr.cust"},
        /* and one that comes in front of another one */
        {"CREATE TABLE plain (id int)", "public.plain>>scr.plain"},
        {"SELECT 1 INTO plain", "public.plain>>scr.plain"},
        {"CREATE MATERIALIZED VIEW plain AS SELECT 1", "public.plain>>scr.plain"},
        {"CREATE SCHEMA scr CREATE TABLE plain (id int)", "public.plain>>scr.plain"},
        {"CREATE SCHEMA AUTHORIZATION scr CREATE TABLE plain (id int)", "public.plain>>scr.plain"},
        {"CREATE SCHEMA AUTHORIZATION other CREATE VIEW x AS SELECT * FROM plain",
         "public.plain>other.x"},
        {"CREATE SCHEMA more CREATE TABLE x () INHERITS (audit.entries)", "audit.entries>more.x"},
        /* a parent shows its children's rows */
        {"ALTER TABLE plain INHERIT audit.entries", "public.plain>>audit.entries"},
        {"ALTER TABLE plain NO INHERIT audit.entries", "public.plain>public.plain"},
        {"CREATE TABLE x (id int); ALTER TABLE x INHERIT audit.entries", ">>audit.entries"},
        {"ALTER TABLE plain RENAME TO x; ALTER TABLE audit.entries ATTACH PARTITION x DEFAULT",
         "public.plain>>public.x ?>>audit.entries"},
        {"CREATE TABLE other.plain (id int)", ""},
        {"CREATE TEMP TABLE plain (id int)", ""},
        {"ALTER SCHEMA scr RENAME TO new",
         "public.cust>>scr.cust public.child>>scr.child public.idx>>scr.idx public.seq>>scr.seq"},
        {"ALTER SCHEMA other RENAME TO scr", "other.cust>>scr.cust other.cust>>public.cust"},
        /* what is put into a child stands in its parent */
        {"CREATE TABLE audit.x () INHERITS (audit.entries)", "audit.entries>audit.x"},
    };
    office_room *it = *state;
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        const char *got = given_by(it, cases[i].text);
        if (!sp_span_eq(sp_span_cstr(got), sp_span_cstr(cases[i].given))) {
            print_error("%s\n   got:  %s\n   want: %s\n", cases[i].text, got, cases[i].given);
            *state = NULL;
        }
    }
    assert_non_null(*state);
}

/* An index or a sequence goes with its table, and what its name hid is found by it then. */
static void what_has_no_rows_is_not_meant(void **state)
{
    static const office_judged cases[] = {
        {"DELETE FROM idx WHERE id = 1", "write idx"},
        {"SELECT * FROM scr.idx", "read scr.idx"},
        {"DROP INDEX idx", "alter scr.idx; alter>> scr.idx"},
        {"SELECT last_value FROM seq", "read scr.seq; read~ seq"},
        {"SELECT last_value FROM scr.seq", "read scr.seq"},
        {"DELETE FROM seq", "destroy! seq"},
        {"ALTER SEQUENCE scr.seq RESTART", "alter scr.seq"},
        {"ALTER SEQUENCE scr.seq OWNED BY scr.cust.id", "alter scr.seq; alter> scr.cust"},
        {"ALTER SEQUENCE seq OWNED BY cust.id", "alter scr.seq; alter~ seq; alter> scr.cust"},
        {"ALTER SEQUENCE scr.seq OWNED BY NONE", "alter scr.seq"},
        {"CREATE SCHEMA AUTHORIZATION CURRENT_USER", "unknown"},
        {"ALTER EXTENSION hstore SET SCHEMA scr", "destroy database; administer database"},
    };
    office_room *it = *state;
    static const struct {
        const char *text;
        bool is_known;
    } known[] = {{"DELETE FROM scr.idx WHERE id = 1", false},
                 {"SELECT * FROM scr.idx", false},
                 {"UPDATE scr.seq SET last_value = 1 WHERE id = 1", false},
                 {"SELECT * FROM scr.seq", true},
                 {"DELETE FROM scr.cust WHERE id = 1", true}};
    const sp_sql_context context = {.catalogue = it->office};
    for (size_t i = 0; i < SP_COUNT(known); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(known[i].text));
        assert_int_equal(got->uses[0].relation != SP_NONE, known[i].is_known);
    }
    office_check(state, context, cases, SP_COUNT(cases));
}

/* A type comes in front of one of its name: casts by the bare name of that one are others. */
static void types_come_in_front(void **state)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    static const office_judged cases[] = {
        {"CREATE TYPE mood AS ENUM ('a')", "destroy schema mood; alter schema scr.mood"},
        {"CREATE DOMAIN scr.mood AS text", "destroy schema mood; alter schema scr.mood"},
        {"CREATE TYPE mood AS (a int)", "destroy schema mood; alter schema scr.mood"},
        {"ALTER DOMAIN scr.d RENAME TO mood",
         "destroy schema scr.d; destroy schema mood; alter schema scr.mood"},
        {"ALTER TYPE audit.mood SET SCHEMA scr",
         "destroy schema audit.mood; destroy schema mood; alter schema scr.mood"},
        /* behind, beside, and of no other name */
        {"CREATE DOMAIN public.mood AS text", "alter schema mood"},
        {"CREATE DOMAIN audit.mood AS text", "alter schema audit.mood"},
        {"CREATE DOMAIN scr.short AS text", "alter schema scr.short"},
        {"CREATE DOMAIN scr.moods AS text", "alter schema scr.moods"},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        assert_string_equal(office_judge(it->judge, &context, cases[i].text), cases[i].uses);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_given),
                                       cmocka_unit_test(types_come_in_front),
                                       cmocka_unit_test(what_has_no_rows_is_not_meant)};
    return cmocka_run_group_tests(tests, set_up, office_tear_down);
}
