/* SPDX-License-Identifier: Apache-2.0
 * Credentials in the store.
 * OWNS nothing. PROCESS core. TRUST rows are core's own. SPEC core/identity/credentials.h.
 */
#include "core/identity/credentials.h"

#include "infra/proc/clock.h"

static const char *const migrations[] = {
    "CREATE TABLE person (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE, display TEXT NOT NULL,"
    " mail TEXT NOT NULL DEFAULT '', locale TEXT NOT NULL DEFAULT '', state BIGINT NOT NULL,"
    " created BIGINT NOT NULL, last_sign_in BIGINT NOT NULL DEFAULT 0);"
    "CREATE TABLE role (number BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "INSERT INTO role (number, name) VALUES (1, 'system-admin'), (2, 'security-admin'),"
    " (3, 'audit-admin');"
    "CREATE TABLE person_role (person BIGINT NOT NULL REFERENCES person (id),"
    " role BIGINT NOT NULL REFERENCES role (number), PRIMARY KEY (person, role));"
    "CREATE TABLE password (person BIGINT PRIMARY KEY REFERENCES person (id),"
    " hash TEXT NOT NULL, changed BIGINT NOT NULL);"
    "CREATE TABLE totp (person BIGINT PRIMARY KEY REFERENCES person (id),"
    " sealed BYTEA NOT NULL, last_step BIGINT NOT NULL, changed BIGINT NOT NULL);"
    "CREATE TABLE passkey (id BYTEA PRIMARY KEY, number BIGINT NOT NULL UNIQUE,"
    " person BIGINT NOT NULL REFERENCES person (id), public_key BYTEA NOT NULL,"
    " algorithm BIGINT NOT NULL, counter BIGINT NOT NULL, backed_up BIGINT NOT NULL,"
    " name TEXT NOT NULL, created BIGINT NOT NULL, used BIGINT NOT NULL);"
    "CREATE INDEX passkey_person ON passkey (person);"
    "CREATE TABLE recovery (person BIGINT NOT NULL REFERENCES person (id), hash BYTEA NOT NULL,"
    " changed BIGINT NOT NULL, PRIMARY KEY (person, hash));"
    "CREATE TABLE link (hash BYTEA PRIMARY KEY, person BIGINT NOT NULL, kind BIGINT NOT NULL,"
    " expires BIGINT NOT NULL);"
    "CREATE TABLE office_secret (name TEXT PRIMARY KEY, value BYTEA NOT NULL)",
};

sp_err sp_credentials_start(sp_store *store)
{
    return sp_store_migrate(store, "identity", migrations, SP_COUNT(migrations));
}

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static sp_err copy_into(uint8_t *to, size_t max, sp_span from, size_t *ret_len)
{
    if (from.len > max) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_copy(to, from.ptr, from.len);
    *ret_len = from.len;
    return sp_ok();
}

/* ---- all ---- */

sp_err sp_credentials_get(sp_store *store, uint32_t person, sp_credentials *ret_has)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT (SELECT COALESCE(MAX(changed), 0) FROM password WHERE person = $1),"
               " (SELECT COALESCE(MAX(changed), 0) FROM totp WHERE person = $1),"
               " (SELECT COUNT(*) FROM passkey WHERE person = $1),"
               " (SELECT COUNT(*) FROM recovery WHERE person = $1),"
               " (SELECT COALESCE(MAX(changed), 0) FROM recovery WHERE person = $1)");
    sp_bind_u64(&q, person);
    sp_credentials has = {0};
    if (sp_query_row(&q)) {
        has.password_changed_unix_s = sp_col_u64(&q);
        has.totp_changed_unix_s = sp_col_u64(&q);
        has.passkeys = (uint32_t)sp_col_u64(&q);
        has.recovery_codes = (uint32_t)sp_col_u64(&q);
        has.recovery_changed_unix_s = sp_col_u64(&q);
    }
    TRY(sp_query_finish(&q));
    has.password = has.password_changed_unix_s != 0;
    has.totp = has.totp_changed_unix_s != 0;
    *ret_has = has;
    return sp_ok();
}

static sp_err remove_of(sp_store *store, const char *sql, uint32_t person)
{
    auto_query sp_query q = sp_query_of(store, sql);
    sp_bind_u64(&q, person);
    return sp_query_finish(&q);
}

