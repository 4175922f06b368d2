/* SPDX-License-Identifier: Apache-2.0
 * Resources, their parts, actions and transfers, into records of the snapshot.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema; hosts, upstreams and paths
 * go into nginx's configuration, so they are checked byte by byte here. SPEC docs/POLICY.md.
 */
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

#include <stdlib.h>

enum { DEFAULT_OVER_BYTES = 8 << 20, PORT_MAX = 65535 };

static const char *const FILE_TYPES[] = {
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/x-bzip2",
    "application/x-xz",
    "application/zstd",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/x-rar-compressed",
    "application/octet-stream",
    "application/pdf",
    "application/msword",
    "application/vnd.ms-*",
    "application/vnd.openxmlformats-officedocument.*",
    "application/vnd.oasis.opendocument.*",
    "application/sql",
    "application/x-sqlite3",
    "text/csv",
};

typedef struct {
    compiling *c;
    const doc_resource *doc;
    uint32_t index;
    const char *file;
} resolving;

static void wrong(const resolving *r, const doc_text *at, const char *fault)
{
    set_wrong(r->c, r->file, at, fault);
}

/* ---- hosts, upstreams, paths ---- */

static bool is_port(sp_span text)
{
    uint64_t port = 0;
    return !sp_failed(sp_span_to_u64(text, PORT_MAX, &port)) && port > 0;
}

/* Bytes of the host that an authority begins with, 0 = none: "[v6]", or a name or IPv4 address. */
static size_t host_len(sp_span text)
{
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = sp_span_index(text, ']') + 1;
        uint8_t address[16];
        bool v4 = false;
        sp_err err = end > text.len
                         ? sp_fail(SP_EINVALID)
                         : sp_address_parse(sp_span_slice(text, 1, end - 1), address, &v4);
        return sp_failed(err) || v4 ? 0 : end;
    }
    size_t end = 0;
    while (end < text.len &&
           (sp_is_alnum(text.ptr[end]) || text.ptr[end] == '.' || text.ptr[end] == '-')) {
        end++;
    }
    return end;
}

bool set_is_host_and_port(sp_span text)
{
    size_t end = host_len(text);
    if (end == 0 || end == text.len) {
        return end > 0;
    }
    return text.ptr[end] == ':' && is_port(sp_span_slice(text, end + 1, text.len));
}

sp_err set_host_and_port(sp_span text, sp_span *ret_host, uint16_t *port)
{
    if (!set_is_host_and_port(text)) {
        return sp_fail(SP_EINVALID);
    }
    size_t end = host_len(text);
    bool bracket = text.ptr[0] == '[';
    *ret_host = bracket ? sp_span_slice(text, 1, end - 1) : sp_span_slice(text, 0, end);
    if (end < text.len) {
        uint64_t value = 0;
        TRY(sp_span_to_u64(sp_span_slice(text, end + 1, text.len), UINT16_MAX, &value));
        *port = (uint16_t)value;
    }
    return sp_ok();
}

static bool is_upstream(sp_span text)
{
    static const char *const SCHEMES[] = {"http://", "https://"};
    for (size_t i = 0; i < SP_COUNT(SCHEMES); i++) {
        sp_span scheme = sp_span_cstr(SCHEMES[i]);
        if (sp_span_starts(text, scheme)) {
            return set_is_host_and_port(sp_span_slice(text, scheme.len, text.len));
        }
    }
    return false;
}

/* What each segment of a path may look like. NULL when they are well. */
const char *set_segments_fault(sp_span rest)
{
    size_t segments = 0;
    sp_span segment = SP_SPAN_EMPTY;
    while (sp_span_split(&rest, '/', &segment)) {
        segments++;
        if (segment.len == 0 || sp_span_eq(segment, SP_SPAN_LIT(".")) ||
            sp_span_eq(segment, SP_SPAN_LIT(".."))) {
            return "a path has no empty, '.' or '..' segments";
        }
        if (segment.len > 1 && sp_span_index(segment, '*') != segment.len) {
            return "'*' stands for one whole segment";
        }
    }
    return segments > SNAP_SEGMENTS_MAX ? "a path has at most 32 segments" : NULL;
}

