/* SPDX-License-Identifier: Apache-2.0
 * The tables of the schema: every key of every document, what it takes and what it means.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md is printed from this file.
 */
#include "lib/base/mem.h"
#include "lib/policy/schema.h"

/* Words of sp_event_kind_word(); lib/proto stands on lib/policy, so a test holds them together. */
const char *const DOC_EVENT_WORDS[] = {
    "decision",  "close", "sign-in",  "sign-out", "session-end", "identity",  "device", "policy",
    "admin",     "role",  "loss",     "gap",      "heartbeat",   "redaction", "read",   "approval",
    "recording", "alarm", "incident", "plan",     "notice",      NULL};
const char *const DOC_DAY_WORDS[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL};
static const char *const OPERATORS[] = {"company", "platform", "mixed", NULL};
static const char *const PERS[] = {"answer", "day", NULL};
static const char *const IDENTITIES[] = {"none", "jwt", NULL};

enum { TEXT_MAX = 2000 };
#define NUMBER_MAX ((uint64_t)1 << 50)
#define DAY_S ((uint64_t)24 * 3600)
#define YEAR_S ((uint64_t)366 * 24 * 3600)

#define AT(type, member) offsetof(type, member)
#define TABLE(rows) .fields = (rows), .fields_count = SP_COUNT(rows)

static const doc_field TITLE_FIELDS[] = {
    {"en", FIELD_TEXT, false, AT(doc_title, en), .max = 200, .doc = "In English."},
    {"zh", FIELD_TEXT, false, AT(doc_title, zh), .max = 200, .doc = "In Chinese."},
};
const doc_schema DOC_TITLE = {.name = "title",
                              .doc = "What people see. One text alone is the English one.",
                              .struct_bytes = sizeof(doc_title),
                              .scalar_at = 1,
                              TABLE(TITLE_FIELDS)};
#define TITLE_FIELD(type)                                                                          \
    {                                                                                              \
        "title", FIELD_MAP, false, AT(type, title), .sub = &DOC_TITLE, .doc = "What people see."   \
    }

static const doc_field WHO_FIELDS[] = {
    {"roles", FIELD_SLUGS, false, AT(doc_who, roles),
     .doc = "People who hold any of these roles, or a role that includes one of them."},
    {"people", FIELD_SLUGS, false, AT(doc_who, people),
     .doc = "These people, whatever their "
            "roles."},
    {"any", FIELD_FLAG, false, AT(doc_who, any), .doc = "`true`: everybody who is signed in."},
};
const doc_schema DOC_WHO = {.name = "who",
                            .doc = "Whom it is about: one of the roles or one of the people.",
                            .struct_bytes = sizeof(doc_who),
                            TABLE(WHO_FIELDS)};

static const doc_field ON_FIELDS[] = {
    {"owner", FIELD_WORDS, false, AT(doc_on, owner), .words = sp_owner_words,
     .doc = "Who owns the device. `unknown` is a browser without a certificate of this office."},
    {"posture", FIELD_WORDS, false, AT(doc_on, posture), .words = sp_posture_words,
     .doc = "The state of the device as its agent last reported it."},
};
const doc_schema DOC_ON = {.name = "on",
                           .doc = "Which devices. What is not said may be any.",
                           .struct_bytes = sizeof(doc_on),
                           TABLE(ON_FIELDS)};

static const doc_field TO_FIELDS[] = {
    {"resources", FIELD_SLUGS, false, AT(doc_to, resources), .doc = "Only these resources."},
    {"classes", FIELD_SLUGS, false, AT(doc_to, classes), .doc = "Only data of these classes."},
    {"tags", FIELD_SLUGS, false, AT(doc_to, tags), .doc = "Only data with one of these tags."},
    {"any", FIELD_FLAG, false, AT(doc_to, any), .doc = "`true`: everything."},
};
static const doc_schema TO = {.name = "to",
                              .doc = "What it is about; what is written must all hold.",
                              .struct_bytes = sizeof(doc_to),
                              TABLE(TO_FIELDS)};

static const doc_field ASK_FIELDS[] = {
    {"approved_by", FIELD_COUNT_NR, true, AT(doc_approval, approved_by), .min = 1, .max = 9,
     .doc = "How many other people have to approve the exact bytes first."},
    {"by", FIELD_MAP, false, AT(doc_approval, by), .sub = &DOC_WHO,
     .doc = "Who may approve; never the person who asks. Without it: whoever holds a role that "
            "the rule itself names, or a security administrator when it names none."},
    {"on", FIELD_MAP, false, AT(doc_approval, on), .sub = &DOC_ON,
     .doc = "On which devices they approve. Without it: those that the rule itself names."},
    {"expires", FIELD_DURATION, false, AT(doc_approval, expires), .min = 60, .max = DAY_S,
     .doc = "How long it waits for them, and how long an approval may then be used. Default "
            "`30m`."},
};
static const doc_schema ASK = {.name = "ask",
                               .doc = "Who has to agree before it happens.",
                               .struct_bytes = sizeof(doc_approval),
                               .scalar_at = 0,
                               TABLE(ASK_FIELDS)};

