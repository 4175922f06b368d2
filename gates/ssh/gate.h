/* SPDX-License-Identifier: Apache-2.0
 * What the files of the SSH gate share: a worker, its connections and their channels.
 *
 * Story: a worker (worker.c) accepts a connection and makes a sg_conn of it. The front side speaks
 * to the client, the back side to the target; both are libssh sessions that a sg_side drives on our
 * loop (side.c). login.c lets core say who the client is; back.c connects to the target with a key
 * of this connection that core had certified. channel.c takes what the client asks for; start.c
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

#include "infra/gate/give.h"
#include "infra/gate/office.h"
#include "infra/gate/recorder.h"
#include "infra/gate/resolve.h"
#include "infra/gate/rider.h"
#include "lib/base/rate.h"
#include "lib/policy/ssh.h"
#include "lib/proto/ssh_msg.h"

#include <libssh/libssh.h>
#include <openssl/evp.h>

#include <libssh/callbacks.h>
#include <libssh/server.h>

#include <sys/socket.h>

enum {
    SG_UNKNOWN_MAX = 512,           /* connections before log-in, a worker: the oldest gives way */
    SG_UNKNOWN_OF_ADDRESS_MAX = 64, /* of one address */
    SG_LOGIN_US = 60000000,
    SG_KEX_US = 15000000,
    SG_REFUSALS_A_MINUTE = 600, /* of one connection: each is an entry */
    SG_ATTEMPTS_MAX = 20,       /* of one connection: keys offered and answers */
    SG_CHANNELS_MAX = 32,
    /* libssh gives windows of 1.28 MB, and keeps also what is beyond them */
    SG_KEPT_MAX_BYTES = 3 << 20,       /* a channel and direction */
    SG_KEPT_FAIR_BYTES = 4 << 20,      /* a connection may have so much ... */
    SG_KEPT_ALL_MAX_BYTES = 256 << 20, /* ... when all of a worker have more than this */
    /* that one may send while he reads nothing, before and after the log-in: he gets answers */
    SG_UNREAD_UNKNOWN_BYTES = 64 << 10,
    SG_UNREAD_MAX_BYTES = 4 << 20,
    SG_PACKET_MIN_BYTES = 256, /* who takes only smaller ones is no client of SSH */
    SG_NAME_BYTES = 64,        /* with NUL */
    SG_USER_BYTES = 3 * 64,    /* person:resource:account */
    SG_ENVIRONMENT_MAX = 16,   /* variables that pass on, a channel */
    SG_VALUE_BYTES = 256,      /* of one of them */
    SG_COMMAND_MAX_BYTES = 64 * 1024,
    SG_RECORDED_MAX_BYTES = 64 * 1024, /* of what a command prints, or is sent, in its recording */
    SG_COMMANDS_MAX_BYTES = 16 << 20,  /* likewise, of one that may take commands, and judged */
    SG_TEXT_BYTES = 512
};

typedef struct sg_conn sg_conn;
typedef struct sg_channel sg_channel;

/* ---- side.c ---- */

typedef struct {
    ssh_session ssh; /* NULL = none */
    ssh_event event;
    sp_watch watch;
    sp_deferred again;
    sg_conn *conn;
    bool is_front;
    bool has_event;
    bool broken;
    bool hung;
    bool full;         /* the kernel takes no more: an edge will tell when it does */
    bool inside;       /* libssh stands on the stack */
    bool says;         /* why it ends: its goodbye has to go out */
    bool behind;       /* messages wait that were over the turn's share */
    bool choked;       /* it asks and asks, and reads no answer */
    unsigned messages; /* of this turn */
    int lent;          /* to libssh, which may have closed it */
} sg_side;

/* What the connection does when a side may have come further; broken is set when it has ended. */
void sg_conn_step(sg_side *side);

/* A descriptor of the same socket for libssh, which closes it when it likes; -1 = none left. */
int sg_side_lend(sg_side *side, int fd);
/* Owns fd. */
SP_MUST sp_err sg_side_start(sg_side *side, sg_conn *conn, ssh_session ssh, int fd);
/* Reads and writes as far as it goes now, then messages and the connection's step. */
void sg_side_turn(sg_side *side);
/* Later in this turn. */
void sg_side_again(sg_side *side);
/* Something was written outside of its turn: what libssh keeps goes out. */
void sg_side_flush(sg_side *side);
/* What is written from now on goes out with what ends it: one packet, and its reader wakes once. */
void sg_side_gather(const sg_side *side);
/* What was written goes out, and no byte passes any more, either way. Not while libssh stands on
 * the stack. */
