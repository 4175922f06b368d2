/* SPDX-License-Identifier: Apache-2.0
 * Events through the rules: keys, slots, evidence, alarms.
 * OWNS the engine. PROCESS watch, cli. TRUST events are hostile; the program was checked.
 * SPEC lib/detect/engine.h.
 */
#include "lib/detect/parts.h"

#define MINUTES_US(n) (UINT64_C(60) * 1000000 * (n))
#define AHEAD_US MINUTES_US(10) /* of the clock, at most */
enum { NAMES = 4 };

/* ---- making ---- */

static uint32_t evidence_of(const sp_detect_rule *rule)
{
    uint64_t want = 1;
    if (rule->op == SP_DETECT_SEQUENCE) {
        want = rule->matches.count;
    } else if (rule->op == SP_DETECT_COUNT || rule->op == SP_DETECT_DISTINCT) {
        want = rule->at_least;
    } else if (rule->op == SP_DETECT_SUM || rule->op == SP_DETECT_RATE) {
        want = DETECT_EVIDENCE_MAX;
    }
    return want > DETECT_EVIDENCE_MAX ? DETECT_EVIDENCE_MAX : (uint32_t)want;
}

static uint32_t kinds_of(const sp_detect_engine *engine, const sp_detect_rule *rule)
{
    uint32_t all = (1U << SP_EVENT_KIND_COUNT) - 1;
    uint32_t kinds = 0;
    for (uint32_t i = 0; i < rule->matches.count; i++) {
        uint32_t some = engine->program.matches[rule->matches.at + i].kinds;
        kinds |= some == 0 ? all : some;
    }
    return kinds & all;
}

/* How long after its last event a key counts. */
static uint64_t keep_of(const sp_detect_rule *rule)
{
    bool learns = rule->op == SP_DETECT_NOVEL || rule->op == SP_DETECT_RATE;
    return learns && rule->learn_us > rule->within_us ? rule->learn_us : rule->within_us;
}

static running running_of(const sp_detect_rule *rule)
{
    const uint32_t country = 1U << SP_DETECT_COUNTRY;
    bool asks = rule->op == SP_DETECT_DISTINCT || rule->op == SP_DETECT_NOVEL ||
                rule->op == SP_DETECT_CHANGES;
    running r = {.rule = rule, .evidence = evidence_of(rule)};
    r.area = SLOT_HEAD + r.evidence * DETECT_EVIDENCE_WORDS;
    r.needs_place = rule->op == SP_DETECT_TRAVEL || (rule->by & country) != 0 ||
                    (asks && rule->of == SP_DETECT_COUNTRY);
    r.slots = table_of(r.area + detect_op_words(rule), rule->keys_max, keep_of(rule));
    return r;
}

static sp_err make_rules(sp_detect_engine *engine)
{
    size_t count = engine->program.rules_count;
    TRY(sp_alloc(count + 1, sizeof(*engine->rules), &engine->rules));
    for (size_t kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        TRY(sp_alloc(count + 1, sizeof(uint16_t), &engine->by_kind[kind]));
    }
    for (size_t i = 0; i < count; i++) {
        const sp_detect_rule *rule = &engine->program.rules[i];
        uint32_t kinds = kinds_of(engine, rule);
        engine->rules[i] = running_of(rule);
        for (size_t kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
            if ((kinds >> kind & 1) != 0) {
                engine->by_kind[kind][engine->by_kind_count[kind]++] = (uint16_t)i;
            }
        }
    }
    return sp_ok();
}

void sp_detect_engine_free(sp_detect_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    for (size_t i = 0; engine->rules != NULL && i < engine->program.rules_count; i++) {
        table_done(&engine->rules[i].slots);
    }
    for (size_t kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        sp_free(engine->by_kind[kind]);
    }
    sp_free(engine->rules);
    sp_detect_program_done(&engine->program);
    sp_free(engine);
}

void sp_detect_engine_auto_(sp_detect_engine **engine)
{
    sp_detect_engine_free(*engine);
}

sp_err sp_detect_engine_new(sp_span program, const uint8_t seed[SP_DETECT_SEED_BYTES],
                            uint64_t memory_max, const sp_detect_calls *calls,
                            sp_detect_engine **ret_engine)
{
    auto_detect_engine sp_detect_engine *engine = NULL;
    TRY(sp_alloc(1, sizeof(*engine), &engine));
    sp_reader in = sp_reader_of(sp_span_of(seed, SP_DETECT_SEED_BYTES));
    engine->seed[0] = sp_read_u64(&in);
    engine->seed[1] = sp_read_u64(&in);
    engine->room = memory_max;
    engine->calls = *calls;
    TRY(sp_detect_program_read(program, &engine->program));
    TRY(make_rules(engine));
    *ret_engine = SP_STEAL(engine);
    return sp_ok();
}

