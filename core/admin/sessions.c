/* SPDX-License-Identifier: Apache-2.0
 * Living sessions of everybody, and ending one.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml
 * "/admin/sessions".
 */
#include "core/sessions/sessions.h"
#include "core/admin/admin.h"

#include <stdio.h>

enum { WHY_MAX_BYTES = 500, CURSOR_BYTES = 16 };

typedef struct {
    sp_core *core;
    json_t *items;
    sp_span name;
    uint64_t current;
    uint64_t limit;
    char next[CURSOR_BYTES]; /* the slot to go on at */
} walk;

static bool add_session(void *self, const sp_session_view *view)
{
    walk *w = self;
    sp_span name = sp_span_cstr(view->person_name);
    if (w->name.len > 0 && sp_span_find(name, w->name) == name.len) {
        return true;
    }
    if (json_array_size(w->items) >= w->limit) {
        snprintf(w->next, sizeof(w->next), "%u", view->slot);
        return false;
    }
    json_array_append_new(w->items, sp_session_json(w->core, view, w->current));
    return true;
}

static void get_sessions(sp_request *req)
{
    uint64_t person = 0;
    uint64_t slot = 0;
    sp_span wanted = sp_request_query(req, "person");
    sp_span cursor = sp_request_query(req, "cursor");
    walk w = {.core = sp_request_core(req)};
    if (wanted.len > 0 && sp_failed(sp_span_to_u64(wanted, UINT32_MAX, &person))) {
        sp_answer_invalid(req, "person", "a person's id");
        return;
    }
    if (cursor.len > 0 && sp_failed(sp_span_to_u64(cursor, UINT32_MAX, &slot))) {
        sp_answer_invalid(req, "cursor", "the value of next");
        return;
    }
    if (!sp_request_limit(req, &w.limit)) {
        return;
    }
    w.items = json_array();
    w.name = sp_request_query(req, "q");
    w.current = sp_request_session(req)->id;
    sp_sessions_from(w.core, (uint32_t)slot, (uint32_t)person, add_session, &w);
    sp_answer_page(req, w.items, w.next);
}

static void post_end(sp_request *req)
{
    uint64_t id = 0;
    sp_span why = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("why", &why, 0, WHY_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!sp_admin_session_id(sp_request_param(req, 0), &id)) {
        sp_answer_problem(req, 404, "not_found", "A session's id has 16 hexadecimal digits.");
        return;
    }
    sp_err err = sp_sessions_end(sp_request_core(req), id, SP_END_ADMIN, sp_request_person(req));
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "This session has ended already.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_empty(req, 204);
    }
}

sp_err sp_admin_sessions_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/sessions", SP_WHO_SYSTEM | SP_WHO_SECURITY, get_sessions, 0},
        {"POST", "/api/v1/admin/sessions/{id}/end", SP_WHO_SECURITY, post_end, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
