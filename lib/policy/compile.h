/* SPDX-License-Identifier: Apache-2.0
 * From documents to a proven, sealed snapshot, and everything people ask about a policy.
 *
 * Story: core (or the command line) hands over the YAML files as a set, with the numbers that it
 * has given to roles and people. The compiler reads them through one schema, resolves every name,
 * proves every Never over the whole finite space, runs every Example, and writes the snapshot of
 * lib/policy/decide.h. Any error: no set, nothing changes, and the diagnostics say where and what
 * was expected. A set answers questions afterwards: lists, matrix, explain, diff.
 *
 * OWNS the set and all it points to. PROCESS core, cli. TRUST documents are hostile until they
 * compile: sizes, depth, counts and the work of the proof are bounded. SPEC docs/POLICY.md.
 */
#ifndef SP_POLICY_COMPILE_H
#define SP_POLICY_COMPILE_H

#include "lib/base/diag.h"
#include "lib/policy/database.h"
#include "lib/policy/decide.h"
#include "lib/policy/web.h"

enum {
    SP_POLICY_FILES_MAX = 4096,
    SP_POLICY_FILE_MAX_BYTES = 64 << 20,
    SP_POLICY_SET_MAX_BYTES = 64 << 20, /* all files together */
    SP_POLICY_RULES_MAX = 100000,
    SP_POLICY_NEVERS_MAX = 1024,
    SP_POLICY_RESOURCES_MAX = 10000,
    SP_POLICY_PARTS_MAX = 100000,
    SP_POLICY_BUDGETS_MAX = 64,
    SP_POLICY_SNAPSHOT_MAX_BYTES = 256 << 20
};

/* ---- what the compiler is given ---- */

typedef struct {
    const char *name; /* shown in diagnostics; must outlive the diagnostics and the set */
    sp_span text;     /* may go after the call */
} sp_policy_file;

/* A name and the number that core's store has given it. */
typedef struct {
    sp_span name;
    uint32_t number;
} sp_policy_number;

/* A zone as steps: from that second on, that many seconds east of UTC. The first step holds for
 * all time before the second. infra/proc/zone.h reads them from the system. */
enum { SP_ZONE_STEPS_MAX = 64 };
typedef struct {
    int64_t from_unix_s;
    int32_t offset_s;
} sp_zone_step;
typedef struct {
    size_t count;
    sp_zone_step steps[SP_ZONE_STEPS_MAX];
} sp_zone;
/* SP_ENOTFOUND when there is no such zone. Steps must cover from now to some years on. */
typedef sp_err (*sp_policy_zone_fn)(void *ctx, sp_span name, sp_zone *ret_zone);

/* What a statement of a database would use, as the database gate judges it without a catalogue:
 * whoever knows SQL is given to the compiler, so that examples, explain and replay take statements.
 */
enum { SP_POLICY_USES_MAX = 64 };
typedef struct {
    sp_action action;
    bool whole;       /* of a whole database or schema: relation is empty */
    sp_span database; /* empty: the one connected to */
    sp_span schema;   /* empty: by the search_path */
    sp_span relation; /* empty and not whole: no data at all */
} sp_policy_use;
typedef struct {
    const sp_policy *policy;
    uint32_t resource;
    sp_span text;
} sp_policy_statement;
/* SP_EUNSUPPORTED: the gate would refuse it unjudged. SP_ELIMIT: more uses than fit. Names are kept
 * in *room, which has all its memory already; uses are valid as long as it. May be called from
 * another thread. */
typedef sp_err (*sp_policy_sql_fn)(void *ctx, const sp_policy_statement *statement,
                                   sp_policy_use ret_uses[SP_POLICY_USES_MAX], size_t *ret_count,
                                   sp_buf *room);

typedef struct {
    const sp_policy_file *files;
    size_t files_count;
    const sp_policy_number *roles; /* numbers already given, 0..SP_ROLES_MAX-1 */
    size_t roles_count;
    const sp_policy_number *people; /* 1.. */
    size_t people_count;
    bool people_open;        /* offline: people that are not listed get numbers instead of errors */
    const sp_span *commands; /* that a plan may run; looked at when they are known */
    size_t commands_count;
    bool commands_known;
    const sp_span *packs; /* LawPacks that reports whose clocks run are under: they stay */
    size_t packs_count;
    uint64_t version; /* of the snapshot */
    uint64_t now_unix_s;
    sp_policy_zone_fn zone;
    void *zone_ctx;
    sp_policy_sql_fn sql; /* NULL: statements in examples are errors; must outlive the set */
    void *sql_ctx;
} sp_policy_input;

/* ---- the set ---- */

