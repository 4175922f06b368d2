/* SPDX-License-Identifier: Apache-2.0
 * Documents as the schema loads them: what was written, with its place, names not yet resolved.
 * OWNS nothing: all of it lives in the arena of the set. PROCESS core, cli. TRUST texts are
 * bounded and well-formed UTF-8; names are not yet known to exist. SPEC docs/POLICY.md.
 */
#ifndef SP_POLICY_DOC_H
#define SP_POLICY_DOC_H

#include "lib/base/arena.h"
#include "lib/base/sha256.h"
#include "lib/policy/compile.h"

typedef struct {
    const char *file;
    uint32_t line; /* 0 = not written */
    uint32_t column;
} doc_place;

typedef struct {
    sp_span text;
    uint32_t line; /* 0 = not written */
    uint32_t column;
} doc_text;

typedef struct {
    doc_text *items;
    size_t count;
} doc_texts;

typedef struct {
    void *items; /* records of the schema's struct_bytes */
    size_t count;
} doc_maps;

typedef struct {
    uint64_t value;
    uint32_t line; /* 0 = not written */
    uint32_t column;
} doc_number;

typedef enum { DOC_UNSET, DOC_FALSE, DOC_TRUE } doc_flag;

/* Every record begins with its place. */
typedef struct {
    doc_place place;
    doc_text en;
    doc_text zh;
} doc_title;

typedef struct {
    doc_place place;
    doc_texts roles;
    doc_texts people;
    uint8_t any; /* doc_flag */
} doc_who;

typedef struct {
    doc_place place;
    uint32_t owner;   /* bits of sp_owner; 0 = any */
    uint32_t posture; /* bits of sp_posture; 0 = any */
} doc_on;

typedef struct {
    doc_place place;
    doc_texts resources;
    doc_texts classes;
    doc_texts tags;
    uint8_t any;
} doc_to;

typedef struct {
    doc_place place;
    doc_number approved_by;
    doc_who by;
    doc_on on;
    doc_number expires;
} doc_approval;

/* How a person comes to hold a role for a while. */
typedef struct {
    doc_place place;
    doc_who who;
    doc_approval ask;
    doc_number longest;
    uint8_t ticket;
    uint8_t sealed;
} doc_request;

typedef struct {
    doc_place place;
    doc_number bytes;
    doc_number rows;
    uint8_t per; /* doc_per + 1 */
} doc_limit;

typedef enum { DOC_PER_ANSWER, DOC_PER_DAY } doc_per;

typedef struct {
    doc_place place;
    doc_texts mask;
    uint8_t record;
    uint8_t watch;
    doc_limit limit;
} doc_with;

typedef struct {
    doc_place place;
    uint8_t mfa; /* sp_strength + 1 */
    doc_text hours;
    uint32_t days; /* bit 0 = Monday */
    doc_texts networks;
    doc_number auth_age;
} doc_when;

typedef struct {
    doc_place place;
    doc_number approved_by;
    uint32_t owner;
    uint32_t posture;
    uint8_t mfa;
} doc_unless;

/* What all documents have in front. */
typedef struct {
    doc_place place;
    doc_text name;
    uint8_t hash[SP_SHA256_BYTES]; /* of its canonical form */
} doc_head;

typedef struct {
    doc_place place;
    doc_number idle;
    doc_number max;
} doc_session;

typedef struct {
    doc_head head;
    doc_title title;
    doc_text time_zone;
    doc_text contact;
    doc_session session;
} doc_office;

typedef struct {
    doc_head head;
    doc_title title;
    doc_text above;
    uint8_t record;
} doc_class;

typedef struct {
    doc_head head;
    doc_title title;
    doc_texts includes;
    doc_texts excludes;
    doc_request request;
} doc_role;

typedef struct {
    doc_place place;
    doc_text method;
    doc_text path;
    uint8_t action; /* sp_action + 1 */
} doc_action;

typedef struct {
    doc_place place;
    uint8_t disposition; /* attachment, or multipart for an import */
    doc_texts types;
    uint8_t has_types;
    doc_number over;
    uint8_t by_size;
} doc_transfer;

typedef struct {
    doc_place place;
    doc_text path;
    doc_text name;
    doc_text class_name;
    doc_texts tags;
    doc_maps actions; /* doc_action */
    doc_transfer exports;
    doc_transfer imports;
} doc_part;

