/* SPDX-License-Identifier: Apache-2.0
 * device: what is enrolled, and what security administrators decide about it.
 * OWNS nothing. PROCESS cli. TRUST names that devices gave themselves are printed without control
 * bytes. SPEC docs/man/sallyport-device.1.
 */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/table.h"

#include <stdio.h>

/* The first 16 digits of the key's hash, as the agent shows them: "1a2b-3c4d-5e6f-7081". */
static const char *short_key(const json_t *device)
{
    static char text[20];
    const char *hex = sp_json_text(device, "key_fingerprint");
    if (sp_span_cstr(hex).len < 16) {
        return "";
    }
    snprintf(text, sizeof(text), "%.4s-%.4s-%.4s-%.4s", hex, hex + 4, hex + 8, hex + 12);
    return text;
}

static void print_devices(const json_t *items)
{
    auto_table sp_table table = {
        8, {"ID", "NAME", "PERSON", "STATE", "OWNER", "POSTURE", "SEEN (UTC)", "KEY"}, NULL, 0};
    static const char *const keys[] = {"id", "name", "person.name", "state", "owner", "posture"};
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *one = json_array_get(items, i);
        for (size_t k = 0; k < SP_COUNT(keys); k++) {
            bool cloned = k == 3 && json_is_true(json_object_get(one, "cloned"));
            sp_table_cell(&table, cloned ? "cloned" : sp_json_text(one, keys[k]));
        }
        sp_table_cell(&table, sp_short_time(sp_json_text(one, "seen_at")));
        sp_table_cell(&table, short_key(one));
    }
    sp_table_print(&table, stdout);
}

static int list(int argc, char **argv)
{
    bool json = false;
    bool mine = false;
    const sp_option options[] = {{"--mine", NULL, &mine, "my own only"},
                                 {"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {"device list [--mine] [--json]",
                            "Lists the devices, those that wait for approval first.",
                            options,
                            SP_COUNT(options),
                            0,
                            0};
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
        status =
            sp_client_list(client, mine ? "/api/v1/me/devices" : "/api/v1/admin/devices", &items);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(items);
    } else if (status == SP_EXIT_OK) {
        print_devices(items);
    }
    json_decref(items);
    return status;
}

static int act(const char *name, const char *verb, json_t *body, bool json, const char *done)
{
    auto_client sp_client *client = NULL;
    json_t *device = NULL;
    json_t *answer = NULL;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_find_device(client, name, &device);
    }
    if (status == SP_EXIT_OK) {
        status = sp_call_on(client, "POST", "/api/v1/admin/devices", device, verb,
                            json_incref(body), &answer);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        sp_print_safe(stdout, sp_json_text(answer, "name"));
        printf(" %s\n", done);
    }
    json_decref(body);
    json_decref(device);
    json_decref(answer);
    return status;
}

static int approve(int argc, char **argv)
{
    bool json = false;
    const char *owner = NULL;
    const sp_option options[] = {{"--owner", "WHO", &owner, "company or personal"},
                                 {"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {
        "device approve NAME|ID --owner company|personal [--json]",
        "Lets a device in that waits, and says who owns it. Compare the key with what the agent\n"
        "shows on the device. Nobody approves a device of his own.",
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
    if (owner == NULL) {
        sp_complain("say who owns it: --owner company or --owner personal");
        return SP_EXIT_USAGE;
    }
    return act(words[0], "approve", json_pack("{s:s}", "owner", owner), json, "is active");
}

typedef struct {
    const char *usage;
    const char *about;
    const char *verb;
    const char *done;
} verb_command;

static int run_verb(const verb_command *command, int argc, char **argv)
{
    bool json = false;
    const char *why = NULL;
    const sp_option options[] = {{"--why", "TEXT", &why, "the reason, for the ledger"},
                                 {"--json", NULL, &json, "JSON"}};
    const sp_usage usage = {command->usage, command->about, options, SP_COUNT(options), 1, 1};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    json_t *body = why == NULL ? json_object() : json_pack("{s:s}", "why", why);
    return act(words[0], command->verb, body, json, command->done);
}

static int quarantine(int argc, char **argv)
{
    static const verb_command command = {
        "device quarantine NAME|ID [--why TEXT] [--json]",
        "Cuts a device off at the next byte, until it is released.", "quarantine",
        "is in quarantine"};
    return run_verb(&command, argc, argv);
}

static int release(int argc, char **argv)
{
    static const verb_command command = {"device release NAME|ID [--why TEXT] [--json]",
                                         "Lets a device out of quarantine.", "release",
                                         "is active"};
    return run_verb(&command, argc, argv);
}

static int revoke_device(int argc, char **argv)
{
    static const verb_command command = {"device revoke NAME|ID [--why TEXT] [--json]",
                                         "Ends a device for good, at the next byte.", "revoke",
                                         "is revoked"};
    return run_verb(&command, argc, argv);
}

int sp_device_command(int argc, char **argv)
{
    static const sp_command commands[] = {
        {NULL, "list", "[--mine]", "all devices", list},
        {NULL, "approve", "NAME|ID --owner WHO", "let a device in", approve},
        {NULL, "quarantine", "NAME|ID", "cut it off for now", quarantine},
        {NULL, "release", "NAME|ID", "out of quarantine", release},
        {NULL, "revoke", "NAME|ID", "end it for good", revoke_device},
    };
    return sp_group_run("device", "Devices that are enrolled.", commands, SP_COUNT(commands), argc,
                        argv);
}