typedef struct sp_policy_set sp_policy_set;
void sp_policy_set_free(sp_policy_set *set);
void sp_policy_set_auto_(sp_policy_set **set);
#define auto_policy_set __attribute__((cleanup(sp_policy_set_auto_)))

/* Errors and warnings go to diags. SP_EINVALID: the documents are wrong and diags has at least one
 * error; SP_ENOMEM. *ret_set is set only when everything holds, proofs and examples included. */
SP_MUST sp_err sp_policy_compile(const sp_policy_input *input, sp_diags *diags,
                                 sp_policy_set **ret_set);

/* The bytes for the sealed memory, and a view of them for decisions in this process. Valid until
 * the set is freed. */
sp_span sp_policy_set_snapshot(const sp_policy_set *set);
const sp_policy *sp_policy_set_view(const sp_policy_set *set);
/* The detections and canaries, built-in ones included, as lib/detect/program.h writes them. Valid
 * until the set is freed. */
sp_span sp_policy_set_detections(const sp_policy_set *set);

/* Figures of the compilation. */
typedef struct {
    size_t rules;
    size_t nevers;
    size_t roles;
    size_t classes;
    size_t resources;
    size_t parts;
    size_t examples; /* run, all as expected */
    uint64_t cells;  /* of the finite space that the proof covers */
    uint64_t proof_steps;
} sp_policy_figures;
sp_policy_figures sp_policy_set_figures(const sp_policy_set *set);

/* ---- roles ---- */

typedef struct {
    sp_span name;
    sp_span title_en;
    sp_span title_zh;
    uint32_t number;
    bool is_new;                     /* core has not given this number yet: store it */
    uint64_t implies[SP_ROLE_WORDS]; /* itself and all that it includes */
    uint64_t clashes[SP_ROLE_WORDS]; /* roles that nobody may hold together with it */
} sp_policy_role;
size_t sp_policy_set_role_count(const sp_policy_set *set);
/* In the order of the documents. */
SP_MUST sp_err sp_policy_set_role(const sp_policy_set *set, size_t at, sp_policy_role *ret_role);
SP_MUST sp_err sp_policy_set_role_find(const sp_policy_set *set, sp_span name,
                                       sp_policy_role *ret_role);
/* Whether one of these is the role of that name, or includes it. */
bool sp_policy_set_role_held(const sp_policy_set *set, sp_span name,
                             const uint64_t roles[SP_ROLE_WORDS]);
/* Whether one person may hold all these; if not, two that clash. */
bool sp_policy_set_roles_allowed(const sp_policy_set *set, const uint64_t roles[SP_ROLE_WORDS],
                                 sp_span *ret_one, sp_span *ret_other);

/* ---- office and retention ---- */

typedef struct {
    sp_span name;
    sp_span title_en;
    sp_span title_zh;
    sp_span time_zone;       /* empty: UTC */
    sp_span contact;         /* whom a refused person may ask; may be empty */
    uint32_t session_idle_s; /* 0 = the program's default */
    uint32_t session_max_s;  /* 0 = the program's default */
} sp_policy_office;
sp_policy_office sp_policy_set_office(const sp_policy_set *set);

enum { SP_RETENTION_FLOOR_DAYS = 183 };
/* Days that entries are kept: the longest of the Retention documents that cover this kind of event
 * (word of sp_event_kind_word) and class; SP_RETENTION_FLOOR_DAYS when none does. */
uint32_t sp_policy_set_retention_days(const sp_policy_set *set, sp_span event_kind,
                                      uint8_t class_level);

/* ---- what people ask; JSON and words are the same for console and command line ---- */

typedef enum {
    SP_DOC_OFFICE,
    SP_DOC_CLASS,
    SP_DOC_ROLE,
    SP_DOC_RESOURCE,
    SP_DOC_RULE,
    SP_DOC_NEVER,
    SP_DOC_EXAMPLE,
    SP_DOC_RETENTION,
    SP_DOC_RECERTIFICATION,
    SP_DOC_BUDGET,
    SP_DOC_DETECTION,
    SP_DOC_CANARY,
    SP_DOC_NOTICE,
    SP_DOC_AUDIENCE,
    SP_DOC_CHANNEL,
    SP_DOC_PLAN,
    SP_DOC_ROTA,
    SP_DOC_SINK,
    SP_DOC_LAW_PACK,
    SP_DOC_OFFICER,
    SP_DOC_COUNT
} sp_doc_kind;
/* "Rule"; and the other way. */
const char *sp_doc_kind_word(sp_doc_kind kind);
bool sp_doc_kind_of(sp_span word, sp_doc_kind *ret_kind);

/* A JSON array of all documents of a kind, in order: every field under its YAML name, plus
 * "file", "line"; Role adds "number"; Never adds "proof": {"rules": n}; Resource parts adds
 * nothing. */
