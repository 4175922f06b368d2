/* SPDX-License-Identifier: Apache-2.0
 * The path of a request target, in the one form that is judged, recorded and sent to the upstream.
 *
 * Story: a path that two programs may read in two ways is how a gate is walked around. So what is
 * ambiguous is refused (encoded slashes, dot segments, double encoding, bad UTF-8 ...), what has
 * one meaning but several spellings is brought to one spelling (doubled slashes, the case of
 * escapes, needless escapes), and the upstream gets exactly that spelling.
 *
 * OWNS nothing: results point into the input or into the caller's room. PROCESS web gate.
 * TRUST the input is hostile. SPEC RFC 3986 section 6.2.2.
 */
#ifndef SP_WEB_PATH_H
#define SP_WEB_PATH_H

#include "lib/base/span.h"

/* Why a path is refused. */
typedef enum {
    SP_PATH_OK,
    SP_PATH_START,   /* does not start with a slash */
    SP_PATH_ESCAPE,  /* '%' without two hex digits */
    SP_PATH_SLASH,   /* an encoded slash */
    SP_PATH_BACK,    /* a backslash, encoded or not */
    SP_PATH_DOTS,    /* a segment "." or "..", also with parameters: "..;x" */
    SP_PATH_DOUBLE,  /* encoded twice: "%252e" */
    SP_PATH_CONTROL, /* NUL and other control bytes */
    SP_PATH_UTF8,    /* not UTF-8 once decoded */
    SP_PATH_HASH,    /* a fragment, which no client sends */
    SP_PATH_LONG,
    SP_PATH_FAULT_COUNT
} sp_path_fault;

enum { SP_WEB_PATH_MAX_BYTES = 8192 };

typedef struct {
    sp_span plain;   /* decoded: for judging and for the record; never longer than the input */
    sp_span wire;    /* as the upstream gets it */
    bool has_params; /* a ';' somewhere, encoded or not: some servers cut a segment there */
} sp_web_path;

/* Bytes of room that sp_web_path_read needs for an input of that length. */
size_t sp_web_path_room(size_t raw_len);
/* raw: the target up to '?'. Results are valid as long as raw and room; a path that is in its
 * canonical form already is not copied. */
sp_path_fault sp_web_path_read(sp_span raw, uint8_t *room, sp_web_path *ret_path);
/* plain as a server sees it that cuts each segment at ';'. room: plain.len bytes. */
sp_span sp_web_path_without_params(sp_span plain, uint8_t *room);

#endif