void sp_detect_engine_mode(sp_detect_engine *engine, sp_alarm_mode mode)
{
    engine->mode = (uint8_t)mode;
}

/* ---- keys ---- */

uint64_t detect_hash(const sp_detect_engine *engine, sp_span text, uint64_t more)
{
    return sp_span_hash(text, engine->seed[0] ^ (more * UINT64_C(0x9E3779B97F4A7C15)));
}

/* false: the event lacks one of the fields. Many detections ask for the key of the one before. */
static bool key_of(passing *p, const sp_detect_rule *rule, table_key *ret_key)
{
    table_key key = {p->engine->seed[0], p->engine->seed[1]};
    if (p->keyed != 0 && p->keyed == rule->by) {
        *ret_key = p->key;
        return true;
    }
    for (uint32_t bits = rule->by; bits != 0; bits &= bits - 1) {
        sp_span value = detect_field(p->event, (sp_detect_field)__builtin_ctz(bits), p->place);
        if (value.len == 0) {
            return false;
        }
        key.a = sp_span_hash(value, key.a);
        key.b = sp_span_hash(value, key.b ^ UINT64_C(0xD6E8FEB86659FD93));
    }
    p->keyed = rule->by;
    p->key = key;
    *ret_key = key;
    return true;
}

/* ---- evidence and alarms ---- */

static void keep_evidence(const passing *p, const running *r, uint64_t *slot)
{
    if (r->evidence == 0) {
        return;
    }
    uint64_t *piece = slot + SLOT_HEAD + (slot[SLOT_SEEN]++ % r->evidence) * DETECT_EVIDENCE_WORDS;
    piece[0] = p->entry;
    piece[1] = p->event->reference;
    piece[2] = p->at;
}

static void put_evidence(const running *r, const uint64_t *slot, sp_alarm *alarm)
{
    uint64_t seen = slot[SLOT_SEEN];
    uint64_t count = seen > r->evidence ? r->evidence : seen;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t *piece =
            slot + SLOT_HEAD + ((seen - count + i) % r->evidence) * DETECT_EVIDENCE_WORDS;
        alarm->evidence[alarm->evidence_count++] =
            (sp_alarm_evidence){.entry = piece[0], .reference = piece[1], .at = (uint16_t)piece[2]};
    }
}

static void put_key(const passing *p, sp_detect_field field, sp_buf *out)
{
    sp_buf_fmt(out, "%s%s=", out->len == 0 ? "" : " ", sp_detect_field_words[field]);
    detect_field_text(p->event, field, p->place, out);
}

static void keys_text(const passing *p, const sp_detect_rule *rule, sp_buf *out)
{
    for (uint32_t bits = rule->by; bits != 0; bits &= bits - 1) {
        put_key(p, (sp_detect_field)__builtin_ctz(bits), out);
    }
    if (rule->op == SP_DETECT_NOVEL) {
        put_key(p, (sp_detect_field)rule->of, out);
    }
}

/* The same alarm has the same id: the detection as it was written, the key, the event. */
static sp_hash id_of(const sp_detect_rule *rule, const uint64_t *slot, uint64_t entry, uint64_t at)
{
    const uint64_t numbers[] = {slot[SLOT_KEY0], slot[SLOT_KEY1], entry, at};
    const sp_span parts[] = {rule->name, sp_hash_borrow(&rule->version),
                             sp_span_of(numbers, sizeof(numbers))};
    return sp_sha256_parts(parts, SP_COUNT(parts));
}

static void say(sp_detect_engine *engine, running *r, const sp_alarm *alarm)
{
    r->alarms++;
    engine->stats.alarms++;
    if (engine->calls.alarm != NULL) {
        engine->calls.alarm(engine->calls.self, alarm);
    }
}

/* A name of the event in the alarm, cleaned, in room that does not move. */
static sp_span cleaned(sp_span text, sp_buf *room)
{
    size_t from = room->len;
    detect_clean(text, SP_NAME_MAX_BYTES, room);
    return sp_span_slice(sp_buf_borrow(room), from, room->len);
}

/* Whether the event that set it off is by whom the alarm is about: who sprays the names of others
 * must not have the last of them cut off. */
static bool is_by_one(const sp_detect_rule *rule, uint64_t count)
{
    const uint32_t ones = 1U << SP_DETECT_PERSON | 1U << SP_DETECT_DEVICE | 1U << SP_DETECT_SESSION;
    return (rule->by & ones) != 0 || count <= 1;
}

