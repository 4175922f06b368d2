/* SPDX-License-Identifier: Apache-2.0
 * An engine's state as bytes: for each detection its document's hash and its slots, oldest first,
 * as numbers of one to ten bytes (most words are zero).
 * OWNS nothing. PROCESS watch, cli. TRUST the bytes were sealed by us; they are checked all the
 * same. SPEC lib/detect/engine.h.
 */
#include "lib/detect/parts.h"

enum { VERSION = 2, VERSION_FLAGS = 1, VARINT_MAX_BYTES = 10 };

static void put_varint(sp_buf *out, uint64_t value)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    size_t count = 0;
    while (value >= 0x80) {
        bytes[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[count++] = (uint8_t)value;
    sp_buf_span(out, sp_span_of(bytes, count));
}

static uint64_t get_varint(sp_reader *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX_BYTES; i++) {
        uint8_t byte = sp_read_u8(in);
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    sp_reader_fail(in, SP_EINVALID);
    return 0;
}

void sp_detect_engine_save(const sp_detect_engine *engine, sp_buf *out)
{
    sp_buf_u8(out, VERSION);
    sp_buf_u64(out, engine->seed[0]);
    sp_buf_u64(out, engine->seed[1]);
    sp_buf_u64(out, engine->latest_us);
    sp_buf_u32(out, (uint32_t)engine->program.rules_count);
    for (size_t i = 0; i < engine->program.rules_count; i++) {
        const running *r = &engine->rules[i];
        sp_buf_bytes(out, r->rule->name);
        sp_buf_span(out, sp_hash_borrow(&r->rule->version));
        sp_buf_u32(out, r->slots.slot_words);
        sp_buf_u32(out, r->slots.count);
        for (uint32_t at = r->slots.oldest; at != TABLE_NONE; at = r->slots.links[at].newer) {
            const uint64_t *slot = table_slot(&r->slots, at);
            for (uint32_t w = 0; w < r->slots.slot_words; w++) {
                put_varint(out, slot[w]);
            }
        }
    }
}

typedef struct {
    sp_span name;
    sp_hash version;
    uint32_t slot_words;
    uint32_t slots;
} section;

static section get_section(sp_reader *in)
{
    section s = {.name = sp_read_bytes(in, SP_NAME_MAX_BYTES)};
    sp_span version = sp_read_span(in, SP_SHA256_BYTES);
    sp_copy(s.version.bytes, version.ptr, version.len);
    s.slot_words = sp_read_u32(in);
    s.slots = sp_read_u32(in);
    bool good = s.slot_words >= SLOT_HEAD && s.slot_words <= UINT16_MAX &&
                s.slots <= SP_DETECT_KEYS_MAX &&
                (uint64_t)s.slots * s.slot_words <= in->rest.len; /* a byte each at least */
    if (!good) {
        sp_reader_fail(in, SP_EINVALID);
        s.slots = 0;
    }
    return s;
}

static running *same_rule(const sp_detect_engine *engine, const section *s)
{
    for (size_t i = 0; i < engine->program.rules_count; i++) {
        running *r = &engine->rules[i];
        if (sp_span_eq(r->rule->name, s->name) && sp_hash_eq(&r->rule->version, &s->version) &&
            r->slots.slot_words == s->slot_words) {
            return r;
        }
    }
    return NULL;
}

/* Words of one slot, into the table when there is one for it. latest_us: when it was saved. */
static void get_slot(sp_detect_engine *engine, running *r, const section *s, uint64_t latest_us,
                     sp_reader *in)
{
    const table_key key = {get_varint(in), get_varint(in)};
    bool is_new = false;
    uint64_t *slot = r == NULL || sp_failed(in->err)
                         ? NULL
                         : table_take(&r->slots, key, latest_us, &engine->room, &is_new);
    for (uint32_t w = SLOT_KEY1 + 1; w < s->slot_words; w++) {
        uint64_t word = get_varint(in);
        if (slot != NULL) {
            slot[w] = word;
        }
    }
}

/* Before, what is absent kept 1 when that was told, else 0, and not for how long it stayed away. */
static void take_flags(sp_detect_engine *engine)
{
    for (size_t i = 0; i < engine->program.rules_count; i++) {
        running *r = &engine->rules[i];
        for (uint32_t at = 0; r->rule->op == SP_DETECT_ABSENT && at < r->slots.count; at++) {
            uint64_t *word = table_slot(&r->slots, at) + r->area;
            *word = *word == 1 ? ABSENT_SAID : *word;
        }
    }
}

sp_err sp_detect_engine_load(sp_detect_engine *engine, sp_span state)
{
    sp_reader in = sp_reader_of(state);
    uint8_t version = sp_read_u8(&in);
    if (version != VERSION && version != VERSION_FLAGS) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    uint64_t seed[2] = {sp_read_u64(&in), sp_read_u64(&in)};
    uint64_t latest_us = sp_read_u64(&in);
    uint32_t sections = sp_read_u32(&in);
    for (uint32_t i = 0; i < sections && !sp_failed(in.err); i++) {
        section s = get_section(&in);
        running *r = same_rule(engine, &s);
        for (uint32_t k = 0; k < s.slots && !sp_failed(in.err); k++) {
            get_slot(engine, r, &s, latest_us, &in);
        }
    }
    sp_err err = sp_reader_finish(&in);
    if (sp_failed(err)) {
        for (size_t i = 0; i < engine->program.rules_count; i++) {
            table *t = &engine->rules[i].slots;
            engine->room += table_bytes(t);
            table_done(t);
        }
        return err;
    }
    engine->seed[0] = seed[0];
    engine->seed[1] = seed[1];
    engine->latest_us = latest_us;
    if (version == VERSION_FLAGS) {
        take_flags(engine);
    }
    return sp_ok();
}
