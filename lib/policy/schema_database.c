/* SPDX-License-Identifier: Apache-2.0
 * The tables of the schema that are about databases: `postgres` of a Resource, and Budget.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md is printed from this file too.
 */
#include "lib/base/mem.h"
#include "lib/policy/schema.h"

enum { DATABASE_NAME_MAX = 63, PATH_MAX_BYTES = 1024, WHY_MAX = 2000 };
#define NUMBER_MAX ((uint64_t)1 << 50)
#define DAY_S ((uint64_t)24 * 3600)

#define AT(type, member) offsetof(type, member)
#define TABLE(rows) .fields = (rows), .fields_count = SP_COUNT(rows)

static const char *const TLS_WORDS[] = {"verify-full", "verify-ca", "require", "loopback", NULL};
static const char *const SIGN_INS[] = {"password", "certificate", NULL};
static const char *const BROAD_WORDS[] = {"write", "destroy", NULL};
static const char *const THENS[] = {"lock", "deny", NULL};

_Static_assert(SP_COUNT(TLS_WORDS) == SP_DATABASE_TLS_COUNT + 1, "a word for each");
_Static_assert(SP_COUNT(THENS) == SP_BUDGET_THEN_COUNT + 1, "a word for each");

static const doc_field ACCOUNT_FIELDS[] = {
    {"roles", FIELD_SLUGS, false, AT(doc_account, who.roles),
     .doc = "People who hold any of these roles."},
    {"people", FIELD_SLUGS, false, AT(doc_account, who.people), .doc = "These people."},
    {"any", FIELD_FLAG, false, AT(doc_account, who.any),
     .doc = "`true`: everybody who is signed in."},
    {"on", FIELD_MAP, false, AT(doc_account, on), .sub = &DOC_ON,
     .doc = "Only on these devices; on others this entry is passed over. Without it: on any."},
    {"as", FIELD_TEXT, true, AT(doc_account, as), .max = DATABASE_NAME_MAX,
     .doc = "The role of the database as which they work. Its password or key is in the vault, "
            "under `<resource>/<as>`. It must not be a superuser."},
};
static const doc_schema ACCOUNT = {.name = "accounts",
                                   .doc = "As whom people work in the database: the first that "
                                          "fits counts. Who is in none cannot connect.",
                                   .struct_bytes = sizeof(doc_account),
                                   TABLE(ACCOUNT_FIELDS)};

static const doc_field FUNCTION_FIELDS[] = {
    {"name", FIELD_TEXT, true, AT(doc_function, name), .max = 2 * DATABASE_NAME_MAX + 1,
     .doc = "Schema and name: `public.order_total`."},
    {"action", FIELD_WORD, true, AT(doc_function, action), .words = sp_action_words,
     .doc = "What calling it is."},
};
static const doc_schema FUNCTION = {.name = "functions",
                                    .doc = "Functions of your own that statements may call. What "
                                           "is not listed, and is none of the harmless functions "
                                           "of PostgreSQL, is refused.",
                                    .struct_bytes = sizeof(doc_function),
                                    TABLE(FUNCTION_FIELDS)};

