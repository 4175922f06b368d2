/* SPDX-License-Identifier: Apache-2.0
 * The engine on real files: acknowledgements, numbers that were seen before, jumps, losses, damaged
 * rings, sources that die, and a disk that is full for a while (RLIMIT_FSIZE stands in for it).
 * OWNS a directory below /tmp. PROCESS tests. TRUST none. SPEC ledger/engine.h.
 */
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "ledger/engine.h"
#include "ledger/lookup.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { RING_BYTES = 64 * 1024, PAGE_BYTES = 4096, PATIENCE_MS = 10000 };

typedef struct {
    sp_shm shm;
    sp_ring ring;
    int fd;
    sp_source *source;
} gate;

typedef struct {
    char dir[64];
    char keys_path[96];
    uv_loop_t loop;
    sp_journal *journal;
    sp_keys *keys;
    sp_engine *engine;
    uv_timer_t patience;
    unsigned committed;
    gate *busy;    /* has the next event as soon as one is on disk */
    int recording; /* last said; -1 = never */
    unsigned done;
    sp_code code;
    uint64_t entry;
} bench;

static const sp_key KEK = {{9}};

static bool gate_put_as(gate *g, const char *object, sp_event_kind kind, sp_gate of)
{
    sp_event event = {.kind = (uint8_t)kind,
                      .gate = (uint8_t)of,
                      .when_unix_us = sp_now_unix_us(),
                      .person = 3,
                      .session = 4,
                      .object = sp_span_cstr(object)};
    size_t len = sp_event_size(&event);
    uint8_t *room = sp_ring_reserve(&g->ring, len);
    if (room == NULL) {
        sp_ring_lose(&g->ring);
        return false;
    }
    sp_event_write(&event, room);
    sp_ring_commit(&g->ring, len);
    return true;
}

static bool gate_put(gate *g, const char *object)
{
    return gate_put_as(g, object, SP_EVENT_DECISION, SP_GATE_WEB);
}

static void on_committed(void *self, const sp_batch *batch, uint64_t first_entry)
{
    bench *b = self;
    (void)batch;
    (void)first_entry;
    b->committed++;
    if (b->busy != NULL) {
        assert_true(gate_put(b->busy, "/busy"));
    }
}

static void on_state(void *self, bool recording, const char *why)
{
    bench *b = self;
    assert_int_equal(recording, why[0] == '\0');
    b->recording = recording ? 1 : 0;
}

static void on_done(void *self, sp_code code, uint64_t entry)
{
    bench *b = self;
    b->done++;
    b->code = code;
    b->entry = entry;
    uv_stop(&b->loop); /* what was waited for is here: not until the next beat */
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("it does not come");
}

static void open_engine(bench *b)
{
    auto_buf sp_buf why = sp_buf_make(1024);
    const sp_engine_calls calls = {on_committed, on_state, b};
    b->recording = -1;
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_false(sp_failed(sp_journal_open(b->dir, true, &why, &b->journal)));
    assert_false(sp_failed(sp_keys_open(b->keys_path, &KEK, true, &b->keys)));
    assert_false(sp_failed(sp_engine_new(&b->loop, b->journal, b->keys, &calls, &b->engine)));
    uv_timer_init(&b->loop, &b->patience);
}

static void close_engine(bench *b)
{
    sp_engine_free(b->engine);
    uv_close((uv_handle_t *)&b->patience, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    sp_keys_close(b->keys);
    sp_journal_close(b->journal);
}

/* Runs the loop until so many calls of on_done. */
static void until_done(bench *b, unsigned count)
{
    uv_timer_start(&b->patience, on_patience, PATIENCE_MS, 0);
    while (b->done < count) {
        uv_run(&b->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&b->patience);
}

static int setup(void **state)
{
    bench *b = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*b), &b))) {
        return -1;
    }
    *state = b;
    snprintf(b->dir, sizeof(b->dir), "/tmp/sallyport-engine-XXXXXX");
    if (sp_failed(sp_crypto_start()) || mkdtemp(b->dir) == NULL) {
        return -1;
    }
    snprintf(b->keys_path, sizeof(b->keys_path), "%s/keys", b->dir);
    open_engine(b);
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    close_engine(b);
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", b->dir, (char *)NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    sp_free(b);
    return 0;
}

