/* SPDX-License-Identifier: Apache-2.0
 * Reading OCSF JSON by its paths: one pass, texts unescaped into room that was reserved for the
 * longest case. Lists are passed through: "resources":[{"name":..}] is the path resources.name.
 * OWNS nothing. PROCESS watch, command line. TRUST the input is checked; depth and path are
 * bounded. SPEC lib/proto/ocsf_read.h, RFC 8259.
 */
#include "lib/proto/ocsf_read.h"

#include "lib/base/address.h"
#include "lib/proto/json.h"
#include "lib/proto/ocsf.h"

#include <stdlib.h>

enum { DEPTH_MAX = 24, PATH_MAX_BYTES = 64, EVENTS_MAX = 65535 };
enum {
    CLASS_DETECTION = 2004,
    CLASS_INCIDENT = 2005,
    CLASS_ACCOUNT_CHANGE = 3001,
    CLASS_ENTITY = 3004,
    CLASS_LIFECYCLE = 6002
};
#define REFERENCE_MAX ((UINT64_C(1) << 60) - 1)

typedef struct {
    sp_event event;
    uint64_t class_uid;
} draft;

typedef struct {
    sp_span rest;
    sp_buf *room;
    char path[PATH_MAX_BYTES];
    size_t path_len;
    unsigned depth;
    draft base;  /* COMMON */
    draft *into; /* base, or the event being read */
    bool has_events;
    uint32_t count;
    sp_ocsf_visit visit;
    void *self;
} parser;

/* ---- what the paths mean ---- */

typedef sp_err (*setter)(draft *d, sp_span value);

static sp_err number_of(sp_span value, uint64_t max, uint64_t *ret)
{
    return sp_failed(sp_span_to_u64(value, max, ret)) ? sp_fail(SP_ECORRUPT) : sp_ok();
}

#define TEXT(name)                                                                                 \
    static sp_err set_##name(draft *d, sp_span value)                                              \
    {                                                                                              \
        d->event.name = value;                                                                     \
        return sp_ok();                                                                            \
    }
#define NUMBER(name, member, type, most)                                                           \
    static sp_err set_##name(draft *d, sp_span value)                                              \
    {                                                                                              \
        uint64_t number = 0;                                                                       \
        TRY(number_of(value, most, &number));                                                      \
        d->event.member = (type)number;                                                            \
        return sp_ok();                                                                            \
    }
/* The position of a word among those of its kind. */
#define WORD(name, count, word_of)                                                                 \
    static sp_err set_##name(draft *d, sp_span value)                                              \
    {                                                                                              \
        for (unsigned i = 0; i < (unsigned)(count); i++) {                                         \
            if (sp_span_eq(value, sp_span_cstr(word_of))) {                                        \
                d->event.name = (uint8_t)i;                                                        \
                return sp_ok();                                                                    \
            }                                                                                      \
        }                                                                                          \
        return sp_fail(SP_ECORRUPT);                                                               \
    }

TEXT(person_name)
TEXT(device_name)
TEXT(resource)
TEXT(class_name)
TEXT(rule)
TEXT(method)
TEXT(object)
TEXT(detail)
NUMBER(person, person, uint32_t, UINT32_MAX)
NUMBER(device, device, uint64_t, UINT64_MAX)
NUMBER(policy_version, policy_version, uint64_t, UINT64_MAX)
NUMBER(bytes_in, bytes_in, uint64_t, UINT64_MAX)
NUMBER(bytes_out, bytes_out, uint64_t, UINT64_MAX)
NUMBER(count, count, uint64_t, UINT64_MAX)
NUMBER(duration, duration_us, uint32_t, UINT32_MAX)
NUMBER(status, status, uint16_t, UINT16_MAX)
NUMBER(class_level, class_level, uint8_t, SP_CLASSES_MAX - 1)
WORD(kind, SP_EVENT_KIND_COUNT, sp_event_kind_word((sp_event_kind)i))
WORD(gate, SP_GATE_COUNT, sp_gate_word((sp_gate)i))
WORD(owner, SP_OWNER_COUNT, sp_owner_words[i])
WORD(posture, SP_POSTURE_COUNT, sp_posture_words[i])
WORD(strength, SP_STRENGTH_COUNT, sp_strength_words[i])
WORD(verdict, SP_VERDICT_COUNT, sp_verdict_words[i])
WORD(reason, SP_REASON_COUNT, sp_reason_words[i])
WORD(action, SP_ACTION_COUNT, sp_action_words[i])

