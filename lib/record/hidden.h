/* SPDX-License-Identifier: Apache-2.0
 * Lines that were typed on a terminal and not shown there: with `stty -echo` neither the recording
 * nor who watches sees what is typed. They are counted, wherever nobody was asked for a secret.
 *
 * Story: all that is typed and all that is printed goes in. A key is answered by what is printed
 * next, whatever that is (an editor answers with another picture), a few keys at once at most. A
 * line that was sent and not answered has a second to be printed as it was typed; then it is
 * counted, unless the line on the screen asked for a password: three of these in a row, more are
 * no prompt any more.
 *
 * A guess, for the statement at the end, and never a wall: a program may print the same letters.
 *
 * OWNS what waits (in place). PROCESS ssh gate. TRUST both streams are hostile; bounded.
 * SPEC docs/SSH.md 5.
 */
#ifndef SP_RECORD_HIDDEN_H
#define SP_RECORD_HIDDEN_H

#include "lib/base/span.h"

enum {
    SP_HIDDEN_LINES_MAX = 8, /* that wait at once; more share the fate of the last */
    SP_HIDDEN_KEPT_BYTES = 16,
    SP_HIDDEN_PROMPT_BYTES = 64,
    SP_HIDDEN_ECHO_US = 1000000
};

typedef struct {
    uint64_t sent_us;
    uint32_t more; /* lines behind it that nothing was kept of */
    uint8_t keys[SP_HIDDEN_KEPT_BYTES];
    uint8_t len;
    uint8_t matched;
    bool asked; /* for a secret */
} sp_hidden_line;

typedef struct {
    sp_hidden_line lines[SP_HIDDEN_LINES_MAX]; /* sent, the oldest first */
    uint8_t line_count;
    sp_hidden_line typing;                  /* not sent yet, or not answered yet */
    uint32_t keys;                          /* of it: all */
    uint8_t prompt[SP_HIDDEN_PROMPT_BYTES]; /* the end of the line on the screen */
    uint8_t prompt_len;
    uint8_t escape; /* within a sequence that is printed */
    uint8_t key_escape;
    uint8_t secrets; /* in a row */
} sp_hidden;

/* How many lines are known to be hidden by now, of those that were typed before. Steady time. */
uint32_t sp_hidden_typed(sp_hidden *hidden, sp_span bytes, uint64_t now_us);
uint32_t sp_hidden_printed(sp_hidden *hidden, sp_span bytes, uint64_t now_us);
/* At the end: what waits was not shown. */
uint32_t sp_hidden_end(sp_hidden *hidden);

#endif
