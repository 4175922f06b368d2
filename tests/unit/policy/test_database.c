/* SPDX-License-Identifier: Apache-2.0
 * Tests of databases in the policy: where they are, as whom, parts and masks, whole ones, budgets,
 * limits a day, statements in examples; and each mistake told where it stands.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/policy/database.h, docs/POLICY.md.
 */
#include "tests/unit/policy/help.h"

#include <stdio.h>

/* clang-format off */
#define ROLES "{kind: Role, name: dba}\n---\n{kind: Role, name: analyst}\n---\n"
#define ORDERS \
    "kind: Resource\n" \
    "name: orders-db\n" \
    "operator: company\n" \
    "class: internal\n" \
    "web: { host: orders, upstream: \"http://127.0.0.1:1\", parts: [{ path: /x, class: core }] }\n" \
    "postgres:\n" \
    "  address: \"[::1]:5433\"\n" \
    "  tls: loopback\n" \
    "  databases: [orders, archive]\n" \
    "  search_path: [app, public]\n" \
    "  accounts: [{ roles: [dba], as: op_dba }, { people: [ann], as: op_ann },\n" \
    "             { roles: [analyst], as: op_read }]\n" \
    "  keep_as: op_keep\n" \
    "  functions: [{ name: public.order_total, action: read }]\n" \
    "  parts:\n" \
    "    - table: public.customers\n" \
    "      class: sensitive\n" \
    "      tags: [personal-info]\n" \
    "      columns:\n" \
    "        - { name: phone, mask: mobile }\n" \
    "        - { name: card, class: core, tags: [money], mask: bank-card }\n" \
    "    - { table: public.letters, tags: [personal-info], mask: hash }\n" \
    "    - { table: \"public.*\", class: internal }\n" \
    "    - { table: \"*.secrets\", class: core }\n" \
    "    - { schema: audit, class: core }\n" \
    "    - { schema: audit, database: archive, class: public }\n"
/* clang-format on */

static const sp_policy *view_of(const sp_policy_set *set, uint32_t *ret_resource)
{
    const sp_policy *view = sp_policy_set_view(set);
    *ret_resource = sp_policy_resource_find(view, SP_SPAN_LIT("orders-db"));
    return view;
}

static sp_database_part part_of(const sp_policy_set *set, const char *database, const char *schema,
                                const char *relation, const char *column)
{
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    return sp_policy_database_part(view, at, sp_span_cstr(database), sp_span_cstr(schema),
                                   sp_span_cstr(relation), sp_span_cstr(column));
}

static void by_certificate(void **state)
{
    (void)state;
    static const char DOC[] =
        ROLES "kind: Resource\nname: orders-db\noperator: company\nclass: internal\n"
              "postgres:\n  address: db.internal\n  databases: [orders]\n"
              "  accounts: [{ any: true, as: op }]\n  broad: destroy\n%s";
    for (int by = 0; by < 2; by++) {
        char text[2000];
        snprintf(text, sizeof(text), DOC, by == 1 ? "  sign_in: certificate\n" : "");
        auto_policy_set sp_policy_set *set = help_set(text);
        uint32_t at = 0;
        const sp_policy *view = view_of(set, &at);
        sp_database_resource d;
        assert_true(sp_policy_database_resource(view, at, &d));
        assert_int_equal(d.by_certificate, by);
        assert_true(d.broad_destroys);
    }
}

static void what_a_large_answer_is(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t rows;
        uint64_t bytes;
    } cases[] = {{"", 10000, 16 << 20},
                 {"  export: { over: { rows: 5 } }\n", 5, 64 << 10},
                 {"  export: { over: { rows: 1000 } }\n", 1000, 1000 << 10},
                 {"  export: { over: { rows: 100000 } }\n", 100000, 16 << 20},
                 {"  export: { over: { bytes: 2 KiB } }\n", 10000, 2048},
                 {"  export: { over: { rows: 7, bytes: 1 B } }\n", 7, 1}};
    static const char DOC[] =
        ROLES "kind: Resource\nname: orders-db\noperator: company\nclass: internal\n"
              "postgres:\n  address: db.internal\n  databases: [orders]\n"
              "  accounts: [{ any: true, as: op }]\n%s";
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        char text[2000];
        snprintf(text, sizeof(text), DOC, cases[i].text);
        auto_policy_set sp_policy_set *set = help_set(text);
        uint32_t at = 0;
        uint64_t rows = 0;
        uint64_t bytes = 0;
        const sp_policy *view = view_of(set, &at);
        assert_true(sp_policy_database_export_over(view, at, &rows, &bytes));
        assert_int_equal(rows, cases[i].rows);
        assert_int_equal(bytes, cases[i].bytes);
        assert_false(sp_policy_database_export_over(view, SP_NONE, &rows, &bytes));
    }
}

