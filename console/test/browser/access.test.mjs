// Accessibility of every screen and of its dialogs: axe-core in both schemes and at both widths, of an admin in
// English and in German and of a member; what moves on its own; and the main job with the keyboard alone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { lookerOn, tooWide } from "./axe.mjs";
import { ADMIN, MEMBER } from "./sample.mjs";
import { DIALOGS, open, stage } from "./shots.mjs";
import { fillLogin, logIn, openPage } from "./site.mjs";

let staged, console_, browser;

before(async () => {
  staged = await stage();
  ({ console_, browser } = staged);
});

after(() => staged?.stop());

const dialogIsGone = (page) => page.getByRole("dialog").waitFor({ state: "detached" });

for (const width of [1440, 320]) {
  test(`axe finds no violation on any screen in both schemes, ${width} px wide`, async () => {
    const { page, context, faults } = await openPage(browser, { width, height: width === 320 ? 640 : 900 });
    await page.goto(console_.url);
    const { found, look } = await lookerOn(page);
    await page.locator("h1").waitFor();
    await look("login");
    await page.getByRole("link", { name: /I have a ticket/ }).click();
    await page.getByRole("heading", { name: /ticket/ }).waitFor();
    await look("ticket");
    await page.getByRole("link", { name: /Back to the login/ }).click();
    await fillLogin(page, ADMIN.name, ADMIN.passPhrase);
    for (const [name, place] of Object.entries(staged.places)) {
      await open(page, console_.url, place);
      await look(name);
      if (name === "audit") {
        await page.getByRole("button", { name: "Verify with peers" }).click();
        await page.getByRole("heading", { name: "Verification" }).waitFor();
        await look("audit, verified");
        await page
          .getByRole("button", { name: /^Details/ })
          .first()
          .click();
        await look("audit, details");
        await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
      }
      for (const button of DIALOGS[name] ?? []) {
        await page.locator("main").getByRole("button", { name: button, exact: true }).click();
        await page.getByRole("dialog").waitFor();
        await page.waitForFunction(() => !document.querySelector("dialog .waiting"));
        await look(`${name}, ${button}`);
        await page.keyboard.press("Escape");
        await dialogIsGone(page);
      }
    }
    await open(page, console_.url, "#/people/bea@local");
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Enrol device" }).click();
    await dialog.getByRole("button", { name: "Issue ticket" }).click();
    await dialog.getByRole("img").waitFor();
    await look("a ticket that was issued");
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.getByRole("button", { name: "Edit Contact data" }).click();
    await dialog.getByLabel("Country").fill("Germany");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.locator('[aria-invalid="true"]').waitFor();
    await look("a field that is refused");
    await page.keyboard.press("Escape");
    await dialogIsGone(page);
    console_.interrupt();
    await page.getByText("The connection to the site was lost.").waitFor();
    await look("a lost connection");
    console_.restore();
    await page.getByText("The connection to the site was lost.").waitFor({ state: "detached" });
    assert.deepEqual([...found, ...faults], []);
    await context.close();
  });
}

/** The cards of a screen moved down while the lists above them were read. */
test("Nothing on a screen moves while it is read", async () => {
  const { page, context } = await openPage(browser);
  await page.addInitScript(() => {
    // A screen that was not read within half a second shows what there is. A slow machine must not come to that here.
    const wait = globalThis.setTimeout;
    globalThis.setTimeout = (run, delay, ...more) => (delay === 500 ? 0 : wait(run, delay, ...more));
    globalThis.moved = [];
    new PerformanceObserver((list) => {
      for (const { sources } of list.getEntries())
        globalThis.moved.push(...sources.map(({ node }) => node?.textContent.slice(0, 40)));
    }).observe({ type: "layout-shift", buffered: true });
  });
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  for (const [name, place] of Object.entries(staged.places)) {
    await open(page, console_.url, place);
    // The browser reports what moved with the frames that it shows.
    const moved = await page.evaluate(async () => {
      for (let frame = 0; frame < 3; frame += 1)
        await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      return globalThis.moved.splice(0);
    });
    assert.deepEqual(moved, [], name);
  }
  await context.close();
});

