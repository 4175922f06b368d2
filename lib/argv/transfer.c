/* SPDX-License-Identifier: Apache-2.0
 * The servers that scp, rsync, git and sftp start at the other end, with their direction and paths.
 * Options are a list of the known: an unknown one may name a file or a program, so it makes the
 * whole unparsed.
 * OWNS nothing. PROCESS ssh gate. TRUST words are hostile. SPEC scp.c of OpenSSH 9.2, rsync(1) 3.2
 * and its server_options(), git-shell(1).
 */
#include "lib/argv/argv.h"

#include "lib/base/mem.h"

#define LIT SP_SPAN_LIT
#define ONE_OF(word, list) (sp_span_which(word, list, SP_COUNT(list)) < SP_COUNT(list))

enum { RSYNC_OLDEST = 20, RSYNC_NEWEST = 40 }; /* protocols, as rsync itself bounds them */

static const sp_command UNPARSED = {.kind = SP_COMMAND_UNPARSED};

static bool has(sp_span set, uint8_t ch)
{
    return sp_span_index(set, ch) < set.len;
}

static bool add_path(sp_command *c, sp_span path)
{
    if (path.len == 0 || c->paths_count == SP_COMMAND_PATHS_MAX) {
        return false;
    }
    c->paths[c->paths_count++] = path;
    return true;
}

/* scp [-v] [-r] [-p] [-d] [-q] -t|-f [--] path... */
static sp_command scp(const sp_argv *argv)
{
    sp_command c = {.kind = SP_COMMAND_SCP};
    size_t at = 1;
    bool to = false;
    bool from = false;
    for (; at < argv->count; at++) {
        sp_span word = argv->words[at];
        if (word.len < 2 || word.ptr[0] != '-') {
            break;
        }
        if (sp_span_eq(word, LIT("--"))) {
            at++;
            break;
        }
        for (size_t i = 1; i < word.len; i++) {
            to = to || word.ptr[i] == 't';
            from = from || word.ptr[i] == 'f';
            c.recursive = c.recursive || word.ptr[i] == 'r';
            if (!has(LIT("tfrpdvq"), word.ptr[i])) {
                return UNPARSED;
            }
        }
    }
    c.to_target = to;
    for (; at < argv->count; at++) {
        if (!add_path(&c, argv->words[at])) {
            return UNPARSED;
        }
    }
    return to == from || c.paths_count == 0 || (to && c.paths_count != 1) ? UNPARSED : c;
}

/* Those of rsync's server that take no file of their own. With "=" at the end: a value follows. */
static const char *const RSYNC_HARMLESS[] = {
    "--sender",
    "--recursive",
    "--inplace",
    "--append",
    "--append-verify",
    "--partial",
    "--numeric-ids",
    "--ignore-existing",
    "--existing",
    "--ignore-errors",
    "--ignore-times",
    "--size-only",
    "--no-r",
    "--no-R",
    "--no-W",
    "--no-relative",
    "--no-implied-dirs",
    "--delay-updates",
    "--fake-super",
    "--fsync",
    "--stats",
    "--safe-links",
    "--copy-unsafe-links",
    "--copy-dirlinks",
    "--munge-links",
    "--list-only",
    "--open-noatime",
    "--from0",
    "--mkpath",
    "--preallocate",
    "--sparse",
    "--no-i-r",
    "--use-qsort",
    "--msgs2stderr",
    "--no-msgs2stderr",
    "--one-file-system",
    "--omit-dir-times",
    "--omit-link-times",
    "--size-only",
};
static const char *const RSYNC_VALUES[] = {
    "--log-format=",
    "--out-format=",
    "--timeout=",
    "--bwlimit=",
    "--max-size=",
    "--min-size=",
    "--max-delete=",
    "--max-alloc=",
    "--block-size=",
    "--modify-window=",
    "--checksum-choice=",
    "--compress-choice=",
    "--compress-level=",
    "--zc=",
    "--checksum-seed=",
    "--debug=",
    "--info=",
    "--skip-compress=",
    "--new-compress",
    "--old-compress",
    "--usermap=",
    "--groupmap=",
    "--stop-at=",
    "--stop-after=",
    "--suffix=",
};
static const char *const RSYNC_DELETES[] = {
    "--delete",
    "--delete-before",
    "--delete-during",
    "--delete-after",
    "--delete-delay",
    "--delete-excluded",
    "--delete-missing-args",
    "--remove-source-files",
    "--remove-sent-files",
    "--force", /* a folder with all that is in it, where a file comes */
};

