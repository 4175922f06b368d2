/* SPDX-License-Identifier: Apache-2.0
 * How a web request becomes an action on a part of a resource, and a body an export or import.
 * OWNS nothing. PROCESS web gate, core. TRUST method, path and header values are hostile; the
 * snapshot was checked by sp_policy_open. SPEC docs/POLICY.md "Web".
 */
#include "lib/policy/web.h"

#include "lib/base/mem.h"
#include "lib/policy/snapshot.h"

bool sp_policy_web_resource(const sp_policy *policy, uint32_t resource, sp_web_resource *ret_web)
{
    const snap_resource *r = snap_resource_at(policy, resource);
    if (r == NULL || (r->flags & SNAP_WEB) == 0) {
        return false;
    }
    *ret_web = (sp_web_resource){
        .host = snap_span(policy, r->host),
        .upstream = snap_span(policy, r->upstream),
        .title_en = snap_span(policy, r->title_en),
        .title_zh = snap_span(policy, r->title_zh),
        .identity_jwt = (r->flags & SNAP_IDENTITY) != 0,
        .websocket = (r->flags & SNAP_WEBSOCKET) != 0,
        .upload_max_bytes = r->upload_max_bytes,
    };
    return true;
}

uint32_t sp_policy_web_find_host(const sp_policy *policy, sp_span host)
{
    const uint32_t *hosts = snap_at(policy, SNAP_HOSTS);
    const snap_resource *resources = snap_at(policy, SNAP_RESOURCES);
    uint32_t low = 0;
    uint32_t high = snap_count(policy, SNAP_HOSTS);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sp_span_compare(snap_span(policy, resources[hosts[middle]].host), host);
        if (order == 0) {
            return hosts[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return SP_NONE;
}

static sp_action action_of_method(sp_span method)
{
    static const struct {
        const char *method;
        sp_action action;
    } METHODS[] = {
        {"GET", SP_ACTION_READ},        {"HEAD", SP_ACTION_READ},   {"OPTIONS", SP_ACTION_READ},
        {"PROPFIND", SP_ACTION_READ},   {"REPORT", SP_ACTION_READ}, {"SEARCH", SP_ACTION_READ},
        {"POST", SP_ACTION_WRITE},      {"PUT", SP_ACTION_WRITE},   {"PATCH", SP_ACTION_WRITE},
        {"MKCOL", SP_ACTION_WRITE},     {"COPY", SP_ACTION_WRITE},  {"MOVE", SP_ACTION_ALTER},
        {"PROPPATCH", SP_ACTION_WRITE}, {"LOCK", SP_ACTION_WRITE},  {"UNLOCK", SP_ACTION_WRITE},
        {"DELETE", SP_ACTION_DESTROY},
    };
    for (size_t i = 0; i < SP_COUNT(METHODS); i++) {
        if (sp_span_eq(method, sp_span_cstr(METHODS[i].method))) {
            return METHODS[i].action;
        }
    }
    return SP_ACTION_ADMINISTER; /* unknown: what the fewest may do */
}

sp_web_place sp_policy_web_place(const sp_policy *policy, uint32_t resource, sp_span method,
                                 sp_span path)
{
    sp_web_place place = {SP_NONE, action_of_method(method)};
    const snap_resource *r = snap_resource_at(policy, resource);
    if (r == NULL) {
        return place;
    }
    bool ignore_case = (r->flags & SNAP_IGNORE_CASE) != 0;
    const snap_part *parts = snap_at(policy, SNAP_PARTS);
    for (uint32_t i = r->parts.at; i < r->parts.at + r->web_parts; i++) {
        if (snap_path_matches(snap_span(policy, parts[i].path), path, ignore_case)) {
            place.part = i;
            break;
        }
    }
    const snap_action *actions = (const snap_action *)snap_at(policy, SNAP_ACTIONS) + r->actions.at;
    for (uint32_t i = 0; i < r->actions.count; i++) {
        sp_span want = snap_span(policy, actions[i].method);
        if ((want.len == 0 || sp_span_eq(want, method)) &&
            snap_path_matches(snap_span(policy, actions[i].path), path, ignore_case)) {
            place.action = (sp_action)actions[i].action;
            break;
        }
    }
    return place;
}

static const snap_transfer *transfer_at(const sp_policy *policy, uint32_t resource, uint32_t part,
                                        bool import)
{
    uint32_t at = import ? 1 : 0;
    const snap_resource *r = snap_resource_at(policy, resource);
    if (r != NULL) {
        at = import ? r->import_rule : r->export_rule;
        if (part < snap_count(policy, SNAP_PARTS)) {
            const snap_part *p = (const snap_part *)snap_at(policy, SNAP_PARTS) + part;
            at = import ? p->import_rule : p->export_rule;
        }
    }
    return (const snap_transfer *)snap_at(policy, SNAP_TRANSFERS) + at;
}

/* "Text/CSV; charset=utf-8" -> "Text/CSV" */
static sp_span media_type(sp_span content_type)
{
    return sp_span_trim(sp_span_slice(content_type, 0, sp_span_index(content_type, ';')));
}

static bool type_listed(const sp_policy *policy, const snap_transfer *transfer, sp_span type)
{
    const snap_text *types = (const snap_text *)snap_at(policy, SNAP_TYPES) + transfer->types.at;
    for (uint32_t i = 0; i < transfer->types.count; i++) {
        sp_span want = snap_span(policy, types[i]);
        bool open_end = want.len > 0 && want.ptr[want.len - 1] == '*';
        size_t fixed = open_end ? want.len - 1 : want.len;
        if ((open_end ? type.len >= fixed : type.len == fixed) &&
            sp_span_eq_nocase(sp_span_slice(want, 0, fixed), sp_span_slice(type, 0, fixed))) {
            return true;
        }
    }
    return false;
}

static bool says_attachment(sp_span disposition)
{
    sp_span kind = sp_span_trim(sp_span_slice(disposition, 0, sp_span_index(disposition, ';')));
    /* RFC 6266: an unknown disposition is handled as attachment; inline is the exception */
    return kind.len > 0 && !sp_span_eq_nocase(kind, SP_SPAN_LIT("inline"));
}

bool sp_policy_web_is_export(const sp_policy *policy, uint32_t resource, uint32_t part,
                             sp_span content_type, sp_span content_disposition, uint64_t size_bytes)
{
    const snap_transfer *t = transfer_at(policy, resource, part, false);
    if (t->by_disposition != 0 && says_attachment(content_disposition)) {
        return true;
    }
    bool large = size_bytes != UINT64_MAX && size_bytes > t->over_bytes;
    return large || type_listed(policy, t, media_type(content_type));
}

uint64_t sp_policy_web_export_over_bytes(const sp_policy *policy, uint32_t resource, uint32_t part)
{
    uint64_t over = transfer_at(policy, resource, part, false)->over_bytes;
    return over == UINT64_MAX ? 0 : over;
}

/* Types that a program sends as data, not a person as a file. */
static bool is_plain_call(sp_span type)
{
    return sp_span_eq_nocase(type, SP_SPAN_LIT("application/json")) ||
           sp_span_eq_nocase(type, SP_SPAN_LIT("application/x-www-form-urlencoded")) ||
           (type.len > 5 &&
            sp_span_eq_nocase(sp_span_slice(type, type.len - 5, type.len), SP_SPAN_LIT("+json")));
}

bool sp_policy_web_is_import(const sp_policy *policy, uint32_t resource, uint32_t part,
                             sp_span method, sp_span content_type, uint64_t size_bytes)
{
    if (size_bytes == 0) {
        return false;
    }
    const snap_transfer *t = transfer_at(policy, resource, part, true);
    sp_span type = media_type(content_type);
    bool form = sp_span_eq_nocase(type, SP_SPAN_LIT("multipart/form-data"));
    bool put = sp_span_eq(method, SP_SPAN_LIT("PUT")) && !is_plain_call(type);
    if (t->by_multipart != 0 && (form || put)) {
        return true;
    }
    /* a length that is not told may be any, so UINT64_MAX is over every limit */
    return (size_bytes > t->over_bytes && t->over_bytes != UINT64_MAX) ||
           type_listed(policy, t, type);
}
