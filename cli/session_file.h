/* SPDX-License-Identifier: Apache-2.0
 * The file that keeps the command line signed in.
 * OWNS the strings it read until done. PROCESS cli. TRUST one's own file: refused when others may
 * read it. SPEC XDG Base Directory Specification.
 */
#ifndef SP_CLI_SESSION_FILE_H
#define SP_CLI_SESSION_FILE_H

#include "lib/base/mem.h"

typedef struct {
    char *url;
    char *token;
    char *ca_pem; /* NULL = the system's authorities */
} sp_session_file;

void sp_session_file_done(sp_session_file *file);
/* SP_ENOTFOUND; SP_EDENIED: its mode lets others read it; SP_EINVALID. */
SP_MUST sp_err sp_session_file_read(sp_session_file *ret_file);
/* Mode 0600, in a folder of mode 0700. */
SP_MUST sp_err sp_session_file_write(const sp_session_file *file);
SP_MUST sp_err sp_session_file_remove(void);

#endif
