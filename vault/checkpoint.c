/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints.
 * OWNS the last checkpoint. PROCESS vault. TRUST requests come from the ledger.
 * SPEC vault/checkpoint.h.
 */
#include "vault/checkpoint.h"

#include "infra/proc/file.h"
#include "lib/merkle/note.h"
#include "lib/merkle/tree.h"

enum { PATH_MAX_BYTES = 4096, STATE_MAX_BYTES = 4096, VERIFIER_MAX_BYTES = 512 };

static const char SEAL_LABEL[] = "sallyport vault checkpoint state v1";
static const char PURPOSE[] = "signs the ledger's checkpoints";
static const sp_span BOUND = {(const uint8_t *)"sallyport vault checkpoint v1", 29};

struct sp_checkpoints {
    uv_loop_t *loop;
    const sp_keyring *ring;
    sp_sign_key secret;
    sp_verify_key public_half;
    sp_buf origin;
    sp_buf verifier;
    sp_checkpoint_head last;
    bool usable;
    bool fresh;
    /* the one being written */
    uv_work_t work;
    bool busy;
    sp_checkpoint_head next;
    sp_err written;
    sp_checkpoint_signed done;
    void *done_self;
};

/* ---- the file ---- */

void sp_checkpoint_head_encode(const sp_checkpoint_head *head, sp_buf *out)
{
    sp_buf_u64(out, head->size);
    sp_buf_span(out, sp_hash_borrow(&head->root));
    sp_buf_bytes(out, sp_span_of(head->note, head->note_len));
}

sp_checkpoint_head sp_checkpoint_head_read(sp_reader *in)
{
    sp_checkpoint_head head = {.size = sp_read_u64(in)};
    sp_span root = sp_read_span(in, SP_SHA256_BYTES);
    sp_span note = sp_read_bytes(in, sizeof(head.note));
    sp_copy(head.root.bytes, root.ptr, root.len);
    sp_copy(head.note, note.ptr, note.len);
    head.note_len = note.len;
    return head;
}

sp_checkpoint_head sp_checkpoint_empty(void)
{
    return (sp_checkpoint_head){.root = sp_merkle_empty()};
}

static sp_err path_of(const sp_keyring *ring, sp_buf *path)
{
    sp_buf_fmt(path, "%s/checkpoint", sp_keyring_dir(ring));
    sp_buf_byte(path, 0);
    return sp_buf_error(path);
}

sp_err sp_checkpoint_store(const sp_keyring *ring, const sp_checkpoint_head *head)
{
    auto_key sp_key seal = sp_keyring_file_key(ring, SEAL_LABEL);
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_buf sp_buf plain = sp_buf_make(STATE_MAX_BYTES);
    auto_buf sp_buf file = sp_buf_make(STATE_MAX_BYTES);
    TRY(path_of(ring, &path));
    sp_checkpoint_head_encode(head, &plain);
    TRY(sp_buf_error(&plain));
    TRY(sp_seal(&seal, sp_buf_borrow(&plain), BOUND, &file));
    return sp_file_replace((const char *)path.ptr, 0600, sp_buf_borrow(&file));
}

sp_err sp_checkpoint_load(const sp_keyring *ring, sp_checkpoint_head *ret_head)
{
    auto_key sp_key seal = sp_keyring_file_key(ring, SEAL_LABEL);
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_buf sp_buf plain = sp_buf_make(STATE_MAX_BYTES);
    auto_buf sp_buf file = sp_buf_make(STATE_MAX_BYTES);
    TRY(path_of(ring, &path));
    TRY(sp_file_read((const char *)path.ptr, &file));
    TRY(sp_unseal(&seal, sp_buf_borrow(&file), BOUND, &plain));
    sp_reader in = sp_reader_of(sp_buf_borrow(&plain));
    sp_checkpoint_head head = sp_checkpoint_head_read(&in);
    TRY(sp_reader_finish(&in));
    *ret_head = head;
    return sp_ok();
}

