// SPDX-License-Identifier: Apache-2.0
// A real DELETE waits at a real database gate until a lead has seen its plan, its rows and what hangs on them, and agreed;
// what it took is put back from the page, again with her word.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { launch, Person } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
const { dora: doraSignsIn, tokens } = JSON.parse(process.env.DATABASE);
const TEXT = "DELETE FROM customers WHERE id > 0 -- <b>all</b>";
let browser;
const people = {};
const clients = [];

const shot = async (one, name) => {
  if (shots) await one.page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};
/* psql as dora: what it says, and when it ends. */
function psql(text) {
  const client = spawn("psql", ["-X", "-A", "-t", "-c", text], { env: doraSignsIn });
  const said = { text: "" };
  clients.push(client);
  for (const stream of [client.stdout, client.stderr]) stream.on("data", (bytes) => { said.text += bytes; });
  said.ended = new Promise((done) => client.on("exit", done));
  return said;
}
const left = async () => {
  const said = psql("SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM bills)");
  await said.ended;
  return said.text.trim();
};
/* The reader of the page agrees to what it shows. */
const agree = async (one, name, action) => {
  await one.page.getByRole("button", { name: action, exact: true }).click();
  await one.page.getByRole("dialog", { name }).getByRole("button", { name: action, exact: true }).click();
};

before(async () => {
  browser = await launch();
  for (const name of Object.keys(tokens)) people[name] = await Person.as(browser, tokens[name]);
});
after(async () => {
  await browser?.close();
  for (const client of clients) client.kill(); // one that still waits
});

test("it waits, and the lead sees what it would do before she agrees", async () => {
  const { lena } = people;
  const { page } = lena;
  await lena.go("/approvals");
  await lena.heading("Nothing waits for you").waitFor();
  const run = psql(TEXT);
  await page.getByRole("row", { name: /DELETE FROM customers/ }).click(); // it came without a reload
  const dialog = page.getByRole("dialog");
  await dialog.getByText(TEXT, { exact: true }).waitFor();
  assert.equal(await page.locator("dialog b").count(), 0, "the statement is text");
  await dialog.getByText(/Delete on customers/).waitFor();
  const fact = async (name) => dialog.locator("dt").filter({ hasText: new RegExp(`^${name}$`) }).locator("xpath=following-sibling::dd[1]").innerText();
  assert.equal(await fact("Estimated rows"), "2,000");
  await dialog.locator("dd", { hasText: /^[\d.]+ (B|KiB): keep takes [\d.]+ m?s, undo takes up to [\d.]+ (ms|s|min)$/ }).waitFor(); // comes when it is known, by itself
  assert.match(await fact("On"), /orders-db/);
  const touches = await dialog.locator("section", { hasText: "What it acts on" }).innerText();
  for (const one of [/table\s+public\.customers\s+named · 2,000 rows/, /table\s+public\.bills\s+goes with it · 30 rows/, /view\s+public\.names\s+reads it/, /foreign key\s+public\.bills\.bills_customer_fkey/]) assert.match(touches, one);
  await shot(lena, "statement-light");
  assert.doesNotMatch(run.text, /DELETE/, "nothing has run yet");
  await agree(lena, "Approve exactly this?", "Approve");
  await page.getByText("Approved.").waitFor();
  assert.equal(await run.ended, 0, run.text);
  assert.match(run.text, /DELETE 2000/);
  assert.equal(await left(), "0|0");
  lena.calm();
});

