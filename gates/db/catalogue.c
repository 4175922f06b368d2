/* SPDX-License-Identifier: Apache-2.0
 * Reading what a database holds, over a connection of its own, with the account of whoever came
 * first: once at the first connection, again after definitions that passed here, and whenever a
 * print of the server's catalogue has changed. OWNS the catalogues of this worker. PROCESS db gate
 * workers. TRUST rows come from the server: sizes and counts are bounded, a reading that goes wrong
 * leaves the last one in place. SPEC gates/db/judging.h; PostgreSQL 15 manual, chapter 53.
 */
#include "gates/db/judging.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"

#include <stddef.h>
#include <stdio.h>

enum {
    CARRY_MAX_BYTES = 16 << 20,
    NAMES_MAX_BYTES = 512 << 20,
    PRINT_TICKS = 5,  /* seconds between looks at the print */
    IDLE_TICKS = 120, /* without sessions, it is forgotten */
    RETRY_TICKS = 3,
    RETRY_US = 1000000,
    SILENT_US = 10000000,  /* in an answer, without a byte: as long as a log-in waits, nearly */
    ANSWER_US = 120000000, /* all of it */
    UNSEEN_US = 20000000,  /* what the server has not said again for so long is not relied on */
    TORN_MAX = 20,         /* readings that failed one after the other */
    TORN_US = 20000        /* longer by so much before each: 4 s in all */
};

static uint64_t versions; /* given out, over all catalogues of this worker */

static db_catalogue *all;

/* ---- binding ---- */

static void bind_columns(sp_sql_catalogue *now, const sp_policy *policy, uint32_t resource,
                         sp_span database, uint32_t index)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(now, index);
    for (uint32_t i = relation->first_column; i < relation->first_column + relation->column_count;
         i++) {
        sp_database_part part =
            sp_policy_database_part(policy, resource, database, relation->schema, relation->name,
                                    sp_sql_catalogue_column_at(now, i)->name);
        if (part.tags != 0) {
            const sp_sql_bound bound = {part.part, part.class_level, part.mask, part.tags};
            sp_sql_catalogue_bind_column(now, i, &bound);
        }
    }
}

void db_catalogue_bind(db_catalogue *catalogue, const sp_gate_snapshot *snapshot)
{
    if (catalogue->now == NULL || catalogue->serial == snapshot->serial) {
        return;
    }
    sp_sql_catalogue *now = catalogue->now;
    const sp_policy *policy = &snapshot->policy;
    uint32_t resource = sp_policy_resource_find(policy, sp_span_cstr(catalogue->resource));
    sp_span database = sp_span_cstr(catalogue->database);
    sp_sql_catalogue_bind_clear(now);
    for (uint32_t i = 0; resource != SP_NONE && i < sp_sql_catalogue_count(now); i++) {
        const sp_sql_relation *relation = sp_sql_catalogue_at(now, i);
        if ((relation->flags & SP_SQL_REL_SYSTEM) != 0) {
            continue;
        }
        sp_database_part part = sp_policy_database_part(
            policy, resource, database, relation->schema, relation->name, SP_SPAN_EMPTY);
        const sp_sql_bound bound = {part.part, part.class_level, part.mask, part.tags};
        sp_sql_catalogue_bind_relation(now, i, &bound);
        if (part.tags != 0) {
            bind_columns(now, policy, resource, database, i);
        }
    }
    sp_sql_catalogue_bind_finish(now);
    sp_sql_masking_bind_views(db_sql, now);
    catalogue->serial = resource != SP_NONE ? snapshot->serial : 0;
    catalogue->version = ++versions;
}

/* ---- one reading ---- */

static void wake_sessions(const db_catalogue *c)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        db_session *session = db_here.sessions[i];
        if (session != NULL && session->at == DB_AT_JUDGE && session->login != NULL &&
            sp_span_eq(sp_span_cstr(session->resource_name), sp_span_cstr(c->resource))) {
            db_session_resume(session);
        }
    }
}

static void wake_looking(const db_catalogue *c)
{
    db_place *next = NULL;
    for (db_place *place = db_here.attended; place != NULL; place = next) {
        db_session *session = place->session;
        next = place->next;
        if (session->judge->catalogue != c) {
            continue;
        }
        db_pending_looked(session);
        if (session->judge->look_us != 0) {
            db_session_resume(session);
        }
    }
}

