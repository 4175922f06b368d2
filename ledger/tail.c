/* SPDX-License-Identifier: Apache-2.0
 * Following the ledger live: what has just become durable, to those whose filter it matches.
 * OWNS the copies of filters. PROCESS ledger. TRUST filters come from core or root.
 * SPEC lib/proto/ledger_msg.h "TAIL".
 */
#include "ledger/ledger.h"

enum { ENTRIES_PER_COMMIT = 200, EVENTS_PER_COMMIT = 200, JSON_MAX_BYTES = 64 * 1024 };

void sp_ledger_tail_add(sp_ledger *ledger, sp_peer *peer, const sp_ledger_search *search)
{
    sp_ledger_tail_drop(ledger, peer);
    if (ledger->tails_count >= SP_LEDGER_TAILS_MAX) {
        return;
    }
    sp_tail *tail = &ledger->tails[ledger->tails_count++];
    *tail = (sp_tail){.peer = peer, .search = *search};
    sp_copy(tail->resource, search->resource.ptr, search->resource.len);
    sp_copy(tail->text, search->text.ptr, search->text.len);
    tail->search.reader = (sp_ledger_reader){0};
}

void sp_ledger_tail_drop(sp_ledger *ledger, const sp_peer *peer)
{
    for (size_t i = 0; i < ledger->tails_count; i++) {
        if (ledger->tails[i].peer == peer) {
            ledger->tails[i] = ledger->tails[--ledger->tails_count];
            return;
        }
    }
}

typedef struct {
    sp_tail *tail;
    uint64_t entry;
    uint16_t count;
    sp_buf *items;
} found;

static bool add_item(void *self, uint16_t at, sp_span json)
{
    found *f = self;
    const sp_ledger_item item = {f->entry, at, json};
    if (f->tail->left == 0 || f->items->len + json.len > SP_LEDGER_PAGE_MAX_BYTES) {
        f->tail->has_left_out = true;
        return false;
    }
    sp_ledger_item_write(&item, f->items);
    f->tail->left--;
    f->count++;
    return true;
}

/* What was found, and whether something was left out since the last push. */
static void push(sp_tail *tail, const found *f)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    const sp_ledger_found reply = {.more = tail->has_left_out,
                                   .before_entry = f->entry,
                                   .count = f->count,
                                   .items = sp_buf_borrow(f->items)};
    tail->has_left_out = false;
    sp_ledger_found_write(&reply, &body);
    sp_peer_push(tail->peer, SP_LEDGER_EVENT, sp_buf_borrow(&body), NULL, 0);
}

static void push_one(sp_tail *tail, uint64_t entry, sp_span json)
{
    auto_buf sp_buf items = sp_buf_make(SP_MSG_MAX_BYTES);
    found f = {tail, entry, 0, &items};
    sp_ledger_search search = tail->search;
    search.resource = (sp_span){(const uint8_t *)tail->resource, tail->search.resource.len};
    search.text = (sp_span){(const uint8_t *)tail->text, tail->search.text.len};
    sp_err err = sp_lookup_match(&search, json, UINT16_MAX, add_item, &f);
    if (!sp_failed(err) && f.count > 0) {
        push(tail, &f);
    }
}

/* A push may drop its peer, which takes it out of the list: from the end, each once. */
static void push_all(sp_ledger *ledger, uint64_t entry, sp_span json)
{
    for (size_t t = ledger->tails_count; t-- > 0;) {
        if (t < ledger->tails_count && ledger->tails[t].left > 0) {
            push_one(&ledger->tails[t], entry, json);
        } else if (t < ledger->tails_count) {
            ledger->tails[t].has_left_out = true;
        }
    }
}

void sp_ledger_tail(sp_ledger *ledger, uint64_t first_entry, uint64_t count)
{
    if (ledger->tails_count == 0) {
        return;
    }
    auto_buf sp_buf json = sp_buf_make(JSON_MAX_BYTES);
    auto_buf sp_buf none = sp_buf_make(1);
    sp_lookup lookup = sp_ledger_lookup(ledger);
    /* under a flood only the newest are shown, and that: a person reads them */
    uint64_t from = count > ENTRIES_PER_COMMIT ? count - ENTRIES_PER_COMMIT : 0;
    for (size_t t = 0; t < ledger->tails_count; t++) {
        ledger->tails[t].left = EVENTS_PER_COMMIT;
        ledger->tails[t].has_left_out = from > 0;
    }
    for (uint64_t i = from; i < count && ledger->tails_count > 0; i++) {
        if (!sp_failed(sp_lookup_open(&lookup, first_entry + i, &json))) {
            push_all(ledger, first_entry + i, sp_buf_borrow(&json));
        }
    }
    for (size_t t = ledger->tails_count; t-- > 0;) {
        if (t < ledger->tails_count && ledger->tails[t].has_left_out) {
            const found nothing = {&ledger->tails[t], first_entry + count, 0, &none};
            push(&ledger->tails[t], &nothing);
        }
    }
}
