/* SPDX-License-Identifier: Apache-2.0
 * The administration API as a whole, and what its files share.
 * OWNS nothing. PROCESS core. TRUST query strings are hostile. SPEC core/admin/admin.h.
 */
#include "core/admin/admin.h"

#include "core/sessions/sessions.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 200 };

bool sp_admin_limit(sp_request *req, uint64_t *ret_limit)
{
    sp_span text = sp_request_query(req, "limit");
    *ret_limit = LIMIT_DEFAULT;
    if (text.len == 0) {
        return true;
    }
    if (sp_failed(sp_span_to_u64(text, LIMIT_MAX, ret_limit)) || *ret_limit == 0) {
        sp_answer_invalid(req, "limit", "a number from 1 to 200");
        return false;
    }
    return true;
}

bool sp_admin_session_id(sp_span text, uint64_t *ret_id)
{
    return !sp_failed(sp_session_id_of(text, ret_id));
}

sp_err sp_admin_start(sp_core *core)
{
    TRY(sp_admin_apply_routes(core));
    TRY(sp_admin_policy_routes(core));
    TRY(sp_admin_roles_routes(core));
    TRY(sp_admin_sessions_routes(core));
    TRY(sp_admin_ledger_routes(core));
    TRY(sp_admin_export_routes(core));
    TRY(sp_admin_health_routes(core));
    TRY(sp_admin_overview_routes(core));
    return sp_admin_apps_routes(core);
}
