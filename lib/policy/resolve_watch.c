/* SPDX-License-Identifier: Apache-2.0
 * Detections and canaries into the program that the watch runs.
 * OWNS nothing: the bytes belong to the set. PROCESS core, cli. TRUST documents passed the schema;
 * what the schema cannot say is checked here. SPEC lib/detect/program.h, docs/DETECTIONS.md.
 */
#include "lib/detect/program.h"
#include "lib/policy/load.h"
#include "lib/policy/set.h"

#define SECOND_US UINT64_C(1000000)
#define DAY_US (SECOND_US * 24 * 3600)
enum { QUIET_S = 3600, CANARY_QUIET_S = 600, LEARN_NOVEL_DAYS = 7, LEARN_RATE_DAYS = 14 };

/* ---- pieces of the program ---- */

typedef struct {
    compiling *c;
    vec rules;
    vec matches;
    vec texts;
    vec ranges;
    vec schedules;
} building;

static sp_err put_text(building *b, sp_span text)
{
    sp_span *room = NULL;
    TRY(vec_add(&b->texts, 1, &room));
    *room = text;
    return sp_ok();
}

static sp_err put_texts(building *b, const doc_texts *texts, sp_detect_run *ret_run)
{
    *ret_run = (sp_detect_run){(uint32_t)b->texts.count, (uint32_t)texts->count};
    for (size_t i = 0; i < texts->count; i++) {
        TRY(put_text(b, texts->items[i].text));
    }
    return sp_ok();
}

static void known_names(const building *b, const char *file, const doc_texts *names,
                        const char *what, const name_table *table)
{
    for (size_t i = 0; i < names->count; i++) {
        uint32_t at = 0;
        if (!name_get(table, names->items[i].text, &at)) {
            set_unknown(b->c, file, &names->items[i], what, table);
        }
    }
}

static void put_roles(const building *b, const doc_events *doc, sp_detect_match *m)
{
    const sp_policy_set *set = b->c->set;
    for (size_t i = 0; i < doc->roles.count; i++) {
        uint32_t at = 0;
        if (!name_get(&set->role_names, doc->roles.items[i].text, &at)) {
            set_unknown(b->c, doc->place.file, &doc->roles.items[i], "role", &set->role_names);
            continue;
        }
        for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
            m->roles[w] |= set->roles[at].implied_by[w];
        }
        m->flags |= SP_DETECT_HAS_ROLES;
    }
}

/* The schedule as the snapshot's compiler makes it, with its zone laid out beside it. */
static sp_err put_schedule(building *b, const doc_events *doc, uint32_t *ret_schedule)
{
    sp_policy_set *set = b->c->set;
    const doc_when when = {.place = doc->place, .hours = doc->hours, .days = doc->days};
    uint32_t at = SP_NONE;
    *ret_schedule = SP_NONE;
    TRY(set_schedule(b->c, doc->place.file, &when, &at));
    if (at == SP_NONE) {
        return sp_ok();
    }
    const snap_schedule *from = (const snap_schedule *)set->sections[SNAP_SCHEDULES].items + at;
    snap_run zone = ((const snap_run *)set->sections[SNAP_ZONES].items)[from->zone];
    const snap_step *steps = (const snap_step *)set->sections[SNAP_STEPS].items + zone.at;
    sp_detect_schedule *room = NULL;
    TRY(vec_add(&b->schedules, 1, &room));
    *room = (sp_detect_schedule){.from_minute = from->from_minute,
                                 .to_minute = from->to_minute,
                                 .days = from->days,
                                 .steps_count = (uint8_t)zone.count};
    for (uint32_t i = 0; i < zone.count; i++) {
        room->steps[i] = (sp_detect_step){steps[i].from_unix_s, steps[i].offset_s};
    }
    *ret_schedule = (uint32_t)b->schedules.count - 1;
    return sp_ok();
}

static sp_err put_networks(building *b, const doc_events *doc, sp_detect_run *ret_run)
{
    *ret_run = (sp_detect_run){.at = (uint32_t)b->ranges.count};
    for (size_t i = 0; i < doc->networks.count; i++) {
        sp_address_range *room = NULL;
        sp_address_range range;
        if (sp_failed(sp_address_range_parse(doc->networks.items[i].text, &range))) {
            set_wrong(b->c, doc->place.file, &doc->networks.items[i],
                      "not an address or a network; write 203.0.113.0/24 or 2001:db8::/32");
            continue;
        }
        TRY(vec_add(&b->ranges, 1, &room));
        *room = range;
        ret_run->count++;
    }
    return sp_ok();
}

