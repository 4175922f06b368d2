/* SPDX-License-Identifier: Apache-2.0
 * Whether a program is root's alone.
 * OWNS nothing. PROCESS runner, doctor. TRUST see trusted.h. SPEC infra/proc/trusted.h.
 */
#include "infra/proc/trusted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static sp_err look_at(const char *path, bool is_program, sp_buf *why)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        sp_buf_fmt(why, "%s cannot be looked at: %s", path, strerror(errno));
        return sp_fail(SP_ENOTFOUND);
    }
    bool is_sticky = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX) != 0;
    if (st.st_uid != 0) {
        sp_buf_fmt(why, "%s belongs to user %u, not to root", path, (unsigned)st.st_uid);
        return sp_fail(SP_EDENIED);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !is_sticky) {
        sp_buf_fmt(why, "%s can be changed by others (mode %04o)", path,
                   (unsigned)st.st_mode & 07777U);
        return sp_fail(SP_EDENIED);
    }
    if (is_program && (!S_ISREG(st.st_mode) || (st.st_mode & S_IXOTH) == 0)) {
        sp_buf_fmt(why, "%s is no file that everybody may execute", path);
        return sp_fail(SP_EDENIED);
    }
    return sp_ok();
}

sp_err sp_trusted_program(const char *path, char ret_real[PATH_MAX], sp_buf *why)
{
    if (path[0] != '/' || realpath(path, ret_real) == NULL) {
        sp_buf_fmt(why, "%s is not there: %s", path, strerror(path[0] == '/' ? errno : EINVAL));
        return sp_fail(SP_ENOTFOUND);
    }
    for (char *slash = ret_real; (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        sp_err err = look_at(ret_real, false, why);
        *slash = '/';
        TRY(err);
    }
    TRY(look_at("/", false, why));
    return look_at(ret_real, true, why);
}
