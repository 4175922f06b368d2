/* SPDX-License-Identifier: Apache-2.0
 * Recordings of terminals, as the ledger's events tell of them: which there are, what is known of
 * one.
 *
 * Story of the list: the first chunks of channels, the newest first, are the recordings; the ends
 * of connections say as whom and until when. Most ends are among the newest; one that is not there
 * is looked up by its connection.
 *
 * OWNS what is being gathered. PROCESS core. TRUST requests are hostile; events are what a gate
 * wrote, which may be taken over. SPEC docs/api/openapi.yaml "/ssh/recordings".
 */
#include "core/ssh/recordings.h"
#include "core/admin/events.h"
#include "core/http/json.h"
#include "lib/record/chunk.h"

#include <string.h>

enum { LIST_PAGES_MAX = 20, END_PAGES_MAX = 2 };

/* ---- what is known of recordings ---- */

/* One recording, as its events tell of it. */
static json_t *recording_json(sp_request *req, const json_t *event)
{
    static const char *const same[][2] = {{"id", "reference"},    {"person", "person"},
                                          {"device", "device"},   {"resource", "resource"},
                                          {"session", "session"}, {"started_at", "at"}};
    json_t *out = json_object();
    for (size_t i = 0; i < SP_COUNT(same); i++) {
        json_t *value = json_object_get(event, same[i][1]);
        json_object_set_new(out, same[i][0], value == NULL ? json_string("") : json_incref(value));
    }
    const char *id = json_string_value(json_object_get(out, "id"));
    const sp_ssh_connection *c =
        id == NULL ? NULL : sp_ssh_connection_named(sp_ssh_of(req), sp_span_cstr(id));
    json_object_set_new(out, "account", json_string(c == NULL ? "" : c->account));
    json_object_set_new(out, "ended_at", json_null());
    json_object_set_new(out, "live", json_boolean(c != NULL));
    json_object_set_new(out, "complete_to", json_null());
    json_object_set_new(out, "channels", json_array());
    return out;
}

static json_t *channel_in(json_t *recording, uint32_t number)
{
    size_t at = 0;
    json_t *channel = NULL;
    json_t *channels = json_object_get(recording, "channels");
    json_array_foreach(channels, at, channel)
    {
        if (json_integer_value(json_object_get(channel, "number")) == (json_int_t)number) {
            return channel;
        }
    }
    channel = json_pack("{s:I, s:s, s:s, s:I}", "number", (json_int_t)number, "kind", "shell",
                        "object", "", "bytes", (json_int_t)0);
    json_array_append_new(channels, channel);
    return channel;
}

/* The event's method says what kind of channel it was. */
static bool name_kind(json_t *channel, const json_t *event)
{
    const char *method = json_string_value(json_object_get(event, "method"));
    sp_ssh_channel_kind kind;
    bool known = method != NULL && !sp_failed(sp_ssh_channel_of_word(sp_span_cstr(method), &kind));
    if (known) {
        json_object_set_new(channel, "kind", json_string(method));
    }
    return known;
}

/* A chunk's event: counted to its channel. */
static void count_chunk(json_t *recording, const sp_ledger_item *item, const json_t *event)
{
    sp_kept_chunk chunk;
    if (sp_recording_chunk(item, &chunk)) {
        json_t *channel = channel_in(recording, chunk.channel);
        json_int_t bytes = json_integer_value(json_object_get(channel, "bytes"));
        json_object_set_new(channel, "bytes", json_integer(bytes + (json_int_t)chunk.raw_bytes));
        name_kind(channel, event);
        sp_free(chunk.detail);
    }
}

static bool is_kind(const json_t *event, const char *kind)
{
    const char *word = json_string_value(json_object_get(event, "kind"));
    return word != NULL && strcmp(word, kind) == 0;
}

/* The connection's own end, or that of one of its channels. */
static void take_close(json_t *recording, const json_t *event)
{
    const json_t *detail = json_object_get(event, "detail");
    const json_t *channel = json_object_get(detail, "channel");
    if (json_is_integer(channel)) {
        json_t *known = channel_in(recording, (uint32_t)json_integer_value(channel));
        json_t *object = json_object_get(event, "object");
        if (name_kind(known, event) && json_is_string(object)) {
            json_object_set(known, "object", object);
        }
        return;
    }
    if (json_object_get(detail, "lost") != NULL && json_object_get(recording, "coverage") != NULL) {
        return; /* it was only the line to core that broke: the gate has said it itself */
    }
    json_object_set(recording, "ended_at", json_object_get(event, "at"));
    if (json_is_string(json_object_get(event, "object"))) {
        json_object_set(recording, "account", json_object_get(event, "object"));
    }
    if (json_is_object(detail)) {
        json_object_set(recording, "coverage", json_object_get(event, "detail"));
    }
}

