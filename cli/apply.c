/* SPDX-License-Identifier: Apache-2.0
 * apply and fetch: the office's documents, from a folder and into one.
 * OWNS nothing. PROCESS cli. TRUST what is fetched is written only below the folder that was named.
 * SPEC docs/man/sallyport-apply.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "infra/proc/file.h"
#include "infra/proc/folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_MAX_BYTES = 4096, SHOWN_EFFECTS = 20 };

/* ---- what a check says ---- */

static void print_diagnostics(const json_t *check)
{
    const json_t *list = json_object_get(check, "diagnostics");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        sp_print_safe(stderr, sp_json_text(one, "path"));
        fprintf(stderr, ":%s", sp_json_text(one, "line"));
        fprintf(stderr, ":%s: ", sp_json_text(one, "column"));
        sp_print_safe(stderr, sp_json_text(one, "severity"));
        fprintf(stderr, ": ");
        sp_print_safe(stderr, sp_json_text(one, "message"));
        fputc('\n', stderr);
    }
}

static const char *sign_of(const char *change)
{
    if (sp_same(change, "added")) {
        return "+";
    }
    return sp_same(change, "removed") ? "-" : "~";
}

static void print_effects(const json_t *diff)
{
    static const sp_column columns[] = {{"ROLE", "role", NULL},    {"RESOURCE", "resource", NULL},
                                        {"CLASS", "class", NULL},  {"ACTION", "action", NULL},
                                        {"DEVICE", "owner", NULL}, {"BEFORE", "before", NULL},
                                        {"AFTER", "after", NULL},  {NULL, NULL, NULL}};
    json_t *shown = json_copy(json_object_get(diff, "effects"));
    size_t total = json_array_size(shown);
    if (total > 0) {
        while (json_array_size(shown) > SHOWN_EFFECTS) {
            json_array_remove(shown, json_array_size(shown) - 1);
        }
        printf("\ndecisions that change:\n");
        sp_ask_rows(columns, shown);
    }
    if (total > SHOWN_EFFECTS || json_is_true(json_object_get(diff, "effects_more"))) {
        printf("... and more; --json shows them\n");
    }
    json_decref(shown);
}

static bool print_diff(const json_t *check)
{
    const json_t *diff = json_object_get(check, "diff");
    const json_t *documents = json_object_get(diff, "documents");
    const json_t *files = json_object_get(diff, "files");
    for (size_t i = 0; i < json_array_size(documents); i++) {
        const json_t *one = json_array_get(documents, i);
        printf("%s ", sign_of(sp_json_text(one, "change")));
        sp_print_safe(stdout, sp_json_text(one, "kind"));
        printf(" ");
        sp_print_safe(stdout, sp_json_text(one, "name"));
        printf("\n");
    }
    print_effects(diff);
    return json_array_size(documents) + json_array_size(files) > 0;
}

/* ---- apply ---- */

static sp_err read_files(const char *path, json_t **ret_files)
{
    auto_diags sp_diags diags = {0};
    auto_folder sp_folder folder = {0};
    sp_err err = sp_folder_read(path, &diags, &folder);
    auto_buf sp_buf text = sp_buf_make(1 << 20);
    sp_diags_print(&diags, &text);
    fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
    TRY(err);
    json_t *files = json_array();
    for (size_t i = 0; i < folder.count; i++) {
        const sp_folder_file *file = &folder.files[i];
        json_t *one = json_pack("{s:s,s:s%}", "path", file->name, "text", file->text, file->len);
        if (one == NULL) {
            sp_complain("%s: it is not UTF-8 text, or holds a NUL", file->name);
            json_decref(files);
            return sp_fail(SP_EINVALID);
        }
        json_array_append_new(files, one);
    }
    *ret_files = files;
    return sp_ok();
}

static int check(sp_client *client, json_t *files, bool json, json_t **ret_check)
{
    json_t *answer = NULL;
    int status = sp_client_call(client, "POST", "/api/v1/admin/policy/validate",
                                json_pack("{s:O}", "files", files), &answer);
    if (status != SP_EXIT_OK) {
        return status;
    }
    if (json) {
        sp_client_print(answer);
    } else {
        print_diagnostics(answer);
    }
    if (!json_is_true(json_object_get(answer, "ok"))) {
        if (!json) {
            sp_complain("the documents are not good: nothing was changed");
        }
        json_decref(answer);
        return SP_EXIT_INVALID;
    }
    *ret_check = answer;
    return SP_EXIT_OK;
}

