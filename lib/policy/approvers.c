/* SPDX-License-Identifier: Apache-2.0
 * Who may agree, looked up in the documents of a compiled set.
 * OWNS nothing. PROCESS core, cli. TRUST the set compiled: every name is known.
 * SPEC lib/policy/approvers.h.
 */
#include "lib/policy/approvers.h"

#include "lib/base/reader.h"
#include "lib/policy/set.h"

enum {
    SECURITY_ADMIN = 2,
    LONGEST_DEFAULT_S = 8 * 3600,
    LONGEST_SEALED_S = 3600,
    WARN_DEFAULT_S = 14 * 86400,
    MARKED_MAX_BYTES = 8 * SP_ROLE_WORDS + 16 + 4 * SP_APPROVERS_PEOPLE_MAX
};

bool sp_policy_people_has(const sp_policy_people *people, uint32_t person,
                          const uint64_t roles[SP_ROLE_WORDS])
{
    bool has = people->everyone;
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        has = has || (people->roles[w] & roles[w]) != 0;
    }
    for (uint32_t i = 0; i < people->people_count; i++) {
        has = has || people->people[i] == person;
    }
    return has;
}

bool sp_policy_approvers_device(const sp_policy_approvers *approvers, sp_owner owner,
                                sp_posture posture, sp_strength strength)
{
    return (approvers->owners == 0 || (approvers->owners >> owner & 1) != 0) &&
           (approvers->postures == 0 || (approvers->postures >> posture & 1) != 0) &&
           strength >= approvers->strength;
}

static void add_role(const sp_policy_set *set, sp_span name, sp_policy_people *people)
{
    uint32_t at = 0;
    if (name_get(&set->role_names, name, &at)) {
        for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
            people->roles[w] |= set->roles[at].implied_by[w];
        }
    }
}

/* In the order of their numbers: who they are does not hang on how they were written down. */
static void put_person(sp_policy_people *people, uint32_t number)
{
    uint32_t at = people->people_count++;
    for (; at > 0 && people->people[at - 1] > number; at--) {
        people->people[at] = people->people[at - 1];
    }
    people->people[at] = number;
}

static sp_err people_of(const sp_policy_set *set, const doc_who *doc, sp_policy_people *people)
{
    *people = (sp_policy_people){.everyone = doc->any == DOC_TRUE};
    for (size_t i = 0; i < doc->roles.count; i++) {
        add_role(set, doc->roles.items[i].text, people);
    }
    for (size_t i = 0; i < doc->people.count; i++) {
        uint32_t number = 0;
        if (!name_get(&set->people, doc->people.items[i].text, &number)) {
            continue;
        }
        if (people->people_count == SP_APPROVERS_PEOPLE_MAX) {
            return sp_fail(SP_ELIMIT);
        }
        put_person(people, number);
    }
    return sp_ok();
}

static void take_ask(const doc_approval *ask, sp_policy_approvers *approvers)
{
    approvers->needed = (uint8_t)ask->approved_by.value;
    approvers->owners = ask->on.owner;
    approvers->postures = ask->on.posture;
    approvers->strength = SP_STRENGTH_TOTP;
    approvers->expires_s =
        ask->expires.line == 0 ? SP_ASK_EXPIRES_DEFAULT_S : (uint32_t)ask->expires.value;
}

static sp_err approvers_of(const sp_policy_set *set, const doc_rule *doc,
                           sp_policy_approvers *ret_approvers)
{
    sp_policy_approvers approvers = {0};
    take_ask(&doc->ask, &approvers);
    if (doc->ask.on.place.line == 0) {
        approvers.owners = doc->on.owner;
        approvers.postures = doc->on.posture;
    }
    if (doc->when.mfa != 0 && doc->when.mfa - 1 > approvers.strength) {
        approvers.strength = (uint8_t)(doc->when.mfa - 1);
    }
    if (doc->ask.by.place.line != 0) {
        TRY(people_of(set, &doc->ask.by, &approvers.by));
    } else if (doc->who.roles.count > 0) {
        const doc_who named = {.roles = doc->who.roles};
        TRY(people_of(set, &named, &approvers.by));
    } else {
        role_add(approvers.by.roles, SECURITY_ADMIN);
    }
    *ret_approvers = approvers;
    return sp_ok();
}

