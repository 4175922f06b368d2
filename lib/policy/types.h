/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary that every gate shares: actions, device facts, strengths, verdicts, reasons, and
 * the question that is asked of a policy together with its answer.
 * OWNS nothing: plain values. PROCESS all. TRUST a question is built by a gate from facts that
 * core published (lib/proto/live.h), never from client bytes alone. SPEC docs/ARCHITECTURE.md.
 */
#ifndef SP_POLICY_TYPES_H
#define SP_POLICY_TYPES_H

#include "lib/base/span.h"

typedef enum {
    SP_ACTION_CONNECT,
    SP_ACTION_READ,
    SP_ACTION_WRITE,
    SP_ACTION_EXPORT,
    SP_ACTION_IMPORT,
    SP_ACTION_ALTER,
    SP_ACTION_DESTROY,
    SP_ACTION_ADMINISTER,
    SP_ACTION_EXECUTE,
    SP_ACTION_FORWARD,
    SP_ACTION_COUNT
} sp_action;

/* Who owns the device that the request came from; unknown = no certificate of ours. */
typedef enum { SP_OWNER_UNKNOWN, SP_OWNER_PERSONAL, SP_OWNER_COMPANY, SP_OWNER_COUNT } sp_owner;

typedef enum {
    SP_POSTURE_UNKNOWN,
    SP_POSTURE_UNHEALTHY,
    SP_POSTURE_HEALTHY,
    SP_POSTURE_COUNT
} sp_posture;

/* How the person proved himself; each includes the weaker ones. */
typedef enum {
    SP_STRENGTH_NONE,
    SP_STRENGTH_PASSWORD,
    SP_STRENGTH_TOTP, /* password and a one-time code */
    SP_STRENGTH_PASSKEY,
    SP_STRENGTH_COUNT
} sp_strength;

typedef enum { SP_VERDICT_DENY, SP_VERDICT_ASK, SP_VERDICT_ALLOW, SP_VERDICT_COUNT } sp_verdict;

/* Why, in one word that people, tests and the ledger share. Words: sp_reason_word(). */
typedef enum {
    SP_REASON_NONE,
    SP_REASON_RULE,           /* a rule grants it */
    SP_REASON_DEFAULT,        /* no rule grants it */
    SP_REASON_DENY_RULE,      /* an explicit deny */
    SP_REASON_NEVER,          /* a never document */
    SP_REASON_NO_SESSION,     /* not signed in */
    SP_REASON_SESSION_ENDED,  /* ended, expired or idle */
    SP_REASON_SESSION_DEVICE, /* the session belongs to another device */
    SP_REASON_DEVICE_UNKNOWN, /* needs a known device */
    SP_REASON_DEVICE_OWNER,   /* needs a company device */
    SP_REASON_DEVICE_POSTURE, /* needs a healthy device */
    SP_REASON_DEVICE_PENDING, /* enrolled, not approved */
    SP_REASON_DEVICE_QUARANTINE,
    SP_REASON_DEVICE_REVOKED,
    SP_REASON_STRENGTH, /* needs a stronger sign-in, or a fresher one */
    SP_REASON_HOURS,
    SP_REASON_NETWORK,
    SP_REASON_APPROVAL,    /* needs other people */
    SP_REASON_UNPARSED,    /* the request could not be understood */
    SP_REASON_UNRECORDED,  /* it must be recorded and cannot be */
    SP_REASON_UNAVAILABLE, /* the gate has no policy, or is stopping */
    SP_REASON_LIMIT,       /* a rate, size or count */
    SP_REASON_CUT,         /* somebody closed it, over and above the policy (lib/policy/cuts.h) */
    SP_REASON_DUTY,        /* it comes with a duty that this gate cannot do: masking, a count */
    SP_REASON_COUNT
} sp_reason;

/* Obligations that come with allow (a bit set). */
enum {
    SP_MUST_RECORD = 1U << 0, /* on the ledger before it happens; refused when that cannot be */
    SP_MUST_MASK = 1U << 1,
    SP_MUST_WATCH = 1U << 2,
    SP_MUST_LIMIT = 1U << 3
};

/* The side of a resource that is asked: its application, its database or its host. */
typedef enum { SP_FACE_ANY, SP_FACE_WEB, SP_FACE_DATABASE, SP_FACE_SSH, SP_FACE_COUNT } sp_face;

/* How a value is masked; words: sp_mask_words. The three digits of a mobile number that stay, and
 * so on, are lib/mask's business. */
typedef enum {
    SP_MASK_FULL, /* all of it, in what its type can hold */
    SP_MASK_MOBILE,
    SP_MASK_MAINLAND_ID,
    SP_MASK_BANK_CARD,
    SP_MASK_EMAIL,
    SP_MASK_NAME,
    SP_MASK_HASH, /* equal values stay equal */
    SP_MASK_NULL,
    SP_MASK_COUNT
} sp_mask;

