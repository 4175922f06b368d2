/* SPDX-License-Identifier: Apache-2.0
 * What the files of the engine share. Private to lib/detect.
 * OWNS nothing. PROCESS watch, cli. TRUST see each. SPEC lib/detect/engine.h.
 */
#ifndef SP_DETECT_PARTS_H
#define SP_DETECT_PARTS_H

#include "lib/detect/engine.h"
#include "lib/detect/table.h"

/* A detection as it runs. */
typedef struct {
    const sp_detect_rule *rule;
    table slots;
    uint32_t evidence; /* pieces that a slot holds */
    uint32_t area;     /* index of the operator's first word in a slot */
    bool needs_place;
    uint64_t matched;
    uint64_t alarms;
} running;

enum { DETECT_EVIDENCE_MAX = 8, DETECT_EVIDENCE_WORDS = 3 };

struct sp_detect_engine {
    sp_detect_program program;
    running *rules;
    uint16_t *by_kind[SP_EVENT_KIND_COUNT]; /* indices of rules that may take such an event */
    uint16_t by_kind_count[SP_EVENT_KIND_COUNT];
    uint64_t seed[2];
    uint64_t room; /* bytes that may still be allocated */
    sp_detect_calls calls;
    uint8_t mode;       /* sp_alarm_mode */
    uint64_t latest_us; /* of all events */
    sp_detect_stats stats;
};

/* One event on its way through the rules. */
typedef struct {
    sp_detect_engine *engine;
    const sp_event *event;
    uint64_t when_us; /* its time, bounded by the clock */
    uint64_t entry;
    uint16_t at;
    bool has_asked_place;
    const sp_detect_place *place; /* NULL: not known */
    sp_detect_place place_room;
    uint32_t keyed; /* the fields that key is of; 0 = none yet */
    table_key key;
} passing;

bool detect_match(const sp_detect_program *program, const sp_detect_match *match,
                  const sp_event *event);
/* The bytes that tell one value from another; empty: the event has none. */
sp_span detect_field(const sp_event *event, sp_detect_field field, const sp_detect_place *place);
void detect_field_text(const sp_event *event, sp_detect_field field, const sp_detect_place *place,
                       sp_buf *out);
bool detect_is_v4(const sp_event *event);
/* The text as valid UTF-8 without control bytes. */
void detect_clean(sp_span text, size_t max_bytes, sp_buf *out);

/* How many words an operator keeps in a slot. */
uint32_t detect_op_words(const sp_detect_rule *rule);
/* The operator over its words; true: it speaks, of *ret_count. */
bool detect_op(passing *p, running *r, uint64_t *slot, uint64_t *ret_count);
/* The clock was set: moves the times that the words hold. */
void detect_op_move(const sp_detect_rule *rule, uint64_t *words, int64_t by_us);
/* A time by so much; 0, which is never, stays. */
void detect_move(uint64_t *at, int64_t by);
/* Of ABSENT: so much time has passed; true: it speaks, once. */
#define ABSENT_SAID UINT64_MAX /* the word of what is absent: it was told */
bool detect_op_absent(const sp_detect_rule *rule, uint64_t *words, uint64_t passed_us,
                      bool may_speak);
/* Drops what the words hold of times after now. */
void detect_op_rewind(const sp_detect_rule *rule, uint64_t *words, uint64_t now_us);
uint64_t detect_hash(const sp_detect_engine *engine, sp_span text, uint64_t more);

#endif
