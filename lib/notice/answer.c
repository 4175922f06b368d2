/* SPDX-License-Identifier: Apache-2.0
 * What webhooks answered, by each vendor's rules.
 * OWNS nothing. PROCESS courier. TRUST answers are hostile. SPEC lib/notice/wire.h.
 */
#include "lib/notice/wire.h"

enum {
    DEPTH_MAX = 32,
    SILENT_S = 60,
    SILENT_DINGTALK_S = 600, /* it blocks a bot that was too fast for so long */
    SILENT_MAX_S = 24 * 3600,
    SHOWN_BYTES = 120
};

/* ---- the little JSON that is needed ---- */

typedef struct {
    sp_span rest;
} scan;

static void blanks(scan *s)
{
    while (s->rest.len > 0 && strchr(" \t\r\n", s->rest.ptr[0]) != NULL && s->rest.ptr[0] != 0) {
        s->rest = sp_span_slice(s->rest, 1, s->rest.len);
    }
}

static bool take(scan *s, uint8_t ch)
{
    blanks(s);
    if (s->rest.len == 0 || s->rest.ptr[0] != ch) {
        return false;
    }
    s->rest = sp_span_slice(s->rest, 1, s->rest.len);
    return true;
}

/* As it is written, escapes included. */
static bool string(scan *s, sp_span *ret_text)
{
    if (!take(s, '"')) {
        return false;
    }
    for (size_t i = 0; i < s->rest.len; i++) {
        if (s->rest.ptr[i] == '\\') {
            i++;
        } else if (s->rest.ptr[i] == '"') {
            *ret_text = sp_span_slice(s->rest, 0, i);
            s->rest = sp_span_slice(s->rest, i + 1, s->rest.len);
            return true;
        }
    }
    return false;
}

/* Numbers and words: up to what ends them. */
static sp_span bare(scan *s)
{
    size_t len = 0;
    while (len < s->rest.len && s->rest.ptr[len] > ' ' &&
           strchr(",]}\"[{:", s->rest.ptr[len]) == NULL) {
        len++;
    }
    sp_span text = sp_span_slice(s->rest, 0, len);
    s->rest = sp_span_slice(s->rest, len, s->rest.len);
    return text;
}

/* A value of any kind: brackets are counted, strings jumped over. */
static bool skip(scan *s)
{
    size_t depth = 0;
    do {
        sp_span text;
        blanks(s);
        uint8_t c = s->rest.len == 0 ? 0 : s->rest.ptr[0];
        if (c == '"') {
            if (!string(s, &text)) {
                return false;
            }
        } else if (c == '{' || c == '[') {
            depth++;
            s->rest = sp_span_slice(s->rest, 1, s->rest.len);
        } else if (depth > 0 && (c == '}' || c == ']')) {
            depth--;
            s->rest = sp_span_slice(s->rest, 1, s->rest.len);
        } else if (depth > 0 && (c == ',' || c == ':')) {
            s->rest = sp_span_slice(s->rest, 1, s->rest.len);
        } else if (bare(s).len == 0) {
            return false;
        }
    } while (depth > 0 && depth <= DEPTH_MAX);
    return depth == 0;
}

static bool integer(sp_span text, int64_t *ret_value)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t value = 0;
    if (sp_failed(
            sp_span_to_u64(sp_span_slice(text, negative ? 1 : 0, text.len), INT32_MAX, &value))) {
        return false;
    }
    *ret_value = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool sp_answer_number(sp_span body, sp_span key, int64_t *ret_value)
{
    scan s = {body};
    sp_span name;
    if (!take(&s, '{')) {
        return false;
    }
    while (string(&s, &name) && take(&s, ':')) {
        if (sp_span_eq(name, key)) {
            blanks(&s);
            return integer(bare(&s), ret_value);
        }
        if (!skip(&s) || !take(&s, ',')) {
            break;
        }
    }
    return false;
}

/* ---- rules ---- */

