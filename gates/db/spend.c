/* SPDX-License-Identifier: Apache-2.0
 * Budgets: before a statement runs whose action has one, or a limit a day, core is asked; what it
 * counted afterwards is told. Where a budget counts rows, the rows that a change is expected to
 * meet are spent beforehand, and settled when the server has said how many they were. Of a day's
 * limit core grants a portion; an answer that has used it up stands still until core has granted
 * the next.
 *
 * A message that waits is judged again when core has answered, and nothing of the client is read
 * before: so one state a session is enough. Without core nothing that has a budget runs.
 *
 * OWNS what could not be told yet. PROCESS db gate workers. TRUST core's answer decides. SPEC
 * lib/proto/db_msg.h "SPEND".
 */
#include "gates/db/judging.h"
#include "lib/base/reader.h"
#include "lib/policy/database.h"
#include "lib/proto/db_msg.h"

#include <stdio.h>

enum {
    BODY_MAX_BYTES = 512,
    UNTOLD_MAX_BYTES = 256 * 1024,
    TOLD_FOR_MS = 3600 * 1000 /* by then a core that stands still has been ended by its watchdog */
};

/* What core was told and has not answered. */
typedef struct told_one {
    struct told_one *next;
    struct told_one *before;
    size_t len;
    uint8_t body[BODY_MAX_BYTES];
} told_one;

/* A worker has one core. */
static sp_buf untold; /* bodies */
static told_one *told;

bool db_spend_is_needed(const db_session *session, const db_ruling *ruling)
{
    const sp_decision *d = &ruling->decision;
    return d->day_rows != 0 || d->day_bytes != 0 ||
           sp_policy_budget_any(&session->snapshot->policy, &session->who, ruling->actions,
                                session->resource);
}

static sp_db_spend spend_of(const db_session *session, const db_ruling *ruling)
{
    return (sp_db_spend){.session = {session->live_slot, session->live_id},
                         .action = (uint8_t)ruling->action,
                         .actions = ruling->actions,
                         .day_rows = ruling->decision.day_rows,
                         .day_bytes = ruling->decision.day_bytes,
                         .resource = sp_span_cstr(session->resource_name)};
}

static uint32_t ask_core(const sp_db_spend *spend, sp_link_reply on_reply, db_session *session)
{
    auto_buf sp_buf body = sp_buf_make(BODY_MAX_BYTES);
    sp_db_spend_write(spend, &body);
    return sp_failed(sp_buf_error(&body))
               ? 0
               : sp_link_call(&db_here.office.link, SP_CORE_DB_SPEND, sp_buf_borrow(&body), NULL, 0,
                              on_reply, session);
}

/* What core said; DB_SPEND_. */
static uint8_t said(sp_err err, const sp_msg *msg, sp_db_granted *ret_granted)
{
    if (!sp_failed(err)) {
        return msg == NULL || sp_failed(sp_db_granted_read(msg->body, ret_granted))
                   ? DB_SPEND_AWAY
                   : DB_SPEND_GRANTED;
    }
    return msg == NULL              ? DB_SPEND_AWAY
           : err.code == SP_EDENIED ? DB_SPEND_DENIED
           : err.code == SP_EAGAIN  ? DB_SPEND_BUSY
                                    : DB_SPEND_AWAY;
}

static void on_spent(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_judge *judge = db_session_judge(session);
    sp_db_granted granted = {0, 0};
    (void)fds;
    judge->spend_call = 0;
    judge->spend = said(err, msg, &granted);
    /* what was asked and not answered core may have done, or will do */
    judge->spent.is_spent = judge->spend == DB_SPEND_GRANTED || judge->spend == DB_SPEND_AWAY;
    judge->spent.may_rows = granted.rows;
    judge->spent.may_bytes = granted.bytes;
    db_session_resume(session);
}

/* Budgets hear of it even when core dies meanwhile. */
static bool counts(const sp_db_spend *spend)
{
    return spend->rows > 0 || spend->estimated > 0 || spend->guesses != 0 ||
           spend->wants == SP_DB_SPEND_UNDO;
}

