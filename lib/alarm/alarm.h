/* SPDX-License-Identifier: Apache-2.0
 * An alarm for destructive commands on a shell, and for what hides them. It is an alarm, never a
 * wall: a shell has endless ways to say a thing. It may page people and freeze a terminal until
 * somebody looks; it decides nothing. The wall is who may have a shell at all (lib/policy/ssh.h).
 *
 * Story: one sp_alarm_judge a worker (its scratch), one sp_alarm_term a terminal. What is typed and
 * what is printed both go in; each call answers with the gravest alarm it found. What was typed is
 * judged when its line is sent; what stands on the line of the screen (edited, recalled from
 * history, completed) is judged then too, and once more when the line's end is printed, because
 * the echo may come late.
 *
 * OWNS the scratch (judge); terminals are in place. PROCESS ssh gate. TRUST both streams are
 * hostile: time and memory are bounded for each line. SPEC POSIX shell chapter 2, lib/alarm/README.
 */
#ifndef SP_ALARM_H
#define SP_ALARM_H

#include "lib/base/buf.h"

enum {
    SP_ALARM_LINE_MAX_BYTES = 4096,
    SP_ALARM_VARS_MAX = 16,
    SP_ALARM_NAME_MAX_BYTES = 24,
    SP_ALARM_VALUE_MAX_BYTES = 104,
    SP_ALARM_NOTE = 30,  /* confidence from which it is worth a line in the record */
    SP_ALARM_PAGE = 60,  /* worth a page */
    SP_ALARM_FREEZE = 80 /* worth freezing the terminal */
};

typedef struct {
    uint8_t confidence; /* 0 = none, to 100 */
    const char *reason; /* one clause in English, static; never what was typed. NULL = none */
} sp_alarm;

typedef struct sp_alarm_judge sp_alarm_judge;
SP_MUST sp_err sp_alarm_judge_new(sp_alarm_judge **ret_judge);
void sp_alarm_judge_free(sp_alarm_judge *judge);

/* What was assigned on lines before: a=m, then r$a. */
typedef struct {
    struct {
        uint8_t name[SP_ALARM_NAME_MAX_BYTES];
        uint8_t value[SP_ALARM_VALUE_MAX_BYTES];
        uint8_t name_len;
        uint8_t value_len;
    } vars[SP_ALARM_VARS_MAX];
    uint8_t next;
} sp_alarm_vars;

/* One command line. vars may be NULL. */
sp_alarm sp_alarm_line(sp_alarm_judge *judge, sp_alarm_vars *vars, sp_span line);

/* Whether a program of this command may take what is sent to it for commands: a shell, an
 * interpreter, a client of a database, xargs and its like, anywhere in it, or a word that cannot be
 * read without running it. May say yes where it is no. */
bool sp_alarm_reads_commands(sp_span command);

enum { SP_ALARM_CELLS = 2048, SP_ALARM_TYPED = 2048, SP_ALARM_PROMPT = 128 };

typedef struct {
    sp_alarm_vars vars;
    uint8_t cells[SP_ALARM_CELLS]; /* of the line on the screen, rows one after another */
    uint8_t typed[SP_ALARM_TYPED];
    uint8_t prompt[SP_ALARM_PROMPT]; /* what stood on the line when typing began */
    uint16_t cells_len;
    uint16_t at; /* cursor */
    uint16_t typed_len;
    uint16_t typed_at;
    uint16_t prompt_len;
    uint16_t width;
    uint16_t number; /* of a sequence that is being read */
    uint8_t state;
    uint8_t key_state;
    uint8_t key_number;
    bool typing;
    bool sent;   /* the line's end was typed and is not printed yet */
    bool pasted; /* within a bracketed paste */
} sp_alarm_term;

void sp_alarm_term_init(sp_alarm_term *term, uint16_t width);
void sp_alarm_size(sp_alarm_term *term, uint16_t width);
sp_alarm sp_alarm_typed(sp_alarm_term *term, sp_alarm_judge *judge, sp_span bytes);
sp_alarm sp_alarm_printed(sp_alarm_term *term, sp_alarm_judge *judge, sp_span bytes);

#endif