void sg_side_hang_up(const sg_side *side);
/* Says goodbye, if it can, and frees. Not while libssh stands on the stack. */
void sg_side_stop(sg_side *side);
/* Has bytes that the kernel did not take: nothing more is put into it. */
bool sg_side_is_stuck(const sg_side *side);

/* ---- ahead.c ---- */

/* What libssh reads from this descriptor is read ahead; false: it cannot be. */
bool sg_ahead_begin(sg_side *side, int fd);
/* The loop told that something happened to the descriptor. */
void sg_ahead_edge(const sg_side *side, unsigned ready);
/* Nothing can be read until an edge tells of it, nor, if that is wanted, written. */
bool sg_ahead_is_quiet(const sg_side *side, bool writes);
/* A terminal runs: whoever is at the other end does not gather what he sends. */
void sg_ahead_terminal(const sg_side *side);
/* Unless the number is another side's by now. */
void sg_ahead_end(const sg_side *side, int fd);

/* ---- agent.c ---- */

/* Logging in with a key that stays in the vault. */
typedef struct {
    sp_buf blob;      /* its public half */
    sp_buf to_sign;   /* what the vault has to sign, once it is known */
    sp_buf signature; /* of that */
    int fd;
    int lent;
    bool is_open;
    bool has_lent;
} sg_agent;

/* As ssh_userauth_publickey(); SSH_AUTH_INFO: to_sign is known. Once signature is there, again. */
int sg_agent_prove(sg_agent *agent, ssh_session ssh);
void sg_agent_done(sg_agent *agent);

/* ---- refusals ---- */

typedef struct {
    sp_reason reason;
    uint64_t reference;
    char text[SG_TEXT_BYTES];
} sg_refusal;

/* ---- consent.c ---- */

/* What comes of asking; ASKED is not the end of it. */
typedef enum { SG_ASKED, SG_AGREED, SG_USED, SG_SPENT, SG_REFUSED, SG_WORD_COUNT } sg_word;

typedef struct sg_consent sg_consent;
struct sg_consent {
    /* set by whoever asks; text: for the client, may be empty */
    sg_channel *channel;
    void (*on_word)(sg_consent *consent, sg_word word, sp_reason reason, const char *text);
    uint64_t reference; /* of the event that says that it waits */
    /* told */
    uint64_t used;   /* the ask that was approved, and is used up */
    sp_agreed asked; /* of others; agreed to with AGREED */
    /* its own */
    sg_consent *next;
    sg_consent **back; /* NULL = does not wait for a push */
    uint32_t call;
    uint64_t ask; /* 0 = none */
    uint8_t needed;
    uint8_t rules; /* that ask */
    sp_hash hash;  /* of what was asked for */
};

/* "account@machine": others agree to what is done there and as whom. */
void sg_consent_place(const sg_channel *channel, sp_buf *out);
/* May other people agree to exactly these bytes? ASKED, AGREED; then `use` takes it: USED. */
void sg_consent_ask(sg_consent *consent, const sp_decision *decision, sp_action action,
                    sp_span bytes);
void sg_consent_use(sg_consent *consent);
/* Whether there is a budget or a limit a day; spending one of it leads to SPENT. */
bool sg_consent_costs(const sg_conn *conn, const sp_decision *decision, sp_action action);
void sg_consent_spend(sg_consent *consent, const sp_decision *decision, sp_action action);
/* Nobody waits any more. */
void sg_consent_gone(sg_consent *consent);
void sg_consent_push(const sp_db_ask_done *done);
/* Once a second and at its end: what left the machine, where a day has a limit. */
void sg_consent_count(sg_channel *channel, bool ends);
void sg_consent_forget(sg_channel *channel);

/* ---- channels ---- */

typedef enum {
    SG_CH_NEW,     /* opened by the client, nothing asked for yet */
    SG_CH_WAITS,   /* for the target, or for other people */
    SG_CH_OPENING, /* the target's channel opens */
    SG_CH_PTY,
    SG_CH_ENV,
    SG_CH_START, /* shell, exec or subsystem was asked for */
    SG_CH_RUNS,
    SG_CH_MENU,  /* the gate itself talks to the client */
    SG_CH_ENDED, /* closed, to be freed */
    SG_CH_STATE_COUNT
} sg_ch_state;

