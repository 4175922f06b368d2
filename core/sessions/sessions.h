/* SPDX-License-Identifier: Apache-2.0
 * Sessions: who is signed in, since when, how strongly, on which device; and the cookies (tokens)
 * that lead to them, one a host. Kept in the store, and in the live table that the gates read.
 *
 * Story: a sign-in makes a session in a free slot of the live table and a token for the portal.
 * Each application host gets a token of its own by /enter (a single-use ticket). Ending a session
 * removes its slot and all its tokens at once, moves the epoch on, and has every gate look again. A
 * session ends by sign-out, by its owner or an administrator, by a change of what it stands on,
 * when it is 12 hours old, or when nobody used it for 4 hours.
 *
 * OWNS slots and tokens of the live table. PROCESS core. TRUST cookies are hostile; only their
 * SHA-256 is kept. SPEC docs/ARCHITECTURE.md "Signing in and cookies".
 */
#ifndef SP_CORE_SESSIONS_SESSIONS_H
#define SP_CORE_SESSIONS_SESSIONS_H

#include "core/core.h"
#include "core/http/cookie.h"

#include <jansson.h>

typedef enum {
    SP_END_SIGN_OUT, /* by the person, this session */
    SP_END_OWNER,    /* by the person, from another session */
    SP_END_ADMIN,    /* by an administrator */
    SP_END_PERSON,   /* the person was locked or removed, or credentials changed */
    SP_END_DEVICE,   /* the device was quarantined or revoked */
    SP_END_EXPIRED,  /* age */
    SP_END_IDLE,
    SP_END_REPLACED, /* the same browser signed in again */
    SP_END_COUNT
} sp_end_reason;
const char *sp_end_reason_word(sp_end_reason reason);

typedef enum {
    SP_SESSION_BROWSER,
    SP_SESSION_CLI,
    SP_SESSION_SSH, /* of one SSH connection: nobody holds its cookie */
    SP_SESSION_KIND_COUNT
} sp_session_kind;

enum {
    SP_SESSION_LIFE_S = 12 * 3600, /* where the Office says nothing */
    SP_SESSION_IDLE_S = 4 * 3600,
    SP_SESSION_HOSTS_MAX = 64,  /* tokens of one session */
    SP_SESSION_PERSON_MAX = 64, /* of one person in browsers and command lines */
    SP_SESSION_PEER_BYTES = 48,
    SP_SESSION_AGENT_BYTES = 200
};

/* One session as the API shows it; valid during the visit. */
typedef struct {
    uint64_t id;
    uint32_t slot;
    uint32_t person;
    uint32_t device_slot; /* SP_NONE = unbound */
    uint64_t device;      /* core's number, 0 = unbound */
    uint8_t strength;     /* sp_strength */
    uint8_t kind;         /* sp_session_kind */
    uint64_t started_unix_s;
    uint64_t auth_unix_s;
    uint64_t seen_unix_s;
    uint64_t expires_unix_s;
    const char *person_name;
    const char *peer;       /* text of the address it started from */
    const char *user_agent; /* cut to 200 bytes */
} sp_session_view;

SP_MUST sp_err sp_sessions_start(sp_core *core, sp_sessions **ret_sessions);
/* Puts the sessions of the store into the live table; after sp_state_start, which puts the devices
 * there. */
SP_MUST sp_err sp_sessions_load(sp_core *core);
void sp_sessions_stop(sp_sessions *sessions);
/* The wall clock was set (core/clock.h): nobody was idle meanwhile, no session and no proof lasts
 * longer. One that was set ahead ends sessions, and what was proved in them, early. A session whose
 * proof would be older than all time ends. */
void sp_sessions_clock_set(sp_core *core, int64_t by_s);
/* The same for their rows, in a transaction of the caller; back_s: what of by_s went back. */
SP_MUST sp_err sp_sessions_clock_rows(sp_core *core, int64_t by_s, int64_t back_s);

size_t sp_sessions_count(const sp_sessions *sessions);
/* person 0 = all. */
void sp_sessions_each(sp_core *core, uint32_t person,
                      void (*visit)(void *self, const sp_session_view *view), void *self);
/* In order of slots from that one on; visit returns false to stop. */
void sp_sessions_from(sp_core *core, uint32_t slot, uint32_t person,
                      bool (*visit)(void *self, const sp_session_view *view), void *self);
