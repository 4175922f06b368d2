/* SPDX-License-Identifier: Apache-2.0
 * Cutting and giving back.
 * OWNS the room's state. PROCESS core. TRUST see cut.h. SPEC core/cut/cut.h.
 */
#include "core/clock.h"
#include "core/cut/inside.h"
#include "core/devices/devices.h"
#include "core/http/sse.h"
#include "core/identity/identity.h"
#include "core/identity/people.h"
#include "core/incidents/incidents.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum { TICK_MS = 1000, DETAIL_BYTES = 2048, ROW_ARENA_BYTES = 64 * 1024 };

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- told ---- */

static void detail_of(const sp_cut_row *row, sp_span why, sp_buf *detail)
{
    sp_buf_fmt(detail, "{\"cut\":\"%llu\",\"kind\":\"%s\",\"effect\":\"%s\",\"until\":%llu,",
               (unsigned long long)row->id, sp_cut_kind_word((sp_cut_kind)row->kind),
               sp_cut_effect_word((sp_cut_effect)row->effect),
               (unsigned long long)row->until_unix_s);
    sp_buf_text(detail, "\"reason\":");
    sp_buf_json(detail, why);
    sp_buf_byte(detail, '}');
}

static void tell(sp_core *core, const sp_cut_row *row, const char *method, uint32_t by,
                 sp_span by_name, sp_span why)
{
    auto_buf sp_buf detail = sp_buf_make(DETAIL_BYTES);
    detail_of(row, why, &detail);
    sp_event event = {.kind = SP_EVENT_ADMIN,
                      .when_unix_us = sp_now_unix_us(),
                      .person = by,
                      .person_name = by_name,
                      .verdict = SP_VERDICT_ALLOW,
                      .severity =
                          row->kind == SP_CUT_EVERYTHING ? SP_SEVERITY_CRITICAL : SP_SEVERITY_HIGH,
                      .method = sp_span_cstr(method),
                      .object = row->name,
                      .detail = sp_buf_borrow(&detail)};
    sp_ledger_client_tell(core->ledger, &event);
    sp_sse_publish(core, SP_TOPIC_SESSIONS | SP_TOPIC_HEALTH, 0, "cuts",
                   json_pack("{s:s}", "what", method));
}

/* ---- the table ---- */

static bool is_table_row(uint8_t kind, uint8_t effect)
{
    return effect == SP_CUT_STEP_UP ||
           (kind != SP_CUT_SESSION && kind != SP_CUT_DEVICE && kind != SP_CUT_PERSON);
}

static sp_err cut_of(sp_core *core, const sp_cut_row *row, sp_cut *ret_cut)
{
    sp_cut cut = {.id = row->id,
                  .since_unix_s = row->since_unix_s,
                  .until_unix_s = row->until_unix_s,
                  .number = row->number,
                  .kind = row->kind,
                  .effect = row->effect,
                  .class_level = row->class_level};
    if (cut.kind == SP_CUT_ROLE) {
        sp_cut_roles_with(core, cut.number, cut.roles);
    }
    TRY(sp_fit(cut.name, sizeof(cut.name), row->name));
    *ret_cut = cut;
    return sp_ok();
}

static sp_err put(sp_core *core, const sp_cut_row *row)
{
    sp_cut cut;
    TRY(cut_of(core, row, &cut));
    return sp_cuts_put(sp_live_cuts(&core->live), &cut);
}

/* False: it is not in the table. */
static bool renew_one(sp_core *core, const sp_cut_row *row)
{
    sp_cut cut;
    return is_table_row(row->kind, row->effect) && !sp_failed(cut_of(core, row, &cut)) &&
           sp_cuts_update(sp_live_cuts(&core->live), &cut);
}

static void renew(void *self, const sp_cut_row *row)
{
    (void)renew_one(self, row); /* else its time was over meanwhile */
}

static sp_err renew_all(sp_core *core)
{
    return core->cutter == NULL ? sp_ok() : sp_cut_rows_each(core->store, false, renew, core);
}

void sp_cut_policy_changed(sp_core *core)
{
    sp_err err = renew_all(core);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "what is cut could not be looked at again: %s",
               sp_code_word(err.code));
    }
}

uint64_t sp_cut_newest(sp_core *core)
{
    uint64_t next = 0;
    return core->cutter == NULL || sp_failed(sp_cut_row_next(core->store, &next)) ? INT64_MAX
                                                                                  : next - 1;
}

sp_err sp_cut_clock_rows(sp_core *core, int64_t by_s, uint64_t newest)
{
    return core->cutter == NULL ? sp_ok() : sp_cut_rows_move(core->store, by_s, newest, now_s());
}

sp_err sp_cut_clock_set(sp_core *core)
{
    TRY(renew_all(core));
    if (core->cutter != NULL) {
        sp_state_again(core);
    }
    return sp_ok();
}

/* ---- cutting ---- */

