/* SPDX-License-Identifier: Apache-2.0
 * The evidence of an incident, for somebody who does not trust the office: a pack of the ledger
 * (core/admin/export.c) that opens what belongs to the incident and nothing else, with the incident
 * as people saw it.
 *
 * Story: the entries are looked for: what the timeline names, what speaks of the incident, the
 * chunks of recordings of its sessions. Then incident.json, timeline.txt and readme.txt are
 * written, which say how much was found and what was left out, and `evidence`, which lists their
 * hashes; its own hash goes on the ledger, and that entry joins the others. The pack holds their
 * records and proofs, the secrets that open them, the signed checkpoint with its cosignatures.
 * Names in the pack are ours: nothing that anybody wrote becomes one.
 *
 * OWNS a search under way: the request does, whichever way it ends. PROCESS core. TRUST timelines
 * hold what hostile people wrote: it stays text inside files. SPEC docs/INCIDENTS.md "Evidence",
 * ledger/verify/README.md.
 */
#include "core/admin/admin.h"
#include "core/http/stream.h"
#include "core/incidents/inside.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "lib/base/sha256.h"
#include "lib/base/tar.h"
#include "lib/proto/ledger_msg.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ENTRIES_MAX = 200000, /* secrets of so many are sent in one piece */
    ENTRIES_STEP = 1024,
    MERGED_MAX = 64,
    TOPICS_MAX = 1024, /* sessions, and references: each is a search */
    FILE_MAX_BYTES = 24 << 20,
    MARGIN_S = 24 * 3600,
    HEX_BYTES = 64
};

/* Numbers, each once where that matters; `left_out` of them did not fit. */
typedef struct {
    uint64_t *items;
    size_t count;
    size_t room;
    size_t left_out;
} numbers;

typedef struct {
    sp_request *req;
    json_t *whole; /* the incident */
    uint64_t id;
    uint64_t from_unix_us;
    sp_buf extra; /* the files, as a tar has them */
    numbers entries;
    uint64_t incidents[1 + MERGED_MAX + 1]; /* this one, then those that were merged into it */
    size_t incidents_count;
    bool more_merged; /* than there is room for */
    numbers sessions;
    numbers references;
    size_t query; /* what speaks of the incidents; then sessions, then references; then our own */
    uint64_t before_entry;
    uint16_t before_at;
    bool found_own;
    char words[HEX_BYTES + 1]; /* what speaks of it; in the end, the hash of the files */
} looking;

static void looking_free(void *self)
{
    looking *l = self;
    json_decref(l->whole);
    sp_buf_done(&l->extra);
    sp_free(l->entries.items);
    sp_free(l->sessions.items);
    sp_free(l->references.items);
    sp_free(l);
}

/* ---- the files ---- */

static const char README[] =
    "This pack is evidence of one incident. It can be checked on any computer, without the "
    "office:\n"
    "\n"
    "    mkdir pack && tar -xf evidence.tar -C pack\n"
    "    sallyport-verify --key KEY --print pack\n"
    "\n"
    "KEY is the office's verifier key, from outside this pack; without --key the pack's own is "
    "used,\n"
    "which proves only that the pack agrees with itself. GOOD means: every entry in the pack is "
    "under\n"
    "the signed checkpoint (and its witnesses' signatures, when it has any), every secret opens "
    "the\n"
    "record it is given for, and the files below are those whose hash an entry of the ledger "
    "names.\n"
    "\n"
    "incident.json   the incident as the office showed it\n"
    "timeline.txt    its timeline; numbers in brackets are entries of the ledger\n"
    "evidence        SHA-256 of these files\n"
    "checkpoint, key, tile/, secrets   the ledger (C2SP tlog-tiles)\n"
    "\n"
    "Records of other entries stand in the pack too, sealed: the proofs need their hashes.\n";

static void add_file(looking *l, sp_buf *list, const char *name, sp_span bytes)
{
    sp_hash hash = sp_sha256(bytes);
    sp_buf_hex(list, sp_hash_borrow(&hash));
    sp_buf_fmt(list, "  %s\n", name);
    sp_tar_file(sp_span_cstr(name), bytes, sp_now_unix_us() / 1000000, &l->extra);
}

