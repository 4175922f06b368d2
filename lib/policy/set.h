/* SPDX-License-Identifier: Apache-2.0
 * The set as the compiler builds it: documents, resolved names, the records of the snapshot to be.
 * Private to lib/policy.
 * OWNS everything below it. PROCESS core, cli. TRUST documents passed the schema; each stage checks
 * what the schema cannot. SPEC docs/POLICY.md.
 */
#ifndef SP_POLICY_SET_H
#define SP_POLICY_SET_H

#include "lib/base/address.h"
#include "lib/policy/doc.h"
#include "lib/policy/names.h"
#include "lib/policy/snapshot.h"

typedef struct {
    sp_span name;
    const doc_class *doc; /* NULL: one of the defaults */
} set_class;

typedef struct {
    sp_span name;
    const doc_role *doc; /* NULL: built in */
    uint32_t number;
    bool is_new;
    uint64_t implies[SP_ROLE_WORDS];
    uint64_t implied_by[SP_ROLE_WORDS];
    uint64_t clashes[SP_ROLE_WORDS];
} set_role;

typedef struct {
    uint32_t person;
    uint32_t rule;
} set_naming;

struct sp_policy_set {
    sp_arena arena;
    doc_set docs;
    sp_hash digest;
    sp_policy_figures figures;

    set_class classes[SP_CLASSES_MAX];
    size_t class_count;
    name_table class_names;
    sp_span tags[SP_TAGS_MAX];
    size_t tag_count;
    name_table tag_names;
    uint64_t tags_in_use; /* on some resource */
    set_role roles[SP_ROLES_MAX];
    size_t role_count;
    name_table role_names;          /* -> index in roles */
    uint16_t role_of[SP_ROLES_MAX]; /* number -> index + 1 */
    name_table people;              /* -> number */
    uint32_t people_next;
    bool people_open;
    name_table resource_names; /* -> index in the snapshot */
    doc_resource **resources;  /* in the snapshot's order */
    doc_rule **rules;          /* in the snapshot's order */
    snap_run *rule_people;     /* of each rule, in people_lists */
    vec people_lists;          /* uint32_t, ascending for each rule */
    vec namings;               /* set_naming */

    vec sections[SNAP_SECTION_COUNT];
    name_table texts;     /* -> offset in SNAP_TEXT: a text is stored once */
    name_table zones;     /* -> index */
    name_table schedules; /* -> index */
    name_table networks;  /* -> index */
    sp_policy_sql_fn sql;
    void *sql_ctx;
    uint8_t *snapshot;
    size_t snapshot_bytes;
    sp_policy view;
    sp_buf detections; /* the program of the watch */
};

/* What every stage of a compilation has at hand. */
typedef struct {
    const sp_policy_input *input;
    sp_policy_set *set;
    sp_diags *diags;
} compiling;

/* The stages, in this order. Each adds to diags what is wrong and goes on as far as it can; a
 * failure is only for memory and limits. */
SP_MUST sp_err set_load_builtin(compiling *c);      /* documents of the program */
SP_MUST sp_err set_resolve_names(compiling *c);     /* classes, tags, roles, people */
SP_MUST sp_err set_resolve_resources(compiling *c); /* resources, parts, transfers */
SP_MUST sp_err set_resolve_rules(compiling *c);     /* rules, nevers, retention */
SP_MUST sp_err set_resolve_notices(compiling *c);   /* notices, audiences, channels */
SP_MUST sp_err set_layout(compiling *c);            /* the bytes */
SP_MUST sp_err set_resolve_watch(compiling *c);     /* detections, canaries */
SP_MUST sp_err set_resolve_plans(compiling *c);     /* plans, rotas */
SP_MUST sp_err set_resolve_duties(compiling *c);    /* sinks, law packs, officers */
SP_MUST sp_err set_lint(compiling *c);              /* rules without effect, nevers at odds */
SP_MUST sp_err set_prove(compiling *c);
SP_MUST sp_err set_run_examples(compiling *c);

/* Parts of stages: `postgres` of a resource that is about to be added, and budgets. */
SP_MUST sp_err set_resolve_database(compiling *c, const doc_resource *doc, uint32_t index,
                                    snap_resource *resource);
