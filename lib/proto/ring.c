/* SPDX-License-Identifier: Apache-2.0
 * The event ring.
 * OWNS nothing: views into a mapping. PROCESS gates produce, ledger consumes.
 * TRUST each side treats the other's words as hostile. SPEC lib/proto/ring.h.
 *
 * A record is {u32 length, u32 check, bytes, padding to 8}. length WRAP says: go on at the start.
 * Positions only grow; position & (cap - 1) is the place in data.
 */
#include "lib/proto/ring.h"

#include "lib/base/mem.h"

#include <stdatomic.h>

#define MAGIC UINT64_C(0x53505247494e4731)
#define WRAP UINT32_MAX
enum { PAGE_BYTES = 4096, LINE_BYTES = 64, PREFIX_BYTES = 8, ALIGN = 8 };

struct sp_ring_head {
    uint64_t magic;
    uint64_t cap_bytes;
    uint64_t source_id;
    /* written by the producer */
    _Alignas(LINE_BYTES) _Atomic uint64_t head; /* end of what is committed */
    _Atomic uint64_t head_seq;
    _Atomic uint64_t lost;
    _Atomic uint64_t producer_seen_us;
    /* written by the consumer */
    _Alignas(LINE_BYTES) _Atomic uint64_t durable;
    _Atomic uint64_t durable_seq;
    _Atomic uint64_t consumer_seen_us;
    /* written by both */
    _Alignas(LINE_BYTES) _Atomic uint32_t asleep;
};
_Static_assert(sizeof(struct sp_ring_head) <= PAGE_BYTES, "the head is one page");

