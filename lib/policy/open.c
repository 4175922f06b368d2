/* SPDX-License-Identifier: Apache-2.0
 * Opening a snapshot: every offset, count and reference is checked once, so that later look-ups
 * need no checks; and the names in it.
 * OWNS nothing. PROCESS gates, core. TRUST the bytes may be anything, a right checksum included.
 * SPEC lib/policy/snapshot.h.
 */
#include "lib/base/mem.h"
#include "lib/policy/snapshot.h"
#include "lib/policy/web.h"

enum {
    HEAD_BYTES = sizeof(snap_head),
    CHECKSUM_AT = HEAD_BYTES - SP_SHA256_BYTES,
    ALIGN_BYTES = 8,
    SNAP_RULES_CEILING = 1 << 24
};

const size_t SNAP_RECORD_BYTES[SNAP_SECTION_COUNT] = {
    [SNAP_TEXT] = 1,
    [SNAP_CLASSES] = sizeof(snap_class),
    [SNAP_RULES] = sizeof(snap_rule),
    [SNAP_NEVERS] = sizeof(snap_never),
    [SNAP_RESOURCES] = sizeof(snap_resource),
    [SNAP_PARTS] = sizeof(snap_part),
    [SNAP_ACTIONS] = sizeof(snap_action),
    [SNAP_TRANSFERS] = sizeof(snap_transfer),
    [SNAP_TYPES] = sizeof(snap_text),
    [SNAP_HOSTS] = sizeof(uint32_t),
    [SNAP_LISTS] = sizeof(uint32_t),
    [SNAP_PEOPLE] = sizeof(snap_person),
    [SNAP_ZONES] = sizeof(snap_run),
    [SNAP_STEPS] = sizeof(snap_step),
    [SNAP_SCHEDULES] = sizeof(snap_schedule),
    [SNAP_NETWORKS] = sizeof(snap_run),
    [SNAP_RANGES] = sizeof(snap_range),
    [SNAP_ROWS] = sizeof(uint64_t),
    [SNAP_NEVER_ROWS] = sizeof(uint64_t),
    [SNAP_DATABASES] = sizeof(snap_database),
    [SNAP_ACCOUNTS] = sizeof(snap_account),
    [SNAP_FUNCTIONS] = sizeof(snap_function),
    [SNAP_RELATIONS] = sizeof(snap_relation),
    [SNAP_COLUMNS] = sizeof(snap_column),
    [SNAP_BUDGETS] = sizeof(snap_budget),
    [SNAP_SSH] = sizeof(snap_ssh),
    [SNAP_LISTED] = sizeof(snap_listed),
    [SNAP_FORWARDS] = sizeof(snap_forward),
};

bool snap_run_ok(const sp_policy *policy, snap_run run, snap_section_kind kind)
{
    return (uint64_t)run.at + run.count <= snap_count(policy, kind);
}

bool snap_text_ok(const sp_policy *policy, snap_text text)
{
    return (uint64_t)text.at + text.len <= snap_count(policy, SNAP_TEXT);
}

bool snap_list_ok(const sp_policy *policy, snap_run run, uint32_t below, bool ascending)
{
    if (!snap_run_ok(policy, run, SNAP_LISTS)) {
        return false;
    }
    const uint32_t *list = snap_list(policy, run);
    for (uint32_t i = 0; i < run.count; i++) {
        if (list[i] >= below || (ascending && i > 0 && list[i - 1] >= list[i])) {
            return false;
        }
    }
    return true;
}

static bool sections_ok(const sp_policy *policy)
{
    const snap_head *head = snap_head_of(policy);
    for (size_t i = 0; i < SNAP_SECTION_COUNT; i++) {
        const snap_section *s = &head->sections[i];
        uint64_t bytes = 0;
        uint64_t end = 0;
        if (s->count > UINT32_MAX || s->at % ALIGN_BYTES != 0 ||
            __builtin_mul_overflow(s->count, (uint64_t)SNAP_RECORD_BYTES[i], &bytes) ||
            __builtin_add_overflow(s->at, bytes, &end) || end > policy->size_bytes) {
            return false;
        }
    }
    return true;
}

/* Bits past the last rule or never must be clear: they are used as indices. */
static bool rows_ok(const sp_policy *policy, snap_section_kind kind, size_t rows, size_t bits)
{
    size_t words = snap_words(bits);
    if (snap_count(policy, kind) != rows * words) {
        return false;
    }
    if (bits % 64 == 0) {
        return true;
    }
    const uint64_t *row = snap_at(policy, kind);
    for (size_t i = 0; i < rows; i++) {
        if (row[i * words + words - 1] >> (bits % 64) != 0) {
            return false;
        }
    }
    return true;
}

