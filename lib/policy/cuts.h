/* SPDX-License-Identifier: Apache-2.0
 * Cuts: what is closed over and above the policy, now, whatever rules say. A small table in shared
 * memory (lib/proto/live.h) that core writes and every decision honours.
 *
 * Story: somebody cuts a role, a resource, a class or everything: core writes a row, and the next
 * question that meets it is denied with the reason `cut`. sp_policy_decide() looks here first, so
 * no gate has a way around it. With nothing cut that costs the reading of one word. A row may
 * instead ask that people prove themselves again (step-up), and may have an end.
 *
 * OWNS nothing: the table lives in a mapping. PROCESS core writes; gates read. TRUST gates trust
 * core; texts are bounded all the same. A reader that finds no quiet moment denies.
 * SPEC docs/INCIDENTS.md "The kill switch".
 */
#ifndef SP_POLICY_CUTS_H
#define SP_POLICY_CUTS_H

#include "lib/policy/decide.h"

typedef enum {
    SP_CUT_SESSION,
    SP_CUT_PERSON,
    SP_CUT_DEVICE,
    SP_CUT_ROLE,     /* whoever holds it, by inclusion too: from everything */
    SP_CUT_RESOURCE, /* it, for everybody */
    SP_CUT_CLASS,    /* objects of this class and of graver ones */
    SP_CUT_EVERYTHING,
    SP_CUT_KIND_COUNT
} sp_cut_kind;

typedef enum { SP_CUT_DENY, SP_CUT_STEP_UP, SP_CUT_EFFECT_COUNT } sp_cut_effect;

typedef struct {
    uint64_t id;                   /* not 0 */
    uint64_t since_unix_s;         /* STEP_UP: who proved himself at or after this is let */
    uint64_t until_unix_s;         /* 0 = until it is undone */
    uint32_t number;               /* of the role or person */
    uint8_t kind;                  /* sp_cut_kind; SESSION and DEVICE have tables of their own */
    uint8_t effect;                /* sp_cut_effect */
    uint8_t class_level;           /* when a policy does not know the class by name any more */
    uint64_t roles[SP_ROLE_WORDS]; /* ROLE: those that include it, by the policy in force */
    char name[SP_NAME_MAX_BYTES + 1];
} sp_cut;

enum {
    SP_CUTS_MAX = 32,
    SP_CUTS_STEP_UPS_MAX = 16 /* of people: what plans ask of many leaves room for what closes */
};

typedef struct sp_cuts {
    _Atomic uint32_t count; /* the one word */
    _Atomic uint32_t seq;   /* odd while core writes */
    sp_cut rows[SP_CUTS_MAX];
} sp_cuts;

/* ---- core ---- */
/* SP_ELIMIT: all rows are taken; the last one is kept for `everything`, and half of them for what
 * is no step-up of a person. */
SP_MUST sp_err sp_cuts_put(sp_cuts *cuts, const sp_cut *cut);
/* The row of that id in another shape, without a moment in which it is not there; false when there
 * is none. */
bool sp_cuts_update(sp_cuts *cuts, const sp_cut *cut);
/* False when there is none of that id. */
bool sp_cuts_remove(sp_cuts *cuts, uint64_t id);
/* The first row that has ended by then; 0 = none. */
uint64_t sp_cuts_ended(const sp_cuts *cuts, uint64_t now_unix_s);

/* ---- all ---- */
/* Whether anything is cut. cuts NULL: nothing. */
bool sp_cuts_any(const sp_cuts *cuts);
/* SP_REASON_NONE: nothing is in the way. SP_REASON_CUT, or SP_REASON_STRENGTH for what asks for a
 * step-up. cuts NULL: none. policy NULL with resource SP_NONE: about the person alone. */
sp_reason sp_cuts_say(const sp_cuts *cuts, const sp_policy *policy, const sp_question *question,
                      uint8_t class_level);

/* "session" .. "everything"; "?" when there is none. */
const char *sp_cut_kind_word(sp_cut_kind kind);
bool sp_cut_kind_of(sp_span word, sp_cut_kind *ret_kind);
/* "deny", "step-up". */
const char *sp_cut_effect_word(sp_cut_effect effect);
bool sp_cut_effect_of(sp_span word, sp_cut_effect *ret_effect);

#endif
