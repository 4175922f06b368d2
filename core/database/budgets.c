/* SPDX-License-Identifier: Apache-2.0
 * Budgets: what a person may destroy in a while, over all sessions; and what he may carry off in a
 * day.
 *
 * A budget is spent durably before the statement runs: a restart gives nobody a second one. What is
 * counted a day is kept in memory and written once a second: there may be thousands of reads.
 *
 * OWNS counters of the day, rows of the store. PROCESS core. TRUST a gate may be taken over: it can
 * spend a living person's budget, and give back only what it estimated itself, once. SPEC
 * docs/POLICY.md "Budget".
 */
#include "core/cut/cut.h"
#include "core/database/inside.h"
#include "core/documents/documents.h"
#include "core/identity/identity.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "infra/proc/zone.h"

enum { DAYS_MAX = 4096, KEEP_S = 31 * 24 * 3600, DAY_S = 24 * 3600 };

/* One person's day. */
typedef struct {
    uint64_t day; /* since 1970, of the office */
    uint64_t rows;
    uint64_t bytes;
    uint32_t person; /* 0 = free */
    bool changed;
} day_count;

struct sp_db_budgets {
    day_count days[DAYS_MAX];
    uint64_t swept_unix_s;
    uint64_t zone_version; /* of the documents that the zone is from */
    sp_zone zone;
};

/* ---- the store ---- */

static const char *const STEPS[] = {
    "CREATE TABLE budget_spent (person BIGINT NOT NULL, budget TEXT NOT NULL, "
    "at_unix_s BIGINT NOT NULL, statements BIGINT NOT NULL, rows BIGINT NOT NULL);"
    "CREATE INDEX budget_spent_of ON budget_spent (person, budget, at_unix_s);"
    "CREATE TABLE budget_day (person BIGINT NOT NULL, day BIGINT NOT NULL, rows BIGINT NOT NULL, "
    "bytes BIGINT NOT NULL, PRIMARY KEY (person, day))",
    "ALTER TABLE budget_spent ADD COLUMN reference BIGINT NOT NULL DEFAULT 0;"
    "CREATE INDEX budget_spent_estimated ON budget_spent (reference) WHERE reference <> 0",
};

typedef struct {
    uint64_t statements;
    uint64_t rows;
} spent;

static sp_err spent_since(sp_store *store, uint32_t person, sp_span budget, uint64_t since_unix_s,
                          spent *ret_spent)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT COALESCE(SUM(statements), 0), COALESCE(SUM(rows), 0) FROM budget_spent "
               "WHERE person = $1 AND budget = $2 AND at_unix_s > $3");
    sp_bind_u64(&q, person);
    sp_bind_text(&q, budget);
    sp_bind_u64(&q, since_unix_s);
    *ret_spent = (spent){0, 0};
    if (sp_query_row(&q)) {
        ret_spent->statements = sp_col_u64(&q);
        ret_spent->rows = sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

sp_err sp_db_budgets_spent(sp_store *store, sp_span budget, uint64_t since_unix_s,
                           sp_db_spent_visit visit, void *self)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT person, SUM(statements), SUM(rows), MAX(at_unix_s) FROM budget_spent "
               "WHERE budget = $1 AND at_unix_s > $2 GROUP BY person ORDER BY person");
    sp_bind_text(&q, budget);
    sp_bind_u64(&q, since_unix_s);
    while (sp_query_row(&q)) {
        sp_db_spent found = {.person = (uint32_t)sp_col_u64(&q)};
        found.statements = sp_col_u64(&q);
        found.rows = sp_col_u64(&q);
        found.last_unix_s = sp_col_u64(&q);
        visit(self, &found);
    }
    return sp_query_finish(&q);
}

/* reference: of an estimate that may be settled; else 0. */
static sp_err add_spent(sp_store *store, uint32_t person, sp_span budget, uint64_t now_unix_s,
                        const spent *more, uint64_t reference)
{
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO budget_spent (person, budget, at_unix_s, statements, rows, "
                           "reference) VALUES ($1, $2, $3, $4, $5, $6)");
    sp_bind_u64(&q, person);
    sp_bind_text(&q, budget);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, more->statements);
    sp_bind_u64(&q, more->rows);
    sp_bind_bits(&q, reference);
    return sp_query_finish(&q);
}

/* What was estimated is known now. */
static sp_err take_back(sp_store *store, uint32_t person, sp_span budget, uint64_t reference)
{
    auto_query sp_query q = sp_query_of(store, "UPDATE budget_spent SET rows = 0, reference = 0 "
                                               "WHERE person = $1 AND budget = $2 AND "
                                               "reference = $3");
    sp_bind_u64(&q, person);
    sp_bind_text(&q, budget);
    sp_bind_bits(&q, reference);
    return sp_query_finish(&q);
}

