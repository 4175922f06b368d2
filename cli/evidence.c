/* SPDX-License-Identifier: Apache-2.0
 * sallyport incident evidence: a pack into a new file.
 * OWNS nothing. PROCESS cli. TRUST the pack is written as it comes; sallyport-verify checks it.
 * SPEC docs/man/sallyport-incident.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "lib/base/mem.h"

#include <stdio.h>

enum { PATH_BYTES = 256 };

int sp_incident_evidence(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    auto_buf sp_buf path = sp_buf_make(PATH_BYTES);
    sp_span pack = SP_SPAN_EMPTY;
    const char *name = sp_given_value(given, "-o");
    sp_buf_text(&path, "/api/v1/incidents/");
    sp_buf_percent(&path, sp_span_cstr(given->words[0]));
    sp_buf_text(&path, "/evidence");
    sp_buf_byte(&path, 0);
    int status = sp_ask_open(given, &client);
    if (status == SP_EXIT_OK) {
        status = sp_client_text(client, (const char *)path.ptr, &pack);
    }
    if (status != SP_EXIT_OK) {
        return status;
    }
    FILE *to = fopen(name, "wbxe");
    bool good = to != NULL && fwrite(pack.ptr, 1, pack.len, to) == pack.len;
    good = to != NULL && fclose(to) == 0 && good;
    if (!good) {
        sp_complain("'%s' cannot be written, or is there already", name);
        return SP_EXIT_FAILED;
    }
    printf(
        "%s: check it anywhere with 'mkdir pack && tar -xf %s -C pack && sallyport-verify pack'\n",
        name, name);
    if (sp_client_header(client, "X-Sallyport-Incomplete") == 1) {
        sp_complain("there was more than a pack holds: its readme.txt says how much was left out");
    }
    return SP_EXIT_OK;
}
