/* SPDX-License-Identifier: Apache-2.0
 * Posts to bots and webhooks: address, signature, JSON.
 * OWNS nothing. PROCESS courier. TRUST see wire.h. SPEC lib/notice/wire.h.
 */
#include "lib/notice/template.h"
#include "lib/notice/wire.h"

enum { BLOCK_BYTES = 64, TITLE_MAX_BYTES = 256, MENTION_MAX_BYTES = 64, MENTIONS_MAX = 50 };

sp_hash sp_post_mac(sp_span key, sp_span message)
{
    uint8_t inner[BLOCK_BYTES];
    uint8_t outer[BLOCK_BYTES];
    sp_hash hashed = {0};
    if (key.len > BLOCK_BYTES) {
        hashed = sp_sha256(key);
        key = sp_hash_borrow(&hashed);
    }
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        uint8_t byte = i < key.len ? key.ptr[i] : 0;
        inner[i] = byte ^ 0x36;
        outer[i] = byte ^ 0x5c;
    }
    const sp_span first[] = {sp_span_of(inner, sizeof(inner)), message};
    sp_hash middle = sp_sha256_parts(first, SP_COUNT(first));
    const sp_span second[] = {sp_span_of(outer, sizeof(outer)), sp_hash_borrow(&middle)};
    sp_hash mac = sp_sha256_parts(second, SP_COUNT(second));
    sp_wipe(inner, sizeof(inner));
    sp_wipe(outer, sizeof(outer));
    sp_wipe(&hashed, sizeof(hashed));
    return mac;
}

/* ---- addresses ---- */

static bool token_ok(sp_span token)
{
    for (size_t i = 0; i < token.len; i++) {
        uint8_t c = token.ptr[i];
        if (!sp_is_unreserved(c) && (c == 0 || strchr("/?=%&:+,;@!$", c) == NULL)) {
            return false;
        }
    }
    return token.len > 0;
}

/* base64(HMAC("<time>\n<secret>")), the two vendors' way each. */
static void put_vendor_sign(const sp_post *post, uint64_t time, bool text_is_key, sp_buf *out)
{
    auto_buf sp_buf text = sp_buf_make(SP_SECRET_MAX + 64);
    sp_buf_u64_text(&text, time);
    sp_buf_byte(&text, '\n');
    sp_buf_span(&text, post->secret);
    sp_hash mac = text_is_key ? sp_post_mac(sp_buf_borrow(&text), SP_SPAN_EMPTY)
                              : sp_post_mac(post->secret, sp_buf_borrow(&text));
    sp_buf_base64(out, sp_hash_borrow(&mac));
    sp_buf_wipe(&text);
}

static void put_dingtalk_sign(const sp_post *post, sp_buf *out)
{
    auto_buf sp_buf sign = sp_buf_make(64);
    put_vendor_sign(post, post->now_unix_ms, false, &sign);
    bool has_query = sp_span_index(sp_buf_borrow(out), '?') < out->len;
    sp_buf_fmt(out, "%ctimestamp=%llu&sign=", has_query ? '&' : '?',
               (unsigned long long)post->now_unix_ms);
    sp_buf_percent(out, sp_buf_borrow(&sign));
}

sp_err sp_post_url(sp_channel_kind kind, const sp_post *post, sp_buf *out)
{
    sp_span hole = SP_SPAN_LIT("{token}");
    size_t at = sp_span_find(post->address, hole);
    bool has_hole = at < post->address.len;
    if (has_hole && !token_ok(post->token)) {
        return sp_fail(SP_EINVALID);
    }
    sp_buf_span(out, sp_span_slice(post->address, 0, at));
    if (has_hole) {
        sp_buf_span(out, post->token);
        sp_buf_span(out, sp_span_slice(post->address, at + hole.len, post->address.len));
    }
    if (kind == SP_CHANNEL_DINGTALK && post->secret.len > 0) {
        put_dingtalk_sign(post, out);
    }
    return sp_buf_error(out);
}

