/* SPDX-License-Identifier: Apache-2.0
 * From what the policy set says about itself to the shapes of the API.
 * OWNS nothing. PROCESS core. TRUST documents compiled. SPEC core/admin/shapes.h.
 */
#include "core/admin/shapes.h"
#include "core/http/json.h"

/* ---- small pieces ---- */

json_t *sp_shape_list(const sp_policy_set *set, sp_doc_kind kind)
{
    auto_buf sp_buf text = sp_buf_make(256 << 20);
    sp_policy_json_list(set, kind, &text);
    sp_span bytes = sp_buf_borrow(&text);
    return json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static void move_member(json_t *to, const char *as, const json_t *from, const char *key)
{
    json_t *value = json_object_get(from, key);
    if (value != NULL) {
        json_object_set(to, as, value);
    }
}

/* "file:line" of a document. */
static void set_place(json_t *to, const json_t *document)
{
    const json_t *line = json_object_get(document, "line");
    json_object_set_new(
        to, "place",
        json_sprintf("%s:%lld", text_at(document, "file"), (long long)json_integer_value(line)));
}

/* ---- the text of a document ---- */

static bool is_separator(sp_span line)
{
    return sp_span_eq(sp_span_trim(line), SP_SPAN_LIT("---"));
}

/* The document that the line belongs to: between the separators around it. */
static sp_span cut_document(sp_span text, uint64_t line)
{
    sp_span rest = text;
    sp_span piece = SP_SPAN_EMPTY;
    size_t from = 0;
    size_t to = text.len;
    for (uint64_t at = 1; sp_span_split(&rest, '\n', &piece); at++) {
        size_t piece_at = (size_t)(piece.ptr - text.ptr);
        if (is_separator(piece) && at <= line) {
            from = piece_at + piece.len + 1;
        } else if (is_separator(piece)) {
            to = piece_at;
            break;
        }
    }
    return sp_span_trim(sp_span_slice(text, from, to));
}

static void set_yaml(json_t *to, const json_t *document, const sp_sources *sources)
{
    sp_span file = sp_span_cstr(text_at(document, "file"));
    json_int_t line = json_integer_value(json_object_get(document, "line"));
    sp_span text = SP_SPAN_EMPTY;
    for (size_t i = 0; i < sources->count; i++) {
        if (sp_span_eq(sp_span_cstr(sources->files[i].name), file)) {
            text = cut_document(sources->files[i].text, line < 0 ? 0 : (uint64_t)line);
        }
    }
    json_object_set_new(to, "yaml", sp_json_span(text));
}

/* ---- rules ---- */

typedef struct {
    const char *key;   /* in the document */
    const char *shown; /* "role:engineer" */
} key_name;

static const char *shown_key(const char *key)
{
    static const key_name names[] = {
        {"roles", "role"}, {"people", "person"}, {"classes", "class"},    {"resources", "resource"},
        {"tags", "tag"},   {"parts", "part"},    {"networks", "network"},
    };
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        if (sp_span_eq(sp_span_cstr(key), sp_span_cstr(names[i].key))) {
            return names[i].shown;
        }
    }
    return key;
}

static void add_pair(json_t *to, const char *key, const json_t *value)
{
    if (json_is_string(value)) {
        json_array_append_new(to, json_sprintf("%s:%s", key, json_string_value(value)));
    } else if (json_is_integer(value)) {
        json_array_append_new(to,
                              json_sprintf("%s:%lld", key, (long long)json_integer_value(value)));
    } else if (json_is_true(value)) {
        json_array_append_new(to, json_string(key));
    }
}

/* {roles: [a, b], owner: c} -> ["role:a", "role:b", "owner:c"] */
static json_t *flatten(const json_t *section)
{
    json_t *flat = json_array();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        if (!json_is_array(value)) {
            add_pair(flat, shown_key(key), value);
        }
        for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
            add_pair(flat, shown_key(key), json_array_get(value, i));
        }
    }
    return flat;
}