static const doc_field LIMIT_FIELDS[] = {
    {"bytes", FIELD_SIZE, false, AT(doc_limit, bytes), .min = 1, .max = NUMBER_MAX,
     .doc = "At most so much in one answer."},
    {"rows", FIELD_COUNT_NR, false, AT(doc_limit, rows), .min = 1, .max = NUMBER_MAX,
     .doc = "At most so many rows in one answer, and, without `bytes` here, 1 KiB for each of "
            "them together, 64 KiB at least. Only databases."},
    {"per", FIELD_WORD, false, AT(doc_limit, per), .words = PERS,
     .doc = "`day`: not in one answer but over all sessions of a person in one day of the office. "
            "Default `answer`. Databases, and bytes at hosts."},
};
static const doc_schema LIMIT = {.name = "limit",
                                 .doc = "How much of it.",
                                 .struct_bytes = sizeof(doc_limit),
                                 TABLE(LIMIT_FIELDS)};

static const doc_field WITH_FIELDS[] = {
    {"mask", FIELD_SLUGS, false, AT(doc_with, mask),
     .doc = "Data with these tags is masked, as the parts of the database say "
            "([Masks](DATABASE.md#masks)). Only databases: see Duties."},
    {"record", FIELD_FLAG, false, AT(doc_with, record),
     .doc = "`true`: it must be on the ledger before it happens; refused when that cannot be."},
    {"watch", FIELD_FLAG, false, AT(doc_with, watch),
     .doc = "`true`: a shell of SSH, and a command that might start one, runs only while somebody "
            "of the team watches. Other gates: nothing."},
    {"limit", FIELD_MAP, false, AT(doc_with, limit), .sub = &LIMIT, .doc = "How much of it."},
};
static const doc_schema WITH = {.name = "with",
                                .doc = "Duties that come with the grant. When several rules "
                                       "grant the same, their duties add up.",
                                .struct_bytes = sizeof(doc_with),
                                TABLE(WITH_FIELDS)};

static const doc_field WHEN_FIELDS[] = {
    {"mfa", FIELD_WORD, false, AT(doc_when, mfa), .words = sp_strength_words,
     .doc = "The least proof of who it is; stronger ones do as well."},
    {"hours", FIELD_TEXT, false, AT(doc_when, hours), .max = 100,
     .doc = "`\"08:00-21:00 Asia/Shanghai\"`; without a zone, that of the office. A window that "
            "ends before it begins runs into the next day."},
    {"days", FIELD_WORDS, false, AT(doc_when, days), .words = DOC_DAY_WORDS,
     .doc = "Days on which the hours begin."},
    {"networks", FIELD_NAMES, false, AT(doc_when, networks),
     .doc = "Client addresses: `203.0.113.0/24`, `2001:db8::/32`."},
    {"auth_age", FIELD_DURATION, false, AT(doc_when, auth_age), .min = 1, .max = YEAR_S,
     .doc = "The person must have proved himself within this time: `15m`."},
};
static const doc_schema WHEN = {.name = "when",
                                .doc = "Conditions; what is written must all hold.",
                                .struct_bytes = sizeof(doc_when),
                                TABLE(WHEN_FIELDS)};

static const doc_field UNLESS_FIELDS[] = {
    {"approved_by", FIELD_COUNT_NR, false, AT(doc_unless, approved_by), .min = 1, .max = 9,
     .doc = "So many other people approved the exact bytes."},
    {"owner", FIELD_WORDS, false, AT(doc_unless, owner), .words = sp_owner_words,
     .doc = "The device belongs to one of these."},
    {"posture", FIELD_WORDS, false, AT(doc_unless, posture), .words = sp_posture_words,
     .doc = "The device is in one of these states."},
    {"mfa", FIELD_WORD, false, AT(doc_unless, mfa), .words = sp_strength_words,
     .doc = "The person signed in at least this strongly."},
};
static const doc_schema UNLESS = {.name = "unless",
                                  .doc = "The exception; what is written must all hold.",
                                  .struct_bytes = sizeof(doc_unless),
                                  TABLE(UNLESS_FIELDS)};

#define NAME_FIELD(kind_type, kind_of_name, text)                                                  \
    {                                                                                              \
        "name", kind_of_name, true, AT(kind_type, head.name), .max = SP_NAME_MAX_BYTES,            \
                                                              .doc = (text)                        \
    }

static const doc_field SESSION_FIELDS[] = {
    {"idle", FIELD_DURATION, false, AT(doc_session, idle), .min = 60, .max = YEAR_S,
     .doc = "Ends when it was not used for so long; requests, statements and what is typed are "
            "use. Default `4h`."},
    {"max", FIELD_DURATION, false, AT(doc_session, max), .min = 60, .max = YEAR_S,
     .doc = "Ends after so long at the latest. Default `12h`."},
};
static const doc_schema SESSION = {
    .name = "session",
    .doc = "How long a sign-in lasts, of whatever kind; a change counts for "
           "those that are there too.",
    .struct_bytes = sizeof(doc_session),
    TABLE(SESSION_FIELDS)};

static const doc_field OFFICE_FIELDS[] = {
    NAME_FIELD(doc_office, FIELD_NAME, "The office's name."),
    TITLE_FIELD(doc_office),
    {"time_zone", FIELD_TEXT, false, AT(doc_office, time_zone), .max = 64,
     .doc = "Zone of hours that name none, as in the tz database: `Asia/Shanghai`. Without it: "
            "UTC."},
    {"contact", FIELD_TEXT, false, AT(doc_office, contact), .max = 200,
     .doc = "Whom a refused person may ask; shown on refusal pages."},
    {"session", FIELD_MAP, false, AT(doc_office, session), .sub = &SESSION,
     .doc = "How long a sign-in lasts, of whatever kind; a change counts for "
            "those that are there too."},
};

