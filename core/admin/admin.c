/* SPDX-License-Identifier: Apache-2.0
 * The administration API as a whole, and what its files share.
 * OWNS nothing. PROCESS core. TRUST query strings are hostile. SPEC core/admin/admin.h.
 */
#include "core/admin/admin.h"

#include "core/sessions/sessions.h"

bool sp_admin_session_id(sp_span text, uint64_t *ret_id)
{
    return !sp_failed(sp_session_id_of(text, ret_id));
}

sp_err sp_admin_start(sp_core *core)
{
    TRY(sp_admin_apply_routes(core));
    TRY(sp_admin_policy_routes(core));
    TRY(sp_admin_diff_routes(core));
    TRY(sp_admin_roles_routes(core));
    TRY(sp_admin_sessions_routes(core));
    TRY(sp_admin_ledger_routes(core));
    TRY(sp_admin_export_routes(core));
    TRY(sp_admin_live_routes(core));
    TRY(sp_admin_record_routes(core));
    TRY(sp_admin_health_routes(core));
    TRY(sp_admin_overview_routes(core));
    return sp_admin_apps_routes(core);
}