sp_err sp_policy_set_rule_approvers(const sp_policy_set *set, sp_span rule,
                                    sp_policy_approvers *ret_approvers)
{
    DOC_EACH(&set->docs, SP_DOC_RULE, doc_rule, doc)
    {
        if (sp_span_eq(doc->head.name.text, rule) && doc->ask.place.line != 0) {
            return approvers_of(set, doc, ret_approvers);
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

uint64_t set_approvers_mark(const sp_policy_set *set, const doc_rule *doc)
{
    sp_policy_approvers a;
    auto_buf sp_buf text = sp_buf_make(MARKED_MAX_BYTES);
    if (doc->ask.place.line == 0 || sp_failed(approvers_of(set, doc, &a))) {
        return 0;
    }
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        sp_buf_u64(&text, a.by.roles[w]);
    }
    sp_buf_u8(&text, a.by.everyone ? 1 : 0);
    sp_buf_u32(&text, a.owners);
    sp_buf_u32(&text, a.postures);
    sp_buf_u8(&text, a.strength);
    sp_buf_u32(&text, a.expires_s);
    for (uint32_t i = 0; i < a.by.people_count; i++) {
        sp_buf_u32(&text, a.by.people[i]);
    }
    sp_hash hash = sp_sha256(sp_buf_borrow(&text));
    sp_reader in = sp_reader_of(sp_hash_borrow(&hash));
    return sp_failed(sp_buf_error(&text)) ? 0 : sp_read_u64(&in);
}

sp_err sp_policy_set_request(const sp_policy_set *set, sp_span role, sp_policy_request *ret_request)
{
    uint32_t at = 0;
    if (!name_get(&set->role_names, role, &at) || set->roles[at].doc == NULL ||
        set->roles[at].doc->request.place.line == 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    const doc_request *doc = &set->roles[at].doc->request;
    bool sealed = doc->sealed == DOC_TRUE;
    sp_policy_request request = {.role = set->roles[at].name,
                                 .number = set->roles[at].number,
                                 .ticket = doc->ticket == DOC_TRUE,
                                 .sealed = sealed,
                                 .longest_s = sealed ? LONGEST_SEALED_S : LONGEST_DEFAULT_S};
    if (doc->longest.line != 0) {
        request.longest_s = (uint32_t)doc->longest.value;
    }
    TRY(people_of(set, &doc->who, &request.who));
    take_ask(&doc->ask, &request.approvers);
    if (doc->ask.by.place.line != 0) {
        TRY(people_of(set, &doc->ask.by, &request.approvers.by));
    } else {
        role_add(request.approvers.by.roles, SECURITY_ADMIN);
        add_role(set, role, &request.approvers.by);
    }
    *ret_request = request;
    return sp_ok();
}

static bool covers(const doc_recertification *doc, sp_span role)
{
    for (size_t i = 0; i < doc->roles.count; i++) {
        if (sp_span_eq(doc->roles.items[i].text, role)) {
            return true;
        }
    }
    return false;
}

sp_err sp_policy_set_recertification(const sp_policy_set *set, sp_span role,
                                     sp_policy_recertification *ret_recertification)
{
    const doc_recertification *found = NULL;
    DOC_EACH(&set->docs, SP_DOC_RECERTIFICATION, doc_recertification, doc)
    {
        if (covers(doc, role) && (found == NULL || doc->every.value < found->every.value)) {
            found = doc;
        }
    }
    if (found == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    uint32_t every_s = (uint32_t)found->every.value;
    uint32_t warn_s = found->warn.line != 0 ? (uint32_t)found->warn.value : WARN_DEFAULT_S;
    sp_policy_recertification result = {
        .name = found->head.name.text,
        .every_s = every_s,
        .warn_s = warn_s < every_s ? warn_s : every_s / 2,
    };
    TRY(people_of(set, &found->by, &result.by));
    *ret_recertification = result;
    return sp_ok();
}
