/* SPDX-License-Identifier: Apache-2.0
 * nginx under the launcher: its configuration, starting, telling it of changes, ending it.
 * OWNS nginx's processes. PROCESS web role. TRUST nginx workers read hostile bytes: the launcher
 * takes nothing from them but a sign of life.
 * SPEC nginx.org/en/docs/control.html.
 */
#include "gates/web/launch.h"
#include "gates/web/nginx_conf.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NGINX_FILE "/usr/sbin/nginx"
#define UPSTREAM_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

enum {
    PAUSE_FIRST_MS = 100,
    PAUSE_MAX_MS = 5000,
    PULSE_MAX_MS = 5000,
    STOP_MS = 6000,
    WORKERS_MAX = 8,
    CONNECTIONS_MAX = 16384,
    RING_BYTES = 4 << 20
};

void launch_path(const launcher *self, const char *name, char path[LAUNCH_PATH_BYTES])
{
    auto_buf sp_buf text = sp_buf_make(LAUNCH_PATH_BYTES);
    sp_buf_fmt(&text, "%s/%s", self->dir, name);
    if (sp_failed(sp_fit(path, LAUNCH_PATH_BYTES, sp_buf_borrow(&text)))) {
        path[0] = '\0'; /* opening it fails and says so */
    }
}

/* ---- the configuration ---- */

static bool resolves(sp_span host)
{
    char *name = NULL;
    if (host.len == 0 || host.ptr[0] == '[' || sp_failed(sp_strdup(host, &name))) {
        return host.len > 0;
    }
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(name, NULL, NULL, &found);
    if (rc != 0) {
        sp_log(SP_LOG_WARN, "upstream %s cannot be resolved: %s", name, gai_strerror(rc));
    } else {
        freeaddrinfo(found);
    }
    sp_free(name);
    return rc == 0;
}

static unsigned worker_count(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : (cpus > WORKERS_MAX ? WORKERS_MAX : (unsigned)cpus);
}

