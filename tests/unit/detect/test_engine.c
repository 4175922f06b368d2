/* SPDX-License-Identifier: Apache-2.0
 * Tests of the engine: each operator at its edge, time that goes wrong, memory that runs out, and
 * a restart anywhere in a stream, after which it says what it would have said.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/detect/engine.h.
 */
#include "tests/unit/detect/help.h"

#include <stdlib.h>

#include <stdio.h>

#define LIT(text) SP_SPAN_LIT(text)

static sp_event sign_in(uint64_t when_us, uint32_t person, uint8_t host, bool worked)
{
    return (sp_event){.kind = SP_EVENT_SIGN_IN,
                      .when_unix_us = when_us,
                      .person = person,
                      .person_name = person == 0 ? SP_SPAN_EMPTY : LIT("somebody"),
                      .verdict = worked ? SP_VERDICT_ALLOW : SP_VERDICT_DENY,
                      .peer = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, host, 0, 1}};
}

static sp_event decision(uint64_t when_us, uint32_t person, sp_action action, sp_gate gate)
{
    return (sp_event){.kind = SP_EVENT_DECISION,
                      .when_unix_us = when_us,
                      .person = person,
                      .person_name = LIT("somebody"),
                      .gate = (uint8_t)gate,
                      .action = (uint8_t)action,
                      .verdict = SP_VERDICT_DENY,
                      .reason = SP_REASON_DEFAULT};
}

#define ALONE(body) "kind: Detection\nname: a\nseverity: high\n" body

static told *fresh(const char *text)
{
    told *t = NULL;
    assert_ok(sp_alloc(1, sizeof(*t), &t));
    help_engine(text, SP_DETECT_MEMORY_DEFAULT_BYTES, t);
    return t;
}

static void done(told *t)
{
    sp_detect_engine_free(t->engine);
    sp_free(t);
}

static void count_at_its_edge(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in, verdicts: deny }\nby: person\n"
                          "count: { at_least: 5, within: 31m }\nquiet: 2h\n"));
    for (uint64_t i = 0; i < 4; i++) {
        sp_event event = sign_in(START + i * MINUTE, 7, 1, false);
        help_event(t, &event);
        event = sign_in(START + i * MINUTE, 8, 1, true); /* worked: not counted */
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 0);
    sp_event event = sign_in(START + 40 * MINUTE, 7, 1, false); /* the first four are too old */
    help_event(t, &event);
    assert_int_equal(help_alarms(t, "a"), 0);
    for (uint64_t i = 1; i < 10; i++) {
        event = sign_in(START + (40 + i) * MINUTE, 7, 1, false);
        help_event(t, &event);
        assert_int_equal(help_alarms(t, "a"), i >= 4 ? 1 : 0); /* then it is quiet */
    }
    assert_int_equal(t->severity, SP_SEVERITY_HIGH);
    assert_string_equal(t->keys, "person=somebody");
    assert_int_equal(t->evidence, 5);
    done(t);
}

/* Three look at the same events: two by the person, one by the address, each by its own key. */
static void each_by_its_own_key(void **state)
{
    (void)state;
#define COUNTS(name, by)                                                                           \
    "kind: Detection\nname: " name "\nseverity: low\nover: { kinds: sign-in }\nby: " by            \
    "\ncount: { at_least: 2, within: 10m }\nquiet: 1h\n"
    told *t =
        fresh(COUNTS("a", "person") "---\n" COUNTS("b", "person") "---\n" COUNTS("c", "peer"));
    sp_event event = sign_in(START, 7, 1, false);
    help_event(t, &event);
    event = sign_in(START, 8, 1, false); /* another person at the same address */
    help_event(t, &event);
    assert_int_equal(t->count, 1);
    assert_int_equal(help_alarms(t, "c"), 1);
    event = sign_in(START, 7, 2, false); /* the first again, elsewhere */
    help_event(t, &event);
    assert_int_equal(t->count, 3);
    assert_int_equal(help_alarms(t, "a"), 1);
    assert_int_equal(help_alarms(t, "b"), 1);
    done(t);
}

