/* SPDX-License-Identifier: Apache-2.0
 * Public keys that people have registered for signing in at the SSH gate: rows of the store, and
 * the API to them. A key belongs to one person.
 * OWNS nothing. PROCESS core. TRUST lines that people paste are hostile (lib/ssh/key.h).
 * SPEC docs/api/openapi.yaml "me/ssh-keys".
 */
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"
#include "lib/ssh/key.h"

enum { FINGERPRINT_MAX_BYTES = 64, USED_EACH_S = 60 };

static const char *const migrations[] = {
    "CREATE TABLE ssh_key (id INTEGER PRIMARY KEY, person BIGINT NOT NULL, hash BYTEA NOT NULL"
    " UNIQUE, blob BYTEA NOT NULL, algorithm TEXT NOT NULL, name TEXT NOT NULL,"
    " counter BIGINT NOT NULL, created BIGINT NOT NULL, used BIGINT NOT NULL);"
    "CREATE INDEX ssh_key_person ON ssh_key (person)",
    /* by which ask a connection's terminal ran: who approved it may look at its recording */
    "CREATE TABLE ssh_watched (connection BIGINT PRIMARY KEY, ask BIGINT NOT NULL,"
    " person BIGINT NOT NULL)",
};

/* ---- rows ---- */

sp_err sp_ssh_key_find(sp_store *store, sp_span blob, sp_ssh_key_row *ret_row)
{
    sp_hash hash = sp_sha256(blob);
    sp_ssh_key_row row = {0};
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, person, created, used, counter, algorithm, name"
                           " FROM ssh_key WHERE hash = $1");
    sp_bind_blob(&q, sp_hash_borrow(&hash));
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    row.id = sp_col_u64(&q);
    row.person = (uint32_t)sp_col_u64(&q);
    row.created_unix_s = sp_col_u64(&q);
    row.used_unix_s = sp_col_u64(&q);
    row.counter = (uint32_t)sp_col_u64(&q);
    TRY(sp_fit(row.algorithm, sizeof(row.algorithm), sp_col_text(&q)));
    TRY(sp_fit(row.name, sizeof(row.name), sp_col_text(&q)));
    TRY(sp_query_finish(&q));
    *ret_row = row;
    return sp_ok();
}

/* Whether it is there and was used just now: a write to the disk less for each connection. */
static sp_err was_used(sp_store *store, uint64_t id, uint64_t now_unix_s, bool *ret_just_now)
{
    auto_query sp_query q = sp_query_of(store, "SELECT used FROM ssh_key WHERE id = $1");
    sp_bind_u64(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    uint64_t used_unix_s = sp_col_u64(&q);
    *ret_just_now = used_unix_s <= now_unix_s && now_unix_s - used_unix_s < USED_EACH_S;
    return sp_query_finish(&q);
}

sp_err sp_ssh_key_use(sp_store *store, uint64_t id, uint32_t counter, uint64_t now_unix_s)
{
    bool just_now = false;
    if (counter == 0) {
        TRY(was_used(store, id, now_unix_s, &just_now));
    }
    if (just_now) {
        return sp_ok();
    }
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE ssh_key SET used = $1, counter = $2 WHERE id = $3 AND"
                              " ($2 = 0 OR counter < $2)");
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, counter);
    sp_bind_u64(&q, id);
    return sp_query_finish_changed(&q);
}

typedef struct {
    uint64_t id;
    sp_span blob;
    sp_span algorithm;
    sp_span name;
} fresh_key;

static sp_err count_of(sp_store *store, uint32_t person, uint64_t *ret_count)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM ssh_key WHERE person = $1");
    sp_bind_u64(&q, person);
    *ret_count = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

static sp_err insert(sp_store *store, uint32_t person, fresh_key *key, uint64_t now_unix_s)
{
    sp_hash hash = sp_sha256(key->blob);
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO ssh_key (person, hash, blob, algorithm, name, counter, created, used)"
               " VALUES ($1, $2, $3, $4, $5, 0, $6, 0) RETURNING id");
    sp_bind_u64(&q, person);
    sp_bind_blob(&q, sp_hash_borrow(&hash));
    sp_bind_blob(&q, key->blob);
    sp_bind_text(&q, key->algorithm);
    sp_bind_text(&q, key->name);
    sp_bind_u64(&q, now_unix_s);
    key->id = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