enum {
    SP_ROLES_MAX = 256,
    SP_ROLE_WORDS = SP_ROLES_MAX / 64,
    SP_CLASSES_MAX = 16, /* ordered, 0 is the lowest */
    SP_TAGS_MAX = 64,    /* a bit each */
    SP_NAME_MAX_BYTES = 63
};

#define SP_NONE UINT32_MAX /* no rule, no resource, no part */
#define SP_PART_CLOSED                                                                             \
    (UINT32_MAX - 1) /* what nobody may do anything with: no rule is about it                      \
                      */

/* The numbers of the three administrators' roles. */
enum { SP_ROLE_NR_SYSTEM = 1, SP_ROLE_NR_SECURITY = 2, SP_ROLE_NR_AUDIT = 3 };

static inline bool sp_roles_hold(const uint64_t roles[SP_ROLE_WORDS], uint32_t role)
{
    return role < SP_ROLES_MAX && ((roles[role / 64] >> (role % 64)) & 1) != 0;
}

/* Who asks. Filled from a live session and the connection; all values are already trusted. */
typedef struct {
    uint64_t roles[SP_ROLE_WORDS]; /* role numbers are core's, stable over policy versions */
    uint32_t person;               /* core's number, 0 = nobody */
    uint8_t owner;                 /* sp_owner */
    uint8_t posture;               /* sp_posture */
    uint8_t strength;              /* sp_strength */
    uint8_t approvals;             /* distinct other people who approved these bytes */
    uint32_t auth_age_s;           /* since the person last proved himself */
    uint8_t peer[16];              /* client address, IPv4 as ::ffff:a.b.c.d */
} sp_subject;

typedef struct {
    const sp_subject *who;
    uint32_t resource; /* index in the snapshot */
    uint32_t part; /* index in the snapshot, SP_NONE = the resource as a whole; or SP_PART_CLOSED */
    sp_action action;
    uint64_t now_unix_s;
    const struct sp_cuts *cuts; /* sp_live_cuts(); NULL: about the policy alone */
    sp_face face;               /* of the gate that asks: what it can do of a rule's duties */
} sp_question;

enum { SP_ASKS_MAX = 4 };

typedef struct {
    uint8_t verdict;      /* sp_verdict */
    uint8_t reason;       /* sp_reason */
    uint8_t class_level;  /* of the object */
    uint8_t approvals;    /* with SP_VERDICT_ASK: how many people are needed */
    uint32_t must;        /* SP_MUST_ bits */
    uint32_t rule;        /* index of the rule or never that decided, SP_NONE for the default */
    uint64_t tags;        /* of the object */
    uint64_t mask_tags;   /* with SP_MUST_MASK: which tags are masked */
    uint64_t limit_bytes; /* with SP_MUST_LIMIT; 0 = none */
    uint64_t limit_rows;
    uint64_t day_bytes; /* the same over all of a person's sessions, in one day of the office */
    uint64_t day_rows;
    /* With SP_VERDICT_ASK: the rules that ask, `rule` first. The people of each of them have to
     * agree, in the number that it wants. */
    uint32_t asks[SP_ASKS_MAX];
    uint8_t asks_count;
    bool asks_apart; /* by more rules than have room: nobody can be asked for all at once */
} sp_decision;

/* What people have agreed to: those of so many rules, in the number that each wanted. It holds over
 * policies: whether a rule of another one asks the same people shows by their mark. */
typedef struct {
    uint64_t approvers[SP_ASKS_MAX]; /* marks of them; 0 = like no other */
    uint8_t needed[SP_ASKS_MAX];
    uint8_t count; /* 0 = nobody agreed to anything */
} sp_agreed;

/* The words, in the order of the values; NULL stands behind the last. */
extern const char *const sp_action_words[SP_ACTION_COUNT + 1];
extern const char *const sp_owner_words[SP_OWNER_COUNT + 1];
extern const char *const sp_posture_words[SP_POSTURE_COUNT + 1];
extern const char *const sp_strength_words[SP_STRENGTH_COUNT + 1];
extern const char *const sp_verdict_words[SP_VERDICT_COUNT + 1];
extern const char *const sp_reason_words[SP_REASON_COUNT + 1];
extern const char *const sp_mask_words[SP_MASK_COUNT + 1];
/* The word of one, "?" when there is none. */
const char *sp_action_word(sp_action action);
const char *sp_owner_word(sp_owner owner);
const char *sp_posture_word(sp_posture posture);
const char *sp_strength_word(sp_strength strength);
const char *sp_verdict_word(sp_verdict verdict);
const char *sp_reason_word(sp_reason reason);
/* The other way; false for an unknown word. */
bool sp_action_of(sp_span word, sp_action *ret_action);
bool sp_owner_of(sp_span word, sp_owner *ret_owner);
bool sp_posture_of(sp_span word, sp_posture *ret_posture);
bool sp_strength_of(sp_span word, sp_strength *ret_strength);

#endif
