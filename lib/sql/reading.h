/* SPDX-License-Identifier: Apache-2.0
 * Functions of the server's own that do nothing but read and compute: they change nothing that
 * stays, run no text and no type's checks by its number, read no files, and hand out no contents of
 * large objects.
 * OWNS nothing. PROCESS keeper. TRUST none. SPEC lib/sql/functions.h.
 */
#ifndef SP_SQL_READING_H
#define SP_SQL_READING_H

#include <stddef.h>

/* The next name of them, in order; *at begins with 0. All functions of pg_catalog that have the
 * name are meant; it holds no quote. NULL: there is no more. The text lives as long as the process.
 */
const char *sp_sql_next_reading(size_t *at);

#endif
