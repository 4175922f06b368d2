/* SPDX-License-Identifier: Apache-2.0
 * The tables of the schema for what the watch looks for: Detection and Canary.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md is printed from this file.
 */
#include "lib/base/mem.h"
#include "lib/detect/program.h"
#include "lib/policy/schema.h"

/* Words of sp_gate_word() and sp_severity_word(); a test holds them together. */
static const char *const GATES[] = {"none", "web", "ssh", "db", "net", "mail", NULL};
static const char *const SEVERITIES[] = {"info", "low", "medium", "high", "critical", NULL};

enum { WHY_MAX = 2000, PATTERN_MAX = 256 };
#define NUMBER_MAX ((uint64_t)1 << 50)
#define DAY_S ((uint64_t)24 * 3600)

#define AT(type, member) offsetof(type, member)
#define TABLE(rows) .fields = (rows), .fields_count = SP_COUNT(rows)

static const doc_field EVENTS_FIELDS[] = {
    {"kinds", FIELD_WORDS, false, AT(doc_events, kinds), .words = DOC_EVENT_WORDS,
     .doc = "Kinds of events."},
    {"gates", FIELD_WORDS, false, AT(doc_events, gates), .words = GATES,
     .doc = "Where they happened; `none`: in the office itself, the portal included."},
    {"verdicts", FIELD_WORDS, false, AT(doc_events, verdicts), .words = sp_verdict_words,
     .doc = "How they were decided. Only decisions, their ends and sign-ins have one."},
    {"reasons", FIELD_WORDS, false, AT(doc_events, reasons), .words = sp_reason_words,
     .doc = "Why."},
    {"actions", FIELD_WORDS, false, AT(doc_events, actions), .words = sp_action_words,
     .doc = "What was wanted."},
    {"severity", FIELD_WORDS, false, AT(doc_events, severity), .words = SEVERITIES,
     .doc = "How grave the gate thought it."},
    {"owner", FIELD_WORDS, false, AT(doc_events, owner), .words = sp_owner_words,
     .doc = "Whose device."},
    {"posture", FIELD_WORDS, false, AT(doc_events, posture), .words = sp_posture_words,
     .doc = "The device's state."},
    {"mfa", FIELD_WORDS, false, AT(doc_events, strength), .words = sp_strength_words,
     .doc = "How the person had proved himself."},
    {"classes", FIELD_SLUGS, false, AT(doc_events, classes), .doc = "Classes of the data."},
    {"resources", FIELD_SLUGS, false, AT(doc_events, resources), .doc = "Resources."},
    {"roles", FIELD_SLUGS, false, AT(doc_events, roles),
     .doc = "The person held one of these, or a role that includes one."},
    {"people", FIELD_SLUGS, false, AT(doc_events, people), .doc = "One of these people."},
    {"methods", FIELD_NAMES, false, AT(doc_events, methods), .max = SP_NAME_MAX_BYTES,
     .doc = "The event's own word: `GET`, `SELECT`, `totp`, `roles`."},
    {"objects", FIELD_NAMES, false, AT(doc_events, objects), .max = PATTERN_MAX,
     .doc = "Path, statement, command or name; `*` is any run of characters."},
    {"status", FIELD_NAMES, false, AT(doc_events, status), .max = 5,
     .doc = "The protocol's own answer: `\"502\"`; of web applications the status of HTTP."},
    {"contains", FIELD_NAMES, false, AT(doc_events, contains), .max = PATTERN_MAX,
     .doc = "All of these stand somewhere in the object or its detail, in whatever case."},
    {"networks", FIELD_NAMES, false, AT(doc_events, networks),
     .doc = "Client addresses: `203.0.113.0/24`, `2001:db8::/32`."},
    {"bytes", FIELD_SIZE, false, AT(doc_events, bytes), .min = 1, .max = NUMBER_MAX,
     .doc = "At least so much went out."},
    {"hours", FIELD_TEXT, false, AT(doc_events, hours), .max = 100,
     .doc = "`\"08:00-21:00 Asia/Shanghai\"`; without a zone, that of the office."},
    {"days", FIELD_WORDS, false, AT(doc_events, days), .words = DOC_DAY_WORDS,
     .doc = "Days on which the hours begin."},
    {"outside", FIELD_FLAG, false, AT(doc_events, outside), .doc = "`true`: not in these hours."},
    {"himself", FIELD_FLAG, false, AT(doc_events, himself),
     .doc = "`true`: done by a person to himself."},
    {"known", FIELD_FLAG, false, AT(doc_events, known),
     .doc = "`true`: by a person of the office."},
    {"elsewhere", FIELD_FLAG, false, AT(doc_events, elsewhere),
     .doc = "`true`, in a step of a sequence: at another gate than the step before."},
};
static const doc_schema EVENTS = {.name = "events",
                                  .doc = "Which events; what is written must all hold.",
                                  .struct_bytes = sizeof(doc_events),
                                  TABLE(EVENTS_FIELDS)};

