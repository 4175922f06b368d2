/* SPDX-License-Identifier: Apache-2.0
 * Reading and checking certificates of OpenSSH.
 * OWNS nothing. PROCESS ssh gate, core, vault. TRUST blobs are hostile. SPEC lib/proto/ssh_cert.h.
 */
#include "lib/proto/ssh_cert.h"

enum { NONCE_MAX_BYTES = 64, NAME_MAX_BYTES = 80, SIGNATURE_MAX_BYTES = 4096 };

#define LIT SP_SPAN_LIT
#define SUFFIX LIT("-cert-v01@openssh.com")

/* "ssh-ed25519-cert-v01@openssh.com"; security keys lose their own "@openssh.com" in front. */
static bool type_of_name(sp_span name, sp_ssh_key_type *ret_type)
{
    if (!sp_span_ends(name, SUFFIX)) {
        return false;
    }
    sp_span plain = sp_span_slice(name, 0, name.len - SUFFIX.len);
    for (unsigned i = 0; i < SP_SSH_KEY_TYPE_COUNT; i++) {
        sp_span known = sp_span_cstr(sp_ssh_key_name((sp_ssh_key_type)i));
        if (sp_span_eq(plain, sp_span_slice(known, 0, sp_span_index(known, '@')))) {
            *ret_type = (sp_ssh_key_type)i;
            return true;
        }
    }
    return false;
}

bool sp_ssh_cert_is(sp_span blob)
{
    sp_reader in = sp_reader_of(blob);
    sp_ssh_key_type type = SP_SSH_KEY_ED25519;
    return type_of_name(sp_read_bytes(&in, NAME_MAX_BYTES), &type);
}

/* ---- lists ---- */

static sp_err count_principals(sp_ssh_cert *cert)
{
    sp_reader in = sp_reader_of(cert->principals);
    while (in.rest.len > 0 && !sp_failed(in.err)) {
        sp_span name = sp_read_bytes(&in, SP_SSH_CERT_TEXT_MAX_BYTES);
        if (name.len == 0 || ++cert->principals_count > SP_SSH_CERT_PRINCIPALS_MAX) {
            sp_reader_fail(&in, name.len == 0 ? SP_EINVALID : SP_ELIMIT);
        }
    }
    return in.err;
}

typedef struct {
    sp_reader in;
    sp_span before; /* name */
    sp_span name;
    sp_span data;
} option_walk;

/* Names ascend and stand once (PROTOCOL.certkeys). */
static bool next_option(option_walk *walk)
{
    if (walk->in.rest.len == 0 || sp_failed(walk->in.err)) {
        return false;
    }
    walk->name = sp_read_bytes(&walk->in, SP_SSH_CERT_TEXT_MAX_BYTES);
    walk->data = sp_read_bytes(&walk->in, SP_SSH_CERT_MAX_BYTES);
    if (walk->name.len == 0 ||
        (walk->before.len > 0 && sp_span_compare(walk->before, walk->name) >= 0)) {
        sp_reader_fail(&walk->in, SP_EINVALID);
    }
    walk->before = walk->name;
    return !sp_failed(walk->in.err);
}

/* A value is a string in the data. */
static sp_span option_value(option_walk *walk)
{
    sp_reader in = sp_reader_of(walk->data);
    sp_span value = sp_read_bytes(&in, SP_SSH_CERT_MAX_BYTES);
    sp_err err = sp_reader_finish(&in);
    if (sp_failed(err)) {
        sp_reader_fail(&walk->in, err.code);
    }
    return value;
}

static void need_flag(option_walk *walk)
{
    if (walk->data.len > 0) {
        sp_reader_fail(&walk->in, SP_EINVALID);
    }
}

static sp_err read_critical(sp_ssh_cert *cert)
{
    option_walk walk = {.in = sp_reader_of(cert->critical)};
    while (next_option(&walk)) {
        if (sp_span_eq(walk.name, LIT("force-command"))) {
            cert->has_force_command = true;
            cert->force_command = option_value(&walk);
        } else if (sp_span_eq(walk.name, LIT("source-address"))) {
            cert->has_source_address = true;
            cert->source_address = option_value(&walk);
        } else if (sp_span_eq(walk.name, LIT("verify-required"))) {
            cert->verify_required = true;
            need_flag(&walk);
        } else {
            cert->unknown_critical = true;
        }
    }
    return walk.in.err;
}

