/* SPDX-License-Identifier: Apache-2.0
 * Bodies, addresses, signatures and answers of every channel, held by test vectors.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/notice/wire.h; the signatures were made by
 * another implementation (Python's hmac), from the vendors' guides.
 */
#include "lib/notice/wire.h"
#include "tests/unit/cm.h"

#define NOW_MS UINT64_C(1700000000000)

static sp_post a_post(void)
{
    return (sp_post){.title = SP_SPAN_LIT("Outage"),
                     .text = SP_SPAN_LIT("Wiki is \"down\""),
                     .id = SP_SPAN_LIT("7.1"),
                     .now_unix_ms = NOW_MS};
}

static void body_is(sp_channel_kind kind, const sp_post *post, const char *want)
{
    auto_buf sp_buf out = sp_buf_make(64 * 1024);
    sp_post_body(kind, post, &out);
    assert_ok(sp_buf_error(&out));
    assert_span_text(sp_buf_borrow(&out), want);
}

static void url_is(sp_channel_kind kind, const sp_post *post, const char *want)
{
    auto_buf sp_buf out = sp_buf_make(2048);
    assert_ok(sp_post_url(kind, post, &out));
    assert_span_text(sp_buf_borrow(&out), want);
}

static void hmac_is_rfc_4231(void **state)
{
    (void)state;
    auto_buf sp_buf hex = sp_buf_make(128);
    sp_hash mac = sp_post_mac(SP_SPAN_LIT("Jefe"), SP_SPAN_LIT("what do ya want for nothing?"));
    sp_buf_hex(&hex, sp_hash_borrow(&mac));
    assert_span_text(sp_buf_borrow(&hex),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void wecom(void **state)
{
    (void)state;
    sp_post post = a_post();
    post.address = sp_span_cstr(sp_channel_facts_of(SP_CHANNEL_WECOM)->address);
    post.token = SP_SPAN_LIT("693a91f6-7xxx");
    post.mentions = SP_SPAN_LIT("zhangsan\n@all>\nall\nAll\nlisi");
    url_is(SP_CHANNEL_WECOM, &post,
           "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx");
    body_is(SP_CHANNEL_WECOM, &post,
            "{\"msgtype\":\"markdown\",\"markdown\":{\"content\":\"**Outage**\\nWiki is "
            "\\\"down\\\"\\n<@zhangsan>\\n<@lisi>\"}}");
}

static void dingtalk_key_is_the_secret(void **state)
{
    (void)state;
    sp_post post = a_post();
    post.address = sp_span_cstr(sp_channel_facts_of(SP_CHANNEL_DINGTALK)->address);
    post.token = SP_SPAN_LIT("T0");
    post.secret = SP_SPAN_LIT("SEC0123456789abcdef");
    post.mentions = SP_SPAN_LIT("13800000000");
    url_is(SP_CHANNEL_DINGTALK, &post,
           "https://oapi.dingtalk.com/robot/send?access_token=T0&timestamp=1700000000000&sign="
           "TSZbRFUuvaSQaRKUpF970OPCb2%2FLcQAP3wOvwZIzBZk%3D");
    body_is(SP_CHANNEL_DINGTALK, &post,
            "{\"msgtype\":\"markdown\",\"markdown\":{\"title\":\"Outage\",\"text\":\"#### "
            "Outage\\n\\nWiki is \\\"down\\\"\\n\\n@13800000000\"},\"at\":{\"atMobiles\":["
            "\"13800000000\"],\"isAtAll\":false}}");
}

static void feishu_key_is_the_text(void **state)
{
    (void)state;
    sp_post post = a_post();
    post.address = sp_span_cstr(sp_channel_facts_of(SP_CHANNEL_FEISHU)->address);
    post.token = SP_SPAN_LIT("ID-1");
    post.secret = SP_SPAN_LIT("feishu-secret");
    url_is(SP_CHANNEL_FEISHU, &post, "https://open.feishu.cn/open-apis/bot/v2/hook/ID-1");
    body_is(SP_CHANNEL_FEISHU, &post,
            "{\"timestamp\":\"1700000000\",\"sign\":"
            "\"OrBzY1Y01Gq+HgJsl+7OfWcMVwc7YocohQm5iiZwjhU=\",\"msg_type\":\"text\",\"content\":{"
            "\"text\":\"Outage\\n\\nWiki is \\\"down\\\"\"}}");
    post.secret = SP_SPAN_EMPTY;
    body_is(SP_CHANNEL_LARK, &post,
            "{\"msg_type\":\"text\",\"content\":{\"text\":\"Outage\\n\\nWiki is \\\"down\\\"\"}}");
}

static void slack_and_teams(void **state)
{
    (void)state;
    sp_post post = a_post();
    post.address = sp_span_cstr(sp_channel_facts_of(SP_CHANNEL_SLACK)->address);
    post.token = SP_SPAN_LIT("T00/B00/XX");
    url_is(SP_CHANNEL_SLACK, &post, "https://hooks.slack.com/services/T00/B00/XX");
    body_is(SP_CHANNEL_SLACK, &post,
            "{\"text\":\"Outage\",\"blocks\":[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\","
            "\"text\":\"*Outage*\\nWiki is \\\"down\\\"\",\"verbatim\":true}}]}");
    body_is(SP_CHANNEL_TEAMS, &post,
            "{\"type\":\"message\",\"attachments\":[{\"contentType\":"
            "\"application/vnd.microsoft.card.adaptive\",\"contentUrl\":null,\"content\":{"
            "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\",\"type\":"
            "\"AdaptiveCard\",\"version\":\"1.4\",\"body\":[{\"type\":\"TextBlock\",\"text\":"
            "\"Outage\",\"weight\":\"bolder\",\"wrap\":true},{\"type\":\"TextBlock\",\"text\":"
            "\"Wiki is \\\"down\\\"\",\"wrap\":true}]}}]}");
}

static void webhook_is_signed(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(256);
    sp_post post = a_post();
    post.secret = SP_SPAN_LIT("hook-secret");
    sp_post_signature(&post, SP_SPAN_LIT("{\"a\":1}"), &out);
    assert_span_text(sp_buf_borrow(&out),
                     "t=1700000000,v1="
                     "2ca9484d0c409cd2998fd115eb688d50af3c4591f30a5124d6262b43877ed809");
    body_is(SP_CHANNEL_WEBHOOK, &post,
            "{\"id\":\"7.1\",\"sent_unix_s\":1700000000,\"title\":\"Outage\",\"text\":\"Wiki is "
            "\\\"down\\\"\",\"mentions\":[]}");
}

static void tokens_and_addresses_are_looked_at(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(2048);
    sp_post post = a_post();
    post.address = SP_SPAN_LIT("https://x.example/{token}");
    assert_fails(sp_post_url(SP_CHANNEL_TEAMS, &post, &out), SP_EINVALID);
    post.token = SP_SPAN_LIT("a b");
    assert_fails(sp_post_url(SP_CHANNEL_TEAMS, &post, &out), SP_EINVALID);
    assert_null(sp_channel_address_fault(SP_SPAN_LIT("https://x.example:8443/a?k={token}")));
    assert_null(sp_channel_address_fault(SP_SPAN_LIT("http://127.0.0.1:9000/")));
    assert_non_null(sp_channel_address_fault(SP_SPAN_LIT("http://x.example/")));
    assert_non_null(sp_channel_address_fault(SP_SPAN_LIT("http://127.0.0.1.evil.example/")));
    assert_non_null(sp_channel_address_fault(SP_SPAN_LIT("https://user@x.example/")));
    assert_non_null(sp_channel_address_fault(SP_SPAN_LIT("https://{token}/")));
    assert_non_null(sp_channel_address_fault(SP_SPAN_LIT("https://x/{token}{token}")));
    assert_non_null(sp_channel_address_fault(SP_SPAN_LIT("file:///etc/passwd")));
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    static uint8_t text[20000];
    auto_buf sp_buf out = sp_buf_make(64 * 1024);
    sp_post post = a_post();
    sp_set(text, 'a', sizeof(text));
    post.text = sp_span_of(text, sizeof(text));
    sp_post_body(SP_CHANNEL_WECOM, &post, &out);
    assert_int_equal(out.len, 4096 +
                                  strlen("{\"msgtype\":\"markdown\",\"markdown\":{\"content\":"
                                         "\"\"}}") +
                                  1 /* the line end's backslash */);
}

/* ---- answers ---- */

static void answers(sp_channel_kind kind, unsigned status, uint32_t retry_s, const char *body,
                    sp_answer want, uint32_t want_wait_s)
{
    auto_buf sp_buf why = sp_buf_make(400);
    uint32_t wait_s = 0;
    assert_int_equal(sp_answer_of(kind, status, retry_s, sp_span_cstr(body), &why, &wait_s), want);
    assert_int_equal(wait_s, want_wait_s);
    assert_true((want == SP_ANSWER_TAKEN) == (why.len == 0));
}

static void bodies_are_read(void **state)
{
    (void)state;
    answers(SP_CHANNEL_WECOM, 200, 0, "{\"errcode\":0,\"errmsg\":\"ok\"}", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_WECOM, 200, 0, "{\"errcode\":93000,\"errmsg\":\"x\"}", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_WECOM, 200, 0, "{\"errmsg\":\"a\",\"errcode\":45009}", SP_ANSWER_SLOWER, 60);
    answers(SP_CHANNEL_WECOM, 200, 0, "<html>", SP_ANSWER_LATER, 0);
    answers(SP_CHANNEL_WECOM, 200, 0, "", SP_ANSWER_LATER, 0);
    answers(SP_CHANNEL_DINGTALK, 200, 0, "{\"errcode\":130101}", SP_ANSWER_SLOWER, 600);
    answers(SP_CHANNEL_DINGTALK, 200, 0, "{\"errcode\":310000}", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_FEISHU, 200, 0, "{\"code\":0,\"msg\":\"success\"}", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_FEISHU, 200, 0, "{\"StatusCode\":0}", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_FEISHU, 200, 0, "{\"code\":11232}", SP_ANSWER_SLOWER, 60);
    answers(SP_CHANNEL_LARK, 200, 0, "{\"code\":19021}", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_SLACK, 200, 0, "ok", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_SLACK, 200, 0, "maybe", SP_ANSWER_LATER, 0);
    answers(SP_CHANNEL_SLACK, 429, 7, "", SP_ANSWER_SLOWER, 7);
    answers(SP_CHANNEL_SLACK, 404, 0, "no_service", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_TEAMS, 202, 0, "", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_TEAMS, 200, 0, "Webhook message delivery failed with error: HTTP error 429",
            SP_ANSWER_SLOWER, 60);
    answers(SP_CHANNEL_WEBHOOK, 204, 0, "", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_WEBHOOK, 200, 0, "{\"a\":[{\"ok\":false}],\"ok\":true,\"error\":null}",
            SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_WEBHOOK, 200, 0, "{\"id\":1,\"ok\": false}", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_WEBHOOK, 200, 0, "{\"error\":{\"code\":7}}", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_WEBHOOK, 200, 0, "{\"errcode\":1}", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_WEBHOOK, 200, 0, "{\"errcode\":0,\"errors\":[]}", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_WEBHOOK, 200, 0, "{\"error\"", SP_ANSWER_TAKEN, 0);
    answers(SP_CHANNEL_WEBHOOK, 302, 0, "", SP_ANSWER_NEVER, 0);
    answers(SP_CHANNEL_WEBHOOK, 500, 0, "", SP_ANSWER_LATER, 0);
    answers(SP_CHANNEL_WEBHOOK, 503, 4000000000U, "", SP_ANSWER_SLOWER, 86400);
}

static void numbers_are_found(void **state)
{
    (void)state;
    int64_t value = 0;
    sp_span code = SP_SPAN_LIT("code");
    assert_true(sp_answer_number(SP_SPAN_LIT(" {\"a\":{\"code\":1,\"b\":[1,\"}\"]},\"code\" : -3}"),
                                 code, &value));
    assert_int_equal(value, -3);
    assert_false(sp_answer_number(SP_SPAN_LIT("{\"a\":{\"code\":1}}"), code, &value));
    assert_false(sp_answer_number(SP_SPAN_LIT("{\"code\":\"0\"}"), code, &value));
    assert_false(sp_answer_number(SP_SPAN_LIT("{\"code\":0.5}"), code, &value));
    assert_false(sp_answer_number(SP_SPAN_LIT("{\"code\":99999999999}"), code, &value));
    assert_false(sp_answer_number(SP_SPAN_LIT("[{\"code\":0}]"), code, &value));
    assert_false(sp_answer_number(SP_SPAN_LIT("{\"a\":\"\\\",\"code\":0}"), code, &value));
}

/* ---- mails ---- */

static void a_mail_is_all_ascii(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(64 * 1024);
    const sp_mail mail = {.from = SP_SPAN_LIT("门 <gate@office.example>"),
                          .to = SP_SPAN_LIT("ann@office.example"),
                          .subject = SP_SPAN_LIT("出事了"),
                          .text = SP_SPAN_LIT("a\n"),
                          .html = SP_SPAN_LIT("<p>a</p>"),
                          .message_id = SP_SPAN_LIT("7.1@office.example"),
                          .when_unix_s = 1700000000};
    assert_ok(sp_mail_write(&mail, &out));
    sp_span got = sp_buf_borrow(&out);
    const char *const head =
        "From: =?UTF-8?B?6Zeo?=\r\n <gate@office.example>\r\nTo: <ann@office.example>\r\n"
        "Subject: =?UTF-8?B?5Ye65LqL5LqG?=\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        "Message-ID: <7.1@office.example>\r\nAuto-Submitted: auto-generated\r\n";
    assert_true(sp_span_starts(got, sp_span_cstr(head)));
    size_t line = 0;
    for (size_t i = 0; i < got.len; i++) {
        assert_true(got.ptr[i] < 0x80);
        line = got.ptr[i] == '\n' ? 0 : line + 1;
        assert_true(line <= 78);
    }
}

static void odd_mails_are_refused(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(64 * 1024);
    sp_mail mail = {.from = SP_SPAN_LIT("gate@office.example"),
                    .to = SP_SPAN_LIT("ann@office.example\r\nBcc: x@y.example"),
                    .message_id = SP_SPAN_LIT("7.1@office.example")};
    assert_fails(sp_mail_write(&mail, &out), SP_EINVALID);
    mail.to = SP_SPAN_LIT("ann@office.example");
    mail.subject = SP_SPAN_LIT("x\r\nBcc: y");
    assert_fails(sp_mail_write(&mail, &out), SP_EINVALID);
    assert_true(sp_mailbox_ok(SP_SPAN_LIT("a.b+c@x-y.example")));
    assert_false(sp_mailbox_ok(SP_SPAN_LIT("-a@x.example")));
    assert_false(sp_mailbox_ok(SP_SPAN_LIT("a@x@y")));
    assert_false(sp_mailbox_ok(SP_SPAN_LIT("a b@x")));
    assert_false(sp_mailbox_ok(SP_SPAN_LIT("<a@x>")));
    assert_span_text(sp_mailbox_of(SP_SPAN_LIT("A <a@x.example>")), "a@x.example");
    assert_span_text(sp_mailbox_of(SP_SPAN_LIT("A <a@x.example> b")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_is_rfc_4231),
        cmocka_unit_test(wecom),
        cmocka_unit_test(dingtalk_key_is_the_secret),
        cmocka_unit_test(feishu_key_is_the_text),
        cmocka_unit_test(slack_and_teams),
        cmocka_unit_test(webhook_is_signed),
        cmocka_unit_test(tokens_and_addresses_are_looked_at),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(bodies_are_read),
        cmocka_unit_test(numbers_are_found),
        cmocka_unit_test(a_mail_is_all_ascii),
        cmocka_unit_test(odd_mails_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
