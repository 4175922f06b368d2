/* SPDX-License-Identifier: Apache-2.0
 * The wall clock was set.
 * OWNS nothing. PROCESS core. TRUST see the header. SPEC core/clock.h.
 */
#include "core/clock.h"

#include "core/approvals/approvals.h"
#include "core/cut/cut.h"
#include "core/database/database.h"
#include "core/incidents/incidents.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/plans/plans.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "infra/store/store.h"

#include <errno.h>
#include <unistd.h>

/* ---- a jump that is not in the store yet: it outlives core ---- */

enum { FILE_MAX_BYTES = 128 };

static const char *const STEPS[] = {
    "CREATE TABLE clock_jump (one BIGINT PRIMARY KEY, id BIGINT NOT NULL)", /* the last that moved
                                                                             */
};

static void keep(sp_core *core)
{
    auto_free char *path = NULL;
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    core->jump_id = sp_now_unix_us();
    sp_buf_fmt(&text, "%llu %llu %llu %llu\n", (unsigned long long)core->jump_id,
               (unsigned long long)core->jump_s, (unsigned long long)core->jump_back_s,
               (unsigned long long)core->jump_cut);
    sp_err err = sp_config_state(core->config, SP_ROLE_CORE, "jump", &path);
    if (!sp_failed(err)) {
        err = sp_file_replace(path, 0600, sp_buf_borrow(&text));
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "that the clock was set cannot be kept: %s", sp_code_word(err.code));
    }
}

static void forget(const sp_core *core)
{
    auto_free char *path = NULL;
    if (sp_failed(sp_config_state(core->config, SP_ROLE_CORE, "jump", &path)) ||
        (unlink(path) != 0 && errno != ENOENT)) {
        sp_log(SP_LOG_WARN, "a jump of the clock that is over stays on the disk");
    }
}

static sp_err put_moved(sp_store *store, uint64_t id)
{
    auto_query sp_query q = sp_query_of(store, "INSERT INTO clock_jump (one, id) VALUES (1, $1) "
                                               "ON CONFLICT (one) DO UPDATE SET id = $1");
    sp_bind_u64(&q, id);
    return sp_query_finish(&q);
}

static sp_err get_moved(sp_store *store, uint64_t *ret_id)
{
    auto_query sp_query q = sp_query_of(store, "SELECT id FROM clock_jump");
    *ret_id = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

/* SP_ENOTFOUND: nothing is left. */
static sp_err read_left(const char *path, uint64_t numbers[4])
{
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    TRY(sp_file_read(path, &text));
    sp_span rest = sp_span_trim(sp_buf_borrow(&text));
    for (size_t i = 0; i < 4; i++) {
        sp_span word = SP_SPAN_EMPTY;
        if (!sp_span_split(&rest, ' ', &word)) {
            return sp_fail(SP_EINVALID);
        }
        TRY(sp_span_to_u64(word, UINT64_MAX, &numbers[i]));
    }
    return rest.len == 0 ? sp_ok() : sp_fail(SP_EINVALID);
}

/* ---- it was set ---- */

static void tell(sp_core *core, int64_t by_s)
{
    auto_buf sp_buf what = sp_buf_make(128);
    sp_buf_fmt(&what, "by %lld s", (long long)by_s);
    const sp_event event = {.kind = SP_EVENT_ROLE,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = SP_SEVERITY_HIGH,
                            .method = SP_SPAN_LIT("clock jumped"),
                            .object = sp_buf_borrow(&what)};
    sp_log(SP_LOG_WARN, "the clock was set by %lld s", (long long)by_s);
    sp_ledger_client_tell(core->ledger, &event);
}

/* All rooms or none: half of what hangs together is not left behind. */
static sp_err move_rows(sp_core *core)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_sessions_clock_rows(core, core->jump_s, core->jump_back_s));
    TRY(sp_approvals_clock_rows(core, core->jump_back_s));
    TRY(sp_cut_clock_rows(core, core->jump_s, core->jump_cut));
    TRY(sp_plans_clock_rows(core, core->jump_s));
    TRY(sp_incidents_clock_rows(core, core->jump_s));
    TRY(sp_notices_clock_rows(core, core->jump_s));
    TRY(sp_databases_clock_rows(core, core->jump_s));
    TRY(put_moved(core->store, core->jump_id));
    return sp_txn_commit(&txn);
}

static sp_err move_all(sp_core *core)
{
    TRY(move_rows(core));
    core->cuts_stale = true;
    core->jump_s = core->jump_back_s = 0;
    core->jump_id = 0;
    forget(core);
    return sp_ok();
}

void sp_clock_look(sp_core *core)
{
    int64_t by_s = sp_jumps_look(&core->jumps, sp_now_unix_us(), sp_now_steady_us()) / 1000000;
    if (by_s != 0) {
        tell(core, by_s);
        sp_sessions_clock_set(core, by_s);
        sp_databases_clock_set(core, by_s);
        core->jump_cut = core->jump_id == 0 ? sp_cut_newest(core) : core->jump_cut;
        core->jump_s += by_s;
        core->jump_back_s += by_s < 0 ? by_s : 0;
        keep(core);
    }
    sp_err err = core->jump_id != 0 ? move_all(core) : sp_ok();
    if (!sp_failed(err) && core->cuts_stale) {
        err = sp_cut_clock_set(core);
        core->cuts_stale = sp_failed(err);
    }
    if (sp_failed(err) && by_s != 0) {
        sp_log(SP_LOG_ERROR,
               "the clock was set, and what waits and what is cut could not be moved with it yet: "
               "%s; it is tried again",
               sp_code_word(err.code));
    }
}

static sp_err take_left(sp_core *core)
{
    auto_free char *path = NULL;
    uint64_t moved = 0;
    uint64_t left[4] = {0};
    TRY(sp_store_migrate(core->store, "clock", STEPS, SP_COUNT(STEPS)));
    TRY(get_moved(core->store, &moved));
    TRY(sp_config_state(core->config, SP_ROLE_CORE, "jump", &path));
    sp_err err = read_left(path, left);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "%s does not say how far the clock was set (%s): remove it", path,
               sp_code_word(err.code));
        return err;
    }
    if (left[0] == moved) {
        forget(core);
        return sp_ok();
    }
    core->jump_id = left[0];
    core->jump_s = (int64_t)left[1];
    core->jump_back_s = (int64_t)left[2];
    core->jump_cut = left[3];
    sp_sessions_clock_set(core, core->jump_back_s);
    sp_sessions_clock_set(core, core->jump_s - core->jump_back_s);
    sp_databases_clock_set(core, core->jump_s);
    sp_clock_look(core);
    return sp_ok();
}

sp_err sp_clock_start(sp_core *core)
{
    TRY(take_left(core));
    /* what a clock that was put right while core was away left ahead; what a jump that the store
     * has not taken is to move stays as it is */
    return core->jump_id == 0 ? sp_databases_clock_right(core) : sp_ok();
}
