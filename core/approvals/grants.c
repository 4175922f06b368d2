/* SPDX-License-Identifier: Apache-2.0
 * Roles for a while, and emergency access: asked for, opened, ended, noted.
 * OWNS what waits for the ledger. PROCESS core. TRUST requests are hostile; what may be asked for
 * and who agrees is the policy's word. SPEC docs/api/openapi.yaml "/grants".
 */
#include "core/approvals/grants.h"
#include "core/documents/documents.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- rows ---- */

sp_err sp_grant_read(sp_query *q, sp_arena *arena, sp_grant *ret_grant)
{
    sp_grant g = {.id = sp_col_bits(q), .ask = sp_col_bits(q)};
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

sp_err sp_grant_load(sp_store *store, sp_arena *arena, uint64_t id, sp_grant *ret_grant)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " SP_GRANT_COLUMNS " FROM role_grant WHERE id = $1");
    sp_bind_bits(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(sp_grant_read(&q, arena, ret_grant));
    return sp_query_finish(&q);
}

static sp_err add_grant(sp_store *store, const sp_grant *g)
{
    auto_query sp_query q = sp_query_of(store, "INSERT INTO role_grant (" SP_GRANT_COLUMNS
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

sp_err sp_grant_note(sp_store *store, uint64_t id, sp_span note)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE role_grant SET note = $1 WHERE id = $2 AND note = ''");
    sp_bind_text(&q, note);
    sp_bind_bits(&q, id);
    return sp_query_finish_changed(&q);
}

bool sp_grant_is_open(sp_store *store, uint32_t person, uint32_t role)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM role_grant WHERE person = $1 AND role = $2 AND ended = 0");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, role);
    return sp_query_row(&q);
}

bool sp_grant_note_is_due(sp_store *store, uint32_t person)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM role_grant WHERE person = $1 AND sealed = 1 AND ended > 0"
               " AND note = ''");
    sp_bind_u64(&q, person);
    return sp_query_row(&q);
}

/* ---- events ---- */

void sp_grant_event(const sp_grant *g, const char *method, sp_span why, sp_buf *room,
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
void sp_grant_publish(sp_core *core, const sp_grant *g)
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
    sp_grant g;
} opening;

static sp_err check_open(sp_core *core, const sp_ask *ask, uint32_t *ret_role);

static void opening_free(opening *o)
{
    sp_arena_done(&o->arena);
    sp_free(o);
}

/* Once: what was opened meanwhile stays so. */
static sp_err store_opened(sp_core *core, const sp_grant *g)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_ask_row_use(core->store, g->ask, now_s()));
    TRY(sp_roles_grant(core->store, g->person, g->role));
    TRY(add_grant(core->store, g));
    return sp_txn_commit(&txn);
}

static const char NOT_GIVEN[] = "role not given"; /* in the ledger */

static void on_opened(void *self, sp_err err)
{
    opening *o = self;
    sp_core *core = o->core;
    uint32_t role = 0;
    bool has_begun = !sp_failed(err);
    if (has_begun) { /* while the ledger wrote, somebody may have locked or granted */
        err = check_open(core, &o->ask, &role);
    }
    if (!sp_failed(err)) {
        err = store_opened(core, &o->g);
    }
    if (sp_failed(err)) {
        sp_ask_give_up(core, &o->ask, NOT_GIVEN, has_begun, err);
    } else {
        sp_approvals *approvals = sp_approvals_of(core);
        if (approvals->grants_due_unix_s > o->g.until_unix_s) {
            approvals->grants_due_unix_s = o->g.until_unix_s;
        }
        sp_sessions_refresh_person(core, o->g.person);
        sp_grant_publish(core, &o->g);
    }
    opening_free(o);
}

/* The policy may have changed since he asked: what it says now counts. And whoever agreed and was
 * locked since had lost his account to somebody, or his office. */
static sp_err check_open(sp_core *core, const sp_ask *ask, uint32_t *ret_role)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_policy_request request;
    sp_person person;
    uint64_t roles[SP_ROLE_WORDS] = {0};
    sp_span one;
    sp_span other;
    if (set == NULL) {
        return sp_fail(SP_EAGAIN);
    }
    TRY(sp_policy_set_request(set, ask->role, &request));
    TRY(sp_people_get(core->store, ask->asker, &person));
    TRY(sp_roles_of(core->store, ask->asker, roles));
    bool sealed = ask->kind == SP_ASK_BREAK_GLASS;
    if (person.state != SP_PERSON_ACTIVE || sp_roles_hold(roles, request.number) ||
        !sp_policy_people_has(&request.who, ask->asker, roles) || request.sealed != sealed ||
        ask->duration_s > request.longest_s ||
        (sealed &&
         sp_grant_note_is_due(core->store, ask->asker))) { /* of another that he asked for */
        return sp_fail(SP_EDENIED);
    }
    TRY(sp_ask_is_met(core->store, ask));
    roles[request.number / 64] |= UINT64_C(1) << (request.number % 64);
    if (!sp_policy_set_roles_allowed(set, roles, &one, &other)) {
        return sp_fail(SP_EDENIED);
    }
    *ret_role = request.number;
    return sp_ok();
}

