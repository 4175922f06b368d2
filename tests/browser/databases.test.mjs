// SPDX-License-Identifier: Apache-2.0
// The page "My databases": what is mine, a password that is shown once, both languages and themes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Person } from "./lib.mjs";

const shots = process.env.SCREENSHOTS;
let browser, ann;

before(async () => {
  browser = await launch();
  ann = await Person.as(browser, process.env.TOKEN);
  await ann.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await ann.go("/");
  await ann.heading("Applications").waitFor();
});

after(async () => {
  await browser?.close();
});

const shot = async (name) => {
  if (shots) await ann.page.screenshot({ path: `${shots}/${name}.png` });
};

test("it lists my databases and how to reach them", async () => {
  await ann.page.getByRole("link", { name: "My databases" }).first().click();
  await ann.heading("My databases").waitFor();
  await ann.page.getByText("Orders", { exact: true }).waitFor();
  await ann.page.getByText("sallyport psql orders-db").waitFor();
  await ann.page.getByText("op_read").waitFor();
  assert.equal(await ann.page.getByText("other-db").count(), 0);
  await shot("databases-light");
});

test("a password is made, shown once, and copied", async () => {
  await ann.button("Get a password").click();
  await ann.page.getByLabel("Database").selectOption("archive");
  await ann.button("Make a password").click();
  const password = await ann.page.getByRole("dialog").getByLabel("Password").innerText();
  assert.match(password, /^[A-Za-z0-9_-]{32}$/);
  const connection = await ann.page.getByRole("dialog").getByLabel("Connection").innerText();
  assert.match(connection, /^host=portal\.\S+ port=\d+ user=ann dbname=orders-db\/archive sslmode=verify-full$/);
  await ann.page.getByRole("dialog").getByRole("button", { name: "Copy" }).first().click();
  assert.equal(await ann.page.evaluate(() => navigator.clipboard.readText()), password);
  await shot("databases-password");
  await ann.page.keyboard.press("Escape");
  assert.equal(await ann.page.getByText(password).count(), 0);
});

test("in Chinese, and in the dark", async () => {
  await ann.page.emulateMedia({ colorScheme: "dark" });
  await ann.page.getByRole("button", { name: "中文" }).click();
  await ann.heading("我的数据库").waitFor();
  await ann.page.getByText("订单", { exact: true }).waitFor();
  await shot("databases-dark-zh");
  assert.deepEqual(ann.trouble, []);
});
