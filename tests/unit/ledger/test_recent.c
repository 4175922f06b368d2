/* SPDX-License-Identifier: Apache-2.0
 * What is kept of a commit says the same, entry by entry and event by event, as the JSON of the
 * entries read back; what would not is left to them; the newest stay.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC ledger/recent.h.
 */
#include "ledger/recent.h"
#include "lib/base/mem.h"
#include "lib/proto/ledger_msg.h"
#include "lib/proto/ocsf_read.h"
#include "tests/unit/cm.h"

enum { EVENTS = 400, RECORDS_TOGETHER = 7, FIRST = 1000, ROOM_BYTES = 256 * 1024 };

static uint64_t random_state = 7;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % bound;
}

/* Some of a few people and sources, so that they share entries; one in 50 is not exact. */
static void add_any(sp_batch *batch, uint64_t seq)
{
    static const char *const objects[] = {"SELECT 1", "a \"b\"\n", "\xE6\xB5\x8B", ""};
    sp_event event = {.kind = below(3) == 0 ? SP_EVENT_ADMIN : SP_EVENT_DECISION,
                      .gate = SP_GATE_DB,
                      .when_unix_us = UINT64_C(1700000000000000) + seq * 1234,
                      .person = 1 + below(3),
                      .session = below(2),
                      .verdict = (uint8_t)below(SP_VERDICT_COUNT),
                      .class_level = (uint8_t)below(4),
                      .count = below(50) == 0 ? UINT64_MAX : seq,
                      .resource = SP_SPAN_LIT("orders-db"),
                      .object = sp_span_cstr(objects[below(SP_COUNT(objects))])};
    const sp_batch_from from = {1 + below(2), seq, SP_SPAN_LIT("db worker 1"), true, SP_GATE_NONE};
    auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    assert_ok(sp_event_encode(&event, &bytes));
    assert_ok(sp_batch_add(batch, sp_buf_borrow(&bytes), &from));
}

typedef struct {
    sp_span rest; /* events that were kept of this entry */
    unsigned seen;
} comparing;

static void compare(void *self, const sp_event *want, uint16_t at)
{
    comparing *c = self;
    sp_span bytes;
    sp_event got;
    assert_int_equal(at, c->seen++);
    assert_true(sp_ledger_opened_next(&c->rest, &bytes));
    assert_ok(sp_event_decode(bytes, &got));
    sp_ocsf_as_read(&got);
    assert_true(got.when_unix_us == want->when_unix_us && got.kind == want->kind);
    assert_true(got.person == want->person && got.session == want->session);
    assert_true(got.verdict == want->verdict && got.class_level == want->class_level);
    assert_true(got.count == want->count && sp_span_eq(got.object, want->object));
    assert_true(sp_span_eq(got.resource, want->resource));
}

static void read_entry(const sp_group *group, uint64_t record, sp_buf *json)
{
    const uint8_t *at = group->bytes.ptr + group->at[record];
    sp_span bytes = {at + SP_RECORD_LEN_BYTES, (size_t)(at[0] << 8 | at[1])};
    sp_buf_reset(json);
    assert_ok(sp_record_open(bytes, NULL, json));
}

static bool is_exact(const sp_batch *batch, uint64_t record)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->items[i].record == record && !sp_ocsf_is_exact(&batch->items[i].event)) {
            return false;
        }
    }
    return true;
}

static void same_as_read_back(void **state)
{
    (void)state;
    sp_batch batch;
    sp_group group;
    sp_recent recent = {.bytes = 0};
    auto_buf sp_buf json = sp_buf_make(ROOM_BYTES);
    auto_buf sp_buf room = sp_buf_make(ROOM_BYTES);
    sp_batch_init(&batch);
    sp_group_init(&group);
    batch.record_events_max = RECORDS_TOGETHER;
    for (uint64_t seq = 1; seq <= EVENTS; seq++) {
        add_any(&batch, seq);
    }
    assert_ok(sp_batch_build(&batch, NULL, UINT64_C(1700000000000000), &group));
    sp_recent_add(&recent, &batch, FIRST, group.count);
    unsigned kept = 0;
    for (uint64_t record = 0; record < group.count; record++) {
        uint64_t count = 0;
        sp_span run = sp_recent_from(&recent, FIRST + record, ROOM_BYTES, &count);
        assert_true((count > 0) == is_exact(&batch, record));
        assert_true((count > 0) == sp_recent_has(&recent, FIRST + record));
        if (count == 0) {
            continue;
        }
        sp_ledger_opened opened;
        assert_true(sp_ledger_followed_next(&run, &opened));
        assert_true(opened.entry == FIRST + record && opened.json.len == 0);
        read_entry(&group, record, &json);
        comparing c = {opened.events, 0};
        assert_ok(sp_ocsf_read(sp_buf_borrow(&json), &room, compare, &c));
        assert_true(c.rest.len == 0 && c.seen > 0);
        kept++;
    }
    assert_true(kept > group.count / 2 && kept < group.count);
    sp_recent_done(&recent);
    sp_group_done(&group);
    sp_batch_done(&batch);
}

/* Runs end with the room and the block; what is not there is nowhere. */
static void runs_and_bounds(void **state)
{
    (void)state;
    sp_batch batch;
    sp_group group;
    sp_recent recent = {.bytes = 0};
    sp_batch_init(&batch);
    sp_group_init(&group);
    batch.record_events_max = 1;
    sp_event event = {.kind = SP_EVENT_DECISION, .object = SP_SPAN_LIT("one")};
    auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    assert_ok(sp_event_encode(&event, &bytes));
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        const sp_batch_from from = {1, seq, SP_SPAN_LIT("x"), true, SP_GATE_NONE};
        assert_ok(sp_batch_add(&batch, sp_buf_borrow(&bytes), &from));
    }
    assert_ok(sp_batch_build(&batch, NULL, 1, &group));
    uint64_t count = 0;
    assert_int_equal(sp_recent_from(&recent, 0, SIZE_MAX, &count).len, 0);
    assert_false(sp_recent_has(&recent, 0));
    uint64_t size = 0;
    for (; size < 200000; size += 1000) {
        sp_recent_add(&recent, &batch, size, group.count);
        assert_true(recent.bytes <= SP_RECENT_BYTES);
    }
    assert_true(recent.bytes > SP_RECENT_BYTES / 2);
    sp_span all = sp_recent_from(&recent, size - 1000, SIZE_MAX, &count);
    assert_int_equal(count, 1000);
    size_t one = all.len / 1000;
    assert_int_equal(sp_recent_from(&recent, size - 1000, 3 * one, &count).len, 3 * one);
    assert_int_equal(count, 3);
    assert_int_equal(sp_recent_from(&recent, size - 500, 3 * one - 1, &count).len, 2 * one);
    assert_int_equal(sp_recent_from(&recent, size - 1, SIZE_MAX, &count).len, one);
    assert_int_equal(sp_recent_from(&recent, size - 1, one - 1, &count).len, 0);
    assert_int_equal(sp_recent_from(&recent, size, SIZE_MAX, &count).len, 0);
    assert_int_equal(sp_recent_from(&recent, 0, SIZE_MAX, &count).len, 0);
    assert_int_equal(count, 0);
    sp_recent_done(&recent);
    sp_group_done(&group);
    sp_batch_done(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_read_back),
        cmocka_unit_test(runs_and_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
