/* SPDX-License-Identifier: Apache-2.0
 * The API's ways of writing times, ids and texts. Each gives a new reference, NULL when out of
 * memory. OWNS nothing. PROCESS core. TRUST none. SPEC docs/api/openapi.yaml "Conventions".
 */
#ifndef SP_CORE_HTTP_JSON_H
#define SP_CORE_HTTP_JSON_H

#include "lib/base/span.h"

#include <jansson.h>

/* "2026-03-01T08:00:00Z"; 0 gives null. */
json_t *sp_json_time(uint64_t when_unix_s);
/* Decimal, in a string: JavaScript's numbers end at 2^53. */
/* Takes the reference; the same array backwards. */
json_t *sp_json_reversed(json_t *list);
json_t *sp_json_id(uint64_t id);
/* "" for an empty one, NULL for what is not UTF-8. */
json_t *sp_json_span(sp_span text);
/* null for both. */
json_t *sp_json_span_or_null(sp_span text);

#endif
