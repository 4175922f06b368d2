/* SPDX-License-Identifier: Apache-2.0
 * The table of all commands, in the order of the help. To add one, add a row (and, only if a row
 * cannot say it, a function in cli/handlers.h), its page in docs/man and a test.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC cli/command.h, docs/man/sallyport.1.
 */
#include "cli/commands.h"

#include "cli/args.h"
#include "cli/handlers.h"
#include "infra/proc/entry.h"
#include "lib/base/mem.h"

/* ---- options that several rows take ---- */

static const sp_option WHY[] = {
    {"--why", SP_OPTION_TEXT, "TEXT", "the reason, for the ledger", .field = "why"},
    {0},
};

/* ---- what several rows print ---- */

#define HAND_OVER                                                                                  \
    "Hand this link over on a channel you trust; it is shown once and serves until {expires_at} "  \
    "UTC:\n\n    {link}"

/* A list is shown whole, or by pages. */
#define PAGES                                                                                      \
    {"--page", SP_OPTION_NUMBER, "ROWS", "one page of so many (at most 200), not all",             \
     .field = "limit"},                                                                            \
    {                                                                                              \
        "--after", SP_OPTION_TEXT, "CURSOR", "the page behind the one that named this",            \
            .field = "cursor"                                                                      \
    }

#define PEOPLE "/api/v1/admin/people"
#define DEVICES "/api/v1/admin/devices"
#define DATABASES "/api/v1/admin/databases"

