/* SPDX-License-Identifier: Apache-2.0
 * What a policy snapshot says about hosts reached by SSH: where they are, by which host key, as
 * whom a person works on them, which commands are known, and the class of paths.
 *
 * Story: at connect the gate (and core, for the certificate) looks up the resource and the account,
 * and holds the target's host key against sp_policy_ssh_host_trusts. A file of sftp or scp is a
 * question about sp_policy_ssh_part of its path, resolved at the target first; what meets a whole
 * tree (rename or removal of a folder, a recursive copy) is sp_policy_ssh_whole of its top. An exec
 * is what sp_policy_ssh_command says. A free shell or command can reach everything, so it is
 * sp_policy_ssh_whole of "/".
 *
 * OWNS nothing; spans point into the snapshot. Nothing here allocates. PROCESS ssh gate, core.
 * TRUST names, paths and commands come from clients. SPEC docs/POLICY.md "SSH".
 */
#ifndef SP_POLICY_SSH_H
#define SP_POLICY_SSH_H

#include "lib/argv/argv.h"
#include "lib/policy/decide.h"

typedef enum {
    SP_SSH_SIGN_IN_CERTIFICATE, /* one for minutes, of the vault's authority */
    SP_SSH_SIGN_IN_PASSWORD,    /* the vault's "<resource>/<account>" */
    SP_SSH_SIGN_IN_KEY,         /* likewise; it stays there, and signs */
    SP_SSH_SIGN_IN_COUNT
} sp_ssh_sign_in;

/* What an alarm on a shell does besides being written down. */
typedef enum {
    SP_SSH_ALARM_RECORD, /* nothing */
    SP_SSH_ALARM_PAGE,   /* the security administrators are told */
    SP_SSH_ALARM_FREEZE, /* that, and a grave one freezes the terminal until one of them lets go */
    SP_SSH_ALARM_COUNT
} sp_ssh_alarm_does;

typedef struct {
    sp_span host; /* name or address without brackets */
    uint16_t port;
    uint8_t sign_in;    /* sp_ssh_sign_in */
    bool shell;         /* false: never a free shell, only commands that are listed */
    bool as_named;      /* transfers start their program by its name alone */
    bool record_input;  /* what is typed is recorded too, except where nothing is echoed */
    uint8_t alarm;      /* sp_ssh_alarm_does */
    uint32_t idle_s;    /* it ends when nothing but a terminal's output passed for so long */
    uint32_t longest_s; /* and after so long anyway; 0 = with its session */
    uint64_t bandwidth; /* bytes a second and direction; 0 = no limit */
    sp_span title_en;
    sp_span title_zh;
    uint32_t host_keys; /* counts */
    uint32_t host_cas;
    uint32_t accounts;
    uint32_t commands;
    uint32_t forwards;
    uint32_t environment;
} sp_ssh_resource;

/* False when the resource has no `ssh` side. */
bool sp_policy_ssh_resource(const sp_policy *policy, uint32_t resource, sp_ssh_resource *ret_ssh);

/* Public key blobs (RFC 4253, 6.6) that the target must show, or authorities that certify them.
 * Empty past the end. */
sp_span sp_policy_ssh_host_key(const sp_policy *policy, uint32_t resource, uint32_t at);
sp_span sp_policy_ssh_host_ca(const sp_policy *policy, uint32_t resource, uint32_t at);
/* Whether this plain key blob is pinned, or this blob is one of its authorities' keys. */
bool sp_policy_ssh_host_trusts(const sp_policy *policy, uint32_t resource, sp_span key_blob);
bool sp_policy_ssh_host_ca_trusts(const sp_policy *policy, uint32_t resource, sp_span ca_blob);
/* A key of a host or of an authority: before the other two are asked. */
bool sp_policy_ssh_host_revoked(const sp_policy *policy, uint32_t resource, sp_span key_blob);

/* The account as which this person works on his device: the first of `accounts` that fits, or the
 * one he names when it is among those that fit. Empty: none. Its certificate's principal, or the
 * name of its credential in the vault, "<resource>/<account>". */
sp_span sp_policy_ssh_account(const sp_policy *policy, uint32_t resource, const sp_subject *who,
                              sp_span wanted);
