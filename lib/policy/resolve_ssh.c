/* SPDX-License-Identifier: Apache-2.0
 * Hosts reached by SSH, with their keys, accounts, commands and paths, into records of the
 * snapshot. OWNS nothing. PROCESS core, cli. TRUST documents passed the schema; addresses, keys,
 * templates and names are checked here, because a gate connects, trusts and runs by them. SPEC
 * docs/POLICY.md.
 */
#include "lib/policy/schema.h"
#include "lib/policy/set.h"
#include "lib/policy/ssh.h"
#include "lib/ssh/key.h"

#include <stdlib.h>

enum { SSH_PORT = 22, ENVIRONMENT_NAME_MAX = 64, IDLE_S = 4 * 3600 };

typedef struct {
    compiling *c;
    const doc_resource *doc;
    const doc_ssh *ssh;
    uint32_t index;
    const char *file;
    snap_resource *resource;
} resolving;

static void wrong(const resolving *r, const doc_text *at, const char *fault)
{
    set_wrong(r->c, r->file, at, fault);
}

/* ---- where it is, and by which key ---- */

static sp_err put_address(const resolving *r, snap_ssh *out)
{
    sp_span host = SP_SPAN_EMPTY;
    out->port = SSH_PORT;
    if (sp_failed(set_host_and_port(r->ssh->address.text, &host, &out->port))) {
        wrong(r, &r->ssh->address,
              "an address is a host and a port if need be, as in host.internal:22");
    }
    return set_text(r->c->set, host, &out->host);
}

static sp_err put_type(const resolving *r, sp_span text)
{
    snap_text *room = NULL;
    snap_text stored = {0};
    TRY(set_text(r->c->set, text, &stored));
    TRY(vec_add(&r->c->set->sections[SNAP_TYPES], 1, &room));
    *room = stored;
    return sp_ok();
}

static snap_run run_from(const resolving *r, snap_section_kind kind)
{
    return (snap_run){(uint32_t)r->c->set->sections[kind].count, 0};
}

static void run_ends(const resolving *r, snap_section_kind kind, snap_run *run)
{
    run->count = (uint32_t)r->c->set->sections[kind].count - run->at;
}

static const char *key_fault(sp_err err)
{
    return err.code == SP_EUNSUPPORTED
               ? "keys are ssh-ed25519, ecdsa-sha2-nistp256, -384, -521 or ssh-rsa"
               : "a public key is expected as ssh-keygen prints it, ssh-ed25519 AAAA... (RSA with "
                 "2048 bits or more)";
}

static sp_err put_keys(const resolving *r, const doc_texts *keys, snap_run *ret_run)
{
    *ret_run = run_from(r, SNAP_TYPES);
    for (size_t i = 0; i < keys->count; i++) {
        auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
        sp_ssh_key_line line;
        sp_err err = sp_ssh_key_line_parse(keys->items[i].text, SP_SSH_LINE_PUBLIC, &room, &line);
        if (sp_failed(err) || sp_ssh_key_is_security_key((sp_ssh_key_type)line.key.type)) {
            wrong(r, &keys->items[i], key_fault(sp_failed(err) ? err : sp_fail(SP_EUNSUPPORTED)));
            continue;
        }
        sp_span kept = SP_SPAN_EMPTY; /* the table of texts points to what it is given */
        TRY(sp_arena_copy(&r->c->set->arena, line.blob, &kept));
        TRY(put_type(r, kept));
    }
    run_ends(r, SNAP_TYPES, ret_run);
    return sp_ok();
}

/* A key that is taken and never taken is a mistake in one of both. */
static void say_revoked(const resolving *r, const snap_ssh *ssh)
{
    const snap_text *all = r->c->set->sections[SNAP_TYPES].items;
    for (uint32_t i = 0; i < ssh->revoked.count; i++) {
        for (uint32_t k = 0; k < ssh->host_keys.count + ssh->host_cas.count; k++) {
            const snap_text *one = k < ssh->host_keys.count
                                       ? &all[ssh->host_keys.at + k]
                                       : &all[ssh->host_cas.at + k - ssh->host_keys.count];
            if (one->at == all[ssh->revoked.at + i].at) {
                set_error(
                    r->c, &r->ssh->place,
                    "a key of 'revoked_host_keys' stands in 'host_keys' or 'host_ca' as well");
            }
        }
    }
}

