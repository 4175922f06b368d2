/* SPDX-License-Identifier: Apache-2.0
 * Reading public keys and the lines that hold them.
 * OWNS nothing. PROCESS ssh gate, core, cli, policy compiler. TRUST all input is hostile.
 * SPEC lib/ssh/key.h.
 */
#include "lib/ssh/key.h"

#include "lib/base/sha256.h"

enum {
    NAME_MAX_BYTES = 64,
    ED25519_BYTES = 32,
    APPLICATION_MAX_BYTES = 256,
    FORM_UNCOMPRESSED = 4
};

typedef struct {
    const char *name;
    const char *curve;
    size_t point_bytes;
    bool security_key;
} algorithm;

static const algorithm ALGORITHMS[] = {
    [SP_SSH_KEY_ED25519] = {"ssh-ed25519", NULL, ED25519_BYTES, false},
    [SP_SSH_KEY_ECDSA_256] = {"ecdsa-sha2-nistp256", "nistp256", 65, false},
    [SP_SSH_KEY_ECDSA_384] = {"ecdsa-sha2-nistp384", "nistp384", 97, false},
    [SP_SSH_KEY_ECDSA_521] = {"ecdsa-sha2-nistp521", "nistp521", 133, false},
    [SP_SSH_KEY_RSA] = {"ssh-rsa", NULL, 0, false},
    [SP_SSH_KEY_SK_ED25519] = {"sk-ssh-ed25519@openssh.com", NULL, ED25519_BYTES, true},
    [SP_SSH_KEY_SK_ECDSA_256] = {"sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", 65, true},
};
_Static_assert(SP_COUNT(ALGORITHMS) == SP_SSH_KEY_TYPE_COUNT, "one for each");

const char *sp_ssh_key_name(sp_ssh_key_type type)
{
    return (unsigned)type < SP_SSH_KEY_TYPE_COUNT ? ALGORITHMS[type].name : "?";
}

bool sp_ssh_key_type_of(sp_span name, sp_ssh_key_type *ret_type)
{
    for (unsigned i = 0; i < SP_SSH_KEY_TYPE_COUNT; i++) {
        if (sp_span_eq(name, sp_span_cstr(ALGORITHMS[i].name))) {
            *ret_type = (sp_ssh_key_type)i;
            return true;
        }
    }
    return false;
}

bool sp_ssh_key_is_security_key(sp_ssh_key_type type)
{
    return (unsigned)type < SP_SSH_KEY_TYPE_COUNT && ALGORITHMS[type].security_key;
}

/* A positive mpint (RFC 4251, 5) without its sign byte; one spelling only. */
static sp_span read_positive(sp_reader *in)
{
    sp_span number = sp_read_bytes(in, SP_SSH_RSA_MAX_BITS / 8 + 1);
    bool signed_byte = number.len > 1 && number.ptr[0] == 0;
    if (number.len == 0 || (number.ptr[0] & 0x80) != 0 ||
        (signed_byte && (number.ptr[1] & 0x80) == 0) || (number.len == 1 && number.ptr[0] == 0)) {
        sp_reader_fail(in, SP_EINVALID);
        return SP_SPAN_EMPTY;
    }
    return sp_span_slice(number, signed_byte ? 1 : 0, number.len);
}

static size_t bits_of(sp_span number)
{
    return number.len * 8 - (size_t)(__builtin_clz(number.ptr[0]) - 24);
}

static void read_rsa(sp_reader *in, sp_ssh_key *key)
{
    key->exponent = read_positive(in);
    key->modulus = read_positive(in);
    if (sp_failed(in->err)) {
        return;
    }
    size_t bits = bits_of(key->modulus);
    bool odd = (key->modulus.ptr[key->modulus.len - 1] & 1) != 0 &&
               (key->exponent.ptr[key->exponent.len - 1] & 1) != 0;
    bool one = key->exponent.len == 1 && key->exponent.ptr[0] == 1;
    if (bits < SP_SSH_RSA_MIN_BITS || bits > SP_SSH_RSA_MAX_BITS || !odd || one ||
        key->exponent.len > 8) {
        sp_reader_fail(in, SP_EINVALID);
    }
}

void sp_ssh_key_read(sp_reader *in, sp_ssh_key_type type, sp_ssh_key *ret_key)
{
    const algorithm *a = &ALGORITHMS[type];
    *ret_key = (sp_ssh_key){.type = (uint8_t)type};
    if (type == SP_SSH_KEY_RSA) {
        read_rsa(in, ret_key);
        return;
    }
    if (a->curve != NULL &&
        !sp_span_eq(sp_read_bytes(in, NAME_MAX_BYTES), sp_span_cstr(a->curve))) {
        sp_reader_fail(in, SP_EINVALID);
    }
    ret_key->point = sp_read_bytes(in, a->point_bytes);
    if (ret_key->point.len != a->point_bytes ||
        (a->curve != NULL && ret_key->point.ptr[0] != FORM_UNCOMPRESSED)) {
        sp_reader_fail(in, SP_EINVALID);
    }
    if (a->security_key) {
        ret_key->application = sp_read_bytes(in, APPLICATION_MAX_BYTES);
    }
}