static unsigned connection_count(void)
{
    struct rlimit limit = {.rlim_max = 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    unsigned long files = limit.rlim_max > 65536 ? 65536 : limit.rlim_max;
    unsigned long connections = files > 1024 ? (files - 256) / 2 : 256;
    return connections > CONNECTIONS_MAX ? CONNECTIONS_MAX : (unsigned)connections;
}

static sp_err write_conf(launcher *self, sp_buf *out)
{
    const sp_config *config = self->config;
    char chain[LAUNCH_PATH_BYTES];
    char ca[LAUNCH_PATH_BYTES];
    char key[128];
    launch_path(self, "tls.pem", chain);
    launch_path(self, "device-ca.pem", ca);
    auto_buf sp_buf name = sp_buf_make(sizeof(key));
    sp_buf_fmt(&name, "engine:sallyport:%s", self->key_name);
    TRY(sp_fit(key, sizeof(key), sp_buf_borrow(&name)));
    sp_nginx_conf conf = {.policy = &self->policy,
                          .office = sp_span_cstr(config->office),
                          .domain = sp_span_cstr(config->domain),
                          .portal = sp_span_cstr(config->portal),
                          .public_port = config->public_port,
                          .state_dir = self->dir,
                          .core_socket = self->core_path,
                          .api_socket = self->api_path,
                          .ledger_socket = self->ledger_path,
                          .vault_socket = self->vault_path,
                          .module_file = self->module_file,
                          .certificate_file = chain,
                          .key = key,
                          .device_ca = ca,
                          .upstream_ca =
                              access(UPSTREAM_CA_FILE, R_OK) == 0 ? UPSTREAM_CA_FILE : NULL,
                          .pulse_fd = self->pulse_far_fd,
                          .workers = worker_count(),
                          .connections = connection_count(),
                          .ring_bytes = RING_BYTES,
                          .resolves = resolves};
    for (size_t i = 0; i < config->listen_count && i < SP_NGINX_LISTEN_MAX; i++) {
        conf.listen[i] = self->listen[i];
    }
    for (size_t i = 0; i < config->http_count && i < SP_NGINX_LISTEN_MAX; i++) {
        conf.http[i] = self->http[i];
    }
    for (size_t i = 0; i < config->asked_count && i < SP_NGINX_LISTEN_MAX; i++) {
        conf.asked[i] = self->asked[i];
    }
    return sp_nginx_conf_write(&conf, out);
}

/* ---- processes ---- */

static int spawn(launcher *self, uv_process_t *process, const char *conf_name, bool test,
                 uv_exit_cb on_exit)
{
    char conf[LAUNCH_PATH_BYTES];
    char prefix[LAUNCH_PATH_BYTES];
    char inherited[sizeof(self->sockets) + sizeof("NGINX=")];
    launch_path(self, conf_name, conf);
    launch_path(self, "", prefix);
    auto_buf sp_buf text = sp_buf_make(sizeof(inherited));
    sp_buf_fmt(&text, "NGINX=%s", self->sockets);
    if (sp_failed(sp_fit(inherited, sizeof(inherited), sp_buf_borrow(&text)))) {
        return UV_E2BIG;
    }
    char file[] = NGINX_FILE;
    char dash_p[] = "-p";
    char dash_c[] = "-c";
    char dash_e[] = "-e";
    char stderr_word[] = "stderr";
    char dash_t[] = "-tq";
    char path[] = "PATH=/usr/sbin:/usr/bin";
    char *arguments[] = {file,   dash_e, stderr_word,          dash_p, prefix,
                         dash_c, conf,   test ? dash_t : NULL, NULL};
#ifdef SP_WEB_PRELOAD
    /* sanitized builds; leaks of nginx's own are not ours to find */
    char preload[] = "LD_PRELOAD=" SP_WEB_PRELOAD;
    char asan[] = "ASAN_OPTIONS=detect_leaks=0:abort_on_error=1";
    char *environment[] = {path, inherited, preload, asan, NULL};
#else
    char *environment[] = {path, inherited, NULL};
#endif
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
                                     {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
                                     {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
    uv_process_options_t options = {.file = file,
                                    .args = arguments,
                                    .env = environment,
                                    .exit_cb = on_exit,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    process->data = self;
    return uv_spawn(&self->loop, process, &options);
}

static void end_old(launcher *self)
{
    for (size_t i = 0; i < self->old_count; i++) {
        kill(self->old[i], SIGQUIT); /* takes no new clients, serves those it has */
    }
    self->old_count = 0;
}

/* A handle may be used again only when libuv has let go of it. */
static void on_nginx_closed(uv_handle_t *handle)
{
    launcher *self = handle->data;
    self->nginx_runs = false;
}

static void on_nginx_exit(uv_process_t *process, int64_t status, int signal)
{
    launcher *self = process->data;
    uv_close((uv_handle_t *)process, on_nginx_closed);
    if (self->stopping) {
        return;
    }
    sp_log(SP_LOG_ERROR, "nginx ended (status %d, signal %d); starting it again in %u ms",
           (int)status, signal, self->restart_pause_ms);
    self->restart_at_ms = uv_now(&self->loop) + self->restart_pause_ms;
    self->restart_pause_ms =
        self->restart_pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : self->restart_pause_ms * 2;
}

static void start_nginx(launcher *self)
{
    int rc = spawn(self, &self->nginx, "nginx.conf", false, on_nginx_exit);
    self->nginx_runs = true;
    self->restart_at_ms = 0;
    if (rc != 0) {
        sp_log(SP_LOG_ERROR, "cannot start " NGINX_FILE ": %s", uv_strerror(rc));
        uv_close((uv_handle_t *)&self->nginx, on_nginx_closed);
        self->restart_at_ms = uv_now(&self->loop) + PAUSE_MAX_MS;
    }
}

static void take_into_use(launcher *self)
{
    char fresh[LAUNCH_PATH_BYTES];
    char current[LAUNCH_PATH_BYTES];
    launch_path(self, "nginx.conf.new", fresh);
    launch_path(self, "nginx.conf", current);
    if (rename(fresh, current) != 0) {
        sp_log(SP_LOG_ERROR, "cannot rename %s: %s", fresh, strerror(errno));
        return;
    }
    if (self->nginx_runs) {
        sp_log(SP_LOG_INFO, "hosts, upstreams or certificates changed: nginx reads them");
        kill(self->nginx.pid, SIGHUP);
    } else {
        start_nginx(self);
    }
}

static void on_test_closed(uv_handle_t *handle)
{
    launcher *self = handle->data;
    self->test_runs = false;
    if (self->again) {
        self->again = false;
        launch_nginx_changed(self);
    }
}

static void on_test_exit(uv_process_t *process, int64_t status, int signal)
{
    launcher *self = process->data;
    if (status == 0 && signal == 0) {
        take_into_use(self);
    } else {
        sp_log(SP_LOG_ERROR,
               "nginx refuses the new configuration %s/nginx.conf.new (see above); "
               "the one before stays in use",
               self->dir);
    }
    uv_close((uv_handle_t *)process, on_test_closed);
}

void launch_nginx_changed(launcher *self)
{
    if (!self->has_policy || !self->has_identity || !self->has_ca || self->stopping) {
        return;
    }
    if (self->test_runs) {
        self->again = true;
        return;
    }
    auto_buf sp_buf text = sp_buf_make(SP_NGINX_CONF_MAX_BYTES);
    char path[LAUNCH_PATH_BYTES];
    launch_path(self, "nginx.conf.new", path);
    sp_err err = write_conf(self, &text);
    if (!sp_failed(err) && sp_span_eq(sp_buf_borrow(&text), sp_buf_borrow(&self->conf))) {
        return; /* only rules changed: the workers have them already */
    }
    if (!sp_failed(err)) {
        err = sp_file_replace(path, 0600, sp_buf_borrow(&text));
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "cannot write %s (%s)", path, sp_code_word(err.code));
        return;
    }
    sp_buf_reset(&self->conf);
    sp_buf_span(&self->conf, sp_buf_borrow(&text));
    int rc = spawn(self, &self->test, "nginx.conf.new", true, on_test_exit);
    self->test_runs = true;
    if (rc != 0) {
        sp_log(SP_LOG_ERROR, "cannot run " NGINX_FILE ": %s", uv_strerror(rc));
        uv_close((uv_handle_t *)&self->test, on_test_closed);
    }
}

/* ---- alive ---- */

static bool shows_life(launcher *self)
{
    char bytes[256];
    while (read(self->pulse_fd, bytes, sizeof(bytes)) > 0) {
        self->pulse_at_ms = uv_now(&self->loop);
    }
    return self->pulse_at_ms != 0 && uv_now(&self->loop) - self->pulse_at_ms < PULSE_MAX_MS;
}

void launch_nginx_tick(launcher *self)
{
    uint64_t now_ms = uv_now(&self->loop);
    if (self->stopping) {
        if (self->nginx_runs && now_ms >= self->stop_at_ms) {
            kill(self->nginx.pid, SIGTERM);
        }
        return;
    }
    if (!self->nginx_runs && self->restart_at_ms != 0 && now_ms >= self->restart_at_ms) {
        start_nginx(self);
        return;
    }
    if (!self->nginx_runs || !shows_life(self)) {
        return; /* no sign of life: the porter's watchdog sees to it */
    }
    self->restart_pause_ms = PAUSE_FIRST_MS;
    if (!self->ready) {
        self->ready = true;
        end_old(self);
        sp_entry_notify("READY=1\nSTATUS=serving");
        sp_log(SP_LOG_INFO, "serving on %s", self->listen[0]);
    }
    sp_entry_notify("WATCHDOG=1");
}

void launch_nginx_stop(launcher *self)
{
    self->stop_at_ms = uv_now(&self->loop) + STOP_MS;
    if (self->nginx_runs) {
        kill(self->nginx.pid, SIGQUIT);
    }
}

void launch_nginx_done(launcher *self)
{
    sp_buf_done(&self->conf);
}
