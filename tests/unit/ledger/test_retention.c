/* SPDX-License-Identifier: Apache-2.0
 * Erasing and expiring: nothing younger than the floor goes, what goes leaves a redaction entry, a
 * destroyed key makes its records unreadable, and every proof of the rest still holds.
 * OWNS a directory below /tmp. PROCESS tests. TRUST none. SPEC ledger/README.md.
 */
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define DAY_US (UINT64_C(86400) * 1000000)
enum { PATIENCE_MS = 10000, OLD_PERSON = 7, OTHER_PERSON = 8 };

static const sp_key KEK = {{5}};
static char dir[64];
static char paths[5][96]; /* keys, index, retention, redacting, clock */
static bool dies;         /* as soon as a group is on disk */
static sp_ledger ledger;
static unsigned done;
static sp_code last_code;
static sp_ledger_erased last_erased;

static void on_committed(void *self, const sp_batch *batch, uint64_t first_entry)
{
    (void)self;
    (void)batch;
    (void)first_entry;
    if (dies) {
        kill(getpid(), SIGKILL);
    }
}

static void on_state(void *self, bool recording, const char *why)
{
    (void)self;
    assert_true(recording);
    (void)why;
}

static void on_erased(void *self, sp_code code, const sp_ledger_erased *erased)
{
    (void)self;
    done++;
    last_code = code;
    last_erased = *erased;
}

static void on_flushed(void *self, sp_code code, uint64_t entry)
{
    (void)self;
    (void)entry;
    done++;
    last_code = code;
}

static void until(unsigned count)
{
    uint64_t end = sp_now_steady_us() + (uint64_t)PATIENCE_MS * 1000;
    while (done < count) {
        assert_true(sp_now_steady_us() < end);
        uv_run(&ledger.loop, UV_RUN_ONCE);
    }
}

/* A group as it was written so many days ago: one event of each person. */
static void write_dated(unsigned days, unsigned said_days)
{
    uint64_t when = sp_now_unix_us() - days * DAY_US;
    sp_batch batch;
    sp_group group;
    auto_buf sp_buf new_keys = sp_buf_make(1024 * 1024);
    uint64_t at = 0;
    sp_batch_init(&batch);
    sp_group_init(&group);
    for (uint32_t person = OLD_PERSON; person <= OTHER_PERSON; person++) {
        auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
        sp_event event = {.kind = SP_EVENT_SIGN_IN,
                          .when_unix_us = sp_now_unix_us() - said_days * DAY_US,
                          .person = person,
                          .session = 100 + person,
                          .person_name = SP_SPAN_LIT("somebody")};
        const sp_batch_from from = {55, batch.count + 1, SP_SPAN_LIT("core"), false, SP_GATE_NONE};
        assert_false(sp_failed(sp_event_encode(&event, &bytes)));
        assert_false(sp_failed(sp_batch_add(&batch, sp_buf_borrow(&bytes), &from)));
    }
    assert_false(sp_failed(sp_batch_build(&batch, ledger.keys, when, &group)));
    assert_false(sp_failed(sp_keys_take_new(ledger.keys, &new_keys, &at)));
    assert_false(sp_failed(sp_keys_write(ledger.keys, sp_buf_borrow(&new_keys), at)));
    uint64_t first = sp_journal_size(ledger.store);
    assert_false(sp_failed(sp_journal_write(ledger.store, &group)));
    sp_journal_publish(ledger.store);
    for (uint32_t i = 0; i < 2; i++) {
        const sp_index_row row = {.entry = first + i,
                                  .first_unix_us = when,
                                  .last_unix_us = when,
                                  .person = OLD_PERSON + i,
                                  .kinds = 1U << SP_EVENT_SIGN_IN,
                                  .verdicts = 1};
        assert_false(sp_failed(sp_index_put(ledger.index, &row)));
    }
    sp_group_done(&group);
    sp_batch_done(&batch);
}

static void write_old(unsigned days)
{
    write_dated(days, days);
}

