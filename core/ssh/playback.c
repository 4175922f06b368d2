/* SPDX-License-Identifier: Apache-2.0
 * Recordings of terminals, played back: the lines of one channel, also while it lives, and who may.
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
 * SPEC docs/api/openapi.yaml "/ssh/recordings/{id}"; asciicast v2.
 */
#include "core/admin/events.h"
#include "core/http/json.h"
#include "core/ssh/recordings.h"
#include "infra/proc/clock.h"
#include "lib/record/chunk.h"

#include <string.h>

enum {
    PACKED_MAX_BYTES = 8 * 1024 * 1024, /* of chunks kept in one reading */
    ANSWER_MAX_BYTES = 4 * 1024 * 1024, /* of lines in one answer */
    CHUNKS_MAX = 16384,
    READERS_MAX = 256,
    READING_LASTS_US = 10 * 60 * 1000000
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

/* ---- who may, and the search ---- */

bool sp_recording_search(sp_request *req, const char *purpose, sp_ledger_search *ret_search)
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
        search.goes_on = true; /* the same reading: written down once */
    }
    *ret_search = search;
    return true;
}

void sp_recording_ask(sp_request *req, const sp_ledger_search *search, sp_on_reply then, void *self)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(search, &body);
    sp_ledger_client_call(sp_request_core(req)->ledger, SP_LEDGER_SEARCH, sp_buf_borrow(&body),
                          then, self);
}

static const json_t *unmapped(const json_t *ocsf, const char *key)
{
    return json_object_get(json_object_get(ocsf, "unmapped"), key);
}

/* ---- chunks ---- */

static sp_span span_of(const sp_kept_chunk *chunk)
{
    return sp_span_of(chunk->detail, chunk->len);
}

bool sp_recording_chunk(const sp_ledger_item *item, sp_kept_chunk *ret_chunk)
{
    json_t *ocsf = json_loadb((const char *)item->json.ptr, item->json.len, 0, NULL);
    const json_t *detail = unmapped(ocsf, "detail");
    const char *object = json_string_value(json_object_get(ocsf, "message"));
    sp_kept_chunk chunk = {0};
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
    sp_kept_chunk *chunks; /* as they come: the newest first */
    bool reached;          /* chunk `from` or one before it was seen */
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
static void keep(reading *r, sp_kept_chunk *chunk)
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
            sp_move(r->chunks, r->chunks + r->first, (r->count - r->first) * sizeof(*r->chunks));
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
    const sp_kept_chunk *one = a;
    const sp_kept_chunk *two = b;
    return one->number < two->number ? -1 : one->number > two->number;
}

/* One that is damaged takes nothing else with it. */
static void put_lines(const sp_kept_chunk *kept, sp_buf *lines)
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
        sp_kept_chunk chunk;
        if (sp_recording_chunk(&item, &chunk)) {
            keep(r, &chunk);
        }
    }
    /* of one channel the numbers fall with the entries, a batch or two apart */
    if (found.more && (r->any_channel || !r->reached)) {
        r->search.before_entry = found.before_entry;
        r->search.before_at = found.before_at;
        sp_recording_ask(r->req, &r->search, on_lines, r);
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

void sp_recording_get_lines(sp_request *req)
{
    reading *r = NULL;
    sp_ledger_search search;
    bool given = false;
    uint32_t channel = 0;
    uint32_t from = 0;
    if (!number_of(req, "from", &given, &from) || !number_of(req, "channel", &given, &channel) ||
        !sp_recording_search(req, "recording of an SSH connection", &search)) {
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
        sp_recording_ask(req, &search, on_lines, r);
    }
}
