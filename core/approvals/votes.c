/* SPDX-License-Identifier: Apache-2.0
 * Seeing asks, approving and refusing them.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; who may vote is the policy's word, kept
 * with the ask, and never the asker himself. SPEC docs/api/openapi.yaml "/approvals".
 */
#include "core/approvals/inside.h"
#include "infra/proc/clock.h"

enum { DETAIL_ROOM_BYTES = 4096 };

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- who ---- */

/* Of these sets, those whose rule allows the device; a browser without a certificate of ours is
 * unknown. */
static uint32_t with_device(sp_request *req, const sp_ask *ask, uint32_t sets)
{
    sp_live_device device = {0};
    uint32_t slot = SP_NONE;
    uint32_t fit = 0;
    bool known = sp_request_device(req, &device, &slot);
    if (known && device.state != SP_DEVICE_ACTIVE) {
        return 0;
    }
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        bool fits = sp_policy_approvers_device(
            &ask->approvers[i], known ? (sp_owner)device.owner : SP_OWNER_UNKNOWN,
            known ? (sp_posture)device.posture : SP_POSTURE_UNKNOWN,
            (sp_strength)sp_request_session(req)->strength);
        fit |= fits ? 1U << i : 0;
    }
    return sets & fit;
}

static uint32_t sets_of(const sp_request *req, const sp_ask *ask)
{
    const sp_live_session *session = sp_request_session(req);
    return session == NULL ? 0 : sp_ask_sets_of(ask, session->person, session->roles);
}

/* A role that somebody has for a while because the asker agreed to it makes nobody his approver:
 * with an accomplice he would approve himself. */
static uint32_t sets_without(sp_request *req, const sp_ask *ask)
{
    const sp_live_session *session = sp_request_session(req);
    uint64_t roles[SP_ROLE_WORDS] = {0};
    if (sp_failed(
            sp_grants_agreed_by(sp_request_core(req)->store, session->person, ask->asker, roles))) {
        return 0;
    }
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        roles[w] = session->roles[w] & ~roles[w];
    }
    return sp_ask_sets_of(ask, session->person, roles);
}

sp_vote_right sp_vote_right_of(sp_request *req, const sp_ask *ask)
{
    if (sp_request_person(req) == ask->asker) {
        return (sp_vote_right){0, "own_request",
                               "You asked for this yourself: other people have to approve it."};
    }
    uint32_t destroyer = 0;
    if (sp_failed(sp_undo_destroyer(sp_request_core(req)->store, ask, &destroyer))) {
        return (sp_vote_right){0, "unavailable", "Whose work it is cannot be looked up now."};
    }
    if (sp_request_person(req) == destroyer) {
        return (sp_vote_right){0, "own_request",
                               "What you destroyed is for others to give back: you have no vote on "
                               "its undo."};
    }
    if (sp_erase_is_about(ask, sp_request_person(req))) {
        return (sp_vote_right){0, "own_entries",
                               "What is written of you is for others to take out."};
    }
    if (sets_of(req, ask) == 0) {
        return (sp_vote_right){0, "not_approver", "The policy names other people to approve this."};
    }
    uint32_t sets = sets_without(req, ask);
    if (sets == 0) {
        return (sp_vote_right){0, "asker_agreed",
                               "You hold the role that approves this because who asks agreed to "
                               "it: other people have to approve it."};
    }
    if (ask->state != SP_ASK_WAITING || ask->expires_unix_s <= now_s()) {
        return (sp_vote_right){0, "not_waiting", "This does not wait for approval any more."};
    }
    if (sp_vote_given(sp_request_core(req)->store, ask->id, sp_request_person(req))) {
        return (sp_vote_right){0, "voted", "You have answered already."};
    }
    sets = with_device(req, ask, sets);
    if (sets == 0) {
        return (sp_vote_right){0, "device",
                               "The rule asks for another device or a stronger sign-in of whoever "
                               "approves."};
    }
    return (sp_vote_right){sets, NULL, NULL};
}

bool sp_ask_visible(const sp_request *req, const sp_ask *ask)
{
    unsigned admin = sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT);
    return admin != 0 || sp_request_person(req) == ask->asker || sets_of(req, ask) != 0;
}

/* ---- reading ---- */

