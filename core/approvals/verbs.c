/* SPDX-License-Identifier: Apache-2.0
 * Words of a statement, outside its quotes and comments.
 * OWNS nothing. PROCESS core. TRUST the text is hostile; it is read once, byte by byte.
 * SPEC core/approvals/verbs.h.
 */
#include "core/approvals/verbs.h"

static const char *const VERBS[] = {"ALTER", "DELETE",   "DROP",  "INSERT",
                                    "MERGE", "TRUNCATE", "UPDATE"};

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c >= 0x80;
}

/* Behind a quoted piece or a comment that begins at `at`; `at` itself when none does. */
static size_t skip(sp_span text, size_t at)
{
    sp_span rest = sp_span_slice(text, at, text.len);
    if (sp_span_starts(rest, SP_SPAN_LIT("--"))) {
        return at + sp_span_index(rest, '\n');
    }
    if (sp_span_starts(rest, SP_SPAN_LIT("/*"))) {
        sp_span inner = sp_span_slice(rest, 2, rest.len);
        size_t end = sp_span_find(inner, SP_SPAN_LIT("*/"));
        return end == inner.len ? text.len : at + 2 + end + 2;
    }
    if (rest.ptr[0] == '\'' || rest.ptr[0] == '"') {
        sp_span inner = sp_span_slice(rest, 1, rest.len);
        size_t end = sp_span_index(inner, rest.ptr[0]);
        return end == inner.len ? text.len : at + end + 2;
    }
    return at;
}

void sp_statement_verbs(sp_span text, sp_buf *out, bool *ret_cascades)
{
    bool found[SP_COUNT(VERBS)] = {false};
    size_t begin = out->len;
    *ret_cascades = false;
    for (size_t at = 0; at < text.len;) {
        size_t behind = skip(text, at);
        if (behind != at) {
            at = behind;
            continue;
        }
        size_t end = at;
        while (end < text.len && is_word(text.ptr[end])) {
            end++;
        }
        sp_span word = sp_span_slice(text, at, end);
        for (size_t i = 0; i < SP_COUNT(VERBS); i++) {
            found[i] = found[i] || sp_span_eq_nocase(word, sp_span_cstr(VERBS[i]));
        }
        *ret_cascades = *ret_cascades || sp_span_eq_nocase(word, SP_SPAN_LIT("CASCADE"));
        at = end == at ? at + 1 : end;
    }
    for (size_t i = 0; i < SP_COUNT(VERBS); i++) {
        if (found[i]) {
            sp_buf_text(out, out->len > begin ? " " : "");
            sp_buf_text(out, VERBS[i]);
        }
    }
    sp_buf_text(out, out->len > begin ? "" : "WITH");
}
