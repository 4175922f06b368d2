/* SPDX-License-Identifier: Apache-2.0
 * Who holds what the new documents keep apart: roles are given by people, not by documents, so a
 * role that excludes another from now on may find somebody who has both.
 * OWNS nothing. PROCESS core. TRUST none. SPEC docs/POLICY.md "Role", excludes.
 */
#include "core/documents/job.h"
#include "core/identity/people.h"

enum { TOLD_MAX = 20 };

typedef struct {
    sp_job *job;
    sp_store *store;
    sp_err err;
    size_t told;
} looking;

/* What is so already, by the documents in force, is told but stops nothing. */
static void look_at(void *self, const sp_person *person)
{
    looking *l = self;
    const sp_policy_set *before = l->job->before;
    uint64_t roles[SP_ROLE_WORDS] = {0};
    sp_span one = SP_SPAN_EMPTY;
    sp_span other = SP_SPAN_EMPTY;
    if (person->state == SP_PERSON_REMOVED || sp_failed(l->err) || l->told == TOLD_MAX) {
        return;
    }
    l->err = sp_roles_of(l->store, person->id, roles);
    if (sp_failed(l->err)) {
        return;
    }
    bool is_so = before != NULL && !sp_policy_set_roles_allowed(before, roles, &one, &other);
    if (!sp_policy_set_roles_allowed(l->job->set, roles, &one, &other)) {
        l->told++;
        sp_diags_add(&l->job->diags, is_so ? SP_DIAG_WARNING : SP_DIAG_ERROR, NULL, 0, 0,
                     "%s holds the roles '%.*s' and '%.*s', which these documents keep apart: "
                     "take one of them from him first",
                     person->name, SP_SPAN_ARG(one), SP_SPAN_ARG(other));
    }
}

sp_err sp_job_holders(sp_job *job, sp_store *store)
{
    looking l = {.job = job, .store = store, .err = sp_ok()};
    TRY(sp_people_each(store, look_at, &l));
    TRY(l.err);
    return job->diags.errors > 0 ? sp_fail(SP_EINVALID) : sp_ok();
}
