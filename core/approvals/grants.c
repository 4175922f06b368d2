/* SPDX-License-Identifier: Apache-2.0
 * Roles for a while, and emergency access: asked for, opened, ended, noted.
 * OWNS what waits for the ledger. PROCESS core. TRUST requests are hostile; what may be asked for
 * and who agrees is the policy's word. SPEC docs/api/openapi.yaml "/grants".
 */
#include "core/approvals/inside.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum {
    DETAIL_ROOM_BYTES = 4096,
    GRANT_LEAST_S = 60,
    NOTE_MAX_BYTES = 2000,
    TICKET_MAX_BYTES = 100
};

typedef struct {
    uint64_t id;
    uint64_t ask;
    uint32_t person;
    uint32_t role;
    bool sealed;
    uint64_t started_unix_s;
    uint64_t until_unix_s;
    uint64_t ended_unix_s;
    sp_span person_name;
    sp_span role_name;
    sp_span reason;
    sp_span ticket;
    sp_span ended_by;
    sp_span note;
} grant;

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- rows ---- */

#define GRANT_COLUMNS                                                                              \
    "id, ask, person, role, sealed, started, until, ended, person_name, role_name, reason, "       \
    "ticket, ended_by, note"

static sp_err read_grant(sp_query *q, sp_arena *arena, grant *ret_grant)
{
    grant g = {.id = sp_col_bits(q), .ask = sp_col_bits(q)};
    g.person = (uint32_t)sp_col_u64(q);
    g.role = (uint32_t)sp_col_u64(q);
    g.sealed = sp_col_u64(q) == 1;
    g.started_unix_s = sp_col_u64(q);
    g.until_unix_s = sp_col_u64(q);
    g.ended_unix_s = sp_col_u64(q);
    sp_span *const texts[] = {&g.person_name, &g.role_name, &g.reason,
                              &g.ticket,      &g.ended_by,  &g.note};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(arena, sp_col_text(q), texts[i]));
    }
    *ret_grant = g;
    return sp_ok();
}

static sp_err load_grant(sp_store *store, sp_arena *arena, uint64_t id, grant *ret_grant)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " GRANT_COLUMNS " FROM role_grant WHERE id = $1");
    sp_bind_bits(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(read_grant(&q, arena, ret_grant));
    return sp_query_finish(&q);
}

static sp_err add_grant(sp_store *store, const grant *g)
{
    auto_query sp_query q = sp_query_of(store, "INSERT INTO role_grant (" GRANT_COLUMNS
                                               ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8,"
                                               " $9, $10, $11, $12, $13, $14)");
    sp_bind_bits(&q, g->id);
    sp_bind_bits(&q, g->ask);
    sp_bind_u64(&q, g->person);
    sp_bind_u64(&q, g->role);
    sp_bind_u64(&q, g->sealed ? 1 : 0);
    sp_bind_u64(&q, g->started_unix_s);
    sp_bind_u64(&q, g->until_unix_s);
    sp_bind_u64(&q, g->ended_unix_s);
    sp_bind_text(&q, g->person_name);
    sp_bind_text(&q, g->role_name);
    sp_bind_text(&q, g->reason);
    sp_bind_text(&q, g->ticket);
    sp_bind_text(&q, g->ended_by);
    sp_bind_text(&q, g->note);
    return sp_query_finish(&q);
}

static sp_err set_ended(sp_store *store, uint64_t id, sp_span by, uint64_t now_unix_s)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE role_grant SET ended = $1, ended_by = $2 WHERE id = $3 AND ended = 0");
    sp_bind_u64(&q, now_unix_s);
    sp_bind_text(&q, by);
    sp_bind_bits(&q, id);
    return sp_query_finish_changed(&q);
}

static sp_err set_note(sp_store *store, uint64_t id, sp_span note)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(store, "UPDATE role_grant SET note = $1 WHERE id = $2");
    sp_bind_text(&q, note);
    sp_bind_bits(&q, id);
    TRY(sp_query_finish_changed(&q));
    return sp_txn_commit(&txn);
}