/* ---- commands ---- */

/* Programs that run what their words say: with one of them a template is a wall with a door. */
static const char *const SHELLS[] = {
    "sh",      "bash",  "dash",  "ash",     "zsh",   "ksh",    "csh",
    "tcsh",    "fish",  "rbash", "eval",    "exec",  "env",    "sudo",
    "busybox", "nohup", "su",    "command", "xargs", "source", ".",
};

/* These start the program that their words name. */
static const char *const STARTERS[] = {
    "doas",    "time",   "timeout",  "nice",    "ionice",  "setsid",  "stdbuf",      "chroot",
    "runuser", "watch",  "script",   "flock",   "ssh",     "chrt",    "taskset",     "unshare",
    "nsenter", "strace", "parallel", "setpriv", "setarch", "prlimit", "systemd-run",
};

/* A word stands before that program: for how long, in which folder, on which machine. */
static const char *const WITH_A_WORD[] = {
    "timeout", "chroot", "flock", "ssh", "chrt", "taskset", "setarch",
};

/* These may start others, by what their words say. */
static const char *const DOUBTFUL[] = {"gdb", "expect", "socat", "nc"};

/* These do what stands in a file, or in their next word. */
static const char *const INTERPRETERS[] = {
    "python", "perl", "ruby", "node", "lua", "php", "tclsh", "awk", "gawk", "mawk",
};

/* These start a pager, an editor or a shell for whoever sits at a terminal and asks, or are one. */
static const char *const ON_A_TERMINAL[] = {
    "less",      "more",       "most",     "man",        "pg",      "view",     "vi",     "vim",
    "nvim",      "nano",       "emacs",    "ed",         "ex",      "joe",      "mc",     "git",
    "systemctl", "journalctl", "loginctl", "machinectl", "crontab", "visudo",   "psql",   "mysql",
    "mariadb",   "sqlite3",    "mongo",    "mongosh",    "sftp",    "ftp",      "telnet", "lynx",
    "w3m",       "mutt",       "tmux",     "screen",     "dialog",  "aptitude", "docker", "kubectl",
};

/* These do what is sent to them. */
static const char *const BY_INPUT[] = {
    "psql",  "mysql",   "mariadb", "sqlite3", "mongo", "mongosh", "redis-cli",
    "ed",    "ex",      "dc",      "git",     "sftp",  "ftp",     "at",
    "batch", "crontab", "kubectl", "docker",  "patch", "tee",
};

/* "/usr/bin/python3.11" is a python. */
static bool is_one_of(sp_span program, const char *const *names, size_t count)
{
    sp_span name = sp_span_behind(program, '/');
    size_t len = name.len;
    while (len > 1 && (sp_is_digit(name.ptr[len - 1]) || name.ptr[len - 1] == '.')) {
        len--;
    }
    return sp_span_which(name, names, count) < count ||
           sp_span_which(sp_span_slice(name, 0, len), names, count) < count;
}

static bool is_open(sp_span word)
{
    return sp_span_index(word, '{') < word.len;
}

/* A fixed word that is no option. */
static bool is_name(const doc_texts *argv, size_t at)
{
    sp_span word = at < argv->count ? argv->items[at].text : SP_SPAN_EMPTY;
    return word.len > 0 && word.ptr[0] != '-' && !is_open(word);
}

/* sudo with its program fixed is as good as the program. */
static size_t program_at(const doc_texts *argv)
{
    sp_span name = sp_span_behind(argv->items[0].text, '/');
    return sp_span_eq(name, SP_SPAN_LIT("sudo")) && is_name(argv, 1) ? 1 : 0;
}

/* A client may put a program there; a number is none. */
static bool is_chosen(sp_span word)
{
    return is_open(word) && !(word.ptr[0] == '{' && sp_span_ends(word, SP_SPAN_LIT(":int}")) &&
                              sp_span_index(sp_span_slice(word, 1, word.len), '{') == word.len - 1);
}

