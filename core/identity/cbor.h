/* SPDX-License-Identifier: Apache-2.0
 * The little CBOR that WebAuthn needs, read off a sp_reader: definite lengths, no tags, no floats,
 * bounded depth, nothing allocated (a tree builder would allocate what a hostile length says).
 * OWNS nothing: spans point into the input. PROCESS core. TRUST the input is hostile.
 * SPEC RFC 8949; CTAP2 canonical form.
 */
#ifndef SP_CORE_IDENTITY_CBOR_H
#define SP_CORE_IDENTITY_CBOR_H

#include "lib/base/reader.h"

enum { SP_CBOR_DEPTH_MAX = 8, SP_CBOR_PAIRS_MAX = 64 };

/* Each fails the reader with SP_EINVALID when something else stands there. */
uint64_t sp_cbor_map(sp_reader *in); /* the number of pairs, <= SP_CBOR_PAIRS_MAX */
sp_span sp_cbor_text(sp_reader *in);
sp_span sp_cbor_bytes(sp_reader *in);
int64_t sp_cbor_int(sp_reader *in);
/* True when the next item is an integer. */
bool sp_cbor_is_int(const sp_reader *in);
/* One whole item with all below it. */
void sp_cbor_skip(sp_reader *in);

#endif
