/* SPDX-License-Identifier: Apache-2.0
 * Rates: differences of the ledger's meters, by the second for ten minutes, by the minute for a
 * day. OWNS nothing. PROCESS core. TRUST none. SPEC docs/api/openapi.yaml "/rates".
 */
#include "core/database/database.h"
#include "core/http/json.h"
#include "core/http/router.h"
#include "core/meters/inside.h"
#include "core/sessions/sessions.h"
#include "core/ssh/ssh.h"
#include "core/watch/watch.h"
#include "infra/proc/clock.h"

enum { MINUTE_S = 60, THOUSAND = 1000 };

static const struct {
    const char *name;
    const char *unit;
} SERIES[SERIES_COUNT] = {
    [SERIES_WEB] = {"web", "1/s"},
    [SERIES_DB] = {"db", "1/s"},
    [SERIES_SSH] = {"ssh", "1/s"},
    [SERIES_WEB_REFUSED] = {"web_refused", "1/s"},
    [SERIES_DB_REFUSED] = {"db_refused", "1/s"},
    [SERIES_SSH_REFUSED] = {"ssh_refused", "1/s"},
    [SERIES_EVENTS] = {"events", "1/s"},
    [SERIES_ENTRIES] = {"entries", "1/s"},
    [SERIES_BYTES_IN] = {"bytes_in", "B/s"},
    [SERIES_BYTES_OUT] = {"bytes_out", "B/s"},
    [SERIES_ALARMS] = {"alarms", "1/s"},
    [SERIES_DELAY_MS] = {"ledger_delay", "ms"},
    [SERIES_SESSIONS] = {"sessions", "count"},
    [SERIES_DB_OPEN] = {"db_connections", "count"},
    [SERIES_SSH_OPEN] = {"ssh_connections", "count"},
    [SERIES_WATCH_LAG] = {"watch_lag", "ms"},
};

static void count_one(void *self, uint64_t session, uint64_t device, sp_span resource)
{
    (void)session;
    (void)device;
    (void)resource;
    ++*(size_t *)self;
}

static double grown(uint64_t now, uint64_t before)
{
    return now > before ? (double)(now - before) : 0;
}

static void take_gate(const sp_meters *m, sp_gate gate, double seconds, meter_series all,
                      meter_series refused, meter_sample *s)
{
    for (unsigned verdict = 0; verdict < SP_VERDICT_COUNT; verdict++) {
        double rate =
            grown(m->now.decided[gate][verdict], m->before.decided[gate][verdict]) / seconds;
        s->values[all] += rate;
        s->values[refused] += verdict == SP_VERDICT_ALLOW ? 0 : rate;
    }
}

static void take_levels(sp_core *core, meter_sample *s)
{
    size_t db = 0;
    size_t ssh = 0;
    sp_watch_status watch;
    sp_databases_each(core, count_one, &db);
    sp_ssh_each(core, count_one, &ssh);
    s->values[SERIES_SESSIONS] = (double)sp_sessions_count(core->sessions);
    s->values[SERIES_DB_OPEN] = (double)db;
    s->values[SERIES_SSH_OPEN] = (double)ssh;
    s->values[SERIES_WATCH_LAG] = sp_watcher_status_of(core, &watch) ? (double)watch.lag_ms : 0;
}

static void take_rates(const sp_meters *m, double seconds, meter_sample *s)
{
    double delayed = grown(m->now.delayed, m->before.delayed);
    for (unsigned gate = 0; gate < SP_GATE_COUNT; gate++) {
        s->values[SERIES_BYTES_IN] += grown(m->now.bytes_in[gate], m->before.bytes_in[gate]);
        s->values[SERIES_BYTES_OUT] += grown(m->now.bytes_out[gate], m->before.bytes_out[gate]);
    }
    s->values[SERIES_BYTES_IN] /= seconds;
    s->values[SERIES_BYTES_OUT] /= seconds;
    s->values[SERIES_EVENTS] = delayed / seconds;
    s->values[SERIES_ENTRIES] = grown(m->ledger.entries, m->entries_before) / seconds;
    s->values[SERIES_ALARMS] =
        grown(m->now.kinds[SP_EVENT_ALARM], m->before.kinds[SP_EVENT_ALARM]) / seconds;
    s->values[SERIES_DELAY_MS] =
        delayed > 0 ? grown(m->now.delay_us, m->before.delay_us) / delayed / THOUSAND : 0;
    take_gate(m, SP_GATE_WEB, seconds, SERIES_WEB, SERIES_WEB_REFUSED, s);
    take_gate(m, SP_GATE_DB, seconds, SERIES_DB, SERIES_DB_REFUSED, s);
    take_gate(m, SP_GATE_SSH, seconds, SERIES_SSH, SERIES_SSH_REFUSED, s);
}

