/* SPDX-License-Identifier: Apache-2.0
 * On which ways a person can be told: the own order of channels and the ids there, the mailbox of
 * the account, and which channel comes next.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; ids are checked.
 * SPEC docs/api/openapi.yaml "reach".
 */
#include "core/http/json.h"
#include "core/notices/inside.h"
#include "lib/notice/wire.h"

enum { ID_MAX_BYTES = 64, WISHES_MAX = SP_NOTICE_CHANNELS_MAX };

static bool id_ok(sp_span id)
{
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.ptr[i];
        if (!sp_is_alnum(c) && c != '_' && c != '-' && c != '.' && c != '+') {
            return false;
        }
    }
    return id.len <= ID_MAX_BYTES && !sp_span_eq_nocase(id, SP_SPAN_LIT("all"));
}

sp_err notice_person_load(sp_store *store, uint32_t id, notice_person *ret_person)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, name, display, mail, locale FROM person WHERE id = $1");
    sp_bind_u64(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_person = (notice_person){.id = (uint32_t)sp_col_u64(&q)};
    TRY(sp_fit(ret_person->name, sizeof(ret_person->name), sp_col_text(&q)));
    TRY(sp_fit(ret_person->display, sizeof(ret_person->display), sp_col_text(&q)));
    TRY(sp_fit(ret_person->mail, sizeof(ret_person->mail), sp_col_text(&q)));
    TRY(sp_fit(ret_person->locale, sizeof(ret_person->locale),
               sp_text_cut(sp_col_text(&q), sizeof(ret_person->locale) - 1)));
    return sp_query_finish(&q);
}

/* ---- the next channel ---- */

typedef struct {
    sp_span channel;
    sp_span address;
} wish;

static sp_err load_wishes(sp_store *store, sp_arena *arena, uint32_t person, wish *wishes,
                          size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT channel, address FROM reach WHERE person = $1 ORDER BY place LIMIT 8");
    sp_bind_u64(&q, person);
    *ret_count = 0;
    while (*ret_count < WISHES_MAX && sp_query_row(&q)) {
        wish *w = &wishes[*ret_count];
        TRY(sp_arena_copy(arena, sp_col_text(&q), &w->channel));
        TRY(sp_arena_copy(arena, sp_col_text(&q), &w->address));
        (*ret_count)++;
    }
    return sp_query_finish(&q);
}

static bool line_holds(sp_span lines, sp_span name)
{
    sp_span line;
    while (sp_span_split(&lines, '\n', &line)) {
        if (sp_span_eq(line, name)) {
            return true;
        }
    }
    return false;
}

typedef struct {
    const sp_policy_set *set;
    const notice_person *person;
    const wish *wishes;
    size_t wishes_count;
    delivery_row *delivery;
    sp_arena *arena;
} choosing;

/* Takes the channel when it was not tried and the person has an address on it. */
static bool take(const choosing *c, sp_span name)
{
    sp_policy_channel channel;
    sp_span address = SP_SPAN_EMPTY;
    if (line_holds(c->delivery->tried, name) ||
        sp_failed(sp_policy_set_channel(c->set, name, &channel))) {
        return false;
    }
    for (size_t i = 0; i < c->wishes_count; i++) {
        if (sp_span_eq(c->wishes[i].channel, name)) {
            address = c->wishes[i].address;
        }
    }
    if (channel.via == SP_CHANNEL_EMAIL) {
        address = sp_span_cstr(c->person->mail);
    }
    bool good = channel.via == SP_CHANNEL_EMAIL ? sp_mailbox_ok(address) : address.len > 0;
    return good && !sp_failed(sp_arena_copy(c->arena, name, &c->delivery->channel)) &&
           !sp_failed(sp_arena_copy(c->arena, address, &c->delivery->address));
}