static sp_err forget_spent(sp_store *store, uint32_t person, sp_span budget)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q =
        sp_query_of(store, "DELETE FROM budget_spent WHERE person = $1 AND budget = $2");
    sp_bind_u64(&q, person);
    sp_bind_text(&q, budget);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

static sp_err write_day(sp_store *store, const day_count *d)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO budget_day (person, day, rows, bytes) VALUES ($1, $2, $3, $4) "
               "ON CONFLICT (person, day) DO UPDATE SET rows = $3, bytes = $4");
    sp_bind_u64(&q, d->person);
    sp_bind_u64(&q, d->day);
    sp_bind_u64(&q, d->rows);
    sp_bind_u64(&q, d->bytes);
    return sp_query_finish(&q);
}

static sp_err read_day(sp_store *store, day_count *d)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT rows, bytes FROM budget_day WHERE person = $1 AND day = $2");
    sp_bind_u64(&q, d->person);
    sp_bind_u64(&q, d->day);
    if (sp_query_row(&q)) {
        d->rows = sp_col_u64(&q);
        d->bytes = sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

static sp_err forget_old(sp_store *store, uint64_t now_unix_s)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(store, "DELETE FROM budget_spent WHERE at_unix_s < $1");
    sp_bind_u64(&q, now_unix_s - KEEP_S);
    TRY(sp_query_finish(&q));
    auto_query sp_query days = sp_query_of(store, "DELETE FROM budget_day WHERE day < $1");
    sp_bind_u64(&days, (now_unix_s - KEEP_S) / DAY_S);
    TRY(sp_query_finish(&days));
    return sp_txn_commit(&txn);
}

static sp_err write_days(sp_store *store, sp_db_budgets *budgets)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    for (size_t i = 0; i < DAYS_MAX; i++) {
        if (budgets->days[i].changed) {
            TRY(write_day(store, &budgets->days[i]));
        }
    }
    TRY(sp_txn_commit(&txn));
    for (size_t i = 0; i < DAYS_MAX; i++) {
        budgets->days[i].changed = false;
    }
    return sp_ok();
}

static bool any_changed(const sp_db_budgets *budgets)
{
    bool any = false;
    for (size_t i = 0; i < DAYS_MAX; i++) {
        any = any || budgets->days[i].changed;
    }
    return any;
}

void sp_db_budgets_flush(sp_core *core, sp_db_budgets *budgets, uint64_t now_unix_s)
{
    sp_err err = any_changed(budgets) ? write_days(core->store, budgets) : sp_ok();
    if (!sp_failed(err) && now_unix_s > budgets->swept_unix_s + DAY_S) {
        budgets->swept_unix_s = now_unix_s;
        err = forget_old(core->store, now_unix_s);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "what was used of budgets could not be written: %s",
               sp_code_word(err.code));
    }
}

sp_err sp_db_budgets_start(sp_core *core, sp_db_budgets **ret_budgets)
{
    TRY(sp_store_migrate(core->store, "database", STEPS, SP_COUNT(STEPS)));
    return sp_alloc(1, sizeof(**ret_budgets), ret_budgets);
}

void sp_db_budgets_stop(sp_core *core, sp_db_budgets *budgets)
{
    if (budgets != NULL) {
        sp_db_budgets_flush(core, budgets, 0);
        sp_free(budgets);
    }
}

/* ---- going over ---- */

typedef struct {
    sp_databases *databases;
    sp_gate gate;
    const sp_db_spend *ask;
    const sp_live_session *session;
    uint64_t now_unix_s;
} spending;

static void tell_over(const spending *s, sp_span budget, bool locked, const char *what)
{
    sp_core *core = s->databases->core;
    auto_buf sp_buf detail = sp_buf_make(1000);
    sp_buf_text(&detail, "{\"budget\":");
    sp_buf_json(&detail, budget);
    sp_buf_fmt(
        &detail, ",\"over\":\"%s\",\"locked\":%s,\"statements\":%u,\"rows\":%llu}", what,
        locked ? "true" : "false", s->ask->statements,
        (unsigned long long)(s->ask->rows > s->ask->estimated ? s->ask->rows : s->ask->estimated));
    sp_event event = {.kind = SP_EVENT_DECISION,
                      .when_unix_us = sp_now_unix_us(),
                      .reference = s->ask->reference,
                      .session = s->session->id,
                      .person = s->session->person,
                      .strength = s->session->strength,
                      .severity = locked ? SP_SEVERITY_HIGH : SP_SEVERITY_MEDIUM,
                      .gate = (uint8_t)s->gate,
                      .action = s->ask->action,
                      .verdict = SP_VERDICT_DENY,
                      .reason = SP_REASON_LIMIT,
                      .person_name = sp_span_cstr(s->session->person_name),
                      .resource = s->ask->resource,
                      .rule = budget,
                      .method = locked ? SP_SPAN_LIT("budget: locked") : SP_SPAN_LIT("budget"),
                      .detail = sp_buf_borrow(&detail)};
    sp_copy(event.roles, s->session->roles, sizeof(event.roles));
    sp_ledger_client_tell(core->ledger, &event);
}

