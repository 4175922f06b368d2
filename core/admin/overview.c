/* SPDX-License-Identifier: Apache-2.0
 * The office at a glance: figures, state of the ledger, published keys, and what is recorded about
 * people.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml
 * "/admin/overview", "/admin/ledger/status", "/jwks", "/me/recorded".
 */
#include "core/admin/events.h"
#include "core/devices/devices.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "core/reports/reports.h"
#include "core/sessions/sessions.h"
#include "core/state/gates.h"
#include "core/vault_client.h"
#include "infra/proc/clock.h"
#include "lib/policy/ssh.h"
#include "lib/proto/vault_msg.h"

enum { DAY_HOURS = 24, HOUR_S = 3600 };

typedef struct {
    sp_request *req;
    sp_ledger_stats stats;
    bool has_stats;
    bool started_verify;
    sp_arena *arena;
} asking;

static json_t *now_json(void)
{
    return sp_json_time(sp_now_unix_us() / 1000000);
}

static void set_count(json_t *to, const char *key, uint64_t count)
{
    json_object_set_new(to, key, json_integer((json_int_t)(count > INT64_MAX ? 0 : count)));
}

static json_t *time_of_us(uint64_t when_unix_us)
{
    return when_unix_us == 0 ? json_null() : sp_json_time(when_unix_us / 1000000);
}

/* ---- the ledger's figures, asked for by several answers ---- */

static void ask_stats(asking *a, sp_on_reply then)
{
    sp_ledger_client_call(sp_request_core(a->req)->ledger, SP_LEDGER_STATS, SP_SPAN_EMPTY, then, a);
}

static void take_stats(asking *a, sp_err err, sp_span body)
{
    sp_span kept = SP_SPAN_EMPTY;
    if (!sp_failed(err)) {
        err = sp_arena_copy(a->arena, body, &kept);
    }
    a->has_stats = !sp_failed(err) && !sp_failed(sp_ledger_stats_read(kept, &a->stats));
}

static asking *new_asking(sp_request *req)
{
    asking *a = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*a), &a);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    a->req = req;
    a->arena = sp_request_arena(req);
    return a;
}

/* ---- overview ---- */

static json_t *people_json(const sp_core *core)
{
    size_t counts[SP_PERSON_STATE_COUNT] = {0};
    SP_IGNORE(sp_people_count(core->store, counts)); /* zeros are shown then */
    json_t *object = json_object();
    set_count(object, "active", counts[SP_PERSON_ACTIVE]);
    set_count(object, "invited", counts[SP_PERSON_INVITED]);
    set_count(object, "disabled", counts[SP_PERSON_LOCKED]);
    set_count(object, "locked", 0); /* rate limits lock sign-ins, not accounts */
    return object;
}

static json_t *devices_json(sp_core *core)
{
    size_t counts[SP_DEVICE_COUNT];
    sp_devices_count(core, counts);
    json_t *object = json_object();
    set_count(object, "pending", counts[SP_DEVICE_PENDING]);
    set_count(object, "active", counts[SP_DEVICE_ACTIVE]);
    set_count(object, "quarantined", counts[SP_DEVICE_QUARANTINED]);
    set_count(object, "revoked", counts[SP_DEVICE_REVOKED]);
    return object;
}

static json_t *policy_json(sp_core *core)
{
    sp_policy_figures figures = sp_policy_set_figures(sp_documents_set(core->state->documents));
    json_t *object = sp_admin_version_json(core, sp_documents_version(core->state->documents));
    set_count(object, "nevers_proven", figures.nevers);
    set_count(object, "examples_passed", figures.examples);
    return object;
}

static json_t *ledger_json(const asking *a)
{
    json_t *object = json_object();
    json_object_set_new(object, "up", json_boolean(a->has_stats && a->stats.recording));
    set_count(object, "size", a->has_stats ? a->stats.entries : 0);
    set_count(object, "lost", a->has_stats ? a->stats.lost : 0);
    json_object_set_new(object, "checkpoint_at",
                        a->has_stats ? time_of_us(a->stats.checkpoint_unix_us) : json_null());
    return object;
}

static void add_attention(json_t *list, const char *code, const char *severity, size_t count)
{
    json_array_append_new(list, json_pack("{s:s,s:s,s:I}", "code", code, "severity", severity,
                                          "count", (json_int_t)count));
}

