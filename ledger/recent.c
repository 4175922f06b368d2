/* SPDX-License-Identifier: Apache-2.0
 * A list of blocks: the ends of a commit's entries, and their bytes.
 * OWNS its blocks. PROCESS ledger. TRUST none. SPEC ledger/recent.h.
 */
#include "ledger/recent.h"

#include "lib/proto/ledger_msg.h"
#include "lib/proto/ocsf_read.h"

struct sp_recent_block {
    sp_recent_block *next;
    uint64_t first;
    uint64_t count;
    uint32_t *ends; /* of entry i in bytes; one that JSON says otherwise has none */
    sp_buf bytes;
};

static void block_free(sp_recent_block *block)
{
    sp_buf_done(&block->bytes);
    sp_free(block->ends);
    sp_free(block);
}

static void drop_first(sp_recent *recent)
{
    sp_recent_block *block = recent->first;
    recent->first = block->next;
    recent->last = block->next == NULL ? NULL : recent->last;
    recent->bytes -= block->bytes.len;
    block_free(block);
}

void sp_recent_done(sp_recent *recent)
{
    while (recent->first != NULL) {
        drop_first(recent);
    }
}

/* heads[record]: its first item. */
static sp_err find_heads(const sp_batch *batch, uint64_t count, uint32_t *heads)
{
    size_t found = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        const sp_batch_item *item = &batch->items[i];
        if (item->record >= count) {
            return sp_fail(SP_EINTERNAL);
        }
        if (item->at == 0) {
            heads[item->record] = i;
            found++;
        }
    }
    return found == count ? sp_ok() : sp_fail(SP_EINTERNAL);
}

/* Its events; empty when one of them would be read back as another. */
static void put_events(const sp_batch *batch, uint32_t head, sp_buf *out)
{
    sp_buf_reset(out);
    for (uint32_t at = head;
         at != SP_BATCH_NONE && batch->items[at].record == batch->items[head].record;
         at = batch->items[at].next) {
        if (!sp_ocsf_is_exact(&batch->items[at].event)) {
            sp_buf_reset(out);
            return;
        }
        sp_buf_bytes(out, batch->items[at].bytes);
    }
}

static sp_err fill(sp_recent_block *block, const sp_batch *batch)
{
    auto_free uint32_t *heads = NULL;
    auto_buf sp_buf events = sp_buf_make(SP_RECENT_BYTES);
    TRY(sp_alloc(block->count, sizeof(*heads), &heads));
    TRY(sp_alloc(block->count, sizeof(*block->ends), &block->ends));
    TRY(find_heads(batch, block->count, heads));
    sp_buf_room(&block->bytes, batch->used < SP_RECENT_BYTES ? batch->used : SP_RECENT_BYTES);
    for (uint32_t record = 0; record < block->count; record++) {
        put_events(batch, heads[record], &events);
        const sp_ledger_opened opened = {.entry = block->first + record,
                                         .events = sp_buf_borrow(&events)};
        if (events.len > 0) {
            sp_ledger_opened_write(&opened, &block->bytes);
        }
        TRY(sp_buf_error(&events));
        TRY(sp_buf_error(&block->bytes));
        block->ends[record] = (uint32_t)block->bytes.len;
    }
    return sp_ok();
}

void sp_recent_add(sp_recent *recent, const sp_batch *batch, uint64_t first, uint64_t count)
{
    sp_recent_block *block = NULL;
    if (count == 0 || sp_failed(sp_alloc(1, sizeof(*block), &block))) {
        return;
    }
    *block =
        (sp_recent_block){.first = first, .count = count, .bytes = sp_buf_make(SP_RECENT_BYTES)};
    if (sp_failed(fill(block, batch))) {
        block_free(block);
        return;
    }
    while (recent->first != NULL && recent->bytes + block->bytes.len > SP_RECENT_BYTES) {
        drop_first(recent);
    }
    if (recent->last == NULL) {
        recent->first = block;
    } else {
        recent->last->next = block;
    }
    recent->last = block;
    recent->bytes += block->bytes.len;
}

static const sp_recent_block *block_of(const sp_recent *recent, uint64_t entry)
{
    const sp_recent_block *block = recent->first;
    while (block != NULL && entry - block->first >= block->count) {
        block = block->next;
    }
    return block;
}

static uint32_t begin_of(const sp_recent_block *block, uint64_t at)
{
    return at == 0 ? 0 : block->ends[at - 1];
}

bool sp_recent_has(const sp_recent *recent, uint64_t entry)
{
    const sp_recent_block *block = block_of(recent, entry);
    uint64_t at = block == NULL ? 0 : entry - block->first;
    return block != NULL && block->ends[at] > begin_of(block, at);
}

sp_span sp_recent_from(const sp_recent *recent, uint64_t entry, size_t max_bytes,
                       uint64_t *ret_count)
{
    const sp_recent_block *block = block_of(recent, entry);
    *ret_count = 0;
    if (block == NULL) {
        return SP_SPAN_EMPTY;
    }
    uint64_t at = entry - block->first;
    uint32_t begin = begin_of(block, at);
    uint32_t end = begin;
    for (; at < block->count && block->ends[at] > end && block->ends[at] - begin <= max_bytes;
         at++) {
        end = block->ends[at];
        ++*ret_count;
    }
    return sp_span_slice(sp_buf_borrow(&block->bytes), begin, end);
}
