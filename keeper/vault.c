/* SPDX-License-Identifier: Apache-2.0
 * What the keeper asks the vault, from a job's thread: a line of its own, one question, an answer.
 * OWNS nothing. PROCESS keeper. TRUST replies are bounded; secrets are wiped.
 * SPEC lib/proto/vault_msg.h.
 */
#include "infra/ipc/conn.h"
#include "keeper/keeper.h"
#include "lib/proto/vault_msg.h"

enum { TIMEOUT_MS = 10000 };

static sp_err call(const keep_job *job, uint16_t kind, sp_span body, sp_buf *reply)
{
    auto_free char *path = NULL;
    auto_close int fd = -1;
    auto_fds sp_fds fds = {.count = 0};
    TRY(sp_config_socket(job->config, "vault", &path));
    TRY(sp_ipc_connect(path, &fd));
    return sp_ipc_call(fd, kind, body, TIMEOUT_MS, reply, &fds);
}

sp_err keep_vault_password(const keep_job *job, sp_buf *ret_password)
{
    return call(job, SP_VAULT_DB_PASSWORD, job->job.credential, ret_password);
}

/* Bound to the keep's number: a key of one keep opens no other. */
static sp_err wrapping(const keep_job *job, uint16_t kind, sp_span bytes, sp_buf *reply)
{
    auto_buf sp_buf bound = sp_buf_make(64);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_buf_fmt(&bound, "keep %016llx", (unsigned long long)job->job.keep);
    const sp_vault_wrap ask = {.bound = sp_buf_borrow(&bound), .bytes = bytes};
    sp_vault_wrap_encode(&ask, &body);
    sp_err err = sp_buf_error(&body);
    if (!sp_failed(err)) {
        err = call(job, kind, sp_buf_borrow(&body), reply);
    }
    sp_buf_wipe(&body);
    return err;
}

sp_err keep_vault_wrap(const keep_job *job, sp_span key, sp_buf *ret_wrapped)
{
    return wrapping(job, SP_VAULT_WRAP, key, ret_wrapped);
}

sp_err keep_vault_unwrap(const keep_job *job, sp_span wrapped, sp_key *ret_key)
{
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_err err = wrapping(job, SP_VAULT_UNWRAP, wrapped, &reply);
    if (!sp_failed(err) && reply.len != SP_KEY_BYTES) {
        err = sp_fail(SP_ECORRUPT);
    }
    if (!sp_failed(err)) {
        sp_copy(ret_key->bytes, reply.ptr, SP_KEY_BYTES);
    }
    sp_buf_wipe(&reply);
    return err;
}
