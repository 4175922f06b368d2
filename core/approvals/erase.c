/* SPDX-License-Identifier: Apache-2.0
 * Erasing from the ledger: an audit administrator asks, another one agrees, the ledger takes out
 * what is old enough. Its redaction entry says so, and every proof of the rest still holds. OWNS
 * what waits for the ledger. PROCESS core. TRUST requests are hostile; the ledger keeps its own
 * rules (the floor, what cannot be erased) again. SPEC docs/api/openapi.yaml
 * "/admin/ledger/erasures", docs/ARCHITECTURE.md "Erasing".
 */
#include "core/approvals/inside.h"
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

enum { EXPIRES_S = 86400, NUMBER_MAX_BYTES = 20, CONTENT_MAX_BYTES = 64, REASON_MIN_BYTES = 3 };
static const char FAILED[] = "erasing failed"; /* in the ledger */

/* What others agree to is the very command, and it is read back from there. */
#define COMMAND "sallyport ledger erase "
static const char *const WHAT[] = {"--entry", "--person"};
_Static_assert(SP_COUNT(WHAT) == SP_ERASE_WHAT_COUNT, "a word for each");

static sp_err command_read(sp_span text, sp_ledger_erase *erase)
{
    for (uint8_t what = 0; what < SP_ERASE_WHAT_COUNT; what++) {
        auto_buf sp_buf head = sp_buf_make(CONTENT_MAX_BYTES);
        sp_buf_fmt(&head, COMMAND "%s ", WHAT[what]);
        if (sp_span_starts(text, sp_buf_borrow(&head))) {
            erase->what = what;
            return sp_span_to_u64(sp_span_slice(text, head.len, text.len), INT64_MAX,
                                  &erase->which);
        }
    }
    return sp_fail(SP_EINVALID);
}

bool sp_erase_is_about(const sp_ask *ask, uint32_t person)
{
    sp_ledger_erase erase = {.look = false};
    if (ask->kind != SP_ASK_ERASURE || person == 0 ||
        sp_failed(command_read(ask->content, &erase))) {
        return false;
    }
    return erase.what == SP_ERASE_SUBJECT ? erase.which == person : ask->keep == person;
}

static void ask_ledger(sp_core *core, const sp_ledger_erase *erase, sp_on_reply on_reply,
                       void *self)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_erase_write(erase, &body);
    sp_ledger_client_call(core->ledger, SP_LEDGER_ERASE, sp_buf_borrow(&body), on_reply, self);
}

/* ---- once it is approved ---- */

typedef struct {
    sp_core *core;
    sp_arena arena;
    sp_ask ask;
    sp_ledger_erase erase;
    bool again;
} erasing;

static void erasing_free(erasing *w)
{
    sp_arena_done(&w->arena);
    sp_free(w);
}

/* Nothing was erased, and the ledger says why. */
static void not_done(erasing *w, bool has_begun, sp_err err)
{
    sp_ask_give_up(w->core, &w->ask, FAILED, has_begun, err);
    erasing_free(w);
}

static void on_erased(void *self, sp_err err, sp_span body)
{
    erasing *w = self;
    sp_ledger_erased erased;
    if (!sp_failed(err)) {
        err = sp_ledger_erased_read(body, &erased);
    }
    if (err.code == SP_ENOTFOUND && w->again) { /* it was done, and nobody heard of it */
        err = sp_ok();
    }
    if (sp_failed(err)) {
        not_done(w, true, err);
        return;
    }
    if (sp_failed(
            sp_ask_carried_out(w->core, w->ask.id))) { /* it is done, and the ledger says so */
        sp_log(SP_LOG_WARN, "an erasure was carried out and is still shown as approved");
    }
    sp_approvals_changed(w->core, &w->ask);
    erasing_free(w);
}

/* Whoever asked or agreed was locked, or who asked lost the office meanwhile: then it does not go
 * on in their name. */
static sp_err check(const sp_core *core, const sp_ask *ask)
{
    sp_person person;
    uint64_t roles[SP_ROLE_WORDS] = {0};
    TRY(sp_people_get(core->store, ask->asker, &person));
    TRY(sp_roles_of(core->store, ask->asker, roles));
    bool may = person.state == SP_PERSON_ACTIVE && sp_roles_hold(roles, SP_ROLE_NR_AUDIT);
    return may ? sp_ask_is_met(core->store, ask) : sp_fail(SP_EDENIED);
}

static void on_recorded(void *self, sp_err err)
{
    erasing *w = self;
    bool has_begun = !sp_failed(err);
    if (has_begun) {
        err = check(w->core, &w->ask);
    }
    if (sp_failed(err)) {
        not_done(w, has_begun, err);
        return;
    }
    ask_ledger(w->core, &w->erase, on_erased, w);
}

static sp_err begin(sp_core *core, uint64_t id, erasing **ret_erasing)
{
    erasing *w = NULL;
    TRY(sp_alloc(1, sizeof(*w), &w));
    w->core = core;
    w->arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_err err = sp_ask_load(core->store, &w->arena, id, &w->ask);
    if (!sp_failed(err)) {
        err = command_read(w->ask.content, &w->erase);
    }
    if (!sp_failed(err)) {
        err = check(core, &w->ask);
    }
    if (sp_failed(err)) {
        erasing_free(w);
        return err;
    }
    w->erase.by = w->ask.asker;
    w->erase.approval = w->ask.id;
    w->erase.why = w->ask.reason;
    *ret_erasing = w;
    return sp_ok();
}

