/* SPDX-License-Identifier: Apache-2.0
 * Figures of judging SQL: parse, walk and write-up of a text, in nanoseconds; the best of five
 * rounds. OWNS nothing. PROCESS bench. TRUST none. SPEC lib/sql/judge.h.
 *
 * Prints "name value bound ok|short" a line.
 */
#include "lib/sql/masking.h"
#include "lib/sql/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 100, TURNS = 2000 };

static double now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void report(const char *name, double value, double bound)
{
    printf("%s %.0f %.0f %s\n", name, value, bound, value <= bound ? "ok" : "short");
}

static double best_judge(sp_sql_judge *judge, sp_span text)
{
    const sp_sql_context context = {.catalogue = NULL};
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (int turn = 0; turn < TURNS; turn++) {
            if (sp_sql_judge_text(judge, &context, text)->fault != SP_SQL_FINE) {
                abort();
            }
        }
        double each = (now_ns() - begin) / TURNS;
        best = each < best ? each : best;
    }
    return best;
}

static double best_redact(sp_span text)
{
    double best = 1e18;
    auto_buf sp_buf out = sp_buf_make(4096);
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns();
        for (int turn = 0; turn < TURNS; turn++) {
            sp_buf_reset(&out);
            sp_sql_redact(text, false, 2048, &out);
        }
        double each = (now_ns() - begin) / TURNS;
        best = each < best ? each : best;
    }
    return best;
}

int main(void)
{
    static const sp_span select = {
        (const uint8_t *)"SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", 56};
    static const sp_span update = {
        (const uint8_t *)"UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 12345;",
        71};
    sp_sql_judge *judge = NULL;
    if (sp_failed(sp_sql_judge_new(&judge))) {
        return 1;
    }
    report("judge_select_1_ns", best_judge(judge, SP_SPAN_LIT("SELECT 1")), 600);
    report("judge_pgbench_select_ns", best_judge(judge, select), 1200);
    report("judge_pgbench_update_ns", best_judge(judge, update), 1500);
    report("redact_pgbench_select_ns", best_redact(select), 500);
    sp_sql_judge_free(judge);
    return 0;
}
