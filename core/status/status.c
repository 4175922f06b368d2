/* SPDX-License-Identifier: Apache-2.0
 * Publishing and clearing.
 * OWNS rows of the store. PROCESS core. TRUST requests are hostile. SPEC core/status/status.h.
 */
#include "core/status/status.h"

#include "core/http/json.h"
#include "core/http/router.h"
#include "core/state/gates.h"
#include "infra/proc/clock.h"
#include "lib/proto/core_msg.h"
#include "lib/proto/status_msg.h"

static const char *const migrations[] = {
    "CREATE TABLE status_item (name TEXT PRIMARY KEY, state BIGINT NOT NULL, since BIGINT NOT NULL,"
    " until BIGINT NOT NULL, name_zh TEXT NOT NULL, text_en TEXT NOT NULL, text_zh TEXT NOT NULL,"
    " by_name TEXT NOT NULL);"
    "CREATE TABLE status_told (id INTEGER PRIMARY KEY CHECK (id = 1), at BIGINT NOT NULL)",
};

#define ARENA_BYTES ((size_t)256 * 1024)

static sp_span kept(sp_arena *arena, sp_span text)
{
    sp_span copy = SP_SPAN_EMPTY;
    SP_IGNORE(sp_arena_copy(arena, text, &copy)); /* an empty text then */
    return copy;
}

static uint64_t told_at(sp_store *store)
{
    auto_query sp_query q = sp_query_of(store, "SELECT at FROM status_told WHERE id = 1");
    return sp_query_row(&q) ? sp_col_u64(&q) : 0;
}

static void load(sp_core *core, sp_arena *arena, sp_status_page *page)
{
    *page = (sp_status_page){.told_unix_s = told_at(core->store)};
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT name, state, since, until, name_zh, text_en,"
                                 " text_zh FROM status_item ORDER BY name");
    while (page->count < SP_STATUS_ITEMS_MAX && sp_query_row(&q)) {
        sp_status_item *item = &page->items[page->count++];
        item->name_en = kept(arena, sp_col_text(&q));
        item->state = (uint8_t)sp_col_u64(&q);
        item->since_unix_s = sp_col_u64(&q);
        item->until_unix_s = sp_col_u64(&q);
        item->name_zh = kept(arena, sp_col_text(&q));
        item->text_en = kept(arena, sp_col_text(&q));
        item->text_zh = kept(arena, sp_col_text(&q));
    }
}

void sp_status_write(sp_core *core, sp_buf *out)
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_status_page page;
    load(core, &arena, &page);
    sp_status_page_write(&page, out);
}

static void tell(sp_core *core)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_status_write(core, &body);
    sp_gates_push_launchers(core->state->gates, SP_GATE_WEB, SP_CORE_STATUS, sp_buf_borrow(&body));
}

/* ---- the API ---- */

static json_t *item_json(const sp_status_item *i)
{
    return json_pack("{s:o,s:s,s:o,s:o,s:{s:o,s:o},s:{s:o,s:o}}", "group", sp_json_span(i->name_en),
                     "state", sp_status_state_word((sp_status_state)i->state), "since_at",
                     sp_json_time(i->since_unix_s), "until_at", sp_json_time(i->until_unix_s),
                     "name", "en", sp_json_span(i->name_en), "zh", sp_json_span(i->name_zh), "text",
                     "en", sp_json_span(i->text_en), "zh", sp_json_span(i->text_zh));
}

static void get_status(sp_request *req)
{
    sp_status_page page;
    json_t *items = json_array();
    load(sp_request_core(req), sp_request_arena(req), &page);
    for (size_t i = 0; i < page.count; i++) {
        json_array_append_new(items, item_json(&page.items[i]));
    }
    sp_answer_json(
        req, 200,
        json_pack("{s:o,s:o}", "items", items, "told_at", sp_json_time(page.told_unix_s)));
}

typedef struct {
    sp_status_item item;
    sp_span by;
} change;

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static sp_err mark_told(sp_store *store)
{
    auto_query sp_query q = sp_query_of(store, "INSERT INTO status_told (id, at) VALUES (1, $1)"
                                               " ON CONFLICT (id) DO UPDATE SET at = excluded.at");
    sp_bind_u64(&q, now_s());
    return sp_query_finish(&q);
}

