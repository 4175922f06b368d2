/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: a law pack of any shape over any facts. What is told raises or settles, never lowers: a
 * report that knows more is never less grave than what was reached before.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/law/law.h.
 */
#include "lib/law/law.h"
#include "lib/base/mem.h"
#include "lib/base/reader.h"

#include <stdlib.h>

static void take_pack(sp_reader *in, sp_law_pack *pack)
{
    pack->levels_count = sp_read_u8(in) % (SP_LAW_LEVELS_MAX + 1);
    for (size_t i = 0; i < pack->levels_count; i++) {
        sp_law_level *level = &pack->levels[i];
        level->count = sp_read_u8(in) % 5;
        for (size_t c = 0; c < level->count; c++) {
            level->any[c] = (sp_law_condition){.fact = sp_read_u8(in) % SP_FACT_COUNT,
                                               .also = sp_read_u8(in) % (SP_FACT_COUNT + 1),
                                               .at_least = 1U + sp_read_u8(in)};
        }
    }
    pack->duties_count = sp_read_u8(in) % 4;
    for (size_t i = 0; i < pack->duties_count; i++) {
        sp_law_duty *duty = &pack->duties[i];
        duty->from_level = sp_read_u8(in) % (SP_LAW_LEVELS_MAX + 1);
        duty->start = sp_read_u8(in) % SP_LAW_START_COUNT;
        duty->within_s = sp_read_u64(in);
        duty->needs_count = 1;
        duty->needs[0] = sp_read_u8(in) % SP_FACT_COUNT;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_reader in = sp_reader_of(sp_span_of(data, size));
    static sp_law_pack pack;
    sp_facts facts = {0};
    sp_law_answer before;
    sp_law_answer after;
    sp_set(&pack, 0, sizeof(pack));
    take_pack(&in, &pack);
    for (unsigned i = 0; i < SP_FACT_COUNT; i++) {
        facts.known[i] = sp_read_u8(&in) % 2 == 1;
        facts.value[i] = facts.known[i] ? sp_read_u8(&in) : 0;
    }
    sp_law_classify(&pack, &facts, &before);
    bool reached = before.level < pack.levels_count;
    if ((!reached && before.level != pack.levels_count) || before.might > pack.levels_count ||
        (reached && before.might < before.level)) {
        abort();
    }
    for (size_t i = 0; i < pack.duties_count; i++) {
        sp_duty_says says = sp_law_duty_says(&pack, i, &facts, &before);
        uint64_t due = sp_law_due(&pack.duties[i], sp_read_u64(&in), sp_read_u64(&in));
        if (says >= SP_DUTY_SAYS_COUNT || sp_law_stage(0, due, due) != SP_DUE_OVER) {
            abort();
        }
    }
    uint8_t more = sp_read_u8(&in) % SP_FACT_COUNT;
    if (!facts.known[more]) {
        facts.known[more] = true;
        facts.value[more] = sp_read_u8(&in);
        sp_law_classify(&pack, &facts, &after);
        if (reached && (after.level == pack.levels_count || after.level < before.level)) {
            abort();
        }
    }
    return 0;
}
