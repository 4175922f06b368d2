/* SPDX-License-Identifier: Apache-2.0
 * Questions in words: what explain, examples and replay ask, turned into a decision.
 * OWNS nothing. PROCESS core, cli. TRUST words come from people and documents; unknown ones are
 * told, never guessed. SPEC docs/POLICY.md.
 */
#include "lib/policy/ask.h"

#include "lib/policy/ssh.h"
#include "lib/policy/web.h"

#include <stdarg.h>
#include <stdio.h>

enum { ROOM_BYTES = SP_POLICY_USES_MAX * 2 * (SP_NAME_MAX_BYTES + 1) };

typedef struct {
    const sp_policy_set *set;
    const sp_policy_ask *ask;
    sp_diags *diags;
    policy_asked *out;
    sp_policy_use uses[SP_POLICY_USES_MAX]; /* of a statement; names are in room */
    sp_buf room;
    size_t uses_count;
    bool statement;
    bool command;  /* of a host */
    bool unjudged; /* the gate would refuse the statement or command unjudged */
    sp_argv argv;  /* of the command */
    sp_ssh_command ssh;
    sp_database_part relation; /* given as the part */
    bool has_relation;
    bool closed; /* to everybody: SP_PART_CLOSED */
} asking;

static sp_err unknown(const asking *a, const char *what, sp_span word, const name_table *known)
{
    sp_span nearest = known == NULL ? SP_SPAN_EMPTY : name_nearest(known, word);
    sp_diags_add(a->diags, SP_DIAG_ERROR, a->ask->file, a->ask->line, a->ask->column,
                 "unknown %s '%.*s'%s%.*s%s", what, (int)(word.len > 80 ? 80 : word.len),
                 (const char *)word.ptr, nearest.len > 0 ? "; did you mean '" : "",
                 SP_SPAN_ARG(nearest), nearest.len > 0 ? "'?" : "");
    return sp_fail(SP_ENOTFOUND);
}

static sp_err ask_person(asking *a)
{
    sp_subject *who = &a->out->who;
    who->person = SP_NONE - 1; /* somebody whom no document names */
    if (a->ask->person.len > 0) {
        uint32_t number = 0;
        if (name_get(&a->set->people, a->ask->person, &number)) {
            who->person = number;
        }
    }
    for (size_t i = 0; i < a->ask->roles_count; i++) {
        uint32_t at = 0;
        if (!name_get(&a->set->role_names, a->ask->roles[i], &at)) {
            return unknown(a, "role", a->ask->roles[i], &a->set->role_names);
        }
        role_add(who->roles, a->set->roles[at].number);
    }
    sp_span one = SP_SPAN_EMPTY;
    sp_span other = SP_SPAN_EMPTY;
    if (!sp_policy_set_roles_allowed(a->set, who->roles, &one, &other)) {
        sp_diags_add(a->diags, SP_DIAG_ERROR, a->ask->file, a->ask->line, a->ask->column,
                     "nobody can hold the roles '%.*s' and '%.*s' together: they exclude each "
                     "other",
                     SP_SPAN_ARG(one), SP_SPAN_ARG(other));
        return sp_fail(SP_EINVALID);
    }
    return sp_ok();
}

static sp_err ask_device(asking *a)
{
    sp_subject *who = &a->out->who;
    sp_owner owner = SP_OWNER_UNKNOWN;
    sp_strength strength = SP_STRENGTH_PASSKEY;
    if (a->ask->owner.len > 0 && !sp_owner_of(a->ask->owner, &owner)) {
        return unknown(a, "owner of a device (unknown, personal, company)", a->ask->owner, NULL);
    }
    sp_posture posture = owner == SP_OWNER_UNKNOWN ? SP_POSTURE_UNKNOWN : SP_POSTURE_HEALTHY;
    if (a->ask->posture.len > 0 && !sp_posture_of(a->ask->posture, &posture)) {
        return unknown(a, "posture (unknown, unhealthy, healthy)", a->ask->posture, NULL);
    }
    if (a->ask->strength.len > 0 && !sp_strength_of(a->ask->strength, &strength)) {
        return unknown(a, "strength (none, password, totp, passkey)", a->ask->strength, NULL);
    }
    who->owner = (uint8_t)owner;
    who->posture = (uint8_t)posture;
    who->strength = (uint8_t)strength;
    who->approvals = a->ask->approvals > UINT8_MAX ? UINT8_MAX : (uint8_t)a->ask->approvals;
    who->auth_age_s = a->ask->auth_age_s;
    return sp_ok();
}

