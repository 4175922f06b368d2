/* SPDX-License-Identifier: Apache-2.0
 * Databases with their accounts, functions and parts, and budgets, into records of the snapshot.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema; hosts and names are checked
 * here, because a gate connects and compares by them. SPEC docs/POLICY.md.
 */
#include "lib/policy/database.h"
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

#include <stdlib.h>

enum {
    POSTGRES_PORT = 5432,
    COLUMNS_MAX = 2000,
    LOOPBACK_V4 = 127,
    EXPORT_OVER_ROWS = 10000,
    EXPORT_OVER_BYTES = 16 << 20,
    EXPORT_ROW_BYTES = 1024,
    EXPORT_LEAST_BYTES = 64 << 10
};

typedef struct {
    compiling *c;
    const doc_resource *doc;
    uint32_t index;
    const char *file;
    snap_resource *resource;
} resolving;

static void wrong(const resolving *r, const doc_text *at, const char *fault)
{
    set_wrong(r->c, r->file, at, fault);
}

/* ---- where it is ---- */

static bool is_loopback(sp_span host)
{
    uint8_t address[16];
    bool v4 = false;
    static const uint8_t V6_LOOPBACK[16] = {[15] = 1};
    if (sp_span_eq(host, SP_SPAN_LIT("localhost"))) {
        return true;
    }
    if (sp_failed(sp_address_parse(host, address, &v4))) {
        return false;
    }
    return v4 ? address[12] == LOOPBACK_V4
              : sp_span_eq(sp_span_of(address, 16), sp_span_of(V6_LOOPBACK, 16));
}

static sp_err put_address(const resolving *r, snap_database *out)
{
    const doc_postgres *doc = &r->doc->postgres;
    sp_span host = SP_SPAN_EMPTY;
    out->port = POSTGRES_PORT;
    if (sp_failed(set_host_and_port(doc->address.text, &host, &out->port))) {
        wrong(r, &doc->address,
              "an address is a host and a port if need be, as in db.internal:5432");
        return sp_ok();
    }
    if (out->tls == SP_DATABASE_TLS_LOOPBACK && !is_loopback(host)) {
        wrong(r, &doc->address,
              "tls: loopback sends everything in clear, so it is for loopback addresses only");
    }
    return set_text(r->c->set, host, &out->host);
}

static sp_err put_names(const resolving *r, const doc_texts *names, sp_span otherwise,
                        snap_run *ret_run)
{
    vec *section = &r->c->set->sections[SNAP_TYPES];
    *ret_run = (snap_run){(uint32_t)section->count, names->count == 0 ? 1 : (uint32_t)names->count};
    for (uint32_t i = 0; i < ret_run->count; i++) {
        snap_text text = {0};
        snap_text *room = NULL;
        TRY(set_text(r->c->set, names->count == 0 ? otherwise : names->items[i].text, &text));
        TRY(vec_add(section, 1, &room));
        *room = text;
        for (uint32_t k = 0; k < i; k++) {
            if (sp_span_eq(names->items[k].text, names->items[i].text)) {
                wrong(r, &names->items[i], "stands there twice");
            }
        }
    }
    return sp_ok();
}

/* ---- functions ---- */

typedef struct {
    sp_span schema;
    sp_span name;
} qualified;

/* "schema.name", at the first dot. */
static bool split_name(const resolving *r, const doc_text *text, qualified *ret)
{
    size_t dot = sp_span_index(text->text, '.');
    *ret = (qualified){sp_span_slice(text->text, 0, dot),
                       sp_span_slice(text->text, dot + 1, text->text.len)};
    bool ok = ret->schema.len > 0 && ret->name.len > 0 && ret->schema.len <= SP_NAME_MAX_BYTES &&
              ret->name.len <= SP_NAME_MAX_BYTES;
    if (!ok) {
        wrong(r, text, "a schema, a dot and a name are expected, as in public.customers");
    }
    return ok;
}

