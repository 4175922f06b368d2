/* SPDX-License-Identifier: Apache-2.0
 * Strict reading of JSON objects: every key is known, every type is right, every size is bounded.
 * OWNS nothing: results point into the JSON. PROCESS core. TRUST the JSON is hostile.
 * SPEC core/http/router.h "strict JSON".
 */
#include "core/http/fields.h"

#include <string.h>

static const char *expected_of(const sp_field *field)
{
    static const char *const words[] = {
        [SP_FIELD_KIND_TEXT] = "a text",
        [SP_FIELD_KIND_U64] = "a whole number, not negative, not too large",
        [SP_FIELD_KIND_BOOL] = "true or false",
        [SP_FIELD_KIND_JSON] = "an object or a list",
    };
    _Static_assert(SP_COUNT(words) == SP_FIELD_KIND_COUNT, "a word for each kind");
    return words[field->kind];
}

static bool read_text(const sp_field *field, const json_t *value)
{
    if (!json_is_string(value)) {
        return false;
    }
    sp_span text = sp_span_of(json_string_value(value), json_string_length(value));
    if (text.len < field->min || text.len > field->max || sp_span_index(text, 0) != text.len) {
        return false;
    }
    *(sp_span *)field->to = text;
    return true;
}

static bool read_u64(const sp_field *field, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > field->max) {
        return false;
    }
    *(uint64_t *)field->to = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_field(const sp_field *field, const json_t *value)
{
    switch (field->kind) {
    case SP_FIELD_KIND_TEXT:
        return read_text(field, value);
    case SP_FIELD_KIND_U64:
        return read_u64(field, value);
    case SP_FIELD_KIND_BOOL:
        if (json_is_boolean(value)) {
            *(bool *)field->to = json_is_true(value);
            return true;
        }
        return false;
    case SP_FIELD_KIND_JSON:
        if (json_is_object(value) || json_is_array(value)) {
            *(const json_t **)field->to = value;
            return true;
        }
        return false;
    case SP_FIELD_KIND_COUNT:
        break;
    }
    return false;
}

static bool is_named(const sp_field *fields, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, key) == 0) {
            return true;
        }
    }
    return false;
}

sp_err sp_fields_read(const json_t *object, const sp_field *fields, size_t count,
                      const char **ret_bad, const char **ret_expected)
{
    *ret_bad = "body";
    *ret_expected = "a JSON object";
    if (!json_is_object(object)) {
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        bool absent = value == NULL || json_is_null(value);
        if ((absent && !fields[i].optional) || (!absent && !read_field(&fields[i], value))) {
            *ret_bad = fields[i].name;
            *ret_expected = expected_of(&fields[i]);
            return sp_fail(SP_EINVALID);
        }
    }
    json_t *whole = (json_t *)(uintptr_t)object; /* iterating does not change it */
    for (void *at = json_object_iter(whole); at != NULL; at = json_object_iter_next(whole, at)) {
        if (!is_named(fields, count, json_object_iter_key(at))) {
            *ret_bad = json_object_iter_key(at);
            *ret_expected = "no field of this name";
            return sp_fail(SP_EINVALID);
        }
    }
    return sp_ok();
}

json_t *sp_json_parse(sp_span bytes)
{
    json_error_t where;
    return json_loadb((const char *)bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, &where);
}
