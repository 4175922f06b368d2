/* SPDX-License-Identifier: Apache-2.0
 * The layout of the snapshot's bytes. Private to lib/policy: gates use decide.h, web.h,
 * database.h and ssh.h.
 * OWNS nothing: views. PROCESS core and cli write it, gates read it. TRUST sp_policy_open checks
 * every offset, count and reference below before anything else reads them. SPEC docs/POLICY.md.
 *
 * A header, then sections of fixed-size records, each 8-byte aligned, native byte order: the bytes
 * are shared memory of one machine, never a message. References are indices into sections.
 *
 * Rules are found through bit rows over all rules, a bit a rule: ANDing the row of the action and
 * class, the row of the device and strength, and the union of the rows of the person's roles
 * leaves the rules that match; denies come first. Rules that name resources or people are not in
 * the action rows; they hang on short lists of the resource or the person instead.
 */
#ifndef SP_POLICY_SNAPSHOT_H
#define SP_POLICY_SNAPSHOT_H

#include "lib/base/sha256.h"
#include "lib/policy/decide.h"

#define SNAP_MAGIC UINT64_C(0x314c4f5059415053) /* "SPAYPOL1" */
enum { SNAP_FORMAT = 7 };

enum {
    SNAP_DEVICES = SP_OWNER_COUNT * SP_POSTURE_COUNT, /* owner x posture, a bit each */
    SNAP_DEVICES_ALL = (1 << SNAP_DEVICES) - 1,
    SNAP_EVERYONE = SP_ROLES_MAX, /* the row of rules for any signed-in person */
    SNAP_ROLE_ROWS = SP_ROLES_MAX + 1,
    SNAP_SEGMENTS_MAX = 32 /* in the path of a part or action */
};

typedef enum {
    SNAP_TEXT,       /* bytes */
    SNAP_CLASSES,    /* snap_class, lowest first */
    SNAP_RULES,      /* snap_rule, denies first */
    SNAP_NEVERS,     /* snap_never */
    SNAP_RESOURCES,  /* snap_resource, by name */
    SNAP_PARTS,      /* snap_part; those of a resource together, of the web first, and these
                        with the most specific path first */
    SNAP_ACTIONS,    /* snap_action; those of a resource together, most specific path first */
    SNAP_TRANSFERS,  /* snap_transfer; 0 and 1 are the defaults of export and import */
    SNAP_TYPES,      /* snap_text: media types, databases, schemas, host keys, words of commands */
    SNAP_HOSTS,      /* uint32_t: resources with a web side, by host */
    SNAP_LISTS,      /* uint32_t: members of the runs of other records */
    SNAP_PEOPLE,     /* snap_person, by number */
    SNAP_ZONES,      /* snap_run of steps */
    SNAP_STEPS,      /* snap_step */
    SNAP_SCHEDULES,  /* snap_schedule */
    SNAP_NETWORKS,   /* snap_run of ranges */
    SNAP_RANGES,     /* snap_range */
    SNAP_ROWS,       /* uint64_t: action x class, device x strength, roles; a bit a rule */
    SNAP_NEVER_ROWS, /* uint64_t: action x class; a bit a never */
    SNAP_DATABASES,  /* snap_database */
    SNAP_ACCOUNTS,   /* snap_account; those of a database or host together, in order */
    SNAP_FUNCTIONS,  /* snap_function */
    SNAP_RELATIONS,  /* snap_relation; those of a database together, most specific first */
    SNAP_COLUMNS,    /* snap_column; those of a relation together */
    SNAP_BUDGETS,    /* snap_budget */
    SNAP_SSH,        /* snap_ssh */
    SNAP_LISTED,     /* snap_listed; those of a host together, in order */
    SNAP_FORWARDS,   /* snap_forward */
    SNAP_SECTION_COUNT
} snap_section_kind;

typedef struct {
    uint32_t at;
    uint32_t count;
} snap_run;