/* All channels of one sort: mail, then the others. */
static bool take_any(const choosing *c, bool mail)
{
    for (size_t i = 0; i < sp_policy_set_channel_count(c->set); i++) {
        sp_policy_channel channel;
        sp_policy_set_channel_at(c->set, i, &channel);
        if ((channel.via == SP_CHANNEL_EMAIL) == mail && take(c, channel.name)) {
            return true;
        }
    }
    return false;
}

void notice_schedule(sp_core *core, const notice_row *notice, delivery_row *delivery)
{
    sp_policy_channel doc;
    if (notice->severity >= SP_SEVERITY_HIGH || notice->within_s > 0 ||
        sp_failed(sp_policy_set_channel(sp_documents_set(core->state->documents), delivery->channel,
                                        &doc)) ||
        doc.digest_s == 0) {
        return;
    }
    uint64_t end = (delivery->next_unix_s / doc.digest_s + 1) * doc.digest_s;
    if (end < notice->expires_unix_s) {
        delivery->next_unix_s = end;
    }
}

static sp_err choose(sp_core *core, sp_arena *arena, const notice_row *notice,
                     const notice_person *person, delivery_row *delivery)
{
    wish wishes[WISHES_MAX];
    choosing c = {.set = sp_documents_set(core->state->documents),
                  .person = person,
                  .wishes = wishes,
                  .delivery = delivery,
                  .arena = arena};
    TRY(load_wishes(core->store, arena, person->id, wishes, &c.wishes_count));
    delivery->channel = SP_SPAN_EMPTY;
    delivery->address = SP_SPAN_EMPTY;
    for (size_t i = 0; i < c.wishes_count; i++) {
        if (take(&c, wishes[i].channel)) {
            return sp_ok();
        }
    }
    sp_span rest = notice->channels;
    sp_span name;
    while (sp_span_split(&rest, '\n', &name)) {
        if (take(&c, name)) {
            return sp_ok();
        }
    }
    if (notice->channels.len == 0 && !take_any(&c, true)) {
        (void)take_any(&c, false);
    }
    return sp_ok();
}

sp_err notice_choose(sp_core *core, sp_arena *arena, const notice_row *notice,
                     const notice_person *person, delivery_row *delivery)
{
    TRY(choose(core, arena, notice, person, delivery));
    notice_schedule(core, notice, delivery);
    return sp_ok();
}

/* ---- the API ---- */

static json_t *reach_json(sp_core *core, sp_arena *arena, const notice_person *person)
{
    wish wishes[WISHES_MAX];
    size_t count = 0;
    json_t *channels = json_array();
    if (!sp_failed(load_wishes(core->store, arena, person->id, wishes, &count))) {
        for (size_t i = 0; i < count; i++) {
            json_array_append_new(channels, json_pack("{s:o, s:o}", "channel",
                                                      sp_json_span(wishes[i].channel), "id",
                                                      sp_json_span(wishes[i].address)));
        }
    }
    json_t *known = json_array();
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t i = 0; i < sp_policy_set_channel_count(set); i++) {
        sp_policy_channel channel;
        sp_policy_set_channel_at(set, i, &channel);
        json_array_append_new(known, json_pack("{s:o, s:s}", "name", sp_json_span(channel.name),
                                               "via", sp_channel_kind_words[channel.via]));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", person->name, "mail", person->mail,
                     "locale", person->locale, "channels", channels, "known", known);
}

static void answer_reach(sp_request *req, uint32_t id)
{
    notice_person person;
    sp_err err = notice_person_load(sp_request_core(req)->store, id, &person);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 200, reach_json(sp_request_core(req), sp_request_arena(req), &person));
    }
}

typedef struct {
    uint32_t person;
    sp_person whose;
    wish wishes[WISHES_MAX];
    size_t count;
} change;

