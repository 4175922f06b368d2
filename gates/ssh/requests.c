/* SPDX-License-Identifier: Apache-2.0
 * What the client asks for: channels, what is to run in them, with what around it. What policy
 * never lets through, and what it cannot judge, is refused here.
 *
 * OWNS nothing. PROCESS ssh gate workers. TRUST requests are hostile: bounded, and none passes on
 * as it is. SPEC RFC 4254.
 */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* libssh: no other way to answer later \
                                                            */
#include "gates/ssh/gate.h"

enum { TERM_ROWS_MAX = 4096 };

/* ---- requests of the client ---- */

static sg_channel *find(const sg_conn *conn, ssh_channel front)
{
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        if (channel->front == front && channel->state != SG_CH_ENDED) {
            return channel;
        }
    }
    return NULL;
}

static sp_err keep_text(const char *text, size_t max_bytes, char **ret_text)
{
    sp_span bytes = sp_span_cstr(text);
    auto_buf sp_buf copy = sp_buf_make(max_bytes + 1);
    if (bytes.len > max_bytes) {
        return sp_fail(SP_ELIMIT);
    }
    sp_buf_span(&copy, bytes);
    return sp_buf_take_cstr(&copy, ret_text);
}

static bool take_pty(sg_channel *channel, ssh_message msg)
{
    int columns = ssh_message_channel_request_pty_width(msg);
    int rows = ssh_message_channel_request_pty_height(msg);
    sp_span term = sp_span_cstr(ssh_message_channel_request_pty_term(msg));
    if (channel->start_asked || columns < 0 || columns > TERM_ROWS_MAX || rows < 0 ||
        rows > TERM_ROWS_MAX || sp_failed(sp_fit(channel->term, sizeof(channel->term), term))) {
        return false;
    }
    channel->has_pty = true;
    channel->columns = columns;
    channel->rows = rows;
    return true;
}

static bool take_environment(sg_channel *channel, ssh_message msg)
{
    uint32_t at = channel->environment_count;
    if (channel->start_asked || at >= SG_ENVIRONMENT_MAX) {
        return false;
    }
    if (sp_failed(keep_text(ssh_message_channel_request_env_name(msg), SG_NAME_BYTES,
                            &channel->environment[at].name))) {
        return false;
    }
    channel->environment_count++;
    return !sp_failed(keep_text(ssh_message_channel_request_env_value(msg), SG_VALUE_BYTES,
                                &channel->environment[at].value));
}

static bool take_window(sg_channel *channel, ssh_message msg)
{
    int columns = ssh_message_channel_request_pty_width(msg);
    int rows = ssh_message_channel_request_pty_height(msg);
    if (!channel->has_pty || columns < 0 || columns > TERM_ROWS_MAX || rows < 0 ||
        rows > TERM_ROWS_MAX) {
        return false;
    }
    channel->columns = columns;
    channel->rows = rows;
    if (channel->state == SG_CH_RUNS) {
        (void)ssh_channel_change_pty_size(channel->back, columns, rows);
    }
    channel->resized = channel->state >= SG_CH_PTY && channel->state < SG_CH_RUNS;
    if (channel->prepared) {
        sg_recording_resized(channel);
        sg_alarm_resized(channel);
    }
    return true;
}

sp_err sg_channel_name(sg_channel *channel, sp_span text)
{
    char *name = NULL;
    auto_buf sp_buf object = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 8);
    sg_text_clean(text, SP_SSH_OBJECT_MAX_BYTES - 8, &object);
    TRY(sp_buf_take_cstr(&object, &name));
    sp_free(channel->object);
    channel->object = name;
    return sp_ok();
}

/* What is asked for in a way that policy cannot judge: told on the channel, as if it had. */
static sp_err take_misfit(sg_channel *channel, sp_span name, const char *why)
{
    channel->kind = SP_SSH_CHANNEL_EXEC;
    channel->misfit = why;
    return sg_channel_name(channel, name);
}

