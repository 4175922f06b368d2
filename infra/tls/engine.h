/* SPDX-License-Identifier: Apache-2.0
 * TLS handshakes signed by the vault: an OpenSSL ENGINE named "sallyport", so that
 *     ssl_certificate_key engine:sallyport:<key name>;
 * gives nginx a key whose private half it never sees.
 *
 * Story: nginx's master loads the key: the engine asks the vault for its public half and makes a
 * key of it whose signing is ours. In each worker a handshake's signature is one question to the
 * vault over the worker's own connection (a process that was forked opens its own). When the vault
 * is restarted the question goes again over a new connection; how long a handshake may hold the
 * worker is bounded, and once the vault has not answered, the next ones are refused at once, with a
 * short try now and then, so a dead vault costs the connections that need it and not those that are
 * open.
 *
 * OWNS one connection a process. PROCESS web (nginx), gate workers. TRUST the vault's replies are
 * bounded; its signatures are checked by every client. SPEC engine(3), lib/proto/vault_msg.h.
 */
#ifndef SP_TLS_ENGINE_H
#define SP_TLS_ENGINE_H

#include "lib/base/buf.h"

/* Registers the engine, once a process; more calls only change the path. Before nginx reads
 * ssl_certificate_key. vault_socket: path of vault.sock. */
SP_MUST sp_err sp_tls_engine_register(const char *vault_socket);

/* The key of that name, for SSL_CTX_use_PrivateKey(); the caller frees it. SP_ENOTFOUND: the vault
 * has none, or does not answer. */
typedef struct evp_pkey_st sp_tls_key;
SP_MUST sp_err sp_tls_engine_key(const char *name, sp_tls_key **ret_key);

/* For a library that takes keys as PEM and no other way (libssh): the text has the public half of
 * the key and a private one of no use, and what is read from such a text between _begin and _end
 * signs in the vault, under that name. One name a process. pem: a few hundred bytes. */
SP_MUST sp_err sp_tls_engine_pem_begin(const char *name, sp_buf *pem);
void sp_tls_engine_pem_end(void);

#endif
