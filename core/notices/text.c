/* SPDX-License-Identifier: Apache-2.0
 * A notice as somebody reads it, and the link by which he says so.
 * OWNS the buffers until they are handed out. PROCESS core. TRUST values are hostile: they go
 * through lib/notice only. SPEC lib/notice/template.h, docs/NOTICES.md "Acknowledging".
 */
#include "core/notices/inside.h"
#include "lib/notice/wire.h"

enum { SIGNATURE_BYTES = 16, BUILT_IN = 5, TIME_BYTES = 40 };

static const char *const part_words[] = {"title", "body", "brief"};
typedef enum { TITLE, BODY, BRIEF } part;

void notice_text_done(notice_text *text)
{
    sp_buf_done(&text->title);
    sp_buf_done(&text->text);
    sp_buf_done(&text->html);
}

static sp_span json_span(const json_t *text)
{
    return json_is_string(text) ? sp_span_of(json_string_value(text), json_string_length(text))
                                : SP_SPAN_EMPTY;
}

typedef struct {
    sp_notice_value values[SP_NOTICE_VARIABLES_MAX + BUILT_IN];
    size_t count;
    char when[TIME_BYTES];
} filled;

static void add(filled *f, const char *name, sp_span text, sp_value_kind kind)
{
    if (f->count < SP_COUNT(f->values)) {
        f->values[f->count++] = (sp_notice_value){sp_span_cstr(name), text, (uint8_t)kind};
    }
}

/* "2026-03-01 08:00 UTC" */
static void put_when(const notice_row *notice, filled *f)
{
    enum { MINUTES = 16, DATE = 10 };
    auto_buf sp_buf text = sp_buf_make(64);
    sp_buf_time(&text, notice->created_unix_s * 1000000);
    sp_span time = sp_span_slice(sp_buf_borrow(&text), 0, MINUTES);
    SP_IGNORE(sp_fit(f->when, sizeof(f->when), time)); /* it fits */
    sp_copy(f->when + DATE, " ", 1);
    sp_copy(f->when + time.len, " UTC", sizeof(" UTC"));
}

static void fill(sp_core *core, const notice_row *notice, sp_span reader, sp_span link, filled *f)
{
    for (size_t i = 0; i < json_array_size(notice->values); i++) {
        const json_t *one = json_array_get(notice->values, i);
        json_int_t kind = json_integer_value(json_array_get(one, 1));
        if (f->count < SP_NOTICE_VARIABLES_MAX && kind >= 0 && kind < SP_VALUE_KIND_COUNT) {
            f->values[f->count++] =
                (sp_notice_value){json_span(json_array_get(one, 0)),
                                  json_span(json_array_get(one, 2)), (uint8_t)kind};
        }
    }
    put_when(notice, f);
    add(f, "office", sp_span_cstr(core->config->office), SP_VALUE_NAME);
    add(f, "reader", reader, SP_VALUE_NAME);
    add(f, "link", link, SP_VALUE_URL);
    add(f, "sender", notice->sender, SP_VALUE_NAME);
    add(f, "when", sp_span_cstr(f->when), SP_VALUE_NAME);
}

static void put_part(const notice_row *notice, const filled *f, part which, sp_language language,
                     sp_form form, sp_buf *out)
{
    const json_t *texts = json_object_get(notice->texts, part_words[which]);
    sp_span text = json_span(json_array_get(texts, language));
    while (text.len > 0 && text.ptr[text.len - 1] == '\n') {
        text.len--;
    }
    sp_template_render(text, f->values, f->count, form, out);
}

static const char *drill_word(const notice_row *notice, sp_language language)
{
    if (!notice->drill) {
        return "";
    }
    return language == SP_LANGUAGE_EN ? "DRILL: " : "【演练】";
}

typedef struct {
    sp_form line;
    sp_form text;
    part which;
} shape;

static shape shape_of(sp_channel_kind kind)
{
    switch (kind) {
    case SP_CHANNEL_WECOM:
    case SP_CHANNEL_DINGTALK:
    case SP_CHANNEL_TEAMS:
        return (shape){SP_FORM_CHAT, SP_FORM_CHAT, BRIEF};
    case SP_CHANNEL_FEISHU:
    case SP_CHANNEL_LARK:
        return (shape){SP_FORM_BARE, SP_FORM_BARE, BRIEF};
    case SP_CHANNEL_SLACK:
        return (shape){SP_FORM_SLACK, SP_FORM_SLACK, BRIEF};
    case SP_CHANNEL_EMAIL:
    case SP_CHANNEL_WEBHOOK:
    case SP_CHANNEL_COUNT:
        break;
    }
    return (shape){SP_FORM_LINE, SP_FORM_PLAIN, BODY};
}

sp_err notice_render(sp_core *core, const notice_row *notice, sp_span reader, sp_span link,
                     sp_channel_kind kind, bool en, bool zh, notice_text *ret_text)
{
    filled f = {.count = 0};
    shape as = shape_of(kind);
    const bool wanted[SP_LANGUAGE_COUNT] = {en || !zh, zh};
    bool first = true;
    *ret_text = (notice_text){sp_buf_make(SP_COURIER_TITLE_MAX_BYTES),
                              sp_buf_make(SP_COURIER_TEXT_MAX_BYTES),
                              sp_buf_make(SP_COURIER_TEXT_MAX_BYTES)};
    fill(core, notice, reader, link, &f);
    for (sp_language l = SP_LANGUAGE_EN; l < SP_LANGUAGE_COUNT; l++) {
        if (!wanted[l]) {
            continue;
        }
        sp_buf_text(&ret_text->title, first ? "" : " / ");
        sp_buf_text(&ret_text->title, drill_word(notice, l));
        put_part(notice, &f, TITLE, l, as.line, &ret_text->title);
        sp_buf_text(&ret_text->text, first ? "" : "\n\n");
        sp_buf_text(&ret_text->text, drill_word(notice, l));
        put_part(notice, &f, as.which, l, as.text, &ret_text->text);
        sp_buf_text(&ret_text->html, first ? "<p>" : "<hr><p>");
        sp_buf_text(&ret_text->html, drill_word(notice, l));
        put_part(notice, &f, BODY, l, SP_FORM_HTML, &ret_text->html);
        sp_buf_text(&ret_text->html, "</p>\n");
        first = false;
    }
    TRY(sp_buf_error(&ret_text->title));
    TRY(sp_buf_error(&ret_text->text));
    return sp_buf_error(&ret_text->html);
}

/* ---- the signed link ---- */

static void sign(sp_core *core, const delivery_row *delivery, sp_buf *out)
{
    auto_buf sp_buf name = sp_buf_make(128);
    uint8_t bytes[SP_IDENTITY_DECOY_BYTES];
    sp_buf_fmt(&name, "%llu/%llu/%u", (unsigned long long)delivery->id,
               (unsigned long long)delivery->notice, delivery->person);
    sp_identity_decoy(core, "acknowledgement of a notice", sp_buf_borrow(&name), bytes);
    sp_buf_base64url(out, sp_span_of(bytes, SIGNATURE_BYTES));
}

void notice_token(sp_core *core, const delivery_row *delivery, sp_buf *out)
{
    sp_buf_u64_text(out, delivery->id);
    sp_buf_byte(out, '.');
    sign(core, delivery, out);
}

bool notice_token_ok(sp_core *core, const delivery_row *delivery, sp_span signature)
{
    auto_buf sp_buf right = sp_buf_make(64);
    sign(core, delivery, &right);
    return right.len > 0 && sp_span_eq_secret(sp_buf_borrow(&right), signature);
}
