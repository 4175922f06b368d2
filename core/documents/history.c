/* SPDX-License-Identifier: Apache-2.0
 * Versions of the documents in the store.
 * OWNS nothing. PROCESS core. TRUST the store is core's own. SPEC core/documents/history.h.
 */
#include "core/documents/history.h"

#include "lib/base/sha256.h"

static const char *const steps[] = {
    "CREATE TABLE doc_version ("
    " version BIGINT PRIMARY KEY,"
    " applied_unix_s BIGINT NOT NULL,"
    " person BIGINT NOT NULL,"
    " by_name TEXT NOT NULL,"
    " comment TEXT NOT NULL,"
    " rollback_of BIGINT NOT NULL,"
    " digest BYTEA NOT NULL,"
    " counts TEXT NOT NULL);"
    "CREATE TABLE doc_text (hash BYTEA PRIMARY KEY, body BYTEA NOT NULL);"
    "CREATE TABLE doc_file ("
    " version BIGINT NOT NULL REFERENCES doc_version(version),"
    " position BIGINT NOT NULL,"
    " name TEXT NOT NULL,"
    " hash BYTEA NOT NULL REFERENCES doc_text(hash),"
    " PRIMARY KEY (version, position));",
};

sp_err sp_history_migrate(sp_store *store)
{
    return sp_store_migrate(store, "documents", steps, SP_COUNT(steps));
}

sp_err sp_history_newest(sp_store *store, uint64_t *ret_version)
{
    sp_query q = sp_query_of(store, "SELECT COALESCE(MAX(version), 0) FROM doc_version");
    uint64_t version = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    TRY(sp_query_finish(&q));
    *ret_version = version;
    return sp_ok();
}

static void read_version(sp_query *q, sp_doc_version *version)
{
    version->version = sp_col_u64(q);
    version->applied_unix_s = sp_col_u64(q);
    version->person = (uint32_t)sp_col_u64(q);
    version->by_name = sp_col_text(q);
    version->comment = sp_col_text(q);
    version->rollback_of = sp_col_u64(q);
    version->digest = sp_col_blob(q);
    version->counts = sp_col_text(q);
}

static sp_err keep_spans(sp_doc_version *version, sp_arena *arena)
{
    TRY(sp_arena_copy(arena, version->by_name, &version->by_name));
    TRY(sp_arena_copy(arena, version->comment, &version->comment));
    TRY(sp_arena_copy(arena, version->digest, &version->digest));
    return sp_arena_copy(arena, version->counts, &version->counts);
}

sp_err sp_history_get(sp_store *store, uint64_t number, sp_arena *arena,
                      sp_doc_version *ret_version)
{
    sp_query q = sp_query_of(store, "SELECT version, applied_unix_s, person, by_name, comment,"
                                    " rollback_of, digest, counts FROM doc_version"
                                    " WHERE version = $1");
    sp_bind_u64(&q, number);
    sp_doc_version version = {0};
    sp_err err = sp_fail(SP_ENOTFOUND);
    if (sp_query_row(&q)) {
        read_version(&q, &version);
        err = keep_spans(&version, arena);
    }
    TRY(sp_query_finish(&q));
    TRY(err);
    *ret_version = version;
    return sp_ok();
}

sp_err sp_history_each(sp_store *store, uint64_t before, uint64_t limit,
                       void (*visit)(void *self, const sp_doc_version *version), void *self)
{
    sp_query q = sp_query_of(store, "SELECT version, applied_unix_s, person, by_name, comment,"
                                    " rollback_of, digest, counts FROM doc_version"
                                    " WHERE version < $1 ORDER BY version DESC LIMIT $2");
    sp_bind_u64(&q, before == 0 ? INT64_MAX : before);
    sp_bind_u64(&q, limit);
    while (sp_query_row(&q)) {
        sp_doc_version version = {0};
        read_version(&q, &version);
        visit(self, &version);
    }
    return sp_query_finish(&q);
}

static sp_err count_files(sp_store *store, uint64_t version, size_t *ret_count)
{
    sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM doc_file WHERE version = $1");
    sp_bind_u64(&q, version);
    uint64_t count = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    TRY(sp_query_finish(&q));
    if (count > SP_POLICY_FILES_MAX) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_count = (size_t)count;
    return sp_ok();
}

