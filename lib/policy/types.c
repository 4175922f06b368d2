/* SPDX-License-Identifier: Apache-2.0
 * Words of the vocabulary.
 * OWNS nothing. PROCESS all. TRUST words to look up may be hostile. SPEC lib/policy/types.h.
 */
#include "lib/policy/types.h"

#include "lib/base/mem.h"

static const char *const ACTIONS[] = {"connect", "read",    "write",      "export",  "import",
                                      "alter",   "destroy", "administer", "execute", "forward"};
static const char *const OWNERS[] = {"unknown", "personal", "company"};
static const char *const POSTURES[] = {"unknown", "unhealthy", "healthy"};
static const char *const STRENGTHS[] = {"none", "password", "totp", "passkey"};
static const char *const VERDICTS[] = {"deny", "ask", "allow"};
static const char *const REASONS[] = {"none",
                                      "rule",
                                      "no-rule",
                                      "deny-rule",
                                      "never",
                                      "no-session",
                                      "session-ended",
                                      "session-on-another-device",
                                      "device-unknown",
                                      "device-owner",
                                      "device-posture",
                                      "device-pending",
                                      "device-quarantined",
                                      "device-revoked",
                                      "strength",
                                      "hours",
                                      "network",
                                      "approval",
                                      "unparsed",
                                      "unrecordable",
                                      "unavailable",
                                      "limit"};

_Static_assert(SP_COUNT(ACTIONS) == SP_ACTION_COUNT, "a word for each action");
_Static_assert(SP_COUNT(OWNERS) == SP_OWNER_COUNT, "a word for each owner");
_Static_assert(SP_COUNT(POSTURES) == SP_POSTURE_COUNT, "a word for each posture");
_Static_assert(SP_COUNT(STRENGTHS) == SP_STRENGTH_COUNT, "a word for each strength");
_Static_assert(SP_COUNT(VERDICTS) == SP_VERDICT_COUNT, "a word for each verdict");
_Static_assert(SP_COUNT(REASONS) == SP_REASON_COUNT, "a word for each reason");

static const char *word_at(const char *const *words, size_t count, size_t at)
{
    return at < count ? words[at] : "?";
}

static bool find(const char *const *words, size_t count, sp_span word, size_t *ret_at)
{
    for (size_t i = 0; i < count; i++) {
        if (sp_span_eq(word, sp_span_cstr(words[i]))) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

const char *sp_action_word(sp_action action)
{
    return word_at(ACTIONS, SP_COUNT(ACTIONS), action);
}

const char *sp_owner_word(sp_owner owner)
{
    return word_at(OWNERS, SP_COUNT(OWNERS), owner);
}

const char *sp_posture_word(sp_posture posture)
{
    return word_at(POSTURES, SP_COUNT(POSTURES), posture);
}

const char *sp_strength_word(sp_strength strength)
{
    return word_at(STRENGTHS, SP_COUNT(STRENGTHS), strength);
}

const char *sp_verdict_word(sp_verdict verdict)
{
    return word_at(VERDICTS, SP_COUNT(VERDICTS), verdict);
}

const char *sp_reason_word(sp_reason reason)
{
    return word_at(REASONS, SP_COUNT(REASONS), reason);
}

bool sp_action_of(sp_span word, sp_action *ret_action)
{
    size_t at = 0;
    bool found = find(ACTIONS, SP_COUNT(ACTIONS), word, &at);
    if (found) {
        *ret_action = (sp_action)at;
    }
    return found;
}

bool sp_owner_of(sp_span word, sp_owner *ret_owner)
{
    size_t at = 0;
    bool found = find(OWNERS, SP_COUNT(OWNERS), word, &at);
    if (found) {
        *ret_owner = (sp_owner)at;
    }
    return found;
}

bool sp_posture_of(sp_span word, sp_posture *ret_posture)
{
    size_t at = 0;
    bool found = find(POSTURES, SP_COUNT(POSTURES), word, &at);
    if (found) {
        *ret_posture = (sp_posture)at;
    }
    return found;
}

bool sp_strength_of(sp_span word, sp_strength *ret_strength)
{
    size_t at = 0;
    bool found = find(STRENGTHS, SP_COUNT(STRENGTHS), word, &at);
    if (found) {
        *ret_strength = (sp_strength)at;
    }
    return found;
}