/* What a path may look like once it is decoded and normalised. NULL when it is well. */
const char *set_path_fault(sp_span path)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return "a path begins with '/'";
    }
    if (path.len > 1 && path.ptr[path.len - 1] == '/') {
        return "a path ends without '/': it means everything below it anyway";
    }
    for (size_t i = 0; i < path.len; i++) {
        uint8_t ch = path.ptr[i];
        if (ch <= 0x20 || ch == 0x7f || sp_span_index(SP_SPAN_LIT("?#\\%"), ch) < 4) {
            return "a path is written decoded, without blanks, '?', '#', '%' and '\\'";
        }
    }
    return set_segments_fault(sp_span_slice(path, 1, path.len));
}

static size_t segments_of(sp_span path)
{
    size_t count = 0;
    for (size_t i = 0; i + 1 < path.len; i++) {
        count += path.ptr[i] == '/' ? 1 : 0;
    }
    return count;
}

int set_compare_paths(sp_span a, sp_span b)
{
    size_t segments_a = segments_of(a);
    size_t segments_b = segments_of(b);
    if (segments_a != segments_b) {
        return segments_a > segments_b ? -1 : 1;
    }
    sp_span piece_a = SP_SPAN_EMPTY;
    sp_span piece_b = SP_SPAN_EMPTY;
    sp_span rest_a = a;
    sp_span rest_b = b;
    while (sp_span_split(&rest_a, '/', &piece_a) && sp_span_split(&rest_b, '/', &piece_b)) {
        bool any_a = sp_span_eq(piece_a, SP_SPAN_LIT("*"));
        bool any_b = sp_span_eq(piece_b, SP_SPAN_LIT("*"));
        if (any_a != any_b) {
            return any_a ? 1 : -1;
        }
    }
    return sp_span_compare(a, b);
}

static bool path_below(sp_span path, sp_span above)
{
    return above.len == 1 ||
           (sp_span_starts(path, above) && (path.len == above.len || path.ptr[above.len] == '/'));
}

/* ---- transfers ---- */

static sp_err put_transfer(sp_policy_set *set, const doc_transfer *doc, const char *const *types,
                           size_t types_count, uint32_t *ret_index)
{
    bool own_types = doc != NULL && doc->has_types != 0;
    size_t count = own_types ? doc->types.count : types_count;
    vec *section = &set->sections[SNAP_TYPES];
    snap_run run = {(uint32_t)section->count, (uint32_t)count};
    for (size_t i = 0; i < count; i++) {
        sp_span type = sp_span_cstr(i < types_count ? types[i] : NULL);
        if (own_types) {
            type = doc->types.items[i].text;
        }
        snap_text text = {0};
        snap_text *item = NULL;
        TRY(set_text(set, type, &text));
        TRY(vec_add(section, 1, &item));
        *item = text;
    }
    snap_transfer *transfer = NULL;
    *ret_index = (uint32_t)set->sections[SNAP_TRANSFERS].count;
    TRY(vec_add(&set->sections[SNAP_TRANSFERS], 1, &transfer));
    transfer->types = run;
    transfer->by_disposition = doc == NULL || doc->disposition != DOC_FALSE;
    transfer->by_multipart = transfer->by_disposition;
    transfer->over_bytes =
        doc != NULL && doc->over.line != 0 ? doc->over.value : (uint64_t)DEFAULT_OVER_BYTES;
    if (doc != NULL && doc->by_size == DOC_FALSE) {
        transfer->over_bytes = UINT64_MAX;
    }
    return sp_ok();
}

/* The index of the transfer that holds here: its own, or the one above it. */
static sp_err own_transfer(const resolving *r, const doc_transfer *doc, uint32_t above,
                           uint32_t *ret_index)
{
    *ret_index = above;
    if (doc->place.line == 0) {
        return sp_ok();
    }
    for (size_t i = 0; i < doc->types.count; i++) {
        const doc_text *type = &doc->types.items[i];
        size_t star = sp_span_index(type->text, '*');
        if (sp_span_index(type->text, '/') == type->text.len || star + 1 < type->text.len) {
            wrong(r, type, "a media type, as in text/csv or image/*");
        }
    }
    return put_transfer(r->c->set, doc, FILE_TYPES, SP_COUNT(FILE_TYPES), ret_index);
}

/* ---- actions ---- */

static bool is_method(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.ptr[i] < 'A' || text.ptr[i] > 'Z') && text.ptr[i] != '-') {
            return false;
        }
    }
    return text.len > 0;
}

