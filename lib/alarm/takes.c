/* SPDX-License-Identifier: Apache-2.0
 * Whether what is sent to a command may be commands.
 * OWNS nothing. PROCESS ssh gate. TRUST commands are hostile. SPEC lib/alarm/alarm.h.
 */
#include "lib/alarm/alarm.h"
#include "lib/alarm/rules.h"

enum { WORD_MAX_BYTES = 32 };

static bool takes_commands(sp_span word)
{
    static const char *const OTHERS[] = {"xargs",
                                         "parallel",
                                         "at",
                                         "batch",
                                         "crontab",
                                         "ssh",
                                         "su",
                                         "ed",
                                         "make",
                                         "nsenter",
                                         "script",
                                         "expect",
                                         "gdb",
                                         "m4",
                                         "dc",
                                         "bc",
                                         "gmake",
                                         "vi",
                                         "vim",
                                         "nvim",
                                         "view",
                                         "ex",
                                         "gvim",
                                         "emacs",
                                         "lldb",
                                         "rlwrap",
                                         "screen",
                                         "tmux",
                                         "chroot",
                                         "runuser",
                                         "eval",
                                         "source",
                                         "read",
                                         "R",
                                         "Rscript",
                                         "julia",
                                         "deno",
                                         "bun",
                                         "pwsh",
                                         "guile",
                                         "erl",
                                         "iex",
                                         "ghci",
                                         "irb",
                                         "jshell",
                                         "octave",
                                         "scheme",
                                         "wish",
                                         "nft",
                                         "iptables-restore",
                                         "ip6tables-restore",
                                         "fdisk",
                                         "gdisk",
                                         "sfdisk",
                                         "parted",
                                         "sftp",
                                         "ftp",
                                         "lftp",
                                         "telnet",
                                         "socat",
                                         "virsh",
                                         "ldapmodify",
                                         "ldapadd",
                                         "nsupdate"};
    bool is_other = false;
    for (size_t i = 0; i < SP_COUNT(OTHERS); i++) {
        is_other = is_other || sp_span_eq(word, sp_span_cstr(OTHERS[i]));
    }
    return is_other || rule_is_shell(word) || rule_is_interpreter(word) ||
           rule_is_database_client(word);
}

static bool is_of_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '+';
}

bool sp_alarm_reads_commands(sp_span command)
{
    uint8_t word[WORD_MAX_BYTES];
    size_t len = 0;
    bool first = true; /* of its command */
    for (size_t i = 0; i <= command.len; i++) {
        uint8_t c = i < command.len ? command.ptr[i] : ' ';
        if (c == '$' || c == '`' || c == '\\' || c == '*' || c == '?' || c == '[' || c == '{') {
            return true; /* the machine's shell makes words of its own there */
        }
        if (c == '\'' || c == '"') {
            continue; /* b""ash */
        }
        if (is_of_word(c)) {
            word[len < WORD_MAX_BYTES ? len : WORD_MAX_BYTES - 1] = c;
            len += len < WORD_MAX_BYTES ? 1 : 0;
        } else {
            bool dot = first && len == 1 && word[0] == '.' && c == ' '; /* ". file" */
            if (dot || takes_commands(sp_span_of(word, len))) {
                return true;
            }
            first = c == ' ' || c == '\t' ? first && len == 0 : c != '/';
            len = 0;
        }
    }
    return false;
}
