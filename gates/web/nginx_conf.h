/* SPDX-License-Identifier: Apache-2.0
 * nginx's configuration, written from the policy snapshot: a server for each host.
 * OWNS nothing. PROCESS web launcher. TRUST names in the snapshot were checked when it was
 * compiled; they are checked again before they become configuration.
 * SPEC nginx.org/en/docs; docs/ARCHITECTURE.md "Processes".
 */
#ifndef SP_GATES_WEB_NGINX_CONF_H
#define SP_GATES_WEB_NGINX_CONF_H

#include "lib/base/buf.h"
#include "lib/policy/web.h"

enum { SP_NGINX_LISTEN_MAX = 16, SP_NGINX_CONF_MAX_BYTES = 32 * 1024 * 1024 };

typedef struct {
    const sp_policy *policy;
    sp_span office;
    sp_span domain;
    sp_span portal;
    unsigned public_port;
    const char *listen[SP_NGINX_LISTEN_MAX]; /* "127.0.0.1:8443", up to the first NULL */
    const char *http[SP_NGINX_LISTEN_MAX];   /* without TLS: redirects and ACME only */
    const char *asked[SP_NGINX_LISTEN_MAX];  /* where another proxy asks (asked.h) */
    const char *state_dir;                   /* temporary files, pid */
    const char *core_socket;
    const char *api_socket;
    const char *ledger_socket;
    const char *vault_socket; /* NULL: key is a file */
    const char *module_file;
    const char *certificate_file;
    const char *key;         /* a file, or "engine:sallyport:<name>" */
    const char *device_ca;   /* file; NULL = client certificates are not asked for */
    const char *upstream_ca; /* file; trusted for https upstreams */
    int pulse_fd;            /* workers write a byte a second into it; 0 = no */
    unsigned workers;
    unsigned connections; /* a worker */
    size_t ring_bytes;
    /* Whether the host part of an upstream can be resolved now; NULL = take it as it is. nginx
     * would not start with a name that it cannot resolve. */
    bool (*resolves)(sp_span host);
} sp_nginx_conf;

/* SP_EINVALID: a name that cannot stand in a configuration. */
SP_MUST sp_err sp_nginx_conf_write(const sp_nginx_conf *conf, sp_buf *out);

#endif
