/* SPDX-License-Identifier: Apache-2.0
 * Tests of the bodies between the database gate and core: each comes back as it went, no shorter
 * and no longer body is one, and what is out of bounds is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/db_msg.h.
 */
#include "lib/proto/db_msg.h"
#include "tests/unit/cm.h"

#define LIT(text) SP_SPAN_LIT(text)

static const sp_db_session SESSION = {.slot = 7, .id = UINT64_C(0x1122334455667788)};

/* Reads the body, writes it again and compares; then no prefix of it and nothing longer is one. */
#define CHECK(name, value)                                                                         \
    do {                                                                                           \
        auto_buf sp_buf one_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        auto_buf sp_buf two_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        sp_db_##name read_;                                                                        \
        sp_db_##name##_write((value), &one_);                                                      \
        sp_span body_ = sp_buf_borrow(&one_);                                                      \
        assert_true(body_.len > 0);                                                                \
        assert_ok(sp_db_##name##_read(body_, &read_));                                             \
        sp_db_##name##_write(&read_, &two_);                                                       \
        assert_true(sp_span_eq(body_, sp_buf_borrow(&two_)));                                      \
        for (size_t cut_ = 0; cut_ < body_.len; cut_++) {                                          \
            assert_true(sp_failed(sp_db_##name##_read(sp_span_slice(body_, 0, cut_), &read_)));    \
        }                                                                                          \
        sp_buf_u8(&one_, 0);                                                                       \
        assert_fails(sp_db_##name##_read(sp_buf_borrow(&one_), &read_), SP_EINVALID);              \
    } while (0)

static sp_db_sasl a_sasl(void)
{
    return (sp_db_sasl){.conversation = 3,
                        .mechanism = SP_DB_SCRAM_SHA_256_PLUS,
                        .over_tls = 1,
                        .peer = {1, 2},
                        .fingerprint = {{9}},
                        .end_point = LIT("hash"),
                        .user = LIT("zhao.min"),
                        .resource = LIT("orders-db"),
                        .database = LIT("orders"),
                        .data = LIT("p=tls-server-end-point,,n=,r=abc")};
}

static sp_db_ask an_ask(void)
{
    return (sp_db_ask){.connection = 5,
                       .session = SESSION,
                       .reference = 6,
                       .estimated_rows = 1200000,
                       .keep_bytes = 1 << 20,
                       .action = SP_ACTION_DESTROY,
                       .class_level = 3,
                       .needed = 2,
                       .sha256 = {1, 2, 3},
                       .resource = LIT("orders-db"),
                       .database = LIT("orders"),
                       .statement = LIT("DROP TABLE 订单"),
                       .rules = {LIT("dba destroys"), LIT("security of the dear ones")},
                       .rules_count = 2,
                       .objects = LIT("[]"),
                       .plan = LIT("{}")};
}

static void log_in_comes_back(void **state)
{
    (void)state;
    sp_db_sasl sasl = a_sasl();
    CHECK(sasl, &sasl);
    sp_db_sasl_step step = {.done = 1, .session = SESSION, .data = LIT("v=abc")};
    CHECK(sasl_step, &step);
    sp_db_cert cert = {.fingerprint = {{1}}, .user = LIT("zhao.min"), .resource = LIT("orders-db")};
    CHECK(cert, &cert);
    CHECK(session, &SESSION);
}

static void connections_come_back(void **state)
{
    (void)state;
    sp_db_conn conn = {.connection = 5,
                       .state = SP_DB_CONN_CLOSED,
                       .session = SESSION,
                       .resource = LIT("orders-db"),
                       .database = LIT("orders"),
                       .account = LIT("op_dba"),
                       .application = LIT("psql")};
    CHECK(conn, &conn);
    sp_db_kill end = {.connection = 5, .reason = LIT("ended by security")};
    CHECK(kill, &end);
    sp_db_cancel cancel = {.connection = 5};
    CHECK(cancel, &cancel);
}

static void asking_comes_back(void **state)
{
    (void)state;
    sp_db_ask ask = an_ask();
    CHECK(ask, &ask);
    sp_db_ask_id id = {9};
    CHECK(ask_id, &id);
    sp_db_ask_use use = {.ask = 9, .session = SESSION, .sha256 = {1}};
    CHECK(ask_use, &use);
    sp_db_ask_done done = {
        .ask = 9, .verdict = SP_VERDICT_ALLOW, .by = LIT("li.wei, 王芳"), .reason = SP_SPAN_EMPTY};
    CHECK(ask_done, &done);
    sp_db_spend spend = {.session = SESSION,
                         .reference = 4,
                         .action = SP_ACTION_EXPORT,
                         .actions = 1U << SP_ACTION_EXPORT | 1U << SP_ACTION_WRITE,
                         .statements = 1,
                         .rows = 10,
                         .bytes = 11,
                         .estimated = 14,
                         .day_rows = 12,
                         .day_bytes = 13,
                         .carried_rows = 15,
                         .next_bytes = 16,
                         .telling = 17,
                         .when_unix_s = 18,
                         .wants = 1,
                         .guesses = 1,
                         .resource = LIT("orders-db")};
    CHECK(spend, &spend);
    sp_db_granted granted = {17, 18};
    CHECK(granted, &granted);
    sp_db_keep keep = {.ask = 9,
                       .holder = 19,
                       .resource = LIT("orders-db"),
                       .database = LIT("orders"),
                       .relations = LIT("[{\"schema\":\"public\",\"name\":\"orders\"}]"),
                       .snapshot = LIT("00000003-0000001B-1")};
    CHECK(keep, &keep);
    sp_db_kept kept = {.keep = 1, .bytes = 2, .duration_ms = 3, .why = LIT("no room: \"full\"")};
    CHECK(kept, &kept);
}

static void out_of_bounds_is_refused(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_db_sasl sasl = a_sasl();
    sp_db_sasl read;
    sasl.over_tls = 0; /* PLUS without TLS */
    sp_db_sasl_write(&sasl, &body);
    assert_fails(sp_db_sasl_read(sp_buf_borrow(&body), &read), SP_EINVALID);

    sp_buf_reset(&body);
    sasl = a_sasl();
    sasl.user = sp_span_of("zhao\0min", 8);
    sp_db_sasl_write(&sasl, &body);
    assert_fails(sp_db_sasl_read(sp_buf_borrow(&body), &read), SP_EINVALID);

    sp_buf_reset(&body);
    sasl.user = LIT("zhao\xff");
    sp_db_sasl_write(&sasl, &body);
    assert_fails(sp_db_sasl_read(sp_buf_borrow(&body), &read), SP_EINVALID);

    static uint8_t long_text[SP_DB_STATEMENT_MAX_BYTES + 1];
    sp_set(long_text, 'a', sizeof(long_text));
    sp_buf_reset(&body);
    sasl = a_sasl();
    sasl.user = sp_span_of(long_text, SP_NAME_MAX_BYTES + 1);
    sp_db_sasl_write(&sasl, &body);
    assert_fails(sp_db_sasl_read(sp_buf_borrow(&body), &read), SP_ELIMIT);

    sp_db_ask ask = an_ask();
    sp_db_ask ask_read;
    sp_buf_reset(&body);
    ask.needed = 0;
    sp_db_ask_write(&ask, &body);
    assert_fails(sp_db_ask_read(sp_buf_borrow(&body), &ask_read), SP_EINVALID);
    sp_buf_reset(&body);
    ask = an_ask();
    ask.rules_count = 0;
    sp_db_ask_write(&ask, &body);
    assert_fails(sp_db_ask_read(sp_buf_borrow(&body), &ask_read), SP_EINVALID);
    sp_buf_reset(&body);
    ask = an_ask();
    ask.statement = sp_span_of(long_text, sizeof(long_text));
    sp_db_ask_write(&ask, &body);
    assert_fails(sp_db_ask_read(sp_buf_borrow(&body), &ask_read), SP_ELIMIT);

    sp_db_cert cert = {.user = LIT("zhao.min"), .resource = LIT("orders-db")};
    sp_db_cert cert_read;
    sp_buf_reset(&body);
    sp_db_cert_write(&cert, &body); /* no certificate */
    assert_fails(sp_db_cert_read(sp_buf_borrow(&body), &cert_read), SP_EINVALID);

    sp_db_keep keep = {.ask = 9, .whole_database = 1, .relations = LIT("[{\"name\":\"t\"}]")};
    sp_db_keep keep_read;
    sp_buf_reset(&body);
    sp_db_keep_write(&keep, &body);
    assert_ok(sp_db_keep_read(sp_buf_borrow(&body), &keep_read));
    assert_span_text(keep_read.relations, "[{\"name\":\"t\"}]");
}

/* The largest ASK fits one packet with its head. */
static void the_largest_ask_fits_a_packet(void **state)
{
    (void)state;
    static uint8_t text[SP_DB_STATEMENT_MAX_BYTES];
    sp_set(text, 'a', sizeof(text));
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_db_ask ask = an_ask();
    ask.resource = sp_span_of(text, SP_NAME_MAX_BYTES);
    ask.database = sp_span_of(text, SP_DB_NAME_MAX_BYTES);
    ask.statement = sp_span_of(text, SP_DB_STATEMENT_MAX_BYTES);
    ask.objects = sp_span_of(text, SP_DB_OBJECTS_MAX_BYTES);
    ask.plan = sp_span_of(text, SP_DB_PLAN_MAX_BYTES);
    sp_msg_begin(&packet, SP_CORE_DB_ASK, 1, SP_OK);
    sp_db_ask_write(&ask, &packet);
    assert_ok(sp_buf_error(&packet));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_in_comes_back),
        cmocka_unit_test(connections_come_back),
        cmocka_unit_test(asking_comes_back),
        cmocka_unit_test(out_of_bounds_is_refused),
        cmocka_unit_test(the_largest_ask_fits_a_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
