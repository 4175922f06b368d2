/* SPDX-License-Identifier: Apache-2.0
 * Events into sealed records. This is the path of every event: one copy, one decode, one render,
 * one seal a record.
 * OWNS its items and their bytes. PROCESS ledger. TRUST event bytes are hostile.
 * SPEC ledger/batch.h.
 */
#include "ledger/batch.h"

#include "infra/crypto/random.h"
#include "lib/proto/ocsf.h"

enum {
    CHAINS = 32 * 1024, /* power of two, twice the items */
    RECORD_TEXT_BYTES = 26 * 1024,
    TRIM_ITEMS = 1024
};
_Static_assert(CHAINS >= 2 * SP_BATCH_ITEMS_MAX, "chains stay half empty");
_Static_assert(RECORD_TEXT_BYTES + SP_OCSF_COMMON_MAX_BYTES + SP_OCSF_EVENT_MAX_BYTES +
                       SP_RECORD_HEAD_BYTES + SP_RECORD_TAG_BYTES + 64 <=
                   SP_RECORD_MAX_BYTES,
               "a record with one more event always fits");
_Static_assert(2 * SP_EVENT_MAX_BYTES <= SP_BATCH_BYTES_MAX, "an event always fits an empty batch");

void sp_batch_init(sp_batch *batch)
{
    *batch = (sp_batch){.record_events_max = SP_BATCH_RECORD_EVENTS_MAX};
}

void sp_batch_done(sp_batch *batch)
{
    sp_free(batch->items);
    sp_free(batch->bytes);
    sp_free(batch->heads);
    sp_free(batch->tails);
    *batch = (sp_batch){.record_events_max = batch->record_events_max};
}

void sp_batch_reset(sp_batch *batch)
{
    batch->count = 0;
    batch->used = 0;
}

void sp_batch_trim(sp_batch *batch)
{
    if (batch->count == 0 && batch->cap > TRIM_ITEMS) {
        sp_batch_done(batch);
    }
}

bool sp_batch_is_full(const sp_batch *batch)
{
    return batch->count >= SP_BATCH_ITEMS_MAX ||
           batch->used + SP_EVENT_MAX_BYTES > SP_BATCH_BYTES_MAX;
}

static sp_err make_room(sp_batch *batch)
{
    if (batch->bytes == NULL) {
        TRY(sp_alloc(SP_BATCH_BYTES_MAX, 1, &batch->bytes)); /* resident only where touched */
    }
    if (batch->heads == NULL) {
        TRY(sp_alloc(CHAINS, sizeof(*batch->heads), &batch->heads));
    }
    if (batch->tails == NULL) {
        TRY(sp_alloc(CHAINS, sizeof(*batch->tails), &batch->tails));
    }
    if (batch->count == batch->cap) {
        size_t cap = batch->cap == 0 ? 256 : batch->cap * 2;
        TRY(sp_resize(&batch->items, cap, sizeof(*batch->items)));
        batch->cap = cap;
    }
    return sp_ok();
}

/* What gates write, each of itself: everything else is the word of roles that decide. */
static bool is_of_gate(const sp_event *event, uint8_t gate)
{
    static const uint32_t kinds =
        1U << SP_EVENT_DECISION | 1U << SP_EVENT_CLOSE | 1U << SP_EVENT_RECORDING;
    return event->gate == gate && (kinds >> event->kind & 1U) != 0;
}

