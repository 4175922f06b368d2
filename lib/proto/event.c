/* SPDX-License-Identifier: Apache-2.0
 * Encoding events field by field, and their words.
 * OWNS nothing. PROCESS gates and roles encode, ledger decodes. TRUST decoded bytes are hostile.
 * SPEC lib/proto/event.h.
 *
 * version u8 | ten one-byte fields | peer 16 | numbers as LEB128 varints | spans as varint length
 * and bytes. Varints keep a web request's event near 150 bytes.
 */
#include "lib/proto/event.h"

enum { VERSION = 2, VARINT_MAX_BYTES = 10, PEER_BYTES = 16 };
enum { FIXED_BYTES = 1 + 10 + PEER_BYTES };

enum { NUMBERS = 11 + SP_ROLE_WORDS, SPANS = 8 };
_Static_assert(SP_ROLE_WORDS == 4, "flatten names each word");
typedef struct {
    uint64_t numbers[NUMBERS];
    sp_span spans[SPANS];
} flat;

static flat flatten(const sp_event *event)
{
    sp_span object = sp_span_slice(event->object, 0, SP_EVENT_OBJECT_MAX_BYTES);
    return (flat){
        .numbers = {event->when_unix_us, event->reference, event->session, event->device,
                    event->policy_version, event->bytes_in, event->bytes_out, event->count,
                    event->person, event->duration_us, event->status, event->roles[0],
                    event->roles[1], event->roles[2], event->roles[3]},
        .spans = {event->person_name, event->device_name, event->resource, event->class_name,
                  event->rule, event->method, object, event->detail},
    };
}

static size_t span_max(size_t which)
{
    return which == 7 ? SP_EVENT_DETAIL_MAX_BYTES
                      : (which == 6 ? SP_EVENT_OBJECT_MAX_BYTES : SP_NAME_MAX_BYTES);
}

