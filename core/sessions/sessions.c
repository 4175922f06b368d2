/* SPDX-License-Identifier: Apache-2.0
 * Sessions.
 * OWNS slots and tokens. PROCESS core. TRUST see sessions.h. SPEC core/sessions/sessions.h.
 *
 * Giving is durable before it is live; taking away is live before it is durable, and a store that
 * cannot write does not stop it.
 */
#include "core/sessions/inside.h"

#include "core/clock.h"
#include "core/documents/documents.h"
#include "core/http/sse.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum { TICK_MS = 5000, FLUSH_TICKS = 12 };

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

const char *sp_end_reason_word(sp_end_reason reason)
{
    static const char *const words[] = {"sign_out", "owner",   "admin", "person",
                                        "device",   "expired", "idle",  "replaced"};
    _Static_assert(SP_COUNT(words) == SP_END_COUNT, "a word for each reason");
    return words[reason];
}

static sp_policy_office office_of(const sp_core *core)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    return set != NULL ? sp_policy_set_office(set) : (sp_policy_office){.session_idle_s = 0};
}

uint64_t sp_sessions_life_s(const sp_core *core)
{
    uint64_t told_s = office_of(core).session_max_s;
    return told_s != 0 ? told_s : SP_SESSION_LIFE_S;
}

uint64_t sp_sessions_idle_s(const sp_core *core)
{
    uint64_t told_s = office_of(core).session_idle_s;
    return told_s != 0 ? told_s : SP_SESSION_IDLE_S;
}

size_t sp_sessions_count(const sp_sessions *sessions)
{
    return sessions->count;
}

/* ---- slots ---- */

sp_session_slot *sp_session_slot_of(sp_sessions *sessions, uint32_t slot, uint64_t id)
{
    bool there = slot < sessions->used_up_to && id != 0 && sessions->slots[slot].id == id;
    return there ? &sessions->slots[slot] : NULL;
}

static uint32_t take_slot(sp_sessions *sessions)
{
    uint32_t slot = SP_NONE;
    if (sessions->used_up_to < sessions->caps) {
        slot = sessions->used_up_to++;
    } else if (sessions->free_first != SP_NONE) {
        slot = sessions->free_first;
        sessions->free_first = sessions->slots[slot].next_free;
        if (sessions->free_first == SP_NONE) {
            sessions->free_last = SP_NONE;
        }
    }
    return slot;
}

static void give_slot(sp_sessions *sessions, uint32_t slot)
{
    sessions->slots[slot] = (sp_session_slot){.next_free = SP_NONE};
    if (sessions->free_last != SP_NONE) {
        sessions->slots[sessions->free_last].next_free = slot;
    } else {
        sessions->free_first = slot;
    }
    sessions->free_last = slot;
}

static uint32_t find_slot(const sp_sessions *sessions, uint64_t id)
{
    for (uint32_t i = 0; i < sessions->used_up_to && id != 0; i++) {
        if (sessions->slots[i].id == id) {
            return i;
        }
    }
    return SP_NONE;
}

/* ---- views ---- */

void sp_session_view_of(const sp_sessions *sessions, uint32_t at, sp_session_view *ret_view)
{
    const sp_session_slot *slot = &sessions->slots[at];
    *ret_view = (sp_session_view){
        .id = slot->id,
        .slot = at,
        .person = slot->person,
        .device_slot = slot->device_slot,
        .device = slot->device,
        .strength = slot->strength,
        .kind = slot->kind,
        .started_unix_s = slot->started_unix_s,
        .auth_unix_s = slot->auth_unix_s,
        .seen_unix_s = slot->seen_unix_s,
        .expires_unix_s = slot->expires_unix_s,
        .person_name = slot->person_name,
        .peer = slot->peer,
        .user_agent = slot->user_agent,
    };
}

void sp_sessions_each(sp_core *core, uint32_t person,
                      void (*visit)(void *self, const sp_session_view *view), void *self)
{
    const sp_sessions *sessions = core->sessions;
    for (uint32_t i = 0; i < sessions->used_up_to; i++) {
        const sp_session_slot *slot = &sessions->slots[i];
        if (slot->id != 0 && (person == 0 || slot->person == person)) {
            sp_session_view view;
            sp_session_view_of(sessions, i, &view);
            visit(self, &view);
        }
    }
}