static sp_err put_functions(const resolving *r, snap_run *ret_run)
{
    sp_policy_set *set = r->c->set;
    vec *section = &set->sections[SNAP_FUNCTIONS];
    const doc_maps *maps = &r->doc->postgres.functions;
    const doc_function *docs = maps->items;
    ret_run->at = (uint32_t)section->count;
    for (size_t i = 0; i < maps->count; i++) {
        qualified name;
        snap_function f = {.action = docs[i].action == 0 ? 0 : docs[i].action - 1U};
        snap_function *room = NULL;
        if (!split_name(r, &docs[i].name, &name)) {
            continue;
        }
        TRY(set_text(set, name.schema, &f.schema));
        TRY(set_text(set, name.name, &f.name));
        TRY(vec_add(section, 1, &room));
        *room = f;
    }
    ret_run->count = (uint32_t)section->count - ret_run->at;
    return sp_ok();
}

/* ---- parts ---- */

typedef struct {
    sp_span database; /* each empty: any */
    sp_span schema;
    sp_span relation;
    uint64_t tags; /* own ones, without those of the resource */
    uint8_t class_level;
    uint8_t mask;
} relation_told;

static sp_span any_or(sp_span text)
{
    return sp_span_eq(text, SP_SPAN_LIT("*")) ? SP_SPAN_EMPTY : text;
}

static bool tell_relation(const resolving *r, const doc_relation *doc, relation_told *ret)
{
    if ((doc->table.line != 0) == (doc->schema.line != 0)) {
        set_error(r->c, &doc->place, "a part of a database names either a table or a schema");
        return false;
    }
    qualified name = {doc->schema.text, SP_SPAN_EMPTY};
    if (doc->table.line != 0 && !split_name(r, &doc->table, &name)) {
        return false;
    }
    ret->schema = any_or(name.schema);
    ret->relation = any_or(name.name);
    ret->database = doc->database.text;
    ret->mask = doc->mask == 0 ? SP_MASK_FULL : (uint8_t)(doc->mask - 1);
    ret->class_level = set_class_or(r->c, r->file, &doc->class_name, r->resource->class_level);
    if (ret->relation.len == 0 && doc->columns.count > 0) {
        set_error(r->c, &doc->place, "columns are those of one table: name it");
        return false;
    }
    return true;
}

/* "orders:public.customers.phone", "public.customers", "audit.*" */
static sp_err put_label(sp_policy_set *set, const relation_told *told, sp_span column,
                        snap_text *ret_text)
{
    auto_buf sp_buf label = sp_buf_make(4 * SP_NAME_MAX_BYTES + 8);
    sp_span any = SP_SPAN_LIT("*");
    sp_buf_span(&label, told->database);
    sp_buf_text(&label, told->database.len > 0 ? ":" : "");
    sp_buf_span(&label, told->schema.len > 0 ? told->schema : any);
    sp_buf_byte(&label, '.');
    sp_buf_span(&label, told->relation.len > 0 ? told->relation : any);
    sp_buf_text(&label, column.len > 0 ? "." : "");
    sp_buf_span(&label, column);
    TRY(sp_buf_error(&label));
    sp_span kept = SP_SPAN_EMPTY; /* the table of texts points to what it is given */
    TRY(sp_arena_copy(&set->arena, sp_buf_borrow(&label), &kept));
    return set_text(set, kept, ret_text);
}

static sp_err put_part(const resolving *r, const relation_told *told, sp_span column,
                       uint8_t class_level, uint64_t tags, uint32_t *ret_part)
{
    sp_policy_set *set = r->c->set;
    vec *parts = &set->sections[SNAP_PARTS];
    if (parts->count >= SP_POLICY_PARTS_MAX) {
        set_error(r->c, &r->doc->postgres.place, "more parts in all than the limit of %d",
                  SP_POLICY_PARTS_MAX);
        return sp_fail(SP_EINVALID);
    }
    snap_part part = {.tags = tags | r->resource->tags,
                      .resource = r->index,
                      .export_rule = r->resource->export_rule,
                      .import_rule = r->resource->import_rule,
                      .class_level = class_level};
    snap_part *room = NULL;
    TRY(put_label(set, told, column, &part.path));
    part.name = part.path;
    set->tags_in_use |= part.tags;
    *ret_part = (uint32_t)parts->count;
    TRY(vec_add(parts, 1, &room));
    *room = part;
    return sp_ok();
}