static const doc_field COLUMN_FIELDS[] = {
    {"name", FIELD_TEXT, true, AT(doc_column, name), .max = DATABASE_NAME_MAX,
     .doc = "The column, as PostgreSQL holds it."},
    {"class", FIELD_SLUG, false, AT(doc_column, class_name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its class; without it, that of the table."},
    {"tags", FIELD_SLUGS, false, AT(doc_column, tags),
     .doc = "Its tags; without them, those of the table."},
    {"mask", FIELD_WORD, false, AT(doc_column, mask), .words = sp_mask_words,
     .doc = "How it is masked when a rule masks one of its tags: see "
            "[Masks](DATABASE.md#masks). Default: as the table says, else `full`."},
};
static const doc_schema COLUMN = {.name = "columns",
                                  .doc = "Columns that carry the tags. With this list the others "
                                         "of the table carry none of its tags.",
                                  .struct_bytes = sizeof(doc_column),
                                  TABLE(COLUMN_FIELDS)};

static const doc_field RELATION_FIELDS[] = {
    {"table", FIELD_TEXT, false, AT(doc_relation, table), .max = 2 * DATABASE_NAME_MAX + 1,
     .doc = "Schema and table, view or sequence: `public.customers`; `*` stands for any of the "
            "two. Either this or `schema`."},
    {"schema", FIELD_TEXT, false, AT(doc_relation, schema), .max = DATABASE_NAME_MAX,
     .doc = "All of a schema. One of kept rows (`sallyport_kept_...`) is closed to everybody until "
            "its name "
            "stands here: see [Rows beside](DATABASE.md#rows-beside)."},
    {"database", FIELD_TEXT, false, AT(doc_relation, database), .max = DATABASE_NAME_MAX,
     .doc = "Only in this database; without it, in all of the resource."},
    {"class", FIELD_SLUG, false, AT(doc_relation, class_name), .max = SP_NAME_MAX_BYTES,
     .doc = "Class; without it, that of the resource. A table counts as its gravest column."},
    {"tags", FIELD_SLUGS, false, AT(doc_relation, tags),
     .doc = "Tags, besides those of the resource."},
    {"mask", FIELD_WORD, false, AT(doc_relation, mask), .words = sp_mask_words,
     .doc = "How its columns are masked when a rule masks one of their tags: see "
            "[Masks](DATABASE.md#masks). Default `full`."},
    {"columns", FIELD_MAPS, false, AT(doc_relation, columns), .sub = &COLUMN,
     .doc = "Columns that differ."},
};
static const doc_schema RELATION = {
    .name = "parts",
    .doc = "Schemas, tables and columns that differ in class or tags. A table comes before a "
           "schema, a name before `*`, an entry with a database before one without.",
    .struct_bytes = sizeof(doc_relation),
    TABLE(RELATION_FIELDS)};

static const doc_field OVER_FIELDS[] = {
    {"rows", FIELD_COUNT_NR, false, AT(doc_answer, rows), .min = 1, .max = NUMBER_MAX,
     .doc = "More rows than that. Default `10000`."},
    {"bytes", FIELD_SIZE, false, AT(doc_answer, bytes), .min = 1, .max = NUMBER_MAX,
     .doc =
         "More than that. Default `16 MiB`, or, with `rows` alone, 1 KiB for each of them, 64 KiB "
         "at least, where that is less."},
};
static const doc_schema OVER = {.name = "over",
                                .doc = "What is a large answer: of one message, or of one portal "
                                       "or cursor in all the parts in which it is fetched.",
                                .struct_bytes = sizeof(doc_answer),
                                TABLE(OVER_FIELDS)};

static const doc_field LARGE_FIELDS[] = {
    {"over", FIELD_MAP, false, AT(doc_large, over), .sub = &OVER,
     .doc = "Rows and bytes beyond which an answer is an export."},
};
static const doc_schema LARGE = {.name = "export",
                                 .doc = "When an answer counts as `export` besides what it is: "
                                        "who may not export what it is of gets the rows up to "
                                        "there and an error. COPY TO is one of any size.",
                                 .struct_bytes = sizeof(doc_large),
                                 TABLE(LARGE_FIELDS)};

static const doc_field POSTGRES_FIELDS[] = {
    {"address", FIELD_TEXT, true, AT(doc_postgres, address), .max = 256,
     .doc = "Where the server listens: `127.0.0.1:5432`, `db.internal`, `[::1]:5433`."},
    {"tls", FIELD_WORD, false, AT(doc_postgres, tls), .words = TLS_WORDS,
     .doc = "How the gate reaches it: `verify-full` (chain and name), `verify-ca` (chain), "
            "`require` (encrypted, whoever it is), `loopback` (plain, for loopback addresses "
            "only). Default `verify-full`."},
    {"ca", FIELD_TEXT, false, AT(doc_postgres, ca), .max = PATH_MAX_BYTES,
     .doc = "File with the certificates that its chain must lead to; without it, the system's."},
    {"databases", FIELD_NAMES, true, AT(doc_postgres, databases),
     .doc = "Databases that may be reached; the first is the default."},
    {"search_path", FIELD_NAMES, false, AT(doc_postgres, search_path),
     .doc = "Schemas in which names without one are looked up; nobody can change it. Default "
            "`public`."},
    {"accounts", FIELD_MAPS, true, AT(doc_postgres, accounts), .sub = &ACCOUNT,
     .doc = "As whom people work in it: the first that fits the person and his device. Whom none "
            "fits cannot connect; a connection is cut when another one would be chosen."},
    {"sign_in", FIELD_WORD, false, AT(doc_postgres, sign_in), .words = SIGN_INS,
     .doc = "How the gate signs in as an account: `password`, or `certificate`: for an hour, of "
            "the vault's authority, which the server names in `ssl_ca_file`; with `tls: "
            "verify-full` or `verify-ca` only. `keep_as` has a password all the same. Default "
            "`password`."},
    {"keep_as", FIELD_TEXT, false, AT(doc_postgres, keep_as), .max = DATABASE_NAME_MAX,
     .doc = "Role of the database that can read all of it: before an approved statement destroys "
            "something, that is kept. Without it nothing is kept."},
    {"broad", FIELD_WORD, false, AT(doc_postgres, broad), .words = BROAD_WORDS,
     .doc = "What an UPDATE or DELETE counts as whose condition names no rows by a value: `id = "
            "7`, `state IN ('a', $1)` and, of a unique whole number, `id BETWEEN 5 AND 9` do, `id "
            "> 7`, `at < now()` and `note LIKE 'a%'` may be true of all there are. Default "
            "`write`."},
    {"export", FIELD_MAP, false, AT(doc_postgres, exports), .sub = &LARGE,
     .doc = "When an answer is an export."},
    {"functions", FIELD_MAPS, false, AT(doc_postgres, functions), .sub = &FUNCTION,
     .doc = "Functions of your own."},
    {"parts", FIELD_MAPS, false, AT(doc_postgres, parts), .sub = &RELATION,
     .doc = "Schemas, tables and columns that differ."},
};
const doc_schema DOC_POSTGRES = {.name = "postgres",
                                 .doc = "How the database gate reaches it.",
                                 .struct_bytes = sizeof(doc_postgres),
                                 TABLE(POSTGRES_FIELDS)};

const doc_field DOC_BUDGET_FIELDS[] = {
    {"name", FIELD_NAME, true, AT(doc_budget, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "A sentence that people see when it is used up."},
    {"why", FIELD_TEXT, false, AT(doc_budget, why), .max = WHY_MAX, .doc = "Its purpose."},
    {"who", FIELD_MAP, true, AT(doc_budget, who), .sub = &DOC_WHO, .doc = "Whom it is about."},
    {"actions", FIELD_WORDS, true, AT(doc_budget, actions), .words = sp_action_words,
     .doc = "Which actions count."},
    {"resources", FIELD_SLUGS, false, AT(doc_budget, resources),
     .doc = "Only on these resources; each person has one budget for all of them together."},
    {"per", FIELD_DURATION, true, AT(doc_budget, per), .min = 1, .max = 31 * DAY_S,
     .doc = "The while over which it counts, looking back from now: `10m`."},
    {"statements", FIELD_COUNT_NR, false, AT(doc_budget, statements), .min = 1, .max = NUMBER_MAX,
     .doc = "At most so many statements, approved ones included."},
    {"rows", FIELD_COUNT_NR, false, AT(doc_budget, rows), .min = 1, .max = NUMBER_MAX,
     .doc = "At most so many rows, as estimated before and counted after."},
    {"then", FIELD_WORD, false, AT(doc_budget, then), .words = THENS,
     .doc = "Who goes over it: `lock`: the person is locked and all sessions end, until a "
            "security administrator unlocks; `deny`: it is refused until the while is over. "
            "Default `lock`."},
};
_Static_assert(SP_COUNT(DOC_BUDGET_FIELDS) == DOC_BUDGET_FIELDS_COUNT, "all of them");
