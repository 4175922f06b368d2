/* SPDX-License-Identifier: Apache-2.0
 * The TLS contexts of a worker: towards clients with the vault's key, towards databases with the
 * CA that the resource names.
 * OWNS the contexts. PROCESS db gate workers. TRUST CA files are the operator's. SPEC ssl(7).
 */
#ifndef SP_GATES_DB_TLS_H
#define SP_GATES_DB_TLS_H

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/policy/database.h"
#include "lib/proto/vault_msg.h"

#include <openssl/ssl.h>

/* Asks the vault for what to show to clients; when the link is up, and now and then. */
void db_tls_ask(void);
/* NULL = not there yet. */
SSL_CTX *db_tls_front(void);
/* The hash for channel binding (RFC 5929, tls-server-end-point) of what is shown. */
sp_span db_tls_end_point(void);
/* The same of the server at the other end of a connection. False: its certificate has none, as with
 * RSA-PSS. */
bool db_tls_end_point_of(SSL *ssl, sp_buf *out);
/* A context for servers of resources with this CA file (empty: the system's); valid until the next
 * call. SP_EIO: the file cannot be read, or holds no certificate. */
SP_MUST sp_err db_tls_back(sp_database_tls how, const char *ca, SSL_CTX **ret_ctx);

/* What an account of a database shows to the server: a certificate whose key is in the vault. */
typedef struct {
    X509 *certificate;
    char key_name[SP_VAULT_KEY_NAME_MAX_BYTES + 1];
    bool asked; /* the server did ask for it, and it was shown */
} db_tls_own;

/* der: of the vault. SP_EINVALID: it is none. */
SP_MUST sp_err db_tls_own_make(sp_span der, sp_span credential, db_tls_own *ret_own);
void db_tls_own_done(db_tls_own *own);
/* Shows it on this connection if the server asks; own stays where it is until the handshake is
 * over. NULL: nothing (any more). */
void db_tls_show(SSL *ssl, db_tls_own *own);

#endif
