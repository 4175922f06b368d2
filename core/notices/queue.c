/* SPDX-License-Identifier: Apache-2.0
 * One queue a channel: what is due goes to the courier as fast as the channel takes it, and what
 * became of it goes into the store.
 * OWNS the line to the courier, jobs under way. PROCESS core. TRUST results come from the courier,
 * bounded; a number that is not under way is acknowledged and ignored.
 * SPEC lib/proto/courier_msg.h, core/notices/README.md "Queue".
 */
#include "core/notices/queue.h"

#include "core/http/sse.h"
#include "core/sinks/sinks.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum {
    TICKS_OF_GONE = 40,
    /* two seconds */ MAIL_AT_ONCE = 96,
    POSTS_AT_ONCE = 2,
    RETRY_MOST_S = 6 * 3600,
    ARENA_BYTES = 1 << 22
};
#define SECOND_US UINT64_C(1000000)

static uint64_t now_s(void)
{
    return sp_now_unix_us() / SECOND_US;
}

/* ---- channels ---- */

/* Of no channel, or of one that no document names any more; it is empty then. */
static bool is_free(const notice_queue *q, queue_channel *c)
{
    sp_policy_channel doc;
    if (c->name[0] != '\0' && (c->under_way > 0 || !sp_failed(sp_policy_set_channel(
                                                       sp_documents_set(q->core->state->documents),
                                                       sp_span_cstr(c->name), &doc)))) {
        return false;
    }
    *c = (queue_channel){.under_way = 0};
    return true;
}

static queue_channel *channel_named(notice_queue *q, sp_span name)
{
    for (size_t i = 0; i < SP_COUNT(q->channels); i++) {
        if (q->channels[i].name[0] != '\0' && sp_span_eq(sp_span_cstr(q->channels[i].name), name)) {
            return &q->channels[i];
        }
    }
    for (size_t i = 0; i < SP_COUNT(q->channels); i++) {
        queue_channel *c = &q->channels[i];
        if (is_free(q, c) && !sp_failed(sp_fit(c->name, sizeof(c->name), name))) {
            return c;
        }
    }
    return NULL;
}

/* At most per_minute in any minute: a tenth of it at once, the rest over the minute. */
static void refill(queue_channel *c, const sp_policy_channel *doc, uint64_t now_us)
{
    uint64_t most = doc->per_minute / 10 == 0 ? 1 : doc->per_minute / 10;
    uint64_t rate = doc->per_minute > most ? doc->per_minute - most : 1;
    if (c->filled_us == 0) {
        c->tokens_us = most * 60 * SECOND_US / rate;
    } else {
        c->tokens_us += now_us - c->filled_us;
    }
    uint64_t cost_us = 60 * SECOND_US / rate;
    c->cost_us = cost_us == 0 ? 1 : cost_us;
    c->filled_us = now_us;
    c->tokens_us = c->tokens_us > most * c->cost_us ? most * c->cost_us : c->tokens_us;
}

/* ---- jobs under way ---- */

static moving *moving_find(notice_queue *q, uint64_t job)
{
    for (size_t i = 0; i < SP_COUNT(q->moving); i++) {
        for (size_t k = 0; k < q->moving[i].count; k++) {
            if (q->moving[i].ids[k] == job) {
                return &q->moving[i];
            }
        }
    }
    return NULL;
}

static moving *moving_free(notice_queue *q)
{
    for (size_t i = 0; i < SP_COUNT(q->moving); i++) {
        if (q->moving[i].count == 0) {
            return &q->moving[i];
        }
    }
    return NULL;
}

static void moving_drop(moving *m)
{
    if (m->channel != NULL && m->channel->under_way > 0) {
        m->channel->under_way--;
    }
    *m = (moving){.count = 0};
}

/* What went out as one is separate again, and due. */
static sp_err free_digest(notice_queue *q, uint64_t leader)
{
    auto_query sp_query one =
        sp_query_of(q->core->store, "UPDATE delivery SET digest = 0 WHERE digest = $1");
    sp_bind_u64(&one, leader);
    return sp_query_finish(&one);
}