/* A lock settles the budget: who is let in again, after a talk, begins anew. */
static void go_over(const spending *s, const sp_policy_budget *budget, const char *what)
{
    bool lock = budget->then == SP_BUDGET_LOCK;
    if (lock) {
        sp_core *core = s->databases->core;
        sp_cut_locked_too(core, s->session->person);
        sp_err err = sp_identity_lock(core, s->session->person);
        if (!sp_failed(err)) {
            err = forget_spent(core->store, s->session->person, budget->name);
        }
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "person %u went over a budget and could not be locked: %s",
                   s->session->person, sp_code_word(err.code));
        }
    }
    tell_over(s, budget->name, lock, what);
}

/* What is over, NULL = nothing. With nothing to spend: whether anything is left. */
static const char *over(uint64_t used, uint64_t more, uint64_t most, const char *word)
{
    uint64_t sum = 0;
    if (most == 0) {
        return NULL;
    }
    bool past = __builtin_add_overflow(used, more, &sum) || sum > most;
    return past || (more == 0 && used >= most) ? word : NULL;
}

/* What ran has counted, and counts whether there was room for it or not. */
static bool is_after(const sp_db_spend *ask)
{
    return ask->statements == 0 && (ask->rows > 0 || ask->bytes > 0 || ask->estimated > 0);
}

/* *ret_over: what would be over; then nothing is spent. */
static sp_err spend_one(const spending *s, const sp_policy_budget *budget, const char **ret_over)
{
    sp_store *store = s->databases->core->store;
    spent used;
    bool after = is_after(s->ask);
    bool settles = after && s->ask->estimated > 0 && s->ask->reference != 0;
    uint64_t rows = after ? s->ask->rows : s->ask->estimated;
    spent more = {s->ask->statements, s->ask->rows > rows ? s->ask->rows : rows};
    more.rows = more.rows < INT64_MAX ? more.rows : INT64_MAX;
    uint64_t since = s->now_unix_s > budget->period_s ? s->now_unix_s - budget->period_s : 0;
    bool nothing = more.statements == 0 && more.rows == 0;
    if (settles) {
        TRY(take_back(store, s->session->person, budget->name, s->ask->reference));
    }
    TRY(spent_since(store, s->session->person, budget->name, since, &used));
    if (!after) {
        *ret_over = over(used.statements, more.statements, budget->statements, "statements");
    }
    if (*ret_over == NULL && (!after || more.rows > 0)) {
        *ret_over = over(used.rows, more.rows, budget->rows, "rows");
    }
    return nothing || (*ret_over != NULL && !after)
               ? sp_ok()
               : add_spent(store, s->session->person, budget->name, s->now_unix_s, &more,
                           after ? 0 : s->ask->reference);
}

/* All of the budgets, or none and the one that is over. */
static sp_err spend_all(const spending *s, const sp_policy *policy, uint32_t resource,
                        sp_policy_budget *budget, const char **ret_over)
{
    sp_subject who = sp_db_subject(s->session, s->now_unix_s);
    auto_txn sp_txn txn = sp_txn_begin(s->databases->core->store);
    TRY(txn.err);
    for (uint32_t i = 0; i < sp_policy_budget_count(policy); i++) {
        if (sp_policy_budget_of(policy, i, &who, s->ask->actions, resource, budget)) {
            TRY(spend_one(s, budget, ret_over));
        }
        if (*ret_over != NULL) {
            return is_after(s->ask) ? sp_txn_commit(&txn) : sp_ok();
        }
    }
    return sp_txn_commit(&txn);
}

static sp_err spend_budgets(const spending *s, const sp_policy *policy, uint32_t resource)
{
    sp_subject who = sp_db_subject(s->session, s->now_unix_s);
    sp_policy_budget budget = {0};
    const char *what = NULL;
    if (!sp_policy_budget_any(policy, &who, s->ask->actions, resource)) {
        return sp_ok();
    }
    TRY(spend_all(s, policy, resource, &budget, &what));
    if (what != NULL && (s->ask->statements > 0 || s->ask->rows > 0)) {
        go_over(s, &budget, what);
    }
    return what == NULL ? sp_ok() : sp_fail(SP_EDENIED);
}

/* ---- the day ---- */