/* What budgets are to hear when core is there again. Portions ended with the connection. */
static void keep_untold(const sp_db_spend *spend)
{
    auto_buf sp_buf body = sp_buf_make(BODY_MAX_BYTES);
    sp_db_spend left = *spend;
    left.day_rows = left.day_bytes = left.carried_rows = left.bytes = 0;
    sp_db_spend_write(&left, &body);
    if (counts(&left) && !sp_failed(sp_buf_error(&body)) &&
        untold.len + body.len + sizeof(uint32_t) <= UNTOLD_MAX_BYTES) {
        untold.max_bytes = UNTOLD_MAX_BYTES;
        sp_buf_bytes(&untold, sp_buf_borrow(&body));
    }
}

static void drop_told(told_one *one)
{
    *(one->before != NULL ? &one->before->next : &told) = one->next;
    if (one->next != NULL) {
        one->next->before = one->before;
    }
    sp_free(one);
}

/* Sent or not, core did not say that it has it, or said that it cannot have it now. */
static void on_told(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    told_one *one = self;
    sp_db_spend spend;
    (void)msg;
    (void)fds;
    bool may_again = err.code == SP_ECLOSED || err.code == SP_EIO || err.code == SP_EAGAIN ||
                     err.code == SP_ETIMEOUT;
    if (may_again && !sp_failed(sp_db_spend_read(sp_span_of(one->body, one->len), &spend))) {
        keep_untold(&spend);
    }
    drop_told(one);
}

/* False: it cannot be asked now. */
static bool tell_for_sure(sp_span body)
{
    told_one *one = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*one), &one))) {
        return false;
    }
    *one = (told_one){.next = told, .len = body.len};
    sp_copy(one->body, body.ptr, body.len); /* as long as what was written: BODY_MAX_BYTES */
    if (told != NULL) {
        told->before = one;
    }
    told = one;
    uint32_t call =
        sp_link_call(&db_here.office.link, SP_CORE_DB_SPEND, body, NULL, 0, on_told, one);
    sp_link_allow(&db_here.office.link, call, TOLD_FOR_MS);
    if (call == 0) {
        drop_told(one);
    }
    return call != 0;
}

/* No statement waits for the answer: who is over now is locked by core, and the epoch says so. */
static void tell_core(const sp_db_spend *spend)
{
    auto_buf sp_buf body = sp_buf_make(BODY_MAX_BYTES);
    sp_db_spend tells = *spend;
    tells.telling = tells.telling == 0 ? sp_recorder_reference() : tells.telling;
    sp_db_spend_write(&tells, &body);
    bool told_it = !sp_failed(sp_buf_error(&body)) &&
                   ((counts(&tells) && tell_for_sure(sp_buf_borrow(&body))) ||
                    sp_link_tell(&db_here.office.link, SP_CORE_DB_SPEND, sp_buf_borrow(&body)));
    if (!told_it) {
        keep_untold(&tells);
    }
}

void db_spend_tell_again(void)
{
    auto_buf sp_buf left = untold; /* it may break again meanwhile */
    untold = (sp_buf){.ptr = NULL};
    sp_reader in = sp_reader_of(sp_buf_borrow(&left));
    while (in.rest.len > 0 && !sp_failed(in.err)) {
        sp_db_spend spend;
        if (!sp_failed(sp_db_spend_read(sp_read_bytes(&in, BODY_MAX_BYTES), &spend))) {
            tell_core(&spend);
        }
    }
}

void db_spend_tick(void)
{
    const sp_link *link = &db_here.office.link;
    if (untold.len > 0 && told == NULL && sp_link_is_up(link) && link->unsent.len == 0) {
        db_spend_tell_again();
    }
}