static uint32_t flags_of(const doc_events *doc)
{
    return (doc->outside == DOC_TRUE ? SP_DETECT_OUTSIDE : 0U) |
           (doc->himself == DOC_TRUE ? SP_DETECT_SELF : 0U) |
           (doc->known == DOC_TRUE ? SP_DETECT_KNOWN : 0U) |
           (doc->elsewhere == DOC_TRUE ? SP_DETECT_ELSEWHERE : 0U);
}

static void check_status(const building *b, const doc_events *doc)
{
    for (size_t i = 0; i < doc->status.count; i++) {
        uint64_t status = 0;
        if (sp_failed(sp_span_to_u64(doc->status.items[i].text, UINT16_MAX, &status))) {
            set_wrong(b->c, doc->place.file, &doc->status.items[i],
                      "not a status; write a number, as in \"502\"");
        }
    }
}

static sp_err fill_match(building *b, const doc_events *doc, sp_detect_match *m)
{
    const sp_policy_set *set = b->c->set;
    const char *file = doc->place.file;
    *m = (sp_detect_match){.bytes = doc->bytes.value,
                           .kinds = doc->kinds,
                           .reasons = doc->reasons,
                           .actions = doc->actions,
                           .flags = flags_of(doc),
                           .schedule = SP_NONE,
                           .gates = (uint8_t)doc->gates,
                           .verdicts = (uint8_t)doc->verdicts,
                           .owners = (uint8_t)doc->owner,
                           .postures = (uint8_t)doc->posture,
                           .strengths = (uint8_t)doc->strength,
                           .severities = (uint8_t)doc->severity};
    if (doc->outside == DOC_TRUE && doc->hours.line == 0 && doc->days == 0) {
        set_error(b->c, &doc->place, "'outside' needs 'hours' or 'days' that it is outside of");
    }
    put_roles(b, doc, m);
    known_names(b, file, &doc->classes, "class", &set->class_names);
    known_names(b, file, &doc->resources, "resource", &set->resource_names);
    if (!set->people_open) {
        known_names(b, file, &doc->people, "person", &set->people);
    }
    TRY(put_schedule(b, doc, &m->schedule));
    TRY(put_texts(b, &doc->classes, &m->classes));
    TRY(put_texts(b, &doc->resources, &m->resources));
    TRY(put_texts(b, &doc->people, &m->people));
    TRY(put_texts(b, &doc->methods, &m->methods));
    TRY(put_texts(b, &doc->objects, &m->objects));
    check_status(b, doc);
    TRY(put_texts(b, &doc->status, &m->statuses));
    TRY(put_texts(b, &doc->contains, &m->contains));
    return put_networks(b, doc, &m->networks);
}

static sp_err add_match(building *b, const sp_detect_match *m, sp_detect_run *run)
{
    sp_detect_match *room = NULL;
    TRY(vec_add(&b->matches, 1, &room));
    *room = *m;
    run->at = (uint32_t)b->matches.count - 1 - run->count;
    run->count++;
    return sp_ok();
}

/* Another one at the end of the run, which is the end of all of them. */
static sp_err put_match(building *b, const doc_events *doc, sp_detect_run *run)
{
    sp_detect_match m;
    TRY(fill_match(b, doc, &m));
    return add_match(b, &m, run);
}

static sp_err put_unless(building *b, const doc_events *doc, sp_detect_rule *rule)
{
    return doc->place.line == 0 ? sp_ok() : put_match(b, doc, &rule->unless);
}

static sp_detect_rule rule_of(const doc_head *head, const doc_title *title, uint8_t severity,
                              sp_severity otherwise)
{
    sp_detect_rule rule = {.name = head->name.text,
                           .title_en = title->en.line != 0 ? title->en.text : head->name.text,
                           .title_zh = title->zh.text,
                           .severity =
                               severity == 0 ? (uint8_t)otherwise : (uint8_t)(severity - 1)};
    sp_copy(rule.version.bytes, head->hash, sizeof(rule.version.bytes));
    return rule;
}