static sp_err put_actions(const resolving *r, const doc_maps *actions, sp_span below)
{
    sp_policy_set *set = r->c->set;
    const doc_action *items = actions->items;
    for (size_t i = 0; i < actions->count; i++) {
        const doc_action *doc = &items[i];
        sp_span path = doc->path.line != 0 ? doc->path.text : below;
        const char *fault = set_path_fault(path);
        if (fault == NULL && !path_below(path, below)) {
            fault = "an action of a part has a path below that of the part";
        }
        if (fault != NULL) {
            wrong(r, &doc->path, fault);
            continue;
        }
        if (doc->method.line != 0 && !is_method(doc->method.text)) {
            wrong(r, &doc->method, "a method is written in capitals, as in POST");
            continue;
        }
        snap_action *action = NULL;
        snap_text path_text = {0};
        snap_text method_text = {0};
        TRY(set_text(set, path, &path_text));
        TRY(set_text(set, doc->method.text, &method_text));
        TRY(vec_add(&set->sections[SNAP_ACTIONS], 1, &action));
        *action = (snap_action){method_text, path_text, doc->action == 0 ? 0 : doc->action - 1U};
    }
    return sp_ok();
}

static sp_span text_in(const sp_policy_set *set, snap_text text)
{
    const uint8_t *bytes = set->sections[SNAP_TEXT].items;
    return text.len == 0 ? SP_SPAN_EMPTY : sp_span_of(bytes + text.at, text.len);
}

static int compare_actions(const void *a, const void *b, void *set)
{
    const snap_action *one = a;
    const snap_action *other = b;
    int order = set_compare_paths(text_in(set, one->path), text_in(set, other->path));
    if (order != 0) {
        return order;
    }
    /* a method before every method; what stands for itself only twice keeps its order */
    return (one->method.len == 0) - (other->method.len == 0);
}

/* ---- parts ---- */

static int compare_parts(const void *a, const void *b, void *set)
{
    const snap_part *one = a;
    const snap_part *other = b;
    return set_compare_paths(text_in(set, one->path), text_in(set, other->path));
}

static sp_err put_part(const resolving *r, const doc_part *doc, const snap_resource *resource)
{
    sp_policy_set *set = r->c->set;
    snap_part part = {.resource = r->index, .class_level = resource->class_level};
    const char *fault = set_path_fault(doc->path.text);
    if (fault != NULL) {
        wrong(r, &doc->path, fault);
        return sp_ok();
    }
    if (set->sections[SNAP_PARTS].count == SP_POLICY_PARTS_MAX) {
        wrong(r, &doc->path, "more parts in all than the limit of 100000");
        return sp_ok();
    }
    part.class_level = set_class_or(r->c, r->file, &doc->class_name, resource->class_level);
    TRY(set_tag_bits(r->c, r->file, &doc->tags, &part.tags));
    part.tags |= resource->tags;
    set->tags_in_use |= part.tags;
    TRY(own_transfer(r, &doc->exports, resource->export_rule, &part.export_rule));
    TRY(own_transfer(r, &doc->imports, resource->import_rule, &part.import_rule));
    TRY(set_text(set, doc->path.text, &part.path));
    TRY(set_text(set, doc->name.line != 0 ? doc->name.text : doc->path.text, &part.name));
    snap_part *room = NULL;
    TRY(vec_add(&set->sections[SNAP_PARTS], 1, &room));
    *room = part;
    return put_actions(r, &doc->actions, doc->path.text);
}

/* ---- what is written twice ---- */

/* As the gate compares it: with ignore_case, "/Admin" and "/admin" are one. */
static sp_err folded(const resolving *r, sp_span method, sp_span path, sp_span *ret_key)
{
    uint8_t *room = NULL;
    TRY(sp_arena_alloc(&r->c->set->arena, method.len + 1 + path.len, 1, &room));
    sp_copy(room, method.ptr, method.len);
    room[method.len] = ' ';
    for (size_t i = 0; i < path.len; i++) {
        uint8_t byte = path.ptr[i];
        bool capital = r->doc->web.ignore_case == DOC_TRUE && byte >= 'A' && byte <= 'Z';
        room[method.len + 1 + i] = capital ? (uint8_t)(byte | 0x20) : byte;
    }
    *ret_key = sp_span_of(room, method.len + 1 + path.len);
    return sp_ok();
}