/* The smallest number of rows that a budget leaves for such a statement; 0 = none counts rows. */
static uint64_t least_rows(const db_session *session, const db_ruling *ruling)
{
    const sp_policy *policy = &session->snapshot->policy;
    uint64_t least = 0;
    /* how many rows are taken of an answer is the client's choice */
    uint32_t changes = ruling->actions & ~(uint32_t)DB_LOOKS;
    for (uint32_t i = 0; i < sp_policy_budget_count(policy); i++) {
        sp_policy_budget budget;
        if (sp_policy_budget_of(policy, i, &session->who, changes, session->resource, &budget) &&
            budget.rows > 0 && (least == 0 || budget.rows < least)) {
            least = budget.rows;
        }
    }
    return least;
}

bool db_spend_counts_rows(const db_session *session, const db_ruling *ruling)
{
    return ruling->has_use && least_rows(session, ruling) > 0;
}

/* Each of them may be a guess, and all have run before the first is counted. */
static bool guesses_together(const db_run_ask *run)
{
    uint32_t changes = 0;
    for (uint32_t i = 0; run->ruling->is_broad && i < run->judgement->statement_count; i++) {
        const sp_sql_statement *one = &run->judgement->statements[i];
        changes += one->verbs != 0 || (one->flags & SP_SQL_IS_EXECUTE) != 0 ? 1 : 0;
    }
    return changes > 1;
}

static db_verdict refuse_unknown(const db_estimated *found, bool together, db_refusal *refusal)
{
    db_refuse(refusal, "53400", SP_REASON_LIMIT,
              "how many rows this would change cannot be found out, and it may be more than you "
              "may change in such a while");
    if (found->why_not[0] != '\0') {
        snprintf(refusal->detail, sizeof(refusal->detail), "There is no plan: %s.", found->why_not);
    } else if (together) {
        snprintf(refusal->detail, sizeof(refusal->detail),
                 "Several changes in one message, of rows that no value names, are a guess: their "
                 "tables have about %llu.",
                 (unsigned long long)found->touched_rows);
        snprintf(refusal->hint, sizeof(refusal->hint), "Send the changes apart.");
    } else if (found->falling_rows == 0) {
        snprintf(refusal->detail, sizeof(refusal->detail),
                 "No answer tells how many rows WITH changes: its tables have about %llu.",
                 (unsigned long long)(found->rows + found->hidden_rows));
        snprintf(refusal->hint, sizeof(refusal->hint), "Send the changes apart.");
    } else {
        snprintf(refusal->detail, sizeof(refusal->detail),
                 "No plan counts what foreign keys, or CASCADE, take along: the tables that they "
                 "lead to have about %llu rows.",
                 (unsigned long long)found->falling_rows);
    }
    return DB_REFUSE;
}

/* How many rows it would change. A number that is only an upper bound locks nobody. */
static db_verdict estimate(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    uint64_t most = least_rows(session, run->ruling);
    judge->spent = (db_spent){.reference = sp_recorder_reference()};
    judge->spent.goes_on = run->goes_on && (run->ruling->actions & ~(uint32_t)DB_LOOKS) != 0;
    if (most == 0 || judge->spent.goes_on) {
        return DB_PASS;
    }
    const db_estimated *found = db_estimate_ask(session, run, &judge->pending.hash);
    if (found == NULL) {
        return DB_WAIT;
    }
    bool together = guesses_together(run) && found->touched_rows > found->rows;
    uint64_t more = found->falling_rows + found->hidden_rows;
    more += together ? found->touched_rows - found->rows - found->hidden_rows : 0;
    uint64_t rows = found->rows + more;
    /* what it names itself may be too much already, whatever falls with it */
    bool knows = found->why_not[0] == '\0' && (more == 0 || found->rows > most);
    if (!knows && (rows > most || !found->has_bound)) {
        return refuse_unknown(found, together, refusal);
    }
    judge->spent.rows = rows;
    judge->spent.bound = found->has_bound ? found->bound + found->falling_rows : 0;
    judge->spent.is_told = found->is_told;
    judge->spent.guesses = run->ruling->is_broad && (!found->has_bound || found->bound > rows);
    return DB_PASS;
}

