/* SPDX-License-Identifier: Apache-2.0
 * kill -9 at random moments under load: a producer keeps a ring full, ledgers (the real engine on
 * real files, each a process) are killed one after another and the next one attaches the same ring.
 * Afterwards every record is the one its hash names, the tree verifies, and every event that was
 * ever acknowledged stands in it exactly once. SALLYPORT_KILLS sets how often (default 25). OWNS a
 * directory below /tmp. PROCESS tests. TRUST none. SPEC ledger/engine.h.
 */
#include "infra/crypto/random.h"
#include "infra/ipc/shm.h"
#include "infra/proc/clock.h"
#include "ledger/engine.h"
#include "ledger/verify.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    RING_BYTES = 256 * 1024,
    PAGE_BYTES = 4096,
    SOURCE = 4711,
    KILLS_DEFAULT = 25,
    LIFE_MAX_US = 60000
};

static char dir[64];
static char keys_path[96];
static const sp_key KEK = {{1, 2, 3}};

/* ---- a ledger, in a process of its own ---- */

typedef struct {
    uv_loop_t loop;
    sp_engine *engine;
    uv_timer_t poke;
    sp_ring *ring;
    _Atomic int *finish;
    bool finishing;
} life;

static void on_committed(void *self, const sp_batch *batch, uint64_t first_entry)
{
    (void)self;
    (void)batch;
    (void)first_entry;
}

static void on_state(void *self, bool recording, const char *why)
{
    (void)self;
    (void)recording;
    (void)why;
    _exit(3);
}

static void on_settled_live(void *self, sp_code code, uint64_t entry)
{
    (void)self;
    (void)code;
    (void)entry;
}

static void on_settled(void *self, sp_code code, uint64_t entry)
{
    (void)self;
    (void)entry;
    _exit(code == SP_OK ? 0 : 4);
}

static void on_flushed(void *self, sp_code code, uint64_t entry)
{
    life *l = self;
    (void)entry;
    if (code != SP_OK) {
        _exit(5);
    }
    sp_engine_settle(l->engine, on_settled, l);
}

static void on_poke(uv_timer_t *timer)
{
    life *l = timer->data;
    if (sp_ring_must_wake(l->ring)) {
        sp_engine_wake(l->engine);
    }
    if (*l->finish != 0 && !l->finishing) {
        l->finishing = true;
        sp_engine_flush(l->engine, on_flushed, l);
    } else if (!l->finishing && sp_now_steady_us() % 7 == 0) {
        sp_engine_settle(l->engine, on_settled_live, l);
    }
}

static void run_ledger(int ring_fd, sp_ring *ring, _Atomic int *finish)
{
    life l = {.ring = ring, .finish = finish};
    sp_journal *journal = NULL;
    sp_keys *keys = NULL;
    sp_source *source = NULL;
    uint64_t durable = 0;
    sp_shm shm = {0};
    sp_buf why = sp_buf_make(1024);
    if (sp_failed(sp_journal_open(dir, true, &why, &journal))) {
        fprintf(stderr, "%.*s\n", SP_SPAN_ARG(sp_buf_borrow(&why)));
        _exit(10);
    }
    if (sp_failed(sp_keys_open(keys_path, &KEK, true, &keys))) {
        _exit(11);
    }
    const sp_engine_calls calls = {on_committed, on_state, &l};
    const sp_ledger_attach attach = {SOURCE, SP_GATE_WEB, SP_SPAN_LIT("producer")};
    uv_loop_init(&l.loop);
    if (sp_failed(sp_engine_new(&l.loop, journal, keys, &calls, &l.engine)) ||
        sp_failed(sp_shm_map_write(ring_fd, 2 * RING_BYTES, &shm)) ||
        sp_failed(sp_engine_attach(l.engine, &attach, &shm, &source, &durable))) {
        _exit(12);
    }
    uv_timer_init(&l.loop, &l.poke);
    l.poke.data = &l;
    uv_timer_start(&l.poke, on_poke, 1, 1);
    uv_run(&l.loop, UV_RUN_DEFAULT);
    _exit(13);
}

/* ---- the producer and the killer: this process ---- */

static void put_some(sp_ring *ring)
{
    for (int i = 0; i < 200; i++) {
        uint64_t n = ring->seq + 1;
        sp_event event = {.kind = SP_EVENT_DECISION,
                          .gate = SP_GATE_WEB,
                          .when_unix_us = sp_now_unix_us(),
                          .person = (uint32_t)(n % 7),
                          .session = n % 31,
                          .reference = n,
                          .object = SP_SPAN_LIT("/some/path")};
        size_t len = sp_event_size(&event);
        uint8_t *room = sp_ring_reserve(ring, len);
        if (room == NULL) {
            return;
        }
        sp_event_write(&event, room);
        sp_ring_commit(ring, len);
    }
}

static uint64_t highest_durable(const sp_ring *ring, uint64_t from)
{
    while (from < ring->seq && sp_ring_is_durable(ring, from + 1)) {
        from++;
    }
    return from;
}