static void distinct_forgets_the_old(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in, verdicts: deny }\nby: peer\n"
                          "distinct: { of: person, at_least: 4, within: 10m }\nquiet: 1h\n"));
    for (uint32_t i = 0; i < 40; i++) { /* one each 4 minutes: three within 10 */
        sp_event event = sign_in(START + i * 4 * MINUTE, 1 + i, 1, false);
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 0);
    for (uint32_t i = 0; i < 100; i++) { /* the same three over and over */
        sp_event event = sign_in(START + DAY + i * MINUTE, 1 + i % 3, 1, false);
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 0);
    for (uint32_t i = 0; i < 4; i++) { /* names that nobody has count as well */
        sp_event event = sign_in(START + 2 * DAY + i * MINUTE, 0, 1, false);
        const char *names[] = {"a", "b", "c", "d"};
        event.object = sp_span_cstr(names[i]);
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 1);
    assert_string_equal(t->keys, "peer=10.1.0.1");
    assert_int_equal(t->number, 4);
    done(t);
}

/* Two networks with one session: a phone between them, and two people. */
static void changes_to_and_fro(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in }\nby: person\n"
                          "changes: { of: network, at_least: 4, within: 10m }\nquiet: 1h\n"));
    for (uint32_t i = 0; i < 20; i++) { /* one a while: never four within ten minutes */
        sp_event event = sign_in(START + i * 5 * MINUTE, 7, (uint8_t)(1 + i % 2), true);
        help_event(t, &event);
    }
    for (uint32_t i = 0; i < 20; i++) { /* the same one, however often */
        sp_event event = sign_in(START + DAY + i * MINUTE, 7, 1, true);
        help_event(t, &event);
    }
    for (uint32_t i = 0; i < 20; i++) { /* IPv4 and IPv6 of one computer */
        sp_event event = sign_in(START + 2 * DAY + i * MINUTE, 7, 1, true);
        event.peer[0] = i % 2 == 0 ? 0x20 : 0;
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 0);
    for (uint32_t i = 0; i < 5; i++) {
        sp_event event = sign_in(START + 3 * DAY + i * MINUTE, 7, (uint8_t)(1 + i % 2), true);
        help_event(t, &event);
        assert_int_equal(help_alarms(t, "a"), i == 4 ? 1 : 0);
    }
    assert_int_equal(t->number, 4);
    done(t);
}

static void status_of_the_protocol(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in, status: [\"502\", \"504\"] }\nby: person\n"
                          "count: { at_least: 2, within: 10m }\nquiet: 1h\n"));
    static const uint16_t statuses[] = {200, 503, 502, 500, 504};
    for (size_t i = 0; i < SP_COUNT(statuses); i++) {
        sp_event event = sign_in(START + i * MINUTE, 7, 1, true);
        event.status = statuses[i];
        help_event(t, &event);
        assert_int_equal(help_alarms(t, "a"), i == 4 ? 1 : 0);
    }
    done(t);
}

/* Who tries the names of others does not choose whom a plan cuts off. */
static void whom_it_is_about(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t person;
    } cases[] = {
        {ALONE("over: { kinds: sign-in, verdicts: deny }\nby: peer\n"
               "distinct: { of: person, at_least: 4, within: 10m }\nquiet: 1h\n"),
         0},
        {ALONE("over: { kinds: sign-in, verdicts: deny }\nby: peer\n"
               "count: { at_least: 1, within: 10m }\nquiet: 1h\n"),
         7},
        {ALONE("over: { kinds: sign-in, verdicts: deny }\nby: person\n"
               "count: { at_least: 1, within: 10m }\nquiet: 0s\n"),
         10},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        told *t = fresh(cases[i].text);
        for (uint32_t person = 7; person <= 10; person++) {
            sp_event event = sign_in(START + person * MINUTE, person, 1, false);
            help_event(t, &event);
        }
        assert_true(help_alarms(t, "a") > 0);
        assert_int_equal(t->person, cases[i].person);
        done(t);
    }
}