static void add_gaps(json_t *list, sp_core *core, const char *kind, const char *code,
                     const char *severity)
{
    size_t count = sp_gaps_count(core, sp_span_cstr(kind));
    if (count > 0) {
        add_attention(list, code, severity, count);
    }
}

/* Most urgent first. */
static json_t *attention_json(const asking *a)
{
    sp_core *core = sp_request_core(a->req);
    json_t *list = json_array();
    size_t devices[SP_DEVICE_COUNT];
    size_t held[SP_ROLE_NR_AUDIT + 1] = {0};
    sp_devices_count(core, devices);
    SP_IGNORE(sp_admins_count(core->store, held)); /* then all three are missing */
    if (!a->has_stats) {
        add_attention(list, "ledger_down", "critical", 1);
    } else if (!a->stats.recording) {
        add_attention(list, "ledger_not_recording", "critical", 1);
    }
    if (!sp_vault_client_is_up(core->vault)) {
        add_attention(list, "vault_down", "critical", 1);
    }
    if (a->has_stats && a->stats.verify == SP_LEDGER_VERIFY_BAD) {
        add_attention(list, "ledger_tampered", "critical", 1);
    }
    if (a->has_stats && a->stats.lost > 0) {
        add_attention(list, "events_lost", "high", (size_t)a->stats.lost);
    }
    if (sp_gates_workers(core->state->gates) == 0) {
        add_attention(list, "web_down", "high", 1);
    }
    if (held[SP_ROLE_NR_SYSTEM] == 0) {
        add_attention(list, "no_system_admin", "high", 0);
    }
    if (held[SP_ROLE_NR_SECURITY] == 0) {
        add_attention(list, "no_security_admin", "high", 0);
    }
    if (held[SP_ROLE_NR_AUDIT] == 0) {
        add_attention(list, "no_audit_admin", "high", 0);
    }
    add_gaps(list, core, "rota", "rota_gap", "high");
    add_gaps(list, core, "officer", "officers_vacant", "high");
    add_gaps(list, core, "drill", "drills_due", "medium");
    if (devices[SP_DEVICE_QUARANTINED] > 0) {
        add_attention(list, "devices_quarantined", "medium", devices[SP_DEVICE_QUARANTINED]);
    }
    if (devices[SP_DEVICE_PENDING] > 0) {
        add_attention(list, "devices_pending", "low", devices[SP_DEVICE_PENDING]);
    }
    return list;
}

/* The last day, by the hour, oldest first: the web gate and all others together. */
static json_t *decisions_json(const sp_ledger_counts *counts)
{
    uint64_t sums[2] = {0, 0}; /* refused, allowed */
    json_t *hours = json_array();
    for (unsigned at = SP_LEDGER_HOURS - DAY_HOURS; at < SP_LEDGER_HOURS; at++) {
        uint64_t hour[2] = {0, 0};
        for (unsigned i = 0; i < SP_GATE_COUNT * SP_VERDICT_COUNT; i++) {
            unsigned verdict = i % SP_VERDICT_COUNT;
            hour[verdict == SP_VERDICT_ALLOW] += counts->counts[at][i / SP_VERDICT_COUNT][verdict];
        }
        uint64_t begin = counts->last_hour - (SP_LEDGER_HOURS - 1 - at);
        json_t *item = json_pack("{s:o}", "at", sp_json_time(begin * HOUR_S));
        set_count(item, "allowed", hour[true]);
        set_count(item, "denied", hour[false]);
        json_array_append_new(hours, item);
        sums[true] += hour[true];
        sums[false] += hour[false];
    }
    json_t *object = json_object();
    set_count(object, "allowed", sums[true]);
    set_count(object, "denied", sums[false]);
    json_object_set_new(object, "complete", json_boolean(counts->complete));
    json_object_set_new(object, "per_hour", hours);
    return object;
}

