/* SPDX-License-Identifier: Apache-2.0
 * Budgets: what a person may destroy in a while, over all sessions.
 *
 * A budget is spent durably before the statement runs: a restart gives nobody a second one. What is
 * counted a day is in day.c.
 *
 * OWNS rows of the store. PROCESS core. TRUST a gate may be taken over: it can
 * spend a living person's budget, and give back only what it spent itself, once. SPEC
 * docs/POLICY.md "Budget".
 */
#include "core/approvals/approvals.h"
#include "core/clock.h"
#include "core/cut/cut.h"
#include "core/database/inside.h"
#include "core/documents/documents.h"
#include "core/identity/identity.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum {
    KEEP_DAYS = 31,
    KEEP_S = KEEP_DAYS * SP_DAY_S,
    LOCKS_MAX = 16,
    LATE_MAX_S = 2 * 3600 /* what was done earlier a gate does not tell any more */
};
/* A year of these fits into the store's sums. */
#define ROWS_MAX ((uint64_t)1 << 40)

struct sp_db_budgets {
    uint64_t swept_unix_s;
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
    "CREATE TABLE day_clock (one BIGINT PRIMARY KEY, hold BIGINT NOT NULL, held BIGINT NOT NULL, "
    "ahead BIGINT NOT NULL, longer BIGINT NOT NULL)",
    "ALTER TABLE budget_spent ADD COLUMN session BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE budget_spent ADD COLUMN telling BIGINT NOT NULL DEFAULT 0;"
    "CREATE INDEX budget_spent_told ON budget_spent (telling) WHERE telling <> 0",
    "DROP INDEX budget_spent_of;"
    "CREATE INDEX budget_spent_of ON budget_spent (person, budget, at_unix_s, statements, rows);"
    "CREATE INDEX budget_spent_rows ON budget_spent (person, budget, at_unix_s, rows) "
    "WHERE rows > 0",
};

typedef struct {
    uint64_t statements;
    uint64_t rows;
} spent;

/* A budget that has no statements has no bound for those that changed nothing: they are not read.
 */