/* A line without what breaks one. */
static void put_line(sp_buf *out, const char *text)
{
    for (const char *c = text == NULL ? "" : text; *c != '\0'; c++) {
        bool control = (unsigned char)*c < ' ' || *c == 0x7f;
        sp_buf_byte(out, control ? ' ' : (uint8_t)*c);
    }
}

static const char *word(const json_t *note, const char *key)
{
    return json_string_value(json_object_get(note, key));
}

static void put_timeline(const json_t *timeline, sp_buf *out)
{
    size_t at = 0;
    const json_t *note = NULL;
    json_array_foreach(timeline, at, note)
    {
        const char *entry = word(note, "entry");
        put_line(out, word(note, "at"));
        sp_buf_byte(out, ' ');
        put_line(out, word(note, "kind"));
        sp_buf_text(out, " by ");
        put_line(out, word(note, "by"));
        sp_buf_text(out, ": ");
        put_line(out, word(note, "text"));
        if (entry != NULL) {
            sp_buf_fmt(out, " [%s]", entry);
        }
        sp_buf_byte(out, '\n');
    }
}

static bool is_complete(const looking *l)
{
    return l->entries.left_out + l->sessions.left_out + l->references.left_out == 0 &&
           !l->more_merged;
}

/* What the pack holds, and what it does not. */
static json_t *contents_json(const looking *l)
{
    return json_pack("{s:I,s:b,s:{s:I,s:I,s:I,s:b}}", "entries", (json_int_t)l->entries.count,
                     "complete", (int)is_complete(l), "left_out", "entries_at_least",
                     (json_int_t)l->entries.left_out, "sessions", (json_int_t)l->sessions.left_out,
                     "references", (json_int_t)l->references.left_out, "merged_incidents",
                     (int)l->more_merged);
}

static void put_readme(const looking *l, sp_buf *out)
{
    sp_buf_text(out, README);
    sp_buf_fmt(
        out,
        "\nA pack holds %d entries, %d sessions, %d references, what speaks of %d merged incidents "
        "and %d MiB of a file at most.\n",
        ENTRIES_MAX, TOPICS_MAX, TOPICS_MAX, MERGED_MAX, FILE_MAX_BYTES >> 20);
    if (is_complete(l)) {
        sp_buf_text(out, "\nNothing that belongs to the incident was left out.\n");
        return;
    }
    sp_buf_fmt(out,
               "\nNOT COMPLETE: there was more than a pack holds. Left out: %zu entries or more, "
               "%zu sessions, %zu references%s.\nThe whole ledger of that time: sallyport ledger "
               "export.\n",
               l->entries.left_out, l->sessions.left_out, l->references.left_out,
               l->more_merged ? ", what speaks of further merged incidents" : "");
}

/* The files into l->extra; the hash of their list. */
static sp_err write_files(looking *l, sp_hash *ret_hash)
{
    auto_buf sp_buf list = sp_buf_make(4096);
    auto_buf sp_buf timeline = sp_buf_make(FILE_MAX_BYTES);
    auto_buf sp_buf readme = sp_buf_make(8192);
    json_object_set_new(l->whole, "pack", contents_json(l));
    auto_free char *json = json_dumps(l->whole, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (json == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    put_timeline(json_object_get(l->whole, "timeline"), &timeline);
    put_readme(l, &readme);
    add_file(l, &list, "incident.json", sp_span_cstr(json));
    add_file(l, &list, "timeline.txt", sp_buf_borrow(&timeline));
    add_file(l, &list, "readme.txt", sp_buf_borrow(&readme));
    *ret_hash = sp_sha256(sp_buf_borrow(&list));
    sp_tar_file(SP_SPAN_LIT("evidence"), sp_buf_borrow(&list), sp_now_unix_us() / 1000000,
                &l->extra);
    TRY(sp_buf_error(&list));
    TRY(sp_buf_error(&timeline));
    TRY(sp_buf_error(&readme));
    return sp_buf_error(&l->extra);
}

/* ---- what is looked for ---- */

static sp_err add(numbers *all, size_t max, uint64_t one)
{
    if (all->count == max) {
        all->left_out++;
        return sp_ok();
    }
    if (all->count == all->room) {
        TRY(sp_resize(&all->items, all->room + ENTRIES_STEP, sizeof(*all->items)));
        all->room += ENTRIES_STEP;
    }
    all->items[all->count++] = one;
    return sp_ok();
}

static sp_err add_once(numbers *all, size_t max, uint64_t one)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i] == one) {
            return sp_ok();
        }
    }
    return add(all, max, one);
}

