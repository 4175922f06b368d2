/* SPDX-License-Identifier: Apache-2.0
 * session, resource, and what root does on the host itself: setup-link, recover-admin, backup.
 * OWNS nothing. PROCESS cli. TRUST names that other people chose are printed without control bytes.
 * SPEC docs/man/sallyport.1.
 */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/table.h"

#include <stdio.h>

enum { PATH_MAX_BYTES = 4096 };

/* ---- a list with columns ---- */

typedef struct {
    const char *usage;
    const char *about;
    const char *path;
    size_t columns;
    const char *heads[8];
    const char *keys[8]; /* a key that ends in "_at" is a time */
} list_command;

static void print_list(const list_command *command, const json_t *items)
{
    auto_table sp_table table = {.columns = command->columns};
    for (size_t i = 0; i < command->columns; i++) {
        table.heads[i] = command->heads[i];
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        for (size_t k = 0; k < command->columns; k++) {
            const char *text = sp_json_text(json_array_get(items, i), command->keys[k]);
            bool is_time = sp_span_ends(sp_span_cstr(command->keys[k]), SP_SPAN_LIT("_at"));
            sp_table_cell(&table, is_time ? sp_short_time(text) : text);
        }
    }
    sp_table_print(&table, stdout);
}

static int run_list(const list_command *command, int argc, char **argv)
{
    bool json = false;
    const sp_option options[] = {{"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {command->usage, command->about, options, SP_COUNT(options), 0, 0};
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
        status = sp_client_list(client, command->path, &items);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(items);
    } else if (status == SP_EXIT_OK) {
        print_list(command, items);
    }
    json_decref(items);
    return status;
}

/* ---- session ---- */

static int session_list(int argc, char **argv)
{
    static const list_command command = {
        "session list [--json]",
        "Lists the sessions that live now.",
        "/api/v1/admin/sessions",
        6,
        {"ID", "PERSON", "STRENGTH", "DEVICE", "FROM", "SINCE (UTC)"},
        {"id", "person.name", "strength", "device.name", "peer", "started_at"}};
    return run_list(&command, argc, argv);
}

static int session_end(int argc, char **argv)
{
    const char *why = NULL;
    const sp_option options[] = {{"--why", "TEXT", &why, "the reason, for the ledger"}};
    const sp_usage usage = {"session end ID... [--why TEXT]",
                            "Ends sessions: what they have open is cut within 100 ms.",
                            options,
                            SP_COUNT(options),
                            1,
                            SP_WORDS_MAX};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    auto_client sp_client *client = NULL;
    status = sp_client_open(&client);
    for (size_t i = 0; status == SP_EXIT_OK && i < count; i++) {
        auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
        auto_free char *text = NULL;
        json_t *answer = NULL;
        sp_buf_fmt(&path, "/api/v1/admin/sessions/%s/end", sp_client_escape(words[i]));
        if (sp_failed(sp_buf_take_cstr(&path, &text))) {
            return SP_EXIT_FAILED;
        }
        json_t *body = why == NULL ? json_object() : json_pack("{s:s}", "why", why);
        status = sp_client_call(client, "POST", text, body, &answer);
        json_decref(answer);
        if (status == SP_EXIT_OK) {
            printf("%s has ended\n", words[i]);
        }
    }
    return status;
}

int sp_session_command(int argc, char **argv)
{
    static const sp_command commands[] = {
        {NULL, "list", "", "living sessions", session_list},
        {NULL, "end", "ID...", "cut them off", session_end},
    };
    return sp_group_run("session", "Sessions that live now.", commands, SP_COUNT(commands), argc,
                        argv);
}

/* ---- resource ---- */

static int resource_list(int argc, char **argv)
{
    static const list_command command = {"resource list [--json]",
                                         "Lists the resources of the policy in force.",
                                         "/api/v1/admin/resources",
                                         5,
                                         {"NAME", "CLASS", "OPERATOR", "URL", "UPSTREAM"},
                                         {"name", "class", "operator", "web.url", "web.upstream"}};
    return run_list(&command, argc, argv);
}

int sp_resource_command(int argc, char **argv)
{
    static const sp_command commands[] = {
        {NULL, "list", "", "what is behind the gate", resource_list},
    };
    return sp_group_run("resource", "Resources of the policy in force.", commands,
                        SP_COUNT(commands), argc, argv);
}

/* ---- root on the host ---- */

static int make_link(const char *config, const char *name, bool json)
{
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    int status = sp_client_open_local(config, &client);
    if (status == SP_EXIT_OK) {
        json_t *body = name == NULL ? json_object() : json_pack("{s:s}", "name", name);
        status = sp_client_call(client, "POST", "/api/v1/setup-link", body, &answer);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        sp_print_safe(stdout, sp_json_text(answer, "link"));
        printf("\nIt serves once, until %s UTC. Who opens it becomes %s.\n",
               sp_short_time(sp_json_text(answer, "expires_at")),
               name == NULL ? "the first administrator" : name);
    }
    json_decref(answer);
    return status;
}

int sp_setup_link_command(int argc, char **argv)
{
    bool json = false;
    const char *config = NULL;
    const sp_option options[] = {{"-c", "FILE", &config, "the bootstrap file"},
                                 {"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {"setup-link [-c FILE] [--json]",
                            "For root on the host, before there is an administrator: prints a new "
                            "one-time link that\nmakes the first one.",
                            options,
                            SP_COUNT(options),
                            0,
                            0};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    return status == SP_GO_ON ? make_link(config, NULL, json) : status;
}

int sp_recover_admin_command(int argc, char **argv)
{
    bool json = false;
    const char *config = NULL;
    const sp_option options[] = {{"-c", "FILE", &config, "the bootstrap file"},
                                 {"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {
        "recover-admin NAME [-c FILE] [--json]",
        "For root on the host: prints a one-time link by which an administrator "
        "who lost every way\nto sign in makes new ones. It is in the ledger.",
        options,
        SP_COUNT(options),
        1,
        1};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    return status == SP_GO_ON ? make_link(config, words[0], json) : status;
}
