/* SPDX-License-Identifier: Apache-2.0
 * Reading times of the API.
 * OWNS nothing. PROCESS core. TRUST the text is hostile. SPEC RFC 3339.
 */
#ifndef SP_CORE_ADMIN_WHEN_H
#define SP_CORE_ADMIN_WHEN_H

#include "lib/base/span.h"

/* RFC 3339 in UTC ("2026-03-01T08:00:00Z", fractions dropped), from 1970 on. */
bool sp_admin_time(sp_span text, uint64_t *ret_unix_s);

#endif
