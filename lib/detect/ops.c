/* SPDX-License-Identifier: Apache-2.0
 * The operators: what each keeps of a key in its words, and when it speaks. Words may hold anything
 * (they come back from disk): nothing in them is an index that is not bounded here.
 * OWNS nothing. PROCESS watch, cli. TRUST events are hostile. SPEC docs/DETECTIONS.md.
 */
#include "lib/detect/parts.h"

#include <math.h>

enum { BUCKETS = 32, NOVEL_VALUES = 32, MILLI = 1000, RATE_WINDOWS_MIN = 5 };
#define HOUR_US (UINT64_C(3600) * 1000000)

uint32_t detect_op_words(const sp_detect_rule *rule)
{
    switch ((sp_detect_op)rule->op) {
    case SP_DETECT_COUNT:
        return rule->at_least == 1 ? 0 : 1 + BUCKETS;
    case SP_DETECT_SUM:
        return 1 + BUCKETS;
    case SP_DETECT_DISTINCT:
        return 2 * (uint32_t)rule->at_least;
    case SP_DETECT_SEQUENCE:
        return 2 * (rule->matches.count - 1);
    case SP_DETECT_NOVEL:
        return 1 + 2 * NOVEL_VALUES;
    case SP_DETECT_RATE:
        return 4;
    case SP_DETECT_TRAVEL:
        return 3;
    case SP_DETECT_ABSENT:
        return 1;
    case SP_DETECT_CHANGES:
        return 1 + BUCKETS + 2;
    case SP_DETECT_OP_COUNT:
        break;
    }
    return 0;
}

/* ---- count, sum: [0] the newest step, then a ring of steps ---- */

static uint64_t step_us(const sp_detect_rule *rule)
{
    return rule->within_us / (BUCKETS - 1) + 1;
}

/* Adds to the step of that time; UINT64_MAX: it is older than the window. */
static uint64_t ring_add(const sp_detect_rule *rule, uint64_t *words, uint64_t when_us,
                         uint64_t amount)
{
    uint64_t *ring = words + 1;
    uint64_t now = when_us / step_us(rule);
    if (now > words[0]) {
        uint64_t passed = now - words[0] > BUCKETS ? BUCKETS : now - words[0];
        for (uint64_t i = 0; i < passed; i++) {
            ring[(now - i) % BUCKETS] = 0;
        }
        words[0] = now;
    } else if (words[0] - now >= BUCKETS) {
        return UINT64_MAX;
    }
    uint64_t *step = &ring[now % BUCKETS];
    *step = __builtin_add_overflow(*step, amount, step) ? UINT64_MAX / BUCKETS : *step;
    uint64_t total = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        total = __builtin_add_overflow(total, ring[i], &total) ? UINT64_MAX - 1 : total;
    }
    return total;
}

static bool op_total(passing *p, const sp_detect_rule *rule, uint64_t *words, uint64_t amount,
                     uint64_t *ret_count)
{
    *ret_count = 1;
    if (rule->op == SP_DETECT_COUNT && rule->at_least == 1) {
        return true;
    }
    uint64_t total = ring_add(rule, words, p->when_us, amount);
    if (total == UINT64_MAX) {
        p->engine->stats.late++;
        return false;
    }
    *ret_count = total;
    return total >= rule->at_least;
}

/* ---- changes: as count, then the value seen last, of IPv4 and of everything else: a computer that
 * speaks both ways at once changes nothing ---- */

static bool op_changes(passing *p, const sp_detect_rule *rule, uint64_t *words, uint64_t *ret_count)
{
    sp_span value = detect_field(p->event, (sp_detect_field)rule->of, p->place);
    bool has_two = rule->of == SP_DETECT_PEER || rule->of == SP_DETECT_NETWORK;
    if (value.len == 0) {
        return false;
    }
    uint64_t *last = words + 1 + BUCKETS + (has_two && detect_is_v4(p->event) ? 1 : 0);
    uint64_t hash = detect_hash(p->engine, value, rule->of) | 1;
    bool changed = *last != 0 && *last != hash;
    *last = hash;
    return changed && op_total(p, rule, words, 1, ret_count);
}

