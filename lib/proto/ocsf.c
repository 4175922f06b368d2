/* SPDX-License-Identifier: Apache-2.0
 * Rendering events as OCSF JSON: on the path of every event, so written by hand into reserved room.
 * OWNS nothing. PROCESS ledger. TRUST events are hostile: every string is escaped, every size
 * bounded before a byte is written. SPEC lib/proto/ocsf.h.
 */
#include "lib/proto/ocsf.h"

#include "lib/proto/json.h"

/* The longest fixed text around the strings of an event, and of the common part. */
enum { EVENT_FIXED_BYTES = 1280, COMMON_FIXED_BYTES = 1792 + 4 * SP_ROLES_MAX };
enum { ESCAPED = 6, DETAIL_TEXT_MAX_BYTES = 2048 };
enum { NUMBER_BYTES = 20 };

enum {
    EVENT_LOG = 1008,
    DETECTION_FINDING = 2004,
    INCIDENT_FINDING = 2005,
    ACCOUNT_CHANGE = 3001,
    AUTHENTICATION = 3002,
    ENTITY_MANAGEMENT = 3004,
    NETWORK_ACTIVITY = 4001,
    SSH_ACTIVITY = 4007,
    EMAIL_ACTIVITY = 4009,
    WEB_RESOURCES = 6001,
    APPLICATION_LIFECYCLE = 6002,
    DATASTORE_ACTIVITY = 6005,
    REMEDIATION_ACTIVITY = 7001
};
enum { ACTIVITY_OTHER = 99 };

/* Writes into room that was reserved for the longest case. */
typedef struct {
    uint8_t *at;
} pen;

#define PUT(p, lit) put_raw(p, (const uint8_t *)("" lit), sizeof(lit) - 1)

static inline void put_raw(pen *p, const uint8_t *from, size_t len)
{
    sp_copy(p->at, from, len);
    p->at += len;
}

static inline void put_word(pen *p, const char *word)
{
    sp_span text = sp_span_cstr(word);
    put_raw(p, text.ptr, text.len);
}

static void put_number(pen *p, uint64_t value)
{
    uint8_t digits[NUMBER_BYTES];
    size_t at = sizeof(digits);
    value = value > INT64_MAX ? INT64_MAX : value; /* OCSF's long_t */
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_raw(p, digits + at, sizeof(digits) - at);
}

static void put_hex64(pen *p, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4) {
        *p->at++ = (uint8_t) "0123456789abcdef"[(value >> shift) & 15];
    }
}

/* A string with its quotes; at most ESCAPED bytes a byte. */
static void put_string(pen *p, sp_span text)
{
    *p->at++ = '"';
    p->at += sp_json_escape(text, p->at);
    *p->at++ = '"';
}

static sp_ocsf_type decision_type(const sp_event *event)
{
    /* Web Resources: 1 create, 2 read, 3 update, 4 delete, 5 search, 6 import, 7 export, 8 share */
    static const uint8_t web[SP_ACTION_COUNT] = {[SP_ACTION_CONNECT] = ACTIVITY_OTHER,
                                                 [SP_ACTION_READ] = 2,
                                                 [SP_ACTION_WRITE] = 3,
                                                 [SP_ACTION_EXPORT] = 7,
                                                 [SP_ACTION_IMPORT] = 6,
                                                 [SP_ACTION_ALTER] = 3,
                                                 [SP_ACTION_DESTROY] = 4,
                                                 [SP_ACTION_ADMINISTER] = ACTIVITY_OTHER,
                                                 [SP_ACTION_EXECUTE] = ACTIVITY_OTHER,
                                                 [SP_ACTION_FORWARD] = ACTIVITY_OTHER};
    switch ((sp_gate)event->gate) {
    case SP_GATE_SSH:
        return (sp_ocsf_type){SSH_ACTIVITY, 4,
                              event->kind == SP_EVENT_RECORDING ? ACTIVITY_OTHER
                              : event->kind == SP_EVENT_CLOSE   ? 2
                                                                : 1};
    case SP_GATE_DB:
        return (sp_ocsf_type){DATASTORE_ACTIVITY, 6, ACTIVITY_OTHER};
    case SP_GATE_NET:
        return (sp_ocsf_type){NETWORK_ACTIVITY, 4, event->kind == SP_EVENT_CLOSE ? 2 : 1};
    case SP_GATE_MAIL:
        return (sp_ocsf_type){EMAIL_ACTIVITY, 4, 3};
    case SP_GATE_NONE:
    case SP_GATE_WEB:
    case SP_GATE_COUNT:
        break;
    }
    return (sp_ocsf_type){WEB_RESOURCES, 6,
                          event->action < SP_ACTION_COUNT ? web[event->action] : ACTIVITY_OTHER};
}

