/* SPDX-License-Identifier: Apache-2.0
 * From what the policy set says about itself to the shapes of the API.
 * OWNS nothing. PROCESS core. TRUST documents compiled; their texts are escaped by JSON.
 * SPEC docs/api/openapi.yaml "Rule", "Never", "Example", "PolicyDiff", "Diagnostic".
 */
#ifndef SP_CORE_ADMIN_SHAPES_H
#define SP_CORE_ADMIN_SHAPES_H

#include "core/admin/admin.h"
#include "lib/policy/compile.h"

/* Where the text of a document can be cut out of. */
typedef struct {
    const sp_policy_file *files;
    size_t count;
} sp_sources;

/* Arrays of the schemas of the same names. */
json_t *sp_shape_rules(const sp_policy_set *set, const sp_sources *sources);
json_t *sp_shape_nevers(const sp_policy_set *set, const sp_sources *sources);
json_t *sp_shape_examples(const sp_policy_set *set, const sp_sources *sources);
json_t *sp_shape_resources(const sp_core *core, const sp_policy_set *set);
json_t *sp_shape_classes(const sp_policy_set *set);
json_t *sp_shape_diagnostics(const sp_diags *diags);
/* PolicyDiff: files from the two lists, effects from the JSON of sp_policy_diff_json. */
json_t *sp_shape_diff(sp_span diff, const sp_sources *before, const sp_sources *after);
/* What a list of documents says, as an array; NULL when it cannot be read. */
json_t *sp_shape_list(const sp_policy_set *set, sp_doc_kind kind);

#endif
