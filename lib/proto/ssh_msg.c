/* SPDX-License-Identifier: Apache-2.0
 * Bodies of the messages between the SSH gate and core.
 * OWNS nothing. PROCESS core and the SSH gate. TRUST bodies are hostile.
 * SPEC lib/proto/ssh_msg.h.
 */
#include "lib/proto/ssh_msg.h"

enum { PEER_BYTES = 16 };

static const char *const CHANNEL_WORDS[SP_SSH_CHANNEL_KIND_COUNT] = {
    "shell", "exec", "sftp", "scp", "rsync", "git", "forward"};

const char *sp_ssh_channel_word(sp_ssh_channel_kind kind)
{
    return CHANNEL_WORDS[kind];
}

sp_err sp_ssh_channel_of_word(sp_span word, sp_ssh_channel_kind *ret_kind)
{
    for (unsigned i = 0; i < SP_SSH_CHANNEL_KIND_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(CHANNEL_WORDS[i]))) {
            *ret_kind = (sp_ssh_channel_kind)i;
            return sp_ok();
        }
    }
    return sp_fail(SP_EINVALID);
}

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

static void put_who(sp_buf *out, const sp_ssh_who *who)
{
    put_raw(out, who->peer, PEER_BYTES);
    sp_buf_u64(out, who->connection);
    sp_buf_bytes(out, who->user);
    sp_buf_bytes(out, who->resource);
    sp_buf_bytes(out, who->account);
}

static sp_ssh_who get_who(sp_reader *in)
{
    sp_ssh_who who = {0};
    get_raw(in, who.peer, PEER_BYTES);
    who.connection = sp_read_u64(in);
    who.user = sp_read_text(in, SP_NAME_MAX_BYTES);
    who.resource = sp_read_text(in, SP_NAME_MAX_BYTES);
    who.account = sp_read_text(in, SP_SSH_ACCOUNT_MAX_BYTES);
    return who;
}

static void put_session(sp_buf *out, const sp_ssh_session *session)
{
    sp_buf_u32(out, session->slot);
    sp_buf_u64(out, session->id);
}

static sp_ssh_session get_session(sp_reader *in)
{
    sp_ssh_session session = {0};
    session.slot = sp_read_u32(in);
    session.id = sp_read_u64(in);
    return session;
}

static sp_span get_blob(sp_reader *in)
{
    sp_span blob = sp_read_bytes(in, SP_SSH_BLOB_MAX_BYTES);
    if (blob.len == 0) {
        sp_reader_fail(in, SP_EINVALID);
    }
    return blob;
}

/* ---- signing in ---- */

void sp_ssh_offer_write(const sp_ssh_offer *offer, sp_buf *out)
{
    put_who(out, &offer->who);
    sp_buf_bytes(out, offer->blob);
}

sp_err sp_ssh_offer_read(sp_span body, sp_ssh_offer *ret_offer)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_offer offer = {.who = get_who(&in)};
    offer.blob = get_blob(&in);
    TRY(sp_reader_finish(&in));
    *ret_offer = offer;
    return sp_ok();
}

void sp_ssh_key_shown_write(const sp_ssh_key_shown *key, sp_buf *out)
{
    put_who(out, &key->who);
    sp_buf_bytes(out, key->blob);
    sp_buf_bytes(out, key->algorithm);
    sp_buf_u8(out, key->sk_flags);
    sp_buf_u32(out, key->sk_counter);
}

sp_err sp_ssh_key_shown_read(sp_span body, sp_ssh_key_shown *ret_shown)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_key_shown key = {.who = get_who(&in)};
    key.blob = get_blob(&in);
    key.algorithm = sp_read_text(&in, SP_SSH_ALGORITHM_MAX_BYTES);
    key.sk_flags = sp_read_u8(&in);
    key.sk_counter = sp_read_u32(&in);
    TRY(sp_reader_finish(&in));
    *ret_shown = key;
    return sp_ok();
}

static void put_signed_in(sp_buf *out, const sp_ssh_signed_in *signed_in)
{
    put_session(out, &signed_in->session);
    put_raw(out, signed_in->fingerprint.bytes, sizeof(signed_in->fingerprint.bytes));
    sp_buf_u64(out, signed_in->expires_unix_s);
    sp_buf_u8(out, signed_in->strength);
    sp_buf_bytes(out, signed_in->person);
    sp_buf_bytes(out, signed_in->force_command);
}

