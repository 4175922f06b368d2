/* SPDX-License-Identifier: Apache-2.0
 * Tests of SFTP: a conversation of the real sftp-server is followed however it is cut; each request
 * is what it does; what cannot be followed is an error.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/sftp.h.
 */
#include "lib/proto/sftp.h"

#include "tests/unit/ssh/keygen.h"

static void put(sp_buf *out, uint8_t type, uint32_t id, sp_span rest)
{
    sp_buf_u32(out, (uint32_t)(5 + rest.len));
    sp_buf_u8(out, type);
    sp_buf_u32(out, id);
    sp_buf_span(out, rest);
}

static void put_open(sp_buf *out, uint32_t id, const char *path, uint32_t pflags)
{
    auto_buf sp_buf rest = sp_buf_make(5000);
    sp_buf_bytes(&rest, sp_span_cstr(path));
    sp_buf_u32(&rest, pflags);
    sp_buf_u32(&rest, 0);
    put(out, SP_SFTP_OPEN, id, sp_buf_borrow(&rest));
}

static void put_write(sp_buf *out, uint32_t id, const char *handle, uint64_t offset, sp_span bytes)
{
    auto_buf sp_buf rest = sp_buf_make(1 << 20);
    sp_buf_bytes(&rest, sp_span_cstr(handle));
    sp_buf_u64(&rest, offset);
    sp_buf_bytes(&rest, bytes);
    put(out, SP_SFTP_WRITE, id, sp_buf_borrow(&rest));
}

/* What was seen, as text, and every byte handed out again in order. */
static sp_err follow(sp_sftp_side side, sp_span stream, size_t step, sp_buf *told, sp_buf *again)
{
    sp_sftp sftp = sp_sftp_make(side);
    sp_err err = sp_ok();
    for (size_t at = 0; at < stream.len && !sp_failed(err); at += step) {
        /* in memory of its own, so that reading past its end is seen */
        auto_buf sp_buf piece = sp_buf_make(1 << 20);
        sp_buf_span(&piece, sp_span_slice(stream, at, at + step));
        sp_span input = sp_buf_borrow(&piece);
        sp_sftp_event event;
        for (;;) {
            err = sp_sftp_next(&sftp, &input, &event);
            if (sp_failed(err) || event.kind == SP_SFTP_WANTS_MORE) {
                break;
            }
            if (event.kind == SP_SFTP_PACKET) {
                sp_buf_fmt(told, "%s %u %.*s %.*s;", sp_sftp_word(&event.packet), event.packet.id,
                           SP_SPAN_ARG(event.packet.path), SP_SPAN_ARG(event.packet.path2));
                sp_buf_span(again, event.packet.raw);
            } else {
                sp_buf_span(again, event.piece);
            }
        }
        assert_true(sp_failed(err) || input.len == 0);
    }
    sp_sftp_done(&sftp);
    return err;
}

static void followed_however_it_is_cut(void **state)
{
    (void)state;
    auto_buf sp_buf stream = sp_buf_make(1 << 20);
    sp_sftp_put_init(&stream);
    put_open(&stream, 1, "/srv/a b", SP_SFTP_F_WRITE | SP_SFTP_F_CREAT);
    put_write(&stream, 2, "h", 0, SP_SPAN_LIT("hello"));
    put_write(&stream, 3, "h", 5, SP_SPAN_EMPTY);
    sp_sftp_put_path(&stream, SP_SFTP_REMOVE, 4, SP_SPAN_LIT("/srv/x"));
    auto_buf sp_buf two = sp_buf_make(100);
    sp_buf_bytes(&two, SP_SPAN_LIT("/a"));
    sp_buf_bytes(&two, SP_SPAN_LIT("/b"));
    put(&stream, SP_SFTP_RENAME, 5, sp_buf_borrow(&two));
    auto_buf sp_buf posix = sp_buf_make(100);
    sp_buf_bytes(&posix, SP_SPAN_LIT("posix-rename@openssh.com"));
    sp_buf_span(&posix, sp_buf_borrow(&two));
    put(&stream, SP_SFTP_EXTENDED, 6, sp_buf_borrow(&posix));
    for (size_t step = 1; step <= stream.len; step++) {
        auto_buf sp_buf told = sp_buf_make(1 << 16);
        auto_buf sp_buf again = sp_buf_make(1 << 20);
        assert_ok(follow(SP_SFTP_FROM_CLIENT, sp_buf_borrow(&stream), step, &told, &again));
        assert_span_text(sp_buf_borrow(&told),
                         "init 3  ;open 1 /srv/a b ;write 2  ;write 3  ;remove 4 /srv/x ;"
                         "rename 5 /a /b;posix-rename@openssh.com 6 /a /b;");
        assert_true(sp_span_eq(sp_buf_borrow(&again), sp_buf_borrow(&stream)));
    }
}