static const doc_field CLASS_FIELDS[] = {
    NAME_FIELD(doc_class, FIELD_SLUG, "The class's name."),
    TITLE_FIELD(doc_class),
    {"above", FIELD_SLUG, false, AT(doc_class, above), .max = SP_NAME_MAX_BYTES,
     .doc = "The class directly below this one. Exactly one class has none: the lowest."},
    {"record", FIELD_FLAG, false, AT(doc_class, record),
     .doc = "`true`: whatever is allowed on this class must be on the ledger before it happens."},
};

static const doc_field REQUEST_FIELDS[] = {
    {"who", FIELD_MAP, true, AT(doc_request, who), .sub = &DOC_WHO,
     .doc = "Who may ask for the role."},
    {"ask", FIELD_MAP, true, AT(doc_request, ask), .sub = &ASK,
     .doc = "Who has to agree. Without `by`: whoever holds the role, or a security "
            "administrator."},
    {"longest", FIELD_DURATION, false, AT(doc_request, longest), .min = 60, .max = 30 * DAY_S,
     .doc = "The longest time it is given for. Default `8h`; sealed `1h`."},
    {"ticket", FIELD_FLAG, false, AT(doc_request, ticket),
     .doc = "`true`: the number of a ticket must be given. Default `false`."},
    {"sealed", FIELD_FLAG, false, AT(doc_request, sealed),
     .doc = "`true`: for emergencies only: no administrator grants it, no role includes it. At "
            "least two people open it, every security "
            "administrator is alarmed, whatever the role's rules grant is recorded before it "
            "happens and watched, and a closing note is due. Default `false`."},
};
static const doc_schema REQUEST = {.name = "request",
                                   .doc = "How somebody comes to hold the role for a while.",
                                   .struct_bytes = sizeof(doc_request),
                                   TABLE(REQUEST_FIELDS)};

static const doc_field ROLE_FIELDS[] = {
    NAME_FIELD(doc_role, FIELD_SLUG, "The role's name."),
    TITLE_FIELD(doc_role),
    {"includes", FIELD_SLUGS, false, AT(doc_role, includes),
     .doc = "Who holds this role counts as holding these too."},
    {"excludes", FIELD_SLUGS, false, AT(doc_role, excludes),
     .doc = "Nobody may hold this role together with one of these (or with a role that includes "
            "one). It holds in both directions. Documents that say so while somebody holds both "
            "are refused."},
    {"request", FIELD_MAP, false, AT(doc_role, request), .sub = &REQUEST,
     .doc = "How somebody comes to hold it for a while. Without it, nobody can ask for it."},
};

static const doc_field ACTION_FIELDS[] = {
    {"method", FIELD_TEXT, false, AT(doc_action, method), .max = 32,
     .doc = "`GET`, `POST`, ...; without it, every method."},
    {"path", FIELD_TEXT, false, AT(doc_action, path), .max = 1024,
     .doc = "This path and all below it; `*` stands for one segment. Without it: the path of the "
            "part, or everything."},
    {"action", FIELD_WORD, true, AT(doc_action, action), .words = sp_action_words,
     .doc = "What such a request is."},
};
static const doc_schema ACTION = {
    .name = "actions",
    .doc = "What requests are. The most specific path decides, then the method. Without an entry: "
           "GET HEAD OPTIONS PROPFIND REPORT SEARCH read; POST PUT PATCH MKCOL COPY PROPPATCH LOCK "
           "UNLOCK write; MOVE alter; DELETE destroy; any other method administer.",
    .struct_bytes = sizeof(doc_action),
    TABLE(ACTION_FIELDS)};

static const doc_field EXPORT_FIELDS[] = {
    {"attachment", FIELD_FLAG, false, AT(doc_transfer, disposition),
     .doc = "An answer with Content-Disposition other than inline is an export. Default `true`."},
    {"types", FIELD_NAMES, false, AT(doc_transfer, types),
     .count_offset = AT(doc_transfer, has_types),
     .doc = "Media types that are exports, in place of the default (archives, office files, PDF, "
            "CSV, SQL, octet-stream). `image/*` stands for all images."},
    {"over", FIELD_SIZE, false, AT(doc_transfer, over), .max = NUMBER_MAX,
     .doc = "Answers over this size are exports. Default `8 MiB`."},
    {"by_size", FIELD_FLAG, false, AT(doc_transfer, by_size),
     .doc = "`false`: no answer is an export by its size alone. Default `true`."},
};
static const doc_schema EXPORT = {.name = "export",
                                  .doc = "When an answer counts as `export` rather than `read`.",
                                  .struct_bytes = sizeof(doc_transfer),
                                  TABLE(EXPORT_FIELDS)};

static const doc_field IMPORT_FIELDS[] = {
    {"multipart", FIELD_FLAG, false, AT(doc_transfer, disposition),
     .doc = "A multipart form, and a PUT that is not JSON or a form, is an import. Default "
            "`true`."},
    {"types", FIELD_NAMES, false, AT(doc_transfer, types),
     .count_offset = AT(doc_transfer, has_types),
     .doc = "Media types that are imports, in place of the default."},
    {"over", FIELD_SIZE, false, AT(doc_transfer, over), .max = NUMBER_MAX,
     .doc = "Requests over this size, or of untold size, are imports. Default `8 MiB`."},
    {"by_size", FIELD_FLAG, false, AT(doc_transfer, by_size),
     .doc = "`false`: no request is an import by its size alone. Default `true`."},
};
static const doc_schema IMPORT = {.name = "import",
                                  .doc = "When a request counts as `import` besides its action.",
                                  .struct_bytes = sizeof(doc_transfer),
                                  TABLE(IMPORT_FIELDS)};

