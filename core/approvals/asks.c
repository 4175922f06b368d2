/* SPDX-License-Identifier: Apache-2.0
 * The life of an ask: asked, decided, used, expired; each step on the ledger before it holds.
 * OWNS what waits for the ledger. PROCESS core. TRUST see approvals.h. SPEC
 * core/approvals/README.md.
 *
 * The ledger answers later, so every step looks at the row again when it takes effect: what changed
 * meanwhile wins, and the step fails.
 */
#include "core/approvals/inside.h"
#include "core/clock.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/sessions/sessions.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum {
    TICK_MS = 50,
    REVIEW_TICKS = 600,
    LEFT_TICKS = 3,       /* the lines to ledger and keeper are up by then */
    KEPT_S = 400 * 86400, /* decided asks; the ledger has them for as long as it keeps entries */
    ID_BITS = 60,
    DETAIL_ROOM_BYTES = 4096 /* for the longest reason and ticket, six bytes of JSON for each */
};

const char *sp_ask_kind_word(sp_ask_kind kind)
{
    static const char *const words[] = {"statement", "command", "grant", "break-glass",
                                        "undo",      "erasure", "beside"};
    _Static_assert(SP_COUNT(words) == SP_ASK_KIND_COUNT, "a word for each kind");
    return words[kind];
}

const char *sp_ask_state_word(sp_ask_state state)
{
    static const char *const words[] = {"waiting", "approved",  "refused",
                                        "expired", "withdrawn", "used"};
    _Static_assert(SP_COUNT(words) == SP_ASK_STATE_COUNT, "a word for each state");
    return words[state];
}

bool sp_ask_id_of(sp_span text, uint64_t *ret_id)
{
    return !sp_failed(sp_reference_of(text, ret_id));
}

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- events ---- */

static uint8_t severity_of(const sp_ask *ask)
{
    if (ask->kind == SP_ASK_BREAK_GLASS) {
        return SP_SEVERITY_CRITICAL;
    }
    return ask->kind == SP_ASK_GRANT ? SP_SEVERITY_MEDIUM : SP_SEVERITY_HIGH;
}

static void put_member(sp_buf *out, const char *key, sp_span text)
{
    if (text.len > 0) {
        sp_buf_fmt(out, ",\"%s\":", key);
        sp_buf_json(out, text);
    }
}

