/* SPDX-License-Identifier: Apache-2.0
 * The table of routes.
 * OWNS the table, not the routes. PROCESS core. TRUST method and path are hostile.
 * SPEC core/http/router.h.
 */
#include "core/http/inside.h"

struct sp_router {
    const sp_route *routes[SP_ROUTES_MAX];
    size_t count;
};

sp_err sp_router_new(sp_router **ret_router)
{
    return sp_alloc(1, sizeof(**ret_router), ret_router);
}

void sp_router_free(sp_router *router)
{
    sp_free(router);
}

static bool same_route(const sp_route *a, const sp_route *b)
{
    return sp_span_eq(sp_span_cstr(a->method), sp_span_cstr(b->method)) &&
           sp_span_eq(sp_span_cstr(a->pattern), sp_span_cstr(b->pattern));
}

sp_err sp_router_add(sp_router *router, const sp_route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (router->count >= SP_ROUTES_MAX) {
            return sp_fail(SP_ELIMIT);
        }
        for (size_t k = 0; k < router->count; k++) {
            if (same_route(router->routes[k], &routes[i])) {
                return sp_fail(SP_EEXISTS);
            }
        }
        router->routes[router->count++] = &routes[i];
    }
    return sp_ok();
}

/* A literal segment beats a {..} one, so /people/export is not the person "export". */
static bool matches(const sp_route *route, sp_span path, sp_span params[SP_ROUTE_PARAMS_MAX],
                    size_t *ret_literals)
{
    sp_span pattern = sp_span_cstr(route->pattern);
    size_t at = 0;
    *ret_literals = 0;
    for (;;) {
        sp_span want;
        sp_span got;
        bool more_want = sp_span_split(&pattern, '/', &want);
        bool more_got = sp_span_split(&path, '/', &got);
        if (more_want != more_got) {
            return false;
        }
        if (!more_want) {
            return true;
        }
        if (want.len > 0 && want.ptr[0] == '{') {
            if (got.len == 0 || at >= SP_ROUTE_PARAMS_MAX) {
                return false;
            }
            params[at++] = got;
        } else if (sp_span_eq(want, got)) {
            (*ret_literals)++;
        } else {
            return false;
        }
    }
}

sp_route_result sp_router_find(const sp_router *router, sp_span method, sp_span path,
                               const sp_route **ret_route, sp_span params[SP_ROUTE_PARAMS_MAX])
{
    sp_route_result result = SP_ROUTE_NO_PATH;
    size_t best = 0;
    bool head = sp_span_eq(method, SP_SPAN_LIT("HEAD"));
    bool ends_in_slash = path.len > 1 && path.ptr[path.len - 1] == '/';
    for (size_t i = 0; i < router->count && !ends_in_slash; i++) {
        sp_span found[SP_ROUTE_PARAMS_MAX] = {0};
        size_t literals = 0;
        const sp_route *route = router->routes[i];
        if (!matches(route, path, found, &literals)) {
            continue;
        }
        sp_span serves = sp_span_cstr(route->method);
        if (!sp_span_eq(serves, method) && !(head && sp_span_eq(serves, SP_SPAN_LIT("GET")))) {
            result = result == SP_ROUTE_FOUND ? result : SP_ROUTE_NO_METHOD;
        } else if (result != SP_ROUTE_FOUND || literals > best) {
            result = SP_ROUTE_FOUND;
            best = literals;
            *ret_route = route;
            sp_copy(params, found, sizeof(found));
        }
    }
    return result;
}
