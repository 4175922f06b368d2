/* SPDX-License-Identifier: Apache-2.0
 * Reading private keys in OpenSSH's form, and log-in requests.
 * OWNS nothing. PROCESS vault. TRUST all input is hostile. SPEC lib/ssh/private.h.
 */
#include "lib/ssh/private.h"

enum {
    WORD_MAX_BYTES = 64,
    COMMENT_MAX_BYTES = 1024,
    BLOCK_BYTES = 8, /* of the cipher "none": what the padding fills */
    SESSION_ID_MIN_BYTES = 20,
    SESSION_ID_MAX_BYTES = 64,
    USER_MAX_BYTES = 255,
    USERAUTH_REQUEST = 50
};

#define MAGIC SP_SPAN_LIT("openssh-key-v1\0")
#define BEGIN                                                                                      \
    SP_SPAN_LIT("-----BEGIN OPENSSH "                                                              \
                "PRIVATE KEY-----") /* not a key in the tree */
#define END                                                                                        \
    SP_SPAN_LIT("-----END OPENSSH "                                                                \
                "PRIVATE KEY-----")

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static sp_span trimmed(sp_span text)
{
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text = sp_span_slice(text, 1, text.len);
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* What stands between the lines, decoded into room. */
static sp_err unwrap(sp_span text, sp_buf *room)
{
    auto_buf sp_buf base64 = sp_buf_make(SP_SSH_PRIVATE_MAX_BYTES);
    text = trimmed(text);
    sp_buf_reset(room);
    sp_buf_room(room, SP_SSH_PRIVATE_MAX_BYTES); /* grown once: no copy is left behind */
    sp_buf_room(&base64, SP_SSH_PRIVATE_MAX_BYTES);
    if (!sp_span_starts(text, BEGIN) || text.len < BEGIN.len + END.len ||
        !sp_span_eq(sp_span_slice(text, text.len - END.len, text.len), END)) {
        return sp_fail(SP_ENOTFOUND);
    }
    for (size_t i = BEGIN.len; i < text.len - END.len; i++) {
        if (!is_blank(text.ptr[i])) {
            sp_buf_byte(&base64, text.ptr[i]);
        }
    }
    sp_err err = sp_buf_error(&base64);
    if (!sp_failed(err)) {
        err = sp_buf_unbase64(room, sp_buf_borrow(&base64));
    }
    sp_buf_wipe(&base64);
    return err;
}

/* An mpint that is positive, without its leading zero. */
static sp_span read_number(sp_reader *in)
{
    sp_span number = sp_read_bytes(in, SP_SSH_KEY_BLOB_MAX_BYTES);
    bool positive = number.len > 0 && (number.ptr[0] & 0x80) == 0;
    if (!positive) {
        sp_reader_fail(in, SP_EINVALID);
        return SP_SPAN_EMPTY;
    }
    return number.ptr[0] == 0 ? sp_span_slice(number, 1, number.len) : number;
}

static void read_ed25519(sp_reader *in, sp_ssh_private *key)
{
    sp_span public = sp_read_bytes(in, SP_SSH_ED25519_PAIR_BYTES);
    key->ed25519 = sp_read_bytes(in, SP_SSH_ED25519_PAIR_BYTES);
    if (key->ed25519.len != SP_SSH_ED25519_PAIR_BYTES ||
        !sp_span_eq(public, sp_span_slice(key->ed25519, SP_SSH_ED25519_PAIR_BYTES / 2,
                                          SP_SSH_ED25519_PAIR_BYTES))) {
        sp_reader_fail(in, SP_EINVALID);
    }
}

static void read_rsa(sp_reader *in, sp_ssh_private *key)
{
    key->modulus = read_number(in);
    key->exponent = read_number(in);
    key->secret = read_number(in);
    key->inverse = read_number(in);
    key->primes[0] = read_number(in);
    key->primes[1] = read_number(in);
}

/* The part that a passphrase would have encrypted. */
static sp_err read_secret(sp_span part, sp_ssh_private *ret_key)
{
    sp_reader in = sp_reader_of(part);
    uint32_t check = sp_read_u32(&in);
    uint32_t again = sp_read_u32(&in);
    sp_ssh_key_type type = SP_SSH_KEY_TYPE_COUNT;
    sp_span name = sp_read_bytes(&in, WORD_MAX_BYTES);
    if (in.err.code == SP_OK && (check != again || part.len % BLOCK_BYTES != 0)) {
        return sp_fail(SP_EINVALID);
    }
    if (in.err.code == SP_OK && (!sp_ssh_key_type_of(name, &type) ||
                                 (type != SP_SSH_KEY_ED25519 && type != SP_SSH_KEY_RSA))) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    ret_key->type = (uint8_t)type;
    if (type == SP_SSH_KEY_ED25519) {
        read_ed25519(&in, ret_key);
    } else {
        read_rsa(&in, ret_key);
    }
    sp_read_bytes(&in, COMMENT_MAX_BYTES);
    for (uint8_t pad = 1; in.err.code == SP_OK && in.rest.len > 0; pad++) {
        if (pad >= BLOCK_BYTES || sp_read_u8(&in) != pad) {
            sp_reader_fail(&in, SP_EINVALID);
        }
    }
    return sp_reader_finish(&in);
}

sp_err sp_ssh_private_parse(sp_span text, sp_buf *room, sp_ssh_private *ret_key)
{
    sp_ssh_private key = {0};
    if (text.len > SP_SSH_PRIVATE_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(unwrap(text, room));
    sp_reader in = sp_reader_of(sp_buf_borrow(room));
    sp_span magic = sp_read_span(&in, MAGIC.len);
    sp_span cipher = sp_read_bytes(&in, WORD_MAX_BYTES);
    sp_span kdf = sp_read_bytes(&in, WORD_MAX_BYTES);
    sp_span options = sp_read_bytes(&in, SP_SSH_PRIVATE_MAX_BYTES);
    uint32_t count = sp_read_u32(&in);
    TRY(in.err);
    if (!sp_span_eq(magic, MAGIC)) {
        return sp_fail(SP_EINVALID);
    }
    if (!sp_span_eq(cipher, SP_SPAN_LIT("none")) || !sp_span_eq(kdf, SP_SPAN_LIT("none")) ||
        options.len > 0 || count != 1) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    sp_read_bytes(&in, SP_SSH_KEY_BLOB_MAX_BYTES); /* the public half once more */
    sp_span part = sp_read_bytes(&in, SP_SSH_PRIVATE_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    TRY(read_secret(part, &key));
    *ret_key = key;
    return sp_ok();
}

sp_err sp_ssh_login_parse(sp_span bytes, sp_ssh_login *ret_login)
{
    sp_ssh_login login;
    sp_reader in = sp_reader_of(bytes);
    sp_span session = sp_read_bytes(&in, SESSION_ID_MAX_BYTES);
    uint8_t kind = sp_read_u8(&in);
    login.user = sp_read_bytes(&in, USER_MAX_BYTES);
    sp_span service = sp_read_bytes(&in, WORD_MAX_BYTES);
    sp_span method = sp_read_bytes(&in, WORD_MAX_BYTES);
    uint8_t has_signature = sp_read_u8(&in);
    login.algorithm = sp_read_bytes(&in, WORD_MAX_BYTES);
    login.blob = sp_read_bytes(&in, SP_SSH_KEY_BLOB_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    if (session.len < SESSION_ID_MIN_BYTES || kind != USERAUTH_REQUEST ||
        !sp_span_eq(service, SP_SPAN_LIT("ssh-connection")) ||
        !sp_span_eq(method, SP_SPAN_LIT("publickey")) || has_signature != 1) {
        return sp_fail(SP_EINVALID);
    }
    *ret_login = login;
    return sp_ok();
}