typedef struct {
    sp_request *req;
    json_t *items;
} listing;

static bool add_ask(void *self, uint64_t id)
{
    listing *list = self;
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_ask ask;
    if (!sp_failed(sp_ask_load(sp_request_core(list->req)->store, &arena, id, &ask)) &&
        sp_ask_visible(list->req, &ask)) {
        json_array_append_new(list->items, sp_ask_json(list->req, &ask, false));
    }
    return json_array_size(list->items) < SP_ASKS_LISTED_MAX;
}

static bool state_of(sp_span word, sp_ask_state *ret_state)
{
    *ret_state = SP_ASK_STATE_COUNT;
    if (word.len == 0 || sp_span_eq(word, SP_SPAN_LIT("all"))) {
        return true;
    }
    for (sp_ask_state state = SP_ASK_WAITING; state < SP_ASK_STATE_COUNT; state++) {
        if (sp_span_eq(word, sp_span_cstr(sp_ask_state_word(state)))) {
            *ret_state = state;
            return true;
        }
    }
    return false;
}

static void get_asks(sp_request *req)
{
    listing list = {req, json_array()};
    sp_ask_state state = SP_ASK_STATE_COUNT;
    if (!state_of(sp_request_query(req, "state"), &state)) {
        json_decref(list.items);
        sp_answer_invalid(req, "state",
                          "waiting, approved, refused, expired, withdrawn, used or all");
        return;
    }
    bool mine = sp_span_eq(sp_request_query(req, "mine"), SP_SPAN_LIT("1"));
    sp_err err = sp_asks_each(sp_request_core(req)->store, state, mine ? sp_request_person(req) : 0,
                              add_ask, &list);
    if (sp_failed(err)) {
        json_decref(list.items);
        sp_answer_failed(req, err);
    } else {
        sp_answer_items(req, list.items);
    }
}

/* The ask of the path, if the asker may see it; else it has been answered. */
static sp_ask *need_ask(sp_request *req)
{
    sp_ask *ask = NULL;
    uint64_t id = 0;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*ask), &ask);
    if (!sp_failed(err)) {
        err = sp_ask_id_of(sp_request_param(req, 0), &id)
                  ? sp_ask_load(sp_request_core(req)->store, sp_request_arena(req), id, ask)
                  : sp_fail(SP_ENOTFOUND);
    }
    if (!sp_failed(err) && !sp_ask_visible(req, ask)) {
        err = sp_fail(SP_ENOTFOUND);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    return ask;
}

static void get_ask(sp_request *req)
{
    const sp_ask *ask = need_ask(req);
    if (ask != NULL) {
        sp_answer_json(req, 200, sp_ask_json(req, ask, true));
    }
}

/* ---- voting ---- */

typedef struct {
    sp_ask *ask;
    sp_span reason;
    bool yes;
} voting;

static void answer_ask(sp_request *req, uint64_t id)
{
    sp_ask ask;
    sp_err err = sp_ask_load(sp_request_core(req)->store, sp_request_arena(req), id, &ask);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 200, sp_ask_json(req, &ask, true));
    }
}

