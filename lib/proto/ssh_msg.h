/* SPDX-License-Identifier: Apache-2.0
 * What a worker of the SSH gate and core say to each other over core.sock, besides HELLO, SEEN and
 * the pushes of core_msg.h, and besides asking and spending (SP_CORE_DB_ASK, _ASK_USE, _ASK_DROP,
 * _SPEND, _ASK_DONE of db_msg.h), which both gates share: database is empty, statement is the exact
 * command or "shell".
 *
 * Story: a client offers public keys; OFFER says whether one would do, KEY that the client has
 * shown that it holds it. Without a key PROMPT leads through password and code, or through a page
 * that a browser confirms. Either way the connection then rides on a live session. OPEN decides
 * `connect` in core, chooses the account and hands out what the target wants to see: a certificate
 * of minutes, or a password; or it names a key that stays in the vault, with which SIGN then has
 * this one log-in signed. CONN and CHANNEL tell core what is open, for the list that people see;
 * KILL and FREEZE come back. Where somebody must watch, WATCH_WANT says so and WATCHED tells how
 * many do, each time it changes: 0 = nobody, and the terminal pauses. ALARM tells what stood out on
 * a shell, and whether the gate froze the connection for it.
 *
 * Kind       request -> reply
 * OFFER      offer -> -                 SP_EDENIED: no (whatever was wrong); SP_ELIMIT: too many
 *                                       SP_ECONFLICT: a certificate of ours that does not do;
 *                                       why is in the ledger
 * KEY        key_shown -> signed_in     as OFFER; SP_EEXISTS: he has as many connections as a
 *                                       person may have. Each is given back by a CONN that is
 *                                       closed, whether it was told as open or not
 * PROMPT     prompt -> prompted         likewise; both end the conversation. A reply may take as
 *                                       long as SP_SSH_PROMPT_MS (sp_link_allow): a person reads
 * TARGETS    rider -> targets           SP_EDENIED: no such session
 * OPEN       open -> opened             SP_EDENIED: no such session; policy's no is in the reply.
 *                                       May take SP_SSH_OPEN_MS
 * SIGN       open -> opened             likewise, after an OPEN that said KEY; blob: what is signed
 * CONN       conn, id 0, no reply
 * CHANNEL    channel, id 0, no reply
 * WATCH_WANT watch_want, id 0, no reply
 * ALARM      alarm, id 0, no reply
 * pushes from core: KILL kill; FREEZE freeze; WATCHED watched
 *
 * OWNS nothing: spans point into the body. PROCESS core serves; the SSH gate asks. TRUST bodies are
 * hostile (a gate may be taken over; names, keys and commands come from clients): every field is
 * bounded. SPEC docs/ARCHITECTURE.md "Messages"; RFC 4252, RFC 4256; OpenSSH PROTOCOL.certkeys,
 * PROTOCOL.u2f.
 */
#ifndef SP_PROTO_SSH_MSG_H
#define SP_PROTO_SSH_MSG_H

#include "lib/proto/db_msg.h"

typedef enum {
    SP_CORE_SSH_OFFER = 0x0400,
    SP_CORE_SSH_KEY,
    SP_CORE_SSH_PROMPT,
    SP_CORE_SSH_TARGETS,
    SP_CORE_SSH_OPEN,
    SP_CORE_SSH_SIGN,
    SP_CORE_SSH_CONN,
    SP_CORE_SSH_CHANNEL,
    SP_CORE_SSH_WATCH_WANT,
    SP_CORE_SSH_ALARM,
    SP_CORE_SSH_KILL, /* pushes from here on */
    SP_CORE_SSH_FREEZE,
    SP_CORE_SSH_WATCHED,
    SP_CORE_SSH_KIND_END
} sp_core_ssh_kind;