static sp_err spent_since(sp_store *store, uint32_t person, const sp_policy_budget *budget,
                          uint64_t since_unix_s, spent *ret_spent)
{
    auto_query sp_query q = sp_query_of(
        store, budget->statements > 0
                   ? "SELECT COALESCE(SUM(statements), 0), COALESCE(SUM(rows), 0) FROM "
                     "budget_spent WHERE person = $1 AND budget = $2 AND at_unix_s > $3"
                   : "SELECT 0, COALESCE(SUM(rows), 0) FROM budget_spent WHERE person = $1 AND "
                     "budget = $2 AND at_unix_s > $3 AND rows > 0");
    sp_bind_u64(&q, person);
    sp_bind_text(&q, budget->name);
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

/* What may be settled or given back has its reference; what was settled, and may be told again,
 * how it was told. */
static sp_err add_spent(const sp_db_spending *s, sp_span budget, const spent *more,
                        uint64_t at_unix_s, bool after)
{
    uint64_t reference = after ? 0 : s->ask->reference;
    uint64_t telling = after ? s->ask->telling : 0;
    auto_query sp_query q =
        sp_query_of(s->databases->core->store,
                    "INSERT INTO budget_spent (person, budget, at_unix_s, statements, rows, "
                    "reference, session, telling) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    sp_bind_u64(&q, s->session->person);
    sp_bind_text(&q, budget);
    sp_bind_u64(&q, at_unix_s);
    sp_bind_u64(&q, more->statements);
    sp_bind_u64(&q, more->rows);
    sp_bind_bits(&q, reference);
    sp_bind_bits(&q, reference == 0 && telling == 0 ? 0 : s->session->id);
    sp_bind_bits(&q, telling);
    return sp_query_finish(&q);
}

/* Core died before it could say that it had this: what was added is added anew. */
static sp_err forget_told(const sp_db_spending *s, sp_span budget)
{
    auto_query sp_query q = sp_query_of(
        s->databases->core->store, "DELETE FROM budget_spent WHERE session = $1 AND budget = $2 "
                                   "AND telling = $3 AND telling <> 0");
    sp_bind_bits(&q, s->session->id);
    sp_bind_text(&q, budget);
    sp_bind_bits(&q, s->ask->telling);
    return sp_query_finish(&q);
}

/* What was estimated is known now. */
static sp_err take_back(const sp_db_spending *s, sp_span budget)
{
    auto_query sp_query q = sp_query_of(s->databases->core->store,
                                        "UPDATE budget_spent SET rows = 0, reference = 0 "
                                        "WHERE session = $1 AND reference = $2 AND reference <> 0 "
                                        "AND budget = $3");
    sp_bind_bits(&q, s->session->id);
    sp_bind_bits(&q, s->ask->reference);
    sp_bind_text(&q, budget);
    return sp_query_finish(&q);
}

/* Whether this budget (empty: any) met what is settled now, when it was spent, or was told of it
 * already. */
static sp_err was_spent(const sp_db_spending *s, sp_span budget, bool *ret_spent)
{
    auto_query sp_query q =
        sp_query_of(s->databases->core->store,
                    "SELECT 1 FROM budget_spent WHERE session = $1 AND reference = $2 AND "
                    "reference <> 0 AND ($3 = '' OR budget = $3) UNION ALL "
                    "SELECT 1 FROM budget_spent WHERE session = $1 AND telling = $4 AND "
                    "telling <> 0 AND ($3 = '' OR budget = $3)");
    sp_bind_bits(&q, s->session->id);
    sp_bind_bits(&q, s->ask->reference);
    sp_bind_text(&q, budget);
    sp_bind_bits(&q, s->ask->telling);
    *ret_spent = sp_query_row(&q);
    return sp_query_finish(&q);
}

/* It did not run, whether its session lives or not. What was settled is of no reference any more,
 * and stays. */
static sp_err undo_spent(sp_store *store, const sp_db_spend *ask)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q =
        sp_query_of(store, "DELETE FROM budget_spent WHERE session = $1 AND reference = $2 AND "
                           "reference <> 0");
    sp_bind_bits(&q, ask->session.id);
    sp_bind_bits(&q, ask->reference);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

static sp_err is_told(sp_store *store, const sp_db_spend *ask, bool *ret_told)
{
    auto_query sp_query q = sp_query_of(store, "SELECT 1 FROM budget_spent WHERE session = $1 AND "
                                               "telling = $2 AND telling <> 0");
    sp_bind_bits(&q, ask->session.id);
    sp_bind_bits(&q, ask->telling);
    *ret_told = sp_query_row(&q);
    return sp_query_finish(&q);
}

/* It ran, and its session has ended meanwhile: what is known stands in place of what was expected.
 * Whoever is over by that is met by the next statement of the person. */
static sp_err settle_ended(sp_store *store, const sp_db_spend *ask)
{
    bool told = false;
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(is_told(store, ask, &told));
    if (told) {
        return sp_ok();
    }
    auto_query sp_query q = sp_query_of(
        store, ask->estimated > 0
                   ? "UPDATE budget_spent SET rows = $1, reference = 0, telling = $2 WHERE session "
                     "= $3 AND reference = $4 AND reference <> 0"
                   : "INSERT INTO budget_spent (person, budget, at_unix_s, statements, rows, "
                     "session, telling) SELECT person, budget, at_unix_s, 0, $1, session, $2 FROM "
                     "budget_spent WHERE session = $3 AND reference = $4 AND reference <> 0");
    sp_bind_u64(&q, ask->rows < ROWS_MAX ? ask->rows : ROWS_MAX);
    sp_bind_bits(&q, ask->telling);
    sp_bind_bits(&q, ask->session.id);
    sp_bind_bits(&q, ask->reference);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
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

static sp_err forget_old(const sp_databases *databases, uint64_t now_unix_s)
{
    sp_store *store = databases->core->store;
    uint64_t careful_unix_s = sp_approvals_careful_now_s(databases->core);
    uint64_t day = sp_db_days_day(databases, now_unix_s);
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(store, "DELETE FROM budget_spent WHERE at_unix_s < $1");
    sp_bind_u64(&q, careful_unix_s > KEEP_S ? careful_unix_s - KEEP_S : 0);
    TRY(sp_query_finish(&q));
    auto_query sp_query days = sp_query_of(store, "DELETE FROM budget_day WHERE day < $1");
    sp_bind_u64(&days, day > KEEP_DAYS ? day - KEEP_DAYS : 0);
    TRY(sp_query_finish(&days));
    return sp_txn_commit(&txn);
}

void sp_db_budgets_flush(sp_databases *databases, uint64_t now_unix_s)
{
    sp_store *store = databases->core->store;
    sp_err err = sp_db_days_flush(store, databases->days);
    if (!sp_failed(err) && now_unix_s > databases->budgets->swept_unix_s + SP_DAY_S) {
        databases->budgets->swept_unix_s = now_unix_s;
        err = forget_old(databases, now_unix_s);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "what was used of budgets could not be written: %s",
               sp_code_word(err.code));
    }
}

static sp_err move_spent(sp_store *store, int64_t by_s)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE budget_spent SET at_unix_s = " SP_CLOCK_MOVED("at_unix_s", "$1"));
    sp_bind_bits(&q, (uint64_t)by_s);
    return sp_query_finish(&q);
}

/* Of a clock that was ahead and was put right while core did not run: spent now. */
static sp_err right_spent(sp_store *store, uint64_t now_unix_s)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE budget_spent SET at_unix_s = $1 WHERE at_unix_s > $1");
    sp_bind_u64(&q, now_unix_s);
    return sp_query_finish(&q);
}