SP_MUST sp_err set_resolve_ssh(compiling *c, const doc_resource *doc, uint32_t index,
                               snap_resource *resource);
SP_MUST sp_err set_resolve_budgets(compiling *c);
/* Equal for rules to which the same people agree in the same way, whatever their number; 0 = asks
 * nobody, or names too many to tell. */
uint64_t set_approvers_mark(const sp_policy_set *set, const doc_rule *doc);

/* ---- shared by the stages ---- */

/* Whom a document is about. */
typedef struct {
    uint64_t roles[SP_ROLE_WORDS]; /* includes resolved */
    snap_run people;               /* ascending, in the vector that was given */
    uint8_t everyone;
} set_party;
SP_MUST sp_err set_who(compiling *c, const doc_who *doc, vec *people, set_party *ret_who);
/* Resources by name, ascending, in LISTS. */
SP_MUST sp_err set_resource_list(compiling *c, const char *file, const doc_texts *names,
                                 snap_run *ret_run);
/* A host and perhaps a port: "db.internal:5432", "[::1]". */
bool set_is_host_and_port(sp_span text);
/* The two of it; *port stays when there is none. SP_EINVALID. */
SP_MUST sp_err set_host_and_port(sp_span text, sp_span *ret_host, uint16_t *port);
/* "'TEXT': what is wrong", at a text. */
void set_wrong(const compiling *c, const char *file, const doc_text *at, const char *fault);
/* As whom people work: doc_account records into ACCOUNTS. of_what: "of the database". */
SP_MUST sp_err set_accounts(compiling *c, const char *file, const doc_maps *accounts,
                            const char *of_what, snap_run *ret_run);
/* The vault keeps its password under <resource>/<account>: no blanks and no '/'. */
void set_check_account(const compiling *c, const char *file, const doc_text *name,
                       const char *of_what);
/* The level of a class by name; an unknown one is told. */
uint8_t set_class_or(const compiling *c, const char *file, const doc_text *name, uint8_t otherwise);
/* What the path of a part may look like; NULL when it is well. */
const char *set_path_fault(sp_span path);
const char *set_segments_fault(sp_span path);
/* The most specific first: more segments, then fixed ones before "*" from the left. */
int set_compare_paths(sp_span a, sp_span b);

void set_error(const compiling *c, const doc_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "unknown WHAT 'NAME'; did you mean ...?" at a name. */
void set_unknown(const compiling *c, const char *file, const doc_text *name, const char *what,
                 const name_table *known);
SP_MUST sp_err set_text(sp_policy_set *set, sp_span text, snap_text *ret_text);
SP_MUST sp_err set_duplicates(compiling *c, sp_doc_kind kind);
/* Bits of classes and tags; unknown classes are errors, unknown tags get a number. */
SP_MUST sp_err set_class_bits(const compiling *c, const char *file, const doc_texts *names,
                              uint16_t *ret_bits);
SP_MUST sp_err set_tag_bits(const compiling *c, const char *file, const doc_texts *names,
                            uint64_t *ret_bits);
SP_MUST sp_err set_schedule(compiling *c, const char *file, const doc_when *when,
                            uint32_t *ret_schedule);
SP_MUST sp_err set_network(compiling *c, const char *file, const doc_when *when,
                           uint32_t *ret_network);
uint16_t set_devices(uint32_t owners, uint32_t postures);
const set_role *set_role_numbered(const sp_policy_set *set, unsigned number);

static inline bool role_bit(const uint64_t roles[SP_ROLE_WORDS], unsigned number)
{
    return (roles[number / 64] >> (number % 64) & 1) != 0;
}

static inline void role_add(uint64_t roles[SP_ROLE_WORDS], unsigned number)
{
    roles[number / 64] |= UINT64_C(1) << (number % 64);
}

static inline bool role_any(const uint64_t roles[SP_ROLE_WORDS])
{
    return (roles[0] | roles[1] | roles[2] | roles[3]) != 0;
}

_Static_assert(SP_ROLE_WORDS == 4, "role_any");

#endif
