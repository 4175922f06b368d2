/* SPDX-License-Identifier: Apache-2.0
 * A libssh session on our loop, the system calls that it makes, and the agent that is played to it.
 * OWNS sessions. PROCESS ssh gate workers. TRUST the peer is hostile. SPEC gates/ssh/gate.h.
 */
#ifndef SP_GATES_SSH_SIDE_H
#define SP_GATES_SSH_SIDE_H

#include "infra/loop/loop.h"
#include "lib/base/buf.h"

#include <libssh/libssh.h>

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

#endif
