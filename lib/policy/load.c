/* SPDX-License-Identifier: Apache-2.0
 * The loader: a tree of nodes against a schema, into a record. One function a field type; every
 * error says what was found and what was expected.
 * OWNS nothing. PROCESS core, cli. TRUST nodes hold hostile text. SPEC lib/policy/load.h.
 */
#include "lib/policy/load.h"

#include "lib/base/mem.h"
#include "lib/policy/duties.h"
#include "lib/policy/node.h"

#include <stdlib.h>

enum { SHOWN_BYTES = 60, EXPECT_BYTES = 600, LIST_MAX = 20000 };

typedef struct {
    const char *file;
    const node_tree *tree;
    sp_arena *arena;
    sp_diags *diags;
    size_t errors_before;
} loading;

static const uint32_t LIMITS[SP_DOC_COUNT] = {
    [SP_DOC_OFFICE] = 1,
    [SP_DOC_CLASS] = SP_CLASSES_MAX,
    [SP_DOC_ROLE] = SP_ROLES_MAX,
    [SP_DOC_RESOURCE] = SP_POLICY_RESOURCES_MAX,
    [SP_DOC_RULE] = SP_POLICY_RULES_MAX,
    [SP_DOC_NEVER] = SP_POLICY_NEVERS_MAX,
    [SP_DOC_EXAMPLE] = 10000,
    [SP_DOC_RETENTION] = 1000,
    [SP_DOC_RECERTIFICATION] = 1000,
    [SP_DOC_BUDGET] = SP_POLICY_BUDGETS_MAX,
    [SP_DOC_DETECTION] = 200,
    [SP_DOC_CANARY] = 200,
    [SP_DOC_NOTICE] = 500,
    [SP_DOC_AUDIENCE] = 200,
    [SP_DOC_CHANNEL] = 64,
    [SP_DOC_PLAN] = 200,
    [SP_DOC_ROTA] = 20,
    [SP_DOC_SINK] = SP_SINKS_MAX,
    [SP_DOC_LAW_PACK] = 20,
    [SP_DOC_OFFICER] = 50,
};

static const char *const KINDS[SP_DOC_COUNT + 1] = {
    "Office",    "Class",   "Role",      "Resource",        "Rule",
    "Never",     "Example", "Retention", "Recertification", "Budget",
    "Detection", "Canary",  "Notice",    "Audience",        "Channel",
    "Plan",      "Rota",    "Sink",      "LawPack",         "Officer",
    NULL};

const char *sp_doc_kind_word(sp_doc_kind kind)
{
    return (unsigned)kind < SP_DOC_COUNT ? KINDS[kind] : "?";
}

bool sp_doc_kind_of(sp_span word, sp_doc_kind *ret_kind)
{
    for (unsigned i = 0; i < SP_DOC_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(KINDS[i]))) {
            *ret_kind = (sp_doc_kind)i;
            return true;
        }
    }
    return false;
}

/* ---- telling what is wrong ---- */

static const char *kind_of_node(const node *at)
{
    switch ((node_kind)at->kind) {
    case NODE_SCALAR:
        return at->text_len == 0 && !at->quoted ? "nothing" : "a text";
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a mapping";
    }
    return "?";
}

/* "key: expected X, found Y" */
static sp_err unexpected(const loading *l, const doc_field *field, const node *at)
{
    auto_buf sp_buf text = sp_buf_make(EXPECT_BYTES);
    doc_field_expects(field, &text);
    sp_span want = sp_buf_borrow(&text);
    bool sized = field->type == FIELD_NAME || field->type == FIELD_TEXT;
    if (at->kind == NODE_SCALAR && sized && at->text_len > field->max) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, at->line, at->column,
                     "%s: a text of %u bytes found, but it takes %.*s", field->key, at->text_len,
                     SP_SPAN_ARG(want));
    } else if (at->kind == NODE_SCALAR && at->text_len > 0) {
        sp_span found = node_text(l->tree, at);
        const char *nearest =
            field->words == NULL ? NULL : doc_nearest(found, field->words, SIZE_MAX);
        int shown = found.len > SHOWN_BYTES ? SHOWN_BYTES : (int)found.len;
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, at->line, at->column,
                     "%s: '%.*s' found, but it takes %.*s%s%s%s", field->key, shown,
                     (const char *)found.ptr, SP_SPAN_ARG(want),
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
    } else {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, at->line, at->column,
                     "%s: %s found, but it takes %.*s", field->key, kind_of_node(at),
                     SP_SPAN_ARG(want));
    }
    return sp_ok();
}

