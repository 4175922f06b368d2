/* SPDX-License-Identifier: Apache-2.0
 * Whole files: read with a limit, written all or nothing.
 * OWNS nothing. PROCESS all but gates. TRUST contents may be hostile; sizes are bounded.
 * SPEC rename(2), fsync(2).
 */
#ifndef SP_PROC_FILE_H
#define SP_PROC_FILE_H

#include "lib/base/buf.h"

/* Appends the file to buf. SP_ENOTFOUND, SP_ELIMIT (buf's maximum), SP_EIO. */
SP_MUST sp_err sp_file_read(const char *path, sp_buf *buf);
/* Writes beside it, syncs, renames, syncs the directory: after a crash the old or the new whole. */
SP_MUST sp_err sp_file_replace(const char *path, unsigned mode, sp_span bytes);
SP_MUST sp_err sp_dir_make(const char *path, unsigned mode);
SP_MUST sp_err sp_write_all(int fd, sp_span bytes);

#endif
