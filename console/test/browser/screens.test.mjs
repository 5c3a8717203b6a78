// Single screens with more than a few entries, or with another site.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN, MEMBER, introduce } from "./sample.mjs";
import { load } from "../unit/load.mjs";
import { recordMessages } from "./secrets.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

const { SCREENS } = await load("app/screens.ts");
let site, other, console_, browser, page, faults, told;

before(async () => {
  site = await startSite();
  other = await startSite("example.org");
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  console_ = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
  told = await recordMessages(page);
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await other?.stop();
  await site?.stop();
});

const visit = async (name) => {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
};

/** A search of 12,500 matches showed 50, said "50 people", and had no way to the others. */
test("A search says when there are more matches, and shows them", async () => {
  for (let number = 0; number < 51; number += 1)
    await site.call("person.create", { name: `p${String(number).padStart(2, "0")}` });
  await site.call("person.create", { name: "ada", full_name: "Ada Pascal", email: "lovelace@example.org" });
  await visit("People");
  const search = page.getByLabel("Search people");
  await search.fill("P");
  const names = page.locator("td.name");
  await page.getByRole("status").getByText("more than 50 people").waitFor();
  assert.equal(await names.count(), 50);
  assert.equal(await names.first().innerText(), "ada@local");
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByRole("status").getByText("52 people").waitFor();
  assert.equal(await names.count(), 52);
  await search.fill("lovel");
  await page.getByRole("status").getByText("1 person", { exact: true }).waitFor();
  assert.deepEqual(await names.allInnerTexts(), ["ada@local"]);
  await search.fill("nothing like it");
  await page.getByText("No person matches “nothing like it”").waitFor();
});

/** The screens of the site key and of the encryption options needed operations that they did not call. */
test("A screen is shown to those who may call what it reads", async () => {
  for (const { path, needs } of SCREENS) {
    await page.goto(`${console_.url}#/settings`);
    await page.getByRole("heading", { name: "Settings", level: 1 }).waitFor();
    if (path === "settings") {
      await page.goto(`${console_.url}#/`);
      await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    }
    told.length = 0;
    await page.goto(`${console_.url}#/${path}`);
    const called = () => told.some(({ name, bytes }) => name === "call" && bytes.includes(`\n${needs[0]}`));
    while (!called()) await new Promise(setImmediate);
  }
});

/** An address that leads nowhere showed the overview, so that a member did not learn that a link is for admins. */
test("An address without a screen says so, and so does one whose screen is for others", async () => {
  await site.person(MEMBER.name, MEMBER.passPhrase);
  const member = await openPage(browser);
  await logIn(member.page, console_.url, MEMBER.name, MEMBER.passPhrase);
  for (const [shown, place, words] of [
    [member.page, "people", "Your role does not show this page"],
    [member.page, "nonsense", "There is no such page"],
    [page, "nonsense/ada", "There is no such page"],
  ]) {
    await shown.goto(`${console_.url}#/${place}`);
    await shown.getByRole("heading", { name: words, level: 1 }).waitFor();
    assert.equal(await shown.getByRole("navigation").locator("[aria-current]").count(), 0);
    await shown.getByRole("link", { name: "Open the overview" }).click();
    await shown.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  }
  assert.deepEqual(member.faults, []);
  await member.context.close();
});

/** It said "Make one with site backup", which is an operation and no command. */
test("The overview shows what the site finds wrong with itself, with commands that can be run", async () => {
  await visit("Overview");
  await page.getByText("There is no backup. Make one with countersign backup create FILE.").waitFor();
  await page.getByText(/^All \d+ checks$/).click();
  await page.getByText("All enabled options are hybrid.").waitFor();
  await page.getByText(/ of at most \d+; at most \d+ connections of clients\.$/).waitFor();
});