void sp_ask_answer(sp_request *req, const sp_ask *asked, sp_err err, uint64_t id)
{
    sp_store *store = sp_request_core(req)->store;
    if (err.code == SP_EDENIED) {
        sp_answer_problem(req, 409, "nobody_approves",
                          "There are not enough other people who could approve this.");
    } else if (err.code == SP_ELIMIT &&
               sp_asks_of_day(store, asked->asker, asked->kind, now_s()) >= SP_ASKS_DAY_MAX) {
        sp_answer_problem(req, 409, "asks_of_day",
                          "You have asked %d times for such things within a day.", SP_ASKS_DAY_MAX);
    } else if (err.code == SP_ELIMIT) {
        sp_answer_problem(req, 409, "too_many_asks", "Too many of your requests wait already.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_ask ask;
        err = sp_ask_load(store, sp_request_arena(req), id, &ask);
        if (sp_failed(err)) {
            sp_answer_failed(req, err);
        } else {
            sp_answer_json(req, 201, sp_ask_json(req, &ask, true));
        }
    }
}

static sp_err take_vote(sp_core *core, const voting *v, const sp_vote *vote)
{
    bool decided = false;
    TRY(sp_ask_row_vote(core->store, v->ask, vote, &decided));
    if (!decided) {
        sp_approvals_changed(core, v->ask);
        return sp_fail(SP_EAGAIN);
    }
    return sp_ok();
}

static void go_vote(sp_request *req, void *data)
{
    const voting *v = data;
    sp_core *core = sp_request_core(req);
    sp_vote_right right = sp_vote_right_of(req, v->ask); /* his roles may be others by now */
    if (right.sets == 0) {
        sp_answer_problem(req, 409, right.code, "%s", right.why);
        return;
    }
    sp_vote vote = {.person = sp_request_person(req),
                    .yes = v->yes,
                    .sets = right.sets,
                    .when_unix_s = now_s(),
                    .name = sp_span_cstr(sp_request_session(req)->person_name),
                    .reason = v->reason};
    sp_err err = take_vote(core, v, &vote);
    if (!sp_failed(err)) {
        sp_ask_decided(core, v->ask->id);
    } else if (err.code == SP_ECONFLICT || err.code == SP_EEXISTS) {
        sp_answer_problem(req, 409, "not_waiting", "This does not wait for approval any more.");
        return;
    } else if (err.code != SP_EAGAIN) {
        sp_answer_failed(req, err);
        return;
    }
    answer_ask(req, v->ask->id);
}

/* What he saw is what he approves: the hash of the bytes comes back with the vote. */
static bool saw_it(sp_request *req, const sp_ask *ask, sp_span sha256)
{
    auto_buf sp_buf hash = sp_buf_make(2 * SP_SHA256_BYTES);
    sp_buf_hex(&hash, sp_hash_borrow(&ask->sha256));
    if (sp_span_eq(sha256, sp_buf_borrow(&hash))) {
        return true;
    }
    sp_answer_problem(req, 409, "other_bytes",
                      "The SHA-256 is not that of what is asked. Look again before you answer.");
    return false;
}

static void vote(sp_request *req, bool yes)
{
    voting *v = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*v), &v))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    v->yes = yes;
    sp_span sha256 = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("sha256", &sha256, 64, 64),
                               SP_FIELD_TEXT_OPT("reason", &v->reason, 0, SP_ASK_REASON_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || (v->ask = need_ask(req)) == NULL ||
        !saw_it(req, v->ask, sha256)) {
        return;
    }
    sp_vote_right right = sp_vote_right_of(req, v->ask);
    if (right.sets == 0) {
        sp_answer_problem(req, 409, right.code, "%s", right.why);
        return;
    }
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = sp_request_event(req, SP_EVENT_APPROVAL);
    uint32_t approvals = sp_votes_count(sp_request_core(req)->store, v->ask->id, SP_SETS_ALL);
    sp_ask_event(v->ask, yes ? "approved" : "refused", approvals + (yes ? 1 : 0), v->reason, &room,
                 &event);
    event.verdict = yes ? SP_VERDICT_ALLOW : SP_VERDICT_DENY;
    sp_request_record(req, &event, go_vote, v);
}

static void post_approve(sp_request *req)
{
    vote(req, true);
}

static void post_refuse(sp_request *req)
{
    vote(req, false);
}

static void post_withdraw(sp_request *req)
{
    const sp_ask *ask = need_ask(req);
    if (ask == NULL) {
        return;
    }
    if (ask->asker != sp_request_person(req) || ask->state != SP_ASK_WAITING) {
        sp_answer_problem(req, 409, "not_waiting",
                          "Only who asked withdraws it, and only while it waits.");
        return;
    }
    sp_approvals_drop(sp_request_core(req), ask->id, ask->session);
    answer_ask(req, ask->id);
}

sp_err sp_votes_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/approvals", SP_WHO_PERSON, get_asks, 0},
        {"GET", "/api/v1/approvals/{id}", SP_WHO_PERSON, get_ask, 0},
        {"POST", "/api/v1/approvals/{id}/approve", SP_WHO_PERSON | SP_WHO_FRESH, post_approve, 0},
        {"POST", "/api/v1/approvals/{id}/refuse", SP_WHO_PERSON | SP_WHO_FRESH, post_refuse, 0},
        {"POST", "/api/v1/approvals/{id}/withdraw", SP_WHO_PERSON, post_withdraw, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
