/* SPDX-License-Identifier: Apache-2.0
 * Reading the rows out of a plan.
 * OWNS nothing. PROCESS database gate. TRUST see plan.h. SPEC plan.h.
 *
 * A plan is an object with "Node Type" and "Plan Rows"; its children stand in "Plans" after these.
 * A node that changes rows (ModifyTable) says nothing of how many; its "Outer" child does.
 */
#include "lib/sql/plan.h"

typedef struct {
    bool is_list;
    bool has_rows;
    bool changes; /* ModifyTable */
    bool feeds;   /* the rows of this one are what its parent changes */
    bool inserts; /* ModifyTable, and only makes rows */
    uint64_t rows;
} level;

typedef struct {
    sp_span rest;
    level levels[SP_SQL_PLAN_DEPTH_MAX];
    size_t depth;
    sp_span key; /* of the value that follows; empty in lists */
    bool is_plan;
    unsigned changes; /* nodes that do */
    bool adds;
    bool is_beneath; /* one of those stands below another node */
    bool hides;
    uint64_t changed;
    uint64_t answered;
} reading;

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static sp_err open_level(reading *r, bool is_list)
{
    if (r->depth == SP_SQL_PLAN_DEPTH_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    r->levels[r->depth++] = (level){.is_list = is_list};
    r->key = SP_SPAN_EMPTY;
    return sp_ok();
}

/* The object around the list that the one at this depth stands in. */
static const level *parent_of(const reading *r)
{
    bool listed = r->depth >= 3 && r->levels[r->depth - 2].is_list;
    const level *parent = listed ? &r->levels[r->depth - 3] : NULL;
    return parent != NULL && !parent->is_list && parent->has_rows ? parent : NULL;
}

static sp_err close_level(reading *r, bool is_list)
{
    if (r->depth == 0 || r->levels[r->depth - 1].is_list != is_list) {
        return sp_fail(SP_EINVALID);
    }
    const level *done = &r->levels[r->depth - 1];
    if (!is_list && done->has_rows) {
        const level *parent = parent_of(r);
        r->is_plan = true;
        r->changes += done->changes ? 1U : 0U;
        r->is_beneath |= done->changes && parent != NULL;
        r->hides |= done->changes && parent != NULL && !done->inserts;
        if (parent == NULL) {
            r->answered = add(r->answered, done->rows);
        } else if (parent->changes && done->feeds) {
            r->changed = add(r->changed, done->rows);
        }
    }
    r->depth--;
    r->key = SP_SPAN_EMPTY;
    return sp_ok();
}

/* The text between the quotes, as it stands; rest begins behind the first one. */
static sp_err read_string(reading *r, sp_span *ret_text)
{
    for (size_t i = 0; i < r->rest.len; i++) {
        if (r->rest.ptr[i] == '\\') {
            i++;
        } else if (r->rest.ptr[i] == '"') {
            *ret_text = sp_span_slice(r->rest, 0, i);
            r->rest = sp_span_slice(r->rest, i + 1, r->rest.len);
            return sp_ok();
        }
    }
    return sp_fail(SP_EINVALID);
}

static void take_text(reading *r, sp_span text)
{
    level *now = &r->levels[r->depth - 1];
    if (sp_span_eq(r->key, SP_SPAN_LIT("Node Type"))) {
        now->changes = sp_span_eq(text, SP_SPAN_LIT("ModifyTable"));
    } else if (sp_span_eq(r->key, SP_SPAN_LIT("Operation"))) {
        now->inserts = sp_span_eq(text, SP_SPAN_LIT("Insert"));
        r->adds = r->adds || !(sp_span_eq(text, SP_SPAN_LIT("Delete")) ||
                               sp_span_eq(text, SP_SPAN_LIT("Update")));
    } else if (sp_span_eq(r->key, SP_SPAN_LIT("Conflict Resolution"))) {
        now->inserts = now->inserts && sp_span_eq(text, SP_SPAN_LIT("NOTHING"));
    } else if (sp_span_eq(r->key, SP_SPAN_LIT("Parent Relationship"))) {
        now->feeds =
            sp_span_eq(text, SP_SPAN_LIT("Outer")) || sp_span_eq(text, SP_SPAN_LIT("Member"));
    }
}

static sp_err on_string(reading *r)
{
    sp_span text = SP_SPAN_EMPTY;
    TRY(read_string(r, &text));
    if (r->depth == 0 || r->levels[r->depth - 1].is_list) {
        return sp_ok();
    }
    if (r->key.len == 0) {
        r->key = text;
    } else {
        take_text(r, text);
        r->key = SP_SPAN_EMPTY;
    }
    return sp_ok();
}

static bool is_of_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '+';
}

/* A number, true, false or null. */
static sp_err on_word(reading *r)
{
    size_t len = 0;
    while (len < r->rest.len && is_of_word(r->rest.ptr[len])) {
        len++;
    }
    sp_span word = sp_span_slice(r->rest, 0, len);
    r->rest = sp_span_slice(r->rest, len, r->rest.len);
    if (len == 0) {
        return sp_fail(SP_EINVALID);
    }
    if (r->depth > 0 && sp_span_eq(r->key, SP_SPAN_LIT("Plan Rows"))) {
        uint64_t rows = 0;
        bool fits = !sp_failed(sp_span_to_u64(word, INT64_MAX, &rows));
        r->levels[r->depth - 1].has_rows = true;
        r->levels[r->depth - 1].rows = fits ? rows : INT64_MAX; /* more than there can be */
    }
    r->key = SP_SPAN_EMPTY;
    return sp_ok();
}

static sp_err step(reading *r)
{
    uint8_t c = r->rest.ptr[0];
    switch (c) {
    case '{':
    case '[':
        r->rest = sp_span_slice(r->rest, 1, r->rest.len);
        return open_level(r, c == '[');
    case '}':
    case ']':
        r->rest = sp_span_slice(r->rest, 1, r->rest.len);
        return close_level(r, c == ']');
    case '"':
        r->rest = sp_span_slice(r->rest, 1, r->rest.len);
        return on_string(r);
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ':':
    case ',':
        r->rest = sp_span_slice(r->rest, 1, r->rest.len);
        return sp_ok();
    default:
        return on_word(r);
    }
}

sp_err sp_sql_plan_read(sp_span json, sp_sql_plan *ret_plan)
{
    reading r = {.rest = json};
    while (r.rest.len > 0) {
        TRY(step(&r));
    }
    if (r.depth != 0 || !r.is_plan) {
        return sp_fail(SP_EINVALID);
    }
    *ret_plan = (sp_sql_plan){.rows = r.changes > 0 ? r.changed : r.answered,
                              .adds = r.adds || r.changes == 0,
                              .is_told = r.changes <= 1 && !r.is_beneath,
                              .hides = r.hides};
    return sp_ok();
}