static sp_err check_same_paths(const resolving *r, snap_run run, name_table *seen)
{
    const snap_part *parts = (const snap_part *)r->c->set->sections[SNAP_PARTS].items + run.at;
    for (uint32_t i = 0; i < run.count; i++) {
        sp_span key = SP_SPAN_EMPTY;
        sp_span path = text_in(r->c->set, parts[i].path);
        uint32_t first = 0;
        TRY(folded(r, SP_SPAN_EMPTY, path, &key));
        sp_err err = name_put(seen, key, i, &first);
        if (err.code == SP_EEXISTS) {
            set_error(r->c, &r->doc->web.place, "two parts with the path '%.*s'",
                      SP_SPAN_ARG(path));
        } else {
            TRY(err);
        }
    }
    return sp_ok();
}

/* Two that only ignore_case makes one, and that say different things. */
static sp_err check_same_actions(const resolving *r, snap_run run, name_table *seen)
{
    const snap_action *all = (const snap_action *)r->c->set->sections[SNAP_ACTIONS].items + run.at;
    for (uint32_t i = 0; i < run.count && r->doc->web.ignore_case == DOC_TRUE; i++) {
        sp_span key = SP_SPAN_EMPTY;
        sp_span path = text_in(r->c->set, all[i].path);
        uint32_t first = 0;
        TRY(folded(r, text_in(r->c->set, all[i].method), path, &key));
        sp_err err = name_put(seen, key, i, &first);
        if (err.code != SP_EEXISTS) {
            TRY(err);
        } else if (name_get(seen, key, &first) && all[first].action != all[i].action) {
            set_error(r->c, &r->doc->web.place,
                      "two actions for '%.*s', which with 'ignore_case' is one path",
                      SP_SPAN_ARG(path));
        }
    }
    return sp_ok();
}

static sp_err check_twice(const resolving *r, const snap_resource *resource)
{
    name_table parts = {0};
    name_table actions = {0};
    sp_err err = check_same_paths(r, resource->parts, &parts);
    if (!sp_failed(err)) {
        err = check_same_actions(r, resource->actions, &actions);
    }
    name_table_done(&parts);
    name_table_done(&actions);
    return err;
}

static sp_err put_web(const resolving *r, snap_resource *out)
{
    sp_policy_set *set = r->c->set;
    const doc_web *web = &r->doc->web;
    if (!sp_span_is_label(web->host.text)) {
        wrong(r, &web->host, "a host is one label of a DNS name: a-z, 0-9 and '-' inside");
    }
    if (!is_upstream(web->upstream.text)) {
        wrong(r, &web->upstream,
              "an upstream is http:// or https://, a host, and a port if need be; no path");
    }
    TRY(set_text(set, web->host.text, &out->host));
    TRY(set_text(set, web->upstream.text, &out->upstream));
    out->flags = SNAP_WEB;
    out->flags |= web->identity == DOC_IDENTITY_JWT + 1 ? SNAP_IDENTITY : 0;
    out->flags |= web->websocket == DOC_TRUE ? SNAP_WEBSOCKET : 0;
    out->flags |= web->ignore_case == DOC_TRUE ? SNAP_IGNORE_CASE : 0;
    out->upload_max_bytes = web->upload_max.value;
    vec *parts = &set->sections[SNAP_PARTS];
    vec *actions = &set->sections[SNAP_ACTIONS];
    out->parts.at = (uint32_t)parts->count;
    out->actions.at = (uint32_t)actions->count;
    TRY(put_actions(r, &web->actions, SP_SPAN_LIT("/")));
    const doc_part *items = web->parts.items;
    for (size_t i = 0; i < web->parts.count; i++) {
        TRY(put_part(r, &items[i], out));
    }
    out->parts.count = (uint32_t)parts->count - out->parts.at;
    out->web_parts = out->parts.count;
    out->actions.count = (uint32_t)actions->count - out->actions.at;
    if (out->parts.count > 1) {
        qsort_r((snap_part *)parts->items + out->parts.at, out->parts.count, sizeof(snap_part),
                compare_parts, set);
    }
    if (out->actions.count > 1) {
        qsort_r((snap_action *)actions->items + out->actions.at, out->actions.count,
                sizeof(snap_action), compare_actions, set);
    }
    return check_twice(r, out);
}

