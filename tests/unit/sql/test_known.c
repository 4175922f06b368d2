/* SPDX-License-Identifier: Apache-2.0
 * What is remembered of texts is what judging them anew says, whatever came before.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/known.h.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/sql/alike.h"
#include "lib/sql/known.h"
#include "lib/sql/redact.h"

#include <string.h>

enum { PERSONAL = 1, ROUNDS = 30000 };

static uint64_t random_state = 20260101;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % bound;
}

static const char *const shapes[] = {
    "SELECT @c FROM @t WHERE id = @n",
    "SELECT @c FROM @t",
    "SELECT @c AS a, count(*) FROM @t GROUP BY 1 HAVING count(*) > @n",
    "WITH w AS (SELECT @c FROM @t) SELECT * FROM w LIMIT @n",
    "SELECT upper(@c) FROM @t",
    "UPDATE @t SET note = 'n@n' WHERE @c = '@n'",
    "UPDATE @t SET note = 'n@n'",
    "DELETE FROM @t WHERE id > @n",
    "DELETE FROM @t",
    "INSERT INTO @t (id) VALUES (@n)",
    "COPY @t (@c) TO STDOUT",
    "SELECT order_total(@n), @c FROM @t",
    "SELECT t.@c FROM @t t",
    "SELECT '\\@n', @c FROM @t",
    "DECLARE c@n CURSOR FOR SELECT @c FROM @t",
    "TRUNCATE @t; SELECT @c FROM orders",
    "SELECT @c FROM WHERE @t",
    "CREATE TEMP TABLE t@n AS SELECT @c FROM @t",
    "ALTER ROLE r PASSWORD 'p@n'; SELECT @c FROM @t",
    "SELECT public.listed(@n), @c FROM @t",
    "SELECT hmac(@c, 'k', 'sha256') FROM @t",
    "SELECT id, @c FROM @t WHERE id > -@n ORDER BY @n",
    "SELECT @c, id FROM @t GROUP BY @n,id LIMIT @n;",
    "SELECT @c FROM @t WHERE id = @n UNION SELECT name FROM orders ORDER BY @n",
    "WITH w AS (DELETE FROM @t WHERE @n = @n RETURNING *) SELECT * FROM w",
    "SELECT @c FROM @t WHERE id=@n /* @n */",
    "SELECT @c, '@n' FROM @t WHERE id IN (@n,@n)",
    "SELECT set_config('search_path', '@n', @n), @c FROM @t",
    "EXPLAIN (ANALYZE @n) SELECT @c FROM @t",
    "SELECT @c FROM @t FOR UPDATE LIMIT @n",
};
static const char *const columns[] = {"id", "name", "phone", "note", "*", "tel", "nothing"};
static const char *const tables[] = {"customers", "orders",        "v_customers", "v_names", "logs",
                                     "pg_stats",  "audit.entries", "items",       "unknown"};

/* @c a column, @t a table, @n a number; few enough that most texts come again. */
static void make_text(sp_buf *out)
{
    const char *shape = shapes[below(SP_COUNT(shapes))];
    for (; *shape != '\0'; shape++) {
        if (*shape != '@') {
            sp_buf_byte(out, (uint8_t)*shape);
            continue;
        }
        shape++;
        if (*shape == 'n') {
            sp_buf_fmt(out, "%u", below(8) == 0 ? below(2000000000) : below(4));
        } else {
            sp_buf_text(out, *shape == 'c' ? columns[below(SP_COUNT(columns))]
                                           : tables[below(SP_COUNT(tables))]);
        }
    }
}

static void expect_same(const sp_sql_judgement *got, const sp_sql_judgement *want)
{
    assert_int_equal(got->fault, want->fault);
    assert_string_equal(got->reason, want->reason);
    assert_int_equal(got->reason_at, want->reason_at);
    if (want->fault != SP_SQL_FINE) {
        return;
    }
    assert_int_equal(got->flags, want->flags);
    assert_int_equal(got->statement_count, want->statement_count);
    assert_int_equal(got->use_count, want->use_count);
    for (uint32_t i = 0; i < want->statement_count; i++) {
        const sp_sql_statement *a = &got->statements[i];
        const sp_sql_statement *b = &want->statements[i];
        assert_string_equal(a->tag, b->tag);
        assert_true(a->flags == b->flags && a->offset == b->offset && a->len == b->len);
        assert_true(sp_span_eq(a->name, b->name));
    }
    for (uint32_t i = 0; i < want->use_count; i++) {
        const sp_sql_use *a = &got->uses[i];
        const sp_sql_use *b = &want->uses[i];
        assert_true(a->action == b->action && a->kind == b->kind && a->flags == b->flags);
        assert_int_equal(a->relation, b->relation);
        assert_true(sp_span_eq(a->schema, b->schema) && sp_span_eq(a->name, b->name));
    }
}

