/* SPDX-License-Identifier: Apache-2.0
 * What is said of a keep before anybody agrees: what is in it, and what undo could not do.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST names are the server's own quoting.
 * SPEC keeper/README.md, "Report".
 */
#include "keeper/keeper.h"

#include <stdio.h>
#include <string.h>

enum { SUMMARY_RELATIONS_MAX = 100, LIMITS_MAX = 20, UNDO_MINUTES_SAID = 10 };

/* A relation; a definition has a name alone. */
static const char *quoted_of(const json_t *one)
{
    const char *name = json_string_value(json_object_get(one, "quoted"));
    name = name == NULL ? json_string_value(json_object_get(one, "name")) : name;
    return name == NULL ? "" : name;
}

/* ---- what undo could not do, said before anybody agrees ---- */

typedef struct {
    json_t *said;
    size_t more; /* that have no room */
} limits;

static bool has_verb(const json_t *manifest, const char *words)
{
    return keep_has_word(json_string_value(json_object_get(manifest, "verb")), words);
}

bool keep_is_elsewhere(const json_t *manifest, const json_t *relation)
{
    const char *kind = json_string_value(json_object_get(relation, "kind"));
    return kind != NULL && kind[0] == 'f' &&
           has_verb(manifest, "ANY DELETE TRUNCATE UPDATE MERGE WITH INSERT COPY");
}

/* What comes first is said: the gravest. */
static void add_limit(limits *to, json_t *sentence)
{
    if (json_array_size(to->said) < LIMITS_MAX) {
        json_array_append_new(to->said, sentence);
    } else {
        json_decref(sentence);
        to->more++;
    }
}

static void add_time(limits *to, uint64_t keep_ms)
{
    uint64_t minutes = keep_ms * SP_KEEPER_UNDO_TIMES_MAX / 60000;
    if (minutes >= UNDO_MINUTES_SAID) {
        add_limit(to, json_sprintf("putting it back may take up to about %llu minutes: until then "
                                   "nobody else writes into these tables",
                                   (unsigned long long)minutes));
    }
}

static void add_strangers(limits *to, const json_t *manifest)
{
    const json_t *strangers = json_object_get(manifest, "strangers");
    for (size_t i = 0; i < json_array_size(strangers); i++) {
        const json_t *one = json_array_get(strangers, i);
        long long more = (long long)json_integer_value(json_object_get(one, "more"));
        char others[48] = "";
        if (more > 0) {
            snprintf(others, sizeof(others), " and %lld more", more);
        }
        add_limit(to, json_sprintf(
                          "the keeper's role lacks the rights of %s, who owns %s%s: if that "
                          "falls, it does not come back, with all that stands on it, until it is a "
                          "member of that role",
                          json_string_value(json_object_get(one, "owner")),
                          json_string_value(json_object_get(one, "of")), others));
    }
}

static void add_keyless(limits *to, const json_t *manifest, bool changed, const char *name)
{
    if (changed || has_verb(manifest, "ANY UPDATE MERGE INSERT")) {
        add_limit(to, json_sprintf("%s has no key: rows that are changed come back only when "
                                   "nobody could write while it was kept",
                                   name));
    }
    if (has_verb(manifest, "ANY ALTER")) {
        add_limit(to, json_sprintf("%s has no key: a column that falls or gets another type does "
                                   "not come back",
                                   name));
    }
}

/* Of the whole. */
static void add_grave(limits *to, const json_t *manifest)
{
    if (json_is_false(json_object_get(manifest, "may_undo"))) {
        add_limit(to, json_string("the keeper's role may not make temporary tables in this "
                                  "database: nothing comes back until it has TEMPORARY on it"));
    }
    if (has_verb(manifest, "ANY")) {
        add_limit(to, json_string("nobody knows what it does: tables and objects of this database "
                                  "are kept, nothing outside; rows that it adds stay, and rights "
                                  "stay as it leaves them"));
    }
    if (has_verb(manifest, "OWNED")) {
        add_limit(to, json_string("DROP OWNED takes rights that were granted to its roles as well: "
                                  "on what stays these do not come back"));
    }
}

/* What does not run, or whose rows are not kept. */
static void add_unkept(limits *to, const json_t *manifest, const json_t *one)
{
    const char *name = quoted_of(one);
    if (json_is_true(json_object_get(one, "member"))) {
        add_limit(to, json_sprintf("%s belongs to an extension: it cannot be kept, so this will "
                                   "not run",
                                   name));
    }
    if (keep_is_elsewhere(manifest, one)) {
        bool whole = json_is_true(json_object_get(manifest, "whole")) &&
                     json_object_get(manifest, "outside") == NULL;
        add_limit(to,
                  json_sprintf("%s has its rows on another server: they %s", name,
                               whole ? "are not kept" : "cannot be kept, so this will not run"));
    }
}

/* Where rows go into a table that is there, all that hangs on it runs; else what it is made with.
 */
static void add_calls(limits *to, const json_t *manifest, const json_t *one)
{
    const json_t *calls = json_object_get(one, "calls");
    bool falls = has_verb(manifest, "ANY DROP");
    bool later = has_verb(manifest, "DROP ALTER");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const char *owner = json_string_value(json_object_get(call, "owner"));
        bool late = json_is_true(json_object_get(call, "late")) && later;
        if (late || json_is_true(json_object_get(call, "trusted"))) {
            continue;
        }
        add_limit(to, json_sprintf("%s calls %s of %s, which would run with the keeper's rights: "
                                   "it does not come back unless a superuser owns that by "
                                   "then%s%s%s",
                                   quoted_of(one), json_string_value(json_object_get(call, "said")),
                                   owner, falls ? " or, where that falls, too, " : "",
                                   falls ? owner : "", falls ? " is a superuser" : ""));
    }
}

