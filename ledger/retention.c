/* SPDX-License-Identifier: Apache-2.0
 * Shortening the ledger: expiry of what is older than the retention, erasure of what an audit
 * administrator names. Neither touches anything younger than the legal floor, whoever asks. What
 * goes is written down first, in an open redaction entry: which, why, by which number.
 * OWNS nothing. PROCESS ledger. TRUST requests come from core. SPEC ledger/README.md.
 */
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "ledger/ledger.h"

#define DAY_US (UINT64_C(86400) * 1000000)
enum { IDS_MAX = 64, FILE_MAX_BYTES = 64 };

static uint64_t days_ago(uint64_t now_unix_us, uint32_t days)
{
    uint64_t age = days * DAY_US;
    return now_unix_us > age ? now_unix_us - age : 0;
}

sp_err sp_ledger_retention_load(sp_ledger *ledger)
{
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    uint64_t days = 0;
    sp_err err = sp_file_read(ledger->retention_path, &text);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    TRY(sp_span_to_u64(sp_span_trim(sp_buf_borrow(&text)), UINT32_MAX, &days));
    ledger->retention_days = (uint32_t)days;
    return sp_ok();
}

sp_err sp_ledger_retain_set(sp_ledger *ledger, const sp_ledger_retain *retain)
{
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    if (retain->days != 0 && retain->days < SP_LEDGER_FLOOR_DAYS) {
        return sp_fail(SP_EDENIED);
    }
    if (retain->days == ledger->retention_days) {
        return sp_ok();
    }
    sp_buf_u64_text(&text, retain->days);
    sp_buf_byte(&text, '\n');
    TRY(sp_file_replace(ledger->retention_path, 0600, sp_buf_borrow(&text)));
    ledger->retention_days = retain->days;
    return sp_ok();
}

static void note_redaction(sp_ledger *ledger, sp_span why, sp_span detail, sp_engine_done done,
                           void *self)
{
    sp_event event = {.kind = SP_EVENT_REDACTION,
                      .severity = SP_SEVERITY_MEDIUM,
                      .method = SP_SPAN_LIT("delete"),
                      .object = why,
                      .detail = detail};
    sp_engine_note(ledger->engine, &event, true, done, self);
}

/* ---- expiry ---- */

typedef struct {
    sp_ledger *ledger;
    uint64_t until;
    uint64_t before_unix_us;
} expiry;

/* The redaction is on disk and the state names no segment that goes. */
static void on_expiry_settled(void *self, sp_code code, uint64_t entry)
{
    expiry *e = self;
    uint64_t ids[IDS_MAX];
    size_t count = IDS_MAX;
    sp_err err = sp_fail(code);
    (void)entry;
    if (!sp_failed(err)) {
        err = sp_journal_expire(e->ledger->store, e->until);
    }
    while (!sp_failed(err) && count == IDS_MAX) {
        err = sp_keys_destroy(e->ledger->keys, UINT32_MAX, e->before_unix_us, ids, IDS_MAX, &count);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "entries below %llu could not be expired: %s",
               (unsigned long long)e->until, sp_code_word(err.code));
    }
    e->ledger->retiring = false;
    sp_free(e);
}

static void on_expiry_noted(void *self, sp_code code, uint64_t entry)
{
    expiry *e = self;
    if (code == SP_OK) {
        sp_engine_settle(e->ledger->engine, on_expiry_settled, e);
    } else {
        on_expiry_settled(e, code, entry);
    }
}

void sp_ledger_expire(sp_ledger *ledger)
{
    expiry *e = NULL;
    uint64_t until = 0;
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    uint64_t first = sp_journal_first(ledger->store);
    uint64_t before = days_ago(sp_now_unix_us(), ledger->retention_days);
    if (ledger->retention_days < SP_LEDGER_FLOOR_DAYS || ledger->retiring ||
        sp_failed(sp_journal_expirable(ledger->store, before, &until)) || until <= first ||
        sp_failed(sp_alloc(1, sizeof(*e), &e))) {
        return;
    }
    *e = (expiry){ledger, until, before};
    ledger->retiring = true;
    sp_buf_fmt(&detail, "{\"from\":%llu,\"until\":%llu,\"retention_days\":%u}",
               (unsigned long long)first, (unsigned long long)until, ledger->retention_days);
    note_redaction(ledger, SP_SPAN_LIT("the retention of these entries has ended"),
                   sp_buf_borrow(&detail), on_expiry_noted, e);
}