/* What the catalogue is bound to, and what policy says of a function: both move. */
static void bind(office_room *it, uint32_t tagged, bool may_call, sp_sql_context *context)
{
    sp_sql_catalogue_bind_clear(it->office);
    uint32_t customers = sp_sql_catalogue_find(it->office, SP_SPAN_EMPTY, SP_SPAN_LIT("customers"));
    const sp_sql_bound bound = {.part = SP_NONE, .tags = PERSONAL, .mask = SP_MASK_MOBILE};
    sp_sql_catalogue_bind_column(
        it->office, sp_sql_catalogue_at(it->office, customers)->first_column + tagged, &bound);
    sp_sql_catalogue_bind_finish(it->office);
    sp_sql_masking_bind_views(it->judge, it->office);
    context->function_action = may_call ? office_is_listed : NULL;
}

static bool is_named_t1(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("t1"));
}

typedef struct {
    office_room *it;
    sp_sql_judge *other; /* judges anew */
    sp_sql_cache *cache;
    sp_sql_context context;
    uint64_t version;
    size_t hits;
    size_t likes; /* answered from a text that differs in its numbers */
} race;

static void run_once(race *r)
{
    auto_buf sp_buf made = sp_buf_make(512);
    make_text(&made);
    sp_span text = sp_buf_borrow(&made);
    auto_known sp_sql_known *known = NULL;
    const sp_sql_judgement *got =
        sp_sql_cache_judge(r->cache, r->it->judge, &r->context, r->version, text, true, &known);
    const sp_sql_judgement *want = sp_sql_judge_text(r->other, &r->context, text);
    expect_same(got, want);
    r->hits += known != NULL ? 1 : 0;
    if (known != NULL) {
        auto_buf sp_buf shown = sp_buf_make(SP_SQL_SHOWN_BYTES);
        sp_sql_redact(text, false, SP_SQL_SHOWN_BYTES - 16, &shown);
        assert_true(sp_span_eq(known->shown, sp_buf_borrow(&shown)));
        assert_true(known->judgement == got && sp_span_eq(known->text, text));
        assert_false(sp_sql_names_secret(text) || (got->flags & SP_SQL_IS_SECRET) != 0);
        assert_true(r->context.is_temporary == NULL);
    }
    if (want->fault == SP_SQL_FINE) {
        sp_sql_masking masked = sp_sql_cache_masking(r->cache, r->it->judge, &r->context,
                                                     r->version, text, PERSONAL, known);
        sp_sql_masking anew = sp_sql_masking_text(r->other, &r->context, text, PERSONAL);
        assert_int_equal(masked.mode, anew.mode);
        assert_int_equal(masked.copies, anew.copies);
        assert_string_equal(masked.reason, anew.reason);
    }
    assert_true(sp_sql_cache_bytes(r->cache) <= SP_SQL_CACHE_BYTES);
}

static void test_same_as_anew(void **state)
{
    race r = {.it = *state, .version = 1};
    assert_false(sp_failed(sp_sql_judge_new(&r.other)));
    assert_false(sp_failed(sp_sql_cache_new(42, &r.cache)));
    r.context.catalogue = r.it->office;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 2000 == 0) { /* the catalogue or the policy moves */
            bind(r.it, below(4), below(2) == 0, &r.context);
            r.version++;
        }
        r.context.is_temporary = below(16) == 0 ? is_named_t1 : NULL;
        run_once(&r);
    }
    assert_true(r.hits > ROUNDS / 8);
    sp_sql_cache_free(r.cache);
    sp_sql_judge_free(r.other);
}

/* A version that moved is never answered from what another one said. */
static void test_another_version(void **state)
{
    office_room *it = *state;
    auto_catalogue sp_sql_catalogue *office = office_new();
    sp_sql_context context = {.catalogue = office};
    sp_sql_cache *cache = NULL;
    assert_false(sp_failed(sp_sql_cache_new(7, &cache)));
    sp_span text = SP_SPAN_LIT("SELECT note FROM customers WHERE id = 1");
    for (unsigned i = 0; i < 3; i++) {
        auto_known sp_sql_known *known = NULL;
        (void)sp_sql_cache_judge(cache, it->judge, &context, 1, text, true, &known);
        assert_true((known != NULL) == (i > 0));
    }
    context.catalogue = NULL; /* the table is gone */
    auto_known sp_sql_known *known = NULL;
    const sp_sql_judgement *moved =
        sp_sql_cache_judge(cache, it->judge, &context, 2, text, true, &known);
    assert_true(known == NULL && moved->uses[0].relation == SP_NONE);
    sp_sql_cache_free(cache);
}

