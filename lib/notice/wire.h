/* SPDX-License-Identifier: Apache-2.0
 * What goes over the wire: bodies, addresses and signatures of each channel, and mails.
 *
 * DingTalk and Feishu both sign "<time>\n<secret>" and swap key and message: DingTalk's key is the
 * secret and the message is the text, in milliseconds, in the address; Feishu's key is the text and
 * the message is empty, in seconds, in the body. Test vectors hold each.
 *
 * OWNS nothing. PROCESS courier. TRUST texts come from core, rendered for their channel; here they
 * are only put into JSON or MIME, which escapes them again.
 * SPEC docs/NOTICES.md "Channels"; RFC 5322, 2045, 2047; the vendors' guides for their bots.
 */
#ifndef SP_NOTICE_WIRE_H
#define SP_NOTICE_WIRE_H

#include "lib/base/sha256.h"
#include "lib/notice/channel.h"

/* RFC 2104. Long keys are hashed first. */
sp_hash sp_post_mac(sp_span key, sp_span message);

typedef struct {
    sp_span address; /* with {token}, perhaps */
    sp_span token;   /* empty = none */
    sp_span secret;  /* empty: not signed */
    sp_span title;
    sp_span text;
    sp_span mentions; /* ids, one a line */
    sp_span id;       /* of the delivery; webhook */
    sp_span data;     /* webhook: a JSON value; empty = none */
    uint64_t now_unix_ms;
} sp_post;

/* The address with the token in it and, DingTalk, the signature. SP_EINVALID: a token is missing,
 * or holds what has no place in an address. */
SP_MUST sp_err sp_post_url(sp_channel_kind kind, const sp_post *post, sp_buf *out);
/* The JSON; texts that are too long for the channel are cut between characters. */
void sp_post_body(sp_channel_kind kind, const sp_post *post, sp_buf *out);
/* Webhook: "t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<body>">". */
void sp_post_signature(const sp_post *post, sp_span body, sp_buf *out);

typedef struct {
    sp_span from; /* "Name <box@host>" or "box@host" */
    sp_span to;   /* a mailbox */
    sp_span subject;
    sp_span text;
    sp_span html;       /* inner part; empty = text alone */
    sp_span message_id; /* without brackets */
    uint64_t when_unix_s;
} sp_mail;

/* "box@host": what SMTP can carry without quoting; no more than 254 bytes. */
bool sp_mailbox_ok(sp_span mailbox);
/* The mailbox in "Name <box@host>" or "box@host"; empty when there is none. */
sp_span sp_mailbox_of(sp_span from);
/* The whole message with CRLF line ends, every line at most 998 bytes, all ASCII. */
SP_MUST sp_err sp_mail_write(const sp_mail *mail, sp_buf *out);

/* ---- what the other side said ---- */
typedef enum {
    SP_ANSWER_TAKEN,
    SP_ANSWER_NEVER, /* refused for good */
    SP_ANSWER_LATER, /* try again */
    SP_ANSWER_SLOWER /* the whole channel is silent for a while */
} sp_answer;
/* An HTTP answer by the vendor's rules: several say 200 and put the error into the body. *why gets
 * a sentence; retry_after_s is the header's, 0 = none, and *ret_wait_s how long to be silent. */
sp_answer sp_answer_of(sp_channel_kind kind, unsigned status, uint32_t retry_after_s, sp_span body,
                       sp_buf *why, uint32_t *ret_wait_s);
/* The number of a member at the top of a JSON object; false: there is none or it is no JSON. */
bool sp_answer_number(sp_span body, sp_span key, int64_t *ret_value);

#endif
