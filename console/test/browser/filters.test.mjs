// Long lists: their pages, their filters, and the addresses that have these.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN, MEMBER } from "./sample.mjs";
import { recordMessages } from "./secrets.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, console_, browser, page, faults, told;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  for (let number = 100; number < 220; number += 1) await site.call("person.create", { name: `p${number}` });
  await site.call("person.create", { name: MEMBER.name });
  for (const name of ["mailer", "robot"]) await site.call("service.create", { name });
  console_ = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
  told = await recordMessages(page);
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
const names = () => page.locator("td.name");
const search = async (label, words) => {
  await page.getByLabel(label, { exact: true }).fill(words);
  await page.keyboard.press("Enter");
};
/** Waits until each cell of a column has this text, and there is one. */
const only = (column, words) =>
  page.waitForFunction(
    ([label, text]) => {
      const cells = [...document.querySelectorAll(`td[data-label="${label}"]`)];
      return cells.length > 0 && cells.every(({ innerText }) => innerText === text);
    },
    [column, words],
  );

/** It read all earlier pages again, one after the other, said nothing meanwhile, and left the focus below the new rows. */
test("“Show more” reads the next page alone, says that it reads, and leads to the first new row", async () => {
  await visit("people", "People");
  for (const [count, isLast] of [
    [50, false],
    [100, true],
  ]) {
    await page.getByText(`The first ${count} entries`).waitFor();
    let answer;
    const gate = new Promise((resolve) => (answer = resolve));
    console_.interruptOnce(async () => {
      await gate;
      return false;
    });
    const [last] = (await names().last().innerText()).split("@");
    told.length = 0;
    await page.getByRole("button", { name: "Show more" }).press("Enter");
    const busy = page.getByRole("button", { name: "Reading from the site…" });
    await busy.waitFor();
    assert.equal(await busy.getAttribute("aria-busy"), "true");
    answer();
    await busy.waitFor({ state: "detached" });
    console_.restore();
    const reads = told.filter(({ bytes }) => bytes.includes("\nperson.list"));
    assert.equal(reads.length, 1);
    assert.ok(reads[0].bytes.includes(last));
    assert.equal(await page.getByRole("button", { name: "Show more" }).count(), isLast ? 0 : 1);
    const focused = await page.evaluate(() =>
      [...document.querySelectorAll("tbody > tr")].indexOf(document.activeElement),
    );
    assert.equal(focused, count);
  }
  assert.equal(new Set(await names().allInnerTexts()).size, 122);
});

/** Two pages can have one account if it was renamed between them. */
test("An account that is renamed between two pages is there once", async () => {
  await visit("services", "Services");
  await visit("people", "People");
  await names().filter({ hasText: "p100@local" }).waitFor();
  await site.call("person.update", { name: "p100", new_name: "zora" });
  for (let pages = 2; pages <= 3; pages += 1) {
    await page.getByRole("button", { name: "Show more" }).click();
    await page.waitForFunction(
      (count) => document.querySelectorAll("tbody > tr").length >= count,
      pages === 2 ? 100 : 122,
    );
  }
  const shown = await names().allInnerTexts();
  assert.ok(shown.includes("zora@local") && !shown.includes("p100@local"));
});

/** Search "an", open Anton, Back: the search was empty, and a reload emptied it too. */
test("Back and a reload keep what a list is searched for", async () => {
  await visit("people", "People");
  await page.getByLabel("Search people").fill("p21");
  await page.getByRole("status").getByText("10 people").waitFor();
  await page.getByRole("link", { name: "p215@local" }).click();
  await page.getByRole("heading", { name: "p215@local", level: 1 }).waitFor();
  const isKept = async () => {
    await page.getByRole("heading", { name: "People", level: 1 }).waitFor();
    assert.equal(await page.getByLabel("Search people").inputValue(), "p21");
    await page.getByRole("status").getByText("10 people").waitFor();
    assert.equal(await names().count(), 10);
  };
  await page.goBack();
  await isKept();
  await page.reload();
  await isKept();
  await page.getByRole("navigation").getByRole("link", { name: "People" }).click();
  await page.waitForFunction(() => document.querySelector("input[type=search]").value === "");
});

/** To see what happened to an account, its name had to be typed on another screen. */
test("The page of a person leads to the entries of the audit log about it", async () => {
  await site.call("person.lock", { name: MEMBER.name });
  await visit("people/tom@local", "tom@local");
  await page.getByRole("link", { name: "Entries about tom@local" }).click();
  await page.getByRole("heading", { name: "Audit log", level: 1 }).waitFor();
  await page.getByRole("cell", { name: "person.lock", exact: true }).waitFor();
  await only("Target", "tom@local");
  assert.equal(await page.getByLabel("Target").inputValue(), "tom@local");
  await page.reload();
  await only("Target", "tom@local");
});