static sp_err free_digest_of(notice_queue *q, const moving *m)
{
    auto_txn sp_txn txn = sp_txn_begin(q->core->store);
    TRY(txn.err);
    TRY(free_digest(q, m->ids[0]));
    return sp_txn_commit(&txn);
}

/* The courier has not taken it: it goes out again. */
static void moving_back(notice_queue *q, moving *m)
{
    sp_err err = m->count > 1 ? free_digest_of(q, m) : sp_ok();
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "a digest of notices waits for the courier's next start: %s",
               sp_code_word(err.code));
    }
    moving_drop(m);
}

/* ---- results ---- */

static void note_failure(moving *m, sp_span why)
{
    m->why[0] = '\0';
    SP_IGNORE(sp_fit(m->why, sizeof(m->why), sp_text_cut(why, sizeof(m->why) - 1))); /* it fits */
}

static void set_result(moving *m, sp_courier_outcome outcome, uint32_t retry_after_s, sp_span why)
{
    m->is_over = true;
    m->outcome = (uint8_t)outcome;
    m->retry_after_s = retry_after_s;
    note_failure(m, why);
}

static sp_err add_tried(sp_arena *arena, delivery_row *d)
{
    auto_buf sp_buf tried = sp_buf_make(4096);
    sp_buf_span(&tried, d->tried);
    sp_buf_span(&tried, d->channel);
    sp_buf_byte(&tried, '\n');
    TRY(sp_buf_error(&tried));
    return sp_arena_copy(arena, sp_buf_borrow(&tried), &d->tried);
}

/* This channel is given up: the next one, or nobody is reached. */
static sp_err give_up(notice_queue *q, sp_arena *arena, delivery_row *d)
{
    notice_person person;
    auto_notice notice_row notice = {0};
    TRY(add_tried(arena, d));
    d->attempts = 0;
    d->next_unix_s = now_s();
    delivery_row last = *d;
    d->channel = SP_SPAN_EMPTY;
    if (d->person != 0 && !sp_failed(notice_person_load(q->core->store, d->person, &person)) &&
        !sp_failed(notice_row_load(q->core->store, d->notice, &notice))) {
        TRY(notice_choose(q->core, arena, &notice, &person, d));
    }
    if (d->channel.len == 0) {
        d->stage = DELIVERY_UNREACHED;
        d->channel = last.channel; /* where it ended */
        d->address = last.address;
    }
    return sp_ok();
}

static sp_err settle(notice_queue *q, const moving *m, sp_arena *arena, delivery_row *d)
{
    sp_policy_channel doc = {.attempts = 1};
    d->why = sp_span_cstr(m->why);
    switch ((sp_courier_outcome)m->outcome) {
    case SP_COURIER_HANDED:
        d->stage = DELIVERY_HANDED;
        d->why = SP_SPAN_EMPTY;
        return sp_ok();
    case SP_COURIER_REJECTED:
        return give_up(q, arena, d);
    case SP_COURIER_THROTTLED:
        return sp_ok(); /* it waits with its channel */
    case SP_COURIER_FAILED:
    case SP_COURIER_OUTCOME_COUNT:
        break;
    }
    if (sp_failed(
            sp_policy_set_channel(sp_documents_set(q->core->state->documents), d->channel, &doc)) ||
        ++d->attempts >= doc.attempts) {
        return give_up(q, arena, d);
    }
    uint64_t wait_s = (uint64_t)doc.retry_s << (d->attempts > 16 ? 16 : d->attempts - 1);
    d->next_unix_s = now_s() + (wait_s > RETRY_MOST_S ? RETRY_MOST_S : wait_s);
    return sp_ok();
}

