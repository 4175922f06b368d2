/* SPDX-License-Identifier: Apache-2.0
 * Tests of asking a server for its host certificate: what is sent, and each way in which it ends.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/ssh_ask.h.
 */
#include "lib/proto/ssh_ask.h"

#include "tests/unit/cm.h"

enum { ROOM = 200000 };

#define LIT SP_SPAN_LIT
#define ED25519 "ssh-ed25519-cert-v01@openssh.com"
#define VERSION "SSH-2.0-Test_1.0\r\n"

static const uint8_t RANDOM[SP_SSH_ASK_RANDOM_BYTES] = {[0] = 1, [16] = 2, [47] = 3};

typedef struct {
    sp_ssh_ask ask;
    sp_buf out;
    sp_span key;
} asking;

static void begin(asking *a)
{
    *a = (asking){.out = sp_buf_make(ROOM)};
    sp_ssh_ask_start(&a->ask, RANDOM, &a->out);
}

static sp_ssh_ask_state feed(asking *a, sp_span bytes)
{
    return sp_ssh_ask_feed(&a->ask, bytes, &a->out, &a->key);
}

static void end(asking *a)
{
    sp_ssh_ask_done(&a->ask);
    sp_buf_done(&a->out);
}

static void packet(sp_buf *out, sp_span payload)
{
    size_t padding = 4 + (8 - (5 + payload.len + 4) % 8) % 8;
    sp_buf_u32(out, (uint32_t)(1 + payload.len + padding));
    sp_buf_u8(out, (uint8_t)padding);
    sp_buf_span(out, payload);
    for (size_t i = 0; i < padding; i++) {
        sp_buf_u8(out, 0xee);
    }
}

/* KEXINIT with one list replaced (place 0 to 9; 10: none). */
static void kexinit(sp_buf *out, unsigned place, const char *list)
{
    static const char *const GOOD[] = {"sntrup761x25519-sha512@openssh.com,curve25519-sha256",
                                       "ssh-ed25519," ED25519,
                                       "aes128-ctr",
                                       "aes128-ctr",
                                       "hmac-sha2-256",
                                       "hmac-sha2-256",
                                       "none,zlib@openssh.com",
                                       "none,zlib@openssh.com",
                                       "",
                                       ""};
    auto_buf sp_buf payload = sp_buf_make(ROOM);
    sp_buf_u8(&payload, 20);
    sp_buf_span(&payload, LIT("0123456789abcdef"));
    for (unsigned i = 0; i < SP_COUNT(GOOD); i++) {
        sp_buf_bytes(&payload, sp_span_cstr(i == place ? list : GOOD[i]));
    }
    sp_buf_u8(&payload, 0);
    sp_buf_u32(&payload, 0);
    packet(out, sp_buf_borrow(&payload));
}

static void reply(sp_buf *out, sp_span key)
{
    auto_buf sp_buf payload = sp_buf_make(ROOM);
    sp_buf_u8(&payload, 31);
    sp_buf_bytes(&payload, key);
    sp_buf_bytes(&payload, LIT("point"));
    sp_buf_bytes(&payload, LIT("signature"));
    packet(out, sp_buf_borrow(&payload));
}

static void what_is_sent(void **state)
{
    (void)state;
    asking a;
    begin(&a);
    sp_span sent = sp_buf_borrow(&a.out);
    assert_true(sp_span_starts(sent, LIT("SSH-2.0-Sallyport\r\n")));
    sp_reader in = sp_reader_of(sp_span_slice(sent, 19, sent.len));
    uint32_t len = sp_read_u32(&in);
    assert_int_equal(len, in.rest.len);
    assert_int_equal((len + 4) % 8, 0);
    uint8_t padding = sp_read_u8(&in);
    assert_in_range(padding, 4, 11);
    assert_int_equal(sp_read_u8(&in), 20);
    assert_memory_equal(sp_read_span(&in, 16).ptr, RANDOM, 16);
    assert_true(sp_span_eq(sp_read_bytes(&in, 1000),
                           LIT("curve25519-sha256,curve25519-sha256@libssh.org")));
    sp_span kinds = sp_read_bytes(&in, 1000);
    sp_span one;
    while (sp_span_split(&kinds, ',', &one)) { /* a plain key would be of no use */
        assert_true(sp_span_ends(one, LIT("-cert-v01@openssh.com")));
    }
    for (int i = 0; i < 8; i++) {
        (void)sp_read_bytes(&in, 1000);
    }
    (void)sp_read_u8(&in);
    (void)sp_read_u32(&in);
    (void)sp_read_span(&in, padding);
    assert_ok(sp_reader_finish(&in));
    end(&a);
}