static void speak(passing *p, running *r, uint64_t *slot, uint64_t count)
{
    const sp_detect_rule *rule = r->rule;
    const sp_event *e = p->event;
    if (p->when_us < slot[SLOT_QUIET]) {
        p->engine->stats.quiet++;
        return;
    }
    slot[SLOT_QUIET] = p->when_us + rule->quiet_us;
    auto_buf sp_buf keys = sp_buf_make(SP_ALARM_KEYS_MAX_BYTES);
    auto_buf sp_buf names = sp_buf_make(NAMES * SP_NAME_MAX_BYTES);
    (void)sp_buf_room(&names, NAMES * SP_NAME_MAX_BYTES); /* all of it, once */
    keys_text(p, rule, &keys);
    sp_alarm alarm = {.id = id_of(rule, slot, p->entry, p->at),
                      .first_unix_us = slot[SLOT_FIRST],
                      .last_unix_us = p->when_us,
                      .count = count,
                      .session = e->session,
                      .device = e->device,
                      .person = e->person,
                      .severity = rule->severity,
                      .mode = p->engine->mode,
                      .gate = e->gate,
                      .class_level = e->class_level,
                      .detection = rule->name,
                      .title = rule->title_en,
                      .person_name = cleaned(e->person_name, &names),
                      .device_name = cleaned(e->device_name, &names),
                      .resource = cleaned(e->resource, &names),
                      .class_name = cleaned(e->class_name, &names),
                      .keys = sp_buf_borrow(&keys),
                      .plan = rule->plan};
    if (!is_by_one(rule, count)) {
        alarm.session = 0;
        alarm.device = 0;
        alarm.person = 0;
        alarm.person_name = SP_SPAN_EMPTY;
        alarm.device_name = SP_SPAN_EMPTY;
    }
    sp_copy(alarm.peer, e->peer, sizeof(alarm.peer));
    put_evidence(r, slot, &alarm);
    say(p->engine, r, &alarm);
}

/* ---- an event ---- */

static void ask_place(passing *p)
{
    if (p->has_asked_place || p->engine->calls.place == NULL) {
        return;
    }
    p->has_asked_place = true;
    if (p->engine->calls.place(p->engine->calls.self, p->event->peer, &p->place_room)) {
        p->place = &p->place_room;
    }
}

static bool any_match(const passing *p, sp_detect_run run)
{
    const sp_detect_program *program = &p->engine->program;
    for (uint32_t i = 0; i < run.count; i++) {
        if (detect_match(program, &program->matches[run.at + i], p->event)) {
            return true;
        }
    }
    return false;
}

static void run_rule(passing *p, running *r)
{
    sp_detect_engine *engine = p->engine;
    const sp_detect_rule *rule = r->rule;
    if (!any_match(p, rule->matches) || any_match(p, rule->unless)) {
        return;
    }
    if (r->needs_place) {
        ask_place(p);
    }
    table_key key;
    bool is_new = false;
    if (!key_of(p, rule, &key)) {
        return;
    }
    uint64_t *slot = table_take(&r->slots, key, p->when_us, &engine->room, &is_new);
    if (slot == NULL) {
        return;
    }
    r->matched++;
    engine->stats.matched++;
    if (is_new || slot[SLOT_LATEST] + rule->within_us < p->when_us) {
        slot[SLOT_FIRST] = p->when_us;
    }
    if (p->when_us > slot[SLOT_LATEST]) {
        slot[SLOT_LATEST] = p->when_us;
    }
    keep_evidence(p, r, slot);
    uint64_t count = 0;
    if (detect_op(p, r, slot, &count)) {
        speak(p, r, slot, count);
    }
}

/* The clock was set back: what is still to come again is dropped. */
static void rewind_to(sp_detect_engine *engine, uint64_t now_us)
{
    engine->stats.jumps++;
    for (size_t i = 0; i < engine->program.rules_count; i++) {
        running *r = &engine->rules[i];
        for (uint32_t at = 0; at < r->slots.count; at++) {
            uint64_t *slot = table_slot(&r->slots, at);
            if (slot[SLOT_LATEST] > now_us + AHEAD_US) {
                slot[SLOT_LATEST] = now_us;
                slot[SLOT_FIRST] = now_us;
                slot[SLOT_QUIET] = 0;
                detect_op_rewind(r->rule, slot + r->area, now_us);
            }
        }
    }
    engine->latest_us = now_us;
}

