/* SPDX-License-Identifier: Apache-2.0
 * What others have to say before something is done: people who agree to exactly these bytes, and
 * budgets. For channels that start (start.c) and for single requests of sftp (sftp_judge.c).
 *
 * Each call leads to one word, perhaps at once; ASKED comes before AGREED. Whoever asks judges
 * again by the policy of now before he goes on.
 *
 * OWNS nothing: a consent is in place. PROCESS ssh gate workers. TRUST core's answers are checked.
 * SPEC lib/proto/db_msg.h "ASK", "SPEND".
 */
#include "gates/ssh/gate.h"
#include "lib/policy/database.h"

#include <stdio.h>

static sg_consent *waiting; /* for a push */

/* ---- parts ---- */

static void stop_waiting(sg_consent *consent)
{
    if (consent->back == NULL) {
        return;
    }
    *consent->back = consent->next;
    if (consent->next != NULL) {
        consent->next->back = consent->back;
    }
    consent->back = NULL;
}

static void wait_for_push(sg_consent *consent)
{
    consent->next = waiting;
    consent->back = &waiting;
    if (waiting != NULL) {
        waiting->back = &consent->next;
    }
    waiting = consent;
}

static void drop_ask(sg_consent *consent)
{
    stop_waiting(consent);
    if (consent->ask == 0) {
        return;
    }
    auto_buf sp_buf body = sp_buf_make(64);
    sp_db_ask_id_write(&(sp_db_ask_id){consent->ask}, &body);
    (void)sp_link_tell(&sg_here.office.link, SP_CORE_DB_ASK_DROP, sp_buf_borrow(&body));
    consent->ask = 0;
}

void sg_consent_gone(sg_consent *consent)
{
    drop_ask(consent);
    if (consent->call != 0) {
        sp_link_forget(&sg_here.office.link, consent->call);
        consent->call = 0;
    }
}

static void say_no(sg_consent *consent, sp_reason reason, const char *text)
{
    consent->on_word(consent, SG_REFUSED, reason, text);
}

static void call(sg_consent *consent, uint16_t kind, const sp_buf *body, sp_link_reply on_reply)
{
    consent->call = sp_failed(sp_buf_error(body))
                        ? 0
                        : sp_link_call(&sg_here.office.link, kind, sp_buf_borrow(body), NULL, 0,
                                       on_reply, consent);
    if (consent->call == 0) {
        say_no(consent, SP_REASON_UNAVAILABLE, "the office cannot be asked now");
    }
}

static sp_ssh_session live_of(const sg_conn *conn)
{
    return (sp_ssh_session){.slot = conn->rider.slot, .id = conn->rider.id};
}

/* ---- other people ---- */

static void on_asked(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sg_consent *consent = self;
    sp_db_ask_id id = {0};
    (void)fds;
    consent->call = 0;
    if (msg == NULL || (!sp_failed(err) && sp_failed(sp_db_ask_id_read(msg->body, &id)))) {
        say_no(consent, SP_REASON_UNAVAILABLE, "nobody could be asked: the office is away");
    } else if (sp_failed(err)) {
        say_no(consent, SP_REASON_APPROVAL,
               err.code == SP_ELIMIT ? "too much of yours waits for others, or did within a day"
                                     : "nobody could approve this");
    } else {
        char text[160];
        char reference[SP_REFERENCE_TEXT_BYTES];
        consent->ask = id.ask;
        wait_for_push(consent);
        sp_reference_text(consent->reference, reference);
        snprintf(text, sizeof(text), "this waits until %u other %s%s (reference %s)",
                 (unsigned)consent->needed, consent->needed == 1 ? "person agrees" : "people agree",
                 consent->rules > 1 ? ", and those of other rules" : "", reference);
        consent->on_word(consent, SG_ASKED, SP_REASON_NONE, text);
    }
}

void sg_consent_place(const sg_channel *channel, sp_buf *out)
{
    sp_buf_fmt(out, "%s@%s", channel->conn->account, channel->conn->resource_name);
}

void sg_consent_ask(sg_consent *consent, const sp_decision *decision, sp_action action,
                    sp_span bytes)
{
    const sg_conn *conn = consent->channel->conn;
    auto_buf sp_buf shown = sp_buf_make(SP_DB_STATEMENT_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_DB_STATEMENT_MAX_BYTES + SP_DB_OBJECTS_MAX_BYTES + 4096);
    drop_ask(consent); /* an earlier one, to which too few or others agreed by now */
    sp_buf_seen(&shown, bytes);
    if (sp_failed(sp_buf_error(&shown))) {
        say_no(consent, SP_REASON_LIMIT,
               "others cannot agree to what cannot be shown to them whole");
        return;
    }
    if (decision->asks_apart) {
        say_no(consent, SP_REASON_APPROVAL,
               "more rules ask others for parts of this than can be asked for at once");
        return;
    }
    consent->needed = decision->approvals;
    consent->rules = decision->asks_count;
    consent->asked = sp_decision_agreed(&conn->snapshot->policy, decision);
    consent->hash = sp_sha256(bytes);
    sp_db_ask ask = {.connection = conn->connection,
                     .session = live_of(conn),
                     .reference = consent->reference,
                     .action = (uint8_t)action,
                     .class_level = decision->class_level,
                     .needed = decision->approvals,
                     .resource = sp_span_cstr(conn->resource_name),
                     .statement = sp_buf_borrow(&shown),
                     .rules_count = decision->asks_count,
                     .objects = SP_SPAN_LIT("[]")};
    for (uint8_t i = 0; i < decision->asks_count; i++) {
        ask.rules[i] = sp_policy_rule_name(&conn->snapshot->policy, decision->asks[i]);
    }
    sp_copy(ask.sha256, consent->hash.bytes, SP_SHA256_BYTES);
    sp_db_ask_write(&ask, &body);
    call(consent, SP_CORE_DB_ASK, &body, on_asked);
}

