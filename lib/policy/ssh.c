/* SPDX-License-Identifier: Apache-2.0
 * Look-ups of hosts reached by SSH in a snapshot.
 * OWNS nothing. PROCESS ssh gate, core. TRUST names, paths and commands are hostile; the snapshot
 * was checked by sp_policy_open. SPEC lib/policy/ssh.h.
 */
#include "lib/policy/ssh.h"

#include "lib/base/mem.h"
#include "lib/policy/snapshot.h"

static const snap_ssh *ssh_of(const sp_policy *policy, uint32_t resource)
{
    const snap_resource *r = snap_resource_at(policy, resource);
    if (r == NULL || r->ssh == SP_NONE) {
        return NULL;
    }
    return (const snap_ssh *)snap_at(policy, SNAP_SSH) + r->ssh;
}

bool sp_policy_ssh_resource(const sp_policy *policy, uint32_t resource, sp_ssh_resource *ret_ssh)
{
    const snap_resource *r = snap_resource_at(policy, resource);
    const snap_ssh *s = ssh_of(policy, resource);
    if (s == NULL) {
        return false;
    }
    *ret_ssh = (sp_ssh_resource){
        .host = snap_span(policy, s->host),
        .port = s->port,
        .sign_in = s->sign_in,
        .shell = (s->flags & SNAP_SSH_SHELL) != 0,
        .as_named = (s->flags & SNAP_SSH_AS_NAMED) != 0,
        .record_input = (s->flags & SNAP_SSH_RECORD_INPUT) != 0,
        .alarm = s->alarm,
        .idle_s = s->idle_s,
        .longest_s = s->longest_s,
        .bandwidth = (uint64_t)s->bandwidth_kibs * 1024,
        .title_en = snap_span(policy, r->title_en),
        .title_zh = snap_span(policy, r->title_zh),
        .host_keys = s->host_keys.count,
        .host_cas = s->host_cas.count,
        .accounts = s->accounts.count,
        .commands = s->commands.count,
        .forwards = s->forwards.count,
        .environment = s->environment.count,
    };
    return true;
}

sp_span sp_policy_ssh_host_key(const sp_policy *policy, uint32_t resource, uint32_t at)
{
    const snap_ssh *s = ssh_of(policy, resource);
    return s == NULL ? SP_SPAN_EMPTY : snap_text_at(policy, s->host_keys, at);
}

sp_span sp_policy_ssh_host_ca(const sp_policy *policy, uint32_t resource, uint32_t at)
{
    const snap_ssh *s = ssh_of(policy, resource);
    return s == NULL ? SP_SPAN_EMPTY : snap_text_at(policy, s->host_cas, at);
}

static bool run_has(const sp_policy *policy, snap_run run, sp_span blob)
{
    for (uint32_t i = 0; i < run.count; i++) {
        if (blob.len > 0 && sp_span_eq(snap_text_at(policy, run, i), blob)) {
            return true;
        }
    }
    return false;
}

bool sp_policy_ssh_host_trusts(const sp_policy *policy, uint32_t resource, sp_span key_blob)
{
    const snap_ssh *s = ssh_of(policy, resource);
    return s != NULL && run_has(policy, s->host_keys, key_blob);
}

bool sp_policy_ssh_host_ca_trusts(const sp_policy *policy, uint32_t resource, sp_span ca_blob)
{
    const snap_ssh *s = ssh_of(policy, resource);
    return s != NULL && run_has(policy, s->host_cas, ca_blob);
}

bool sp_policy_ssh_host_revoked(const sp_policy *policy, uint32_t resource, sp_span key_blob)
{
    const snap_ssh *s = ssh_of(policy, resource);
    return s == NULL || run_has(policy, s->revoked, key_blob);
}

sp_span sp_policy_ssh_account_at(const sp_policy *policy, uint32_t resource, const sp_subject *who,
                                 uint32_t at)
{
    const snap_ssh *s = ssh_of(policy, resource);
    return s == NULL ? SP_SPAN_EMPTY : snap_account_at(policy, s->accounts, who, at);
}

sp_span sp_policy_ssh_any_account(const sp_policy *policy, uint32_t resource, uint32_t at)
{
    const snap_ssh *s = ssh_of(policy, resource);
    if (s == NULL || at >= s->accounts.count) {
        return SP_SPAN_EMPTY;
    }
    const snap_account *all = (const snap_account *)snap_at(policy, SNAP_ACCOUNTS) + s->accounts.at;
    return snap_span(policy, all[at].name);
}

sp_span sp_policy_ssh_account(const sp_policy *policy, uint32_t resource, const sp_subject *who,
                              sp_span wanted)
{
    const snap_ssh *s = ssh_of(policy, resource);
    for (uint32_t i = 0; s != NULL && i < s->accounts.count; i++) {
        sp_span name = snap_account_at(policy, s->accounts, who, i);
        if (name.len > 0 && (wanted.len == 0 || sp_span_eq(name, wanted))) {
            return name;
        }
    }
    return SP_SPAN_EMPTY;
}

