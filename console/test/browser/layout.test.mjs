// Measures of what was drawn over something else, or beyond its card.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, console_, browser;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  console_ = await startConsole(site);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await site?.stop();
});

/** The tag "Encryption options" lay over the first letters of its text at every width. */
test("The tags of the overview lie over no text, in both languages", async () => {
  await site.call("option.floor", { floor: "classical" });
  await site.call("option.enable", { name: "x25519-aes256gcm" });
  for (const language of ["en-GB", "de-DE"]) {
    const { page, context } = await openPage(browser, { language });
    await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
    const row = page.locator(".findings li").filter({ hasText: "x25519-aes256gcm" });
    await row.waitFor();
    for (const width of [1440, 1000, 780]) {
      await page.setViewportSize({ width, height: 900 });
      const rows = await page.locator(".findings li").evaluateAll((all) =>
        all.map(({ children: [tag, text] }) => {
          const range = document.createRange();
          range.selectNodeContents(text);
          return { tag: tag.getBoundingClientRect().right, text: range.getBoundingClientRect().left };
        }),
      );
      for (const { tag, text } of rows) assert.ok(tag < text, `${language}, ${width} px: ${tag} < ${text}`);
      // The texts of all rows begin at one place.
      assert.equal(new Set(rows.map(({ text }) => Math.round(text))).size, 1);
    }
    await context.close();
  }
});

/** The table was wider than its card, the page scrolled sideways, and Acknowledge lay outside the window. */
test("A long word in an alarm leaves its table within its card", async () => {
  await site.call("alarm.raise", { to: "admins", severity: "info", key: "long", text: "x".repeat(120) });
  await site.call("person.create", { name: "lang", full_name: "y".repeat(120) });
  const { page, context } = await openPage(browser);
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  for (const [place, word] of [
    ["", "x"],
    ["alarms", "x"],
    ["people", "y"],
  ]) {
    await page.goto(`${console_.url}#/${place}`);
    await page.locator("main").getByText(word.repeat(120)).first().waitFor();
    for (const width of [1440, 1000, 780, 320]) {
      await page.setViewportSize({ width, height: 900 });
      const beyond = await page.evaluate(
        () =>
          [...document.querySelectorAll("main .card")].filter(
            ({ scrollWidth, clientWidth }) => scrollWidth > clientWidth,
          ).length,
      );
      assert.equal(beyond, 0, `${place} at ${width} px`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} px`);
    }
  }
  await context.close();
});

/** At 320 px, the port of a peer's address was cut in two: `example.org:47` and `50` below it. */
test("An address is broken before its port, and never within it", async () => {
  const { page, context } = await openPage(browser, { width: 320, height: 640 });
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  const fact = page.locator(".fact").filter({ has: page.getByText("Sessions", { exact: true }) });
  await fact.locator("dd").waitFor();
  const lines = await fact.locator("dd").evaluate((value) => {
    const nodes = document.createTreeWalker(value, NodeFilter.SHOW_TEXT);
    const all = [];
    while (nodes.nextNode()) all.push(nodes.currentNode);
    const last = all.at(-1);
    const range = document.createRange();
    range.setStart(last, last.data.lastIndexOf(":"));
    range.setEnd(last, last.length);
    return [4, 5, 6, 7, 8].map((width) => {
      value.style.width = `${width}em`;
      return [range.toString(), range.getClientRects().length];
    });
  });
  for (const [port, count] of lines) {
    assert.match(port, /^:\d+$/);
    assert.equal(count, 1);
  }
  await context.close();
});

/** The notice lay over the last button of a page for seconds, and took its clicks. */
test("The notice at the lower right takes no click, and the end of a page is above it", async () => {
  await site.call("person.create", { name: "nils" });
  const { page, context } = await openPage(browser);
  await logIn(page, `${console_.url}#/people/nils@local`, ADMIN.name, ADMIN.passPhrase);
  await page.getByRole("button", { name: "Lock nils@local" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Lock" }).click();
  await page.locator(".said").getByText("Locked nils@local.").waitFor();
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  const last = await page.getByRole("button", { name: "Delete nils@local" }).boundingBox();
  const notice = await page.locator(".said p").boundingBox();
  assert.ok(last.y + last.height <= notice.y, `${last.y + last.height} <= ${notice.y}`);
  assert.equal(await page.locator(".said").evaluate((said) => getComputedStyle(said).pointerEvents), "none");
  await context.close();
});

/** The foot of a long dialog cut a field in half, and its scrollbar squared the round corners. */
test("A long dialog scrolls within its corners, with a line over its buttons", async () => {
  const { page, context } = await openPage(browser, { height: 600 });
  await logIn(page, `${console_.url}#/tokens`, ADMIN.name, ADMIN.passPhrase);
  await page.getByRole("button", { name: "Create token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("alarm.raise", { exact: true }).waitFor();
  const line = () =>
    dialog.locator(".send").evaluate((foot) => getComputedStyle(foot, "::before").borderTopWidth);
  assert.ok(
    await dialog.locator(".inside").evaluate(({ scrollHeight, clientHeight }) => scrollHeight > clientHeight),
  );
  assert.equal(await dialog.evaluate((whole) => getComputedStyle(whole).overflow), "hidden");
  assert.equal(await line(), "1px");
  await dialog.getByRole("button", { name: "Create token" }).click();
  // What is wrong is said at the operations.
  const wrong = dialog.getByRole("group", { name: /^Operations/ }).getByRole("alert");
  await wrong.getByText("Choose at least one operation.").waitFor();
  assert.equal(await dialog.locator(".scroll").getByText("`").count(), 0, "names are between backticks");
  await dialog.locator(".inside").evaluate((inside) => inside.scrollTo(0, inside.scrollHeight));
  await page.waitForFunction(
    () => getComputedStyle(document.querySelector("dialog .send"), "::before").borderTopWidth === "0px",
  );
  await context.close();
});