static sp_err keep_result(notice_queue *q, const moving *m, sp_arena *arena)
{
    for (size_t i = 0; i < m->count; i++) {
        delivery_row d;
        sp_err err = delivery_load(q->core->store, arena, m->ids[i], &d);
        if (err.code == SP_ENOTFOUND || (!sp_failed(err) && d.stage != DELIVERY_WAITING)) {
            continue; /* expired meanwhile */
        }
        TRY(err);
        TRY(settle(q, m, arena, &d));
        TRY(delivery_keep(q->core->store, &d, now_s()));
    }
    return sp_ok();
}

static sp_err keep_results(notice_queue *q, sp_courier_jobs *acked)
{
    sp_arena arena = sp_arena_make(ARENA_BYTES);
    auto_txn sp_txn txn = sp_txn_begin(q->core->store);
    sp_err err = txn.err;
    for (size_t i = 0; i < SP_COUNT(q->moving) && !sp_failed(err); i++) {
        if (q->moving[i].count > 0 && q->moving[i].is_over) {
            acked->jobs[acked->count++] = q->moving[i].ids[0];
            err = keep_result(q, &q->moving[i], &arena);
        }
    }
    sp_arena_done(&arena);
    TRY(err);
    return sp_txn_commit(&txn);
}

static void tell_channel(moving *m)
{
    queue_channel *c = m->channel;
    uint64_t now_us = sp_now_steady_us();
    if (c == NULL) {
        return;
    }
    if (m->outcome == SP_COURIER_HANDED) {
        c->handed += m->count;
        c->failing = false;
        return;
    }
    c->failing = true;
    c->failed_unix_s = now_s();
    sp_copy(c->why, m->why, sizeof(c->why));
    if (m->outcome == SP_COURIER_THROTTLED) {
        uint64_t wait_s = m->retry_after_s == 0 ? 60 : m->retry_after_s;
        c->paused_us = now_us + wait_s * SECOND_US;
        c->paused_unix_s = now_s() + wait_s;
    }
}

static void on_ignored(void *self, sp_err err, sp_span body)
{
    (void)self;
    (void)err;
    (void)body;
}

static void acknowledge(notice_queue *q, const sp_courier_jobs *jobs)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_courier_jobs_write(jobs, &body);
    sp_line_call(q->line, SP_COURIER_ACK, sp_buf_borrow(&body), on_ignored, NULL);
}

static void flush(notice_queue *q)
{
    sp_courier_jobs acked = {.count = 0};
    if (q->over == 0) {
        return;
    }
    sp_err err = keep_results(q, &acked);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "results of notices were not kept, again in a moment: %s",
               sp_store_error_text(q->core->store));
        return;
    }
    for (size_t i = 0; i < SP_COUNT(q->moving); i++) {
        if (q->moving[i].count > 0 && q->moving[i].is_over) {
            tell_channel(&q->moving[i]);
            moving_drop(&q->moving[i]);
        }
    }
    q->over = 0;
    q->changed = true;
    acknowledge(q, &acked);
}

/* ---- the courier's words ---- */

static void over(notice_queue *q, moving *m, const sp_courier_done *done)
{
    if (!m->is_over) {
        set_result(m, (sp_courier_outcome)done->outcome, done->retry_after_s, done->why);
        q->over++;
    }
}

static void on_push(void *self, uint16_t kind, sp_span body)
{
    notice_queue *q = self;
    sp_courier_done done;
    if (kind != SP_COURIER_DONE) {
        sp_sinks_on_push(q->core, kind, body);
        return;
    }
    if (sp_failed(sp_courier_done_read(body, &done))) {
        return;
    }
    moving *m = moving_find(q, done.job);
    if ((done.job & SP_NOTICE_POST_BIT) != 0) {
        notice_post_over(q, &done);
    }
    if (m != NULL) {
        over(q, m, &done);
    } else {
        const sp_courier_jobs stranger = {.jobs = {done.job}, .count = 1};
        acknowledge(q, &stranger);
    }
}

