/* SPDX-License-Identifier: Apache-2.0
 * Reading the ledger.
 * OWNS nothing. PROCESS ledger, command line. TRUST entries may have been changed.
 * SPEC ledger/lookup.h.
 */
#include "ledger/lookup.h"

#include "infra/proc/clock.h"
#include "lib/base/reader.h"

#include <stdio.h>
#include <string.h>

enum {
    LIMIT_DEFAULT = 50,
    JSON_MAX_BYTES = 64 * 1024,
    INDEX_STEP = 200000, /* entries that one look into the index covers */
    ID_TEXT_BYTES = 24
};
#define REFERENCE_MASK ((UINT64_C(1) << 60) - 1)

sp_err sp_lookup_secret(const sp_lookup *lookup, sp_span record, sp_key *ret_secret)
{
    sp_record_head head;
    TRY(sp_record_head_read(record, &head));
    const sp_subject_key *subject =
        head.form == SP_RECORD_SEALED ? sp_keys_find(lookup->keys, head.key_id) : NULL;
    if (subject == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_secret = sp_record_secret(&head, &subject->key);
    return sp_ok();
}

sp_err sp_lookup_open(const sp_lookup *lookup, uint64_t entry, sp_buf *json)
{
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    auto_key sp_key secret = {{0}};
    sp_buf_reset(json);
    TRY(sp_journal_read(lookup->store, entry, &record));
    sp_err err = sp_lookup_secret(lookup, sp_buf_borrow(&record), &secret);
    if (err.code == SP_ENOTFOUND) { /* opens only what is not sealed */
        return sp_record_open(sp_buf_borrow(&record), NULL, json);
    }
    TRY(err);
    return sp_record_open(sp_buf_borrow(&record), &secret, json);
}

/* ---- matching ---- */

static const char *text_at(const json_t *object, const char *a, const char *b, const char *c)
{
    const json_t *at = json_object_get(json_object_get(object, a), b);
    const char *text = json_string_value(c == NULL ? at : json_object_get(at, c));
    return text == NULL ? "" : text;
}

static bool is_text(const char *text, sp_span want)
{
    return sp_span_eq(sp_span_cstr(text), want);
}

static bool is_number(const char *text, uint64_t want)
{
    char number[ID_TEXT_BYTES];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)want);
    return strcmp(text, number) == 0;
}

/* The first resource's name, in whichever list the class has. */
static const char *resource_of(const json_t *event)
{
    const json_t *list = json_object_get(event, "web_resources");
    list = list == NULL ? json_object_get(event, "resources") : list;
    const char *name = json_string_value(json_object_get(json_array_get(list, 0), "name"));
    return name == NULL ? "" : name;
}

static uint32_t kind_bit(const char *word)
{
    for (unsigned kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        if (strcmp(word, sp_event_kind_word((sp_event_kind)kind)) == 0) {
            return UINT32_C(1) << kind;
        }
    }
    return 0;
}

enum { VERDICT_NONE = 0x80 };

static uint8_t verdict_bit(const char *word)
{
    for (unsigned verdict = 0; verdict < SP_VERDICT_COUNT; verdict++) {
        if (strcmp(word, sp_verdict_word((sp_verdict)verdict)) == 0) {
            return (uint8_t)(1U << verdict);
        }
    }
    return VERDICT_NONE;
}

static uint8_t gate_bit(const char *word)
{
    for (unsigned gate = 0; gate < SP_GATE_COUNT; gate++) {
        if (strcmp(word, sp_gate_word((sp_gate)gate)) == 0) {
            return (uint8_t)(1U << gate);
        }
    }
    return 0;
}

static bool in_time(const sp_ledger_search *search, const json_t *event)
{
    uint64_t ms = (uint64_t)json_integer_value(json_object_get(event, "time"));
    return ms >= search->from_unix_us / 1000 &&
           (search->to_unix_us == 0 || ms <= search->to_unix_us / 1000);
}