static sp_err quarantine(sp_core *core, const sp_cut_order *order)
{
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_device device;
    const sp_device_fall fall = {.word = SP_SPAN_LIT("quarantine"),
                                 .state = SP_DEVICE_QUARANTINED,
                                 .by = order->by,
                                 .by_name = order->by_name,
                                 .why = order->reason};
    TRY(sp_device_get(core->store, order->target.id, &arena, &device));
    if (device.state != SP_DEVICE_ACTIVE) {
        return sp_fail(SP_ECONFLICT); /* undoing would approve one that nobody has approved */
    }
    return sp_devices_fall(core, &device, &fall);
}

/* What an order takes away, at once. */
static sp_err take(sp_core *core, const sp_cut_order *order, const sp_cut_row *row)
{
    if (is_table_row(row->kind, row->effect)) {
        TRY(put(core, row));
        sp_state_again(core);
        return sp_ok();
    }
    if (row->kind == SP_CUT_SESSION) {
        return sp_sessions_end(core, row->target, SP_END_ADMIN, order->by);
    }
    return row->kind == SP_CUT_PERSON ? sp_identity_lock(core, row->number)
                                      : quarantine(core, order);
}

static bool is_possible(const sp_cut_order *order)
{
    bool has_table = is_table_row((uint8_t)order->target.kind, (uint8_t)order->effect);
    bool steps_up = order->effect == SP_CUT_STEP_UP;
    return (!steps_up ||
            (order->target.kind != SP_CUT_SESSION && order->target.kind != SP_CUT_DEVICE)) &&
           (order->for_s == 0 || has_table);
}

/* What was proved before this order does not count: not before an older one either. */
static sp_err ask_again(sp_core *core, sp_cut_row *row)
{
    sp_cut cut;
    row->since_unix_s = now_s();
    TRY(sp_cut_row_since(core->store, row->id, row->since_unix_s));
    TRY(cut_of(core, row, &cut));
    if (!sp_cuts_update(sp_live_cuts(&core->live), &cut)) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_state_again(core);
    return sp_ok();
}

/* Somebody may have let the person or device in again meanwhile, by the other way. */
static sp_err take_again(sp_core *core, const sp_cut_order *order)
{
    if (order->effect == SP_CUT_DENY && order->target.kind == SP_CUT_PERSON) {
        return sp_identity_lock(core, order->target.number);
    }
    if (order->target.kind == SP_CUT_DEVICE) {
        sp_err err = quarantine(core, order);
        return err.code == SP_ECONFLICT ? sp_ok() : err;
    }
    return sp_ok();
}

/* It is cut already, for at least as long. own: by this very order, before a restart. */
static sp_err cut_again(sp_core *core, const sp_cut_order *order, uint64_t id, bool own)
{
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_cut_row row;
    TRY(sp_cut_row_get(core->store, &arena, id, &row));
    bool asks = row.effect == SP_CUT_STEP_UP && !own;
    TRY(asks ? ask_again(core, &row) : take_again(core, order));
    tell(core, &row, asks ? "step-up required again" : "cut again", order->by, order->by_name,
         order->reason);
    return sp_ok();
}

static bool is_locked(sp_core *core, const sp_cut_target *target)
{
    sp_person person;
    return target->kind == SP_CUT_PERSON &&
           !sp_failed(sp_people_get(core->store, target->number, &person)) &&
           person.state == SP_PERSON_LOCKED;
}

sp_err sp_cut_now(sp_core *core, const sp_cut_order *order, uint64_t *ret_id, bool *ret_own)
{
    bool own = false;
    if (!is_possible(order)) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    uint64_t until_unix_s = order->for_s == 0 ? 0 : now_s() + order->for_s;
    bool same = order->target.kind != SP_CUT_SESSION &&
                !sp_failed(sp_cut_row_same(core->store, order, until_unix_s, ret_id, &own));
    if (ret_own != NULL) {
        *ret_own = !same || own;
    }
    if (same) {
        return cut_again(core, order, *ret_id, own);
    }
    sp_cut_row row = {.kind = (uint8_t)order->target.kind,
                      .effect = (uint8_t)order->effect,
                      .target = order->target.id,
                      .number = order->target.number,
                      .class_level = order->target.class_level,
                      .since_unix_s = now_s(),
                      .until_unix_s = until_unix_s,
                      .incident = order->incident,
                      .was_locked = is_locked(core, &order->target),
                      .name = sp_span_cstr(order->target.name),
                      .reason = order->reason,
                      .by_name = order->by_name};
    if (row.kind == SP_CUT_SESSION) {
        row.ended_unix_s = row.since_unix_s; /* a session ends for good */
    }
    TRY(sp_cut_row_next(core->store, &row.id));
    TRY(take(core, order, &row));
    *ret_id = row.id;
    sp_err err = sp_cut_row_add(core->store, &row);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "cut %llu of %s %s is in force and could not be kept: %s",
               (unsigned long long)row.id, sp_cut_kind_word(order->target.kind), order->target.name,
               sp_code_word(err.code));
    }
    tell(core, &row, row.effect == SP_CUT_STEP_UP ? "step-up required" : "cut", order->by,
         order->by_name, order->reason);
    return err;
}