static sp_err put_rule(building *b, const sp_detect_rule *rule)
{
    sp_detect_rule *room = NULL;
    TRY(vec_add(&b->rules, 1, &room));
    *room = *rule;
    return sp_ok();
}

static uint64_t seconds_us(const doc_number *number, uint64_t otherwise_s)
{
    return (number->line == 0 ? otherwise_s : number->value) * SECOND_US;
}

/* ---- detections ---- */

static const struct {
    size_t offset;
    const char *key;
    sp_detect_op op;
} LOOKS[] = {
    {offsetof(doc_detection, count), "count", SP_DETECT_COUNT},
    {offsetof(doc_detection, sum), "sum", SP_DETECT_SUM},
    {offsetof(doc_detection, distinct), "distinct", SP_DETECT_DISTINCT},
    {offsetof(doc_detection, sequence), "sequence", SP_DETECT_SEQUENCE},
    {offsetof(doc_detection, novel), "novel", SP_DETECT_NOVEL},
    {offsetof(doc_detection, rate), "rate", SP_DETECT_RATE},
    {offsetof(doc_detection, travel), "travel", SP_DETECT_TRAVEL},
    {offsetof(doc_detection, absent), "absent", SP_DETECT_ABSENT},
    {offsetof(doc_detection, changes), "changes", SP_DETECT_CHANGES},
};

/* The one operator that is written; told when there is none, or more. */
static const doc_look *look_of(const building *b, const doc_detection *doc, sp_detect_op *ret_op)
{
    const doc_look *found = NULL;
    size_t written = 0;
    for (size_t i = 0; i < SP_COUNT(LOOKS); i++) {
        const doc_look *look =
            (const doc_look *)(const void *)((const uint8_t *)doc + LOOKS[i].offset);
        if (look->place.line != 0) {
            found = look;
            *ret_op = LOOKS[i].op;
            written++;
        }
    }
    if (written == 1) {
        return found;
    }
    set_error(b->c, found == NULL ? &doc->head.place : &found->place,
              "a detection has exactly one of count, sum, distinct, sequence, novel, rate, travel, "
              "absent and changes; this one has %zu",
              written);
    return NULL;
}

static sp_err put_steps(building *b, const doc_detection *doc, sp_detect_rule *rule)
{
    const doc_maps *steps = &doc->sequence.steps;
    const doc_events *items = steps->items;
    if (steps->count < 2 || steps->count > SP_DETECT_STEPS_MAX) {
        set_error(b->c, &doc->sequence.place, "a sequence has 2 to %d steps; this one has %zu",
                  SP_DETECT_STEPS_MAX, steps->count);
    }
    if (doc->over.place.line != 0) {
        set_error(b->c, &doc->over.place,
                  "a sequence says in its steps which events it looks at; it has no 'over'");
    }
    for (size_t i = 0; i < steps->count; i++) {
        if (i == 0 && items[i].elsewhere == DOC_TRUE) {
            set_error(b->c, &items[i].place,
                      "the first step is not 'elsewhere': nothing was before");
        }
        TRY(put_match(b, &items[i], &rule->matches));
    }
    return sp_ok();
}

/* What only some operators take, where it does not belong. */
static void check_elsewhere(const building *b, const doc_events *doc)
{
    if (doc->elsewhere == DOC_TRUE) {
        set_error(b->c, &doc->place, "'elsewhere' is for steps of a sequence");
    }
}

/* What is one key's own. */
static void check_by(const building *b, const doc_detection *doc, sp_detect_op op)
{
    static const struct {
        sp_detect_op op;
        const char *key;
        const char *whose;
    } own[] = {{SP_DETECT_TRAVEL, "travel", "travel"},
               {SP_DETECT_NOVEL, "novel", "history"},
               {SP_DETECT_CHANGES, "changes", "changing"}};
    for (size_t i = 0; i < SP_COUNT(own); i++) {
        if (op == own[i].op && doc->by == 0) {
            set_error(b->c, &doc->head.place, "'%s' needs 'by': whose %s it is", own[i].key,
                      own[i].whose);
        }
    }
}

