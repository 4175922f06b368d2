/* SPDX-License-Identifier: Apache-2.0
 * Figures of the policy: a decision among 100k sessions, 10k people, 1k resources and 1k rules;
 * compiling and proving 10k rules with 50 nevers; 100k rules.
 * OWNS nothing. PROCESS bench. TRUST none. SPEC README.md "Figures".
 *
 * Prints "name value bound ok|short" a line. Every decision is timed by itself, the cost of
 * reading the clock taken off; sessions and questions come in random order, so that their cache
 * misses count.
 */
#include "lib/policy/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SESSIONS = 100000,
    PEOPLE = 10000,
    RESOURCES = 1000,
    ROLES = 40,
    DECISIONS = 2000000,
    NEVERS = 50,
    TEXT_MAX_BYTES = 64 << 20
};

static uint64_t dice_state = 88172645463325252U;

static uint32_t dice(uint32_t sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (uint32_t)(dice_state >> 20) % sides;
}

static uint64_t now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000U + (uint64_t)at.tv_nsec;
}

static void report(const char *name, double value, double bound)
{
    printf("%s %.3f %.3f %s\n", name, value, bound, value <= bound ? "ok" : "short");
    fflush(stdout);
}

/* ---- an office ---- */

static void put_roles(sp_buf *out)
{
    for (unsigned i = 0; i < ROLES; i++) {
        sp_buf_fmt(out, "kind: Role\nname: role-%u\n%s---\n", i,
                   i > 0 ? "includes: [role-0]\n" : "");
    }
}

static void put_resources(sp_buf *out)
{
    static const char *const CLASSES[] = {"public", "internal", "sensitive", "core"};
    for (unsigned i = 0; i < RESOURCES; i++) {
        sp_buf_fmt(out,
                   "kind: Resource\nname: app-%u\noperator: company\nclass: %s\nweb:\n  host: "
                   "app-%u\n  upstream: http://10.0.0.1:%u\n  parts:\n    - { path: /admin, class: "
                   "sensitive, tags: [personal-info] }\n    - { path: /static, class: public }\n"
                   "---\n",
                   i, CLASSES[dice(4)], i, 1024 + i);
    }
}

static void put_rule(sp_buf *out, unsigned i)
{
    static const char *const DAILY[] = {"connect, read", "connect, read, write", "write, import",
                                        "read, write, execute"};
    sp_buf_fmt(out, "kind: Rule\nname: rule %u\nwho: { roles: [role-%u, role-%u] }\n", i,
               1 + dice(ROLES - 1), 1 + dice(ROLES - 1));
    bool company = dice(2) == 0;
    sp_buf_text(out, company ? "on: { owner: company, posture: healthy }\n"
                             : "on: { owner: [personal, company] }\n");
    if (dice(2) == 0) {
        sp_buf_fmt(out, "to: { resources: [app-%u, app-%u] }\n", dice(RESOURCES), dice(RESOURCES));
    } else {
        sp_buf_text(out, dice(2) == 0 ? "to: { classes: [public, internal] }\n"
                                      : "to: { classes: [internal, sensitive] }\n");
    }
    sp_buf_fmt(out, "may: [%s%s]\n", DAILY[dice(4)], company ? ", export" : "");
    sp_buf_fmt(out, "when: { mfa: %s%s }\n", dice(2) == 0 ? "totp" : "passkey",
               dice(5) == 0 ? ", hours: \"08:00-21:00\"" : "");
    sp_buf_text(out, dice(3) == 0 ? "with: { record: true }\n---\n" : "---\n");
}

static void put_nevers(sp_buf *out)
{
    for (unsigned i = 0; i < NEVERS; i++) {
        sp_buf_fmt(out, "kind: Never\nname: never %u\nwho: { roles: [role-%u, role-%u] }\n", i,
                   i % ROLES, (i * 7 + 3) % ROLES);
        sp_buf_text(out, i % 2 == 0 ? "actions: [export]\nunless: { owner: company, mfa: totp }\n"
                                    : "actions: [alter, destroy, administer, forward]\nunless: { "
                                      "approved_by: 2 }\n");
        sp_buf_text(out, "---\n");
    }
}

