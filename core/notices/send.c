/* SPDX-License-Identifier: Apache-2.0
 * A notice comes to be: looked up, checked, kept; then its audience becomes deliveries.
 * OWNS nothing. PROCESS core. TRUST values are hostile texts, checked for length and kind.
 * SPEC core/notices/notices.h.
 */
#include "core/notices/inside.h"

#include "core/approvals/approvals.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

sp_event notice_event(const char *method, const notice_row *notice, sp_span detail)
{
    return (sp_event){.when_unix_us = sp_now_unix_us(),
                      .kind = SP_EVENT_NOTICE,
                      .severity = notice->severity,
                      .verdict = SP_VERDICT_ALLOW,
                      .method = sp_span_cstr(method),
                      .rule = notice->name,
                      .object = notice->audience,
                      .count = notice->id,
                      .person_name =
                          notice->sender.len <= SP_NAME_MAX_BYTES ? notice->sender : SP_SPAN_EMPTY,
                      .detail = detail};
}

/* ---- checking ---- */

static const sp_notice_pair *pair_of(const sp_notice_ask *ask, sp_span name)
{
    for (size_t i = 0; i < ask->values_count; i++) {
        if (sp_span_eq(ask->values[i].name, name)) {
            return &ask->values[i];
        }
    }
    return NULL;
}

static sp_err wrong(sp_buf *why, sp_code code, sp_span name, const char *fault)
{
    if (why != NULL) {
        sp_buf_fmt(why, "'%.*s': %s", SP_SPAN_ARG(sp_text_cut(name, 64)), fault);
    }
    return sp_fail(code);
}

