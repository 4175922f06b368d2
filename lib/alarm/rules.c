/* SPDX-License-Identifier: Apache-2.0
 * Programs that destroy, and how to tell.
 * OWNS nothing. PROCESS ssh gate. TRUST words are hostile. SPEC lib/alarm/rules.h.
 */
#include "lib/alarm/rules.h"

#define LIT SP_SPAN_LIT

bool rule_is_shell(sp_span program)
{
    static const char *const SHELLS[] = {"sh",  "bash", "dash", "ash",   "zsh",    "ksh",
                                         "csh", "tcsh", "fish", "rbash", "busybox"};
    return RULE_ONE_OF(program, SHELLS);
}

bool rule_is_database_client(sp_span program)
{
    static const char *const CLIENTS[] = {"mysql",   "mariadb", "psql",       "sqlite3",
                                          "mongosh", "mongo",   "redis-cli",  "clickhouse-client",
                                          "sqlcmd",  "sqlplus", "cqlsh",      "mycli",
                                          "pgcli",   "isql",    "clickhouse", "valkey-cli"};
    return RULE_ONE_OF(program, CLIENTS);
}

bool rule_is_interpreter(sp_span program)
{
    static const char *const STARTS[] = {"python", "perl", "ruby", "node",  "php",    "lua",
                                         "awk",    "gawk", "mawk", "tclsh", "nodejs", "ipython"};
    for (size_t i = 0; i < SP_COUNT(STARTS); i++) {
        if (sp_span_starts(program, sp_span_cstr(STARTS[i]))) {
            return true;
        }
    }
    return false;
}

bool rule_has_option(const rule_words *w, size_t from, uint8_t letter, const char *long_name)
{
    for (size_t i = from; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        if (word.len < 2 || word.ptr[0] != '-') {
            continue;
        }
        bool is_long = word.ptr[1] == '-';
        if (is_long ? long_name != NULL && sp_span_starts(word, sp_span_cstr(long_name))
                    : letter != 0 && sp_span_index(word, letter) < word.len) {
            return true;
        }
    }
    return false;
}

bool rule_has_word(const rule_words *w, size_t from, const char *word)
{
    for (size_t i = from; i < w->count; i++) {
        if (sp_span_eq(rule_word(w, i), sp_span_cstr(word))) {
            return true;
        }
    }
    return false;
}

bool rule_matters(sp_span path)
{
    static const char *const HARMLESS[] = {"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"};
    if (path.len == 0 || (path.ptr[0] != '/' && path.ptr[0] != '~')) {
        return false;
    }
    for (size_t i = 0; i < SP_COUNT(HARMLESS); i++) {
        sp_span start = sp_span_cstr(HARMLESS[i]);
        if (sp_span_starts(path, start) && path.len > start.len &&
            sp_span_find(path, LIT("..")) == path.len && path.ptr[start.len] != '*') {
            return false;
        }
    }
    static const char *const SINKS[] = {"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"};
    return !RULE_ONE_OF(path, SINKS);
}

/* What is built again anyhow. */
static bool is_rebuilt(sp_span path)
{
    static const char *const NAMES[] = {"node_modules", "build",  "dist",     "target",
                                        "__pycache__",  ".cache", "coverage", ".pytest_cache",
                                        "venv",         ".venv",  "tmp",      ".tox",
                                        "out",          "bin",    "obj",      ".next"};
    sp_span name =
        path.len > 0 && path.ptr[path.len - 1] == '/' ? sp_span_slice(path, 0, path.len - 1) : path;
    bool above = sp_span_find(path, LIT("..")) < path.len;
    return !above && !rule_matters(path) &&
           (RULE_ONE_OF(sp_span_behind(name, '/'), NAMES) || sp_span_starts(path, LIT("/tmp/")) ||
            sp_span_starts(path, LIT("/var/tmp/")));
}

static sp_alarm none(void)
{
    return (sp_alarm){0};
}

/* ---- files ---- */

static sp_alarm rm(const rule_words *w, size_t from)
{
    bool recursive = rule_has_option(w, from, 'r', "--recursive") ||
                     rule_has_option(w, from, 'R', "--recursive");
    bool all_rebuilt = true;
    bool matters = false;
    bool open = false;
    for (size_t i = from; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        if (word.len > 0 && word.ptr[0] == '-') {
            continue;
        }
        all_rebuilt = all_rebuilt && is_rebuilt(word);
        matters = matters || rule_matters(word);
        open = open || w->words[i]->open;
    }
    if (recursive) {
        return all_rebuilt && w->count > from + 1
                   ? none()
                   : (sp_alarm){90, "files are removed with everything below them"};
    }
    if (matters) {
        return (sp_alarm){60, "files outside the working folder are removed"};
    }
    return open && !all_rebuilt ? (sp_alarm){60, "files are removed by a pattern"} : none();
}

