/* SPDX-License-Identifier: Apache-2.0
 * Tests of the scp protocol: what the real scp sends is followed however it is cut; what abuses it
 * is an error.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/scp.h.
 */
#include "lib/proto/scp.h"

#include "tests/unit/ssh/keygen.h"

static const char *const WORDS[] = {"more",   "times",      "file", "piece",   "file-end",
                                    "folder", "folder-end", "good", "warning", "fatal"};

static sp_err follow(sp_scp_side side, sp_span stream, size_t step, sp_buf *told, sp_buf *again)
{
    static sp_scp scp;
    sp_err err = sp_ok();
    sp_scp_init(&scp, side);
    for (size_t at = 0; at < stream.len && !sp_failed(err); at += step) {
        auto_buf sp_buf piece = sp_buf_make(1 << 20);
        sp_buf_span(&piece, sp_span_slice(stream, at, at + step));
        sp_span input = sp_buf_borrow(&piece);
        sp_scp_event event = {.kind = SP_SCP_GOOD};
        while (input.len > 0 && !sp_failed(err)) {
            err = sp_scp_next(&scp, &input, &event);
            if (sp_failed(err)) {
                break;
            }
            sp_buf_span(again, event.raw);
            if (event.kind != SP_SCP_PIECE && event.kind != SP_SCP_WANTS_MORE) {
                sp_buf_fmt(told, "%s %o %llu %.*s%.*s;", WORDS[event.kind], event.mode,
                           (unsigned long long)event.size, SP_SPAN_ARG(event.name),
                           SP_SPAN_ARG(event.text));
            }
        }
    }
    return err;
}

/* scp -f of a folder; every record is answered before it is sent. */
static void what_the_real_scp_sends_is_followed(void **state)
{
    (void)state;
    run_program((const char *const[]){
        "sh", "-c",
        "mkdir -p d/e && printf hello > d/a && : > d/e/b && chmod 755 d d/e && "
        "chmod 644 d/a d/e/b && touch -d @1700000000 d d/e d/a d/e/b && "
        "head -c 64 /dev/zero | scp -r -p -f d > out",
        NULL});
    char room[4096];
    char path[200];
    assert_true(snprintf(path, sizeof(path), "%s/out", keygen_folder) > 0);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    sp_span stream = sp_span_of(room, fread(room, 1, sizeof(room), file));
    (void)fclose(file);
    for (size_t step = 1; step <= stream.len; step++) {
        auto_buf sp_buf told = sp_buf_make(1 << 16);
        auto_buf sp_buf again = sp_buf_make(1 << 16);
        assert_ok(follow(SP_SCP_SOURCE, stream, step, &told, &again));
        sp_span said = sp_buf_borrow(&told);
        assert_true(sp_span_starts(said, SP_SPAN_LIT("times 0 0 ;folder 755 0 d;times 0 0 ;")));
        assert_true(sp_span_find(said, SP_SPAN_LIT("file 644 5 a;file-end 0 0 ;")) < said.len);
        assert_true(
            sp_span_find(said, SP_SPAN_LIT("folder 755 0 e;times 0 0 ;file 644 0 b;file-end 0 0 ;"
                                           "folder-end 0 0 ;")) < said.len);
        assert_true(sp_span_ends(said, SP_SPAN_LIT("folder-end 0 0 ;")));
        assert_true(sp_span_eq(sp_buf_borrow(&again), stream));
    }
}

static void answers_and_abuse(void **state)
{
    (void)state;
    static const struct {
        sp_scp_side side;
        sp_span stream;
        sp_code code;
        const char *told;
    } CASES[] = {
        {SP_SCP_SINK,
         {(const uint8_t *)"\0\0\1no\n\2gone\n", 12},
         SP_OK,
         "good 0 0 ;good 0 0 ;warning 0 0 no;fatal 0 0 gone;"},
        {SP_SCP_SOURCE,
         {(const uint8_t *)"C0644 2 a\nxy\1cut\n", 17},
         SP_OK,
         "file 644 2 a;file-end 0 0 cut;"},
        {SP_SCP_SOURCE,
         {(const uint8_t *)"C0644 1 a b\nx\0", 14},
         SP_OK,
         "file 644 1 a b;file-end 0 0 ;"},
        {SP_SCP_SOURCE, {(const uint8_t *)"C0644 1 ../a\n", 13}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"C0644 1 ..\n", 11}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"D0755 0 .\n", 10}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"C0644 1 \n", 9}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"C0644 1 a\x1b[2J\n", 14}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"C0644 -1 a\n", 11}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"C0644 99999999999999999999 a\n", 29}, SP_ELIMIT, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"C0984 1 a\n", 10}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"E\n", 2}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"T1 0\n", 5}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"\0", 1}, SP_OK, ""},
        {SP_SCP_SINK, {(const uint8_t *)"C0644 1 a\n", 10}, SP_EINVALID, ""},
        {SP_SCP_SOURCE, {(const uint8_t *)"id\n", 3}, SP_EINVALID, ""},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        for (size_t step = 1; step <= CASES[i].stream.len; step++) {
            auto_buf sp_buf told = sp_buf_make(1 << 16);
            auto_buf sp_buf again = sp_buf_make(1 << 16);
            sp_err err = follow(CASES[i].side, CASES[i].stream, step, &told, &again);
            if (err.code != CASES[i].code ||
                !sp_span_eq(sp_buf_borrow(&told), sp_span_cstr(CASES[i].told))) {
                fail_msg("case %zu, step %zu: %s %.*s", i, step, sp_code_word(err.code),
                         SP_SPAN_ARG(sp_buf_borrow(&told)));
            }
        }
    }
    static uint8_t longer[SP_SCP_LINE_MAX_BYTES + 1];
    sp_set(longer, 'C', sizeof(longer));
    auto_buf sp_buf told = sp_buf_make(1 << 16);
    auto_buf sp_buf again = sp_buf_make(1 << 16);
    assert_fails(follow(SP_SCP_SOURCE, sp_span_of(longer, sizeof(longer)), 7, &told, &again),
                 SP_ELIMIT);
    sp_buf_reset(&told);
    sp_scp_put_fatal(&told, SP_SPAN_LIT("no\n\x1b"));
    assert_span_text(sp_buf_borrow(&told), "\2scp: no  \n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_real_scp_sends_is_followed),
        cmocka_unit_test(answers_and_abuse),
    };
    return cmocka_run_group_tests(tests, keygen_setup, keygen_teardown);
}
