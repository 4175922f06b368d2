/* SPDX-License-Identifier: Apache-2.0
 * What the tests of detections share: an engine made of documents, and the alarms it told.
 * OWNS see each. PROCESS tests. TRUST none. SPEC docs/DETECTIONS.md.
 */
#ifndef SP_TESTS_DETECT_HELP_H
#define SP_TESTS_DETECT_HELP_H

#include "lib/detect/engine.h"
#include "tests/unit/cm.h"
#include "tests/unit/policy/help.h"

#define MINUTE UINT64_C(60000000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START (UINT64_C(1800000000) * 1000000)

enum { TOLD_MAX = 4096 };

typedef struct {
    sp_detect_engine *engine;
    uint64_t entry;
    size_t count;
    sp_hash ids[TOLD_MAX];
    uint64_t at_us[TOLD_MAX];
    char detection[64];
    char keys[SP_ALARM_KEYS_MAX_BYTES + 1];
    uint64_t number;
    uint64_t evidence;
    uint32_t person;
    uint8_t severity;
} told;

static inline void help_alarm(void *self, const sp_alarm *alarm)
{
    told *t = self;
    if (t->count < TOLD_MAX) {
        t->ids[t->count] = alarm->id;
        t->at_us[t->count] = alarm->last_unix_us;
    }
    t->count++;
    t->number = alarm->count;
    t->evidence = alarm->evidence_count;
    t->severity = alarm->severity;
    t->person = alarm->person;
    assert_ok(sp_fit(t->detection, sizeof(t->detection), alarm->detection));
    assert_ok(sp_fit(t->keys, sizeof(t->keys), alarm->keys));
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_alarm again;
    sp_alarm_write(alarm, &body);
    assert_ok(sp_alarm_read(sp_buf_borrow(&body), &again));
}

/* 10.1.x.x is Singapore, 10.2.x.x London, others are nowhere. */
static inline bool help_place(void *self, const uint8_t peer[16], sp_detect_place *ret_place)
{
    (void)self;
    if (peer[12] != 10 || peer[13] == 0 || peer[13] > 2) {
        return false;
    }
    *ret_place =
        peer[13] == 1 ? (sp_detect_place){1.35, 103.8, "SG"} : (sp_detect_place){51.5, -0.1, "GB"};
    return true;
}

/* An engine of the documents of the text, or of the built-in ones when it is NULL; the office's
 * own take all built-in ones' place away. */
static inline void help_engine(const char *text, uint64_t memory_max, told *t)
{
    static const uint8_t seed[SP_DETECT_SEED_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    auto_policy_set sp_policy_set *set = help_set(text == NULL ? "" : text);
    const sp_detect_calls calls = {help_alarm, help_place, t};
    assert_ok(
        sp_detect_engine_new(sp_policy_set_detections(set), seed, memory_max, &calls, &t->engine));
}

static inline void help_event(told *t, const sp_event *event)
{
    sp_detect_engine_event(t->engine, event, t->entry++, 0, UINT64_MAX / 2);
}

/* Alarms of one detection alone. */
static inline uint64_t help_alarms(const told *t, const char *name)
{
    const sp_detect_program *p = sp_detect_engine_program(t->engine);
    for (size_t i = 0; i < p->rules_count; i++) {
        if (sp_span_eq(p->rules[i].name, sp_span_cstr(name))) {
            return sp_detect_engine_rule_stats(t->engine, i).alarms;
        }
    }
    fail_msg("no detection %s", name);
    return 0;
}

#endif
