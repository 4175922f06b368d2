/* SPDX-License-Identifier: Apache-2.0
 * What the two files of recordings share: who may read one, and the chunks that its events carry.
 * recordings.c tells which there are and what is known of one; playback.c gives the lines of one.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; chunks are what a gate wrote, which may
 * be taken over. SPEC docs/api/openapi.yaml "/ssh/recordings".
 */
#ifndef SP_CORE_SSH_RECORDINGS_H
#define SP_CORE_SSH_RECORDINGS_H

#include "core/ledger_client.h"
#include "core/ssh/inside.h"
#include "lib/proto/ledger_msg.h"

typedef struct {
    uint32_t number;
    uint32_t channel;
    uint64_t raw_bytes;
    bool end;
    char *detail; /* NULL: not kept */
    size_t len;
} sp_kept_chunk;

/* A chunk of an event; false: there is none that can be read. The detail is the caller's to free.
 */
bool sp_recording_chunk(const sp_ledger_item *item, sp_kept_chunk *ret_chunk);
/* A search for the connection of the path, within what the asker may see; false: answered. */
bool sp_recording_search(sp_request *req, const char *purpose, sp_ledger_search *ret_search);
void sp_recording_ask(sp_request *req, const sp_ledger_search *search, sp_on_reply then,
                      void *self);

/* ---- playback.c ---- */
/* GET /api/v1/ssh/recordings/{id}: lines of one channel, from a chunk on. */
void sp_recording_get_lines(sp_request *req);

#endif
