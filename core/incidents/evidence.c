/* SPDX-License-Identifier: Apache-2.0
 * The evidence of an incident, for somebody who does not trust the office: a pack of the ledger
 * (core/admin/export.c) that opens what belongs to the incident and nothing else, with the incident
 * as people saw it.
 *
 * Story: incident.json, timeline.txt and readme.txt are written, and `evidence`, which lists their
 * hashes; its own hash goes on the ledger. Then the entries are looked for: what the timeline
 * names, what speaks of the incident, and the chunks of recordings of its sessions. The pack holds
 * their records and proofs, the secrets that open them, the signed checkpoint with its
 * cosignatures. Names in the pack are ours: nothing that anybody wrote becomes one.
 *
 * OWNS a search under way. PROCESS core. TRUST timelines hold what hostile people wrote: it stays
 * text inside files. SPEC docs/INCIDENTS.md "Evidence", ledger/verify/README.md.
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
    ENTRIES_MAX = 20000,
    SESSIONS_MAX = 64,
    REFERENCES_MAX = 256,
    FILE_MAX_BYTES = 24 << 20,
    MARGIN_S = 24 * 3600
};

typedef struct {
    sp_request *req;
    uint64_t id;
    uint64_t from_unix_us;
    sp_buf extra; /* the files, as a tar has them */
    uint64_t *entries;
    size_t count;
    uint64_t sessions[SESSIONS_MAX];
    size_t sessions_count;
    uint64_t references[REFERENCES_MAX];
    size_t references_count;
    size_t query; /* 0: what speaks of it; then sessions, then references */
    uint64_t before_entry;
    uint16_t before_at;
    char words[64];
} looking;

