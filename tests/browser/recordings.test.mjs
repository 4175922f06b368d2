// SPDX-License-Identifier: Apache-2.0
// Recordings that attack who looks at them: played, searched and read as text, and nothing of them acts. The office
// is a real one; the recording and what is said about it come from here, as a hostile machine would have printed it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Person } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
const ID = "7F3K-9Q2M-XA4T";
const evil = "<img src=x onerror=alert(1)>";
const ESC = "\x1b";
let browser, sam;

const at = "2026-03-01T08:00:00Z";
const about = {
  id: ID, person: "dan", device: evil, resource: "orders-host", account: "ops", session: "S1", started_at: at,
  ended_at: "2026-03-01T08:01:00Z", live: false, channels: [{ number: 1, kind: "shell", object: "", bytes: 1000 }, { number: 2, kind: "exec", object: evil, bytes: 10 }],
  coverage: { recorded: { output: 1000 }, opaque: {}, refused: { [evil]: 1 } },
};
const connection = {
  id: ID, person: { id: "1", name: "dan" }, device: null, resource: "orders-host", account: "ops", client: `SSH-2.0-${evil}`,
  session: "S1", address: "::1", opened_at: at, frozen: false, watch_needed: true, watchers: ["sam"],
  channels: about.channels, can: { end: true, freeze: true, watch: true },
};
const cast = (() => {
  const lines = [JSON.stringify({ version: 2, width: 80, height: 24 })];
  const out = (t, data) => lines.push(JSON.stringify([t, "o", data]));
  out(0.1, `ready ${evil}\r\n${ESC}]0;owned\x07${ESC}]52;c;b3duZWQ=\x07${ESC}]8;;https://evil.example/\x07click${ESC}]8;;\x07\r\n`);
  out(0.2, `${ESC}[c${ESC}[6n${ESC}[21t${ESC}P+q544e${ESC}\\${ESC}[31mred${ESC}[0m\r\n`);
  lines.push(JSON.stringify([1, "m", `removed ${evil}`]));
  for (let i = 0; i < 40; i++) out(2 + i, `line ${i} needle\r\n`);
  return `${lines.join("\n")}\n`;
})();
const pieces = [cast.slice(0, 700), cast.slice(700)]; // a line may be cut anywhere

const asked = [];
async function answer(route) {
  const url = new URL(route.request().url());
  const path = url.pathname.replace("/api/v1/ssh", "");
  asked.push(`${route.request().method()} ${path}`);
  if (path === `/recordings/${ID}`) {
    const from = Number(url.searchParams.get("from") ?? 0);
    return route.fulfill({
      body: pieces[from] ?? "", contentType: "application/x-asciicast",
      headers: { "X-Sallyport-Next": String(from + 1), ...(from === 1 ? { "X-Sallyport-End": "1" } : {}) },
    });
  }
  if (path === "/recordings") return route.fulfill({ json: { items: [about], next: null } });
  if (path.endsWith("/info")) return route.fulfill({ json: about });
  if (path === "/connections") return route.fulfill({ json: { items: [connection], next: null } });
  if (path.endsWith("/watch") && route.request().method() === "POST") return route.fulfill({ json: connection });
  return route.fulfill({ status: 204, body: "" });
}
const screen = () => sam.page.getByRole("region", { name: "Terminal" });
const shot = async (name) => {
  if (shots) await sam.page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
};
const held = async (what) => {
  const markup = await sam.page.evaluate(() => document.querySelectorAll(".main img, .main script, .screen a, .screen [style*=url]").length);
  assert.equal(markup, 0, what);
  assert.equal(await sam.page.title().then((title) => title.includes("owned")), false, what);
  sam.calm();
};

