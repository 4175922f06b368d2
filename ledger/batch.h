/* SPDX-License-Identifier: Apache-2.0
 * Turning events into records: what came in since the last group is sorted by subject and session,
 * rendered as OCSF JSON, sealed, and put into a group.
 *
 * Story: sp_batch_add() takes an event's bytes (copied first: the ring is shared with a gate that
 * may be taken over), sp_batch_build() makes the records. The items stay until the group is on
 * disk, for acknowledgements, the index and those who follow live.
 *
 * OWNS its items and their bytes. PROCESS ledger. TRUST event bytes are hostile: decoded with
 * bounds, and what does not decode is counted, not kept. SPEC ledger/README.md.
 */
#ifndef SP_LEDGER_BATCH_H
#define SP_LEDGER_BATCH_H

#include "ledger/journal.h"
#include "ledger/keys.h"
#include "lib/proto/event.h"

#define SP_BATCH_NONE UINT32_MAX /* no item, no record */
enum {
    SP_BATCH_ITEMS_MAX = 16 * 1024,
    SP_BATCH_BYTES_MAX = 6 * 1024 * 1024,
    SP_BATCH_RECORD_EVENTS_MAX = 256
};

typedef struct {
    sp_event event; /* spans point into the batch's bytes */
    uint64_t source;
    uint64_t seq;
    sp_span source_name; /* borrowed from the source, which outlives the batch */
    sp_span bytes;       /* the event as it came */
    uint32_t next;       /* of the same record, SP_BATCH_NONE = last */
    uint32_t record;     /* which record of the group, once built */
    uint16_t at;         /* index in the record */
    bool open;           /* of the ledger itself, nothing personal: not sealed */
} sp_batch_item;

typedef struct {
    sp_batch_item *items;
    size_t count;
    size_t cap;
    uint8_t *bytes; /* one block: spans into it stay valid */
    size_t used;
    uint32_t *heads; /* table of chains: first item, SP_BATCH_NONE = empty */
    uint32_t *tails;
    size_t record_events_max;
    uint8_t salts[4096];
    size_t salts_left;
} sp_batch;

void sp_batch_init(sp_batch *batch);
void sp_batch_done(sp_batch *batch);
void sp_batch_reset(sp_batch *batch);
/* Gives memory back after a burst; only when empty. */
void sp_batch_trim(sp_batch *batch);
/* No room for one more event: build first. */
bool sp_batch_is_full(const sp_batch *batch);

typedef struct {
    uint64_t source;
    uint64_t seq;
    sp_span source_name;
    bool open;
    uint8_t gate; /* sp_gate of whose ring it is; SP_GATE_NONE: not a gate's */
} sp_batch_from;

/* SP_EINVALID and the like when the bytes are no event; SP_EDENIED when they are one that this gate
 * does not write; SP_ENOMEM. */
SP_MUST sp_err sp_batch_add(sp_batch *batch, sp_span event, const sp_batch_from *from);
/* Renders and seals all items into the emptied group. */
SP_MUST sp_err sp_batch_build(sp_batch *batch, sp_keys *keys, uint64_t now_unix_us,
                              sp_group *group);

#endif