static sp_alarm mv(const rule_words *w, size_t from)
{
    if (sp_span_eq(rule_word(w, w->count - 1), LIT("/dev/null"))) {
        return (sp_alarm){80, "a file is moved into nothing"};
    }
    for (size_t i = from; i + 1 < w->count; i++) {
        sp_span word = rule_word(w, i);
        if (rule_matters(word) && !sp_span_starts(word, LIT("~/")) &&
            !sp_span_starts(word, LIT("/home/"))) {
            return (sp_alarm){60, "files of the system or its data are moved away"};
        }
    }
    return none();
}

static sp_alarm find(const rule_words *w, size_t from)
{
    static const char *const ACTS[] = {"-exec", "-execdir", "-ok", "-okdir"};
    if (rule_has_word(w, from, "-delete")) {
        return (sp_alarm){90, "find removes what it finds"};
    }
    for (size_t i = from; i + 1 < w->count; i++) {
        if (RULE_ONE_OF(rule_word(w, i), ACTS)) {
            sp_alarm inner = rule_judge(w, i + 1);
            sp_span program = sp_span_behind(rule_word(w, i + 1), '/');
            static const char *const TAKES[] = {"rm", "unlink", "shred", "mv", "truncate", "dd"};
            if (RULE_ONE_OF(program, TAKES) && inner.confidence < 85) {
                inner = (sp_alarm){85, "find removes or changes what it finds"};
            }
            if (inner.confidence > 0) {
                return inner;
            }
        }
    }
    return none();
}

static sp_alarm dd(const rule_words *w, size_t from)
{
    for (size_t i = from; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        if (sp_span_starts(word, LIT("of=")) && !sp_span_eq(word, LIT("of=/dev/null"))) {
            sp_span file = sp_span_slice(word, 3, word.len);
            if (sp_span_starts(file, LIT("/dev/"))) {
                return (sp_alarm){95, "a device is written over"};
            }
            return rule_matters(file) || w->words[i]->open
                       ? (sp_alarm){75, "a file is written over block by block"}
                       : (sp_alarm){40, "a file is written block by block"};
        }
    }
    return none();
}

/* cp or install of nothing over something. */
static sp_alarm copy(const rule_words *w, size_t from)
{
    bool nothing = false;
    for (size_t i = from; i + 1 < w->count; i++) {
        nothing = nothing || sp_span_eq(rule_word(w, i), LIT("/dev/null")) ||
                  sp_span_eq(rule_word(w, i), LIT("/dev/zero"));
    }
    return nothing ? (sp_alarm){75, "a file is written over with nothing"} : none();
}

static sp_alarm modes(const rule_words *w, size_t from)
{
    bool recursive = rule_has_option(w, from, 'R', "--recursive");
    bool matters = false;
    for (size_t i = from + 1; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        static const char *const TOPS[] = {"/",    "/*",   "/etc",  "/usr", "/var",  "/bin",
                                           "/lib", "/srv", "/home", "/opt", "/boot", "/data"};
        matters = matters || RULE_ONE_OF(word, TOPS);
    }
    return recursive && (matters || rule_has_word(w, from, "000"))
               ? (sp_alarm){75, "rights of a whole tree are changed"}
               : none();
}

static sp_alarm rsync_tar(const rule_words *w, size_t from)
{
    static const char *const TAKES[] = {
        "--delete",        "--remove-source-files", "--delete-before", "--delete-after",
        "--delete-during", "--delete-excluded",     "--remove-files",  "--delete-delay"};
    for (size_t i = from; i < w->count; i++) {
        if (RULE_ONE_OF(rule_word(w, i), TAKES) && !rule_has_option(w, from, 'n', "--dry-run")) {
            return (sp_alarm){80, "files are removed at one of both ends"};
        }
    }
    return none();
}

/* ---- systems and services ---- */

typedef struct {
    const char *program;
    const char *first; /* a word that must stand among the others; NULL: none */
    const char *second;
    uint8_t confidence;
    const char *reason;
} verb;

