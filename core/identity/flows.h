/* SPDX-License-Identifier: Apache-2.0
 * Flows: what is under way in several requests (a sign-in, a set-up, a new passkey), in memory.
 *
 * Story: a flow is found by an unguessable id that the browser sends back. It lives 10 minutes (a
 * set-up: 30) and is gone when it has done its work. Holding its id gives nothing by itself: each
 * step still needs its proof.
 *
 * OWNS flows. PROCESS core. TRUST ids are hostile. SPEC docs/api/openapi.yaml "Flow".
 */
#ifndef SP_CORE_IDENTITY_FLOWS_H
#define SP_CORE_IDENTITY_FLOWS_H

#include "core/identity/credentials.h"
#include "core/identity/totp.h"

typedef enum {
    SP_FLOW_SIGN_IN,     /* name, then password, then code */
    SP_FLOW_PASSKEY,     /* a challenge for signing in */
    SP_FLOW_SETUP,       /* a link is being used */
    SP_FLOW_NEW_TOTP,    /* of somebody signed in */
    SP_FLOW_NEW_PASSKEY, /* of somebody signed in */
    SP_FLOW_STEP_UP,     /* a challenge for step-up */
    SP_FLOW_KIND_COUNT
} sp_flow_kind;

enum {
    SP_FLOW_TEXT_BYTES = 43,
    SP_FLOW_LIFE_S = 600,
    SP_FLOW_SETUP_LIFE_S = 1800,
    SP_FLOW_CODE_TRIES = 3,
    SP_FLOW_PASSKEYS_MAX = 4,
    SP_FLOW_ADDRESS_MAX = 256
};

/* What a set-up has gathered; written to the store all at once at its end. */
typedef struct {
    sp_link link;
    char name[SP_NAME_MAX_BYTES + 1];
    char display[121];
    char mail[255];
    uint32_t role;                              /* of the first administrator */
    char password_hash[SP_PASSWORD_HASH_BYTES]; /* empty = none */
    bool has_totp;
    uint64_t totp_step;
    sp_passkey passkeys[SP_FLOW_PASSKEYS_MAX];
    size_t passkey_count;
} sp_setup;

typedef struct {
    char id[SP_FLOW_TEXT_BYTES + 1];
    uint8_t kind;
    uint64_t until_unix_s;            /* 0 = free */
    uint64_t address;                 /* who opened it */
    uint64_t session;                 /* of the person at work, for those signed in */
    uint64_t since;                   /* sp_session_mark of its beginning */
    uint32_t person;                  /* 0 = nobody known by that name */
    char name[SP_NAME_MAX_BYTES + 1]; /* as typed */
    bool password_given;
    bool password_right;
    bool busy; /* a step is being worked on */
    unsigned code_tries;
    bool has_challenge;
    uint8_t challenge[SP_WEBAUTHN_CHALLENGE_BYTES];
    bool has_secret;
    uint8_t secret[SP_TOTP_SECRET_BYTES];
    sp_setup *setup; /* SP_FLOW_SETUP only */
} sp_flow;

typedef struct sp_flows sp_flows;
SP_MUST sp_err sp_flows_new(sp_flows **ret_flows);
void sp_flows_free(sp_flows *flows);
/* address: who opens it (sp_limits_address_key). One address has at most SP_FLOW_ADDRESS_MAX at
 * once: then its own oldest gives way, so that nobody takes all there are. SP_EAGAIN: too many at
 * once. */
SP_MUST sp_err sp_flow_open(sp_flows *flows, sp_flow_kind kind, uint64_t address,
                            sp_flow **ret_flow);
/* NULL when there is none of that id and kind. Valid until the loop turns. */
sp_flow *sp_flow_find(sp_flows *flows, sp_flow_kind kind, sp_span id);
void sp_flow_close(sp_flow *flow);
/* A set-up by the same link that was begun before is dropped. */
void sp_flows_close_setup(sp_flows *flows, const sp_hash *link);
/* All that is under way for a person. */
void sp_flows_close_person(sp_flows *flows, uint32_t person);
void sp_flow_new_challenge(sp_flow *flow);
void sp_flow_new_secret(sp_flow *flow);

#endif
