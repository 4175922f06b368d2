/* SPDX-License-Identifier: Apache-2.0
 * What a policy snapshot says about databases: where they are, as whom a person works in them, the
 * class, tags and masks of schemas, tables and columns, and how much a person may destroy.
 *
 * Story: at connect the gate looks up the resource, the database and the account. When it has
 * loaded the catalogue it binds each relation and each column to a part, once a catalogue and
 * snapshot; statements are then decided with numbers. A use of a relation is a question about the
 * relation's part, whose class and tags are the gravest of it and its columns. What meets a whole
 * schema or database is decided by sp_policy_database_whole. A column is masked when one of its
 * tags is in the decision's mask_tags.
 *
 * OWNS nothing; spans point into the snapshot. Nothing here allocates. PROCESS database gate, core.
 * TRUST names come from clients and catalogues and are compared byte by byte, as PostgreSQL holds
 * them (already folded). SPEC docs/POLICY.md "Resource".
 */
#ifndef SP_POLICY_DATABASE_H
#define SP_POLICY_DATABASE_H

#include "lib/policy/decide.h"

typedef enum {
    SP_DATABASE_TLS_VERIFY_FULL, /* chain and host name */
    SP_DATABASE_TLS_VERIFY_CA,   /* chain */
    SP_DATABASE_TLS_REQUIRE,     /* encrypted, whoever it is */
    SP_DATABASE_TLS_LOOPBACK,    /* plain; the compiler lets loopback addresses only have it */
    SP_DATABASE_TLS_COUNT
} sp_database_tls;

typedef struct {
    sp_span host;    /* name or address without brackets */
    uint16_t port;   /* 1.. */
    uint8_t tls;     /* sp_database_tls */
    sp_span ca;      /* file with certificates; empty = the system's */
    sp_span keep_as; /* database role that reads everything, for keeping before destroying; empty */
    bool broad_destroys; /* UPDATE and DELETE of rows that no value names count as destroy */
    bool by_certificate; /* accounts log in with one of the vault's; then tls verifies the chain */
    sp_span title_en;
    sp_span title_zh;
    uint32_t databases;   /* count; at least 1 */
    uint32_t search_path; /* count of schemas; at least 1 */
} sp_database_resource;

/* False when the resource has no `postgres` side. */
bool sp_policy_database_resource(const sp_policy *policy, uint32_t resource,
                                 sp_database_resource *ret_database);
/* Of that alone: each statement asks. */
bool sp_policy_database_broad_destroys(const sp_policy *policy, uint32_t resource);
/* A larger answer is an export of what it is of. False when the resource has no `postgres` side. */
bool sp_policy_database_export_over(const sp_policy *policy, uint32_t resource, uint64_t *ret_rows,
                                    uint64_t *ret_bytes);
/* Databases that may be reached, the first is the default; schemas of the pinned search_path.
 * Empty past the end. */
sp_span sp_policy_database_name(const sp_policy *policy, uint32_t resource, uint32_t at);
sp_span sp_policy_database_schema(const sp_policy *policy, uint32_t resource, uint32_t at);
/* The database by that name, or the default for an empty one; empty: it is not to be reached. */
sp_span sp_policy_database_reached(const sp_policy *policy, uint32_t resource, sp_span name);
/* The database role as which this person works on his device: the first of `accounts` that fits.
 * Empty: none. Its credential in the vault is named "<resource>/<account>". */
sp_span sp_policy_database_account(const sp_policy *policy, uint32_t resource,
                                   const sp_subject *who);
/* Why he works as none: SP_REASON_DEFAULT whatever his device, SP_REASON_DEVICE_* on this one;
 * SP_REASON_NONE: he does. */
sp_reason sp_policy_database_account_missing(const sp_policy *policy, uint32_t resource,
                                             const sp_subject *who);

/* How schemas are called that the keeper puts rows into as plain tables (keeper/beside.c). */
#define SP_DATABASE_KEPT "sallyport_kept_"

typedef struct {
    uint32_t part; /* for sp_question.part; SP_NONE = the resource as a whole */
    uint8_t class_level;
    uint8_t mask;  /* sp_mask, for a column whose tags are to be masked */
    uint64_t tags; /* of a relation: its own and all its columns'; of a column: what it carries */
} sp_database_part;

/* The most specific entry wins: a table before a schema, a named one before "*", one that names the
 * database before one that does not. column empty: the relation itself. A column without an entry
 * of its own has its table's class, and the table's tags only when the table lists no columns. What
 * lies in a schema of kept rows is SP_PART_CLOSED until an entry names that schema. */
sp_database_part sp_policy_database_part(const sp_policy *policy, uint32_t resource,
                                         sp_span database, sp_span schema, sp_span relation,
                                         sp_span column);
/* The gravest decision over the resource itself and all of its parts that may lie in that database
 * and schema (empty: whichever). question->part is not looked at. For DROP DATABASE, DROP SCHEMA,
 * and whatever could meet any relation. */
sp_decision sp_policy_database_whole(const sp_policy *policy, const sp_question *question,
                                     sp_span database, sp_span schema);
/* The tags that are masked for who reads whichever of its parts in that database he may. question->
 * part and action are not looked at. For what may be held against rows of any table. */
uint64_t sp_policy_database_masks(const sp_policy *policy, const sp_question *question,
                                  sp_span database);
/* What calling this function is, beyond those that every gate knows; false: nothing is said. */
bool sp_policy_database_function(const sp_policy *policy, uint32_t resource, sp_span schema,
                                 sp_span name, sp_action *ret_action);

/* ---- budgets: how much one person may do in a while, over all sessions ---- */

typedef enum {
    SP_BUDGET_LOCK, /* over it: the person is locked and all sessions end */
    SP_BUDGET_DENY, /* over it: refused until the while is over */
    SP_BUDGET_THEN_COUNT
} sp_budget_then;

typedef struct {
    sp_span name;
    uint64_t period_s;
    uint64_t statements; /* at most so many in a period; 0 = not counted */
    uint64_t rows;       /* 0 = not counted */
    uint8_t then;        /* sp_budget_then */
} sp_policy_budget;

uint32_t sp_policy_budget_count(const sp_policy *policy);
/* The budget at this place, whoever it is about; false past the end. */
bool sp_policy_budget_at(const sp_policy *policy, uint32_t at, sp_policy_budget *ret_budget);
/* The budget at this place when it is about this person (NULL: whoever), resource and any of the
 * actions (bits of sp_action); else false. */
bool sp_policy_budget_of(const sp_policy *policy, uint32_t at, const sp_subject *who,
                         uint32_t actions, uint32_t resource, sp_policy_budget *ret_budget);
/* Whether SPEND must be asked at all before such a statement. */
bool sp_policy_budget_any(const sp_policy *policy, const sp_subject *who, uint32_t actions,
                          uint32_t resource);

#endif
