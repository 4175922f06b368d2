/* SPDX-License-Identifier: Apache-2.0
 * What a machine printed, made safe for the terminal of somebody who looks at it: text, colours and
 * moves of the cursor pass; whatever could set a title, write the clipboard, make links, ask the
 * terminal for an answer, switch modes that outlive the look, or start a printer does not.
 *
 * OWNS nothing. PROCESS cli. TRUST input is hostile, and is cut anywhere: what is inside of a
 * sequence is kept in the state. SPEC ECMA-48; xterm "ctlseqs"; RFC 3629.
 */
#ifndef SP_TERM_SAFE_H
#define SP_TERM_SAFE_H

#include "lib/base/buf.h"

enum { SP_TERM_SEQUENCE_MAX_BYTES = 64 };

typedef enum {
    SP_TERM_TEXT,
    SP_TERM_ESCAPE,
    SP_TERM_CSI,
    SP_TERM_STRING,        /* OSC, DCS, SOS, PM, APC: nothing of them passes */
    SP_TERM_STRING_ESCAPE, /* may be the end of one */
    SP_TERM_CHARSET,
    SP_TERM_STATE_COUNT
} sp_term_state;

/* Zero is the state at the start. */
typedef struct {
    sp_term_state state;
    uint8_t charset;   /* '(' or ')' */
    uint8_t rune_left; /* bytes that a UTF-8 character still wants */
    uint8_t rune_len;
    uint8_t rune[4];
    uint8_t sequence_len; /* behind CSI; too long or unfit sequences are not kept */
    bool unfit;
    uint8_t sequence[SP_TERM_SEQUENCE_MAX_BYTES];
} sp_term_safe;

/* Appends what is safe of bytes. Output is never longer than input and what was held back, and is
 * valid UTF-8; bytes that are none become '?'. */
void sp_term_safe_feed(sp_term_safe *safe, sp_span bytes, sp_buf *out);
/* Appends text alone: no sequence at all, and of control bytes line feed and tab. */
void sp_term_plain_feed(sp_term_safe *safe, sp_span bytes, sp_buf *out);
/* Puts a terminal back on which such output was shown. */
const char *sp_term_safe_restore(void);

#endif
