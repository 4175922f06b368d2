/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing what a gate asks with bytes of a client: method, path and header values against a real
 * policy; parts must be those of the resource, and a path below a part never matches less.
 * OWNS the compiled set for the life of the program. PROCESS fuzz. TRUST the input is hostile.
 * SPEC lib/policy/web.h.
 */
#include "lib/policy/compile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char POLICY[] =
    "kind: Resource\nname: app\noperator: company\nclass: internal\nweb:\n  host: app\n"
    "  upstream: http://10.0.0.1\n  actions:\n    - { method: POST, path: /a/*/run, action: "
    "execute "
    "}\n  parts:\n    - { path: /a, class: public }\n    - { path: /a/*/c, class: core }\n"
    "    - { path: /a/b/c, class: sensitive, actions: [{ action: export }] }\n---\n"
    "kind: Resource\nname: other\noperator: company\nclass: public\nweb: { host: other, upstream: "
    "'http://10.0.0.2', ignore_case: true, parts: [{ path: /Up, class: core }] }\n";

static const sp_policy *policy(void)
{
    static sp_policy_set *set;
    if (set == NULL) {
        sp_policy_file file = {"fuzz.yaml", SP_SPAN_LIT("")};
        file.text = sp_span_cstr(POLICY);
        sp_policy_input input = {.files = &file, .files_count = 1};
        auto_diags sp_diags diags = {0};
        if (sp_failed(sp_policy_compile(&input, &diags, &set))) {
            abort();
        }
    }
    return sp_policy_set_view(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span rest = {data, size};
    sp_span method = SP_SPAN_EMPTY;
    sp_span type = SP_SPAN_EMPTY;
    bool more = sp_span_split(&rest, '\n', &method) && sp_span_split(&rest, '\n', &type);
    (void)more;
    for (uint32_t resource = 0; resource < 3; resource++) {
        sp_web_place place = sp_policy_web_place(policy(), resource, method, rest);
        sp_subject who = {.person = 1};
        sp_question q = {&who, resource, place.part, place.action, 0, NULL, SP_FACE_WEB};
        sp_decision d = sp_policy_decide(policy(), &q);
        /* a part that does not belong to its resource would be "unparsed" */
        if (resource < 2 && d.reason == SP_REASON_UNPARSED) {
            abort();
        }
        sp_policy_web_is_export(policy(), resource, place.part, type, method, size);
        sp_policy_web_is_import(policy(), resource, place.part, method, type, size);
    }
    return 0;
}
