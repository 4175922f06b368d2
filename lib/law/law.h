/* SPDX-License-Identifier: Apache-2.0
 * How grave an incident is before the law, what has to be reported, and until when: a pure function
 * of a dated pack of thresholds and of what is known.
 *
 * Story: a pack (a LawPack document) has levels, the least first, each with conditions that reach
 * it, and duties: to whom, within what time, from which level, for which kind of operator. What is
 * known are facts, each a number, or not told yet. A condition on a fact that nobody has told is
 * open: it is never taken as "no". The catch-all of a law ("other serious harm") is a condition on
 * the fact `judgement`: no number answers it, a person does.
 *
 * OWNS nothing: views. PROCESS core. TRUST numbers are bounded by their type. SPEC docs/REPORTS.md.
 */
#ifndef SP_LAW_LAW_H
#define SP_LAW_LAW_H

#include "lib/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Yes and no are 1 and 0. */
typedef enum {
    SP_FACT_PERSONS,           /* whose personal data leaked, was altered or lost */
    SP_FACT_SENSITIVE_PERSONS, /* of them, with sensitive personal data */
    SP_FACT_LOSS_YUAN,         /* direct economic loss */
    SP_FACT_OUTAGE_MINUTES,
    SP_FACT_AFFECTED_PERSONS, /* whose work or life it disturbs */
    SP_FACT_IMPORTANT_DATA,   /* yes or no: data that the state calls important */
    SP_FACT_CORE_DATA,        /* yes or no: data that the state calls core */
    SP_FACT_PUBLIC_INTEREST,  /* yes or no: touches national security or the public interest */
    SP_FACT_CRIME,            /* yes or no: a crime is suspected */
    SP_FACT_CII,              /* yes or no: the operator runs critical infrastructure */
    SP_FACT_CENTRAL,          /* yes or no: the operator is a central organ */
    SP_FACT_DEFECT,           /* yes or no: a defect of a product or service is the cause */
    SP_FACT_JUDGEMENT,        /* the level that a person says: its place + 1; 0: none of them */
    SP_FACT_COUNT
} sp_fact;

enum {
    SP_LAW_LEVELS_MAX = 8,
    SP_LAW_CONDITIONS_MAX = 32,
    SP_LAW_DUTIES_MAX = 24,
    SP_LAW_NEEDS_MAX = 4
};
#define SP_LAW_FACT_MAX ((uint64_t)1 << 50)

const char *sp_fact_word(sp_fact fact);
bool sp_fact_of(sp_span word, sp_fact *ret_fact);
/* NULL-ended, for schemas. */
extern const char *const SP_FACT_WORDS[SP_FACT_COUNT + 1];

typedef struct {
    bool known[SP_FACT_COUNT];
    uint64_t value[SP_FACT_COUNT];
} sp_facts;

/* value at least so much, and `also` (SP_FACT_COUNT = nothing) at least 1. A condition on judgement
 * has no number: a person names the level. */
typedef struct {
    uint8_t fact; /* sp_fact */
    uint8_t also;
    uint64_t at_least;
    uint32_t line; /* in the pack, so that the answer can be looked up */
} sp_law_condition;

typedef struct {
    sp_span name;
    sp_law_condition any[SP_LAW_CONDITIONS_MAX];
    size_t count;
} sp_law_level;

typedef enum { SP_LAW_DISCOVERY, SP_LAW_CLOSED, SP_LAW_START_COUNT } sp_law_start;

typedef struct {
    sp_span name;
    uint8_t from_level; /* place of the least level; SP_LAW_LEVELS_MAX = whatever the level */
    uint8_t start;      /* sp_law_start: what its time runs from */
    uint64_t within_s;  /* 0 = at once */
    uint8_t needs[SP_LAW_NEEDS_MAX]; /* facts that must be at least 1 */
    size_t needs_count;
    uint8_t unless[SP_LAW_NEEDS_MAX]; /* facts of which none may be */
    size_t unless_count;
} sp_law_duty;

typedef struct {
    sp_law_level levels[SP_LAW_LEVELS_MAX];
    size_t levels_count;
    sp_law_duty duties[SP_LAW_DUTIES_MAX];
    size_t duties_count;
} sp_law_pack;

typedef struct {
    size_t level;        /* place of the gravest that is reached; levels_count = none */
    size_t might;        /* the gravest that what is not told yet could reach; as level when none */
    uint32_t line;       /* of the condition that reached it; 0 = none, or a person's word */
    uint32_t open;       /* bits of sp_fact that could change the level */
    bool person_decides; /* a catch-all is left: nothing but a person's word settles it */
    bool person_decided; /* the level is a person's word */
} sp_law_answer;

void sp_law_classify(const sp_law_pack *pack, const sp_facts *facts, sp_law_answer *ret_answer);

typedef enum {
    SP_DUTY_NO,   /* does not apply */
    SP_DUTY_OPEN, /* might: a fact or the level is not settled; its time runs */
    SP_DUTY_YES,
    SP_DUTY_SAYS_COUNT
} sp_duty_says;
sp_duty_says sp_law_duty_says(const sp_law_pack *pack, size_t duty, const sp_facts *facts,
                              const sp_law_answer *answer);
/* When it is due; 0 = its time has not begun. */
uint64_t sp_law_due(const sp_law_duty *duty, uint64_t discovered_unix_s, uint64_t closed_unix_s);

/* ---- reminders ---- */
typedef enum {
    SP_DUE_FAR,
    SP_DUE_HALF,    /* half of its time is gone */
    SP_DUE_QUARTER, /* a quarter of it is left */
    SP_DUE_OVER,
    SP_DUE_STAGE_COUNT
} sp_due_stage;
sp_due_stage sp_law_stage(uint64_t begun_unix_s, uint64_t due_unix_s, uint64_t now_unix_s);

#endif
