/* SPDX-License-Identifier: Apache-2.0
 * Sinks, law packs and officers: what the schema cannot check, and how core looks at them.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema.
 * SPEC docs/POLICY.md "Sink", "LawPack", "Officer"; lib/policy/duties.h.
 */
#include "lib/policy/duties.h"
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

enum { BATCH_DEFAULT = 200, TIMEOUT_DEFAULT_S = 15, SYSLOG_MESSAGE_BYTES = 8192, DATE_BYTES = 10 };

const char *const SP_SINK_WORDS[] = {"syslog", "http", "kafka", NULL};
const char *const SP_ITEM_OF_WORDS[] = {"asked",  "office",   "incident", "times",
                                        "level",  "facts",    "measures", "alarms",
                                        "review", "officers", NULL};
const char *const SP_OFFICER_WORDS[] = {"security_leader",
                                        "security_deputy",
                                        "data_protection",
                                        "data_security",
                                        "incident_reporting",
                                        "other",
                                        NULL};
static const char *const OFFICER_TITLES[SP_OFFICER_DUTY_COUNT][SP_LANGUAGE_COUNT] = {
    {"Head of network security", "网络安全负责人"},
    {"Deputy head of network security", "网络安全副负责人"},
    {"Personal information protection officer", "个人信息保护负责人"},
    {"Data security officer", "数据安全负责人"},
    {"Incident reporting officer", "事件报告联络人"},
    {"Officer", "负责人"},
};

/* ---- sinks ---- */

static void check_sink(compiling *c, const doc_sink *doc)
{
    const char *file = doc->head.place.file;
    bool syslog = doc->via == SP_SINK_SYSLOG + 1;
    bool kafka = doc->via == SP_SINK_KAFKA + 1;
    sp_span host;
    uint16_t port = 0;
    if (doc->via == 0) {
        return; /* told by the schema */
    }
    if (syslog && (sp_failed(set_host_and_port(doc->address.text, &host, &port)) || port == 0)) {
        set_wrong(c, file, &doc->address, "expected a host and a port, as in logs.internal:6514");
    }
    const char *fault = syslog ? NULL : sp_channel_address_fault(doc->address.text);
    if (fault != NULL) {
        set_wrong(c, file, &doc->address, fault);
    }
    if (!syslog && sp_channel_address_has_token(doc->address.text)) {
        set_wrong(c, file, &doc->address, "a sink's token goes into a header: 'token: true'");
    }
    if (kafka != (doc->topic.line != 0)) {
        set_error(c, &doc->head.place, "a sink via kafka has a 'topic', and no other has");
    }
    if (syslog && (doc->token == DOC_TRUE || doc->is_signed == DOC_TRUE)) {
        set_error(c, &doc->head.place, "'token' and 'signed' are not for a sink via syslog");
    }
    DOC_EACH(&c->set->docs, SP_DOC_CHANNEL, const doc_channel, channel)
    {
        if (sp_span_eq(channel->head.name.text, doc->head.name.text)) {
            set_wrong(c, file, &doc->head.name,
                      "a Channel has this name, and would have the same "
                      "secrets");
        }
    }
}

/* ---- law packs ---- */

static const doc_law_level *levels_of(const doc_law_pack *doc)
{
    return doc->levels.items;
}

static uint8_t level_at(const doc_law_pack *doc, sp_span name)
{
    size_t at = 0;
    while (at < doc->levels.count && !sp_span_eq(levels_of(doc)[at].name.text, name)) {
        at++;
    }
    return (uint8_t)at;
}

