/* SPDX-License-Identifier: Apache-2.0
 * A program as bytes, and back with every index checked.
 * OWNS nothing but what sp_detect_program_done frees. PROCESS core, watch, cli. TRUST the bytes are
 * hostile. SPEC lib/detect/program.h.
 */
#include "lib/detect/program.h"

enum { VERSION = 2, ARENA_MAX_BYTES = 64 << 20, ADDRESS_BYTES = 16, DAY_MINUTES = 1440 };

const char *const sp_detect_field_words[SP_DETECT_FIELD_COUNT + 1] = {
    "person", "peer",  "network", "device",  "session", "resource",
    "gate",   "class", "object",  "country", NULL};

/* ---- writing ---- */

static void put_run(sp_detect_run run, sp_buf *out)
{
    sp_buf_u32(out, run.at);
    sp_buf_u32(out, run.count);
}

static void put_match(const sp_detect_match *m, sp_buf *out)
{
    for (size_t i = 0; i < SP_ROLE_WORDS; i++) {
        sp_buf_u64(out, m->roles[i]);
    }
    sp_buf_u64(out, m->bytes);
    const uint32_t numbers[] = {m->kinds, m->reasons, m->actions, m->flags, m->schedule};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        sp_buf_u32(out, numbers[i]);
    }
    const uint8_t bits[] = {m->gates,    m->verdicts,  m->owners,
                            m->postures, m->strengths, m->severities};
    sp_buf_span(out, sp_span_of(bits, sizeof(bits)));
    const sp_detect_run runs[] = {m->people,  m->resources, m->classes,  m->methods,
                                  m->objects, m->statuses,  m->contains, m->networks};
    for (size_t i = 0; i < SP_COUNT(runs); i++) {
        put_run(runs[i], out);
    }
}

static void put_rule(const sp_detect_rule *r, sp_buf *out)
{
    sp_buf_bytes(out, r->name);
    sp_buf_bytes(out, r->title_en);
    sp_buf_bytes(out, r->title_zh);
    sp_buf_bytes(out, r->plan);
    sp_buf_span(out, sp_hash_borrow(&r->version));
    const uint64_t numbers[] = {r->at_least, r->times, r->within_us, r->learn_us, r->quiet_us};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        sp_buf_u64(out, numbers[i]);
    }
    sp_buf_u32(out, r->keys_max);
    sp_buf_u32(out, r->by);
    put_run(r->matches, out);
    put_run(r->unless, out);
    sp_buf_u8(out, r->severity);
    sp_buf_u8(out, r->op);
    sp_buf_u8(out, r->of);
}

static void put_schedule(const sp_detect_schedule *s, sp_buf *out)
{
    sp_buf_u16(out, s->from_minute);
    sp_buf_u16(out, s->to_minute);
    sp_buf_u8(out, s->days);
    sp_buf_u8(out, s->steps_count);
    for (size_t i = 0; i < s->steps_count && i < SP_DETECT_ZONE_STEPS_MAX; i++) {
        sp_buf_u64(out, (uint64_t)s->steps[i].from_unix_s);
        sp_buf_u32(out, (uint32_t)s->steps[i].offset_s);
    }
}

void sp_detect_program_write(const sp_detect_program *p, sp_buf *out)
{
    sp_buf_u8(out, VERSION);
    const size_t counts[] = {p->rules_count, p->matches_count, p->texts_count, p->ranges_count,
                             p->schedules_count};
    for (size_t i = 0; i < SP_COUNT(counts); i++) {
        sp_buf_u32(out, (uint32_t)counts[i]);
    }
    for (size_t i = 0; i < p->rules_count; i++) {
        put_rule(&p->rules[i], out);
    }
    for (size_t i = 0; i < p->matches_count; i++) {
        put_match(&p->matches[i], out);
    }
    for (size_t i = 0; i < p->texts_count; i++) {
        sp_buf_bytes(out, p->texts[i]);
    }
    for (size_t i = 0; i < p->ranges_count; i++) {
        sp_buf_span(out, sp_span_of(p->ranges[i].address, ADDRESS_BYTES));
        sp_buf_u8(out, (uint8_t)p->ranges[i].bits);
    }
    for (size_t i = 0; i < p->schedules_count; i++) {
        put_schedule(&p->schedules[i], out);
    }
}

/* ---- reading ---- */

typedef struct {
    sp_reader in;
    sp_detect_program *p;
} reading;

static sp_detect_run get_run(reading *r, size_t of)
{
    sp_detect_run run = {sp_read_u32(&r->in), sp_read_u32(&r->in)};
    if (run.at > of || run.count > of - run.at) {
        sp_reader_fail(&r->in, SP_EINVALID);
        return (sp_detect_run){0};
    }
    return run;
}

