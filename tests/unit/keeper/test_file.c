/* SPDX-License-Identifier: Apache-2.0
 * The encrypted file: what goes in comes out; whatever is changed, cut or added is seen.
 * OWNS a directory. PROCESS tests. TRUST none. SPEC keeper/file.c.
 */
#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "keeper/keeper.h"
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LARGE_BYTES = 300000, KEEP = 7 };
static char dir[] = "/tmp/sp-keep-XXXXXX";
static sp_key key;

static void put(uint64_t keep, size_t len, uint8_t seed)
{
    keep_writer *writer = NULL;
    uint64_t bytes = 0;
    uint64_t noise = seed + 1;
    assert_ok(keep_writer_new(dir, keep, &key, SP_SPAN_LIT("wrapped"), UINT64_MAX, &writer));
    for (size_t i = 0; i < len; i++) {
        noise = noise * UINT64_C(6364136223846793005) + 1442695040888963407U;
        uint8_t byte = (uint8_t)(noise >> 56);
        assert_ok(keep_writer_put(writer, sp_span_of(&byte, 1)));
    }
    assert_ok(keep_writer_finish(writer, &bytes));
    assert_true(bytes > 40);
    keep_writer_free(writer);
}

/* Reads it all; the number of bytes, or the failure. */
static sp_err take(uint64_t keep, size_t *ret_len)
{
    keep_reader *reader = NULL;
    sp_span wrapped;
    uint8_t chunk[1000];
    size_t total = 0;
    size_t len = 0;
    TRY(keep_reader_new(dir, keep, &reader, &wrapped));
    if (!sp_span_eq(wrapped, SP_SPAN_LIT("wrapped"))) { /* the vault would not open it */
        keep_reader_free(reader);
        return sp_fail(SP_ECORRUPT);
    }
    sp_err err = keep_reader_key(reader, &key);
    do {
        len = 0;
        if (!sp_failed(err)) {
            err = keep_reader_read(reader, chunk, sizeof(chunk), &len);
        }
        total += len;
    } while (!sp_failed(err) && len > 0);
    keep_reader_free(reader);
    *ret_len = total;
    return err;
}

static void it_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, LARGE_BYTES};
    for (size_t i = 0; i < SP_COUNT(sizes); i++) {
        size_t len = 0;
        put(KEEP, sizes[i], (uint8_t)i);
        assert_ok(take(KEEP, &len));
        assert_int_equal(len, sizes[i]);
        assert_ok(keep_file_remove(dir, KEEP));
    }
    size_t none = 0;
    assert_fails(take(KEEP, &none), SP_ENOTFOUND);
}

static void replace(const char *path, sp_span bytes)
{
    unlink(path);
    assert_ok(sp_file_replace(path, 0600, bytes));
}

static void every_change_is_seen(void **state)
{
    (void)state;
    char path[128];
    size_t len = 0;
    auto_buf sp_buf whole = sp_buf_make(1 << 20);
    put(KEEP, 5000, 9);
    snprintf(path, sizeof(path), "%s/%016x.keep", dir, KEEP);
    assert_ok(sp_file_read(path, &whole));
    sp_span bytes = sp_buf_borrow(&whole);
    for (size_t cut = 0; cut < bytes.len; cut += 7) {
        replace(path, sp_span_slice(bytes, 0, cut));
        assert_fails(take(KEEP, &len), SP_ECORRUPT);
    }
    for (size_t at = 0; at < bytes.len; at += 11) {
        whole.ptr[at] ^= 0x20;
        replace(path, bytes);
        assert_true(sp_failed(take(KEEP, &len)));
        whole.ptr[at] ^= 0x20;
    }
    sp_buf_byte(&whole, 0);
    replace(path, sp_buf_borrow(&whole));
    assert_fails(take(KEEP, &len), SP_ECORRUPT);
}

static void unfinished_is_not_there(void **state)
{
    (void)state;
    keep_writer *writer = NULL;
    uint64_t bytes = 0;
    size_t count = 0;
    size_t len = 0;
    SP_IGNORE(keep_file_remove(dir, KEEP)); /* it may not be there */
    assert_ok(keep_writer_new(dir, KEEP, &key, SP_SPAN_LIT("wrapped"), 1000, &writer));
    static uint8_t chunk[1 << 20]; /* more than zstd holds back */
    sp_random(chunk, sizeof(chunk));
    assert_fails(keep_writer_put(writer, sp_span_of(chunk, sizeof(chunk))), SP_ELIMIT);
    keep_writer_free(writer);
    assert_fails(take(KEEP, &len), SP_ENOTFOUND);
    assert_ok(keep_files_size(dir, &bytes, &count));
    assert_int_equal(count, 0);
}

static int make_dir(void **state)
{
    (void)state;
    if (sp_failed(sp_crypto_start()) || mkdtemp(dir) == NULL) {
        return -1;
    }
    key = sp_key_new();
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    SP_IGNORE(keep_file_remove(dir, KEEP));
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back),
        cmocka_unit_test(every_change_is_seen),
        cmocka_unit_test(unfinished_is_not_there),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
