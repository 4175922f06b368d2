/* SPDX-License-Identifier: Apache-2.0
 * The frame of every message between our processes (SOCK_SEQPACKET: one message, one packet).
 *
 *     version u8 | kind u16 | id u32 | status u8 | body ...
 *
 * A request carries an id that its reply repeats; a push has id 0. status is 0 in requests and
 * pushes and an sp_code in replies. Bodies are encoded field by field with sp_buf / sp_reader by
 * the room that serves them: lib/proto/{core,vault,ledger}_msg.h name the kinds and the fields.
 *
 * OWNS nothing. PROCESS all. TRUST the peer is another process of ours, perhaps taken over: every
 * field is bounded. SPEC docs/ARCHITECTURE.md "Messages".
 */
#ifndef SP_PROTO_MSG_H
#define SP_PROTO_MSG_H

#include "lib/base/buf.h"
#include "lib/base/reader.h"

enum { SP_MSG_VERSION = 1, SP_MSG_MAX_BYTES = 128 * 1024, SP_MSG_FDS_MAX = 4 };

typedef struct {
    uint16_t kind;
    uint32_t id;
    uint8_t status; /* sp_code */
    sp_span body;   /* points into the packet */
} sp_msg;

/* Starts a packet; the body is appended to the same buffer afterwards. */
void sp_msg_begin(sp_buf *out, uint16_t kind, uint32_t id, sp_code status);
SP_MUST sp_err sp_msg_open(sp_span packet, sp_msg *ret_msg);

#endif
