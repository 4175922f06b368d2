/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: the consumer's side of an event ring whose every byte a hostile producer chose.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/ring.h.
 */
#include "lib/proto/ring.h"

#include "lib/base/mem.h"

enum { SIZE = 4096 + SP_RING_MIN_BYTES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(4096) uint8_t memory[SIZE];
    sp_ring ring;
    if (sp_failed(sp_ring_format(memory, SIZE, 1, &ring))) {
        return 0;
    }
    /* first the head's moving words, then records from the start */
    size_t words = size < 128 ? size : 128;
    sp_copy(memory + 64, data, words);
    size_t rest = size - words < SP_RING_MIN_BYTES ? size - words : SP_RING_MIN_BYTES;
    sp_copy(memory + 4096, data + words, rest);
    if (sp_failed(sp_ring_open(memory, SIZE, &ring))) {
        return 0;
    }
    volatile uint8_t sink = 0;
    sp_ring_record record;
    for (int i = 0; i < 10000 && !sp_failed(sp_ring_next(&ring, &record)); i++) {
        for (size_t k = 0; k < record.bytes.len; k += 64) {
            sink = (uint8_t)(sink ^ record.bytes.ptr[k]);
        }
    }
    sp_ring_durable(&ring);
    return 0;
}
