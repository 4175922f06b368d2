/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/database share.
 * OWNS see each struct. PROCESS core. TRUST see database.h. SPEC core/database/README.md.
 */
#ifndef SP_CORE_DATABASE_INSIDE_H
#define SP_CORE_DATABASE_INSIDE_H

#include "core/database/database.h"
#include "core/database/day_clock.h"
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
typedef struct sp_db_days sp_db_days;
typedef struct sp_db_guess sp_db_guess;

struct sp_databases {
    sp_core *core;
    sp_db_tokens *tokens;
    sp_db_conversations *conversations;
    sp_db_connections *connections;
    sp_db_budgets *budgets;
    sp_db_days *days;
    sp_db_guess *guesses;
    uv_timer_t timer;
};

/* ---- tokens.c ---- */
SP_MUST sp_err sp_db_tokens_new(sp_db_tokens **ret_tokens);
void sp_db_tokens_free(sp_db_tokens *tokens);
void sp_db_tokens_expire(sp_databases *databases, uint64_t now_unix_s);
/* The wall clock was set by so much: back, their ends go back with it; ahead, they end early. */
void sp_db_tokens_clock_set(sp_databases *databases, int64_t by_s);
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
/* Makes the tables of days, too. */
SP_MUST sp_err sp_db_budgets_start(sp_databases *databases);
void sp_db_budgets_stop(sp_databases *databases);
/* Writes what a day's counters hold; old rows go. */
void sp_db_budgets_flush(sp_databases *databases, uint64_t now_unix_s);

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
/* A SPEND that is being answered. */
typedef struct {
    sp_databases *databases;
    sp_gate gate;
    sp_peer *peer;
    const sp_db_spend *ask;
    const sp_live_session *session;
    uint64_t now_unix_s;
} sp_db_spending;
/* The day's limit first, then the budgets. SP_EDENIED: over one of them; SP_EAGAIN: what is left
 * of the day is granted to other statements of the person, or another one is under way of which
 * nobody knows how many rows it changes, as of this one. */
SP_MUST sp_err sp_db_spend_now(sp_databases *databases, sp_gate gate, sp_peer *peer,
                               const sp_db_spend *ask, sp_db_granted *ret_granted);
void sp_db_spend_reply(sp_peer *peer, const sp_msg *to, sp_err err, const sp_db_granted *granted);
/* What is over (the word), NULL = nothing. With nothing to spend: whether anything is left. */
const char *sp_db_over(uint64_t used, uint64_t more, uint64_t most, const char *word);
/* What ran has counted, and counts whether there was room for it or not. */
bool sp_db_is_after(const sp_db_spend *ask);
/* An event. budget empty: the day's limit. */
void sp_db_tell_over(const sp_db_spending *s, sp_span budget, bool locked, const char *what);

/* ---- day.c ---- */
SP_MUST sp_err sp_db_days_new(sp_db_days **ret_days);
void sp_db_days_free(sp_db_days *days);
/* What was kept of which day it is. */
SP_MUST sp_err sp_db_days_read_clock(sp_store *store, sp_db_days *days);
/* What the clock was set to while core did not run changes no day back. In a transaction of the
 * caller. */
SP_MUST sp_err sp_db_days_right(sp_databases *databases, uint64_t now_unix_s);
SP_MUST sp_err sp_db_days_flush(sp_store *store, sp_db_days *days);
/* The day as it is counted (day_clock.h). */
uint64_t sp_db_days_day(const sp_databases *databases, uint64_t now_unix_s);
/* The wall clock was set by so much, and shows now_unix_s. */
void sp_db_days_clock_set(sp_databases *databases, uint64_t now_unix_s, int64_t by_s);
/* In a transaction of the caller. */
SP_MUST sp_err sp_db_days_write_clock(sp_store *store, const sp_db_days *days);
/* Counts what was carried off, and grants a portion where the SPEND wants one. SP_EDENIED: nothing
 * is left; SP_EAGAIN: others hold it. What was carried off is counted then as well. */
SP_MUST sp_err sp_db_days_spend(const sp_db_spending *s, sp_db_granted *ret_granted);
/* Rows and bytes have left of what was granted to a statement, and the rest of that is free,
 * whoever may still ask for more; false: nothing was granted to it. */
bool sp_db_days_carried(sp_db_days *days, const sp_peer *peer, uint64_t reference, uint64_t rows,
                        uint64_t bytes);
/* The statement is over, with rows and bytes that were not told yet; false: nothing was granted to
 * it. */
bool sp_db_days_end(sp_db_days *days, const sp_peer *peer, uint64_t reference, uint64_t rows,
                    uint64_t bytes);
/* Holds a SPEND back until others have ended, at most some seconds. SP_ELIMIT, SP_ENOMEM. */
SP_MUST sp_err sp_db_days_wait(sp_db_days *days, sp_peer *peer, const sp_msg *msg,
                               const sp_db_spend *ask);
/* Asks again for those who wait; who has waited long enough is told. Also once a second. */
void sp_db_days_retry(sp_databases *databases, uint64_t now_us);
/* Nobody waits for that any more. reference 0: for nothing of this peer. */
void sp_db_days_forget(sp_db_days *days, const sp_peer *peer, uint64_t reference);
/* A peer is gone: what was granted to its statements has been used. */
void sp_db_days_gone(sp_db_days *days, const sp_peer *peer);
/* All who carried anything off today: rows and bytes, with what is granted now. */
SP_MUST sp_err sp_db_days_today(sp_databases *databases, sp_db_spent_visit visit, void *self);

/* ---- guesses.c ---- */
/* Whether another guess of this person is under way. */
bool sp_db_guess_is_other(const sp_databases *databases, const sp_peer *peer, uint32_t person,
                          uint64_t reference);
/* It may be told again. SP_ELIMIT, SP_ENOMEM. */
SP_MUST sp_err sp_db_guess_begin(sp_databases *databases, const sp_peer *peer, uint32_t person,
                                 uint64_t reference);
/* It is counted, or did not run; reference 0: the peer is gone. False: there was none. */
bool sp_db_guess_end(sp_databases *databases, const sp_peer *peer, uint64_t reference);
void sp_db_guesses_free(sp_databases *databases);

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
