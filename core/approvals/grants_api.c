/* SPDX-License-Identifier: Apache-2.0
 * The API of roles for a while and emergency access: asking, reading, ending, noting.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; what may be asked for and who agrees is
 * the policy's word. SPEC docs/api/openapi.yaml "/grants".
 */
#include "core/approvals/grants.h"
#include "core/documents/documents.h"
#include "core/http/json.h"

enum { GRANT_LEAST_S = 60, NOTE_MAX_BYTES = 2000, TICKET_MAX_BYTES = 100 };

/* ---- the API: asking ---- */

typedef struct {
    sp_request *req;
    sp_span role;
    sp_span reason;
    sp_span ticket;
    uint64_t duration_s;
    sp_ask ask;
} asking;

static void on_asked(void *self, sp_err err, uint64_t id)
{
    const asking *a = self;
    sp_ask_answer(a->req, &a->ask, err, id);
}

static bool may_ask(sp_request *req, const asking *a, const sp_policy_request *request)
{
    const sp_live_session *session = sp_request_session(req);
    sp_core *core = sp_request_core(req);
    if (!sp_policy_people_has(&request->who, session->person, session->roles)) {
        sp_answer_problem(req, 403, "forbidden", "The policy does not let you ask for this role.");
        return false;
    }
    if (sp_roles_hold(session->roles, request->number)) {
        sp_answer_problem(req, 409, "held", "You hold this role now.");
        return false;
    }
    if (a->duration_s < GRANT_LEAST_S || a->duration_s > request->longest_s) {
        char text[80];
        auto_buf sp_buf words = sp_buf_make(sizeof(text) - 1);
        sp_buf_fmt(&words, "between 60 and %u seconds for this role", request->longest_s);
        SP_IGNORE(sp_fit(text, sizeof(text), sp_buf_borrow(&words))); /* it fits */
        sp_answer_invalid(req, "duration_s", text);
        return false;
    }
    if (request->ticket && a->ticket.len == 0) {
        sp_answer_invalid(req, "ticket", "the number of the ticket that this is about");
        return false;
    }
    if (request->sealed && sp_grant_note_is_due(core->store, session->person)) {
        sp_answer_problem(req, 409, "note_due",
                          "The closing note of your last emergency access is still due.");
        return false;
    }
    return true;
}

/* The exact bytes that are approved: what is given, to whom, for how long, why. */
static sp_err content_of(const asking *a, const sp_live_session *session, sp_span *ret_content)
{
    auto_buf sp_buf text = sp_buf_make(4096);
    sp_buf_text(&text, "{\"person\":");
    sp_buf_json(&text, sp_span_cstr(session->person_name));
    sp_buf_text(&text, ",\"role\":");
    sp_buf_json(&text, a->role);
    sp_buf_fmt(&text, ",\"duration_s\":%llu,\"reason\":", (unsigned long long)a->duration_s);
    sp_buf_json(&text, a->reason);
    sp_buf_text(&text, ",\"ticket\":");
    sp_buf_json(&text, a->ticket);
    sp_buf_byte(&text, '}');
    TRY(sp_buf_error(&text));
    return sp_arena_copy(sp_request_arena(a->req), sp_buf_borrow(&text), ret_content);
}

static void post_grant(sp_request *req)
{
    asking *a = NULL;
    sp_core *core = sp_request_core(req);
    const sp_live_session *session = sp_request_session(req);
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*a), &a))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    a->req = req;
    const sp_field fields[] = {SP_FIELD_TEXT("role", &a->role, 1, SP_NAME_MAX_BYTES),
                               SP_FIELD_TEXT("reason", &a->reason, 3, SP_ASK_REASON_MAX_BYTES),
                               SP_FIELD_TEXT_OPT("ticket", &a->ticket, 0, TICKET_MAX_BYTES),
                               SP_FIELD_U64("duration_s", &a->duration_s, UINT32_MAX)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_policy_request request;
    if (sp_failed(
            sp_policy_set_request(sp_documents_set(core->state->documents), a->role, &request))) {
        sp_answer_problem(req, 404, "not_found",
                          "There is no role of that name that can be asked for.");
        return;
    }
    if (!may_ask(req, a, &request)) {
        return;
    }
    a->ask = (sp_ask){.kind = request.sealed ? SP_ASK_BREAK_GLASS : SP_ASK_GRANT,
                      .action = SP_ACTION_ADMINISTER,
                      .asker = session->person,
                      .session = session->id,
                      .duration_s = a->duration_s,
                      .approvers = {request.approvers},
                      .approvers_count = 1,
                      .asker_name = sp_span_cstr(session->person_name),
                      .role = request.role,
                      .reason = a->reason,
                      .ticket = a->ticket};
    sp_err err = content_of(a, session, &a->ask.content);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    a->ask.sha256 = sp_sha256(a->ask.content);
    sp_approvals_ask(core, &a->ask, on_asked, a);
}