/* An account was given too much while it was worked with. */
static void cut_dangerous(const db_catalogue *c)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        const db_session *session = db_here.sessions[i];
        if (session != NULL && session->at == DB_AT_OPEN && session->judge != NULL &&
            session->judge->catalogue == c &&
            db_dangers_of(&c->dangers, session->account) != NULL) {
            db_session_look_again(); /* at all of them */
            return;
        }
    }
}

/* An account may lose what lets it in: another session's is tried next. */
static void take_other_account(db_catalogue *c)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        const db_session *session = db_here.sessions[i];
        if (session != NULL && session->judge != NULL && session->judge->catalogue == c &&
            !sp_span_eq(sp_span_cstr(session->account), sp_span_cstr(c->account))) {
            sp_copy(c->account, session->account, sizeof(c->account));
            return;
        }
    }
}

static void fail_reading(db_catalogue *c, const char *why)
{
    if (c->failure[0] == '\0') {
        sp_log(SP_LOG_WARN, "the catalogue of %s/%s cannot be read: %s", c->resource, c->database,
               why);
    }
    snprintf(c->failure, sizeof(c->failure), "%s", why);
    sp_sql_catalogue_free(c->next_one);
    c->next_one = NULL;
    c->is_asking = c->is_torn = false;
    sp_timer_clear(db_here.loop, &c->again);
    c->torn = 0;
    c->idle_ticks = 0;
    c->failed_us = sp_loop_now_us(db_here.loop);
    sp_buf_reset(&c->carry);
    db_back_close(c->back);
    c->back = NULL;
    c->is_looked_for = c->is_listening = false;
    take_other_account(c);
    wake_sessions(c);
    wake_looking(c);
}

static sp_err begin_reading(db_catalogue *c)
{
    sp_sql_catalogue_free(c->next_one);
    c->next_one = NULL;
    TRY(sp_sql_catalogue_new(NAMES_MAX_BYTES, &c->next_one));
    const sp_policy *policy = &db_here.office.snapshot->policy;
    uint32_t resource = sp_policy_resource_find(policy, sp_span_cstr(c->resource));
    for (uint32_t i = 0; resource != SP_NONE; i++) {
        sp_span schema = sp_policy_database_schema(policy, resource, i);
        if (schema.len == 0) {
            break;
        }
        TRY(sp_sql_catalogue_path(c->next_one, schema));
    }
    c->last_oid = 0;
    c->next_lacks = false;
    db_dangers_clear(&c->next_dangers);
    return sp_ok();
}