sp_err sp_ssh_key_parse(sp_span blob, sp_ssh_key *ret_key)
{
    sp_ssh_key key = {0};
    sp_ssh_key_type type = SP_SSH_KEY_ED25519;
    if (blob.len > SP_SSH_KEY_BLOB_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_reader in = sp_reader_of(blob);
    sp_span name = sp_read_bytes(&in, NAME_MAX_BYTES);
    TRY(in.err);
    if (!sp_ssh_key_type_of(name, &type)) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    sp_ssh_key_read(&in, type, &key);
    TRY(sp_reader_finish(&in));
    *ret_key = key;
    return sp_ok();
}

void sp_ssh_key_fingerprint(sp_span blob, sp_buf *out)
{
    sp_hash hash = sp_sha256(blob);
    auto_buf sp_buf text = sp_buf_make(64);
    sp_buf_base64(&text, sp_hash_borrow(&hash));
    sp_span padded = sp_buf_borrow(&text);
    sp_buf_text(out, "SHA256:");
    sp_buf_span(out, sp_span_slice(padded, 0, sp_span_index(padded, '=')));
}

void sp_ssh_key_text(sp_span blob, sp_buf *out)
{
    sp_reader in = sp_reader_of(blob);
    sp_buf_span(out, sp_read_bytes(&in, NAME_MAX_BYTES));
    sp_buf_byte(out, ' ');
    sp_buf_base64(out, blob);
}

/* ---- lines ---- */

static bool is_blank(uint8_t ch)
{
    return ch == ' ' || ch == '\t';
}

/* A run without blanks; blanks in double quotes belong to it. */
static sp_span next_field(sp_span *rest)
{
    *rest = sp_span_trim(*rest);
    bool quoted = false;
    size_t end = 0;
    for (; end < rest->len && (quoted || !is_blank(rest->ptr[end])); end++) {
        if (rest->ptr[end] == '\\' && end + 1 < rest->len && rest->ptr[end + 1] == '"') {
            end++;
        } else if (rest->ptr[end] == '"') {
            quoted = !quoted;
        }
    }
    end = end > rest->len ? rest->len : end;
    sp_span field = sp_span_slice(*rest, 0, end);
    *rest = sp_span_trim(sp_span_slice(*rest, end, rest->len));
    return field;
}

sp_err sp_ssh_key_line_parse(sp_span line, sp_ssh_line_kind kind, sp_buf *room,
                             sp_ssh_key_line *ret_line)
{
    sp_ssh_key_line out = {0};
    sp_ssh_key_type type = SP_SSH_KEY_ED25519;
    sp_span rest = sp_span_trim(line);
    if (rest.len > SP_SSH_KEY_LINE_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    if (rest.len == 0 || rest.ptr[0] == '#') {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_span field = next_field(&rest);
    if (kind == SP_SSH_LINE_KNOWN_HOST) {
        if (field.ptr[0] == '@') {
            out.marker = sp_span_slice(field, 1, field.len);
            field = next_field(&rest);
        }
        out.hosts = field;
        field = next_field(&rest);
    } else if (kind == SP_SSH_LINE_AUTHORIZED && !sp_ssh_key_type_of(field, &type)) {
        out.options = field;
        field = next_field(&rest);
    }
    if (!sp_ssh_key_type_of(field, &type)) {
        return sp_fail(field.len == 0 ? SP_EINVALID : SP_EUNSUPPORTED);
    }
    sp_buf_reset(room);
    TRY(sp_buf_unbase64(room, next_field(&rest)));
    out.blob = sp_buf_borrow(room);
    out.comment = rest;
    TRY(sp_ssh_key_parse(out.blob, &out.key));
    if (out.key.type != type) {
        return sp_fail(SP_EINVALID);
    }
    *ret_line = out;
    return sp_ok();
}

static bool is_option_name(sp_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!sp_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '@' &&
            name.ptr[i] != '.') {
            return false;
        }
    }
    return name.len > 0;
}

bool sp_ssh_option_next(sp_span *rest, sp_span *ret_name, sp_span *ret_value, bool *ret_ok)
{
    if (rest->len == 0) {
        return false;
    }
    bool quoted = false;
    size_t equals = SIZE_MAX;
    size_t end = 0;
    for (; end < rest->len && (quoted || rest->ptr[end] != ','); end++) {
        if (quoted && rest->ptr[end] == '\\' && end + 1 < rest->len && rest->ptr[end + 1] == '"') {
            end++;
        } else if (rest->ptr[end] == '"') {
            quoted = !quoted;
        } else if (rest->ptr[end] == '=' && !quoted && equals == SIZE_MAX) {
            equals = end;
        }
    }
    end = end > rest->len ? rest->len : end;
    sp_span option = sp_span_slice(*rest, 0, end);
    bool comma = end < rest->len;
    *rest = sp_span_slice(*rest, end + 1, rest->len);
    *ret_name = sp_span_slice(option, 0, equals);
    *ret_value = equals == SIZE_MAX ? SP_SPAN_EMPTY : sp_span_slice(option, equals + 1, option.len);
    bool in_quotes = ret_value->len >= 2 && ret_value->ptr[0] == '"' &&
                     ret_value->ptr[ret_value->len - 1] == '"';
    *ret_ok = !quoted && is_option_name(*ret_name) && (equals == SIZE_MAX || in_quotes) &&
              (!comma || rest->len > 0);
    *ret_value = in_quotes ? sp_span_slice(*ret_value, 1, ret_value->len - 1) : *ret_value;
    return true;
}
