/* SPDX-License-Identifier: Apache-2.0
 * What the files of the SSH gate share: a worker, its connections and their channels.
 *
 * Story: a worker (worker.c) accepts a connection and makes a sg_conn of it. The front side speaks
 * to the client, the back side to the target; both are libssh sessions that a sg_side drives on our
 * loop (side.c). login.c lets core say who the client is; back.c connects to the target with a key
 * of this connection that core had certified. requests.c takes what the client asks for; start.c
 * judges it (decide.c) and asks the target for the same; relay.c moves bytes between the two
 * channels, never more than the other side takes. record.c writes down, say.c tells the client why
 * something was refused, menu.c asks where to.
 *
 * Nothing is freed while libssh stands on the stack: ends are deferred to the end of the turn.
 *
 * OWNS the worker and all connections of this process. PROCESS ssh gate workers. TRUST both sides'
 * bytes are hostile. SPEC RFC 4251 to 4254, docs/ARCHITECTURE.md "SSH gate".
 */
#ifndef SP_GATES_SSH_GATE_H
#define SP_GATES_SSH_GATE_H

#include "gates/ssh/channel.h"
#include "infra/gate/give.h"
#include "infra/gate/office.h"
#include "infra/gate/resolve.h"
#include "infra/gate/rider.h"
#include "lib/base/rate.h"
#include "lib/policy/ssh.h"

#include <sys/socket.h>

/* ---- connections ---- */

typedef enum {
    SG_AT_KEX,
    SG_AT_AUTH,
    SG_AT_KNOWN, /* logged in, no target chosen yet */
    SG_AT_BACK,  /* the target is being reached */
    SG_AT_OPEN,
    SG_AT_REFUSED, /* logged in; whatever is asked for is answered with why */
    SG_AT_ENDING,
    SG_AT_COUNT
} sg_at;

/* What a client hears that is not let in. */
typedef enum {
    SG_SAID_NOTHING,
    SG_SAID_NOT_YOU,  /* whatever was wrong */
    SG_SAID_TOO_MANY, /* connections of his are open */
    SG_SAID_TOO_FAST, /* he logs in too often */
    SG_SAID_CLOSED,   /* after too many attempts */
    SG_SAID_BROKEN    /* nobody can be let in now */
} sg_said;

typedef struct {
    ssh_message held; /* waits for core */
    uint32_t call;    /* to core, 0 = none */
    uint32_t conversation;
    bool converses;
    bool offering;   /* what waits is an offer, which proves nothing yet */
    bool was_none;   /* "none" was asked for: that is how methods are asked for, once */
    bool proves;     /* core was asked to take a proof: it may count him */
    sg_said said;    /* to him last; once is enough */
    sp_hash offered; /* the key that core took last */
    unsigned attempts;
} sg_login;

/* ---- hostcert.c ---- */

/* The certificate of a machine's host key, as it was shown, or why there is none. */
typedef struct {
    const char *why; /* NULL: whoever it names as its authority signed it */
    bool is_grave;   /* and not that it could not be asked */
    sp_span blob;    /* until the call returns; may be empty when there is a why */
} sg_hostcert;

typedef struct sg_hostcert_wait sg_hostcert_wait;
struct sg_hostcert_wait {
    void (*on_end)(sg_hostcert_wait *wait, const sg_hostcert *shown);
    sg_hostcert_wait *next;
    sg_hostcert_wait **back; /* NULL = does not wait */
};

/* The one that was shown there last, its signature verified; empty: none. Until the loop goes on.
 */
sp_span sg_hostcert_known(sp_span host, uint16_t port);
/* From the machine, beside what goes on with it: on_end is called once, later. SP_ELIMIT: too many
 * are fetched; as sp_resolve() and sp_dial(). */
SP_MUST sp_err sg_hostcert_fetch(sp_span host, uint16_t port, sg_hostcert_wait *wait);
void sg_hostcert_forget(sg_hostcert_wait *wait);

typedef struct {
    sg_conn *conn;
    uint32_t call; /* SSH_OPEN, or SSH_SIGN, at core */
    bool connected;
    bool shaken;             /* key exchange done */
    bool trusted;            /* by its host key */
    bool may;                /* core said yes */
    sp_ssh_credential proof; /* what the log-in is proved by */
    bool interactive;        /* the target asks by keyboard-interactive */
    ssh_key key;
    sp_buf credential; /* a password */
    sg_agent agent;    /* a key of the vault */
    sp_timer timer;
    sp_resolve_wait resolving;
    sg_hostcert_wait certificate;
    bool fetched;      /* or asked for */
    bool renewed;      /* another one was known, and is gone by */
    sp_buf certified;  /* the certificate that names the host key; empty: none */
    sp_buf print;      /* fingerprints of what was shown last */
    const char *doubt; /* why its certificate does not do */
    bool is_grave;     /* somebody may stand in the middle */
} sg_backing;