void sp_ask_event(const sp_ask *ask, const char *method, uint32_t approvals, sp_span reason,
                  sp_buf *room, sp_event *event)
{
    char id[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(ask->id, id);
    sp_buf_reset(room);
    sp_buf_fmt(room, "{\"ask\":\"%s\",\"kind\":\"%s\",\"asker\":", id, sp_ask_kind_word(ask->kind));
    sp_buf_json(room, ask->asker_name);
    sp_buf_text(room, ",\"sha256\":\"");
    sp_buf_hex(room, sp_hash_borrow(&ask->sha256));
    sp_buf_fmt(room, "\",\"needed\":%u,\"approvals\":%u,\"estimated_rows\":%llu",
               sp_ask_needed(ask), approvals, (unsigned long long)ask->rows);
    if (ask->rules.len > 0) {
        sp_buf_text(room, ",\"rules\":");
        sp_buf_span(room, ask->rules);
    }
    put_member(room, "database", ask->database);
    put_member(room, "role", ask->role);
    put_member(room, "reason", reason);
    put_member(room, "ticket", ask->ticket);
    sp_buf_byte(room, '}');
    event->when_unix_us = event->when_unix_us != 0 ? event->when_unix_us : sp_now_unix_us();
    event->kind = SP_EVENT_APPROVAL;
    event->severity = severity_of(ask);
    event->reference = ask->reference;
    event->gate = (uint8_t)sp_ask_gate(ask->kind);
    event->action = ask->action;
    event->class_level = ask->class_level;
    event->class_name = ask->class_name;
    event->resource = ask->resource;
    event->rule = ask->rule;
    event->method = sp_span_cstr(method);
    event->object = ask->role.len > 0 ? ask->role : ask->content;
    event->detail = sp_failed(sp_buf_error(room)) ? SP_SPAN_EMPTY : sp_buf_borrow(room);
}

static sp_event event_of_asker(const sp_ask *ask)
{
    return (sp_event){.person = ask->asker,
                      .session = ask->session,
                      .person_name = ask->asker_name,
                      .verdict = SP_VERDICT_ASK,
                      .reason = SP_REASON_APPROVAL};
}

/* For what cannot be refused: time passed, the asker went away. */
static void tell(sp_core *core, const sp_ask *ask, const char *method, sp_span reason)
{
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = event_of_asker(ask);
    event.verdict = SP_VERDICT_DENY;
    sp_ask_event(ask, method, sp_votes_count(core->store, ask->id, SP_SETS_ALL), reason, &room,
                 &event);
    sp_ledger_client_tell(core->ledger, &event);
}

void sp_ask_record_use(sp_core *core, const sp_ask *ask, sp_on_recorded on_recorded, void *self)
{
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = event_of_asker(ask);
    event.verdict = SP_VERDICT_ALLOW;
    sp_ask_event(ask, "used", sp_votes_count(core->store, ask->id, SP_SETS_ALL), SP_SPAN_EMPTY,
                 &room, &event);
    sp_ledger_client_append(core->ledger, &event, on_recorded, self);
}

void sp_approvals_changed(sp_core *core, const sp_ask *ask)
{
    bool alarm = ask->kind == SP_ASK_BREAK_GLASS;
    sp_sse_publish(core, SP_TOPIC_APPROVALS, 0, "approvals",
                   json_pack("{s:s, s:b}", "kind", sp_ask_kind_word(ask->kind), "alarm", alarm));
}

/* ---- asking ---- */

typedef struct {
    sp_core *core;
    sp_arena arena;
    sp_ask ask;
    sp_on_asked asked;
    sp_on_used used;
    void *self;
} step;

static void step_free(step *s)
{
    sp_arena_done(&s->arena);
    sp_free(s);
}

static sp_err copy_ask(sp_arena *arena, const sp_ask *from, sp_ask *to)
{
    *to = *from;
    sp_span *const texts[] = {&to->asker_name, &to->resource,   &to->database, &to->class_name,
                              &to->rule,       &to->role,       &to->content,  &to->objects,
                              &to->plan,       &to->dependants, &to->reason,   &to->ticket,
                              &to->ended_by,   &to->verbs,      &to->rules};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(arena, *texts[i], texts[i]));
    }
    return sp_ok();
}

static sp_err step_new(sp_core *core, void *self, step **ret_step)
{
    step *s = NULL;
    TRY(sp_alloc(1, sizeof(*s), &s));
    s->core = core;
    s->arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    s->self = self;
    *ret_step = s;
    return sp_ok();
}

static bool count_one(void *self, uint64_t id)
{
    (void)id;
    ++*(unsigned *)self;
    return true;
}

static const char *kind_in_chinese(sp_ask_kind kind)
{
    static const char *const words[] = {"语句",     "命令",         "临时角色",    "应急访问",
                                        "撤销恢复", "删除账本条目", "另存保留的行"};
    _Static_assert(SP_COUNT(words) == SP_ASK_KIND_COUNT, "a word for each kind");
    return words[kind];
}

/* Who may agree to it is told, of a few a minute: else asking and withdrawing would flood them. Not
 * what would run: that is for the console, a chat is outside. */
