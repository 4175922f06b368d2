/* SPDX-License-Identifier: Apache-2.0
 * Lists of documents as JSON, and the reference in Markdown: both straight from the schema.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema. SPEC lib/policy/compile.h.
 */
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

static void put_role_number(const sp_policy_set *set, sp_span name, sp_buf *out)
{
    uint32_t at = 0;
    if (name_get(&set->role_names, name, &at)) {
        sp_buf_fmt(out, ",\"number\":%u", set->roles[at].number);
    }
}

static void put_class_level(const sp_policy_set *set, sp_span name, sp_buf *out)
{
    uint32_t at = 0;
    if (name_get(&set->class_names, name, &at)) {
        sp_buf_fmt(out, ",\"level\":%u", at);
    }
}

/* Classes and roles that stand without a document are listed too. */
static void put_undocumented(const sp_policy_set *set, sp_doc_kind kind, bool first, sp_buf *out)
{
    for (size_t i = 0; kind == SP_DOC_CLASS && i < set->class_count; i++) {
        if (set->classes[i].doc == NULL) {
            sp_buf_text(out, first ? "{\"name\":" : ",{\"name\":");
            sp_buf_json(out, set->classes[i].name);
            sp_buf_fmt(out, ",\"level\":%zu}", i);
            first = false;
        }
    }
    for (size_t i = 0; kind == SP_DOC_ROLE && i < set->role_count; i++) {
        if (set->roles[i].doc == NULL) {
            sp_buf_text(out, first ? "{\"name\":" : ",{\"name\":");
            sp_buf_json(out, set->roles[i].name);
            sp_buf_fmt(out, ",\"number\":%u}", set->roles[i].number);
            first = false;
        }
    }
}

void sp_policy_json_list(const sp_policy_set *set, sp_doc_kind kind, sp_buf *out)
{
    const doc_schema *schema = &DOC_SCHEMAS[kind];
    const doc_maps *maps = &set->docs.kinds[kind];
    size_t grants = 0;
    const snap_rule *rules = snap_at(&set->view, SNAP_RULES);
    for (uint32_t i = 0; i < snap_count(&set->view, SNAP_RULES); i++) {
        grants += rules[i].deny == 0 ? 1 : 0;
    }
    sp_buf_byte(out, '[');
    for (size_t i = 0; i < maps->count; i++) {
        const doc_head *head = doc_at(maps, schema->struct_bytes, i);
        sp_buf_text(out, i == 0 ? "{\"file\":" : ",{\"file\":");
        sp_buf_json(out, sp_span_cstr(head->place.file));
        sp_buf_fmt(out, ",\"line\":%u", head->place.line);
        doc_fields_json(schema, head, false, out);
        if (kind == SP_DOC_ROLE) {
            put_role_number(set, head->name.text, out);
        } else if (kind == SP_DOC_CLASS) {
            put_class_level(set, head->name.text, out);
        } else if (kind == SP_DOC_NEVER) {
            sp_buf_fmt(out, ",\"proof\":{\"rules\":%zu,\"cells\":%llu}", grants,
                       (unsigned long long)set->figures.cells);
        }
        sp_buf_byte(out, '}');
    }
    put_undocumented(set, kind, maps->count == 0, out);
    sp_buf_text(out, "]");
}

/* ---- the reference ---- */

enum { DEPTH_MAX = 4 };

static void put_fields(const doc_schema *schema, const char *prefix, int depth, sp_buf *out)
{
    for (size_t i = 0; i < schema->fields_count; i++) {
        const doc_field *field = &schema->fields[i];
        auto_buf sp_buf path = sp_buf_make(200);
        sp_buf_fmt(&path, "%s%s", prefix, field->key);
        sp_buf_text(out, "| `");
        sp_buf_span(out, sp_buf_borrow(&path));
        sp_buf_text(out, field->required ? "` **needed** | " : "` | ");
        if (field->type == FIELD_MAP || field->type == FIELD_MAPS) {
            sp_buf_text(out, field->type == FIELD_MAP ? "a mapping, below" : "a list, below");
        } else {
            doc_field_expects(field, out);
        }
        sp_buf_fmt(out, " | %s |\n", field->doc);
        if (field->sub != NULL && depth < DEPTH_MAX) {
            char *below = NULL;
            sp_buf_text(&path, field->type == FIELD_MAP ? "." : "[].");
            if (!sp_failed(sp_buf_take_cstr(&path, &below))) {
                put_fields(field->sub, below, depth + 1, out);
            }
            sp_free(below);
        }
    }
}

