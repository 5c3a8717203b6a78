// What has the focus, what is announced, and what stays in sight while a dialog is open.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, console_, browser, page, faults, dialog;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  for (const name of ["tom", "ada"]) await site.call("person.create", { name });
  await site.run(["key", "new", "--out", "mailer"]);
  await site.run(["service", "create", "mailer", "--public-key", "mailer.pub"]);
  console_ = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
  dialog = page.getByRole("dialog");
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await site?.stop();
});

const visit = async (place, heading) => {
  await page.goto(`${console_.url}#/${place}`);
  await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
};
const close = async () => {
  await dialog.getByRole("button", { name: "Close" }).click();
  await dialog.waitFor({ state: "detached" });
};
/** Waits until the focus is at such an element, named by its tag and its text. */
const focusIsAt = (wanted, on = page) =>
  on.waitForFunction((wanted) => {
    const { tagName, textContent } = document.activeElement;
    return new RegExp(wanted).test(`${tagName} ${textContent}`);
  }, wanted);

/** The form had the focus and was removed, so that the body had it, and nothing was announced. */
test("A secret that is shown once has the focus at its heading, which says what it is", async () => {
  await visit("people/tom@local", "tom@local");
  await page.getByRole("button", { name: "Enrol device" }).click();
  await dialog.getByRole("button", { name: "Issue ticket" }).press("Enter");
  await dialog.getByRole("textbox", { name: "Ticket", exact: true }).waitFor();
  await focusIsAt("^H2 The ticket is issued$");
  await close();
  await visit("tokens", "Access tokens");
  await page.getByRole("button", { name: "Create token" }).click();
  await dialog.getByLabel("Service", { exact: true }).fill("mailer");
  await dialog.getByLabel("site.status", { exact: true }).check();
  await dialog.getByRole("button", { name: "Create token" }).press("Enter");
  await dialog.getByRole("textbox", { name: "token" }).waitFor();
  await focusIsAt("^H2 The token is created$");
  assert.equal(await page.getByRole("dialog", { name: "The token is created" }).count(), 1);
  await close();
});

/** "Close" at the end had the focus, so that a long entry was scrolled to its end. */
test("The details of an audit entry begin with its heading", async () => {
  await visit("audit", "Audit log");
  await page
    .getByRole("button", { name: /^Details/ })
    .first()
    .click();
  await dialog.waitFor();
  await focusIsAt("^H2 Audit entry [0-9]+$");
  await page.setViewportSize({ width: 1440, height: 300 });
  assert.equal(await dialog.locator(".inside").evaluate(({ scrollTop }) => scrollTop), 0);
  await page.setViewportSize({ width: 1440, height: 900 });
  await close();
});

/** The body had the focus, unlike at the login. */
test("The page that uses a ticket begins with the first field that its link leaves empty", async () => {
  const other = await openPage(browser);
  await other.page.goto(`${console_.url}#/ticket`);
  const beginsAt = (label) =>
    other.page.waitForFunction((label) => document.activeElement.labels?.[0]?.textContent === label, label);
  await other.page.getByLabel("Ticket", { exact: true }).waitFor();
  await beginsAt("Ticket");
  await other.page.goto(`${console_.url}#/ticket/${encodeURIComponent("countersign://x/e#y")}`);
  await other.page.waitForFunction(() => document.querySelector("textarea")?.value);
  await beginsAt("Name");
  await other.context.close();
});

/**
 * "33 seconds ago" changes by itself. Within a live region a screen reader read each change: of all alarms of the list,
 * and of the ticket that waits for its use.
 */
test("No words for a time are announced whenever they change", async () => {
  const announced = () => page.locator(":is([aria-live], [role=status], [role=alert]) time").count();
  await site.call("alarm.raise", { to: "admins", severity: "info", key: "time", text: "The clock ticks." });
  await visit("alarms", "Alarms");
  await page.locator("td time").first().waitFor();
  assert.equal(await announced(), 0);
  await visit("people/tom@local", "tom@local");
  await page.getByRole("button", { name: "Enrol device" }).click();
  await dialog.getByRole("button", { name: "Issue ticket" }).click();
  await dialog.locator("time").waitFor();
  assert.equal(await announced(), 0);
  await dialog.getByRole("status").getByText("Waiting for the ticket to be used.").waitFor();
  await close();
});

/** The audit log and all lists had times, and no place named their zone. */
test("The title of each time names its zone", async () => {
  await visit("audit", "Audit log");
  await page.locator("td time").first().waitFor();
  const zone = await page.evaluate(
    () =>
      new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" })
        .formatToParts()
        .find(({ type }) => type === "timeZoneName").value,
  );
  const titles = await page.locator("time").evaluateAll((times) => times.map(({ title }) => title));
  for (const title of titles) assert.ok(title.endsWith(` ${zone}`), title);
});

/**
 * A notice lay under the backdrop of a dialog, in the inert rest of the page: no screen reader had it, and it was gone
 * after 6 seconds, or when another message came.
 */
