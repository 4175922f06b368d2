/* SPDX-License-Identifier: Apache-2.0
 * The kill switch's API.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml "/cuts".
 */
#include "core/cut/inside.h"
#include "core/http/json.h"
#include "core/http/router.h"

enum { DETAIL_BYTES = 2048, ROW_ARENA_BYTES = 64 * 1024 };

/* ---- shapes ---- */

json_t *sp_cut_row_json(const sp_cut_row *row)
{
    return json_pack(
        "{s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "id", sp_json_id(row->id), "kind",
        sp_cut_kind_word((sp_cut_kind)row->kind), "effect",
        sp_cut_effect_word((sp_cut_effect)row->effect), "name", sp_json_span_or_null(row->name),
        "reason", sp_json_span_or_null(row->reason), "by", sp_json_span_or_null(row->by_name),
        "since_at", sp_json_time(row->since_unix_s), "until_at", sp_json_time(row->until_unix_s),
        "ended_at", sp_json_time(row->ended_unix_s), "ended_by",
        sp_json_span_or_null(row->ended_by), "ended_why", sp_json_span_or_null(row->ended_why),
        "incident", row->incident == 0 ? json_null() : sp_json_id(row->incident), "can_undo",
        (int)(row->ended_unix_s == 0));
}

json_t *sp_cut_json(sp_core *core, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(ROW_ARENA_BYTES);
    sp_cut_row row;
    return sp_failed(sp_cut_row_get(core->store, &arena, id, &row)) ? NULL : sp_cut_row_json(&row);
}

static void list_one(void *self, const sp_cut_row *row)
{
    json_array_append_new(self, sp_cut_row_json(row));
}

json_t *sp_cuts_list(sp_core *core, bool also_ended)
{
    json_t *items = json_array();
    SP_IGNORE(sp_cut_rows_each(core->store, also_ended, list_one, items)); /* what could be read */
    return items;
}

static void get_cuts(sp_request *req)
{
    bool all = sp_span_eq(sp_request_query(req, "all"), SP_SPAN_LIT("1"));
    sp_answer_items(req, sp_cuts_list(sp_request_core(req), all));
}

/* ---- cutting ---- */

typedef struct {
    sp_span kind;
    sp_span name;
    sp_span effect;
    sp_span reason;
    uint64_t for_s;
    bool dry_run;
} asked;

static void answer_not_found(sp_request *req, sp_cut_kind kind)
{
    sp_answer_problem(req, 404, "not_found", "There is no %s of this name.",
                      sp_cut_kind_word(kind));
}

/* Fills the order from what was asked; answers when it cannot be. */
static bool order_of(sp_request *req, const asked *a, sp_cut_order *order)
{
    sp_cut_kind kind = SP_CUT_KIND_COUNT;
    *order = (sp_cut_order){.for_s = a->for_s,
                            .reason = a->reason,
                            .by = sp_request_person(req),
                            .by_name = sp_request_by(req)};
    if (!sp_cut_kind_of(a->kind, &kind)) {
        sp_answer_invalid(req, "kind",
                          "session, person, device, role, resource, class or everything");
        return false;
    }
    if (a->effect.len > 0 && !sp_cut_effect_of(a->effect, &order->effect)) {
        sp_answer_invalid(req, "effect", "deny or step-up");
        return false;
    }
    if ((kind == SP_CUT_EVERYTHING) != (a->name.len == 0)) {
        sp_answer_invalid(req, "name", "the name of what is cut; none for everything");
        return false;
    }
    if (!a->dry_run && a->reason.len == 0) {
        sp_answer_invalid(req, "reason", "why, in a few words");
        return false;
    }
    sp_err err = sp_cut_find(sp_request_core(req), kind, a->name, &order->target);
    if (err.code == SP_EEXISTS) {
        sp_answer_problem(req, 409, "ambiguous",
                          "More than one device is called so, or has this number: say id:NUMBER "
                          "(sallyport device list).");
        return false;
    }
    if (sp_failed(err)) {
        answer_not_found(req, kind);
        return false;
    }
    if (kind == SP_CUT_PERSON && order->effect == SP_CUT_DENY && order->by != 0 &&
        order->target.number == order->by) {
        sp_answer_problem(req, 409, "conflict", "Nobody cuts himself off.");
        return false;
    }
    return true;
}

