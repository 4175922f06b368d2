/* SPDX-License-Identifier: Apache-2.0
 * The status page: one file, no script, nothing from elsewhere.
 * OWNS nothing. PROCESS web role. TRUST texts are escaped. SPEC lib/web/status_page.h.
 */
#include "lib/web/status_page.h"

#include "lib/base/sha256.h"

static const char style[] =
    ":root{--b:#f6f5f1;--f:#1d1f21;--m:#5c6166;--c:#fff;--l:#d9d6cd;--w:#1f7a4d;--s:#9a6700;"
    "--d:#b3261e;--i:#2b5fa8}@media(prefers-color-scheme:dark){:root{--b:#15171a;--f:#e8e6e1;"
    "--m:#9aa0a6;--c:#1e2125;--l:#34383d;--w:#5fcf94;--s:#e0b04a;--d:#ff8a80;--i:#8ab4f8}}"
    "body{margin:0;background:var(--b);color:var(--f);font:16px/1.5 system-ui,sans-serif}"
    "main{max-width:44rem;margin:0 auto;padding:2rem 1rem}h1{font-size:1.5rem;margin:0 0 .25rem}"
    "header,footer{color:var(--m);font-size:.9rem}ul{list-style:none;padding:0;margin:1.5rem 0}"
    "li{background:var(--c);border:1px solid var(--l);border-left:6px solid var(--w);"
    "border-radius:6px;padding:.75rem 1rem;margin:.6rem 0}li.slow{border-left-color:var(--s)}"
    "li.down{border-left-color:var(--d)}li.maintenance{border-left-color:var(--i)}"
    "li b{display:inline-block;margin-right:.75rem}li p{margin:.35rem 0 0}"
    ".t{color:var(--m);font-size:.9rem}a{color:inherit}";

typedef struct {
    const char *language;
    const char *title;
    const char *all_well;
    const char *nothing;
    const char *away;
    const char *since;
    const char *until;
    const char *told;
    const char *other;
    const char *other_language;
    const char *states[SP_STATUS_STATE_COUNT];
} words;

static const words WORDS[] = {
    {"en",
     "Status",
     "Nothing is known to be wrong.",
     "Nothing has been published.",
     "The gate cannot reach the core: nobody can sign in, and this page may be out of date. Who is "
     "signed in goes on working.",
     "since",
     "expected to be over",
     "As published",
     "zh",
     "中文",
     {"Working", "Slow", "Down", "Maintenance"}},
    {"zh",
     "服务状态",
     "目前没有已知的问题。",
     "没有发布任何消息。",
     "网关无法连接核心服务：暂时不能登录，本页内容可能不是最新。已登录的人员可以继续使用。",
     "自",
     "预计恢复",
     "发布于",
     "en",
     "English",
     {"正常", "缓慢", "中断", "维护"}},
};

