/* SPDX-License-Identifier: Apache-2.0
 * What is meant by a name, and how much a cut of it would meet.
 * OWNS nothing. PROCESS core. TRUST names are hostile and looked up only. SPEC core/cut/cut.h.
 */
#include "core/cut/inside.h"
#include "core/database/database.h"
#include "core/devices/devices.h"
#include "core/documents/documents.h"
#include "core/identity/people.h"
#include "core/sessions/sessions.h"
#include "core/ssh/ssh.h"
#include "infra/proc/clock.h"

enum { ROW_ARENA_BYTES = 64 * 1024 };

static const sp_policy *policy_of(const sp_core *core)
{
    return sp_policy_set_view(sp_documents_set(core->state->documents));
}

/* ---- finding ---- */

static sp_err find_session(sp_core *core, sp_span name, sp_cut_target *target)
{
    sp_session_view view;
    if (sp_failed(sp_session_id_of(name, &target->id)) ||
        !sp_sessions_find(core, target->id, &view)) {
        return sp_fail(SP_ENOTFOUND);
    }
    target->number = view.person;
    return sp_ok();
}

static sp_err find_person(sp_core *core, sp_span name, sp_cut_target *target)
{
    sp_person person;
    TRY(sp_people_find(core->store, name, &person));
    target->number = person.id;
    return person.state == SP_PERSON_REMOVED ? sp_fail(SP_ENOTFOUND) : sp_ok();
}

typedef struct {
    sp_span name;
    uint64_t id;
    size_t count;
} device_walk;

static void match_device(void *self, const sp_device *device)
{
    device_walk *walk = self;
    if (device->state != SP_DEVICE_REVOKED && sp_span_eq(device->name, walk->name)) {
        walk->id = device->id;
        walk->count++;
    }
}

/* By its id, or by a name that only one has. Digits may be both: whoever names a device chooses
 * that, so then neither is taken; `id:17` says which is meant. */
static sp_err find_device(sp_core *core, sp_span name, sp_cut_target *target)
{
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_device device;
    device_walk walk = {.name = name};
    uint64_t id = 0;
    bool by_id = sp_span_starts(name, SP_SPAN_LIT("id:"));
    sp_span digits = by_id ? sp_span_slice(name, 3, name.len) : name;
    bool is_id = !sp_failed(sp_span_to_u64(digits, INT64_MAX, &id)) &&
                 !sp_failed(sp_device_get(core->store, id, &arena, &device));
    if (!by_id) {
        TRY(sp_device_each(core->store, match_device, &walk));
    }
    if (walk.count > 1 || (is_id && walk.count == 1 && walk.id != id)) {
        return sp_fail(SP_EEXISTS);
    }
    walk.id = is_id ? id : walk.id;
    if (walk.id == 0 || sp_failed(sp_device_get(core->store, walk.id, &arena, &device))) {
        return sp_fail(SP_ENOTFOUND);
    }
    target->id = walk.id;
    target->number = device.person;
    return sp_fit(target->name, sizeof(target->name), device.name);
}

