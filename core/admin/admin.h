/* SPDX-License-Identifier: Apache-2.0
 * The administration API: policy, role grants, sessions, ledger, overview; and the few pages of a
 * person's own that rest on policy and ledger.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; who may is each route's table.
 * SPEC docs/api/openapi.yaml.
 */
#ifndef SP_CORE_ADMIN_ADMIN_H
#define SP_CORE_ADMIN_ADMIN_H

#include "core/admin/when.h"
#include "core/http/router.h"
#include "core/state/state.h"

/* Adds all routes of this room. */
SP_MUST sp_err sp_admin_start(sp_core *core);

/* One file each. */
SP_MUST sp_err sp_admin_apply_routes(sp_core *core);    /* apply.c: validate, apply, rollback */
SP_MUST sp_err sp_admin_policy_routes(sp_core *core);   /* policy.c: versions, lists, explain */
SP_MUST sp_err sp_admin_diff_routes(sp_core *core);     /* diff.c */
SP_MUST sp_err sp_admin_roles_routes(sp_core *core);    /* roles.c */
SP_MUST sp_err sp_admin_sessions_routes(sp_core *core); /* sessions.c */
SP_MUST sp_err sp_admin_ledger_routes(sp_core *core);   /* ledger.c */
/* Answers with a pack that opens these entries (ascending, without doubles; taken) and no others,
 * and holds *extra (files as a tar has them; taken). */
void sp_export_wanted(struct sp_request *req, uint64_t *entries, size_t count, sp_buf *extra);
SP_MUST sp_err sp_admin_export_routes(sp_core *core);   /* export.c: the ledger as a pack */
SP_MUST sp_err sp_admin_live_routes(sp_core *core);     /* live.c: statements, following live */
SP_MUST sp_err sp_admin_record_routes(sp_core *core);   /* record.c: what a session left */
SP_MUST sp_err sp_admin_health_routes(sp_core *core);   /* health.c */
SP_MUST sp_err sp_admin_overview_routes(sp_core *core); /* overview.c */
SP_MUST sp_err sp_admin_apps_routes(sp_core *core);     /* apps.c */

json_t *sp_admin_version_json(sp_core *core, uint64_t version);
/* A session's id as the API shows it: 16 hexadecimal digits. */
bool sp_admin_session_id(sp_span text, uint64_t *ret_id);

#endif
