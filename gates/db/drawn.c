/* SPDX-License-Identifier: Apache-2.0
 * What a session put into its temporary relations. Who reads one of them again reads that: the same
 * rule says how much may be had, and a large answer is an export of the same tables.
 *
 * Which rows stand in which of them nobody follows: as soon as anything was put into one, reading
 * any of them is reading all of it, until they are gone.
 *
 * OWNS nothing. PROCESS db gate workers. TRUST numbers of relations are the server's.
 * SPEC gates/db/judging.h.
 */
#include "gates/db/judging.h"

enum { READS = 1U << SP_ACTION_READ | 1U << SP_ACTION_EXPORT | 1U << SP_ACTION_EXECUTE };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a == 0 ? b : (b == 0 || a < b ? a : b);
}

static void keep(db_drawn *drawn, uint32_t oid)
{
    for (uint8_t i = 0; i < drawn->count; i++) {
        if (drawn->oids[i] == oid) {
            return;
        }
    }
    if (oid == 0 || drawn->count == DB_DRAWN_MAX) {
        drawn->wide = true;
        return;
    }
    drawn->oids[drawn->count++] = oid;
}

void db_drawn_keep(db_drawn *drawn, const db_ruling *ruling)
{
    if (!ruling->fills || (ruling->actions & READS) == 0) {
        return;
    }
    drawn->any = true;
    drawn->wide |= (ruling->met_wide & READS) != 0;
    for (uint8_t i = 0; i < ruling->met_count; i++) {
        if ((READS & 1U << ruling->met[i].action) != 0) {
            keep(drawn, ruling->met[i].oid);
        }
    }
    const sp_decision *decision = &ruling->decision;
    if ((decision->must & SP_MUST_LIMIT) != 0) {
        drawn->limit_rows = least(drawn->limit_rows, decision->limit_rows);
        drawn->limit_bytes = least(drawn->limit_bytes, decision->limit_bytes);
        drawn->day_rows = least(drawn->day_rows, decision->day_rows);
        drawn->day_bytes = least(drawn->day_bytes, decision->day_bytes);
    }
}

void db_drawn_limit(const db_drawn *drawn, sp_decision *decision)
{
    if ((drawn->limit_rows | drawn->limit_bytes | drawn->day_rows | drawn->day_bytes) == 0) {
        return;
    }
    decision->must |= SP_MUST_LIMIT;
    decision->limit_rows = least(decision->limit_rows, drawn->limit_rows);
    decision->limit_bytes = least(decision->limit_bytes, drawn->limit_bytes);
    decision->day_rows = least(decision->day_rows, drawn->day_rows);
    decision->day_bytes = least(decision->day_bytes, drawn->day_bytes);
}
