/* SPDX-License-Identifier: Apache-2.0
 * What core is told of connections and channels: its list is made of it.
 * OWNS nothing. PROCESS ssh gate workers. TRUST a client's version is hostile, and made printable.
 * SPEC lib/proto/ssh_msg.h "CONN", "CHANNEL".
 */
#include "gates/ssh/gate.h"

sg_conn *sg_conn_of(uint64_t connection)
{
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        sg_conn *conn = sg_here.conns[i];
        if (conn != NULL && conn->connection == connection && conn->at < SG_AT_ENDING) {
            return conn;
        }
    }
    return NULL;
}

void sg_conn_put_client(const sg_conn *conn, sp_buf *out)
{
    const char *version = conn->front.ssh == NULL ? NULL : ssh_get_clientbanner(conn->front.ssh);
    sg_text_clean(sp_span_cstr(version), SP_SSH_CLIENT_MAX_BYTES - 8, out);
}

void sg_conn_tell_core(sg_conn *conn, bool open)
{
    auto_buf sp_buf body = sp_buf_make(2048);
    auto_buf sp_buf client = sp_buf_make(1024);
    sg_conn_put_client(conn, &client);
    sp_ssh_conn told = {.connection = conn->connection,
                        .state = open ? SP_SSH_OPEN : SP_SSH_CLOSED,
                        .session = {.slot = conn->rider.slot, .id = conn->rider.id},
                        .resource = sp_span_cstr(conn->resource_name),
                        .account = sp_span_cstr(conn->account),
                        .client = sp_buf_borrow(&client),
                        .frozen = conn->frozen,
                        .frozen_by = sp_span_cstr(conn->frozen_by)};
    sp_copy(told.peer, conn->rider.who.peer, sizeof(told.peer));
    if (conn->rider.has_fingerprint) {
        sp_copy(told.fingerprint.bytes, conn->rider.fingerprint.bytes, SP_SHA256_BYTES);
    }
    sp_ssh_conn_write(&told, &body);
    conn->told = open;
    if (!sp_failed(sp_buf_error(&body))) {
        /* core that is away hears of all that are open when it is back */
        (void)sp_link_tell(&sg_here.office.link, SP_CORE_SSH_CONN, sp_buf_borrow(&body));
    }
}

static void tell_channel(const sg_channel *channel, bool open)
{
    auto_buf sp_buf body = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 256);
    sp_ssh_channel told = {.connection = channel->conn->connection,
                           .channel = channel->number,
                           .kind = channel->kind,
                           .state = open ? SP_SSH_OPEN : SP_SSH_CLOSED,
                           .object = sp_span_cstr(channel->object)};
    sp_ssh_channel_write(&told, &body);
    if (!sp_failed(sp_buf_error(&body))) {
        (void)sp_link_tell(&sg_here.office.link, SP_CORE_SSH_CHANNEL, sp_buf_borrow(&body));
    }
}

void sg_channel_tell_core(sg_channel *channel, bool open)
{
    if (channel->told != open) {
        channel->told = open;
        tell_channel(channel, open);
    }
}

void sg_conn_tell_all(void)
{
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        sg_conn *conn = sg_here.conns[i];
        if (conn == NULL || conn->at != SG_AT_OPEN) {
            continue;
        }
        sg_conn_tell_core(conn, true);
        for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
            if (channel->told) {
                tell_channel(channel, true);
            }
            sg_start_office(channel, true);
        }
        sg_alarm_tell(conn, true);
    }
}
