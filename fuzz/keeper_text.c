/* SPDX-License-Identifier: Apache-2.0
 * What pg_restore and psql print, in pieces; bodies of keeper.sock.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC keeper/said.h, keeper/toc.h,
 * lib/proto/keeper_msg.h.
 */
#include "keeper/plain.h"
#include "keeper/said.h"
#include "keeper/toc.h"
#include "lib/proto/keeper_msg.h"

#include <stdlib.h>

static sp_span target(void *self, sp_span table)
{
    (void)self;
    return table.len % 2 == 0 ? SP_SPAN_EMPTY : SP_SPAN_LIT("pg_temp.x");
}

static void copy_in_pieces(sp_span script, size_t step, sp_buf *out)
{
    keep_copy copy = keep_copy_make(target, NULL);
    for (size_t at = 0; at < script.len; at += step) {
        if (sp_failed(keep_copy_feed(&copy, sp_span_slice(script, at, at + step), out))) {
            break;
        }
    }
    keep_copy_done(&copy);
}

static void same_in_any_pieces(sp_span script)
{
    auto_buf sp_buf one = sp_buf_make(1 << 20);
    auto_buf sp_buf other = sp_buf_make(1 << 20);
    copy_in_pieces(script, script.len + 1, &one);
    copy_in_pieces(script, 3, &other);
    if (script.len < 60000 && !sp_span_eq(sp_buf_borrow(&one), sp_buf_borrow(&other))) {
        abort();
    }
}

static void said(sp_span text)
{
    auto_buf sp_buf out = sp_buf_make(1 << 20);
    keep_said(text, &out);
    if (sp_failed(sp_buf_error(&out)) || out.len > text.len + 200) {
        abort();
    }
}

/* Blanks alone are added. */
static void plain(sp_span sql)
{
    auto_buf sp_buf out = sp_buf_make(2 * sql.len + 1);
    keep_plain state = {.inside = 0};
    size_t at = 0;
    keep_plain_feed(&state, sp_span_slice(sql, 0, sql.len / 2), &out);
    keep_plain_feed(&state, sp_span_slice(sql, sql.len / 2, sql.len), &out);
    for (size_t i = 0; i < out.len; i++) {
        if (at < sql.len && out.ptr[i] == sql.ptr[at]) {
            at++;
        } else if (out.ptr[i] != ' ') {
            abort();
        }
    }
    if (at != sql.len) {
        abort();
    }
}

static void bodies(sp_span body)
{
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_keeper_job job;
    sp_keeper_done done;
    if (!sp_failed(sp_keeper_job_read(body, &job))) {
        sp_keeper_job_write(&job, &again);
        if (!sp_span_eq(sp_buf_borrow(&again), body)) {
            abort();
        }
    }
    sp_buf_reset(&again);
    if (!sp_failed(sp_keeper_done_read(body, &done))) {
        sp_keeper_done_write(&done, &again);
        if (!sp_span_eq(sp_buf_borrow(&again), body)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span text = sp_span_of(data, size);
    sp_span rest = text;
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        uint32_t id = 0;
        size_t ids = 0;
        size_t room = entry.depends.len;
        while (keep_toc_next_id(&entry.depends, &id)) {
            ids++;
        }
        if (entry.rest.len > entry.line.len || 2 * ids > room) {
            abort();
        }
    }
    same_in_any_pieces(text);
    said(text);
    plain(text);
    if (!keep_toc_same_name(text, text)) {
        abort();
    }
    bodies(text);
    return 0;
}
