/* SPDX-License-Identifier: Apache-2.0
 * The office's documents: the version in force, its history, and how a new version comes to be.
 *
 * Story of an apply: the files are compiled, proven and tried on another thread, one job after
 * another; then checked against the version it was made from and against what the person may
 * change; then the ledger is told and answers that the entry is on disk; then the store keeps the
 * version; then the snapshot is swapped and every gate looks again. Whatever fails, nothing has
 * changed.
 *
 * OWNS the set in force, jobs. PROCESS core. TRUST documents are hostile until they compile.
 * SPEC docs/ARCHITECTURE.md "Policy".
 */
#ifndef SP_CORE_DOCUMENTS_DOCUMENTS_H
#define SP_CORE_DOCUMENTS_DOCUMENTS_H

#include "core/state/state.h"
#include "lib/policy/compile.h"

/* Puts the newest version in force, or, at the first start, the documents of the bootstrap file:
 * these are compiled before this returns (SP_EINVALID, told in the log). */
SP_MUST sp_err sp_documents_start(sp_core *core, sp_documents **ret_documents);
void sp_documents_stop(sp_documents *documents);
/* The set in force; valid until the loop runs again. An empty one (denies all) before the first. */
const sp_policy_set *sp_documents_set(const sp_documents *documents);
/* 0 before the first. */
uint64_t sp_documents_version(const sp_documents *documents);

/* What a person may change: the security administrator all but Retention, the audit administrator
 * Retention alone; the operator's own files at the first start, all. */
typedef enum {
    SP_REACH_NOTHING, /* check only */
    SP_REACH_BUT_RETENTION,
    SP_REACH_RETENTION,
    SP_REACH_ALL
} sp_reach;

typedef struct {
    const sp_policy_file *files; /* copied */
    size_t files_count;
    uint64_t base_version; /* SP_ECONFLICT unless this one is in force; 0 = any */
    uint64_t rollback_of;  /* 0 = none */
    sp_reach reach;
    const sp_event *event; /* who, for the ledger; its spans must live until the answer */
    sp_span comment;
} sp_apply;

typedef struct {
    /* SP_OK; SP_EINVALID: see diags; SP_ECONFLICT: another version is in force; SP_EDENIED: it
     * changes what this person may not; SP_EAGAIN: the ledger cannot record it; SP_ELIMIT: too
     * many are waiting; else a failure of ours. */
    sp_err err;
    const sp_diags *diags;
    const sp_policy_set *set; /* compiled, NULL when it did not compile */
    sp_span diff;             /* JSON of sp_policy_diff_json against the version in force */
    uint64_t version;         /* in force now */
    bool changed;             /* false: these documents were in force already */
    uint64_t compile_us;
} sp_applied;

/* Called exactly once, on the loop. applied is valid during the call. */
typedef void (*sp_on_applied)(void *self, const sp_applied *applied);
void sp_documents_apply(sp_documents *documents, const sp_apply *apply, sp_on_applied on_applied,
                        void *self);

#endif
