/* SPDX-License-Identifier: Apache-2.0
 * The pieces of the manifest's query: manifest.c puts them together.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see manifest.c. SPEC keeper/README.md.
 */
#ifndef SP_KEEPER_MANIFEST_H
#define SP_KEEPER_MANIFEST_H

#include "keeper/keeper.h"

/* ---- manifest_code.c: whose code its definitions may run ---- */
/* Each goes on where the one before ends, behind a table `picked`. */
extern const char keep_stands[];
extern const char keep_reach[];
extern const char keep_reached[];
extern const char keep_calls[];
extern const char keep_early[];
/* "definitions" of the manifest: what else than relations may run code while it is made, and what
 * that is; and, of a whole database, "names" that another may have by then. */
SP_MUST sp_err keep_definitions(keep_job *job, PGconn *conn, json_t *manifest);

#endif
