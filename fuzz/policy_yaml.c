/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing the compiler with documents: whatever the bytes, an answer or errors with places; what
 * compiles opens, answers, and prints.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/policy/compile.h.
 */
#include "lib/policy/compile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses a page when a quoted text does not end; ours is still looked for. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so";
}

static void use(const sp_policy_set *set)
{
    auto_buf sp_buf out = sp_buf_make((size_t)8 << 20);
    auto_diags sp_diags diags = {0};
    for (unsigned kind = 0; kind < SP_DOC_COUNT; kind++) {
        sp_policy_json_list(set, (sp_doc_kind)kind, &out);
    }
    sp_policy_matrix_query query = {0};
    SP_IGNORE(sp_policy_matrix_json(set, &query, &diags, &out)); /* only that it does not crash */
    SP_IGNORE(sp_policy_diff_json(NULL, set, 10, &out));
    sp_policy again;
    if (sp_failed(sp_policy_open(sp_policy_set_snapshot(set), &again))) {
        abort();
    }
    if (sp_policy_set_figures(set).rules > SP_POLICY_RULES_MAX) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_policy_file file = {"fuzz.yaml", {data, size}};
    sp_policy_input input = {
        .files = &file, .files_count = 1, .people_open = true, .now_unix_s = 1770000000};
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    sp_err err = sp_policy_compile(&input, &diags, &set);
    if (!sp_failed(err)) {
        use(set);
    } else if (err.code == SP_EINVALID && diags.errors == 0) {
        abort(); /* a refusal without a reason */
    }
    return 0;
}
