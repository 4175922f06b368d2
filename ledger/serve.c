/* SPDX-License-Identifier: Apache-2.0
 * What each message does, and who may send it.
 * OWNS the replies that wait for the disk. PROCESS ledger. TRUST bodies are hostile; who the peer
 * is is the kernel's word. SPEC lib/proto/ledger_msg.h.
 */
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "ledger/ledger.h"

enum { PAGE_BUDGET_MS = 50, INDEX_BUDGET_MS = 50, JSON_MAX_BYTES = 64 * 1024 };

/* A reply that comes later. */
typedef struct {
    sp_ledger *ledger;
    sp_peer *peer;
    sp_msg to;
} later;

static later *later_new(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg)
{
    later *l = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*l), &l))) {
        return NULL;
    }
    *l = (later){ledger, sp_peer_ref(peer), {.kind = msg->kind, .id = msg->id}};
    return l;
}

static void later_reply(later *l, sp_code code, sp_span body)
{
    sp_peer_reply(l->peer, &l->to, code, body, NULL, 0);
    sp_peer_unref(l->peer);
    sp_free(l);
}

static void fail(sp_peer *peer, const sp_msg *msg, sp_code code)
{
    sp_peer_reply(peer, msg, code, SP_SPAN_EMPTY, NULL, 0);
}

static void reply_buf(sp_peer *peer, const sp_msg *msg, sp_err err, const sp_buf *body)
{
    sp_peer_reply(peer, msg, err.code, sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(body), NULL,
                  0);
}

/* ---- writing ---- */

static void on_empty_done(void *self, sp_code code, uint64_t entry)
{
    (void)entry;
    later_reply(self, code, SP_SPAN_EMPTY);
}

static const struct {
    sp_gate gate;
    sp_role_kind role;
} GATES[] = {{SP_GATE_WEB, SP_ROLE_WEB}, {SP_GATE_DB, SP_ROLE_DB}, {SP_GATE_SSH, SP_ROLE_SSH}};

/* A ring is of the gate whose user brings it, and called like it: its name is the source's in every
 * entry. */
static bool is_of_peer(const sp_ledger *ledger, const sp_peer *peer, const sp_ledger_attach *ask)
{
    for (size_t i = 0; i < SP_COUNT(GATES); i++) {
        sp_span word = sp_span_cstr(sp_role_word(GATES[i].role));
        if (GATES[i].gate == ask->gate && sp_span_starts(ask->name, word) &&
            ask->name.len > word.len && ask->name.ptr[word.len] == ' ') {
            return sp_config_uid_is(ledger->config, sp_peer_uid(peer), GATES[i].role);
        }
    }
    return false;
}

static void attach(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_attach ask;
    sp_ledger_attached answer = {0};
    sp_source *source = NULL;
    auto_shm sp_shm shm = {0};
    auto_close int fd = sp_fds_take(fds, 0);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_err err = sp_ledger_attach_read(msg->body, &ask);
    if (!sp_failed(err) && (fd < 0 || sp_peer_data(peer) != NULL)) {
        err = sp_fail(SP_EINVALID); /* one ring a connection */
    }
    if (!sp_failed(err) && !is_of_peer(ledger, peer, &ask)) {
        err = sp_fail(SP_EDENIED);
    }
    if (!sp_failed(err)) {
        err = sp_shm_map_write(fd, SP_LEDGER_RING_MAX_BYTES, &shm);
    }
    if (!sp_failed(err)) {
        err = sp_engine_attach(ledger->engine, &ask, &shm, &source, &answer.durable_seq);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "a ring was refused: %s", sp_code_word(err.code));
        fail(peer, msg, err.code);
        return;
    }
    sp_peer_set_data(peer, source);
    sp_ledger_attached_write(&answer, &body);
    reply_buf(peer, msg, sp_ok(), &body);
}

static void wake(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)peer;
    (void)msg;
    (void)fds;
    sp_engine_wake(ledger->engine);
}

static void flush(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)fds;
    later *l = later_new(ledger, peer, msg);
    if (l == NULL || !sp_engine_is_recording(ledger->engine)) {
        fail(peer, msg, l == NULL ? SP_ENOMEM : SP_EIO);
        if (l != NULL) {
            sp_peer_unref(l->peer);
            sp_free(l);
        }
        return;
    }
    sp_engine_flush(ledger->engine, on_empty_done, l);
}

