/* SPDX-License-Identifier: Apache-2.0
 * The tables of the schema for what goes to other systems and to authorities: Sink, LawPack,
 * Officer.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md is printed from this file.
 */
#include "lib/base/mem.h"
#include "lib/policy/duties.h"
#include "lib/policy/schema.h"

static const char *const SEVERITIES[] = {"info", "low", "medium", "high", "critical", NULL};
static const char *const FROM[] = {"now", "start", NULL};
static const char *const STARTS[] = {"discovery", "closed", NULL};

enum { TITLE_MAX = 200, TEXT_MAX = 500, PATH_MAX_BYTES = 1024, TOPIC_MAX = 249 };
#define DAY_S ((uint64_t)24 * 3600)
#define AT(type, member) offsetof(type, member)
#define TABLE(rows) .fields = (rows), .fields_count = SP_COUNT(rows)

static const doc_field TITLE_FIELDS[] = {
    {"en", FIELD_TEXT, true, AT(doc_title, en), .max = TITLE_MAX, .doc = "In English."},
    {"zh", FIELD_TEXT, true, AT(doc_title, zh), .max = TITLE_MAX, .doc = "In Chinese."},
};
static const doc_schema TITLE = {.name = "title",
                                 .doc = "What people read.",
                                 .struct_bytes = sizeof(doc_title),
                                 TABLE(TITLE_FIELDS)};

const doc_field DOC_SINK_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_sink, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name; its secrets are in the vault as `<name>/token` and `<name>/secret`. No "
            "Channel has the same name."},
    {"via", FIELD_WORD, true, AT(doc_sink, via), .words = SP_SINK_WORDS,
     .doc = "`syslog`: RFC 5424 over TLS with octet counting (RFC 5425). `http`: a POST of a JSON "
            "array of OCSF events. `kafka`: records to a topic by a Kafka REST proxy (API v2)."},
    {"address", FIELD_TEXT, true, AT(doc_sink, address), .max = SP_CHANNEL_ADDRESS_MAX_BYTES,
     .doc = "`syslog`: host and port, `logs.internal:6514`. Others: the URL, `https://`; `http://` "
            "to loopback addresses only."},
    {"topic", FIELD_SLUG, false, AT(doc_sink, topic), .max = TOPIC_MAX,
     .doc = "`kafka`: the topic."},
    {"ca", FIELD_TEXT, false, AT(doc_sink, ca), .max = PATH_MAX_BYTES,
     .doc = "File with the certificates that the server's chain must lead to, below "
            "`/etc/sallyport`; without it, the system's."},
    {"token", FIELD_FLAG, false, AT(doc_sink, token),
     .doc = "`true`: `Authorization: Bearer` with the vault's token. Not for `syslog`."},
    {"signed", FIELD_FLAG, false, AT(doc_sink, is_signed),
     .doc = "`true`: each body is signed with the vault's secret, as webhooks are "
            "(docs/NOTICES.md). Not for `syslog`."},
    {"kinds", FIELD_WORDS, false, AT(doc_sink, kinds), .words = DOC_EVENT_WORDS,
     .doc = "Only events of these kinds. Without it, all."},
    {"severity", FIELD_WORD, false, AT(doc_sink, severity), .words = SEVERITIES,
     .doc = "Only events as grave as this. Default `info`."},
    {"from", FIELD_WORD, false, AT(doc_sink, from), .words = FROM,
     .doc = "Where a sink begins that is new: `now`, or the `start` of the ledger. Default `now`."},
    {"batch", FIELD_COUNT_NR, false, AT(doc_sink, batch), .min = 1, .max = 1000,
     .doc = "Events sent together at most. Default 200."},
    {"timeout", FIELD_DURATION, false, AT(doc_sink, timeout), .min = 1, .max = 300,
     .doc = "How long one batch may take. Default `15s`."},
};
_Static_assert(SP_COUNT(DOC_SINK_FIELDS) == DOC_SINK_FIELDS_COUNT, "all of them");

static const doc_field CONDITION_FIELDS[] = {
    {"fact", FIELD_WORD, true, AT(doc_law_condition, fact), .words = SP_FACT_WORDS,
     .doc = "What it is about. `judgement` is the catch-all: a person decides."},
    {"at_least", FIELD_COUNT_NR, false, AT(doc_law_condition, at_least), .min = 1,
     .max = SP_LAW_FACT_MAX, .doc = "The threshold. Default 1, which is \"yes\"."},
    {"also", FIELD_WORD, false, AT(doc_law_condition, also), .words = SP_FACT_WORDS,
     .doc = "And this has to be so too."},
    {"article", FIELD_TEXT, false, AT(doc_law_condition, article), .max = TEXT_MAX,
     .doc = "Where it is written."},
};
static const doc_schema CONDITION = {.name = "any",
                                     .doc = "One of them is enough.",
                                     .struct_bytes = sizeof(doc_law_condition),
                                     TABLE(CONDITION_FIELDS)};

