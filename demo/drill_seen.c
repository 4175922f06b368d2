/* SPDX-License-Identifier: Apache-2.0
 * The drill as the security people see it: entries of the ledger, alarms, pages.
 * OWNS nothing. PROCESS sallyport-demo. TRUST none. SPEC demo/drill.h.
 */
#include "demo/drill.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOOKS = 100, LOOK_US = 50 * 1000, PAGES = 5, PATH_BYTES = 768 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool is(const json_t *object, const char *key, const char *value)
{
    return strcmp(text_of(object, key), value) == 0;
}

/* ---- the ledger ---- */

/* Newest first; the caller frees. */
static json_t *entries_of(demo_person *auditor, const char *query, int pages)
{
    char path[PATH_BYTES];
    char cursor[PATH_BYTES / 2] = "";
    json_t *all = json_array();
    for (int i = 0; i < pages; i++) {
        snprintf(path, sizeof(path), "/admin/ledger/events?limit=200&%s%s%.300s", query,
                 cursor[0] != '\0' ? "&cursor=" : "", cursor);
        json_t *page = demo_call(auditor, "GET", path, NULL);
        json_array_extend(all, json_object_get(page, "items"));
        snprintf(cursor, sizeof(cursor), "%s", text_of(page, "next"));
        json_decref(page);
        if (cursor[0] == '\0') {
            break;
        }
    }
    return all;
}

/* The entry of what he was told, which is nobody else's; NULL: there is none. Of what no grammar
 * knows he is told in the server's own words, without a reference: it is found by its text. */
static json_t *entry_of(const json_t *all, const drill_told *told)
{
    size_t at = 0;
    json_t *one = NULL;
    json_array_foreach(all, at, one)
    {
        bool own = told->reference[0] != '\0'
                       ? is(one, "reference", told->reference)
                       : is(one, "reason", "unparsed") && is(one, "object", told->attempt->sql);
        /* what others would have to agree to and cannot be asked about is of verdict ask as well */
        bool asks = is(one, "verdict", "ask") && is(one, "reason", "approval");
        bool answers = asks || (!told->waited && is(one, "verdict", "deny"));
        if (own && answers && is(one, "kind", "decision")) {
            return one;
        }
    }
    return NULL;
}

/* Who is refused before he has logged in is nobody yet: that entry has no person. */
static bool has_unnamed(demo_person *auditor, const drill_told *told)
{
    char query[PATH_BYTES / 2];
    snprintf(query, sizeof(query), "reference=%s", told->reference);
    json_t *all =
        told->attempt->way == DRILL_STARTUP ? entries_of(auditor, query, 1) : json_array();
    bool found = entry_of(all, told) != NULL;
    json_decref(all);
    return found;
}

static drill_entries find(demo_person *auditor, const char *person, const drill_told *told,
                          size_t count)
{
    char query[PATH_BYTES / 2];
    drill_entries found = {.found = 0};
    snprintf(query, sizeof(query), "person=%s&kind=decision&verdict=deny,ask", person);
    json_t *all = entries_of(auditor, query, PAGES);
    for (size_t i = 0; i < count; i++) {
        json_t *one = entry_of(all, &told[i]);
        bool grave = one != NULL && is(one, "severity", "high");
        if (one != NULL) {
            json_object_set_new(one, "kind", json_string("taken")); /* each is of one attempt */
        }
        if (one != NULL || has_unnamed(auditor, &told[i])) {
            found.found++;
            found.grave += grave ? 1 : 0;
        } else if (found.missing == NULL) {
            found.missing = told[i].attempt->what;
        }
    }
    json_decref(all);
    return found;
}

drill_entries drill_find_entries(demo_person *auditor, const char *person, const drill_told *told,
                                 size_t count)
{
    drill_entries found = find(auditor, person, told, count);
    for (int i = 0; i < LOOKS / 10 && found.missing != NULL; i++) {
        usleep(LOOK_US); /* the last ones may be on their way */
        found = find(auditor, person, told, count);
    }
    return found;
}

