/* SPDX-License-Identifier: Apache-2.0
 * The other end of a connection.
 * OWNS what it keeps on the connection's pool. PROCESS nginx workers. TRUST certificates are
 * hostile. SPEC gates/web/peer.h.
 */
#include "gates/web/peer.h"

#include <openssl/ssl.h>

enum { RECENT = 1024 };

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

static void look(SSL *ssl, gate_peer *peer)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK) {
        return;
    }
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    if (len > 0) {
        peer->fingerprint = sp_sha256((sp_span){der, (size_t)len});
        peer->has_certificate = true;
    }
    OPENSSL_free(der);
}

static gate_peer *peer_of(ngx_connection_t *connection)
{
    SSL *ssl = connection->ssl->connection;
    gate_peer *peer = SSL_get_ex_data(ssl, ssl_slot);
    if (peer != NULL) {
        return peer;
    }
    peer = ngx_pcalloc(connection->pool, sizeof(*peer));
    if (peer == NULL || SSL_set_ex_data(ssl, ssl_slot, peer) != 1) {
        return NULL;
    }
    look(ssl, peer);
    return peer;
}

gate_peer *gate_peer_of_connection(ngx_http_request_t *r)
{
    /* nginx never gives a connection's number again: an old pointer is never found */
    static struct {
        ngx_atomic_uint_t number;
        gate_peer *peer;
    } recent[RECENT];
    ngx_connection_t *connection = r->connection;
    size_t at = connection->number % RECENT;
    if (connection->ssl == NULL) {
        return NULL;
    }
    if (recent[at].number != connection->number || recent[at].peer == NULL) {
        recent[at].number = connection->number;
        recent[at].peer = peer_of(connection);
    }
    return recent[at].peer;
}

sp_hash gate_peer_token(gate_peer *peer, sp_span cookie)
{
    if (peer == NULL || cookie.len != sizeof(peer->cookie)) {
        return sp_sha256(cookie);
    }
    sp_span last = {peer->cookie, sizeof(peer->cookie)};
    if (!peer->has_cookie || !sp_span_eq_secret(last, cookie)) {
        sp_copy(peer->cookie, cookie.ptr, cookie.len);
        peer->token = sp_sha256(cookie);
        peer->has_cookie = true;
    }
    return peer->token;
}