static void open_all(void)
{
    auto_buf sp_buf why = sp_buf_make(1024);
    const sp_engine_calls calls = {on_committed, on_state, NULL};
    ledger = (sp_ledger){.retention_path = paths[2], .redacting_path = paths[3]};
    assert_int_equal(uv_loop_init(&ledger.loop), 0);
    assert_false(sp_failed(sp_journal_open(dir, true, &why, &ledger.store)));
    assert_false(sp_failed(sp_keys_open(paths[0], &KEK, true, &ledger.keys)));
    assert_false(
        sp_failed(sp_index_open(paths[1], &KEK, sp_journal_size(ledger.store), &ledger.index)));
    assert_false(
        sp_failed(sp_engine_new(&ledger.loop, ledger.store, ledger.keys, &calls, &ledger.engine)));
    assert_false(sp_failed(
        sp_slow_clock_open(&ledger.clock, paths[4], sp_now_unix_us(), sp_now_steady_us())));
    assert_false(sp_failed(sp_ledger_retention_load(&ledger)));
    assert_false(sp_failed(sp_ledger_redaction_resume(&ledger)));
}

static void close_all(void)
{
    sp_engine_free(ledger.engine);
    uv_run(&ledger.loop, UV_RUN_DEFAULT);
    uv_loop_close(&ledger.loop);
    assert_false(sp_failed(sp_index_commit(ledger.index)));
    sp_index_close(ledger.index);
    sp_keys_close(ledger.keys);
    sp_journal_close(ledger.store);
}

static int setup(void **state)
{
    static const char *const names[] = {"keys", "index.sqlite", "retention", "redacting", "clock"};
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/sallyport-retention-XXXXXX");
    if (sp_failed(sp_crypto_start()) || mkdtemp(dir) == NULL) {
        return -1;
    }
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, names[i]);
    }
    done = 0;
    open_all();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_all();
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static void erase(uint8_t what, uint64_t which)
{
    const sp_ledger_erase ask = {.what = what,
                                 .which = which,
                                 .by = 3,
                                 .approval = 1023,
                                 .why = SP_SPAN_LIT("asked by the person")};
    sp_ledger_erase_now(&ledger, &ask, on_erased, NULL);
}

static bool opens(uint64_t entry)
{
    auto_buf sp_buf json = sp_buf_make(SP_RECORD_MAX_BYTES);
    const sp_lookup lookup = sp_ledger_lookup(&ledger);
    return !sp_failed(sp_lookup_open(&lookup, entry, &json));
}

static bool says(uint64_t entry, const char *what)
{
    auto_buf sp_buf json = sp_buf_make(SP_RECORD_MAX_BYTES);
    const sp_lookup lookup = sp_ledger_lookup(&ledger);
    assert_false(sp_failed(sp_lookup_open(&lookup, entry, &json)));
    return sp_span_find(sp_buf_borrow(&json), sp_span_cstr(what)) < json.len;
}

/* Hashes and proofs of all entries hold, whatever was erased. */
static void tree_holds(const sp_hash *old_root, uint64_t old_size)
{
    auto_buf sp_buf why = sp_buf_make(1024);
    uint64_t size = sp_journal_size(ledger.store);
    sp_merkle_source source = sp_journal_hashes(ledger.store);
    sp_hash root = sp_merkle_root(sp_journal_tree(ledger.store));
    for (uint64_t i = 0; i < size; i++) {
        sp_hash leaf;
        sp_merkle_path path;
        assert_false(sp_failed(sp_journal_leaf(ledger.store, i, &leaf)));
        assert_false(sp_failed(sp_merkle_inclusion(&source, i, size, &path)));
        assert_true(sp_merkle_includes(&leaf, i, size, path.hashes, path.count, &root));
        if (i >= sp_journal_first(ledger.store)) {
            assert_false(sp_failed(sp_verify_entry(ledger.store, i, &why)));
        }
    }
    sp_merkle_path path;
    assert_false(sp_failed(sp_merkle_consistency(&source, old_size, size, &path)));
    assert_true(sp_merkle_extends(old_size, old_root, size, &root, path.hashes, path.count));
}

static void test_floor(void **state)
{
    (void)state;
    write_old(182);
    write_old(10);
    sp_hash root = sp_merkle_root(sp_journal_tree(ledger.store));
    erase(SP_ERASE_ENTRY, 0);
    assert_int_equal(last_code, SP_EDENIED);
    erase(SP_ERASE_SUBJECT, OLD_PERSON);
    assert_int_equal(last_code, SP_EDENIED);
    erase(SP_ERASE_SUBJECT, 12345);
    assert_int_equal(last_code, SP_ENOTFOUND);
    erase(SP_ERASE_SUBJECT, 0);
    assert_int_equal(last_code, SP_EINVALID);
    erase(SP_ERASE_ENTRY, 99);
    assert_int_equal(last_code, SP_ENOTFOUND);
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(opens(i));
    }
    const sp_ledger_retain days = {.days = SP_LEDGER_FLOOR_DAYS - 1};
    assert_int_equal(sp_ledger_retain_set(&ledger, &days).code, SP_EDENIED);
    tree_holds(&root, 4);
}