typedef struct {
    uint32_t at;
    uint32_t len;
} snap_text;

typedef struct {
    uint64_t at; /* bytes from the start */
    uint64_t count;
} snap_section;

typedef struct {
    uint64_t magic;
    uint32_t format;
    uint32_t class_count;
    uint64_t size_bytes;
    uint64_t version;
    uint8_t digest[SP_SHA256_BYTES]; /* of the canonical documents */
    snap_section sections[SNAP_SECTION_COUNT];
    uint8_t checksum[SP_SHA256_BYTES]; /* of everything but itself */
} snap_head;

typedef struct {
    snap_text name;
    uint32_t must; /* SP_MUST_RECORD or nothing */
    uint32_t pad;
} snap_class;

/* What every look at a rule reads stands first, close together. */
typedef struct {
    uint64_t tags;       /* any of; 0 = whatever tags */
    uint32_t auth_age_s; /* at most; UINT32_MAX = any */
    uint32_t schedule;   /* SP_NONE = any time */
    uint32_t network;    /* SP_NONE = anywhere */
    uint16_t devices;
    uint16_t must;
    uint8_t strength; /* at least */
    uint8_t approvals;
    uint8_t deny;
    uint8_t everyone; /* any signed-in person */
    uint16_t actions;
    uint16_t classes;
    uint64_t mask_tags;
    uint64_t limit_bytes;
    uint64_t limit_rows;
    uint64_t day_bytes;
    uint64_t day_rows;
    uint64_t roles[SP_ROLE_WORDS]; /* any of; includes resolved */
    snap_run resources;            /* in LISTS, ascending; 0 = any */
    snap_text name;
    uint64_t approvers; /* equal where the same people agree in the same way; 0 = like no other */
} snap_rule;

typedef struct {
    uint64_t roles[SP_ROLE_WORDS];
    uint64_t tags;
    snap_run people;    /* in LISTS, ascending */
    snap_run resources; /* in LISTS, ascending; 0 = any */
    snap_text name;
    uint16_t actions;
    uint16_t classes;
    uint16_t devices;
    uint8_t everyone;
    uint8_t has_unless;
    uint16_t unless_devices;
    uint8_t unless_strength;
    uint8_t unless_approvals;
    uint32_t pad;
} snap_never;

enum { SNAP_WEB = 1, SNAP_IDENTITY = 2, SNAP_WEBSOCKET = 4, SNAP_IGNORE_CASE = 8 };

typedef struct {
    uint64_t tags;
    uint64_t upload_max_bytes;
    snap_text name;
    snap_text title_en;
    snap_text title_zh;
    snap_text host;
    snap_text upstream;
    snap_run parts;
    snap_run actions;
    snap_run rules;     /* in LISTS: rules that name this resource */
    uint32_t web_parts; /* so many of the parts are of the web, the rest of database and host */
    uint32_t database;  /* in DATABASES; SP_NONE */
    uint32_t export_rule;
    uint32_t import_rule;
    uint8_t class_level;
    uint8_t flags;
    uint8_t pad[2];
    uint32_t ssh; /* in SSH; SP_NONE */
} snap_resource;

typedef struct {
    uint64_t tags;
    uint32_t resource;
    uint32_t export_rule;
    uint32_t import_rule;
    snap_text name;
    snap_text path; /* "/a/b", "*" stands for one segment; else "orders:public.customers.phone" */
    uint8_t class_level;
    uint8_t pad[3];
} snap_part;

typedef struct {
    snap_text method; /* empty = any */
    snap_text path;
    uint32_t action;
} snap_action;

typedef struct {
    uint64_t over_bytes; /* UINT64_MAX = not by size */
    snap_run types;      /* in TYPES; a "*" at the end stands for anything */
    uint8_t by_disposition;
    uint8_t by_multipart;
    uint8_t pad[6];
} snap_transfer;

enum { SNAP_DATABASE_BROAD_DESTROYS = 1, SNAP_DATABASE_CERTIFICATE = 2 };

