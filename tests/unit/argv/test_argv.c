/* SPDX-License-Identifier: Apache-2.0
 * Tests of commands as words: what a shell would act on is no match, words and templates fit or do
 * not, transfer servers are recognised exactly; and a real shell comes to the same words.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/argv/argv.h.
 */
#include "lib/argv/argv.h"

#include "lib/base/mem.h"
#include "tests/unit/cm.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static sp_err split(const char *text, sp_argv *argv)
{
    return sp_argv_split(sp_span_cstr(text), argv);
}

static void plain_words_and_simple_quotes(void **state)
{
    (void)state;
    sp_argv a;
    assert_ok(split("  systemctl restart  'my unit' \"a'b\" x''y ''", &a));
    assert_int_equal(a.count, 6);
    assert_span_text(a.words[0], "systemctl");
    assert_span_text(a.words[2], "my unit");
    assert_span_text(a.words[3], "a'b");
    assert_span_text(a.words[4], "xy");
    assert_span_text(a.words[5], "");
    auto_buf sp_buf out = sp_buf_make(1000);
    sp_argv_quote(&a, &out);
    assert_span_text(sp_buf_borrow(&out), "systemctl restart 'my unit' 'a'\\''b' xy ''");
    assert_ok(split("ls \xe7\xbb\xb4\xe5\x9f\xba", &a));
    assert_ok(split("echo ';rm -rf /' '$HOME' '*'", &a));
}

static void what_a_shell_would_act_on_is_no_match(void **state)
{
    (void)state;
    static const char *const WRONG[] = {
        "",         "   ",   "ls;rm",  "ls; rm",    "a && b",  "a || b",   "a | b",     "a &",
        "a > f",    "a < f", "a `b`",  "a $(b)",    "a $b",    "a \"$b\"", "a \"`b`\"", "a *",
        "a ?",      "a [b]", "a ~",    "a ~root",   "a {b,c}", "r\\m",     "a \\\n b",  "a\nb",
        "a\rb",     "a #b",  "a 'b",   "a \"b",     "A=1 b",   "a ^b",     "a !b",      "a \"!b\"",
        "(a)",      "a %1",  "a =ls",  "a \"\\x\"", "a\x01",   "'' a",     "a 'b\\'",   "a \xff",
        "a 'b\nc'", "a\\",   "a \\\"",
    };
    sp_argv a;
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        if (split(WRONG[i], &a).code != SP_EINVALID) {
            fail_msg("taken: %s", WRONG[i]);
        }
    }
    assert_fails(sp_argv_split(sp_span_of("a\0b", 3), &a), SP_EINVALID);
    char many[SP_ARGV_BYTES_MAX + 2];
    sp_set(many, 'a', sizeof(many));
    assert_ok(sp_argv_split(sp_span_of(many, SP_ARGV_BYTES_MAX), &a));
    assert_fails(sp_argv_split(sp_span_of(many, SP_ARGV_BYTES_MAX + 1), &a), SP_ELIMIT);
    for (size_t i = 0; i < 2 * (SP_ARGV_WORDS_MAX + 1); i += 2) {
        many[i] = ' ';
    }
    assert_ok(sp_argv_split(sp_span_of(many, 2 * SP_ARGV_WORDS_MAX), &a));
    assert_fails(sp_argv_split(sp_span_of(many, 2 * (SP_ARGV_WORDS_MAX + 1)), &a), SP_ELIMIT);
}

