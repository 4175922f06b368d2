/* SPDX-License-Identifier: Apache-2.0
 * Entries of the ledger as a sink gets them: complete OCSF events, as a JSON array, as records of a
 * Kafka REST proxy, or as syslog messages. Each carries where it stands in the ledger
 * (unmapped.ledger_entry, "<entry>/<place>"): what is sent twice is known by it.
 * OWNS nothing. PROCESS courier. TRUST entries hold what hostile people wrote: it stays JSON text.
 * SPEC docs/SINKS.md, RFC 5424, RFC 5425, lib/proto/ocsf.h.
 */
#include "courier/sinks.h"

#include "lib/proto/event.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    FACILITY = 13, /* log audit */
    PRI_STEP = 8,
    STUB_SEVERITY = 4, /* warning */
    NAME_BYTES = 48,
    END_BYTES = 64 /* of a batch, what stands around its events */
};
/* Of structured data: RFC 5612's number for documentation, as the program has none of its own. */
#define SD_ID "sallyport@32473"

static void json_drop(json_t **json)
{
    json_decref(*json);
}
#define auto_json __attribute__((cleanup(json_drop)))

/* COMMON with EVENT laid over it. */
static json_t *whole_event(const json_t *batch, json_t *event, const char *place)
{
    json_t *whole = json_deep_copy(batch);
    if (whole == NULL || json_object_del(whole, "events") != 0 ||
        json_object_update_recursive(whole, event) != 0) {
        json_decref(whole);
        return NULL;
    }
    json_t *unmapped = json_object_get(whole, "unmapped");
    if (unmapped == NULL) {
        unmapped = json_object();
        json_object_set_new(whole, "unmapped", unmapped);
    }
    json_object_set_new(unmapped, "ledger_entry", json_string(place));
    return whole;
}

static bool is_wanted(const sink *s, const json_t *event)
{
    const char *kind =
        json_string_value(json_object_get(json_object_get(event, "unmapped"), "kind"));
    json_int_t severity = json_integer_value(json_object_get(event, "severity_id"));
    bool wanted = s->task.kinds == 0;
    for (unsigned i = 0; i < SP_EVENT_KIND_COUNT && !wanted && kind != NULL; i++) {
        wanted = (s->task.kinds >> i & 1U) != 0 &&
                 strcmp(kind, sp_event_kind_word((sp_event_kind)i)) == 0;
    }
    return wanted && severity - 1 >= s->task.severity; /* OCSF: 1 is informational */
}

/* RFC 5424 6.2.1: numerical severities of syslog. */
static unsigned syslog_severity(json_int_t severity_id)
{
    static const uint8_t of[] = {6, 6, 5, 4, 3, 2, 1};
    return severity_id >= 0 && severity_id < (json_int_t)SP_COUNT(of) ? of[severity_id] : 6;
}

static void put_syslog_head(const sink *s, const json_t *event, const char *place, sp_buf *out)
{
    auto_buf sp_buf when = sp_buf_make(64);
    const char *kind =
        json_string_value(json_object_get(json_object_get(event, "unmapped"), "kind"));
    json_int_t ms = json_integer_value(json_object_get(event, "time"));
    json_int_t severity = json_integer_value(json_object_get(event, "severity_id"));
    sp_buf_time(&when, (uint64_t)ms * 1000);
    sp_span time = sp_span_slice(sp_buf_borrow(&when), 0, 19);
    sp_buf_fmt(out, "<%u>1 %.*s.%03uZ ", FACILITY * PRI_STEP + syslog_severity(severity),
               SP_SPAN_ARG(time), (unsigned)(ms % 1000));
    sp_buf_span(out, s->task.host.len > 0 ? s->task.host : SP_SPAN_LIT("-"));
    sp_buf_fmt(out, " sallyport - %.32s [" SD_ID " entry=\"%s\"] ", kind == NULL ? "-" : kind,
               place);
}

/* A message that is too long for the receiver says where the event stands, and that it was left
 * out: a cut JSON would be none. */
static void put_syslog(const sink *s, const json_t *event, const char *place, sp_span text,
                       sp_buf *out)
{
    auto_buf sp_buf message = sp_buf_make((size_t)s->task.message * 2 + text.len + 1024);
    put_syslog_head(s, event, place, &message);
    if (message.len + text.len > s->task.message) {
        json_int_t class_uid = json_integer_value(json_object_get(event, "class_uid"));
        sp_buf_fmt(&message,
                   "{\"class_uid\":%lld,\"unmapped\":{\"ledger_entry\":\"%s\",\"left_out\":%zu}}",
                   (long long)class_uid, place, text.len);
    } else {
        sp_buf_span(&message, text);
    }
    sp_buf_fmt(out, "%zu ", message.len); /* RFC 5425 4.3: octet counting */
    sp_buf_span(out, sp_buf_borrow(&message));
}

/* An entry as it goes into a batch: all of it, or a placeholder. */
typedef struct {
    sp_buf text;
    size_t events;
    uint64_t last_us; /* 0 = nobody knows */
} converted;

