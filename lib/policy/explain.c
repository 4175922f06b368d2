/* SPDX-License-Identifier: Apache-2.0
 * A decision in one sentence, in English and Chinese, and as JSON.
 * OWNS nothing. PROCESS core, cli. TRUST names come from documents that passed the schema.
 * SPEC lib/policy/compile.h.
 */
#include "lib/policy/ask.h"

enum { SENTENCE_BYTES = 4000 };

typedef struct {
    const sp_policy_set *set;
    const sp_policy_ask *ask;
    const sp_policy_told *told;
} telling;

typedef struct {
    const char *en;
    const char *zh;
} phrase;

static const phrase ACTIONS[] = {
    {"connect to", "连接"}, {"read", "读取"},       {"write", "写入"},
    {"export", "导出"},     {"import", "导入"},     {"alter", "更改"},
    {"destroy", "删除"},    {"administer", "管理"}, {"execute commands on", "执行命令于"},
    {"forward", "转发"}};
static const phrase OWNERS[] = {{"an unknown device", "未知设备"},
                                {"a personal device", "个人设备"},
                                {"a company device", "公司设备"}};
static const phrase POSTURES[] = {
    {"of unknown state", "状态未知"}, {"in bad state", "状态异常"}, {"in good state", "状态正常"}};
static const phrase STRENGTHS[] = {{"without a sign-in", "未登录"},
                                   {"signed in with a password", "用密码登录"},
                                   {"signed in with a one-time code", "用动态口令登录"},
                                   {"signed in with a passkey", "用通行密钥登录"}};

_Static_assert(SP_COUNT(ACTIONS) == SP_ACTION_COUNT, "a phrase for each action");

/* What would help, by reason; NULL when nothing the asker can do does. */
static phrase help_of(sp_reason reason)
{
    switch (reason) {
    case SP_REASON_DEVICE_UNKNOWN:
        return (phrase){"use a device that is enrolled with the office", "请使用已登记的设备"};
    case SP_REASON_DEVICE_OWNER:
        return (phrase){"use a company device", "请使用公司设备"};
    case SP_REASON_DEVICE_POSTURE:
        return (phrase){"bring the device into good state (its agent says what is missing)",
                        "请先修复设备状态"};
    case SP_REASON_STRENGTH:
        return (phrase){"sign in again, more strongly", "请用更强的方式重新登录"};
    case SP_REASON_HOURS:
        return (phrase){"come back within the hours of the rule", "请在规则允许的时间内访问"};
    case SP_REASON_NETWORK:
        return (phrase){"come from a network that the rule names", "请从规则允许的网络访问"};
    case SP_REASON_APPROVAL:
        return (phrase){"ask other people to approve it", "请其他人批准"};
    case SP_REASON_DEFAULT:
        return (phrase){"ask the security team for a rule, if the work needs it",
                        "如工作需要，请联系安全团队"};
    case SP_REASON_NO_SESSION:
    case SP_REASON_SESSION_ENDED:
    case SP_REASON_SESSION_DEVICE:
        return (phrase){"sign in", "请登录"};
    case SP_REASON_DEVICE_PENDING:
    case SP_REASON_DEVICE_QUARANTINE:
    case SP_REASON_DEVICE_REVOKED:
        return (phrase){"ask the security team about the device", "请就该设备联系安全团队"};
    case SP_REASON_NONE:
    case SP_REASON_RULE:
    case SP_REASON_DENY_RULE:
    case SP_REASON_NEVER:
    case SP_REASON_UNPARSED:
    case SP_REASON_UNRECORDED:
    case SP_REASON_UNAVAILABLE:
    case SP_REASON_LIMIT:
    case SP_REASON_CUT:
    case SP_REASON_DUTY:
    case SP_REASON_COUNT:
        break;
    }
    return (phrase){NULL, NULL};
}