/* A minute that is over becomes the mean of its seconds. */
static void take_minute(sp_meters *m, const meter_sample *s)
{
    uint64_t minute = s->at_unix_s / MINUTE_S * MINUTE_S;
    if (m->minute_count > 0 && m->minute.at_unix_s != minute) {
        for (size_t i = 0; i < SERIES_COUNT; i++) {
            m->minute.values[i] /= m->minute_count;
        }
        m->minutes[m->minutes_at] = m->minute;
        m->minutes_at = (m->minutes_at + 1) % METER_MINUTES;
        m->minute_count = 0;
    }
    if (m->minute_count == 0) {
        m->minute = (meter_sample){.at_unix_s = minute};
    }
    for (size_t i = 0; i < SERIES_COUNT; i++) {
        m->minute.values[i] += s->values[i];
    }
    m->minute_count++;
}

void meter_take(sp_meters *m)
{
    meter_sample s = {.at_unix_s = sp_now_unix_us() / 1000000};
    bool same = m->before.started_unix_us != 0 &&
                m->before.started_unix_us == m->now.started_unix_us; /* else it began at zero */
    double seconds = (double)(m->asked_us - m->before_us) / 1e6;
    if (same && seconds > 0) {
        take_rates(m, seconds, &s);
    }
    m->entries_before = m->ledger.entries;
    take_levels(m->core, &s);
    m->seconds[m->seconds_at] = s;
    m->seconds_at = (m->seconds_at + 1) % METER_SECONDS;
    take_minute(m, &s);
}

/* ---- the console's ---- */

static double rounded(double value)
{
    return (double)(int64_t)(value * THOUSAND + 0.5) / THOUSAND;
}

/* Columns, oldest first. */
static json_t *columns_json(const meter_sample *ring, size_t count, size_t at, uint64_t after)
{
    json_t *times = json_array();
    json_t *series = json_object();
    json_t *columns[SERIES_COUNT];
    for (size_t i = 0; i < SERIES_COUNT; i++) {
        columns[i] = json_array();
    }
    for (size_t step = 0; step < count; step++) {
        const meter_sample *s = &ring[(at + step) % count];
        if (s->at_unix_s <= after) {
            continue; /* empty, or known already */
        }
        json_array_append_new(times, json_integer((json_int_t)s->at_unix_s));
        for (size_t i = 0; i < SERIES_COUNT; i++) {
            json_array_append_new(columns[i], json_real(rounded(s->values[i])));
        }
    }
    for (size_t i = 0; i < SERIES_COUNT; i++) {
        json_object_set_new(series, SERIES[i].name,
                            json_pack("{s:s,s:o}", "unit", SERIES[i].unit, "values", columns[i]));
    }
    return json_pack("{s:o,s:o}", "at", times, "series", series);
}

static void get_rates(sp_request *req)
{
    const sp_meters *m = sp_request_core(req)->meters;
    sp_span step = sp_request_query(req, "step");
    sp_span since = sp_request_query(req, "after");
    uint64_t after = 0;
    bool minutes = sp_span_eq(step, SP_SPAN_LIT("minute"));
    if (step.len > 0 && !minutes && !sp_span_eq(step, SP_SPAN_LIT("second"))) {
        sp_answer_invalid(req, "step", "second (of the last 10 minutes) or minute (of a day)");
        return;
    }
    if (since.len > 0 && sp_failed(sp_span_to_u64(since, INT64_MAX, &after))) {
        sp_answer_invalid(req, "after", "a time of 'at', in seconds since 1970");
        return;
    }
    json_t *json = minutes ? columns_json(m->minutes, METER_MINUTES, m->minutes_at, after)
                           : columns_json(m->seconds, METER_SECONDS, m->seconds_at, after);
    json_object_set_new(json, "step", json_integer(minutes ? MINUTE_S : 1));
    sp_answer_json(req, 200, json);
}

sp_err meter_rates_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/rates", SP_WHO_ANY_ADMIN | SP_WHO_LOCAL, get_rates, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
