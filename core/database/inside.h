/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/database share.
 * OWNS see each struct. PROCESS core. TRUST see database.h. SPEC core/database/README.md.
 */
#ifndef SP_CORE_DATABASE_INSIDE_H
#define SP_CORE_DATABASE_INSIDE_H

#include "core/database/database.h"
#include "core/http/router.h"
#include "infra/crypto/scram.h"
#include "lib/policy/database.h"
#include "lib/proto/db_msg.h"

enum {
    SP_DB_TOKEN_LIFE_S = 10 * 60,
    SP_DB_TOKENS_MAX = 4096,
    SP_DB_TOKENS_OF_PERSON_MAX = 16,
    SP_DB_SALT_BYTES = 16,
    SP_DB_CONNECTIONS_MAX = 32768
};

typedef struct sp_db_tokens sp_db_tokens;
typedef struct sp_db_conversations sp_db_conversations;
typedef struct sp_db_connections sp_db_connections;
typedef struct sp_db_budgets sp_db_budgets;

struct sp_databases {
    sp_core *core;
    sp_db_tokens *tokens;
    sp_db_conversations *conversations;
    sp_db_connections *connections;
    sp_db_budgets *budgets;
    uv_timer_t timer;
};

/* ---- tokens.c ---- */
SP_MUST sp_err sp_db_tokens_new(sp_db_tokens **ret_tokens);
void sp_db_tokens_free(sp_db_tokens *tokens);
void sp_db_tokens_expire(sp_databases *databases, uint64_t now_unix_s);
/* A token of this person for this resource whose proof this is: its session. The server signature
 * that belongs to it. SP_EDENIED: none; the same work is done for nobody. */
SP_MUST sp_err sp_db_tokens_check(const sp_databases *databases, uint32_t person, sp_span resource,
                                  sp_span auth_message, const uint8_t proof[SP_SCRAM_BYTES],
                                  sp_db_session *ret_session, sp_scram_key *ret_signature);
/* The salt of a name and resource, known or not: always the same. */
void sp_db_salt(const sp_core *core, sp_span user, sp_span resource,
                uint8_t ret_salt[SP_DB_SALT_BYTES]);
SP_MUST sp_err sp_db_tokens_routes(sp_core *core);

/* ---- sasl.c ---- */
SP_MUST sp_err sp_db_conversations_new(sp_db_conversations **ret_conversations);
void sp_db_conversations_free(sp_db_conversations *conversations);
void sp_db_conversations_gone(sp_databases *databases, const sp_peer *peer);
void sp_db_conversations_expire(sp_databases *databases, uint64_t now_us);
SP_MUST sp_err sp_db_on_sasl(sp_databases *databases, sp_peer *peer, const sp_msg *msg);

/* ---- login.c: what SASL and certificates share ---- */
SP_MUST sp_err sp_db_on_cert(sp_databases *databases, sp_peer *peer, const sp_msg *msg);
/* A session that lives now. After a restart of core it may be in another slot than the gate knows.
 * SP_EDENIED. */
SP_MUST sp_err sp_db_session_live(sp_core *core, const sp_db_session *session,
                                  sp_live_session *ret_session);
/* A session that lives now, and the certificate shown on this connection belongs to it. SP_EDENIED
 */
SP_MUST sp_err sp_db_session_fits(sp_core *core, const sp_db_session *session,
                                  const sp_db_fingerprint *fingerprint,
                                  sp_live_session *ret_session);
/* How a log-in ended, for the ledger and for the limits. */
typedef struct {
    sp_span user;
    sp_span resource;
    const char *method; /* "database token", "device certificate" */
    const char *why;    /* NULL: it worked */
    bool guessable;     /* counts against the account as well as against the address */
    const uint8_t *peer_address;
    const sp_live_session *session; /* of one that worked */
} sp_db_login;
/* Counts and tells; then replies when it is written down: then(self, err). */
void sp_db_login_worked(sp_databases *databases, const sp_db_login *login,
                        void (*then)(void *self, sp_err err), void *self);
void sp_db_login_failed(sp_databases *databases, const sp_db_login *login);

/* ---- connections.c ---- */
SP_MUST sp_err sp_db_connections_new(sp_db_connections **ret_connections);
void sp_db_connections_free(sp_db_connections *connections);
void sp_db_connections_gone(sp_databases *databases, const sp_peer *peer);
SP_MUST sp_err sp_db_on_conn(sp_databases *databases, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_db_connections_routes(sp_core *core);
/* Open to this resource; empty = all. */
size_t sp_db_connections_count(const sp_db_connections *connections, sp_span resource);

/* ---- budgets.c ---- */
SP_MUST sp_err sp_db_budgets_start(sp_core *core, sp_db_budgets **ret_budgets);
void sp_db_budgets_stop(sp_core *core, sp_db_budgets *budgets);
/* Writes what a day's counters hold; old rows go. */
void sp_db_budgets_flush(sp_core *core, sp_db_budgets *budgets, uint64_t now_unix_s);

/* What somebody spent of a budget. */
typedef struct {
    uint32_t person;
    uint64_t statements;
    uint64_t rows;
    uint64_t bytes;
    uint64_t last_unix_s;
} sp_db_spent;
typedef void (*sp_db_spent_visit)(void *self, const sp_db_spent *spent);
/* All who spent anything of it since then. */
SP_MUST sp_err sp_db_budgets_spent(sp_store *store, sp_span budget, uint64_t since_unix_s,
                                   sp_db_spent_visit visit, void *self);
/* All who carried anything off today: rows and bytes. */
SP_MUST sp_err sp_db_budgets_today(sp_databases *databases, sp_db_spent_visit visit, void *self);

/* ---- used.c ---- */
SP_MUST sp_err sp_db_used_routes(sp_core *core);

/* ---- credentials.c ---- */
SP_MUST sp_err sp_db_credentials_routes(sp_core *core);

/* What a session is in the eyes of the policy, without facts of a device. */
sp_subject sp_db_subject(const sp_live_session *session, uint64_t now_unix_s);

static inline sp_databases *sp_databases_of(const sp_request *req)
{
    return sp_request_core(req)->databases;
}

#endif
