/* SPDX-License-Identifier: Apache-2.0
 * The documents when core starts: the newest version, or the operator's own files.
 * OWNS nothing. PROCESS core. TRUST files of the operator may be wrong: told line by line.
 * SPEC core/documents/documents.h.
 */
#ifndef SP_CORE_DOCUMENTS_START_H
#define SP_CORE_DOCUMENTS_START_H

#include "core/documents/documents.h"
#include "lib/base/arena.h"

/* Compiles the newest version of the store; version 0 is the empty set, which denies all. The set
 * points into the names. */
SP_MUST sp_err sp_documents_load(sp_core *core, sp_policy_set **ret_set, sp_arena *ret_names,
                                 uint64_t *ret_version);
/* When there is no version yet: applies the files of the bootstrap file's documents folder. Wrong
 * files are told in the log and end the start (SP_EINVALID); the rest happens on the loop, again
 * and again until the ledger is there to record it. */
SP_MUST sp_err sp_documents_first(sp_core *core);
/* Reads documents_dir again and applies it as one set (SIGHUP); what is wrong is logged by line. */
void sp_documents_reload(sp_core *core);
/* Tells the ledger how long to keep entries, again and again until it has heard. */
SP_MUST sp_err sp_retention_new(sp_core *core, sp_retention **ret_retention);
void sp_retention_stop(sp_retention *retention);
void sp_retention_tell(sp_retention *retention, const sp_policy_set *set, uint64_t version);
/* {"Rule":12,...} */
void sp_documents_counts(const sp_policy_set *set, sp_buf *out);

#endif
