/* SPDX-License-Identifier: Apache-2.0
 * Time zones of the system as steps of offsets, so that policy can be decided without asking it.
 * OWNS nothing. PROCESS core, cli. TRUST the name is hostile (a document wrote it); the database
 * is the system's, and is bounded and checked all the same. SPEC RFC 8536.
 */
#ifndef SP_PROC_ZONE_H
#define SP_PROC_ZONE_H

#include "lib/policy/compile.h"

enum { SP_ZONE_YEARS = 10 };

/* An sp_policy_zone_fn; ctx points to the present as a uint64_t in seconds; steps reach
 * SP_ZONE_YEARS ahead and some back. Reads /usr/share/zoneinfo. SP_ENOTFOUND: no such zone;
 * SP_ECORRUPT: not a TZif file; SP_EUNSUPPORTED: its table ends too early. */
SP_MUST sp_err sp_zone_system(void *ctx, sp_span name, sp_zone *ret_zone);
/* The same from the bytes of a TZif file. */
SP_MUST sp_err sp_zone_parse(sp_span file, int64_t from_unix_s, int64_t until_unix_s,
                             sp_zone *ret_zone);

#endif
