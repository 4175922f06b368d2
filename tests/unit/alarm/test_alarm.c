/* SPDX-License-Identifier: Apache-2.0
 * Tests of the alarm: its recall over every way in our list, its false alarms over what people type
 * all day, and what it sees of a real bash's line editing, history and completion.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/alarm/alarm.h.
 */
#include "lib/alarm/alarm.h"

#include "lib/base/mem.h"
#include "tests/unit/cm.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *evasions_path;
static const char *ordinary_path;
static sp_alarm_judge *judge;

enum { FILE_BYTES = 1 << 17, RECALL_LEAST_PERCENT = 97 };

static sp_span read_file(const char *path, char *room)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got = fread(room, 1, FILE_BYTES, file);
    (void)fclose(file);
    return sp_span_of(room, got);
}

/* The gravest of a session's lines. */
static sp_alarm session(sp_span text)
{
    sp_alarm_vars vars = {0};
    sp_alarm worst = {0};
    while (text.len > 0) {
        size_t end = sp_span_find(text, SP_SPAN_LIT("\xe2\x90\xa4"));
        sp_alarm one = sp_alarm_line(judge, &vars, sp_span_slice(text, 0, end));
        worst = one.confidence > worst.confidence ? one : worst;
        text = sp_span_slice(text, end + 3, text.len);
    }
    return worst;
}

static void count(const char *path, bool must_page, size_t *ret_lines, size_t *ret_paged)
{
    static char room[FILE_BYTES];
    sp_span rest = read_file(path, room);
    sp_span line;
    *ret_lines = 0;
    *ret_paged = 0;
    while (sp_span_split(&rest, '\n', &line)) {
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        sp_alarm a = session(line);
        bool paged = a.confidence >= SP_ALARM_PAGE;
        *ret_lines += 1;
        *ret_paged += paged ? 1 : 0;
        if (paged != must_page) {
            print_message("%s: %.*s (%u%s%s)\n", must_page ? "missed" : "false alarm",
                          SP_SPAN_ARG(line), a.confidence, a.reason == NULL ? "" : ", ",
                          a.reason == NULL ? "" : a.reason);
        }
    }
}

static void recall_and_false_alarms(void **state)
{
    (void)state;
    size_t evasions = 0;
    size_t caught = 0;
    size_t ordinary = 0;
    size_t wrong = 0;
    count(evasions_path, true, &evasions, &caught);
    count(ordinary_path, false, &ordinary, &wrong);
    print_message("recall %zu of %zu (%.1f %%), false alarms %zu of %zu\n", caught, evasions,
                  100.0 * (double)caught / (double)evasions, wrong, ordinary);
    assert_true(evasions >= 150 && ordinary >= 300);
    assert_true(caught * 100 >= evasions * RECALL_LEAST_PERCENT);
    assert_int_equal(wrong, 0);
}

static void a_storm_is_bounded(void **state)
{
    (void)state;
    static uint8_t bytes[100000];
    static const char *const STORMS[] = {"(",   "$(",   "`",     "{a,",      "'",      "\"$(",
                                         "|",   "a=b ", "$'\\x", "\\",       "sh -c ", "eval ",
                                         "<<<", "/*",   "\x1b[", "\x1b[200~"};
    for (size_t i = 0; i < SP_COUNT(STORMS); i++) {
        size_t len = strlen(STORMS[i]);
        for (size_t at = 0; at + len <= sizeof(bytes); at += len) {
            sp_copy(bytes + at, STORMS[i], len);
        }
        sp_alarm_vars vars = {0};
        sp_alarm_term term;
        (void)sp_alarm_line(judge, &vars, sp_span_of(bytes, sizeof(bytes)));
        (void)sp_alarm_line(judge, &vars, sp_span_of(bytes, SP_ALARM_LINE_MAX_BYTES));
        sp_alarm_term_init(&term, 0);
        (void)sp_alarm_typed(&term, judge, sp_span_of(bytes, sizeof(bytes)));
        (void)sp_alarm_printed(&term, judge, sp_span_of(bytes, sizeof(bytes)));
        (void)sp_alarm_typed(&term, judge, SP_SPAN_LIT("\r"));
    }
}

/* ---- a real bash; nothing is on its path, so that nothing it is told happens ---- */

typedef struct {
    int fd;
    pid_t pid;
    sp_alarm_term term;
    sp_alarm worst;
} bash;

static void take(bash *b, sp_alarm a)
{
    b->worst = a.confidence > b->worst.confidence ? a : b->worst;
}

