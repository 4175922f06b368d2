/* SPDX-License-Identifier: Apache-2.0
 * One set of files, compiled on another thread.
 * OWNS copies of the files and what comes out. PROCESS core. TRUST files are hostile.
 * SPEC core/documents/job.h.
 */
#include "core/documents/job.h"
#include "core/reports/reports.h"

#include "core/documents/history.h"
#include "core/identity/people.h"
#include "infra/proc/clock.h"
#include "infra/proc/zone.h"
#include "lib/sql/uses.h"

#include <jansson.h>
#include <unistd.h>

enum {
    ARENA_MAX_BYTES = 192 << 20, /* files, and names of a million people */
    DIFF_MAX_BYTES = 64 << 20,
    DIFF_CELLS_MAX = 500,
    NAMES_MAX_BYTES = 16 << 20
};

static sp_err copy_files(sp_job *job, const sp_apply *apply)
{
    TRY(sp_arena_alloc(&job->arena, apply->files_count + 1, sizeof(*job->files), &job->files));
    for (size_t i = 0; i < apply->files_count; i++) {
        sp_span name = SP_SPAN_EMPTY;
        TRY(sp_arena_copy(&job->names, sp_span_cstr(apply->files[i].name), &name));
        TRY(sp_arena_copy(&job->arena, apply->files[i].text, &job->files[i].text));
        job->files[i].name = (const char *)name.ptr;
    }
    job->files_count = apply->files_count;
    return sp_ok();
}

sp_err sp_job_new(const sp_apply *apply, sp_job **ret_job)
{
    if (apply->files_count > SP_POLICY_FILES_MAX || apply->comment.len > SP_COMMENT_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_job *job = NULL;
    TRY(sp_alloc(1, sizeof(*job), &job));
    job->arena = sp_arena_make(ARENA_MAX_BYTES);
    job->names = sp_arena_make(NAMES_MAX_BYTES);
    job->diff = sp_buf_make(DIFF_MAX_BYTES);
    job->detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    job->snapshot_fd = -1;
    job->base_version = apply->base_version;
    job->rollback_of = apply->rollback_of;
    job->reach = apply->reach;
    if (apply->event != NULL) {
        job->event = *apply->event;
    }
    sp_err err = sp_arena_copy(&job->arena, apply->comment, &job->comment);
    if (!sp_failed(err)) {
        err = copy_files(job, apply);
    }
    if (sp_failed(err)) {
        sp_job_free(job);
        return err;
    }
    *ret_job = job;
    return sp_ok();
}

void sp_job_free(sp_job *job)
{
    if (job == NULL) {
        return;
    }
    if (job->snapshot_fd >= 0) {
        close(job->snapshot_fd);
    }
    sp_policy_set_free(job->set);
    sp_diags_done(&job->diags);
    sp_buf_done(&job->diff);
    sp_buf_done(&job->detail);
    sp_arena_done(&job->arena);
    sp_arena_done(&job->names);
    sp_free(job);
}

/* ---- the directory ---- */

typedef struct {
    sp_arena *arena;
    sp_policy_number *list;
    size_t count;
    size_t cap;
    sp_err err;
} gather;

static sp_err gather_grow(gather *g)
{
    sp_policy_number *list = NULL;
    size_t cap = g->cap == 0 ? SP_ROLES_MAX : g->cap * 2;
    TRY(sp_arena_alloc(g->arena, cap, sizeof(*list), &list));
    sp_copy(list, g->list, g->count * sizeof(*list));
    g->list = list;
    g->cap = cap;
    return sp_ok();
}

static void gather_add(gather *g, sp_span name, uint32_t number)
{
    sp_span copy = SP_SPAN_EMPTY;
    if (!sp_failed(g->err) && g->count == g->cap) {
        g->err = gather_grow(g);
    }
    if (!sp_failed(g->err)) {
        g->err = sp_arena_copy(g->arena, name, &copy);
    }
    if (!sp_failed(g->err)) {
        g->list[g->count++] = (sp_policy_number){copy, number};
    }
}

static void on_role(void *self, sp_span name, uint32_t number)
{
    gather_add(self, name, number);
}

/* Removed people too: a document that names one who left must still compile at the next start. */
static void on_person(void *self, const sp_person *person)
{
    gather_add(self, sp_span_cstr(person->name), person->id);
}

sp_err sp_job_directory(sp_job *job, sp_store *store)
{
    gather roles = {.arena = &job->arena};
    TRY(sp_roles_each(store, on_role, &roles));
    TRY(roles.err);
    gather people = {.arena = &job->arena};
    TRY(sp_people_each(store, on_person, &people));
    TRY(people.err);
    job->roles = roles.list;
    job->roles_count = roles.count;
    job->people = people.list;
    job->people_count = people.count;
    return sp_ok();
}

void sp_job_commands(sp_job *job, const sp_config *config)
{
    job->commands_known = true;
    job->commands_count = config->commands_count;
    for (size_t i = 0; i < config->commands_count; i++) {
        job->commands[i] = sp_span_cstr(config->commands[i].name);
    }
}

sp_err sp_job_packs(sp_job *job, sp_core *core)
{
    return sp_reports_packs(core, &job->arena, &job->packs, &job->packs_count);
}

void sp_job_compile(sp_job *job)
{
    sp_policy_set_free(SP_STEAL(job->set));
    sp_diags_done(&job->diags);
    job->diags = (sp_diags){0};
    sp_buf_reset(&job->diff);
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_policy_input input = {
        .files = job->files,
        .files_count = job->files_count,
        .roles = job->roles,
        .roles_count = job->roles_count,
        .people = job->people,
        .people_count = job->people_count,
        .commands = job->commands,
        .commands_count = job->commands_count,
        .commands_known = job->commands_known,
        .packs = job->packs,
        .packs_count = job->packs_count,
        .version = job->version,
        .now_unix_s = now_unix_s,
        .zone = sp_zone_system,
        .zone_ctx = &now_unix_s,
        .sql = sp_sql_policy_uses,
    };
    uint64_t from_us = sp_now_steady_us();
    job->err = sp_policy_compile(&input, &job->diags, &job->set);
    job->compile_us = sp_now_steady_us() - from_us;
    if (!sp_failed(job->err)) {
        job->err = sp_policy_diff_json(job->before, job->set, DIFF_CELLS_MAX, &job->diff);
    }
}

static bool change_allowed(const json_t *change, sp_reach reach)
{
    const char *kind = json_string_value(json_object_get(change, "kind"));
    bool retention = sp_span_eq(sp_span_cstr(kind), SP_SPAN_LIT("Retention"));
    return retention == (reach == SP_REACH_RETENTION);
}

bool sp_job_within_reach(const sp_job *job)
{
    if (job->reach == SP_REACH_ALL || job->reach == SP_REACH_NOTHING) {
        return true;
    }
    sp_span text = sp_buf_borrow(&job->diff);
    json_t *diff = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    const json_t *documents = json_object_get(diff, "documents");
    bool within = json_is_array(documents);
    size_t i = 0;
    const json_t *change = NULL;
    json_array_foreach(documents, i, change)
    {
        within = within && change_allowed(change, job->reach);
    }
    json_decref(diff);
    return within;
}
