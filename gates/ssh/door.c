/* SPDX-License-Identifier: Apache-2.0
 * How often an address may knock. Who comes faster is told so in the clear, before a key exchange,
 * which is what he would cost; the ledger knows of an address once a minute.
 *
 * OWNS a table of addresses, and the descriptors of those who were told. PROCESS ssh gate workers.
 * TRUST addresses are chosen by floods: who has very many pushes out their own, the one that is
 * forgotten begins anew. SPEC RFC 4253 4.2, 6, 11.1; docs/SSH.md 7.
 */
#include "gates/ssh/gate.h"
#include "infra/crypto/random.h"
#include "lib/base/address.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
    PLACES = 4096,
    WAYS = 8, /* places of one hash */
    MINUTE_US = 60000000,
    PLAIN_MAX_BYTES = 1024,
    BLOCK_BYTES = 8, /* without a cipher */
    LEAVINGS = 64,
    LEAVING_US = 1000000,
    DISCONNECT = 1,
    TOO_MANY = 12 /* SSH_DISCONNECT_TOO_MANY_CONNECTIONS */
};

typedef struct {
    uint8_t peer[16];
    sp_rate rate;
    uint64_t told_us; /* the ledger was told of it, under: */
    uint64_t reference;
} place;

/* A client that writes to what is closed already does not read what came before. */
typedef struct {
    int fd; /* 0 = none */
    uint64_t since_us;
} leaving;

static place places[PLACES];
static leaving leavings[LEAVINGS];
static size_t leavings_next;
static uint64_t seed;

static bool is_older(const place *one, const place *other)
{
    return one->rate.until_us < other->rate.until_us;
}

static place *place_of(const sg_conn *conn)
{
    seed = seed != 0 ? seed : sp_random_u64();
    static const uint8_t four[12] = {[10] = 0xFF, [11] = 0xFF};
    const uint8_t *peer = conn->rider.who.peer;
    bool is_four = sp_span_eq(sp_span_of(peer, sizeof(four)), sp_span_of(four, sizeof(four)));
    place *set =
        &places[sp_span_hash(sp_span_of(peer, is_four ? 16 : 8), seed) % (PLACES / WAYS) * WAYS];
    place *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (sp_address_same_place(set[i].peer, peer)) {
            return &set[i];
        }
        oldest = is_older(&set[i], oldest) ? &set[i] : oldest;
    }
    *oldest = (place){.rate = {0}};
    sp_copy(oldest->peer, peer, sizeof(oldest->peer));
    return oldest;
}

void sg_door_refuse(sg_conn *conn, sg_refusal *refusal)
{
    place *at = place_of(conn);
    uint64_t now_us = sp_loop_now_us(sg_here.loop);
    if (at->reference == 0 || now_us > at->told_us + MINUTE_US) {
        at->told_us = now_us;
        at->reference = refusal->reference;
        sg_record_refusal(conn, refusal);
    }
    refusal->reference = at->reference;
}

/* A packet without cipher and MAC: its length, that of the padding, what it holds, the padding. */
static void put_packet(sp_span payload, sp_buf *out)
{
    static const uint8_t zeros[2 * BLOCK_BYTES];
    size_t padding = BLOCK_BYTES - (payload.len + 5) % BLOCK_BYTES;
    padding += padding < 4 ? BLOCK_BYTES : 0;
    sp_buf_u32(out, (uint32_t)(1 + payload.len + padding));
    sp_buf_u8(out, (uint8_t)padding);
    sp_buf_span(out, payload);
    sp_buf_span(out, sp_span_of(zeros, padding));
}

static void let_go(leaving *one)
{
    if (one->fd > 0) {
        close(one->fd);
        one->fd = 0;
    }
}

/* Takes fd. */
static void turn_away(int fd, const sg_refusal *refusal)
{
    auto_buf sp_buf line = sp_buf_make(PLAIN_MAX_BYTES);
    auto_buf sp_buf payload = sp_buf_make(PLAIN_MAX_BYTES);
    auto_buf sp_buf out = sp_buf_make(2 * PLAIN_MAX_BYTES);
    sg_refusal_line(refusal, false, &line);
    sp_buf_u8(&payload, DISCONNECT);
    sp_buf_u32(&payload, TOO_MANY);
    sp_buf_bytes(&payload, sp_span_trim(sp_buf_borrow(&line)));
    sp_buf_bytes(&payload, SP_SPAN_EMPTY); /* language */
    sp_buf_text(&out, "SSH-2.0-Sallyport\r\n");
    put_packet(sp_buf_borrow(&payload), &out);
    if (!sp_failed(sp_buf_error(&out))) {
        (void)send(fd, out.ptr, out.len,
                   MSG_NOSIGNAL | MSG_DONTWAIT); /* it is new: there is room */
        (void)shutdown(fd, SHUT_WR);
    }
    leaving *at = &leavings[leavings_next++ % LEAVINGS];
    let_go(at);
    *at = (leaving){fd, sp_loop_now_us(sg_here.loop)};
}

void sg_door_tick(void)
{
    for (size_t i = 0; i < LEAVINGS; i++) {
        if (sp_loop_now_us(sg_here.loop) > leavings[i].since_us + LEAVING_US) {
            let_go(&leavings[i]);
        }
    }
}

bool sg_door_opens(sg_conn *conn, int fd)
{
    sg_refusal refusal;
    place *at = place_of(conn);
    if (sp_rate_take(&at->rate, sg_here.config->ssh_log_ins_address,
                     sp_loop_now_us(sg_here.loop))) {
        return true;
    }
    sg_refusal_make(&refusal, SP_REASON_LIMIT,
                    "too many connections come from your address: wait a minute");
    sg_door_refuse(conn, &refusal);
    turn_away(fd, &refusal);
    return false;
}
