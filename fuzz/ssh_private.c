/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing private keys in OpenSSH's form and log-in requests: what is read lies in what was given.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/ssh/private.h.
 */
#include "lib/ssh/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(sp_span bytes)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        sum = (uint8_t)(sum + bytes.ptr[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_ssh_private key;
    sp_ssh_login login;
    sp_span text = sp_span_of(data, size);
    auto_buf sp_buf room = sp_buf_make(SP_SSH_PRIVATE_MAX_BYTES);
    if (!sp_failed(sp_ssh_private_parse(text, &room, &key))) {
        bool is_ed25519 = key.type == SP_SSH_KEY_ED25519;
        if ((!is_ed25519 && key.type != SP_SSH_KEY_RSA) ||
            (is_ed25519 != (key.ed25519.len == SP_SSH_ED25519_PAIR_BYTES))) {
            __builtin_trap();
        }
        touch(key.ed25519);
        touch(key.modulus);
        touch(key.primes[1]);
        touch(key.inverse);
    }
    if (!sp_failed(sp_ssh_login_parse(text, &login))) {
        touch(login.user);
        touch(login.algorithm);
        touch(login.blob);
    }
    return 0;
}
