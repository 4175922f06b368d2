/* SPDX-License-Identifier: Apache-2.0
 * Tests of the bodies between the SSH gate and core: each comes back as it went, no shorter and no
 * longer body is one, and what is out of bounds is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/ssh_msg.h.
 */
#include "lib/proto/ssh_msg.h"
#include "tests/unit/cm.h"

#define LIT(text) SP_SPAN_LIT(text)

static const sp_ssh_session SESSION = {.slot = 7, .id = UINT64_C(0x1122334455667788)};

/* Reads the body, writes it again and compares; then no prefix of it and nothing longer is one. */
#define CHECK(name, value)                                                                         \
    do {                                                                                           \
        auto_buf sp_buf one_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        auto_buf sp_buf two_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        sp_ssh_##name read_;                                                                       \
        sp_ssh_##name##_write((value), &one_);                                                     \
        sp_span body_ = sp_buf_borrow(&one_);                                                      \
        assert_true(body_.len > 0);                                                                \
        assert_ok(sp_ssh_##name##_read(body_, &read_));                                            \
        sp_ssh_##name##_write(&read_, &two_);                                                      \
        assert_true(sp_span_eq(body_, sp_buf_borrow(&two_)));                                      \
        for (size_t cut_ = 0; cut_ < body_.len; cut_++) {                                          \
            assert_true(sp_failed(sp_ssh_##name##_read(sp_span_slice(body_, 0, cut_), &read_)));   \
        }                                                                                          \
        sp_buf_u8(&one_, 0);                                                                       \
        assert_fails(sp_ssh_##name##_read(sp_buf_borrow(&one_), &read_), SP_EINVALID);             \
    } while (0)

#define REFUSED(name, value, code)                                                                 \
    do {                                                                                           \
        auto_buf sp_buf one_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        sp_ssh_##name read_;                                                                       \
        sp_ssh_##name##_write((value), &one_);                                                     \
        assert_fails(sp_ssh_##name##_read(sp_buf_borrow(&one_), &read_), code);                    \
    } while (0)

static sp_ssh_who a_who(void)
{
    return (sp_ssh_who){.peer = {1, 2},
                        .connection = UINT64_MAX - 6,
                        .user = LIT("zhao.min"),
                        .resource = LIT("ws-7"),
                        .account = LIT("ops")};
}

static sp_ssh_signed_in a_signed_in(void)
{
    return (sp_ssh_signed_in){.session = SESSION,
                              .fingerprint = {{9}},
                              .expires_unix_s = 1800000000,
                              .strength = SP_STRENGTH_PASSKEY,
                              .person = LIT("zhao.min"),
                              .force_command = LIT("uptime")};
}

static void signing_in_comes_back(void **state)
{
    (void)state;
    sp_ssh_offer offer = {a_who(), LIT("blob")};
    CHECK(offer, &offer);
    sp_ssh_key_shown key = {a_who(), LIT("blob"), LIT("sk-ssh-ed25519@openssh.com"), 5, 77};
    CHECK(key_shown, &key);
    sp_ssh_signed_in signed_in = a_signed_in();
    CHECK(signed_in, &signed_in);
    sp_ssh_rider rider = {.session = SESSION, .fingerprint = {{1, 2}}, .peer = {3}};
    CHECK(rider, &rider);
    sp_ssh_prompt begin = {.conversation = 3, .who = a_who(), .client = LIT("SSH-2.0-OpenSSH_9.2")};
    CHECK(prompt, &begin);
    sp_ssh_prompt answers = {.conversation = 3,
                             .step = SP_SSH_PROMPT_ANSWERS,
                             .who = a_who(),
                             .answer_count = 2,
                             .answers = {LIT("secret"), LIT("123456")}};
    CHECK(prompt, &answers);
    sp_ssh_prompted asked = {.instruction = LIT("Sign in"),
                             .prompt_count = 2,
                             .prompts = {{0, LIT("Password: ")}, {1, LIT("验证码: ")}}};
    CHECK(prompted, &asked);
    sp_ssh_prompted done = {.done = 1, .signed_in = a_signed_in()};
    CHECK(prompted, &done);
}

static void opening_comes_back(void **state)
{
    (void)state;
    sp_ssh_targets targets = {
        .count = 2,
        .more = 1,
        .items = {{LIT("db-1"), LIT("Orders database")}, {LIT("ws-7"), SP_SPAN_EMPTY}}};
    CHECK(targets, &targets);
    sp_ssh_targets none = {0};
    CHECK(targets, &none);
    sp_ssh_open open = {.connection = 5,
                        .session = SESSION,
                        .fingerprint = {{1}},
                        .peer = {4},
                        .resource = LIT("ws-7"),
                        .account = LIT("ops"),
                        .blob = LIT("key")};
    CHECK(open, &open);
    sp_ssh_opened opened = {.credential_kind = SP_SSH_CREDENTIAL_CERTIFICATE,
                            .reason = SP_REASON_RULE,
                            .account = LIT("ops"),
                            .credential = LIT("certificate")};
    CHECK(opened, &opened);
    sp_ssh_opened refused = {.reason = SP_REASON_DEFAULT, .why = LIT("no rule lets you")};
    CHECK(opened, &refused);
}

static void what_is_open_comes_back(void **state)
{
    (void)state;
    sp_ssh_conn conn = {.connection = 5,
                        .state = SP_SSH_CLOSED,
                        .fingerprint = {{1}},
                        .session = SESSION,
                        .resource = LIT("ws-7"),
                        .account = LIT("ops"),
                        .client = LIT("SSH-2.0-OpenSSH_9.2"),
                        .frozen = 1,
                        .frozen_by = LIT("li.wei")};
    CHECK(conn, &conn);
    sp_ssh_alarm alarm = {5, 2, 7, 90, 1, LIT("files are removed with everything below them")};
    CHECK(alarm, &alarm);
    sp_ssh_channel channel = {.connection = 5,
                              .channel = 2,
                              .kind = SP_SSH_CHANNEL_SFTP,
                              .state = SP_SSH_OPEN,
                              .object = LIT("ls -la 文件")};
    CHECK(channel, &channel);
    sp_ssh_watch_want want = {5, 6};
    CHECK(watch_want, &want);
    sp_ssh_watched watched = {5, 2, LIT("li.wei, 王芳")};
    CHECK(watched, &watched);
    sp_ssh_kill end = {5, LIT("ended by security")};
    CHECK(kill, &end);
    sp_ssh_freeze freeze = {5, 1, LIT("li.wei")};
    CHECK(freeze, &freeze);
}

static void words_of_channels_come_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SP_SSH_CHANNEL_KIND_COUNT; i++) {
        sp_ssh_channel_kind kind = SP_SSH_CHANNEL_KIND_COUNT;
        sp_span word = sp_span_cstr(sp_ssh_channel_word((sp_ssh_channel_kind)i));
        assert_ok(sp_ssh_channel_of_word(word, &kind));
        assert_int_equal(kind, i);
    }
    sp_ssh_channel_kind kind = SP_SSH_CHANNEL_KIND_COUNT;
    assert_fails(sp_ssh_channel_of_word(LIT("x11"), &kind), SP_EINVALID);
}

static void out_of_bounds_is_refused(void **state)
{
    (void)state;
    static uint8_t long_text[SP_SSH_BLOB_MAX_BYTES + 1];
    sp_set(long_text, 'a', sizeof(long_text));

    sp_ssh_offer offer = {a_who(), SP_SPAN_EMPTY};
    REFUSED(offer, &offer, SP_EINVALID);
    offer.blob = sp_span_of(long_text, sizeof(long_text));
    REFUSED(offer, &offer, SP_ELIMIT);
    offer.blob = LIT("blob");
    offer.who.user = sp_span_of("zhao\0min", 8);
    REFUSED(offer, &offer, SP_EINVALID);
    offer.who.user = LIT("zhao\xff");
    REFUSED(offer, &offer, SP_EINVALID);
    offer.who.user = sp_span_of(long_text, SP_NAME_MAX_BYTES + 1);
    REFUSED(offer, &offer, SP_ELIMIT);

    sp_ssh_prompt prompt = {.who = a_who(), .answer_count = 1, .answers = {LIT("x")}};
    REFUSED(prompt, &prompt, SP_EINVALID); /* nobody has been asked */
    prompt.step = SP_SSH_PROMPT_ANSWERS;
    prompt.answers[0] = sp_span_of(long_text, SP_SSH_ANSWER_MAX_BYTES + 1);
    REFUSED(prompt, &prompt, SP_ELIMIT);
    prompt.answer_count = 0;
    prompt.client = sp_span_of(long_text, SP_SSH_CLIENT_MAX_BYTES + 1);
    REFUSED(prompt, &prompt, SP_ELIMIT);

    sp_ssh_open open = {.session = SESSION, .blob = LIT("key")};
    REFUSED(open, &open, SP_EINVALID); /* no resource */

    sp_ssh_opened opened = {.credential_kind = SP_SSH_CREDENTIAL_PASSWORD};
    REFUSED(opened, &opened, SP_EINVALID); /* a password without bytes */
    opened = (sp_ssh_opened){.credential = LIT("x")};
    REFUSED(opened, &opened, SP_EINVALID); /* refused, and yet something is handed out */

    sp_ssh_channel channel = {.kind = SP_SSH_CHANNEL_KIND_COUNT};
    REFUSED(channel, &channel, SP_EINVALID);
    sp_ssh_signed_in signed_in = a_signed_in();
    signed_in.strength = SP_STRENGTH_COUNT;
    REFUSED(signed_in, &signed_in, SP_EINVALID);
}

/* More answers than there is room for are not read past the room. */
static void too_many_answers_are_refused(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ssh_prompt prompt = {.step = SP_SSH_PROMPT_ANSWERS, .who = a_who()};
    sp_ssh_prompt read;
    sp_ssh_prompt_write(&prompt, &body);
    body.ptr[body.len - 1] = SP_SSH_ANSWERS_MAX + 1;
    for (size_t i = 0; i <= SP_SSH_ANSWERS_MAX; i++) {
        sp_buf_bytes(&body, LIT("x"));
    }
    assert_fails(sp_ssh_prompt_read(sp_buf_borrow(&body), &read), SP_EINVALID);
}

/* The largest list of targets fits one packet with its head. */
static void the_largest_menu_fits_a_packet(void **state)
{
    (void)state;
    static uint8_t text[SP_SSH_TITLE_MAX_BYTES];
    sp_set(text, 'a', sizeof(text));
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ssh_targets targets = {.count = SP_SSH_TARGETS_MAX, .more = 1};
    for (size_t i = 0; i < SP_SSH_TARGETS_MAX; i++) {
        targets.items[i].name = sp_span_of(text, SP_NAME_MAX_BYTES);
        targets.items[i].title = sp_span_of(text, SP_SSH_TITLE_MAX_BYTES);
    }
    sp_msg_begin(&packet, SP_CORE_SSH_TARGETS, 1, SP_OK);
    sp_ssh_targets_write(&targets, &packet);
    assert_ok(sp_buf_error(&packet));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signing_in_comes_back),
        cmocka_unit_test(opening_comes_back),
        cmocka_unit_test(what_is_open_comes_back),
        cmocka_unit_test(words_of_channels_come_back),
        cmocka_unit_test(out_of_bounds_is_refused),
        cmocka_unit_test(too_many_answers_are_refused),
        cmocka_unit_test(the_largest_menu_fits_a_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
