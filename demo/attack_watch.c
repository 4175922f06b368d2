/* SPDX-License-Identifier: Apache-2.0
 * The attack, seen from the watch room: alarms, the plans that they set off, how long it took.
 * OWNS nothing. PROCESS sallyport-demo. TRUST none. SPEC demo/attack.h.
 */
#include "demo/attack.h"
#include "infra/proc/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WORDS_BYTES = 512,
    PAUSE_US = 2500 * 1000,
    LOOK_US = 50 * 1000,
    WAIT_MS = 15000,
    CUT_MS = 5000
};

void attack_chapter(const attack *a, const char *title)
{
    demo_say("\n%s", title);
    if (!a->fast) {
        usleep(PAUSE_US);
    }
}

void attack_does(const attack *a, const char *format, ...)
{
    char words[WORDS_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    demo_say("  %s", words);
    if (!a->fast) {
        usleep(PAUSE_US);
    }
}

void attack_check(attack *a, bool good, const char *format, ...)
{
    char words[WORDS_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    demo_say("    %s %s", good ? "caught" : "MISSED", words);
    a->caught += good ? 1 : 0;
    a->missed += good ? 0 : 1;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
    uint64_t number = 0;
    SP_IGNORE(sp_span_to_u64(sp_span_cstr(text_of(object, key)), UINT64_MAX, &number)); /* 0 */
    return number;
}

uint64_t attack_now(attack *a)
{
    json_t *page = demo_call(&a->sam, "GET", "/alarms?limit=1", NULL);
    uint64_t newest = number_of(json_array_get(json_object_get(page, "items"), 0), "id");
    json_decref(page);
    return newest;
}

/* A new reference to the newest alarm of the detection about these keys; NULL: none. */
static json_t *find_alarm(attack *a, const char *detection, const char *keys)
{
    json_t *page = demo_call(&a->sam, "GET", "/alarms?limit=100", NULL);
    const json_t *items = json_object_get(page, "items");
    json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(items) && found == NULL; i++) {
        json_t *one = json_array_get(items, i);
        if (strcmp(text_of(one, "detection"), detection) == 0 &&
            strstr(text_of(one, "keys"), keys) != NULL) {
            found = json_incref(one);
        }
    }
    json_decref(page);
    return found;
}

/* The run that the alarm's incident has; NULL: none. An alarm is told a moment before it has an
 * incident: ret_incident says which. */
static json_t *find_run(attack *a, const json_t *alarm, char ret_incident[24])
{
    char path[128];
    json_t *now = find_alarm(a, text_of(alarm, "detection"), text_of(alarm, "keys"));
    snprintf(ret_incident, 24, "%.20s", text_of(now, "incident"));
    json_decref(now);
    if (ret_incident[0] == '\0') {
        return NULL;
    }
    snprintf(path, sizeof(path), "/incidents/%s", ret_incident);
    json_t *incident = demo_call(&a->sam, "GET", path, NULL);
    const json_t *last = json_array_get(json_object_get(incident, "runs"), 0);
    snprintf(path, sizeof(path), "/plan-runs/%s", text_of(last, "id"));
    json_t *run = last == NULL ? NULL : demo_call(&a->sam, "GET", path, NULL);
    json_decref(incident);
    return run;
}

static void say_plan(attack *a, const json_t *alarm)
{
    char incident[24];
    uint64_t end_us = sp_now_steady_us() + (uint64_t)CUT_MS * 1000;
    json_t *run = find_run(a, alarm, incident);
    while ((run == NULL || !json_is_integer(json_object_get(run, "first_cut_us"))) &&
           sp_now_steady_us() < end_us) {
        json_decref(run);
        usleep(LOOK_US);
        run = find_run(a, alarm, incident);
    }
    const json_t *cut = json_object_get(run, "first_cut_us");
    attack_check(a, run != NULL, "plan \"%s\" of incident %s %s", text_of(alarm, "plan"), incident,
                 run != NULL ? "began by itself" : "did not begin");
    if (json_is_integer(cut)) {
        demo_say("           it cut %.1f ms after it began", (double)json_integer_value(cut) / 1e3);
    }
    json_decref(run);
}

void attack_expect(attack *a, const char *detection, const char *keys, uint64_t since,
                   uint64_t from_us)
{
    uint64_t end_us = sp_now_steady_us() + (uint64_t)WAIT_MS * 1000;
    json_t *alarm = find_alarm(a, detection, keys);
    while ((alarm == NULL || number_of(alarm, "id") <= since) && sp_now_steady_us() < end_us) {
        json_decref(alarm);
        usleep(LOOK_US);
        alarm = find_alarm(a, detection, keys);
    }
    bool fresh = alarm != NULL && number_of(alarm, "id") > since;
    if (fresh) {
        attack_check(a, true, "alarm \"%s\" (%s), %.2f s after it happened",
                     text_of(alarm, "title"), detection,
                     (double)(sp_now_steady_us() - from_us) / 1e6);
    } else {
        attack_check(a, alarm != NULL, "alarm %s%s", detection,
                     alarm != NULL ? ": told already, at the attack before; it is quiet for a while"
                                   : " did not come");
    }
    if (fresh && text_of(alarm, "plan")[0] != '\0' && text_of(alarm, "session")[0] != '\0') {
        say_plan(a, alarm);
    }
    json_decref(alarm);
}

bool attack_has_detection(attack *a, const char *kind, const char *name)
{
    json_t *told = demo_call(&a->sam, "GET", "/detections", NULL);
    const json_t *all = json_object_get(told, kind);
    bool found = false;
    for (size_t i = 0; i < json_array_size(all); i++) {
        found = found || strcmp(text_of(json_array_get(all, i), "name"), name) == 0;
    }
    json_decref(told);
    return found;
}
