// SPDX-License-Identifier: Apache-2.0
// What others chose, wrote or sent is text on every page: names, statements, paths, comments, notices with markup in them and
// with what terminals act on. Nothing of it becomes an element, a link, a dialog, a title, or the clipboard's content.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Person } from "./lib.mjs";

const { tokens, markup, escapes, incident } = JSON.parse(process.env.HOSTILE);
const MARK = "b3duZWQ"; // in the base64 of OSC 52, and in no text of ours
let browser;
const people = {};

before(async () => {
  browser = await launch();
  for (const [name, token] of Object.entries(tokens)) {
    const one = await Person.as(browser, token, { viewport: { width: 1400, height: 1000 } });
    await one.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    one.page.on("dialog", (dialog) => {
      one.trouble.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    one.page.on("popup", (popup) => one.trouble.push(`a window: ${popup.url()}`));
    people[name] = one;
  }
});
after(async () => {
  await browser?.close();
});

/* seen: how often the markup stands there as text, at least. */
async function held(one, path, seen) {
  const { page } = one;
  await one.go(path);
  await one.settled();
  await page.evaluate(() => navigator.clipboard.writeText("before"));
  if (seen) await page.getByText(markup, { exact: false }).first().waitFor();
  const found = await page.evaluate((words) => ({
    elements: [...document.querySelectorAll("img, script:not([src]), iframe, object, embed, [onerror], [onload], [style*='url('], a[href^='javascript:'], a[href*='evil.example']")]
      .filter((at) => !at.closest("head")).map((at) => at.outerHTML.slice(0, 120)),
    title: document.title,
    text: document.body.innerText.split(words).length - 1,
    owned: globalThis.owned,
  }), markup);
  assert.deepEqual(found.elements, [], path);
  assert.equal(found.owned, undefined, path);
  assert.ok(!found.title.includes(MARK) && !found.title.includes("owned"), `${path}: ${found.title}`);
  assert.ok(found.text >= seen, `${path}: it stands there ${found.text} times`);
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "before", path);
  one.calm();
}

test("names, devices, keys and sessions of people", async () => {
  await held(people.sam, "/admin/people?q=mallory", 1);
  await held(people.sam, "/admin/devices", 0);
  await held(people.sam, "/admin/sessions", 0);
  await held(people.olga, "/admin/people", 1);
});

test("statements, paths and refusals, on the wall, in lists and in the ledger", async () => {
  await held(people.sam, "/admin/databases", 1);
  await held(people.sam, "/admin/wall", 0);
  await held(people.audrey, "/admin/ledger", 1);
  await held(people.audrey, "/admin/ledger?kind=decision", 1);
  await people.audrey.page.locator("tbody tr", { hasText: "onerror" }).first().click();
  await people.audrey.page.getByRole("dialog").getByText("onerror", { exact: false }).first().waitFor();
  assert.equal(await people.audrey.page.locator("dialog img").count(), 0);
  people.audrey.calm();
});

test("incidents: title, comment, task, review", async () => {
  await held(people.sam, `/incidents/${incident}`, 4);
  await people.sam.page.locator(".note-comment", { hasText: "after the escapes" }).waitFor();
  assert.ok((await people.sam.page.locator(".note-comment").allInnerTexts()).some((text) => text.includes(MARK)), "the escape is shown, not obeyed");
  await held(people.sam, "/incidents?all=1", 1);
  await held(people.audrey, "/admin/ledger?kind=incident", 0);
});

test("notices: sent, received, above every page; cuts with a reason", async () => {
  await held(people.sam, "/admin/notices", 0);
  await held(people.sam, "/notices", 0);
  assert.match(await people.sam.page.locator("main").innerText(), /onerror=alert/);
  await held(people.sam, "/admin/cuts", 1);
});

test("in the address: a search and a path that nobody made", async () => {
  const { sam } = people;
  for (const path of [`/admin/people?q=${encodeURIComponent(markup)}`, `/incidents/${encodeURIComponent(markup)}`, `/admin/wall?person=${encodeURIComponent(markup + escapes)}`]) {
    await held(sam, path, 0);
  }
});
