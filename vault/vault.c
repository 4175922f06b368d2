/* SPDX-License-Identifier: Apache-2.0
 * The vault role: opens the keyring, makes what is missing, locks itself in, serves.
 * OWNS all parts of the vault. PROCESS vault. TRUST see vault/README.md.
 * SPEC infra/proc/entry.h, docs/ARCHITECTURE.md "Vault".
 */
#include "vault/vault.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"
#include "vault/device_ca.h"
#include "vault/master.h"
#include "vault/ssh.h"
#include "vault/token.h"
#include "vault/wrap.h"

#include <stdlib.h>
#include <string.h>

enum {
    PEERS_MAX = 256,
    REFRESH_MS = 60 * 1000,
    WATCHDOG_MS = 5 * 1000,
    HTTPS_PORT = 443,
    ISSUER_MAX_BYTES = 512,
    WHY_MAX_BYTES = 1024,
    PATH_MAX_BYTES = 4096
};

typedef struct {
    sp_vault vault;
    uv_loop_t loop;
    sp_server *server;
    uv_timer_t refresh;
    uv_timer_t watchdog;
    uv_signal_t term;
    uv_signal_t interrupt;
    uv_signal_t hangup;
} role;

/* ---- keys ---- */

sp_err sp_vault_keep(sp_vault *vault, bool made, size_t first_key)
{
    if (!made) {
        return sp_ok();
    }
    TRY(sp_keyring_save(vault->ring));
    for (size_t i = first_key; i < sp_keyring_count(vault->ring); i++) {
        const sp_vkey *key = sp_keyring_at(vault->ring, i);
        sp_event event = {.kind = SP_EVENT_ADMIN,
                          .verdict = SP_VERDICT_ALLOW,
                          .method = SP_SPAN_LIT("key-created"),
                          .object = sp_span_cstr(key->name)};
        sp_recorder_tell(vault->recorder, &event);
        sp_log(SP_LOG_INFO, "made the key %s: %s", key->name, key->purpose);
    }
    return sp_ok();
}

static sp_err open_ring(sp_vault *vault, sp_buf *why)
{
    auto_free char *dir = NULL;
    auto_key sp_key master = {0};
    const char *word = "";
    TRY(sp_config_state(vault->config, SP_ROLE_VAULT, "", &dir));
    size_t len = strlen(dir);
    if (len > 1 && dir[len - 1] == '/') {
        dir[len - 1] = '\0';
    }
    TRY(sp_master_load(dir, !sp_keyring_exists(dir), &master, &word, why));
    sp_err err = sp_keyring_open(dir, &master, &vault->ring);
    if (sp_failed(err)) {
        sp_buf_fmt(why,
                   "%s/keyring does not open with the master key of the %s (%s): one of the two is "
                   "not this office's, or was changed; restore both from the same backup",
                   dir, word, sp_code_word(err.code));
        return err;
    }
    sp_log(SP_LOG_INFO, "master key from the %s, %zu keys", word, sp_keyring_count(vault->ring));
    return sp_ok();
}

static sp_err prepare_keys(sp_vault *vault, sp_buf *why)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    const sp_config *config = vault->config;
    bool made = sp_keyring_expire(vault->ring, now_unix_s);
    size_t first_key = sp_keyring_count(vault->ring);
    TRY(sp_device_ca_prepare(vault->ring, config->office, now_unix_s, &made));
    TRY(sp_wrap_prepare(vault->ring, now_unix_s, &made));
    TRY(sp_token_prepare(vault->ring, now_unix_s, &made));
    TRY(sp_checkpoints_new(vault->loop, vault->ring, sp_span_cstr(config->domain), now_unix_s,
                           &made, &vault->checkpoints));
    TRY(sp_tls_new(config, vault->ring, now_unix_s, &made, why, &vault->tls));
    TRY(sp_db_vault_new(vault->ring, "db:", "password of a database account", &vault->databases));
    TRY(sp_db_vault_new(vault->ring, "channel:", "secret of a channel", &vault->channels));
    TRY(sp_db_vault_new(vault->ring, "ssh:", "password of an SSH account", &vault->hosts));
    if (sp_config_has_role(config, SP_ROLE_SSH)) {
        TRY(sp_ssh_vault_prepare(vault->ring, now_unix_s, &made));
    }
    TRY(sp_vault_keep(vault, made, first_key));
    TRY(sp_checkpoints_start(vault->checkpoints));
    if (!sp_checkpoints_usable(vault->checkpoints)) {
        sp_log(SP_LOG_ERROR,
               "the file 'checkpoint' in the vault's directory is missing or changed: "
               "no checkpoint will be signed until it is restored from a backup");
    }
    return sp_ok();
}

