/* SPDX-License-Identifier: Apache-2.0
 * What the watch remembers over a restart: the next entry, and the engine's state. One file,
 * replaced whole: version u8, the key as the vault wrapped it, the rest sealed under that key.
 * OWNS the file. PROCESS watch. TRUST the file may have been changed by who has the disk: one that
 * does not open is as good as none. SPEC watch/README.md.
 */
#include "watch/watch.h"

#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "lib/proto/vault_msg.h"

#include <unistd.h>

enum {
    VERSION = 1,
    WRAPPED_MAX_BYTES = 4096,
    START_WAIT_MS = 40000,
    CALL_MS = 5000,
    RETRY_US = 100 * 1000,
    LEAST_US = 2 * 1000 * 1000,
    IDLE_SHARE = 20 /* saving takes at most one part in so many of the time */
};
#define HOUR_US (UINT64_C(3600) * 1000000)
#define BOUND SP_SPAN_LIT("watch state")

/* The vault may start beside us. */
static sp_err ask_vault(const sp_config *config, uint16_t kind, sp_span bytes, sp_buf *reply)
{
    auto_free char *path = NULL;
    auto_buf sp_buf body = sp_buf_make(2 * WRAPPED_MAX_BYTES);
    const sp_vault_wrap ask = {BOUND, bytes};
    uint64_t until_us = sp_now_steady_us() + (uint64_t)START_WAIT_MS * 1000;
    TRY(sp_config_socket(config, "vault", &path));
    sp_vault_wrap_encode(&ask, &body);
    for (;;) {
        auto_close int fd = -1;
        sp_err err = sp_ipc_connect(path, &fd);
        if (!sp_failed(err)) {
            err = sp_ipc_call(fd, kind, sp_buf_borrow(&body), CALL_MS, reply, NULL);
        }
        bool absent = err.code == SP_ENOTFOUND || err.code == SP_EAGAIN || err.code == SP_ECLOSED;
        if (!absent || sp_now_steady_us() > until_us) {
            sp_buf_wipe(&body);
            return err;
        }
        usleep(RETRY_US);
    }
}

static sp_err new_key(watch *w)
{
    w->key = sp_key_new();
    sp_buf_wipe(&w->wrapped);
    return ask_vault(w->config, SP_VAULT_WRAP, sp_span_of(w->key.bytes, sizeof(w->key.bytes)),
                     &w->wrapped);
}

static sp_err old_key(watch *w, sp_span wrapped)
{
    auto_buf sp_buf plain = sp_buf_make(WRAPPED_MAX_BYTES);
    sp_buf_span(&w->wrapped, wrapped);
    TRY(sp_buf_error(&w->wrapped));
    sp_err err = ask_vault(w->config, SP_VAULT_UNWRAP, wrapped, &plain);
    if (!sp_failed(err) && plain.len != sizeof(w->key.bytes)) {
        err = sp_fail(SP_ECORRUPT);
    }
    if (!sp_failed(err)) {
        sp_copy(w->key.bytes, plain.ptr, sizeof(w->key.bytes));
    }
    sp_buf_wipe(&plain);
    return err;
}

static sp_err open_state(watch *w, sp_span file)
{
    sp_reader in = sp_reader_of(file);
    auto_buf sp_buf plain = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    if (sp_read_u8(&in) != VERSION) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    sp_span wrapped = sp_read_bytes(&in, WRAPPED_MAX_BYTES);
    sp_span sealed = in.rest;
    TRY(in.err);
    TRY(old_key(w, wrapped));
    TRY(sp_unseal(&w->key, sealed, BOUND, &plain));
    in = sp_reader_of(sp_buf_borrow(&plain));
    uint64_t next = sp_read_u64(&in);
    uint64_t tell_from_us = sp_read_u64(&in);
    TRY(in.err);
    sp_buf_span(&w->kept, in.rest);
    TRY(sp_buf_error(&w->kept));
    w->next = next;
    w->tell_from_us = tell_from_us;
    return sp_ok();
}

sp_err watch_kept_start(watch *w)
{
    auto_buf sp_buf file = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    w->wrapped = sp_buf_make(WRAPPED_MAX_BYTES);
    w->kept = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    uint64_t now_us = sp_now_unix_us();
    w->tell_from_us = now_us > HOUR_US ? now_us - HOUR_US : 0;
    sp_err err = sp_file_read(w->state_path, &file);
    if (!sp_failed(err)) {
        err = open_state(w, sp_buf_borrow(&file));
        if (!sp_failed(err)) {
            return err;
        }
        if (err.code == SP_ENOTFOUND || err.code == SP_ECLOSED || err.code == SP_EAGAIN ||
            err.code == SP_ETIMEOUT) {
            return err; /* no vault: not the file's fault */
        }
        sp_log(SP_LOG_ERROR,
               "%s does not open (%s): the watch learns anew from the ledger, and tells nothing "
               "that is older than an hour",
               w->state_path, sp_code_word(err.code));
    } else if (err.code != SP_ENOTFOUND) {
        return err;
    }
    return new_key(w);
}

static sp_err save(const watch *w)
{
    auto_buf sp_buf plain = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    auto_buf sp_buf file = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    sp_buf_u64(&plain, w->next);
    sp_buf_u64(&plain, w->tell_from_us);
    sp_detect_engine_save(w->engine, &plain);
    TRY(sp_buf_error(&plain));
    sp_buf_u8(&file, VERSION);
    sp_buf_bytes(&file, sp_buf_borrow(&w->wrapped));
    TRY(sp_seal(&w->key, sp_buf_borrow(&plain), BOUND, &file));
    TRY(sp_buf_error(&file));
    return sp_file_replace(w->state_path, 0600, sp_buf_borrow(&file));
}

void watch_kept_save(watch *w, bool now)
{
    uint64_t began_us = sp_now_steady_us();
    if (!w->dirty || w->engine == NULL || w->pending_count > 0 ||
        (!now && began_us < w->save_after_us)) {
        return;
    }
    sp_err err = save(w);
    uint64_t ended_us = sp_now_steady_us();
    uint64_t rest_us = (ended_us - began_us) * IDLE_SHARE;
    w->save_after_us = ended_us + (rest_us > LEAST_US ? rest_us : LEAST_US);
    w->dirty = sp_failed(err);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "%s cannot be written: %s", w->state_path, sp_code_word(err.code));
    }
}