static const doc_field PART_FIELDS[] = {
    {"path", FIELD_TEXT, true, AT(doc_part, path), .max = 1024,
     .doc = "This path and all below it; `*` stands for one segment. The most specific wins."},
    {"name", FIELD_SLUG, false, AT(doc_part, name), .max = SP_NAME_MAX_BYTES,
     .doc = "A name for lists and examples."},
    {"class", FIELD_SLUG, false, AT(doc_part, class_name), .max = SP_NAME_MAX_BYTES,
     .doc = "Class of this part; without it, that of the resource."},
    {"tags", FIELD_SLUGS, false, AT(doc_part, tags),
     .doc = "Tags of this part, besides those of the resource."},
    {"actions", FIELD_MAPS, false, AT(doc_part, actions), .sub = &ACTION,
     .doc = "What requests to this part are."},
    {"export", FIELD_MAP, false, AT(doc_part, exports), .sub = &EXPORT,
     .doc = "As for the resource, for this part only."},
    {"import", FIELD_MAP, false, AT(doc_part, imports), .sub = &IMPORT,
     .doc = "As for the resource, for this part only."},
};
static const doc_schema PART = {.name = "parts",
                                .doc = "Parts of the resource that differ in class, tags or "
                                       "actions.",
                                .struct_bytes = sizeof(doc_part),
                                TABLE(PART_FIELDS)};

static const doc_field WEB_FIELDS[] = {
    {"host", FIELD_SLUG, true, AT(doc_web, host), .max = 63,
     .doc = "First label of its name: `wiki` is served as `wiki.<domain>`. a-z, 0-9 and '-' "
            "inside it alone."},
    {"upstream", FIELD_TEXT, true, AT(doc_web, upstream), .max = 256,
     .doc = "Where the application listens: `http://127.0.0.1:9001`, `https://wiki.internal`."},
    {"identity", FIELD_WORD, false, AT(doc_web, identity), .words = IDENTITIES,
     .doc = "`jwt`: the application gets a signed token that says who it is. Default `none`."},
    {"websocket", FIELD_FLAG, false, AT(doc_web, websocket),
     .doc =
         "`true`: upgrades to WebSocket are let through, for who may `write` there. What passes "
         "inside is not looked at: neither `export` nor `import` holds for it. Default `false`."},
    {"ignore_case", FIELD_FLAG, false, AT(doc_web, ignore_case),
     .doc = "`true`: the application does not tell `/Admin` from `/admin`. Default `false`."},
    {"upload_max", FIELD_SIZE, false, AT(doc_web, upload_max), .min = 1, .max = NUMBER_MAX,
     .doc = "Largest request body. Default: no limit."},
    {"actions", FIELD_MAPS, false, AT(doc_web, actions), .sub = &ACTION,
     .doc = "What requests are, where the method alone does not tell."},
    {"parts", FIELD_MAPS, false, AT(doc_web, parts), .sub = &PART,
     .doc = "Paths that differ in class, tags or actions."},
};
static const doc_schema WEB = {.name = "web",
                               .doc = "How the web gate serves it.",
                               .struct_bytes = sizeof(doc_web),
                               TABLE(WEB_FIELDS)};

static const doc_field RESOURCE_FIELDS[] = {
    NAME_FIELD(doc_resource, FIELD_SLUG, "The resource's name."),
    TITLE_FIELD(doc_resource),
    {"operator", FIELD_WORD, true, AT(doc_resource, operator_kind), .words = OPERATORS,
     .doc = "Who runs it: our `company`, a `platform` outside, or both (`mixed`). It decides which "
            "duties are ours, so a resource without it cannot be published."},
    {"class", FIELD_SLUG, true, AT(doc_resource, class_name), .max = SP_NAME_MAX_BYTES,
     .doc = "Class of its data, where a part says nothing else."},
    {"tags", FIELD_SLUGS, false, AT(doc_resource, tags), .doc = "Tags of its data."},
    {"owner", FIELD_TEXT, false, AT(doc_resource, owner), .max = 200,
     .doc = "Who in the company answers for it."},
    {"web", FIELD_MAP, false, AT(doc_resource, web), .sub = &WEB,
     .doc = "How the web gate serves it."},
    {"postgres", FIELD_MAP, false, AT(doc_resource, postgres), .sub = &DOC_POSTGRES,
     .doc = "How the database gate reaches it."},
    {"ssh", FIELD_MAP, false, AT(doc_resource, ssh), .sub = &DOC_SSH,
     .doc = "How the SSH gate reaches it."},
    {"export", FIELD_MAP, false, AT(doc_resource, exports), .sub = &EXPORT,
     .doc = "When an answer counts as `export`."},
    {"import", FIELD_MAP, false, AT(doc_resource, imports), .sub = &IMPORT,
     .doc = "When a request counts as `import`."},
};

