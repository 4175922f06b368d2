/* SPDX-License-Identifier: Apache-2.0
 * The console's built files, read once at start: no path of a client ever reaches the file system.
 * OWNS the files' bytes. PROCESS core. TRUST the files are ours; the path is hostile and only
 * compared. SPEC docs/api/openapi.yaml "Conventions".
 */
#include "core/http/inside.h"
#include "infra/proc/file.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FILES_MAX = 512, FILE_MAX_BYTES = 8 * 1024 * 1024, PATH_BYTES = 1024, DEPTH_MAX = 4 };

typedef struct {
    char *path; /* "/assets/index-1a2b.js" */
    sp_buf bytes;
    const char *media_type;
} file;

struct sp_files {
    file items[FILES_MAX];
    size_t count;
};

static const char *media_type_of(sp_span path)
{
    static const struct {
        const char *ending;
        const char *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".txt", "text/plain; charset=utf-8"},
    };
    for (size_t i = 0; i < SP_COUNT(types); i++) {
        if (sp_span_ends(path, sp_span_cstr(types[i].ending))) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

static sp_err add_file(sp_files *files, const char *on_disk, const char *path)
{
    if (files->count >= FILES_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    file *item = &files->items[files->count];
    TRY(sp_strdup(sp_span_cstr(path), &item->path));
    files->count++;
    item->bytes = sp_buf_make(FILE_MAX_BYTES);
    item->media_type = media_type_of(sp_span_cstr(path));
    return sp_file_read(on_disk, &item->bytes);
}

static sp_err add_dir(sp_files *files, const char *on_disk, const char *path, unsigned depth);

static sp_err add_entry(sp_files *files, const char *on_disk, const char *path, const char *name,
                        unsigned depth)
{
    char inner_disk[PATH_BYTES];
    char inner_path[PATH_BYTES];
    int a = snprintf(inner_disk, sizeof(inner_disk), "%s/%s", on_disk, name);
    int b = snprintf(inner_path, sizeof(inner_path), "%s/%s", path, name);
    if (a < 0 || b < 0 || a >= PATH_BYTES || b >= PATH_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    struct stat st;
    if (lstat(inner_disk, &st) != 0) {
        return sp_fail(SP_EIO);
    }
    if (S_ISDIR(st.st_mode)) {
        return add_dir(files, inner_disk, inner_path, depth + 1);
    }
    return S_ISREG(st.st_mode) ? add_file(files, inner_disk, inner_path) : sp_ok();
}

static sp_err add_dir(sp_files *files, const char *on_disk, const char *path, unsigned depth)
{
    DIR *dir = depth > DEPTH_MAX ? NULL : opendir(on_disk);
    if (dir == NULL) {
        return sp_fail(SP_EIO);
    }
    sp_err err = sp_ok();
    for (struct dirent *at = readdir(dir); at != NULL && !sp_failed(err); at = readdir(dir)) {
        if (at->d_name[0] != '.') {
            err = add_entry(files, on_disk, path, at->d_name, depth);
        }
    }
    closedir(dir);
    return err;
}

sp_err sp_files_load(const char *dir, sp_files **ret_files)
{
    sp_files *files = NULL;
    TRY(sp_alloc(1, sizeof(*files), &files));
    sp_err err = add_dir(files, dir, "", 0);
    if (sp_failed(err)) {
        sp_files_free(files);
        return err;
    }
    *ret_files = files;
    return sp_ok();
}

void sp_files_free(sp_files *files)
{
    if (files == NULL) {
        return;
    }
    for (size_t i = 0; i < files->count; i++) {
        sp_free(files->items[i].path);
        sp_buf_done(&files->items[i].bytes);
    }
    sp_free(files);
}

static const file *find(const sp_files *files, sp_span path)
{
    for (size_t i = 0; i < files->count; i++) {
        if (sp_span_eq(sp_span_cstr(files->items[i].path), path)) {
            return &files->items[i];
        }
    }
    return NULL;
}

bool sp_files_answer(const sp_files *files, sp_request *req)
{
    sp_span method = sp_span_cstr(req->method);
    if (!sp_span_eq(method, SP_SPAN_LIT("GET")) && !sp_span_eq(method, SP_SPAN_LIT("HEAD"))) {
        return false;
    }
    bool hashed = sp_span_starts(req->path, SP_SPAN_LIT("/assets/"));
    const file *item = find(files, req->path);
    if (item == NULL && !hashed) { /* a page of the console: it finds its own way */
        item = find(files, SP_SPAN_LIT("/index.html"));
    }
    if (item == NULL) {
        return false;
    }
    if (hashed) {
        sp_answer_header(req, "Cache-Control", SP_SPAN_LIT("public, max-age=31536000, immutable"));
    }
    sp_answer_bytes(req, 200, item->media_type, sp_buf_borrow(&item->bytes));
    return true;
}
