/* SPDX-License-Identifier: Apache-2.0
 * person: a new account with its link, and the roles that a grant leaves.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC docs/man/sallyport-person.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/find.h"
#include "cli/handlers.h"

int sp_person_add(const sp_given *given)
{
    const char *name = given->words[0];
    const char *display = sp_given_value(given, "--display");
    auto_client sp_client *client = NULL;
    json_t *person = NULL;
    json_t *answer = NULL;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        json_t *body =
            json_pack("{s:s,s:s}", "name", name, "display_name", display == NULL ? name : display);
        status = sp_client_call(client, "POST", "/api/v1/admin/people", body, &person);
    }
    if (status == SP_EXIT_OK) {
        status = sp_call_on(client, "POST", "/api/v1/admin/people", person, "invite", json_object(),
                            &answer);
    }
    if (status == SP_EXIT_OK && given->json) {
        json_t *both = json_pack("{s:O,s:O}", "person", person, "invitation", answer);
        sp_client_print(both);
        json_decref(both);
    } else if (status == SP_EXIT_OK) {
        sp_ask_say(given->command->ask.done, given, answer);
    }
    json_decref(person);
    json_decref(answer);
    return status;
}

/* ---- grants: the office is told all the roles, and which were seen: when others changed them
 * meanwhile it refuses ---- */

static bool is_named(const sp_given *given, const char *role)
{
    for (size_t i = 1; i < given->words_count; i++) {
        if (sp_same(role, given->words[i])) {
            return true;
        }
    }
    return false;
}

void sp_person_roles_left(const sp_given *given, const json_t *person, json_t *body)
{
    json_t *roles = json_array();
    const json_t *before = json_object_get(person, "roles");
    for (size_t i = 0; i < json_array_size(before); i++) {
        json_t *role = json_array_get(before, i);
        if (!is_named(given, json_string_value(role))) {
            json_array_append(roles, role);
        }
    }
    json_object_set_new(body, "roles", roles);
    json_object_set(body, "before", json_object_get(person, "roles"));
}

void sp_person_roles_added(const sp_given *given, const json_t *person, json_t *body)
{
    sp_person_roles_left(given, person, body);
    for (size_t i = 1; i < given->words_count; i++) {
        json_array_append_new(json_object_get(body, "roles"), json_string(given->words[i]));
    }
}
