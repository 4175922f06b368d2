/* SPDX-License-Identifier: Apache-2.0
 * The ledger as a pack, for somebody who does not trust the office: a tar of what `sallyport ledger
 * export` writes, checked offline by sallyport-verify.
 *
 * Story: the request is written down, then a checkpoint is asked for, which fixes the size of the
 * tree; then hashes, then the records of the entries from..to, 256 to a file, each asked for as the
 * reader takes the one before; last the secrets that open those records and no others.
 *
 * OWNS the export under way. PROCESS core. TRUST the ledger's replies are bounded; the reader may
 * leave. SPEC c2sp.org/tlog-tiles; ledger/export.c; POSIX ustar.
 */
#include "core/admin/events.h"
#include "core/http/stream.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "lib/base/tar.h"
#include "lib/merkle/note.h"

enum {
    TILE = SP_LEDGER_TILE_MAX,
    RECORD_MAX_BYTES = UINT16_MAX,
    BUNDLE_MAX_BYTES = TILE * (RECORD_MAX_BYTES + 2),
    SECRETS_MAX_BYTES = 24 * 1024 * 1024,
    TOP_LEVEL = 4,
    NAME_MAX_BYTES = 96
};

typedef enum {
    AT_CHECKPOINT,
    AT_KEY,
    AT_FROM,
    AT_UNTIL,
    AT_TILES,
    AT_RECORDS,
    AT_EXTRA,
    AT_END
} stage;

typedef struct {
    sp_core *core;
    sp_stream *stream; /* NULL: the reader has gone */
    bool gone;
    bool asked; /* a call to the ledger is under way: it holds this */
    stage at;
    uint64_t session;
    uint32_t session_slot;
    uint32_t person;
    char person_name[SP_LIVE_NAME_BYTES];
    uint64_t from_unix_us; /* 0 = from the first */
    uint64_t to_unix_us;   /* 0 = to the last */
    uint64_t size;
    uint64_t from;  /* entries whose secrets are given: [from, until) */
    uint64_t until; /* their records: whole runs of 256 */
    uint8_t level;
    uint64_t index;
    uint64_t entry;
    uint64_t *wanted; /* ascending; NULL: all of [from, until) */
    size_t wanted_count;
    sp_buf extra; /* files of their own, as a tar has them */
    sp_buf bundle;
    sp_buf secrets;
} export;

static void step(export *e);

static void export_free(export *e)
{
    sp_buf_wipe(&e->secrets);
    sp_buf_done(&e->secrets);
    sp_buf_done(&e->bundle);
    sp_buf_done(&e->extra);
    sp_free(e->wanted);
    sp_free(e);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- asking the ledger ---- */

static sp_ledger_reader reader_of(const export *e)
{
    return (sp_ledger_reader){.reader = e->person,
                              .reader_name = sp_span_cstr(e->person_name),
                              .purpose = SP_SPAN_LIT("export in the console")};
}

static void ask(export *e, uint16_t kind, const sp_buf *body, sp_on_reply then)
{
    e->asked = true;
    sp_ledger_client_call(e->core->ledger, kind, body == NULL ? SP_SPAN_EMPTY : sp_buf_borrow(body),
                          then, e);
}

/* False: there is nobody to go on for. */
static bool answered(export *e, sp_err err)
{
    e->asked = false;
    if (e->gone) {
        export_free(e);
        return false;
    }
    if (sp_failed(err)) {
        sp_stream_end(e->stream, false);
        return false;
    }
    return true;
}

static void put(export *e, sp_span name, sp_span bytes)
{
    auto_buf sp_buf piece = sp_buf_make(SP_STREAM_PIECE_MAX_BYTES);
    sp_tar_file(name, bytes, sp_now_unix_us() / 1000000, &piece);
    sp_stream_put(e->stream, &piece);
}

static void put_tile(export *e, int level, uint64_t index, unsigned width, sp_span bytes)
{
    auto_buf sp_buf name = sp_buf_make(NAME_MAX_BYTES);
    sp_tile_path(level, index, width, &name);
    put(e, sp_buf_borrow(&name), bytes);
}

/* ---- checkpoint and key ---- */

static sp_err read_size(sp_span bytes, uint64_t *ret_size)
{
    sp_note note;
    sp_checkpoint said;
    TRY(sp_note_parse(bytes, &note));
    TRY(sp_checkpoint_parse(note.text, &said));
    *ret_size = said.size;
    return sp_ok();
}

static void on_checkpoint(void *self, sp_err err, sp_span body)
{
    export *e = self;
    if (!sp_failed(err)) {
        err = read_size(body, &e->size);
    }
    if (answered(e, err)) {
        e->until = e->size;
        e->at = AT_KEY;
        put(e, SP_SPAN_LIT("checkpoint"), body);
    }
}

static void on_key(void *self, sp_err err, sp_span body)
{
    export *e = self;
    sp_ledger_stats stats = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_stats_read(body, &stats);
    }
    if (answered(e, err)) {
        e->at = AT_FROM;
        e->from = stats.first_entry;
        put(e, SP_SPAN_LIT("key"), stats.verifier_key);
    }
}

