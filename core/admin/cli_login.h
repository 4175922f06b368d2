/* SPDX-License-Identifier: Apache-2.0
 * Command lines that wait to be signed in.
 * OWNS their codes. PROCESS core. TRUST see cli_login.c. SPEC docs/api/openapi.yaml "/cli/login".
 */
#ifndef SP_CORE_ADMIN_CLI_LOGIN_H
#define SP_CORE_ADMIN_CLI_LOGIN_H

#include "core/state/state.h"

SP_MUST sp_err sp_cli_logins_new(sp_cli_logins **ret_logins);
void sp_cli_logins_free(sp_cli_logins *logins);

#endif
