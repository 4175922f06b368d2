/* SPDX-License-Identifier: Apache-2.0
 * Devices, their certificates and enrolment codes in the store.
 * OWNS nothing. PROCESS core. TRUST texts are bounded by the caller. SPEC core/devices/rows.h.
 */
#include "core/devices/rows.h"

static const char *const steps[] = {
    "CREATE TABLE device ("
    " id BIGINT PRIMARY KEY,"
    " slot BIGINT UNIQUE,"
    " person BIGINT NOT NULL,"
    " state BIGINT NOT NULL,"
    " owner BIGINT NOT NULL,"
    " posture BIGINT NOT NULL,"
    " cloned BIGINT NOT NULL,"
    " posture_unix_s BIGINT NOT NULL,"
    " created_unix_s BIGINT NOT NULL,"
    " changed_unix_s BIGINT NOT NULL,"
    " seen_unix_s BIGINT NOT NULL,"
    " name TEXT NOT NULL,"
    " why TEXT NOT NULL,"
    " decided_by TEXT NOT NULL,"
    " platform TEXT NOT NULL,"
    " checks TEXT NOT NULL,"
    " key_storage TEXT NOT NULL,"
    " key_hash BYTEA NOT NULL UNIQUE,"
    " csr BYTEA NOT NULL,"
    " ticket BYTEA UNIQUE);"
    "CREATE TABLE device_cert ("
    " fingerprint BYTEA PRIMARY KEY,"
    " device BIGINT NOT NULL REFERENCES device(id),"
    " not_before_unix_s BIGINT NOT NULL,"
    " not_after_unix_s BIGINT NOT NULL,"
    " replaced_unix_s BIGINT NOT NULL,"
    " csr_hash BYTEA NOT NULL,"
    " der BYTEA NOT NULL);"
    "CREATE INDEX device_cert_device ON device_cert(device);"
    "CREATE TABLE enrol_code ("
    " code BYTEA PRIMARY KEY,"
    " person BIGINT NOT NULL,"
    " expires_unix_s BIGINT NOT NULL);",
    "CREATE INDEX device_order ON device ((CASE WHEN state = 1 THEN 0 ELSE 1 END), name, id);"
    "CREATE INDEX device_person ON device (person);",
    "ALTER TABLE device_cert ADD COLUMN seen BIGINT NOT NULL DEFAULT 1;"
    "CREATE TABLE spent_ticket ("
    " ticket BYTEA PRIMARY KEY,"
    " device BIGINT NOT NULL REFERENCES device(id),"
    " cert BYTEA," /* that came with the next ticket; null: its answer was given again */
    " spent_unix_s BIGINT NOT NULL);",
};

sp_err sp_device_rows_migrate(sp_store *store)
{
    return sp_store_migrate(store, "devices", steps, SP_COUNT(steps));
}

/* ---- devices ---- */

#define DEVICE_COLUMNS                                                                             \
    "id, slot, person, state, owner, posture, cloned, posture_unix_s, created_unix_s,"             \
    " changed_unix_s, seen_unix_s, name, why, decided_by, platform, checks, key_storage,"          \
    " key_hash, csr, ticket"

static void bind_slot(sp_query *q, uint32_t slot)
{
    if (slot == SP_NONE) {
        sp_bind_null(q);
    } else {
        sp_bind_u64(q, slot);
    }
}

static void bind_blob_or_null(sp_query *q, sp_span bytes)
{
    if (bytes.len == 0) {
        sp_bind_null(q);
    } else {
        sp_bind_blob(q, bytes);
    }
}