void sp_sessions_from(sp_core *core, uint32_t at, uint32_t person,
                      bool (*visit)(void *self, const sp_session_view *view), void *self)
{
    const sp_sessions *sessions = core->sessions;
    bool more = true;
    for (uint32_t i = at; i < sessions->used_up_to && more; i++) {
        const sp_session_slot *slot = &sessions->slots[i];
        if (slot->id != 0 && (person == 0 || slot->person == person)) {
            sp_session_view view;
            sp_session_view_of(sessions, i, &view);
            more = visit(self, &view);
        }
    }
}

bool sp_sessions_find(sp_core *core, uint64_t id, sp_session_view *ret_view)
{
    uint32_t slot = find_slot(core->sessions, id);
    if (slot != SP_NONE) {
        sp_session_view_of(core->sessions, slot, ret_view);
    }
    return slot != SP_NONE;
}

/* ---- the live table ---- */

static sp_err publish(sp_sessions *sessions, uint32_t at)
{
    const sp_session_slot *slot = &sessions->slots[at];
    sp_live_session live = {.id = slot->id,
                            .started_unix_s = slot->started_unix_s,
                            .auth_unix_s = slot->auth_unix_s,
                            .expires_unix_s = slot->expires_unix_s,
                            .person = slot->person,
                            .device = slot->device_slot,
                            .state = SP_SESSION_LIVE,
                            .strength = slot->strength};
    TRY(sp_fit(live.person_name, sizeof(live.person_name), sp_span_cstr(slot->person_name)));
    TRY(sp_roles_of(sessions->core->store, slot->person, live.roles));
    return sp_live_session_put(&sessions->core->live, at, &live);
}

static sp_err publish_token(sp_sessions *sessions, uint32_t at, const sp_hash *hash, sp_span host)
{
    sp_session_slot *slot = &sessions->slots[at];
    sp_session_token *token = NULL;
    TRY(sp_alloc(1, sizeof(*token) + host.len + 1, &token));
    token->hash = *hash;
    sp_copy(token->host, host.ptr, host.len);
    sp_err err =
        sp_live_token_put(&sessions->core->live, hash, sp_live_audience(host), at, slot->id);
    if (sp_failed(err)) {
        sp_free(token);
        return err;
    }
    token->next = slot->tokens;
    slot->tokens = token;
    slot->token_count++;
    return sp_ok();
}

static void unpublish(sp_sessions *sessions, uint32_t at)
{
    sp_session_slot *slot = &sessions->slots[at];
    sp_live_session_end(&sessions->core->live, at);
    while (slot->tokens != NULL) {
        sp_session_token *token = slot->tokens;
        slot->tokens = token->next;
        sp_live_token_remove(&sessions->core->live, &token->hash);
        sp_free(token);
    }
}

static void changed(sp_core *core, uint32_t person, uint64_t id)
{
    char text[SP_SESSION_ID_TEXT_BYTES];
    sp_session_id_text(id, text);
    sp_sse_publish(core, SP_TOPIC_SESSIONS, 0, "sessions", json_pack("{s:s}", "id", text));
    sp_sse_publish(core, SP_TOPIC_ME, person, "me", json_pack("{s:s}", "what", "session"));
}

/* ---- what has been taken away meanwhile ---- */

sp_session_mark sp_sessions_mark(const sp_core *core)
{
    return core->sessions->falls + 1;
}

static void remember_fall(sp_sessions *sessions, uint32_t person)
{
    sessions->falls++;
    sessions->fallen[sessions->falls % SP_SESSION_FALLS] =
        (sp_session_fall){sessions->falls, person};
}

bool sp_sessions_stands(const sp_core *core, uint32_t person, sp_session_mark since)
{
    const sp_sessions *sessions = core->sessions;
    sp_person found;
    if (since == 0 || since + SP_SESSION_FALLS <= sessions->falls ||
        sp_failed(sp_people_get(core->store, person, &found)) || found.state != SP_PERSON_ACTIVE) {
        return false;
    }
    for (size_t i = 0; i < SP_SESSION_FALLS; i++) {
        if (sessions->fallen[i].person == person && sessions->fallen[i].when >= since) {
            return false;
        }
    }
    return true;
}

/* ---- opening ---- */

