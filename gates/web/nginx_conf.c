/* SPDX-License-Identifier: Apache-2.0
 * nginx's configuration.
 * OWNS nothing. PROCESS web launcher. TRUST names are checked before they are written.
 * SPEC gates/web/nginx_conf.h.
 */
#include "gates/web/nginx_conf.h"

#include "gates/web/dropped.h"
#include "lib/web/status_page.h"

/* ---- what may stand in a configuration ---- */

static bool is_host(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!sp_is_lower_alnum(c) && c != '-' && c != '.') {
            return false;
        }
    }
    return text.len > 0 && text.len <= 253;
}

/* host:port, also [v6]:port and unix paths: nothing that ends a word or starts a variable. */
static bool is_word(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!sp_is_alnum(c) && sp_span_index(SP_SPAN_LIT("-._:/[]~+@"), c) == 10) {
            return false;
        }
    }
    return text.len > 0;
}

static void quoted(sp_buf *out, sp_span text)
{
    sp_buf_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"' || c == '\\') {
            sp_buf_byte(out, '\\');
        }
        sp_buf_byte(out, c < 0x20 ? ' ' : c);
    }
    sp_buf_byte(out, '"');
}

static void line(sp_buf *out, const char *directive, const char *value)
{
    sp_buf_fmt(out, "%s ", directive);
    quoted(out, sp_span_cstr(value));
    sp_buf_text(out, ";\n");
}

/* ---- the parts ---- */

static void write_head(const sp_nginx_conf *conf, sp_buf *out)
{
    sp_buf_text(out, "# Written by sallyport from the policy: changes are lost.\n");
    line(out, "load_module", conf->module_file);
    sp_buf_fmt(out,
               "daemon off;\nerror_log stderr warn;\nworker_processes %u;\n"
               "worker_rlimit_nofile %u;\npid \"%s/nginx.pid\";\nlock_file \"%s/nginx.lock\";\n"
               "events { worker_connections %u; }\n",
               conf->workers, conf->connections * 2 + 256, conf->state_dir, conf->state_dir,
               conf->connections);
}

