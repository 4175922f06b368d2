// SPDX-License-Identifier: Apache-2.0
// The watch room: the wall with a real terminal and real statements, the banner of a terminal's alarm, an incident from
// its alarm to its review with a plan at work, its report to an authority, the plan editor's errors, a drill, the kill
// switch and giving back, a terminal that is frozen and ended.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Person, portal } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
const { tokens, person, sqlPerson, hostile, rita: ritaSigns } = JSON.parse(process.env.ROOM);
let browser;
let sam;
let incident; // its path

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

/* What the API says to somebody's browser. */
const ask = async (one, path) => (await one.context.request.get(`${portal}/api/v1${path}`)).json();

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
  const plot = page.locator(".rates-plot");
  const canvas = await plot.locator("canvas").evaluate((at) => ({
    wide: at.clientWidth, high: at.clientHeight, drawn: at.getContext("2d").getImageData(0, 0, at.width, at.height).data.some((byte) => byte !== 0),
  }));
  assert.ok(canvas.wide > 200 && canvas.high > 60 && canvas.drawn, JSON.stringify(canvas));
  const [allowed, denied] = (await plot.getAttribute("aria-label")).match(/[\d,]+/g).map((n) => Number(n.replaceAll(",", "")));
  assert.ok(allowed > 0 && denied > 0, `${allowed} allowed, ${denied} refused`);
  await page.waitForFunction((n) => Number(document.querySelector(".rates-plot").ariaLabel.match(/[\d,]+/)[0].replaceAll(",", "")) > n, allowed);
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
  await page.locator(".note-alarm", { hasText: "Person kim" }).first().waitFor();
  incident = new URL(page.url()).pathname;
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
  await page.locator(".note-done", { hasText: "Call her" }).waitFor();
  await shot(sam, "room-incident");
  sam.calm();
});

test("the plan of its detection waits for a person, goes on step by step before him, and gives back", async () => {
  const { page } = sam;
  const run = page.locator(".run", { hasText: "Look first" });
  const state = (text) => run.locator(".badge", { hasText: text }).first().waitFor();
  const step = (name) => run.locator(".plan-steps li", { hasText: name });
  await state("Waits for you");
  assert.match(await run.innerText(), /0 of 3 steps · kim/);
  assert.equal((await ask(sam, "/cuts")).items.length, 0, "nothing is done before somebody says so");
  await run.getByRole("button", { name: "Let it run" }).click();
  await step("lock").getByRole("button", { name: "Confirm" }).waitFor();
  await state("At work");
  await run.getByText("1 of 3 steps").waitFor();
  await page.locator(".card", { hasText: "Cuts of this incident" }).getByText("guest").waitFor();
  await shot(sam, "room-incident-plan");
  await step("lock").getByRole("button", { name: "Confirm" }).click();
  await run.getByText("3 of 3 steps").waitFor();
  await state("Done");
  assert.match(await step("lock").innerText(), /by sam[\s\S]*took/);
  await page.locator(".task-list li", { hasText: "call the person" }).waitFor();
  assert.deepEqual((await ask(sam, "/cuts")).items.map((cut) => cut.name).sort(), ["guest", "kim"]);
  await run.getByRole("link", { name: "Look first" }).click();
  await sam.heading("Run of Look first").waitFor();
  await shot(sam, "room-run");
  await sam.button("Give back what it has cut").click();
  await page.getByRole("dialog").getByLabel("Reason").fill("it was she");
  await page.getByRole("dialog").getByRole("button", { name: "Give back what it has cut" }).click();
  await page.getByText("Given back.").first().waitFor();
  assert.deepEqual((await ask(sam, "/cuts")).items, []);
  sam.calm();
});

test("an entry of the ledger is attached, another incident becomes a part, and a review closes it", async () => {
  const { page } = sam;
  await sam.go("/incidents");
  await sam.button("Open an incident").click();
  await page.getByRole("dialog").getByLabel("What happened").fill("A call that sounded odd");
  await page.getByRole("dialog").getByRole("button", { name: "Open an incident" }).click();
  await page.getByRole("heading", { name: "A call that sounded odd" }).waitFor();
  await sam.button("Attach an entry of the ledger").click();
  await page.getByRole("dialog").getByLabel("Number of the entry").fill("2");
  await page.getByRole("dialog").getByRole("button", { name: "Add", exact: true }).click();
  await page.locator(".note-evidence", { hasText: "Entry 2" }).waitFor();
  await sam.button("Merge").click();
  await page.getByRole("dialog").getByLabel("Incident", { exact: true }).fill(incident.split("/").pop());
  await page.getByRole("dialog").getByRole("button", { name: "Merge" }).click();
  await page.getByText("Part of", { exact: false }).getByRole("link", { name: /^Incident \d+$/ }).click();
  await page.waitForURL(portal + incident);
  await page.getByRole("heading", { name: "Wrong passwords" }).waitFor();
  await page.locator(".note-merged").waitFor();
  await page.locator(".note-evidence", { hasText: "Entry 2" }).waitFor();
  await sam.button("Close").click();
  await page.getByRole("dialog").getByLabel("Closing review").fill("She had mistyped.");
  await page.getByRole("dialog").getByRole("button", { name: "Close", exact: true }).last().click();
  await page.getByText("She had mistyped.").first().waitFor();
  await page.getByText("Closed", { exact: true }).first().waitFor();
  sam.calm();
});

