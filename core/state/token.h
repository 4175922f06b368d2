/* SPDX-License-Identifier: Apache-2.0
 * The signed identity token that an application gets with a request.
 * OWNS what waits for the vault. PROCESS core. TRUST the asking gate may be taken over: it gets
 * tokens of living sessions and of resources that are told who comes, nothing else.
 * SPEC RFC 7519, docs/ARCHITECTURE.md "Messages".
 */
#ifndef SP_CORE_STATE_TOKEN_H
#define SP_CORE_STATE_TOKEN_H

#include "core/core.h"
#include "infra/ipc/server.h"

/* Replies to the request, now or when the vault has signed. An error is for malformed bodies. */
SP_MUST sp_err sp_token_answer(sp_core *core, sp_peer *peer, const sp_msg *msg);

#endif