static sp_err take_command(sg_channel *channel, const char *text)
{
    sp_span command = sp_span_cstr(text);
    if (command.len > SG_COMMAND_MAX_BYTES) {
        return take_misfit(channel, sp_span_slice(command, 0, SP_SSH_OBJECT_MAX_BYTES),
                           "a command has 64 KiB at most");
    }
    channel->kind = SP_SSH_CHANNEL_EXEC;
    TRY(keep_text(text, SG_COMMAND_MAX_BYTES, &channel->command));
    return sg_channel_name(channel, command);
}

static sp_err take_subsystem(sg_channel *channel, const char *text)
{
    sp_span name = sp_span_cstr(text);
    if (!sp_span_eq(name, SP_SPAN_LIT("sftp"))) {
        return take_misfit(channel, name, "no subsystem but sftp is let through");
    }
    channel->kind = SP_SSH_CHANNEL_SFTP;
    TRY(keep_text("sftp", SG_NAME_BYTES, &channel->subsystem));
    return sg_channel_name(channel, name);
}

static sp_err take_start(sg_channel *channel, ssh_message msg, int what)
{
    if (channel->start_asked) {
        return sp_fail(SP_EINVALID);
    }
    if (what == SSH_CHANNEL_REQUEST_SHELL) {
        channel->kind = SP_SSH_CHANNEL_SHELL;
        TRY(sg_channel_name(channel, SP_SPAN_LIT("shell")));
    } else if (what == SSH_CHANNEL_REQUEST_EXEC) {
        TRY(take_command(channel, ssh_message_channel_request_command(msg)));
    } else {
        TRY(take_subsystem(channel, ssh_message_channel_request_subsystem(msg)));
    }
    channel->start_asked = true;
    channel->state = SG_CH_WAITS;
    return sp_ok();
}

/* What is never let through, whatever policy says. */
static void record_never(sg_conn *conn, const char *what)
{
    sg_refusal refusal;
    sg_refusal_make(&refusal, SP_REASON_DENY_RULE, "%s is never let through", what);
    sg_record_refusal(conn, &refusal);
    sg_channel_say_beside(conn, &refusal);
}

/* Clients ask with each session. */
void sg_channel_agent_asked(sg_channel *channel)
{
    if (!channel->conn->told_agent) {
        channel->conn->told_agent = true;
        record_never(channel->conn, "forwarding of the agent");
    }
}

/* Clients go on without. */
static void say_no_pty(sg_channel *channel)
{
    sg_refusal refusal;
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
    sg_refusal_make(&refusal, SP_REASON_UNPARSED,
                    "a terminal has up to %d columns and rows and a name of up to %d letters, and "
                    "is asked for first",
                    TERM_ROWS_MAX, SG_NAME_BYTES - 1);
    sg_record_refusal(channel->conn, &refusal);
    sg_refusal_line(&refusal, false, &line);
    sg_relay_say(channel, sp_buf_borrow(&line), true);
}

static void take_request(sg_channel *channel, ssh_message msg)
{
    int what = ssh_message_subtype(msg);
    bool well = false;
    if (what == SSH_CHANNEL_REQUEST_PTY) {
        well = take_pty(channel, msg);
    } else if (what == SSH_CHANNEL_REQUEST_ENV) {
        well = take_environment(channel, msg);
    } else if (what == SSH_CHANNEL_REQUEST_WINDOW_CHANGE) {
        well = take_window(channel, msg);
    } else if (what == SSH_CHANNEL_REQUEST_SHELL || what == SSH_CHANNEL_REQUEST_EXEC ||
               what == SSH_CHANNEL_REQUEST_SUBSYSTEM) {
        well = !sp_failed(take_start(channel, msg, what));
    } else if (what == SSH_CHANNEL_REQUEST_X11) {
        record_never(channel->conn, "X11 forwarding");
    }
    if (well) {
        ssh_message_channel_request_reply_success(msg);
    } else {
        ssh_message_reply_default(msg);
    }
    if (what == SSH_CHANNEL_REQUEST_PTY && !well) {
        say_no_pty(channel);
    } else if (channel->misfit != NULL && channel->state == SG_CH_WAITS) {
        channel->terms.action = SP_ACTION_EXECUTE;
        sg_channel_deny(channel, SP_REASON_UNPARSED, channel->misfit);
    }
}