static const verb VERBS[] = {
    {"shred", NULL, NULL, 90, "a file is shredded"},
    {"srm", NULL, NULL, 90, "a file is shredded"},
    {"wipe", NULL, NULL, 90, "a file is shredded"},
    {"unlink", NULL, NULL, 70, "a file is removed"},
    {"wipefs", NULL, NULL, 90, "a file system is taken off its device"},
    {"blkdiscard", NULL, NULL, 95, "a device is emptied"},
    {"lvremove", NULL, NULL, 90, "a volume is removed"},
    {"vgremove", NULL, NULL, 90, "a volume group is removed"},
    {"pvremove", NULL, NULL, 90, "a physical volume is removed"},
    {"sgdisk", NULL, NULL, 70, "partitions are changed"},
    {"sfdisk", NULL, NULL, 70, "partitions are changed"},
    {"parted", NULL, NULL, 60, "partitions are changed"},
    {"zpool", "destroy", NULL, 95, "a pool is destroyed"},
    {"zfs", "destroy", NULL, 95, "a data set is destroyed"},
    {"btrfs", "delete", NULL, 85, "a subvolume is removed"},
    {"cryptsetup", "erase", NULL, 95, "the keys of a device are erased"},
    {"cryptsetup", "luksFormat", NULL, 90, "a device is formatted"},
    {"mdadm", "--zero-superblock", NULL, 90, "an array is taken apart"},
    {"dropdb", NULL, NULL, 95, "a database is dropped"},
    {"dropuser", NULL, NULL, 75, "a role of a database is dropped"},
    {"mysqladmin", "drop", NULL, 95, "a database is dropped"},
    {"pg_dropcluster", NULL, NULL, 95, "a database cluster is dropped"},
    {"pg_resetwal", NULL, NULL, 85, "the log of a database is thrown away"},
    {"shutdown", NULL, NULL, 70, "the machine is stopped"},
    {"reboot", NULL, NULL, 70, "the machine is stopped"},
    {"halt", NULL, NULL, 70, "the machine is stopped"},
    {"poweroff", NULL, NULL, 70, "the machine is stopped"},
    {"init", "0", NULL, 70, "the machine is stopped"},
    {"init", "6", NULL, 70, "the machine is stopped"},
    {"systemctl", "poweroff", NULL, 70, "the machine is stopped"},
    {"systemctl", "reboot", NULL, 70, "the machine is stopped"},
    {"systemctl", "halt", NULL, 70, "the machine is stopped"},
    {"killall5", NULL, NULL, 80, "all processes are ended"},
    {"kill", "-1", NULL, 75, "all processes are ended"},
    {"iptables", "-F", NULL, 65, "firewall rules are dropped"},
    {"nft", "flush", "ruleset", 65, "firewall rules are dropped"},
    {"userdel", NULL, NULL, 65, "an account is removed"},
    {"deluser", NULL, NULL, 65, "an account is removed"},
    {"groupdel", NULL, NULL, 65, "a group is removed"},
    {"crontab", "-r", NULL, 70, "timed jobs are removed"},
    {"history", "-c", NULL, 65, "the shell's history is emptied"},
    {"set", "+o", "history", 65, "the shell's history is switched off"},
    {"unset", "HISTFILE", NULL, 65, "the shell's history is switched off"},
    {"stty", "-echo", NULL, 65, "what is typed is not shown any more"},
    {"docker", "prune", NULL, 70, "containers or volumes are removed"},
    {"docker", "volume", "rm", 80, "volumes are removed"},
    {"docker", "rm", NULL, 60, "containers are removed"},
    {"podman", "prune", NULL, 70, "containers or volumes are removed"},
    {"podman", "volume", "rm", 80, "volumes are removed"},
    {"kubectl", "delete", NULL, 80, "objects of a cluster are deleted"},
    {"kubectl", "drain", NULL, 60, "a node is emptied"},
    {"helm", "uninstall", NULL, 75, "a release is removed"},
    {"helm", "delete", NULL, 75, "a release is removed"},
    {"terraform", "destroy", NULL, 95, "infrastructure is destroyed"},
    {"tofu", "destroy", NULL, 95, "infrastructure is destroyed"},
    {"aws", "s3", "rb", 90, "a bucket is removed"},
    {"aws", "s3", "rm", 80, "objects are removed"},
    {"aws", "terminate-instances", NULL, 90, "machines are destroyed"},
    {"gsutil", "rm", NULL, 80, "objects are removed"},
    {"mc", "rb", NULL, 80, "a bucket is removed"},
    {"git", "clean", NULL, 60, "files that git does not know are removed"},
    {"virsh", "undefine", NULL, 80, "a machine is removed"},
    {"virsh", "destroy", NULL, 60, "a machine is switched off"},
    {"nc", "-e", NULL, 85, "a shell is handed to another machine"},
    {"ncat", "-e", NULL, 85, "a shell is handed to another machine"},
    {"socat", NULL, NULL, 50, "a connection beside the recorded one"},
    {"ssh", "-N", NULL, 65, "a tunnel that is not recorded"},
    {"ssh", "-L", NULL, 60, "a tunnel that is not recorded"},
    {"ssh", "-R", NULL, 65, "a tunnel that is not recorded"},
    {"ssh", "-D", NULL, 65, "a tunnel that is not recorded"},
    {"scp", "-t", NULL, 50, "a file transfer's server started by hand"},
    {"scp", "-f", NULL, 50, "a file transfer's server started by hand"},
    {"hdparm", "--security-erase", NULL, 95, "a device is erased"},
    {"nvme", "format", NULL, 95, "a device is erased"},
    {"fallocate", "-p", NULL, 60, "a hole is made in a file"},
    {"swapoff", "-a", NULL, 40, "memory is taken away"},
};