static void sequence_in_order_and_in_time(void **state)
{
    (void)state;
    static const char TEXT[] = ALONE("by: person\nsequence:\n  within: 20m\n  steps:\n"
                                     "    - { kinds: decision, actions: export }\n"
                                     "    - { kinds: decision, actions: export, elsewhere: true }\n"
                                     "    - { kinds: decision, actions: destroy }\nquiet: 1h\n");
    static const struct {
        uint64_t minutes[3];
        sp_gate gates[3];
        sp_action actions[3];
        uint64_t alarms;
    } cases[] = {
        {{0, 5, 10}, {1, 2, 1}, {SP_ACTION_EXPORT, SP_ACTION_EXPORT, SP_ACTION_DESTROY}, 1},
        {{0, 5, 10}, {1, 1, 1}, {SP_ACTION_EXPORT, SP_ACTION_EXPORT, SP_ACTION_DESTROY}, 0},
        {{0, 5, 21}, {1, 2, 1}, {SP_ACTION_EXPORT, SP_ACTION_EXPORT, SP_ACTION_DESTROY}, 0},
        {{0, 5, 10}, {1, 2, 1}, {SP_ACTION_DESTROY, SP_ACTION_EXPORT, SP_ACTION_EXPORT}, 0},
        {{0, 0, 0}, {1, 2, 1}, {SP_ACTION_EXPORT, SP_ACTION_EXPORT, SP_ACTION_DESTROY}, 1},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        told *t = fresh(TEXT);
        for (size_t k = 0; k < 3; k++) {
            sp_event event = decision(START + cases[i].minutes[k] * MINUTE, 7, cases[i].actions[k],
                                      cases[i].gates[k]);
            help_event(t, &event);
            event.person = 8; /* somebody else's events are not his */
            event.action = SP_ACTION_READ;
            help_event(t, &event);
        }
        assert_int_equal(help_alarms(t, "a"), cases[i].alarms);
        done(t);
    }
}

static void novel_after_learning(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: decision }\nby: person\n"
                          "novel: { of: device, learn: 7d }\nquiet: 1m\n"));
    for (uint64_t day = 0; day < 30; day++) {
        sp_event event = decision(START + day * DAY, 7, SP_ACTION_READ, SP_GATE_WEB);
        event.device = 1 + day % 2; /* two devices of his own */
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 0);
    sp_event event = decision(START + 30 * DAY, 7, SP_ACTION_READ, SP_GATE_WEB);
    event.device = 9;
    event.device_name = LIT("new\nlaptop\xFF");
    help_event(t, &event);
    assert_int_equal(help_alarms(t, "a"), 1);
    assert_string_equal(t->keys, "person=somebody device=new?laptop?");
    help_event(t, &event);
    assert_int_equal(help_alarms(t, "a"), 1); /* known now */
    event.person = 8;                         /* a person who is new himself */
    help_event(t, &event);
    assert_int_equal(help_alarms(t, "a"), 1);
    done(t);
}

static void rate_against_his_own(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: decision }\nby: person\n"
                          "rate: { times: 5, at_least: 20, within: 1h }\nquiet: 1h\n"));
    for (uint64_t hour = 0; hour < 48; hour++) {
        for (uint64_t i = 0; i < 10; i++) { /* ten an hour for one, 100 for the other */
            sp_event event = decision(START + hour * HOUR + i * MINUTE, 7, SP_ACTION_READ, 1);
            help_event(t, &event);
        }
        for (uint64_t i = 0; i < 100; i++) {
            sp_event event = decision(START + hour * HOUR + i * MINUTE / 2, 8, SP_ACTION_READ, 1);
            help_event(t, &event);
        }
    }
    assert_int_equal(help_alarms(t, "a"), 0);
    for (uint64_t i = 0; i < 60; i++) { /* for the second one it is little */
        sp_event event = decision(START + 2 * DAY + i * MINUTE / 2, 7, SP_ACTION_READ, 1);
        help_event(t, &event);
        event.person = 8;
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 1);
    assert_int_equal(t->number, 51);
    done(t);
}

static void travel_needs_speed(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in, verdicts: allow }\nby: person\n"
                          "travel: { km_h: 900 }\nquiet: 1h\n"));
    sp_event here = sign_in(START, 7, 1, true);
    sp_event there = sign_in(START + 14 * HOUR, 7, 2, true); /* Singapore to London by plane */
    sp_event nowhere = sign_in(START + 14 * HOUR, 7, 9, true);
    help_event(t, &here);
    help_event(t, &there);
    help_event(t, &nowhere);
    assert_int_equal(help_alarms(t, "a"), 0);
    here.when_unix_us = START + 20 * HOUR; /* and back within six hours */
    help_event(t, &here);
    assert_int_equal(help_alarms(t, "a"), 1);
    assert_true(t->number > 1700 && t->number < 1900);
    done(t);
}