static void on_counts(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    sp_core *core = sp_request_core(a->req);
    sp_ledger_counts *counts = NULL;
    if (!sp_failed(err)) {
        err = sp_arena_alloc(a->arena, 1, sizeof(*counts), &counts);
    }
    if (!sp_failed(err)) {
        err = sp_ledger_counts_read(body, counts);
    }
    json_t *sessions = json_object();
    set_count(sessions, "live", sp_sessions_count(core->sessions));
    set_count(sessions, "capacity", core->live.caps.sessions);
    json_t *answer = json_object();
    json_object_set_new(answer, "at", now_json());
    json_object_set_new(answer, "people", people_json(core));
    json_object_set_new(answer, "devices", devices_json(core));
    json_object_set_new(answer, "sessions", sessions);
    json_object_set_new(answer, "policy", policy_json(core));
    json_object_set_new(answer, "decisions",
                        sp_failed(err) ? json_pack("{s:n,s:n}", "allowed", "denied")
                                       : decisions_json(counts));
    json_object_set_new(answer, "ledger", ledger_json(a));
    json_object_set_new(answer, "attention", attention_json(a));
    sp_answer_json(a->req, 200, answer);
}

static void on_overview(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    take_stats(a, err, body);
    sp_ledger_client_call(sp_request_core(a->req)->ledger, SP_LEDGER_COUNTS, SP_SPAN_EMPTY,
                          on_counts, a);
}

static void get_overview(sp_request *req)
{
    asking *a = new_asking(req);
    if (a != NULL) {
        ask_stats(a, on_overview);
    }
}

/* ---- the ledger's state ---- */

static json_t *verification_json(const sp_ledger_stats *stats)
{
    static const char *const words[] = {"none", "running", "good", "bad"};
    _Static_assert(SP_COUNT(words) == SP_LEDGER_VERIFY_STATE_COUNT, "a word for each state");
    json_t *object = json_object();
    json_object_set_new(object, "state", json_string(words[stats->verify]));
    json_object_set_new(object, "at", time_of_us(stats->verified_unix_us));
    json_object_set_new(object, "size", sp_json_id(stats->verified));
    json_object_set_new(object, "message", sp_json_span(stats->trouble));
    return object;
}

static void on_status(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    take_stats(a, err, body);
    if (!a->has_stats) {
        sp_events_answer_failed(a->req, sp_failed(err) ? err : sp_fail(SP_EAGAIN));
        return;
    }
    const sp_ledger_stats *stats = &a->stats;
    json_t *answer = json_object();
    json_object_set_new(answer, "up", json_boolean(stats->recording));
    json_object_set_new(answer, "size", sp_json_id(stats->entries));
    json_object_set_new(answer, "root_hash", json_string(""));
    json_object_set_new(answer, "checkpoint_at", time_of_us(stats->checkpoint_unix_us));
    json_object_set_new(answer, "checkpoint_size", sp_json_id(stats->checkpoint_size));
    set_count(answer, "floor_days", SP_LEDGER_FLOOR_DAYS);
    set_count(answer, "retention_days", stats->retention_days);
    set_count(answer, "bytes", stats->bytes);
    set_count(answer, "lost", stats->lost);
    set_count(answer, "sources_attached", stats->sources);
    json_object_set_new(answer, "sources", json_array());
    json_object_set_new(answer, "verification", verification_json(stats));
    json_object_set_new(answer, "key", sp_json_span(stats->verifier_key));
    sp_answer_json(a->req, a->started_verify ? 202 : 200, answer);
}

static void get_status(sp_request *req)
{
    asking *a = new_asking(req);
    if (a != NULL) {
        ask_stats(a, on_status);
    }
}

static void on_verify(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    (void)body;
    if (sp_failed(err)) {
        sp_events_answer_failed(a->req, err);
        return;
    }
    a->started_verify = true;
    ask_stats(a, on_status);
}

static void post_verify(sp_request *req)
{
    asking *a = sp_request_fields(req, NULL, 0) ? new_asking(req) : NULL;
    if (a != NULL) {
        sp_ledger_client_call(sp_request_core(req)->ledger, SP_LEDGER_VERIFY, SP_SPAN_EMPTY,
                              on_verify, a);
    }
}

static void on_checkpoint(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    if (sp_failed(err)) {
        sp_events_answer_failed(a->req, err);
        return;
    }
    sp_answer_bytes(a->req, 200, "text/plain; charset=utf-8", body);
}

static void get_checkpoint(sp_request *req)
{
    asking *a = new_asking(req);
    if (a != NULL) {
        sp_ledger_client_call(sp_request_core(req)->ledger, SP_LEDGER_CHECKPOINT, SP_SPAN_EMPTY,
                              on_checkpoint, a);
    }
}