/* ---- events by message ---- */

static void append(bench *b, uint64_t source, uint64_t first_seq, uint16_t count)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_event event = {.kind = SP_EVENT_ADMIN,
                      .when_unix_us = sp_now_unix_us(),
                      .person = 7,
                      .method = SP_SPAN_LIT("update"),
                      .object = SP_SPAN_LIT("a thing")};
    sp_ledger_append ask;
    sp_ledger_append_write(source, first_seq, count, &body);
    for (unsigned i = 0; i < count; i++) {
        sp_ledger_append_add(&event, &body);
    }
    assert_false(sp_failed(sp_ledger_append_read(sp_buf_borrow(&body), &ask)));
    sp_engine_append(b->engine, &ask, "core", on_done, b);
}

/* All text that stands in the journal. */
static void read_all(bench *b, sp_buf *text)
{
    const sp_lookup lookup = {b->journal, b->keys, NULL};
    auto_buf sp_buf json = sp_buf_make(SP_RECORD_MAX_BYTES);
    for (uint64_t i = 0; i < sp_journal_size(b->journal); i++) {
        assert_false(sp_failed(sp_lookup_open(&lookup, i, &json)));
        sp_buf_span(text, sp_buf_borrow(&json));
        sp_buf_byte(text, '\n');
    }
    assert_false(sp_failed(sp_buf_error(text)));
}

static unsigned times(sp_span text, const char *what)
{
    sp_span needle = sp_span_cstr(what);
    unsigned count = 0;
    for (size_t at = sp_span_find(text, needle); at < text.len; at = sp_span_find(text, needle)) {
        text = sp_span_slice(text, at + needle.len, text.len);
        count++;
    }
    return count;
}

static unsigned stands(bench *b, const char *what)
{
    auto_buf sp_buf text = sp_buf_make(8 * 1024 * 1024);
    read_all(b, &text);
    return times(sp_buf_borrow(&text), what);
}

static void test_append_is_on_disk_and_once(void **state)
{
    bench *b = *state;
    append(b, 5, 1, 3);
    until_done(b, 1);
    assert_int_equal(b->code, SP_OK);
    assert_true(b->entry < sp_journal_size(b->journal));
    assert_int_equal(stands(b, "\"a thing\""), 3);
    append(b, 5, 1, 3); /* the reply was lost, say: sent again */
    until_done(b, 2);
    assert_int_equal(b->code, SP_OK);
    append(b, 5, 3, 2); /* half of it is new */
    until_done(b, 3);
    assert_int_equal(stands(b, "\"a thing\""), 4);
    assert_int_equal(stands(b, "\"gap\""), 0);
    close_engine(b);
    open_engine(b); /* the numbers are remembered over a restart */
    append(b, 5, 2, 3);
    until_done(b, 4);
    assert_int_equal(stands(b, "\"a thing\""), 4);
}

/* Messages that come while one group is written and the next is ready wait in line, and none that
 * comes later goes before them. */