/* ---- distinct: pairs of a value's hash and when it was last seen ---- */

static bool op_distinct(passing *p, const sp_detect_rule *rule, uint64_t *words,
                        uint64_t *ret_count)
{
    sp_span value = detect_field(p->event, (sp_detect_field)rule->of, p->place);
    if (value.len == 0) {
        return false;
    }
    uint64_t hash = detect_hash(p->engine, value, rule->of) | 1; /* 0 = an empty pair */
    uint64_t *free_pair = NULL;
    uint64_t live = 0;
    bool known = false;
    for (uint64_t i = 0; i < rule->at_least; i++) {
        uint64_t *pair = words + 2 * i;
        bool old = pair[1] + rule->within_us < p->when_us;
        if (pair[0] == hash && !known) {
            pair[1] = p->when_us > pair[1] ? p->when_us : pair[1];
            known = true;
            live++;
        } else if (pair[0] == 0 || old || pair[0] == hash) {
            pair[0] = 0;
            free_pair = free_pair == NULL ? pair : free_pair;
        } else {
            live++;
        }
    }
    if (!known && free_pair != NULL) {
        free_pair[0] = hash;
        free_pair[1] = p->when_us;
        live++;
    }
    *ret_count = live;
    return live >= rule->at_least;
}

/* ---- sequence: for each step but the last, when the latest run that came so far began, and at
 * which gate that step was ---- */

static bool op_sequence(passing *p, const sp_detect_rule *rule, uint64_t *words,
                        uint64_t *ret_count)
{
    const sp_detect_match *steps = &p->engine->program.matches[rule->matches.at];
    uint32_t last = rule->matches.count - 1;
    bool spoke = false;
    for (uint32_t k = last + 1; k-- > 0;) { /* from the end: an event is one step of a run */
        if (!detect_match(&p->engine->program, &steps[k], p->event)) {
            continue;
        }
        uint64_t began = p->when_us;
        if (k > 0) {
            const uint64_t *before = words + 2 * (k - 1);
            bool elsewhere =
                (steps[k].flags & SP_DETECT_ELSEWHERE) == 0 || before[1] != p->event->gate;
            began = before[0];
            if (began == 0 || !elsewhere || began > p->when_us ||
                p->when_us - began > rule->within_us) {
                continue;
            }
        }
        if (k == last) {
            sp_set(words, 0, (size_t)2 * last * sizeof(*words));
            *ret_count = rule->matches.count;
            spoke = true;
            break;
        }
        if (began >= words[2 * k]) {
            words[2 * k] = began;
            words[2 * k + 1] = p->event->gate;
        }
    }
    return spoke;
}

/* ---- novel: [0] when it began to learn, then pairs of a value's hash and when it was last seen;
 * the one not seen for longest gives way ---- */

static bool op_novel(passing *p, const sp_detect_rule *rule, uint64_t *words, uint64_t *ret_count)
{
    sp_span value = detect_field(p->event, (sp_detect_field)rule->of, p->place);
    if (value.len == 0) {
        return false;
    }
    words[0] = words[0] == 0 ? p->when_us : words[0];
    uint64_t hash = detect_hash(p->engine, value, rule->of) | 1;
    uint64_t *oldest = words + 1;
    for (size_t i = 0; i < NOVEL_VALUES; i++) {
        uint64_t *pair = words + 1 + 2 * i;
        if (pair[0] == hash) {
            pair[1] = p->when_us > pair[1] ? p->when_us : pair[1];
            return false;
        }
        oldest = pair[1] < oldest[1] ? pair : oldest;
    }
    oldest[0] = hash;
    oldest[1] = p->when_us;
    *ret_count = 1;
    return p->when_us >= words[0] && p->when_us - words[0] >= rule->learn_us &&
           p->when_us != words[0];
}

/* ---- rate: [0] the running window, [1] events in it, [2] their mean in windows that had any, in
 * thousandths, [3] such windows ---- */

