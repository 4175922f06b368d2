/* SPDX-License-Identifier: Apache-2.0
 * Recovery codes: 80 random bits each, kept as SHA-256, used once.
 * OWNS nothing. PROCESS core. TRUST codes are hostile. SPEC core/identity/credentials.h.
 */
#include "core/identity/credentials.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford */
enum { CHARS = 16, GROUP = 4 };

sp_err sp_recovery_hash(sp_span code, sp_hash *ret_hash)
{
    uint8_t chars[CHARS];
    size_t count = 0;
    for (size_t i = 0; i < code.len; i++) {
        uint8_t c = code.ptr[i];
        c = c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
        c = c == 'I' || c == 'L' ? '1' : (c == 'O' ? '0' : c);
        if (c == ' ' || c == '-') {
            continue;
        }
        sp_span letters = sp_span_cstr(alphabet);
        if (count == CHARS || sp_span_index(letters, c) == letters.len) {
            return sp_fail(SP_EINVALID);
        }
        chars[count++] = c;
    }
    if (count != CHARS) {
        return sp_fail(SP_EINVALID);
    }
    *ret_hash = sp_sha256(sp_span_of(chars, sizeof(chars)));
    sp_wipe(chars, sizeof(chars));
    return sp_ok();
}

static void new_code(char ret_code[SP_RECOVERY_TEXT_BYTES])
{
    size_t at = 0;
    for (size_t i = 0; i < CHARS; i++) {
        if (i > 0 && i % GROUP == 0) {
            ret_code[at++] = '-';
        }
        ret_code[at++] = alphabet[sp_random_below(32)];
    }
    ret_code[at] = '\0';
}

static sp_err insert_code(sp_store *store, uint32_t person, const sp_hash *hash)
{
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO recovery (person, hash, changed) VALUES ($1, $2, $3)");
    sp_bind_u64(&q, person);
    sp_bind_blob(&q, sp_hash_borrow(hash));
    sp_bind_u64(&q, sp_now_unix_us() / 1000000);
    return sp_query_finish(&q);
}

sp_err sp_recovery_renew(sp_store *store, uint32_t person,
                         char ret_codes[SP_RECOVERY_CODES][SP_RECOVERY_TEXT_BYTES])
{
    auto_query sp_query q = sp_query_of(store, "DELETE FROM recovery WHERE person = $1");
    sp_bind_u64(&q, person);
    TRY(sp_query_finish(&q));
    for (size_t i = 0; i < SP_RECOVERY_CODES; i++) {
        sp_hash hash;
        new_code(ret_codes[i]);
        TRY(sp_recovery_hash(sp_span_cstr(ret_codes[i]), &hash));
        TRY(insert_code(store, person, &hash));
    }
    return sp_ok();
}

sp_err sp_recovery_use(sp_store *store, uint32_t person, const sp_hash *hash)
{
    auto_query sp_query q =
        sp_query_alone(store, "DELETE FROM recovery WHERE person = $1 AND hash = $2");
    sp_bind_u64(&q, person);
    sp_bind_blob(&q, sp_hash_borrow(hash));
    return sp_query_finish_changed(&q);
}