static db_verdict ask(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    db_verdict verdict = estimate(session, run, refusal);
    if (verdict != DB_PASS) {
        return verdict;
    }
    sp_db_spend spend = spend_of(session, run->ruling);
    spend.reference = judge->spent.reference;
    spend.statements = run->statements;
    spend.estimated = judge->spent.rows;
    spend.guesses = judge->spent.guesses ? 1 : 0;
    spend.wants = spend.day_rows != 0 || spend.day_bytes != 0;
    judge->spent.has_portion = spend.wants != 0;
    judge->spend_call = ask_core(&spend, on_spent, session);
    judge->spent.is_spent = judge->spend_call != 0;
    judge->spend = judge->spend_call == 0 ? DB_SPEND_AWAY : DB_SPEND_ASKED;
    return DB_WAIT;
}

static db_verdict refuse_by(uint8_t answer, const char *denied, db_refusal *refusal)
{
    if (answer == DB_SPEND_DENIED) {
        db_refuse(refusal, "53400", SP_REASON_LIMIT, "%s", denied);
    } else if (answer == DB_SPEND_BUSY) {
        db_refuse(refusal, "53400", SP_REASON_LIMIT,
                  "other statements of yours hold what is left of your day, or change rows that "
                  "nobody has counted yet");
        snprintf(refusal->hint, sizeof(refusal->hint), "Try again when they have ended.");
    } else {
        db_refuse(refusal, "53400", SP_REASON_UNAVAILABLE,
                  "whether your budget has room for this cannot be found out now");
    }
    return DB_REFUSE;
}

/* What stands before it in its pipeline may be more than was expected, and is counted first. */
static bool is_behind_guess(db_session *session, const db_run_ask *run)
{
    bool any = false;
    for (uint32_t i = 0; !any && i < session->flights.count; i++) {
        const db_note *note = db_flights_at(session, i)->note;
        any = note != NULL && (note->spent.guesses || note->spent.bound > note->spent.rows);
    }
    return any && db_spend_counts_rows(session, run->ruling) && db_session_drain(session);
}

db_verdict db_spend(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    if (!run->ruling->has_use || !db_spend_is_needed(session, run->ruling)) {
        return DB_PASS;
    }
    if (judge->spend == DB_SPEND_NONE && is_behind_guess(session, run)) {
        return DB_WAIT;
    }
    if (judge->spend == DB_SPEND_NONE) {
        db_verdict verdict = ask(session, run, refusal);
        if (verdict != DB_WAIT || judge->spend == DB_SPEND_NONE) {
            return verdict;
        }
    }
    if (judge->spend == DB_SPEND_ASKED) {
        return DB_WAIT;
    }
    if (judge->spend == DB_SPEND_GRANTED) {
        return DB_PASS; /* and is until it runs */
    }
    uint8_t answer = judge->spend;
    judge->spend = DB_SPEND_NONE;
    refuse_by(answer, "this is more than you may do in such a while, over all of your sessions",
              refusal);
    if (answer == DB_SPEND_DENIED && judge->spent.rows > 0) {
        snprintf(refusal->detail, sizeof(refusal->detail), "It would change about %llu rows.",
                 (unsigned long long)judge->spent.rows);
    }
    return DB_REFUSE;
}

bool db_spend_waits(const db_session *session)
{
    return db_session_judge(session)->spend == DB_SPEND_ASKED;
}

/* ---- portions of the day ---- */

static void on_portion(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_judge *judge = db_session_judge(session);
    (void)fds;
    judge->portion_call = 0;
    judge->granted = (sp_db_granted){0, 0};
    judge->portion = said(err, msg, &judge->granted);
    db_session_resume_answer(session);
}

/* What passed and was not told yet. */
static void tell_passed(db_note *note, sp_db_spend *spend)
{
    spend->reference = note->spent.reference;
    spend->carried_rows = note->rows - note->told_rows;
    spend->bytes = note->bytes - note->told_bytes;
    note->told_rows = note->rows;
    note->told_bytes = note->bytes;
}