static const doc_field RULE_FIELDS[] = {
    NAME_FIELD(doc_rule, FIELD_NAME, "A sentence that people see when the rule decides."),
    {"why", FIELD_TEXT, false, AT(doc_rule, why), .max = TEXT_MAX, .doc = "Its purpose."},
    {"who", FIELD_MAP, true, AT(doc_rule, who), .sub = &DOC_WHO, .doc = "Whom it is about."},
    {"on", FIELD_MAP, false, AT(doc_rule, on), .sub = &DOC_ON, .doc = "On which devices."},
    {"to", FIELD_MAP, true, AT(doc_rule, to), .sub = &TO, .doc = "What it is about."},
    {"may", FIELD_WORDS, false, AT(doc_rule, may), .words = sp_action_words,
     .doc = "Actions it grants. Each rule has `may` or `deny`."},
    {"deny", FIELD_WORDS, false, AT(doc_rule, deny), .words = sp_action_words,
     .doc = "Actions it refuses, whatever other rules grant."},
    {"ask", FIELD_MAP, false, AT(doc_rule, ask), .sub = &ASK,
     .doc = "The grant needs the approval of other people."},
    {"with", FIELD_MAP, false, AT(doc_rule, with), .sub = &WITH,
     .doc = "Duties that come with the grant."},
    {"when", FIELD_MAP, false, AT(doc_rule, when), .sub = &WHEN,
     .doc = "Conditions. A rule with `deny` takes only hours, days and networks."},
};

static const doc_field NEVER_FIELDS[] = {
    NAME_FIELD(doc_never, FIELD_NAME, "A sentence that says what must not be possible."),
    {"why", FIELD_TEXT, false, AT(doc_never, why), .max = TEXT_MAX, .doc = "Its purpose."},
    {"actions", FIELD_WORDS, true, AT(doc_never, actions), .words = sp_action_words,
     .doc = "Which actions."},
    {"classes", FIELD_SLUGS, false, AT(doc_never, classes), .doc = "On data of these classes."},
    {"tags", FIELD_SLUGS, false, AT(doc_never, tags), .doc = "On data with one of these tags."},
    {"resources", FIELD_SLUGS, false, AT(doc_never, resources), .doc = "On these resources."},
    {"who", FIELD_MAP, false, AT(doc_never, who), .sub = &DOC_WHO,
     .doc = "By these people; without it, by anybody."},
    {"on", FIELD_MAP, false, AT(doc_never, on), .sub = &DOC_ON,
     .doc = "From these devices; without it, from any."},
    {"unless", FIELD_MAP, false, AT(doc_never, unless), .sub = &UNLESS,
     .doc = "The exception; without it, there is none."},
};

static const doc_field DEVICE_FIELDS[] = {
    {"owner", FIELD_WORD, false, AT(doc_device, owner), .words = sp_owner_words,
     .doc = "Who owns it. Default `unknown`."},
    {"posture", FIELD_WORD, false, AT(doc_device, posture), .words = sp_posture_words,
     .doc = "Its state. Default: `healthy` on a known device, else `unknown`."},
};
static const doc_schema DEVICE = {.name = "device",
                                  .doc = "The device in use.",
                                  .struct_bytes = sizeof(doc_device),
                                  TABLE(DEVICE_FIELDS)};

static const doc_field GIVEN_FIELDS[] = {
    {"person", FIELD_SLUG, false, AT(doc_given, person), .max = SP_NAME_MAX_BYTES,
     .doc = "Somebody by name; he need not exist. Without it, somebody with the roles."},
    {"roles", FIELD_SLUGS, false, AT(doc_given, roles), .doc = "Roles held."},
    {"device", FIELD_MAP, false, AT(doc_given, device), .sub = &DEVICE, .doc = "The device."},
    {"resource", FIELD_SLUG, false, AT(doc_given, resource), .max = SP_NAME_MAX_BYTES,
     .doc = "The resource; or `class` and `tags` for data that is in none in particular."},
    {"part", FIELD_TEXT, false, AT(doc_given, part), .max = 1024,
     .doc = "A part of it, by its name, by a path (of the web, or of the host where there is no "
            "web), or by a relation or column of its database (`public.customers.phone`)."},
    {"class", FIELD_SLUG, false, AT(doc_given, class_name), .max = SP_NAME_MAX_BYTES,
     .doc = "Class of the data; with a resource it must be the class that it has."},
    {"tags", FIELD_SLUGS, false, AT(doc_given, tags), .doc = "Tags of the data."},
    {"mfa", FIELD_WORD, false, AT(doc_given, mfa), .words = sp_strength_words,
     .doc = "How strongly the person signed in. Default `passkey`."},
    {"auth_age", FIELD_DURATION, false, AT(doc_given, auth_age), .max = YEAR_S,
     .doc = "How long ago. Default: just now."},
    {"approved_by", FIELD_COUNT_NR, false, AT(doc_given, approved_by), .max = 9,
     .doc = "How many other people approved. Default 0."},
    {"at", FIELD_TEXT, false, AT(doc_given, at), .max = 40,
     .doc = "The moment: `2026-02-23T18:56:00+08:00`. Without it, hours of grants count as met "
            "and hours of denies as not met."},
    {"network", FIELD_TEXT, false, AT(doc_given, network), .max = 64,
     .doc = "The client's address. Without it, networks count as hours do."},
};
static const doc_schema GIVEN = {.name = "given",
                                 .doc = "The situation.",
                                 .struct_bytes = sizeof(doc_given),
                                 TABLE(GIVEN_FIELDS)};

