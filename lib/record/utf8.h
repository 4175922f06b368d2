/* SPDX-License-Identifier: Apache-2.0
 * One character of UTF-8 off a stream of bytes.
 * OWNS nothing. PROCESS ssh gate, core, cli. TRUST bytes are hostile. SPEC Unicode 15, 3.9 table
 * 3-7.
 */
#ifndef SP_RECORD_UTF8_H
#define SP_RECORD_UTF8_H

#include "lib/base/span.h"

typedef struct {
    size_t len;    /* bytes of it; 1 when it is malformed */
    uint32_t code; /* the character, or the byte when it is malformed */
    bool well_formed;
    bool cut; /* the text ends within what may become a character */
} sp_utf8;

/* The character that text (not empty) begins with. */
sp_utf8 sp_utf8_first(sp_span text);

#endif
