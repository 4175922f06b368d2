/* SPDX-License-Identifier: Apache-2.0
 * Strict reading of JSON objects: a table of fields instead of code for each.
 * OWNS nothing: results point into the JSON. PROCESS core. TRUST the JSON is hostile.
 * SPEC core/http/router.h "strict JSON".
 */
#ifndef SP_CORE_HTTP_FIELDS_H
#define SP_CORE_HTTP_FIELDS_H

#include "lib/base/mem.h"

#include <jansson.h>

typedef enum {
    SP_FIELD_KIND_TEXT,
    SP_FIELD_KIND_U64,
    SP_FIELD_KIND_BOOL,
    SP_FIELD_KIND_JSON, /* an object or array, borrowed */
    SP_FIELD_KIND_COUNT
} sp_field_kind;
typedef struct {
    const char *name;
    sp_field_kind kind;
    bool optional;
    void *to;     /* sp_span *, uint64_t *, bool *, const json_t **; untouched when absent */
    uint64_t min; /* TEXT: bytes */
    uint64_t max; /* TEXT: bytes; U64: value */
} sp_field;
#define SP_FIELD_TEXT(n, to, min, max)                                                             \
    {                                                                                              \
        n, SP_FIELD_KIND_TEXT, false, to, min, max                                                 \
    }
#define SP_FIELD_TEXT_OPT(n, to, min, max)                                                         \
    {                                                                                              \
        n, SP_FIELD_KIND_TEXT, true, to, min, max                                                  \
    }
#define SP_FIELD_U64(n, to, max)                                                                   \
    {                                                                                              \
        n, SP_FIELD_KIND_U64, false, to, 0, max                                                    \
    }
#define SP_FIELD_U64_OPT(n, to, max)                                                               \
    {                                                                                              \
        n, SP_FIELD_KIND_U64, true, to, 0, max                                                     \
    }
#define SP_FIELD_BOOL(n, to)                                                                       \
    {                                                                                              \
        n, SP_FIELD_KIND_BOOL, false, to, 0, 0                                                     \
    }
#define SP_FIELD_BOOL_OPT(n, to)                                                                   \
    {                                                                                              \
        n, SP_FIELD_KIND_BOOL, true, to, 0, 0                                                      \
    }
#define SP_FIELD_JSON(n, to)                                                                       \
    {                                                                                              \
        n, SP_FIELD_KIND_JSON, false, to, 0, 0                                                     \
    }
#define SP_FIELD_JSON_OPT(n, to)                                                                   \
    {                                                                                              \
        n, SP_FIELD_KIND_JSON, true, to, 0, 0                                                      \
    }
/* The check itself, for other JSON than bodies. *ret_bad names the field. */
SP_MUST sp_err sp_fields_read(const json_t *object, const sp_field *fields, size_t count,
                              const char **ret_bad, const char **ret_expected);

/* A new reference, or NULL when it is not JSON (RFC 8259, UTF-8, no duplicate keys). */
json_t *sp_json_parse(sp_span bytes);

#endif