/* What a body says, for people: printable, short. */
static void put_body(sp_span body, sp_buf *why)
{
    for (size_t i = 0; i < body.len && i < SHOWN_BYTES; i++) {
        uint8_t c = body.ptr[i];
        sp_buf_byte(why, c >= ' ' && c <= '~' ? c : '?');
    }
}

typedef struct {
    int64_t code;
    sp_answer answer;
    uint32_t wait_s;
    const char *means;
} code_rule;

static const code_rule WECOM[] = {
    {-1, SP_ANSWER_LATER, 0, "WeCom is busy"},
    {45009, SP_ANSWER_SLOWER, SILENT_S, "WeCom takes 20 messages a minute"},
    {45033, SP_ANSWER_SLOWER, SILENT_S, "too many at once for WeCom"},
    {93000, SP_ANSWER_NEVER, 0, "WeCom knows no bot with this key"},
};
static const code_rule DINGTALK[] = {
    {-1, SP_ANSWER_LATER, 0, "DingTalk is busy"},
    {130101, SP_ANSWER_SLOWER, SILENT_DINGTALK_S, "DingTalk blocks the bot for ten minutes"},
    {410100, SP_ANSWER_SLOWER, SILENT_DINGTALK_S, "DingTalk blocks the bot for ten minutes"},
    {310000, SP_ANSWER_NEVER, 0,
     "DingTalk refuses the signature, a keyword or the address: look at the bot's settings"},
    {300001, SP_ANSWER_NEVER, 0, "DingTalk knows no bot with this token"},
};
static const code_rule FEISHU[] = {
    {11232, SP_ANSWER_SLOWER, SILENT_S, "Feishu takes 100 messages a minute and 5 a second"},
    {9499, SP_ANSWER_SLOWER, SILENT_S, "too many requests for Feishu"},
    {19021, SP_ANSWER_NEVER, 0, "Feishu refuses the signature: secret or clock are wrong"},
    {19022, SP_ANSWER_NEVER, 0, "Feishu does not take the bot's address"},
    {19024, SP_ANSWER_NEVER, 0, "Feishu wants a keyword in the text"},
    {19001, SP_ANSWER_NEVER, 0, "Feishu knows no bot with this address"},
};

static sp_answer by_code(const code_rule *rules, size_t count, bool found, int64_t code,
                         sp_span body, sp_buf *why, uint32_t *ret_wait_s)
{
    if (!found) {
        sp_buf_text(why, "an answer without a code: ");
        put_body(body, why);
        return SP_ANSWER_LATER;
    }
    if (code == 0) {
        return SP_ANSWER_TAKEN;
    }
    for (size_t i = 0; i < count; i++) {
        if (rules[i].code == code) {
            sp_buf_fmt(why, "%s (code %lld)", rules[i].means, (long long)code);
            *ret_wait_s = rules[i].wait_s;
            return rules[i].answer;
        }
    }
    sp_buf_fmt(why, "refused with code %lld: ", (long long)code);
    put_body(body, why);
    return SP_ANSWER_NEVER;
}

/* Whether a JSON object says at its top that it did not work: {"ok":false}, {"success":false},
 * {"error":"..."}, {"errcode":1}. Anything else, or no JSON at all, is a yes, as the status says.
 */
static bool says_no(sp_span body)
{
    scan s = {body};
    sp_span name;
    if (!take(&s, '{')) {
        return false;
    }
    while (string(&s, &name) && take(&s, ':')) {
        blanks(&s);
        sp_span before = s.rest;
        if (!skip(&s)) {
            break;
        }
        sp_span value = sp_span_trim(sp_span_slice(before, 0, before.len - s.rest.len));
        bool is_none = value.len == 0 || sp_span_eq(value, SP_SPAN_LIT("null")) ||
                       sp_span_eq(value, SP_SPAN_LIT("false")) ||
                       sp_span_eq(value, SP_SPAN_LIT("0")) ||
                       sp_span_eq(value, SP_SPAN_LIT("\"\"")) ||
                       sp_span_eq(value, SP_SPAN_LIT("[]")) || sp_span_eq(value, SP_SPAN_LIT("{}"));
        bool is_yes =
            sp_span_eq(name, SP_SPAN_LIT("ok")) || sp_span_eq(name, SP_SPAN_LIT("success"));
        bool is_no = sp_span_eq(name, SP_SPAN_LIT("error")) ||
                     sp_span_eq(name, SP_SPAN_LIT("errors")) ||
                     sp_span_eq(name, SP_SPAN_LIT("errcode"));
        if ((is_yes && sp_span_eq(value, SP_SPAN_LIT("false"))) || (is_no && !is_none)) {
            return true;
        }
        if (!take(&s, ',')) {
            break;
        }
    }
    return false;
}