static sp_err read_files(sp_store *store, uint64_t version, sp_arena *arena, sp_policy_file *files,
                         size_t count)
{
    sp_query q = sp_query_of(store, "SELECT f.name, t.body FROM doc_file f"
                                    " JOIN doc_text t ON t.hash = f.hash"
                                    " WHERE f.version = $1 ORDER BY f.position");
    sp_bind_u64(&q, version);
    size_t at = 0;
    sp_err err = sp_ok();
    while (!sp_failed(err) && at < count && sp_query_row(&q)) {
        sp_span name = SP_SPAN_EMPTY;
        err = sp_arena_copy(arena, sp_col_text(&q), &name);
        if (!sp_failed(err)) {
            err = sp_arena_copy(arena, sp_col_blob(&q), &files[at].text);
        }
        files[at++].name = (const char *)name.ptr;
    }
    TRY(sp_query_finish(&q));
    TRY(err);
    return at == count ? sp_ok() : sp_fail(SP_ECORRUPT);
}

sp_err sp_history_files(sp_store *store, uint64_t version, sp_arena *arena,
                        sp_policy_file **ret_files, size_t *ret_count)
{
    sp_doc_version found;
    TRY(sp_history_get(store, version, arena, &found));
    size_t count = 0;
    TRY(count_files(store, version, &count));
    sp_policy_file *files = NULL;
    TRY(sp_arena_alloc(arena, count + 1, sizeof(*files), &files));
    TRY(read_files(store, version, arena, files, count));
    *ret_files = files;
    *ret_count = count;
    return sp_ok();
}

static sp_err add_file(sp_store *store, uint64_t version, size_t position,
                       const sp_policy_file *file)
{
    sp_hash hash = sp_sha256(file->text);
    sp_query text = sp_query_of(store, "INSERT INTO doc_text (hash, body) VALUES ($1, $2)"
                                       " ON CONFLICT (hash) DO NOTHING");
    sp_bind_blob(&text, sp_hash_borrow(&hash));
    sp_bind_blob(&text, file->text);
    TRY(sp_query_finish(&text));
    sp_query q = sp_query_of(store, "INSERT INTO doc_file (version, position, name, hash)"
                                    " VALUES ($1, $2, $3, $4)");
    sp_bind_u64(&q, version);
    sp_bind_u64(&q, position);
    sp_bind_text(&q, sp_span_cstr(file->name));
    sp_bind_blob(&q, sp_hash_borrow(&hash));
    return sp_query_finish(&q);
}

sp_err sp_history_add(sp_store *store, const sp_doc_version *version, const sp_policy_file *files,
                      size_t count)
{
    sp_query q = sp_query_of(store, "INSERT INTO doc_version (version, applied_unix_s, person,"
                                    " by_name, comment, rollback_of, digest, counts)"
                                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    sp_bind_u64(&q, version->version);
    sp_bind_u64(&q, version->applied_unix_s);
    sp_bind_u64(&q, version->person);
    sp_bind_text(&q, version->by_name);
    sp_bind_text(&q, version->comment);
    sp_bind_u64(&q, version->rollback_of);
    sp_bind_blob(&q, version->digest);
    sp_bind_text(&q, version->counts);
    TRY(sp_query_finish(&q));
    for (size_t i = 0; i < count; i++) {
        TRY(add_file(store, version->version, i, &files[i]));
    }
    return sp_ok();
}

sp_err sp_history_same(sp_store *store, uint64_t version, const sp_policy_file *files, size_t count,
                       bool *ret_same)
{
    size_t there = 0;
    TRY(count_files(store, version, &there));
    bool same = there == count && version != 0;
    sp_query q = sp_query_of(store, "SELECT name, hash FROM doc_file WHERE version = $1"
                                    " ORDER BY position");
    sp_bind_u64(&q, version);
    for (size_t i = 0; same && i < count && sp_query_row(&q); i++) {
        sp_hash hash = sp_sha256(files[i].text);
        same = sp_span_eq(sp_col_text(&q), sp_span_cstr(files[i].name)) &&
               sp_span_eq(sp_col_blob(&q), sp_hash_borrow(&hash));
    }
    TRY(sp_query_finish(&q));
    *ret_same = same;
    return sp_ok();
}
