// SPDX-License-Identifier: Apache-2.0
// What core says of plans and incidents (core/plans, core/incidents, core/reports, packaging/plans), in Chinese. What a
// person wrote fits nothing here and is shown as it is.
const KINDS: Record<string, string> = { session: "会话", person: "人员", device: "设备", role: "角色", resource: "资源", class: "级别", everything: "全部" };
const ROLES: Record<string, string> = { commander: "指挥", scribe: "记录", liaison: "联络" };
const of = (table: Record<string, string>, word: string): string | undefined => (Object.hasOwn(table, word) ? table[word] : undefined);
const kind = (word = ""): string => of(KINDS, word) ?? word;
const who = (name = ""): string => (name === "nobody in the Rota can" ? "值班表中无人可任" : name);
const again = (text = ""): string => (saidZh(text) ?? text);

const WHOLE: Record<string, string> = {
  "the alarm's entries are in the timeline": "告警涉及的账本条目已列入时间线",
  waited: "已等待", done: "已完成", over: "已结束", "for a person": "等待人员确认", "for a while": "等待一段时间",
  "nobody confirmed it in time": "无人及时确认", "no answer came in time": "未及时得到答复", "core ended while it ran": "执行期间核心进程结束",
  "the runner is away": "命令执行器未运行", "too many commands run already": "正在执行的命令过多", "the runner ended while it ran": "执行期间命令执行器结束",
  "there is no such plan": "没有此预案", "the plan could not be run to its end": "预案未能执行完毕", "the plan gives back what it cut": "预案恢复其切断的内容",
  "the courier ended while it was under way: nobody knows whether it arrived": "发送期间投递进程结束，无法得知是否送达",
  "a report to the authorities is open": "已开始一份向主管部门的报告", "a report to the authorities is signed": "向主管部门的报告已签署",
  "large objects are left out": "大对象不另存",
  "its time is over": "时限已到", "does not answer on its socket": "套接字没有响应",
  "there is no program of detections yet": "尚无检测程序", "the ledger does not answer": "账本没有响应",
  "core does not take alarms: nothing more is looked at until it does": "核心进程未接收告警：在其接收之前不再检查",
  "events come faster than they can be looked at: alarms are late, none is left out": "事件到达快于检查：告警延迟，但不会遗漏",
  "the gate's worker ended before it could say what it covered": "网关工作进程在说明覆盖程度之前已结束",
  "somebody told it: a person decides": "由人员报告：由人决定",
  "it has run by itself as often as its guard lets it": "自动执行次数已达限制",
  "whom it is about could not be found": "未能找到所涉及的人员",
  "it is about somebody whom its guard excepts": "所涉及的人员在其豁免之列",
  "its mode is to be confirmed": "预案须经确认后执行",
  started: "开始", proposed: "提出，等待确认", confirmed: "已确认", failed: "失败", stopped: "已停止", undo: "恢复", waiting: "等待", running: "执行中",
  "Bring in standby servers; lower limits if that is not enough": "启用备用服务器；仍不足时降低限额",
  "Call the person over a number that is known; reset the account if it was not him": "拨打已知号码联系本人；若非本人所为，重置账号",
  "Decide what was on it, and whether that must be told": "判断设备上有什么，以及是否须告知",
  "Decide whether authorities and the people concerned must be told, and by when": "判断是否须告知主管部门和相关人员，以及期限",
  "Find out what left: records of the session, rows and bytes": "查明流出了什么：会话记录、行数和字节数",
  "Find the cause; who operates the resource is told": "查明原因，并告知资源的运维人员",
  "Find the mail or page, and who else got it": "找到该邮件或页面，以及还有谁收到",
  "If it is not found within a day: revoke the device": "一天内未找到则吊销该设备",
  "Is it over? Then say so, and close with a review": "是否已结束？若是，告知大家并复盘结案",
  "Keep the device as it is; take an image before it is cleaned": "保持设备原状；清理前先制作镜像",
  "Look at roles, grants, devices and keys; take back what is not needed": "检查角色、授权、设备和密钥；收回不需要的",
  "Look at what was kept and put it back: sallyport db keeps, sallyport db undo": "查看已保留的数据并恢复：sallyport db keeps、sallyport db undo",
  "Look for the same on other devices": "检查其他设备是否有同样情况",
  "Reset the account with the person present": "本人在场时重置账号",
  "Speak with the person and those above": "与本人及其上级谈话",
  "Tell staff: sallyport notice send outage": "告知员工：sallyport notice send outage",
  "Tell staff: sallyport notice send surge": "告知员工：sallyport notice send surge",
  "Warn everybody: sallyport notice send phishing-warning": "提醒所有人：sallyport notice send phishing-warning",
  "When it is back: sallyport notice send outage-over": "恢复后：sallyport notice send outage-over",
  "Write down from when to when events are missing, and why": "写明从何时到何时缺少事件，以及原因",
  "sallyport doctor; sallyport ledger verify; free space on the disk": "运行 sallyport doctor 和 sallyport ledger verify；检查磁盘剩余空间",
};

