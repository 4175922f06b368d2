/* SPDX-License-Identifier: Apache-2.0
 * Runs of bytes that pass as they lie.
 * OWNS one buffer a worker, for what is put between. PROCESS db gate workers. TRUST none.
 * SPEC gates/db/db.h.
 */
#include "gates/db/db.h"

enum { BOX_KEEP_BYTES = 256 * 1024 };

static sp_buf box;

static void to_box(db_run *run)
{
    if (run->box == NULL) {
        if (box.max_bytes == 0 || box.cap > BOX_KEEP_BYTES) {
            sp_buf_done(&box);
            box = sp_buf_make(DB_STREAM_OUT_MAX_BYTES);
        }
        sp_buf_reset(&box);
        run->box = &box;
    }
    sp_buf_span(run->box, sp_span_of(run->from, run->len));
    run->len = 0;
}

void db_run_add(db_run *run, const uint8_t *from, size_t len)
{
    if (run->len > 0 && run->from + run->len == from) {
        run->len += len;
        return;
    }
    if (run->len > 0) {
        to_box(run);
    }
    run->from = from;
    run->len = len;
}

void db_run_put(db_run *run, sp_span bytes)
{
    to_box(run);
    sp_buf_span(run->box, bytes);
}

sp_err db_run_send(db_run *run, db_stream *to)
{
    sp_span bytes = sp_span_of(run->from, run->len);
    if (run->box != NULL) {
        to_box(run);
        TRY(sp_buf_error(run->box));
        bytes = sp_buf_borrow(run->box);
    }
    *run = (db_run){.len = 0};
    return bytes.len == 0 || !db_stream_is_open(to) ? sp_ok() : db_stream_send(to, bytes);
}
