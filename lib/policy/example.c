/* SPDX-License-Identifier: Apache-2.0
 * Examples: the policy's own tests, run at every compilation.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema. SPEC docs/POLICY.md.
 */
#include "lib/policy/ask.h"
#include "lib/policy/schema.h"

enum { NAMES_MAX = 64 };

static size_t spans_of(const doc_texts *texts, sp_span spans[NAMES_MAX])
{
    size_t count = texts->count < NAMES_MAX ? texts->count : NAMES_MAX;
    for (size_t i = 0; i < count; i++) {
        spans[i] = texts->items[i].text;
    }
    return count;
}

static sp_err read_given(const compiling *c, const doc_example *example, sp_policy_ask *ask,
                         sp_span roles[NAMES_MAX], sp_span tags[NAMES_MAX])
{
    const doc_given *given = &example->given;
    *ask = (sp_policy_ask){.person = given->person.text,
                           .roles = roles,
                           .roles_count = spans_of(&given->roles, roles),
                           .resource = given->resource.text,
                           .part = given->part.text,
                           .class_name = given->class_name.text,
                           .tags = tags,
                           .tags_count = spans_of(&given->tags, tags),
                           .tried = example->tried.text,
                           .network = given->network.text,
                           .approvals = (uint32_t)given->approved_by.value,
                           .auth_age_s = (uint32_t)given->auth_age.value,
                           .file = example->head.place.file,
                           .line = example->head.place.line,
                           .column = example->head.place.column};
    if (given->device.owner != 0) {
        ask->owner = sp_span_cstr(sp_owner_word((sp_owner)(given->device.owner - 1)));
    }
    if (given->device.posture != 0) {
        ask->posture = sp_span_cstr(sp_posture_word((sp_posture)(given->device.posture - 1)));
    }
    if (given->mfa != 0) {
        ask->strength = sp_span_cstr(sp_strength_word((sp_strength)(given->mfa - 1)));
    }
    if (given->at.line != 0 && sp_failed(sp_policy_parse_time(given->at.text, &ask->now_unix_s))) {
        sp_diags_add(c->diags, SP_DIAG_ERROR, example->head.place.file, given->at.line,
                     given->at.column,
                     "at: '%.*s' found, but it takes a time as in 2026-02-23T18:56:00+08:00",
                     SP_SPAN_ARG(given->at.text));
        return sp_fail(SP_EINVALID);
    }
    return sp_ok();
}

static void compare(const compiling *c, const doc_example *example, const sp_policy_ask *ask,
                    const policy_asked *asked)
{
    const sp_decision *d = &asked->decision;
    sp_span rule = sp_policy_rule_name(&c->set->view, d->rule);
    bool same_verdict = d->verdict == example->expect - 1;
    bool as_expected = same_verdict &&
                       (example->rule.line == 0 || sp_span_eq(example->rule.text, rule)) &&
                       (example->reason == 0 || d->reason == example->reason - 1);
    if (as_expected) {
        c->set->figures.examples++;
        return;
    }
    sp_policy_told told = {.decision = *d,
                           .who = asked->who,
                           .question = {.resource = asked->object.resource,
                                        .part = asked->part,
                                        .action = asked->action,
                                        .now_unix_s = asked->now_unix_s},
                           .near = asked->near};
    auto_buf sp_buf text = sp_buf_make(2000);
    sp_policy_explain_text(c->set, ask, &told, &text);
    sp_span sentence = sp_buf_borrow(&text);
    sp_diags_add(
        c->diags, SP_DIAG_ERROR, example->head.place.file, example->head.place.line,
        example->head.place.column, "example '%.*s' expects %s%s%.*s%s%s, but: %.*s",
        SP_SPAN_ARG(example->head.name.text), sp_verdict_word((sp_verdict)(example->expect - 1)),
        example->rule.line != 0 ? " by '" : "", SP_SPAN_ARG(example->rule.text),
        example->rule.line != 0 ? "'" : "",
        same_verdict && example->reason != 0 ? " for another reason" : "", SP_SPAN_ARG(sentence));
}

sp_err set_run_examples(compiling *c)
{
    sp_span roles[NAMES_MAX];
    sp_span tags[NAMES_MAX];
    DOC_EACH(&c->set->docs, SP_DOC_EXAMPLE, doc_example, example)
    {
        sp_policy_ask ask;
        policy_asked asked;
        if (sp_failed(read_given(c, example, &ask, roles, tags)) ||
            sp_failed(policy_ask(c->set, &ask, c->diags, &asked))) {
            continue; /* told */
        }
        compare(c, example, &ask, &asked);
    }
    return sp_ok();
}
