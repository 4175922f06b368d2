/* SPDX-License-Identifier: Apache-2.0
 * The live table.
 * OWNS nothing: views into a mapping. PROCESS core writes; gates read. TRUST gates trust core.
 * SPEC lib/proto/live.h.
 *
 * Tokens and certificates are open-addressed by the first word of their hash, which is uniform
 * already; a removed entry stays as a grave so that probes go on over it, and is used again.
 */
#include "lib/proto/live.h"

#include "lib/base/mem.h"

#include <stdatomic.h>

#define MAGIC UINT64_C(0x53504c4956453032)
enum { HEAD_BYTES = 8192, LINE_BYTES = 64, TRIES = 1000 };
enum { SLOTS_MAX = 1 << 24 };

typedef enum { KEY_EMPTY, KEY_LIVE, KEY_GRAVE } key_state;

typedef struct {
    _Atomic uint32_t seq;
    sp_live_session body;
} session_cell;

typedef struct {
    _Atomic uint32_t seq;
    sp_live_device body;
} device_cell;

typedef struct {
    sp_hash hash;
    uint64_t audience; /* tokens only */
    uint64_t owner_id; /* tokens: the session's id */
    uint32_t owner_slot;
    uint32_t state; /* key_state */
} key_body;

typedef struct {
    _Alignas(LINE_BYTES) _Atomic uint32_t seq;
    key_body body;
} key_slot;
_Static_assert(sizeof(key_slot) == LINE_BYTES, "a key is one cache line");

struct sp_live_head {
    uint64_t magic;
    sp_live_caps caps;
    _Alignas(LINE_BYTES) _Atomic uint64_t epoch;
    _Atomic uint64_t seen_us;
    _Alignas(LINE_BYTES) sp_cuts cuts;
};
_Static_assert(sizeof(struct sp_live_head) <= HEAD_BYTES, "the head is two pages");

static bool is_power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static bool caps_ok(const sp_live_caps *caps)
{
    return caps->sessions > 0 && caps->sessions <= SLOTS_MAX && caps->devices > 0 &&
           caps->devices <= SLOTS_MAX && is_power_of_two(caps->tokens) &&
           caps->tokens <= SLOTS_MAX && is_power_of_two(caps->certs) && caps->certs <= SLOTS_MAX;
}

/* Where each table starts; sizes cannot overflow because of SLOTS_MAX. */
static size_t tokens_at(void)
{
    return HEAD_BYTES;
}

static size_t certs_at(const sp_live_caps *caps)
{
    return tokens_at() + (size_t)caps->tokens * sizeof(key_slot);
}

static size_t sessions_at(const sp_live_caps *caps)
{
    return certs_at(caps) + (size_t)caps->certs * sizeof(key_slot);
}

static size_t devices_at(const sp_live_caps *caps)
{
    return sessions_at(caps) + (size_t)caps->sessions * sizeof(session_cell);
}

sp_err sp_live_size(const sp_live_caps *caps, size_t *ret_size_bytes)
{
    if (!caps_ok(caps)) {
        return sp_fail(SP_ELIMIT);
    }
    *ret_size_bytes = devices_at(caps) + (size_t)caps->devices * sizeof(device_cell);
    return sp_ok();
}

static void *table_at(const sp_live *live, size_t offset)
{
    return (uint8_t *)live->head + offset;
}

static session_cell *session_at(const sp_live *live, uint32_t slot)
{
    return (session_cell *)table_at(live, sessions_at(&live->caps)) + slot;
}

static device_cell *device_at(const sp_live *live, uint32_t slot)
{
    return (device_cell *)table_at(live, devices_at(&live->caps)) + slot;
}

typedef struct {
    key_slot *slots;
    uint32_t mask;
} key_table;

static key_table tokens_of(const sp_live *live)
{
    return (key_table){table_at(live, tokens_at()), live->caps.tokens - 1};
}

static key_table certs_of(const sp_live *live)
{
    return (key_table){table_at(live, certs_at(&live->caps)), live->caps.certs - 1};
}

sp_err sp_live_format(void *memory, size_t size_bytes, const sp_live_caps *caps, sp_live *ret_live)
{
    size_t need = 0;
    TRY(sp_live_size(caps, &need));
    if (size_bytes < need) {
        return sp_fail(SP_ELIMIT);
    }
    /* a new mapping is zero already: touching every page would make it resident */
    sp_live_head *head = memory;
    sp_set(head, 0, sizeof(*head));
    head->caps = *caps;
    head->magic = MAGIC;
    *ret_live = (sp_live){head, *caps};
    return sp_ok();
}

