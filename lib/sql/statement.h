/* SPDX-License-Identifier: Apache-2.0
 * What a text of SQL does, in the words of policy: a list of uses {action, object, flags} and of
 * statements, without the tree it was read from.
 * OWNS nothing: a judgement points into memory of whoever made it (lib/sql/judge.h).
 * PROCESS database gate. TRUST names come from hostile text; they are valid UTF-8.
 * SPEC docs/ARCHITECTURE.md "Database gate".
 */
#ifndef SP_SQL_STATEMENT_H
#define SP_SQL_STATEMENT_H

#include "lib/base/buf.h"
#include "lib/policy/types.h"

enum {
    SP_SQL_TEXT_MAX_BYTES = 2 * 1024 * 1024, /* longer texts are refused: COPY is for bulk */
    SP_SQL_DEPTH_MAX = 1000,                 /* of the tree */
    SP_SQL_NODES_MAX = 1500000,
    SP_SQL_WORK_MAX = 2000000,    /* names compared while judging one message */
    SP_SQL_FOLDS_MAX = 400000,    /* parts of its conditions looked at; beyond they spare no row */
    SP_SQL_RANGES_MAX = 1000,     /* rows that ranges of keys name in one message */
    SP_SQL_STATEMENTS_MAX = 1024, /* in one message */
    SP_SQL_USES_MAX = 1024,       /* distinct, in one message */
    SP_SQL_NAMES_MAX_BYTES = 64 * 1024,
    SP_SQL_REASON_MAX_BYTES = 256
};

/* What is used. */
typedef enum {
    SP_SQL_DATABASE, /* the resource as a whole */
    SP_SQL_RELATION, /* table, view, sequence, ...: relation is its index, SP_NONE = not known */
    SP_SQL_SCHEMA,   /* something that is made in, or belongs to, a schema */
    SP_SQL_FUNCTION, /* not of the server's own */
    SP_SQL_SETTING,
    SP_SQL_ROLE,
    SP_SQL_CODE, /* DO: text in another language */
    SP_SQL_KIND_COUNT
} sp_sql_kind;

enum {
    /* UPDATE or DELETE of all rows, TRUNCATE, DROP: the whole of what stands there goes */
    SP_SQL_USE_ALL = 1U << 0,
    /* nobody knows what it does: it is asked for as execute and as destroy */
    SP_SQL_USE_OPAQUE = 1U << 1,
    /* not named in the text: a view's table, a partition, what a foreign key cascades to */
    SP_SQL_USE_IMPLIED = 1U << 2,
    /* a system relation that tells values or secrets: pg_stats, pg_authid, ... */
    SP_SQL_USE_SYSTEM = 1U << 3,
    /* schema and name are what the relation would be called from now on */
    SP_SQL_USE_BECOMES = 1U << 4,
    /* UPDATE or DELETE of rows that no value names: a policy may count it as destroy */
    SP_SQL_USE_BROAD = 1U << 5,
    /* "t.f", where t is known to have no such column and no function f is known either */
    SP_SQL_USE_UNSURE = 1U << 6,
    /* rows of it go or change with those of another table, by a foreign key: no plan counts them;
     * of the database: what stands on the relations and schemas that are named, which are all that
     * loses rows */
    SP_SQL_USE_FALLS = 1U << 7,
    /* DELETE or UPDATE that spares no row: of whatever the name stands for */
    SP_SQL_USE_ROWS = 1U << 8,
    /* of SCHEMA: a relation of that schema and name is made that has rows of its own */
    SP_SQL_USE_MAKES = 1U << 9,
    /* with BECOMES: statements that were judged by a name may meet other rows, columns, keys by it,
     * whatever policy says of both */
    SP_SQL_USE_MOVES = 1U << 10
};

typedef struct {
    uint8_t action;    /* sp_action */
    uint8_t kind;      /* sp_sql_kind */
    uint16_t flags;    /* SP_SQL_USE_ */
    uint32_t relation; /* index in the catalogue, or SP_NONE */
    sp_span schema;    /* as written, or of the catalogue; may be empty */
    sp_span name;
} sp_sql_use;

