/* SPDX-License-Identifier: Apache-2.0
 * Tests of the vault's messages: each body comes back as it went, and no cut of it is taken.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/vault_msg.h.
 */
#include "lib/proto/vault_msg.h"
#include "tests/unit/cm.h"

/* No shorter body, and none with a byte behind it, may decode. */
#define ONLY_WHOLE(body, decode, type)                                                             \
    do {                                                                                           \
        static type spoiled_;                                                                      \
        for (size_t len_ = 0; len_ < (body).len; len_++) {                                         \
            assert_true(sp_failed(decode(sp_span_of((body).ptr, len_), &spoiled_)));               \
        }                                                                                          \
        sp_buf_byte(&(body), 0);                                                                   \
        assert_true(sp_failed(decode(sp_buf_borrow(&(body)), &spoiled_)));                         \
    } while (0)

static void device_issue(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    sp_vault_device_issue ask = {7, SP_SPAN_LIT("laptop"), 3600, SP_SPAN_LIT("csr")};
    sp_vault_device_issue got;
    sp_vault_device_issue_encode(&ask, &body);
    assert_ok(sp_vault_device_issue_decode(sp_buf_borrow(&body), &got));
    assert_true(got.device == 7 && got.life_s == 3600);
    assert_span_text(got.device_name, "laptop");
    assert_span_text(got.csr, "csr");
    ONLY_WHOLE(body, sp_vault_device_issue_decode, sp_vault_device_issue);
}

static void tls(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    sp_vault_tls_sign ask = {SP_SPAN_LIT("tls.own.1"), SP_TLS_ECDSA_SHA256, SP_SPAN_LIT("digest")};
    sp_vault_tls_sign got;
    sp_vault_tls_sign_encode(&ask, &body);
    assert_ok(sp_vault_tls_sign_decode(sp_buf_borrow(&body), &got));
    assert_int_equal(got.scheme, SP_TLS_ECDSA_SHA256);
    assert_span_text(got.key_name, "tls.own.1");
    assert_span_text(got.digest, "digest");
    ONLY_WHOLE(body, sp_vault_tls_sign_decode, sp_vault_tls_sign);
    auto_buf sp_buf reply = sp_buf_make(8192);
    sp_vault_tls_identity identity = {SP_SPAN_LIT("k"), 99, SP_SPAN_LIT("chain")};
    sp_vault_tls_identity read;
    sp_vault_tls_identity_encode(&identity, &reply);
    assert_ok(sp_vault_tls_identity_decode(sp_buf_borrow(&reply), &read));
    assert_true(read.not_after_unix_s == 99);
    assert_span_text(read.chain, "chain");
    ONLY_WHOLE(reply, sp_vault_tls_identity_decode, sp_vault_tls_identity);
}

static void ssh(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    auto_buf sp_buf again = sp_buf_make(8192);
    sp_vault_ssh_certify ask = {
        .ca = SP_VAULT_SSH_USER_CA,
        .blob = SP_SPAN_LIT("key"),
        .key_id = SP_SPAN_LIT("zhao.min/1"),
        .valid_after_unix_s = 1,
        .valid_before_unix_s = 2,
        .principal_count = 2,
        .critical_count = 1,
        .extension_count = 2,
        .principals = {SP_SPAN_LIT("ops"), SP_SPAN_LIT("dev")},
        .critical = {{SP_SPAN_LIT("source-address"), SP_SPAN_LIT("10.0.0.0/8")}},
        .extensions = {{SP_SPAN_LIT("device@sallyport"), SP_SPAN_LIT("7")},
                       {SP_SPAN_LIT("permit-pty"), SP_SPAN_EMPTY}}};
    sp_vault_ssh_certify got;
    sp_vault_ssh_certify_encode(&ask, &body);
    assert_ok(sp_vault_ssh_certify_decode(sp_buf_borrow(&body), &got));
    sp_vault_ssh_certify_encode(&got, &again);
    assert_true(sp_span_eq(sp_buf_borrow(&body), sp_buf_borrow(&again)));
    assert_span_text(got.extensions[1].name, "permit-pty");
    ONLY_WHOLE(body, sp_vault_ssh_certify_decode, sp_vault_ssh_certify);
    sp_vault_ssh_named named = {SP_SPAN_LIT("a/b"), SP_SPAN_LIT("bytes")};
    sp_buf_reset(&body);
    sp_vault_ssh_named_encode(&named, &body);
    named = (sp_vault_ssh_named){0};
    assert_ok(sp_vault_ssh_named_decode(sp_buf_borrow(&body), &named));
    assert_span_text(named.bytes, "bytes");
    ONLY_WHOLE(body, sp_vault_ssh_named_decode, sp_vault_ssh_named);
    sp_vault_ssh_key which = SP_VAULT_SSH_HOST;
    auto_buf sp_buf one = sp_buf_make(8);
    sp_vault_ssh_public_encode(SP_VAULT_SSH_TARGET_CA, &one);
    assert_ok(sp_vault_ssh_public_decode(sp_buf_borrow(&one), &which));
    assert_int_equal(which, SP_VAULT_SSH_TARGET_CA);
    assert_true(sp_failed(sp_vault_ssh_public_decode(SP_SPAN_LIT("\3"), &which)));
}

