/* SPDX-License-Identifier: Apache-2.0
 * Tests of the vault's parts: keyring file, master key, wrapping, tokens, device CA.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC vault/README.md.
 */
#include "infra/crypto/jwt.h"
#include "infra/crypto/random.h"
#include "infra/crypto/x509.h"
#include "infra/proc/file.h"
#include "tests/unit/cm.h"
#include "vault/database.h"
#include "vault/db_certificate.h"
#include "vault/device_ca.h"
#include "vault/master.h"
#include "vault/token.h"
#include "vault/wrap.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOW = 1790000000, DAY = 86400 };

typedef struct {
    char dir[64];
    sp_key master;
    sp_keyring *ring;
} place;

static int set_up(void **state)
{
    static place it;
    it = (place){.dir = "/tmp/sp-ring-XXXXXX"};
    assert_ok(sp_crypto_start());
    assert_non_null(mkdtemp(it.dir));
    it.master = sp_key_new();
    assert_ok(sp_keyring_open(it.dir, &it.master, &it.ring));
    *state = &it;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int tear_down(void **state)
{
    place *it = *state;
    sp_keyring_free(it->ring);
    nftw(it->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static void path_of(const place *it, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", it->dir, name);
}

static void fill(place *it)
{
    bool made = false;
    assert_ok(sp_device_ca_prepare(it->ring, "Lantern", NOW, &made));
    assert_ok(sp_wrap_prepare(it->ring, NOW, &made));
    assert_ok(sp_token_prepare(it->ring, NOW, &made));
    assert_true(made);
    assert_ok(sp_keyring_save(it->ring));
}

/* ---- the keyring ---- */

static void keeps_keys(void **state)
{
    place *it = *state;
    sp_keyring *again = NULL;
    fill(it);
    size_t count = sp_keyring_count(it->ring);
    assert_ok(sp_keyring_open(it->dir, &it->master, &again));
    assert_int_equal(sp_keyring_count(again), count);
    for (size_t i = 0; i < count; i++) {
        const sp_vkey *a = sp_keyring_at(it->ring, i);
        const sp_vkey *b = sp_keyring_at(again, i);
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->purpose, b->purpose);
        assert_memory_equal(&a->aead, &b->aead, sizeof(a->aead));
        assert_true(a->pair == NULL || sp_pkey_same_public(a->pair, b->pair));
        assert_true(sp_span_eq(sp_vkey_certificate(a), sp_vkey_certificate(b)));
    }
    sp_keyring_free(again);
    char path[128];
    struct stat st;
    path_of(it, "keyring", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void refuses_another_master_and_any_change(void **state)
{
    place *it = *state;
    sp_keyring *none = NULL;
    sp_key other = sp_key_new();
    auto_buf sp_buf file = sp_buf_make(1 << 20);
    char path[128];
    fill(it);
    assert_fails(sp_keyring_open(it->dir, &other, &none), SP_ECORRUPT);
    path_of(it, "keyring", path);
    assert_ok(sp_file_read(path, &file));
    for (size_t i = 0; i < file.len; i += (i < 64 ? 1 : 17)) {
        file.ptr[i] ^= 0x10;
        assert_ok(sp_file_replace(path, 0600, sp_buf_borrow(&file)));
        assert_fails(sp_keyring_open(it->dir, &it->master, &none), SP_ECORRUPT);
        file.ptr[i] ^= 0x10;
    }
    for (size_t len = 0; len < file.len; len += 31) {
        assert_ok(sp_file_replace(path, 0600, sp_span_of(file.ptr, len)));
        assert_fails(sp_keyring_open(it->dir, &it->master, &none), SP_ECORRUPT);
    }
    /* no private key can be read off the disk */
    auto_buf sp_buf der = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    const sp_vkey *ca = sp_keyring_find(it->ring, SP_SPAN_LIT("device-ca"));
    assert_ok(sp_pkey_der(ca->pair, &der));
    sp_span secret = sp_span_slice(sp_buf_borrow(&der), 36, 68);
    assert_int_equal(sp_span_find(sp_buf_borrow(&file), secret), file.len);
}

static void forgets_what_has_ended(void **state)
{
    place *it = *state;
    sp_vkey *key = NULL;
    assert_ok(sp_keyring_make(it->ring, SP_SPAN_LIT("a"), SP_VKEY_AEAD, "one", NOW, &key));
    key->ends_unix_s = NOW + 10;
    assert_ok(sp_keyring_make(it->ring, SP_SPAN_LIT("b"), SP_VKEY_AEAD, "two", NOW, &key));
    assert_fails(sp_keyring_make(it->ring, SP_SPAN_LIT("b"), SP_VKEY_AEAD, "two", NOW, &key),
                 SP_EEXISTS);
    assert_false(sp_keyring_expire(it->ring, NOW + 9));
    assert_true(sp_keyring_expire(it->ring, NOW + 10));
    assert_int_equal(sp_keyring_count(it->ring), 1);
    assert_null(sp_keyring_find(it->ring, SP_SPAN_LIT("a")));
}

/* ---- the master key ---- */

static void makes_a_master_key_only_for_a_fresh_office(void **state)
{
    place *it = *state;
    sp_key key;
    sp_key again;
    const char *word = NULL;
    char path[128];
    auto_buf sp_buf why = sp_buf_make(1024);
    assert_fails(sp_master_load(it->dir, false, &key, &word, &why), SP_ENOTFOUND);
    assert_true(why.len > 0);
    assert_ok(sp_master_load(it->dir, true, &key, &word, &why));
    assert_string_equal(word, "file");
    assert_ok(sp_master_load(it->dir, false, &again, &word, &why));
    assert_memory_equal(key.bytes, again.bytes, SP_KEY_BYTES);
    path_of(it, "master.key", path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_fails(sp_master_load(it->dir, false, &key, &word, &why), SP_EDENIED);
    assert_ok(sp_file_replace(path, 0600, SP_SPAN_LIT("short")));
    assert_fails(sp_master_load(it->dir, true, &key, &word, &why), SP_ECORRUPT);
}

static void prefers_a_credential(void **state)
{
    place *it = *state;
    sp_key key;
    const char *word = NULL;
    char path[128];
    auto_buf sp_buf why = sp_buf_make(1024);
    path_of(it, "sallyport-master", path);
    assert_ok(sp_file_replace(path, 0400, SP_SPAN_LIT("0123456789abcdef0123456789abcdef")));
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", it->dir, 1), 0);
    sp_err err = sp_master_load(it->dir, false, &key, &word, &why);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_ok(err);
    assert_string_equal(word, "credential");
    assert_memory_equal(key.bytes, "0123456789abcdef0123456789abcdef", SP_KEY_BYTES);
}

/* ---- wrapping ---- */

static void wraps_for_one_role_and_one_place(void **state)
{
    place *it = *state;
    auto_buf sp_buf wrapped = sp_buf_make(1024);
    auto_buf sp_buf plain = sp_buf_make(1024);
    fill(it);
    sp_vault_wrap ask = {SP_SPAN_LIT("subject 7"), SP_SPAN_LIT("a key")};
    assert_ok(sp_wrap(it->ring, "ledger", &ask, &wrapped));
    sp_vault_wrap back = {SP_SPAN_LIT("subject 7"), sp_buf_borrow(&wrapped)};
    assert_ok(sp_unwrap(it->ring, "ledger", &back, &plain));
    assert_span_text(sp_buf_borrow(&plain), "a key");
    sp_buf_reset(&plain);
    assert_fails(sp_unwrap(it->ring, "core", &back, &plain), SP_ECORRUPT);
    assert_fails(sp_unwrap(it->ring, "nobody", &back, &plain), SP_ENOTFOUND);
    back.bound = SP_SPAN_LIT("subject 8");
    assert_fails(sp_unwrap(it->ring, "ledger", &back, &plain), SP_ECORRUPT);
    back.bound = ask.bound;
    for (size_t i = 0; i < wrapped.len; i++) {
        wrapped.ptr[i] ^= 1;
        assert_fails(sp_unwrap(it->ring, "ledger", &back, &plain), SP_ECORRUPT);
        wrapped.ptr[i] ^= 1;
    }
    assert_int_equal(plain.len, 0);
}

/* ---- tokens ---- */

static const sp_token_bounds BOUNDS = {{(const uint8_t *)"https://portal.office.example", 29},
                                       {(const uint8_t *)"office.example", 14}};

static void claims(sp_buf *out, const char *iss, const char *aud, long iat, long exp)
{
    sp_buf_reset(out);
    sp_buf_fmt(
        out, "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"li\",\"jti\":\"1\",\"iat\":%ld,\"exp\":%ld}",
        iss, aud, iat, exp);
}

static sp_err sign(place *it, const sp_buf *text)
{
    auto_buf sp_buf token = sp_buf_make(SP_JWT_MAX_BYTES);
    return sp_token_sign(it->ring, &BOUNDS, sp_buf_borrow(text), NOW, &token);
}

static void signs_only_tokens_of_this_office(void **state)
{
    place *it = *state;
    auto_buf sp_buf text = sp_buf_make(1024);
    const char *iss = "https://portal.office.example";
    const char *aud = "wiki.office.example";
    fill(it);
    claims(&text, iss, aud, NOW, NOW + 300);
    assert_ok(sign(it, &text));
    claims(&text, iss, "https://wiki.office.example:8443", NOW, NOW + 300);
    assert_ok(sign(it, &text));
    claims(&text, iss, aud, NOW, NOW + 301);
    assert_fails(sign(it, &text), SP_EDENIED);
    claims(&text, iss, aud, NOW + 3600, NOW + 3700); /* not for later */
    assert_fails(sign(it, &text), SP_EDENIED);
    claims(&text, iss, aud, NOW - 400, NOW - 100); /* nor for the past */
    assert_fails(sign(it, &text), SP_EDENIED);
    claims(&text, iss, aud, NOW, NOW);
    assert_fails(sign(it, &text), SP_EDENIED);
    claims(&text, "https://bank.example", aud, NOW, NOW + 60);
    assert_fails(sign(it, &text), SP_EDENIED);
    static const char *const audiences[] = {"bank.example",
                                            "office.example",
                                            ".office.example",
                                            "evil-office.example",
                                            "",
                                            "https://bank.example",
                                            "https://bank.example/.office.example",
                                            "https://wiki.office.example:x",
                                            "https://bank.example:1.office.example"};
    for (size_t i = 0; i < SP_COUNT(audiences); i++) {
        claims(&text, iss, audiences[i], NOW, NOW + 60);
        assert_fails(sign(it, &text), SP_EDENIED);
    }
    static const char *const malformed[] = {"", "[]", "{", "{\"a\":1,\"a\":2}", "{}{}", "\"x\""};
    for (size_t i = 0; i < SP_COUNT(malformed); i++) {
        sp_buf_reset(&text);
        sp_buf_text(&text, malformed[i]);
        assert_fails(sign(it, &text), SP_EINVALID);
    }
}

static size_t keys_in(place *it)
{
    auto_buf sp_buf set = sp_buf_make(16 * 1024);
    assert_ok(sp_token_jwks(it->ring, &set));
    size_t count = 0;
    sp_span rest = sp_buf_borrow(&set);
    for (;;) {
        size_t at = sp_span_find(rest, SP_SPAN_LIT("\"kid\""));
        if (at == rest.len) {
            return count;
        }
        count++;
        rest = sp_span_slice(rest, at + 1, rest.len);
    }
}

static void publishes_the_next_key_before_it_signs(void **state)
{
    place *it = *state;
    auto_buf sp_buf text = sp_buf_make(1024);
    auto_buf sp_buf before = sp_buf_make(SP_JWT_MAX_BYTES);
    auto_buf sp_buf after = sp_buf_make(SP_JWT_MAX_BYTES);
    auto_buf sp_buf opened = sp_buf_make(1024);
    fill(it);
    claims(&text, "https://portal.office.example", "wiki.office.example", NOW, NOW + 60);
    assert_ok(sp_token_sign(it->ring, &BOUNDS, sp_buf_borrow(&text), NOW, &before));
    sp_pkey *first = sp_keyring_find(it->ring, SP_SPAN_LIT("token.1"))->pair;
    sp_pkey *next = sp_keyring_find(it->ring, SP_SPAN_LIT("token.2"))->pair;
    assert_ok(sp_jwt_open(first, sp_buf_borrow(&before), &opened));
    assert_int_equal(keys_in(it), 2);
    assert_ok(sp_token_rotate(it->ring, NOW));
    assert_int_equal(keys_in(it), 3); /* the old one is still published */
    assert_ok(sp_token_sign(it->ring, &BOUNDS, sp_buf_borrow(&text), NOW, &after));
    sp_buf_reset(&opened);
    assert_ok(sp_jwt_open(next, sp_buf_borrow(&after), &opened));
    assert_true(sp_keyring_expire(it->ring, NOW + SP_TOKEN_KEEP_S));
    assert_int_equal(keys_in(it), 2);
    assert_false(sp_token_due(it->ring, NOW + SP_TOKEN_ROTATE_S));
    assert_true(sp_token_due(it->ring, NOW + SP_TOKEN_ROTATE_S + 1));
}

static void rotations_do_not_fill_the_ring(void **state)
{
    place *it = *state;
    fill(it);
    for (size_t i = 0; i < SP_TOKEN_RETIRED_MAX; i++) {
        assert_ok(sp_token_rotate(it->ring, NOW));
    }
    size_t count = sp_keyring_count(it->ring);
    assert_fails(sp_token_rotate(it->ring, NOW), SP_ELIMIT);
    assert_int_equal(sp_keyring_count(it->ring), count);
    assert_true(sp_keyring_expire(it->ring, NOW + SP_TOKEN_KEEP_S));
    assert_ok(sp_token_rotate(it->ring, NOW + SP_TOKEN_KEEP_S));
}

/* ---- devices ---- */

static void certifies_a_device(void **state)
{
    place *it = *state;
    auto_pkey sp_pkey *key = NULL;
    auto_buf sp_buf csr = sp_buf_make(SP_CSR_MAX_BYTES);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_vault_issued issued;
    sp_cert_info info;
    fill(it);
    assert_ok(sp_pkey_new_p256(&key));
    assert_ok(sp_csr_make(key, SP_SPAN_LIT("says what it likes"), &csr));
    sp_vault_device_issue ask = {42, SP_SPAN_LIT("laptop"), DAY, sp_buf_borrow(&csr)};
    assert_ok(sp_device_ca_issue(it->ring, "Lantern", &ask, NOW, &der, &issued));
    assert_ok(sp_cert_read(issued.certificate, &info));
    assert_string_equal(info.common_name, "laptop");
    assert_string_equal(info.number, "42");
    assert_true(info.not_after_unix_s == NOW + DAY);
    assert_ok(sp_cert_check(issued.certificate, sp_device_ca_certificate(it->ring), NOW));
    ask.life_s = SP_DEVICE_CERT_MAX_S + 1;
    assert_fails(sp_device_ca_issue(it->ring, "Lantern", &ask, NOW, &der, &issued), SP_EINVALID);
    ask.life_s = 0;
    assert_fails(sp_device_ca_issue(it->ring, "Lantern", &ask, NOW, &der, &issued), SP_EINVALID);
}

static void cuts_long_office_names_between_characters(void **state)
{
    (void)state;
    auto_buf sp_buf name = sp_buf_make(128);
    const char *office = "\xe7\x81\xaf\xe7\xac\xbc\xe8\xb4\xb8\xe6\x98\x93\xe7\x81\xaf\xe7\xac\xbc"
                         "\xe8\xb4\xb8\xe6\x98\x93\xe7\x81\xaf\xe7\xac\xbc\xe8\xb4\xb8\xe6\x98\x93"
                         "\xe7\x81\xaf\xe7\xac\xbc\xe8\xb4\xb8\xe6\x98\x93\xe7\x81\xaf\xe7\xac\xbc"
                         "\xe8\xb4\xb8\xe6\x98\x93";
    sp_ca_name(office, "device CA", &name);
    assert_true(name.len <= 64);
    assert_true(sp_span_is_utf8(sp_buf_borrow(&name)));
    assert_true(sp_span_ends(sp_buf_borrow(&name), SP_SPAN_LIT(" device CA")));
}

/* ---- passwords of databases ---- */

static sp_err put(sp_db_vault *db, const char *name, const char *password, sp_buf *out)
{
    sp_vault_db_credential ask = {sp_span_cstr(name), sp_span_cstr(password)};
    sp_buf_reset(out);
    return sp_db_vault_put(db, &ask, NOW, out);
}

static void assert_base64(sp_span bytes, const char *want)
{
    auto_buf sp_buf text = sp_buf_make(100);
    sp_buf_base64(&text, bytes);
    assert_span_text(sp_buf_borrow(&text), want);
}

/* The published example of RFC 7677, as a database would ask. */
static void proves_database_passwords(void **state)
{
    place *it = *state;
    sp_db_vault *db = NULL;
    sp_db_proof_room room;
    sp_vault_db_proved proved;
    auto_buf sp_buf out = sp_buf_make(1000);
    auto_buf sp_buf salt = sp_buf_make(64);
    assert_ok(sp_buf_unbase64(&salt, SP_SPAN_LIT("W22ZaJ0SNY7soEsUEjb6gQ==")));
    assert_ok(sp_db_vault_new(it->ring, "db:", "password of a database account", &db));
    sp_vault_db_proof ask = {
        .method = SP_VAULT_DB_SCRAM,
        .name = SP_SPAN_LIT("orders-db/user"),
        .salt = sp_buf_borrow(&salt),
        .iterations = 4096,
        .auth_message = SP_SPAN_LIT("n=user,r=rOprNGfwEbeRWgbNEkqO,"
                                    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s="
                                    "W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
                                    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")};
    assert_fails(sp_db_vault_prove(db, &ask, &room, &proved), SP_ENOTFOUND);
    assert_ok(put(db, "orders-db/user", "pencil", &out));
    assert_true(sp_span_starts(sp_buf_borrow(&out), SP_SPAN_LIT("SCRAM-SHA-256$4096:")));
    for (int i = 0; i < 2; i++) { /* made, then remembered */
        assert_ok(sp_db_vault_prove(db, &ask, &room, &proved));
        assert_base64(proved.proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_base64(proved.server, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }
    /* a new password is used at once, whatever is remembered */
    assert_ok(put(db, "orders-db/user", "crayon", &out));
    sp_scram_key before = room.proof;
    assert_ok(sp_db_vault_prove(db, &ask, &room, &proved));
    assert_memory_not_equal(before.bytes, room.proof.bytes, sizeof(before.bytes));
    ask = (sp_vault_db_proof){
        .method = SP_VAULT_DB_MD5, .name = ask.name, .salt = SP_SPAN_LIT("\1\2\3\4")};
    assert_ok(sp_db_vault_prove(db, &ask, &room, &proved));
    assert_int_equal(proved.proof.len, 35);
    sp_db_vault_free(db);
}

static void keeps_and_removes_database_passwords(void **state)
{
    place *it = *state;
    sp_db_vault *db = NULL;
    auto_buf sp_buf out = sp_buf_make(1000);
    static sp_vault_keys list;
    assert_ok(sp_db_vault_new(it->ring, "db:", "password of a database account", &db));
    assert_ok(put(db, "orders-db/op_dba", "", &out));
    static const char *const BAD[] = {"", "orders-db", "/op", "orders-db/", "a/b/c", "a /b"};
    for (size_t i = 0; i < SP_COUNT(BAD); i++) {
        assert_fails(put(db, BAD[i], "x", &out), SP_EINVALID);
    }
    assert_fails(put(db, "a/b", "tab\there", &out), SP_EINVALID);
    assert_fails(put(db, "a/b", "p\xc3\xa4ss", &out), SP_EINVALID);
    assert_ok(sp_keyring_save(it->ring));
    sp_span password = SP_SPAN_EMPTY;
    assert_ok(sp_db_vault_password(db, SP_SPAN_LIT("orders-db/op_dba"), &password));
    assert_int_equal(password.len, 43);

    sp_keyring *again = NULL;
    sp_db_vault *other = NULL;
    sp_span kept = SP_SPAN_EMPTY;
    assert_ok(sp_keyring_open(it->dir, &it->master, &again));
    assert_ok(sp_db_vault_new(again, "db:", "password of a database account", &other));
    assert_ok(sp_db_vault_password(other, SP_SPAN_LIT("orders-db/op_dba"), &kept));
    assert_true(sp_span_eq(password, kept));
    sp_db_vault_list(other, &list);
    assert_int_equal(list.count, 1);
    assert_span_text(list.items[0].name, "orders-db/op_dba");
    assert_ok(sp_db_vault_remove(other, SP_SPAN_LIT("orders-db/op_dba")));
    assert_fails(sp_db_vault_remove(other, SP_SPAN_LIT("orders-db/op_dba")), SP_ENOTFOUND);
    assert_fails(sp_db_vault_remove(other, SP_SPAN_LIT("device-ca")), SP_ENOTFOUND);
    sp_db_vault_free(other);
    sp_keyring_free(again);
    sp_db_vault_free(db);
}

static void certifies_accounts_of_databases(void **state)
{
    place *it = *state;
    static sp_vault_keys list;
    auto_buf sp_buf ca = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf again = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_span name = SP_SPAN_LIT("orders-db/op_dba");
    sp_cert_info info;
    bool made = false;
    assert_ok(sp_device_ca_prepare(it->ring, "Lantern", NOW, &made));
    assert_fails(sp_db_certificate_issue(it->ring, name, NOW, &der), SP_ENOTFOUND);
    static const char *const BAD[] = {"", "orders-db", "/op", "orders-db/", "a/b/c", "a /b"};
    for (size_t i = 0; i < SP_COUNT(BAD); i++) {
        assert_fails(sp_db_certificate_put(it->ring, "Lantern", sp_span_cstr(BAD[i]), NOW, &ca),
                     SP_EINVALID);
    }
    assert_ok(sp_db_certificate_put(it->ring, "Lantern", name, NOW, &ca));
    assert_ok(sp_db_certificate_issue(it->ring, name, NOW, &der));
    assert_ok(sp_cert_check(sp_buf_borrow(&der), sp_buf_borrow(&ca), NOW));
    assert_fails(sp_cert_check(sp_buf_borrow(&der), sp_buf_borrow(&ca), NOW + 3601), SP_ECORRUPT);
    assert_fails(sp_cert_check(sp_buf_borrow(&der), sp_device_ca_certificate(it->ring), NOW),
                 SP_ECORRUPT); /* a server that trusts these takes no device for an account */
    assert_ok(sp_cert_read(sp_buf_borrow(&der), &info));
    assert_string_equal(info.common_name, "op_dba");
    assert_false(info.is_ca);

    /* another key, the same authority; what was issued for the old one has no key any more */
    auto_pkey sp_pkey *before = NULL;
    auto_pkey sp_pkey *after = NULL;
    assert_ok(sp_cert_public(sp_buf_borrow(&der), &before));
    assert_ok(sp_db_certificate_put(it->ring, "Lantern", name, NOW, &again));
    assert_true(sp_span_eq(sp_buf_borrow(&ca), sp_buf_borrow(&again)));
    sp_buf_reset(&der);
    assert_ok(sp_db_certificate_issue(it->ring, name, NOW, &der));
    assert_ok(sp_cert_public(sp_buf_borrow(&der), &after));
    assert_false(sp_pkey_same_public(before, after));

    sp_db_certificate_list(it->ring, &list);
    assert_int_equal(list.count, 1);
    assert_span_text(list.items[0].name, "orders-db/op_dba");
    assert_ok(sp_db_certificate_remove(it->ring, name));
    assert_fails(sp_db_certificate_remove(it->ring, name), SP_ENOTFOUND);
    assert_fails(sp_db_certificate_issue(it->ring, name, NOW, &der), SP_ENOTFOUND);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A full disk: what could not be kept is not used either. */
static void goes_back_to_what_was_saved(void **state)
{
    place *it = *state;
    sp_db_vault *db = NULL;
    sp_span password = SP_SPAN_EMPTY;
    auto_buf sp_buf out = sp_buf_make(1000);
    assert_ok(sp_db_vault_new(it->ring, "db:", "password of a database account", &db));
    assert_ok(put(db, "orders-db/user", "pencil", &out));
    assert_ok(put(db, "orders-db/other", "ruler", &out));
    assert_ok(sp_keyring_save(it->ring));
    limit_files(8);
    assert_ok(put(db, "orders-db/user", "crayon", &out));
    assert_true(sp_failed(sp_keyring_save(it->ring)));
    assert_ok(sp_db_vault_password(db, SP_SPAN_LIT("orders-db/user"), &password));
    assert_span_text(password, "pencil");
    assert_ok(sp_db_vault_remove(db, SP_SPAN_LIT("orders-db/other")));
    assert_ok(put(db, "orders-db/new", "chalk", &out));
    assert_true(sp_failed(sp_keyring_save(it->ring)));
    assert_ok(sp_db_vault_password(db, SP_SPAN_LIT("orders-db/other"), &password));
    assert_span_text(password, "ruler");
    assert_fails(sp_db_vault_password(db, SP_SPAN_LIT("orders-db/new"), &password), SP_ENOTFOUND);
    limit_files(RLIM_INFINITY);
    assert_ok(put(db, "orders-db/user", "crayon", &out));
    assert_ok(sp_keyring_save(it->ring));
    sp_db_vault_free(db);
    sp_keyring_free(it->ring);
    assert_ok(sp_keyring_open(it->dir, &it->master, &it->ring));
    assert_ok(sp_db_vault_new(it->ring, "db:", "password of a database account", &db));
    assert_ok(sp_db_vault_password(db, SP_SPAN_LIT("orders-db/user"), &password));
    assert_span_text(password, "crayon");
    sp_db_vault_free(db);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(proves_database_passwords),
        TEST(keeps_and_removes_database_passwords),
        TEST(goes_back_to_what_was_saved),
        TEST(certifies_accounts_of_databases),
        TEST(keeps_keys),
        TEST(refuses_another_master_and_any_change),
        TEST(forgets_what_has_ended),
        TEST(makes_a_master_key_only_for_a_fresh_office),
        TEST(prefers_a_credential),
        TEST(wraps_for_one_role_and_one_place),
        TEST(signs_only_tokens_of_this_office),
        TEST(publishes_the_next_key_before_it_signs),
        TEST(rotations_do_not_fill_the_ring),
        TEST(certifies_a_device),
        TEST(cuts_long_office_names_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
