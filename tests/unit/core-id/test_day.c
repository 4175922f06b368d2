/* SPDX-License-Identifier: Apache-2.0
 * Tests of where a person's day is counted: ids that meet in one slot, days that come back.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/database/day.c.
 */
#include "core/database/day.c"
#include "tests/unit/cm.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- what a day's slot has nothing to do with ---- */

const sp_policy_set *sp_documents_set(const sp_documents *documents)
{
    (void)documents;
    abort();
}

uint64_t sp_documents_version(const sp_documents *documents)
{
    (void)documents;
    abort();
}

void sp_db_budgets_flush(sp_databases *databases, uint64_t now_unix_s)
{
    (void)databases;
    (void)now_unix_s;
    abort();
}

sp_err sp_db_spend_now(sp_databases *databases, sp_gate gate, sp_peer *peer, const sp_db_spend *ask,
                       sp_db_granted *ret_granted)
{
    (void)databases;
    (void)gate;
    (void)peer;
    (void)ask;
    (void)ret_granted;
    abort();
}

void sp_db_spend_reply(sp_peer *peer, const sp_msg *to, sp_err err, const sp_db_granted *granted)
{
    (void)peer;
    (void)to;
    (void)err;
    (void)granted;
    abort();
}

const char *sp_db_over(uint64_t used, uint64_t more, uint64_t most, const char *word)
{
    (void)used;
    (void)more;
    (void)most;
    (void)word;
    abort();
}

bool sp_db_is_after(const sp_db_spend *ask)
{
    (void)ask;
    abort();
}

void sp_db_tell_over(const sp_db_spending *s, sp_span budget, bool locked, const char *what)
{
    (void)s;
    (void)budget;
    (void)locked;
    (void)what;
    abort();
}

/* ---- the tests ---- */

enum { ANN = 7, BOB = ANN + DAYS_MAX, CAT = BOB + DAYS_MAX }; /* of one slot */

static const char *const steps[] = {
    "CREATE TABLE budget_day (person BIGINT NOT NULL, day BIGINT NOT NULL, rows BIGINT NOT NULL, "
    "bytes BIGINT NOT NULL, PRIMARY KEY (person, day))",
};

typedef struct {
    char path[32];
    sp_core core;
    sp_databases databases;
} place;

static int set_up(void **state)
{
    static place at;
    at = (place){.path = "/tmp/sp-day-XXXXXX"};
    int fd = mkstemp(at.path);
    assert_true(fd >= 0);
    close(fd);
    auto_buf sp_buf why = sp_buf_make(1000);
    assert_ok(sp_store_open(at.path, &why, &at.core.store));
    assert_ok(sp_store_migrate(at.core.store, "test", steps, 1));
    assert_ok(sp_db_days_new(&at.databases.days));
    at.databases.core = &at.core;
    *state = &at;
    return 0;
}

static int tear_down(void **state)
{
    place *at = *state;
    sp_db_days_free(at->databases.days);
    sp_store_close(at->core.store);
    unlink(at->path);
    return 0;
}

static day_count *of(place *at, uint32_t person, uint64_t day)
{
    const sp_live_session session = {.person = person};
    const sp_db_spending s = {.databases = &at->databases, .session = &session};
    return day_of(&s, day);
}

static void a_day_is_counted_in_one_slot(void **state)
{
    place *at = *state;
    day_count *bob = of(at, BOB, 9);
    bob->changed = true;
    day_count *ann = of(at, ANN, 10);
    assert_non_null(ann);
    assert_ptr_not_equal(ann, bob);
    ann->rows = 5;
    bob->changed = false; /* written: another may have his slot */
    assert_ptr_equal(of(at, ANN, 10), ann);
    assert_int_equal(ann->rows, 5);
    assert_ptr_equal(of(at, CAT, 10), bob);
    assert_ptr_equal(of(at, ANN, 10), ann);
    assert_ptr_equal(counted(at->databases.days, ANN), ann);
    assert_null(counted(at->databases.days, BOB));
}

static void a_day_that_comes_back_is_whole(void **state)
{
    place *at = *state;
    grant g = {.reference = 1, .day = 10, .rows = 40, .bytes = 50, .person = ANN};
    day_count *ann = of(at, ANN, 10);
    *ann = (day_count){10, 60, 70, 40, 50, ANN, true};
    at->databases.days->grants[1] = &g;
    assert_int_equal(of(at, ANN, 11)->rows, 0);
    ann = of(at, ANN, 10);
    assert_int_equal(ann->rows, 60);
    assert_int_equal(ann->granted_rows, 40);
    assert_int_equal(ann->granted_bytes, 50);
    ann->granted_rows = 1; /* whatever happened: never below nothing */
    settle(ann, &g, 4, 5);
    assert_int_equal(ann->rows, 24);
    assert_int_equal(ann->bytes, 25);
    assert_int_equal(ann->granted_rows, 0);
    at->databases.days->grants[1] = NULL;
}

static void there_is_room_for_more_people_than_slots(void **state)
{
    enum { PEOPLE = DAYS_MAX + 50, HOLDS = 3 };
    place *at = *state;
    day_count *holds = of(at, HOLDS, 10);
    holds->granted_rows = holds->rows = 9;
    for (uint32_t person = 1; person <= PEOPLE; person++) {
        day_count *d = of(at, person, 10);
        assert_non_null(d);
        d->rows += person;
        d->changed = true;
    }
    assert_ptr_equal(of(at, HOLDS, 10), holds);
    assert_int_equal(holds->granted_rows, 9);
    for (uint32_t person = 1; person <= PEOPLE; person++) {
        assert_int_equal(of(at, person, 10)->rows, person + (person == HOLDS ? 9 : 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_day_is_counted_in_one_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_day_that_comes_back_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_room_for_more_people_than_slots, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