static void databases(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    sp_vault_db_credential put = {SP_SPAN_LIT("orders-db/op_dba"), SP_SPAN_LIT("secret")};
    sp_vault_db_credential put_read;
    sp_vault_db_credential_encode(&put, &body);
    assert_ok(sp_vault_db_credential_decode(sp_buf_borrow(&body), &put_read));
    assert_span_text(put_read.name, "orders-db/op_dba");
    assert_span_text(put_read.password, "secret");
    ONLY_WHOLE(body, sp_vault_db_credential_decode, sp_vault_db_credential);

    auto_buf sp_buf ask_body = sp_buf_make(8192);
    sp_vault_db_proof ask = {.method = SP_VAULT_DB_SCRAM,
                             .name = SP_SPAN_LIT("orders-db/op_dba"),
                             .salt = SP_SPAN_LIT("salt"),
                             .iterations = 4096,
                             .auth_message = SP_SPAN_LIT("n=,r=a,...")};
    sp_vault_db_proof read;
    sp_vault_db_proof_encode(&ask, &ask_body);
    assert_ok(sp_vault_db_proof_decode(sp_buf_borrow(&ask_body), &read));
    assert_int_equal(read.iterations, 4096);
    assert_span_text(read.auth_message, "n=,r=a,...");
    ONLY_WHOLE(ask_body, sp_vault_db_proof_decode, sp_vault_db_proof);
    sp_vault_db_proof bad[4] = {ask, ask, ask, ask};
    bad[0].iterations = 0;
    bad[1].iterations = SP_VAULT_ITERATIONS_MAX + 1;
    bad[2].salt = SP_SPAN_EMPTY;
    bad[3].method = SP_VAULT_DB_MD5; /* which has neither iterations nor a message */
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sp_buf_reset(&ask_body);
        sp_vault_db_proof_encode(&bad[i], &ask_body);
        assert_true(sp_failed(sp_vault_db_proof_decode(sp_buf_borrow(&ask_body), &read)));
    }

    auto_buf sp_buf reply = sp_buf_make(8192);
    sp_vault_db_proved proved = {SP_SPAN_LIT("proof"), SP_SPAN_LIT("server")};
    sp_vault_db_proved proved_read;
    sp_vault_db_proved_encode(&proved, &reply);
    assert_ok(sp_vault_db_proved_decode(sp_buf_borrow(&reply), &proved_read));
    assert_span_text(proved_read.server, "server");
    ONLY_WHOLE(reply, sp_vault_db_proved_decode, sp_vault_db_proved);
}