static void tick(told *t, uint64_t minutes)
{
    sp_detect_engine_tick(t->engine, START, minutes * MINUTE, true);
}

static void absent_once(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: heartbeat }\nabsent: { for: 10m }\n"));
    sp_event beat = {.kind = SP_EVENT_HEARTBEAT, .when_unix_us = START};
    tick(t, 0);
    tick(t, 9);
    assert_int_equal(help_alarms(t, "a"), 0);
    tick(t, 2); /* there never was one */
    tick(t, 1);
    assert_int_equal(help_alarms(t, "a"), 1);
    help_event(t, &beat);
    tick(t, 9);
    assert_int_equal(help_alarms(t, "a"), 1);
    tick(t, 2);
    tick(t, 200);
    assert_int_equal(help_alarms(t, "a"), 2);
    done(t);
}

/* A clock that is set, there and back, makes nothing absent and brings nothing back. */
static void absent_is_time_that_passed(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: heartbeat }\nabsent: { for: 10m }\n"));
    sp_event beat = {.kind = SP_EVENT_HEARTBEAT, .when_unix_us = START};
    help_event(t, &beat);
    sp_detect_engine_tick(t->engine, START + 5 * MINUTE, 5 * MINUTE, true);
    sp_detect_engine_jump(t->engine, (int64_t)(2 * DAY));
    sp_detect_engine_tick(t->engine, START + 2 * DAY, 4 * MINUTE, true);
    assert_int_equal(help_alarms(t, "a"), 0);
    sp_detect_engine_jump(t->engine, -(int64_t)(4 * DAY));
    sp_detect_engine_tick(t->engine, START - 2 * DAY, 2 * MINUTE, false); /* events may wait */
    assert_int_equal(help_alarms(t, "a"), 0);
    sp_detect_engine_tick(t->engine, START - 2 * DAY, 0, true);
    assert_int_equal(help_alarms(t, "a"), 1);
    sp_detect_engine_tick(t->engine, START + 2 * DAY, 2 * MINUTE, true);
    assert_int_equal(help_alarms(t, "a"), 1);
    done(t);
}

static void sums_and_conditions(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: decision, actions: export, methods: GET, "
                          "objects: \"/files/*\", contains: [SECRET, zip], "
                          "networks: 10.0.0.0/8, hours: \"08:00-18:00 UTC\", outside: true }\n"
                          "unless: { people: backup }\n"
                          "by: person\nsum: { bytes: 1 MiB, within: 1h }\n"
                          "---\n{kind: Role, name: x}\n---\n"
                          "{kind: Rule, name: r, who: {people: [backup]}, to: {any: true}, "
                          "may: [read]}\n"));
    sp_event good = decision(START + 12 * HOUR, 7, SP_ACTION_EXPORT, SP_GATE_WEB);
    good.method = LIT("GET");
    good.object = LIT("/files/my-secret.zip");
    good.bytes_out = 300 * 1024;
    good.peer[10] = good.peer[11] = 0xFF;
    good.peer[12] = 10;
    for (int i = 0; i < 3; i++) {
        help_event(t, &good);
    }
    sp_event bad[7] = {good, good, good, good, good, good, good};
    bad[0].method = LIT("PUT");
    bad[1].object = LIT("/file/my-secret.zip");
    bad[2].object = LIT("/files/my-secrt.zip");
    bad[3].peer[12] = 11;
    bad[4].when_unix_us = START + 4 * HOUR; /* 2027-01-15T12:00Z */
    bad[5].person_name = LIT("backup");
    bad[6].action = SP_ACTION_READ;
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        help_event(t, &bad[i]);
    }
    assert_int_equal(help_alarms(t, "a"), 0);
    help_event(t, &good);
    assert_int_equal(help_alarms(t, "a"), 1);
    done(t);
}