bool sp_sessions_find(sp_core *core, uint64_t id, sp_session_view *ret_view);
/* The schema "Session" of the API; a new reference. current: the id of the asker's own. */
json_t *sp_session_json(sp_core *core, const sp_session_view *view, uint64_t current);
/* The id as the API writes it (16 hex digits), and back. SP_EINVALID. */
enum { SP_SESSION_ID_TEXT_BYTES = 17 };
void sp_session_id_text(uint64_t id, char ret_text[SP_SESSION_ID_TEXT_BYTES]);
SP_MUST sp_err sp_session_id_of(sp_span text, uint64_t *ret_id);

/* A session that lives now. After a restart of core it may be in another slot than a gate knows.
 * SP_EDENIED. */
SP_MUST sp_err sp_sessions_live(sp_core *core, uint32_t slot, uint64_t id,
                                sp_live_session *ret_session);
/* The same, and the certificate or key of a device that was shown (NULL = none) is that of an
 * active device of the person; a session that is bound to a device goes nowhere without it. */
SP_MUST sp_err sp_sessions_fits(sp_core *core, uint32_t slot, uint64_t id,
                                const sp_hash *fingerprint, sp_live_session *ret_session);
/* An address of the wire as people read it. */
sp_span sp_sessions_peer_text(const uint8_t peer[16], char room[SP_SESSION_PEER_BYTES]);

/* What comes later than this word has ended all sessions of somebody, or locked him, and ends a
 * sign-in of his that is under way as well: whoever waits (for the ledger, for the next step)
 * between a proof and its session takes the word at the proof. 0 is the word of nobody. */
typedef uint64_t sp_session_mark;
sp_session_mark sp_sessions_mark(const sp_core *core);
/* Whether a sign-in of that person, begun then, may go on: he is active, and nothing has ended his
 * sessions since. A mark that is so old that nobody remembers is over. */
bool sp_sessions_stands(const sp_core *core, uint32_t person, sp_session_mark since);

/* What a new session is made of. */
typedef struct {
    sp_session_mark since; /* the proof */
    uint32_t person;
    const char *person_name;
    uint8_t strength;
    uint8_t kind;
    uint32_t device_slot; /* SP_NONE = unbound */
    bool has_certificate;
    sp_hash certificate; /* that it came with: seen from now on */
    sp_span peer;
    sp_span user_agent;
} sp_session_new;

/* Makes it, durable and live, with a token for the portal; token_text is for the cookie, NUL-ended.
 * SP_EDENIED: it has been taken away since the proof. SP_ELIMIT: all slots are taken. Who has his
 * share already loses the one that he has not used for longest. */
SP_MUST sp_err sp_sessions_open(sp_core *core, const sp_session_new *fresh,
                                char ret_token_text[SP_TOKEN_TEXT_BYTES + 1],
                                sp_session_view *ret_view);
/* One more token, for another host. SP_ENOTFOUND, SP_ELIMIT. */
SP_MUST sp_err sp_sessions_add_token(sp_core *core, uint32_t slot, uint64_t id, sp_span host,
                                     char ret_token_text[SP_TOKEN_TEXT_BYTES + 1]);
/* The person has proved himself again. SP_ENOTFOUND; SP_EDENIED: a weaker proof than the session
 * began with makes nothing fresh. */
SP_MUST sp_err sp_sessions_step_up(sp_core *core, uint64_t id, sp_strength strength);

/* Ends one, tells the ledger (after the fact: taking away is never refused), SP_ENOTFOUND. */
SP_MUST sp_err sp_sessions_end(sp_core *core, uint64_t id, sp_end_reason reason,
                               uint32_t by_person);
/* All of a person (but the one of id `except`, 0 = none), with the sign-ins that are under way, or
 * all bound to a device slot; the number ended. */
size_t sp_sessions_end_person(sp_core *core, uint32_t person, uint64_t except, sp_end_reason reason,
                              uint32_t by_person);
size_t sp_sessions_end_device(sp_core *core, uint32_t device_slot, sp_end_reason reason,
                              uint32_t by_person);
/* The Office's session.max and session.idle, in seconds. */
uint64_t sp_sessions_life_s(const sp_core *core);
uint64_t sp_sessions_idle_s(const sp_core *core);
/* A gate (or the portal) saw it in use. Unknown sessions are ignored. */
void sp_sessions_seen(sp_core *core, uint32_t slot, uint64_t id, uint64_t now_unix_s);
/* After a change of role grants: writes the person's new roles into his live sessions and has the
 * gates look again. */
void sp_sessions_refresh_person(sp_core *core, uint32_t person);

#endif