static sp_err add(sp_store *store, uint32_t person, fresh_key *key, uint64_t now_unix_s)
{
    uint64_t count = 0;
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(count_of(store, person, &count));
    if (count >= SP_SSH_KEYS_OF_PERSON_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(insert(store, person, key, now_unix_s));
    return sp_txn_commit(&txn);
}

static sp_err drop(sp_store *store, uint32_t person, uint64_t id)
{
    auto_query sp_query q =
        sp_query_alone(store, "DELETE FROM ssh_key WHERE id = $1 AND person = $2");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, person);
    return sp_query_finish_changed(&q);
}

/* ---- the API ---- */

static json_t *key_json(uint64_t id, sp_span blob, sp_span algorithm, sp_span name,
                        uint64_t created_unix_s, uint64_t used_unix_s)
{
    auto_buf sp_buf print = sp_buf_make(FINGERPRINT_MAX_BYTES);
    sp_ssh_key_fingerprint(blob, &print);
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "id", sp_json_id(id), "name",
                     sp_json_span(name), "algorithm", sp_json_span(algorithm), "fingerprint",
                     sp_json_span(sp_buf_borrow(&print)), "presence",
                     sp_span_starts(algorithm, SP_SPAN_LIT("sk-")), "created_at",
                     sp_json_time(created_unix_s), "last_used_at", sp_json_time(used_unix_s));
}

static void answer_keys(sp_request *req, uint32_t person)
{
    json_t *items = json_array();
    auto_query sp_query q = sp_query_of(sp_request_core(req)->store,
                                        "SELECT id, created, used, blob, algorithm, name"
                                        " FROM ssh_key WHERE person = $1 ORDER BY id DESC");
    sp_bind_u64(&q, person);
    while (sp_query_row(&q)) {
        uint64_t id = sp_col_u64(&q);
        uint64_t created = sp_col_u64(&q);
        uint64_t used = sp_col_u64(&q);
        sp_span blob = sp_col_blob(&q);
        sp_span algorithm = sp_col_text(&q);
        json_array_append_new(items, key_json(id, blob, algorithm, sp_col_text(&q), created, used));
    }
    sp_answer_read(req, sp_query_finish(&q), items);
}

static void get_mine(sp_request *req)
{
    answer_keys(req, sp_request_person(req));
}

static bool find_person(sp_request *req, sp_person *ret_person)
{
    uint64_t id = 0;
    if (!sp_request_param_u64(req, 0, &id) || id > UINT32_MAX ||
        sp_failed(sp_people_get(sp_request_core(req)->store, (uint32_t)id, ret_person))) {
        sp_answer_problem(req, 404, "not_found", "There is no such person.");
        return false;
    }
    return true;
}

static void get_of_person(sp_request *req)
{
    sp_person person;
    if (find_person(req, &person)) {
        answer_keys(req, person.id);
    }
}

static void changed(sp_request *req, uint32_t person)
{
    sp_sse_publish(sp_request_core(req), SP_TOPIC_ME, person, "me",
                   json_pack("{s:s}", "what", "ssh-keys"));
}

static void apply_add(sp_request *req, void *data)
{
    fresh_key *key = data;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_err err = add(sp_request_core(req)->store, sp_request_person(req), key, now_unix_s);
    if (err.code == SP_EEXISTS) {
        sp_answer_problem(req, 409, "conflict", "This key is registered already.");
    } else if (err.code == SP_ELIMIT) {
        sp_answer_problem(req, 409, "conflict", "You have %d keys. Remove one first.",
                          SP_SSH_KEYS_OF_PERSON_MAX);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        changed(req, sp_request_person(req));
        sp_answer_json(req, 201,
                       key_json(key->id, key->blob, key->algorithm, key->name, now_unix_s, 0));
    }
}

