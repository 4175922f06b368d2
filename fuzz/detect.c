/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: a program of detections and its state. The first byte chooses: what is read as a program is
 * written as the same bytes, and runs; what is read as a state of one fixed program runs on.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/detect/engine.h.
 */
#include "lib/detect/engine.h"

#include <stdlib.h>

static const uint8_t SEED[SP_DETECT_SEED_BYTES] = {1};

static void ignore_alarm(void *self, const sp_alarm *alarm)
{
    (void)self;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_alarm again;
    sp_alarm_write(alarm, &body);
    if (sp_failed(sp_alarm_read(sp_buf_borrow(&body), &again))) {
        abort();
    }
}

static void run(sp_detect_engine *engine)
{
    for (uint32_t i = 0; i < 200; i++) {
        sp_event event = {.when_unix_us = UINT64_C(1800000000000000) + i * UINT64_C(1000000),
                          .kind = (uint8_t)(i % SP_EVENT_KIND_COUNT),
                          .verdict = (uint8_t)(i % SP_VERDICT_COUNT),
                          .gate = (uint8_t)(i % SP_GATE_COUNT),
                          .person = i % 3,
                          .session = i % 5,
                          .device = i % 7,
                          .bytes_out = i,
                          .peer = {1, (uint8_t)i},
                          .person_name = SP_SPAN_LIT("p"),
                          .object = SP_SPAN_LIT("/a/b\xFF"),
                          .resource = SP_SPAN_LIT("wiki")};
        sp_detect_engine_event(engine, &event, i, 0, UINT64_MAX / 2);
    }
    sp_detect_engine_jump(engine, INT64_C(3600000000));
    sp_detect_engine_jump(engine, INT64_MIN);
    sp_detect_engine_tick(engine, UINT64_C(1900000000000000), UINT64_C(100000000000000), true);
    auto_buf sp_buf state = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    sp_detect_engine_save(engine, &state);
}

static sp_detect_engine *engine_of(sp_span program)
{
    const sp_detect_calls calls = {.alarm = ignore_alarm};
    sp_detect_engine *engine = NULL;
    sp_err err = sp_detect_engine_new(program, SEED, 4 << 20, &calls, &engine);
    return sp_failed(err) ? NULL : engine;
}

static void any_program(sp_span bytes)
{
    auto_detect_program sp_detect_program program = {0};
    auto_buf sp_buf again = sp_buf_make(SP_DETECT_PROGRAM_MAX_BYTES);
    if (sp_failed(sp_detect_program_read(bytes, &program))) {
        return;
    }
    sp_detect_program_write(&program, &again);
    if (!sp_span_eq(sp_buf_borrow(&again), bytes)) {
        abort();
    }
    auto_detect_engine sp_detect_engine *engine = engine_of(bytes);
    if (engine != NULL) {
        run(engine);
    }
}

/* One detection of each operator. */
static void any_state(sp_span bytes)
{
    sp_detect_match matches[2] = {{.schedule = SP_NONE}, {.schedule = SP_NONE}};
    sp_detect_rule rules[SP_DETECT_OP_COUNT] = {0};
    for (unsigned i = 0; i < SP_DETECT_OP_COUNT; i++) {
        rules[i] = (sp_detect_rule){.name = SP_SPAN_LIT("abcdefgh"),
                                    .at_least = 2,
                                    .times = 2,
                                    .within_us = 10000000,
                                    .keys_max = 100,
                                    .by = 1U << SP_DETECT_SESSION,
                                    .matches = {0, 2},
                                    .op = (uint8_t)i,
                                    .of = SP_DETECT_DEVICE};
        rules[i].name.len = i + 1;
    }
    const sp_detect_program program = {
        .rules = rules, .rules_count = SP_DETECT_OP_COUNT, .matches = matches, .matches_count = 2};
    auto_buf sp_buf text = sp_buf_make(SP_DETECT_PROGRAM_MAX_BYTES);
    sp_detect_program_write(&program, &text);
    auto_detect_engine sp_detect_engine *engine = engine_of(sp_buf_borrow(&text));
    if (engine == NULL) {
        abort();
    }
    SP_IGNORE(sp_detect_engine_load(engine, bytes)); /* a refused one leaves it as it was */
    run(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] % 2 == 0) {
        any_program(sp_span_of(data + 1, size - 1));
    } else if (size > 0) {
        any_state(sp_span_of(data + 1, size - 1));
    }
    return 0;
}