test("axe finds no violation in the console of a member", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, console_.url, MEMBER.name, MEMBER.passPhrase);
  const { found, look } = await lookerOn(page);
  for (const name of ["overview", "alarms", "sessions", "devices", "tokens", "messages", "profile"]) {
    await open(page, console_.url, staged.places[name]);
    await look(name);
  }
  assert.deepEqual(found, []);
  await context.close();
});

test("In German every screen fits 320 px, and axe finds no violation", async () => {
  const { page, context } = await openPage(browser, { width: 320, height: 640, language: "de-DE" });
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  await page.getByRole("heading", { name: "Überblick", level: 1 }).waitFor();
  const { found, look } = await lookerOn(page);
  for (const [name, place] of Object.entries(staged.places)) {
    await open(page, console_.url, place);
    await look(name);
  }
  assert.deepEqual(found, []);
  await context.close();
});

/** The sum of the shifts of a page that web.dev calls good. */
const GOOD = 0.1;

test("Nothing on a screen moves while it is read, but what makes room for data", async () => {
  const { page, context } = await openPage(browser);
  await page.addInitScript(() => {
    globalThis.shifts = [];
    const note = ({ value, hadRecentInput, sources }) => {
      const of = sources.map(({ node }) => `${node?.nodeName}.${node?.className}`);
      if (!hadRecentInput) globalThis.shifts.push({ value, of: of.join(" ") });
    };
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type: "layout-shift" });
  });
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  const found = [];
  for (const [name, place] of Object.entries(staged.places)) {
    await page.evaluate(() => (globalThis.shifts.length = 0));
    await open(page, console_.url, place);
    await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
    const shifts = await page.evaluate(() => globalThis.shifts);
    const sum = shifts.reduce((total, { value }) => total + value, 0);
    if (sum > GOOD) found.push(`${name}: ${sum} ${shifts.map(({ of }) => of).join(", ")}`);
  }
  assert.deepEqual(found, []);
  await context.close();
});

test("On a tablet no screen is wider than the window", async () => {
  const { page, context } = await openPage(browser, { width: 834, height: 1112 });
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  const found = [];
  for (const [name, place] of Object.entries(staged.places)) {
    await open(page, console_.url, place);
    if ((await tooWide(page)) > 0) found.push(name);
  }
  assert.deepEqual(found, []);
  await context.close();
});

test("The language is chosen in the page, and is kept", async () => {
  const { page, context } = await openPage(browser);
  await page.goto(console_.url);
  await page.getByRole("button", { name: "Deutsch" }).click();
  await page.getByRole("heading", { name: "Anmelden" }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
  await page.reload();
  await page.getByRole("heading", { name: "Anmelden" }).waitFor();
  await context.close();
});

test("The keyboard alone logs in, creates a person, locks and unlocks them", async () => {
  const { page, context } = await openPage(browser);
  const { keyboard } = page;
  /** Presses Tab until the focused element has this name. */
  const tabTo = async (name) => {
    for (let step = 0; step < 80; step += 1) {
      const now = await page.evaluate(() => {
        const element = document.activeElement;
        return (
          element?.getAttribute("aria-label") ?? element?.labels?.[0]?.innerText ?? element?.textContent ?? ""
        );
      });
      if (now.trim() === name) return;
      await keyboard.press("Tab");
    }
    assert.fail(`Tab does not reach ${name}`);
  };
  await page.goto(console_.url);
  await tabTo("Name");
  await keyboard.type(ADMIN.name);
  await tabTo("Pass phrase");
  await keyboard.type(ADMIN.passPhrase);
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await tabTo("People");
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "People", level: 1 }).waitFor();
  await tabTo("Create person");
  await keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await keyboard.type("zoe");
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "zoe@local", level: 1 }).waitFor();
  await tabTo("Lock zoe@local");
  await keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await tabTo("Lock");
  await keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Unlock" }).waitFor();
  await page.waitForFunction(() => document.activeElement !== document.body);
  await tabTo("Unlock zoe@local");
  await keyboard.press("Enter");
  await page.getByRole("button", { name: "Pass phrase ticket" }).waitFor();
  await context.close();
});