/* ---- texts ---- */

static bool is_slug(sp_span text)
{
    if (text.len == 0 || text.len > SP_NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!sp_is_lower_alnum(c) && (i == 0 || (c != '.' && c != '_' && c != '-'))) {
            return false;
        }
    }
    return true;
}

/* Characters that turn the direction of a line or steer a terminal: what is shown would not be what
 * stands there. UTF-8 of U+0080..9F, U+200E..F, U+202A..E, U+2066..9. */
static bool steers(sp_span rest)
{
    const uint8_t *c = rest.ptr;
    if (rest.len >= 2 && c[0] == 0xC2) {
        return c[1] < 0xA0;
    }
    if (rest.len < 3 || c[0] != 0xE2) {
        return false;
    }
    return (c[1] == 0x80 && ((c[2] >= 0xAA && c[2] <= 0xAE) || c[2] == 0x8E || c[2] == 0x8F)) ||
           (c[1] == 0x81 && c[2] >= 0xA6 && c[2] <= 0xA9);
}

static bool is_printable(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if ((c < 0x20 && c != '\n') || c == 0x7f || steers(sp_span_slice(text, i, text.len))) {
            return false;
        }
    }
    return true;
}

static bool text_fits(const doc_field *field, sp_span text)
{
    switch (field->type) {
    case FIELD_SLUG:
    case FIELD_SLUGS:
        return is_slug(text);
    case FIELD_NAME:
        return text.len > 0 && text.len <= field->max && is_printable(text) &&
               sp_span_index(text, '\n') == text.len && sp_span_trim(text).len == text.len;
    case FIELD_NAMES:
        return text.len > 0 && is_printable(text) &&
               text.len <= (field->max == 0 ? SP_NAME_MAX_BYTES : field->max);
    case FIELD_TEXT:
        return text.len > 0 && text.len <= field->max && is_printable(text);
    case FIELD_WORD:
    case FIELD_WORDS:
    case FIELD_FLAG:
    case FIELD_COUNT_NR:
    case FIELD_SIZE:
    case FIELD_DURATION:
    case FIELD_MAP:
    case FIELD_MAPS:
        break;
    }
    return false;
}

static sp_err load_text(const loading *l, const doc_field *field, const node *at, doc_text *ret)
{
    if (at->kind != NODE_SCALAR || !text_fits(field, node_text(l->tree, at))) {
        return unexpected(l, field, at);
    }
    TRY(sp_arena_copy(l->arena, node_text(l->tree, at), &ret->text));
    ret->line = at->line;
    ret->column = at->column;
    return sp_ok();
}

static sp_err load_texts(const loading *l, const doc_field *field, const node *at, doc_texts *ret)
{
    if (at->kind == NODE_MAP || at->count > LIST_MAX ||
        (at->kind == NODE_LIST && at->count == 0 && field->count_offset == 0)) {
        return unexpected(l, field, at);
    }
    size_t count = at->kind == NODE_LIST ? at->count : 1;
    TRY(sp_arena_alloc(l->arena, count, sizeof(doc_text), &ret->items));
    if (at->kind == NODE_SCALAR) {
        TRY(load_text(l, field, at, &ret->items[0]));
        ret->count = 1;
        return sp_ok();
    }
    const node *nodes = l->tree->nodes;
    for (uint32_t i = at->first; i != NODE_NONE; i = nodes[i].next) {
        TRY(load_text(l, field, &nodes[i], &ret->items[ret->count]));
        ret->count += ret->items[ret->count].line != 0 ? 1 : 0;
    }
    return sp_ok();
}