static void ask_portion(db_session *session, db_note *note, uint64_t next_bytes, bool exports)
{
    db_judge *judge = db_session_judge(session);
    if (note->spent.reference == 0) {
        note->spent.reference = sp_recorder_reference();
    }
    sp_db_spend spend = spend_of(session, &note->ruling);
    tell_passed(note, &spend);
    spend.next_bytes = next_bytes;
    spend.wants = spend.day_rows != 0 || spend.day_bytes != 0;
    if (exports) {
        spend.action = SP_ACTION_EXPORT;
        spend.actions = 1U << SP_ACTION_EXPORT;
        spend.statements = 1;
    }
    note->spent.has_portion |= spend.wants != 0;
    judge->portion_call = ask_core(&spend, on_portion, session);
    judge->portion = judge->portion_call == 0 ? DB_SPEND_AWAY : DB_SPEND_ASKED;
}

static bool is_granted(const db_note *note, uint64_t rows, uint64_t bytes)
{
    const sp_decision *d = &note->ruling.decision;
    return (d->day_rows == 0 || rows <= note->spent.may_rows) &&
           (d->day_bytes == 0 || bytes <= note->spent.may_bytes);
}

static db_verdict have_portion(db_session *session, db_note *note, uint64_t rows, uint64_t bytes,
                               bool exports, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    if (judge->portion == DB_SPEND_NONE) {
        ask_portion(session, note, bytes - note->bytes, exports);
    }
    if (judge->portion == DB_SPEND_ASKED) {
        return DB_WAIT;
    }
    uint8_t answer = judge->portion;
    judge->portion = DB_SPEND_NONE;
    if (answer == DB_SPEND_GRANTED) {
        note->spent.may_rows = note->rows + judge->granted.rows;
        note->spent.may_bytes = note->bytes + judge->granted.bytes;
        answer = is_granted(note, rows, bytes) ? DB_SPEND_GRANTED : DB_SPEND_AWAY;
    }
    return answer == DB_SPEND_GRANTED
               ? DB_PASS
               : refuse_by(answer,
                           "this is more than you may carry off in a day, over all of your "
                           "sessions",
                           refusal);
}

db_verdict db_spend_row(db_session *session, db_note *note, uint64_t rows, uint64_t bytes,
                        db_refusal *refusal)
{
    return is_granted(note, rows, bytes) ? DB_PASS
                                         : have_portion(session, note, rows, bytes, false, refusal);
}

db_verdict db_spend_export(db_session *session, db_note *note, uint64_t rows, uint64_t bytes,
                           db_refusal *refusal)
{
    return have_portion(session, note, rows, bytes, true, refusal);
}

/* ---- afterwards ---- */

bool db_is_undone(const db_note *note, const db_end *end)
{
    bool may_stay = (note->flags & SP_SQL_IS_END) != 0; /* what came before its COMMIT */
    bool is_part = end->how == DB_END_SUSPENDED && note->in_one && note->is_refused;
    return end->how == DB_END_SKIPPED || ((end->how == DB_END_FAILED || is_part) && !may_stay);
}

/* Where none counts statements, nothing is told of attempts. */
static bool counts_statements(const db_session *session, uint32_t actions)
{
    const sp_policy *policy = &session->snapshot->policy;
    sp_policy_budget budget;
    for (uint32_t i = 0; i < sp_policy_budget_count(policy); i++) {
        if (sp_policy_budget_of(policy, i, &session->who, actions, session->resource, &budget) &&
            budget.statements > 0) {
            return true;
        }
    }
    return false;
}

void db_spend_refused(db_session *session, const db_ruling *ruling)
{
    sp_action gravest = SP_ACTION_CONNECT;
    uint32_t actions = 0;
    for (uint32_t i = 0; ruling->has_use && i < SP_ACTION_COUNT; i++) {
        uint32_t action = ruling->actions & 1U << i;
        if (action != 0 && counts_statements(session, action)) {
            bool is_graver = actions == 0 || sp_sql_gravity((sp_action)i) > sp_sql_gravity(gravest);
            gravest = is_graver ? (sp_action)i : gravest;
            actions |= action;
        }
    }
    if (actions != 0) {
        db_attempts_add(session, gravest, actions);
    }
}