/* What it prints, until it has been quiet for a while. */
static void listen(bash *b)
{
    struct pollfd p = {.fd = b->fd, .events = POLLIN};
    while (poll(&p, 1, 150) == 1) {
        uint8_t room[4096];
        ssize_t got = read(b->fd, room, sizeof(room));
        if (got <= 0) {
            return;
        }
        take(b, sp_alarm_printed(&b->term, judge, sp_span_of(room, (size_t)got)));
    }
}

static void type(bash *b, const char *keys)
{
    sp_span bytes = sp_span_cstr(keys);
    take(b, sp_alarm_typed(&b->term, judge, bytes));
    assert_int_equal(write(b->fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
    listen(b);
}

static void start_bash(bash *b)
{
    struct winsize size = {.ws_col = 40, .ws_row = 24};
    *b = (bash){0};
    sp_alarm_term_init(&b->term, size.ws_col);
    b->pid = forkpty(&b->fd, NULL, NULL, &size);
    assert_true(b->pid >= 0);
    if (b->pid == 0) {
        char *const argv[] = {(char[]){"bash"}, (char[]){"--norc"}, (char[]){"--noprofile"},
                              (char[]){"-i"}, NULL};
        char *const env[] = {(char[]){"PATH=/nonexistent"},
                             (char[]){"TERM=xterm"},
                             (char[]){"HOME=/nonexistent"},
                             (char[]){"HISTFILE="},
                             (char[]){"PS1=ann@host:~$ "},
                             (char[]){"INPUTRC=/dev/null"},
                             NULL};
        execve("/bin/bash", argv, env);
        _exit(127);
    }
    struct pollfd p = {.fd = b->fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1); /* the first prompt, however busy the machine is */
    listen(b);
}

static void end_bash(bash *b)
{
    int status = 0;
    assert_int_equal(kill(b->pid, SIGKILL), 0);
    assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
    close(b->fd);
}

#define LEFT "\x1b[D"
#define UP "\x1b[A"

static void a_real_shells_line_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *keys[6];
        bool alarm;
    } CASES[] = {
        {{"rm -rf /data\r"}, true},
        {{"rn -rf /data", LEFT LEFT LEFT LEFT LEFT LEFT LEFT LEFT LEFT LEFT "\x7f", "m\r"}, true},
        {{"-rf /data", "\x01rm \r"}, true}, /* ^A */
        {{"/data", "\x01", "rm -rf \r"}, true},
        {{"ls x\x17\x17rm -rf /data\r"}, true},                    /* ^W */
        {{"false && rm -rf /data\r", "true\r", UP UP "\r"}, true}, /* history */
        {{"ls\x15rm -rf /data\r"}, true},                          /* ^U */
        {{"rm -rf /data", "\x15", "ls\r"}, false},
        {{"rm -rf /data", "\x03", "ls\r"}, false}, /* ^C */
        {{"rm -rf /dat", "\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f", "ls\r"}, false},
        {{"\x1b[200~rm -rf /data\x1b[201~", "\r"}, true}, /* pasted */
        {{"echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; rm -rf /data\r"}, true},
        {{"rm \\\r", "-rf /data\r"}, true},
        {{"ls\r", "pwd\r", "echo hello\r", "true\r"}, false},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        bash b;
        start_bash(&b);
        for (size_t k = 0; k < SP_COUNT(CASES[i].keys) && CASES[i].keys[k] != NULL; k++) {
            type(&b, CASES[i].keys[k]);
        }
        bool alarm = b.worst.confidence >= SP_ALARM_PAGE;
        end_bash(&b);
        if (alarm != CASES[i].alarm) {
            fail_msg("case %zu: %u", i, b.worst.confidence);
        }
    }
}

/* History alone: the keys say nothing, only the screen does. */
static void recalled_from_history_it_is_seen_on_the_screen(void **state)
{
    (void)state;
    bash b;
    start_bash(&b);
    type(&b, "rm -rf /data\r");
    assert_true(b.worst.confidence >= SP_ALARM_FREEZE);
    b.worst = (sp_alarm){0};
    type(&b, "true\r");
    assert_int_equal(b.worst.confidence, 0);
    type(&b, UP UP);
    type(&b, "\r");
    assert_true(b.worst.confidence >= SP_ALARM_FREEZE);
    b.worst = (sp_alarm){0};
    type(&b, "\x12"
             "data"); /* ^R */
    type(&b, "\r");
    assert_true(b.worst.confidence >= SP_ALARM_PAGE);
    end_bash(&b);
}

