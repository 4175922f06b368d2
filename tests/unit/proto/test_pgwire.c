/* SPDX-License-Identifier: Apache-2.0
 * The PostgreSQL wire: what is written is read back, and what is cut, too long or twisted is not.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/pgwire.h.
 */
#include "lib/proto/pgwire.h"
#include "tests/unit/cm.h"

enum { ROOM = 64 * 1024 };

static sp_span body_of(const sp_buf *buf)
{
    sp_span all = sp_buf_borrow(buf);
    sp_pg_head head;
    assert_ok(sp_pg_head_read(all, &head));
    assert_int_equal(all.len, SP_PG_HEAD_BYTES + head.body_len);
    return sp_span_slice(all, SP_PG_HEAD_BYTES, all.len);
}

static void test_first_packets(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(ROOM);
    const sp_span pairs[] = {SP_SPAN_LIT("user"), SP_SPAN_LIT("lin"), SP_SPAN_LIT("database"),
                             SP_SPAN_LIT("orders-db")};
    sp_pg_startup_write(&buf, pairs, 2);
    sp_pg_first first;
    assert_ok(sp_pg_first_read(sp_buf_borrow(&buf), &first));
    assert_int_equal(first.kind, SP_PG_FIRST_STARTUP);
    assert_int_equal(first.size_bytes, buf.len);
    sp_span name;
    sp_span value;
    assert_true(sp_pg_parameter_next(&first.parameters, &name, &value));
    assert_span_text(name, "user");
    assert_span_text(value, "lin");
    assert_true(sp_pg_parameter_next(&first.parameters, &name, &value));
    assert_false(sp_pg_parameter_next(&first.parameters, &name, &value));
    for (size_t len = 0; len < buf.len; len++) {
        assert_fails(sp_pg_first_read(sp_span_slice(sp_buf_borrow(&buf), 0, len), &first),
                     SP_EAGAIN);
    }
    buf.ptr[buf.len - 1] = 'x'; /* the list has no end */
    assert_fails(sp_pg_first_read(sp_buf_borrow(&buf), &first), SP_EINVALID);
}

static void test_first_requests(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(ROOM);
    sp_pg_first first;
    sp_pg_ssl_request_write(&buf);
    assert_ok(sp_pg_first_read(sp_buf_borrow(&buf), &first));
    assert_int_equal(first.kind, SP_PG_FIRST_SSL);
    buf.ptr[3] = 9; /* longer than such a request is */
    sp_buf_u8(&buf, 0);
    assert_fails(sp_pg_first_read(sp_buf_borrow(&buf), &first), SP_EINVALID);
    sp_buf_reset(&buf);
    sp_pg_cancel_write(&buf, 77, SP_SPAN_LIT("abcd"));
    assert_ok(sp_pg_first_read(sp_buf_borrow(&buf), &first));
    assert_int_equal(first.kind, SP_PG_FIRST_CANCEL);
    assert_int_equal(first.cancel_pid, 77);
    assert_span_text(first.cancel_key, "abcd");
    sp_span key = SP_SPAN_EMPTY;
    uint32_t pid = 0;
    sp_buf_reset(&buf);
    sp_pg_key_write(&buf, 78, SP_SPAN_LIT("a key of protocol 3.2"));
    sp_span body = sp_span_slice(sp_buf_borrow(&buf), SP_PG_HEAD_BYTES, buf.len);
    assert_ok(sp_pg_key_read(body, &pid, &key));
    assert_int_equal(pid, 78);
    assert_span_text(key, "a key of protocol 3.2");
    assert_fails(sp_pg_first_read(SP_SPAN_LIT("\x00\x00\x00\x07zzzz"), &first), SP_EINVALID);
    assert_fails(sp_pg_first_read(SP_SPAN_LIT("\x7f\xff\xff\xff"), &first), SP_ELIMIT);
    assert_fails(sp_pg_first_read(SP_SPAN_LIT("GET / HTTP/1.1\r\n\r\n"), &first), SP_ELIMIT);
}