bool sp_grant_is_open(sp_store *store, uint32_t person, uint32_t role)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM role_grant WHERE person = $1 AND role = $2 AND ended = 0");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, role);
    return sp_query_row(&q);
}

static bool note_is_due(sp_store *store, uint32_t person)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM role_grant WHERE person = $1 AND sealed = 1 AND ended > 0"
               " AND note = ''");
    sp_bind_u64(&q, person);
    return sp_query_row(&q);
}

/* ---- events ---- */

static void grant_event(const grant *g, const char *method, sp_span why, sp_buf *room,
                        sp_event *event)
{
    char ask[SP_REFERENCE_TEXT_BYTES];
    char id[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(g->ask, ask);
    sp_reference_text(g->id, id);
    sp_buf_reset(room);
    sp_buf_fmt(room, "{\"grant\":\"%s\",\"ask\":\"%s\",\"sealed\":%s,\"holder\":", id, ask,
               g->sealed ? "true" : "false");
    sp_buf_json(room, g->person_name);
    sp_buf_text(room, ",\"until\":\"");
    sp_buf_time(room, g->until_unix_s * 1000000);
    sp_buf_text(room, "\",\"reason\":");
    sp_buf_json(room, why);
    sp_buf_byte(room, '}');
    event->when_unix_us = event->when_unix_us != 0 ? event->when_unix_us : sp_now_unix_us();
    event->kind = SP_EVENT_IDENTITY;
    event->severity = g->sealed ? SP_SEVERITY_CRITICAL : SP_SEVERITY_MEDIUM;
    event->verdict = SP_VERDICT_ALLOW;
    event->action = SP_ACTION_ADMINISTER;
    event->method = sp_span_cstr(method);
    event->object = g->role_name;
    event->detail = sp_failed(sp_buf_error(room)) ? SP_SPAN_EMPTY : sp_buf_borrow(room);
}

/* Every security administrator's console says so at once. */
static void publish(sp_core *core, const grant *g)
{
    sp_sse_publish(core, SP_TOPIC_APPROVALS, 0, "approvals",
                   json_pack("{s:s, s:b}", "kind", g->sealed ? "break-glass" : "grant", "alarm",
                             (int)g->sealed));
    sp_sse_publish(core, SP_TOPIC_PEOPLE, 0, "people",
                   json_pack("{s:o}", "id", json_sprintf("%u", g->person)));
}

/* ---- opening ---- */

typedef struct {
    sp_core *core;
    sp_arena arena;
    sp_ask ask;
    grant g;
} opening;

static sp_err check_open(sp_core *core, const sp_ask *ask, uint32_t *ret_role);

static void opening_free(opening *o)
{
    sp_arena_done(&o->arena);
    sp_free(o);
}

static sp_err store_opened(sp_core *core, const grant *g)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_roles_grant(core->store, g->person, g->role));
    TRY(add_grant(core->store, g));
    return sp_txn_commit(&txn);
}

static void on_opened(void *self, sp_err err)
{
    opening *o = self;
    sp_core *core = o->core;
    uint32_t role = 0;
    if (!sp_failed(err)) { /* while the ledger wrote, somebody may have locked or granted */
        err = check_open(core, &o->ask, &role);
    }
    if (!sp_failed(err)) {
        err = sp_ask_carried_out(core, o->g.ask); /* once: what was opened meanwhile stays so */
    }
    if (!sp_failed(err)) {
        err = store_opened(core, &o->g);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the role %.*s was not given to %.*s: %s", SP_SPAN_ARG(o->g.role_name),
               SP_SPAN_ARG(o->g.person_name), sp_code_word(err.code));
    } else {
        sp_approvals *approvals = sp_approvals_of(core);
        if (approvals->grants_due_unix_s > o->g.until_unix_s) {
            approvals->grants_due_unix_s = o->g.until_unix_s;
        }
        sp_sessions_refresh_person(core, o->g.person);
        publish(core, &o->g);
    }
    opening_free(o);
}