enum {
    SP_SSH_BLOB_MAX_BYTES = 8 * 1024, /* a public key or certificate, as on the wire */
    SP_SSH_ALGORITHM_MAX_BYTES = 64,
    SP_SSH_ACCOUNT_MAX_BYTES = 63,
    SP_SSH_ANSWERS_MAX = 4,
    SP_SSH_ANSWER_MAX_BYTES = 1024,
    SP_SSH_PROMPT_TEXT_MAX_BYTES = 120,
    SP_SSH_INSTRUCTION_MAX_BYTES = 1000,
    SP_SSH_COMMAND_MAX_BYTES = 4096, /* force-command of a certificate */
    SP_SSH_TARGETS_MAX = 64,
    SP_SSH_TITLE_MAX_BYTES = 200,
    SP_SSH_CREDENTIAL_MAX_BYTES = 8 * 1024,
    SP_SSH_WHY_MAX_BYTES = 200,
    SP_SSH_CLIENT_MAX_BYTES = 255, /* RFC 4253 4.2 */
    SP_SSH_OBJECT_MAX_BYTES = 2048,
    SP_SSH_BY_MAX_BYTES = 1024,
    SP_SSH_ALARM_MAX_BYTES = 160,
    SP_SSH_PROMPT_MS = 150 * 1000,
    SP_SSH_OPEN_MS = 15 * 1000
};

typedef sp_db_session sp_ssh_session;
/* What leads to the device in the live table (sp_live_find_cert): the device's TLS certificate, or
 * the SHA-256 of its key, which stays the same when certificates are renewed. Zero = no device:
 * only otherwise do facts of a device (owner, posture) count. */
typedef sp_db_fingerprint sp_ssh_fingerprint;

/* `user` and what may follow it, as `ssh person:resource:account@gate` names them; resource and
 * account may be empty. Every message of one authentication says the same. */
typedef struct {
    uint8_t peer[16];
    uint64_t connection; /* its reference: events of the log-in have it too */
    sp_span user;
    sp_span resource;
    sp_span account;
} sp_ssh_who;

typedef struct {
    sp_ssh_who who;
    sp_span blob;
} sp_ssh_offer;

/* The signature over the session id was verified with this key (a certificate's key). */
typedef struct {
    sp_ssh_who who;
    sp_span blob;
    sp_span algorithm; /* of the key, as the blob begins: "ssh-ed25519-cert-v01@openssh.com" */
    uint8_t sk_flags;  /* of a security key's signature: SP_SSH_SK_*; else 0 */
    uint32_t sk_counter;
} sp_ssh_key_shown;

/* The first two are the key's own bits. Unseen: the signature is good, but its flags and counter
 * could not be read. */
enum { SP_SSH_SK_PRESENT = 0x01, SP_SSH_SK_VERIFIED = 0x04, SP_SSH_SK_UNSEEN = 0x80 };

typedef struct {
    sp_ssh_session session;
    sp_ssh_fingerprint fingerprint;
    uint64_t expires_unix_s; /* of the session, or of the certificate if that is sooner */
    uint8_t strength;        /* sp_strength */
    sp_span person;          /* name */
    sp_span force_command;   /* of a certificate: only this may run; empty = no such limit */
} sp_ssh_signed_in;

typedef enum {
    SP_SSH_PROMPT_BEGIN,
    SP_SSH_PROMPT_ANSWERS,
    SP_SSH_PROMPT_GIVEN_UP, /* no reply */
    SP_SSH_PROMPT_STEP_COUNT
} sp_ssh_prompt_step;

/* Answers are secrets: whoever holds the packet wipes it. */
typedef struct {
    uint32_t conversation; /* the gate's number, not in use on this line */
    uint8_t step;          /* sp_ssh_prompt_step */
    sp_ssh_who who;
    sp_span client; /* BEGIN: version string, for who confirms it in a browser */
    uint8_t answer_count;
    sp_span answers[SP_SSH_ANSWERS_MAX];
} sp_ssh_prompt;

/* Done: signed_in is set. Else: show the instruction and ask; without prompts the client answers at
 * once with nothing, and the next reply comes when a person has confirmed in his browser. */
typedef struct {
    uint8_t done;
    sp_ssh_signed_in signed_in;
    sp_span instruction; /* lines for the person */
    uint8_t prompt_count;
    struct {
        uint8_t echo;
        sp_span text;
    } prompts[SP_SSH_ANSWERS_MAX];
} sp_ssh_prompted;

