/* SPDX-License-Identifier: Apache-2.0
 * The documents of an office as they lie in a folder.
 * OWNS names and texts. PROCESS core, cli. TRUST written by the operator. SPEC infra/proc/folder.h.
 */
#include "infra/proc/folder.h"

#include "infra/proc/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_MAX_BYTES = 4096 };

typedef struct {
    sp_folder *folder;
    sp_diags *diags;
    const char *root; /* shown when something is wrong */
} walk;

void sp_folder_done(sp_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        sp_free(folder->files[i].name);
        sp_free(folder->files[i].text);
    }
    sp_free(folder->files);
    *folder = (sp_folder){0};
}

static sp_err tell(const walk *w, sp_code code, const char *path, const char *what)
{
    sp_diags_add(w->diags, SP_DIAG_ERROR, w->root, 0, 0, "%s: %s", path, what);
    return sp_fail(code);
}

static sp_err add_file(walk *w, const char *path, const char *name)
{
    sp_folder *folder = w->folder;
    if (folder->count >= SP_FOLDER_FILES_MAX) {
        return tell(w, SP_ELIMIT, path, "more than 4096 documents' files");
    }
    auto_buf sp_buf text = sp_buf_make(SP_FOLDER_MAX_BYTES - folder->size_bytes);
    sp_err err = sp_file_read(path, &text);
    if (err.code == SP_ELIMIT) {
        return tell(w, SP_ELIMIT, path, "all files together are larger than 64 MiB");
    }
    if (sp_failed(err)) {
        return tell(w, err.code, path, "it cannot be read");
    }
    TRY(sp_resize(&folder->files, folder->count + 1, sizeof(*folder->files)));
    auto_free char *copy = NULL;
    TRY(sp_strdup(sp_span_cstr(name), &copy));
    sp_folder_file file = {.len = text.len};
    TRY(sp_buf_take_cstr(&text, &file.text));
    file.name = SP_STEAL(copy);
    folder->files[folder->count++] = file;
    folder->size_bytes += file.len;
    return sp_ok();
}

static bool is_document(sp_span name)
{
    return sp_span_ends(name, SP_SPAN_LIT(".yaml")) || sp_span_ends(name, SP_SPAN_LIT(".yml"));
}

static sp_err join(const char *dir, const char *name, char *to, size_t size_bytes)
{
    auto_buf sp_buf path = sp_buf_make(size_bytes);
    sp_buf_text(&path, dir);
    if (dir[0] != '\0') {
        sp_buf_byte(&path, '/');
    }
    sp_buf_text(&path, name);
    TRY(sp_buf_error(&path));
    return sp_fit(to, size_bytes, sp_buf_borrow(&path));
}

static sp_err walk_dir(walk *w, const char *dir, const char *below, unsigned depth);

static sp_err visit(walk *w, const char *dir, const char *below, const char *name, unsigned depth)
{
    char path[PATH_MAX_BYTES];
    char shown[PATH_MAX_BYTES];
    if (sp_failed(join(dir, name, path, sizeof(path))) ||
        sp_failed(join(below, name, shown, sizeof(shown)))) {
        return tell(w, SP_ELIMIT, name, "the path is too long");
    }
    struct stat self;
    struct stat target;
    if (lstat(path, &self) != 0 || stat(path, &target) != 0) {
        return is_document(sp_span_cstr(name)) ? tell(w, SP_EIO, path, "it cannot be read")
                                               : sp_ok();
    }
    if (S_ISDIR(self.st_mode)) {
        return depth == 0 ? tell(w, SP_ELIMIT, path, "folders are nested more than 8 deep")
                          : walk_dir(w, path, shown, depth - 1);
    }
    if (S_ISREG(target.st_mode) && is_document(sp_span_cstr(name))) {
        return add_file(w, path, shown);
    }
    return sp_ok();
}

static sp_err walk_dir(walk *w, const char *dir, const char *below, unsigned depth)
{
    DIR *at = opendir(dir);
    if (at == NULL) {
        return tell(w, SP_EIO, dir, "it cannot be read");
    }
    sp_err err = sp_ok();
    for (const struct dirent *entry = readdir(at); entry != NULL && !sp_failed(err);
         entry = readdir(at)) {
        if (entry->d_name[0] != '.') {
            err = visit(w, dir, below, entry->d_name, depth);
        }
    }
    closedir(at);
    return err;
}

static int by_name(const void *a, const void *b)
{
    const sp_folder_file *one = a;
    const sp_folder_file *other = b;
    return strcmp(one->name, other->name);
}

static sp_err read_all(walk *w, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return tell(w, SP_ENOTFOUND, path, "there is no such file or folder");
    }
    if (!S_ISDIR(st.st_mode)) {
        const char *slash = strrchr(path, '/');
        return add_file(w, path, slash == NULL ? path : slash + 1);
    }
    TRY(walk_dir(w, path, "", SP_FOLDER_DEPTH_MAX));
    if (w->folder->count == 0) {
        return tell(w, SP_EINVALID, path, "no *.yaml file in it");
    }
    qsort(w->folder->files, w->folder->count, sizeof(*w->folder->files), by_name);
    return sp_ok();
}

sp_err sp_folder_read(const char *path, sp_diags *diags, sp_folder *ret_folder)
{
    auto_folder sp_folder folder = {0};
    walk w = {&folder, diags, path};
    TRY(read_all(&w, path));
    *ret_folder = folder;
    folder = (sp_folder){0};
    return sp_ok();
}