static bool counts_ok(const sp_policy *policy)
{
    const snap_head *head = snap_head_of(policy);
    uint32_t classes = head->class_count;
    uint32_t rules = snap_count(policy, SNAP_RULES);
    return classes >= 1 && classes <= SP_CLASSES_MAX &&
           snap_count(policy, SNAP_CLASSES) == classes && rules <= SNAP_RULES_CEILING &&
           snap_count(policy, SNAP_NEVERS) <= SNAP_RULES_CEILING &&
           snap_count(policy, SNAP_TRANSFERS) >= 2 &&
           rows_ok(policy, SNAP_ROWS, snap_row_count(classes), rules) &&
           rows_ok(policy, SNAP_NEVER_ROWS, (size_t)SP_ACTION_COUNT * classes,
                   snap_count(policy, SNAP_NEVERS));
}

static bool rules_ok(const sp_policy *policy)
{
    const snap_rule *rules = snap_at(policy, SNAP_RULES);
    uint32_t resources = snap_count(policy, SNAP_RESOURCES);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_RULES); i++) {
        const snap_rule *r = &rules[i];
        bool schedule = r->schedule == SP_NONE || r->schedule < snap_count(policy, SNAP_SCHEDULES);
        bool network = r->network == SP_NONE || r->network < snap_count(policy, SNAP_NETWORKS);
        if (!schedule || !network || !snap_text_ok(policy, r->name) ||
            !snap_list_ok(policy, r->resources, resources, true)) {
            return false;
        }
    }
    const snap_never *nevers = snap_at(policy, SNAP_NEVERS);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_NEVERS); i++) {
        if (!snap_text_ok(policy, nevers[i].name) ||
            !snap_list_ok(policy, nevers[i].resources, resources, true) ||
            !snap_list_ok(policy, nevers[i].people, SP_NONE, true)) {
            return false;
        }
    }
    return true;
}

static bool transfer_ok(const sp_policy *policy, uint32_t export_rule, uint32_t import_rule)
{
    uint32_t count = snap_count(policy, SNAP_TRANSFERS);
    return export_rule < count && import_rule < count;
}

static bool resource_ok(const sp_policy *policy, const snap_resource *r, uint32_t index)
{
    if (!snap_text_ok(policy, r->name) || !snap_text_ok(policy, r->title_en) ||
        !snap_text_ok(policy, r->title_zh) || !snap_text_ok(policy, r->host) ||
        !snap_text_ok(policy, r->upstream) || !snap_run_ok(policy, r->parts, SNAP_PARTS) ||
        !snap_run_ok(policy, r->actions, SNAP_ACTIONS) ||
        !snap_list_ok(policy, r->rules, snap_count(policy, SNAP_RULES), true) ||
        !transfer_ok(policy, r->export_rule, r->import_rule) ||
        r->class_level >= snap_head_of(policy)->class_count || r->web_parts > r->parts.count ||
        !snap_database_ok(policy, r, index) || !snap_ssh_ok(policy, r, index)) {
        return false;
    }
    const snap_part *parts = (const snap_part *)snap_at(policy, SNAP_PARTS) + r->parts.at;
    for (uint32_t i = 0; i < r->parts.count; i++) {
        if (parts[i].resource != index) {
            return false;
        }
    }
    return true;
}

static bool resources_ok(const sp_policy *policy)
{
    uint32_t count = snap_count(policy, SNAP_RESOURCES);
    const snap_resource *resources = snap_at(policy, SNAP_RESOURCES);
    for (uint32_t i = 0; i < count; i++) {
        if (!resource_ok(policy, &resources[i], i)) {
            return false;
        }
    }
    const snap_part *parts = snap_at(policy, SNAP_PARTS);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_PARTS); i++) {
        const snap_part *p = &parts[i];
        if (p->resource >= count || !snap_text_ok(policy, p->name) ||
            !snap_text_ok(policy, p->path) ||
            !transfer_ok(policy, p->export_rule, p->import_rule) ||
            p->class_level >= snap_head_of(policy)->class_count) {
            return false;
        }
    }
    const uint32_t *hosts = snap_at(policy, SNAP_HOSTS);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_HOSTS); i++) {
        if (hosts[i] >= count) {
            return false;
        }
    }
    return true;
}

static bool web_ok(const sp_policy *policy)
{
    const snap_action *actions = snap_at(policy, SNAP_ACTIONS);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_ACTIONS); i++) {
        if (!snap_text_ok(policy, actions[i].method) || !snap_text_ok(policy, actions[i].path) ||
            actions[i].action >= SP_ACTION_COUNT) {
            return false;
        }
    }
    const snap_transfer *transfers = snap_at(policy, SNAP_TRANSFERS);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_TRANSFERS); i++) {
        if (!snap_run_ok(policy, transfers[i].types, SNAP_TYPES)) {
            return false;
        }
    }
    const snap_text *types = snap_at(policy, SNAP_TYPES);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_TYPES); i++) {
        if (!snap_text_ok(policy, types[i])) {
            return false;
        }
    }
    const snap_class *classes = snap_at(policy, SNAP_CLASSES);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_CLASSES); i++) {
        if (!snap_text_ok(policy, classes[i].name)) {
            return false;
        }
    }
    return true;
}

