/* SPDX-License-Identifier: Apache-2.0
 * Cuts.
 * OWNS nothing. PROCESS core writes; gates read. TRUST see cuts.h. SPEC lib/policy/cuts.h.
 */
#include "lib/policy/cuts.h"

#include "lib/base/mem.h"

#include <stdatomic.h>

enum { TRIES = 1000 };

static const char *const kind_words[] = {"session",  "person", "device",    "role",
                                         "resource", "class",  "everything"};
_Static_assert(SP_COUNT(kind_words) == SP_CUT_KIND_COUNT, "a word for each");
static const char *const effect_words[] = {"deny", "step-up"};
_Static_assert(SP_COUNT(effect_words) == SP_CUT_EFFECT_COUNT, "a word for each");

/* ---- core ---- */

static void write_begin(sp_cuts *cuts)
{
    uint32_t at = atomic_load_explicit(&cuts->seq, memory_order_relaxed);
    atomic_store_explicit(&cuts->seq, at + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void write_end(sp_cuts *cuts, uint32_t count)
{
    uint32_t at = atomic_load_explicit(&cuts->seq, memory_order_relaxed);
    atomic_store_explicit(&cuts->seq, at + 1, memory_order_release);
    atomic_store_explicit(&cuts->count, count, memory_order_seq_cst);
}

static uint32_t count_of(const sp_cuts *cuts)
{
    uint32_t count = atomic_load_explicit(&cuts->count, memory_order_acquire);
    return count > SP_CUTS_MAX ? SP_CUTS_MAX : count;
}

static bool asks_person(const sp_cut *cut)
{
    return cut->kind == SP_CUT_PERSON && cut->effect == SP_CUT_STEP_UP;
}

/* Whoever provokes alarms about many people must not fill the table. */
static bool is_room(const sp_cuts *cuts, uint32_t count, const sp_cut *cut)
{
    uint32_t step_ups = 0;
    for (uint32_t i = 0; i < count; i++) {
        step_ups += asks_person(&cuts->rows[i]) ? 1 : 0;
    }
    bool is_last = cut->kind == SP_CUT_EVERYTHING && cut->effect == SP_CUT_DENY;
    return count < (is_last ? SP_CUTS_MAX : SP_CUTS_MAX - 1) &&
           (!asks_person(cut) || step_ups < SP_CUTS_STEP_UPS_MAX);
}

sp_err sp_cuts_put(sp_cuts *cuts, const sp_cut *cut)
{
    uint32_t count = count_of(cuts);
    if (!is_room(cuts, count, cut)) {
        return sp_fail(SP_ELIMIT);
    }
    write_begin(cuts);
    cuts->rows[count] = *cut;
    cuts->rows[count].name[SP_NAME_MAX_BYTES] = '\0';
    write_end(cuts, count + 1);
    return sp_ok();
}

bool sp_cuts_update(sp_cuts *cuts, const sp_cut *cut)
{
    uint32_t count = count_of(cuts);
    for (uint32_t i = 0; i < count; i++) {
        if (cuts->rows[i].id == cut->id) {
            write_begin(cuts);
            cuts->rows[i] = *cut;
            cuts->rows[i].name[SP_NAME_MAX_BYTES] = '\0';
            write_end(cuts, count);
            return true;
        }
    }
    return false;
}

bool sp_cuts_remove(sp_cuts *cuts, uint64_t id)
{
    uint32_t count = count_of(cuts);
    for (uint32_t i = 0; i < count; i++) {
        if (cuts->rows[i].id == id) {
            write_begin(cuts);
            cuts->rows[i] = cuts->rows[count - 1];
            cuts->rows[count - 1] = (sp_cut){.id = 0};
            write_end(cuts, count - 1);
            return true;
        }
    }
    return false;
}

static bool has_ended(const sp_cut *cut, uint64_t now_unix_s)
{
    return cut->until_unix_s != 0 && cut->until_unix_s <= now_unix_s;
}

uint64_t sp_cuts_ended(const sp_cuts *cuts, uint64_t now_unix_s)
{
    for (uint32_t i = 0; i < count_of(cuts); i++) {
        if (has_ended(&cuts->rows[i], now_unix_s)) {
            return cuts->rows[i].id;
        }
    }
    return 0;
}

/* ---- all ---- */

static bool holds(const sp_subject *who, const sp_cut *cut)
{
    uint32_t role = cut->number;
    bool one = role < SP_ROLES_MAX && (who->roles[role / 64] >> (role % 64) & 1) != 0;
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        one = one || (who->roles[w] & cut->roles[w]) != 0;
    }
    return one;
}

/* The class and graver ones, by its name: levels move when a class is added. */
static bool meets_class(const sp_policy *policy, const sp_cut *cut, uint8_t class_level)
{
    for (uint8_t level = 0; level < SP_CLASSES_MAX; level++) {
        if (sp_span_eq(sp_policy_class_name(policy, level), sp_span_cstr(cut->name))) {
            return class_level >= level;
        }
    }
    return class_level >= cut->class_level;
}

static bool meets(const sp_policy *policy, const sp_cut *cut, const sp_question *question,
                  uint8_t class_level)
{
    bool has_object = policy != NULL && question->resource != SP_NONE;
    switch ((sp_cut_kind)cut->kind) {
    case SP_CUT_EVERYTHING:
        return true;
    case SP_CUT_ROLE:
        return holds(question->who, cut);
    case SP_CUT_PERSON:
        return question->who->person == cut->number;
    case SP_CUT_RESOURCE:
        return has_object && sp_span_eq(sp_policy_resource_name(policy, question->resource),
                                        sp_span_cstr(cut->name));
    case SP_CUT_CLASS:
        return has_object && meets_class(policy, cut, class_level);
    case SP_CUT_SESSION:
    case SP_CUT_DEVICE:
    case SP_CUT_KIND_COUNT:
        break;
    }
    return false;
}

/* In the second of the cut itself: before it, as far as anybody can tell. */
static bool is_proved_since(const sp_cut *cut, const sp_question *question)
{
    uint64_t proved_s = question->now_unix_s > question->who->auth_age_s
                            ? question->now_unix_s - question->who->auth_age_s
                            : 0;
    return proved_s > cut->since_unix_s;
}

static sp_reason say(const sp_cut *rows, uint32_t count, const sp_policy *policy,
                     const sp_question *question, uint8_t class_level)
{
    sp_reason reason = SP_REASON_NONE;
    for (uint32_t i = 0; i < count; i++) {
        const sp_cut *cut = &rows[i];
        if (!meets(policy, cut, question, class_level)) {
            continue;
        }
        if (cut->effect == SP_CUT_DENY) {
            return SP_REASON_CUT;
        }
        if (question->who->person == 0) {
            continue; /* nobody cannot prove himself: whoever is not signed in has shown nothing */
        }
        reason = is_proved_since(cut, question) ? reason : SP_REASON_STRENGTH;
    }
    return reason;
}

bool sp_cuts_any(const sp_cuts *cuts)
{
    return cuts != NULL && atomic_load_explicit(&cuts->count, memory_order_acquire) != 0;
}

sp_reason sp_cuts_say(const sp_cuts *cuts, const sp_policy *policy, const sp_question *question,
                      uint8_t class_level)
{
    if (!sp_cuts_any(cuts)) {
        return SP_REASON_NONE;
    }
    SP_UNSET sp_cut rows[SP_CUTS_MAX];
    for (int i = 0; i < TRIES; i++) {
        uint32_t before = atomic_load_explicit(&cuts->seq, memory_order_acquire);
        uint32_t count = count_of(cuts);
        if ((before & 1) != 0) {
            continue;
        }
        sp_copy(rows, cuts->rows, count * sizeof(rows[0]));
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&cuts->seq, memory_order_relaxed) == before) {
            return say(rows, count, policy, question, class_level);
        }
    }
    return SP_REASON_CUT;
}

/* ---- words ---- */

const char *sp_cut_kind_word(sp_cut_kind kind)
{
    return (unsigned)kind < SP_CUT_KIND_COUNT ? kind_words[kind] : "?";
}

bool sp_cut_kind_of(sp_span word, sp_cut_kind *ret_kind)
{
    size_t at = sp_span_which(word, kind_words, SP_CUT_KIND_COUNT);
    if (at < SP_CUT_KIND_COUNT) {
        *ret_kind = (sp_cut_kind)at;
    }
    return at < SP_CUT_KIND_COUNT;
}

const char *sp_cut_effect_word(sp_cut_effect effect)
{
    return (unsigned)effect < SP_CUT_EFFECT_COUNT ? effect_words[effect] : "?";
}

bool sp_cut_effect_of(sp_span word, sp_cut_effect *ret_effect)
{
    size_t at = sp_span_which(word, effect_words, SP_CUT_EFFECT_COUNT);
    if (at < SP_CUT_EFFECT_COUNT) {
        *ret_effect = (sp_cut_effect)at;
    }
    return at < SP_CUT_EFFECT_COUNT;
}