static void clocks_that_jump(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in, verdicts: deny }\nby: person\n"
                          "count: { at_least: 5, within: 10m }\nquiet: 1h\n"));
    /* far ahead of the clock: counts as of the clock, and does not hide what comes */
    sp_event event = sign_in(START + 400 * DAY, 7, 1, false);
    sp_detect_engine_event(t->engine, &event, 0, 0, START);
    for (uint64_t i = 0; i < 4; i++) {
        event = sign_in(START + i * MINUTE, 7, 1, false);
        sp_detect_engine_event(t->engine, &event, 1 + i, 0, START + i * MINUTE);
    }
    assert_int_equal(help_alarms(t, "a"), 1);
    /* old events, however many, do not make the clock go back */
    for (uint64_t i = 0; i < 200; i++) {
        event = sign_in(START - DAY + i, 7, 1, false);
        sp_detect_engine_event(t->engine, &event, 10 + i, 0, START + 4 * MINUTE);
    }
    assert_int_equal(sp_detect_engine_stats(t->engine).jumps, 0);
    assert_true(sp_detect_engine_stats(t->engine).late > 0);
    /* set back by a day: it goes on from there */
    for (uint64_t i = 0; i < 80; i++) {
        event = sign_in(START - DAY + i * MINUTE / 60, 7, 1, false);
        sp_detect_engine_event(t->engine, &event, 1000 + i, 0, START - DAY + i * MINUTE);
    }
    assert_int_equal(sp_detect_engine_stats(t->engine).jumps, 1);
    assert_int_equal(help_alarms(t, "a"), 2);
    done(t);
}

/* ---- the clock is set, an hour ahead or back, amid a deed ---- */

typedef struct {
    const char *document;
    sp_event (*deed)(uint64_t when_us, uint64_t step);
    uint64_t steps; /* the last of them makes it speak */
    uint64_t apart_us;
} amid;

static sp_event fails_at_sign_in(uint64_t when_us, uint64_t step)
{
    (void)step;
    return sign_in(when_us, 7, 1, false);
}

static sp_event sprays(uint64_t when_us, uint64_t step)
{
    return sign_in(when_us, 100 + (uint32_t)step, 1, false);
}

static sp_event fails_then_enters(uint64_t when_us, uint64_t step)
{
    return sign_in(when_us, 7, 1, step == 1);
}

static sp_event exports(uint64_t when_us, uint64_t step)
{
    (void)step;
    sp_event e = decision(when_us, 7, SP_ACTION_EXPORT, SP_GATE_WEB);
    e.bytes_out = 1 << 20;
    return e;
}

static sp_event comes_from(uint64_t when_us, uint64_t step)
{
    return sign_in(when_us, 7, (uint8_t)(1 + step), true);
}

static const amid DEEDS[] = {
    {"over: { kinds: sign-in, verdicts: deny }\nby: person\n"
     "count: { at_least: 6, within: 10m }\nquiet: 30m\n",
     fails_at_sign_in, 6, MINUTE},
    {"over: { kinds: sign-in, verdicts: deny }\nby: peer\n"
     "distinct: { of: person, at_least: 5, within: 10m }\nquiet: 30m\n",
     sprays, 5, MINUTE},
    {"by: person\nsequence: { steps: [{ kinds: sign-in, verdicts: deny },"
     " { kinds: sign-in, verdicts: allow }], within: 10m }\nquiet: 30m\n",
     fails_then_enters, 2, 5 * MINUTE},
    {"over: { kinds: decision, actions: export }\nby: person\n"
     "sum: { bytes: 4 MiB, within: 10m }\nquiet: 30m\n",
     exports, 4, 2 * MINUTE},
    {"over: { kinds: sign-in, verdicts: allow }\nby: person\n"
     "changes: { of: peer, at_least: 3, within: 10m }\nquiet: 30m\n",
     comes_from, 4, 2 * MINUTE},
};

static void jump_amid(const amid *deed, int64_t by_us, uint64_t before)
{
    char text[512];
    snprintf(text, sizeof(text), ALONE("%s"), deed->document);
    told *t = fresh(text);
    uint64_t clock_us = START;
    uint64_t entry = 0;
    for (uint64_t i = 0; i < deed->steps; i++) {
        if (i == before) {
            clock_us += (uint64_t)by_us;
            sp_detect_engine_jump(t->engine, by_us);
        }
        assert_int_equal(help_alarms(t, "a"), 0);
        sp_event e = deed->deed(clock_us, i);
        sp_detect_engine_event(t->engine, &e, entry++, 0, clock_us);
        clock_us += deed->apart_us;
    }
    assert_int_equal(help_alarms(t, "a"), 1); /* not missed */
    clock_us += (uint64_t)by_us;
    sp_detect_engine_jump(t->engine, by_us);
    for (uint64_t i = 0; i < deed->steps; i++) { /* it goes on, within the quiet */
        sp_event e = deed->deed(clock_us, i);
        sp_detect_engine_event(t->engine, &e, entry++, 0, clock_us);
        clock_us += MINUTE;
    }
    assert_int_equal(help_alarms(t, "a"), 1); /* nor told twice */
    assert_int_equal(sp_detect_engine_stats(t->engine).late, 0);
    done(t);
}