/* The policy may have changed since he asked: what it says now counts. */
static sp_err check_open(sp_core *core, const sp_ask *ask, uint32_t *ret_role)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_policy_request request;
    sp_person person;
    uint64_t roles[SP_ROLE_WORDS] = {0};
    sp_span one;
    sp_span other;
    TRY(sp_policy_set_request(set, ask->role, &request));
    TRY(sp_people_get(core->store, ask->asker, &person));
    TRY(sp_roles_of(core->store, ask->asker, roles));
    bool sealed = ask->kind == SP_ASK_BREAK_GLASS;
    if (person.state != SP_PERSON_ACTIVE || sp_roles_hold(roles, request.number) ||
        !sp_policy_people_has(&request.who, ask->asker, roles) || request.sealed != sealed ||
        ask->duration_s > request.longest_s) {
        return sp_fail(SP_EDENIED);
    }
    roles[request.number / 64] |= UINT64_C(1) << (request.number % 64);
    if (!sp_policy_set_roles_allowed(set, roles, &one, &other)) {
        return sp_fail(SP_EDENIED);
    }
    *ret_role = request.number;
    return sp_ok();
}

static sp_err make_opening(sp_core *core, const sp_ask *ask, opening **ret_opening)
{
    uint32_t role = 0;
    opening *o = NULL;
    TRY(check_open(core, ask, &role));
    TRY(sp_alloc(1, sizeof(*o), &o));
    o->core = core;
    o->arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    uint64_t now_unix_s = now_s();
    o->g = (grant){.id = sp_random_u64() >> 4,
                   .ask = ask->id,
                   .person = ask->asker,
                   .role = role,
                   .sealed = ask->kind == SP_ASK_BREAK_GLASS,
                   .started_unix_s = now_unix_s,
                   .until_unix_s = now_unix_s + ask->duration_s,
                   .person_name = ask->asker_name,
                   .role_name = ask->role,
                   .reason = ask->reason,
                   .ticket = ask->ticket};
    o->ask = (sp_ask){
        .kind = ask->kind, .asker = ask->asker, .duration_s = ask->duration_s, .role = ask->role};
    sp_span *const texts[] = {&o->g.person_name, &o->g.role_name, &o->g.reason, &o->g.ticket,
                              &o->ask.role};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_err err = sp_arena_copy(&o->arena, *texts[i], texts[i]);
        if (sp_failed(err)) {
            opening_free(o);
            return err;
        }
    }
    *ret_opening = o;
    return sp_ok();
}

void sp_grant_open(sp_core *core, const sp_ask *ask)
{
    opening *o = NULL;
    sp_err err = make_opening(core, ask, &o);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the role %.*s was approved but is not given: %s",
               SP_SPAN_ARG(ask->role), sp_code_word(err.code));
        return;
    }
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = {.person = ask->asker, .person_name = ask->asker_name};
    grant_event(&o->g, o->g.sealed ? "emergency access opened" : "grant", ask->reason, &room,
                &event);
    sp_ledger_client_append(core->ledger, &event, on_opened, o);
}

/* ---- ending: never refused, so the ledger is told and not asked ---- */

static sp_err store_ended(sp_core *core, const grant *g, sp_span by, uint64_t now_unix_s)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(set_ended(core->store, g->id, by, now_unix_s));
    sp_err err = sp_roles_revoke(core->store, g->person, g->role);
    if (sp_failed(err) && err.code != SP_ENOTFOUND) { /* taken from him already */
        return err;
    }
    return sp_txn_commit(&txn);
}

static sp_err end_grant(sp_core *core, const grant *g, sp_event *event, sp_span by, sp_span why)
{
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    grant_event(g, g->sealed ? "emergency access ended" : "ungrant", why, &room, event);
    sp_ledger_client_tell(core->ledger, event);
    TRY(store_ended(core, g, by, now_s()));
    sp_sessions_refresh_person(core, g->person);
    publish(core, g);
    return sp_ok();
}

