/* SPDX-License-Identifier: Apache-2.0
 * The attack: a phished employee and a hostile operator against the demo office that runs, with
 * real clients, paced so that one can sit before the wall. What was caught is asked of the watch
 * room's API; whether a row is lost is asked past the gate, of the server itself.
 *
 * OWNS nothing. PROCESS sallyport-demo. TRUST none. SPEC demo/README.md "The attack".
 */
#include "demo/attack.h"
#include "infra/proc/clock.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DESTROY_TRIES = 200, LINE_BYTES = 400 };

static const char *const everybody[] = {"olga", "sam", "audrey", "mia",
                                        "leo",  "dan", "wei",    "nina"};

/* An address of this machine that no attack had before, so that nothing about it is known. */
static void address(char to[20], unsigned network)
{
    unsigned seed = (unsigned)time(NULL);
    snprintf(to, 20, "127.%u.%u.%u", 1 + seed % 250, (seed / 250 + network * 17) % 250,
             1 + network);
}

/* ---- the phished employee ---- */

/* A password is tried at a name; true: it was let in. */
static bool guess(attack *a, const char *from, const char *name)
{
    demo_person one;
    if (sp_failed(demo_person_init(a->d, &one))) {
        return false;
    }
    snprintf(one.from, sizeof(one.from), "%s", from);
    json_t *step = demo_call(&one, "POST", "/sign-in/start", json_pack("{s:s}", "name", name));
    const char *flow = json_string_value(json_object_get(step, "flow"));
    json_t *code =
        flow == NULL
            ? NULL
            : demo_call(&one, "POST", "/sign-in/password",
                        json_pack("{s:s,s:s}", "flow", flow, "password", "Lantern-Spring-2026"));
    json_t *done = code == NULL ? NULL
                                : demo_call(&one, "POST", "/sign-in/totp",
                                            json_pack("{s:s,s:s}", "flow", flow, "code", "000000"));
    bool in = done != NULL;
    json_decref(done);
    json_decref(code);
    json_decref(step);
    demo_person_done(&one);
    return in;
}

static void spray(attack *a)
{
    char from[20];
    unsigned in = 0;
    uint64_t since = attack_now(a);
    uint64_t from_us = 0;
    address(from, 9);
    attack_does(a, "From %s, one guessed password at every name of the office.", from);
    for (size_t i = 0; i < SP_COUNT(everybody); i++) {
        from_us = sp_now_steady_us();
        in += guess(a, from, everybody[i]) ? 1 : 0;
    }
    attack_check(a, in == 0, "none of %zu guesses was let in", SP_COUNT(everybody));
    attack_expect(a, "password-spraying", from, since, from_us);
}

static void take(attack *a, demo_person *thief, const char *host, const char *path)
{
    long status = demo_visit(thief, host, path);
    attack_check(a, status == 403, "refused: https://%s%s (%ld)", host, path, status);
}

static void canary(attack *a, demo_person *thief)
{
    if (!attack_has_detection(a, "canaries", "keys-nobody-needs")) {
        attack_check(a, false,
                     "the office has no bait: it was made before there was some; remove run/");
        return;
    }
    attack_does(
        a, "\"passwords.txt\" in the board's folder looks good. Nobody has a reason to open it.");
    uint64_t since = attack_now(a);
    uint64_t from_us = sp_now_steady_us();
    long status = demo_visit(thief, "files", "/board/passwords.txt");
    attack_expect(a, "keys-nobody-needs", "", since, from_us);
    attack_check(a, status != 200, "and got nothing by it (%ld)", status);
}

