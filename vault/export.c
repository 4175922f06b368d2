/* SPDX-License-Identifier: Apache-2.0
 * The vault's part of a backup.
 * OWNS nothing. PROCESS vault, the backup command. TRUST see vault/export.h. SPEC vault/export.h.
 */
#include "vault/export.h"

enum { MAGIC_BYTES = 5, DOMAIN_MAX_BYTES = 255 };
static const uint8_t MAGIC[MAGIC_BYTES] = {'S', 'P', 'K', 'X', 1};

static sp_err write_plain(const sp_keyring *ring, const sp_checkpoint_head *head, sp_span domain,
                          uint64_t now_unix_s, sp_buf *plain)
{
    sp_buf_room(plain, SP_EXPORT_PLAIN_MAX_BYTES); /* grown once: no copies of secrets are left */
    sp_buf_span(plain, (sp_span){MAGIC, MAGIC_BYTES});
    sp_buf_bytes(plain, domain);
    sp_buf_u64(plain, now_unix_s);
    sp_checkpoint_head_encode(head, plain);
    return sp_keyring_encode(ring, plain);
}

sp_err sp_export_make(const sp_keyring *ring, const sp_checkpoint_head *head, sp_span domain,
                      const sp_box_public *to, uint64_t now_unix_s, sp_buf *out)
{
    auto_buf sp_buf plain = sp_buf_make(SP_EXPORT_PLAIN_MAX_BYTES);
    auto_buf sp_buf sealed = sp_buf_make(SP_VAULT_EXPORTED_MAX_BYTES);
    sp_err err = write_plain(ring, head, domain, now_unix_s, &plain);
    if (!sp_failed(err)) {
        err = sp_box_seal(to, sp_buf_borrow(&plain), &sealed);
    }
    sp_buf_wipe(&plain);
    TRY(err);
    sp_vault_exported_encode(
        &(sp_vault_exported){domain, head->size, head->root, sp_buf_borrow(&sealed)}, out);
    return sp_buf_error(out);
}

sp_err sp_export_read(sp_span plain, sp_export *ret_export)
{
    sp_reader in = sp_reader_of(plain);
    if (!sp_span_eq(sp_read_span(&in, MAGIC_BYTES), (sp_span){MAGIC, MAGIC_BYTES})) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    sp_export export = {.domain = sp_read_bytes(&in, DOMAIN_MAX_BYTES),
                        .created_unix_s = sp_read_u64(&in)};
    export.head = sp_checkpoint_head_read(&in);
    TRY(in.err);
    export.keys = in.rest;
    *ret_export = export;
    return sp_ok();
}

sp_err sp_export_open(const sp_key *seed, sp_span sealed, sp_buf *plain, sp_export *ret_export)
{
    TRY(sp_box_open(seed, sealed, plain));
    return sp_export_read(sp_buf_borrow(plain), ret_export);
}