sp_err sp_batch_add(sp_batch *batch, sp_span event, const sp_batch_from *from)
{
    if (sp_batch_is_full(batch) || event.len > SP_EVENT_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(make_room(batch));
    uint8_t *copy = batch->bytes + batch->used;
    sp_copy(copy, event.ptr, event.len);
    sp_batch_item *item = &batch->items[batch->count];
    TRY(sp_event_decode((sp_span){copy, event.len}, &item->event));
    if (from->gate != SP_GATE_NONE && !is_of_gate(&item->event, from->gate)) {
        return sp_fail(SP_EDENIED);
    }
    item->bytes = (sp_span){copy, event.len};
    item->source = from->source;
    item->seq = from->seq;
    item->source_name = from->source_name;
    item->open = from->open;
    batch->used += event.len;
    batch->count++;
    return sp_ok();
}

/* ---- chains: events that share a record ---- */

static uint32_t chain_home(const sp_batch_item *item)
{
    const sp_event *e = &item->event;
    uint64_t peer = 0;
    sp_copy(&peer, e->peer + 8, sizeof(peer));
    uint64_t hash = e->session * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= ((uint64_t)e->person << 8 ^ e->kind ^ item->source) * UINT64_C(0xC2B2AE3D27D4EB4F);
    hash ^= (peer ^ e->device << 32) * UINT64_C(0x165667B19E3779F9);
    return (uint32_t)(hash >> 40) & (CHAINS - 1);
}

static bool same_record(const sp_batch_item *a, const sp_batch_item *b)
{
    return a->source == b->source && a->open == b->open &&
           sp_ocsf_same_common(&a->event, &b->event);
}

/* Links every item behind the one before it of the same record; a full chain table cannot be. */
static void link_items(sp_batch *batch)
{
    for (size_t i = 0; i < CHAINS; i++) {
        batch->heads[i] = SP_BATCH_NONE;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        sp_batch_item *item = &batch->items[i];
        item->next = SP_BATCH_NONE;
        item->record = SP_BATCH_NONE;
        uint32_t home = chain_home(item);
        while (batch->heads[home] != SP_BATCH_NONE &&
               !same_record(&batch->items[batch->heads[home]], item)) {
            home = (home + 1) & (CHAINS - 1);
        }
        if (batch->heads[home] == SP_BATCH_NONE) {
            batch->heads[home] = i;
        } else {
            batch->items[batch->tails[home]].next = i;
        }
        batch->tails[home] = i;
    }
}

/* ---- records ---- */

static void take_salt(sp_batch *batch, uint8_t salt[SP_RECORD_SALT_BYTES])
{
    if (batch->salts_left < SP_RECORD_SALT_BYTES) {
        sp_random(batch->salts, sizeof(batch->salts));
        batch->salts_left = sizeof(batch->salts);
    }
    batch->salts_left -= SP_RECORD_SALT_BYTES;
    sp_copy(salt, batch->salts + batch->salts_left, SP_RECORD_SALT_BYTES);
}

typedef struct {
    sp_batch *batch;
    sp_keys *keys;
    uint64_t now_unix_us;
    sp_group *group;
} builder;

/* From what the oldest event says of itself to when the ledger writes: how old an entry is must not
 * be the word of who sent it. */
static void span_of_times(sp_record_head *head, const sp_batch_item *item, uint64_t now_unix_us)
{
    uint64_t when = item->event.when_unix_us < now_unix_us ? item->event.when_unix_us : now_unix_us;
    head->first_unix_us =
        head->count == 0 || when < head->first_unix_us ? when : head->first_unix_us;
    head->last_unix_us = now_unix_us;
    head->first_seq = head->count == 0 || item->seq < head->first_seq ? item->seq : head->first_seq;
    head->last_seq = item->seq > head->last_seq ? item->seq : head->last_seq;
}

/* One record of items from *at on; *at is the first that did not go in. */
static sp_err build_record(builder *b, uint32_t *at)
{
    sp_buf *out = &b->group->bytes;
    size_t start = out->len;
    size_t lead = SP_RECORD_LEN_BYTES + SP_RECORD_HEAD_BYTES;
    sp_batch_item *first = &b->batch->items[*at];
    const sp_subject_key *key = NULL;
    sp_record_head head = {.form = first->open ? SP_RECORD_OPEN : SP_RECORD_SEALED,
                           .source = first->source};
    if (!first->open) {
        TRY(sp_keys_of(b->keys, first->event.person, b->now_unix_us, &key));
        head.key_id = key->id;
        take_salt(b->batch, head.salt);
    }
    sp_buf_room(out, lead);
    TRY(sp_buf_error(out));
    sp_buf_grown(out, lead);
    sp_buf_byte(out, '{');
    sp_ocsf_common(&first->event, first->source_name, out);
    sp_buf_text(out, ",\"events\":[");
    while (*at != SP_BATCH_NONE && head.count < b->batch->record_events_max &&
           out->len - start < RECORD_TEXT_BYTES) {
        sp_batch_item *item = &b->batch->items[*at];
        sp_buf_text(out, head.count == 0 ? "{" : ",{");
        sp_ocsf_event(&item->event, &first->event, item->seq, out);
        sp_buf_byte(out, '}');
        span_of_times(&head, item, b->now_unix_us);
        item->record = (uint32_t)b->group->count;
        item->at = head.count++;
        *at = item->next;
    }
    sp_buf_text(out, "]}");
    size_t plain_len = out->len - start - lead;
    sp_buf_room(out, SP_RECORD_TAG_BYTES);
    TRY(sp_buf_error(out));
    sp_buf_grown(out, SP_RECORD_TAG_BYTES);
    uint8_t *record = out->ptr + start + SP_RECORD_LEN_BYTES;
    size_t len = sp_record_size(plain_len);
    sp_record_finish(&head, key == NULL ? NULL : &key->key, record, plain_len);
    out->ptr[start] = (uint8_t)(len >> 8);
    out->ptr[start + 1] = (uint8_t)len;
    return sp_group_add(b->group, start);
}

sp_err sp_batch_build(sp_batch *batch, sp_keys *keys, uint64_t now_unix_us, sp_group *group)
{
    builder b = {batch, keys, now_unix_us, group};
    group->period = sp_keys_period(now_unix_us);
    link_items(batch);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t at = i;
        while (at != SP_BATCH_NONE && batch->items[at].record == SP_BATCH_NONE) {
            TRY(build_record(&b, &at));
        }
    }
    return sp_ok();
}