static const struct {
    const char *name;
    uint32_t bit;
} PERMITS[] = {
    {"permit-pty", SP_SSH_PERMIT_PTY},
    {"permit-port-forwarding", SP_SSH_PERMIT_PORT_FORWARDING},
    {"permit-agent-forwarding", SP_SSH_PERMIT_AGENT_FORWARDING},
    {"permit-X11-forwarding", SP_SSH_PERMIT_X11_FORWARDING},
    {"permit-user-rc", SP_SSH_PERMIT_USER_RC},
    {"no-touch-required", SP_SSH_NO_TOUCH_REQUIRED},
};

static sp_err read_extensions(sp_ssh_cert *cert)
{
    option_walk walk = {.in = sp_reader_of(cert->extensions)};
    while (next_option(&walk)) {
        for (size_t i = 0; i < SP_COUNT(PERMITS); i++) {
            if (sp_span_eq(walk.name, sp_span_cstr(PERMITS[i].name))) {
                cert->permits |= PERMITS[i].bit;
                need_flag(&walk);
            }
        }
    }
    return walk.in.err;
}

/* ---- the whole ---- */

static sp_err parse_ca(sp_ssh_cert *cert)
{
    if (sp_ssh_cert_is(cert->ca_blob)) {
        return sp_fail(SP_EINVALID); /* an authority is a plain key: no chains */
    }
    return sp_ssh_key_parse(cert->ca_blob, &cert->ca);
}