static void looking_free(looking *l)
{
    sp_buf_done(&l->extra);
    sp_free(l->entries);
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

/* The files into *extra; the hash of their list. */
static sp_err write_files(looking *l, const json_t *whole, sp_hash *ret_hash)
{
    auto_buf sp_buf list = sp_buf_make(4096);
    auto_buf sp_buf timeline = sp_buf_make(FILE_MAX_BYTES);
    auto_free char *json = json_dumps(whole, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (json == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    put_timeline(json_object_get(whole, "timeline"), &timeline);
    add_file(l, &list, "incident.json", sp_span_cstr(json));
    add_file(l, &list, "timeline.txt", sp_buf_borrow(&timeline));
    add_file(l, &list, "readme.txt", sp_span_cstr(README));
    *ret_hash = sp_sha256(sp_buf_borrow(&list));
    sp_tar_file(SP_SPAN_LIT("evidence"), sp_buf_borrow(&list), sp_now_unix_us() / 1000000,
                &l->extra);
    TRY(sp_buf_error(&list));
    TRY(sp_buf_error(&timeline));
    return sp_buf_error(&l->extra);
}

/* ---- what is looked for ---- */

static void add_entry(looking *l, uint64_t entry)
{
    if (l->count < ENTRIES_MAX) {
        l->entries[l->count++] = entry;
    }
}

static void add_once(uint64_t *all, size_t *count, size_t max, uint64_t one)
{
    for (size_t i = 0; i < *count; i++) {
        if (all[i] == one) {
            return;
        }
    }
    if (*count < max) {
        all[(*count)++] = one;
    }
}

static void take_timeline(looking *l, const json_t *timeline)
{
    size_t at = 0;
    const json_t *note = NULL;
    json_array_foreach(timeline, at, note)
    {
        uint64_t number = 0;
        const char *entry = word(note, "entry");
        const char *session = word(note, "session");
        const char *reference = word(note, "reference");
        if (entry != NULL && !sp_failed(sp_span_to_u64(sp_span_cstr(entry), INT64_MAX, &number))) {
            add_entry(l, number);
        }
        if (session != NULL && sp_admin_session_id(sp_span_cstr(session), &number)) {
            add_once(l->sessions, &l->sessions_count, SESSIONS_MAX, number);
        }
        if (reference != NULL && !sp_failed(sp_reference_of(sp_span_cstr(reference), &number))) {
            add_once(l->references, &l->references_count, REFERENCES_MAX, number);
        }
    }
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : (x > y ? 1 : 0);
}

static void hand_over(looking *l)
{
    size_t kept = 0;
    qsort(l->entries, l->count, sizeof(*l->entries), ascending);
    for (size_t i = 0; i < l->count; i++) {
        if (kept == 0 || l->entries[kept - 1] != l->entries[i]) {
            l->entries[kept++] = l->entries[i];
        }
    }
    uint64_t *entries = l->entries;
    l->entries = NULL;
    sp_export_wanted(l->req, entries, kept, &l->extra);
    looking_free(l);
}

static void look(looking *l);

static void on_found(void *self, sp_err err, sp_span body)
{
    looking *l = self;
    sp_ledger_found found;
    sp_ledger_item item;
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        sp_answer_failed(l->req, err);
        looking_free(l);
        return;
    }
    for (sp_span rest = found.items; sp_ledger_found_next(&rest, &item);) {
        add_entry(l, item.entry);
    }
    if (found.more && l->count < ENTRIES_MAX) {
        l->before_entry = found.before_entry;
        l->before_at = found.before_at;
    } else {
        l->query++;
        l->before_entry = UINT64_MAX;
        l->before_at = 0;
    }
    look(l);
}

static void look(looking *l)
{
    const sp_live_session *session = sp_request_session(l->req);
    sp_ledger_search search = {.reader = {.reader = sp_request_person(l->req),
                                          .reader_name = session == NULL
                                                             ? SP_SPAN_LIT("root")
                                                             : sp_span_cstr(session->person_name),
                                          .purpose = SP_SPAN_LIT("evidence of an incident")},
                               .from_unix_us = l->from_unix_us,
                               .before_entry = l->before_entry,
                               .before_at = l->before_at,
                               .limit = SP_LEDGER_PAGE_MAX};
    size_t at = l->query;
    if (at == 0) {
        search.text = sp_span_cstr(l->words);
    } else if (at - 1 < l->sessions_count) {
        search.session = l->sessions[at - 1];
        search.kinds = 1U << SP_EVENT_RECORDING;
    } else if (at - 1 - l->sessions_count < l->references_count) {
        search.reference = l->references[at - 1 - l->sessions_count];
    } else {
        hand_over(l);
        return;
    }
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(&search, &body);
    sp_ledger_client_call(sp_request_core(l->req)->ledger, SP_LEDGER_SEARCH, sp_buf_borrow(&body),
                          on_found, l);
}

static void go(sp_request *req, void *data)
{
    looking *l = data;
    l->req = req;
    look(l);
}

static looking *new_looking(sp_request *req, const sp_incident *incident)
{
    looking *l = NULL;
    sp_err err = sp_alloc(1, sizeof(*l), &l);
    if (!sp_failed(err)) {
        err = sp_alloc(ENTRIES_MAX, sizeof(*l->entries), &l->entries);
    }
    if (sp_failed(err)) {
        sp_free(l);
        sp_answer_failed(req, err);
        return NULL;
    }
    uint64_t opened = incident->opened_unix_s;
    l->id = incident->id;
    l->from_unix_us = (opened > MARGIN_S ? opened - MARGIN_S : 0) * 1000000;
    l->before_entry = UINT64_MAX;
    l->extra = sp_buf_make(SP_STREAM_PIECE_MAX_BYTES);
    snprintf(l->words, sizeof(l->words), "\"incident\":\"%llu\"", (unsigned long long)l->id);
    return l;
}

static void get_evidence(sp_request *req)
{
    sp_hash hash;
    sp_incident incident;
    json_t *whole = sp_incident_whole_of(req, &incident);
    looking *l = whole == NULL ? NULL : new_looking(req, &incident);
    if (l == NULL) {
        json_decref(whole);
        return;
    }
    sp_err err = write_files(l, whole, &hash);
    take_timeline(l, json_object_get(whole, "timeline"));
    json_decref(whole);
    if (sp_failed(err)) {
        looking_free(l);
        sp_answer_failed(req, err);
        return;
    }
    auto_buf sp_buf object = sp_buf_make(32);
    auto_buf sp_buf detail = sp_buf_make(512);
    sp_buf_u64_text(&object, l->id);
    sp_buf_fmt(&detail, "{\"did\":\"evidence\",\"incident\":\"%llu\",\"sha256\":\"",
               (unsigned long long)l->id);
    sp_buf_hex(&detail, sp_hash_borrow(&hash));
    sp_buf_text(&detail, "\"}");
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.severity = SP_SEVERITY_MEDIUM;
    event.method = SP_SPAN_LIT("evidence");
    event.object = sp_buf_borrow(&object);
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go, l);
}

sp_err sp_evidence_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/incidents/{id}/evidence", SP_WHO_AUDIT | SP_WHO_LOCAL | SP_WHO_FRESH,
         get_evidence, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
