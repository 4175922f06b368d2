/* SPDX-License-Identifier: Apache-2.0
 * The sockets on which roles say how they are: READY=1, WATCHDOG=1, STATUS=, STOPPING=1. One a
 * role, which that role's user alone can reach: who floods his own keeps nobody else's words out.
 * OWNS the sockets and their paths. PROCESS porter. TRUST the words are hostile, who sent them is
 * the kernel's word (SCM_CREDENTIALS). SPEC sd_notify(3), unix(7).
 */
#include "porter/porter.h"

#include "infra/ipc/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { WORDS_A_TURN = 64 };

static sp_err open_ear(const sp_config *config, sp_role_kind role, porter_ear *ear, sp_buf *why)
{
    char name[32];
    snprintf(name, sizeof(name), "notify-%s", sp_role_word(role));
    TRY(sp_config_socket(config, name, &ear->path));
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (sp_failed(sp_fit(at.sun_path, sizeof(at.sun_path), sp_span_cstr(ear->path)))) {
        sp_buf_fmt(why, "%s is too long for a socket: choose a shorter run: directory", ear->path);
        return sp_fail(SP_ELIMIT);
    }
    unlink(ear->path);
    ear->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (ear->fd < 0 || bind(ear->fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        chmod(ear->path, 0600) != 0 ||
        setsockopt(ear->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 ||
        (geteuid() == 0 && chown(ear->path, config->uids[role], config->gids[role]) != 0)) {
        sp_buf_fmt(why, "%s cannot be made: %s", ear->path, strerror(errno));
        return sp_fail(SP_EIO);
    }
    return sp_ok();
}

sp_err porter_ears_open(const sp_config *config, porter_ear *ears, sp_buf *why)
{
    for (unsigned i = 0; i < SP_ROLE_COUNT; i++) {
        if (sp_config_has_role(config, (sp_role_kind)i)) {
            TRY(open_ear(config, (sp_role_kind)i, &ears[i], why));
        }
    }
    return sp_ok();
}

void porter_ears_close(porter_ear *ears)
{
    for (unsigned i = 0; i < SP_ROLE_COUNT; i++) {
        if (ears[i].path != NULL) {
            unlink(ears[i].path);
            sp_free(ears[i].path);
        }
        if (ears[i].fd >= 0) {
            close(ears[i].fd);
        }
        ears[i] = (porter_ear){.fd = -1};
    }
}

static pid_t sender_of(struct msghdr *msg)
{
    pid_t pid = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head != NULL; head = CMSG_NXTHDR(msg, head)) {
        if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            sp_copy(&who, CMSG_DATA(head), sizeof(who));
            pid = who.pid;
        } else if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
            size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count; i++) {
                int fd = -1;
                sp_copy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
                sp_ipc_close_passed(fd); /* nobody needs to send us any */
            }
        }
    }
    return pid;
}

static void read_ear(porter *p, int fd, uint64_t now_us)
{
    for (int i = 0; i < WORDS_A_TURN; i++) {
        uint8_t words[PORTER_WORDS_MAX_BYTES];
        _Alignas(struct cmsghdr) uint8_t
            control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * SP_IPC_PASSED_MAX)];
        struct iovec part = {.iov_base = words, .iov_len = sizeof(words)};
        struct msghdr msg = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got < 0) {
            return;
        }
        pid_t pid = sender_of(&msg);
        if (pid > 0 && (msg.msg_flags & MSG_TRUNC) == 0) {
            porter_roles_heard(p, pid, sp_span_of(words, (size_t)got), now_us);
        }
    }
}

void porter_ears_read(porter *p, const porter_ear *ears, uint64_t now_us)
{
    for (unsigned i = 0; i < SP_ROLE_COUNT; i++) {
        if (ears[i].fd >= 0) {
            read_ear(p, ears[i].fd, now_us);
        }
    }
}
