/* SPDX-License-Identifier: Apache-2.0
 * Whole files.
 * OWNS nothing. PROCESS all but gates. TRUST contents may be hostile. SPEC infra/proc/file.h.
 */
#include "infra/proc/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024, PATH_MAX_BYTES = 4096 };

sp_err sp_file_read(const char *path, sp_buf *buf)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO);
    }
    for (;;) {
        size_t want = CHUNK_BYTES;
        if (buf->max_bytes - buf->len < want) {
            want = buf->max_bytes - buf->len + 1; /* one more byte shows that it is too long */
        }
        uint8_t chunk[CHUNK_BYTES];
        ssize_t got = read(fd, chunk, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return sp_fail(SP_EIO);
        }
        if (got == 0) {
            return sp_buf_error(buf);
        }
        sp_buf_span(buf, (sp_span){chunk, (size_t)got});
        sp_wipe(chunk, (size_t)got);
        TRY(sp_buf_error(buf));
    }
}

sp_err sp_write_all(int fd, sp_span bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.ptr, bytes.len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return sp_fail(errno == EAGAIN ? SP_EAGAIN : SP_EIO);
        }
        bytes = sp_span_slice(bytes, (size_t)put, bytes.len);
    }
    return sp_ok();
}

static sp_err sync_dir_of(const char *path)
{
    char dir[PATH_MAX_BYTES];
    TRY(sp_fit(dir, sizeof(dir), sp_span_cstr(path)));
    char *slash = strrchr(dir, '/');
    if (slash == NULL) {
        TRY(sp_fit(dir, sizeof(dir), SP_SPAN_LIT(".")));
    } else {
        slash[slash == dir ? 1 : 0] = '\0';
    }
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? sp_fail(SP_EIO) : sp_ok();
}

static sp_err write_new(const char *path, unsigned mode, sp_span bytes)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0 || fchmod(fd, mode) != 0) {
        return sp_fail(SP_EIO);
    }
    TRY(sp_write_all(fd, bytes));
    return fsync(fd) != 0 ? sp_fail(SP_EIO) : sp_ok();
}

sp_err sp_file_replace(const char *path, unsigned mode, sp_span bytes)
{
    static atomic_uint turn; /* several may replace the same file at once: a name for each */
    char beside[PATH_MAX_BYTES];
    int len = snprintf(beside, sizeof(beside), "%s.%u-%u.new", path, (unsigned)getpid(), turn++);
    if (len < 0 || (size_t)len >= sizeof(beside)) {
        return sp_fail(SP_ELIMIT);
    }
    if (unlink(beside) != 0 && errno != ENOENT) { /* of a process of that number that was ended */
        return sp_fail(SP_EIO);
    }
    sp_err err = write_new(beside, mode, bytes);
    if (!sp_failed(err) && rename(beside, path) != 0) {
        err = sp_fail(SP_EIO);
    }
    if (sp_failed(err)) {
        unlink(beside);
        return err;
    }
    return sync_dir_of(path);
}

sp_err sp_dir_make(const char *path, unsigned mode)
{
    if (mkdir(path, mode) == 0) {
        return sp_ok();
    }
    struct stat st;
    return errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? sp_ok()
                                                                          : sp_fail(SP_EIO);
}