static void tell_approvers(sp_core *core, const sp_ask *ask)
{
    enum { TOLD_A_MINUTE = 5, MINUTE_S = 60 };
    if (sp_asks_since(core->store, ask->asker, now_s() - MINUTE_S) > TOLD_A_MINUTE) {
        return; /* they have heard of him */
    }
    auto_buf sp_buf audience = sp_buf_make(32);
    auto_buf sp_buf count = sp_buf_make(32);
    auto_buf sp_buf what = sp_buf_make(512);
    auto_buf sp_buf what_zh = sp_buf_make(512);
    sp_span target = ask->resource.len > 0 ? ask->resource : ask->role;
    unsigned waiting = 0;
    SP_IGNORE(sp_asks_each(core->store, SP_ASK_WAITING, ask->asker, count_one, &waiting));
    sp_buf_fmt(&audience, "ask %llu", (unsigned long long)ask->id);
    sp_buf_fmt(&count, "%u", waiting);
    sp_buf_fmt(&what, "%.*s: %s %.*s", SP_SPAN_ARG(ask->asker_name),
               sp_ask_kind_word((sp_ask_kind)ask->kind), SP_SPAN_ARG(target));
    sp_buf_fmt(&what_zh, "%.*s：%s %.*s", SP_SPAN_ARG(ask->asker_name),
               kind_in_chinese((sp_ask_kind)ask->kind), SP_SPAN_ARG(target));
    const sp_notice_pair values[] = {{SP_SPAN_LIT("count"), sp_buf_borrow(&count)},
                                     {SP_SPAN_LIT("oldest"), sp_buf_borrow(&what)},
                                     {SP_SPAN_LIT("oldest_zh"), sp_buf_borrow(&what_zh)}};
    const sp_notice_ask told = {.notice = SP_SPAN_LIT("approvals-waiting"),
                                .audience = sp_buf_borrow(&audience),
                                .values = values,
                                .values_count = SP_COUNT(values),
                                .by = ask->asker_name};
    sp_notices_tell(core, &told);
}

/* Else he fills the store: rows are kept for long. */
static sp_err has_room(sp_core *core, const sp_ask *ask)
{
    unsigned waiting = 0;
    TRY(sp_asks_each(core->store, SP_ASK_WAITING, ask->asker, count_one, &waiting));
    bool fits = waiting < SP_ASKS_WAITING_MAX &&
                sp_asks_of_day(core->store, ask->asker, ask->kind, now_s()) < SP_ASKS_DAY_MAX;
    return fits ? sp_ok() : sp_fail(SP_ELIMIT);
}

/* Others that he asked for at once may be stored by now. */
static sp_err store_asked(sp_core *core, const sp_ask *ask)
{
    TRY(has_room(core, ask));
    return sp_ask_row_add(core->store, ask);
}

static void follow_asked(sp_core *core, const sp_ask *ask)
{
    sp_approvals_changed(core, ask);
    tell_approvers(core, ask);
    if (sp_asks_of_day(core->store, ask->asker, ask->kind, now_s()) == SP_ASKS_DAY_MAX) {
        tell(core, ask, "asked as often as one may", SP_SPAN_LIT("more in this day are refused"));
    }
    if (ask->kind == SP_ASK_STATEMENT) {
        sp_keeps_estimate(core, ask);
    }
}

static void on_asked(void *self, sp_err err)
{
    step *s = self;
    bool is_recorded = !sp_failed(err);
    if (is_recorded) {
        err = store_asked(s->core, &s->ask);
    }
    if (!sp_failed(err)) {
        follow_asked(s->core, &s->ask);
    } else if (is_recorded) {
        tell(s->core, &s->ask, "not taken", sp_span_cstr(sp_code_word(err.code)));
    }
    s->asked(s->self, err, s->ask.id);
    step_free(s);
}

typedef struct {
    sp_store *store;
    const sp_ask *ask;
    uint32_t without; /* who has no vote, besides the asker */
    uint32_t found[SP_ASKS_MAX];
} looking;

static void count_approver(void *self, const sp_person *person)
{
    looking *look = self;
    uint64_t roles[SP_ROLE_WORDS] = {0};
    if (person->state != SP_PERSON_ACTIVE || person->id == look->without ||
        sp_failed(sp_roles_of(look->store, person->id, roles))) {
        return;
    }
    uint32_t sets = sp_ask_sets_of(look->ask, person->id, roles);
    for (uint8_t i = 0; i < look->ask->approvers_count; i++) {
        look->found[i] += sets >> i & 1;
    }
}

/* Where whoever destroyed has no vote and too few others are left, security administrators may
 * agree to the undo as well. */
static sp_err widen(sp_core *core, sp_ask *ask, looking *look)
{
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        if (look->found[i] < ask->approvers[i].needed) {
            ask->approvers[i].by.roles[SP_ROLE_NR_SECURITY / 64] |= UINT64_C(1)
                                                                    << (SP_ROLE_NR_SECURITY % 64);
        }
    }
    *look = (looking){look->store, look->ask, look->without, {0}};
    return sp_people_each(core->store, count_approver, look);
}