static void ask_server(db_catalogue *c)
{
    auto_buf sp_buf text = sp_buf_make(DB_CATALOGUE_SQL_MAX);
    auto_buf sp_buf query = sp_buf_make(DB_CATALOGUE_SQL_MAX + 64);
    c->is_read = c->is_wanted || c->now == NULL;
    if (c->is_read && sp_failed(begin_reading(c))) {
        fail_reading(c, "the gate has no memory left");
        return;
    }
    c->is_wanted = c->is_looked_for = false;
    c->next_locks.count = 0;
    c->asked_us = c->heard_us = sp_loop_now_us(db_here.loop);
    if (c->is_read) {
        sp_buf_text(&text, c->torn > 0 ? "ROLLBACK;" : "");
        sp_buf_text(&text, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;");
    }
    db_catalogue_ask(c->is_read, &text);
    sp_pg_query_write(&query, sp_buf_borrow(&text));
    c->is_asking = true;
    if (sp_failed(db_stream_send(&c->back->stream, sp_buf_borrow(&query)))) {
        fail_reading(c, "the connection to the database broke");
    }
}

/* What the reading met was dropped or locked meanwhile: functions of the server (pg_get_viewdef)
 * look at what is there now, whatever the transaction sees. It is read again. False: too often. */
static bool tear_reading(db_catalogue *c, const sp_pg_error *error)
{
    static const char *const gone[] = {"42P01", "42704", "42883", "XX000", "40001", "55P03"};
    bool is_gone = false;
    for (size_t i = 0; i < SP_COUNT(gone); i++) {
        is_gone = is_gone || sp_span_eq(error->sqlstate, sp_span_cstr(gone[i]));
    }
    if (!c->is_read || !is_gone || !sp_span_eq(error->severity, SP_SPAN_LIT("ERROR")) ||
        c->torn >= TORN_MAX) {
        return false;
    }
    c->torn++;
    c->is_torn = true;
    return true;
}

static void read_anew(db_catalogue *c)
{
    c->is_torn = c->is_asking = false;
    c->is_wanted = true;
    ask_server(c);
}

static void on_again(sp_timer *timer)
{
    read_anew((db_catalogue *)(void *)((char *)timer - offsetof(db_catalogue, again)));
}

static void end_reading(db_catalogue *c)
{
    if (c->is_torn) {
        uint64_t rest_us = (uint64_t)TORN_US * (c->torn - 1);
        if (rest_us == 0 || sp_failed(sp_timer_set(db_here.loop, &c->again, rest_us))) {
            read_anew(c);
        }
        return;
    }
    c->is_asking = false;
    c->torn = 0;
    if (c->is_read) {
        if (sp_failed(sp_sql_catalogue_finish(c->next_one))) {
            fail_reading(c, "it is larger than the gate takes");
            return;
        }
        sp_sql_catalogue_free(c->now);
        c->now = SP_STEAL(c->next_one);
        c->lacks = c->next_lacks;
        db_dangers_clear(&c->dangers);
        c->dangers = c->next_dangers;
        c->next_dangers = (db_dangers){.items = NULL};
        c->version = ++versions;
        c->serial = 0;
        db_catalogue_bind(c, db_here.office.snapshot); /* answers under way are masked by it */
        c->failure[0] = '\0';
        cut_dangerous(c);
        wake_sessions(c);
    }
    c->failure[0] = '\0'; /* of a look in between */
    c->locks = c->next_locks;
    if (!c->is_wanted) {
        c->seen_us = c->asked_us;
        wake_looking(c);
    }
    if (c->is_wanted || c->is_looked_for) {
        ask_server(c);
    }
}

/* False: it went wrong and is closed. */
static bool take_message(db_catalogue *c, const sp_pg_head *head, sp_span body)
{
    if (head->type == 'A') {
        db_catalogue_look(c); /* an event trigger of the database says that something was defined */
        return c->back != NULL;
    }
    if (c->is_listening) {
        c->is_listening = head->type != 'Z'; /* a standby takes no LISTEN: then it is looked at */
        return true;
    }
    bool is_answer = c->is_asking && (!c->is_read || c->next_one != NULL);
    if (!is_answer && (head->type == 'D' || head->type == 'Z')) {
        fail_reading(c, "the server answered without having been asked");
        return false;
    }
    if (head->type == 'D') {
        if (sp_failed(db_catalogue_take_row(c, body))) {
            fail_reading(c, "the server answered what was not asked for, or too much");
            return false;
        }
    } else if (head->type == 'E') {
        sp_pg_error error = {.message = SP_SPAN_EMPTY};
        char why[120];
        SP_IGNORE(sp_pg_error_read(body, &error)); /* then the message stays empty */
        if (is_answer && tear_reading(c, &error)) {
            return true;
        }
        snprintf(why, sizeof(why), "%.*s", (int)(error.message.len < 100 ? error.message.len : 100),
                 error.message.len > 0 ? (const char *)error.message.ptr : "");
        fail_reading(c, why);
        return false;
    } else if (head->type == 'Z') {
        end_reading(c);
    }
    return c->back != NULL;
}

static void take_bytes(db_catalogue *c)
{
    size_t used = 0;
    sp_span in = sp_buf_borrow(&c->carry);
    sp_pg_head head;
    sp_err err = sp_ok();
    while (!sp_failed(err = sp_pg_head_read(sp_span_slice(in, used, in.len), &head)) &&
           in.len - used >= SP_PG_HEAD_BYTES + (size_t)head.body_len) {
        sp_span body =
            sp_span_slice(in, used + SP_PG_HEAD_BYTES, used + SP_PG_HEAD_BYTES + head.body_len);
        used += SP_PG_HEAD_BYTES + head.body_len;
        if (!take_message(c, &head, body)) {
            return;
        }
    }
    bool too_long = !sp_failed(err) && head.body_len > CARRY_MAX_BYTES - SP_PG_HEAD_BYTES;
    if ((sp_failed(err) && err.code != SP_EAGAIN) || too_long) {
        fail_reading(c, "the server sent a malformed message");
        return;
    }
    sp_buf_drop(&c->carry, used);
}

static void on_stream(db_back *back)
{
    db_catalogue *c = back->calls.self;
    sp_span bytes;
    sp_err err = sp_ok();
    SP_IGNORE(db_stream_flush(&back->stream)); /* a broken one shows when it is read */
    while (c->back == back && !sp_failed(err = db_back_hear(back, c->is_asking, &bytes))) {
        c->heard_us = sp_loop_now_us(db_here.loop);
        sp_buf_span(&c->carry, bytes);
        take_bytes(c);
    }
    if (c->back == back && err.code == SP_ELIMIT) {
        fail_reading(c, "the server says much that nobody asked for");
    } else if (c->back == back && (err.code != SP_EAGAIN || sp_failed(sp_buf_error(&c->carry)))) {
        fail_reading(c, "the connection to the database ended");
    }
}

static void on_ready(db_back *back)
{
    db_catalogue *c = back->calls.self;
    auto_buf sp_buf listen = sp_buf_make(128);
    sp_pg_query_write(&listen, SP_SPAN_LIT("LISTEN sallyport_catalogue"));
    c->is_listening = true;
    if (sp_failed(db_stream_send(&back->stream, sp_buf_borrow(&listen)))) {
        fail_reading(c, "the connection to the database broke");
        return;
    }
    ask_server(c);
}

static void on_failed(db_back *back, const char *sqlstate, const char *why)
{
    db_catalogue *c = back->calls.self;
    (void)sqlstate;
    fail_reading(c, why);
}

uint64_t db_catalogue_place(const sp_policy *policy, uint32_t resource)
{
    sp_database_resource to;
    if (resource == SP_NONE || !sp_policy_database_resource(policy, resource, &to)) {
        return 0;
    }
    uint64_t hash = sp_span_hash(to.host, (uint64_t)to.port << 8 | to.tls);
    hash = sp_span_hash(to.ca, hash);
    sp_span schema = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (schema = sp_policy_database_schema(policy, resource, i)).len > 0; i++) {
        hash = sp_span_hash(schema, hash);
    }
    return hash;
}

