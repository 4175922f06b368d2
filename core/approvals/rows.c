/* SPDX-License-Identifier: Apache-2.0
 * Asks and votes in the store.
 * OWNS nothing. PROCESS core. TRUST rows are core's own; bound texts may be hostile.
 * SPEC core/approvals/inside.h.
 */
#include "core/approvals/inside.h"
#include "core/clock.h"
#include "core/identity/people.h"

static const char *const migrations[] = {
    "CREATE TABLE ask (id BIGINT PRIMARY KEY, kind BIGINT NOT NULL, state BIGINT NOT NULL,"
    " action BIGINT NOT NULL, class_level BIGINT NOT NULL, asker BIGINT NOT NULL,"
    " session BIGINT NOT NULL, reference BIGINT NOT NULL, estimated BIGINT NOT NULL,"
    " keep_bytes BIGINT NOT NULL, keep_ms BIGINT NOT NULL, keep BIGINT NOT NULL,"
    " duration BIGINT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,"
    " ended BIGINT NOT NULL, sha256 BYTEA NOT NULL, approvers BYTEA NOT NULL,"
    " asker_name TEXT NOT NULL, resource TEXT NOT NULL, target TEXT NOT NULL,"
    " class_name TEXT NOT NULL, rule TEXT NOT NULL, role TEXT NOT NULL, content BYTEA NOT NULL,"
    " objects TEXT NOT NULL, plan TEXT NOT NULL, dependants TEXT NOT NULL, reason TEXT NOT NULL,"
    " ticket TEXT NOT NULL, ended_by TEXT NOT NULL);"
    "CREATE INDEX ask_state ON ask (state, created);"
    "CREATE INDEX ask_created ON ask (created);"
    "CREATE TABLE vote (ask BIGINT NOT NULL REFERENCES ask (id) ON DELETE CASCADE,"
    " person BIGINT NOT NULL, yes BIGINT NOT NULL, given BIGINT NOT NULL, name TEXT NOT NULL,"
    " reason TEXT NOT NULL, PRIMARY KEY (ask, person));"
    "CREATE TABLE role_grant (id BIGINT PRIMARY KEY, ask BIGINT NOT NULL, person BIGINT NOT NULL,"
    " role BIGINT NOT NULL, sealed BIGINT NOT NULL, started BIGINT NOT NULL,"
    " until BIGINT NOT NULL, ended BIGINT NOT NULL, person_name TEXT NOT NULL,"
    " role_name TEXT NOT NULL, reason TEXT NOT NULL, ticket TEXT NOT NULL,"
    " ended_by TEXT NOT NULL, note TEXT NOT NULL);"
    "CREATE INDEX role_grant_person ON role_grant (person, ended);"
    "CREATE INDEX role_grant_ended ON role_grant (ended, until);"
    "CREATE TABLE review (person BIGINT NOT NULL, role BIGINT NOT NULL, since BIGINT NOT NULL,"
    " due BIGINT NOT NULL, told BIGINT NOT NULL, reviewed BIGINT NOT NULL,"
    " reviewed_by TEXT NOT NULL, PRIMARY KEY (person, role));"
    "CREATE TABLE kept (id BIGINT PRIMARY KEY, ask BIGINT NOT NULL, resource TEXT NOT NULL,"
    " database TEXT NOT NULL, objects TEXT NOT NULL, whole BIGINT NOT NULL,"
    " bytes BIGINT NOT NULL, ms BIGINT NOT NULL, created BIGINT NOT NULL,"
    " expires BIGINT NOT NULL, state BIGINT NOT NULL, undone BIGINT NOT NULL,"
    " undo_ms BIGINT NOT NULL, undo_ask BIGINT NOT NULL, told TEXT NOT NULL)",
    "ALTER TABLE ask ADD COLUMN rules TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE vote ADD COLUMN sets BIGINT NOT NULL DEFAULT 1",
    "ALTER TABLE kept ADD COLUMN partly BIGINT NOT NULL DEFAULT 0;"
    "UPDATE kept SET partly = 1 WHERE state = 4",
    "ALTER TABLE kept ADD COLUMN beside BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE kept ADD COLUMN beside_ask BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE kept ADD COLUMN beside_at BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE kept ADD COLUMN beside_told TEXT NOT NULL DEFAULT ''",
};

