/* SPDX-License-Identifier: Apache-2.0
 * Core's HTTP: libmicrohttpd driven by the loop, on the sockets that nginx (api) and root's command
 * line (local) connect to.
 * OWNS its listeners and requests. PROCESS core. TRUST requests are hostile; who connects is the
 * kernel's word: only the web role may speak on api, only root (or core's own user) on local.
 * SPEC core/http/router.h.
 */
#ifndef SP_CORE_HTTP_HTTP_H
#define SP_CORE_HTTP_HTTP_H

#include "core/core.h"

/* Either fd may be -1. files_dir: the console's built files; NULL = none. Takes the fds. */
SP_MUST sp_err sp_http_start(sp_core *core, int api_fd, int local_fd, const char *files_dir,
                             sp_http **ret_http);
/* Answers what waits with 503 and closes. */
void sp_http_stop(sp_http *http);

SP_MUST sp_err sp_router_new(sp_router **ret_router);
void sp_router_free(sp_router *router);

#endif
