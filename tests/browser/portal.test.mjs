// SPDX-License-Identifier: Apache-2.0
// One office, from its first link to a running day. The tests build on each other, in order.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { after, afterEach, before } from "node:test";
import { launch, Person, portal } from "./lib.mjs";

const people = {};
const links = {};
let browser;
let all = [];

async function open(options) {
  const one = await Person.open(browser, options);
  all.push(one);
  return one;
}
before(async () => {
  browser = await launch();
});
/* SHOTS=directory keeps what everybody saw at the end of each test. */
afterEach(async (context) => {
  if (!process.env.SHOTS) return;
  for (const [name, one] of Object.entries(people)) {
    await one.page.screenshot({ path: `${process.env.SHOTS}/${context.name.slice(0, 40)} - ${name}.png` }).catch(() => undefined);
  }
});
after(async () => {
  await browser?.close();
});

async function makePerson(admin, name, display) {
  const { page } = admin;
  await admin.go("/admin/people");
  await admin.button("Add a person").click();
  await page.getByLabel("Name", { exact: true }).fill(display);
  await page.getByLabel("User name").fill(name);
  await admin.button("Create and invite").click();
  const link = await page.locator(".copy-box code").innerText();
  assert.match(link, /\/setup#[\w-]{20,}$/);
  await admin.button("Done").click();
  await page.locator("tr", { hasText: display }).waitFor();
  return link;
}
async function grant(admin, display, role) {
  const { page } = admin;
  await admin.go("/admin/people");
  await page.getByRole("button", { name: new RegExp(display) }).click();
  await page.getByRole("checkbox", { name: new RegExp(role) }).check();
  await admin.button("Save roles").click();
  await admin.provingIfAsked(page.getByText("Roles saved"));
}
async function setUp(name, link) {
  const one = await open();
  await one.page.goto(link);
  await one.addPasskey();
  await one.finishSetup();
  people[name] = one;
  return one;
}

test("a stranger gets the sign-in and nothing of the console behind it", async () => {
  const stranger = await open();
  await stranger.go("/admin/policy");
  await stranger.heading("Sign in").waitFor();
  const [status, code] = await stranger.page.evaluate(async () => {
    const answer = await fetch("/api/v1/admin/people");
    return [answer.status, (await answer.json()).code];
  });
  assert.equal(status, 401);
  assert.equal(code, "signed_out");
  const csp = (await stranger.go("/")).headers()["content-security-policy"] ?? "";
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(csp.includes(part), `${part} in ${csp}`);
  }
  assert.ok(!csp.includes("unsafe"), csp);
  stranger.calm();
});

