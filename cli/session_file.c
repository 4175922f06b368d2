/* SPDX-License-Identifier: Apache-2.0
 * The file that keeps the command line signed in.
 * OWNS the strings it read. PROCESS cli. TRUST one's own file. SPEC cli/session_file.h.
 */
#include "cli/session_file.h"

#include "infra/proc/file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, FILE_MAX_BYTES = 256 * 1024 };

void sp_session_file_done(sp_session_file *file)
{
    if (file->token != NULL) {
        sp_wipe(file->token, sp_span_cstr(file->token).len);
    }
    sp_free(file->url);
    sp_free(file->token);
    sp_free(file->ca_pem);
    *file = (sp_session_file){0};
}

static sp_err folder_of(sp_buf *out)
{
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (xdg != NULL && xdg[0] == '/') {
        sp_buf_fmt(out, "%s/sallyport", xdg);
    } else if (home != NULL && home[0] == '/') {
        sp_buf_fmt(out, "%s/.config/sallyport", home);
    } else {
        return sp_fail(SP_ENOTFOUND);
    }
    return sp_buf_error(out);
}

static sp_err path_of(char **ret_path)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    TRY(folder_of(&path));
    sp_buf_text(&path, "/session.json");
    return sp_buf_take_cstr(&path, ret_path);
}

static sp_err copy_text(const json_t *object, const char *key, char **ret_copy)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? sp_fail(SP_EINVALID) : sp_strdup(sp_span_cstr(text), ret_copy);
}

static sp_err parse(sp_span bytes, sp_session_file *file)
{
    json_t *object = json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
    sp_err err = copy_text(object, "url", &file->url);
    if (!sp_failed(err)) {
        err = copy_text(object, "token", &file->token);
    }
    if (!sp_failed(err) && json_object_get(object, "ca") != NULL) {
        err = copy_text(object, "ca", &file->ca_pem);
    }
    json_decref(object);
    return err;
}

sp_err sp_session_file_read(sp_session_file *ret_file)
{
    auto_free char *path = NULL;
    struct stat st;
    TRY(path_of(&path));
    if (stat(path, &st) != 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    if ((st.st_mode & 077) != 0 || st.st_uid != geteuid()) {
        return sp_fail(SP_EDENIED);
    }
    auto_buf sp_buf bytes = sp_buf_make(FILE_MAX_BYTES);
    TRY(sp_file_read(path, &bytes));
    sp_session_file file = {0};
    sp_err err = parse(sp_buf_borrow(&bytes), &file);
    sp_buf_wipe(&bytes);
    if (sp_failed(err)) {
        sp_session_file_done(&file);
        return err;
    }
    *ret_file = file;
    return sp_ok();
}

/* ~/.config may be missing too. */
static sp_err make_folder(void)
{
    auto_buf sp_buf folder = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *path = NULL;
    TRY(folder_of(&folder));
    TRY(sp_buf_take_cstr(&folder, &path));
    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] == '/') {
            path[i] = '\0';
            bool there = mkdir(path, 0700) == 0 || errno == EEXIST;
            path[i] = '/';
            if (!there) {
                return sp_fail(SP_EIO);
            }
        }
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? sp_ok() : sp_fail(SP_EIO);
}

sp_err sp_session_file_write(const sp_session_file *file)
{
    auto_free char *path = NULL;
    TRY(path_of(&path));
    TRY(make_folder());
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    sp_buf_text(&text, "{\"url\":");
    sp_buf_json(&text, sp_span_cstr(file->url));
    sp_buf_text(&text, ",\"token\":");
    sp_buf_json(&text, sp_span_cstr(file->token));
    if (file->ca_pem != NULL) {
        sp_buf_text(&text, ",\"ca\":");
        sp_buf_json(&text, sp_span_cstr(file->ca_pem));
    }
    sp_buf_text(&text, "}\n");
    TRY(sp_buf_error(&text));
    sp_err err = sp_file_replace(path, 0600, sp_buf_borrow(&text));
    sp_buf_wipe(&text);
    return err;
}

sp_err sp_session_file_remove(void)
{
    auto_free char *path = NULL;
    TRY(path_of(&path));
    if (unlink(path) != 0) {
        return sp_fail(errno == ENOENT ? SP_ENOTFOUND : SP_EIO);
    }
    return sp_ok();
}
