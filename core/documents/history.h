/* SPDX-License-Identifier: Apache-2.0
 * Versions of the documents in the store. A text is kept once, however many versions have it.
 * OWNS nothing: rows of the store. PROCESS core. TRUST the store is core's own.
 * SPEC docs/ARCHITECTURE.md "Policy".
 */
#ifndef SP_CORE_DOCUMENTS_HISTORY_H
#define SP_CORE_DOCUMENTS_HISTORY_H

#include "core/core.h"
#include "lib/base/arena.h"
#include "lib/policy/compile.h"

enum { SP_COMMENT_MAX_BYTES = 500, SP_COUNTS_MAX_BYTES = 512 };

typedef struct {
    uint64_t version;
    uint64_t applied_unix_s;
    uint64_t rollback_of; /* 0 = none */
    uint32_t person;      /* 0 = the host */
    sp_span by_name;
    sp_span comment;
    sp_span digest; /* SHA-256 */
    sp_span counts; /* JSON object: documents by kind */
} sp_doc_version;

SP_MUST sp_err sp_history_migrate(sp_store *store);
/* 0 when there is none. */
SP_MUST sp_err sp_history_newest(sp_store *store, uint64_t *ret_version);
/* Spans are copied into the arena. SP_ENOTFOUND. */
SP_MUST sp_err sp_history_get(sp_store *store, uint64_t version, sp_arena *arena,
                              sp_doc_version *ret_version);
/* Newest first, those below before (0 = all), at most limit. Spans valid during the visit. */
SP_MUST sp_err sp_history_each(sp_store *store, uint64_t before, uint64_t limit,
                               void (*visit)(void *self, const sp_doc_version *version),
                               void *self);
/* The files of a version, in the arena. SP_ENOTFOUND. */
SP_MUST sp_err sp_history_files(sp_store *store, uint64_t version, sp_arena *arena,
                                sp_policy_file **ret_files, size_t *ret_count);
/* Inside a transaction of the caller. */
SP_MUST sp_err sp_history_add(sp_store *store, const sp_doc_version *version,
                              const sp_policy_file *files, size_t count);
/* Whether the version has just these files. */
SP_MUST sp_err sp_history_same(sp_store *store, uint64_t version, const sp_policy_file *files,
                               size_t count, bool *ret_same);

#endif
