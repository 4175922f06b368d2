/* SPDX-License-Identifier: Apache-2.0
 * The compilation from files to a proven set, and what a set simply knows.
 * OWNS the set. PROCESS core, cli. TRUST files are hostile; limits are checked first.
 * SPEC lib/policy/compile.h.
 */
#include "lib/policy/compile.h"

#include "lib/policy/load.h"
#include "lib/policy/set.h"

enum { ARENA_MAX_BYTES = 1 << 30 };

void sp_policy_set_free(sp_policy_set *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < SNAP_SECTION_COUNT; i++) {
        vec_done(&set->sections[i]);
    }
    name_table *tables[] = {&set->class_names, &set->tag_names,      &set->role_names,
                            &set->people,      &set->resource_names, &set->texts,
                            &set->zones,       &set->schedules,      &set->networks};
    for (size_t i = 0; i < SP_COUNT(tables); i++) {
        name_table_done(tables[i]);
    }
    vec_done(&set->people_lists);
    vec_done(&set->namings);
    sp_free(set->snapshot);
    sp_buf_done(&set->detections);
    doc_set_done(&set->docs);
    sp_arena_done(&set->arena);
    sp_free(set);
}

void sp_policy_set_auto_(sp_policy_set **set)
{
    sp_policy_set_free(*set);
}

static sp_err new_set(sp_policy_set **ret_set)
{
    sp_policy_set *set = NULL;
    TRY(sp_alloc(1, sizeof(*set), &set));
    set->arena = sp_arena_make(ARENA_MAX_BYTES);
    for (size_t i = 0; i < SNAP_SECTION_COUNT; i++) {
        set->sections[i] = vec_of(SNAP_RECORD_BYTES[i]);
    }
    set->people_lists = vec_of(sizeof(uint32_t));
    set->namings = vec_of(sizeof(set_naming));
    *ret_set = set;
    return sp_ok();
}

static sp_err check_sizes(const sp_policy_input *input, sp_diags *diags)
{
    size_t total = 0;
    if (input->files_count > SP_POLICY_FILES_MAX) {
        sp_diags_add(diags, SP_DIAG_ERROR, NULL, 0, 0, "%zu files; at most %d are read",
                     input->files_count, SP_POLICY_FILES_MAX);
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < input->files_count; i++) {
        total += input->files[i].text.len;
        if (input->files[i].text.len > SP_POLICY_FILE_MAX_BYTES ||
            total > SP_POLICY_SET_MAX_BYTES) {
            sp_diags_add(diags, SP_DIAG_ERROR, input->files[i].name, 0, 0,
                         "documents of more than %d bytes in all; that is the limit",
                         SP_POLICY_SET_MAX_BYTES);
            return sp_fail(SP_EINVALID);
        }
    }
    return sp_ok();
}

/* Reads every file, even after an error in one of them, so that all errors are told at once. */
static sp_err load_files(compiling *c)
{
    for (size_t i = 0; i < c->input->files_count; i++) {
        sp_err err = doc_load(&c->input->files[i], &c->set->arena, c->diags, &c->set->docs);
        if (sp_failed(err) && err.code != SP_EINVALID) {
            return err;
        }
    }
    return sp_ok();
}

static void count_figures(sp_policy_set *set)
{
    sp_policy_figures *f = &set->figures;
    f->rules = snap_count(&set->view, SNAP_RULES);
    f->nevers = snap_count(&set->view, SNAP_NEVERS);
    f->roles = set->role_count;
    f->classes = set->class_count;
    f->resources = snap_count(&set->view, SNAP_RESOURCES);
    f->parts = snap_count(&set->view, SNAP_PARTS);
    f->cells = (uint64_t)(set->role_count + 1) * SNAP_DEVICES * SP_STRENGTH_COUNT *
               set->class_count * SP_ACTION_COUNT * (set->tag_count + 1);
}

typedef struct {
    sp_err (*run)(compiling *c);
    bool settles; /* what is wrong so far ends the compilation here */
} stage;

static sp_err hash_documents(compiling *c)
{
    return doc_set_digest(&c->set->docs, &c->set->digest);
}

static sp_err run_stages(compiling *c)
{
    static const stage STAGES[] = {{load_files, true},
                                   {hash_documents, false},
                                   {set_load_builtin, false},
                                   {set_resolve_names, false},
                                   {set_resolve_resources, false},
                                   {set_resolve_rules, false},
                                   {set_resolve_watch, false},
                                   {set_resolve_plans, false},
                                   {set_resolve_duties, true},
                                   {set_layout, true},
                                   {set_lint, true},
                                   {set_prove, true},
                                   {set_run_examples, true}};
    size_t errors = c->diags->errors;
    for (size_t i = 0; i < SP_COUNT(STAGES); i++) {
        TRY(STAGES[i].run(c));
        if (STAGES[i].settles && c->diags->errors != errors) {
            return sp_fail(SP_EINVALID);
        }
    }
    count_figures(c->set);
    return sp_ok();
}

