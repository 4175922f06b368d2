/* SPDX-License-Identifier: Apache-2.0
 * Attempts that were refused: each counts as a statement in the budgets of its person. The gate
 * refuses by itself, so anybody can have thousands of them in a second, and core has one thread, a
 * worker one line to it. So those of one kind are summed, and told ten times a second at most,
 * while nothing else waits for the line. They are told with the time of the first: what stands in a
 * socket while core is away counts when it was done, not when core reads it. What could not be told
 * within a minute is told no more. That is an event.
 *
 * OWNS what is summed, one list a worker. PROCESS db gate workers. TRUST the list has a maximum, a
 * session too few kinds to fill it. SPEC lib/proto/db_msg.h "SPEND".
 */
#include "gates/db/judging.h"
#include "infra/proc/clock.h"
#include "lib/base/mem.h"

enum {
    KINDS_MAX = 1024,
    KINDS_EACH = 8, /* of one session: others are joined to its last */
    PAUSE_US = 100000,
    OLD_US = 60 * 1000000,
    TOLD_FOR_MS = 3600 * 1000, /* by then a core that stands still has been ended */
    BODY_MAX_BYTES = 512
};

typedef struct {
    sp_db_spend spend;
    char resource[DB_NAME_BYTES];
    uint64_t since_us; /* when the first was refused */
} kind;

static struct {
    kind kinds[KINDS_MAX];
    size_t count;
    uint64_t told_us;
    sp_timer timer;
    bool waits;
    kind sent;       /* core was told of it and has not answered: what is told while nobody listens
                        would stand in the socket as long */
    uint32_t call;   /* 0 = it has */
    size_t batch;    /* so many are told one behind the other */
    uint64_t untold; /* attempts that core will not hear of */
} own;

static void write_one(const kind *one, sp_buf *body)
{
    sp_db_spend spend = one->spend;
    spend.resource = sp_span_cstr(one->resource);
    sp_db_spend_write(&spend, body);
}

static void forget_old(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < own.count; i++) {
        if (own.told_us - own.kinds[i].since_us > OLD_US) {
            own.untold += own.kinds[i].spend.statements;
        } else {
            own.kinds[kept++] = own.kinds[i];
        }
    }
    own.count = kept;
}

static void tell_untold(void)
{
    if (own.untold == 0) {
        return;
    }
    const sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = sp_recorder_reference(),
        .kind = SP_EVENT_DECISION,
        .severity = SP_SEVERITY_MEDIUM,
        .gate = SP_GATE_DB,
        .action = SP_ACTION_EXECUTE,
        .verdict = SP_VERDICT_DENY,
        .reason = SP_REASON_UNAVAILABLE,
        .count = own.untold,
        .method = SP_SPAN_LIT("BUDGET"),
        .object = SP_SPAN_LIT("refused attempts that budgets do not count: core was away"),
    };
    if (sp_recorder_put(&db_here.recorder, &event) != 0) {
        own.untold = 0;
    }
}

static void on_time(sp_timer *timer);

static void wait_for(uint64_t time_us)
{
    own.timer.on_time = on_time;
    own.waits = own.waits || !sp_failed(sp_timer_set(db_here.loop, &own.timer, time_us));
}

static void take_first(void)
{
    own.sent = own.kinds[0];
    own.count--;
    for (size_t i = 0; i < own.count; i++) {
        own.kinds[i] = own.kinds[i + 1];
    }
}

static void tell_next(void);

static void on_told(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    (void)self;
    (void)msg;
    (void)fds;
    own.call = 0;
    bool is_lost = err.code == SP_ECLOSED || err.code == SP_ETIMEOUT;
    if (is_lost && own.count < KINDS_MAX) {
        own.kinds[own.count++] = own.sent;
        wait_for(PAUSE_US);
    } else if (is_lost) {
        own.untold += own.sent.spend.statements;
    } else if (own.batch > 0) {
        tell_next();
    } else if (own.count == 0) {
        tell_untold();
    }
}

static void tell_next(void)
{
    sp_link *link = &db_here.office.link;
    auto_buf sp_buf body = sp_buf_make(BODY_MAX_BYTES);
    if (own.count == 0 || own.call != 0 || link->unsent.len > 0) {
        return;
    }
    write_one(&own.kinds[0], &body);
    if (!sp_failed(sp_buf_error(&body))) {
        own.call =
            sp_link_call(link, SP_CORE_DB_SPEND, sp_buf_borrow(&body), NULL, 0, on_told, &own);
    }
    if (own.call != 0) {
        sp_link_allow(link, own.call, TOLD_FOR_MS);
        own.batch -= own.batch > 0 ? 1 : 0;
        take_first();
    }
}

static void on_time(sp_timer *timer)
{
    (void)timer;
    own.waits = false;
    own.told_us = sp_loop_now_us(db_here.loop);
    forget_old();
    own.batch = own.count;
    tell_next();
    if (own.count > 0) {
        wait_for(PAUSE_US);
    }
}

void db_attempts_tell(void)
{
    for (size_t i = 0; i < own.count; i++) {
        auto_buf sp_buf body = sp_buf_make(BODY_MAX_BYTES);
        write_one(&own.kinds[i], &body);
        (void)sp_link_tell(&db_here.office.link, SP_CORE_DB_SPEND, sp_buf_borrow(&body));
    }
    own.count = 0;
}

/* Of that kind, or the last of the session when it has too many. */
static kind *find(const db_session *session, uint32_t actions)
{
    kind *last = NULL;
    size_t count = 0;
    for (size_t i = 0; i < own.count; i++) {
        kind *one = &own.kinds[i];
        if (one->spend.session.id != session->live_id ||
            !sp_span_eq(sp_span_cstr(one->resource), sp_span_cstr(session->resource_name))) {
            continue;
        }
        if (one->spend.actions == actions) {
            return one;
        }
        last = one;
        count++;
    }
    return count >= KINDS_EACH || own.count == KINDS_MAX ? last : NULL;
}

static kind *add(const db_session *session, sp_action action, uint32_t actions)
{
    if (own.count == KINDS_MAX) {
        return NULL;
    }
    kind *one = &own.kinds[own.count++];
    *one = (kind){.since_us = sp_loop_now_us(db_here.loop),
                  .spend = {.session = {session->live_slot, session->live_id},
                            .action = (uint8_t)action,
                            .actions = actions,
                            .when_unix_s = sp_now_unix_us() / 1000000}};
    sp_copy(one->resource, session->resource_name, sizeof(one->resource));
    return one;
}

void db_attempts_add(const db_session *session, sp_action action, uint32_t actions)
{
    kind *one = find(session, actions);
    one = one != NULL ? one : add(session, action, actions);
    if (one == NULL) {
        own.untold++;
    } else if (one->spend.statements < UINT32_MAX) {
        one->spend.statements++;
        one->spend.actions |= actions;
    }
    if (!own.waits) {
        uint64_t since_us = sp_loop_now_us(db_here.loop) - own.told_us;
        if (since_us < PAUSE_US) {
            wait_for(PAUSE_US - since_us);
        } else {
            on_time(&own.timer);
        }
    }
}