void sp_post_signature(const sp_post *post, sp_span body, sp_buf *out)
{
    auto_buf sp_buf text = sp_buf_make(body.len + 32);
    uint64_t now_unix_s = post->now_unix_ms / 1000;
    sp_buf_u64_text(&text, now_unix_s);
    sp_buf_byte(&text, '.');
    sp_buf_span(&text, body);
    sp_hash mac = sp_post_mac(post->secret, sp_buf_borrow(&text));
    sp_buf_fmt(out, "t=%llu,v1=", (unsigned long long)now_unix_s);
    sp_buf_hex(out, sp_hash_borrow(&mac));
}

/* ---- mentions ---- */

static bool mention_ok(sp_span id)
{
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.ptr[i];
        if (!sp_is_alnum(c) && c != '_' && c != '-' && c != '.' && c != '+') {
            return false;
        }
    }
    /* one of the vendors takes "all" for everybody */
    return id.len > 0 && id.len <= MENTION_MAX_BYTES && !sp_span_eq_nocase(id, SP_SPAN_LIT("all"));
}

static bool next_mention(sp_span *rest, sp_span *ret_id)
{
    while (sp_span_split(rest, '\n', ret_id)) {
        if (mention_ok(*ret_id)) {
            return true;
        }
    }
    return false;
}

/* Each id between before and after. */
static void put_mentions(const sp_post *post, const char *before, const char *after, sp_buf *out)
{
    sp_span rest = post->mentions;
    sp_span id;
    for (size_t i = 0; i < MENTIONS_MAX && next_mention(&rest, &id); i++) {
        sp_buf_text(out, before);
        sp_buf_span(out, id);
        sp_buf_text(out, after);
    }
}

/* ---- bodies ---- */

static sp_span title_of(const sp_post *post)
{
    return sp_text_cut(post->title, TITLE_MAX_BYTES);
}

/* Title, text and mentions as one text of at most max bytes: the text is what is cut. */
static void put_whole(const sp_post *post, size_t max_bytes, const char *const marks[4],
                      sp_buf *out)
{
    auto_buf sp_buf tail = sp_buf_make(max_bytes);
    put_mentions(post, marks[2], marks[3], &tail);
    sp_buf_text(out, marks[0]);
    sp_buf_span(out, title_of(post));
    sp_buf_text(out, marks[1]);
    size_t used = out->len + tail.len;
    sp_span text = sp_text_cut(post->text, used < max_bytes ? max_bytes - used : 0);
    sp_buf_span(out, text);
    sp_buf_span(out, sp_buf_borrow(&tail));
}

static void wecom(const sp_post *post, sp_buf *content, sp_buf *out)
{
    static const char *const marks[] = {"**", "**\n", "\n<@", ">"};
    put_whole(post, sp_channel_facts_of(SP_CHANNEL_WECOM)->max_bytes, marks, content);
    sp_buf_text(out, "{\"msgtype\":\"markdown\",\"markdown\":{\"content\":");
    sp_buf_json(out, sp_buf_borrow(content));
    sp_buf_text(out, "}}");
}

static void put_mention_list(const sp_post *post, sp_buf *out)
{
    sp_span rest = post->mentions;
    sp_span id;
    for (size_t i = 0; i < MENTIONS_MAX && next_mention(&rest, &id); i++) {
        sp_buf_text(out, i == 0 ? "" : ",");
        sp_buf_json(out, id);
    }
}

static void dingtalk(const sp_post *post, sp_buf *content, sp_buf *out)
{
    static const char *const marks[] = {"#### ", "\n\n", "\n\n@", ""};
    put_whole(post, sp_channel_facts_of(SP_CHANNEL_DINGTALK)->max_bytes, marks, content);
    sp_buf_text(out, "{\"msgtype\":\"markdown\",\"markdown\":{\"title\":");
    sp_buf_json(out, title_of(post));
    sp_buf_text(out, ",\"text\":");
    sp_buf_json(out, sp_buf_borrow(content));
    sp_buf_text(out, "},\"at\":{\"atMobiles\":[");
    put_mention_list(post, out);
    sp_buf_text(out, "],\"isAtAll\":false}}");
}

