/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/identity share.
 * OWNS see each struct. PROCESS core. TRUST see identity.h. SPEC core/identity/README.md.
 */
#ifndef SP_CORE_IDENTITY_INSIDE_H
#define SP_CORE_IDENTITY_INSIDE_H

#include "core/http/json.h"
#include "core/http/router.h"
#include "core/identity/flows.h"
#include "core/identity/identity.h"
#include "core/identity/limits.h"
#include "core/identity/people.h"
#include "core/sessions/sessions.h"

enum { SP_OFFICE_SECRET_BYTES = 32, SP_HANDLE_BYTES = 16 };

struct sp_identity {
    sp_core *core;
    sp_flows *flows;
    sp_limits *limits;
    struct sp_limits_kept *limits_kept;
    sp_passwords *passwords;
    uint8_t secret[SP_OFFICE_SECRET_BYTES]; /* of user handles and decoys; not a credential */
};

static inline sp_identity *sp_identity_of(const sp_request *req)
{
    return sp_request_core(req)->identity;
}

/* ---- routes of each file ---- */
SP_MUST sp_err sp_signin_routes(sp_core *core);
SP_MUST sp_err sp_setup_routes(sp_core *core);
SP_MUST sp_err sp_stepup_routes(sp_core *core);
SP_MUST sp_err sp_me_routes(sp_core *core);
SP_MUST sp_err sp_my_credentials_routes(sp_core *core);
SP_MUST sp_err sp_accounts_routes(sp_core *core);
SP_MUST sp_err sp_cli_routes(sp_core *core);

/* ---- guard.c: limits and failures, alike for every way of signing in ---- */
/* Answers 429 and returns false when the address (or the account of that name, if not empty) must
 * wait. */
bool sp_guard_open(sp_request *req, sp_span account);
void sp_guard_failed(sp_request *req, sp_span account);
void sp_guard_worked(sp_request *req, sp_span account);
/* A guess at that account begins: see sp_identity_try. */
void sp_guard_try(sp_request *req, sp_span account);
/* Counts the failure of the address, writes it down, and answers 401 "sign_in_failed". person 0 =
 * nobody known. */
void sp_refuse_sign_in(sp_request *req, uint32_t person, sp_span account, const char *method,
                       const char *why);

/* ---- finish.c: the end of every sign-in ---- */
/* Who has proved himself, how, and from when on that must have stood. */
typedef struct {
    sp_session_mark since;
    uint32_t person;
    sp_strength strength;
    const char *method;
} sp_proof;
/* Writes it down, opens the session, sets the cookie, and answers with what `answer` makes of the
 * session's JSON (NULL: the schema SignInStep). */
typedef json_t *(*sp_sign_in_answer)(sp_request *req, json_t *session, void *data);
void sp_finish_sign_in(sp_request *req, const sp_proof *proof, sp_sign_in_answer answer,
                       void *data);
/* Opening failed: taken away meanwhile (401), or as errors are told. */
void sp_answer_not_opened(sp_request *req, sp_err err);

/* ---- totp secrets under the vault's key ---- */
typedef void (*sp_on_secret)(sp_request *req, sp_err err, sp_span bytes, void *data);
void sp_secret_seal(sp_request *req, uint32_t person, sp_span secret, sp_on_secret then,
                    void *data);
/* Takes a code of a person (0: nobody's, the same work): then(ok). The step is used up. */
typedef void (*sp_on_code)(sp_request *req, bool is_right, void *data);
/* account: whose try it was; taken back when the vault is away. */
void sp_code_check(sp_request *req, uint32_t person, sp_span account, sp_span code, sp_on_code then,
                   void *data);
/* The same without a request. SP_EAGAIN: the vault is away. */
typedef void (*sp_on_code_checked)(void *self, sp_err err, bool is_right);
void sp_identity_check_code(sp_core *core, uint32_t person, sp_span code, sp_on_code_checked then,
                            void *self);
/* Answers with the schema TotpSecret. */
void sp_answer_totp(sp_request *req, const sp_flow *flow, const char *name);

/* ---- ceremony.c: WebAuthn as the API speaks it ---- */
void sp_handle_of(const sp_identity *identity, uint32_t person,
                  uint8_t ret_handle[SP_HANDLE_BYTES]);
/* Answers {flow, public_key}. */
void sp_answer_creation(sp_request *req, sp_flow *flow, uint32_t person, const char *name,
                        const char *display);
/* person 0 with a name: a decoy credential that is always the same for that name. */
void sp_answer_request(sp_request *req, sp_flow *flow, uint32_t person, sp_span name);
/* Reads the browser's answer. On failure it has been answered (422), false. */
bool sp_read_new_passkey(sp_request *req, sp_flow *flow, const json_t *credential, sp_span name,
                         sp_passkey *ret_passkey);
/* Finds the passkey, verifies, and uses up its counter. SP_EDENIED for whatever does not fit;
 * SP_ECONFLICT: the counter did not grow (a copy of the key exists). *ret_person is set as soon as
 * it is known. */
SP_MUST sp_err sp_check_assertion(sp_request *req, sp_flow *flow, const json_t *credential,
                                  uint32_t *ret_person);

/* ---- identity.c ---- */
bool sp_identity_is_empty(sp_core *core);
/* The first administrator's link. Its own transaction. */
SP_MUST sp_err sp_first_link(sp_core *core, sp_buf *url, uint64_t *ret_expires);
/* After people or their roles changed. */
void sp_people_changed(sp_core *core);

/* ---- shared pieces ---- */
/* sp_flow_open for the address of the request. */
SP_MUST sp_err sp_flow_begin(const sp_request *req, sp_flow_kind kind, sp_flow **ret_flow);
/* Answers 409 "flow" and gives NULL when there is no such flow. */
sp_flow *sp_need_flow(sp_request *req, sp_flow_kind kind, sp_span id);
/* A new link, inside the caller's transaction: "https://portal/setup#TOKEN". */
SP_MUST sp_err sp_link_make(sp_core *core, uint32_t person, sp_link_kind kind, uint64_t life_s,
                            sp_buf *ret_url, uint64_t *ret_expires);
sp_span sp_peer_text(const sp_request *req, char *room, size_t room_bytes);

#endif