void sp_policy_json_list(const sp_policy_set *set, sp_doc_kind kind, sp_buf *out);

/* A question in words, as Example documents, explain and replay ask it. Empty spans and 0 are
 * defaults as said; unknown names are SP_ENOTFOUND, what cannot be is SP_EINVALID, both with a
 * diagnostic at the place that the question gives. */
typedef struct {
    sp_span person;       /* need not exist; empty: somebody with these roles */
    const sp_span *roles; /* names */
    size_t roles_count;
    sp_span owner;      /* word; empty: unknown */
    sp_span posture;    /* word; empty: healthy on a known device, else unknown */
    sp_span strength;   /* word; empty: passkey */
    sp_span resource;   /* name; empty: data of a class in no resource in particular */
    sp_span part;       /* its name, or a path when it begins with '/', or a relation or column:
                           "public.customers", "orders:public.customers.phone"; empty: the whole */
    sp_span class_name; /* needed without a resource; with one it must be the class it has */
    const sp_span *tags;
    size_t tags_count;
    sp_span tried;   /* an action word, "METHOD /path", or a statement of SQL */
    sp_span network; /* client address; empty: networks of grants are met, of denies not */
    uint32_t approvals;
    uint32_t auth_age_s;
    uint64_t now_unix_s; /* 0: hours of grants are met, of denies not */
    const char *file;    /* place for diagnostics */
    unsigned line;
    unsigned column;
} sp_policy_ask;

typedef struct {
    sp_decision decision;
    sp_subject who;
    sp_question question; /* question.who is not set: use who */
    uint32_t near;        /* the rule that came nearest to granting; SP_NONE */
} sp_policy_told;

/* "2026-02-23T18:56:00+08:00" (RFC 3339), and "15m". SP_EINVALID. */
SP_MUST sp_err sp_policy_parse_time(sp_span text, uint64_t *ret_unix_s);
SP_MUST sp_err sp_policy_parse_duration(sp_span text, uint64_t *ret_seconds);

SP_MUST sp_err sp_policy_ask_words(const sp_policy_set *set, const sp_policy_ask *ask,
                                   sp_diags *diags, sp_policy_told *ret_told);
/* One sentence: who, what, where, the verdict, the rule by name, and what would help. */
void sp_policy_explain_text(const sp_policy_set *set, const sp_policy_ask *ask,
                            const sp_policy_told *told, sp_buf *out);
/* {"verdict","reason","action","class","tags":[],"part","rule","rule_kind","rule_place",
 *  "near","near_kind","near_place","must":[],"approvals","mends":[],"sentence":{"en","zh"}};
 * rule, near and part only when there is one. */
void sp_policy_explain_json(const sp_policy_set *set, const sp_policy_ask *ask,
                            const sp_policy_told *told, sp_buf *out);

/* class x action x device for one role, with no approvals, conditions of time and network of
 * grants taken as met. A cell is the verdict for data of that class without tags in no particular
 * resource or, with resource, for that one and each of its parts. */
typedef struct {
    sp_span role;     /* empty: any signed-in person without a role */
    sp_span strength; /* word; empty: passkey */
    sp_span posture;  /* word, of known devices; empty: healthy */
    sp_span resource; /* name; empty: none in particular */
} sp_policy_matrix_query;
/* {"role","strength","posture","classes":[],"actions":[],"owners":[],"cells":[{"class","part",
 *  "action","owner","posture","verdict","reason","rule","approvals","must":[]}]} */
SP_MUST sp_err sp_policy_matrix_json(const sp_policy_set *set, const sp_policy_matrix_query *query,
                                     sp_diags *diags, sp_buf *out);
SP_MUST sp_err sp_policy_matrix_text(const sp_policy_set *set, const sp_policy_matrix_query *query,
                                     sp_diags *diags, sp_buf *out);

/* What changes from one set to another: documents added, removed, changed; and cells whose verdict
 * changes, for data of each class and for each resource and part that rules name or that has tags:
 * {"documents":[{"kind","name","change"}],"cells":[{"role","resource","part","class","action",
 *  "owner","posture","strength","before","after","rule"}],"cells_total":n,"complete":bool}.
 * At most max_cells are listed; not complete: there was too much to compare.
 * before may be NULL (nothing was there). */
SP_MUST sp_err sp_policy_diff_json(const sp_policy_set *before, const sp_policy_set *after,
                                   size_t max_cells, sp_buf *out);
SP_MUST sp_err sp_policy_diff_text(const sp_policy_set *before, const sp_policy_set *after,
                                   size_t max_cells, sp_buf *out);

/* The reference of all documents, in Markdown, from the schema. */
void sp_policy_reference(sp_buf *out);

#endif