/* ---- with the real server ---- */

typedef struct {
    int to;
    int from;
    pid_t pid;
} server;

static server start_server(void)
{
    int in[2];
    int out[2];
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        if (chdir(keygen_folder) == 0) {
            execl("/usr/lib/openssh/sftp-server", "sftp-server", (char *)NULL);
        }
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    return (server){in[1], out[0], pid};
}

static void real_answers_are_followed(void **state)
{
    (void)state;
    if (access("/usr/lib/openssh/sftp-server", X_OK) != 0) {
        fail_msg("openssh-sftp-server is not installed");
    }
    server s = start_server();
    auto_buf sp_buf ask = sp_buf_make(1 << 20);
    static uint8_t bytes[30000];
    sp_set(bytes, 'x', sizeof(bytes));
    sp_sftp_put_init(&ask);
    put_open(&ask, 1, "file", SP_SFTP_F_READ | SP_SFTP_F_WRITE | SP_SFTP_F_CREAT);
    /* the first handle of OpenSSH's server is four zero bytes */
    auto_buf sp_buf rest = sp_buf_make(1 << 16);
    sp_buf_bytes(&rest, sp_span_of("\0\0\0\0", 4));
    sp_buf_u64(&rest, 0);
    sp_buf_bytes(&rest, sp_span_of(bytes, sizeof(bytes)));
    put(&ask, SP_SFTP_WRITE, 2, sp_buf_borrow(&rest));
    sp_buf_reset(&rest);
    sp_buf_bytes(&rest, sp_span_of("\0\0\0\0", 4));
    sp_buf_u64(&rest, 0);
    sp_buf_u32(&rest, sizeof(bytes));
    put(&ask, SP_SFTP_READ, 3, sp_buf_borrow(&rest));
    sp_sftp_put_path(&ask, SP_SFTP_STAT, 4, SP_SPAN_LIT("file"));
    sp_sftp_put_path(&ask, SP_SFTP_REALPATH, 5, SP_SPAN_LIT("."));
    sp_sftp_put_path(&ask, SP_SFTP_STAT, 6, SP_SPAN_LIT("/nothing/there"));
    sp_sftp_put_path(&ask, SP_SFTP_OPENDIR, 7, SP_SPAN_LIT("."));
    sp_buf_reset(&rest);
    sp_buf_bytes(&rest, sp_span_of("\0\0\0\1", 4));
    put(&ask, SP_SFTP_READDIR, 8, sp_buf_borrow(&rest));
    assert_int_equal(write(s.to, ask.ptr, ask.len), (ssize_t)ask.len);
    auto_buf sp_buf got = sp_buf_make(1 << 20);
    for (bool all = false; !all;) { /* the server leaves at the end of its input */
        uint8_t room[4096];
        auto_buf sp_buf told = sp_buf_make(1 << 16);
        auto_buf sp_buf again = sp_buf_make(1 << 20);
        ssize_t n = read(s.from, room, sizeof(room));
        assert_true(n > 0);
        sp_buf_span(&got, sp_span_of(room, (size_t)n));
        assert_ok(follow(SP_SFTP_FROM_SERVER, sp_buf_borrow(&got), got.len, &told, &again));
        all = sp_span_ends(sp_buf_borrow(&told), SP_SPAN_LIT("name 8  ;"));
    }
    close(s.to);
    close(s.from);
    int status = 0;
    assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
    static const size_t STEPS[] = {1, 2, 3, 5, 7, 13, 100, 4096, 1 << 20};
    for (size_t i = 0; i < SP_COUNT(STEPS); i++) {
        auto_buf sp_buf told = sp_buf_make(1 << 16);
        auto_buf sp_buf again = sp_buf_make(1 << 20);
        assert_ok(follow(SP_SFTP_FROM_SERVER, sp_buf_borrow(&got), STEPS[i], &told, &again));
        assert_span_text(sp_buf_borrow(&told),
                         "version 3  ;handle 1  ;status 2  ;data 3  ;attrs 4  ;name 5  ;"
                         "status 6  ;handle 7  ;name 8  ;");
        assert_true(sp_span_eq(sp_buf_borrow(&again), sp_buf_borrow(&got)));
    }
    /* its extensions, less those that are not known here */
    sp_sftp sftp = sp_sftp_make(SP_SFTP_FROM_SERVER);
    sp_span input = sp_buf_borrow(&got);
    sp_sftp_event event;
    assert_ok(sp_sftp_next(&sftp, &input, &event));
    assert_true(sp_span_find(event.packet.pairs, SP_SPAN_LIT("copy-data")) <
                event.packet.pairs.len);
    auto_buf sp_buf version = sp_buf_make(4096);
    sp_sftp_put_version(&version, &event.packet);
    sp_span told = sp_buf_borrow(&version);
    assert_true(sp_span_find(told, SP_SPAN_LIT("copy-data")) == told.len);
    assert_true(sp_span_find(told, SP_SPAN_LIT("fsync@openssh.com")) < told.len);
    assert_true(sp_span_find(told, SP_SPAN_LIT("posix-rename@openssh.com")) < told.len);
    for (uint32_t i = 0; i < 8; i++) {
        do {
            assert_ok(sp_sftp_next(&sftp, &input, &event));
        } while (event.kind != SP_SFTP_PACKET);
        if (event.packet.type == SP_SFTP_ATTRS) {
            assert_int_equal(event.packet.attrs.size, sizeof(bytes));
        } else if (event.packet.id == 5) {
            sp_sftp_name name;
            assert_true(sp_sftp_name_next(&event.packet.names, &name));
            assert_span_text(name.name, keygen_folder);
            assert_false(sp_sftp_name_next(&event.packet.names, &name));
        } else if (event.packet.id == 6) {
            assert_int_equal(event.packet.code, SP_SFTP_NO_SUCH_FILE);
        }
    }
    sp_sftp_done(&sftp);
}