static void load_members(notice_queue *q, moving *m, uint64_t leader)
{
    auto_query sp_query query =
        sp_query_of(q->core->store, "SELECT id FROM delivery WHERE digest = $1 ORDER BY id");
    m->ids[m->count++] = leader;
    sp_bind_u64(&query, leader);
    while (m->count < NOTICE_DIGEST_MAX && sp_query_row(&query)) {
        m->ids[m->count++] = sp_col_u64(&query);
    }
}

static bool is_known(const sp_courier_jobs *known, uint64_t job)
{
    for (size_t i = 0; i < known->count; i++) {
        if (known->jobs[i] == job) {
            return true;
        }
    }
    return false;
}

static sp_err leaders_after(notice_queue *q, uint64_t after, uint64_t *room, size_t limit,
                            size_t *ret_count)
{
    auto_query sp_query all =
        sp_query_of(q->core->store, "SELECT DISTINCT digest FROM delivery WHERE digest > $1"
                                    " ORDER BY digest LIMIT $2");
    sp_bind_u64(&all, after);
    sp_bind_u64(&all, limit);
    *ret_count = 0;
    while (*ret_count < limit && sp_query_row(&all)) {
        room[(*ret_count)++] = sp_col_u64(&all);
    }
    return sp_query_finish(&all);
}

/* Digests that nobody carries any more come apart. */
static sp_err free_digests(notice_queue *q, const sp_courier_jobs *known)
{
    uint64_t leaders[64];
    size_t count = SP_COUNT(leaders);
    uint64_t last = 0;
    auto_txn sp_txn txn = sp_txn_begin(q->core->store);
    TRY(txn.err);
    while (count == SP_COUNT(leaders)) {
        TRY(leaders_after(q, last, leaders, SP_COUNT(leaders), &count));
        for (size_t i = 0; i < count; i++) {
            last = leaders[i];
            if (!is_known(known, last) && moving_find(q, last) == NULL) {
                TRY(free_digest(q, last));
            }
        }
    }
    return sp_txn_commit(&txn);
}

static void take_known(notice_queue *q, uint64_t job)
{
    sp_arena arena = sp_arena_make(64 * 1024);
    delivery_row d;
    moving *m = moving_free(q);
    if (m != NULL && !sp_failed(delivery_load(q->core->store, &arena, job, &d))) {
        m->channel = channel_named(q, d.channel);
        if (m->channel != NULL) {
            m->channel->under_way++;
        }
        load_members(q, m, job);
    }
    sp_arena_done(&arena);
}

static void on_hello(void *self, sp_err err, sp_span body)
{
    notice_queue *q = self;
    sp_courier_jobs known = {.count = 0};
    if (sp_failed(err) || sp_failed(sp_courier_jobs_read(body, &known))) {
        return; /* the line breaks, or the next HELLO tells more */
    }
    for (size_t i = 0; i < SP_COUNT(q->moving); i++) {
        moving *m = &q->moving[i];
        if (m->count > 0 && !m->is_over && !is_known(&known, m->ids[0])) {
            moving_drop(m); /* the courier has lost it: it goes out again */
        }
    }
    for (size_t i = 0; i < known.count; i++) {
        bool is_post = (known.jobs[i] & SP_NOTICE_POST_BIT) != 0;
        if (!is_post && moving_find(q, known.jobs[i]) == NULL) {
            take_known(q, known.jobs[i]);
        }
    }
    if (sp_failed(free_digests(q, &known))) {
        sp_log(SP_LOG_ERROR, "digests of notices were not freed: %s",
               sp_store_error_text(q->core->store));
    }
    notice_posts_known(q, &known);
    q->ready = true;
    sp_sinks_send(q->core);
}

static void on_up(void *self)
{
    notice_queue *q = self;
    q->ready = false;
    sp_line_call(q->line, SP_COURIER_HELLO, SP_SPAN_EMPTY, on_hello, q);
}

/* ---- handing over ---- */

typedef struct {
    notice_queue *queue;
    uint64_t job;
} handing;

