/* SPDX-License-Identifier: Apache-2.0
 * Bodies of the messages between gates and core.
 * OWNS nothing. PROCESS core and gates. TRUST bodies are hostile.
 * SPEC lib/proto/core_msg.h.
 */
#include "lib/proto/core_msg.h"

enum { SEEN_ONE_BYTES = 4 + 8 };

void sp_core_hello_write(const sp_core_hello *hello, sp_buf *out)
{
    sp_buf_u8(out, hello->gate);
    sp_buf_u8(out, hello->part);
}

sp_err sp_core_hello_read(sp_span body, sp_core_hello *ret_hello)
{
    sp_reader in = sp_reader_of(body);
    sp_core_hello hello = {0};
    hello.gate = sp_read_enum(&in, SP_GATE_COUNT);
    hello.part = sp_read_enum(&in, SP_CORE_PART_COUNT);
    if (hello.gate == SP_GATE_NONE) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_hello = hello;
    return sp_ok();
}

void sp_core_office_write(const sp_core_office *office, sp_buf *out)
{
    sp_buf_u64(out, office->gate_id);
    sp_buf_u64(out, office->policy_version);
    sp_buf_u64(out, office->epoch);
    sp_buf_u16(out, office->public_port);
    sp_buf_bytes(out, office->office);
    sp_buf_bytes(out, office->domain);
    sp_buf_bytes(out, office->portal);
}

sp_err sp_core_office_read(sp_span body, sp_core_office *ret_office)
{
    sp_reader in = sp_reader_of(body);
    sp_core_office office = {0};
    office.gate_id = sp_read_u64(&in);
    office.policy_version = sp_read_u64(&in);
    office.epoch = sp_read_u64(&in);
    office.public_port = sp_read_u16(&in);
    office.office = sp_read_bytes(&in, SP_CORE_HOST_MAX_BYTES);
    office.domain = sp_read_bytes(&in, SP_CORE_HOST_MAX_BYTES);
    office.portal = sp_read_bytes(&in, SP_NAME_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_office = office;
    return sp_ok();
}

void sp_core_token_ask_write(const sp_core_token_ask *ask, sp_buf *out)
{
    sp_buf_u32(out, ask->session_slot);
    sp_buf_u64(out, ask->session_id);
    sp_buf_bytes(out, ask->resource);
}

sp_err sp_core_token_ask_read(sp_span body, sp_core_token_ask *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_core_token_ask ask = {0};
    ask.session_slot = sp_read_u32(&in);
    ask.session_id = sp_read_u64(&in);
    ask.resource = sp_read_bytes(&in, SP_NAME_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_core_token_write(const sp_core_token *token, sp_buf *out)
{
    sp_buf_bytes(out, token->jwt);
    sp_buf_u64(out, token->expires_unix_s);
}

sp_err sp_core_token_read(sp_span body, sp_core_token *ret_token)
{
    sp_reader in = sp_reader_of(body);
    sp_core_token token = {0};
    token.jwt = sp_read_bytes(&in, SP_CORE_JWT_MAX_BYTES);
    token.expires_unix_s = sp_read_u64(&in);
    TRY(sp_reader_finish(&in));
    *ret_token = token;
    return sp_ok();
}

void sp_core_seen_write(const sp_core_seen_one *items, size_t count, sp_buf *out)
{
    if (count > SP_CORE_SEEN_MAX) {
        out->err = sp_fail(SP_ELIMIT);
        return;
    }
    sp_buf_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        sp_buf_u32(out, items[i].session_slot);
        sp_buf_u64(out, items[i].session_id);
    }
}

sp_err sp_core_seen_read(sp_span body, sp_core_seen *ret_seen)
{
    sp_reader in = sp_reader_of(body);
    sp_core_seen seen = {0};
    seen.count = sp_read_u32(&in);
    if (seen.count > SP_CORE_SEEN_MAX) {
        sp_reader_fail(&in, SP_ELIMIT);
    }
    seen.items = sp_read_span(&in, (size_t)seen.count * SEEN_ONE_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_seen = seen;
    return sp_ok();
}

sp_core_seen_one sp_core_seen_at(const sp_core_seen *seen, uint32_t at)
{
    size_t from = (size_t)at * SEEN_ONE_BYTES;
    sp_reader in = sp_reader_of(sp_span_slice(seen->items, from, from + SEEN_ONE_BYTES));
    sp_core_seen_one one = {0};
    one.session_slot = sp_read_u32(&in);
    one.session_id = sp_read_u64(&in);
    return one;
}

void sp_core_snapshot_write(const sp_core_snapshot *snapshot, sp_buf *out)
{
    sp_buf_u64(out, snapshot->policy_version);
}

sp_err sp_core_snapshot_read(sp_span body, sp_core_snapshot *ret_snapshot)
{
    sp_reader in = sp_reader_of(body);
    sp_core_snapshot snapshot = {sp_read_u64(&in)};
    TRY(sp_reader_finish(&in));
    *ret_snapshot = snapshot;
    return sp_ok();
}

void sp_core_again_write(const sp_core_again *again, sp_buf *out)
{
    sp_buf_u64(out, again->epoch);
}

sp_err sp_core_again_read(sp_span body, sp_core_again *ret_again)
{
    sp_reader in = sp_reader_of(body);
    sp_core_again again = {sp_read_u64(&in)};
    TRY(sp_reader_finish(&in));
    *ret_again = again;
    return sp_ok();
}