static void set_clocks_neither_miss_nor_repeat(void **state)
{
    (void)state;
    for (size_t d = 0; d < SP_COUNT(DEEDS); d++) {
        for (uint64_t before = 1; before < DEEDS[d].steps; before++) {
            jump_amid(&DEEDS[d], (int64_t)HOUR, before);
            jump_amid(&DEEDS[d], -(int64_t)HOUR, before);
        }
    }
}

static void memory_is_bounded(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in, verdicts: deny }\nby: person\n"
                          "count: { at_least: 3, within: 10m }\nkeys: 100\nquiet: 1m\n"));
    for (uint32_t i = 1; i <= 5000; i++) {
        sp_event event = sign_in(START + i, i, 1, false);
        help_event(t, &event);
        event.person = 1000000; /* one that is always there is never forgotten */
        help_event(t, &event);
    }
    assert_true(help_alarms(t, "a") >= 1);
    assert_true(sp_detect_engine_stats(t->engine).evicted >= 4900);
    done(t);
    assert_ok(sp_alloc(1, sizeof(*t), &t));
    help_engine(ALONE("over: { kinds: sign-in, verdicts: deny }\nby: person\n"
                      "count: { at_least: 3, within: 10m }\nkeys: 1000000\n"),
                200 * 1024, t);
    for (uint32_t i = 1; i <= 50000; i++) {
        sp_event event = sign_in(START + i, i, 1, false);
        help_event(t, &event);
    }
    assert_true(sp_detect_engine_stats(t->engine).memory_bytes <= 200 * 1024);
    assert_true(sp_detect_engine_stats(t->engine).evicted > 40000);
    done(t);
}

/* Keys come and go for weeks: what was over when it gave way is nobody's loss. */
static void what_was_over_is_not_counted_as_forgotten(void **state)
{
    (void)state;
    told *t = fresh(ALONE("over: { kinds: sign-in, verdicts: deny }\nby: person\n"
                          "count: { at_least: 3, within: 10m }\nkeys: 100\nquiet: 30m\n"));
    for (uint32_t i = 1; i <= 2000; i++) { /* a hundred keys last 100 minutes */
        sp_event event = sign_in(START + i * (HOUR / 60), i, 1, false);
        help_event(t, &event);
    }
    assert_int_equal(sp_detect_engine_stats(t->engine).evicted, 0);
    for (uint32_t i = 0; i < 3; i++) {
        sp_event event = sign_in(START + 2001 * (HOUR / 60), 7000, 1, false);
        help_event(t, &event);
    }
    assert_int_equal(help_alarms(t, "a"), 1);
    for (uint32_t i = 1; i <= 100; i++) { /* 20 minutes later it is quiet still */
        sp_event event = sign_in(START + 2021 * (HOUR / 60), 8000 + i, 1, false);
        help_event(t, &event);
    }
    assert_int_equal(sp_detect_engine_stats(t->engine).evicted, 1);
    done(t);
}

/* ---- states of before, and of more memory ---- */

static void load_again(told *t, const char *text, uint64_t memory_max, sp_span state)
{
    sp_detect_engine_free(t->engine);
    help_engine(text, memory_max, t);
    assert_ok(sp_detect_engine_load(t->engine, state));
}

