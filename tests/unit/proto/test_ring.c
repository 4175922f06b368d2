/* SPDX-License-Identifier: Apache-2.0
 * Tests of the event ring: order, wrap, full, hand-over to a new consumer, hostile words, and a
 * producer and a consumer at the same time.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/ring.h.
 */
#include "lib/proto/ring.h"
#include "tests/unit/cm.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { SIZE = 4096 + SP_RING_MIN_BYTES };

static int set_up(void **state)
{
    assert_int_equal(posix_memalign(state, 4096, SIZE), 0);
    sp_set(*state, 0, SIZE);
    return 0;
}

static int tear_down(void **state)
{
    sp_free(*state);
    return 0;
}

static bool put(sp_ring *ring, uint32_t value, size_t len)
{
    uint8_t *room = sp_ring_reserve(ring, len);
    if (room == NULL) {
        return false;
    }
    sp_set(room, (uint8_t)value, len);
    sp_copy(room, &value, sizeof(value));
    sp_ring_commit(ring, len);
    return true;
}

static void records_come_in_order(void **state)
{
    sp_ring producer;
    sp_ring consumer;
    assert_ok(sp_ring_format(*state, SIZE, 77, &producer));
    assert_ok(sp_ring_open(*state, SIZE, &consumer));
    assert_true(sp_ring_source_id(&consumer) == 77);
    uint32_t next = 0;
    uint32_t sent = 0;
    /* odd sizes, many times around */
    for (int round = 0; round < 500; round++) {
        while (put(&producer, sent, 4 + (sent * 37) % 3000)) {
            sent++;
        }
        assert_true(sp_ring_fill_percent(&producer) > 90);
        sp_ring_record record;
        while (!sp_failed(sp_ring_next(&consumer, &record))) {
            uint32_t value = 0;
            sp_copy(&value, record.bytes.ptr, sizeof(value));
            assert_int_equal(value, next);
            assert_int_equal(record.bytes.len, 4 + (next * 37) % 3000);
            assert_true(record.seq == (uint64_t)next + 1);
            next++;
        }
        assert_false(sp_ring_is_durable(&producer, sent));
        sp_ring_durable(&consumer);
        assert_true(sp_ring_is_durable(&producer, sent));
    }
    assert_int_equal(next, sent);
    assert_true(sent > 10000);
}

static void a_new_consumer_goes_on_at_durable(void **state)
{
    sp_ring producer;
    sp_ring first;
    sp_ring second;
    sp_ring_record record;
    assert_ok(sp_ring_format(*state, SIZE, 1, &producer));
    assert_ok(sp_ring_open(*state, SIZE, &first));
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(put(&producer, i, 100));
    }
    for (int i = 0; i < 4; i++) {
        assert_ok(sp_ring_next(&first, &record));
    }
    sp_ring_durable(&first);
    assert_ok(sp_ring_next(&first, &record)); /* read, never made durable: the reader dies here */
    assert_ok(sp_ring_open(*state, SIZE, &second));
    for (uint64_t seq = 5; seq <= 10; seq++) {
        assert_ok(sp_ring_next(&second, &record));
        assert_true(record.seq == seq);
    }
    assert_fails(sp_ring_next(&second, &record), SP_EAGAIN);
}

static void a_sleeper_is_woken_once(void **state)
{
    sp_ring producer;
    sp_ring consumer;
    sp_ring_record record;
    assert_ok(sp_ring_format(*state, SIZE, 1, &producer));
    assert_ok(sp_ring_open(*state, SIZE, &consumer));
    assert_false(sp_ring_must_wake(&producer));
    assert_true(sp_ring_sleep(&consumer));
    assert_true(put(&producer, 1, 10));
    assert_true(sp_ring_must_wake(&producer));
    assert_false(sp_ring_must_wake(&producer));
    assert_false(sp_ring_sleep(&consumer)); /* something is there: stay awake */
    assert_ok(sp_ring_next(&consumer, &record));
    assert_true(sp_ring_sleep(&consumer));
}

static void hostile_words_are_refused(void **state)
{
    for (size_t at = 0; at < 40; at++) {
        sp_ring producer;
        sp_ring consumer;
        sp_ring_record record;
        sp_set(*state, 0, SIZE);
        assert_ok(sp_ring_format(*state, SIZE, 1, &producer));
        assert_ok(sp_ring_open(*state, SIZE, &consumer));
        assert_true(put(&producer, 5, 20));
        uint8_t *word = (uint8_t *)*state + 4096 + at;
        *word = (uint8_t)(*word ^ 0xA5);
        sp_err err = sp_ring_next(&consumer, &record);
        assert_int_equal(sp_failed(err),
                         at < 8); /* the prefix is checked, the body is the reader's */
    }
    sp_ring ring;
    assert_fails(sp_ring_open(*state, SIZE - 8, &ring), SP_ECORRUPT);
    assert_fails(sp_ring_open(*state, 4096, &ring), SP_ECORRUPT);
}

enum { RECORDS = 300000 };

static void *produce(void *memory)
{
    sp_ring ring;
    if (sp_failed(sp_ring_open(memory, SIZE, &ring))) {
        return NULL;
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        while (!put(&ring, i, 8 + i % 300)) {
            sched_yield();
        }
    }
    return NULL;
}

static void two_threads(void **state)
{
    sp_ring ring;
    sp_ring consumer;
    pthread_t producer;
    assert_ok(sp_ring_format(*state, SIZE, 1, &ring));
    assert_ok(sp_ring_open(*state, SIZE, &consumer));
    assert_int_equal(pthread_create(&producer, NULL, produce, *state), 0);
    for (uint32_t next = 0; next < RECORDS;) {
        sp_ring_record record;
        sp_err err = sp_ring_next(&consumer, &record);
        if (err.code == SP_EAGAIN) {
            sp_ring_durable(&consumer);
            sched_yield();
            continue;
        }
        assert_ok(err);
        uint32_t value = 0;
        sp_copy(&value, record.bytes.ptr, sizeof(value));
        assert_int_equal(value, next);
        next++;
    }
    pthread_join(producer, NULL);
    assert_int_equal(sp_ring_lost(&consumer), 0);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(records_come_in_order),
        EACH(a_new_consumer_goes_on_at_durable),
        EACH(a_sleeper_is_woken_once),
        EACH(hostile_words_are_refused),
        EACH(two_threads),
    };
    return cmocka_run_group_tests_name("proto ring", tests, NULL, NULL);
}
