/* SPDX-License-Identifier: Apache-2.0
 * The filters of a request for events of the ledger.
 * OWNS nothing. PROCESS core. TRUST query strings are hostile. SPEC docs/api/openapi.yaml
 * "/admin/ledger/events".
 */
#include "core/admin/events.h"
#include "core/devices/rows.h"
#include "core/identity/people.h"

sp_ledger_reader sp_events_reader(const sp_request *req, const char *purpose)
{
    sp_ledger_reader reader = {.purpose = sp_span_cstr(purpose)};
    const sp_live_session *session = sp_request_session(req);
    if (session != NULL) {
        reader.reader = session->person;
        reader.reader_name = sp_span_cstr(session->person_name);
    }
    return reader;
}

static bool word_index(sp_span word, const char *(*word_of)(unsigned index), unsigned count,
                       unsigned *ret_index)
{
    for (unsigned i = 0; i < count; i++) {
        if (sp_span_eq(word, sp_span_cstr(word_of(i)))) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static const char *kind_word(unsigned index)
{
    return sp_event_kind_word((sp_event_kind)index);
}

static const char *verdict_word(unsigned index)
{
    return sp_verdict_word((sp_verdict)index);
}

static bool read_kinds(sp_request *req, sp_ledger_search *search)
{
    sp_span kind = sp_request_query(req, "kind");
    sp_span verdict = sp_request_query(req, "verdict");
    unsigned index = 0;
    if (kind.len > 0) {
        if (!word_index(kind, kind_word, SP_EVENT_KIND_COUNT, &index)) {
            sp_answer_invalid(req, "kind", "a kind of event: decision, sign_in, policy ...");
            return false;
        }
        search->kinds = 1U << index;
    }
    for (sp_span word; verdict.len > 0 && sp_span_split(&verdict, ',', &word);) {
        if (!word_index(word, verdict_word, SP_VERDICT_COUNT, &index)) {
            sp_answer_invalid(req, "verdict", "deny, ask or allow, or some of them with commas");
            return false;
        }
        search->verdicts |= (uint8_t)(1U << index);
    }
    return true;
}

typedef struct {
    sp_span name;
    uint64_t id;
} named_device;

static void match_device(void *self, const sp_device *device)
{
    named_device *named = self;
    if (sp_span_eq(device->name, named->name)) {
        named->id = device->id;
    }
}

/* A name that is nobody's finds nothing: a number that is never given. */
static bool read_names(sp_request *req, sp_ledger_search *search)
{
    const sp_core *core = sp_request_core(req);
    sp_span person = sp_request_query(req, "person");
    named_device device = {.name = sp_request_query(req, "device")};
    if (person.len > 0) {
        sp_person found;
        search->person =
            sp_failed(sp_people_find(core->store, person, &found)) ? UINT32_MAX : found.id;
    }
    if (device.name.len > 0) {
        sp_err err = sp_device_each(core->store, match_device, &device);
        search->device = sp_failed(err) || device.id == 0 ? INT64_MAX : device.id;
    }
    return true;
}

static bool read_numbers(sp_request *req, sp_ledger_search *search)
{
    sp_span reference = sp_request_query(req, "reference");
    sp_span session = sp_request_query(req, "session");
    if (reference.len > 0 && sp_failed(sp_reference_of(reference, &search->reference))) {
        sp_answer_invalid(req, "reference", "a number like 7F3K-9Q2M-XA4T");
        return false;
    }
    if (session.len > 0 && !sp_admin_session_id(session, &search->session)) {
        sp_answer_invalid(req, "session", "a session's id");
        return false;
    }
    return true;
}

/* What an event says of its action stands in its JSON. */
static bool read_action(sp_request *req, sp_ledger_search *search)
{
    sp_span action = sp_request_query(req, "action");
    auto_buf sp_buf text = sp_buf_make(64);
    sp_action known = SP_ACTION_CONNECT;
    if (action.len == 0) {
        return true;
    }
    if (search->text.len > 0 || !sp_action_of(action, &known)) {
        sp_answer_invalid(req, "action", "an action's word, and not together with q");
        return false;
    }
    sp_buf_fmt(&text, "\"action\":\"%s\"", sp_action_word(known));
    sp_err err = sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&text), &search->text);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

bool sp_events_filter(sp_request *req, sp_ledger_search *search)
{
    search->resource = sp_request_query(req, "resource");
    search->text = sp_request_query(req, "q");
    if (search->resource.len > SP_NAME_MAX_BYTES || search->text.len > SP_LEDGER_TEXT_MAX_BYTES) {
        sp_answer_invalid(req, search->resource.len > SP_NAME_MAX_BYTES ? "resource" : "q",
                          "something shorter");
        return false;
    }
    return read_kinds(req, search) && read_names(req, search) && read_numbers(req, search) &&
           read_action(req, search);
}
