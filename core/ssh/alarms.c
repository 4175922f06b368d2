/* SPDX-License-Identifier: Apache-2.0
 * Alarms on shells, for people: a connection's gravest stays above every page of the security
 * administrators until one of them has looked, whether the connection lives or not. They decide
 * nothing; what a gate froze for one, FREEZE lets go.
 * OWNS rows of the store: one a connection that somebody was paged for. PROCESS core. TRUST a gate
 * may be taken over: it can tell of alarms on connections of its own; texts are bounded.
 * SPEC docs/api/openapi.yaml "/ssh/alarms", lib/alarm/alarm.h.
 */
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"
#include "lib/proto/json.h"

enum { LISTED_MAX = 200, KEEP_S = 30 * 24 * 3600 };

static const char *const migrations[] = {
    "CREATE TABLE ssh_alarm (connection BIGINT PRIMARY KEY, at_unix_s BIGINT NOT NULL,"
    " person TEXT NOT NULL, resource TEXT NOT NULL, account TEXT NOT NULL, text TEXT NOT NULL,"
    " confidence BIGINT NOT NULL, count BIGINT NOT NULL, seen_by TEXT NOT NULL)",
};

/* ---- from the gate ---- */

static sp_err keep(sp_store *store, const sp_ssh_connection *c)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query old = sp_query_of(store, "DELETE FROM ssh_alarm WHERE at_unix_s < $1");
    sp_bind_u64(&old, c->alarm.at_unix_s - KEEP_S);
    TRY(sp_query_finish(&old));
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO ssh_alarm (connection, at_unix_s, person, resource, account, text,"
               " confidence, count, seen_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')"
               " ON CONFLICT (connection) DO UPDATE SET at_unix_s = $2, text = $6,"
               " confidence = $7, count = $8, seen_by = ''");
    sp_bind_bits(&q, c->id & SP_SSH_REFERENCE_MASK);
    sp_bind_u64(&q, c->alarm.at_unix_s);
    sp_bind_text(&q, sp_span_cstr(c->person_name));
    sp_bind_text(&q, sp_span_cstr(c->resource));
    sp_bind_text(&q, sp_span_cstr(c->account));
    sp_bind_text(&q, sp_span_cstr(c->alarm.text));
    sp_bind_u64(&q, c->alarm.confidence);
    sp_bind_u64(&q, c->alarm.count);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

sp_err sp_ssh_on_alarm(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_alarm told;
    TRY(sp_ssh_alarm_read(msg->body, &told));
    sp_ssh_connection *c = sp_ssh_connection_of(ssh, told.connection, peer);
    if (c == NULL) {
        return sp_ok();
    }
    bool fresh = told.count != c->alarm.count;
    c->alarm.count = told.count;
    c->alarm.confidence = told.confidence;
    c->alarm.at_unix_s = sp_now_unix_us() / 1000000;
    TRY(sp_fit(c->alarm.text, sizeof(c->alarm.text), told.text));
    if (told.frozen != 0 && (!c->frozen || c->frozen_by[0] != '\0')) {
        sp_ssh_frozen_by_gate(ssh, c, "");
    }
    if (fresh) {
        SP_IGNORE(
            keep(ssh->core->store, c)); /* the ledger has it; the list shows it while it lives */
    }
    sp_ssh_connection_changed(ssh->core, c);
    return sp_ok();
}

/* ---- for people ---- */

sp_err sp_ssh_alarm_seen(sp_store *store, uint64_t connection, const char *by)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE ssh_alarm SET seen_by = $1 WHERE connection = $2 AND"
                              " seen_by = ''");
    sp_bind_text(&q, sp_span_cstr(by));
    sp_bind_bits(&q, connection & SP_SSH_REFERENCE_MASK);
    return sp_query_finish_changed(&q);
}

