/* SPDX-License-Identifier: Apache-2.0
 * What a command of the program is: a row of one table (cli/commands.c). Its help, its completion,
 * reading its arguments, asking the office and printing the answer all follow from the row.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC docs/man/sallyport.1.
 *
 * A row is one of four:
 *   - a group ("device"): no .run, .call or .ask; its commands are the rows whose .of is its word;
 *   - what asks the office (.ask.path): nothing else is needed;
 *   - what is special (.call): gets the arguments as read, see cli/ask.h for the pieces of asking;
 *   - another room's command (.run): reads its own argv; argv[0] is its word. Rows below it go
 * first. The result of each is the exit status, one of sp_exit.
 */
#ifndef SP_CLI_COMMAND_H
#define SP_CLI_COMMAND_H

#include "infra/proc/exit.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { SP_WORDS_MAX = 64, SP_OPTIONS_MAX = 8, SP_COLUMNS_MAX = 10 };

typedef enum {
    SP_OPTION_FLAG,
    SP_OPTION_TEXT,
    SP_OPTION_NUMBER, /* decimal, not negative */
} sp_option_type;

/* A heading of the first page of help, in this order. */
typedef enum {
    SP_GROUP_NONE, /* not shown there: for the machine, or below another command */
    SP_GROUP_OFFICE,
    SP_GROUP_CHANGE,
    SP_GROUP_WATCH,
    SP_GROUP_SELF,
    SP_GROUP_COUNT
} sp_group;

/* Lists end with a row without a word. */
typedef struct {
    const char *word; /* "--url"; "-f" for a short one */
    sp_option_type type;
    const char *value; /* "URL"; what a text or number is called */
    const char *help;
    const char *needed;    /* not NULL: the command does not go without; said when it is missing */
    const char *field;     /* member of the body, or of the query of a GET; NULL = neither */
    const char *otherwise; /* text of the field when the option is not given; NULL = left out */
    const char *instead;   /* a flag: this path is asked, not the command's */
} sp_option;
#define SP_FLAG(w, h)                                                                              \
    {                                                                                              \
        .word = (w), .type = SP_OPTION_FLAG, .help = (h)                                           \
    }
#define SP_TEXT(w, v, h)                                                                           \
    {                                                                                              \
        .word = (w), .type = SP_OPTION_TEXT, .value = (v), .help = (h)                             \
    }

typedef struct {
    const char *head;
    const char *key; /* dotted; "..._at" is a time, a list is joined by blanks */
    const char *(*show)(const json_t *row); /* not NULL: instead of the key; until the next call */
} sp_column;

typedef struct sp_command sp_command;

/* What was given on the command line. */
typedef struct {
    const sp_command *command;
    const char *words[SP_WORDS_MAX];
    size_t words_count;
    const char *values[SP_OPTIONS_MAX]; /* of command->options; a flag that was given is "" */
    const char *config;                 /* -c; NULL = the usual place */
    bool local;                         /* --local, or -c */
    bool json;
    bool yes; /* nobody is asked to confirm */
} sp_given;

typedef enum {
    SP_NEEDS_SESSION, /* a session with the office (sallyport login) */
    SP_NEEDS_ROOT,    /* root on the host: core's local socket; the command takes -c FILE */
    SP_NEEDS_EITHER,  /* a session; with --local or -c FILE root's socket, for when nobody signs in
                       */
} sp_needs;

typedef struct {
    sp_needs needs;
    const char *method; /* NULL = GET */
    /* "{1}" is the first word; "{person}" and "{device}" the id of whom the first word names. */
    const char *path;
    bool each;         /* asked again for each word, which is then {1} */
    const char *field; /* member of the body that the first word is */
    /* More of the body; found: the person or device of the path. NULL = nothing more. */
    void (*body)(const sp_given *given, const json_t *found, json_t *body);
    /* What is asked before, on a terminal: "{1} ends for good". NULL = nothing. */
    const char *confirm;
    /* Printed when it worked: {1} as above, {member} of the answer, as text or time. */
    const char *done;
    sp_column columns[SP_COLUMNS_MAX]; /* of a list, or of the one object that was answered */
} sp_ask;

struct sp_command {
    sp_group group;
    const char *of; /* the command it stands below ("device"), NULL = the program itself */
    const char *word;
    /* "NAME", "NAME ROLE...", "[FILE]". Another room's command: only what help says. */
    const char *words;
    const char *summary;      /* a line */
    const char *about;        /* a paragraph */
    const sp_option *options; /* may be NULL */
    bool no_json;             /* it has no --json: there is nothing to print */
    sp_ask ask;
    int (*call)(const sp_given *given);
    int (*run)(int argc, char **argv);
};

#endif
