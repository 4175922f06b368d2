/* SPDX-License-Identifier: Apache-2.0
 * The kill switch: one function that cuts a session, a person, a device, a role, a resource, a
 * class, or everything.
 *
 * Story: an order names what and why. It takes effect first: the live table changes, the epoch
 * moves, every gate looks again at what it holds open. Only then is it kept in the store (a restart
 * of core puts it back before any gate is told anything) and told to the ledger; taking away never
 * waits for a disk and is never refused by one. The same order twice is one cut. What has an end is
 * ended by time. Undoing gives back, so it is on the ledger before it takes effect.
 *
 * What a session, person or device loses is what ending, locking and quarantine take; all else is a
 * row of the table that every decision honours (lib/policy/cuts.h). While everything is cut, the
 * portal answers security administrators with a second factor, and root on local.sock.
 *
 * OWNS rows of the table, a timer. PROCESS core. TRUST names come from requests and plans: they are
 * looked up. SPEC docs/INCIDENTS.md "The kill switch".
 */
#ifndef SP_CORE_CUT_CUT_H
#define SP_CORE_CUT_CUT_H

#include "core/core.h"
#include "lib/base/arena.h"
#include "lib/policy/cuts.h"

#include <jansson.h>

enum { SP_CUT_REASON_MAX_BYTES = 500, SP_CUT_FOR_MAX_S = 366 * 24 * 3600 };

SP_MUST sp_err sp_cut_start(sp_core *core, sp_cutter **ret_cutter);
void sp_cut_stop(sp_cutter *cutter);
/* The wall clock was set (core/clock.h): what is cut stays so for as long as it would have. Rows up
 * to the one that was the newest then, in a transaction of the caller; then the live table. */
uint64_t sp_cut_newest(sp_core *core);
SP_MUST sp_err sp_cut_clock_rows(sp_core *core, int64_t by_s, uint64_t newest);
SP_MUST sp_err sp_cut_clock_set(sp_core *core);
/* Other documents are in force: roles may include others now. */
void sp_cut_policy_changed(sp_core *core);

/* What is meant, found by its name: a session's or device's id, a person's, role's, resource's or
 * class's name; nothing for everything. */
typedef struct {
    sp_cut_kind kind;
    uint64_t id; /* of a session or device */
    uint32_t number;
    uint8_t class_level;
    char name[SP_NAME_MAX_BYTES + 1]; /* as it is shown */
} sp_cut_target;
/* SP_ENOTFOUND. SP_EEXISTS: several devices may be meant; `id:17` is the one of that number. */
SP_MUST sp_err sp_cut_find(sp_core *core, sp_cut_kind kind, sp_span name,
                           sp_cut_target *ret_target);

/* How much a cut would meet, now. */
typedef struct {
    bool by_connection; /* sessions and people are those with a connection to it: of a resource or
                         * class; a page of an application is none */
    size_t sessions;
    size_t people;
    size_t database_connections;
    size_t ssh_connections;
} sp_cut_scope;
void sp_cut_scope_of(sp_core *core, const sp_cut_target *target, sp_cut_scope *ret_scope);
json_t *sp_cut_scope_json(const sp_cut_scope *scope);

typedef struct {
    sp_cut_target target;
    sp_cut_effect effect; /* STEP_UP: not for sessions and devices */
    uint64_t for_s;       /* 0 = until it is undone; not for sessions, people and devices */
    sp_span reason;
    uint32_t by; /* person; 0 = root, or a plan */
    sp_span by_name;
    uint64_t incident;     /* 0 = none */
    uint64_t began_unix_s; /* of a plan's step: what it cut since then is its own; 0 = no step */
} sp_cut_order;
/* Cuts. What is cut already, and for at least as long, gives the number of that cut; *ret_own (may
 * be NULL) is false then: it is not this order's to give back. The order is on the ledger all the
 * same, and a step-up counts from the newest order. SP_ELIMIT: all rows are taken; SP_EUNSUPPORTED:
 * such a thing has no such cut; SP_ECONFLICT: it is in no state for it; SP_EIO: in force, but it
 * may be forgotten by a restart. */
SP_MUST sp_err sp_cut_now(sp_core *core, const sp_cut_order *order, uint64_t *ret_id,
                          bool *ret_own);
/* Gives back; the caller has it on the ledger. SP_ENOTFOUND, SP_ECONFLICT: it has ended, or it
 * cannot be given back (a session, a cloned device). */
SP_MUST sp_err sp_cut_undo(sp_core *core, uint64_t id, sp_span by_name, sp_span why);
/* Somebody else locks this account as well, for a reason of his own: undoing a cut does not let the
 * person in. */
void sp_cut_locked_too(sp_core *core, uint32_t person);
/* The schema "Cut" of the API; NULL: there is none. */
json_t *sp_cut_json(sp_core *core, uint64_t id);
/* Those in force, oldest first, as JSON. */
json_t *sp_cuts_list(sp_core *core, bool also_ended);

#endif