static bool is_date(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool dash = i == 4 || i == 7;
        if (dash ? text.ptr[i] != '-' : text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len == DATE_BYTES;
}

static void check_count(compiling *c, const doc_law_pack *doc, const char *what, size_t count,
                        size_t max)
{
    if (count > max) {
        set_error(c, &doc->head.place, "it has %zu %s, expected at most %zu", count, what, max);
    }
}

static void check_pack(compiling *c, const doc_law_pack *doc)
{
    const char *file = doc->head.place.file;
    check_count(c, doc, "levels", doc->levels.count, SP_LAW_LEVELS_MAX);
    check_count(c, doc, "duties", doc->duties.count, SP_LAW_DUTIES_MAX);
    check_count(c, doc, "items", doc->items.count, SP_LAW_ITEMS_MAX);
    if (!is_date(doc->dated.text)) {
        set_wrong(c, file, &doc->dated, "expected a day, as in 2026-11-01");
    }
    for (size_t i = 0; i < doc->levels.count; i++) {
        const doc_law_level *level = &levels_of(doc)[i];
        if (level_at(doc, level->name.text) != i) {
            set_wrong(c, file, &level->name, "a level before it has this name");
        }
        if (level->any.count > SP_LAW_CONDITIONS_MAX) {
            set_wrong(c, file, &level->name, "it has more than 32 conditions");
        }
    }
    for (size_t i = 0; i < doc->duties.count; i++) {
        const doc_law_duty *duty = (const doc_law_duty *)doc->duties.items + i;
        if (duty->from.line != 0 && level_at(doc, duty->from.text) == doc->levels.count) {
            set_wrong(c, file, &duty->from, "expected the name of one of its levels");
        }
        if (__builtin_popcount(duty->needs) > SP_LAW_NEEDS_MAX ||
            __builtin_popcount(duty->unless) > SP_LAW_NEEDS_MAX) {
            set_wrong(c, file, &duty->name, "'needs' and 'unless' name at most 4 facts each");
        }
    }
}

static void check_officer(compiling *c, const doc_officer *doc)
{
    if (doc->deputies.count > SP_OFFICER_DEPUTIES_MAX) {
        set_error(c, &doc->head.place, "it has %zu deputies, expected at most %d",
                  doc->deputies.count, SP_OFFICER_DEPUTIES_MAX);
    }
}

/* Without its pack a report has no clocks any more. */
static void check_packs(const compiling *c)
{
    for (size_t i = 0; i < c->input->packs_count; i++) {
        bool is_there = false;
        DOC_EACH(&c->set->docs, SP_DOC_LAW_PACK, const doc_law_pack, pack)
        {
            is_there = is_there || sp_span_eq(pack->head.name.text, c->input->packs[i]);
        }
        if (!is_there) {
            sp_diags_add(c->diags, SP_DIAG_ERROR, NULL, 0, 0,
                         "the LawPack '%.*s' cannot go: clocks of reports run under it. Change it "
                         "instead, or wait until they are filed and 60 days have passed",
                         SP_SPAN_ARG(c->input->packs[i]));
        }
    }
}

sp_err set_resolve_duties(compiling *c)
{
    check_packs(c);
    DOC_EACH(&c->set->docs, SP_DOC_SINK, const doc_sink, sink)
    {
        check_sink(c, sink);
    }
    DOC_EACH(&c->set->docs, SP_DOC_LAW_PACK, const doc_law_pack, pack)
    {
        check_pack(c, pack);
    }
    DOC_EACH(&c->set->docs, SP_DOC_OFFICER, const doc_officer, officer)
    {
        check_officer(c, officer);
    }
    return sp_ok();
}

/* ---- for core: sinks ---- */

static uint32_t number_or(const doc_number *number, uint32_t otherwise)
{
    return number->line == 0 ? otherwise : (uint32_t)number->value;
}

size_t sp_policy_set_sink_count(const sp_policy_set *set)
{
    return set->docs.kinds[SP_DOC_SINK].count;
}

void sp_policy_set_sink_at(const sp_policy_set *set, size_t at, sp_policy_sink *ret_sink)
{
    const doc_sink *doc = (const doc_sink *)set->docs.kinds[SP_DOC_SINK].items + at;
    *ret_sink = (sp_policy_sink){.name = doc->head.name.text,
                                 .address = doc->address.text,
                                 .topic = doc->topic.text,
                                 .ca = doc->ca.text,
                                 .kinds = doc->kinds,
                                 .batch = number_or(&doc->batch, BATCH_DEFAULT),
                                 .message = SYSLOG_MESSAGE_BYTES,
                                 .timeout_s = (uint16_t)number_or(&doc->timeout, TIMEOUT_DEFAULT_S),
                                 .via = (uint8_t)(doc->via - 1),
                                 .severity = doc->severity == 0 ? 0 : (uint8_t)(doc->severity - 1),
                                 .token = doc->token == DOC_TRUE,
                                 .is_signed = doc->is_signed == DOC_TRUE,
                                 .from_start = doc->from == 2};
}

sp_err sp_policy_set_sink(const sp_policy_set *set, sp_span name, sp_policy_sink *ret_sink)
{
    for (size_t i = 0; i < sp_policy_set_sink_count(set); i++) {
        sp_policy_set_sink_at(set, i, ret_sink);
        if (sp_span_eq(ret_sink->name, name)) {
            return sp_ok();
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

/* ---- for core: law packs ---- */

static void take_title(const doc_title *from, sp_span ret[SP_LANGUAGE_COUNT])
{
    ret[SP_LANGUAGE_EN] = from->en.text;
    ret[SP_LANGUAGE_ZH] = from->zh.text;
}

static size_t take_facts(uint32_t bits, uint8_t ret[SP_LAW_NEEDS_MAX])
{
    size_t count = 0;
    for (uint8_t fact = 0; fact < SP_FACT_COUNT && count < SP_LAW_NEEDS_MAX; fact++) {
        if ((bits >> fact & 1U) != 0) {
            ret[count++] = fact;
        }
    }
    return count;
}

static void take_level(const doc_law_level *doc, sp_law_level *level)
{
    level->name = doc->name.text;
    for (size_t i = 0; i < doc->any.count && i < SP_LAW_CONDITIONS_MAX; i++) {
        const doc_law_condition *one = (const doc_law_condition *)doc->any.items + i;
        level->any[level->count++] =
            (sp_law_condition){.fact = (uint8_t)(one->fact - 1),
                               .also = one->also == 0 ? SP_FACT_COUNT : (uint8_t)(one->also - 1),
                               .at_least = one->at_least.line == 0 ? 1 : one->at_least.value,
                               .line = one->place.line};
    }
}

static void take_duty(const doc_law_pack *doc, const doc_law_duty *one, sp_law_duty *duty)
{
    *duty = (sp_law_duty){.name = one->name.text,
                          .from_level = one->from.line == 0 ? SP_LAW_LEVELS_MAX
                                                            : level_at(doc, one->from.text),
                          .start = one->start == 0 ? SP_LAW_DISCOVERY : (uint8_t)(one->start - 1),
                          .within_s = one->within.value};
    duty->needs_count = take_facts(one->needs, duty->needs);
    duty->unless_count = take_facts(one->unless, duty->unless);
}

static void law_of(const doc_law_pack *doc, sp_policy_law *ret)
{
    sp_set(ret, 0, sizeof(*ret));
    ret->name = doc->head.name.text;
    ret->dated = doc->dated.text;
    take_title(&doc->title, ret->title);
    for (size_t i = 0; i < doc->levels.count; i++) {
        take_level(&levels_of(doc)[i], &ret->pack.levels[i]);
        take_title(&levels_of(doc)[i].title, ret->level_titles[i]);
    }
    ret->pack.levels_count = doc->levels.count;
    for (size_t i = 0; i < doc->duties.count; i++) {
        const doc_law_duty *one = (const doc_law_duty *)doc->duties.items + i;
        take_duty(doc, one, &ret->pack.duties[i]);
        take_title(&one->title, ret->duty_titles[i]);
        ret->duty_articles[i] = one->article.text;
    }
    ret->pack.duties_count = doc->duties.count;
    for (size_t i = 0; i < doc->items.count; i++) {
        const doc_law_item *one = (const doc_law_item *)doc->items.items + i;
        ret->items[i] =
            (sp_policy_law_item){.name = one->name.text,
                                 .of = one->of == 0 ? SP_ITEM_ASKED : (uint8_t)(one->of - 1),
                                 .later = one->later == DOC_TRUE};
        take_title(&one->title, ret->items[i].title);
    }
    ret->items_count = doc->items.count;
}

static const doc_law_pack *pack_at(const sp_policy_set *set, size_t at)
{
    DOC_EACH(&set->docs, SP_DOC_LAW_PACK, const doc_law_pack, pack)
    {
        if (pack->off != DOC_TRUE && at-- == 0) {
            return pack;
        }
    }
    return NULL;
}

size_t sp_policy_set_law_count(const sp_policy_set *set)
{
    size_t count = 0;
    while (pack_at(set, count) != NULL) {
        count++;
    }
    return count;
}

void sp_policy_set_law_at(const sp_policy_set *set, size_t at, sp_policy_law *ret_law)
{
    law_of(pack_at(set, at), ret_law);
}

sp_err sp_policy_set_law(const sp_policy_set *set, sp_span name, sp_policy_law *ret_law)
{
    DOC_EACH(&set->docs, SP_DOC_LAW_PACK, const doc_law_pack, pack)
    {
        if (sp_span_eq(pack->head.name.text, name)) {
            law_of(pack, ret_law);
            return sp_ok();
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

/* ---- for core: officers ---- */

size_t sp_policy_set_officer_count(const sp_policy_set *set)
{
    return set->docs.kinds[SP_DOC_OFFICER].count;
}

void sp_policy_set_officer_at(const sp_policy_set *set, size_t at, sp_policy_officer *ret_officer)
{
    const doc_officer *doc = (const doc_officer *)set->docs.kinds[SP_DOC_OFFICER].items + at;
    *ret_officer = (sp_policy_officer){.name = doc->head.name.text,
                                       .person = doc->person.text,
                                       .contact = doc->contact.text,
                                       .basis = doc->basis.text,
                                       .duty = (uint8_t)(doc->duty - 1)};
    take_title(&doc->title, ret_officer->title);
    for (unsigned i = 0; i < SP_LANGUAGE_COUNT && doc->title.en.line == 0; i++) {
        ret_officer->title[i] = sp_span_cstr(OFFICER_TITLES[ret_officer->duty][i]);
    }
    for (size_t i = 0; i < doc->deputies.count && i < SP_OFFICER_DEPUTIES_MAX; i++) {
        ret_officer->deputies[ret_officer->deputies_count++] = doc->deputies.items[i].text;
    }
}