static void on_used(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sg_consent *consent = self;
    (void)fds;
    consent->call = 0;
    if (msg == NULL || sp_failed(err)) {
        say_no(consent, SP_REASON_APPROVAL,
               "the approval could not be used: it may have been used or have expired");
        return;
    }
    consent->used = consent->ask;
    consent->ask = 0;
    consent->on_word(consent, SG_USED, SP_REASON_NONE, "");
}

void sg_consent_use(sg_consent *consent)
{
    auto_buf sp_buf body = sp_buf_make(256);
    sp_db_ask_use use = {.ask = consent->ask, .session = live_of(consent->channel->conn)};
    sp_copy(use.sha256, consent->hash.bytes, SP_SHA256_BYTES);
    sp_db_ask_use_write(&use, &body);
    call(consent, SP_CORE_DB_ASK_USE, &body, on_used);
}

static sg_consent *consent_of(uint64_t ask)
{
    sg_consent *consent = waiting;
    while (consent != NULL && consent->ask != ask) {
        consent = consent->next;
    }
    return consent;
}

void sg_consent_push(const sp_db_ask_done *done)
{
    sg_consent *consent = consent_of(done->ask);
    char text[240];
    if (consent == NULL) {
        return;
    }
    stop_waiting(consent);
    if (done->verdict != SP_VERDICT_ALLOW) {
        consent->ask = 0;
        snprintf(text, sizeof(text), "others did not agree to this: %.*s",
                 (int)(done->reason.len < 180 ? done->reason.len : 180),
                 done->reason.len > 0 ? (const char *)done->reason.ptr : "");
        say_no(consent, SP_REASON_APPROVAL, text);
        return;
    }
    snprintf(text, sizeof(text), "approved by %.*s", (int)(done->by.len < 180 ? done->by.len : 180),
             done->by.len > 0 ? (const char *)done->by.ptr : "");
    consent->on_word(consent, SG_AGREED, SP_REASON_NONE, text);
}

/* ---- budgets ---- */

bool sg_consent_costs(const sg_conn *conn, const sp_decision *decision, sp_action action)
{
    return decision->day_rows != 0 || decision->day_bytes != 0 ||
           sp_policy_budget_any(&conn->snapshot->policy, &conn->rider.who, 1U << action,
                                conn->resource);
}

static void put_spend(const sg_conn *conn, const sp_decision *decision, sp_action action,
                      uint64_t reference, uint64_t bytes, sp_buf *body)
{
    const sp_db_spend spend = {.session = live_of(conn),
                               .reference = reference,
                               .action = (uint8_t)action,
                               .actions = 1U << action,
                               .statements = bytes == 0,
                               .bytes = bytes,
                               .day_rows = decision->day_rows,
                               .day_bytes = decision->day_bytes,
                               .resource = sp_span_cstr(conn->resource_name)};
    sp_db_spend_write(&spend, body);
}

static void on_spent(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sg_consent *consent = self;
    (void)msg;
    (void)fds;
    consent->call = 0;
    if (!sp_failed(err)) {
        consent->on_word(consent, SG_SPENT, SP_REASON_NONE, "");
    } else if (err.code == SP_EDENIED) {
        say_no(consent, SP_REASON_LIMIT,
               "this is more than you may do in such a while, over all of your sessions");
    } else {
        say_no(consent, SP_REASON_UNAVAILABLE,
               "whether your budget has room for this cannot be found out now");
    }
}

void sg_consent_spend(sg_consent *consent, const sp_decision *decision, sp_action action)
{
    auto_buf sp_buf body = sp_buf_make(512);
    put_spend(consent->channel->conn, decision, action, consent->reference, 0, &body);
    call(consent, SP_CORE_DB_SPEND, &body, on_spent);
}

/* ---- what passed ---- */

static void on_counted(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sg_channel *channel = self;
    (void)msg;
    (void)fds;
    channel->count_call = 0;
    if (err.code == SP_EDENIED) {
        sg_channel_deny(channel, SP_REASON_LIMIT,
                        "this is more than you may carry off in a day, over all of your sessions");
    }
}

/* What left the machine since it was told last; of terminals too, since that is a way out. */
void sg_consent_count(sg_channel *channel, bool ends)
{
    uint64_t passed = sg_relay_printed(channel);
    const sp_decision *decision = &channel->terms.counted;
    if (channel->state != SG_CH_RUNS || decision->day_bytes == 0 || passed == channel->told_bytes ||
        (channel->count_call != 0 && !ends)) {
        return;
    }
    auto_buf sp_buf body = sp_buf_make(512);
    put_spend(channel->conn, decision, channel->terms.counted_action, channel->reference,
              passed - channel->told_bytes, &body);
    channel->told_bytes = passed;
    uint32_t id = sp_failed(sp_buf_error(&body))
                      ? 0
                      : sp_link_call(&sg_here.office.link, SP_CORE_DB_SPEND, sp_buf_borrow(&body),
                                     NULL, 0, on_counted, channel);
    if (ends) {
        sp_link_forget(&sg_here.office.link, id); /* it counts; there is nothing left to end */
    } else {
        channel->count_call = id;
    }
}

void sg_consent_forget(sg_channel *channel)
{
    if (channel->count_call != 0) {
        sp_link_forget(&sg_here.office.link, channel->count_call);
        channel->count_call = 0;
    }
}
