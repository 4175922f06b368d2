/* SPDX-License-Identifier: Apache-2.0
 * Tests of examples whose `try` is a statement, by the judge that the database gate has.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/uses.h.
 */
#include "lib/sql/uses.h"
#include "tests/unit/policy/help.h"

static const char DOCUMENTS[] =
    "{kind: Role, name: dba}\n---\n"
    "kind: Resource\nname: orders-db\noperator: company\nclass: internal\npostgres:\n"
    "  address: db\n  databases: orders\n  accounts: [{ any: true, as: x }]\n"
    "  functions: [{ name: public.total, action: read }]\n"
    "  parts: [{ table: public.customers, class: core }, { schema: audit, class: core }]\n---\n"
    "{kind: Rule, name: r, who: {any: true}, to: {classes: [internal]}, may: [read, write, "
    "destroy, "
    "alter, execute, export, administer]}\n";

static sp_decision decide(const char *statement)
{
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    sp_policy_file file = {"t.yaml", sp_span_cstr(DOCUMENTS)};
    sp_policy_input input = {
        .files = &file, .files_count = 1, .people_open = true, .sql = sp_sql_policy_uses};
    sp_policy_told told;
    assert_ok(sp_policy_compile(&input, &diags, &set));
    sp_policy_ask ask = {.resource = SP_SPAN_LIT("orders-db"), .tried = sp_span_cstr(statement)};
    assert_ok(sp_policy_ask_words(set, &ask, &diags, &told));
    return told.decision;
}

static void statements_are_judged_as_the_gate_does(void **state)
{
    (void)state;
    static const struct {
        const char *statement;
        sp_verdict verdict;
        sp_reason reason;
    } CASES[] = {
        {"SELECT * FROM orders", SP_VERDICT_ALLOW, SP_REASON_RULE},
        {"SELECT public.total(1)", SP_VERDICT_ALLOW, SP_REASON_RULE},
        {"DROP TABLE orders", SP_VERDICT_ALLOW, SP_REASON_RULE},
        {"DROP TABLE customers", SP_VERDICT_DENY, SP_REASON_DEFAULT},
        {"DELETE FROM orders USING customers", SP_VERDICT_DENY, SP_REASON_DEFAULT},
        {"WITH x AS (DELETE FROM public.customers RETURNING 1) SELECT 1", SP_VERDICT_DENY,
         SP_REASON_DEFAULT},
        {"EXPLAIN ANALYZE DELETE FROM audit.log", SP_VERDICT_DENY, SP_REASON_DEFAULT},
        {"DROP DATABASE orders", SP_VERDICT_DENY, SP_REASON_DEFAULT},
        {"DROP SCHEMA audit CASCADE", SP_VERDICT_DENY, SP_REASON_DEFAULT},
        {"DO $$ BEGIN NULL; END $$", SP_VERDICT_DENY, SP_REASON_DEFAULT},
        {"SELEC 1", SP_VERDICT_DENY, SP_REASON_UNPARSED},
        {"COPY orders TO PROGRAM 'sh'", SP_VERDICT_DENY, SP_REASON_UNPARSED},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        sp_decision d = decide(CASES[i].statement);
        if (d.verdict != CASES[i].verdict || d.reason != CASES[i].reason) {
            print_message("%s: %s, %s\n", CASES[i].statement, sp_verdict_word(d.verdict),
                          sp_reason_word(d.reason));
        }
        assert_int_equal(d.verdict, CASES[i].verdict);
        assert_int_equal(d.reason, CASES[i].reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_are_judged_as_the_gate_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