static const char *word_starts_fault(const doc_texts *argv, size_t at)
{
    sp_span program = argv->items[at].text;
    if (is_one_of(program, SHELLS, SP_COUNT(SHELLS))) {
        return "a shell or a program that starts others reads its words as a program: name the "
               "program itself (sudo in front of it is well)";
    }
    bool chosen = at + 1 < argv->count && is_open(argv->items[at + 1].text);
    return chosen && is_one_of(program, INTERPRETERS, SP_COUNT(INTERPRETERS))
               ? "a program that does what its words say has a fixed word behind it: its script"
               : NULL;
}

/* Which of its fixed words a starter takes for the program is not known for certain, as an option
 * may take one for itself: so each of them is looked at, and enough of them come before the first
 * that a client chooses. */
static const char *started_fault(const doc_texts *argv, size_t at)
{
    size_t named = 0;
    size_t needed = is_one_of(argv->items[at].text, WITH_A_WORD, SP_COUNT(WITH_A_WORD)) ? 2 : 1;
    for (size_t i = at + 1; i < argv->count; i++) {
        sp_span word = argv->items[i].text;
        if (is_chosen(word)) {
            return named < needed ? "a client would name the program that is started: write it "
                                    "before the placeholder (options as --name=value)"
                                  : NULL;
        }
        bool is_option = word.len > 0 && word.ptr[0] == '-';
        bool takes_word = is_option && sp_span_index(word, '=') == word.len;
        const char *fault = is_option ? NULL : word_starts_fault(argv, i);
        if (fault != NULL) {
            return fault;
        }
        named += is_option ? 0 : 1;
        needed += takes_word ? 1 : 0;
    }
    return NULL;
}

static const char *program_fault(const doc_texts *argv)
{
    size_t at = program_at(argv);
    const char *fault = word_starts_fault(argv, at);
    bool starts = is_one_of(argv->items[at].text, STARTERS, SP_COUNT(STARTERS));
    for (size_t i = at; starts && i < argv->count && fault == NULL; i++) {
        fault = is_one_of(argv->items[i].text, STARTERS, SP_COUNT(STARTERS))
                    ? started_fault(argv, i)
                    : NULL;
    }
    return fault;
}

/* Nothing for a client to say but whether it runs. */
static bool is_fixed(const doc_listed *doc)
{
    bool fixed = doc->terminal != DOC_TRUE && doc->input != DOC_TRUE;
    for (size_t i = 0; i < doc->argv.count; i++) {
        fixed = fixed && !is_open(doc->argv.items[i].text);
    }
    return fixed;
}

static void doubt_program(const resolving *r, const doc_listed *doc)
{
    const doc_texts *argv = &doc->argv;
    size_t at = argv->count > 0 ? program_at(argv) : 0;
    if (argv->count == 0 || is_fixed(doc)) {
        return;
    }
    const doc_text *program = &argv->items[at];
    if (is_one_of(program->text, STARTERS, SP_COUNT(STARTERS)) ||
        is_one_of(program->text, DOUBTFUL, SP_COUNT(DOUBTFUL)) ||
        (is_one_of(program->text, INTERPRETERS, SP_COUNT(INTERPRETERS)) &&
         !is_name(argv, at + 1))) {
        sp_diags_add(r->c->diags, SP_DIAG_WARNING, r->file, program->line, program->column,
                     "'%.*s' starts others or does what its words say: with a placeholder, a "
                     "terminal or input it may do more for a client than is meant",
                     SP_SPAN_ARG(program->text));
    }
}

static const char *word_fault(const doc_texts *argv, size_t at)
{
    sp_span text = argv->items[at].text;
    const char *fault = sp_argv_template_fault(text);
    if (fault != NULL || at > 0) {
        return fault;
    }
    return is_open(text) ? "the first word is the program: it has no placeholder"
                         : program_fault(argv);
}

static uint16_t listed_flags(const doc_listed *doc)
{
    unsigned flags = (doc->terminal == DOC_TRUE ? SNAP_LISTED_TERMINAL : 0U) |
                     (doc->input == DOC_TRUE ? SNAP_LISTED_INPUT : 0U);
    for (size_t i = 0; i < doc->argv.count; i++) {
        flags |= sp_argv_template_takes_path(doc->argv.items[i].text) ? SNAP_LISTED_PATHS : 0U;
    }
    return (uint16_t)flags;
}