db_spent db_spend_take(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    db_spent spent = judge->spent;
    judge->spent = (db_spent){.rows = 0};
    judge->spend = DB_SPEND_NONE;
    return spent;
}

/* A statement that commits on its way, or stands before one that does in its pipeline: the server
 * may have committed it, and its tag lies there until something behind it has run. */
static bool may_commit(const db_session *session, const db_note *note)
{
    bool commits = (note->flags & SP_SQL_IS_END) != 0 || note->ends_within;
    for (uint32_t i = 0; !commits && i < session->flights.count; i++) {
        const db_flight *behind = db_flights_at(session, i);
        if (behind->type == 'S') {
            break;
        }
        const db_note *other = behind->note;
        commits = other != NULL && other->runs &&
                  ((other->flags & SP_SQL_IS_END) != 0 || other->ends_within);
    }
    return commits;
}

/* Nobody knows what came of it, and its person may have seen to that: then it was all that it can
 * have been. A server that ends by itself says so behind all that it had to say; one that is made
 * to end says neither. */
static bool hides_end(const db_session *session, const db_note *note, const db_end *end)
{
    if (end->how != DB_END_LOST || db_here.stopping) {
        return false;
    }
    return !session->back_gone || (!session->fatal_passed && may_commit(session, note));
}

/* What is known in the end; of what is not, the estimate stands. */
static uint64_t settle(const db_session *session, const db_note *note, const db_end *end,
                       uint64_t *ret_estimated)
{
    uint64_t expected = note->spent.rows;
    if (note->spent.goes_on) { /* all was changed, and settled, with the first part */
        *ret_estimated = 0;
        return 0;
    }
    bool is_part = end->how == DB_END_SUSPENDED;
    bool undone = db_is_undone(note, end);
    uint64_t rows = !undone && end->touched > end->rows ? end->touched : end->rows;
    bool known = undone || (end->how != DB_END_LOST && !is_part && note->spent.is_told);
    bool hides = hides_end(session, note, end) || (is_part && !undone);
    rows = hides && note->spent.bound > rows ? note->spent.bound : rows;
    *ret_estimated = known ? expected : 0;
    return known ? rows : rows > expected ? rows - expected : 0;
}

void db_spend_after(db_session *session, db_note *note, const db_end *end)
{
    uint64_t estimated = 0;
    uint64_t rows = settle(session, note, end, &estimated);
    bool counts = note->spent.guesses ||   /* the next one waits for its end */
                  (rows + estimated > 0 && /* of a role that has ended meanwhile, too */
                   (note->spent.is_spent || db_spend_is_needed(session, &note->ruling)));
    if (!counts && !note->spent.has_portion) {
        return;
    }
    sp_db_spend spend = spend_of(session, &note->ruling);
    tell_passed(note, &spend);
    spend.rows = rows;
    spend.estimated = estimated;
    spend.guesses = note->spent.guesses ? 1 : 0;
    tell_core(&spend);
}

void db_spend_gone(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge->spend_call != 0) {
        sp_link_forget(&db_here.office.link, judge->spend_call);
        judge->spend_call = 0;
    }
    if (judge->spent.is_spent || judge->spent.has_portion) {
        const db_ruling none = {.action = SP_ACTION_READ, .actions = 1U << SP_ACTION_READ};
        sp_db_spend spend = spend_of(session, &none);
        spend.reference = judge->spent.reference;
        spend.wants = judge->spent.is_spent ? SP_DB_SPEND_UNDO : SP_DB_SPEND_OVER;
        tell_core(&spend);
    }
    judge->spent = (db_spent){.rows = 0};
    judge->spend = DB_SPEND_NONE;
}