static sp_err put(sp_store *store, const change *c)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO status_item (name, state, since, until, name_zh, text_en, text_zh,"
               " by_name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO UPDATE SET"
               " since = CASE WHEN state = excluded.state THEN since ELSE excluded.since END,"
               " state = excluded.state, until = excluded.until, name_zh = excluded.name_zh,"
               " text_en = excluded.text_en, text_zh = excluded.text_zh, by_name ="
               " excluded.by_name");
    sp_bind_text(&q, c->item.name_en);
    sp_bind_u64(&q, c->item.state);
    sp_bind_u64(&q, now_s());
    sp_bind_u64(&q, c->item.until_unix_s);
    sp_bind_text(&q, c->item.name_zh);
    sp_bind_text(&q, c->item.text_en);
    sp_bind_text(&q, c->item.text_zh);
    sp_bind_text(&q, c->by);
    TRY(sp_query_finish(&q));
    TRY(mark_told(store));
    return sp_txn_commit(&txn);
}

static sp_err take_out(sp_store *store, sp_span name)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(store, "DELETE FROM status_item WHERE name = $1");
    sp_bind_text(&q, name);
    TRY(sp_query_finish_changed(&q));
    TRY(mark_told(store));
    return sp_txn_commit(&txn);
}

static void finish(sp_request *req, sp_err err)
{
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "Nothing is published about this group.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        tell(sp_request_core(req));
        get_status(req);
    }
}

static void go_put(sp_request *req, void *data)
{
    finish(req, put(sp_request_core(req)->store, data));
}

static void go_clear(sp_request *req, void *data)
{
    finish(req, take_out(sp_request_core(req)->store, ((const change *)data)->item.name_en));
}

static size_t others_count(sp_store *store, sp_span name)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM status_item WHERE name <> $1");
    sp_bind_text(&q, name);
    return sp_query_row(&q) ? (size_t)sp_col_u64(&q) : 0;
}

static void record(sp_request *req, const char *method, change *c, sp_request_go go)
{
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_buf_fmt(&detail,
               "{\"state\":\"%s\",\"en\":", sp_status_state_word((sp_status_state)c->item.state));
    sp_buf_json(&detail, c->item.text_en);
    sp_buf_text(&detail, ",\"zh\":");
    sp_buf_json(&detail, c->item.text_zh);
    sp_buf_byte(&detail, '}');
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    event.method = sp_span_cstr(method);
    event.object = c->item.name_en;
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go, c);
}

static change *new_change(sp_request *req)
{
    change *c = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*c), &c))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return NULL;
    }
    c->by = sp_request_by(req);
    return c;
}

static void post_status(sp_request *req)
{
    change *c = new_change(req);
    sp_span state = SP_SPAN_EMPTY;
    sp_status_state which = SP_STATUS_WORKING;
    uint64_t for_s = 0;
    if (c == NULL) {
        return;
    }
    sp_status_item *i = &c->item;
    const sp_field fields[] = {
        SP_FIELD_TEXT("group", &i->name_en, 1, SP_STATUS_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("group_zh", &i->name_zh, 1, SP_STATUS_NAME_MAX_BYTES),
        SP_FIELD_TEXT("state", &state, 1, 16),
        SP_FIELD_TEXT_OPT("en", &i->text_en, 0, SP_STATUS_TEXT_MAX_BYTES),
        SP_FIELD_TEXT_OPT("zh", &i->text_zh, 0, SP_STATUS_TEXT_MAX_BYTES),
        SP_FIELD_U64_OPT("for_s", &for_s, (uint64_t)366 * 86400),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (sp_failed(sp_status_state_of(state, &which))) {
        sp_answer_invalid(req, "state", "working, slow, down or maintenance");
        return;
    }
    if (others_count(sp_request_core(req)->store, i->name_en) >= SP_STATUS_ITEMS_MAX) {
        sp_answer_problem(req, 409, "too_many", "%d groups are published: clear one first.",
                          SP_STATUS_ITEMS_MAX);
        return;
    }
    i->state = (uint8_t)which;
    i->until_unix_s = for_s == 0 ? 0 : now_s() + for_s;
    i->name_zh = i->name_zh.len == 0 ? i->name_en : i->name_zh;
    i->text_zh = i->text_zh.len == 0 ? i->text_en : i->text_zh;
    record(req, "status published", c, go_put);
}

static void post_clear(sp_request *req)
{
    change *c = new_change(req);
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {
        SP_FIELD_TEXT("group", &c->item.name_en, 1, SP_STATUS_NAME_MAX_BYTES)};
    if (sp_request_fields(req, fields, SP_COUNT(fields))) {
        record(req, "status cleared", c, go_clear);
    }
}

sp_err sp_status_start(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/status", SP_WHO_PERSON | SP_WHO_LOCAL, get_status, 0},
        {"POST", "/api/v1/status", SP_WHO_SYSTEM | SP_WHO_SECURITY | SP_WHO_LOCAL, post_status, 0},
        {"POST", "/api/v1/status/clear", SP_WHO_SYSTEM | SP_WHO_SECURITY | SP_WHO_LOCAL, post_clear,
         0},
    };
    TRY(sp_store_migrate(core->store, "status", migrations, SP_COUNT(migrations)));
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
