/* SPDX-License-Identifier: Apache-2.0
 * The vault's part of a backup put in place, on this machine or another.
 * OWNS nothing. PROCESS `sallyport backup restore`, in the vault's user, the vault standing still.
 * TRUST the export is hostile until it opens. SPEC infra/proc/entry.h, docs/OPERATIONS.md.
 *
 * Where the vault here is the backup's own office, its keys stay: they are as good or newer, and so
 * is what it remembers of the ledger. Otherwise the backup's keys take their place, sealed by the
 * master key of this machine; what was here before is kept beside it.
 */
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "vault/export.h"
#include "vault/master.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, WHY_MAX_BYTES = 1024 };

typedef struct {
    sp_restore *ask;
    char *dir;
    sp_export export;
    sp_keyring *restored; /* the backup's keys; saved only when they take the place of others */
    sp_keyring *here;     /* NULL = no vault here, or another office's */
} work;

__attribute__((format(printf, 2, 3))) static void say(work *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->ask->said, sizeof(w->ask->said), format, args);
    va_end(args);
}

static const sp_vkey *wrapping_key(sp_keyring *ring)
{
    return sp_keyring_find(ring, SP_SPAN_LIT("wrap.core"));
}

static bool same_office(sp_keyring *a, sp_keyring *b)
{
    const sp_vkey *one = wrapping_key(a);
    const sp_vkey *other = wrapping_key(b);
    return one != NULL && other != NULL &&
           sodium_memcmp(one->aead.bytes, other->aead.bytes, SP_KEY_BYTES) == 0;
}

/* ---- what there is ---- */

static sp_err open_backup(work *w, const sp_key *master, sp_buf *plain)
{
    auto_key sp_key seed;
    sp_copy(seed.bytes, w->ask->seed, sizeof(seed.bytes));
    sp_err err = sp_export_open(&seed, w->ask->exported, plain, &w->export);
    if (!sp_failed(err)) {
        err = sp_keyring_of(w->dir, master, w->export.keys, &w->restored);
    }
    if (!sp_failed(err) && wrapping_key(w->restored) == NULL) {
        err = sp_fail(SP_ECORRUPT);
    }
    if (sp_failed(err)) {
        say(w, "the vault's part of the backup does not open (%s)", sp_code_word(err.code));
        return err;
    }
    const char *domain = w->ask->config->domain;
    if (!sp_span_eq(w->export.domain, sp_span_cstr(domain))) {
        say(w, "the backup is of the office of %.*s, the bootstrap file names %s",
            SP_SPAN_ARG(w->export.domain), domain);
        return sp_fail(SP_EINVALID);
    }
    return sp_ok();
}

