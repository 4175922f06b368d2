// SPDX-License-Identifier: Apache-2.0
// Approvals and roles for a while: asked on one page, seen live on another, approved with a step-up;
// the alarm of emergency access; both languages and themes, wide and narrow.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { launch, Person } from "./lib.mjs";

let browser;
const people = {};

before(async () => {
  browser = await launch();
  await Promise.all(Object.entries(JSON.parse(process.env.TOKENS)).map(async ([name, token]) => {
    people[name] = await Person.as(browser, token, name === "max" ? { viewport: { width: 390, height: 844 } } : {});
    await people[name].go("/");
    await people[name].heading("Applications").waitFor();
  }));
});
after(async () => {
  await browser?.close();
});

async function shot(one, name) {
  if (process.env.SHOTS) await one.page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage: true });
}
test("a role is asked for", async () => {
  const { page } = people.ann;
  await people.lee.go("/approvals");
  await people.lee.heading("Nothing waits for you").waitFor();
  await people.ann.go("/roles");
  await people.ann.heading("Roles for a while").waitFor();
  await page.getByLabel("Role", { exact: true }).selectOption("dba");
  await page.getByLabel("Why").fill("A slow query in production");
  await page.getByLabel("Ticket").fill("T-17");
  await page.getByRole("main").getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByText("Others were asked to approve it.").waitFor();
  await shot(people.ann, "roles-light");
});

test("who may approve sees it at once, and approves exactly that", async () => {
  const { page } = people.lee;
  await page.getByText("0 of 2").waitFor(); // without a reload
  await shot(people.lee, "approvals-list");
  await page.getByRole("row", { name: /dba/ }).click();
  await page.getByText("Exactly this would run").waitFor();
  await page.getByText("A slow query in production", { exact: true }).waitFor();
  await shot(people.lee, "approvals-detail");
  await people.lee.button("Approve").click();
  const dialog = page.getByRole("dialog", { name: "Approve exactly this?" });
  await dialog.getByRole("button", { name: "Approve" }).click();
  await page.getByText("Approved.").waitFor();
  await page.getByText("1 of 2").first().waitFor();
  await people.lee.fits("/approvals");
});

test("on a phone, in Chinese and dark, the second one approves", async () => {
  const { page } = people.max;
  await page.emulateMedia({ colorScheme: "dark" });
  await page.getByRole("button", { name: "中文" }).click();
  await people.max.go("/approvals");
  await page.getByRole("heading", { name: "审批" }).waitFor();
  await people.max.fits("/approvals");
  await page.getByText("dba").first().click();
  await page.getByText("将原样执行以下内容").waitFor();
  await shot(people.max, "approvals-narrow-dark-zh");
  await people.max.fits("/approvals");
  await page.getByRole("button", { name: "批准", exact: true }).click();
  await page.getByRole("dialog", { name: "批准这一内容？" }).getByRole("button", { name: "批准" }).click();
  await page.getByText("2 / 2").first().waitFor();
  await people.ann.go("/roles");
  await people.ann.page.getByRole("button", { name: "End now" }).waitFor();
  await people.ann.page.getByText("You hold this role").waitFor({ state: "detached" });
});

test("emergency access alarms every security administrator", async () => {
  const { page } = people.ann;
  await page.getByLabel("Role", { exact: true }).selectOption("emergency");
  await page.getByText("Two people open it").waitFor();
  await page.getByLabel("Why").fill("The database is down");
  await page.getByRole("main").getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByText("Others were asked to approve it.").first().waitFor();
  for (const name of ["lee", "sam"]) {
    const one = people[name];
    await one.go("/approvals");
    await one.page.getByRole("row", { name: /emergency/ }).click();
    await one.button("Approve").click();
    await one.page.getByRole("dialog", { name: "Approve exactly this?" }).getByRole("button", { name: "Approve" }).click();
    await one.page.getByText("Approved.").first().waitFor();
  }
  await people.sam.go("/admin");
  await people.sam.page.getByRole("alert").getByText("Emergency access is open").waitFor();
  await shot(people.sam, "alarm");
  await people.ann.go("/roles");
  await page.getByRole("row", { name: /emergency/ }).getByRole("button", { name: "End now" }).click();
  await page.getByRole("dialog", { name: "End it now?" }).getByRole("button", { name: "End now" }).click();
  await page.getByRole("heading", { name: "A closing note is due" }).waitFor();
  await page.getByLabel(/Closing note/).fill("The disk was full; old logs were removed.");
  await people.ann.button("Write it").click();
  await page.getByText("Noted.").waitFor();
  await people.sam.page.getByRole("alert").getByText(/^Emergency access (is open|of ann)/).waitFor({ state: "detached" });
});

test("standing grants come round", async () => {
  const { page } = people.sam;
  await people.sam.go("/roles");
  await page.getByRole("heading", { name: "Standing grants that come round" }).waitFor();
  await shot(people.sam, "reviews");
  await page.getByRole("row", { name: /lee/ }).getByRole("button", { name: "Still needed" }).click();
  await page.getByText("Confirmed.").waitFor();
  for (const one of Object.values(people)) one.calm();
});