static json_t *rule_of(const json_t *document, const sp_sources *sources)
{
    static const char *const sections[] = {"who", "on", "to", "when", "with", "ask"};
    json_t *rule = json_object();
    const json_t *denied = json_object_get(document, "deny");
    bool asks = json_object_get(document, "ask") != NULL;
    const char *effect = asks ? "ask" : "allow";
    move_member(rule, "name", document, "name");
    json_object_set_new(rule, "effect", json_string(denied != NULL ? "deny" : effect));
    for (size_t i = 0; i < SP_COUNT(sections); i++) {
        const json_t *section = json_object_get(document, sections[i]);
        json_object_set_new(rule, sections[i], flatten(section));
    }
    move_member(rule, "may", document, denied != NULL ? "deny" : "may");
    move_member(rule, "warning", document, "warning");
    set_place(rule, document);
    set_yaml(rule, document, sources);
    return rule;
}

typedef json_t *(*shape_fn)(const json_t *document, const sp_sources *sources);

static json_t *shape_each(const sp_policy_set *set, sp_doc_kind kind, shape_fn shape,
                          const sp_sources *sources)
{
    json_t *list = sp_shape_list(set, kind);
    json_t *shaped = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_array_append_new(shaped, shape(json_array_get(list, i), sources));
    }
    json_decref(list);
    return shaped;
}

json_t *sp_shape_rules(const sp_policy_set *set, const sp_sources *sources)
{
    return shape_each(set, SP_DOC_RULE, rule_of, sources);
}

/* ---- nevers and examples: of a set that compiled, so proven and as expected ---- */

static json_t *never_of(const json_t *document, const sp_sources *sources)
{
    json_t *never = json_object();
    move_member(never, "name", document, "name");
    json_object_set_new(never, "state", json_string("proven"));
    const json_t *proof = json_object_get(document, "proof");
    move_member(never, "cases", proof, "cells");
    move_member(never, "rules", proof, "rules");
    move_member(never, "actions", document, "actions");
    move_member(never, "classes", document, "classes");
    set_place(never, document);
    set_yaml(never, document, sources);
    return never;
}

json_t *sp_shape_nevers(const sp_policy_set *set, const sp_sources *sources)
{
    return shape_each(set, SP_DOC_NEVER, never_of, sources);
}

static json_t *example_of(const json_t *document, const sp_sources *sources)
{
    json_t *example = json_object();
    move_member(example, "name", document, "name");
    move_member(example, "expect", document, "expect");
    move_member(example, "got", document, "expect");
    move_member(example, "reason", document, "reason");
    move_member(example, "rule", document, "rule");
    json_object_set_new(example, "ok", json_true());
    set_place(example, document);
    set_yaml(example, document, sources);
    return example;
}

json_t *sp_shape_examples(const sp_policy_set *set, const sp_sources *sources)
{
    return shape_each(set, SP_DOC_EXAMPLE, example_of, sources);
}

/* ---- resources and classes ---- */

/* A title in the documents is a text, or {en, zh}. */
static json_t *title_of(const json_t *document)
{
    const json_t *title = json_object_get(document, "title");
    if (json_is_object(title)) {
        return json_pack("{s:s,s:s}", "en", text_at(title, "en"), "zh", text_at(title, "zh"));
    }
    const char *text = json_is_string(title) ? json_string_value(title) : text_at(document, "name");
    return json_pack("{s:s,s:s}", "en", text, "zh", "");
}

static json_t *web_of(const sp_core *core, const json_t *web)
{
    json_t *shaped = json_object();
    auto_buf sp_buf url = sp_buf_make(1024);
    sp_state_url(core, sp_span_cstr(text_at(web, "host")), &url);
    move_member(shaped, "host", web, "host");
    move_member(shaped, "upstream", web, "upstream");
    move_member(shaped, "websocket", web, "websocket");
    move_member(shaped, "identity_jwt", web, "identity_jwt");
    move_member(shaped, "upload_max_bytes", web, "upload_max_bytes");
    json_object_set_new(shaped, "url", sp_json_span(sp_buf_borrow(&url)));
    return shaped;
}