test("its report: what is told gives the level, its officer signs and says that it is filed, its clock stands", async () => {
  await sam.go(incident);
  await sam.page.locator(".clock-list [role=timer]").first().waitFor();
  await shot(sam, "room-incident-clocks");
  const rita = await open("rita", { viewport: { width: 1280, height: 900 } });
  const { page } = rita;
  await rita.go("/reports");
  await page.locator("tbody tr", { hasText: "Wrong passwords" }).waitFor();
  await page.locator("tbody tr", { hasText: "nobody-yet" }).getByText("vacant").waitFor();
  assert.doesNotMatch(await page.locator("tbody tr", { hasText: "rita" }).innerText(), /vacant/i);
  await shot(rita, "reports");
  await page.locator("tbody tr", { hasText: "Wrong passwords" }).click();
  await page.getByRole("heading", { name: "What is known" }).waitFor();
  const level = page.locator(".card", { has: page.getByRole("heading", { name: "Level", exact: true }) });
  await level.getByText("No level is reached").waitFor();
  await page.getByLabel("Fact", { exact: true }).selectOption("persons");
  await page.getByLabel("Value").fill("1000000");
  await rita.button("Tell").click();
  await level.getByText("No level is reached").waitFor({ state: "detached" });
  await page.locator(".facts", { hasText: "Persons whose data leaked" }).getByText("1,000,000").waitFor();
  const items = page.locator(".item-list li");
  const missing = await items.filter({ hasText: "missing" }).count();
  assert.ok(missing > 0);
  const asked = items.filter({ has: page.getByRole("button", { name: /^Write/ }) }).filter({ hasText: "missing" }).first();
  await asked.getByRole("button").click();
  await page.getByRole("dialog").getByLabel("Text").fill("orders-db");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.waitForFunction((n) => [...document.querySelectorAll(".item-list .badge")].length < n, missing);
  await page.locator(".draft", { hasText: "orders-db" }).waitFor();
  await shot(rita, "report");
  // as if she had signed in ten minutes ago: the first answer asks for a fresh proof, all after it is the office's
  let stale = true;
  await page.route("**/sign", (route) => {
    const json = { type: "about:blank", status: 403, code: "step_up_required", title: "", detail: "", step_up: { strength: "totp" } };
    return stale ? ((stale = false), route.fulfill({ status: 403, contentType: "application/problem+json", json })) : route.continue();
  });
  await rita.button("Sign").click();
  const dialog = page.getByRole("dialog", { name: "Sign the draft as it is" });
  await dialog.getByRole("checkbox").check();
  await dialog.getByRole("button", { name: "Sign" }).click();
  const proof = page.getByRole("dialog", { name: "Confirm that it is you" });
  await proof.getByLabel("Password").fill(ritaSigns.password);
  rita.totp = ritaSigns.totp;
  await proof.getByLabel("Code").fill(await rita.code());
  await proof.getByRole("button", { name: "Confirm" }).click();
  await page.locator(".entry-list li", { hasText: "rita" }).waitFor();
  await page.getByRole("button", { name: "I have filed it" }).first().click();
  await page.getByRole("dialog").getByLabel("Receipt").fill("No. 77");
  await page.getByRole("dialog").getByRole("button", { name: "I have filed it" }).click();
  await page.locator(".clock-filed", { hasText: "No. 77" }).getByText("Filed").waitFor();
  await shot(rita, "report-filed");
  rita.calm();
  await rita.context.close();
  await sam.page.locator(".clock-filed", { hasText: "No. 77" }).waitFor(); // beside the incident, without a reload
  sam.calm();
});