typedef struct {
    uint64_t ids[SP_ASKS_LISTED_MAX];
    size_t count;
} id_list;

static void list_over(sp_store *store, uint64_t now_unix_s, id_list *list)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM role_grant WHERE ended = 0 AND until <= $1 LIMIT 500");
    sp_bind_u64(&q, now_unix_s);
    while (list->count < SP_ASKS_LISTED_MAX && sp_query_row(&q)) {
        list->ids[list->count++] = sp_col_bits(&q);
    }
}

static uint64_t next_end(sp_store *store)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT until FROM role_grant WHERE ended = 0 ORDER BY until LIMIT 1");
    return sp_query_row(&q) ? sp_col_u64(&q) : UINT64_MAX;
}

uint64_t sp_grants_tick(sp_core *core, uint64_t now_unix_s)
{
    id_list list = {.count = 0};
    list_over(core->store, now_unix_s, &list);
    for (size_t i = 0; i < list.count; i++) {
        auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
        grant g;
        sp_err err = load_grant(core->store, &arena, list.ids[i], &g);
        if (!sp_failed(err)) {
            sp_event event = {.person = g.person, .person_name = g.person_name};
            err = end_grant(core, &g, &event, SP_SPAN_LIT("time"), SP_SPAN_LIT("its time is over"));
        }
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "a role that was given for a while cannot be taken back: %s",
                   sp_store_error_text(core->store));
            return now_unix_s + 1; /* again */
        }
    }
    return next_end(core->store);
}

