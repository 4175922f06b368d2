/* SPDX-License-Identifier: Apache-2.0
 * What a person may carry off in a day, over all sessions and gates.
 *
 * Story: before a statement runs that has such a limit, a portion of what is left is granted to it,
 * under its reference; when its answer has used that up, the gate stops it and asks for the next.
 * What is granted counts as carried off at once; what was not used comes back when the statement
 * is over. So all answers together never bring more than the day has, and a gate that dies with a
 * grant has used it. Where nothing is left but what others of the person hold, the question waits
 * for one of them to end, a few seconds.
 *
 * Counters are kept in memory and written once a second: there may be thousands of reads.
 *
 * OWNS counters, grants, questions that wait. PROCESS core. TRUST a gate may be taken over: it can
 * use up a living person's day, and give back only what was granted to it. SPEC docs/POLICY.md
 * "Rule", lib/proto/db_msg.h "SPEND".
 */
#include "core/database/inside.h"
#include "core/documents/documents.h"
#include "infra/proc/clock.h"
#include "infra/proc/zone.h"

enum {
    DAYS_MAX = 4096,
    GRANT_BUCKETS = 1024,
    GRANTS_MAX = SP_DB_CONNECTIONS_MAX,
    WAITING_MAX = 1024,
    PORTIONS = 16, /* of a day: so many statements of a person go on side by side */
    PORTION_MIN_ROWS = 64,
    PORTION_MIN_BYTES = 64 * 1024
};
#define WAIT_US UINT64_C(4000000)

/* One person's day. */
typedef struct {
    uint64_t day;  /* of the office, as day_clock.h counts */
    uint64_t rows; /* carried off, and granted */
    uint64_t bytes;
    uint64_t granted_rows; /* of these */
    uint64_t granted_bytes;
    uint32_t person; /* 0 = free */
    bool changed;
} day_count;

/* To one statement. */
typedef struct grant {
    struct grant *next;  /* in its bucket */
    const sp_peer *peer; /* compared only; what it had goes with it */
    uint64_t reference;
    uint64_t day;
    uint64_t rows;
    uint64_t bytes;
    uint32_t person;
} grant;

/* A question for which somebody else's grant has to end. */
typedef struct waiting {
    struct waiting *next;
    sp_peer *peer;
    sp_msg to;
    sp_db_spend ask;
    char resource[SP_NAME_MAX_BYTES + 1];
    uint64_t due_us;
} waiting;

struct sp_db_days {
    day_count days[DAYS_MAX];
    grant *grants[GRANT_BUCKETS];
    size_t grant_count;
    waiting *waiting;
    size_t waiting_count;
    uint64_t zone_version; /* of the documents that the zone is from */
    sp_zone zone;
    sp_day_clock clock;
};

/* ---- the store ---- */

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

static sp_err write_days(sp_store *store, sp_db_days *days)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    for (size_t i = 0; i < DAYS_MAX; i++) {
        if (days->days[i].changed) {
            TRY(write_day(store, &days->days[i]));
        }
    }
    TRY(sp_txn_commit(&txn));
    for (size_t i = 0; i < DAYS_MAX; i++) {
        days->days[i].changed = false;
    }
    return sp_ok();
}

sp_err sp_db_days_flush(sp_store *store, sp_db_days *days)
{
    bool any = false;
    for (size_t i = 0; i < DAYS_MAX; i++) {
        any = any || days->days[i].changed;
    }
    return any ? write_days(store, days) : sp_ok();
}

sp_err sp_db_days_new(sp_db_days **ret_days)
{
    return sp_alloc(1, sizeof(**ret_days), ret_days);
}

sp_err sp_db_days_write_clock(sp_store *store, const sp_db_days *days)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO day_clock (one, hold, held, ahead, longer) VALUES (1, $1, $2, $3, $4) "
               "ON CONFLICT (one) DO UPDATE SET hold = $1, held = $2, ahead = $3, longer = $4");
    sp_bind_u64(&q, days->clock.hold_s);
    sp_bind_u64(&q, days->clock.held);
    sp_bind_bits(&q, (uint64_t)days->clock.ahead);
    sp_bind_u64(&q, days->clock.is_longer ? 1 : 0);
    return sp_query_finish(&q);
}