static sp_alarm by_verb(const rule_words *w, size_t from, sp_span program)
{
    sp_alarm worst = none();
    for (size_t i = 0; i < SP_COUNT(VERBS); i++) {
        const verb *v = &VERBS[i];
        if (sp_span_eq(program, sp_span_cstr(v->program)) &&
            (v->first == NULL || rule_has_word(w, from, v->first)) &&
            (v->second == NULL || rule_has_word(w, from, v->second))) {
            worst = rule_worst(worst, (sp_alarm){v->confidence, v->reason});
        }
    }
    bool only_told = rule_has_word(w, from, "--help") || rule_has_word(w, from, "--version") ||
                     rule_has_word(w, from, "--dry-run") ||
                     (sp_span_eq(program, LIT("git")) && rule_has_option(w, from, 'n', NULL)) ||
                     (worst.confidence == 60 && rule_has_word(w, from, "print"));
    return only_told ? none() : worst;
}

static sp_alarm rm_like(const rule_words *w, size_t from, sp_span program)
{
    if (sp_span_eq(program, LIT("rm"))) {
        return rm(w, from + 1);
    }
    if (sp_span_eq(program, LIT("mv"))) {
        return mv(w, from + 1);
    }
    if (sp_span_eq(program, LIT("find"))) {
        return find(w, from + 1);
    }
    if (sp_span_eq(program, LIT("dd"))) {
        return dd(w, from + 1);
    }
    if (sp_span_eq(program, LIT("cp")) || sp_span_eq(program, LIT("install"))) {
        return copy(w, from + 1);
    }
    if (sp_span_eq(program, LIT("chmod")) || sp_span_eq(program, LIT("chown"))) {
        return modes(w, from + 1);
    }
    if (sp_span_eq(program, LIT("rsync")) || sp_span_eq(program, LIT("tar"))) {
        return rsync_tar(w, from + 1);
    }
    if (sp_span_eq(program, LIT("truncate")) && rule_has_option(w, from, 's', "--size")) {
        return (sp_alarm){75, "a file is cut off"};
    }
    if (sp_span_eq(program, LIT("mkfs")) || sp_span_starts(program, LIT("mkfs.")) ||
        sp_span_eq(program, LIT("mkswap"))) {
        return (sp_alarm){95, "a device is formatted"};
    }
    if (sp_span_eq(program, LIT("export")) && rule_has_word(w, from, "HISTFILE=/dev/null")) {
        return (sp_alarm){65, "the shell's history is switched off"};
    }
    return none();
}

/* A pattern in the program's place that one of the dangerous names fits: /bin/r? */
static sp_alarm by_pattern(const rule_words *w, size_t from, sp_span program)
{
    static const char *const NAMES[] = {"rm", "dd", "shred", "unlink", "mkfs", "mv", "truncate"};
    if (sp_span_eq(program, LIT("[")) || sp_span_eq(program, LIT("*"))) {
        return none();
    }
    for (size_t i = 0; i < SP_COUNT(NAMES); i++) {
        sp_span name = sp_span_cstr(NAMES[i]);
        size_t same = 0;
        while (same < name.len && same < program.len && program.ptr[same] == name.ptr[same]) {
            same++;
        }
        if (same > 0 && same < program.len && sp_span_index(LIT("?*["), program.ptr[same]) < 3) {
            return (sp_alarm){80, "a program is named by a pattern"};
        }
    }
    return w->count > from ? (sp_alarm){60, "what runs is only known when it runs"} : none();
}

sp_alarm rule_judge(const rule_words *w, size_t from)
{
    if (from >= w->count) {
        return none();
    }
    sp_span program = sp_span_behind(rule_word(w, from), '/');
    if (w->words[from]->open) {
        return by_pattern(w, from, program);
    }
    return rule_worst(rm_like(w, from, program), by_verb(w, from + 1, program));
}