static void produce_for(sp_ring *ring, uint64_t life_us)
{
    uint64_t end = sp_now_steady_us() + life_us;
    while (sp_now_steady_us() < end) {
        put_some(ring);
        usleep(200);
    }
}

/* Every event of the source, from the heads and texts of all records: counts how often each number
 * stands there. */
static void count_numbers(sp_journal *journal, const sp_keys *keys, uint8_t *seen, uint64_t numbers)
{
    static const char mark[] = "\"metadata\":{\"sequence\":";
    sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    sp_buf json = sp_buf_make(SP_RECORD_MAX_BYTES);
    for (uint64_t i = 0; i < sp_journal_size(journal); i++) {
        sp_record_head head;
        assert_false(sp_failed(sp_journal_read(journal, i, &record)));
        assert_false(sp_failed(sp_record_head_read(sp_buf_borrow(&record), &head)));
        if (head.source != SOURCE) {
            continue;
        }
        const sp_subject_key *key = sp_keys_find(keys, head.key_id);
        assert_non_null(key); /* its key was on the disk before the record */
        sp_key secret = sp_record_secret(&head, &key->key);
        sp_buf_reset(&json);
        assert_false(sp_failed(sp_record_open(sp_buf_borrow(&record), &secret, &json)));
        sp_span rest = sp_buf_borrow(&json);
        unsigned events = 0;
        for (;;) {
            size_t at = sp_span_find(rest, sp_span_cstr(mark));
            if (at == rest.len) {
                break;
            }
            rest = sp_span_slice(rest, at + sizeof(mark) - 1, rest.len);
            uint64_t number = 0;
            sp_span digits = sp_span_slice(rest, 0, sp_span_index(rest, '}'));
            digits = sp_span_slice(digits, 0, sp_span_index(digits, ','));
            assert_false(sp_failed(sp_span_to_u64(digits, UINT64_MAX, &number)));
            assert_true(number >= 1 && number <= numbers);
            seen[number]++;
            events++;
        }
        assert_int_equal(events, head.count);
    }
    sp_buf_done(&record);
    sp_buf_done(&json);
}

static void test_kill(void **state)
{
    (void)state;
    const char *text = getenv("SALLYPORT_KILLS");
    uint64_t kills = KILLS_DEFAULT;
    if (text != NULL) {
        assert_false(sp_failed(sp_span_to_u64(sp_span_cstr(text), 1000000, &kills)));
    }
    sp_shm shm = {0};
    sp_ring ring;
    int fd = -1;
    _Atomic int *finish =
        mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(finish, MAP_FAILED);
    assert_false(sp_failed(sp_shm_new("kill", RING_BYTES + PAGE_BYTES, &shm, &fd)));
    assert_false(sp_failed(sp_ring_format(shm.ptr, shm.size_bytes, SOURCE, &ring)));
    uint64_t acknowledged = 0;
    for (uint64_t i = 0; i <= kills; i++) {
        pid_t child = fork();
        if (child == 0) {
            run_ledger(fd, &ring, finish);
        }
        produce_for(&ring, 1000 + sp_random_below(LIFE_MAX_US));
        acknowledged = highest_durable(&ring, acknowledged);
        if (i == kills) {
            *finish = 1;
        } else {
            kill(child, SIGKILL);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (i == kills) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
        } else {
            assert_true(WIFSIGNALED(status)); /* none ended by itself before */
        }
    }
    acknowledged = highest_durable(&ring, acknowledged);
    assert_int_equal(acknowledged, ring.seq);
    assert_true(acknowledged > 1000);

    sp_journal *journal = NULL;
    sp_keys *keys = NULL;
    auto_buf sp_buf why = sp_buf_make(1024);
    assert_false(sp_failed(sp_journal_open(dir, false, &why, &journal)));
    assert_false(sp_failed(sp_keys_open(keys_path, &KEK, false, &keys)));
    for (uint64_t i = 0; i < sp_journal_size(journal); i++) {
        assert_false(sp_failed(sp_verify_entry(journal, i, &why)));
    }
    assert_false(sp_failed(sp_verify_tree(journal, sp_journal_size(journal), &why)));
    auto_free uint8_t *seen = NULL;
    assert_false(sp_failed(sp_alloc(ring.seq + 1, 1, &seen)));
    count_numbers(journal, keys, seen, ring.seq);
    for (uint64_t n = 1; n <= ring.seq; n++) {
        assert_int_equal(seen[n], 1);
    }
    print_message("%llu kills, %llu events, %llu entries\n", (unsigned long long)kills,
                  (unsigned long long)ring.seq, (unsigned long long)sp_journal_size(journal));
    sp_keys_close(keys);
    sp_journal_close(journal);
    sp_shm_done(&shm);
    close(fd);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/sallyport-kill-XXXXXX");
    if (mkdtemp(dir) == NULL || sp_failed(sp_crypto_start())) {
        return -1;
    }
    snprintf(keys_path, sizeof(keys_path), "%s/keys", dir);
    return 0;
}

static int drop_dir(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "%s", dir);
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", command, (char *)NULL);
        _exit(1);
    }
    return waitpid(child, NULL, 0) == child ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