/* Bytes that may pass in a direction. */
typedef struct {
    uint64_t left;
    uint64_t at_us; /* refilled then */
} sg_pace;

/* What stood out on a connection's shells. */
typedef struct {
    uint32_t count;
    uint32_t channel;   /* of the gravest that core was not told of */
    uint8_t confidence; /* of it */
    bool due;           /* core is to be told */
    const char *text;
    const char *last; /* written down last, and when: the same again at once is only counted */
    uint64_t last_us;
    uint64_t told_us;
    uint64_t let_go_us; /* somebody has looked, and let it go on */
} sg_alarms;

struct sg_conn {
    sg_side front;
    sg_side back;
    sg_at at;
    uint32_t slot;
    sp_timer timer;
    sp_deferred free;
    sg_conn *next; /* of those not logged in, oldest first */
    sg_conn **back_link;
    sg_login login;
    sg_backing *backing; /* while the target is being reached */

    uint64_t connection;
    uint64_t opened_us;  /* by the loop's clock, which nobody sets */
    uint64_t reached_us; /* when it opened, then when it went on to its machine */
    uint64_t active_us;  /* when he typed last, or anything moved that is no terminal */
    sg_pace paces[2];    /* to the target, from it */
    sp_timer pacing;
    sp_rider rider;
    /* While something is judged: what others agreed to; else NULL. */
    const sp_agreed *agreed;
    char user[SG_USER_BYTES]; /* as the client wrote it */
    char person[SG_NAME_BYTES];
    char resource_name[SG_NAME_BYTES];
    char account[SG_NAME_BYTES];
    char *force_command;
    uint64_t expires_unix_s;
    sp_gate_snapshot *snapshot; /* that resource belongs to */
    uint32_t resource;
    sp_ssh_resource ssh;
    sg_refusal refusal; /* with SG_AT_REFUSED, or cut */

    sg_channel *channels;
    uint32_t channel_count;
    uint32_t channel_numbers;
    uint32_t watched; /* the channel that runs while somebody watches; 0 = none yet */
    unsigned beside;  /* refusals that were said beside a session */
    bool told_agent;  /* that none is let through */
    bool told;        /* core knows of it */
    bool cut;         /* it may not go on: nothing passes any more, refusal says why */
    bool frozen;
    char frozen_by[SG_NAME_BYTES]; /* empty: the gate, for an alarm */
    sg_alarms alarms;
    uint64_t files; /* for the statement at its end */
    uint64_t refused;
    sp_rate refusals;
    bool asks_too_much; /* of what is refused */
    uint64_t recorded;
    uint64_t opaque;
    uint64_t shortened; /* commands that printed more than is kept */
    uint64_t unseen;    /* commands to which something was sent that was not recorded */
    uint64_t hidden;    /* lines that were typed on a terminal and not shown there */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t kept; /* bytes that libssh holds for its channels */
};

typedef struct {
    sp_loop *loop;
    const sp_config *config;
    unsigned number;
    unsigned count;
    bool stopping;
    sp_office office;
    sp_recorder recorder;
    ssh_bind bind; /* holds the host key's name and what we speak; NULL = no key yet */
    sp_give give;
    sp_watch mesh; /* connections that other workers give us */
    int pulse_fd;
    sp_watch listening[SP_LISTEN_MAX];
    size_t listening_count;
    sp_timer tick;
    sg_conn **conns; /* by slot; NULL = free */
    uint32_t *free_slots;
    uint32_t free_count;
    uint32_t conn_cap;
    uint32_t conn_count;
    sg_conn *unknown;
    sg_conn **unknown_end;
    uint32_t unknown_count;
    uint64_t kept; /* bytes that libssh holds for all channels */
} sg_worker;

extern sg_worker sg_here;

/* ---- worker.c ---- */
/* Towards machines: also such as know no encrypt-then-MAC. */
extern const char sg_back_macs[];
/* The ciphers towards machines: the cheapest on this processor first. */
const char *sg_back_ciphers(void);
int sg_worker_run(const sp_worker_start *start);

