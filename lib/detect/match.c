/* SPDX-License-Identifier: Apache-2.0
 * Whether an event is one of those that a detection counts, and what it says of itself.
 * OWNS nothing. PROCESS watch, cli. TRUST events are hostile; the program was checked.
 * SPEC lib/detect/program.h.
 */
#include "lib/detect/parts.h"

enum { MAPPED_BYTES = 12, V4_NETWORK_BYTES = 15, V6_NETWORK_BYTES = 6, PEER_BYTES = 16 };

static bool is_one_of(const sp_detect_program *p, sp_detect_run run, sp_span text)
{
    for (uint32_t i = 0; i < run.count; i++) {
        if (sp_span_eq(p->texts[run.at + i], text)) {
            return true;
        }
    }
    return false;
}

static inline bool any_text(const sp_detect_program *p, sp_detect_run run, sp_span text)
{
    return run.count == 0 || is_one_of(p, run, text);
}

static bool any_glob(const sp_detect_program *p, sp_detect_run run, sp_span text)
{
    for (uint32_t i = 0; i < run.count; i++) {
        if (sp_detect_glob(p->texts[run.at + i], text)) {
            return true;
        }
    }
    return run.count == 0;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool holds(sp_span text, sp_span needle)
{
    for (size_t i = 0; i + needle.len <= text.len; i++) {
        size_t k = 0;
        while (k < needle.len && lower(text.ptr[i + k]) == lower(needle.ptr[k])) {
            k++;
        }
        if (k == needle.len) {
            return true;
        }
    }
    return false;
}

static bool any_status(const sp_detect_program *p, sp_detect_run run, uint16_t status)
{
    for (uint32_t i = 0; i < run.count; i++) {
        uint64_t wanted = 0;
        if (!sp_failed(sp_span_to_u64(p->texts[run.at + i], UINT16_MAX, &wanted)) &&
            wanted == status) {
            return true;
        }
    }
    return run.count == 0;
}

static bool all_held(const sp_detect_program *p, sp_detect_run run, const sp_event *event)
{
    for (uint32_t i = 0; i < run.count; i++) {
        sp_span needle = p->texts[run.at + i];
        if (!holds(event->object, needle) && !holds(event->detail, needle)) {
            return false;
        }
    }
    return true;
}

static bool any_range(const sp_detect_program *p, sp_detect_run run, const uint8_t peer[16])
{
    for (uint32_t i = 0; i < run.count; i++) {
        if (sp_address_in(&p->ranges[run.at + i], peer)) {
            return true;
        }
    }
    return run.count == 0;
}

static bool in_schedule(const sp_detect_schedule *s, uint64_t when_unix_us)
{
    int64_t now = (int64_t)(when_unix_us / 1000000);
    int32_t offset = s->steps[0].offset_s;
    for (size_t i = 1; i < s->steps_count && s->steps[i].from_unix_s <= now; i++) {
        offset = s->steps[i].offset_s;
    }
    int64_t local = now + offset;
    local = local < 0 ? 0 : local;
    unsigned minute = (unsigned)(local / 60 % 1440);
    unsigned day = (unsigned)((local / 86400 + 3) % 7); /* 1970-01-01 was a Thursday */
    bool today = (s->days >> day & 1) != 0;
    bool yesterday = (s->days >> ((day + 6) % 7) & 1) != 0;
    if (s->from_minute < s->to_minute) {
        return today && minute >= s->from_minute && minute < s->to_minute;
    }
    return (today && minute >= s->from_minute) || (yesterday && minute < s->to_minute);
}

static bool bit(uint32_t bits, unsigned at)
{
    return bits == 0 || (bits >> at & 1) != 0;
}

static bool facts_hold(const sp_detect_match *m, const sp_event *e)
{
    return bit(m->kinds, e->kind) && bit(m->gates, e->gate) && bit(m->verdicts, e->verdict) &&
           bit(m->actions, e->action) && bit(m->reasons, e->reason) && bit(m->owners, e->owner) &&
           bit(m->postures, e->posture) && bit(m->strengths, e->strength) &&
           bit(m->severities, e->severity) && e->bytes_out >= m->bytes;
}

static bool person_holds(const sp_detect_program *p, const sp_detect_match *m, const sp_event *e)
{
    if ((m->flags & SP_DETECT_KNOWN) != 0 && e->person == 0) {
        return false;
    }
    if ((m->flags & SP_DETECT_SELF) != 0 &&
        (e->person_name.len == 0 || !sp_span_eq(e->object, e->person_name))) {
        return false;
    }
    if ((m->flags & SP_DETECT_HAS_ROLES) != 0) {
        uint64_t common = 0;
        for (size_t i = 0; i < SP_ROLE_WORDS; i++) {
            common |= m->roles[i] & e->roles[i];
        }
        if (common == 0) {
            return false;
        }
    }
    return any_text(p, m->people, e->person_name);
}

bool detect_match(const sp_detect_program *p, const sp_detect_match *m, const sp_event *e)
{
    if (!facts_hold(m, e) || !person_holds(p, m, e)) {
        return false;
    }
    if (m->schedule != SP_NONE && in_schedule(&p->schedules[m->schedule], e->when_unix_us) ==
                                      ((m->flags & SP_DETECT_OUTSIDE) != 0)) {
        return false;
    }
    return any_text(p, m->resources, e->resource) && any_text(p, m->classes, e->class_name) &&
           any_text(p, m->methods, e->method) && any_glob(p, m->objects, e->object) &&
           any_status(p, m->statuses, e->status) && any_range(p, m->networks, e->peer) &&
           all_held(p, m->contains, e);
}

/* ---- fields ---- */

static bool is_v4(const uint8_t peer[16])
{
    static const uint8_t mapped[MAPPED_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return sp_span_eq((sp_span){peer, MAPPED_BYTES}, (sp_span){mapped, MAPPED_BYTES});
}

bool detect_is_v4(const sp_event *e)
{
    return is_v4(e->peer);
}

static bool has_peer(const sp_event *e)
{
    uint8_t any = 0;
    for (size_t i = 0; i < PEER_BYTES; i++) {
        any |= e->peer[i];
    }
    return any != 0;
}

/* Whom it is about: by number where there is one, since names come back; else the name tried. */
static sp_span person_of(const sp_event *e)
{
    if (e->person != 0) {
        return sp_span_of(&e->person, sizeof(e->person));
    }
    return e->person_name.len > 0 || e->kind != SP_EVENT_SIGN_IN ? e->person_name : e->object;
}

sp_span detect_field(const sp_event *e, sp_detect_field field, const sp_detect_place *place)
{
    switch (field) {
    case SP_DETECT_PERSON:
        return person_of(e);
    case SP_DETECT_PEER:
        return has_peer(e) ? sp_span_of(e->peer, PEER_BYTES) : SP_SPAN_EMPTY;
    case SP_DETECT_NETWORK:
        return has_peer(e)
                   ? sp_span_of(e->peer, is_v4(e->peer) ? V4_NETWORK_BYTES : V6_NETWORK_BYTES)
                   : SP_SPAN_EMPTY;
    case SP_DETECT_DEVICE:
        return e->device != 0 ? sp_span_of(&e->device, sizeof(e->device)) : SP_SPAN_EMPTY;
    case SP_DETECT_SESSION:
        return e->session != 0 ? sp_span_of(&e->session, sizeof(e->session)) : SP_SPAN_EMPTY;
    case SP_DETECT_RESOURCE:
        return e->resource;
    case SP_DETECT_GATE:
        return sp_span_of(&e->gate, sizeof(e->gate));
    case SP_DETECT_CLASS:
        return e->class_name;
    case SP_DETECT_OBJECT:
        return e->object;
    case SP_DETECT_COUNTRY:
        return place == NULL ? SP_SPAN_EMPTY : sp_span_of(place->country, sizeof(place->country));
    case SP_DETECT_FIELD_COUNT:
        break;
    }
    return SP_SPAN_EMPTY;
}

/* ---- in words ---- */

void detect_clean(sp_span text, size_t max_bytes, sp_buf *out)
{
    size_t len = text.len > max_bytes ? max_bytes : text.len;
    while (len > 0 && len < text.len && (text.ptr[len] & 0xC0) == 0x80) {
        len--;
    }
    text = sp_span_slice(text, 0, len);
    bool good = sp_span_is_utf8(text);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        sp_buf_byte(out, c < 0x20 || c == 0x7F || (!good && c >= 0x80) ? '?' : c);
    }
}

static void put_peer(const uint8_t peer[16], bool network, sp_buf *out)
{
    if (is_v4(peer)) {
        sp_buf_fmt(out, "%u.%u.%u.", peer[12], peer[13], peer[14]);
        sp_buf_fmt(out, network ? "0/24" : "%u", peer[15]);
        return;
    }
    for (size_t i = 0; i < (network ? V6_NETWORK_BYTES : PEER_BYTES); i += 2) {
        sp_buf_fmt(out, "%s%x", i == 0 ? "" : ":", peer[i] << 8 | peer[i + 1]);
    }
    sp_buf_text(out, network ? "::/48" : "");
}

void detect_field_text(const sp_event *e, sp_detect_field field, const sp_detect_place *place,
                       sp_buf *out)
{
    enum { SHOWN_BYTES = 120 };
    sp_span text = detect_field(e, field, place);
    switch (field) {
    case SP_DETECT_PERSON:
        if (e->person_name.len == 0 && e->person != 0) {
            sp_buf_fmt(out, "#%u", e->person);
            return;
        }
        detect_clean(e->person != 0 ? e->person_name : text, SP_NAME_MAX_BYTES, out);
        return;
    case SP_DETECT_PEER:
    case SP_DETECT_NETWORK:
        put_peer(e->peer, field == SP_DETECT_NETWORK, out);
        return;
    case SP_DETECT_DEVICE:
        if (e->device_name.len == 0) {
            sp_buf_fmt(out, "#%llu", (unsigned long long)e->device);
            return;
        }
        detect_clean(e->device_name, SP_NAME_MAX_BYTES, out);
        return;
    case SP_DETECT_SESSION:
        sp_buf_fmt(out, "%016llx", (unsigned long long)e->session);
        return;
    case SP_DETECT_GATE:
        sp_buf_text(out, sp_gate_word((sp_gate)e->gate));
        return;
    case SP_DETECT_RESOURCE:
    case SP_DETECT_CLASS:
    case SP_DETECT_OBJECT:
    case SP_DETECT_COUNTRY:
    case SP_DETECT_FIELD_COUNT:
        break;
    }
    detect_clean(text, SHOWN_BYTES, out);
}