void sp_erasure_go(sp_core *core, const sp_ask *ask, bool again)
{
    erasing *w = NULL;
    sp_err err = begin(core, ask->id, &w);
    if (sp_failed(err)) {
        sp_ask_give_up(core, ask, FAILED, false, err);
        return;
    }
    w->again = again;
    sp_ask_record_use(core, ask, on_recorded, w);
}

/* ---- asking ---- */

typedef struct {
    sp_request *req;
    sp_span entry;
    sp_span person;
    sp_ask ask;
} wanting;

static void on_asked(void *self, sp_err err, uint64_t id)
{
    const wanting *w = self;
    if (err.code == SP_EDENIED) {
        sp_answer_problem(w->req, 409, "nobody_approves",
                          "Erasing takes two: another audit administrator has to agree to it, and "
                          "there is none.");
        return;
    }
    sp_ask_answer(w->req, &w->ask, err, id);
}

static void refuse_own(sp_request *req)
{
    sp_answer_problem(req, 409, "own_request",
                      "Your own entries are for another audit administrator to erase.");
}

static void on_looked(void *self, sp_err err, sp_span body)
{
    wanting *w = self;
    sp_ledger_erased would = {0};
    if (!sp_request_stands(w->req)) {
        return;
    }
    if (!sp_failed(err)) {
        err = sp_ledger_erased_read(body, &would);
    }
    if (err.code == SP_EDENIED) {
        sp_answer_problem(w->req, 409, "too_young",
                          "Nothing younger than %d days is erased, nor what the ledger says of "
                          "itself.",
                          SP_LEDGER_FLOOR_DAYS);
    } else if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(w->req, 404, "not_found",
                          "The ledger has nothing of that, or no longer.");
    } else if (err.code == SP_EAGAIN || err.code == SP_ECLOSED || err.code == SP_ETIMEOUT) {
        sp_answer_problem(w->req, 503, "unavailable",
                          "The ledger does not answer now, or erases already. Try again in a "
                          "moment.");
    } else if (sp_failed(err)) {
        sp_answer_failed(w->req, err);
    } else if (would.person == w->ask.asker) {
        refuse_own(w->req);
    } else {
        w->ask.rows = would.erased;
        w->ask.keep = would.person;
        sp_approvals_ask(sp_request_core(w->req), &w->ask, on_asked, w);
    }
}

static sp_err ask_of(wanting *w, const sp_ledger_erase *erase)
{
    const sp_live_session *session = sp_request_session(w->req);
    auto_buf sp_buf text = sp_buf_make(CONTENT_MAX_BYTES);
    sp_buf_fmt(&text, COMMAND "%s %llu", WHAT[erase->what], (unsigned long long)erase->which);
    TRY(sp_buf_error(&text));
    w->ask = (sp_ask){.kind = SP_ASK_ERASURE,
                      .action = SP_ACTION_DESTROY,
                      .asker = session->person,
                      .session = session->id,
                      .approvers = {{.needed = 1, .expires_s = EXPIRES_S}},
                      .approvers_count = 1,
                      .asker_name = sp_span_cstr(session->person_name),
                      .resource = SP_SPAN_LIT("ledger"),
                      .reason = erase->why};
    w->ask.approvers[0].by.roles[SP_ROLE_NR_AUDIT / 64] |= UINT64_C(1) << (SP_ROLE_NR_AUDIT % 64);
    TRY(sp_arena_copy(sp_request_arena(w->req), sp_buf_borrow(&text), &w->ask.content));
    w->ask.sha256 = sp_sha256(w->ask.content);
    return sp_ok();
}

static void post_erasure(sp_request *req)
{
    wanting *w = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*w), &w))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    w->req = req;
    sp_ledger_erase erase = {.look = true, .by = sp_request_person(req)};
    const sp_field fields[] = {
        SP_FIELD_TEXT_OPT("entry", &w->entry, 1, NUMBER_MAX_BYTES),
        SP_FIELD_TEXT_OPT("person", &w->person, 1, NUMBER_MAX_BYTES),
        SP_FIELD_TEXT("reason", &erase.why, REASON_MIN_BYTES, SP_ASK_REASON_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    bool whole = w->person.len > 0;
    sp_span number = whole ? w->person : w->entry;
    erase.what = whole ? SP_ERASE_SUBJECT : SP_ERASE_ENTRY;
    if ((w->entry.len > 0) == whole ||
        sp_failed(sp_span_to_u64(number, whole ? UINT32_MAX - 1 : INT64_MAX, &erase.which)) ||
        (whole && erase.which == 0)) {
        sp_answer_invalid(req, whole ? "person" : "entry",
                          "either the number of an entry or that of a person");
        return;
    }
    if (whole && erase.which == sp_request_person(req)) {
        refuse_own(req);
        return;
    }
    sp_err err = ask_of(w, &erase);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        ask_ledger(sp_request_core(req), &erase, on_looked, w);
    }
}

sp_err sp_erase_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"POST", "/api/v1/admin/ledger/erasures", SP_WHO_AUDIT | SP_WHO_FRESH, post_erasure, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
