/* SPDX-License-Identifier: Apache-2.0
 * Bodies of ledger messages, field by field.
 * OWNS nothing. PROCESS gates, core and the command line ask, ledger answers. TRUST bodies are
 * hostile. SPEC lib/proto/ledger_msg.h.
 */
#include "lib/proto/ledger_msg.h"

enum { RECORD_MAX_BYTES = UINT16_MAX, TROUBLE_MAX_BYTES = 512, VKEY_MAX_BYTES = 512 };
enum { EVENT_LEAST_BYTES = 4, ITEM_LEAST_BYTES = 14, SECRET_MAX_BYTES = 32 };

void sp_ledger_attach_write(const sp_ledger_attach *attach, sp_buf *out)
{
    sp_buf_u64(out, attach->source);
    sp_buf_u8(out, attach->gate);
    sp_buf_bytes(out, attach->name);
}

sp_err sp_ledger_attach_read(sp_span body, sp_ledger_attach *ret_attach)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_attach attach = {.source = sp_read_u64(&in)};
    attach.gate = sp_read_enum(&in, SP_GATE_COUNT);
    attach.name = sp_read_bytes(&in, SP_NAME_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_attach = attach;
    return sp_ok();
}

void sp_ledger_attached_write(const sp_ledger_attached *attached, sp_buf *out)
{
    sp_buf_u64(out, attached->durable_seq);
}

void sp_ledger_append_write(uint64_t source, uint64_t first_seq, uint16_t count, sp_buf *out)
{
    sp_buf_u64(out, source);
    sp_buf_u64(out, first_seq);
    sp_buf_u16(out, count);
}

void sp_ledger_append_add(const sp_event *event, sp_buf *out)
{
    sp_buf_u32(out, (uint32_t)sp_event_size(event));
    sp_err err = sp_event_encode(event, out);
    if (sp_failed(err)) {
        out->err = err;
    }
}

sp_err sp_ledger_append_read(sp_span body, sp_ledger_append *ret_append)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_append append = {.source = sp_read_u64(&in), .first_seq = sp_read_u64(&in)};
    append.count = sp_read_u16(&in);
    append.events = in.rest;
    if (append.count == 0 || append.count > SP_LEDGER_APPEND_MAX || append.first_seq == 0 ||
        append.first_seq > UINT64_MAX - append.count) {
        sp_reader_fail(&in, SP_ELIMIT);
    }
    for (unsigned i = 0; i < append.count; i++) {
        sp_read_bytes(&in, SP_EVENT_MAX_BYTES);
    }
    TRY(sp_reader_finish(&in));
    *ret_append = append;
    return sp_ok();
}

bool sp_ledger_append_next(sp_span *rest, sp_span *ret_event)
{
    if (rest->len < EVENT_LEAST_BYTES) {
        return false;
    }
    sp_reader in = sp_reader_of(*rest);
    *ret_event = sp_read_bytes(&in, SP_EVENT_MAX_BYTES);
    *rest = in.rest;
    return !sp_failed(in.err);
}

void sp_ledger_appended_write(const sp_ledger_appended *appended, sp_buf *out)
{
    sp_buf_u64(out, appended->entry);
}

static void reader_write(const sp_ledger_reader *reader, sp_buf *out)
{
    sp_buf_u32(out, reader->reader);
    sp_buf_bytes(out, reader->reader_name);
    sp_buf_bytes(out, reader->purpose);
}

static sp_ledger_reader reader_read(sp_reader *in)
{
    sp_ledger_reader reader = {.reader = sp_read_u32(in)};
    reader.reader_name = sp_read_bytes(in, SP_NAME_MAX_BYTES);
    reader.purpose = sp_read_bytes(in, SP_LEDGER_TEXT_MAX_BYTES);
    return reader;
}

void sp_ledger_search_write(const sp_ledger_search *search, sp_buf *out)
{
    reader_write(&search->reader, out);
    sp_buf_u64(out, search->from_unix_us);
    sp_buf_u64(out, search->to_unix_us);
    sp_buf_u64(out, search->session);
    sp_buf_u64(out, search->reference);
    sp_buf_u64(out, search->device);
    sp_buf_u32(out, search->person);
    sp_buf_u32(out, search->kinds);
    sp_buf_u8(out, search->verdicts);
    sp_buf_u8(out, search->gates);
    sp_buf_bytes(out, search->resource);
    sp_buf_bytes(out, search->text);
    sp_buf_u64(out, search->before_entry);
    sp_buf_u16(out, search->before_at);
    sp_buf_u16(out, search->limit);
    sp_buf_u8(out, search->goes_on ? 1 : 0);
}