void sp_databases_clock_set(sp_core *core, int64_t by_s)
{
    sp_databases *databases = core->databases;
    if (databases != NULL && by_s != 0) {
        sp_db_tokens_clock_set(databases, by_s);
        sp_db_days_clock_set(databases, sp_now_unix_us() / 1000000, by_s);
        databases->budgets->swept_unix_s = sp_clock_moved(databases->budgets->swept_unix_s, by_s);
    }
}

sp_err sp_databases_clock_rows(sp_core *core, int64_t by_s)
{
    if (core->databases == NULL) {
        return sp_ok();
    }
    TRY(sp_db_days_write_clock(core->store, core->databases->days));
    return by_s == 0 ? sp_ok() : move_spent(core->store, by_s);
}

sp_err sp_databases_clock_right(sp_core *core)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    if (core->databases == NULL) {
        return sp_ok();
    }
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(right_spent(core->store, now_unix_s));
    TRY(sp_db_days_right(core->databases, now_unix_s));
    return sp_txn_commit(&txn);
}

sp_err sp_db_budgets_start(sp_databases *databases)
{
    sp_store *store = databases->core->store;
    TRY(sp_store_migrate(store, "database", STEPS, SP_COUNT(STEPS)));
    TRY(sp_alloc(1, sizeof(*databases->budgets), &databases->budgets));
    return sp_db_days_read_clock(store, databases->days);
}

void sp_db_budgets_stop(sp_databases *databases)
{
    if (databases->budgets != NULL) {
        sp_db_budgets_flush(databases, 0);
        sp_free(databases->budgets);
    }
}

/* ---- going over ---- */

void sp_db_tell_over(const sp_db_spending *s, sp_span budget, bool locked, const char *what)
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

/* What is over: the first of the gravest, and all that lock. */
typedef struct {
    const char *what; /* NULL = nothing */
    sp_policy_budget gravest;
    sp_span locks[LOCKS_MAX]; /* more of them begin anew with the next lock */
    size_t lock_count;
} over;

