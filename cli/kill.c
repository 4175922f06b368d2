/* SPDX-License-Identifier: Apache-2.0
 * The kill switch: what it would meet, and cutting.
 * OWNS nothing. PROCESS cli. TRUST answers hold names that other people chose.
 * SPEC docs/man/sallyport-kill.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"

#include <stdio.h>

static void print_scope(const json_t *answer)
{
    printf("it meets %s sessions of %s people, %s connections at databases, %s at machines\n",
           sp_json_text(answer, "scope.sessions"), sp_json_text(answer, "scope.people"),
           sp_json_text(answer, "scope.database_connections"),
           sp_json_text(answer, "scope.ssh_connections"));
    if (sp_same(sp_json_text(answer, "scope.counted"), "connections")) {
        printf("counted are connections to it at the database and SSH gates: a page of an "
               "application leaves none\n");
    }
}

static void print_cut(const json_t *answer)
{
    printf("cut %s: %s ", sp_json_text(answer, "id"), sp_json_text(answer, "kind"));
    sp_print_safe(stdout, sp_json_text(answer, "name"));
    printf("\n");
    print_scope(answer);
    if (json_is_true(json_object_get(answer, "can_undo"))) {
        printf("sallyport kill undo %s --reason TEXT gives it back\n", sp_json_text(answer, "id"));
    }
}

int sp_kill(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    json_int_t seconds = 0;
    const char *reason = sp_given_value(given, "--reason");
    const char *how_long = sp_given_value(given, "--for");
    bool dry = sp_given_value(given, "--dry-run") != NULL;
    bool step_up = sp_given_value(given, "--step-up") != NULL;
    if (!dry && reason == NULL) {
        sp_complain("say why: --reason TEXT");
        return SP_EXIT_USAGE;
    }
    if (how_long != NULL && !sp_duration_of(how_long, &seconds)) {
        sp_complain("--for takes a time like 30m, 2h or 1d, not '%s'", how_long);
        return SP_EXIT_USAGE;
    }
    json_t *body = json_pack("{s:s,s:s,s:s,s:s,s:b,s:I}", "kind", given->command->word, "name",
                             given->words_count > 0 ? given->words[0] : "", "reason",
                             reason == NULL ? "" : reason, "effect", step_up ? "step-up" : "deny",
                             "dry_run", (int)dry, "for_s", seconds);
    int status = sp_ask_open(given, &client);
    if (status != SP_EXIT_OK) {
        json_decref(body);
        return status;
    }
    status = sp_client_call(client, "POST", "/api/v1/cuts", body, &answer);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK && dry) {
        print_scope(answer);
    } else if (status == SP_EXIT_OK) {
        print_cut(answer);
    }
    json_decref(answer);
    return status;
}