/* May widen whose approval it needs. */
static sp_err check_new(sp_core *core, sp_ask *ask)
{
    looking look = {core->store, ask, 0, {0}};
    TRY(sp_undo_destroyer(core->store, ask, &look.without));
    TRY(sp_people_each(core->store, count_approver, &look));
    if (sp_ask_is_of_keep(ask->kind)) {
        TRY(widen(core, ask, &look));
    }
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        if (ask->approvers[i].needed == 0 || look.found[i] < ask->approvers[i].needed) {
            return sp_fail(SP_EDENIED);
        }
    }
    return has_room(core, ask);
}

static sp_err begin_ask(sp_core *core, const sp_ask *fresh, sp_on_asked then, void *self,
                        step **ret_step)
{
    sp_ask checked = *fresh;
    TRY(check_new(core, &checked));
    step *s = NULL;
    TRY(step_new(core, self, &s));
    s->asked = then;
    sp_err err = copy_ask(&s->arena, &checked, &s->ask);
    if (sp_failed(err)) {
        step_free(s);
        return err;
    }
    s->ask.id = sp_random_u64() >> (64 - ID_BITS);
    s->ask.state = SP_ASK_WAITING;
    s->ask.created_unix_s = now_s();
    s->ask.expires_unix_s = s->ask.created_unix_s + sp_ask_expires_s(fresh);
    *ret_step = s;
    return sp_ok();
}

void sp_approvals_ask(sp_core *core, const sp_ask *fresh, sp_on_asked then, void *self)
{
    step *s = NULL;
    sp_err err = begin_ask(core, fresh, then, self, &s);
    if (sp_failed(err)) {
        then(self, err, 0);
        return;
    }
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = event_of_asker(&s->ask);
    sp_ask_event(&s->ask, "asked", 0, s->ask.reason, &room, &event);
    sp_ledger_client_append(core->ledger, &event, on_asked, s);
}

/* ---- using ---- */

static bool fits(const sp_ask *ask, uint64_t session, const sp_hash *sha256)
{
    return ask->state == SP_ASK_APPROVED && ask->session == session &&
           ask->expires_unix_s > now_s() && sp_hash_eq(&ask->sha256, sha256);
}

static bool is_over(sp_core *core, const sp_ask *ask, uint64_t now_unix_s);

static void on_used(void *self, sp_err err)
{
    step *s = self;
    if (!sp_failed(err)) { /* while the ledger wrote, somebody may have been locked */
        err = is_over(s->core, &s->ask, now_s()) ? sp_fail(SP_EDENIED)
                                                 : sp_ask_is_met(s->core->store, &s->ask);
    }
    if (!sp_failed(err)) {
        err = sp_ask_row_state(s->core->store, s->ask.id, SP_ASK_APPROVED, SP_ASK_USED,
                               s->ask.asker_name, now_s());
        err = err.code == SP_ECONFLICT ? sp_fail(SP_EDENIED) : err;
    }
    if (!sp_failed(err)) {
        sp_approvals_changed(s->core, &s->ask);
    }
    s->used(s->self, err);
    step_free(s);
}

static sp_err begin_use(step *s, uint64_t id, uint64_t session, const sp_hash *sha256)
{
    sp_err err = sp_ask_load(s->core->store, &s->arena, id, &s->ask);
    if (err.code == SP_ENOTFOUND) {
        return sp_fail(SP_EDENIED);
    }
    TRY(err);
    /* whoever agreed and was locked since had lost his account to somebody, or his office */
    TRY(sp_ask_is_met(s->core->store, &s->ask));
    return fits(&s->ask, session, sha256) ? sp_ok() : sp_fail(SP_EDENIED);
}

void sp_approvals_use(sp_core *core, uint64_t id, uint64_t session, const sp_hash *sha256,
                      sp_on_used then, void *self)
{
    step *s = NULL;
    sp_err err = step_new(core, self, &s);
    if (sp_failed(err)) {
        then(self, err);
        return;
    }
    s->used = then;
    err = begin_use(s, id, session, sha256);
    if (sp_failed(err)) {
        step_free(s);
        then(self, err);
        return;
    }
    sp_ask_record_use(core, &s->ask, on_used, s);
}

