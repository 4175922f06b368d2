/* SPDX-License-Identifier: Apache-2.0
 * Sealing and opening records.
 * OWNS nothing. PROCESS ledger, command line. TRUST stored bytes may be changed.
 * SPEC ledger/record.h.
 */
#include "ledger/record.h"

#include "lib/base/reader.h"

#include <sodium.h>

enum { COMMIT_AT = SP_RECORD_HEAD_BYTES - SP_SHA256_BYTES };
_Static_assert(SP_RECORD_SALT_BYTES == crypto_core_hchacha20_INPUTBYTES, "the salt is its input");
_Static_assert(SP_KEY_BYTES == crypto_core_hchacha20_OUTPUTBYTES, "the secret is its output");

/* Each secret seals once: the nonce can be constant. */
static const uint8_t NONCE[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--) {
        at[i] = (uint8_t)value;
        value >>= 8;
    }
    return at + 8;
}

sp_key sp_record_secret(const sp_record_head *head, const sp_key *subject)
{
    sp_key secret;
    crypto_core_hchacha20(secret.bytes, head->salt, subject->bytes, NULL);
    return secret;
}

static sp_hash commitment(const sp_key *secret)
{
    static const uint8_t prefix = 2;
    const sp_span parts[] = {{&prefix, 1}, {secret->bytes, sizeof(secret->bytes)}};
    return sp_sha256_parts(parts, SP_COUNT(parts));
}

void sp_record_finish(const sp_record_head *head, const sp_key *subject, uint8_t *record,
                      size_t plain_len)
{
    uint8_t *at = record;
    *at++ = head->form;
    at = put_u64(at, head->key_id);
    at = put_u64(at, head->source);
    at = put_u64(at, head->first_seq);
    at = put_u64(at, head->last_seq);
    at = put_u64(at, head->first_unix_us);
    at = put_u64(at, head->last_unix_us);
    *at++ = (uint8_t)(head->count >> 8);
    *at++ = (uint8_t)head->count;
    sp_copy(at, head->salt, SP_RECORD_SALT_BYTES);
    uint8_t *plain = record + SP_RECORD_HEAD_BYTES;
    if (head->form == SP_RECORD_OPEN) {
        sp_set(record + COMMIT_AT, 0, SP_SHA256_BYTES);
        sp_set(plain + plain_len, 0, SP_RECORD_TAG_BYTES);
        return;
    }
    auto_key sp_key secret = sp_record_secret(head, subject);
    sp_hash commit = commitment(&secret);
    sp_copy(record + COMMIT_AT, commit.bytes, sizeof(commit.bytes));
    crypto_aead_chacha20poly1305_ietf_encrypt(plain, NULL, plain, plain_len, record,
                                              SP_RECORD_HEAD_BYTES, NULL, NONCE, secret.bytes);
}

sp_err sp_record_head_read(sp_span record, sp_record_head *ret_head)
{
    sp_reader in = sp_reader_of(record);
    sp_record_head head = {.form = sp_read_u8(&in)};
    head.key_id = sp_read_u64(&in);
    head.source = sp_read_u64(&in);
    head.first_seq = sp_read_u64(&in);
    head.last_seq = sp_read_u64(&in);
    head.first_unix_us = sp_read_u64(&in);
    head.last_unix_us = sp_read_u64(&in);
    head.count = sp_read_u16(&in);
    sp_span salt = sp_read_span(&in, SP_RECORD_SALT_BYTES);
    sp_copy(head.salt, salt.ptr, salt.len);
    sp_read_span(&in, SP_SHA256_BYTES + SP_RECORD_TAG_BYTES);
    bool known = head.form == SP_RECORD_SEALED || head.form == SP_RECORD_OPEN ||
                 head.form == SP_RECORD_ERASED;
    if (sp_failed(in.err) || !known || record.len > SP_RECORD_MAX_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    *ret_head = head;
    return sp_ok();
}

sp_err sp_record_open(sp_span record, const sp_key *secret, sp_buf *out)
{
    sp_record_head head;
    TRY(sp_record_head_read(record, &head));
    if (head.form == SP_RECORD_ERASED || (head.form == SP_RECORD_SEALED && secret == NULL)) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_span body = sp_span_slice(record, SP_RECORD_HEAD_BYTES, record.len);
    size_t plain_len = body.len - SP_RECORD_TAG_BYTES;
    if (head.form == SP_RECORD_OPEN) {
        sp_buf_span(out, sp_span_slice(body, 0, plain_len));
        return sp_buf_error(out);
    }
    sp_hash commit = commitment(secret);
    if (!sp_span_eq_secret(sp_hash_borrow(&commit),
                           sp_span_slice(record, COMMIT_AT, SP_RECORD_HEAD_BYTES))) {
        return sp_fail(SP_ECORRUPT);
    }
    uint8_t *room = sp_buf_room(out, plain_len);
    TRY(sp_buf_error(out));
    if (crypto_aead_chacha20poly1305_ietf_decrypt(room, NULL, NULL, body.ptr, body.len, record.ptr,
                                                  SP_RECORD_HEAD_BYTES, NONCE,
                                                  secret->bytes) != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_buf_grown(out, plain_len);
    return sp_ok();
}
