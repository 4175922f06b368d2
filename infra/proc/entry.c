/* SPDX-License-Identifier: Apache-2.0
 * What a role inherits from whoever started it: listening sockets and a place to say how it is.
 * OWNS nothing. PROCESS all roles. TRUST the environment was set by systemd or by the porter.
 * SPEC sd_listen_fds(3), sd_notify(3).
 */
#include "infra/proc/entry.h"

#include "infra/proc/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3, FDS_MAX = 64 };

static uint64_t number_in(const char *name)
{
    uint64_t number = 0;
    sp_err err = sp_span_to_u64(sp_span_cstr(getenv(name)), INT32_MAX, &number);
    return sp_failed(err) ? 0 : number;
}

int sp_entry_listen_fd(const char *name)
{
    uint64_t count = number_in("LISTEN_FDS");
    if (number_in("LISTEN_PID") != (uint64_t)getpid() || count > FDS_MAX) {
        return -1;
    }
    sp_span names = sp_span_cstr(getenv("LISTEN_FDNAMES"));
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)count; fd++) {
        sp_span one;
        if (!sp_span_split(&names, ':', &one)) {
            return -1;
        }
        if (!sp_span_eq(one, sp_span_cstr(name))) {
            continue;
        }
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            return -1;
        }
        return fd;
    }
    return -1;
}

void sp_entry_notify(const char *words)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        sp_failed(sp_fit(to.sun_path, sizeof(to.sun_path), sp_span_cstr(path)))) {
        return;
    }
    size_t path_len = strlen(path);
    if (path[0] == '@') {
        to.sun_path[0] = '\0';
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 ||
        sendto(fd, words, strlen(words), MSG_NOSIGNAL, (const struct sockaddr *)&to, size) < 0) {
        sp_log(SP_LOG_WARN, "who started this process cannot be told '%s': %s", words,
               strerror(errno));
    }
}