typedef struct {
    doc_place place;
    doc_text host;
    doc_text upstream;
    uint8_t identity; /* doc_identity + 1 */
    uint8_t websocket;
    uint8_t ignore_case;
    doc_number upload_max;
    doc_maps actions; /* doc_action */
    doc_maps parts;   /* doc_part */
} doc_web;

typedef struct {
    doc_who who; /* its keys stand beside `as` */
    doc_on on;
    doc_text as;
} doc_account;

typedef struct {
    doc_place place;
    doc_text name;
    uint8_t action; /* sp_action + 1 */
} doc_function;

typedef struct {
    doc_place place;
    doc_text name;
    doc_text class_name;
    doc_texts tags;
    uint8_t mask; /* sp_mask + 1 */
} doc_column;

typedef struct {
    doc_place place;
    doc_text database;
    doc_text schema;
    doc_text table; /* "public.customers" */
    doc_text class_name;
    doc_texts tags;
    uint8_t mask;     /* sp_mask + 1 */
    doc_maps columns; /* doc_column */
} doc_relation;

typedef struct {
    doc_place place;
    doc_number rows;
    doc_number bytes;
} doc_answer;

typedef struct {
    doc_place place;
    doc_answer over;
} doc_large;

typedef struct {
    doc_place place;
    doc_text address;
    uint8_t tls;     /* sp_database_tls + 1 */
    uint8_t broad;   /* 1 write, 2 destroy */
    uint8_t sign_in; /* 1 password, 2 certificate */
    doc_text ca;
    doc_texts databases;
    doc_texts search_path;
    doc_maps accounts; /* doc_account */
    doc_text keep_as;
    doc_large exports;
    doc_maps functions; /* doc_function */
    doc_maps parts;     /* doc_relation */
} doc_postgres;

typedef struct {
    doc_place place;
    doc_text name;
    doc_texts argv;
    uint8_t action;   /* sp_action + 1 */
    uint8_t terminal; /* doc_flag */
    uint8_t input;    /* doc_flag */
} doc_listed;

typedef struct {
    doc_place place;
    doc_text path;
    doc_text name;
    doc_text class_name;
    doc_texts tags;
} doc_folder;

typedef struct {
    doc_place place;
    doc_text address;
    doc_texts host_keys;
    doc_texts host_cas;
    doc_texts revoked_host_keys;
    doc_maps accounts; /* doc_account */
    uint8_t sign_in;   /* sp_ssh_sign_in + 1 */
    uint8_t shell;     /* doc_flag */
    uint8_t programs;  /* 1 system, 2 named */
    doc_maps commands; /* doc_listed */
    doc_texts forward;
    uint8_t record_input; /* doc_flag */
    doc_texts environment;
    uint8_t has_environment;
    doc_maps parts; /* doc_folder */
    uint8_t alarm;  /* sp_ssh_alarm_does + 1 */
    doc_number idle;
    doc_number longest;
    doc_number bandwidth;
} doc_ssh;

typedef enum { DOC_OPERATOR_COMPANY, DOC_OPERATOR_PLATFORM, DOC_OPERATOR_MIXED } doc_operator;
typedef enum { DOC_IDENTITY_NONE, DOC_IDENTITY_JWT } doc_identity;

typedef struct {
    doc_head head;
    doc_title title;
    uint8_t operator_kind; /* doc_operator + 1 */
    doc_text class_name;
    doc_texts tags;
    doc_text owner;
    doc_web web;
    doc_postgres postgres;
    doc_ssh ssh;
    doc_transfer exports;
    doc_transfer imports;
} doc_resource;

typedef struct {
    doc_head head;
    doc_text why;
    doc_who who;
    doc_on on;
    doc_to to;
    uint32_t may;  /* bits of sp_action */
    uint32_t deny; /* bits of sp_action */
    doc_approval ask;
    doc_with with;
    doc_when when;
} doc_rule;

typedef struct {
    doc_head head;
    doc_text why;
    uint32_t actions;
    doc_texts classes;
    doc_texts tags;
    doc_texts resources;
    doc_who who;
    doc_on on;
    doc_unless unless;
} doc_never;

typedef struct {
    doc_place place;
    uint8_t owner;   /* sp_owner + 1 */
    uint8_t posture; /* sp_posture + 1 */
} doc_device;

typedef struct {
    doc_place place;
    doc_text person;
    doc_texts roles;
    doc_device device;
    doc_text resource;
    doc_text part;
    doc_text class_name;
    doc_texts tags;
    uint8_t mfa;
    doc_number auth_age;
    doc_number approved_by;
    doc_text at;
    doc_text network;
} doc_given;

