/* SPDX-License-Identifier: Apache-2.0
 * The figures as Prometheus reads them.
 * OWNS nothing. PROCESS core. TRUST names in labels are escaped.
 * SPEC https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
 */
#include "core/database/database.h"
#include "core/meters/inside.h"
#include "core/notices/inside.h"
#include "core/reports/reports.h"
#include "core/sessions/sessions.h"
#include "core/sinks/sinks.h"
#include "core/ssh/ssh.h"
#include "core/state/gates.h"
#include "core/vault_client.h"
#include "core/watch/watch.h"
#include "infra/proc/clock.h"

#define P "sallyport_"

void sp_meter_head(sp_buf *out, const char *name, const char *type, const char *help)
{
    sp_buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label(sp_buf *out, const char *label, sp_span value)
{
    sp_buf_fmt(out, "%s=\"", label);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (c == '\n') {
            sp_buf_text(out, "\\n");
        } else {
            if (c == '"' || c == '\\') {
                sp_buf_byte(out, '\\');
            }
            sp_buf_byte(out, c);
        }
    }
    sp_buf_byte(out, '"');
}

/* Whole numbers stand without a point, others with what a double has. */
static void put_number(sp_buf *out, double number)
{
    if (number >= 0 && number < 9e15 && number == (double)(uint64_t)number) {
        sp_buf_fmt(out, " %llu\n", (unsigned long long)number);
    } else {
        sp_buf_fmt(out, " %.9g\n", number);
    }
}

void sp_meter_row(sp_buf *out, const char *name, const char *label, sp_span value, double number)
{
    sp_buf_text(out, name);
    if (label != NULL) {
        sp_buf_byte(out, '{');
        put_label(out, label, value);
        sp_buf_byte(out, '}');
    }
    put_number(out, number);
}

static void one(sp_buf *out, const char *name, const char *type, const char *help, double number)
{
    sp_meter_head(out, name, type, help);
    sp_meter_row(out, name, NULL, SP_SPAN_EMPTY, number);
}

static void row2(sp_buf *out, const char *name, const char *label, const char *value,
                 const char *label2, const char *value2, double number)
{
    sp_buf_fmt(out, "%s{%s=\"%s\",%s=\"%s\"}", name, label, value, label2, value2);
    put_number(out, number);
}

/* ---- what the ledger saw ---- */

static void put_decisions(const sp_ledger_meters *m, sp_buf *out)
{
    sp_meter_head(out, P "decisions_total", "counter", "Decisions of the gates, by verdict.");
    for (unsigned gate = SP_GATE_WEB; gate <= SP_GATE_DB; gate++) {
        for (unsigned verdict = 0; verdict < SP_VERDICT_COUNT; verdict++) {
            row2(out, P "decisions_total", "gate", sp_gate_word((sp_gate)gate), "verdict",
                 sp_verdict_word((sp_verdict)verdict), (double)m->decided[gate][verdict]);
        }
    }
    sp_meter_head(out, P "bytes_total", "counter", "Bytes that passed the gates.");
    for (unsigned gate = SP_GATE_WEB; gate <= SP_GATE_DB; gate++) {
        const char *word = sp_gate_word((sp_gate)gate);
        row2(out, P "bytes_total", "gate", word, "direction", "in", (double)m->bytes_in[gate]);
        row2(out, P "bytes_total", "gate", word, "direction", "out", (double)m->bytes_out[gate]);
    }
}

static void put_events(const sp_ledger_meters *m, sp_buf *out)
{
    sp_meter_head(out, P "events_total", "counter", "Events on the ledger, by kind.");
    for (unsigned kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        sp_meter_row(out, P "events_total", "kind",
                     sp_span_cstr(sp_event_kind_word((sp_event_kind)kind)), (double)m->kinds[kind]);
    }
    sp_meter_head(out, P "alarms_total", "counter", "Alarms of the watch, by severity.");
    for (unsigned severity = 0; severity < SP_SEVERITY_COUNT; severity++) {
        sp_meter_row(out, P "alarms_total", "severity",
                     sp_span_cstr(sp_severity_word((sp_severity)severity)),
                     (double)m->alarms[severity]);
    }
    sp_meter_head(out, P "ledger_delay_seconds", "summary",
                  "From when an event happened until it was on disk.");
    sp_meter_row(out, P "ledger_delay_seconds_sum", NULL, SP_SPAN_EMPTY, (double)m->delay_us / 1e6);
    sp_meter_row(out, P "ledger_delay_seconds_count", NULL, SP_SPAN_EMPTY, (double)m->delayed);
}

static void put_ledger(const sp_meters *m, sp_buf *out)
{
    const meter_ledger *l = &m->ledger;
    uint64_t now_us = sp_now_unix_us();
    uint64_t age_us = now_us > l->checkpoint_unix_us && l->checkpoint_unix_us > 0
                          ? now_us - l->checkpoint_unix_us
                          : 0;
    one(out, P "ledger_recording", "gauge", "1 while the ledger can write.",
        l->known && l->recording);
    one(out, P "ledger_entries", "gauge", "Entries in the tree.", (double)l->entries);
    one(out, P "ledger_bytes", "gauge", "Bytes of all segments.", (double)l->bytes);
    one(out, P "ledger_sources", "gauge", "Rings and writers attached.", (double)l->sources);
    one(out, P "ledger_lost_total", "counter", "Events known to be lost.", (double)l->lost);
    one(out, P "ledger_checkpoint_age_seconds", "gauge", "Age of the last signed checkpoint.",
        (double)age_us / 1e6);
    if (m->now.started_unix_us != 0) {
        one(out, P "ledger_start_time_seconds", "gauge",
            "When the ledger started: its counters began at zero then.",
            (double)m->now.started_unix_us / 1e6);
        put_decisions(&m->now, out);
        put_events(&m->now, out);
    }
}