sp_err sp_ledger_search_read(sp_span body, sp_ledger_search *ret_search)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_search s = {.reader = reader_read(&in)};
    s.from_unix_us = sp_read_u64(&in);
    s.to_unix_us = sp_read_u64(&in);
    s.session = sp_read_u64(&in);
    s.reference = sp_read_u64(&in);
    s.device = sp_read_u64(&in);
    s.person = sp_read_u32(&in);
    s.kinds = sp_read_u32(&in);
    s.verdicts = sp_read_u8(&in);
    s.gates = sp_read_u8(&in);
    s.resource = sp_read_bytes(&in, SP_NAME_MAX_BYTES);
    s.text = sp_read_bytes(&in, SP_LEDGER_TEXT_MAX_BYTES);
    s.before_entry = sp_read_u64(&in);
    s.before_at = sp_read_u16(&in);
    s.limit = sp_read_u16(&in);
    uint8_t goes_on = sp_read_u8(&in);
    s.goes_on = goes_on == 1;
    if (s.limit > SP_LEDGER_PAGE_MAX || goes_on > 1) {
        sp_reader_fail(&in, SP_ELIMIT);
    }
    TRY(sp_reader_finish(&in));
    *ret_search = s;
    return sp_ok();
}

void sp_ledger_found_write(const sp_ledger_found *found, sp_buf *out)
{
    sp_buf_u8(out, found->more ? 1 : 0);
    sp_buf_u64(out, found->before_entry);
    sp_buf_u16(out, found->before_at);
    sp_buf_u64(out, found->searched);
    sp_buf_u16(out, found->count);
    sp_buf_span(out, found->items);
}

void sp_ledger_item_write(const sp_ledger_item *item, sp_buf *out)
{
    sp_buf_u64(out, item->entry);
    sp_buf_u16(out, item->at);
    sp_buf_bytes(out, item->json);
}

static void item_read(sp_reader *in, sp_ledger_item *ret_item)
{
    ret_item->entry = sp_read_u64(in);
    ret_item->at = sp_read_u16(in);
    ret_item->json = sp_read_bytes(in, SP_MSG_MAX_BYTES);
}

sp_err sp_ledger_found_read(sp_span body, sp_ledger_found *ret_found)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_found found = {.more = sp_read_enum(&in, 2) == 1};
    found.before_entry = sp_read_u64(&in);
    found.before_at = sp_read_u16(&in);
    found.searched = sp_read_u64(&in);
    found.count = sp_read_u16(&in);
    found.items = in.rest;
    for (unsigned i = 0; i < found.count && !sp_failed(in.err); i++) {
        sp_ledger_item item = {0};
        item_read(&in, &item);
    }
    TRY(sp_reader_finish(&in));
    *ret_found = found;
    return sp_ok();
}

bool sp_ledger_found_next(sp_span *rest, sp_ledger_item *ret_item)
{
    if (rest->len < ITEM_LEAST_BYTES) {
        return false;
    }
    sp_reader in = sp_reader_of(*rest);
    item_read(&in, ret_item);
    *rest = in.rest;
    return !sp_failed(in.err);
}

void sp_ledger_entry_ask_write(const sp_ledger_entry_ask *ask, sp_buf *out)
{
    reader_write(&ask->reader, out);
    sp_buf_u64(out, ask->entry);
    sp_buf_u64(out, ask->tree_size);
}