test("undo is asked for on the page, agreed to, and brings all of it back", async () => {
  const { dora, lena } = people;
  await dora.go("/approvals");
  const kept = dora.page.locator(".card", { hasText: "What was kept before it was destroyed" }).locator("tbody tr", { hasText: "DELETE FROM customers" });
  await kept.getByText("Kept", { exact: true }).waitFor();
  await shot(dora, "keeps-light");
  await kept.getByRole("button", { name: "Undo" }).click();
  await dora.page.getByRole("dialog").getByLabel("Why").fill("it was the wrong table");
  await dora.page.getByRole("dialog").getByRole("button", { name: "Undo" }).click();
  await dora.page.getByText("Others were asked to approve the undo.").waitFor();
  await lena.go("/approvals");
  await lena.page.locator("tbody tr", { hasText: "Undo ·" }).getByRole("button").first().click();
  await lena.page.getByRole("dialog").getByText("it was the wrong table").waitFor();
  const would = await lena.page.locator("dialog section", { hasText: "What undo would do now" }).innerText();
  for (const one of [/customers"?\s+2,000 rows come back/, /bills"?\s+30 rows come back/]) assert.match(would, one);
  await shot(lena, "undo-light");
  await agree(lena, "Approve exactly this?", "Approve");
  await kept.getByText("Undone", { exact: true }).waitFor({ timeout: 30_000 }); // without a reload
  assert.equal(await left(), "2000|30");
  for (const one of Object.values(people)) one.calm();
});

test("its rows are put beside, when she agrees to that as well, though it was undone", async () => {
  const { dora, lena } = people;
  await dora.go("/approvals");
  const kept = dora.page.locator(".card", { hasText: "What was kept before it was destroyed" }).locator("tbody tr", { hasText: "DELETE FROM customers" });
  assert.equal(await kept.getByRole("button", { name: "Undo" }).count(), 0, "it is undone");
  await kept.getByRole("button", { name: "Rows beside" }).click();
  const ask = dora.page.getByRole("dialog", { name: "Ask for the rows as plain tables?" });
  await ask.getByLabel("Database (optional)").fill("nowhere");
  await ask.getByRole("button", { name: "Ask", exact: true }).click();
  await ask.getByText(/names no database nowhere/).waitFor();
  await ask.getByLabel("Database (optional)").fill("");
  await ask.getByLabel("Why").fill("to compare");
  await dora.accessible("rows beside", (scheme) => shot(dora, `beside-ask-${scheme}`));
  await ask.getByRole("button", { name: "Ask", exact: true }).click();
  await dora.page.getByText("Others were asked to approve it.").waitFor();
  await lena.go("/approvals");
  await lena.page.locator("tbody tr", { hasText: "Rows beside ·" }).getByRole("button").first().click();
  const would = lena.page.locator("dialog section", { hasText: "What would be put beside now" });
  for (const one of [/public\.customers\s+2,000 rows/, /public\.bills\s+30 rows/, /schema sallyport_kept_[0-9a-z]{12} of the database orders/]) assert.match(await would.innerText(), one);
  await shot(lena, "beside-light");
  await agree(lena, "Approve exactly this?", "Approve");
  await kept.getByText(/Rows are beside in\s+sallyport_kept_[0-9a-z]{12}/).waitFor({ timeout: 30_000 }); // without a reload
  await kept.getByText("Undone", { exact: true }).waitFor();
  await shot(dora, "beside-keeps");
  for (const one of [lena, dora]) one.calm();
});

test("in Chinese on a phone, in the dark, and by the rules of WCAG 2.1 AA", async () => {
  await Promise.all([{ viewport: { width: 390, height: 844 } }, {}].map(async (options) => {
    const one = await Person.as(browser, tokens.lena, { bypassCSP: true, ...options });
    const phone = options.viewport !== undefined;
    if (phone) {
      await one.go("/");
      await one.page.getByRole("button", { name: "中文" }).click();
    }
    await one.go("/approvals?show=all");
    await one.settled();
    await one.fits("/approvals");
    await one.accessible("/approvals", (scheme) => shot(one, `approvals-${scheme}${phone ? "-phone-zh" : ""}`));
    await one.page.locator("tbody tr", { hasText: phone ? "语句 ·" : "Statement ·" }).last().getByRole("button").first().click();
    await one.page.locator("dialog pre", { hasText: "Delete on customers" }).waitFor();
    await one.accessible("an approval", (scheme) => shot(one, `approval-${scheme}${phone ? "-phone-zh" : ""}`));
    one.calm();
    await one.context.close();
  }));
});