static void test_heads(void **state)
{
    (void)state;
    sp_pg_head head;
    assert_fails(sp_pg_head_read(SP_SPAN_LIT("Q\0\0\0"), &head), SP_EAGAIN);
    assert_fails(sp_pg_head_read(SP_SPAN_LIT("Q\0\0\0\3"), &head), SP_EINVALID);
    assert_fails(sp_pg_head_read(SP_SPAN_LIT("Q\xff\xff\xff\xff"), &head), SP_ELIMIT);
    assert_ok(sp_pg_head_read(SP_SPAN_LIT("Q\0\0\1\4"), &head));
    assert_int_equal(head.body_len, 256);
    assert_true(sp_pg_is_front('Q') && sp_pg_is_front('p'));
    assert_false(sp_pg_is_front('Z') || sp_pg_is_front('\0'));
}

static void test_statements(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(ROOM);
    sp_span text;
    sp_pg_query_write(&buf, SP_SPAN_LIT("SELECT 1"));
    assert_ok(sp_pg_query_read(body_of(&buf), &text));
    assert_span_text(text, "SELECT 1");
    assert_fails(sp_pg_query_read(SP_SPAN_LIT("SELECT 1"), &text), SP_EINVALID);
    assert_fails(sp_pg_query_read(SP_SPAN_LIT("SELECT 1\0; DROP\0"), &text), SP_EINVALID);
    sp_buf_reset(&buf);
    sp_pg_query_write(&buf, SP_SPAN_LIT("a\0b"));
    assert_fails(sp_buf_error(&buf), SP_EINVALID);
    sp_buf_reset(&buf);
    sp_pg_parse parse;
    sp_pg_parse_write(&buf, SP_SPAN_LIT("s"), SP_SPAN_LIT("SELECT $1"));
    assert_ok(sp_pg_parse_read(body_of(&buf), &parse));
    assert_span_text(parse.name, "s");
    assert_span_text(parse.text, "SELECT $1");
    assert_fails(sp_pg_parse_read(SP_SPAN_LIT("s\0x\0\0\1\0\0"), &parse), SP_ESHORT);
}

static void test_bind(void **state)
{
    (void)state;
    sp_span body = SP_SPAN_LIT("p\0s\0\0\1\0\1\0\2\0\0\0\2ab\xff\xff\xff\xff\0\1\0\1");
    sp_pg_bind bind;
    assert_ok(sp_pg_bind_read(body, &bind));
    assert_span_text(bind.portal, "p");
    assert_span_text(bind.statement, "s");
    assert_int_equal(bind.value_count, 2);
    sp_span value;
    bool is_null = true;
    assert_true(sp_pg_value_next(&bind.values, &value, &is_null));
    assert_span_text(value, "ab");
    assert_false(is_null);
    assert_true(sp_pg_value_next(&bind.values, &value, &is_null));
    assert_true(is_null);
    assert_false(sp_pg_value_next(&bind.values, &value, &is_null));
    assert_int_equal(sp_pg_format_of(bind.result_format_count, bind.result_formats, 7), 1);
    assert_int_equal(sp_pg_format_of(0, SP_SPAN_EMPTY, 7), 0);
    for (size_t len = 0; len < body.len; len++) {
        assert_true(sp_failed(sp_pg_bind_read(sp_span_slice(body, 0, len), &bind)));
    }
    sp_span portal;
    sp_span statement;
    assert_ok(sp_pg_bind_names_read(sp_span_slice(body, 0, 5), &portal, &statement));
    assert_span_text(statement, "s");
    assert_true(sp_failed(sp_pg_bind_names_read(sp_span_slice(body, 0, 3), &portal, &statement)));
}

