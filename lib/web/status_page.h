/* SPDX-License-Identifier: Apache-2.0
 * The status page as people and programs read it.
 * OWNS nothing. PROCESS web role. TRUST texts are a person's: they are escaped.
 * SPEC docs/OPERATIONS.md "Status page".
 */
#ifndef SP_WEB_STATUS_PAGE_H
#define SP_WEB_STATUS_PAGE_H

#include "lib/proto/status_msg.h"

enum { SP_STATUS_PAGE_MAX_BYTES = 256 * 1024 };

typedef struct {
    const sp_status_page *page;
    sp_span office;
    uint64_t written_unix_s;
    uint64_t away_since_unix_s; /* the gate cannot reach core since then; 0 = it can */
    bool chinese;
} sp_web_status;

void sp_web_status_html(const sp_web_status *status, sp_buf *out);
void sp_web_status_json(const sp_web_status *status, sp_buf *out);
/* The page's Content-Security-Policy. */
void sp_web_status_csp(sp_buf *out);

#endif
