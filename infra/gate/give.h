/* SPDX-License-Identifier: Apache-2.0
 * Connections for whichever worker of a gate has the fewest.
 *
 * The kernel wakes now this worker, now that one for a new connection, and often the same one.
 * Counts in a page that all share say whose turn it is; descriptors pass over the datagram sockets
 * that the supervisor made (infra/gate/workers.h).
 *
 * Story: a worker starts an sp_give, counts its connections with sp_give_count(), offers each that
 * it accepts to sp_give_away(), and takes what others gave it out of its mesh with sp_give_hear().
 *
 * OWNS nothing. PROCESS gate workers. TRUST a worker that was taken over can hand over connections:
 * any client could have made them. SPEC unix(7).
 */
#ifndef SP_GATE_GIVE_H
#define SP_GATE_GIVE_H

#include "infra/gate/workers.h"

#include <stdbool.h>
#include <sys/socket.h>

typedef struct {
    unsigned number; /* of this worker */
    unsigned count;
    uint32_t *loads;          /* connections of each, shared; UINT32_MAX = it takes none */
    int mesh[SP_WORKERS_MAX]; /* to send to each */
} sp_give;

void sp_give_start(sp_give *give, const sp_worker_start *start);

void sp_give_count(const sp_give *give, uint32_t connections);

/* True: another worker has it, and fd is closed here. False: it stays. */
bool sp_give_away(const sp_give *give, uint32_t connections, int fd);

/* The next message in this worker's mesh, into bytes; ret_fd is the connection that came with it,
 * or -1. False: there is none. */
bool sp_give_hear(int mesh_in, uint8_t *bytes, size_t max_bytes, size_t *ret_len, int *ret_fd);

/* The peer of a connection that was given. False: it is gone again, and closed. */
bool sp_give_peer(int fd, struct sockaddr_storage *ret_peer);

#endif
