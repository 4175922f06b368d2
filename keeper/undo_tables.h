/* SPDX-License-Identifier: Apache-2.0
 * What undo_choose.c says about a table and undo_rows.c does.
 * OWNS see the struct. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC
 * keeper/undo_parts.h.
 */
#ifndef SP_KEEPER_UNDO_TABLES_H
#define SP_KEEPER_UNDO_TABLES_H

#include "keeper/undo_parts.h"

typedef struct {
    const json_t *relation;
    const json_t *now;
    size_t number;
    bool keyed;
    bool changes; /* rows of one transaction get their old values */
    bool adds;    /* rows that are gone come back */
    bool moves;   /* keys may have changed: new rows of that transaction go */
    bool mixed;   /* that transaction had written into it before */
} undo_table;

/* A foreign key between two of the tables, or of parts or wholes of theirs. */
typedef struct {
    uint32_t child; /* 0 = none of them */
    uint32_t parent;
    bool was_there; /* when they were kept */
} undo_tie;

struct undo_tables {
    undo_table *items;
    size_t count;
    const json_t **left; /* relations that are not put back, which is told */
    size_t left_count;
    undo_tie *ties; /* by child and parent */
    size_t tie_count;
};

/* A column that is matched and written; generated ones follow by themselves. */
bool undo_is_plain(const json_t *column);
/* A partition whose root was kept as well: its rows are put into that. */
bool undo_is_in_root(const undo *u, const json_t *relation);
/* It is not there any more, whatever has its name. */
bool undo_is_lost(const undo_table *t, const json_t *column);
/* Rows of it, or of a partition, were written anew, under another number perhaps. */
bool undo_is_rewritten(const undo *u, const undo_table *t);
/* The table, or a partition of it. */
bool undo_is_of(const json_t *one, const undo_table *t);
/* It has been logged and is not any more. */
bool undo_is_unlogged(const undo_table *t);
/* It has another type now. */
bool undo_is_retyped(const undo_table *t, const json_t *column);

/* ---- undo_hangs.c ---- */
/* A column of a type that has lost an attribute, or of a table's rows that has lost a column,
 * quoted: its values do not fit. NULL = none. */
const char *undo_lost_attribute(const undo *u, const undo_table *t);

/* ---- undo_columns.c ---- */
/* What was made again gets its default, NOT NULL and identity; all values are there. */
void undo_finish_columns(undo *u, const undo_table *t, sp_buf *sql);
/* NOT NULL, where no row stands against it; else that is told. */
void undo_put_not_null(const undo *u, const undo_table *t, const json_t *column, sp_buf *sql);

/* ---- undo_staging.c ---- */
/* The table sp_undo_<number> for rows of the relation. */
void undo_put_staging(const undo *u, const json_t *relation, size_t number, sp_buf *sql);
/* Its columns that are not generated, each behind those words. */
void undo_list_columns(const json_t *relation, const char *before, sp_buf *sql);
/* Makes those of all of them, and loads what was kept. */
SP_MUST sp_err undo_load_rows(undo *u, const undo_tables *all, sp_buf *sql);

/* ---- undo_keys.c ---- */
/* Looks how the tables, and those that are left, are tied: by keys that there are, and by those
 * that there were. Once, before they are asked for. */
SP_MUST sp_err undo_keys_find(undo *u, undo_tables *all);
/* A key of the one, or of a part of it, refers to the other; not of one to itself. */
bool undo_keys_tie(const undo_tables *all, const json_t *child, const json_t *parent);
/* Rows, others' or its own, hung on it by a key when it was kept. */
bool undo_keys_hung(const undo_tables *all, const json_t *parent);
/* Foreign keys between the tables, also those in a circle, are looked at when all rows are there.
 */
void undo_keys_wait(const undo_tables *all, sp_buf *sql);
/* They are; a row that one of them does not find makes the script fail. */
void undo_keys_check(sp_buf *sql);

/* ---- undo_whose.c ---- */
/* A column of the key, quoted. */
const char *undo_key_at(const json_t *key, size_t i);
bool undo_is_beside_key(const json_t *relation, const json_t *column);
/* "ONLY shop.z": what inherits from it is a table of its own, while a partition's rows are its
 * root's. */
void undo_put_table(const undo_table *t, sp_buf *sql);
/* "t.k = s.k AND ...": the rows of the table and of its staging that have one key. */
void undo_put_match(const undo *u, const undo_table *t, sp_buf *sql);
/* "ROW(t.a::text, ...)" of the columns that it has not lost. */
void undo_put_values(const undo_table *t, const char *alias, bool beside_key, sp_buf *sql);
/* The statement may have taken rows away, not only changed them. */
bool undo_takes_rows(const undo *u);
/* sp_diff: rows that are there with other values, and who wrote them; sp_new: that were not kept;
 * sp_count 'missing'. */
void undo_put_comparing(const undo *u, const undo_table *t, sp_buf *sql);
/* sp_one: the transactions whose rows are taken back; what is missing by others' work does not
 * count; sp_pair. */
void undo_put_choosing(const undo *u, const undo_tables *all, sp_buf *sql);

/* ---- undo_hung.c ---- */
/* sp_hung_<number>: of the rows t that go, those that rows of others hang on by a key that would
 * take these along, or change them. */
void undo_put_hung(const undo *u, const undo_table *t, sp_span which, sp_buf *sql);
/* sp_held_<number>, and how many: of the rows t (with s, d and o) that get old values, those whose
 * present ones rows of others refer to. set: names of the columns. */
void undo_put_held(const undo *u, const undo_table *t, sp_span which, const json_t *set,
                   sp_buf *sql);

/* ---- undo_triggers.c ---- */
/* Switches off what there is on the table (an expression: its oid), once it is locked, on its
 * partitions, and, reaching, on what a changed key reaches; a new one would run, too. */
void undo_triggers_off(size_t number, const char *table, bool reaching, sp_buf *sql);
/* What was switched off under that number is as it was. */
void undo_triggers_on(size_t number, sp_buf *sql);

/* ---- undo_counters.c ---- */
/* Sequences that belong to its columns go on behind what is there, never back; not in a dry run. */
void undo_counters(const undo *u, const undo_table *t, sp_buf *sql);

#endif