static void checkpoint(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    static sp_vault_checkpoint ask = {.old_size = 1, .new_size = 2, .proof_count = 64};
    static sp_vault_checkpoint got;
    for (size_t i = 0; i < 64; i++) {
        sp_set(ask.proof[i].bytes, (uint8_t)i, SP_SHA256_BYTES);
    }
    sp_vault_checkpoint_encode(&ask, &body);
    assert_ok(sp_vault_checkpoint_decode(sp_buf_borrow(&body), &got));
    assert_memory_equal(&got, &ask, sizeof(got));
    body.ptr[48] = 65; /* one more than there may be */
    assert_true(sp_failed(sp_vault_checkpoint_decode(sp_buf_borrow(&body), &got)));
    body.ptr[48] = 64;
    ONLY_WHOLE(body, sp_vault_checkpoint_decode, sp_vault_checkpoint);
    auto_buf sp_buf reply = sp_buf_make(8192);
    sp_vault_checkpoint_last last = {.size = 5,
                                     .origin = SP_SPAN_LIT("office.example"),
                                     .verifier_key = SP_SPAN_LIT("key"),
                                     .note = SP_SPAN_LIT("note")};
    sp_vault_checkpoint_last read;
    sp_vault_checkpoint_last_encode(&last, &reply);
    assert_ok(sp_vault_checkpoint_last_decode(sp_buf_borrow(&reply), &read));
    assert_true(read.size == 5);
    assert_span_text(read.note, "note");
    ONLY_WHOLE(reply, sp_vault_checkpoint_last_decode, sp_vault_checkpoint_last);
}

static void wrap_and_issued(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    sp_vault_wrap ask = {SP_SPAN_LIT("subject"), SP_SPAN_LIT("bytes")};
    sp_vault_wrap got;
    sp_vault_wrap_encode(&ask, &body);
    assert_ok(sp_vault_wrap_decode(sp_buf_borrow(&body), &got));
    assert_span_text(got.bound, "subject");
    assert_span_text(got.bytes, "bytes");
    ONLY_WHOLE(body, sp_vault_wrap_decode, sp_vault_wrap);
    auto_buf sp_buf reply = sp_buf_make(8192);
    sp_vault_issued issued = {1, 2, SP_SPAN_LIT("der")};
    sp_vault_issued read;
    sp_vault_issued_encode(&issued, &reply);
    assert_ok(sp_vault_issued_decode(sp_buf_borrow(&reply), &read));
    assert_true(read.not_before_unix_s == 1 && read.not_after_unix_s == 2);
    ONLY_WHOLE(reply, sp_vault_issued_decode, sp_vault_issued);
}

static void keys_and_ca(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    static sp_vault_keys keys = {.count = 2,
                                 .items = {{{(const uint8_t *)"a", 1}, {NULL, 0}, {NULL, 0}, 3},
                                           {{(const uint8_t *)"b", 1}, {NULL, 0}, {NULL, 0}, 4}}};
    static sp_vault_keys got;
    sp_vault_keys_encode(&keys, &body);
    assert_ok(sp_vault_keys_decode(sp_buf_borrow(&body), &got));
    assert_int_equal(got.count, 2);
    assert_span_text(got.items[1].name, "b");
    ONLY_WHOLE(body, sp_vault_keys_decode, sp_vault_keys);
    sp_vault_ca which = SP_VAULT_CA_DEVICE;
    assert_ok(sp_vault_ca_decode(SP_SPAN_LIT("\1"), &which));
    assert_int_equal(which, SP_VAULT_CA_OFFICE);
    assert_fails(sp_vault_ca_decode(SP_SPAN_LIT("\2"), &which), SP_EINVALID);
}

static void exported(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(8192);
    sp_vault_exported one = {SP_SPAN_LIT("office.example"), 7, {{1}}, SP_SPAN_LIT("sealed")};
    sp_vault_exported got;
    sp_vault_exported_encode(&one, &body);
    assert_ok(sp_vault_exported_decode(sp_buf_borrow(&body), &got));
    assert_span_text(got.domain, "office.example");
    assert_span_text(got.sealed, "sealed");
    assert_true(got.entries == 7 && sp_hash_eq(&got.root, &one.root));
    ONLY_WHOLE(body, sp_vault_exported_decode, sp_vault_exported);
}

static void words(void **state)
{
    (void)state;
    assert_string_equal(sp_vault_kind_word(SP_VAULT_PING), "PING");
    assert_string_equal(sp_vault_kind_word(SP_VAULT_EXPORT), "EXPORT");
    assert_string_equal(sp_vault_kind_word(SP_VAULT_KIND_END), "unknown");
    assert_string_equal(sp_vault_kind_word(0), "unknown");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_issue), cmocka_unit_test(tls),
        cmocka_unit_test(databases),    cmocka_unit_test(ssh),
        cmocka_unit_test(checkpoint),   cmocka_unit_test(wrap_and_issued),
        cmocka_unit_test(keys_and_ca),  cmocka_unit_test(words),
        cmocka_unit_test(exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
