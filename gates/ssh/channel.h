/* SPDX-License-Identifier: Apache-2.0
 * A channel: what is known of it, and the files that it passes through from its first request to
 * its last byte.
 * OWNS channels. PROCESS ssh gate workers. TRUST requests and bytes are hostile.
 * SPEC RFC 4254, gates/ssh/gate.h.
 */
#ifndef SP_GATES_SSH_CHANNEL_H
#define SP_GATES_SSH_CHANNEL_H

#include "gates/ssh/record.h"
#include "infra/gate/recorder.h"
#include "lib/proto/ssh_msg.h"

#include <libssh/callbacks.h>
#include <libssh/server.h>

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

/* ---- requests.c ---- */
void sg_channel_message(sg_conn *conn, ssh_message msg); /* takes it */
/* His agent: never, and written down. */
void sg_channel_agent_asked(sg_channel *channel);
/* What the target asks: nothing is let through. */
void sg_channel_back_message(sg_conn *conn, ssh_message msg);
/* The client's end is there, and can be written to; else the connection has ended. */
bool sg_channel_accept(sg_channel *channel, ssh_message msg);

/* ---- channel.c ---- */
/* NULL: one too many, or no memory. */
sg_channel *sg_channel_new(sg_conn *conn);
/* Of what has no channel to be told on: beside a session of the same connection. */
void sg_channel_say_beside(sg_conn *conn, const sg_refusal *refusal);
/* As far as it goes now. */
void sg_channel_step(sg_channel *channel);
void sg_channels_step(sg_conn *conn);
/* Once a second: a target that does not answer. */
void sg_channel_tick(sg_channel *channel);
/* What people read of what it is. */
SP_MUST sp_err sg_channel_name(sg_channel *channel, sp_span text);
/* The client reads why, as far as it has something to read it on; the channel ends. */
void sg_channel_refuse(sg_channel *channel, const sg_refusal *refusal);
/* The same by the decision that it stands under, and written down. */
void sg_channel_deny(sg_channel *channel, sp_reason reason, const char *text);
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

/* ---- pipe.c ---- */
/* Of so many bytes, how many policy lets pass; 0: the channel has ended. */
size_t sg_pipe_room(sg_channel *channel, sg_stream stream, size_t wanted);
/* A transfer that is not followed says what its protocol says first; else it has ended. */
bool sg_pipe_begins_well(sg_channel *channel, sg_stream stream, sp_span bytes);
/* More has passed than a rule lets pass at once. */
bool sg_pipe_is_too_much(const sg_channel *channel, sg_stream stream);

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

/* ---- menu.c ---- */
void sg_menu_begin(sg_channel *channel);
/* How many bytes it took: the rest is for the machine that was chosen. */
size_t sg_menu_input(sg_channel *channel, sp_span bytes);
void sg_menu_done(sg_channel *channel);

#endif
