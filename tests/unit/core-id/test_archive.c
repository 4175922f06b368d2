/* SPDX-License-Identifier: Apache-2.0
 * Tests of the backup file: what went in comes out, and nothing that was cut, changed, lengthened
 * or opened with another passphrase does. Costs are low here: the head says them. OWNS nothing.
 * PROCESS tests. TRUST none. SPEC core/backup/archive.h.
 */
#include "core/backup/archive.h"
#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "tests/unit/cm.h"

#include <sys/mman.h>
#include <unistd.h>

enum { STORE_BYTES = 150000, CHEAP_BYTES = 8192, FILE_MAX_BYTES = 400000 };
static const sp_span PASSPHRASE = {(const uint8_t *)"seven rusty anchors", 19};
static const sp_span EXPORTED = {(const uint8_t *)"what the vault gave", 19};

typedef struct {
    sp_archive_keys keys;
    sp_key data_key;
    sp_buf store;
    sp_buf file;
} place;

static int memory_file(sp_span bytes)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(sp_write_all(fd, bytes));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void read_back(int fd, sp_buf *out)
{
    uint8_t chunk[4096];
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    for (ssize_t n = read(fd, chunk, sizeof(chunk)); n > 0; n = read(fd, chunk, sizeof(chunk))) {
        sp_buf_span(out, sp_span_of(chunk, (size_t)n));
    }
    assert_ok(sp_buf_error(out));
}

static int set_up(void **state)
{
    static place it;
    it = (place){
        .data_key = {{7}}, .store = sp_buf_make(STORE_BYTES), .file = sp_buf_make(FILE_MAX_BYTES)};
    assert_ok(sp_crypto_start());
    for (size_t i = 0; i < STORE_BYTES; i++) {
        sp_buf_u8(&it.store, (uint8_t)(i * 31));
    }
    auto_buf sp_buf sealed = sp_buf_make(SP_ARCHIVE_SEALED_MAX_BYTES);
    auto_buf sp_buf vault = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES);
    sp_archive_head head = sp_archive_head_new();
    head.operations = 1;
    head.memory_bytes = CHEAP_BYTES;
    assert_ok(sp_archive_keys_of(&head, PASSPHRASE, &it.keys));
    assert_ok(sp_archive_lock(&it.keys, &it.data_key, &sealed));
    assert_ok(sp_archive_lock_vault(&it.data_key, EXPORTED, &vault));
    head.by_passphrase = sp_buf_borrow(&sealed);
    head.vault = sp_buf_borrow(&vault);
    auto_close int from = memory_file(sp_buf_borrow(&it.store));
    auto_close int to = memory_file(SP_SPAN_EMPTY);
    assert_ok(sp_archive_write(from, to, &head, &it.data_key));
    read_back(to, &it.file);
    *state = &it;
    return 0;
}

static int tear_down(void **state)
{
    place *it = *state;
    sp_buf_done(&it->store);
    sp_buf_done(&it->file);
    return 0;
}

/* Head, passphrase, vault's part, store: the whole way. */
static sp_err open_all(sp_span bytes, sp_span passphrase, sp_buf *store, sp_buf *exported)
{
    auto_close int from = memory_file(bytes);
    auto_close int to = memory_file(SP_SPAN_EMPTY);
    auto_buf sp_buf room = sp_buf_make(SP_ARCHIVE_HEAD_MAX_BYTES);
    sp_archive_head head;
    sp_archive_keys keys;
    sp_key data_key;
    TRY(sp_archive_read_head(from, &room, &head));
    if (head.memory_bytes > CHEAP_BYTES * 4 || head.operations > 4) {
        return sp_fail(SP_ELIMIT); /* a changed cost: not waited for */
    }
    TRY(sp_archive_keys_of(&head, passphrase, &keys));
    TRY(sp_archive_unlock(&head, &keys, &data_key));
    TRY(sp_archive_unlock_vault(&head, &data_key, exported));
    TRY(sp_archive_read(from, to, &room, &data_key));
    read_back(to, store);
    return sp_ok();
}

static void gives_back_what_went_in(void **state)
{
    place *it = *state;
    auto_buf sp_buf store = sp_buf_make(FILE_MAX_BYTES);
    auto_buf sp_buf exported = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES);
    assert_ok(open_all(sp_buf_borrow(&it->file), PASSPHRASE, &store, &exported));
    assert_true(sp_span_eq(sp_buf_borrow(&store), sp_buf_borrow(&it->store)));
    assert_true(sp_span_eq(sp_buf_borrow(&exported), EXPORTED));
}

static void opens_for_one_passphrase(void **state)
{
    place *it = *state;
    auto_buf sp_buf store = sp_buf_make(FILE_MAX_BYTES);
    auto_buf sp_buf exported = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES);
    sp_err err =
        open_all(sp_buf_borrow(&it->file), SP_SPAN_LIT("seven rusty anchor"), &store, &exported);
    assert_fails(err, SP_EDENIED);
}

static void refuses_what_was_bent(void **state)
{
    place *it = *state;
    sp_span whole = sp_buf_borrow(&it->file);
    auto_buf sp_buf longer = sp_buf_make(FILE_MAX_BYTES);
    for (size_t i = 0; i < it->file.len; i += i < 400 ? 1 : 997) {
        auto_buf sp_buf store = sp_buf_make(FILE_MAX_BYTES);
        auto_buf sp_buf exported = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES);
        it->file.ptr[i] ^= 1;
        assert_true(sp_failed(open_all(whole, PASSPHRASE, &store, &exported)));
        it->file.ptr[i] ^= 1;
        assert_true(sp_failed(open_all(sp_span_slice(whole, 0, i), PASSPHRASE, &store, &exported)));
    }
    sp_buf_span(&longer, whole);
    sp_buf_u8(&longer, 0);
    auto_buf sp_buf store = sp_buf_make(FILE_MAX_BYTES);
    auto_buf sp_buf exported = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES);
    assert_fails(open_all(sp_buf_borrow(&longer), PASSPHRASE, &store, &exported), SP_ECORRUPT);
}

static void knows_another_version(void **state)
{
    place *it = *state;
    auto_buf sp_buf store = sp_buf_make(FILE_MAX_BYTES);
    auto_buf sp_buf exported = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES);
    it->file.ptr[7] = '1';
    assert_fails(open_all(sp_buf_borrow(&it->file), PASSPHRASE, &store, &exported),
                 SP_EUNSUPPORTED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_back_what_went_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opens_for_one_passphrase, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_was_bent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_another_version, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