static sp_err set_time(draft *d, sp_span value)
{
    uint64_t ms = 0;
    TRY(number_of(value, UINT64_MAX / 1000, &ms));
    d->event.when_unix_us = ms * 1000;
    return sp_ok();
}

static sp_err set_reference(draft *d, sp_span value)
{
    return sp_failed(sp_reference_of(value, &d->event.reference)) ? sp_fail(SP_ECORRUPT) : sp_ok();
}

static sp_err set_session(draft *d, sp_span value)
{
    uint64_t session = 0;
    if (value.len != 16) {
        return sp_fail(SP_ECORRUPT);
    }
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (!sp_is_digit(c) && (c < 'a' || c > 'f')) {
            return sp_fail(SP_ECORRUPT);
        }
        session = session << 4 | (uint64_t)(sp_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    d->event.session = session;
    return sp_ok();
}

static sp_err set_peer(draft *d, sp_span value)
{
    bool is_v4 = false;
    return sp_failed(sp_address_parse(value, d->event.peer, &is_v4)) ? sp_fail(SP_ECORRUPT)
                                                                     : sp_ok();
}

static sp_err set_severity(draft *d, sp_span value)
{
    uint64_t id = 0;
    TRY(number_of(value, SP_SEVERITY_COUNT, &id));
    d->event.severity = (uint8_t)(id == 0 ? 0 : id - 1);
    return sp_ok();
}

static sp_err set_class_uid(draft *d, sp_span value)
{
    return number_of(value, UINT32_MAX, &d->class_uid);
}

static sp_err set_role(draft *d, sp_span value)
{
    uint64_t role = 0;
    TRY(number_of(value, SP_ROLES_MAX - 1, &role));
    d->event.roles[role / 64] |= UINT64_C(1) << role % 64;
    return sp_ok();
}

/* A changed account is the object; of a sign-in it is the person once more. */
static sp_err set_user(draft *d, sp_span value)
{
    return d->class_uid == CLASS_ACCOUNT_CHANGE ? set_object(d, value) : sp_ok();
}

/* In the order of bytes, for bsearch. */
static const struct field {
    const char *path;
    setter set;
} FIELDS[] = {
    {"actor.session.uid", set_session},
    {"actor.user.name", set_person_name},
    {"actor.user.uid", set_person},
    {"app.name", set_object},
    {"class_uid", set_class_uid},
    {"device.name", set_device_name},
    {"device.uid", set_device},
    {"entity.name", set_object},
    {"finding_info.title", set_object},
    {"http_request.http_method", set_method},
    {"http_request.url.path", set_object},
    {"message", set_object},
    {"metadata.uid", set_reference},
    {"policy.name", set_rule},
    {"policy.version", set_policy_version},
    {"proxy_traffic.bytes_in", set_bytes_in},
    {"proxy_traffic.bytes_out", set_bytes_out},
    {"resources.name", set_resource},
    {"severity_id", set_severity},
    {"src_endpoint.ip", set_peer},
    {"status_code", set_status},
    {"time", set_time},
    {"unmapped.action", set_action},
    {"unmapped.class", set_class_name},
    {"unmapped.count", set_count},
    {"unmapped.detail", set_detail},
    {"unmapped.duration_us", set_duration},
    {"unmapped.gate", set_gate},
    {"unmapped.kind", set_kind},
    {"unmapped.level", set_class_level},
    {"unmapped.method", set_method},
    {"unmapped.owner", set_owner},
    {"unmapped.posture", set_posture},
    {"unmapped.reason", set_reason},
    {"unmapped.resource", set_resource},
    {"unmapped.roles", set_role},
    {"unmapped.strength", set_strength},
    {"unmapped.verdict", set_verdict},
    {"user.name", set_user},
    {"web_resources.name", set_resource},
};

static int compare_path(const void *key, const void *field)
{
    return strcmp(key, ((const struct field *)field)->path);
}

static sp_err leaf(const parser *p, sp_span value)
{
    const struct field *field =
        bsearch(p->path, FIELDS, SP_COUNT(FIELDS), sizeof(FIELDS[0]), compare_path);
    return field == NULL ? sp_ok() : field->set(p->into, value);
}

/* ---- JSON ---- */

static uint8_t peek(const parser *p)
{
    return p->rest.len == 0 ? 0 : p->rest.ptr[0];
}

static bool take(parser *p, uint8_t byte)
{
    if (peek(p) != byte || p->rest.len == 0) {
        return false;
    }
    p->rest = sp_span_slice(p->rest, 1, p->rest.len);
    return true;
}

static sp_err need(parser *p, uint8_t byte)
{
    return take(p, byte) ? sp_ok() : sp_fail(SP_ECORRUPT);
}

static int hex_of(uint8_t c)
{
    if (sp_is_digit(c)) {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u. */
static sp_err unit_of(sp_span text, size_t at, uint32_t *ret_unit)
{
    uint32_t unit = 0;
    if (at + 4 > text.len) {
        return sp_fail(SP_ECORRUPT);
    }
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_of(text.ptr[at + i]);
        if (digit < 0) {
            return sp_fail(SP_ECORRUPT);
        }
        unit = unit << 4 | (uint32_t)digit;
    }
    *ret_unit = unit;
    return sp_ok();
}

static uint8_t *put_rune(uint8_t *to, uint32_t rune)
{
    if (rune < 0x80) {
        *to++ = (uint8_t)rune;
    } else if (rune < 0x800) {
        *to++ = (uint8_t)(0xC0 | rune >> 6);
        *to++ = (uint8_t)(0x80 | (rune & 0x3F));
    } else if (rune < 0x10000) {
        *to++ = (uint8_t)(0xE0 | rune >> 12);
        *to++ = (uint8_t)(0x80 | (rune >> 6 & 0x3F));
        *to++ = (uint8_t)(0x80 | (rune & 0x3F));
    } else {
        *to++ = (uint8_t)(0xF0 | rune >> 18);
        *to++ = (uint8_t)(0x80 | (rune >> 12 & 0x3F));
        *to++ = (uint8_t)(0x80 | (rune >> 6 & 0x3F));
        *to++ = (uint8_t)(0x80 | (rune & 0x3F));
    }
    return to;
}

/* One escape at text[*at], the backslash behind it; an escape is never shorter than its rune. */
static sp_err unescape_one(sp_span text, size_t *at, uint8_t **to)
{
    static const char from[] = "\"\\/bfnrt";
    static const char plain[] = "\"\\/\b\f\n\r\t";
    if (*at >= text.len) {
        return sp_fail(SP_ECORRUPT);
    }
    uint8_t c = text.ptr[(*at)++];
    if (c != 'u') {
        const char *found = c == 0 ? NULL : strchr(from, c);
        if (found == NULL) {
            return sp_fail(SP_ECORRUPT);
        }
        *(*to)++ = (uint8_t)plain[found - from];
        return sp_ok();
    }
    uint32_t rune = 0;
    uint32_t low = 0;
    TRY(unit_of(text, *at, &rune));
    *at += 4;
    if (rune >= 0xDC00 && rune < 0xE000) {
        return sp_fail(SP_ECORRUPT);
    }
    if (rune >= 0xD800 && rune < 0xDC00) {
        if (*at + 2 > text.len || text.ptr[*at] != '\\' || text.ptr[*at + 1] != 'u') {
            return sp_fail(SP_ECORRUPT);
        }
        TRY(unit_of(text, *at + 2, &low));
        if (low < 0xDC00 || low >= 0xE000) {
            return sp_fail(SP_ECORRUPT);
        }
        *at += 6;
        rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
    }
    *to = put_rune(*to, rune);
    return sp_ok();
}

/* The raw inside of a string; its end is the first quote without a backslash before it. */
static sp_err raw_string(parser *p, sp_span *ret_raw, bool *ret_escaped)
{
    TRY(need(p, '"'));
    bool escaped = false;
    for (size_t i = 0; i < p->rest.len; i++) {
        uint8_t c = p->rest.ptr[i];
        if (c == '"') {
            *ret_raw = sp_span_slice(p->rest, 0, i);
            *ret_escaped = escaped;
            p->rest = sp_span_slice(p->rest, i + 1, p->rest.len);
            return sp_ok();
        }
        if (c < 0x20) {
            return sp_fail(SP_ECORRUPT);
        }
        escaped = escaped || c == '\\';
        i += c == '\\' ? 1 : 0;
    }
    return sp_fail(SP_ECORRUPT);
}

static sp_err string(parser *p, sp_span *ret_text)
{
    sp_span raw = SP_SPAN_EMPTY;
    bool escaped = false;
    TRY(raw_string(p, &raw, &escaped));
    if (!escaped) {
        *ret_text = raw;
        return sp_ok();
    }
    uint8_t *room = sp_buf_room(p->room, raw.len); /* all of it was reserved: it does not move */
    TRY(sp_buf_error(p->room));
    uint8_t *to = room;
    for (size_t i = 0; i < raw.len;) {
        uint8_t c = raw.ptr[i++];
        if (c == '\\') {
            TRY(unescape_one(raw, &i, &to));
        } else {
            *to++ = c;
        }
    }
    sp_buf_grown(p->room, (size_t)(to - room));
    *ret_text = sp_span_of(room, (size_t)(to - room));
    return sp_ok();
}

/* A number, true, false or null, as it is written. */
static sp_err scalar(parser *p, sp_span *ret_text)
{
    size_t len = 0;
    while (len < p->rest.len && (sp_is_alnum(p->rest.ptr[len]) || p->rest.ptr[len] == '-' ||
                                 p->rest.ptr[len] == '+' || p->rest.ptr[len] == '.')) {
        len++;
    }
    *ret_text = sp_span_slice(p->rest, 0, len);
    p->rest = sp_span_slice(p->rest, len, p->rest.len);
    return len == 0 ? sp_fail(SP_ECORRUPT) : sp_ok();
}

/* The detail is kept as it stands: a whole object, whatever is in it. */
static sp_err raw_object(parser *p, sp_span *ret_text)
{
    sp_span whole = p->rest;
    unsigned open = 0;
    while (p->rest.len > 0) {
        uint8_t c = peek(p);
        sp_span ignored = SP_SPAN_EMPTY;
        bool escaped = false;
        if (c == '"') {
            TRY(raw_string(p, &ignored, &escaped));
            continue;
        }
        (void)take(p, c);
        open += c == '{' || c == '[' ? 1U : 0U;
        open -= c == '}' || c == ']' ? 1U : 0U;
        if (open == 0) {
            *ret_text = sp_span_slice(whole, 0, whole.len - p->rest.len);
            return sp_ok();
        }
    }
    return sp_fail(SP_ECORRUPT);
}

static bool at_path(const parser *p, const char *path)
{
    return strcmp(p->path, path) == 0;
}

static sp_err value(parser *p);

static sp_err one_event(parser *p)
{
    draft event = p->base;
    size_t texts = p->room->len;
    if (p->count >= EVENTS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    p->into = &event;
    p->path_len = 0;
    p->path[0] = '\0';
    TRY(value(p));
    p->visit(p->self, &event.event, (uint16_t)p->count++);
    p->into = &p->base;
    p->room->len = texts;
    return sp_ok();
}

static sp_err list(parser *p)
{
    bool events = p->into == &p->base && at_path(p, "events");
    TRY(need(p, '['));
    if (take(p, ']')) {
        p->has_events = p->has_events || events;
        return sp_ok();
    }
    do {
        TRY(events ? one_event(p) : value(p));
    } while (take(p, ','));
    p->has_events = p->has_events || events;
    return need(p, ']');
}

/* Longer paths than ours have no meaning: they end in one that fits no field. */
static void enter(parser *p, sp_span key)
{
    size_t room = PATH_MAX_BYTES - 1 - p->path_len;
    if (p->path_len > 0 && room > 0) {
        p->path[p->path_len++] = '.';
        room--;
    }
    size_t len = key.len < room ? key.len : room;
    sp_copy(p->path + p->path_len, key.ptr, len);
    p->path_len += len;
    p->path[p->path_len] = '\0';
}

static sp_err object(parser *p)
{
    size_t outer = p->path_len;
    TRY(need(p, '{'));
    if (take(p, '}')) {
        return sp_ok();
    }
    do {
        sp_span key = SP_SPAN_EMPTY;
        TRY(string(p, &key));
        TRY(need(p, ':'));
        enter(p, key);
        TRY(value(p));
        p->path_len = outer;
        p->path[outer] = '\0';
    } while (take(p, ','));
    return need(p, '}');
}

static sp_err value(parser *p)
{
    sp_span text = SP_SPAN_EMPTY;
    switch (peek(p)) {
    case '{':
        if (at_path(p, "unmapped.detail")) {
            TRY(raw_object(p, &text));
            break;
        }
        if (++p->depth > DEPTH_MAX) {
            return sp_fail(SP_ECORRUPT);
        }
        TRY(object(p));
        p->depth--;
        return sp_ok();
    case '[':
        if (++p->depth > DEPTH_MAX) {
            return sp_fail(SP_ECORRUPT);
        }
        TRY(list(p));
        p->depth--;
        return sp_ok();
    case '"':
        TRY(string(p, &text));
        break;
    default:
        TRY(scalar(p, &text));
        break;
    }
    return leaf(p, text);
}

sp_err sp_ocsf_read(sp_span json, sp_buf *room, sp_ocsf_visit visit, void *self)
{
    parser p = {.rest = json, .room = room, .visit = visit, .self = self};
    p.base.event.verdict = SP_VERDICT_ALLOW;
    p.into = &p.base;
    sp_buf_reset(room);
    if (sp_buf_room(room, json.len) == NULL && json.len > 0) {
        return sp_buf_error(room);
    }
    if (peek(&p) != '{') {
        return sp_fail(SP_ECORRUPT);
    }
    TRY(value(&p));
    if (p.rest.len > 0) {
        return sp_fail(SP_ECORRUPT);
    }
    if (!p.has_events) {
        visit(self, &p.base.event, 0);
    }
    return sp_ok();
}

/* ---- without JSON ---- */

bool sp_ocsf_is_exact(const sp_event *event)
{
    const uint64_t numbers[] = {event->device, event->policy_version, event->bytes_in,
                                event->bytes_out, event->count};
    const sp_span texts[] = {event->person_name, event->device_name, event->resource,
                             event->class_name,  event->rule,        event->method,
                             event->object,      event->detail};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        if (numbers[i] > INT64_MAX) {
            return false;
        }
    }
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        if (!sp_span_is_utf8(texts[i])) {
            return false;
        }
    }
    return event->reference <= REFERENCE_MAX &&
           (event->detail.len == 0 || sp_json_is_object(event->detail));
}

/* Whether the class has one name, which is the object's. */
static bool has_one_name(const sp_event *event)
{
    switch (sp_ocsf_type_of(event).class_uid) {
    case CLASS_DETECTION:
    case CLASS_INCIDENT:
    case CLASS_ACCOUNT_CHANGE:
    case CLASS_ENTITY:
    case CLASS_LIFECYCLE:
        return true;
    default:
        return false;
    }
}

void sp_ocsf_as_read(sp_event *event)
{
    event->when_unix_us = event->when_unix_us / 1000 * 1000;
    if (event->kind != SP_EVENT_DECISION && event->kind != SP_EVENT_CLOSE &&
        event->kind != SP_EVENT_SIGN_IN) {
        event->verdict = SP_VERDICT_ALLOW;
        event->reason = SP_REASON_NONE;
        event->action = SP_ACTION_CONNECT;
    }
    if (event->class_name.len == 0) {
        event->class_level = 0;
    }
    if (event->device == 0) {
        event->device_name = SP_SPAN_EMPTY;
    }
    if (event->object.len == 0 && has_one_name(event)) {
        event->object = event->resource;
    }
}
