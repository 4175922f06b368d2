/* SPDX-License-Identifier: Apache-2.0
 * YAML events of libfyaml into a tree, with everything refused that documents do not need.
 * OWNS the parser and the tree. PROCESS core, cli. TRUST the text is hostile.
 * SPEC lib/policy/node.h, YAML 1.2.
 */
#include "lib/policy/node.h"

#include <libfyaml.h>
#include <stdio.h>

struct node_source {
    const char *file;
    struct fy_parser *parser;
    struct fy_diag *fy_diag;
    sp_diags *diags;
    bool ended;
};

enum { KEYS_TABLE_MIN = 16 };

typedef struct {
    node_source *source;
    node_tree *tree;
    uint32_t open[NODE_DEPTH_MAX]; /* containers */
    uint32_t key[NODE_DEPTH_MAX];  /* of an open map: the key that waits for its value */
    size_t depth;
    bool done;
} building;

static void wrong(node_source *source, unsigned line, unsigned column, const char *text)
{
    sp_diags_add(source->diags, SP_DIAG_ERROR, source->file, line, column, "%s", text);
}

/* What no document may hold, before the YAML parser sees it. */
static sp_err check_bytes(const char *file, sp_span text, sp_diags *diags)
{
    unsigned line = 1;
    size_t begins = 0;
    for (size_t i = 0; i <= text.len; i++) {
        bool ends = i == text.len || text.ptr[i] == '\n';
        if (!ends && text.ptr[i] == 0) {
            sp_diags_add(diags, SP_DIAG_ERROR, file, line, (unsigned)(i - begins + 1),
                         "a NUL byte; documents are text in UTF-8");
            return sp_fail(SP_EINVALID);
        }
        if (!ends) {
            continue;
        }
        if (i - begins > NODE_LINE_MAX_BYTES) {
            sp_diags_add(diags, SP_DIAG_ERROR, file, line, 1,
                         "a line of %zu bytes; at most %d are read", i - begins,
                         NODE_LINE_MAX_BYTES);
            return sp_fail(SP_EINVALID);
        }
        if (!sp_span_is_utf8(sp_span_slice(text, begins, i))) {
            sp_diags_add(diags, SP_DIAG_ERROR, file, line, 1,
                         "this line is not UTF-8; save the file as UTF-8");
            return sp_fail(SP_EINVALID);
        }
        begins = i + 1;
        line++;
    }
    return sp_ok();
}

void node_source_free(node_source *source)
{
    if (source == NULL) {
        return;
    }
    if (source->parser != NULL) {
        fy_parser_destroy(source->parser);
    }
    if (source->fy_diag != NULL) {
        fy_diag_destroy(source->fy_diag);
    }
    sp_free(source);
}

static int drop_output(struct fy_diag *diag, void *user, const char *text, size_t len)
{
    (void)diag;
    (void)user;
    (void)text;
    return (int)len;
}

static sp_err open_parser(node_source *source, sp_span text)
{
    static const char nothing[] = "";
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL;
    quiet.output_fn = (fy_diag_output_fn)(void (*)(void))drop_output;
    source->fy_diag = fy_diag_create(&quiet);
    if (source->fy_diag == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    fy_diag_set_collect_errors(source->fy_diag, true);
    struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2,
                                  .diag = source->fy_diag};
    source->parser = fy_parser_create(&config);
    const char *bytes = text.len == 0 ? nothing : (const char *)text.ptr;
    if (source->parser == NULL || fy_parser_set_string(source->parser, bytes, text.len) != 0) {
        return sp_fail(SP_ENOMEM);
    }
    return sp_ok();
}

sp_err node_source_new(const char *file, sp_span text, sp_diags *diags, node_source **ret_source)
{
    TRY(check_bytes(file, text, diags));
    node_source *source = NULL;
    TRY(sp_alloc(1, sizeof(*source), &source));
    source->file = file;
    source->diags = diags;
    source->ended = text.len == 0; /* libfyaml takes a length of 0 as "find the NUL" */
    sp_err err = source->ended ? sp_ok() : open_parser(source, text);
    if (sp_failed(err)) {
        node_source_free(source);
        return err;
    }
    *ret_source = source;
    return sp_ok();
}

/* What libfyaml found wrong, in its own words. */
static sp_err tell_parser_error(node_source *source)
{
    void *at = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(source->fy_diag, &at);
    if (error == NULL || error->msg == NULL) {
        wrong(source, 0, 0, "this is not YAML");
        return sp_fail(SP_EINVALID);
    }
    sp_diags_add(source->diags, SP_DIAG_ERROR, source->file,
                 error->line > 0 ? (unsigned)error->line : 1,
                 error->column > 0 ? (unsigned)error->column : 1, "YAML: %s", error->msg);
    return sp_fail(SP_EINVALID);
}

