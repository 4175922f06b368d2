/* SPDX-License-Identifier: Apache-2.0
 * What each channel takes.
 * OWNS nothing. PROCESS core, courier, cli. TRUST none. SPEC lib/notice/channel.h.
 */
#include "lib/notice/channel.h"

const char *const sp_channel_kind_words[SP_CHANNEL_COUNT + 1] = {
    "email", "wecom", "dingtalk", "feishu", "lark", "slack", "teams", "webhook", NULL};

static const sp_channel_facts FACTS[SP_CHANNEL_COUNT] = {
    [SP_CHANNEL_EMAIL] = {NULL, 60000, 64 * 1024, false, false},
    [SP_CHANNEL_WECOM] = {"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={token}", 20, 4096,
                          true, false},
    [SP_CHANNEL_DINGTALK] = {"https://oapi.dingtalk.com/robot/send?access_token={token}", 20, 16384,
                             true, true},
    [SP_CHANNEL_FEISHU] = {"https://open.feishu.cn/open-apis/bot/v2/hook/{token}", 100, 16384, true,
                           true},
    [SP_CHANNEL_LARK] = {"https://open.larksuite.com/open-apis/bot/v2/hook/{token}", 100, 16384,
                         true, true},
    [SP_CHANNEL_SLACK] = {"https://hooks.slack.com/services/{token}", 60, 2900, true, false},
    [SP_CHANNEL_TEAMS] = {NULL, 60, 16384, true, false},
    [SP_CHANNEL_WEBHOOK] = {NULL, 600, 16384, false, true},
};

const sp_channel_facts *sp_channel_facts_of(sp_channel_kind kind)
{
    return &FACTS[kind];
}

static const sp_span TOKEN = {(const uint8_t *)"{token}", 7};

bool sp_channel_address_has_token(sp_span address)
{
    return sp_span_find(address, TOKEN) < address.len;
}

static bool starts_loopback(sp_span rest)
{
    static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};
    for (size_t i = 0; i < SP_COUNT(hosts); i++) {
        sp_span host = sp_span_cstr(hosts[i]);
        if (sp_span_starts(rest, host) &&
            (rest.len == host.len || rest.ptr[host.len] == ':' || rest.ptr[host.len] == '/')) {
            return true;
        }
    }
    return false;
}

/* Of the authority: no user, no token, something there. */
static bool host_is_plain(sp_span rest)
{
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?') {
        uint8_t c = rest.ptr[end++];
        if (!sp_is_alnum(c) && c != '.' && c != '-' && c != ':' && c != '[' && c != ']') {
            return false;
        }
    }
    return end > 0;
}

const char *sp_channel_address_fault(sp_span address)
{
    sp_span https = SP_SPAN_LIT("https://");
    sp_span http = SP_SPAN_LIT("http://");
    bool is_plain = sp_span_starts(address, http);
    if (!is_plain && !sp_span_starts(address, https)) {
        return "an address begins with https:// (http:// for loopback addresses only)";
    }
    sp_span rest = sp_span_slice(address, is_plain ? http.len : https.len, address.len);
    if (is_plain && !starts_loopback(rest)) {
        return "http:// is for loopback addresses only: take https://";
    }
    if (!host_is_plain(rest)) {
        return "no host of letters, digits, '.' and '-' stands behind https://";
    }
    size_t first = sp_span_find(rest, TOKEN);
    if (first < rest.len) {
        sp_span behind = sp_span_slice(rest, first + TOKEN.len, rest.len);
        if (sp_channel_address_has_token(behind)) {
            return "{token} stands in it twice";
        }
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] <= ' ' || rest.ptr[i] > '~' || rest.ptr[i] == '#' || rest.ptr[i] == '"' ||
            rest.ptr[i] == '\\') {
            return "blanks, '#', '\"', '\\' and letters beyond ASCII have no place in it";
        }
    }
    return NULL;
}