typedef struct {
    snap_text host;
    snap_text ca;
    snap_text keep_as;
    snap_run databases;   /* in TYPES */
    snap_run search_path; /* in TYPES */
    snap_run accounts;
    snap_run functions;
    snap_run relations;
    uint64_t export_rows; /* a larger answer is an export */
    uint64_t export_bytes;
    uint32_t resource;
    uint16_t port;
    uint8_t tls; /* sp_database_tls */
    uint8_t flags;
} snap_database;

typedef struct {
    uint64_t roles[SP_ROLE_WORDS];
    snap_run people; /* in LISTS, ascending */
    snap_text name;
    uint32_t everyone;
    uint16_t devices; /* it is given on these; never none */
    uint8_t pad[2];
} snap_account;

typedef struct {
    snap_text schema;
    snap_text name;
    uint32_t action;
} snap_function;

/* An empty text stands for any. */
typedef struct {
    uint64_t unlisted_tags; /* of a column without an entry */
    snap_text database;
    snap_text schema;
    snap_text relation;
    snap_run columns;
    uint32_t part;
    uint8_t class_level; /* of a column without an entry; that of the part may be higher */
    uint8_t mask;        /* sp_mask */
    uint8_t pad[2];
} snap_relation;

typedef struct {
    snap_text name;
    uint32_t part; /* has its class and tags */
    uint8_t mask;  /* sp_mask */
    uint8_t pad[3];
} snap_column;

typedef struct {
    uint64_t roles[SP_ROLE_WORDS];
    uint64_t period_s;
    uint64_t statements;
    uint64_t rows;
    snap_run people;    /* in LISTS, ascending */
    snap_run resources; /* in LISTS, ascending; 0 = any */
    snap_text name;
    uint16_t actions;
    uint8_t everyone;
    uint8_t then; /* sp_budget_then */
    uint32_t pad;
} snap_budget;

enum { SNAP_SSH_SHELL = 1, SNAP_SSH_RECORD_INPUT = 2, SNAP_SSH_AS_NAMED = 4 };

typedef struct {
    snap_text host;
    snap_run host_keys; /* in TYPES: blobs */
    snap_run host_cas;  /* in TYPES: blobs */
    snap_run revoked;   /* in TYPES: blobs of hosts' and authorities' keys */
    snap_run accounts;
    snap_run commands;    /* in LISTED */
    snap_run forwards;    /* in FORWARDS */
    snap_run environment; /* in TYPES; a "*" at the end stands for anything */
    snap_run parts;       /* in PARTS, the most specific path first */
    uint32_t resource;
    uint16_t port;
    uint8_t sign_in; /* sp_ssh_sign_in */
    uint8_t flags;
    uint32_t idle_s;
    uint32_t longest_s;      /* 0 = as long as the session */
    uint32_t bandwidth_kibs; /* KiB a second and direction; 0 = no limit */
    uint8_t alarm;           /* sp_ssh_alarm_does */
    uint8_t pad[3];
} snap_ssh;

enum { SNAP_LISTED_TERMINAL = 1, SNAP_LISTED_INPUT = 2, SNAP_LISTED_PATHS = 4 };

typedef struct {
    snap_text name;
    snap_run words; /* in TYPES: templates (lib/argv) */
    uint16_t action;
    uint16_t flags;
} snap_listed;

typedef struct {
    snap_text host;
    uint32_t port;
} snap_forward;

typedef struct {
    uint32_t number;
    snap_run rules; /* in LISTS: rules that name this person */
} snap_person;

typedef struct {
    int64_t from_unix_s;
    int32_t offset_s;
    uint32_t pad;
} snap_step;

typedef struct {
    uint32_t zone;
    uint16_t from_minute; /* of the day */
    uint16_t to_minute;   /* past the end; below from_minute: into the next day */
    uint8_t days;         /* bit 0 = Monday: the day on which the window opens */
    uint8_t pad[3];
} snap_schedule;