static sp_err keep_wishes(sp_store *store, const change *c)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query gone = sp_query_of(store, "DELETE FROM reach WHERE person = $1");
    sp_bind_u64(&gone, c->person);
    TRY(sp_query_finish(&gone));
    for (size_t i = 0; i < c->count; i++) {
        auto_query sp_query q = sp_query_of(
            store, "INSERT INTO reach (person, place, channel, address) VALUES ($1, $2, $3, $4)");
        sp_bind_u64(&q, c->person);
        sp_bind_u64(&q, i);
        sp_bind_text(&q, c->wishes[i].channel);
        sp_bind_text(&q, c->wishes[i].address);
        TRY(sp_query_finish(&q));
    }
    return sp_txn_commit(&txn);
}

static void go_change(sp_request *req, void *data)
{
    const change *c = data;
    sp_err err = keep_wishes(sp_request_core(req)->store, c);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_reach(req, c->person);
    }
}

static bool read_wish(sp_request *req, const json_t *item, wish *ret_wish)
{
    const char *bad = NULL;
    const char *expected = NULL;
    sp_policy_channel channel;
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    *ret_wish = (wish){0};
    const sp_field fields[] = {SP_FIELD_TEXT("channel", &ret_wish->channel, 1, SP_NAME_MAX_BYTES),
                               SP_FIELD_TEXT_OPT("id", &ret_wish->address, 0, ID_MAX_BYTES)};
    if (!json_is_object(item) ||
        sp_failed(sp_fields_read(item, fields, SP_COUNT(fields), &bad, &expected))) {
        sp_answer_invalid(req, "channels", "a list of {channel, id}");
        return false;
    }
    if (sp_failed(sp_policy_set_channel(set, ret_wish->channel, &channel))) {
        sp_answer_invalid(req, "channel", "the name of a Channel document");
        return false;
    }
    if (!id_ok(ret_wish->address)) {
        sp_answer_invalid(req, "id",
                          "letters, digits, '.', '_', '-' and '+', at most 64; not 'all'");
        return false;
    }
    return true;
}

static void put_reach(sp_request *req, uint32_t person)
{
    change *c = NULL;
    const json_t *channels = NULL;
    const sp_field fields[] = {SP_FIELD_JSON("channels", &channels)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!json_is_array(channels) || json_array_size(channels) > WISHES_MAX) {
        sp_answer_invalid(req, "channels", "a list of at most 8");
        return;
    }
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*c), &c))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    c->person = person;
    for (size_t i = 0; i < json_array_size(channels); i++) {
        if (!read_wish(req, json_array_get(channels, i), &c->wishes[c->count++])) {
            return;
        }
    }
    if (sp_failed(sp_people_get(sp_request_core(req)->store, person, &c->whose))) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.method = SP_SPAN_LIT("reach");
    event.object = sp_span_cstr(c->whose.name);
    sp_request_record(req, &event, go_change, c);
}

static void get_mine(sp_request *req)
{
    answer_reach(req, sp_request_person(req));
}

static void put_mine(sp_request *req)
{
    put_reach(req, sp_request_person(req));
}

/* Of the path; 0: answered. */
static uint32_t person_of(sp_request *req)
{
    uint64_t id = 0;
    sp_person person;
    if (!sp_request_param_u64(req, 0, &id) || id == 0 || id > UINT32_MAX ||
        sp_failed(sp_people_get(sp_request_core(req)->store, (uint32_t)id, &person))) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
        return 0;
    }
    return (uint32_t)id;
}

static void get_one(sp_request *req)
{
    uint32_t person = person_of(req);
    if (person != 0) {
        answer_reach(req, person);
    }
}

static void put_one(sp_request *req)
{
    uint32_t person = person_of(req);
    if (person != 0) {
        put_reach(req, person);
    }
}

sp_err notice_reach_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/reach", SP_WHO_PERSON, get_mine, 0},
        {"PUT", "/api/v1/me/reach", SP_WHO_PERSON, put_mine, 0},
        {"GET", "/api/v1/admin/people/{id}/reach", SP_WHO_SYSTEM | SP_WHO_LOCAL, get_one, 0},
        {"PUT", "/api/v1/admin/people/{id}/reach", SP_WHO_SYSTEM | SP_WHO_LOCAL, put_one, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
