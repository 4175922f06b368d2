/* SPDX-License-Identifier: Apache-2.0
 * People and the roles they hold: the directory that policy is compiled against.
 * OWNS nothing: rows of the store. PROCESS core. TRUST names are checked: lower case letters,
 * digits,
 * '.', '-', '_', starting with a letter or digit, <= 63 bytes. SPEC docs/ARCHITECTURE.md "Policy".
 *
 * A role has a number from the moment its name is first seen, for ever: live sessions carry
 * numbers. Three roles of administrators exist from the start; no person holds two of them.
 */
#ifndef SP_CORE_IDENTITY_PEOPLE_H
#define SP_CORE_IDENTITY_PEOPLE_H

#include "core/core.h"

#include <jansson.h>

typedef enum {
    SP_PERSON_INVITED, /* has an invitation, cannot sign in yet */
    SP_PERSON_ACTIVE,
    SP_PERSON_LOCKED, /* by an administrator */
    SP_PERSON_REMOVED,
    SP_PERSON_STATE_COUNT
} sp_person_state;
const char *sp_person_state_word(sp_person_state state);

enum { SP_DISPLAY_MAX_BYTES = 120 };

typedef struct {
    uint32_t id; /* from 1; the number in policies, sessions and events */
    char name[SP_NAME_MAX_BYTES + 1];
    char display[SP_DISPLAY_MAX_BYTES + 1];
    uint8_t state; /* sp_person_state */
    uint64_t created_unix_s;
} sp_person;

bool sp_name_is_valid(sp_span name);

SP_MUST sp_err sp_people_get(sp_store *store, uint32_t id, sp_person *ret_person);
SP_MUST sp_err sp_people_find(sp_store *store, sp_span name, sp_person *ret_person);
SP_MUST sp_err sp_people_each(sp_store *store, void (*visit)(void *self, const sp_person *person),
                              void *self);
/* Those behind that name, in order of names; visit returns false to stop. */
SP_MUST sp_err sp_people_after(sp_store *store, sp_span name,
                               bool (*visit)(void *self, const sp_person *person), void *self);
SP_MUST sp_err sp_people_count(sp_store *store, size_t ret_counts[SP_PERSON_STATE_COUNT]);
/* How many active people hold each administrator's role; by role number. */
SP_MUST sp_err sp_admins_count(sp_store *store, size_t ret_counts[SP_ROLE_NR_AUDIT + 1]);
/* SP_EEXISTS, SP_EINVALID (name). Inside a transaction of the caller. */
SP_MUST sp_err sp_people_add(sp_store *store, sp_span name, sp_span display, sp_person_state state,
                             uint32_t *ret_id);

/* The schema "Person" of the API; a new reference. */
json_t *sp_person_json(sp_core *core, const sp_person *person);

/* ---- roles ---- */
/* The role's number, given now if the name is new. SP_ELIMIT after SP_ROLES_MAX. Inside a
 * transaction of the caller. */
SP_MUST sp_err sp_roles_ensure(sp_store *store, sp_span name, uint32_t *ret_number);
SP_MUST sp_err sp_roles_find(sp_store *store, sp_span name, uint32_t *ret_number);
SP_MUST sp_err sp_roles_each(sp_store *store,
                             void (*visit)(void *self, sp_span name, uint32_t number), void *self);
/* Bits by number. */
SP_MUST sp_err sp_roles_of(sp_store *store, uint32_t person, uint64_t ret_roles[SP_ROLE_WORDS]);
/* SP_EDENIED: it would be a second administrator role. SP_ENOTFOUND. Inside a transaction. */
SP_MUST sp_err sp_roles_grant(sp_store *store, uint32_t person, uint32_t role);
SP_MUST sp_err sp_roles_revoke(sp_store *store, uint32_t person, uint32_t role);

#endif