static void phished(attack *a)
{
    demo_person thief;
    char home[20];
    attack_chapter(a,
                   "1. Mia, of human resources, typed her password and a code into a false page.");
    spray(a);
    address(home, 1);
    if (sp_failed(demo_person_init(a->d, &thief))) {
        return;
    }
    snprintf(thief.from, sizeof(thief.from), "%s", home);
    attack_does(a, "The false page's password and code are good: somebody signs in as mia from %s.",
                home);
    if (sp_failed(demo_account_sign_in(a->d, "mia", &thief))) {
        attack_check(a, false, "the story needs mia signed in: %s", thief.words);
        demo_person_done(&thief);
        return;
    }
    attack_does(a, "He takes what he can: salaries, the board's minutes, stock lists.");
    demo_visit(&thief, "files", "/");
    take(a, &thief, "hr", "/salaries/2026.csv");
    take(a, &thief, "files", "/board/minutes.md");
    take(a, &thief, "files", "/stock.csv");
    canary(a, &thief);
    attack_does(a, "He hands the session on: it is used from two more networks.");
    uint64_t since = attack_now(a);
    uint64_t from_us = 0;
    for (unsigned network = 2; network <= 3; network++) {
        address(thief.from, network);
        from_us = sp_now_steady_us();
        demo_visit(&thief, "files", "/");
    }
    attack_expect(a, "session-on-many-networks", "", since, from_us);
    json_t *me = demo_call(&thief, "GET", "/me", NULL);
    attack_check(a, me == NULL, "his session is dead (%ld)", thief.status);
    json_decref(me);
    demo_person_done(&thief);
}

/* ---- the hostile operator ---- */

typedef struct {
    demo_person dan;
    drill_login login;
    char home[DEMO_PATH_BYTES];
} operator_;

static sp_err laptop(attack *a, operator_ *o)
{
    char name[DEMO_TEXT_BYTES];
    char part[DEMO_TEXT_BYTES];
    snprintf(name, sizeof(name), "dan-at-home-%x", (unsigned)time(NULL));
    snprintf(part, sizeof(part), "laptops/%.60s", name);
    demo_path(a->d, "laptops", o->home);
    mkdir(o->home, S_IRWXU);
    demo_path(a->d, part, o->home);
    mkdir(o->home, S_IRWXU);
    setenv("HOME", o->home, 1);
    unsetenv("XDG_STATE_HOME");
    snprintf(o->login.device, sizeof(o->login.device), "%s/.local/state/sallyport", o->home);
    snprintf(o->login.user, sizeof(o->login.user), "%s", o->dan.name);
    return demo_enrol_for(a->d, &o->dan, &a->sam, name, "personal");
}

/* The attack before may have shut him out, as it should: by the budget or by a plan. */
static bool let_back_in(attack *a, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "/admin/people?q=%s", name);
    json_t *page = demo_call(&a->sam, "GET", path, NULL);
    const char *state = json_string_value(
        json_object_get(json_array_get(json_object_get(page, "items"), 0), "state"));
    bool is_out = state != NULL && strcmp(state, "active") != 0;
    json_decref(page);
    if (is_out) {
        demo_say("%s is shut out since the attack before: olga lets %s back in.", name, name);
    }
    return !is_out || drill_unlock(a->d, name);
}

static sp_err sign_in_dan(attack *a, operator_ *o)
{
    TRY(demo_person_init(a->d, &o->dan));
    TRY(demo_account_sign_in(a->d, "dan", &o->dan));
    TRY(laptop(a, o));
    json_t *made = demo_call(&o->dan, "POST", "/me/databases/orders-db/tokens", json_object());
    const char *password = json_string_value(json_object_get(made, "password"));
    sp_err err = password == NULL
                     ? sp_fail(SP_EDENIED)
                     : sp_fit(o->login.password, DEMO_TEXT_BYTES, sp_span_cstr(password));
    json_decref(made);
    return err;
}

