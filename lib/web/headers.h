/* SPDX-License-Identifier: Apache-2.0
 * Which request headers a client may not send to an upstream, and small readings of headers that
 * decide what a request or response is.
 * OWNS nothing. PROCESS web gate. TRUST headers are hostile. SPEC RFC 9110, RFC 6455.
 */
#ifndef SP_WEB_HEADERS_H
#define SP_WEB_HEADERS_H

#include "lib/base/span.h"

/* Headers by which an upstream may be told who the user is, where he comes from, or what the
 * "real" method, host or path is. The gate sets its own; a client's are dropped. name in any case;
 * underscores count as dashes. */
bool sp_web_header_is_ours(sp_span name);

/* Whether a person's browser is navigating (he can be shown a page or sent to sign in), rather
 * than a program calling. accept, requested_with, fetch_mode: header values, empty when absent. */
bool sp_web_is_navigation(sp_span method, sp_span accept, sp_span requested_with,
                          sp_span fetch_mode);
/* Whether pages are wanted in Chinese, by the first language of Accept-Language that we have. */
bool sp_web_wants_chinese(sp_span accept_language);

/* The whole length named by Content-Range: "bytes 0-99/1234" -> 1234; UINT64_MAX when it does not
 * say ("*") or cannot be read. */
uint64_t sp_web_content_range_total(sp_span content_range);
/* More than one range, or one that cannot be read. */
bool sp_web_range_is_multiple(sp_span range);
/* Whether a list header ("a, b;q=1") has that item, in any case. */
bool sp_web_list_has(sp_span list, sp_span item);

#endif
