/* SPDX-License-Identifier: Apache-2.0
 * How a new version of the documents comes to be in force.
 * OWNS the set in force and the queue of jobs. PROCESS core. TRUST documents are hostile until
 * they compile. SPEC core/documents/documents.h.
 */
#include "core/documents/documents.h"
#include "core/cut/cut.h"

#include "core/documents/history.h"
#include "core/documents/job.h"
#include "core/documents/start.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "core/sinks/sinks.h"
#include "core/state/gates.h"
#include "core/state/publish.h"
#include "core/watch/watch.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

#include <jansson.h>

enum { QUEUE_MAX = 16, ROUNDS_MAX = 2 };

struct sp_documents {
    sp_core *core;
    sp_policy_set *set;
    sp_arena names; /* of the files, that the set points to */
    uint64_t version;
    sp_job *running; /* first of the queue */
    sp_job *last;
    size_t queued;
    bool stopping;
};

const sp_policy_set *sp_documents_set(const sp_documents *documents)
{
    return documents->set;
}

uint64_t sp_documents_version(const sp_documents *documents)
{
    return documents->version;
}

static void run_next(sp_documents *documents);

static void free_all(sp_documents *documents)
{
    sp_policy_set_free(documents->set);
    sp_arena_done(&documents->names);
    sp_free(documents);
}

/* ---- the end of a job ---- */

static void finish(sp_job *job, sp_err err, bool changed)
{
    sp_documents *documents = job->documents;
    sp_applied applied = {
        .err = err,
        .diags = &job->diags,
        .set = changed ? documents->set : job->set,
        .diff = sp_buf_borrow(&job->diff),
        .version = documents->version,
        .changed = changed,
        .compile_us = job->compile_us,
    };
    if (!documents->stopping) { /* else the one who asked is gone */
        job->on_applied(job->self, &applied);
    }
    documents->running = job->next;
    documents->last = job->next == NULL ? NULL : documents->last;
    documents->queued--;
    sp_job_free(job);
    if (documents->stopping && documents->running == NULL) {
        free_all(documents);
    } else {
        run_next(documents);
    }
}

/* ---- into force ---- */

static void tell_everybody(sp_documents *documents)
{
    sp_core *core = documents->core;
    sp_cut_policy_changed(core); /* before anybody has the new roles */
    sp_gates_push_snapshot(core->state->gates);
    sp_watcher_changed(core);
    sp_sinks_send(core);
    sp_state_again(core);
    sp_retention_tell(core->state->retention, documents->set, documents->version);
    sp_sse_publish(core, SP_TOPIC_POLICY, 0, "policy",
                   json_pack("{s:o}", "id", sp_json_id(documents->version)));
    sp_log(SP_LOG_INFO, "policy version %llu is in force", (unsigned long long)documents->version);
}

static sp_err keep(sp_job *job)
{
    sp_documents *documents = job->documents;
    sp_store *store = documents->core->store;
    auto_buf sp_buf counts = sp_buf_make(SP_COUNTS_MAX_BYTES);
    sp_documents_counts(job->set, &counts);
    sp_doc_version version = {
        .version = job->version,
        .applied_unix_s = sp_now_unix_us() / 1000000,
        .rollback_of = job->rollback_of,
        .person = job->event.person,
        .by_name = job->event.person == 0 ? SP_SPAN_LIT("root") : job->event.person_name,
        .comment = job->comment,
        .digest = sp_span_of(sp_policy_digest(sp_policy_set_view(job->set)), SP_SHA256_BYTES),
        .counts = sp_buf_borrow(&counts),
    };
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(sp_history_add(store, &version, job->files, job->files_count));
    return sp_txn_commit(&txn);
}

static void on_recorded(void *self, sp_err err)
{
    sp_job *job = self;
    sp_documents *documents = job->documents;
    if (sp_failed(err) || documents->stopping) {
        finish(job, sp_fail(SP_EAGAIN), false);
        return;
    }
    err = sp_job_holders(job, documents->core->store); /* somebody may have granted meanwhile */
    if (sp_failed(err)) {
        finish(job, err, false);
        return;
    }
    err = keep(job);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the store did not keep policy version %llu: %s",
               (unsigned long long)job->version, sp_store_error_text(documents->core->store));
        finish(job, err, false);
        return;
    }
    sp_publish_swap(documents->core->state->publish, SP_STEAL_FD(job->snapshot_fd), job->version);
    sp_policy_set_free(documents->set);
    sp_arena_done(&documents->names);
    documents->set = SP_STEAL(job->set);
    documents->names = job->names;
    job->names = (sp_arena){0};
    documents->version = job->version;
    tell_everybody(documents);
    finish(job, sp_ok(), true);
}

static void record(sp_job *job)
{
    sp_buf *detail = &job->detail;
    sp_buf_fmt(detail, "{\"version\":%llu,\"from\":%llu,\"digest\":\"",
               (unsigned long long)job->version, (unsigned long long)job->documents->version);
    sp_buf_hex(detail, sp_span_of(sp_policy_digest(sp_policy_set_view(job->set)), SP_SHA256_BYTES));
    sp_buf_fmt(detail,
               "\",\"rollback_of\":%llu,\"comment\":", (unsigned long long)job->rollback_of);
    sp_buf_json(detail, job->comment);
    sp_buf_text(detail, "}");
    job->event.kind = SP_EVENT_POLICY;
    job->event.verdict = SP_VERDICT_ALLOW;
    job->event.severity = SP_SEVERITY_MEDIUM;
    job->event.policy_version = job->version;
    job->event.method = job->rollback_of == 0 ? SP_SPAN_LIT("apply") : SP_SPAN_LIT("rollback");
    job->event.when_unix_us = sp_now_unix_us();
    job->event.detail = sp_buf_borrow(detail);
    sp_ledger_client_append(job->documents->core->ledger, &job->event, on_recorded, job);
}

