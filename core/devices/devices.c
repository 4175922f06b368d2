/* SPDX-License-Identifier: Apache-2.0
 * Devices and their half of the live table.
 * OWNS device slots and certificates of the live table, a timer. PROCESS core. TRUST rows are
 * core's own. SPEC core/devices/devices.h.
 */
#include "core/devices/devices.h"

#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum {
    SWEEP_MS = 60 * 1000,
    ROW_ARENA_BYTES = 256 * 1024,
    TICKETS_KEPT_S = 60 * 86400 /* spent ones: a copy so old opens nothing either way */
};

/* A replaced certificate that is good for a little longer. */
typedef struct retiring {
    struct retiring *next;
    sp_core *core;
    sp_hash fingerprint;
    uv_timer_t timer;
} retiring;

struct sp_devices {
    sp_core *core;
    retiring *retiring;
    uv_timer_t sweep;
};

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- the live table ---- */

sp_err sp_devices_slot(const sp_devices *devices, uint32_t *ret_slot)
{
    const sp_live *live = &devices->core->live;
    sp_live_device device;
    for (uint32_t slot = 0; slot < live->caps.devices; slot++) {
        if (sp_failed(sp_live_device_get(live, slot, &device))) {
            *ret_slot = slot;
            return sp_ok();
        }
    }
    return sp_fail(SP_ELIMIT);
}

/* The SHA-256 of its key leads to a device as its certificates do: SSH proves the key itself. */
static bool key_of(const sp_device *device, sp_hash *ret_hash)
{
    if (device->key_hash.len == SP_SHA256_BYTES) {
        sp_copy(ret_hash->bytes, device->key_hash.ptr, SP_SHA256_BYTES);
    }
    return device->key_hash.len == SP_SHA256_BYTES;
}

static void show_key(sp_core *core, const sp_device *device)
{
    sp_hash hash;
    if (!key_of(device, &hash)) {
        return;
    }
    if (device->slot == SP_NONE || device->cloned) {
        sp_live_cert_remove(&core->live, &hash);
    } else if (sp_failed(sp_live_cert_put(&core->live, &hash, device->slot))) {
        sp_log(SP_LOG_ERROR, "device %llu: the table of certificates is full: raise devices_max",
               (unsigned long long)device->id);
    }
}

void sp_devices_show(sp_core *core, const sp_device *device)
{
    sp_live_device shown = {
        .id = device->id,
        .person = device->person,
        .state = device->state,
        .owner = device->owner,
        .posture = device->posture,
    };
    sp_span name = sp_span_slice(device->name, 0, SP_LIVE_NAME_BYTES - 1);
    sp_copy(shown.name, name.ptr, name.len);
    if (device->slot != SP_NONE &&
        sp_failed(sp_live_device_put(&core->live, device->slot, &shown))) {
        sp_log(SP_LOG_ERROR, "device %llu: slot %u is out of the table: raise devices_max",
               (unsigned long long)device->id, device->slot);
    }
    show_key(core, device);
}

void sp_devices_show_cert(sp_core *core, const sp_device *device, const sp_device_cert *cert)
{
    if (device->slot != SP_NONE &&
        sp_failed(sp_live_cert_put(&core->live, &cert->fingerprint, device->slot))) {
        sp_log(SP_LOG_ERROR, "device %llu: the table of certificates is full: raise devices_max",
               (unsigned long long)device->id);
    }
}

static void retire_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

static void on_retire(uv_timer_t *timer)
{
    retiring *r = timer->data;
    retiring **at = &r->core->state->devices->retiring;
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    sp_live_cert_remove(&r->core->live, &r->fingerprint);
    sp_state_again(r->core);
    uv_close((uv_handle_t *)timer, retire_closed);
}

void sp_devices_retire(sp_core *core, const sp_hash *fingerprint)
{
    retiring *r = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*r), &r)) || uv_timer_init(core->loop, &r->timer) != 0) {
        sp_free(r);
        sp_live_cert_remove(&core->live, fingerprint); /* rather early than never */
        return;
    }
    r->core = core;
    r->fingerprint = *fingerprint;
    r->timer.data = r;
    r->next = core->state->devices->retiring;
    core->state->devices->retiring = r;
    if (uv_timer_start(&r->timer, on_retire, (uint64_t)SP_DEVICE_GRACE_S * 1000, 0) != 0) {
        on_retire(&r->timer);
    }
}