static bool rsync_long(sp_span word, sp_command *c)
{
    if (ONE_OF(word, RSYNC_DELETES)) {
        c->deletes = true;
        return true;
    }
    if (sp_span_eq(word, LIT("--files-from=-"))) {
        c->unlisted = true;
        return true;
    }
    for (size_t i = 0; i < SP_COUNT(RSYNC_VALUES); i++) {
        if (sp_span_starts(word, sp_span_cstr(RSYNC_VALUES[i]))) {
            return true;
        }
    }
    return ONE_OF(word, RSYNC_HARMLESS);
}

/* A bundle as server_options() writes it. 'e', 'B' and '@' take the rest, and the next word when
 * there is none, which would hide it from us; 's' (the paths come by the protocol), 'T' (folder for
 * temporary files) and what else is not listed are not served. */
static bool rsync_short(sp_span word, sp_command *c)
{
    for (size_t i = 1; i < word.len; i++) {
        uint8_t ch = word.ptr[i];
        if (ch == 'e' || ch == 'B' || ch == '@') {
            return i + 1 < word.len;
        }
        c->recursive = c->recursive || ch == 'r';
        if (!has(LIT("vqbuldtUHAXopgDrRSWxcCIzLkKEJOnyimNPa"), ch)) {
            return false;
        }
    }
    return word.len > 1;
}

/* rsync --server [--sender] OPTIONS . path... */
static sp_command rsync(const sp_argv *argv)
{
    sp_command c = {.kind = SP_COMMAND_RSYNC, .to_target = true};
    size_t at = 2;
    if (argv->count < 2 || !sp_span_eq(argv->words[1], LIT("--server"))) {
        return UNPARSED;
    }
    for (; at < argv->count && argv->words[at].len > 1 && argv->words[at].ptr[0] == '-'; at++) {
        sp_span word = argv->words[at];
        c.to_target = c.to_target && !sp_span_eq(word, LIT("--sender"));
        bool known = word.ptr[1] == '-' ? rsync_long(word, &c) : rsync_short(word, &c);
        if (!known) {
            return UNPARSED;
        }
    }
    if (at == argv->count || !sp_span_eq(argv->words[at], LIT("."))) {
        return UNPARSED;
    }
    for (at++; at < argv->count; at++) {
        if (argv->words[at].len > 0 && argv->words[at].ptr[0] == '-') {
            return UNPARSED;
        }
        if (!add_path(&c, argv->words[at])) {
            return UNPARSED;
        }
    }
    return c.paths_count == 0 || (c.to_target && c.paths_count != 1) ? UNPARSED : c;
}

/* git-upload-pack 'path', or "git upload-pack 'path'". */
static sp_command git(const sp_argv *argv, sp_span verb, size_t at)
{
    sp_command c = {.kind = SP_COMMAND_GIT, .recursive = true};
    c.to_target = sp_span_eq(verb, LIT("receive-pack"));
    if (at + 1 != argv->count || argv->words[at].len == 0 || argv->words[at].ptr[0] == '-' ||
        !add_path(&c, argv->words[at])) {
        return UNPARSED;
    }
    return c;
}

static const char *const GIT_VERBS[] = {"receive-pack", "upload-pack", "upload-archive"};

static bool is_git_verb(sp_span word)
{
    return ONE_OF(word, GIT_VERBS);
}

/* Where these programs are installed: a file of their name elsewhere is whatever somebody put
 * there. The first place is where one that is named without a place is looked for. */
static const char *const PLACES[] = {"/usr/bin/", "/bin/", "/usr/local/bin/", "/usr/lib/git-core/",
                                     "/usr/libexec/git-core/"};

static bool is_placed(sp_span word, sp_span name)
{
    sp_span place = sp_span_slice(word, 0, word.len - name.len);
    return place.len == 0 || ONE_OF(place, PLACES);
}

