/* SPDX-License-Identifier: Apache-2.0
 * Sinks, law packs and officers, as the documents say, for core and the command line.
 * OWNS nothing: views into the set. PROCESS core, cli. TRUST the set compiled.
 * SPEC docs/POLICY.md "Sink", "LawPack", "Officer".
 */
#ifndef SP_POLICY_DUTIES_H
#define SP_POLICY_DUTIES_H

#include "lib/law/law.h"
#include "lib/policy/notices.h"

enum { SP_SINKS_MAX = 8, SP_LAW_ITEMS_MAX = 40, SP_OFFICER_DEPUTIES_MAX = 8 };

typedef enum { SP_SINK_SYSLOG, SP_SINK_HTTP, SP_SINK_KAFKA, SP_SINK_KIND_COUNT } sp_sink_kind;
extern const char *const SP_SINK_WORDS[SP_SINK_KIND_COUNT + 1];

typedef struct {
    sp_span name;
    sp_span address;
    sp_span topic;
    sp_span ca;
    uint32_t kinds;   /* bits of sp_event_kind; 0 = all */
    uint32_t batch;   /* events at most */
    uint32_t message; /* syslog: bytes of one message at most */
    uint16_t timeout_s;
    uint8_t via;      /* sp_sink_kind */
    uint8_t severity; /* the least, sp_severity */
    bool token;
    bool is_signed;
    bool from_start;
} sp_policy_sink;
size_t sp_policy_set_sink_count(const sp_policy_set *set);
void sp_policy_set_sink_at(const sp_policy_set *set, size_t at, sp_policy_sink *ret_sink);
SP_MUST sp_err sp_policy_set_sink(const sp_policy_set *set, sp_span name, sp_policy_sink *ret_sink);

/* Where what a report has to contain comes from. */
typedef enum {
    SP_ITEM_ASKED,    /* a person writes it */
    SP_ITEM_OFFICE,   /* the office's name */
    SP_ITEM_INCIDENT, /* number, title, severity */
    SP_ITEM_TIMES,    /* discovered, opened, closed */
    SP_ITEM_LEVEL,    /* level, by which condition */
    SP_ITEM_FACTS,    /* what is known, in numbers */
    SP_ITEM_MEASURES, /* what was done: plans, cuts, tasks, of the timeline */
    SP_ITEM_ALARMS,   /* what was noticed, of the timeline */
    SP_ITEM_REVIEW,   /* the closing review */
    SP_ITEM_OFFICERS, /* who is responsible, and how to reach them */
    SP_ITEM_OF_COUNT
} sp_law_item_of;
extern const char *const SP_ITEM_OF_WORDS[SP_ITEM_OF_COUNT + 1];

typedef struct {
    sp_span name;
    sp_span title[SP_LANGUAGE_COUNT];
    uint8_t of; /* sp_law_item_of */
    bool later; /* the first report may go without it */
} sp_policy_law_item;

typedef struct {
    sp_span name;
    sp_span title[SP_LANGUAGE_COUNT];
    sp_span dated;
    sp_law_pack pack;
    sp_span level_titles[SP_LAW_LEVELS_MAX][SP_LANGUAGE_COUNT];
    sp_span duty_titles[SP_LAW_DUTIES_MAX][SP_LANGUAGE_COUNT];
    sp_span duty_articles[SP_LAW_DUTIES_MAX];
    sp_policy_law_item items[SP_LAW_ITEMS_MAX];
    size_t items_count;
} sp_policy_law;
/* Packs that are not off. */
size_t sp_policy_set_law_count(const sp_policy_set *set);
void sp_policy_set_law_at(const sp_policy_set *set, size_t at, sp_policy_law *ret_law);
SP_MUST sp_err sp_policy_set_law(const sp_policy_set *set, sp_span name, sp_policy_law *ret_law);

typedef enum {
    SP_OFFICER_SECURITY_LEADER,
    SP_OFFICER_SECURITY_DEPUTY,
    SP_OFFICER_DATA_PROTECTION,
    SP_OFFICER_DATA_SECURITY,
    SP_OFFICER_INCIDENT_REPORTING,
    SP_OFFICER_OTHER,
    SP_OFFICER_DUTY_COUNT
} sp_officer_duty;
extern const char *const SP_OFFICER_WORDS[SP_OFFICER_DUTY_COUNT + 1];

typedef struct {
    sp_span name;
    sp_span title[SP_LANGUAGE_COUNT]; /* the duty's own where there is none */
    sp_span person;
    sp_span deputies[SP_OFFICER_DEPUTIES_MAX];
    size_t deputies_count;
    sp_span contact;
    sp_span basis;
    uint8_t duty; /* sp_officer_duty */
} sp_policy_officer;
size_t sp_policy_set_officer_count(const sp_policy_set *set);
void sp_policy_set_officer_at(const sp_policy_set *set, size_t at, sp_policy_officer *ret_officer);

#endif
