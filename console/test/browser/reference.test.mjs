// The reference of the API for readers, which the site serves at `/api/v1/docs`, and the site's address alone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openPage, startSite } from "./site.mjs";

let site, http, browser;

before(async () => {
  site = await startSite();
  http = `http://${(await site.call("site.status")).listen.http}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await site?.stop();
});

/** Waits until a link has opened what it leads to, and both the name and the content of that are in the window. */
const inView = (page, summary, content) =>
  page.waitForFunction(
    ([summary, content]) => {
      const target = document.querySelector(content);
      const details = target?.closest("details");
      const name = details?.querySelector("summary");
      const isVisible = (element) => {
        const { top, bottom } = element.getBoundingClientRect();
        return bottom > 0 && top < innerHeight;
      };
      return details?.open && name.innerText.startsWith(summary) && [target, name].every(isVisible);
    },
    [summary, content],
  );

/** It had 129,000 px, 220,000 px on a narrow screen, and its contents led to groups alone. */
test("A reader finds an operation in the contents, and opens it and its types", async () => {
  const { page, context, faults } = await openPage(browser);
  await page.goto(`${http}/api/v1/docs`);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  assert.ok(height < 20_000, `${height} px`);
  const group = page.locator("nav > ul > li").filter({ has: page.locator('a[href="#person"]') });
  await group.getByRole("link", { name: "create", exact: true }).click();
  await inView(page, "POST /persons", "#person_create");
  assert.equal(new URL(page.url()).hash, "#person_create");
  assert.equal(await page.locator("details[open]").count(), 1);
  await page.getByRole("link", { name: "PersonRole" }).first().click();
  await inView(page, "PersonRole", "#type-PersonRole");
  assert.deepEqual(faults, []);
  await context.close();
});

test("The address of an operation opens it, on a narrow screen too", async () => {
  const { page, context } = await openPage(browser, { width: 320, height: 640 });
  await page.goto(`${http}/api/v1/docs#alarm_raise`);
  await inView(page, "POST /alarms", "#alarm_raise");
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 320);
  await context.close();
});

/** It showed a problem in JSON. */
test("The address of the site leads a browser to the console", async () => {
  const { page, context } = await openPage(browser);
  await page.goto(http);
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  assert.equal(page.url(), `${http}/console/`);
  await context.close();
});