static void bind_all(sp_query *q, const sp_device *device)
{
    sp_bind_u64(q, device->id);
    bind_slot(q, device->slot);
    sp_bind_u64(q, device->person);
    sp_bind_u64(q, device->state);
    sp_bind_u64(q, device->owner);
    sp_bind_u64(q, device->posture);
    sp_bind_u64(q, device->cloned ? 1 : 0);
    sp_bind_u64(q, device->posture_unix_s);
    sp_bind_u64(q, device->created_unix_s);
    sp_bind_u64(q, device->changed_unix_s);
    sp_bind_u64(q, device->seen_unix_s);
    sp_bind_text(q, device->name);
    sp_bind_text(q, device->why);
    sp_bind_text(q, device->decided_by);
    sp_bind_text(q, device->platform);
    sp_bind_text(q, device->checks);
    sp_bind_text(q, device->key_storage);
    sp_bind_blob(q, device->key_hash);
    sp_bind_blob(q, device->csr);
    bind_blob_or_null(q, device->ticket);
}

static sp_device read_device(sp_query *q)
{
    sp_device device = {.id = sp_col_u64(q)};
    bool no_slot = sp_col_is_null(q);
    uint64_t slot = sp_col_u64(q);
    device.slot = no_slot ? SP_NONE : (uint32_t)slot;
    device.person = (uint32_t)sp_col_u64(q);
    device.state = (uint8_t)sp_col_u64(q);
    device.owner = (uint8_t)sp_col_u64(q);
    device.posture = (uint8_t)sp_col_u64(q);
    device.cloned = sp_col_u64(q) != 0;
    device.posture_unix_s = sp_col_u64(q);
    device.created_unix_s = sp_col_u64(q);
    device.changed_unix_s = sp_col_u64(q);
    device.seen_unix_s = sp_col_u64(q);
    device.name = sp_col_text(q);
    device.why = sp_col_text(q);
    device.decided_by = sp_col_text(q);
    device.platform = sp_col_text(q);
    device.checks = sp_col_text(q);
    device.key_storage = sp_col_text(q);
    device.key_hash = sp_col_blob(q);
    device.csr = sp_col_blob(q);
    device.ticket = sp_col_blob(q);
    return device;
}

static sp_err keep_device(sp_device *device, sp_arena *arena)
{
    sp_span *const spans[] = {&device->name,     &device->why,    &device->decided_by,
                              &device->platform, &device->checks, &device->key_storage,
                              &device->key_hash, &device->csr,    &device->ticket};
    for (size_t i = 0; i < SP_COUNT(spans); i++) {
        TRY(sp_arena_copy(arena, *spans[i], spans[i]));
    }
    return sp_ok();
}

static sp_err read_one(sp_query *q, sp_arena *arena, sp_device *ret_device)
{
    if (!sp_query_row(q)) {
        TRY(sp_query_finish(q));
        return sp_fail(SP_ENOTFOUND);
    }
    sp_device device = read_device(q);
    TRY(keep_device(&device, arena));
    TRY(sp_query_finish(q));
    *ret_device = device;
    return sp_ok();
}

static sp_err next_id(sp_store *store, uint64_t *ret_id)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COALESCE(MAX(id), 0) + 1 FROM device");
    *ret_id = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

sp_err sp_device_add(sp_store *store, sp_device *device)
{
    TRY(next_id(store, &device->id));
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO device (" DEVICE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
               " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)");
    bind_all(&q, device);
    return sp_query_finish(&q);
}

sp_err sp_device_update(sp_store *store, const sp_device *device)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO device (" DEVICE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
               " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
               " ON CONFLICT (id) DO UPDATE SET slot = excluded.slot, person = excluded.person,"
               " state = excluded.state, owner = excluded.owner, posture = excluded.posture,"
               " cloned = excluded.cloned, posture_unix_s = excluded.posture_unix_s,"
               " changed_unix_s = excluded.changed_unix_s, seen_unix_s = excluded.seen_unix_s,"
               " name = excluded.name, why = excluded.why, decided_by = excluded.decided_by,"
               " platform = excluded.platform, checks = excluded.checks, csr = excluded.csr");
    bind_all(&q, device);
    return sp_query_finish_changed(&q);
}

