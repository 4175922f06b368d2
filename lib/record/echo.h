/* SPDX-License-Identifier: Apache-2.0
 * Telling what was typed and shown from what was typed and not shown: passwords at prompts without
 * echo never get into a recording, whatever the prompt says.
 *
 * Story: everything typed goes in with sp_echo_typed, everything printed with sp_echo_printed. What
 * was typed and then printed comes out by sp_echo_take, in order; what was not is left out when its
 * line ends without it, a mark of one byte (0x1a) standing for the whole run. Keys that print
 * nothing themselves (arrows, control keys) come out as they are.
 *
 * A guess: a program may print something else at the same time. It leaves out rather too much. A
 * secret typed where it is echoed is shown in the output anyway.
 *
 * OWNS what waits (in place). PROCESS ssh gate. TRUST both streams are hostile; bounded.
 * SPEC docs/ARCHITECTURE.md.
 */
#ifndef SP_RECORD_ECHO_H
#define SP_RECORD_ECHO_H

#include "lib/base/buf.h"

enum { SP_ECHO_WAITS_MAX = 512, SP_ECHO_HIDDEN = 0x1a };

typedef struct {
    uint8_t typed[SP_ECHO_WAITS_MAX];
    bool shown[SP_ECHO_WAITS_MAX];
    size_t len;
    size_t next;    /* the first that is not shown yet */
    uint8_t escape; /* within ESC [ ... of what is printed */
} sp_echo;

void sp_echo_typed(sp_echo *echo, sp_span bytes, sp_buf *out);
void sp_echo_printed(sp_echo *echo, sp_span bytes, sp_buf *out);
/* At the end: what still waits is left out. */
void sp_echo_end(sp_echo *echo, sp_buf *out);

#endif
