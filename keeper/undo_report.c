/* SPDX-License-Identifier: Apache-2.0
 * What undo says of itself: row by row of what psql was told, whether all came back, or nothing.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c; what psql was told is
 * bounded (UNDO_TOLD_MAX_BYTES). SPEC keeper/README.md, "Report".
 */
#include "keeper/undo_parts.h"

#include <string.h>

static json_int_t number_of(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

static bool is_quiet(const json_t *row)
{
    static const char *const news[] = {"inserted",  "reverted", "removed",
                                       "differing", "missing",  "hung"};
    for (size_t i = 0; i < SP_COUNT(news); i++) {
        if (number_of(row, news[i]) != 0) {
            return false;
        }
    }
    return true;
}

static void add_row(undo *u, json_t *rows, json_t *one)
{
    json_object_set_new(one, "conflicts",
                        json_integer(number_of(one, "differing") - number_of(one, "reverted")));
    json_object_set_new(one, "clashes",
                        json_integer(number_of(one, "missing") - number_of(one, "inserted")));
    json_array_append_new(rows, one);
    json_int_t stay = number_of(one, "stay") - number_of(one, "removed") - number_of(one, "hung");
    json_object_set_new(one, "stay", json_integer(stay > 0 ? stay : 0));
    if (stay > 0) {
        undo_tell(u, json_sprintf("%lld rows of %s that the same transaction wrote stay: which of "
                                  "them are others under a new key, and which it added, cannot be "
                                  "told",
                                  (long long)stay, undo_text(one, "relation")));
    }
    if (number_of(one, "held") != 0) {
        undo_tell(u, json_sprintf("%lld rows of %s keep the values that the statement gave them: "
                                  "rows of others refer to these",
                                  (long long)number_of(one, "held"), undo_text(one, "relation")));
        u->notes++;
    }
    if (number_of(one, "hung") != 0) {
        undo_tell(u, json_sprintf("%lld rows of %s stay under their new keys: rows of others hang "
                                  "on them",
                                  (long long)number_of(one, "hung"), undo_text(one, "relation")));
    }
}

/* What psql was told, table by table; those of which there is nothing to say last. */
static json_t *read_rows(undo *u, bool *ret_are_read)
{
    json_t *rows = json_array();
    auto_json json_t *quiet = json_array();
    auto_buf sp_buf text = sp_buf_make(UNDO_TOLD_MAX_BYTES + 1);
    bool are_read = !sp_failed(keep_child_told(&u->psql, &text)) && text.len <= UNDO_TOLD_MAX_BYTES;
    sp_span rest = sp_buf_borrow(&text);
    sp_span line;
    while (sp_span_split(&rest, '\n', &line)) {
        json_error_t error;
        json_t *one = sp_span_starts(line, SP_SPAN_LIT("{"))
                          ? json_loadb((const char *)line.ptr, line.len, 0, &error)
                          : NULL;
        const char *told = json_string_value(json_object_get(one, "told"));
        const char *back = json_string_value(json_object_get(one, "back"));
        if (back != NULL) {
            undo_tell(u, json_string(back));
            json_decref(one);
        } else if (told != NULL) {
            undo_tell(u, json_string(told));
            u->notes++;
            u->leaves_out = true;
            json_decref(one);
        } else if (one != NULL) {
            add_row(u, is_quiet(one) ? quiet : rows, one);
        }
        are_read = are_read && (one != NULL || !sp_span_starts(line, SP_SPAN_LIT("{")));
    }
    if (!are_read) {
        undo_tell(u, json_string("not all of which rows came back could be read: look at the "
                                 "tables"));
    }
    json_array_extend(rows, quiet);
    *ret_are_read = are_read;
    return rows;
}

/* False: something that the statement may have changed did not come back. */
static bool is_complete(const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *one = json_array_get(rows, i);
        if (number_of(one, "clashes") != 0 || number_of(one, "hung") != 0 ||
            number_of(one, "held") != 0 || number_of(one, "stay") != 0 ||
            (json_is_true(json_object_get(one, "changes")) && number_of(one, "conflicts") != 0)) {
            return false;
        }
    }
    return true;
}

static json_int_t sum_of(const json_t *rows, const char *key)
{
    json_int_t sum = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        sum += number_of(json_array_get(rows, i), key);
    }
    return sum;
}

static bool is_nothing(const undo *u, const json_t *rows)
{
    json_int_t count = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *one = json_array_get(rows, i);
        count +=
            number_of(one, "inserted") + number_of(one, "reverted") + number_of(one, "removed");
    }
    return count == 0 && json_array_size(u->restored) == 0 && json_array_size(u->told) == u->notes;
}

/* Half of each list; false: there is nothing left to leave out. */
static bool cut(json_t *all)
{
    static const char *const lists[] = {"rows", "told", "restored"};
    bool is_cut = false;
    for (size_t i = 0; i < SP_COUNT(lists); i++) {
        json_t *list = json_object_get(all, lists[i]);
        for (size_t most = json_array_size(list) / 2; json_array_size(list) > most + 1;) {
            json_array_remove(list, json_array_size(list) - 1);
            is_cut = true;
        }
    }
    return is_cut;
}

/* What core takes of it. */
static void put_fitting(undo *u, json_t *all)
{
    char *text = all == NULL ? NULL : json_dumps(all, JSON_COMPACT);
    bool whole = true;
    while (text != NULL && strlen(text) > SP_KEEPER_REPORT_MAX_BYTES && cut(all)) {
        if (whole) {
            json_array_insert_new(u->told, 0,
                                  json_string("the report is too long: what stands at "
                                              "its end is left out"));
            whole = false;
        }
        sp_free(text);
        text = json_dumps(all, JSON_COMPACT);
    }
    sp_buf_text(&u->job->report, text == NULL ? "{}" : text);
    sp_free(text);
}

/* SP_ECONFLICT: nothing came back, which is no undo. */
sp_err undo_write_report(undo *u)
{
    bool are_read = true;
    json_t *rows = read_rows(u, &are_read);
    bool nothing = are_read && is_nothing(u, rows);
    u->is_whole = are_read && !u->leaves_out && is_complete(rows);
    json_t *all =
        json_pack("{s:b, s:b, s:O, s:O, s:o, s:O}", "tried_only", (int)u->try_only, "complete",
                  (int)u->is_whole, "verb", json_object_get(u->manifest, "verb"), "restored",
                  u->restored, "rows", rows, "told", u->told);
    if (u->beside != NULL) {
        json_object_set_new(all, "beside", json_string(u->beside));
    }
    if (nothing) {
        json_int_t differing = sum_of(rows, "differing");
        sp_buf_reset(&u->job->why);
        if (differing > 0) {
            sp_buf_fmt(&u->job->why,
                       "nothing is put back: %lld rows differ from what was kept, and that the "
                       "statement changed them cannot be told",
                       (long long)differing);
        } else {
            sp_buf_text(&u->job->why, "nothing of what was kept is missing or changed, as far as "
                                      "can be told: there is nothing to put back");
        }
    }
    if (nothing && u->notes > 0) {
        sp_buf_fmt(&u->job->why, " (%s)", json_string_value(json_array_get(u->told, 0)));
    }
    put_fitting(u, all);
    json_decref(all);
    return nothing ? sp_fail(SP_ECONFLICT) : sp_ok();
}