sp_err sp_ssh_cert_parse(sp_span blob, sp_ssh_cert *ret_cert)
{
    sp_ssh_cert cert = {0};
    sp_ssh_key_type type = SP_SSH_KEY_ED25519;
    if (blob.len > SP_SSH_CERT_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_reader in = sp_reader_of(blob);
    sp_span name = sp_read_bytes(&in, NAME_MAX_BYTES);
    TRY(in.err);
    if (!type_of_name(name, &type)) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    cert.nonce = sp_read_bytes(&in, NONCE_MAX_BYTES);
    sp_span fields = in.rest;
    sp_ssh_key_read(&in, type, &cert.key);
    cert.key_fields = sp_span_slice(fields, 0, fields.len - in.rest.len);
    cert.serial = sp_read_u64(&in);
    cert.kind = sp_read_u32(&in);
    cert.key_id = sp_read_bytes(&in, SP_SSH_CERT_TEXT_MAX_BYTES);
    cert.principals = sp_read_bytes(&in, SP_SSH_CERT_MAX_BYTES);
    cert.valid_after_unix_s = sp_read_u64(&in);
    cert.valid_before_unix_s = sp_read_u64(&in);
    cert.critical = sp_read_bytes(&in, SP_SSH_CERT_MAX_BYTES);
    cert.extensions = sp_read_bytes(&in, SP_SSH_CERT_MAX_BYTES);
    (void)sp_read_bytes(&in, SP_SSH_CERT_MAX_BYTES); /* reserved */
    cert.ca_blob = sp_read_bytes(&in, SP_SSH_KEY_BLOB_MAX_BYTES);
    cert.signed_part = sp_span_slice(blob, 0, blob.len - in.rest.len);
    cert.signature = sp_read_bytes(&in, SIGNATURE_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    TRY(count_principals(&cert));
    TRY(read_critical(&cert));
    TRY(read_extensions(&cert));
    TRY(parse_ca(&cert));
    *ret_cert = cert;
    return sp_ok();
}

void sp_ssh_cert_key_blob(const sp_ssh_cert *cert, sp_buf *out)
{
    sp_buf_bytes(out, sp_span_cstr(sp_ssh_key_name((sp_ssh_key_type)cert->key.type)));
    sp_buf_span(out, cert->key_fields);
}

sp_span sp_ssh_cert_principal(const sp_ssh_cert *cert, uint32_t at)
{
    sp_reader in = sp_reader_of(cert->principals);
    sp_span name = SP_SPAN_EMPTY;
    for (uint32_t i = 0; i <= at && at < cert->principals_count; i++) {
        name = sp_read_bytes(&in, SP_SSH_CERT_TEXT_MAX_BYTES);
    }
    return name;
}

bool sp_ssh_cert_has_principal(const sp_ssh_cert *cert, sp_span principal)
{
    sp_reader in = sp_reader_of(cert->principals);
    bool found = false;
    while (in.rest.len > 0 && !sp_failed(in.err)) {
        sp_span name = sp_read_bytes(&in, SP_SSH_CERT_TEXT_MAX_BYTES);
        found = found || (name.len > 0 && sp_span_eq(name, principal));
    }
    return found;
}

bool sp_ssh_cert_extension(const sp_ssh_cert *cert, sp_span name, sp_span *ret_value)
{
    option_walk walk = {.in = sp_reader_of(cert->extensions)};
    while (next_option(&walk)) {
        if (sp_span_eq(walk.name, name)) {
            sp_span value = walk.data.len == 0 ? SP_SPAN_EMPTY : option_value(&walk);
            if (sp_failed(walk.in.err)) {
                return false;
            }
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* ---- checks ---- */

/* '*' any run, '?' any one; at most one pass back for each star. ASCII case folded, as names of
 * hosts are. */
static bool matches(sp_span pattern, sp_span name)
{
    size_t p = 0;
    size_t n = 0;
    size_t star = SIZE_MAX;
    size_t mark = 0;
    while (n < name.len) {
        bool more = p < pattern.len;
        if (more && pattern.ptr[p] == '*') {
            star = p++;
            mark = n;
        } else if (more &&
                   (pattern.ptr[p] == '?' || sp_span_eq_nocase(sp_span_slice(pattern, p, p + 1),
                                                               sp_span_slice(name, n, n + 1)))) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

static bool names(const sp_ssh_cert *cert, const sp_ssh_cert_expected *expected)
{
    if (expected->kind == SP_SSH_CERT_USER) {
        return sp_ssh_cert_has_principal(cert, expected->principal);
    }
    sp_reader in = sp_reader_of(cert->principals);
    bool found = false;
    while (in.rest.len > 0 && !sp_failed(in.err)) {
        sp_span pattern = sp_read_bytes(&in, SP_SSH_CERT_TEXT_MAX_BYTES);
        found = found || (expected->principal.len > 0 && matches(pattern, expected->principal));
    }
    return found;
}

static bool comes_from(const sp_ssh_cert *cert, const uint8_t *peer)
{
    sp_span rest = cert->source_address;
    sp_span one = SP_SPAN_EMPTY;
    bool found = false;
    if (peer == NULL) {
        return false;
    }
    while (sp_span_split(&rest, ',', &one)) {
        sp_address_range range;
        if (sp_failed(sp_address_range_parse(one, &range))) {
            return false; /* one that cannot be read makes all of it unknown */
        }
        found = found || sp_address_in(&range, peer);
    }
    return found;
}

static bool is_signed_by(const sp_ssh_cert *cert, const sp_ssh_cert_expected *expected)
{
    for (size_t i = 0; i < expected->cas_count; i++) {
        if (expected->cas[i].len > 0 && sp_span_eq(expected->cas[i], cert->ca_blob)) {
            return true;
        }
    }
    return false;
}

sp_ssh_cert_fault sp_ssh_cert_check(const sp_ssh_cert *cert, const sp_ssh_cert_expected *expected)
{
    if (cert->kind != (uint32_t)expected->kind) {
        return SP_SSH_CERT_WRONG_KIND;
    }
    if (!is_signed_by(cert, expected)) {
        return SP_SSH_CERT_WRONG_CA;
    }
    if (cert->valid_after_unix_s > expected->now_unix_s) {
        return SP_SSH_CERT_NOT_YET;
    }
    if (cert->valid_before_unix_s <= expected->now_unix_s) {
        return SP_SSH_CERT_EXPIRED;
    }
    if (cert->principals_count == 0) {
        return SP_SSH_CERT_NO_PRINCIPALS;
    }
    if (!names(cert, expected)) {
        return SP_SSH_CERT_WRONG_PRINCIPAL;
    }
    if (cert->unknown_critical || (cert->kind == SP_SSH_CERT_HOST &&
                                   cert->critical.len > 0)) { /* none is defined for hosts */
        return SP_SSH_CERT_CRITICAL;
    }
    if (cert->has_source_address && !comes_from(cert, expected->peer)) {
        return SP_SSH_CERT_SOURCE;
    }
    return SP_SSH_CERT_GOOD;
}

const char *sp_ssh_cert_fault_word(sp_ssh_cert_fault fault)
{
    static const char *const WORDS[] = {
        "good",          "wrong-kind",      "wrong-authority", "not-yet",       "expired",
        "no-principals", "wrong-principal", "critical-option", "source-address"};
    _Static_assert(SP_COUNT(WORDS) == SP_SSH_CERT_FAULT_COUNT, "a word for each");
    return (unsigned)fault < SP_SSH_CERT_FAULT_COUNT ? WORDS[fault] : "?";
}