/* ---- published keys ---- */

static void on_jwks(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    if (sp_failed(err)) {
        sp_answer_problem(a->req, 503, "unavailable", "The vault does not answer now. Try again.");
        return;
    }
    sp_answer_header(a->req, "Cache-Control", SP_SPAN_LIT("public, max-age=300"));
    sp_answer_bytes(a->req, 200, "application/jwk-set+json", body);
}

static void get_jwks(sp_request *req)
{
    asking *a = new_asking(req);
    if (a != NULL) {
        sp_vault_client_call(sp_request_core(req)->vault, SP_VAULT_TOKEN_JWKS, SP_SPAN_EMPTY,
                             on_jwks, a);
    }
}

static void on_ledger_key(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    take_stats(a, err, body);
    if (!a->has_stats) {
        sp_events_answer_failed(a->req, sp_failed(err) ? err : sp_fail(SP_EAGAIN));
        return;
    }
    auto_buf sp_buf line = sp_buf_make(1024);
    sp_buf_span(&line, a->stats.verifier_key);
    sp_buf_byte(&line, '\n');
    sp_answer_bytes(a->req, 200, "text/plain; charset=utf-8", sp_buf_borrow(&line));
}

static void get_ledger_key(sp_request *req)
{
    asking *a = new_asking(req);
    if (a != NULL) {
        ask_stats(a, on_ledger_key);
    }
}

/* ---- what is recorded about people ---- */

/* Whether it records anything here: of what the office has a gate for, and policy asks for. */
typedef bool (*is_on)(const sp_core *core);

static bool always(const sp_core *core)
{
    (void)core;
    return true;
}

static bool has_databases(const sp_core *core)
{
    return sp_config_has_role(core->config, SP_ROLE_DB);
}

static bool has_machines(const sp_core *core)
{
    return sp_config_has_role(core->config, SP_ROLE_SSH);
}

/* Some machine says `record_input`. */
static bool records_input(const sp_core *core)
{
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    sp_ssh_resource ssh;
    bool some = false;
    for (uint32_t i = 0; has_machines(core) && i < sp_policy_resource_count(policy) && !some; i++) {
        some = sp_policy_ssh_resource(policy, i, &ssh) && ssh.record_input;
    }
    return some;
}

typedef struct {
    const char *name;
    sp_event_kind kind;
    is_on on;
    const char *what_en;
    const char *what_zh;
    const char *purpose_en;
    const char *purpose_zh;
} recorder;