typedef struct {
    sp_request *req;
    sp_ledger_search search;
    json_t *recording; /* NULL: none so far */
    json_t *last;      /* when its last chunk was written; NULL: none so far */
} knowing;

/* Its worker, or the machine, ended before it: the record goes as far as its last chunk. */
static bool has_no_statement(const json_t *recording)
{
    const json_t *coverage = json_object_get(recording, "coverage");
    return !json_is_true(json_object_get(recording, "live")) &&
           (coverage == NULL || json_object_get(coverage, "lost") != NULL);
}

static void take_known(knowing *k, const sp_ledger_item *item)
{
    json_t *event = sp_event_shape(item);
    bool is_chunk = event != NULL && is_kind(event, "recording");
    if (event != NULL && k->recording == NULL) {
        k->recording = recording_json(k->req, event);
    }
    if (is_chunk) {
        if (k->last == NULL) { /* the newest comes first */
            k->last = json_incref(json_object_get(event, "at"));
        }
        count_chunk(k->recording, item, event);
    } else if (event != NULL && is_kind(event, "close")) {
        take_close(k->recording, event);
    }
    if (event != NULL) { /* the oldest comes last */
        json_object_set(k->recording, "started_at", json_object_get(event, "at"));
    }
    json_decref(event);
}

static void on_known(void *self, sp_err err, sp_span body)
{
    knowing *k = self;
    sp_ledger_found found = {0};
    sp_ledger_item item;
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        json_decref(k->recording);
        json_decref(k->last);
        sp_events_answer_failed(k->req, err);
        return;
    }
    while (sp_ledger_found_next(&found.items, &item)) {
        take_known(k, &item);
    }
    if (found.more) {
        k->search.before_entry = found.before_entry;
        k->search.before_at = found.before_at;
        sp_recording_ask(k->req, &k->search, on_known, k);
        return;
    }
    if (k->recording != NULL && k->last != NULL && has_no_statement(k->recording)) {
        json_object_set(k->recording, "complete_to", k->last);
    }
    json_decref(k->last);
    if (k->recording == NULL) {
        sp_answer_problem(k->req, 404, "not_found", "There is no such recording that you may see.");
    } else {
        sp_answer_json(k->req, 200, k->recording);
    }
}

static void get_info(sp_request *req)
{
    knowing *k = NULL;
    sp_ledger_search search;
    if (!sp_recording_search(req, "what is known of a recording", &search)) {
        return;
    }
    search.kinds = UINT32_C(1) << SP_EVENT_RECORDING | UINT32_C(1) << SP_EVENT_CLOSE |
                   UINT32_C(1) << SP_EVENT_DECISION;
    search.gates = 1U << SP_GATE_SSH;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*k), &k);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        *k = (knowing){.req = req, .search = search};
        sp_recording_ask(req, &search, on_known, k);
    }
}

/* ---- the list ---- */

typedef struct {
    sp_request *req;
    sp_ledger_search search;
    json_t *items;
    size_t limit;
    unsigned pages;
    size_t looked_up; /* of the items: their ends, one by one */
    char next[64];
} listing;

static json_t *listed_of(const listing *l, const char *id)
{
    json_t *found = NULL;
    json_t *one = NULL;
    size_t at = 0;
    json_array_foreach(l->items, at, one)
    {
        const char *other = json_string_value(json_object_get(one, "id"));
        found = id != NULL && other != NULL && strcmp(id, other) == 0 ? one : found;
    }
    return found;
}

/* The first chunk of a channel: a new recording, or one more channel of one that is there. */
static void take_listed(listing *l, const sp_ledger_item *item)
{
    json_t *event = sp_event_shape(item);
    const char *id = json_string_value(json_object_get(event, "reference"));
    json_t *found = listed_of(l, id);
    if (found == NULL && id != NULL) {
        found = recording_json(l->req, event);
        json_array_append_new(l->items, found);
    }
    if (found != NULL) {
        json_object_set(found, "started_at", json_object_get(event, "at"));
        count_chunk(found, item, event);
    }
    json_decref(event);
}

/* The next one that has ended of which it is not known when, and as whom; NULL: none. */
static const json_t *without_end(const listing *l, size_t *at)
{
    while (*at < json_array_size(l->items)) {
        const json_t *one = json_array_get(l->items, (*at)++);
        if (json_is_null(json_object_get(one, "ended_at")) &&
            !json_is_true(json_object_get(one, "live"))) {
            return one;
        }
    }
    return NULL;
}

static bool wants_ends(const listing *l)
{
    size_t at = 0;
    return without_end(l, &at) != NULL;
}

static void take_ends(const listing *l, sp_ledger_found *found)
{
    sp_ledger_item item;
    while (sp_ledger_found_next(&found->items, &item)) {
        json_t *event = sp_event_shape(&item);
        json_t *one = listed_of(l, json_string_value(json_object_get(event, "reference")));
        if (one != NULL) {
            take_close(one, event);
        }
        json_decref(event);
    }
}