/* ---- words ---- */

static bool word_at(const doc_field *field, sp_span text, unsigned *ret_at)
{
    for (unsigned i = 0; field->words[i] != NULL; i++) {
        if (sp_span_eq(text, sp_span_cstr(field->words[i]))) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

static sp_err load_word(const loading *l, const doc_field *field, const node *at, uint8_t *ret)
{
    unsigned word = 0;
    if (at->kind != NODE_SCALAR || !word_at(field, node_text(l->tree, at), &word)) {
        return unexpected(l, field, at);
    }
    *ret = (uint8_t)(word + 1);
    return sp_ok();
}

static sp_err load_words(const loading *l, const doc_field *field, const node *at, uint32_t *ret)
{
    unsigned word = 0;
    if (at->kind == NODE_SCALAR && word_at(field, node_text(l->tree, at), &word)) {
        *ret = 1U << word;
        return sp_ok();
    }
    if (at->kind != NODE_LIST || at->count == 0) {
        return unexpected(l, field, at);
    }
    const node *nodes = l->tree->nodes;
    for (uint32_t i = at->first; i != NODE_NONE; i = nodes[i].next) {
        if (nodes[i].kind != NODE_SCALAR || !word_at(field, node_text(l->tree, &nodes[i]), &word)) {
            TRY(unexpected(l, field, &nodes[i]));
            continue;
        }
        *ret |= 1U << word;
    }
    return sp_ok();
}

static sp_err load_flag(const loading *l, const doc_field *field, const node *at, uint8_t *ret)
{
    sp_span text = at->kind == NODE_SCALAR ? node_text(l->tree, at) : SP_SPAN_EMPTY;
    bool yes = sp_span_eq(text, SP_SPAN_LIT("true"));
    if ((!yes && !sp_span_eq(text, SP_SPAN_LIT("false"))) || at->quoted) {
        return unexpected(l, field, at);
    }
    *ret = yes ? DOC_TRUE : DOC_FALSE;
    return sp_ok();
}

/* ---- numbers ---- */

typedef struct {
    const char *word;
    uint64_t factor;
} unit;

static sp_err parse_with_unit(sp_span text, const unit *units, size_t count, uint64_t *ret)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        digits++;
    }
    uint64_t value = 0;
    TRY(sp_span_to_u64(sp_span_slice(text, 0, digits), UINT64_MAX, &value));
    sp_span word = sp_span_trim(sp_span_slice(text, digits, text.len));
    for (size_t i = 0; i < count; i++) {
        if (sp_span_eq(word, sp_span_cstr(units[i].word))) {
            return __builtin_mul_overflow(value, units[i].factor, ret) ? sp_fail(SP_EINVALID)
                                                                       : sp_ok();
        }
    }
    return sp_fail(SP_EINVALID);
}