sp_err sp_approval_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "approvals", migrations, SP_COUNT(migrations));
}

/* ---- asks ---- */

static void bind_numbers(sp_query *q, const sp_ask *ask)
{
    sp_bind_bits(q, ask->id);
    sp_bind_u64(q, ask->kind);
    sp_bind_u64(q, ask->state);
    sp_bind_u64(q, ask->action);
    sp_bind_u64(q, ask->class_level);
    sp_bind_u64(q, ask->asker);
    sp_bind_bits(q, ask->session);
    sp_bind_bits(q, ask->reference);
    sp_bind_bits(q, ask->rows);
    sp_bind_bits(q, ask->keep_bytes);
    sp_bind_bits(q, ask->keep_ms);
    sp_bind_bits(q, ask->keep);
    sp_bind_u64(q, ask->duration_s);
    sp_bind_u64(q, ask->created_unix_s);
    sp_bind_u64(q, ask->expires_unix_s);
    sp_bind_u64(q, ask->ended_unix_s);
}

sp_err sp_ask_row_add(sp_store *store, const sp_ask *ask)
{
    auto_buf sp_buf approvers = sp_buf_make(SP_ASKS_MAX * 1024);
    sp_ask_sets_write(ask, &approvers);
    TRY(sp_buf_error(&approvers));
    auto_query sp_query q = sp_query_alone(
        store, "INSERT INTO ask (id, kind, state, action, class_level, asker, session, reference,"
               " estimated, keep_bytes, keep_ms, keep, duration, created, expires, ended, sha256,"
               " approvers, asker_name, resource, target, class_name, rule, role, content, objects,"
               " plan, dependants, reason, ticket, ended_by, rules) VALUES ($1,$2,$3,$4,$5,$6,$7,"
               "$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,"
               "$28,$29,$30,$31,$32)");
    bind_numbers(&q, ask);
    sp_bind_blob(&q, sp_hash_borrow(&ask->sha256));
    sp_bind_blob(&q, sp_buf_borrow(&approvers));
    sp_bind_text(&q, ask->asker_name);
    sp_bind_text(&q, ask->resource);
    sp_bind_text(&q, ask->database);
    sp_bind_text(&q, ask->class_name);
    sp_bind_text(&q, ask->rule);
    sp_bind_text(&q, ask->role);
    sp_bind_blob(&q, ask->content);
    sp_bind_text(&q, ask->objects);
    sp_bind_text(&q, ask->plan);
    sp_bind_text(&q, ask->dependants);
    sp_bind_text(&q, ask->reason);
    sp_bind_text(&q, ask->ticket);
    sp_bind_text(&q, ask->ended_by);
    sp_bind_text(&q, ask->rules);
    return sp_query_finish(&q);
}

static void read_numbers(sp_query *q, sp_ask *ask)
{
    ask->id = sp_col_bits(q);
    ask->kind = (uint8_t)sp_col_u64(q);
    ask->state = (uint8_t)sp_col_u64(q);
    ask->action = (uint8_t)sp_col_u64(q);
    ask->class_level = (uint8_t)sp_col_u64(q);
    ask->asker = (uint32_t)sp_col_u64(q);
    ask->session = sp_col_bits(q);
    ask->reference = sp_col_bits(q);
    ask->rows = sp_col_bits(q);
    ask->keep_bytes = sp_col_bits(q);
    ask->keep_ms = sp_col_bits(q);
    ask->keep = sp_col_bits(q);
    ask->duration_s = sp_col_u64(q);
    ask->created_unix_s = sp_col_u64(q);
    ask->expires_unix_s = sp_col_u64(q);
    ask->ended_unix_s = sp_col_u64(q);
}

