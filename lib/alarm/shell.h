/* SPDX-License-Identifier: Apache-2.0
 * A command line split as a shell would: words with their quotes gone and what is known expanded,
 * simple commands with what stands between them. Private to lib/alarm.
 * OWNS nothing: a scratch of fixed size. PROCESS ssh gate. TRUST the line is hostile; all bounded.
 * SPEC POSIX shell 2.2, 2.3, 2.6; bash(1) for $'', {a,b}, <<<.
 */
#ifndef SP_ALARM_SHELL_H
#define SP_ALARM_SHELL_H

#include "lib/alarm/alarm.h"

enum { SHELL_WORDS_MAX = 192, SHELL_COMMANDS_MAX = 48, SHELL_ROOM = 8192, SHELL_DEPTH_MAX = 4 };

typedef struct {
    uint16_t at;
    uint16_t len;
    bool open;   /* something in it is not known here: $x, $(...), a pattern */
    bool target; /* of > or >| or >> */
    bool appends;
    bool source; /* of < */
    bool here;   /* of <<< */
} shell_word;

typedef struct {
    uint16_t first;
    uint16_t count;
    bool piped; /* from the command before */
} shell_command;

typedef struct {
    shell_word words[SHELL_WORDS_MAX];
    shell_command commands[SHELL_COMMANDS_MAX];
    uint8_t room[SHELL_ROOM];
    sp_span inner[8]; /* texts of $(...), `...`, <(...): in the line */
    size_t words_count;
    size_t commands_count;
    size_t used;
    size_t inner_count;
} shell_line;

/* false: too much of it for the scratch (that alone is worth an alarm). */
bool shell_split(sp_span line, sp_alarm_vars *vars, shell_line *out);

static inline sp_span shell_text(const shell_line *line, const shell_word *word)
{
    return sp_span_of(line->room + word->at, word->len);
}

void vars_set(sp_alarm_vars *vars, sp_span name, sp_span value);
bool vars_get(const sp_alarm_vars *vars, sp_span name, sp_span *ret_value);

#endif
