/* SPDX-License-Identifier: Apache-2.0
 * YAML as a plain tree, one document at a time, with the place of every node.
 * OWNS its nodes and texts; they are valid until the next document is read. PROCESS core, cli.
 * TRUST the text is hostile: NUL, bad UTF-8, long lines, depth, anchors, aliases, tags and
 * duplicate keys are refused with their place. SPEC YAML 1.2 without anchors and tags.
 */
#ifndef SP_POLICY_NODE_H
#define SP_POLICY_NODE_H

#include "lib/base/diag.h"

enum {
    NODE_DEPTH_MAX = 12,
    NODE_LINE_MAX_BYTES = 64 * 1024,
    NODE_TEXT_MAX_BYTES = 8 * 1024,    /* one scalar */
    NODE_COUNT_MAX = 1000000,          /* in one document */
    NODE_DOCUMENT_MAX_BYTES = 32 << 20 /* of scalars in one document */
};

typedef enum { NODE_SCALAR, NODE_LIST, NODE_MAP } node_kind;

#define NODE_NONE UINT32_MAX

typedef struct {
    uint32_t text_at; /* SCALAR */
    uint32_t text_len;
    uint32_t line;
    uint32_t column;
    uint32_t key;   /* node of the key, for a value in a map */
    uint32_t first; /* child */
    uint32_t last;
    uint32_t next; /* sibling */
    uint32_t count;
    uint8_t kind; /* node_kind */
    bool quoted;
} node;

typedef struct {
    node *nodes;
    size_t count;
    size_t cap;
    sp_buf text;
} node_tree;

typedef struct node_source node_source;

/* Checks the bytes and begins. text must outlive the source. Errors are in diags. */
SP_MUST sp_err node_source_new(const char *file, sp_span text, sp_diags *diags,
                               node_source **ret_source);
void node_source_free(node_source *source);
/* The next document's tree with its root at 0; SP_ENOTFOUND at the end; SP_EINVALID after an error
 * (in diags): the rest of the file cannot be read. An empty document has a count of 0. */
SP_MUST sp_err node_next_document(node_source *source, node_tree *tree);
void node_tree_done(node_tree *tree);

sp_span node_text(const node_tree *tree, const node *scalar);

#endif