static sp_err find_class(const sp_policy *policy, sp_span name, sp_cut_target *target)
{
    for (uint8_t level = 0; level < SP_CLASSES_MAX; level++) {
        if (name.len > 0 && sp_span_eq(sp_policy_class_name(policy, level), name)) {
            target->class_level = level;
            return sp_ok();
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

sp_err sp_cut_find(sp_core *core, sp_cut_kind kind, sp_span name, sp_cut_target *ret_target)
{
    sp_cut_target target = {.kind = kind};
    sp_err err = sp_fit(target.name, sizeof(target.name), name);
    if (sp_failed(err)) {
        return sp_fail(SP_ENOTFOUND); /* nothing has so long a name */
    }
    switch (kind) {
    case SP_CUT_SESSION:
        err = find_session(core, name, &target);
        break;
    case SP_CUT_PERSON:
        err = find_person(core, name, &target);
        break;
    case SP_CUT_DEVICE:
        err = find_device(core, name, &target);
        break;
    case SP_CUT_ROLE:
        err = sp_roles_find(core->store, name, &target.number);
        break;
    case SP_CUT_RESOURCE:
        err = sp_policy_resource_find(policy_of(core), name) == SP_NONE ? sp_fail(SP_ENOTFOUND)
                                                                        : sp_ok();
        break;
    case SP_CUT_CLASS:
        err = find_class(policy_of(core), name, &target);
        break;
    case SP_CUT_EVERYTHING:
        target.name[0] = '\0';
        break;
    case SP_CUT_KIND_COUNT:
        err = sp_fail(SP_ENOTFOUND);
        break;
    }
    TRY(err);
    *ret_target = target;
    return sp_ok();
}

void sp_cut_roles_with(const sp_core *core, uint32_t number, uint64_t ret_roles[SP_ROLE_WORDS])
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_set(ret_roles, 0, SP_ROLE_WORDS * sizeof(ret_roles[0]));
    for (size_t i = 0; set != NULL && i < sp_policy_set_role_count(set); i++) {
        sp_policy_role role;
        if (!sp_failed(sp_policy_set_role(set, i, &role)) && sp_roles_hold(role.implies, number) &&
            role.number < SP_ROLES_MAX) {
            ret_roles[role.number / 64] |= UINT64_C(1) << (role.number % 64);
        }
    }
}

/* ---- counting ---- */

typedef struct {
    sp_core *core;
    const sp_cut_target *target;
    const sp_policy *policy;
    sp_cut_scope *scope;
    uint8_t *seen;       /* a bit a person */
    uint8_t *seen_slots; /* a bit a session, by its slot */
    uint32_t people_max;
    uint64_t roles[SP_ROLE_WORDS]; /* of a cut role */
} counting;

static bool holds_one(const uint64_t held[SP_ROLE_WORDS], const uint64_t roles[SP_ROLE_WORDS])
{
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        if ((held[w] & roles[w]) != 0) {
            return true;
        }
    }
    return false;
}

static bool meets_session(const counting *c, const sp_session_view *view)
{
    const sp_cut_target *target = c->target;
    sp_live_session live;
    switch (target->kind) {
    case SP_CUT_SESSION:
        return view->id == target->id;
    case SP_CUT_PERSON:
        return view->person == target->number;
    case SP_CUT_DEVICE:
        return view->device == target->id;
    case SP_CUT_ROLE:
        return !sp_failed(sp_sessions_live(c->core, view->slot, view->id, &live)) &&
               holds_one(live.roles, c->roles);
    case SP_CUT_EVERYTHING:
        return true;
    case SP_CUT_RESOURCE:
    case SP_CUT_CLASS: /* by their connections: being signed in is not being there */
    case SP_CUT_KIND_COUNT:
        break;
    }
    return false;
}

/* The first time that the bit is asked for. */
static bool is_first(uint8_t *bits, uint32_t at)
{
    uint8_t bit = (uint8_t)(1U << (at % 8));
    bool first = (bits[at / 8] & bit) == 0;
    bits[at / 8] |= bit;
    return first;
}

/* Once, however many connections of it are met. */
static void add_session(counting *c, const sp_session_view *view)
{
    if (view->slot < c->people_max && !is_first(c->seen_slots, view->slot)) {
        return;
    }
    c->scope->sessions++;
    if (view->person < c->people_max && is_first(c->seen, view->person)) {
        c->scope->people++;
    }
}

static void count_session(void *self, const sp_session_view *view)
{
    counting *c = self;
    if (meets_session(c, view)) {
        add_session(c, view);
    }
}

static bool meets_connection(const counting *c, uint64_t session, uint64_t device, sp_span resource)
{
    const sp_cut_target *target = c->target;
    if (target->kind == SP_CUT_RESOURCE) {
        return sp_span_eq(resource, sp_span_cstr(target->name));
    }
    if (target->kind == SP_CUT_CLASS) {
        uint32_t at = sp_policy_resource_find(c->policy, resource);
        const sp_subject nobody = {.person = 0};
        const sp_question question = {.who = &nobody, .resource = at, .part = SP_NONE};
        return at != SP_NONE &&
               sp_policy_decide(c->policy, &question).class_level >= target->class_level;
    }
    if (target->kind == SP_CUT_DEVICE && device == target->id) {
        return true;
    }
    sp_session_view view;
    return target->kind == SP_CUT_EVERYTHING ||
           (sp_sessions_find(c->core, session, &view) && meets_session(c, &view));
}

static void count_connection(counting *c, uint64_t session, uint64_t device, sp_span resource,
                             size_t *connections)
{
    sp_session_view view;
    if (!meets_connection(c, session, device, resource)) {
        return;
    }
    (*connections)++;
    if (c->scope->by_connection && sp_sessions_find(c->core, session, &view)) {
        add_session(c, &view);
    }
}

static void count_database(void *self, uint64_t session, uint64_t device, sp_span resource)
{
    counting *c = self;
    count_connection(c, session, device, resource, &c->scope->database_connections);
}

static void count_ssh(void *self, uint64_t session, uint64_t device, sp_span resource)
{
    counting *c = self;
    count_connection(c, session, device, resource, &c->scope->ssh_connections);
}

void sp_cut_scope_of(sp_core *core, const sp_cut_target *target, sp_cut_scope *ret_scope)
{
    enum { PEOPLE_MAX = 1 << 17 };
    auto_free uint8_t *seen = NULL;
    auto_free uint8_t *seen_slots = NULL;
    *ret_scope = (sp_cut_scope){.by_connection = target->kind == SP_CUT_RESOURCE ||
                                                 target->kind == SP_CUT_CLASS};
    counting c = {.core = core,
                  .target = target,
                  .policy = policy_of(core),
                  .scope = ret_scope,
                  .people_max = PEOPLE_MAX};
    if (sp_failed(sp_alloc(PEOPLE_MAX / 8, 1, &seen)) ||
        sp_failed(sp_alloc(PEOPLE_MAX / 8, 1, &seen_slots))) {
        c.people_max = 0; /* sessions are counted all the same */
    }
    c.seen = seen;
    c.seen_slots = seen_slots;
    if (target->kind == SP_CUT_ROLE) {
        sp_cut_roles_with(core, target->number, c.roles);
        c.roles[target->number / 64 % SP_ROLE_WORDS] |= UINT64_C(1) << (target->number % 64);
    }
    sp_sessions_each(core, 0, count_session, &c);
    sp_databases_each(core, count_database, &c);
    sp_ssh_each(core, count_ssh, &c);
}

json_t *sp_cut_scope_json(const sp_cut_scope *scope)
{
    return json_pack("{s:s,s:I,s:I,s:I,s:I}", "counted",
                     scope->by_connection ? "connections" : "sessions", "sessions",
                     (json_int_t)scope->sessions, "people", (json_int_t)scope->people,
                     "database_connections", (json_int_t)scope->database_connections,
                     "ssh_connections", (json_int_t)scope->ssh_connections);
}