static size_t varint_size(uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

static uint8_t *varint_put(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static size_t flat_size(const flat *f)
{
    size_t size = FIXED_BYTES;
    for (size_t i = 0; i < NUMBERS; i++) {
        size += varint_size(f->numbers[i]);
    }
    for (size_t i = 0; i < SPANS; i++) {
        size += varint_size(f->spans[i].len) + f->spans[i].len;
    }
    return size;
}

size_t sp_event_size(const sp_event *event)
{
    flat f = flatten(event);
    return flat_size(&f);
}

size_t sp_event_most(const sp_event *event)
{
    enum { LEN_MAX_BYTES = 3 }; /* of a text no longer than SP_EVENT_MAX_BYTES */
    size_t object = event->object.len < SP_EVENT_OBJECT_MAX_BYTES ? event->object.len
                                                                  : SP_EVENT_OBJECT_MAX_BYTES;
    return FIXED_BYTES + NUMBERS * VARINT_MAX_BYTES + SPANS * LEN_MAX_BYTES +
           event->person_name.len + event->device_name.len + event->resource.len +
           event->class_name.len + event->rule.len + event->method.len + object + event->detail.len;
}

size_t sp_event_write(const sp_event *event, uint8_t *room)
{
    const uint8_t *start = room;
    flat f = flatten(event);
    const uint8_t fixed[] = {VERSION,       event->kind,        event->severity, event->gate,
                             event->action, event->class_level, event->verdict,  event->reason,
                             event->owner,  event->posture,     event->strength};
    _Static_assert(sizeof(fixed) + PEER_BYTES == FIXED_BYTES, "one byte each");
    sp_copy(room, fixed, sizeof(fixed));
    room += sizeof(fixed);
    sp_copy(room, event->peer, PEER_BYTES);
    room += PEER_BYTES;
    for (size_t i = 0; i < NUMBERS; i++) {
        room = varint_put(room, f.numbers[i]);
    }
    for (size_t i = 0; i < SPANS; i++) {
        room = varint_put(room, f.spans[i].len);
        sp_copy(room, f.spans[i].ptr, f.spans[i].len);
        room += f.spans[i].len;
    }
    return (size_t)(room - start);
}

sp_err sp_event_encode(const sp_event *event, sp_buf *out)
{
    flat f = flatten(event);
    for (size_t i = 0; i < SPANS; i++) {
        if (f.spans[i].len > span_max(i)) {
            return sp_fail(SP_ELIMIT);
        }
    }
    size_t size = flat_size(&f);
    uint8_t *room = sp_buf_room(out, size);
    TRY(sp_buf_error(out));
    sp_buf_grown(out, sp_event_write(event, room));
    return sp_ok();
}

static uint64_t varint_read_long(sp_reader *in, uint64_t max)
{
    sp_span rest = in->rest;
    uint64_t value = 0;
    size_t i = 0;
    for (; i < VARINT_MAX_BYTES && i < rest.len; i++) {
        uint64_t low = rest.ptr[i] & 0x7F;
        if (i == VARINT_MAX_BYTES - 1 && low > 1) {
            break;
        }
        value |= low << (7 * i);
        if ((rest.ptr[i] & 0x80) == 0) {
            if (value > max) {
                break;
            }
            (void)sp_read_span(in, i + 1);
            return value;
        }
    }
    sp_reader_fail(in, i == rest.len ? SP_ESHORT : SP_ELIMIT);
    return 0;
}

/* Most take one byte. */
static inline uint64_t varint_read(sp_reader *in, uint64_t max)
{
    uint8_t first = in->rest.len == 0 ? 0xFF : in->rest.ptr[0];
    if (first >= 0x80 || first > max) {
        return varint_read_long(in, max);
    }
    in->rest = (sp_span){in->rest.ptr + 1, in->rest.len - 1};
    return first;
}

sp_err sp_event_decode(sp_span bytes, sp_event *ret_event)
{
    sp_reader in = sp_reader_of(bytes);
    sp_event e = {0};
    if (sp_read_u8(&in) != VERSION) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    e.kind = sp_read_enum(&in, SP_EVENT_KIND_COUNT);
    e.severity = sp_read_enum(&in, SP_SEVERITY_COUNT);
    e.gate = sp_read_enum(&in, SP_GATE_COUNT);
    e.action = sp_read_enum(&in, SP_ACTION_COUNT);
    e.class_level = sp_read_enum(&in, SP_CLASSES_MAX);
    e.verdict = sp_read_enum(&in, SP_VERDICT_COUNT);
    e.reason = sp_read_enum(&in, SP_REASON_COUNT);
    e.owner = sp_read_enum(&in, SP_OWNER_COUNT);
    e.posture = sp_read_enum(&in, SP_POSTURE_COUNT);
    e.strength = sp_read_enum(&in, SP_STRENGTH_COUNT);
    sp_span peer = sp_read_span(&in, PEER_BYTES);
    sp_copy(e.peer, peer.ptr, peer.len);
    e.when_unix_us = varint_read(&in, UINT64_MAX);
    e.reference = varint_read(&in, UINT64_MAX);
    e.session = varint_read(&in, UINT64_MAX);
    e.device = varint_read(&in, UINT64_MAX);
    e.policy_version = varint_read(&in, UINT64_MAX);
    e.bytes_in = varint_read(&in, UINT64_MAX);
    e.bytes_out = varint_read(&in, UINT64_MAX);
    e.count = varint_read(&in, UINT64_MAX);
    e.person = (uint32_t)varint_read(&in, UINT32_MAX);
    e.duration_us = (uint32_t)varint_read(&in, UINT32_MAX);
    e.status = (uint16_t)varint_read(&in, UINT16_MAX);
    for (size_t i = 0; i < SP_ROLE_WORDS; i++) {
        e.roles[i] = varint_read(&in, UINT64_MAX);
    }
    sp_span *spans[SPANS] = {&e.person_name, &e.device_name, &e.resource, &e.class_name,
                             &e.rule,        &e.method,      &e.object,   &e.detail};
    for (size_t i = 0; i < SPANS; i++) {
        size_t len = (size_t)varint_read(&in, span_max(i));
        *spans[i] = sp_read_span(&in, len);
    }
    TRY(sp_reader_finish(&in));
    *ret_event = e;
    return sp_ok();
}

static const char *word_at(const char *const *words, size_t count, size_t at)
{
    return at < count ? words[at] : "?";
}

const char *sp_event_kind_word(sp_event_kind kind)
{
    static const char *const words[] = {
        "decision", "close",    "sign-in",   "sign-out", "session-end", "identity",  "device",
        "policy",   "admin",    "role",      "loss",     "gap",         "heartbeat", "redaction",
        "read",     "approval", "recording", "alarm",    "incident",    "plan",      "notice"};
    _Static_assert(SP_COUNT(words) == SP_EVENT_KIND_COUNT, "a word for each kind");
    return word_at(words, SP_COUNT(words), kind);
}

const char *sp_severity_word(sp_severity severity)
{
    static const char *const words[] = {"info", "low", "medium", "high", "critical"};
    _Static_assert(SP_COUNT(words) == SP_SEVERITY_COUNT, "a word for each severity");
    return word_at(words, SP_COUNT(words), severity);
}

const char *sp_gate_word(sp_gate gate)
{
    static const char *const words[] = {"none", "web", "ssh", "db", "net", "mail"};
    _Static_assert(SP_COUNT(words) == SP_GATE_COUNT, "a word for each gate");
    return word_at(words, SP_COUNT(words), gate);
}

static const char CROCKFORD[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void sp_reference_text(uint64_t reference, char ret_text[SP_REFERENCE_TEXT_BYTES])
{
    for (size_t group = 0; group < 3; group++) { /* each event has one */
        uint64_t bits = reference >> (40 - 20 * group);
        char *at = ret_text + 5 * group;
        at[0] = CROCKFORD[(bits >> 15) & 31];
        at[1] = CROCKFORD[(bits >> 10) & 31];
        at[2] = CROCKFORD[(bits >> 5) & 31];
        at[3] = CROCKFORD[bits & 31];
        at[4] = group < 2 ? '-' : '\0';
    }
}

static int crockford_value(uint8_t byte)
{
    if (byte >= 'a' && byte <= 'z') {
        byte = (uint8_t)(byte - 'a' + 'A');
    }
    if (byte == 'I' || byte == 'L') {
        return 1;
    }
    if (byte == 'O') {
        return 0;
    }
    for (int i = 0; i < 32; i++) {
        if ((uint8_t)CROCKFORD[i] == byte) {
            return i;
        }
    }
    return -1;
}

sp_err sp_reference_of(sp_span text, uint64_t *ret_reference)
{
    uint64_t value = 0;
    unsigned digits = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '-') {
            continue;
        }
        int digit = crockford_value(text.ptr[i]);
        if (digit < 0 || ++digits > 12) {
            return sp_fail(SP_EINVALID);
        }
        value = (value << 5) | (uint64_t)digit;
    }
    if (digits != 12) {
        return sp_fail(SP_EINVALID);
    }
    *ret_reference = value;
    return sp_ok();
}
