/* SPDX-License-Identifier: Apache-2.0
 * sallyport policy replay: past decisions of the ledger asked of other documents.
 * OWNS nothing. PROCESS cli. TRUST the lines are data: what cannot be read is counted and told.
 * SPEC docs/man/sallyport-policy.1 "replay", lib/proto/ocsf.h for the form of a line.
 *
 * A line is an entry {COMMON,"events":[...]} or one event {COMMON,EVENT}. What is asked again is
 * what was decided then: the roles, device, strength, resource, action and path that are on record.
 */
#include "cli/policy.h"

#include "cli/command.h"

#include <jansson.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 8 << 20, ROLES_MAX = SP_ROLES_MAX };

typedef struct {
    const policy_office *office;
    bool json;
    size_t line;
    size_t asked;
    size_t changed;
    size_t unknown; /* decisions that these documents cannot be asked about as they were */
    size_t unread;  /* lines or events that are not decisions in our form */
} replay;

static sp_span text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? sp_span_of(json_string_value(value), json_string_length(value))
                                 : SP_SPAN_EMPTY;
}

static size_t role_names(const replay *r, const json_t *numbers, sp_span names[ROLES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(numbers) && count < ROLES_MAX; i++) {
        json_int_t number = json_integer_value(json_array_get(numbers, i));
        for (size_t k = 0; k < sp_policy_set_role_count(r->office->set); k++) {
            sp_policy_role role;
            if (!sp_failed(sp_policy_set_role(r->office->set, k, &role)) &&
                (json_int_t)role.number == number) {
                names[count++] = role.name;
            }
        }
    }
    return count;
}

static void tell(replay *r, const json_t *event, sp_span was, const sp_policy_ask *ask,
                 const sp_policy_told *told)
{
    auto_buf sp_buf out = sp_buf_make(POLICY_OUTPUT_MAX_BYTES);
    const char *now = sp_verdict_word((sp_verdict)told->decision.verdict);
    sp_span reference = text_of(json_object_get(event, "metadata"), "uid");
    r->changed++;
    if (r->json) {
        sp_buf_text(&out, "{\"reference\":");
        sp_buf_json(&out, reference);
        sp_buf_fmt(&out, ",\"time\":%lld,\"before\":",
                   (long long)json_integer_value(json_object_get(event, "time")));
        sp_buf_json(&out, was);
        sp_buf_text(&out, ",\"after\":");
        sp_policy_explain_json(r->office->set, ask, told, &out);
        sp_buf_byte(&out, '}');
    } else {
        sp_buf_time(&out, (uint64_t)json_integer_value(json_object_get(event, "time")) * 1000);
        sp_buf_fmt(&out, " %-14.*s %.*s -> %s  ", SP_SPAN_ARG(reference), SP_SPAN_ARG(was), now);
        sp_policy_explain_text(r->office->set, ask, told, &out);
    }
    sp_buf_byte(&out, '\n');
    policy_print(&out);
}

static sp_span host_path(const json_t *event)
{
    const json_t *request = json_object_get(event, "http_request");
    sp_span path = text_of(json_object_get(request, "url"), "path");
    return path.len > 0 && path.ptr[0] == '/' ? path : SP_SPAN_EMPTY;
}

static sp_span resource_of(const json_t *event)
{
    const json_t *resource = json_array_get(json_object_get(event, "web_resources"), 0);
    return text_of(resource, "name");
}

/* What gates decide before they ask the policy: nothing that documents could change. */
static bool is_of_policy(sp_span reason)
{
    static const char *const OTHERS[] = {"no-session",
                                         "session-ended",
                                         "session-on-another-device",
                                         "device-pending",
                                         "device-quarantined",
                                         "device-revoked",
                                         "unparsed",
                                         "unrecordable",
                                         "unavailable",
                                         "limit",
                                         "cut"};
    for (size_t i = 0; i < SP_COUNT(OTHERS); i++) {
        if (sp_span_eq(reason, sp_span_cstr(OTHERS[i]))) {
            return false;
        }
    }
    return true;
}

/* What is not on record keeps it from being asked as it was: how many had approved, when the rule
 * that let it through asks for that; which part of a database or host it was about, when that was
 * of another class than the whole. */