static void open_connection(db_catalogue *c)
{
    const sp_span pairs[] = {SP_SPAN_LIT("client_encoding"),
                             SP_SPAN_LIT("UTF8"),
                             SP_SPAN_LIT("application_name"),
                             SP_SPAN_LIT("sallyport catalogue"),
                             SP_SPAN_LIT("search_path"),
                             SP_SPAN_LIT("pg_catalog"),
                             SP_SPAN_LIT("default_transaction_read_only"),
                             SP_SPAN_LIT("on"),
                             SP_SPAN_LIT("lock_timeout"),
                             SP_SPAN_LIT("200ms")};
    const sp_policy *policy = &db_here.office.snapshot->policy;
    uint32_t resource = sp_policy_resource_find(policy, sp_span_cstr(c->resource));
    const db_back_ask ask = {.policy = policy,
                             .resource = resource,
                             .account = sp_span_cstr(c->account),
                             .database = sp_span_cstr(c->database),
                             .parameters = pairs,
                             .parameter_count = SP_COUNT(pairs) / 2};
    const db_back_calls calls = {
        .on_ready = on_ready, .on_failed = on_failed, .on_stream = on_stream, .self = c};
    if (db_catalogue_place(policy, resource) != c->place) {
        fail_reading(c, "its server is another one by now");
    } else if (resource == SP_NONE || sp_failed(db_back_open(&ask, &calls, &c->back))) {
        fail_reading(c, "the database server cannot be reached");
    }
}

/* ---- life ---- */

void db_catalogue_look(db_catalogue *c)
{
    if (c->back == NULL || c->back->state != DB_BACK_READY || c->is_asking) {
        c->is_looked_for = true; /* with the next answer, or its failure */
    } else {
        ask_server(c);
    }
}

/* Nobody looked while nobody was there; one that cannot be read is tried anew, once a second at
 * most. */
static void look_anew(db_catalogue *c)
{
    bool rested = sp_loop_now_us(db_here.loop) > c->failed_us + RETRY_US;
    if (c->back != NULL) {
        db_catalogue_look(c);
    } else if (rested) {
        c->failure[0] = '\0';
        open_connection(c);
    }
}

