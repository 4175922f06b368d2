/* SPDX-License-Identifier: Apache-2.0
 * libmicrohttpd on the loop: listeners, and the life of a request.
 * OWNS listeners and requests. PROCESS core. TRUST bytes are hostile and parsed by libmicrohttpd;
 * the peer's uid is the kernel's word. SPEC core/http/http.h; libmicrohttpd "external event loop".
 *
 * libmicrohttpd gives one epoll descriptor a daemon. The loop polls it, and a timer stands for what
 * MHD_get_timeout() says. A request whose handler answers later is suspended meanwhile.
 */
#include "core/http/inside.h"
#include "core/http/sse.h"
#include "infra/proc/log.h"

#include <sys/socket.h>
#include <unistd.h>

enum { IDLE_TIMEOUT_S = 75, MEMORY_PER_CONNECTION_BYTES = 64 * 1024 };

typedef struct {
    sp_http *http;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    bool local;
} listener;

struct sp_http {
    sp_core *core;
    sp_files *files;
    listener api;
    listener on_host;
    sp_request *requests;
    size_t closing;
    bool stopping;
};

/* ---- the loop ---- */

static void run_daemon(listener *side);

static void on_timer(uv_timer_t *timer)
{
    run_daemon(timer->data);
}

static void on_epoll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run_daemon(poll->data);
}

static void arm(listener *side)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    if (MHD_get_timeout(side->daemon, &wait_ms) == MHD_YES) {
        uv_timer_start(&side->timer, on_timer, wait_ms, 0);
    } else {
        uv_timer_stop(&side->timer);
    }
}

static void run_daemon(listener *side)
{
    if (side->daemon != NULL && !side->http->stopping) {
        MHD_run(side->daemon);
        arm(side);
    }
}

void sp_http_kick(sp_http *http)
{
    if (http->api.daemon != NULL && !http->stopping) {
        uv_timer_start(&http->api.timer, on_timer, 0, 0);
    }
    if (http->on_host.daemon != NULL && !http->stopping) {
        uv_timer_start(&http->on_host.timer, on_timer, 0, 0);
    }
}

/* ---- one request ---- */

static void request_free(sp_request *req)
{
    if (req->prev != NULL) {
        req->prev->next = req->next;
    } else if (req->http->requests == req) {
        req->http->requests = req->next;
    }
    if (req->next != NULL) {
        req->next->prev = req->prev;
    }
    if (req->response != NULL) {
        MHD_destroy_response(req->response);
    }
    for (const sp_request_end *end = req->ends; end != NULL; end = end->next) {
        end->done(end->data);
    }
    json_decref(req->json);
    sp_buf_wipe(&req->body); /* it may hold a password */
    sp_buf_done(&req->body);
    sp_arena_done(&req->arena);
    sp_free(req);
}

static sp_err request_new(listener *side, struct MHD_Connection *connection, const char *url,
                          const char *method, sp_request **ret_request)
{
    auto_free sp_request *req = NULL;
    TRY(sp_alloc(1, sizeof(*req), &req));
    req->http = side->http;
    req->core = side->http->core;
    req->local = side->local;
    req->connection = connection;
    req->session_slot = SP_NONE;
    req->arena = sp_arena_make(SP_REQUEST_ARENA_BYTES);
    sp_span method_copy = SP_SPAN_EMPTY;
    TRY(sp_arena_copy(&req->arena, sp_span_cstr(url), &req->path));
    TRY(sp_arena_copy(&req->arena, sp_span_cstr(method), &method_copy));
    req->method = (const char *)method_copy.ptr;
    req->next = side->http->requests;
    if (req->next != NULL) {
        req->next->prev = req;
    }
    side->http->requests = req;
    *ret_request = SP_STEAL(req);
    return sp_ok();
}

static bool peer_may(const listener *side, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return false;
    }
    if (side->local) {
        return peer.uid == 0 || peer.uid == geteuid();
    }
    return sp_config_uid_is(side->http->core->config, peer.uid, SP_ROLE_WEB);
}

static void route_request(sp_request *req, sp_route_result result)
{
    bool portal = req->local || sp_span_eq(req->host, sp_span_cstr(req->core->portal_host));
    bool api = sp_span_starts(req->path, SP_SPAN_LIT("/api/"));
    if (result == SP_ROUTE_FOUND) {
        if (sp_request_admit(req)) {
            req->route->handler(req);
        }
    } else if (result == SP_ROUTE_NO_METHOD) {
        sp_answer_problem(req, 405, "method", "This path does not serve %.16s.", req->method);
    } else if (api || !portal || req->http->files == NULL ||
               !sp_files_answer(req->http->files, req)) {
        sp_answer_problem(req, 404, "not_found", "There is nothing at this path.");
    }
}

static void dispatch(sp_request *req)
{
    req->dispatched = true;
    req->inside_handler = true;
    route_request(req, req->route != NULL
                           ? SP_ROUTE_FOUND
                           : sp_router_find(req->core->router, sp_span_cstr(req->method), req->path,
                                            &req->route, req->params));
    req->inside_handler = false;
}

static enum MHD_Result queue_answer(sp_request *req)
{
    return MHD_queue_response(req->connection, req->status, req->response);
}