typedef struct {
    const char *word;
    uint8_t account; /* activity of Account Change */
    uint8_t entity;  /* activity of Entity Management */
} verb;

/* What core and vault call a change (event.method), in OCSF's numbers. */
static const verb VERBS[] = {
    {"create", 1, 1},   {"add", 1, 1},      {"issue", 1, 1},       {"read", 99, 2},
    {"update", 99, 3},  {"change", 99, 3},  {"apply", 99, 3},      {"delete", 6, 4},
    {"remove", 6, 4},   {"enroll", 99, 6},  {"revoke", 5, 7},      {"enable", 2, 8},
    {"approve", 2, 8},  {"disable", 5, 9},  {"quarantine", 5, 12}, {"suspend", 5, 12},
    {"restore", 2, 13}, {"password", 3, 3}, {"reset", 4, 3},       {"lock", 9, 12},
    {"unlock", 12, 13}, {"grant", 7, 3},    {"ungrant", 8, 3},
};

static const verb *verb_of(sp_span method)
{
    for (size_t i = 0; i < SP_COUNT(VERBS); i++) {
        if (sp_span_eq(method, sp_span_cstr(VERBS[i].word))) {
            return &VERBS[i];
        }
    }
    return NULL;
}

static uint8_t role_activity(sp_span method)
{
    static const struct {
        const char *word;
        uint8_t activity;
    } words[] = {{"start", 3}, {"started", 3}, {"stop", 4},     {"ended", 4},
                 {"died", 4},  {"restart", 5}, {"restarted", 5}};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if (sp_span_eq(method, sp_span_cstr(words[i].word))) {
            return words[i].activity;
        }
    }
    return ACTIVITY_OTHER;
}

/* Incident Finding: 1 create, 2 update, 3 close. */
static uint8_t incident_activity(sp_span method)
{
    if (sp_span_eq(method, SP_SPAN_LIT("open"))) {
        return 1;
    }
    return sp_span_eq(method, SP_SPAN_LIT("close")) ? 3 : 2;
}

sp_ocsf_type sp_ocsf_type_of(const sp_event *event)
{
    const verb *known = NULL;
    switch ((sp_event_kind)event->kind) {
    case SP_EVENT_DECISION:
    case SP_EVENT_CLOSE:
    case SP_EVENT_RECORDING:
        return decision_type(event);
    case SP_EVENT_SIGN_IN:
        return (sp_ocsf_type){AUTHENTICATION, 3, 1};
    case SP_EVENT_SIGN_OUT:
    case SP_EVENT_SESSION_END:
        return (sp_ocsf_type){AUTHENTICATION, 3, 2};
    case SP_EVENT_IDENTITY:
        known = verb_of(event->method);
        return (sp_ocsf_type){ACCOUNT_CHANGE, 3, known == NULL ? ACTIVITY_OTHER : known->account};
    case SP_EVENT_DEVICE:
    case SP_EVENT_POLICY:
    case SP_EVENT_ADMIN:
    case SP_EVENT_APPROVAL:
    case SP_EVENT_NOTICE:
        known = verb_of(event->method);
        return (sp_ocsf_type){ENTITY_MANAGEMENT, 3, known == NULL ? ACTIVITY_OTHER : known->entity};
    case SP_EVENT_ROLE:
        return (sp_ocsf_type){APPLICATION_LIFECYCLE, 6, role_activity(event->method)};
    case SP_EVENT_ALARM:
        return (sp_ocsf_type){DETECTION_FINDING, 2, 1};
    case SP_EVENT_INCIDENT:
        return (sp_ocsf_type){INCIDENT_FINDING, 2, incident_activity(event->method)};
    case SP_EVENT_PLAN:
        return (sp_ocsf_type){REMEDIATION_ACTIVITY, 7, ACTIVITY_OTHER};
    case SP_EVENT_REDACTION:
        return (sp_ocsf_type){EVENT_LOG, 1, 2};
    case SP_EVENT_LOSS:
    case SP_EVENT_GAP:
    case SP_EVENT_HEARTBEAT:
    case SP_EVENT_READ:
    case SP_EVENT_KIND_COUNT:
        break;
    }
    return (sp_ocsf_type){EVENT_LOG, 1, ACTIVITY_OTHER};
}