static void feishu(const sp_post *post, sp_buf *content, sp_buf *out)
{
    static const char *const marks[] = {"", "\n\n", "\n<at user_id=\"", "\"></at>"};
    put_whole(post, sp_channel_facts_of(SP_CHANNEL_FEISHU)->max_bytes, marks, content);
    sp_buf_byte(out, '{');
    if (post->secret.len > 0) {
        uint64_t now_unix_s = post->now_unix_ms / 1000;
        sp_buf_fmt(out, "\"timestamp\":\"%llu\",\"sign\":\"", (unsigned long long)now_unix_s);
        put_vendor_sign(post, now_unix_s, true, out);
        sp_buf_text(out, "\",");
    }
    sp_buf_text(out, "\"msg_type\":\"text\",\"content\":{\"text\":");
    sp_buf_json(out, sp_buf_borrow(content));
    sp_buf_text(out, "}}");
}

static void slack(const sp_post *post, sp_buf *content, sp_buf *out)
{
    static const char *const marks[] = {"*", "*\n", "\n<@", ">"};
    put_whole(post, sp_channel_facts_of(SP_CHANNEL_SLACK)->max_bytes, marks, content);
    sp_buf_text(out, "{\"text\":");
    sp_buf_json(out, title_of(post));
    sp_buf_text(out, ",\"blocks\":[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"text\":");
    sp_buf_json(out, sp_buf_borrow(content));
    sp_buf_text(out, ",\"verbatim\":true}}]}");
}

static void teams(const sp_post *post, sp_buf *content, sp_buf *out)
{
    size_t max_bytes = sp_channel_facts_of(SP_CHANNEL_TEAMS)->max_bytes;
    sp_buf_span(content, sp_text_cut(post->text, max_bytes));
    sp_buf_text(out,
                "{\"type\":\"message\",\"attachments\":[{\"contentType\":"
                "\"application/vnd.microsoft.card.adaptive\",\"contentUrl\":null,\"content\":{"
                "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\",\"type\":"
                "\"AdaptiveCard\",\"version\":\"1.4\",\"body\":[{\"type\":\"TextBlock\",\"text\":");
    sp_buf_json(out, title_of(post));
    sp_buf_text(out, ",\"weight\":\"bolder\",\"wrap\":true},{\"type\":\"TextBlock\",\"text\":");
    sp_buf_json(out, sp_buf_borrow(content));
    sp_buf_text(out, ",\"wrap\":true}]}}]}");
}

static void webhook(const sp_post *post, sp_buf *out)
{
    sp_buf_text(out, "{\"id\":");
    sp_buf_json(out, post->id);
    sp_buf_fmt(out,
               ",\"sent_unix_s\":%llu,\"title\":", (unsigned long long)(post->now_unix_ms / 1000));
    sp_buf_json(out, title_of(post));
    sp_buf_text(out, ",\"text\":");
    sp_buf_json(out, sp_text_cut(post->text, sp_channel_facts_of(SP_CHANNEL_WEBHOOK)->max_bytes));
    sp_buf_text(out, ",\"mentions\":[");
    put_mention_list(post, out);
    sp_buf_byte(out, ']');
    if (post->data.len > 0) {
        sp_buf_text(out, ",\"data\":");
        sp_buf_span(out, post->data);
    }
    sp_buf_byte(out, '}');
}

void sp_post_body(sp_channel_kind kind, const sp_post *post, sp_buf *out)
{
    auto_buf sp_buf content = sp_buf_make(64 * 1024);
    switch (kind) {
    case SP_CHANNEL_WECOM:
        wecom(post, &content, out);
        break;
    case SP_CHANNEL_DINGTALK:
        dingtalk(post, &content, out);
        break;
    case SP_CHANNEL_FEISHU:
    case SP_CHANNEL_LARK:
        feishu(post, &content, out);
        break;
    case SP_CHANNEL_SLACK:
        slack(post, &content, out);
        break;
    case SP_CHANNEL_TEAMS:
        teams(post, &content, out);
        break;
    case SP_CHANNEL_WEBHOOK:
        webhook(post, out);
        break;
    case SP_CHANNEL_EMAIL:
    case SP_CHANNEL_COUNT:
        break; /* a mail is no post */
    }
}
