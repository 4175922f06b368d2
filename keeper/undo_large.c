/* SPDX-License-Identifier: Apache-2.0
 * Contents of large objects that are missing: the objects themselves are made by undo_structure.c.
 * pg_restore writes the contents of all of them, in a transaction of their own: of that only the
 * bytes of the missing ones go on, in statements of ours.
 *
 *     SELECT pg_catalog.lo_open('16500', 131072);
 *     SELECT pg_catalog.lowrite(0, '\x6869');
 *     SELECT pg_catalog.lo_close(0);
 *
 * OWNS a line that has not ended. PROCESS keeper, threads of the pool. TRUST see undo.c: a line
 * goes on when it is digits of bytes and nothing else. SPEC keeper/undo_parts.h, pg_restore(1).
 */
#include "infra/proc/file.h"
#include "keeper/undo_parts.h"

#include <stdio.h>

enum { LINE_MAX_BYTES = 1 << 20 };

typedef struct {
    undo *u;
    sp_buf line;
    sp_buf out;
    uint32_t oid; /* whose bytes are read; 0 = one that is there */
    uint64_t at;
} loading;

/* What stands between the two; empty: it is another line. */
static sp_span between(sp_span line, const char *before, const char *after)
{
    sp_span first = sp_span_cstr(before);
    sp_span last = sp_span_cstr(after);
    return sp_span_starts(line, first) && sp_span_ends(line, last) &&
                   line.len > first.len + last.len
               ? sp_span_slice(line, first.len, line.len - last.len)
               : SP_SPAN_EMPTY;
}

static bool is_hex(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return false;
        }
    }
    return text.len % 2 == 0;
}

static sp_err take_line(loading *l, sp_span line)
{
    sp_span opened = between(line, "SELECT pg_catalog.lo_open('", "', 131072);");
    sp_span bytes = between(line, "SELECT pg_catalog.lowrite(0, '\\x", "');");
    if (opened.len > 0) {
        uint64_t oid = 0;
        TRY(sp_span_to_u64(opened, UINT32_MAX, &oid));
        l->oid = undo_is_missing(l->u, UNDO_LARGE_OBJECTS, (uint32_t)oid) ? (uint32_t)oid : 0;
        l->at = 0;
        return sp_ok();
    }
    if (bytes.len == 0) {
        return sp_span_starts(line, SP_SPAN_LIT("SELECT pg_catalog.lowrite")) ? sp_fail(SP_EINVALID)
                                                                              : sp_ok();
    }
    if (!is_hex(bytes)) {
        return sp_fail(SP_EINVALID);
    }
    if (l->oid != 0) { /* \gset: a line for each piece would drown the report */
        sp_buf_fmt(&l->out, "SELECT pg_catalog.lo_put(%u, %llu, '\\x", l->oid,
                   (unsigned long long)l->at);
        sp_buf_span(&l->out, bytes);
        sp_buf_text(&l->out, "') AS sp_put " UNDO_GSET);
        l->at += bytes.len / 2;
    }
    return undo_script(l->u, &l->out);
}

static sp_err take_contents(void *self, sp_span bytes)
{
    loading *l = self;
    while (bytes.len > 0) {
        size_t at = sp_span_index(bytes, '\n');
        sp_buf_span(&l->line, sp_span_slice(bytes, 0, at));
        TRY(sp_buf_error(&l->line));
        if (at == bytes.len) {
            break;
        }
        TRY(take_line(l, sp_buf_borrow(&l->line)));
        sp_buf_reset(&l->line);
        bytes = sp_span_slice(bytes, at + 1, bytes.len);
    }
    return sp_ok();
}

bool undo_is_large_contents(const keep_toc_entry *entry)
{
    return entry->catalog == 0 && sp_span_starts(entry->rest, SP_SPAN_LIT("BLOBS "));
}

static bool pick_contents(const undo *u, const keep_toc_entry *entry)
{
    (void)u;
    return undo_is_large_contents(entry);
}

sp_err undo_large_contents(undo *u)
{
    char path[KEEP_PATH_BYTES + 16];
    char use[KEEP_PATH_BYTES + 32];
    size_t count = 0;
    if (!undo_is_missing(u, UNDO_LARGE_OBJECTS, 0)) {
        return sp_ok();
    }
    TRY(undo_list(u, pick_contents, "contents", path, &count));
    if (count == 0) {
        return sp_ok();
    }
    snprintf(use, sizeof(use), "--use-list=%s", path);
    const char *const argv[] = {"pg_restore", "--file=-", "--data-only", use, NULL};
    loading l = {
        .u = u, .line = sp_buf_make(LINE_MAX_BYTES), .out = sp_buf_make(2 * LINE_MAX_BYTES)};
    sp_err err = undo_restore(u, argv, take_contents, &l);
    sp_buf_done(&l.line);
    sp_buf_done(&l.out);
    return err;
}