type Pattern = [RegExp, (...parts: string[]) => string];
const PATTERNS: Pattern[] = [
  // the keeper, of rows beside
  [/^the rows go as plain tables into the schema (\S+) of the database ([^\n]+)\. Only ([^\n]+) may read them, and through the gate nobody until the policy names that schema$/, (schema, database, role) => `这些行作为普通表写入数据库 ${database} 的模式 ${schema}。只有 ${role} 可以读取；在策略写明该模式之前，任何人都不能经网关读取`],
  [/^the tables had about (\d+) KiB when they were kept: so much room it takes in the database$/, (kib) => `保留时这些表约有 ${kib} KiB：在数据库中约占同样空间`],
  [/^the dry run took (\d+) s: it takes about as long, and nobody waits for it meanwhile$/, (s) => `试运行用时 ${s} 秒：实际用时相近，其间无人需要等待`],
  [/^values of type ([^\n]+) are text there$/, (type) => `类型 ${type} 的值在那里是文本`],
  [/^so are values of (\d+) more types$/, (n) => `另有 ${n} 种类型的值也是文本`],
  [/^column ([^\n]+) of ([^\n]+), which is generated, has no values that were kept$/, (column, table) => `${table} 的生成列 ${column} 没有保留的值`],
  [/^(\d+) views, sequences or tables of other servers have no rows here: what they are is left out$/, (n) => `${n} 个视图、序列或其他服务器的表在此没有行：其定义不另存`],
  [/^rows of (\d+) tables of extensions are left out$/, (n) => `${n} 个扩展表的行不另存`],
  [/^new tables are sent to other servers by the publication ([^\n]+): these as well$/, (name) => `发布 ${name} 会把新表发送到其他服务器：这些表也不例外`],
  [/^a schema (\S+) of ([^\n]+) is there, which the keeper did not make: another name is taken$/, (schema, owner) => `已有 ${owner} 的模式 ${schema}，并非保留程序所建：改用另一个名称`],
  [/^(\d+) workers connected$/, (n) => `已连接 ${n} 个工作进程`],
  [/^Drill: ([\s\S]*)$/, (rest) => `演练：${rest}`],
  [/^\[drill\] ([\s\S]*)$/, (rest) => `〔演练〕${again(rest)}`],
  [/^([\s\S]+), (until|due) (20\d\d-\S+)$/, (what, word, at) => `${again(what)}，${word === "due" ? "期限" : "至"} ${at}`],
  [/^undo begun ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, what) => `开始撤销步骤 ${step}${what ? `：${what}` : ""}`],
  [/^undone ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, what) => `步骤 ${step} 已撤销${what ? `：${again(what)}` : ""}`],
  [/^could not be undone ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, what) => `步骤 ${step} 无法撤销${what ? `：${again(what)}` : ""}`],
  [/^could not be given back: (.+?)(?:; ([\s\S]*))?$/, (steps, why) => `无法恢复：${steps}${why ? `；${again(why)}` : ""}`],
  [/^step ([a-z0-9._-]+) failed$/, (step) => `步骤 ${step} 失败`],
  [/^step failed ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, what) => `步骤 ${step} 失败${what ? `：${again(what)}` : ""}`],
  [/^step begun ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, what) => `步骤 ${step} 已开始${what ? `：${what}` : ""}`],
  [/^step waits ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, what) => `步骤 ${step} ${again(what) || "等待"}`],
  [/^step confirmed ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, by) => `步骤 ${step} 已由 ${by ?? ""} 确认`],
  [/^step ([a-z0-9._-]+)(?:: ([\s\S]*))?$/, (step, what) => `步骤 ${step} 完成${what ? `：${again(what)}` : ""}`],
  [/^confirmed: (.+)$/, (by) => `已由 ${by} 确认`],
  [/^(started|proposed|done|failed|stopped|undo): ([\s\S]*)$/, (word, what) => `${of(WHOLE, word ?? "") ?? ""}：${again(what)}`],
  [/^incident (\d+), step (.+)$/, (id, step) => `事件 ${id}，步骤 ${step}`],
  [/^nothing says which (\w+) is meant$/, (what) => `未指明是哪个${kind(what)}`],
  [/^there is no (\w+) (.+)$/, (what, name) => `没有这个${kind(what)}：${name}`],
  [/^(would )?(cut|ask for a fresh proof:) (\w+) (.*): (\d+) sessions of (\d+) people, (\d+) connections at databases, (\d+) at machines(, as it was already)?$/,
    (would, does, what, name, sessions, people, databases, machines, already) =>
      `${would ? "将" : "已"}${does === "cut" ? "切断" : "要求重新验证："}${kind(what)} ${name}：${people} 人的 ${sessions} 个会话，${databases} 个数据库连接，${machines} 个主机连接${already ? "（此前已切断）" : ""}`],
  [/^(\w+) (\S+) could not be cut: (.*)$/, (what, name, why) => `无法切断${kind(what)} ${name}：${why}`],
  [/^nobody was told: ([\s\S]*)$/, (why) => `未能通知任何人：${why}`],
  [/^notice (\d+): (.+)$/, (id, name) => `通知 ${id}：${name}`],
  [/^(commander|scribe|liaison): (.+)$/, (role, name) => `${of(ROLES, role ?? "")}：${who(name)}`],
  [/^incident (\d+)( is there)?$/, (id, there) => `事件 ${id}${there ? "（已有）" : ""}`],
  [/^would post to (.+)$/, (to) => `将发送到 ${to}`],
  [/^posted? to (.+)$/, (to) => `已发送到 ${to}`],
  [/^would run (.+)$/, (what) => `将执行 ${what}`],
  [/^could not run: (.*)$/, (why) => `无法执行：${again(why)}`],
  [/^not run: (.*)$/, (why) => `未执行：${again(why)}`],
  [/^the bootstrap file names no command (.+)$/, (name) => `启动配置中没有命令 ${name}`],
  [/^exit status (\d+) after (\d+) ms, (\d+) bytes of output([\s\S]*)$/, (status, ms, bytes, rest) => `退出码 ${status}，${ms} 毫秒，输出 ${bytes} 字节${rest}`],
];

/* undefined: nobody of ours said it. */
export function saidZh(text: string): string | undefined {
  const whole = of(WHOLE, text);
  if (whole !== undefined) return whole;
  for (const [pattern, say] of PATTERNS) {
    const found = pattern.exec(text);
    if (found) return say(...found.slice(1));
  }
  return undefined;
}