static json_t *parts_of(const json_t *document)
{
    json_t *parts = json_array();
    const json_t *list = json_object_get(document, "parts");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *part = json_array_get(list, i);
        json_t *shaped = json_object();
        move_member(shaped, "name", part, "name");
        move_member(shaped, "class", part, "class");
        move_member(shaped, "tags", part, "tags");
        const json_t *paths = json_object_get(part, "paths");
        move_member(shaped, "path", part, "path");
        if (json_array_size(paths) > 0) {
            json_object_set(shaped, "path", json_array_get(paths, 0));
            json_object_set(shaped, "paths", (json_t *)(uintptr_t)paths);
        }
        json_array_append_new(parts, shaped);
    }
    return parts;
}

/* Of a database: "table public.customers", "schema billing". */
static void add_database_parts(const json_t *postgres, json_t *parts)
{
    static const char *const kinds[] = {"table", "schema"};
    const json_t *list = json_object_get(postgres, "parts");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *part = json_array_get(list, i);
        json_t *shaped = json_object();
        for (size_t k = 0; k < SP_COUNT(kinds); k++) {
            const char *name = json_string_value(json_object_get(part, kinds[k]));
            if (name != NULL) {
                json_object_set_new(shaped, "name", json_sprintf("%s %s", kinds[k], name));
            }
        }
        move_member(shaped, "class", part, "class");
        move_member(shaped, "tags", part, "tags");
        json_array_append_new(parts, shaped);
    }
}

static void put_address(json_t *resource, const json_t *document)
{
    static const char *const gates[] = {"postgres", "ssh"};
    for (size_t i = 0; i < SP_COUNT(gates); i++) {
        const json_t *address = json_object_get(json_object_get(document, gates[i]), "address");
        if (address != NULL) {
            json_object_set(resource, "address", (json_t *)(uintptr_t)address);
        }
    }
}

json_t *sp_shape_resources(const sp_core *core, const sp_policy_set *set)
{
    json_t *list = sp_shape_list(set, SP_DOC_RESOURCE);
    json_t *shaped = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *document = json_array_get(list, i);
        const json_t *web = json_object_get(document, "web");
        json_t *resource = json_object();
        move_member(resource, "name", document, "name");
        move_member(resource, "class", document, "class");
        move_member(resource, "tags", document, "tags");
        move_member(resource, "operator", document, "operator");
        json_object_set_new(resource, "title", title_of(document));
        json_t *parts = parts_of(document);
        add_database_parts(json_object_get(document, "postgres"), parts);
        json_object_set_new(resource, "parts", parts);
        put_address(resource, document);
        if (json_is_object(web)) {
            json_object_set_new(resource, "web", web_of(core, web));
        }
        json_array_append_new(shaped, resource);
    }
    json_decref(list);
    return shaped;
}

static size_t count_in(const json_t *list, sp_span class)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        count += sp_span_eq(sp_span_cstr(text_at(json_array_get(list, i), "class")), class);
    }
    return count;
}

static size_t count_class(const json_t *resources, const char *name)
{
    sp_span class = sp_span_cstr(name);
    size_t count = count_in(resources, class);
    for (size_t i = 0; i < json_array_size(resources); i++) {
        const json_t *resource = json_array_get(resources, i);
        const json_t *postgres = json_object_get(resource, "postgres");
        count += count_in(json_object_get(resource, "parts"), class) +
                 count_in(json_object_get(postgres, "parts"), class);
    }
    return count;
}

