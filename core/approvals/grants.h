/* SPDX-License-Identifier: Apache-2.0
 * What grants.c and grants_api.c share.
 * OWNS see the struct. PROCESS core. TRUST see approvals.h. SPEC core/approvals/README.md.
 */
#ifndef SP_CORE_APPROVALS_GRANTS_H
#define SP_CORE_APPROVALS_GRANTS_H

#include "core/approvals/inside.h"

enum { SP_GRANT_DETAIL_BYTES = 4096 };

/* The columns sp_grant_read() reads, in its order. */
#define SP_GRANT_COLUMNS                                                                           \
    "id, ask, person, role, sealed, started, until, ended, person_name, role_name, reason, "       \
    "ticket, ended_by, note"

typedef struct {
    uint64_t id;
    uint64_t ask;
    uint32_t person;
    uint32_t role;
    bool sealed;
    uint64_t started_unix_s;
    uint64_t until_unix_s;
    uint64_t ended_unix_s;
    sp_span person_name;
    sp_span role_name;
    sp_span reason;
    sp_span ticket;
    sp_span ended_by;
    sp_span note;
} sp_grant;

SP_MUST sp_err sp_grant_read(sp_query *q, sp_arena *arena, sp_grant *ret_grant);
SP_MUST sp_err sp_grant_load(sp_store *store, sp_arena *arena, uint64_t id, sp_grant *ret_grant);
/* SP_ENOTFOUND: it has one. */
SP_MUST sp_err sp_grant_note(sp_store *store, uint64_t id, sp_span note);
/* He held a sealed role and has not explained it yet. */
bool sp_grant_note_is_due(sp_store *store, uint32_t person);
void sp_grant_event(const sp_grant *grant, const char *method, sp_span why, sp_buf *room,
                    sp_event *event);
void sp_grant_publish(sp_core *core, const sp_grant *grant);
/* Now; the ledger is told and not asked. SP_ENOTFOUND: it has ended. Any other error: the store
 * does not take it, so the holder's sessions have ended, and sp_grants_tick() stores it. */
SP_MUST sp_err sp_grant_end(sp_core *core, const sp_grant *grant, sp_event *event, sp_span by,
                            sp_span why);

#endif
