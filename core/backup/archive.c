/* SPDX-License-Identifier: Apache-2.0
 * The encrypted file.
 * OWNS nothing. PROCESS the backup command. TRUST the file is hostile.
 * SPEC core/backup/archive.h.
 */
#include "core/backup/archive.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "lib/base/reader.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

enum {
    MAGIC_BYTES = 8,
    CHUNK_BYTES = 64 * 1024,
    SEALED_CHUNK_BYTES = CHUNK_BYTES + crypto_secretstream_xchacha20poly1305_ABYTES,
    STREAM_HEAD_BYTES = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
#ifdef SP_QUICK_HASHING
    OPERATIONS = 1,
    MEMORY_BYTES = 64 * 1024,
#else
    OPERATIONS = 4,
    MEMORY_BYTES = 256 * 1024 * 1024,
#endif
    OPERATIONS_MAX = 16,
    MEMORY_MIN_BYTES = 8 * 1024
};
#define MEMORY_MAX_BYTES (UINT64_C(1) << 30)
#define FAMILY SP_SPAN_LIT("SPBACK")
#define MAGIC SP_SPAN_LIT("SPBACK02")
#define BOUND SP_SPAN_LIT("sallyport backup data key")
#define BOUND_VAULT SP_SPAN_LIT("sallyport backup vault part")

/* ---- the head ---- */

static void head_encode(const sp_archive_head *head, sp_buf *out)
{
    sp_buf_u64(out, head->created_unix_us);
    sp_buf_span(out, sp_span_of(head->salt, sizeof(head->salt)));
    sp_buf_u32(out, head->operations);
    sp_buf_u64(out, head->memory_bytes);
    sp_buf_bytes(out, head->by_passphrase);
    sp_buf_bytes(out, head->vault);
}

sp_err sp_archive_head_decode(sp_span bytes, sp_archive_head *ret_head)
{
    sp_reader in = sp_reader_of(bytes);
    sp_archive_head head = {.created_unix_us = sp_read_u64(&in)};
    sp_span salt = sp_read_span(&in, SP_ARCHIVE_SALT_BYTES);
    head.operations = sp_read_u32(&in);
    head.memory_bytes = sp_read_u64(&in);
    head.by_passphrase = sp_read_bytes(&in, SP_ARCHIVE_SEALED_MAX_BYTES);
    head.vault = sp_read_bytes(&in, SP_ARCHIVE_VAULT_MAX_BYTES);
    if (head.operations == 0 || head.operations > OPERATIONS_MAX ||
        head.memory_bytes < MEMORY_MIN_BYTES || head.memory_bytes > MEMORY_MAX_BYTES) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    sp_copy(head.salt, salt.ptr, salt.len);
    *ret_head = head;
    return sp_ok();
}

/* ---- the passphrase ---- */

void sp_archive_keys_wipe(sp_archive_keys *keys)
{
    sp_wipe(keys, sizeof(*keys));
}

sp_archive_head sp_archive_head_new(void)
{
    sp_archive_head head = {.created_unix_us = sp_now_unix_us(),
                            .operations = OPERATIONS,
                            .memory_bytes = MEMORY_BYTES};
    sp_random(head.salt, sizeof(head.salt));
    return head;
}

sp_err sp_archive_keys_of(const sp_archive_head *head, sp_span passphrase,
                          sp_archive_keys *ret_keys)
{
    auto_key sp_key root;
    int rc = crypto_pwhash(root.bytes, sizeof(root.bytes), (const char *)passphrase.ptr,
                           passphrase.len, head->salt, head->operations, (size_t)head->memory_bytes,
                           crypto_pwhash_ALG_ARGON2ID13);
    if (rc != 0) {
        return sp_fail(SP_ENOMEM);
    }
    ret_keys->lock = sp_key_derive(&root, SP_SPAN_EMPTY, "sallyport backup data key v2");
    ret_keys->vault_seed = sp_key_derive(&root, SP_SPAN_EMPTY, "sallyport backup vault v2");
    return sp_ok();
}

sp_err sp_archive_lock(const sp_archive_keys *keys, const sp_key *data_key, sp_buf *sealed)
{
    return sp_seal(&keys->lock, sp_span_of(data_key->bytes, SP_KEY_BYTES), BOUND, sealed);
}

sp_err sp_archive_lock_vault(const sp_key *data_key, sp_span exported, sp_buf *sealed)
{
    return sp_seal(data_key, exported, BOUND_VAULT, sealed);
}

sp_err sp_archive_unlock(const sp_archive_head *head, const sp_archive_keys *keys,
                         sp_key *ret_data_key)
{
    auto_buf sp_buf plain = sp_buf_make(SP_KEY_BYTES);
    sp_err err = sp_unseal(&keys->lock, head->by_passphrase, BOUND, &plain);
    if (sp_failed(err) || plain.len != SP_KEY_BYTES) {
        return sp_fail(SP_EDENIED);
    }
    sp_copy(ret_data_key->bytes, plain.ptr, SP_KEY_BYTES);
    sp_buf_wipe(&plain);
    return sp_ok();
}

sp_err sp_archive_unlock_vault(const sp_archive_head *head, const sp_key *data_key,
                               sp_buf *exported)
{
    return sp_unseal(data_key, head->vault, BOUND_VAULT, exported);
}

/* ---- bytes ---- */