/* ---- alarms ---- */

static bool is_paged(demo_person *paged, const char *keys)
{
    json_t *page = demo_call(paged, "GET", "/me/notices", NULL);
    size_t at = 0;
    json_t *one = NULL;
    bool found = false;
    json_array_foreach(json_object_get(page, "items"), at, one)
    {
        const json_t *texts = json_object_get(json_object_get(one, "texts"), "en");
        found = found || (is(one, "name", "alarm") && strstr(text_of(texts, "text"), keys) != NULL);
    }
    json_decref(page);
    return found;
}

static bool has_alarm(demo_person *paged, const char *detection, const char *person,
                      char ret_incident[DRILL_REFERENCE_BYTES])
{
    json_t *page = demo_call(paged, "GET", "/alarms?limit=50", NULL);
    size_t at = 0;
    json_t *one = NULL;
    bool found = false;
    json_array_foreach(json_object_get(page, "items"), at, one)
    {
        if (is(one, "detection", detection) && is(one, "person", person) &&
            text_of(one, "incident")[0] != '\0') {
            snprintf(ret_incident, DRILL_REFERENCE_BYTES, "%.20s", text_of(one, "incident"));
            found = true;
        }
    }
    json_decref(page);
    return found;
}

bool drill_is_alarmed(demo_person *paged, const char *detection, const char *person,
                      char ret_incident[DRILL_REFERENCE_BYTES])
{
    char keys[DEMO_TEXT_BYTES];
    snprintf(keys, sizeof(keys), "person=%.60s", person);
    for (int i = 0; i < LOOKS; i++) {
        if (has_alarm(paged, detection, person, ret_incident) && is_paged(paged, keys)) {
            return true;
        }
        usleep(LOOK_US);
    }
    return false;
}

/* ---- in what order ---- */

typedef struct {
    const char *kind;
    const char *verdict; /* NULL: any, or none */
    const char *reference;
    const char *method;
    const char *object;
} step;

static bool fits(const json_t *one, const char *key, const char *value)
{
    return value == NULL || is(one, key, value);
}

/* The place of the oldest entry that is this step; 0: there is none. */
static uint64_t place_of(const json_t *all, const step *wanted)
{
    uint64_t place = 0;
    size_t at = 0;
    json_t *one = NULL;
    json_array_foreach(all, at, one)
    {
        uint64_t entry = 0;
        if (is(one, "kind", wanted->kind) && fits(one, "verdict", wanted->verdict) &&
            fits(one, "reference", wanted->reference) && fits(one, "method", wanted->method) &&
            fits(one, "object", wanted->object) &&
            !sp_failed(sp_span_to_u64(sp_span_cstr(text_of(one, "entry")), UINT64_MAX, &entry))) {
            place = entry + 1;
        }
    }
    return place;
}

static bool is_ordered(demo_person *auditor, const char *person, const char *reference,
                       const char *sql)
{
    char query[PATH_BYTES / 2];
    const step steps[] = {{"decision", "ask", reference, NULL, sql},
                          {"approval", NULL, reference, "kept", NULL},
                          {"decision", "allow", NULL, NULL, sql},
                          {"close", "allow", NULL, NULL, sql}};
    snprintf(query, sizeof(query), "person=%s", person);
    json_t *all = entries_of(auditor, query, 1);
    uint64_t last = 0;
    bool good = true;
    for (size_t i = 0; i < SP_COUNT(steps); i++) {
        uint64_t place = place_of(all, &steps[i]);
        good = good && place > last;
        last = place;
    }
    json_decref(all);
    return good;
}

bool drill_in_order(demo_person *auditor, const char *person, const char *reference,
                    const char *sql)
{
    bool good = is_ordered(auditor, person, reference, sql);
    for (int i = 0; i < LOOKS / 10 && !good; i++) {
        usleep(LOOK_US);
        good = is_ordered(auditor, person, reference, sql);
    }
    return good;
}
