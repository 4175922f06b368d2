/* SPDX-License-Identifier: Apache-2.0
 * The web role: sets the launcher up, locks it in, and runs it until SIGTERM.
 * OWNS everything in launcher. PROCESS web role. TRUST the bootstrap file is the operator's.
 * SPEC gates/web/launch.h.
 */
#include "gates/web/launch.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"

#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MODULE_NAME "ngx_http_sallyport_module.so"

enum { TICK_MS = 250, TLS_EVERY_TICKS = 10 * 60 * 4 };

/* ---- what is inherited ---- */

static sp_err address_text(int fd, char **ret_text)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0 ||
        getnameinfo((const struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return sp_fail(SP_EIO);
    }
    auto_buf sp_buf text = sp_buf_make(sizeof(host) + sizeof(port) + 4);
    bool v6 = address.ss_family == AF_INET6;
    sp_buf_fmt(&text, v6 ? "[%s]:%s" : "%s:%s", host, port);
    return sp_buf_take_cstr(&text, ret_text);
}

/* Every worker writes a byte into it once a second: that its loop runs, not that its number exists,
 * is what alive means. */
static sp_err make_pulse(launcher *self)
{
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0) {
        return sp_fail(SP_EIO);
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    self->pulse_fd = ends[0];
    self->pulse_far_fd = ends[1];
    return sp_ok();
}

/* nginx takes listening sockets by number from its environment, and does not make them
 * non-blocking itself. */
static sp_err take_some(const char *scheme, size_t count, char **texts, sp_buf *numbers)
{
    for (size_t i = 0; i < count; i++) {
        char name[16];
        auto_buf sp_buf text = sp_buf_make(sizeof(name));
        sp_buf_fmt(&text, "%s%zu", scheme, i);
        TRY(sp_fit(name, sizeof(name), sp_buf_borrow(&text)));
        int fd = sp_entry_listen_fd(name);
        if (fd < 0) {
            sp_log(SP_LOG_ERROR,
                   "no socket \"%s\" was handed over: start this role by sallyport run or systemd",
                   name);
            return sp_fail(SP_ENOTFOUND);
        }
        TRY(address_text(fd, &texts[i]));
        fcntl(fd, F_SETFD, 0);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        sp_buf_fmt(numbers, "%d;", fd);
    }
    return sp_ok();
}

static sp_err take_sockets(launcher *self)
{
    auto_buf sp_buf numbers = sp_buf_make(sizeof(self->sockets));
    TRY(take_some("https", self->config->listen_count, self->listen, &numbers));
    TRY(take_some("http", self->config->http_count, self->http, &numbers));
    TRY(take_some("asked", self->config->asked_count, self->asked, &numbers));
    return sp_fit(self->sockets, sizeof(self->sockets), sp_buf_borrow(&numbers));
}

/* Beside this program in a build tree, else where it was installed. */
static sp_err find_module(launcher *self)
{
    char self_path[LAUNCH_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", self_path, sizeof(self_path));
    sp_span path = sp_span_of(self_path, len > 0 ? (size_t)len : 0);
    while (path.len > 0 && path.ptr[path.len - 1] != '/') {
        path.len--;
    }
    const char *const places[] = {"../gates/web/" MODULE_NAME, "../lib/sallyport/" MODULE_NAME,
                                  SP_WEB_MODULE_DIR "/" MODULE_NAME};
    for (size_t i = 0; i < SP_COUNT(places); i++) {
        auto_buf sp_buf file = sp_buf_make(LAUNCH_PATH_BYTES);
        sp_buf_span(&file, places[i][0] == '/' ? SP_SPAN_EMPTY : path);
        sp_buf_text(&file, places[i]);
        TRY(sp_fit(self->module_file, sizeof(self->module_file), sp_buf_borrow(&file)));
        auto_free char *whole = realpath(self->module_file, NULL);
        if (whole != NULL) {
            return sp_fit(self->module_file, sizeof(self->module_file), sp_span_cstr(whole));
        }
    }
    sp_log(SP_LOG_ERROR, MODULE_NAME " is not there: install it to " SP_WEB_MODULE_DIR);
    return sp_fail(SP_ENOTFOUND);
}

/* An nginx that a launcher before us left behind goes on serving until ours does. */
static void find_old(launcher *self)
{
    char path[LAUNCH_PATH_BYTES];
    launch_path(self, "nginx.pid", path);
    auto_buf sp_buf text = sp_buf_make(64);
    uint64_t pid = 0;
    if (sp_failed(sp_file_read(path, &text)) ||
        sp_failed(sp_span_to_u64(sp_span_trim(sp_buf_borrow(&text)), 1 << 22, &pid))) {
        return;
    }
    auto_buf sp_buf name_path = sp_buf_make(64);
    sp_buf_fmt(&name_path, "/proc/%llu/comm", (unsigned long long)pid);
    sp_buf_byte(&name_path, '\0');
    auto_buf sp_buf name = sp_buf_make(64);
    bool ours = !sp_failed(sp_file_read((const char *)sp_buf_borrow(&name_path).ptr, &name)) &&
                sp_span_eq(sp_span_trim(sp_buf_borrow(&name)), SP_SPAN_LIT("nginx"));
    if (ours) {
        self->old[self->old_count++] = (pid_t)pid;
        unlink(path);
    }
}

static sp_err make_dirs(launcher *self)
{
    static const char *const names[] = {"", "tmp", "acme", "status"};
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        char path[LAUNCH_PATH_BYTES];
        launch_path(self, names[i], path);
        sp_err err = sp_dir_make(path, 0700);
        if (sp_failed(err) && err.code != SP_EEXISTS) {
            sp_log(SP_LOG_ERROR, "cannot make %s (%s)", path, sp_code_word(err.code));
            return err;
        }
    }
    return sp_ok();
}

