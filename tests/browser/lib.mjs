// SPDX-License-Identifier: Apache-2.0
// A real Chromium with a real WebAuthn stack (virtual authenticator), watched: an error on the page, a
// broken content security policy or a request to another origin fails the test at the end.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import dns from "node:dns";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const ARGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--ignore-certificate-errors",
];

export const portal = process.env.PORTAL ?? "";
export const domain = process.env.DOMAIN ?? "";

/* Chromium knows that *.localhost is this machine (RFC 6761); Node, which carries client certificates
 * to the server, asks the resolver. */
const here = (name) => (typeof name === "string" && name.endsWith(".localhost") ? "127.0.0.1" : name);
const { lookup } = dns;
const lookupPromise = dns.promises.lookup;
dns.lookup = (name, ...rest) => lookup(here(name), ...rest);
dns.promises.lookup = (name, ...rest) => lookupPromise(here(name), ...rest);

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
}

export class Person {
  constructor(page, context, cdp, authenticator) {
    Object.assign(this, { page, context, cdp, authenticator, trouble: [], totp: null, password: null });
  }

  /* A fresh browser profile with an authenticator of its own. */
  static async open(browser, options = {}) {
    const context = await browser.newContext({
      ignoreHTTPSErrors: true, locale: "en-GB", reducedMotion: "reduce", viewport: { width: 1280, height: 900 }, ...options,
    });
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    const one = new Person(page, context, cdp, authenticatorId);
    one.watch(page);
    return one;
  }

  /* Somebody who has signed in already: token is the portal's cookie. */
  static async as(browser, token, options = {}) {
    const one = await Person.open(browser, options);
    await one.context.addCookies([{ name: "__Host-sallyport", value: token, url: portal, secure: true, httpOnly: true, sameSite: "Strict" }]);
    return one;
  }

  watch(page) {
    page.on("pageerror", (error) => this.trouble.push(`error on ${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      const text = message.text();
      if (/content security policy/i.test(text)) this.trouble.push(`on ${page.url()}: ${text}`);
    });
    page.on("response", (response) => {
      const path = response.url().replace(portal, "");
      if (process.env.TRACE && path.startsWith("/api/")) console.error(response.request().method(), path, response.status());
      if (response.status() >= 500) this.trouble.push(`${path}: ${response.status()}`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      const ours = url.hostname === domain || url.hostname.endsWith(`.${domain}`);
      if (!ours && !["data:", "blob:"].includes(url.protocol)) this.trouble.push(`request to ${url.href}`);
    });
  }

  go(path) {
    return this.page.goto(portal + path);
  }
  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }
  heading(name) {
    return this.page.getByRole("heading", { name, exact: true });
  }
  /* The page is there, with what it fetches. */
  async settled() {
    await this.page.locator("h1").first().waitFor();
    await this.page.locator(".skeleton").first().waitFor({ state: "detached" });
  }
  /* Nothing sticks out sideways. */
  async fits(where) {
    const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${where} is ${wide} px too wide`);
  }
  /* The rules of WCAG 2.1 AA that a machine can check, light and dark; in the dark only colours differ. Wants bypassCSP.
     seen(scheme) is called with each look. */
  async accessible(where, seen = async () => {}) {
    await this.page.evaluate(axe);
    for (const [scheme, only] of [["light", { runOnly: WCAG, resultTypes: ["violations"] }], ["dark", { runOnly: ["color-contrast"], resultTypes: ["violations"] }]]) {
      await this.page.emulateMedia({ colorScheme: scheme });
      await this.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      await seen(scheme);
      const found = await this.page.evaluate((options) => globalThis.axe.run(document, options), only);
      assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes[0].target} ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary}`), [], `${where}, ${scheme}`);
    }
    await this.page.emulateMedia({ colorScheme: null });
  }
  calm() {
    assert.deepEqual(this.trouble, []);
  }

  /* The code of the authenticator app. A code works once; a clock may be one step ahead or (but not near the
     end of a step) behind. */
  async code() {
    const now = () => Math.floor(Date.now() / 30_000);
    while (this.totp.last > now()) await new Promise((go) => setTimeout(go, 250));
    this.totp.last = Math.max(Math.floor((Date.now() - 25_000) / 30_000), this.totp.last + 1);
    return totpCode(this.totp.secret, this.totp.last);
  }

  async addPasskey() {
    await this.button("Add a passkey").click();
    await this.page.getByRole("button", { name: "Add another" }).waitFor();
  }
  async addPasswordAndApp(password) {
    const { page } = this;
    this.password = password;
    await this.button("Set a password").click();
    await page.getByLabel("New password").fill(password);
    await page.getByLabel("Once more").fill(password);
    await this.button("Save").click();
    await this.button("Set up the app").click();
    const qr = page.getByAltText("QR code for your authenticator app");
    await qr.waitFor();
    assert.ok(await qr.evaluate((img) => img.complete && img.naturalWidth > 20), "the QR code is drawn");
    await page.getByText("Can't scan? Type the key").click();
    this.totp = { secret: (await page.getByLabel("Secret key").innerText()).replace(/\s/g, ""), last: 0 };
    await page.getByLabel("Code from the app").fill(await this.code());
    await this.button("Confirm").click();
    await this.button("Set up the app").waitFor({ state: "detached" });
  }
  async finishSetup() {
    const { page } = this;
    await this.button("Finish").click();
    await this.heading("Keep your recovery codes").waitFor();
    this.codes = await page.locator(".codes code").allInnerTexts();
    assert.ok(this.codes.length >= 8, "there are recovery codes");
    assert.ok(!(await page.getByRole("button", { name: "Go to my applications" }).isEnabled()));
    await page.getByText("I have kept them").click();
    await this.button("Go to my applications").click();
    await this.heading("Applications").waitFor();
  }
  async signInWithPasskey() {
    await this.go("/sign-in");
    await this.button("Sign in with a passkey").click();
    await this.heading("Applications").waitFor();
  }
  async signOut() {
    await this.page.locator(".account-button").click();
    await this.button("Sign out").click();
    await this.heading("Sign in").waitFor();
  }
  /* Does what asks for a fresh proof, and gives it by passkey if it is asked for. */
  async provingIfAsked(done) {
    const ask = this.page.getByRole("dialog", { name: "Confirm that it is you" });
    const first = await Promise.race([
      ask.waitFor().then(() => "ask", () => "none"),
      done.waitFor().then(() => "done", () => "none"),
    ]);
    assert.notEqual(first, "none", "neither the result nor the question came");
    if (first === "ask") {
      await ask.getByRole("button", { name: "Confirm with a passkey" }).click();
      await done.waitFor();
    }
  }
}

export function totpCode(secret, step) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = "";
  for (const letter of secret.toUpperCase()) bits += alphabet.indexOf(letter).toString(2).padStart(5, "0");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