/* ---- which entries: the newest that holds something of before a time ---- */

static void ask_bound(export *e, uint64_t before_unix_us, const sp_ledger_found *goes_on,
                      sp_on_reply then)
{
    const sp_ledger_search search = {.reader = reader_of(e),
                                     .to_unix_us = before_unix_us,
                                     .before_entry =
                                         goes_on == NULL ? UINT64_MAX : goes_on->before_entry,
                                     .before_at = goes_on == NULL ? 0 : goes_on->before_at,
                                     .limit = 1};
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(&search, &body);
    ask(e, SP_LEDGER_SEARCH, &body, then);
}

/* True: *ret_entry is it, or there is none. */
static bool read_bound(sp_span body, sp_err *err, sp_ledger_found *found, sp_ledger_item *ret_item,
                       bool *ret_any)
{
    if (!sp_failed(*err)) {
        *err = sp_ledger_found_read(body, found);
    }
    if (sp_failed(*err)) {
        return true;
    }
    sp_span rest = found->items;
    *ret_any = sp_ledger_found_next(&rest, ret_item);
    return *ret_any || !found->more;
}

static void on_from(void *self, sp_err err, sp_span body)
{
    export *e = self;
    sp_ledger_found found;
    sp_ledger_item item;
    bool any = false;
    bool over = read_bound(body, &err, &found, &item, &any);
    if (!answered(e, err)) {
        return;
    }
    if (!over) {
        ask_bound(e, e->from_unix_us, &found, on_from);
        return;
    }
    e->from = any ? item.entry : e->from;
    e->at = AT_UNTIL;
    step(e);
}

static void begin_tiles(export *e)
{
    e->from = least(e->from, e->size);
    e->until = e->until < e->from ? e->from : least(e->until, e->size);
    e->at = AT_TILES;
    e->level = TOP_LEVEL;
    e->index = 0;
    step(e);
}

static void on_until(void *self, sp_err err, sp_span body)
{
    export *e = self;
    sp_ledger_found found;
    sp_ledger_item item;
    bool any = false;
    bool over = read_bound(body, &err, &found, &item, &any);
    if (!answered(e, err)) {
        return;
    }
    if (!over) {
        ask_bound(e, e->to_unix_us, &found, on_until);
        return;
    }
    e->until = any ? item.entry + 1 : 0;
    begin_tiles(e);
}

/* ---- hashes ---- */

/* Runs [first, last) of leaves that the pack holds; the unfinished last run gives the root. */
static uint64_t first_run(const export *e)
{
    return e->from / TILE;
}

static uint64_t end_run(const export *e)
{
    return e->from == e->until ? first_run(e) : (e->until + TILE - 1) / TILE;
}

/* The first wanted entry from one on; UINT64_MAX: none. */
static uint64_t wanted_from(const export *e, uint64_t entry)
{
    if (e->wanted == NULL) {
        return entry;
    }
    size_t from = 0;
    size_t to = e->wanted_count;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (e->wanted[mid] < entry) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from < e->wanted_count ? e->wanted[from] : UINT64_MAX;
}

static bool is_wanted(const export *e, uint64_t entry)
{
    return entry >= e->from && entry < e->until && wanted_from(e, entry) == entry;
}

/* The first run from one on that holds something wanted. */
static uint64_t wanted_run(const export *e, uint64_t run)
{
    uint64_t entry = wanted_from(e, run * TILE);
    return entry == UINT64_MAX ? end_run(e) : entry / TILE;
}

