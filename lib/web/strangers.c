/* SPDX-License-Identifier: Apache-2.0
 * Counting the refusals of strangers.
 * OWNS nothing. PROCESS nginx workers. TRUST see strangers.h. SPEC lib/web/strangers.h.
 */
#include "lib/web/strangers.h"

static void network_of(const uint8_t peer[16], uint8_t ret_network[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    bool four = sp_span_eq(sp_span_of(peer, sizeof(mapped)), sp_span_of(mapped, sizeof(mapped)));
    sp_set(ret_network, 0, 16);
    sp_copy(ret_network, peer, four ? 16 : 8);
}

static void finish(sp_stranger *stranger, const sp_strangers_calls *calls)
{
    if (stranger->counted > 0) {
        calls->write(calls->self, stranger);
    }
    *stranger = (sp_stranger){0};
}

static bool is_over(uint64_t since_us, uint64_t now_us)
{
    return since_us != 0 && (now_us < since_us || now_us - since_us >= SP_STRANGERS_MINUTE_US);
}

/* Its place; the oldest of the set gives way, written. */
static sp_stranger *place_of(sp_strangers *strangers, const uint8_t network[16], uint64_t now_us,
                             const sp_strangers_calls *calls)
{
    uint64_t hash = sp_span_hash(sp_span_of(network, 16), strangers->seed);
    sp_stranger *set = strangers->table[hash % SP_STRANGERS_SETS];
    sp_stranger *oldest = &set[0];
    for (size_t i = 0; i < SP_STRANGERS_WAYS; i++) {
        bool same = sp_span_eq(sp_span_of(set[i].peer, 16), sp_span_of(network, 16));
        if (set[i].since_us != 0 && same && !is_over(set[i].since_us, now_us)) {
            return &set[i];
        }
        if (set[i].since_us != 0 && same) {
            oldest = &set[i];
            break;
        }
        oldest = set[i].since_us < oldest->since_us ? &set[i] : oldest;
    }
    finish(oldest, calls);
    oldest->since_us = now_us;
    sp_copy(oldest->peer, network, 16);
    return oldest;
}

static bool count(sp_stranger *stranger, uint8_t reason, uint64_t now_us, uint64_t *reference)
{
    if (stranger->since_us == 0) {
        stranger->since_us = now_us;
    }
    if (stranger->reference == 0) {
        stranger->reference = *reference; /* of the event that is written with the count */
    }
    stranger->counted += stranger->counted < UINT32_MAX ? 1 : 0;
    stranger->reason = reason;
    *reference = stranger->reference;
    return false;
}

bool sp_strangers_take(sp_strangers *strangers, const uint8_t peer[16], uint8_t reason,
                       uint64_t now_us, uint64_t *reference, const sp_strangers_calls *calls)
{
    uint8_t network[16];
    if (strangers->since_us == 0 || is_over(strangers->since_us, now_us)) {
        strangers->since_us = now_us;
        strangers->alone = 0;
    }
    if (is_over(strangers->others.since_us, now_us)) {
        finish(&strangers->others, calls);
    }
    if (strangers->alone >= SP_STRANGERS_ALONE_ALL) {
        return count(&strangers->others, reason, now_us, reference);
    }
    network_of(peer, network);
    sp_stranger *own = place_of(strangers, network, now_us, calls);
    if (own->alone >= SP_STRANGERS_ALONE) {
        return count(own, reason, now_us, reference);
    }
    own->alone++;
    own->reference = *reference;
    strangers->alone++;
    return true;
}

void sp_strangers_sweep(sp_strangers *strangers, uint64_t now_us, const sp_strangers_calls *calls)
{
    bool all = now_us == UINT64_MAX;
    for (size_t i = 0; i < (size_t)SP_STRANGERS_SETS * SP_STRANGERS_WAYS; i++) {
        sp_stranger *at = &strangers->table[i / SP_STRANGERS_WAYS][i % SP_STRANGERS_WAYS];
        if (at->since_us != 0 && (all || is_over(at->since_us, now_us))) {
            finish(at, calls);
        }
    }
    if (strangers->others.since_us != 0 && (all || is_over(strangers->others.since_us, now_us))) {
        finish(&strangers->others, calls);
    }
}
