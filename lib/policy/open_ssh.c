/* SPDX-License-Identifier: Apache-2.0
 * Opening a snapshot: what is in it of hosts reached by SSH, and the texts and accounts that they
 * share with databases.
 * OWNS nothing. PROCESS gates, core. TRUST the bytes may be anything. SPEC lib/policy/snapshot.h.
 */
#include "lib/policy/snapshot.h"
#include "lib/policy/ssh.h"

bool snap_texts_ok(const sp_policy *policy, snap_run run)
{
    if (!snap_run_ok(policy, run, SNAP_TYPES)) {
        return false;
    }
    const snap_text *texts = (const snap_text *)snap_at(policy, SNAP_TYPES) + run.at;
    for (uint32_t i = 0; i < run.count; i++) {
        if (!snap_text_ok(policy, texts[i])) {
            return false;
        }
    }
    return true;
}

bool snap_accounts_ok(const sp_policy *policy, snap_run run)
{
    if (!snap_run_ok(policy, run, SNAP_ACCOUNTS)) {
        return false;
    }
    const snap_account *accounts = (const snap_account *)snap_at(policy, SNAP_ACCOUNTS) + run.at;
    for (uint32_t i = 0; i < run.count; i++) {
        if (!snap_text_ok(policy, accounts[i].name) ||
            !snap_list_ok(policy, accounts[i].people, SP_NONE, true) || accounts[i].devices == 0 ||
            accounts[i].devices > SNAP_DEVICES_ALL) {
            return false;
        }
    }
    return true;
}

static bool listed_ok(const sp_policy *policy, snap_run run)
{
    if (!snap_run_ok(policy, run, SNAP_LISTED)) {
        return false;
    }
    const snap_listed *all = (const snap_listed *)snap_at(policy, SNAP_LISTED) + run.at;
    for (uint32_t i = 0; i < run.count; i++) {
        if (!snap_text_ok(policy, all[i].name) || !snap_texts_ok(policy, all[i].words) ||
            all[i].words.count == 0 || all[i].action >= SP_ACTION_COUNT) {
            return false;
        }
    }
    return true;
}

static bool forwards_ok(const sp_policy *policy, snap_run run)
{
    if (!snap_run_ok(policy, run, SNAP_FORWARDS)) {
        return false;
    }
    const snap_forward *all = (const snap_forward *)snap_at(policy, SNAP_FORWARDS) + run.at;
    for (uint32_t i = 0; i < run.count; i++) {
        if (!snap_text_ok(policy, all[i].host)) {
            return false;
        }
    }
    return true;
}

/* Parts of this resource that are not of the web. */
static bool parts_ok(const sp_policy *policy, const snap_resource *resource, snap_run run)
{
    uint64_t end = (uint64_t)resource->parts.at + resource->parts.count;
    return snap_run_ok(policy, resource->parts, SNAP_PARTS) &&
           (run.count == 0 || (run.at >= (uint64_t)resource->parts.at + resource->web_parts &&
                               (uint64_t)run.at + run.count <= end));
}

bool snap_ssh_ok(const sp_policy *policy, const snap_resource *resource, uint32_t index)
{
    if (resource->ssh == SP_NONE) {
        return true;
    }
    if (resource->ssh >= snap_count(policy, SNAP_SSH)) {
        return false;
    }
    const snap_ssh *s = (const snap_ssh *)snap_at(policy, SNAP_SSH) + resource->ssh;
    return s->resource == index && snap_text_ok(policy, s->host) && s->port != 0 &&
           s->sign_in < SP_SSH_SIGN_IN_COUNT && s->alarm < SP_SSH_ALARM_COUNT && s->idle_s > 0 &&
           snap_texts_ok(policy, s->host_keys) && snap_texts_ok(policy, s->host_cas) &&
           snap_texts_ok(policy, s->revoked) && s->host_keys.count + s->host_cas.count > 0 &&
           snap_accounts_ok(policy, s->accounts) && listed_ok(policy, s->commands) &&
           forwards_ok(policy, s->forwards) && snap_texts_ok(policy, s->environment) &&
           parts_ok(policy, resource, s->parts);
}