void node_tree_done(node_tree *tree)
{
    sp_free(tree->nodes);
    sp_buf_done(&tree->text);
    *tree = (node_tree){0};
}

sp_span node_text(const node_tree *tree, const node *scalar)
{
    return sp_span_slice(sp_buf_borrow(&tree->text), scalar->text_at,
                         (size_t)scalar->text_at + scalar->text_len);
}

static sp_err add_node(building *b, const node *made, uint32_t *ret_index)
{
    node_tree *tree = b->tree;
    if (tree->count == NODE_COUNT_MAX) {
        wrong(b->source, made->line, made->column, "more nodes than one document may have");
        return sp_fail(SP_EINVALID);
    }
    if (tree->count == tree->cap) {
        size_t cap = tree->cap == 0 ? 256 : tree->cap * 2;
        TRY(sp_resize(&tree->nodes, cap, sizeof(*tree->nodes)));
        tree->cap = cap;
    }
    tree->nodes[tree->count] = *made;
    *ret_index = (uint32_t)tree->count++;
    return sp_ok();
}

/* Puts a finished node into the container that is open: as item, as key or as value. */
static void attach(building *b, uint32_t index)
{
    if (b->depth == 0) {
        b->done = true;
        return;
    }
    node *nodes = b->tree->nodes;
    uint32_t parent = b->open[b->depth - 1];
    uint32_t *key = &b->key[b->depth - 1];
    if (nodes[parent].kind == NODE_MAP && *key == NODE_NONE) {
        *key = index;
        return;
    }
    if (nodes[parent].kind == NODE_MAP) {
        nodes[index].key = *key;
        *key = NODE_NONE;
    }
    if (nodes[parent].first == NODE_NONE) {
        nodes[parent].first = index;
    } else {
        nodes[nodes[parent].last].next = index;
    }
    nodes[parent].last = index;
    nodes[parent].count++;
}

static bool expects_key(const building *b)
{
    return b->depth > 0 && b->tree->nodes[b->open[b->depth - 1]].kind == NODE_MAP &&
           b->key[b->depth - 1] == NODE_NONE;
}

static node blank(node_kind kind, const struct fy_mark *mark)
{
    node made = {.kind = (uint8_t)kind,
                 .line = 1,
                 .column = 1,
                 .key = NODE_NONE,
                 .first = NODE_NONE,
                 .last = NODE_NONE,
                 .next = NODE_NONE};
    if (mark != NULL) {
        made.line = (uint32_t)mark->line + 1;
        made.column = (uint32_t)mark->column + 1;
    }
    return made;
}

static sp_err add_scalar(building *b, struct fy_event *event, const struct fy_mark *mark)
{
    node made = blank(NODE_SCALAR, mark);
    size_t len = 0;
    const char *text =
        event->scalar.value == NULL ? NULL : fy_token_get_text(event->scalar.value, &len);
    if (text == NULL) {
        len = 0;
    }
    if (len > NODE_TEXT_MAX_BYTES) {
        wrong(b->source, made.line, made.column, "a text longer than 8192 bytes");
        return sp_fail(SP_EINVALID);
    }
    made.quoted =
        event->scalar.value != NULL && fy_token_scalar_style(event->scalar.value) != FYSS_PLAIN;
    made.text_at = (uint32_t)sp_buf_borrow(&b->tree->text).len;
    made.text_len = (uint32_t)len;
    sp_buf_span(&b->tree->text, sp_span_of(text, len));
    TRY(sp_buf_error(&b->tree->text));
    uint32_t index = 0;
    TRY(add_node(b, &made, &index));
    attach(b, index);
    return sp_ok();
}

static sp_err open_container(building *b, node_kind kind, const struct fy_mark *mark)
{
    node made = blank(kind, mark);
    if (b->depth == NODE_DEPTH_MAX) {
        wrong(b->source, made.line, made.column, "nested deeper than documents go (12 levels)");
        return sp_fail(SP_EINVALID);
    }
    if (expects_key(b)) {
        wrong(b->source, made.line, made.column, "a key must be a plain word");
        return sp_fail(SP_EINVALID);
    }
    uint32_t index = 0;
    TRY(add_node(b, &made, &index));
    b->open[b->depth] = index;
    b->key[b->depth] = NODE_NONE;
    b->depth++;
    return sp_ok();
}

