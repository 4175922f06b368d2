/* SPDX-License-Identifier: Apache-2.0
 * Notices, audiences and channels, as the documents say, for core and the command line.
 * OWNS nothing: views into the set. PROCESS core, cli. TRUST the set compiled, so what is named
 * exists and every text renders. SPEC docs/POLICY.md "Notice", "Audience", "Channel".
 */
#ifndef SP_POLICY_NOTICES_H
#define SP_POLICY_NOTICES_H

#include "lib/notice/channel.h"
#include "lib/notice/template.h"
#include "lib/policy/compile.h"

enum {
    SP_NOTICE_VARIABLES_MAX = 24,
    SP_NOTICE_CHANNELS_MAX = 8,
    SP_NOTICE_EXPIRES_DEFAULT_S = 2 * 86400
};

typedef enum { SP_LANGUAGE_EN, SP_LANGUAGE_ZH, SP_LANGUAGE_COUNT } sp_language;

typedef struct {
    sp_span name;
    sp_span title[SP_LANGUAGE_COUNT];
    sp_span body[SP_LANGUAGE_COUNT];
    sp_span brief[SP_LANGUAGE_COUNT];                   /* the body where there is none */
    sp_notice_value variables[SP_NOTICE_VARIABLES_MAX]; /* text: the sample */
    size_t variables_count;
    sp_span channels[SP_NOTICE_CHANNELS_MAX];
    size_t channels_count;
    sp_span audience;  /* may be empty */
    sp_span then;      /* audience; may be empty */
    uint32_t within_s; /* 0: nobody has to acknowledge it */
    uint32_t expires_s;
    uint8_t severity; /* sp_severity of lib/proto/event.h */
    bool by_all;
    bool banner;
} sp_policy_notice;
/* SP_ENOTFOUND. */
SP_MUST sp_err sp_policy_set_notice(const sp_policy_set *set, sp_span name,
                                    sp_policy_notice *ret_notice);
size_t sp_policy_set_notice_count(const sp_policy_set *set);
void sp_policy_set_notice_at(const sp_policy_set *set, size_t at, sp_policy_notice *ret_notice);

typedef struct {
    sp_span name;
    sp_span address;
    sp_span ca;
    sp_span user;
    sp_span from;
    uint32_t per_minute;
    uint32_t attempts;
    uint32_t retry_s;
    uint32_t digest_s; /* 0: no digests but of what has to wait */
    uint16_t timeout_s;
    uint8_t via; /* sp_channel_kind */
    uint8_t tls; /* 0 starttls or https, 1 implicit, 2 loopback */
    bool has_token;
    bool has_secret;
    bool en; /* languages of posts */
    bool zh;
} sp_policy_channel;
SP_MUST sp_err sp_policy_set_channel(const sp_policy_set *set, sp_span name,
                                     sp_policy_channel *ret_channel);
size_t sp_policy_set_channel_count(const sp_policy_set *set);
void sp_policy_set_channel_at(const sp_policy_set *set, size_t at, sp_policy_channel *ret_channel);

typedef struct sp_policy_audience sp_policy_audience;
/* NULL: there is none of that name. */
const sp_policy_audience *sp_policy_set_audience(const sp_policy_set *set, sp_span name);
size_t sp_policy_set_audience_count(const sp_policy_set *set);
const sp_policy_audience *sp_policy_set_audience_at(const sp_policy_set *set, size_t at);
sp_span sp_policy_audience_name(const sp_policy_audience *audience);
bool sp_policy_audience_has(const sp_policy_set *set, const sp_policy_audience *audience,
                            sp_span person, const uint64_t roles[SP_ROLE_WORDS]);
/* Channels that get one post; at most SP_NOTICE_CHANNELS_MAX. */
size_t sp_policy_audience_posts(const sp_policy_audience *audience,
                                sp_span ret_channels[SP_NOTICE_CHANNELS_MAX]);

#endif