sp_err sp_ledger_entry_ask_read(sp_span body, sp_ledger_entry_ask *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_entry_ask ask = {.reader = reader_read(&in)};
    ask.entry = sp_read_u64(&in);
    ask.tree_size = sp_read_u64(&in);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

static sp_hash hash_read(sp_reader *in)
{
    sp_hash hash = {{0}};
    sp_span bytes = sp_read_span(in, SP_SHA256_BYTES);
    sp_copy(hash.bytes, bytes.ptr, bytes.len);
    return hash;
}

void sp_ledger_entry_write(const sp_ledger_entry *entry, sp_buf *out)
{
    sp_buf_u64(out, entry->entry);
    sp_buf_u8(out, entry->state);
    sp_buf_span(out, sp_hash_borrow(&entry->leaf));
    sp_buf_bytes(out, entry->record);
    sp_buf_bytes(out, entry->json);
    sp_buf_bytes(out, entry->secret);
}

sp_err sp_ledger_entry_read(sp_span body, sp_ledger_entry *ret_entry)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_entry entry = {.entry = sp_read_u64(&in)};
    entry.state = sp_read_enum(&in, SP_ENTRY_STATE_COUNT);
    entry.leaf = hash_read(&in);
    entry.record = sp_read_bytes(&in, RECORD_MAX_BYTES);
    entry.json = sp_read_bytes(&in, RECORD_MAX_BYTES);
    entry.secret = sp_read_bytes(&in, SECRET_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_entry = entry;
    return sp_ok();
}

void sp_ledger_proof_write(const sp_ledger_proof *proof, sp_buf *out)
{
    sp_buf_u64(out, proof->entry);
    sp_buf_u64(out, proof->tree_size);
    sp_buf_span(out, sp_hash_borrow(&proof->leaf));
    sp_buf_u16(out, proof->count);
    for (unsigned i = 0; i < proof->count && i < SP_LEDGER_PROOF_MAX; i++) {
        sp_buf_span(out, sp_hash_borrow(&proof->path[i]));
    }
    sp_buf_bytes(out, proof->note);
}

sp_err sp_ledger_proof_read(sp_span body, sp_ledger_proof *ret_proof)
{
    sp_reader in = sp_reader_of(body);
    *ret_proof = (sp_ledger_proof){.entry = sp_read_u64(&in), .tree_size = sp_read_u64(&in)};
    ret_proof->leaf = hash_read(&in);
    ret_proof->count = sp_read_u16(&in);
    if (ret_proof->count > SP_LEDGER_PROOF_MAX) {
        sp_reader_fail(&in, SP_ELIMIT);
        ret_proof->count = 0;
    }
    for (unsigned i = 0; i < ret_proof->count; i++) {
        ret_proof->path[i] = hash_read(&in);
    }
    ret_proof->note = sp_read_bytes(&in, SP_LEDGER_NOTE_MAX_BYTES);
    return sp_reader_finish(&in);
}

void sp_ledger_sizes_write(const sp_ledger_sizes *sizes, sp_buf *out)
{
    sp_buf_u64(out, sizes->old_size);
    sp_buf_u64(out, sizes->new_size);
}

sp_err sp_ledger_sizes_read(sp_span body, sp_ledger_sizes *ret_sizes)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_sizes sizes = {.old_size = sp_read_u64(&in), .new_size = sp_read_u64(&in)};
    TRY(sp_reader_finish(&in));
    *ret_sizes = sizes;
    return sp_ok();
}

void sp_ledger_stats_write(const sp_ledger_stats *stats, sp_buf *out)
{
    const uint64_t numbers[] = {stats->entries,
                                stats->events,
                                stats->bytes,
                                stats->checkpoint_size,
                                stats->checkpoint_unix_us,
                                stats->first_entry,
                                stats->indexed,
                                stats->lost,
                                stats->verified,
                                stats->verified_unix_us};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        sp_buf_u64(out, numbers[i]);
    }
    sp_buf_u32(out, stats->sources);
    sp_buf_u32(out, stats->retention_days);
    sp_buf_u8(out, stats->verify);
    sp_buf_u8(out, stats->recording ? 1 : 0);
    sp_buf_bytes(out, stats->trouble);
    sp_buf_bytes(out, stats->verifier_key);
}

sp_err sp_ledger_stats_read(sp_span body, sp_ledger_stats *ret_stats)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_stats stats = {0};
    uint64_t *const numbers[] = {&stats.entries,
                                 &stats.events,
                                 &stats.bytes,
                                 &stats.checkpoint_size,
                                 &stats.checkpoint_unix_us,
                                 &stats.first_entry,
                                 &stats.indexed,
                                 &stats.lost,
                                 &stats.verified,
                                 &stats.verified_unix_us};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        *numbers[i] = sp_read_u64(&in);
    }
    stats.sources = sp_read_u32(&in);
    stats.retention_days = sp_read_u32(&in);
    stats.verify = sp_read_enum(&in, SP_LEDGER_VERIFY_STATE_COUNT);
    stats.recording = sp_read_enum(&in, 2) == 1;
    stats.trouble = sp_read_bytes(&in, TROUBLE_MAX_BYTES);
    stats.verifier_key = sp_read_bytes(&in, VKEY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_stats = stats;
    return sp_ok();
}

void sp_ledger_state_write(const sp_ledger_state *state, sp_buf *out)
{
    sp_buf_u8(out, state->recording ? 1 : 0);
    sp_buf_bytes(out, state->trouble);
}

sp_err sp_ledger_state_read(sp_span body, sp_ledger_state *ret_state)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_state state = {.recording = sp_read_enum(&in, 2) == 1};
    state.trouble = sp_read_bytes(&in, TROUBLE_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_state = state;
    return sp_ok();
}