static void test_erase_one_entry(void **state)
{
    (void)state;
    write_old(184);
    write_old(1);
    sp_hash root = sp_merkle_root(sp_journal_tree(ledger.store));
    const sp_ledger_erase look = {
        .what = SP_ERASE_ENTRY, .look = true, .which = 0, .by = 3, .why = SP_SPAN_LIT("looking")};
    sp_ledger_erase_now(&ledger, &look, on_erased, NULL);
    assert_int_equal(last_erased.person, OLD_PERSON);
    assert_int_equal(done, 1);
    assert_int_equal(last_code, SP_OK);
    assert_int_equal(last_erased.erased, 1);
    assert_true(opens(0)); /* only looked */
    done = 0;
    erase(SP_ERASE_ENTRY, 0);
    until(1);
    assert_int_equal(last_code, SP_OK);
    assert_int_equal(last_erased.erased, 1);
    assert_false(opens(0));
    assert_true(opens(1));
    assert_true(says(last_erased.redaction, "\"kind\":\"redaction\""));
    assert_true(says(last_erased.redaction,
                     "\"from\":0,\"until\":1,\"by\":3,\"approval\":\"0000-0000-00ZZ\""));
    assert_true(says(last_erased.redaction, "asked by the person"));
    tree_holds(&root, 4);
    uint64_t redaction = last_erased.redaction;
    erase(SP_ERASE_ENTRY, 0); /* gone already */
    assert_int_equal(last_code, SP_ENOTFOUND);
    erase(SP_ERASE_ENTRY, redaction); /* the redaction itself cannot go */
    assert_int_equal(last_code, SP_EDENIED);
}

static void test_erase_a_person(void **state)
{
    (void)state;
    write_old(300);
    write_old(2);
    sp_hash root = sp_merkle_root(sp_journal_tree(ledger.store));
    erase(SP_ERASE_SUBJECT, OLD_PERSON);
    until(1);
    assert_int_equal(last_code, SP_OK);
    assert_int_equal(last_erased.erased, 1);
    assert_false(opens(0)); /* the old one of this person */
    assert_true(opens(1));  /* of another */
    assert_true(opens(2));  /* the young one of this person */
    assert_true(says(last_erased.redaction, "\"subject_keys\":1"));
    tree_holds(&root, 4);
    close_all();
    open_all(); /* the key does not come back */
    assert_false(opens(0));
    assert_true(opens(1));
    assert_true(opens(2));
}

static void test_expiry(void **state)
{
    (void)state;
    write_old(400);
    write_old(399);
    write_old(250);
    write_old(3);
    sp_hash root = sp_merkle_root(sp_journal_tree(ledger.store));
    sp_ledger_expire(&ledger); /* kept for ever as long as nobody said how long */
    const sp_ledger_retain days = {.days = 300};
    assert_false(sp_failed(sp_ledger_retain_set(&ledger, &days)));
    sp_ledger_expire(&ledger);
    sp_engine_flush(ledger.engine, on_flushed, NULL);
    until(1);
    sp_engine_settle(ledger.engine, on_flushed, NULL);
    until(2);
    assert_int_equal(sp_journal_first(ledger.store), 4);
    assert_true(says(8, "\"from\":0,\"until\":4"));
    assert_false(opens(0));
    assert_false(opens(3));
    assert_true(opens(4));
    assert_true(opens(7));
    tree_holds(&root, 8);
    close_all();
    open_all();
    assert_int_equal(ledger.retention_days, 300);
    assert_int_equal(sp_journal_first(ledger.store), 4);
    tree_holds(&root, 8);
}