/* ---- erasure ---- */

typedef struct {
    sp_ledger *ledger;
    uint8_t what;
    uint64_t which;
    uint64_t floor_unix_us;
    uint64_t erased;
    sp_ledger_erase_done done;
    void *self;
} erasure;

static void on_erasure_noted(void *self, sp_code code, uint64_t entry)
{
    erasure *e = self;
    uint64_t ids[IDS_MAX];
    size_t count = IDS_MAX;
    sp_err err = sp_fail(code);
    const sp_ledger_erased erased = {entry, e->erased};
    if (!sp_failed(err) && e->what == SP_ERASE_ENTRY) {
        err = sp_journal_erase(e->ledger->store, e->which);
    }
    while (!sp_failed(err) && e->what == SP_ERASE_SUBJECT && count == IDS_MAX) {
        err = sp_keys_destroy(e->ledger->keys, (uint32_t)e->which, e->floor_unix_us, ids, IDS_MAX,
                              &count);
    }
    e->done(e->self, err.code, &erased);
    sp_free(e);
}

/* What may be erased, and how much that is. */
static sp_err may_erase(sp_ledger *ledger, erasure *e, sp_buf *detail)
{
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    sp_record_head head;
    if (e->what == SP_ERASE_ENTRY) {
        TRY(sp_journal_read(ledger->store, e->which, &record));
        TRY(sp_record_head_read(sp_buf_borrow(&record), &head));
        if (head.last_unix_us > e->floor_unix_us || head.form == SP_RECORD_OPEN) {
            return sp_fail(SP_EDENIED);
        }
        if (head.form == SP_RECORD_ERASED) {
            return sp_fail(SP_ENOTFOUND);
        }
        e->erased = 1;
        sp_buf_fmt(detail, "{\"from\":%llu,\"until\":%llu", (unsigned long long)e->which,
                   (unsigned long long)e->which + 1);
        return sp_buf_error(detail);
    }
    size_t old = sp_keys_count_before(ledger->keys, (uint32_t)e->which, e->floor_unix_us);
    if (old == 0) {
        bool any = sp_keys_count_before(ledger->keys, (uint32_t)e->which, UINT64_MAX) > 0;
        return sp_fail(any ? SP_EDENIED : SP_ENOTFOUND);
    }
    TRY(sp_index_count_person(ledger->index, (uint32_t)e->which, e->floor_unix_us, &e->erased));
    sp_buf_fmt(detail, "{\"subject_keys\":%zu", old);
    return sp_buf_error(detail);
}

void sp_ledger_erase_now(sp_ledger *ledger, const sp_ledger_erase *erase, sp_ledger_erase_done done,
                         void *self)
{
    static const sp_ledger_erased nothing = {0, 0};
    erasure *e = NULL;
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_err err = sp_alloc(1, sizeof(*e), &e);
    if (!sp_failed(err)) {
        *e = (erasure){.ledger = ledger,
                       .what = erase->what,
                       .which = erase->which,
                       .floor_unix_us = days_ago(sp_now_unix_us(), SP_LEDGER_FLOOR_DAYS),
                       .done = done,
                       .self = self};
        bool nobody = e->what == SP_ERASE_SUBJECT && (e->which == 0 || e->which >= UINT32_MAX);
        err = nobody ? sp_fail(SP_EINVALID) : may_erase(ledger, e, &detail);
    }
    if (sp_failed(err)) {
        sp_free(e);
        done(self, err.code, &nothing);
        return;
    }
    sp_buf_fmt(&detail, ",\"by\":%u}", erase->by);
    note_redaction(ledger, erase->why, sp_buf_borrow(&detail), on_erasure_noted, e);
}