sp_err sp_db_days_read_clock(sp_store *store, sp_db_days *days)
{
    sp_day_clock *clock = &days->clock;
    auto_query sp_query q = sp_query_of(store, "SELECT hold, held, ahead, longer FROM day_clock");
    if (sp_query_row(&q)) {
        clock->hold_s = sp_col_u64(&q);
        clock->held = sp_col_u64(&q);
        clock->ahead = (int64_t)sp_col_bits(&q);
        clock->is_longer = sp_col_u64(&q) == 1;
    }
    return sp_query_finish(&q);
}

static void waiting_free(waiting *w)
{
    sp_peer_unref(w->peer);
    sp_free(w);
}

void sp_db_days_free(sp_db_days *days)
{
    for (size_t i = 0; days != NULL && i < GRANT_BUCKETS; i++) {
        while (days->grants[i] != NULL) {
            grant *g = days->grants[i];
            days->grants[i] = g->next;
            sp_free(g);
        }
    }
    while (days != NULL && days->waiting != NULL) {
        waiting *w = days->waiting;
        days->waiting = w->next;
        waiting_free(w);
    }
    sp_free(days);
}

/* ---- which day it is ---- */

/* East of UTC, where the office is. */
static int32_t office_offset_s(const sp_databases *databases, uint64_t now_unix_s)
{
    sp_db_days *days = databases->days;
    const sp_documents *documents = databases->core->state->documents;
    uint64_t version = sp_documents_version(documents);
    if (days->zone_version != version || days->zone.count == 0) {
        const sp_policy_set *set = sp_documents_set(documents);
        sp_policy_office office = {.time_zone = SP_SPAN_EMPTY};
        if (set != NULL) {
            office = sp_policy_set_office(set);
        }
        days->zone_version = version;
        if (office.time_zone.len == 0 ||
            sp_failed(sp_zone_system(&now_unix_s, office.time_zone, &days->zone))) {
            days->zone = (sp_zone){.count = 1};
        }
    }
    int32_t offset_s = 0;
    for (size_t i = 0; i < days->zone.count; i++) {
        if (i == 0 || days->zone.steps[i].from_unix_s <= (int64_t)now_unix_s) {
            offset_s = days->zone.steps[i].offset_s;
        }
    }
    return offset_s;
}

static uint64_t local_s(const sp_databases *databases, uint64_t now_unix_s)
{
    int64_t local = (int64_t)now_unix_s + office_offset_s(databases, now_unix_s);
    return local > 0 ? (uint64_t)local : 0;
}

uint64_t sp_db_days_day(const sp_databases *databases, uint64_t now_unix_s)
{
    return sp_day_clock_day(&databases->days->clock, local_s(databases, now_unix_s));
}

void sp_db_days_clock_set(sp_databases *databases, uint64_t now_unix_s, int64_t by_s)
{
    databases->days->zone.count = 0; /* its steps are those of about now */
    sp_day_clock_set(&databases->days->clock, local_s(databases, now_unix_s), by_s);
}

sp_err sp_db_days_right(sp_databases *databases, uint64_t now_unix_s)
{
    sp_store *store = databases->core->store;
    uint64_t newest = 0;
    auto_query sp_query q = sp_query_of(store, "SELECT COALESCE(MAX(day), 0) FROM budget_day");
    if (sp_query_row(&q)) {
        newest = sp_col_u64(&q);
    }
    TRY(sp_query_finish(&q));
    sp_day_clock_right(&databases->days->clock, local_s(databases, now_unix_s), newest);
    return sp_db_days_write_clock(store, databases->days);
}