static void warn_of(const resolving *r, const doc_text *program, const char *why)
{
    sp_diags_add(r->c->diags, SP_DIAG_WARNING, r->file, program->line, program->column, "'%.*s' %s",
                 SP_SPAN_ARG(program->text), why);
}

/* A list is a wall as long as what is in it does what its words say. */
static void warn_of_doors(const resolving *r, const doc_listed *doc)
{
    const doc_texts *argv = &doc->argv;
    const doc_text *program = argv->count > 0 ? &argv->items[program_at(argv)] : NULL;
    if (program != NULL && doc->terminal == DOC_TRUE &&
        is_one_of(program->text, ON_A_TERMINAL, SP_COUNT(ON_A_TERMINAL))) {
        warn_of(r, program, "with 'terminal: true': it starts a shell for who asks it to there");
    }
    if (program != NULL && doc->input == DOC_TRUE &&
        is_one_of(program->text, BY_INPUT, SP_COUNT(BY_INPUT))) {
        warn_of(r, program,
                "with 'input: true': it does or writes what is sent to it, whatever its words say");
    }
}

static sp_err put_commands(const resolving *r, snap_run *ret_run)
{
    const doc_maps *maps = &r->ssh->commands;
    const doc_listed *docs = maps->items;
    *ret_run = run_from(r, SNAP_LISTED);
    for (size_t i = 0; i < maps->count; i++) {
        const doc_texts *argv = &docs[i].argv;
        snap_listed c = {
            .words = run_from(r, SNAP_TYPES),
            .action = (uint16_t)(docs[i].action == 0 ? SP_ACTION_EXECUTE : docs[i].action - 1),
            .flags = listed_flags(&docs[i])};
        if (argv->count > SP_ARGV_WORDS_MAX) {
            set_error(r->c, &docs[i].place, "a command has at most %d words", SP_ARGV_WORDS_MAX);
            continue;
        }
        doubt_program(r, &docs[i]);
        for (size_t k = 0; k < argv->count; k++) {
            const char *fault = word_fault(argv, k);
            if (fault != NULL) {
                wrong(r, &argv->items[k], fault);
            }
            TRY(put_type(r, argv->items[k].text));
        }
        run_ends(r, SNAP_TYPES, &c.words);
        warn_of_doors(r, &docs[i]);
        if (c.words.count == 0) {
            set_error(r->c, &docs[i].place, "a command has at least one word in 'argv'");
            continue;
        }
        snap_listed *room = NULL;
        TRY(set_text(r->c->set, docs[i].name.text, &c.name));
        TRY(vec_add(&r->c->set->sections[SNAP_LISTED], 1, &room));
        *room = c;
    }
    run_ends(r, SNAP_LISTED, ret_run);
    return sp_ok();
}

/* ---- forwarding, environment ---- */

static sp_err put_forwards(const resolving *r, snap_run *ret_run)
{
    *ret_run = run_from(r, SNAP_FORWARDS);
    for (size_t i = 0; i < r->ssh->forward.count; i++) {
        const doc_text *text = &r->ssh->forward.items[i];
        sp_span host = SP_SPAN_EMPTY;
        uint16_t port = 0;
        snap_forward f = {0};
        snap_forward *room = NULL;
        if (sp_failed(set_host_and_port(text->text, &host, &port)) || port == 0) {
            wrong(r, text, "a target is a host and a port, as in 127.0.0.1:5432");
            continue;
        }
        f.port = port;
        TRY(set_text(r->c->set, host, &f.host));
        TRY(vec_add(&r->c->set->sections[SNAP_FORWARDS], 1, &room));
        *room = f;
    }
    run_ends(r, SNAP_FORWARDS, ret_run);
    return sp_ok();
}