static void new_token(char ret_text[SP_TOKEN_TEXT_BYTES + 1], sp_hash *ret_hash)
{
    uint8_t token[SP_TOKEN_BYTES];
    auto_buf sp_buf text = sp_buf_make(SP_TOKEN_TEXT_BYTES + 1);
    sp_random(token, sizeof(token));
    sp_buf_base64url(&text, sp_span_of(token, sizeof(token)));
    sp_copy(ret_text, text.ptr, SP_TOKEN_TEXT_BYTES);
    ret_text[SP_TOKEN_TEXT_BYTES] = '\0';
    *ret_hash = sp_sha256(sp_buf_borrow(&text));
    sp_wipe(token, sizeof(token));
    sp_buf_wipe(&text);
}

static sp_err fill_slot(sp_core *core, const sp_session_new *fresh, sp_session_slot *slot)
{
    uint64_t now = now_s();
    *slot = (sp_session_slot){.id = sp_random_u64() | 1,
                              .person = fresh->person,
                              .device_slot = fresh->device_slot,
                              .next_free = SP_NONE,
                              .strength = fresh->strength,
                              .kind = fresh->kind,
                              .started_unix_s = now,
                              .auth_unix_s = now,
                              .seen_unix_s = now,
                              .expires_unix_s = now + sp_sessions_life_s(core)};
    if (fresh->device_slot != SP_NONE) {
        sp_live_device device;
        TRY(sp_live_device_get(&core->live, fresh->device_slot, &device));
        slot->device = device.id;
    }
    TRY(sp_fit(slot->person_name, sizeof(slot->person_name), sp_span_cstr(fresh->person_name)));
    TRY(sp_fit(slot->peer, sizeof(slot->peer), fresh->peer));
    sp_span agent = sp_span_slice(fresh->user_agent, 0, SP_SESSION_AGENT_BYTES);
    return sp_fit(slot->user_agent, sizeof(slot->user_agent),
                  sp_span_is_utf8(agent) ? agent : SP_SPAN_EMPTY);
}

/* SSH connections have limits of their own, and end with their connection. */
static void make_room(sp_core *core, uint32_t person)
{
    const sp_sessions *sessions = core->sessions;
    const sp_session_slot *idlest = NULL;
    size_t held = 0;
    for (uint32_t i = 0; i < sessions->used_up_to; i++) {
        const sp_session_slot *slot = &sessions->slots[i];
        if (slot->id != 0 && slot->person == person && slot->kind != SP_SESSION_SSH) {
            idlest = idlest == NULL || slot->seen_unix_s < idlest->seen_unix_s ? slot : idlest;
            held++;
        }
    }
    if (held >= SP_SESSION_PERSON_MAX) {
        SP_IGNORE(sp_sessions_end(core, idlest->id, SP_END_REPLACED, person)); /* it is there */
    }
}

sp_err sp_sessions_open(sp_core *core, const sp_session_new *fresh,
                        char ret_token_text[SP_TOKEN_TEXT_BYTES + 1], sp_session_view *ret_view)
{
    sp_sessions *sessions = core->sessions;
    sp_session_slot slot;
    sp_hash hash;
    sp_span host = sp_span_cstr(core->portal_host);
    if (!sp_sessions_stands(core, fresh->person, fresh->since)) {
        return sp_fail(SP_EDENIED);
    }
    TRY(fill_slot(core, fresh, &slot));
    if (fresh->kind != SP_SESSION_SSH) {
        make_room(core, fresh->person);
    }
    uint32_t at = take_slot(sessions);
    if (at == SP_NONE) {
        return sp_fail(SP_ELIMIT);
    }
    new_token(ret_token_text, &hash);
    sp_err err = sp_session_row_add(
        core->store, &slot, fresh->has_certificate ? &fresh->certificate : NULL, &hash, host);
    if (sp_failed(err)) {
        give_slot(sessions, at);
        return err;
    }
    sessions->slots[at] = slot;
    sessions->count++;
    err = publish(sessions, at);
    if (!sp_failed(err)) {
        err = publish_token(sessions, at, &hash, host);
    }
    if (sp_failed(err)) {
        SP_IGNORE(sp_sessions_end(core, slot.id, SP_END_REPLACED, 0)); /* it is there */
        return err;
    }
    sp_session_view_of(sessions, at, ret_view);
    changed(core, slot.person, slot.id);
    return sp_ok();
}