static bool is_variable(const sp_policy_notice *doc, sp_span name)
{
    for (size_t i = 0; i < doc->variables_count; i++) {
        if (sp_span_eq(doc->variables[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* In a drill the samples stand for what is missing. */
static sp_err check_values(const sp_notice_ask *ask, const sp_policy_notice *doc, sp_buf *why)
{
    for (size_t i = 0; i < ask->values_count; i++) {
        if (!is_variable(doc, ask->values[i].name) && !ask->by_program) {
            return wrong(why, SP_EINVALID, ask->values[i].name,
                         "the notice has no variable of this name");
        }
        if (ask->values[i].text.len > SP_NOTICE_VALUE_MAX_BYTES) {
            return wrong(why, SP_ELIMIT, ask->values[i].name, "at most 1000 bytes");
        }
    }
    for (size_t i = 0; i < doc->variables_count; i++) {
        const sp_notice_pair *pair = pair_of(ask, doc->variables[i].name);
        if (pair == NULL && !ask->drill && !ask->by_program) {
            return wrong(why, SP_EINVALID, doc->variables[i].name, "this variable needs a value");
        }
        const char *fault =
            pair == NULL ? NULL : sp_value_fault((sp_value_kind)doc->variables[i].kind, pair->text);
        if (fault != NULL) {
            if (why != NULL) {
                sp_buf_fmt(why, "'%.*s': it must be %s", SP_SPAN_ARG(doc->variables[i].name),
                           fault);
            }
            return sp_fail(SP_EINVALID);
        }
    }
    return sp_ok();
}

/* ---- keeping ---- */

static json_t *two(const sp_span texts[SP_LANGUAGE_COUNT])
{
    return json_pack("[o, o]", sp_json_span(texts[SP_LANGUAGE_EN]),
                     sp_json_span(texts[SP_LANGUAGE_ZH]));
}

/* What a variable says for which nobody gave a value. */
static sp_span without_value(const sp_notice_ask *ask, const sp_notice_value *variable)
{
    return ask->by_program ? SP_SPAN_LIT("-") : variable->text;
}

static sp_err freeze(const sp_notice_ask *ask, const sp_policy_notice *doc, notice_row *row)
{
    row->texts = json_pack("{s:o, s:o, s:o}", "title", two(doc->title), "body", two(doc->body),
                           "brief", two(doc->brief));
    row->values = json_array();
    for (size_t i = 0; i < doc->variables_count; i++) {
        const sp_notice_value *variable = &doc->variables[i];
        const sp_notice_pair *pair = pair_of(ask, variable->name);
        json_array_append_new(
            row->values,
            json_pack("[o, i, o]", sp_json_span(variable->name), (int)variable->kind,
                      sp_json_span(pair == NULL ? without_value(ask, variable) : pair->text)));
    }
    return row->texts == NULL || row->values == NULL ? sp_fail(SP_ENOMEM) : sp_ok();
}

static sp_err join(sp_arena *arena, const sp_span *names, size_t count, sp_span *ret_lines)
{
    auto_buf sp_buf lines = sp_buf_make(4096);
    for (size_t i = 0; i < count; i++) {
        sp_buf_span(&lines, names[i]);
        sp_buf_byte(&lines, '\n');
    }
    TRY(sp_buf_error(&lines));
    return sp_arena_copy(arena, sp_buf_borrow(&lines), ret_lines);
}

/* What is grave still finds room when the rest has filled its own. */
static bool too_many(sp_core *core, uint8_t severity)
{
    uint64_t max =
        severity >= SP_SEVERITY_HIGH ? NOTICE_OPEN_MAX : NOTICE_OPEN_MAX - NOTICE_OPEN_FOR_GRAVE;
    auto_query sp_query q = sp_query_of(core->store, "SELECT COUNT(*) FROM notice WHERE stage < 2");
    return sp_query_row(&q) && sp_col_u64(&q) >= max;
}

/* "person ann", "role keeper", "ask 77": what stands after the word. */
static bool names_one(sp_span audience, const char *word, sp_span *ret_name)
{
    sp_span first = sp_span_cstr(word);
    bool is = sp_span_starts(audience, first);
    *ret_name = is ? sp_span_slice(audience, first.len, audience.len) : SP_SPAN_EMPTY;
    return is && ret_name->len > 0;
}

/* There is such an audience now. */
static bool is_audience(sp_core *core, sp_span audience)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_person person;
    sp_policy_role role;
    sp_span name;
    uint64_t id = 0;
    if (names_one(audience, "ask ", &name)) {
        return !sp_failed(sp_span_to_u64(name, INT64_MAX, &id));
    }
    if (names_one(audience, "person ", &name)) {
        return !sp_failed(sp_people_find(core->store, name, &person));
    }
    if (names_one(audience, "role ", &name)) {
        return !sp_failed(sp_policy_set_role_find(set, name, &role));
    }
    return sp_policy_set_audience(set, audience) != NULL;
}

static sp_err keep(sp_core *core, notice_row *row)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(notice_row_add(core->store, row));
    return sp_txn_commit(&txn);
}

sp_err notice_freeze(sp_core *core, const sp_notice_ask *ask, notice_row *row)
{
    sp_policy_notice doc;
    TRY(sp_policy_set_notice(sp_documents_set(core->state->documents), ask->notice, &doc));
    return freeze(ask, &doc, row);
}

sp_err notice_send_again(sp_core *core, const notice_row *notice, sp_span audience)
{
    notice_row again = *notice;
    again.audience = audience;
    again.then = SP_SPAN_EMPTY;
    again.within_s = 0;
    again.stage = NOTICE_EXPANDING;
    again.created_unix_s = now_s();
    again.expires_unix_s = again.created_unix_s + SP_NOTICE_EXPIRES_DEFAULT_S;
    again.escalated = false;
    return notice_row_add(core->store, &again);
}

sp_err sp_notices_send(sp_core *core, const sp_notice_ask *ask, sp_buf *why, uint64_t *ret_notice)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_policy_notice doc;
    auto_notice notice_row row = {.arena = sp_arena_make(16 * 1024)};
    if (sp_failed(sp_policy_set_notice(set, ask->notice, &doc))) {
        return wrong(why, SP_ENOTFOUND, ask->notice, "there is no Notice of this name");
    }
    sp_span audience = ask->audience.len > 0 ? ask->audience : doc.audience;
    if (!is_audience(core, audience)) {
        return wrong(why, SP_ENOTFOUND, audience, "there is no Audience of this name");
    }
    TRY(check_values(ask, &doc, why));
    row.severity = ask->severity > 0 ? ask->severity : doc.severity;
    if (too_many(core, row.severity)) {
        return wrong(why, SP_ELIMIT, ask->notice, "too many notices are under way");
    }
    row.name = doc.name;
    row.audience = audience;
    row.then = doc.then;
    row.sender = ask->by;
    row.drill = ask->drill;
    row.banner = doc.banner;
    row.by_all = doc.by_all;
    row.within_s = ask->may_wait ? 0 : doc.within_s;
    row.incident = ask->incident;
    row.created_unix_s = now_s();
    row.expires_unix_s = row.created_unix_s + doc.expires_s;
    TRY(join(&row.arena, doc.channels, doc.channels_count, &row.channels));
    TRY(freeze(ask, &doc, &row));
    TRY(keep(core, &row));
    sp_event event = notice_event(ask->drill ? "drill queued" : "queued", &row, SP_SPAN_EMPTY);
    sp_ledger_client_tell(core->ledger, &event);
    notice_queue_wake(core->notices->queue);
    core->notices->expanding = true;
    *ret_notice = row.id;
    return sp_ok();
}

void sp_notices_tell(sp_core *core, const sp_notice_ask *ask)
{
    auto_buf sp_buf why = sp_buf_make(512);
    sp_notice_ask own = *ask;
    uint64_t id = 0;
    own.by_program = true;
    sp_err err = sp_notices_send(core, &own, &why, &id);
    if (sp_failed(err)) {
        sp_span said = why.len > 0 ? sp_buf_borrow(&why) : sp_span_cstr(sp_code_word(err.code));
        sp_log(SP_LOG_ERROR, "nobody is told by the notice %.*s: %.*s", SP_SPAN_ARG(ask->notice),
               SP_SPAN_ARG(said));
    }
}

/* ---- the audience ---- */

typedef struct {
    sp_core *core;
    const notice_row *notice;
    const sp_policy_audience *audience; /* NULL: one of the next, or gone from the documents */
    sp_span role;                       /* everybody of this role */
    sp_ask ask;                         /* everybody who may agree to it; asker 0 = there is none */
    sp_arena arena;
    uint64_t now_unix_s;
} expanding;

static sp_err add_person(expanding *e, const notice_person *person)
{
    delivery_row d = {.notice = e->notice->id,
                      .person = person->id,
                      .person_name = sp_span_cstr(person->name),
                      .severity = e->notice->severity,
                      .next_unix_s = e->now_unix_s};
    TRY(notice_choose(e->core, &e->arena, e->notice, person, &d));
    if (d.channel.len == 0) {
        d.stage = DELIVERY_UNREACHED;
        d.why = SP_SPAN_LIT("no channel on which this person has an address");
    }
    TRY(delivery_add(e->core->store, &d));
    sp_sse_publish(e->core, SP_TOPIC_ME, person->id, "me", json_pack("{s:s}", "what", "notices"));
    return sp_ok();
}

static sp_err add_posts(const expanding *e)
{
    sp_span channels[SP_NOTICE_CHANNELS_MAX];
    size_t count = sp_policy_audience_posts(e->audience, channels);
    for (size_t i = 0; i < count; i++) {
        delivery_row d = {.notice = e->notice->id,
                          .person_name = channels[i],
                          .channel = channels[i],
                          .severity = e->notice->severity,
                          .next_unix_s = e->now_unix_s};
        notice_schedule(e->core, e->notice, &d);
        TRY(delivery_add(e->core->store, &d));
    }
    return sp_ok();
}

/* The next people by name; fewer than asked for: the last ones. */
static sp_err load_people(const expanding *e, notice_person *people, size_t max, size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        e->core->store, "SELECT id, name, display, mail FROM person WHERE name > $1 AND state < 2"
                        " ORDER BY name LIMIT $2");
    sp_bind_text(&q, e->notice->cursor);
    sp_bind_u64(&q, max);
    *ret_count = 0;
    while (*ret_count < max && sp_query_row(&q)) {
        notice_person *p = &people[(*ret_count)++];
        p->id = (uint32_t)sp_col_u64(&q);
        TRY(sp_fit(p->name, sizeof(p->name), sp_col_text(&q)));
        TRY(sp_fit(p->display, sizeof(p->display), sp_col_text(&q)));
        TRY(sp_fit(p->mail, sizeof(p->mail), sp_col_text(&q)));
    }
    return sp_query_finish(&q);
}

static bool is_meant(const expanding *e, const notice_person *person,
                     const uint64_t roles[SP_ROLE_WORDS])
{
    const sp_policy_set *set = sp_documents_set(e->core->state->documents);
    if (e->audience != NULL) {
        return sp_policy_audience_has(set, e->audience, sp_span_cstr(person->name), roles);
    }
    if (e->ask.asker != 0) {
        return sp_ask_sets_of(&e->ask, person->id, roles) != 0;
    }
    return sp_policy_set_role_held(set, e->role, roles);
}

static sp_err add_people(expanding *e, const notice_person *people, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t roles[SP_ROLE_WORDS] = {0};
        TRY(sp_roles_of(e->core->store, people[i].id, roles));
        if (is_meant(e, &people[i], roles)) {
            TRY(add_person(e, &people[i]));
        }
    }
    return sp_ok();
}