static void where_and_as_whom(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ROLES ORDERS);
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_database_resource d;
    assert_true(sp_policy_database_resource(view, at, &d));
    assert_span_text(d.host, "::1");
    assert_int_equal(d.port, 5433);
    assert_int_equal(d.tls, SP_DATABASE_TLS_LOOPBACK);
    assert_span_text(d.keep_as, "op_keep");
    assert_int_equal(d.databases, 2);
    assert_span_text(sp_policy_database_schema(view, at, 0), "app");
    assert_span_text(sp_policy_database_schema(view, at, 2), "");
    assert_span_text(sp_policy_database_reached(view, at, SP_SPAN_EMPTY), "orders");
    assert_span_text(sp_policy_database_reached(view, at, SP_SPAN_LIT("archive")), "archive");
    assert_span_text(sp_policy_database_reached(view, at, SP_SPAN_LIT("postgres")), "");

    sp_policy_role dba;
    sp_policy_role analyst;
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("dba"), &dba));
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("analyst"), &analyst));
    sp_subject who = {.person = 1000};
    assert_span_text(sp_policy_database_account(view, at, &who), "");
    who.roles[analyst.number / 64] |= UINT64_C(1) << (analyst.number % 64);
    assert_span_text(sp_policy_database_account(view, at, &who), "op_read");
    who.roles[dba.number / 64] |= UINT64_C(1) << (dba.number % 64);
    assert_span_text(sp_policy_database_account(view, at, &who), "op_dba"); /* the first */
    who.person = 0;
    assert_span_text(sp_policy_database_account(view, at, &who), ""); /* nobody */
    sp_subject ann = {.person = 1}; /* the only person that is named */
    assert_span_text(sp_policy_database_account(view, at, &ann), "op_ann");

    sp_action action = SP_ACTION_DESTROY;
    assert_true(sp_policy_database_function(view, at, SP_SPAN_LIT("public"),
                                            SP_SPAN_LIT("order_total"), &action));
    assert_int_equal(action, SP_ACTION_READ);
    assert_false(sp_policy_database_function(view, at, SP_SPAN_LIT("app"),
                                             SP_SPAN_LIT("order_total"), &action));
}

static void the_most_specific_part_wins(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ROLES ORDERS);
    enum { PUBLIC, INTERNAL, SENSITIVE, CORE };
    sp_database_part table = part_of(set, "orders", "public", "customers", "");
    sp_database_part phone = part_of(set, "orders", "public", "customers", "phone");
    sp_database_part card = part_of(set, "orders", "public", "customers", "card");
    sp_database_part name = part_of(set, "orders", "public", "customers", "name");
    assert_int_equal(table.class_level, CORE); /* its gravest column */
    assert_int_equal(__builtin_popcountll(table.tags), 2);
    assert_int_equal(phone.class_level, SENSITIVE);
    assert_int_equal(phone.mask, SP_MASK_MOBILE);
    assert_int_equal(card.class_level, CORE);
    assert_int_equal(card.mask, SP_MASK_BANK_CARD);
    assert_true((card.tags & phone.tags) == 0 && card.tags != 0 && phone.tags != 0);
    assert_true((phone.tags | card.tags) == table.tags);
    assert_int_equal(name.class_level, SENSITIVE);
    assert_true(name.tags == 0); /* not listed: it carries none */
    assert_int_equal(name.part, table.part);

    sp_database_part body = part_of(set, "orders", "public", "letters", "body");
    assert_true(body.tags == phone.tags); /* no list: all carry them */
    assert_int_equal(body.mask, SP_MASK_HASH);
    assert_int_equal(part_of(set, "orders", "public", "orders", "").class_level, INTERNAL);
    assert_int_equal(part_of(set, "orders", "public", "secrets", "").class_level, CORE);
    assert_int_equal(part_of(set, "orders", "audit", "log", "").class_level, CORE);
    assert_int_equal(part_of(set, "archive", "audit", "log", "").class_level, PUBLIC);
    sp_database_part other = part_of(set, "orders", "app", "orders", "");
    assert_true(other.part == SP_NONE && other.class_level == INTERNAL);
    assert_int_equal(part_of(set, "orders", "Public", "customers", "").part, SP_NONE);

    /* paths of the web know nothing of tables */
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_web_place place =
        sp_policy_web_place(view, at, SP_SPAN_LIT("GET"), SP_SPAN_LIT("/public.letters"));
    assert_int_equal(place.part, SP_NONE);
    place = sp_policy_web_place(view, at, SP_SPAN_LIT("GET"), SP_SPAN_LIT("/x/y"));
    assert_true(place.part != SP_NONE);
}

