/* SPDX-License-Identifier: Apache-2.0
 * A keep as a file: head, then records of a secretstream over a zstd stream.
 *
 *     "SPKEEP1\n" | u32 length, key wrapped by the vault | 24 bytes of the stream's head |
 *     records: u32 length, ciphertext; the last one carries the final tag, nothing follows it
 *
 * OWNS files, buffers, keys (wiped). PROCESS keeper. TRUST a file may have been changed: nothing of
 * a record is used before it verified, and a cut file never reaches its end.
 * SPEC libsodium crypto_secretstream_xchacha20poly1305; RFC 8878.
 */
#include "infra/proc/file.h"
#include "keeper/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
    RECORD_BYTES = 64 * 1024,
    SEALED_BYTES = RECORD_BYTES + crypto_secretstream_xchacha20poly1305_ABYTES,
    HEAD_BYTES = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    WRAPPED_MAX_BYTES = 512,
    LEVEL = 3
};
static const char MAGIC[] = "SPKEEP1\n";

static sp_err name_of(const char *dir, uint64_t keep, const char *end, char path[KEEP_PATH_BYTES])
{
    int len = snprintf(path, KEEP_PATH_BYTES, "%s/%016llx%s", dir, (unsigned long long)keep, end);
    return len > 0 && len < KEEP_PATH_BYTES ? sp_ok() : sp_fail(SP_ELIMIT);
}

/* ---- writing ---- */

struct keep_writer {
    crypto_secretstream_xchacha20poly1305_state state;
    ZSTD_CCtx *zstd;
    int fd;
    size_t filled;
    uint64_t written;
    uint64_t max_bytes;
    bool finished;
    char part[KEEP_PATH_BYTES];
    char path[KEEP_PATH_BYTES];
    uint8_t plain[RECORD_BYTES];
    uint8_t sealed[4 + SEALED_BYTES];
};

static sp_err write_head(keep_writer *w, const sp_key *key, sp_span wrapped)
{
    uint8_t head[HEAD_BYTES];
    auto_buf sp_buf out = sp_buf_make(WRAPPED_MAX_BYTES + 64);
    crypto_secretstream_xchacha20poly1305_init_push(&w->state, head, key->bytes);
    sp_buf_text(&out, MAGIC);
    sp_buf_bytes(&out, wrapped);
    sp_buf_span(&out, sp_span_of(head, sizeof(head)));
    TRY(sp_buf_error(&out));
    w->written = out.len;
    return sp_write_all(w->fd, sp_buf_borrow(&out));
}

sp_err keep_writer_new(const char *dir, uint64_t keep, const sp_key *key, sp_span wrapped,
                       uint64_t max_bytes, keep_writer **ret_writer)
{
    keep_writer *w = NULL;
    TRY(sp_alloc(1, sizeof(*w), &w));
    w->fd = -1;
    w->max_bytes = max_bytes;
    w->zstd = ZSTD_createCCtx();
    sp_err err = w->zstd == NULL ? sp_fail(SP_ENOMEM) : name_of(dir, keep, ".part", w->part);
    if (!sp_failed(err)) {
        err = name_of(dir, keep, ".again", w->path);
    }
    if (!sp_failed(err)) {
        unlink(w->path); /* of another keep of this number */
        err = name_of(dir, keep, ".keep", w->path);
    }
    if (!sp_failed(err)) {
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, LEVEL);
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
        w->fd = open(w->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        err = w->fd < 0 ? sp_fail(SP_EIO) : write_head(w, key, wrapped);
    }
    if (sp_failed(err)) {
        keep_writer_free(w);
        return err;
    }
    *ret_writer = w;
    return sp_ok();
}

static sp_err seal_record(keep_writer *w, bool last)
{
    unsigned char tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0;
    unsigned long long len = 0;
    if (crypto_secretstream_xchacha20poly1305_push(&w->state, w->sealed + 4, &len, w->plain,
                                                   w->filled, NULL, 0, tag) != 0) {
        return sp_fail(SP_EINTERNAL);
    }
    for (unsigned i = 0; i < 4; i++) {
        w->sealed[i] = (uint8_t)(len >> (24 - 8 * i));
    }
    w->filled = 0;
    w->written += 4 + len;
    if (w->written > w->max_bytes) {
        return sp_fail(SP_ELIMIT);
    }
    return sp_write_all(w->fd, sp_span_of(w->sealed, 4 + (size_t)len));
}