json_t *sp_shape_classes(const sp_policy_set *set)
{
    json_t *list = sp_shape_list(set, SP_DOC_CLASS);
    json_t *resources = sp_shape_list(set, SP_DOC_RESOURCE);
    json_t *shaped = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *document = json_array_get(list, i);
        const json_t *level = json_object_get(document, "level");
        json_t *one = json_object();
        move_member(one, "name", document, "name");
        json_object_set_new(
            one, "level",
            json_integer(json_is_integer(level) ? json_integer_value(level) : (json_int_t)i));
        json_object_set_new(one, "title", title_of(document));
        json_object_set_new(
            one, "resources",
            json_integer((json_int_t)count_class(resources, text_at(document, "name"))));
        json_array_append_new(shaped, one);
    }
    json_decref(list);
    json_decref(resources);
    return shaped;
}

/* ---- diagnostics and difference ---- */

json_t *sp_shape_diagnostics(const sp_diags *diags)
{
    json_t *list = json_array();
    for (size_t i = 0; i < diags->count; i++) {
        const sp_diag *diag = &diags->items[i];
        json_t *one = json_object();
        bool is_error = diag->level == SP_DIAG_ERROR;
        json_object_set_new(one, "severity", json_string(is_error ? "error" : "warning"));
        json_object_set_new(one, "path", json_string(diag->file == NULL ? "" : diag->file));
        json_object_set_new(one, "line", json_integer(diag->line));
        json_object_set_new(one, "column", json_integer(diag->column));
        json_t *message = json_string(diag->text); /* NULL when it quotes bytes that are no UTF-8 */
        json_object_set_new(one, "message",
                            message != NULL ? message : json_string("this text is not UTF-8"));
        json_array_append_new(list, one);
    }
    return list;
}

static const sp_policy_file *file_named(const sp_sources *sources, const char *name)
{
    for (size_t i = 0; i < sources->count; i++) {
        if (sp_span_eq(sp_span_cstr(sources->files[i].name), sp_span_cstr(name))) {
            return &sources->files[i];
        }
    }
    return NULL;
}

static void add_file_change(json_t *files, const char *path, const sp_policy_file *before,
                            const sp_policy_file *after)
{
    if (before != NULL && after != NULL && sp_span_eq(before->text, after->text)) {
        return;
    }
    json_t *one = json_object();
    const char *change = before == NULL ? "added" : (after == NULL ? "removed" : "changed");
    json_object_set_new(one, "path", json_string(path));
    json_object_set_new(one, "change", json_string(change));
    if (before != NULL) {
        json_object_set_new(one, "before", sp_json_span(before->text));
    }
    if (after != NULL) {
        json_object_set_new(one, "after", sp_json_span(after->text));
    }
    json_array_append_new(files, one);
}

json_t *sp_shape_diff(sp_span diff, const sp_sources *before, const sp_sources *after)
{
    json_t *files = json_array();
    for (size_t i = 0; i < after->count; i++) {
        const sp_policy_file *now = &after->files[i];
        add_file_change(files, now->name, file_named(before, now->name), now);
    }
    for (size_t i = 0; i < before->count; i++) {
        const sp_policy_file *old = &before->files[i];
        if (file_named(after, old->name) == NULL) {
            add_file_change(files, old->name, old, NULL);
        }
    }
    json_t *told = json_loadb((const char *)diff.ptr, diff.len, 0, NULL);
    const json_t *cells = json_object_get(told, "cells");
    json_t *shaped = json_object();
    json_int_t total = json_integer_value(json_object_get(told, "cells_total"));
    json_object_set_new(shaped, "files", files);
    move_member(shaped, "documents", told, "documents");
    move_member(shaped, "effects", told, "cells");
    if (cells == NULL) {
        json_object_set_new(shaped, "effects", json_array());
    }
    json_object_set_new(shaped, "effects_more",
                        json_boolean(total > (json_int_t)json_array_size(cells)));
    json_decref(told);
    return shaped;
}