sp_err sp_ask_carried_out(sp_core *core, uint64_t id)
{
    return sp_ask_row_state(core->store, id, SP_ASK_APPROVED, SP_ASK_USED, SP_SPAN_LIT("core"),
                            now_s());
}

bool sp_ask_put_off(sp_core *core, uint64_t id)
{
    sp_approvals *approvals = sp_approvals_of(core);
    return approvals != NULL && sp_again_later(&approvals->again, id, sp_now_steady_us());
}

void sp_ask_give_up(sp_core *core, const sp_ask *ask, const char *method, bool has_begun,
                    sp_err err)
{
    bool over = sp_again_is_for_good(err.code);
    sp_log(SP_LOG_WARN, "what was approved is not carried out (%s): %s", method,
           sp_code_word(err.code));
    if (!over && !sp_ask_put_off(core, ask->id) && !has_begun) {
        return; /* that was told when it was put off first */
    }
    sp_err stored = over ? sp_ask_row_state(core->store, ask->id, SP_ASK_APPROVED, SP_ASK_EXPIRED,
                                            SP_SPAN_LIT("core"), now_s())
                         : sp_ok();
    if (stored.code == SP_ECONFLICT) {
        return; /* something else became of it */
    }
    if (sp_failed(stored)) {
        sp_log(SP_LOG_ERROR, "that it is over cannot be stored: %s",
               sp_store_error_text(core->store));
    }
    tell(core, ask, method, sp_span_cstr(sp_code_word(err.code)));
    sp_approvals_changed(core, ask);
}

void sp_approvals_drop(sp_core *core, uint64_t id, uint64_t session)
{
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_ask ask;
    if (sp_failed(sp_ask_load(core->store, &arena, id, &ask)) || ask.session != session ||
        ask.state > SP_ASK_APPROVED) {
        return;
    }
    if (!sp_failed(sp_ask_row_state(core->store, id, ask.state, SP_ASK_DROPPED, ask.asker_name,
                                    now_s()))) {
        tell(core, &ask, "withdrawn", SP_SPAN_EMPTY);
        sp_ask_decided(core, id);
    }
}

/* ---- decided ---- */

/* The ledger has that it begins before it does: so where it was tried before, first whether the
 * store would take it. */
static bool is_taken(sp_core *core, const sp_ask *ask)
{
    sp_err err = sp_ask_row_try(core->store, ask->id);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "what was approved waits: the store takes nothing (%s)",
               sp_code_word(err.code));
        sp_ask_put_off(core, ask->id);
    }
    return !sp_failed(err);
}

static void carry_out(sp_core *core, const sp_ask *ask, bool again)
{
    if (again && !is_taken(core, ask)) {
        return;
    }
    switch ((sp_ask_kind)ask->kind) {
    case SP_ASK_GRANT:
    case SP_ASK_BREAK_GLASS:
        sp_grant_open(core, ask);
        return;
    case SP_ASK_UNDO:
    case SP_ASK_BESIDE:
        sp_keeps_undo(core, ask);
        return;
    case SP_ASK_ERASURE:
        sp_erasure_go(core, ask, again);
        return;
    case SP_ASK_STATEMENT:
    case SP_ASK_COMMAND:
    case SP_ASK_KIND_COUNT:
        return;
    }
}

void sp_ask_decided(sp_core *core, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_ask ask;
    if (sp_failed(sp_ask_load(core->store, &arena, id, &ask))) {
        return;
    }
    sp_approvals_changed(core, &ask);
    if (sp_ask_gate((sp_ask_kind)ask.kind) != SP_GATE_NONE) {
        sp_ask_push_done(core, &ask);
    } else if (ask.state == SP_ASK_APPROVED) {
        carry_out(core, &ask, false);
    }
}

/* ---- time ---- */

typedef struct {
    uint64_t ids[SP_ASKS_LISTED_MAX];
    size_t count;
} id_list;

static bool collect(void *self, uint64_t id)
{
    id_list *list = self;
    list->ids[list->count++] = id;
    return list->count < SP_ASKS_LISTED_MAX;
}

