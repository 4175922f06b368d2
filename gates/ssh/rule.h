/* SPDX-License-Identifier: Apache-2.0
 * What policy says of that which a channel was asked for.
 *
 * What is asked for may be several actions at once: rsync that brings files may write over others
 * and over what is run there. The gravest of them decides, and each is counted.
 *
 * OWNS nothing. PROCESS ssh gate workers. TRUST commands are hostile. SPEC lib/policy/ssh.h.
 */
#ifndef SP_GATES_SSH_RULE_H
#define SP_GATES_SSH_RULE_H

#include "gates/ssh/gate.h"

enum { SG_NEEDS_MAX = 3 };

typedef struct {
    sp_action action;
    sp_decision decision;
} sg_need;

typedef struct {
    sp_action action; /* the gravest of those that it needs */
    sp_decision decision;
    sg_need needs[SG_NEEDS_MAX];
    size_t needs_count;
    bool free;         /* a command that may be anything, or a shell */
    const char *alone; /* why nothing is sent to it; NULL = it may be */
    bool fed;          /* more may be sent to it, if others agree */
    bool no_input;     /* nothing may be sent to it: that would be a file that comes */
    bool no_output; /* what it prints passes as far as it is recorded: the rest would be a file */
    bool refused;
    sg_refusal refusal;
} sg_ruling;

/* What others agreed to (NULL: to nothing) is allowed. */
void sg_rule(sg_channel *channel, const sp_agreed *agreed, sg_ruling *out);

#endif