static const recorder recorders[] = {
    {"decisions", SP_EVENT_DECISION, always,
     "Each request to an application: time, address, device, application, path, whether it was "
     "allowed and why. No contents.",
     "对应用的每次请求:时间、地址、设备、应用、路径、是否允许及原因。不含内容。",
     "Access control and finding misuse", "访问控制与发现滥用"},
    {"statements", SP_EVENT_DECISION, has_databases,
     "Each statement at a database: time, address, device, database, its text with passwords left "
     "out, whether it was allowed and why, how many rows and bytes. No values that came back.",
     "在数据库上执行的每条语句:时间、地址、设备、数据库、语句文本(隐去口令)、是否允许及原因、行数与"
     "字节数。不含返回的数值。",
     "Protecting data that many people depend on", "保护众人依赖的数据"},
    {"machines", SP_EVENT_DECISION, has_machines,
     "Each connection, command, file and forwarding at a machine: time, address, device, machine, "
     "account, the command or path, whether it was allowed and why. No contents of files.",
     "在主机上的每次连接、命令、文件与转发:时间、地址、设备、主机、账户、命令或路径、是否允许及"
     "原因。不含文件内容。",
     "Protecting machines that many people depend on", "保护众人依赖的主机"},
    {"terminals", SP_EVENT_RECORDING, has_machines,
     "What machines print to you: of a terminal and a shell everything, of a command the first 64 "
     "KiB, of one that may take commands (bash, psql, python) the first 16 MiB. Security "
     "administrators may watch a terminal while it runs, and you are told that they do.",
     "主机向您输出的内容:终端与 shell 的全部输出;其他命令的前 64 KiB;可接收命令的程序(如 "
     "bash、psql、python)的前 16 MiB。安全管理员可实时观看终端,届时会告知您。",
     "Knowing afterwards what was done on machines", "事后查明在主机上做过什么"},
    {"sent", SP_EVENT_RECORDING, has_machines,
     "What you send to a shell without a terminal, and to a command that may take commands from it "
     "(the first 16 MiB): nothing else would show what was done. A command that is too long for "
     "its entry, whole.",
     "您发送给无终端 shell 的内容,以及发送给可接收命令的程序的内容(前 16 "
     "MiB):否则无从得知做过什么。过长而无法完整写入条目的命令,会完整记录。",
     "Knowing afterwards what was done on machines", "事后查明在主机上做过什么"},
    {"typed", SP_EVENT_RECORDING, records_input,
     "On machines whose documents say so: what you type on a terminal, but where nothing is echoed "
     "(passwords); and the first 64 KiB of what you send to any other command, passwords that are "
     "piped into it among them.",
     "仅限文档中写明的主机:您在终端上输入的内容(不回显之处除外,如口令);以及您发送给其他命令的前 "
     "64 KiB,其中包括通过管道传入的口令。",
     "Knowing afterwards what was done on machines", "事后查明在主机上做过什么"},
    {"sign-ins", SP_EVENT_SIGN_IN, always,
     "Each sign-in and sign-out: time, address, device, method, whether it worked.",
     "每次登录与退出:时间、地址、设备、方式、是否成功。", "Protecting accounts", "保护账号"},
    {"devices", SP_EVENT_DEVICE, always,
     "Your devices: name, system, owner, results of the posture checks, certificates.",
     "您的设备:名称、系统、归属、状态检查结果、证书。", "Knowing which devices reach the office",
     "了解哪些设备可访问办公室"},
    {"changes", SP_EVENT_IDENTITY, always,
     "Changes of your account, credentials and roles, and who made them.",
     "您的账号、凭证与角色的变更及操作人。", "Answering who changed what", "明确变更责任"},
};

static json_t *text2(const char *en, const char *zh)
{
    return json_pack("{s:s,s:s}", "en", en, "zh", zh);
}

static void get_recorded(sp_request *req)
{
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    json_t *items = json_array();
    for (size_t i = 0; i < SP_COUNT(recorders); i++) {
        const recorder *r = &recorders[i];
        uint32_t days = 0;
        for (uint8_t level = 0; level < SP_CLASSES_MAX; level++) {
            uint32_t of_level =
                sp_policy_set_retention_days(set, sp_span_cstr(sp_event_kind_word(r->kind)), level);
            days = of_level > days ? of_level : days;
        }
        json_t *item = json_object();
        json_object_set_new(item, "name", json_string(r->name));
        json_object_set_new(item, "what", text2(r->what_en, r->what_zh));
        json_object_set_new(item, "purpose", text2(r->purpose_en, r->purpose_zh));
        json_object_set_new(item, "basis",
                            text2("Cybersecurity Law, article 21(3): logs of at least six months",
                                  "《网络安全法》第二十一条第(三)项:日志留存不少于六个月"));
        set_count(item, "retention_days", days);
        json_object_set_new(item, "readers", json_pack("[s, s]", "audit-admin", "security-admin"));
        json_object_set_new(item, "on", json_boolean(r->on(sp_request_core(req))));
        json_array_append_new(items, item);
    }
    sp_answer_items(req, items);
}

sp_err sp_admin_overview_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/overview", SP_WHO_ANY_ADMIN, get_overview, 0},
        {"GET", "/api/v1/admin/ledger/status", SP_WHO_AUDIT, get_status, 0},
        {"POST", "/api/v1/admin/ledger/verify", SP_WHO_AUDIT, post_verify, 0},
        {"GET", "/api/v1/admin/ledger/checkpoint", SP_WHO_AUDIT, get_checkpoint, 0},
        {"GET", "/api/v1/jwks", SP_WHO_PUBLIC, get_jwks, 0},
        {"GET", "/.well-known/jwks.json", SP_WHO_PUBLIC, get_jwks, 0},
        {"GET", "/api/v1/ledger-key", SP_WHO_PUBLIC, get_ledger_key, 0},
        {"GET", "/api/v1/me/recorded", SP_WHO_SESSION, get_recorded, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}