/* Variables by which a client could make the account's shell or loader run something. */
static const char *const DANGEROUS[] = {
    "PATH",
    "HOME",
    "SHELL",
    "USER",
    "LOGNAME",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "CDPATH",
    "PS1",
    "PS2",
    "PS4",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYOPT",
    "RUBYLIB",
    "NODE_OPTIONS",
    "GIT_SSH_COMMAND",
    "GIT_EXEC_PATH",
    "PROMPT_COMMAND",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESSOPEN",
    "BASH_FUNC_x%%",
    "ZDOTDIR",
    "GLOBIGNORE",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "DISPLAY",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "HOSTALIASES",
    "TERMINFO",
    "TERMCAP",
    "INPUTRC",
    "JAVA_TOOL_OPTIONS",
};

static bool covers(sp_span pattern, sp_span name)
{
    bool open_end = pattern.len > 0 && pattern.ptr[pattern.len - 1] == '*';
    return open_end ? sp_span_starts(name, sp_span_slice(pattern, 0, pattern.len - 1))
                    : sp_span_eq(name, pattern);
}

static const char *variable_fault(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t ch = text.ptr[i];
        bool star = ch == '*' && i > 0 && i + 1 == text.len;
        if ((!sp_is_alnum(ch) && ch != '_' && !star) || (i == 0 && sp_is_digit(ch))) {
            return "a variable has letters, digits and '_' in its name; '*' stands at the end";
        }
    }
    if (text.len == 0 || text.len > ENVIRONMENT_NAME_MAX) {
        return "a variable has a name of 1 to 64 bytes";
    }
    for (size_t i = 0; i < SP_COUNT(DANGEROUS); i++) {
        if (covers(text, sp_span_cstr(DANGEROUS[i]))) {
            return "with such a variable a client decides what the account's shell runs";
        }
    }
    return NULL;
}

static sp_err put_environment(const resolving *r, snap_run *ret_run)
{
    *ret_run = run_from(r, SNAP_TYPES);
    if (r->ssh->has_environment == 0) {
        TRY(put_type(r, SP_SPAN_LIT("LANG")));
        TRY(put_type(r, SP_SPAN_LIT("LC_*")));
    }
    for (size_t i = 0; i < r->ssh->environment.count; i++) {
        const char *fault = variable_fault(r->ssh->environment.items[i].text);
        if (fault != NULL) {
            wrong(r, &r->ssh->environment.items[i], fault);
        }
        TRY(put_type(r, r->ssh->environment.items[i].text));
    }
    run_ends(r, SNAP_TYPES, ret_run);
    return sp_ok();
}

/* ---- paths ---- */

static const char *folder_fault(sp_span path)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return "a path of a host begins with '/'";
    }
    if (path.len > 1 && path.ptr[path.len - 1] == '/') {
        return "a path ends without '/': it means everything below it anyway";
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] < 0x20 || path.ptr[i] == 0x7f) {
            return "a path has no control characters";
        }
    }
    return set_segments_fault(sp_span_slice(path, 1, path.len));
}

static sp_err put_folder(const resolving *r, const doc_folder *doc)
{
    sp_policy_set *set = r->c->set;
    const char *fault = folder_fault(doc->path.text);
    if (fault != NULL) {
        wrong(r, &doc->path, fault);
        return sp_ok();
    }
    if (set->sections[SNAP_PARTS].count >= SP_POLICY_PARTS_MAX) {
        set_error(r->c, &r->ssh->place, "more parts in all than the limit of %d",
                  SP_POLICY_PARTS_MAX);
        return sp_fail(SP_EINVALID);
    }
    snap_part part = {.resource = r->index,
                      .export_rule = r->resource->export_rule,
                      .import_rule = r->resource->import_rule,
                      .class_level =
                          set_class_or(r->c, r->file, &doc->class_name, r->resource->class_level)};
    snap_part *room = NULL;
    TRY(set_tag_bits(r->c, r->file, &doc->tags, &part.tags));
    part.tags |= r->resource->tags;
    set->tags_in_use |= part.tags;
    TRY(set_text(set, doc->path.text, &part.path));
    TRY(set_text(set, doc->name.line != 0 ? doc->name.text : doc->path.text, &part.name));
    TRY(vec_add(&set->sections[SNAP_PARTS], 1, &room));
    *room = part;
    return sp_ok();
}

static sp_span path_of(const sp_policy_set *set, const snap_part *part)
{
    const uint8_t *bytes = set->sections[SNAP_TEXT].items;
    return sp_span_of(bytes + part->path.at, part->path.len);
}

