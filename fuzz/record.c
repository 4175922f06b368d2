/* SPDX-License-Identifier: Apache-2.0
 * Records and group heads from a changed disk: refused or opened, never read outside their bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST all input is hostile. SPEC ledger/record.h, journal_parts.h.
 */
#include "infra/crypto/random.h"
#include "ledger/journal_parts.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const sp_key key = {{7}};
    sp_span input = {data, size};
    sp_record_head head;
    sp_group_head group;
    auto_buf sp_buf json = sp_buf_make(SP_RECORD_MAX_BYTES);
    if (sp_failed(sp_crypto_start())) {
        return 0;
    }
    if (!sp_failed(sp_record_head_read(input, &head))) {
        sp_key secret = sp_record_secret(&head, &key);
        sp_err err = sp_record_open(input, &secret, &json);
        if (!sp_failed(err) && head.form == SP_RECORD_SEALED) {
            abort(); /* forged without the key */
        }
    }
    if (!sp_failed(sp_group_head_read(input, &group)) &&
        group.payload_bytes > SP_JOURNAL_GROUP_MAX_BYTES) {
        abort();
    }
    return 0;
}