static bool conditions_ok(const sp_policy *policy)
{
    const snap_person *people = snap_at(policy, SNAP_PEOPLE);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_PEOPLE); i++) {
        if (!snap_list_ok(policy, people[i].rules, snap_count(policy, SNAP_RULES), true)) {
            return false;
        }
    }
    const snap_run *zones = snap_at(policy, SNAP_ZONES);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_ZONES); i++) {
        if (zones[i].count == 0 || !snap_run_ok(policy, zones[i], SNAP_STEPS)) {
            return false;
        }
    }
    const snap_schedule *schedules = snap_at(policy, SNAP_SCHEDULES);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_SCHEDULES); i++) {
        if (schedules[i].zone >= snap_count(policy, SNAP_ZONES)) {
            return false;
        }
    }
    const snap_run *networks = snap_at(policy, SNAP_NETWORKS);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_NETWORKS); i++) {
        if (!snap_run_ok(policy, networks[i], SNAP_RANGES)) {
            return false;
        }
    }
    const snap_range *ranges = snap_at(policy, SNAP_RANGES);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_RANGES); i++) {
        if (ranges[i].bits > 128) {
            return false;
        }
    }
    return true;
}

static bool checksum_ok(const sp_policy *policy)
{
    sp_span parts[2] = {
        sp_span_of(policy->base, CHECKSUM_AT),
        sp_span_of(policy->base + HEAD_BYTES, policy->size_bytes - HEAD_BYTES),
    };
    sp_hash hash = sp_sha256_parts(parts, SP_COUNT(parts));
    return sp_span_eq(sp_hash_borrow(&hash),
                      sp_span_of(policy->base + CHECKSUM_AT, SP_SHA256_BYTES));
}

sp_err sp_policy_open(sp_span bytes, sp_policy *ret_policy)
{
    sp_policy policy = {bytes.ptr, bytes.len};
    if (bytes.len < HEAD_BYTES || (uintptr_t)bytes.ptr % ALIGN_BYTES != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    const snap_head *head = snap_head_of(&policy);
    bool ok = head->magic == SNAP_MAGIC && head->format == SNAP_FORMAT &&
              head->size_bytes == bytes.len && checksum_ok(&policy) && sections_ok(&policy) &&
              counts_ok(&policy) && rules_ok(&policy) && resources_ok(&policy) && web_ok(&policy) &&
              conditions_ok(&policy) && snap_budgets_ok(&policy);
    if (!ok) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_policy = policy;
    return sp_ok();
}

uint64_t sp_policy_version(const sp_policy *policy)
{
    return snap_head_of(policy)->version;
}

const uint8_t *sp_policy_digest(const sp_policy *policy)
{
    return snap_head_of(policy)->digest;
}

sp_span sp_policy_rule_name(const sp_policy *policy, uint32_t rule)
{
    uint32_t rules = snap_count(policy, SNAP_RULES);
    if (rule < rules) {
        return snap_span(policy, ((const snap_rule *)snap_at(policy, SNAP_RULES))[rule].name);
    }
    if (rule - rules < snap_count(policy, SNAP_NEVERS)) {
        const snap_never *nevers = snap_at(policy, SNAP_NEVERS);
        return snap_span(policy, nevers[rule - rules].name);
    }
    return SP_SPAN_EMPTY;
}

bool sp_policy_rules_ask_alike(const sp_policy *policy, uint32_t a, uint32_t b)
{
    const snap_rule *rules = snap_at(policy, SNAP_RULES);
    uint32_t count = snap_count(policy, SNAP_RULES);
    return a < count && b < count &&
           (a == b || (rules[a].approvers != 0 && rules[a].approvers == rules[b].approvers));
}

sp_span sp_policy_class_name(const sp_policy *policy, uint8_t class_level)
{
    if (class_level >= snap_count(policy, SNAP_CLASSES)) {
        return SP_SPAN_EMPTY;
    }
    return snap_span(policy, ((const snap_class *)snap_at(policy, SNAP_CLASSES))[class_level].name);
}

sp_span sp_policy_resource_name(const sp_policy *policy, uint32_t resource)
{
    if (resource >= snap_count(policy, SNAP_RESOURCES)) {
        return SP_SPAN_EMPTY;
    }
    const snap_resource *resources = snap_at(policy, SNAP_RESOURCES);
    return snap_span(policy, resources[resource].name);
}

uint32_t sp_policy_resource_count(const sp_policy *policy)
{
    return snap_count(policy, SNAP_RESOURCES);
}

uint32_t sp_policy_resource_find(const sp_policy *policy, sp_span name)
{
    const snap_resource *resources = snap_at(policy, SNAP_RESOURCES);
    uint32_t low = 0;
    uint32_t high = snap_count(policy, SNAP_RESOURCES);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sp_span_compare(snap_span(policy, resources[middle].name), name);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return SP_NONE;
}
