/* SPDX-License-Identifier: Apache-2.0
 * What libssh 0.10 knows of a channel and does not show: how large a packet the other side takes.
 *
 * libssh takes ten bytes off that size for the head of a packet, so a peer that says 10 makes
 * ssh_channel_write() send empty packets for ever. The number stands two words behind the window in
 * libssh's channel; where the window stands, its own ssh_channel_window_size() tells when it is
 * shown a channel whose words are their own places. If our own packet size is not where it should
 * be then, libssh is another one, and no channel is let through.
 *
 * OWNS nothing. PROCESS ssh gate workers. TRUST the peer chose the number. SPEC RFC 4254 5.1,
 * libssh include/libssh/channels.h.
 */
#include "gates/ssh/gate.h"

enum {
    PROBE_WORDS = 64,
    OUR_PACKET_MIN_BYTES = 32768, /* what libssh 0.10 says of itself: 32768 or 35000 */
    OUR_PACKET_MAX_BYTES = 35000
};

/* Which word of a channel the window is; 0 = not found. */
static size_t window_at(void)
{
    static size_t known;
    _Alignas(16) uint32_t words[PROBE_WORDS];
    if (known == 0) {
        for (uint32_t i = 0; i < PROBE_WORDS; i++) {
            words[i] = i;
        }
        uint32_t at = ssh_channel_window_size((ssh_channel)(void *)words);
        known = at >= 2 && at < PROBE_WORDS / 2 ? at : 0;
    }
    return known;
}

uint32_t sg_hidden_packet_bytes(ssh_channel channel)
{
    size_t at = window_at();
    uint32_t ours = 0;
    uint32_t theirs = 0;
    if (at != 0) {
        const uint8_t *bytes = (const uint8_t *)(const void *)channel;
        sp_copy(&ours, bytes + (at - 2) * sizeof(ours), sizeof(ours));
        sp_copy(&theirs, bytes + (at + 2) * sizeof(theirs), sizeof(theirs));
    }
    return ours >= OUR_PACKET_MIN_BYTES && ours <= OUR_PACKET_MAX_BYTES ? theirs : 0;
}