sp_err sp_db_days_today(sp_databases *databases, sp_db_spent_visit visit, void *self)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_db_budgets_flush(databases, now_unix_s);
    auto_query sp_query q =
        sp_query_of(databases->core->store,
                    "SELECT person, rows, bytes FROM budget_day WHERE day = $1 ORDER BY person");
    sp_bind_u64(&q, sp_db_days_day(databases, now_unix_s));
    while (sp_query_row(&q)) {
        sp_db_spent found = {.person = (uint32_t)sp_col_u64(&q)};
        found.rows = sp_col_u64(&q);
        found.bytes = sp_col_u64(&q);
        visit(self, &found);
    }
    return sp_query_finish(&q);
}

/* The person's slot, of whatever day; else one that is free, or that is written and of a day that
 * is over or of somebody who holds nothing now: his day is read back. NULL: no room. A slot that
 * was taken is never free again, so none lies behind a free one. */
static day_count *slot_of(sp_db_days *days, uint32_t person, uint64_t day)
{
    size_t from = (person * (size_t)2654435761U) % DAYS_MAX;
    day_count *spare = NULL;
    for (size_t i = 0; i < DAYS_MAX; i++) {
        day_count *d = &days->days[(from + i) % DAYS_MAX];
        if (d->person == person) {
            return d;
        }
        bool holds = d->day == day && (d->granted_rows > 0 || d->granted_bytes > 0);
        if (spare == NULL && (d->person == 0 || (!d->changed && !holds))) {
            spare = d;
        }
        if (d->person == 0) {
            break;
        }
    }
    return spare;
}

/* What is granted of a day that is read back: it was counted when it was written. */
static void add_granted(const sp_db_days *days, day_count *d)
{
    for (size_t i = 0; i < GRANT_BUCKETS; i++) {
        for (const grant *g = days->grants[i]; g != NULL; g = g->next) {
            bool is_of = g->person == d->person && g->day == d->day;
            d->granted_rows += is_of ? g->rows : 0;
            d->granted_bytes += is_of ? g->bytes : 0;
        }
    }
}

/* The person's day: found, or read back in place of the day that is over. NULL: no room, or the
 * store fails. */
static day_count *day_of(const sp_db_spending *s, uint64_t day)
{
    sp_db_days *days = s->databases->days;
    sp_store *store = s->databases->core->store;
    uint32_t person = s->session->person;
    day_count *d = slot_of(days, person, day);
    if (d == NULL && !sp_failed(sp_db_days_flush(store, days))) {
        d = slot_of(days, person, day);
    }
    if (d == NULL || (d->person == person && d->day == day)) {
        return d;
    }
    day_count fresh = {.person = person, .day = day};
    if ((d->changed && sp_failed(sp_db_days_flush(store, days))) ||
        sp_failed(read_day(store, &fresh))) {
        return NULL;
    }
    add_granted(days, &fresh);
    *d = fresh;
    return d;
}

/* Of a person who has been counted; NULL: of today or yesterday, as it was when he was. */
static day_count *counted(sp_db_days *days, uint32_t person)
{
    day_count *d = slot_of(days, person, 0);
    return d != NULL && d->person == person ? d : NULL;
}

static void add(uint64_t *sum, uint64_t more)
{
    bool full = __builtin_add_overflow(*sum, more, sum) || *sum > INT64_MAX;
    *sum = full ? INT64_MAX : *sum;
}

static void take(uint64_t *sum, uint64_t less)
{
    *sum = *sum > less ? *sum - less : 0;
}

/* ---- grants ---- */

static grant **grant_of(sp_db_days *days, const sp_peer *peer, uint64_t reference)
{
    grant **at = &days->grants[reference % GRANT_BUCKETS];
    while (*at != NULL && ((*at)->reference != reference || (*at)->peer != peer)) {
        at = &(*at)->next;
    }
    return at;
}

static void take_out(sp_db_days *days, grant **at)
{
    grant *g = *at;
    *at = g->next;
    days->grant_count--;
    sp_free(g);
}

/* What was granted has been counted: now it is what was carried off. Of a day that is over all of
 * it stays counted. */
