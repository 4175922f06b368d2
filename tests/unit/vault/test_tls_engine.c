/* SPDX-License-Identifier: Apache-2.0
 * Tests of the TLS engine against a real vault: handshakes of TLS 1.2 and 1.3 with EC and RSA keys,
 * a vault that is killed and comes back, and one that stays away.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/tls/engine.h.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "infra/tls/engine.h"

#include "infra/crypto/random.h"
#include "infra/crypto/x509.h"
#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "lib/proto/vault_msg.h"
#include "tests/unit/cm.h"
#include "tests/unit/vault/role.h"

#include <openssl/engine.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REST_US = 300 * 1000, HANDSHAKES = 300 };

typedef struct {
    vault_role role;
    SSL_CTX *server;
    SSL_CTX *client;
    char key_name[SP_VAULT_NAME_MAX_BYTES + 1];
} site;

static void ask_identity(site *it, sp_buf *reply)
{
    auto_close int fd = -1;
    speak_as(&it->role, SP_ROLE_WEB);
    assert_ok(sp_ipc_connect(it->role.socket, &fd));
    assert_ok(sp_ipc_call(fd, SP_VAULT_TLS_IDENTITY, SP_SPAN_EMPTY, 5000, reply, NULL));
}

static void load_chain(site *it, sp_span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(leaf);
    assert_int_equal(SSL_CTX_use_certificate(it->server, leaf), 1);
    X509 *last = leaf;
    X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_int_equal(
        X509_STORE_add_cert(SSL_CTX_get_cert_store(it->client), ca != NULL ? ca : last), 1);
    X509_free(leaf);
    X509_free(ca);
    BIO_free(bio);
}

/* As nginx does it: the engine by its name, then the key by its own. */
static void load_key(site *it)
{
    ENGINE *engine = ENGINE_by_id("sallyport");
    assert_non_null(engine);
    EVP_PKEY *key = ENGINE_load_private_key(engine, it->key_name, NULL, NULL);
    assert_non_null(key);
    ENGINE_free(engine);
    assert_int_equal(SSL_CTX_use_PrivateKey(it->server, key), 1);
    assert_int_equal(SSL_CTX_check_private_key(it->server), 1);
    EVP_PKEY_free(key);
}

static void open_site(site *it)
{
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_vault_tls_identity identity;
    vault_role_start(&it->role);
    ask_identity(it, &reply);
    assert_ok(sp_vault_tls_identity_decode(sp_buf_borrow(&reply), &identity));
    assert_ok(sp_fit(it->key_name, sizeof(it->key_name), identity.key_name));
    assert_ok(sp_tls_engine_register(it->role.socket));
    it->server = SSL_CTX_new(TLS_server_method());
    it->client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(it->client, SSL_VERIFY_PEER, NULL);
    load_chain(it, identity.chain);
    load_key(it);
}

static bool handshake(site *it, int version, const char *sigalgs)
{
    SSL *server = SSL_new(it->server);
    SSL *client = SSL_new(it->client);
    BIO *a = NULL;
    BIO *b = NULL;
    BIO_new_bio_pair(&a, 0, &b, 0);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    SSL_set_min_proto_version(client, version);
    SSL_set_max_proto_version(client, version);
    if (sigalgs != NULL) {
        assert_int_equal(SSL_set1_sigalgs_list(client, sigalgs), 1);
    }
    bool done = false;
    for (int i = 0; i < 10 && !done; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
        done = SSL_is_init_finished(client) && SSL_is_init_finished(server);
    }
    SSL_free(server);
    SSL_free(client);
    return done;
}

static void close_site(site *it)
{
    SSL_CTX_free(it->server);
    SSL_CTX_free(it->client);
    vault_role_done(&it->role);
}

static void signs_with_p256(void **state)
{
    (void)state;
    site it = {0};
    vault_role_make(&it.role, "own");
    open_site(&it);
    assert_true(handshake(&it, TLS1_3_VERSION, NULL));
    assert_true(handshake(&it, TLS1_2_VERSION, NULL));
    assert_true(handshake(&it, TLS1_2_VERSION, "ECDSA+SHA384"));
    assert_true(handshake(&it, TLS1_2_VERSION, "ECDSA+SHA512"));
    assert_false(handshake(&it, TLS1_2_VERSION, "RSA-PSS+SHA256"));
    close_site(&it);
}