/* The tile to come, at e->level and e->index or behind; false = there is none. */
static bool find_tile(export *e, unsigned *ret_width)
{
    for (;;) {
        uint64_t count = e->size >> (8 * e->level);
        if (e->level == 0 && e->index < first_run(e)) {
            e->index = first_run(e);
        }
        if (e->level == 0 && e->index < end_run(e)) {
            e->index = wanted_run(e, e->index);
        }
        if (e->level == 0 && e->index >= end_run(e) && e->index < count / TILE) {
            e->index = count / TILE;
        }
        if (e->index * TILE < count) {
            *ret_width = (unsigned)least(count - e->index * TILE, TILE);
            return true;
        }
        if (e->level == 0) {
            return false;
        }
        e->level--;
        e->index = 0;
    }
}

static void on_tile(void *self, sp_err err, sp_span body)
{
    export *e = self;
    unsigned width = 0;
    if (answered(e, err) && find_tile(e, &width)) {
        put_tile(e, e->level, e->index++, width, body);
    }
}

static void ask_tile(export *e)
{
    unsigned width = 0;
    if (!find_tile(e, &width)) {
        e->at = AT_RECORDS;
        e->entry = wanted_run(e, first_run(e)) * TILE;
        step(e);
        return;
    }
    const sp_ledger_tile_ask tile = {
        .level = e->level, .index = e->index * TILE, .count = (uint16_t)width};
    auto_buf sp_buf body = sp_buf_make(64);
    sp_ledger_tile_ask_write(&tile, &body);
    ask(e, SP_LEDGER_TILE, &body, on_tile);
}

/* ---- records ---- */

static void add_secret(export *e, const sp_ledger_entry *entry)
{
    if (is_wanted(e, entry->entry) && entry->secret.len > 0) {
        sp_buf_u64_text(&e->secrets, entry->entry);
        sp_buf_byte(&e->secrets, ' ');
        sp_buf_hex(&e->secrets, entry->secret);
        sp_buf_byte(&e->secrets, '\n');
    }
}

static void on_record(void *self, sp_err err, sp_span body)
{
    export *e = self;
    sp_ledger_entry entry = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_entry_read(body, &entry);
    }
    if (!sp_failed(err)) {
        sp_buf_u16(&e->bundle, (uint16_t)entry.record.len);
        sp_buf_span(&e->bundle, entry.record);
        add_secret(e, &entry);
        err = sp_failed(sp_buf_error(&e->bundle)) ? sp_buf_error(&e->bundle)
                                                  : sp_buf_error(&e->secrets);
    }
    if (!answered(e, err)) {
        return;
    }
    e->entry++;
    if (e->entry % TILE != 0 && e->entry < e->size) {
        step(e);
        return;
    }
    uint64_t run = (e->entry - 1) / TILE;
    put_tile(e, -1, run, (unsigned)(e->entry - run * TILE), sp_buf_borrow(&e->bundle));
    sp_buf_reset(&e->bundle);
    e->entry = wanted_run(e, run + 1) * TILE;
}

static void ask_record(export *e)
{
    if (e->entry >= least(end_run(e) * TILE, e->size)) {
        e->at = AT_EXTRA;
        put(e, SP_SPAN_LIT("secrets"), sp_buf_borrow(&e->secrets));
        return;
    }
    const sp_ledger_entry_ask entry = {.reader = reader_of(e), .entry = e->entry};
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_entry_ask_write(&entry, &body);
    ask(e, SP_LEDGER_ENTRY, &body, on_record);
}

/* ---- the course of it ---- */

/* Whoever is signed out meanwhile gets no more of it. */
static bool may_go_on(const export *e)
{
    sp_live_session session;
    if (e->session == 0) {
        return true; /* root on the host */
    }
    return !sp_failed(sp_live_session_get(&e->core->live, e->session_slot, e->session, &session)) &&
           session.state == SP_SESSION_LIVE && sp_roles_hold(session.roles, SP_ROLE_NR_AUDIT);
}

