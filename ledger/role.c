/* SPDX-License-Identifier: Apache-2.0
 * The ledger process: opens its files, compares them with the vault's last checkpoint, locks itself
 * in, and serves until it is told to stop.
 * OWNS the loop and all parts. PROCESS ledger. TRUST as its parts say.
 * SPEC ledger/README.md; infra/proc/entry.h.
 */
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"
#include "ledger/ledger.h"
#include "ledger/meters.h"
#include "ledger/verify.h"

#include <signal.h>
#include <stdlib.h>

enum {
    CHECKPOINT_MS = 1000,
    CHORE_MS = 5000,
    HEARTBEAT_CHORES = 60, /* five minutes */
    COUNTS_CHORES = 12,    /* a minute */
    EXPIRY_CHORES = 720,   /* an hour */
    WORK_MS = 20,          /* between slices of indexing and verifying */
    SLICE_MS = 20,
    LIVE_RECORDS = 4096, /* a bigger group is indexed later, by slices */
    REFERENCES_MAX = 512,
    FILES_MAX = 4096,
    STOP_MS = 8000
};
#define REFERENCE_MASK ((UINT64_C(1) << 60) - 1)

/* ---- checkpoints ---- */

/* Somebody who waits for a checkpoint over what is recorded now. */
struct sp_wish {
    sp_wish *next;
    sp_engine_done done;
    void *self;
};

static void grant(sp_wish *wishes, sp_code code)
{
    while (wishes != NULL) {
        sp_wish *next = wishes->next;
        wishes->done(wishes->self, code, 0);
        sp_free(wishes);
        wishes = next;
    }
}

static void sign_round(sp_ledger *ledger);

static void round_over(sp_ledger *ledger, sp_code code)
{
    sp_wish *granted = ledger->wishes_now;
    ledger->wishes_now = NULL;
    ledger->signing = false;
    grant(granted, code);
    if (ledger->wishes_next != NULL && !ledger->signing) {
        sign_round(ledger);
    } else if (sp_journal_size(ledger->store) > sp_keeper_size(ledger->keeper)) {
        sp_ledger_checkpoint_soon(ledger);
    }
}

static void on_signed(void *self)
{
    round_over(self, SP_OK);
}

static void on_settled(void *self, sp_code code, uint64_t entry)
{
    sp_ledger *ledger = self;
    (void)entry;
    if (code == SP_OK && !ledger->stopping) {
        sp_keeper_sign(ledger->keeper, on_signed, ledger);
    } else {
        round_over(ledger, code == SP_OK ? SP_ECLOSED : code);
    }
}

static void sign_round(sp_ledger *ledger)
{
    ledger->signing = true;
    ledger->wishes_now = ledger->wishes_next;
    ledger->wishes_next = NULL;
    sp_engine_settle(ledger->engine, on_settled, ledger);
}

void sp_ledger_checkpoint_now(sp_ledger *ledger, sp_engine_done done, void *self)
{
    sp_wish *wish = NULL;
    if (done != NULL) {
        if (sp_failed(sp_alloc(1, sizeof(*wish), &wish))) {
            done(self, SP_ENOMEM, 0);
            return;
        }
        *wish = (sp_wish){ledger->wishes_next, done, self};
        ledger->wishes_next = wish;
    }
    if (!ledger->signing) {
        sign_round(ledger);
    }
}

/* ---- the index ---- */

static bool wants_reference(const sp_event *event)
{
    return event->reference != 0 &&
           (event->kind != SP_EVENT_DECISION || event->verdict != SP_VERDICT_ALLOW);
}

static void row_take(sp_index_row *row, const sp_event *event)
{
    uint64_t when = event->when_unix_us;
    row->first_unix_us = row->kinds == 0 || when < row->first_unix_us ? when : row->first_unix_us;
    row->last_unix_us = when > row->last_unix_us ? when : row->last_unix_us;
    row->person = event->person;
    row->session = event->session;
    row->kinds |= UINT32_C(1) << event->kind;
    row->verdicts |= sp_event_has_verdict(event) ? (uint8_t)(1U << event->verdict) : 0x80;
}

/* What has just become durable, while its events are still in memory. Items of a record are a
 * chain; the first of each chain comes before its others. */