static void test_alike(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT a FROM t WHERE id = 1234", "SELECT a FROM t WHERE id = 0000"},
        {"SELECT 12,-3 ;", "SELECT 00,-0 ;"},
        {"SELECT x[3], '7' FROM t5 LIMIT 10", "SELECT x[0], '7' FROM t5 LIMIT 00"},
        {"SELECT \"7 \", 8", "SELECT \"7 \", 0"},
        {"SELECT 'it''s 1', 2", "SELECT 'it''s 1', 0"},
        {"SELECT 1.5, 1e5, 5e, 1_0, 0x1F, 77", "SELECT 1.5, 1e5, 5e, 1_0, 0x1F, 00"},
        {"SELECT 999999999, 1234567890", "SELECT 000000000, 1234567890"},
        {"SELECT a-5", "SELECT a-0"},
        {"SELECT 1", "SELECT 0"},
        {"SELECT 1.5, 1e5, a1", NULL},
        {"SELECT 1234567890", NULL},
        {"SELECT $1, 2", NULL},
        {"SELECT $$a$$, 2", NULL},
        {"SELECT 2 -- 3", NULL},
        {"SELECT 2 /* 3 */", NULL},
        {"SELECT '\\', 2", NULL},
        {"SELECT E'\\' 1', 2", NULL},
        {"SELECT 'open, 2", NULL},
        {"SELECT \"open, 2", NULL},
        {"SELECT a FROM t", NULL},
        {"1", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        uint8_t room[SP_SQL_ALIKE_BYTES];
        sp_span text = sp_span_cstr(cases[i][0]);
        bool is = sp_sql_alike(text, room);
        assert_true(is == (cases[i][1] != NULL));
        assert_true(!is || sp_span_eq(sp_span_of(room, text.len), sp_span_cstr(cases[i][1])));
    }
    static uint8_t many[SP_SQL_ALIKE_BYTES + 1];
    uint8_t room[SP_SQL_ALIKE_BYTES];
    sp_set(many, ' ', sizeof(many));
    many[SP_SQL_ALIKE_BYTES - 1] = '1';
    assert_true(sp_sql_alike(sp_span_of(many, SP_SQL_ALIKE_BYTES), room));
    assert_false(sp_sql_alike(sp_span_of(many, sizeof(many)), room));
}

/* Texts that are alike share one judgement, as soon as two came; the third number is answered from
 * it, and a change never is. */
static void test_shared(void **state)
{
    static const struct {
        const char *before;
        const char *behind;
        bool is_shared;
    } cases[] = {{"SELECT note FROM orders WHERE id = ", "", true},
                 {"SELECT note FROM orders ORDER BY note LIMIT ", "", true},
                 {"DELETE FROM orders WHERE id = ", "", false},
                 {"UPDATE orders SET note = 'a' WHERE ", " = 15", false},
                 {"WITH w AS (DELETE FROM orders RETURNING *) SELECT ", " FROM w", false},
                 {"SELECT a_function(", ")", false},
                 {"EXPLAIN SELECT note FROM orders WHERE id = ", "", false},
                 {"SELECT note FROM orders WHERE id = ", "; SELECT 1", false}};
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        const sp_sql_judgement *got[4];
        sp_sql_cache *cache = NULL;
        assert_false(sp_failed(sp_sql_cache_new(7, &cache)));
        for (unsigned n = 0; n < 4; n++) {
            auto_known sp_sql_known *known = NULL;
            auto_buf sp_buf text = sp_buf_make(256);
            sp_buf_fmt(&text, "%s%u%s", cases[i].before, 12 + n, cases[i].behind);
            got[n] = sp_sql_cache_judge(cache, it->judge, &context, 1, sp_buf_borrow(&text), true,
                                        &known);
            assert_null(known);
        }
        assert_true((got[2] != got[0]) == cases[i].is_shared && got[3] == got[2]);
        sp_sql_cache_free(cache);
    }
}

/* What is answered from a text that is alike is written down as it came, if that one is; with bytes
 * that are written otherwise it is redacted anew, and so is what is like nothing. */
