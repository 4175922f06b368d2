// SPDX-License-Identifier: Apache-2.0
// 向主管部门的报告：时限、事实、草稿、负责人。
import type { reportEn } from "./report.en";

export const reportZh: typeof reportEn = {
  title: "报告", lead: "法律要求就事件向谁报告、何时之前报告。程序起草并计时；由人判断、签署和报送。",
  none: "没有报告", noneText: "严重事件会自动建立报告；其他事件由您建立。", report: "报告", number: (id) => `报告 ${id}`, of: "事件", level: "级别", might: "可能为", nothingReached: "未达到任何级别", discovered: "发现于", pack: "法规包", dated: (day) => `截至 ${day}`,
  clocks: "报告时限", next: "最近时限", noClock: "没有计时", left: (text) => `剩余 ${text}`, over: (text) => `已超时 ${text}`, waits: "结案后开始计时", applies: "适用", mightApply: "可能适用", filed: "已报送", due: "截止",
  whole: "完整报告", openOne: "建立报告", opened: "已建立。", decides: "级别由人判断", decidesText: "法律留待判断的内容，在有人作出判断之前保持未定。",
  days: (n) => `${n} 天`, hours: (h, m) => `${h} 小时 ${m} 分`, minutes: (m, s) => `${m} 分 ${s} 秒`,
  facts: "已知情况", factsHint: "无人告知的内容视为未定，绝不视为“否”。", fact: "事实", value: "值", open: "未定", tell: "告知", told: "已记录。", unknown: "改为未知", yes: "是", no: "否", grade: (n) => `第 ${n} 级`,
  factNames: {
    persons: "信息泄露涉及人数", sensitive_persons: "其中敏感信息涉及人数", affected_persons: "受影响人数", loss_yuan: "经济损失（元）", outage_minutes: "中断时长（分钟）", important_data: "重要数据", core_data: "核心数据",
    public_interest: "国家安全或公共利益", crime: "涉嫌犯罪", defect: "安全缺陷", cii: "本单位为关键信息基础设施", central_organ: "本单位为中央和国家机关", judgement: "人工判断的级别",
  },
  items: "应当包含的内容", missing: "待补充", later: "首次报告可以暂缺", write: "填写", itemText: "内容", saved: "已保存。", draft: "草稿", english: "英文", chinese: "中文",
  file: "我已报送", fileTitle: "已报送", fileText: "程序不会报送任何内容。请填写主管部门的回执；对应时限随之停止。", receipt: "回执", fileDone: "该时限已停止。",
  sign: "签署", signTitle: "按现状签署草稿", signText: "文本将被固定，其 SHA-256 以您的名义写入账本。", phase: "哪一次报告", phases: { first: "首次", further: "续报", closing: "总结" }, incomplete: (n) => `尽管还缺 ${n} 项，仍然签署`, signed: "已签署。",
  papers: "已签署", noPapers: "尚未签署。", signedBy: (who) => `签署人 ${who}`,
  officers: "负责人", noOfficers: "未指定负责人", noOfficersText: "由 Officer 类文档指定负责人。", vacant: "空缺", deputies: "代理人", contact: "联系方式", duty: "职责",
};
