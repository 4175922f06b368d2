/* SPDX-License-Identifier: Apache-2.0
 * person: accounts and the roles they hold.
 * OWNS nothing. PROCESS cli. TRUST names that other people chose are printed without control bytes.
 * SPEC docs/man/sallyport-person.1.
 */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/table.h"

#include <stdio.h>

static void cell_list(sp_table *table, const json_t *list)
{
    auto_buf sp_buf text = sp_buf_make(4096);
    auto_free char *joined = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        sp_buf_text(&text, i == 0 ? "" : " ");
        sp_buf_text(&text, json_string_value(json_array_get(list, i)));
    }
    sp_table_cell(table, sp_failed(sp_buf_take_cstr(&text, &joined)) ? "..." : joined);
}

static int list(int argc, char **argv)
{
    bool json = false;
    const sp_option options[] = {{"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {
        "person list [--json]", "Lists the accounts.", options, SP_COUNT(options), 0, 0};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    auto_client sp_client *client = NULL;
    json_t *items = NULL;
    status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_client_list(client, "/api/v1/admin/people", &items);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(items);
    } else if (status == SP_EXIT_OK) {
        auto_table sp_table table = {
            5, {"NAME", "DISPLAY NAME", "STATE", "ROLES", "LAST SIGN-IN (UTC)"}, NULL, 0};
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *one = json_array_get(items, i);
            sp_table_cell(&table, sp_json_text(one, "name"));
            sp_table_cell(&table, sp_json_text(one, "display_name"));
            sp_table_cell(&table, sp_json_text(one, "state"));
            cell_list(&table, json_object_get(one, "roles"));
            sp_table_cell(&table, sp_short_time(sp_json_text(one, "last_sign_in_at")));
        }
        sp_table_print(&table, stdout);
    }
    json_decref(items);
    return status;
}

static void print_link(const json_t *answer)
{
    printf("Hand this link over on a channel you trust; it is shown once and serves until %s UTC:"
           "\n\n    ",
           sp_short_time(sp_json_text(answer, "expires_at")));
    sp_print_safe(stdout, sp_json_text(answer, "link"));
    printf("\n");
}

/* POST to the person, and what to say when it worked. */
static int act(const char *name, const char *verb, const char *why, bool json, const char *done)
{
    auto_client sp_client *client = NULL;
    json_t *person = NULL;
    json_t *answer = NULL;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_find_person(client, name, &person);
    }
    if (status == SP_EXIT_OK) {
        json_t *body = why == NULL ? json_object() : json_pack("{s:s}", "why", why);
        status = sp_call_on(client, "POST", "/api/v1/admin/people", person, verb, body, &answer);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK && json_object_get(answer, "link") != NULL) {
        print_link(answer);
    } else if (status == SP_EXIT_OK) {
        printf("%s %s\n", name, done);
    }
    json_decref(answer);
    json_decref(person);
    return status;
}

static int add(int argc, char **argv)
{
    bool json = false;
    const char *display = NULL;
    const sp_option options[] = {{"--display", "NAME", &display, "as people call him"},
                                 {"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {"person add NAME [--display NAME] [--json]",
                            "Makes an account and prints its one-time set-up link.",
                            options,
                            SP_COUNT(options),
                            1,
                            1};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    auto_client sp_client *client = NULL;
    json_t *person = NULL;
    json_t *answer = NULL;
    status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        json_t *body = json_pack("{s:s,s:s}", "name", words[0], "display_name",
                                 display == NULL ? words[0] : display);
        status = sp_client_call(client, "POST", "/api/v1/admin/people", body, &person);
    }
    if (status == SP_EXIT_OK) {
        status = sp_call_on(client, "POST", "/api/v1/admin/people", person, "invite", json_object(),
                            &answer);
    }
    if (status == SP_EXIT_OK && json) {
        json_t *both = json_pack("{s:O,s:O}", "person", person, "invitation", answer);
        sp_client_print(both);
        json_decref(both);
    } else if (status == SP_EXIT_OK) {
        print_link(answer);
    }
    json_decref(person);
    json_decref(answer);
    return status;
}

typedef struct {
    const char *usage;
    const char *about;
    const char *verb;
    const char *done;
    bool takes_why;
} verb_command;