static int compare_parts(const void *a, const void *b, void *set)
{
    return set_compare_paths(path_of(set, a), path_of(set, b));
}

static sp_err put_folders(const resolving *r, snap_run *ret_run)
{
    sp_policy_set *set = r->c->set;
    const doc_folder *docs = r->ssh->parts.items;
    if (r->resource->parts.count == 0) {
        r->resource->parts.at = (uint32_t)set->sections[SNAP_PARTS].count;
    }
    *ret_run = run_from(r, SNAP_PARTS);
    for (size_t i = 0; i < r->ssh->parts.count; i++) {
        TRY(put_folder(r, &docs[i]));
    }
    run_ends(r, SNAP_PARTS, ret_run);
    r->resource->parts.count = (uint32_t)set->sections[SNAP_PARTS].count - r->resource->parts.at;
    if (ret_run->count < 2) {
        return sp_ok();
    }
    snap_part *parts = (snap_part *)set->sections[SNAP_PARTS].items + ret_run->at;
    qsort_r(parts, ret_run->count, sizeof(*parts), compare_parts, set);
    for (uint32_t i = 1; i < ret_run->count; i++) {
        if (compare_parts(&parts[i - 1], &parts[i], set) == 0) {
            sp_span path = path_of(set, &parts[i]);
            set_error(r->c, &r->ssh->place, "two parts with the path '%.*s'", SP_SPAN_ARG(path));
        }
    }
    return sp_ok();
}

/* ---- the whole ---- */

static void put_limits(const doc_ssh *ssh, snap_ssh *out)
{
    out->alarm = ssh->alarm == 0 ? SP_SSH_ALARM_PAGE : (uint8_t)(ssh->alarm - 1);
    out->idle_s = ssh->idle.line == 0 ? IDLE_S : (uint32_t)ssh->idle.value;
    out->longest_s = (uint32_t)ssh->longest.value;
    out->bandwidth_kibs = (uint32_t)((ssh->bandwidth.value + 1023) / 1024);
}

sp_err set_resolve_ssh(compiling *c, const doc_resource *doc, uint32_t index,
                       snap_resource *resource)
{
    sp_policy_set *set = c->set;
    const doc_ssh *ssh = &doc->ssh;
    resolving r = {c, doc, ssh, index, doc->head.place.file, resource};
    snap_ssh out = {.resource = index,
                    .sign_in = ssh->sign_in == 0 ? SP_SSH_SIGN_IN_CERTIFICATE
                                                 : (uint8_t)(ssh->sign_in - 1)};
    put_limits(ssh, &out);
    out.flags |= ssh->shell == DOC_FALSE ? 0 : SNAP_SSH_SHELL;
    out.flags |= ssh->programs == 2 ? SNAP_SSH_AS_NAMED : 0;
    out.flags |= ssh->record_input == DOC_TRUE ? SNAP_SSH_RECORD_INPUT : 0;
    if (ssh->host_keys.count + ssh->host_cas.count == 0) {
        set_error(c, &ssh->place,
                  "ssh needs 'host_keys' or 'host_ca': a host that nobody can tell from another "
                  "one is not connected to (ssh-keyscan prints its keys; compare them on the "
                  "host)");
    }
    TRY(put_address(&r, &out));
    TRY(put_keys(&r, &ssh->host_keys, &out.host_keys));
    TRY(put_keys(&r, &ssh->host_cas, &out.host_cas));
    TRY(put_keys(&r, &ssh->revoked_host_keys, &out.revoked));
    say_revoked(&r, &out);
    TRY(set_accounts(c, r.file, &ssh->accounts, "of the host", &out.accounts));
    TRY(put_commands(&r, &out.commands));
    TRY(put_forwards(&r, &out.forwards));
    TRY(put_environment(&r, &out.environment));
    TRY(put_folders(&r, &out.parts));
    snap_ssh *room = NULL;
    resource->ssh = (uint32_t)set->sections[SNAP_SSH].count;
    TRY(vec_add(&set->sections[SNAP_SSH], 1, &room));
    *room = out;
    return sp_ok();
}