sp_err sp_credentials_remove_all(sp_store *store, uint32_t person)
{
    TRY(remove_of(store, "DELETE FROM password WHERE person = $1", person));
    TRY(remove_of(store, "DELETE FROM totp WHERE person = $1", person));
    TRY(remove_of(store, "DELETE FROM passkey WHERE person = $1", person));
    return remove_of(store, "DELETE FROM recovery WHERE person = $1", person);
}

/* ---- passwords ---- */

sp_err sp_password_get(sp_store *store, uint32_t person, char ret_hash[SP_PASSWORD_HASH_BYTES])
{
    auto_query sp_query q = sp_query_of(store, "SELECT hash FROM password WHERE person = $1");
    sp_bind_u64(&q, person);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(sp_fit(ret_hash, SP_PASSWORD_HASH_BYTES, sp_col_text(&q)));
    return sp_query_finish(&q);
}

sp_err sp_password_put(sp_store *store, uint32_t person, const char *hash)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO password (person, hash, changed) VALUES ($1, $2, $3) ON CONFLICT "
               "(person) DO UPDATE SET hash = excluded.hash, changed = excluded.changed");
    sp_bind_u64(&q, person);
    sp_bind_text(&q, sp_span_cstr(hash));
    sp_bind_u64(&q, now_s());
    return sp_query_finish(&q);
}

/* ---- one-time codes ---- */

sp_err sp_totp_get(sp_store *store, uint32_t person, sp_totp_row *ret_row)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT sealed, last_step FROM totp WHERE person = $1");
    sp_bind_u64(&q, person);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    sp_totp_row row = {0};
    TRY(copy_into(row.sealed, sizeof(row.sealed), sp_col_blob(&q), &row.sealed_len));
    row.last_step = sp_col_u64(&q);
    TRY(sp_query_finish(&q));
    *ret_row = row;
    return sp_ok();
}

sp_err sp_totp_put(sp_store *store, uint32_t person, const sp_totp_row *row)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO totp (person, sealed, last_step, changed) VALUES ($1, $2, $3, $4) ON "
               "CONFLICT (person) DO UPDATE SET sealed = excluded.sealed, "
               "last_step = excluded.last_step, changed = excluded.changed");
    sp_bind_u64(&q, person);
    sp_bind_blob(&q, sp_span_of(row->sealed, row->sealed_len));
    sp_bind_u64(&q, row->last_step);
    sp_bind_u64(&q, now_s());
    return sp_query_finish(&q);
}

sp_err sp_totp_use(sp_store *store, uint32_t person, uint64_t step)
{
    auto_query sp_query q = sp_query_alone(
        store, "UPDATE totp SET last_step = $1 WHERE person = $2 AND last_step < $1");
    sp_bind_u64(&q, step);
    sp_bind_u64(&q, person);
    return sp_query_finish_changed(&q);
}

/* ---- passkeys ---- */

static sp_err read_passkey(sp_query *q, sp_passkey *ret_passkey)
{
    sp_passkey *row = ret_passkey;
    *row = (sp_passkey){0};
    TRY(copy_into(row->id, sizeof(row->id), sp_col_blob(q), &row->id_len));
    row->number = sp_col_u64(q);
    row->person = (uint32_t)sp_col_u64(q);
    TRY(copy_into(row->key, sizeof(row->key), sp_col_blob(q), &row->key_len));
    row->algorithm = -(int64_t)sp_col_u64(q); /* COSE numbers of signatures are negative */
    row->counter = (uint32_t)sp_col_u64(q);
    row->backed_up = sp_col_u64(q) != 0;
    TRY(sp_fit(row->name, sizeof(row->name), sp_col_text(q)));
    row->created_unix_s = sp_col_u64(q);
    row->used_unix_s = sp_col_u64(q);
    return q->err;
}

sp_err sp_passkey_find(sp_store *store, sp_span id, sp_passkey *ret_passkey)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, number, person, public_key, algorithm, counter, backed_up, "
                           "name, created, used FROM passkey WHERE id = $1");
    sp_bind_blob(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(read_passkey(&q, ret_passkey));
    return sp_query_finish(&q);
}

sp_err sp_passkeys_each(sp_store *store, uint32_t person,
                        void (*visit)(void *self, const sp_passkey *passkey), void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, number, person, public_key, algorithm, counter, backed_up, "
                           "name, created, used FROM passkey WHERE person = $1 ORDER BY number");
    sp_bind_u64(&q, person);
    while (sp_query_row(&q)) {
        sp_passkey passkey;
        TRY(read_passkey(&q, &passkey));
        visit(self, &passkey);
    }
    return sp_query_finish(&q);
}