/* Members that only some events have: what COMMON says, an event can say otherwise but not unsay.
 */
static bool same_members(const sp_event *a, const sp_event *b)
{
    return a->kind == b->kind && (a->status != 0) == (b->status != 0) &&
           (a->rule.len > 0) == (b->rule.len > 0) &&
           (a->class_name.len > 0) == (b->class_name.len > 0) &&
           (a->method.len > 0) == (b->method.len > 0) &&
           (sp_ocsf_type_of(a).activity_id == ACTIVITY_OTHER) ==
               (sp_ocsf_type_of(b).activity_id == ACTIVITY_OTHER);
}

bool sp_ocsf_same_common(const sp_event *a, const sp_event *b)
{
    return same_members(a, b) && a->session == b->session && a->person == b->person &&
           a->device == b->device && a->policy_version == b->policy_version && a->gate == b->gate &&
           a->owner == b->owner && a->posture == b->posture && a->strength == b->strength &&
           sp_span_eq(sp_span_of(a->roles, sizeof(a->roles)),
                      sp_span_of(b->roles, sizeof(b->roles))) &&
           sp_span_eq((sp_span){a->peer, sizeof(a->peer)}, (sp_span){b->peer, sizeof(b->peer)}) &&
           sp_ocsf_type_of(a).class_uid == sp_ocsf_type_of(b).class_uid &&
           sp_span_eq(a->person_name, b->person_name) && sp_span_eq(a->device_name, b->device_name);
}

static void put_user(pen *p, const sp_event *event)
{
    PUT(p, "{\"uid\":\"");
    put_number(p, event->person);
    PUT(p, "\",\"name\":");
    put_string(p, event->person_name);
    PUT(p, "}");
}

static void put_actor(pen *p, const sp_event *event)
{
    PUT(p, ",\"actor\":{\"user\":");
    put_user(p, event);
    if (event->session != 0) {
        PUT(p, ",\"session\":{\"uid\":\"");
        put_hex64(p, event->session);
        PUT(p, "\",\"is_mfa\":");
        put_word(p, event->strength >= SP_STRENGTH_TOTP ? "true}" : "false}");
    }
    PUT(p, "}");
    if (event->kind == SP_EVENT_SIGN_IN || event->kind == SP_EVENT_SIGN_OUT ||
        event->kind == SP_EVENT_SESSION_END) {
        PUT(p, ",\"user\":");
        put_user(p, event);
    }
}

static void put_device(pen *p, const sp_event *event)
{
    if (event->device == 0) {
        return;
    }
    PUT(p, ",\"device\":{\"uid\":\"");
    put_number(p, event->device);
    PUT(p, "\",\"name\":");
    put_string(p, event->device_name);
    PUT(p, ",\"type_id\":0,\"is_managed\":");
    put_word(p, event->owner == SP_OWNER_COMPANY ? "true" : "false");
    PUT(p, ",\"is_compliant\":");
    put_word(p, event->posture == SP_POSTURE_HEALTHY ? "true}" : "false}");
}

