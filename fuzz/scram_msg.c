/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: the client's messages of SCRAM. What is read lies inside the message, and its pieces make
 * it up again.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/scram_msg.h.
 */
#include "lib/proto/scram_msg.h"

#include <stdlib.h>

static void inside(sp_span message, sp_span piece)
{
    if (piece.len > 0 &&
        (piece.ptr < message.ptr || piece.ptr + piece.len > message.ptr + message.len)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span message = sp_span_of(data, size);
    sp_scram_first first;
    sp_scram_final final;
    if (!sp_failed(sp_scram_first_read(message, &first))) {
        inside(message, first.nonce);
        if (first.gs2.len + first.bare.len != size ||
            sp_span_index(first.nonce, ',') != first.nonce.len) {
            abort();
        }
    }
    if (!sp_failed(sp_scram_final_read(message, &final))) {
        inside(message, final.binding);
        inside(message, final.nonce);
        if (final.bare.len + 3 + 44 != size) { /* ",p=" and 32 bytes in base64 */
            abort();
        }
    }
    return 0;
}