static bool is_asked_as_it_was(const replay *r, const json_t *event, sp_span was,
                               const sp_policy_ask *ask, const sp_policy_told *told)
{
    const sp_policy *view = sp_policy_set_view(r->office->set);
    sp_span class_then = text_of(json_object_get(event, "unmapped"), "class");
    sp_span rule_then = text_of(json_object_get(event, "policy"), "name");
    sp_span rule_now = sp_policy_rule_name(view, told->decision.rule);
    sp_span class_now = sp_policy_class_name(view, told->decision.class_level);
    bool approved = sp_span_eq(was, SP_SPAN_LIT("allow")) &&
                    told->decision.verdict == SP_VERDICT_ASK && sp_span_eq(rule_then, rule_now);
    bool elsewhere = ask->part.len == 0 && class_then.len > 0 && !sp_span_eq(class_then, class_now);
    return !approved && !elsewhere;
}

static void replay_event(replay *r, const json_t *event)
{
    const json_t *more = json_object_get(event, "unmapped");
    sp_span was = text_of(more, "verdict");
    if (!sp_span_eq(text_of(more, "kind"), SP_SPAN_LIT("decision")) || was.len == 0 ||
        !is_of_policy(text_of(more, "reason"))) {
        return;
    }
    sp_span roles[ROLES_MAX];
    const json_t *person = json_object_get(json_object_get(event, "actor"), "user");
    sp_policy_ask ask = {.person = text_of(person, "name"),
                         .roles = roles,
                         .owner = text_of(more, "owner"),
                         .posture = text_of(more, "posture"),
                         .strength = text_of(more, "strength"),
                         .resource = resource_of(event),
                         .part = host_path(event),
                         .tried = text_of(more, "action"),
                         .network = text_of(json_object_get(event, "src_endpoint"), "ip"),
                         .file = "line",
                         .line = (unsigned)r->line};
    ask.roles_count = role_names(r, json_object_get(more, "roles"), roles);
    ask.now_unix_s = (uint64_t)json_integer_value(json_object_get(event, "time")) / 1000;
    sp_policy_told told;
    auto_diags sp_diags diags = {0};
    if (sp_failed(sp_policy_ask_words(r->office->set, &ask, &diags, &told))) {
        policy_print_diags(&diags);
        r->unknown++;
        return;
    }
    if (!is_asked_as_it_was(r, event, was, &ask, &told)) {
        r->unknown++;
        return;
    }
    r->asked++;
    if (!sp_span_eq(was, sp_span_cstr(sp_verdict_word((sp_verdict)told.decision.verdict)))) {
        tell(r, event, was, &ask, &told);
    }
}

/* {COMMON,"events":[...]}: each event laid over what they share. */
static void replay_entry(replay *r, json_t *root, json_t *events)
{
    json_incref(events);
    json_object_del(root, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *whole = json_deep_copy(root);
        if (whole == NULL || json_object_update_recursive(whole, json_array_get(events, i)) != 0) {
            r->unread++;
        } else {
            replay_event(r, whole);
        }
        json_decref(whole);
    }
    json_decref(events);
}

static void replay_line(replay *r, sp_span line)
{
    json_error_t why;
    if (sp_span_trim(line).len == 0) {
        return;
    }
    json_t *root = json_loadb((const char *)line.ptr, line.len, 0, &why);
    json_t *events = json_object_get(root, "events");
    if (!json_is_object(root)) {
        r->unread++;
    } else if (json_is_array(events)) {
        replay_entry(r, root, events);
    } else {
        replay_event(r, root);
    }
    json_decref(root);
}

int policy_replay(const policy_office *office, const char *file, bool json)
{
    replay r = {.office = office, .json = json};
    bool from_stdin = sp_span_eq(sp_span_cstr(file), SP_SPAN_LIT("-"));
    FILE *in = from_stdin ? stdin : fopen(file, "re");
    if (in == NULL) {
        fprintf(stderr, "sallyport policy: %s cannot be read\n", file);
        return SP_EXIT_FAILED;
    }
    char *line = NULL;
    size_t cap = 0;
    ssize_t len = 0;
    while ((len = getline(&line, &cap, in)) > 0) {
        r.line++;
        if (len <= LINE_MAX_BYTES) {
            replay_line(&r, sp_span_of(line, (size_t)len));
        } else {
            r.unread++;
        }
    }
    sp_free(line);
    if (!from_stdin) {
        fclose(in);
    }
    fprintf(stderr,
            "%zu decisions asked again, %zu would change, %zu cannot be asked of these documents "
            "as they were, %zu lines could not be read\n",
            r.asked, r.changed, r.unknown, r.unread);
    return r.unread > 0 ? SP_EXIT_INVALID : SP_EXIT_OK;
}