static void test_shown(void **state)
{
    static const struct {
        const char *before;
        bool is_itself;
    } cases[] = {{"SELECT note FROM orders WHERE note <> 'secre' AND id = ", true},
                 {"SELECT note FROM orders WHERE note <> '\xC3\xA4' AND id = ", true},
                 {"SELECT note FROM orders WHERE note <> 'secret' AND id = ", false},
                 {"SELECT note\tFROM orders WHERE id = ", false},
                 {"DELETE FROM orders WHERE id = ", false}};
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        sp_sql_cache *cache = NULL;
        assert_false(sp_failed(sp_sql_cache_new(7, &cache)));
        for (unsigned n = 0; n < 4; n++) {
            auto_known sp_sql_known *known = NULL;
            auto_buf sp_buf text = sp_buf_make(256);
            sp_buf_fmt(&text, "%s%u", cases[i].before, 12 + n);
            sp_span as = sp_buf_borrow(&text);
            const sp_sql_judgement *judgement =
                sp_sql_cache_judge(cache, it->judge, &context, 1, as, false, &known);
            sp_span shown = sp_sql_cache_shown(cache, judgement, as);
            assert_int_equal(shown.len > 0, n > 1 && cases[i].is_itself);
            auto_buf sp_buf redacted = sp_buf_make(SP_SQL_SHOWN_BYTES);
            sp_sql_redact(as, false, SP_SQL_SHOWN_BYTES - 16, &redacted);
            assert_true(shown.len == 0 || sp_span_eq(shown, sp_buf_borrow(&redacted)));
        }
        sp_sql_cache_free(cache);
    }
}

/* A text that is like one that is known is kept beside it only for who has use for it. */
static void test_beside(void **state)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    for (unsigned by_itself = 0; by_itself < 2; by_itself++) {
        sp_sql_cache *cache = NULL;
        assert_false(sp_failed(sp_sql_cache_new(7, &cache)));
        for (unsigned n = 0; n < 6; n++) {
            auto_known sp_sql_known *known = NULL;
            auto_buf sp_buf text = sp_buf_make(256);
            sp_buf_fmt(&text, "SELECT note FROM orders WHERE id = %u", n < 3 ? n : 3);
            (void)sp_sql_cache_judge(cache, it->judge, &context, 1, sp_buf_borrow(&text),
                                     by_itself != 0, &known);
            assert_int_equal(known != NULL, by_itself != 0 && n > 3);
        }
        sp_sql_cache_free(cache);
    }
}

/* One large text after the other: the bound holds, and what somebody holds stays. */
static void test_bounded(void **state)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    sp_sql_cache *cache = NULL;
    assert_false(sp_failed(sp_sql_cache_new(7, &cache)));
    sp_sql_known *held = NULL;
    size_t most = 0;
    auto_buf sp_buf text = sp_buf_make(2 * SP_SQL_KNOWN_TEXT_BYTES);
    for (unsigned i = 0; i < 1200; i++) {
        sp_buf_reset(&text);
        sp_buf_fmt(&text, "SELECT note FROM orders WHERE id IN (%u", i);
        size_t long_text = i % 7 == 0 ? SP_SQL_KNOWN_TEXT_BYTES : SP_SQL_KNOWN_TEXT_BYTES - 8;
        while (text.len < long_text) {
            sp_buf_text(&text, ",1");
        }
        sp_buf_text(&text, ")");
        for (unsigned again = 0; again < 2; again++) {
            sp_sql_known *known = NULL;
            (void)sp_sql_cache_judge(cache, it->judge, &context, 1, sp_buf_borrow(&text), true,
                                     &known);
            assert_true((known != NULL) == (again > 0 && i % 7 != 0));
            if (held == NULL && known != NULL) {
                held = known;
            } else {
                sp_sql_known_unref(known);
            }
        }
        most = sp_sql_cache_bytes(cache) > most ? sp_sql_cache_bytes(cache) : most;
    }
    assert_true(most <= SP_SQL_CACHE_BYTES && most > SP_SQL_CACHE_BYTES / 2);
    assert_true(sp_span_starts(held->text, SP_SPAN_LIT("SELECT note FROM orders WHERE id IN (1,")));
    sp_sql_known_unref(held);
    sp_sql_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_as_anew, office_set_up, office_tear_down),
        cmocka_unit_test_setup_teardown(test_another_version, office_set_up, office_tear_down),
        cmocka_unit_test(test_alike),
        cmocka_unit_test_setup_teardown(test_shown, office_set_up, office_tear_down),
        cmocka_unit_test_setup_teardown(test_shared, office_set_up, office_tear_down),
        cmocka_unit_test_setup_teardown(test_beside, office_set_up, office_tear_down),
        cmocka_unit_test_setup_teardown(test_bounded, office_set_up, office_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
