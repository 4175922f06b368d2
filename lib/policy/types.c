/* SPDX-License-Identifier: Apache-2.0
 * Words of the vocabulary.
 * OWNS nothing. PROCESS all. TRUST words to look up may be hostile. SPEC lib/policy/types.h.
 */
#include "lib/policy/types.h"

#include "lib/base/mem.h"

const char *const sp_action_words[] = {"connect", "read",    "write",   "export",
                                       "import",  "alter",   "destroy", "administer",
                                       "execute", "forward", NULL};
const char *const sp_owner_words[] = {"unknown", "personal", "company", NULL};
const char *const sp_posture_words[] = {"unknown", "unhealthy", "healthy", NULL};
const char *const sp_strength_words[] = {"none", "password", "totp", "passkey", NULL};
const char *const sp_verdict_words[] = {"deny", "ask", "allow", NULL};
const char *const sp_reason_words[] = {"none",
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
                                       "limit",
                                       "cut",
                                       "duty",
                                       NULL};
const char *const sp_mask_words[] = {"full", "mobile", "mainland-id", "bank-card", "email",
                                     "name", "hash",   "null",        NULL};

static const char *word_at(const char *const *words, size_t count, size_t at)
{
    return at < count ? words[at] : "?";
}

const char *sp_action_word(sp_action action)
{
    return word_at(sp_action_words, SP_ACTION_COUNT, action);
}

const char *sp_owner_word(sp_owner owner)
{
    return word_at(sp_owner_words, SP_OWNER_COUNT, owner);
}

const char *sp_posture_word(sp_posture posture)
{
    return word_at(sp_posture_words, SP_POSTURE_COUNT, posture);
}

const char *sp_strength_word(sp_strength strength)
{
    return word_at(sp_strength_words, SP_STRENGTH_COUNT, strength);
}

const char *sp_verdict_word(sp_verdict verdict)
{
    return word_at(sp_verdict_words, SP_VERDICT_COUNT, verdict);
}

const char *sp_reason_word(sp_reason reason)
{
    return word_at(sp_reason_words, SP_REASON_COUNT, reason);
}

bool sp_action_of(sp_span word, sp_action *ret_action)
{
    size_t at = sp_span_which(word, sp_action_words, SP_ACTION_COUNT);
    if (at < SP_ACTION_COUNT) {
        *ret_action = (sp_action)at;
    }
    return at < SP_ACTION_COUNT;
}

bool sp_owner_of(sp_span word, sp_owner *ret_owner)
{
    size_t at = sp_span_which(word, sp_owner_words, SP_OWNER_COUNT);
    if (at < SP_OWNER_COUNT) {
        *ret_owner = (sp_owner)at;
    }
    return at < SP_OWNER_COUNT;
}

bool sp_posture_of(sp_span word, sp_posture *ret_posture)
{
    size_t at = sp_span_which(word, sp_posture_words, SP_POSTURE_COUNT);
    if (at < SP_POSTURE_COUNT) {
        *ret_posture = (sp_posture)at;
    }
    return at < SP_POSTURE_COUNT;
}

bool sp_strength_of(sp_span word, sp_strength *ret_strength)
{
    size_t at = sp_span_which(word, sp_strength_words, SP_STRENGTH_COUNT);
    if (at < SP_STRENGTH_COUNT) {
        *ret_strength = (sp_strength)at;
    }
    return at < SP_STRENGTH_COUNT;
}