/* A keyring without its master key is left alone: the key may be a systemd credential. */
static sp_err load_master(work *w, sp_key *ret_master)
{
    if (w->ask->has_master) {
        sp_copy(ret_master->bytes, w->ask->master, SP_KEY_BYTES);
        return sp_ok();
    }
    bool may_make = !sp_keyring_exists(w->dir);
    const char *word = "";
    auto_buf sp_buf why = sp_buf_make(WHY_MAX_BYTES);
    if (w->ask->step == SP_RESTORE_LOOK || (may_make && w->ask->step == SP_RESTORE_CHECK)) {
        *ret_master = sp_key_new(); /* nothing is saved under it */
        return sp_ok();
    }
    sp_err err = sp_master_load(w->dir, may_make, ret_master, &word, &why);
    if (err.code == SP_ENOTFOUND) {
        say(w,
            "%s/keyring has no master key beside it. Is it a systemd credential? See OPERATIONS. "
            "If it is lost, move the keyring elsewhere first",
            w->dir);
    } else if (sp_failed(err)) {
        say(w, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

static void look_here(work *w, const sp_key *master)
{
    sp_keyring *here = NULL;
    if (!sp_keyring_exists(w->dir) || sp_failed(sp_keyring_open(w->dir, master, &here))) {
        return;
    }
    if (same_office(here, w->restored)) {
        w->here = here;
    } else {
        sp_keyring_free(here);
    }
}

/* The newer of the two memories of the ledger. */
static void choose_head(work *w)
{
    sp_checkpoint_head mine;
    if (w->here != NULL && !sp_failed(sp_checkpoint_load(w->here, &mine))) {
        unsigned log = sp_checkpoint_log(w->here);
        unsigned then = sp_checkpoint_log(w->restored);
        if (log > then || (log == then && mine.size >= w->export.head.size)) {
            w->export.head = mine;
        }
    }
    w->ask->entries = w->export.head.size;
    w->ask->root = w->export.head.root;
}

/* ---- putting it in place ---- */

static sp_err keep_beside(const work *w, const char *name)
{
    char from[PATH_MAX_BYTES];
    char to[PATH_MAX_BYTES];
    int a = snprintf(from, sizeof(from), "%s/%s", w->dir, name);
    int b = snprintf(to, sizeof(to), "%s/%s.before-restore", w->dir, name);
    if (a < 0 || b < 0 || (size_t)a >= sizeof(from) || (size_t)b >= sizeof(to)) {
        return sp_fail(SP_ELIMIT);
    }
    return access(from, F_OK) != 0 || rename(from, to) == 0 ? sp_ok() : sp_fail(SP_EIO);
}

static sp_err put_in_place(work *w)
{
    sp_keyring *ring = w->here != NULL ? w->here : w->restored;
    if (w->here == NULL) {
        TRY(keep_beside(w, "keyring"));
        TRY(keep_beside(w, "checkpoint"));
    }
    if (w->ask->new_ledger) {
        TRY(sp_checkpoint_next_log(ring, sp_now_unix_us() / 1000000));
        w->export.head = sp_checkpoint_empty();
    }
    TRY(sp_checkpoint_store(ring, &w->export.head));
    return sp_keyring_save(ring);
}

static sp_err restore(work *w)
{
    auto_key sp_key master;
    auto_buf sp_buf plain = sp_buf_make(SP_EXPORT_PLAIN_MAX_BYTES);
    TRY(load_master(w, &master));
    sp_err err = open_backup(w, &master, &plain);
    if (!sp_failed(err)) {
        look_here(w, &master);
        choose_head(w);
        size_t keys = sp_keyring_count(w->restored);
        if (w->here != NULL) {
            say(w, "the vault here is this office's own: its keys stay");
        } else {
            say(w, "%zu keys of the vault", keys);
        }
    }
    if (!sp_failed(err) && w->ask->step == SP_RESTORE_DO) {
        err = put_in_place(w);
        if (sp_failed(err)) {
            say(w, "the keys cannot be written in %s (%s)", w->dir, sp_code_word(err.code));
        }
    }
    sp_buf_wipe(&plain);
    return err;
}

sp_err sp_vault_restore_master(sp_restore *ask)
{
    auto_key sp_key master;
    auto_buf sp_buf why = sp_buf_make(WHY_MAX_BYTES);
    sp_err err = sp_master_credential(&master, &why);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    if (sp_failed(err)) {
        snprintf(ask->said, sizeof(ask->said), "the credential sallyport-master: %.*s",
                 SP_SPAN_ARG(sp_buf_borrow(&why)));
        return err;
    }
    sp_copy(ask->master, master.bytes, SP_KEY_BYTES);
    ask->has_master = true;
    return sp_ok();
}

sp_err sp_vault_restore(sp_restore *ask)
{
    work w = {.ask = ask};
    TRY(sp_config_state(ask->config, SP_ROLE_VAULT, "", &w.dir));
    size_t len = strlen(w.dir);
    if (len > 1 && w.dir[len - 1] == '/') {
        w.dir[len - 1] = '\0';
    }
    sp_err err = restore(&w);
    sp_keyring_free(w.restored);
    sp_keyring_free(w.here);
    sp_free(w.dir);
    return err;
}
