/* SPDX-License-Identifier: Apache-2.0
 * Documents that come with the program: like all others; one of the office's of the same kind and
 * name takes their place.
 * OWNS nothing. PROCESS core, cli. TRUST they are ours. SPEC lib/policy/builtin.h.
 */
#include "lib/policy/builtin.h"

#include "lib/policy/load.h"
#include "lib/policy/plan.h"
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

static bool has(const doc_maps *maps, size_t bytes, size_t count, sp_span name)
{
    for (size_t i = 0; i < count; i++) {
        if (sp_span_eq(doc_at(maps, bytes, i)->name.text, name)) {
            return true;
        }
    }
    return false;
}

static sp_err add_kind(doc_set *docs, const doc_set *own, sp_doc_kind kind)
{
    size_t bytes = DOC_SCHEMAS[kind].struct_bytes;
    size_t offices = docs->kinds[kind].count;
    for (size_t i = 0; i < own->kinds[kind].count; i++) {
        const doc_head *head = doc_at(&own->kinds[kind], bytes, i);
        if (!has(&docs->kinds[kind], bytes, offices, head->name.text)) {
            TRY(doc_append(docs, kind, head));
        }
    }
    return sp_ok();
}

static sp_err add_file(compiling *c, const sp_policy_file *file)
{
    doc_set own = {0};
    sp_hash ignored;
    sp_err err = doc_load(file, &c->set->arena, c->diags, &own);
    if (!sp_failed(err)) {
        err = doc_set_digest(&own, &ignored);
    }
    for (unsigned kind = 0; kind < SP_DOC_COUNT && !sp_failed(err); kind++) {
        err = add_kind(&c->set->docs, &own, (sp_doc_kind)kind);
    }
    doc_set_done(&own);
    return err.code == SP_EINVALID ? sp_fail(SP_EINTERNAL) : err;
}

sp_policy_file sp_policy_builtin_plans(void)
{
    return (sp_policy_file){"plans.yaml (built in)",
                            sp_span_of(doc_builtin_plans, doc_builtin_plans_bytes)};
}

sp_err set_load_builtin(compiling *c)
{
    const sp_policy_file files[] = {
        {"detections.yaml (built in)",
         sp_span_of(doc_builtin_detections, doc_builtin_detections_bytes)},
        {"notices.yaml (built in)", sp_span_of(doc_builtin_notices, doc_builtin_notices_bytes)},
        {"law.yaml (built in)", sp_span_of(doc_builtin_law, doc_builtin_law_bytes)},
        sp_policy_builtin_plans(),
    };
    for (size_t i = 0; i < SP_COUNT(files); i++) {
        TRY(add_file(c, &files[i]));
    }
    return sp_ok();
}