/* ---- the API: reading ---- */

static json_t *grant_json(sp_request *req, const sp_grant *g)
{
    json_t *out = json_object();
    bool own = g->person == sp_request_person(req);
    bool open = g->ended_unix_s == 0;
    json_object_set_new(out, "id", sp_ref_json(g->id));
    json_object_set_new(out, "approval", sp_ref_json(g->ask));
    json_object_set_new(out, "person", json_sprintf("%u", g->person));
    json_object_set_new(out, "name", sp_json_span_or_null(g->person_name));
    json_object_set_new(out, "role", sp_json_span_or_null(g->role_name));
    json_object_set_new(out, "sealed", json_boolean(g->sealed));
    json_object_set_new(out, "reason", sp_json_span_or_null(g->reason));
    json_object_set_new(out, "ticket", sp_json_span_or_null(g->ticket));
    json_object_set_new(out, "started_at", sp_json_time(g->started_unix_s));
    json_object_set_new(out, "until_at", sp_json_time(g->until_unix_s));
    json_object_set_new(out, "ended_at", sp_json_time(g->ended_unix_s));
    json_object_set_new(out, "ended_by", sp_json_span_or_null(g->ended_by));
    json_object_set_new(out, "note", sp_json_span_or_null(g->note));
    json_object_set_new(out, "note_due", json_boolean(g->sealed && !open && g->note.len == 0));
    json_object_set_new(out, "can_end",
                        json_boolean(open && (own || (sp_request_admin(req) & SP_WHO_SECURITY))));
    return out;
}

static void answer_grants(sp_request *req, sp_query *q)
{
    json_t *items = json_array();
    sp_err err = sp_ok();
    while (!sp_failed(err) && sp_query_row(q)) {
        sp_grant g;
        err = sp_grant_read(q, sp_request_arena(req), &g);
        if (!sp_failed(err)) {
            json_array_append_new(items, grant_json(req, &g));
        }
    }
    sp_answer_read(req, sp_failed(err) ? err : sp_query_finish(q), items);
}

static void get_grants(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    bool all = (sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT)) != 0 &&
               sp_span_eq(sp_request_query(req, "all"), SP_SPAN_LIT("1"));
    auto_query sp_query q = sp_query_of(core->store, "SELECT " SP_GRANT_COLUMNS
                                                     " FROM role_grant WHERE person = $1 OR $2 = 1"
                                                     " ORDER BY started DESC, id LIMIT 500");
    sp_bind_u64(&q, sp_request_person(req));
    sp_bind_u64(&q, all ? 1 : 0);
    answer_grants(req, &q);
}

static void get_roles(sp_request *req)
{
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    const sp_live_session *session = sp_request_session(req);
    json_t *items = json_array();
    for (size_t i = 0; set != NULL && i < sp_policy_set_role_count(set); i++) {
        sp_policy_role role;
        sp_policy_request request;
        if (sp_failed(sp_policy_set_role(set, i, &role)) ||
            sp_failed(sp_policy_set_request(set, role.name, &request)) ||
            !sp_policy_people_has(&request.who, session->person, session->roles)) {
            continue;
        }
        json_t *one = json_object();
        json_t *title = json_object();
        json_object_set_new(
            title, "en", sp_json_span_or_null(role.title_en.len > 0 ? role.title_en : role.name));
        json_object_set_new(title, "zh", sp_json_span_or_null(role.title_zh));
        json_object_set_new(one, "role", sp_json_span_or_null(role.name));
        json_object_set_new(one, "title", title);
        json_object_set_new(one, "longest_s", json_integer(request.longest_s));
        json_object_set_new(one, "ticket", json_boolean(request.ticket));
        json_object_set_new(one, "sealed", json_boolean(request.sealed));
        json_object_set_new(one, "needed", json_integer(request.approvers.needed));
        json_object_set_new(one, "held", json_boolean(sp_roles_hold(session->roles, role.number)));
        json_array_append_new(items, one);
    }
    sp_answer_items(req, items);
}