static sp_ssh_signed_in get_signed_in(sp_reader *in)
{
    sp_ssh_signed_in signed_in = {.session = get_session(in)};
    get_raw(in, signed_in.fingerprint.bytes, sizeof(signed_in.fingerprint.bytes));
    signed_in.expires_unix_s = sp_read_u64(in);
    signed_in.strength = sp_read_enum(in, SP_STRENGTH_COUNT);
    signed_in.person = sp_read_text(in, SP_NAME_MAX_BYTES);
    signed_in.force_command = sp_read_text(in, SP_SSH_COMMAND_MAX_BYTES);
    return signed_in;
}

void sp_ssh_signed_in_write(const sp_ssh_signed_in *signed_in, sp_buf *out)
{
    put_signed_in(out, signed_in);
}

sp_err sp_ssh_signed_in_read(sp_span body, sp_ssh_signed_in *ret_signed_in)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_signed_in signed_in = get_signed_in(&in);
    TRY(sp_reader_finish(&in));
    *ret_signed_in = signed_in;
    return sp_ok();
}

void sp_ssh_prompt_write(const sp_ssh_prompt *prompt, sp_buf *out)
{
    sp_buf_u32(out, prompt->conversation);
    sp_buf_u8(out, prompt->step);
    put_who(out, &prompt->who);
    sp_buf_bytes(out, prompt->client);
    sp_buf_u8(out, prompt->answer_count);
    for (size_t i = 0; i < prompt->answer_count; i++) {
        sp_buf_bytes(out, prompt->answers[i]);
    }
}

sp_err sp_ssh_prompt_read(sp_span body, sp_ssh_prompt *ret_prompt)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_prompt prompt = {0};
    prompt.conversation = sp_read_u32(&in);
    prompt.step = sp_read_enum(&in, SP_SSH_PROMPT_STEP_COUNT);
    prompt.who = get_who(&in);
    prompt.client = sp_read_text(&in, SP_SSH_CLIENT_MAX_BYTES);
    prompt.answer_count = sp_read_enum(&in, SP_SSH_ANSWERS_MAX + 1);
    for (size_t i = 0; i < prompt.answer_count; i++) {
        prompt.answers[i] = sp_read_bytes(&in, SP_SSH_ANSWER_MAX_BYTES);
    }
    if (prompt.step != SP_SSH_PROMPT_ANSWERS && prompt.answer_count != 0) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_prompt = prompt;
    return sp_ok();
}

void sp_ssh_prompted_write(const sp_ssh_prompted *prompted, sp_buf *out)
{
    sp_buf_u8(out, prompted->done);
    put_signed_in(out, &prompted->signed_in);
    sp_buf_bytes(out, prompted->instruction);
    sp_buf_u8(out, prompted->prompt_count);
    for (size_t i = 0; i < prompted->prompt_count; i++) {
        sp_buf_u8(out, prompted->prompts[i].echo);
        sp_buf_bytes(out, prompted->prompts[i].text);
    }
}

sp_err sp_ssh_prompted_read(sp_span body, sp_ssh_prompted *ret_prompted)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_prompted prompted = {0};
    prompted.done = sp_read_enum(&in, 2);
    prompted.signed_in = get_signed_in(&in);
    prompted.instruction = sp_read_text(&in, SP_SSH_INSTRUCTION_MAX_BYTES);
    prompted.prompt_count = sp_read_enum(&in, SP_SSH_ANSWERS_MAX + 1);
    for (size_t i = 0; i < prompted.prompt_count; i++) {
        prompted.prompts[i].echo = sp_read_enum(&in, 2);
        prompted.prompts[i].text = sp_read_text(&in, SP_SSH_PROMPT_TEXT_MAX_BYTES);
    }
    TRY(sp_reader_finish(&in));
    *ret_prompted = prompted;
    return sp_ok();
}

void sp_ssh_rider_write(const sp_ssh_rider *rider, sp_buf *out)
{
    put_session(out, &rider->session);
    put_raw(out, rider->fingerprint.bytes, sizeof(rider->fingerprint.bytes));
    put_raw(out, rider->peer, PEER_BYTES);
}

sp_err sp_ssh_rider_read(sp_span body, sp_ssh_rider *ret_rider)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_rider rider = {.session = get_session(&in)};
    get_raw(&in, rider.fingerprint.bytes, sizeof(rider.fingerprint.bytes));
    get_raw(&in, rider.peer, PEER_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_rider = rider;
    return sp_ok();
}