static void requests_are_what_they_do(void **state)
{
    (void)state;
    enum { EXPORT = 1 << SP_ACTION_EXPORT, IMPORT = 1 << SP_ACTION_IMPORT };
    enum { READ = 1 << SP_ACTION_READ, WRITE = 1 << SP_ACTION_WRITE };
    enum { DESTROY = 1 << SP_ACTION_DESTROY };
    static const struct {
        sp_sftp_packet packet;
        unsigned actions;
    } CASES[] = {
        {{.type = SP_SFTP_OPEN, .pflags = SP_SFTP_F_READ}, EXPORT},
        {{.type = SP_SFTP_OPEN, .pflags = 0}, EXPORT},
        {{.type = SP_SFTP_OPEN, .pflags = SP_SFTP_F_APPEND}, IMPORT},
        {{.type = SP_SFTP_OPEN, .pflags = SP_SFTP_F_READ | SP_SFTP_F_TRUNC}, EXPORT | IMPORT},
        {{.type = SP_SFTP_REMOVE}, DESTROY},
        {{.type = SP_SFTP_RMDIR}, DESTROY},
        {{.type = SP_SFTP_SETSTAT, .attrs = {.flags = SP_SFTP_A_MODE}}, WRITE},
        {{.type = SP_SFTP_FSETSTAT, .attrs = {.flags = SP_SFTP_A_SIZE}}, WRITE | DESTROY},
        {{.type = SP_SFTP_EXTENDED, .extension = SP_SFTP_X_HARDLINK}, WRITE},
        {{.type = SP_SFTP_EXTENDED, .extension = SP_SFTP_X_LIMITS}, 0},
        {{.type = SP_SFTP_OPENDIR}, READ},
        {{.type = SP_SFTP_WRITE}, 0},
        {{.type = SP_SFTP_CLOSE}, 0},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        assert_int_equal(sp_sftp_actions(&CASES[i].packet), CASES[i].actions);
    }
}