sp_reason sp_policy_ssh_account_missing(const sp_policy *policy, uint32_t resource,
                                        const sp_subject *who, sp_span wanted)
{
    const snap_ssh *s = ssh_of(policy, resource);
    return s == NULL ? SP_REASON_DEFAULT : snap_account_missing(policy, s->accounts, who, wanted);
}

/* ---- commands ---- */

static const snap_listed *listed_at(const sp_policy *policy, uint32_t resource, uint32_t at)
{
    const snap_ssh *s = ssh_of(policy, resource);
    if (s == NULL || at >= s->commands.count) {
        return NULL;
    }
    return (const snap_listed *)snap_at(policy, SNAP_LISTED) + s->commands.at + at;
}

bool sp_policy_ssh_listed(const sp_policy *policy, uint32_t resource, uint32_t at,
                          sp_ssh_listed *ret_listed)
{
    const snap_listed *c = listed_at(policy, resource, at);
    if (c == NULL) {
        return false;
    }
    *ret_listed = (sp_ssh_listed){.name = snap_span(policy, c->name),
                                  .action = (sp_action)c->action,
                                  .words = c->words.count,
                                  .terminal = (c->flags & SNAP_LISTED_TERMINAL) != 0,
                                  .input = (c->flags & SNAP_LISTED_INPUT) != 0,
                                  .paths = (c->flags & SNAP_LISTED_PATHS) != 0};
    return true;
}

sp_span sp_policy_ssh_listed_word(const sp_policy *policy, uint32_t resource, uint32_t at,
                                  uint32_t word)
{
    const snap_listed *c = listed_at(policy, resource, at);
    return c == NULL ? SP_SPAN_EMPTY : snap_text_at(policy, c->words, word);
}

static bool fits(const sp_policy *policy, const snap_listed *c, const sp_argv *argv)
{
    if (c->words.count != argv->count) {
        return false;
    }
    for (uint32_t i = 0; i < c->words.count; i++) {
        if (!sp_argv_template_fits(snap_text_at(policy, c->words, i), argv->words[i])) {
            return false;
        }
    }
    return true;
}

sp_ssh_command sp_policy_ssh_command(const sp_policy *policy, uint32_t resource, sp_span command,
                                     sp_argv *argv)
{
    sp_ssh_command out = {.kind = SP_SSH_COMMAND_REFUSED, .listed_at = SP_NONE};
    const snap_ssh *s = ssh_of(policy, resource);
    bool words = !sp_failed(sp_argv_split(command, argv));
    if (s == NULL) {
        return out;
    }
    if (!words) {
        argv->count = 0;
        bool free_shell = (s->flags & SNAP_SSH_SHELL) != 0;
        out.kind = free_shell && !sp_command_looks_like_transfer(command) ? SP_SSH_COMMAND_FREE
                                                                          : SP_SSH_COMMAND_REFUSED;
        return out;
    }
    for (uint32_t i = 0; i < s->commands.count; i++) {
        const snap_listed *c = listed_at(policy, resource, i);
        if (fits(policy, c, argv)) {
            out.kind = SP_SSH_COMMAND_LISTED;
            out.listed_at = i;
            (void)sp_policy_ssh_listed(policy, resource, i, &out.listed);
            return out;
        }
    }
    out.transfer = sp_command_recognise(argv);
    if (out.transfer.kind == SP_COMMAND_OTHER) {
        out.kind = (s->flags & SNAP_SSH_SHELL) != 0 ? SP_SSH_COMMAND_FREE : SP_SSH_COMMAND_REFUSED;
    } else if (out.transfer.kind != SP_COMMAND_UNPARSED) {
        out.kind = SP_SSH_COMMAND_TRANSFER;
    }
    return out;
}

unsigned sp_policy_ssh_needs(const sp_command *transfer)
{
    static const unsigned comes =
        1U << SP_ACTION_IMPORT | 1U << SP_ACTION_DESTROY | 1U << SP_ACTION_EXECUTE;
    return transfer->to_target
               ? comes
               : 1U << SP_ACTION_EXPORT | (transfer->deletes ? 1U << SP_ACTION_DESTROY : 0);
}

/* ---- forwarding, environment ---- */

bool sp_policy_ssh_forward(const sp_policy *policy, uint32_t resource, sp_span host, uint32_t port)
{
    const snap_ssh *s = ssh_of(policy, resource);
    const snap_forward *all = snap_at(policy, SNAP_FORWARDS);
    for (uint32_t i = 0; s != NULL && i < s->forwards.count; i++) {
        const snap_forward *f = &all[s->forwards.at + i];
        if (f->port == port && sp_span_eq_nocase(snap_span(policy, f->host), host)) {
            return true;
        }
    }
    return false;
}