static void add_over(over *o, const sp_policy_budget *budget, const char *what)
{
    bool locks = budget->then == SP_BUDGET_LOCK;
    if (o->what == NULL || (locks && o->gravest.then != SP_BUDGET_LOCK)) {
        o->what = what;
        o->gravest = *budget;
    }
    if (locks && o->lock_count < LOCKS_MAX) {
        o->locks[o->lock_count++] = budget->name;
    }
}

/* A lock settles the budgets that led to it: who is let in again, after a talk, begins anew. */
static void go_over(const sp_db_spending *s, const over *o)
{
    sp_core *core = s->databases->core;
    bool lock = o->lock_count > 0;
    if (lock) {
        sp_cut_locked_too(core, s->session->person);
        sp_err err = sp_identity_lock(core, s->session->person);
        for (size_t i = 0; i < o->lock_count && !sp_failed(err); i++) {
            err = forget_spent(core->store, s->session->person, o->locks[i]);
        }
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "person %u went over a budget and could not be locked: %s",
                   s->session->person, sp_code_word(err.code));
        }
    }
    sp_db_tell_over(s, o->gravest.name, lock, o->what);
}

const char *sp_db_over(uint64_t used, uint64_t more, uint64_t most, const char *word)
{
    uint64_t sum = 0;
    if (most == 0) {
        return NULL;
    }
    bool past = __builtin_add_overflow(used, more, &sum) || sum > most;
    return past || (more == 0 && used >= most) ? word : NULL;
}

bool sp_db_is_after(const sp_db_spend *ask)
{
    return ask->statements == 0 && (ask->wants != 0 || ask->rows > 0 || ask->carried_rows > 0 ||
                                    ask->bytes > 0 || ask->estimated > 0);
}

/* Attempts that were refused, any number of them together. Nothing is expected of them. */
static bool is_attempt(const sp_db_spend *ask)
{
    return ask->reference == 0 && ask->wants == 0 && ask->statements > 0 && ask->rows == 0 &&
           ask->estimated == 0;
}

/* When they were made, as far as a gate may say so. */
static uint64_t time_of(const sp_db_spending *s)
{
    uint64_t now = s->now_unix_s;
    uint64_t when = s->ask->when_unix_s;
    uint64_t earliest = now > LATE_MAX_S ? now - LATE_MAX_S : 0;
    return when == 0 || when > now ? now : when < earliest ? earliest : when;
}

/* They count as one by one: as many as there is room for, then. */
static sp_err spend_attempts(const sp_db_spending *s, const sp_policy_budget *budget,
                             const char **ret_over)
{
    spent used;
    uint64_t when = time_of(s);
    uint64_t since = when > budget->period_s ? when - budget->period_s : 0;
    if (budget->statements == 0) {
        return sp_ok();
    }
    TRY(spent_since(s->databases->core->store, s->session->person, budget, since, &used));
    uint64_t room = budget->statements > used.statements ? budget->statements - used.statements : 0;
    spent more = {s->ask->statements < room ? s->ask->statements : room, 0};
    *ret_over = s->ask->statements > room ? "statements" : NULL;
    return more.statements == 0 ? sp_ok() : add_spent(s, budget->name, &more, when, false);
}

/* *ret_over: what would be over; then nothing is spent. */
static sp_err spend_one(const sp_db_spending *s, const sp_policy_budget *budget,
                        const char **ret_over)
{
    sp_store *store = s->databases->core->store;
    spent used;
    bool after = sp_db_is_after(s->ask);
    bool settles = after && s->ask->estimated > 0 && s->ask->reference != 0;
    uint64_t rows = after ? s->ask->rows : s->ask->estimated;
    spent more = {s->ask->statements, s->ask->rows > rows ? s->ask->rows : rows};
    more.rows = more.rows < ROWS_MAX ? more.rows : ROWS_MAX;
    uint64_t since = s->now_unix_s > budget->period_s ? s->now_unix_s - budget->period_s : 0;
    bool nothing = more.statements == 0 && more.rows == 0;
    if (settles) {
        TRY(take_back(s, budget->name));
    }
    if (after) {
        TRY(forget_told(s, budget->name));
    }
    TRY(spent_since(store, s->session->person, budget, since, &used));
    if (!after) {
        *ret_over = sp_db_over(used.statements, more.statements, budget->statements, "statements");
    }
    if (*ret_over == NULL && (!after || more.rows > 0)) {
        *ret_over = sp_db_over(used.rows, more.rows, budget->rows, "rows");
    }
    return nothing || (*ret_over != NULL && !after)
               ? sp_ok()
               : add_spent(s, budget->name, &more, s->now_unix_s, after);
}

