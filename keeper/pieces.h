/* SPDX-License-Identifier: Apache-2.0
 * A script as `pg_restore --verbose --file=-` writes it, entry by entry. Pure.
 *
 *     --
 *     -- TOC entry 215 (class 1259 OID 16391)
 *     -- Name: orders; Type: TABLE; Schema: public; Owner: postgres
 *     --
 *
 * Such a head is one where no value, name or body is open: names within comments have no line ends.
 * OWNS what it gathers. PROCESS keeper. TRUST definitions are the database's: they may hold such a
 * line. SPEC pg_restore(1) "--verbose".
 */
#ifndef SP_KEEPER_PIECES_H
#define SP_KEEPER_PIECES_H

#include "keeper/plain.h"

typedef struct {
    /* The text of an entry, by its id in the archive; 0: settings of the script, for all that
     * follows. An error of it ends the reading. */
    sp_err (*take)(void *self, uint32_t id, sp_span text);
    void *self;
    uint32_t id;
    sp_buf text;
    sp_buf line;
    keep_plain plain;
} keep_pieces;

/* max_bytes: of one entry. */
keep_pieces keep_pieces_make(sp_err (*take)(void *self, uint32_t id, sp_span text), void *self,
                             size_t max_bytes);
void keep_pieces_done(keep_pieces *pieces);
/* psql's own commands (\restrict) are dropped. SP_ELIMIT: an entry is too long. */
SP_MUST sp_err keep_pieces_feed(keep_pieces *pieces, sp_span bytes);
/* The last one. */
SP_MUST sp_err keep_pieces_end(keep_pieces *pieces);

#endif
