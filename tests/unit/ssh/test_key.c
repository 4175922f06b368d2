/* SPDX-License-Identifier: Apache-2.0
 * Tests of public keys of SSH: keys of the real ssh-keygen of each kind, lines of the three files,
 * and each way in which a blob can be wrong.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/ssh/key.h.
 */
#include "lib/ssh/key.h"

#include "tests/unit/ssh/keygen.h"

enum { LINE_BYTES = 8192 };

static void keys_of_ssh_keygen_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *bits;
        sp_ssh_key_type want;
    } KINDS[] = {{"ed25519", "256", SP_SSH_KEY_ED25519},
                 {"ecdsa", "256", SP_SSH_KEY_ECDSA_256},
                 {"ecdsa", "384", SP_SSH_KEY_ECDSA_384},
                 {"ecdsa", "521", SP_SSH_KEY_ECDSA_521},
                 {"rsa", "2048", SP_SSH_KEY_RSA}};
    for (size_t i = 0; i < SP_COUNT(KINDS); i++) {
        char name[32];
        char pub[40];
        char text[LINE_BYTES];
        char want[LINE_BYTES];
        assert_true(snprintf(name, sizeof(name), "key%zu", i) > 0);
        assert_true(snprintf(pub, sizeof(pub), "%s.pub", name) > 0);
        keygen("-t", KINDS[i].type, "-b", KINDS[i].bits, "-N", "", "-C", "a b", "-f", name);
        sp_span line = keygen_line(pub, text, sizeof(text));
        auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
        sp_ssh_key_line got;
        assert_ok(sp_ssh_key_line_parse(line, SP_SSH_LINE_PUBLIC, &room, &got));
        assert_int_equal(got.key.type, KINDS[i].want);
        assert_span_text(got.comment, "a b");

        auto_buf sp_buf out = sp_buf_make(LINE_BYTES);
        sp_ssh_key_text(got.blob, &out);
        assert_true(sp_span_starts(line, sp_buf_borrow(&out)));
        char script[200];
        assert_true(snprintf(script, sizeof(script),
                             "ssh-keygen -lf %s | cut -d' ' -f2 > fingerprint", pub) > 0);
        run_program((const char *const[]){"sh", "-c", script, NULL});
        sp_buf_reset(&out);
        sp_ssh_key_fingerprint(got.blob, &out);
        assert_true(
            sp_span_eq(sp_buf_borrow(&out), keygen_line("fingerprint", want, sizeof(want))));

        /* every blob cut short is refused, and so is one byte more */
        sp_ssh_key key;
        for (size_t len = 0; len < got.blob.len; len++) {
            assert_true(sp_failed(sp_ssh_key_parse(sp_span_slice(got.blob, 0, len), &key)));
        }
        sp_buf_byte(&room, 0);
        assert_fails(sp_ssh_key_parse(sp_buf_borrow(&room), &key), SP_EINVALID);
    }
}

static void weak_and_strange_keys_are_refused(void **state)
{
    (void)state;
    char text[LINE_BYTES];
    auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    sp_ssh_key_line got;
    keygen("-t", "rsa", "-b", "1024", "-N", "", "-f", "weak");
    assert_fails(sp_ssh_key_line_parse(keygen_line("weak.pub", text, sizeof(text)),
                                       SP_SSH_LINE_PUBLIC, &room, &got),
                 SP_EINVALID);
    static const struct {
        const char *line;
        sp_code code;
    } WRONG[] = {
        {"", SP_ENOTFOUND},
        {"# ssh-ed25519", SP_ENOTFOUND},
        {"ssh-dss AAAA", SP_EUNSUPPORTED},
        {"ssh-ed25519", SP_ESHORT},
        {"ssh-ed25519 AAAA", SP_ESHORT},
        {"ssh-ed25519 !!!!", SP_EINVALID},
        /* a blob of ssh-rsa under the name of Ed25519 */
        {"ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAAQM=", SP_EINVALID},
        /* 31 bytes */
        {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAHyAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICA=",
         SP_EINVALID},
    };
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        sp_err err =
            sp_ssh_key_line_parse(sp_span_cstr(WRONG[i].line), SP_SSH_LINE_PUBLIC, &room, &got);
        if (err.code != WRONG[i].code) {
            fail_msg("%s: %s", WRONG[i].line, sp_code_word(err.code));
        }
    }
}