static sp_policy_set *compile(unsigned rules, double *ret_seconds)
{
    auto_buf sp_buf text = sp_buf_make(TEXT_MAX_BYTES);
    put_roles(&text);
    put_resources(&text);
    for (unsigned i = 0; i < rules; i++) {
        put_rule(&text, i);
    }
    put_nevers(&text);
    sp_policy_file file = {"bench.yaml", sp_buf_borrow(&text)};
    sp_policy_input input = {
        .files = &file, .files_count = 1, .version = 1, .now_unix_s = 1770000000};
    auto_diags sp_diags diags = {0};
    sp_policy_set *set = NULL;
    uint64_t begin = now_ns();
    sp_err err = sp_policy_compile(&input, &diags, &set);
    *ret_seconds = (double)(now_ns() - begin) / 1e9;
    if (sp_failed(err)) {
        auto_buf sp_buf told = sp_buf_make(TEXT_MAX_BYTES);
        sp_diags_print(&diags, &told);
        fprintf(stderr, "%.*s%s\n", (int)told.len, (const char *)told.ptr, sp_code_word(err.code));
        exit(1);
    }
    return set;
}

/* ---- decisions ---- */

static sp_subject *make_sessions(void)
{
    sp_subject *sessions = NULL;
    if (sp_failed(sp_alloc(SESSIONS, sizeof(*sessions), &sessions))) {
        exit(1);
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        sp_subject *s = &sessions[i];
        s->person = 1 + dice(PEOPLE);
        for (unsigned k = 0; k < 3; k++) {
            s->roles[0] |= UINT64_C(1) << (4 + dice(ROLES));
        }
        s->owner = (uint8_t)dice(SP_OWNER_COUNT);
        s->posture = (uint8_t)dice(SP_POSTURE_COUNT);
        s->strength = (uint8_t)(1 + dice(SP_STRENGTH_COUNT - 1));
    }
    return sessions;
}

static int compare(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a;
    uint32_t other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

static uint32_t clock_cost_ns(void)
{
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t begin = now_ns();
        uint64_t took = now_ns() - begin;
        least = took < least ? (uint32_t)took : least;
    }
    return least;
}

static void bench_decisions(const sp_policy_set *set, unsigned rules, double bound_us)
{
    const sp_policy *policy = sp_policy_set_view(set);
    sp_subject *sessions = make_sessions();
    uint32_t *took = NULL;
    if (sp_failed(sp_alloc(DECISIONS, sizeof(*took), &took))) {
        exit(1);
    }
    uint32_t clock = clock_cost_ns();
    uint64_t counts[SP_VERDICT_COUNT] = {0};
    for (unsigned i = 0; i < DECISIONS; i++) {
        sp_question q = {&sessions[dice(SESSIONS)],
                         dice(RESOURCES),
                         SP_NONE,
                         (sp_action)dice(SP_ACTION_COUNT),
                         1770000000,
                         NULL,
                         SP_FACE_ANY};
        uint64_t begin = now_ns();
        sp_decision d = sp_policy_decide(policy, &q);
        uint64_t end = now_ns() - begin;
        took[i] = end > clock ? (uint32_t)(end - clock) : 0;
        counts[d.verdict]++;
    }
    qsort(took, DECISIONS, sizeof(*took), compare);
    char name[64];
    snprintf(name, sizeof(name), "policy_decide_%uk_rules_median_us", rules / 1000);
    report(name, took[DECISIONS / 2] / 1000.0, bound_us);
    fprintf(stderr, "# of %d decisions %.1f %% allowed; p99 %.3f us; snapshot %zu KiB\n", DECISIONS,
            100.0 * (double)counts[SP_VERDICT_ALLOW] / DECISIONS,
            took[DECISIONS / 100 * 99] / 1000.0, sp_policy_set_snapshot(set).len / 1024);
    sp_free(took);
    sp_free(sessions);
}

int main(void)
{
    double seconds = 0;
    sp_policy_set *set = compile(1000, &seconds);
    bench_decisions(set, 1000, 0.5);
    sp_policy_set_free(set);
    set = compile(10000, &seconds);
    report("policy_compile_prove_10k_rules_s", seconds, 2.0);
    bench_decisions(set, 10000, 5.0);
    sp_policy_set_free(set);
    set = compile(100000, &seconds);
    report("policy_compile_prove_100k_rules_s", seconds, 20.0);
    sp_policy_set_free(set);
    return 0;
}
