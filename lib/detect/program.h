/* SPDX-License-Identifier: Apache-2.0
 * Detections as a program: what the policy compiler makes of Detection and Canary documents, and
 * what the engine runs. Flat records with numbers instead of names; names that must outlive a
 * version of the policy (resources, classes, methods) stay names, because events carry names.
 *
 * OWNS the program: one arena. PROCESS core and cli make it, watch and cli run it. TRUST the bytes
 * come from core in a sealed memfd; every index and count is checked once, when they are read.
 * SPEC docs/DETECTIONS.md.
 */
#ifndef SP_DETECT_PROGRAM_H
#define SP_DETECT_PROGRAM_H

#include "lib/base/address.h"
#include "lib/base/arena.h"
#include "lib/base/sha256.h"
#include "lib/proto/event.h"

enum {
    SP_DETECT_RULES_MAX = 256,
    SP_DETECT_MATCHES_MAX = 4096,
    SP_DETECT_TEXTS_MAX = 65536,
    SP_DETECT_TEXT_MAX_BYTES = 1024,
    SP_DETECT_TITLE_MAX_BYTES = 200,
    SP_DETECT_RANGES_MAX = 16384,
    SP_DETECT_ZONE_STEPS_MAX = 64,
    SP_DETECT_SCHEDULES_MAX = 256,
    SP_DETECT_STEPS_MAX = 8,      /* of a sequence */
    SP_DETECT_DISTINCT_MAX = 64,  /* values that are told apart */
    SP_DETECT_KEYS_MAX = 1000000, /* of one detection */
    SP_DETECT_KEYS_DEFAULT = 10000,
    SP_DETECT_PROGRAM_MAX_BYTES = 8 * 1024 * 1024
};

/* What an event says of itself: by what is counted, and of what. Words: sp_detect_field_words. */
typedef enum {
    SP_DETECT_PERSON,
    SP_DETECT_PEER,    /* its address */
    SP_DETECT_NETWORK, /* the /24 or /48 of the address */
    SP_DETECT_DEVICE,
    SP_DETECT_SESSION,
    SP_DETECT_RESOURCE,
    SP_DETECT_GATE,
    SP_DETECT_CLASS,
    SP_DETECT_OBJECT,
    SP_DETECT_COUNTRY, /* of the address, by the operator's place data */
    SP_DETECT_FIELD_COUNT
} sp_detect_field;
extern const char *const sp_detect_field_words[SP_DETECT_FIELD_COUNT + 1];

typedef enum {
    SP_DETECT_COUNT,    /* at_least events within */
    SP_DETECT_SUM,      /* bytes out of the office within */
    SP_DETECT_DISTINCT, /* at_least values of a field within */
    SP_DETECT_SEQUENCE, /* its matches one after another within */
    SP_DETECT_NOVEL,    /* a value of a field that the key never had */
    SP_DETECT_RATE,     /* times the usual number within */
    SP_DETECT_TRAVEL,   /* faster than at_least km/h from one place to the next */
    SP_DETECT_ABSENT,   /* none within */
    SP_DETECT_CHANGES,  /* a field that went from one value to another at_least times within */
    SP_DETECT_OP_COUNT
} sp_detect_op;

/* A run in one of the program's arrays. */
typedef struct {
    uint32_t at;
    uint32_t count;
} sp_detect_run;

enum {
    SP_DETECT_HAS_ROLES = 1U << 0,
    SP_DETECT_OUTSIDE = 1U << 1,   /* the hours must not hold */
    SP_DETECT_SELF = 1U << 2,      /* object = the person himself */
    SP_DETECT_KNOWN = 1U << 3,     /* a person of the office */
    SP_DETECT_ELSEWHERE = 1U << 4, /* a step: at another gate than the step before */
    SP_DETECT_FLAGS = (1U << 5) - 1
};

/* Which events; all that is written must hold. 0 or an empty run = any. */
typedef struct {
    uint64_t roles[SP_ROLE_WORDS]; /* held, any of */
    uint64_t bytes;                /* out of the office, at least */
    uint32_t kinds;                /* bits of sp_event_kind */
    uint32_t reasons;
    uint32_t actions;
    uint32_t flags;
    uint32_t schedule; /* SP_NONE = any time */
    uint8_t gates;
    uint8_t verdicts;
    uint8_t owners;
    uint8_t postures;
    uint8_t strengths;
    uint8_t severities;
    sp_detect_run people; /* texts, exact, any of */
    sp_detect_run resources;
    sp_detect_run classes;
    sp_detect_run methods;
    sp_detect_run objects;  /* texts with '*', any of */
    sp_detect_run statuses; /* texts, the protocol's own answer, any of */
    sp_detect_run contains; /* texts that stand in object or detail, ASCII case folded, all of */
    sp_detect_run networks; /* ranges, any of */
} sp_detect_match;

typedef struct {
    sp_span name;
    sp_span title_en;
    sp_span title_zh;
    sp_span plan;
    sp_hash version;    /* of the document: state outlives what keeps its version */
    uint64_t at_least;  /* events, values, bytes, km/h */
    uint64_t times;     /* RATE */
    uint64_t within_us; /* TRAVEL: 0; ABSENT: for how long */
    uint64_t learn_us;  /* NOVEL, RATE: nothing is said before */
    uint64_t quiet_us;  /* after an alarm, about the same key */
    uint32_t keys_max;
    uint32_t by;           /* bits of sp_detect_field */
    sp_detect_run matches; /* SEQUENCE: the steps in order; else any of them */
    sp_detect_run unless;  /* none of these */
    uint8_t severity;
    uint8_t op; /* sp_detect_op */
    uint8_t of; /* sp_detect_field: DISTINCT, NOVEL, CHANGES */
} sp_detect_rule;

/* Hours of the day in a zone, as steps of its offset. */
typedef struct {
    int64_t from_unix_s;
    int32_t offset_s;
} sp_detect_step;
typedef struct {
    uint16_t from_minute;
    uint16_t to_minute; /* below from: into the next day */
    uint8_t days;       /* bit 0 = Monday: the day on which it opens */
    uint8_t steps_count;
    sp_detect_step steps[SP_DETECT_ZONE_STEPS_MAX];
} sp_detect_schedule;

typedef struct {
    sp_arena arena;
    sp_detect_rule *rules;
    size_t rules_count;
    sp_detect_match *matches;
    size_t matches_count;
    sp_span *texts;
    size_t texts_count;
    sp_address_range *ranges;
    size_t ranges_count;
    sp_detect_schedule *schedules;
    size_t schedules_count;
} sp_detect_program;

/* Appends the program as bytes; a failure stays in the buffer. The arena is not looked at. */
void sp_detect_program_write(const sp_detect_program *program, sp_buf *out);
/* Reads and checks it. SP_ESHORT, SP_ELIMIT, SP_EINVALID, SP_ENOMEM. */
SP_MUST sp_err sp_detect_program_read(sp_span bytes, sp_detect_program *ret_program);
void sp_detect_program_done(sp_detect_program *program);
#define auto_detect_program __attribute__((cleanup(sp_detect_program_done)))

/* Whether text fits the pattern: '*' is any run of bytes, everything else itself. */
bool sp_detect_glob(sp_span pattern, sp_span text);

#endif