test("A new alarm is above an open dialog, in the accessibility tree, and stays until it is dismissed", async () => {
  await visit("people", "People");
  await page.getByRole("button", { name: "Create person" }).click();
  await dialog.waitFor();
  const raise = (key, text) => site.call("alarm.raise", { to: "admins", severity: "critical", key, text });
  await raise("fire", "The server room is on fire.");
  const alarm = dialog.getByRole("status").getByText("The server room is on fire.");
  await alarm.waitFor();
  const isOnTop = await alarm.evaluate((words) => {
    const { x, y, width, height } = words.getBoundingClientRect();
    return document.elementFromPoint(x + width / 2, y + height / 2).closest(".said") !== null;
  });
  assert.ok(isOnTop);
  // A link would leave the form.
  assert.equal(await dialog.locator(".said a").count(), 0);
  await dialog.getByLabel("Name", { exact: true }).fill("eva");
  await dialog.getByRole("button", { name: "Create person" }).click();
  await page.locator(".said").getByText("Created eva@local.").waitFor();
  await page.locator(".said").getByText("The server room is on fire.").waitFor();
  await page.getByRole("link", { name: "Open alarm", exact: true }).click();
  await page.getByRole("heading", { name: "The server room is on fire.", level: 1 }).waitFor();
  await page.locator(".new-alarm p").waitFor({ state: "detached" });
  await raise("flood", "The server room is flooded.");
  await page.locator(".new-alarm").getByText("The server room is flooded.").waitFor();
  const { id } = await raise("thief", "The server room is empty.");
  await page.getByRole("link", { name: "Open alarms (2 new)" }).waitFor();
  await site.call("alarm.over", { id });
  await page.locator(".new-alarm").getByText("The server room is flooded.").waitFor();
  await page.getByRole("button", { name: "Dismiss" }).click();
  await page.locator(".new-alarm p").waitFor({ state: "detached" });
});

/** The dialog was part of the row or the card that its question is about, and vanished with it without a word. */
test("A question whose object was changed meanwhile stays, says so, and does nothing", async () => {
  await visit("people/ada@local", "ada@local");
  await page.getByRole("button", { name: "Lock down ada@local" }).click();
  await dialog.getByLabel("Reason").fill("A laptop was stolen.");
  await site.call("lockdown.person", { name: "ada" });
  await dialog.getByRole("heading", { name: "Lock down: not possible any more" }).waitFor();
  await dialog.getByRole("alert").getByText("Nothing was done.").waitFor();
  assert.equal(await dialog.getByRole("textbox").count(), 0);
  await focusIsAt("^H2 Lock down: not possible any more$");
  await close();
  await focusIsAt("^(?!BODY)");
  await page.getByRole("button", { name: "Lift ada@local" }).first().click();
  await site.call("lockdown.lift", { person: "ada" });
  await dialog.getByRole("heading", { name: "Lift: not possible any more" }).waitFor();
  await close();
});

/** The ticket was in the row of its person, and was lost when a renewed list had the row on its next page. */
test("A ticket that is shown once stays when the row of its person moves to the next page", async () => {
  await visit("people", "People");
  await page.getByRole("button", { name: "Pass phrase ticket tom@local" }).click();
  await dialog.getByRole("button", { name: "Issue ticket" }).click();
  const ticket = dialog.getByRole("textbox", { name: "Ticket", exact: true });
  await ticket.waitFor();
  for (let at = 0; at < 50; at += 1) await site.call("person.create", { name: `aa${at}` });
  await site.call("lockdown.person", { name: "aa0" });
  await page.getByText("The first 50 entries").waitFor();
  assert.equal(await page.getByRole("link", { name: "tom@local" }).count(), 0);
  assert.ok(await ticket.isVisible());
  await close();
  await site.call("lockdown.lift", { person: "aa0" });
});

/** From the page of the person it was part of the heading: grey, and with the margins of the heading. */
test("A dialog looks the same wherever it was opened", async () => {
  const looks = async () => {
    await dialog.getByText("The person sets the pass phrase").waitFor();
    await dialog.getByRole("button", { name: "Issue ticket" }).click();
    await dialog.getByText("The ticket is shown this once.").waitFor();
    const all = await dialog.locator("p").evaluateAll((texts) =>
      texts.map((text) => {
        const { color, marginTop, fontSize } = getComputedStyle(text);
        return [text.textContent.replace(/[0-9]+/g, ""), color, marginTop, fontSize].join(" | ");
      }),
    );
    await close();
    return all;
  };
  await visit("people", "People");
  await page.getByLabel("Search people").fill("ada");
  await page.getByRole("button", { name: "Pass phrase ticket ada@local" }).click();
  const inList = await looks();
  await visit("people/ada@local", "ada@local");
  await page.getByRole("button", { name: "Pass phrase ticket" }).click();
  assert.deepEqual(await looks(), inList);
});

test("Nothing failed in the page, and the content security policy was not violated", () => {
  assert.deepEqual(faults, []);
});
