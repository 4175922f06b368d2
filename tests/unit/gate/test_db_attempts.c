/* SPDX-License-Identifier: Apache-2.0
 * Tests of how refused attempts are summed: nobody hides his own, or others', among kinds.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/attempts.c.
 */
#include "gates/db/attempts.c"
#include "tests/unit/cm.h"

/* ---- what it stands on ---- */

db_worker db_here;
static uint64_t now_us;
static sp_db_spend told[2 * KINDS_MAX];
static size_t told_count;
static bool is_away;
static uint64_t written; /* of the event about those that are not told */

uint64_t sp_loop_now_us(const sp_loop *loop)
{
    (void)loop;
    return now_us;
}

uint64_t sp_now_unix_us(void)
{
    return now_us;
}

sp_err sp_timer_set(sp_loop *loop, sp_timer *timer, uint64_t after_us)
{
    (void)loop;
    (void)timer;
    (void)after_us;
    return sp_ok();
}

bool sp_link_tell(sp_link *link, uint16_t what, sp_span body)
{
    (void)link;
    assert_int_equal(what, SP_CORE_DB_SPEND);
    assert_ok(sp_db_spend_read(body, &told[told_count]));
    told_count++;
    return true;
}

uint32_t sp_link_call(sp_link *link, uint16_t what, sp_span body, const int *fds, size_t fd_count,
                      sp_link_reply on_reply, void *self)
{
    (void)fds;
    (void)fd_count;
    (void)on_reply;
    (void)self;
    return !is_away && sp_link_tell(link, what, body) ? 1 : 0;
}

void sp_link_allow(sp_link *link, uint32_t id, uint64_t time_ms)
{
    (void)link;
    (void)id;
    (void)time_ms;
}

uint64_t sp_recorder_reference(void)
{
    return 1;
}

uint64_t sp_recorder_put(sp_recorder *recorder, const sp_event *event)
{
    (void)recorder;
    written += event->count;
    return 1;
}

/* ---- people who try things ---- */

static int begin(void **state)
{
    (void)state;
    own.count = own.batch = told_count = 0;
    own.call = 0;
    own.untold = written = 0;
    is_away = own.waits = false;
    now_us = (uint64_t)1000 * 1000000;
    own.told_us = now_us;
    return 0;
}

static void try_often(uint64_t id, uint32_t kinds, uint32_t times)
{
    db_session session = {.live_slot = 1, .live_id = id, .resource_name = "orders-db"};
    for (uint32_t i = 0; i < kinds * times; i++) {
        db_attempts_add(&session, SP_ACTION_DESTROY, 1U << SP_ACTION_DESTROY | i / times);
    }
}

static void tell_all(void)
{
    on_time(&own.timer);
    while (own.call != 0) {
        on_told(&own, sp_ok(), NULL, NULL);
    }
}

/* Of one session: in how many tellings, and how many attempts. */
static uint64_t of(uint64_t id, uint32_t *ret_tellings)
{
    uint64_t sum = 0;
    *ret_tellings = 0;
    for (size_t i = 0; i < told_count; i++) {
        bool is_his = told[i].session.id == id;
        sum += is_his ? told[i].statements : 0;
        *ret_tellings += is_his ? 1 : 0;
    }
    return sum;
}

static void kinds_of_one_hide_nobody(void **state)
{
    (void)state;
    uint32_t tellings = 0;
    for (uint64_t id = 2; id < 100; id++) {
        try_often(id, 31, 3);
    }
    try_often(1, 1, 20);
    tell_all();
    assert_int_equal(of(1, &tellings), 20);
    for (uint64_t id = 2; id < 100; id++) {
        assert_int_equal(of(id, &tellings), 93); /* nor his own */
        assert_int_equal(tellings, KINDS_EACH);
    }
    assert_int_equal(own.untold, 0);
}

static void actions_of_what_is_joined_count(void **state)
{
    (void)state;
    uint32_t all = 0;
    try_often(7, 31, 1);
    tell_all();
    for (size_t i = 0; i < told_count; i++) {
        all |= told[i].actions;
    }
    assert_int_equal(all, 31 | 1U << SP_ACTION_DESTROY);
}

static void they_are_told_with_their_time(void **state)
{
    (void)state;
    uint32_t tellings = 0;
    is_away = true;
    try_often(1, 1, 2);
    on_time(&own.timer);
    now_us += 30 * (uint64_t)1000000;
    try_often(1, 1, 1);
    is_away = false;
    tell_all();
    assert_int_equal(of(1, &tellings), 3);
    assert_int_equal(told[0].when_unix_s, 1000);
}

static void what_is_old_is_told_to_the_ledger(void **state)
{
    (void)state;
    is_away = true;
    try_often(1, 1, 2);
    on_time(&own.timer);
    now_us += 2 * (uint64_t)OLD_US;
    is_away = false;
    try_often(2, 1, 1);
    tell_all();
    assert_int_equal(told_count, 1);
    assert_int_equal(told[0].session.id, 2);
    assert_int_equal(written, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(kinds_of_one_hide_nobody, begin),
        cmocka_unit_test_setup(actions_of_what_is_joined_count, begin),
        cmocka_unit_test_setup(they_are_told_with_their_time, begin),
        cmocka_unit_test_setup(what_is_old_is_told_to_the_ledger, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