static sp_err set_issuer(sp_vault *vault)
{
    const sp_config *config = vault->config;
    vault->issuer = sp_buf_make(ISSUER_MAX_BYTES);
    sp_buf_fmt(&vault->issuer, "https://%s.%s", config->portal, config->domain);
    if (config->public_port != HTTPS_PORT) {
        sp_buf_fmt(&vault->issuer, ":%u", config->public_port);
    }
    return sp_buf_error(&vault->issuer);
}

/* ---- the loop ---- */

static void refresh(role *it)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_vault *vault = &it->vault;
    auto_buf sp_buf why = sp_buf_make(WHY_MAX_BYTES);
    bool made = sp_keyring_expire(vault->ring, now_unix_s);
    size_t first_key = sp_keyring_count(vault->ring);
    sp_err err = sp_tls_refresh(vault->tls, now_unix_s, &made, &why);
    if (!sp_failed(err) && sp_token_due(vault->ring, now_unix_s)) {
        err = sp_token_rotate(vault->ring, now_unix_s);
        made = true;
    }
    if (!sp_failed(err)) {
        err = sp_vault_keep(vault, made, first_key);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "renewal failed (%s), what was served before is served on: %.*s",
               sp_code_word(err.code), SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
}

static void on_refresh(uv_timer_t *timer)
{
    refresh(timer->data);
}

static void on_hangup(uv_signal_t *signal, int number)
{
    (void)number;
    refresh(signal->data);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    sp_entry_notify("WATCHDOG=1");
}

