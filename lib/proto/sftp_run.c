/* SPDX-License-Identifier: Apache-2.0
 * Places of a machine from which something is run that nobody asked for: what a shell reads when it
 * starts, who may log in, hooks, tables of cron, the system's own folders.
 * OWNS nothing. PROCESS ssh gate. TRUST paths are hostile. SPEC lib/proto/sftp.h, bash(1)
 * "INVOCATION", sshd(8) "AUTHORIZED_KEYS", githooks(5).
 */
#include "lib/proto/sftp.h"

/* Files by their own name, in whatever folder: homes are not known here. */
static const char *const FILES[] = {
    ".bashrc",   ".bash_profile", ".bash_login",      ".bash_logout", ".bash_aliases",
    ".profile",  ".login",        ".logout",          ".zshrc",       ".zshenv",
    ".zprofile", ".zlogin",       ".zlogout",         ".kshrc",       ".mkshrc",
    ".cshrc",    ".tcshrc",       ".pam_environment", ".xinitrc",     ".xsession",
    ".xprofile", ".xsessionrc",   ".vimrc",           ".exrc",        ".gvimrc",
    ".emacs",    ".gdbinit",      ".psqlrc",          ".mailcap",     ".procmailrc",
    ".forward",  ".rhosts",       ".shosts",          ".k5login",     ".gitconfig",
    ".envrc",    ".tmux.conf",    ".screenrc",        ".inputrc"};
/* Folders, with all that is in them. */
static const char *const FOLDERS[] = {".ssh", ".vim", ".emacs.d", ".git", "hooks"};
static const char *const IN_CONFIG[] = {"systemd",       "autostart", "fish", "git",
                                        "environment.d", "nvim",      "tmux"};
static const char *const IN_LOCAL[] = {"bin", "lib"};
static const char *const TOP[] = {"etc",  "bin", "sbin", "lib", "lib64",
                                  "boot", "dev", "proc", "sys"};
static const char *const USR[] = {"bin", "sbin", "lib", "lib64", "libexec", "local"};
static const char *const SPOOL[] = {"cron", "at", "anacron"};

#define IS(word, text) sp_span_eq(word, SP_SPAN_LIT(text))
#define ONE_OF(word, list) (sp_span_which(word, list, SP_COUNT(list)) < SP_COUNT(list))

/* Of git's own folder and of one with hooks only what is run, or tells what is. */
static bool folder_runs(sp_span folder, sp_span name, bool last)
{
    if (IS(folder, ".git")) {
        return last || IS(name, "hooks") || IS(name, "config") || IS(name, "config.worktree");
    }
    if (IS(folder, "hooks")) { /* a hook of git has no ending */
        return last || sp_span_index(name, '.') == name.len;
    }
    return true;
}

/* From the root: /etc/x, /usr/bin/x, /var/spool/cron/x; `words` are the path's first ones. */
static bool root_runs(const sp_span words[3])
{
    if (ONE_OF(words[0], TOP)) {
        return true;
    }
    if (IS(words[0], "usr")) {
        return words[1].len == 0 || ONE_OF(words[1], USR);
    }
    if ((IS(words[0], "home") && IS(words[2], "bin")) ||
        (IS(words[0], "root") && IS(words[1], "bin"))) {
        return true;
    }
    return IS(words[0], "var") && IS(words[1], "spool") &&
           (words[2].len == 0 || ONE_OF(words[2], SPOOL));
}

/* The next word of a path; empty at its end. */
static sp_span next_word(sp_span *path)
{
    while (path->len > 0 && path->ptr[0] == '/') {
        *path = sp_span_slice(*path, 1, path->len);
    }
    size_t end = sp_span_index(*path, '/');
    sp_span word = sp_span_slice(*path, 0, end);
    *path = sp_span_slice(*path, end, path->len);
    return word;
}

bool sp_sftp_runs(sp_span path)
{
    sp_span first[3] = {{0}};
    sp_span rest = path;
    size_t count = 0;
    sp_span word = next_word(&rest);
    while (word.len > 0) {
        sp_span next = next_word(&rest);
        if (count < SP_COUNT(first)) {
            first[count++] = word;
        }
        if ((next.len == 0 && ONE_OF(word, FILES)) ||
            (ONE_OF(word, FOLDERS) && folder_runs(word, next, next.len == 0)) ||
            (IS(word, ".config") && (next.len == 0 || ONE_OF(next, IN_CONFIG))) ||
            (IS(word, ".local") && (next.len == 0 || ONE_OF(next, IN_LOCAL))) ||
            (sp_span_ends(word, SP_SPAN_LIT(".git")) && IS(next, "config"))) {
            return true;
        }
        word = next;
    }
    return path.len > 0 && path.ptr[0] == '/' && root_runs(first);
}