static void a_key_is_shown(void **state)
{
    (void)state;
    auto_buf sp_buf all = sp_buf_make(ROOM);
    auto_buf sp_buf ignore = sp_buf_make(100);
    sp_buf_text(&all, "Authorised use only\r\nSSH is served here:\n" VERSION);
    sp_buf_u8(&ignore, 2);
    sp_buf_bytes(&ignore, LIT("nothing"));
    packet(&all, sp_buf_borrow(&ignore));
    kexinit(&all, 10, NULL);
    size_t before = all.len;
    packet(&all, sp_buf_borrow(&ignore));
    reply(&all, LIT("the certificate"));
    for (size_t step = 1; step < 200; step = step * 3 + 1) { /* in pieces of any size */
        asking a;
        begin(&a);
        size_t first = a.out.len;
        sp_ssh_ask_state is = SP_SSH_ASK_WAITS;
        sp_span rest = sp_buf_borrow(&all);
        size_t fed = 0;
        while (rest.len > 0) {
            assert_int_equal(is, SP_SSH_ASK_WAITS);
            assert_int_equal(a.out.len > first, fed >= before);
            sp_span piece = sp_span_slice(rest, 0, rest.len < step ? rest.len : step);
            is = feed(&a, piece);
            fed += piece.len;
            rest = sp_span_slice(rest, piece.len, rest.len);
        }
        assert_int_equal(is, SP_SSH_ASK_SHOWN);
        assert_true(sp_span_eq(a.key, LIT("the certificate")));
        /* its half: 30, 32 bytes of what it was given */
        sp_reader in = sp_reader_of(sp_span_slice(sp_buf_borrow(&a.out), first, a.out.len));
        (void)sp_read_u32(&in);
        (void)sp_read_u8(&in);
        assert_int_equal(sp_read_u8(&in), 30);
        sp_span point = sp_read_bytes(&in, 32);
        assert_int_equal(point.len, 32);
        assert_memory_equal(point.ptr, RANDOM + 16, 32);
        assert_int_equal(feed(&a, LIT("more")), SP_SSH_ASK_MALFORMED); /* it is over */
        end(&a);
    }
}

static void each_other_end(void **state)
{
    (void)state;
    static const struct {
        unsigned place;
        const char *list;
        sp_ssh_ask_state end;
    } KEXINITS[] = {
        {0, "diffie-hellman-group14-sha1", SP_SSH_ASK_OTHER},
        {0, "curve25519-sha256,x", SP_SSH_ASK_WAITS},
        {1, "ssh-ed25519,rsa-sha2-512", SP_SSH_ASK_NONE},
        {1, "ssh-rsa-cert-v01@openssh.com", SP_SSH_ASK_NONE},
        {1, "rsa-sha2-256-cert-v01@openssh.com", SP_SSH_ASK_WAITS},
        {1, "", SP_SSH_ASK_NONE},
        {2, "aes128-cbc,3des-cbc", SP_SSH_ASK_OTHER},
        {3, "arcfour", SP_SSH_ASK_OTHER},
        {4, "hmac-sha1", SP_SSH_ASK_OTHER},
        {5, "hmac-md5", SP_SSH_ASK_OTHER},
        {6, "zlib", SP_SSH_ASK_OTHER},
        {7, "zlib", SP_SSH_ASK_OTHER},
        {8, "zh", SP_SSH_ASK_WAITS},
    };
    for (size_t i = 0; i < SP_COUNT(KEXINITS); i++) {
        asking a;
        auto_buf sp_buf all = sp_buf_make(ROOM);
        begin(&a);
        sp_buf_text(&all, VERSION);
        kexinit(&all, KEXINITS[i].place, KEXINITS[i].list);
        assert_int_equal(feed(&a, sp_buf_borrow(&all)), KEXINITS[i].end);
        end(&a);
    }
}

static sp_ssh_ask_state of(sp_span bytes)
{
    asking a;
    begin(&a);
    sp_ssh_ask_state is = feed(&a, bytes);
    end(&a);
    return is;
}