static sp_err index_batch(sp_ledger *ledger, const sp_batch *batch, uint64_t first_entry)
{
    uint64_t count = sp_journal_size(ledger->store) - first_entry;
    auto_free sp_index_row *rows = NULL;
    TRY(sp_alloc(count, sizeof(*rows), &rows));
    for (size_t i = 0; i < batch->count; i++) {
        const sp_batch_item *item = &batch->items[i];
        row_take(&rows[item->record], &item->event);
        if (wants_reference(&item->event)) {
            TRY(sp_index_put_reference(ledger->index, item->event.reference & REFERENCE_MASK,
                                       first_entry + item->record));
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        rows[i].entry = first_entry + i;
        TRY(sp_index_put(ledger->index, &rows[i]));
    }
    return sp_ok();
}

bool sp_ledger_index_slice(sp_ledger *ledger, uint64_t deadline_us)
{
    sp_lookup lookup = sp_ledger_lookup(ledger);
    while (sp_index_upto(ledger->index) < sp_journal_size(ledger->store)) {
        uint64_t references[REFERENCES_MAX];
        size_t count = 0;
        sp_index_row row;
        sp_err err = sp_lookup_row(&lookup, sp_index_upto(ledger->index), &row, references,
                                   REFERENCES_MAX, &count);
        for (size_t i = 0; i < count && !sp_failed(err); i++) {
            err = sp_index_put_reference(ledger->index, references[i], row.entry);
        }
        if (!sp_failed(err)) {
            err = sp_index_put(ledger->index, &row);
        }
        if (sp_failed(err)) {
            sp_log(SP_LOG_WARN, "the search index cannot be written: %s", sp_code_word(err.code));
            return false;
        }
        if (sp_now_steady_us() > deadline_us) {
            return true;
        }
    }
    return false;
}

/* ---- timers ---- */

static void on_soon(uv_timer_t *timer)
{
    sp_ledger *ledger = timer->data;
    if (sp_failed(sp_index_commit(ledger->index))) {
        sp_ledger_work_soon(ledger); /* read back */
    }
    sp_ledger_checkpoint_now(ledger, NULL, NULL);
}

void sp_ledger_checkpoint_soon(sp_ledger *ledger)
{
    if (!ledger->stopping && !uv_is_active((uv_handle_t *)&ledger->soon)) {
        uv_timer_start(&ledger->soon, on_soon, CHECKPOINT_MS, 0);
    }
}

static bool verify_slice(sp_ledger *ledger, uint64_t deadline_us)
{
    sp_verify_run *run = &ledger->verify;
    if (run->state != SP_LEDGER_VERIFY_RUNNING) {
        return false;
    }
    auto_buf sp_buf why = sp_buf_make(1024);
    while (run->at < run->size && sp_now_steady_us() < deadline_us) {
        if (sp_failed(sp_verify_entry(ledger->store, run->at, &why))) {
            run->state = SP_LEDGER_VERIFY_BAD;
            run->unix_us = sp_now_unix_us();
            sp_log(SP_LOG_ERROR, "verify: %.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
            return false;
        }
        run->at++;
    }
    if (run->at < run->size) {
        return true;
    }
    sp_err err = sp_verify_tree(ledger->store, run->size, &why);
    run->state = sp_failed(err) ? SP_LEDGER_VERIFY_BAD : SP_LEDGER_VERIFY_GOOD;
    run->unix_us = sp_now_unix_us();
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "verify: %.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return false;
}

static void on_work(uv_timer_t *timer)
{
    sp_ledger *ledger = timer->data;
    uint64_t deadline_us = sp_now_steady_us() + (uint64_t)SLICE_MS * 1000;
    sp_lookup lookup = sp_ledger_lookup(ledger);
    bool more = sp_ledger_index_slice(ledger, deadline_us);
    more = sp_counts_slice(&ledger->counts, &lookup, deadline_us) || more;
    more = verify_slice(ledger, deadline_us) || more;
    if (more) {
        sp_ledger_work_soon(ledger);
    } else {
        SP_IGNORE(sp_index_commit(ledger->index)); /* rebuilt when it is lost */
    }
}

void sp_ledger_work_soon(sp_ledger *ledger)
{
    if (!ledger->stopping && !uv_is_active((uv_handle_t *)&ledger->work)) {
        uv_timer_start(&ledger->work, on_work, WORK_MS, 0);
    }
}

/* Read back from the entries when it is lost. */
static void keep_counts(sp_ledger *ledger)
{
    sp_err err = sp_counts_keep(&ledger->counts, ledger->counts_path);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the counters cannot be kept: %s", sp_code_word(err.code));
    }
}

static void on_chore(uv_timer_t *timer)
{
    sp_ledger *ledger = timer->data;
    sp_entry_notify("WATCHDOG=1");
    sp_ledger_follow_wake(ledger);
    ledger->chores++;
    sp_counts_turn(&ledger->counts, sp_now_unix_us());
    if (ledger->chores % COUNTS_CHORES == 0) {
        keep_counts(ledger);
    }
    if (ledger->chores % HEARTBEAT_CHORES == 0) {
        sp_engine_heartbeat(ledger->engine);
    }
    if (ledger->chores % EXPIRY_CHORES == 0) {
        sp_ledger_expire(ledger);
    }
}

/* ---- the engine's calls ---- */

static void on_committed(void *self, const sp_batch *batch, uint64_t first_entry)
{
    sp_ledger *ledger = self;
    uint64_t count = sp_journal_size(ledger->store) - first_entry;
    sp_ledger_checkpoint_soon(ledger);
    sp_counts_batch(&ledger->counts, batch, first_entry, sp_journal_size(ledger->store));
    sp_meters_batch(&ledger->meters, batch, sp_now_unix_us());
    bool live = count <= LIVE_RECORDS && sp_index_upto(ledger->index) == first_entry;
    if (!live || sp_failed(index_batch(ledger, batch, first_entry))) {
        sp_ledger_work_soon(ledger);
    }
    if (ledger->tails_count > 0) {
        sp_ledger_tail(ledger, first_entry, count);
    }
    sp_ledger_follow_commit(ledger, batch, first_entry, count);
}

static void on_state(void *self, bool recording, const char *why)
{
    sp_ledger *ledger = self;
    auto_buf sp_buf words = sp_buf_make(512);
    sp_buf_fmt(&words, "STATUS=%s", recording ? "recording" : why);
    sp_buf_byte(&words, 0);
    if (!sp_failed(sp_buf_error(&words))) {
        sp_entry_notify((const char *)words.ptr);
    }
    sp_ledger_push_state(ledger, recording, why);
}

/* ---- start and stop ---- */

static sp_err open_files(sp_ledger *ledger, sp_buf *why)
{
    auto_free char *dir = NULL;
    auto_free char *kek_path = NULL;
    auto_free char *keys_path = NULL;
    auto_free char *index_path = NULL;
    auto_key sp_key kek = {{0}};
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "", &dir));
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "kek", &kek_path));
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "keys", &keys_path));
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "index.sqlite", &index_path));
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "retention", &ledger->retention_path));
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "counts", &ledger->counts_path));
    TRY(sp_journal_open(dir, true, why, &ledger->store));
    TRY(sp_keeper_kek(ledger->config, kek_path, sp_journal_size(ledger->store) == 0, &kek, why));
    sp_err err = sp_keys_open(keys_path, &kek, true, &ledger->keys);
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s holds keys that do not verify: restore it from a backup", keys_path);
        return err;
    }
    err = sp_index_open(index_path, &kek, sp_journal_size(ledger->store), &ledger->index);
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s cannot be opened", index_path);
        return err;
    }
    ledger->meters.started_unix_us = sp_now_unix_us();
    sp_counts_load(&ledger->counts, ledger->counts_path, ledger->store, sp_now_unix_us());
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "redacting", &ledger->redacting_path));
    err = sp_ledger_redaction_resume(ledger);
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s names entries that could not be erased (%s)", ledger->redacting_path,
                   sp_code_word(err.code));
        return err;
    }
    err = sp_ledger_retention_load(ledger);
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s does not hold a number of days", ledger->retention_path);
        return err;
    }
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "clock", &ledger->clock_path));
    err = sp_slow_clock_open(&ledger->clock, ledger->clock_path, sp_now_unix_us(),
                             sp_now_steady_us());
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s does not hold two times: remove it if the clock is right",
                   ledger->clock_path);
    }
    return err;
}