sp_err sp_live_open(const void *memory, size_t size_bytes, sp_live *ret_live)
{
    const sp_live_head *head = memory;
    size_t need = 0;
    if (size_bytes < HEAD_BYTES || head->magic != MAGIC) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_live_caps caps = head->caps;
    if (sp_failed(sp_live_size(&caps, &need)) || size_bytes < need) {
        return sp_fail(SP_ECORRUPT);
    }
    /* a gate's mapping is read-only: the reading half below never writes through it */
    *ret_live = (sp_live){(sp_live_head *)(uintptr_t)memory, caps};
    return sp_ok();
}

/* ---- the sequence word ---- */

static void write_begin(_Atomic uint32_t *seq)
{
    uint32_t at = atomic_load_explicit(seq, memory_order_relaxed);
    atomic_store_explicit(seq, at + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void write_end(_Atomic uint32_t *seq)
{
    uint32_t at = atomic_load_explicit(seq, memory_order_relaxed);
    atomic_store_explicit(seq, at + 1, memory_order_release);
}

static bool read_quiet(_Atomic uint32_t *seq, const void *from, void *to, size_t len)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t before = atomic_load_explicit(seq, memory_order_acquire);
        if ((before & 1) != 0) {
            continue;
        }
        sp_copy(to, from, len);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(seq, memory_order_relaxed) == before) {
            return true;
        }
    }
    return false;
}

/* ---- keys ---- */

static uint32_t key_home(const sp_hash *hash)
{
    uint32_t home = 0;
    sp_copy(&home, hash->bytes, sizeof(home));
    return home;
}

/* The slot of a key, or NULL; *ret_free is where it could go (NULL = table full). Core only. */
static key_slot *key_locate(key_table table, const sp_hash *hash, key_slot **ret_free)
{
    *ret_free = NULL;
    for (uint32_t i = 0; i <= table.mask; i++) {
        key_slot *slot = &table.slots[(key_home(hash) + i) & table.mask];
        if (slot->body.state != KEY_LIVE) {
            if (*ret_free == NULL) {
                *ret_free = slot;
            }
            if (slot->body.state == KEY_EMPTY) {
                return NULL;
            }
        } else if (sp_hash_eq(&slot->body.hash, hash)) {
            return slot; // cppcheck-suppress returnDanglingLifetime ; slots is a pointer
        }
    }
    return NULL;
}