bool sp_policy_ssh_environment(const sp_policy *policy, uint32_t resource, sp_span name)
{
    const snap_ssh *s = ssh_of(policy, resource);
    for (uint32_t i = 0; s != NULL && i < s->environment.count; i++) {
        sp_span want = snap_text_at(policy, s->environment, i);
        bool open_end = want.len > 0 && want.ptr[want.len - 1] == '*';
        if (open_end ? sp_span_starts(name, sp_span_slice(want, 0, want.len - 1))
                     : sp_span_eq(name, want)) {
            return name.len > 0;
        }
    }
    return false;
}

/* ---- paths ---- */

static bool is_resolved(sp_span path)
{
    sp_span segment = SP_SPAN_EMPTY;
    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    while (sp_span_split(&path, '/', &segment)) {
        if (sp_span_eq(segment, SP_SPAN_LIT(".")) || sp_span_eq(segment, SP_SPAN_LIT("..")) ||
            sp_span_index(segment, 0) < segment.len) {
            return false;
        }
    }
    return true;
}

sp_ssh_part sp_policy_ssh_part(const sp_policy *policy, uint32_t resource, sp_span path)
{
    const snap_resource *r = snap_resource_at(policy, resource);
    const snap_ssh *s = ssh_of(policy, resource);
    if (r == NULL) {
        return (sp_ssh_part){.part = SP_NONE};
    }
    sp_ssh_part out = {SP_NONE, r->class_level, r->tags};
    bool resolved = is_resolved(path);
    const snap_part *parts = snap_at(policy, SNAP_PARTS);
    for (uint32_t i = 0; s != NULL && i < s->parts.count; i++) {
        const snap_part *p = &parts[s->parts.at + i];
        if (resolved && snap_path_matches(snap_span(policy, p->path), path, false)) {
            return (sp_ssh_part){s->parts.at + i, p->class_level, p->tags};
        }
        if (!resolved && p->class_level >= out.class_level) {
            out = (sp_ssh_part){s->parts.at + i, p->class_level, p->tags};
        }
    }
    return out;
}

sp_decision sp_policy_ssh_whole(const sp_policy *policy, const sp_question *question, sp_span path)
{
    sp_question asked = *question;
    asked.part = sp_policy_ssh_part(policy, question->resource, path).part;
    sp_decision worst = sp_policy_decide(policy, &asked);
    const snap_ssh *s = ssh_of(policy, question->resource);
    const snap_part *parts = snap_at(policy, SNAP_PARTS);
    bool resolved = is_resolved(path);
    for (uint32_t i = 0; s != NULL && i < s->parts.count; i++) {
        asked.part = s->parts.at + i;
        if (!resolved || snap_path_reaches(snap_span(policy, parts[asked.part].path), path)) {
            sp_decision one = sp_policy_decide(policy, &asked);
            sp_decision_join(policy, &worst, &one);
        }
    }
    return worst;
}

bool sp_policy_ssh_together(const sp_policy *policy, uint32_t resource, sp_span one, sp_span two)
{
    const snap_ssh *s = ssh_of(policy, resource);
    const snap_part *parts = snap_at(policy, SNAP_PARTS);
    uint32_t part = sp_policy_ssh_part(policy, resource, one).part;
    bool together = part == sp_policy_ssh_part(policy, resource, two).part;
    bool resolved = is_resolved(one) && is_resolved(two);
    for (uint32_t i = 0; s != NULL && i < s->parts.count && together; i++) {
        sp_span path = snap_span(policy, parts[s->parts.at + i].path);
        together = resolved && (s->parts.at + i == part ||
                                (!snap_path_reaches(path, one) && !snap_path_reaches(path, two)));
    }
    return together;
}

sp_decision sp_policy_ssh_best(const sp_policy *policy, const sp_question *question)
{
    sp_question asked = *question;
    asked.part = SP_NONE;
    sp_decision best = sp_policy_decide(policy, &asked);
    const snap_ssh *s = ssh_of(policy, question->resource);
    for (uint32_t i = 0; s != NULL && i < s->parts.count; i++) {
        asked.part = s->parts.at + i;
        sp_decision one = sp_policy_decide(policy, &asked);
        best = one.verdict > best.verdict ? one : best;
    }
    return best;
}

const char *sp_ssh_sign_in_word(sp_ssh_sign_in sign_in)
{
    static const char *const WORDS[] = {"certificate", "password", "key"};
    _Static_assert(SP_COUNT(WORDS) == SP_SSH_SIGN_IN_COUNT, "a word for each");
    return (unsigned)sign_in < SP_SSH_SIGN_IN_COUNT ? WORDS[sign_in] : "?";
}
