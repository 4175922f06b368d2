/* SPDX-License-Identifier: Apache-2.0
 * Decisions by the hour.
 * OWNS nothing. PROCESS ledger. TRUST see counts.h. SPEC ledger/counts.h.
 */
#include "ledger/counts.h"

#include "infra/proc/clock.h"
#include "infra/proc/file.h"

#include <string.h>

#define HOUR_US (UINT64_C(3600) * 1000000)
#define FILE_MARK UINT64_C(0x5350434f554e5431) /* "SPCOUNT1" */
enum { FILE_MAX_BYTES = 128 * 1024, JSON_MAX_BYTES = 64 * 1024 };

void sp_counts_turn(sp_counts *counts, uint64_t now_unix_us)
{
    sp_ledger_counts *to = &counts->hours;
    uint64_t now = now_unix_us / HOUR_US;
    if (now <= to->last_hour) {
        return;
    }
    uint64_t gone = now - to->last_hour;
    size_t kept = gone < SP_LEDGER_HOURS ? SP_LEDGER_HOURS - gone : 0;
    if (kept > 0) {
        sp_move(to->counts[0], to->counts[SP_LEDGER_HOURS - kept], kept * sizeof(to->counts[0]));
    }
    sp_set(to->counts[kept], 0, (SP_LEDGER_HOURS - kept) * sizeof(to->counts[0]));
    to->last_hour = now;
}

void sp_counts_add(sp_counts *counts, uint64_t when_unix_us, uint8_t gate, uint8_t verdict,
                   uint64_t count)
{
    sp_ledger_counts *to = &counts->hours;
    uint64_t hour = when_unix_us / HOUR_US;
    uint64_t age =
        hour < to->last_hour ? to->last_hour - hour : 0; /* a clock ahead counts as now */
    if (age < SP_LEDGER_HOURS && gate < SP_GATE_COUNT && verdict < SP_VERDICT_COUNT) {
        to->counts[SP_LEDGER_HOURS - 1 - age][gate][verdict] += count > 0 ? count : 1;
    }
}

void sp_counts_batch(sp_counts *counts, const sp_batch *batch, uint64_t first_entry, uint64_t size)
{
    if (counts->upto != first_entry) {
        return; /* the slices come to it */
    }
    for (size_t i = 0; i < batch->count; i++) {
        const sp_event *event = &batch->items[i].event;
        if (event->kind == SP_EVENT_DECISION) {
            sp_counts_add(counts, event->when_unix_us, event->gate, event->verdict, event->count);
        }
    }
    counts->upto = size;
}

/* ---- the file ---- */

static sp_err read_file(sp_counts *counts, const char *path, uint64_t size)
{
    auto_buf sp_buf bytes = sp_buf_make(FILE_MAX_BYTES);
    sp_ledger_counts hours;
    TRY(sp_file_read(path, &bytes));
    sp_reader in = sp_reader_of(sp_buf_borrow(&bytes));
    uint64_t mark = sp_read_u64(&in);
    uint64_t upto = sp_read_u64(&in);
    TRY(in.err);
    TRY(sp_ledger_counts_read(in.rest, &hours));
    if (mark != FILE_MARK || upto > size) {
        return sp_fail(SP_ECORRUPT);
    }
    counts->hours = hours;
    counts->upto = upto;
    counts->kept_upto = upto;
    return sp_ok();
}

sp_err sp_counts_keep(sp_counts *counts, const char *path)
{
    auto_buf sp_buf bytes = sp_buf_make(FILE_MAX_BYTES);
    if (counts->upto == counts->kept_upto) {
        return sp_ok();
    }
    sp_buf_u64(&bytes, FILE_MARK);
    sp_buf_u64(&bytes, counts->upto);
    sp_ledger_counts_write(&counts->hours, &bytes);
    TRY(sp_buf_error(&bytes));
    TRY(sp_file_replace(path, 0600, sp_buf_borrow(&bytes)));
    counts->kept_upto = counts->upto;
    return sp_ok();
}

/* ---- reading back ---- */

static uint64_t newest_of(sp_journal *store, uint64_t entry)
{
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    sp_record_head head;
    if (sp_failed(sp_journal_read(store, entry, &record)) ||
        sp_failed(sp_record_head_read(sp_buf_borrow(&record), &head))) {
        return 0;
    }
    return head.last_unix_us;
}

/* Entries are in order of time but for the little that a batch holds back: an hour's margin. */
static uint64_t first_since(sp_journal *store, uint64_t when_unix_us)
{
    uint64_t low = sp_journal_first(store);
    uint64_t high = sp_journal_size(store);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (newest_of(store, middle) < when_unix_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void sp_counts_load(sp_counts *counts, const char *path, sp_journal *store, uint64_t now_unix_us)
{
    if (sp_failed(read_file(counts, path, sp_journal_size(store)))) {
        uint64_t week_us = (SP_LEDGER_HOURS + 1) * HOUR_US;
        sp_set(counts, 0, sizeof(*counts));
        counts->upto = first_since(store, now_unix_us > week_us ? now_unix_us - week_us : 0);
    }
    sp_counts_turn(counts, now_unix_us);
}

static uint8_t word_index(const char *word, const char *(*word_of)(unsigned), unsigned count)
{
    unsigned i = 0;
    while (i < count && (word == NULL || strcmp(word, word_of(i)) != 0)) {
        i++;
    }
    return (uint8_t)i;
}

static const char *gate_word(unsigned gate)
{
    return sp_gate_word((sp_gate)gate);
}

static const char *verdict_word(unsigned verdict)
{
    return sp_verdict_word((sp_verdict)verdict);
}

static const char *text_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(json_object_get(object, "unmapped"), key));
}

/* An event's own word, or the one that the batch shares (lib/proto/ocsf.h). */
static const char *word_in(const json_t *batch, const json_t *event, const char *key)
{
    const char *own = text_in(event, key);
    return own != NULL ? own : text_in(batch, key);
}

static void count_entry(sp_counts *counts, const sp_lookup *lookup, uint64_t entry)
{
    auto_buf sp_buf json = sp_buf_make(JSON_MAX_BYTES);
    if (sp_failed(sp_lookup_open(lookup, entry, &json))) {
        return; /* erased, or damaged: verify says so */
    }
    json_t *batch = json_loadb((const char *)json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    uint8_t gate = word_index(text_in(batch, "gate"), gate_word, SP_GATE_COUNT);
    const char *decision = sp_event_kind_word(SP_EVENT_DECISION);
    size_t at = 0;
    json_t *event = NULL;
    json_array_foreach(json_object_get(batch, "events"), at, event)
    {
        const char *kind = word_in(batch, event, "kind");
        if (kind != NULL && strcmp(kind, decision) == 0) {
            json_int_t ms = json_integer_value(json_object_get(event, "time"));
            json_int_t count =
                json_integer_value(json_object_get(json_object_get(event, "unmapped"), "count"));
            sp_counts_add(
                counts, (uint64_t)ms * 1000, gate,
                word_index(word_in(batch, event, "verdict"), verdict_word, SP_VERDICT_COUNT),
                (uint64_t)count);
        }
    }
    json_decref(batch);
}

bool sp_counts_slice(sp_counts *counts, const sp_lookup *lookup, uint64_t deadline_us)
{
    while (counts->upto < sp_journal_size(lookup->store)) {
        count_entry(counts, lookup, counts->upto++);
        if (sp_now_steady_us() > deadline_us) {
            return true;
        }
    }
    return false;
}
