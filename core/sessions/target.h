/* SPDX-License-Identifier: Apache-2.0
 * Where a visitor wants to go: the `to` of /enter, which must be an application of this office.
 * OWNS nothing: results point into the input. PROCESS core. TRUST the text is hostile (open
 * redirects). SPEC docs/ARCHITECTURE.md "Signing in and cookies"; RFC 3986.
 */
#ifndef SP_CORE_SESSIONS_TARGET_H
#define SP_CORE_SESSIONS_TARGET_H

#include "lib/base/span.h"

enum { SP_TARGET_MAX_BYTES = 4096 };

typedef struct {
    sp_span host; /* "wiki.office.localhost" */
    sp_span path; /* "/a/b?c=d", at least "/" */
} sp_target;

/* "https://<label>.<domain>[:port]/path?query". SP_EINVALID for anything else: another scheme, user
 * info, another domain, a host of more than one label, another port, the portal itself, control
 * bytes, blanks, backslashes or a fragment. */
SP_MUST sp_err sp_target_read(sp_span text, sp_span domain, sp_span portal_host, unsigned port,
                              sp_target *ret_target);
/* A path on the same host: starts with one "/", visible ASCII, no backslash. */
bool sp_target_is_path(sp_span text);

#endif