/* ---- set-up ---- */

/* "checkpoint" of the first log, "checkpoint.2" of the second. */
static sp_err name_of(unsigned log, sp_buf *name)
{
    sp_buf_reset(name);
    sp_buf_text(name, "checkpoint");
    if (log > 1) {
        sp_buf_fmt(name, ".%u", log);
    }
    return sp_buf_error(name);
}

/* The key of the newest log and its number; NULL and 0 when there is none. */
static sp_vkey *newest(sp_keyring *ring, unsigned *ret_log)
{
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_NAME_MAX_BYTES);
    sp_vkey *last = NULL;
    for (unsigned log = 1;; log++) {
        sp_vkey *key =
            sp_failed(name_of(log, &name)) ? NULL : sp_keyring_find(ring, sp_buf_borrow(&name));
        if (key == NULL) {
            *ret_log = log - 1;
            return last;
        }
        last = key;
    }
}

unsigned sp_checkpoint_log(sp_keyring *ring)
{
    unsigned log = 0;
    newest(ring, &log);
    return log;
}

sp_err sp_checkpoint_next_log(sp_keyring *ring, uint64_t now_unix_s)
{
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_NAME_MAX_BYTES);
    unsigned log = 0;
    sp_vkey *key = newest(ring, &log);
    TRY(name_of(log + 1, &name));
    return sp_keyring_make(ring, sp_buf_borrow(&name), SP_VKEY_ED25519, PURPOSE, now_unix_s, &key);
}

static sp_err fill(sp_checkpoints *c, sp_keyring *ring, sp_span domain, uint64_t now_unix_s,
                   bool *made)
{
    unsigned log = 0;
    sp_vkey *key = newest(ring, &log);
    if (key == NULL) {
        TRY(sp_checkpoint_next_log(ring, now_unix_s));
        key = newest(ring, &log);
        *made = true;
        c->fresh = true;
    }
    c->ring = ring;
    c->secret = key->ed25519;
    c->public_half = sp_sign_key_public(&c->secret);
    sp_buf_span(&c->origin, domain);
    if (log > 1) {
        sp_buf_fmt(&c->origin, "/%u", log);
    }
    TRY(sp_buf_error(&c->origin));
    sp_note_key note_key =
        sp_note_key_of(sp_buf_borrow(&c->origin), SP_NOTE_ED25519, c->public_half.bytes);
    sp_note_key_text(&note_key, &c->verifier);
    return sp_buf_error(&c->verifier);
}

sp_err sp_checkpoints_new(uv_loop_t *loop, sp_keyring *ring, sp_span domain, uint64_t now_unix_s,
                          bool *made, sp_checkpoints **ret)
{
    sp_checkpoints *c = NULL;
    TRY(sp_alloc(1, sizeof(*c), &c));
    c->loop = loop;
    c->origin = sp_buf_make(SP_NOTE_NAME_MAX_BYTES);
    c->verifier = sp_buf_make(VERIFIER_MAX_BYTES);
    c->work.data = c;
    sp_err err = fill(c, ring, domain, now_unix_s, made);
    if (sp_failed(err)) {
        sp_checkpoints_free(c);
        return err;
    }
    *ret = c;
    return sp_ok();
}

sp_err sp_checkpoints_start(sp_checkpoints *c)
{
    if (c->fresh) {
        c->last = sp_checkpoint_empty();
        TRY(sp_checkpoint_store(c->ring, &c->last));
        c->usable = true;
        return sp_ok();
    }
    c->usable = !sp_failed(sp_checkpoint_load(c->ring, &c->last));
    return sp_ok();
}

bool sp_checkpoints_usable(const sp_checkpoints *c)
{
    return c->usable;
}

void sp_checkpoints_free(sp_checkpoints *c)
{
    if (c != NULL) {
        sp_buf_done(&c->origin);
        sp_buf_done(&c->verifier);
        sp_wipe(c, sizeof(*c));
        sp_free(c);
    }
}