static void detach(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)fds;
    sp_source *source = sp_peer_data(peer);
    later *l = source == NULL ? NULL : later_new(ledger, peer, msg);
    if (l == NULL) {
        fail(peer, msg, source == NULL ? SP_ENOTFOUND : SP_ENOMEM);
        return;
    }
    sp_peer_set_data(peer, NULL);
    sp_engine_detach(ledger->engine, source, true, on_empty_done, l);
}

static void on_appended(void *self, sp_code code, uint64_t entry)
{
    auto_buf sp_buf body = sp_buf_make(64);
    const sp_ledger_appended appended = {entry};
    sp_ledger_appended_write(&appended, &body);
    later_reply(self, code, code == SP_OK ? sp_buf_borrow(&body) : SP_SPAN_EMPTY);
}

static const char *sender_of(const sp_ledger *ledger, const sp_peer *peer)
{
    uid_t uid = sp_peer_uid(peer);
    if (sp_config_uid_is(ledger->config, uid, SP_ROLE_CORE)) {
        return "core";
    }
    return sp_config_uid_is(ledger->config, uid, SP_ROLE_VAULT) ? "vault" : "porter";
}

static void append(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_append ask;
    (void)fds;
    sp_err err = sp_ledger_append_read(msg->body, &ask);
    later *l = sp_failed(err) ? NULL : later_new(ledger, peer, msg);
    if (l == NULL) {
        fail(peer, msg, sp_failed(err) ? err.code : SP_ENOMEM);
        return;
    }
    sp_engine_append(ledger->engine, &ask, sender_of(ledger, peer), on_appended, l);
}

/* ---- reading ---- */

/* Reading is written down, unless somebody reads what is about himself only. */
static void note_read(sp_ledger *ledger, const sp_ledger_reader *reader, const char *what,
                      uint64_t which)
{
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_buf_fmt(&detail, "{\"%s\":\"%llu\"}", what, (unsigned long long)which);
    sp_event event = {.kind = SP_EVENT_READ,
                      .severity = SP_SEVERITY_LOW,
                      .person = reader->reader,
                      .person_name = reader->reader_name,
                      .method = SP_SPAN_LIT("read"),
                      .object = reader->purpose,
                      .detail = sp_buf_borrow(&detail)};
    if (reader->reader == 0) {
        event.person_name = SP_SPAN_LIT("root on the host");
    }
    sp_engine_note(ledger->engine, &event, false, NULL, NULL);
}

/* One after another of the same reader (an export) is one reading, "from this entry on". */
static void note_entry_read(sp_ledger *ledger, const sp_peer *peer, const sp_ledger_entry_ask *ask)
{
    bool goes_on = peer == ledger->entry_peer && ask->reader.reader == ledger->entry_reader &&
                   ask->entry == ledger->entry_read + 1;
    ledger->entry_peer = peer;
    ledger->entry_reader = ask->reader.reader;
    ledger->entry_read = ask->entry;
    if (!goes_on) {
        note_read(ledger, &ask->reader, "entries_from", ask->entry);
    }
}

static void note_search(sp_ledger *ledger, const sp_ledger_search *ask,
                        const sp_ledger_found *found)
{
    uint64_t now_us = sp_now_steady_us();
    bool own = ask->reader.reader != 0 && ask->reader.reader == ask->person;
    if (own) {
        return;
    }
    if (!sp_readings_goes_on(&ledger->readings, ask, now_us) && !ask->goes_on) {
        note_read(ledger, &ask->reader, "searched_person", ask->person);
    }
    if (found->more) {
        sp_readings_handed_out(&ledger->readings, ask, found, now_us);
    }
}

static void search(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_search ask;
    sp_ledger_found found;
    auto_buf sp_buf items = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    (void)fds;
    sp_err err = sp_ledger_search_read(msg->body, &ask);
    sp_lookup lookup = sp_ledger_lookup(ledger);
    if (!sp_failed(err)) { /* what is indexed now, no later search opens again */
        sp_ledger_index_slice(ledger, sp_now_steady_us() + INDEX_BUDGET_MS * UINT64_C(1000));
        err = sp_lookup_page(&lookup, &ask, PAGE_BUDGET_MS, &items, &found);
    }
    if (sp_failed(err)) {
        fail(peer, msg, err.code);
        return;
    }
    note_search(ledger, &ask, &found);
    sp_ledger_found_write(&found, &body);
    reply_buf(peer, msg, sp_buf_error(&body), &body);
}

