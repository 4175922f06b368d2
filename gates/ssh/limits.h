/* SPDX-License-Identifier: Apache-2.0
 * What is bounded in the SSH gate, and where.
 * OWNS nothing. PROCESS ssh gate workers. TRUST none. SPEC docs/SSH.md 7.
 */
#ifndef SP_GATES_SSH_LIMITS_H
#define SP_GATES_SSH_LIMITS_H

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

#endif