static sp_err read_texts(sp_query *q, sp_arena *arena, sp_ask *ask)
{
    sp_span *const texts[] = {&ask->asker_name, &ask->resource,   &ask->database, &ask->class_name,
                              &ask->rule,       &ask->role,       &ask->content,  &ask->objects,
                              &ask->plan,       &ask->dependants, &ask->reason,   &ask->ticket,
                              &ask->ended_by,   &ask->rules};
    enum { CONTENT = 6 };
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(arena, i == CONTENT ? sp_col_blob(q) : sp_col_text(q), texts[i]));
    }
    return sp_ok();
}

sp_err sp_ask_load(sp_store *store, sp_arena *arena, uint64_t id, sp_ask *ret_ask)
{
    sp_ask ask = {0};
    auto_query sp_query q = sp_query_of(
        store, "SELECT id, kind, state, action, class_level, asker, session, reference, estimated,"
               " keep_bytes, keep_ms, keep, duration, created, expires, ended, sha256, approvers,"
               " asker_name, resource, target, class_name, rule, role, content, objects, plan,"
               " dependants, reason, ticket, ended_by, rules FROM ask WHERE id = $1");
    sp_bind_bits(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    read_numbers(&q, &ask);
    sp_span hash = sp_col_blob(&q);
    if (hash.len != SP_SHA256_BYTES || ask.kind >= SP_ASK_KIND_COUNT ||
        ask.state >= SP_ASK_STATE_COUNT) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_copy(ask.sha256.bytes, hash.ptr, SP_SHA256_BYTES);
    TRY(sp_ask_sets_read(sp_col_blob(&q), &ask));
    TRY(read_texts(&q, arena, &ask));
    TRY(sp_query_finish(&q));
    *ret_ask = ask;
    return sp_ok();
}

sp_err sp_ask_row_state(sp_store *store, uint64_t id, sp_ask_state from, sp_ask_state to,
                        sp_span by, uint64_t now_unix_s)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(
        store, "UPDATE ask SET state = $1, ended_by = $2, ended = $3 WHERE id = $4 AND state = $5");
    sp_bind_u64(&q, to);
    sp_bind_text(&q, by);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, from);
    sp_err err = sp_query_finish_changed(&q);
    if (err.code == SP_ENOTFOUND) {
        return sp_fail(SP_ECONFLICT);
    }
    TRY(err);
    return sp_txn_commit(&txn);
}

sp_err sp_ask_row_try(sp_store *store, uint64_t id)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q =
        sp_query_of(store, "UPDATE ask SET state = state WHERE id = $1 AND state = $2");
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, SP_ASK_APPROVED);
    sp_err err = sp_query_finish_changed(&q);
    TRY(err.code == SP_ENOTFOUND ? sp_fail(SP_ECONFLICT) : err);
    return sp_txn_commit(&txn);
}

sp_err sp_ask_row_use(sp_store *store, uint64_t id, uint64_t now_unix_s)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE ask SET state = $1, ended_by = 'core', ended = $2 WHERE id = $3"
                           " AND state = $4");
    sp_bind_u64(&q, SP_ASK_USED);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, SP_ASK_APPROVED);
    sp_err err = sp_query_finish_changed(&q);
    return err.code == SP_ENOTFOUND ? sp_fail(SP_ECONFLICT) : err;
}

sp_err sp_ask_row_unuse(sp_store *store, const sp_ask *ask)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE ask SET state = $1, ended_by = $2, ended = $3 WHERE id = $4 AND state = $5");
    sp_bind_u64(&q, SP_ASK_APPROVED);
    sp_bind_text(&q, ask->ended_by);
    sp_bind_u64(&q, ask->ended_unix_s);
    sp_bind_bits(&q, ask->id);
    sp_bind_u64(&q, SP_ASK_USED);
    sp_err err = sp_query_finish_changed(&q);
    return err.code == SP_ENOTFOUND ? sp_fail(SP_ECONFLICT) : err;
}

sp_err sp_ask_rows_prune(sp_store *store, uint64_t before_unix_s)
{
    auto_query sp_query q =
        sp_query_alone(store, "DELETE FROM ask WHERE ended > 0 AND ended < $1 AND id NOT IN"
                              " (SELECT ask FROM kept WHERE state <> 3)");
    sp_bind_u64(&q, before_unix_s);
    return sp_query_finish(&q);
}