static sp_err entry_of(sp_ledger *ledger, uint64_t which, sp_buf *record, sp_buf *json,
                       sp_key *secret, sp_ledger_entry *ret_entry)
{
    sp_lookup lookup = sp_ledger_lookup(ledger);
    sp_record_head head;
    *ret_entry = (sp_ledger_entry){.entry = which, .state = SP_ENTRY_REDACTED};
    TRY(sp_journal_leaf(ledger->store, which, &ret_entry->leaf));
    sp_err err = sp_journal_read(ledger->store, which, record);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    TRY(sp_record_head_read(sp_buf_borrow(record), &head));
    err = sp_lookup_open(&lookup, which, json);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    ret_entry->state = head.form == SP_RECORD_OPEN ? SP_ENTRY_OPEN : SP_ENTRY_SEALED;
    if (!sp_failed(sp_lookup_secret(&lookup, sp_buf_borrow(record), secret))) {
        ret_entry->secret = (sp_span){secret->bytes, sizeof(secret->bytes)};
    }
    ret_entry->record = sp_buf_borrow(record);
    ret_entry->json = sp_buf_borrow(json);
    return sp_ok();
}

static void entry(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_entry_ask ask;
    sp_ledger_entry answer;
    auto_key sp_key secret = {{0}};
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    auto_buf sp_buf json = sp_buf_make(JSON_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(2 * SP_MSG_MAX_BYTES);
    (void)fds;
    sp_err err = sp_ledger_entry_ask_read(msg->body, &ask);
    if (!sp_failed(err)) {
        err = entry_of(ledger, ask.entry, &record, &json, &secret, &answer);
    }
    if (!sp_failed(err)) {
        note_entry_read(ledger, peer, &ask);
        sp_ledger_entry_write(&answer, &body);
        err = sp_buf_error(&body);
    }
    reply_buf(peer, msg, err, &body);
}

/* The note stands beside a proof for the tree that it signs. */
static void write_proof(const sp_ledger *ledger, sp_ledger_proof *answer, uint64_t size,
                        const sp_merkle_path *path, sp_buf *body)
{
    answer->tree_size = size;
    answer->count = (uint16_t)path->count;
    sp_copy(answer->path, path->hashes, path->count * sizeof(*path->hashes));
    answer->note =
        size == sp_keeper_size(ledger->keeper) ? sp_keeper_note(ledger->keeper) : SP_SPAN_EMPTY;
    sp_ledger_proof_write(answer, body);
}

static void proof(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_entry_ask ask;
    sp_merkle_path path;
    sp_ledger_proof answer = {0};
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_merkle_source source = sp_journal_hashes(ledger->store);
    (void)fds;
    sp_err err = sp_ledger_entry_ask_read(msg->body, &ask);
    uint64_t size =
        sp_failed(err) || ask.tree_size == 0 ? sp_keeper_size(ledger->keeper) : ask.tree_size;
    if (!sp_failed(err) && (ask.entry >= size || size > sp_journal_size(ledger->store))) {
        err = sp_fail(SP_ENOTFOUND); /* not under a checkpoint yet: ask for CHECKPOINT first */
    }
    if (!sp_failed(err)) {
        err = sp_merkle_inclusion(&source, ask.entry, size, &path);
    }
    if (!sp_failed(err)) {
        err = sp_journal_leaf(ledger->store, ask.entry, &answer.leaf);
    }
    if (!sp_failed(err)) {
        answer.entry = ask.entry;
        write_proof(ledger, &answer, size, &path, &body);
    }
    reply_buf(peer, msg, err, &body);
}

static void consistency(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_sizes ask;
    sp_merkle_path path;
    sp_ledger_proof answer = {0};
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_merkle_source source = sp_journal_hashes(ledger->store);
    (void)fds;
    sp_err err = sp_ledger_sizes_read(msg->body, &ask);
    uint64_t size =
        sp_failed(err) || ask.new_size == 0 ? sp_keeper_size(ledger->keeper) : ask.new_size;
    if (!sp_failed(err) && size > sp_journal_size(ledger->store)) {
        err = sp_fail(SP_ENOTFOUND);
    }
    if (!sp_failed(err)) {
        err = sp_merkle_consistency(&source, ask.old_size, size, &path);
    }
    if (!sp_failed(err)) {
        answer.entry = ask.old_size;
        write_proof(ledger, &answer, size, &path, &body);
    }
    reply_buf(peer, msg, err, &body);
}

/* Hashes tell nothing about what they are of: reading them is not written down. */
static void tile(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_tile_ask ask;
    sp_hash row[SP_LEDGER_TILE_MAX];
    auto_buf sp_buf body = sp_buf_make(sizeof(row));
    sp_merkle_source source = sp_journal_hashes(ledger->store);
    (void)fds;
    sp_err err = sp_ledger_tile_ask_read(msg->body, &ask);
    if (!sp_failed(err)) {
        uint64_t there = sp_journal_size(ledger->store) >> (SP_MERKLE_TILE_BITS * ask.level);
        bool all = ask.index < there && there - ask.index >= ask.count;
        err = all ? source.read(source.self, ask.level, ask.index, ask.count, row)
                  : sp_fail(SP_ENOTFOUND);
    }
    if (!sp_failed(err)) {
        sp_buf_span(&body, (sp_span){row[0].bytes, ask.count * sizeof(row[0])});
    }
    reply_buf(peer, msg, err, &body);
}

static void on_checkpoint(void *self, sp_code code, uint64_t at)
{
    later *l = self;
    sp_span note = sp_keeper_note(l->ledger->keeper);
    (void)at;
    later_reply(l, note.len > 0 ? SP_OK : (code == SP_OK ? SP_ENOTFOUND : code), note);
}

static void checkpoint(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)fds;
    later *l = later_new(ledger, peer, msg);
    if (l == NULL) {
        fail(peer, msg, SP_ENOMEM);
        return;
    }
    sp_ledger_checkpoint_now(ledger, on_checkpoint, l);
}