sp_err sp_policy_parse_duration(sp_span text, uint64_t *ret_seconds)
{
    static const unit UNITS[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    return parse_with_unit(text, UNITS, SP_COUNT(UNITS), ret_seconds);
}

static sp_err parse_size(sp_span text, uint64_t *ret_bytes)
{
    static const unit UNITS[] = {
        {"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    return parse_with_unit(text, UNITS, SP_COUNT(UNITS), ret_bytes);
}

static sp_err load_number(const loading *l, const doc_field *field, const node *at, doc_number *ret)
{
    sp_span text = at->kind == NODE_SCALAR ? node_text(l->tree, at) : SP_SPAN_EMPTY;
    uint64_t value = 0;
    sp_err err = sp_fail(SP_EINVALID);
    if (field->type == FIELD_COUNT_NR) {
        err = sp_span_to_u64(text, field->max, &value);
    } else if (field->type == FIELD_SIZE) {
        err = parse_size(text, &value);
    } else {
        err = sp_policy_parse_duration(text, &value);
    }
    if (sp_failed(err)) {
        return unexpected(l, field, at);
    }
    if (value < field->min || value > field->max) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, at->line, at->column,
                     "%s: %.*s is out of range; it must be between %llu and %llu%s", field->key,
                     SP_SPAN_ARG(text), (unsigned long long)field->min,
                     (unsigned long long)field->max,
                     field->type == FIELD_DURATION ? " seconds" : "");
        return sp_ok();
    }
    *ret = (doc_number){value, at->line, at->column};
    return sp_ok();
}

/* ---- records ---- */

static sp_err load_record(const loading *l, const doc_schema *schema, const node *at, void *record);

static sp_err load_maps(const loading *l, const doc_field *field, const node *at, doc_maps *ret)
{
    if (at->kind != NODE_LIST || at->count > LIST_MAX) {
        return unexpected(l, field, at);
    }
    TRY(sp_arena_alloc(l->arena, at->count, field->sub->struct_bytes, &ret->items));
    const node *nodes = l->tree->nodes;
    for (uint32_t i = at->first; i != NODE_NONE; i = nodes[i].next) {
        if (nodes[i].kind != NODE_MAP) {
            TRY(unexpected(l, field, &nodes[i]));
            continue;
        }
        TRY(load_record(l, field->sub, &nodes[i],
                        doc_at(ret, field->sub->struct_bytes, ret->count)));
        ret->count++;
    }
    return sp_ok();
}

static sp_err load_map(const loading *l, const doc_field *field, const node *at, void *record)
{
    if (at->kind == NODE_SCALAR && field->sub->scalar_at != 0 && at->text_len > 0) {
        const doc_field *alone = &field->sub->fields[field->sub->scalar_at - 1];
        *(doc_place *)record = (doc_place){l->file, at->line, at->column};
        return load_text(l, alone, at, (doc_text *)(void *)((uint8_t *)record + alone->offset));
    }
    if (at->kind != NODE_MAP || at->count == 0) {
        return unexpected(l, field, at);
    }
    return load_record(l, field->sub, at, record);
}

static sp_err load_field(const loading *l, const doc_field *field, const node *at, void *record)
{
    void *to = (uint8_t *)record + field->offset;
    switch (field->type) {
    case FIELD_NAME:
    case FIELD_SLUG:
    case FIELD_TEXT:
        return load_text(l, field, at, to);
    case FIELD_SLUGS:
    case FIELD_NAMES:
        if (field->count_offset != 0) {
            ((uint8_t *)record)[field->count_offset] = 1;
        }
        return load_texts(l, field, at, to);
    case FIELD_WORD:
        return load_word(l, field, at, to);
    case FIELD_WORDS:
        return load_words(l, field, at, to);
    case FIELD_FLAG:
        return load_flag(l, field, at, to);
    case FIELD_COUNT_NR:
    case FIELD_SIZE:
    case FIELD_DURATION:
        return load_number(l, field, at, to);
    case FIELD_MAP:
        return load_map(l, field, at, to);
    case FIELD_MAPS:
        return load_maps(l, field, at, to);
    }
    return sp_fail(SP_EINTERNAL);
}

static const doc_field *field_of(const doc_schema *schema, sp_span key)
{
    for (size_t i = 0; i < schema->fields_count; i++) {
        if (sp_span_eq(key, sp_span_cstr(schema->fields[i].key))) {
            return &schema->fields[i];
        }
    }
    return NULL;
}

static void unknown_key(const loading *l, const doc_schema *schema, const node *key)
{
    enum { KEYS_MAX = 16 };
    const char *keys[KEYS_MAX + 1] = {NULL};
    auto_buf sp_buf all = sp_buf_make(EXPECT_BYTES);
    for (size_t i = 0; i < schema->fields_count && i < KEYS_MAX; i++) {
        keys[i] = schema->fields[i].key;
        sp_buf_fmt(&all, "%s%s", i == 0 ? "" : ", ", keys[i]);
    }
    sp_span found = node_text(l->tree, key);
    const char *nearest = doc_nearest(found, keys, KEYS_MAX);
    sp_span list = sp_buf_borrow(&all);
    int shown = found.len > SHOWN_BYTES ? SHOWN_BYTES : (int)found.len;
    if (nearest != NULL) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, key->line, key->column,
                     "unknown key '%.*s' in %s; did you mean '%s'?", shown, (const char *)found.ptr,
                     schema->name, nearest);
    } else {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, key->line, key->column,
                     "unknown key '%.*s' in %s; it takes %.*s", shown, (const char *)found.ptr,
                     schema->name, SP_SPAN_ARG(list));
    }
}

