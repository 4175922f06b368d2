/* SPDX-License-Identifier: Apache-2.0
 * Checking, applying and rolling back the office's documents.
 * OWNS nothing: jobs are core/documents'. PROCESS core. TRUST files are hostile until they compile.
 * SPEC docs/api/openapi.yaml "/admin/policy/apply".
 */
#include "core/admin/shapes.h"
#include "core/documents/documents.h"
#include "core/documents/history.h"

enum {
    BODY_MAX_BYTES = 16 << 20, /* as nginx lets through to us */
    API_FILES_MAX = 1000,
    PATH_MAX_BYTES = 255,
    FILE_MAX_BYTES = 4 << 20
};

typedef struct {
    sp_request *req;
    sp_policy_file *files;
    size_t count;
    bool check_only;
    sp_event event;
} applying;

/* ---- the body ---- */

static bool path_ok(sp_span path)
{
    if (path.len == 0 || path.len > PATH_MAX_BYTES || path.ptr[0] == '/') {
        return false;
    }
    sp_span rest = path;
    sp_span piece = SP_SPAN_EMPTY;
    while (sp_span_split(&rest, '/', &piece)) {
        if (piece.len == 0 || piece.ptr[0] == '.') {
            return false;
        }
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] < ' ' || path.ptr[i] == 0x7f || path.ptr[i] == '\\') {
            return false;
        }
    }
    return true;
}

static bool read_file(sp_request *req, const json_t *item, sp_policy_file *ret_file)
{
    const json_t *path = json_object_get(item, "path");
    const json_t *text = json_object_get(item, "text");
    if (json_object_size(item) != 2 || !json_is_string(path) || !json_is_string(text)) {
        sp_answer_invalid(req, "files", "objects {path, text}");
        return false;
    }
    ret_file->name = json_string_value(path);
    ret_file->text = sp_span_of(json_string_value(text), json_string_length(text));
    if (!path_ok(sp_span_of(ret_file->name, json_string_length(path)))) {
        sp_answer_invalid(req, "files", "relative paths without hidden or .. parts");
        return false;
    }
    if (ret_file->text.len > FILE_MAX_BYTES) {
        sp_answer_invalid(req, "files", "texts of at most 4 MiB");
        return false;
    }
    return true;
}

static bool read_files(sp_request *req, const json_t *list, applying *a)
{
    if (!json_is_array(list) || json_array_size(list) > API_FILES_MAX) {
        sp_answer_invalid(req, "files", "an array of at most 1000 files");
        return false;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), json_array_size(list) + 1, sizeof(*a->files),
                                &a->files);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!read_file(req, json_array_get(list, i), &a->files[a->count++])) {
            return false;
        }
    }
    return true;
}

static applying *new_applying(sp_request *req)
{
    applying *a = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*a), &a);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    a->req = req;
    a->event = sp_request_event(req, SP_EVENT_POLICY);
    return a;
}

/* ---- the answers ---- */

/* Files of the version that was in force, for the difference; none when they cannot be read. */
static sp_sources files_of(sp_core *core, uint64_t version, sp_arena *arena)
{
    sp_sources sources = {0};
    sp_policy_file *files = NULL;
    if (version != 0 &&
        !sp_failed(sp_history_files(core->store, version, arena, &files, &sources.count))) {
        sources.files = files;
    }
    return sources;
}

static json_t *check_json(applying *a, const sp_applied *applied, uint64_t before)
{
    sp_sources now = {a->files, a->count};
    json_t *check = json_object();
    json_object_set_new(check, "ok",
                        json_boolean(applied->set != NULL && applied->diags->errors == 0));
    json_object_set_new(check, "diagnostics", sp_shape_diagnostics(applied->diags));
    json_object_set_new(check, "nevers",
                        applied->set == NULL ? json_array() : sp_shape_nevers(applied->set, &now));
    json_object_set_new(check, "examples",
                        applied->set == NULL ? json_array()
                                             : sp_shape_examples(applied->set, &now));
    if (applied->set != NULL) {
        auto_arena sp_arena arena = sp_arena_make((size_t)SP_POLICY_SET_MAX_BYTES * 2);
        sp_sources old = files_of(sp_request_core(a->req), before, &arena);
        json_t *diff = sp_shape_diff(applied->diff, &old, &now);
        json_object_set_new(diff, "from", json_sprintf("%llu", (unsigned long long)before));
        json_object_set_new(check, "diff", diff);
    }
    json_object_set_new(check, "compile_ms", json_real((double)applied->compile_us / 1000));
    return check;
}

static void answer_not_good(applying *a, const sp_applied *applied)
{
    json_t *problem = json_pack(
        "{s:s,s:s,s:i,s:s,s:s}", "type", "about:blank", "title", "Unprocessable Content", "status",
        422, "code", "invalid", "detail",
        "The documents are not good: nothing was changed. The diagnostics say where and what was "
        "expected.");
    json_object_set_new(problem, "check", check_json(a, applied, applied->version));
    char *text = json_dumps(problem, JSON_COMPACT);
    json_decref(problem);
    sp_answer_bytes(a->req, 422, "application/problem+json", sp_span_cstr(text));
    sp_free(text);
}