sp_err sp_device_get(sp_store *store, uint64_t id, sp_arena *arena, sp_device *ret_device)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " DEVICE_COLUMNS " FROM device WHERE id = $1");
    sp_bind_u64(&q, id);
    return read_one(&q, arena, ret_device);
}

sp_err sp_device_by_key(sp_store *store, sp_span key_hash, sp_arena *arena, sp_device *ret_device)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " DEVICE_COLUMNS " FROM device WHERE key_hash = $1");
    sp_bind_blob(&q, key_hash);
    return read_one(&q, arena, ret_device);
}

sp_err sp_device_by_ticket(sp_store *store, sp_span ticket_hash, sp_arena *arena,
                           sp_device *ret_device)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " DEVICE_COLUMNS " FROM device WHERE ticket = $1");
    sp_bind_blob(&q, ticket_hash);
    return read_one(&q, arena, ret_device);
}

/* ---- tickets ---- */

static sp_hash hash_of(sp_span bytes)
{
    sp_hash hash = {{0}};
    sp_copy(hash.bytes, bytes.ptr, bytes.len < SP_SHA256_BYTES ? bytes.len : SP_SHA256_BYTES);
    return hash;
}

static sp_err spend_ticket(sp_store *store, const sp_device *device, const sp_hash *cert,
                           uint64_t now_unix_s)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO spent_ticket (ticket, device, cert, spent_unix_s)"
               " SELECT ticket, id, $1, $2 FROM device WHERE id = $3 AND ticket IS NOT NULL");
    bind_blob_or_null(&q, cert == NULL ? SP_SPAN_EMPTY : sp_hash_borrow(cert));
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, device->id);
    return sp_query_finish(&q);
}

sp_err sp_ticket_renew(sp_store *store, const sp_device *device, const sp_hash *cert,
                       const sp_hash *ticket, uint64_t now_unix_s)
{
    TRY(spend_ticket(store, device, cert, now_unix_s));
    auto_query sp_query q = sp_query_of(store, "UPDATE device SET ticket = $1 WHERE id = $2");
    sp_bind_blob(&q, sp_hash_borrow(ticket));
    sp_bind_u64(&q, device->id);
    return sp_query_finish_changed(&q);
}

sp_err sp_ticket_spent(sp_store *store, const sp_hash *ticket, uint64_t *ret_device,
                       sp_hash *ret_cert)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT device, cert FROM spent_ticket WHERE ticket = $1");
    sp_bind_blob(&q, sp_hash_borrow(ticket));
    bool found = sp_query_row(&q);
    uint64_t device = found ? sp_col_u64(&q) : 0;
    sp_hash cert = found ? hash_of(sp_col_blob(&q)) : (sp_hash){{0}};
    TRY(sp_query_finish(&q));
    if (!found) {
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_device = device;
    *ret_cert = cert;
    return sp_ok();
}

sp_err sp_tickets_forget(sp_store *store, uint64_t before_unix_s)
{
    auto_query sp_query q = sp_query_of(store, "DELETE FROM spent_ticket WHERE spent_unix_s < $1");
    sp_bind_u64(&q, before_unix_s);
    return sp_query_finish(&q);
}

sp_err sp_device_each(sp_store *store, void (*visit)(void *self, const sp_device *device),
                      void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " DEVICE_COLUMNS " FROM device"
                           " ORDER BY CASE WHEN state = 1 THEN 0 ELSE 1 END, name, id");
    while (sp_query_row(&q)) {
        sp_device device = read_device(&q);
        visit(self, &device);
    }
    return sp_query_finish(&q);
}

/* Pending ones come first. */
#define DEVICE_RANK "(CASE WHEN state = 1 THEN 0 ELSE 1 END)"

