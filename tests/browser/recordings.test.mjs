// SPDX-License-Identifier: Apache-2.0
// Recordings that attack who looks at them: played, searched and read as text, and nothing of them acts. A real machine
// printed them, a real gate recorded them; a connection that is still open is watched, frozen and ended.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Person, portal } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
const { token, markup } = JSON.parse(process.env.RECORDINGS);
let browser, sam, recording, live;

const screen = () => sam.page.getByRole("region", { name: "Terminal" });
const position = () => sam.page.getByRole("slider", { name: "Position" });
const shot = async (name) => {
  if (shots) await sam.page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};
const ask = async (path) => (await sam.context.request.get(`${portal}/api/v1${path}`)).json();
const connection = async () => (await ask("/ssh/connections")).items.find((one) => one.person.name === "dan");
const held = async (what) => {
  const found = await sam.page.evaluate(() => document.querySelectorAll(".main img, .main script, .screen a, .screen [style*=url]").length);
  assert.equal(found, 0, what);
  assert.equal(await sam.page.title().then((title) => title.includes("owned")), false, what);
  sam.calm();
};

before(async () => {
  browser = await launch();
  sam = await Person.as(browser, token, { bypassCSP: true });
  await sam.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  sam.page.on("dialog", (dialog) => {
    sam.trouble.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
});
after(async () => {
  await browser?.close();
});

test("it is found, and plays to its end as fast as one wants", async () => {
  await sam.go("/admin/machines/recordings?person=dan");
  await sam.heading("SSH").waitFor();
  await sam.page.evaluate(() => navigator.clipboard.writeText("before"));
  const ended = sam.page.locator("tbody tr", { hasText: "Shell" }).filter({ hasNotText: "Live" });
  await ended.getByRole("button", { name: /host/ }).click();
  await sam.heading("host · dan").waitFor();
  recording = new URL(sam.page.url()).pathname;
  await screen().waitFor();
  const seconds = Number(await position().getAttribute("max"));
  assert.ok(seconds > 3, `${seconds} s`);
  await sam.page.getByText("16×").click();
  const began = Date.now();
  await sam.button("Play").click();
  await screen().getByText("line 39 needle").waitFor({ timeout: 15_000 });
  assert.ok(Date.now() - began < seconds * 800, `${Date.now() - began} ms for ${seconds} s`);
  await sam.button("Play").waitFor(); // it has come to its end
  await shot("recording");
  await held("played");
  assert.equal(await sam.page.evaluate(() => navigator.clipboard.readText()), "before");
});

test("it goes back, forward, to what happened and to what was printed", async () => {
  await sam.page.locator(".player-side section").last().locator(".moment").first().click();
  await screen().getByText("line 0 needle").waitFor({ state: "detached" });
  await screen().getByText(`ready ${markup}`).waitFor();
  await screen().getByText("red", { exact: true }).waitFor();
  assert.ok(Number(await position().inputValue()) > 0);
  await sam.page.getByRole("searchbox", { name: "Search in what was printed" }).fill("NEEDLE");
  await sam.heading("40 places").waitFor();
  await sam.page.getByRole("button", { name: /line 3 needle/ }).click();
  await screen().getByText("line 3", { exact: false }).first().waitFor();
  assert.ok(await sam.page.locator(".screen .hit").count() >= 4, "what was searched for stands out");
  await sam.heading("host · dan").click();
  await sam.page.keyboard.press("ArrowLeft");
  const back = Number(await position().inputValue());
  await sam.page.keyboard.press("ArrowRight");
  await sam.page.waitForFunction((from) => Number(document.querySelector(".player-line input").value) > from, back);
  await sam.page.getByRole("tab", { name: "Text" }).click();
  const text = await sam.page.getByRole("region", { name: "Text" }).innerText();
  assert.ok(text.includes(`ready ${markup}\nclick\nred`), text.slice(0, 400));
  await held("searched");
});

test("somebody who watches is counted, sees the same, and holds it", async () => {
  await sam.go("/admin/machines");
  await sam.page.locator("tbody tr", { hasText: "dan" }).getByRole("link", { name: "Watch" }).click();
  await sam.page.getByText("You are watching.", { exact: false }).waitFor();
  live = new URL(sam.page.url()).pathname;
  await screen().getByText("still>").first().waitFor();
  assert.deepEqual((await connection()).watchers, ["sam"]);
  await sam.button("Freeze").click();
  await sam.button("Let go").waitFor();
  assert.equal((await connection()).frozen, true);
  await shot("watching");
  await sam.button("Let go").click();
  await sam.button("Freeze").waitFor();
  assert.equal((await connection()).frozen, false);
  await held("watched");
  await sam.go("/admin/machines");
  for (let turn = 0; (await connection()).watchers.length > 0 && turn < 300; turn++) await new Promise((go) => setTimeout(go, 100));
  assert.deepEqual((await connection()).watchers, [], "leaving is said");
});

test("a command that is markup is named as it was typed", async () => {
  await sam.go("/admin/machines/recordings?person=dan");
  await sam.page.locator("tbody tr", { hasText: "Command" }).getByRole("button", { name: /host/ }).click();
  await sam.heading("host · dan").waitFor();
  await sam.page.getByText(`echo '${markup}'`, { exact: true }).waitFor();
  await held("a command");
});

test("nothing stands out that a reader of any kind could not use", async () => {
  for (const width of [1280, 390]) {
    await sam.page.setViewportSize({ width, height: 900 });
    for (const [name, path] of [["recording", recording], ["watch", live], ["machines", "/admin/machines"], ["recordings", "/admin/machines/recordings"]]) {
      await sam.go(path);
      await sam.settled();
      if (path === recording || path === live) await screen().waitFor();
      await sam.fits(`${path} at ${width}`);
      await sam.accessible(`${path} at ${width}`, (scheme) => shot(`${name}-${scheme}-${width}`));
    }
  }
  sam.calm();
});

test("a connection is ended with a reason", async () => {
  await sam.page.setViewportSize({ width: 1280, height: 900 });
  await sam.go("/admin/machines");
  await sam.page.locator("tbody tr", { hasText: "dan" }).getByRole("button", { name: "End", exact: true }).waitFor();
  await sam.go(live);
  await sam.button("End").click();
  await sam.page.getByRole("dialog").getByLabel("Why").fill("seen enough");
  await sam.page.getByRole("dialog").getByRole("button", { name: "End", exact: true }).click();
  await sam.page.getByText("The connection has ended").first().waitFor();
  assert.equal(await connection(), undefined);
  await sam.page.getByRole("link", { name: "To its recording" }).click();
  await sam.heading("host · dan").waitFor();
  sam.calm();
});