static const doc_head *doc_of_rule(const sp_policy_set *set, uint32_t rule, const char **ret_kind)
{
    uint32_t rules = snap_count(&set->view, SNAP_RULES);
    *ret_kind = rule < rules ? "Rule" : "Never";
    if (rule < rules) {
        return &set->rules[rule]->head;
    }
    if (rule - rules < set->docs.kinds[SP_DOC_NEVER].count) {
        const doc_never *nevers = set->docs.kinds[SP_DOC_NEVER].items;
        return &nevers[rule - rules].head;
    }
    return NULL;
}

static void put_who(const telling *t, bool zh, sp_buf *out)
{
    const sp_policy_ask *ask = t->ask;
    if (ask->person.len > 0) {
        sp_buf_span(out, ask->person);
    } else {
        sp_buf_text(out, zh ? "某人" : "Somebody");
    }
    for (size_t i = 0; i < ask->roles_count; i++) {
        if (i == 0) {
            sp_buf_text(out, zh ? "（角色 " : " (");
        } else {
            sp_buf_text(out, zh ? "、" : ", ");
        }
        sp_buf_span(out, ask->roles[i]);
    }
    if (ask->roles_count > 0) {
        sp_buf_text(out, zh ? "）" : ")");
    }
}

static void put_what(const telling *t, bool zh, sp_buf *out)
{
    const sp_policy *view = &t->set->view;
    const sp_decision *d = &t->told->decision;
    sp_buf_span(out, sp_policy_class_name(view, d->class_level));
    sp_buf_text(out, zh ? " 级数据" : " data");
    for (uint64_t bits = d->tags; bits != 0; bits &= bits - 1) {
        sp_buf_text(out, bits == d->tags ? (zh ? "（标签 " : " tagged ") : ", ");
        sp_buf_span(out, t->set->tags[__builtin_ctzll(bits)]);
    }
    sp_buf_text(out, zh && d->tags != 0 ? "）" : "");
    if (t->told->question.resource == SP_NONE) {
        return;
    }
    sp_buf_text(out, zh ? "，位于 " : " of ");
    sp_buf_span(out, sp_policy_resource_name(view, t->told->question.resource));
    if (t->told->question.part != SP_NONE) {
        const snap_part *parts = snap_at(view, SNAP_PARTS);
        sp_buf_text(out, " ");
        sp_buf_span(out, snap_span(view, parts[t->told->question.part].path));
    }
}

static void put_quoted(const telling *t, uint32_t rule, bool zh, sp_buf *out)
{
    const char *kind = NULL;
    const doc_head *head = doc_of_rule(t->set, rule, &kind);
    if (head == NULL) {
        return;
    }
    sp_buf_text(out, zh ? "「" : "'");
    sp_buf_span(out, head->name.text);
    sp_buf_text(out, zh ? "」" : "'");
    sp_buf_fmt(out, " (%s:%u)", head->place.file, head->place.line);
}