sp_err sp_device_after(sp_store *store, const sp_device_place *place,
                       bool (*visit)(void *self, const sp_device *device), void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " DEVICE_COLUMNS " FROM device WHERE (" DEVICE_RANK
                           ", name, id) > ($1, $2, $3)"
                           " ORDER BY " DEVICE_RANK ", name, id");
    bool more = true;
    sp_bind_u64(&q, place->rank);
    sp_bind_text(&q, place->name);
    sp_bind_u64(&q, place->id);
    while (more && sp_query_row(&q)) {
        sp_device device = read_device(&q);
        more = visit(self, &device);
    }
    return sp_query_finish(&q);
}

sp_err sp_device_each_of(sp_store *store, uint32_t person,
                         bool (*visit)(void *self, const sp_device *device), void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " DEVICE_COLUMNS " FROM device WHERE person = $1"
                           " ORDER BY " DEVICE_RANK ", name, id");
    bool more = true;
    sp_bind_u64(&q, person);
    while (more && sp_query_row(&q)) {
        sp_device device = read_device(&q);
        more = visit(self, &device);
    }
    return sp_query_finish(&q);
}

sp_err sp_device_count(sp_store *store, size_t ret_counts[SP_DEVICE_COUNT])
{
    auto_query sp_query q = sp_query_of(store, "SELECT state, COUNT(*) FROM device GROUP BY state");
    sp_set(ret_counts, 0, sizeof(*ret_counts) * SP_DEVICE_COUNT);
    while (sp_query_row(&q)) {
        uint64_t state = sp_col_u64(&q);
        uint64_t count = sp_col_u64(&q);
        if (state < SP_DEVICE_COUNT) {
            ret_counts[state] = count;
        }
    }
    return sp_query_finish(&q);
}

/* ---- certificates ---- */

#define CERT_COLUMNS                                                                               \
    "fingerprint, device, not_before_unix_s, not_after_unix_s, replaced_unix_s, seen, csr_hash, "  \
    "der"

static sp_device_cert read_cert(sp_query *q)
{
    sp_device_cert cert = {.fingerprint = hash_of(sp_col_blob(q))};
    cert.device = sp_col_u64(q);
    cert.not_before_unix_s = sp_col_u64(q);
    cert.not_after_unix_s = sp_col_u64(q);
    cert.replaced_unix_s = sp_col_u64(q);
    cert.seen = sp_col_u64(q) != 0;
    cert.csr_hash = hash_of(sp_col_blob(q));
    cert.der = sp_col_blob(q);
    return cert;
}

static sp_err read_one_cert(sp_query *q, sp_arena *arena, sp_device_cert *ret_cert)
{
    if (!sp_query_row(q)) {
        TRY(sp_query_finish(q));
        return sp_fail(SP_ENOTFOUND);
    }
    sp_device_cert cert = read_cert(q);
    TRY(sp_arena_copy(arena, cert.der, &cert.der));
    TRY(sp_query_finish(q));
    *ret_cert = cert;
    return sp_ok();
}

sp_err sp_cert_add(sp_store *store, const sp_device_cert *cert)
{
    auto_query sp_query q = sp_query_of(store, "INSERT INTO device_cert (" CERT_COLUMNS ")"
                                               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    sp_bind_blob(&q, sp_hash_borrow(&cert->fingerprint));
    sp_bind_u64(&q, cert->device);
    sp_bind_u64(&q, cert->not_before_unix_s);
    sp_bind_u64(&q, cert->not_after_unix_s);
    sp_bind_u64(&q, cert->replaced_unix_s);
    sp_bind_u64(&q, cert->seen ? 1 : 0);
    sp_bind_blob(&q, sp_hash_borrow(&cert->csr_hash));
    sp_bind_blob(&q, cert->der);
    return sp_query_finish(&q);
}

sp_err sp_cert_get(sp_store *store, const sp_hash *fingerprint, sp_arena *arena,
                   sp_device_cert *ret_cert)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " CERT_COLUMNS " FROM device_cert WHERE fingerprint = $1");
    sp_bind_blob(&q, sp_hash_borrow(fingerprint));
    return read_one_cert(&q, arena, ret_cert);
}