static void what_the_gate_writes_is_read_again(void **state)
{
    (void)state;
    auto_buf sp_buf open = sp_buf_make(1 << 16);
    auto_buf sp_buf rename = sp_buf_make(1 << 16);
    sp_sftp_event event;
    put_open(&open, 7, "/srv/x", SP_SFTP_F_WRITE | SP_SFTP_F_CREAT | SP_SFTP_F_TRUNC);
    sp_sftp_open_new(&open);
    sp_sftp_put_rename(&rename, 8, SP_SPAN_LIT("/a"), SP_SPAN_LIT("/b"));
    sp_buf_span(&open, sp_buf_borrow(&rename));
    sp_sftp sftp = sp_sftp_make(SP_SFTP_FROM_CLIENT);
    auto_buf sp_buf init = sp_buf_make(64);
    sp_sftp_put_init(&init);
    sp_span input = sp_buf_borrow(&init);
    assert_false(sp_failed(sp_sftp_next(&sftp, &input, &event)));
    input = sp_buf_borrow(&open);
    assert_false(sp_failed(sp_sftp_next(&sftp, &input, &event)));
    assert_int_equal(event.packet.type, SP_SFTP_OPEN);
    assert_true(sp_span_eq(event.packet.path, SP_SPAN_LIT("/srv/x")));
    assert_int_equal(event.packet.pflags,
                     SP_SFTP_F_WRITE | SP_SFTP_F_CREAT | SP_SFTP_F_TRUNC | SP_SFTP_F_EXCL);
    assert_false(sp_failed(sp_sftp_next(&sftp, &input, &event)));
    assert_int_equal(event.packet.type, SP_SFTP_RENAME);
    assert_int_equal(event.packet.id, 8);
    assert_true(sp_span_eq(event.packet.path2, SP_SPAN_LIT("/b")) && input.len == 0);
    sp_sftp_done(&sftp);
    auto_buf sp_buf none = sp_buf_make(64);
    sp_buf_text(&none, "short");
    sp_sftp_open_new(&none); /* is none: nothing is touched */
    assert_memory_equal(none.ptr, "short", 5);
}

static sp_code code_of(sp_sftp_side side, bool begin, sp_span packet)
{
    auto_buf sp_buf stream = sp_buf_make(1 << 20);
    auto_buf sp_buf told = sp_buf_make(1 << 16);
    auto_buf sp_buf again = sp_buf_make(1 << 20);
    if (begin) {
        put(&stream, side == SP_SFTP_FROM_CLIENT ? SP_SFTP_INIT : SP_SFTP_VERSION_IS, 3,
            SP_SPAN_EMPTY);
    }
    sp_buf_span(&stream, packet);
    sp_code whole = follow(side, sp_buf_borrow(&stream), stream.len, &told, &again).code;
    assert_int_equal(follow(side, sp_buf_borrow(&stream), 1, &told, &again).code, whole);
    return whole;
}

#define B(text) SP_SPAN_LIT(text)