#define WITHIN                                                                                     \
    {                                                                                              \
        "within", FIELD_DURATION, true, AT(doc_look, within),                                      \
            .min = 1, .max = 400 * DAY_S,                                                          \
            .doc = "In a while that long, looking back from each event."                           \
    }

static const doc_field COUNT_FIELDS[] = {
    {"at_least", FIELD_COUNT_NR, true, AT(doc_look, at_least), .min = 1, .max = NUMBER_MAX,
     .doc = "So many events."},
    WITHIN,
};
static const doc_schema COUNT = {
    .name = "count", .doc = "Many events.", .struct_bytes = sizeof(doc_look), TABLE(COUNT_FIELDS)};

static const doc_field SUM_FIELDS[] = {
    {"bytes", FIELD_SIZE, true, AT(doc_look, bytes), .min = 1, .max = NUMBER_MAX,
     .doc = "So much that went out to people."},
    WITHIN,
};
static const doc_schema SUM = {.name = "sum",
                               .doc = "Many bytes, over all of them.",
                               .struct_bytes = sizeof(doc_look),
                               TABLE(SUM_FIELDS)};

static const doc_field DISTINCT_FIELDS[] = {
    {"of", FIELD_WORD, true, AT(doc_look, of), .words = sp_detect_field_words,
     .doc = "What is told apart."},
    {"at_least", FIELD_COUNT_NR, true, AT(doc_look, at_least), .min = 2,
     .max = SP_DETECT_DISTINCT_MAX, .doc = "So many of them."},
    WITHIN,
};
static const doc_schema DISTINCT = {.name = "distinct",
                                    .doc = "Many different values.",
                                    .struct_bytes = sizeof(doc_look),
                                    TABLE(DISTINCT_FIELDS)};

static const doc_field SEQUENCE_FIELDS[] = {
    {"steps", FIELD_MAPS, true, AT(doc_look, steps), .sub = &EVENTS,
     .doc = "2 to 8 kinds of events, in this order; others may lie between. They stand for "
            "`over`."},
    WITHIN,
};
static const doc_schema SEQUENCE = {.name = "sequence",
                                    .doc = "One event after another.",
                                    .struct_bytes = sizeof(doc_look),
                                    TABLE(SEQUENCE_FIELDS)};

static const doc_field NOVEL_FIELDS[] = {
    {"of", FIELD_WORD, true, AT(doc_look, of), .words = sp_detect_field_words,
     .doc = "What is new about it. The last 32 values of each key are known."},
    {"learn", FIELD_DURATION, false, AT(doc_look, learn), .max = 400 * DAY_S,
     .doc = "Nothing is said of a key in its first while. Default `7d`."},
};
static const doc_schema NOVEL = {.name = "novel",
                                 .doc = "A value that the key never had.",
                                 .struct_bytes = sizeof(doc_look),
                                 TABLE(NOVEL_FIELDS)};