/* ---- after compiling ---- */

/* Gives the new roles their numbers. *ret_again: the compiler had counted on others. */
static sp_err number_roles(const sp_job *job, bool *ret_again)
{
    sp_store *store = job->documents->core->store;
    bool again = false;
    auto_txn sp_txn txn = sp_txn_begin(store);
    for (size_t i = 0; i < sp_policy_set_role_count(job->set); i++) {
        sp_policy_role role;
        uint32_t number = 0;
        TRY(sp_policy_set_role(job->set, i, &role));
        if (role.is_new) {
            TRY(sp_roles_ensure(store, role.name, &number));
            again = again || number != role.number;
        }
    }
    TRY(sp_txn_commit(&txn));
    *ret_again = again;
    return sp_ok();
}

static sp_err judge(sp_job *job, bool *ret_same)
{
    const sp_documents *documents = job->documents;
    TRY(job->err);
    if (job->base_version != 0 && job->base_version != documents->version) {
        return sp_fail(SP_ECONFLICT);
    }
    if (!sp_job_within_reach(job)) {
        return sp_fail(SP_EDENIED);
    }
    TRY(sp_job_holders(job, documents->core->store));
    return sp_history_same(documents->core->store, documents->version, job->files, job->files_count,
                           ret_same);
}

static void compile(sp_job *job);

static void on_compiled(uv_work_t *work, int status)
{
    sp_job *job = work->data;
    bool same = false;
    bool again = false;
    sp_err err = status != 0 || job->documents->stopping ? sp_fail(SP_ECLOSED) : judge(job, &same);
    if (sp_failed(err) || job->reach == SP_REACH_NOTHING || same) {
        finish(job, err, false);
        return;
    }
    err = number_roles(job, &again);
    if (!sp_failed(err) && again && ++job->rounds < ROUNDS_MAX) {
        compile(job);
        return;
    }
    if (!sp_failed(err)) {
        err = again ? sp_fail(SP_EINTERNAL)
                    : sp_publish_seal(sp_policy_set_snapshot(job->set), &job->snapshot_fd);
    }
    if (sp_failed(err)) {
        finish(job, err, false);
        return;
    }
    record(job);
}

static void on_work(uv_work_t *work)
{
    sp_job_compile(work->data);
}

static void compile(sp_job *job)
{
    sp_documents *documents = job->documents;
    uint64_t newest = 0;
    sp_err err = sp_history_newest(documents->core->store, &newest);
    job->version = newest + 1;
    job->before = documents->set;
    if (!sp_failed(err)) {
        sp_job_commands(job, documents->core->config);
        err = sp_job_directory(job, documents->core->store);
    }
    if (!sp_failed(err) && sp_documents_version(documents) != 0) { /* a new office has no reports */
        err = sp_job_packs(job, documents->core);
    }
    job->work.data = job;
    if (!sp_failed(err) &&
        uv_queue_work(documents->core->loop, &job->work, on_work, on_compiled) != 0) {
        err = sp_fail(SP_EINTERNAL);
    }
    if (sp_failed(err)) {
        finish(job, err, false);
    }
}

static void run_next(sp_documents *documents)
{
    sp_job *job = documents->running;
    if (job != NULL && documents->stopping) {
        finish(job, sp_fail(SP_ECLOSED), false);
    } else if (job != NULL) {
        compile(job);
    }
}

void sp_documents_apply(sp_documents *documents, const sp_apply *apply, sp_on_applied on_applied,
                        void *self)
{
    sp_job *job = NULL;
    sp_err err = documents->queued >= QUEUE_MAX || documents->stopping ? sp_fail(SP_ELIMIT)
                                                                       : sp_job_new(apply, &job);
    if (sp_failed(err)) {
        sp_diags none = {0};
        sp_applied applied = {.err = err, .diags = &none, .version = documents->version};
        on_applied(self, &applied);
        return;
    }
    job->documents = documents;
    job->on_applied = on_applied;
    job->self = self;
    documents->queued++;
    if (documents->running != NULL) {
        documents->last->next = job;
        documents->last = job;
        return;
    }
    documents->running = job;
    documents->last = job;
    compile(job);
}

sp_err sp_documents_start(sp_core *core, sp_documents **ret_documents)
{
    TRY(sp_history_migrate(core->store));
    sp_documents *documents = NULL;
    TRY(sp_alloc(1, sizeof(*documents), &documents));
    documents->core = core;
    int fd = -1;
    sp_err err = sp_documents_load(core, &documents->set, &documents->names, &documents->version);
    if (!sp_failed(err)) {
        err = sp_publish_seal(sp_policy_set_snapshot(documents->set), &fd);
    }
    if (sp_failed(err)) {
        sp_documents_stop(documents);
        return err;
    }
    sp_publish_swap(core->state->publish, fd, documents->version);
    *ret_documents = documents;
    return sp_ok();
}

/* A job that another thread still compiles ends first; the last one frees the rest. */
void sp_documents_stop(sp_documents *documents)
{
    if (documents == NULL) {
        return;
    }
    documents->stopping = true;
    if (documents->running == NULL) {
        free_all(documents);
    }
}