enum {
    SP_SQL_IS_BEGIN = 1U << 0,
    SP_SQL_IS_END = 1U << 1,        /* COMMIT, ROLLBACK */
    SP_SQL_IS_PREPARE = 1U << 2,    /* name = the prepared statement */
    SP_SQL_IS_EXECUTE = 1U << 3,    /* name; the gate adds the uses of that PREPARE */
    SP_SQL_IS_DEALLOCATE = 1U << 4, /* empty name = all */
    SP_SQL_IS_DECLARE = 1U << 5,    /* name = the cursor */
    SP_SQL_IS_FETCH = 1U << 6,
    SP_SQL_IS_CLOSE = 1U << 7,    /* empty name = all */
    SP_SQL_IS_COPY_IN = 1U << 8,  /* FROM STDIN */
    SP_SQL_IS_COPY_OUT = 1U << 9, /* TO STDOUT */
    SP_SQL_IS_EXPLAIN = 1U << 10,
    SP_SQL_IS_DDL = 1U << 11,         /* the catalogue changes */
    SP_SQL_IS_BINARY = 1U << 12,      /* BINARY cursor, COPY ... FORMAT binary */
    SP_SQL_IS_CREATE_TEMP = 1U << 14, /* name = the temporary relation */
    SP_SQL_IS_SAVEPOINT = 1U << 13,   /* name */
    SP_SQL_IS_ROLLBACK_TO = 1U << 30, /* name; with SAVEPOINT: RELEASE */
    SP_SQL_IS_SET = 1U << 15,
    SP_SQL_IS_SECRET = 1U << 16,      /* carries a password or the like */
    SP_SQL_RETURNS_ROWS = 1U << 17,   /* SELECT, RETURNING, FETCH, EXECUTE, SHOW, EXPLAIN */
    SP_SQL_IS_CREATE_CODE = 1U << 19, /* name = the function that it makes or renames */
    SP_SQL_IS_UNSURE = 1U << 20, /* holds only if the catalogue is of now: names that may be new */
    SP_SQL_IS_MAYBE_CALL =
        1U << 22, /* "t.f" of a temporary t: f may be a function of a moment ago */
    SP_SQL_IS_ROW_CALL =
        1U << 23, /* "t.f" may call a function that is known, with a row of t: not sure a column */
    SP_SQL_IS_LISTEN = 1U << 24,
    SP_SQL_IS_HOLD = 1U << 25,      /* DECLARE ... WITH HOLD: all of its query runs at the commit */
    SP_SQL_READS_TEMP = 1U << 26,   /* rows of a temporary relation */
    SP_SQL_FILLS_TEMP = 1U << 27,   /* changes rows of one */
    SP_SQL_RENAMES_TEMP = 1U << 28, /* may give one another name */
    SP_SQL_IS_FAMILY = 1U << 29,    /* rows belong to a parent from now on: ATTACH, INHERIT */
    SP_SQL_IS_OTHER = 1U << 21,     /* name (empty = any) means other rows from now on */
    SP_SQL_IS_ALIAS = 1U << 18      /* another name for rows that are there: a view, a renaming */
};

/* Of temporary relations. */
enum {
    /* CREATE_TEMP: once it has run the server has a relation of that name in this session */
    SP_SQL_TEMP_SURE = 1U << 0,
    /* behind its transaction nobody knows: ON COMMIT DROP, or it goes with what others may drop
     * (INHERITS, OF, USING) */
    SP_SQL_TEMP_PASSES = 1U << 1,
    /* what is called `ended` (empty = any) may be none any more; before what it makes */
    SP_SQL_TEMP_ENDS = 1U << 2
};