/* Keeps a witness's copy of a checkpoint of this very tree. */
static sp_err take_cosigned(sp_ledger *ledger, sp_span bytes)
{
    sp_note note;
    sp_checkpoint said;
    sp_merkle tree;
    sp_merkle_source source = sp_journal_hashes(ledger->store);
    TRY(sp_note_parse(bytes, &note));
    TRY(sp_checkpoint_parse(note.text, &said));
    if (said.size > sp_journal_size(ledger->store) || note.count < 2) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_merkle_load(&source, said.size, &tree));
    sp_hash root = sp_merkle_root(&tree);
    if (!sp_hash_eq(&root, &said.root)) {
        return sp_fail(SP_ECONFLICT);
    }
    return sp_journal_cosigned_write(ledger->store, bytes);
}

static void cosign(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)fds;
    sp_err err = take_cosigned(ledger, msg->body);
    fail(peer, msg, err.code);
}

static void tail(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_search ask;
    (void)fds;
    sp_err err = sp_ledger_search_read(msg->body, &ask);
    if (!sp_failed(err)) {
        note_read(ledger, &ask.reader, "followed_person", ask.person);
        sp_ledger_tail_add(ledger, peer, &ask);
    }
    fail(peer, msg, err.code);
}

static void stats(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    bool recording = sp_engine_is_recording(ledger->engine);
    const char *trouble = recording ? sp_keeper_trouble(ledger->keeper)
                                    : "the ledger cannot write to its disk (full, or failing)";
    (void)fds;
    const sp_ledger_stats answer = {.entries = sp_journal_size(ledger->store),
                                    .events = sp_engine_events(ledger->engine),
                                    .bytes = sp_journal_bytes(ledger->store),
                                    .checkpoint_size = sp_keeper_size(ledger->keeper),
                                    .checkpoint_unix_us = sp_keeper_signed_unix_us(ledger->keeper),
                                    .first_entry = sp_journal_first(ledger->store),
                                    .indexed = sp_index_upto(ledger->index),
                                    .lost = sp_engine_lost(ledger->engine),
                                    .verified = ledger->verify.at,
                                    .verified_unix_us = ledger->verify.unix_us,
                                    .sources = sp_engine_sources(ledger->engine),
                                    .retention_days = ledger->retention_days,
                                    .verify = ledger->verify.state,
                                    .recording = recording,
                                    .trouble = sp_span_cstr(trouble),
                                    .verifier_key = sp_keeper_verifier_key(ledger->keeper)};
    sp_ledger_stats_write(&answer, &body);
    reply_buf(peer, msg, sp_buf_error(&body), &body);
}