static void step(export *e)
{
    if (!may_go_on(e)) {
        sp_stream_end(e->stream, false);
        return;
    }
    switch (e->at) {
    case AT_CHECKPOINT:
        ask(e, SP_LEDGER_CHECKPOINT, NULL, on_checkpoint);
        return;
    case AT_KEY:
        ask(e, SP_LEDGER_STATS, NULL, on_key);
        return;
    case AT_FROM:
        if (e->from_unix_us > 0) {
            ask_bound(e, e->from_unix_us, NULL, on_from);
            return;
        }
        e->at = AT_UNTIL;
        step(e);
        return;
    case AT_UNTIL:
        if (e->to_unix_us > 0) {
            ask_bound(e, e->to_unix_us, NULL, on_until);
        } else {
            begin_tiles(e);
        }
        return;
    case AT_TILES:
        ask_tile(e);
        return;
    case AT_RECORDS:
        ask_record(e);
        return;
    case AT_EXTRA:
        e->at = AT_END;
        if (e->extra.len > 0) {
            sp_stream_put(e->stream, &e->extra);
            return;
        }
        break;
    case AT_END:
        break;
    }
    auto_buf sp_buf end = sp_buf_make(SP_STREAM_PIECE_MAX_BYTES);
    sp_tar_end(&end);
    sp_stream_put(e->stream, &end);
    sp_stream_end(e->stream, true);
}

static void on_next(void *self, sp_stream *stream)
{
    export *e = self;
    e->stream = stream;
    if (!e->asked) {
        step(e);
    }
}

static void on_gone(void *self)
{
    export *e = self;
    e->gone = true;
    if (!e->asked) {
        export_free(e);
    }
}

static const sp_stream_calls calls = {on_next, on_gone};

/* NULL: answered. */
static export *new_export(sp_request *req)
{
    const sp_live_session *session = sp_request_session(req);
    export *e = NULL;
    sp_err err = sp_alloc(1, sizeof(*e), &e);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    *e = (export){.core = sp_request_core(req),
                  .session = session == NULL ? 0 : session->id,
                  .session_slot = session == NULL ? 0 : sp_request_session_slot(req),
                  .person = session == NULL ? 0 : session->person,
                  .person_name = "root",
                  .bundle = sp_buf_make(BUNDLE_MAX_BYTES),
                  .secrets = sp_buf_make(SECRETS_MAX_BYTES)};
    if (session != NULL) {
        sp_copy(e->person_name, session->person_name, sizeof(e->person_name));
    }
    return e;
}

static void answer(sp_request *req, export *e)
{
    sp_answer_header(req, "Content-Disposition",
                     SP_SPAN_LIT("attachment; filename=\"sallyport-ledger.tar\""));
    if (!sp_answer_stream(req, 200, "application/x-tar", &calls, e)) {
        export_free(e);
    }
}

void sp_export_wanted(sp_request *req, uint64_t *entries, size_t count, sp_buf *extra)
{
    export *e = new_export(req);
    if (e == NULL) {
        sp_free(entries);
        return;
    }
    e->wanted = entries;
    e->wanted_count = count;
    e->extra = *extra;
    *extra = sp_buf_make(0);
    answer(req, e);
}

static void begin(sp_request *req, void *data)
{
    const sp_ledger_search *range = data;
    export *e = new_export(req);
    if (e != NULL) {
        e->from_unix_us = range->from_unix_us;
        e->to_unix_us = range->to_unix_us;
        answer(req, e);
    }
}

static void get_export(sp_request *req)
{
    sp_ledger_search *range = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*range), &range);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (!sp_events_page(req, range)) {
        return;
    }
    if (sp_streams_count(sp_request_core(req), &calls) > 0) {
        sp_answer_problem(req, 409, "busy", "Another export is being read. Wait for its end.");
        return;
    }
    if (sp_span_eq(sp_request_query(req, "dry_run"), SP_SPAN_LIT("true"))) {
        sp_answer_empty(req, 204);
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_READ);
    event.severity = SP_SEVERITY_MEDIUM;
    event.method = SP_SPAN_LIT("export");
    event.object = SP_SPAN_LIT("ledger pack");
    auto_buf sp_buf detail = sp_buf_make(256);
    sp_buf_text(&detail, "{\"from\":\"");
    sp_buf_time(&detail, range->from_unix_us);
    sp_buf_text(&detail, "\",\"to\":\"");
    sp_buf_time(&detail, range->to_unix_us > 0 ? range->to_unix_us : sp_now_unix_us());
    sp_buf_text(&detail, "\"}");
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, begin, range);
}

sp_err sp_admin_export_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/ledger/export", SP_WHO_AUDIT | SP_WHO_FRESH, get_export, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
