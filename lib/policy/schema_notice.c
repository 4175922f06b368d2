/* SPDX-License-Identifier: Apache-2.0
 * The tables of the schema for what people are told: Notice, Audience and Channel.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md is printed from this file.
 */
#include "lib/base/mem.h"
#include "lib/notice/channel.h"
#include "lib/notice/template.h"
#include "lib/policy/schema.h"

static const char *const SEVERITIES[] = {"info", "low", "medium", "high", "critical", NULL};
static const char *const ANY_ALL[] = {"any", "all", NULL};
static const char *const TLS[] = {"starttls", "implicit", "loopback", NULL};
static const char *const LANGUAGES[] = {"en", "zh", "both", NULL};

enum {
    TITLE_MAX = 200,
    BODY_MAX = 8000,
    BRIEF_MAX = 1000,
    MAILBOX_MAX = 300,
    PATH_MAX_BYTES = 1024
};
#define DAY_S ((uint64_t)24 * 3600)

#define AT(type, member) offsetof(type, member)
#define TABLE(rows) .fields = (rows), .fields_count = SP_COUNT(rows)

/* A text in two languages, of that length. */
#define TEXTS(name_, max_, doc_)                                                                   \
    static const doc_field name_##_FIELDS[] = {                                                    \
        {"en", FIELD_TEXT, true, AT(doc_title, en), .max = (max_), .doc = "In English."},          \
        {"zh", FIELD_TEXT, true, AT(doc_title, zh), .max = (max_), .doc = "In Chinese."},          \
    };                                                                                             \
    static const doc_schema name_ = {                                                              \
        .name = #name_, .doc = (doc_), .struct_bytes = sizeof(doc_title), TABLE(name_##_FIELDS)}
TEXTS(TITLE, TITLE_MAX, "One line.");
TEXTS(BODY, BODY_MAX, "Paragraphs of plain text.");
TEXTS(BRIEF, BRIEF_MAX, "A few lines.");

static const doc_field VARIABLE_FIELDS[] = {
    {"name", FIELD_TEXT, true, AT(doc_variable, name), .max = SP_VARIABLE_NAME_MAX_BYTES,
     .doc = "Written `{{name}}` in the texts: a-z, 0-9 and '_'. `office`, `reader`, `link`, `when` "
            "and `sender` are always there."},
    {"kind", FIELD_WORD, false, AT(doc_variable, kind), .words = sp_value_kind_words,
     .doc = "What its value must be. Only a `url` becomes a link. Default `text`."},
    {"sample", FIELD_TEXT, true, AT(doc_variable, sample), .max = BRIEF_MAX,
     .doc = "A value for previews and drills."},
};
static const doc_schema VARIABLE = {.name = "variables",
                                    .doc = "What is filled in.",
                                    .struct_bytes = sizeof(doc_variable),
                                    TABLE(VARIABLE_FIELDS)};

static const doc_field ACKNOWLEDGE_FIELDS[] = {
    {"within", FIELD_DURATION, true, AT(doc_acknowledge, within), .min = 1, .max = 30 * DAY_S,
     .doc = "How long people have."},
    {"by", FIELD_WORD, false, AT(doc_acknowledge, by), .words = ANY_ALL,
     .doc = "`any`: one of them is enough; `all`: everybody. Default `any`."},
    {"then", FIELD_SLUG, false, AT(doc_acknowledge, then), .max = SP_NAME_MAX_BYTES,
     .doc = "The Audience that is told when that did not happen."},
};
static const doc_schema ACKNOWLEDGE = {.name = "acknowledge",
                                       .doc = "Somebody has to say that he has read it.",
                                       .struct_bytes = sizeof(doc_acknowledge),
                                       TABLE(ACKNOWLEDGE_FIELDS)};

const doc_field DOC_NOTICE_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_notice, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name, by which plans and people send it."},
    {"title", FIELD_MAP, true, AT(doc_notice, title), .sub = &TITLE,
     .doc = "Subject of the mail, head of the post."},
    {"body", FIELD_MAP, true, AT(doc_notice, body), .sub = &BODY,
     .doc = "The text. It is plain: a line without text parts paragraphs, nothing is markup."},
    {"brief", FIELD_MAP, false, AT(doc_notice, brief), .sub = &BRIEF,
     .doc = "The text for chats. Without it, the body."},
    {"variables", FIELD_MAPS, false, AT(doc_notice, variables), .sub = &VARIABLE,
     .doc = "What is filled in; each must be used, and each that is used must be here."},
    {"severity", FIELD_WORD, false, AT(doc_notice, severity), .words = SEVERITIES,
     .doc = "How grave it is; from `high` on it does not wait in a digest. Default `info`."},
    {"audience", FIELD_SLUG, false, AT(doc_notice, audience), .max = SP_NAME_MAX_BYTES,
     .doc = "The Audience, when whoever sends it names none."},
    {"channels", FIELD_SLUGS, false, AT(doc_notice, channels),
     .doc = "Channels to people, the first that works counts. A person's own order comes before "
            "it. Without it: every channel on which the person has an address, mail first."},
    {"acknowledge", FIELD_MAP, false, AT(doc_notice, acknowledge), .sub = &ACKNOWLEDGE,
     .doc = "Somebody has to say that he has read it."},
    {"banner", FIELD_FLAG, false, AT(doc_notice, banner),
     .doc = "`true`: it stands above every page of the portal until it is acknowledged."},
    {"expires", FIELD_DURATION, false, AT(doc_notice, expires), .min = 60, .max = 366 * DAY_S,
     .doc = "Nothing is tried any more after so long. Default `2d`."},
};
_Static_assert(SP_COUNT(DOC_NOTICE_FIELDS) == DOC_NOTICE_FIELDS_COUNT, "all of them");