typedef enum { SG_IN, SG_OUT, SG_ERR, SG_STREAM_COUNT } sg_stream; /* to the target; from it */

/* One stream of a channel: bytes that came and could not go on yet. */
typedef struct {
    sp_buf pending;   /* taken from libssh, written in part; comes first */
    sp_buf taken;     /* taken from libssh, not looked at yet; comes second */
    size_t at;        /* in it */
    bool held;        /* libssh still holds some, which comes last */
    uint32_t kept;    /* so much */
    uint64_t counted; /* of both, in the sums of connection and worker */
    bool busy;        /* being moved: nothing else may move */
    uint64_t passed;  /* bytes */
} sg_flow;

/* What policy says of a channel; replaced whole whenever it is judged, also while it runs. */
typedef struct {
    sp_decision decision;
    sp_action action;
    sp_decision counted; /* by whose limits what leaves is counted; over sftp by its files' least */
    sp_action counted_action;
    const char *alone; /* it is at the end of its input when it begins, since: */
    bool no_input;     /* nothing may be sent to it: files may not come */
    bool no_output;    /* it prints as far as it is recorded: files may not leave */
} sg_terms;

struct sg_channel {
    sg_conn *conn;
    sg_channel *next;
    uint32_t number; /* in its connection, from 1 */
    sg_ch_state state;
    ssh_channel front;
    ssh_channel back;
    struct ssh_channel_callbacks_struct front_calls;
    struct ssh_channel_callbacks_struct back_calls;
    sg_flow flows[SG_STREAM_COUNT];
    ssh_message held; /* direct-tcpip: the open request, answered when the target has */
    sp_deferred free;

    uint8_t kind;     /* sp_ssh_channel_kind */
    bool start_asked; /* shell, exec or subsystem: once a channel */
    bool has_pty;
    bool resized; /* since the target was told of its size, and before it runs */
    bool told;    /* core knows of it */
    bool front_eof_sent;
    bool back_eof_sent;
    bool back_closed;  /* the target closed its channel */
    bool front_closed; /* the client did */
    bool has_status;
    bool status_sent;
    bool has_signal;
    bool paused; /* nothing moves */
    int status;
    char signal[16];
    char term[SG_NAME_BYTES];
    int columns, rows;
    struct {
        char *name;
        char *value;
    } environment[SG_ENVIRONMENT_MAX];
    uint32_t environment_count;
    uint32_t environment_at;
    char *command;      /* what runs at the target; NULL = a shell */
    char *object;       /* for people: valid UTF-8 */
    char *asked;        /* likewise, what the client asked for when a certificate's command runs */
    char *subsystem;    /* or this */
    const char *misfit; /* why what was asked for can only be refused; NULL = it can be judged */
    char *host;         /* of a forward */
    uint16_t port;
    uint64_t opened_us;
    uint64_t opening_us; /* when the target was asked for it */
    uint64_t reference;  /* of its decision */
    sg_terms terms;
    uint64_t told_bytes; /* that core has counted */
    uint32_t count_call;
    struct sg_pending *pending; /* what has to happen before it starts; NULL = nothing yet */
    bool prepared;              /* what records and watches it is there */
    void *alarm;                /* sp_alarm_term of a terminal, or NULL */
    uint64_t judged;            /* bytes of SG_IN that it has seen */
    bool unlooked;              /* more was sent than it looks at, and that was told */
    bool takes_commands;        /* a command to which commands may be sent */
    bool was_sent;              /* more than line ends came before it ran */
    uint64_t carried;           /* printed bytes that the ledger knows of, under no_output */
    uint64_t carried_us;        /* when it was told last */
    struct sg_sftp *sftp;       /* NULL = no sftp */
    struct sg_scp *scp;         /* NULL = no scp */
    char *transfer_path;        /* the one that scp was started with; NULL: several */
    uint8_t transfer;           /* sp_command_kind */
    bool to_target;
    struct sg_recording *recording; /* NULL = what passes is not recorded */
    void *menu;                     /* while the client chooses a machine */
    uint32_t menu_call;
};

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
void sg_conn_look_again(void);
/* Of the live table, when all were looked at last. */
uint64_t sg_conn_epoch(void);
void sg_conn_tell_all(void);
void sg_conn_tell_core(sg_conn *conn, bool open);
/* The client's version string, made printable. */
void sg_conn_put_client(const sg_conn *conn, sp_buf *out);
void sg_channel_tell_core(sg_channel *channel, bool open);
sg_conn *sg_conn_of(uint64_t connection);
/* Once a second: idle and over-long ones. */
void sg_conn_tick(void);

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
/* What was fetched: the key it names may be shown, or doubt is set. */
void sg_hostkey_take(sg_conn *conn, const sg_hostcert *shown);
/* The key that the machine has proved to have is one of these. */
bool sg_hostkey_is_trusted(sg_conn *conn);
/* Writes down that it is none, with its fingerprint. */
void sg_hostkey_distrust(sg_conn *conn);

