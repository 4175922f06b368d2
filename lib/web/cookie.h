/* SPDX-License-Identifier: Apache-2.0
 * Cookies on the wire, as far as a gate needs them: to find ours, to take ours out before the
 * upstream sees the request, and to know when an upstream tries to set it.
 * OWNS nothing: results point into the input. PROCESS web gate, core. TRUST headers are hostile.
 * SPEC RFC 6265 sections 4.2, 5.2.
 */
#ifndef SP_WEB_COOKIE_H
#define SP_WEB_COOKIE_H

#include "lib/base/span.h"

#define SP_WEB_COOKIE_NAME "__Host-sallyport"
/* 32 random bytes as base64url; the live table keys on the SHA-256 of this text. */
enum { SP_WEB_COOKIE_BYTES = 43 };

typedef struct {
    sp_span value;  /* of the last one */
    unsigned count; /* how many there are: two are one too many */
} sp_web_cookie;

/* Looks through one Cookie header; adds to *found, so that it can be called for each header. */
void sp_web_cookie_find(sp_span header, sp_web_cookie *found);
/* Exactly one, and of the form that core makes. */
bool sp_web_cookie_is_good(const sp_web_cookie *cookie);
/* The header without our cookies (all whose name begins like ours), in room of 2 * header.len bytes
 * (a blank is put after each ';'); empty when nothing is left. */
sp_span sp_web_cookie_strip(sp_span header, uint8_t *room);
/* Whether the value of a Set-Cookie header sets a cookie whose name begins like ours, in whatever
 * case. */
bool sp_web_cookie_is_set(sp_span set_cookie);

#endif