static const char INTRO[] =
    "# Policy reference\n\n"
    "Printed by `sallyport policy reference`; a test keeps it current. The story is told in\n"
    "[ARCHITECTURE.md](ARCHITECTURE.md), \"Policy\".\n\n"
    "An office is a folder of YAML files. Each document (`---` between them) has a `kind:` and "
    "the\n"
    "keys below; anything else is an error with its file, line and column. Anchors, aliases and\n"
    "tags of YAML are not taken. A set is applied whole or not at all.\n\n"
    "## How a question is decided\n\n"
    "A question is: who, from which device, wants which action on which data, when and from "
    "where.\n\n"
    "1. A rule with `deny` that matches ends it: refused.\n"
    "2. A rule with `may` that matches, with all its conditions met, grants it. When several do,\n"
    "   their duties (`with`) add up and the smallest limit counts.\n"
    "3. When rules match that `ask`, the one with the fewest approvals counts.\n"
    "4. What would be granted is held against every `Never`; one that matches refuses it.\n"
    "5. What is granted with a duty that the gate of this resource cannot do is refused.\n"
    "6. What no rule grants is refused, and the answer says what the nearest rule was missing.\n\n"
    "What is open (a download, a WebSocket, a shell, a forwarded port) is decided again when\n"
    "anything changes, and by itself: each second at the web gate, each ten at the SSH gate, each\n"
    "statement at the database gate. So it ends soon after its hours do, or when the sign-in has\n"
    "become older than `auth_age`.\n\n"
    "## Duties\n\n"
    "What the gates can do of `with`. What one cannot do it refuses (`duty`), so that nothing\n"
    "leaves in clear or uncounted; a rule that names such a resource is an error, one that meets\n"
    "it by class or tag a warning.\n\n"
    "| | database | host (SSH) | application (web) |\n|---|---|---|---|\n"
    "| `mask` ([Masks](DATABASE.md#masks)) | yes | no, when the data has one of the tags | no, "
    "likewise |\n"
    "| `record` | yes | yes | yes |\n"
    "| `watch` | nothing | shells, and commands that might start one | nothing |\n"
    "| `limit.bytes` | yes | yes | yes |\n"
    "| `limit.rows` | yes | no | no |\n"
    "| `per: day` | yes | bytes | no |\n\n"
    "Nobody can be asked at an application either: what a rule grants by `ask` is refused "
    "there.\n\n"
    "## Proof\n\n"
    "Applying documents proves every `Never` against every rule over the whole space of role x\n"
    "device owner x posture x strength x class x tags x action x approvals. A person may hold any\n"
    "roles together that do not exclude each other. Hours and networks count as met by whoever\n"
    "wants to get in: a grant with hours is a grant, a deny with hours is none. A rule that names\n"
    "no resource is judged for every resource there may come to be, with any tags. A hole is told\n"
    "with the rule, the never and one case that shows it; the documents are then refused. When "
    "the\n"
    "proof would take more than a billion steps, the documents are refused as well.\n\n"
    "## Limits\n\n";

static void put_limits(sp_buf *out)
{
    sp_buf_fmt(out,
               "| what | at most |\n|---|---|\n| documents, all files | %d MiB in %d files |\n"
               "| rules | %d |\n| nevers | %d |\n| resources | %d |\n| parts of resources | %d |\n"
               "| roles | %d |\n| classes | %d |\n| tags | %d |\n| a name | %d bytes |\n"
               "| the compiled policy | %d MiB |\n\n",
               SP_POLICY_SET_MAX_BYTES >> 20, SP_POLICY_FILES_MAX, SP_POLICY_RULES_MAX,
               SP_POLICY_NEVERS_MAX, SP_POLICY_RESOURCES_MAX, SP_POLICY_PARTS_MAX, SP_ROLES_MAX,
               SP_CLASSES_MAX, SP_TAGS_MAX, SP_NAME_MAX_BYTES, SP_POLICY_SNAPSHOT_MAX_BYTES >> 20);
}