static sp_err ask_conditions(asking *a)
{
    policy_asked *out = a->out;
    bool v4 = false;
    out->now_unix_s = a->ask->now_unix_s;
    out->free |= a->ask->now_unix_s == 0 ? POLICY_FREE_TIME : 0;
    if (a->ask->network.len == 0) {
        out->free |= POLICY_FREE_NETWORK;
        return sp_ok();
    }
    if (sp_failed(sp_address_parse(a->ask->network, out->who.peer, &v4))) {
        return unknown(a, "client address", a->ask->network, NULL);
    }
    return sp_ok();
}

static bool part_named(const sp_policy *view, uint32_t resource, sp_span name, uint32_t *ret_part)
{
    const snap_resource *r = (const snap_resource *)snap_at(view, SNAP_RESOURCES) + resource;
    const snap_part *parts = snap_at(view, SNAP_PARTS);
    for (uint32_t i = r->parts.at; i < r->parts.at + r->parts.count; i++) {
        if (sp_span_eq(snap_span(view, parts[i].name), name)) {
            *ret_part = i;
            return true;
        }
    }
    return false;
}

/* "[database:]schema.relation[.column]" */
static bool relation_named(asking *a, sp_span text)
{
    const sp_policy *view = &a->set->view;
    uint32_t resource = a->out->object.resource;
    sp_database_resource known;
    size_t colon = sp_span_index(text, ':');
    sp_span database = sp_policy_database_name(view, resource, 0);
    if (colon < text.len) {
        database = sp_policy_database_reached(view, resource, sp_span_slice(text, 0, colon));
        text = sp_span_slice(text, colon + 1, text.len);
    }
    size_t dot = sp_span_index(text, '.');
    sp_span behind = sp_span_slice(text, dot + 1, text.len);
    size_t next = sp_span_index(behind, '.');
    sp_span relation = sp_span_slice(behind, 0, next);
    if (!sp_policy_database_resource(view, resource, &known) || database.len == 0 || dot == 0 ||
        relation.len == 0) {
        return false;
    }
    a->relation = sp_policy_database_part(view, resource, database, sp_span_slice(text, 0, dot),
                                          relation, sp_span_slice(behind, next + 1, behind.len));
    a->has_relation = true;
    a->closed = a->relation.part == SP_PART_CLOSED;
    a->out->part = a->closed ? SP_NONE : a->relation.part;
    return true;
}

static sp_err not_tried(const asking *a, const char *why)
{
    sp_span tried = a->ask->tried;
    sp_diags_add(a->diags, SP_DIAG_ERROR, a->ask->file, a->ask->line, a->ask->column, "'%.*s' %s",
                 (int)(tried.len > 80 ? 80 : tried.len), (const char *)tried.ptr, why);
    return sp_fail(SP_EINVALID);
}

static sp_err ask_statement(asking *a)
{
    sp_database_resource known;
    if (!sp_policy_database_resource(&a->set->view, a->out->object.resource, &known)) {
        return not_tried(a, "is neither an action (connect read write export import alter destroy "
                            "administer execute forward) nor a request (GET /path) nor a command "
                            "behind '$' nor a statement for a resource with 'postgres'");
    }
    if (a->set->sql == NULL) {
        return not_tried(a, "is a statement, and nobody here can read SQL");
    }
    sp_policy_statement statement = {&a->set->view, a->out->object.resource, a->ask->tried};
    sp_buf_room(&a->room, ROOM_BYTES);
    TRY(sp_buf_error(&a->room));
    sp_err err = a->set->sql(a->set->sql_ctx, &statement, a->uses, &a->uses_count, &a->room);
    a->statement = true;
    a->unjudged = sp_failed(err);
    return err.code == SP_ENOMEM ? err : sp_ok();
}