/* Runs a program; its exit status, and what it said on both outputs in one line. */
static int run_program(const char *const argv[], char ret_words[LINE_BYTES])
{
    int ends[2];
    size_t len = 0;
    int status = 0;
    ret_words[0] = '\0';
    if (pipe(ends) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        dup2(nothing, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(EXIT_SUCCESS); /* counts as "was not refused" */
    }
    close(ends[1]);
    for (ssize_t n = 1; n > 0;) {
        char more[LINE_BYTES];
        n = read(ends[0], more, sizeof(more));
        for (ssize_t k = 0; k < n && len < LINE_BYTES - 1; k++) {
            ret_words[len++] = (unsigned char)more[k] < ' ' ? ' ' : more[k];
        }
    }
    ret_words[len] = '\0';
    close(ends[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : -1;
}

/* Runs the real ssh with a certificate of the office. *ret_words: what it said. */
static int run_ssh(attack *a, operator_ *o, const char *machine, const char *command,
                   char ret_words[LINE_BYTES])
{
    char key[DEMO_PATH_BYTES + 8];
    char cert[DEMO_PATH_BYTES + 40];
    char port[16];
    char whom[LINE_BYTES];
    snprintf(key, sizeof(key), "%s/key", o->home);
    snprintf(cert, sizeof(cert), "CertificateFile=%s/key-cert.pub", o->home);
    snprintf(port, sizeof(port), "%u", a->d->ssh_port);
    snprintf(whom, sizeof(whom), "dan:%s@127.0.0.1", machine);
    const char *const argv[] = {"timeout",
                                "20",
                                "ssh",
                                "-F",
                                "none",
                                "-i",
                                key,
                                "-o",
                                cert,
                                "-o",
                                "IdentitiesOnly=yes",
                                "-o",
                                "BatchMode=yes",
                                "-o",
                                "StrictHostKeyChecking=no",
                                "-o",
                                "UserKnownHostsFile=/dev/null",
                                "-o",
                                "LogLevel=ERROR",
                                "-p",
                                port,
                                whom,
                                command,
                                NULL};
    return run_program(argv, ret_words);
}

static bool certificate(operator_ *o)
{
    char line[DEMO_PATH_BYTES * 2];
    char path[DEMO_PATH_BYTES + 8];
    char key[DEMO_PATH_BYTES] = "";
    char said[LINE_BYTES];
    snprintf(path, sizeof(path), "%s/key", o->home);
    unlink(path);
    const char *const argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, NULL};
    bool made = run_program(argv, said) == 0;
    snprintf(line, sizeof(line), "%s.pub", path);
    FILE *public_key = made ? fopen(line, "re") : NULL;
    bool read = public_key != NULL && fgets(key, sizeof(key), public_key) != NULL;
    if (public_key != NULL) {
        fclose(public_key);
    }
    key[strcspn(key, "\n")] = '\0';
    json_t *given =
        read ? demo_call(&o->dan, "POST", "/ssh/certificate", json_pack("{s:s}", "key", key))
             : NULL;
    const char *text = json_string_value(json_object_get(given, "certificate"));
    snprintf(line, sizeof(line), "%s/key-cert.pub", o->home);
    FILE *file = text != NULL ? fopen(line, "we") : NULL;
    bool good = file != NULL && fprintf(file, "%s\n", text) > 0;
    if (file != NULL) {
        good = fclose(file) == 0 && good;
    }
    json_decref(given);
    return good;
}

static void by_ssh(attack *a, operator_ *o)
{
    static const char *const commands[] = {"rm -rf /var/lib/postgresql", "dd if=/dev/zero of=data"};
    char words[LINE_BYTES] = "";
    attack_does(a, "Then by the machine below it, with ssh.");
    if (!certificate(o)) {
        attack_check(a, false, "the story needs a certificate: %s", o->dan.words);
        return;
    }
    for (size_t i = 0; i < SP_COUNT(commands); i++) {
        int status = run_ssh(a, o, "orders-host", commands[i], words);
        attack_check(a, status > 0 && strstr(words, "not allowed") != NULL,
                     "refused: $ %s (%.100s)", commands[i], words);
    }
}

static void by_web(attack *a, operator_ *o)
{
    attack_does(a, "Then what he can carry off by the browser.");
    uint64_t since = attack_now(a);
    uint64_t from_us = sp_now_steady_us();
    take(a, &o->dan, "files", "/stock.csv");
    attack_expect(a, "refused-then-elsewhere", "dan", since, from_us);
}

static void by_sql(attack *a, operator_ *o)
{
    static const drill_attempt tries[] = {
        {"through psql", DRILL_PSQL, "DROP TABLE order_items"},
        {"with comments between the words", DRILL_SIMPLE, "DELETE/**/FROM/**/order_items--"},
        {"with markup for whoever reads it", DRILL_SIMPLE,
         "DELETE FROM order_items /* <img src=x onerror=alert(1)> \x1b[2J */"},
    };
    drill_outcome told;
    PGconn *gate = drill_connect(a->d, &o->login, true);
    const drill_trial trial = {.demo = a->d, .gate = gate, .login = &o->login};
    attack_does(a, "He is connected to the orders database as op_dba, with every right there.");
    for (size_t i = 0; i < SP_COUNT(tries) && gate != NULL; i++) {
        drill_try(&trial, &tries[i], &told);
        attack_check(a, told.refused, "refused: %s: %.40s", tries[i].what,
                     i == SP_COUNT(tries) - 1 ? "DELETE .. /* <img ..> ESC[2J */" : tries[i].sql);
        attack_does(a, "  he was told: %.100s", told.words);
    }
    attack_check(a, gate != NULL, "all of it over a connection that the gate watched");
    PQfinish(gate);
}

static void until_locked(attack *a, operator_ *o)
{
    drill_outcome told;
    unsigned refused = 0;
    uint64_t since = attack_now(a);
    uint64_t from_us = 0;
    attack_does(a, "He does not stop: every disguise that he knows, one after another.");
    PGconn *gate = drill_connect(a->d, &o->login, false);
    const drill_trial trial = {.demo = a->d, .gate = gate, .login = &o->login};
    for (size_t i = 0; i < DESTROY_TRIES && gate != NULL && PQstatus(gate) == CONNECTION_OK; i++) {
        from_us = sp_now_steady_us();
        drill_try(&trial, &drill_attempts[i % drill_attempt_count], &told);
        refused += told.refused ? 1 : 0;
        if (!a->fast) {
            usleep(400 * 1000);
        }
    }
    PQfinish(gate);
    gate = drill_connect(a->d, &o->login, false);
    attack_check(a, gate == NULL, "%u more refused, then dan himself was locked", refused);
    PQfinish(gate);
    attack_expect(a, "budget-exceeded", "dan", since, from_us);
    json_t *me = demo_call(&o->dan, "GET", "/me", NULL);
    attack_check(a, me == NULL, "his session at the portal is dead (%ld)", o->dan.status);
    json_decref(me);
}

static void hostile(attack *a)
{
    operator_ o = {0};
    attack_chapter(a, "2. Dan, operator, every right in the database, at home and angry.");
    if (sp_failed(sign_in_dan(a, &o))) {
        attack_check(a, false, "the story needs dan signed in: %s", o.dan.words);
    } else {
        by_sql(a, &o);
        by_ssh(a, &o);
        by_web(a, &o);
        until_locked(a, &o);
    }
    sp_wipe(o.login.password, sizeof(o.login.password));
    demo_person_done(&o.dan);
}

/* ---- the story ---- */

int demo_attack(demo *d, bool fast)
{
    attack a = {.d = d, .fast = fast};
    char before[DEMO_TEXT_BYTES];
    char after[DEMO_TEXT_BYTES];
    PGconn *eyes = drill_look(d);
    if (eyes == NULL || !drill_state(eyes, before) || sp_failed(demo_person_init(d, &a.sam)) ||
        sp_failed(demo_account_sign_in(d, "sam", &a.sam)) || sp_failed(demo_step_up(&a.sam))) {
        demo_say("the demo does not answer: make run, in another terminal. %s", a.sam.words);
        PQfinish(eyes);
        return EXIT_FAILURE;
    }
    demo_say("Sit before the wall: https://portal." DEMO_DOMAIN ":%u/admin/wall?wall as sam.\n"
             "The orders database now: %s.",
             d->port, before);
    bool ready = let_back_in(&a, "dan") && let_back_in(&a, "mia");
    if (!ready) {
        attack_check(&a, false, "dan or mia stay shut out");
    }
    phished(&a);
    hostile(&a);
    attack_chapter(&a, "3. What is left of it.");
    bool whole = drill_state(eyes, after) && strcmp(before, after) == 0;
    attack_check(&a, whole, "at the server: %s%s", after,
                 whole ? ", as before: no row lost, none changed" : ": it is NOT as before");
    PQfinish(eyes);
    demo_person_done(&a.sam);
    demo_say("\n%u caught, %u missed. Incidents, alarms and what was cut: the watch room.",
             a.caught, a.missed);
    return a.missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
