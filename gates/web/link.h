/* SPDX-License-Identifier: Apache-2.0
 * A connection to another process of ours on nginx's event loop, that comes back by itself.
 *
 * Story: gate_link_start() connects; when that works on_open says hello, and every packet goes to
 * on_message. When the connection breaks, on_closed is told and the link tries again, first at
 * once, then ever more slowly up to two seconds.
 *
 * OWNS its connection. PROCESS nginx workers. TRUST packets are bounded by sp_msg.
 * SPEC lib/proto/msg.h.
 */
#ifndef SP_GATES_WEB_LINK_H
#define SP_GATES_WEB_LINK_H

#include "gates/web/gate.h"
#include "infra/ipc/conn.h"

typedef struct gate_link gate_link;
struct gate_link {
    const char *name; /* for the log */
    const char *path;
    void (*on_open)(gate_link *link);
    void (*on_message)(gate_link *link, const sp_msg *msg, sp_fds *fds);
    void (*on_closed)(gate_link *link); /* may be NULL */
    /* the link's own */
    ngx_connection_t *connection; /* NULL = not connected */
    ngx_event_t retry;
    ngx_connection_t retry_owner; /* nginx logs the descriptor of a timer's owner */
    ngx_msec_t pause_ms;
    uint32_t last_call;
    bool told; /* the log knows that it is away */
    sp_buf packet;
};

void gate_link_start(gate_link *link);
void gate_link_stop(gate_link *link);
/* Sends one packet; the id of the call, 0 when it could not be sent. body may be empty. */
uint32_t gate_link_call(gate_link *link, uint16_t kind, sp_span body, const int *fds,
                        size_t fd_count);
/* The same without a reply: id 0 on the wire. */
bool gate_link_tell(gate_link *link, uint16_t kind, sp_span body);
/* At start only: handles packets until done() or the time is over. */
void gate_link_wait(gate_link *link, bool (*done)(void), unsigned timeout_ms);

#endif