/* Whom a connection rides on, from where. */
typedef struct {
    sp_ssh_session session;
    sp_ssh_fingerprint fingerprint;
    uint8_t peer[16];
} sp_ssh_rider;

typedef struct {
    sp_span name;
    sp_span title; /* may be empty */
} sp_ssh_target;

/* Those that have an account for him on his device, in order of names. */
typedef struct {
    uint8_t count;
    uint8_t more; /* 1: there are others, to be named by the client */
    sp_ssh_target items[SP_SSH_TARGETS_MAX];
} sp_ssh_targets;

typedef struct {
    uint64_t connection; /* the same as CONN will say */
    sp_ssh_session session;
    sp_ssh_fingerprint fingerprint;
    uint8_t peer[16];
    sp_span resource;
    sp_span account; /* empty = the first that fits */
    sp_span blob;    /* OPEN: the key made for this connection: only ssh-ed25519 */
} sp_ssh_open;

typedef enum {
    SP_SSH_CREDENTIAL_NONE, /* refused */
    SP_SSH_CREDENTIAL_CERTIFICATE,
    SP_SSH_CREDENTIAL_PASSWORD,
    SP_SSH_CREDENTIAL_KEY,       /* the vault's: SIGN has the log-in signed */
    SP_SSH_CREDENTIAL_SIGNATURE, /* of SIGN */
    SP_SSH_CREDENTIAL_COUNT
} sp_ssh_credential;

typedef struct {
    uint8_t credential_kind; /* sp_ssh_credential */
    uint8_t reason;          /* sp_reason, of the decision */
    sp_span account;
    sp_span credential; /* certificate, password, public key, signature; wiped by its holder */
    sp_span why;        /* for the client, when refused */
} sp_ssh_opened;

typedef enum { SP_SSH_OPEN, SP_SSH_CLOSED, SP_SSH_STATE_COUNT } sp_ssh_state;

/* `connection` is random, never reused; people see it as a reference (sp_reference_text). */
typedef struct {
    uint64_t connection;
    uint8_t state; /* sp_ssh_state */
    uint8_t peer[16];
    sp_ssh_fingerprint fingerprint;
    sp_ssh_session session;
    sp_span resource;
    sp_span account;
    sp_span client; /* version string */
    uint8_t frozen;
    sp_span frozen_by; /* name; empty: the gate itself, for an alarm */
} sp_ssh_conn;

typedef enum {
    SP_SSH_CHANNEL_SHELL,
    SP_SSH_CHANNEL_EXEC,
    SP_SSH_CHANNEL_SFTP,
    SP_SSH_CHANNEL_SCP,
    SP_SSH_CHANNEL_RSYNC,
    SP_SSH_CHANNEL_GIT,
    SP_SSH_CHANNEL_FORWARD,
    SP_SSH_CHANNEL_KIND_COUNT
} sp_ssh_channel_kind;

/* Told again with the same state when the object changes. */
typedef struct {
    uint64_t connection;
    uint32_t channel;
    uint8_t kind;   /* sp_ssh_channel_kind */
    uint8_t state;  /* sp_ssh_state */
    sp_span object; /* the command, the target of a forward; valid UTF-8 */
} sp_ssh_channel;

/* The connection needs somebody who watches, from now on; ask: that it was approved by, 0 = none:
 * then whoever may watch does. */
typedef struct {
    uint64_t connection;
    uint64_t ask;
} sp_ssh_watch_want;

/* The gravest that nobody was told of yet; an alarm decides nothing. */
typedef struct {
    uint64_t connection;
    uint32_t channel;
    uint32_t count;     /* of the connection's alarms so far */
    uint8_t confidence; /* 0 to 100 */
    uint8_t frozen;     /* 1: the gate has frozen the connection, until FREEZE lets it go */
    sp_span text;       /* what stood out, never what was typed */
} sp_ssh_alarm;

typedef struct {
    uint64_t connection;
    uint32_t watchers;
    sp_span by; /* for people: "li.wei, wang.fang" */
} sp_ssh_watched;