static bool is_of(const sp_ledger_search *search, const json_t *event)
{
    char session[ID_TEXT_BYTES];
    char reference[SP_REFERENCE_TEXT_BYTES];
    snprintf(session, sizeof(session), "%016llx", (unsigned long long)search->session);
    sp_reference_text(search->reference & REFERENCE_MASK, reference);
    return (search->person == 0 ||
            is_number(text_at(event, "actor", "user", "uid"), search->person)) &&
           (search->session == 0 ||
            strcmp(text_at(event, "actor", "session", "uid"), session) == 0) &&
           (search->device == 0 ||
            is_number(text_at(event, "device", "uid", NULL), search->device)) &&
           (search->reference == 0 ||
            strcmp(text_at(event, "metadata", "uid", NULL), reference) == 0) &&
           (search->resource.len == 0 || is_text(resource_of(event), search->resource));
}

static bool has_text(sp_span where, sp_span what)
{
    for (size_t i = 0; i + what.len <= where.len; i++) {
        if (sp_span_eq_nocase((sp_span){where.ptr + i, what.len}, what)) {
            return true;
        }
    }
    return what.len == 0;
}

static bool matches(const sp_ledger_search *search, const json_t *event)
{
    return in_time(search, event) &&
           (search->kinds == 0 ||
            (kind_bit(text_at(event, "unmapped", "kind", NULL)) & search->kinds) != 0) &&
           (search->verdicts == 0 ||
            (verdict_bit(text_at(event, "unmapped", "verdict", NULL)) & search->verdicts) != 0) &&
           (search->gates == 0 ||
            (gate_bit(text_at(event, "unmapped", "gate", NULL)) & search->gates) != 0) &&
           is_of(search, event);
}

/* Whether any of the wanted words stands in the batch: most batches need no reading to be sure that
 * nothing in them matches. */
static bool has_word(sp_span batch_json, const char *key, const char *(*word_of)(unsigned),
                     unsigned count, unsigned wanted)
{
    for (unsigned i = 0; i < count; i++) {
        if ((wanted & (1U << i)) == 0) {
            continue;
        }
        char text[48];
        int len = snprintf(text, sizeof(text), "\"%s\":\"%s\"", key, word_of(i));
        if (sp_span_find(batch_json, (sp_span){(const uint8_t *)text, (size_t)len}) <
            batch_json.len) {
            return true;
        }
    }
    return wanted == 0;
}

static const char *verdict_word(unsigned verdict)
{
    return sp_verdict_word((sp_verdict)verdict);
}

static const char *gate_word(unsigned gate)
{
    return sp_gate_word((sp_gate)gate);
}

static const char *event_kind_word(unsigned kind)
{
    return sp_event_kind_word((sp_event_kind)kind);
}

/* COMMON and EVENT as one object; NULL when out of memory. */
static json_t *whole_event(const json_t *batch, json_t *event)
{
    json_t *whole = json_deep_copy(batch);
    if (whole == NULL || json_object_del(whole, "events") != 0 ||
        json_object_update_recursive(whole, event) != 0) {
        json_decref(whole);
        return NULL;
    }
    return whole;
}

