/* SPDX-License-Identifier: Apache-2.0
 * Where to: the list of machines that a person who named none may reach, and his choice.
 * OWNS nothing. PROCESS ssh gate workers. TRUST what is typed is a number or a name that is looked
 * up. SPEC lib/proto/ssh_msg.h "TARGETS".
 */
#include "gates/ssh/gate.h"

enum { TEXT_BYTES = 32 * 1024, BACKSPACE = 0x08, RUBOUT = 0x7F, INTERRUPT = 0x03, END = 0x04 };

static void refuse(sg_channel *channel, sp_reason reason, const char *text)
{
    sg_refusal refusal;
    sg_refusal_make(&refusal, reason, "%s", text);
    sg_record_refusal(channel->conn, &refusal);
    sg_channel_refuse(channel, &refusal);
}

static const char *line_end(const sg_channel *channel)
{
    return channel->has_pty ? "\r\n" : "\n";
}

static void show(sg_channel *channel, const sp_ssh_targets *targets)
{
    const char *end = line_end(channel);
    auto_buf sp_buf text = sp_buf_make(TEXT_BYTES);
    for (size_t i = 0; i < targets->count; i++) {
        sp_buf_fmt(&text, "%3u  %-24.*s ", (unsigned)i + 1, SP_SPAN_ARG(targets->items[i].name));
        sg_text_clean(targets->items[i].title, text.len + 200, &text);
        sp_buf_text(&text, end);
    }
    if (targets->count == 0) {
        sp_buf_fmt(&text, "There is no machine that you may reach.%s", end);
    } else if (targets->more != 0) {
        sp_buf_fmt(&text, "     ... and others, to be named%s", end);
    }
    sg_relay_say(channel, sp_buf_borrow(&text), true);
}

/* The line that is typed, and the machines that were shown. */
typedef struct {
    char line[SG_NAME_BYTES];
    size_t len;
    uint8_t count;
    char names[SP_SSH_TARGETS_MAX][SG_NAME_BYTES];
} choice;

static void on_targets(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sg_channel *channel = self;
    sp_ssh_targets targets;
    (void)fds;
    channel->menu_call = 0;
    if (!sp_failed(err)) {
        err = sp_ssh_targets_read(msg->body, &targets);
    }
    choice *made = NULL;
    if (sp_failed(err) || sp_failed(sp_alloc(1, sizeof(*made), &made))) {
        refuse(channel, SP_REASON_UNAVAILABLE, "the office does not say which machines there are");
        return;
    }
    show(channel, &targets);
    channel->menu = made;
    made->count = targets.count;
    for (size_t i = 0; i < targets.count; i++) {
        SP_IGNORE(sp_fit(made->names[i], SG_NAME_BYTES, targets.items[i].name)); /* names fit */
    }
    if (channel->kind != SP_SSH_CHANNEL_SHELL || !channel->has_pty || targets.count == 0) {
        refuse(channel, SP_REASON_DEFAULT, "name the machine: ssh PERSON:MACHINE@GATE");
        return;
    }
    sg_relay_say(channel, SP_SPAN_LIT("Machine (number or name): "), true);
}

void sg_menu_begin(sg_channel *channel)
{
    auto_buf sp_buf body = sp_buf_make(128);
    const sp_rider *rider = &channel->conn->rider;
    sp_ssh_rider shown = {.session = {.slot = rider->slot, .id = rider->id}};
    if (channel->held != NULL) {
        sg_channel_end(channel); /* a forward has nothing to read on */
        return;
    }
    channel->state = SG_CH_MENU;
    sp_copy(shown.peer, rider->who.peer, sizeof(shown.peer));
    if (rider->has_fingerprint) {
        sp_copy(shown.fingerprint.bytes, rider->fingerprint.bytes, SP_SHA256_BYTES);
    }
    sp_ssh_rider_write(&shown, &body);
    channel->menu_call = sp_link_call(&sg_here.office.link, SP_CORE_SSH_TARGETS,
                                      sp_buf_borrow(&body), NULL, 0, on_targets, channel);
    if (channel->menu_call == 0) {
        refuse(channel, SP_REASON_UNAVAILABLE, "the office does not say which machines there are");
    }
}

void sg_menu_done(sg_channel *channel)
{
    if (channel->menu_call != 0) {
        sp_link_forget(&sg_here.office.link, channel->menu_call);
        channel->menu_call = 0;
    }
    sp_free(channel->menu);
    channel->menu = NULL;
}

static void choose(sg_channel *channel)
{
    sg_conn *conn = channel->conn;
    const choice *made = channel->menu;
    uint64_t number = 0;
    sp_span line = sp_span_trim(sp_span_of(made->line, made->len));
    if (!sp_failed(sp_span_to_u64(line, made->count, &number)) && number > 0) {
        line = sp_span_cstr(made->names[number - 1]);
    }
    if (line.len == 0 || conn->at != SG_AT_KNOWN ||
        sp_failed(sp_fit(conn->resource_name, sizeof(conn->resource_name), line))) {
        channel->front_closed = true;
        sg_side_again(&conn->front);
        return;
    }
    sg_relay_say(channel, SP_SPAN_LIT("\r\n"), true);
    sg_menu_done(channel);
    channel->state = SG_CH_WAITS;
    sg_back_begin(conn);
    sg_side_again(&conn->front);
}

/* One key; false when the line is over. */
static bool take_key(sg_channel *channel, uint8_t key)
{
    choice *made = channel->menu;
    if (key == '\r' || key == '\n') {
        choose(channel);
        return false;
    }
    if (key == INTERRUPT || key == END) {
        channel->front_closed = true;
        sg_side_again(&channel->conn->front);
        return false;
    }
    if ((key == BACKSPACE || key == RUBOUT) && made->len > 0) {
        made->len--;
        sg_relay_say(channel, SP_SPAN_LIT("\b \b"), true);
    } else if (key > 0x20 && key < RUBOUT && made->len + 1 < sizeof(made->line)) {
        made->line[made->len++] = (char)key;
        sg_relay_say(channel, sp_span_of(&key, 1), true);
    }
    return true;
}

size_t sg_menu_input(sg_channel *channel, sp_span bytes)
{
    size_t at = 0;
    bool more = true;
    while (at < bytes.len && channel->menu != NULL && more) {
        more = take_key(channel, bytes.ptr[at++]);
    }
    return more ? bytes.len : at;
}
