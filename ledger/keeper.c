/* SPDX-License-Identifier: Apache-2.0
 * The ledger's dealings with the vault.
 * OWNS its line and the last note. PROCESS ledger. TRUST the vault. SPEC ledger/keeper.h.
 */
#include "ledger/keeper.h"

#include "infra/crypto/random.h"
#include "infra/ipc/conn.h"
#include "infra/ipc/line.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "lib/proto/vault_msg.h"

#include <unistd.h>

enum { START_WAIT_MS = 15000, RETRY_US = 200000, CALL_MS = 5000, WRAPPED_MAX_BYTES = 1024 };
#define BOUND SP_SPAN_LIT("ledger key-encryption key")

struct sp_keeper {
    sp_line *line;
    sp_journal *store;
    sp_buf note;
    sp_buf verifier_key;
    sp_buf origin;
    uint64_t size;
    uint64_t signed_unix_us;
    sp_merkle asked; /* what is being signed */
    bool busy;
    const char *trouble;
    sp_keeper_signed done;
    void *done_self;
};

/* One call at the start, again and again while the vault is not there yet. */
static sp_err ask(const sp_config *config, uint16_t kind, sp_span body, sp_buf *reply)
{
    auto_free char *path = NULL;
    TRY(sp_config_socket(config, "vault", &path));
    uint64_t deadline_us = sp_now_steady_us() + (uint64_t)START_WAIT_MS * 1000;
    for (;;) {
        auto_close int fd = -1;
        sp_err err = sp_ipc_connect(path, &fd);
        if (!sp_failed(err)) {
            err = sp_ipc_call(fd, kind, body, CALL_MS, reply, NULL);
        }
        bool absent = err.code == SP_ENOTFOUND || err.code == SP_EAGAIN || err.code == SP_ECLOSED;
        if (!absent || sp_now_steady_us() > deadline_us) {
            return err;
        }
        usleep(RETRY_US);
    }
}

static sp_err make_kek(const sp_config *config, const char *path, sp_key *ret_kek)
{
    auto_key sp_key kek = sp_key_new();
    auto_buf sp_buf body = sp_buf_make(WRAPPED_MAX_BYTES);
    auto_buf sp_buf wrapped = sp_buf_make(WRAPPED_MAX_BYTES);
    const sp_vault_wrap wrap = {BOUND, {kek.bytes, sizeof(kek.bytes)}};
    sp_vault_wrap_encode(&wrap, &body);
    sp_err err = ask(config, SP_VAULT_WRAP, sp_buf_borrow(&body), &wrapped);
    sp_buf_wipe(&body);
    TRY(err);
    TRY(sp_file_replace(path, 0600, sp_buf_borrow(&wrapped)));
    *ret_kek = kek;
    return sp_ok();
}

static sp_err unwrap_kek(const sp_config *config, sp_span wrapped, sp_key *ret_kek)
{
    auto_buf sp_buf body = sp_buf_make(2 * WRAPPED_MAX_BYTES);
    auto_buf sp_buf plain = sp_buf_make(WRAPPED_MAX_BYTES);
    const sp_vault_wrap wrap = {BOUND, wrapped};
    sp_vault_wrap_encode(&wrap, &body);
    sp_err err = ask(config, SP_VAULT_UNWRAP, sp_buf_borrow(&body), &plain);
    if (!sp_failed(err) && plain.len != SP_KEY_BYTES) {
        err = sp_fail(SP_ECORRUPT);
    }
    if (!sp_failed(err)) {
        sp_copy(ret_kek->bytes, plain.ptr, SP_KEY_BYTES);
    }
    sp_buf_wipe(&plain);
    return err;
}

sp_err sp_keeper_kek(const sp_config *config, const char *path, bool may_make, sp_key *ret_kek,
                     sp_buf *why)
{
    auto_buf sp_buf wrapped = sp_buf_make(WRAPPED_MAX_BYTES);
    sp_err err = sp_file_read(path, &wrapped);
    if (err.code == SP_ENOTFOUND && may_make) {
        err = make_kek(config, path, ret_kek);
    } else if (!sp_failed(err)) {
        err = unwrap_kek(config, sp_buf_borrow(&wrapped), ret_kek);
    }
    if (sp_failed(err)) {
        sp_buf_fmt(why, "the vault does not open the ledger's key (%s): %s", path,
                   sp_code_word(err.code));
    }
    return err;
}

static sp_err take_last(sp_keeper *keeper, const sp_config *config, sp_buf *why)
{
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_vault_checkpoint_last last;
    sp_err err = ask(config, SP_VAULT_CHECKPOINT_LAST, SP_SPAN_EMPTY, &reply);
    if (!sp_failed(err)) {
        err = sp_vault_checkpoint_last_decode(sp_buf_borrow(&reply), &last);
    }
    if (sp_failed(err)) {
        sp_buf_fmt(why, "the vault does not tell its last checkpoint: %s", sp_code_word(err.code));
        return err;
    }
    err = last.size == 0 ? sp_ok() : sp_journal_holds(keeper->store, last.size, &last.root);
    if (sp_failed(err)) {
        sp_buf_fmt(
            why,
            "the vault has signed a checkpoint of %llu entries that these files (%llu entries) "
            "do not hold: they were rolled back or replaced. Put the newest copy of the ledger "
            "here.",
            (unsigned long long)last.size, (unsigned long long)sp_journal_size(keeper->store));
        return err;
    }
    keeper->size = last.size;
    sp_buf_span(&keeper->note, last.note);
    sp_buf_span(&keeper->verifier_key, last.verifier_key);
    sp_buf_span(&keeper->origin, last.origin);
    TRY(sp_buf_error(&keeper->verifier_key));
    TRY(sp_journal_key_write(keeper->store, last.verifier_key));
    return last.note.len == 0 ? sp_ok() : sp_journal_checkpoint_write(keeper->store, last.note);
}

