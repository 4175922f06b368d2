/* SPDX-License-Identifier: Apache-2.0
 * The master key's providers.
 * OWNS nothing. PROCESS vault, once at start. TRUST owner, mode and size of files are checked.
 * SPEC vault/master.h.
 */
#include "vault/master.h"

#include "infra/proc/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096 };

static sp_err read_key(int fd, const char *path, sp_key *ret_master, sp_buf *why)
{
    uint8_t bytes[SP_KEY_BYTES + 1];
    ssize_t got = read(fd, bytes, sizeof(bytes));
    if (got != SP_KEY_BYTES) {
        sp_wipe(bytes, sizeof(bytes));
        sp_buf_fmt(why, "%s must hold exactly %d bytes", path, SP_KEY_BYTES);
        return sp_fail(SP_ECORRUPT);
    }
    sp_copy(ret_master->bytes, bytes, SP_KEY_BYTES);
    sp_wipe(bytes, sizeof(bytes));
    return sp_ok();
}

static sp_err path_of(const char *dir, const char *name, sp_buf *path)
{
    sp_buf_fmt(path, "%s/%s", dir, name);
    sp_buf_byte(path, 0);
    return sp_buf_error(path);
}

static sp_err load_credential(const char *dir, sp_key *ret_master, sp_buf *why)
{
    (void)dir;
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (credentials == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    TRY(path_of(credentials, "sallyport-master", &path));
    auto_close int fd = open((const char *)path.ptr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO);
    }
    return read_key(fd, (const char *)path.ptr, ret_master, why);
}

static sp_err load_file(const char *dir, sp_key *ret_master, sp_buf *why)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    TRY(path_of(dir, "master.key", &path));
    const char *name = (const char *)path.ptr;
    auto_close int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        return sp_fail(SP_ENOTFOUND);
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        sp_buf_fmt(why, "%s cannot be read: %s", name, strerror(errno));
        return sp_fail(SP_EIO);
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        sp_buf_fmt(why, "%s must be a file of uid %u with mode 0600", name, (unsigned)geteuid());
        return sp_fail(SP_EDENIED);
    }
    return read_key(fd, name, ret_master, why);
}

static sp_err make_file(const char *dir, sp_key *ret_master, sp_buf *why)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_key sp_key key = sp_key_new();
    TRY(path_of(dir, "master.key", &path));
    sp_err err = sp_file_replace((const char *)path.ptr, 0600, sp_span_of(key.bytes, SP_KEY_BYTES));
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s cannot be written: %s", (const char *)path.ptr, strerror(errno));
        return err;
    }
    *ret_master = key;
    return sp_ok();
}

static const sp_master_provider PROVIDERS[] = {
    {"credential", load_credential},
    {"file", load_file},
};

sp_err sp_master_credential(sp_key *ret_master, sp_buf *why)
{
    return load_credential("", ret_master, why);
}

sp_err sp_master_load(const char *dir, bool fresh, sp_key *ret_master, const char **ret_word,
                      sp_buf *why)
{
    for (size_t i = 0; i < SP_COUNT(PROVIDERS); i++) {
        sp_err err = PROVIDERS[i].load(dir, ret_master, why);
        if (err.code != SP_ENOTFOUND) {
            *ret_word = PROVIDERS[i].word;
            return err;
        }
    }
    if (!fresh) {
        sp_buf_fmt(why,
                   "there is a keyring in %s but no master key: put master.key back from the "
                   "backup (without it the keys cannot be opened by anybody)",
                   dir);
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_word = "file";
    return make_file(dir, ret_master, why);
}