static void drop_host_token(sp_sessions *sessions, sp_session_slot *slot, sp_span host)
{
    for (sp_session_token **at = &slot->tokens; *at != NULL; at = &(*at)->next) {
        if (sp_span_eq(sp_span_cstr((*at)->host), host)) {
            sp_session_token *old = *at;
            *at = old->next;
            slot->token_count--;
            sp_live_token_remove(&sessions->core->live, &old->hash);
            sp_free(old);
            return;
        }
    }
}

sp_err sp_sessions_add_token(sp_core *core, uint32_t at, uint64_t id, sp_span host,
                             char ret_token_text[SP_TOKEN_TEXT_BYTES + 1])
{
    sp_sessions *sessions = core->sessions;
    sp_session_slot *slot = sp_session_slot_of(sessions, at, id);
    sp_hash hash;
    if (slot == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    if (slot->token_count >= SP_SESSION_HOSTS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    new_token(ret_token_text, &hash);
    TRY(sp_session_row_token(core->store, id, &hash, host));
    drop_host_token(sessions, slot, host);
    sp_err err = publish_token(sessions, at, &hash, host);
    if (sp_failed(err)) {
        SP_IGNORE(sp_session_row_token_remove(core->store, &hash)); /* it leads nowhere */
    }
    return err;
}

sp_err sp_sessions_step_up(sp_core *core, uint64_t id, sp_strength strength)
{
    uint32_t at = find_slot(core->sessions, id);
    if (at == SP_NONE) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_session_slot *slot = &core->sessions->slots[at];
    sp_session_slot next = *slot;
    if ((uint8_t)strength < slot->strength) {
        return sp_fail(SP_EDENIED);
    }
    next.auth_unix_s = now_s();
    next.strength = (uint8_t)strength;
    TRY(sp_session_row_auth(core->store, &next));
    *slot = next;
    return publish(core->sessions, at);
}

/* ---- ending ---- */

static void tell_end(sp_core *core, const sp_session_slot *slot, sp_end_reason reason,
                     uint32_t by_person)
{
    bool own = reason == SP_END_SIGN_OUT;
    sp_event event = {.when_unix_us = sp_now_unix_us(),
                      .kind = (uint8_t)(own ? SP_EVENT_SIGN_OUT : SP_EVENT_SESSION_END),
                      .session = slot->id,
                      .device = slot->device,
                      .person = slot->person,
                      .strength = slot->strength,
                      .verdict = SP_VERDICT_ALLOW,
                      .reason = SP_REASON_SESSION_ENDED,
                      .person_name = sp_span_cstr(slot->person_name),
                      .method = sp_span_cstr(sp_end_reason_word(reason))};
    sp_person by;
    if (by_person != 0 && !sp_failed(sp_people_get(core->store, by_person, &by))) {
        event.object = sp_span_cstr(by.name);
    }
    sp_ledger_client_tell(core->ledger, &event);
}

/* What the gates need not wait for: it is out of the live table, and they have been told. */
static void forget(sp_core *core, uint32_t at, sp_end_reason reason, uint32_t by_person)
{
    sp_session_slot ended = core->sessions->slots[at];
    give_slot(core->sessions, at);
    core->sessions->count--;
    sp_err err = sp_session_row_remove(core->store, ended.id);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "session %016llx has ended, but its row cannot be removed: %s",
               (unsigned long long)ended.id, sp_store_error_text(core->store));
    }
    tell_end(core, &ended, reason, by_person);
    sp_sse_end_session(core, ended.id, sp_end_reason_word(reason));
    changed(core, ended.person, ended.id);
}

sp_err sp_sessions_end(sp_core *core, uint64_t id, sp_end_reason reason, uint32_t by_person)
{
    uint32_t at = find_slot(core->sessions, id);
    if (at == SP_NONE) {
        return sp_fail(SP_ENOTFOUND);
    }
    unpublish(core->sessions, at);
    sp_state_again(core);
    forget(core, at, reason, by_person);
    return sp_ok();
}

