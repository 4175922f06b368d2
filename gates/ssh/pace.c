/* SPDX-License-Identifier: Apache-2.0
 * How fast bytes may pass: a connection's bandwidth in each direction, as policy has it.
 * OWNS nothing; a bucket a direction. PROCESS ssh gate workers. TRUST none.
 * SPEC docs/POLICY.md "bandwidth".
 */
#include "gates/ssh/gate.h"

#include <stddef.h>

enum { REFILL_US = 50000, SECOND_US = 1000000, LONGEST_US = SECOND_US / 10 };

static sg_pace *pace_of(const sg_channel *channel, sg_stream stream)
{
    return &channel->conn->paces[stream == SG_IN ? 0 : 1];
}

static void on_time(sp_timer *timer)
{
    sg_conn *conn = (sg_conn *)(void *)((char *)timer - offsetof(sg_conn, pacing));
    sg_channels_step(conn);
}

/* A bucket holds a tenth of a second's bytes. */
static void refill(sg_pace *pace, uint64_t rate, uint64_t now_us)
{
    uint64_t since_us = now_us - pace->at_us;
    pace->at_us = now_us;
    since_us = since_us < LONGEST_US ? since_us : LONGEST_US;
    pace->left += rate * since_us / SECOND_US;
    uint64_t most = rate * LONGEST_US / SECOND_US;
    pace->left = pace->left < most ? pace->left : most;
}

size_t sg_pace_room(const sg_channel *channel, sg_stream stream, size_t wanted)
{
    sg_conn *conn = channel->conn;
    uint64_t rate = conn->ssh.bandwidth;
    if (rate == 0) {
        return wanted;
    }
    sg_pace *pace = pace_of(channel, stream);
    uint64_t now_us = sp_loop_now_us(sg_here.loop);
    if (now_us >= pace->at_us + REFILL_US) {
        refill(pace, rate, now_us);
    }
    if (pace->left == 0 && conn->pacing.at == 0) {
        conn->pacing.on_time = on_time;
        SP_IGNORE(sp_timer_set(sg_here.loop, &conn->pacing, REFILL_US)); /* else the next edge */
    }
    return wanted < pace->left ? wanted : (size_t)pace->left;
}

void sg_pace_took(const sg_channel *channel, sg_stream stream, size_t bytes)
{
    sg_pace *pace = pace_of(channel, stream);
    pace->left = pace->left > bytes ? pace->left - bytes : 0;
}