static void put_because(const telling *t, bool zh, sp_buf *out)
{
    const sp_decision *d = &t->told->decision;
    switch ((sp_reason)d->reason) {
    case SP_REASON_RULE:
        sp_buf_text(out, zh ? "依据规则" : "rule ");
        put_quoted(t, d->rule, zh, out);
        return;
    case SP_REASON_APPROVAL:
        sp_buf_text(out, zh ? "依据规则" : "rule ");
        put_quoted(t, d->rule, zh, out);
        sp_buf_fmt(out, zh ? "，须 %u 人批准" : " needs the approval of %u", d->approvals);
        if (snap_face_of(&t->set->view, t->told->question.resource, t->told->question.face) ==
            SP_FACE_WEB) {
            sp_buf_text(out, zh ? "；网页应用处无法请求批准，因此会被拒绝"
                                : ", which cannot be asked for at an application: it is refused "
                                  "there");
        }
        return;
    case SP_REASON_DUTY:
        sp_buf_text(out, zh ? "依据规则" : "rule ");
        put_quoted(t, d->rule, zh, out);
        sp_buf_text(out, zh ? "须脱敏或限量，而此处的网关无法做到"
                            : " gives it only masked or counted, which the gate of this resource "
                              "cannot do");
        return;
    case SP_REASON_DENY_RULE:
        sp_buf_text(out, zh ? "规则禁止：" : "denied by rule ");
        put_quoted(t, d->rule, zh, out);
        return;
    case SP_REASON_NEVER:
        sp_buf_text(out, zh ? "绝对禁止：" : "never allowed: ");
        put_quoted(t, d->rule, zh, out);
        return;
    case SP_REASON_NO_SESSION:
        sp_buf_text(out, zh ? "未登录" : "nobody is signed in");
        return;
    case SP_REASON_DEFAULT:
        sp_buf_text(out, zh ? "没有规则允许" : "no rule grants it");
        return;
    case SP_REASON_NONE:
    case SP_REASON_SESSION_ENDED:
    case SP_REASON_SESSION_DEVICE:
    case SP_REASON_DEVICE_UNKNOWN:
    case SP_REASON_DEVICE_OWNER:
    case SP_REASON_DEVICE_POSTURE:
    case SP_REASON_DEVICE_PENDING:
    case SP_REASON_DEVICE_QUARANTINE:
    case SP_REASON_DEVICE_REVOKED:
    case SP_REASON_STRENGTH:
    case SP_REASON_HOURS:
    case SP_REASON_NETWORK:
    case SP_REASON_UNPARSED:
    case SP_REASON_UNRECORDED:
    case SP_REASON_UNAVAILABLE:
    case SP_REASON_LIMIT:
    case SP_REASON_CUT:
    case SP_REASON_COUNT:
        break;
    }
    sp_buf_text(out, zh ? "最接近的规则" : "rule ");
    put_quoted(t, t->told->near, zh, out);
    sp_buf_fmt(out, zh ? "不适用（%s）" : " comes nearest but does not apply (%s)",
               sp_reason_word((sp_reason)d->reason));
}

static void put_duties(const telling *t, bool zh, sp_buf *out)
{
    static const struct {
        uint32_t bit;
        phrase words;
    } DUTIES[] = {{SP_MUST_RECORD, {"recorded before it happens", "先记录后执行"}},
                  {SP_MUST_MASK, {"masked", "脱敏"}},
                  {SP_MUST_WATCH, {"watched", "实时监看"}},
                  {SP_MUST_LIMIT, {"limited", "限量"}}};
    bool first = true;
    for (size_t i = 0; i < SP_COUNT(DUTIES); i++) {
        if ((t->told->decision.must & DUTIES[i].bit) != 0) {
            sp_buf_text(out, first ? (zh ? "；" : "; it is ") : (zh ? "、" : ", "));
            sp_buf_text(out, zh ? DUTIES[i].words.zh : DUTIES[i].words.en);
            first = false;
        }
    }
}

static void put_sentence(const telling *t, bool zh, sp_buf *out)
{
    static const phrase VERDICTS[] = {
        {" may not ", "不可"}, {" may, once approved, ", "经批准可"}, {" may ", "可以"}};
    const sp_decision *d = &t->told->decision;
    const sp_subject *who = &t->told->who;
    phrase verdict = VERDICTS[d->verdict];
    phrase action = ACTIONS[t->told->question.action];
    put_who(t, zh, out);
    sp_buf_text(out, zh ? verdict.zh : verdict.en);
    sp_buf_text(out, zh ? action.zh : action.en);
    sp_buf_text(out, " ");
    put_what(t, zh, out);
    if (zh) {
        sp_buf_fmt(out, "（%s，%s，%s）：", OWNERS[who->owner].zh, POSTURES[who->posture].zh,
                   STRENGTHS[who->strength].zh);
    } else {
        sp_buf_fmt(out, " from %s %s, %s: ", OWNERS[who->owner].en, POSTURES[who->posture].en,
                   STRENGTHS[who->strength].en);
    }
    put_because(t, zh, out);
    put_duties(t, zh, out);
    phrase help = help_of((sp_reason)d->reason);
    if (help.en != NULL && d->verdict != SP_VERDICT_ALLOW) {
        sp_buf_fmt(out, zh ? "。%s" : ". What helps: %s", zh ? help.zh : help.en);
    }
    sp_buf_text(out, zh ? "。" : ".");
}