static bool op_rate(passing *p, const sp_detect_rule *rule, uint64_t *words, uint64_t *ret_count)
{
    uint64_t window = p->when_us / rule->within_us + 1; /* 0 = none yet */
    if (window < words[0]) {
        p->engine->stats.late++;
        return false;
    }
    if (window > words[0]) {
        if (words[1] > 0) {
            uint64_t weight = rule->learn_us / rule->within_us;
            weight = words[3] + 1 < weight ? words[3] + 1 : weight;
            weight = weight == 0 ? 1 : weight;
            int64_t step = ((int64_t)(words[1] * MILLI) - (int64_t)words[2]) / (int64_t)weight;
            words[2] = (uint64_t)((int64_t)words[2] + step);
            words[3]++;
        }
        words[0] = window;
        words[1] = 0;
    }
    words[1] = words[1] < UINT32_MAX ? words[1] + 1 : words[1];
    *ret_count = words[1];
    return words[3] >= RATE_WINDOWS_MIN && words[1] >= rule->at_least &&
           words[2] <= (uint64_t)UINT32_MAX * MILLI && words[1] * MILLI > words[2] * rule->times;
}

/* ---- travel: [0] latitude and [1] longitude in millionths, offset to be positive, [2] when ----
 */

static double radians(uint64_t word, double offset)
{
    return ((double)word / 1e6 - offset) * M_PI / 180.0;
}

/* Kilometres over the sphere (haversine). */
static double distance_km(const uint64_t *a, const uint64_t *b)
{
    double latitude_a = radians(a[0], 90.0);
    double latitude_b = radians(b[0], 90.0);
    double half = sin((latitude_b - latitude_a) / 2);
    double turn = sin((radians(b[1], 180.0) - radians(a[1], 180.0)) / 2);
    double h = half * half + cos(latitude_a) * cos(latitude_b) * turn * turn;
    return 2 * 6371.0 * asin(sqrt(h < 0 ? 0 : (h > 1 ? 1 : h)));
}

static bool op_travel(passing *p, const sp_detect_rule *rule, uint64_t *words, uint64_t *ret_count)
{
    enum { NEAR_KM = 100, LEAST_HOURS_PART = 60 };
    if (p->place == NULL || p->when_us < words[2]) {
        return false;
    }
    const uint64_t here[3] = {(uint64_t)((p->place->latitude + 90.0) * 1e6),
                              (uint64_t)((p->place->longitude + 180.0) * 1e6), p->when_us};
    double km = words[2] == 0 ? 0 : distance_km(words, here);
    double hours = (double)(p->when_us - words[2]) / (double)HOUR_US;
    hours = hours < 1.0 / LEAST_HOURS_PART ? 1.0 / LEAST_HOURS_PART : hours;
    sp_copy(words, here, sizeof(here));
    *ret_count = (uint64_t)(km / hours);
    return km > NEAR_KM && km / hours > (double)rule->at_least;
}

/* ---- absent: [0] how long it has stayed away; ABSENT_SAID: that was told ---- */

bool detect_op_absent(const sp_detect_rule *rule, uint64_t *words, uint64_t passed_us,
                      bool may_speak)
{
    if (words[0] == ABSENT_SAID) {
        return false;
    }
    uint64_t away_us = 0;
    if (__builtin_add_overflow(words[0], passed_us, &away_us) || away_us >= ABSENT_SAID) {
        away_us = ABSENT_SAID - 1;
    }
    bool speaks = may_speak && away_us > rule->within_us;
    words[0] = speaks ? ABSENT_SAID : away_us;
    return speaks;
}