static json_t *row_json(sp_request *req, sp_query *q)
{
    char id[SP_REFERENCE_TEXT_BYTES];
    uint64_t connection = sp_col_bits(q);
    sp_reference_text(connection, id);
    json_t *out = json_pack("{s:s, s:o}", "id", id, "at", sp_json_time(sp_col_u64(q)));
    static const char *const texts[] = {"person", "resource", "account", "text"};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_span text = sp_col_text(q);
        json_object_set_new(out, texts[i], json_stringn((const char *)text.ptr, text.len));
    }
    json_object_set_new(out, "confidence", json_integer((json_int_t)sp_col_u64(q)));
    json_object_set_new(out, "count", json_integer((json_int_t)sp_col_u64(q)));
    const sp_ssh_connection *c = sp_ssh_connection_named(sp_ssh_of(req), sp_span_cstr(id));
    json_object_set_new(out, "live", json_boolean(c != NULL));
    json_object_set_new(out, "frozen", json_boolean(c != NULL && c->frozen));
    return out;
}

/* What nobody has looked at, newest first. */
static void get_alarms(sp_request *req)
{
    json_t *items = json_array();
    auto_query sp_query q = sp_query_of(
        sp_request_core(req)->store,
        "SELECT connection, at_unix_s, person, resource, account, text, confidence, count"
        " FROM ssh_alarm WHERE seen_by = '' ORDER BY at_unix_s DESC LIMIT $1");
    sp_bind_u64(&q, LISTED_MAX);
    while (sp_query_row(&q)) {
        json_array_append_new(items, row_json(req, &q));
    }
    sp_answer_read(req, sp_query_finish(&q), items);
}

static void let_go_of(sp_core *core, uint64_t connection)
{
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT person FROM ssh_alarm WHERE connection = $1");
    sp_bind_bits(&q, connection & SP_SSH_REFERENCE_MASK);
    if (sp_query_row(&q)) {
        sp_ssh_frozen_looked_at(core->ssh, sp_col_text(&q));
    }
    SP_IGNORE(sp_query_finish(&q)); /* else he is held until somebody lets him go */
}

static void apply_seen(sp_request *req, void *data)
{
    const uint64_t *connection = data;
    sp_core *core = sp_request_core(req);
    sp_err err = sp_ssh_alarm_seen(core->store, *connection, sp_request_session(req)->person_name);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "There is no such alarm, or it was seen already.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        let_go_of(core, *connection);
        sp_sse_publish(core, SP_TOPIC_SSH, 0, "ssh", json_pack("{s:s}", "what", "alarms"));
        sp_answer_empty(req, 204);
    }
}

/* Nobody looks at what stood out on his own shell: it would let him go. */
static bool is_about(const sp_core *core, uint64_t connection, const char *person)
{
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT person FROM ssh_alarm WHERE connection = $1");
    sp_bind_bits(&q, connection & SP_SSH_REFERENCE_MASK);
    bool about = sp_query_row(&q) && sp_span_eq(sp_col_text(&q), sp_span_cstr(person));
    return sp_failed(sp_query_finish(&q)) || about;
}

static void post_seen(sp_request *req)
{
    sp_span why = SP_SPAN_EMPTY;
    uint64_t *connection = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("why", &why, 0, 500)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*connection), &connection);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (sp_failed(sp_reference_of(sp_request_param(req, 0), connection))) {
        sp_answer_problem(req, 404, "not_found", "There is no such alarm, or it was seen already.");
        return;
    }
    if (is_about(sp_request_core(req), *connection, sp_request_session(req)->person_name)) {
        sp_answer_problem(req, 403, "forbidden",
                          "This alarm is about you: somebody else looks at it.");
        return;
    }
    auto_buf sp_buf detail = sp_buf_make(4000);
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    sp_buf_text(&detail, "{\"why\":");
    sp_buf_json(&detail, why);
    sp_buf_byte(&detail, '}');
    event.gate = SP_GATE_SSH;
    event.reference = *connection;
    event.method = SP_SPAN_LIT("alarm on a shell seen");
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, apply_seen, connection);
}

sp_err sp_ssh_alarms_start(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/ssh/alarms", SP_WHO_SECURITY | SP_WHO_AUDIT, get_alarms, 0},
        {"POST", "/api/v1/ssh/alarms/{id}/seen", SP_WHO_SECURITY, post_seen, 0},
    };
    TRY(sp_store_migrate(core->store, "ssh_alarms", migrations, SP_COUNT(migrations)));
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