static sp_err load_record(const loading *l, const doc_schema *schema, const node *at, void *record)
{
    *(doc_place *)record = (doc_place){l->file, at->line, at->column};
    uint32_t seen = 0;
    _Static_assert(sizeof(seen) * 8 >= 16, "a bit each field");
    const node *nodes = l->tree->nodes;
    bool is_document = schema->sample != NULL;
    for (uint32_t i = at->first; i != NODE_NONE; i = nodes[i].next) {
        const node *key = &nodes[nodes[i].key];
        sp_span word = node_text(l->tree, key);
        if (is_document && sp_span_eq(word, SP_SPAN_LIT("kind"))) {
            continue;
        }
        const doc_field *field = field_of(schema, word);
        if (field == NULL) {
            unknown_key(l, schema, key);
            continue;
        }
        seen |= 1U << (field - schema->fields);
        TRY(load_field(l, field, &nodes[i], record));
    }
    for (size_t i = 0; i < schema->fields_count; i++) {
        if (schema->fields[i].required && (seen >> i & 1) == 0) {
            sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, at->line, at->column,
                         "%s needs '%s': %s", schema->name, schema->fields[i].key,
                         schema->fields[i].doc);
        }
    }
    return sp_ok();
}

/* ---- documents ---- */

static bool kind_of_document(const loading *l, sp_doc_kind *ret_kind)
{
    const node *root = &l->tree->nodes[0];
    if (root->kind != NODE_MAP) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, root->line, root->column,
                     "a document is a mapping that begins with 'kind:'; found %s",
                     kind_of_node(root));
        return false;
    }
    const node *nodes = l->tree->nodes;
    for (uint32_t i = root->first; i != NODE_NONE; i = nodes[i].next) {
        if (!sp_span_eq(node_text(l->tree, &nodes[nodes[i].key]), SP_SPAN_LIT("kind"))) {
            continue;
        }
        sp_span word = nodes[i].kind == NODE_SCALAR ? node_text(l->tree, &nodes[i]) : SP_SPAN_EMPTY;
        if (sp_doc_kind_of(word, ret_kind)) {
            return true;
        }
        static const doc_field KIND = {.key = "kind", .type = FIELD_WORD, .words = KINDS};
        sp_err told = unexpected(l, &KIND, &nodes[i]);
        return sp_failed(told);
    }
    sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, root->line, root->column,
                 "a document without 'kind:'; it is one of Office, Class, Role, Resource, Rule, "
                 "Never, Example, Retention, Recertification, Budget, Detection, Canary, Notice, "
                 "Audience, Channel, Plan, Rota, Sink, LawPack, Officer");
    return false;
}

/* A record of zeros at the end. */
static sp_err add_record(doc_maps *maps, size_t bytes, void **ret_record)
{
    if ((maps->count & (maps->count - 1)) == 0) { /* grown at powers of two */
        TRY(sp_resize(&maps->items, maps->count == 0 ? 1 : maps->count * 2, bytes));
    }
    void *record = doc_at(maps, bytes, maps->count);
    sp_set(record, 0, bytes);
    maps->count++;
    *ret_record = record;
    return sp_ok();
}

