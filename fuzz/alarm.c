/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing the alarm: keys and output in turns; a confidence has a reason, and judging a line again
 * changes nothing.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/alarm/alarm.h.
 */
#include "lib/alarm/alarm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(sp_alarm a)
{
    if (a.confidence > 100 || (a.confidence > 0) != (a.reason != NULL)) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sp_alarm_judge *judge;
    static sp_alarm_term term;
    if ((judge == NULL && sp_failed(sp_alarm_judge_new(&judge))) || size == 0) {
        return 0;
    }
    sp_span rest = sp_span_of(data + 1, size - 1);
    sp_alarm first = sp_alarm_line(judge, NULL, rest);
    (void)sp_alarm_reads_commands(rest);
    sp_alarm second = sp_alarm_line(judge, NULL, rest);
    check(first);
    if (first.confidence != second.confidence) {
        __builtin_trap();
    }
    sp_alarm_term_init(&term, data[0]);
    sp_span piece;
    for (bool typed = true; sp_span_split(&rest, 0xff, &piece); typed = !typed) {
        check(typed ? sp_alarm_typed(&term, judge, piece) : sp_alarm_printed(&term, judge, piece));
        if (term.cells_len > SP_ALARM_CELLS || term.at > SP_ALARM_CELLS ||
            term.typed_at > term.typed_len || term.typed_len > SP_ALARM_TYPED) {
            __builtin_trap();
        }
    }
    return 0;
}