static const doc_field MINUS_FIELDS[] = {
    {"roles", FIELD_SLUGS, false, AT(doc_who, roles), .doc = "Not those who hold one of these."},
    {"people", FIELD_SLUGS, false, AT(doc_who, people), .doc = "Not these."},
};
static const doc_schema MINUS = {.name = "minus",
                                 .doc = "Who is left out.",
                                 .struct_bytes = sizeof(doc_who),
                                 TABLE(MINUS_FIELDS)};

static const doc_field AUDIENCE_WHO_FIELDS[] = {
    {"roles", FIELD_SLUGS, false, AT(doc_who, roles),
     .doc = "People who hold any of these roles, or a role that includes one of them."},
    {"people", FIELD_SLUGS, false, AT(doc_who, people), .doc = "These people."},
    {"any", FIELD_FLAG, false, AT(doc_who, any),
     .doc = "`true`: everybody with an account that is not disabled."},
};
static const doc_schema AUDIENCE_WHO = {.name = "who",
                                        .doc = "Who is told.",
                                        .struct_bytes = sizeof(doc_who),
                                        TABLE(AUDIENCE_WHO_FIELDS)};

const doc_field DOC_AUDIENCE_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_audience, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, false, AT(doc_audience, title), .sub = &TITLE, .doc = "What people see."},
    {"who", FIELD_MAP, false, AT(doc_audience, who), .sub = &AUDIENCE_WHO, .doc = "Who is told."},
    {"minus", FIELD_MAP, false, AT(doc_audience, minus), .sub = &MINUS, .doc = "Who is left out."},
    {"post", FIELD_SLUGS, false, AT(doc_audience, post),
     .doc = "Channels that get one post for all of them: a group's bot, a webhook. That a post "
            "was taken does not mean that anybody has read it."},
};
_Static_assert(SP_COUNT(DOC_AUDIENCE_FIELDS) == DOC_AUDIENCE_FIELDS_COUNT, "all of them");

const doc_field DOC_CHANNEL_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_channel, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name; its secrets are in the vault as `<name>/token` and `<name>/secret`."},
    {"via", FIELD_WORD, true, AT(doc_channel, via), .words = sp_channel_kind_words,
     .doc = "What it is."},
    {"address", FIELD_TEXT, false, AT(doc_channel, address), .max = SP_CHANNEL_ADDRESS_MAX_BYTES,
     .doc = "`email`: the mail server, `smtp.internal:587`. Others: the URL; `{token}` in it is "
            "put in by the courier, out of the vault. WeCom, DingTalk, Feishu, Lark and Slack have "
            "one by default."},
    {"tls", FIELD_WORD, false, AT(doc_channel, tls), .words = TLS,
     .doc = "`email`: `starttls` (refused where there is none), `implicit` (port 465), or "
            "`loopback` (plain, to loopback addresses only). Default `starttls`."},
    {"ca", FIELD_TEXT, false, AT(doc_channel, ca), .max = PATH_MAX_BYTES,
     .doc = "File with the certificates that the server's chain must lead to, below "
            "`/etc/sallyport`; without it, the system's."},
    {"user", FIELD_TEXT, false, AT(doc_channel, user), .max = MAILBOX_MAX,
     .doc = "`email`: log in under this name, with the secret as password."},
    {"from", FIELD_TEXT, false, AT(doc_channel, from), .max = MAILBOX_MAX,
     .doc = "`email`: who it is from: `Sallyport <gate@office.example>`."},
    {"signed", FIELD_FLAG, false, AT(doc_channel, is_signed),
     .doc = "Whether posts are signed with the secret. Default: `true` for `dingtalk`, `feishu`, "
            "`lark` and `webhook`."},
    {"language", FIELD_WORD, false, AT(doc_channel, language), .words = LANGUAGES,
     .doc = "Of posts to a group. Default `both`."},
    {"per_minute", FIELD_COUNT_NR, false, AT(doc_channel, per_minute), .min = 1, .max = 60000,
     .doc = "How many go out a minute at most; posts that wait are sent together, as a digest. "
            "Default: what the vendor takes; mail 60000."},
    {"attempts", FIELD_COUNT_NR, false, AT(doc_channel, attempts), .min = 1, .max = 20,
     .doc = "How often it is tried before the person's next channel has its turn. Default 5."},
    {"retry", FIELD_DURATION, false, AT(doc_channel, retry), .min = 1, .max = DAY_S,
     .doc = "How long after the first attempt the second comes; each further wait is twice as "
            "long, six hours at most. Default `30s`."},
    {"timeout", FIELD_DURATION, false, AT(doc_channel, timeout), .min = 1, .max = 600,
     .doc = "How long one attempt may take. Default `30s`."},
    {"digest", FIELD_DURATION, false, AT(doc_channel, digest), .min = 1, .max = DAY_S,
     .doc = "Notices below severity `high` that ask for no acknowledgement wait for the end of the "
            "running interval of this length (`1h`: the full hour, UTC), and all of one person or "
            "group go out as one message. Default: each goes out by itself, at once."},
};
_Static_assert(SP_COUNT(DOC_CHANNEL_FIELDS) == DOC_CHANNEL_FIELDS_COUNT, "all of them");