static const doc_field RATE_FIELDS[] = {
    {"times", FIELD_COUNT_NR, true, AT(doc_look, times), .min = 2, .max = 10000,
     .doc = "So many times the usual number of events: the mean of the key's own earlier whiles "
            "that had any, at least five."},
    {"at_least", FIELD_COUNT_NR, true, AT(doc_look, at_least), .min = 1, .max = NUMBER_MAX,
     .doc = "And so many events."},
    WITHIN,
    {"learn", FIELD_DURATION, false, AT(doc_look, learn), .max = 400 * DAY_S,
     .doc = "How far back the usual number reaches. Default `14d`."},
};
static const doc_schema RATE = {.name = "rate",
                                .doc = "Much more than usual. Whiles follow one another, they do "
                                       "not slide.",
                                .struct_bytes = sizeof(doc_look),
                                TABLE(RATE_FIELDS)};

static const doc_field TRAVEL_FIELDS[] = {
    {"km_h", FIELD_COUNT_NR, true, AT(doc_look, at_least), .min = 1, .max = 100000,
     .doc = "Faster than that from the place of one event to that of the next, and more than 100 "
            "km. Places come from the file `places:` of the bootstrap file."},
};
static const doc_schema TRAVEL = {.name = "travel",
                                  .doc = "Here and then there, too fast.",
                                  .struct_bytes = sizeof(doc_look),
                                  TABLE(TRAVEL_FIELDS)};

static const doc_field ABSENT_FIELDS[] = {
    {"for", FIELD_DURATION, true, AT(doc_look, within), .min = 1, .max = 400 * DAY_S,
     .doc = "None for so long. With `by`, of a key that there was one of."},
};
static const doc_schema ABSENT = {.name = "absent",
                                  .doc = "Events that stay away.",
                                  .struct_bytes = sizeof(doc_look),
                                  TABLE(ABSENT_FIELDS)};

static const doc_field CHANGES_FIELDS[] = {
    {"of", FIELD_WORD, true, AT(doc_look, of), .words = sp_detect_field_words,
     .doc =
         "What changes. Of addresses, IPv4 and IPv6 are looked at apart: many computers use both "
         "at once."},
    {"at_least", FIELD_COUNT_NR, true, AT(doc_look, at_least), .min = 1, .max = NUMBER_MAX,
     .doc = "So often."},
    WITHIN,
};
static const doc_schema CHANGES = {.name = "changes",
                                   .doc = "From one value to another and back, again and again.",
                                   .struct_bytes = sizeof(doc_look),
                                   TABLE(CHANGES_FIELDS)};

#define LOOK(key, schema, meaning)                                                                 \
    {                                                                                              \
#key, FIELD_MAP, false, AT(doc_detection, key), .sub = &(schema), .doc = meaning           \
    }

const doc_field DOC_DETECTION_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_detection, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, false, AT(doc_detection, title), .sub = &DOC_TITLE,
     .doc = "What people see."},
    {"why", FIELD_TEXT, false, AT(doc_detection, why), .max = WHY_MAX,
     .doc = "What it means, and what to look at first."},
    {"severity", FIELD_WORD, false, AT(doc_detection, severity), .words = SEVERITIES,
     .doc = "How grave its alarm is. Default `medium`."},
    {"over", FIELD_MAP, false, AT(doc_detection, over), .sub = &EVENTS,
     .doc = "Which events it looks at; needed but for a sequence."},
    {"by", FIELD_WORDS, false, AT(doc_detection, by), .words = sp_detect_field_words,
     .doc = "What is counted apart; an event without one of these is left out. Without it, all "
            "together."},
    LOOK(count, COUNT, "Many events."),
    LOOK(sum, SUM, "Many bytes."),
    LOOK(distinct, DISTINCT, "Many different values."),
    LOOK(sequence, SEQUENCE, "One event after another."),
    LOOK(novel, NOVEL, "Something never seen of it."),
    LOOK(rate, RATE, "Much more than usual."),
    LOOK(travel, TRAVEL, "Too fast from place to place."),
    LOOK(absent, ABSENT, "Events that stay away."),
    LOOK(changes, CHANGES, "A value that changes to and fro."),
    {"unless", FIELD_MAP, false, AT(doc_detection, unless), .sub = &EVENTS,
     .doc = "Events that are left out."},
    {"quiet", FIELD_DURATION, false, AT(doc_detection, quiet), .max = 400 * DAY_S,
     .doc = "After an alarm nothing more is said of the same key for so long. Default `1h`."},
    {"keys", FIELD_COUNT_NR, false, AT(doc_detection, keys), .min = 1, .max = SP_DETECT_KEYS_MAX,
     .doc = "So many keys are remembered at most; then the one that was still for longest is "
            "forgotten, and that is told. Default 10000."},
    {"plan", FIELD_SLUG, false, AT(doc_detection, plan), .max = SP_NAME_MAX_BYTES,
     .doc = "The plan that its alarm suggests."},
    {"off", FIELD_FLAG, false, AT(doc_detection, off),
     .doc = "`true`: it does not run; so one that comes with the program is turned off."},
};
_Static_assert(SP_COUNT(DOC_DETECTION_FIELDS) == DOC_DETECTION_FIELDS_COUNT, "all of them");

