/* SPDX-License-Identifier: Apache-2.0
 * The applications of the office as they are open to this person, from this device, now.
 * OWNS nothing. PROCESS core. TRUST the request's facts come from core's own table.
 * SPEC docs/api/openapi.yaml "/me/apps".
 */
#include "core/admin/shapes.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "infra/proc/clock.h"

typedef struct {
    const sp_core *core;
    const sp_policy *policy;
    sp_subject who;
    uint64_t now_unix_s;
    json_t *items;
} walk;

static const sp_action shown[] = {
    SP_ACTION_CONNECT, SP_ACTION_READ,    SP_ACTION_WRITE,      SP_ACTION_EXPORT,
    SP_ACTION_IMPORT,  SP_ACTION_DESTROY, SP_ACTION_ADMINISTER,
};

/* What a person can do something about himself. */
static bool can_mend(uint8_t reason)
{
    switch ((sp_reason)reason) {
    case SP_REASON_DEVICE_UNKNOWN:
    case SP_REASON_DEVICE_OWNER:
    case SP_REASON_DEVICE_POSTURE:
    case SP_REASON_DEVICE_PENDING:
    case SP_REASON_STRENGTH:
    case SP_REASON_HOURS:
    case SP_REASON_NETWORK:
    case SP_REASON_APPROVAL:
        return true;
    case SP_REASON_NONE:
    case SP_REASON_RULE:
    case SP_REASON_DEFAULT:
    case SP_REASON_DENY_RULE:
    case SP_REASON_NEVER:
    case SP_REASON_NO_SESSION:
    case SP_REASON_SESSION_ENDED:
    case SP_REASON_SESSION_DEVICE:
    case SP_REASON_DEVICE_QUARANTINE:
    case SP_REASON_DEVICE_REVOKED:
    case SP_REASON_UNPARSED:
    case SP_REASON_UNRECORDED:
    case SP_REASON_UNAVAILABLE:
    case SP_REASON_LIMIT:
    case SP_REASON_CUT:
    case SP_REASON_DUTY:
    case SP_REASON_COUNT:
        break;
    }
    return false;
}

static sp_decision ask(const walk *w, uint32_t resource, sp_action action)
{
    sp_question question = {
        .who = &w->who,
        .resource = resource,
        .part = SP_NONE,
        .action = action,
        .now_unix_s = w->now_unix_s,
        .cuts = sp_live_cuts(&w->core->live),
        .face = SP_FACE_WEB,
    };
    return sp_policy_decide(w->policy, &question);
}

static void add_app(walk *w, uint32_t resource)
{
    sp_web_resource web;
    sp_decision connect = ask(w, resource, SP_ACTION_CONNECT);
    if (!sp_policy_web_resource(w->policy, resource, &web) ||
        (connect.verdict == SP_VERDICT_DENY && !can_mend(connect.reason))) {
        return;
    }
    json_t *may = json_array();
    for (size_t i = 0; i < SP_COUNT(shown); i++) {
        sp_decision decision = ask(w, resource, shown[i]);
        json_array_append_new(may,
                              json_pack("{s:s,s:s,s:s}", "action", sp_action_word(shown[i]),
                                        "verdict", sp_verdict_word((sp_verdict)decision.verdict),
                                        "reason", sp_reason_word((sp_reason)decision.reason)));
    }
    sp_span name = sp_policy_resource_name(w->policy, resource);
    auto_buf sp_buf url = sp_buf_make(1024);
    sp_state_url(w->core, web.host, &url);
    sp_buf_byte(&url, '/');
    json_t *title = json_object();
    json_object_set_new(title, "en", sp_json_span(web.title_en.len > 0 ? web.title_en : name));
    json_object_set_new(title, "zh", sp_json_span(web.title_zh));
    json_t *app = json_object();
    json_object_set_new(app, "resource", sp_json_span(name));
    json_object_set_new(app, "title", title);
    json_object_set_new(app, "url", sp_json_span(sp_buf_borrow(&url)));
    json_object_set_new(app, "class",
                        sp_json_span(sp_policy_class_name(w->policy, connect.class_level)));
    json_object_set_new(app, "may", may);
    json_array_append_new(w->items, app);
}

static void get_apps(sp_request *req)
{
    walk w = {.core = sp_request_core(req), .now_unix_s = sp_now_unix_us() / 1000000};
    w.policy = sp_policy_set_view(sp_documents_set(w.core->state->documents));
    w.items = json_array();
    w.who = sp_request_subject(req, w.now_unix_s);
    for (uint32_t i = 0; i < sp_policy_resource_count(w.policy); i++) {
        add_app(&w, i);
    }
    sp_answer_items(req, w.items);
}

sp_err sp_admin_apps_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/apps", SP_WHO_SESSION, get_apps, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