static sp_err make_opening(sp_core *core, uint64_t id, opening **ret_opening)
{
    uint32_t role = 0;
    opening *o = NULL;
    TRY(sp_alloc(1, sizeof(*o), &o));
    o->core = core;
    o->arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_err err = sp_ask_load(core->store, &o->arena, id, &o->ask);
    if (!sp_failed(err)) {
        err = check_open(core, &o->ask, &role);
    }
    if (sp_failed(err)) {
        opening_free(o);
        return err;
    }
    uint64_t now_unix_s = now_s();
    o->g = (sp_grant){.id = sp_random_u64() >> 4,
                      .ask = id,
                      .person = o->ask.asker,
                      .role = role,
                      .sealed = o->ask.kind == SP_ASK_BREAK_GLASS,
                      .started_unix_s = now_unix_s,
                      .until_unix_s = now_unix_s + o->ask.duration_s,
                      .person_name = o->ask.asker_name,
                      .role_name = o->ask.role,
                      .reason = o->ask.reason,
                      .ticket = o->ask.ticket};
    *ret_opening = o;
    return sp_ok();
}

void sp_grant_open(sp_core *core, const sp_ask *ask)
{
    opening *o = NULL;
    sp_err err = make_opening(core, ask->id, &o);
    if (sp_failed(err)) {
        sp_ask_give_up(core, ask, NOT_GIVEN, false, err);
        return;
    }
    auto_buf sp_buf room = sp_buf_make(SP_GRANT_DETAIL_BYTES);
    sp_event event = {.person = ask->asker, .person_name = ask->asker_name};
    sp_grant_event(&o->g, o->g.sealed ? "emergency access opened" : "grant", ask->reason, &room,
                   &event);
    sp_ledger_client_append(core->ledger, &event, on_opened, o);
}

/* ---- ending: never refused, so the ledger is told and not asked ---- */

static sp_err store_ended(sp_core *core, const sp_grant *g, sp_span by, uint64_t now_unix_s)
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

/* Its place, of 0 a free one; NULL = none. */
static sp_unstored *unstored_of(sp_approvals *approvals, uint64_t grant)
{
    sp_unstored *at = approvals->unstored;
    while (at < approvals->unstored + SP_UNSTORED_MAX && at->grant != grant) {
        at++;
    }
    return at < approvals->unstored + SP_UNSTORED_MAX ? at : NULL;
}

static void is_there(void *self, const sp_session_view *view)
{
    (void)view;
    *(bool *)self = true;
}

/* Sessions take their roles from the store, which has this one still: they end. */
static void end_without_store(sp_core *core, const sp_grant *g, sp_span by, bool is_first)
{
    bool is_signed_in = is_first; /* or about to be */
    sp_unstored *at = is_first ? unstored_of(sp_approvals_of(core), 0) : NULL;
    if (at != NULL) {
        at->grant = g->id;
        SP_IGNORE(sp_fit(at->by, sizeof(at->by), by)); /* a name fits; it is only shown */
    }
    if (is_first) {
        sp_log(SP_LOG_ERROR,
               "that a role has ended cannot be stored, who held it is signed out: %s",
               sp_store_error_text(core->store));
    }
    sp_sessions_each(core, g->person, is_there, &is_signed_in);
    if (is_signed_in) {
        sp_sessions_end_person(core, g->person, 0, SP_END_PERSON, 0);
    }
}

sp_err sp_grant_end(sp_core *core, const sp_grant *g, sp_event *event, sp_span by, sp_span why)
{
    auto_buf sp_buf room = sp_buf_make(SP_GRANT_DETAIL_BYTES);
    sp_unstored *before = unstored_of(sp_approvals_of(core), g->id);
    if (before == NULL) {
        sp_grant_event(g, g->sealed ? "emergency access ended" : "ungrant", why, &room, event);
        sp_ledger_client_tell(core->ledger, event);
    }
    sp_err err = store_ended(core, g, by, now_s());
    if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        end_without_store(core, g, by, before == NULL);
        return err;
    }
    if (before != NULL) {
        before->grant = 0;
    }
    TRY(err);
    sp_sessions_refresh_person(core, g->person);
    sp_grant_publish(core, g);
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

static sp_err end_one(sp_core *core, uint64_t id, sp_span by)
{
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_grant g;
    TRY(sp_grant_load(core->store, &arena, id, &g));
    sp_event event = {.person = g.person, .person_name = g.person_name};
    return sp_grant_end(core, &g, &event, by, SP_SPAN_LIT("its time is over"));
}

uint64_t sp_grants_tick(sp_core *core, uint64_t now_unix_s)
{
    sp_approvals *approvals = sp_approvals_of(core);
    id_list list = {.count = 0};
    bool again = false;
    for (size_t i = 0; i < SP_UNSTORED_MAX; i++) {
        const sp_unstored at = approvals->unstored[i];
        again |= at.grant != 0 && sp_failed(end_one(core, at.grant, sp_span_cstr(at.by)));
    }
    list_over(core->store, now_unix_s, &list);
    for (size_t i = 0; i < list.count; i++) {
        again |= unstored_of(approvals, list.ids[i]) == NULL &&
                 sp_failed(end_one(core, list.ids[i], SP_SPAN_LIT("time")));
    }
    return again ? now_unix_s + 1 : next_end(core->store);
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
