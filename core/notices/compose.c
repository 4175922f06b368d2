/* SPDX-License-Identifier: Apache-2.0
 * A job for the courier: one delivery's text, or several as a digest.
 * OWNS nothing. PROCESS core. TRUST texts go through lib/notice. SPEC core/notices/queue.h.
 */
#include "core/notices/queue.h"

#include "infra/proc/clock.h"
#include "lib/notice/wire.h"

static sp_err copy(sp_arena *arena, sp_buf *text, sp_span *ret)
{
    TRY(sp_buf_error(text));
    return sp_arena_copy(arena, sp_buf_borrow(text), ret);
}

static sp_err link_of(sp_core *core, const delivery_row *d, bool is_mail, sp_arena *arena,
                      sp_span *ret_link)
{
    auto_buf sp_buf link = sp_buf_make(1024);
    sp_buf_text(&link, core->portal_origin);
    if (is_mail && d->person != 0) {
        sp_buf_text(&link, "/acknowledge#");
        notice_token(core, d, &link);
    } else {
        sp_buf_text(&link, "/notices");
    }
    return copy(arena, &link, ret_link);
}

typedef struct {
    sp_core *core;
    const sp_policy_channel *doc;
    sp_arena *arena;
} composing;

typedef struct {
    notice_person person; /* no id: a group */
    bool en;
    bool zh;
} whom;

static sp_err reader_of(const composing *c, const delivery_row *d, whom *ret_reader)
{
    *ret_reader = (whom){.en = c->doc->en, .zh = c->doc->zh};
    if (d->person != 0) {
        TRY(notice_person_load(c->core->store, d->person, &ret_reader->person));
        sp_span locale = sp_span_cstr(ret_reader->person.locale);
        ret_reader->en = !sp_span_starts(locale, SP_SPAN_LIT("zh"));
        ret_reader->zh = !sp_span_starts(locale, SP_SPAN_LIT("en"));
    }
    return sp_ok();
}

static sp_err render(const composing *c, const delivery_row *d, notice_text *ret_text)
{
    auto_notice notice_row notice = {0};
    whom reader;
    sp_span link = SP_SPAN_EMPTY;
    TRY(notice_row_load(c->core->store, d->notice, &notice));
    TRY(link_of(c->core, d, c->doc->via == SP_CHANNEL_EMAIL, c->arena, &link));
    TRY(reader_of(c, d, &reader));
    sp_span name =
        sp_span_cstr(reader.person.display[0] != '\0' ? reader.person.display : reader.person.name);
    return notice_render(c->core, &notice, name, link, (sp_channel_kind)c->doc->via, reader.en,
                         reader.zh, ret_text);
}

/* "3 notices" and each with its title, as plain text. */
static sp_err digest(const composing *c, const delivery_row *rows, size_t count,
                     notice_text *ret_text)
{
    *ret_text = (notice_text){sp_buf_make(SP_COURIER_TITLE_MAX_BYTES),
                              sp_buf_make(SP_COURIER_TEXT_MAX_BYTES), sp_buf_make(16)};
    whom reader;
    TRY(reader_of(c, &rows[0], &reader));
    if (reader.en || !reader.zh) {
        sp_buf_fmt(&ret_text->title, "%zu notices%s", count, reader.zh ? " / " : "");
    }
    if (reader.zh) {
        sp_buf_fmt(&ret_text->title, "%zu 条通知", count);
    }
    for (size_t i = 0; i < count; i++) {
        auto_notice_text notice_text one = {0};
        TRY(render(c, &rows[i], &one));
        sp_buf_fmt(&ret_text->text, "%s%zu. ", i == 0 ? "" : "\n\n", i + 1);
        sp_buf_span(&ret_text->text, sp_buf_borrow(&one.title));
        sp_buf_byte(&ret_text->text, '\n');
        sp_buf_span(&ret_text->text,
                    sp_text_cut(sp_buf_borrow(&one.text), SP_COURIER_TEXT_MAX_BYTES / 2 / count));
    }
    return sp_buf_error(&ret_text->text);
}

static sp_err mentions_of(const composing *c, const delivery_row *rows, size_t count,
                          sp_span *ret_mentions)
{
    auto_buf sp_buf mentions = sp_buf_make(SP_COURIER_MENTIONS_MAX_BYTES);
    for (size_t i = 0; i < count && c->doc->via != SP_CHANNEL_EMAIL; i++) {
        if (rows[i].address.len > 0) {
            sp_buf_span(&mentions, rows[i].address);
            sp_buf_byte(&mentions, '\n');
        }
    }
    return copy(c->arena, &mentions, ret_mentions);
}

/* The same for every attempt, so that a mail that came twice is seen to be one. */
static sp_err message_id(const composing *c, const delivery_row *d, sp_span *ret_id)
{
    auto_buf sp_buf id = sp_buf_make(256);
    sp_span from = sp_mailbox_of(c->doc->from);
    sp_buf_fmt(&id, "n%llu.d%llu@", (unsigned long long)d->notice, (unsigned long long)d->id);
    if (c->doc->via == SP_CHANNEL_EMAIL) {
        sp_buf_span(&id, sp_span_slice(from, sp_span_index(from, '@') + 1, from.len));
    } else {
        sp_buf_text(&id, c->core->config->domain);
    }
    return copy(c->arena, &id, ret_id);
}

sp_err notice_compose(sp_core *core, const sp_policy_channel *doc, const delivery_row *rows,
                      size_t count, sp_arena *arena, notice_text *text, sp_courier_job *ret_job)
{
    const composing c = {core, doc, arena};
    bool is_mail = doc->via == SP_CHANNEL_EMAIL;
    TRY(count > 1 ? digest(&c, rows, count, text) : render(&c, &rows[0], text));
    *ret_job = (sp_courier_job){.job = rows[0].id,
                                .when_unix_s = sp_now_unix_us() / 1000000,
                                .kind = doc->via,
                                .tls = doc->tls,
                                .has_token = doc->has_token,
                                .has_secret = doc->has_secret,
                                .timeout_s = doc->timeout_s,
                                .channel = doc->name,
                                .address = doc->address,
                                .ca = doc->ca,
                                .user = doc->user,
                                .from = doc->from,
                                .to = is_mail ? rows[0].address : SP_SPAN_EMPTY,
                                .title = sp_buf_borrow(&text->title),
                                .text = sp_buf_borrow(&text->text),
                                .html = is_mail ? sp_buf_borrow(&text->html) : SP_SPAN_EMPTY};
    TRY(mentions_of(&c, rows, count, &ret_job->mentions));
    return message_id(&c, &rows[0], &ret_job->message_id);
}
