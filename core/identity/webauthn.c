/* SPDX-License-Identifier: Apache-2.0
 * Reading and verifying what authenticators say.
 * OWNS nothing. PROCESS core. TRUST hostile bytes. SPEC core/identity/webauthn.h.
 */
#include "core/identity/webauthn.h"

#include "core/http/fields.h"
#include "core/identity/cbor.h"

#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>

enum { FLAG_UP = 0x01, FLAG_UV = 0x04, FLAG_BS = 0x10, FLAG_AT = 0x40, FLAG_ED = 0x80 };
enum { AAGUID_BYTES = 16, COORDINATE_BYTES = 32, RSA_N_BYTES = 256, RSA_E_BYTES = 3 };
enum { COSE_KTY = 1, COSE_ALG = 3, COSE_CRV = -1, COSE_X = -2, COSE_Y = -3 };
enum { KTY_OKP = 1, KTY_EC2 = 2, KTY_RSA = 3, CRV_P256 = 1, CRV_ED25519 = 6 };

/* ---- clientDataJSON ---- */

static bool text_is(const json_t *object, const char *name, sp_span want)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) &&
           sp_span_eq(sp_span_of(json_string_value(value), json_string_length(value)), want);
}

sp_err sp_webauthn_client_data(sp_span text, const char *type, const sp_webauthn_expect *expect)
{
    auto_buf sp_buf challenge = sp_buf_make(256);
    if (text.len > SP_WEBAUTHN_CLIENT_DATA_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    json_t *json = sp_json_parse(text);
    if (!json_is_object(json)) {
        json_decref(json);
        return sp_fail(SP_EINVALID);
    }
    sp_buf_base64url(&challenge, expect->challenge);
    const json_t *cross = json_object_get(json, "crossOrigin");
    bool good = text_is(json, "type", sp_span_cstr(type)) &&
                text_is(json, "challenge", sp_buf_borrow(&challenge)) &&
                text_is(json, "origin", expect->origin) && (cross == NULL || json_is_false(cross));
    json_decref(json);
    TRY(sp_buf_error(&challenge));
    return good ? sp_ok() : sp_fail(SP_EDENIED);
}

/* ---- authenticatorData ---- */

typedef struct {
    int64_t kty;
    int64_t curve;
} cose_kind;

static void read_cose_field(sp_reader *in, sp_webauthn_auth_data *data, cose_kind *kind)
{
    switch (sp_cbor_int(in)) {
    case COSE_KTY:
        kind->kty = sp_cbor_int(in);
        break;
    case COSE_ALG:
        data->algorithm = sp_cbor_int(in);
        break;
    case COSE_CRV: /* RSA: n */
        if (sp_cbor_is_int(in)) {
            kind->curve = sp_cbor_int(in);
        } else {
            data->key_a = sp_cbor_bytes(in);
        }
        break;
    case COSE_X: /* RSA: e */
        if (kind->kty == KTY_RSA) {
            data->key_b = sp_cbor_bytes(in);
        } else {
            data->key_a = sp_cbor_bytes(in);
        }
        break;
    case COSE_Y:
        data->key_b = sp_cbor_bytes(in);
        break;
    default:
        sp_cbor_skip(in);
    }
}

static bool key_fits(const sp_webauthn_auth_data *data, const cose_kind *kind)
{
    switch (data->algorithm) {
    case SP_COSE_ES256:
        return kind->kty == KTY_EC2 && kind->curve == CRV_P256 &&
               data->key_a.len == COORDINATE_BYTES && data->key_b.len == COORDINATE_BYTES;
    case SP_COSE_EDDSA:
        return kind->kty == KTY_OKP && kind->curve == CRV_ED25519 &&
               data->key_a.len == COORDINATE_BYTES && data->key_b.len == 0;
    case SP_COSE_RS256:
        return kind->kty == KTY_RSA && data->key_a.len == RSA_N_BYTES &&
               data->key_b.len == RSA_E_BYTES;
    default:
        return false;
    }
}

static void read_credential(sp_reader *in, sp_webauthn_auth_data *data)
{
    cose_kind kind = {0};
    (void)sp_read_span(in, AAGUID_BYTES);
    size_t id_len = sp_read_u16(in);
    if (id_len == 0 || id_len > SP_WEBAUTHN_ID_MAX_BYTES) {
        sp_reader_fail(in, SP_ELIMIT);
    }
    data->credential_id = sp_read_span(in, id_len);
    uint64_t pairs = sp_cbor_map(in);
    for (uint64_t i = 0; i < pairs && !sp_failed(in->err); i++) {
        read_cose_field(in, data, &kind);
    }
    if (!sp_failed(in->err) && !key_fits(data, &kind)) {
        sp_reader_fail(in, SP_EUNSUPPORTED);
    }
    data->has_credential = true;
}

sp_err sp_webauthn_auth_data_read(sp_span bytes, sp_webauthn_auth_data *ret_data)
{
    if (bytes.len > SP_WEBAUTHN_AUTH_DATA_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_reader in = sp_reader_of(bytes);
    sp_webauthn_auth_data data = {0};
    sp_span rp = sp_read_span(&in, SP_SHA256_BYTES);
    uint8_t flags = sp_read_u8(&in);
    data.counter = sp_read_u32(&in);
    data.user_present = (flags & FLAG_UP) != 0;
    data.user_verified = (flags & FLAG_UV) != 0;
    data.backed_up = (flags & FLAG_BS) != 0;
    if ((flags & FLAG_AT) != 0) {
        read_credential(&in, &data);
    }
    if ((flags & FLAG_ED) != 0) {
        sp_cbor_skip(&in);
    }
    TRY(sp_reader_finish(&in));
    sp_copy(data.rp_id_hash.bytes, rp.ptr, SP_SHA256_BYTES);
    *ret_data = data;
    return sp_ok();
}

sp_err sp_webauthn_attestation_read(sp_span bytes, sp_span *ret_auth_data)
{
    if (bytes.len > SP_WEBAUTHN_ATTESTATION_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_reader in = sp_reader_of(bytes);
    sp_span auth_data = SP_SPAN_EMPTY;
    uint64_t pairs = sp_cbor_map(&in);
    for (uint64_t i = 0; i < pairs && !sp_failed(in.err); i++) {
        if (sp_span_eq(sp_cbor_text(&in), SP_SPAN_LIT("authData"))) {
            if (auth_data.ptr != NULL) {
                sp_reader_fail(&in, SP_EINVALID);
            }
            auth_data = sp_cbor_bytes(&in);
        } else {
            sp_cbor_skip(&in);
        }
    }
    TRY(sp_reader_finish(&in));
    if (auth_data.ptr == NULL) {
        return sp_fail(SP_EINVALID);
    }
    *ret_auth_data = auth_data;
    return sp_ok();
}

static sp_err check_auth_data(const sp_webauthn_expect *expect, const sp_webauthn_auth_data *data)
{
    sp_hash rp = sp_sha256(expect->rp_id);
    bool good = sp_hash_eq(&rp, &data->rp_id_hash) && data->user_present && data->user_verified;
    return good ? sp_ok() : sp_fail(SP_EDENIED);
}

/* ---- keys and signatures ---- */

typedef struct {
    es256_pk_t *es256;
    eddsa_pk_t *eddsa;
    rs256_pk_t *rs256;
} public_key;

static void public_key_done(public_key *key)
{
    es256_pk_free(&key->es256);
    eddsa_pk_free(&key->eddsa);
    rs256_pk_free(&key->rs256);
}

/* On-curve checks are libfido2's. */
static sp_err public_key_load(int64_t algorithm, sp_span bytes, public_key *key,
                              const void **ret_pk)
{
    int rc = FIDO_ERR_UNSUPPORTED_ALGORITHM;
    if (algorithm == SP_COSE_ES256 && (key->es256 = es256_pk_new()) != NULL) {
        rc = es256_pk_from_ptr(key->es256, bytes.ptr, bytes.len);
        *ret_pk = key->es256;
    } else if (algorithm == SP_COSE_EDDSA && (key->eddsa = eddsa_pk_new()) != NULL) {
        rc = eddsa_pk_from_ptr(key->eddsa, bytes.ptr, bytes.len);
        *ret_pk = key->eddsa;
    } else if (algorithm == SP_COSE_RS256 && (key->rs256 = rs256_pk_new()) != NULL) {
        rc = rs256_pk_from_ptr(key->rs256, bytes.ptr, bytes.len);
        *ret_pk = key->rs256;
    }
    return rc == FIDO_OK ? sp_ok() : sp_fail(SP_EINVALID);
}

static sp_err check_key(int64_t algorithm, sp_span bytes)
{
    public_key key = {0};
    const void *pk = NULL;
    sp_err err = public_key_load(algorithm, bytes, &key, &pk);
    public_key_done(&key);
    return err;
}

static sp_err verify(const sp_webauthn_expect *expect, sp_span client_data, sp_span auth_data,
                     sp_span signature, int64_t algorithm, const void *pk)
{
    sp_hash client_hash = sp_sha256(client_data);
    auto_buf sp_buf rp_id = sp_buf_make(256);
    sp_buf_span(&rp_id, expect->rp_id);
    sp_buf_byte(&rp_id, 0);
    TRY(sp_buf_error(&rp_id));
    fido_assert_t *assert = fido_assert_new();
    bool good =
        assert !=
        NULL &&fido_assert_set_clientdata_hash(assert, client_hash.bytes, SP_SHA256_BYTES) ==
        FIDO_OK &&fido_assert_set_rp(assert, (const char *)rp_id.ptr) ==
        FIDO_OK &&fido_assert_set_count(assert, 1) ==
        FIDO_OK &&fido_assert_set_authdata_raw(assert, 0, auth_data.ptr, auth_data.len) ==
        FIDO_OK &&fido_assert_set_up(assert, FIDO_OPT_TRUE) ==
        FIDO_OK &&fido_assert_set_uv(assert, FIDO_OPT_TRUE) ==
        FIDO_OK &&fido_assert_set_sig(assert, 0, signature.ptr, signature.len) ==
        FIDO_OK &&fido_assert_verify(assert, 0, (int)algorithm, pk) == FIDO_OK;
    fido_assert_free(&assert);
    return good ? sp_ok() : sp_fail(SP_EDENIED);
}

/* ---- the two ceremonies ---- */

sp_err sp_webauthn_register(const sp_webauthn_expect *expect, sp_span client_data,
                            sp_span attestation_object, sp_buf *key,
                            sp_webauthn_credential *ret_credential)
{
    sp_span auth_data = SP_SPAN_EMPTY;
    sp_webauthn_auth_data data;
    TRY(sp_webauthn_client_data(client_data, "webauthn.create", expect));
    TRY(sp_webauthn_attestation_read(attestation_object, &auth_data));
    TRY(sp_webauthn_auth_data_read(auth_data, &data));
    TRY(check_auth_data(expect, &data));
    if (!data.has_credential) {
        return sp_fail(SP_EINVALID);
    }
    sp_buf_span(key, data.key_a);
    sp_buf_span(key, data.key_b);
    TRY(sp_buf_error(key));
    TRY(check_key(data.algorithm, sp_buf_borrow(key)));
    *ret_credential =
        (sp_webauthn_credential){data.credential_id, data.algorithm, data.counter, data.backed_up};
    return sp_ok();
}

sp_err sp_webauthn_assert(const sp_webauthn_expect *expect, sp_span client_data, sp_span auth_data,
                          sp_span signature, int64_t algorithm, sp_span key, uint32_t *ret_counter,
                          bool *ret_backed_up)
{
    sp_webauthn_auth_data data;
    public_key loaded = {0};
    const void *pk = NULL;
    TRY(sp_webauthn_client_data(client_data, "webauthn.get", expect));
    TRY(sp_webauthn_auth_data_read(auth_data, &data));
    TRY(check_auth_data(expect, &data));
    if (signature.len == 0 || signature.len > SP_WEBAUTHN_SIGNATURE_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    sp_err err = public_key_load(algorithm, key, &loaded, &pk);
    if (!sp_failed(err)) {
        err = verify(expect, client_data, auth_data, signature, algorithm, pk);
    }
    public_key_done(&loaded);
    TRY(err);
    *ret_counter = data.counter;
    *ret_backed_up = data.backed_up;
    return sp_ok();
}

bool sp_webauthn_counter_is_good(uint32_t stored, uint32_t now)
{
    return (stored == 0 && now == 0) || now > stored;
}