static sp_err compress(keep_writer *w, sp_span bytes, ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = {bytes.ptr, bytes.len, 0};
    for (;;) {
        ZSTD_outBuffer out = {w->plain, RECORD_BYTES, w->filled};
        size_t left = ZSTD_compressStream2(w->zstd, &out, &in, how);
        if (ZSTD_isError(left) != 0) {
            return sp_fail(SP_EINTERNAL);
        }
        w->filled = out.pos;
        bool done = how == ZSTD_e_end ? left == 0 : in.pos == in.size;
        if (w->filled == RECORD_BYTES) {
            TRY(seal_record(w, false));
        } else if (done) {
            return sp_ok();
        }
    }
}

sp_err keep_writer_put(keep_writer *writer, sp_span bytes)
{
    return bytes.len == 0 ? sp_ok() : compress(writer, bytes, ZSTD_e_continue);
}

static sp_err sync_dir(const char *path)
{
    char dir[KEEP_PATH_BYTES];
    size_t slash = 0;
    for (size_t i = 0; path[i] != '\0'; i++) {
        slash = path[i] == '/' ? i : slash;
    }
    TRY(sp_fit(dir, sizeof(dir), sp_span_of(path, slash)));
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? sp_ok() : sp_fail(SP_EIO);
}

sp_err keep_writer_finish(keep_writer *writer, uint64_t *ret_bytes)
{
    TRY(compress(writer, SP_SPAN_EMPTY, ZSTD_e_end));
    TRY(seal_record(writer, true));
    if (fsync(writer->fd) != 0 || rename(writer->part, writer->path) != 0) {
        return sp_fail(SP_EIO);
    }
    writer->finished = true;
    *ret_bytes = writer->written;
    return sync_dir(writer->path);
}

void keep_writer_free(keep_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->fd >= 0) {
        close(writer->fd);
        if (!writer->finished) {
            unlink(writer->part);
        }
    }
    ZSTD_freeCCtx(writer->zstd);
    sp_wipe(writer, sizeof(*writer));
    sp_free(writer);
}

/* ---- reading ---- */

struct keep_reader {
    crypto_secretstream_xchacha20poly1305_state state;
    ZSTD_DCtx *zstd;
    int fd;
    bool last;   /* the final record has been opened */
    bool at_end; /* the frame is complete and nothing follows */
    ZSTD_inBuffer in;
    sp_buf wrapped;
    uint8_t head[HEAD_BYTES];
    uint8_t plain[RECORD_BYTES];
    uint8_t sealed[SEALED_BYTES];
};

/* Exactly len bytes, or none at the end of the file (*ret_end). */
static sp_err read_exact(int fd, void *to, size_t len, bool *ret_end)
{
    size_t have = 0;
    while (have < len) {
        ssize_t got = read(fd, (uint8_t *)to + have, len - have);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return sp_fail(SP_EIO);
        }
        if (got == 0) {
            *ret_end = have == 0;
            return have == 0 ? sp_ok() : sp_fail(SP_ECORRUPT);
        }
        have += (size_t)got;
    }
    return sp_ok();
}

static sp_err read_number(int fd, uint32_t *ret_number, bool *ret_end)
{
    uint8_t bytes[4] = {0};
    TRY(read_exact(fd, bytes, sizeof(bytes), ret_end));
    *ret_number =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return sp_ok();
}