static void counts(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    (void)fds;
    sp_counts_turn(&ledger->counts, sp_now_unix_us());
    ledger->counts.hours.complete = ledger->counts.upto == sp_journal_size(ledger->store);
    sp_ledger_counts_write(&ledger->counts.hours, &body);
    reply_buf(peer, msg, sp_buf_error(&body), &body);
}

static void meters(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    auto_buf sp_buf body = sp_buf_make(4096);
    (void)fds;
    sp_ledger_meters_write(&ledger->meters, &body);
    reply_buf(peer, msg, sp_buf_error(&body), &body);
}

static void verify(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    (void)fds;
    if (ledger->verify.state != SP_LEDGER_VERIFY_RUNNING) {
        ledger->verify = (sp_verify_run){.state = SP_LEDGER_VERIFY_RUNNING,
                                         .at = sp_journal_first(ledger->store),
                                         .size = sp_journal_size(ledger->store)};
        sp_ledger_work_soon(ledger);
    }
    fail(peer, msg, SP_OK);
}

/* ---- shortening ---- */

static void retain(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_retain ask;
    (void)fds;
    sp_err err = sp_ledger_retain_read(msg->body, &ask);
    if (!sp_failed(err)) {
        err = sp_ledger_retain_set(ledger, &ask);
    }
    fail(peer, msg, err.code);
}

static void on_erased(void *self, sp_code code, const sp_ledger_erased *erased)
{
    auto_buf sp_buf body = sp_buf_make(64);
    sp_ledger_erased_write(erased, &body);
    later_reply(self, code, code == SP_OK ? sp_buf_borrow(&body) : SP_SPAN_EMPTY);
}

static void erase(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger_erase ask;
    (void)fds;
    sp_err err = sp_ledger_erase_read(msg->body, &ask);
    later *l = sp_failed(err) ? NULL : later_new(ledger, peer, msg);
    if (l == NULL) {
        fail(peer, msg, sp_failed(err) ? err.code : SP_ENOMEM);
        return;
    }
    sp_ledger_erase_now(ledger, &ask, on_erased, l);
}

/* ---- who may what ---- */

enum {
    BY_CORE = 1U << 0,
    BY_GATE = 1U << 1,
    BY_VAULT = 1U << 2,
    BY_ROOT = 1U << 3,
    BY_WATCH = 1U << 4,
    BY_COURIER = 1U << 5
};
enum { READERS = BY_CORE | BY_ROOT };

static const struct {
    void (*run)(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds);
    unsigned by;
} REQUESTS[SP_LEDGER_KIND_END - SP_LEDGER_ATTACH] = {
    [SP_LEDGER_ATTACH - SP_LEDGER_ATTACH] = {attach, BY_GATE},
    [SP_LEDGER_WAKE - SP_LEDGER_ATTACH] = {wake, BY_GATE},
    [SP_LEDGER_FLUSH - SP_LEDGER_ATTACH] = {flush, BY_GATE},
    [SP_LEDGER_DETACH - SP_LEDGER_ATTACH] = {detach, BY_GATE},
    [SP_LEDGER_APPEND - SP_LEDGER_ATTACH] = {append, BY_CORE | BY_VAULT | BY_ROOT},
    [SP_LEDGER_SEARCH - SP_LEDGER_ATTACH] = {search, READERS},
    [SP_LEDGER_ENTRY - SP_LEDGER_ATTACH] = {entry, READERS},
    [SP_LEDGER_PROOF - SP_LEDGER_ATTACH] = {proof, READERS},
    [SP_LEDGER_CHECKPOINT - SP_LEDGER_ATTACH] = {checkpoint, READERS},
    [SP_LEDGER_CONSISTENCY - SP_LEDGER_ATTACH] = {consistency, READERS},
    [SP_LEDGER_COSIGN - SP_LEDGER_ATTACH] = {cosign, READERS},
    [SP_LEDGER_TAIL - SP_LEDGER_ATTACH] = {tail, READERS},
    [SP_LEDGER_STATS - SP_LEDGER_ATTACH] = {stats, READERS},
    [SP_LEDGER_RETAIN - SP_LEDGER_ATTACH] = {retain, BY_CORE},
    [SP_LEDGER_ERASE - SP_LEDGER_ATTACH] = {erase, BY_CORE},
    [SP_LEDGER_VERIFY - SP_LEDGER_ATTACH] = {verify, READERS},
    [SP_LEDGER_TILE - SP_LEDGER_ATTACH] = {tile, READERS},
    [SP_LEDGER_COUNTS - SP_LEDGER_ATTACH] = {counts, READERS},
    [SP_LEDGER_FOLLOW - SP_LEDGER_ATTACH] = {sp_ledger_follow_ask, BY_WATCH | BY_COURIER},
    [SP_LEDGER_METERS - SP_LEDGER_ATTACH] = {meters, READERS},
};

