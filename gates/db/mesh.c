/* SPDX-License-Identifier: Apache-2.0
 * What workers say to each other, over datagram sockets that the supervisor made: cancel requests
 * for a session of another worker, names that were given to other rows, and connections for whoever
 * has the fewest (infra/gate/give.h).
 * OWNS nothing. PROCESS db gate workers. TRUST a worker that was taken over can hand over
 * connections and cancel requests with keys it knows: both could come from any client. It can make
 * others read catalogues again.
 * SPEC unix(7), gates/db/db.h.
 */
#include "gates/db/judging.h"

#include <sys/socket.h>

enum { CANCEL_BYTES = 4 + 16 + 1 + DB_KEY_MAX_BYTES, MOVED_BYTES = 2 * DB_NAME_BYTES };

static void put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void db_mesh_cancel(uint32_t number, uint32_t pid, sp_span key, const uint8_t peer[16])
{
    uint8_t message[CANCEL_BYTES] = {0};
    put_u32(message, pid);
    sp_copy(message + 4, peer, 16);
    message[20] = (uint8_t)key.len;
    sp_copy(message + 21, key.ptr, key.len);
    /* a worker that does not keep up loses cancels, as a server under a flood of them does */
    (void)send(db_here.give.mesh[number], message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void db_mesh_moved(const char resource[DB_NAME_BYTES], const char database[DB_NAME_BYTES])
{
    uint8_t message[MOVED_BYTES];
    sp_copy(message, resource, DB_NAME_BYTES);
    sp_copy(message + DB_NAME_BYTES, database, DB_NAME_BYTES);
    for (uint32_t i = 0; i < db_here.count; i++) {
        if (i != db_here.number) {
            /* one that does not keep up finds out by itself, within five seconds */
            (void)send(db_here.give.mesh[i], message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}

static sp_span name_at(const uint8_t *at)
{
    sp_span whole = {at, DB_NAME_BYTES};
    return sp_span_slice(whole, 0, sp_span_index(whole, '\0'));
}

/* ---- hearing ---- */

static void take_given(int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    if (fd >= 0 && sp_give_peer(fd, &address)) {
        db_session_new(fd, (const struct sockaddr *)&address);
    }
}

static void take_cancel(const uint8_t bytes[CANCEL_BYTES])
{
    sp_span key = {bytes + 21, bytes[20]};
    if (key.len <= DB_KEY_MAX_BYTES) {
        db_cancel_here(u32_at(bytes), key, bytes + 4);
    }
}

void db_mesh_on_ready(sp_watch *watch, unsigned ready)
{
    uint8_t bytes[MOVED_BYTES];
    size_t len = 0;
    int fd = -1;
    (void)ready;
    while (sp_give_hear(watch->fd, bytes, sizeof(bytes), &len, &fd)) {
        if (len == CANCEL_BYTES && fd < 0) {
            take_cancel(bytes);
        } else if (len == MOVED_BYTES && fd < 0) {
            db_catalogue_moved_elsewhere(name_at(bytes), name_at(bytes + DB_NAME_BYTES));
        } else {
            take_given(fd);
        }
    }
}
