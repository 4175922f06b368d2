/* SPDX-License-Identifier: Apache-2.0
 * The client's two messages of SCRAM, read strictly.
 * OWNS nothing: spans point into the input. PROCESS core. TRUST the client is hostile: every field
 * is bounded, and what is not understood is refused. SPEC RFC 5802 section 7, RFC 5929.
 */
#ifndef SP_PROTO_SCRAM_MSG_H
#define SP_PROTO_SCRAM_MSG_H

#include "lib/base/buf.h"

enum { SP_SCRAM_NONCE_MAX_BYTES = 256, SP_SCRAM_PROOF_BYTES = 32 };

typedef enum {
    SP_SCRAM_BIND_NONE,     /* "n": the client cannot bind to the channel */
    SP_SCRAM_BIND_NOT_SEEN, /* "y": it can, and believes that we cannot */
    SP_SCRAM_BIND_END_POINT /* "p=tls-server-end-point" */
} sp_scram_bind;

typedef struct {
    sp_scram_bind bind;
    sp_span gs2;   /* the header as it came: "n,,", repeated by the client later */
    sp_span bare;  /* the rest, which is signed */
    sp_span nonce; /* printable, without ',' */
} sp_scram_first;

typedef struct {
    sp_span binding; /* base64, not decoded */
    sp_span nonce;
    sp_span bare; /* without the proof: what is signed */
    uint8_t proof[SP_SCRAM_PROOF_BYTES];
} sp_scram_final;

/* SP_EINVALID; SP_EUNSUPPORTED: another binding, another identity to act as, a mandatory extension.
 * The name in "n=" is not looked at: who it is was said in the start-up message. */
SP_MUST sp_err sp_scram_first_read(sp_span message, sp_scram_first *ret_first);
SP_MUST sp_err sp_scram_final_read(sp_span message, sp_scram_final *ret_final);

#endif
