/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing the opener of snapshots: the checksum is made right, so that everything behind it is
 * reached; what opens must answer every question without reading past its end.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/policy/decide.h.
 */
#include "lib/base/mem.h"
#include "lib/policy/database.h"
#include "lib/policy/snapshot.h"
#include "lib/policy/ssh.h"
#include "lib/policy/web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SUMMED = sizeof(snap_head) - SP_SHA256_BYTES, ASKED_MAX = 8 };

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void ask_database(const sp_policy *policy, uint32_t resource, const sp_subject *who)
{
    sp_database_resource database;
    sp_policy_budget budget;
    sp_action action = SP_ACTION_READ;
    sp_span orders = SP_SPAN_LIT("orders");
    if (sp_policy_database_resource(policy, resource, &database)) {
        sp_policy_database_schema(policy, resource, database.search_path);
    }
    sp_policy_database_reached(policy, resource, sp_policy_database_name(policy, resource, 0));
    sp_policy_database_account(policy, resource, who);
    sp_policy_database_account_missing(policy, resource, who);
    sp_policy_database_part(policy, resource, orders, SP_SPAN_LIT("public"), orders,
                            SP_SPAN_LIT("phone"));
    sp_policy_database_function(policy, resource, SP_SPAN_LIT("public"), orders, &action);
    sp_question q = {who, resource, SP_NONE, SP_ACTION_DESTROY, 1770000000, NULL, SP_FACE_ANY};
    sp_policy_database_whole(policy, &q, orders, SP_SPAN_EMPTY);
    for (uint32_t i = 0; i < least(sp_policy_budget_count(policy), ASKED_MAX); i++) {
        if (sp_policy_budget_of(policy, i, who, SP_ACTION_DESTROY, resource, &budget)) {
            sp_policy_budget_any(policy, who, SP_ACTION_DESTROY, resource);
        }
    }
}

static void ask_ssh(const sp_policy *policy, uint32_t resource, const sp_subject *who)
{
    static sp_argv argv;
    sp_ssh_resource host;
    sp_span path = SP_SPAN_LIT("/srv/backup/x");
    if (sp_policy_ssh_resource(policy, resource, &host)) {
        sp_policy_ssh_host_ca_trusts(policy, resource, sp_policy_ssh_host_key(policy, resource, 0));
        sp_policy_ssh_host_trusts(policy, resource, sp_policy_ssh_host_ca(policy, resource, 0));
        sp_policy_ssh_host_revoked(policy, resource, sp_policy_ssh_host_ca(policy, resource, 0));
    }
    sp_policy_ssh_account(policy, resource, who, SP_SPAN_LIT("ops"));
    sp_policy_ssh_account_missing(policy, resource, who, SP_SPAN_LIT("ops"));
    sp_policy_ssh_command(policy, resource, SP_SPAN_LIT("systemctl restart nginx"), &argv);
    sp_policy_ssh_command(policy, resource, SP_SPAN_LIT("scp -f /x"), &argv);
    sp_policy_ssh_listed_word(policy, resource, 0, 1);
    sp_policy_ssh_forward(policy, resource, SP_SPAN_LIT("127.0.0.1"), 5432);
    sp_policy_ssh_environment(policy, resource, SP_SPAN_LIT("LANG"));
    sp_policy_ssh_part(policy, resource, path);
    sp_policy_ssh_part(policy, resource, SP_SPAN_LIT("../x"));
    sp_question q = {who, resource, SP_NONE, SP_ACTION_EXECUTE, 1770000000, NULL, SP_FACE_ANY};
    sp_policy_ssh_whole(policy, &q, path);
    sp_policy_ssh_whole(policy, &q, SP_SPAN_LIT("/"));
}

static void ask(const sp_policy *policy, uint32_t resource)
{
    sp_subject who = {.person = 7,
                      .owner = SP_OWNER_COMPANY,
                      .posture = SP_POSTURE_HEALTHY,
                      .strength = SP_STRENGTH_PASSKEY,
                      .approvals = 1};
    who.roles[0] = UINT64_MAX;
    who.roles[3] = 1;
    sp_span path = SP_SPAN_LIT("/a/b/c");
    sp_web_place place = sp_policy_web_place(policy, resource, SP_SPAN_LIT("POST"), path);
    sp_web_resource web;
    if (sp_policy_web_resource(policy, resource, &web)) {
        sp_policy_web_find_host(policy, web.host);
    }
    sp_policy_web_is_export(policy, resource, place.part, SP_SPAN_LIT("text/csv; a=b"),
                            SP_SPAN_LIT("attachment"), 100);
    sp_policy_web_is_import(policy, resource, place.part, SP_SPAN_LIT("PUT"), SP_SPAN_LIT("a/b"),
                            UINT64_MAX);
    ask_database(policy, resource, &who);
    ask_ssh(policy, resource, &who);
    for (unsigned action = 0; action < SP_ACTION_COUNT; action++) {
        sp_question q = {&who,       resource, place.part, (sp_action)action,
                         1770000000, NULL,     SP_FACE_ANY};
        sp_decision d = sp_policy_decide(policy, &q);
        sp_policy_rule_name(policy, d.rule);
        sp_policy_class_name(policy, d.class_level);
        q.part = SP_NONE;
        who.owner = (uint8_t)(action % SP_OWNER_COUNT);
        who.posture = (uint8_t)(action % SP_POSTURE_COUNT);
        sp_policy_decide(policy, &q);
        ask_database(policy, resource, &who);
    }
    sp_policy_resource_find(policy, sp_policy_resource_name(policy, resource));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = NULL;
    if (size < sizeof(snap_head) || sp_failed(sp_alloc(size, 1, &bytes))) {
        return 0;
    }
    sp_copy(bytes, data, size);
    snap_head head;
    sp_copy(&head, bytes, sizeof(head));
    head.magic = SNAP_MAGIC;
    head.format = SNAP_FORMAT;
    head.size_bytes = size;
    sp_copy(bytes, &head, sizeof(head));
    sp_span parts[2] = {{bytes, SUMMED}, {bytes + sizeof(head), size - sizeof(head)}};
    sp_hash sum = sp_sha256_parts(parts, 2);
    sp_copy(bytes + SUMMED, sum.bytes, sizeof(sum.bytes));
    sp_policy policy;
    if (!sp_failed(sp_policy_open(sp_span_of(bytes, size), &policy))) {
        for (uint32_t i = 0; i < least(sp_policy_resource_count(&policy), ASKED_MAX); i++) {
            ask(&policy, i);
        }
    }
    sp_free(bytes);
    return 0;
}