typedef struct {
    uint8_t address[16];
    uint32_t bits; /* 0..128 */
} snap_range;

_Static_assert(sizeof(snap_head) == 64 + SNAP_SECTION_COUNT * 16 + 32, "no padding");
_Static_assert(sizeof(snap_class) == 16, "no padding");
_Static_assert(sizeof(snap_rule) == 128, "no padding");
_Static_assert(sizeof(snap_never) == 80, "no padding");
_Static_assert(sizeof(snap_resource) == 104, "no padding");
_Static_assert(sizeof(snap_part) == 40, "no padding");
_Static_assert(sizeof(snap_action) == 20, "no padding");
_Static_assert(sizeof(snap_transfer) == 24, "no padding");
_Static_assert(sizeof(snap_schedule) == 12, "no padding");
_Static_assert(sizeof(snap_database) == 88, "no padding");
_Static_assert(sizeof(snap_account) == 56, "no padding");
_Static_assert(sizeof(snap_function) == 20, "no padding");
_Static_assert(sizeof(snap_relation) == 48, "no padding");
_Static_assert(sizeof(snap_column) == 16, "no padding");
_Static_assert(sizeof(snap_budget) == 88, "no padding");
_Static_assert(sizeof(snap_range) == 20, "no padding");
_Static_assert(sizeof(snap_ssh) == 96, "no padding");
_Static_assert(sizeof(snap_listed) == 20, "no padding");
_Static_assert(sizeof(snap_forward) == 12, "no padding");

extern const size_t SNAP_RECORD_BYTES[SNAP_SECTION_COUNT];

static inline const snap_head *snap_head_of(const sp_policy *policy)
{
    return (const snap_head *)(const void *)policy->base;
}

static inline const void *snap_at(const sp_policy *policy, snap_section_kind kind)
{
    return policy->base + snap_head_of(policy)->sections[kind].at;
}

static inline uint32_t snap_count(const sp_policy *policy, snap_section_kind kind)
{
    return (uint32_t)snap_head_of(policy)->sections[kind].count;
}

static inline size_t snap_words(size_t bits)
{
    return (bits + 63) / 64;
}

/* Rows of SNAP_ROWS, each snap_words(rules) long. */
static inline size_t snap_row_action(uint32_t classes, unsigned action, unsigned class_level)
{
    return (size_t)action * classes + class_level;
}

static inline size_t snap_row_device(uint32_t classes, unsigned device, unsigned strength)
{
    return (size_t)SP_ACTION_COUNT * classes + (size_t)device * SP_STRENGTH_COUNT + strength;
}

static inline size_t snap_row_role(uint32_t classes, unsigned role)
{
    return (size_t)SP_ACTION_COUNT * classes + (size_t)SNAP_DEVICES * SP_STRENGTH_COUNT + role;
}

static inline size_t snap_row_count(uint32_t classes)
{
    return snap_row_role(classes, SNAP_ROLE_ROWS);
}

static inline unsigned snap_device(unsigned owner, unsigned posture)
{
    return owner * SP_POSTURE_COUNT + posture;
}

static inline sp_span snap_span(const sp_policy *policy, snap_text text)
{
    return sp_span_of((const uint8_t *)snap_at(policy, SNAP_TEXT) + text.at, text.len);
}

static inline const uint32_t *snap_list(const sp_policy *policy, snap_run run)
{
    return (const uint32_t *)snap_at(policy, SNAP_LISTS) + run.at;
}

/* Checks of sp_policy_open, shared by its files. */
bool snap_run_ok(const sp_policy *policy, snap_run run, snap_section_kind kind);
bool snap_text_ok(const sp_policy *policy, snap_text text);
bool snap_list_ok(const sp_policy *policy, snap_run run, uint32_t below, bool ascending);
/* Each text of a run in TYPES. */
bool snap_texts_ok(const sp_policy *policy, snap_run run);
bool snap_accounts_ok(const sp_policy *policy, snap_run run);
bool snap_database_ok(const sp_policy *policy, const snap_resource *resource, uint32_t index);
bool snap_ssh_ok(const sp_policy *policy, const snap_resource *resource, uint32_t index);
bool snap_budgets_ok(const sp_policy *policy);

