/* SPDX-License-Identifier: Apache-2.0
 * sallyport ssh, scp, sftp, ssh-config, ssh-keys: OpenSSH through the gate, with everything set up.
 * OWNS nothing. PROCESS cli. TRUST argv is the person's; names of machines are looked up among
 * those that the office told, so that none becomes an option or another host. SPEC
 * docs/man/sallyport-ssh.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/session_file.h"
#include "cli/ssh_files.h"
#include "cli/table.h"
#include "infra/proc/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGS_MAX = 256, KEY_FILE_MAX_BYTES = 16 * 1024, CONFIG_MAX_BYTES = 1 << 20 };
#define PACKAGE "openssh-client"

/* ---- fresh files ---- */

/* From the file alone when the certificate lasts; else the office is asked. */
static int ready(sp_ssh_files *files, bool force)
{
    sp_session_file session = {0};
    if (!sp_ssh_files_find(files)) {
        return SP_EXIT_FAILED;
    }
    bool fresh = !force && !sp_failed(sp_session_file_read(&session)) &&
                 sp_ssh_files_fresh(files, session.url);
    sp_session_file_done(&session);
    if (fresh) {
        return SP_EXIT_OK;
    }
    auto_client sp_client *client = NULL;
    int status = sp_client_open(&client);
    return status == SP_EXIT_OK ? sp_ssh_files_make(files, client, false) : status;
}

void sp_ssh_after_login(sp_client *client)
{
    sp_ssh_files files;
    if (sp_ssh_files_find(&files)) {
        (void)sp_ssh_files_make(&files, client, true); /* signing in has worked all the same */
    }
}

void sp_ssh_after_logout(void)
{
    sp_ssh_files files;
    if (sp_ssh_files_find(&files)) {
        sp_ssh_files_forget(&files);
    }
}

/* ---- ssh ---- */

typedef struct {
    char name[256];                 /* of the machine */
    char host[512];                 /* NAME.sallyport */
    char user[SP_PATH_BYTES + 512]; /* "mia:host:account"; empty: as configured */
} target;

/* "NAME", "NAME:ACCOUNT", "NAME.sallyport". */
static bool read_target(const char *word, target *t)
{
    sp_span rest = sp_span_cstr(word);
    sp_span name = SP_SPAN_EMPTY;
    if (!sp_span_split(&rest, ':', &name)) {
        return false;
    }
    if (sp_span_ends(name, SP_SPAN_LIT(SP_SSH_SUFFIX))) {
        name.len -= sizeof(SP_SSH_SUFFIX) - 1;
    }
    if (sp_failed(sp_fit(t->name, sizeof(t->name), name))) {
        return false;
    }
    snprintf(t->host, sizeof(t->host), "%s" SP_SSH_SUFFIX, t->name);
    t->user[0] = '\0';
    if (rest.len > 0) {
        snprintf(t->user, sizeof(t->user), "%s:%.*s", t->name, SP_SPAN_ARG(rest));
    }
    return true;
}

static int find_machine(sp_ssh_files *files, const target *t)
{
    int status = ready(files, false);
    if (status == SP_EXIT_OK && !sp_ssh_files_know(files, t->name)) {
        status = ready(files, true); /* it may be new */
    }
    if (status == SP_EXIT_OK && !sp_ssh_files_know(files, t->name)) {
        sp_complain("there is no machine '%s' for you. sallyport ssh-config --list names yours.",
                    t->name);
        return SP_EXIT_FAILED;
    }
    return status;
}