/* What is done, at any depth: DELETE within WITH is one. */
enum {
    SP_SQL_VERB_ALTER = 1U << 0,
    SP_SQL_VERB_DELETE = 1U << 1,
    SP_SQL_VERB_DROP = 1U << 2,
    SP_SQL_VERB_INSERT = 1U << 3,
    SP_SQL_VERB_MERGE = 1U << 4,
    SP_SQL_VERB_TRUNCATE = 1U << 5,
    SP_SQL_VERB_UPDATE = 1U << 6,
    SP_SQL_VERB_CASCADE = 1U << 7, /* it says so */
    SP_SQL_VERB_ANY = 1U << 8,     /* nobody knows */
    SP_SQL_VERB_OWNED = 1U << 9    /* DROP OWNED: grants fall as well */
};

typedef struct {
    const char *tag; /* "SELECT", "ALTER TABLE"; static storage */
    uint32_t flags;  /* SP_SQL_IS_ */
    uint32_t offset; /* in the text */
    uint32_t len;
    uint16_t verbs; /* SP_SQL_VERB_ */
    bool computes;  /* EXECUTE: its parameters are more than literals, and EXPLAIN runs them */
    bool by_key;    /* a range of a key names its rows: if the catalogue is of now */
    bool is_typed;  /* PREPARE: it names types of parameters */
    uint8_t temps;  /* SP_SQL_TEMP_ */
    uint32_t
        query; /* PREPARE, DECLARE: how far behind offset its query begins; 0 = it is neither */
    sp_span name;
    sp_span ended;  /* with SP_SQL_TEMP_ENDS */
    sp_span absent; /* DROP TABLE IF EXISTS of this name alone, which the catalogue does not have */
} sp_sql_statement;

typedef enum {
    SP_SQL_FINE,
    SP_SQL_TOO_LONG,
    SP_SQL_NOT_UTF8,
    SP_SQL_SYNTAX,    /* does not parse */
    SP_SQL_AMBIGUOUS, /* reads differently under another standard_conforming_strings */
    SP_SQL_UNKNOWN,   /* a construct that is not judged */
    SP_SQL_FORBIDDEN, /* understood, and never let through */
    SP_SQL_TOO_COMPLEX,
    SP_SQL_FAULT_COUNT
} sp_sql_fault;

typedef struct {
    sp_sql_fault fault;                   /* SP_SQL_FINE, or nothing below but reason holds */
    char reason[SP_SQL_REASON_MAX_BYTES]; /* a sentence without a full stop; printable */
    uint32_t reason_at;                   /* byte offset in the text, from 1; 0 = nowhere */
    const sp_sql_statement *statements;
    const sp_sql_use *uses; /* gravest action first */
    uint32_t statement_count;
    uint32_t use_count;
    uint32_t flags; /* of all statements together */
} sp_sql_judgement;

/* The words in front of the query of a PREPARE or DECLARE of that text, and the query by itself;
 * empty for any other statement. */
sp_span sp_sql_words_before(sp_span text, const sp_sql_statement *statement);
sp_span sp_sql_query_of(sp_span text, const sp_sql_statement *statement);
/* The text, where its first statements are DROP TABLE IF EXISTS of a name that the catalogue does
 * not have: with that name in the schema of temporary relations, where nobody else has anything
 * whatever is made meanwhile. False: it has none, and the same was written. */
bool sp_sql_write_absent(sp_span text, const sp_sql_judgement *judgement, sp_buf *out);
/* The SQLSTATE that says it: "42601", "0A000", "42501", "54001", "22021", "00000". */
const char *sp_sql_fault_state(sp_sql_fault fault);
/* SP_SQL_VERB_ of a whole message; ANY when something in it is opaque, or none of them is known. */
unsigned sp_sql_verbs(const sp_sql_judgement *judgement);
/* The words of a text as names, JSON array of {"name"}: those of what it takes are among them.
 * False, and nothing that counts was written: that cannot be told (texts within, EXECUTE). */
bool sp_sql_words_write(sp_span text, sp_buf *out);
/* "DELETE UPDATE CASCADE". */
void sp_sql_verbs_write(unsigned verbs, sp_buf *out);
/* How grave an action is, for the order of uses and for what an event shows: destroy above
 * administer, alter, execute, write, import, export, read, connect. */
unsigned sp_sql_gravity(sp_action action);

#endif
