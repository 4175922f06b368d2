/* SPDX-License-Identifier: Apache-2.0
 * Bodies of the messages between the database gate and core.
 * OWNS nothing. PROCESS core and the database gate. TRUST bodies are hostile.
 * SPEC lib/proto/db_msg.h.
 */
#include "lib/proto/db_msg.h"

enum { PEER_BYTES = 16 };

/* ---- fields ---- */

static void put_raw(sp_buf *out, const uint8_t *bytes, size_t len)
{
    sp_buf_span(out, sp_span_of(bytes, len));
}

static void get_raw(sp_reader *in, uint8_t *bytes, size_t len)
{
    sp_span raw = sp_read_span(in, len);
    sp_copy(bytes, raw.ptr, raw.len);
}

static sp_db_session get_session(sp_reader *in)
{
    sp_db_session session = {0};
    session.slot = sp_read_u32(in);
    session.id = sp_read_u64(in);
    return session;
}

bool sp_db_has_fingerprint(const sp_db_fingerprint *fingerprint)
{
    static const sp_db_fingerprint NONE = {0};
    return !sp_span_eq(sp_span_of(fingerprint->bytes, sizeof(fingerprint->bytes)),
                       sp_span_of(NONE.bytes, sizeof(NONE.bytes)));
}

/* ---- log-in ---- */

void sp_db_sasl_write(const sp_db_sasl *sasl, sp_buf *out)
{
    sp_buf_u32(out, sasl->conversation);
    sp_buf_u8(out, sasl->mechanism);
    sp_buf_u8(out, sasl->over_tls);
    put_raw(out, sasl->peer, PEER_BYTES);
    put_raw(out, sasl->fingerprint.bytes, sizeof(sasl->fingerprint.bytes));
    sp_buf_bytes(out, sasl->end_point);
    sp_buf_bytes(out, sasl->user);
    sp_buf_bytes(out, sasl->resource);
    sp_buf_bytes(out, sasl->database);
    sp_buf_bytes(out, sasl->data);
}

sp_err sp_db_sasl_read(sp_span body, sp_db_sasl *ret_sasl)
{
    sp_reader in = sp_reader_of(body);
    sp_db_sasl sasl = {0};
    sasl.conversation = sp_read_u32(&in);
    sasl.mechanism = sp_read_enum(&in, SP_DB_MECHANISM_COUNT);
    sasl.over_tls = sp_read_enum(&in, 2);
    get_raw(&in, sasl.peer, PEER_BYTES);
    get_raw(&in, sasl.fingerprint.bytes, sizeof(sasl.fingerprint.bytes));
    sasl.end_point = sp_read_bytes(&in, SP_DB_END_POINT_MAX_BYTES);
    sasl.user = sp_read_text(&in, SP_NAME_MAX_BYTES);
    sasl.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    sasl.database = sp_read_text(&in, SP_DB_NAME_MAX_BYTES);
    sasl.data = sp_read_bytes(&in, SP_DB_SASL_MAX_BYTES);
    if (sasl.over_tls == 0 && sasl.mechanism == SP_DB_SCRAM_SHA_256_PLUS) {
        sp_reader_fail(&in, SP_EINVALID); /* nothing to bind to */
    }
    TRY(sp_reader_finish(&in));
    *ret_sasl = sasl;
    return sp_ok();
}

void sp_db_sasl_step_write(const sp_db_sasl_step *step, sp_buf *out)
{
    sp_buf_u8(out, step->done);
    sp_db_session_write(&step->session, out);
    sp_buf_bytes(out, step->data);
}

