/* SPDX-License-Identifier: Apache-2.0
 * Sessions in the store: they survive a restart of core.
 * OWNS nothing. PROCESS core. TRUST rows are core's own. SPEC core/sessions/inside.h.
 */
#include "core/clock.h"
#include "core/sessions/inside.h"

static const char *const migrations[] = {
    "CREATE TABLE session (id BIGINT PRIMARY KEY, person BIGINT NOT NULL, device BIGINT NOT NULL,"
    " kind BIGINT NOT NULL, strength BIGINT NOT NULL, started BIGINT NOT NULL,"
    " auth BIGINT NOT NULL, seen BIGINT NOT NULL, expires BIGINT NOT NULL,"
    " name TEXT NOT NULL, peer TEXT NOT NULL, agent TEXT NOT NULL);"
    "CREATE INDEX session_person ON session (person);"
    "CREATE TABLE token (hash BYTEA PRIMARY KEY, session BIGINT NOT NULL REFERENCES session (id)"
    " ON DELETE CASCADE, host TEXT NOT NULL);"
    "CREATE INDEX token_session ON token (session)",
};

sp_err sp_session_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "sessions", migrations, SP_COUNT(migrations));
}

static sp_err insert_token(sp_store *store, uint64_t id, const sp_hash *token, sp_span host)
{
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO token (hash, session, host) VALUES ($1, $2, $3)");
    sp_bind_blob(&q, sp_hash_borrow(token));
    sp_bind_bits(&q, id);
    sp_bind_text(&q, host);
    return sp_query_finish(&q);
}

static sp_err insert_session(sp_store *store, const sp_session_slot *slot)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO session (id, person, device, kind, strength, started, auth, seen, "
               "expires, name, peer, agent) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)");
    sp_bind_bits(&q, slot->id);
    sp_bind_u64(&q, slot->person);
    sp_bind_bits(&q, slot->device);
    sp_bind_u64(&q, slot->kind);
    sp_bind_u64(&q, slot->strength);
    sp_bind_u64(&q, slot->started_unix_s);
    sp_bind_u64(&q, slot->auth_unix_s);
    sp_bind_u64(&q, slot->seen_unix_s);
    sp_bind_u64(&q, slot->expires_unix_s);
    sp_bind_text(&q, sp_span_cstr(slot->person_name));
    sp_bind_text(&q, sp_span_cstr(slot->peer));
    sp_bind_text(&q, sp_span_cstr(slot->user_agent));
    return sp_query_finish(&q);
}

static sp_err certificate_seen(sp_store *store, const sp_hash *certificate)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE device_cert SET seen = 1 WHERE fingerprint = $1");
    sp_bind_blob(&q, sp_hash_borrow(certificate));
    return sp_query_finish(&q);
}

sp_err sp_session_row_add(sp_store *store, const sp_session_slot *slot, const sp_hash *certificate,
                          const sp_hash *token, sp_span host)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(insert_session(store, slot));
    TRY(insert_token(store, slot->id, token, host));
    if (certificate != NULL) {
        TRY(certificate_seen(store, certificate));
    }
    auto_query sp_query q = sp_query_of(store, "UPDATE person SET last_sign_in = $1 WHERE id = $2");
    sp_bind_u64(&q, slot->started_unix_s);
    sp_bind_u64(&q, slot->person);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

sp_err sp_session_row_token(sp_store *store, uint64_t id, const sp_hash *token, sp_span host)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q =
        sp_query_of(store, "DELETE FROM token WHERE session = $1 AND host = $2");
    sp_bind_bits(&q, id);
    sp_bind_text(&q, host);
    TRY(sp_query_finish(&q));
    TRY(insert_token(store, id, token, host));
    return sp_txn_commit(&txn);
}

sp_err sp_session_row_token_remove(sp_store *store, const sp_hash *token)
{
    auto_query sp_query q = sp_query_alone(store, "DELETE FROM token WHERE hash = $1");
    sp_bind_blob(&q, sp_hash_borrow(token));
    return sp_query_finish(&q);
}