static bool is_gate(const sp_config *config, uid_t uid)
{
    bool is_one = false;
    for (size_t i = 0; i < SP_COUNT(GATES); i++) {
        is_one = is_one || sp_config_uid_is(config, uid, GATES[i].role);
    }
    return is_one;
}

static unsigned who(const sp_ledger *ledger, const sp_peer *peer)
{
    uid_t uid = sp_peer_uid(peer);
    return (sp_config_uid_is(ledger->config, uid, SP_ROLE_CORE) ? BY_CORE : 0U) |
           (is_gate(ledger->config, uid) ? BY_GATE : 0U) |
           (sp_config_uid_is(ledger->config, uid, SP_ROLE_VAULT) ? BY_VAULT : 0U) |
           (sp_config_uid_is(ledger->config, uid, SP_ROLE_WATCH) ? BY_WATCH : 0U) |
           (sp_config_uid_is(ledger->config, uid, SP_ROLE_COURIER) ? BY_COURIER : 0U) |
           (uid == 0 ? BY_ROOT : 0U);
}

void sp_ledger_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_ledger *ledger = self;
    unsigned at = (unsigned)msg->kind - SP_LEDGER_ATTACH;
    if (msg->kind < SP_LEDGER_ATTACH || at >= SP_COUNT(REQUESTS) || REQUESTS[at].run == NULL) {
        fail(peer, msg, SP_EUNSUPPORTED);
        return;
    }
    if ((REQUESTS[at].by & who(ledger, peer)) == 0) {
        sp_log(SP_LOG_WARN, "message %u of uid %u was refused", (unsigned)msg->kind,
               (unsigned)sp_peer_uid(peer));
        fail(peer, msg, SP_EDENIED);
        return;
    }
    REQUESTS[at].run(ledger, peer, msg, fds);
}

void sp_ledger_on_gone(void *self, sp_peer *peer)
{
    sp_ledger *ledger = self;
    sp_source *source = sp_peer_data(peer);
    sp_ledger_tail_drop(ledger, peer);
    sp_ledger_follow_drop(ledger, peer);
    ledger->entry_peer = peer == ledger->entry_peer ? NULL : ledger->entry_peer;
    if (source != NULL) {
        sp_peer_set_data(peer, NULL);
        sp_engine_detach(ledger->engine, source, ledger->stopping, NULL, NULL);
    }
}

typedef struct {
    sp_ledger *ledger;
    sp_span body;
} state_push;

static void push_to(void *self, sp_peer *peer)
{
    const state_push *push = self;
    if ((who(push->ledger, peer) & BY_CORE) != 0) {
        sp_peer_push(peer, SP_LEDGER_STATE, push->body, NULL, 0);
    }
}

void sp_ledger_push_state(sp_ledger *ledger, bool recording, const char *why)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    const sp_ledger_state state = {recording, sp_span_cstr(why)};
    sp_ledger_state_write(&state, &body);
    state_push push = {ledger, sp_buf_borrow(&body)};
    if (ledger->server != NULL) {
        sp_server_each(ledger->server, push_to, &push);
    }
}