static void check_column(const resolving *r, const doc_relation *doc, size_t at, uint64_t tags)
{
    const doc_column *columns = doc->columns.items;
    for (size_t k = 0; k < at; k++) {
        if (sp_span_eq(columns[k].name.text, columns[at].name.text)) {
            wrong(r, &columns[at].name, "this column stands there twice");
        }
    }
    if (columns[at].mask != 0 && (tags | r->resource->tags) == 0) {
        wrong(r, &columns[at].name,
              "a mask without a tag is never used, because rules mask by tags: give the column or "
              "its table tags");
    }
}

/* Columns become parts before their table, which counts as the gravest of them. */
static sp_err put_columns(const resolving *r, const doc_relation *doc, const relation_told *told,
                          snap_relation *out, uint8_t *class_level, uint64_t *tags)
{
    sp_policy_set *set = r->c->set;
    const doc_column *docs = doc->columns.items;
    out->columns.at = (uint32_t)set->sections[SNAP_COLUMNS].count;
    if (doc->columns.count > COLUMNS_MAX) {
        set_error(r->c, &doc->place, "more columns than a table of PostgreSQL can have");
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < doc->columns.count; i++) {
        const doc_column *column = &docs[i];
        uint64_t own = 0;
        uint8_t level = set_class_or(r->c, r->file, &column->class_name, told->class_level);
        TRY(set_tag_bits(r->c, r->file, &column->tags, &own));
        own = column->tags.count == 0 ? told->tags : own;
        check_column(r, doc, i, own);
        snap_column c = {.mask = column->mask == 0 ? told->mask : (uint8_t)(column->mask - 1)};
        snap_column *room = NULL;
        TRY(set_text(set, column->name.text, &c.name));
        TRY(put_part(r, told, column->name.text, level, own, &c.part));
        TRY(vec_add(&set->sections[SNAP_COLUMNS], 1, &room));
        *room = c;
        *class_level = level > *class_level ? level : *class_level;
        *tags |= own;
    }
    out->columns.count = (uint32_t)set->sections[SNAP_COLUMNS].count - out->columns.at;
    return sp_ok();
}

static sp_err put_relation(const resolving *r, const doc_relation *doc)
{
    sp_policy_set *set = r->c->set;
    relation_told told = {0};
    snap_relation out = {0};
    snap_relation *room = NULL;
    if (!tell_relation(r, doc, &told)) {
        return sp_ok();
    }
    TRY(set_tag_bits(r->c, r->file, &doc->tags, &told.tags));
    if (doc->mask != 0 && doc->columns.count == 0 && (told.tags | r->resource->tags) == 0) {
        set_error(r->c, &doc->place, "a mask without a tag is never used: give the table tags");
    }
    bool opens_kept = sp_span_starts(told.schema, SP_SPAN_LIT(SP_DATABASE_KEPT));
    if (opens_kept && (told.tags | r->resource->tags) == 0) {
        sp_diags_add(r->c->diags, SP_DIAG_WARNING, r->file, doc->place.line, doc->place.column,
                     "rows that were kept have no tags of the tables that they were of: without "
                     "tags here, what was masked is shown in clear");
    }
    uint8_t class_level = told.class_level;
    uint64_t tags = told.tags;
    TRY(put_columns(r, doc, &told, &out, &class_level, &tags));
    out.class_level = told.class_level;
    out.mask = told.mask;
    out.unlisted_tags = r->resource->tags | (doc->columns.count == 0 ? told.tags : 0);
    TRY(set_text(set, told.database, &out.database));
    TRY(set_text(set, told.schema, &out.schema));
    TRY(set_text(set, told.relation, &out.relation));
    TRY(put_part(r, &told, SP_SPAN_EMPTY, class_level, tags, &out.part));
    TRY(vec_add(&set->sections[SNAP_RELATIONS], 1, &room));
    *room = out;
    return sp_ok();
}

