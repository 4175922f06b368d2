/* SPDX-License-Identifier: Apache-2.0
 * Core's line to the keeper: jobs go out, what became of them comes back, minutes later perhaps.
 * OWNS its connection and waiting jobs. PROCESS core. TRUST pushes come from the keeper, bounded.
 * SPEC lib/proto/keeper_msg.h.
 */
#ifndef SP_CORE_APPROVALS_KEEPER_CLIENT_H
#define SP_CORE_APPROVALS_KEEPER_CLIENT_H

#include "core/core.h"
#include "lib/proto/keeper_msg.h"

typedef struct sp_keeper_client sp_keeper_client;
/* done.code: SP_EAGAIN the keeper is away, SP_ELIMIT it has too many jobs: it was not begun;
 * SP_ECLOSED it went away meanwhile, and of an undo nobody knows whether it was done; SP_ETIMEOUT
 * it has not answered in an hour, about undo in a day. An undo may still be under way then: on_done
 * is called once more, when it has ended. done NULL, of an undo: core stops, and hears of it when
 * it has started again (SP_KEEPER_HEAR). Spans are valid during the call. */
typedef void (*sp_on_job_done)(void *self, const sp_keeper_done *done);

SP_MUST sp_err sp_keeper_client_new(sp_core *core, sp_keeper_client **ret_client);
void sp_keeper_client_free(sp_keeper_client *client);
/* job->job is set here. Whatever becomes of the line, an undo is waited for, and what the keeper
 * knows of it is asked for when it is back. One call of on_done, possibly before this returns; of
 * an undo that is late two. */
void sp_keeper_client_job(sp_keeper_client *client, sp_keeper_job *job, sp_on_job_done on_done,
                          void *self);
/* False: what it is asked now fails with SP_EAGAIN. */
bool sp_keeper_client_is_up(const sp_keeper_client *client);
/* Gives up what waits for too long. */
void sp_keeper_client_tick(sp_keeper_client *client, uint64_t now_steady_us);

#endif