static void test_rows(void **state)
{
    (void)state;
    sp_span body = SP_SPAN_LIT("\0\1phone\0\0\0\x40\1\0\3\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
    sp_pg_row_description description;
    assert_ok(sp_pg_row_description_read(body, &description));
    sp_pg_field field;
    assert_true(sp_pg_field_next(&description.fields, &field));
    assert_span_text(field.name, "phone");
    assert_int_equal(field.table_oid, 0x4001);
    assert_int_equal(field.attnum, 3);
    assert_int_equal(field.type_len, -1);
    assert_false(sp_pg_field_next(&description.fields, &field));
    for (size_t len = 0; len < body.len; len++) {
        assert_true(
            sp_failed(sp_pg_row_description_read(sp_span_slice(body, 0, len), &description)));
    }
    assert_fails(sp_pg_row_description_read(SP_SPAN_LIT("\xff\xff"), &description), SP_ELIMIT);
    sp_pg_data_row row;
    assert_ok(sp_pg_data_row_read(SP_SPAN_LIT("\0\1\0\0\0\1x"), &row));
    assert_int_equal(row.count, 1);
    assert_fails(sp_pg_data_row_read(SP_SPAN_LIT("\0\1\0\0\0\2x"), &row), SP_ESHORT);
    assert_fails(sp_pg_data_row_read(SP_SPAN_LIT("\0\0x"), &row), SP_EINVALID);
}

static void test_back(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(ROOM);
    sp_pg_error error = {.severity = SP_SPAN_LIT("ERROR"),
                         .sqlstate = SP_SPAN_LIT("42501"),
                         .message = SP_SPAN_LIT("no"),
                         .hint = SP_SPAN_LIT("ask")};
    sp_pg_error again;
    sp_pg_error_write(&buf, 'E', &error);
    assert_ok(sp_pg_error_read(body_of(&buf), &again));
    assert_span_text(again.sqlstate, "42501");
    assert_span_text(again.message, "no");
    assert_span_text(again.hint, "ask");
    assert_int_equal(again.detail.len, 0);
    for (size_t len = 0; len <= body_of(&buf).len; len++) { /* torn anywhere */
        again = sp_pg_error_begin(sp_span_slice(body_of(&buf), 0, len), 3);
        assert_true(again.severity.len <= 3 && again.sqlstate.len <= 3);
    }
    assert_span_text(again.severity, "ERR");
    assert_span_text(again.message, "no");
    again = sp_pg_error_begin(SP_SPAN_LIT("SERROR\0Mab\xe2\x82\xac"), 4);
    assert_span_text(again.message, "ab");
    again = sp_pg_error_begin(SP_SPAN_LIT("M\xe2\x82"), 4);
    assert_int_equal(again.message.len, 0);
    sp_buf_reset(&buf);
    sp_pg_ready_write(&buf, 'T');
    uint8_t status = 0;
    assert_ok(sp_pg_ready_read(body_of(&buf), &status));
    assert_int_equal(status, 'T');
    assert_fails(sp_pg_ready_read(SP_SPAN_LIT("X"), &status), SP_EINVALID);
    sp_buf_reset(&buf);
    sp_pg_auth_write(&buf, SP_PG_AUTH_SASL, SP_SPAN_LIT("SCRAM-SHA-256\0\0"));
    sp_pg_auth auth;
    assert_ok(sp_pg_auth_read(body_of(&buf), &auth));
    assert_int_equal(auth.kind, SP_PG_AUTH_SASL);
    sp_buf_reset(&buf);
    sp_pg_sasl_initial_write(&buf, SP_SPAN_LIT("SCRAM-SHA-256"), SP_SPAN_LIT("n,,n=,r=x"));
    sp_pg_sasl_initial initial;
    assert_ok(sp_pg_sasl_initial_read(body_of(&buf), &initial));
    assert_span_text(initial.data, "n,,n=,r=x");
    sp_pg_copy copy;
    assert_ok(sp_pg_copy_read(SP_SPAN_LIT("\0\0\2\0\0\0\0"), &copy));
    assert_int_equal(copy.column_count, 2);
    assert_fails(sp_pg_copy_read(SP_SPAN_LIT("\2\0\0"), &copy), SP_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_packets), cmocka_unit_test(test_first_requests),
        cmocka_unit_test(test_heads),         cmocka_unit_test(test_statements),
        cmocka_unit_test(test_bind),          cmocka_unit_test(test_rows),
        cmocka_unit_test(test_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
