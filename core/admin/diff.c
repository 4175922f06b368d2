/* SPDX-License-Identifier: Apache-2.0
 * What changed between two versions of the policy. Both are compiled, which may take seconds: on
 * another thread, as an apply is, and one at a time.
 * OWNS the comparison under way. PROCESS core; compare() alone on a thread of the pool, on copies.
 * TRUST requests are hostile; the files compiled before. SPEC docs/api/openapi.yaml
 * "/admin/policy/diff".
 */
#include "core/admin/shapes.h"
#include "core/documents/documents.h"
#include "core/documents/history.h"
#include "core/documents/job.h"
#include "core/http/json.h"

enum { ARENA_BYTES = 4 * SP_POLICY_SET_MAX_BYTES, OUT_MAX_BYTES = 64 << 20, CELLS_MAX = 500 };

typedef struct {
    uv_work_t work;
    sp_core *core;
    sp_request *req;
    uint64_t from;
    uint64_t to;
    sp_arena arena;
    sp_sources before;
    sp_sources after;
    sp_job *old_job;
    sp_job *new_job;
    sp_buf out;
    sp_err err;
} comparison;

static bool under_way; /* the pool also checks passwords: nobody may fill it with policies */

static void comparison_free(comparison *c)
{
    sp_job_free(c->old_job);
    sp_job_free(c->new_job);
    sp_buf_done(&c->out);
    sp_arena_done(&c->arena);
    sp_free(c);
}

static bool read_version(sp_request *req, const char *name, uint64_t *ret_version)
{
    sp_span text = sp_request_query(req, name);
    *ret_version = sp_documents_version(sp_request_core(req)->state->documents);
    if (text.len > 0 && sp_failed(sp_span_to_u64(text, INT64_MAX, ret_version))) {
        sp_answer_invalid(req, name, "a version's number");
        return false;
    }
    return true;
}

/* Version 0 is the empty policy. */
static sp_err read_side(comparison *c, uint64_t version, sp_sources *ret_sources, sp_job **ret_job)
{
    sp_policy_file *files = NULL;
    *ret_sources = (sp_sources){0};
    if (version != 0) {
        TRY(sp_history_files(c->core->store, version, &c->arena, &files, &ret_sources->count));
        ret_sources->files = files;
    }
    const sp_apply apply = {.files = ret_sources->files, .files_count = ret_sources->count};
    TRY(sp_job_new(&apply, ret_job));
    return sp_job_directory(*ret_job, c->core->store);
}

static sp_err compile(sp_job *job)
{
    sp_job_compile(job);
    /* it compiled once: people and roles it names may have gone since */
    return job->err.code == SP_EINVALID ? sp_fail(SP_ECONFLICT) : job->err;
}

static void compare(uv_work_t *work)
{
    comparison *c = work->data;
    c->err = compile(c->old_job);
    if (!sp_failed(c->err)) {
        c->err = compile(c->new_job);
    }
    if (!sp_failed(c->err)) {
        c->err = sp_policy_diff_json(c->old_job->set, c->new_job->set, CELLS_MAX, &c->out);
    }
}

static void on_compared(uv_work_t *work, int status)
{
    comparison *c = work->data;
    under_way = false;
    if (c->core->state == NULL) {
        comparison_free(c); /* core stops: the request has been answered */
        return;
    }
    sp_err err = status != 0 ? sp_fail(SP_ECLOSED) : c->err;
    if (sp_failed(err)) {
        sp_answer_failed(c->req, err);
    } else {
        json_t *body = sp_shape_diff(sp_buf_borrow(&c->out), &c->before, &c->after);
        json_object_set_new(body, "from", sp_json_id(c->from));
        json_object_set_new(body, "to", sp_json_id(c->to));
        sp_answer_json(c->req, 200, body);
    }
    comparison_free(c);
}

static sp_err begin(comparison *c)
{
    TRY(read_side(c, c->from, &c->before, &c->old_job));
    TRY(read_side(c, c->to, &c->after, &c->new_job));
    c->work.data = c;
    bool queued = uv_queue_work(c->core->loop, &c->work, compare, on_compared) == 0;
    return queued ? sp_ok() : sp_fail(SP_EINTERNAL);
}

static void get_diff(sp_request *req)
{
    uint64_t from = 0;
    uint64_t to = 0;
    comparison *c = NULL;
    if (!read_version(req, "from", &from) || !read_version(req, "to", &to)) {
        return;
    }
    if (under_way) {
        sp_answer_problem(req, 409, "busy", "Two versions are being compared. Try again.");
        return;
    }
    sp_err err = sp_alloc(1, sizeof(*c), &c);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *c = (comparison){.core = sp_request_core(req),
                      .req = req,
                      .from = from,
                      .to = to,
                      .arena = sp_arena_make(ARENA_BYTES),
                      .out = sp_buf_make(OUT_MAX_BYTES)};
    err = begin(c);
    if (sp_failed(err)) {
        comparison_free(c);
        sp_answer_failed(req, err);
        return;
    }
    under_way = true;
}

sp_err sp_admin_diff_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/policy/diff", SP_WHO_ANY_ADMIN, get_diff, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