static sp_err put_detection(building *b, const doc_detection *doc)
{
    sp_detect_op op = SP_DETECT_OP_COUNT;
    const doc_look *look = look_of(b, doc, &op);
    if (look == NULL) {
        return sp_ok();
    }
    sp_detect_rule rule = rule_of(&doc->head, &doc->title, doc->severity, SP_SEVERITY_MEDIUM);
    rule.op = (uint8_t)op;
    rule.at_least = op == SP_DETECT_SUM ? look->bytes.value : look->at_least.value;
    rule.times = look->times.value;
    rule.of = look->of == 0 ? 0 : (uint8_t)(look->of - 1);
    rule.by = doc->by;
    rule.within_us = look->within.value * SECOND_US;
    rule.learn_us =
        seconds_us(&look->learn, (uint64_t)24 * 3600 *
                                     (op == SP_DETECT_RATE ? LEARN_RATE_DAYS : LEARN_NOVEL_DAYS));
    rule.quiet_us = seconds_us(&doc->quiet, QUIET_S);
    rule.keys_max = doc->keys.line == 0 ? SP_DETECT_KEYS_DEFAULT : (uint32_t)doc->keys.value;
    rule.plan = doc->plan.text;
    if (op == SP_DETECT_SEQUENCE) {
        TRY(put_steps(b, doc, &rule));
    } else {
        if (doc->over.place.line == 0) {
            set_error(b->c, &doc->head.place, "a detection needs 'over': which events it looks at");
        }
        check_elsewhere(b, &doc->over);
        TRY(put_match(b, &doc->over, &rule.matches));
    }
    check_elsewhere(b, &doc->unless);
    check_by(b, doc, op);
    TRY(put_unless(b, &doc->unless, &rule));
    return doc->off == DOC_TRUE ? sp_ok() : put_rule(b, &rule);
}

/* ---- canaries ---- */

static sp_err bait_match(building *b, const doc_bait *bait, sp_gate gate, sp_detect_match *m)
{
    doc_text name = bait->resource;
    const doc_texts resource = {&name, 1};
    *m = (sp_detect_match){.kinds = 1U << SP_EVENT_DECISION | 1U << SP_EVENT_CLOSE |
                                    1U << SP_EVENT_APPROVAL,
                           .schedule = SP_NONE,
                           .gates = (uint8_t)(1U << gate)};
    known_names(b, bait->place.file, &resource, "resource", &b->c->set->resource_names);
    return put_texts(b, &resource, &m->resources);
}

/* A statement that names the table, by its last part, and the key. */
static sp_err put_row(building *b, const doc_bait *bait, sp_detect_rule *rule)
{
    sp_detect_match m;
    sp_span table = bait->table.text;
    for (size_t dot = sp_span_index(table, '.'); dot < table.len; dot = sp_span_index(table, '.')) {
        table = sp_span_slice(table, dot + 1, table.len);
    }
    TRY(bait_match(b, bait, SP_GATE_DB, &m));
    m.contains = (sp_detect_run){(uint32_t)b->texts.count, bait->key.line == 0 ? 1 : 2};
    TRY(put_text(b, table));
    if (bait->key.line != 0) {
        TRY(put_text(b, bait->key.text));
    }
    return add_match(b, &m, &rule->matches);
}

/* A path that is the object; in a command it stands somewhere. */
static sp_err put_path(building *b, const doc_bait *bait, sp_gate gate, sp_detect_rule *rule)
{
    sp_detect_match m;
    auto_buf sp_buf wide = sp_buf_make(SP_DETECT_TEXT_MAX_BYTES);
    sp_span kept = SP_SPAN_EMPTY;
    TRY(bait_match(b, bait, gate, &m));
    m.objects = (sp_detect_run){(uint32_t)b->texts.count, 1};
    sp_buf_text(&wide, gate == SP_GATE_SSH ? "*" : "");
    sp_buf_span(&wide, bait->path.text);
    sp_buf_text(&wide, gate == SP_GATE_SSH ? "*" : "");
    TRY(sp_buf_error(&wide));
    TRY(sp_arena_copy(&b->c->set->arena, sp_buf_borrow(&wide), &kept));
    TRY(put_text(b, kept));
    return add_match(b, &m, &rule->matches);
}

