/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/sessions share.
 * OWNS see each struct. PROCESS core. TRUST see sessions.h. SPEC core/sessions/README.md.
 */
#ifndef SP_CORE_SESSIONS_INSIDE_H
#define SP_CORE_SESSIONS_INSIDE_H

#include "core/sessions/sessions.h"

typedef struct sp_session_token {
    struct sp_session_token *next;
    sp_hash hash;
    char host[];
} sp_session_token;

/* One slot of the live table, and what gates need not know. */
typedef struct {
    uint64_t id; /* 0 = free */
    uint64_t device;
    uint64_t started_unix_s;
    uint64_t auth_unix_s;
    uint64_t seen_unix_s;
    uint64_t expires_unix_s;
    sp_session_token *tokens;
    uint32_t token_count;
    uint32_t person;
    uint32_t device_slot;
    uint32_t next_free;
    uint8_t strength;
    uint8_t kind;
    bool seen_changed; /* not yet in the store */
    char person_name[SP_NAME_MAX_BYTES + 1];
    char peer[SP_SESSION_PEER_BYTES];
    char user_agent[SP_SESSION_AGENT_BYTES + 1];
} sp_session_slot;

typedef struct sp_tickets sp_tickets;

/* Whose sessions were all ended, lately. */
enum { SP_SESSION_FALLS = 1024 };
typedef struct {
    uint64_t when; /* 0 = never used */
    uint32_t person;
} sp_session_fall;

struct sp_sessions {
    sp_core *core;
    sp_session_slot *slots;
    uint32_t caps;
    uint32_t used_up_to; /* slots behind it were never used: their memory is untouched */
    uint32_t free_first; /* oldest freed slot first, SP_NONE = none */
    uint32_t free_last;
    size_t count;
    sp_session_mark falls; /* how many there have been */
    sp_session_fall fallen[SP_SESSION_FALLS];
    unsigned ticks;
    uv_timer_t timer;
    sp_tickets *tickets;
};

/* ---- rows.c: the store; each call is a transaction ---- */
SP_MUST sp_err sp_session_rows_start(sp_store *store);
/* certificate: that it came with, NULL = none. */
SP_MUST sp_err sp_session_row_add(sp_store *store, const sp_session_slot *slot,
                                  const sp_hash *certificate, const sp_hash *token, sp_span host);
SP_MUST sp_err sp_session_row_token(sp_store *store, uint64_t id, const sp_hash *token,
                                    sp_span host);
SP_MUST sp_err sp_session_row_token_remove(sp_store *store, const sp_hash *token);
SP_MUST sp_err sp_session_row_auth(sp_store *store, const sp_session_slot *slot);
SP_MUST sp_err sp_session_row_remove(sp_store *store, uint64_t id);
SP_MUST sp_err sp_session_rows_seen(sp_sessions *sessions);
/* Times of all sessions by so much: last use; proof and end. In a transaction of the caller. */
SP_MUST sp_err sp_session_rows_move(sp_store *store, int64_t seen_by_s, int64_t ends_by_s);
SP_MUST sp_err sp_session_rows_each(sp_store *store,
                                    void (*visit)(void *self, const sp_session_slot *slot),
                                    void *self);
SP_MUST sp_err sp_session_row_tokens(sp_store *store, uint64_t id,
                                     void (*visit)(void *self, const sp_hash *hash, sp_span host),
                                     void *self);

/* ---- sessions.c ---- */
/* The slot, if it still holds that session; NULL. */
sp_session_slot *sp_session_slot_of(sp_sessions *sessions, uint32_t slot, uint64_t id);
void sp_session_view_of(const sp_sessions *sessions, uint32_t slot, sp_session_view *ret_view);

/* ---- enter.c: tickets and their routes ---- */
SP_MUST sp_err sp_tickets_start(sp_core *core, sp_tickets **ret_tickets);
void sp_tickets_free(sp_tickets *tickets);

#endif