/* ---- channels that the client opens ---- */

/* A channel whose other side takes next to nothing must not be written to: the connection ends. */
bool sg_channel_accept(sg_channel *channel, ssh_message msg)
{
    channel->front = ssh_message_channel_request_open_reply_accept(msg);
    if (channel->front == NULL) {
        return false;
    }
    uint32_t bytes = sg_hidden_packet_bytes(channel->front);
    if (bytes >= SG_PACKET_MIN_BYTES) {
        sg_relay_front(channel);
        return true;
    }
    sg_refusal refusal;
    ssh_channel_free(channel->front);
    channel->front = NULL;
    sg_refusal_make(&refusal, SP_REASON_LIMIT,
                    "the client takes packets of %u bytes, and must take at least %d", bytes,
                    SG_PACKET_MIN_BYTES);
    sg_conn_fail(channel->conn, &refusal);
    return false;
}

static void refuse_one_more(sg_conn *conn)
{
    sg_refusal refusal;
    sg_refusal_make(&refusal, SP_REASON_LIMIT, "a connection has %d channels at once",
                    SG_CHANNELS_MAX);
    sg_record_refusal(conn, &refusal);
    sg_channel_say_beside(conn, &refusal);
}

static void open_session(sg_conn *conn, ssh_message msg)
{
    sg_channel *channel = sg_channel_new(conn);
    if (channel == NULL) {
        ssh_message_reply_default(msg);
        refuse_one_more(conn);
        return;
    }
    if (!sg_channel_accept(channel, msg)) {
        sg_channel_end(channel);
    }
}

static void open_forward(sg_conn *conn, ssh_message msg)
{
    const char *host = ssh_message_channel_request_open_destination(msg);
    int port = ssh_message_channel_request_open_destination_port(msg);
    sg_channel *channel = port > 0 && port <= UINT16_MAX ? sg_channel_new(conn) : NULL;
    if (channel == NULL) {
        ssh_message_reply_default(msg);
        ssh_message_free(msg);
        refuse_one_more(conn);
        return;
    }
    auto_buf sp_buf object = sp_buf_make(1024);
    sp_buf_fmt(&object, "%s:%d", host == NULL ? "" : host, port);
    channel->held = msg;
    channel->kind = SP_SSH_CHANNEL_FORWARD;
    channel->port = (uint16_t)port;
    channel->start_asked = true;
    channel->state = SG_CH_WAITS;
    if (sp_failed(keep_text(host, 255, &channel->host)) ||
        sp_failed(sg_channel_name(channel, sp_buf_borrow(&object)))) {
        sg_channel_end(channel);
    } else {
        sg_channel_step(channel);
    }
}

void sg_channel_message(sg_conn *conn, ssh_message msg)
{
    int type = ssh_message_type(msg);
    if (type == SSH_REQUEST_CHANNEL_OPEN && ssh_message_subtype(msg) == SSH_CHANNEL_DIRECT_TCPIP) {
        open_forward(conn, msg);
        return;
    }
    if (type == SSH_REQUEST_CHANNEL) {
        sg_channel *channel = find(conn, ssh_message_channel_request_channel(msg));
        if (channel != NULL) {
            take_request(channel, msg);
            sg_channel_step(channel);
        } else {
            ssh_message_reply_default(msg);
        }
    } else if (type == SSH_REQUEST_CHANNEL_OPEN &&
               ssh_message_subtype(msg) == SSH_CHANNEL_SESSION) {
        open_session(conn, msg);
    } else {
        if (type == SSH_REQUEST_CHANNEL_OPEN) {
            record_never(conn, "a tunnel, or a socket of the target");
        } else if (type == SSH_REQUEST_GLOBAL &&
                   ssh_message_subtype(msg) == SSH_GLOBAL_REQUEST_TCPIP_FORWARD) {
            record_never(conn, "forwarding of ports of the target");
        }
        ssh_message_reply_default(msg);
    }
    ssh_message_free(msg);
}

void sg_channel_back_message(sg_conn *conn, ssh_message msg)
{
    (void)conn;
    ssh_message_reply_default(msg);
    ssh_message_free(msg);
}