sp_err sp_policy_compile(const sp_policy_input *input, sp_diags *diags, sp_policy_set **ret_set)
{
    auto_policy_set sp_policy_set *set = NULL;
    TRY(check_sizes(input, diags));
    TRY(new_set(&set));
    set->sql = input->sql;
    set->sql_ctx = input->sql_ctx;
    compiling c = {input, set, diags};
    sp_err err = run_stages(&c);
    if (err.code == SP_ELIMIT) {
        sp_diags_add(diags, SP_DIAG_ERROR, NULL, 0, 0,
                     "the documents need more memory than the compiler may use");
        return sp_fail(SP_EINVALID);
    }
    TRY(err);
    *ret_set = SP_STEAL(set);
    return sp_ok();
}

sp_span sp_policy_set_snapshot(const sp_policy_set *set)
{
    return sp_span_of(set->snapshot, set->snapshot_bytes);
}

sp_span sp_policy_set_detections(const sp_policy_set *set)
{
    return sp_buf_borrow(&set->detections);
}

const sp_policy *sp_policy_set_view(const sp_policy_set *set)
{
    return &set->view;
}

sp_policy_figures sp_policy_set_figures(const sp_policy_set *set)
{
    return set->figures;
}

/* ---- roles ---- */

size_t sp_policy_set_role_count(const sp_policy_set *set)
{
    return set->role_count;
}

sp_err sp_policy_set_role(const sp_policy_set *set, size_t at, sp_policy_role *ret_role)
{
    if (at >= set->role_count) {
        return sp_fail(SP_ENOTFOUND);
    }
    const set_role *role = &set->roles[at];
    *ret_role = (sp_policy_role){
        .name = role->name, .title_en = role->name, .number = role->number, .is_new = role->is_new};
    if (role->doc != NULL && role->doc->title.en.line != 0) {
        ret_role->title_en = role->doc->title.en.text;
    }
    if (role->doc != NULL) {
        ret_role->title_zh = role->doc->title.zh.text;
    }
    sp_copy(ret_role->implies, role->implies, sizeof(role->implies));
    sp_copy(ret_role->clashes, role->clashes, sizeof(role->clashes));
    return sp_ok();
}

sp_err sp_policy_set_role_find(const sp_policy_set *set, sp_span name, sp_policy_role *ret_role)
{
    uint32_t at = 0;
    return name_get(&set->role_names, name, &at) ? sp_policy_set_role(set, at, ret_role)
                                                 : sp_fail(SP_ENOTFOUND);
}

bool sp_policy_set_roles_allowed(const sp_policy_set *set, const uint64_t roles[SP_ROLE_WORDS],
                                 sp_span *ret_one, sp_span *ret_other)
{
    for (size_t i = 0; i < set->role_count; i++) {
        const set_role *one = &set->roles[i];
        for (size_t k = 0; k < set->role_count && role_bit(roles, one->number); k++) {
            const set_role *other = &set->roles[k];
            if (role_bit(roles, other->number) && role_bit(one->clashes, other->number)) {
                *ret_one = one->name;
                *ret_other = other->name;
                return false;
            }
        }
    }
    return true;
}

/* ---- office and retention ---- */

sp_policy_office sp_policy_set_office(const sp_policy_set *set)
{
    sp_policy_office told = {0};
    DOC_EACH(&set->docs, SP_DOC_OFFICE, doc_office, office)
    {
        told.name = office->head.name.text;
        told.title_en = office->title.en.line != 0 ? office->title.en.text : told.name;
        told.title_zh = office->title.zh.text;
        told.time_zone = office->time_zone.text;
        told.contact = office->contact.text;
        told.session_idle_s = (uint32_t)office->session.idle.value;
        told.session_max_s = (uint32_t)office->session.max.value;
    }
    return told;
}

static bool names_hold(const doc_texts *names, sp_span name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (sp_span_eq(names->items[i].text, name)) {
            return true;
        }
    }
    return names->count == 0;
}

/* The bit of a word of sp_event_kind_word in Retention documents; 0 for an unknown one. */
static uint32_t event_bit(sp_span event_kind)
{
    const doc_schema *schema = &DOC_SCHEMAS[SP_DOC_RETENTION];
    for (size_t i = 0; i < schema->fields_count; i++) {
        const doc_field *field = &schema->fields[i];
        for (size_t k = 0; field->words != NULL && field->words[k] != NULL; k++) {
            if (sp_span_eq(event_kind, sp_span_cstr(field->words[k]))) {
                return 1U << k;
            }
        }
    }
    return 0;
}

uint32_t sp_policy_set_retention_days(const sp_policy_set *set, sp_span event_kind,
                                      uint8_t class_level)
{
    uint64_t days = SP_RETENTION_FLOOR_DAYS;
    sp_span class = sp_policy_class_name(&set->view, class_level);
    DOC_EACH(&set->docs, SP_DOC_RETENTION, doc_retention, retention)
    {
        uint64_t keep = (retention->keep.value + 86399) / 86400;
        bool event = retention->events == 0 || (retention->events & event_bit(event_kind)) != 0;
        if (event && names_hold(&retention->classes, class) && keep > days) {
            days = keep;
        }
    }
    return (uint32_t)days;
}
