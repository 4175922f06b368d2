/* SPDX-License-Identifier: Apache-2.0
 * Texts with variables, {{name}}, written into the form that a channel reads.
 *
 * Story: the author's text is plain: paragraphs, no markup. A variable's value is what somebody
 * else wrote (the name of a device, a statement): whatever stands in it, it stays text. It becomes
 * no markup, no mention, no link and no line of a head, in none of the forms; characters that order
 * the writing of others (control, bidirectional, invisible) are left out. The one exception is a
 * value declared as a URL, which is checked to be one and becomes a link.
 *
 * OWNS nothing. PROCESS core, cli. TRUST values are hostile. SPEC docs/NOTICES.md "Templates".
 */
#ifndef SP_NOTICE_TEMPLATE_H
#define SP_NOTICE_TEMPLATE_H

#include "lib/base/buf.h"

typedef enum {
    SP_FORM_LINE,  /* one line, plain: a subject */
    SP_FORM_PLAIN, /* text/plain */
    SP_FORM_HTML,  /* paragraphs of text/html */
    SP_FORM_CHAT,  /* WeCom, DingTalk, Teams: Markdown in which nothing of it is special */
    SP_FORM_BARE,  /* Feishu: the same, links as they are */
    SP_FORM_SLACK, /* mrkdwn, verbatim */
    SP_FORM_COUNT
} sp_form;

typedef enum {
    SP_VALUE_TEXT,
    SP_VALUE_NAME,   /* one line */
    SP_VALUE_NUMBER, /* digits */
    SP_VALUE_TIME,   /* 2026-03-01T08:00:00Z */
    SP_VALUE_URL,    /* https://... */
    SP_VALUE_KIND_COUNT
} sp_value_kind;
/* "text", "name", ...; ends with NULL. */
extern const char *const sp_value_kind_words[SP_VALUE_KIND_COUNT + 1];
/* What a value of that kind must be, when this one is not; else NULL. */
const char *sp_value_fault(sp_value_kind kind, sp_span text);

typedef struct {
    sp_span name;
    sp_span text;
    uint8_t kind; /* sp_value_kind */
} sp_notice_value;

enum { SP_VARIABLE_NAME_MAX_BYTES = 31, SP_VALUE_SHOWN_MAX_BYTES = 1000 };
/* a-z, 0-9 and '_', beginning with a letter. */
bool sp_variable_name_ok(sp_span name);

/* The next variable of the text from *at on: false at the end. A piece that begins like one and is
 * none ("{{ name", "{{Name}}") is given too, with an empty name; *ret_piece is as written. *at
 * moves behind it. */
bool sp_template_next(sp_span text, size_t *at, sp_span *ret_piece, sp_span *ret_name);

/* Appends the text with its values. A variable without a value stands as it is written, in
 * brackets: checked before, so that it does not happen. */
void sp_template_render(sp_span text, const sp_notice_value *values, size_t count, sp_form form,
                        sp_buf *out);
/* One text that is nobody's template, as a value. */
void sp_form_value(sp_span text, sp_value_kind kind, sp_form form, sp_buf *out);
/* The longest beginning of the text of at most that many bytes that ends between characters. */
sp_span sp_text_cut(sp_span text, size_t max_bytes);

#endif
