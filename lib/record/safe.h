/* SPDX-License-Identifier: Apache-2.0
 * What of a terminal's output may be shown on somebody else's terminal: text, colours, movements
 * and erasing. What acts is dropped: titles, clipboards (OSC 52), links, device control, reports
 * that a terminal would answer by typing, mouse and paste modes, programming of keys, resets,
 * printing. Also for names that are shown (sp_safe_name).
 * OWNS its state (in place). PROCESS cli, core. TRUST the output is hostile, cut anywhere.
 * SPEC ECMA-48, xterm's ctlseqs.
 */
#ifndef SP_RECORD_SAFE_H
#define SP_RECORD_SAFE_H

#include "lib/base/buf.h"

enum { SP_SAFE_SEQUENCE_MAX_BYTES = 64 };

typedef struct {
    uint8_t state;
    uint8_t kept[SP_SAFE_SEQUENCE_MAX_BYTES]; /* of the sequence that is being read */
    size_t len;
} sp_safe;

/* Appends what may be shown. A sequence may go on in the next call. */
void sp_safe_output(sp_safe *safe, sp_span bytes, sp_buf *out);
/* What puts a terminal right again after a replay that ended anywhere. */
sp_span sp_safe_reset(void);
/* One line of text without any control: each becomes U+FFFD; also what turns the direction of
 * writing, or cannot be seen. */
void sp_safe_name(sp_span text, sp_buf *out);

#endif
