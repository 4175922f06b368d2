/* SPDX-License-Identifier: Apache-2.0
 * Budgets: before a statement runs whose action has one, or a limit a day, core is asked; what it
 * counted afterwards is told.
 *
 * A message that waits is judged again when core has answered, and nothing of the client is read
 * before: so one state a session is enough. Without core nothing that has a budget runs.
 *
 * OWNS nothing. PROCESS db gate workers. TRUST core's answer decides. SPEC lib/proto/db_msg.h
 * "SPEND".
 */
#include "gates/db/judging.h"
#include "lib/policy/database.h"
#include "lib/proto/db_msg.h"

static bool is_needed(const db_session *session, const db_ruling *ruling)
{
    const sp_decision *d = &ruling->decision;
    return d->day_rows != 0 || d->day_bytes != 0 ||
           sp_policy_budget_any(&session->snapshot->policy, &session->who, ruling->action,
                                session->resource);
}

static sp_db_spend spend_of(const db_session *session, const db_ruling *ruling)
{
    return (sp_db_spend){.session = {session->live_slot, session->live_id},
                         .action = (uint8_t)ruling->action,
                         .day_rows = ruling->decision.day_rows,
                         .day_bytes = ruling->decision.day_bytes,
                         .resource = sp_span_cstr(session->resource_name)};
}

static void on_spent(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_judge *judge = db_session_judge(session);
    (void)msg;
    (void)fds;
    judge->spend_call = 0;
    judge->spend = !sp_failed(err)          ? DB_SPEND_GRANTED
                   : err.code == SP_EDENIED ? DB_SPEND_DENIED
                                            : DB_SPEND_AWAY;
    db_session_resume(session);
}

static db_verdict ask(db_session *session, const db_ruling *ruling, uint32_t statements)
{
    db_judge *judge = db_session_judge(session);
    auto_buf sp_buf body = sp_buf_make(512);
    sp_db_spend spend = spend_of(session, ruling);
    spend.statements = statements;
    sp_db_spend_write(&spend, &body);
    judge->spend_call = sp_failed(sp_buf_error(&body))
                            ? 0
                            : sp_link_call(&db_here.office.link, SP_CORE_DB_SPEND,
                                           sp_buf_borrow(&body), NULL, 0, on_spent, session);
    judge->spend = judge->spend_call == 0 ? DB_SPEND_AWAY : DB_SPEND_ASKED;
    return DB_WAIT;
}

db_verdict db_spend(db_session *session, const db_ruling *ruling, uint32_t statements,
                    db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    if (!ruling->has_use || !is_needed(session, ruling)) {
        return DB_PASS;
    }
    if (judge->spend == DB_SPEND_ASKED ||
        (judge->spend == DB_SPEND_NONE && ask(session, ruling, statements) == DB_WAIT &&
         judge->spend == DB_SPEND_ASKED)) {
        return DB_WAIT;
    }
    uint8_t answer = judge->spend;
    judge->spend = DB_SPEND_NONE;
    if (answer == DB_SPEND_GRANTED) {
        return DB_PASS;
    }
    if (answer == DB_SPEND_DENIED) {
        db_refuse(refusal, "53400", SP_REASON_LIMIT,
                  "this is more than you may do in such a while, over all of your sessions");
    } else {
        db_refuse(refusal, "53400", SP_REASON_UNAVAILABLE,
                  "whether your budget has room for this cannot be found out now");
    }
    return DB_REFUSE;
}

static void on_told(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    (void)self; /* who is over now is locked by core, and the epoch says so */
    (void)err;
    (void)msg;
    (void)fds;
}

void db_spend_refused(db_session *session, const db_ruling *ruling)
{
    auto_buf sp_buf body = sp_buf_make(512);
    if (!ruling->has_use || !is_needed(session, ruling)) {
        return;
    }
    sp_db_spend spend = spend_of(session, ruling);
    spend.statements = 1;
    sp_db_spend_write(&spend, &body);
    if (!sp_failed(sp_buf_error(&body))) {
        (void)sp_link_call(&db_here.office.link, SP_CORE_DB_SPEND, sp_buf_borrow(&body), NULL, 0,
                           on_told, NULL);
    }
}

void db_spend_after(db_session *session, const db_ruling *ruling, uint64_t rows, uint64_t bytes)
{
    auto_buf sp_buf body = sp_buf_make(512);
    if (rows + bytes == 0 || !is_needed(session, ruling)) {
        return;
    }
    sp_db_spend spend = spend_of(session, ruling);
    spend.rows = rows;
    spend.bytes = bytes;
    sp_db_spend_write(&spend, &body);
    if (!sp_failed(sp_buf_error(&body))) {
        (void)sp_link_call(&db_here.office.link, SP_CORE_DB_SPEND, sp_buf_borrow(&body), NULL, 0,
                           on_told, NULL);
    }
}

void db_spend_gone(db_judge *judge)
{
    if (judge->spend_call != 0) {
        sp_link_forget(&db_here.office.link, judge->spend_call);
        judge->spend_call = 0;
    }
    judge->spend = DB_SPEND_NONE;
}
