/* SPDX-License-Identifier: Apache-2.0
 * The compiled policy as a gate sees it: a sealed, position-independent, read-only run of bytes,
 * and the decision over it.
 *
 * Story: core compiles documents (lib/policy/compile.h) into bytes, puts them into a sealed memfd
 * and hands that to every gate. A gate opens it once (all offsets are checked then, so that later
 * look-ups need no checks) and asks. Asking allocates nothing, takes no lock and reads no clock.
 *
 * OWNS nothing: the view points into the mapping, which must outlive it. PROCESS all gates, core.
 * TRUST the bytes come from core; opening still verifies every offset and count, because a gate
 * must not crash on a bad mapping. SPEC docs/ARCHITECTURE.md "Policy".
 */
#ifndef SP_POLICY_DECIDE_H
#define SP_POLICY_DECIDE_H

#include "lib/policy/types.h"

typedef struct {
    const uint8_t *base;
    size_t size_bytes;
} sp_policy;

/* Checks magic, version, checksum and every offset. SP_ECORRUPT. */
SP_MUST sp_err sp_policy_open(sp_span bytes, sp_policy *ret_policy);
uint64_t sp_policy_version(const sp_policy *policy);
/* SHA-256 of the canonical documents it was compiled from. */
const uint8_t *sp_policy_digest(const sp_policy *policy);

/* The answer. Never fails: what cannot be resolved is denied. */
sp_decision sp_policy_decide(const sp_policy *policy, const sp_question *question);

/* Whether the same people, from the same devices and for as long, agree to what these two rules ask
 * for: then whoever agrees for the one that wants more of them agrees for both. */
bool sp_policy_rules_ask_alike(const sp_policy *policy, uint32_t a, uint32_t b);

/* One thing that is about several objects. The graver decision holds: denied before asked before
 * allowed, of two asked the one that wants more people, else the higher class. With it come the
 * duties and the tighter limits of both, and where both ask, the rules of both. */
void sp_decision_join(const sp_policy *policy, sp_decision *into, const sp_decision *other);
/* Only the last of that: `other` asks as well. Nothing unless both ask. */
void sp_decision_ask_also(const sp_policy *policy, sp_decision *into, const sp_decision *other);
/* What those will have agreed to who agree to all that is asked; nothing, unless it asks. */
sp_agreed sp_decision_agreed(const sp_policy *policy, const sp_decision *asked);
/* Whether that is all that `asked` asks, an answer of this policy or of a later one. */
bool sp_agreed_covers(const sp_agreed *agreed, const sp_policy *policy, const sp_decision *asked);

/* Names, for events, pages and tokens; empty for an index out of range. */
sp_span sp_policy_rule_name(const sp_policy *policy, uint32_t rule);
sp_span sp_policy_class_name(const sp_policy *policy, uint8_t class_level);
sp_span sp_policy_resource_name(const sp_policy *policy, uint32_t resource);
uint32_t sp_policy_resource_count(const sp_policy *policy);
/* By name; SP_NONE when there is none. */
uint32_t sp_policy_resource_find(const sp_policy *policy, sp_span name);

#endif