int sp_ssh_command(int argc, char **argv)
{
    sp_ssh_files files;
    target t;
    char user[SP_PATH_BYTES] = "";
    char full[sizeof(t.user) + SP_PATH_BYTES];
    if (argc < 2 || argv[1][0] == '-') {
        bool help = argc > 1 && sp_is_help(argv[1]);
        fprintf(help ? stdout : stderr,
                "usage: sallyport ssh MACHINE[:ACCOUNT] [ARGUMENTS OF SSH] [COMMAND...]\n\n"
                "A shell, or one command, on a machine behind the gate: with the office's\n"
                "certificate for this computer, the gate's host key and your name set up.\n"
                "'sallyport ssh-config --list' names your machines; scp, rsync, git and others\n"
                "work as MACHINE.sallyport once 'sallyport ssh-config --install' has been run.\n");
        return help ? SP_EXIT_OK : SP_EXIT_USAGE;
    }
    if (argc > ARGS_MAX || !read_target(argv[1], &t)) {
        sp_complain("MACHINE or MACHINE:ACCOUNT is expected, not '%s'", argv[1]);
        return SP_EXIT_USAGE;
    }
    int status = find_machine(&files, &t);
    if (status != SP_EXIT_OK) {
        return status;
    }
    char *args[ARGS_MAX + 8];
    size_t n = 0;
    char program[] = "ssh";
    char config[] = "-F";
    char login[] = "-l";
    args[n++] = program;
    args[n++] = config;
    args[n++] = files.config;
    if (t.user[0] != '\0') {
        sp_ssh_files_user(&files, user);
        snprintf(full, sizeof(full), "%s:%s", user, t.user);
        args[n++] = login;
        args[n++] = full;
    }
    args[n++] = t.host;
    for (int i = 2; i < argc; i++) {
        args[n++] = argv[i];
    }
    args[n] = NULL;
    return sp_run_program("ssh", PACKAGE, args);
}

/* scp and sftp: names with the suffix are ours, by the configuration. */
int sp_copy_command(int argc, char **argv)
{
    sp_ssh_files files;
    char *args[ARGS_MAX + 4];
    char config[] = "-F";
    if (argc < 2 || sp_is_help(argv[1]) || argc > ARGS_MAX) {
        bool help = argc > 1 && sp_is_help(argv[1]);
        fprintf(help ? stdout : stderr,
                "usage: sallyport %s ARGUMENTS OF %s\n\n"
                "%s with machines behind the gate as MACHINE.sallyport:\n\n"
                "    sallyport scp report.csv workstation.sallyport:\n"
                "    sallyport sftp workstation.sallyport\n",
                argv[0], argv[0], argv[0]);
        return help ? SP_EXIT_OK : SP_EXIT_USAGE;
    }
    int status = ready(&files, false);
    if (status != SP_EXIT_OK) {
        return status;
    }
    args[0] = argv[0];
    args[1] = config;
    args[2] = files.config;
    for (int i = 1; i < argc; i++) {
        args[i + 2] = argv[i];
    }
    args[argc + 2] = NULL;
    return sp_run_program(argv[0], PACKAGE, args);
}

/* ---- ssh-config ---- */

static bool user_config(char dir[SP_PATH_BYTES], char path[SP_PATH_BYTES])
{
    const char *home = getenv("HOME");
    int a = home == NULL ? -1 : snprintf(dir, SP_PATH_BYTES, "%s/.ssh", home);
    int b = home == NULL ? -1 : snprintf(path, SP_PATH_BYTES, "%s/.ssh/config", home);
    return a > 0 && b > 0 && b < SP_PATH_BYTES;
}

/* The line that includes ours, first in the file (inside of a Host it would count for it only), or
 * without it. */
static sp_err put_include(const char *path, sp_span line, bool wanted)
{
    auto_buf sp_buf old = sp_buf_make(CONFIG_MAX_BYTES);
    auto_buf sp_buf new = sp_buf_make(CONFIG_MAX_BYTES * 2);
    sp_err err = sp_file_read(path, &old);
    if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        return err;
    }
    if (wanted) {
        sp_buf_span(&new, line);
        sp_buf_byte(&new, '\n');
    }
    sp_span rest = sp_buf_borrow(&old);
    sp_span one;
    while (rest.len > 0 && sp_span_split(&rest, '\n', &one)) {
        if (!sp_span_eq(one, line)) {
            sp_buf_span(&new, one);
            sp_buf_byte(&new, '\n');
        }
    }
    TRY(sp_buf_error(&new));
    struct stat st;
    unsigned mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0600;
    return sp_file_replace(path, mode, sp_buf_borrow(&new));
}

