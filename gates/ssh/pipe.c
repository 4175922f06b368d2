/* SPDX-License-Identifier: Apache-2.0
 * How much of what would pass may: pipes that would carry files, programs that are others than
 * their names say, answers that are too large.
 * OWNS nothing. PROCESS ssh gate workers. TRUST bytes are hostile, and only counted and compared.
 * SPEC gates/ssh/rule.h, docs/SSH.md 3.
 */
#include "gates/ssh/gate.h"

#include <stdio.h>

static void refuse_pipe(sg_channel *channel, sp_action action, const char *what)
{
    sg_refusal refusal;
    sp_decision decision = sg_decide_whole(channel->conn, action, SP_SPAN_LIT("/"));
    decision.verdict = SP_VERDICT_DENY;
    sg_decide_refuse(channel->conn, &decision, what, &refusal);
    (void)sg_record_channel(channel, &decision, action, &refusal);
    sg_channel_refuse(channel, &refusal);
}

/* Where files may not come or leave they do not through a free command either: how many of these
 * bytes may pass. None: the channel has ended. */
size_t sg_pipe_room(sg_channel *channel, sg_stream stream, size_t wanted)
{
    uint64_t before = sg_relay_printed(channel);
    if (stream == SG_IN && channel->terms.alone != NULL) {
        sg_channel_deny(channel, SP_REASON_APPROVAL, channel->terms.alone);
        return 0;
    }
    if (stream == SG_IN && channel->terms.no_input) {
        refuse_pipe(channel, SP_ACTION_IMPORT,
                    "to send it something without a terminal (import) is not allowed on this "
                    "machine: ssh -n sends nothing, ssh -t takes a terminal");
        return 0;
    }
    if (stream == SG_IN || !channel->terms.no_output) {
        return wanted;
    }
    if (before >= SG_RECORDED_MAX_BYTES) {
        refuse_pipe(channel, SP_ACTION_EXPORT,
                    "to take more from it without a terminal (export) is not allowed on this "
                    "machine: ssh -t takes a terminal");
        return 0;
    }
    return wanted < SG_RECORDED_MAX_BYTES - before ? wanted
                                                   : (size_t)(SG_RECORDED_MAX_BYTES - before);
}

/* rsync and git are not followed, but what does not even begin as they do is another program. */
bool sg_pipe_begins_well(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    char text[SG_TEXT_BYTES];
    if (stream == SG_ERR || sp_command_begins((sp_command_kind)channel->transfer,
                                              channel->flows[stream].passed, bytes)) {
        return true;
    }
    snprintf(text, sizeof(text), "this does not begin as %s does", sg_method_of(channel));
    sg_channel_deny(channel, SP_REASON_UNPARSED, text);
    return false;
}

/* More than the rule lets pass in one answer; over sftp that is a file, and counted there. */
bool sg_pipe_is_too_much(const sg_channel *channel, sg_stream stream)
{
    const sp_decision *decision = &channel->terms.decision;
    bool is_export = channel->terms.action != SP_ACTION_IMPORT && !channel->to_target;
    return (decision->must & SP_MUST_LIMIT) != 0 && decision->limit_bytes != 0 &&
           channel->sftp == NULL && (stream != SG_IN) == is_export &&
           (is_export ? sg_relay_printed(channel) : channel->flows[SG_IN].passed) >
               decision->limit_bytes;
}
