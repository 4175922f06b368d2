/* SPDX-License-Identifier: Apache-2.0
 * sallyport metrics show.
 * OWNS nothing. PROCESS cli. TRUST core's text; names in it are escaped by core.
 * SPEC docs/man/sallyport-metrics.1.
 */
#include "cli/ask.h"
#include "cli/handlers.h"
#include "lib/base/mem.h"

#include <stdio.h>

int sp_metrics_show(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    sp_span text = SP_SPAN_EMPTY;
    int status = sp_ask_open(given, &client);
    if (status == SP_EXIT_OK) {
        status = sp_client_text(client, "/metrics", &text);
    }
    if (status == SP_EXIT_OK && fwrite(text.ptr, 1, text.len, stdout) != text.len) {
        status = SP_EXIT_FAILED;
    }
    return status;
}
