/* SPDX-License-Identifier: Apache-2.0
 * What the tests of the policy room share: compiling a text, and a brute-force evaluator.
 * OWNS see each. PROCESS tests. TRUST none. SPEC docs/POLICY.md.
 */
#ifndef SP_TESTS_POLICY_HELP_H
#define SP_TESTS_POLICY_HELP_H

#include "tests/unit/cm.h"

#include "lib/policy/compile.h"

/* Zone "Test/Summer": UTC+1 from 2026-03-29T01:00Z, back to UTC at 2026-10-25T01:00Z. */
sp_err help_zone(void *ctx, sp_span name, sp_zone *ret_zone);
/* Compiles one file "t.yaml"; the result of sp_policy_compile. */
sp_err help_compile(const char *text, sp_diags *diags, sp_policy_set **ret_set);
/* Compiles what must compile; prints the diagnostics when it does not. */
sp_policy_set *help_set(const char *text);
/* The text must be refused with a diagnostic at that line that holds the words. */
void help_refused(const char *text, unsigned line, const char *words);
bool help_warns(const char *text, const char *words);

#endif