static sp_err key_put(key_table table, const key_body *body)
{
    key_slot *free_slot = NULL;
    key_slot *slot = key_locate(table, &body->hash, &free_slot);
    if (slot == NULL) {
        slot = free_slot;
    }
    if (slot == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    write_begin(&slot->seq);
    slot->body = *body;
    write_end(&slot->seq);
    return sp_ok();
}

static void bury(key_slot *slot, key_state state)
{
    write_begin(&slot->seq);
    sp_wipe(&slot->body, sizeof(slot->body));
    slot->body.state = state;
    write_end(&slot->seq);
}

static void key_remove(key_table table, const sp_hash *hash)
{
    key_slot *unused = NULL;
    key_slot *slot = key_locate(table, hash, &unused);
    if (slot == NULL) {
        return;
    }
    uint32_t next = ((uint32_t)(slot - table.slots) + 1) & table.mask;
    /* nothing probes over the last of a run: it can be empty again */
    key_state state = table.slots[next].body.state == KEY_EMPTY ? KEY_EMPTY : KEY_GRAVE;
    bury(slot, state);
    /* then neither does anything over the graves before it: they would only grow */
    for (uint32_t i = 1; state == KEY_EMPTY && i <= table.mask; i++) {
        key_slot *before = &table.slots[((uint32_t)(slot - table.slots) - i) & table.mask];
        if (before->body.state != KEY_GRAVE) {
            return;
        }
        bury(before, KEY_EMPTY);
    }
}

static sp_err key_find(key_table table, const sp_hash *hash, key_body *ret_body)
{
    for (uint32_t i = 0; i <= table.mask; i++) {
        key_slot *slot = &table.slots[(key_home(hash) + i) & table.mask];
        key_body body;
        if (!read_quiet(&slot->seq, &slot->body, &body, sizeof(body)) || body.state == KEY_EMPTY) {
            return sp_fail(SP_ENOTFOUND);
        }
        if (body.state == KEY_LIVE && sp_hash_eq(&body.hash, hash)) {
            *ret_body = body;
            return sp_ok();
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

/* ---- core ---- */

sp_err sp_live_session_put(sp_live *live, uint32_t slot, const sp_live_session *session)
{
    if (slot >= live->caps.sessions) {
        return sp_fail(SP_ELIMIT);
    }
    session_cell *at = session_at(live, slot);
    write_begin(&at->seq);
    at->body = *session;
    at->body.person_name[SP_LIVE_NAME_BYTES - 1] = '\0';
    write_end(&at->seq);
    return sp_ok();
}

void sp_live_session_end(sp_live *live, uint32_t slot)
{
    if (slot < live->caps.sessions) {
        session_cell *at = session_at(live, slot);
        write_begin(&at->seq);
        at->body.state = SP_SESSION_ENDED;
        write_end(&at->seq);
    }
}

sp_err sp_live_token_put(sp_live *live, const sp_hash *token, uint64_t audience,
                         uint32_t session_slot, uint64_t session_id)
{
    if (session_slot >= live->caps.sessions) {
        return sp_fail(SP_ELIMIT);
    }
    key_body body = {*token, audience, session_id, session_slot, KEY_LIVE};
    return key_put(tokens_of(live), &body);
}

void sp_live_token_remove(sp_live *live, const sp_hash *token)
{
    key_remove(tokens_of(live), token);
}

sp_err sp_live_device_put(sp_live *live, uint32_t slot, const sp_live_device *device)
{
    if (slot >= live->caps.devices) {
        return sp_fail(SP_ELIMIT);
    }
    device_cell *at = device_at(live, slot);
    write_begin(&at->seq);
    at->body = *device;
    at->body.name[SP_LIVE_NAME_BYTES - 1] = '\0';
    write_end(&at->seq);
    return sp_ok();
}

sp_err sp_live_cert_put(sp_live *live, const sp_hash *fingerprint, uint32_t device_slot)
{
    if (device_slot >= live->caps.devices) {
        return sp_fail(SP_ELIMIT);
    }
    key_body body = {*fingerprint, 0, 0, device_slot, KEY_LIVE};
    return key_put(certs_of(live), &body);
}

void sp_live_cert_remove(sp_live *live, const sp_hash *fingerprint)
{
    key_remove(certs_of(live), fingerprint);
}

uint64_t sp_live_bump(sp_live *live)
{
    return atomic_fetch_add_explicit(&live->head->epoch, 1, memory_order_seq_cst) + 1;
}

void sp_live_beat(sp_live *live, uint64_t now_steady_us)
{
    atomic_store_explicit(&live->head->seen_us, now_steady_us, memory_order_relaxed);
}

sp_cuts *sp_live_cuts(const sp_live *live)
{
    return &live->head->cuts;
}

/* ---- gates ---- */

uint64_t sp_live_epoch(const sp_live *live)
{
    return atomic_load_explicit(&live->head->epoch, memory_order_acquire);
}

uint64_t sp_live_audience(sp_span host)
{
    sp_hash hash = sp_sha256(host);
    uint64_t audience = 0;
    sp_copy(&audience, hash.bytes, sizeof(audience));
    return audience;
}

sp_err sp_live_session_get(const sp_live *live, uint32_t slot, uint64_t id,
                           sp_live_session *ret_session)
{
    if (slot >= live->caps.sessions) {
        return sp_fail(SP_ENOTFOUND);
    }
    session_cell *at = session_at(live, slot);
    if (!read_quiet(&at->seq, &at->body, ret_session, sizeof(*ret_session)) ||
        ret_session->id != id || ret_session->state == SP_SESSION_FREE) {
        return sp_fail(SP_ENOTFOUND);
    }
    return sp_ok();
}

uint64_t sp_live_session_id(const sp_live *live, uint32_t slot)
{
    sp_live_session session;
    if (slot >= live->caps.sessions) {
        return 0;
    }
    session_cell *at = session_at(live, slot);
    bool quiet = read_quiet(&at->seq, &at->body, &session, sizeof(session));
    return quiet && session.state != SP_SESSION_FREE ? session.id : 0;
}

sp_err sp_live_find_token(const sp_live *live, const sp_hash *token, uint64_t audience,
                          sp_live_session *ret_session, uint32_t *ret_slot)
{
    key_body key;
    TRY(key_find(tokens_of(live), token, &key));
    if (key.audience != audience) {
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(sp_live_session_get(live, key.owner_slot, key.owner_id, ret_session));
    *ret_slot = key.owner_slot;
    return sp_ok();
}

sp_err sp_live_device_get(const sp_live *live, uint32_t slot, sp_live_device *ret_device)
{
    if (slot >= live->caps.devices) {
        return sp_fail(SP_ENOTFOUND);
    }
    device_cell *at = device_at(live, slot);
    if (!read_quiet(&at->seq, &at->body, ret_device, sizeof(*ret_device)) ||
        ret_device->state == SP_DEVICE_FREE) {
        return sp_fail(SP_ENOTFOUND);
    }
    return sp_ok();
}

sp_err sp_live_find_cert(const sp_live *live, const sp_hash *fingerprint,
                         sp_live_device *ret_device, uint32_t *ret_slot)
{
    key_body key;
    TRY(key_find(certs_of(live), fingerprint, &key));
    TRY(sp_live_device_get(live, key.owner_slot, ret_device));
    *ret_slot = key.owner_slot;
    return sp_ok();
}
