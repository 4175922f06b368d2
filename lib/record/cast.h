/* SPDX-License-Identifier: Apache-2.0
 * A terminal's recording: asciicast v2 lines, written as things happen and read back.
 *
 * Story: one sp_cast a channel. sp_cast_begin writes the header; output, input, resizes and marks
 * follow with the caller's clock. When sp_cast_due says so (a second since the first line of the
 * chunk or a little less, or 48 KiB of lines), the caller takes the lines with sp_cast_cut, packs
 * them (lib/record/chunk.h), and puts them on the ledger. The chunks one after another are the
 * file.
 *
 * Nothing is lost: a byte that is not part of well-formed UTF-8 is written as the character
 * U+10FF00 + byte, and so are the bytes of such characters when they come in themselves, so that
 * reading gives back exactly what passed. A character that is split over two writes waits for its
 * rest. Whoever shows a recording filters it first (lib/record/safe.h).
 *
 * OWNS the lines of the chunk that is being filled. PROCESS ssh gate writes; core, cli read.
 * TRUST output and input are hostile; recordings that are read are too.
 * SPEC asciicast v2 (docs.asciinema.org/manual/asciicast/v2), RFC 8259.
 */
#ifndef SP_RECORD_CAST_H
#define SP_RECORD_CAST_H

#include "lib/base/buf.h"

enum {
    SP_CAST_CHUNK_BYTES = 48 * 1024, /* of lines: then it is cut */
    SP_CAST_CHUNK_US = 1000000,      /* or after so long at most */
    SP_CAST_STEP_US = 50000,         /* at a whole multiple of this, so that many are cut at once */
    SP_CAST_LINE_BYTES = 2048,       /* of a terminal's bytes in one line at most */
    /* of lines that wait to be cut: what passes at once, 128 KiB, is six times as long as text when
     * it is zeros, and the lines of what was typed and of marks come besides */
    SP_CAST_TEXT_MAX_BYTES = 2 << 20,
    SP_CAST_MARK_MAX_BYTES = 512,
    SP_CAST_SIZE_MAX = 1000 /* columns, rows */
};

typedef struct {
    uint8_t bytes[4]; /* the begin of a character whose rest has not come */
    size_t len;
} sp_cast_held;

typedef struct {
    sp_buf text;
    sp_buf cut; /* what was taken last */
    uint64_t start_us;
    uint64_t first_us; /* of the chunk's first line */
    uint64_t last_us;
    uint32_t number;
    bool begun;
    bool ended;
    sp_cast_held held[2]; /* output, input */
} sp_cast;

typedef struct {
    uint16_t width;
    uint16_t height;
    uint64_t when_unix_s;
    sp_span title;   /* may be empty */
    sp_span command; /* may be empty */
    sp_span term;    /* may be empty */
} sp_cast_header;

sp_cast sp_cast_make(void);
void sp_cast_done(sp_cast *cast);

/* now_us: any clock that does not go back; of one that does, the last time is kept. SP_ELIMIT: the
 * lines were not cut for too long (the recording must then end, and the session with it). */
SP_MUST sp_err sp_cast_begin(sp_cast *cast, const sp_cast_header *header, uint64_t now_us);
SP_MUST sp_err sp_cast_output(sp_cast *cast, sp_span bytes, uint64_t now_us);
SP_MUST sp_err sp_cast_input(sp_cast *cast, sp_span bytes, uint64_t now_us);
SP_MUST sp_err sp_cast_resize(sp_cast *cast, uint16_t width, uint16_t height, uint64_t now_us);
/* Something that a player may jump to: a file, an alarm, a freeze. Cut to its maximum. */
SP_MUST sp_err sp_cast_mark(sp_cast *cast, sp_span text, uint64_t now_us);

/* Whether the lines are to be cut now. */
bool sp_cast_due(const sp_cast *cast, uint64_t now_us);
/* When they are to be cut at the latest, 0 = nothing waits. For a timer. */
uint64_t sp_cast_due_us(const sp_cast *cast);

/* A run of whole lines. */
typedef struct {
    uint32_t number; /* 0.. without gaps */
    uint64_t t0_us;  /* since the start */
    uint64_t t1_us;
    bool end; /* nothing follows */
    sp_span text;
} sp_cast_lines;

/* What waits, as one run; valid until the next call. With end: held bytes are written out, and
 * nothing can be added any more. text may be empty only with end. False when nothing waits. The
 * number counts once: whoever splits a run tells with sp_cast_numbered how many it became. */
SP_MUST sp_err sp_cast_cut(sp_cast *cast, bool end, sp_cast_lines *ret_lines, bool *ret_any);
/* After a cut whose lines became count chunks instead of one; the lines are gone then. */
void sp_cast_numbered(sp_cast *cast, uint32_t count);

/* ---- reading ---- */

typedef struct {
    uint64_t at_us; /* since the start */
    char code;      /* 'o', 'i', 'r', 'm'; others are handed on */
    sp_span data;   /* the bytes as they passed; in room */
} sp_cast_event;

typedef struct {
    uint16_t width;
    uint16_t height;
    uint64_t when_unix_s;
} sp_cast_told;

/* A header line begins with '{', an event with '['. Each without its line end. SP_EINVALID. */
SP_MUST sp_err sp_cast_read_header(sp_span line, sp_cast_told *ret_told);
/* room is emptied first; data is valid until it changes. */
SP_MUST sp_err sp_cast_read_event(sp_span line, sp_buf *room, sp_cast_event *ret_event);

#endif