static int install(const sp_ssh_files *files, bool wanted)
{
    char dir[SP_PATH_BYTES];
    char path[SP_PATH_BYTES];
    char line[SP_PATH_BYTES + 16];
    if (!user_config(dir, path)) {
        sp_complain("there is no home folder");
        return SP_EXIT_FAILED;
    }
    snprintf(line, sizeof(line), "Include \"%s\"", files->config);
    sp_err err = sp_dir_make(dir, 0700);
    if (!sp_failed(err)) {
        err = put_include(path, sp_span_cstr(line), wanted);
    }
    if (sp_failed(err)) {
        sp_complain("%s: %s", path, sp_code_word(err.code));
        return SP_EXIT_FAILED;
    }
    printf(wanted ? "%s includes your machines as MACHINE" SP_SSH_SUFFIX "\n"
                  : "%s does not include them any more\n",
           path);
    return SP_EXIT_OK;
}

static int print_file(const char *path)
{
    auto_buf sp_buf text = sp_buf_make(CONFIG_MAX_BYTES);
    sp_err err = sp_file_read(path, &text);
    if (sp_failed(err)) {
        sp_complain("%s: %s", path, sp_code_word(err.code));
        return SP_EXIT_FAILED;
    }
    printf("%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
    return SP_EXIT_OK;
}

static int list_machines(bool json)
{
    static const sp_column columns[] = {{"NAME", "name", NULL},
                                        {"ACCOUNTS", "accounts", NULL},
                                        {"SHELL", "shell", NULL},
                                        {"OPEN", "connections", NULL},
                                        {NULL, NULL, NULL}};
    auto_client sp_client *client = NULL;
    json_t *me = NULL;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, "GET", "/api/v1/me/ssh", NULL, &me);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(me);
    } else if (status == SP_EXIT_OK) {
        sp_ask_rows(columns, json_object_get(me, "items"));
    }
    json_decref(me);
    return status;
}

int sp_ssh_config(const sp_given *given)
{
    sp_ssh_files files;
    bool refresh = sp_given_value(given, "--refresh") != NULL;
    bool remove = sp_given_value(given, "--remove") != NULL;
    if (sp_given_value(given, "--list") != NULL || given->json) {
        return list_machines(given->json);
    }
    if (remove) {
        return sp_ssh_files_find(&files) ? install(&files, false) : SP_EXIT_FAILED;
    }
    int status = ready(&files, !refresh);
    if (status != SP_EXIT_OK || refresh) {
        return status;
    }
    if (sp_given_value(given, "--install") != NULL) {
        return install(&files, true);
    }
    return print_file(sp_given_value(given, "--known-hosts") != NULL ? files.known_hosts
                                                                     : files.config);
}

/* ---- ssh-keys ---- */

static int read_key(const char *path, sp_buf *text)
{
    sp_err err = sp_file_read(path, text);
    sp_span line = sp_span_trim(sp_buf_borrow(text));
    if (sp_failed(err)) {
        sp_complain("%s: %s", path, sp_code_word(err.code));
        return SP_EXIT_USAGE;
    }
    if (sp_span_find(line, SP_SPAN_LIT("PRIVATE KEY")) < line.len) {
        sp_complain("%s is a private key: nobody needs it but you. Its public half is in %s.pub",
                    path, path);
        return SP_EXIT_USAGE;
    }
    return SP_EXIT_OK;
}

int sp_ssh_key_add(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    auto_buf sp_buf text = sp_buf_make(KEY_FILE_MAX_BYTES);
    json_t *answer = NULL;
    int status = read_key(given->words[1], &text);
    if (status == SP_EXIT_OK) {
        status = sp_client_open(&client);
    }
    if (status != SP_EXIT_OK) {
        return status;
    }
    sp_span line = sp_span_trim(sp_buf_borrow(&text));
    json_t *body = json_pack("{s:s,s:s%}", "name", given->words[0], "key", line.ptr, line.len);
    if (body == NULL) {
        sp_complain("%s: a line of text is expected", given->words[1]);
        return SP_EXIT_USAGE;
    }
    status = sp_client_call(client, "POST", "/api/v1/me/ssh-keys", body, &answer);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        sp_ask_say("{name}: {fingerprint}", given, answer);
    }
    json_decref(answer);
    return status;
}