static void print_proofs(const json_t *check)
{
    printf("%zu nevers proven, %zu examples as expected\n",
           json_array_size(json_object_get(check, "nevers")),
           json_array_size(json_object_get(check, "examples")));
}

static int put_in_force(sp_client *client, json_t *files, const char *base, const sp_given *given)
{
    json_t *answer = NULL;
    const char *comment = sp_given_value(given, "--comment");
    json_t *body = json_pack("{s:O,s:s,s:s}", "files", files, "base_version", base, "comment",
                             comment == NULL ? "" : comment);
    if (sp_same(base, "0")) {
        json_object_del(body, "base_version");
    }
    int status = sp_client_call(client, "POST", "/api/v1/admin/policy/apply", body, &answer);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        printf("version %s is in force\n", sp_json_text(answer, "version"));
    }
    json_decref(answer);
    return status;
}

static int apply_files(sp_client *client, json_t *files, const sp_given *given)
{
    bool dry_run = sp_given_value(given, "--dry-run") != NULL;
    bool changes = true;
    json_t *checked = NULL;
    int status = check(client, files, given->json && dry_run, &checked);
    if (status == SP_EXIT_OK && !given->json) {
        changes = print_diff(checked);
        print_proofs(checked);
    }
    const char *base = sp_json_text(checked, "diff.from");
    if (status == SP_EXIT_OK && !changes) {
        printf("nothing to change: version %s is in force\n", base);
    } else if (status == SP_EXIT_OK && !dry_run) {
        status = put_in_force(client, files, base, given);
    }
    json_decref(checked);
    return status;
}

int sp_apply(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *files = NULL;
    if (sp_failed(read_files(sp_given_value(given, "-f"), &files))) {
        return SP_EXIT_INVALID;
    }
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = apply_files(client, files, given);
    }
    json_decref(files);
    return status;
}

/* ---- history ---- */

const char *sp_version_state(const json_t *version)
{
    return json_is_true(json_object_get(version, "current")) ? "in force" : "";
}

/* ---- fetch ---- */

/* The server's path may not lead out of the folder. */
static bool path_ok(const char *path)
{
    sp_span rest = sp_span_cstr(path);
    sp_span piece = SP_SPAN_EMPTY;
    if (rest.len == 0 || rest.ptr[0] == '/') {
        return false;
    }
    while (sp_span_split(&rest, '/', &piece)) {
        if (piece.len == 0 || piece.ptr[0] == '.') {
            return false;
        }
    }
    return true;
}

static sp_err write_file(const char *folder, const char *name, const json_t *text)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *full = NULL;
    sp_buf_fmt(&path, "%s/%s", folder, name);
    TRY(sp_buf_take_cstr(&path, &full));
    size_t root = sp_span_cstr(folder).len + 1;
    for (size_t i = root; full[i] != '\0'; i++) {
        if (full[i] == '/') {
            full[i] = '\0';
            sp_err err = sp_dir_make(full, 0755);
            full[i] = '/';
            TRY(err);
        }
    }
    return sp_file_replace(full, 0644,
                           sp_span_of(json_string_value(text), json_string_length(text)));
}

static int write_all(const char *folder, const json_t *files)
{
    if (sp_failed(sp_dir_make(folder, 0755))) {
        sp_complain("%s: the folder cannot be made", folder);
        return SP_EXIT_FAILED;
    }
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *name = sp_json_text(file, "path");
        if (!path_ok(name) || sp_failed(write_file(folder, name, json_object_get(file, "text")))) {
            sp_complain("%s/%s: it cannot be written", folder, name);
            return SP_EXIT_FAILED;
        }
    }
    return SP_EXIT_OK;
}

int sp_fetch(const sp_given *given)
{
    const char *folder = given->words[0];
    const char *version = sp_given_value(given, "--version");
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_text(&path, "/api/v1/admin/policy/documents");
    if (version != NULL) {
        sp_buf_text(&path, "?version=");
        sp_buf_percent(&path, sp_span_cstr(version));
    }
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_FAILED;
    }
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, "GET", text, NULL, &answer);
    }
    if (status == SP_EXIT_OK) {
        status = write_all(folder, json_object_get(answer, "files"));
    }
    if (status == SP_EXIT_OK) {
        printf("version %s is in %s\n", sp_json_text(answer, "version"), folder);
    }
    json_decref(answer);
    return status;
}