/* Rows that were kept and put beside as plain tables: whoever may do all else may do nothing there,
 * until the schema has its own entry. */
static void kept_rows_are_closed_until_they_are_named(void **state)
{
    (void)state;
    static const char ANY[] =
        "---\n{kind: Rule, name: all, who: {any: true}, to: {any: true}, may: "
        "[read, write, export, alter, destroy]}\n";
    static const char SCHEMA[] = "sallyport_kept_7f3k9q2mxa4t";
    for (int named = 0; named < 2; named++) {
        char text[6000];
        snprintf(text, sizeof(text), ROLES ORDERS "%s%s",
                 named == 1 ? "    - { schema: sallyport_kept_7f3k9q2mxa4t, class: core }\n" : "",
                 ANY);
        auto_policy_set sp_policy_set *set = help_set(text);
        uint32_t at = 0;
        const sp_policy *view = view_of(set, &at);
        sp_subject who = {.person = 9};
        const char *const relations[] = {"public.customers",
                                         "secrets"}; /* "*.secrets" is another */
        for (size_t i = 0; i < SP_COUNT(relations); i++) {
            bool open = named == 1 && i == 0;
            sp_database_part part = part_of(set, "orders", SCHEMA, relations[i], "phone");
            assert_int_equal(part.part == SP_PART_CLOSED, !open);
            for (int action = 0; action < SP_ACTION_COUNT; action++) {
                sp_question q = {&who,       at,   part.part,  (sp_action)action,
                                 1770000000, NULL, SP_FACE_ANY};
                sp_decision said = sp_policy_decide(view, &q);
                bool may = open && (action == SP_ACTION_READ || action == SP_ACTION_WRITE ||
                                    action == SP_ACTION_EXPORT || action == SP_ACTION_ALTER ||
                                    action == SP_ACTION_DESTROY);
                assert_int_equal(said.verdict == SP_VERDICT_ALLOW, may);
                assert_true(may || said.reason == SP_REASON_DEFAULT);
            }
        }
        assert_int_equal(part_of(set, "orders", "sallyport_other", "x", "").part, SP_NONE);
        sp_question q = {&who, at, SP_NONE, SP_ACTION_DESTROY, 1770000000, NULL, SP_FACE_ANY};
        assert_int_equal(
            sp_policy_database_whole(view, &q, SP_SPAN_LIT("orders"), sp_span_cstr(SCHEMA)).verdict,
            SP_VERDICT_ALLOW); /* DROP SCHEMA is what it is elsewhere */
        static const char *const tags[] = {"", ", tags: [personal-info]"};
        for (size_t i = 0; i < SP_COUNT(tags); i++) {
            snprintf(text, sizeof(text), ROLES ORDERS "    - { schema: %s%s }\n", SCHEMA, tags[i]);
            assert_int_equal(help_warns(text, "what was masked is shown in clear"), i == 0);
        }
    }
}