static void add_beside(limits *to, const json_t *manifest)
{
    const json_t *beside = json_object_get(manifest, "beside");
    for (size_t i = 0; i < json_array_size(beside) && has_verb(manifest, "DROP ALTER"); i++) {
        add_limit(to, json_sprintf(
                          "%s: where this falls it does not come back",
                          json_string_value(json_object_get(json_array_get(beside, i), "said"))));
    }
}

/* What hangs on what stays, and does not come back where it falls. */
static void add_hanging(limits *to, const json_t *manifest)
{
    const json_t *hangs = json_object_get(manifest, "hangs");
    for (size_t i = 0; i < json_array_size(hangs) && has_verb(manifest, "ANY DROP"); i++) {
        const json_t *one = json_array_get(hangs, i);
        const char *of = json_string_value(json_object_get(one, "of"));
        if (json_is_true(json_object_get(one, "risky")) ||
            (of != NULL && strcmp(of, "attribute") == 0)) {
            add_limit(to, json_sprintf("%s: where this falls it does not come back",
                                       json_string_value(json_object_get(one, "said"))));
        }
    }
}

/* By ALTER it falls with a column, by DROP with what it calls. */
static void add_generated(limits *to, const json_t *manifest, const json_t *one)
{
    const json_t *columns = json_object_get(one, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        bool may_fall = has_verb(manifest, "ANY ALTER") ||
                        (has_verb(manifest, "CASCADE") && json_object_get(column, "on") != NULL);
        if (may_fall && json_is_true(json_object_get(column, "generated"))) {
            add_limit(to, json_sprintf("column %s of %s, which is generated: where this falls and "
                                       "its table stays it does not come back",
                                       json_string_value(json_object_get(column, "quoted")),
                                       quoted_of(one)));
        }
    }
}

static void add_lesser(limits *to, const json_t *manifest, const json_t *one)
{
    const char *kind = json_string_value(json_object_get(one, "kind"));
    const char *name = quoted_of(one);
    bool stored = kind != NULL && (kind[0] == 'r' || kind[0] == 'p') &&
                  !json_is_true(json_object_get(one, "partition"));
    if (stored && json_array_size(json_object_get(one, "key")) == 0) {
        add_keyless(to, manifest, json_is_true(json_object_get(one, "changed")), name);
    }
    if (json_is_true(json_object_get(one, "rules")) &&
        has_verb(manifest, "ANY DELETE UPDATE MERGE WITH INSERT TRUNCATE")) {
        add_limit(to,
                  json_sprintf("%s has rules: nothing comes back into it while it has them", name));
    }
    if (stored && !has_verb(manifest, "ANY") && json_is_true(json_object_get(one, "triggers")) &&
        has_verb(manifest, "DELETE UPDATE MERGE INSERT TRUNCATE")) {
        add_limit(to,
                  json_sprintf("%s has triggers: what they do to other tables is not kept", name));
    }
}

static json_t *limits_of(const json_t *manifest, uint64_t keep_ms)
{
    const json_t *relations = json_object_get(manifest, "relations");
    const json_t *definitions = json_object_get(manifest, "definitions");
    limits to = {.said = json_array()};
    add_grave(&to, manifest);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        add_unkept(&to, manifest, json_array_get(relations, i));
    }
    add_strangers(&to, manifest);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        add_calls(&to, manifest, json_array_get(relations, i));
    }
    for (size_t i = 0; i < json_array_size(definitions) && has_verb(manifest, "ANY DROP ALTER");
         i++) {
        add_calls(&to, manifest, json_array_get(definitions, i));
    }
    add_time(&to, keep_ms);
    add_beside(&to, manifest);
    add_hanging(&to, manifest);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        add_generated(&to, manifest, json_array_get(relations, i));
        add_lesser(&to, manifest, json_array_get(relations, i));
    }
    if (to.more > 0) {
        json_array_append_new(to.said, json_sprintf("and %zu more such sentences", to.more));
    }
    return to.said;
}

void keep_summary(const json_t *manifest, uint64_t keep_ms, sp_buf *out)
{
    const json_t *relations = json_object_get(manifest, "relations");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(relations) && i < SUMMARY_RELATIONS_MAX; i++) {
        const json_t *one = json_array_get(relations, i);
        json_array_append_new(
            list,
            json_pack("{s:O, s:O, s:O, s:O, s:O}", "name", json_object_get(one, "quoted"), "kind",
                      json_object_get(one, "kind"), "why", json_object_get(one, "why"), "rows",
                      json_object_get(one, "rows"), "bytes", json_object_get(one, "bytes")));
    }
    json_t *all =
        json_pack("{s:O, s:I, s:I, s:o, s:o}", "whole", json_object_get(manifest, "whole"),
                  "relations_total", (json_int_t)json_array_size(relations), "foreign_keys",
                  (json_int_t)json_array_size(json_object_get(manifest, "foreign")), "limits",
                  limits_of(manifest, keep_ms), "relations", list);
    char *text = all == NULL ? NULL : json_dumps(all, JSON_COMPACT);
    sp_buf_text(out, text == NULL ? "{}" : text);
    sp_free(text);
    json_decref(all);
}