/** Alarms named a command beside the screen that shows the same, and a page that does not exist named `list`. */
test("What the site says names screens and buttons of the console", async () => {
  await site.call("person.create", { name: "emil" });
  await site.call("lockdown.person", { name: "emil", reason: "a drill" });
  await visit("Alarms");
  const alarm = page.getByRole("link", {
    name: /put the person emil@local in lockdown\. See why on the screen “Lockdown”\.$/,
  });
  await alarm.click();
  await page.getByRole("heading", { level: 1, name: /See why on the screen “Lockdown”\.$/ }).waitFor();
  // It named the screen between quotation marks, and led nowhere.
  await page.getByRole("main").getByRole("link", { name: "“Lockdown”" }).click();
  await page.getByRole("heading", { name: "Lockdown", level: 1 }).waitFor();
  // It said "Id: give an id, such as 019523d0-…", with "Try again", which could not help.
  await page.goto(`${console_.url}#/alarms/none`);
  await page.getByRole("alert").getByText("The address leads to nothing").waitFor();
  assert.equal(await page.getByRole("button", { name: "Try again" }).count(), 0);
  await page.goto(`${console_.url}#/people/zoe@local`);
  await page.getByRole("alert").getByText("There is no person zoe@local.").waitFor();
  assert.equal(await page.getByRole("main").getByRole("button").count(), 0);
  assert.doesNotMatch(await page.getByRole("main").innerText(), /list|Try again/);
  await visit("Messages");
  await page.getByRole("button", { name: "Write message" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("To").fill("olga@example.net");
  await dialog.getByLabel("Text").fill("Good morning.");
  await dialog.getByRole("button", { name: "Send" }).click();
  await dialog
    .getByText("There is no peer example.net. Check the spelling; “Peers” shows the peers.")
    .waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await site.call("lockdown.lift", { person: "emil" });
});

test("A message goes to a person of a peer, and the answer arrives while the page watches", async () => {
  await introduce(site, other);
  await visit("Messages");
  await page.getByText("No messages").waitFor();
  await page.getByRole("button", { name: "Write message" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("To").fill("olga");
  await dialog.getByLabel("Text").fill("Good morning.\nIs it raining?");
  await dialog.getByRole("button", { name: "Send" }).click();
  await dialog.getByText("It has no zone").waitFor();
  await dialog.getByLabel("To").fill("olga@example.org");
  await dialog.getByRole("button", { name: "Send" }).click();
  await dialog.waitFor({ state: "detached" });
  const received = async () => (await other.call("peer.inbox", { person: "olga" })).entries;
  while ((await received()).length === 0) await new Promise(setImmediate);
  assert.equal((await received())[0].text, "Good morning.\nIs it raining?");

  await other.call("peer.send", { from: "olga", to: "maria@local", text: "Not at all." });
  const row = page.getByRole("row").filter({ hasText: "Not at all." });
  await row.getByRole("cell", { name: "olga@example.org", exact: true }).waitFor();
  await row.getByRole("button", { name: "Delete olga@example.org" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await row.waitFor({ state: "detached" });
  assert.deepEqual((await site.call("peer.inbox", { person: "maria" })).entries, []);
});

/** It read the newest 1,000 tickets of the person each time, and waited for ever for one that is not among them. */
test("A ticket on the screen is read by itself", async () => {
  await site.call("person.create", { name: "wim" });
  await page.goto(`${console_.url}#/people/wim@local`);
  await page.getByRole("button", { name: "Pass phrase ticket" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Issue ticket" }).click();
  await dialog.getByRole("img").waitFor();
  const reads = (operation) => told.some(({ bytes }) => bytes.includes(`\n${operation}`));
  told.length = 0;
  while (!reads("ticket.show")) await new Promise(setImmediate);
  assert.ok(!reads("ticket.list"));
  const [{ id }] = (await site.call("ticket.list", { person: "wim" })).entries;
  await site.call("ticket.revoke", { id });
  await dialog.getByText("Revoked. The person or an admin revoked the ticket.").waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.getByRole("navigation").getByRole("link", { name: "Messages" }).click();
});

test("A message that a stopped peer does not take waits, and is withdrawn", async () => {
  await other.call("peer.stop");
  await site.call("peer.send", { from: "maria", to: "olga@example.org", text: "Are you there?" });
  const row = page.getByRole("row").filter({ hasText: "Are you there?" });
  await row.getByText("Waiting").waitFor();
  await row.getByRole("button", { name: "Delete olga@example.org" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("No message waits").waitFor();
  assert.deepEqual(faults, []);
});