sp_err sp_grants_agreed_by(sp_store *store, uint32_t person, uint32_t voter,
                           uint64_t ret_roles[SP_ROLE_WORDS])
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT g.role FROM role_grant g JOIN vote v ON v.ask = g.ask WHERE g.person = $1"
               " AND g.ended = 0 AND v.person = $2 AND v.yes = 1");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, voter);
    while (sp_query_row(&q)) {
        uint64_t role = sp_col_u64(&q);
        if (role < (uint64_t)SP_ROLE_WORDS * 64) {
            ret_roles[role / 64] |= UINT64_C(1) << (role % 64);
        }
    }
    return sp_query_finish(&q);
}

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
    sp_ask ask;
    if (err.code == SP_EDENIED) {
        sp_answer_problem(a->req, 409, "nobody_approves",
                          "There are not enough other people who could approve this.");
        return;
    }
    if (err.code == SP_ELIMIT) {
        sp_answer_problem(a->req, 409, "too_many_asks", "Too many of your requests wait already.");
        return;
    }
    if (!sp_failed(err)) {
        err = sp_ask_load(sp_request_core(a->req)->store, sp_request_arena(a->req), id, &ask);
    }
    if (sp_failed(err)) {
        sp_answer_failed(a->req, err);
    } else {
        sp_answer_json(a->req, 201, sp_ask_json(a->req, &ask, true));
    }
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
    if (request->sealed && note_is_due(core->store, session->person)) {
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
                      .approvers = request.approvers,
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

static json_t *grant_json(sp_request *req, const grant *g)
{
    json_t *out = json_object();
    bool own = g->person == sp_request_person(req);
    bool open = g->ended_unix_s == 0;
    json_object_set_new(out, "id", sp_ref_json(g->id));
    json_object_set_new(out, "approval", sp_ref_json(g->ask));
    json_object_set_new(out, "person", json_sprintf("%u", g->person));
    json_object_set_new(out, "name", sp_text_json(g->person_name));
    json_object_set_new(out, "role", sp_text_json(g->role_name));
    json_object_set_new(out, "sealed", json_boolean(g->sealed));
    json_object_set_new(out, "reason", sp_text_json(g->reason));
    json_object_set_new(out, "ticket", sp_text_json(g->ticket));
    json_object_set_new(out, "started_at", sp_json_time(g->started_unix_s));
    json_object_set_new(out, "until_at", sp_json_time(g->until_unix_s));
    json_object_set_new(out, "ended_at", sp_json_time(g->ended_unix_s));
    json_object_set_new(out, "ended_by", sp_text_json(g->ended_by));
    json_object_set_new(out, "note", sp_text_json(g->note));
    json_object_set_new(out, "note_due", json_boolean(g->sealed && !open && g->note.len == 0));
    json_object_set_new(out, "can_end",
                        json_boolean(open && (own || (sp_request_admin(req) & SP_WHO_SECURITY))));
    return out;
}

static void get_grants(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    bool all = (sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT)) != 0 &&
               sp_span_eq(sp_request_query(req, "all"), SP_SPAN_LIT("1"));
    json_t *items = json_array();
    auto_query sp_query q = sp_query_of(core->store, "SELECT " GRANT_COLUMNS
                                                     " FROM role_grant WHERE person = $1 OR $2 = 1"
                                                     " ORDER BY started DESC, id LIMIT 500");
    sp_bind_u64(&q, sp_request_person(req));
    sp_bind_u64(&q, all ? 1 : 0);
    while (sp_query_row(&q)) {
        grant g;
        if (sp_failed(read_grant(&q, sp_request_arena(req), &g))) {
            break;
        }
        json_array_append_new(items, grant_json(req, &g));
    }
    sp_err err = sp_query_finish(&q);
    if (sp_failed(err)) {
        json_decref(items);
        sp_answer_failed(req, err);
    } else {
        sp_answer_items(req, items);
    }
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
        json_object_set_new(title, "en",
                            sp_text_json(role.title_en.len > 0 ? role.title_en : role.name));
        json_object_set_new(title, "zh", sp_text_json(role.title_zh));
        json_object_set_new(one, "role", sp_text_json(role.name));
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

static bool need_grant(sp_request *req, grant *ret_grant)
{
    uint64_t id = 0;
    sp_err err = sp_ask_id_of(sp_request_param(req, 0), &id)
                     ? load_grant(sp_request_core(req)->store, sp_request_arena(req), id, ret_grant)
                     : sp_fail(SP_ENOTFOUND);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

/* The holder, a security administrator, or whoever could have approved it. */
static bool may_end(const sp_request *req, const grant *g)
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
    grant g;
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
    sp_err err = g.ended_unix_s != 0 ? sp_fail(SP_ENOTFOUND) : end_grant(core, &g, &event, by, why);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 409, "ended", "It has ended already.");
        return;
    }
    if (!sp_failed(err)) {
        err = load_grant(core->store, sp_request_arena(req), g.id, &g);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 200, grant_json(req, &g));
    }
}

typedef struct {
    grant g;
    sp_span note;
} noting;

static void go_note(sp_request *req, void *data)
{
    noting *n = data;
    sp_core *core = sp_request_core(req);
    sp_err err = set_note(core->store, n->g.id, n->note);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    n->g.note = n->note;
    publish(core, &n->g);
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
        sp_answer_problem(req, 409, "no_note_due",
                          "A closing note is written once, when emergency access has ended.");
        return;
    }
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    grant_event(&n->g, "emergency access noted", n->note, &room, &event);
    event.severity = SP_SEVERITY_MEDIUM;
    sp_request_record(req, &event, go_note, n);
}

/* Emergency access that is open, asked for, or not explained: what every security administrator's
 * page says above all else. */
static void get_alarms(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    json_t *items = json_array();
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT " GRANT_COLUMNS " FROM role_grant WHERE sealed = 1 AND"
                                 " (ended = 0 OR note = '') ORDER BY started DESC LIMIT 100");
    while (sp_query_row(&q)) {
        grant g;
        if (sp_failed(read_grant(&q, sp_request_arena(req), &g))) {
            break;
        }
        json_array_append_new(items, grant_json(req, &g));
    }
    sp_err err = sp_query_finish(&q);
    if (sp_failed(err)) {
        json_decref(items);
        sp_answer_failed(req, err);
    } else {
        sp_answer_items(req, items);
    }
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
