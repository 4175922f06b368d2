/* SPDX-License-Identifier: Apache-2.0
 * The tables of the schema that are about hosts reached by SSH: `ssh` of a Resource.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md is printed from this file too.
 */
#include "lib/base/mem.h"
#include "lib/policy/schema.h"
#include "lib/policy/ssh.h"

enum {
    IDLE_LEAST_S = 1,
    IDLE_MOST_S = 24 * 3600,
    LONGEST_MOST_S = 30 * 24 * 3600,
    SLOWEST = 64 * 1024, /* slower, and what libssh takes at once would already be seconds */
};
#define FASTEST (UINT64_C(1) << 40)
enum { ACCOUNT_MAX = 32, FOLDER_MAX = 1024, ADDRESS_MAX = 256, WORD_MAX = 255, KEY_MAX = 4096 };

#define AT(type, member) offsetof(type, member)
#define TABLE(rows) .fields = (rows), .fields_count = SP_COUNT(rows)

static const char *const SIGN_INS[] = {"certificate", "password", "key", NULL};
static const char *const PROGRAMS[] = {"system", "named", NULL};
static const char *const ALARMS[] = {"record", "page", "freeze", NULL};
_Static_assert(SP_COUNT(ALARMS) == SP_SSH_ALARM_COUNT + 1, "a word for each");
_Static_assert(SP_COUNT(SIGN_INS) == SP_SSH_SIGN_IN_COUNT + 1, "a word for each");

static const doc_field ACCOUNT_FIELDS[] = {
    {"roles", FIELD_SLUGS, false, AT(doc_account, who.roles),
     .doc = "People who hold any of these roles."},
    {"people", FIELD_SLUGS, false, AT(doc_account, who.people), .doc = "These people."},
    {"any", FIELD_FLAG, false, AT(doc_account, who.any),
     .doc = "`true`: everybody who is signed in."},
    {"on", FIELD_MAP, false, AT(doc_account, on), .sub = &DOC_ON,
     .doc = "Only on these devices; on others this entry is passed over. Without it: on any."},
    {"as", FIELD_TEXT, true, AT(doc_account, as), .max = ACCOUNT_MAX,
     .doc = "The account of the host as which they work."},
};
static const doc_schema ACCOUNT = {.name = "accounts",
                                   .doc = "As whom people work on the host: the first that fits "
                                          "counts, unless they name another one that fits them. "
                                          "Who is in none cannot connect.",
                                   .struct_bytes = sizeof(doc_account),
                                   TABLE(ACCOUNT_FIELDS)};

static const doc_field LISTED_FIELDS[] = {
    {"name", FIELD_NAME, true, AT(doc_listed, name), .max = SP_NAME_MAX_BYTES,
     .doc = "A sentence that people and approvers see."},
    {"argv", FIELD_NAMES, true, AT(doc_listed, argv), .max = WORD_MAX,
     .doc = "Its words, each literal or with one placeholder: `{unit:word}` (letters, digits and "
            "`._@:+,=%-`, not beginning with `-`), `{n:int}`, `{file:path}` (absolute, without "
            "`..`), `{verb:start|stop}`. The first word is literal and no shell; so is the "
            "program that it starts (behind sudo, timeout, nice). Nothing that a shell would act "
            "on fits."},
    {"action", FIELD_WORD, false, AT(doc_listed, action), .words = sp_action_words,
     .doc = "What running it is. Default `execute`."},
    {"terminal", FIELD_FLAG, false, AT(doc_listed, terminal),
     .doc = "`true`: it may be run on a terminal (`ssh -t`). Whoever sits at one may do whatever "
            "the program does for him: pagers and editors start a shell. Default `false`."},
    {"input", FIELD_FLAG, false, AT(doc_listed, input),
     .doc = "`true`: something may be sent to it. Default `false`: it is at the end of its input "
            "when it begins."},
};
static const doc_schema LISTED = {.name = "commands",
                                  .doc = "Commands that are known, as exact words.",
                                  .struct_bytes = sizeof(doc_listed),
                                  TABLE(LISTED_FIELDS)};

static const doc_field FOLDER_FIELDS[] = {
    {"path", FIELD_TEXT, true, AT(doc_folder, path), .max = FOLDER_MAX,
     .doc = "An absolute path on the host; it stands for everything below it. `*` stands for one "
            "segment."},
    {"name", FIELD_NAME, false, AT(doc_folder, name), .max = SP_NAME_MAX_BYTES,
     .doc = "What people see. Default: the path."},
    {"class", FIELD_SLUG, false, AT(doc_folder, class_name), .max = SP_NAME_MAX_BYTES,
     .doc = "Class; without it, that of the resource."},
    {"tags", FIELD_SLUGS, false, AT(doc_folder, tags),
     .doc = "Tags, besides those of the resource."},
};
static const doc_schema FOLDER = {.name = "parts",
                                  .doc = "Paths that differ in class or tags.",
                                  .struct_bytes = sizeof(doc_folder),
                                  TABLE(FOLDER_FIELDS)};