/* What an event says of its own time makes it neither older nor younger. */
static void test_the_senders_clock_is_not_believed(void **state)
{
    (void)state;
    write_dated(400, 1);
    write_dated(40, 400);
    write_old(3);
    erase(SP_ERASE_ENTRY, 2);
    assert_int_equal(last_code, SP_EDENIED);
    const sp_ledger_retain days = {.days = 300};
    assert_false(sp_failed(sp_ledger_retain_set(&ledger, &days)));
    sp_ledger_expire(&ledger);
    sp_engine_flush(ledger.engine, on_flushed, NULL);
    until(2);
    sp_engine_settle(ledger.engine, on_flushed, NULL);
    until(3);
    assert_int_equal(sp_journal_first(ledger.store), 2);
    assert_false(opens(0));
    assert_true(opens(2));
}

static void believe(uint64_t days_ago, uint64_t doubted_us)
{
    char text[64];
    uint64_t believed = sp_now_unix_us() - days_ago * DAY_US;
    close_all();
    snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long)believed,
             (unsigned long long)doubted_us);
    assert_false(sp_failed(sp_file_replace(paths[4], 0600, sp_span_cstr(text))));
    open_all();
}

/* A clock that is set to next year takes nothing away, until it has been so for a day. */
static void test_a_clock_that_jumps_takes_nothing_away(void **state)
{
    (void)state;
    write_old(400);
    write_old(3);
    const sp_ledger_retain days = {.days = 300};
    assert_false(sp_failed(sp_ledger_retain_set(&ledger, &days)));
    believe(250, 0);
    sp_ledger_expire(&ledger);
    sp_engine_flush(ledger.engine, on_flushed, NULL);
    until(1);
    assert_int_equal(sp_journal_first(ledger.store), 0);
    assert_true(says(4, "clock is more than a day ahead"));
    assert_true(says(4, "\"severity_id\":5"));
    erase(SP_ERASE_ENTRY, 0);
    assert_int_equal(last_code, SP_EDENIED);
    erase(SP_ERASE_SUBJECT, OLD_PERSON);
    assert_int_equal(last_code, SP_EDENIED);
    believe(250, DAY_US - 1);
    sp_ledger_expire(&ledger);
    sp_engine_flush(ledger.engine, on_flushed, NULL);
    until(done + 1);
    sp_engine_settle(ledger.engine, on_flushed, NULL);
    until(done + 1);
    assert_int_equal(sp_journal_first(ledger.store), 2);
}

/* ---- killed between the redaction and what it names ---- */

/* In a process of its own: begins, and is killed once the redaction is on disk (or before). */
static void die_while(void (*begin)(void), bool noted)
{
    close_all();
    pid_t child = fork();
    if (child == 0) {
        open_all();
        begin();
        dies = true;
        while (noted) {
            uv_run(&ledger.loop, UV_RUN_ONCE);
        }
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(access(paths[3], F_OK), 0);
    open_all();
    assert_int_not_equal(access(paths[3], F_OK), 0);
}

static void erase_first(void)
{
    erase(SP_ERASE_ENTRY, 0);
}

static void erase_person(void)
{
    erase(SP_ERASE_SUBJECT, OLD_PERSON);
}

static void expire(void)
{
    const sp_ledger_retain days = {.days = 300};
    assert_false(sp_failed(sp_ledger_retain_set(&ledger, &days)));
    sp_ledger_expire(&ledger);
}

static void test_a_kill_leaves_nothing_half_erased(void **state)
{
    (void)state;
    write_old(400);
    write_old(250);
    write_old(2);
    sp_hash root = sp_merkle_root(sp_journal_tree(ledger.store));
    die_while(erase_first, false); /* not written down: not done */
    assert_true(opens(0));
    die_while(erase_first, true);
    assert_false(opens(0));
    assert_true(opens(1));
    assert_true(says(6, "\"from\":0,\"until\":1,\"by\":3"));
    die_while(erase_person, false);
    assert_true(opens(2));
    die_while(erase_person, true);
    assert_false(opens(2));
    assert_true(opens(3)); /* of another */
    assert_true(opens(4)); /* too young */
    tree_holds(&root, 6);
    die_while(expire, true);
    assert_int_equal(sp_journal_first(ledger.store), 2);
    tree_holds(&root, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_kill_leaves_nothing_half_erased, setup, teardown),
        cmocka_unit_test_setup_teardown(test_floor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_erase_one_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_erase_a_person, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_senders_clock_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_clock_that_jumps_takes_nothing_away, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