static void settle(day_count *d, grant *g, uint64_t rows, uint64_t bytes)
{
    if (g->day == d->day) {
        take(&d->rows, g->rows);
        take(&d->bytes, g->bytes);
        take(&d->granted_rows, g->rows);
        take(&d->granted_bytes, g->bytes);
    }
    g->rows = g->bytes = 0;
    add(&d->rows, rows);
    add(&d->bytes, bytes);
    d->changed = true;
}

bool sp_db_days_carried(sp_db_days *days, const sp_peer *peer, uint64_t reference, uint64_t rows,
                        uint64_t bytes)
{
    grant *g = *grant_of(days, peer, reference);
    day_count *d = g != NULL ? counted(days, g->person) : NULL;
    if (d != NULL) {
        settle(d, g, rows, bytes);
    }
    return g != NULL;
}

bool sp_db_days_end(sp_db_days *days, const sp_peer *peer, uint64_t reference, uint64_t rows,
                    uint64_t bytes)
{
    bool had = sp_db_days_carried(days, peer, reference, rows, bytes);
    if (had) {
        take_out(days, grant_of(days, peer, reference));
    }
    return had;
}

/* How much of a limit (0 = none) is granted. SP_EDENIED: not so much is left; SP_EAGAIN: it would
 * be, if what others hold came back. */
static sp_err portion(uint64_t most, uint64_t used, uint64_t granted, uint64_t needed,
                      uint64_t smallest, uint64_t *ret_portion)
{
    uint64_t left = most > used ? most - used : 0;
    uint64_t slice = most / PORTIONS > smallest ? most / PORTIONS : smallest;
    slice = slice > needed ? slice : needed;
    if (most != 0 && left < needed) {
        return sp_fail(left + granted >= needed ? SP_EAGAIN : SP_EDENIED);
    }
    *ret_portion = most == 0 ? 0 : (slice < left ? slice : left);
    return sp_ok();
}

static sp_err give(const sp_db_spend *ask, day_count *d, grant *g, sp_db_granted *ret_granted,
                   const char **ret_what)
{
    sp_db_granted granted = {0, 0};
    uint64_t next_bytes = ask->next_bytes > 0 ? ask->next_bytes : 1;
    *ret_what = "rows a day";
    TRY(portion(ask->day_rows, d->rows, d->granted_rows, 1, PORTION_MIN_ROWS, &granted.rows));
    *ret_what = "bytes a day";
    TRY(portion(ask->day_bytes, d->bytes, d->granted_bytes, next_bytes, PORTION_MIN_BYTES,
                &granted.bytes));
    g->day = d->day;
    g->rows = granted.rows;
    g->bytes = granted.bytes;
    d->granted_rows += granted.rows;
    d->granted_bytes += granted.bytes;
    add(&d->rows, granted.rows);
    add(&d->bytes, granted.bytes);
    d->changed = true;
    *ret_granted = granted;
    return sp_ok();
}

static sp_err find_or_make(const sp_db_spending *s, grant **at)
{
    sp_db_days *days = s->databases->days;
    if (*at != NULL) {
        return (*at)->person == s->session->person ? sp_ok() : sp_fail(SP_EDENIED);
    }
    if (days->grant_count >= GRANTS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(**at), at));
    **at = (grant){.peer = s->peer, .reference = s->ask->reference, .person = s->session->person};
    days->grant_count++;
    return sp_ok();
}

/* The first portion, or the next: then what has been carried off of the last is told. */
static sp_err grant_more(const sp_db_spending *s, day_count *d, sp_db_granted *ret_granted)
{
    grant **at = grant_of(s->databases->days, s->peer, s->ask->reference);
    const char *what = NULL;
    TRY(find_or_make(s, at));
    settle(d, *at, s->ask->carried_rows, s->ask->bytes);
    sp_err err = give(s->ask, d, *at, ret_granted, &what);
    if (sp_failed(err)) {
        take_out(s->databases->days, at);
    }
    if (err.code == SP_EDENIED) {
        sp_db_tell_over(s, SP_SPAN_EMPTY, false, what);
    }
    return err;
}