static int compare_texts(const sp_policy_set *set, snap_text a, snap_text b)
{
    const uint8_t *bytes = set->sections[SNAP_TEXT].items;
    if ((a.len == 0) != (b.len == 0)) {
        return a.len == 0 ? 1 : -1; /* any comes last */
    }
    return a.len == 0
               ? 0
               : sp_span_compare(sp_span_of(bytes + a.at, a.len), sp_span_of(bytes + b.at, b.len));
}

/* The three in the order of their weight; which of them are named first, then how. */
static int compare_relations(const void *a, const void *b, void *set)
{
    const snap_relation *one = a;
    const snap_relation *other = b;
    const snap_text ours[] = {one->relation, one->schema, one->database};
    const snap_text theirs[] = {other->relation, other->schema, other->database};
    for (size_t i = 0; i < SP_COUNT(ours); i++) {
        if ((ours[i].len == 0) != (theirs[i].len == 0)) {
            return ours[i].len == 0 ? 1 : -1;
        }
    }
    int order = 0;
    for (size_t i = 0; i < SP_COUNT(ours) && order == 0; i++) {
        order = compare_texts(set, ours[i], theirs[i]);
    }
    return order;
}

static void check_same(const resolving *r, snap_run run)
{
    sp_policy_set *set = r->c->set;
    const snap_relation *all = (const snap_relation *)set->sections[SNAP_RELATIONS].items + run.at;
    const snap_part *parts = set->sections[SNAP_PARTS].items;
    for (uint32_t i = 1; i < run.count; i++) {
        if (compare_relations(&all[i - 1], &all[i], set) == 0) {
            snap_text label = parts[all[i].part].path;
            set_error(r->c, &r->doc->postgres.place, "two parts for '%.*s'", (int)label.len,
                      (const char *)set->sections[SNAP_TEXT].items + label.at);
        }
    }
}

static sp_err put_relations(const resolving *r, snap_run *ret_run)
{
    sp_policy_set *set = r->c->set;
    vec *section = &set->sections[SNAP_RELATIONS];
    const doc_maps *maps = &r->doc->postgres.parts;
    const doc_relation *docs = maps->items;
    ret_run->at = (uint32_t)section->count;
    for (size_t i = 0; i < maps->count; i++) {
        TRY(put_relation(r, &docs[i]));
    }
    ret_run->count = (uint32_t)section->count - ret_run->at;
    if (ret_run->count > 1) {
        qsort_r((snap_relation *)section->items + ret_run->at, ret_run->count,
                sizeof(snap_relation), compare_relations, set);
        check_same(r, *ret_run);
    }
    return sp_ok();
}

/* ---- the whole ---- */

static void check_places(const resolving *r)
{
    const doc_postgres *doc = &r->doc->postgres;
    if (doc->ca.line != 0 && doc->ca.text.ptr[0] != '/') {
        wrong(r, &doc->ca, "an absolute path is expected");
    }
    if (doc->keep_as.line != 0) {
        set_check_account(r->c, r->file, &doc->keep_as, "of the database");
    }
    const doc_relation *parts = doc->parts.items;
    for (size_t i = 0; i < doc->parts.count; i++) {
        bool known = parts[i].database.line == 0;
        for (size_t k = 0; k < doc->databases.count && !known; k++) {
            known = sp_span_eq(doc->databases.items[k].text, parts[i].database.text);
        }
        if (!known) {
            wrong(r, &parts[i].database, "is not among the databases of this resource");
        }
    }
}

/* The server proves who it is by its certificate. */
static bool verifies(sp_database_tls tls)
{
    return tls == SP_DATABASE_TLS_VERIFY_FULL || tls == SP_DATABASE_TLS_VERIFY_CA;
}

