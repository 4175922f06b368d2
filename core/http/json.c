/* SPDX-License-Identifier: Apache-2.0
 * Times, ids, texts.
 * OWNS nothing. PROCESS core. TRUST none. SPEC core/http/json.h.
 */
#include "core/http/json.h"

#include <stdio.h>
#include <time.h>

enum { TEXT_BYTES = 40 };

json_t *sp_json_time(uint64_t when_unix_s)
{
    char text[TEXT_BYTES];
    struct tm parts;
    time_t when = (time_t)when_unix_s;
    if (when_unix_s == 0 || gmtime_r(&when, &parts) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        return json_null();
    }
    return json_string(text);
}

json_t *sp_json_reversed(json_t *list)
{
    json_t *other = json_array();
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_array_append(other, json_array_get(list, i));
    }
    json_decref(list);
    return other;
}

json_t *sp_json_id(uint64_t id)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
    return json_string(text);
}

json_t *sp_json_span(sp_span text)
{
    return text.len == 0 ? json_string("") : json_stringn((const char *)text.ptr, text.len);
}

json_t *sp_json_span_or_null(sp_span text)
{
    json_t *made = text.len == 0 ? NULL : json_stringn((const char *)text.ptr, text.len);
    return made == NULL ? json_null() : made;
}
