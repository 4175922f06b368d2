/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the API. What is accepted keeps to the table of fields.
 * OWNS nothing. PROCESS fuzz. TRUST hostile. SPEC core/http/fields.h.
 */
#include "core/http/fields.h"

static void need(bool good)
{
    if (!good) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span name = SP_SPAN_EMPTY;
    uint64_t limit = 0;
    bool flag = false;
    const json_t *inner = NULL;
    const char *bad = NULL;
    const char *expected = NULL;
    const sp_field fields[] = {
        SP_FIELD_TEXT("name", &name, 1, 63), SP_FIELD_U64_OPT("limit", &limit, 200),
        SP_FIELD_BOOL_OPT("flag", &flag), SP_FIELD_JSON_OPT("inner", &inner)};
    json_t *json = sp_json_parse(sp_span_of(data, size));
    if (!sp_failed(sp_fields_read(json, fields, SP_COUNT(fields), &bad, &expected))) {
        need(name.len >= 1 && name.len <= 63 && limit <= 200 && sp_span_is_utf8(name));
        need(json_object_size(json) <= SP_COUNT(fields));
    } else {
        need(bad != NULL && expected != NULL);
    }
    json_decref(json);
    return 0;
}