static sp_err attach(void *memory, size_t size_bytes, sp_ring *ret_ring)
{
    if (size_bytes < PAGE_BYTES + SP_RING_MIN_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    uint64_t cap = size_bytes - PAGE_BYTES;
    if ((cap & (cap - 1)) != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_ring = (sp_ring){.head = memory, .data = (uint8_t *)memory + PAGE_BYTES, .cap_bytes = cap};
    return sp_ok();
}

sp_err sp_ring_format(void *memory, size_t size_bytes, uint64_t source_id, sp_ring *ret_ring)
{
    TRY(attach(memory, size_bytes, ret_ring));
    sp_set(memory, 0, PAGE_BYTES);
    ret_ring->head->magic = MAGIC;
    ret_ring->head->cap_bytes = ret_ring->cap_bytes;
    ret_ring->head->source_id = source_id;
    return sp_ok();
}

sp_err sp_ring_open(void *memory, size_t size_bytes, sp_ring *ret_ring)
{
    TRY(attach(memory, size_bytes, ret_ring));
    sp_ring_head *head = ret_ring->head;
    if (head->magic != MAGIC || head->cap_bytes != ret_ring->cap_bytes) {
        return sp_fail(SP_ECORRUPT);
    }
    ret_ring->at = atomic_load_explicit(&head->durable, memory_order_acquire);
    ret_ring->seq = atomic_load_explicit(&head->durable_seq, memory_order_acquire);
    return sp_ok();
}

uint64_t sp_ring_source_id(const sp_ring *ring)
{
    return ring->head->source_id;
}

static uint64_t padded(size_t len)
{
    return ((uint64_t)len + PREFIX_BYTES + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static void put_prefix(uint8_t *at, uint32_t len, uint32_t check)
{
    sp_copy(at, &len, sizeof(len));
    sp_copy(at + sizeof(len), &check, sizeof(check));
}

static uint32_t check_of(uint64_t position, uint32_t len)
{
    return (uint32_t)(position >> 3) ^ (len * UINT32_C(0x9E3779B1));
}

uint8_t *sp_ring_reserve(sp_ring *ring, size_t len)
{
    if (len > SP_RING_RECORD_MAX_BYTES) {
        return NULL;
    }
    uint64_t head = atomic_load_explicit(&ring->head->head, memory_order_relaxed);
    uint64_t durable = atomic_load_explicit(&ring->head->durable, memory_order_acquire);
    uint64_t place = head & (ring->cap_bytes - 1);
    uint64_t need = padded(len);
    uint64_t skip = place + need > ring->cap_bytes ? ring->cap_bytes - place : 0;
    if (head - durable > ring->cap_bytes || ring->cap_bytes - (head - durable) < need + skip) {
        return NULL;
    }
    if (skip > 0) {
        put_prefix(ring->data + place, WRAP, check_of(head, WRAP));
        head += skip;
        place = 0;
    }
    ring->at = head;
    return ring->data + place + PREFIX_BYTES;
}

uint64_t sp_ring_commit(sp_ring *ring, size_t len)
{
    sp_ring_head *head = ring->head;
    uint64_t place = ring->at & (ring->cap_bytes - 1);
    put_prefix(ring->data + place, (uint32_t)len, check_of(ring->at, (uint32_t)len));
    ring->seq = atomic_load_explicit(&head->head_seq, memory_order_relaxed) + 1;
    atomic_store_explicit(&head->head_seq, ring->seq, memory_order_relaxed);
    /* seq_cst: pairs with the consumer's sleep, so that one of the two sees the other */
    atomic_store_explicit(&head->head, ring->at + padded(len), memory_order_seq_cst);
    return ring->seq;
}

void sp_ring_lose(sp_ring *ring)
{
    atomic_fetch_add_explicit(&ring->head->lost, 1, memory_order_relaxed);
}

bool sp_ring_is_durable(const sp_ring *ring, uint64_t seq)
{
    return atomic_load_explicit(&ring->head->durable_seq, memory_order_acquire) >= seq;
}

unsigned sp_ring_fill_percent(const sp_ring *ring)
{
    uint64_t used = atomic_load_explicit(&ring->head->head, memory_order_relaxed) -
                    atomic_load_explicit(&ring->head->durable, memory_order_relaxed);
    return used >= ring->cap_bytes ? 100 : (unsigned)(used * 100 / ring->cap_bytes);
}

uint64_t sp_ring_consumer_seen_us(const sp_ring *ring)
{
    return atomic_load_explicit(&ring->head->consumer_seen_us, memory_order_relaxed);
}

bool sp_ring_must_wake(sp_ring *ring)
{
    if (atomic_load_explicit(&ring->head->asleep, memory_order_seq_cst) == 0) {
        return false;
    }
    return atomic_exchange_explicit(&ring->head->asleep, 0, memory_order_seq_cst) != 0;
}

void sp_ring_beat(sp_ring *ring, uint64_t now_steady_us)
{
    atomic_store_explicit(&ring->head->producer_seen_us, now_steady_us, memory_order_relaxed);
}

sp_err sp_ring_next(sp_ring *ring, sp_ring_record *ret_record)
{
    uint64_t head = atomic_load_explicit(&ring->head->head, memory_order_acquire);
    for (int hops = 0; hops < 2; hops++) {
        if (head == ring->at) {
            return sp_fail(SP_EAGAIN);
        }
        uint64_t place = ring->at & (ring->cap_bytes - 1);
        uint64_t left = head - ring->at;
        if (left > ring->cap_bytes || left < PREFIX_BYTES || place % ALIGN != 0) {
            return sp_fail(SP_ECORRUPT);
        }
        uint32_t len = 0;
        uint32_t check = 0;
        sp_copy(&len, ring->data + place, sizeof(len));
        sp_copy(&check, ring->data + place + sizeof(len), sizeof(check));
        if (check != check_of(ring->at, len)) {
            return sp_fail(SP_ECORRUPT);
        }
        if (len == WRAP) {
            ring->at += ring->cap_bytes - place;
            continue;
        }
        uint64_t need = padded(len);
        if (len > SP_RING_RECORD_MAX_BYTES || need > left || place + need > ring->cap_bytes) {
            return sp_fail(SP_ECORRUPT);
        }
        ring->at += need;
        ring->seq++;
        *ret_record = (sp_ring_record){ring->seq, {ring->data + place + PREFIX_BYTES, len}};
        return sp_ok();
    }
    return sp_fail(SP_ECORRUPT);
}

void sp_ring_durable(sp_ring *ring)
{
    atomic_store_explicit(&ring->head->durable_seq, ring->seq, memory_order_release);
    atomic_store_explicit(&ring->head->durable, ring->at, memory_order_release);
}

uint64_t sp_ring_lost(const sp_ring *ring)
{
    return atomic_load_explicit(&ring->head->lost, memory_order_relaxed);
}

uint64_t sp_ring_producer_seen_us(const sp_ring *ring)
{
    return atomic_load_explicit(&ring->head->producer_seen_us, memory_order_relaxed);
}

void sp_ring_consumer_beat(sp_ring *ring, uint64_t now_steady_us)
{
    atomic_store_explicit(&ring->head->consumer_seen_us, now_steady_us, memory_order_relaxed);
}

bool sp_ring_sleep(sp_ring *ring)
{
    atomic_store_explicit(&ring->head->asleep, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&ring->head->head, memory_order_seq_cst) != ring->at) {
        atomic_store_explicit(&ring->head->asleep, 0, memory_order_seq_cst);
        return false;
    }
    return true;
}