/* Why he works as none, or not as the one he names: SP_REASON_DEFAULT whatever his device,
 * SP_REASON_DEVICE_* on this one; SP_REASON_NONE: he does. */
sp_reason sp_policy_ssh_account_missing(const sp_policy *policy, uint32_t resource,
                                        const sp_subject *who, sp_span wanted);
/* The at-th of those that fit, in order; empty past the end. */
sp_span sp_policy_ssh_account_at(const sp_policy *policy, uint32_t resource, const sp_subject *who,
                                 uint32_t at);

/* The at-th of all, whoever may work as it; empty past the end. */
sp_span sp_policy_ssh_any_account(const sp_policy *policy, uint32_t resource, uint32_t at);

/* ---- commands ---- */

typedef struct {
    sp_span name;
    sp_action action;
    uint32_t words; /* of its template */
    bool terminal;  /* it may have one */
    bool input;     /* something may be sent to it */
    bool paths;     /* the client names paths in it */
} sp_ssh_listed;

bool sp_policy_ssh_listed(const sp_policy *policy, uint32_t resource, uint32_t at,
                          sp_ssh_listed *ret_listed);
/* A word of that template; empty past the end. */
sp_span sp_policy_ssh_listed_word(const sp_policy *policy, uint32_t resource, uint32_t at,
                                  uint32_t word);

typedef enum {
    SP_SSH_COMMAND_FREE,     /* execute, about everything that is there (sp_policy_ssh_whole "/") */
    SP_SSH_COMMAND_LISTED,   /* `listed.action`, about the resource, or with `listed.paths` about
                                everything that is there (a link may lead anywhere); run the quoted
                                form */
    SP_SSH_COMMAND_TRANSFER, /* sp_policy_ssh_needs() of `transfer.paths` */
    SP_SSH_COMMAND_REFUSED,  /* begins as a transfer and is none, or the host takes no free commands
                              */
    SP_SSH_COMMAND_COUNT
} sp_ssh_command_kind;

typedef struct {
    uint8_t kind;       /* sp_ssh_command_kind */
    uint32_t listed_at; /* LISTED: its place; else SP_NONE */
    sp_ssh_listed listed;
    sp_command transfer; /* TRANSFER; paths point into argv */
} sp_ssh_command;

/* What an exec request is. argv is filled when the command is made of plain words (argv->count is 0
 * when it is not). */
sp_ssh_command sp_policy_ssh_command(const sp_policy *policy, uint32_t resource, sp_span command,
                                     sp_argv *argv);

/* The actions (bits) that a transfer is. What comes by these is told file by file only when it is
 * there, or not at all: it may write over what is there (destroy), and over what is run there
 * (execute: ~/.bashrc, a hook of git). */
unsigned sp_policy_ssh_needs(const sp_command *transfer);

/* ---- forwarding, environment ---- */

/* Whether this target of direct-tcpip may be asked for at all; `forward` is still to be decided. */
bool sp_policy_ssh_forward(const sp_policy *policy, uint32_t resource, sp_span host, uint32_t port);
/* Whether an `env` request with this name is passed on. */
bool sp_policy_ssh_environment(const sp_policy *policy, uint32_t resource, sp_span name);

/* ---- paths ---- */

typedef struct {
    uint32_t part; /* for sp_question.part; SP_NONE = the resource as a whole */
    uint8_t class_level;
    uint64_t tags;
} sp_ssh_part;

/* The most specific part that the path is in. The path is absolute and resolved (no symlink, no
 * ".."); empty and '.' segments are skipped; a relative one is in no part. */
sp_ssh_part sp_policy_ssh_part(const sp_policy *policy, uint32_t resource, sp_span path);
/* The gravest decision over the part that the path is in and all parts that may lie below it.
 * question->part is not looked at. */
sp_decision sp_policy_ssh_whole(const sp_policy *policy, const sp_question *question, sp_span path);

/* Whether all that is at and below both paths is in one and the same part. */
bool sp_policy_ssh_together(const sp_policy *policy, uint32_t resource, sp_span one, sp_span two);

/* The most that is let through of it anywhere: the resource itself, or one of its parts. */
sp_decision sp_policy_ssh_best(const sp_policy *policy, const sp_question *question);
const char *sp_ssh_sign_in_word(sp_ssh_sign_in sign_in);

#endif
