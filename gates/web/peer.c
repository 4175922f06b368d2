/* SPDX-License-Identifier: Apache-2.0
 * The other end of a connection.
 * OWNS what it keeps on the connection's pool. PROCESS nginx workers. TRUST certificates are
 * hostile. SPEC gates/web/peer.h.
 */
#include "gates/web/peer.h"

#include <openssl/ssl.h>

typedef struct {
    bool is_there;
    sp_hash fingerprint;
} seen_certificate;

static int ssl_slot = -1;

sp_err gate_peer_init(void)
{
    if (ssl_slot < 0) {
        ssl_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    return ssl_slot < 0 ? sp_fail(SP_ENOMEM) : sp_ok();
}

void gate_peer_of(const ngx_http_request_t *r, uint8_t ret_address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    const struct sockaddr *address = r->connection->sockaddr;
    sp_set(ret_address, 0, 16);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        sp_copy(ret_address, mapped, sizeof(mapped));
        sp_copy(ret_address + sizeof(mapped), &v4->sin_addr, sizeof(v4->sin_addr));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        sp_copy(ret_address, &v6->sin6_addr, 16);
    }
}

static void look(SSL *ssl, seen_certificate *ret_seen)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK) {
        return;
    }
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    if (len > 0) {
        ret_seen->fingerprint = sp_sha256((sp_span){der, (size_t)len});
        ret_seen->is_there = true;
    }
    OPENSSL_free(der);
}

bool gate_peer_certificate(ngx_http_request_t *r, sp_hash *ret_fingerprint)
{
    ngx_connection_t *connection = r->connection;
    if (connection->ssl == NULL) {
        return false;
    }
    SSL *ssl = connection->ssl->connection;
    const seen_certificate *known = SSL_get_ex_data(ssl, ssl_slot);
    if (known == NULL) {
        seen_certificate *seen = ngx_pcalloc(connection->pool, sizeof(*seen));
        if (seen == NULL) {
            return false;
        }
        look(ssl, seen);
        if (SSL_set_ex_data(ssl, ssl_slot, seen) != 1) {
            return false;
        }
        known = seen;
    }
    if (known->is_there) {
        *ret_fingerprint = known->fingerprint;
    }
    return known->is_there;
}