static void put_address(pen *p, const uint8_t peer[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    uint8_t any = 0;
    for (size_t i = 0; i < 16; i++) {
        any |= peer[i];
    }
    if (any == 0) {
        return;
    }
    PUT(p, ",\"src_endpoint\":{\"ip\":\"");
    if (sp_span_eq((sp_span){peer, sizeof(mapped)}, (sp_span){mapped, sizeof(mapped)})) {
        for (size_t i = 12; i < 16; i++) {
            put_number(p, peer[i]);
            PUT(p, ".");
        }
    } else {
        for (size_t i = 0; i < 16; i += 2) {
            *p->at++ = (uint8_t) "0123456789abcdef"[peer[i] >> 4];
            *p->at++ = (uint8_t) "0123456789abcdef"[peer[i] & 15];
            *p->at++ = (uint8_t) "0123456789abcdef"[peer[i + 1] >> 4];
            *p->at++ = (uint8_t) "0123456789abcdef"[peer[i + 1] & 15];
            PUT(p, ":");
        }
    }
    p->at--; /* the last separator */
    PUT(p, "\"}");
}

/* ,"roles":[1,4]: core's numbers, since a name may come to mean another role. */
static void put_roles(pen *p, const uint64_t roles[SP_ROLE_WORDS])
{
    bool first = true;
    for (unsigned word = 0; word < SP_ROLE_WORDS; word++) {
        for (uint64_t bits = roles[word]; bits != 0; bits &= bits - 1) {
            if (first) {
                PUT(p, ",\"roles\":[");
            } else {
                PUT(p, ",");
            }
            first = false;
            put_number(p, word * 64 + (unsigned)__builtin_ctzll(bits));
        }
    }
    if (!first) {
        PUT(p, "]");
    }
}

/* status, action and disposition (security_control profile). */
static void put_status(pen *p, const sp_event *event)
{
    bool good = event->reason == SP_REASON_NONE || event->reason == SP_REASON_RULE;
    if (sp_event_has_verdict(event)) {
        good = event->verdict == SP_VERDICT_ALLOW;
    }
    put_word(p, good ? ",\"status_id\":1" : ",\"status_id\":2");
    if (event->kind == SP_EVENT_DECISION) {
        put_word(p, good ? ",\"action_id\":1,\"disposition_id\":1"
                         : ",\"action_id\":2,\"disposition_id\":2");
    }
    if (event->status != 0) {
        PUT(p, ",\"status_code\":\"");
        put_number(p, event->status);
        PUT(p, "\"");
    }
}

/* What it was done to; for the web also how, when own. */
static void put_object(pen *p, const sp_event *event, const sp_ocsf_type *type, bool own)
{
    bool any = event->resource.len + event->object.len > 0;
    switch (type->class_uid) {
    case WEB_RESOURCES:
        PUT(p, ",\"http_request\":{");
        if (own) {
            PUT(p, "\"http_method\":");
            put_string(p, event->method);
            PUT(p, ",");
        }
        PUT(p, "\"url\":{\"path\":");
        put_string(p, event->object);
        PUT(p, "}}");
        return;
    case ACCOUNT_CHANGE:
        PUT(p, ",\"user\":{\"name\":");
        break;
    case ENTITY_MANAGEMENT:
        PUT(p, ",\"entity\":{\"type\":\"");
        put_word(p, sp_event_kind_word(event->kind));
        PUT(p, "\",\"name\":");
        break;
    case APPLICATION_LIFECYCLE:
        PUT(p, ",\"app\":{\"name\":");
        break;
    case DETECTION_FINDING:
    case INCIDENT_FINDING:
        PUT(p, ",\"finding_info\":{\"title\":");
        break;
    default:
        if (!any) {
            return;
        }
        PUT(p, ",\"resources\":[{\"name\":");
        put_string(p, event->resource);
        PUT(p, "}],\"message\":");
        put_string(p, event->object);
        return;
    }
    put_string(p, event->object.len > 0 ? event->object : event->resource);
    PUT(p, "}");
}

/* How it went and by which words: what most events of a record say alike. */
static bool same_outcome(const sp_event *a, const sp_event *b)
{
    return a->action == b->action && a->verdict == b->verdict && a->reason == b->reason &&
           a->severity == b->severity && a->status == b->status &&
           a->class_level == b->class_level && sp_span_eq(a->method, b->method) &&
           sp_span_eq(a->rule, b->rule) && sp_span_eq(a->resource, b->resource) &&
           sp_span_eq(a->class_name, b->class_name);
}

/* The longest text of an outcome's strings. */
static size_t outcome_most(const sp_event *event)
{
    return ESCAPED *
           (event->resource.len + event->class_name.len + event->rule.len + 2 * event->method.len);
}

static void put_outcome(pen *p, const sp_event *event, const sp_ocsf_type *type)
{
    PUT(p, ",\"activity_id\":");
    put_number(p, type->activity_id);
    if (type->activity_id == ACTIVITY_OTHER) {
        PUT(p, ",\"activity_name\":");
        put_string(p, event->method.len > 0
                          ? event->method
                          : sp_span_cstr(sp_event_kind_word((sp_event_kind)event->kind)));
    }
    PUT(p, ",\"type_uid\":");
    put_number(p, (uint64_t)type->class_uid * 100 + type->activity_id);
    PUT(p, ",\"severity_id\":");
    put_number(p, event->severity + 1U);
    put_status(p, event);
    if (type->class_uid == WEB_RESOURCES) {
        PUT(p, ",\"web_resources\":[{\"name\":");
        put_string(p, event->resource);
        PUT(p, "}]");
    }
}

/* The members of "unmapped" that belong to the outcome. */
static void put_words(pen *p, const sp_event *event, const sp_ocsf_type *type)
{
    PUT(p, ",\"kind\":\"");
    put_word(p, sp_event_kind_word((sp_event_kind)event->kind));
    PUT(p, "\"");
    if (sp_event_has_verdict(event)) {
        PUT(p, ",\"verdict\":\"");
        put_word(p, sp_verdict_word(event->verdict));
        PUT(p, "\",\"reason\":\"");
        put_word(p, sp_reason_word(event->reason));
        PUT(p, "\",\"action\":\"");
        put_word(p, sp_action_word(event->action));
        PUT(p, "\"");
    }
    if (event->class_name.len > 0) {
        PUT(p, ",\"class\":");
        put_string(p, event->class_name);
        PUT(p, ",\"level\":");
        put_number(p, event->class_level);
    }
    if (event->method.len > 0 && type->class_uid != WEB_RESOURCES) {
        PUT(p, ",\"method\":");
        put_string(p, event->method);
    }
}

static void put_policy(pen *p, const sp_event *first)
{
    if (first->policy_version == 0 && first->rule.len == 0) {
        return;
    }
    PUT(p, ",\"policy\":{");
    if (first->policy_version != 0) {
        PUT(p, "\"version\":\"");
        put_number(p, first->policy_version);
        PUT(p, "\",");
    }
    if (first->rule.len > 0) {
        PUT(p, "\"name\":");
        put_string(p, first->rule);
        PUT(p, ",");
    }
    p->at[-1] = '}';
}

void sp_ocsf_common(const sp_event *first, sp_span source_name, sp_buf *out)
{
    sp_ocsf_type type = sp_ocsf_type_of(first);
    size_t most = COMMON_FIXED_BYTES + outcome_most(first) +
                  ESCAPED * (2 * first->person_name.len + first->device_name.len + source_name.len);
    uint8_t *room = sp_buf_room(out, most);
    if (room == NULL) {
        return;
    }
    pen p = {room};
    PUT(&p, "\"metadata\":{\"version\":\"1.6.0\",\"product\":{\"name\":\"Sallyport\","
            "\"vendor_name\":\"Sallyport\",\"version\":\"" SP_VERSION "\"},\"log_name\":");
    put_string(&p, source_name);
    PUT(&p, ",\"profiles\":[\"security_control\"]},\"category_uid\":");
    put_number(&p, type.category_uid);
    PUT(&p, ",\"class_uid\":");
    put_number(&p, type.class_uid);
    if (first->person != 0 || first->session != 0 || first->person_name.len > 0) {
        put_actor(&p, first);
    }
    put_device(&p, first);
    put_address(&p, first->peer);
    put_outcome(&p, first, &type);
    if (type.class_uid == WEB_RESOURCES) {
        PUT(&p, ",\"http_request\":{\"http_method\":");
        put_string(&p, first->method);
        PUT(&p, "}");
    }
    put_policy(&p, first);
    PUT(&p, ",\"unmapped\":{\"gate\":\"");
    put_word(&p, sp_gate_word(first->gate));
    PUT(&p, "\",\"owner\":\"");
    put_word(&p, sp_owner_word(first->owner));
    PUT(&p, "\",\"posture\":\"");
    put_word(&p, sp_posture_word(first->posture));
    PUT(&p, "\",\"strength\":\"");
    put_word(&p, sp_strength_word(first->strength));
    PUT(&p, "\"");
    put_roles(&p, first->roles);
    put_words(&p, first, &type);
    PUT(&p, "}");
    sp_buf_grown(out, (size_t)(p.at - room));
}

/* Detail that is no JSON object, or does not fit, is kept as text, cut. */
static void put_detail(pen *p, sp_span detail)
{
    PUT(p, ",\"detail\":");
    if (sp_json_is_object(detail)) {
        put_raw(p, detail.ptr, detail.len);
    } else {
        put_string(p, sp_span_slice(detail, 0, DETAIL_TEXT_MAX_BYTES));
    }
}

/* Classes whose one name is the object's: the resource stands apart. */
static bool names_object(const sp_ocsf_type *type)
{
    return type->class_uid == ACCOUNT_CHANGE || type->class_uid == ENTITY_MANAGEMENT ||
           type->class_uid == APPLICATION_LIFECYCLE || type->class_uid == DETECTION_FINDING ||
           type->class_uid == INCIDENT_FINDING;
}

static void put_unmapped(pen *p, const sp_event *event, const sp_ocsf_type *type, bool own)
{
    static const uint8_t lead[] = ",\"unmapped\":{";
    uint8_t *start = p->at;
    p->at += sizeof(lead) - 2; /* the first member's comma stands where the brace will */
    uint8_t *empty = p->at;
    if (own) {
        put_words(p, event, type);
    }
    if (names_object(type) && event->resource.len > 0) {
        PUT(p, ",\"resource\":");
        put_string(p, event->resource);
    }
    if (event->duration_us != 0) {
        PUT(p, ",\"duration_us\":");
        put_number(p, event->duration_us);
    }
    if (event->count != 0) {
        PUT(p, ",\"count\":");
        put_number(p, event->count);
    }
    if (event->detail.len > 0) {
        put_detail(p, event->detail);
    }
    if (p->at == empty) {
        p->at = start;
        return;
    }
    sp_copy(start, lead, sizeof(lead) - 1);
    PUT(p, "}");
}

static size_t event_most(const sp_event *event)
{
    size_t text =
        event->detail.len < DETAIL_TEXT_MAX_BYTES ? event->detail.len : DETAIL_TEXT_MAX_BYTES;
    size_t detail = event->detail.len > ESCAPED * text ? event->detail.len : ESCAPED * text;
    return EVENT_FIXED_BYTES + outcome_most(event) +
           ESCAPED * (2 * event->resource.len + event->object.len) + detail;
}

void sp_ocsf_event(const sp_event *event, const sp_event *first, uint64_t seq, sp_buf *out)
{
    sp_ocsf_type type = sp_ocsf_type_of(event);
    bool own = event != first && !same_outcome(event, first);
    uint8_t *room = sp_buf_room(out, event_most(event));
    if (room == NULL) {
        return;
    }
    pen p = {room};
    PUT(&p, "\"time\":");
    put_number(&p, event->when_unix_us / 1000);
    PUT(&p, ",\"metadata\":{\"sequence\":");
    put_number(&p, seq);
    if (event->reference != 0) {
        char text[SP_REFERENCE_TEXT_BYTES];
        sp_reference_text(event->reference, text);
        PUT(&p, ",\"uid\":\"");
        put_raw(&p, (const uint8_t *)text, sizeof(text) - 1);
        PUT(&p, "\"");
    }
    PUT(&p, "}");
    if (own) {
        put_outcome(&p, event, &type);
    }
    put_object(&p, event, &type, own);
    if (own && event->rule.len > 0) {
        PUT(&p, ",\"policy\":{\"name\":");
        put_string(&p, event->rule);
        PUT(&p, "}");
    }
    if ((event->bytes_in | event->bytes_out) != 0) {
        PUT(&p, ",\"proxy_traffic\":{\"bytes_in\":");
        put_number(&p, event->bytes_in);
        PUT(&p, ",\"bytes_out\":");
        put_number(&p, event->bytes_out);
        PUT(&p, "}");
    }
    put_unmapped(&p, event, &type, own);
    sp_buf_grown(out, (size_t)(p.at - room));
}
