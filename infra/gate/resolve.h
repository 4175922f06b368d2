/* SPDX-License-Identifier: Apache-2.0
 * Names of upstreams, looked up beside the loop: a name server that does not answer keeps
 * nobody else waiting.
 *
 * Story: an address is taken as it stands. A name is answered from what was found lately; else a
 * thread of its own asks (getaddrinfo() knows /etc/hosts and all that the machine is set up for)
 * and the waiting are called when it is back. What was found is used for a minute, then asked for
 * again while the old answer is still used, for up to an hour of failures.
 *
 * OWNS the answers, the threads while they ask. PROCESS gate workers. TRUST names are the
 * policy's; what comes back is the machine's resolver's. SPEC getaddrinfo(3), eventfd(2).
 */
#ifndef SP_GATE_RESOLVE_H
#define SP_GATE_RESOLVE_H

#include "infra/gate/dial.h"
#include "infra/loop/loop.h"

enum {
    SP_RESOLVE_HOST_BYTES = 256,
    SP_RESOLVE_NAMES_MAX = 64, /* remembered by a worker */
    SP_RESOLVE_THREADS_MAX = 8 /* names asked for at once */
};

typedef struct sp_resolve_wait sp_resolve_wait;
struct sp_resolve_wait {
    /* SP_ENOTFOUND: there is no such name, or nobody could be asked; then address is NULL. */
    void (*on_found)(sp_resolve_wait *wait, sp_err err, const sp_dial_address *address);
    uint16_t port;
    sp_resolve_wait *next;
    sp_resolve_wait **back; /* NULL = does not wait */
};

/* Once a worker; its cage must let it have threads. */
SP_MUST sp_err sp_resolve_prepare(sp_loop *loop);
/* SP_OK: *ret_address. SP_EAGAIN: wait->on_found will be called. SP_ELIMIT: too
 * many names are asked for; SP_ENOTFOUND: it was not found a moment ago. */
SP_MUST sp_err sp_resolve(const char *host, uint16_t port, sp_resolve_wait *wait,
                          sp_dial_address *ret_address);
void sp_resolve_forget(sp_resolve_wait *wait);

#endif