static void what_cannot_be_followed_is_an_error(void **state)
{
    (void)state;
    const sp_sftp_side C = SP_SFTP_FROM_CLIENT;
    const sp_sftp_side S = SP_SFTP_FROM_SERVER;
    assert_int_equal(code_of(C, true, B("\0\0\0\5\4\0\0\0\1")), SP_ESHORT);   /* no handle */
    assert_int_equal(code_of(C, true, B("\0\0\0\0\4\0\0\0\1")), SP_EINVALID); /* no type */
    assert_int_equal(code_of(C, true, B("\0\4\0\1\4\0\0\0\1")), SP_ELIMIT);   /* too long */
    assert_int_equal(code_of(C, false, B("\0\0\0\011\4\0\0\0\1\0\0\0\0")),
                     SP_EINVALID);                                            /* no INIT */
    assert_int_equal(code_of(C, true, B("\0\0\0\5\1\0\0\0\3")), SP_EINVALID); /* a second one */
    assert_int_equal(code_of(C, true, B("\0\0\0\013\4\0\0\0\1\0\0\0\1hx")), SP_EINVALID); /* more */
    assert_int_equal(code_of(C, true, B("\0\0\0\011\4\0\0\0\1\0\0\0\0")), SP_EINVALID); /* empty */
    assert_int_equal(code_of(C, true, B("\0\0\0\014\7\0\0\0\1\0\0\0\3a\0b")),
                     SP_EINVALID); /* NUL */
    assert_int_equal(code_of(C, true,
                             B("\0\0\0\030\6\0\0\0\1\0\0\0\0" /* WRITE of two lengths */
                               "\0\0\0\0\0\0\0\0\0\0\0\011xxx")),
                     SP_EINVALID);
    assert_int_equal(code_of(S, true, B("\0\0\0\5\4\0\0\0\1")), SP_EINVALID); /* a request */
    assert_int_equal(code_of(S, true, B("\0\0\0\011\150\0\0\0\1\xff\xff\xff\xff")), SP_ESHORT);
    assert_int_equal(code_of(C, true, B("\0\0\0\5\77\0\0\0\1")), SP_OK); /* unknown: handed on */
    assert_int_equal(code_of(S, true, B("\0\0\0\015\147\0\0\0\1\0\0\0\4abcd")), SP_OK);
}

static void what_is_run_by_itself_is_known_by_its_place(void **state)
{
    (void)state;
    static const char *const RUN[] = {
        "/home/ops/.tmux.conf",
        "/home/ops/bin/ls",
        "/home/ops/bin",
        "/root/bin/x",
        "/home/ops/.local/bin/ls",
        "/home/ops/.local/lib/python3.11/site-packages/usercustomize.py",
        "/home/ops/.config/nvim/init.vim",
        "/srv/x/.screenrc",
        ".inputrc",
        "/home/ops/.bashrc",
        "/home/ops/.ssh/authorized_keys",
        "/home/ops/.ssh",
        "//home/ops//.ssh//rc",
        ".profile",
        "/srv/r.git/hooks/post-receive",
        "/srv/r.git/hooks",
        "/srv/r.git/config",
        "/srv/w/.git/hooks/pre-commit",
        "/srv/w/.git/config",
        "/srv/w/.git",
        "/home/ops/.config/systemd/user/x.service",
        "/home/ops/.config",
        "/etc/cron.d/x",
        "/etc",
        "/usr/local/bin/x",
        "/var/spool/cron/crontabs/ops",
        "/lib/x"};
    static const char *const NOT[] = {"",
                                      "/",
                                      "/srv/report.csv",
                                      "/home/ops/bashrc",
                                      "/srv/w/.git/objects/ab/cd",
                                      "/srv/web/src/hooks/useThing.ts",
                                      "/srv/etc/x",
                                      "etc/x",
                                      "/usr/share/x",
                                      "/var/spool/mail/x",
                                      "/home/ops/.config/app/x",
                                      "/srv/.bashrc/x",
                                      "/home/ops/.local/share/x",
                                      "/home/ops/src/bin.c",
                                      "/srv/bin/x"};
    for (size_t i = 0; i < SP_COUNT(RUN); i++) {
        if (!sp_sftp_runs(sp_span_cstr(RUN[i]))) {
            fail_msg("is run: %s", RUN[i]);
        }
    }
    for (size_t i = 0; i < SP_COUNT(NOT); i++) {
        if (sp_sftp_runs(sp_span_cstr(NOT[i]))) {
            fail_msg("is not run: %s", NOT[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(followed_however_it_is_cut),
        cmocka_unit_test(real_answers_are_followed),
        cmocka_unit_test(requests_are_what_they_do),
        cmocka_unit_test(what_the_gate_writes_is_read_again),
        cmocka_unit_test(what_cannot_be_followed_is_an_error),
        cmocka_unit_test(what_is_run_by_itself_is_known_by_its_place),
    };
    return cmocka_run_group_tests(tests, keygen_setup, keygen_teardown);
}