bool detect_op(passing *p, running *r, uint64_t *slot, uint64_t *ret_count)
{
    uint64_t *words = slot + r->area;
    switch ((sp_detect_op)r->rule->op) {
    case SP_DETECT_COUNT:
        return op_total(p, r->rule, words, 1, ret_count);
    case SP_DETECT_SUM:
        return op_total(p, r->rule, words, p->event->bytes_out, ret_count);
    case SP_DETECT_DISTINCT:
        return op_distinct(p, r->rule, words, ret_count);
    case SP_DETECT_SEQUENCE:
        return op_sequence(p, r->rule, words, ret_count);
    case SP_DETECT_NOVEL:
        return op_novel(p, r->rule, words, ret_count);
    case SP_DETECT_RATE:
        return op_rate(p, r->rule, words, ret_count);
    case SP_DETECT_TRAVEL:
        return op_travel(p, r->rule, words, ret_count);
    case SP_DETECT_CHANGES:
        return op_changes(p, r->rule, words, ret_count);
    case SP_DETECT_ABSENT:
        words[0] = 0; /* it is back: no time has passed since */
        return false;
    case SP_DETECT_OP_COUNT:
        break;
    }
    return false;
}

void detect_op_rewind(const sp_detect_rule *rule, uint64_t *words, uint64_t now_us)
{
    switch ((sp_detect_op)rule->op) {
    case SP_DETECT_COUNT:
    case SP_DETECT_SUM:
    case SP_DETECT_DISTINCT:
    case SP_DETECT_SEQUENCE:
    case SP_DETECT_TRAVEL:
    case SP_DETECT_CHANGES:
        sp_set(words, 0, detect_op_words(rule) * sizeof(*words));
        return;
    case SP_DETECT_RATE:
        words[0] = 0;
        words[1] = 0;
        return;
    case SP_DETECT_NOVEL: /* what it has learned stays */
        words[0] = words[0] > now_us ? now_us : words[0];
        return;
    case SP_DETECT_ABSENT:
    case SP_DETECT_OP_COUNT:
        return;
    }
}

/* ---- the clock was set ---- */

void detect_move(uint64_t *at, int64_t by)
{
    uint64_t far = by < 0 ? 0 - (uint64_t)by : (uint64_t)by;
    if (*at == 0) {
        return; /* never */
    }
    if (by < 0) {
        *at = *at > far ? *at - far : 1;
    } else if (__builtin_add_overflow(*at, far, at)) {
        *at = UINT64_MAX;
    }
}

/* Which step a count is in follows from its number, so all of them move. */
static void ring_move(const sp_detect_rule *rule, uint64_t *words, int64_t by_us)
{
    uint64_t old[BUCKETS];
    uint64_t was = words[0];
    sp_copy(old, words + 1, sizeof(old));
    detect_move(&words[0], by_us / (int64_t)step_us(rule));
    for (uint64_t i = 0; i < BUCKETS; i++) {
        words[1 + (words[0] - i) % BUCKETS] = old[(was - i) % BUCKETS];
    }
}

static void pairs_move(uint64_t *pairs, uint64_t count, int64_t by_us)
{
    for (uint64_t i = 0; i < count; i++) {
        detect_move(&pairs[2 * i + 1], by_us);
    }
}

void detect_op_move(const sp_detect_rule *rule, uint64_t *words, int64_t by_us)
{
    switch ((sp_detect_op)rule->op) {
    case SP_DETECT_COUNT:
        if (rule->at_least > 1) {
            ring_move(rule, words, by_us);
        }
        return;
    case SP_DETECT_SUM:
    case SP_DETECT_CHANGES:
        ring_move(rule, words, by_us);
        return;
    case SP_DETECT_DISTINCT:
        pairs_move(words, rule->at_least, by_us);
        return;
    case SP_DETECT_SEQUENCE:
        for (uint32_t i = 0; i + 1 < rule->matches.count; i++) {
            detect_move(&words[2 * i], by_us);
        }
        return;
    case SP_DETECT_NOVEL:
        detect_move(&words[0], by_us);
        pairs_move(words + 1, NOVEL_VALUES, by_us);
        return;
    case SP_DETECT_RATE:
        detect_move(&words[0], by_us / (int64_t)rule->within_us);
        return;
    case SP_DETECT_TRAVEL:
        detect_move(&words[2], by_us);
        return;
    case SP_DETECT_ABSENT: /* counts time that passed */
    case SP_DETECT_OP_COUNT:
        return;
    }
}