static sp_err find_paths(launcher *self)
{
    const sp_config *config = self->config;
    TRY(sp_config_socket(config, "core", &self->core_path));
    TRY(sp_config_socket(config, "api", &self->api_path));
    TRY(sp_config_socket(config, "ledger", &self->ledger_path));
    TRY(sp_config_socket(config, "vault", &self->vault_path));
    auto_free char *probe = NULL;
    TRY(sp_config_state(config, SP_ROLE_WEB, "x", &probe));
    sp_span dir = sp_span_cstr(probe);
    return sp_strdup(sp_span_slice(dir, 0, dir.len - 2), &self->dir);
}

static sp_err lock_in(const launcher *self)
{
    struct rlimit files = {.rlim_max = 1024};
    getrlimit(RLIMIT_NOFILE, &files);
    const sp_sandbox cage = {
        .role = "web",
        .may = SP_MAY_FILES | SP_MAY_SPAWN | SP_MAY_CONNECT | SP_MAY_SIGNAL,
        .read = {self->module_file, "?/etc/ssl", "?/usr/share/nginx"},
        .write = {self->dir},
        .execute = {"/usr/sbin/nginx"},
        .files_max = files.rlim_max > 65536 ? 65536 : files.rlim_max,
    };
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_err err = sp_sandbox_enter(&cage, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

/* ---- the loop ---- */

static void stop(launcher *self)
{
    if (!self->stopping) {
        self->stopping = true;
        sp_entry_notify("STOPPING=1");
        launch_nginx_stop(self);
    }
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
    (void)number;
    stop(signal->data);
}

static void on_hangup(uv_signal_t *signal, int number)
{
    (void)number;
    launch_tls_ask(signal->data);
}

static void finish(launcher *self)
{
    launch_core_stop(self);
    launch_tls_stop(self);
    uv_handle_t *const handles[] = {(uv_handle_t *)&self->on_term, (uv_handle_t *)&self->on_int,
                                    (uv_handle_t *)&self->on_hup, (uv_handle_t *)&self->tick};
    for (size_t i = 0; i < SP_COUNT(handles); i++) {
        if (!uv_is_closing(handles[i])) {
            uv_close(handles[i], NULL);
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    launcher *self = timer->data;
    launch_core_tick(self);
    launch_nginx_tick(self);
    if (++self->ticks % TLS_EVERY_TICKS == 0) {
        launch_tls_ask(self);
    }
    if (self->stopping && !self->nginx_runs && !self->test_runs) {
        finish(self);
    }
}

static sp_err watch(launcher *self)
{
    struct {
        uv_signal_t *handle;
        uv_signal_cb call;
        int number;
    } const signals[] = {{&self->on_term, on_stop_signal, SIGTERM},
                         {&self->on_int, on_stop_signal, SIGINT},
                         {&self->on_hup, on_hangup, SIGHUP}};
    for (size_t i = 0; i < SP_COUNT(signals); i++) {
        if (uv_signal_init(&self->loop, signals[i].handle) != 0 ||
            uv_signal_start(signals[i].handle, signals[i].call, signals[i].number) != 0) {
            return sp_fail(SP_EIO);
        }
        signals[i].handle->data = self;
    }
    self->tick.data = self;
    if (uv_timer_init(&self->loop, &self->tick) != 0 ||
        uv_timer_start(&self->tick, on_tick, 0, TICK_MS) != 0) {
        return sp_fail(SP_EIO);
    }
    return launch_tls_start(self);
}

static sp_err prepare(launcher *self)
{
    TRY(find_paths(self));
    TRY(find_module(self));
    TRY(make_dirs(self));
    TRY(take_sockets(self));
    TRY(make_pulse(self));
    find_old(self);
    TRY(lock_in(self));
    self->core_fd = -1;
    self->core_packet = sp_buf_make(SP_MSG_MAX_BYTES);
    self->conf = sp_buf_make((size_t)32 << 20);
    self->restart_pause_ms = 100;
    launch_status_start(self);
    return uv_loop_init(&self->loop) == 0 ? watch(self) : sp_fail(SP_EIO);
}

static void release(launcher *self)
{
    launch_nginx_done(self);
    sp_buf_done(&self->core_packet);
    sp_buf_done(&self->status);
    sp_shm_done(&self->snapshot);
    char *const texts[] = {self->core_path, self->api_path, self->ledger_path, self->vault_path,
                           self->dir};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_free(texts[i]);
    }
    for (size_t i = 0; i < SP_LISTEN_MAX; i++) {
        sp_free(self->listen[i]);
        sp_free(self->http[i]);
        sp_free(self->asked[i]);
    }
}

int sp_web_role(const sp_config *config)
{
    static launcher self;
    self.config = config;
    sp_log_start("web", SP_LOG_INFO);
    sp_err err = prepare(&self);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the web gate cannot start (%s)", sp_code_word(err.code));
        return EXIT_FAILURE;
    }
    uv_run(&self.loop, UV_RUN_DEFAULT);
    uv_loop_close(&self.loop);
    release(&self);
    return EXIT_SUCCESS;
}
