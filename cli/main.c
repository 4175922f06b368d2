/* SPDX-License-Identifier: Apache-2.0
 * The one program: finds the command or role that was asked for and runs it.
 * OWNS nothing. PROCESS all. TRUST argv comes from the operator.
 * SPEC docs/man/sallyport.1, infra/proc/entry.h.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "lib/base/buf.h"

#include <stdio.h>

static const char *const headings[SP_GROUP_COUNT] = {
    [SP_GROUP_OFFICE] = "Run an office",
    [SP_GROUP_CHANGE] = "Documents and policy",
    [SP_GROUP_WATCH] = "People, devices and the ledger",
    [SP_GROUP_SELF] = "This computer",
};

typedef struct {
    sp_role_kind kind;
    int (*run)(const sp_config *config);
} role;

static const role roles[] = {
    {SP_ROLE_CORE, sp_core_role},
    {SP_ROLE_VAULT, sp_vault_role},
    {SP_ROLE_LEDGER, sp_ledger_role},
    {SP_ROLE_WEB, sp_web_role},
    {SP_ROLE_DB, sp_db_role},
    {SP_ROLE_KEEPER, sp_keeper_role},
    {SP_ROLE_COURIER, sp_courier_role},
    {SP_ROLE_WATCH, sp_watch_role},
    {SP_ROLE_SSH, sp_ssh_role},
    {SP_ROLE_RUNNER, sp_runner_role},
    {SP_ROLE_COUNT, NULL},
};

/* ---- lists of commands ---- */

/* What help shows behind the word: its arguments, and the options that it does not go without. */
static void arguments_of(const sp_command *command, sp_buf *out)
{
    sp_buf_text(out, command->words == NULL ? "" : command->words);
    for (const sp_option *o = command->options; o != NULL && o->word != NULL; o++) {
        if (o->needed != NULL) {
            sp_buf_fmt(out, "%s%s %s", out->len == 0 ? "" : " ", o->word, o->value);
        }
    }
}

/* The commands of a heading, or those below another command (of). */
static void print_list(FILE *to, sp_group group, const char *of)
{
    const sp_command *command = NULL;
    for (size_t i = 0; (command = sp_command_at(i)) != NULL; i++) {
        bool here = of == NULL ? command->group == group && command->of == NULL
                               : command->of != NULL && sp_same(command->of, of);
        if (here) {
            auto_buf sp_buf arguments = sp_buf_make(256);
            arguments_of(command, &arguments);
            fprintf(to, "  %-13s %-*.*s %s\n", command->word, of == NULL ? 18 : 32,
                    SP_SPAN_ARG(sp_buf_borrow(&arguments)), command->summary);
        }
    }
}

static void print_help(FILE *to)
{
    const char *bold = sp_colour(to) ? "\033[1m" : "";
    fprintf(to, "usage: sallyport COMMAND [ARGUMENTS]\n\n"
                "One gate through which an enterprise's people reach everything inside.\n");
    for (sp_group group = SP_GROUP_OFFICE; group < SP_GROUP_COUNT; group++) {
        fprintf(to, "\n%s%s%s\n", bold, headings[group], bold[0] != '\0' ? "\033[0m" : "");
        print_list(to, group, NULL);
    }
    fprintf(to, "\nsallyport help COMMAND tells more. The manual: man sallyport.\n");
}

static void print_below(FILE *to, const sp_command *command)
{
    fprintf(to, "usage: sallyport %s COMMAND [ARGUMENTS]\n\n%s\n\n", command->word, command->about);
    print_list(to, SP_GROUP_NONE, command->word);
    fprintf(to, "\nsallyport %s COMMAND --help tells more. All take --json.\n", command->word);
}

static int unknown(const char *what, const char *word)
{
    fprintf(stderr, "sallyport: there is no %s '%s'. sallyport --help lists them.\n", what, word);
    return SP_EXIT_USAGE;
}

/* ---- running one ---- */

static int run(const sp_command *command, int argc, char **argv);

static int run_below(const sp_command *group, int argc, char **argv)
{
    if (argc < 2 || sp_is_help(argv[1])) {
        print_below(argc < 2 ? stderr : stdout, group);
        return argc < 2 ? SP_EXIT_USAGE : SP_EXIT_OK;
    }
    const sp_command *command = sp_command_find(group->word, argv[1]);
    if (command == NULL) {
        sp_complain("there is no command '%s %s'. sallyport %s --help lists them.", group->word,
                    argv[1], group->word);
        return SP_EXIT_USAGE;
    }
    return run(command, argc - 1, argv + 1);
}

static int run(const sp_command *command, int argc, char **argv)
{
    if (command->run != NULL) {
        const sp_command *below = argc > 1 ? sp_command_find(command->word, argv[1]) : NULL;
        return below != NULL ? run(below, argc - 1, argv + 1) : command->run(argc, argv);
    }
    if (command->call == NULL && command->ask.path == NULL) {
        return run_below(command, argc, argv);
    }
    sp_given given;
    int status = sp_args_read(command, argc, argv, &given);
    if (status != SP_GO_ON) {
        return status;
    }
    return command->call != NULL ? command->call(&given) : sp_ask_run(&given);
}

int sp_help(const sp_given *given)
{
    if (given->words_count == 0) {
        print_help(stdout);
        return SP_EXIT_OK;
    }
    const sp_command *command = sp_command_find(NULL, given->words[0]);
    if (command == NULL) {
        return unknown("command", given->words[0]);
    }
    if (command->group == SP_GROUP_NONE) {
        sp_args_help(command, stdout);
        return SP_EXIT_OK;
    }
    char option[] = "--help";
    /* a command reads its own word, never writes it */
    char *inner[] = {(char *)(uintptr_t)command->word, option, NULL};
    return run(command, 2, inner);
}

int sp_version(const sp_given *given)
{
    (void)given;
    printf("sallyport " SP_VERSION "\n");
    return SP_EXIT_OK;
}

/* ---- roles ---- */

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

int sp_role_command(int argc, char **argv)
{
    if (argc != 4 || !sp_span_eq(sp_span_cstr(argv[2]), SP_SPAN_LIT("-c"))) {
        fprintf(stderr, "usage: sallyport role ");
        for (const role *entry = roles; entry->run != NULL; entry++) {
            fprintf(stderr, "%s%s", entry == roles ? "" : "|", sp_role_word(entry->kind));
        }
        fprintf(stderr, " -c FILE\n");
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
    if (sp_is_help(argv[1])) {
        print_help(stdout);
        return SP_EXIT_OK;
    }
    const sp_command *command =
        sp_command_find(NULL, sp_same(argv[1], "--version") ? "version" : argv[1]);
    return command == NULL ? unknown("command", argv[1]) : run(command, argc - 1, argv + 1);
}