/* A room that can be linked says so in its own meson.build (program_deps, program_args). */
static const sp_command commands[] = {
    /* ---- run an office ---- */
    {SP_GROUP_OFFICE, NULL, "run", "-c FILE", "start the whole office", .run = sp_run_command},
    {SP_GROUP_OFFICE, NULL, "doctor", "[-c FILE]", "check this machine and the running roles",
     .run = sp_doctor_command},
    {SP_GROUP_OFFICE, NULL, "status", NULL, "who is signed in here, and the office's health",
     "Who is signed in here, and whether the office's roles are well.",
     .options =
         (const sp_option[]){
             SP_FLAG("--local", "root on the host itself: no sign-in, over the local socket"),
             SP_TEXT("-c", "FILE", "with --local: the bootstrap file"),
             {0}},
     .call = sp_status},
    {SP_GROUP_OFFICE, NULL, "setup-link", NULL, "root: the link for the first administrator",
     "For root on the host, before there is an administrator: prints a new one-time link that\n"
     "makes the first one.",
     .ask = {SP_NEEDS_ROOT, "POST", "/api/v1/setup-link",
             .done = "{link}\nIt serves once, until {expires_at} UTC. Who opens it becomes the "
                     "first administrator."}},
    {SP_GROUP_OFFICE, NULL, "recover-admin", "NAME", "root: a link for one who cannot sign in",
     "For root on the host: prints a one-time link by which an administrator who lost every way\n"
     "to sign in makes new ones. It is in the ledger.",
     .ask = {SP_NEEDS_ROOT, "POST", "/api/v1/setup-link", .field = "name",
             .done = "{link}\nIt serves once, until {expires_at} UTC. Who opens it becomes {1}."}},
    {SP_GROUP_OFFICE, NULL, "backup", "create|verify|restore FILE",
     "root: store and keys as one file", .run = sp_backup_command},

    /* ---- documents and policy ---- */
    {SP_GROUP_CHANGE, NULL, "apply", NULL, "put documents in force, all or nothing",
     "Puts the documents of a folder in force, all or nothing: they are compiled, every never is\n"
     "proven, the examples are run, the difference is shown, then all gates decide by them.",
     .options =
         (const sp_option[]){{"-f", SP_OPTION_TEXT, "DIR", "the folder (or one file) of documents",
                              .needed = "say which folder: sallyport apply -f DIR"},
                             SP_FLAG("--dry-run", "check and show the difference, change nothing"),
                             SP_TEXT("--comment", "TEXT", "kept with the version"),
                             {0}},
     .call = sp_apply},
    {SP_GROUP_CHANGE, NULL, "fetch", "DIR", "write the documents in force into a folder",
     "Writes the documents into a folder, to be edited and applied again.",
     .options =
         (const sp_option[]){{"--version", SP_OPTION_NUMBER, "N",
                              "an earlier version; default: the one in force", .field = NULL},
                             {0}},
     .no_json = true, .call = sp_fetch},
    {SP_GROUP_CHANGE, NULL, "history", NULL, "versions of the documents",
     "Lists the versions of the documents, newest first.",
     .ask = {.path = "/api/v1/admin/policy/versions",
             .columns = {{"VERSION", "version", NULL},
                         {"", NULL, sp_version_state},
                         {"WHEN (UTC)", "applied_at", NULL},
                         {"BY", "by", NULL},
                         {"COMMENT", "comment", NULL}}}},
    {SP_GROUP_CHANGE, NULL, "rollback", "VERSION", "put an earlier version in force again",
     "Puts the documents of an earlier version in force again, as a new version.",
     .options =
         (const sp_option[]){{"--comment", SP_OPTION_TEXT, "TEXT", "kept with the new version",
                              .field = "comment", .otherwise = ""},
                             {0}},
     .ask = {.method = "POST",
             .path = "/api/v1/admin/policy/versions/{1}/rollback",
             .done = "version {version} is in force, with the documents of version {1}"}},
    {SP_GROUP_CHANGE, NULL, "policy", "COMMAND", "test, explain, matrix, diff, replay",
     .run = sp_policy_command},
    {SP_GROUP_CHANGE, NULL, "resource", "COMMAND", "what is behind the gate",
     .about = "Resources of the policy in force."},
    {SP_GROUP_NONE, "resource", "list", NULL, "what is behind the gate",
     "Lists the resources of the policy in force.",
     .ask = {.path = "/api/v1/admin/resources",
             .columns = {{"NAME", "name", NULL},
                         {"CLASS", "class", NULL},
                         {"OPERATOR", "operator", NULL},
                         {"URL", "web.url", NULL},
                         {"UPSTREAM", "web.upstream", NULL}}}},

    /* ---- people, devices and the ledger ---- */
    {SP_GROUP_WATCH, NULL, "person", "COMMAND", "accounts and the roles they hold",
     .about = "Accounts and the roles they hold."},
    {SP_GROUP_NONE, "person", "list", NULL, "all accounts", "Lists the accounts.",
     .options = (const sp_option[]){{"--search", SP_OPTION_TEXT, "TEXT",
                                     "those with it in a name only", .field = "q"},
                                    PAGES,
                                    {0}},
     .ask = {.path = PEOPLE,
             .columns = {{"NAME", "name", NULL},
                         {"DISPLAY NAME", "display_name", NULL},
                         {"STATE", "state", NULL},
                         {"ROLES", "roles", NULL},
                         {"LAST SIGN-IN (UTC)", "last_sign_in_at", NULL}}}},
    {SP_GROUP_NONE, "person", "add", "NAME", "a new account, and its set-up link",
     "Makes an account and prints its one-time set-up link.",
     .options = (const sp_option[]){SP_TEXT("--display", "NAME", "as people call him"), {0}},
     .ask = {.done = HAND_OVER}, .call = sp_person_add},
    {SP_GROUP_NONE, "person", "invite", "NAME", "a new set-up link",
     "Prints a new one-time set-up link; an earlier one dies.",
     .ask = {.method = "POST", .path = PEOPLE "/{person}/invite", .done = HAND_OVER}},
    {SP_GROUP_NONE, "person", "disable", "NAME", "nobody gets in under it any more",
     "Ends the person's sessions at once and lets nobody in under this account.", WHY,
     .ask = {.method = "POST", .path = PEOPLE "/{person}/disable", .done = "{1} is disabled"}},
    {SP_GROUP_NONE, "person", "enable", "NAME", "open it again", "Opens a disabled account again.",
     .ask = {.method = "POST", .path = PEOPLE "/{person}/enable", .done = "{1} is enabled"}},
    {SP_GROUP_NONE, "person", "reset", "NAME", "remove all ways to sign in",
     "Removes every way to sign in, ends the sessions, prints a new set-up link.", WHY,
     .ask = {.method = "POST",
             .path = PEOPLE "/{person}/reset",
             .confirm = "{1} loses every passkey, password and code.",
             .done = HAND_OVER}},
    {SP_GROUP_NONE, "person", "grant", "NAME ROLE...", "give roles",
     "Gives roles to a person. Nobody grants to himself, and nobody holds two of the three\n"
     "administrator roles.",
     .ask = {.method = "PUT",
             .path = PEOPLE "/{person}/roles",
             .body = sp_person_roles_added,
             .columns = {{"NAME", "name", NULL}, {"ROLES", "roles", NULL}}}},
    {SP_GROUP_NONE, "person", "revoke", "NAME ROLE...", "take roles away",
     "Takes roles from a person; his sessions lose them at once.",
     .ask = {.method = "PUT",
             .path = PEOPLE "/{person}/roles",
             .body = sp_person_roles_left,
             .columns = {{"NAME", "name", NULL}, {"ROLES", "roles", NULL}}}},
    {SP_GROUP_WATCH, NULL, "device", "COMMAND", "approve, quarantine, revoke",
     .about = "Devices that are enrolled."},
    {SP_GROUP_NONE, "device", "list", NULL, "all devices",
     "Lists the devices, those that wait for approval first.",
     .options = (const sp_option[]){{"--mine", SP_OPTION_FLAG, NULL, "my own only",
                                     .instead = "/api/v1/me/devices"},
                                    {"--state", SP_OPTION_TEXT, "STATE",
                                     "pending, active, quarantined or revoked", .field = "state"},
                                    PAGES,
                                    {0}},
     .ask = {.path = DEVICES,
             .columns = {{"ID", "id", NULL},
                         {"NAME", "name", NULL},
                         {"PERSON", "person.name", NULL},
                         {"STATE", NULL, sp_device_state},
                         {"OWNER", "owner", NULL},
                         {"POSTURE", "posture", NULL},
                         {"SEEN (UTC)", "seen_at", NULL},
                         {"KEY", NULL, sp_device_key}}}},
    {SP_GROUP_NONE, "device", "approve", "NAME|ID", "let a device in",
     "Lets a device in that waits, and says who owns it. Compare the key with what the agent\n"
     "shows on the device. Nobody approves a device of his own.",
     .options =
         (const sp_option[]){{"--owner", SP_OPTION_TEXT, "company|personal", "who owns it",
                              .needed = "say who owns it: --owner company or --owner personal",
                              .field = "owner"},
                             {0}},
     .ask = {.method = "POST", .path = DEVICES "/{device}/approve", .done = "{name} is active"}},
    {SP_GROUP_NONE, "device", "quarantine", "NAME|ID", "cut it off for now",
     "Cuts a device off at the next byte, until it is released.", WHY,
     .ask = {.method = "POST",
             .path = DEVICES "/{device}/quarantine",
             .done = "{name} is in quarantine"}},
    {SP_GROUP_NONE, "device", "release", "NAME|ID", "out of quarantine",
     "Lets a device out of quarantine.", WHY,
     .ask = {.method = "POST", .path = DEVICES "/{device}/release", .done = "{name} is active"}},
    {SP_GROUP_NONE, "device", "revoke", "NAME|ID", "end it for good",
     "Ends a device for good, at the next byte.", WHY,
     .ask = {.method = "POST",
             .path = DEVICES "/{device}/revoke",
             .confirm = "The device {1} ends for good.",
             .done = "{name} is revoked"}},
    {SP_GROUP_WATCH, NULL, "session", "COMMAND", "who is in now; end a session",
     .about = "Sessions that live now."},
    {SP_GROUP_NONE, "session", "list", NULL, "living sessions", "Lists the sessions that live now.",
     .options = (const sp_option[]){{"--search", SP_OPTION_TEXT, "NAME",
                                     "those of people with it in the name only", .field = "q"},
                                    PAGES,
                                    {0}},
     .ask = {.path = "/api/v1/admin/sessions",
             .columns = {{"ID", "id", NULL},
                         {"PERSON", "person.name", NULL},
                         {"STRENGTH", "strength", NULL},
                         {"DEVICE", "device.name", NULL},
                         {"FROM", "peer", NULL},
                         {"SINCE (UTC)", "started_at", NULL}}}},
    {SP_GROUP_NONE, "session", "end", "ID...", "cut them off",
     "Ends sessions: what they have open is cut within 100 ms.", WHY,
     .ask = {.method = "POST",
             .path = "/api/v1/admin/sessions/{1}/end",
             .each = true,
             .done = "{1} has ended"}},
    {SP_GROUP_WATCH, NULL, "db", "COMMAND", "databases: tokens, connections, passwords",
     .about = "Databases behind the gate."},
    {SP_GROUP_NONE, "db", "list", NULL, "my databases",
     "Lists the databases that you may reach, and as whom.",
     .ask = {.path = "/api/v1/me/databases",
             .columns = {{"NAME", "name", NULL},
                         {"DATABASES", "databases", NULL},
                         {"ACCOUNT", "account", NULL},
                         {"HOST", "host", NULL},
                         {"PORT", "port", NULL},
                         {"OPEN", "connections", NULL}}}},
    {SP_GROUP_NONE, "db", "token", "RESOURCE", "a password for ten minutes",
     "Prints a password with which any PostgreSQL client connects as you for ten minutes; it is\n"
     "shown once and ends with your session. 'sallyport psql' needs none.",
     .options = (const sp_option[]){{"--database", SP_OPTION_TEXT, "NAME",
                                     "another than the resource's first", .field = "database"},
                                    {0}},
     .ask = {.method = "POST",
             .path = "/api/v1/me/databases/{1}/tokens",
             .done = "host={host} port={port} user={user} dbname={database}\n"
                     "password until {expires_at} UTC:\n\n    {password}"}},
    {SP_GROUP_NONE, "db", "connections", NULL, "who is connected now",
     "Lists the connections that are open now.",
     .options = (const sp_option[]){{"--mine", SP_OPTION_FLAG, NULL, "my own only",
                                     .instead = "/api/v1/me/databases/connections"},
                                    {"--resource", SP_OPTION_TEXT, "NAME", "to this one only",
                                     .field = "resource"},
                                    {0}},
     .ask = {.path = DATABASES "/connections",
             .columns = {{"ID", "id", NULL},
                         {"PERSON", "person.name", NULL},
                         {"DEVICE", "device.name", NULL},
                         {"RESOURCE", "resource", NULL},
                         {"DATABASE", "database", NULL},
                         {"ACCOUNT", "account", NULL},
                         {"CLIENT", "application", NULL},
                         {"FROM", "address", NULL},
                         {"SINCE (UTC)", "opened_at", NULL}}}},
    {SP_GROUP_NONE, "db", "kill", "ID...", "end connections",
     "Ends connections; what they run is rolled back by the database.",
     .options = (const sp_option[]){{"--mine", SP_OPTION_FLAG, NULL, "one of my own",
                                     .instead = "/api/v1/me/databases/connections/{1}/end"},
                                    {"--why", SP_OPTION_TEXT, "TEXT",
                                     "the reason, for the client and the ledger", .field = "why"},
                                    {0}},
     .ask = {.method = "POST",
             .path = DATABASES "/connections/{1}/end",
             .each = true,
             .done = "{1} has ended"}},
    {SP_GROUP_NONE, "db", "cancel", "ID...", "cancel what they run",
     "Cancels the statements that connections run now; the connections stay.",
     .options = (const sp_option[]){{"--mine", SP_OPTION_FLAG, NULL, "one of my own",
                                     .instead = "/api/v1/me/databases/connections/{1}/cancel"},
                                    {0}},
     .ask = {.method = "POST",
             .path = DATABASES "/connections/{1}/cancel",
             .each = true,
             .done = "{1} was told to cancel"}},
    {SP_GROUP_NONE, "db", "credential", "set|list|remove [RESOURCE/ACCOUNT]",
     "passwords of accounts, kept by the vault",
     "Gives the vault the password of a database account, from standard input, or lets it make\n"
     "one that nobody sees; prints what PostgreSQL stores for it, for ALTER ROLE ... PASSWORD.",
     .options = (const sp_option[]){SP_FLAG("--generate", "set: the vault makes one"), {0}},
     .ask = {.columns = {{"RESOURCE", "resource", NULL},
                         {"ACCOUNT", "account", NULL},
                         {"CHANGED (UTC)", "changed_at", NULL}}},
     .call = sp_db_credential},
    {SP_GROUP_WATCH, NULL, "ledger", "COMMAND", "verify, search, tail, export",
     .run = sp_ledger_command},

    /* ---- this computer ---- */
    {SP_GROUP_SELF, NULL, "psql", "RESOURCE [ARGUMENT...]", "psql on a database behind the gate",
     .run = sp_psql_command},
    {SP_GROUP_SELF, NULL, "login", NULL, "sign this command line in",
     "Signs this command line in: a code is shown that you confirm in a browser where you are\n"
     "signed in. The session is kept in ~/.config/sallyport/session.json, for you alone.",
     .options =
         (const sp_option[]){
             SP_TEXT("--url", "URL", "the portal; default: the one of last time"),
             SP_TEXT("--person", "NAME",
                     "ask for password and one-time code here, not in a browser"),
             SP_TEXT("--ca", "FILE", "trust this authority (PEM)"),
             SP_TEXT("--ca-sha256", "HEX", "trust the office's own authority, if it is this one"),
             {0}},
     .no_json = true, .call = sp_login},
    {SP_GROUP_SELF, NULL, "logout", NULL, "end its session", "Ends the session and forgets it.",
     .no_json = true, .call = sp_logout},
    {SP_GROUP_SELF, NULL, "agent", "COMMAND", "enrol this computer and keep its certificate fresh",
     .run = sp_agent_command},
    {SP_GROUP_SELF, NULL, "completion", "bash", "a script that completes these words",
     "Prints a script for the shell: eval \"$(sallyport completion bash)\" in ~/.bashrc.",
     .no_json = true, .call = sp_completion},
    {SP_GROUP_SELF, NULL, "help", "[COMMAND]", "this page, or a command's own", .no_json = true,
     .call = sp_help},
    {SP_GROUP_SELF, NULL, "version", NULL, "the program's version", .no_json = true,
     .call = sp_version},
    {SP_GROUP_NONE, NULL, "role", "ROLE -c FILE",
     "one role of the office: started by run or by systemd", .run = sp_role_command},
};

const sp_command *sp_command_at(size_t at)
{
    return at < SP_COUNT(commands) ? &commands[at] : NULL;
}

const sp_command *sp_command_find(const char *of, const char *word)
{
    for (size_t i = 0; i < SP_COUNT(commands); i++) {
        const sp_command *command = &commands[i];
        bool here =
            of == NULL ? command->of == NULL : command->of != NULL && sp_same(command->of, of);
        if (here && sp_same(command->word, word)) {
            return command;
        }
    }
    return NULL;
}