sp_err sp_ask_row_estimate(sp_store *store, uint64_t id, uint64_t bytes, uint64_t ms,
                           sp_span dependants)
{
    auto_query sp_query q = sp_query_alone(
        store, "UPDATE ask SET keep_bytes = $1, keep_ms = $2, dependants = $3 WHERE id = $4");
    sp_bind_bits(&q, bytes);
    sp_bind_bits(&q, ms);
    sp_bind_text(&q, dependants);
    sp_bind_bits(&q, id);
    return sp_query_finish_changed(&q);
}

sp_err sp_asks_each(sp_store *store, sp_ask_state state, uint32_t asker, sp_ask_visit visit,
                    void *self)
{
    bool any = state == SP_ASK_STATE_COUNT;
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM ask WHERE (state = $1 OR $2 = 1) AND (asker = $3 OR $4 = 1)"
               " ORDER BY created DESC, rowid DESC LIMIT 10000");
    sp_bind_u64(&q, state);
    sp_bind_u64(&q, any ? 1 : 0);
    sp_bind_u64(&q, asker);
    sp_bind_u64(&q, asker == 0 ? 1 : 0);
    while (sp_query_row(&q)) {
        if (!visit(self, sp_col_bits(&q))) {
            break;
        }
    }
    return sp_query_finish(&q);
}

sp_err sp_asks_ending(sp_store *store, sp_ask_state state, sp_ask_visit visit, void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM ask WHERE state = $1 ORDER BY expires, id LIMIT 10000");
    sp_bind_u64(&q, state);
    while (sp_query_row(&q)) {
        if (!visit(self, sp_col_bits(&q))) {
            break;
        }
    }
    return sp_query_finish(&q);
}

/* ---- votes ---- */

static sp_err count_votes(sp_store *store, uint64_t id, uint32_t sets, uint32_t *ret_count)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT COUNT(*) FROM vote v JOIN person p ON p.id = v.person"
                           " WHERE v.ask = $1 AND v.yes = 1 AND p.state = $2"
                           " AND (v.sets & $3) <> 0");
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, SP_PERSON_ACTIVE);
    sp_bind_u64(&q, sets);
    uint32_t count = sp_query_row(&q) ? (uint32_t)sp_col_u64(&q) : 0;
    TRY(sp_query_finish(&q));
    *ret_count = count;
    return sp_ok();
}

uint32_t sp_votes_count(sp_store *store, uint64_t id, uint32_t sets)
{
    uint32_t count = 0;
    SP_IGNORE(count_votes(store, id, sets, &count)); /* only to be shown */
    return count;
}

sp_err sp_ask_is_met(sp_store *store, const sp_ask *ask)
{
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        uint32_t count = 0;
        TRY(count_votes(store, ask->id, 1U << i, &count));
        if (count < ask->approvers[i].needed) {
            return sp_fail(SP_EDENIED);
        }
    }
    return ask->approvers_count > 0 ? sp_ok() : sp_fail(SP_EDENIED);
}

bool sp_vote_given(sp_store *store, uint64_t id, uint32_t person)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT yes FROM vote WHERE ask = $1 AND person = $2");
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, person);
    return sp_query_row(&q);
}

bool sp_ask_approved_by(sp_store *store, uint64_t id, uint32_t person)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT yes FROM vote WHERE ask = $1 AND person = $2 AND yes = 1");
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, person);
    return sp_query_row(&q);
}

static sp_err insert_vote(sp_store *store, uint64_t id, const sp_vote *vote)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO vote (ask, person, yes, given, name, reason, sets) VALUES ($1, $2, $3,"
               " $4, $5, $6, $7)");
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, vote->person);
    sp_bind_u64(&q, vote->yes ? 1 : 0);
    sp_bind_u64(&q, vote->when_unix_s);
    sp_bind_text(&q, vote->name);
    sp_bind_text(&q, vote->reason);
    sp_bind_u64(&q, vote->sets);
    return sp_query_finish(&q);
}

static bool is_waiting(sp_store *store, uint64_t id, uint64_t now_unix_s)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM ask WHERE id = $1 AND state = 0 AND expires > $2");
    sp_bind_bits(&q, id);
    sp_bind_u64(&q, now_unix_s);
    return sp_query_row(&q);
}