static void write_limits(const sp_nginx_conf *conf, sp_buf *out)
{
    sp_buf_text(
        out,
        "access_log off;\nlog_not_found off;\nserver_tokens off;\n"
        "default_type application/octet-stream;\ngzip off;\nsendfile off;\n"
        "tcp_nodelay on;\nmerge_slashes on;\nunderscores_in_headers off;\n"
        "absolute_redirect off;\n"
        "client_header_timeout 15s;\nclient_body_timeout 30s;\nsend_timeout 60s;\n"
        "keepalive_timeout 75s;\nkeepalive_requests 10000;\n"
        "reset_timedout_connection on;\nlingering_time 10s;\nlingering_timeout 3s;\n"
        "request_pool_size 8k;\nclient_header_buffer_size 2k;\nlarge_client_header_buffers 4 16k;\n"
        "client_body_buffer_size 64k;\nclient_max_body_size 1m;\n"
        "http2_max_concurrent_streams 128;\nserver_names_hash_max_size 32768;\n"
        "server_names_hash_bucket_size 256;\nvariables_hash_max_size 2048;\n"
        "proxy_headers_hash_max_size 1024;\nproxy_headers_hash_bucket_size 128;\n");
    static const char *const places[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    for (size_t i = 0; i < SP_COUNT(places); i++) {
        sp_buf_fmt(out, "%s_temp_path \"%s/tmp/%s\";\n", places[i], conf->state_dir, places[i]);
    }
}

static void write_tls(const sp_nginx_conf *conf, sp_buf *out)
{
    if (conf->vault_socket != NULL) {
        line(out, "sallyport_vault", conf->vault_socket);
    }
    sp_buf_text(out, "ssl_protocols TLSv1.2 TLSv1.3;\n"
                     "ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;\nssl_prefer_server_ciphers off;\n"
                     "ssl_ecdh_curve X25519:P-256:P-384;\n"
                     "ssl_session_cache shared:sallyport:8m;\nssl_session_timeout 1h;\n"
                     "ssl_session_tickets off;\n");
    line(out, "ssl_certificate", conf->certificate_file);
    line(out, "ssl_certificate_key", conf->key);
    if (conf->device_ca != NULL) {
        sp_buf_text(out, "ssl_verify_client optional;\nssl_verify_depth 2;\n");
        line(out, "ssl_client_certificate", conf->device_ca);
    }
}

static void write_proxy(const sp_nginx_conf *conf, sp_buf *out)
{
    sp_buf_text(out,
                "proxy_http_version 1.1;\nproxy_request_buffering off;\nproxy_buffering on;\n"
                "proxy_max_temp_file_size 0;\nproxy_connect_timeout 5s;\nproxy_send_timeout 60s;\n"
                "proxy_read_timeout 300s;\nproxy_next_upstream error timeout;\n"
                "proxy_next_upstream_tries 2;\n"
                "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate "
                "X-Accel-Charset;\n"
                "proxy_ssl_server_name on;\nproxy_ssl_verify on;\nproxy_ssl_verify_depth 4;\n"
                "proxy_ssl_protocols TLSv1.2 TLSv1.3;\nproxy_socket_keepalive on;\n");
    if (conf->upstream_ca != NULL) {
        line(out, "proxy_ssl_trusted_certificate", conf->upstream_ca);
    }
}

static void write_gate(const sp_nginx_conf *conf, sp_buf *out)
{
    line(out, "sallyport_core", conf->core_socket);
    line(out, "sallyport_ledger", conf->ledger_socket);
    sp_buf_text(out, "sallyport_office ");
    quoted(out, conf->office);
    sp_buf_fmt(out, ";\nsallyport_portal \"https://%.*s.%.*s", SP_SPAN_ARG(conf->portal),
               SP_SPAN_ARG(conf->domain));
    if (conf->public_port != 443) {
        sp_buf_fmt(out, ":%u", conf->public_port);
    }
    sp_buf_fmt(out, "\";\nsallyport_ring %zu;\n", conf->ring_bytes);
    if (conf->pulse_fd > 0) {
        sp_buf_fmt(out, "sallyport_pulse %d;\n", conf->pulse_fd);
    }
}

static void write_listens(const sp_nginx_conf *conf, const char *more, sp_buf *out)
{
    for (size_t i = 0; i < SP_NGINX_LISTEN_MAX && conf->listen[i] != NULL; i++) {
        sp_buf_fmt(out, "listen %s ssl http2%s;\n", conf->listen[i], more);
    }
}

enum { PORT_BYTES = 16 };

/* ":8443" behind a host's name, nothing for the port that goes without saying. */
static void put_port(const sp_nginx_conf *conf, char ret_port[PORT_BYTES])
{
    if (conf->public_port != 443) {
        auto_buf sp_buf text = sp_buf_make(PORT_BYTES);
        sp_buf_fmt(&text, ":%u", conf->public_port);
        SP_IGNORE(sp_fit(ret_port, PORT_BYTES, sp_buf_borrow(&text))); /* always fits */
    }
}

/* Headers that tell the other side about the request; what a client sent under these names was
 * dropped by the module. */
static void write_headers(const sp_nginx_conf *conf, sp_span host, sp_buf *out)
{
    char port[PORT_BYTES] = "";
    put_port(conf, port);
    sp_buf_fmt(out,
               "proxy_set_header Host \"%.*s%s\";\nproxy_set_header X-Forwarded-For "
               "$remote_addr;\nproxy_set_header X-Forwarded-Proto https;\n"
               "proxy_set_header X-Forwarded-Host \"%.*s%s\";\n"
               "proxy_set_header " SP_WEB_DROPPED_HEADER " \"\";\n",
               SP_SPAN_ARG(host), port, SP_SPAN_ARG(host), port);
}

/* Core has few connections: whoever sends or reads slowly holds one of nginx's, not one of its. All
 * in memory: a worker writes no file. So the room is small where it need not be large. */
static void write_whole(const char *body_max, sp_buf *out)
{
    sp_buf_fmt(out,
               "proxy_request_buffering on;\nclient_max_body_size %s;\n"
               "client_body_buffer_size %s;\nproxy_buffers 8 32k;\n",
               body_max, body_max);
}

#define SMALL_BODY "256k"
#define DOCUMENTS_BODY "16m"

static void write_api(const sp_nginx_conf *conf, sp_span host, const char *body_max, sp_buf *out)
{
    sp_buf_fmt(out, "sallyport_gate api %.*s;\nproxy_pass http://sallyport_api;\n",
               SP_SPAN_ARG(host));
    write_headers(conf, host, out);
    sp_buf_fmt(out,
               "proxy_set_header Connection \"\";\nproxy_set_header X-Sallyport-Host %.*s;\n"
               "proxy_set_header X-Sallyport-Peer $remote_addr;\n"
               "proxy_set_header X-Sallyport-Certificate $sallyport_certificate;\n"
               "proxy_set_header X-Sallyport-Reference $sallyport_reference;\n"
               "proxy_read_timeout 1h;\n",
               SP_SPAN_ARG(host));
    write_whole(body_max, out);
}

static void write_ping(sp_buf *out)
{
    sp_buf_text(out, "location = /.sallyport/ping { sallyport_gate off; return 204; }\n");
}

/* Static files, so that they are there whatever else is down; ?lang= or Accept-Language chooses. */
static void write_status(const sp_nginx_conf *conf, sp_buf *out)
{
    sp_buf_text(out, "location = /status {\nsallyport_gate off;\nadd_header Cache-Control no-store "
                     "always;\nadd_header X-Content-Type-Options nosniff always;\n"
                     "add_header Vary Accept-Language always;\n"
                     "add_header Content-Security-Policy \"");
    sp_web_status_csp(out);
    sp_buf_fmt(out,
               "\" always;\ntypes { }\ndefault_type \"text/html; charset=utf-8\";\nroot \"%s\";\n"
               "try_files /status/$sallyport_status.html =503;\n}\n"
               "location = /status.json {\nsallyport_gate off;\nadd_header Cache-Control no-store "
               "always;\ntypes { }\ndefault_type application/json;\nroot \"%s\";\n"
               "try_files /status/status.json =503;\n}\n",
               conf->state_dir, conf->state_dir);
}

static void write_strangers(const sp_nginx_conf *conf, sp_buf *out)
{
    sp_buf_text(out, "server {\n");
    write_listens(conf, " default_server", out);
    sp_buf_text(out, "server_name _;\nsallyport_gate unknown;\nlocation / { }\n}\n");
}

/* Without TLS there are only two answers: go to HTTPS, and the challenge of a certificate
 * authority (certbot --webroot -w <state>/web/acme). */
static void write_plain(const sp_nginx_conf *conf, sp_buf *out)
{
    if (conf->http[0] == NULL) {
        return;
    }
    sp_buf_text(out, "server {\n");
    for (size_t i = 0; i < SP_NGINX_LISTEN_MAX && conf->http[i] != NULL; i++) {
        sp_buf_fmt(out, "listen %s;\n", conf->http[i]);
    }
    char port[PORT_BYTES] = "";
    put_port(conf, port);
    sp_buf_fmt(out,
               "server_name .%.*s;\nsallyport_gate off;\n"
               "location ^~ /.well-known/acme-challenge/ { root \"%s/acme\"; disable_symlinks on; "
               "default_type text/plain; try_files $uri =404; }\n"
               "location / { return 301 https://$host%s$request_uri; }\n}\n",
               SP_SPAN_ARG(conf->domain), conf->state_dir, port);
    sp_buf_text(out, "server {\n");
    for (size_t i = 0; i < SP_NGINX_LISTEN_MAX && conf->http[i] != NULL; i++) {
        sp_buf_fmt(out, "listen %s default_server;\n", conf->http[i]);
    }
    sp_buf_text(out, "server_name _;\nsallyport_gate off;\nreturn 444;\n}\n");
}

/* Another proxy on this machine, which cannot load our module, asks here. */
static void write_asked(const sp_nginx_conf *conf, sp_buf *out)
{
    if (conf->asked[0] == NULL) {
        return;
    }
    sp_buf_text(out, "server {\n");
    for (size_t i = 0; i < SP_NGINX_LISTEN_MAX && conf->asked[i] != NULL; i++) {
        sp_buf_fmt(out, "listen %s;\n", conf->asked[i]);
    }
    sp_buf_text(out, "server_name _;\nsallyport_gate unknown;\n"
                     "location = /auth-request { sallyport_gate check; }\n"
                     "location = /forward-auth { sallyport_gate ask; }\n"
                     "location ^~ /.sallyport/ {\nsallyport_gate entry;\n"
                     "proxy_pass http://sallyport_api;\n"
                     "proxy_set_header Host $sallyport_host;\n"
                     "proxy_set_header " SP_WEB_DROPPED_HEADER " \"\";\n"
                     "proxy_set_header Connection \"\";\n"
                     "proxy_set_header X-Sallyport-Host $sallyport_host;\n"
                     "proxy_set_header X-Sallyport-Peer $sallyport_peer;\n"
                     "proxy_set_header X-Sallyport-Certificate $sallyport_certificate;\n"
                     "proxy_set_header X-Sallyport-Reference $sallyport_reference;\n");
    write_whole(SMALL_BODY, out);
    sp_buf_text(out, "}\nlocation / { }\n}\n");
}

/* ---- hosts ---- */

static void whole_host(const sp_nginx_conf *conf, sp_span label, sp_buf *out)
{
    sp_buf_fmt(out, "%.*s.%.*s", SP_SPAN_ARG(label), SP_SPAN_ARG(conf->domain));
}

static void write_portal(const sp_nginx_conf *conf, sp_buf *out)
{
    auto_buf sp_buf host = sp_buf_make(512);
    whole_host(conf, conf->portal, &host);
    sp_buf_text(out, "map \"$arg_lang:$http_accept_language\" $sallyport_status {\ndefault en;\n"
                     "\"~^zh:\" zh;\n\"~^en:\" en;\n\"~*^:(?:(?!\\ben).)*\\bzh\" zh;\n}\n");
    sp_buf_fmt(out, "upstream sallyport_api { server \"unix:%s\"; keepalive 16; }\nserver {\n",
               conf->api_socket);
    write_listens(conf, "", out);
    sp_buf_fmt(out, "server_name %.*s;\nsallyport_gate unknown;\n",
               SP_SPAN_ARG(sp_buf_borrow(&host)));
    write_ping(out);
    write_status(conf, out);
    sp_buf_text(out, "location / {\n");
    write_api(conf, sp_buf_borrow(&host), SMALL_BODY, out);
    /* without a slash at its end: nginx would answer the path itself with a redirection */
    sp_buf_text(out, "}\nlocation ^~ /api/v1/admin/policy {\n");
    write_api(conf, sp_buf_borrow(&host), DOCUMENTS_BODY, out);
    sp_buf_text(out, "client_body_timeout 10s;\n}\n}\n");
}

/* "https://wiki.internal:8443/" in its pieces. */
typedef struct {
    bool tls;
    sp_span authority;
    sp_span host; /* without the port */
} upstream_parts;

static bool read_upstream(sp_span url, upstream_parts *ret_parts)
{
    bool tls = sp_span_starts(url, SP_SPAN_LIT("https://"));
    if (!tls && !sp_span_starts(url, SP_SPAN_LIT("http://"))) {
        return false;
    }
    sp_span rest = sp_span_slice(url, tls ? 8 : 7, url.len);
    sp_span authority = sp_span_slice(rest, 0, sp_span_index(rest, '/'));
    bool literal = authority.len > 0 && authority.ptr[0] == '[';
    size_t end = literal ? sp_span_index(authority, ']') + 1 : sp_span_index(authority, ':');
    *ret_parts = (upstream_parts){tls, authority, sp_span_slice(authority, 0, end)};
    return is_word(authority);
}

static void write_upstream(const sp_nginx_conf *conf, sp_span label, const upstream_parts *to,
                           sp_buf *out)
{
    bool has_port = to->host.len < to->authority.len;
    sp_buf_fmt(out, "upstream app_%.*s {\n", SP_SPAN_ARG(label));
    if (conf->resolves == NULL || conf->resolves(to->host)) {
        sp_buf_fmt(out, "server %.*s%s max_fails=0;\n", SP_SPAN_ARG(to->authority),
                   has_port || !to->tls ? "" : ":443");
    } else {
        sp_buf_fmt(out, "server 127.0.0.1:9 down; # %.*s cannot be resolved now\n",
                   SP_SPAN_ARG(to->host));
    }
    sp_buf_text(out, "keepalive 64;\nkeepalive_requests 100000;\nkeepalive_timeout 60s;\n}\n");
}

/* Redirects of an upstream that thinks it is served over plain HTTP, or by its inner name. */
static void write_redirects(const sp_nginx_conf *conf, sp_span host, const upstream_parts *to,
                            sp_buf *out)
{
    sp_buf_fmt(out,
               "proxy_redirect http://%.*s:%u/ /;\nproxy_redirect http://%.*s/ /;\n"
               "proxy_redirect %s://%.*s/ /;\n"
               /* a cookie for all hosts of the office would reach the other applications */
               "proxy_cookie_domain ~. %.*s;\n",
               SP_SPAN_ARG(host), conf->public_port, SP_SPAN_ARG(host), to->tls ? "https" : "http",
               SP_SPAN_ARG(to->authority), SP_SPAN_ARG(host));
}

static void write_app_location(const sp_nginx_conf *conf, sp_span label, sp_span host,
                               const sp_web_resource *web, const upstream_parts *to, sp_buf *out)
{
    sp_buf_fmt(out,
               "location / {\nsallyport_gate app %.*s %.*s;\nproxy_pass %s://app_%.*s;\n"
               "client_max_body_size %llu;\n",
               SP_SPAN_ARG(host), SP_SPAN_ARG(label), to->tls ? "https" : "http",
               SP_SPAN_ARG(label), (unsigned long long)web->upload_max_bytes);
    write_headers(conf, host, out);
    write_redirects(conf, host, to, out);
    if (to->tls) {
        sp_buf_fmt(out, "proxy_ssl_name %.*s;\n", SP_SPAN_ARG(to->host));
    }
    if (web->identity_jwt) {
        sp_buf_text(out, "proxy_set_header X-Sallyport-Identity $sallyport_identity;\n");
    }
    if (web->websocket) {
        sp_buf_text(out, "proxy_set_header Upgrade $sallyport_upgrade;\n"
                         "proxy_set_header Connection $sallyport_connection;\n"
                         "proxy_read_timeout 1h;\nproxy_send_timeout 1h;\n");
    } else {
        sp_buf_text(out, "proxy_set_header Connection \"\";\n");
    }
    sp_buf_text(out, "}\n");
}

static sp_err write_app(const sp_nginx_conf *conf, const sp_web_resource *web, sp_buf *out)
{
    auto_buf sp_buf name = sp_buf_make(512);
    whole_host(conf, web->host, &name);
    sp_span host = sp_buf_borrow(&name);
    upstream_parts to;
    if (!is_host(host) || !read_upstream(web->upstream, &to)) {
        return sp_fail(SP_EINVALID);
    }
    write_upstream(conf, web->host, &to, out);
    sp_buf_text(out, "server {\n");
    write_listens(conf, "", out);
    sp_buf_fmt(out, "server_name %.*s;\nsallyport_gate unknown;\n", SP_SPAN_ARG(host));
    write_ping(out);
    sp_buf_text(out, "location ^~ /.sallyport/ {\n");
    write_api(conf, host, SMALL_BODY, out);
    sp_buf_text(out, "}\n");
    write_app_location(conf, web->host, host, web, &to, out);
    sp_buf_text(out, "}\n");
    return sp_ok();
}

sp_err sp_nginx_conf_write(const sp_nginx_conf *conf, sp_buf *out)
{
    if (!is_host(conf->domain) || !is_host(conf->portal) ||
        !is_word(sp_span_cstr(conf->state_dir))) {
        return sp_fail(SP_EINVALID);
    }
    write_head(conf, out);
    sp_buf_text(out, "http {\n");
    write_limits(conf, out);
    write_gate(conf, out);
    write_tls(conf, out);
    write_proxy(conf, out);
    write_strangers(conf, out);
    write_plain(conf, out);
    write_portal(conf, out);
    write_asked(conf, out);
    uint32_t count = sp_policy_resource_count(conf->policy);
    for (uint32_t i = 0; i < count; i++) {
        sp_web_resource web;
        if (sp_policy_web_resource(conf->policy, i, &web)) {
            TRY(write_app(conf, &web, out));
        }
    }
    sp_buf_text(out, "}\n");
    return sp_buf_error(out);
}