static const doc_field LEVEL_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_law_level, name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, true, AT(doc_law_level, title), .sub = &TITLE, .doc = "What people read."},
    {"any", FIELD_MAPS, true, AT(doc_law_level, any), .sub = &CONDITION,
     .doc = "What reaches it; one is enough."},
};
static const doc_schema LEVEL = {.name = "levels",
                                 .doc = "The least first.",
                                 .struct_bytes = sizeof(doc_law_level),
                                 TABLE(LEVEL_FIELDS)};

static const doc_field DUTY_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_law_duty, name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, true, AT(doc_law_duty, title), .sub = &TITLE,
     .doc = "What is to be done, to whom."},
    {"from", FIELD_SLUG, false, AT(doc_law_duty, from), .max = SP_NAME_MAX_BYTES,
     .doc = "From this level on. Without it, whatever the level."},
    {"within", FIELD_DURATION, true, AT(doc_law_duty, within), .min = 60, .max = 366 * DAY_S,
     .doc = "In which time."},
    {"runs_from", FIELD_WORD, false, AT(doc_law_duty, start), .words = STARTS,
     .doc = "When its time begins: at the `discovery`, or when the incident is `closed`. Default "
            "`discovery`."},
    {"needs", FIELD_WORDS, false, AT(doc_law_duty, needs), .words = SP_FACT_WORDS,
     .doc = "Only if all of these are so."},
    {"unless", FIELD_WORDS, false, AT(doc_law_duty, unless), .words = SP_FACT_WORDS,
     .doc = "Not if one of these is so."},
    {"article", FIELD_TEXT, false, AT(doc_law_duty, article), .max = TEXT_MAX,
     .doc = "Where it is written."},
};
static const doc_schema DUTY = {.name = "duties",
                                .doc = "What has to be done, and until when.",
                                .struct_bytes = sizeof(doc_law_duty),
                                TABLE(DUTY_FIELDS)};

static const doc_field ITEM_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_law_item, name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, true, AT(doc_law_item, title), .sub = &TITLE, .doc = "Its heading."},
    {"of", FIELD_WORD, false, AT(doc_law_item, of), .words = SP_ITEM_OF_WORDS,
     .doc = "Where it comes from. Default `asked`: a person writes it; until then it is marked as "
            "missing."},
    {"later", FIELD_FLAG, false, AT(doc_law_item, later),
     .doc = "`true`: the first report may go without it."},
};
static const doc_schema ITEM = {.name = "items",
                                .doc = "What a report has to contain.",
                                .struct_bytes = sizeof(doc_law_item),
                                TABLE(ITEM_FIELDS)};

const doc_field DOC_LAW_PACK_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_law_pack, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, false, AT(doc_law_pack, title), .sub = &TITLE, .doc = "What people read."},
    {"dated", FIELD_TEXT, true, AT(doc_law_pack, dated), .max = TITLE_MAX,
     .doc = "The day it was true on: `2026-11-01`. It stands on every report."},
    {"sources", FIELD_NAMES, false, AT(doc_law_pack, sources), .max = TEXT_MAX,
     .doc = "What it was made from."},
    {"levels", FIELD_MAPS, true, AT(doc_law_pack, levels), .sub = &LEVEL, .doc = "At most 8."},
    {"duties", FIELD_MAPS, false, AT(doc_law_pack, duties), .sub = &DUTY, .doc = "At most 24."},
    {"items", FIELD_MAPS, true, AT(doc_law_pack, items), .sub = &ITEM, .doc = "At most 40."},
    {"off", FIELD_FLAG, false, AT(doc_law_pack, off),
     .doc = "`true`: it is not used; so an office puts a built-in one out of use."},
};
_Static_assert(SP_COUNT(DOC_LAW_PACK_FIELDS) == DOC_LAW_PACK_FIELDS_COUNT, "all of them");

const doc_field DOC_OFFICER_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_officer, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, false, AT(doc_officer, title), .sub = &TITLE,
     .doc = "What people and authorities read. Default: the duty's own words."},
    {"duty", FIELD_WORD, true, AT(doc_officer, duty), .words = SP_OFFICER_WORDS,
     .doc = "What the office is responsible for by this person."},
    {"person", FIELD_SLUG, false, AT(doc_officer, person), .max = SP_NAME_MAX_BYTES,
     .doc = "Login name. Without it, or while the account is not active, the place is vacant."},
    {"deputies", FIELD_SLUGS, false, AT(doc_officer, deputies),
     .doc = "Who stands in, in this order; at most 8. A deputy does not fill the place."},
    {"contact", FIELD_TEXT, false, AT(doc_officer, contact), .max = TEXT_MAX,
     .doc = "How an authority reaches the person; it stands on reports."},
    {"basis", FIELD_TEXT, false, AT(doc_officer, basis), .max = TEXT_MAX,
     .doc = "Why there has to be one: your own number of the duty, an article."},
};
_Static_assert(SP_COUNT(DOC_OFFICER_FIELDS) == DOC_OFFICER_FIELDS_COUNT, "all of them");