/* ---- channel.c ---- */
void sg_channel_message(sg_conn *conn, ssh_message msg); /* takes it */
/* His agent: never, and written down. */
void sg_channel_agent_asked(sg_channel *channel);
/* What the target asks: nothing is let through. */
void sg_channel_back_message(sg_conn *conn, ssh_message msg);
/* As far as it goes now. */
void sg_channel_step(sg_channel *channel);
void sg_channels_step(sg_conn *conn);
/* Once a second: a target that does not answer. */
void sg_channel_tick(sg_channel *channel);
/* What people read of what it is. */
SP_MUST sp_err sg_channel_name(sg_channel *channel, sp_span text);
/* The client reads why, as far as it has something to read it on; the channel ends. */
void sg_channel_refuse(sg_channel *channel, const sg_refusal *refusal);
/* The first half of it: the client reads why and that it is over; the channel does not end yet. */
void sg_channel_say_over(sg_channel *channel, const sg_refusal *refusal);
void sg_channel_end(sg_channel *channel);
/* What its end leaves behind is written down and nothing of it waits any more; told to nobody. */
void sg_channel_over(sg_channel *channel);
/* Frees it, but for what libssh holds. */
void sg_channel_forget(sg_channel *channel);

/* ---- hidden.c ---- */
/* How large a packet the other side takes; 0 = it cannot be known. */
uint32_t sg_hidden_packet_bytes(ssh_channel channel);

/* ---- start.c ---- */
/* The target is there: judge what was asked for and begin with it. */
void sg_start(sg_channel *channel);
/* It may run, and the disk is writing that down. */
bool sg_start_is_written(const sg_channel *channel);
/* Judge what runs again: policy or person changed. False: it may not go on. */
bool sg_start_again(sg_channel *channel, sg_refusal *refusal);
/* It waits for nothing any more; what it stands on stays until it is forgotten. */
void sg_start_cancel(sg_channel *channel);
void sg_start_forget(sg_channel *channel);
void sg_start_push(const sp_msg *msg);
/* Core went away, or is back: what is watched only goes on while it is known that somebody looks.
 */
void sg_start_office(sg_channel *channel, bool is_up);
/* A line of ours on its terminal, or its stderr. False: the channel has ended meanwhile, because
 * libssh reads while it writes. */
bool sg_start_tell(sg_channel *channel, const char *text);
bool sg_start_tell_frozen(sg_channel *channel);

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

/* ---- relay.c ---- */
void sg_relay_attach(sg_channel *channel); /* the target's end: its callbacks */
void sg_relay_front(sg_channel *channel);  /* the client's end: its callbacks */
/* Bytes that go out next in this stream. */
void sg_relay_queue(sg_channel *channel, sg_stream stream, sp_span bytes);
/* Bytes of the machine that the client has got. */
uint64_t sg_relay_printed(const sg_channel *channel);
/* Moves what was held back; passes on ends. */
void sg_relay_pump(sg_channel *channel);
/* What libssh keeps of it is not counted any more. */
void sg_relay_forget(sg_channel *channel);
/* Text of ours to the client's terminal. */
void sg_relay_say(sg_channel *channel, sp_span text, bool is_error);

/* ---- pace.c ---- */
/* How many of these bytes may pass now; when that is none, the channels step again soon. */
size_t sg_pace_room(const sg_channel *channel, sg_stream stream, size_t wanted);
void sg_pace_took(const sg_channel *channel, sg_stream stream, size_t bytes);

/* ---- sftp.c ---- */
SP_MUST sp_err sg_sftp_begin(sg_channel *channel);
/* Bytes of the client (SG_IN) or of the machine (SG_OUT); what passes on is queued. */
void sg_sftp_feed(sg_channel *channel, sg_stream stream, sp_span bytes);
/* Nothing more of the client is taken until the machine has answered. */
bool sg_sftp_waits(const sg_channel *channel);
/* Policy or person changed: what was opened and may not go on is answered with no from now on. */
void sg_sftp_look_again(sg_channel *channel);
/* A request waits for other people. */
bool sg_sftp_asks(const sg_channel *channel);
void sg_sftp_end(sg_channel *channel);