/* Its time is over, or the session it rides on is. */
static bool is_over(sp_core *core, const sp_ask *ask, uint64_t now_unix_s)
{
    sp_session_view view;
    bool rides = ask->kind == SP_ASK_STATEMENT || ask->kind == SP_ASK_COMMAND;
    return ask->expires_unix_s <= now_unix_s ||
           (rides && !sp_sessions_find(core, ask->session, &view));
}

static void expire_one(sp_core *core, uint64_t id, uint64_t now_unix_s)
{
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_ask ask;
    if (sp_failed(sp_ask_load(core->store, &arena, id, &ask)) || !is_over(core, &ask, now_unix_s)) {
        return;
    }
    sp_err err =
        sp_ask_row_state(core->store, id, ask.state, SP_ASK_EXPIRED, SP_SPAN_EMPTY, now_unix_s);
    if (sp_failed(err)) { /* it is tried each second, and told once; nobody can use it any more */
        sp_log(SP_LOG_ERROR, "an ask that has expired cannot be stored: %s",
               sp_store_error_text(core->store));
        return;
    }
    tell(core, &ask, "expired", SP_SPAN_EMPTY);
    sp_ask_decided(core, id);
}

static void expire(sp_core *core, sp_ask_state state, uint64_t now_unix_s)
{
    id_list list = {.count = 0};
    if (sp_failed(sp_asks_ending(core->store, state, collect, &list))) {
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        expire_one(core, list.ids[i], now_unix_s);
    }
}

/* An undo that was not put off waits for the keeper, which may be busy with that keep. */
static bool is_due(sp_approvals *approvals, const sp_ask *ask, bool first)
{
    uint64_t now_us = sp_now_steady_us();
    sp_again_state state = sp_again_look(&approvals->again, ask->id, now_us);
    if (state == SP_AGAIN_DUE) {
        sp_again_later(&approvals->again, ask->id, now_us);
    }
    return state == SP_AGAIN_DUE ||
           (state == SP_AGAIN_NEVER && (first || sp_ask_is_of_keep(ask->kind)));
}

/* What core itself carries out and had no time to (because it died in between: first), or what it
 * could not carry out then. */
static void carry_out_left(sp_core *core, bool first)
{
    id_list list = {.count = 0};
    if (sp_failed(sp_asks_ending(core->store, SP_ASK_APPROVED, collect, &list))) {
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
        sp_ask ask;
        if (!sp_failed(sp_ask_load(core->store, &arena, list.ids[i], &ask)) &&
            is_due(core->approvals, &ask, first)) {
            carry_out(core, &ask, true);
        }
    }
}

/* Roles for a while end when they end, not up to a second later. */
static void end_grants(sp_approvals *approvals, uint64_t now_unix_s)
{
    if (now_unix_s >= approvals->grants_due_unix_s) {
        approvals->grants_due_unix_s = sp_grants_tick(approvals->core, now_unix_s);
    }
}

uint64_t sp_approvals_careful_now_s(sp_core *core)
{
    static const char why[] =
        "the clock is more than a day ahead: keeps and grants do not end by it "
        "until it has been so for a day";
    sp_slow_clock *clock = &sp_approvals_of(core)->clock;
    if (sp_slow_clock_tick(clock, sp_now_unix_us(), sp_now_steady_us())) {
        const sp_event event = {.when_unix_us = sp_now_unix_us(),
                                .kind = SP_EVENT_GAP,
                                .severity = SP_SEVERITY_CRITICAL,
                                .resource = SP_SPAN_LIT("core"),
                                .object = sp_span_cstr(why)};
        sp_log(SP_LOG_ERROR, "%s", why);
        sp_ledger_client_tell(core->ledger, &event);
    }
    return clock->unix_us / 1000000;
}

sp_err sp_approvals_clock_rows(sp_core *core, int64_t back_s)
{
    if (core->approvals == NULL || back_s == 0) {
        return sp_ok();
    }
    core->approvals->grants_due_unix_s = 0;
    return sp_approval_rows_move(core->store, back_s);
}