static const doc_field EXAMPLE_FIELDS[] = {
    NAME_FIELD(doc_example, FIELD_NAME, "What it shows."),
    {"given", FIELD_MAP, true, AT(doc_example, given), .sub = &GIVEN, .doc = "The situation."},
    {"try", FIELD_TEXT, true, AT(doc_example, tried), .max = TEXT_MAX,
     .doc = "An action (`export`), a request (`GET /admin/users`), a statement of a database "
            "(`DROP TABLE orders`), or a command of a host, behind a `$` (`$ systemctl stop web`; "
            "`$` alone is a shell)."},
    {"expect", FIELD_WORD, true, AT(doc_example, expect), .words = sp_verdict_words,
     .doc = "What the policy must answer; anything else and the documents are refused."},
    {"rule", FIELD_NAME, false, AT(doc_example, rule), .max = SP_NAME_MAX_BYTES,
     .doc = "The rule or never that must decide."},
    {"reason", FIELD_WORD, false, AT(doc_example, reason), .words = sp_reason_words,
     .doc = "The reason that must be given."},
};

static const doc_field RETENTION_FIELDS[] = {
    NAME_FIELD(doc_retention, FIELD_NAME, "What is kept and why."),
    {"events", FIELD_WORDS, false, AT(doc_retention, events), .words = DOC_EVENT_WORDS,
     .doc = "Kinds of ledger entries, `decision`, `sign-in`, ...; without it, all."},
    {"classes", FIELD_SLUGS, false, AT(doc_retention, classes),
     .doc = "Entries about data of these classes; without it, all."},
    {"keep", FIELD_DURATION, true, AT(doc_retention, keep),
     .min = (uint64_t)SP_RETENTION_FLOOR_DAYS * 86400, .max = 100 * YEAR_S,
     .doc = "How long they are kept: at least `183d`, the legal floor. The longest that fits "
            "counts."},
};

static const doc_field RECERTIFICATION_FIELDS[] = {
    NAME_FIELD(doc_recertification, FIELD_NAME, "What is looked at and why."),
    {"roles", FIELD_SLUGS, true, AT(doc_recertification, roles),
     .doc = "Roles whose standing grants are looked at."},
    {"by", FIELD_MAP, true, AT(doc_recertification, by), .sub = &DOC_WHO,
     .doc = "Who looks; never the holder himself."},
    {"every", FIELD_DURATION, true, AT(doc_recertification, every), .min = DAY_S, .max = 3 * YEAR_S,
     .doc = "How long a grant stands before somebody has to say that it is still needed. A grant "
            "that nobody looked at ends by itself."},
    {"warn", FIELD_DURATION, false, AT(doc_recertification, warn), .min = 3600, .max = YEAR_S,
     .doc = "How long before its end holder and reviewers are told. Default `14d`."},
};