test("an incident with more sessions and recordings than it shows says so, and leads to all", async () => {
  const one = await open("sam");
  const { page } = one;
  await page.route(new RegExp(`/api/v1${incident}$`), async (route) => {
    const incident = await (await route.fetch()).json();
    const note = incident.timeline.at(-1);
    const named = Array.from({ length: 25 }, (_, at) => ({ ...note, number: 1000 + at, kind: "evidence", session: `5e5510000000${1000 + at}` }));
    const tasks = [{ number: 90, text: "Call the bank", whose: "sam", created_at: note.at, due_at: "2026-01-02T03:04:05Z", done_at: null, done_by: null }];
    await route.fulfill({ json: { ...incident, about: "eve", state: "open", timeline: named, timeline_before: "1", tasks } });
  });
  await page.route(/\/api\/v1\/ssh\/recordings\?/, (route) => route.fulfill({ json: { items: [], next: "2" } }));
  await one.go(incident);
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

test("a sink is given its token, and who reads the figures another", async () => {
  const { page } = sam;
  await sam.go("/admin/systems");
  assert.equal(await page.getByRole("heading", { name: "Figures" }).count(), 0, "not a security administrator's");
  await page.locator("tbody tr", { hasText: "siem" }).getByRole("button", { name: "Set its token" }).click();
  const field = page.getByRole("dialog").getByLabel("Token of siem");
  assert.equal(await field.getAttribute("type"), "password");
  await field.fill("of-the-siem");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByText("Kept in the vault.").waitFor();
  assert.ok(!(await page.content()).includes("of-the-siem"));
  sam.calm();
  const olga = await open("olga");
  await olga.go("/admin/systems");
  await olga.button("New token for figures").click();
  await olga.page.getByRole("dialog").getByRole("button", { name: "New token for figures" }).click();
  const token = await olga.page.getByRole("dialog").locator(".copy-box code").innerText();
  await shot(olga, "systems-figures");
  const read = async (word) => {
    const system = await browser.newContext({ ignoreHTTPSErrors: true });
    const status = (await system.request.get(`${portal}/metrics`, { headers: { Authorization: `Bearer ${word}` } })).status();
    await system.close();
    return status;
  };
  assert.equal(await read(token), 200);
  await olga.button("Done").click();
  await olga.button("Take it back").click();
  await olga.page.getByRole("dialog").getByRole("button", { name: "Take it back" }).click();
  await olga.page.getByText("Nobody reads the figures with a token any more.").waitFor();
  assert.equal(await read(token), 401);
  olga.calm();
  await olga.context.close();
});

test("a security administrator sees somebody's SSH keys and removes one", async () => {
  const { page } = sam;
  await sam.go(`/admin/people?q=${sqlPerson}`);
  await page.locator("tbody tr", { hasText: sqlPerson }).getByRole("button").first().click();
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

test("a drill of a plan is marked as one, counts as the last, and cuts nothing", async () => {
  const { page } = sam;
  const before = (await ask(sam, "/cuts?all=1")).items.length;
  await sam.go("/admin/plans/look-first");
  await page.locator(".page-head").getByText("never").waitFor();
  await sam.button("Drill").click();
  await page.getByRole("dialog").getByLabel("Person").fill(person);
  await page.getByRole("dialog").getByRole("button", { name: "Drill" }).click();
  await sam.heading("Drill of Look first").waitFor();
  await page.locator(".note-warn", { hasText: "Drill" }).waitFor();
  await page.locator(".run").getByRole("button", { name: "Confirm" }).click();
  await page.locator(".run").getByText("3 of 3 steps").waitFor();
  await page.getByText("the first cut that would have been").waitFor();
  await shot(sam, "room-drill");
  assert.equal((await ask(sam, "/cuts?all=1")).items.length, before, "nothing is cut");
  const plan = (await ask(sam, "/plans")).items.find((one) => one.name === "look-first");
  assert.ok(Date.now() - Date.parse(plan.last_drilled_at) < 120_000, plan.last_drilled_at);
  await sam.go("/admin/plans/look-first");
  await page.locator(".page-head").getByText("never").waitFor({ state: "detached" });
  await page.locator("tbody tr", { hasText: person }).getByText("Drill", { exact: true }).waitFor();
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
  const pages = ["/admin/wall", "/admin/alarms?all=1", "/incidents?all=1", incident, "/admin/plans", "/admin/plans/data-leak", "/admin/runs/1", "/admin/cuts", "/reports", "/reports/1", "/admin/systems"];
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

test("F freezes a terminal on the wall and lets it go, X ends it for good", async () => {
  const { page } = sam;
  await sam.go("/admin/wall");
  const tile = page.locator(".wall-tile", { has: page.locator(".screen-rows", { hasText: "ready>" }) });
  const frozen = async () => (await ask(sam, "/ssh/connections")).items.find((one) => one.person.name === person)?.frozen;
  await tile.focus();
  await page.keyboard.press("f");
  await tile.getByText("Frozen by sam").waitFor();
  assert.equal(await frozen(), true);
  await shot(sam, "room-frozen");
  await page.keyboard.press("f");
  await tile.getByText("Frozen by sam").waitFor({ state: "detached" });
  assert.equal(await frozen(), false);
  await page.keyboard.press("x");
  const dialog = page.getByRole("dialog", { name: "Cut" });
  assert.ok(await dialog.getByLabel("This connection").isChecked());
  await dialog.getByLabel("Reason").fill("not with us any more");
  await shot(sam, "room-cut");
  await dialog.getByRole("button", { name: "Cut now" }).click();
  await tile.waitFor({ state: "detached" });
  assert.equal(await frozen(), undefined);
  sam.calm();
});
