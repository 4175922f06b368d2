/* SPDX-License-Identifier: Apache-2.0
 * Helpers of the policy tests.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC tests/unit/policy/help.h.
 */
#include "tests/unit/policy/help.h"

#include <stdio.h>

sp_err help_zone(void *ctx, sp_span name, sp_zone *ret_zone)
{
    (void)ctx;
    if (!sp_span_eq(name, SP_SPAN_LIT("Test/Summer"))) {
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_zone =
        (sp_zone){3, {{INT64_MIN, 0}, {INT64_C(1774746000), 3600}, {INT64_C(1792890000), 0}}};
    return sp_ok();
}

sp_err help_compile(const char *text, sp_diags *diags, sp_policy_set **ret_set)
{
    static const sp_policy_number ROLES[] = {
        {{(const uint8_t *)"system-admin", 12}, 1},
        {{(const uint8_t *)"security-admin", 14}, 2},
        {{(const uint8_t *)"audit-admin", 11}, 3},
    };
    sp_policy_file file = {"t.yaml", sp_span_cstr(text)};
    sp_policy_input input = {.files = &file,
                             .files_count = 1,
                             .roles = ROLES,
                             .roles_count = 3,
                             .people_open = true,
                             .version = 9,
                             .now_unix_s = 1770000000,
                             .zone = help_zone};
    return sp_policy_compile(&input, diags, ret_set);
}

static void print(const sp_diags *diags)
{
    auto_buf sp_buf text = sp_buf_make((size_t)1 << 20);
    sp_diags_print(diags, &text);
    print_message("%.*s", (int)text.len, (const char *)text.ptr);
}

sp_policy_set *help_set(const char *text)
{
    auto_diags sp_diags diags = {0};
    sp_policy_set *set = NULL;
    sp_err err = help_compile(text, &diags, &set);
    if (sp_failed(err)) {
        print(&diags);
    }
    assert_ok(err);
    return set;
}

static bool holds(const sp_diags *diags, unsigned line, const char *words)
{
    for (size_t i = 0; i < diags->count; i++) {
        sp_span said = sp_span_cstr(diags->items[i].text);
        if ((line == 0 || diags->items[i].line == line) &&
            sp_span_find(said, sp_span_cstr(words)) != said.len) {
            return true;
        }
    }
    return false;
}

void help_refused(const char *text, unsigned line, const char *words)
{
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    sp_err err = help_compile(text, &diags, &set);
    bool told = holds(&diags, line, words);
    if (!told) {
        print_message("expected line %u: %s; got:\n", line, words);
        print(&diags);
    }
    assert_fails(err, SP_EINVALID);
    assert_true(set == NULL && diags.errors > 0);
    assert_true(told);
}

bool help_warns(const char *text, const char *words)
{
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    sp_err err = help_compile(text, &diags, &set);
    if (sp_failed(err)) {
        print(&diags);
    }
    assert_ok(err);
    return holds(&diags, 0, words);
}