sp_err sp_db_sasl_step_read(sp_span body, sp_db_sasl_step *ret_step)
{
    sp_reader in = sp_reader_of(body);
    sp_db_sasl_step step = {0};
    step.done = sp_read_enum(&in, 2);
    step.session = get_session(&in);
    step.data = sp_read_bytes(&in, SP_DB_SASL_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_step = step;
    return sp_ok();
}

void sp_db_cert_write(const sp_db_cert *cert, sp_buf *out)
{
    put_raw(out, cert->peer, PEER_BYTES);
    put_raw(out, cert->fingerprint.bytes, sizeof(cert->fingerprint.bytes));
    sp_buf_bytes(out, cert->user);
    sp_buf_bytes(out, cert->resource);
    sp_buf_bytes(out, cert->database);
}

sp_err sp_db_cert_read(sp_span body, sp_db_cert *ret_cert)
{
    sp_reader in = sp_reader_of(body);
    sp_db_cert cert = {0};
    get_raw(&in, cert.peer, PEER_BYTES);
    get_raw(&in, cert.fingerprint.bytes, sizeof(cert.fingerprint.bytes));
    cert.user = sp_read_text(&in, SP_NAME_MAX_BYTES);
    cert.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    cert.database = sp_read_text(&in, SP_DB_NAME_MAX_BYTES);
    if (!sp_db_has_fingerprint(&cert.fingerprint)) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_cert = cert;
    return sp_ok();
}

void sp_db_session_write(const sp_db_session *session, sp_buf *out)
{
    sp_buf_u32(out, session->slot);
    sp_buf_u64(out, session->id);
}

sp_err sp_db_session_read(sp_span body, sp_db_session *ret_session)
{
    sp_reader in = sp_reader_of(body);
    sp_db_session session = get_session(&in);
    TRY(sp_reader_finish(&in));
    *ret_session = session;
    return sp_ok();
}

/* ---- connections ---- */

void sp_db_conn_write(const sp_db_conn *conn, sp_buf *out)
{
    sp_buf_u64(out, conn->connection);
    sp_buf_u8(out, conn->state);
    put_raw(out, conn->peer, PEER_BYTES);
    put_raw(out, conn->fingerprint.bytes, sizeof(conn->fingerprint.bytes));
    sp_db_session_write(&conn->session, out);
    sp_buf_bytes(out, conn->resource);
    sp_buf_bytes(out, conn->database);
    sp_buf_bytes(out, conn->account);
    sp_buf_bytes(out, conn->application);
}

sp_err sp_db_conn_read(sp_span body, sp_db_conn *ret_conn)
{
    sp_reader in = sp_reader_of(body);
    sp_db_conn conn = {0};
    conn.connection = sp_read_u64(&in);
    conn.state = sp_read_enum(&in, SP_DB_CONN_STATE_COUNT);
    get_raw(&in, conn.peer, PEER_BYTES);
    get_raw(&in, conn.fingerprint.bytes, sizeof(conn.fingerprint.bytes));
    conn.session = get_session(&in);
    conn.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    conn.database = sp_read_text(&in, SP_DB_NAME_MAX_BYTES);
    conn.account = sp_read_text(&in, SP_DB_NAME_MAX_BYTES);
    conn.application = sp_read_text(&in, SP_DB_NAME_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_conn = conn;
    return sp_ok();
}

void sp_db_kill_write(const sp_db_kill *kill, sp_buf *out)
{
    sp_buf_u64(out, kill->connection);
    sp_buf_bytes(out, kill->reason);
}

sp_err sp_db_kill_read(sp_span body, sp_db_kill *ret_kill)
{
    sp_reader in = sp_reader_of(body);
    sp_db_kill kill = {0};
    kill.connection = sp_read_u64(&in);
    kill.reason = sp_read_text(&in, SP_DB_REASON_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_kill = kill;
    return sp_ok();
}

void sp_db_cancel_write(const sp_db_cancel *cancel, sp_buf *out)
{
    sp_buf_u64(out, cancel->connection);
}

sp_err sp_db_cancel_read(sp_span body, sp_db_cancel *ret_cancel)
{
    sp_reader in = sp_reader_of(body);
    sp_db_cancel cancel = {sp_read_u64(&in)};
    TRY(sp_reader_finish(&in));
    *ret_cancel = cancel;
    return sp_ok();
}

/* ---- asking ---- */

void sp_db_ask_write(const sp_db_ask *ask, sp_buf *out)
{
    sp_buf_u64(out, ask->connection);
    sp_db_session_write(&ask->session, out);
    sp_buf_u64(out, ask->reference);
    sp_buf_u64(out, ask->estimated_rows);
    sp_buf_u64(out, ask->keep_bytes);
    sp_buf_u8(out, ask->action);
    sp_buf_u8(out, ask->class_level);
    sp_buf_u8(out, ask->needed);
    put_raw(out, ask->sha256, sizeof(ask->sha256));
    sp_buf_bytes(out, ask->resource);
    sp_buf_bytes(out, ask->database);
    sp_buf_bytes(out, ask->statement);
    sp_buf_u8(out, ask->rules_count);
    for (uint8_t i = 0; i < ask->rules_count; i++) {
        sp_buf_bytes(out, ask->rules[i]);
    }
    sp_buf_bytes(out, ask->objects);
    sp_buf_bytes(out, ask->plan);
    sp_buf_bytes(out, ask->verbs);
}

sp_err sp_db_ask_read(sp_span body, sp_db_ask *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_db_ask ask = {0};
    ask.connection = sp_read_u64(&in);
    ask.session = get_session(&in);
    ask.reference = sp_read_u64(&in);
    ask.estimated_rows = sp_read_u64(&in);
    ask.keep_bytes = sp_read_u64(&in);
    ask.action = sp_read_enum(&in, SP_ACTION_COUNT);
    ask.class_level = sp_read_enum(&in, SP_CLASSES_MAX);
    ask.needed = sp_read_u8(&in);
    get_raw(&in, ask.sha256, sizeof(ask.sha256));
    ask.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    ask.database = sp_read_text(&in, SP_DB_NAME_MAX_BYTES);
    ask.statement = sp_read_text(&in, SP_DB_STATEMENT_MAX_BYTES);
    ask.rules_count = sp_read_enum(&in, SP_ASKS_MAX + 1);
    for (uint8_t i = 0; i < ask.rules_count; i++) {
        ask.rules[i] = sp_read_text(&in, SP_NAME_MAX_BYTES);
    }
    ask.objects = sp_read_text(&in, SP_DB_OBJECTS_MAX_BYTES);
    ask.plan = sp_read_text(&in, SP_DB_PLAN_MAX_BYTES);
    ask.verbs = sp_read_text(&in, SP_DB_VERBS_MAX_BYTES);
    if (ask.needed == 0 || ask.rules_count == 0) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_db_ask_id_write(const sp_db_ask_id *id, sp_buf *out)
{
    sp_buf_u64(out, id->ask);
}

sp_err sp_db_ask_id_read(sp_span body, sp_db_ask_id *ret_id)
{
    sp_reader in = sp_reader_of(body);
    sp_db_ask_id id = {sp_read_u64(&in)};
    TRY(sp_reader_finish(&in));
    *ret_id = id;
    return sp_ok();
}

void sp_db_ask_use_write(const sp_db_ask_use *use, sp_buf *out)
{
    sp_buf_u64(out, use->ask);
    sp_db_session_write(&use->session, out);
    put_raw(out, use->sha256, sizeof(use->sha256));
}

sp_err sp_db_ask_use_read(sp_span body, sp_db_ask_use *ret_use)
{
    sp_reader in = sp_reader_of(body);
    sp_db_ask_use use = {0};
    use.ask = sp_read_u64(&in);
    use.session = get_session(&in);
    get_raw(&in, use.sha256, sizeof(use.sha256));
    TRY(sp_reader_finish(&in));
    *ret_use = use;
    return sp_ok();
}

void sp_db_ask_done_write(const sp_db_ask_done *done, sp_buf *out)
{
    sp_buf_u64(out, done->ask);
    sp_buf_u8(out, done->verdict);
    sp_buf_bytes(out, done->by);
    sp_buf_bytes(out, done->reason);
}

sp_err sp_db_ask_done_read(sp_span body, sp_db_ask_done *ret_done)
{
    sp_reader in = sp_reader_of(body);
    sp_db_ask_done done = {0};
    done.ask = sp_read_u64(&in);
    done.verdict = sp_read_enum(&in, SP_VERDICT_COUNT);
    done.by = sp_read_text(&in, SP_DB_BY_MAX_BYTES);
    done.reason = sp_read_text(&in, SP_DB_REASON_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_done = done;
    return sp_ok();
}

/* ---- budgets and keeping ---- */

void sp_db_spend_write(const sp_db_spend *spend, sp_buf *out)
{
    sp_db_session_write(&spend->session, out);
    sp_buf_u64(out, spend->reference);
    sp_buf_u8(out, spend->action);
    sp_buf_u32(out, spend->actions);
    sp_buf_u32(out, spend->statements);
    sp_buf_u64(out, spend->rows);
    sp_buf_u64(out, spend->bytes);
    sp_buf_u64(out, spend->estimated);
    sp_buf_u64(out, spend->day_rows);
    sp_buf_u64(out, spend->day_bytes);
    sp_buf_u64(out, spend->carried_rows);
    sp_buf_u64(out, spend->next_bytes);
    sp_buf_u64(out, spend->telling);
    sp_buf_u64(out, spend->when_unix_s);
    sp_buf_u8(out, spend->wants);
    sp_buf_u8(out, spend->guesses);
    sp_buf_bytes(out, spend->resource);
}

sp_err sp_db_spend_read(sp_span body, sp_db_spend *ret_spend)
{
    sp_reader in = sp_reader_of(body);
    sp_db_spend spend = {0};
    spend.session = get_session(&in);
    spend.reference = sp_read_u64(&in);
    spend.action = sp_read_enum(&in, SP_ACTION_COUNT);
    spend.actions = sp_read_u32(&in);
    spend.statements = sp_read_u32(&in);
    spend.rows = sp_read_u64(&in);
    spend.bytes = sp_read_u64(&in);
    spend.estimated = sp_read_u64(&in);
    spend.day_rows = sp_read_u64(&in);
    spend.day_bytes = sp_read_u64(&in);
    spend.carried_rows = sp_read_u64(&in);
    spend.next_bytes = sp_read_u64(&in);
    spend.telling = sp_read_u64(&in);
    spend.when_unix_s = sp_read_u64(&in);
    spend.wants = sp_read_enum(&in, SP_DB_SPEND_WANTS_COUNT);
    spend.guesses = sp_read_enum(&in, 2);
    spend.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    bool has_own = (spend.actions >> spend.action & 1) != 0;
    bool contradicts = spend.wants == SP_DB_SPEND_UNDO && spend.statements > 0;
    if (!has_own || contradicts || spend.actions >> SP_ACTION_COUNT != 0) {
        return sp_fail(SP_EINVALID);
    }
    *ret_spend = spend;
    return sp_ok();
}

void sp_db_granted_write(const sp_db_granted *granted, sp_buf *out)
{
    sp_buf_u64(out, granted->rows);
    sp_buf_u64(out, granted->bytes);
}

sp_err sp_db_granted_read(sp_span body, sp_db_granted *ret_granted)
{
    sp_reader in = sp_reader_of(body);
    sp_db_granted granted = {.rows = sp_read_u64(&in)};
    granted.bytes = sp_read_u64(&in);
    TRY(sp_reader_finish(&in));
    *ret_granted = granted;
    return sp_ok();
}

void sp_db_keep_write(const sp_db_keep *keep, sp_buf *out)
{
    sp_buf_u64(out, keep->ask);
    sp_buf_u8(out, keep->whole_database);
    sp_buf_u32(out, keep->holder);
    sp_buf_bytes(out, keep->resource);
    sp_buf_bytes(out, keep->database);
    sp_buf_bytes(out, keep->relations);
    sp_buf_bytes(out, keep->snapshot);
    sp_buf_bytes(out, keep->verbs);
}

sp_err sp_db_keep_read(sp_span body, sp_db_keep *ret_keep)
{
    sp_reader in = sp_reader_of(body);
    sp_db_keep keep = {0};
    keep.ask = sp_read_u64(&in);
    keep.whole_database = sp_read_enum(&in, 2);
    keep.holder = sp_read_u32(&in);
    keep.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    keep.database = sp_read_text(&in, SP_DB_NAME_MAX_BYTES);
    keep.relations = sp_read_text(&in, SP_DB_RELATIONS_MAX_BYTES);
    keep.snapshot = sp_read_text(&in, SP_DB_SNAPSHOT_MAX_BYTES);
    keep.verbs = sp_read_text(&in, SP_DB_VERBS_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_keep = keep;
    return sp_ok();
}

void sp_db_kept_write(const sp_db_kept *kept, sp_buf *out)
{
    sp_buf_u64(out, kept->keep);
    sp_buf_u64(out, kept->bytes);
    sp_buf_u64(out, kept->duration_ms);
    sp_buf_bytes(out, kept->why);
}

sp_err sp_db_kept_read(sp_span body, sp_db_kept *ret_kept)
{
    sp_reader in = sp_reader_of(body);
    sp_db_kept kept = {0};
    kept.keep = sp_read_u64(&in);
    kept.bytes = sp_read_u64(&in);
    kept.duration_ms = sp_read_u64(&in);
    kept.why = sp_read_text(&in, SP_DB_WHY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_kept = kept;
    return sp_ok();
}