static void ask_one_end(listing *l);

/* Of one whose process died together with core there is no end: it is listed without. */
static void on_one_end(void *self, sp_err err, sp_span body)
{
    listing *l = self;
    sp_ledger_found found = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        sp_answer_page(l->req, l->items, l->next);
        return;
    }
    take_ends(l, &found);
    ask_one_end(l);
}

static void ask_one_end(listing *l)
{
    uint64_t connection = 0;
    const json_t *one = without_end(l, &l->looked_up);
    if (one == NULL ||
        sp_failed(sp_reference_of(sp_span_cstr(json_string_value(json_object_get(one, "id"))),
                                  &connection))) {
        sp_answer_page(l->req, l->items, l->next);
        return;
    }
    l->search.reference = connection;
    l->search.goes_on = true; /* the same reading: written down once */
    l->search.before_entry = UINT64_MAX;
    l->search.before_at = 0;
    sp_recording_ask(l->req, &l->search, on_one_end, l);
}

/* The ends of connections, the newest first. */
static void on_ends(void *self, sp_err err, sp_span body)
{
    listing *l = self;
    sp_ledger_found found = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        sp_answer_page(l->req, l->items, l->next);
        return;
    }
    take_ends(l, &found);
    if (found.more && wants_ends(l) && ++l->pages < END_PAGES_MAX) {
        l->search.before_entry = found.before_entry;
        l->search.before_at = found.before_at;
        sp_recording_ask(l->req, &l->search, on_ends, l);
    } else {
        ask_one_end(l);
    }
}

static void ask_ends(listing *l)
{
    if (!wants_ends(l)) {
        sp_answer_page(l->req, l->items, l->next);
        return;
    }
    l->pages = 0;
    l->search.kinds = UINT32_C(1) << SP_EVENT_CLOSE;
    l->search.text = SP_SPAN_LIT("\"channels\":");
    l->search.goes_on = true;
    l->search.before_entry = UINT64_MAX;
    l->search.before_at = 0;
    sp_recording_ask(l->req, &l->search, on_ends, l);
}

static void on_listed(void *self, sp_err err, sp_span body)
{
    listing *l = self;
    sp_ledger_found found = {0};
    sp_ledger_item item;
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        json_decref(l->items);
        sp_events_answer_failed(l->req, err);
        return;
    }
    while (sp_ledger_found_next(&found.items, &item)) {
        take_listed(l, &item);
    }
    bool enough = json_array_size(l->items) >= l->limit || ++l->pages >= LIST_PAGES_MAX;
    if (found.more && !enough) {
        l->search.before_entry = found.before_entry;
        l->search.before_at = found.before_at;
        sp_recording_ask(l->req, &l->search, on_listed, l);
        return;
    }
    if (found.more) {
        snprintf(l->next, sizeof(l->next), "%llu.%u", (unsigned long long)found.before_entry,
                 (unsigned)found.before_at);
    }
    ask_ends(l);
}

/* Whose recordings are looked for; false: answered. */
static bool whose(sp_request *req, uint32_t *ret_person)
{
    sp_person person;
    sp_span name = sp_request_query(req, "person");
    bool all = (sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT)) != 0 &&
               !sp_span_eq(sp_request_query(req, "mine"), SP_SPAN_LIT("1"));
    *ret_person = all ? 0 : sp_request_person(req);
    if (name.len == 0) {
        return true;
    }
    if (sp_failed(sp_people_find(sp_request_core(req)->store, name, &person)) ||
        (!all && person.id != *ret_person)) {
        sp_answer_items(req, json_array()); /* nobody's that he may see */
        return false;
    }
    *ret_person = person.id;
    return true;
}

static void get_list(sp_request *req)
{
    listing *l = NULL;
    sp_ledger_search search = {.reader = sp_events_reader(req, "recordings of SSH connections"),
                               .kinds = UINT32_C(1) << SP_EVENT_RECORDING,
                               .gates = 1U << SP_GATE_SSH,
                               .text = SP_SPAN_LIT("\"n\":0,"),
                               .resource = sp_request_query(req, "resource")};
    if (search.resource.len > SP_NAME_MAX_BYTES) {
        sp_answer_invalid(req, "resource", "a name of at most 63 bytes");
        return;
    }
    if (!sp_events_page(req, &search) || !whose(req, &search.person)) {
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*l), &l);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *l = (listing){.req = req, .search = search, .items = json_array(), .limit = search.limit};
    sp_recording_ask(req, &search, on_listed, l);
}

sp_err sp_ssh_recordings_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/ssh/recordings", SP_WHO_PERSON, get_list, 0},
        {"GET", "/api/v1/ssh/recordings/{id}", SP_WHO_PERSON, sp_recording_get_lines, 0},
        {"GET", "/api/v1/ssh/recordings/{id}/info", SP_WHO_PERSON, get_info, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