static void answer_refused(applying *a, const sp_applied *applied)
{
    sp_request *req = a->req;
    if (applied->err.code == SP_ECONFLICT) {
        sp_answer_problem(req, 409, "conflict",
                          "Version %llu is in force by now. Look at what changed, then try again.",
                          (unsigned long long)applied->version);
    } else if (applied->err.code == SP_EDENIED) {
        sp_answer_problem(
            req, 403, "not_yours",
            "A Retention document can be changed by an audit administrator alone, and "
            "an audit administrator can change nothing else.");
    } else if (applied->err.code == SP_EAGAIN) {
        sp_answer_problem(
            req, 503, "unrecordable",
            "The ledger cannot write this down, so it was not done. Try again when the "
            "ledger is well.");
    } else if (applied->err.code == SP_ELIMIT) {
        sp_answer_too_many(req, 5);
    } else {
        sp_answer_failed(req, applied->err);
    }
}

static void on_applied(void *self, const sp_applied *applied)
{
    applying *a = self;
    if (applied->err.code == SP_EINVALID && applied->diags->errors > 0 && !a->check_only) {
        answer_not_good(a, applied);
    } else if (a->check_only && (applied->set != NULL || applied->diags->errors > 0)) {
        sp_answer_json(a->req, 200, check_json(a, applied, applied->version));
    } else if (sp_failed(applied->err)) {
        answer_refused(a, applied);
    } else {
        sp_answer_json(a->req, 200,
                       sp_admin_version_json(sp_request_core(a->req), applied->version));
    }
}

/* ---- the calls ---- */

static void submit(applying *a, const sp_apply *apply)
{
    sp_documents_apply(sp_request_core(a->req)->state->documents, apply, on_applied, a);
}

static bool read_body(sp_request *req, applying *a, sp_apply *apply)
{
    const json_t *files = NULL;
    sp_span base = SP_SPAN_EMPTY;
    const sp_field fields[] = {
        SP_FIELD_JSON("files", &files),
        SP_FIELD_TEXT_OPT("base_version", &base, 1, 20),
        SP_FIELD_TEXT_OPT("comment", &apply->comment, 0, SP_COMMENT_MAX_BYTES),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !read_files(req, files, a)) {
        return false;
    }
    if (base.len > 0 && sp_failed(sp_span_to_u64(base, INT64_MAX, &apply->base_version))) {
        sp_answer_invalid(req, "base_version", "a version's number");
        return false;
    }
    apply->files = a->files;
    apply->files_count = a->count;
    apply->event = &a->event;
    return true;
}

static sp_reach reach_of(const sp_request *req)
{
    return (sp_request_admin(req) & SP_WHO_AUDIT) != 0 ? SP_REACH_RETENTION
                                                       : SP_REACH_BUT_RETENTION;
}

static void post_validate(sp_request *req)
{
    sp_apply apply = {.reach = SP_REACH_NOTHING};
    applying *a = new_applying(req);
    if (a != NULL && read_body(req, a, &apply)) {
        a->check_only = true;
        submit(a, &apply);
    }
}

static void post_apply(sp_request *req)
{
    sp_apply apply = {.reach = reach_of(req)};
    applying *a = new_applying(req);
    if (a != NULL && read_body(req, a, &apply)) {
        submit(a, &apply);
    }
}

static void post_rollback(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    sp_apply apply = {.reach = reach_of(req)};
    const sp_field fields[] = {
        SP_FIELD_TEXT("comment", &apply.comment, 0, SP_COMMENT_MAX_BYTES),
    };
    applying *a = new_applying(req);
    if (a == NULL || !sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    auto_arena sp_arena arena = sp_arena_make((size_t)SP_POLICY_SET_MAX_BYTES * 2);
    sp_policy_file *files = NULL;
    if (!sp_request_param_u64(req, 0, &apply.rollback_of) ||
        sp_failed(
            sp_history_files(core->store, apply.rollback_of, &arena, &files, &apply.files_count))) {
        sp_answer_problem(req, 404, "not_found", "There is no such version of the documents.");
        return;
    }
    apply.files = files; /* the job copies them */
    apply.event = &a->event;
    submit(a, &apply);
}

sp_err sp_admin_apply_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"POST", "/api/v1/admin/policy/validate", SP_WHO_ANY_ADMIN, post_validate, BODY_MAX_BYTES},
        {"POST", "/api/v1/admin/policy/apply", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_FRESH,
         post_apply, BODY_MAX_BYTES},
        {"POST", "/api/v1/admin/policy/versions/{version}/rollback",
         SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_FRESH, post_rollback, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