static json_t *batch_load(sp_span json)
{
    json_t *batch = json_loadb((const char *)json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    if (!json_is_array(json_object_get(batch, "events"))) {
        json_decref(batch);
        return NULL;
    }
    return batch;
}

static void json_drop(json_t **json)
{
    json_decref(*json);
}
#define auto_json __attribute__((cleanup(json_drop)))

static sp_err match_one(const sp_ledger_search *search, const json_t *batch, size_t at,
                        sp_lookup_visit visit, void *self, bool *ret_more)
{
    auto_json json_t *event =
        whole_event(batch, json_array_get(json_object_get(batch, "events"), at));
    if (event == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    if (!matches(search, event)) {
        return sp_ok();
    }
    auto_free char *text = json_dumps(event, JSON_COMPACT);
    if (text == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    sp_span json = sp_span_cstr(text);
    if (has_text(json, search->text)) {
        *ret_more = visit(self, (uint16_t)at, json);
    }
    return sp_ok();
}

sp_err sp_lookup_match(const sp_ledger_search *search, sp_span batch_json, unsigned before_at,
                       sp_lookup_visit visit, void *self)
{
    if (!has_text(batch_json, search->text) &&
        sp_span_index(search->text, '"') == search->text.len) {
        return sp_ok(); /* not even in the batch: most candidates of a text search end here */
    }
    if (!has_word(batch_json, "kind", event_kind_word, SP_EVENT_KIND_COUNT, search->kinds) ||
        !has_word(batch_json, "verdict", verdict_word, SP_VERDICT_COUNT, search->verdicts) ||
        !has_word(batch_json, "gate", gate_word, SP_GATE_COUNT, search->gates)) {
        return sp_ok();
    }
    auto_json json_t *batch = batch_load(batch_json);
    if (batch == NULL) {
        return sp_fail(SP_ECORRUPT);
    }
    size_t count = json_array_size(json_object_get(batch, "events"));
    bool more = true;
    for (size_t at = before_at < count ? before_at : count; at > 0 && more; at--) {
        TRY(match_one(search, batch, at - 1, visit, self, &more));
    }
    return sp_ok();
}

static uint64_t session_number(const char *hex)
{
    auto_buf sp_buf bytes = sp_buf_make(sizeof(uint64_t));
    if (sp_failed(sp_buf_unhex(&bytes, sp_span_cstr(hex)))) {
        return 0;
    }
    sp_reader in = sp_reader_of(sp_buf_borrow(&bytes));
    return sp_read_u64(&in);
}

/* A word of an event's own, or the one it shares. */
static const char *word_of(const json_t *batch, const json_t *event, const char *key)
{
    const char *own = text_at(event, "unmapped", key, NULL);
    return own[0] != '\0' ? own : text_at(batch, "unmapped", key, NULL);
}

sp_err sp_lookup_row(const sp_lookup *lookup, uint64_t entry, sp_index_row *ret_row,
                     uint64_t *ret_references, size_t max, size_t *ret_count)
{
    auto_buf sp_buf json = sp_buf_make(JSON_MAX_BYTES);
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    sp_record_head head = {0};
    *ret_row = (sp_index_row){.entry = entry};
    *ret_count = 0;
    sp_err err = sp_journal_read(lookup->store, entry, &record);
    if (!sp_failed(err)) {
        err = sp_record_head_read(sp_buf_borrow(&record), &head);
    }
    ret_row->first_unix_us = head.first_unix_us;
    ret_row->last_unix_us = head.last_unix_us;
    if (!sp_failed(err)) {
        err = sp_lookup_open(lookup, entry, &json);
    }
    auto_json json_t *batch = sp_failed(err) ? NULL : batch_load(sp_buf_borrow(&json));
    if (batch == NULL) {
        return sp_ok(); /* nothing to be found in it */
    }
    uint64_t number = 0;
    if (!sp_failed(sp_span_to_u64(sp_span_cstr(text_at(batch, "actor", "user", "uid")), UINT32_MAX,
                                  &number))) {
        ret_row->person = (uint32_t)number;
    }
    ret_row->session = session_number(text_at(batch, "actor", "session", "uid"));
    size_t at = 0;
    json_t *event = NULL;
    json_array_foreach(json_object_get(batch, "events"), at, event)
    {
        ret_row->kinds |= kind_bit(word_of(batch, event, "kind"));
        ret_row->verdicts |= verdict_bit(word_of(batch, event, "verdict"));
        uint64_t reference = 0;
        if (*ret_count < max &&
            !sp_failed(sp_reference_of(sp_span_cstr(text_at(event, "metadata", "uid", NULL)),
                                       &reference))) {
            ret_references[(*ret_count)++] = reference;
        }
    }
    return sp_ok();
}

/* ---- pages ---- */

typedef struct {
    const sp_lookup *lookup;
    const sp_ledger_search *search;
    sp_buf json;
    sp_buf *items;
    sp_ledger_found *found;
    uint64_t entry;     /* being looked into */
    unsigned before_at; /* in the first entry only */
    unsigned limit;
    uint64_t deadline_us;
    bool stopped; /* the page is full, or its time is up */
} page;

static bool page_item(void *self, uint16_t at, sp_span json)
{
    page *p = self;
    if (p->found->count >= p->limit || p->items->len + json.len > SP_LEDGER_PAGE_MAX_BYTES) {
        p->found->before_entry = p->entry;
        p->found->before_at = (uint16_t)(at + 1);
        p->stopped = true;
        return false;
    }
    const sp_ledger_item item = {p->entry, at, json};
    sp_ledger_item_write(&item, p->items);
    p->found->count++;
    return true;
}

static bool page_entry(void *self, uint64_t entry)
{
    page *p = self;
    p->entry = entry;
    unsigned before_at = UINT16_MAX;
    if (p->search->before_at > 0 && entry == p->search->before_entry) {
        before_at = p->search->before_at;
    }
    p->found->searched++;
    sp_err err = sp_lookup_open(p->lookup, entry, &p->json);
    if (!sp_failed(err)) {
        err = sp_lookup_match(p->search, sp_buf_borrow(&p->json), before_at, page_item, p);
    }
    if (!p->stopped && sp_now_steady_us() > p->deadline_us) {
        p->found->before_entry = entry;
        p->found->before_at = 0;
        p->stopped = true;
    }
    return !p->stopped;
}

/* All entries in [from, to), newest first, with or without the index. */
static sp_err page_range(page *p, uint64_t from, uint64_t to)
{
    sp_index *index = p->lookup->index;
    uint64_t indexed = index == NULL ? 0 : sp_index_upto(index);
    while (to > from && to > indexed && !p->stopped) {
        to--;
        page_entry(p, to);
    }
    while (to > from && !p->stopped) {
        uint64_t low = to - from > INDEX_STEP ? to - INDEX_STEP : from;
        TRY(sp_index_search(index, p->search, low, to, page_entry, p));
        to = low;
        if (!p->stopped && sp_now_steady_us() > p->deadline_us && to > from) {
            p->found->before_entry = to;
            p->found->before_at = 0;
            p->stopped = true;
        }
    }
    return sp_ok();
}

sp_err sp_lookup_page(const sp_lookup *lookup, const sp_ledger_search *search, unsigned budget_ms,
                      sp_buf *items, sp_ledger_found *ret_found)
{
    uint64_t to = sp_journal_size(lookup->store);
    if (search->before_entry < to) {
        to = search->before_entry + (search->before_at > 0 ? 1 : 0);
    }
    *ret_found = (sp_ledger_found){0};
    page p = {.lookup = lookup,
              .search = search,
              .json = sp_buf_make(JSON_MAX_BYTES),
              .items = items,
              .found = ret_found,
              .limit = search->limit == 0 ? LIMIT_DEFAULT : search->limit,
              .deadline_us = sp_now_steady_us() + (uint64_t)budget_ms * 1000};
    uint64_t first = sp_journal_first(lookup->store);
    uint64_t reference = search->reference & REFERENCE_MASK;
    bool known = search->reference != 0 && lookup->index != NULL &&
                 sp_index_knows_reference(lookup->index, reference);
    sp_err err = sp_ok();
    if (known) { /* what is not indexed yet, then what is known to hold it */
        uint64_t indexed = sp_index_upto(lookup->index);
        err = page_range(&p, indexed > first ? indexed : first, to);
        to = to < indexed ? to : indexed;
        if (!sp_failed(err) && !p.stopped) {
            err = sp_index_reference(lookup->index, reference, to, page_entry, &p);
        }
    } else {
        err = page_range(&p, first, to);
    }
    sp_buf_done(&p.json);
    TRY(err);
    ret_found->more = p.stopped;
    ret_found->items = sp_buf_borrow(items);
    return sp_buf_error(items);
}
