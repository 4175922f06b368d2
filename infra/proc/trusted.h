/* SPDX-License-Identifier: Apache-2.0
 * Whether a program is root's alone: then it may be run for others.
 * OWNS nothing. PROCESS runner, doctor. TRUST the path is the operator's; the file system may hold
 * what others put there. SPEC docs/OPERATIONS.md "Commands of plans".
 */
#ifndef SP_PROC_TRUSTED_H
#define SP_PROC_TRUSTED_H

#include "lib/base/buf.h"

#include <limits.h>

/* Where the path leads, symbolic links followed: a regular file that can be executed, which, like
 * every directory above it, belongs to root and can be changed by nobody else (a directory with the
 * sticky bit may be written by others: what root has in it they cannot touch). SP_ENOTFOUND,
 * SP_EDENIED; *why gets a clause. */
SP_MUST sp_err sp_trusted_program(const char *path, char ret_real[PATH_MAX], sp_buf *why);

#endif