/* ---- falls ---- */

static void remove_cert(void *self, const sp_device_cert *cert)
{
    sp_core *core = self;
    sp_live_cert_remove(&core->live, &cert->fingerprint);
}

static void tell_fall(sp_core *core, const sp_device *device, const sp_device_fall *fall)
{
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_buf_text(&detail, "{\"why\":");
    sp_buf_json(&detail, fall->why);
    sp_buf_fmt(&detail, ",\"cloned\":%s}", fall->cloned ? "true" : "false");
    sp_event event = {
        .kind = SP_EVENT_DEVICE,
        .when_unix_us = sp_now_unix_us(),
        .severity = fall->cloned ? SP_SEVERITY_CRITICAL : SP_SEVERITY_MEDIUM,
        .verdict = SP_VERDICT_ALLOW,
        .action = SP_ACTION_ADMINISTER,
        .device = device->id,
        .device_name = device->name,
        .owner = device->owner,
        .posture = device->posture,
        .person = fall->by != 0 ? fall->by : device->person,
        .person_name = fall->by_name,
        .method = fall->word,
        .object = device->name,
        .detail = sp_buf_borrow(&detail),
    };
    sp_ledger_client_tell(core->ledger, &event);
}

sp_err sp_devices_fall(sp_core *core, sp_device *device, const sp_device_fall *fall)
{
    /* the gates first: what follows may take a moment */
    device->state = fall->state;
    device->cloned = device->cloned || fall->cloned;
    device->why = sp_span_slice(fall->why, 0, SP_DEVICE_WHY_MAX_BYTES);
    device->changed_unix_s = now_s();
    sp_devices_show(core, device);
    if (fall->cloned) {
        TRY(sp_cert_each(core->store, device->id, remove_cert, core));
    }
    if (device->slot != SP_NONE) {
        sp_sessions_end_device(core, device->slot, SP_END_DEVICE, fall->by);
    }
    sp_state_again(core);
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(sp_device_update(core->store, device));
    TRY(sp_txn_commit(&txn));
    tell_fall(core, device, fall);
    sp_devices_publish(core, device);
    return sp_ok();
}

/* ---- start and sweep ---- */

static void load_device(void *self, const sp_device *device)
{
    sp_devices_show(self, device);
}

typedef struct {
    sp_core *core;
    uint64_t now_s;
} load_walk;

/* A clone's certificates stay out; the rest is in until it ends or its grace is over. */
static void load_cert(void *self, const sp_device_cert *cert)
{
    const load_walk *walk = self;
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_device device;
    bool over =
        cert->not_after_unix_s <= walk->now_s ||
        (cert->replaced_unix_s != 0 && cert->replaced_unix_s + SP_DEVICE_GRACE_S <= walk->now_s);
    if (over || sp_failed(sp_device_get(walk->core->store, cert->device, &arena, &device)) ||
        device.cloned) {
        return;
    }
    sp_devices_show_cert(walk->core, &device, cert);
    if (cert->replaced_unix_s != 0) {
        sp_devices_retire(walk->core, &cert->fingerprint);
    }
}

typedef struct {
    sp_core *core;
    uint64_t now_s;
    uint64_t ids[64]; /* a sweep changes so many, the next one the rest */
    size_t count;
} stale_walk;

static bool posture_stale(const sp_device *device, uint64_t now)
{
    return device->posture != SP_POSTURE_UNKNOWN &&
           device->posture_unix_s + SP_DEVICE_POSTURE_STALE_S <= now;
}

static bool slot_idle(const sp_device *device, uint64_t now)
{
    return device->slot != SP_NONE && device->state == SP_DEVICE_REVOKED &&
           device->changed_unix_s + SP_DEVICE_CERT_LIFE_S * 2 <= now;
}

static void find_stale(void *self, const sp_device *device)
{
    stale_walk *walk = self;
    if (walk->count < SP_COUNT(walk->ids) &&
        (posture_stale(device, walk->now_s) || slot_idle(device, walk->now_s))) {
        walk->ids[walk->count++] = device->id;
    }
}