/* "$ systemctl stop web", as the SSH gate takes an exec request; "$" alone is a shell. */
static sp_err ask_command(asking *a)
{
    const sp_policy *view = &a->set->view;
    uint32_t resource = a->out->object.resource;
    sp_span text = sp_span_trim(sp_span_slice(a->ask->tried, 1, a->ask->tried.len));
    sp_ssh_resource known;
    if (!sp_policy_ssh_resource(view, resource, &known)) {
        return not_tried(a, "is a command, which needs a resource with 'ssh'");
    }
    a->command = true;
    a->out->face = SP_FACE_SSH;
    a->ssh.kind = known.shell ? SP_SSH_COMMAND_FREE : SP_SSH_COMMAND_REFUSED;
    if (text.len > 0) {
        a->ssh = sp_policy_ssh_command(view, resource, text, &a->argv);
    }
    a->unjudged = a->ssh.kind == SP_SSH_COMMAND_REFUSED;
    a->out->action =
        a->ssh.kind == SP_SSH_COMMAND_LISTED ? a->ssh.listed.action : SP_ACTION_EXECUTE;
    return sp_ok();
}

/* "export", or "GET /path", which is placed as the web gate places it, or a command or statement.
 */
static sp_err ask_action(asking *a)
{
    policy_asked *out = a->out;
    sp_span tried = a->ask->tried;
    size_t blank = sp_span_index(tried, ' ');
    sp_span path = sp_span_slice(tried, blank + 1, tried.len);
    if (sp_action_of(tried, &out->action)) {
        return sp_ok();
    }
    if (tried.len > 0 && tried.ptr[0] == '$') {
        return ask_command(a);
    }
    if (blank == tried.len || path.len == 0 || path.ptr[0] != '/') {
        return ask_statement(a);
    }
    if (out->object.resource == SP_NONE) {
        sp_diags_add(a->diags, SP_DIAG_ERROR, a->ask->file, a->ask->line, a->ask->column,
                     "a request needs a resource: name it");
        return sp_fail(SP_EINVALID);
    }
    sp_web_place place = sp_policy_web_place(&a->set->view, out->object.resource,
                                             sp_span_slice(tried, 0, blank), path);
    out->action = place.action;
    out->part = place.part;
    out->face = SP_FACE_WEB;
    return sp_ok();
}

static sp_err ask_class(asking *a)
{
    policy_asked *out = a->out;
    uint32_t level = 0;
    if (a->ask->class_name.len == 0 && out->object.resource == SP_NONE) {
        sp_diags_add(a->diags, SP_DIAG_ERROR, a->ask->file, a->ask->line, a->ask->column,
                     "name a resource, or a class of data");
        return sp_fail(SP_EINVALID);
    }
    if (a->ask->class_name.len > 0 && !name_get(&a->set->class_names, a->ask->class_name, &level)) {
        return unknown(a, "class", a->ask->class_name, &a->set->class_names);
    }
    if (out->object.resource == SP_NONE) {
        out->object.class_level = (uint8_t)level;
    } else if (a->ask->class_name.len > 0 && level != out->object.class_level) {
        sp_span is = sp_policy_class_name(&a->set->view, out->object.class_level);
        sp_diags_add(a->diags, SP_DIAG_ERROR, a->ask->file, a->ask->line, a->ask->column,
                     "this data is of class '%.*s', not '%.*s'", SP_SPAN_ARG(is),
                     SP_SPAN_ARG(a->ask->class_name));
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < a->ask->tags_count; i++) {
        uint32_t tag = 0;
        if (!name_get(&a->set->tag_names, a->ask->tags[i], &tag)) {
            return unknown(a, "tag", a->ask->tags[i], &a->set->tag_names);
        }
        out->object.tags |= UINT64_C(1) << tag;
    }
    return sp_ok();
}

static sp_err ask_object(asking *a)
{
    policy_asked *out = a->out;
    const sp_policy *view = &a->set->view;
    if (a->ask->resource.len > 0) {
        out->object.resource = sp_policy_resource_find(view, a->ask->resource);
        if (out->object.resource == SP_NONE) {
            return unknown(a, "resource", a->ask->resource, &a->set->resource_names);
        }
    }
    TRY(ask_action(a));
    if (a->ask->part.len > 0) {
        if (out->object.resource == SP_NONE) {
            return unknown(a, "part of no resource", a->ask->part, NULL);
        }
        sp_web_resource web;
        if (a->ask->part.ptr[0] == '/' &&
            !sp_policy_web_resource(view, out->object.resource, &web)) {
            out->part = sp_policy_ssh_part(view, out->object.resource, a->ask->part).part;
        } else if (a->ask->part.ptr[0] == '/') {
            out->part =
                sp_policy_web_place(view, out->object.resource, SP_SPAN_LIT("GET"), a->ask->part)
                    .part;
        } else if (!part_named(view, out->object.resource, a->ask->part, &out->part) &&
                   !relation_named(a, a->ask->part)) {
            return unknown(a, "part", a->ask->part, NULL);
        }
    }
    if (out->object.resource != SP_NONE &&
        !policy_object_of(view, out->object.resource, out->part, &out->object)) {
        return sp_fail(SP_EINTERNAL);
    }
    if (a->has_relation) {
        out->object.class_level = a->relation.class_level;
        out->object.tags = a->relation.tags;
    }
    return ask_class(a);
}