#define ED25519                                                                                    \
    "ssh-ed25519 "                                                                                 \
    "AAAAC3NzaC1lZDI1NTE5AAAAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg"

static void lines_of_the_three_files(void **state)
{
    (void)state;
    auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    sp_ssh_key_line got;
    assert_ok(sp_ssh_key_line_parse(
        SP_SPAN_LIT("from=\"10.0.0.0/8,::1\",command=\"echo \\\"a, b\\\"\",no-pty " ED25519 " me"),
        SP_SSH_LINE_AUTHORIZED, &room, &got));
    assert_span_text(got.comment, "me");
    sp_span rest = got.options;
    sp_span name;
    sp_span value;
    bool ok = false;
    assert_true(sp_ssh_option_next(&rest, &name, &value, &ok) && ok);
    assert_span_text(name, "from");
    assert_span_text(value, "10.0.0.0/8,::1");
    assert_true(sp_ssh_option_next(&rest, &name, &value, &ok) && ok);
    assert_span_text(name, "command");
    assert_span_text(value, "echo \\\"a, b\\\"");
    assert_true(sp_ssh_option_next(&rest, &name, &value, &ok) && ok);
    assert_span_text(name, "no-pty");
    assert_int_equal(value.len, 0);
    assert_false(sp_ssh_option_next(&rest, &name, &value, &ok));
    static const char *const WRONG[] = {"command=\"a", "a,", ",a", "a=b", "a b", "=\"x\""};
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        rest = sp_span_cstr(WRONG[i]);
        bool all = true;
        while (sp_ssh_option_next(&rest, &name, &value, &ok)) {
            all = all && ok;
        }
        assert_false(all);
    }

    assert_ok(sp_ssh_key_line_parse(SP_SPAN_LIT(ED25519), SP_SSH_LINE_AUTHORIZED, &room, &got));
    assert_int_equal(got.options.len, 0);
    assert_ok(sp_ssh_key_line_parse(SP_SPAN_LIT("@cert-authority *.a,[b]:2222 " ED25519),
                                    SP_SSH_LINE_KNOWN_HOST, &room, &got));
    assert_span_text(got.marker, "cert-authority");
    assert_span_text(got.hosts, "*.a,[b]:2222");
    assert_ok(
        sp_ssh_key_line_parse(SP_SPAN_LIT("a " ED25519 " c"), SP_SSH_LINE_KNOWN_HOST, &room, &got));
    assert_int_equal(got.marker.len, 0);
    assert_true(sp_failed(
        sp_ssh_key_line_parse(SP_SPAN_LIT("@revoked"), SP_SSH_LINE_KNOWN_HOST, &room, &got)));
}

static void security_keys_name_their_application(void **state)
{
    (void)state;
    auto_buf sp_buf blob = sp_buf_make(1000);
    uint8_t point[65] = {4};
    sp_buf_bytes(&blob, SP_SPAN_LIT("sk-ecdsa-sha2-nistp256@openssh.com"));
    sp_buf_bytes(&blob, SP_SPAN_LIT("nistp256"));
    sp_buf_bytes(&blob, sp_span_of(point, sizeof(point)));
    sp_buf_bytes(&blob, SP_SPAN_LIT("ssh:"));
    sp_ssh_key key;
    assert_ok(sp_ssh_key_parse(sp_buf_borrow(&blob), &key));
    assert_span_text(key.application, "ssh:");
    assert_true(sp_ssh_key_is_security_key((sp_ssh_key_type)key.type));
    sp_buf_reset(&blob);
    point[0] = 2; /* compressed */
    sp_buf_bytes(&blob, SP_SPAN_LIT("ecdsa-sha2-nistp256"));
    sp_buf_bytes(&blob, SP_SPAN_LIT("nistp256"));
    sp_buf_bytes(&blob, sp_span_of(point, sizeof(point)));
    assert_fails(sp_ssh_key_parse(sp_buf_borrow(&blob), &key), SP_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_ssh_keygen_are_read),
        cmocka_unit_test(weak_and_strange_keys_are_refused),
        cmocka_unit_test(lines_of_the_three_files),
        cmocka_unit_test(security_keys_name_their_application),
    };
    return cmocka_run_group_tests(tests, keygen_setup, keygen_teardown);
}