static void answer_cut(sp_request *req, const sp_cut_order *order, const sp_cut_scope *scope)
{
    sp_core *core = sp_request_core(req);
    uint64_t id = 0;
    sp_err err = sp_cut_now(core, order, &id, NULL);
    if (err.code == SP_EUNSUPPORTED) {
        sp_answer_invalid(req, "kind",
                          "a session, person or device is cut without an end; a step-up is asked "
                          "of people, roles, resources, classes or everything");
    } else if (err.code == SP_ELIMIT) {
        sp_answer_problem(req, 409, "full",
                          "No more can be cut at a time. Undo one, or cut "
                          "everything.");
    } else if (err.code == SP_ECONFLICT) {
        sp_answer_problem(req, 409, "conflict", "This device is not active (any more).");
    } else if (err.code == SP_ENOTFOUND) {
        answer_not_found(req, order->target.kind);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        json_t *cut = sp_cut_json(core, id);
        json_object_set_new(cut, "scope", sp_cut_scope_json(scope));
        sp_answer_json(req, 201, cut);
    }
}

static void post_cut(sp_request *req)
{
    asked a = {.dry_run = false};
    sp_cut_order order;
    sp_cut_scope scope;
    const sp_field fields[] = {
        SP_FIELD_TEXT("kind", &a.kind, 1, 16),
        SP_FIELD_TEXT_OPT("name", &a.name, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("effect", &a.effect, 0, 16),
        SP_FIELD_TEXT_OPT("reason", &a.reason, 0, SP_CUT_REASON_MAX_BYTES),
        SP_FIELD_U64_OPT("for_s", &a.for_s, SP_CUT_FOR_MAX_S),
        SP_FIELD_BOOL_OPT("dry_run", &a.dry_run),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !order_of(req, &a, &order)) {
        return;
    }
    sp_cut_scope_of(sp_request_core(req), &order.target, &scope);
    if (a.dry_run) {
        sp_answer_json(req, 200,
                       json_pack("{s:s,s:s,s:o}", "kind", sp_cut_kind_word(order.target.kind),
                                 "name", order.target.name, "scope", sp_cut_scope_json(&scope)));
        return;
    }
    answer_cut(req, &order, &scope);
}

/* ---- giving back ---- */

typedef struct {
    uint64_t id;
    sp_span reason;
} undoing;

static void go_undo(sp_request *req, void *data)
{
    const undoing *u = data;
    sp_core *core = sp_request_core(req);
    sp_err err = sp_cut_undo(core, u->id, sp_request_by(req), u->reason);
    if (err.code == SP_ECONFLICT) {
        sp_answer_problem(req, 409, "conflict", "It has ended already, or it cannot be undone.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 200, sp_cut_json(core, u->id));
    }
}

/* Nobody lets himself or a device of his own in again. */
static bool is_own(sp_request *req, const sp_cut_row *row)
{
    uint32_t person = sp_request_person(req);
    return person != 0 && row->number == person &&
           (row->kind == SP_CUT_PERSON || row->kind == SP_CUT_DEVICE);
}

static void post_undo(sp_request *req)
{
    undoing *u = NULL;
    sp_cut_row row;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*u), &u);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("reason", &u->reason, 1, SP_CUT_REASON_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!sp_request_param_u64(req, 0, &u->id) ||
        sp_failed(
            sp_cut_row_get(sp_request_core(req)->store, sp_request_arena(req), u->id, &row))) {
        sp_answer_problem(req, 404, "not_found", "There is no such cut.");
        return;
    }
    if (row.ended_unix_s != 0) {
        sp_answer_problem(req, 409, "conflict", "It has ended already, or it cannot be undone.");
        return;
    }
    if (is_own(req, &row)) {
        sp_answer_problem(req, 409, "conflict",
                          "Nobody undoes a cut of himself or of a device of his own. Ask another "
                          "administrator.");
        return;
    }
    auto_buf sp_buf detail = sp_buf_make(DETAIL_BYTES);
    sp_buf_fmt(&detail, "{\"cut\":\"%llu\",\"kind\":\"%s\",\"reason\":", (unsigned long long)row.id,
               sp_cut_kind_word((sp_cut_kind)row.kind));
    sp_buf_json(&detail, u->reason);
    sp_buf_byte(&detail, '}');
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    event.severity = SP_SEVERITY_HIGH;
    event.method = SP_SPAN_LIT("cut undone");
    event.object = row.name;
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go_undo, u);
}

sp_err sp_cut_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/cuts", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL, get_cuts, 0},
        {"POST", "/api/v1/cuts", SP_WHO_SECURITY | SP_WHO_FRESH | SP_WHO_LOCAL, post_cut, 0},
        {"POST", "/api/v1/cuts/{id}/undo", SP_WHO_SECURITY | SP_WHO_FRESH | SP_WHO_LOCAL, post_undo,
         0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
