/* SPDX-License-Identifier: Apache-2.0
 * The matrix: class x action x device for one role, as JSON and as a table for the terminal.
 * OWNS nothing. PROCESS core, cli. TRUST query words are checked. SPEC lib/policy/compile.h.
 */
#include "lib/policy/ask.h"

enum { ROWS_MAX = 4096 };

typedef struct {
    policy_object object;
    sp_span label; /* class, or path of a part */
    bool is_part;
} row;

typedef struct {
    const sp_policy_set *set;
    sp_subject who;
    sp_posture posture;
    row *rows;
    size_t count;
} matrix;

static sp_err told_unknown(sp_diags *diags, const char *what, sp_span word)
{
    sp_diags_add(diags, SP_DIAG_ERROR, NULL, 0, 0, "unknown %s '%.*s'", what, SP_SPAN_ARG(word));
    return sp_fail(SP_ENOTFOUND);
}

static sp_err read_who(matrix *m, const sp_policy_matrix_query *query, sp_diags *diags)
{
    sp_strength strength = SP_STRENGTH_PASSKEY;
    m->posture = SP_POSTURE_HEALTHY;
    m->who.person = SP_NONE - 1;
    uint32_t at = 0;
    if (query->role.len > 0 && !name_get(&m->set->role_names, query->role, &at)) {
        return told_unknown(diags, "role", query->role);
    }
    if (query->role.len > 0) {
        role_add(m->who.roles, m->set->roles[at].number);
    }
    if (query->strength.len > 0 && !sp_strength_of(query->strength, &strength)) {
        return told_unknown(diags, "strength", query->strength);
    }
    if (query->posture.len > 0 && !sp_posture_of(query->posture, &m->posture)) {
        return told_unknown(diags, "posture", query->posture);
    }
    m->who.strength = (uint8_t)strength;
    return sp_ok();
}

static sp_err read_rows(matrix *m, const sp_policy_matrix_query *query, sp_diags *diags)
{
    const sp_policy *view = &m->set->view;
    if (query->resource.len == 0) {
        for (size_t i = 0; i < m->set->class_count; i++) {
            m->rows[m->count++] = (row){{0, SP_NONE, (uint8_t)i}, m->set->classes[i].name, false};
        }
        return sp_ok();
    }
    uint32_t at = sp_policy_resource_find(view, query->resource);
    if (at == SP_NONE) {
        return told_unknown(diags, "resource", query->resource);
    }
    const snap_resource *r = (const snap_resource *)snap_at(view, SNAP_RESOURCES) + at;
    const snap_part *parts = snap_at(view, SNAP_PARTS);
    m->rows[m->count++] =
        (row){{r->tags, at, r->class_level}, sp_policy_class_name(view, r->class_level), false};
    for (uint32_t i = 0; i < r->parts.count && m->count < ROWS_MAX; i++) {
        const snap_part *p = &parts[r->parts.at + i];
        m->rows[m->count++] = (row){{p->tags, at, p->class_level}, snap_span(view, p->path), true};
    }
    return sp_ok();
}

static sp_decision cell(const matrix *m, const row *r, sp_action action, sp_owner owner)
{
    sp_subject who = m->who;
    who.owner = (uint8_t)owner;
    who.posture = owner == SP_OWNER_UNKNOWN ? SP_POSTURE_UNKNOWN : (uint8_t)m->posture;
    policy_case asked = {&who,       r->object, action, 0, POLICY_FREE_TIME | POLICY_FREE_NETWORK,
                         SP_FACE_ANY};
    uint32_t near = SP_NONE;
    return policy_decide_case(&m->set->view, &asked, &near);
}

static void put_cell(const matrix *m, const row *r, sp_action action, sp_owner owner, sp_buf *out)
{
    sp_decision d = cell(m, r, action, owner);
    sp_posture posture = owner == SP_OWNER_UNKNOWN ? SP_POSTURE_UNKNOWN : m->posture;
    sp_buf_text(out, "{\"class\":");
    sp_buf_json(out, sp_policy_class_name(&m->set->view, d.class_level));
    if (r->is_part) {
        sp_buf_text(out, ",\"part\":");
        sp_buf_json(out, r->label);
    }
    sp_buf_fmt(out,
               ",\"action\":\"%s\",\"owner\":\"%s\",\"posture\":\"%s\",\"verdict\":\"%s\","
               "\"reason\":\"%s\",\"approvals\":%u,\"must\":",
               sp_action_word(action), sp_owner_word(owner), sp_posture_word(posture),
               sp_verdict_word((sp_verdict)d.verdict), sp_reason_word((sp_reason)d.reason),
               d.approvals);
    policy_must_json(d.must, out);
    if (d.rule != SP_NONE) {
        sp_buf_text(out, ",\"rule\":");
        sp_buf_json(out, sp_policy_rule_name(&m->set->view, d.rule));
    }
    sp_buf_byte(out, '}');
}