sp_err doc_append(doc_set *set, sp_doc_kind kind, const void *record)
{
    void *room = NULL;
    TRY(add_record(&set->kinds[kind], DOC_SCHEMAS[kind].struct_bytes, &room));
    sp_copy(room, record, DOC_SCHEMAS[kind].struct_bytes);
    return sp_ok();
}

static sp_err new_record(const loading *l, doc_set *set, sp_doc_kind kind, void **ret_record)
{
    doc_maps *maps = &set->kinds[kind];
    size_t bytes = DOC_SCHEMAS[kind].struct_bytes;
    const node *root = &l->tree->nodes[0];
    if (maps->count == LIMITS[kind]) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, root->line, root->column,
                     "more than %u documents of kind %s, which is the limit", LIMITS[kind],
                     KINDS[kind]);
        return sp_fail(SP_EINVALID);
    }
    return add_record(maps, bytes, ret_record);
}

static sp_err load_document(loading *l, doc_set *set)
{
    if (l->tree->count == 0) {
        return sp_ok();
    }
    const node *root = &l->tree->nodes[0];
    if (root->kind == NODE_SCALAR && root->text_len == 0 && !root->quoted) {
        return sp_ok(); /* an empty document, as after a trailing --- */
    }
    sp_doc_kind kind = SP_DOC_COUNT;
    if (!kind_of_document(l, &kind)) {
        return sp_ok();
    }
    void *record = NULL;
    TRY(new_record(l, set, kind, &record));
    return load_record(l, &DOC_SCHEMAS[kind], root, record);
}

sp_err doc_load(const sp_policy_file *file, sp_arena *arena, sp_diags *diags, doc_set *set)
{
    node_source *source = NULL;
    TRY(node_source_new(file->name, file->text, diags, &source));
    node_tree tree = {0};
    loading l = {file->name, &tree, arena, diags, diags->errors};
    sp_err err = sp_ok();
    while (!sp_failed(err) && diags->errors < SP_DIAGS_MAX) {
        err = node_next_document(source, &tree);
        if (!sp_failed(err)) {
            err = load_document(&l, set);
        }
    }
    node_tree_done(&tree);
    node_source_free(source);
    if (err.code == SP_ENOTFOUND) {
        err = sp_ok();
    }
    return sp_failed(err) || diags->errors == l.errors_before ? err : sp_fail(SP_EINVALID);
}

void doc_set_done(doc_set *set)
{
    for (size_t i = 0; i < SP_DOC_COUNT; i++) {
        sp_free(set->kinds[i].items);
    }
    *set = (doc_set){0};
}

static int compare_hashes(const void *a, const void *b)
{
    return sp_span_compare(sp_span_of(a, SP_SHA256_BYTES), sp_span_of(b, SP_SHA256_BYTES));
}

sp_err doc_set_digest(doc_set *set, sp_hash *ret_digest)
{
    auto_buf sp_buf hashes = sp_buf_make((size_t)1 << 24);
    auto_buf sp_buf text = sp_buf_make((size_t)1 << 28);
    for (size_t kind = 0; kind < SP_DOC_COUNT; kind++) {
        const doc_schema *schema = &DOC_SCHEMAS[kind];
        for (size_t i = 0; i < set->kinds[kind].count; i++) {
            doc_head *head = doc_at(&set->kinds[kind], schema->struct_bytes, i);
            sp_buf_reset(&text);
            sp_buf_text(&text, schema->name);
            doc_record_json(schema, head, &text);
            TRY(sp_buf_error(&text));
            sp_hash hash = sp_sha256(sp_buf_borrow(&text));
            sp_copy(head->hash, hash.bytes, sizeof(hash.bytes));
            sp_buf_span(&hashes, sp_hash_borrow(&hash));
        }
    }
    TRY(sp_buf_error(&hashes));
    if (hashes.len > 0) {
        qsort(hashes.ptr, hashes.len / SP_SHA256_BYTES, SP_SHA256_BYTES, compare_hashes);
    }
    *ret_digest = sp_sha256(sp_buf_borrow(&hashes));
    return sp_ok();
}