typedef struct {
    doc_head head;
    doc_given given;
    doc_text tried;
    uint8_t expect; /* sp_verdict + 1 */
    doc_text rule;
    uint8_t reason; /* sp_reason + 1 */
} doc_example;

typedef struct {
    doc_head head;
    uint32_t events; /* bits of sp_event_kind; 0 = all */
    doc_texts classes;
    doc_number keep;
} doc_retention;

typedef struct {
    doc_head head;
    doc_texts roles;
    doc_who by;
    doc_number every;
    doc_number warn;
} doc_recertification;

typedef struct {
    doc_head head;
    doc_text why;
    doc_who who;
    uint32_t actions;
    doc_texts resources;
    doc_number per;
    doc_number statements;
    doc_number rows;
    uint8_t then; /* sp_budget_then + 1 */
} doc_budget;

/* Which events; what is written must all hold. */
typedef struct {
    doc_place place;
    uint32_t kinds;    /* bits of sp_event_kind */
    uint32_t gates;    /* bits of sp_gate */
    uint32_t verdicts; /* bits of sp_verdict */
    uint32_t reasons;  /* bits of sp_reason */
    uint32_t actions;  /* bits of sp_action */
    uint32_t severity; /* bits of sp_severity */
    uint32_t owner;    /* bits of sp_owner */
    uint32_t posture;  /* bits of sp_posture */
    uint32_t strength; /* bits of sp_strength */
    doc_texts classes;
    doc_texts resources;
    doc_texts roles;
    doc_texts people;
    doc_texts methods;
    doc_texts objects;
    doc_texts status;
    doc_texts contains;
    doc_texts networks;
    doc_number bytes;
    doc_text hours;
    uint32_t days;
    uint8_t outside;   /* doc_flag */
    uint8_t himself;   /* doc_flag */
    uint8_t known;     /* doc_flag */
    uint8_t elsewhere; /* doc_flag */
} doc_events;

/* What a detection looks for: the members that its operator takes. */
typedef struct {
    doc_place place;
    doc_number at_least;
    doc_number bytes;
    doc_number within;
    doc_number times;
    doc_number learn;
    uint8_t of;     /* sp_detect_field + 1 */
    doc_maps steps; /* doc_events */
} doc_look;

typedef struct {
    doc_head head;
    doc_title title;
    doc_text why;
    uint8_t severity; /* sp_severity + 1 */
    doc_events over;
    uint32_t by; /* bits of sp_detect_field */
    doc_look count;
    doc_look sum;
    doc_look distinct;
    doc_look sequence;
    doc_look novel;
    doc_look rate;
    doc_look travel;
    doc_look absent;
    doc_look changes;
    doc_events unless;
    doc_number quiet;
    doc_number keys;
    doc_text plan;
    uint8_t off; /* doc_flag */
} doc_detection;

typedef struct {
    doc_place place;
    doc_text resource;
    doc_text table;
    doc_text key;
    doc_text path;
} doc_bait;

typedef struct {
    doc_head head;
    doc_title title;
    doc_text why;
    uint8_t severity; /* sp_severity + 1 */
    doc_maps rows;    /* doc_bait */
    doc_maps files;   /* doc_bait */
    doc_maps urls;    /* doc_bait */
    doc_events unless;
    doc_number quiet;
    doc_text plan;
} doc_canary;

/* ---- notices ---- */

typedef struct {
    doc_place place;
    doc_text name;
    uint8_t kind; /* sp_value_kind + 1 */
    doc_text sample;
} doc_variable;

typedef struct {
    doc_place place;
    doc_number within;
    uint8_t by; /* 1 any, 2 all */
    doc_text then;
} doc_acknowledge;

typedef struct {
    doc_head head;
    doc_title title;
    doc_title body;
    doc_title brief;
    doc_maps variables; /* doc_variable */
    uint8_t severity;   /* sp_severity + 1 */
    doc_text audience;
    doc_texts channels;
    doc_acknowledge acknowledge;
    uint8_t banner; /* doc_flag */
    doc_number expires;
} doc_notice;

typedef struct {
    doc_head head;
    doc_title title;
    doc_who who; /* its keys stand beside `minus` */
    doc_who minus;
    doc_texts post;
} doc_audience;

