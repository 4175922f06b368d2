/* SPDX-License-Identifier: Apache-2.0
 * The documents of an office as they lie in a folder: every *.yaml and *.yml below it.
 * OWNS names and texts until sp_folder_done. PROCESS core, cli. TRUST the operator wrote the files;
 * counts, sizes and depth are bounded all the same. SPEC docs/OPERATIONS.md "Documents".
 */
#ifndef SP_PROC_FOLDER_H
#define SP_PROC_FOLDER_H

#include "lib/base/diag.h"

enum {
    SP_FOLDER_FILES_MAX = 4096,
    SP_FOLDER_DEPTH_MAX = 8,
    SP_FOLDER_MAX_BYTES = 64 << 20 /* all texts together */
};

typedef struct {
    char *name; /* path below the folder, "rules/engineers.yaml" */
    char *text; /* NUL-terminated, len bytes before that */
    size_t len;
} sp_folder_file;

typedef struct {
    sp_folder_file *files; /* in the order of their names, byte by byte */
    size_t count;
    size_t size_bytes;
} sp_folder;

void sp_folder_done(sp_folder *folder);
#define auto_folder __attribute__((cleanup(sp_folder_done)))

/* path: a folder, or one file. Hidden names and editors' back-ups (name~) are left out; symbolic
 * links are followed to files but not to folders. What is wrong is told in diags, whose file names
 * are borrowed from path: SP_ENOTFOUND, SP_ELIMIT, SP_EIO, SP_EINVALID (no document at all). */
SP_MUST sp_err sp_folder_read(const char *path, sp_diags *diags, sp_folder *ret_folder);

#endif