void sp_policy_explain_text(const sp_policy_set *set, const sp_policy_ask *ask,
                            const sp_policy_told *told, sp_buf *out)
{
    put_sentence(&(telling){set, ask, told}, false, out);
}

void policy_must_json(uint32_t must, sp_buf *out)
{
    static const char *const WORDS[] = {"record", "mask", "watch", "limit"};
    const char *comma = "";
    sp_buf_byte(out, '[');
    for (size_t i = 0; i < SP_COUNT(WORDS); i++) {
        if ((must >> i & 1) != 0) {
            sp_buf_fmt(out, "%s\"%s\"", comma, WORDS[i]);
            comma = ",";
        }
    }
    sp_buf_byte(out, ']');
}

static void put_rule_json(const telling *t, uint32_t rule, const char *key, sp_buf *out)
{
    const char *kind = NULL;
    const doc_head *head = rule == SP_NONE ? NULL : doc_of_rule(t->set, rule, &kind);
    if (head == NULL) {
        return;
    }
    sp_buf_fmt(out, ",\"%s\":", key);
    sp_buf_json(out, head->name.text);
    sp_buf_fmt(out, ",\"%s_kind\":\"%s\",\"%s_place\":", key, kind, key);
    auto_buf sp_buf place = sp_buf_make(SENTENCE_BYTES);
    sp_buf_fmt(&place, "%s:%u:%u", head->place.file, head->place.line, head->place.column);
    sp_buf_json(out, sp_buf_borrow(&place));
}

static void put_sentence_json(const telling *t, bool zh, sp_buf *out)
{
    auto_buf sp_buf text = sp_buf_make(SENTENCE_BYTES);
    put_sentence(t, zh, &text);
    sp_buf_json(out, sp_buf_borrow(&text));
}

void sp_policy_explain_json(const sp_policy_set *set, const sp_policy_ask *ask,
                            const sp_policy_told *told, sp_buf *out)
{
    telling t = {set, ask, told};
    const sp_decision *d = &told->decision;
    sp_buf_fmt(out, "{\"verdict\":\"%s\",\"reason\":\"%s\",\"action\":\"%s\",\"class\":",
               sp_verdict_word((sp_verdict)d->verdict), sp_reason_word((sp_reason)d->reason),
               sp_action_word(told->question.action));
    sp_buf_json(out, sp_policy_class_name(&set->view, d->class_level));
    sp_buf_text(out, ",\"tags\":[");
    for (uint64_t bits = d->tags; bits != 0; bits &= bits - 1) {
        sp_buf_text(out, bits == d->tags ? "" : ",");
        sp_buf_json(out, set->tags[__builtin_ctzll(bits)]);
    }
    sp_buf_byte(out, ']');
    if (told->question.part != SP_NONE) {
        const snap_part *parts = snap_at(&set->view, SNAP_PARTS);
        sp_buf_text(out, ",\"part\":");
        sp_buf_json(out, snap_span(&set->view, parts[told->question.part].name));
    }
    put_rule_json(&t, d->rule, "rule", out);
    put_rule_json(&t, told->near, "near", out);
    sp_buf_text(out, ",\"must\":");
    policy_must_json(d->must, out);
    sp_buf_fmt(out, ",\"approvals\":%u,\"mends\":[", d->approvals);
    phrase help = help_of((sp_reason)d->reason);
    if (help.en != NULL && d->verdict != SP_VERDICT_ALLOW) {
        sp_buf_json(out, sp_span_cstr(help.en));
    }
    sp_buf_text(out, "],\"sentence\":{\"en\":");
    put_sentence_json(&t, false, out);
    sp_buf_text(out, ",\"zh\":");
    put_sentence_json(&t, true, out);
    sp_buf_text(out, "}}");
}