static void take_body(sp_request *req, const char *data, size_t len)
{
    sp_buf_span(&req->body, sp_span_of(data, len));
    if (sp_failed(sp_buf_error(&req->body))) {
        req->too_large = true;
        size_t max_bytes = req->body.max_bytes;
        sp_buf_wipe(&req->body);
        req->body.max_bytes = max_bytes;
    }
}

/* A large body is held in memory only for somebody whom the route is for: a stranger's ends at the
 * default. */
static size_t body_limit(const sp_request *req)
{
    const sp_route *route = req->route;
    size_t wanted = route->body_max_bytes != 0 ? route->body_max_bytes : SP_BODY_DEFAULT_BYTES;
    bool expected = req->local || (route->who & SP_WHO_PUBLIC) != 0 ||
                    (req->has_session && (route->who & (SP_WHO_SESSION | SP_WHO_PERSON)) != 0) ||
                    (req->has_session && (route->who & req->admin & SP_WHO_ANY_ADMIN) != 0);
    return expected || wanted < SP_BODY_DEFAULT_BYTES ? wanted : SP_BODY_DEFAULT_BYTES;
}

static enum MHD_Result begin_request(listener *side, struct MHD_Connection *connection,
                                     const char *url, const char *method, void **ret_request)
{
    sp_request *req = NULL;
    if (side->http->stopping || !peer_may(side, connection) ||
        sp_failed(request_new(side, connection, url, method, &req))) {
        return MHD_NO;
    }
    sp_request_identify(req);
    sp_route_result found = sp_router_find(req->core->router, sp_span_cstr(method), req->path,
                                           &req->route, req->params);
    req->body = sp_buf_make(found == SP_ROUTE_FOUND ? body_limit(req) : SP_BODY_DEFAULT_BYTES);
    *ret_request = req;
    return MHD_YES;
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **con_cls)
{
    (void)version;
    if (*con_cls == NULL) {
        return begin_request(self, connection, url, method, con_cls);
    }
    sp_request *req = *con_cls;
    if (*data_len > 0) {
        take_body(req, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    if (!req->dispatched) {
        dispatch(req);
    }
    if (req->answered) {
        return req->response == NULL ? MHD_NO : queue_answer(req);
    }
    req->suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

void sp_http_resume(sp_request *req)
{
    if (!req->inside_handler && req->suspended) {
        req->suspended = false;
        MHD_resume_connection(req->connection);
        sp_http_kick(req->http);
    }
}

void sp_http_drop(sp_request *req)
{
    req->answered = true;
    sp_http_resume(req);
}

static void on_completed(void *self, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)self;
    (void)connection;
    (void)why;
    if (*con_cls != NULL) {
        request_free(*con_cls);
        *con_cls = NULL;
    }
}

/* ---- start and stop ---- */

static sp_err start_listener(sp_http *http, listener *side, int fd, bool local)
{
    side->http = http;
    side->local = local;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    side->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, side, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, side, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)SP_HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (side->daemon == NULL) {
        return sp_fail(SP_EIO);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(side->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_loop_t *loop = http->core->loop;
    if (info == NULL || uv_poll_init(loop, &side->poll, info->epoll_fd) != 0 ||
        uv_timer_init(loop, &side->timer) != 0) {
        return sp_fail(SP_EIO);
    }
    side->poll.data = side;
    side->timer.data = side;
    if (uv_poll_start(&side->poll, UV_READABLE, on_epoll) != 0) {
        return sp_fail(SP_EIO);
    }
    arm(side);
    return sp_ok();
}

sp_err sp_http_start(sp_core *core, int api_fd, int local_fd, const char *files_dir,
                     sp_http **ret_http)
{
    sp_http *http = NULL;
    TRY(sp_alloc(1, sizeof(*http), &http));
    http->core = core;
    *ret_http = http; /* sp_http_stop takes back what was started */
    if (files_dir != NULL) {
        TRY(sp_files_load(files_dir, &http->files));
    }
    if (api_fd >= 0) {
        TRY(start_listener(http, &http->api, api_fd, false));
    }
    return local_fd >= 0 ? start_listener(http, &http->on_host, local_fd, true) : sp_ok();
}

static void listener_closed(uv_handle_t *handle)
{
    listener *side = handle->data;
    sp_http *http = side->http;
    if (--http->closing == 0) {
        sp_files_free(http->files);
        sp_free(http);
    }
}

static void stop_listener(listener *side)
{
    if (side->daemon != NULL) {
        uv_poll_stop(&side->poll);
        MHD_stop_daemon(side->daemon);
        side->daemon = NULL;
        side->http->closing += 2;
        uv_close((uv_handle_t *)&side->poll, listener_closed);
        uv_close((uv_handle_t *)&side->timer, listener_closed);
    }
}

void sp_http_stop(sp_http *http)
{
    if (http == NULL) {
        return;
    }
    http->stopping = true;
    for (sp_request *req = http->requests; req != NULL; req = req->next) {
        if (!req->answered) {
            sp_answer_problem(req, 503, "unavailable", "Sallyport is stopping. Try again.");
        }
    }
    http->closing = 1; /* ours, so that nothing is freed below */
    stop_listener(&http->api);
    stop_listener(&http->on_host);
    if (--http->closing == 0) {
        sp_files_free(http->files);
        sp_free(http);
    }
}
