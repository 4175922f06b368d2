// SPDX-License-Identifier: Apache-2.0
// Watching databases: real statements through a real gate appear as they are recorded, refused ones stand out, and
// from there one comes to the proof, to the session's record and to ending a connection.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { launch, Person } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
const { lin: linSignsIn, mia: miaSignsIn, tokens } = JSON.parse(process.env.DATABASE);
let browser;
const people = {};

/* In the session that the office already knows. */
const open = (name, options) => Person.as(browser, tokens[name], options);
const psql = (environment, text) => promisify(execFile)("psql", ["-X", "-c", text], { env: environment }).catch((error) => error);
const line = (one, text) => one.page.locator("tbody tr", { hasText: text });
const shot = async (one, name) => {
  if (shots) await one.page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};

before(async () => {
  browser = await launch();
  for (const name of ["sam", "audrey", "lin"]) people[name] = await open(name);
});
after(async () => {
  await browser?.close();
});

test("statements appear as they are recorded, refused ones stand out", async () => {
  const { sam } = people;
  await sam.go("/admin/databases");
  await sam.heading("Databases").waitFor();
  await sam.page.locator(".watch [role=status]", { hasText: "Live" }).waitFor();
  await psql(linSignsIn, "SELECT note FROM orders LIMIT 3");
  await line(sam, "SELECT note FROM orders LIMIT 3").waitFor();
  const cells = await line(sam, "SELECT note FROM orders LIMIT 3").innerText();
  for (const word of ["Allowed", "Read", "lin", "orders-db", "3 rows"]) assert.ok(cells.includes(word), `${word} in ${cells}`);
  const refused = await psql(miaSignsIn, "DROP TABLE orders");
  assert.match(refused.stderr, /not allowed/);
  await line(sam, "DROP TABLE orders").waitFor();
  assert.match(await line(sam, "DROP TABLE orders").getAttribute("class"), /row-refused/);
  assert.match(await line(sam, "DROP TABLE orders").innerText(), /Refused[\s\S]*No rule allows it/);
  await shot(sam, "watch-light");
  sam.calm();
});

test("the stream is filtered, paused by a key, and walked by arrows", async () => {
  const { sam } = people;
  const { page } = sam;
  await page.getByLabel("Outcome").selectOption({ label: "Refused or waiting" });
  await line(sam, "SELECT note FROM orders LIMIT 3").waitFor({ state: "detached" });
  await page.locator(".watch [role=status]", { hasText: "Live" }).waitFor();
  await psql(linSignsIn, "SELECT 'not shown'");
  await psql(miaSignsIn, "DELETE FROM orders");
  await line(sam, "DELETE FROM orders").waitFor();
  assert.equal(await line(sam, "not shown").count(), 0);
  await page.locator("h1").click();
  await page.keyboard.press("p");
  await page.locator(".watch [role=status]", { hasText: "Paused" }).waitFor();
  await psql(miaSignsIn, "TRUNCATE orders");
  await page.getByText(/Paused, \d+ waiting/).waitFor();
  assert.equal(await line(sam, "TRUNCATE orders").count(), 0);
  await page.keyboard.press("p");
  await line(sam, "TRUNCATE orders").waitFor();
  const first = page.locator(".watch .cell-button").first();
  await first.focus();
  await page.keyboard.press("ArrowDown");
  assert.ok(await page.locator(".watch .cell-button").nth(1).evaluate((at) => at === document.activeElement));
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByText("Its session").waitFor();
  await page.keyboard.press("Escape");
  sam.calm();
});

test("a statement leads to its proof and to the record of its session", async () => {
  const { audrey } = people;
  const { page } = audrey;
  await audrey.go("/admin/databases");
  await line(audrey, "SELECT note FROM orders LIMIT 3").first().click();
  await page.getByRole("link", { name: /and its proof/ }).click();
  await page.getByText("Proven: this entry is in the signed tree").waitFor();
  await audrey.go("/admin/databases");
  await line(audrey, "SELECT note FROM orders LIMIT 3").first().click();
  await page.getByRole("link", { name: "Its session" }).click();
  await audrey.heading("Record of a session").waitFor();
  await line(audrey, "SELECT note FROM orders LIMIT 3").waitFor();
  const coverage = await page.locator(".coverage").innerText();
  for (const claim of [/\d statements that ran/, /\d rows \(.*\) from \d statements/, /\d rows came back or were changed/, /B sent and .*B received/, /Through\s+.*Database gate/, /Events counted\s+\d/, /no lost events and of no gaps/]) assert.match(coverage, claim);
  await shot(audrey, "session-light");
  audrey.calm();
});

