/* SPDX-License-Identifier: Apache-2.0
 * Documents of a folder, compiled without an office running.
 * OWNS what is in policy_office. PROCESS cli. TRUST files may hold anything. SPEC cli/policy.h.
 */
#include "cli/policy.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "infra/proc/zone.h"
#include "lib/sql/uses.h"

#include <jansson.h>
#include <stdio.h>

enum { DIRECTORY_MAX_BYTES = 32 << 20, NAME_BYTES = 4096 };

/* The roles that core has from the first day. */
static const sp_policy_number BUILT_IN[] = {
    {{(const uint8_t *)"system-admin", 12}, 1},
    {{(const uint8_t *)"security-admin", 14}, 2},
    {{(const uint8_t *)"audit-admin", 11}, 3},
};

void policy_office_done(policy_office *office)
{
    sp_policy_set_free(office->set);
    sp_diags_done(&office->diags);
    for (size_t i = 0; office->names != NULL && i < office->folder.count; i++) {
        sp_free(office->names[i]);
    }
    sp_free(office->names);
    sp_folder_done(&office->folder);
    sp_free(office->roles);
    sp_free(office->people);
    json_decref(office->directory);
    *office = (policy_office){0};
}

static sp_err directory_list(const json_t *list, sp_policy_number **ret_numbers, size_t *ret_count)
{
    size_t count = json_array_size(list);
    sp_policy_number *numbers = NULL;
    TRY(sp_alloc(count + 1, sizeof(*numbers), &numbers));
    *ret_numbers = numbers;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *name = json_object_get(item, "name");
        const json_t *number = json_object_get(item, "number");
        if (!json_is_string(name) || !json_is_integer(number) || json_integer_value(number) < 0 ||
            json_integer_value(number) >= UINT32_MAX) {
            return sp_fail(SP_EINVALID);
        }
        numbers[i] =
            (sp_policy_number){sp_span_of(json_string_value(name), json_string_length(name)),
                               (uint32_t)json_integer_value(number)};
    }
    *ret_count = count;
    return sp_ok();
}

static sp_err load_directory(const char *path, policy_office *office)
{
    auto_buf sp_buf text = sp_buf_make(DIRECTORY_MAX_BYTES);
    json_error_t why;
    if (sp_failed(sp_file_read(path, &text))) {
        sp_diags_add(&office->diags, SP_DIAG_ERROR, path, 0, 0, "cannot be read");
        return sp_fail(SP_EINVALID);
    }
    office->directory = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &why);
    if (office->directory == NULL) {
        sp_diags_add(&office->diags, SP_DIAG_ERROR, path, (unsigned)why.line, (unsigned)why.column,
                     "not JSON: %s", why.text);
        return sp_fail(SP_EINVALID);
    }
    sp_err err = directory_list(json_object_get(office->directory, "roles"), &office->roles,
                                &office->roles_count);
    if (!sp_failed(err)) {
        err = directory_list(json_object_get(office->directory, "people"), &office->people,
                             &office->people_count);
    }
    if (sp_failed(err)) {
        sp_diags_add(&office->diags, SP_DIAG_ERROR, path, 0, 0,
                     "a directory is {\"roles\": [{\"name\": ..., \"number\": ...}], \"people\": "
                     "[...]}");
        return sp_fail(SP_EINVALID);
    }
    return sp_ok();
}

/* "office" and "rules/a.yaml" -> "office/rules/a.yaml"; one file alone keeps its own name. */
static sp_err full_name(const char *path, const char *name, size_t files, char **ret_name)
{
    auto_buf sp_buf text = sp_buf_make(NAME_BYTES);
    sp_span folder = sp_span_cstr(path);
    bool alone = files == 1 && sp_span_ends(folder, sp_span_cstr(name));
    sp_buf_span(&text, folder);
    if (!alone) {
        sp_buf_text(&text, folder.len > 0 && folder.ptr[folder.len - 1] == '/' ? "" : "/");
        sp_buf_text(&text, name);
    }
    return sp_buf_take_cstr(&text, ret_name);
}

static sp_err compile(const char *path, bool people_open, policy_office *office)
{
    size_t count = office->folder.count;
    auto_free sp_policy_file *files = NULL;
    TRY(sp_alloc(count, sizeof(*files), &files));
    TRY(sp_alloc(count, sizeof(*office->names), &office->names));
    for (size_t i = 0; i < count; i++) {
        const sp_folder_file *file = &office->folder.files[i];
        TRY(full_name(path, file->name, count, &office->names[i]));
        files[i] = (sp_policy_file){office->names[i], sp_span_of(file->text, file->len)};
    }
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    bool given = office->roles_count > 0;
    sp_policy_input input = {.files = files,
                             .files_count = count,
                             .roles = given ? office->roles : BUILT_IN,
                             .roles_count = given ? office->roles_count : SP_COUNT(BUILT_IN),
                             .people = office->people,
                             .people_count = office->people_count,
                             .people_open = people_open,
                             .version = 1,
                             .now_unix_s = now_unix_s,
                             .zone = sp_zone_system,
                             .zone_ctx = &now_unix_s,
                             .sql = sp_sql_policy_uses};
    return sp_policy_compile(&input, &office->diags, &office->set);
}

sp_err policy_office_load(const char *path, const char *directory, policy_office *office)
{
    if (directory != NULL) {
        TRY(load_directory(directory, office));
    }
    TRY(sp_folder_read(path, &office->diags, &office->folder));
    return compile(path, directory == NULL, office);
}

static void print_to(FILE *to, sp_span text)
{
    if (text.len > 0) {
        fwrite(text.ptr, 1, text.len, to);
    }
}

void policy_print(const sp_buf *out)
{
    print_to(stdout, sp_buf_borrow(out));
}

void policy_print_diags(const sp_diags *diags)
{
    auto_buf sp_buf text = sp_buf_make((size_t)SP_DIAGS_MAX * 2048);
    sp_diags_print(diags, &text);
    print_to(stderr, sp_buf_borrow(&text));
}

void policy_diags_json(const sp_diags *diags, sp_buf *out)
{
    sp_buf_byte(out, '[');
    for (size_t i = 0; i < diags->count; i++) {
        const sp_diag *d = &diags->items[i];
        sp_buf_fmt(out,
                   "%s{\"level\":\"%s\",\"line\":%u,\"column\":%u,\"file\":", i == 0 ? "" : ",",
                   d->level == SP_DIAG_ERROR ? "error" : "warning", d->line, d->column);
        sp_buf_json(out, sp_span_cstr(d->file));
        sp_buf_text(out, ",\"text\":");
        sp_buf_json(out, sp_span_cstr(d->text));
        sp_buf_byte(out, '}');
    }
    sp_buf_byte(out, ']');
}