void sp_ledger_retain_write(const sp_ledger_retain *retain, sp_buf *out)
{
    sp_buf_u32(out, retain->days);
    sp_buf_u64(out, retain->policy_version);
}

sp_err sp_ledger_retain_read(sp_span body, sp_ledger_retain *ret_retain)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_retain retain = {.days = sp_read_u32(&in), .policy_version = sp_read_u64(&in)};
    TRY(sp_reader_finish(&in));
    *ret_retain = retain;
    return sp_ok();
}

void sp_ledger_erase_write(const sp_ledger_erase *erase, sp_buf *out)
{
    sp_buf_u8(out, erase->what);
    sp_buf_u8(out, erase->look ? 1 : 0);
    sp_buf_u64(out, erase->which);
    sp_buf_u32(out, erase->by);
    sp_buf_u64(out, erase->approval);
    sp_buf_bytes(out, erase->why);
}

sp_err sp_ledger_erase_read(sp_span body, sp_ledger_erase *ret_erase)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_erase erase = {.what = sp_read_enum(&in, SP_ERASE_WHAT_COUNT)};
    erase.look = sp_read_enum(&in, 2) == 1; /* anything else: SP_EINVALID */
    erase.which = sp_read_u64(&in);
    erase.by = sp_read_u32(&in);
    erase.approval = sp_read_u64(&in);
    erase.why = sp_read_bytes(&in, SP_LEDGER_TEXT_MAX_BYTES);
    if (erase.why.len == 0) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_erase = erase;
    return sp_ok();
}

void sp_ledger_erased_write(const sp_ledger_erased *erased, sp_buf *out)
{
    sp_buf_u64(out, erased->redaction);
    sp_buf_u64(out, erased->erased);
    sp_buf_u32(out, erased->person);
}

sp_err sp_ledger_erased_read(sp_span body, sp_ledger_erased *ret_erased)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_erased erased = {.redaction = sp_read_u64(&in), .erased = sp_read_u64(&in)};
    erased.person = sp_read_u32(&in);
    TRY(sp_reader_finish(&in));
    *ret_erased = erased;
    return sp_ok();
}

void sp_ledger_tile_ask_write(const sp_ledger_tile_ask *ask, sp_buf *out)
{
    sp_buf_u8(out, ask->level);
    sp_buf_u64(out, ask->index);
    sp_buf_u16(out, ask->count);
}

sp_err sp_ledger_tile_ask_read(sp_span body, sp_ledger_tile_ask *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_tile_ask ask = {.level = sp_read_enum(&in, SP_LEDGER_TILE_LEVELS)};
    ask.index = sp_read_u64(&in);
    ask.count = sp_read_u16(&in);
    if (ask.count == 0 || ask.count > SP_LEDGER_TILE_MAX) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

/* Most are nothing: only what is not is sent. */
void sp_ledger_counts_write(const sp_ledger_counts *counts, sp_buf *out)
{
    sp_buf_u64(out, counts->last_hour);
    sp_buf_u8(out, counts->complete ? 1 : 0);
    for (uint32_t i = 0; i < SP_LEDGER_HOURS * SP_GATE_COUNT * SP_VERDICT_COUNT; i++) {
        uint32_t hour = i / (SP_GATE_COUNT * SP_VERDICT_COUNT);
        uint32_t gate = i / SP_VERDICT_COUNT % SP_GATE_COUNT;
        uint64_t count = counts->counts[hour][gate][i % SP_VERDICT_COUNT];
        if (count > 0) {
            sp_buf_u32(out, i);
            sp_buf_u64(out, count);
        }
    }
}

sp_err sp_ledger_counts_read(sp_span body, sp_ledger_counts *ret_counts)
{
    sp_reader in = sp_reader_of(body);
    sp_set(ret_counts, 0, sizeof(*ret_counts));
    ret_counts->last_hour = sp_read_u64(&in);
    ret_counts->complete = sp_read_enum(&in, 2) == 1;
    while (in.rest.len > 0 && !sp_failed(in.err)) {
        uint32_t i = sp_read_u32(&in);
        uint64_t count = sp_read_u64(&in);
        if (i >= SP_LEDGER_HOURS * SP_GATE_COUNT * SP_VERDICT_COUNT) {
            return sp_fail(SP_EINVALID);
        }
        uint32_t hour = i / (SP_GATE_COUNT * SP_VERDICT_COUNT);
        uint32_t gate = i / SP_VERDICT_COUNT % SP_GATE_COUNT;
        ret_counts->counts[hour][gate][i % SP_VERDICT_COUNT] = count;
    }
    return sp_reader_finish(&in);
}

/* ---- meters ---- */

static void put_all(sp_buf *out, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sp_buf_u64(out, numbers[i]);
    }
}

