/* SPDX-License-Identifier: Apache-2.0
 * The documents when core starts, and what the ledger is told of them.
 * OWNS timers that try again. PROCESS core. TRUST files of the operator may be wrong.
 * SPEC core/documents/start.h.
 */
#include "core/documents/start.h"

#include "core/documents/history.h"
#include "core/documents/job.h"
#include "core/ledger_client.h"
#include "infra/proc/folder.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

enum { AGAIN_MS = 1000 };

static void log_diags(const sp_diags *diags)
{
    for (size_t i = 0; i < diags->count; i++) {
        const sp_diag *diag = &diags->items[i];
        sp_log(diag->level == SP_DIAG_ERROR ? SP_LOG_ERROR : SP_LOG_WARN, "%s:%u:%u: %s",
               diag->file == NULL ? "documents" : diag->file, diag->line, diag->column, diag->text);
    }
}

/* ---- the newest version ---- */

static sp_err job_of_version(sp_core *core, uint64_t version, sp_job **ret_job)
{
    auto_arena sp_arena arena = sp_arena_make((size_t)SP_POLICY_SET_MAX_BYTES * 2);
    sp_apply apply = {0};
    sp_policy_file *files = NULL;
    if (version != 0) {
        TRY(sp_history_files(core->store, version, &arena, &files, &apply.files_count));
        apply.files = files;
    }
    return sp_job_new(&apply, ret_job);
}

sp_err sp_documents_load(sp_core *core, sp_policy_set **ret_set, sp_arena *ret_names,
                         uint64_t *ret_version)
{
    uint64_t version = 0;
    sp_job *job = NULL;
    TRY(sp_history_newest(core->store, &version));
    TRY(job_of_version(core, version, &job));
    job->version = version;
    sp_err err = sp_job_directory(job, core->store);
    if (!sp_failed(err)) {
        sp_job_compile(job);
        log_diags(&job->diags);
        err = job->err;
    }
    if (!sp_failed(err)) {
        *ret_set = SP_STEAL(job->set);
        *ret_names = job->names;
        job->names = (sp_arena){0};
        *ret_version = version;
    } else {
        sp_log(SP_LOG_ERROR, "policy version %llu of the store does not compile any more: %s",
               (unsigned long long)version, sp_code_word(err.code));
    }
    sp_job_free(job);
    return err;
}

/* ---- the first start ---- */

typedef struct {
    sp_core *core;
    sp_folder folder;
    sp_policy_file *files;
    uv_timer_t timer;
    const char *comment; /* in the history: why there is this version */
} first;

static void first_closed(uv_handle_t *handle)
{
    first *f = handle->data;
    sp_folder_done(&f->folder);
    sp_free(f->files);
    sp_free(f);
}

static void first_try(uv_timer_t *timer);

static void on_first(void *self, const sp_applied *applied)
{
    first *f = self;
    if (applied->err.code == SP_EAGAIN && uv_timer_start(&f->timer, first_try, AGAIN_MS, 0) == 0) {
        return; /* the ledger is not there yet */
    }
    if (sp_failed(applied->err)) {
        log_diags(applied->diags);
        sp_log(SP_LOG_ERROR, "the documents of %s were not applied: %s",
               f->core->config->documents_dir, sp_code_word(applied->err.code));
    }
    uv_close((uv_handle_t *)&f->timer, first_closed);
}

static void first_try(uv_timer_t *timer)
{
    first *f = timer->data;
    sp_event event = {.kind = SP_EVENT_POLICY, .object = sp_span_cstr(f->core->config->file)};
    sp_apply apply = {
        .files = f->files,
        .files_count = f->folder.count,
        .reach = SP_REACH_ALL,
        .event = &event,
        .comment = sp_span_cstr(f->comment),
    };
    sp_documents_apply(f->core->state->documents, &apply, on_first, f);
}

static sp_err files_of(const sp_folder *folder, sp_policy_file **ret_files)
{
    sp_policy_file *files = NULL;
    TRY(sp_alloc(folder->count + 1, sizeof(*files), &files));
    for (size_t i = 0; i < folder->count; i++) {
        files[i].name = folder->files[i].name;
        files[i].text = sp_span_of(folder->files[i].text, folder->files[i].len);
    }
    *ret_files = files;
    return sp_ok();
}

/* Compiles them once, so that a mistake ends the start with its line. */
static sp_err check_first(const sp_core *core, const first *f)
{
    sp_apply apply = {.files = f->files, .files_count = f->folder.count};
    sp_job *job = NULL;
    TRY(sp_job_new(&apply, &job));
    job->version = 1;
    sp_err err = sp_job_directory(job, core->store);
    if (!sp_failed(err)) {
        sp_job_commands(job, core->config);
        sp_job_compile(job);
        log_diags(&job->diags);
        err = job->err;
    }
    sp_job_free(job);
    return err;
}