static void a_whole_database_is_its_gravest_part(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        ROLES ORDERS
        "---\n"
        "{kind: Rule, name: drop, who: {any: true}, to: {classes: [public, internal]}, may: "
        "[destroy]}\n---\n"
        "{kind: Rule, name: two, who: {any: true}, to: {classes: [core]}, may: [destroy], ask: "
        "{approved_by: 2}}\n---\n"
        "{kind: Rule, name: one, who: {any: true}, to: {classes: [sensitive]}, may: [destroy], "
        "ask: "
        "{approved_by: 1}}\n---\n"
        "{kind: Rule, name: read, who: {any: true}, to: {any: true}, may: [read], with: {limit: "
        "{rows: 90}}}\n---\n"
        "{kind: Rule, name: few, who: {any: true}, to: {classes: [core]}, may: [read], with: "
        "{limit: {rows: 5, per: day}}}\n");
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_subject who = {.person = 9};
    sp_question q = {&who, at, SP_NONE, SP_ACTION_DESTROY, 1770000000, NULL, SP_FACE_ANY};
    assert_int_equal(sp_policy_decide(view, &q).verdict, SP_VERDICT_ALLOW); /* internal alone */
    sp_decision all = sp_policy_database_whole(view, &q, SP_SPAN_LIT("orders"), SP_SPAN_EMPTY);
    assert_int_equal(all.verdict, SP_VERDICT_ASK);
    assert_int_equal(all.approvals, 2);
    assert_int_equal(all.class_level, 3);
    sp_decision app = sp_policy_database_whole(view, &q, SP_SPAN_LIT("orders"), SP_SPAN_LIT("app"));
    assert_int_equal(app.approvals, 2); /* app.secrets may be there */
    q.action = SP_ACTION_READ;
    all = sp_policy_database_whole(view, &q, SP_SPAN_EMPTY, SP_SPAN_EMPTY);
    assert_int_equal(all.verdict, SP_VERDICT_ALLOW);
    assert_true(all.limit_rows == 90 && all.day_rows == 5); /* of whichever part */
    q.action = SP_ACTION_EXPORT;
    all = sp_policy_database_whole(view, &q, SP_SPAN_LIT("orders"), SP_SPAN_EMPTY);
    assert_int_equal(all.verdict, SP_VERDICT_DENY);
}

/* DROP SCHEMA ... CASCADE, DO: one use, for which two rules ask. */
static void a_whole_database_is_for_the_people_of_each_rule(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        ROLES ORDERS "---\n{kind: Rule, name: rows, who: {any: true}, to: {classes: [internal]}, "
                     "may: [destroy], ask: {approved_by: 2, by: {roles: [dba]}}}\n"
                     "---\n{kind: Rule, name: dear, who: {any: true}, to: {classes: [core]}, "
                     "may: [destroy], ask: {approved_by: 1, by: {roles: [analyst]}}}\n");
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_subject who = {.person = 9};
    sp_question q = {&who, at, SP_NONE, SP_ACTION_DESTROY, 1770000000, NULL, SP_FACE_ANY};
    assert_int_equal(sp_policy_decide(view, &q).asks_count, 1);
    sp_decision all = sp_policy_database_whole(view, &q, SP_SPAN_LIT("orders"), SP_SPAN_EMPTY);
    assert_true(all.verdict == SP_VERDICT_ASK && all.approvals == 2 && all.class_level == 3);
    assert_true(all.asks_count == 2 && all.asks[0] == all.rule && all.asks[1] != all.rule);
}

static void destruction_that_cannot_be_undone_is_told(void **state)
{
    (void)state;
    static const char BARE[] =
        "kind: Resource\nname: orders-db\noperator: company\nclass: internal\n"
        "postgres:\n  address: db.internal\n  databases: [orders]\n"
        "  accounts: [{ any: true, as: op }]\n%s"
        "---\n{kind: Rule, name: r, who: {any: true}, to: {classes: [%s]}, may: [%s]%s}\n";
    static const struct {
        const char *keep, *class, *may, *ask;
        bool told;
    } CASES[] = {
        {"", "internal", "destroy", ", ask: {approved_by: 1}", true},
        {"  keep_as: op_keep\n", "internal", "destroy", ", ask: {approved_by: 1}", false},
        {"", "core", "destroy", ", ask: {approved_by: 1}", false}, /* it meets nothing of it */
        {"", "internal", "read", ", ask: {approved_by: 1}", false},
        {"", "internal", "destroy", "", false},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        char text[2000];
        snprintf(text, sizeof(text), BARE, CASES[i].keep, CASES[i].class, CASES[i].may,
                 CASES[i].ask);
        assert_int_equal(help_warns(text, "cannot be undone"), CASES[i].told);
    }
}