static void take_all(sp_reader *in, uint64_t *ret_numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ret_numbers[i] = sp_read_u64(in);
    }
}

void sp_ledger_meters_write(const sp_ledger_meters *meters, sp_buf *out)
{
    sp_buf_u64(out, meters->started_unix_us);
    put_all(out, meters->kinds, SP_EVENT_KIND_COUNT);
    for (unsigned gate = 0; gate < SP_GATE_COUNT; gate++) {
        put_all(out, meters->decided[gate], SP_VERDICT_COUNT);
    }
    put_all(out, meters->bytes_in, SP_GATE_COUNT);
    put_all(out, meters->bytes_out, SP_GATE_COUNT);
    put_all(out, meters->alarms, SP_SEVERITY_COUNT);
    sp_buf_u64(out, meters->delay_us);
    sp_buf_u64(out, meters->delayed);
}

sp_err sp_ledger_meters_read(sp_span body, sp_ledger_meters *ret_meters)
{
    sp_reader in = sp_reader_of(body);
    ret_meters->started_unix_us = sp_read_u64(&in);
    take_all(&in, ret_meters->kinds, SP_EVENT_KIND_COUNT);
    for (unsigned gate = 0; gate < SP_GATE_COUNT; gate++) {
        take_all(&in, ret_meters->decided[gate], SP_VERDICT_COUNT);
    }
    take_all(&in, ret_meters->bytes_in, SP_GATE_COUNT);
    take_all(&in, ret_meters->bytes_out, SP_GATE_COUNT);
    take_all(&in, ret_meters->alarms, SP_SEVERITY_COUNT);
    ret_meters->delay_us = sp_read_u64(&in);
    ret_meters->delayed = sp_read_u64(&in);
    return sp_reader_finish(&in);
}

/* ---- following ---- */

enum { OPENED_LEAST_BYTES = 8 + 4 };

void sp_ledger_follow_write(const sp_ledger_follow *follow, sp_buf *out)
{
    sp_buf_u64(out, follow->from);
    sp_buf_byte(out, follow->as_they_came);
}

sp_err sp_ledger_follow_read(sp_span body, sp_ledger_follow *ret_follow)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_follow follow = {.from = sp_read_u64(&in), .as_they_came = sp_read_u8(&in)};
    TRY(sp_reader_finish(&in));
    if (follow.as_they_came > 1) {
        return sp_fail(SP_EINVALID);
    }
    *ret_follow = follow;
    return sp_ok();
}

void sp_ledger_followed_write(const sp_ledger_followed *followed, sp_buf *out)
{
    sp_buf_u64(out, followed->next);
    sp_buf_u64(out, followed->size);
    sp_buf_u16(out, followed->count);
    sp_buf_span(out, followed->items);
}

void sp_ledger_opened_write(const sp_ledger_opened *opened, sp_buf *out)
{
    sp_buf_u64(out, opened->entry);
    sp_buf_bytes(out, opened->json);
    sp_buf_bytes(out, opened->events);
}

static sp_ledger_opened opened_read(sp_reader *in)
{
    sp_ledger_opened opened = {.entry = sp_read_u64(in)};
    opened.json = sp_read_bytes(in, SP_MSG_MAX_BYTES);
    opened.events = sp_read_bytes(in, SP_MSG_MAX_BYTES);
    return opened;
}

sp_err sp_ledger_followed_read(sp_span body, sp_ledger_followed *ret_followed)
{
    sp_reader in = sp_reader_of(body);
    sp_ledger_followed followed = {.next = sp_read_u64(&in), .size = sp_read_u64(&in)};
    followed.count = sp_read_u16(&in);
    followed.items = in.rest;
    for (unsigned i = 0; i < followed.count && !sp_failed(in.err); i++) {
        (void)opened_read(&in);
    }
    if (followed.next > followed.size) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_followed = followed;
    return sp_ok();
}

bool sp_ledger_opened_next(sp_span *rest, sp_span *ret_event)
{
    return sp_ledger_append_next(rest, ret_event);
}

bool sp_ledger_followed_next(sp_span *rest, sp_ledger_opened *ret_opened)
{
    if (rest->len < OPENED_LEAST_BYTES) {
        return false;
    }
    sp_reader in = sp_reader_of(*rest);
    *ret_opened = opened_read(&in);
    *rest = in.rest;
    return !sp_failed(in.err);
}