static sp_command recognise(const sp_argv *argv, sp_span name)
{
    if (sp_span_eq(name, LIT("scp"))) {
        return scp(argv);
    }
    if (sp_span_eq(name, LIT("rsync"))) {
        return rsync(argv);
    }
    if (sp_span_starts(name, LIT("git-")) && is_git_verb(sp_span_slice(name, 4, name.len))) {
        return git(argv, sp_span_slice(name, 4, name.len), 1);
    }
    if (sp_span_eq(name, LIT("git")) && argv->count > 1 && is_git_verb(argv->words[1])) {
        return git(argv, argv->words[1], 2);
    }
    return (sp_command){.kind = SP_COMMAND_OTHER};
}

sp_command sp_command_recognise(const sp_argv *argv)
{
    sp_span name = argv->count > 0 ? sp_span_behind(argv->words[0], '/') : SP_SPAN_EMPTY;
    if (sp_span_eq(name, LIT("sftp-server")) || sp_span_eq(name, LIT("internal-sftp"))) {
        return argv->count > 1 ? UNPARSED : (sp_command){.kind = SP_COMMAND_SFTP};
    }
    sp_command c = recognise(argv, name);
    return c.kind != SP_COMMAND_OTHER && !is_placed(argv->words[0], name) ? UNPARSED : c;
}

void sp_command_quote(sp_command_kind kind, const sp_argv *argv, bool as_named, sp_buf *out)
{
    bool is_bare = sp_span_index(argv->words[0], '/') == argv->words[0].len;
    sp_buf_text(out, is_bare && !as_named ? PLACES[0] : "");
    if (kind != SP_COMMAND_GIT) {
        sp_argv_quote(argv, out);
        return;
    }
    for (size_t i = 0; i + 1 < argv->count; i++) { /* "git", a verb: plain words */
        sp_buf_span(out, argv->words[i]);
        sp_buf_byte(out, ' ');
    }
    sp_argv_quote_word(argv->words[argv->count - 1], out);
}

/* What a machine and a client say first: rsync the number of its protocol, git the length of a line
 * in hexadecimal digits. */
bool sp_command_begins(sp_command_kind kind, uint64_t at, sp_span bytes)
{
    for (size_t i = 0; i < bytes.len && at + i < 4; i++) {
        uint8_t ch = bytes.ptr[i];
        bool is_digit = sp_is_digit(ch) || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
        bool is_number = at + i == 0 ? ch >= RSYNC_OLDEST && ch <= RSYNC_NEWEST : ch == 0;
        if (kind == SP_COMMAND_GIT ? !is_digit : kind == SP_COMMAND_RSYNC && !is_number) {
            return false;
        }
    }
    return true;
}

bool sp_command_looks_like_transfer(sp_span command)
{
    static const char *const NAMES[] = {"scp", "rsync", "sftp-server", "internal-sftp"};
    sp_span text = sp_span_trim(command);
    size_t end = 0;
    while (end < text.len && text.ptr[end] > ' ') {
        end++;
    }
    sp_span name = sp_span_behind(sp_span_slice(text, 0, end), '/');
    sp_span rest = sp_span_trim(sp_span_slice(text, end, text.len));
    for (size_t i = 0; i < SP_COUNT(GIT_VERBS); i++) {
        sp_span verb = sp_span_cstr(GIT_VERBS[i]);
        if ((sp_span_eq(name, LIT("git")) && sp_span_starts(rest, verb)) ||
            (sp_span_starts(name, LIT("git-")) &&
             sp_span_eq(sp_span_slice(name, 4, name.len), verb))) {
            return true;
        }
    }
    return ONE_OF(name, NAMES);
}

const char *sp_command_word(sp_command_kind kind)
{
    static const char *const WORDS[] = {"command", "scp", "rsync", "git", "sftp", "unparsed"};
    _Static_assert(SP_COUNT(WORDS) == SP_COMMAND_KIND_COUNT, "a word for each");
    return (unsigned)kind < SP_COMMAND_KIND_COUNT ? WORDS[kind] : "?";
}
