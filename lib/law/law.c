/* SPDX-License-Identifier: Apache-2.0
 * Levels and duties of a pack over what is known.
 * OWNS nothing. PROCESS core. TRUST see law.h. SPEC lib/law/law.h.
 */
#include "lib/law/law.h"

#include "lib/base/mem.h"

const char *const SP_FACT_WORDS[SP_FACT_COUNT + 1] = {
    [SP_FACT_PERSONS] = "persons",
    [SP_FACT_SENSITIVE_PERSONS] = "sensitive_persons",
    [SP_FACT_LOSS_YUAN] = "loss_yuan",
    [SP_FACT_OUTAGE_MINUTES] = "outage_minutes",
    [SP_FACT_AFFECTED_PERSONS] = "affected_persons",
    [SP_FACT_IMPORTANT_DATA] = "important_data",
    [SP_FACT_CORE_DATA] = "core_data",
    [SP_FACT_PUBLIC_INTEREST] = "public_interest",
    [SP_FACT_CRIME] = "crime",
    [SP_FACT_CII] = "cii",
    [SP_FACT_CENTRAL] = "central_organ",
    [SP_FACT_DEFECT] = "defect",
    [SP_FACT_JUDGEMENT] = "judgement",
};

const char *sp_fact_word(sp_fact fact)
{
    return (unsigned)fact < SP_FACT_COUNT ? SP_FACT_WORDS[fact] : "?";
}

bool sp_fact_of(sp_span word, sp_fact *ret_fact)
{
    for (unsigned i = 0; i < SP_FACT_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(SP_FACT_WORDS[i]))) {
            *ret_fact = (sp_fact)i;
            return true;
        }
    }
    return false;
}

typedef enum { NO, OPEN, YES } says;

static says fact_says(const sp_facts *facts, uint8_t fact, uint64_t at_least)
{
    if (!facts->known[fact]) {
        return OPEN;
    }
    return facts->value[fact] >= at_least ? YES : NO;
}

/* The lesser of two: both have to be. */
static says both(says a, says b)
{
    return a < b ? a : b;
}

static says condition_says(const sp_facts *facts, const sp_law_condition *condition)
{
    says own = fact_says(facts, condition->fact, condition->at_least);
    return condition->also < SP_FACT_COUNT ? both(own, fact_says(facts, condition->also, 1)) : own;
}

static void note_open(const sp_facts *facts, const sp_law_condition *condition,
                      sp_law_answer *answer)
{
    if (!facts->known[condition->fact]) {
        answer->open |= 1U << condition->fact;
    }
    if (condition->also < SP_FACT_COUNT && !facts->known[condition->also]) {
        answer->open |= 1U << condition->also;
    }
}

/* One level: whether it is reached, and by which line. What is open is noted for graver ones only,
 * so a level that is reached is not made doubtful by its other conditions. */
static says level_says(const sp_facts *facts, const sp_law_level *level, uint32_t *line)
{
    says all = NO;
    for (size_t i = 0; i < level->count; i++) {
        const sp_law_condition *condition = &level->any[i];
        if (condition->fact == SP_FACT_JUDGEMENT) {
            all = all == NO && !facts->known[SP_FACT_JUDGEMENT] ? OPEN : all;
            continue;
        }
        says one = condition_says(facts, condition);
        if (one == YES) {
            *line = condition->line;
            return YES;
        }
        all = one == OPEN ? OPEN : all;
    }
    return all;
}

static void note_level(const sp_facts *facts, const sp_law_level *level, sp_law_answer *answer)
{
    for (size_t i = 0; i < level->count; i++) {
        const sp_law_condition *condition = &level->any[i];
        if (condition->fact == SP_FACT_JUDGEMENT) {
            answer->person_decides = answer->person_decides || !facts->known[SP_FACT_JUDGEMENT];
        } else if (condition_says(facts, condition) == OPEN) {
            note_open(facts, condition, answer);
        }
    }
}

/* A person's word can only raise: what a number reached, nobody talks down. */
static void take_word(const sp_law_pack *pack, const sp_facts *facts, sp_law_answer *answer)
{
    uint64_t word = facts->known[SP_FACT_JUDGEMENT] ? facts->value[SP_FACT_JUDGEMENT] : 0;
    bool reached = answer->level < pack->levels_count;
    if (word > 0 && word <= pack->levels_count && (!reached || word - 1 > answer->level)) {
        answer->level = (size_t)word - 1;
        answer->line = 0;
        answer->person_decided = true;
    }
}

void sp_law_classify(const sp_law_pack *pack, const sp_facts *facts, sp_law_answer *ret_answer)
{
    sp_law_answer answer = {.level = pack->levels_count};
    size_t might = pack->levels_count;
    for (size_t i = pack->levels_count; i-- > 0;) {
        says one = level_says(facts, &pack->levels[i], &answer.line);
        if (one == YES) {
            answer.level = i;
            break;
        }
        if (one == OPEN && might == pack->levels_count) {
            might = i;
        }
    }
    take_word(pack, facts, &answer);
    bool reached = answer.level < pack->levels_count;
    for (size_t i = reached ? answer.level + 1 : 0; i < pack->levels_count; i++) {
        note_level(facts, &pack->levels[i], &answer);
    }
    bool higher = might < pack->levels_count && (!reached || might > answer.level);
    answer.might = higher ? might : answer.level;
    *ret_answer = answer;
}

/* Whether the level is as grave as a place. */
static says reaches(const sp_law_pack *pack, const sp_law_answer *answer, uint8_t from)
{
    if (from >= SP_LAW_LEVELS_MAX) {
        return YES;
    }
    if (answer->level < pack->levels_count && answer->level >= from) {
        return YES;
    }
    return answer->might < pack->levels_count && answer->might >= from ? OPEN : NO;
}

sp_duty_says sp_law_duty_says(const sp_law_pack *pack, size_t duty, const sp_facts *facts,
                              const sp_law_answer *answer)
{
    const sp_law_duty *d = &pack->duties[duty];
    says all = reaches(pack, answer, d->from_level);
    for (size_t i = 0; i < d->needs_count; i++) {
        all = both(all, fact_says(facts, d->needs[i], 1));
    }
    for (size_t i = 0; i < d->unless_count; i++) {
        says one = fact_says(facts, d->unless[i], 1);
        all = both(all, one == YES ? NO : (one == NO ? YES : OPEN));
    }
    return all == YES ? SP_DUTY_YES : (all == OPEN ? SP_DUTY_OPEN : SP_DUTY_NO);
}

uint64_t sp_law_due(const sp_law_duty *duty, uint64_t discovered_unix_s, uint64_t closed_unix_s)
{
    uint64_t from = duty->start == SP_LAW_CLOSED ? closed_unix_s : discovered_unix_s;
    uint64_t due = 0;
    if (from == 0 || __builtin_add_overflow(from, duty->within_s, &due)) {
        return 0;
    }
    return due;
}

sp_due_stage sp_law_stage(uint64_t begun_unix_s, uint64_t due_unix_s, uint64_t now_unix_s)
{
    if (now_unix_s >= due_unix_s) {
        return SP_DUE_OVER;
    }
    uint64_t whole = due_unix_s > begun_unix_s ? due_unix_s - begun_unix_s : 0;
    uint64_t left = due_unix_s - now_unix_s;
    if (left <= whole / 4) {
        return SP_DUE_QUARTER;
    }
    return left <= whole / 2 ? SP_DUE_HALF : SP_DUE_FAR;
}
