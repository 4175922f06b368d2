/* SPDX-License-Identifier: Apache-2.0
 * Recordings of terminals, read back from the ledger: lists, what is known of one, the lines of one
 * channel, also while it lives.
 *
 * Story: the ledger is searched for the connection's chunks, the newest first, down to the one
 * that is asked for; they are kept packed, in bounded room, the oldest of them answered in order.
 * Who plays a recording asks again with the next number.
 *
 * Who may: the person himself; security and audit administrators; who approved its shell. Reading
 * is an entry of the ledger, one a reading: who goes on with one that he began is known for a
 * while.
 *
 * OWNS the reading under way, who is reading. PROCESS core. TRUST requests are hostile; chunks are
 * what a gate wrote, which may be taken over: bounded, unpacked by lib/record.
 * SPEC docs/api/openapi.yaml "/ssh/recordings"; asciicast v2.
 */
#include "core/admin/events.h"
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"
#include "lib/record/chunk.h"

#include <string.h>

enum {
    PACKED_MAX_BYTES = 8 * 1024 * 1024, /* of chunks kept in one reading */
    ANSWER_MAX_BYTES = 4 * 1024 * 1024, /* of lines in one answer */
    CHUNKS_MAX = 16384,
    READERS_MAX = 256,
    READING_LASTS_US = 10 * 60 * 1000000,
    LIST_PAGES_MAX = 20
};

/* Who reads which recording now: written down when he began. */
typedef struct {
    uint64_t session;
    uint64_t connection;
    uint64_t until_us;
} reader;

static reader readers[READERS_MAX]; /* one core a process */

static bool goes_on(uint64_t session, uint64_t connection)
{
    uint64_t now_us = sp_now_steady_us();
    reader *oldest = &readers[0];
    for (size_t i = 0; i < READERS_MAX; i++) {
        reader *r = &readers[i];
        if (r->session == session && r->connection == connection && r->until_us > now_us) {
            r->until_us = now_us + READING_LASTS_US;
            return true;
        }
        oldest = r->until_us < oldest->until_us ? r : oldest;
    }
    *oldest = (reader){session, connection, now_us + READING_LASTS_US};
    return false;
}

/* ---- one recording: who may, and the search ---- */

/* A search for the connection of the path, within what the asker may see; false: answered. */
static bool search_of(sp_request *req, const char *purpose, sp_ledger_search *ret_search)
{
    uint64_t connection = 0;
    uint64_t ask = 0;
    uint32_t whose = 0;
    sp_core *core = sp_request_core(req);
    uint32_t me = sp_request_person(req);
    if (sp_failed(sp_reference_of(sp_request_param(req, 0), &connection)) || connection == 0) {
        sp_answer_problem(req, 404, "not_found", "There is no such recording.");
        return false;
    }
    sp_ledger_search search = {.reader = sp_events_reader(req, purpose),
                               .reference = connection,
                               .person = me,
                               .before_entry = UINT64_MAX,
                               .limit = SP_LEDGER_PAGE_MAX};
    bool all = (sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT)) != 0;
    if (all) {
        search.person = 0;
    } else if (sp_ssh_watched_by(core->store, connection, &ask, &whose) &&
               sp_ssh_may_watch(req, whose, ask)) {
        search.person = whose;
    }
    if (search.person != me && goes_on(sp_request_session(req)->id, connection)) {
        search.before_entry = INT64_MAX; /* the same reading: written down once */
    }
    *ret_search = search;
    return true;
}

static const json_t *unmapped(const json_t *ocsf, const char *key)
{
    return json_object_get(json_object_get(ocsf, "unmapped"), key);
}

/* ---- chunks ---- */

typedef struct {
    uint32_t number;
    uint32_t channel;
    uint64_t raw_bytes;
    bool end;
    char *detail; /* NULL: not kept */
    size_t len;
} kept_chunk;

static sp_span span_of(const kept_chunk *chunk)
{
    return sp_span_of(chunk->detail, chunk->len);
}

/* A chunk of an event; false: there is none that can be read. The detail is the caller's to free.
 */
static bool chunk_of(const sp_ledger_item *item, kept_chunk *ret_chunk)
{
    json_t *ocsf = json_loadb((const char *)item->json.ptr, item->json.len, 0, NULL);
    const json_t *detail = unmapped(ocsf, "detail");
    const char *object = json_string_value(json_object_get(ocsf, "message"));
    kept_chunk chunk = {0};
    uint64_t channel = 0;
    sp_chunk read;
    chunk.detail = json_is_object(detail) ? json_dumps(detail, JSON_COMPACT) : NULL;
    chunk.len = chunk.detail == NULL ? 0 : strlen(chunk.detail);
    bool good = chunk.detail != NULL && object != NULL &&
                !sp_failed(sp_span_to_u64(sp_span_cstr(object), UINT32_MAX, &channel)) &&
                !sp_failed(sp_chunk_read(span_of(&chunk), &read));
    json_decref(ocsf);
    if (!good) {
        sp_free(chunk.detail);
        return false;
    }
    chunk.number = read.number;
    chunk.end = read.end;
    chunk.raw_bytes = read.raw_bytes;
    chunk.channel = (uint32_t)channel;
    *ret_chunk = chunk;
    return true;
}