test("a person sees the record of his own session, and nobody else's", async () => {
  const { lin } = people;
  const { page } = lin;
  await lin.go("/sessions");
  await page.getByRole("link", { name: "Record", exact: true }).first().click();
  await lin.heading("Record of a session").waitFor();
  await page.getByText("What is recorded about this session of yours.").waitFor();
  await page.getByText(/statements that ran/).waitFor();
  await lin.go("/sessions/00000000deadbeef");
  await page.getByText("Not found").waitFor();
  lin.calm();
});

test("a connection is ended from there, with a reason that its client reads", async () => {
  const { sam } = people;
  const { page } = sam;
  await sam.go("/admin/databases/connections");
  const client = spawn("psql", ["-X", "-c", "SELECT pg_sleep(100)"], { env: linSignsIn });
  let said = "";
  client.stderr.on("data", (bytes) => { said += bytes; });
  const ended = new Promise((done) => client.on("exit", done));
  await line(sam, "lin").waitFor();
  assert.match(await line(sam, "lin").innerText(), /op_dba/);
  await shot(sam, "connections-light");
  await line(sam, "lin").getByRole("button", { name: "End connection" }).click();
  await page.getByRole("dialog").getByLabel("Why").fill("too long");
  await page.getByRole("dialog").getByRole("button", { name: "End connection" }).click();
  assert.notEqual(await ended, 0);
  assert.match(said, /too long/);
  await line(sam, "lin").waitFor({ state: "detached" });
  await sam.go("/admin/databases");
  await page.getByText("database connection ended").first().waitFor();
  sam.calm();
});

test("who works as whom, and budgets", async () => {
  const { sam } = people;
  await sam.go("/admin/databases/accounts");
  assert.match(await line(sam, "lin").innerText(), /orders-db[\s\S]*op_dba/);
  await sam.go("/admin/databases/budgets");
  await sam.page.getByText("Nobody has used any of it.").waitFor();
  assert.equal((await psql(linSignsIn, "CREATE TEMP TABLE gone (id int); DROP TABLE gone")).stderr, "");
  assert.match((await psql(linSignsIn, "DELETE FROM orders")).stdout, /DELETE 50/);
  await sam.go("/admin/databases/budgets");
  await line(sam, "lin").waitFor();
  assert.match(await line(sam, "lin").innerText(), /\d of 3/);
  await shot(sam, "budgets-light");
  sam.calm();
});

test("in Chinese on a phone, in the dark, and by the rules of WCAG 2.1 AA", async () => {
  const pages = ["/admin/databases", "/admin/databases/connections", "/admin/databases/accounts", "/admin/databases/budgets"];
  await people.sam.go("/admin/databases");
  await line(people.sam, "SELECT note FROM orders LIMIT 3").first().click();
  pages.push(await people.sam.page.getByRole("link", { name: "Its session" }).getAttribute("href"));
  await Promise.all([{ viewport: { width: 390, height: 844 } }, {}].map(async (options) => {
    const one = await open("sam", { bypassCSP: true, ...options });
    const phone = options.viewport !== undefined;
    if (phone) {
      await one.go("/");
      await one.page.getByRole("button", { name: "中文" }).click();
    }
    for (const [at, path] of pages.entries()) {
      await one.go(path);
      await one.settled();
      if (phone) assert.match(await one.page.locator("h1").innerText(), /[一-鿿]/, path);
      await one.fits(path);
      await one.accessible(path, (scheme) => shot(one, `page-${at}-${scheme}${phone ? "-phone-zh" : ""}`));
    }
    one.calm();
    await one.context.close();
  }));
});