static void record(sp_request *req, const char *what, sp_span object, sp_request_go go, void *data)
{
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.gate = SP_GATE_SSH;
    event.method = sp_span_cstr(what);
    event.severity = SP_SEVERITY_LOW;
    event.object = object;
    sp_request_record(req, &event, go, data);
}

/* RSA and NIST curves beyond P-256's kin are not taken: fewer algorithms, fewer mistakes. */
static bool is_taken(uint8_t type)
{
    return type != SP_SSH_KEY_RSA;
}

static sp_err read_line(sp_request *req, sp_span line, fresh_key *key)
{
    auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    sp_ssh_key_line read;
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
        line.len--;
    }
    if (sp_span_index(line, '\n') != line.len) {
        return sp_fail(SP_EINVALID); /* one key at a time */
    }
    TRY(sp_ssh_key_line_parse(line, SP_SSH_LINE_PUBLIC, &room, &read));
    if (!is_taken(read.key.type)) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    key->algorithm = sp_span_cstr(sp_ssh_key_name((sp_ssh_key_type)read.key.type));
    return sp_arena_copy(sp_request_arena(req), read.blob, &key->blob);
}

static void post_mine(sp_request *req)
{
    sp_span name = SP_SPAN_EMPTY;
    sp_span line = SP_SPAN_EMPTY;
    fresh_key *key = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("name", &name, 1, SP_SSH_KEY_LABEL_MAX_BYTES),
                               SP_FIELD_TEXT("key", &line, 1, SP_SSH_KEY_LINE_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*key), &key);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    key->name = name;
    if (sp_failed(read_line(req, line, key))) {
        sp_answer_invalid(req, "key",
                          "one line of a .pub file: ssh-ed25519, ecdsa-sha2-nistp256/384/521, "
                          "sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com");
        return;
    }
    auto_buf sp_buf print = sp_buf_make(FINGERPRINT_MAX_BYTES);
    sp_ssh_key_fingerprint(key->blob, &print);
    record(req, "SSH key registered", sp_buf_borrow(&print), apply_add, key);
}

typedef struct {
    uint32_t person;
    uint64_t id;
} which_key;

/* What began with it ends: whoever has a copy is out. */
static void apply_delete(sp_request *req, void *data)
{
    const which_key *which = data;
    sp_err err = drop(sp_request_core(req)->store, which->person, which->id);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "There is no such key.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_ssh_rides_of_key_end(sp_ssh_of(req), which->person, which->id);
        changed(req, which->person);
        sp_answer_empty(req, 204);
    }
}

static void delete_of(sp_request *req, uint32_t person, size_t param)
{
    which_key *which = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*which), &which);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    which->person = person;
    if (!sp_request_param_u64(req, param, &which->id)) {
        sp_answer_problem(req, 404, "not_found", "There is no such key.");
    } else {
        record(req, "SSH key removed", sp_request_param(req, param), apply_delete, which);
    }
}

static void delete_mine(sp_request *req)
{
    delete_of(req, sp_request_person(req), 0);
}

static void delete_of_person(sp_request *req)
{
    sp_person person;
    if (find_person(req, &person)) {
        delete_of(req, person.id, 1);
    }
}

sp_err sp_ssh_keys_start(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/ssh-keys", SP_WHO_PERSON, get_mine, 0},
        {"POST", "/api/v1/me/ssh-keys", SP_WHO_PERSON | SP_WHO_FRESH, post_mine, 0},
        {"DELETE", "/api/v1/me/ssh-keys/{id}", SP_WHO_PERSON, delete_mine, 0},
        {"GET", "/api/v1/admin/people/{id}/ssh-keys", SP_WHO_ANY_ADMIN, get_of_person, 0},
        {"DELETE", "/api/v1/admin/people/{id}/ssh-keys/{key}", SP_WHO_SECURITY | SP_WHO_FRESH,
         delete_of_person, 0},
    };
    TRY(sp_store_migrate(core->store, "ssh", migrations, SP_COUNT(migrations)));
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
