/* SPDX-License-Identifier: Apache-2.0
 * The approvers of an ask: those of each rule that asks, every one of them with its own number.
 * OWNS nothing. PROCESS core. TRUST rows are core's own. SPEC core/approvals/inside.h.
 */
#include "core/approvals/inside.h"

uint32_t sp_ask_sets_of(const sp_ask *ask, uint32_t person, const uint64_t roles[SP_ROLE_WORDS])
{
    uint32_t sets = 0;
    for (uint8_t i = 0; i < ask->approvers_count && person != ask->asker; i++) {
        sets |= sp_policy_people_has(&ask->approvers[i].by, person, roles) ? 1U << i : 0;
    }
    return sets;
}

uint8_t sp_ask_needed(const sp_ask *ask)
{
    uint8_t most = 0;
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        most = ask->approvers[i].needed > most ? ask->approvers[i].needed : most;
    }
    return most;
}

uint32_t sp_ask_expires_s(const sp_ask *ask)
{
    uint32_t least = UINT32_MAX;
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        least = ask->approvers[i].expires_s < least ? ask->approvers[i].expires_s : least;
    }
    return least;
}

/* ---- as bytes, one after the other ---- */

static void write_one(const sp_policy_approvers *approvers, sp_buf *out)
{
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        sp_buf_u64(out, approvers->by.roles[w]);
    }
    sp_buf_u8(out, approvers->by.everyone ? 1 : 0);
    sp_buf_u32(out, approvers->owners);
    sp_buf_u32(out, approvers->postures);
    sp_buf_u8(out, approvers->strength);
    sp_buf_u8(out, approvers->needed);
    sp_buf_u32(out, approvers->expires_s);
    sp_buf_u32(out, approvers->by.people_count);
    for (uint32_t i = 0; i < approvers->by.people_count; i++) {
        sp_buf_u32(out, approvers->by.people[i]);
    }
}

static sp_err read_one(sp_reader *r, sp_policy_approvers *a)
{
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        a->by.roles[w] = sp_read_u64(r);
    }
    a->by.everyone = sp_read_u8(r) == 1;
    a->owners = sp_read_u32(r);
    a->postures = sp_read_u32(r);
    a->strength = sp_read_u8(r);
    a->needed = sp_read_u8(r);
    a->expires_s = sp_read_u32(r);
    uint32_t count = sp_read_u32(r);
    if (count > SP_APPROVERS_PEOPLE_MAX) {
        return sp_fail(SP_ECORRUPT);
    }
    for (; a->by.people_count < count; a->by.people_count++) {
        a->by.people[a->by.people_count] = sp_read_u32(r);
    }
    return r->err;
}

void sp_ask_sets_write(const sp_ask *ask, sp_buf *out)
{
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        write_one(&ask->approvers[i], out);
    }
}

sp_err sp_ask_sets_read(sp_span bytes, sp_ask *ask)
{
    sp_reader r = sp_reader_of(bytes);
    for (ask->approvers_count = 0; r.rest.len > 0 || ask->approvers_count == 0;) {
        if (ask->approvers_count == SP_ASKS_MAX) {
            return sp_fail(SP_ECORRUPT);
        }
        TRY(read_one(&r, &ask->approvers[ask->approvers_count++]));
    }
    return sp_reader_finish(&r);
}