static size_t end_those(sp_core *core, bool (*is_one)(const sp_session_slot *slot, uint64_t key),
                        uint64_t key, uint64_t except, sp_end_reason reason, uint32_t by_person)
{
    size_t ended = 0;
    const sp_session_slot *slots = core->sessions->slots;
    for (uint32_t i = 0; i < core->sessions->used_up_to; i++) {
        if (slots[i].id != 0 && slots[i].id != except && is_one(&slots[i], key)) {
            unpublish(core->sessions, i);
            ended++;
        }
    }
    if (ended == 0) {
        return 0;
    }
    sp_state_again(core);
    for (uint32_t i = 0; i < core->sessions->used_up_to; i++) {
        if (slots[i].id != 0 && slots[i].id != except && is_one(&slots[i], key)) {
            forget(core, i, reason, by_person);
        }
    }
    return ended;
}

static bool is_of_person(const sp_session_slot *slot, uint64_t key)
{
    return slot->person == key;
}

static bool is_on_device(const sp_session_slot *slot, uint64_t key)
{
    return slot->device_slot == key;
}

size_t sp_sessions_end_person(sp_core *core, uint32_t person, uint64_t except, sp_end_reason reason,
                              uint32_t by_person)
{
    remember_fall(core->sessions, person);
    return end_those(core, is_of_person, person, except, reason, by_person);
}

size_t sp_sessions_end_device(sp_core *core, uint32_t device_slot, sp_end_reason reason,
                              uint32_t by_person)
{
    return end_those(core, is_on_device, device_slot, 0, reason, by_person);
}

static bool is_too_old(const sp_session_slot *slot, uint64_t now)
{
    return slot->expires_unix_s <= now;
}

static bool began_by(const sp_session_slot *slot, uint64_t when_unix_s)
{
    return slot->started_unix_s <= when_unix_s;
}

static bool is_unused_since(const sp_session_slot *slot, uint64_t when_unix_s)
{
    return slot->seen_unix_s <= when_unix_s;
}

/* ---- use and change ---- */

void sp_sessions_seen(sp_core *core, uint32_t at, uint64_t id, uint64_t now_unix_s)
{
    sp_session_slot *slot = sp_session_slot_of(core->sessions, at, id);
    if (slot != NULL && now_unix_s > slot->seen_unix_s) {
        slot->seen_unix_s = now_unix_s;
        slot->seen_changed = true;
    }
}

void sp_sessions_refresh_person(sp_core *core, uint32_t person)
{
    bool any = false;
    for (uint32_t i = 0; i < core->sessions->used_up_to; i++) {
        const sp_session_slot *slot = &core->sessions->slots[i];
        if (slot->id == 0 || slot->person != person) {
            continue;
        }
        any = true;
        if (sp_failed(publish(core->sessions, i))) { /* old roles must not stay in force */
            unpublish(core->sessions, i);
            forget(core, i, SP_END_PERSON, 0);
        }
    }
    if (any) {
        sp_state_again(core);
    }
}

static bool is_proved_by(const sp_session_slot *slot, uint64_t when_unix_s)
{
    return slot->auth_unix_s <= when_unix_s;
}

void sp_sessions_clock_set(sp_core *core, int64_t by_s)
{
    sp_sessions *sessions = core->sessions;
    int64_t ends_s = by_s < 0 ? by_s : 0;
    if (ends_s != 0) { /* a proof that is moved before all time would be as good as new for ever */
        end_those(core, is_proved_by, 0 - (uint64_t)ends_s, 0, SP_END_EXPIRED, 0);
    }
    for (uint32_t i = 0; i < sessions->used_up_to; i++) {
        sp_session_slot *slot = &sessions->slots[i];
        if (slot->id == 0) {
            continue;
        }
        slot->seen_unix_s = sp_clock_moved(slot->seen_unix_s, by_s);
        slot->started_unix_s = sp_clock_moved(slot->started_unix_s, ends_s);
        slot->auth_unix_s = sp_clock_moved(slot->auth_unix_s, ends_s);
        slot->expires_unix_s = sp_clock_moved(slot->expires_unix_s, ends_s);
        if (ends_s != 0 && sp_failed(publish(sessions, i))) { /* the old end must not stay */
            unpublish(sessions, i);
            forget(core, i, SP_END_EXPIRED, 0);
        }
    }
}

sp_err sp_sessions_clock_rows(sp_core *core, int64_t by_s, int64_t back_s)
{
    return sp_session_rows_move(core->store, by_s, back_s);
}