static sp_err take_timeline(looking *l)
{
    size_t at = 0;
    const json_t *note = NULL;
    json_array_foreach(json_object_get(l->whole, "timeline"), at, note)
    {
        uint64_t number = 0;
        const char *entry = word(note, "entry");
        const char *session = word(note, "session");
        const char *reference = word(note, "reference");
        if (entry != NULL && !sp_failed(sp_span_to_u64(sp_span_cstr(entry), INT64_MAX, &number))) {
            TRY(add(&l->entries, ENTRIES_MAX, number));
        }
        if (session != NULL && sp_admin_session_id(sp_span_cstr(session), &number)) {
            TRY(add_once(&l->sessions, TOPICS_MAX, number));
        }
        if (reference != NULL && !sp_failed(sp_reference_of(sp_span_cstr(reference), &number))) {
            TRY(add_once(&l->references, TOPICS_MAX, number));
        }
    }
    return sp_ok();
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : (x > y ? 1 : 0);
}

static void in_order(numbers *all)
{
    size_t kept = 0;
    qsort(all->items, all->count, sizeof(*all->items), ascending);
    for (size_t i = 0; i < all->count; i++) {
        if (kept == 0 || all->items[kept - 1] != all->items[i]) {
            all->items[kept++] = all->items[i];
        }
    }
    all->count = kept;
}

static void hand_over(looking *l)
{
    in_order(&l->entries);
    if (!is_complete(l)) {
        sp_answer_header(l->req, "X-Sallyport-Incomplete", SP_SPAN_LIT("1"));
    }
    uint64_t *entries = SP_STEAL(l->entries.items);
    sp_export_wanted(l->req, entries, l->entries.count, &l->extra);
}

static void look(looking *l);

static void look_at_first(looking *l, size_t query)
{
    l->query = query;
    l->before_entry = UINT64_MAX;
    l->before_at = 0;
    look(l);
}

static size_t own_query(const looking *l)
{
    return l->incidents_count + l->sessions.count + l->references.count;
}

static void go(sp_request *req, void *data)
{
    looking *l = data;
    (void)req;
    look_at_first(l, own_query(l));
}

/* The files' hash goes on the ledger. */
static sp_err record(looking *l)
{
    sp_hash hash;
    TRY(write_files(l, &hash));
    auto_buf sp_buf object = sp_buf_make(32);
    auto_buf sp_buf detail = sp_buf_make(512);
    auto_buf sp_buf hex = sp_buf_make(HEX_BYTES);
    sp_buf_hex(&hex, sp_hash_borrow(&hash));
    TRY(sp_fit(l->words, sizeof(l->words), sp_buf_borrow(&hex)));
    sp_buf_u64_text(&object, l->id);
    sp_buf_fmt(&detail,
               "{\"did\":\"evidence\",\"incident\":\"%llu\",\"complete\":%s,\"sha256\":\"%s\"}",
               (unsigned long long)l->id, is_complete(l) ? "true" : "false", l->words);
    sp_event event = sp_request_event(l->req, SP_EVENT_INCIDENT);
    event.severity = SP_SEVERITY_MEDIUM;
    event.method = SP_SPAN_LIT("evidence");
    event.object = sp_buf_borrow(&object);
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(l->req, &event, go, l);
    return sp_ok();
}

static sp_err take_found(looking *l, sp_span body, sp_ledger_found *ret_found)
{
    sp_ledger_item item;
    bool is_own = l->query == own_query(l);
    TRY(sp_ledger_found_read(body, ret_found));
    for (sp_span rest = ret_found->items; sp_ledger_found_next(&rest, &item);) {
        TRY(add(&l->entries, ENTRIES_MAX + (is_own ? 1 : 0), item.entry));
        l->found_own = l->found_own || is_own;
    }
    return sp_ok();
}

