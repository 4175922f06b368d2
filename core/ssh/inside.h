/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/ssh share.
 * OWNS see each struct. PROCESS core. TRUST see ssh.h. SPEC core/ssh/README.md.
 */
#ifndef SP_CORE_SSH_INSIDE_H
#define SP_CORE_SSH_INSIDE_H

#include "core/http/router.h"
#include "core/identity/people.h"
#include "core/sessions/sessions.h"
#include "core/ssh/ssh.h"
#include "lib/policy/decide.h"
#include "lib/proto/ssh_msg.h"

enum {
    SP_SSH_KEYS_OF_PERSON_MAX = 32,
    SP_SSH_KEY_LABEL_MAX_BYTES = 63,
    SP_SSH_ALGORITHM_TEXT_BYTES = 48,
    SP_SSH_CONNECTIONS_MAX = 32768
};

typedef struct sp_ssh_conversations sp_ssh_conversations;
typedef struct sp_ssh_connections sp_ssh_connections;
typedef struct sp_ssh_rides sp_ssh_rides;
typedef struct sp_ssh_frozen sp_ssh_frozen;
typedef struct sp_ssh_places sp_ssh_places;

struct sp_ssh {
    sp_core *core;
    sp_ssh_conversations *conversations;
    sp_ssh_connections *connections;
    sp_ssh_rides *rides;
    sp_ssh_frozen *frozen;
    sp_ssh_places *places;
    sp_buf user_ca; /* public key that certificates of people must be signed by; empty at first */
    bool asking;    /* the vault for it */
    uv_timer_t timer;
};

static inline sp_ssh *sp_ssh_of(const sp_request *req)
{
    return sp_request_core(req)->ssh;
}

/* ---- keys.c: public keys that people have registered ---- */
typedef struct {
    uint64_t id;
    uint32_t person;
    uint64_t created_unix_s;
    uint64_t used_unix_s; /* 0 = never */
    uint32_t counter;     /* of a security key; the last seen */
    char algorithm[SP_SSH_ALGORITHM_TEXT_BYTES];
    char name[SP_SSH_KEY_LABEL_MAX_BYTES + 1];
} sp_ssh_key_row;

SP_MUST sp_err sp_ssh_keys_start(sp_core *core);
/* SP_ENOTFOUND. */
SP_MUST sp_err sp_ssh_key_find(sp_store *store, sp_span blob, sp_ssh_key_row *ret_row);
/* Used now; without a counter, to the minute. SP_ENOTFOUND: it was removed, or (counter > 0) the
 * counter did not grow. */
SP_MUST sp_err sp_ssh_key_use(sp_store *store, uint64_t id, uint32_t counter, uint64_t now_unix_s);

/* ---- signin.c ---- */

/* Who has proved what. */
typedef struct {
    sp_session_mark since; /* the proof */
    uint32_t person;
    uint8_t strength;
    const char *method; /* "SSH device key", ... */
    uint64_t key;       /* of a registered one: its row; else 0 */
    uint32_t counter;
    sp_ssh_session session;         /* id 0: one is made that ends with the connection */
    sp_ssh_fingerprint fingerprint; /* of the device */
    uint64_t expires_unix_s;        /* 0 = with the session */
    uint8_t peer[16];
    uint64_t connection; /* its reference */
    char person_name[SP_NAME_MAX_BYTES + 1];
    char resource[SP_NAME_MAX_BYTES + 1];
    char force_command[SP_SSH_COMMAND_MAX_BYTES + 1];
} sp_ssh_proven;