/* ---- scp.c ---- */
SP_MUST sp_err sg_scp_begin(sg_channel *channel);
void sg_scp_feed(sg_channel *channel, sg_stream stream, sp_span bytes);
/* A file that is being moved was cut off. */
void sg_scp_end(sg_channel *channel);
/* Not while it stands on the stack. */
void sg_scp_forget(sg_channel *channel);

/* ---- alarm.c ---- */
bool sg_alarm_begin(sg_channel *channel);
/* What goes to the machine next. False: the connection is frozen now, and it waits. */
bool sg_alarm_typed(sg_channel *channel, sp_span bytes);
void sg_alarm_printed(sg_channel *channel, sp_span bytes);
/* Once a second, and when core is back: what it was not told yet. */
void sg_alarm_tell(sg_conn *conn, bool again);
void sg_alarm_resized(sg_channel *channel);
void sg_alarm_end(sg_channel *channel);

/* ---- recording.c ---- */
/* It runs from now on; false: it cannot be recorded. */
bool sg_recording_begin(sg_channel *channel);
void sg_recording_passed(sg_channel *channel, sg_stream stream, sp_span bytes);
void sg_recording_resized(sg_channel *channel);
void sg_recording_mark(sg_channel *channel, sp_span text);
/* Nothing may pass until what passed is on disk. */
bool sg_recording_waits(const sg_channel *channel);
void sg_recording_end(sg_channel *channel);

/* ---- menu.c ---- */
void sg_menu_begin(sg_channel *channel);
/* How many bytes it took: the rest is for the machine that was chosen. */
size_t sg_menu_input(sg_channel *channel, sp_span bytes);
void sg_menu_done(sg_channel *channel);

/* ---- say.c ---- */
__attribute__((format(printf, 3, 4))) void sg_refusal_make(sg_refusal *refusal, sp_reason reason,
                                                           const char *format, ...);
/* "sallyport: TEXT (reference XXXX-XXXX-XXXX)", lines ended as a terminal wants it. */
void sg_refusal_line(const sg_refusal *refusal, bool terminal, sp_buf *out);
/* UTF-8 of whatever bytes: what is none, control characters and what a screen would hide or turn
 * around are shown as \xNN. */
void sg_text_clean(sp_span bytes, size_t max_bytes, sp_buf *out);

/* ---- record.c ---- */
sp_event sg_event_of(const sg_conn *conn, sp_event_kind kind);
void sg_record_connect(sg_conn *conn, const sp_decision *decision);
/* Writes the decision down; its number in the ring, 0 = could not. */
uint64_t sg_record_channel(sg_channel *channel, const sp_decision *decision, sp_action action,
                           const sg_refusal *refusal);
/* Its command is longer than an entry's object shows. */
bool sg_record_is_cut(const sg_channel *channel);
void sg_record_channel_end(sg_channel *channel);
/* What it has printed since it was told last, where files may not leave: detections add that up. */
void sg_record_carried(sg_channel *channel);
/* The same, once a minute. */
void sg_record_carried_tick(sg_channel *channel);
typedef struct {
    const char *method; /* "sftp file" */
    sp_span path;
    const char *name; /* its own, where the path may be its folder; or NULL */
    bool comes;       /* to the machine */
    uint64_t bytes;
    uint64_t since_us;
    bool reads;       /* parts of it may have been read, in requests of the client's */
    bool to_end;      /* what was read went on to its end */
    EVP_MD_CTX *hash; /* of all of it, which it ends; NULL: not all of it passed in order */
} sg_file_note;
/* Where its rule says `record`: what cannot be written down ends the connection. */
void sg_record_failed(sg_channel *channel);
/* Of one that cannot be written down see sg_record_failed. */
void sg_record_file(sg_channel *channel, const sg_file_note *note);
void sg_record_refusal(sg_conn *conn, const sg_refusal *refusal);
/* Each refusal is an entry: of whom there are too many, the connection ends (sg_conn_step). */
void sg_record_count_refused(sg_conn *conn);
void sg_record_end(sg_conn *conn);
const char *sg_method_of(const sg_channel *channel);

#endif