/* ---- signing ---- */

static sp_err make_note(sp_checkpoints *c, sp_checkpoint_head *h)
{
    auto_buf sp_buf note = sp_buf_make(SP_VAULT_NOTE_MAX_BYTES);
    sp_span origin = sp_buf_borrow(&c->origin);
    sp_checkpoint checkpoint = {.origin = origin, .size = h->size, .root = h->root};
    sp_checkpoint_text(&checkpoint, &note);
    TRY(sp_buf_error(&note));
    sp_signature signature = sp_sign(&c->secret, sp_buf_borrow(&note));
    sp_note_key key = sp_note_key_of(origin, SP_NOTE_ED25519, c->public_half.bytes);
    sp_buf_text(&note, "\n");
    sp_note_sig_line(origin, key.key_id, sp_span_of(signature.bytes, sizeof(signature.bytes)),
                     &note);
    TRY(sp_buf_error(&note));
    sp_copy(h->note, note.ptr, note.len);
    h->note_len = note.len;
    return sp_ok();
}

static bool grows(const sp_checkpoints *c, const sp_vault_checkpoint *ask)
{
    if (ask->old_size != c->last.size) {
        return false;
    }
    if (ask->old_size == 0) {
        return ask->new_size > 0 && ask->proof_count == 0;
    }
    return sp_merkle_extends(ask->old_size, &c->last.root, ask->new_size, &ask->new_root,
                             ask->proof, ask->proof_count);
}

static void write_in_thread(uv_work_t *work)
{
    sp_checkpoints *c = work->data;
    c->written = sp_checkpoint_store(c->ring, &c->next);
}

static void written(uv_work_t *work, int status)
{
    sp_checkpoints *c = work->data;
    sp_err err = status == 0 ? c->written : sp_fail(SP_EIO);
    c->busy = false;
    if (!sp_failed(err)) {
        c->last = c->next;
    }
    c->done(c->done_self, err,
            sp_failed(err) ? SP_SPAN_EMPTY : sp_span_of(c->last.note, c->last.note_len));
}

static sp_err begin(sp_checkpoints *c, const sp_vault_checkpoint *ask)
{
    if (!c->usable) {
        return sp_fail(SP_ECORRUPT);
    }
    if (c->busy) {
        return sp_fail(SP_EAGAIN);
    }
    if (!grows(c, ask)) {
        return sp_fail(SP_ECONFLICT);
    }
    c->next = (sp_checkpoint_head){.size = ask->new_size, .root = ask->new_root};
    TRY(make_note(c, &c->next));
    return sp_ok();
}

void sp_checkpoints_sign(sp_checkpoints *c, const sp_vault_checkpoint *ask,
                         sp_checkpoint_signed done, void *self)
{
    sp_err err = begin(c, ask);
    if (!sp_failed(err) && ask->new_size == c->last.size) {
        done(self, sp_ok(), sp_span_of(c->last.note, c->last.note_len)); /* the same one again */
        return;
    }
    if (!sp_failed(err)) {
        c->done = done;
        c->done_self = self;
        c->busy = uv_queue_work(c->loop, &c->work, write_in_thread, written) == 0;
        err = c->busy ? sp_ok() : sp_fail(SP_EIO);
    }
    if (sp_failed(err)) {
        done(self, err, SP_SPAN_EMPTY);
    }
}

sp_err sp_checkpoints_last(const sp_checkpoints *c, sp_vault_checkpoint_last *ret_last)
{
    if (!c->usable) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_last = (sp_vault_checkpoint_last){.size = c->last.size,
                                           .root = c->last.root,
                                           .origin = sp_buf_borrow(&c->origin),
                                           .verifier_key = sp_buf_borrow(&c->verifier),
                                           .note = sp_span_of(c->last.note, c->last.note_len)};
    return sp_ok();
}