static sp_err read_head(keep_reader *r)
{
    char magic[sizeof(MAGIC) - 1];
    uint32_t len = 0;
    bool end = false;
    TRY(read_exact(r->fd, magic, sizeof(magic), &end));
    if (end || !sp_span_eq(sp_span_of(magic, sizeof(magic)), sp_span_cstr(MAGIC))) {
        return sp_fail(SP_ECORRUPT);
    }
    TRY(read_number(r->fd, &len, &end));
    if (end || len == 0 || len > WRAPPED_MAX_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    uint8_t *room = sp_buf_room(&r->wrapped, len);
    if (room == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    TRY(read_exact(r->fd, room, len, &end));
    sp_buf_grown(&r->wrapped, len);
    TRY(read_exact(r->fd, r->head, sizeof(r->head), &end));
    return end ? sp_fail(SP_ECORRUPT) : sp_ok();
}

sp_err keep_reader_new(const char *dir, uint64_t keep, keep_reader **ret_reader,
                       sp_span *ret_wrapped)
{
    keep_reader *r = NULL;
    char path[KEEP_PATH_BYTES];
    TRY(name_of(dir, keep, ".keep", path));
    TRY(sp_alloc(1, sizeof(*r), &r));
    r->wrapped = sp_buf_make(WRAPPED_MAX_BYTES);
    r->zstd = ZSTD_createDCtx();
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    sp_err err = r->zstd == NULL ? sp_fail(SP_ENOMEM) : sp_ok();
    if (!sp_failed(err)) {
        err = r->fd < 0 ? sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO) : read_head(r);
    }
    if (sp_failed(err)) {
        keep_reader_free(r);
        return err;
    }
    *ret_reader = r;
    *ret_wrapped = sp_buf_borrow(&r->wrapped);
    return sp_ok();
}

sp_err keep_reader_key(keep_reader *reader, const sp_key *key)
{
    return crypto_secretstream_xchacha20poly1305_init_pull(&reader->state, reader->head,
                                                           key->bytes) == 0
               ? sp_ok()
               : sp_fail(SP_ECORRUPT);
}

static sp_err open_record(keep_reader *r)
{
    uint32_t len = 0;
    bool end = false;
    unsigned char tag = 0;
    unsigned long long plain_len = 0;
    TRY(read_number(r->fd, &len, &end));
    if (end || r->last || len > SEALED_BYTES) { /* cut, or more behind the end */
        return sp_fail(SP_ECORRUPT);
    }
    TRY(read_exact(r->fd, r->sealed, len, &end));
    if (end || crypto_secretstream_xchacha20poly1305_pull(&r->state, r->plain, &plain_len, &tag,
                                                          r->sealed, len, NULL, 0) != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    r->last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    r->in = (ZSTD_inBuffer){r->plain, (size_t)plain_len, 0};
    return sp_ok();
}

sp_err keep_reader_read(keep_reader *reader, void *to, size_t len, size_t *ret_len)
{
    ZSTD_outBuffer out = {to, len, 0};
    while (out.pos == 0 && !reader->at_end && len > 0) {
        if (reader->in.pos == reader->in.size && !reader->last) {
            TRY(open_record(reader));
        }
        size_t left = ZSTD_decompressStream(reader->zstd, &out, &reader->in);
        if (ZSTD_isError(left) != 0) {
            return sp_fail(SP_ECORRUPT);
        }
        bool drained = reader->last && reader->in.pos == reader->in.size;
        if (left == 0 && drained) {
            uint8_t more = 0;
            if (read(reader->fd, &more, 1) != 0) { /* nothing stands behind the end */
                return sp_fail(SP_ECORRUPT);
            }
            reader->at_end = true;
        } else if (drained && out.pos == 0) {
            return sp_fail(SP_ECORRUPT); /* the frame goes on, the file does not */
        }
    }
    *ret_len = out.pos;
    return sp_ok();
}

void keep_reader_free(keep_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    if (reader->fd >= 0) {
        close(reader->fd);
    }
    ZSTD_freeDCtx(reader->zstd);
    sp_buf_done(&reader->wrapped);
    sp_wipe(reader, sizeof(*reader));
    sp_free(reader);
}

/* ---- the directory ---- */

sp_err keep_file_remove(const char *dir, uint64_t keep)
{
    char path[KEEP_PATH_BYTES];
    TRY(name_of(dir, keep, ".again", path));
    unlink(path); /* undo_again.c; there may be none */
    TRY(name_of(dir, keep, ".keep", path));
    if (unlink(path) != 0) {
        return sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO);
    }
    return sync_dir(path);
}

/* Core forgets a keep when its days are over; one that core never heard of, because it died before
 * it could write it down, is nobody's. */
void keep_files_expire(const char *dir, uint64_t before_unix_s)
{
    DIR *open_dir = opendir(dir);
    for (const struct dirent *entry = open_dir == NULL ? NULL : readdir(open_dir); entry != NULL;
         entry = readdir(open_dir)) {
        struct stat st;
        sp_span name = sp_span_cstr(entry->d_name);
        if ((sp_span_ends(name, SP_SPAN_LIT(".keep")) ||
             sp_span_ends(name, SP_SPAN_LIT(".again"))) &&
            fstatat(dirfd(open_dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (uint64_t)st.st_mtime < before_unix_s) {
            unlinkat(dirfd(open_dir), entry->d_name, 0);
        }
    }
    if (open_dir != NULL) {
        closedir(open_dir);
    }
}

sp_err keep_files_size(const char *dir, uint64_t *ret_bytes, size_t *ret_count)
{
    uint64_t bytes = 0;
    size_t count = 0;
    DIR *open_dir = opendir(dir);
    if (open_dir == NULL) {
        return sp_fail(SP_EIO);
    }
    for (const struct dirent *entry = readdir(open_dir); entry != NULL; entry = readdir(open_dir)) {
        struct stat st;
        if (sp_span_ends(sp_span_cstr(entry->d_name), SP_SPAN_LIT(".keep")) &&
            fstatat(dirfd(open_dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            bytes += (uint64_t)st.st_size;
            count++;
        }
    }
    closedir(open_dir);
    *ret_bytes = bytes;
    *ret_count = count;
    return sp_ok();
}