sp_err db_catalogue_get(db_session *session, db_catalogue **ret_catalogue)
{
    uint64_t place = db_catalogue_place(&session->snapshot->policy, session->resource);
    session->place = place;
    for (db_catalogue *c = all; c != NULL; c = c->next) {
        if (c->place == place &&
            sp_span_eq(sp_span_cstr(c->resource), sp_span_cstr(session->resource_name)) &&
            sp_span_eq(sp_span_cstr(c->database), sp_span_cstr(session->database))) {
            c->refs++;
            *ret_catalogue = c;
            look_anew(c);
            return sp_ok();
        }
    }
    db_catalogue *c = NULL;
    TRY(sp_alloc(1, sizeof(*c), &c));
    c->refs = 1;
    c->place = place;
    c->again.on_time = on_again;
    c->carry = sp_buf_make(CARRY_MAX_BYTES);
    sp_copy(c->resource, session->resource_name, sizeof(c->resource));
    sp_copy(c->database, session->database, sizeof(c->database));
    sp_copy(c->account, session->account, sizeof(c->account));
    c->next = all;
    all = c;
    open_connection(c);
    *ret_catalogue = c;
    return sp_ok();
}

void db_catalogue_unref(db_catalogue *catalogue)
{
    if (catalogue != NULL) {
        catalogue->refs--; /* kept for a while: db_catalogue_tick() */
    }
}

/* Reads again, whatever a look would say. */
static void read_again(db_catalogue *catalogue)
{
    catalogue->is_wanted = true;
    if (catalogue->back != NULL && catalogue->back->state == DB_BACK_READY &&
        !catalogue->is_asking) {
        ask_server(catalogue);
    }
}

void db_catalogue_moved_elsewhere(sp_span resource, sp_span database)
{
    for (db_catalogue *c = all; c != NULL; c = c->next) {
        if (sp_span_eq(sp_span_cstr(c->resource), resource) &&
            sp_span_eq(sp_span_cstr(c->database), database)) {
            c->stale_us = sp_loop_now_us(db_here.loop);
            read_again(c);
        }
    }
}

void db_catalogue_moved(db_catalogue *catalogue)
{
    db_catalogue_moved_elsewhere(sp_span_cstr(catalogue->resource),
                                 sp_span_cstr(catalogue->database));
    db_mesh_moved(catalogue->resource, catalogue->database);
}

static void forget(db_catalogue *c)
{
    for (db_catalogue **link = &all; *link != NULL; link = &(*link)->next) {
        if (*link == c) {
            *link = c->next;
            break;
        }
    }
    db_back_close(c->back);
    sp_timer_clear(db_here.loop, &c->again);
    sp_sql_catalogue_free(c->now);
    sp_sql_catalogue_free(c->next_one);
    db_dangers_clear(&c->dangers);
    db_dangers_clear(&c->next_dangers);
    sp_buf_done(&c->carry);
    sp_free(c);
}

/* It fell silent in the middle of an answer, or never comes to its end. */
static bool is_overdue(const db_catalogue *c)
{
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    return c->is_asking && (now_us > c->heard_us + SILENT_US || now_us > c->asked_us + ANSWER_US);
}

/* No look has succeeded for a while, and no reading is under way: names may mean other rows now. */
static bool is_unseen(const db_catalogue *c)
{
    return c->refs > 0 && c->now != NULL && !(c->is_asking && c->is_read) &&
           sp_loop_now_us(db_here.loop) > c->seen_us + UNSEEN_US;
}

void db_catalogue_tick(void)
{
    db_catalogue *next = NULL;
    for (db_catalogue *c = all; c != NULL; c = next) {
        next = c->next;
        c->idle_ticks++;
        if (is_overdue(c)) {
            fail_reading(c, "the server does not answer");
        }
        if (is_unseen(c)) {
            c->stale_us = sp_loop_now_us(db_here.loop);
        }
        if (c->refs == 0 && c->idle_ticks > IDLE_TICKS) {
            forget(c);
            continue;
        }
        if (c->back == NULL) {
            if (c->refs > 0 && c->idle_ticks % RETRY_TICKS == 0 &&
                db_here.office.snapshot != NULL) {
                open_connection(c);
            }
        } else if (c->back->state == DB_BACK_READY && !c->is_asking && c->refs > 0 &&
                   c->idle_ticks % PRINT_TICKS == 0) {
            c->is_wanted |= c->lacks;
            ask_server(c);
        }
        if (c->refs > 0 && c->idle_ticks > IDLE_TICKS) {
            c->idle_ticks = 0;
        }
    }
}
