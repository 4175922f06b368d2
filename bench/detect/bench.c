/* SPDX-License-Identifier: Apache-2.0
 * The built-in detections over a month of normal work of 500 people with each attack in it,
 * labelled: what is found, what is told for nothing, and how many events a second one core looks
 * at.
 *
 * The stream is the same in each run. Normal work: sign-ins on weekdays, mistyped passwords, a
 * phone beside the laptop, home and office and mobile networks (some to and fro between two),
 * refusals, an application that is away for a minute, exports, administrators by day and now and
 * then in the evening, replaced devices, an office of a hundred behind one address. Each attack is
 * a burst of its own on a day of its own, by somebody who works that day as well.
 *
 * OWNS nothing. PROCESS bench. TRUST none. SPEC docs/DETECTIONS.md.
 */
#include "lib/detect/engine.h"
#include "lib/policy/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PEOPLE = 500, DAYS = 30, EVENTS_A_DAY = 120, ADMINS = 3, ATTACKS_MAX = 64 };
#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MONDAY (UINT64_C(1795996800) * SECOND) /* 2026-11-30T00:00Z */

typedef struct {
    sp_event *items;
    size_t count;
    size_t cap;
} stream;

typedef struct {
    const char *detection;
    const char *whom; /* a person's name, or a word of the alarm's keys */
    uint64_t from_us;
    uint64_t to_us;
    bool found;
} label;

static stream all;
static label labels[ATTACKS_MAX];
static size_t labels_count;
static uint64_t random_state = 20261130;

