/* SPDX-License-Identifier: Apache-2.0
 * What core wrote into a timeline, in Chinese: for the draft of a report. The same sentences as
 * console/src/i18n/said.zh.ts. What a person wrote fits nothing here and stays as it is.
 * OWNS nothing. PROCESS core. TRUST names and texts are other people's words: they stay text.
 * SPEC docs/REPORTS.md.
 */
#include "core/documents/documents.h"
#include "core/reports/inside.h"
#include "core/state/state.h"
#include "lib/detect/program.h"
#include "lib/policy/plan.h"

enum { PARTS_MAX = 9, DEPTH_MAX = 4 };

/* '*' in English is any text, as little as does; in Chinese $1 is the first of them as it is, &1
 * what it says in its turn. The first that fits. */
typedef struct {
    const char *english;
    const char *chinese;
} saying;

static const saying KINDS[] = {
    {"session", "会话"},  {"person", "人员"}, {"device", "设备"},
    {"role", "角色"},     {"class", "级别"},  {"peer", "地址"},
    {"resource", "资源"}, {"gate", "网关"},   {"everything", "全部"},
};

#define CUT_COUNTS "$3 人的 $2 个会话，$4 个数据库连接，$5 个主机连接"
#define CUT_SAYS ": * sessions of * people, * connections at databases, * at machines"

static const saying SAYINGS[] = {
    {"[drill] *", "〔演练〕&1"},
    {"Drill: *", "演练：&1"},
    {"*, until 20*", "&1，至 20$2"},
    {"*, due 20*", "&1，期限 20$2"},
    {"could not be undone *: *", "步骤 $1 无法撤销：&2"},
    {"could not be given back: *", "无法恢复：$1"},
    {"undo begun *: *", "开始撤销步骤 $1：$2"},
    {"undo begun *", "开始撤销步骤 $1"},
    {"undone *: *", "步骤 $1 已撤销：&2"},
    {"undone *", "步骤 $1 已撤销"},
    {"step failed *: *", "步骤 $1 失败：&2"},
    {"step failed *", "步骤 $1 失败"},
    {"step begun *: *", "步骤 $1 已开始：$2"},
    {"step begun *", "步骤 $1 已开始"},
    {"step waits *: *", "步骤 $1 &2"},
    {"step waits *", "步骤 $1 等待"},
    {"step confirmed *: *", "步骤 $1 已由 $2 确认"},
    {"step * failed", "步骤 $1 失败"},
    {"step *: *", "步骤 $1 完成：&2"},
    {"step *", "步骤 $1 完成"},
    {"confirmed: *", "已由 $1 确认"},
    {"started: *", "开始：&1"},
    {"started", "开始"},
    {"proposed: *", "提出，等待确认：&1"},
    {"proposed", "提出，等待确认"},
    {"done: *", "已完成：&1"},
    {"done", "已完成"},
    {"failed: *", "失败：&1"},
    {"failed", "失败"},
    {"stopped: *", "已停止：&1"},
    {"stopped", "已停止"},
    {"waited", "已等待"},
    {"over", "已结束"},
    {"for a person", "等待人员确认"},
    {"for a while", "等待一段时间"},
    {"cut *" CUT_SAYS ", as it was already", "已切断&1：" CUT_COUNTS "（此前已切断）"},
    {"cut *" CUT_SAYS, "已切断&1：" CUT_COUNTS},
    {"would cut *" CUT_SAYS ", as it was already", "将切断&1：" CUT_COUNTS "（此前已切断）"},
    {"would cut *" CUT_SAYS, "将切断&1：" CUT_COUNTS},
    {"ask for a fresh proof: *" CUT_SAYS, "已要求重新验证：&1：" CUT_COUNTS},
    {"would ask for a fresh proof: *" CUT_SAYS, "将要求重新验证：&1：" CUT_COUNTS},
    {"* could not be cut: *", "无法切断&1：$2"},
    {"*: its time is over", "&1：时限已到"},
    {"nothing says which * is meant", "未指明是哪个&1"},
    {"there is no such plan", "没有此预案"},
    {"nobody was told: *", "未能通知任何人：$1"},
    {"notice *: *", "通知 $1：$2"},
    {"commander: *", "指挥：&1"},
    {"scribe: *", "记录：&1"},
    {"liaison: *", "联络：&1"},
    {"nobody in the Rota can", "值班表中无人可任"},
    {"incident * is there", "事件 $1（已有）"},
    {"incident *", "事件 $1"},
    {"would post to *", "将发送到 $1"},
    {"posted to *", "已发送到 $1"},
    {"would run *", "将执行 $1"},
    {"could not run: *", "无法执行：&1"},
    {"not run: the alarm is about nobody whom it could cut", "未执行：告警未涉及可切断的人员"},
    {"not run: *", "未执行：&1"},
    {"exit status * after * ms, * bytes of output", "退出码 $1，$2 毫秒，输出 $3 字节"},
    {"exit status * after * ms, * bytes of output*", "退出码 $1，$2 毫秒，输出 $3 字节$4"},
    {"the bootstrap file names no command *", "启动配置中没有命令 $1"},
    {"the runner is away", "命令执行器未运行"},
    {"nobody confirmed it in time", "无人及时确认"},
    {"no answer came in time", "未及时得到答复"},
    {"its mode is to be confirmed", "预案须经确认后执行"},
    {"it has run by itself as often as its guard lets it", "自动执行次数已达限制"},
    {"whom it is about could not be found", "未能找到所涉及的人员"},
    {"it is about somebody whom its guard excepts", "所涉及的人员在其豁免之列"},
    {"somebody told it: a person decides", "由人员报告：由人决定"},
    {"the plan could not be run to its end", "预案未能执行完毕"},
    {"the plan gives back what it cut", "预案恢复其切断的内容"},
    {"the alarm's entries are in the timeline", "告警涉及的账本条目已列入时间线"},
    {"a session of whom it is about", "所涉及人员的一个会话"},
};

