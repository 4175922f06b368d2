// SPDX-License-Identifier: Apache-2.0
// What core says in records has a Chinese wording; what a person wrote has none.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { saidZh } from "../src/i18n/said.zh";

test("sentences of core are told in Chinese, with what they name", () => {
  const said: [string, string][] = [
    ["cut session 58857692a1263da5: 1 sessions of 1 people, 0 connections at databases, 2 at machines", "已切断会话 58857692a1263da5：1 人的 1 个会话，0 个数据库连接，2 个主机连接"],
    ["would cut person ann: 2 sessions of 1 people, 0 connections at databases, 0 at machines, as it was already", "将切断人员 ann：1 人的 2 个会话，0 个数据库连接，0 个主机连接（此前已切断）"],
    ["ask for a fresh proof: person mia: 1 sessions of 1 people, 0 connections at databases, 0 at machines", "已要求重新验证：人员 mia：1 人的 1 个会话，0 个数据库连接，0 个主机连接"],
    ["nothing says which session is meant", "未指明是哪个会话"],
    ["Drill: Stolen credentials", "演练：Stolen credentials"],
    ["[drill] step waits lock: for a person", "〔演练〕步骤 lock 等待人员确认"],
    ["step failed session: there is no session x", "步骤 session 失败：没有这个会话：x"],
    ["commander: nobody in the Rota can", "指挥：值班表中无人可任"],
    ["incident 3 is there", "事件 3（已有）"],
    ["step call: Look for the same on other devices, due 2026-11-30T10:00:00Z", "步骤 call 完成：检查其他设备是否有同样情况，期限 2026-11-30T10:00:00Z"],
    ["[drill] step close: would cut resource wiki: 0 sessions of 0 people, 0 connections at databases, 0 at machines, until 2026-11-30T10:00:00Z",
      "〔演练〕步骤 close 完成：将切断资源 wiki：0 人的 0 个会话，0 个数据库连接，0 个主机连接，至 2026-11-30T10:00:00Z"],
    ["undo begun mail: block-mail release ann", "开始撤销步骤 mail：block-mail release ann"],
    ["could not be undone mail: the runner is away", "步骤 mail 无法撤销：命令执行器未运行"],
    ["failed: could not be given back: close (io); step whom failed", "失败：无法恢复：close (io)；步骤 whom 失败"],
  ];
  for (const [english, chinese] of said) assert.equal(saidZh(english), chinese);
});

test("every task of the plans that come with the program", () => {
  const plans = readFileSync("../packaging/plans/plans.yaml", "utf8");
  const texts = [...plans.matchAll(/do: task, .*?text: "([^"]*)"/g)].map((found) => found[1] ?? "");
  assert.ok(texts.length > 15);
  for (const text of texts) assert.match(saidZh(text) ?? "", /[\u4e00-\u9fff]/, text);
});

test("a person's words stay his", () => {
  for (const text of ["", "Call her", "I cut person ann", "constructor", "__proto__"]) assert.equal(saidZh(text), undefined);
});