/* ---- targets ---- */

void sp_ssh_targets_write(const sp_ssh_targets *targets, sp_buf *out)
{
    sp_buf_u8(out, targets->count);
    sp_buf_u8(out, targets->more);
    for (size_t i = 0; i < targets->count; i++) {
        sp_buf_bytes(out, targets->items[i].name);
        sp_buf_bytes(out, targets->items[i].title);
    }
}

sp_err sp_ssh_targets_read(sp_span body, sp_ssh_targets *ret_targets)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_targets targets = {0};
    targets.count = sp_read_enum(&in, SP_SSH_TARGETS_MAX + 1);
    targets.more = sp_read_enum(&in, 2);
    for (size_t i = 0; i < targets.count; i++) {
        targets.items[i].name = sp_read_text(&in, SP_NAME_MAX_BYTES);
        targets.items[i].title = sp_read_text(&in, SP_SSH_TITLE_MAX_BYTES);
    }
    TRY(sp_reader_finish(&in));
    *ret_targets = targets;
    return sp_ok();
}

void sp_ssh_open_write(const sp_ssh_open *open, sp_buf *out)
{
    sp_buf_u64(out, open->connection);
    put_session(out, &open->session);
    put_raw(out, open->fingerprint.bytes, sizeof(open->fingerprint.bytes));
    put_raw(out, open->peer, PEER_BYTES);
    sp_buf_bytes(out, open->resource);
    sp_buf_bytes(out, open->account);
    sp_buf_bytes(out, open->blob);
}

sp_err sp_ssh_open_read(sp_span body, sp_ssh_open *ret_open)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_open open = {0};
    open.connection = sp_read_u64(&in);
    open.session = get_session(&in);
    get_raw(&in, open.fingerprint.bytes, sizeof(open.fingerprint.bytes));
    get_raw(&in, open.peer, PEER_BYTES);
    open.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    open.account = sp_read_text(&in, SP_SSH_ACCOUNT_MAX_BYTES);
    open.blob = get_blob(&in);
    if (open.resource.len == 0) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_open = open;
    return sp_ok();
}

void sp_ssh_opened_write(const sp_ssh_opened *opened, sp_buf *out)
{
    sp_buf_u8(out, opened->credential_kind);
    sp_buf_u8(out, opened->reason);
    sp_buf_bytes(out, opened->account);
    sp_buf_bytes(out, opened->credential);
    sp_buf_bytes(out, opened->why);
}

sp_err sp_ssh_opened_read(sp_span body, sp_ssh_opened *ret_opened)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_opened opened = {0};
    opened.credential_kind = sp_read_enum(&in, SP_SSH_CREDENTIAL_COUNT);
    opened.reason = sp_read_enum(&in, SP_REASON_COUNT);
    opened.account = sp_read_text(&in, SP_SSH_ACCOUNT_MAX_BYTES);
    opened.credential = sp_read_bytes(&in, SP_SSH_CREDENTIAL_MAX_BYTES);
    opened.why = sp_read_text(&in, SP_SSH_WHY_MAX_BYTES);
    if ((opened.credential_kind == SP_SSH_CREDENTIAL_NONE) != (opened.credential.len == 0)) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_opened = opened;
    return sp_ok();
}

/* ---- what is open ---- */

void sp_ssh_conn_write(const sp_ssh_conn *conn, sp_buf *out)
{
    sp_buf_u64(out, conn->connection);
    sp_buf_u8(out, conn->state);
    put_raw(out, conn->peer, PEER_BYTES);
    put_raw(out, conn->fingerprint.bytes, sizeof(conn->fingerprint.bytes));
    put_session(out, &conn->session);
    sp_buf_bytes(out, conn->resource);
    sp_buf_bytes(out, conn->account);
    sp_buf_bytes(out, conn->client);
    sp_buf_u8(out, conn->frozen);
    sp_buf_bytes(out, conn->frozen_by);
}

sp_err sp_ssh_conn_read(sp_span body, sp_ssh_conn *ret_conn)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_conn conn = {0};
    conn.connection = sp_read_u64(&in);
    conn.state = sp_read_enum(&in, SP_SSH_STATE_COUNT);
    get_raw(&in, conn.peer, PEER_BYTES);
    get_raw(&in, conn.fingerprint.bytes, sizeof(conn.fingerprint.bytes));
    conn.session = get_session(&in);
    conn.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    conn.account = sp_read_text(&in, SP_SSH_ACCOUNT_MAX_BYTES);
    conn.client = sp_read_text(&in, SP_SSH_CLIENT_MAX_BYTES);
    conn.frozen = sp_read_enum(&in, 2);
    conn.frozen_by = sp_read_text(&in, SP_NAME_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_conn = conn;
    return sp_ok();
}