static void on_taken(void *self, sp_err err, sp_span body)
{
    handing *h = self;
    moving *m = moving_find(h->queue, h->job);
    (void)body;
    if (m != NULL && !m->is_over && sp_failed(err) && err.code != SP_EEXISTS) {
        if (err.code == SP_EINVALID || err.code == SP_ESHORT) {
            set_result(m, SP_COURIER_REJECTED, 0, SP_SPAN_LIT("the courier cannot read it"));
            h->queue->over++;
        } else {
            moving_back(h->queue, m); /* too many, or it is away */
        }
    }
    sp_free(h);
}

static void call(notice_queue *q, const sp_courier_job *job)
{
    handing *h = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_courier_job_write(job, &body);
    moving *m = moving_find(q, job->job);
    if (sp_failed(sp_buf_error(&body)) || sp_failed(sp_alloc(1, sizeof(*h), &h))) {
        if (m != NULL) {
            moving_back(q, m);
        }
        return;
    }
    *h = (handing){q, job->job};
    sp_line_call(q->line, SP_COURIER_JOB, sp_buf_borrow(&body), on_taken, h);
}

static sp_err make_job(notice_queue *q, const sp_policy_channel *doc, const delivery_row *rows,
                       size_t count, sp_arena *arena)
{
    moving *m = moving_find(q, rows[0].id);
    sp_courier_job job = {0};
    auto_notice_text notice_text text = {0};
    sp_err err = notice_compose(q->core, doc, rows, count, arena, &text, &job);
    if (sp_failed(err)) {
        set_result(m, SP_COURIER_REJECTED, 0, SP_SPAN_LIT("its text could not be written"));
        q->over++;
        return err.code == SP_ENOMEM ? err : sp_ok();
    }
    call(q, &job);
    return sp_ok();
}

static sp_err mark_digest(notice_queue *q, const delivery_row *rows, size_t count)
{
    auto_txn sp_txn txn = sp_txn_begin(q->core->store);
    TRY(txn.err);
    for (size_t i = 1; i < count; i++) {
        auto_query sp_query one =
            sp_query_of(q->core->store, "UPDATE delivery SET digest = $1 WHERE id = $2");
        sp_bind_u64(&one, rows[0].id);
        sp_bind_u64(&one, rows[i].id);
        TRY(sp_query_finish(&one));
    }
    return sp_txn_commit(&txn);
}

