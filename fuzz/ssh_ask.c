/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing what a server of SSH says before it has shown its host key. Cut in two, at the place that
 * the first byte says, it must come to the same end as in one piece.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/proto/ssh_ask.h.
 */
#include "lib/proto/ssh_ask.h"
#include "lib/proto/ssh_cert.h"

enum { SENT_MAX_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    sp_ssh_ask ask;
    sp_buf out;
    sp_ssh_ask_state state;
    sp_span key;
} asked;

static void start(asked *a)
{
    static const uint8_t RANDOM[SP_SSH_ASK_RANDOM_BYTES] = {7};
    *a = (asked){.out = sp_buf_make(SENT_MAX_BYTES)};
    sp_ssh_ask_start(&a->ask, RANDOM, &a->out);
}

static void feed(asked *a, sp_span bytes)
{
    if (a->state == SP_SSH_ASK_WAITS) {
        a->state = sp_ssh_ask_feed(&a->ask, bytes, &a->out, &a->key);
    }
}

static void done(asked *a)
{
    sp_ssh_ask_done(&a->ask);
    sp_buf_done(&a->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    asked whole;
    asked cut;
    if (size == 0) {
        return 0;
    }
    sp_span bytes = sp_span_of(data + 1, size - 1);
    size_t at = bytes.len * data[0] / 256;
    start(&whole);
    start(&cut);
    feed(&whole, bytes);
    feed(&cut, sp_span_slice(bytes, 0, at));
    feed(&cut, sp_span_slice(bytes, at, bytes.len));
    if (bytes.len <= SP_SSH_ASK_MAX_BYTES &&
        (whole.state != cut.state || !sp_span_eq(whole.key, cut.key) ||
         !sp_span_eq(sp_buf_borrow(&whole.out), sp_buf_borrow(&cut.out)))) {
        __builtin_trap();
    }
    if (whole.state == SP_SSH_ASK_SHOWN) {
        (void)sp_ssh_cert_is(whole.key);
    }
    done(&whole);
    done(&cut);
    return 0;
}