void sp_detect_engine_jump(sp_detect_engine *engine, int64_t by_us)
{
    engine->stats.jumps++;
    for (size_t i = 0; i < engine->program.rules_count; i++) {
        running *r = &engine->rules[i];
        for (uint32_t at = 0; at < r->slots.count; at++) {
            uint64_t *slot = table_slot(&r->slots, at);
            detect_move(&slot[SLOT_FIRST], by_us);
            detect_move(&slot[SLOT_LATEST], by_us);
            detect_move(&slot[SLOT_QUIET], by_us);
            detect_op_move(r->rule, slot + r->area, by_us);
        }
    }
    detect_move(&engine->latest_us, by_us);
}

/* Only the clock itself says that it was set back. Events that are old, however many, are late:
 * whoever sends slow requests makes as many of them as he likes. */
static void keep_time(sp_detect_engine *engine, uint64_t when_us, uint64_t now_us)
{
    if (now_us + AHEAD_US < engine->latest_us) {
        rewind_to(engine, now_us);
    }
    engine->latest_us = when_us > engine->latest_us ? when_us : engine->latest_us;
}

void sp_detect_engine_event(sp_detect_engine *engine, const sp_event *event, uint64_t entry,
                            uint16_t at, uint64_t now_unix_us)
{
    if (event->kind >= SP_EVENT_KIND_COUNT) {
        return;
    }
    passing p = {
        .engine = engine, .event = event, .when_us = event->when_unix_us, .entry = entry, .at = at};
    if (p.when_us > now_unix_us && p.when_us - now_unix_us > AHEAD_US) {
        p.when_us = now_unix_us;
    }
    engine->stats.events++;
    keep_time(engine, p.when_us, now_unix_us);
    const uint16_t *rules = engine->by_kind[event->kind];
    for (size_t i = 0; i < engine->by_kind_count[event->kind]; i++) {
        run_rule(&p, &engine->rules[rules[i]]);
    }
}

/* ---- what stays away ---- */

static void say_absent(sp_detect_engine *engine, running *r, uint64_t *slot, uint64_t now_us)
{
    sp_alarm alarm = {.id = id_of(r->rule, slot, slot[SLOT_LATEST], 0),
                      .first_unix_us = slot[SLOT_LATEST] < now_us ? slot[SLOT_LATEST] : now_us,
                      .last_unix_us = now_us,
                      .severity = r->rule->severity,
                      .mode = engine->mode,
                      .detection = r->rule->name,
                      .title = r->rule->title_en,
                      .keys = SP_SPAN_LIT("absent"),
                      .plan = r->rule->plan};
    put_evidence(r, slot, &alarm);
    say(engine, r, &alarm);
}

static void tick_rule(sp_detect_engine *engine, running *r, uint64_t now_us, uint64_t passed_us,
                      bool is_in_time)
{
    if (r->slots.count == 0 && r->rule->by == 0) {
        bool is_new = false;
        const table_key all = {engine->seed[0], engine->seed[1]};
        uint64_t *slot = table_take(&r->slots, all, now_us, &engine->room, &is_new);
        if (slot != NULL) {
            slot[SLOT_LATEST] = now_us;
        }
    }
    for (uint32_t at = 0; at < r->slots.count; at++) {
        uint64_t *slot = table_slot(&r->slots, at);
        if (detect_op_absent(r->rule, slot + r->area, passed_us, is_in_time)) {
            say_absent(engine, r, slot, now_us);
        }
    }
}

void sp_detect_engine_tick(sp_detect_engine *engine, uint64_t now_unix_us, uint64_t passed_us,
                           bool is_in_time)
{
    for (size_t i = 0; i < engine->program.rules_count; i++) {
        if (engine->rules[i].rule->op == SP_DETECT_ABSENT) {
            tick_rule(engine, &engine->rules[i], now_unix_us, passed_us, is_in_time);
        }
    }
}

/* ---- figures ---- */

const sp_detect_program *sp_detect_engine_program(const sp_detect_engine *engine)
{
    return &engine->program;
}

sp_detect_stats sp_detect_engine_stats(const sp_detect_engine *engine)
{
    sp_detect_stats stats = engine->stats;
    for (size_t i = 0; i < engine->program.rules_count; i++) {
        stats.evicted += engine->rules[i].slots.evicted;
        stats.memory_bytes += table_bytes(&engine->rules[i].slots);
    }
    return stats;
}

sp_detect_rule_stats sp_detect_engine_rule_stats(const sp_detect_engine *engine, size_t rule)
{
    if (rule >= engine->program.rules_count) {
        return (sp_detect_rule_stats){0};
    }
    const running *r = &engine->rules[rule];
    return (sp_detect_rule_stats){.matched = r->matched,
                                  .alarms = r->alarms,
                                  .evicted = r->slots.evicted,
                                  .keys = r->slots.count};
}
