/* SPDX-License-Identifier: Apache-2.0
 * Values in templates, posts, mails and vendors' answers. The input is a template, a NUL, a value,
 * a NUL, an answer. Nothing that a value holds becomes markup.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/notice/template.h, wire.h.
 */
#include "lib/notice/template.h"
#include "lib/notice/wire.h"

#include <stdlib.h>

enum { OUT_MAX = 1 << 22 };

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool holds_any(sp_span text, const char *bytes)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != 0 && strchr(bytes, text.ptr[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void value_stays_text(sp_span value)
{
    static const char *const special[SP_FORM_COUNT] = {[SP_FORM_LINE] = "\r\n",
                                                       [SP_FORM_PLAIN] = "\r\n\x1b",
                                                       [SP_FORM_HTML] = "<>\"'",
                                                       [SP_FORM_CHAT] = "*_`~[]<>#@|\\!&\n",
                                                       [SP_FORM_BARE] = "*_`~[]<>#@|\\!&\n",
                                                       [SP_FORM_SLACK] = "*_`~[]<>#@|\\!\n"};
    for (unsigned form = 0; form < SP_FORM_COUNT; form++) {
        auto_buf sp_buf out = sp_buf_make(OUT_MAX);
        sp_form_value(value, SP_VALUE_TEXT, (sp_form)form, &out);
        must(!sp_failed(sp_buf_error(&out)));
        must(sp_span_is_utf8(sp_buf_borrow(&out)));
        must(!holds_any(sp_buf_borrow(&out), special[form]));
    }
}

static void render(sp_span text, sp_span value)
{
    const sp_notice_value values[] = {{SP_SPAN_LIT("a"), value, SP_VALUE_TEXT},
                                      {SP_SPAN_LIT("u"), value, SP_VALUE_URL}};
    for (unsigned form = 0; form < SP_FORM_COUNT; form++) {
        auto_buf sp_buf out = sp_buf_make(OUT_MAX);
        sp_template_render(text, values, SP_COUNT(values), (sp_form)form, &out);
        must(sp_span_is_utf8(sp_buf_borrow(&out)));
    }
}

static void wire(sp_span text, sp_span value)
{
    auto_buf sp_buf out = sp_buf_make(OUT_MAX);
    sp_post post = {.address = value,
                    .token = text,
                    .secret = value,
                    .title = text,
                    .text = value,
                    .mentions = text,
                    .id = value,
                    .now_unix_ms = 1};
    const sp_mail mail = {.from = text,
                          .to = value,
                          .subject = text,
                          .text = value,
                          .html = text,
                          .message_id = value,
                          .when_unix_s = 1};
    for (unsigned kind = 0; kind < SP_CHANNEL_COUNT; kind++) {
        sp_buf_reset(&out);
        sp_post_body((sp_channel_kind)kind, &post, &out);
        must(!holds_any(sp_buf_borrow(&out), "\r\n"));
        sp_buf_reset(&out);
        SP_IGNORE(sp_post_url((sp_channel_kind)kind, &post, &out)); /* refused is fine */
    }
    sp_buf_reset(&out);
    if (!sp_failed(sp_mail_write(&mail, &out))) {
        must(sp_span_find(sp_buf_borrow(&out), SP_SPAN_LIT("\r\nBcc:")) == out.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span rest = sp_span_of(data, size);
    sp_span text = SP_SPAN_EMPTY;
    sp_span value = SP_SPAN_EMPTY;
    (void)sp_span_split(&rest, 0, &text);
    (void)sp_span_split(&rest, 0, &value);
    value_stays_text(value);
    if (sp_span_is_utf8(text)) {
        render(text, value);
    }
    wire(text, value);
    for (unsigned kind = 0; kind < SP_CHANNEL_COUNT; kind++) {
        auto_buf sp_buf why = sp_buf_make(1024);
        uint32_t wait_s = 0;
        sp_answer answer = sp_answer_of((sp_channel_kind)kind, 200, 0, rest, &why, &wait_s);
        must(answer == SP_ANSWER_TAKEN || why.len > 0);
        must(sp_span_is_utf8(sp_buf_borrow(&why)));
    }
    return 0;
}