static void test_messages_keep_their_order(void **state)
{
    enum { MANY = 4000 };
    bench *b = *state;
    for (unsigned i = 1; i <= MANY; i++) {
        append(b, 5, i, 1);
        uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    until_done(b, MANY);
    assert_int_equal(stands(b, "\"a thing\""), MANY);
    assert_int_equal(stands(b, "numbers of this source are missing"), 0);
}

static void test_jump_is_written_down(void **state)
{
    bench *b = *state;
    append(b, 5, 1, 1);
    append(b, 5, 10, 1);
    until_done(b, 2);
    assert_int_equal(stands(b, "numbers of this source are missing"), 1);
    assert_int_equal(stands(b, "\"count\":8"), 1);
}

static void test_malformed_message_takes_nothing(void **state)
{
    bench *b = *state;
    auto_buf sp_buf body = sp_buf_make(1024);
    sp_ledger_append_write(5, 1, 1, &body);
    sp_buf_bytes(&body, SP_SPAN_LIT("this is no event"));
    sp_ledger_append ask;
    assert_false(sp_failed(sp_ledger_append_read(sp_buf_borrow(&body), &ask)));
    sp_engine_append(b->engine, &ask, "core", on_done, b);
    until_done(b, 1);
    assert_int_equal(b->code, SP_EINVALID);
    append(b, 5, 1, 1); /* number 1 is still free */
    until_done(b, 2);
    assert_int_equal(stands(b, "\"a thing\""), 1);
}

static void test_nobody_counts_on_for_another(void **state)
{
    bench *b = *state;
    auto_buf sp_buf body = sp_buf_make(1024);
    sp_event event = {.kind = SP_EVENT_ADMIN};
    sp_ledger_append ask;
    append(b, 5, 1, 1); /* core's */
    until_done(b, 1);
    sp_ledger_append_write(5, 2, 1, &body);
    sp_ledger_append_add(&event, &body);
    assert_false(sp_failed(sp_ledger_append_read(sp_buf_borrow(&body), &ask)));
    sp_engine_append(b->engine, &ask, "web", on_done, b);
    until_done(b, 2);
    assert_int_equal(b->code, SP_EDENIED);
    append(b, 5, 2, 1); /* core's next is not taken for one seen before */
    until_done(b, 3);
    assert_int_equal(stands(b, "\"a thing\""), 2);
}

/* ---- rings ---- */

static void gate_attach(bench *b, gate *g)
{
    sp_shm theirs = {0};
    uint64_t durable = 0;
    const sp_ledger_attach attach = {sp_ring_source_id(&g->ring), SP_GATE_WEB,
                                     SP_SPAN_LIT("worker")};
    assert_false(sp_failed(sp_shm_map_write(g->fd, 2 * RING_BYTES, &theirs)));
    assert_false(sp_failed(sp_engine_attach(b->engine, &attach, &theirs, &g->source, &durable)));
}

static void gate_open(bench *b, gate *g, uint64_t source)
{
    *g = (gate){.fd = -1};
    assert_false(sp_failed(sp_shm_new("test", RING_BYTES + PAGE_BYTES, &g->shm, &g->fd)));
    assert_false(sp_failed(sp_ring_format(g->shm.ptr, g->shm.size_bytes, source, &g->ring)));
    gate_attach(b, g);
}

static void gate_close(gate *g)
{
    sp_shm_done(&g->shm);
    close(g->fd);
}

static void test_ring_flush_and_restart(void **state)
{
    bench *b = *state;
    gate g;
    gate_open(b, &g, 99);
    for (int i = 0; i < 50; i++) {
        assert_true(gate_put(&g, "/one"));
    }
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 1);
    assert_true(sp_ring_is_durable(&g.ring, 50));
    assert_int_equal(stands(b, "\"/one\""), 50);
    assert_int_equal(sp_ring_fill_percent(&g.ring), 0);
    /* one session's events of a short while are one entry */
    assert_true(sp_journal_size(b->journal) <= 3);
    assert_true(gate_put(&g, "/two"));
    close_engine(b); /* the ledger goes without having read it, and comes back */
    open_engine(b);
    gate_attach(b, &g);
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 2);
    assert_int_equal(stands(b, "\"/two\""), 1);
    assert_int_equal(stands(b, "\"/one\""), 50);
    assert_int_equal(stands(b, "\"gap\""), 0);
    gate_close(&g);
}

/* Events come without an end: checkpoints come all the same, and no group is written before its
 * time because somebody waits for one. */
static void test_settles_while_events_come(void **state)
{
    bench *b = *state;
    gate g;
    gate_open(b, &g, 99);
    b->busy = &g;
    assert_true(gate_put(&g, "/first"));
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 1);
    unsigned before = b->committed;
    sp_engine_settle(b->engine, on_done, b);
    until_done(b, 2);
    assert_int_equal(b->code, SP_OK);
    assert_true(b->committed <= before + 1);
    uint64_t began_us = sp_now_steady_us();
    for (before = b->committed; b->committed < before + 4;) {
        uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_true(sp_now_steady_us() - began_us >= 2 * SP_ENGINE_COMMIT_MS * UINT64_C(1000));
    b->busy = NULL;
    gate_close(&g);
}

