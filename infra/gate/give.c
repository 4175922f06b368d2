/* SPDX-License-Identifier: Apache-2.0
 * Connections for whichever worker of a gate has the fewest.
 * OWNS nothing. PROCESS gate workers. TRUST see give.h. SPEC unix(7), infra/gate/give.h.
 */
#include "infra/gate/give.h"

#include <unistd.h>

enum { GIVEN_BYTES = 1 };

typedef union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
} one_fd;

void sp_give_start(sp_give *give, const sp_worker_start *start)
{
    give->number = start->number;
    give->count = start->count;
    give->loads = start->loads;
    sp_copy(give->mesh, start->mesh_out, start->count * sizeof(int));
}

void sp_give_count(const sp_give *give, uint32_t connections)
{
    __atomic_store_n(&give->loads[give->number], connections, __ATOMIC_RELAXED);
}

static unsigned least_loaded(const sp_give *give, uint32_t connections)
{
    unsigned best = give->number;
    uint32_t least = connections;
    for (unsigned i = 0; i < give->count; i++) {
        uint32_t load = __atomic_load_n(&give->loads[i], __ATOMIC_RELAXED);
        if (load < least) {
            least = load;
            best = i;
        }
    }
    return best;
}

/* Until it counts itself: many may come in one turn. Unless it has just died: it takes none. */
static void count_one(uint32_t *load)
{
    uint32_t now = __atomic_load_n(load, __ATOMIC_RELAXED);
    while (now != UINT32_MAX && !__atomic_compare_exchange_n(load, &now, now + 1, true,
                                                             __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

bool sp_give_away(const sp_give *give, uint32_t connections, int fd)
{
    unsigned to = least_loaded(give, connections);
    if (to == give->number) {
        return false;
    }
    uint8_t byte = 0;
    one_fd control = {.room = {0}};
    struct iovec vector = {.iov_base = &byte, .iov_len = GIVEN_BYTES};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fd));
    sp_copy(CMSG_DATA(head), &fd, sizeof(fd));
    if (sendmsg(give->mesh[to], &message, MSG_DONTWAIT | MSG_NOSIGNAL) != GIVEN_BYTES) {
        return false;
    }
    count_one(&give->loads[to]);
    close(fd);
    return true;
}

static int fd_of(struct msghdr *message)
{
    int fd = -1;
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(fd))) {
        sp_copy(&fd, CMSG_DATA(head), sizeof(fd));
    }
    return fd;
}

bool sp_give_hear(int mesh_in, uint8_t *bytes, size_t max_bytes, size_t *ret_len, int *ret_fd)
{
    one_fd control;
    struct iovec vector = {.iov_base = bytes, .iov_len = max_bytes};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};
    ssize_t len = recvmsg(mesh_in, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0) {
        return false;
    }
    *ret_len = (size_t)len;
    *ret_fd = fd_of(&message);
    return true;
}

bool sp_give_peer(int fd, struct sockaddr_storage *ret_peer)
{
    socklen_t len = sizeof(*ret_peer);
    if (getpeername(fd, (struct sockaddr *)ret_peer, &len) == 0) {
        return true;
    }
    close(fd);
    return false;
}
