/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: every body of the vault's messages; the first byte says which. What decodes must encode to
 * the same bytes again.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/vault_msg.h.
 */
#include "lib/proto/vault_msg.h"

#include <stdlib.h>

#define SAME(type, what)                                                                           \
    do {                                                                                           \
        static type value_;                                                                        \
        if (!sp_failed(sp_vault_##what##_decode(body, &value_))) {                                 \
            sp_vault_##what##_encode(&value_, &again);                                             \
            if (!sp_span_eq(sp_buf_borrow(&again), body)) {                                        \
                abort();                                                                           \
            }                                                                                      \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    sp_span body = sp_span_of(data + 1, size - 1);
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    switch (data[0] % 14) {
    case 0:
        SAME(sp_vault_device_issue, device_issue);
        break;
    case 1:
        SAME(sp_vault_tls_sign, tls_sign);
        break;
    case 2:
        SAME(sp_vault_checkpoint, checkpoint);
        break;
    case 3:
        SAME(sp_vault_wrap, wrap);
        break;
    case 4:
        SAME(sp_vault_keys, keys);
        break;
    case 5:
        SAME(sp_vault_issued, issued);
        break;
    case 6:
        SAME(sp_vault_tls_identity, tls_identity);
        break;
    case 7:
        SAME(sp_vault_db_credential, db_credential);
        break;
    case 8:
        SAME(sp_vault_db_proof, db_proof);
        break;
    case 9:
        SAME(sp_vault_db_proved, db_proved);
        break;
    case 10:
        SAME(sp_vault_exported, exported);
        break;
    case 11:
        SAME(sp_vault_ssh_certify, ssh_certify);
        break;
    case 12:
        SAME(sp_vault_ssh_named, ssh_named);
        break;
    default:
        SAME(sp_vault_checkpoint_last, checkpoint_last);
        break;
    }
    return 0;
}