SP_MUST sp_err sp_ssh_on_offer(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_ssh_on_key(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
/* Writes it down, opens the session if need be, then tells once, perhaps at once: SP_EDENIED the
 * session has ended; SP_EEXISTS he has as many connections as a person may have; SP_EAGAIN the
 * ledger cannot. *proven is copied. */
typedef void (*sp_ssh_then)(void *self, sp_err err, const sp_ssh_signed_in *signed_in);
void sp_ssh_finish(sp_ssh *ssh, const sp_ssh_proven *proven, sp_peer *line, sp_ssh_then then,
                   void *self);
/* Tells the ledger of a sign-in that was refused without anything having been tried. */
void sp_ssh_turned_away(sp_ssh *ssh, const sp_ssh_who *who, const char *method, const char *why);
/* The same of one that was: counts it for the address as well. */
void sp_ssh_refused(sp_ssh *ssh, const sp_ssh_who *who, const char *method, const char *why);
/* What a session on this device is in the eyes of the policy. SP_EDENIED: it has ended, or the
 * device is another one. */
SP_MUST sp_err sp_ssh_subject(sp_core *core, const sp_ssh_session *session,
                              const sp_ssh_fingerprint *fingerprint, const uint8_t peer[16],
                              sp_subject *ret_who, sp_live_session *ret_session);

/* ---- certificate.c: certificates of people ---- */
/* Why it is not good; NULL: it is, and proven says the rest. is_shown: not only offered. */
const char *sp_ssh_certificate_judge(sp_ssh *ssh, const sp_ssh_key_shown *shown, bool is_shown,
                                     const sp_person *person, sp_ssh_proven *proven);
/* Issued here, for whom and until when it may be. */
bool sp_ssh_certificate_is_ours(const sp_ssh *ssh, sp_span blob);
SP_MUST sp_err sp_ssh_certificate_routes(sp_core *core);
/* The SHA-256 of a P-256 key as devices have theirs (of the SubjectPublicKeyInfo); false: no such
 * key. */
bool sp_ssh_device_hash(sp_span blob, sp_hash *ret_hash);

/* ---- rides.c: sessions that live as long as a connection ---- */
SP_MUST sp_err sp_ssh_rides_new(sp_ssh_rides **ret_rides);
void sp_ssh_rides_free(sp_ssh_rides *rides);
/* A session was made for what comes on this line, with this registered key (0 = none). SP_ELIMIT.
 */
SP_MUST sp_err sp_ssh_ride_add(sp_ssh *ssh, uint64_t session, uint32_t person, uint64_t key,
                               const sp_peer *line);
/* The key was removed: what began with it ends. */
void sp_ssh_rides_of_key_end(sp_ssh *ssh, uint32_t person, uint64_t key);
void sp_ssh_ride_opened(sp_ssh *ssh, uint64_t session, const sp_peer *line);
void sp_ssh_ride_closed(sp_ssh *ssh, uint64_t session);
void sp_ssh_rides_gone(sp_ssh *ssh, const sp_peer *line);
/* Ends those that no connection came for. */
void sp_ssh_rides_expire(sp_ssh *ssh, uint64_t now_us);

/* ---- prompt.c: password and code, or a browser ---- */
SP_MUST sp_err sp_ssh_conversations_new(sp_ssh_conversations **ret_conversations);
void sp_ssh_conversations_free(sp_ssh_conversations *conversations);
void sp_ssh_conversations_gone(sp_ssh *ssh, const sp_peer *peer);
/* A connection is over: a yes to it would take a place that nobody gives back. */
void sp_ssh_conversations_closed(sp_ssh *ssh, uint64_t connection, const sp_peer *peer);
void sp_ssh_conversations_expire(sp_ssh *ssh, uint64_t now_unix_s);
SP_MUST sp_err sp_ssh_on_prompt(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_ssh_prompt_routes(sp_core *core);

/* ---- open.c: targets ---- */
SP_MUST sp_err sp_ssh_on_targets(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_ssh_on_open(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_ssh_mine_routes(sp_core *core);

/* ---- connections.c, watch.c ---- */
enum { SP_SSH_CHANNELS_MAX = 64, SP_SSH_WATCHERS_MAX = 16 };

typedef struct {
    uint32_t number;
    uint8_t kind;
    char object[256]; /* cut */
} sp_ssh_channel_open;

typedef struct {
    uint32_t person;
    uint64_t until_us;
    bool counts; /* the terminal runs for him */
    char name[SP_NAME_MAX_BYTES + 1];
} sp_ssh_watcher;

#define SP_SSH_REFERENCE_MASK ((UINT64_C(1) << 60) - 1) /* what a reference says of an id */

/* What stood out on a connection's shells; count 0 = nothing. */
typedef struct {
    uint32_t count;
    uint8_t confidence; /* of the gravest */
    uint64_t at_unix_s;
    char text[SP_SSH_ALARM_MAX_BYTES + 1];
} sp_ssh_stood_out;

typedef struct sp_ssh_connection sp_ssh_connection;
struct sp_ssh_connection {
    sp_ssh_connection *next; /* in its bucket */
    sp_peer *peer;           /* compared and pushed to while it lives */
    uint64_t id;
    uint64_t session;
    uint64_t device;
    uint64_t began_unix_s;
    uint64_t ask; /* that its shell was approved by; 0 = none */
    uint32_t person;
    uint8_t address[16];
    bool frozen;
    char frozen_by[SP_NAME_MAX_BYTES + 1]; /* empty: the gate, for an alarm */
    sp_ssh_stood_out alarm;
    bool watch_wanted;
    uint32_t watching; /* as the gate was told last */
    size_t channel_count;
    size_t watcher_count;
    sp_ssh_channel_open *channels; /* SP_SSH_CHANNELS_MAX, made with the first one */
    sp_ssh_watcher watchers[SP_SSH_WATCHERS_MAX];
    char person_name[SP_NAME_MAX_BYTES + 1];
    char device_name[SP_LIVE_NAME_BYTES];
    char resource[SP_NAME_MAX_BYTES + 1];
    char account[SP_SSH_ACCOUNT_MAX_BYTES + 1];
    char client[SP_SSH_CLIENT_MAX_BYTES + 1];
};

SP_MUST sp_err sp_ssh_connections_new(sp_ssh_connections **ret_connections);
void sp_ssh_connections_free(sp_ssh_connections *connections);
void sp_ssh_connections_gone(sp_ssh *ssh, const sp_peer *peer);
void sp_ssh_connections_each(sp_ssh *ssh, void (*visit)(void *self, sp_ssh_connection *connection),
                             void *self);
SP_MUST sp_err sp_ssh_on_conn(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_ssh_on_channel(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_ssh_connections_routes(sp_core *core);
/* NULL: it is not there, or not on this line. */
sp_ssh_connection *sp_ssh_connection_of(sp_ssh *ssh, uint64_t id, const sp_peer *line);
/* The one that a reference names; NULL. */
sp_ssh_connection *sp_ssh_connection_named(sp_ssh *ssh, sp_span reference);
/* The one that the path names, if the asker may see it; else it has been answered. */
sp_ssh_connection *sp_ssh_connection_asked(sp_request *req);
json_t *sp_ssh_connection_json(sp_request *req, const sp_ssh_connection *c);
/* What people look at has changed. */
void sp_ssh_connection_changed(sp_core *core, const sp_ssh_connection *c);
/* An event of this request about a connection; detail is written to room. */
sp_event sp_ssh_connection_event(sp_request *req, const sp_ssh_connection *c, const char *method,
                                 sp_span why, sp_buf *room);

/* ---- places.c: how many connections a person has ---- */
SP_MUST sp_err sp_ssh_places_new(sp_ssh_places **ret_places);
void sp_ssh_places_free(sp_ssh_places *places);
/* SP_EEXISTS: he has as many as a person may have; SP_EAGAIN: his come too fast; SP_ENOMEM: all
 * together are too many. */
SP_MUST sp_err sp_ssh_place_take(sp_ssh *ssh, uint64_t connection, uint32_t person,
                                 const sp_peer *line);
/* Open already, told by its gate. */
void sp_ssh_place_hold(sp_ssh *ssh, const sp_ssh_connection *c);
void sp_ssh_place_leave(sp_ssh *ssh, uint64_t connection, const sp_peer *line);
void sp_ssh_places_gone(sp_ssh *ssh, const sp_peer *line);

/* ---- freeze.c: all connections of a person hold still ---- */
SP_MUST sp_err sp_ssh_frozen_new(sp_ssh_frozen **ret_frozen);
void sp_ssh_frozen_free(sp_ssh_frozen *frozen);
/* The gate froze this one, by an alarm or, told again, by somebody's word. */
void sp_ssh_frozen_by_gate(sp_ssh *ssh, sp_ssh_connection *c, const char *by);
void sp_ssh_frozen_opened(sp_ssh *ssh, sp_ssh_connection *c);
/* Somebody has looked at his alarm: if nothing of his is open, what he opens next is not held. */
void sp_ssh_frozen_looked_at(sp_ssh *ssh, sp_span name);
/* Freeze it, or let it go if it is frozen. */
bool sp_ssh_may_freeze(sp_request *req, const sp_ssh_connection *c);
SP_MUST sp_err sp_ssh_freeze_routes(sp_core *core);

SP_MUST sp_err sp_ssh_on_watch_want(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
SP_MUST sp_err sp_ssh_watch_routes(sp_core *core);
void sp_ssh_watch_expire(sp_ssh *ssh, uint64_t now_us);
/* By which ask, and whose, the terminal of this connection ran; false: by none. */
bool sp_ssh_watched_by(sp_store *store, uint64_t connection, uint64_t *ret_ask,
                       uint32_t *ret_person);
/* Whether this person may look at a connection or recording of that asker and ask. */
bool sp_ssh_may_watch(sp_request *req, uint32_t whose, uint64_t ask);
/* He looks now. */
bool sp_ssh_is_watching(const sp_ssh_connection *c, uint32_t person);

/* ---- alarms.c ---- */
SP_MUST sp_err sp_ssh_alarms_start(sp_core *core);
SP_MUST sp_err sp_ssh_on_alarm(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
/* Somebody has looked at it. SP_ENOTFOUND: there was none, or it had been seen. */
SP_MUST sp_err sp_ssh_alarm_seen(sp_store *store, uint64_t connection, const char *by);

/* ---- recordings.c ---- */
SP_MUST sp_err sp_ssh_recordings_routes(sp_core *core);

#endif
