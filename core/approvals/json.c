/* SPDX-License-Identifier: Apache-2.0
 * An ask as the API shows it.
 * OWNS nothing: new references. PROCESS core. TRUST texts may be hostile; JSON escapes them.
 * SPEC docs/api/openapi.yaml "Approval".
 */
#include "core/http/json.h"
#include "core/approvals/inside.h"
#include "lib/proto/keeper_msg.h"

json_t *sp_ref_json(uint64_t id)
{
    char text[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(id, text);
    return id == 0 ? json_null() : json_string(text);
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
    set(object, key, json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value)));
}

/* JSON that a gate made, or null. */
static json_t *parsed(sp_span text)
{
    json_error_t error;
    json_t *value = text.len == 0 ? NULL
                                  : json_loadb((const char *)text.ptr, text.len,
                                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    return value == NULL ? json_null() : value;
}

/* The name of the rule in that place; NULL: a role and an erasure are asked for by none. */
static json_t *rule_name(const sp_ask *ask, const json_t *names, size_t place)
{
    json_t *name = json_incref(json_array_get(names, place));
    return name != NULL || ask->rule.len == 0 ? name : sp_json_span(ask->rule);
}

typedef struct {
    const sp_ask *ask;
    const json_t *names; /* of its rules, when they are several */
    json_t *votes;
} voters;

/* For which rules he agreed. */
static json_t *vote_rules(const voters *v, const sp_vote *vote)
{
    json_t *rules = json_array();
    for (uint8_t i = 0; vote->yes && i < v->ask->approvers_count; i++) {
        json_t *name = (vote->sets & 1U << i) != 0 ? rule_name(v->ask, v->names, i) : NULL;
        if (name != NULL) {
            json_array_append_new(rules, name);
        }
    }
    return rules;
}

static void add_vote(void *self, const sp_vote *vote)
{
    const voters *v = self;
    json_t *one = json_object();
    set(one, "person", json_sprintf("%u", vote->person));
    set(one, "name", sp_json_span_or_null(vote->name));
    set(one, "verdict", json_string(vote->yes ? "approve" : "refuse"));
    set(one, "reason", sp_json_span_or_null(vote->reason));
    set(one, "at", sp_json_time(vote->when_unix_s));
    set(one, "rules", vote_rules(v, vote));
    json_array_append_new(v->votes, one);
}

static json_t *asker_json(const sp_core *core, const sp_ask *ask)
{
    sp_person person;
    json_t *asker = json_object();
    set(asker, "id", json_sprintf("%u", ask->asker));
    set(asker, "name", sp_json_span_or_null(ask->asker_name));
    if (!sp_failed(sp_people_get(core->store, ask->asker, &person))) {
        set(asker, "display_name", json_string(person.display));
    }
    return asker;
}

static json_t *keep_json(const sp_ask *ask)
{
    if (ask->keep_bytes == 0) {
        return json_null();
    }
    json_t *keep = json_object();
    set_number(keep, "bytes", ask->keep_bytes);
    set_number(keep, "duration_ms", ask->keep_ms);
    set_number(keep, "undo_max_ms", ask->keep_ms * SP_KEEPER_UNDO_TIMES_MAX);
    return keep;
}

static json_t *can_json(sp_request *req, const sp_ask *ask)
{
    sp_vote_right right = sp_vote_right_of(req, ask);
    json_t *can = json_object();
    set(can, "approve", json_boolean(right.sets != 0));
    set(can, "withdraw",
        json_boolean(ask->asker == sp_request_person(req) && (ask->state == SP_ASK_WAITING)));
    set(can, "why_not", right.sets != 0 ? json_null() : json_string(right.why));
    return can;
}

/* Each rule that asks, and how far it is. */
static json_t *rules_json(const sp_core *core, const sp_ask *ask, const json_t *names)
{
    json_t *rules = json_array();
    for (uint8_t i = 0; i < ask->approvers_count; i++) {
        json_t *one = json_object();
        json_t *name = rule_name(ask, names, i);
        set(one, "rule", name != NULL ? name : json_null());
        set_number(one, "needed", ask->approvers[i].needed);
        set_number(one, "agreed", sp_votes_count(core->store, ask->id, 1U << i));
        json_array_append_new(rules, one);
    }
    return rules;
}

json_t *sp_ask_json(sp_request *req, const sp_ask *ask, bool with_content)
{
    sp_core *core = sp_request_core(req);
    json_t *out = json_object();
    json_t *names = parsed(ask->rules);
    voters voted = {ask, names, json_array()};
    sp_err err = sp_votes_each(core->store, ask->id, add_vote, &voted);
    auto_buf sp_buf hash = sp_buf_make(2 * SP_SHA256_BYTES);
    sp_buf_hex(&hash, sp_hash_borrow(&ask->sha256));
    set(out, "id", sp_ref_json(ask->id));
    set(out, "kind", json_string(sp_ask_kind_word(ask->kind)));
    set(out, "state", json_string(sp_ask_state_word(ask->state)));
    set(out, "asker", asker_json(core, ask));
    set(out, "resource", sp_json_span_or_null(ask->resource));
    set(out, "database", sp_json_span_or_null(ask->database));
    set(out, "action", json_string(sp_action_word(ask->action)));
    set(out, "class", sp_json_span_or_null(ask->class_name));
    set(out, "rule", sp_json_span_or_null(ask->rule));
    set(out, "role", sp_json_span_or_null(ask->role));
    set(out, "duration_s",
        ask->duration_s == 0 ? json_null() : json_integer((json_int_t)ask->duration_s));
    set(out, "reason", sp_json_span_or_null(ask->reason));
    set(out, "ticket", sp_json_span_or_null(ask->ticket));
    set_number(out, "needed", sp_ask_needed(ask));
    set(out, "rules", rules_json(core, ask, names));
    set(out, "votes", voted.votes);
    set(out, "sha256", sp_json_span_or_null(sp_buf_borrow(&hash)));
    set(out, "summary", sp_json_span_or_null(sp_span_slice(ask->content, 0, 200)));
    set_number(out, "estimated_rows", ask->rows);
    set(out, "keep", keep_json(ask));
    set(out, "keep_id", sp_ref_json(sp_ask_is_of_keep(ask->kind) ? ask->keep : 0));
    set(out, "reference", sp_ref_json(ask->reference));
    set(out, "created_at", sp_json_time(ask->created_unix_s));
    set(out, "expires_at", sp_json_time(ask->expires_unix_s));
    set(out, "ended_at", sp_json_time(ask->ended_unix_s));
    set(out, "ended_by", sp_json_span_or_null(ask->ended_by));
    set(out, "can", can_json(req, ask));
    if (with_content) {
        set(out, "statement", sp_json_span_or_null(ask->content));
        set(out, "objects", parsed(ask->objects));
        set(out, "plan", parsed(ask->plan));
        set(out, "dependants", parsed(ask->dependants));
    }
    json_decref(names);
    if (sp_failed(err)) {
        json_decref(out);
        return NULL;
    }
    return out;
}