sp_err sp_cert_current(sp_store *store, uint64_t device, sp_arena *arena, sp_device_cert *ret_cert)
{
    auto_query sp_query q = sp_query_of(store, "SELECT " CERT_COLUMNS " FROM device_cert"
                                               " WHERE device = $1 AND replaced_unix_s = 0"
                                               " ORDER BY not_after_unix_s DESC LIMIT 1");
    sp_bind_u64(&q, device);
    return read_one_cert(&q, arena, ret_cert);
}

sp_err sp_cert_replace(sp_store *store, const sp_hash *fingerprint, uint64_t now_unix_s)
{
    auto_query sp_query q = sp_query_of(store, "UPDATE device_cert SET replaced_unix_s = $1"
                                               " WHERE fingerprint = $2 AND replaced_unix_s = 0");
    sp_bind_u64(&q, now_unix_s);
    sp_bind_blob(&q, sp_hash_borrow(fingerprint));
    return sp_query_finish_changed(&q);
}

sp_err sp_cert_seen(sp_store *store, const sp_hash *fingerprint)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE device_cert SET seen = 1 WHERE fingerprint = $1");
    sp_bind_blob(&q, sp_hash_borrow(fingerprint));
    return sp_query_finish(&q);
}

sp_err sp_cert_forget(sp_store *store, uint64_t before_unix_s)
{
    auto_query sp_query q =
        sp_query_of(store, "DELETE FROM device_cert WHERE not_after_unix_s < $1");
    sp_bind_u64(&q, before_unix_s);
    return sp_query_finish(&q);
}

sp_err sp_cert_each(sp_store *store, uint64_t device,
                    void (*visit)(void *self, const sp_device_cert *cert), void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " CERT_COLUMNS " FROM device_cert"
                           " WHERE device >= $1 AND device <= $2 ORDER BY not_after_unix_s");
    sp_bind_u64(&q, device);
    sp_bind_u64(&q, device == 0 ? INT64_MAX : device);
    while (sp_query_row(&q)) {
        sp_device_cert cert = read_cert(&q);
        visit(self, &cert);
    }
    return sp_query_finish(&q);
}

/* ---- codes ---- */

sp_err sp_code_add(sp_store *store, const sp_hash *code, uint32_t person, uint64_t expires_unix_s)
{
    auto_query sp_query q = sp_query_of(store, "INSERT INTO enrol_code (code, person,"
                                               " expires_unix_s) VALUES ($1, $2, $3)");
    sp_bind_blob(&q, sp_hash_borrow(code));
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, expires_unix_s);
    return sp_query_finish(&q);
}

sp_err sp_code_find(sp_store *store, const sp_hash *code, uint64_t now_unix_s, uint32_t *ret_person)
{
    auto_query sp_query q = sp_query_of(store, "SELECT person FROM enrol_code"
                                               " WHERE code = $1 AND expires_unix_s > $2");
    sp_bind_blob(&q, sp_hash_borrow(code));
    sp_bind_u64(&q, now_unix_s);
    bool found = sp_query_row(&q);
    uint32_t person = found ? (uint32_t)sp_col_u64(&q) : 0;
    TRY(sp_query_finish(&q));
    if (!found) {
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_person = person;
    return sp_ok();
}

sp_err sp_code_use(sp_store *store, const sp_hash *code)
{
    auto_query sp_query q = sp_query_of(store, "DELETE FROM enrol_code WHERE code = $1");
    sp_bind_blob(&q, sp_hash_borrow(code));
    return sp_query_finish_changed(&q);
}

sp_err sp_code_forget(sp_store *store, uint64_t now_unix_s)
{
    auto_query sp_query q = sp_query_of(store, "DELETE FROM enrol_code WHERE expires_unix_s <= $1");
    sp_bind_u64(&q, now_unix_s);
    return sp_query_finish(&q);
}