static sp_span get_text(reading *r, size_t max_bytes)
{
    sp_span copy = SP_SPAN_EMPTY;
    sp_span text = sp_read_text(&r->in, max_bytes);
    sp_err err = sp_arena_copy(&r->p->arena, text, &copy);
    if (sp_failed(err)) {
        sp_reader_fail(&r->in, err.code);
    }
    return copy;
}

static void get_match(reading *r, sp_detect_match *m)
{
    for (size_t i = 0; i < SP_ROLE_WORDS; i++) {
        m->roles[i] = sp_read_u64(&r->in);
    }
    m->bytes = sp_read_u64(&r->in);
    m->kinds = sp_read_u32(&r->in);
    m->reasons = sp_read_u32(&r->in);
    m->actions = sp_read_u32(&r->in);
    m->flags = sp_read_u32(&r->in);
    m->schedule = sp_read_u32(&r->in);
    uint8_t *bits[] = {&m->gates,    &m->verdicts,  &m->owners,
                       &m->postures, &m->strengths, &m->severities};
    for (size_t i = 0; i < SP_COUNT(bits); i++) {
        *bits[i] = sp_read_u8(&r->in);
    }
    size_t texts = r->p->texts_count;
    m->people = get_run(r, texts);
    m->resources = get_run(r, texts);
    m->classes = get_run(r, texts);
    m->methods = get_run(r, texts);
    m->objects = get_run(r, texts);
    m->statuses = get_run(r, texts);
    m->contains = get_run(r, texts);
    m->networks = get_run(r, r->p->ranges_count);
    bool good = (m->flags & ~(uint32_t)SP_DETECT_FLAGS) == 0 &&
                (m->schedule == SP_NONE || m->schedule < r->p->schedules_count);
    if (!good) {
        sp_reader_fail(&r->in, SP_EINVALID);
    }
}

/* What an operator needs in order to run within its bounds. */
static bool op_is_sound(const sp_detect_rule *rule)
{
    bool window = rule->within_us > 0 && rule->within_us <= (uint64_t)1 << 53;
    switch ((sp_detect_op)rule->op) {
    case SP_DETECT_COUNT:
    case SP_DETECT_SUM:
    case SP_DETECT_CHANGES:
        return window && rule->at_least >= 1;
    case SP_DETECT_DISTINCT:
        return window && rule->at_least >= 2 && rule->at_least <= SP_DETECT_DISTINCT_MAX;
    case SP_DETECT_SEQUENCE:
        return window && rule->matches.count >= 2 && rule->matches.count <= SP_DETECT_STEPS_MAX;
    case SP_DETECT_RATE:
        return window && rule->times >= 1;
    case SP_DETECT_ABSENT:
        return window;
    case SP_DETECT_NOVEL:
        return true;
    case SP_DETECT_TRAVEL:
        return rule->at_least >= 1;
    case SP_DETECT_OP_COUNT:
        break;
    }
    return false;
}

static void get_rule(reading *r, sp_detect_rule *rule)
{
    rule->name = get_text(r, SP_NAME_MAX_BYTES);
    rule->title_en = get_text(r, SP_DETECT_TITLE_MAX_BYTES);
    rule->title_zh = get_text(r, SP_DETECT_TITLE_MAX_BYTES);
    rule->plan = get_text(r, SP_NAME_MAX_BYTES);
    sp_span version = sp_read_span(&r->in, SP_SHA256_BYTES);
    sp_copy(rule->version.bytes, version.ptr, version.len);
    uint64_t *numbers[] = {&rule->at_least, &rule->times, &rule->within_us, &rule->learn_us,
                           &rule->quiet_us};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        *numbers[i] = sp_read_u64(&r->in);
    }
    rule->keys_max = sp_read_u32(&r->in);
    rule->by = sp_read_u32(&r->in);
    rule->matches = get_run(r, r->p->matches_count);
    rule->unless = get_run(r, r->p->matches_count);
    rule->severity = sp_read_enum(&r->in, SP_SEVERITY_COUNT);
    rule->op = sp_read_enum(&r->in, SP_DETECT_OP_COUNT);
    rule->of = sp_read_enum(&r->in, SP_DETECT_FIELD_COUNT);
    bool good = rule->keys_max >= 1 && rule->keys_max <= SP_DETECT_KEYS_MAX &&
                rule->by < 1U << SP_DETECT_FIELD_COUNT && rule->matches.count >= 1 &&
                rule->name.len > 0 && op_is_sound(rule);
    if (!good) {
        sp_reader_fail(&r->in, SP_EINVALID);
    }
}