static sp_err lock_in(const sp_ledger *ledger, sp_buf *why)
{
    auto_free char *dir = NULL;
    TRY(sp_config_state(ledger->config, SP_ROLE_LEDGER, "", &dir));
    const sp_sandbox cage = {.role = "ledger",
                             .may = SP_MAY_FILES | SP_MAY_THREADS,
                             .read = {ledger->config->run_dir},
                             .write = {dir},
                             .files_max = FILES_MAX};
    return sp_sandbox_enter(&cage, why);
}

static void on_stop_settled(void *self, sp_code code, uint64_t entry)
{
    sp_ledger *ledger = self;
    (void)code;
    (void)entry;
    uv_stop(&ledger->loop);
}

static void on_stop_flushed(void *self, sp_code code, uint64_t entry)
{
    sp_ledger *ledger = self;
    (void)code;
    (void)entry;
    sp_engine_settle(ledger->engine, on_stop_settled, ledger);
}

static void on_stop_late(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void note_role(sp_ledger *ledger, const char *what, sp_engine_done done)
{
    sp_event event = {.kind = SP_EVENT_ROLE,
                      .severity = SP_SEVERITY_INFO,
                      .method = sp_span_cstr(what),
                      .object = SP_SPAN_LIT("ledger")};
    sp_engine_note(ledger->engine, &event, true, done, ledger);
}

static void on_term(uv_signal_t *handle, int number)
{
    sp_ledger *ledger = handle->data;
    (void)number;
    if (ledger->stopping) {
        return;
    }
    ledger->stopping = true;
    sp_entry_notify("STOPPING=1");
    uv_timer_start(&ledger->chore, on_stop_late, STOP_MS, 0); /* a disk that does not answer */
    note_role(ledger, "stop", NULL);
    sp_engine_flush(ledger->engine, on_stop_flushed, ledger);
}

static sp_err serve(sp_ledger *ledger, sp_buf *why)
{
    int fd = sp_entry_listen_fd("ledger");
    if (fd < 0) {
        sp_buf_text(why, "no socket named 'ledger' was handed over: start it by sallyport run");
        return sp_fail(SP_EINVALID);
    }
    const sp_engine_calls engine_calls = {on_committed, on_state, ledger};
    const sp_server_calls server_calls = {sp_ledger_on_message, sp_ledger_on_gone, ledger};
    TRY(sp_engine_new(&ledger->loop, ledger->store, ledger->keys, &engine_calls, &ledger->engine));
    uv_timer_init(&ledger->loop, &ledger->soon);
    uv_timer_init(&ledger->loop, &ledger->chore);
    uv_timer_init(&ledger->loop, &ledger->work);
    uv_signal_init(&ledger->loop, &ledger->term);
    ledger->soon.data = ledger->chore.data = ledger->work.data = ledger->term.data = ledger;
    uv_timer_start(&ledger->chore, on_chore, CHORE_MS, CHORE_MS);
    uv_signal_start(&ledger->term, on_term, SIGTERM);
    note_role(ledger, "start", NULL);
    sp_ledger_work_soon(ledger);
    return sp_server_new(&ledger->loop, fd, SP_LEDGER_PEERS_MAX, &server_calls, &ledger->server);
}

static sp_err start(sp_ledger *ledger, sp_buf *why)
{
    TRY(sp_crypto_start());
    if (uv_loop_init(&ledger->loop) != 0) {
        return sp_fail(SP_EIO);
    }
    TRY(open_files(ledger, why));
    TRY(sp_keeper_new(&ledger->loop, ledger->config, ledger->store, why, &ledger->keeper));
    TRY(lock_in(ledger, why));
    return serve(ledger, why);
}

static void stop(sp_ledger *ledger)
{
    sp_server_free(ledger->server);
    sp_engine_free(ledger->engine);
    sp_keeper_free(ledger->keeper);
    uv_handle_t *const handles[] = {(uv_handle_t *)&ledger->soon, (uv_handle_t *)&ledger->chore,
                                    (uv_handle_t *)&ledger->work, (uv_handle_t *)&ledger->term};
    for (size_t i = 0; i < SP_COUNT(handles); i++) {
        uv_close(handles[i], NULL);
    }
    uv_run(&ledger->loop, UV_RUN_DEFAULT);
    uv_loop_close(&ledger->loop);
    SP_IGNORE(sp_index_commit(ledger->index)); /* rebuilt when it is lost */
    keep_counts(ledger);
    sp_index_close(ledger->index);
    sp_recent_done(&ledger->recent);
    sp_keys_close(ledger->keys);
    sp_journal_close(ledger->store);
    sp_free(ledger->retention_path);
    sp_free(ledger->redacting_path);
    sp_free(ledger->clock_path);
    sp_free(ledger->counts_path);
}

int sp_ledger_role(const sp_config *config)
{
    static sp_ledger ledger;
    auto_buf sp_buf why = sp_buf_make(2048);
    sp_log_start("ledger", SP_LOG_INFO);
    ledger.config = config;
    sp_err err = start(&ledger, &why);
    if (sp_failed(err)) {
        sp_span text = sp_buf_borrow(&why);
        text = text.len == 0 ? sp_span_cstr(sp_code_word(err.code)) : text;
        sp_log(SP_LOG_ERROR, "cannot start: %.*s", SP_SPAN_ARG(text));
        return EXIT_FAILURE;
    }
    sp_entry_notify("READY=1\nSTATUS=recording");
    sp_log(SP_LOG_INFO, "%llu entries, first %llu",
           (unsigned long long)sp_journal_size(ledger.store),
           (unsigned long long)sp_journal_first(ledger.store));
    uv_run(&ledger.loop, UV_RUN_DEFAULT);
    stop(&ledger);
    return EXIT_SUCCESS;
}
