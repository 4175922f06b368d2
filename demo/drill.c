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

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORDS_BYTES = 1024,
    SHOWN = 96,
    LOCK_US = 60 * 1000 * 1000, /* attempts are counted behind, when core is busy */
    ASK_TRIES = 100,
    UNDO_TRIES = 300,
    PAUSE_US = 100 * 1000
};

typedef struct {
    demo *d;
    demo_person dan;    /* the operator */
    demo_person wei;    /* his colleague */
    demo_person sam;    /* security administrator, on duty */
    demo_person audrey; /* reads the ledger */
    demo_person olga;   /* unlocks accounts */
    drill_login personal;
    drill_login company;
    PGconn *eyes;
    char whole[DEMO_TEXT_BYTES];       /* the database as it was */
    long whole_at;                     /* the next write when it was found to be so */
    char asked[DRILL_REFERENCE_BYTES]; /* the approval that was seen last */
    drill_told told[DRILL_TOLD_MAX];   /* what he was told in this chapter */
    size_t told_count;
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

/* Each row of each table is compared, unless nobody has written anything since it was. */
static bool is_whole(story *s)
{
    char now[DEMO_TEXT_BYTES];
    long next = drill_next_write(s->eyes);
    if (next > 0 && next == s->whole_at) {
        return true;
    }
    bool whole = drill_state(s->eyes, now) && sp_span_eq(sp_span_cstr(now), sp_span_cstr(s->whole));
    s->whole_at = whole && next > 0 ? next : 0;
    return whole;
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
    TRY(sign_in(s, "audrey", &s->audrey));
    TRY(sign_in(s, "olga", &s->olga));
    TRY(demo_step_up(&s->sam));
    TRY(demo_step_up(&s->wei));
    TRY(laptop(s, "dan-at-home", "personal", &s->personal));
    TRY(laptop(s, "dan-of-the-company", "company", &s->company));
    s->eyes = drill_look(s->d);
    return s->eyes != NULL && drill_state(s->eyes, s->whole) ? sp_ok() : sp_fail(SP_EIO);
}

/* ---- first: alone, at home, on his own laptop ---- */

static void say_try(story *s, const drill_attempt *attempt, bool good, const drill_outcome *told)
{
    static const char *const ways[DRILL_WAY_COUNT] = {
        "text", "text", "driver", "prepared", "pipeline", "fastpath", "start-up", "psql"};
    char sql[SHOWN];
    snprintf(sql, sizeof(sql), "%s", attempt->sql);
    for (char *c = sql; *c != '\0'; c++) {
        *c = *c == '\n' ? ' ' : *c;
    }
    check(s, good, "%-38s %-8s %-7s %.60s", attempt->what, ways[attempt->way],
          told->waited ? "waits" : "refused", sql);
    if (!good || attempt == drill_attempts) {
        demo_say("       -> %s", told->words);
    }
}

/* One attempt, which must not have done anything. */
static bool try_one(story *s, const drill_trial *trial, const drill_attempt *attempt)
{
    drill_outcome told;
    drill_try(trial, attempt, &told);
    say_try(s, attempt, told.refused && is_whole(s), &told);
    if (s->told_count < DRILL_TOLD_MAX) {
        drill_told *to = &s->told[s->told_count++];
        *to = (drill_told){.attempt = attempt, .waited = told.waited};
        SP_IGNORE(sp_fit(to->reference, sizeof(to->reference),
                         sp_span_cstr(told.reference))); /* as long as its own */
    }
    return told.refused && !told.waited;
}

/* The first alone is enough. */
static void be_alarmed(story *s, uint64_t from_us)
{
    char incident[DRILL_REFERENCE_BYTES] = "";
    bool alarmed = drill_is_alarmed(&s->sam, "whole-destroyed", s->dan.name, incident);
    check(s, alarmed,
          "before he tries anything else: the alarm about him, and sam's page, %.2f s after that "
          "(incident %s)",
          (double)(sp_now_steady_us() - from_us) / 1e6, incident);
}

static void see_each(story *s)
{
    drill_entries seen = drill_find_entries(&s->audrey, s->dan.name, s->told, s->told_count);
    check(s, seen.found == s->told_count,
          "the security people see each: %zu attempts, %zu entries of the ledger of their own, by "
          "the references that he was told; %zu at high severity%s%s",
          s->told_count, seen.found, seen.grave, seen.missing != NULL ? "; none of " : "",
          seen.missing != NULL ? seen.missing : "");
    s->told_count = 0;
}

static void try_everything(story *s)
{
    PGconn *gate = drill_connect(s->d, &s->personal, true);
    check(s, gate != NULL, "his password and certificate are good: he is connected as op_dba");
    for (size_t i = 0; i < drill_attempt_count && gate != NULL; i++) {
        uint64_t from_us = sp_now_steady_us();
        const drill_trial trial = {.demo = s->d, .gate = gate, .login = &s->personal};
        try_one(s, &trial, &drill_attempts[i]);
        if (i == 0) {
            be_alarmed(s, from_us);
        }
        if (PQstatus(gate) != CONNECTION_OK) {
            PQfinish(gate);
            gate = drill_connect(s->d, &s->personal, true);
            check(s, gate != NULL, "he connects again");
        }
    }
    PQfinish(gate);
    see_each(s);
    s->whole_at = 0; /* once more, row by row */
    check(s, is_whole(s), "at the server: %s, as before: no row lost, none changed", s->whole);
}

static void go_on_until_locked(story *s)
{
    static const drill_attempt again = {"again", DRILL_SIMPLE, "DELETE FROM order_items"};
    drill_outcome told;
    unsigned tries = 0;
    PGconn *gate = drill_connect(s->d, &s->personal, false);
    const drill_trial trial = {.demo = s->d, .gate = gate, .login = &s->personal};
    uint64_t end_us = sp_now_steady_us() + LOCK_US;
    while (gate != NULL && sp_now_steady_us() < end_us && PQstatus(gate) == CONNECTION_OK) {
        drill_try(&trial, &again, &told);
        tries++;
        usleep(PAUSE_US / 20);
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
static bool unlock(demo_person *olga, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "/admin/people?q=%s", name);
    json_t *page = demo_call(olga, "GET", path, NULL);
    const json_t *items = json_object_get(page, "items");
    const char *id = json_string_value(json_object_get(json_array_get(items, 0), "id"));
    snprintf(path, sizeof(path), "/admin/people/%s/enable", id != NULL ? id : "");
    json_t *done = demo_call(olga, "POST", path, json_object());
    bool good = done != NULL;
    if (!good) {
        demo_say("       -> %s", olga->words);
    }
    json_decref(done);
    json_decref(page);
    return good;
}

bool drill_unlock(const demo *d, const char *name)
{
    demo_person olga;
    bool good = !sp_failed(demo_person_init(d, &olga)) &&
                !sp_failed(demo_account_sign_in(d, "olga", &olga)) && unlock(&olga, name);
    demo_person_done(&olga);
    return good;
}

/* What waits at this moment and was not seen before; NULL: nothing. The caller frees. */
static json_t *first_waiting(story *s)
{
    json_t *page = demo_call(&s->wei, "GET", "/approvals?state=waiting", NULL);
    size_t at = 0;
    json_t *one = NULL;
    json_t *found = NULL;
    json_array_foreach(json_object_get(page, "items"), at, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        if (found == NULL && id != NULL && strcmp(id, s->asked) != 0) {
            found = json_incref(one);
            snprintf(s->asked, sizeof(s->asked), "%.20s", id);
        }
    }
    json_decref(page);
    return found;
}

/* What waits soon, whole. The caller frees. */
static json_t *waiting(story *s)
{
    char path[128];
    json_t *first = NULL;
    for (int i = 0; i < ASK_TRIES && first == NULL; i++) {
        usleep(i == 0 ? 0 : PAUSE_US);
        first = first_waiting(s);
    }
    snprintf(path, sizeof(path), "/approvals/%s", s->asked);
    json_t *whole = first != NULL ? demo_call(&s->wei, "GET", path, NULL) : NULL;
    json_decref(first);
    return whole;
}

static bool waits(void *self, char ret_reference[DRILL_REFERENCE_BYTES])
{
    json_t *ask = first_waiting(self);
    const char *reference = json_string_value(json_object_get(ask, "reference"));
    snprintf(ret_reference, DRILL_REFERENCE_BYTES, "%.20s", reference != NULL ? reference : "");
    bool found = ask != NULL;
    json_decref(ask);
    return found;
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

static bool both_approve(story *s, const json_t *ask)
{
    return ask != NULL && approve(&s->wei, ask) && approve(&s->sam, ask);
}

/* ---- alone, on the company's laptop ---- */

static bool come_back(story *s)
{
    demo_person_done(&s->dan);
    return unlock(&s->olga, "dan") && !sp_failed(sign_in(s, "dan", &s->dan)) &&
           !sp_failed(token(s, &s->company));
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

/* It waits for others, who are not there, or it is refused; where it was more than his budget, he
 * is locked, and comes back. */
static PGconn *one_alone(story *s, PGconn *gate, const drill_attempt *attempt)
{
    const drill_trial trial = {
        .demo = s->d, .gate = gate, .login = &s->company, .waits = waits, .self = s};
    if (!try_one(s, &trial, attempt)) {
        return gate;
    }
    json_t *me = demo_call(&s->dan, "GET", "/me", NULL);
    bool is_locked = me == NULL;
    json_decref(me);
    if (!is_locked && PQstatus(gate) == CONNECTION_OK) {
        return gate;
    }
    PQfinish(gate);
    gate = is_locked ? drill_connect(s->d, &s->company, false) : NULL;
    check(s, gate == NULL, "       and he was locked");
    PQfinish(gate);
    s->locks += is_locked ? 1 : 0;
    gate = !is_locked || come_back(s) ? drill_connect(s->d, &s->company, true) : NULL;
    check(s, gate != NULL, "       he is back after a talk");
    return gate;
}

static void try_alone(story *s)
{
    PGconn *gate = drill_connect(s->d, &s->company, true);
    check(s, gate != NULL, "on the company's laptop dan is connected");
    if (gate != NULL) {
        repair_alone(s, gate);
    }
    for (size_t i = 0; i < drill_alone_count && gate != NULL; i++) {
        gate = one_alone(s, gate, &drill_alone[i]);
    }
    for (size_t i = 0; i < drill_attempt_count && gate != NULL; i++) {
        if (drill_attempts[i].way != DRILL_REPAIR) {
            gate = one_alone(s, gate, &drill_attempts[i]);
        }
    }
    PQfinish(gate);
    see_each(s);
    check(s, s->locks >= 3, "%u times it was more rows than his budget: he himself was locked",
          s->locks);
    s->whole_at = 0;
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

static bool is_held(story *s, PGconn *gate)
{
    return PQconsumeInput(gate) == 1 && PQisBusy(gate) == 1 && is_whole(s);
}

/* They see what runs, what it acts on, and about how many rows that are. */
static bool is_planned(const json_t *ask, const char *sql)
{
    const json_t *plan = json_object_get(ask, "plan");
    const char *shown = json_string_value(json_object_get(ask, "statement"));
    return shown != NULL && strcmp(shown, sql) == 0 &&
           json_array_size(json_object_get(plan, "touches")) > 0 &&
           json_integer_value(json_object_get(ask, "estimated_rows")) > 0;
}

/* The newest keep, when it is of that approval and there is something in it; the caller frees. */
static json_t *keep_of(story *s, const json_t *ask)
{
    json_t *page = demo_call(&s->dan, "GET", "/keeps", NULL);
    json_t *keep = json_incref(json_array_get(json_object_get(page, "items"), 0));
    json_decref(page);
    bool good = json_equal(json_object_get(keep, "approval"), json_object_get(ask, "id")) == 1 &&
                json_integer_value(json_object_get(keep, "bytes")) > 0;
    if (!good) {
        json_decref(keep);
    }
    return good ? keep : NULL;
}

static bool run_to_its_end(story *s, PGconn *gate)
{
    PGresult *result = PQgetResult(gate);
    bool ran = PQresultStatus(result) == PGRES_COMMAND_OK;
    check(s, ran, "it ran: %s", ran ? PQcmdStatus(result) : PQresultErrorMessage(result));
    while (result != NULL) {
        PQclear(result);
        result = PQgetResult(gate);
    }
    return ran;
}

/* The keep of what is gone; NULL: it did not run. The caller frees. */
static json_t *destroy_with_two(story *s, const mistake *m)
{
    PGconn *gate = drill_connect(s->d, &s->company, true);
    check(s, gate != NULL, "on the company's laptop dan is connected again");
    json_t *ask = gate != NULL && PQsendQuery(gate, m->sql) == 1 ? waiting(s) : NULL;
    const char *reference = json_string_value(json_object_get(ask, "reference"));
    check(s, ask != NULL && is_held(s, gate), "\"%s\" waits: not a row has gone", m->sql);
    check(s, is_planned(ask, m->sql), "wei and sam see the statement, and %zu things that it meets",
          json_array_size(json_object_get(json_object_get(ask, "plan"), "touches")));
    bool agreed = both_approve(s, ask);
    check(s, agreed, "and agree");
    bool ran = agreed && run_to_its_end(s, gate);
    PQfinish(gate);
    check(s, drill_number(s->eyes, m->left) == 0 && !is_whole(s),
          "at the server nothing of that is left");
    json_t *keep = ran ? keep_of(s, ask) : NULL;
    check(s, keep != NULL, "%lld bytes of it were kept",
          (long long)json_integer_value(json_object_get(keep, "bytes")));
    check(s, reference != NULL && drill_in_order(&s->audrey, s->dan.name, reference, m->sql),
          "the ledger has it in this order: it waits, it was kept, it runs, it has run");
    json_decref(ask);
    return keep;
}

static void put_back(story *s, const mistake *m, const json_t *keep)
{
    char path[128];
    snprintf(path, sizeof(path), "/keeps/%s/undo", json_string_value(json_object_get(keep, "id")));
    uint64_t from_us = sp_now_steady_us();
    json_t *asked = demo_call(&s->dan, "POST", path, json_pack("{s:s}", "reason", "the drill"));
    check(s, asked != NULL, "dan asks to put back what was kept before it ran%s%s",
          asked == NULL ? ": " : "", asked == NULL ? s->dan.words : "");
    json_decref(asked);
    json_t *ask = waiting(s);
    check(s, json_is_object(json_object_get(ask, "plan")) && both_approve(s, ask),
          "wei and sam see what would come back, and agree to that too");
    json_decref(ask);
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
        json_t *keep = destroy_with_two(s, &mistakes[i]);
        if (keep != NULL) {
            put_back(s, &mistakes[i], keep);
        }
        json_decref(keep);
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
    static story s; /* large */
    s = (story){.d = d};
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
    demo_person_done(&s.audrey);
    demo_person_done(&s.olga);
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