/* Without a grant: what has left counts even when it is over. */
static sp_err count(const sp_db_spending *s, day_count *d)
{
    const sp_db_spend *ask = s->ask;
    const char *what = sp_db_over(d->rows, ask->carried_rows, ask->day_rows, "rows a day");
    if (what == NULL) {
        what = sp_db_over(d->bytes, ask->bytes, ask->day_bytes, "bytes a day");
    }
    if (what != NULL && !sp_db_is_after(ask)) {
        sp_db_tell_over(s, SP_SPAN_EMPTY, false, what);
        return sp_fail(SP_EDENIED);
    }
    add(&d->rows, ask->carried_rows);
    add(&d->bytes, ask->bytes);
    d->changed = true;
    return what != NULL ? sp_fail(SP_EDENIED) : sp_ok();
}

sp_err sp_db_days_spend(const sp_db_spending *s, sp_db_granted *ret_granted)
{
    if (s->ask->day_rows == 0 && s->ask->day_bytes == 0) {
        return sp_ok();
    }
    day_count *d = day_of(s, sp_db_days_day(s->databases, s->now_unix_s));
    if (d == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    return s->ask->wants != 0 ? grant_more(s, d, ret_granted) : count(s, d);
}

/* ---- waiting for others ---- */

sp_err sp_db_days_wait(sp_db_days *days, sp_peer *peer, const sp_msg *msg, const sp_db_spend *ask)
{
    waiting *w = NULL;
    waiting **end = &days->waiting;
    if (days->waiting_count >= WAITING_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*w), &w));
    *w = (waiting){.peer = sp_peer_ref(peer),
                   .to = {.kind = msg->kind, .id = msg->id},
                   .ask = *ask,
                   .due_us = sp_now_steady_us() + WAIT_US};
    SP_IGNORE(
        sp_fit(w->resource, sizeof(w->resource), ask->resource)); /* it was read by its size */
    w->ask.resource = sp_span_cstr(w->resource);
    w->ask.carried_rows = w->ask.bytes = 0; /* that has been counted */
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = w;
    days->waiting_count++;
    return sp_ok();
}

void sp_db_days_retry(sp_databases *databases, uint64_t now_us)
{
    sp_db_days *days = databases->days;
    waiting **at = &days->waiting;
    while (*at != NULL) {
        waiting *w = *at;
        sp_db_granted granted = {0, 0};
        sp_err err = sp_db_spend_now(databases, SP_GATE_DB, w->peer, &w->ask, &granted);
        if (err.code == SP_EAGAIN && now_us < w->due_us) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        days->waiting_count--;
        sp_db_spend_reply(w->peer, &w->to, err, &granted);
        waiting_free(w);
    }
}

void sp_db_days_forget(sp_db_days *days, const sp_peer *peer, uint64_t reference)
{
    waiting **at = &days->waiting;
    while (*at != NULL) {
        waiting *w = *at;
        if (w->peer != peer || (reference != 0 && w->ask.reference != reference)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        days->waiting_count--;
        sp_db_spend_reply(w->peer, &w->to, sp_fail(SP_EDENIED), &(sp_db_granted){0, 0});
        waiting_free(w);
    }
}

void sp_db_days_gone(sp_db_days *days, const sp_peer *peer)
{
    sp_db_days_forget(days, peer, 0);
    for (size_t i = 0; i < GRANT_BUCKETS; i++) {
        grant **at = &days->grants[i];
        while (*at != NULL) {
            grant *g = *at;
            day_count *d = g->peer == peer ? counted(days, g->person) : NULL;
            if (d != NULL && d->day == g->day) {
                settle(d, g, g->rows, g->bytes); /* as if all of it had been carried off */
            }
            if (g->peer == peer) {
                take_out(days, at);
            } else {
                at = &g->next;
            }
        }
    }
}