static void on_found(void *self, sp_err err, sp_span body)
{
    looking *l = self;
    sp_ledger_found found = {.more = false};
    if (!sp_failed(err)) {
        err = take_found(l, body, &found);
    }
    bool is_own = l->query == own_query(l);
    bool is_enough = is_own ? l->found_own : l->entries.left_out > 0;
    if (sp_failed(err)) {
        sp_answer_failed(l->req, err);
    } else if (found.more && !is_enough) {
        l->before_entry = found.before_entry;
        l->before_at = found.before_at;
        look(l);
    } else {
        l->entries.left_out += found.more && !is_own ? 1 : 0;
        look_at_first(l, l->query + 1);
    }
}

static void search(looking *l, sp_ledger_search *ask)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    ask->reader = (sp_ledger_reader){.reader = sp_request_person(l->req),
                                     .reader_name = sp_request_by(l->req),
                                     .purpose = SP_SPAN_LIT("evidence of an incident")};
    ask->from_unix_us = l->from_unix_us;
    ask->before_entry = l->before_entry;
    ask->before_at = l->before_at;
    ask->limit = SP_LEDGER_PAGE_MAX;
    sp_ledger_search_write(ask, &body);
    sp_ledger_client_call(sp_request_core(l->req)->ledger, SP_LEDGER_SEARCH, sp_buf_borrow(&body),
                          on_found, l);
}

static void look(looking *l)
{
    sp_ledger_search ask = {.before_at = 0};
    size_t own = own_query(l);
    bool is_written = l->extra.len > 0;
    if (l->query == own && !is_written) {
        sp_err err = record(l);
        if (sp_failed(err)) {
            sp_answer_failed(l->req, err);
        }
        return;
    }
    if (l->query > own) {
        if (l->found_own) {
            hand_over(l);
        } else {
            sp_answer_failed(l->req, sp_fail(SP_EINTERNAL)); /* nobody could check such a pack */
        }
        return;
    }
    size_t sessions_end = l->incidents_count + l->sessions.count;
    if (l->query < l->incidents_count) {
        snprintf(l->words, sizeof(l->words), "\"incident\":\"%llu\"",
                 (unsigned long long)l->incidents[l->query]);
        ask.text = sp_span_cstr(l->words);
    } else if (l->query == own) {
        ask.text = sp_span_cstr(l->words);
    } else if (l->query < sessions_end) {
        ask.session = l->sessions.items[l->query - l->incidents_count];
        ask.kinds = 1U << SP_EVENT_RECORDING;
    } else {
        ask.reference = l->references.items[l->query - sessions_end];
    }
    search(l, &ask);
}

static sp_err new_looking(sp_request *req, json_t *whole, const sp_incident *incident,
                          looking **ret_looking)
{
    looking *l = NULL;
    TRY(sp_alloc(1, sizeof(*l), &l));
    uint64_t opened = incident->opened_unix_s;
    l->req = req;
    l->id = incident->id;
    l->from_unix_us = (opened > MARGIN_S ? opened - MARGIN_S : 0) * 1000000;
    l->extra = sp_buf_make(SP_STREAM_PIECE_MAX_BYTES);
    l->incidents[0] = l->id;
    sp_err err = sp_request_at_end(req, looking_free, l);
    if (sp_failed(err)) {
        looking_free(l);
        return err;
    }
    l->whole = json_incref(whole);
    *ret_looking = l;
    size_t merged = 0;
    TRY(sp_incident_merged_ids(sp_request_core(req)->store, l->id, &l->incidents[1], MERGED_MAX + 1,
                               &merged));
    l->more_merged = merged > MERGED_MAX;
    l->incidents_count = 1 + (l->more_merged ? MERGED_MAX : merged);
    return sp_ok();
}

static void get_evidence(sp_request *req)
{
    sp_incident incident;
    looking *l = NULL;
    json_t *whole = sp_incident_whole_of(req, &incident);
    if (whole == NULL) {
        return; /* answered */
    }
    sp_err err = new_looking(req, whole, &incident, &l);
    json_decref(whole);
    if (!sp_failed(err)) {
        err = take_timeline(l);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    look_at_first(l, 0);
}

sp_err sp_evidence_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/incidents/{id}/evidence", SP_WHO_AUDIT | SP_WHO_LOCAL | SP_WHO_FRESH,
         get_evidence, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