typedef struct {
    uint64_t connection;
    sp_span reason; /* for the client */
} sp_ssh_kill;

typedef struct {
    uint64_t connection;
    uint8_t on;
    sp_span by; /* for people */
} sp_ssh_freeze;

const char *sp_ssh_channel_word(sp_ssh_channel_kind kind);
/* SP_EINVALID. */
SP_MUST sp_err sp_ssh_channel_of_word(sp_span word, sp_ssh_channel_kind *ret_kind);

/* Writers append a body; a failure stays in the buffer. Readers need the whole body:
 * SP_ESHORT, SP_ELIMIT, SP_EINVALID. Texts for people and names are valid UTF-8 without NUL. */
void sp_ssh_offer_write(const sp_ssh_offer *offer, sp_buf *out);
SP_MUST sp_err sp_ssh_offer_read(sp_span body, sp_ssh_offer *ret_offer);
void sp_ssh_key_shown_write(const sp_ssh_key_shown *key, sp_buf *out);
SP_MUST sp_err sp_ssh_key_shown_read(sp_span body, sp_ssh_key_shown *ret_shown);
void sp_ssh_signed_in_write(const sp_ssh_signed_in *signed_in, sp_buf *out);
SP_MUST sp_err sp_ssh_signed_in_read(sp_span body, sp_ssh_signed_in *ret_signed_in);
void sp_ssh_prompt_write(const sp_ssh_prompt *prompt, sp_buf *out);
SP_MUST sp_err sp_ssh_prompt_read(sp_span body, sp_ssh_prompt *ret_prompt);
void sp_ssh_prompted_write(const sp_ssh_prompted *prompted, sp_buf *out);
SP_MUST sp_err sp_ssh_prompted_read(sp_span body, sp_ssh_prompted *ret_prompted);
void sp_ssh_rider_write(const sp_ssh_rider *rider, sp_buf *out);
SP_MUST sp_err sp_ssh_rider_read(sp_span body, sp_ssh_rider *ret_rider);
void sp_ssh_targets_write(const sp_ssh_targets *targets, sp_buf *out);
SP_MUST sp_err sp_ssh_targets_read(sp_span body, sp_ssh_targets *ret_targets);
void sp_ssh_open_write(const sp_ssh_open *open, sp_buf *out);
SP_MUST sp_err sp_ssh_open_read(sp_span body, sp_ssh_open *ret_open);
void sp_ssh_opened_write(const sp_ssh_opened *opened, sp_buf *out);
SP_MUST sp_err sp_ssh_opened_read(sp_span body, sp_ssh_opened *ret_opened);
void sp_ssh_conn_write(const sp_ssh_conn *conn, sp_buf *out);
SP_MUST sp_err sp_ssh_conn_read(sp_span body, sp_ssh_conn *ret_conn);
void sp_ssh_channel_write(const sp_ssh_channel *channel, sp_buf *out);
SP_MUST sp_err sp_ssh_channel_read(sp_span body, sp_ssh_channel *ret_channel);
void sp_ssh_watch_want_write(const sp_ssh_watch_want *want, sp_buf *out);
SP_MUST sp_err sp_ssh_watch_want_read(sp_span body, sp_ssh_watch_want *ret_want);
void sp_ssh_alarm_write(const sp_ssh_alarm *alarm, sp_buf *out);
SP_MUST sp_err sp_ssh_alarm_read(sp_span body, sp_ssh_alarm *ret_alarm);
void sp_ssh_watched_write(const sp_ssh_watched *watched, sp_buf *out);
SP_MUST sp_err sp_ssh_watched_read(sp_span body, sp_ssh_watched *ret_watched);
void sp_ssh_kill_write(const sp_ssh_kill *kill, sp_buf *out);
SP_MUST sp_err sp_ssh_kill_read(sp_span body, sp_ssh_kill *ret_kill);
void sp_ssh_freeze_write(const sp_ssh_freeze *freeze, sp_buf *out);
SP_MUST sp_err sp_ssh_freeze_read(sp_span body, sp_ssh_freeze *ret_freeze);

#endif