typedef struct {
    doc_head head;
    uint8_t via; /* sp_channel_kind + 1 */
    doc_text address;
    uint8_t tls; /* 1 starttls, 2 implicit, 3 loopback */
    doc_text ca;
    doc_text user;
    doc_text from;
    uint8_t is_signed; /* doc_flag */
    uint8_t language;  /* 1 en, 2 zh, 3 both */
    doc_number per_minute;
    doc_number attempts;
    doc_number retry;
    doc_number timeout;
    doc_number digest;
} doc_channel;

/* ---- plans ---- */

typedef struct {
    doc_place place;
    doc_texts detections;
    uint8_t severity; /* sp_severity + 1 */
    uint32_t reports; /* bits of sp_told */
} doc_trigger;

typedef struct {
    doc_place place;
    doc_number at_most;
    doc_number within;
    doc_texts except;
} doc_guard;

typedef struct {
    doc_place place;
    uint8_t kind; /* sp_cut_kind + 1 */
    doc_text name;
    doc_number lasts;
    doc_text notice;
    doc_text audience;
    uint8_t role; /* sp_rota_role + 1 */
    doc_text text;
    uint8_t severity; /* sp_severity + 1 */
    doc_text command;
    doc_texts arguments;
    doc_texts undo;
    doc_text channel;
} doc_step_with;

typedef struct {
    doc_place place;
    doc_text name;
    uint8_t what; /* sp_step_do + 1 */
    doc_step_with with;
    doc_texts after;
    uint8_t has_after;
    doc_number timeout;
    uint8_t on_failure; /* sp_step_failure + 1 */
    doc_texts confirm_by;
} doc_step;

typedef struct {
    doc_head head;
    doc_title title;
    doc_text why;
    doc_trigger trigger;
    doc_guard guard;
    uint8_t mode; /* sp_plan_mode + 1 */
    doc_number drill_every;
    doc_texts confirm_by;
    doc_maps steps; /* doc_step */
} doc_plan;

typedef struct {
    doc_head head;
    doc_texts commander;
    doc_texts scribe;
    doc_texts liaison;
} doc_rota;

/* ---- sinks, law packs, officers ---- */

typedef struct {
    doc_head head;
    uint8_t via; /* sp_sink_kind + 1 */
    doc_text address;
    doc_text topic;
    doc_text ca;
    uint8_t token;     /* doc_flag */
    uint8_t is_signed; /* doc_flag */
    uint32_t kinds;    /* bits of sp_event_kind; 0 = all */
    uint8_t severity;  /* sp_severity + 1 */
    uint8_t from;      /* 1 now, 2 start */
    doc_number batch;
    doc_number timeout;
} doc_sink;

typedef struct {
    doc_place place;
    uint8_t fact; /* sp_fact + 1 */
    uint8_t also; /* sp_fact + 1 */
    doc_number at_least;
    doc_text article;
} doc_law_condition;

typedef struct {
    doc_place place;
    doc_text name;
    doc_title title;
    doc_maps any; /* doc_law_condition */
} doc_law_level;

typedef struct {
    doc_place place;
    doc_text name;
    doc_title title;
    doc_text from;
    doc_number within;
    uint8_t start;   /* sp_law_start + 1 */
    uint32_t needs;  /* bits of sp_fact */
    uint32_t unless; /* bits of sp_fact */
    doc_text article;
} doc_law_duty;

typedef struct {
    doc_place place;
    doc_text name;
    doc_title title;
    uint8_t of;    /* sp_law_item_of + 1 */
    uint8_t later; /* doc_flag */
} doc_law_item;

typedef struct {
    doc_head head;
    doc_title title;
    doc_text dated;
    doc_texts sources;
    doc_maps levels; /* doc_law_level */
    doc_maps duties; /* doc_law_duty */
    doc_maps items;  /* doc_law_item */
    uint8_t off;     /* doc_flag */
} doc_law_pack;

typedef struct {
    doc_head head;
    doc_title title;
    uint8_t duty; /* sp_officer_duty + 1 */
    doc_text person;
    doc_texts deputies;
    doc_text contact;
    doc_text basis;
} doc_officer;

/* All documents of a set, by kind, in order. */
typedef struct {
    doc_maps kinds[SP_DOC_COUNT];
} doc_set;

static inline doc_head *doc_at(const doc_maps *maps, size_t record_bytes, size_t at)
{
    return (doc_head *)(void *)((uint8_t *)maps->items + at * record_bytes);
}

#define DOC_EACH(set, kind, type, var)                                                             \
    for (type *var = (set)->kinds[kind].items,                                                     \
              *var##_end_ = var == NULL ? NULL : var + (set)->kinds[kind].count;                   \
         var != var##_end_; var++)

#endif