static sp_err decide(sp_store *store, const sp_ask *ask, const sp_vote *vote)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE ask SET state = $1, ended_by = $2, ended = $3, expires = $4 WHERE id = $5");
    sp_bind_u64(&q, vote->yes ? SP_ASK_APPROVED : SP_ASK_REFUSED);
    sp_bind_text(&q, vote->yes ? SP_SPAN_EMPTY : vote->name);
    sp_bind_u64(&q, vote->when_unix_s);
    sp_bind_u64(&q, vote->yes ? vote->when_unix_s + sp_ask_expires_s(ask) : ask->expires_unix_s);
    sp_bind_bits(&q, ask->id);
    return sp_query_finish_changed(&q);
}

sp_err sp_ask_row_vote(sp_store *store, const sp_ask *ask, const sp_vote *vote, bool *ret_decided)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    if (!is_waiting(store, ask->id, vote->when_unix_s)) {
        return sp_fail(SP_ECONFLICT);
    }
    TRY(insert_vote(store, ask->id, vote));
    sp_err met = vote->yes ? sp_ask_is_met(store, ask) : sp_ok();
    bool decided = met.code != SP_EDENIED;
    if (decided) {
        TRY(met);
        TRY(decide(store, ask, vote));
    }
    TRY(sp_txn_commit(&txn));
    *ret_decided = decided;
    return sp_ok();
}

sp_err sp_votes_each(sp_store *store, uint64_t id, void (*visit)(void *self, const sp_vote *vote),
                     void *self)
{
    auto_query sp_query q = sp_query_of(
        store,
        "SELECT person, yes, given, name, reason, sets FROM vote WHERE ask = $1 ORDER BY given");
    sp_bind_bits(&q, id);
    while (sp_query_row(&q)) {
        sp_vote vote = {.person = (uint32_t)sp_col_u64(&q)};
        vote.yes = sp_col_u64(&q) == 1;
        vote.when_unix_s = sp_col_u64(&q);
        vote.name = sp_col_text(&q);
        vote.reason = sp_col_text(&q);
        vote.sets = (uint32_t)sp_col_u64(&q);
        visit(self, &vote);
    }
    return sp_query_finish(&q);
}

uint64_t sp_asks_since(sp_store *store, uint32_t asker, uint64_t since_unix_s)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT COUNT(*) FROM ask WHERE asker = $1 AND created >= $2");
    sp_bind_u64(&q, asker);
    sp_bind_u64(&q, since_unix_s);
    return sp_query_row(&q) ? sp_col_u64(&q) : 0;
}

uint64_t sp_asks_of_day(sp_store *store, uint32_t asker, sp_ask_kind kind, uint64_t now_unix_s)
{
    enum { DAY_S = 86400 };
    auto_query sp_query q =
        sp_query_of(store, "SELECT COUNT(*) FROM ask WHERE asker = $1 AND kind = $2"
                           " AND created > $3 AND created <= $4");
    sp_bind_u64(&q, asker);
    sp_bind_u64(&q, kind);
    sp_bind_u64(&q, now_unix_s - DAY_S);
    sp_bind_u64(&q, now_unix_s);
    return sp_query_row(&q) ? sp_col_u64(&q) : SP_ASKS_DAY_MAX;
}

sp_err sp_approval_rows_move(sp_store *store, int64_t by_s)
{
    static const char *const moves[] = {
        "UPDATE ask SET expires = " SP_CLOCK_MOVED("expires", "$1") " WHERE state IN ($2, $3)",
        "UPDATE role_grant SET until = " SP_CLOCK_MOVED("until", "$1") " WHERE ended = 0",
    };
    for (size_t i = 0; i < SP_COUNT(moves); i++) {
        auto_query sp_query q = sp_query_of(store, moves[i]);
        sp_bind_bits(&q, (uint64_t)by_s);
        if (i == 0) {
            sp_bind_u64(&q, SP_ASK_WAITING);
            sp_bind_u64(&q, SP_ASK_APPROVED);
        }
        TRY(sp_query_finish(&q));
    }
    return sp_ok();
}