/* ---- deciding ---- */

static void decide_object(asking *a, policy_object object, policy_asked *out)
{
    policy_case asked = {&out->who, object, out->action, out->now_unix_s, out->free, out->face};
    out->object = object;
    out->decision = policy_decide_case(&a->set->view, &asked, &out->near);
}

static bool graver(const sp_decision *a, const sp_decision *b)
{
    return a->verdict < b->verdict || (a->verdict == b->verdict && a->approvals > b->approvals);
}

static void decide_part(asking *a, sp_action action, uint32_t part, policy_asked *worst)
{
    policy_asked one = *a->out;
    policy_object object;
    one.action = action;
    one.part = part;
    if (part == SP_PART_CLOSED) { /* graver than whatever else it does */
        *worst = *a->out;
        worst->action = action;
        worst->decision = policy_closed(&a->set->view, a->out->object.resource);
        return;
    }
    if (policy_object_of(&a->set->view, a->out->object.resource, part, &object)) {
        decide_object(a, object, &one);
        if (graver(&one.decision, &worst->decision)) {
            *worst = one;
        }
    }
}

static bool may_lie_in(const sp_policy *view, snap_text pattern, sp_span name)
{
    return pattern.len == 0 || name.len == 0 || sp_span_eq(snap_span(view, pattern), name);
}

/* Every part that a whole database or schema could hold, and what is in no part. */
static void decide_whole(asking *a, const sp_policy_use *use, sp_span database, policy_asked *worst)
{
    const sp_policy *view = &a->set->view;
    const snap_resource *r =
        (const snap_resource *)snap_at(view, SNAP_RESOURCES) + a->out->object.resource;
    const snap_database *d = (const snap_database *)snap_at(view, SNAP_DATABASES) + r->database;
    const snap_relation *all = snap_at(view, SNAP_RELATIONS);
    decide_part(a, use->action, SP_NONE, worst);
    for (uint32_t i = d->relations.at; i < d->relations.at + d->relations.count; i++) {
        if (may_lie_in(view, all[i].database, database) &&
            may_lie_in(view, all[i].schema, use->schema)) {
            decide_part(a, use->action, all[i].part, worst);
        }
    }
}

/* One use of a statement. */
static void decide_use(asking *a, const sp_policy_use *use, policy_asked *worst)
{
    const sp_policy *view = &a->set->view;
    uint32_t resource = a->out->object.resource;
    sp_span database =
        use->database.len > 0 ? use->database : sp_policy_database_name(view, resource, 0);
    sp_span schema =
        use->schema.len > 0 ? use->schema : sp_policy_database_schema(view, resource, 0);
    if (use->whole) {
        decide_whole(a, use, database, worst);
    } else if (use->relation.len > 0) {
        sp_database_part part =
            sp_policy_database_part(view, resource, database, schema, use->relation, SP_SPAN_EMPTY);
        decide_part(a, use->action, part.part, worst);
    } else {
        decide_part(a, use->action, SP_NONE, worst);
    }
}

static void decide_statement(asking *a)
{
    policy_asked worst = *a->out;
    worst.decision = (sp_decision){.verdict = SP_VERDICT_COUNT, .rule = SP_NONE};
    for (size_t i = 0; i < a->uses_count; i++) {
        decide_use(a, &a->uses[i], &worst);
    }
    if (a->unjudged || worst.decision.verdict == SP_VERDICT_COUNT) {
        worst.decision = (sp_decision){.reason = SP_REASON_UNPARSED,
                                       .rule = SP_NONE,
                                       .class_level = a->out->object.class_level};
    }
    *a->out = worst;
}

