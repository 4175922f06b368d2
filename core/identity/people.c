/* SPDX-License-Identifier: Apache-2.0
 * People and roles in the store.
 * OWNS nothing. PROCESS core. TRUST names are checked before they are bound.
 * SPEC core/identity/people.h.
 */
#include "core/identity/people.h"

#include "infra/proc/clock.h"

const char *sp_person_state_word(sp_person_state state)
{
    static const char *const words[] = {"invited", "active", "disabled", "removed"};
    _Static_assert(SP_COUNT(words) == SP_PERSON_STATE_COUNT, "a word for each state");
    return words[state];
}

bool sp_name_is_valid(sp_span name)
{
    if (name.len == 0 || name.len > SP_NAME_MAX_BYTES || !sp_is_lower_alnum(name.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!sp_is_lower_alnum(c) && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

/* Columns: id, name, display, state, created. */
static sp_err read_person(sp_query *q, sp_person *ret_person)
{
    *ret_person = (sp_person){.id = (uint32_t)sp_col_u64(q)};
    TRY(sp_fit(ret_person->name, sizeof(ret_person->name), sp_col_text(q)));
    TRY(sp_fit(ret_person->display, sizeof(ret_person->display), sp_col_text(q)));
    ret_person->state = (uint8_t)sp_col_u64(q);
    ret_person->created_unix_s = sp_col_u64(q);
    return ret_person->state < SP_PERSON_STATE_COUNT ? sp_ok() : sp_fail(SP_ECORRUPT);
}

static sp_err read_one(sp_query *q, sp_person *ret_person)
{
    if (!sp_query_row(q)) {
        TRY(sp_query_finish(q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(read_person(q, ret_person));
    return sp_query_finish(q);
}

sp_err sp_people_get(sp_store *store, uint32_t id, sp_person *ret_person)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, name, display, state, created FROM person WHERE id = $1");
    sp_bind_u64(&q, id);
    return read_one(&q, ret_person);
}

sp_err sp_people_find(sp_store *store, sp_span name, sp_person *ret_person)
{
    if (!sp_name_is_valid(name)) {
        return sp_fail(SP_ENOTFOUND);
    }
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, name, display, state, created FROM person WHERE name = $1");
    sp_bind_text(&q, name);
    return read_one(&q, ret_person);
}

sp_err sp_people_each(sp_store *store, void (*visit)(void *self, const sp_person *person),
                      void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, name, display, state, created FROM person ORDER BY name");
    while (sp_query_row(&q)) {
        sp_person person;
        TRY(read_person(&q, &person));
        visit(self, &person);
    }
    return sp_query_finish(&q);
}

sp_err sp_people_after(sp_store *store, sp_span name,
                       bool (*visit)(void *self, const sp_person *person), void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, name, display, state, created FROM person WHERE name > $1 "
                           "ORDER BY name");
    bool more = true;
    sp_bind_text(&q, name);
    while (more && sp_query_row(&q)) {
        sp_person person;
        TRY(read_person(&q, &person));
        more = visit(self, &person);
    }
    return sp_query_finish(&q);
}

static sp_err read_counts(sp_query *q, size_t *counts, size_t size)
{
    sp_set(counts, 0, size * sizeof(*counts));
    while (sp_query_row(q)) {
        uint64_t which = sp_col_u64(q);
        uint64_t count = sp_col_u64(q);
        if (which < size) {
            counts[which] = count;
        }
    }
    return sp_query_finish(q);
}

sp_err sp_people_count(sp_store *store, size_t ret_counts[SP_PERSON_STATE_COUNT])
{
    auto_query sp_query q = sp_query_of(store, "SELECT state, COUNT(*) FROM person GROUP BY state");
    return read_counts(&q, ret_counts, SP_PERSON_STATE_COUNT);
}

sp_err sp_admins_count(sp_store *store, size_t ret_counts[SP_ROLE_NR_AUDIT + 1])
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT role, COUNT(*) FROM person_role JOIN person ON id = person "
                           "WHERE role BETWEEN $1 AND $2 AND state = $3 GROUP BY role");
    sp_bind_u64(&q, SP_ROLE_NR_SYSTEM);
    sp_bind_u64(&q, SP_ROLE_NR_AUDIT);
    sp_bind_u64(&q, SP_PERSON_ACTIVE);
    return read_counts(&q, ret_counts, SP_ROLE_NR_AUDIT + 1);
}

sp_err sp_people_add(sp_store *store, sp_span name, sp_span display, sp_person_state state,
                     uint32_t *ret_id)
{
    if (!sp_name_is_valid(name) || display.len == 0 || display.len > SP_DISPLAY_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO person (id, name, display, state, created) VALUES "
               "((SELECT COALESCE(MAX(id), 0) + 1 FROM person), $1, $2, $3, $4) RETURNING id");
    sp_bind_text(&q, name);
    sp_bind_text(&q, display);
    sp_bind_u64(&q, state);
    sp_bind_u64(&q, sp_now_unix_us() / 1000000);
    uint32_t id = sp_query_row(&q) ? (uint32_t)sp_col_u64(&q) : 0;
    TRY(sp_query_finish(&q));
    *ret_id = id;
    return sp_ok();
}

/* ---- roles ---- */

sp_err sp_roles_find(sp_store *store, sp_span name, uint32_t *ret_number)
{
    auto_query sp_query q = sp_query_of(store, "SELECT number FROM role WHERE name = $1");
    sp_bind_text(&q, name);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_number = (uint32_t)sp_col_u64(&q);
    return sp_query_finish(&q);
}

static sp_err next_number(sp_store *store, uint32_t *ret_number)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COALESCE(MAX(number), 0) + 1 FROM role");
    uint64_t number = sp_query_row(&q) ? sp_col_u64(&q) : SP_ROLES_MAX;
    TRY(sp_query_finish(&q));
    if (number >= SP_ROLES_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    *ret_number = (uint32_t)number;
    return sp_ok();
}

sp_err sp_roles_ensure(sp_store *store, sp_span name, uint32_t *ret_number)
{
    sp_err err = sp_roles_find(store, name, ret_number);
    if (err.code != SP_ENOTFOUND) {
        return err;
    }
    uint32_t number = 0;
    TRY(next_number(store, &number));
    auto_query sp_query q = sp_query_of(store, "INSERT INTO role (number, name) VALUES ($1, $2)");
    sp_bind_u64(&q, number);
    sp_bind_text(&q, name);
    TRY(sp_query_finish(&q));
    *ret_number = number;
    return sp_ok();
}

sp_err sp_roles_each(sp_store *store, void (*visit)(void *self, sp_span name, uint32_t number),
                     void *self)
{
    auto_query sp_query q = sp_query_of(store, "SELECT name, number FROM role ORDER BY number");
    while (sp_query_row(&q)) {
        sp_span name = sp_col_text(&q);
        visit(self, name, (uint32_t)sp_col_u64(&q));
    }
    return sp_query_finish(&q);
}

sp_err sp_roles_of(sp_store *store, uint32_t person, uint64_t ret_roles[SP_ROLE_WORDS])
{
    uint64_t roles[SP_ROLE_WORDS] = {0};
    auto_query sp_query q = sp_query_of(store, "SELECT role FROM person_role WHERE person = $1");
    sp_bind_u64(&q, person);
    while (sp_query_row(&q)) {
        uint64_t role = sp_col_u64(&q);
        if (role < SP_ROLES_MAX) {
            roles[role / 64] |= UINT64_C(1) << (role % 64);
        }
    }
    TRY(sp_query_finish(&q));
    sp_copy(ret_roles, roles, sizeof(roles));
    return sp_ok();
}

static bool is_admin(uint32_t role)
{
    return role >= SP_ROLE_NR_SYSTEM && role <= SP_ROLE_NR_AUDIT;
}

sp_err sp_roles_grant(sp_store *store, uint32_t person, uint32_t role)
{
    uint64_t held[SP_ROLE_WORDS];
    TRY(sp_roles_of(store, person, held));
    for (uint32_t other = SP_ROLE_NR_SYSTEM; is_admin(role) && other <= SP_ROLE_NR_AUDIT; other++) {
        if (other != role && sp_roles_hold(held, other)) {
            return sp_fail(SP_EDENIED);
        }
    }
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO person_role (person, role) VALUES ($1, $2) "
                           "ON CONFLICT (person, role) DO NOTHING");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, role);
    sp_err err = sp_query_finish(&q);
    return err.code == SP_ECONFLICT ? sp_fail(SP_ENOTFOUND) : err; /* no such person or role */
}

sp_err sp_roles_revoke(sp_store *store, uint32_t person, uint32_t role)
{
    auto_query sp_query q =
        sp_query_of(store, "DELETE FROM person_role WHERE person = $1 AND role = $2");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, role);
    return sp_query_finish_changed(&q);
}