/* The first version kept 1 for what it had told. */
static void a_state_of_before_tells_nothing_twice(void **state)
{
    (void)state;
    enum { VERSION_AT = 0 };
    const char *text = ALONE("over: { kinds: heartbeat }\nabsent: { for: 10m }\n");
    told *t = fresh(text);
    auto_buf sp_buf saved = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    sp_detect_engine_tick(t->engine, START, 1, true); /* its word is 1 */
    sp_detect_engine_save(t->engine, &saved);
    assert_int_equal(saved.ptr[VERSION_AT], 2);
    load_again(t, text, SP_DETECT_MEMORY_DEFAULT_BYTES, sp_buf_borrow(&saved));
    sp_detect_engine_tick(t->engine, START, 11 * MINUTE, true);
    assert_int_equal(help_alarms(t, "a"), 1);
    saved.ptr[VERSION_AT] = 1;
    load_again(t, text, SP_DETECT_MEMORY_DEFAULT_BYTES, sp_buf_borrow(&saved));
    sp_detect_engine_tick(t->engine, START, 11 * MINUTE, true);
    assert_int_equal(help_alarms(t, "a"), 0);
    saved.ptr[VERSION_AT] = 3;
    assert_true(sp_failed(sp_detect_engine_load(t->engine, sp_buf_borrow(&saved))));
    done(t);
}

static void what_was_over_may_be_left_out_of_a_state(void **state)
{
    (void)state;
    const char *text = ALONE("over: { kinds: sign-in, verdicts: deny }\nby: person\n"
                             "count: { at_least: 3, within: 10m }\n");
    told *t = fresh(text);
    auto_buf sp_buf saved = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    for (uint32_t i = 1; i <= 4000; i++) {
        sp_event event = sign_in(START + i * MINUTE, i, 1, false);
        help_event(t, &event);
    }
    sp_detect_engine_save(t->engine, &saved);
    load_again(t, text, 200 * 1024, sp_buf_borrow(&saved));
    assert_true(sp_detect_engine_stats(t->engine).memory_bytes <= 200 * 1024);
    assert_true(sp_detect_engine_rule_stats(t->engine, 0).keys < 4000);
    assert_int_equal(sp_detect_engine_rule_stats(t->engine, 0).evicted, 0);
    done(t);
}

/* ---- a restart anywhere ---- */

static uint64_t random_state;

static uint32_t roll(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static sp_event any_event(uint64_t when_us)
{
    static const char *const names[] = {"wiki", "orders", "host-1", "host-2", "crm",
                                        "git",  "erp",    "mail",   "files",  "ci"};
    sp_event e = {.when_unix_us = when_us,
                  .kind = (uint8_t)roll(SP_EVENT_KIND_COUNT),
                  .severity = (uint8_t)roll(SP_SEVERITY_COUNT),
                  .gate = (uint8_t)roll(4),
                  .action = (uint8_t)roll(SP_ACTION_COUNT),
                  .verdict = roll(3) == 0 ? SP_VERDICT_DENY : SP_VERDICT_ALLOW,
                  .reason = (uint8_t)roll(SP_REASON_COUNT),
                  .person = roll(12),
                  .device = roll(6),
                  .session = roll(20),
                  .bytes_out = (uint64_t)roll(1000) << 20,
                  .roles = {roll(16)},
                  .peer = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, (uint8_t)roll(4), 0,
                           (uint8_t)roll(9)},
                  .person_name = SP_SPAN_LIT("p"),
                  .resource = sp_span_cstr(names[roll(SP_COUNT(names))]),
                  .method = roll(2) == 0 ? SP_SPAN_LIT("roles") : SP_SPAN_LIT("clone"),
                  .object = roll(2) == 0 ? SP_SPAN_LIT("p") : SP_SPAN_LIT("q"),
                  .detail = SP_SPAN_LIT("{\"why\":\"code\"}")};
    return e;
}

static void run_stream(told *t, uint64_t seed, size_t restart_at, size_t twice)
{
    random_state = seed;
    uint64_t when = START;
    for (size_t i = 0; i < 6000; i++) {
        when += roll(40) * 1000000;
        sp_event event = any_event(when - roll(3) * 1000000);
        help_event(t, &event);
        if (i == restart_at) {
            /* saved here; what was told after it is told again, with the same ids */
            auto_buf sp_buf saved = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
            sp_detect_engine_save(t->engine, &saved);
            assert_ok(sp_buf_error(&saved));
            uint64_t kept_random = random_state;
            uint64_t kept_when = when;
            uint64_t kept_entry = t->entry;
            size_t kept_count = t->count;
            for (size_t k = 0; k < twice; k++) {
                when += roll(40) * 1000000;
                event = any_event(when - roll(3) * 1000000);
                help_event(t, &event);
            }
            random_state = kept_random;
            when = kept_when;
            t->entry = kept_entry;
            t->count = kept_count;
            sp_detect_engine_free(t->engine);
            help_engine(NULL, SP_DETECT_MEMORY_DEFAULT_BYTES, t);
            assert_ok(sp_detect_engine_load(t->engine, sp_buf_borrow(&saved)));
        }
    }
}