void sp_policy_reference(sp_buf *out)
{
    sp_buf_text(out, INTRO);
    put_limits(out);
    sp_buf_text(out,
                "## Warnings\n\nThey do not stop anything: a rule that can never match, or "
                "that adds nothing to another\n(compared up to 4,472 rules), a tag that no "
                "resource has, a duty that the gate of a resource\ncannot do, a listed "
                "command of a host that may do more than is meant, others who agree\nto "
                "destruction at a database without `keep_as`, an account that one before it "
                "leaves nobody. Nevers at odds with each\nother are errors.\n\n## Documents\n");
    for (size_t i = 0; i < SP_DOC_COUNT; i++) {
        const doc_schema *schema = &DOC_SCHEMAS[i];
        sp_buf_fmt(out,
                   "\n### %s\n\n%s\n\n```yaml\n%s```\n\n| key | takes | means |\n|---|---|---|\n",
                   schema->name, schema->doc, schema->sample);
        put_fields(schema, "", 0, out);
    }
    sp_buf_text(out, "\n## Web\n\n");
    sp_buf_text(out,
                "A request becomes an action on a part. The part is the one with the most specific "
                "path; the\naction is that of the most specific entry in `actions`, else that of "
                "the method (GET HEAD OPTIONS\nPROPFIND REPORT SEARCH read; POST PUT PATCH MKCOL "
                "COPY PROPPATCH LOCK UNLOCK write; MOVE alter;\nDELETE destroy; any other "
                "administer). Paths are compared decoded and normalised. An answer that\nis an "
                "export needs `export` besides, a request that is an import `import`.\n");
    sp_buf_text(out, "\n## Databases\n\n");
    sp_buf_text(
        out, "A statement becomes actions on relations: it is asked about each relation it uses, "
             "with the\ngravest of the actions, and the gravest answer holds for all of it. A "
             "table has the class and tags of\nits gravest column, so whoever may not read a "
             "column of class `core` may not read the table either;\nrules that mask its tags "
             "let the table be read without it. What could meet any relation of a database\nor "
             "schema (`DROP DATABASE`, `DROP SCHEMA`) is asked about each part that may lie "
             "there. Of several\nentries the one for a table comes before the one for a schema, "
             "a name before `*`, and one with\n`database` before one without. Tags given to a "
             "table that lists `columns` are carried by those columns\nonly.\n");
    sp_buf_text(out, "\n## SSH\n\n");
    sp_buf_text(
        out, "A session is `connect`. A shell, and a command that nothing lists, is `execute` on "
             "everything of the host: the\ngravest answer of the resource and all its parts "
             "holds, because a shell reaches all of them. A command that fits\none of "
             "`commands` is that entry's action, on the resource as a whole, or with a `path` "
             "in it on all its parts as well (a link\nmay lead to any). It has no terminal and no "
             "input but what its entry says. It fits word by word; a command with\nanything that a "
             "shell would act on (`$ ` ; | & < > * ? ~ { } "
             "\\`, a variable set in front) fits none. The servers\nthat scp, rsync and git start "
             "are recognised exactly: into the host is `import`, out of it `export`, on the "
             "path\nthey name and all parts below it; what comes so may write over any file and "
             "over what is run there, so it\nis `destroy` and `execute` as well, and rsync that "
             "removes what it took is `destroy`; one that is not exactly such a server\nis "
             "refused. Without a terminal a shell or a command that nothing lists is sent nothing "
             "by who may not `import`\neverything there, and prints 64 KiB at most to who may not "
             "`export` it. In SFTP, reading a file is "
             "`export`, writing one `import`, looking around `read`, renaming, links,\nfolders "
             "and attributes `write`, removing and emptying `destroy`. A path is in the part "
             "with the most specific\npath, after the host has resolved it. Forwarding is "
             "`forward`, to the targets of `forward` only; the other way\nround, X11 and agents "
             "are never forwarded.\n");
}