static sp_err put_canary(building *b, const doc_canary *doc)
{
    sp_detect_rule rule = rule_of(&doc->head, &doc->title, doc->severity, SP_SEVERITY_CRITICAL);
    const doc_bait *rows = doc->rows.items;
    const doc_bait *files = doc->files.items;
    const doc_bait *urls = doc->urls.items;
    rule.op = SP_DETECT_COUNT;
    rule.at_least = 1;
    rule.within_us = SECOND_US;
    rule.by = 1U << SP_DETECT_PERSON;
    rule.quiet_us = seconds_us(&doc->quiet, CANARY_QUIET_S);
    rule.keys_max = SP_DETECT_KEYS_DEFAULT;
    rule.plan = doc->plan.text;
    for (size_t i = 0; i < doc->rows.count; i++) {
        TRY(put_row(b, &rows[i], &rule));
    }
    for (size_t i = 0; i < doc->files.count; i++) {
        TRY(put_path(b, &files[i], SP_GATE_SSH, &rule));
    }
    for (size_t i = 0; i < doc->urls.count; i++) {
        TRY(put_path(b, &urls[i], SP_GATE_WEB, &rule));
    }
    if (rule.matches.count == 0) {
        set_error(b->c, &doc->head.place, "a canary names rows, files or urls");
        return sp_ok();
    }
    DOC_EACH(&b->c->set->docs, SP_DOC_DETECTION, doc_detection, other)
    {
        if (sp_span_eq(other->head.name.text, doc->head.name.text)) {
            set_error(b->c, &doc->head.place, "there is a detection '%.*s' already",
                      SP_SPAN_ARG(doc->head.name.text));
        }
    }
    check_elsewhere(b, &doc->unless);
    TRY(put_unless(b, &doc->unless, &rule));
    return put_rule(b, &rule);
}

/* ---- all of it ---- */

static sp_err build(building *b)
{
    DOC_EACH(&b->c->set->docs, SP_DOC_DETECTION, doc_detection, detection)
    {
        TRY(put_detection(b, detection));
    }
    DOC_EACH(&b->c->set->docs, SP_DOC_CANARY, doc_canary, canary)
    {
        TRY(put_canary(b, canary));
    }
    const sp_detect_program program = {.rules = b->rules.items,
                                       .rules_count = b->rules.count,
                                       .matches = b->matches.items,
                                       .matches_count = b->matches.count,
                                       .texts = b->texts.items,
                                       .texts_count = b->texts.count,
                                       .ranges = b->ranges.items,
                                       .ranges_count = b->ranges.count,
                                       .schedules = b->schedules.items,
                                       .schedules_count = b->schedules.count};
    b->c->set->detections = sp_buf_make(SP_DETECT_PROGRAM_MAX_BYTES);
    sp_detect_program_write(&program, &b->c->set->detections);
    return sp_buf_error(&b->c->set->detections);
}

static void check_limits(const building *b)
{
    if (b->rules.count > SP_DETECT_RULES_MAX || b->matches.count > SP_DETECT_MATCHES_MAX ||
        b->texts.count > SP_DETECT_TEXTS_MAX || b->ranges.count > SP_DETECT_RANGES_MAX ||
        b->schedules.count > SP_DETECT_SCHEDULES_MAX) {
        sp_diags_add(b->c->diags, SP_DIAG_ERROR, NULL, 0, 0,
                     "the detections are too many in all: %d of them with %d conditions, %d texts, "
                     "%d networks and %d hours are the limit",
                     SP_DETECT_RULES_MAX, SP_DETECT_MATCHES_MAX, SP_DETECT_TEXTS_MAX,
                     SP_DETECT_RANGES_MAX, SP_DETECT_SCHEDULES_MAX);
    }
}

sp_err set_resolve_watch(compiling *c)
{
    building b = {.c = c,
                  .rules = vec_of(sizeof(sp_detect_rule)),
                  .matches = vec_of(sizeof(sp_detect_match)),
                  .texts = vec_of(sizeof(sp_span)),
                  .ranges = vec_of(sizeof(sp_address_range)),
                  .schedules = vec_of(sizeof(sp_detect_schedule))};
    sp_err err = build(&b);
    check_limits(&b);
    vec *const all[] = {&b.rules, &b.matches, &b.texts, &b.ranges, &b.schedules};
    for (size_t i = 0; i < SP_COUNT(all); i++) {
        vec_done(all[i]);
    }
    return err;
}