static sp_err add_one_person(expanding *e, sp_span name)
{
    sp_person found;
    notice_person person;
    sp_err err = sp_people_find(e->core->store, name, &found);
    if (sp_failed(err) || found.state >= SP_PERSON_LOCKED) {
        return err.code == SP_ENOTFOUND ? sp_ok() : err;
    }
    TRY(notice_person_load(e->core->store, found.id, &person));
    return add_person(e, &person);
}

/* Some of all people are meant. */
static bool is_group(expanding *e)
{
    sp_span name;
    uint64_t id = 0;
    if (e->audience != NULL || names_one(e->notice->audience, "role ", &e->role)) {
        return true;
    }
    return names_one(e->notice->audience, "ask ", &name) &&
           !sp_failed(sp_span_to_u64(name, INT64_MAX, &id)) &&
           !sp_failed(sp_ask_load(e->core->store, &e->arena, id, &e->ask));
}

static sp_err expand_slice(expanding *e, notice_person *people)
{
    size_t count = 0;
    auto_txn sp_txn txn = sp_txn_begin(e->core->store);
    TRY(txn.err);
    sp_span name;
    if (names_one(e->notice->audience, "person ", &name)) {
        TRY(add_one_person(e, name));
    } else if (is_group(e)) {
        if (e->audience != NULL && e->notice->cursor.len == 0) {
            TRY(add_posts(e));
        }
        TRY(load_people(e, people, NOTICE_SLICE, &count));
        TRY(add_people(e, people, count));
    }
    bool is_last = count < NOTICE_SLICE;
    TRY(notice_row_stage(e->core->store, e->notice->id, is_last ? NOTICE_SENDING : NOTICE_EXPANDING,
                         count == 0 ? e->notice->cursor : sp_span_cstr(people[count - 1].name)));
    return sp_txn_commit(&txn);
}

static sp_err expand_one(sp_core *core, uint64_t id)
{
    auto_notice notice_row notice = {0};
    auto_free notice_person *people = NULL;
    TRY(notice_row_load(core->store, id, &notice));
    TRY(sp_alloc(NOTICE_SLICE, sizeof(*people), &people));
    expanding e = {
        core,
        &notice,
        sp_policy_set_audience(sp_documents_set(core->state->documents), notice.audience),
        SP_SPAN_EMPTY,
        {.asker = 0},
        sp_arena_make((size_t)1 << 22),
        now_s()};
    sp_err err = expand_slice(&e, people);
    sp_arena_done(&e.arena);
    return err;
}

bool notice_expand(sp_core *core)
{
    uint64_t id = 0;
    size_t count = 0;
    sp_err err = notice_ids(core->store, NOTICE_EXPANDING, &id, 1, &count);
    if (!sp_failed(err) && count == 1) {
        err = expand_one(core, id);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "a notice's audience was not written: %s: %s", sp_code_word(err.code),
               sp_store_error_text(core->store));
    }
    return count == 1;
}