typedef struct {
    sp_request *req;
    sp_ledger_search search;
    bool any_channel;
    uint32_t channel; /* with any_channel: the smallest so far */
    uint32_t from;
    size_t packed_bytes;
    size_t first; /* those before it were given up again */
    size_t count;
    kept_chunk *chunks; /* as they come: the newest first */
    bool reached;       /* chunk `from` or one before it was seen */
} reading;

static void forget(reading *r, size_t at)
{
    r->packed_bytes -= r->chunks[at].len;
    sp_free(r->chunks[at].detail);
    r->chunks[at].detail = NULL;
}

static void reading_done(reading *r)
{
    for (size_t i = r->first; i < r->count; i++) {
        forget(r, i);
    }
    sp_free(r->chunks);
}

/* Takes the detail. What is newest gives way: it is asked for later. */
static void keep(reading *r, kept_chunk *chunk)
{
    if (r->any_channel && chunk->channel < r->channel) { /* the first channel is wanted */
        for (size_t i = r->first; i < r->count; i++) {
            forget(r, i);
        }
        r->first = 0;
        r->count = 0;
        r->reached = false;
        r->channel = chunk->channel;
    }
    bool wanted = chunk->channel == r->channel && chunk->number >= r->from;
    r->reached = r->reached || (chunk->channel == r->channel && chunk->number <= r->from);
    while (wanted && r->first < r->count &&
           (r->packed_bytes + chunk->len > PACKED_MAX_BYTES || r->count == CHUNKS_MAX)) {
        forget(r, r->first++);
        if (r->count == CHUNKS_MAX) {
            memmove(r->chunks, r->chunks + r->first, (r->count - r->first) * sizeof(*r->chunks));
            r->count -= r->first;
            r->first = 0;
        }
    }
    if (wanted && r->count < CHUNKS_MAX) {
        r->packed_bytes += chunk->len;
        r->chunks[r->count++] = *chunk;
    } else {
        sp_free(chunk->detail);
    }
}

/* ---- the lines of one channel ---- */

static int by_number(const void *a, const void *b)
{
    const kept_chunk *one = a;
    const kept_chunk *two = b;
    return one->number < two->number ? -1 : one->number > two->number;
}

/* One that is damaged takes nothing else with it. */
static void put_lines(const kept_chunk *kept, sp_buf *lines)
{
    auto_buf sp_buf text = sp_buf_make(SP_CHUNK_TEXT_MAX_BYTES);
    sp_chunk chunk;
    if (!sp_failed(sp_chunk_read(span_of(kept), &chunk)) &&
        !sp_failed(sp_chunk_text(&chunk, &text))) {
        sp_buf_span(lines, sp_buf_borrow(&text));
    }
}

static void answer_lines(reading *r)
{
    auto_buf sp_buf lines = sp_buf_make(ANSWER_MAX_BYTES + SP_CHUNK_TEXT_MAX_BYTES);
    uint32_t next = r->from;
    bool end = false;
    bool full = r->first > 0; /* newer ones were given up */
    char number[16];
    qsort(r->chunks + r->first, r->count - r->first, sizeof(*r->chunks), by_number);
    for (size_t i = r->first; i < r->count; i++) {
        if (lines.len >= ANSWER_MAX_BYTES) {
            full = true;
            break;
        }
        put_lines(&r->chunks[i], &lines);
        next = r->chunks[i].number + 1;
        end = r->chunks[i].end;
    }
    int len = snprintf(number, sizeof(number), "%u", next);
    sp_answer_header(r->req, "X-Sallyport-Next", sp_span_of(number, (size_t)len));
    if (end && !full) {
        sp_answer_header(r->req, "X-Sallyport-End", SP_SPAN_LIT("1"));
    }
    sp_answer_header(r->req, "Cache-Control", SP_SPAN_LIT("no-store"));
    sp_answer_bytes(r->req, 200, "application/x-asciicast", sp_buf_borrow(&lines));
    reading_done(r);
}

static void ask(sp_request *req, const sp_ledger_search *search, sp_on_reply then, void *self)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(search, &body);
    sp_ledger_client_call(sp_request_core(req)->ledger, SP_LEDGER_SEARCH, sp_buf_borrow(&body),
                          then, self);
}

/* It lives, and he may look at it: lines will come. */
static bool may_come(sp_request *req)
{
    const sp_ssh_connection *c = sp_ssh_connection_named(sp_ssh_of(req), sp_request_param(req, 0));
    return c != NULL &&
           (c->person == sp_request_person(req) || sp_ssh_may_watch(req, c->person, c->ask));
}