static void budgets_are_about_some(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        ROLES ORDERS "---\n"
                     "{kind: Budget, name: slow, who: {roles: [dba]}, actions: [destroy, alter], "
                     "resources: [orders-db], per: 10m, statements: 5, rows: 1000}\n---\n"
                     "{kind: Budget, name: exports, who: {any: true}, actions: [export], per: 1d, "
                     "rows: 7, then: deny}\n");
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_policy_role dba;
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("dba"), &dba));
    sp_subject who = {.person = 9};
    sp_policy_budget b;
    assert_int_equal(sp_policy_budget_count(view), 2);
    assert_false(sp_policy_budget_of(view, 0, &who, 1U << SP_ACTION_DESTROY, at, &b));
    assert_true(sp_policy_budget_of(view, 1, &who, 1U << SP_ACTION_EXPORT, at, &b));
    assert_int_equal(b.then, SP_BUDGET_DENY);
    assert_true(b.statements == 0 && b.rows == 7 && b.period_s == 86400);
    who.roles[dba.number / 64] |= UINT64_C(1) << (dba.number % 64);
    assert_true(sp_policy_budget_of(view, 0, &who, 1U << SP_ACTION_ALTER, at, &b));
    assert_span_text(b.name, "slow");
    assert_true(b.then == SP_BUDGET_LOCK && b.statements == 5 && b.rows == 1000);
    assert_false(sp_policy_budget_of(view, 0, &who, 1U << SP_ACTION_READ, at, &b));
    assert_false(sp_policy_budget_of(view, 0, &who, 1U << SP_ACTION_ALTER, at + 1, &b));
    assert_false(sp_policy_budget_of(view, 2, &who, 1U << SP_ACTION_ALTER, at, &b));
    assert_true(sp_policy_budget_any(view, &who, 1U << SP_ACTION_DESTROY, at));
    assert_false(sp_policy_budget_any(view, &who, 1U << SP_ACTION_WRITE, at));
    /* of several actions any counts, whichever is graver */
    assert_true(
        sp_policy_budget_any(view, &who, 1U << SP_ACTION_EXECUTE | 1U << SP_ACTION_ALTER, at));
    assert_false(sp_policy_budget_any(view, &who, 0, at));
}

static void limits_a_day_are_their_own(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set(ROLES ORDERS
                 "---\n{kind: Rule, name: a, who: {any: true}, to: {any: true}, may: [read], with: "
                 "{limit: {rows: 100, bytes: 1 MiB}}}\n"
                 "---\n{kind: Rule, name: b, who: {any: true}, to: {any: true}, may: [read], with: "
                 "{limit: {rows: 5000, per: day}}}\n");
    uint32_t at = 0;
    const sp_policy *view = view_of(set, &at);
    sp_subject who = {.person = 9};
    sp_question q = {&who, at, SP_NONE, SP_ACTION_READ, 1770000000, NULL, SP_FACE_ANY};
    sp_decision d = sp_policy_decide(view, &q);
    assert_true(d.limit_rows == 100 && d.limit_bytes == 1 << 20);
    assert_true(d.day_rows == 5000 && d.day_bytes == 0);
    assert_true((d.must & SP_MUST_LIMIT) != 0);
}

/* ---- statements in examples ---- */

/* Stands in for the judge of SQL: it knows four statements. */
static sp_err fake_sql(void *ctx, const sp_policy_statement *asked,
                       sp_policy_use uses[SP_POLICY_USES_MAX], size_t *ret_count, sp_buf *room)
{
    (void)ctx;
    (void)room;
    sp_span statement = asked->text;
    *ret_count = 0;
    if (sp_span_eq(statement, SP_SPAN_LIT("DROP DATABASE orders"))) {
        uses[(*ret_count)++] = (sp_policy_use){.action = SP_ACTION_DESTROY, .whole = true};
    } else if (sp_span_eq(statement, SP_SPAN_LIT("DROP TABLE orders"))) {
        uses[(*ret_count)++] = (sp_policy_use){.action = SP_ACTION_DESTROY,
                                               .schema = SP_SPAN_LIT("public"),
                                               .relation = SP_SPAN_LIT("orders")};
    } else if (sp_span_eq(statement, SP_SPAN_LIT("DROP TABLE kept"))) {
        uses[(*ret_count)++] = (sp_policy_use){.action = SP_ACTION_DESTROY,
                                               .schema = SP_SPAN_LIT("sallyport_kept_1"),
                                               .relation = SP_SPAN_LIT("public.orders")};
    } else if (sp_span_eq(statement, SP_SPAN_LIT("DELETE FROM a USING customers"))) {
        uses[(*ret_count)++] =
            (sp_policy_use){.action = SP_ACTION_DESTROY, .relation = SP_SPAN_LIT("a")};
        uses[(*ret_count)++] = (sp_policy_use){.action = SP_ACTION_DESTROY,
                                               .schema = SP_SPAN_LIT("public"),
                                               .relation = SP_SPAN_LIT("customers")};
    } else {
        return sp_fail(SP_EUNSUPPORTED);
    }
    return sp_ok();
}

