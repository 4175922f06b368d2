/* SPDX-License-Identifier: Apache-2.0
 * Tests of SSH signatures: certificates that the real ssh-keygen signed with each kind of
 * authority, and each changed in every byte; signatures of a security key, made by hand. OWNS
 * nothing. PROCESS tests. TRUST none. SPEC infra/crypto/ssh.h.
 */
#include "infra/crypto/ssh.h"

#include "infra/crypto/random.h"
#include "infra/crypto/sign.h"
#include "lib/base/sha256.h"
#include "tests/unit/ssh/keygen.h"

enum { LINE_BYTES = 16384 };

static void read_cert(const char *name, sp_buf *out)
{
    char text[LINE_BYTES];
    sp_span line = keygen_line(name, text, sizeof(text));
    sp_span piece;
    assert_true(sp_span_split(&line, ' ', &piece) && sp_span_split(&line, ' ', &piece));
    sp_buf_reset(out);
    assert_ok(sp_buf_unbase64(out, piece));
}

static void check_every_byte(sp_buf *blob)
{
    sp_ssh_cert cert;
    assert_ok(sp_ssh_cert_parse(sp_buf_borrow(blob), &cert));
    assert_ok(sp_ssh_cert_verify(&cert));
    for (size_t i = 0; i < blob->len; i++) {
        blob->ptr[i] ^= 1;
        if (!sp_failed(sp_ssh_cert_parse(sp_buf_borrow(blob), &cert)) &&
            !sp_failed(sp_ssh_cert_verify(&cert))) {
            fail_msg("byte %zu of %zu changes nothing", i, blob->len);
        }
        blob->ptr[i] ^= 1;
    }
}

static void certificates_of_each_authority(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *bits;
        const char *how;
    } CAS[] = {{"ed25519", "256", "ssh-ed25519"},       {"ecdsa", "256", "ecdsa-sha2-nistp256"},
               {"ecdsa", "384", "ecdsa-sha2-nistp384"}, {"ecdsa", "521", "ecdsa-sha2-nistp521"},
               {"rsa", "2048", "rsa-sha2-512"},         {"rsa", "3072", "rsa-sha2-256"}};
    keygen("-t", "ed25519", "-N", "", "-f", "key");
    for (size_t i = 0; i < SP_COUNT(CAS); i++) {
        char name[32];
        assert_true(snprintf(name, sizeof(name), "ca%zu", i) > 0);
        keygen("-t", CAS[i].type, "-b", CAS[i].bits, "-N", "", "-f", name);
        keygen("-s", name, "-t", CAS[i].how, "-I", "id", "-n", "ops", "key.pub");
        auto_buf sp_buf blob = sp_buf_make(SP_SSH_CERT_MAX_BYTES);
        read_cert("key-cert.pub", &blob);
        check_every_byte(&blob);
    }
}

static void sha1_is_not_taken(void **state)
{
    (void)state;
    keygen("-s", "ca4", "-t", "ssh-rsa", "-I", "id", "-n", "ops", "key.pub");
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_CERT_MAX_BYTES);
    sp_ssh_cert cert;
    read_cert("key-cert.pub", &blob);
    assert_ok(sp_ssh_cert_parse(sp_buf_borrow(&blob), &cert));
    assert_fails(sp_ssh_cert_verify(&cert), SP_EUNSUPPORTED);
}

static void security_keys_need_a_present_person(void **state)
{
    (void)state;
    sp_sign_key secret;
    sp_verify_key public;
    sp_sign_key_new(&secret, &public);
    sp_ssh_key key = {.type = SP_SSH_KEY_SK_ED25519,
                      .point = sp_span_of(public.bytes, sizeof(public.bytes)),
                      .application = SP_SPAN_LIT("ssh:")};
    for (uint8_t flags = 0; flags < 6; flags++) {
        sp_hash application = sp_sha256(key.application);
        sp_hash message = sp_sha256(SP_SPAN_LIT("bytes"));
        auto_buf sp_buf signed_bytes = sp_buf_make(100);
        sp_buf_span(&signed_bytes, sp_hash_borrow(&application));
        sp_buf_u8(&signed_bytes, flags);
        sp_buf_u32(&signed_bytes, 7);
        sp_buf_span(&signed_bytes, sp_hash_borrow(&message));
        sp_signature made = sp_sign(&secret, sp_buf_borrow(&signed_bytes));
        auto_buf sp_buf blob = sp_buf_make(200);
        sp_buf_bytes(&blob, SP_SPAN_LIT("sk-ssh-ed25519@openssh.com"));
        sp_buf_bytes(&blob, sp_span_of(made.bytes, sizeof(made.bytes)));
        sp_buf_u8(&blob, flags);
        sp_buf_u32(&blob, 7);
        sp_err err = sp_ssh_verify(&key, SP_SPAN_LIT("bytes"), sp_buf_borrow(&blob));
        assert_int_equal(err.code, (flags & 1) != 0 ? SP_OK : SP_EDENIED);
        assert_fails(sp_ssh_verify(&key, SP_SPAN_LIT("Bytes"), sp_buf_borrow(&blob)), SP_EDENIED);
        blob.ptr[blob.len - 1] ^= 1; /* the counter is signed */
        assert_fails(sp_ssh_verify(&key, SP_SPAN_LIT("bytes"), sp_buf_borrow(&blob)), SP_EDENIED);
    }
    sp_sign_key_wipe(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_of_each_authority),
        cmocka_unit_test(sha1_is_not_taken),
        cmocka_unit_test(security_keys_need_a_present_person),
    };
    return sp_failed(sp_crypto_start())
               ? 1
               : cmocka_run_group_tests(tests, keygen_setup, keygen_teardown);
}