static const doc_field SSH_FIELDS[] = {
    {"address", FIELD_TEXT, true, AT(doc_ssh, address), .max = ADDRESS_MAX,
     .doc = "Where sshd listens: `10.0.0.7`, `host.internal:2022`, `[::1]:22`."},
    {"host_keys", FIELD_NAMES, false, AT(doc_ssh, host_keys), .max = KEY_MAX,
     .doc = "Public keys of the host, one of which it must show: `ssh-ed25519 AAAA...`. These or "
            "`host_ca` are needed; anything else the host shows is refused."},
    {"host_ca", FIELD_NAMES, false, AT(doc_ssh, host_cas), .max = KEY_MAX,
     .doc = "Public keys of authorities that certify the keys of hosts (`@cert-authority` of "
            "OpenSSH): the host may show any key for which it has a certificate of theirs that is "
            "valid and names the host of `address`."},
    {"revoked_host_keys", FIELD_NAMES, false, AT(doc_ssh, revoked_host_keys), .max = KEY_MAX,
     .doc = "Public keys that are never taken, whoever certified them: of a host, or of an "
            "authority (`@revoked` of OpenSSH)."},
    {"accounts", FIELD_MAPS, true, AT(doc_ssh, accounts), .sub = &ACCOUNT,
     .doc = "As whom people work on it: the first that fits the person and his device, unless "
            "they name another one that fits. Whom none fits cannot connect; a connection is cut "
            "when its account does not fit any more."},
    {"sign_in", FIELD_WORD, false, AT(doc_ssh, sign_in), .words = SIGN_INS,
     .doc = "How the gate signs in: `certificate` (for minutes, of the vault's authority, which "
            "the host trusts by `TrustedUserCAKeys`), `key` (in the vault, which signs with it) "
            "or `password` (in the vault), both under `<resource>/<as>`. Default `certificate`."},
    {"shell", FIELD_FLAG, false, AT(doc_ssh, shell),
     .doc = "`false`: never a free shell or command, only what `commands` lists and file "
            "transfers. Default `true`: rules decide."},
    {"commands", FIELD_MAPS, false, AT(doc_ssh, commands), .sub = &LISTED,
     .doc = "Commands that are known."},
    {"programs", FIELD_WORD, false, AT(doc_ssh, programs), .words = PROGRAMS,
     .doc = "What a transfer starts: `system`, the machine's own `/usr/bin/rsync`, `scp` or `git`; "
            "`named`, whatever that name alone means to the account, which git servers "
            "(`git-shell`, gitolite), `rrsync` and other forced commands want. With `named` a file "
            "of that name that comes first in the account's `PATH` is run instead. Default "
            "`system`."},
    {"forward", FIELD_NAMES, false, AT(doc_ssh, forward), .max = ADDRESS_MAX,
     .doc = "Targets of forwarding that may be asked for at all, each a host and a port: "
            "`127.0.0.1:5432`. Default: none."},
    {"record_input", FIELD_FLAG, false, AT(doc_ssh, record_input),
     .doc = "`true`: what is typed is recorded as well as what is shown, except where nothing is "
            "echoed; of what is sent to a command without a terminal the first 64 KiB. Default "
            "`false`."},
    {"alarm", FIELD_WORD, false, AT(doc_ssh, alarm), .words = ALARMS,
     .doc = "What an alarm on a shell does besides being written down and marked in the recording: "
            "`record`, nothing; `page`, security administrators see it above every page; `freeze`, "
            "that too, and a grave one freezes the connection until one of them lets it go. An "
            "alarm is no wall. Default `page`."},
    {"idle", FIELD_DURATION, false, AT(doc_ssh, idle), .min = IDLE_LEAST_S, .max = IDLE_MOST_S,
     .doc = "A connection ends when for so long nothing was typed and nothing but what a terminal "
            "shows passed. Default `4h`."},
    {"longest", FIELD_DURATION, false, AT(doc_ssh, longest), .min = IDLE_LEAST_S,
     .max = LONGEST_MOST_S,
     .doc = "A connection ends after so long at the latest. Default: with its session."},
    {"bandwidth", FIELD_SIZE, false, AT(doc_ssh, bandwidth), .min = SLOWEST, .max = FASTEST,
     .doc = "Bytes a second that a connection moves at most, in each direction. Default: no "
            "limit."},
    {"environment", FIELD_NAMES, false, AT(doc_ssh, environment),
     .count_offset = AT(doc_ssh, has_environment),
     .doc = "Variables that clients may set; `*` at the end stands for anything. Default `LANG`, "
            "`LC_*`."},
    {"parts", FIELD_MAPS, false, AT(doc_ssh, parts), .sub = &FOLDER,
     .doc = "Paths that differ in class or tags."},
};
const doc_schema DOC_SSH = {.name = "ssh",
                            .doc = "How the SSH gate reaches it.",
                            .struct_bytes = sizeof(doc_ssh),
                            TABLE(SSH_FIELDS)};
