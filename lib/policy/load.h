/* SPDX-License-Identifier: Apache-2.0
 * YAML files into documents, checked against the schema.
 * OWNS nothing: records and texts go into the set. PROCESS core, cli. TRUST files are hostile.
 * SPEC lib/policy/schema.h.
 */
#ifndef SP_POLICY_LOAD_H
#define SP_POLICY_LOAD_H

#include "lib/policy/schema.h"

/* Frees the arrays of documents; their texts belong to the arena. */
void doc_set_done(doc_set *set);
/* Appends the documents of a file. SP_EINVALID: at least one error is in diags; what could be read
 * is in the set all the same, so that further errors can be told. SP_ENOMEM, SP_ELIMIT. */
SP_MUST sp_err doc_load(const sp_policy_file *file, sp_arena *arena, sp_diags *diags, doc_set *set);
/* Adds a copy of a record of that kind. */
SP_MUST sp_err doc_append(doc_set *set, sp_doc_kind kind, const void *record);
/* The SHA-256 of the canonical form of all documents, in whatever order they came. */
SP_MUST sp_err doc_set_digest(doc_set *set, sp_hash *ret_digest);

#endif
