/* SPDX-License-Identifier: Apache-2.0
 * Asking a machine for its host certificate, and waiting for the answer.
 * OWNS its connection, until it returns. PROCESS cli. TRUST the machine is hostile: bytes and time
 * are bounded. SPEC cli/ssh_ask.h.
 */
#include "cli/ssh_ask.h"

#include "infra/crypto/random.h"
#include "infra/gate/dial.h"
#include "infra/proc/clock.h"
#include "lib/proto/ssh_ask.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 16384, SENT_MAX_BYTES = 4096, PORT_BYTES = 8 };
#define WAIT_US UINT64_C(5000000)

static sp_err reach(const char *host, uint16_t port, int *ret_fd)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    sp_dial_address address = {0};
    char service[PORT_BYTES];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_copy(&address.at, found->ai_addr, found->ai_addrlen);
    address.len = found->ai_addrlen;
    freeaddrinfo(found);
    return sp_dial(&address, ret_fd);
}

/* False: nothing came in time. */
static bool wait_for(int fd, short events, uint64_t until_us)
{
    uint64_t now_us = sp_now_steady_us();
    struct pollfd one = {.fd = fd, .events = events};
    return now_us < until_us && poll(&one, 1, (int)((until_us - now_us) / 1000) + 1) > 0;
}

static bool send_all(int fd, sp_buf *out, uint64_t until_us)
{
    while (out->len > 0) {
        ssize_t sent = send(fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        sp_buf_drop(out, sent > 0 ? (size_t)sent : 0);
        if (out->len > 0 && !wait_for(fd, POLLOUT, until_us)) {
            return false;
        }
    }
    return true;
}

static sp_ssh_ask_state talk(int fd, sp_ssh_ask *ask, sp_buf *out, sp_span *ret_key)
{
    uint8_t SP_UNSET room[READ_BYTES];
    uint64_t until_us = sp_now_steady_us() + WAIT_US;
    if (!wait_for(fd, POLLOUT, until_us) || sp_failed(sp_dial_finish(fd))) {
        return SP_SSH_ASK_WAITS;
    }
    sp_ssh_ask_state state = SP_SSH_ASK_WAITS;
    while (state == SP_SSH_ASK_WAITS) {
        if (!send_all(fd, out, until_us)) {
            return SP_SSH_ASK_LEFT;
        }
        if (!wait_for(fd, POLLIN, until_us)) {
            return SP_SSH_ASK_WAITS;
        }
        ssize_t got = read(fd, room, sizeof(room));
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return SP_SSH_ASK_LEFT;
        }
        if (got > 0) {
            state = sp_ssh_ask_feed(ask, sp_span_of(room, (size_t)got), out, ret_key);
        }
    }
    return state;
}

const char *ssh_ask_certificate(const char *host, uint16_t port, sp_buf *blob)
{
    auto_close int fd = -1;
    uint8_t random[SP_SSH_ASK_RANDOM_BYTES];
    sp_ssh_ask ask;
    sp_span shown = SP_SPAN_EMPTY;
    auto_buf sp_buf out = sp_buf_make(SENT_MAX_BYTES);
    if (sp_failed(reach(host, port, &fd))) {
        return "the target cannot be reached";
    }
    sp_random(random, sizeof(random));
    sp_ssh_ask_start(&ask, random, &out);
    sp_ssh_ask_state state = talk(fd, &ask, &out, &shown);
    sp_buf_reset(blob);
    sp_buf_span(blob, shown);
    sp_ssh_ask_done(&ask);
    if (state != SP_SSH_ASK_SHOWN) {
        return sp_ssh_ask_word(state);
    }
    return sp_failed(sp_buf_error(blob)) ? "the target shows no host certificate" : NULL;
}
