// The list of screens in a narrow window.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, console_, browser, page, faults, menu, list;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  for (let at = 0; at < 30; at += 1) await site.call("person.create", { name: `person${at}` });
  console_ = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser, { width: 320, height: 640 }));
  menu = page.getByRole("button", { name: /^(Menu|Close)/ });
  list = page.locator("#screens");
  await logIn(page, `${console_.url}#/people`, ADMIN.name, ADMIN.passPhrase);
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await site?.stop();
});

const isOpen = () => menu.getAttribute("aria-expanded");
const focusIsAt = (text) =>
  page.waitForFunction((text) => new RegExp(text).test(document.activeElement.textContent), text);
const press = async () => {
  await menu.click();
  await list.waitFor({ state: "visible" });
  assert.equal(await isOpen(), "true");
};
const closed = async () => {
  await list.waitFor({ state: "hidden" });
  assert.equal(await isOpen(), "false");
};

/**
 * The list opened at the top of the page: after scrolling it was out of sight, and what was in sight moved down by its
 * height. The focus stayed on the button.
 */
test("The menu opens in sight on a page that was scrolled, which keeps its place, and has the focus", async () => {
  await page.getByRole("link", { name: "person29@local" }).waitFor();
  await page.evaluate(() => scrollTo(0, 900));
  const link = page.getByRole("link", { name: "person15@local" });
  const before_ = (await link.boundingBox()).y;
  await press();
  assert.equal((await link.boundingBox()).y, before_);
  const { y, height } = await list.boundingBox();
  assert.ok(y >= 0 && y + height <= 640, `${y} to ${y + height}`);
  await focusIsAt("^People$");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-current")), "page");
  await page.getByRole("button", { name: "Log out" }).scrollIntoViewIfNeeded();
  assert.equal(await page.evaluate(() => scrollY), 900);
  await page.keyboard.press("Escape");
});

/** Nothing closed it but its button: Escape did not, and nor did the link of the present screen. */
test("Escape, a link, a press outside and leaving it with the keyboard close the menu", async () => {
  await press();
  assert.match(await menu.innerText(), /^Close/);
  await page.keyboard.press("Escape");
  await closed();
  await focusIsAt("^Menu");
  await press();
  await list.getByRole("link", { name: "People", exact: true }).click();
  await closed();
  await press();
  await page.mouse.click(160, 630);
  await page.mouse.click(20, 24);
  await closed();
  await page.goto(`${console_.url}#/people`);
  await page.getByRole("heading", { name: "People", level: 1 }).waitFor();
  await press();
  await page.keyboard.press("Shift+Tab");
  for (let at = 0; at < 30 && (await isOpen()) === "true"; at += 1) await page.keyboard.press("Shift+Tab");
  await closed();
  await press();
  await list.getByRole("link", { name: "Services" }).click();
  await page.getByRole("heading", { name: "Services", level: 1 }).waitFor();
  await closed();
  await focusIsAt("^Services$");
});

/** The number of open alarms was in the list alone, so that a telephone showed no alarm until its menu was opened. */
test("The button of the menu has the number of open alarms", async () => {
  assert.equal(await menu.locator(".count").count(), 0);
  for (const key of ["one", "two"])
    await site.call("alarm.raise", { to: "admins", severity: "warning", key, text: "The disk is full." });
  await page.getByRole("button", { name: "Menu 2 open alarms" }).waitFor();
});

test("Nothing failed in the page, and the content security policy was not violated", () => {
  assert.deepEqual(faults, []);
});
