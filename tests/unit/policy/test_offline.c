/* SPDX-License-Identifier: Apache-2.0
 * What lies in the tree is as the program says: the reference is current, the demo office compiles
 * with the zones of this machine, one edit of it is refused; and zone files that are not whole.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md.
 */
#include "tests/unit/policy/help.h"

#include "infra/proc/file.h"
#include "infra/proc/folder.h"
#include "infra/proc/zone.h"

static const char *root;

static void path_of(const char *below, char **ret_path)
{
    auto_buf sp_buf path = sp_buf_make(4096);
    sp_buf_fmt(&path, "%s/%s", root, below);
    assert_ok(sp_buf_take_cstr(&path, ret_path));
}

static void the_reference_is_current(void **state)
{
    (void)state;
    auto_free char *path = NULL;
    auto_buf sp_buf have = sp_buf_make((size_t)1 << 20);
    auto_buf sp_buf want = sp_buf_make((size_t)1 << 20);
    path_of("docs/POLICY.md", &path);
    assert_ok(sp_file_read(path, &have));
    sp_policy_reference(&want);
    if (!sp_span_eq(sp_buf_borrow(&have), sp_buf_borrow(&want))) {
        fail_msg("docs/POLICY.md is old: sallyport policy reference > docs/POLICY.md");
    }
}

/* The demo office, with one text replaced by another; NULL = as it is. */
static sp_err compile_demo(const char *from, const char *to, sp_diags *diags, sp_policy_set **set)
{
    auto_folder sp_folder folder = {0};
    auto_free char *path = NULL;
    auto_buf sp_buf edited = sp_buf_make((size_t)1 << 20);
    sp_policy_file files[16];
    uint64_t now = 1770000000;
    path_of("demo/office", &path);
    assert_ok(sp_folder_read(path, diags, &folder));
    assert_true(folder.count <= SP_COUNT(files));
    for (size_t i = 0; i < folder.count; i++) {
        sp_span text = sp_span_of(folder.files[i].text, folder.files[i].len);
        size_t at = from == NULL ? text.len : sp_span_find(text, sp_span_cstr(from));
        if (at < text.len) {
            sp_buf_span(&edited, sp_span_slice(text, 0, at));
            sp_buf_text(&edited, to);
            sp_buf_span(&edited, sp_span_slice(text, at + sp_span_cstr(from).len, text.len));
            text = sp_buf_borrow(&edited);
        }
        files[i] = (sp_policy_file){"demo", text};
    }
    assert_true(from == NULL || edited.len > 0);
    sp_policy_input input = {.files = files,
                             .files_count = folder.count,
                             .people_open = true,
                             .now_unix_s = now,
                             .zone = sp_zone_system,
                             .zone_ctx = &now};
    return sp_policy_compile(&input, diags, set);
}

static void the_demo_office_is_proven(void **state)
{
    (void)state;
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    assert_ok(compile_demo(NULL, NULL, &diags, &set));
    assert_int_equal(diags.count, 0);
    sp_policy_figures figures = sp_policy_set_figures(set);
    assert_true(figures.nevers == 6 && figures.examples >= 24);
}

static void one_edit_of_it_is_refused(void **state)
{
    (void)state;
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    assert_fails(compile_demo("on:   { owner: company }\nto:   { resources: [hr] }",
                              "on:   { owner: [company, personal] }\nto:   { resources: [hr] }",
                              &diags, &set),
                 SP_EINVALID);
    assert_string_equal(
        diags.items[0].text,
        "rule 'HR keeps the personnel files' breaks never 'sensitive data leaves to company "
        "devices only' (demo:74): it lets somebody with role hr export core data tagged "
        "personal-info of hr, from a device with owner personal and posture unknown, signed in "
        "with totp, approved by 0");
}

static void zones_of_the_system_are_right(void **state)
{
    (void)state;
    uint64_t now = 1770000000; /* 2026-02-02 */
    sp_zone zone;
    assert_ok(sp_zone_system(&now, SP_SPAN_LIT("Asia/Shanghai"), &zone));
    assert_true(zone.count == 1 && zone.steps[0].offset_s == 8 * 3600);
    assert_ok(sp_zone_system(&now, SP_SPAN_LIT("Europe/Berlin"), &zone));
    assert_true(zone.count > 20);
    bool found = false;
    for (size_t i = 1; i < zone.count; i++) {
        assert_true(zone.steps[i].from_unix_s > zone.steps[i - 1].from_unix_s);
        /* 2026-03-29T01:00Z, to summer time */
        found =
            found || (zone.steps[i].from_unix_s == 1774746000 && zone.steps[i].offset_s == 7200);
    }
    assert_true(found);
    static const char *const WRONG[] = {"../../etc/passwd", "/etc/passwd", "Mars/Base", "",
                                        "Asia//Shanghai",   "Asia",        "Asia/"};
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        assert_true(sp_failed(sp_zone_system(&now, sp_span_cstr(WRONG[i]), &zone)));
    }
}

static void cut_zone_files_are_refused(void **state)
{
    (void)state;
    auto_buf sp_buf file = sp_buf_make((size_t)1 << 20);
    assert_ok(sp_file_read("/usr/share/zoneinfo/Europe/Berlin", &file));
    sp_span whole = sp_buf_borrow(&file);
    sp_zone zone;
    assert_ok(sp_zone_parse(whole, 1770000000, 1780000000, &zone));
    /* summer time goes on past the table: it is not guessed */
    assert_fails(sp_zone_parse(whole, 1770000000, INT64_C(9000000000), &zone), SP_EUNSUPPORTED);
    for (size_t len = 0; len + 40 < whole.len; len++) {
        assert_true(sp_failed(sp_zone_parse(sp_span_slice(whole, 0, len), 0, 0, &zone)));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_is_current),
        cmocka_unit_test(the_demo_office_is_proven),
        cmocka_unit_test(one_edit_of_it_is_refused),
        cmocka_unit_test(zones_of_the_system_are_right),
        cmocka_unit_test(cut_zone_files_are_refused),
    };
    if (argc != 2) {
        return 2;
    }
    root = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