static void what_is_no_ssh(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"SSH-1.5-old\r\n", "SSH-2.0",
                                        "HTTP/1.1 400 Bad Request\r\n"};
    assert_int_equal(of(sp_span_cstr(WORDS[0])), SP_SSH_ASK_MALFORMED);
    assert_int_equal(of(sp_span_cstr(WORDS[1])), SP_SSH_ASK_WAITS);
    assert_int_equal(of(sp_span_cstr(WORDS[2])), SP_SSH_ASK_WAITS); /* it may be a line in front */
    auto_buf sp_buf line = sp_buf_make(ROOM);
    for (int i = 0; i < 1100; i++) {
        sp_buf_u8(&line, 'x');
    }
    assert_int_equal(of(sp_buf_borrow(&line)), SP_SSH_ASK_MALFORMED);
    static const struct {
        uint32_t len;
        uint8_t padding;
        uint8_t kind;
    } PACKETS[] = {{35001, 4, 2}, {0, 4, 2},   {5, 4, 2},   {12, 3, 2},
                   {12, 11, 2},   {12, 4, 31}, {12, 4, 21}, {12, 4, 90}};
    for (size_t i = 0; i < SP_COUNT(PACKETS); i++) {
        auto_buf sp_buf all = sp_buf_make(ROOM);
        sp_buf_text(&all, VERSION);
        sp_buf_u32(&all, PACKETS[i].len);
        sp_buf_u8(&all, PACKETS[i].padding);
        sp_buf_u8(&all, PACKETS[i].kind);
        for (int k = 0; k < 16; k++) {
            sp_buf_u8(&all, 0);
        }
        assert_int_equal(of(sp_buf_borrow(&all)), SP_SSH_ASK_MALFORMED);
    }
}

static void lines_in_front_of_the_version(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) { /* as many as may be, and one more, in one piece */
        auto_buf sp_buf all = sp_buf_make(ROOM);
        for (unsigned i = 0; i < SP_SSH_ASK_LINES_MAX + more; i++) {
            sp_buf_text(&all, i % 2 == 0 ? "\n" : "a line\r\n");
        }
        sp_buf_text(&all, VERSION);
        kexinit(&all, 10, NULL);
        reply(&all, LIT("the certificate"));
        assert_int_equal(of(sp_buf_borrow(&all)),
                         more == 0 ? SP_SSH_ASK_SHOWN : SP_SSH_ASK_MALFORMED);
    }
}

static void goodbye_and_too_much(void **state)
{
    (void)state;
    auto_buf sp_buf all = sp_buf_make(ROOM);
    auto_buf sp_buf goodbye = sp_buf_make(100);
    sp_buf_text(&all, VERSION);
    sp_buf_u8(&goodbye, 1);
    sp_buf_u32(&goodbye, 2);
    packet(&all, sp_buf_borrow(&goodbye));
    assert_int_equal(of(sp_buf_borrow(&all)), SP_SSH_ASK_LEFT);

    asking a;
    begin(&a);
    sp_ssh_ask_state is = SP_SSH_ASK_WAITS;
    size_t fed = 0;
    while (is == SP_SSH_ASK_WAITS) {
        assert_in_range(fed, 0, SP_SSH_ASK_LINES_MAX);
        is = feed(&a, LIT("a line, and another, and so on for ever\n"));
        fed++;
    }
    assert_int_equal(is, SP_SSH_ASK_MALFORMED);
    assert_int_equal(fed, SP_SSH_ASK_LINES_MAX + 1);
    end(&a);

    /* small packets until it has sent all that it may, in pieces */
    auto_buf sp_buf small = sp_buf_make(ROOM);
    for (int i = 0; i < 1000; i++) {
        packet(&small, LIT("\2"));
    }
    begin(&a);
    is = feed(&a, LIT(VERSION));
    for (fed = a.ask.came; is == SP_SSH_ASK_WAITS; fed += small.len) {
        assert_in_range(fed, 0, SP_SSH_ASK_MAX_BYTES);
        is = feed(&a, sp_buf_borrow(&small));
    }
    assert_int_equal(is, SP_SSH_ASK_MALFORMED);
    assert_true(fed > SP_SSH_ASK_MAX_BYTES && a.ask.came <= SP_SSH_ASK_MAX_BYTES);
    assert_int_equal(a.ask.in.len, 0);
    end(&a);

    sp_buf_reset(&all);
    sp_buf_text(&all, VERSION);
    kexinit(&all, 10, NULL);
    size_t first = all.len;
    kexinit(&all, 10, NULL); /* twice */
    assert_int_equal(of(sp_buf_borrow(&all)), SP_SSH_ASK_MALFORMED);
    all.len = first;
    reply(&all, SP_SPAN_EMPTY);
    assert_int_equal(of(sp_buf_borrow(&all)), SP_SSH_ASK_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent),         cmocka_unit_test(a_key_is_shown),
        cmocka_unit_test(each_other_end),       cmocka_unit_test(what_is_no_ssh),
        cmocka_unit_test(goodbye_and_too_much), cmocka_unit_test(lines_in_front_of_the_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