static void a_restart_changes_nothing(void **state)
{
    (void)state;
    size_t alarms = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        told *whole = fresh(NULL);
        told *parts = fresh(NULL);
        run_stream(whole, seed, SIZE_MAX, 0);
        run_stream(parts, seed, 500 * seed, 300);
        assert_int_equal(whole->count, parts->count);
        assert_true(whole->count < TOLD_MAX);
        for (size_t i = 0; i < whole->count; i++) {
            assert_true(sp_hash_eq(&whole->ids[i], &parts->ids[i]));
            assert_int_equal(whole->at_us[i], parts->at_us[i]);
            for (size_t k = 0; k < i; k++) { /* no two alarms are the same one */
                assert_false(sp_hash_eq(&whole->ids[i], &whole->ids[k]));
            }
        }
        alarms += whole->count;
        done(whole);
        done(parts);
    }
    assert_true(alarms > 100);
}

static void a_broken_state_is_refused(void **state)
{
    (void)state;
    told *t = fresh(NULL);
    random_state = 9;
    for (size_t i = 0; i < 300; i++) {
        sp_event event = any_event(START + i * 1000000);
        help_event(t, &event);
    }
    auto_buf sp_buf saved = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    sp_detect_engine_save(t->engine, &saved);
    sp_span whole = sp_buf_borrow(&saved);
    for (size_t cut = 0; cut < whole.len; cut += 1 + cut / 64) {
        told *other = fresh(NULL);
        assert_true(sp_failed(sp_detect_engine_load(other->engine, sp_span_slice(whole, 0, cut))));
        assert_int_equal(sp_detect_engine_stats(other->engine).memory_bytes, 0);
        done(other);
    }
    done(t);
}

/* Every count by brute force: never said before that many within, always said by the time there
 * are that many within the step less. */
static void counts_as_brute_force(void **state)
{
    (void)state;
    enum { N = 3000, AT_LEAST = 6 };
    static uint64_t when[N];
    told *t = fresh(ALONE("over: { kinds: sign-in, verdicts: deny }\n"
                          "count: { at_least: 6, within: 31m }\nquiet: 0s\n"));
    random_state = 77;
    uint64_t now = START;
    for (size_t i = 0; i < N; i++) {
        now += (uint64_t)roll(12) * MINUTE + 1;
        when[i] = now;
        uint64_t before = help_alarms(t, "a");
        sp_event event = sign_in(now, 7, 1, false);
        help_event(t, &event);
        bool said = help_alarms(t, "a") > before;
        uint64_t nth = i + 1 >= AT_LEAST ? now - when[i + 1 - AT_LEAST] : UINT64_MAX;
        if (nth <= 31 * MINUTE) {
            assert_true(said);
        }
        if (nth > 33 * MINUTE) {
            assert_false(said);
        }
    }
    done(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_at_its_edge),
        cmocka_unit_test(each_by_its_own_key),
        cmocka_unit_test(distinct_forgets_the_old),
        cmocka_unit_test(changes_to_and_fro),
        cmocka_unit_test(status_of_the_protocol),
        cmocka_unit_test(whom_it_is_about),
        cmocka_unit_test(sequence_in_order_and_in_time),
        cmocka_unit_test(novel_after_learning),
        cmocka_unit_test(rate_against_his_own),
        cmocka_unit_test(travel_needs_speed),
        cmocka_unit_test(absent_once),
        cmocka_unit_test(sums_and_conditions),
        cmocka_unit_test(clocks_that_jump),
        cmocka_unit_test(set_clocks_neither_miss_nor_repeat),
        cmocka_unit_test(absent_is_time_that_passed),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(what_was_over_is_not_counted_as_forgotten),
        cmocka_unit_test(a_state_of_before_tells_nothing_twice),
        cmocka_unit_test(what_was_over_may_be_left_out_of_a_state),
        cmocka_unit_test(a_restart_changes_nothing),
        cmocka_unit_test(a_broken_state_is_refused),
        cmocka_unit_test(counts_as_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