/* Certificate and key files of the operator. */
static void write_rsa_files(const vault_role *role)
{
    char path[160];
    EVP_PKEY *key = EVP_RSA_gen(2048);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf pem = sp_buf_make(SP_CERT_MAX_BYTES * 2);
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_cert_spec spec = {.use = SP_CERT_SERVER,
                         .common_name = SP_SPAN_LIT("files"),
                         .dns_names = {SP_SPAN_LIT("*.office.localhost")},
                         .dns_count = 1,
                         .not_before_unix_s = now_unix_s - 60,
                         .not_after_unix_s = now_unix_s + 86400};
    assert_ok(sp_cert_issue(&spec, key, SP_SPAN_EMPTY, key, &der));
    sp_cert_pem(sp_buf_borrow(&der), &pem);
    snprintf(path, sizeof(path), "%s/tls.crt", role->dir);
    assert_ok(sp_file_replace(path, 0644, sp_buf_borrow(&pem)));
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &text);
    snprintf(path, sizeof(path), "%s/tls.key", role->dir);
    assert_ok(sp_file_replace(path, 0644, sp_span_of(text, (size_t)len)));
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void signs_with_rsa_from_files(void **state)
{
    (void)state;
    site it = {0};
    vault_role_make(&it.role, "{ certificate: $/tls.crt, key: $/tls.key }");
    write_rsa_files(&it.role);
    open_site(&it);
    assert_true(sp_span_starts(sp_span_cstr(it.key_name), SP_SPAN_LIT("tls.file.")));
    assert_true(handshake(&it, TLS1_3_VERSION, NULL));
    assert_true(handshake(&it, TLS1_2_VERSION, "RSA-PSS+SHA384"));
    assert_true(handshake(&it, TLS1_2_VERSION, "RSA+SHA256"));
    assert_true(handshake(&it, TLS1_2_VERSION, "RSA+SHA512"));
    close_site(&it);
}

static void finds_a_vault_that_came_back(void **state)
{
    (void)state;
    site it = {0};
    vault_role_make(&it.role, "own");
    open_site(&it);
    assert_true(handshake(&it, TLS1_3_VERSION, NULL));
    vault_role_kill(&it.role);
    vault_role_start(&it.role);
    speak_as(&it.role, SP_ROLE_WEB);
    assert_true(handshake(&it, TLS1_3_VERSION, NULL)); /* waits for it, within the limit */
    assert_true(handshake(&it, TLS1_3_VERSION, NULL));
    close_site(&it);
}

static void never_waits_long_for_a_dead_vault(void **state)
{
    (void)state;
    site it = {0};
    vault_role_make(&it.role, "own");
    open_site(&it);
    assert_true(handshake(&it, TLS1_3_VERSION, NULL));
    vault_role_kill(&it.role);
    speak_as(&it.role, SP_ROLE_WEB);
    uint64_t from_us = sp_now_steady_us();
    assert_false(handshake(&it, TLS1_3_VERSION, NULL));
    uint64_t first_us = sp_now_steady_us() - from_us;
    assert_true(first_us < 4 * 1000 * 1000);
    from_us = sp_now_steady_us();
    for (int i = 0; i < 20; i++) {
        assert_false(handshake(&it, TLS1_3_VERSION, NULL));
    }
    assert_true(sp_now_steady_us() - from_us < 5 * 1000 * 1000); /* all twenty, not a second each */
    vault_role_start(&it.role);
    usleep(REST_US);
    speak_as(&it.role, SP_ROLE_WEB);
    bool good = false;
    for (int i = 0; i < 20 && !good; i++) {
        good = handshake(&it, TLS1_3_VERSION, NULL);
        usleep(good ? 0 : REST_US);
    }
    assert_true(good);
    close_site(&it);
}

static void a_child_has_its_own_connection(void **state)
{
    (void)state;
    site it = {0};
    vault_role_make(&it.role, "own");
    open_site(&it);
    assert_true(handshake(&it, TLS1_3_VERSION, NULL));
    for (int child = 0; child < 2; child++) {
        pid_t pid = fork();
        if (pid == 0) {
            bool good = true;
            for (int i = 0; i < HANDSHAKES / 10; i++) {
                good = good && handshake(&it, TLS1_3_VERSION, NULL);
            }
            _exit(good ? 0 : 1);
        }
        assert_true(pid > 0);
    }
    for (int i = 0; i < HANDSHAKES / 10; i++) {
        assert_true(handshake(&it, TLS1_3_VERSION, NULL));
    }
    for (int child = 0; child < 2; child++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    close_site(&it);
}

static int start(void **state)
{
    (void)state;
    assert_ok(sp_crypto_start());
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_with_p256),
        cmocka_unit_test(signs_with_rsa_from_files),
        cmocka_unit_test(finds_a_vault_that_came_back),
        cmocka_unit_test(never_waits_long_for_a_dead_vault),
        cmocka_unit_test(a_child_has_its_own_connection),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
