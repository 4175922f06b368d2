/* SPDX-License-Identifier: Apache-2.0
 * apply, history, rollback, fetch: the office's documents.
 * OWNS nothing. PROCESS cli. TRUST what is fetched is written only below the folder that was named.
 * SPEC docs/man/sallyport-apply.1.
 */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
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
    sp_span word = sp_span_cstr(change);
    if (sp_span_eq(word, SP_SPAN_LIT("added"))) {
        return "+";
    }
    return sp_span_eq(word, SP_SPAN_LIT("removed")) ? "-" : "~";
}

static void print_effects(const json_t *diff)
{
    const json_t *effects = json_object_get(diff, "effects");
    size_t total = json_array_size(effects);
    if (total == 0) {
        return;
    }
    auto_table sp_table table = {
        7, {"ROLE", "RESOURCE", "CLASS", "ACTION", "DEVICE", "BEFORE", "AFTER"}, NULL, 0};
    static const char *const keys[] = {"role",  "resource", "class", "action",
                                       "owner", "before",   "after"};
    for (size_t i = 0; i < total && i < SHOWN_EFFECTS; i++) {
        for (size_t k = 0; k < SP_COUNT(keys); k++) {
            sp_table_cell(&table, sp_json_text(json_array_get(effects, i), keys[k]));
        }
    }
    printf("\ndecisions that change:\n");
    sp_table_print(&table, stdout);
    if (total > SHOWN_EFFECTS || json_is_true(json_object_get(diff, "effects_more"))) {
        printf("... and more; --json shows them\n");
    }
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

typedef struct {
    const char *folder;
    const char *comment;
    bool dry_run;
    bool json;
} apply_options;

static int put_in_force(sp_client *client, json_t *files, const char *base,
                        const apply_options *options)
{
    json_t *answer = NULL;
    json_t *body = json_pack("{s:O,s:s,s:s}", "files", files, "base_version", base, "comment",
                             options->comment == NULL ? "" : options->comment);
    if (sp_span_eq(sp_span_cstr(base), SP_SPAN_LIT("0"))) {
        json_object_del(body, "base_version");
    }
    int status = sp_client_call(client, "POST", "/api/v1/admin/policy/apply", body, &answer);
    if (status == SP_EXIT_OK && options->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        printf("version %s is in force\n", sp_json_text(answer, "version"));
    }
    json_decref(answer);
    return status;
}

static int apply(const apply_options *options)
{
    auto_client sp_client *client = NULL;
    json_t *files = NULL;
    json_t *checked = NULL;
    if (sp_failed(read_files(options->folder, &files))) {
        return SP_EXIT_INVALID;
    }
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = check(client, files, options->json && options->dry_run, &checked);
    }
    bool changes = true;
    if (status == SP_EXIT_OK && !options->json) {
        changes = print_diff(checked);
        print_proofs(checked);
    }
    if (status == SP_EXIT_OK && !changes) {
        printf("nothing to change: version %s is in force\n", sp_json_text(checked, "diff.from"));
    } else if (status == SP_EXIT_OK && !options->dry_run) {
        status = put_in_force(client, files, sp_json_text(checked, "diff.from"), options);
    }
    json_decref(checked);
    json_decref(files);
    return status;
}

int sp_apply_command(int argc, char **argv)
{
    apply_options options = {0};
    const sp_option table[] = {
        {"-f", "DIR", &options.folder, "the folder (or one file) of documents"},
        {"--dry-run", NULL, &options.dry_run, "check and show the difference, change nothing"},
        {"--comment", "TEXT", &options.comment, "kept with the version"},
        {"--json", NULL, &options.json, "JSON"},
    };
    const sp_usage usage = {
        "apply -f DIR [--dry-run] [--comment TEXT] [--json]",
        "Puts the documents of a folder in force, all or nothing: they are compiled, every never "
        "is\n"
        "proven, the examples are run, the difference is shown, then all gates decide by them.",
        table,
        SP_COUNT(table),
        0,
        0};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status == SP_GO_ON && options.folder == NULL) {
        sp_complain("say which folder: sallyport apply -f DIR");
        return SP_EXIT_USAGE;
    }
    return status == SP_GO_ON ? apply(&options) : status;
}

/* ---- history, rollback ---- */

int sp_history_command(int argc, char **argv)
{
    bool json = false;
    const sp_option options[] = {{"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {"history [--json]",
                            "Lists the versions of the documents, newest first.",
                            options,
                            SP_COUNT(options),
                            0,
                            0};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    auto_client sp_client *client = NULL;
    json_t *items = NULL;
    status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_client_list(client, "/api/v1/admin/policy/versions", &items);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(items);
    } else if (status == SP_EXIT_OK) {
        auto_table sp_table table = {5, {"VERSION", "", "WHEN (UTC)", "BY", "COMMENT"}, NULL, 0};
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *one = json_array_get(items, i);
            bool current = json_is_true(json_object_get(one, "current"));
            sp_table_cell(&table, sp_json_text(one, "version"));
            sp_table_cell(&table, current ? "in force" : "");
            sp_table_cell(&table, sp_short_time(sp_json_text(one, "applied_at")));
            sp_table_cell(&table, sp_json_text(one, "by"));
            sp_table_cell(&table, sp_json_text(one, "comment"));
        }
        sp_table_print(&table, stdout);
    }
    json_decref(items);
    return status;
}

int sp_rollback_command(int argc, char **argv)
{
    bool json = false;
    const char *comment = NULL;
    const sp_option options[] = {{"--comment", "TEXT", &comment, "kept with the new version"},
                                 {"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {
        "rollback VERSION [--comment TEXT] [--json]",
        "Puts the documents of an earlier version in force again, as a new version.",
        options,
        SP_COUNT(options),
        1,
        1};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_fmt(&path, "/api/v1/admin/policy/versions/%s/rollback", sp_client_escape(words[0]));
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_FAILED;
    }
    status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        json_t *body = json_pack("{s:s}", "comment", comment == NULL ? "" : comment);
        status = sp_client_call(client, "POST", text, body, &answer);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        printf("version %s is in force, with the documents of version %s\n",
               sp_json_text(answer, "version"), words[0]);
    }
    json_decref(answer);
    return status;
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

int sp_fetch_command(int argc, char **argv)
{
    const char *version = NULL;
    const sp_option options[] = {
        {"--version", "N", &version, "an earlier version; default: the one in force"}};
    const sp_usage usage = {"fetch DIR [--version N]",
                            "Writes the documents into a folder, to be edited and applied again.",
                            options,
                            SP_COUNT(options),
                            1,
                            1};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_text(&path, "/api/v1/admin/policy/documents");
    if (version != NULL) {
        sp_buf_fmt(&path, "?version=%s", sp_client_escape(version));
    }
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_FAILED;
    }
    status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, "GET", text, NULL, &answer);
    }
    if (status == SP_EXIT_OK) {
        status = write_all(words[0], json_object_get(answer, "files"));
    }
    if (status == SP_EXIT_OK) {
        printf("version %s is in %s\n", sp_json_text(answer, "version"), words[0]);
    }
    json_decref(answer);
    return status;
}
