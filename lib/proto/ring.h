/* SPDX-License-Identifier: Apache-2.0
 * The event ring: one producer (a gate worker), one consumer (the ledger), in shared memory.
 *
 * Story: the gate makes the memory, formats it and hands it to the ledger. For each event it
 * reserves, writes and commits; that costs no system call. The ledger reads records, makes them
 * durable, and only then moves `durable` on, which is what an acknowledgement means and what frees
 * the room. If the ledger dies, the gate hands the same memory to the next one, which goes on at
 * `durable`; if the gate dies, the ledger drains what it left. Each record has a sequence number,
 * so a missing one shows. When the ring is full the producer counts the loss (`lost`), and the
 * ledger writes that down.
 *
 * OWNS nothing: views into a mapping. PROCESS gates produce, ledger consumes. TRUST the ledger
 * treats everything in it as hostile: offsets are checked at each step, and a bad record poisons
 * only this ring. SPEC docs/ARCHITECTURE.md "Events".
 */
#ifndef SP_PROTO_RING_H
#define SP_PROTO_RING_H

#include "lib/base/span.h"

enum { SP_RING_MIN_BYTES = 64 * 1024, SP_RING_RECORD_MAX_BYTES = 16 * 1024 };

typedef struct sp_ring_head sp_ring_head;
typedef struct {
    sp_ring_head *head;
    uint8_t *data;
    uint64_t cap_bytes; /* power of two, checked once: the shared copy is never trusted again */
    uint64_t at;        /* producer: end of the reservation; consumer: next unread byte */
    uint64_t seq;       /* producer: last committed; consumer: last read */
} sp_ring;

typedef struct {
    uint64_t seq; /* from 1, without gaps */
    sp_span bytes;
} sp_ring_record;

/* size_bytes of the whole mapping, a page plus a power of two >= SP_RING_MIN_BYTES. */
SP_MUST sp_err sp_ring_format(void *memory, size_t size_bytes, uint64_t source_id,
                              sp_ring *ret_ring);
/* For the consumer, and for a producer that attaches again. */
SP_MUST sp_err sp_ring_open(void *memory, size_t size_bytes, sp_ring *ret_ring);
uint64_t sp_ring_source_id(const sp_ring *ring);

/* ---- producer ---- */
/* Room for one record of len <= SP_RING_RECORD_MAX_BYTES, or NULL when the ring is full: then
 * call sp_ring_lose(). */
uint8_t *sp_ring_reserve(sp_ring *ring, size_t len);
/* Publishes the reserved record, cut to len; returns its sequence number. */
uint64_t sp_ring_commit(sp_ring *ring, size_t len);
void sp_ring_lose(sp_ring *ring);
/* True once the record of that number is on disk. */
bool sp_ring_is_durable(const sp_ring *ring, uint64_t seq);
/* Share of the ring not yet durable, 0..100. */
unsigned sp_ring_fill_percent(const sp_ring *ring);
/* Steady-clock microseconds of the ledger's last sign of life (same machine, same clock). */
uint64_t sp_ring_consumer_seen_us(const sp_ring *ring);
/* True exactly once after the consumer went to sleep: the producer must then wake it. */
bool sp_ring_must_wake(sp_ring *ring);
/* Producer's heartbeat, so that silence can be told from death. */
void sp_ring_beat(sp_ring *ring, uint64_t now_steady_us);

/* ---- consumer ---- */
/* Next record; the span is valid until sp_ring_durable(). SP_EAGAIN = none, SP_ECORRUPT. */
SP_MUST sp_err sp_ring_next(sp_ring *ring, sp_ring_record *ret_record);
/* Everything read so far is on disk: frees the room. */
void sp_ring_durable(sp_ring *ring);
uint64_t sp_ring_lost(const sp_ring *ring);
uint64_t sp_ring_producer_seen_us(const sp_ring *ring);
void sp_ring_consumer_beat(sp_ring *ring, uint64_t now_steady_us);
/* Says that the consumer is about to sleep; false = something has come in meanwhile, don't. */
bool sp_ring_sleep(sp_ring *ring);

#endif
