/* SPDX-License-Identifier: Apache-2.0
 * Notes, checkpoints, keys, cosignatures and tile paths; the signed note is the one of Go's
 * golang.org/x/mod/sumdb/note documentation.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC c2sp.org/signed-note.
 */
#include "infra/crypto/random.h"
#include "infra/crypto/sign.h"
#include "lib/merkle/note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define VKEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define TEXT                                                                                       \
    "If you think cryptography is the answer to your problem,\n"                                   \
    "then you don't know what your problem is.\n"
#define SIGNATURE                                                                                  \
    "\xE2\x80\x94 PeterNeumann "                                                                   \
    "x08go/ZJkuBS9UG/"                                                                             \
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

static bool verifies(const sp_note_key *key, const sp_note *note)
{
    const sp_note_sig *sig = sp_note_find(note, key);
    sp_verify_key verify;
    sp_signature signature;
    if (sig == NULL || sig->len != SP_SIGNATURE_BYTES) {
        return false;
    }
    sp_copy(verify.bytes, key->key, sizeof(verify.bytes));
    sp_copy(signature.bytes, sig->bytes, sizeof(signature.bytes));
    return sp_verify(&verify, note->text, &signature);
}

static void test_known_note(void **state)
{
    (void)state;
    sp_note_key key;
    sp_note note;
    assert_false(sp_failed(sp_note_key_parse(SP_SPAN_LIT(VKEY), &key)));
    assert_false(sp_failed(sp_note_parse(SP_SPAN_LIT(TEXT "\n" SIGNATURE), &note)));
    assert_true(sp_span_eq(note.text, SP_SPAN_LIT(TEXT)));
    assert_int_equal(note.count, 1);
    assert_true(verifies(&key, &note));
    auto_buf sp_buf out = sp_buf_make(1024);
    sp_note_key_text(&key, &out);
    assert_true(sp_span_eq(sp_buf_borrow(&out), SP_SPAN_LIT(VKEY)));
    sp_buf_reset(&out);
    sp_note_sig_line(note.sigs[0].name, note.sigs[0].key_id,
                     (sp_span){note.sigs[0].bytes, note.sigs[0].len}, &out);
    assert_true(sp_span_eq(sp_buf_borrow(&out), SP_SPAN_LIT(SIGNATURE)));
    /* another text under the same signature */
    assert_false(sp_failed(sp_note_parse(SP_SPAN_LIT("If you\n\n" SIGNATURE), &note)));
    assert_false(verifies(&key, &note));
}

static void test_bad_notes(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n\n",
        TEXT,
        TEXT "\n",
        TEXT SIGNATURE,
        TEXT "\n- PeterNeumann x08go/ZJ\n",
        TEXT "\n\xE2\x80\x94 Peter+Neumann x08go/ZJkuBS\n",
        TEXT "\n\xE2\x80\x94  x08go/ZJkuBS\n",
        TEXT "\n\xE2\x80\x94 PeterNeumann x08go/Z*kuBS\n",
        TEXT "\n\xE2\x80\x94 PeterNeumann x08goA==\n",
        TEXT "\n\xE2\x80\x94 PeterNeumann\n",
        TEXT "\n\xE2\x80\x94 PeterNeumann x08go/ZJkuBS",
        "\xff\n\n" SIGNATURE,
    };
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sp_note note;
        assert_true(sp_failed(sp_note_parse(sp_span_cstr(bad[i]), &note)));
    }
    static const char *const keys[] = {
        "", "a+b+c", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc"};
    for (size_t i = 0; i < SP_COUNT(keys); i++) {
        sp_note_key key;
        assert_true(sp_failed(sp_note_key_parse(sp_span_cstr(keys[i]), &key)));
    }
    auto_buf sp_buf many = sp_buf_make(64 * 1024);
    sp_buf_text(&many, TEXT "\n");
    for (int i = 0; i < SP_NOTE_SIGS_MAX + 1; i++) {
        sp_buf_text(&many, SIGNATURE);
    }
    sp_note note;
    assert_int_equal(sp_note_parse(sp_buf_borrow(&many), &note).code, SP_ELIMIT);
}

static void test_checkpoint(void **state)
{
    (void)state;
    sp_checkpoint one = {SP_SPAN_LIT("office.localhost"), 20852163, {{7}}};
    sp_checkpoint two;
    auto_buf sp_buf text = sp_buf_make(1024);
    sp_checkpoint_text(&one, &text);
    assert_false(sp_failed(sp_checkpoint_parse(sp_buf_borrow(&text), &two)));
    assert_true(sp_span_eq(one.origin, two.origin));
    assert_int_equal(one.size, two.size);
    assert_true(sp_hash_eq(&one.root, &two.root));
    static const char *const bad[] = {
        "",
        "o\n1\n",
        "o\n01\nBwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "\n1\nBwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n-1\nBwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n99999999999999999999\nBwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n1\nBwAA\n",
        "o\n1\nBwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_true(sp_failed(sp_checkpoint_parse(sp_span_cstr(bad[i]), &two)));
    }
}

static void test_cosignature(void **state)
{
    (void)state;
    sp_sign_key secret;
    sp_verify_key public;
    assert_false(sp_failed(sp_crypto_start()));
    sp_sign_key_new(&secret, &public);
    sp_note_key key =
        sp_note_key_of(SP_SPAN_LIT("witness.example"), SP_NOTE_COSIGNATURE, public.bytes);
    sp_checkpoint checkpoint = {SP_SPAN_LIT("office"), 5, {{1}}};
    auto_buf sp_buf text = sp_buf_make(1024);
    auto_buf sp_buf message = sp_buf_make(2048);
    sp_checkpoint_text(&checkpoint, &text);
    sp_cosignature_text(1679315147, sp_buf_borrow(&text), &message);
    assert_true(sp_span_starts(sp_buf_borrow(&message),
                               SP_SPAN_LIT("cosignature/v1\ntime 1679315147\noffice\n5\n")));
    sp_signature signature = sp_sign(&secret, sp_buf_borrow(&message));
    sp_buf_byte(&text, '\n');
    sp_cosignature_line(&key, 1679315147, (sp_span){signature.bytes, SP_SIGNATURE_BYTES}, &text);
    sp_note note;
    assert_false(sp_failed(sp_note_parse(sp_buf_borrow(&text), &note)));
    const sp_note_sig *sig = sp_note_find(&note, &key);
    assert_non_null(sig);
    uint64_t time = 0;
    sp_span got;
    assert_false(sp_failed(sp_cosignature_split(sig, &time, &got)));
    assert_int_equal(time, 1679315147);
    assert_true(sp_span_eq(got, (sp_span){signature.bytes, SP_SIGNATURE_BYTES}));
}

static void path_is(int level, uint64_t index, unsigned width, const char *want)
{
    auto_buf sp_buf path = sp_buf_make(256);
    sp_tile_path(level, index, width, &path);
    assert_true(sp_span_eq(sp_buf_borrow(&path), sp_span_cstr(want)));
}

static void test_tile_paths(void **state)
{
    (void)state;
    path_is(0, 0, 256, "tile/0/000");
    path_is(1, 1234067, 256, "tile/1/x001/x234/067");
    path_is(0, 999, 256, "tile/0/999");
    path_is(0, 1000, 256, "tile/0/x001/000");
    path_is(-1, 1234, 7, "tile/entries/x001/234.p/7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_note), cmocka_unit_test(test_bad_notes),
        cmocka_unit_test(test_checkpoint), cmocka_unit_test(test_cosignature),
        cmocka_unit_test(test_tile_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
