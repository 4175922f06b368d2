/* SPDX-License-Identifier: Apache-2.0
 * The vault's own entries in the ledger: what was issued, created, refused.
 *
 * Story: an event is queued, sent, and kept until the ledger says that it is on disk; after a break
 * it is sent again under the same number, so it stands there once. The vault starts before the
 * ledger, so the queue also bridges that. When the queue is full the loss is counted and told.
 *
 * OWNS the queue and its line. PROCESS vault. TRUST replies are bounded. SPEC
 * lib/proto/ledger_msg.h.
 */
#ifndef SP_VAULT_RECORDER_H
#define SP_VAULT_RECORDER_H

#include "lib/proto/event.h"

#include <uv.h>

typedef struct sp_recorder sp_recorder;

SP_MUST sp_err sp_recorder_new(uv_loop_t *loop, const char *ledger_socket,
                               sp_recorder **ret_recorder);
void sp_recorder_free(sp_recorder *recorder);
/* when_unix_us and resource are filled in when they are empty. What finds no room is counted, and
 * that is told. */
void sp_recorder_tell(sp_recorder *recorder, const sp_event *event);

/* Whether one more would find room. */
bool sp_recorder_has_room(const sp_recorder *recorder);
/* Called once: ok = the event is on the ledger's disk. SP_ECLOSED: the recorder is ending. */
typedef void (*sp_recorder_done)(void *self, sp_err err);
/* The same, and says when. A failure here is the end of it: done is not called. */
SP_MUST sp_err sp_recorder_tell_then(sp_recorder *recorder, const sp_event *event,
                                     sp_recorder_done done, void *self);

#endif
