/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: what a backup is read by, once its passphrase has opened it or before: the head of the
 * file, the vault's export, and the keys in it. The first byte says which. OWNS nothing. PROCESS
 * fuzzing. TRUST the input is hostile. SPEC core/backup/archive.h, vault/export.h.
 */
#include "core/backup/archive.h"
#include "vault/export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const sp_key master = {{1}};
    if (size == 0) {
        return 0;
    }
    sp_span rest = sp_span_of(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        sp_archive_head head;
        SP_IGNORE(sp_archive_head_decode(rest, &head)); /* refused or not, it must not break */
        return 0;
    }
    sp_export export;
    sp_keyring *ring = NULL;
    if (!sp_failed(sp_export_read(rest, &export)) &&
        !sp_failed(sp_keyring_of("/nowhere", &master, export.keys, &ring))) {
        sp_keyring_free(ring);
    }
    return 0;
}
