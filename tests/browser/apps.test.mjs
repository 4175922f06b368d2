// SPDX-License-Identifier: Apache-2.0
// A real application of Debian's archive (Jupyter notebook) through the gate, as Chromium sees it: the
// notebook's WebSocket, a download that arrives, and the same download refused where it must be.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { after, before } from "node:test";
import { domain, launch, Person, portal } from "./lib.mjs";

const port = new URL(portal).port;
const host = (name) => `https://${name}.${domain}:${port}`;
const certificate = ["portal", "lab", "hr"].map((name) => ({
  origin: host(name), certPath: process.env.CERTIFICATE, keyPath: process.env.KEY,
}));
let browser;
let leo;

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

async function signIn(options) {
  const one = await Person.open(browser, { acceptDownloads: true, ...options });
  one.totp = leo?.totp ?? { secret: process.env.TOTP_SECRET, last: Number(process.env.TOTP_LAST) };
  await one.go("/sign-in");
  await one.button("Use password and code").click();
  await one.page.getByLabel("User name").fill("leo");
  await one.page.getByLabel("Password").fill(process.env.PASSWORD);
  await one.button("Next").click();
  await one.page.getByLabel("Code", { exact: true }).fill(await one.code());
  await one.button("Sign in").click();
  await one.heading("Applications").waitFor({ timeout: 15_000 });
  return one;
}

test("on the company device the notebook runs: its WebSocket goes through the gate", { timeout: 90_000 }, async () => {
  leo = await signIn({ clientCertificates: certificate });
  await leo.page.getByText("leo-laptop").waitFor();
  const [lab] = await Promise.all([leo.context.waitForEvent("page"), leo.page.getByRole("link", { name: /Lab notebooks/ }).click()]);
  await lab.getByRole("link", { name: "turnover.ipynb" }).waitFor({ timeout: 20_000 });
  const sockets = [];
  leo.context.on("page", (page) => page.on("websocket", (socket) => sockets.push(socket.url())));
  const [notebook] = await Promise.all([
    leo.context.waitForEvent("page"), lab.getByRole("link", { name: "turnover.ipynb" }).click()]);
  await notebook.locator(".kernel_idle_icon").waitFor({ state: "attached", timeout: 30_000 });
  await notebook.locator(".code_cell .CodeMirror").first().click();
  await notebook.keyboard.press("Control+A");
  await notebook.keyboard.type("print('through the gate', 6 * 7)");
  await notebook.keyboard.press("Control+Enter");
  await notebook.locator(".output_text", { hasText: "through the gate 42" }).waitFor({ timeout: 20_000 });
  assert.ok(sockets.some((url) => url.startsWith(`wss://lab.${domain}:`)), `sockets: ${sockets}`);
});

test("on the company device the download arrives, byte for byte", async () => {
  const page = await leo.context.newPage();
  await page.goto(host("lab") + "/tree");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.evaluate(() => { location.href = "/files/customers.csv?download=1"; })]);
  assert.deepEqual(readFileSync(await download.path()), readFileSync(process.env.CUSTOMERS));
});

test("what the role may not see stays closed, on any device", async () => {
  const page = await leo.context.newPage();
  const answer = await page.goto(host("hr") + "/salaries/");
  assert.equal(answer.status(), 403);
});

test("on an unknown device the same download is refused, and the portal says how to mend it", async () => {
  const stranger = await signIn({});
  const { page } = stranger;
  await page.getByText("This device is not known here").waitFor();
  await page.goto(host("lab") + "/tree");
  await page.getByText("customers.csv").waitFor({ timeout: 20_000 });
  const answer = await page.goto(host("lab") + "/files/customers.csv?download=1");
  assert.equal(answer.status(), 403);
  const reference = await page.locator("code").innerText();
  assert.match(reference, /^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/);
  await page.getByRole("link", { name: "Open the portal" }).click();
  await page.getByRole("dialog").getByText("Add this device").waitFor();
  assert.ok(page.url().endsWith(`/refusals/${reference}`), page.url());
});