/* ---- what core knows ---- */

static void count_one(void *self, uint64_t session, uint64_t device, sp_span resource)
{
    (void)session;
    (void)device;
    (void)resource;
    ++*(size_t *)self;
}

static void put_core(const sp_meters *m, sp_buf *out)
{
    sp_core *core = m->core;
    size_t db = 0;
    size_t ssh = 0;
    sp_databases_each(core, count_one, &db);
    sp_ssh_each(core, count_one, &ssh);
    sp_meter_head(out, P "build_info", "gauge", "The version that runs.");
    sp_meter_row(out, P "build_info", "version", SP_SPAN_LIT(SP_VERSION), 1);
    sp_meter_head(out, P "up", "gauge", "1 while core can speak to it.");
    sp_meter_row(out, P "up", "part", SP_SPAN_LIT("ledger"), m->ledger.known);
    sp_meter_row(out, P "up", "part", SP_SPAN_LIT("vault"), sp_vault_client_is_up(core->vault));
    sp_meter_row(out, P "up", "part", SP_SPAN_LIT("courier"),
                 notice_courier_is_up(core->notices->queue));
    sp_watch_status status;
    sp_meter_row(out, P "up", "part", SP_SPAN_LIT("watch"), sp_watcher_status_of(core, &status));
    one(out, P "gate_workers", "gauge", "Workers of gates that are connected.",
        (double)sp_gates_workers(core->state->gates));
    one(out, P "sessions", "gauge", "People who are signed in.",
        (double)sp_sessions_count(core->sessions));
    sp_meter_head(out, P "connections", "gauge", "Open connections that last.");
    sp_meter_row(out, P "connections", "gate", SP_SPAN_LIT("db"), (double)db);
    sp_meter_row(out, P "connections", "gate", SP_SPAN_LIT("ssh"), (double)ssh);
}

static void put_watch(const sp_core *core, sp_buf *out)
{
    sp_watch_status s;
    if (!sp_watcher_status_of(core, &s)) {
        return;
    }
    one(out, P "watch_lag_seconds", "gauge", "Age of what the watch looks at.",
        (double)s.lag_ms / 1e3);
    one(out, P "watch_events_total", "counter", "Events the watch has looked at.",
        (double)s.events);
    one(out, P "watch_late_total", "counter", "Events that came too late to count.",
        (double)s.late);
    one(out, P "watch_evicted_total", "counter", "Keys that were forgotten for want of room.",
        (double)s.evicted);
    one(out, P "watch_detections", "gauge", "Detections in force.", (double)s.detections);
    one(out, P "watch_memory_bytes", "gauge", "What the detections remember.",
        (double)s.memory_bytes);
}

static uint64_t counted(sp_store *store, const char *sql)
{
    auto_query sp_query q = sp_query_of(store, sql);
    return sp_query_row(&q) ? sp_col_u64(&q) : 0;
}

static void put_channels(const sp_core *core, sp_buf *out)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
        const char *member;
    } rows[] = {
        {P "notices_waiting", "gauge", "Deliveries that wait for a channel.", "waiting"},
        {P "notices_handed_total", "counter", "Deliveries handed over since core started.",
         "handed_over"},
        {P "channel_failing", "gauge", "1 while the last attempt of a channel failed.", "failing"},
    };
    json_t *channels = notice_queue_json(core->notices->queue);
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        size_t at = 0;
        json_t *channel = NULL;
        sp_meter_head(out, rows[i].name, rows[i].type, rows[i].help);
        json_array_foreach(channels, at, channel)
        {
            const char *name = json_string_value(json_object_get(channel, "name"));
            const json_t *value = json_object_get(channel, rows[i].member);
            sp_meter_row(out, rows[i].name, "channel", sp_span_cstr(name == NULL ? "" : name),
                         json_is_true(value) ? 1 : json_number_value(value));
        }
    }
    json_decref(channels);
}

static void put_answer(sp_core *core, sp_buf *out)
{
    uint64_t due = 0;
    uint64_t over = 0;
    one(out, P "incidents_open", "gauge", "Incidents that are open, drills left out.",
        (double)counted(core->store,
                        "SELECT COUNT(*) FROM incident WHERE state = 0 AND drill = 0"));
    sp_reports_due(core, &due, &over);
    one(out, P "reports_due", "gauge", "Duties to report that apply or might and are not done.",
        (double)due);
    one(out, P "reports_overdue", "gauge", "Those of them whose time is over.", (double)over);
    one(out, P "officers_vacant", "gauge", "Places in the officers register that nobody holds.",
        (double)sp_officers_vacant(core));
    one(out, P "rota_gaps", "gauge", "Roles of the Rota that nobody could take now.",
        (double)sp_gaps_count(core, SP_SPAN_LIT("rota")));
    one(out, P "drills_due", "gauge", "Plans that were not drilled in their time.",
        (double)sp_gaps_count(core, SP_SPAN_LIT("drill")));
}

void meter_text(const sp_meters *meters, sp_buf *out)
{
    put_core(meters, out);
    put_ledger(meters, out);
    put_watch(meters->core, out);
    put_channels(meters->core, out);
    put_answer(meters->core, out);
    sp_sinks_meters(meters->core, out);
}