static sp_answer by_body(sp_channel_kind kind, sp_span body, sp_buf *why, uint32_t *ret_wait_s)
{
    int64_t code = 0;
    bool found = false;
    switch (kind) {
    case SP_CHANNEL_WECOM:
        found = sp_answer_number(body, SP_SPAN_LIT("errcode"), &code);
        return by_code(WECOM, SP_COUNT(WECOM), found, code, body, why, ret_wait_s);
    case SP_CHANNEL_DINGTALK:
        found = sp_answer_number(body, SP_SPAN_LIT("errcode"), &code);
        return by_code(DINGTALK, SP_COUNT(DINGTALK), found, code, body, why, ret_wait_s);
    case SP_CHANNEL_FEISHU:
    case SP_CHANNEL_LARK:
        found = sp_answer_number(body, SP_SPAN_LIT("code"), &code) ||
                sp_answer_number(body, SP_SPAN_LIT("StatusCode"), &code);
        return by_code(FEISHU, SP_COUNT(FEISHU), found, code, body, why, ret_wait_s);
    case SP_CHANNEL_SLACK:
        if (sp_span_eq(sp_span_trim(body), SP_SPAN_LIT("ok"))) {
            return SP_ANSWER_TAKEN;
        }
        break;
    case SP_CHANNEL_TEAMS:
        if (sp_span_find(body, SP_SPAN_LIT("HTTP error 429")) < body.len) {
            *ret_wait_s = SILENT_S;
            sp_buf_text(why, "Teams wants fewer messages");
            return SP_ANSWER_SLOWER;
        }
        if (sp_span_find(body, SP_SPAN_LIT("delivery failed")) == body.len) {
            return SP_ANSWER_TAKEN;
        }
        break;
    case SP_CHANNEL_WEBHOOK:
        if (!says_no(body)) {
            return SP_ANSWER_TAKEN;
        }
        sp_buf_text(why, "it answered 200 and: ");
        put_body(body, why);
        return SP_ANSWER_NEVER;
    case SP_CHANNEL_EMAIL:
    case SP_CHANNEL_COUNT:
        return SP_ANSWER_TAKEN;
    }
    sp_buf_text(why, "it answered 200 and: ");
    put_body(body, why);
    return SP_ANSWER_LATER;
}

sp_answer sp_answer_of(sp_channel_kind kind, unsigned status, uint32_t retry_after_s, sp_span body,
                       sp_buf *why, uint32_t *ret_wait_s)
{
    *ret_wait_s = 0;
    if (status == 429 || (status == 503 && retry_after_s > 0)) {
        uint32_t wait_s = retry_after_s == 0 ? SILENT_S : retry_after_s;
        *ret_wait_s = wait_s > SILENT_MAX_S ? SILENT_MAX_S : wait_s;
        sp_buf_fmt(why, "HTTP %u: slower, in %u s again", status, (unsigned)*ret_wait_s);
        return SP_ANSWER_SLOWER;
    }
    if (status >= 200 && status < 300) {
        return by_body(kind, body, why, ret_wait_s);
    }
    sp_buf_fmt(why, "HTTP %u: ", status);
    put_body(body, why);
    return status == 0 || status == 408 || status >= 500 ? SP_ANSWER_LATER : SP_ANSWER_NEVER;
}
