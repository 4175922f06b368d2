/* SPDX-License-Identifier: Apache-2.0
 * Two small pieces of JSON for the event path: escaping into reserved room, and whether bytes are
 * one well-formed object.
 * OWNS nothing. PROCESS ledger. TRUST input is hostile. SPEC RFC 8259.
 */
#ifndef SP_PROTO_JSON_H
#define SP_PROTO_JSON_H

#include "lib/base/buf.h"

enum { SP_JSON_DEPTH_MAX = 32 };

/* Writes text without quotes, at most 6 bytes for each; what is not UTF-8 becomes U+FFFD. Returns
 * how many bytes were written. */
size_t sp_json_escape(sp_span text, uint8_t *room);
/* One object, nothing behind it, UTF-8, nested at most SP_JSON_DEPTH_MAX deep, and nothing in it
 * that a common reader refuses: numbers too large, lone surrogates, NUL. */
bool sp_json_is_object(sp_span text);

#endif
