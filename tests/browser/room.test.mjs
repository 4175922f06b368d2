// SPDX-License-Identifier: Apache-2.0
// The watch room: the wall with a real terminal and real statements, the banner of a terminal's alarm, an incident from
// its alarm to its review, the plan editor's errors, the kill switch and giving back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Person, portal } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
const { tokens, person, sqlPerson, hostile } = JSON.parse(process.env.ROOM);
let browser;
let sam;

const open = (name, options) => Person.as(browser, tokens[name], { viewport: { width: 1600, height: 1000 }, ...options });
const shot = async (one, name) => {
  if (shots) await one.page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};

// A system has no cookies: a context of its own.
const openByToken = async (token) => {
  const system = await browser.newContext({ ignoreHTTPSErrors: true });
  const answer = await system.request.post(`${portal}/api/v1/hooks/incidents`, {
    headers: { Authorization: `Bearer ${token}` }, data: { title: "Backups have stopped", severity: "high", topic: "backup" },
  });
  const told = { status: answer.status(), ...(answer.ok() ? await answer.json() : {}) };
  await system.close();
  return told;
};

before(async () => {
  browser = await launch();
  sam = await open("sam");
});
after(async () => {
  await browser?.close();
});

test("the wall shows terminal and statements side by side, filtered, walked by keys", async () => {
  const { page } = sam;
  await sam.go("/admin/wall");
  await sam.heading("Live wall").waitFor();
  const terminal = page.locator(".wall-tile", { has: page.locator(".screen") });
  const sql = page.locator(".wall-tile", { has: page.locator(".wall-statements") });
  await terminal.locator(".screen-rows", { hasText: "ready>" }).waitFor();
  await sql.locator("li", { hasText: "SELECT 'seen on the wall'" }).first().waitFor();
  await sql.locator("li.said-deny", { hasText: "onerror" }).first().waitFor();
  assert.equal(await page.locator(".wall-tile img").count(), 0, "what somebody wrote is text");
  assert.match(await terminal.getAttribute("class"), /urgent-3/, "the alarm makes it urgent");
  const before = await sql.locator("li").count();
  await page.waitForFunction((n) => document.querySelectorAll(".wall-statements li").length > n, before); // it lives
  await shot(sam, "room-wall-light");
  await page.locator("h1").click();
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.locator(".wall-tile").first().evaluate((at) => at === document.activeElement));
  await page.keyboard.press("p");
  await page.getByText("Held: the wall stands still").waitFor();
  await page.keyboard.press("p");
  await page.locator(".segmented", { hasText: "Terminals" }).getByText("SQL", { exact: true }).click();
  await terminal.waitFor({ state: "detached" });
  await page.getByLabel("Person", { exact: true }).fill("nobody-of-this-name");
  await page.getByText("Nothing fits these filters").waitFor();
  await sam.go("/admin/wall?wall");
  await terminal.waitFor();
  assert.ok(!(await page.locator(".side").isVisible()));
  await shot(sam, "room-wall-full");
  await page.keyboard.press("Escape");
  await page.locator(".side").waitFor();
  sam.calm();
});

test("the alarm of a terminal stands above every page until somebody has looked", async () => {
  const { page } = sam;
  await sam.go("/admin/people");
  const note = page.locator(".alarms .note", { hasText: `A shell of ${person} on host stood out` });
  await note.waitFor();
  assert.match(await note.innerText(), /files are removed with everything below them/);
  await shot(sam, "room-banner");
  await note.getByRole("button", { name: "Seen" }).click();
  await note.waitFor({ state: "detached" });
  sam.calm();
});

test("an alarm leads to its incident, which is worked on and closed with a review", async () => {
  const { page } = sam;
  await sam.go("/admin/alarms");
  const row = page.locator("tbody tr", { hasText: "Wrong passwords" });
  await row.waitFor();
  await shot(sam, "room-alarms");
  await row.getByRole("link", { name: /Incident \d+/ }).click();
  await page.getByRole("heading", { name: "Timeline" }).waitFor();
  await page.locator(".note-alarm", { hasText: "Person ann" }).first().waitFor();
  await page.getByLabel("Comment").fill(hostile);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.locator(".note-comment", { hasText: hostile }).waitFor();
  await page.getByLabel("Task", { exact: true }).fill("Call her");
  await page.getByLabel("Whose (user name)").fill("sam");
  await page.getByLabel("Due", { exact: true }).selectOption({ label: "Within 1 hour" });
  await page.getByRole("button", { name: "Add a task" }).click();
  assert.match(await page.locator(".task-list li", { hasText: "Call her" }).innerText(), /sam · due .*\(in (59 minutes|1 hour)\)/);
  await page.getByRole("checkbox", { name: "Done: Call her" }).click();
  await page.locator(".done-task", { hasText: "Call her" }).waitFor();
  await shot(sam, "room-incident");
  await sam.button("Close").click();
  await page.getByRole("dialog").getByLabel("Closing review").fill("She had mistyped.");
  await page.getByRole("dialog").getByRole("button", { name: "Close", exact: true }).last().click();
  await page.getByText("She had mistyped.").first().waitFor();
  await page.getByText("Closed", { exact: true }).first().waitFor();
  sam.calm();
});

