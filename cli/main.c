/* SPDX-License-Identifier: Apache-2.0
 * The one program: finds the command or role that was asked for and runs it.
 * OWNS nothing. PROCESS all. TRUST argv comes from the operator.
 * SPEC docs/man/sallyport.1, infra/proc/entry.h.
 */
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "lib/base/buf.h"

#include <stdio.h>
#include <unistd.h>

/* A heading a group, in this order; a command without a group is for the machine, not people. */
static const char group_office[] = "Run an office";
static const char group_change[] = "Documents and policy";
static const char group_watch[] = "People, devices and the ledger";
static const char group_self[] = "This computer";
static const char *const groups[] = {group_office, group_change, group_watch, group_self};

static int help_command(int argc, char **argv);
static int version_command(int argc, char **argv);
static int role_command(int argc, char **argv);

/* A room that can be linked says so in its own meson.build (program_deps, program_args). */
static const sp_command commands[] = {
    {group_office, "run", "-c FILE", "start the whole office", sp_run_command},
    {group_office, "doctor", "[-c FILE]", "check this machine and the running roles",
     sp_doctor_command},
    {group_office, "status", "[--local]", "who is signed in here, and the office's health",
     sp_status_command},
    {group_office, "setup-link", "[-c FILE]", "root: the link for the first administrator",
     sp_setup_link_command},
    {group_office, "recover-admin", "NAME [-c FILE]", "root: a link for one who cannot sign in",
     sp_recover_admin_command},
    {group_office, "backup", "create|verify|restore FILE", "root: the store as one encrypted file",
     sp_backup_command},
    {group_change, "apply", "-f DIR [--dry-run]", "put documents in force, all or nothing",
     sp_apply_command},
    {group_change, "fetch", "DIR", "write the documents in force into a folder", sp_fetch_command},
    {group_change, "history", "", "versions of the documents", sp_history_command},
    {group_change, "rollback", "VERSION", "put an earlier version in force again",
     sp_rollback_command},
    {group_change, "policy", "COMMAND", "test, explain, matrix, diff, replay", sp_policy_command},
    {group_change, "resource", "COMMAND", "what is behind the gate", sp_resource_command},
    {group_watch, "person", "COMMAND", "accounts and the roles they hold", sp_person_command},
    {group_watch, "device", "COMMAND", "approve, quarantine, revoke", sp_device_command},
    {group_watch, "session", "COMMAND", "who is in now; end a session", sp_session_command},
    {group_watch, "ledger", "COMMAND", "verify, search, tail, export", sp_ledger_command},
    {group_self, "login", "--url URL", "sign this command line in", sp_login_command},
    {group_self, "logout", "", "end its session", sp_logout_command},
    {group_self, "agent", "COMMAND", "enrol this computer and keep its certificate fresh",
     sp_agent_command},
    {group_self, "completion", "bash", "a script that completes these words",
     sp_completion_command},
    {group_self, "help", "[COMMAND]", "this page, or a command's own", help_command},
    {group_self, "version", "", "the program's version", version_command},
    {NULL, "role", "ROLE -c FILE", "one role of the office: started by run or by systemd",
     role_command},
};

typedef struct {
    sp_role_kind kind;
    int (*run)(const sp_config *config);
} role;

static const role roles[] = {
    {SP_ROLE_CORE, sp_core_role}, {SP_ROLE_VAULT, sp_vault_role}, {SP_ROLE_LEDGER, sp_ledger_role},
    {SP_ROLE_WEB, sp_web_role},   {SP_ROLE_COUNT, NULL},
};

static const sp_command *find(const char *word)
{
    for (size_t i = 0; i < SP_COUNT(commands); i++) {
        if (sp_span_eq(sp_span_cstr(commands[i].word), sp_span_cstr(word))) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_group(FILE *to, const char *group)
{
    const char *bold = isatty(fileno(to)) ? "\033[1m" : "";
    fprintf(to, "\n%s%s%s\n", bold, group, bold[0] != '\0' ? "\033[0m" : "");
    for (size_t i = 0; i < SP_COUNT(commands); i++) {
        const sp_command *command = &commands[i];
        if (command->group == group) {
            fprintf(to, "  %-13s %-18s %s\n", command->word, command->arguments, command->summary);
        }
    }
}

static void print_help(FILE *to)
{
    fprintf(to, "usage: sallyport COMMAND [ARGUMENTS]\n\n"
                "One gate through which an enterprise's people reach everything inside.\n");
    for (size_t i = 0; i < SP_COUNT(groups); i++) {
        print_group(to, groups[i]);
    }
    fprintf(to, "\nsallyport help COMMAND tells more. The manual: man sallyport.\n");
}

static int unknown(const char *what, const char *word)
{
    fprintf(stderr, "sallyport: there is no %s '%s'. sallyport --help lists them.\n", what, word);
    return SP_EXIT_USAGE;
}

static int help_command(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stdout);
        return SP_EXIT_OK;
    }
    const sp_command *command = find(argv[1]);
    if (command == NULL) {
        return unknown("command", argv[1]);
    }
    if (command->run == help_command || command->run == version_command || command->group == NULL) {
        printf("usage: sallyport %s %s\n\n%s\n", command->word, command->arguments,
               command->summary);
        return SP_EXIT_OK;
    }
    char option[] = "--help";
    char *inner[] = {argv[1], option, NULL};
    return command->run(2, inner);
}

static int version_command(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("sallyport " SP_VERSION "\n");
    return SP_EXIT_OK;
}

static int run_role(const role *entry, const char *path)
{
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    sp_err err = sp_config_load(path, &diags, &config);
    auto_buf sp_buf text = sp_buf_make((size_t)SP_DIAGS_MAX * 1024);
    sp_diags_print(&diags, &text);
    fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
    if (sp_failed(err)) {
        return SP_EXIT_INVALID;
    }
    sp_log_start(sp_role_word(entry->kind), SP_LOG_INFO);
    int status = entry->run(config);
    sp_config_free(config);
    return status;
}

static int role_command(int argc, char **argv)
{
    if (argc != 4 || !sp_span_eq(sp_span_cstr(argv[2]), SP_SPAN_LIT("-c"))) {
        fprintf(stderr, "usage: sallyport role core|vault|ledger|web -c FILE\n");
        return SP_EXIT_USAGE;
    }
    for (const role *entry = roles; entry->run != NULL; entry++) {
        if (sp_span_eq(sp_span_cstr(sp_role_word(entry->kind)), sp_span_cstr(argv[1]))) {
            return run_role(entry, argv[3]);
        }
    }
    return unknown("role", argv[1]);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return SP_EXIT_USAGE;
    }
    sp_span word = sp_span_cstr(argv[1]);
    if (sp_span_eq(word, SP_SPAN_LIT("--help")) || sp_span_eq(word, SP_SPAN_LIT("-h"))) {
        print_help(stdout);
        return SP_EXIT_OK;
    }
    if (sp_span_eq(word, SP_SPAN_LIT("--version"))) {
        return version_command(argc, argv);
    }
    const sp_command *command = find(argv[1]);
    return command == NULL ? unknown("command", argv[1]) : command->run(argc - 1, argv + 1);
}