/* printf prints each word in a line of its own, through the shell that is given the command. */
static void run_shell(const char *shell, const char *command, sp_buf *out)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(pipe_fds[1], 1);
        execlp(shell, shell, "-c", command, (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    char bytes[4096];
    ssize_t got = 0;
    while ((got = read(pipe_fds[0], bytes, sizeof(bytes))) > 0) {
        sp_buf_span(out, sp_span_of(bytes, (size_t)got));
    }
    close(pipe_fds[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void real_shells_come_to_the_same_words(void **state)
{
    (void)state;
    static const char *const COMMANDS[] = {
        "printf %s\\n a b",
        "printf '<%s>' a 'b c' \"d 'e' f\" g''h ''",
        "printf '<%s>' '$HOME' '`id`' '*' '~' ';' '!x' '#' '{a,b}' --x=%y @ a:b,c+d",
        "printf '<%s>' 'it'\\''s' a\\'b",
        "printf '<%s>' \"a;b|c&d>e*~#{x,y}\" 'a\"b' \"\"",
    };
    for (size_t i = 0; i < SP_COUNT(COMMANDS); i++) {
        sp_argv a;
        sp_err err = split(COMMANDS[i], &a);
        if (i == 0) {
            assert_fails(err, SP_EINVALID);
            continue;
        }
        assert_ok(err);
        auto_buf sp_buf quoted = sp_buf_make(1000);
        auto_buf sp_buf want = sp_buf_make(1000);
        for (size_t k = 2; k < a.count; k++) {
            sp_buf_byte(&want, '<');
            sp_buf_span(&want, a.words[k]);
            sp_buf_byte(&want, '>');
        }
        sp_argv_quote(&a, &quoted);
        sp_buf_byte(&quoted, 0);
        static const char *const SHELLS[] = {"sh", "bash"};
        for (size_t s = 0; s < SP_COUNT(SHELLS); s++) {
            auto_buf sp_buf first = sp_buf_make(4000);
            auto_buf sp_buf second = sp_buf_make(4000);
            run_shell(SHELLS[s], COMMANDS[i], &first);
            run_shell(SHELLS[s], (const char *)sp_buf_borrow(&quoted).ptr, &second);
            assert_true(sp_span_eq(sp_buf_borrow(&first), sp_buf_borrow(&want)));
            assert_true(sp_span_eq(sp_buf_borrow(&second), sp_buf_borrow(&want)));
        }
    }
}

static void templates_fit_their_type_only(void **state)
{
    (void)state;
    static const struct {
        const char *template_text;
        const char *word;
        bool fits;
    } CASES[] = {
        {"restart", "restart", true},
        {"restart", "Restart", false},
        {"{u:word}", "nginx.service", true},
        {"{u:word}", "-H", false},
        {"{u:word}", "a/b", false},
        {"{u:word}", "a b", false},
        {"{u:word}", "..", false},
        {"{u:word}", "", false},
        {"{u:word}", "a;b", false},
        {"{u:word}", "\xe7\xbb\xb4", false},
        {"-n{n:int}", "-n20", true},
        {"-n{n:int}", "-n", false},
        {"-n{n:int}", "-n-1", false},
        {"{n:int}", "1234567890123456789", false},
        {"{f:path}", "/var/log/x", true},
        {"{f:path}", "/var/../etc", false},
        {"{f:path}", "var", false},
        {"{f:path}", "//var", false},
        {"{f:path}", "/", false},
        {"{f:path}", "/a/", false},
        {"--f={f:path}", "--f=/a b", true},
        {"{f:path}", "/a/-rf", false},
        {"{v:start|stop}", "stop", true},
        {"{v:start|stop}", "start|stop", false},
        {"{v:start|stop}", "", false},
        {"a{w:word}z", "a1z", true},
        {"a{w:word}z", "az", false},
        {"a{w:word}a", "a", false},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        sp_span text = sp_span_cstr(CASES[i].template_text);
        assert_null(sp_argv_template_fault(text));
        if (sp_argv_template_fits(text, sp_span_cstr(CASES[i].word)) != CASES[i].fits) {
            fail_msg("%s on %s", CASES[i].template_text, CASES[i].word);
        }
    }
    static const char *const WRONG[] = {"",         "{",         "}",         "a}",
                                        "{a}",      "{:word}",   "{a:}",      "{a:line}",
                                        "{a:x|}",   "{a:|x}",    "{a:b c|d}", "{a:word}{b:word}",
                                        "{A:word}", "x{a:path}", "a\nb"};
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        if (sp_argv_template_fault(sp_span_cstr(WRONG[i])) == NULL) {
            fail_msg("taken: %s", WRONG[i]);
        }
    }
}

typedef struct {
    const char *text;
    sp_command_kind kind;
    bool to_target;
    bool deletes;
    const char *path;
} transfer_case;

static const transfer_case TRANSFERS[] = {
    {"scp -t /tmp/x", SP_COMMAND_SCP, true, false, "/tmp/x"},
    {"scp -r -p -d -t -- '/tmp/a b'", SP_COMMAND_SCP, true, false, "/tmp/a b"},
    {"scp -prf /etc/passwd /etc/hosts", SP_COMMAND_SCP, false, false, "/etc/passwd"},
    {"/usr/bin/scp -f x", SP_COMMAND_SCP, false, false, "x"},
    {"/usr/local/bin/rsync --server -re.iLsfxCIvu . x", SP_COMMAND_RSYNC, true, false, "x"},
    {"/usr/lib/git-core/git-upload-pack x", SP_COMMAND_GIT, false, false, "x"},
    {"/tmp/scp -f x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"bin/scp -f x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"./rsync --server --sender . /", SP_COMMAND_UNPARSED, false, false, NULL},
    {"/usr/bin/../../tmp/rsync --server --sender . /", SP_COMMAND_UNPARSED, false, false, NULL},
    {"//usr/bin/git-upload-pack x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"/home/x/git upload-pack x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"scp -t", SP_COMMAND_UNPARSED, false, false, NULL},
    {"scp -t -f x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"scp -t a b", SP_COMMAND_UNPARSED, false, false, NULL},
    {"scp -S sh -t x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"scp a b", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -vlogDtpre.iLsfxCIvu . /srv/x", SP_COMMAND_RSYNC, true, false, "/srv/x"},
    {"rsync --server --sender -vlogDtpre.iLsfxCIvu . /srv/x/", SP_COMMAND_RSYNC, false, false,
     "/srv/x/"},
    {"rsync --server -vlogDtpre.iLsfxCIvu --delete . /srv/x", SP_COMMAND_RSYNC, true, true,
     "/srv/x"},
    {"rsync --server --sender -re.LsfxCIvu --remove-source-files . a b", SP_COMMAND_RSYNC, false,
     true, "a"},
    {"rsync --server -vlogDtprse.iLsfxCIvu", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -re. --log-file=/etc/passwd . x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -re. --temp-dir=/x . x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server --daemon .", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -re. . x --delete", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -e --sender . x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -re --sender . x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -B --sender . x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -@ --sender . x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"rsync --server -re. --force . x", SP_COMMAND_RSYNC, true, true, "x"},
    {"rsync -a x y", SP_COMMAND_UNPARSED, false, false, NULL},
    {"git-upload-pack '/srv/git/a.git'", SP_COMMAND_GIT, false, false, "/srv/git/a.git"},
    {"git-receive-pack 'a.git'", SP_COMMAND_GIT, true, false, "a.git"},
    {"git upload-archive 'a.git'", SP_COMMAND_GIT, false, false, "a.git"},
    {"git-upload-pack --strict x", SP_COMMAND_UNPARSED, false, false, NULL},
    {"git status", SP_COMMAND_OTHER, false, false, NULL},
    {"/usr/lib/openssh/sftp-server", SP_COMMAND_SFTP, false, false, NULL},
    {"sftp-server -d /", SP_COMMAND_UNPARSED, false, false, NULL},
    {"true", SP_COMMAND_OTHER, false, false, NULL},
};

static void transfer_servers_are_recognised_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < SP_COUNT(TRANSFERS); i++) {
        const transfer_case *t = &TRANSFERS[i];
        sp_argv a;
        assert_ok(split(t->text, &a));
        sp_command c = sp_command_recognise(&a);
        if (c.kind != t->kind || c.to_target != t->to_target || c.deletes != t->deletes ||
            (t->path != NULL) != (c.paths_count > 0)) {
            fail_msg("%s is a %s", t->text, sp_command_word((sp_command_kind)c.kind));
        }
        if (t->path != NULL) {
            assert_span_text(c.paths[0], t->path);
        }
    }
    assert_true(sp_command_looks_like_transfer(SP_SPAN_LIT("scp -t /tmp/x; bash")));
    assert_true(sp_command_looks_like_transfer(SP_SPAN_LIT(" /usr/bin/rsync --server *")));
    assert_true(sp_command_looks_like_transfer(SP_SPAN_LIT("git-upload-pack ~/x")));
    assert_true(sp_command_looks_like_transfer(SP_SPAN_LIT("git  upload-pack ~/x")));
    assert_false(sp_command_looks_like_transfer(SP_SPAN_LIT("git log *")));
    assert_false(sp_command_looks_like_transfer(SP_SPAN_LIT("ls *")));
}

static void transfers_run_from_the_places_of_the_system(void **state)
{
    static const struct {
        const char *text;
        bool as_named;
        const char *sent;
    } CASES[] = {{"scp -f 'a b'", false, "/usr/bin/scp -f 'a b'"},
                 {"git upload-pack x", false, "/usr/bin/git upload-pack 'x'"},
                 {"git-upload-pack \"a'b\"", true, "git-upload-pack 'a'\\''b'"},
                 {"git-receive-pack 'x.git'", true, "git-receive-pack 'x.git'"},
                 {"rsync --server -re. . x", true, "rsync --server -re. . x"},
                 {"/usr/bin/scp -t x", true, "/usr/bin/scp -t x"},
                 {"/usr/local/bin/rsync --server -re. . x", false,
                  "/usr/local/bin/rsync --server -re. . x"}};
    (void)state;
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        sp_argv a;
        auto_buf sp_buf sent = sp_buf_make(1024);
        assert_ok(split(CASES[i].text, &a));
        sp_command c = sp_command_recognise(&a);
        sp_command_quote((sp_command_kind)c.kind, &a, CASES[i].as_named, &sent);
        assert_span_text(sp_buf_borrow(&sent), CASES[i].sent);
        /* what is judged again is spelt no further */
        auto_buf sp_buf again = sp_buf_make(1024);
        assert_ok(split(CASES[i].sent, &a));
        sp_command_quote((sp_command_kind)c.kind, &a, CASES[i].as_named, &again);
        assert_span_text(sp_buf_borrow(&again), CASES[i].sent);
    }
}

static void transfers_begin_as_their_protocol_does(void **state)
{
    (void)state;
    assert_true(sp_command_begins(SP_COMMAND_RSYNC, 0, SP_SPAN_LIT("\x1f\0\0\0xyz")));
    assert_true(sp_command_begins(SP_COMMAND_RSYNC, 2, SP_SPAN_LIT("\0\0x")));
    assert_true(sp_command_begins(SP_COMMAND_RSYNC, 4, SP_SPAN_LIT("bash$ ")));
    assert_false(sp_command_begins(SP_COMMAND_RSYNC, 0, SP_SPAN_LIT("bash$ ")));
    assert_false(sp_command_begins(SP_COMMAND_RSYNC, 1, SP_SPAN_LIT("a")));
    assert_true(sp_command_begins(SP_COMMAND_GIT, 0, SP_SPAN_LIT("00f3want")));
    assert_false(sp_command_begins(SP_COMMAND_GIT, 0, SP_SPAN_LIT("id\n")));
    assert_false(sp_command_begins(SP_COMMAND_GIT, 3, SP_SPAN_LIT("$ ")));
    assert_true(sp_command_begins(SP_COMMAND_SCP, 0, SP_SPAN_LIT("C0644")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_words_and_simple_quotes),
        cmocka_unit_test(what_a_shell_would_act_on_is_no_match),
        cmocka_unit_test(real_shells_come_to_the_same_words),
        cmocka_unit_test(templates_fit_their_type_only),
        cmocka_unit_test(transfer_servers_are_recognised_exactly),
        cmocka_unit_test(transfers_run_from_the_places_of_the_system),
        cmocka_unit_test(transfers_begin_as_their_protocol_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
