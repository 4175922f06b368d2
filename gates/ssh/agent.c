/* SPDX-License-Identifier: Apache-2.0
 * Logging in at a target with a key that stays in the vault.
 *
 * libssh signs with keys that it holds, or asks an agent, over a socket, and waits for it. So the
 * agent is played here, in two passes, and neither waits: what it will read lies in the socket
 * before it asks, and behind that is the end. In the first pass the agent names the key and fails
 * to sign; what it was asked to sign is the log-in's request, which core has the vault sign. In the
 * second it names the key and answers with that signature: the request is the same once more.
 *
 * libssh 0.10 forgets the list of names of the first pass: some 400 bytes a log-in, for as long as
 * the worker lives.
 *
 * OWNS the two ends of a pass; the last one lent to libssh is closed with its session. PROCESS ssh
 * gate workers. TRUST what libssh asks is read as strictly as if it were hostile; core and vault
 * look at it again. SPEC draft-miller-ssh-agent 4.4, 4.5; RFC 4252 7.
 */
#include "gates/ssh/gate.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
    FAILURE = 5,
    REQUEST_IDENTITIES = 11,
    IDENTITIES_ANSWER = 12,
    SIGN_REQUEST = 13,
    SIGN_RESPONSE = 14,
    ASKED_MAX_BYTES = 8 * 1024
};

void sg_agent_done(sg_agent *agent)
{
    if (agent->is_open) {
        close(agent->fd);
    }
    agent->is_open = false;
    sp_buf_done(&agent->blob);
    sp_buf_done(&agent->to_sign);
    sp_buf_done(&agent->signature);
}

/* What libssh reads in this pass, in the order in which it asks. */
static void put_answers(const sg_agent *agent, sp_buf *out)
{
    auto_buf sp_buf names = sp_buf_make(ASKED_MAX_BYTES);
    auto_buf sp_buf answer = sp_buf_make(ASKED_MAX_BYTES);
    sp_buf_u8(&names, IDENTITIES_ANSWER);
    sp_buf_u32(&names, 1);
    sp_buf_bytes(&names, sp_buf_borrow(&agent->blob));
    sp_buf_bytes(&names, SP_SPAN_LIT("vault"));
    if (agent->signature.len == 0) {
        sp_buf_u8(&answer, FAILURE);
    } else {
        sp_buf_u8(&answer, SIGN_RESPONSE);
        sp_buf_bytes(&answer, sp_buf_borrow(&agent->signature));
    }
    sp_buf_bytes(out, sp_buf_borrow(&names));
    sp_buf_bytes(out, sp_buf_borrow(&answer));
}

static sp_err begin(sg_agent *agent, ssh_session ssh)
{
    int pair[2];
    auto_buf sp_buf answers = sp_buf_make(ASKED_MAX_BYTES);
    put_answers(agent, &answers);
    TRY(sp_buf_error(&answers));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        return sp_fail(SP_ELIMIT);
    }
    bool well = write(pair[0], answers.ptr, answers.len) == (ssize_t)answers.len &&
                shutdown(pair[0], SHUT_WR) == 0 && ssh_set_agent_socket(ssh, pair[1]) == SSH_OK;
    if (!well) {
        close(pair[0]);
        close(pair[1]);
        return sp_fail(SP_EIO);
    }
    if (agent->has_lent) {
        close(agent->lent); /* of the pass before: libssh has forgotten it */
    }
    agent->fd = pair[0];
    agent->lent = pair[1];
    agent->is_open = agent->has_lent = true;
    return sp_ok();
}

/* What it was asked to sign. SP_ENOTFOUND: nothing. */
static sp_err read_asked(sg_agent *agent)
{
    uint8_t bytes[ASKED_MAX_BYTES];
    ssize_t got = read(agent->fd, bytes, sizeof(bytes));
    if (got <= 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_reader in = sp_reader_of(sp_span_of(bytes, (size_t)got));
    sp_span names = sp_read_bytes(&in, 1);
    sp_span request = sp_read_bytes(&in, ASKED_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    in = sp_reader_of(request);
    uint8_t kind = sp_read_u8(&in);
    sp_span blob = sp_read_bytes(&in, ASKED_MAX_BYTES);
    sp_span to_sign = sp_read_bytes(&in, ASKED_MAX_BYTES);
    sp_read_u32(&in); /* flags: the algorithm stands in the request too */
    TRY(sp_reader_finish(&in));
    if (names.len != 1 || names.ptr[0] != REQUEST_IDENTITIES || kind != SIGN_REQUEST ||
        !sp_span_eq(blob, sp_buf_borrow(&agent->blob))) {
        return sp_fail(SP_EINVALID);
    }
    agent->to_sign = sp_buf_make(ASKED_MAX_BYTES);
    sp_buf_span(&agent->to_sign, to_sign);
    return sp_buf_error(&agent->to_sign);
}

int sg_agent_prove(sg_agent *agent, ssh_session ssh)
{
    if (!agent->is_open && sp_failed(begin(agent, ssh))) {
        return SSH_AUTH_ERROR;
    }
    int rc = ssh_userauth_agent(ssh, NULL);
    if (rc == SSH_AUTH_AGAIN) {
        return rc;
    }
    bool asks = rc == SSH_AUTH_ERROR && agent->signature.len == 0 && agent->to_sign.len == 0 &&
                !sp_failed(read_asked(agent));
    close(agent->fd);
    agent->is_open = false;
    return asks ? SSH_AUTH_INFO : rc;
}
