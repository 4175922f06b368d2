/* SPDX-License-Identifier: Apache-2.0
 * Refusals as a page and as JSON.
 * OWNS nothing. PROCESS web gate. TRUST names are escaped. SPEC lib/web/refusal.h.
 */
#include "lib/web/refusal.h"

#include "lib/base/sha256.h"
#include "lib/proto/event.h"
#include "lib/web/refusal_text.h"

/* The console's colours and shapes (console/src/style/tokens.css). */
static const char style[] =
    ":root{--bg:#f6f5f2;--card:#fff;--ink:#1d1c1a;--soft:#68645c;--line:#e3e0d9;--go:#2d46b4;"
    "--on:#fff;--mark:#7d4e00;--tint:#fcf0d8;--edge:#e8cb8f}"
    "@media(prefers-color-scheme:dark){:root{--bg:#141413;--card:#1c1c1a;--ink:#efede8;"
    "--soft:#a19c92;--line:#32312d;--go:#9db0ff;--on:#10142b;--mark:#f0c060;--tint:#352a12;"
    "--edge:#665022}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:flex;flex-direction:column;align-items:center;"
    "justify-content:center;gap:24px;padding:24px 16px;background:var(--bg);color:var(--ink);"
    "font:15px/1.55 ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'PingFang SC',"
    "'Hiragino Sans GB','Noto Sans CJK SC','Microsoft YaHei',sans-serif}"
    "main{width:100%;max-width:34rem;background:var(--card);border:1px solid var(--line);"
    "border-radius:18px;box-shadow:0 1px 2px rgba(35,30,20,.06)}"
    "header{display:flex;align-items:center;gap:12px;width:100%;max-width:34rem;font-weight:600}"
    "header svg{width:28px;height:28px;flex:none}"
    ".g{fill:var(--go)}.w{fill:var(--on)}"
    "section{padding:32px}h1{margin:0 0 8px;font-size:1.6rem;line-height:1.25;font-weight:650;"
    "letter-spacing:-.015em}p{margin:0 0 16px}.do{background:var(--tint);"
    "border:1px solid var(--edge);padding:12px 16px;border-radius:10px}"
    ".do b{display:block;color:var(--mark)}"
    "dl{display:grid;grid-template-columns:auto 1fr;gap:6px 20px;margin:24px 0 0}"
    "dt{color:var(--soft);font-size:.87em}dd{margin:0;overflow-wrap:anywhere}"
    "code{font:600 1em ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    "a.button{display:inline-block;margin-top:24px;padding:9px 18px;border-radius:10px;"
    "background:var(--go);color:var(--on);text-decoration:none;font-weight:550}"
    "a:focus-visible{outline:2px solid var(--go);outline-offset:2px}";

uint16_t sp_web_refusal_status(sp_reason reason)
{
    static const uint16_t status[SP_REASON_COUNT] = {
        [SP_REASON_NONE] = 403,
        [SP_REASON_RULE] = 403,
        [SP_REASON_DEFAULT] = 403,
        [SP_REASON_DENY_RULE] = 403,
        [SP_REASON_NEVER] = 403,
        [SP_REASON_NO_SESSION] = 401,
        [SP_REASON_SESSION_ENDED] = 401,
        [SP_REASON_SESSION_DEVICE] = 401,
        [SP_REASON_DEVICE_UNKNOWN] = 403,
        [SP_REASON_DEVICE_OWNER] = 403,
        [SP_REASON_DEVICE_POSTURE] = 403,
        [SP_REASON_DEVICE_PENDING] = 403,
        [SP_REASON_DEVICE_QUARANTINE] = 403,
        [SP_REASON_DEVICE_REVOKED] = 403,
        [SP_REASON_STRENGTH] = 403,
        [SP_REASON_HOURS] = 403,
        [SP_REASON_NETWORK] = 403,
        [SP_REASON_APPROVAL] = 403,
        [SP_REASON_UNPARSED] = 400,
        [SP_REASON_UNRECORDED] = 503,
        [SP_REASON_UNAVAILABLE] = 503,
        [SP_REASON_LIMIT] = 429,
        [SP_REASON_CUT] = 403,
        [SP_REASON_DUTY] = 403,
    };
    return reason < SP_REASON_COUNT ? status[reason] : 403;
}

void sp_web_refusal_csp(sp_buf *out)
{
    sp_hash hash = sp_sha256(sp_span_cstr(style));
    sp_buf_text(out, "default-src 'none'; style-src 'sha256-");
    sp_buf_base64(out, sp_hash_borrow(&hash));
    sp_buf_text(out, "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
}

static void row(sp_buf *out, const char *label, sp_span value, const char *element)
{
    if (value.len == 0) {
        return;
    }
    sp_buf_fmt(out, "<dt>%s</dt><dd><%s>", label, element);
    sp_buf_html(out, value);
    sp_buf_fmt(out, "</%s></dd>", element);
}

static void facts(const sp_web_refusal *refusal, const sp_refusal_words *words, sp_buf *out)
{
    char reference[SP_REFERENCE_TEXT_BYTES] = "";
    if (refusal->reference != 0) {
        sp_reference_text(refusal->reference, reference);
    }
    auto_buf sp_buf when = sp_buf_make(64);
    sp_buf_time(&when, refusal->when_unix_us);
    sp_span day = sp_span_slice(sp_buf_borrow(&when), 0, 19);
    bool decided = refusal->reason != SP_REASON_NONE;
    sp_span action =
        sp_span_cstr(decided ? sp_refusal_action(refusal->action, refusal->chinese) : "");
    sp_buf_text(out, "<dl>");
    row(out, words->reference, sp_span_cstr(reference), "code");
    row(out, words->resource, refusal->resource, "span");
    row(out, words->action, action, "span");
    row(out, words->person, refusal->person, "span");
    row(out, words->device, refusal->device, "span");
    row(out, words->time, day, "span");
    sp_buf_text(out, "</dl>");
}

/* Somebody signed in finds this very refusal and the way on; anybody else the portal's door. */
static void portal_page(const sp_web_refusal *refusal, sp_buf *out)
{
    sp_buf_byte(out, '/');
    if (refusal->reference != 0 && refusal->person.len > 0 && refusal->reason != SP_REASON_NONE) {
        char reference[SP_REFERENCE_TEXT_BYTES] = "";
        sp_reference_text(refusal->reference, reference);
        sp_buf_fmt(out, "refusals/%s", reference);
    }
}

void sp_web_refusal_html(const sp_web_refusal *refusal, sp_buf *out)
{
    const sp_refusal_words *words = sp_refusal_words_of(refusal->chinese);
    sp_refusal_says says = sp_refusal_say(refusal->reason, refusal->status, refusal->chinese);
    sp_buf_fmt(out,
               "<!doctype html><html lang=\"%s\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
               "<meta name=\"robots\" content=\"noindex\"><title>%s</title><style>",
               words->language, says.title);
    sp_buf_text(out, style);
    sp_buf_text(out,
                "</style></head><body><header><svg viewBox=\"0 0 32 32\" aria-hidden=\"true\">"
                "<rect class=\"g\" width=\"32\" height=\"32\" rx=\"7\"/><path class=\"w\" "
                "d=\"M6 9V6h3.5v2h3V6h7v2h3V6H26v3z\"/><path class=\"w\" d=\"M8 11h16v15h-4v-6a4 "
                "4 0 0 0-8 0v6H8z\"/></svg><span>");
    sp_buf_html(out, refusal->office);
    sp_buf_fmt(out,
               "</span></header><main><section><h1>%s</h1><p>%s</p><p class=\"do\"><b>%s</b>%s</p>",
               says.title, says.why, words->what_to_do, says.mend);
    facts(refusal, words, out);
    if (refusal->portal_url.len > 0) {
        sp_buf_text(out, "<a class=\"button\" href=\"");
        sp_buf_html(out, refusal->portal_url);
        portal_page(refusal, out);
        sp_buf_fmt(out, "\">%s</a>", words->portal);
    }
    sp_buf_text(out, "</section></main></body></html>\n");
}

static void field(sp_buf *out, const char *name, sp_span value)
{
    if (value.len == 0) {
        return;
    }
    sp_buf_fmt(out, ",\"%s\":", name);
    sp_buf_json(out, value);
}

void sp_web_refusal_json(const sp_web_refusal *refusal, sp_buf *out)
{
    sp_refusal_says says = sp_refusal_say(refusal->reason, refusal->status, refusal->chinese);
    char reference[SP_REFERENCE_TEXT_BYTES] = "";
    if (refusal->reference != 0) {
        sp_reference_text(refusal->reference, reference);
    }
    bool decided = refusal->reason != SP_REASON_NONE;
    sp_buf_fmt(out, "{\"type\":\"about:blank\",\"status\":%u,\"title\":", refusal->status);
    sp_buf_json(out, sp_span_cstr(says.title));
    field(out, "detail", sp_span_cstr(says.why));
    field(out, "what_to_do", sp_span_cstr(says.mend));
    field(out, "reason", sp_span_cstr(decided ? sp_reason_word(refusal->reason) : ""));
    field(out, "action", sp_span_cstr(decided ? sp_action_word(refusal->action) : ""));
    field(out, "resource", refusal->resource);
    field(out, "reference", sp_span_cstr(reference));
    field(out, "portal", refusal->portal_url);
    sp_buf_text(out, "}\n");
}