void sp_ssh_channel_write(const sp_ssh_channel *channel, sp_buf *out)
{
    sp_buf_u64(out, channel->connection);
    sp_buf_u32(out, channel->channel);
    sp_buf_u8(out, channel->kind);
    sp_buf_u8(out, channel->state);
    sp_buf_bytes(out, channel->object);
}

sp_err sp_ssh_channel_read(sp_span body, sp_ssh_channel *ret_channel)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_channel channel = {0};
    channel.connection = sp_read_u64(&in);
    channel.channel = sp_read_u32(&in);
    channel.kind = sp_read_enum(&in, SP_SSH_CHANNEL_KIND_COUNT);
    channel.state = sp_read_enum(&in, SP_SSH_STATE_COUNT);
    channel.object = sp_read_text(&in, SP_SSH_OBJECT_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_channel = channel;
    return sp_ok();
}

void sp_ssh_watch_want_write(const sp_ssh_watch_want *want, sp_buf *out)
{
    sp_buf_u64(out, want->connection);
    sp_buf_u64(out, want->ask);
}

sp_err sp_ssh_watch_want_read(sp_span body, sp_ssh_watch_want *ret_want)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_watch_want want = {0};
    want.connection = sp_read_u64(&in);
    want.ask = sp_read_u64(&in);
    TRY(sp_reader_finish(&in));
    *ret_want = want;
    return sp_ok();
}

void sp_ssh_alarm_write(const sp_ssh_alarm *alarm, sp_buf *out)
{
    sp_buf_u64(out, alarm->connection);
    sp_buf_u32(out, alarm->channel);
    sp_buf_u32(out, alarm->count);
    sp_buf_u8(out, alarm->confidence);
    sp_buf_u8(out, alarm->frozen);
    sp_buf_bytes(out, alarm->text);
}

sp_err sp_ssh_alarm_read(sp_span body, sp_ssh_alarm *ret_alarm)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_alarm alarm = {0};
    alarm.connection = sp_read_u64(&in);
    alarm.channel = sp_read_u32(&in);
    alarm.count = sp_read_u32(&in);
    alarm.confidence = sp_read_enum(&in, 101);
    alarm.frozen = sp_read_enum(&in, 2);
    alarm.text = sp_read_text(&in, SP_SSH_ALARM_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_alarm = alarm;
    return sp_ok();
}

/* ---- pushes ---- */

void sp_ssh_watched_write(const sp_ssh_watched *watched, sp_buf *out)
{
    sp_buf_u64(out, watched->connection);
    sp_buf_u32(out, watched->watchers);
    sp_buf_bytes(out, watched->by);
}

sp_err sp_ssh_watched_read(sp_span body, sp_ssh_watched *ret_watched)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_watched watched = {0};
    watched.connection = sp_read_u64(&in);
    watched.watchers = sp_read_u32(&in);
    watched.by = sp_read_text(&in, SP_SSH_BY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_watched = watched;
    return sp_ok();
}

void sp_ssh_kill_write(const sp_ssh_kill *kill, sp_buf *out)
{
    sp_buf_u64(out, kill->connection);
    sp_buf_bytes(out, kill->reason);
}

sp_err sp_ssh_kill_read(sp_span body, sp_ssh_kill *ret_kill)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_kill kill = {0};
    kill.connection = sp_read_u64(&in);
    kill.reason = sp_read_text(&in, SP_SSH_WHY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_kill = kill;
    return sp_ok();
}

void sp_ssh_freeze_write(const sp_ssh_freeze *freeze, sp_buf *out)
{
    sp_buf_u64(out, freeze->connection);
    sp_buf_u8(out, freeze->on);
    sp_buf_bytes(out, freeze->by);
}

sp_err sp_ssh_freeze_read(sp_span body, sp_ssh_freeze *ret_freeze)
{
    sp_reader in = sp_reader_of(body);
    sp_ssh_freeze freeze = {0};
    freeze.connection = sp_read_u64(&in);
    freeze.on = sp_read_enum(&in, 2);
    freeze.by = sp_read_text(&in, SP_SSH_BY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_freeze = freeze;
    return sp_ok();
}
