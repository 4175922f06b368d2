/* SPDX-License-Identifier: Apache-2.0
 * The launcher's side of the vault: the certificate chain that nginx shows, the name of its key,
 * and the authority that devices are verified by. No private key comes here.
 * OWNS the files it writes. PROCESS web role. TRUST the vault.
 * SPEC lib/proto/vault_msg.h.
 */
#include "gates/web/launch.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

enum { FILE_MODE = 0600 };

static bool write_file(launcher *self, const char *name, sp_span bytes)
{
    char path[LAUNCH_PATH_BYTES];
    launch_path(self, name, path);
    sp_err err = sp_file_replace(path, FILE_MODE, bytes);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "cannot write %s (%s)", path, sp_code_word(err.code));
    }
    return !sp_failed(err);
}

static sp_err to_pem(sp_span der, sp_buf *out)
{
    const unsigned char *at = der.ptr;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = certificate != NULL && bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
    if (good) {
        char *text = NULL;
        long len = BIO_get_mem_data(bio, &text);
        sp_buf_span(out, sp_span_of(text, len > 0 ? (size_t)len : 0));
    }
    BIO_free(bio);
    X509_free(certificate);
    return good ? sp_buf_error(out) : sp_fail(SP_EINVALID);
}

static void on_ca(void *data, sp_err err, sp_span body)
{
    launcher *self = data;
    auto_buf sp_buf pem = sp_buf_make(2 * SP_VAULT_CERT_MAX_BYTES);
    if (!sp_failed(err)) {
        err = to_pem(body, &pem);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the vault gave no device authority (%s)", sp_code_word(err.code));
        return;
    }
    if (write_file(self, "device-ca.pem", sp_buf_borrow(&pem)) && !self->has_ca) {
        self->has_ca = true;
        launch_nginx_changed(self);
    }
}

static void on_identity(void *data, sp_err err, sp_span body)
{
    launcher *self = data;
    sp_vault_tls_identity identity = {0};
    if (!sp_failed(err)) {
        err = sp_vault_tls_identity_decode(body, &identity);
    }
    if (!sp_failed(err)) {
        err = sp_fit(self->key_name, sizeof(self->key_name), identity.key_name);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the vault gave no certificate to serve (%s)", sp_code_word(err.code));
        return;
    }
    sp_hash hash = sp_sha256(identity.chain);
    bool same = self->has_identity && sp_hash_eq(&hash, &self->chain_hash);
    if (!same && write_file(self, "tls.pem", identity.chain)) {
        self->chain_hash = hash;
        self->has_identity = true;
        sp_buf_reset(&self->conf); /* nginx must read the file again, whatever the text */
        launch_nginx_changed(self);
    }
}

void launch_tls_ask(launcher *self)
{
    auto_buf sp_buf body = sp_buf_make(16);
    sp_vault_ca_encode(SP_VAULT_CA_DEVICE, &body);
    sp_line_call(self->vault, SP_VAULT_CA, sp_buf_borrow(&body), on_ca, self);
    sp_line_call(self->vault, SP_VAULT_TLS_IDENTITY, SP_SPAN_EMPTY, on_identity, self);
}

static void on_up(void *data)
{
    launch_tls_ask(data);
}

sp_err launch_tls_start(launcher *self)
{
    sp_line_calls calls = {.on_up = on_up, .self = self};
    return sp_line_new(&self->loop, self->vault_path, &calls, &self->vault);
}

void launch_tls_stop(launcher *self)
{
    sp_line_free(self->vault);
    self->vault = NULL;
}