static sp_err compile_with_sql(const char *text, sp_diags *diags, sp_policy_set **ret_set)
{
    sp_policy_file file = {"t.yaml", sp_span_cstr(text)};
    sp_policy_input input = {.files = &file,
                             .files_count = 1,
                             .people_open = true,
                             .now_unix_s = 1770000000,
                             .sql = fake_sql};
    return sp_policy_compile(&input, diags, ret_set);
}

#define EXAMPLE(sql, rest)                                                                         \
    "---\nkind: Example\nname: e " sql "\ngiven: {resource: orders-db, person: bob}\n"             \
    "try: " sql "\n" rest "\n"
#define RULES                                                                                      \
    "---\n{kind: Rule, name: drop, who: {any: true}, to: {classes: [internal]}, may: [destroy]}\n"

static void examples_take_statements(void **state)
{
    (void)state;
    static const char GOOD[] = ROLES ORDERS RULES EXAMPLE("DROP TABLE orders", "expect: allow")
        EXAMPLE("DROP DATABASE orders", "expect: deny\nreason: no-rule")
            EXAMPLE("DROP TABLE kept", "expect: deny\nreason: no-rule")
                EXAMPLE("DELETE FROM a USING customers", "expect: deny")
                    EXAMPLE("DO x", "expect: deny\nreason: unparsed");
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    assert_ok(compile_with_sql(GOOD, &diags, &set));
    assert_int_equal(sp_policy_set_figures(set).examples, 5);
    static const char BAD[] = ROLES ORDERS RULES EXAMPLE("DROP DATABASE orders", "expect: allow");
    auto_policy_set sp_policy_set *none = NULL;
    assert_fails(compile_with_sql(BAD, &diags, &none), SP_EINVALID);
    help_refused(GOOD, 0, "nobody here can read SQL");

    sp_policy_ask ask = {.resource = SP_SPAN_LIT("orders-db"),
                         .part = SP_SPAN_LIT("archive:audit.log"),
                         .tried = SP_SPAN_LIT("read")};
    sp_policy_told told;
    assert_ok(sp_policy_ask_words(set, &ask, &diags, &told));
    assert_int_equal(told.decision.class_level, 0);
    ask.part = SP_SPAN_LIT("public.customers.name");
    assert_ok(sp_policy_ask_words(set, &ask, &diags, &told));
    assert_int_equal(told.decision.class_level, 2);
    ask.part = SP_SPAN_LIT("sallyport_kept_1.x");
    assert_ok(sp_policy_ask_words(set, &ask, &diags, &told));
    assert_true(told.decision.verdict == SP_VERDICT_DENY && told.question.part == SP_NONE);
    ask.part = SP_SPAN_LIT("nowhere:audit.log");
    assert_fails(sp_policy_ask_words(set, &ask, &diags, &told), SP_ENOTFOUND);
}

/* ---- mistakes ---- */

#define DB(rest)                                                                                   \
    "kind: Resource\nname: d\noperator: company\nclass: core\npostgres:\n"                         \
    "  databases: x\n  accounts: [{ any: true, as: a }]\n" rest

