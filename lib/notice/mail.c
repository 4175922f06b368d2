/* SPDX-License-Identifier: Apache-2.0
 * Mails: head, text and HTML as MIME, everything beyond ASCII encoded.
 * OWNS nothing. PROCESS courier. TRUST see wire.h. SPEC RFC 5322, 2045, 2047, 3834.
 */
#include "lib/notice/template.h"
#include "lib/notice/wire.h"

enum {
    MAILBOX_MAX_BYTES = 254,
    WORD_BYTES = 42, /* of text in one encoded word: 56 letters of base64, 68 with its frame */
    LINE_BYTES = 57, /* in one line of base64: 76 letters */
    DAY_S = 24 * 3600
};
/* Not in the alphabet of base64. */
#define BOUNDARY "=_sallyport"

bool sp_mailbox_ok(sp_span mailbox)
{
    size_t at = sp_span_index(mailbox, '@');
    for (size_t i = 0; i < mailbox.len; i++) {
        uint8_t c = mailbox.ptr[i];
        bool fine = i < at ? sp_is_alnum(c) || (c != 0 && strchr(".!#$%&'*+-/=?^_`{|}~", c) != NULL)
                           : sp_is_alnum(c) || c == '.' || c == '-' || i == at;
        if (!fine) {
            return false;
        }
    }
    return at > 0 && at <= 64 && at + 1 < mailbox.len && mailbox.len <= MAILBOX_MAX_BYTES &&
           mailbox.ptr[0] != '.' && mailbox.ptr[0] != '-' && mailbox.ptr[at + 1] != '.' &&
           mailbox.ptr[at + 1] != '-';
}

sp_span sp_mailbox_of(sp_span from)
{
    size_t open = sp_span_index(from, '<');
    sp_span box = from;
    if (open < from.len) {
        sp_span rest = sp_span_slice(from, open + 1, from.len);
        size_t close = sp_span_index(rest, '>');
        box = close + 1 == rest.len ? sp_span_slice(rest, 0, close) : SP_SPAN_EMPTY;
    }
    return sp_mailbox_ok(box) ? box : SP_SPAN_EMPTY;
}

/* ---- the head ---- */

static bool is_simple(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~') {
            return false;
        }
    }
    return text.len <= WORD_BYTES && sp_span_find(text, SP_SPAN_LIT("=?")) == text.len;
}

/* RFC 2047, folded. */
static void put_encoded(sp_span text, sp_buf *out)
{
    while (text.len > 0) {
        sp_span word = sp_text_cut(text, WORD_BYTES);
        word = word.len == 0 ? text : word;
        sp_buf_text(out, "=?UTF-8?B?");
        sp_buf_base64(out, word);
        sp_buf_text(out, word.len < text.len ? "?=\r\n " : "?=");
        text = sp_span_slice(text, word.len, text.len);
    }
}

static void put_subject(sp_span subject, sp_buf *out)
{
    sp_buf_text(out, "Subject: ");
    if (is_simple(subject)) {
        sp_buf_span(out, subject);
    } else {
        put_encoded(subject, out);
    }
    sp_buf_text(out, "\r\n");
}

static void put_from(sp_span from, sp_buf *out)
{
    sp_span box = sp_mailbox_of(from);
    sp_span name = sp_span_trim(sp_span_slice(from, 0, sp_span_index(from, '<')));
    sp_buf_text(out, "From: ");
    if (box.len < from.len && name.len > 0) {
        put_encoded(name, out);
        sp_buf_text(out, "\r\n ");
    }
    sp_buf_byte(out, '<');
    sp_buf_span(out, box);
    sp_buf_text(out, ">\r\n");
}

/* Days since 1970-01-01 to a date (Howard Hinnant's civil_from_days). */
static void put_date(uint64_t when_unix_s, sp_buf *out)
{
    static const char *const weekdays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t days = when_unix_s / DAY_S;
    uint64_t second = when_unix_s % DAY_S;
    uint64_t z = days + 719468;
    uint64_t era = z / 146097;
    uint64_t doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint64_t mp = (5 * doy + 2) / 153;
    uint64_t month = mp < 10 ? mp + 3 : mp - 9;
    uint64_t year = yoe + era * 400 + (month <= 2 ? 1 : 0);
    sp_buf_fmt(out, "Date: %s, %llu %s %llu %02llu:%02llu:%02llu +0000\r\n", weekdays[days % 7],
               (unsigned long long)(doy - (153 * mp + 2) / 5 + 1), months[month - 1],
               (unsigned long long)year, (unsigned long long)(second / 3600),
               (unsigned long long)(second / 60 % 60), (unsigned long long)(second % 60));
}

static void put_head(const sp_mail *mail, sp_buf *out)
{
    put_from(mail->from, out);
    sp_buf_text(out, "To: <");
    sp_buf_span(out, mail->to);
    sp_buf_text(out, ">\r\n");
    put_subject(mail->subject, out);
    put_date(mail->when_unix_s, out);
    sp_buf_text(out, "Message-ID: <");
    sp_buf_span(out, mail->message_id);
    sp_buf_text(out, ">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
}

/* ---- parts ---- */

static void put_part(const char *type, sp_span content, sp_buf *out)
{
    sp_buf_fmt(out, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
               type);
    for (size_t at = 0; at < content.len; at += LINE_BYTES) {
        sp_buf_base64(out, sp_span_slice(content, at, at + LINE_BYTES));
        sp_buf_text(out, "\r\n");
    }
}

static void put_html(sp_span html, sp_buf *out)
{
    auto_buf sp_buf page = sp_buf_make(html.len + 512);
    sp_buf_text(&page, "<!doctype html>\n<html><head><meta charset=\"utf-8\"></head>"
                       "<body style=\"font:16px/1.5 sans-serif;max-width:40em\">\n");
    sp_buf_span(&page, html);
    sp_buf_text(&page, "\n</body></html>\n");
    put_part("text/html", sp_buf_borrow(&page), out);
}

static bool head_ok(const sp_mail *mail)
{
    const sp_span lines[] = {mail->from, mail->subject, mail->message_id};
    for (size_t i = 0; i < SP_COUNT(lines); i++) {
        for (size_t k = 0; k < lines[i].len; k++) {
            if (lines[i].ptr[k] < ' ' || lines[i].ptr[k] == 0x7f) {
                return false;
            }
        }
    }
    return sp_mailbox_ok(mail->to) && sp_mailbox_of(mail->from).len > 0 &&
           sp_mailbox_ok(mail->message_id);
}

sp_err sp_mail_write(const sp_mail *mail, sp_buf *out)
{
    if (!head_ok(mail)) {
        return sp_fail(SP_EINVALID);
    }
    put_head(mail, out);
    if (mail->html.len == 0) {
        put_part("text/plain", mail->text, out);
        return sp_buf_error(out);
    }
    sp_buf_text(out, "Content-Type: multipart/alternative; boundary=\"" BOUNDARY
                     "\"\r\n\r\n--" BOUNDARY "\r\n");
    put_part("text/plain", mail->text, out);
    sp_buf_text(out, "--" BOUNDARY "\r\n");
    put_html(mail->html, out);
    sp_buf_text(out, "--" BOUNDARY "--\r\n");
    return sp_buf_error(out);
}