/* All that may lie at or below a path of the host; a relative one may be anywhere. */
static void decide_tree(asking *a, sp_action action, sp_span path, policy_asked *worst)
{
    const sp_policy *view = &a->set->view;
    const snap_resource *r = snap_resource_at(view, a->out->object.resource);
    const snap_ssh *s = (const snap_ssh *)snap_at(view, SNAP_SSH) + r->ssh;
    const snap_part *parts = snap_at(view, SNAP_PARTS);
    bool anywhere = path.len == 0 || path.ptr[0] != '/';
    decide_part(a, action,
                anywhere ? SP_NONE : sp_policy_ssh_part(view, a->out->object.resource, path).part,
                worst);
    for (uint32_t i = s->parts.at; i < s->parts.at + s->parts.count; i++) {
        if (anywhere || snap_path_reaches(snap_span(view, parts[i].path), path)) {
            decide_part(a, action, i, worst);
        }
    }
}

static void decide_transfer(asking *a, const sp_command *transfer, policy_asked *worst)
{
    unsigned needs = sp_policy_ssh_needs(transfer);
    for (size_t i = 0; i < (transfer->paths_count == 0 ? 1 : transfer->paths_count); i++) {
        for (sp_action action = SP_ACTION_CONNECT; action < SP_ACTION_COUNT; action++) {
            if ((needs & 1U << action) != 0) {
                decide_tree(a, action, transfer->paths[i], worst);
            }
        }
    }
}

static void decide_command(asking *a)
{
    policy_asked worst = *a->out;
    worst.decision = (sp_decision){.verdict = SP_VERDICT_COUNT, .rule = SP_NONE};
    switch ((sp_ssh_command_kind)a->ssh.kind) {
    case SP_SSH_COMMAND_FREE:
        decide_tree(a, SP_ACTION_EXECUTE, SP_SPAN_EMPTY, &worst);
        break;
    case SP_SSH_COMMAND_LISTED:
        if (a->ssh.listed.paths) {
            decide_tree(a, a->ssh.listed.action, SP_SPAN_EMPTY, &worst);
        } else {
            decide_part(a, a->ssh.listed.action, SP_NONE, &worst);
        }
        break;
    case SP_SSH_COMMAND_TRANSFER:
        decide_transfer(a, &a->ssh.transfer, &worst);
        break;
    case SP_SSH_COMMAND_REFUSED:
    case SP_SSH_COMMAND_COUNT:
        worst.decision = (sp_decision){.reason = SP_REASON_UNPARSED,
                                       .rule = SP_NONE,
                                       .class_level = a->out->object.class_level};
        break;
    }
    *a->out = worst;
}

sp_err policy_ask(const sp_policy_set *set, const sp_policy_ask *ask, sp_diags *diags,
                  policy_asked *ret_asked)
{
    policy_asked out = {.part = SP_NONE, .near = SP_NONE, .object = {.resource = SP_NONE}};
    asking a = {
        .set = set, .ask = ask, .diags = diags, .out = &out, .room = sp_buf_make(ROOM_BYTES)};
    sp_err err = ask_person(&a);
    err = sp_failed(err) ? err : ask_device(&a);
    err = sp_failed(err) ? err : ask_conditions(&a);
    err = sp_failed(err) ? err : ask_object(&a);
    if (!sp_failed(err) && a.statement) {
        decide_statement(&a);
    } else if (!sp_failed(err) && a.command) {
        decide_command(&a);
    } else if (!sp_failed(err) && a.closed) {
        out.decision = policy_closed(&set->view, out.object.resource);
    } else if (!sp_failed(err)) {
        decide_object(&a, out.object, &out);
    }
    sp_buf_done(&a.room);
    TRY(err);
    *ret_asked = out;
    return sp_ok();
}

sp_err sp_policy_ask_words(const sp_policy_set *set, const sp_policy_ask *ask, sp_diags *diags,
                           sp_policy_told *ret_told)
{
    policy_asked asked;
    TRY(policy_ask(set, ask, diags, &asked));
    *ret_told = (sp_policy_told){.decision = asked.decision,
                                 .who = asked.who,
                                 .question = {.resource = asked.object.resource,
                                              .part = asked.part,
                                              .action = asked.action,
                                              .now_unix_s = asked.now_unix_s,
                                              .face = asked.face},
                                 .near = asked.near};
    return sp_ok();
}