/* ---- the API: ending and noting ---- */

static bool need_grant(sp_request *req, sp_grant *ret_grant)
{
    uint64_t id = 0;
    sp_err err =
        sp_ask_id_of(sp_request_param(req, 0), &id)
            ? sp_grant_load(sp_request_core(req)->store, sp_request_arena(req), id, ret_grant)
            : sp_fail(SP_ENOTFOUND);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

/* The holder, a security administrator, or whoever could have approved it. */
static bool may_end(const sp_request *req, const sp_grant *g)
{
    sp_core *core = sp_request_core(req);
    const sp_live_session *session = sp_request_session(req);
    sp_policy_request request;
    return g->person == session->person || (sp_request_admin(req) & SP_WHO_SECURITY) != 0 ||
           (!sp_failed(sp_policy_set_request(sp_documents_set(core->state->documents), g->role_name,
                                             &request)) &&
            sp_policy_people_has(&request.approvers.by, session->person, session->roles));
}

static void post_end(sp_request *req)
{
    sp_grant g;
    sp_span why = SP_SPAN_EMPTY;
    sp_core *core = sp_request_core(req);
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("reason", &why, 0, SP_ASK_REASON_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !need_grant(req, &g)) {
        return;
    }
    if (!may_end(req, &g)) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    sp_span by = sp_span_cstr(sp_request_session(req)->person_name);
    sp_err err =
        g.ended_unix_s != 0 ? sp_fail(SP_ENOTFOUND) : sp_grant_end(core, &g, &event, by, why);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 409, "ended", "It has ended already.");
        return;
    }
    if (sp_failed(err)) {
        sp_answer_problem(req, 503, "end_not_stored",
                          "It has ended and who held it is signed out, but the disk does not take "
                          "that. Core tries again each second; were it started before, it would "
                          "hold the role to be open.");
        return;
    }
    err = sp_grant_load(core->store, sp_request_arena(req), g.id, &g);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 200, grant_json(req, &g));
    }
}

typedef struct {
    sp_grant g;
    sp_span note;
} noting;

static void answer_no_note_due(sp_request *req)
{
    sp_answer_problem(req, 409, "no_note_due",
                      "A closing note is written once, when emergency access has ended.");
}

static void go_note(sp_request *req, void *data)
{
    noting *n = data;
    sp_core *core = sp_request_core(req);
    sp_err err = sp_grant_note(core->store, n->g.id, n->note);
    if (err.code == SP_ENOTFOUND) { /* he wrote another one meanwhile */
        answer_no_note_due(req);
        return;
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    n->g.note = n->note;
    sp_grant_publish(core, &n->g);
    sp_answer_json(req, 200, grant_json(req, &n->g));
}

static void post_note(sp_request *req)
{
    noting *n = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*n), &n))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("note", &n->note, 10, NOTE_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !need_grant(req, &n->g)) {
        return;
    }
    if (n->g.person != sp_request_person(req)) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
        return;
    }
    if (!n->g.sealed || n->g.ended_unix_s == 0 || n->g.note.len > 0) {
        answer_no_note_due(req);
        return;
    }
    auto_buf sp_buf room = sp_buf_make(SP_GRANT_DETAIL_BYTES);
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    sp_grant_event(&n->g, "emergency access noted", n->note, &room, &event);
    event.severity = SP_SEVERITY_MEDIUM;
    sp_request_record(req, &event, go_note, n);
}

/* Emergency access that is open, asked for, or not explained: what every security administrator's
 * page says above all else. */
static void get_alarms(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT " SP_GRANT_COLUMNS " FROM role_grant WHERE sealed = 1 AND"
                                 " (ended = 0 OR note = '') ORDER BY started DESC LIMIT 100");
    answer_grants(req, &q);
}

sp_err sp_grants_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/grants", SP_WHO_PERSON, get_grants, 0},
        {"POST", "/api/v1/grants", SP_WHO_PERSON, post_grant, 0},
        {"GET", "/api/v1/grants/roles", SP_WHO_PERSON, get_roles, 0},
        {"POST", "/api/v1/grants/{id}/end", SP_WHO_PERSON, post_end, 0},
        {"POST", "/api/v1/grants/{id}/note", SP_WHO_PERSON, post_note, 0},
        {"GET", "/api/v1/admin/alarms", SP_WHO_SECURITY | SP_WHO_AUDIT, get_alarms, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