static void close_handle(uv_handle_t *handle, void *self)
{
    (void)self;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void on_stop(uv_signal_t *signal, int number)
{
    role *it = signal->data;
    (void)number;
    sp_entry_notify("STOPPING=1");
    sp_server_free(SP_STEAL(it->server));
    sp_recorder_free(SP_STEAL(it->vault.recorder));
    uv_close((uv_handle_t *)&it->refresh, NULL);
    uv_close((uv_handle_t *)&it->watchdog, NULL);
    uv_close((uv_handle_t *)&it->term, NULL);
    uv_close((uv_handle_t *)&it->interrupt, NULL);
    uv_close((uv_handle_t *)&it->hangup, NULL);
}

static sp_err watch(role *it)
{
    bool good = uv_timer_init(&it->loop, &it->refresh) == 0 &&
                uv_timer_init(&it->loop, &it->watchdog) == 0 &&
                uv_signal_init(&it->loop, &it->term) == 0 &&
                uv_signal_init(&it->loop, &it->interrupt) == 0 &&
                uv_signal_init(&it->loop, &it->hangup) == 0;
    if (!good) {
        return sp_fail(SP_EIO);
    }
    it->refresh.data = it;
    it->term.data = it;
    it->interrupt.data = it;
    it->hangup.data = it;
    good = uv_timer_start(&it->refresh, on_refresh, REFRESH_MS, REFRESH_MS) == 0 &&
           uv_timer_start(&it->watchdog, on_watchdog, 0, WATCHDOG_MS) == 0 &&
           uv_signal_start(&it->term, on_stop, SIGTERM) == 0 &&
           uv_signal_start(&it->interrupt, on_stop, SIGINT) == 0 &&
           uv_signal_start(&it->hangup, on_hangup, SIGHUP) == 0;
    return good ? sp_ok() : sp_fail(SP_EIO);
}

/* ---- start ---- */

/* The directory of a file: certificates are renewed by renaming, so the file's own inode goes. */
static sp_err folder_of(const char *path, char ret_dir[PATH_MAX_BYTES])
{
    TRY(sp_fit(ret_dir, PATH_MAX_BYTES, sp_span_cstr(path)));
    char *slash = strrchr(ret_dir, '/');
    if (slash == NULL || slash == ret_dir) {
        return sp_fail(SP_EINVALID); /* the whole root is too much to open for one file */
    }
    *slash = '\0';
    return sp_ok();
}

static sp_err lock_in(const sp_vault *vault, sp_buf *why)
{
    char certificates[PATH_MAX_BYTES];
    char keys[PATH_MAX_BYTES];
    sp_sandbox cage = {.role = "vault",
                       .may = SP_MAY_FILES | SP_MAY_THREADS,
                       .write = {sp_keyring_dir(vault->ring)}};
    if (vault->config->tls_certificate != NULL) {
        sp_err err = folder_of(vault->config->tls_certificate, certificates);
        if (!sp_failed(err)) {
            err = folder_of(vault->config->tls_key, keys);
        }
        if (sp_failed(err)) {
            sp_buf_text(why,
                        "tls: certificate and key must be absolute paths in a directory below /");
            return err;
        }
        cage.read[0] = certificates;
        cage.read[1] = keys;
    }
    return sp_sandbox_enter(&cage, why);
}

static sp_err serve(role *it, sp_buf *why)
{
    sp_server_calls calls = {.on_message = sp_vault_on_message, .self = &it->vault};
    int fd = sp_entry_listen_fd("vault");
    if (fd < 0) {
        sp_buf_text(why, "no socket named 'vault' was handed over (LISTEN_FDNAMES): start it by "
                         "'sallyport run' or by its systemd unit");
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(sp_server_new(&it->loop, fd, PEERS_MAX, &calls, &it->server));
    return watch(it);
}

static sp_err start(role *it, sp_buf *why)
{
    auto_free char *ledger = NULL;
    TRY(sp_crypto_start());
    TRY(set_issuer(&it->vault));
    TRY(sp_config_socket(it->vault.config, "ledger", &ledger));
    TRY(open_ring(&it->vault, why));
    TRY(sp_recorder_new(&it->loop, ledger, &it->vault.recorder));
    TRY(prepare_keys(&it->vault, why));
    TRY(lock_in(&it->vault, why));
    return serve(it, why);
}

int sp_vault_role(const sp_config *config)
{
    role *it = NULL;
    auto_buf sp_buf why = sp_buf_make(WHY_MAX_BYTES);
    sp_log_start("vault", SP_LOG_INFO);
    if (sp_failed(sp_alloc(1, sizeof(*it), &it)) || uv_loop_init(&it->loop) != 0) {
        sp_log(SP_LOG_ERROR, "out of memory");
        sp_free(it);
        return EXIT_FAILURE;
    }
    it->vault.config = config;
    it->vault.loop = &it->loop;
    sp_err err = start(it, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "cannot start (%s): %.*s", sp_code_word(err.code),
               SP_SPAN_ARG(sp_buf_borrow(&why)));
        sp_server_free(SP_STEAL(it->server));
        sp_recorder_free(SP_STEAL(it->vault.recorder));
        uv_walk(&it->loop, close_handle, NULL);
    } else {
        sp_entry_notify("READY=1");
    }
    uv_run(&it->loop, UV_RUN_DEFAULT);
    uv_loop_close(&it->loop);
    sp_checkpoints_free(it->vault.checkpoints);
    sp_tls_free(it->vault.tls);
    sp_db_vault_free(it->vault.databases);
    sp_db_vault_free(it->vault.channels);
    sp_db_vault_free(it->vault.hosts);
    sp_keyring_free(it->vault.ring);
    sp_buf_done(&it->vault.issuer);
    sp_free(it);
    return sp_failed(err) ? EXIT_FAILURE : EXIT_SUCCESS;
}
