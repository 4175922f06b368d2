/* SPDX-License-Identifier: Apache-2.0
 * Reading a folder of documents: order, what is left out, what is told.
 * OWNS a folder below /tmp. PROCESS test. TRUST none. SPEC infra/proc/folder.h.
 */
#include "infra/proc/file.h"
#include "infra/proc/folder.h"
#include "tests/unit/cm.h"

#include <stdlib.h>
#include <unistd.h>

static void put(const char *dir, const char *name, const char *text)
{
    auto_buf sp_buf path = sp_buf_make(4096);
    auto_free char *cstr = NULL;
    sp_buf_fmt(&path, "%s/%s", dir, name);
    assert_ok(sp_buf_take_cstr(&path, &cstr));
    assert_ok(sp_file_replace(cstr, 0600, sp_span_cstr(text)));
}

static void test_folder(void **state)
{
    (void)state;
    char dir[] = "/tmp/sp-folder-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char sub[64];
    auto_buf sp_buf path = sp_buf_make(64);
    sp_buf_fmt(&path, "%s/sub", dir);
    assert_ok(sp_fit(sub, sizeof(sub), sp_buf_borrow(&path)));
    auto_diags sp_diags diags = {0};
    auto_folder sp_folder folder = {0};
    assert_fails(sp_folder_read(dir, &diags, &folder), SP_EINVALID); /* empty */
    assert_int_equal(diags.errors, 1);

    assert_ok(sp_dir_make(sub, 0700));
    put(dir, "b.yaml", "b");
    put(dir, "a.yml", "aa");
    put(dir, ".hidden.yaml", "no");
    put(dir, "notes.txt", "no");
    put(dir, "c.yaml~", "no");
    put(sub, "z.yaml", "zzz");
    assert_ok(sp_folder_read(dir, &diags, &folder));
    assert_int_equal(folder.count, 3);
    assert_string_equal(folder.files[0].name, "a.yml");
    assert_string_equal(folder.files[1].name, "b.yaml");
    assert_string_equal(folder.files[2].name, "sub/z.yaml");
    assert_string_equal(folder.files[2].text, "zzz");
    assert_int_equal(folder.size_bytes, 6);

    auto_folder sp_folder none = {0};
    assert_fails(sp_folder_read("/nonexistent/office", &diags, &none), SP_ENOTFOUND);
    assert_int_equal(none.count, 0);

    auto_free char *link_to_self = NULL;
    sp_buf_reset(&path);
    sp_buf_fmt(&path, "%s/loop", sub);
    assert_ok(sp_buf_take_cstr(&path, &link_to_self));
    assert_int_equal(symlink(dir, link_to_self), 0);
    auto_folder sp_folder again = {0};
    assert_ok(sp_folder_read(dir, &diags, &again)); /* a linked folder is not entered */
    assert_int_equal(again.count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