bool snap_list_has(const sp_policy *policy, snap_run run, uint32_t value);

/* ---- look-ups that several gates share ---- */

/* NULL past the end. */
const snap_resource *snap_resource_at(const sp_policy *policy, uint32_t resource);
/* A text of a run in TYPES; empty past the end. */
sp_span snap_text_at(const sp_policy *policy, snap_run run, uint32_t at);
/* Whether roles, people or everyone hold this person. Nobody (person 0) is never among them. */
bool snap_is_about(const sp_policy *policy, const uint64_t roles[SP_ROLE_WORDS], snap_run people,
                   bool everyone, const sp_subject *who);
/* The at-th of the accounts of the run that are about this person on his device; empty past the
 * end. */
sp_span snap_account_at(const sp_policy *policy, snap_run accounts, const sp_subject *who,
                        uint32_t at);
/* Why he has not the account of this name (empty: any), among those of the run: SP_REASON_NONE he
 * has, SP_REASON_DEFAULT whatever his device, SP_REASON_DEVICE_* on this one. */
sp_reason snap_account_missing(const sp_policy *policy, snap_run accounts, const sp_subject *who,
                               sp_span name);
/* What none of these devices (bits) has of such an owner and posture; SP_REASON_NONE: one is it. */
sp_reason snap_device_missing(unsigned devices, unsigned owner, unsigned posture);
/* Whether pattern is a prefix of path on a segment border; "*" is any one segment. Empty
 * segments are skipped. */
bool snap_path_matches(sp_span pattern, sp_span path, bool ignore_case);
/* Whether something that the pattern names may lie at or below the path. */
bool snap_path_reaches(sp_span pattern, sp_span path);

/* ---- duties ---- */

typedef struct {
    uint32_t must;
    uint64_t mask_tags;
    bool rows; /* a limit of rows, of an answer or a day */
    bool day;  /* a limit of bytes a day */
} snap_duties;

snap_duties snap_duties_of_rule(const snap_rule *rule);
snap_duties snap_duties_of(const sp_decision *decision);
/* SP_FACE_ANY becomes the face that can do the most of those that the resource has. */
sp_face snap_face_of(const sp_policy *policy, uint32_t resource, sp_face face);
/* The key below 'with' that the gate of this face of the resource cannot do for an object with
 * these tags; NULL: it can do all. */
const char *snap_undone(const sp_policy *policy, uint32_t resource, uint64_t object_tags,
                        sp_face face, const snap_duties *duties);

/* ---- the decision over an object that need not be in the snapshot ---- */

typedef struct {
    uint64_t tags;
    uint32_t resource; /* SP_NONE: none in particular */
    uint8_t class_level;
} policy_object;

enum {
    POLICY_FREE_TIME = 1,   /* grants: hours are met; denies with hours do not count */
    POLICY_FREE_NETWORK = 2 /* the same for networks */
};

typedef struct {
    const sp_subject *who;
    policy_object object;
    sp_action action;
    uint64_t now_unix_s;
    unsigned free; /* POLICY_FREE_ bits */
    sp_face face;
} policy_case;

/* *ret_near: the rule that came nearest to granting when none did, else SP_NONE. */
sp_decision policy_decide_case(const sp_policy *policy, const policy_case *asked,
                               uint32_t *ret_near);
/* False when resource or part are not in the snapshot or do not belong together. */
bool policy_object_of(const sp_policy *policy, uint32_t resource, uint32_t part,
                      policy_object *ret_object);
/* What is decided about SP_PART_CLOSED of it. */
sp_decision policy_closed(const sp_policy *policy, uint32_t resource);

#endif