static void test_losses_are_written_down(void **state)
{
    bench *b = *state;
    gate g;
    unsigned lost = 0;
    gate_open(b, &g, 99);
    for (int i = 0; i < 2000; i++) {
        lost += gate_put(&g, "/a/path/that/is/a/little/longer") ? 0U : 1U;
    }
    assert_true(lost > 0);
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 1);
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 2);
    char count[32];
    snprintf(count, sizeof(count), "\"count\":%u", lost);
    assert_int_equal(stands(b, count), 1);
    assert_int_equal(stands(b, "had no room"), 1);
    assert_int_equal(sp_engine_lost(b->engine), lost);
    gate_close(&g);
}

static void test_damaged_ring_harms_only_itself(void **state)
{
    bench *b = *state;
    gate bad;
    gate good;
    gate_open(b, &bad, 98);
    gate_open(b, &good, 99);
    assert_true(gate_put(&bad, "/before"));
    assert_true(gate_put(&bad, "/broken"));
    sp_set(bad.ring.data + 8, 0xFF, 200);
    assert_true(gate_put(&good, "/fine"));
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 1);
    assert_int_equal(stands(b, "\"/fine\""), 1);
    assert_true(stands(b, "could not be read") + stands(b, "is damaged") >= 1);
    gate_close(&bad);
    gate_close(&good);
}

static void try_to_write(bench *b, sp_event_kind kind, sp_gate of, bool is_taken)
{
    static unsigned turn;
    gate g;
    char name[32];
    turn++;
    snprintf(name, sizeof(name), "/written %03u.", turn);
    gate_open(b, &g, 1000 + turn);
    assert_true(gate_put_as(&g, name, kind, of));
    assert_true(gate_put(&g, "/after it"));
    unsigned before = b->done;
    unsigned after_it = stands(b, "\"/after it\"");
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, before + 1);
    sp_engine_flush(b->engine, on_done, b); /* what the ledger says about it */
    until_done(b, before + 2);
    assert_int_equal(stands(b, name), is_taken ? 1 : 0);
    assert_int_equal(stands(b, "\"/after it\""), after_it + (is_taken ? 1U : 0U));
    sp_engine_detach(b->engine, g.source, true, on_done, b);
    until_done(b, before + 3);
    gate_close(&g);
}

/* A gate that was taken over writes decisions of its own, and nothing that another would say. */
static void test_a_gate_writes_what_gates_write(void **state)
{
    bench *b = *state;
    unsigned refused = 0;
    for (int kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        bool is_taken =
            kind == SP_EVENT_DECISION || kind == SP_EVENT_CLOSE || kind == SP_EVENT_RECORDING;
        try_to_write(b, (sp_event_kind)kind, SP_GATE_WEB, is_taken);
        refused += is_taken ? 0U : 1U;
    }
    try_to_write(b, SP_EVENT_DECISION, SP_GATE_DB, false);
    try_to_write(b, SP_EVENT_CLOSE, SP_GATE_NONE, false);
    assert_int_equal(stands(b, "what only other roles may write"), refused + 2);
}

static void test_a_gate_leaves_room_for_others(void **state)
{
    bench *b = *state;
    gate g[SP_ENGINE_RINGS_MAX];
    for (unsigned i = 0; i < SP_ENGINE_RINGS_MAX; i++) {
        gate_open(b, &g[i], 2000 + i);
    }
    sp_shm theirs = {0};
    sp_source *source = NULL;
    uint64_t durable = 0;
    gate more = {.fd = -1};
    assert_false(sp_failed(sp_shm_new("test", RING_BYTES + PAGE_BYTES, &more.shm, &more.fd)));
    assert_false(sp_failed(sp_ring_format(more.shm.ptr, more.shm.size_bytes, 77, &more.ring)));
    assert_false(sp_failed(sp_shm_map_write(more.fd, 2 * RING_BYTES, &theirs)));
    sp_ledger_attach attach = {77, SP_GATE_WEB, SP_SPAN_LIT("web worker 81")};
    assert_int_equal(sp_engine_attach(b->engine, &attach, &theirs, &source, &durable).code,
                     SP_ELIMIT);
    attach.gate = SP_GATE_DB; /* another gate's places are its own */
    assert_false(sp_failed(sp_engine_attach(b->engine, &attach, &theirs, &source, &durable)));
    append(b, 5, 1, 1);
    until_done(b, 1);
    assert_int_equal(b->code, SP_OK);
    for (unsigned i = 0; i < SP_ENGINE_RINGS_MAX; i++) {
        gate_close(&g[i]);
    }
    gate_close(&more);
}

