/* SPDX-License-Identifier: Apache-2.0
 * Tests of what core wrote into a timeline, in Chinese; the console says the same
 * (console/test/said.test.ts).
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/reports/inside.h "said.c".
 */
#include "core/reports/said.c"
#include "tests/unit/cm.h"

const sp_policy_set *sp_documents_set(const sp_documents *documents)
{
    (void)documents;
    return NULL;
}

static void says(const char *english, const char *chinese)
{
    auto_buf sp_buf out = sp_buf_make(2000);
    report_said_zh(sp_span_cstr(english), &out);
    sp_buf_byte(&out, 0);
    assert_string_equal((const char *)sp_buf_borrow(&out).ptr, chinese);
}

static void sentences_of_core_are_told_with_what_they_name(void **state)
{
    (void)state;
    says("step lock: cut session 58857692a1263da5: 1 sessions of 1 people, 0 connections at "
         "databases, 2 at machines",
         "步骤 lock 完成：已切断会话 58857692a1263da5：1 人的 1 个会话，0 个数据库连接，2 "
         "个主机连接");
    says("[drill] step close: would cut resource wiki: 0 sessions of 0 people, 0 connections at "
         "databases, 0 at machines, as it was already, until 2026-11-30T10:00:00Z",
         "〔演练〕步骤 close 完成：将切断资源 wiki：0 人的 0 个会话，0 个数据库连接，0 "
         "个主机连接（此前已切断），至 2026-11-30T10:00:00Z");
    says("[drill] step waits lock: for a person", "〔演练〕步骤 lock 等待人员确认");
    says("step call: Look for the same on other devices, due 2026-11-30T10:00:00Z",
         "步骤 call 完成：检查其他设备是否有同样情况，期限 2026-11-30T10:00:00Z");
    says("step whom: commander: nobody in the Rota can", "步骤 whom 完成：指挥：值班表中无人可任");
    says("step failed mail: could not run: the runner is away",
         "步骤 mail 失败：无法执行：命令执行器未运行");
    says("undo begun mail: block-mail release ann", "开始撤销步骤 mail：block-mail release ann");
    says("proposed: its mode is to be confirmed", "提出，等待确认：预案须经确认后执行");
    says("class core: its time is over", "级别 core：时限已到");
    says("step run: exit status 0 after 12 ms, 0 bytes of output",
         "步骤 run 完成：退出码 0，12 毫秒，输出 0 字节");
}

static void what_a_person_wrote_stays_his(void **state)
{
    static const char *const texts[] = {"", "Call her", "I cut person ann", "session", "* $1 &2"};
    (void)state;
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        says(texts[i], texts[i]);
    }
}

static void a_drill_is_called_one(void **state)
{
    static const char *const titles[][2] = {{"Drill: theft", "演练：theft"}, {"theft", "theft"}};
    sp_state where = {.documents = NULL};
    const sp_core core = {.state = &where};
    (void)state;
    for (size_t i = 0; i < SP_COUNT(titles); i++) {
        auto_buf sp_buf out = sp_buf_make(200);
        report_title_zh(&core, sp_span_cstr(titles[i][0]), &out);
        sp_buf_byte(&out, 0);
        assert_string_equal((const char *)sp_buf_borrow(&out).ptr, titles[i][1]);
    }
}

static void an_alarm_names_whom_it_is_about(void **state)
{
    sp_state where = {.documents = NULL};
    const sp_core core = {.state = &where};
    auto_buf sp_buf out = sp_buf_make(200);
    (void)state;
    report_alarm_zh(&core, SP_SPAN_LIT("Odd: person=mia peer=127.0.0.1 (3)"), &out);
    sp_buf_byte(&out, 0);
    assert_string_equal((const char *)sp_buf_borrow(&out).ptr, "Odd：人员 mia 地址 127.0.0.1 (3)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_of_core_are_told_with_what_they_name),
        cmocka_unit_test(what_a_person_wrote_stays_his),
        cmocka_unit_test(a_drill_is_called_one),
        cmocka_unit_test(an_alarm_names_whom_it_is_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