static void get_range(reading *r, sp_address_range *range)
{
    sp_span address = sp_read_span(&r->in, ADDRESS_BYTES);
    sp_copy(range->address, address.ptr, address.len);
    range->bits = sp_read_enum(&r->in, 129);
}

static void get_schedule(reading *r, sp_detect_schedule *s)
{
    s->from_minute = sp_read_u16(&r->in);
    s->to_minute = sp_read_u16(&r->in);
    s->days = sp_read_u8(&r->in);
    s->steps_count = sp_read_u8(&r->in);
    if (s->from_minute > DAY_MINUTES || s->to_minute > DAY_MINUTES || s->days > 0x7f ||
        s->steps_count == 0 || s->steps_count > SP_DETECT_ZONE_STEPS_MAX) {
        sp_reader_fail(&r->in, SP_EINVALID);
        s->steps_count = 0;
    }
    for (size_t i = 0; i < s->steps_count; i++) {
        s->steps[i].from_unix_s = (int64_t)sp_read_u64(&r->in);
        s->steps[i].offset_s = (int32_t)sp_read_u32(&r->in);
        if (s->steps[i].offset_s > 86400 || s->steps[i].offset_s < -86400) {
            sp_reader_fail(&r->in, SP_EINVALID);
        }
    }
}

static size_t get_count(reading *r, size_t max)
{
    size_t count = sp_read_u32(&r->in);
    if (count > max || count > r->in.rest.len) { /* each item takes a byte at least */
        sp_reader_fail(&r->in, SP_ELIMIT);
        return 0;
    }
    return count;
}

static sp_err make_room(sp_detect_program *p)
{
    TRY(sp_arena_alloc(&p->arena, p->rules_count, sizeof(*p->rules), &p->rules));
    TRY(sp_arena_alloc(&p->arena, p->matches_count, sizeof(*p->matches), &p->matches));
    TRY(sp_arena_alloc(&p->arena, p->texts_count, sizeof(*p->texts), &p->texts));
    TRY(sp_arena_alloc(&p->arena, p->ranges_count, sizeof(*p->ranges), &p->ranges));
    return sp_arena_alloc(&p->arena, p->schedules_count, sizeof(*p->schedules), &p->schedules);
}

static sp_err read_all(reading *r)
{
    sp_detect_program *p = r->p;
    if (sp_read_u8(&r->in) != VERSION) {
        sp_reader_fail(&r->in, SP_EINVALID);
    }
    p->rules_count = get_count(r, SP_DETECT_RULES_MAX);
    p->matches_count = get_count(r, SP_DETECT_MATCHES_MAX);
    p->texts_count = get_count(r, SP_DETECT_TEXTS_MAX);
    p->ranges_count = get_count(r, SP_DETECT_RANGES_MAX);
    p->schedules_count = get_count(r, SP_DETECT_SCHEDULES_MAX);
    TRY(r->in.err);
    TRY(make_room(p));
    for (size_t i = 0; i < p->rules_count; i++) {
        get_rule(r, &p->rules[i]);
    }
    for (size_t i = 0; i < p->matches_count; i++) {
        get_match(r, &p->matches[i]);
    }
    for (size_t i = 0; i < p->texts_count; i++) {
        p->texts[i] = get_text(r, SP_DETECT_TEXT_MAX_BYTES);
    }
    for (size_t i = 0; i < p->ranges_count; i++) {
        get_range(r, &p->ranges[i]);
    }
    for (size_t i = 0; i < p->schedules_count; i++) {
        get_schedule(r, &p->schedules[i]);
    }
    return sp_reader_finish(&r->in);
}

sp_err sp_detect_program_read(sp_span bytes, sp_detect_program *ret_program)
{
    sp_detect_program program = {.arena = sp_arena_make(ARENA_MAX_BYTES)};
    reading r = {sp_reader_of(bytes), &program};
    sp_err err = bytes.len > SP_DETECT_PROGRAM_MAX_BYTES ? sp_fail(SP_ELIMIT) : read_all(&r);
    if (sp_failed(err)) {
        sp_detect_program_done(&program);
        return err;
    }
    *ret_program = program;
    return sp_ok();
}

void sp_detect_program_done(sp_detect_program *program)
{
    sp_arena_done(&program->arena);
    *program = (sp_detect_program){0};
}

bool sp_detect_glob(sp_span pattern, sp_span text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* the last '*', and where it was tried */
    size_t tried = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            tried = t;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++tried;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}