/* What the plans that come with the program ask people to do. */
static const saying TASKS[] = {
    {"Bring in standby servers; lower limits if that is not enough",
     "启用备用服务器；仍不足时降低限额"},
    {"Call the person over a number that is known; reset the account if it was not him",
     "拨打已知号码联系本人；若非本人所为，重置账号"},
    {"Decide what was on it, and whether that must be told", "判断设备上有什么，以及是否须告知"},
    {"Decide whether authorities and the people concerned must be told, and by when",
     "判断是否须告知主管部门和相关人员，以及期限"},
    {"Find out what left: records of the session, rows and bytes",
     "查明流出了什么：会话记录、行数和字节数"},
    {"Find the cause; who operates the resource is told", "查明原因，并告知资源的运维人员"},
    {"Find the mail or page, and who else got it", "找到该邮件或页面，以及还有谁收到"},
    {"If it is not found within a day: revoke the device", "一天内未找到则吊销该设备"},
    {"Is it over? Then say so, and close with a review", "是否已结束？若是，告知大家并复盘结案"},
    {"Keep the device as it is; take an image before it is cleaned",
     "保持设备原状；清理前先制作镜像"},
    {"Look at roles, grants, devices and keys; take back what is not needed",
     "检查角色、授权、设备和密钥；收回不需要的"},
    {"Look at what was kept and put it back: sallyport db keeps, sallyport db undo",
     "查看已保留的数据并恢复：sallyport db keeps、sallyport db undo"},
    {"Look for the same on other devices", "检查其他设备是否有同样情况"},
    {"Reset the account with the person present", "本人在场时重置账号"},
    {"Speak with the person and those above", "与本人及其上级谈话"},
    {"Tell staff: sallyport notice send outage", "告知员工：sallyport notice send outage"},
    {"Tell staff: sallyport notice send surge", "告知员工：sallyport notice send surge"},
    {"Warn everybody: sallyport notice send phishing-warning",
     "提醒所有人：sallyport notice send phishing-warning"},
    {"When it is back: sallyport notice send outage-over",
     "恢复后：sallyport notice send outage-over"},
    {"Write down from when to when events are missing, and why",
     "写明从何时到何时缺少事件，以及原因"},
    {"sallyport doctor; sallyport ledger verify; free space on the disk",
     "运行 sallyport doctor 和 sallyport ledger verify；检查磁盘剩余空间"},
};

static sp_span piece_of(sp_span *pattern)
{
    size_t at = sp_span_index(*pattern, '*');
    sp_span piece = sp_span_slice(*pattern, 0, at);
    *pattern = sp_span_slice(*pattern, at, pattern->len);
    return piece;
}