static void on_tick(uv_timer_t *timer)
{
    sp_sessions *sessions = timer->data;
    sp_clock_look(sessions->core);
    uint64_t now = now_s();
    end_those(sessions->core, is_too_old, now, 0, SP_END_EXPIRED, 0);
    /* the Office may have said less since */
    end_those(sessions->core, began_by, now - sp_sessions_life_s(sessions->core), 0, SP_END_EXPIRED,
              0);
    end_those(sessions->core, is_unused_since, now - sp_sessions_idle_s(sessions->core), 0,
              SP_END_IDLE, 0);
    if (++sessions->ticks % FLUSH_TICKS == 0) {
        sp_err err = sp_session_rows_seen(sessions);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "the times of last use cannot be stored: %s",
                   sp_store_error_text(sessions->core->store));
        }
    }
}

/* ---- start, load, stop ---- */

sp_err sp_sessions_start(sp_core *core, sp_sessions **ret_sessions)
{
    auto_free sp_sessions *sessions = NULL;
    TRY(sp_session_rows_start(core->store));
    TRY(sp_alloc(1, sizeof(*sessions), &sessions));
    sessions->core = core;
    sessions->caps = core->live.caps.sessions;
    sessions->free_first = SP_NONE;
    sessions->free_last = SP_NONE;
    TRY(sp_alloc(sessions->caps, sizeof(*sessions->slots), &sessions->slots));
    TRY(sp_tickets_start(core, &sessions->tickets));
    if (uv_timer_init(core->loop, &sessions->timer) != 0) {
        return sp_fail(SP_EIO);
    }
    sessions->timer.data = sessions;
    uv_timer_start(&sessions->timer, on_tick, TICK_MS, TICK_MS);
    *ret_sessions = SP_STEAL(sessions);
    return sp_ok();
}

static uint32_t device_slot_of(const sp_live *live, uint64_t device)
{
    for (uint32_t i = 0; device != 0 && i < live->caps.devices; i++) {
        sp_live_device found;
        if (!sp_failed(sp_live_device_get(live, i, &found)) && found.id == device) {
            return i;
        }
    }
    return SP_NONE;
}

typedef struct {
    sp_sessions *sessions;
    uint32_t at;
    sp_err err;
} loading;

/* One that has no room is left out: its host is entered again. */
static void load_token(void *self, const sp_hash *hash, sp_span host)
{
    loading *load = self;
    if (!sp_failed(load->err)) {
        load->err = publish_token(load->sessions, load->at, hash, host);
    }
    if (load->err.code == SP_ELIMIT) {
        load->err = sp_ok();
    }
}

/* A session whose device is not there any more is not taken over. */
static void load_session(void *self, const sp_session_slot *row)
{
    loading *load = self;
    sp_sessions *sessions = load->sessions;
    uint32_t device_slot = device_slot_of(&sessions->core->live, row->device);
    if (sp_failed(load->err) || row->expires_unix_s <= now_s() ||
        (row->device != 0 && device_slot == SP_NONE)) {
        return;
    }
    load->at = take_slot(sessions);
    if (load->at == SP_NONE) {
        return;
    }
    sp_session_slot *slot = &sessions->slots[load->at];
    *slot = *row;
    slot->device_slot = device_slot;
    slot->next_free = SP_NONE;
    sessions->count++;
    load->err = publish(sessions, load->at);
    if (!sp_failed(load->err)) {
        load->err = sp_session_row_tokens(sessions->core->store, slot->id, load_token, load);
    }
}

sp_err sp_sessions_load(sp_core *core)
{
    loading load = {core->sessions, SP_NONE, sp_ok()};
    TRY(sp_session_rows_each(core->store, load_session, &load));
    return load.err;
}

static void timer_closed(uv_handle_t *handle)
{
    sp_sessions *sessions = handle->data;
    for (uint32_t i = 0; i < sessions->used_up_to; i++) {
        sp_session_slot *slot = &sessions->slots[i];
        while (slot->tokens != NULL) {
            sp_session_token *token = slot->tokens;
            slot->tokens = token->next;
            sp_free(token);
        }
    }
    sp_tickets_free(sessions->tickets);
    sp_free(sessions->slots);
    sp_free(sessions);
}

void sp_sessions_stop(sp_sessions *sessions)
{
    if (sessions != NULL) {
        SP_IGNORE(sp_session_rows_seen(sessions)); /* a time of last use may be lost */
        uv_timer_stop(&sessions->timer);
        uv_close((uv_handle_t *)&sessions->timer, timer_closed);
    }
}
