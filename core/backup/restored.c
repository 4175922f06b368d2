/* SPDX-License-Identifier: Apache-2.0
 * The note of a restore.
 * OWNS nothing. PROCESS core at its start; the backup command. TRUST the store is core's own.
 * SPEC core/backup/restored.h.
 */
#include "core/backup/restored.h"

#include "core/backup/inside.h"
#include "core/sessions/inside.h"
#include "infra/crypto/random.h"
#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

#include <unistd.h>

enum { CALL_MS = 5000, WAIT_MS = 15000, RETRY_US = 200000, WORDS_MAX_BYTES = 1024 };

static const char *const steps[] = {
    "CREATE TABLE restored (at_unix_us BIGINT PRIMARY KEY, words TEXT NOT NULL);",
};

static sp_err migrate(sp_store *store)
{
    return sp_store_migrate(store, "backup", steps, SP_COUNT(steps));
}

static sp_err clear(sp_store *store, const char *sql)
{
    auto_query sp_query q = sp_query_of(store, sql);
    return sp_query_finish(&q);
}

/* Sessions that ended after the backup would live again: nobody stays signed in. */
sp_err sp_restored_note(sp_store *store, sp_span words)
{
    TRY(migrate(store));
    TRY(sp_session_rows_start(store));
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(clear(store, "DELETE FROM token"));
    TRY(clear(store, "DELETE FROM session"));
    TRY(clear(store, "DELETE FROM restored"));
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO restored (at_unix_us, words) VALUES ($1, $2)");
    sp_bind_u64(&q, sp_now_unix_us());
    sp_bind_text(&q, words);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

static sp_err append(const sp_config *config, sp_span body)
{
    auto_free char *path = NULL;
    auto_close int fd = -1;
    auto_fds sp_fds fds = {0};
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    TRY(sp_config_socket(config, "ledger", &path));
    TRY(sp_ipc_connect(path, &fd));
    return sp_ipc_call(fd, SP_LEDGER_APPEND, body, CALL_MS, &reply, &fds);
}

static sp_err tell(const sp_config *config, uint64_t when_unix_us, sp_span words)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_event event = {.when_unix_us = when_unix_us,
                      .kind = SP_EVENT_ADMIN,
                      .severity = SP_SEVERITY_HIGH,
                      .action = SP_ACTION_IMPORT,
                      .verdict = SP_VERDICT_ALLOW,
                      .person_name = SP_SPAN_LIT("root"),
                      .method = SP_SPAN_LIT("restore"),
                      .object = words};
    sp_ledger_append_write(sp_random_u64(), 1, 1, &body);
    sp_ledger_append_add(&event, &body);
    TRY(sp_buf_error(&body));
    uint64_t deadline_us = sp_now_steady_us() + (uint64_t)WAIT_MS * 1000;
    for (;;) {
        sp_err err = append(config, sp_buf_borrow(&body));
        if (!sp_failed(err) || sp_now_steady_us() > deadline_us) {
            return err;
        }
        usleep(RETRY_US);
    }
}

sp_err sp_restored_tell(const sp_core *core)
{
    auto_buf sp_buf words = sp_buf_make(WORDS_MAX_BYTES);
    TRY(migrate(core->store));
    auto_query sp_query q = sp_query_of(core->store, "SELECT at_unix_us, words FROM restored");
    if (!sp_query_row(&q)) {
        return sp_query_finish(&q);
    }
    uint64_t when_unix_us = sp_col_u64(&q);
    sp_buf_span(&words, sp_col_text(&q));
    TRY(sp_query_finish(&q));
    TRY(sp_buf_error(&words));
    sp_err err = tell(core->config, when_unix_us, sp_buf_borrow(&words));
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "this store was restored, and the ledger cannot write that down (%s)",
               sp_code_word(err.code));
        return err;
    }
    sp_log(SP_LOG_WARN, "restored: %.*s", SP_SPAN_ARG(sp_buf_borrow(&words)));
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(clear(core->store, "DELETE FROM restored"));
    return sp_txn_commit(&txn);
}