sp_err sp_passkey_add(sp_store *store, sp_passkey *passkey)
{
    sp_credentials has;
    TRY(sp_credentials_get(store, passkey->person, &has));
    if (has.passkeys >= SP_PASSKEYS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    passkey->created_unix_s = now_s();
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO passkey (id, number, person, public_key, algorithm, counter, "
               "backed_up, name, created, used) VALUES ($1, (SELECT COALESCE(MAX(number), 0) + 1 "
               "FROM passkey), $2, $3, $4, $5, $6, $7, $8, 0) RETURNING number");
    sp_bind_blob(&q, sp_span_of(passkey->id, passkey->id_len));
    sp_bind_u64(&q, passkey->person);
    sp_bind_blob(&q, sp_span_of(passkey->key, passkey->key_len));
    sp_bind_u64(&q, (uint64_t)-passkey->algorithm);
    sp_bind_u64(&q, passkey->counter);
    sp_bind_u64(&q, passkey->backed_up ? 1 : 0);
    sp_bind_text(&q, sp_span_cstr(passkey->name));
    sp_bind_u64(&q, passkey->created_unix_s);
    if (sp_query_row(&q)) {
        passkey->number = sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

sp_err sp_passkey_rename(sp_store *store, uint32_t person, uint64_t number, sp_span name)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE passkey SET name = $1 WHERE person = $2 AND number = $3");
    sp_bind_text(&q, name);
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, number);
    return sp_query_finish_changed(&q);
}

sp_err sp_passkey_remove(sp_store *store, uint32_t person, uint64_t number)
{
    auto_query sp_query q =
        sp_query_of(store, "DELETE FROM passkey WHERE person = $1 AND number = $2");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, number);
    return sp_query_finish_changed(&q);
}

sp_err sp_passkey_use(sp_store *store, const sp_passkey *passkey, uint32_t counter)
{
    auto_query sp_query q = sp_query_alone(
        store, "UPDATE passkey SET counter = $1, used = $2 WHERE id = $3 AND counter = $4");
    sp_bind_u64(&q, counter);
    sp_bind_u64(&q, now_s());
    sp_bind_blob(&q, sp_span_of(passkey->id, passkey->id_len));
    sp_bind_u64(&q, passkey->counter);
    return sp_query_finish_changed(&q);
}

/* ---- links ---- */

sp_err sp_links_remove(sp_store *store, uint32_t person)
{
    return remove_of(store, "DELETE FROM link WHERE person = $1", person);
}

sp_err sp_link_put(sp_store *store, const sp_link *link)
{
    TRY(sp_links_remove(store, link->person));
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO link (hash, person, kind, expires) VALUES ($1, $2, $3, $4)");
    sp_bind_blob(&q, sp_hash_borrow(&link->hash));
    sp_bind_u64(&q, link->person);
    sp_bind_u64(&q, link->kind);
    sp_bind_u64(&q, link->expires_unix_s);
    return sp_query_finish(&q);
}

static sp_err read_link(sp_query *q, sp_link *ret_link)
{
    sp_link link = {0};
    size_t len = 0;
    if (!sp_query_row(q)) {
        TRY(sp_query_finish(q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(copy_into(link.hash.bytes, sizeof(link.hash.bytes), sp_col_blob(q), &len));
    link.person = (uint32_t)sp_col_u64(q);
    link.kind = (uint8_t)sp_col_u64(q);
    link.expires_unix_s = sp_col_u64(q);
    TRY(sp_query_finish(q));
    if (link.kind >= SP_LINK_KIND_COUNT) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_link = link;
    return link.expires_unix_s > now_s() ? sp_ok() : sp_fail(SP_ENOTFOUND);
}

sp_err sp_link_find(sp_store *store, const sp_hash *hash, sp_link *ret_link)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT hash, person, kind, expires FROM link WHERE hash = $1");
    sp_bind_blob(&q, sp_hash_borrow(hash));
    return read_link(&q, ret_link);
}

sp_err sp_link_of(sp_store *store, uint32_t person, sp_link *ret_link)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT hash, person, kind, expires FROM link WHERE person = $1");
    sp_bind_u64(&q, person);
    return read_link(&q, ret_link);
}

sp_err sp_link_take(sp_store *store, const sp_hash *hash)
{
    auto_query sp_query q = sp_query_of(store, "DELETE FROM link WHERE hash = $1");
    sp_bind_blob(&q, sp_hash_borrow(hash));
    return sp_query_finish_changed(&q);
}