/* ---- giving back ---- */

static sp_err give(sp_core *core, const sp_cut_row *row, sp_span by_name, sp_span why)
{
    if (is_table_row(row->kind, row->effect)) {
        sp_cuts_remove(sp_live_cuts(&core->live), row->id);
        sp_state_again(core);
        return sp_ok();
    }
    if (row->kind == SP_CUT_PERSON && row->was_locked) {
        return sp_ok(); /* for another reason, which still stands */
    }
    return row->kind == SP_CUT_PERSON ? sp_identity_unlock(core, row->number)
                                      : sp_devices_release(core, row->target, by_name, why);
}

sp_err sp_cut_undo(sp_core *core, uint64_t id, sp_span by_name, sp_span why)
{
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_cut_row row;
    TRY(sp_cut_row_get(core->store, &arena, id, &row));
    if (row.ended_unix_s != 0) {
        return sp_fail(SP_ECONFLICT);
    }
    /* kept first: what is given back must not be gone again after a restart */
    TRY(sp_cut_row_end(core->store, id, now_s(), by_name, why));
    sp_err err = give(core, &row, by_name, why);
    sp_sse_publish(core, SP_TOPIC_SESSIONS | SP_TOPIC_HEALTH, 0, "cuts",
                   json_pack("{s:s}", "what", "undone"));
    /* somebody has let the person or device in again already, by the other way */
    return err.code == SP_ECONFLICT && row.kind == SP_CUT_PERSON ? sp_ok() : err;
}

void sp_cut_locked_too(sp_core *core, uint32_t person)
{
    sp_err err = sp_cut_rows_locked_too(core->store, person);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "undoing a cut of person %u would unlock the account: %s", person,
               sp_code_word(err.code));
    }
}

/* What the store says holds: the table may not have heard that the clock was set. False: not now.
 */
static bool end_by_time(sp_core *core, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_cut_row row;
    sp_span why = SP_SPAN_LIT("its time is over");
    sp_err err = sp_cut_row_get(core->store, &arena, id, &row);
    if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        return false; /* nothing is given back because the store does not answer */
    }
    if (!sp_failed(err) && row.ended_unix_s == 0 &&
        (row.until_unix_s == 0 || row.until_unix_s > now_s())) {
        return renew_one(core, &row);
    }
    if (!sp_failed(err)) {
        err = sp_cut_undo(core, id, SP_SPAN_LIT("time"), why);
    }
    if (sp_failed(err)) {
        sp_cuts_remove(sp_live_cuts(&core->live), id); /* gates do not mind it any more */
        return true;
    }
    tell(core, &row, "cut ended", 0, SP_SPAN_LIT("time"), why);
    if (row.incident != 0) {
        auto_buf sp_buf text = sp_buf_make(SP_INCIDENT_NOTE_BYTES);
        sp_buf_fmt(&text, "%s %.*s: its time is over", sp_cut_kind_word((sp_cut_kind)row.kind),
                   SP_SPAN_ARG(row.name));
        const sp_incident_note note = {
            .kind = "cut", .by_name = SP_SPAN_LIT("time"), .text = sp_buf_borrow(&text)};
        sp_incident_add(core, row.incident, &note);
    }
    return true;
}

static void on_tick(uv_timer_t *timer)
{
    const sp_cutter *cutter = timer->data;
    sp_core *core = cutter->core;
    uint64_t id = 0;
    sp_clock_look(core);
    if (core->jump_s != 0 || core->cuts_stale) {
        return; /* ends have not moved with the clock yet */
    }
    while ((id = sp_cuts_ended(sp_live_cuts(&core->live), now_s())) != 0 && end_by_time(core, id)) {
    }
}

/* ---- start and stop ---- */

typedef struct {
    sp_core *core;
    sp_err err;
} load_walk;

static void load(void *self, const sp_cut_row *row)
{
    load_walk *walk = self;
    if (is_table_row(row->kind, row->effect) && !sp_failed(walk->err)) {
        walk->err = put(walk->core, row);
    }
}

sp_err sp_cut_start(sp_core *core, sp_cutter **ret_cutter)
{
    load_walk walk = {.core = core};
    auto_free sp_cutter *cutter = NULL;
    TRY(sp_cut_rows_start(core->store));
    TRY(sp_cut_rows_right(core->store, now_s()));
    TRY(sp_cut_rows_each(core->store, false, load, &walk));
    TRY(walk.err); /* a core that would forget what is cut does not start */
    TRY(sp_cut_routes(core));
    TRY(sp_alloc(1, sizeof(*cutter), &cutter));
    cutter->core = core;
    cutter->timer.data = cutter;
    if (uv_timer_init(core->loop, &cutter->timer) != 0 ||
        uv_timer_start(&cutter->timer, on_tick, TICK_MS, TICK_MS) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_cutter = SP_STEAL(cutter);
    return sp_ok();
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_cut_stop(sp_cutter *cutter)
{
    if (cutter != NULL) {
        uv_close((uv_handle_t *)&cutter->timer, on_closed);
    }
}