static uint32_t roll(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

/* Sunday night: the recorder is dead. */
#define SILENT_FROM (MONDAY + 6 * DAY + 2 * HOUR)
#define SILENT_TO (SILENT_FROM + 80 * MINUTE)

static void put(const sp_event *event)
{
    if (event->when_unix_us >= SILENT_FROM && event->when_unix_us < SILENT_TO) {
        return;
    }
    if (all.count == all.cap) {
        all.cap = all.cap == 0 ? 1 << 20 : all.cap * 2;
        if (sp_failed(sp_resize(&all.items, all.cap, sizeof(*all.items)))) {
            exit(EXIT_FAILURE);
        }
    }
    all.items[all.count] = *event;
    all.items[all.count].reference = all.count + 1;
    all.count++;
}

static char NAMES[PEOPLE + 1][8];
static const char *const APPS[] = {"wiki", "crm", "erp", "git", "files", "mail", "ci", "board"};

static void set_peer(sp_event *e, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    const uint8_t peer[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, a, b, c, d};
    sp_copy(e->peer, peer, sizeof(peer));
}

/* A person of the office at one of his places: 0 the office, 1 at home, 2 on the way. */
static sp_event of_person(uint32_t person, uint64_t when, unsigned place, unsigned day)
{
    sp_event e = {.when_unix_us = when,
                  .person = person,
                  .person_name = sp_span_cstr(NAMES[person]),
                  .session = (uint64_t)person * 1000 + day * 4 + (place == 2 ? 1 : 0) + 1,
                  .device = person * 4 + (place == 2 ? 2 : 1),
                  .device_name = SP_SPAN_LIT("laptop"),
                  .owner = SP_OWNER_COMPANY,
                  .posture = SP_POSTURE_HEALTHY,
                  .strength = SP_STRENGTH_PASSKEY,
                  .class_name = SP_SPAN_LIT("internal"),
                  .verdict = SP_VERDICT_ALLOW,
                  .reason = SP_REASON_RULE};
    e.roles[0] = person <= ADMINS ? UINT64_C(1) << person : UINT64_C(1) << 8;
    if (place == 0) {
        set_peer(&e, 198, 51, 100, (uint8_t)(1 + person % 4));
    } else {
        set_peer(&e, place == 1 ? 203 : 100, (uint8_t)(person >> 8), (uint8_t)person,
                 place == 1 ? 7 : (uint8_t)roll(250));
    }
    return e;
}

static void sign_in(const sp_event *of, uint64_t when, bool worked)
{
    sp_event e = *of;
    e.kind = SP_EVENT_SIGN_IN;
    e.when_unix_us = when;
    e.verdict = worked ? SP_VERDICT_ALLOW : SP_VERDICT_DENY;
    e.method = SP_SPAN_LIT("password and code");
    e.object = e.person_name;
    e.detail = worked ? SP_SPAN_EMPTY
                      : (roll(4) == 0 ? SP_SPAN_LIT("{\"why\":\"code\"}")
                                      : SP_SPAN_LIT("{\"why\":\"password\"}"));
    if (!worked) {
        e.session = 0;
    }
    put(&e);
}

static sp_event work(const sp_event *of, uint64_t when)
{
    static const uint8_t actions[] = {SP_ACTION_READ,  SP_ACTION_READ,   SP_ACTION_READ,
                                      SP_ACTION_WRITE, SP_ACTION_EXPORT, SP_ACTION_IMPORT};
    sp_event e = *of;
    e.kind = SP_EVENT_DECISION;
    e.when_unix_us = when;
    e.gate = roll(10) < 8 ? SP_GATE_WEB : (roll(2) == 0 ? SP_GATE_DB : SP_GATE_SSH);
    e.action = actions[roll(SP_COUNT(actions))];
    e.resource = sp_span_cstr(APPS[(of->person + roll(3)) % SP_COUNT(APPS)]);
    e.method = e.gate == SP_GATE_WEB ? SP_SPAN_LIT("GET") : SP_SPAN_LIT("SELECT");
    e.object = SP_SPAN_LIT("/a/page/of/work");
    e.bytes_out = (uint64_t)roll(400) << (e.action == SP_ACTION_EXPORT ? 14 : 10);
    return e;
}

static void put_away(const sp_event *of, uint64_t when)
{
    sp_event e = *of;
    e.kind = SP_EVENT_DECISION;
    e.when_unix_us = when;
    e.gate = SP_GATE_DB;
    e.verdict = SP_VERDICT_DENY;
    e.reason = SP_REASON_UNAVAILABLE;
    e.resource = sp_span_cstr(APPS[of->person % SP_COUNT(APPS)]);
    e.object = SP_SPAN_LIT("the database server cannot be reached");
    put(&e);
}

static void normal_day_of(uint32_t person, unsigned day)
{
    bool weekend = day % 7 >= 5;
    if (weekend && roll(12) != 0) {
        return;
    }
    uint64_t began = MONDAY + day * DAY + 8 * HOUR + roll(120) * MINUTE;
    unsigned place = roll(3) == 0 ? 1 : 0;
    sp_event me = of_person(person, began, place, day);
    for (unsigned wrong = roll(20) == 0 ? 1 + roll(3) : 0; wrong > 0; wrong--) {
        sign_in(&me, began - wrong * 20 * SECOND, false);
    }
    sign_in(&me, began, true);
    unsigned events = EVENTS_A_DAY / 2 + roll(EVENTS_A_DAY);
    for (unsigned i = 0; i < events; i++) {
        uint64_t when = began + (uint64_t)roll(9 * 3600) * SECOND;
        sp_event e = work(&me, when);
        if (roll(60) == 0) { /* refused, as anybody is now and then */
            e.verdict = SP_VERDICT_DENY;
            e.reason = SP_REASON_DEFAULT;
        } else if (roll(400) == 0) {
            e.action = SP_ACTION_DESTROY;
        }
        put(&e);
    }
    if (roll(3) == 0) { /* the phone, on the way home */
        sp_event phone = of_person(person, began + 10 * HOUR, 2, day);
        sign_in(&phone, began + 10 * HOUR, true);
        for (unsigned i = 0; i < 6; i++) {
            sp_event e = work(&phone, began + 10 * HOUR + (i + 1) * MINUTE);
            e.gate = SP_GATE_WEB;
            e.action = SP_ACTION_READ;
            set_peer(&e, 100, (uint8_t)(person >> 8), (uint8_t)person, 9);
            put(&e);
        }
    }
    if (roll(40) == 0) { /* between the office's network and the telephone's, for some minutes */
        for (unsigned i = 0; i < 6; i++) {
            sp_event e = work(&me, began + 4 * HOUR + i * 100 * SECOND);
            e.gate = SP_GATE_WEB;
            if (i % 2 == 1) {
                set_peer(&e, 100, (uint8_t)(person >> 8), (uint8_t)person, 9);
            }
            put(&e);
        }
    }
    if (roll(250) == 0) { /* a database that is restarted */
        for (unsigned i = 0; i < 3; i++) {
            put_away(&me, began + 5 * HOUR + i * 20 * SECOND);
        }
    }
    if (person <= ADMINS) {
        for (unsigned i = roll(8); i > 0; i--) {
            sp_event e = me;
            e.kind = roll(2) == 0 ? SP_EVENT_ADMIN : SP_EVENT_DEVICE;
            e.when_unix_us = began + (uint64_t)roll(9 * 3600) * SECOND;
            e.method = SP_SPAN_LIT("approve");
            e.object = SP_SPAN_LIT("something");
            put(&e);
        }
    }
}

static void office_beats(unsigned day)
{
    for (unsigned i = 0; i < 24 * 12; i++) {
        const sp_event e = {.kind = SP_EVENT_HEARTBEAT,
                            .when_unix_us = MONDAY + day * DAY + i * 5 * MINUTE,
                            .verdict = SP_VERDICT_ALLOW};
        put(&e);
    }
}

/* ---- attacks ---- */

static uint64_t attack(const char *detection, const char *whom, unsigned day, unsigned hour)
{
    uint64_t from = MONDAY + day * DAY + hour * HOUR;
    labels[labels_count++] = (label){detection, whom, from, from + 23 * HOUR, false};
    return from;
}

static void credentials_attacked(void)
{
    uint64_t at = attack("password-spraying", "peer=192.0.2.66", 2, 13);
    for (uint32_t i = 0; i < 40; i++) {
        sp_event e = of_person(50 + i, at, 1, 2);
        set_peer(&e, 192, 0, 2, 66);
        sign_in(&e, at + i * 20 * SECOND, false);
    }
    at = attack("password-spraying-slow", "network=192.0.3.0/24", 5, 1);
    for (uint32_t i = 0; i < 120; i++) {
        sp_event e = of_person(100 + i, at, 1, 5);
        set_peer(&e, 192, 0, 3, (uint8_t)i);
        sign_in(&e, at + i * 10 * MINUTE, false);
    }
    at = attack("slow-brute-force", "p077", 8, 0);
    for (uint32_t i = 0; i < 40; i++) {
        sp_event e = of_person(77, at, 1, 8);
        set_peer(&e, 192, (uint8_t)i, 4, 1);
        sign_in(&e, at + i * 30 * MINUTE, false);
    }
    at = attack("code-guessing", "p078", 9, 15);
    for (uint32_t i = 0; i < 9; i++) {
        sp_event e = of_person(78, at, 1, 9);
        e.kind = SP_EVENT_SIGN_IN;
        e.when_unix_us = at + i * MINUTE;
        e.verdict = SP_VERDICT_DENY;
        e.session = 0;
        e.detail = SP_SPAN_LIT("{\"why\":\"code\"}");
        put(&e);
    }
}

static void sessions_taken(void)
{
    uint64_t at = attack("session-elsewhere", "p090", 10, 11);
    for (uint32_t i = 0; i < 20; i++) {
        sp_event e = of_person(90, at + i * MINUTE, 0, 10);
        e.kind = SP_EVENT_DECISION;
        e.gate = SP_GATE_WEB;
        e.device = i % 2 == 0 ? e.device : 99999;
        e.resource = SP_SPAN_LIT("wiki");
        put(&e);
    }
    at = attack("session-on-many-networks", "p091", 11, 11);
    for (uint32_t i = 0; i < 8; i++) {
        sp_event e = of_person(91, at + i * MINUTE, 0, 11);
        e.kind = SP_EVENT_DECISION;
        e.gate = SP_GATE_WEB;
        e.resource = SP_SPAN_LIT("wiki");
        set_peer(&e, 192, 0, (uint8_t)(10 + i), 5);
        put(&e);
    }
    at = attack("session-to-and-fro", "p093", 13, 11);
    for (uint32_t i = 0; i < 12; i++) {
        sp_event e = of_person(93, at + i * 30 * SECOND, 0, 13);
        e.kind = SP_EVENT_DECISION;
        e.gate = SP_GATE_WEB;
        e.resource = SP_SPAN_LIT("wiki");
        if (i % 2 == 1) {
            set_peer(&e, 192, 0, 2, 5);
        }
        put(&e);
    }
    at = attack("session-without-its-device", "p094", 7, 11);
    for (uint32_t i = 0; i < 4; i++) {
        sp_event e = of_person(94, at + i * MINUTE, 0, 7);
        e.kind = SP_EVENT_DECISION;
        e.gate = SP_GATE_WEB;
        e.device = 0;
        e.resource = SP_SPAN_LIT("wiki");
        e.verdict = SP_VERDICT_DENY;
        e.reason = SP_REASON_SESSION_DEVICE;
        put(&e);
    }
    at = attack("impossible-travel", "p092", 12, 14);
    sp_event far = of_person(92, at, 0, 12);
    sign_in(&far, at - HOUR, true);
    set_peer(&far, 7, 7, 7, 7); /* far from everywhere else, see place_of() */
    sign_in(&far, at, true);
}

static void administrators_strange(void)
{
    uint64_t at = attack("new-device-of-privileged", "p002", 15, 12);
    sp_event e = of_person(2, at, 0, 15);
    e.kind = SP_EVENT_ADMIN;
    e.device = 4242;
    e.session = 424242;
    e.method = SP_SPAN_LIT("apply");
    put(&e);
    at = attack("privileged-at-night", "p003", 16, 2);
    for (uint32_t i = 0; i < 5; i++) {
        e = of_person(3, at + i * MINUTE, 0, 16);
        e.kind = SP_EVENT_IDENTITY;
        e.method = SP_SPAN_LIT("create");
        e.object = SP_SPAN_LIT("backdoor");
        put(&e);
    }
    at = attack("privileged-at-gates-at-night", "p001", 23, 2);
    for (uint32_t i = 0; i < 5; i++) {
        e = of_person(1, at + i * MINUTE, 0, 23);
        e.kind = SP_EVENT_DECISION;
        e.gate = i % 2 == 0 ? SP_GATE_DB : SP_GATE_SSH;
        e.action = SP_ACTION_READ;
        e.resource = SP_SPAN_LIT("erp");
        put(&e);
    }
    at = attack("roles-for-himself", "p002", 17, 10);
    e = of_person(2, at, 0, 17);
    e.kind = SP_EVENT_IDENTITY;
    e.method = SP_SPAN_LIT("roles");
    e.object = e.person_name;
    put(&e);
    at = attack("emergency-access", "p002", 17, 16);
    e.when_unix_us = at;
    e.method = SP_SPAN_LIT("emergency access opened");
    e.object = SP_SPAN_LIT("breaker");
    put(&e);
    at = attack("device-cloned", "p120", 18, 9);
    e = of_person(120, at, 0, 18);
    e.kind = SP_EVENT_DEVICE;
    e.severity = SP_SEVERITY_CRITICAL;
    e.method = SP_SPAN_LIT("clone");
    put(&e);
}

static sp_event grave(uint32_t person, uint64_t at, sp_gate gate, sp_action action, bool let)
{
    sp_event e = of_person(person, at, 0, (unsigned)((at - MONDAY) / DAY));
    e.kind = SP_EVENT_DECISION;
    e.gate = (uint8_t)gate;
    e.action = (uint8_t)action;
    e.resource = SP_SPAN_LIT("erp");
    e.verdict = let ? SP_VERDICT_ALLOW : SP_VERDICT_DENY;
    e.reason = let ? SP_REASON_RULE : SP_REASON_DEFAULT;
    return e;
}

static void data_taken(void)
{
    uint64_t at = attack("mass-export", "p200", 19, 11);
    for (uint32_t i = 0; i < 40; i++) {
        sp_event e = grave(200, at + i * MINUTE, i % 2 == 0 ? SP_GATE_WEB : SP_GATE_SSH,
                           SP_ACTION_EXPORT, true);
        e.bytes_out = UINT64_C(300) << 20;
        put(&e);
    }
    at = attack("export-over-many-gates", "p201", 20, 11);
    for (uint32_t i = 0; i < 6; i++) {
        sp_event e =
            grave(201, at + i * MINUTE, (sp_gate)(SP_GATE_WEB + i % 3), SP_ACTION_EXPORT, true);
        e.resource = sp_span_cstr(APPS[i]);
        e.bytes_out = UINT64_C(20) << 20;
        put(&e);
    }
    at = attack("destruction", "p202", 21, 11);
    for (uint32_t i = 0; i < 30; i++) {
        sp_event e = grave(202, at + i * 10 * SECOND, SP_GATE_DB, SP_ACTION_DESTROY, true);
        put(&e);
    }
    at = attack("budget-exceeded", "p203", 22, 11);
    sp_event e = grave(203, at, SP_GATE_DB, SP_ACTION_DESTROY, false);
    e.reason = SP_REASON_LIMIT;
    e.method = SP_SPAN_LIT("budget: locked");
    put(&e);
    at = attack("whole-destroyed", "p209", 22, 14);
    e = grave(209, at, SP_GATE_DB, SP_ACTION_ADMINISTER, false);
    e.severity = SP_SEVERITY_HIGH;
    e.detail = SP_SPAN_LIT("{\"connection\":\"7F3K-9Q2M-XA4T\",\"destroys\":\"whole\"}");
    put(&e);
    at = attack("refused-then-elsewhere", "p204", 23, 11);
    e = grave(204, at, SP_GATE_DB, SP_ACTION_EXPORT, false);
    put(&e);
    e = grave(204, at + 5 * MINUTE, SP_GATE_SSH, SP_ACTION_EXPORT, false);
    put(&e);
    at = attack("probing", "p205", 24, 11);
    for (uint32_t i = 0; i < SP_COUNT(APPS); i++) {
        e = grave(205, at + i * MINUTE, SP_GATE_WEB, SP_ACTION_READ, false);
        e.resource = sp_span_cstr(APPS[i]);
        put(&e);
    }
    at = attack("terminal-alarm", "p206", 25, 11);
    e = grave(206, at, SP_GATE_SSH, SP_ACTION_EXECUTE, true);
    e.severity = SP_SEVERITY_HIGH;
    e.method = SP_SPAN_LIT("alarm");
    put(&e);
    at = attack("carried-by-commands", "p208", 25, 14);
    for (uint32_t i = 0; i < 40; i++) {
        e = grave(208, at + i * 10 * SECOND, SP_GATE_SSH, SP_ACTION_EXECUTE, true);
        e.kind = SP_EVENT_CLOSE;
        e.method = SP_SPAN_LIT("exec");
        e.bytes_out = UINT64_C(64) << 10;
        e.detail = SP_SPAN_LIT("{\"channel\":1,\"export\":\"not allowed\"}");
        put(&e);
    }
    at = attack("bait", "p207", 26, 11);
    e = grave(207, at, SP_GATE_WEB, SP_ACTION_READ, true);
    e.resource = SP_SPAN_LIT("wiki");
    e.object = SP_SPAN_LIT("/hr/salaries-2026.xlsx");
    put(&e);
}

static void records_broken(void)
{
    static const struct {
        const char *detection;
        uint8_t kind;
        uint8_t severity;
    } gaps[] = {{"recorder-gap", SP_EVENT_LOSS, SP_SEVERITY_HIGH},
                {"ledger-gap", SP_EVENT_GAP, SP_SEVERITY_CRITICAL}};
    for (unsigned i = 0; i < SP_COUNT(gaps); i++) {
        uint64_t at = attack(gaps[i].detection, "", 27 + i, 12);
        const sp_event e = {.kind = gaps[i].kind,
                            .severity = gaps[i].severity,
                            .when_unix_us = at,
                            .count = 9,
                            .verdict = SP_VERDICT_ALLOW};
        put(&e);
    }
}

static void targets_away(void)
{
    uint64_t at = attack("target-unavailable", "resource=files", 3, 15);
    for (uint32_t i = 0; i < 10; i++) {
        sp_event me = of_person(300 + 8 * i, at, 0, 3);
        put_away(&me, at + i * 10 * SECOND);
    }
    at = attack("application-unavailable", "resource=crm", 4, 10);
    for (uint32_t i = 0; i < 30; i++) {
        sp_event me = of_person(400 + i, at, 0, 4);
        sp_event e = work(&me, at + i * SECOND);
        e.gate = SP_GATE_WEB;
        e.resource = SP_SPAN_LIT("crm");
        e.status = 502;
        put(&e);
    }
    at = attack("surge", "resource=board", 14, 14);
    for (uint32_t i = 0; i < 6000; i++) {
        sp_event me = of_person(100 + i % 400, at, 0, 14);
        sp_event e = work(&me, at + i * (SECOND / 40));
        e.gate = SP_GATE_WEB;
        e.action = SP_ACTION_READ;
        e.bytes_out = 1000;
        e.resource = SP_SPAN_LIT("board");
        put(&e);
    }
}

/* ---- the run ---- */

static uint64_t false_alarms;
static bool counting = true;

/* The alarm is about this one: its keys say so, or its person. */
static bool is_about(const sp_alarm *alarm, const char *whom)
{
    sp_span rest = alarm->keys;
    sp_span word;
    bool found = *whom == '\0' || sp_span_eq(alarm->person_name, sp_span_cstr(whom));
    while (!found && sp_span_split(&rest, ' ', &word)) {
        found = sp_span_eq(word, sp_span_cstr(whom));
    }
    return found;
}

/* What the same attack is called by another detection that counts by something else. */
static const struct {
    const char *attack;
    const char *detection;
    const char *whom;
} same[] = {{"password-spraying", "password-spraying-slow", "network=192.0.2.0/24"}};

static bool is_same(const sp_alarm *alarm, const label *attack)
{
    bool found = *attack->whom != '\0' && is_about(alarm, attack->whom);
    for (size_t i = 0; !found && i < SP_COUNT(same); i++) {
        found = sp_span_eq(alarm->detection, sp_span_cstr(same[i].detection)) &&
                strcmp(attack->detection, same[i].attack) == 0 && is_about(alarm, same[i].whom);
    }
    return found;
}

/* Another detection speaks of an attack, within two hours: it names the same person, address or
 * resource. That is no false alarm; what it says of anybody else is one. */
static bool is_another_word(const sp_alarm *alarm)
{
    for (size_t i = 0; i < labels_count; i++) {
        if (!sp_span_eq(alarm->detection, sp_span_cstr(labels[i].detection)) &&
            is_same(alarm, &labels[i]) && alarm->last_unix_us >= labels[i].from_us &&
            alarm->last_unix_us < labels[i].from_us + 2 * HOUR) {
            return true;
        }
    }
    return false;
}

static void on_alarm(void *self, const sp_alarm *alarm)
{
    (void)self;
    if (!counting) {
        return;
    }
    for (size_t i = 0; i < labels_count; i++) {
        if (sp_span_eq(alarm->detection, sp_span_cstr(labels[i].detection)) &&
            is_about(alarm, labels[i].whom) && alarm->last_unix_us >= labels[i].from_us &&
            alarm->last_unix_us <= labels[i].to_us) {
            labels[i].found = true;
            return;
        }
    }
    if (is_another_word(alarm)) {
        return;
    }
    false_alarms++;
    fprintf(stderr, "false: %.*s at day %.2f (%.*s)\n", SP_SPAN_ARG(alarm->detection),
            (double)(alarm->last_unix_us - MONDAY) / (double)DAY, SP_SPAN_ARG(alarm->keys));
}

static bool place_of(void *self, const uint8_t peer[16], sp_detect_place *ret_place)
{
    (void)self;
    *ret_place = peer[12] == 7 ? (sp_detect_place){-33.9, 151.2, "AU"}
                               : (sp_detect_place){31.2, 121.5, "CN"};
    return true;
}

static int by_time(const void *a, const void *b)
{
    const sp_event *one = a;
    const sp_event *other = b;
    if (one->when_unix_us != other->when_unix_us) {
        return one->when_unix_us < other->when_unix_us ? -1 : 1;
    }
    return one->reference < other->reference ? -1 : one->reference > other->reference;
}

static sp_detect_engine *make_engine(void)
{
    static const char text[] =
        "kind: Resource\nname: wiki\noperator: company\nclass: internal\nowner: x\nweb:\n"
        "  host: wiki\n  upstream: http://127.0.0.1:9\n---\n"
        "kind: Canary\nname: bait\nurls: [{ resource: wiki, path: /hr/salaries* }]\n";
    static const uint8_t seed[SP_DETECT_SEED_BYTES] = {7};
    const sp_policy_file file = {"bench.yaml", sp_span_cstr(text)};
    const sp_policy_input input = {
        .files = &file, .files_count = 1, .people_open = true, .version = 1, .now_unix_s = 1};
    const sp_detect_calls calls = {on_alarm, place_of, NULL};
    auto_diags sp_diags diags = {0};
    auto_policy_set sp_policy_set *set = NULL;
    sp_detect_engine *engine = NULL;
    if (sp_failed(sp_policy_compile(&input, &diags, &set)) ||
        sp_failed(sp_detect_engine_new(sp_policy_set_detections(set), seed,
                                       SP_DETECT_MEMORY_DEFAULT_BYTES, &calls, &engine))) {
        auto_buf sp_buf told = sp_buf_make(10000);
        sp_diags_print(&diags, &told);
        fprintf(stderr, "the documents do not compile: %.*s\n", (int)told.len,
                (const char *)told.ptr);
        exit(EXIT_FAILURE);
    }
    return engine;
}

static double cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* --check: fails when recall or false alarms are past their bounds; how fast it was is no matter.
 */
int main(int argc, char **argv)
{
    for (unsigned i = 1; i <= PEOPLE; i++) {
        snprintf(NAMES[i], sizeof(NAMES[i]), "p%03u", i);
    }
    for (unsigned day = 0; day < DAYS; day++) {
        office_beats(day);
        for (uint32_t person = 1; person <= PEOPLE; person++) {
            normal_day_of(person, day);
        }
    }
    credentials_attacked();
    sessions_taken();
    administrators_strange();
    data_taken();
    records_broken();
    targets_away();
    (void)attack("recorder-silence", "absent", 6, 2);
    qsort(all.items, all.count, sizeof(*all.items), by_time);

    sp_detect_engine *engine = make_engine();
    double began = cpu_s();
    uint64_t ticked_us = MONDAY;
    for (size_t i = 0; i < all.count; i++) {
        for (; ticked_us + MINUTE <= all.items[i].when_unix_us; ticked_us += MINUTE) {
            sp_detect_engine_tick(engine, ticked_us + MINUTE, MINUTE, true);
        }
        sp_detect_engine_event(engine, &all.items[i], i, 0, UINT64_MAX / 2);
    }
    double took = cpu_s() - began;
    size_t found = 0;
    for (size_t i = 0; i < labels_count; i++) {
        found += labels[i].found ? 1 : 0;
        if (!labels[i].found) {
            fprintf(stderr, "missed: %s\n", labels[i].detection);
        }
    }
    sp_detect_stats stats = sp_detect_engine_stats(engine);
    fprintf(stderr, "%zu events, %zu attacks, %zu detections, %llu alarms, %.1f MiB\n", all.count,
            labels_count, sp_detect_engine_program(engine)->rules_count,
            (unsigned long long)stats.alarms, (double)stats.memory_bytes / (1 << 20));
    printf("detect-recall %.3f 1 at-least\n", (double)found / (double)labels_count);
    printf("detect-false-a-day %.3f 1 at-most\n", (double)false_alarms / DAYS);
    printf("detect-events-a-second %.0f 100000 at-least\n", (double)all.count / took);
    bool checks = argc > 1 && strcmp(argv[1], "--check") == 0;
    bool good = found == labels_count && false_alarms <= DAYS;
    sp_detect_engine_free(engine);
    sp_free(all.items);
    return checks && !good ? EXIT_FAILURE : 0;
}