static bool find(sp_span text, sp_span what, size_t *ret_at)
{
    for (size_t i = 0; i + what.len <= text.len; i++) {
        if (sp_span_eq(sp_span_slice(text, i, i + what.len), what)) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

/* What the stars of the pattern stand for; none for nothing. */
static bool fits(const char *english, sp_span text, sp_span parts[PARTS_MAX])
{
    sp_span pattern = sp_span_cstr(english);
    sp_span piece = piece_of(&pattern);
    if (!sp_span_eq(sp_span_slice(text, 0, piece.len), piece)) {
        return false;
    }
    text = sp_span_slice(text, piece.len, text.len);
    for (size_t n = 0; pattern.len > 0; n++) {
        pattern = sp_span_slice(pattern, 1, pattern.len);
        piece = piece_of(&pattern);
        size_t at = text.len;
        if (n == PARTS_MAX || (piece.len > 0 && !find(text, piece, &at)) || at == 0) {
            return false;
        }
        parts[n] = sp_span_slice(text, 0, at);
        text = sp_span_slice(text, at + piece.len, text.len);
    }
    return text.len == 0;
}

/* "person mia", "class core": the kind in Chinese. */
static void say_kind(sp_span text, sp_buf *out)
{
    sp_span rest = text;
    sp_span word = SP_SPAN_EMPTY;
    (void)sp_span_split(&rest, ' ', &word);
    for (size_t i = 0; i < SP_COUNT(KINDS); i++) {
        if (sp_span_eq(word, sp_span_cstr(KINDS[i].english))) {
            sp_buf_text(out, KINDS[i].chinese);
            sp_buf_text(out, rest.len > 0 ? " " : "");
            sp_buf_span(out, rest);
            return;
        }
    }
    sp_buf_span(out, text);
}

bool report_task_zh(sp_span text, sp_buf *out)
{
    for (size_t i = 0; i < SP_COUNT(TASKS); i++) {
        if (sp_span_eq(text, sp_span_cstr(TASKS[i].english))) {
            sp_buf_text(out, TASKS[i].chinese);
            return true;
        }
    }
    return false;
}

static void say(sp_span text, unsigned depth, sp_buf *out);

static void put(const char *chinese, const sp_span parts[PARTS_MAX], unsigned depth, sp_buf *out)
{
    for (const char *c = chinese; *c != '\0'; c++) {
        if (*c == '$' || *c == '&') {
            sp_span part = parts[c[1] - '1'];
            if (*c == '&') {
                say(part, depth + 1, out);
            } else {
                sp_buf_span(out, part);
            }
            c++;
        } else {
            sp_buf_byte(out, (uint8_t)*c);
        }
    }
}

static void say(sp_span text, unsigned depth, sp_buf *out)
{
    if (report_task_zh(text, out)) {
        return;
    }
    for (size_t i = 0; depth < DEPTH_MAX && i < SP_COUNT(SAYINGS); i++) {
        sp_span parts[PARTS_MAX] = {{NULL, 0}};
        if (fits(SAYINGS[i].english, text, parts)) {
            put(SAYINGS[i].chinese, parts, depth, out);
            return;
        }
    }
    if (depth > 0) {
        say_kind(text, out);
    } else {
        sp_buf_span(out, text);
    }
}

void report_said_zh(sp_span text, sp_buf *out)
{
    say(text, 0, out);
}

/* ---- titles, which documents have in both languages ---- */

static bool plan_title(const sp_policy_set *set, sp_span english, sp_span *ret_title)
{
    sp_policy_plan plan;
    for (size_t at = 0; set != NULL && !sp_failed(sp_policy_set_plan(set, at, &plan)); at++) {
        if (sp_span_eq(plan.title_en, english) && plan.title_zh.len > 0) {
            *ret_title = plan.title_zh;
            return true;
        }
    }
    return false;
}

/* Appends the title; false: no detection has it. */
static bool put_detection_title(const sp_policy_set *set, sp_span english, sp_buf *out)
{
    auto_detect_program sp_detect_program program = {.rules_count = 0};
    if (set == NULL || sp_failed(sp_detect_program_read(sp_policy_set_detections(set), &program))) {
        return false;
    }
    for (size_t i = 0; i < program.rules_count; i++) {
        const sp_detect_rule *rule = &program.rules[i];
        if (sp_span_eq(rule->title_en, english) && rule->title_zh.len > 0) {
            sp_buf_span(out, rule->title_zh);
            return true;
        }
    }
    return false;
}

void report_title_zh(const sp_core *core, sp_span title, sp_buf *out)
{
    static const sp_span drill = {(const uint8_t *)"Drill: ", sizeof("Drill: ") - 1};
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_span plan = SP_SPAN_EMPTY;
    if (sp_span_eq(sp_span_slice(title, 0, drill.len), drill)) {
        sp_buf_text(out, "演练：");
        title = sp_span_slice(title, drill.len, title.len);
    }
    if (plan_title(set, title, &plan)) {
        sp_buf_span(out, plan);
    } else if (!put_detection_title(set, title, out)) {
        sp_buf_span(out, title);
    }
}

/* "Title: person=mia peer=127.0.0.1 (3)", as incidents.c writes it. */
void report_alarm_zh(const sp_core *core, sp_span text, sp_buf *out)
{
    size_t at = 0;
    sp_span rest = text;
    if (!find(text, SP_SPAN_LIT(": "), &at)) {
        report_title_zh(core, text, out);
        return;
    }
    report_title_zh(core, sp_span_slice(text, 0, at), out);
    sp_buf_text(out, "：");
    rest = sp_span_slice(text, at + 2, text.len);
    sp_span piece = SP_SPAN_EMPTY;
    for (bool first = true; sp_span_split(&rest, ' ', &piece); first = false) {
        size_t is = sp_span_index(piece, '=');
        sp_buf_text(out, first ? "" : " ");
        if (is < piece.len) {
            say_kind(sp_span_slice(piece, 0, is), out);
            sp_buf_byte(out, ' ');
            piece = sp_span_slice(piece, is + 1, piece.len);
        }
        sp_buf_span(out, piece);
    }
}