static int run_verb(const verb_command *command, int argc, char **argv)
{
    bool json = false;
    const char *why = NULL;
    const sp_option options[] = {{"--json", NULL, &json, "JSON"},
                                 {"--why", "TEXT", &why, "the reason, for the ledger"}};
    const sp_usage usage = {
        command->usage, command->about, options, command->takes_why ? SP_COUNT(options) : 1, 1, 1};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    return status == SP_GO_ON ? act(words[0], command->verb, why, json, command->done) : status;
}

static int invite(int argc, char **argv)
{
    static const verb_command command = {"person invite NAME [--json]",
                                         "Prints a new one-time set-up link; an earlier one dies.",
                                         "invite", "is invited", false};
    return run_verb(&command, argc, argv);
}

static int reset(int argc, char **argv)
{
    static const verb_command command = {
        "person reset NAME [--why TEXT] [--json]",
        "Removes every way to sign in, ends the sessions, prints a new set-up link.", "reset",
        "is reset", true};
    return run_verb(&command, argc, argv);
}

static int disable(int argc, char **argv)
{
    static const verb_command command = {"person disable NAME [--why TEXT] [--json]",
                                         "Ends the person's sessions at once and lets nobody in "
                                         "under this account.",
                                         "disable", "is disabled", true};
    return run_verb(&command, argc, argv);
}

static int enable(int argc, char **argv)
{
    static const verb_command command = {"person enable NAME [--json]",
                                         "Opens a disabled account again.", "enable", "is enabled",
                                         false};
    return run_verb(&command, argc, argv);
}

/* ---- grants ---- */

/* The person's roles with these added or left out. */
static json_t *roles_with(const json_t *person, const char *const *names, size_t count, bool held)
{
    json_t *roles = json_array();
    const json_t *before = json_object_get(person, "roles");
    for (size_t i = 0; i < json_array_size(before); i++) {
        const char *role = json_string_value(json_array_get(before, i));
        bool named = false;
        for (size_t n = 0; n < count; n++) {
            named = named || sp_span_eq(sp_span_cstr(role), sp_span_cstr(names[n]));
        }
        if (!named) {
            json_array_append_new(roles, json_string(role));
        }
    }
    for (size_t n = 0; held && n < count; n++) {
        json_array_append_new(roles, json_string(names[n]));
    }
    return roles;
}

static int change_roles(int argc, char **argv, const char *usage_line, const char *about, bool held)
{
    bool json = false;
    const sp_option options[] = {{"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {usage_line, about, options, SP_COUNT(options), 2, SP_WORDS_MAX};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    auto_client sp_client *client = NULL;
    json_t *person = NULL;
    json_t *answer = NULL;
    status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_find_person(client, words[0], &person);
    }
    if (status == SP_EXIT_OK) {
        json_t *body = json_pack("{s:o}", "roles", roles_with(person, words + 1, count - 1, held));
        status = sp_call_on(client, "PUT", "/api/v1/admin/people", person, "roles", body, &answer);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        auto_table sp_table table = {2, {"NAME", "ROLES"}, NULL, 0};
        sp_table_cell(&table, words[0]);
        cell_list(&table, json_object_get(answer, "roles"));
        sp_table_print(&table, stdout);
    }
    json_decref(person);
    json_decref(answer);
    return status;
}

static int grant(int argc, char **argv)
{
    return change_roles(argc, argv, "person grant NAME ROLE... [--json]",
                        "Gives roles to a person. Nobody grants to himself, and nobody holds two "
                        "of the three\nadministrator roles.",
                        true);
}

static int revoke_roles(int argc, char **argv)
{
    return change_roles(argc, argv, "person revoke NAME ROLE... [--json]",
                        "Takes roles from a person; his sessions lose them at once.", false);
}

int sp_person_command(int argc, char **argv)
{
    static const sp_command commands[] = {
        {NULL, "list", "", "all accounts", list},
        {NULL, "add", "NAME", "a new account, and its set-up link", add},
        {NULL, "invite", "NAME", "a new set-up link", invite},
        {NULL, "disable", "NAME", "nobody gets in under it any more", disable},
        {NULL, "enable", "NAME", "open it again", enable},
        {NULL, "reset", "NAME", "remove all ways to sign in", reset},
        {NULL, "grant", "NAME ROLE...", "give roles", grant},
        {NULL, "revoke", "NAME ROLE...", "take roles away", revoke_roles},
    };
    return sp_group_run("person", "Accounts and the roles they hold.", commands, SP_COUNT(commands),
                        argc, argv);
}