sp_err sp_session_row_auth(sp_store *store, const sp_session_slot *slot)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE session SET auth = $1, strength = $2 WHERE id = $3");
    sp_bind_u64(&q, slot->auth_unix_s);
    sp_bind_u64(&q, slot->strength);
    sp_bind_bits(&q, slot->id);
    return sp_query_finish_changed(&q);
}

sp_err sp_session_row_remove(sp_store *store, uint64_t id)
{
    auto_query sp_query q = sp_query_alone(store, "DELETE FROM session WHERE id = $1");
    sp_bind_bits(&q, id);
    return sp_query_finish(&q);
}

sp_err sp_session_rows_seen(sp_sessions *sessions)
{
    sp_store *store = sessions->core->store;
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    for (uint32_t i = 0; i < sessions->used_up_to; i++) {
        sp_session_slot *slot = &sessions->slots[i];
        if (slot->id == 0 || !slot->seen_changed) {
            continue;
        }
        auto_query sp_query q = sp_query_of(store, "UPDATE session SET seen = $1 WHERE id = $2");
        sp_bind_u64(&q, slot->seen_unix_s);
        sp_bind_bits(&q, slot->id);
        TRY(sp_query_finish(&q));
        slot->seen_changed = false;
    }
    return sp_txn_commit(&txn);
}

#define MOVED(column, by) column " = " SP_CLOCK_MOVED(column, by)

sp_err sp_session_rows_move(sp_store *store, int64_t seen_by_s, int64_t ends_by_s)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE session SET " MOVED("seen", "$1") ", " MOVED("started", "$2") ", " MOVED(
                   "auth", "$2") ", " MOVED("expires", "$2"));
    sp_bind_bits(&q, (uint64_t)seen_by_s);
    sp_bind_bits(&q, (uint64_t)ends_by_s);
    return sp_query_finish(&q);
}

static sp_err read_session(sp_query *q, sp_session_slot *slot)
{
    *slot = (sp_session_slot){.id = sp_col_bits(q), .device_slot = SP_NONE};
    slot->person = (uint32_t)sp_col_u64(q);
    slot->device = sp_col_bits(q);
    slot->kind = (uint8_t)sp_col_u64(q);
    if (slot->kind >= SP_SESSION_KIND_COUNT) {
        return sp_fail(SP_ECORRUPT);
    }
    slot->strength = (uint8_t)sp_col_u64(q);
    slot->started_unix_s = sp_col_u64(q);
    slot->auth_unix_s = sp_col_u64(q);
    slot->seen_unix_s = sp_col_u64(q);
    slot->expires_unix_s = sp_col_u64(q);
    TRY(sp_fit(slot->person_name, sizeof(slot->person_name), sp_col_text(q)));
    TRY(sp_fit(slot->peer, sizeof(slot->peer), sp_col_text(q)));
    TRY(sp_fit(slot->user_agent, sizeof(slot->user_agent), sp_col_text(q)));
    return q->err;
}

sp_err sp_session_rows_each(sp_store *store, void (*visit)(void *self, const sp_session_slot *slot),
                            void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, person, device, kind, strength, started, auth, seen, "
                           "expires, name, peer, agent FROM session");
    while (sp_query_row(&q)) {
        sp_session_slot slot;
        TRY(read_session(&q, &slot));
        visit(self, &slot);
    }
    return sp_query_finish(&q);
}

sp_err sp_session_row_tokens(sp_store *store, uint64_t id,
                             void (*visit)(void *self, const sp_hash *hash, sp_span host),
                             void *self)
{
    auto_query sp_query q = sp_query_of(store, "SELECT hash, host FROM token WHERE session = $1");
    sp_bind_bits(&q, id);
    while (sp_query_row(&q)) {
        sp_hash hash;
        sp_span bytes = sp_col_blob(&q);
        if (bytes.len != sizeof(hash.bytes)) {
            return sp_fail(SP_ECORRUPT);
        }
        sp_copy(hash.bytes, bytes.ptr, bytes.len);
        visit(self, &hash, sp_col_text(&q));
    }
    return sp_query_finish(&q);
}