static const doc_field ROW_FIELDS[] = {
    {"resource", FIELD_SLUG, true, AT(doc_bait, resource), .max = SP_NAME_MAX_BYTES,
     .doc = "The database."},
    {"table", FIELD_TEXT, true, AT(doc_bait, table), .max = PATTERN_MAX,
     .doc = "The table, `public.customers`: a statement that names it."},
    {"key", FIELD_TEXT, false, AT(doc_bait, key), .max = PATTERN_MAX,
     .doc = "A value of the row that the statement names as well. Without it, the whole table is "
            "bait. What a statement takes without naming it is not seen."},
};
static const doc_schema ROW = {.name = "rows",
                               .doc = "Rows of databases.",
                               .struct_bytes = sizeof(doc_bait),
                               TABLE(ROW_FIELDS)};

static const doc_field PATH_FIELDS[] = {
    {"resource", FIELD_SLUG, true, AT(doc_bait, resource), .max = SP_NAME_MAX_BYTES,
     .doc = "The host, or the application."},
    {"path", FIELD_TEXT, true, AT(doc_bait, path), .max = PATTERN_MAX,
     .doc = "The path; `*` is any run of characters."},
};
static const doc_schema FILE_BAIT = {.name = "files",
                                     .doc = "Files of hosts, by sftp, scp, rsync or in a command.",
                                     .struct_bytes = sizeof(doc_bait),
                                     TABLE(PATH_FIELDS)};
static const doc_schema URL_BAIT = {.name = "urls",
                                    .doc = "Paths of applications.",
                                    .struct_bytes = sizeof(doc_bait),
                                    TABLE(PATH_FIELDS)};

const doc_field DOC_CANARY_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_canary, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name, of which there is no Detection."},
    {"title", FIELD_MAP, false, AT(doc_canary, title), .sub = &DOC_TITLE,
     .doc = "What people see."},
    {"why", FIELD_TEXT, false, AT(doc_canary, why), .max = WHY_MAX, .doc = "Its purpose."},
    {"severity", FIELD_WORD, false, AT(doc_canary, severity), .words = SEVERITIES,
     .doc = "How grave its alarm is. Default `critical`."},
    {"rows", FIELD_MAPS, false, AT(doc_canary, rows), .sub = &ROW, .doc = "Rows of databases."},
    {"files", FIELD_MAPS, false, AT(doc_canary, files), .sub = &FILE_BAIT,
     .doc = "Files of hosts."},
    {"urls", FIELD_MAPS, false, AT(doc_canary, urls), .sub = &URL_BAIT,
     .doc = "Paths of applications."},
    {"unless", FIELD_MAP, false, AT(doc_canary, unless), .sub = &EVENTS,
     .doc = "Events that are left out: the people who back it up."},
    {"quiet", FIELD_DURATION, false, AT(doc_canary, quiet), .max = 400 * DAY_S,
     .doc = "After an alarm nothing more is said of the same person for so long. Default `10m`."},
    {"plan", FIELD_SLUG, false, AT(doc_canary, plan), .max = SP_NAME_MAX_BYTES,
     .doc = "The plan that its alarm suggests."},
};
_Static_assert(SP_COUNT(DOC_CANARY_FIELDS) == DOC_CANARY_FIELDS_COUNT, "all of them");
