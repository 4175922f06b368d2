/* SPDX-License-Identifier: Apache-2.0
 * Counting what a session left in the ledger.
 * OWNS see coverage.h. PROCESS core. TRUST see coverage.h. SPEC core/admin/coverage.h.
 */
#include "core/admin/coverage.h"

#include <string.h>

enum { CUT_BYTES = SP_EVENT_OBJECT_MAX_BYTES - 20, SWITCHING_PROTOCOLS = 101 };

sp_coverage sp_coverage_make(void)
{
    return (sp_coverage){
        .connections = json_object(), .reasons = json_object(), .missing = json_array()};
}

void sp_coverage_done(sp_coverage *coverage)
{
    json_decref(coverage->connections);
    json_decref(coverage->reasons);
    json_decref(coverage->missing);
    json_decref(coverage->first);
    json_decref(coverage->last);
    json_decref(coverage->end);
    *coverage = (sp_coverage){0};
}

/* ---- members of an event ---- */

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));
    return text == NULL ? "" : text;
}

static bool is(const json_t *event, const char *key, const char *value)
{
    return strcmp(text_of(event, key), value) == 0;
}

static uint64_t number_of(const json_t *event, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(event, key));
    return number < 0 ? 0 : (uint64_t)number;
}

static unsigned gate_bit(const json_t *event)
{
    for (unsigned gate = SP_GATE_NONE + 1; gate < SP_GATE_COUNT; gate++) {
        if (is(event, "gate", sp_gate_word((sp_gate)gate))) {
            return 1U << gate;
        }
    }
    return 0;
}

/* Sums of what gates claim: they stop at the top instead of going round. */
static void add(uint64_t *sum, uint64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum) || *sum > INT64_MAX) {
        *sum = INT64_MAX;
    }
}

static void count(sp_coverage *coverage, sp_opaque what, uint64_t times, uint64_t bytes,
                  uint64_t rows)
{
    add(&coverage->opaque[what].count, times);
    add(&coverage->opaque[what].bytes, bytes);
    add(&coverage->opaque[what].rows, rows);
}

/* ---- databases ---- */

static json_t *connection_of(sp_coverage *coverage, const char *id)
{
    json_t *connection = json_object_get(coverage->connections, id);
    if (connection == NULL && id[0] != '\0') {
        coverage->connections_count++;
        if (json_object_size(coverage->connections) >= SP_COVERAGE_CONNECTIONS_MAX) {
            return NULL;
        }
        connection = json_pack("{s:s, s:n, s:n, s:n, s:i}", "id", id, "resource", "opened_at",
                               "closed_at", "statements", 0);
        json_object_set_new(coverage->connections, id, connection);
    }
    return connection;
}

static void copy(json_t *to, const char *key, const json_t *from, const char *from_key)
{
    json_t *value = json_object_get(from, from_key);
    if (to != NULL && value != NULL) {
        json_object_set(to, key, value);
    }
}

static void on_connection(sp_coverage *coverage, const json_t *event, bool opened)
{
    json_t *connection = connection_of(coverage, text_of(event, "reference"));
    copy(connection, "resource", event, "resource");
    copy(connection, opened ? "opened_at" : "closed_at", event, "at");
}

static bool says_opaque(const json_t *event, const char *what)
{
    size_t at = 0;
    json_t *one = NULL;
    json_array_foreach(json_object_get(json_object_get(event, "detail"), "opaque"), at, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), what) == 0) {
            return true;
        }
    }
    return false;
}

/* Of the text that was decided. */
static void opaque_text(sp_coverage *coverage, const json_t *event)
{
    sp_span object = sp_span_cstr(text_of(event, "object"));
    if (is(event, "method", "DO") || says_opaque(event, "code")) {
        count(coverage, SP_OPAQUE_CODE, 1, 0, 0);
    }
    if (is(event, "method", "CALL") || says_opaque(event, "function")) {
        count(coverage, SP_OPAQUE_FUNCTION, 1, 0, 0);
    }
    if (sp_span_find(object, SP_SPAN_LIT("$1")) < object.len) {
        count(coverage, SP_OPAQUE_PARAMETERS, 1, 0, 0);
    }
    if (object.len >= CUT_BYTES) {
        count(coverage, SP_OPAQUE_CUT, 1, 0, 0);
    }
}

