/* SPDX-License-Identifier: Apache-2.0
 * Links to core and ledger on nginx's event loop.
 * OWNS its connection. PROCESS nginx workers. TRUST packets are bounded. SPEC gates/web/link.h.
 */
#include "gates/web/link.h"

#include "infra/proc/clock.h"

#include <poll.h>

enum { PAUSE_FIRST_MS = 20, PAUSE_MAX_MS = 2000 };

static void connect_now(gate_link *link);

static void come_back(gate_link *link)
{
    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return;
    }
    ngx_add_timer(&link->retry, link->pause_ms);
    link->pause_ms = ngx_min(link->pause_ms * 2, (ngx_msec_t)PAUSE_MAX_MS);
}

static void break_off(gate_link *link)
{
    ngx_close_connection(link->connection);
    link->connection = NULL;
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "sallyport: lost the connection to %s",
                  link->name);
    link->told = true;
    if (link->on_closed != NULL) {
        link->on_closed(link);
    }
    come_back(link);
}

/* Takes one packet; SP_EAGAIN when there is none. */
static sp_err take_one(gate_link *link)
{
    auto_fds sp_fds fds = {.count = 0};
    sp_buf_reset(&link->packet);
    TRY(sp_ipc_receive(link->connection->fd, &link->packet, &fds));
    sp_msg msg;
    TRY(sp_msg_open(sp_buf_borrow(&link->packet), &msg));
    link->on_message(link, &msg, &fds);
    return sp_ok();
}

static void drain(gate_link *link)
{
    while (link->connection != NULL) {
        sp_err err = take_one(link);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (sp_failed(err) && link->connection != NULL) {
            break_off(link);
        }
    }
}

static void on_readable(ngx_event_t *event)
{
    ngx_connection_t *connection = event->data;
    gate_link *link = connection->data;
    drain(link);
    if (link->connection != NULL && ngx_handle_read_event(event, 0) != NGX_OK) {
        break_off(link);
    }
}

static void on_writable(ngx_event_t *event)
{
    (void)event; /* packets are small and sent at once */
}

static void on_retry(ngx_event_t *event)
{
    const ngx_connection_t *owner = event->data;
    connect_now(owner->data);
}

static bool adopt(gate_link *link, int fd)
{
    ngx_connection_t *connection = ngx_get_connection(fd, ngx_cycle->log);
    if (connection == NULL) {
        return false;
    }
    connection->data = link;
    connection->read->handler = on_readable;
    connection->write->handler = on_writable;
    connection->read->log = ngx_cycle->log;
    connection->write->log = ngx_cycle->log;
    link->connection = connection;
    if (ngx_handle_read_event(connection->read, 0) != NGX_OK) {
        ngx_free_connection(connection);
        link->connection = NULL;
        return false;
    }
    return true;
}

static void connect_now(gate_link *link)
{
    auto_close int fd = -1;
    sp_err err = sp_ipc_connect(link->path, &fd);
    if (sp_failed(err)) {
        if (!link->told) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "sallyport: cannot reach %s at %s (%s); trying again", link->name,
                          link->path, sp_code_word(err.code));
            link->told = true;
        }
        come_back(link);
        return;
    }
    if (!adopt(link, fd)) {
        come_back(link);
        return;
    }
    fd = -1; /* the connection's now */
    link->pause_ms = PAUSE_FIRST_MS;
    if (link->told) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "sallyport: connected to %s again",
                      link->name);
        link->told = false;
    }
    link->on_open(link);
}

void gate_link_start(gate_link *link)
{
    link->packet = sp_buf_make(SP_MSG_MAX_BYTES);
    link->pause_ms = PAUSE_FIRST_MS;
    link->retry.handler = on_retry;
    link->retry_owner.fd = -1;
    link->retry_owner.data = link;
    link->retry.data = &link->retry_owner;
    link->retry.log = ngx_cycle->log;
    link->retry.cancelable = 1;
    connect_now(link);
}

void gate_link_stop(gate_link *link)
{
    if (link->retry.timer_set) {
        ngx_del_timer(&link->retry);
    }
    if (link->connection != NULL) {
        ngx_close_connection(link->connection);
        link->connection = NULL;
    }
    sp_buf_done(&link->packet);
}

static bool put(gate_link *link, uint16_t kind, uint32_t id, sp_span body, const int *fds,
                size_t fd_count)
{
    if (link->connection == NULL) {
        return false;
    }
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_msg_begin(&packet, kind, id, SP_OK);
    sp_buf_span(&packet, body);
    return !sp_failed(sp_buf_error(&packet)) &&
           !sp_failed(sp_ipc_send(link->connection->fd, sp_buf_borrow(&packet), fds, fd_count));
}

uint32_t gate_link_call(gate_link *link, uint16_t kind, sp_span body, const int *fds,
                        size_t fd_count)
{
    if (++link->last_call == 0) {
        link->last_call = 1;
    }
    return put(link, kind, link->last_call, body, fds, fd_count) ? link->last_call : 0;
}

bool gate_link_tell(gate_link *link, uint16_t kind, sp_span body)
{
    return put(link, kind, 0, body, NULL, 0);
}

void gate_link_wait(gate_link *link, bool (*done)(void), unsigned timeout_ms)
{
    uint64_t end_us = sp_now_steady_us() + (uint64_t)timeout_ms * 1000;
    while (link->connection != NULL && !done()) {
        uint64_t now_us = sp_now_steady_us();
        if (now_us >= end_us) {
            return;
        }
        struct pollfd wait = {.fd = link->connection->fd, .events = POLLIN};
        if (poll(&wait, 1, (int)((end_us - now_us) / 1000) + 1) > 0) {
            drain(link);
        }
    }
}
