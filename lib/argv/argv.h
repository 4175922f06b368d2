/* SPDX-License-Identifier: Apache-2.0
 * A command line of `ssh host command`, read the way that leaves a shell nothing to do: words of
 * plain characters and simple quotes. Whatever a shell would expand, join or chain is no match.
 *
 * Story: sshd hands the bytes to the account's shell. The gate splits them with sp_argv_split; when
 * that works, the shell of the target would come to the same words, whichever shell it is. The
 * words are compared with the templates of a resource (lib/policy/ssh.h), and what is passed on is
 * sp_argv_quote of them: one spelling, each word in quotes unless it is plain.
 *
 * OWNS its words (in place). PROCESS ssh gate, core, cli. TRUST the command is hostile.
 * SPEC POSIX shell, 2.2 Quoting, 2.6 Word Expansions; docs/POLICY.md "SSH".
 */
#ifndef SP_ARGV_H
#define SP_ARGV_H

#include "lib/base/buf.h"

enum { SP_ARGV_WORDS_MAX = 64, SP_ARGV_BYTES_MAX = 4096 };

/* Not to be copied: the words point into room. */
typedef struct {
    sp_span words[SP_ARGV_WORDS_MAX];
    size_t count;
    uint8_t room[SP_ARGV_BYTES_MAX];
} sp_argv;

/* SP_EINVALID: something that a shell would act on, a control character, bytes that are not UTF-8,
 * or no word at all. SP_ELIMIT: too many words or bytes. */
SP_MUST sp_err sp_argv_split(sp_span command, sp_argv *ret_argv);
/* The one spelling that a shell reads back as exactly these words. */
void sp_argv_quote(const sp_argv *argv, sp_buf *out);
/* One word of it, in quotes whether it needs them or not. */
void sp_argv_quote_word(sp_span word, sp_buf *out);

/* ---- templates: a word of `argv:` in a policy ---- */

/* Literal text with at most one placeholder: "{unit:word}", "--lines={n:int}", "{verb:start|stop}".
 *   word  letters, digits and . _ @ : + , = % - , not beginning with '-'; at most 255
 *   int   1 to 18 digits
 *   path  absolute, without empty, '.' and '..' segments, '-' at the beginning of none
 *   a|b   one of these
 * NULL when it is well, else what is wrong with it, as a clause. */
const char *sp_argv_template_fault(sp_span text);
bool sp_argv_template_fits(sp_span text, sp_span word);
/* Whether a path of the client's stands in it. */
bool sp_argv_template_takes_path(sp_span text);

/* ---- servers of file transfers, as scp, rsync, git and sftp start them ---- */

typedef enum {
    SP_COMMAND_OTHER,    /* none of these */
    SP_COMMAND_SCP,      /* scp -t, scp -f */
    SP_COMMAND_RSYNC,    /* rsync --server */
    SP_COMMAND_GIT,      /* git-receive-pack, git-upload-pack, git-upload-archive */
    SP_COMMAND_SFTP,     /* sftp-server: the subsystem by its program */
    SP_COMMAND_UNPARSED, /* begins as one of them and is not exactly one: refuse it */
    SP_COMMAND_KIND_COUNT
} sp_command_kind;

enum { SP_COMMAND_PATHS_MAX = 8 };

typedef struct {
    uint8_t kind;   /* sp_command_kind */
    bool to_target; /* files go there (import); else they come from there (export) */
    bool deletes;   /* rsync: with --delete or --remove-source-files (destroy, besides) */
    bool recursive;
    bool unlisted; /* more paths than are named here are spoken of later (rsync --files-from) */
    sp_span paths[SP_COMMAND_PATHS_MAX]; /* as written: relative ones are below the home folder */
    size_t paths_count;
} sp_command;

/* What the words start. paths point into argv. The program is named alone, or at a place where the
 * system has its programs; anywhere else it is SP_COMMAND_UNPARSED. */
sp_command sp_command_recognise(const sp_argv *argv);
/* What is sent to the machine for a transfer: sp_argv_quote, with git's path in quotes as git-shell
 * wants it; and unless the program goes as it is named, with its place. */
void sp_command_quote(sp_command_kind kind, const sp_argv *argv, bool as_named, sp_buf *out);
/* Whether bytes, which stand at this place of what one side sends, can begin such a transfer. */
bool sp_command_begins(sp_command_kind kind, uint64_t at, sp_span bytes);
/* For a command that sp_argv_split refused: whether it begins as a transfer server (then it is
 * SP_COMMAND_UNPARSED), so that a blank or a star does not make a transfer into something else. */
bool sp_command_looks_like_transfer(sp_span command);
/* "scp", ... */
const char *sp_command_word(sp_command_kind kind);

#endif