/* Of what it came to. */
static void opaque_result(sp_coverage *coverage, const json_t *event, bool is_decision)
{
    uint64_t bytes = 0;
    uint64_t rows = number_of(event, "count");
    add(&bytes, number_of(event, "bytes_in"));
    add(&bytes, number_of(event, "bytes_out"));
    if (sp_span_starts(sp_span_cstr(text_of(event, "method")), SP_SPAN_LIT("COPY"))) {
        count(coverage, SP_OPAQUE_COPY, is_decision ? 1 : 0, bytes, 0);
    } else if (rows > 0) {
        count(coverage, SP_OPAQUE_RESULTS, 1, bytes, rows);
    }
}

/* One event when it has run; or, when it had to be recorded first, a decision and then its close.
 */
static void on_statement(sp_coverage *coverage, const json_t *event)
{
    const json_t *detail = json_object_get(event, "detail");
    bool is_decision = is(event, "kind", "decision");
    coverage->failed += json_object_get(detail, "sqlstate") != NULL ? 1 : 0;
    add(&coverage->rows, number_of(event, "count"));
    opaque_result(coverage, event, is_decision);
    if (is_decision) {
        json_t *connection = connection_of(coverage, text_of(detail, "connection"));
        json_t *statements = json_object_get(connection, "statements");
        json_integer_set(statements, json_integer_value(statements) + 1);
        copy(connection, "resource", event, "resource");
        coverage->statements++;
        opaque_text(coverage, event);
    }
}

static void on_database(sp_coverage *coverage, const json_t *event)
{
    if (is(event, "method", "CONNECT")) {
        on_connection(coverage, event, is(event, "kind", "decision"));
    } else {
        on_statement(coverage, event);
    }
}

/* ---- the web ---- */

static void on_web(sp_coverage *coverage, const json_t *event)
{
    uint64_t bytes = 0;
    add(&bytes, number_of(event, "bytes_in"));
    add(&bytes, number_of(event, "bytes_out"));
    bool is_close = is(event, "kind", "close");
    coverage->requests += is_close ? 0 : 1;
    if (number_of(event, "status") == SWITCHING_PROTOCOLS) {
        count(coverage, SP_OPAQUE_WEBSOCKET, 1, bytes, 0);
    } else if (bytes > 0) {
        count(coverage, SP_OPAQUE_CONTENT, 1, bytes, 0);
    }
    if (!is_close && strlen(text_of(event, "object")) >= CUT_BYTES) {
        count(coverage, SP_OPAQUE_CUT, 1, 0, 0);
    }
}

/* ---- events ---- */

/* Refused or asked: it did not happen. */
static bool is_refused(sp_coverage *coverage, const json_t *event)
{
    bool asked = is(event, "verdict", "ask");
    const char *reason = text_of(event, "reason");
    if (!is(event, "kind", "decision") || (!asked && !is(event, "verdict", "deny"))) {
        return false;
    }
    coverage->asked += asked ? 1 : 0;
    coverage->denied += asked ? 0 : 1;
    if (!asked) {
        json_int_t so_far = json_integer_value(json_object_get(coverage->reasons, reason));
        json_object_set_new(coverage->reasons, reason, json_integer(so_far + 1));
    }
    return true;
}

static void keep(json_t **place, json_t *event)
{
    json_decref(*place);
    *place = json_incref(event);
}