static void test_dead_producer_is_drained(void **state)
{
    bench *b = *state;
    gate g;
    gate_open(b, &g, 99);
    assert_true(gate_put(&g, "/last words"));
    sp_engine_detach(b->engine, g.source, false, on_done, b);
    until_done(b, 1);
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 2);
    assert_int_equal(stands(b, "\"/last words\""), 1);
    assert_int_equal(stands(b, "without good-bye"), 1);
    gate_close(&g);
}

static void test_acknowledged_elsewhere_is_noticed(void **state)
{
    bench *b = *state;
    gate g = {.fd = -1};
    assert_false(sp_failed(sp_shm_new("test", RING_BYTES + PAGE_BYTES, &g.shm, &g.fd)));
    assert_false(sp_failed(sp_ring_format(g.shm.ptr, g.shm.size_bytes, 99, &g.ring)));
    assert_true(gate_put(&g, "/gone"));
    sp_ring reader;
    sp_ring_record record;
    assert_false(sp_failed(sp_ring_open(g.shm.ptr, g.shm.size_bytes, &reader)));
    assert_false(sp_failed(sp_ring_next(&reader, &record)));
    sp_ring_durable(&reader); /* some ledger said so, whose files these are not */
    gate_attach(b, &g);
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 1);
    assert_int_equal(stands(b, "acknowledged events of this source are not"), 1);
    gate_close(&g);
}

/* ---- the disk ---- */

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk_stops_acknowledging_and_resumes(void **state)
{
    bench *b = *state;
    gate g;
    signal(SIGXFSZ, SIG_IGN);
    gate_open(b, &g, 99);
    assert_true(gate_put(&g, "/before"));
    sp_engine_flush(b->engine, on_done, b);
    until_done(b, 1);
    set_file_limit(2048);
    for (int i = 0; i < 40; i++) {
        assert_true(gate_put(&g, "/while full"));
    }
    uint64_t seen = sp_ring_consumer_seen_us(&g.ring);
    sp_engine_flush(b->engine, on_done, b);
    uv_timer_start(&b->patience, on_patience, PATIENCE_MS, 0);
    while (b->recording != 0) {
        uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_false(sp_engine_is_recording(b->engine));
    append(b, 5, 1, 1); /* core is told at once */
    assert_int_equal(b->done, 2);
    assert_int_equal(b->code, SP_EIO);
    uint64_t until = sp_now_steady_us() + 2500000;
    while (sp_now_steady_us() < until) {
        uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_false(sp_ring_is_durable(&g.ring, 2));                    /* nothing was acknowledged */
    assert_true(sp_ring_consumer_seen_us(&g.ring) <= seen + 100000); /* gates see it by the beat */
    set_file_limit(RLIM_INFINITY);
    until_done(b, 3);
    assert_int_equal(b->code, SP_OK);
    assert_int_equal(b->recording, 1);
    assert_true(sp_ring_is_durable(&g.ring, 41));
    append(b, 5, 1, 1); /* the refused number comes again */
    until_done(b, 4);
    assert_int_equal(stands(b, "\"/while full\""), 40);
    assert_int_equal(stands(b, "\"a thing\""), 1);
    assert_int_equal(stands(b, "nothing could be recorded"), 1);
    gate_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_append_is_on_disk_and_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jump_is_written_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_message_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_counts_on_for_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ring_flush_and_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settles_while_events_come, setup, teardown),
        cmocka_unit_test_setup_teardown(test_losses_are_written_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_ring_harms_only_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_gate_writes_what_gates_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_gate_leaves_room_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_producer_is_drained, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acknowledged_elsewhere_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk_stops_acknowledging_and_resumes, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
