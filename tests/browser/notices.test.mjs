// SPDX-License-Identifier: Apache-2.0
// Notices in the portal: the banner that goes when it is read, the inbox, the link of a mail without a session, and
// for administrators what was sent, whom it did not reach, and sending one.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Person } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
const { tokens, link, title } = JSON.parse(process.env.NOTICES);
let browser;
const people = {};

const open = (name, options) => (tokens[name] ? Person.as(browser, tokens[name], options) : Person.open(browser, options));
const shot = async (one, name) => {
  if (shots) await one.page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

test("a mail's link asks first, and needs nobody to sign in", async () => {
  const stranger = await open("nobody", { viewport: { width: 390, height: 800 } });
  await stranger.page.goto(link);
  await stranger.page.getByText("Confirm that this notice has reached you.").waitFor();
  assert.ok(!stranger.page.url().includes("."  + link.split(".").pop()), "the token leaves the address bar");
  await shot(stranger, "notice-link");
  await stranger.button("I have read this").click();
  await stranger.page.getByText("it is noted that you have read it").waitFor();
  stranger.calm();
});

test("the banner stands above every page until it is read", async () => {
  const lin = await open("lin");
  people.lin = lin;
  await lin.go("/devices");
  const banner = lin.page.locator(".note", { hasText: title });
  await banner.waitFor();
  assert.equal(await lin.page.locator(".note b").count(), 0, "what stands in a value is text");
  await shot(lin, "notice-banner-light");
  await lin.go("/notices");
  await lin.heading("Notices").waitFor();
  await shot(lin, "notice-inbox-light");
  await banner.getByRole("button", { name: "I have read this" }).click();
  await banner.waitFor({ state: "detached" });
  await lin.page.getByText("Read", { exact: true }).first().waitFor();
  lin.calm();
  const zh = await open("lin", { viewport: { width: 390, height: 844 }, locale: "zh-CN", colorScheme: "dark" });
  await zh.go("/notices");
  await zh.heading("通知").waitFor();
  await shot(zh, "notice-inbox-zh-dark-narrow");
  zh.calm();
});

test("the security administrator sees whom it did not reach, and sends another", async () => {
  const sam = await open("sam");
  await sam.go("/admin/notices");
  await sam.heading("Notices").waitFor();
  // the one that was sent, not what an escalation makes of it when nobody has read it in time
  await sam.page.getByRole("button", { name: new RegExp(title) }).filter({ hasNotText: "Nobody has acknowledged" }).first().click();
  await sam.page.locator("dialog tbody tr", { hasText: "staff001" }).waitFor();
  const row = await sam.page.locator("dialog tbody tr", { hasText: "staff001" }).innerText();
  assert.match(row, /550 5.1.1 no such user/);
  await shot(sam, "notice-details-light");
  await sam.page.keyboard.press("Escape");
  await sam.go("/admin/notices/channels");
  await sam.page.locator("tbody tr", { hasText: "slack" }).waitFor();
  await shot(sam, "notice-channels-light");
  await sam.go("/admin/notices");
  await sam.button("Send a notice").click();
  await sam.page.getByLabel("title").fill("Tea");
  await sam.page.getByLabel("text").fill("There is <b>tea</b>.");
  await sam.button("Preview").click();
  await sam.page.locator("dialog .note", { hasText: "There is <b>tea</b>." }).first().waitFor();
  await shot(sam, "notice-send-light");
  sam.calm();
  const dark = await open("sam", { viewport: { width: 390, height: 844 }, locale: "zh-CN", colorScheme: "dark" });
  await dark.go("/admin/notices");
  await dark.heading("通知").waitFor();
  await shot(dark, "notice-admin-zh-dark-narrow");
  dark.calm();
});

test("an employee tells that something is wrong, and sees that it is looked at", async () => {
  const lin = await open("lin");
  await lin.go("/tell");
  await lin.heading("Something is wrong").waitFor();
  await shot(lin, "tell-light-wide");
  await lin.page.getByLabel("My device is gone").check();
  await lin.page.getByLabel("Data may have got out").check();
  await lin.button("Tell the security team").click();
  assert.equal(await lin.page.locator("tbody tr").count(), 0, "it needs a sentence");
  await lin.page.getByLabel("What you saw").fill("a list of <b>customers</b> on a public page");
  await lin.button("Tell the security team").click();
  await lin.page.locator("tbody tr", { hasText: "Data may have got out" }).filter({ hasText: "Being looked at" }).waitFor();
  await shot(lin, "tell-told-light");
  lin.calm();
  const zh = await open("lin", { viewport: { width: 390, height: 844 }, locale: "zh-CN", colorScheme: "dark" });
  await zh.go("/tell");
  await zh.heading("报告异常").waitFor();
  await zh.page.locator("tbody tr, li", { hasText: "数据可能外泄" }).first().waitFor();
  await shot(zh, "tell-zh-dark-narrow");
  zh.calm();
  const narrow = await open("lin", { viewport: { width: 390, height: 844 } });
  await narrow.go("/tell");
  await narrow.heading("Something is wrong").waitFor();
  await shot(narrow, "tell-light-narrow");
  const wide = await open("lin", { locale: "zh-CN", colorScheme: "dark" });
  await wide.go("/tell");
  await wide.heading("报告异常").waitFor();
  await shot(wide, "tell-zh-dark-wide");
});

test("somebody chooses on which ways he is told, and in which order", async () => {
  const lin = await open("lin", { bypassCSP: true });
  const { page } = lin;
  await lin.go("/notices");
  const form = page.getByRole("form", { name: "Your order" });
  await form.getByText("You have chosen none").waitFor();
  for (const way of ["mail", "slow"]) {
    await form.getByLabel("Add a way").selectOption(way);
    await form.getByRole("button", { name: "Add a way" }).click();
  }
  assert.ok(!(await form.getByRole("button", { name: "Save" }).isEnabled()), "an id is wanted");
  const id = form.getByLabel("Your id on slow");
  await id.fill("all");
  await form.getByRole("button", { name: "slow earlier" }).click();
  await form.getByRole("button", { name: "Save" }).click();
  await form.getByRole("alert").getByText("not 'all'").first().waitFor();
  await shot(lin, "reach-refused");
  await id.fill("lin-77");
  await form.getByRole("button", { name: "Save" }).click();
  await page.getByText("Kept.").waitFor();
  await lin.go("/notices");
  assert.equal(await form.getByLabel("Your id on slow").inputValue(), "lin-77");
  assert.match(await form.locator(".ways").innerText(), /slow[\s\S]*mail/);
  await shot(lin, "reach-light");
  await lin.accessible("/notices");
  lin.calm();
  const zh = await open("lin", { viewport: { width: 390, height: 844 }, locale: "zh-CN", colorScheme: "dark" });
  await zh.go("/notices");
  await zh.page.getByRole("form", { name: "您的顺序" }).getByLabel("您在 slow 的 ID").fill("all");
  await zh.page.getByRole("form", { name: "您的顺序" }).getByRole("button", { name: "保存" }).click();
  const said = zh.page.getByRole("form", { name: "您的顺序" }).getByRole("alert");
  await said.waitFor();
  assert.doesNotMatch(await said.innerText(), /[a-z]{4}/, "what is wrong is said in Chinese");
  await zh.fits("/notices");
  await shot(zh, "reach-zh-dark-narrow");
  zh.calm();
});