static sp_err read_first(const sp_core *core, first *f)
{
    auto_diags sp_diags diags = {0};
    sp_err err = sp_folder_read(core->config->documents_dir, &diags, &f->folder);
    log_diags(&diags);
    TRY(err);
    TRY(files_of(&f->folder, &f->files));
    return check_first(core, f);
}

static sp_err apply_folder(sp_core *core, const char *comment)
{
    first *f = NULL;
    TRY(sp_alloc(1, sizeof(*f), &f));
    f->core = core;
    f->comment = comment;
    f->timer.data = f;
    sp_err err = read_first(core, f);
    if (!sp_failed(err) && uv_timer_init(core->loop, &f->timer) != 0) {
        err = sp_fail(SP_EIO);
    }
    if (sp_failed(err)) {
        sp_folder_done(&f->folder);
        sp_free(f->files);
        sp_free(f);
        return err;
    }
    first_try(&f->timer);
    return sp_ok();
}

sp_err sp_documents_first(sp_core *core)
{
    if (sp_documents_version(core->state->documents) != 0 || core->config->documents_dir == NULL) {
        return sp_ok();
    }
    return apply_folder(core, "first start");
}

void sp_documents_reload(sp_core *core)
{
    if (core->config->documents_dir == NULL) {
        sp_log(SP_LOG_WARN, "asked to read the documents again, but documents: names no folder");
        return;
    }
    sp_err err = apply_folder(core, "read again from the folder");
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the documents of %s are wrong: nothing was changed",
               core->config->documents_dir);
    }
}

/* ---- how long entries are kept ---- */

struct sp_retention {
    sp_core *core;
    sp_ledger_retain retain;
    uv_timer_t timer;
    bool waiting; /* for the ledger's reply */
    bool changed; /* since it was asked */
    bool stopped;
};

static void retention_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

static void tell_try(uv_timer_t *timer);

static void on_told(void *self, sp_err err, sp_span body)
{
    sp_retention *r = self;
    (void)body;
    r->waiting = false;
    if (r->stopped) {
        uv_close((uv_handle_t *)&r->timer, retention_closed);
        return;
    }
    bool away = err.code == SP_EAGAIN || err.code == SP_ETIMEOUT || err.code == SP_ECLOSED;
    if (sp_failed(err) && !away) {
        sp_log(SP_LOG_ERROR, "the ledger did not take the retention of %u days: %s", r->retain.days,
               sp_code_word(err.code));
    }
    if (away || r->changed) {
        uv_timer_start(&r->timer, tell_try, AGAIN_MS, 0);
    }
}

static void tell_try(uv_timer_t *timer)
{
    sp_retention *r = timer->data;
    auto_buf sp_buf body = sp_buf_make(64);
    sp_ledger_retain_write(&r->retain, &body);
    r->waiting = true;
    r->changed = false;
    sp_ledger_client_call(r->core->ledger, SP_LEDGER_RETAIN, sp_buf_borrow(&body), on_told, r);
}

sp_err sp_retention_new(sp_core *core, sp_retention **ret_retention)
{
    sp_retention *r = NULL;
    TRY(sp_alloc(1, sizeof(*r), &r));
    r->core = core;
    r->timer.data = r;
    if (uv_timer_init(core->loop, &r->timer) != 0) {
        sp_free(r);
        return sp_fail(SP_EIO);
    }
    *ret_retention = r;
    return sp_ok();
}

void sp_retention_stop(sp_retention *r)
{
    if (r == NULL) {
        return;
    }
    r->stopped = true;
    if (!r->waiting) {
        uv_close((uv_handle_t *)&r->timer, retention_closed);
    }
}

void sp_retention_tell(sp_retention *r, const sp_policy_set *set, uint64_t version)
{
    r->retain = (sp_ledger_retain){.policy_version = version};
    for (unsigned kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        sp_span word = sp_span_cstr(sp_event_kind_word((sp_event_kind)kind));
        for (unsigned level = 0; level < SP_CLASSES_MAX; level++) {
            uint32_t days = sp_policy_set_retention_days(set, word, (uint8_t)level);
            r->retain.days = days > r->retain.days ? days : r->retain.days;
        }
    }
    r->changed = true;
    if (!r->waiting) {
        tell_try(&r->timer);
    }
}

/* ---- figures ---- */

void sp_documents_counts(const sp_policy_set *set, sp_buf *out)
{
    sp_policy_figures figures = sp_policy_set_figures(set);
    sp_buf_fmt(out,
               "{\"Class\":%zu,\"Role\":%zu,\"Resource\":%zu,\"Rule\":%zu,\"Never\":%zu,"
               "\"Example\":%zu}",
               figures.classes, figures.roles, figures.resources, figures.rules, figures.nevers,
               figures.examples);
}