static void converted_done(converted *c)
{
    sp_buf_done(&c->text);
}
#define auto_converted __attribute__((cleanup(converted_done)))

/* What both writers of JSON put around one. */
static void put_json(const sink *s, const char *place, sp_span json, converted *c)
{
    sp_buf_text(&c->text, s->batch_events + c->events > 0 ? "," : "");
    if (s->task.via == SP_SINK_VIA_KAFKA) {
        sp_buf_fmt(&c->text, "{\"key\":\"%s\",\"value\":", place);
    }
    sp_buf_span(&c->text, json);
    sp_buf_text(&c->text, s->task.via == SP_SINK_VIA_KAFKA ? "}" : "");
}

static sp_err add_event(const sink *s, const json_t *event, const char *place, converted *c)
{
    auto_free char *text = json_dumps(event, JSON_COMPACT);
    if (text == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    sp_span json = sp_span_cstr(text);
    switch ((sp_sink_via)s->task.via) {
    case SP_SINK_VIA_SYSLOG:
        put_syslog(s, event, place, json, &c->text);
        break;
    case SP_SINK_VIA_HTTP:
    case SP_SINK_VIA_KAFKA:
        put_json(s, place, json, c);
        break;
    }
    c->events++;
    c->last_us = (uint64_t)json_integer_value(json_object_get(event, "time")) * 1000;
    return sp_buf_error(&c->text);
}

/* That there is an entry which could not be converted; nobody knows of which kind, so every sink
 * gets it. */
static void put_placeholder(const sink *s, uint64_t entry, converted *c)
{
    char place[NAME_BYTES];
    auto_buf sp_buf placeholder = sp_buf_make(512);
    auto_buf sp_buf line = sp_buf_make(1024);
    snprintf(place, sizeof(place), "%llu/-", (unsigned long long)entry);
    sp_buf_fmt(&placeholder,
               "{\"class_uid\":0,\"category_uid\":0,\"unmapped\":{\"ledger_entry\":\"%s\","
               "\"not_converted\":true}}",
               place);
    if (s->task.via == SP_SINK_VIA_SYSLOG) {
        sp_buf_fmt(&line, "<%u>1 - ", FACILITY * PRI_STEP + STUB_SEVERITY);
        sp_buf_span(&line, s->task.host.len > 0 ? s->task.host : SP_SPAN_LIT("-"));
        sp_buf_fmt(&line, " sallyport - - [" SD_ID " entry=\"%s\"] ", place);
        sp_buf_span(&line, sp_buf_borrow(&placeholder));
        sp_buf_fmt(&c->text, "%zu ", line.len);
        sp_buf_span(&c->text, sp_buf_borrow(&line));
    } else {
        put_json(s, place, sp_buf_borrow(&placeholder), c);
    }
    c->events = 1;
}

void sink_begin_batch(sink *s)
{
    sp_buf_reset(&s->batch);
    s->batch_events = 0;
    if (s->task.via != SP_SINK_VIA_SYSLOG) {
        sp_buf_text(&s->batch, s->task.via == SP_SINK_VIA_HTTP ? "[" : "{\"records\":[");
    }
}

void sink_end_batch(sink *s)
{
    if (s->task.via != SP_SINK_VIA_SYSLOG) {
        sp_buf_text(&s->batch, s->task.via == SP_SINK_VIA_HTTP ? "]" : "]}");
    }
}

static sp_err convert(const sink *s, uint64_t entry, sp_span json, converted *c)
{
    size_t at = 0;
    json_t *event = NULL;
    if (json.len == 0) {
        return sp_ok(); /* erased */
    }
    auto_json json_t *batch = json_loadb((const char *)json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    json_t *events = json_object_get(batch, "events");
    if (!json_is_array(events)) {
        return sp_fail(SP_EINVALID);
    }
    json_array_foreach(events, at, event)
    {
        char place[NAME_BYTES];
        snprintf(place, sizeof(place), "%llu/%zu", (unsigned long long)entry, at);
        auto_json json_t *whole = whole_event(batch, event, place);
        if (whole == NULL) {
            return sp_fail(SP_EINVALID);
        }
        if (is_wanted(s, whole)) {
            TRY(add_event(s, whole, place, c));
        }
    }
    return sp_ok();
}

sp_err sink_add_entry(sink *s, uint64_t entry, sp_span json)
{
    size_t room = s->batch.max_bytes - END_BYTES;
    auto_converted converted c = {.text = sp_buf_make(room)};
    sp_err err = convert(s, entry, json, &c);
    if (sp_failed(err)) {
        sp_buf_reset(&c.text);
        c.events = 0;
        put_placeholder(s, entry, &c);
    }
    if (s->batch_events > 0 && c.text.len > room - s->batch.len) {
        return sp_fail(SP_EAGAIN);
    }
    sp_buf_span(&s->batch, sp_buf_borrow(&c.text));
    s->batch_events += c.events;
    s->batch_us = c.last_us > 0 ? c.last_us : s->batch_us;
    return err;
}
