/* SPDX-License-Identifier: Apache-2.0
 * The name that a dropped request header gets: the module renames it, and the generated
 * configuration has nginx leave that name out (proxy_set_header NAME "").
 * OWNS nothing. PROCESS web. TRUST none. SPEC gates/web/request_headers.c.
 */
#ifndef SP_GATES_WEB_DROPPED_H
#define SP_GATES_WEB_DROPPED_H

#define SP_WEB_DROPPED_HEADER "X-Sallyport-Dropped"

#endif