static sp_err put_resource(compiling *c, const doc_resource *doc, uint32_t index)
{
    sp_policy_set *set = c->set;
    resolving r = {c, doc, index, doc->head.place.file};
    snap_resource out = {.export_rule = 0, .import_rule = 1, .database = SP_NONE, .ssh = SP_NONE};
    uint32_t class_at = 0;
    if (!name_get(&set->class_names, doc->class_name.text, &class_at)) {
        set_unknown(c, r.file, &doc->class_name, "class", &set->class_names);
    }
    out.class_level = (uint8_t)class_at;
    TRY(set_tag_bits(c, r.file, &doc->tags, &out.tags));
    set->tags_in_use |= out.tags;
    bool titled = doc->title.en.line != 0;
    TRY(set_text(set, doc->head.name.text, &out.name));
    TRY(set_text(set, titled ? doc->title.en.text : doc->head.name.text, &out.title_en));
    TRY(set_text(set, doc->title.zh.text, &out.title_zh));
    TRY(own_transfer(&r, &doc->exports, 0, &out.export_rule));
    TRY(own_transfer(&r, &doc->imports, 1, &out.import_rule));
    if (doc->web.place.line != 0) {
        TRY(put_web(&r, &out));
    }
    if (doc->postgres.place.line != 0) {
        TRY(set_resolve_database(c, doc, index, &out));
    }
    if (doc->ssh.place.line != 0) {
        TRY(set_resolve_ssh(c, doc, index, &out));
    }
    snap_resource *room = NULL;
    TRY(vec_add(&set->sections[SNAP_RESOURCES], 1, &room));
    *room = out;
    return sp_ok();
}

/* ---- the whole ---- */

static int compare_names(const void *a, const void *b)
{
    const doc_resource *const *one = a;
    const doc_resource *const *other = b;
    return sp_span_compare((*one)->head.name.text, (*other)->head.name.text);
}

static sp_err sort_resources(sp_policy_set *set)
{
    doc_maps *maps = &set->docs.kinds[SP_DOC_RESOURCE];
    doc_resource *items = maps->items;
    TRY(sp_arena_alloc(&set->arena, maps->count, sizeof(doc_resource *), &set->resources));
    for (size_t i = 0; i < maps->count; i++) {
        set->resources[i] = &items[i];
    }
    if (maps->count > 1) {
        qsort(set->resources, maps->count, sizeof(doc_resource *), compare_names);
    }
    for (size_t i = 0; i < maps->count; i++) {
        uint32_t at = 0;
        sp_err err =
            name_put(&set->resource_names, set->resources[i]->head.name.text, (uint32_t)i, &at);
        if (sp_failed(err) && err.code != SP_EEXISTS) {
            return err;
        }
    }
    return sp_ok();
}

static int compare_hosts(const void *a, const void *b, void *set)
{
    const sp_policy_set *s = set;
    const snap_resource *resources = s->sections[SNAP_RESOURCES].items;
    return sp_span_compare(text_in(s, resources[*(const uint32_t *)a].host),
                           text_in(s, resources[*(const uint32_t *)b].host));
}

static sp_err sort_hosts(compiling *c)
{
    sp_policy_set *set = c->set;
    const snap_resource *resources = set->sections[SNAP_RESOURCES].items;
    vec *hosts = &set->sections[SNAP_HOSTS];
    for (uint32_t i = 0; i < set->sections[SNAP_RESOURCES].count; i++) {
        uint32_t *room = NULL;
        if ((resources[i].flags & SNAP_WEB) != 0) {
            TRY(vec_add(hosts, 1, &room));
            *room = i;
        }
    }
    if (hosts->count > 1) {
        qsort_r(hosts->items, hosts->count, sizeof(uint32_t), compare_hosts, set);
    }
    const uint32_t *list = hosts->items;
    for (size_t i = 1; i < hosts->count; i++) {
        if (compare_hosts(&list[i - 1], &list[i], set) == 0) {
            const doc_resource *doc = set->resources[list[i]];
            const doc_resource *other = set->resources[list[i - 1]];
            sp_diags_add(c->diags, SP_DIAG_ERROR, doc->head.place.file, doc->web.host.line,
                         doc->web.host.column, "host '%.*s' is already that of resource '%.*s'",
                         SP_SPAN_ARG(doc->web.host.text), SP_SPAN_ARG(other->head.name.text));
        }
    }
    return sp_ok();
}

sp_err set_resolve_resources(compiling *c)
{
    sp_policy_set *set = c->set;
    uint32_t index = 0;
    TRY(put_transfer(set, NULL, FILE_TYPES, SP_COUNT(FILE_TYPES), &index));
    TRY(put_transfer(set, NULL, FILE_TYPES, SP_COUNT(FILE_TYPES), &index));
    TRY(sort_resources(set));
    for (size_t i = 0; i < set->docs.kinds[SP_DOC_RESOURCE].count; i++) {
        TRY(put_resource(c, set->resources[i], (uint32_t)i));
    }
    return sort_hosts(c);
}