/* One row may be made of very many. */
static uint64_t export_bytes(const doc_answer *over)
{
    uint64_t rows = over->rows.line != 0 ? over->rows.value : UINT64_MAX;
    uint64_t bytes =
        rows > EXPORT_OVER_BYTES / EXPORT_ROW_BYTES ? EXPORT_OVER_BYTES : rows * EXPORT_ROW_BYTES;
    bytes = bytes < EXPORT_LEAST_BYTES ? EXPORT_LEAST_BYTES : bytes;
    return over->bytes.line != 0 ? over->bytes.value : bytes;
}

sp_err set_resolve_database(compiling *c, const doc_resource *doc, uint32_t index,
                            snap_resource *resource)
{
    sp_policy_set *set = c->set;
    resolving r = {c, doc, index, doc->head.place.file, resource};
    const doc_postgres *postgres = &doc->postgres;
    bool by_certificate = postgres->sign_in == 2;
    const doc_answer *over = &postgres->exports.over;
    snap_database out = {
        .resource = index,
        .export_rows = over->rows.line != 0 ? over->rows.value : EXPORT_OVER_ROWS,
        .export_bytes = export_bytes(over),
        .tls = postgres->tls == 0 ? SP_DATABASE_TLS_VERIFY_FULL : (uint8_t)(postgres->tls - 1),
        .flags = (uint8_t)((postgres->broad == 2 ? SNAP_DATABASE_BROAD_DESTROYS : 0) |
                           (by_certificate ? SNAP_DATABASE_CERTIFICATE : 0))};
    if (resource->parts.count == 0) {
        resource->parts.at = (uint32_t)set->sections[SNAP_PARTS].count;
    }
    check_places(&r);
    if (by_certificate && !verifies((sp_database_tls)out.tls)) {
        set_error(c, &postgres->place,
                  "'sign_in: certificate' needs 'tls: verify-full' or 'verify-ca': a certificate "
                  "does not tell who the server is");
    }
    TRY(put_address(&r, &out));
    TRY(set_text(set, postgres->ca.text, &out.ca));
    TRY(set_text(set, postgres->keep_as.text, &out.keep_as));
    TRY(put_names(&r, &postgres->databases, SP_SPAN_LIT("postgres"), &out.databases));
    TRY(put_names(&r, &postgres->search_path, SP_SPAN_LIT("public"), &out.search_path));
    TRY(set_accounts(c, r.file, &postgres->accounts, "of the database", &out.accounts));
    TRY(put_functions(&r, &out.functions));
    TRY(put_relations(&r, &out.relations));
    resource->parts.count = (uint32_t)set->sections[SNAP_PARTS].count - resource->parts.at;
    snap_database *room = NULL;
    resource->database = (uint32_t)set->sections[SNAP_DATABASES].count;
    TRY(vec_add(&set->sections[SNAP_DATABASES], 1, &room));
    *room = out;
    return sp_ok();
}

static sp_err put_budget(compiling *c, const doc_budget *doc)
{
    sp_policy_set *set = c->set;
    set_party w = {0};
    snap_budget *room = NULL;
    snap_budget out = {.period_s = doc->per.value,
                       .statements = doc->statements.value,
                       .rows = doc->rows.value,
                       .actions = (uint16_t)doc->actions,
                       .then = doc->then == 0 ? SP_BUDGET_LOCK : (uint8_t)(doc->then - 1)};
    if (doc->statements.line == 0 && doc->rows.line == 0) {
        set_error(c, &doc->head.place, "a budget counts 'statements', 'rows' or both");
    }
    TRY(set_who(c, &doc->who, &set->sections[SNAP_LISTS], &w));
    sp_copy(out.roles, w.roles, sizeof(w.roles));
    out.people = w.people;
    out.everyone = w.everyone;
    TRY(set_resource_list(c, doc->head.place.file, &doc->resources, &out.resources));
    TRY(set_text(set, doc->head.name.text, &out.name));
    TRY(vec_add(&set->sections[SNAP_BUDGETS], 1, &room));
    *room = out;
    return sp_ok();
}

sp_err set_resolve_budgets(compiling *c)
{
    DOC_EACH(&c->set->docs, SP_DOC_BUDGET, doc_budget, budget)
    {
        TRY(put_budget(c, budget));
    }
    return sp_ok();
}