static void on_tick(uv_timer_t *timer)
{
    sp_approvals *approvals = timer->data;
    sp_core *core = approvals->core;
    sp_clock_look(core);
    uint64_t now_unix_s = now_s();
    end_grants(approvals, now_unix_s);
    if (now_unix_s == approvals->second_unix_s) {
        return;
    }
    approvals->second_unix_s = now_unix_s;
    approvals->grants_due_unix_s = 0;
    expire(core, SP_ASK_WAITING, now_unix_s);
    expire(core, SP_ASK_APPROVED, now_unix_s);
    if (approvals->ticks >= LEFT_TICKS) {
        carry_out_left(core, approvals->ticks == LEFT_TICKS);
    }
    uint64_t careful_unix_s = sp_approvals_careful_now_s(core);
    sp_keeps_tick(core, careful_unix_s);
    if (approvals->ticks++ % REVIEW_TICKS == 0) {
        sp_reviews_tick(core, careful_unix_s);
        sp_err err = sp_ask_rows_prune(core->store, careful_unix_s - KEPT_S);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "old asks cannot be removed: %s",
                   sp_store_error_text(core->store));
        }
    }
}

/* ---- start and stop ---- */

static sp_err start_clock(sp_approvals *approvals)
{
    TRY(sp_config_state(approvals->core->config, SP_ROLE_CORE, "clock", &approvals->clock_path));
    sp_err err = sp_slow_clock_open(&approvals->clock, approvals->clock_path, sp_now_unix_us(),
                                    sp_now_steady_us());
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "%s does not hold two times (%s): remove it if the clock is right",
               approvals->clock_path, sp_code_word(err.code));
    }
    return err;
}

sp_err sp_approvals_start(sp_core *core, sp_approvals **ret_approvals)
{
    auto_free sp_approvals *approvals = NULL;
    TRY(sp_approval_rows_start(core->store));
    TRY(sp_alloc(1, sizeof(*approvals), &approvals));
    approvals->core = core;
    TRY(sp_votes_routes(core));
    TRY(sp_grants_routes(core));
    TRY(sp_reviews_routes(core));
    TRY(sp_keeps_routes(core));
    TRY(sp_erase_routes(core));
    TRY(start_clock(approvals));
    TRY(sp_keeps_start(approvals));
    if (uv_timer_init(core->loop, &approvals->timer) != 0) {
        return sp_fail(SP_EIO);
    }
    approvals->timer.data = approvals;
    uv_timer_start(&approvals->timer, on_tick, TICK_MS, TICK_MS);
    *ret_approvals = SP_STEAL(approvals);
    return sp_ok();
}

bool sp_approvals_is_busy(const sp_approvals *approvals, uint64_t id)
{
    for (size_t i = 0; i < SP_COUNT(approvals->busy); i++) {
        if (approvals->busy[i] == id) {
            return true;
        }
    }
    return false;
}

bool sp_approvals_resume(sp_approvals *approvals, uint64_t id)
{
    for (size_t i = 0; i < SP_COUNT(approvals->busy) && !sp_approvals_is_busy(approvals, id); i++) {
        if (approvals->busy[i] == 0) {
            approvals->busy[i] = id;
            return true;
        }
    }
    return false;
}

bool sp_approvals_begin(sp_approvals *approvals, uint64_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < SP_COUNT(approvals->busy); i++) {
        count += approvals->busy[i] != 0;
    }
    return count < SP_KEEPER_BUSY_MAX && sp_approvals_resume(approvals, id);
}

void sp_approvals_end(sp_approvals *approvals, uint64_t id)
{
    for (size_t i = 0; approvals != NULL && i < SP_COUNT(approvals->busy); i++) {
        approvals->busy[i] = approvals->busy[i] == id ? 0 : approvals->busy[i];
    }
}

static void timer_closed(uv_handle_t *handle)
{
    sp_free(((sp_approvals *)handle->data)->clock_path);
    sp_approvals *approvals = handle->data;
    sp_free(approvals);
}

void sp_approvals_stop(sp_approvals *approvals)
{
    if (approvals != NULL) {
        sp_keeps_stop(approvals);
        uv_timer_stop(&approvals->timer);
        uv_close((uv_handle_t *)&approvals->timer, timer_closed);
    }
}
