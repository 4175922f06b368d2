/* SPDX-License-Identifier: Apache-2.0
 * One set of files on its way to be the version in force: copied, compiled on another thread.
 * OWNS copies of the files, the directory it is compiled against, the set until taken.
 * PROCESS core: made and ended on the loop; sp_job_compile() may run on any one thread.
 * TRUST the files are hostile until they compile. SPEC core/documents/documents.h.
 */
#ifndef SP_CORE_DOCUMENTS_JOB_H
#define SP_CORE_DOCUMENTS_JOB_H

#include "core/documents/documents.h"
#include "lib/base/arena.h"

typedef struct sp_job {
    struct sp_job *next; /* the queue of documents.c */
    sp_documents *documents;
    uv_work_t work;

    /* what was asked */
    uint64_t base_version;
    uint64_t rollback_of;
    sp_reach reach;
    sp_event event;
    sp_span comment;
    sp_on_applied on_applied;
    void *self;

    /* what it is compiled from */
    sp_arena arena;
    sp_arena names; /* of the files: the set points to them as long as it lives */
    sp_policy_file *files;
    size_t files_count;
    sp_policy_number *roles;
    size_t roles_count;
    sp_policy_number *people;
    size_t people_count;
    sp_span commands[SP_COMMANDS_MAX]; /* of the configuration */
    size_t commands_count;
    sp_span *packs;
    size_t packs_count;
    bool commands_known; /* false: what is in force already, at a start */
    uint64_t version;
    const sp_policy_set *before; /* in force; nobody changes it while a job runs */

    /* what came out */
    sp_err err;
    sp_diags diags;
    sp_policy_set *set;
    sp_buf diff;
    sp_buf detail; /* of the ledger's entry */
    uint64_t compile_us;
    unsigned rounds;
    int snapshot_fd; /* sealed, not yet in force; -1 = none */
} sp_job;

SP_MUST sp_err sp_job_new(const sp_apply *apply, sp_job **ret_job);
void sp_job_free(sp_job *job);
/* Reads the numbers of roles and people out of the store. */
SP_MUST sp_err sp_job_directory(sp_job *job, sp_store *store);
/* Plans may run these only. */
void sp_job_commands(sp_job *job, const sp_config *config);
/* LawPacks that may not go. */
SP_MUST sp_err sp_job_packs(sp_job *job, sp_core *core);
/* Fills err, diags, set, diff. */
void sp_job_compile(sp_job *job);
/* Told, and SP_EINVALID, when somebody holds roles together that the new set keeps apart. */
SP_MUST sp_err sp_job_holders(sp_job *job, sp_store *store);
/* Whether the difference keeps to what the person may change. */
bool sp_job_within_reach(const sp_job *job);

#endif