static void on_lines(void *self, sp_err err, sp_span body)
{
    reading *r = self;
    sp_ledger_found found = {0};
    sp_ledger_item item;
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        sp_request *req = r->req;
        reading_done(r);
        sp_events_answer_failed(req, err);
        return;
    }
    while (sp_ledger_found_next(&found.items, &item)) {
        kept_chunk chunk;
        if (chunk_of(&item, &chunk)) {
            keep(r, &chunk);
        }
    }
    /* of one channel the numbers fall with the entries, a batch or two apart */
    if (found.more && (r->any_channel || !r->reached)) {
        r->search.before_entry = found.before_entry;
        r->search.before_at = found.before_at;
        ask(r->req, &r->search, on_lines, r);
    } else if (r->count == r->first && !r->reached && !may_come(r->req)) {
        sp_request *req = r->req;
        reading_done(r);
        sp_answer_problem(req, 404, "not_found", "There is no such recording that you may see.");
    } else {
        answer_lines(r);
    }
}

static bool number_of(sp_request *req, const char *name, bool *ret_given, uint32_t *ret_number)
{
    uint64_t number = 0;
    sp_span text = sp_request_query(req, name);
    *ret_given = text.len > 0;
    if (text.len > 0 && sp_failed(sp_span_to_u64(text, INT32_MAX, &number))) {
        sp_answer_invalid(req, name, "a number");
        return false;
    }
    *ret_number = (uint32_t)number;
    return true;
}

static void get_lines(sp_request *req)
{
    reading *r = NULL;
    sp_ledger_search search;
    bool given = false;
    uint32_t channel = 0;
    uint32_t from = 0;
    if (!number_of(req, "from", &given, &from) || !number_of(req, "channel", &given, &channel) ||
        !search_of(req, "recording of an SSH connection", &search)) {
        return;
    }
    search.kinds = UINT32_C(1) << SP_EVENT_RECORDING;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*r), &r);
    if (!sp_failed(err)) {
        *r = (reading){.req = req,
                       .search = search,
                       .any_channel = !given,
                       .channel = given ? channel : UINT32_MAX,
                       .from = from};
        err = sp_alloc(CHUNKS_MAX, sizeof(*r->chunks), &r->chunks);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        ask(req, &search, on_lines, r);
    }
}

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
    kept_chunk chunk;
    if (chunk_of(item, &chunk)) {
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
} knowing;

static void take_known(knowing *k, const sp_ledger_item *item)
{
    json_t *event = sp_event_shape(item);
    bool is_chunk = event != NULL && is_kind(event, "recording");
    if (event != NULL && k->recording == NULL) {
        k->recording = recording_json(k->req, event);
    }
    if (is_chunk) {
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
        sp_events_answer_failed(k->req, err);
        return;
    }
    while (sp_ledger_found_next(&found.items, &item)) {
        take_known(k, &item);
    }
    if (found.more) {
        k->search.before_entry = found.before_entry;
        k->search.before_at = found.before_at;
        ask(k->req, &k->search, on_known, k);
    } else if (k->recording == NULL) {
        sp_answer_problem(k->req, 404, "not_found", "There is no such recording that you may see.");
    } else {
        sp_answer_json(k->req, 200, k->recording);
    }
}

static void get_info(sp_request *req)
{
    knowing *k = NULL;
    sp_ledger_search search;
    if (!search_of(req, "what is known of a recording", &search)) {
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
        ask(req, &search, on_known, k);
    }
}

/* ---- the list ---- */

typedef struct {
    sp_request *req;
    sp_ledger_search search;
    json_t *items;
    size_t limit;
    unsigned pages;
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

/* Whether one has ended of which it is not known when, and as whom. */
static bool wants_ends(const listing *l)
{
    json_t *one = NULL;
    size_t at = 0;
    bool any = false;
    json_array_foreach(l->items, at, one)
    {
        any = any || (json_is_null(json_object_get(one, "ended_at")) &&
                      !json_is_true(json_object_get(one, "live")));
    }
    return any;
}

/* The ends of connections, newest first: whoever ended longer ago than that is listed without. */
static void on_ends(void *self, sp_err err, sp_span body)
{
    listing *l = self;
    sp_ledger_found found = {0};
    sp_ledger_item item;
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    while (!sp_failed(err) && sp_ledger_found_next(&found.items, &item)) {
        json_t *event = sp_event_shape(&item);
        json_t *one = listed_of(l, json_string_value(json_object_get(event, "reference")));
        if (one != NULL) {
            take_close(one, event);
        }
        json_decref(event);
    }
    if (!sp_failed(err) && found.more && wants_ends(l) && ++l->pages < LIST_PAGES_MAX) {
        l->search.before_entry = found.before_entry;
        l->search.before_at = found.before_at;
        ask(l->req, &l->search, on_ends, l);
    } else {
        sp_answer_page(l->req, l->items, l->next);
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
    l->search.before_entry = UINT64_MAX;
    l->search.before_at = 0;
    ask(l->req, &l->search, on_ends, l);
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
        ask(l->req, &l->search, on_listed, l);
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
    ask(req, &search, on_listed, l);
}

sp_err sp_ssh_recordings_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/ssh/recordings", SP_WHO_PERSON, get_list, 0},
        {"GET", "/api/v1/ssh/recordings/{id}", SP_WHO_PERSON, get_lines, 0},
        {"GET", "/api/v1/ssh/recordings/{id}/info", SP_WHO_PERSON, get_info, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