static sp_err freshen(sp_core *core, uint64_t id, uint64_t now)
{
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_device device;
    TRY(sp_device_get(core->store, id, &arena, &device));
    if (posture_stale(&device, now)) {
        device.posture = SP_POSTURE_UNKNOWN;
        sp_devices_show(core, &device);
        sp_state_again(core);
        sp_devices_publish(core, &device);
    }
    if (slot_idle(&device, now)) {
        sp_live_device none = {.state = SP_DEVICE_FREE};
        TRY(sp_live_device_put(&core->live, device.slot, &none));
        device.slot = SP_NONE;
        show_key(core, &device);
    }
    return sp_device_update(core->store, &device);
}

static void remove_ended(void *self, const sp_device_cert *cert)
{
    const load_walk *walk = self;
    if (cert->not_after_unix_s <= walk->now_s) {
        sp_live_cert_remove(&walk->core->live, &cert->fingerprint);
    }
}

static sp_err sweep(sp_core *core)
{
    load_walk walk = {core, now_s()};
    stale_walk stale = {.core = core, .now_s = walk.now_s};
    TRY(sp_cert_each(core->store, 0, remove_ended, &walk));
    TRY(sp_device_each(core->store, find_stale, &stale));
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    for (size_t i = 0; i < stale.count; i++) {
        TRY(freshen(core, stale.ids[i], walk.now_s));
    }
    TRY(sp_code_forget(core->store, walk.now_s));
    TRY(sp_cert_forget(core->store, walk.now_s - SP_DEVICE_CERT_LIFE_S));
    TRY(sp_tickets_forget(core->store, walk.now_s - TICKETS_KEPT_S));
    return sp_txn_commit(&txn);
}

static void on_sweep(uv_timer_t *timer)
{
    const sp_devices *devices = timer->data;
    sp_err err = sweep(devices->core);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "devices: the sweep failed: %s", sp_code_word(err.code));
    }
}

static sp_err load(sp_core *core)
{
    load_walk walk = {core, now_s()};
    TRY(sp_device_each(core->store, load_device, core));
    TRY(sp_cert_each(core->store, 0, load_cert, &walk));
    TRY(sp_devices_agent_routes(core));
    return sp_devices_manage_routes(core);
}

sp_err sp_devices_start(sp_core *core, sp_devices **ret_devices)
{
    TRY(sp_device_rows_migrate(core->store));
    sp_devices *devices = NULL;
    TRY(sp_alloc(1, sizeof(*devices), &devices));
    devices->core = core;
    devices->sweep.data = devices;
    if (uv_timer_init(core->loop, &devices->sweep) != 0) {
        sp_free(devices);
        return sp_fail(SP_EIO);
    }
    core->state->devices = devices; /* certificates that retire are kept there while it loads */
    sp_err err = load(core);
    if (!sp_failed(err) && uv_timer_start(&devices->sweep, on_sweep, SWEEP_MS, SWEEP_MS) != 0) {
        err = sp_fail(SP_EIO);
    }
    if (sp_failed(err)) {
        core->state->devices = NULL;
        sp_devices_stop(devices);
        return err;
    }
    *ret_devices = devices;
    return sp_ok();
}

static void sweep_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_devices_stop(sp_devices *devices)
{
    if (devices == NULL) {
        return;
    }
    for (retiring *r = devices->retiring; r != NULL; r = r->next) {
        uv_close((uv_handle_t *)&r->timer, retire_closed);
    }
    uv_close((uv_handle_t *)&devices->sweep, sweep_closed);
}

/* ---- figures and news ---- */

void sp_devices_count(sp_core *core, size_t ret_counts[SP_DEVICE_COUNT])
{
    SP_IGNORE(sp_device_count(core->store, ret_counts)); /* zeros are shown then */
}

void sp_devices_publish(sp_core *core, const sp_device *device)
{
    auto_buf sp_buf id = sp_buf_make(32);
    sp_buf_u64_text(&id, device->id);
    sp_sse_publish(core, SP_TOPIC_DEVICES, 0, "devices", json_pack("{s:s%}", "id", id.ptr, id.len));
    sp_sse_publish(core, SP_TOPIC_ME, device->person, "me", json_pack("{s:s}", "what", "device"));
}