static void mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *words;
    } WRONG[] = {
        {DB(""), 6, "postgres needs 'address'"},
        {DB("  address: http://x\n"), 8, "an address is a host and a port"},
        {DB("  address: db:0\n"), 8, "an address is a host and a port"},
        {DB("  address: db:5432\n  tls: loopback\n"), 8, "for loopback addresses only"},
        {DB("  address: 127.1.2.3\n  tls: plain\n"), 9, "one of verify-full, verify-ca, require"},
        {DB("  address: db\n  ca: certs.pem\n"), 9, "an absolute path"},
        {DB("  address: 127.0.0.1\n  tls: loopback\n  sign_in: certificate\n"), 6,
         "needs 'tls: verify"},
        {DB("  address: db\n  tls: require\n  sign_in: certificate\n"), 6, "needs 'tls: verify"},
        {DB("  address: db\n  sign_in: key\n"), 9, "one of password, certificate"},
        {DB("  address: db\n  keep_as: a/b\n"), 9, "no '/' in its name"},
        {DB("  address: db\n  search_path: [a, a]\n"), 9, "stands there twice"},
        {DB("  address: db\n  functions: [{ name: f, action: read }]\n"), 9, "a schema, a dot"},
        {DB("  address: db\n  parts: [{ class: core }]\n"), 9, "either a table or a schema"},
        {DB("  address: db\n  parts: [{ table: a.b, schema: a }]\n"), 9, "either a table or"},
        {DB("  address: db\n  parts: [{ table: customers }]\n"), 9, "as in public.customers"},
        {DB("  address: db\n  parts: [{ table: a.b, class: cor }]\n"), 9, "did you mean 'core'"},
        {DB("  address: db\n  parts: [{ schema: a, database: y }]\n"), 9, "is not among the"},
        {DB("  address: db\n  parts: [{ table: a.b }, { table: a.b }]\n"), 6, "two parts for"},
        {DB("  address: db\n  parts: [{ schema: a }, { table: \"a.*\" }]\n"), 6, "two parts for"},
        {DB("  address: db\n  parts: [{ schema: a, columns: [{ name: c }] }]\n"), 9,
         "of one table"},
        {DB("  address: db\n  parts: [{ table: a.b, columns: [{ name: c, mask: full }] }]\n"), 9,
         "a mask without a tag"},
        {DB("  address: db\n  parts: [{ table: a.b, mask: null }]\n"), 9, "a mask without a tag"},
        {DB("  address: db\n  parts: [{ table: a.b, mask: stars }]\n"), 9, "one of full, mobile"},
        {DB("  address: db\n  parts:\n  - table: a.b\n    columns: [{ name: c }, { name: c }]\n"),
         11, "stands there twice"},
        {"kind: Budget\nname: b\nwho: {any: true}\nactions: destroy\nper: 1m\n", 1, "counts"},
        {"kind: Budget\nname: b\nwho: {roles: x}\nactions: destroy\nper: 1m\nrows: 1\n", 3,
         "unknown role 'x'"},
        {"kind: Budget\nname: b\nwho: {any: true}\nactions: destroy\nper: 1m\nrows: 0\n", 6,
         "out of range"},
        {"kind: Budget\nname: b\nwho: {any: true}\nactions: destroy\nresources: [q]\nper: 1m\n"
         "rows: 1\n",
         5, "unknown resource 'q'"},
    };
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        help_refused(WRONG[i].text, WRONG[i].line, WRONG[i].words);
    }
    help_refused("{kind: Resource, name: d, operator: company, class: core, postgres: {address: "
                 "db, databases: x, accounts: [{as: a}]}}\n",
                 1, "name roles or people");
}

/* A never holds over columns as over anything: a rule that names the resource is told. */
static void nevers_hold_over_columns(void **state)
{
    (void)state;
    help_refused(ROLES ORDERS
                 "---\n{kind: Rule, name: r, who: {any: true}, to: {resources: [orders-db], tags: "
                 "[money]}, may: [export]}\n"
                 "---\n{kind: Never, name: n, tags: [money], classes: [core], actions: [export]}\n",
                 0, "breaks never");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_large_answer_is),
        cmocka_unit_test(where_and_as_whom),
        cmocka_unit_test(by_certificate),
        cmocka_unit_test(the_most_specific_part_wins),
        cmocka_unit_test(kept_rows_are_closed_until_they_are_named),
        cmocka_unit_test(a_whole_database_is_its_gravest_part),
        cmocka_unit_test(a_whole_database_is_for_the_people_of_each_rule),
        cmocka_unit_test(destruction_that_cannot_be_undone_is_told),
        cmocka_unit_test(budgets_are_about_some),
        cmocka_unit_test(limits_a_day_are_their_own),
        cmocka_unit_test(examples_take_statements),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(nevers_hold_over_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
