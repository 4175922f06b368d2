/* SPDX-License-Identifier: Apache-2.0
 * Ways on which a notice leaves the office, and what each takes.
 * OWNS nothing: constant tables. PROCESS core, courier, cli. TRUST none.
 * SPEC docs/NOTICES.md "Channels": the vendors' published bounds.
 */
#ifndef SP_NOTICE_CHANNEL_H
#define SP_NOTICE_CHANNEL_H

#include "lib/base/buf.h"

typedef enum {
    SP_CHANNEL_EMAIL,
    SP_CHANNEL_WECOM,
    SP_CHANNEL_DINGTALK,
    SP_CHANNEL_FEISHU,
    SP_CHANNEL_LARK, /* Feishu under its other address */
    SP_CHANNEL_SLACK,
    SP_CHANNEL_TEAMS,
    SP_CHANNEL_WEBHOOK, /* ours: JSON, signed */
    SP_CHANNEL_COUNT
} sp_channel_kind;
/* "email", "wecom", ...; ends with NULL. */
extern const char *const sp_channel_kind_words[SP_CHANNEL_COUNT + 1];

typedef struct {
    const char *address; /* when the document gives none; NULL: it must */
    uint32_t per_minute; /* posts or mails a minute */
    uint32_t max_bytes;  /* of the text that people read */
    bool needs_token;    /* {token} stands in the address: the vault keeps it */
    bool signs;          /* with a secret that the vault keeps, unless the document says no */
} sp_channel_facts;
const sp_channel_facts *sp_channel_facts_of(sp_channel_kind kind);

enum { SP_CHANNEL_ADDRESS_MAX_BYTES = 512 };
/* What is wrong with an address, or NULL. E-mail: host and perhaps port, not looked at here; the
 * others: https, or http to a loopback address, with {token} at most once, nothing odd. */
const char *sp_channel_address_fault(sp_span address);
bool sp_channel_address_has_token(sp_span address);

#endif
