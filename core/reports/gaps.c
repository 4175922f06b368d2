/* SPDX-License-Identifier: Apache-2.0
 * What ought to be there and is not, told until it is there: a place of the officers register that
 * nobody holds, a role of the Rota that nobody can take, a plan that was not drilled in its time.
 * OWNS rows of the store. PROCESS core. TRUST none. SPEC core/reports/reports.h.
 */
#include "core/reports/reports.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

#include <string.h>

enum { GAP_NAME_BYTES = SP_NAME_MAX_BYTES + 32 };

typedef struct {
    bool is_there; /* a row: the gap is open */
    uint64_t since_unix_s;
    uint64_t told_unix_s; /* 0 = not yet */
} kept;

static kept read_kept(sp_store *store, sp_span name)
{
    kept row = {.is_there = false};
    auto_query sp_query q = sp_query_of(store, "SELECT since, told FROM gap WHERE name = $1");
    sp_bind_text(&q, name);
    if (sp_query_row(&q)) {
        row.is_there = true;
        row.since_unix_s = sp_col_u64(&q);
        row.told_unix_s = sp_col_u64(&q);
    }
    return row;
}

static sp_err put(sp_store *store, sp_span name, const kept *row)
{
    auto_query sp_query q = sp_query_alone(
        store, row->is_there ? "INSERT INTO gap (name, since, told) VALUES ($1, $2, $3) ON CONFLICT"
                               " (name) DO UPDATE SET since = excluded.since, told = excluded.told"
                             : "DELETE FROM gap WHERE name = $1");
    sp_bind_text(&q, name);
    if (row->is_there) {
        sp_bind_u64(&q, row->since_unix_s);
        sp_bind_u64(&q, row->told_unix_s);
    }
    return sp_query_finish(&q);
}

/* A clock that was set back makes no gap wait for what it had shown. */
static kept as_of_now(kept row, uint64_t now)
{
    row.since_unix_s = row.since_unix_s > now ? now : row.since_unix_s;
    row.told_unix_s = row.told_unix_s > now ? now : row.told_unix_s;
    return row;
}

sp_gap_news sp_gap_look(sp_core *core, const sp_gap *gap)
{
    uint64_t now = sp_now_unix_us() / 1000000;
    kept was = read_kept(core->store, gap->name);
    kept is = as_of_now(was, now);
    sp_gap_news news = SP_GAP_SAME;
    if (!gap->is_open) {
        news = was.told_unix_s != 0 ? SP_GAP_OVER : SP_GAP_SAME;
        is = (kept){.is_there = false};
    } else {
        is.since_unix_s = was.is_there ? is.since_unix_s : now;
        is.is_there = true;
        bool due = is.told_unix_s == 0 ? now - is.since_unix_s >= gap->grace_s
                                       : now - is.told_unix_s >= gap->again_s;
        news = due ? SP_GAP_TELL : SP_GAP_SAME;
        is.told_unix_s = due ? now : is.told_unix_s;
    }
    bool same = was.is_there == is.is_there && was.since_unix_s == is.since_unix_s &&
                was.told_unix_s == is.told_unix_s;
    sp_err err = same ? sp_ok() : put(core->store, gap->name, &is);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "gap %.*s cannot be kept: %s", SP_SPAN_ARG(gap->name),
               sp_code_word(err.code));
    }
    return sp_failed(err) ? SP_GAP_SAME
                          : news; /* the next look tells it: rather late than always */
}

void sp_gaps_close(sp_core *core, const char *kind, bool (*is_named)(sp_core *core, sp_span name))
{
    enum { AT_A_TIME = 32 };
    char gone[AT_A_TIME][GAP_NAME_BYTES];
    size_t count = 0;
    size_t kind_len = strlen(kind);
    {
        auto_query sp_query q = sp_query_of(core->store, "SELECT name FROM gap ORDER BY name");
        while (count < AT_A_TIME && sp_query_row(&q)) {
            sp_span name = sp_col_text(&q);
            bool is_kind = sp_span_starts(name, sp_span_cstr(kind)) && name.len > kind_len &&
                           name.ptr[kind_len] == ':';
            if (is_kind && !is_named(core, sp_span_slice(name, kind_len + 1, name.len)) &&
                !sp_failed(sp_fit(gone[count], sizeof(gone[count]), name))) {
                count++;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        const kept none = {.is_there = false};
        sp_err err = put(core->store, sp_span_cstr(gone[i]), &none);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "gap %s, which no document names, stays: %s", gone[i],
                   sp_code_word(err.code));
        }
    }
}

uint64_t sp_gap_since(sp_core *core, sp_span name)
{
    return read_kept(core->store, name).since_unix_s;
}

size_t sp_gaps_count(sp_core *core, sp_span kind)
{
    auto_buf sp_buf like = sp_buf_make(64);
    sp_buf_span(&like, kind);
    sp_buf_text(&like, ":%");
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT COUNT(*) FROM gap WHERE told > 0 AND name LIKE $1");
    sp_bind_text(&q, sp_buf_borrow(&like));
    return sp_query_row(&q) ? (size_t)sp_col_u64(&q) : 0;
}