sp_err sp_keeper_new(uv_loop_t *loop, const sp_config *config, sp_journal *store, sp_buf *why,
                     sp_keeper **ret_keeper)
{
    sp_keeper *keeper = NULL;
    auto_free char *path = NULL;
    TRY(sp_config_socket(config, "vault", &path));
    TRY(sp_alloc(1, sizeof(*keeper), &keeper));
    keeper->store = store;
    keeper->note = sp_buf_make(SP_NOTE_MAX_BYTES);
    keeper->verifier_key = sp_buf_make(SP_NOTE_MAX_BYTES);
    keeper->origin = sp_buf_make(SP_NOTE_MAX_BYTES);
    keeper->trouble = "";
    sp_err err = take_last(keeper, config, why);
    if (!sp_failed(err)) {
        const sp_line_calls calls = {NULL, NULL, NULL};
        err = sp_line_new(loop, path, &calls, &keeper->line);
    }
    if (sp_failed(err)) {
        sp_keeper_free(keeper);
        return err;
    }
    *ret_keeper = keeper;
    return sp_ok();
}

void sp_keeper_free(sp_keeper *keeper)
{
    if (keeper != NULL) {
        sp_line_free(keeper->line);
        sp_buf_done(&keeper->note);
        sp_buf_done(&keeper->verifier_key);
        sp_buf_done(&keeper->origin);
        sp_free(keeper);
    }
}

static void finish(sp_keeper *keeper, const char *trouble)
{
    if (trouble[0] != '\0' && keeper->trouble[0] == '\0') {
        sp_log(SP_LOG_WARN, "%s", trouble);
    }
    keeper->trouble = trouble;
    keeper->busy = false;
    keeper->done(keeper->done_self);
}

/* The vault's note must be about the tree that was asked for. */
static bool is_about(sp_span bytes, const sp_merkle *tree)
{
    sp_note note;
    sp_checkpoint checkpoint;
    sp_hash root = sp_merkle_root(tree);
    return !sp_failed(sp_note_parse(bytes, &note)) &&
           !sp_failed(sp_checkpoint_parse(note.text, &checkpoint)) &&
           checkpoint.size == tree->size && sp_hash_eq(&checkpoint.root, &root);
}

static void on_signed(void *self, sp_err err, sp_span body)
{
    sp_keeper *keeper = self;
    if (err.code == SP_ECONFLICT) {
        finish(keeper,
               "the vault refuses to sign: this tree does not grow out of its last checkpoint");
        return;
    }
    if (sp_failed(err) || !is_about(body, &keeper->asked)) {
        finish(keeper, "the vault does not sign checkpoints");
        return;
    }
    sp_buf_reset(&keeper->note);
    sp_buf_span(&keeper->note, body);
    keeper->size = keeper->asked.size;
    keeper->signed_unix_us = sp_now_unix_us();
    err = sp_journal_checkpoint_write(keeper->store, body);
    finish(keeper, sp_failed(err) ? "the checkpoint file cannot be written" : "");
}

void sp_keeper_sign(sp_keeper *keeper, sp_keeper_signed done, void *self)
{
    sp_merkle_path path;
    sp_merkle_source source = sp_journal_hashes(keeper->store);
    keeper->busy = true;
    keeper->done = done;
    keeper->done_self = self;
    keeper->asked = *sp_journal_tree(keeper->store);
    sp_vault_checkpoint ask_for = {.old_size = keeper->size,
                                   .new_size = keeper->asked.size,
                                   .new_root = sp_merkle_root(&keeper->asked)};
    if (keeper->asked.size == keeper->size) {
        finish(keeper, keeper->trouble);
        return;
    }
    if (sp_failed(sp_merkle_consistency(&source, keeper->size, keeper->asked.size, &path))) {
        finish(keeper, "the hash files cannot be read");
        return;
    }
    ask_for.proof_count = path.count;
    sp_copy(ask_for.proof, path.hashes, path.count * sizeof(*path.hashes));
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_vault_checkpoint_encode(&ask_for, &body);
    sp_line_call(keeper->line, SP_VAULT_CHECKPOINT_SIGN, sp_buf_borrow(&body), on_signed, keeper);
}

uint64_t sp_keeper_size(const sp_keeper *keeper)
{
    return keeper->size;
}

sp_span sp_keeper_note(const sp_keeper *keeper)
{
    return sp_buf_borrow(&keeper->note);
}

uint64_t sp_keeper_signed_unix_us(const sp_keeper *keeper)
{
    return keeper->signed_unix_us;
}

sp_span sp_keeper_verifier_key(const sp_keeper *keeper)
{
    return sp_buf_borrow(&keeper->verifier_key);
}

const char *sp_keeper_trouble(const sp_keeper *keeper)
{
    return keeper->trouble;
}