before(async () => {
  browser = await launch();
  sam = await Person.as(browser, process.env.TOKEN, { bypassCSP: true });
  await sam.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await sam.context.route("**/api/v1/ssh/**", answer);
  sam.page.on("dialog", (dialog) => {
    sam.trouble.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
});
after(async () => {
  await browser?.close();
});

test("it is found, and plays to its end", async () => {
  await sam.go("/admin/machines/recordings");
  await sam.heading("SSH").waitFor();
  await sam.page.evaluate(() => navigator.clipboard.writeText("before"));
  await sam.page.getByRole("button", { name: /orders-host/ }).click();
  await sam.heading("orders-host · dan").waitFor();
  await screen().waitFor();
  await sam.page.getByText("16×").click();
  await sam.button("Play").click();
  await screen().getByText("line 39 needle").waitFor({ timeout: 15_000 });
  await sam.button("Play").waitFor(); // it has come to its end
  await shot("recording");
  await held("played");
  assert.equal(await sam.page.evaluate(() => navigator.clipboard.readText()), "before");
});

test("it goes back, forward, to what happened and to what was printed", async () => {
  const position = sam.page.getByRole("slider", { name: "Position" });
  await sam.page.getByRole("button", { name: /removed/ }).click();
  await screen().getByText("line 0 needle").waitFor({ state: "detached" });
  await screen().getByText(`ready ${evil}`).waitFor();
  await screen().getByText("red", { exact: true }).waitFor();
  assert.equal(await position.inputValue(), "1");
  await sam.page.getByRole("searchbox", { name: "Search in what was printed" }).fill("NEEDLE");
  await sam.heading("40 places").waitFor();
  await sam.page.getByRole("button", { name: /line 3 needle/ }).click();
  await screen().getByText("line 3", { exact: false }).first().waitFor();
  assert.ok(await sam.page.locator(".screen .hit").count() >= 4, "what was searched for stands out");
  await sam.heading("orders-host · dan").click();
  await sam.page.keyboard.press("ArrowRight");
  await sam.page.waitForFunction(() => document.querySelector(".player-line input").value === "10");
  await sam.page.keyboard.press("ArrowLeft");
  await sam.page.waitForFunction(() => document.querySelector(".player-line input").value === "5");
  await sam.page.getByRole("tab", { name: "Text" }).click();
  const text = await sam.page.getByRole("region", { name: "Text" }).innerText();
  assert.ok(text.includes(`ready ${evil}\nclick\nred`), text.slice(0, 200));
  await held("searched");
});

test("somebody who watches is counted, and sees the same", async () => {
  await sam.go("/admin/machines");
  await sam.page.getByRole("link", { name: "Watch" }).click();
  await sam.page.getByText("You are watching.", { exact: false }).waitFor();
  await screen().getByText("line 39 needle").waitFor();
  await sam.page.getByText("The connection has ended").waitFor();
  assert.ok(asked.filter((one) => one === `POST /connections/${ID}/watch`).length >= 1);
  const frozen = sam.page.waitForRequest((request) => request.url().endsWith(`/connections/${ID}/freeze`));
  await sam.button("Freeze").click();
  await frozen;
  assert.ok(asked.includes(`POST /connections/${ID}/freeze`));
  await held("watched");
  const left = sam.page.waitForRequest((request) => request.method() === "DELETE" && request.url().endsWith(`/connections/${ID}/watch`));
  await sam.page.getByRole("link", { name: "To its recording" }).click();
  await sam.heading("orders-host · dan").waitFor();
  await left;
  assert.ok(asked.includes(`DELETE /connections/${ID}/watch`), "leaving is said");
});

test("nothing stands out that a reader of any kind could not use", async () => {
  for (const width of [1280, 390]) {
    await sam.page.setViewportSize({ width, height: 900 });
    for (const path of [`/recordings/${ID}`, `/watch/${ID}`, "/admin/machines", "/admin/machines/recordings"]) {
      await sam.go(path);
      await sam.settled();
      if (path.endsWith(ID)) await screen().waitFor();
      await sam.fits(`${path} at ${width}`);
      await sam.accessible(`${path} at ${width}`, (scheme) => shot(`${path.split("/").filter((part) => part !== ID).join("-").slice(1)}-${scheme}-${width}`));
    }
  }
  sam.calm();
});
