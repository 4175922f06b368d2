/* SPDX-License-Identifier: Apache-2.0
 * A script of pg_restore, entry by entry.
 * OWNS what it gathers. PROCESS keeper. TRUST see pieces.h. SPEC keeper/pieces.h.
 */
#include "keeper/pieces.h"

keep_pieces keep_pieces_make(sp_err (*take)(void *self, uint32_t id, sp_span text), void *self,
                             size_t max_bytes)
{
    return (keep_pieces){
        .take = take, .self = self, .text = sp_buf_make(max_bytes), .line = sp_buf_make(max_bytes)};
}

void keep_pieces_done(keep_pieces *pieces)
{
    sp_buf_done(&pieces->text);
    sp_buf_done(&pieces->line);
}

static sp_err hand_on(keep_pieces *p, uint32_t next)
{
    TRY(sp_buf_error(&p->text));
    sp_err err = p->text.len == 0 ? sp_ok() : p->take(p->self, p->id, sp_buf_borrow(&p->text));
    sp_buf_reset(&p->text);
    p->id = next;
    return err;
}

static bool is_head(sp_span line, uint32_t *ret_id)
{
    static const char head[] = "-- TOC entry ";
    uint64_t id = 0;
    if (!sp_span_starts(line, sp_span_cstr(head))) {
        return false;
    }
    sp_span rest = sp_span_slice(line, sizeof(head) - 1, line.len);
    rest = sp_span_slice(rest, 0, sp_span_index(rest, ' '));
    *ret_id = sp_failed(sp_span_to_u64(rest, UINT32_MAX, &id)) ? 0 : (uint32_t)id;
    return *ret_id != 0;
}

/* pg_restore writes them before the head of the entry that needs them, and once for all others. */
static bool is_setting(sp_span line)
{
    return sp_span_starts(line, SP_SPAN_LIT("SET default_"));
}

static sp_err take_line(keep_pieces *p, sp_span line)
{
    auto_buf sp_buf unused = sp_buf_make(2 * p->line.max_bytes);
    bool outside = keep_plain_is_outside(&p->plain);
    uint32_t id = 0;
    keep_plain_feed(&p->plain, line, &unused);
    if (outside && line.ptr[0] == '\\') {
        return sp_ok();
    }
    if (outside && is_head(line, &id)) {
        return hand_on(p, id);
    }
    if (outside && is_setting(line) && p->id != 0) {
        TRY(hand_on(p, 0));
    }
    sp_buf_span(&p->text, line);
    return sp_buf_error(&p->text);
}

sp_err keep_pieces_feed(keep_pieces *p, sp_span bytes)
{
    while (bytes.len > 0) {
        size_t at = sp_span_index(bytes, '\n');
        bool ends = at < bytes.len;
        sp_buf_span(&p->line, sp_span_slice(bytes, 0, ends ? at + 1 : at));
        TRY(sp_buf_error(&p->line));
        if (ends) {
            TRY(take_line(p, sp_buf_borrow(&p->line)));
            sp_buf_reset(&p->line);
        }
        bytes = sp_span_slice(bytes, ends ? at + 1 : at, bytes.len);
    }
    return sp_ok();
}

sp_err keep_pieces_end(keep_pieces *p)
{
    if (p->line.len > 0) {
        TRY(take_line(p, sp_buf_borrow(&p->line)));
        sp_buf_reset(&p->line);
    }
    return hand_on(p, 0);
}