void sp_coverage_event(sp_coverage *coverage, json_t *event)
{
    bool of_gate = is(event, "kind", "decision") || is(event, "kind", "close");
    unsigned gate = gate_bit(event);
    coverage->events++;
    keep(&coverage->first, event);
    if (coverage->last == NULL) {
        keep(&coverage->last, event);
    }
    if (coverage->end == NULL &&
        (is(event, "kind", "sign-out") || is(event, "kind", "session-end"))) {
        keep(&coverage->end, event);
    }
    if (!of_gate) {
        coverage->other++;
        return;
    }
    coverage->gates |= gate;
    add(&coverage->bytes_in, number_of(event, "bytes_in"));
    add(&coverage->bytes_out, number_of(event, "bytes_out"));
    if (is_refused(coverage, event)) {
        return;
    }
    if (gate == 1U << SP_GATE_DB) {
        on_database(coverage, event);
    } else if (gate == 1U << SP_GATE_WEB) {
        on_web(coverage, event);
    } else {
        coverage->other++;
    }
}

void sp_coverage_missing(sp_coverage *coverage, json_t *event)
{
    bool is_loss = is(event, "kind", "loss");
    uint64_t number = number_of(event, "count");
    if ((gate_bit(event) & coverage->gates) == 0 || (!is_loss && !is(event, "kind", "gap"))) {
        return;
    }
    add(&coverage->lost, is_loss ? number : 0);
    coverage->gaps += is_loss ? 0 : 1;
    if (json_array_size(coverage->missing) < SP_COVERAGE_MISSING_MAX) {
        json_array_append(coverage->missing, event);
    }
}

/* ---- written down ---- */

static json_t *opaque_json(const sp_coverage *coverage)
{
    static const char *const words[SP_OPAQUE_COUNT] = {
        "code", "function", "copy", "results", "parameters", "cut", "websocket", "content"};
    json_t *list = json_array();
    for (size_t i = 0; i < SP_OPAQUE_COUNT; i++) {
        const sp_coverage_sum *sum = &coverage->opaque[i];
        if (sum->count > 0) {
            json_array_append_new(list,
                                  json_pack("{s:s, s:I, s:I, s:I}", "what", words[i], "count",
                                            (json_int_t)sum->count, "bytes", (json_int_t)sum->bytes,
                                            "rows", (json_int_t)sum->rows));
        }
    }
    return list;
}

static json_t *time_of(const json_t *event)
{
    json_t *at = json_object_get(event, "at");
    return at == NULL ? json_null() : json_incref(at);
}

json_t *sp_coverage_connections(const sp_coverage *coverage)
{
    json_t *list = json_array();
    const char *id = NULL;
    json_t *connection = NULL;
    json_object_foreach(coverage->connections, id, connection)
    {
        json_array_insert(list, 0, connection); /* they came newest first */
    }
    return list;
}

json_t *sp_coverage_json(const sp_coverage *coverage, bool complete)
{
    json_t *gates = json_array();
    for (unsigned gate = 0; gate < SP_GATE_COUNT; gate++) {
        if ((coverage->gates & (1U << gate)) != 0) {
            json_array_append_new(gates, json_string(sp_gate_word((sp_gate)gate)));
        }
    }
    return json_pack(
        "{s:b, s:o, s:o, s:o, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:{s:I, s:I, "
        "s:O}, s:{s:I, s:I, s:O}}",
        "complete", complete, "from", time_of(coverage->first), "to", time_of(coverage->last),
        "gates", gates, "events", (json_int_t)coverage->events, "recorded", "requests",
        (json_int_t)coverage->requests, "statements", (json_int_t)coverage->statements, "failed",
        (json_int_t)coverage->failed, "connections", (json_int_t)coverage->connections_count,
        "other", (json_int_t)coverage->other, "rows", (json_int_t)coverage->rows, "bytes_in",
        (json_int_t)coverage->bytes_in, "bytes_out", (json_int_t)coverage->bytes_out, "opaque",
        opaque_json(coverage), "refused", "denied", (json_int_t)coverage->denied, "asked",
        (json_int_t)coverage->asked, "reasons", coverage->reasons, "missing", "lost",
        (json_int_t)coverage->lost, "gaps", (json_int_t)coverage->gaps, "items", coverage->missing);
}
