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

#include <errno.h>
#include <unistd.h>

#define DAY_US (UINT64_C(86400) * 1000000)
#define FILE_MARK UINT64_C(0x5350524544414354) /* "SPREDACT" */
enum { IDS_MAX = 64, FILE_MAX_BYTES = 64, REDACTING_MAX_BYTES = 16 * 1024 };

static uint64_t days_ago(uint64_t now_unix_us, uint32_t days)
{
    uint64_t age = days * DAY_US;
    return now_unix_us > age ? now_unix_us - age : 0;
}

/* What cannot be taken back goes by a clock that does not jump. */
static uint64_t careful_now(sp_ledger *ledger)
{
    static const char why[] = "the clock is more than a day ahead: nothing expires or is erased by "
                              "it until it has been so for a day";
    if (sp_slow_clock_tick(&ledger->clock, sp_now_unix_us(), sp_now_steady_us())) {
        sp_event event = {.kind = SP_EVENT_GAP,
                          .severity = SP_SEVERITY_CRITICAL,
                          .resource = SP_SPAN_LIT("ledger"),
                          .object = sp_span_cstr(why)};
        sp_log(SP_LOG_ERROR, "%s", why);
        sp_engine_note(ledger->engine, &event, true, NULL, NULL);
    }
    return ledger->clock.unix_us;
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

/* ---- what is being taken out ----
 * Written down before its redaction entry, removed when it is gone: a crash in between is finished
 * at the next start if the entry has come to the disk, and forgotten if it has not. */

enum { SP_ERASE_EXPIRED = SP_ERASE_WHAT_COUNT, REDACTING_WHAT_COUNT };

typedef struct {
    uint8_t what;   /* sp_ledger_erase_what, or SP_ERASE_EXPIRED */
    uint64_t which; /* entry, person, or the first entry that stays */
    uint64_t before_unix_us;
    uint64_t size;  /* of the tree: the redaction entry comes behind it */
    sp_span detail; /* of that entry, by which it is known again */
} redacting;

static sp_err redacting_keep(const sp_ledger *ledger, const redacting *r)
{
    auto_buf sp_buf bytes = sp_buf_make(REDACTING_MAX_BYTES);
    sp_buf_u64(&bytes, FILE_MARK);
    sp_buf_u8(&bytes, r->what);
    sp_buf_u64(&bytes, r->which);
    sp_buf_u64(&bytes, r->before_unix_us);
    sp_buf_u64(&bytes, sp_journal_size(ledger->store));
    sp_buf_bytes(&bytes, r->detail);
    TRY(sp_buf_error(&bytes));
    return sp_file_replace(ledger->redacting_path, 0600, sp_buf_borrow(&bytes));
}

static sp_err redacting_read(sp_span bytes, redacting *ret)
{
    sp_reader in = sp_reader_of(bytes);
    if (sp_read_u64(&in) != FILE_MARK) {
        sp_reader_fail(&in, SP_ECORRUPT);
    }
    redacting r = {.what = sp_read_enum(&in, REDACTING_WHAT_COUNT)};
    r.which = sp_read_u64(&in);
    r.before_unix_us = sp_read_u64(&in);
    r.size = sp_read_u64(&in);
    r.detail = sp_read_bytes(&in, SP_EVENT_DETAIL_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret = r;
    return sp_ok();
}

static sp_err destroy_keys(sp_ledger *ledger, uint32_t person, uint64_t before_unix_us)
{
    uint64_t ids[IDS_MAX];
    for (size_t count = IDS_MAX; count == IDS_MAX;) {
        TRY(sp_keys_destroy(ledger->keys, person, before_unix_us, ids, IDS_MAX, &count));
    }
    return sp_ok();
}

/* Can be done again. */
static sp_err take_out(sp_ledger *ledger, const redacting *r)
{
    if (r->what == SP_ERASE_ENTRY) {
        sp_err err = sp_journal_erase(ledger->store, r->which);
        return err.code == SP_ENOTFOUND ? sp_ok() : err; /* expired since */
    }
    if (r->what == SP_ERASE_SUBJECT) {
        return destroy_keys(ledger, (uint32_t)r->which, r->before_unix_us);
    }
    TRY(sp_journal_expire(ledger->store, r->which));
    return destroy_keys(ledger, UINT32_MAX, r->before_unix_us);
}

static sp_err take_out_and_forget(sp_ledger *ledger, const redacting *r)
{
    TRY(take_out(ledger, r));
    return unlink(ledger->redacting_path) == 0 || errno == ENOENT ? sp_ok() : sp_fail(SP_EIO);
}

/* Whether the redaction entry has come to the disk. */
static bool is_noted(sp_ledger *ledger, const redacting *r)
{
    const sp_lookup lookup = sp_ledger_lookup(ledger);
    auto_buf sp_buf json = sp_buf_make(SP_RECORD_MAX_BYTES);
    for (uint64_t i = r->size; i < sp_journal_size(ledger->store); i++) {
        if (sp_failed(sp_lookup_open(&lookup, i, &json))) {
            continue;
        }
        sp_span text = sp_buf_borrow(&json);
        if (sp_span_find(text, SP_SPAN_LIT("\"kind\":\"redaction\"")) < text.len &&
            sp_span_find(text, r->detail) < text.len) {
            return true;
        }
    }
    return false;
}

sp_err sp_ledger_redaction_resume(sp_ledger *ledger)
{
    auto_buf sp_buf bytes = sp_buf_make(REDACTING_MAX_BYTES);
    redacting r;
    sp_err err = sp_file_read(ledger->redacting_path, &bytes);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    TRY(redacting_read(sp_buf_borrow(&bytes), &r));
    if (!is_noted(ledger, &r)) {
        sp_log(SP_LOG_WARN, "an erasure was broken off before it was written down: it has not "
                            "happened");
        return unlink(ledger->redacting_path) == 0 ? sp_ok() : sp_fail(SP_EIO);
    }
    TRY(sp_journal_settle(ledger->store)); /* no state names what goes */
    TRY(take_out_and_forget(ledger, &r));
    sp_log(SP_LOG_INFO, "an erasure that was broken off is done: %.*s", SP_SPAN_ARG(r.detail));
    return sp_ok();
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
    const redacting r = {
        .what = SP_ERASE_EXPIRED, .which = e->until, .before_unix_us = e->before_unix_us};
    sp_err err = sp_fail(code);
    (void)entry;
    if (!sp_failed(err)) {
        err = take_out_and_forget(e->ledger, &r);
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
    uint64_t before = days_ago(careful_now(ledger), ledger->retention_days);
    if (ledger->retention_days < SP_LEDGER_FLOOR_DAYS || ledger->retiring ||
        sp_failed(sp_journal_expirable(ledger->store, before, &until)) || until <= first ||
        sp_failed(sp_alloc(1, sizeof(*e), &e))) {
        return;
    }
    *e = (expiry){ledger, until, before};
    ledger->retiring = true;
    sp_buf_fmt(&detail, "{\"from\":%llu,\"until\":%llu,\"retention_days\":%u}",
               (unsigned long long)first, (unsigned long long)until, ledger->retention_days);
    const redacting r = {.what = SP_ERASE_EXPIRED,
                         .which = until,
                         .before_unix_us = before,
                         .detail = sp_buf_borrow(&detail)};
    sp_err err = redacting_keep(ledger, &r);
    if (sp_failed(err)) {
        on_expiry_settled(e, err.code, 0);
        return;
    }
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
    uint64_t redaction;
    uint32_t person;
    sp_ledger_erase_done done;
    void *self;
} erasure;

/* Whoever verifies the files meanwhile finds the redaction among what is settled. */
static void on_erasure_settled(void *self, sp_code code, uint64_t entry)
{
    erasure *e = self;
    const redacting r = {.what = e->what, .which = e->which, .before_unix_us = e->floor_unix_us};
    sp_err err = sp_fail(code);
    const sp_ledger_erased erased = {e->redaction, e->erased, e->person};
    (void)entry;
    if (!sp_failed(err)) {
        err = take_out_and_forget(e->ledger, &r);
    }
    e->ledger->retiring = false;
    e->done(e->self, err.code, &erased);
    sp_free(e);
}

static void on_erasure_noted(void *self, sp_code code, uint64_t entry)
{
    erasure *e = self;
    e->redaction = entry;
    if (code == SP_OK) {
        sp_engine_settle(e->ledger->engine, on_erasure_settled, e);
    } else {
        on_erasure_settled(e, code, entry);
    }
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
        const sp_subject_key *key = sp_keys_find(ledger->keys, head.key_id);
        e->erased = 1;
        e->person = key == NULL ? 0 : key->person;
        sp_buf_fmt(detail, "{\"from\":%llu,\"until\":%llu", (unsigned long long)e->which,
                   (unsigned long long)e->which + 1);
        return sp_buf_error(detail);
    }
    e->person = (uint32_t)e->which;
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
    static const sp_ledger_erased nothing = {0, 0, 0};
    erasure *e = NULL;
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_err err = ledger->retiring ? sp_fail(SP_EAGAIN) : sp_alloc(1, sizeof(*e), &e);
    if (!sp_failed(err)) {
        *e = (erasure){.ledger = ledger,
                       .what = erase->what,
                       .which = erase->which,
                       .floor_unix_us = days_ago(careful_now(ledger), SP_LEDGER_FLOOR_DAYS),
                       .done = done,
                       .self = self};
        bool nobody = e->what == SP_ERASE_SUBJECT && (e->which == 0 || e->which >= UINT32_MAX);
        err = nobody ? sp_fail(SP_EINVALID) : may_erase(ledger, e, &detail);
    }
    if (!sp_failed(err) && erase->look) {
        const sp_ledger_erased would = {0, e->erased, e->person};
        sp_free(e);
        done(self, SP_OK, &would);
        return;
    }
    if (!sp_failed(err)) {
        char approval[SP_REFERENCE_TEXT_BYTES];
        sp_reference_text(erase->approval, approval);
        sp_buf_fmt(&detail, ",\"by\":%u,\"approval\":\"%s\"}", erase->by, approval);
        const redacting r = {.what = e->what,
                             .which = e->which,
                             .before_unix_us = e->floor_unix_us,
                             .detail = sp_buf_borrow(&detail)};
        err = redacting_keep(ledger, &r);
    }
    if (sp_failed(err)) {
        sp_free(e);
        done(self, err.code, &nothing);
        return;
    }
    ledger->retiring = true; /* one at a time: there is one file of what is under way */
    note_redaction(ledger, erase->why, sp_buf_borrow(&detail), on_erasure_noted, e);
}