static void put_words(const char *key, const char *(*word)(unsigned at), unsigned count,
                      sp_buf *out)
{
    sp_buf_fmt(out, ",\"%s\":[", key);
    for (unsigned i = 0; i < count; i++) {
        sp_buf_fmt(out, "%s\"%s\"", i == 0 ? "" : ",", word(i));
    }
    sp_buf_byte(out, ']');
}

static const char *action_at(unsigned at)
{
    return sp_action_word((sp_action)at);
}

static const char *owner_at(unsigned at)
{
    return sp_owner_word((sp_owner)at);
}

static void put_json(const matrix *m, const sp_policy_matrix_query *query, sp_buf *out)
{
    sp_buf_text(out, "{\"role\":");
    sp_buf_json(out, query->role);
    sp_buf_fmt(out, ",\"strength\":\"%s\",\"posture\":\"%s\",\"classes\":[",
               sp_strength_word((sp_strength)m->who.strength), sp_posture_word(m->posture));
    for (size_t i = 0; i < m->set->class_count; i++) {
        sp_buf_text(out, i == 0 ? "" : ",");
        sp_buf_json(out, m->set->classes[i].name);
    }
    sp_buf_byte(out, ']');
    put_words("actions", action_at, SP_ACTION_COUNT, out);
    put_words("owners", owner_at, SP_OWNER_COUNT, out);
    sp_buf_text(out, ",\"cells\":[");
    const char *comma = "";
    for (size_t i = 0; i < m->count; i++) {
        for (unsigned action = 0; action < SP_ACTION_COUNT; action++) {
            for (unsigned owner = 0; owner < SP_OWNER_COUNT; owner++) {
                sp_buf_text(out, comma);
                put_cell(m, &m->rows[i], (sp_action)action, (sp_owner)owner, out);
                comma = ",";
            }
        }
    }
    sp_buf_text(out, "]}\n");
}

/* "yes", "yes*" with duties, "ask 2", "-", "NEVER" */
static void put_mark(const sp_decision *d, char mark[8])
{
    auto_buf sp_buf text = sp_buf_make(8);
    if (d->verdict == SP_VERDICT_ALLOW) {
        sp_buf_text(&text, d->must != 0 ? "yes*" : "yes");
    } else if (d->verdict == SP_VERDICT_ASK) {
        sp_buf_fmt(&text, "ask %u", d->approvals);
    } else {
        sp_buf_text(&text, d->reason == SP_REASON_NEVER ? "never" : "-");
    }
    if (sp_failed(sp_fit(mark, 8, sp_buf_borrow(&text)))) {
        mark[0] = '\0';
    }
}

static void put_text(const matrix *m, const sp_policy_matrix_query *query, sp_buf *out)
{
    sp_span role = query->role.len > 0 ? query->role : SP_SPAN_LIT("(no role)");
    sp_buf_fmt(out, "role %.*s, signed in with %s, known devices %s\n", SP_SPAN_ARG(role),
               sp_strength_word((sp_strength)m->who.strength), sp_posture_word(m->posture));
    for (size_t i = 0; i < m->count; i++) {
        const row *r = &m->rows[i];
        sp_buf_fmt(out, "\n%-18.*s", SP_SPAN_ARG(r->label));
        for (unsigned owner = 0; owner < SP_OWNER_COUNT; owner++) {
            sp_buf_fmt(out, "%-10s", sp_owner_word((sp_owner)owner));
        }
        sp_buf_text(out, "\n");
        for (unsigned action = 0; action < SP_ACTION_COUNT; action++) {
            sp_buf_fmt(out, "  %-16s", sp_action_word((sp_action)action));
            for (unsigned owner = 0; owner < SP_OWNER_COUNT; owner++) {
                char mark[8];
                sp_decision d = cell(m, r, (sp_action)action, (sp_owner)owner);
                put_mark(&d, mark);
                sp_buf_fmt(out, "%-10s", mark);
            }
            sp_buf_text(out, "\n");
        }
    }
    sp_buf_text(out, "\nyes* comes with duties (record, mask, watch, limit); ask N needs N other "
                     "people; - is not granted\n");
}

static sp_err fill(matrix *m, const sp_policy_matrix_query *query, sp_diags *diags)
{
    TRY(read_who(m, query, diags));
    return read_rows(m, query, diags);
}

sp_err sp_policy_matrix_json(const sp_policy_set *set, const sp_policy_matrix_query *query,
                             sp_diags *diags, sp_buf *out)
{
    auto_free row *rows = NULL;
    TRY(sp_alloc(ROWS_MAX, sizeof(*rows), &rows));
    matrix m = {.set = set, .rows = rows};
    TRY(fill(&m, query, diags));
    put_json(&m, query, out);
    return sp_buf_error(out);
}

sp_err sp_policy_matrix_text(const sp_policy_set *set, const sp_policy_matrix_query *query,
                             sp_diags *diags, sp_buf *out)
{
    auto_free row *rows = NULL;
    TRY(sp_alloc(ROWS_MAX, sizeof(*rows), &rows));
    matrix m = {.set = set, .rows = rows};
    TRY(fill(&m, query, diags));
    put_text(&m, query, out);
    return sp_buf_error(out);
}