static sp_err hand_over(notice_queue *q, queue_channel *c, const sp_policy_channel *doc,
                        const delivery_row *rows, size_t count)
{
    moving *m = moving_free(q);
    if (m == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    if (count > 1) {
        TRY(mark_digest(q, rows, count));
    }
    *m = (moving){.channel = c};
    for (size_t i = 0; i < count; i++) {
        m->ids[m->count++] = rows[i].id;
    }
    c->under_way++;
    c->tokens_us -= c->cost_us;
    sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_err err = make_job(q, doc, rows, count, &arena);
    sp_arena_done(&arena);
    return err;
}

/* How many of the rows, from the first on, go out as one: posts that would have to wait. */
static size_t together(const queue_channel *c, const sp_policy_channel *doc,
                       const delivery_row *rows, size_t count)
{
    size_t most = count < NOTICE_DIGEST_MAX ? count : NOTICE_DIGEST_MAX;
    size_t len = 1;
    if (doc->via == SP_CHANNEL_EMAIL || count * c->cost_us <= c->tokens_us ||
        rows[0].severity >= SP_SEVERITY_HIGH) {
        return 1;
    }
    while (len < most && rows[len].severity < SP_SEVERITY_HIGH) {
        len++;
    }
    return len;
}

/* All that is due for the same person or group, as one. */
static sp_err collect(notice_queue *q, queue_channel *c, const sp_policy_channel *doc,
                      const delivery_row *first, sp_arena *arena)
{
    delivery_row rows[NOTICE_DIGEST_MAX];
    size_t count = 0;
    size_t fresh = 0;
    TRY(delivery_companions(q->core->store, arena, first, now_s(), rows, NOTICE_DIGEST_MAX,
                            &count));
    for (size_t i = 0; i < count; i++) {
        if (moving_find(q, rows[i].id) == NULL) {
            rows[fresh++] = rows[i];
        }
    }
    return fresh == 0 ? hand_over(q, c, doc, first, 1) : hand_over(q, c, doc, rows, fresh);
}

static sp_err send_due(notice_queue *q, queue_channel *c, const sp_policy_channel *doc,
                       sp_arena *arena)
{
    size_t at_once = doc->via == SP_CHANNEL_EMAIL ? MAIL_AT_ONCE : POSTS_AT_ONCE;
    size_t most = doc->via == SP_CHANNEL_EMAIL ? MAIL_AT_ONCE : 2 * NOTICE_DIGEST_MAX;
    static delivery_row rows[2 * MAIL_AT_ONCE]; /* one thread */
    size_t count = 0;
    size_t fresh = 0;
    TRY(delivery_due(q->core->store, arena, sp_span_cstr(c->name), now_s(), most + c->under_way,
                     rows, &count));
    for (size_t i = 0; i < count; i++) { /* what is under way is due as well */
        if (moving_find(q, rows[i].id) == NULL) {
            rows[fresh++] = rows[i];
        }
    }
    for (size_t i = 0; i < fresh && c->under_way < at_once && c->tokens_us >= c->cost_us;) {
        size_t len = together(c, doc, &rows[i], fresh - i);
        if (moving_find(q, rows[i].id) != NULL) {
            len = 1; /* it went with one before it */
        } else if (doc->digest_s > 0 && rows[i].severity < SP_SEVERITY_HIGH) {
            len = 1;
            TRY(collect(q, c, doc, &rows[i], arena));
        } else {
            TRY(hand_over(q, c, doc, &rows[i], len));
        }
        i += len;
    }
    return sp_ok();
}

static void pump(notice_queue *q)
{
    const sp_policy_set *set = sp_documents_set(q->core->state->documents);
    uint64_t now_us = sp_now_steady_us();
    for (size_t i = 0; i < sp_policy_set_channel_count(set); i++) {
        sp_policy_channel doc;
        sp_policy_set_channel_at(set, i, &doc);
        queue_channel *c = channel_named(q, doc.name);
        if (c == NULL) {
            continue;
        }
        refill(c, &doc, now_us);
        if (c->paused_us > now_us || c->tokens_us < c->cost_us) {
            continue;
        }
        sp_arena arena = sp_arena_make(ARENA_BYTES);
        sp_err err = send_due(q, c, &doc, &arena);
        sp_arena_done(&arena);
        if (sp_failed(err) && err.code != SP_ELIMIT) {
            sp_log(SP_LOG_ERROR, "notices of channel %s were not handed over: %s", c->name,
                   sp_code_word(err.code));
        }
    }
}

/* ---- channels that are gone ---- */

static sp_err move_one(notice_queue *q, uint64_t id, sp_arena *arena)
{
    delivery_row d;
    sp_err err = delivery_load(q->core->store, arena, id, &d);
    if (err.code == SP_ENOTFOUND || (!sp_failed(err) && d.stage != DELIVERY_WAITING)) {
        return sp_ok();
    }
    TRY(err);
    d.why = SP_SPAN_LIT("its channel was taken out of the documents");
    TRY(give_up(q, arena, &d));
    return delivery_keep(q->core->store, &d, now_s());
}

/* What waits on a channel that no document names any more, some at a time. */
static sp_err move_on(notice_queue *q, sp_span channel, size_t *ret_moved)
{
    enum { AT_A_TIME = 100 };
    uint64_t ids[AT_A_TIME];
    size_t count = 0;
    *ret_moved = 0;
    {
        auto_query sp_query found = sp_query_of(
            q->core->store, "SELECT id FROM delivery WHERE channel = $1 AND stage = $2 LIMIT $3");
        sp_bind_text(&found, channel);
        sp_bind_u64(&found, DELIVERY_WAITING);
        sp_bind_u64(&found, AT_A_TIME);
        while (count < AT_A_TIME && sp_query_row(&found)) {
            ids[count++] = sp_col_u64(&found);
        }
        TRY(sp_query_finish(&found));
    }
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    auto_txn sp_txn txn = sp_txn_begin(q->core->store);
    TRY(txn.err);
    for (size_t i = 0; i < count; i++) {
        if (moving_find(q, ids[i]) == NULL) { /* else the courier says what became of it */
            TRY(move_one(q, ids[i], &arena));
            (*ret_moved)++;
        }
    }
    return sp_txn_commit(&txn);
}

static void look_for_gone(notice_queue *q)
{
    enum { CHANNELS_MOST = 16 };
    char names[CHANNELS_MOST][SP_NAME_MAX_BYTES + 1];
    size_t count = 0;
    const sp_policy_set *set = sp_documents_set(q->core->state->documents);
    {
        auto_query sp_query found =
            sp_query_of(q->core->store, "SELECT DISTINCT channel FROM delivery WHERE stage = $1");
        sp_bind_u64(&found, DELIVERY_WAITING);
        while (count < CHANNELS_MOST && sp_query_row(&found)) {
            sp_policy_channel doc;
            sp_span name = sp_col_text(&found);
            if (name.len > 0 && sp_failed(sp_policy_set_channel(set, name, &doc)) &&
                !sp_failed(sp_fit(names[count], sizeof(names[count]), name))) {
                count++;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t moved = 0;
        sp_err err = move_on(q, sp_span_cstr(names[i]), &moved);
        if (sp_failed(err) || moved > 0) {
            sp_log(
                SP_LOG_WARN,
                "channel %s is in no document any more: %zu notices that waited on it go on (%s)",
                names[i], moved, sp_code_word(err.code));
            q->changed = true;
        }
    }
}

void notice_queue_wake(notice_queue *queue)
{
    queue->changed = true;
}

void notice_queue_tick(notice_queue *queue)
{
    flush(queue);
    if (queue->ready && ++queue->ticks >= TICKS_OF_GONE) {
        queue->ticks = 0;
        look_for_gone(queue);
    }
    if (queue->ready && sp_line_is_up(queue->line)) {
        pump(queue);
    }
    if (queue->changed && ++queue->quiet_ticks >= 10) { /* the console: not more often than that */
        queue->quiet_ticks = 0;
        queue->changed = false;
        sp_sse_publish(queue->core, SP_TOPIC_HEALTH, 0, "notices", json_object());
    }
}

bool notice_is_moving(const notice_queue *queue, uint64_t leader)
{
    for (size_t i = 0; i < SP_COUNT(queue->moving); i++) {
        if (queue->moving[i].count > 0 && queue->moving[i].ids[0] == leader) {
            return true;
        }
    }
    return false;
}

bool notice_courier_is_up(const notice_queue *queue)
{
    return queue->ready && sp_line_is_up(queue->line);
}

sp_err notice_queue_new(sp_core *core, notice_queue **ret_queue)
{
    auto_free notice_queue *queue = NULL;
    auto_free char *path = NULL;
    TRY(sp_alloc(1, sizeof(*queue), &queue));
    queue->core = core;
    TRY(sp_config_socket(core->config, "courier", &path));
    const sp_line_calls calls = {.on_up = on_up, .on_push = on_push, .self = queue};
    TRY(sp_line_new(core->loop, path, &calls, &queue->line));
    *ret_queue = SP_STEAL(queue);
    return sp_ok();
}

void notice_queue_free(notice_queue *queue)
{
    if (queue != NULL) {
        flush(queue);
        sp_line_free(queue->line);
        sp_free(queue);
    }
}