/** "person.cre" said "No entries", the names of operations had to be known, and filters were cleared one by one. */
test("A filter of the audit log takes effect when it is sent, offers the operations, and is cleared at once", async () => {
  await visit("audit", "Audit log");
  await names().first().waitFor();
  const operation = page.getByLabel("Operation", { exact: true });
  const offered = await operation.evaluate(({ list }) => [...list.options].map(({ value }) => value));
  assert.ok(offered.includes("person") && offered.includes("person.create"));
  await operation.pressSequentially("Person.cre");
  await search("Operation", "Person.Create");
  await only("Operation", "person.create");
  await search("Actor", "tom");
  await page.getByText("No entry matches the filter.").waitFor();
  await page.getByRole("button", { name: "Clear", exact: true }).click();
  await page.getByRole("cell", { name: "person.lock", exact: true }).waitFor();
  assert.equal(await operation.inputValue(), "");
  assert.ok(!page.url().includes("?"));
});

/** The export had the whole log, whatever the list was filtered by, and neither had an end or a target. */
test("The audit log is filtered by object and time, and the export has the entries that the list shows", async () => {
  await visit("audit", "Audit log");
  await search("Target", "tom");
  await only("Target", "tom@local");
  const shown = (await page.locator('td[data-label="Entry"]').allInnerTexts()).map(Number).reverse();
  const entries = await exported("Export these entries");
  assert.deepEqual(
    entries.map(({ seq }) => seq),
    shown,
  );
  assert.ok(entries.every(({ target }) => target === "tom@local"));
  await search("Before", "2020-01-01T00:00");
  await page.getByText("No entry matches the filter.").waitFor();
  assert.deepEqual(await exported("Export these entries"), []);
  await search("Before", "2099-01-01T00:00");
  await only("Target", "tom@local");
  await search("Since", "2098-01-01T00:00");
  await page.getByText("No entry matches the filter.").waitFor();
  await page.getByRole("button", { name: "Clear", exact: true }).click();
  await page.getByRole("button", { name: "Verify the log" }).click();
  await page.getByText(/^All \d+ entries are intact/).waitFor();
  const all = await exported("Export the whole log");
  assert.deepEqual(
    all.map(({ seq }) => seq),
    all.map((_, at) => at + 1),
  );
});

/** What a button of the audit log exports. */
async function exported(button) {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button, exact: true }).click(),
  ]);
  assert.equal(download.suggestedFilename(), "audit.jsonl");
  let text = "";
  for await (const piece of await download.createReadStream()) text += piece;
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** With 60 tickets, the one that was issued a second ago was on page 2, and services had no search. */
test("Sessions, devices, tickets and tokens are shown of one account, and services are searched", async () => {
  await site.call("person.unlock", { name: MEMBER.name });
  for (const person of ["p101", MEMBER.name]) await site.call("ticket.issue", { person, kind: "passphrase" });
  await visit("devices", "Devices");
  const tickets = page.getByRole("table", { name: "Tickets" });
  await tickets.getByRole("link", { name: "p101@local" }).waitFor();
  await page.getByLabel("Person", { exact: true }).fill("to");
  await page.waitForFunction(() => document.querySelector("datalist > [value='tom@local']"));
  await search("Person", "tom");
  await tickets.getByRole("link", { name: "p101@local" }).waitFor({ state: "detached" });
  await tickets.getByRole("link", { name: "tom@local" }).waitFor();
  await search("Person", "none");
  await page.getByText("There is no person none").first().waitFor();

  await visit("tokens", "Access tokens");
  for (const service of ["mailer", "robot"])
    await site.call("token.create", { operations: ["alarm.raise"], label: `of ${service}`, service });
  await search("Account", "mailer");
  await page.getByText("of mailer").waitFor();
  await page.getByText("of robot").waitFor({ state: "detached" });

  await visit("sessions", "Sessions");
  await page.getByRole("cell", { name: "maria@local", exact: true }).waitFor();
  await search("Account", "tom");
  await page.getByText("No open sessions").waitFor();

  await visit("services", "Services");
  await page.getByLabel("Search services").fill("rob");
  await page.getByRole("link", { name: "mailer@local" }).waitFor({ state: "detached" });
  assert.deepEqual(await names().allInnerTexts(), ["robot@local"]);
});

/** The page had neither tickets nor tokens: after a theft they were looked for on two other screens. */
test("The page of a person has their tickets and tokens", async () => {
  await visit("people/tom@local", "tom@local");
  const tickets = page.getByRole("table", { name: "Tickets" });
  await tickets.getByRole("button", { name: /^Revoke/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await tickets.getByText("Revoked").waitFor();
  await page.getByText("No access tokens").waitFor();
  assert.deepEqual(faults, []);
});
