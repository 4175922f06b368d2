/* SPDX-License-Identifier: Apache-2.0
 * Asking for an erasure from the ledger.
 * OWNS nothing. PROCESS cli. TRUST answers of the office are bounded. SPEC
 * docs/man/sallyport-ledger.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/client.h"
#include "cli/find.h"
#include "cli/handlers.h"
#include "cli/table.h"

#include <stdio.h>

static int target(sp_client *client, const sp_given *given, json_t *body)
{
    const char *entry = sp_given_value(given, "--entry");
    const char *name = sp_given_value(given, "--person");
    if ((entry == NULL) == (name == NULL)) {
        sp_complain("say what goes: --entry NUMBER, or --person NAME for all that is old enough");
        return SP_EXIT_USAGE;
    }
    if (entry != NULL) {
        json_object_set_new(body, "entry", json_string(entry));
        return SP_EXIT_OK;
    }
    json_t *person = NULL;
    int status = sp_find_person(client, name, &person);
    if (status == SP_EXIT_OK) {
        json_object_set_new(body, "person", json_string(sp_json_text(person, "id")));
    }
    json_decref(person);
    return status;
}

int sp_ledger_erase_command(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s}", "reason", sp_given_value(given, "--reason"));
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = target(client, given, body);
    }
    if (status == SP_EXIT_OK) { /* the call takes the body */
        status = sp_client_call(client, "POST", "/api/v1/admin/ledger/erasures", json_incref(body),
                                &answer);
    }
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        printf(
            "It would take out %s. Another audit administrator has to agree: sallyport approvals "
            "approve %s\n",
            sp_json_text(answer, "estimated_rows"), sp_json_text(answer, "id"));
    }
    json_decref(answer);
    json_decref(body);
    return status;
}
