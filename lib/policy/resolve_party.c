/* SPDX-License-Identifier: Apache-2.0
 * What databases and hosts share when they are resolved: faults at a text, accounts, classes.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema; names of accounts are checked
 * here. SPEC docs/POLICY.md.
 */
#include "lib/policy/set.h"

void set_wrong(const compiling *c, const char *file, const doc_text *at, const char *fault)
{
    sp_diags_add(c->diags, SP_DIAG_ERROR, file, at->line, at->column, "'%.*s': %s",
                 (int)(at->text.len > 80 ? 80 : at->text.len), (const char *)at->text.ptr, fault);
}

void set_check_account(const compiling *c, const char *file, const doc_text *name,
                       const char *of_what)
{
    for (size_t i = 0; i < name->text.len; i++) {
        if (name->text.ptr[i] <= 0x20 || name->text.ptr[i] == '/') {
            sp_diags_add(c->diags, SP_DIAG_ERROR, file, name->line, name->column,
                         "'%.*s': a role or account %s has no blanks and no '/' in its name",
                         SP_SPAN_ARG(name->text), of_what);
            return;
        }
    }
}

sp_err set_accounts(compiling *c, const char *file, const doc_maps *accounts, const char *of_what,
                    snap_run *ret_run)
{
    sp_policy_set *set = c->set;
    const doc_account *docs = accounts->items;
    *ret_run = (snap_run){(uint32_t)set->sections[SNAP_ACCOUNTS].count, (uint32_t)accounts->count};
    for (size_t i = 0; i < accounts->count; i++) {
        set_party w = {0};
        snap_account *room = NULL;
        snap_text name = {0};
        set_check_account(c, file, &docs[i].as, of_what);
        TRY(set_who(c, &docs[i].who, &set->sections[SNAP_LISTS], &w));
        TRY(set_text(set, docs[i].as.text, &name));
        TRY(vec_add(&set->sections[SNAP_ACCOUNTS], 1, &room));
        *room = (snap_account){.people = w.people,
                               .name = name,
                               .everyone = w.everyone,
                               .devices = set_devices(docs[i].on.owner, docs[i].on.posture)};
        sp_copy(room->roles, w.roles, sizeof(w.roles));
    }
    return sp_ok();
}

uint8_t set_class_or(const compiling *c, const char *file, const doc_text *name, uint8_t otherwise)
{
    uint32_t at = otherwise;
    if (name->line != 0 && !name_get(&c->set->class_names, name->text, &at)) {
        set_unknown(c, file, name, "class", &c->set->class_names);
    }
    return (uint8_t)at;
}