static void silence_and_titles_switch_nothing_off(void **state)
{
    (void)state;
    sp_alarm_term term;
    sp_alarm_term_init(&term, 80);
    (void)sp_alarm_printed(&term, judge,
                           SP_SPAN_LIT("\x1b[?1049h\x1b]0;never ended, then a new line\n$ "));
    sp_alarm a = sp_alarm_typed(&term, judge, SP_SPAN_LIT("rm -rf /data\r"));
    assert_true(a.confidence >= SP_ALARM_FREEZE && a.reason != NULL);
    /* typed without echo */
    sp_alarm_term_init(&term, 80);
    a = sp_alarm_typed(&term, judge, SP_SPAN_LIT("r\\m -rf /data\r"));
    assert_true(a.confidence >= SP_ALARM_FREEZE);
    /* the echo comes late, and what was recalled with it */
    sp_alarm_term_init(&term, 80);
    (void)sp_alarm_printed(&term, judge, SP_SPAN_LIT("$ "));
    a = sp_alarm_typed(&term, judge, SP_SPAN_LIT(UP "\r"));
    assert_int_equal(a.confidence, 0);
    a = sp_alarm_printed(&term, judge, SP_SPAN_LIT("rm -rf /data\r\n$ "));
    assert_true(a.confidence >= SP_ALARM_FREEZE);
}

static void commands_that_take_commands(void **state)
{
    (void)state;
    static const char *const TAKES[] = {"bash -s",
                                        "sh",
                                        "/bin/sh",
                                        "sudo -u ops bash",
                                        "cat|bash -s",
                                        "python3.11 -",
                                        "b\"\"ash -s",
                                        "'bash'",
                                        "env A=1 dash",
                                        "$SHELL",
                                        "`which sh`",
                                        "b\\ash",
                                        "/bin/b?sh",
                                        "psql -h x",
                                        "xargs rm",
                                        "cd /tmp;sh",
                                        "exec</dev/stdin bash",
                                        "{bash,-s}",
                                        "nohup sh",
                                        "timeout 5 sh",
                                        "timeout -k 1 5 /bin/sh -s",
                                        "env sh",
                                        "setsid sh",
                                        "nice -n 5 sh",
                                        "xargs sh",
                                        "tclsh",
                                        "tclsh8.6",
                                        "wish",
                                        "expect -",
                                        "gdb -x -",
                                        "lldb",
                                        "vi -es",
                                        "vim -s /dev/stdin",
                                        "ex -s",
                                        "nvim -es",
                                        "emacs --batch",
                                        "make -f -",
                                        "docker exec -i db sh",
                                        "kubectl exec -i x -- bash",
                                        "tmux",
                                        "screen",
                                        "R --no-save",
                                        "Rscript -",
                                        "julia",
                                        "deno",
                                        "pwsh",
                                        "ipython3",
                                        "guile",
                                        "erl",
                                        "while read a; do eval x; done",
                                        ". /dev/stdin",
                                        "source /dev/stdin",
                                        "nft -f -",
                                        "iptables-restore",
                                        "fdisk x",
                                        "sftp -b - x",
                                        "socat - EXEC:x",
                                        "busybox ash",
                                        "ldapmodify"};
    static const char *const NOT[] = {
        "cat > file.txt", "tar xf -",     "wc -l",    "tee notes", "",
        "md5sum",         "gzip -d",      "shred",    "bashful",   "dd of=/tmp/x",
        "sha256sum -",    "sort -u",      "diff - x", "grep -c x", "cat ./notes.d/x.txt",
        "cp x .",         "ip addr show", "docker ps"};
    for (size_t i = 0; i < SP_COUNT(TAKES); i++) {
        if (!sp_alarm_reads_commands(sp_span_cstr(TAKES[i]))) {
            fail_msg("takes commands: %s", TAKES[i]);
        }
    }
    for (size_t i = 0; i < SP_COUNT(NOT); i++) {
        if (sp_alarm_reads_commands(sp_span_cstr(NOT[i]))) {
            fail_msg("takes none: %s", NOT[i]);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_that_take_commands),
        cmocka_unit_test(recall_and_false_alarms),
        cmocka_unit_test(a_storm_is_bounded),
        cmocka_unit_test(a_real_shells_line_is_read),
        cmocka_unit_test(recalled_from_history_it_is_seen_on_the_screen),
        cmocka_unit_test(silence_and_titles_switch_nothing_off),
    };
    if (argc != 3 || sp_failed(sp_alarm_judge_new(&judge))) {
        return 2;
    }
    evasions_path = argv[1];
    ordinary_path = argv[2];
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sp_alarm_judge_free(judge);
    return failed;
}