/* East of UTC, where the office is. */
static int32_t office_offset_s(const sp_databases *databases, uint64_t now_unix_s)
{
    sp_db_budgets *budgets = databases->budgets;
    const sp_documents *documents = databases->core->state->documents;
    uint64_t version = sp_documents_version(documents);
    if (budgets->zone_version != version || budgets->zone.count == 0) {
        sp_policy_office office = sp_policy_set_office(sp_documents_set(documents));
        budgets->zone_version = version;
        if (office.time_zone.len == 0 ||
            sp_failed(sp_zone_system(&now_unix_s, office.time_zone, &budgets->zone))) {
            budgets->zone = (sp_zone){.count = 1};
        }
    }
    int32_t offset_s = 0;
    for (size_t i = 0; i < budgets->zone.count; i++) {
        if (i == 0 || budgets->zone.steps[i].from_unix_s <= (int64_t)now_unix_s) {
            offset_s = budgets->zone.steps[i].offset_s;
        }
    }
    return offset_s;
}

static uint64_t day_at(const sp_databases *databases, uint64_t now_unix_s)
{
    return (uint64_t)((int64_t)now_unix_s + office_offset_s(databases, now_unix_s)) / DAY_S;
}

sp_err sp_db_budgets_today(sp_databases *databases, sp_db_spent_visit visit, void *self)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_db_budgets_flush(databases->core, databases->budgets, now_unix_s);
    auto_query sp_query q =
        sp_query_of(databases->core->store,
                    "SELECT person, rows, bytes FROM budget_day WHERE day = $1 ORDER BY person");
    sp_bind_u64(&q, day_at(databases, now_unix_s));
    while (sp_query_row(&q)) {
        sp_db_spent found = {.person = (uint32_t)sp_col_u64(&q)};
        found.rows = sp_col_u64(&q);
        found.bytes = sp_col_u64(&q);
        visit(self, &found);
    }
    return sp_query_finish(&q);
}

/* The person's day: found, read back, or in place of the day that is over. NULL: no room. */
static day_count *day_of(const spending *s, uint64_t day)
{
    sp_db_budgets *budgets = s->databases->budgets;
    size_t from = (s->session->person * (size_t)2654435761U) % DAYS_MAX;
    for (size_t i = 0; i < DAYS_MAX; i++) {
        day_count *d = &budgets->days[(from + i) % DAYS_MAX];
        if (d->person == s->session->person && d->day == day) {
            return d;
        }
        if (d->person == 0 || d->person == s->session->person || (d->day != day && !d->changed)) {
            *d = (day_count){.person = s->session->person, .day = day};
            return sp_failed(read_day(s->databases->core->store, d)) ? NULL : d;
        }
    }
    return NULL;
}

static sp_err spend_day(const spending *s)
{
    const sp_db_spend *ask = s->ask;
    if (ask->day_rows == 0 && ask->day_bytes == 0) {
        return sp_ok();
    }
    day_count *d = day_of(s, day_at(s->databases, s->now_unix_s));
    if (d == NULL) {
        return sp_fail(SP_EAGAIN);
    }
    const char *what = over(d->rows, ask->rows, ask->day_rows, "rows a day");
    if (what == NULL) {
        what = over(d->bytes, ask->bytes, ask->day_bytes, "bytes a day");
    }
    if (what != NULL && !is_after(ask)) {
        tell_over(s, SP_SPAN_EMPTY, false, what);
        return sp_fail(SP_EDENIED);
    }
    bool full = __builtin_add_overflow(d->rows, ask->rows, &d->rows) ||
                __builtin_add_overflow(d->bytes, ask->bytes, &d->bytes) || d->rows > INT64_MAX ||
                d->bytes > INT64_MAX;
    d->changed = true;
    return full || what != NULL ? sp_fail(SP_EDENIED) : sp_ok();
}

static sp_err spend(sp_databases *databases, sp_gate gate, const sp_db_spend *ask)
{
    const sp_core *core = databases->core;
    sp_live_session session;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    uint32_t resource = sp_policy_resource_find(policy, ask->resource);
    if (resource == SP_NONE) {
        return sp_fail(SP_EDENIED);
    }
    TRY(sp_db_session_live(databases->core, &ask->session, &session));
    spending s = {databases, gate, ask, &session, now_unix_s};
    TRY(spend_day(&s));
    return spend_budgets(&s, policy, resource);
}

sp_err sp_databases_on_spend(sp_core *core, sp_gate gate, sp_peer *peer, const sp_msg *msg)
{
    sp_db_spend ask;
    TRY(sp_db_spend_read(msg->body, &ask));
    sp_err err = spend(core->databases, gate, &ask);
    sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    return sp_ok();
}