/* What was spent before is settled by the budgets that met it then, whatever roles its person has
 * now: a role that ends takes none of them along. */
static bool is_settled(const sp_db_spend *ask)
{
    return sp_db_is_after(ask) && ask->reference != 0 && (ask->rows > 0 || ask->estimated > 0);
}

/* Of all of the budgets; of none, when it has not run and one of them is over. */
static sp_err spend_all(const sp_db_spending *s, const sp_policy *policy, uint32_t resource,
                        over *ret_over)
{
    sp_subject who = sp_db_subject(s->session, s->now_unix_s);
    sp_policy_budget budget;
    bool attempt = is_attempt(s->ask);
    bool settles = false;
    auto_txn sp_txn txn = sp_txn_begin(s->databases->core->store);
    TRY(txn.err);
    TRY(is_settled(s->ask) ? was_spent(s, SP_SPAN_EMPTY, &settles) : sp_ok());
    for (uint32_t i = 0; i < sp_policy_budget_count(policy); i++) {
        const char *what = NULL;
        bool meets = sp_policy_budget_of(policy, i, settles ? NULL : &who, s->ask->actions,
                                         resource, &budget);
        TRY(meets && settles ? was_spent(s, budget.name, &meets) : sp_ok());
        if (meets) {
            TRY(attempt ? spend_attempts(s, &budget, &what) : spend_one(s, &budget, &what));
        }
        if (what != NULL) {
            add_over(ret_over, &budget, what);
        }
    }
    return ret_over->what == NULL || attempt || sp_db_is_after(s->ask) ? sp_txn_commit(&txn)
                                                                       : sp_ok();
}

static sp_err spend_budgets(const sp_db_spending *s, const sp_policy *policy, uint32_t resource)
{
    sp_subject who = sp_db_subject(s->session, s->now_unix_s);
    over o = {.what = NULL};
    if (!is_settled(s->ask) && !sp_policy_budget_any(policy, &who, s->ask->actions, resource)) {
        return sp_ok();
    }
    TRY(spend_all(s, policy, resource, &o));
    if (o.what != NULL && (s->ask->statements > 0 || s->ask->rows > 0)) {
        go_over(s, &o);
    }
    return o.what == NULL ? sp_ok() : sp_fail(SP_EDENIED);
}

/* ---- SPEND ---- */

sp_err sp_db_spend_now(sp_databases *databases, sp_gate gate, sp_peer *peer, const sp_db_spend *ask,
                       sp_db_granted *ret_granted)
{
    sp_core *core = databases->core;
    sp_live_session session;
    sp_clock_look(core);
    if (core->jump_s != 0) {
        return sp_fail(
            SP_EIO); /* the store does not take what was spent along with the clock yet */
    }
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    uint32_t resource = sp_policy_resource_find(policy, ask->resource);
    if (resource == SP_NONE) {
        return sp_fail(SP_EDENIED);
    }
    sp_err lives = sp_db_session_live(databases->core, &ask->session, &session);
    if (sp_failed(lives) && sp_db_is_after(ask) && ask->reference != 0 &&
        (ask->rows > 0 || ask->estimated > 0)) {
        TRY(settle_ended(core->store, ask));
    }
    if (sp_failed(lives) && is_attempt(ask)) {
        /* who signs out right behind them has made them all the same */
        lives = sp_live_session_get(&core->live, ask->session.slot, ask->session.id, &session);
    }
    TRY(lives);
    sp_db_spending s = {databases, gate, peer, ask, &session, now_unix_s};
    bool guesses = ask->guesses != 0 && ask->statements > 0 && ask->reference != 0;
    if (guesses && sp_db_guess_is_other(databases, peer, session.person, ask->reference)) {
        return sp_fail(SP_EAGAIN);
    }
    TRY(sp_db_days_spend(&s, ret_granted));
    sp_err err =
        guesses ? sp_db_guess_begin(databases, peer, session.person, ask->reference) : sp_ok();
    if (!sp_failed(err)) {
        err = spend_budgets(&s, policy, resource);
    }
    if (sp_failed(err) && guesses) {
        (void)sp_db_guess_end(databases, peer, ask->reference);
    }
    if (sp_failed(err) && ask->wants != 0) {
        (void)sp_db_days_end(databases->days, peer, ask->reference, 0, 0);
    }
    return err;
}