test("a link that was never made does not open the set-up", async () => {
  const stranger = await open();
  await stranger.go("/setup#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  await stranger.page.getByRole("heading", { name: "This link does not work" }).first().waitFor();
  assert.ok(!stranger.page.url().includes("AAAA"), "the token is out of the address");
});

test("the first administrator sets up a password, an app and a passkey", async () => {
  const olga = await open();
  const { page } = olga;
  await page.goto(process.env.SETUP_LINK);
  await olga.heading("The first administrator").waitFor();
  assert.ok(!page.url().includes("#"), "the token is out of the address");
  await page.getByLabel("Your name").fill("Olga Lind");
  await page.getByLabel("User name").fill("olga");
  await olga.button("Continue").click();
  await olga.heading("Welcome, Olga Lind").waitFor();
  assert.ok(!(await olga.button("Finish").isEnabled()), "nothing to sign in with yet");
  await olga.addPasswordAndApp("seven lanterns over water");
  await olga.addPasskey();
  await olga.finishSetup();
  people.olga = olga;
});

test("the set-up link works once", async () => {
  const late = await open();
  await late.page.goto(process.env.SETUP_LINK);
  await late.page.getByRole("heading", { name: "This link does not work" }).first().waitFor();
});

test("signs in with a passkey, and with password and code; a wrong code says nothing of which part", async () => {
  const { olga } = people;
  const { page } = olga;
  await olga.signOut();
  await olga.signInWithPasskey();
  await olga.signOut();
  const byPassword = async (code) => {
    await olga.go("/sign-in");
    await olga.button("Use password and code").click();
    await page.getByLabel("User name").fill("olga");
    await page.getByLabel("Password").fill(olga.password);
    await olga.button("Next").click();
    await page.getByLabel("Code", { exact: true }).fill(code);
    await olga.button("Sign in").click();
  };
  await byPassword("000000");
  await page.getByText("That did not match").waitFor();
  await byPassword(await olga.code());
  await olga.heading("Applications").waitFor();
});

test("administrators of three kinds are made, each with his own link", async () => {
  const { olga } = people;
  for (const [name, display, role] of [["sam", "Sam Okoye", "Security administrator"], ["audrey", "Audrey Kent", "Audit administrator"]]) {
    links[name] = await makePerson(olga, name, display);
    await grant(olga, display, role);
    await setUp(name, links[name]);
  }
  links.eve = await makePerson(olga, "eve", "Eve Adler");
  const eve = await setUp("eve", links.eve);
  assert.equal(await eve.page.getByRole("link", { name: "Policy" }).count(), 0, "an employee sees no administrator's page");
  await eve.go("/admin/people");
  await eve.page.getByText("This page is for administrators.").waitFor();
  olga.calm();
});

test("a security administrator ends a session and the browser is out at once", async () => {
  const { sam, eve } = people;
  await eve.go("/sessions");
  await eve.page.getByText("This one").waitFor();
  await sam.go("/admin/sessions");
  const row = sam.page.locator("tr", { hasText: "Eve Adler" });
  await row.getByRole("button", { name: "End" }).click();
  const dialog = sam.page.getByRole("dialog");
  await dialog.getByLabel("Why").fill("shown in a test");
  await dialog.getByRole("button", { name: "End" }).click();
  await eve.heading("Sign in").waitFor({ timeout: 3000 });
  await row.waitFor({ state: "detached" });
  await eve.signInWithPasskey();
});

test("an employee sees devices, sessions, what is recorded and how to sign in", async () => {
  const { eve } = people;
  const { page } = eve;
  await eve.go("/devices");
  await eve.button("Add a device").click();
  await eve.button("Make a code").click();
  assert.match(await page.locator(".copy-box code").first().innerText(), /^sallyport agent enroll https:/);
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await eve.go("/recorded");
  await page.getByText("Purpose").first().waitFor();
  await page.getByRole("tab", { name: "My entries" }).click();
  await page.getByText("Sign-in").first().waitFor();
  await eve.go("/sign-in-methods");
  await eve.heading("Passkeys").waitFor();
  await eve.go("/refusals");
  await eve.heading("Refusals").waitFor();
  eve.calm();
});

test("the policy is shown as a grid that arrows move over, and answers questions", async () => {
  const { sam } = people;
  const { page } = sam;
  await sam.go("/admin/policy");
  const cell = page.locator("[data-cell='0/0']");
  await cell.waitFor();
  await cell.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("data-cell")), "1/1");
  assert.equal(await page.locator(".matrix-cell[tabindex='0']").count(), 1, "one stop for Tab");
  await page.getByRole("tab", { name: /Nevers/ }).click();
  await page.getByText("Proven").first().waitFor();
  await page.getByRole("tab", { name: "Explain" }).click();
  await sam.button("Ask").click();
  await page.locator(".answer-sentence").waitFor();
});