/* ---- conn.c ---- */
void sg_conn_new(int fd, const struct sockaddr *address);
/* Connections of this worker; UINT32_MAX while it has no host key: it takes none. */
uint32_t sg_conn_load(void);
/* Tells the other workers. */
void sg_conn_count(void);
/* Logged in: not among the unknown any more. */
void sg_conn_known(sg_conn *conn);
/* At once. */
void sg_conn_drop(sg_conn *conn);
/* Tells the client (the last words of the protocol, and on its terminals), writes it down, ends. */
void sg_conn_fail(sg_conn *conn, const sg_refusal *refusal);
/* Logged in, but nothing is let through: each channel is told why. */
void sg_conn_refuse(sg_conn *conn, const sg_refusal *refusal);
/* The two halves of sg_conn_fail: the client hears why, then it ends, on the ledger, at core and at
 * the machine. */
void sg_conn_tell_failure(sg_conn *conn, const sg_refusal *refusal);
void sg_conn_write_failure(sg_conn *conn, const sg_refusal *refusal);

/* ---- again.c ---- */
void sg_conn_look_again(void);
/* Of the live table, when all were looked at last. */
uint64_t sg_conn_epoch(void);
/* Once a second: idle and over-long ones. */
void sg_conn_tick(void);

/* ---- told.c ---- */
void sg_conn_tell_all(void);
void sg_conn_tell_core(sg_conn *conn, bool open);
/* The client's version string, made printable. */
void sg_conn_put_client(const sg_conn *conn, sp_buf *out);
void sg_channel_tell_core(sg_channel *channel, bool open);
sg_conn *sg_conn_of(uint64_t connection);

/* ---- door.c ---- */
/* Whether one more from this address may knock now; else fd is taken, and the client told why. */
bool sg_door_opens(sg_conn *conn, int fd);
/* Once a second. */
void sg_door_tick(void);
/* Somebody whom nobody knows yet is refused: written down once a minute and address, under the
 * reference that the refusal has then. */
void sg_door_refuse(sg_conn *conn, sg_refusal *refusal);

/* ---- login.c ---- */
void sg_login_message(sg_conn *conn, ssh_message msg); /* takes it */
/* Whether a message of the client waits for core: the next is not looked at. */
bool sg_login_waits(const sg_conn *conn);
void sg_login_done(sg_conn *conn);

/* ---- back.c ---- */
/* Somebody has signed with a key that core knows, and is not in yet: the machine's key exchange,
 * and nothing behind it, goes on while core and ledger work. */
void sg_back_reach(sg_conn *conn);
void sg_back_give_up(sg_conn *conn); /* not while libssh stands on the stack */
/* Who and where are known: may it, and then to the target. */
void sg_back_begin(sg_conn *conn);
void sg_back_step(sg_conn *conn);
void sg_back_done(sg_conn *conn);

/* ---- hostkey.c ---- */
/* The public half, as it stands on the wire. SP_EINVALID. */
SP_MUST sp_err sg_hostkey_blob(ssh_key key, sp_buf *blob);
/* The algorithms of the keys that may be shown, and no other: else a machine with several keys may
 * show one that nobody named. As text, NUL at its end. */
SP_MUST sp_err sg_hostkey_kinds(const sg_conn *conn, sp_buf *out);
/* At least one key is known that the machine may show; false: its certificate has to be fetched. */
bool sg_hostkey_ready(sg_conn *conn);
/* Another certificate is known than the one it went by, and is good: it goes by that one now. Once.
 */
bool sg_hostkey_renew(sg_conn *conn);
/* What was fetched: the key it names may be shown, or doubt is set. */
void sg_hostkey_take(sg_conn *conn, const sg_hostcert *shown);
/* The key that the machine has proved to have is one of these. */
bool sg_hostkey_is_trusted(sg_conn *conn);
/* Writes down that it is none, with its fingerprint, under the reference that the client is told.
 */
void sg_hostkey_distrust(sg_conn *conn, uint64_t reference);

/* ---- decide.c ---- */
sp_decision sg_decide(const sg_conn *conn, sp_action action);
sp_decision sg_decide_best(const sg_conn *conn, sp_action action);
sp_decision sg_decide_part(const sg_conn *conn, sp_action action, sp_span path);
sp_decision sg_decide_whole(const sg_conn *conn, sp_action action, sp_span path);
/* The resource by its name in the policy of now, whoever asks. */
bool sg_decide_machine(sg_conn *conn);
/* The resource and the account by their names in the policy of now; false with why. */
bool sg_decide_place(sg_conn *conn, sg_refusal *refusal);
void sg_decide_refuse(const sg_conn *conn, const sp_decision *decision, const char *what,
                      sg_refusal *refusal);

#endif