void sp_web_status_csp(sp_buf *out)
{
    sp_hash hash = sp_sha256(sp_span_cstr(style));
    sp_buf_text(out, "default-src 'none'; style-src 'sha256-");
    sp_buf_base64(out, sp_hash_borrow(&hash));
    sp_buf_text(out, "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
}

/* "2026-03-01 08:00 UTC" */
static void put_time(sp_buf *out, uint64_t unix_s)
{
    auto_buf sp_buf text = sp_buf_make(64);
    sp_buf_time(&text, unix_s * 1000000);
    sp_span all = sp_buf_borrow(&text);
    sp_buf_span(out, sp_span_slice(all, 0, 10));
    sp_buf_byte(out, ' ');
    sp_buf_span(out, sp_span_slice(all, 11, 16));
    sp_buf_text(out, " UTC");
}

static void put_item(const sp_status_item *item, const words *w, bool chinese, sp_buf *out)
{
    sp_status_state state = (sp_status_state)item->state;
    sp_span text = chinese ? item->text_zh : item->text_en;
    sp_buf_fmt(out, "<li class=\"%s\"><b>", sp_status_state_word(state));
    sp_buf_html(out, chinese ? item->name_zh : item->name_en);
    sp_buf_fmt(out, "</b><span>%s</span><span class=\"t\"> · %s ", w->states[state], w->since);
    put_time(out, item->since_unix_s);
    if (item->until_unix_s != 0) {
        sp_buf_fmt(out, " · %s ", w->until);
        put_time(out, item->until_unix_s);
    }
    sp_buf_text(out, "</span>");
    if (text.len > 0) {
        sp_buf_text(out, "<p>");
        sp_buf_html(out, text);
        sp_buf_text(out, "</p>");
    }
    sp_buf_text(out, "</li>");
}

static void put_items(const sp_web_status *status, const words *w, sp_buf *out)
{
    bool well = status->away_since_unix_s == 0;
    sp_buf_text(out, "<ul>");
    if (!well) {
        sp_buf_fmt(out, "<li class=\"down\"><b>Sallyport</b><span class=\"t\">%s ", w->since);
        put_time(out, status->away_since_unix_s);
        sp_buf_fmt(out, "</span><p>%s</p></li>", w->away);
    }
    for (size_t i = 0; i < status->page->count; i++) {
        put_item(&status->page->items[i], w, status->chinese, out);
    }
    if (status->page->count == 0 && well) {
        sp_buf_fmt(out, "<li>%s</li>", w->all_well);
    }
    sp_buf_text(out, "</ul>");
}

void sp_web_status_html(const sp_web_status *status, sp_buf *out)
{
    const words *w = &WORDS[status->chinese ? 1 : 0];
    sp_buf_fmt(out,
               "<!doctype html><html lang=\"%s\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
               "<meta name=\"robots\" content=\"noindex\">"
               "<meta http-equiv=\"refresh\" content=\"60\"><title>%s · ",
               w->language, w->title);
    sp_buf_html(out, status->office);
    sp_buf_text(out, "</title><style>");
    sp_buf_text(out, style);
    sp_buf_text(out, "</style></head><body><main><header>");
    sp_buf_html(out, status->office);
    sp_buf_fmt(out, "</header><h1>%s</h1>", w->title);
    put_items(status, w, out);
    sp_buf_text(out, "<footer>");
    if (status->page->told_unix_s == 0) {
        sp_buf_text(out, w->nothing);
    } else {
        sp_buf_fmt(out, "%s ", w->told);
        put_time(out, status->page->told_unix_s);
    }
    sp_buf_fmt(out,
               " · <a href=\"/status?lang=%s\" lang=\"%s\">%s</a></footer></main></body></html>\n",
               w->other, w->other, w->other_language);
}

static void put_texts(sp_buf *out, const char *name, sp_span en, sp_span zh)
{
    sp_buf_fmt(out, ",\"%s\":{\"en\":", name);
    sp_buf_json(out, en);
    sp_buf_text(out, ",\"zh\":");
    sp_buf_json(out, zh);
    sp_buf_byte(out, '}');
}

void sp_web_status_json(const sp_web_status *status, sp_buf *out)
{
    sp_buf_fmt(out, "{\"reachable\":%s,\"away_since\":%llu,\"told\":%llu,\"items\":[",
               status->away_since_unix_s == 0 ? "true" : "false",
               (unsigned long long)status->away_since_unix_s,
               (unsigned long long)status->page->told_unix_s);
    for (size_t i = 0; i < status->page->count; i++) {
        const sp_status_item *item = &status->page->items[i];
        sp_buf_fmt(out, "%s{\"state\":\"%s\",\"since\":%llu,\"until\":%llu", i == 0 ? "" : ",",
                   sp_status_state_word((sp_status_state)item->state),
                   (unsigned long long)item->since_unix_s, (unsigned long long)item->until_unix_s);
        put_texts(out, "name", item->name_en, item->name_zh);
        put_texts(out, "text", item->text_en, item->text_zh);
        sp_buf_byte(out, '}');
    }
    sp_buf_text(out, "]}\n");
}