const doc_schema DOC_SCHEMAS[SP_DOC_COUNT] = {
    [SP_DOC_OFFICE] = {"Office", "The office itself; at most one.", sizeof(doc_office), 0,
                       TABLE(OFFICE_FIELDS),
                       .sample = "kind: Office\nname: Lantern Trading\ntime_zone: Asia/Shanghai\n"
                                 "session: { idle: 30m, max: 12h }\n"},
    [SP_DOC_CLASS] = {"Class",
                      "A grade of data. Without any Class document there are `public`, `internal`, "
                      "`sensitive` and `core`, in this order; with one, exactly those written, at "
                      "most 16.",
                      sizeof(doc_class), 0, TABLE(CLASS_FIELDS),
                      .sample = "kind: Class\nname: core\nabove: sensitive\nrecord: true\n"},
    [SP_DOC_ROLE] = {"Role",
                     "A role that people may be granted. `system-admin`, `security-admin` and "
                     "`audit-admin` exist without a document and exclude one another.",
                     sizeof(doc_role), 0, TABLE(ROLE_FIELDS),
                     .sample = "kind: Role\nname: dba\ntitle: { en: Database administrator, zh: "
                               "数据库管理员 }\nincludes: [staff]\nexcludes: [audit-admin]\n"
                               "request: { who: { roles: [staff] }, ask: { approved_by: 1, by: { "
                               "roles: [dba] } }, longest: 4h, ticket: true }\n"},
    [SP_DOC_RESOURCE] =
        {"Resource", "Something that people reach through the gate.", sizeof(doc_resource), 0,
         TABLE(RESOURCE_FIELDS),
         .sample = "kind: Resource\nname: wiki\ntitle: { en: Wiki, zh: 维基 }\n"
                   "operator: company\nclass: internal\nowner: engineering\nweb:\n"
                   "  host: wiki\n  upstream: http://127.0.0.1:9001\n"
                   "  identity: jwt\n  parts:\n"
                   "    - { path: /hr, class: sensitive, tags: [personal-info] }\n---\n"
                   "kind: Resource\nname: orders-db\noperator: company\nclass: core\n"
                   "owner: data\npostgres:\n  address: db.internal:5432\n"
                   "  databases: [orders]\n  accounts:\n"
                   "    - { roles: [dba], on: { owner: company }, as: op_dba }\n"
                   "    - { roles: [dba, analyst], as: op_read }\n  parts:\n"
                   "    - table: public.customers\n      class: sensitive\n"
                   "      tags: [personal-info]\n      columns:\n"
                   "        - { name: phone, mask: mobile }\n"
                   "        - { name: id_number, mask: mainland-id }\n"
                   "    - { schema: audit, class: core }\n---\n"
                   "kind: Resource\nname: orders-host\noperator: company\n"
                   "class: core\nowner: operations\nssh:\n"
                   "  address: 10.0.0.7:22\n  host_keys:\n"
                   "    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAgICAgICAgICAgICAgICAgICAg"
                   "ICAgICAgICAgICAg\n"
                   "  accounts:\n    - { roles: [dba], as: ops }\n  shell: false\n"
                   "  commands:\n    - name: restart a service\n"
                   "      argv: [systemctl, restart, \"{unit:word}\"]\n"
                   "    - name: last lines of a log\n      action: read\n"
                   "      argv: [tail, \"-n{lines:int}\", \"{file:path}\"]\n"
                   "  parts:\n"
                   "    - { path: /srv/backup, class: core, tags: [backup] }\n"},
    [SP_DOC_RULE] = {"Rule",
                     "Grants actions, or refuses them. What no rule grants is refused; what a rule "
                     "refuses stays refused.",
                     sizeof(doc_rule), 0, TABLE(RULE_FIELDS),
                     .sample = "kind: Rule\nname: engineers work on company laptops\n"
                               "who:  { roles: [engineer] }\n"
                               "on:   { owner: company, posture: healthy }\n"
                               "to:   { classes: [public, internal, sensitive] }\n"
                               "may:  [connect, read, write, execute]\n"
                               "with: { record: true }\n"
                               "when: { mfa: passkey, hours: \"08:00-21:00 Asia/Shanghai\" }\n"},
    [SP_DOC_NEVER] = {"Never",
                      "What must not be possible. Documents whose rules break one are refused with "
                      "a counter-example; at run time it refuses as well.",
                      sizeof(doc_never), 0, TABLE(NEVER_FIELDS),
                      .sample = "kind: Never\nname: no one person destroys core data\n"
                                "actions: [destroy, alter, administer]\nclasses: [core]\n"
                                "unless: { approved_by: 2 }\n"},
    [SP_DOC_EXAMPLE] = {"Example", "A test of the policy; run whenever documents are applied.",
                        sizeof(doc_example), 0, TABLE(EXAMPLE_FIELDS),
                        .sample = "kind: Example\nname: nobody takes files home\n"
                                  "given: { roles: [staff], device: { owner: personal }, resource: "
                                  "wiki }\ntry: export\nexpect: deny\n"},
    [SP_DOC_RETENTION] = {"Retention", "How long entries of the ledger are kept.",
                          sizeof(doc_retention), 0, TABLE(RETENTION_FIELDS),
                          .sample = "kind: Retention\nname: sign-ins for two years\n"
                                    "events: [sign-in]\nkeep: 730d\n"},
    [SP_DOC_RECERTIFICATION] = {"Recertification",
                                "Standing grants of roles that somebody has to confirm again and "
                                "again.",
                                sizeof(doc_recertification), 0, TABLE(RECERTIFICATION_FIELDS),
                                .sample = "kind: Recertification\nname: database administrators "
                                          "each quarter\nroles: [dba]\nby: { roles: "
                                          "[security-admin] }\nevery: 90d\nwarn: 14d\n"},
    [SP_DOC_BUDGET] = {"Budget",
                       "How much one person may do in a while, over all sessions. It holds for "
                       "statements of databases.",
                       sizeof(doc_budget), 0, .fields = DOC_BUDGET_FIELDS,
                       .fields_count = DOC_BUDGET_FIELDS_COUNT,
                       .sample = "kind: Budget\nname: nobody destroys fast\nwho: { any: true }\n"
                                 "actions: [destroy]\nper: 10m\nstatements: 5\nrows: 100000\n"
                                 "then: lock\n"},
    [SP_DOC_DETECTION] = {"Detection",
                          "What the watch looks for in the stream of events, and how grave it is. "
                          "Exactly one of `count`, `sum`, `distinct`, `sequence`, `novel`, `rate`, "
                          "`travel`, `absent`. Those that come with the program are replaced by "
                          "one of the same name.",
                          sizeof(doc_detection), 0, .fields = DOC_DETECTION_FIELDS,
                          .fields_count = DOC_DETECTION_FIELDS_COUNT,
                          .sample = "kind: Detection\nname: many-refusals\n"
                                    "title: { en: Refused again and again, zh: 屡次被拒绝 }\n"
                                    "severity: medium\nover: { kinds: decision, verdicts: deny }\n"
                                    "by: person\ncount: { at_least: 30, within: 10m }\n"},
    [SP_DOC_CANARY] = {"Canary",
                       "Rows, files and addresses that nobody has a reason to touch: whoever does "
                       "is an alarm at once.",
                       sizeof(doc_canary), 0, .fields = DOC_CANARY_FIELDS,
                       .fields_count = DOC_CANARY_FIELDS_COUNT,
                       .sample = "kind: Canary\nname: bait-in-orders\n"
                                 "rows: [{ resource: orders-db, table: public.customers, "
                                 "key: CN-4711 }]\n"
                                 "files: [{ resource: orders-host, path: /srv/backup/keys* }]\n"
                                 "urls: [{ resource: wiki, path: /hr/salaries* }]\n"},
    [SP_DOC_NOTICE] =
        {"Notice",
         "What people are told, in English and Chinese. A variable's value stays text, "
         "whatever stands in it.",
         sizeof(doc_notice), 0, .fields = DOC_NOTICE_FIELDS,
         .fields_count = DOC_NOTICE_FIELDS_COUNT,
         .sample = "kind: Notice\nname: outage\ntitle: { en: \"{{service}} is down\", zh: "
                   "\"{{service}} 无法使用\" }\nbody:\n  en: |\n    {{service}} cannot be reached "
                   "since {{when}}.\n\n    We expect it back by {{expected}}.\n  zh: |\n    "
                   "{{service}} 自 {{when}} 起无法访问。\n\n    预计于 {{expected}} 恢复。\n"
                   "variables:\n  - { name: service, kind: name, sample: Wiki }\n"
                   "  - { name: expected, sample: noon }\n"
                   "severity: medium\naudience: staff\nbanner: true\n"
                   "acknowledge: { within: 15m, then: staff }\n"},
    [SP_DOC_AUDIENCE] = {"Audience", "Who is told.", sizeof(doc_audience), 0,
                         .fields = DOC_AUDIENCE_FIELDS, .fields_count = DOC_AUDIENCE_FIELDS_COUNT,
                         .sample = "kind: Audience\nname: staff\nwho: { any: true }\nminus: { "
                                   "people: [probe] }\npost: [office-chat]\n"},
    [SP_DOC_CHANNEL] =
        {"Channel", "A way on which notices leave the office.", sizeof(doc_channel), 0,
         .fields = DOC_CHANNEL_FIELDS, .fields_count = DOC_CHANNEL_FIELDS_COUNT,
         .sample = "kind: Channel\nname: mail\nvia: email\naddress: smtp.internal:587\n"
                   "user: gate\nfrom: Sallyport <gate@office.example>\n---\nkind: Channel\n"
                   "name: office-chat\nvia: dingtalk\nlanguage: zh\n"},
    [SP_DOC_PLAN] = {"Plan",
                     "What is done when something happens. It is checked as a whole: a step that "
                     "could never begin, or a name that nobody has, is refused.",
                     sizeof(doc_plan), 0, .fields = DOC_PLAN_FIELDS,
                     .fields_count = DOC_PLAN_FIELDS_COUNT,
                     .sample = "kind: Plan\nname: close-core\n"
                               "title: { en: Core data is closed, zh: 关闭核心数据 }\n"
                               "trigger: { severity: critical }\nmode: confirm\nsteps:\n"
                               "  - { name: incident, do: open_incident }\n"
                               "  - { name: close, do: deny, with: { kind: class, name: core, for: "
                               "2h } }\n"
                               "  - { name: lead, do: assign, with: { role: commander } }\n"},
    [SP_DOC_ROTA] = {"Rota", "Who leads an incident, in order; the first who can is it.",
                     sizeof(doc_rota), 0, .fields = DOC_ROTA_FIELDS,
                     .fields_count = DOC_ROTA_FIELDS_COUNT,
                     .sample = "kind: Rota\nname: on-call\ncommander: [sam, lee]\nscribe: [lee, "
                               "sam]\nliaison: [olga]\n"},
    [SP_DOC_SINK] =
        {"Sink",
         "Another system that gets every event of the ledger, in order and without a gap. What it "
         "does not take waits on the ledger's disk; no gate waits for it.",
         sizeof(doc_sink), 0, .fields = DOC_SINK_FIELDS, .fields_count = DOC_SINK_FIELDS_COUNT,
         .sample = "kind: Sink\nname: log-host\nvia: syslog\naddress: logs.internal:6514\n"
                   "ca: /etc/sallyport/logs-ca.pem\n---\nkind: Sink\nname: siem\nvia: http\n"
                   "address: https://siem.internal/ocsf\ntoken: true\n"},
    [SP_DOC_LAW_PACK] =
        {"LawPack",
         "What the law says of incidents: levels with their thresholds, duties with their times, "
         "and "
         "what a report has to contain. Dated; one comes with the program (packaging/law/), an "
         "office's of the same name takes its place. A condition that nobody has told the facts of "
         "is open, never \"no\".",
         sizeof(doc_law_pack), 0, .fields = DOC_LAW_PACK_FIELDS,
         .fields_count = DOC_LAW_PACK_FIELDS_COUNT,
         .sample = "kind: LawPack\nname: small\ndated: 2026-11-01\nlevels:\n"
                   "  - { name: serious, title: { en: Serious, zh: 较大 }, any: [{ fact: persons, "
                   "at_least: 1000000 }, { fact: judgement }] }\n"
                   "duties:\n  - { name: authority, title: { en: The authority, zh: 主管部门 }, "
                   "from: serious, within: 4h }\n"
                   "items:\n  - { name: what, title: { en: What happened, zh: 事件概况 }, of: "
                   "incident }\n"},
    [SP_DOC_OFFICER] =
        {"Officer",
         "Who is responsible for what the law wants somebody to be responsible for. A place that "
         "nobody with an active account holds is an alarm.",
         sizeof(doc_officer), 0, .fields = DOC_OFFICER_FIELDS,
         .fields_count = DOC_OFFICER_FIELDS_COUNT,
         .sample = "kind: Officer\nname: security-leader\nduty: security_leader\n"
                   "person: lee\ndeputies: [sam]\ncontact: +86 10 5555 0101\n"},
};
