/* SPDX-License-Identifier: Apache-2.0
 * For targets of message bodies: what is read must be written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC fuzz/README.md.
 */
#ifndef SP_FUZZ_AGAIN_H
#define SP_FUZZ_AGAIN_H

#include "lib/base/buf.h"
#include "lib/proto/msg.h"

#include <stdlib.h>

static inline void fuzz_same(const sp_buf *again, sp_span body)
{
    if (sp_failed(sp_buf_error(again)) || !sp_span_eq(sp_buf_borrow(again), body)) {
        abort();
    }
}

/* body_again(): reads a body by sp_body_read() and writes it by sp_body_write(). */
#define FUZZ_AGAIN(body)                                                                           \
    static void body##_again(sp_span bytes)                                                        \
    {                                                                                              \
        auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);                                     \
        sp_##body read;                                                                            \
        if (!sp_failed(sp_##body##_read(bytes, &read))) {                                          \
            sp_##body##_write(&read, &again);                                                      \
            fuzz_same(&again, bytes);                                                              \
        }                                                                                          \
    }

/* The first byte chooses which of the bodies the rest is. */
#define FUZZ_ONE_OF(...)                                                                           \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                   \
    {                                                                                              \
        static void (*const bodies[])(sp_span bytes) = {__VA_ARGS__};                              \
        if (size > 0) {                                                                            \
            bodies[data[0] % SP_COUNT(bodies)](sp_span_of(data + 1, size - 1));                    \
        }                                                                                          \
        return 0;                                                                                  \
    }

#endif