test("an incident with more sessions and recordings than it shows says so, and leads to all", async () => {
  const one = await open("sam");
  const { page } = one;
  await page.route(/\/api\/v1\/incidents\/1$/, async (route) => {
    const incident = await (await route.fetch()).json();
    const note = incident.timeline.at(-1);
    const named = Array.from({ length: 25 }, (_, at) => ({ ...note, number: 1000 + at, kind: "evidence", session: `5e5510000000${1000 + at}` }));
    const tasks = [{ number: 90, text: "Call the bank", whose: "sam", created_at: note.at, due_at: "2026-01-02T03:04:05Z", done_at: null, done_by: null }];
    await route.fulfill({ json: { ...incident, about: "eve", state: "open", timeline: named, timeline_before: "1", tasks } });
  });
  await page.route(/\/api\/v1\/ssh\/recordings\?/, (route) => route.fulfill({ json: { items: [], next: "2" } }));
  await one.go("/incidents/1");
  await page.getByText("Earlier entries of the timeline").waitFor();
  const lines = page.locator(".session-line");
  assert.equal(await lines.count(), 20);
  await one.button("Show all 25 sessions").click();
  assert.equal(await lines.count(), 25);
  await page.locator(".task-list li", { hasText: "Overdue" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "All of eve" }).getAttribute("href"), "/admin/machines/recordings?person=eve");
  await shot(one, "room-incident-many");
  one.calm();
  await one.context.close();
});

test("a system's token is shown once, opens an incident, and opens none when it is revoked", async () => {
  const { page } = sam;
  await sam.go("/admin/systems");
  await page.locator("tbody tr", { hasText: "monitor" }).getByText("never").waitFor();
  await page.getByText("No sinks").waitFor();
  await sam.button("Make a token").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("System", { exact: true }).fill("backups");
  await dialog.getByRole("button", { name: "Make a token" }).click();
  const token = await dialog.locator(".copy-box code").innerText();
  assert.match(token, /^[0-9a-f]{64}$/);
  await shot(sam, "systems-token");
  await sam.button("Done").click();
  assert.ok(!(await page.content()).includes(token), "it is shown once");
  const made = await openByToken(token);
  assert.equal(made.status, 201);
  await sam.go(`/incidents/${made.incident}`);
  await page.getByText("opened by the system backups").waitFor();
  await page.locator(".note-told", { hasText: "Told" }).first().waitFor();
  await sam.go("/admin/systems");
  const row = page.locator("tbody tr", { hasText: "backups" });
  assert.doesNotMatch(await row.innerText(), /never/);
  await shot(sam, "systems");
  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("Token revoked").waitFor();
  await row.waitFor({ state: "detached" });
  assert.equal((await openByToken(token)).status, 401);
  sam.calm();
});

test("a security administrator sees somebody's SSH keys and removes one", async () => {
  const { page } = sam;
  await sam.go("/admin/people?q=kim");
  await page.locator("tbody tr", { hasText: "kim" }).getByRole("button").first().click();
  const key = page.locator("dialog .lines li", { hasText: "laptop" });
  await key.waitFor();
  assert.match(await key.innerText(), /ssh-ed25519 SHA256:/);
  await shot(sam, "person-keys");
  await key.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog", { name: "Remove laptop?" }).getByRole("button", { name: "Remove" }).click();
  await page.getByText("No key for the SSH gate.").waitFor();
  sam.calm();
});

test("the plan editor shows the compiler's error at its place", async () => {
  const { page } = sam;
  await sam.go("/admin/plans/data-leak");
  await page.locator(".plan-steps li").first().waitFor();
  await sam.button("Dry run").click();
  await page.getByRole("dialog").getByRole("button", { name: "Dry run" }).click();
  await page.locator("dialog .plan-steps li").first().waitFor();
  await page.keyboard.press("Escape");
  await sam.button("Edit").click();
  const area = page.getByLabel(/Text of the document|Escape/);
  await area.waitFor();
  await area.fill((await area.inputValue()).replace("do: open_incident", "do: explode"));
  await sam.button("Check").click();
  await page.locator(".problems li", { hasText: "plan-data-leak.yaml:11:" }).first().waitFor();
  assert.ok(await page.locator(".editor-lines .bad", { hasText: "11" }).count() > 0);
  await shot(sam, "room-plan-error");
  sam.calm();
});

test("the kill switch says what it would meet, cuts, and gives back", async () => {
  const { page } = sam;
  await sam.go("/admin/cuts");
  await page.getByText("Nothing is cut").waitFor();
  await page.getByLabel("The resource").check();
  await page.getByRole("combobox", { name: "Resource" }).fill("orders-db");
  await page.locator(".cut-scope", { hasText: "1 SQL connection" }).waitFor();
  await page.getByLabel("Reason").fill("a test of the switch");
  await sam.button("Cut now").click();
  const row = page.locator("tbody tr", { hasText: "orders-db" });
  await row.waitFor();
  await shot(sam, "room-cuts");
  await sam.go("/admin/wall");
  await page.locator(".wall-tile", { hasText: sqlPerson }).waitFor({ state: "detached" });
  await sam.go("/admin/cuts");
  await row.getByRole("button", { name: "Give back" }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("all clear");
  await page.getByRole("dialog").getByRole("button", { name: "Give back" }).click();
  await page.getByText("Nothing is cut").waitFor();
  await page.locator("tbody tr", { hasText: "all clear" }).waitFor();
  sam.calm();
});

test("in Chinese on a phone, in the dark, and by the rules of WCAG 2.1 AA", async () => {
  const pages = ["/admin/wall", "/admin/alarms?all=1", "/incidents?all=1", "/incidents/1", "/admin/plans", "/admin/plans/data-leak", "/admin/cuts", "/admin/systems"];
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
      await one.accessible(path, (scheme) => shot(one, `room-${at}-${scheme}${phone ? "-phone-zh" : ""}`));
    }
    one.calm();
    await one.context.close();
  }));
});