/* Keys are few, or the document is hostile: then a table of hashes keeps it linear. */
static sp_err check_keys(building *b, uint32_t map)
{
    const node *nodes = b->tree->nodes;
    size_t size = KEYS_TABLE_MIN;
    while (size < (size_t)nodes[map].count * 2) {
        size *= 2;
    }
    auto_free uint32_t *table = NULL;
    TRY(sp_alloc(size, sizeof(*table), &table));
    for (uint32_t at = nodes[map].first; at != NODE_NONE; at = nodes[at].next) {
        const node *key = &nodes[nodes[at].key];
        sp_span text = node_text(b->tree, key);
        size_t slot = (size_t)sp_span_hash(text, (uint64_t)(uintptr_t)table) & (size - 1);
        while (table[slot] != 0) {
            const node *other = &nodes[table[slot] - 1];
            if (sp_span_eq(node_text(b->tree, other), text)) {
                sp_diags_add(b->source->diags, SP_DIAG_ERROR, b->source->file, key->line,
                             key->column, "key '%.*s' stands twice; the first is in line %u",
                             (int)(text.len > 40 ? 40 : text.len), (const char *)text.ptr,
                             other->line);
                return sp_fail(SP_EINVALID);
            }
            slot = (slot + 1) & (size - 1);
        }
        table[slot] = nodes[at].key + 1;
    }
    return sp_ok();
}

static sp_err close_container(building *b)
{
    uint32_t index = b->open[b->depth - 1];
    if (b->tree->nodes[index].kind == NODE_MAP) {
        TRY(check_keys(b, index));
    }
    b->depth--;
    attach(b, index);
    return sp_ok();
}

static sp_err refuse(building *b, const struct fy_mark *mark, const char *text)
{
    node place = blank(NODE_SCALAR, mark);
    wrong(b->source, place.line, place.column, text);
    return sp_fail(SP_EINVALID);
}

static sp_err on_node(building *b, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    struct fy_token *anchor = NULL;
    struct fy_token *tag = NULL;
    if (event->type == FYET_SCALAR) {
        anchor = event->scalar.anchor;
        tag = event->scalar.tag;
    } else if (event->type == FYET_MAPPING_START) {
        anchor = event->mapping_start.anchor;
        tag = event->mapping_start.tag;
    } else {
        anchor = event->sequence_start.anchor;
        tag = event->sequence_start.tag;
    }
    if (anchor != NULL) {
        return refuse(b, mark, "anchors (&name) are not taken; write it out");
    }
    if (tag != NULL) {
        return refuse(b, mark, "tags (!name) are not taken; the schema knows every type");
    }
    if (event->type == FYET_SCALAR) {
        return add_scalar(b, event, mark);
    }
    return open_container(b, event->type == FYET_MAPPING_START ? NODE_MAP : NODE_LIST, mark);
}

static sp_err on_event(building *b, struct fy_event *event, bool *ret_document)
{
    switch (event->type) {
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_DOCUMENT_START:
        return sp_ok();
    case FYET_STREAM_END:
        b->source->ended = true;
        return sp_ok();
    case FYET_DOCUMENT_END:
        *ret_document = true;
        return sp_ok();
    case FYET_ALIAS:
        return refuse(b, fy_event_start_mark(event), "aliases (*name) are not taken; write it out");
    case FYET_SCALAR:
    case FYET_MAPPING_START:
    case FYET_SEQUENCE_START:
        return on_node(b, event);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return close_container(b);
    }
    return sp_ok();
}

sp_err node_next_document(node_source *source, node_tree *tree)
{
    tree->count = 0;
    if (tree->text.max_bytes == 0) {
        tree->text = sp_buf_make(NODE_DOCUMENT_MAX_BYTES);
    }
    sp_buf_reset(&tree->text);
    building b = {.source = source, .tree = tree};
    while (!source->ended) {
        struct fy_event *event = fy_parser_parse(source->parser);
        if (event == NULL) {
            source->ended = true;
            return fy_parser_get_stream_error(source->parser) ? tell_parser_error(source)
                                                              : sp_fail(SP_ENOTFOUND);
        }
        bool document = false;
        sp_err err = on_event(&b, event, &document);
        fy_parser_event_free(source->parser, event);
        if (sp_failed(err)) {
            source->ended = true;
            return err;
        }
        if (document) {
            return sp_ok();
        }
    }
    return sp_fail(SP_ENOTFOUND);
}