void sp_db_spend_reply(sp_peer *peer, const sp_msg *to, sp_err err, const sp_db_granted *granted)
{
    auto_buf sp_buf body = sp_buf_make(64);
    if (to->id == 0) {
        return; /* it was only told */
    }
    sp_db_granted_write(granted, &body);
    sp_peer_reply(peer, to, err.code, sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&body), NULL,
                  0);
}

/* A statement is over, also when the session is: what was granted to it and not used is free. */
static void end_grant(sp_databases *databases, const sp_peer *peer, sp_db_spend *ask)
{
    sp_db_days_forget(databases->days, peer, ask->reference);
    if (sp_db_days_end(databases->days, peer, ask->reference, ask->carried_rows, ask->bytes)) {
        ask->day_rows = ask->day_bytes = 0; /* counted */
        sp_db_days_retry(databases, sp_now_steady_us());
    }
}

/* What it changed is counted: the next of the person may be asked about. */
static void end_guess(sp_databases *databases, const sp_peer *peer, const sp_db_spend *ask)
{
    if (sp_db_guess_end(databases, peer, ask->reference)) {
        sp_db_days_retry(databases, sp_now_steady_us());
    }
}

/* The next portion: what left of the last counts whatever is said to the question. */
static void settle_last(sp_databases *databases, const sp_peer *peer, sp_db_spend *ask)
{
    if (sp_db_days_carried(databases->days, peer, ask->reference, ask->carried_rows, ask->bytes)) {
        ask->carried_rows = ask->bytes = 0;
    }
}

sp_err sp_databases_on_spend(sp_core *core, sp_gate gate, sp_peer *peer, const sp_msg *msg)
{
    sp_db_spend ask;
    sp_db_granted granted = {0, 0};
    TRY(sp_db_spend_read(msg->body, &ask));
    if (ask.wants != 0 && (gate != SP_GATE_DB || ask.reference == 0)) {
        return sp_fail(SP_EINVALID);
    }
    bool is_over = gate == SP_GATE_DB && ask.wants != SP_DB_SPEND_PORTION && ask.statements == 0 &&
                   ask.reference != 0;
    if (is_over) {
        end_grant(core->databases, peer, &ask);
    }
    if (ask.wants == SP_DB_SPEND_UNDO) {
        sp_db_spend_reply(peer, msg, undo_spent(core->store, &ask), &granted);
        end_guess(core->databases, peer, &ask);
        return sp_ok();
    }
    if (ask.wants == SP_DB_SPEND_PORTION) {
        settle_last(core->databases, peer, &ask);
    }
    sp_err err = sp_db_spend_now(core->databases, gate, peer, &ask, &granted);
    if (err.code == SP_EAGAIN &&
        !sp_failed(sp_db_days_wait(core->databases->days, peer, msg, &ask))) {
        return sp_ok();
    }
    sp_db_spend_reply(peer, msg, err, &granted);
    if (is_over) {
        end_guess(core->databases, peer, &ask);
    }
    return sp_ok();
}