test("a bad document is refused with its line and column, a good one comes into force", async () => {
  const { sam } = people;
  const { page } = sam;
  await sam.go("/admin/policy/documents");
  const editor = page.getByLabel(/Document text/);
  await editor.waitFor();
  const good = await editor.inputValue();
  await editor.fill(`${good}\n---\nkind: Rool\nname: misspelt\n`);
  await sam.button("Check").click();
  await page.getByText("These documents can't be applied").waitFor();
  const at = page.locator(".problems .link").first();
  assert.match(await at.innerText(), /:\d+:\d+$/);
  await at.click();
  await editor.fill(`${good}\n# reviewed\n`);
  await sam.button("Check").click();
  await page.getByText("These documents are good").waitFor();
  await page.getByLabel("Why (goes into the history)").fill("reviewed");
  await sam.button("Apply").click();
  await sam.provingIfAsked(page.getByText(/^Version \d+ is in force$/));
  await page.getByRole("tab", { name: "Versions" }).click();
  await page.getByRole("row", { name: /reviewed/ }).getByText("In force").waitFor();
  sam.calm();
});

test("the audit administrator finds an entry and the browser proves it", async () => {
  const { audrey } = people;
  const { page } = audrey;
  await audrey.go("/admin/ledger?kind=sign-in");
  await page.locator("tbody tr").first().click();
  await page.getByText("Proven: this entry is in the signed tree").waitFor();
  assert.equal(await page.locator("dialog .checks .bad").count(), 0);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  audrey.calm();
});

test("the audit administrator takes the ledger away as a pack", async () => {
  const { audrey } = people;
  const { page } = audrey;
  await audrey.go("/admin/ledger");
  const [download] = await Promise.all([
    page.waitForEvent("download", { timeout: 60_000 }),
    audrey.button("Export").click(),
  ]);
  assert.equal(download.suggestedFilename(), "sallyport-ledger.tar");
  const tar = readFileSync(await download.path());
  assert.equal(tar.subarray(0, 10).toString(), "checkpoint");
  assert.ok(tar.includes("tile/entries/000"));
  audrey.calm();
});

test("the overview draws the day", async () => {
  const { audrey } = people;
  await audrey.go("/admin");
  await audrey.page.getByRole("img", { name: /decisions in the last 24 hours/ }).waitFor();
  assert.equal(await audrey.page.locator(".bar-hour").count(), 24);
  audrey.calm();
});

const MINE = ["/", "/machines", "/machines/connections", "/machines/keys", "/devices", "/sessions", "/refusals", "/recorded", "/sign-in-methods"];
const ADMIN = ["/admin", "/admin/people", "/admin/databases", "/admin/machines", "/admin/devices", "/admin/resources", "/admin/policy", "/admin/policy/rules", "/admin/policy/documents", "/admin/systems", "/admin/health"];

test("every page works in Chinese on a phone: nothing sticks out, nothing is left in English headings", async () => {
  const { sam } = people;
  const { page } = sam;
  await page.setViewportSize({ width: 390, height: 844 });
  await sam.go("/");
  await page.getByRole("button", { name: "中文" }).click();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
  for (const path of [...MINE, ...ADMIN]) {
    await sam.go(path);
    await sam.settled();
    assert.match(await page.locator("h1").innerText(), /[\u4e00-\u9fff]/, path);
    await sam.fits(path);
  }
  await page.getByRole("button", { name: "English" }).click();
  await page.setViewportSize({ width: 1280, height: 900 });
  sam.calm();
});

test("no page breaks WCAG 2.1 AA rules that a machine can check, light and dark", async () => {
  const storageState = await people.sam.context.storageState();
  await Promise.all([MINE, ADMIN].map(async (paths) => {
    const reader = await open({ bypassCSP: true, storageState });
    for (const path of paths) {
      await reader.go(path);
      await reader.settled();
      await reader.accessible(path);
    }
    await reader.context.close();
  }));
});

test("signing out everywhere ends the other browsers too", async () => {
  const { eve } = people;
  const second = await open({ storageState: await eve.context.storageState() });
  await second.go("/");
  await second.heading("Applications").waitFor();
  await eve.page.locator(".account-button").click();
  await eve.button("Sign out everywhere").click();
  await eve.heading("Sign in").waitFor();
  await second.heading("Sign in").waitFor({ timeout: 3000 });
});

test("no page made an error, broke its policy or asked another origin", () => {
  for (const one of all) one.calm();
});
