/* SPDX-License-Identifier: Apache-2.0
 * For administrators: who works in which database as which account, and what of budgets is used.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml
 * "/admin/databases/accounts", "/admin/databases/budgets".
 */
#include "core/database/inside.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "infra/proc/clock.h"

static const sp_policy *policy_of(const sp_core *core)
{
    return sp_policy_set_view(sp_documents_set(core->state->documents));
}

/* ---- accounts ---- */

typedef struct {
    sp_core *core;
    const sp_policy *policy;
    json_t *items;
    uint64_t limit;
    char next[SP_NAME_MAX_BYTES + 1]; /* the last person that is whole in the page */
    bool more;
    sp_err err;
} walk;

/* The devices on which he works as this account, by owner. */
static json_t *devices_json(const walk *w, uint32_t resource, sp_subject who, sp_span account)
{
    json_t *devices = json_array();
    for (unsigned owner = SP_OWNER_COUNT; owner-- > 0;) {
        json_t *postures = json_array();
        for (unsigned posture = SP_POSTURE_COUNT; posture-- > 0;) {
            who.owner = (uint8_t)owner;
            who.posture = (uint8_t)posture;
            if (sp_span_eq(sp_policy_database_account(w->policy, resource, &who), account)) {
                json_array_append_new(postures, json_string(sp_posture_word((sp_posture)posture)));
            }
        }
        if (json_array_size(postures) > 0) {
            json_array_append_new(devices,
                                  json_pack("{s:s, s:O}", "owner", sp_owner_word((sp_owner)owner),
                                            "postures", postures));
        }
        json_decref(postures);
    }
    return devices;
}

static void add_account(walk *w, const sp_person *person, uint32_t resource, sp_subject who,
                        sp_span account)
{
    json_array_append_new(
        w->items,
        json_pack("{s:{s:o, s:s, s:s}, s:o, s:o, s:o}", "person", "id", sp_json_id(person->id),
                  "name", person->name, "display_name", person->display, "resource",
                  sp_json_span(sp_policy_resource_name(w->policy, resource)), "account",
                  sp_json_span(account), "devices", devices_json(w, resource, who, account)));
}

/* Each account as which he works on some device, the best devices first. */
static void add_accounts(walk *w, const sp_person *person, uint32_t resource, sp_subject who)
{
    sp_span known[SP_OWNER_COUNT * SP_POSTURE_COUNT];
    size_t count = 0;
    for (unsigned at = SP_COUNT(known); at-- > 0;) {
        who.owner = (uint8_t)(at / SP_POSTURE_COUNT);
        who.posture = (uint8_t)(at % SP_POSTURE_COUNT);
        sp_span account = sp_policy_database_account(w->policy, resource, &who);
        bool is_new = account.len > 0;
        for (size_t i = 0; i < count && is_new; i++) {
            is_new = !sp_span_eq(known[i], account);
        }
        if (is_new) {
            known[count++] = account;
            add_account(w, person, resource, who, account);
        }
    }
}

static bool add_person(void *self, const sp_person *person)
{
    walk *w = self;
    sp_subject who = {.person = person->id};
    if (person->state != SP_PERSON_ACTIVE) {
        return true;
    }
    w->more = json_array_size(w->items) >= w->limit;
    if (w->more) {
        return false;
    }
    w->err = sp_roles_of(w->core->store, person->id, who.roles);
    for (uint32_t i = 0; !sp_failed(w->err) && i < sp_policy_resource_count(w->policy); i++) {
        add_accounts(w, person, i, who);
    }
    sp_copy(w->next, person->name, sizeof(w->next));
    return !sp_failed(w->err);
}

static void get_accounts(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    walk w = {.core = core, .policy = policy_of(core)};
    if (!sp_request_limit(req, &w.limit)) {
        return;
    }
    w.items = json_array();
    sp_err err = sp_people_after(core->store, sp_request_query(req, "cursor"), add_person, &w);
    if (!sp_failed(w.err) && !sp_failed(err)) {
        sp_answer_page(req, w.items, w.more ? w.next : NULL);
        return;
    }
    json_decref(w.items);
    sp_answer_failed(req, sp_failed(err) ? err : w.err);
}

/* ---- budgets ---- */

static json_t *person_ref(const sp_core *core, uint32_t id)
{
    sp_person person;
    bool known = !sp_failed(sp_people_get(core->store, id, &person));
    return json_pack("{s:o, s:s}", "id", sp_json_id(id), "name", known ? person.name : "");
}

typedef struct {
    const sp_core *core;
    json_t *spent;
} listing;

static void add_spent(void *self, const sp_db_spent *spent)
{
    const listing *l = self;
    json_array_append_new(
        l->spent,
        json_pack("{s:o, s:I, s:I, s:I, s:o}", "person", person_ref(l->core, spent->person),
                  "statements", (json_int_t)spent->statements, "rows", (json_int_t)spent->rows,
                  "bytes", (json_int_t)spent->bytes, "last_at", sp_json_time(spent->last_unix_s)));
}

static sp_err add_budget(const sp_core *core, const sp_policy_budget *budget, json_t *items)
{
    listing l = {core, json_array()};
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    uint64_t since = now_unix_s > budget->period_s ? now_unix_s - budget->period_s : 0;
    sp_err err = sp_db_budgets_spent(core->store, budget->name, since, add_spent, &l);
    json_t *item = json_pack("{s:o, s:I, s:s, s:I, s:I, s:o}", "name", sp_json_span(budget->name),
                             "per_s", (json_int_t)budget->period_s, "then",
                             budget->then == SP_BUDGET_LOCK ? "lock" : "deny", "statements",
                             (json_int_t)budget->statements, "rows", (json_int_t)budget->rows,
                             "spent", l.spent);
    json_array_append_new(items, item);
    return err;
}

static void get_budgets(sp_request *req)
{
    const sp_core *core = sp_request_core(req);
    const sp_policy *policy = policy_of(core);
    json_t *items = json_array();
    listing today = {core, json_array()};
    sp_policy_budget budget;
    sp_err err = sp_ok();
    for (uint32_t i = 0; !sp_failed(err) && sp_policy_budget_at(policy, i, &budget); i++) {
        err = add_budget(core, &budget, items);
    }
    if (!sp_failed(err)) {
        err = sp_db_days_today(core->databases, add_spent, &today);
    }
    if (sp_failed(err)) {
        json_decref(items);
        json_decref(today.spent);
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_json(req, 200, json_pack("{s:o, s:o}", "budgets", items, "today", today.spent));
}

sp_err sp_db_used_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/databases/accounts", SP_WHO_ANY_ADMIN, get_accounts, 0},
        {"GET", "/api/v1/admin/databases/budgets", SP_WHO_ANY_ADMIN, get_budgets, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