/* Up to len bytes; fewer only at the end of the file. */
static sp_err read_full(int fd, uint8_t *to, size_t len, size_t *ret_len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = read(fd, to + got, len - got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return sp_fail(SP_EIO);
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    *ret_len = got;
    return sp_ok();
}

static sp_err read_exact(int fd, uint8_t *to, size_t len)
{
    size_t got = 0;
    TRY(read_full(fd, to, len, &got));
    return got == len ? sp_ok() : sp_fail(SP_ECORRUPT);
}

static sp_err write_u32(int fd, uint32_t value)
{
    auto_buf sp_buf out = sp_buf_make(4);
    sp_buf_u32(&out, value);
    TRY(sp_buf_error(&out));
    return sp_write_all(fd, sp_buf_borrow(&out));
}

static sp_err read_u32(int fd, uint32_t *ret_value)
{
    uint8_t bytes[4];
    TRY(read_exact(fd, bytes, sizeof(bytes)));
    sp_reader in = sp_reader_of(sp_span_of(bytes, sizeof(bytes)));
    *ret_value = sp_read_u32(&in);
    return sp_reader_finish(&in);
}

/* ---- writing ---- */

static sp_err write_chunks(int from, int to, sp_span head,
                           crypto_secretstream_xchacha20poly1305_state *stream)
{
    uint8_t plain[CHUNK_BYTES];
    uint8_t sealed[SEALED_CHUNK_BYTES];
    sp_span bound = head;
    for (;;) {
        size_t len = 0;
        TRY(read_full(from, plain, sizeof(plain), &len));
        bool last = len < sizeof(plain);
        uint8_t tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0;
        unsigned long long sealed_len = 0;
        crypto_secretstream_xchacha20poly1305_push(stream, sealed, &sealed_len, plain, len,
                                                   bound.ptr, bound.len, tag);
        bound = SP_SPAN_EMPTY;
        TRY(write_u32(to, (uint32_t)sealed_len));
        TRY(sp_write_all(to, sp_span_of(sealed, (size_t)sealed_len)));
        if (last) {
            sp_wipe(plain, sizeof(plain));
            return fsync(to) == 0 ? sp_ok() : sp_fail(SP_EIO);
        }
    }
}

sp_err sp_archive_write(int from, int to, const sp_archive_head *head, const sp_key *key)
{
    auto_buf sp_buf bytes = sp_buf_make(SP_ARCHIVE_HEAD_MAX_BYTES);
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t stream_head[STREAM_HEAD_BYTES];
    head_encode(head, &bytes);
    TRY(sp_buf_error(&bytes));
    crypto_secretstream_xchacha20poly1305_init_push(&stream, stream_head, key->bytes);
    TRY(sp_write_all(to, MAGIC));
    TRY(write_u32(to, (uint32_t)bytes.len));
    TRY(sp_write_all(to, sp_buf_borrow(&bytes)));
    TRY(sp_write_all(to, sp_span_of(stream_head, sizeof(stream_head))));
    sp_err err = write_chunks(from, to, sp_buf_borrow(&bytes), &stream);
    sp_wipe(&stream, sizeof(stream));
    return err;
}

/* ---- reading ---- */

sp_err sp_archive_read_head(int from, sp_buf *room, sp_archive_head *ret_head)
{
    uint8_t magic[MAGIC_BYTES] = {0};
    uint32_t len = 0;
    sp_span word = sp_span_of(magic, sizeof(magic));
    if (sp_failed(read_exact(from, magic, sizeof(magic))) || !sp_span_starts(word, FAMILY)) {
        return sp_fail(SP_EINVALID);
    }
    if (!sp_span_eq(word, MAGIC)) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    if (sp_failed(read_u32(from, &len)) || len > SP_ARCHIVE_HEAD_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    uint8_t *to = sp_buf_room(room, len);
    if (to == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    TRY(read_exact(from, to, len));
    sp_buf_grown(room, len);
    return sp_archive_head_decode(sp_buf_borrow(room), ret_head);
}

static sp_err read_chunks(int from, int to, sp_span head,
                          crypto_secretstream_xchacha20poly1305_state *stream)
{
    uint8_t plain[CHUNK_BYTES];
    uint8_t sealed[SEALED_CHUNK_BYTES];
    sp_span bound = head;
    uint8_t tag = 0;
    while (tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL) {
        uint32_t len = 0;
        unsigned long long plain_len = 0;
        TRY(read_u32(from, &len));
        if (len < crypto_secretstream_xchacha20poly1305_ABYTES || len > sizeof(sealed)) {
            return sp_fail(SP_ECORRUPT);
        }
        TRY(read_exact(from, sealed, len));
        if (crypto_secretstream_xchacha20poly1305_pull(stream, plain, &plain_len, &tag, sealed, len,
                                                       bound.ptr, bound.len) != 0) {
            return sp_fail(SP_ECORRUPT);
        }
        bound = SP_SPAN_EMPTY;
        TRY(sp_write_all(to, sp_span_of(plain, (size_t)plain_len)));
    }
    sp_wipe(plain, sizeof(plain));
    size_t more = 0;
    TRY(read_full(from, plain, 1, &more));
    if (more != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    return fsync(to) == 0 ? sp_ok() : sp_fail(SP_EIO);
}

sp_err sp_archive_read(int from, int to, const sp_buf *room, const sp_key *key)
{
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t stream_head[STREAM_HEAD_BYTES];
    TRY(read_exact(from, stream_head, sizeof(stream_head)));
    if (crypto_secretstream_xchacha20poly1305_init_pull(&stream, stream_head, key->bytes) != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_err err = read_chunks(from, to, sp_buf_borrow(room), &stream);
    sp_wipe(&stream, sizeof(stream));
    return err;
}
