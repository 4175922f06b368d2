/* SPDX-License-Identifier: Apache-2.0
 * The drill: the evening of 23 February 2020 once more, against this office. An operator with every
 * right in the database, a valid password and his own laptop tries to destroy it; then the same
 * person, on a company laptop, with two colleagues who agree; then it is put back.
 *
 * What is checked is checked past the gate, at the server itself: every row of every table.
 *
 * OWNS nothing. PROCESS sallyport-demo. TRUST none. SPEC demo/README.md "The drill".
 */
#include "demo/drill.h"
#include "infra/proc/clock.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORDS_BYTES = DEMO_ANSWER_MAX_BYTES / 1024,
    SHOWN = 96,
    LOCK_TRIES = 300,
    ASK_TRIES = 100,
    UNDO_TRIES = 300,
    PAUSE_US = 100 * 1000
};

typedef struct {
    demo *d;
    demo_person dan; /* the operator */
    demo_person wei; /* his colleague */
    demo_person sam; /* security administrator */
    drill_login personal;
    drill_login company;
    PGconn *eyes;
    char whole[DEMO_TEXT_BYTES]; /* the database as it was */
    unsigned failures;
    unsigned locks;
} story;

static void chapter(const char *title)
{
    demo_say("\n%s", title);
}

static void check(story *s, bool good, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void check(story *s, bool good, const char *format, ...)
{
    char words[WORDS_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    demo_say("  %s %s", good ? "ok  " : "BAD ", words);
    s->failures += good ? 0 : 1;
}

static bool is_whole(story *s)
{
    char now[DEMO_TEXT_BYTES];
    return drill_state(s->eyes, now) && sp_span_eq(sp_span_cstr(now), sp_span_cstr(s->whole));
}

/* ---- people and devices ---- */

static sp_err sign_in(story *s, const char *name, demo_person *person)
{
    TRY(demo_person_init(s->d, person));
    sp_err err = demo_account_sign_in(s->d, name, person);
    if (sp_failed(err)) {
        demo_say("%s cannot sign in: %s", name, person->words);
    }
    return err;
}

/* A laptop of dan's: the agent's files go into a directory of its own. */
static sp_err laptop(story *s, const char *name, const char *owner, drill_login *to)
{
    char home[DEMO_PATH_BYTES];
    char part[DEMO_TEXT_BYTES];
    snprintf(part, sizeof(part), "laptops/%s", name);
    demo_path(s->d, "laptops", home);
    mkdir(home, S_IRWXU);
    demo_path(s->d, part, home);
    mkdir(home, S_IRWXU);
    setenv("HOME", home, 1);
    unsetenv("XDG_STATE_HOME");
    snprintf(to->device, sizeof(to->device), "%s/.local/state/sallyport", home);
    snprintf(to->user, sizeof(to->user), "%s", s->dan.name);
    return demo_enrol_for(s->d, &s->dan, &s->sam, name, owner);
}

/* A password for a quarter of an hour, bound to dan's session. */
static sp_err token(story *s, drill_login *to)
{
    json_t *made = demo_call(&s->dan, "POST", "/me/databases/orders-db/tokens", json_object());
    const char *password = json_string_value(json_object_get(made, "password"));
    sp_err err = password == NULL ? sp_fail(SP_EDENIED)
                                  : sp_fit(to->password, DEMO_TEXT_BYTES, sp_span_cstr(password));
    if (password == NULL) {
        demo_say("dan gets no password: %s", s->dan.words);
    }
    json_decref(made);
    return err;
}

static sp_err prepare(story *s)
{
    demo_say("preparing: two laptops for dan, the first one his own ...");
    TRY(sign_in(s, "dan", &s->dan));
    TRY(sign_in(s, "sam", &s->sam));
    TRY(sign_in(s, "wei", &s->wei));
    TRY(demo_step_up(&s->sam));
    TRY(demo_step_up(&s->wei));
    TRY(laptop(s, "dan-at-home", "personal", &s->personal));
    TRY(laptop(s, "dan-of-the-company", "company", &s->company));
    s->eyes = drill_look(s->d);
    return s->eyes != NULL && drill_state(s->eyes, s->whole) ? sp_ok() : sp_fail(SP_EIO);
}

/* ---- first: alone, at home, on his own laptop ---- */

static void say_try(story *s, const drill_attempt *attempt, bool good, const char *words)
{
    static const char *const ways[] = {"text", "driver", "prepared", "fastpath", "psql"};
    char sql[SHOWN];
    snprintf(sql, sizeof(sql), "%s", attempt->sql);
    check(s, good, "%-34s %-8s %.60s", attempt->what, ways[attempt->way], sql);
    if (!good || attempt == drill_attempts) {
        demo_say("       -> %s", words);
    }
}

static void try_everything(story *s)
{
    char words[WORDS_BYTES];
    PGconn *gate = drill_connect(s->d, &s->personal, true);
    check(s, gate != NULL, "his password and certificate are good: he is connected as op_dba");
    for (size_t i = 0; i < drill_attempt_count && gate != NULL; i++) {
        if (PQstatus(gate) != CONNECTION_OK) {
            PQfinish(gate);
            gate = drill_connect(s->d, &s->personal, true);
            check(s, gate != NULL, "he connects again");
        }
        if (gate != NULL) {
            say_try(s, &drill_attempts[i],
                    drill_try(s->d, gate, &s->personal, &drill_attempts[i], words), words);
        }
    }
    PQfinish(gate);
    check(s, is_whole(s), "at the server: %s, as before: no row lost, none changed", s->whole);
}

static bool alarmed(story *s)
{
    demo_person audrey;
    bool found = false;
    if (sp_failed(sign_in(s, "audrey", &audrey))) {
        return false;
    }
    json_t *page = demo_call(
        &audrey, "GET", "/admin/ledger/events?gate=db&person=dan&verdict=deny&limit=200", NULL);
    const json_t *items = json_object_get(page, "items");
    for (size_t i = 0; i < json_array_size(items) && !found; i++) {
        const json_t *one = json_array_get(items, i);
        const char *action = json_string_value(json_object_get(one, "action"));
        const char *severity = json_string_value(json_object_get(one, "severity"));
        found = action != NULL && severity != NULL &&
                sp_span_eq(sp_span_cstr(action), SP_SPAN_LIT("destroy")) &&
                (sp_span_eq(sp_span_cstr(severity), SP_SPAN_LIT("high")) ||
                 sp_span_eq(sp_span_cstr(severity), SP_SPAN_LIT("critical")));
    }
    json_decref(page);
    demo_person_done(&audrey);
    return found;
}

static void go_on_until_locked(story *s)
{
    static const drill_attempt again = {"again", DRILL_SIMPLE, "DELETE FROM order_items"};
    char words[WORDS_BYTES];
    unsigned tries = 0;
    PGconn *gate = drill_connect(s->d, &s->personal, false);
    while (gate != NULL && tries < LOCK_TRIES && PQstatus(gate) == CONNECTION_OK) {
        drill_try(s->d, gate, &s->personal, &again, words);
        tries++;
    }
    PQfinish(gate);
    gate = drill_connect(s->d, &s->personal, false);
    check(s, gate == NULL, "after %u more the destruction budget is used up: dan himself is locked",
          tries);
    PQfinish(gate);
    json_t *me = demo_call(&s->dan, "GET", "/me", NULL);
    check(s, me == NULL, "his session at the portal has ended too (%ld)", s->dan.status);
    json_decref(me);
}

/* ---- then: the same person, on a company laptop, with two colleagues ---- */

/* An account that was locked is opened again by the system administrator. */
bool drill_unlock(const demo *d, const char *name)
{
    demo_person olga;
    char path[128];
    if (sp_failed(demo_person_init(d, &olga)) ||
        sp_failed(demo_account_sign_in(d, "olga", &olga))) {
        demo_person_done(&olga);
        return false;
    }
    snprintf(path, sizeof(path), "/admin/people?q=%s", name);
    json_t *page = demo_call(&olga, "GET", path, NULL);
    const json_t *items = json_object_get(page, "items");
    const char *id = json_string_value(json_object_get(json_array_get(items, 0), "id"));
    snprintf(path, sizeof(path), "/admin/people/%s/enable", id != NULL ? id : "");
    json_t *done = demo_call(&olga, "POST", path, json_object());
    bool good = done != NULL;
    if (!good) {
        demo_say("       -> %s", olga.words);
    }
    json_decref(done);
    json_decref(page);
    demo_person_done(&olga);
    return good;
}

/* What waits at this moment; NULL: nothing. The caller frees. */
static json_t *first_waiting(demo_person *person)
{
    json_t *page = demo_call(person, "GET", "/approvals?state=waiting", NULL);
    json_t *first = json_array_get(json_object_get(page, "items"), 0);
    json_incref(first);
    json_decref(page);
    return first;
}

/* What waits soon. The caller frees. */
static json_t *waiting(demo_person *person)
{
    for (int i = 0; i < ASK_TRIES; i++) {
        json_t *first = first_waiting(person);
        if (first != NULL) {
            return first;
        }
        usleep(PAUSE_US);
    }
    return NULL;
}

static bool approve(demo_person *person, const json_t *ask)
{
    char path[128];
    snprintf(path, sizeof(path), "/approvals/%s/approve",
             json_string_value(json_object_get(ask, "id")));
    json_t *done = demo_call(person, "POST", path,
                             json_pack("{s:O}", "sha256", json_object_get(ask, "sha256")));
    bool good = done != NULL;
    json_decref(done);
    if (!good) {
        demo_say("       -> %s", person->words);
    }
    return good;
}

static bool both_approve(story *s)
{
    json_t *ask = waiting(&s->wei);
    bool good = ask != NULL && approve(&s->wei, ask) && approve(&s->sam, ask);
    json_decref(ask);
    return good;
}

static bool send_and_wait_a_moment(story *s, PGconn *gate, const char *sql)
{
    bool sent = PQsendQuery(gate, sql) == 1;
    json_t *ask = sent ? waiting(&s->wei) : NULL;
    bool held = ask != NULL && PQconsumeInput(gate) == 1 && PQisBusy(gate) == 1 && is_whole(s);
    json_decref(ask);
    return held;
}

/* ---- alone, on the company's laptop ---- */

static bool come_back(story *s)
{
    demo_person_done(&s->dan);
    return drill_unlock(s->d, "dan") && !sp_failed(sign_in(s, "dan", &s->dan)) &&
           !sp_failed(token(s, &s->company));
}

/* It waits for others, who are not there, or it is refused. */
static bool stays_undone(story *s, PGconn *gate, const char *sql, char *words)
{
    bool waits = false;
    bool ended = PQsendQuery(gate, sql) != 1;
    for (int i = 0; i < ASK_TRIES && !waits && !ended; i++) {
        json_t *ask = first_waiting(&s->wei);
        waits = ask != NULL;
        json_decref(ask);
        ended = !waits && (PQconsumeInput(gate) == 0 || PQisBusy(gate) == 0);
        if (!waits && !ended) {
            usleep(PAUSE_US);
        }
    }
    bool good = drill_end(gate, waits, words);
    return good && is_whole(s);
}

static void repair_alone(story *s, PGconn *gate)
{
    static const char *const steps[] = {
        "UPDATE payments SET amount = amount WHERE id = 7",
        "UPDATE payments SET amount = amount WHERE id BETWEEN 1 AND 300",
    };
    for (size_t i = 0; i < SP_COUNT(steps); i++) {
        PGresult *result = PQexec(gate, steps[i]);
        check(s, PQresultStatus(result) == PGRES_COMMAND_OK, "a repair runs: %s", steps[i]);
        PQclear(result);
    }
}

static void try_alone(story *s)
{
    static const drill_attempt more = {
        "more than a repair, bit by bit", DRILL_SIMPLE,
        "UPDATE payments SET amount = 0 WHERE id BETWEEN 301 AND 600"};
    char words[WORDS_BYTES];
    PGconn *gate = drill_connect(s->d, &s->company, true);
    check(s, gate != NULL, "on the company's laptop dan is connected");
    if (gate != NULL) {
        repair_alone(s, gate);
    }
    for (size_t i = 0; i <= drill_alone_count && gate != NULL; i++) {
        const drill_attempt *one = i == 0 ? &more : &drill_alone[i - 1];
        say_try(s, one, stays_undone(s, gate, one->sql, words), words);
        PQfinish(gate);
        gate = drill_connect(s->d, &s->company, false);
        if (gate == NULL) { /* locked: it was more than his budget */
            s->locks++;
            gate = come_back(s) ? drill_connect(s->d, &s->company, true) : NULL;
            check(s, gate != NULL, "       and he was locked; he is back after a talk");
        }
    }
    PQfinish(gate);
    check(s, s->locks >= 3, "%u times it was more rows than his budget: he himself was locked",
          s->locks);
    check(s, is_whole(s), "at the server: still %s", s->whole);
}

static void go_round(story *s)
{
    bool is_shut = drill_is_shut(s->d, "op_dba", s->company.password) &&
                   drill_is_shut(s->d, "op_dba", "op_dba") && drill_is_shut(s->d, "dan", "") &&
                   drill_is_shut(s->d, "dan", s->company.password) &&
                   drill_is_shut(s->d, "postgres", "") &&
                   drill_is_shut(s->d, "orders_owner", s->company.password);
    check(s, is_shut,
          "past the gate, at the server's own port, nothing that he has opens any account");
}

typedef struct {
    const char *sql;
    const char *left; /* 0 at the server when it has run */
} mistake;

static bool destroy_with_two(story *s, const mistake *m)
{
    PGconn *gate = drill_connect(s->d, &s->company, true);
    check(s, gate != NULL, "on the company's laptop dan is connected again");
    if (gate == NULL) {
        return false;
    }
    check(s, send_and_wait_a_moment(s, gate, m->sql), "\"%s\" waits: not a row has gone", m->sql);
    check(s, both_approve(s),
          "wei and sam see the statement and what undoing it would take, and agree");
    PGresult *result = PQgetResult(gate);
    bool ran = PQresultStatus(result) == PGRES_COMMAND_OK;
    check(s, ran, "it ran: %s", ran ? PQcmdStatus(result) : PQresultErrorMessage(result));
    while (result != NULL) {
        PQclear(result);
        result = PQgetResult(gate);
    }
    PQfinish(gate);
    check(s, drill_number(s->eyes, m->left) == 0 && !is_whole(s),
          "at the server nothing of that is left");
    return ran;
}

static void put_back(story *s, const mistake *m)
{
    json_t *page = demo_call(&s->dan, "GET", "/keeps", NULL);
    const json_t *keep = json_array_get(json_object_get(page, "items"), 0); /* the newest */
    char path[128];
    snprintf(path, sizeof(path), "/keeps/%s/undo",
             keep != NULL ? json_string_value(json_object_get(keep, "id")) : "");
    uint64_t from_us = sp_now_steady_us();
    json_t *asked = demo_call(&s->dan, "POST", path, json_pack("{s:s}", "reason", "the drill"));
    check(s, asked != NULL, "dan asks to put back what was kept before it ran%s%s",
          asked == NULL ? ": " : "", asked == NULL ? s->dan.words : "");
    json_decref(asked);
    json_decref(page);
    check(s, both_approve(s), "wei and sam agree to that too");
    bool back = false;
    for (int i = 0; i < UNDO_TRIES && !back; i++) {
        back = is_whole(s);
        if (!back) {
            usleep(PAUSE_US);
        }
    }
    check(s, back, "\"%s\" is undone after %.1f s, it is all there again: %s", m->sql,
          (double)(sp_now_steady_us() - from_us) / 1e6, s->whole);
}

static void err_with_two(story *s)
{
    /* small ones behind the first: what others agree to counts in his budget as well */
    static const mistake mistakes[] = {
        {"DELETE FROM order_items", "SELECT count(*) FROM order_items"},
        {"TRUNCATE refunds", "SELECT count(*) FROM refunds"},
        {"DROP TABLE refunds", "SELECT count(*) FROM pg_class WHERE oid = to_regclass('refunds')"},
    };
    for (size_t i = 0; i < SP_COUNT(mistakes); i++) {
        if (destroy_with_two(s, &mistakes[i])) {
            put_back(s, &mistakes[i]);
        }
    }
}

/* ---- the story ---- */

static void tell(story *s)
{
    chapter("1. 18:56. Dan, operator, every right in the database, at home on his own laptop.");
    if (sp_failed(token(s, &s->personal))) {
        s->failures++;
        return;
    }
    try_everything(s);
    check(s, alarmed(s),
          "the security team saw each before it could run: in the ledger, severity high");
    chapter("2. He does not stop.");
    go_on_until_locked(s);
    check(s, is_whole(s), "at the server: still %s", s->whole);
    chapter("3. Another day: the same person, alone, on a company laptop.");
    bool ready = come_back(s);
    check(s, ready, "olga has unlocked him after a talk; he signs in");
    if (ready) {
        try_alone(s);
        go_round(s);
        chapter("4. With two colleagues; and each time it was the wrong table.");
        err_with_two(s);
    }
}

int demo_drill(demo *d)
{
    story s = {.d = d};
    if (sp_failed(prepare(&s))) {
        demo_say("the drill could not be prepared");
        s.failures++;
    } else {
        tell(&s);
    }
    PQfinish(s.eyes);
    demo_person_done(&s.dan);
    demo_person_done(&s.wei);
    demo_person_done(&s.sam);
    sp_wipe(s.personal.password, sizeof(s.personal.password));
    sp_wipe(s.company.password, sizeof(s.company.password));
    if (s.failures == 0) {
        demo_say("\nThe drill passed: nobody destroyed anything alone, and what two let him "
                 "destroy came back.");
        return EXIT_SUCCESS;
    }
    demo_say("\nThe drill FAILED: %u of its checks are bad.", s.failures);
    return EXIT_FAILURE;
}
