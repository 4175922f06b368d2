/* SPDX-License-Identifier: Apache-2.0
 * Tests of private keys in OpenSSH's form, with keys of the real ssh-keygen, and of log-in
 * requests. OWNS nothing. PROCESS tests. TRUST none. SPEC lib/ssh/private.h.
 */
#include "lib/ssh/private.h"

#include "tests/unit/ssh/keygen.h"

enum { FILE_BYTES = 8192, RSA_2048_BYTES = 256, SESSION_BYTES = 32, KIND_AT = 4 + SESSION_BYTES };

static sp_span whole_file(const char *name, char *room, size_t size)
{
    char path[200];
    assert_true(snprintf(path, sizeof(path), "%s/%s", keygen_folder, name) < (int)sizeof(path));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got = fread(room, 1, size, file);
    (void)fclose(file);
    return sp_span_of(room, got);
}

static sp_err parse(sp_span text, sp_ssh_private *ret_key)
{
    static sp_buf room;
    sp_buf_done(&room);
    room = sp_buf_make(SP_SSH_PRIVATE_MAX_BYTES);
    return sp_ssh_private_parse(text, &room, ret_key);
}

static void keys_of_ssh_keygen_are_read(void **state)
{
    (void)state;
    char text[FILE_BYTES];
    char line[FILE_BYTES];
    sp_ssh_private key;
    sp_ssh_key_line public;
    auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    keygen("-t", "ed25519", "-N", "", "-C", "a comment", "-f", "e");
    assert_ok(parse(whole_file("e", text, sizeof(text)), &key));
    assert_int_equal(key.type, SP_SSH_KEY_ED25519);
    assert_int_equal(key.ed25519.len, SP_SSH_ED25519_PAIR_BYTES);
    assert_ok(sp_ssh_key_line_parse(keygen_line("e.pub", line, sizeof(line)), SP_SSH_LINE_PUBLIC,
                                    &room, &public));
    assert_true(sp_span_eq(sp_span_slice(key.ed25519, 32, 64), public.key.point));

    keygen("-t", "rsa", "-b", "2048", "-N", "", "-C", "", "-f", "r");
    assert_ok(parse(whole_file("r", text, sizeof(text)), &key));
    assert_int_equal(key.type, SP_SSH_KEY_RSA);
    assert_ok(sp_ssh_key_line_parse(keygen_line("r.pub", line, sizeof(line)), SP_SSH_LINE_PUBLIC,
                                    &room, &public));
    assert_true(sp_span_eq(key.modulus, public.key.modulus));
    assert_true(sp_span_eq(key.exponent, public.key.exponent));
    assert_int_equal(key.modulus.len, RSA_2048_BYTES);
    assert_true(key.secret.len > 200 && key.inverse.len > 100 && key.primes[0].len == 128 &&
                key.primes[1].len == 128);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    char text[FILE_BYTES];
    sp_ssh_private key;
    keygen("-t", "ed25519", "-N", "secret", "-f", "locked");
    assert_fails(parse(whole_file("locked", text, sizeof(text)), &key), SP_EUNSUPPORTED);
    keygen("-t", "ecdsa", "-N", "", "-f", "ec");
    assert_fails(parse(whole_file("ec", text, sizeof(text)), &key), SP_EUNSUPPORTED);
    assert_fails(parse(SP_SPAN_EMPTY, &key), SP_ENOTFOUND);
    assert_fails(parse(whole_file("ec.pub", text, sizeof(text)), &key), SP_ENOTFOUND);
    keygen("-t", "ed25519", "-N", "", "-f", "cut");
    sp_span good = whole_file("cut", text, sizeof(text));
    for (size_t len = 0; len + 1 < good.len; len++) { /* its last line break may go */
        assert_true(sp_failed(parse(sp_span_slice(good, 0, len), &key)));
    }
}

static void put_request(sp_buf *out, sp_span user)
{
    uint8_t session[SESSION_BYTES] = {1};
    sp_buf_bytes(out, sp_span_of(session, sizeof(session)));
    sp_buf_u8(out, 50);
    sp_buf_bytes(out, user);
    sp_buf_bytes(out, SP_SPAN_LIT("ssh-connection"));
    sp_buf_bytes(out, SP_SPAN_LIT("publickey"));
    sp_buf_u8(out, 1);
    sp_buf_bytes(out, SP_SPAN_LIT("ssh-ed25519"));
    sp_buf_bytes(out, SP_SPAN_LIT("blob"));
}

static void a_log_in_is_read_and_nothing_else(void **state)
{
    (void)state;
    sp_ssh_login login;
    auto_buf sp_buf request = sp_buf_make(FILE_BYTES);
    put_request(&request, SP_SPAN_LIT("ops"));
    assert_ok(sp_ssh_login_parse(sp_buf_borrow(&request), &login));
    assert_span_text(login.user, "ops");
    assert_span_text(login.algorithm, "ssh-ed25519");
    assert_span_text(login.blob, "blob");
    for (size_t len = 0; len < request.len; len++) {
        assert_true(
            sp_failed(sp_ssh_login_parse(sp_span_slice(sp_buf_borrow(&request), 0, len), &login)));
    }
    request.ptr[KIND_AT] = 51;
    assert_fails(sp_ssh_login_parse(sp_buf_borrow(&request), &login), SP_EINVALID);
    request.ptr[KIND_AT] = 50;
    sp_buf_byte(&request, 0);
    assert_true(sp_failed(sp_ssh_login_parse(sp_buf_borrow(&request), &login)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_ssh_keygen_are_read),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_log_in_is_read_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, keygen_setup, keygen_teardown);
}
