// What asks before it takes something away, and what it asks.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN, MEMBER, introduce } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, other, console_, browser, page, faults, dialog;

before(async () => {
  site = await startSite();
  other = await startSite("example.org");
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  await site.person(MEMBER.name, MEMBER.passPhrase);
  console_ = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
  dialog = page.getByRole("dialog");
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await other?.stop();
  await site?.stop();
});

const visit = async (place, heading) => {
  await page.goto(`${console_.url}#/${place}`);
  await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
};
const answer = async (button) => {
  await dialog.getByRole("button", { name: button, exact: true }).click();
  await dialog.waitFor({ state: "detached" });
};

/** Alarms of the site named commands beside the screen that shows the same. */
test("An alarm of the site names the screen", async () => {
  await site.call("person.create", { name: "otto" });
  await site.call("lockdown.person", { name: "otto" });
  await visit("alarms", "Alarms");
  await page.getByText("See why on the screen “Lockdown”.").first().waitFor();
  await site.call("lockdown.lift", { person: "otto" });
});

/**
 * The text of any raiser was shown as the site's own: "Run `site key_new`" of a service read "Run countersign site key
 * new", in the list, on the overview and in the notice, and none of them named the service.
 */
test("An alarm of another raiser is quoted as it is, and each alarm names its raiser", async () => {
  const text = "Your key is weak. Run `site key_new`, then `option disable`.";
  const raised = /raised by local admin( \(uid \d+\))?/i;
  await site.call("lockdown.person", { name: "otto" });
  await visit("", "Overview");
  const { id } = await site.call("alarm.raise", { to: "admins", severity: "critical", key: "x", text });
  const said = page.locator(".said p").filter({ hasText: raised });
  assert.equal(await said.locator("q").textContent(), text);
  const found = page.locator(".findings li").filter({ hasText: raised });
  assert.equal(await found.locator("q").innerText(), text);
  await visit("alarms", "Alarms");
  const row = page.getByRole("row").filter({ hasText: raised });
  assert.equal(await row.locator("q").innerText(), text);
  const own = page.getByRole("row").filter({ hasText: "Raised by the site" });
  await own.getByText("See why on the screen “Lockdown”.").waitFor();
  assert.equal(await own.locator("q").count(), 0);
  await site.call("lockdown.lift", { person: "otto" });
  await page.goto(`${console_.url}#/alarms/${id}`);
  const heading = page.locator("h1 q");
  assert.equal(await heading.innerText(), text);
  assert.match(await heading.evaluate((q) => getComputedStyle(q, "::before").content), /open-quote|“/);
});

/** "End alarm" ended all alarms with the key of the one on the page, without a question. */
test("Ending an alarm asks first, and ends no other with its key", async () => {
  const raise = (to, text) => site.call("alarm.raise", { to, severity: "warning", key: "disk", text });
  const one = await raise("maria", "The disk of the mailer is full.");
  const another = await raise("tom", "The disk of the backup is full.");
  const state = async ({ id }) => (await site.call("alarm.show", { id })).state;
  await visit(`alarms/${one.id}`, "The disk of the mailer is full.");
  await page.getByRole("button", { name: "End alarm" }).click();
  await dialog.getByRole("heading", { name: "End this alarm?" }).waitFor();
  await answer("Cancel");
  assert.equal(await state(one), "open");
  await page.getByRole("button", { name: "End alarm" }).click();
  await answer("End alarm");
  await page.locator(".said").getByText("The alarm is over.").waitFor();
  assert.deepEqual([await state(one), await state(another)], ["over", "open"]);
});

/**
 * The name of the site came from `site.status`. Until that had answered it was empty, and so was the name to be typed:
 * an empty field imposed a lockdown that only the machine of the site lifts.
 */
test("The lockdown of the site asks for the site's name, also while its state is not known", async () => {
  const other = await openPage(browser);
  await other.page.addInitScript(() => {
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (message, ...more) {
      if (message.name !== "call" || message.args[0] !== "site.status")
        postMessage.call(this, message, ...more);
    };
  });
  await logIn(other.page, `${console_.url}#/lockdown`, ADMIN.name, ADMIN.passPhrase);
  const asked = other.page.getByRole("dialog");
  await other.page.getByRole("button", { name: "Lock down local" }).click();
  await asked.getByLabel("Type local to confirm").waitFor();
  await asked.getByRole("button", { name: "Lock down" }).click();
  await asked.getByText("The name differs. Type local.").waitFor();
  assert.ok(!(await site.call("lockdown.status")).site);
  await other.context.close();
});

/** The name of the account was taken from the entry, which has that of the time of the lockdown. */
test("The lockdown of a person who was renamed is lifted, after a question", async () => {
  await site.call("person.create", { name: "ada" });
  await site.call("lockdown.person", { name: "ada", reason: "a stolen laptop" });
  await site.call("person.update", { name: "ada", new_name: "eve" });
  await visit("lockdown", "Lockdown");
  const lift = page.getByRole("button", { name: "Lift person ada@local" });
  await lift.click();
  await answer("Cancel");
  assert.equal((await site.call("lockdown.status")).entries.length, 1);
  await lift.click();
  await answer("Lift");
  await page.getByText("No account, application or peer is in lockdown").waitFor();
  assert.deepEqual((await site.call("lockdown.status")).entries, []);
});

/** One state had the reason of all actions of a page, and it was never cleared. */
test("A reason that was typed for one action is not sent with the next", async () => {
  const reason = dialog.getByLabel("Reason");
  await visit("people/eve@local", "eve@local");
  await page.getByRole("button", { name: "Lock down eve@local" }).click();
  await reason.fill("a reason that was not meant");
  await answer("Cancel");
  await page.getByRole("button", { name: "Lock down eve@local" }).click();
  assert.equal(await reason.inputValue(), "");
  await answer("Lock down");
  await page.locator(".said").getByText("eve@local is in lockdown.").waitFor();
  assert.equal((await site.call("lockdown.status")).entries[0].reason, "");
  await site.call("lockdown.lift", { person: "eve" });
});

/** A ticket was revoked at one click. */
test("A ticket is revoked after a plain question", async () => {
  const { id } = await site.call("ticket.issue", { person: "tom", kind: "device" });
  const state = async () => (await site.call("ticket.list", {})).entries.find((one) => one.id === id).state;
  await visit("devices", "Devices");
  await page.getByRole("button", { name: "Revoke tom@local" }).click();
  await dialog.getByRole("heading", { name: "Revoke this ticket of tom@local?" }).waitFor();
  assert.equal(await state(), "open");
  await answer("Revoke");
  await page.getByRole("cell", { name: "Revoked", exact: true }).waitFor();
  assert.equal(await state(), "revoked");
});

/** The token of another was revoked without its name, which cannot be undone. */
test("The name is typed for what takes from another for ever, or locks oneself, and for nothing that can be undone", async () => {
  await site.run(["key", "new", "--out", "mailer.key"]);
  await site.run(["service", "create", "mailer", "--public-key", "mailer.key.pub"]);
  await site.call("token.create", { service: "mailer", operations: ["site.status"], label: "queue" });
  const asks = async (button, name) => {
    await page.getByRole("button", { name: button, exact: true }).click();
    await dialog.getByRole("heading", { level: 2 }).waitFor();
    const asked = await dialog.getByLabel(`Type ${name} to confirm`).count();
    await answer("Cancel");
    return asked === 1;
  };
  await visit("tokens", "Access tokens");
  assert.equal(await asks("Revoke queue", "queue"), true);
  await visit("people/tom@local", "tom@local");
  for (const action of ["Lock", "Disable", "Lock down"])
    assert.equal(await asks(`${action} tom@local`, "tom@local"), false, action);
  assert.equal(await asks("Delete tom@local", "tom@local"), true);
  await visit("services/mailer@local", "mailer@local");
  assert.equal(await asks("Lock down mailer@local", "mailer@local"), false);
  assert.equal(await asks("Delete mailer@local", "mailer@local"), true);
  await visit("people/maria@local", "maria@local");
  for (const action of ["Lock", "Disable", "Lock down", "Delete"])
    assert.equal(await asks(`${action} maria@local`, "maria@local"), true, action);
});

/** It is the answer to a stolen session, and was on the command line only. */
test("All messages that wait for peers are deleted at once", async () => {
  await introduce(site, other);
  await other.call("peer.stop");
  for (const text of ["One.", "Two."])
    await site.call("peer.send", { from: "maria", to: "olga@example.org", text });
  await visit("messages", "Messages");
  await page.getByRole("row").filter({ hasText: "Two." }).waitFor();
  await page.getByRole("button", { name: "Delete all waiting maria@local" }).click();
  await answer("Delete all waiting");
  await page.getByText("No message waits").waitFor();
  assert.deepEqual((await site.call("peer.outbox", { person: "maria" })).entries, []);
});

test("The lifetime of tokens and the origins of web pages are set, and nothing that another admin set is taken back", async () => {
  await visit("settings", "Settings");
  const origins = page.getByLabel("Origins of web pages");
  await origins.fill("tools.example.org");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText(/Line 1: an origin is written in lower case/).waitFor();
  await origins.fill("https://tools.example.org\nhttps://more.example.org");
  await page.getByLabel("Access token, at most").fill("3600");
  await site.call("site.config", { session_lifetime: 700 });
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".said").getByText("Saved.").waitFor();
  const { session_lifetime, access_token_lifetime, web_origins } = await site.call("site.config_show");
  assert.deepEqual(
    { session_lifetime, access_token_lifetime, web_origins },
    {
      session_lifetime: 700,
      access_token_lifetime: 3_600,
      web_origins: ["https://tools.example.org", "https://more.example.org"],
    },
  );
  await page.waitForFunction(() => document.querySelector('input[inputmode="numeric"]').value === "700");
});

/** The dialog offered 1, 7, 30 and 90 days whatever the site allows, and chose 30: the site refused each of them. */
test("A token is created also when the site allows less than a day", async () => {
  await site.call("site.config", { access_token_lifetime: 7_200 });
  await visit("tokens", "Access tokens");
  await page.getByRole("button", { name: "Create token" }).click();
  const valid = dialog.getByLabel("Valid for");
  await valid.getByRole("option", { name: "90 days" }).waitFor({ state: "detached" });
  assert.deepEqual(await valid.getByRole("option").allInnerTexts(), [
    "30 days, or less if the site allows less",
    "1 hour",
  ]);
  const lifetime = async (label) => {
    const { entries } = await site.call("token.list", { account: "mailer" });
    const { created, expires } = entries.find((token) => token.label === label);
    return (Date.parse(expires) - Date.parse(created)) / 1_000;
  };
  for (const [label, choice, seconds] of [
    ["usual", "30 days, or less if the site allows less", 7_200],
    ["short", "1 hour", 3_600],
  ]) {
    await dialog.getByLabel("Label").fill(label);
    await dialog.getByLabel("Service", { exact: true }).fill("mailer");
    await valid.selectOption({ label: choice });
    await dialog.getByLabel("site.status", { exact: true }).check();
    await dialog.getByRole("button", { name: "Create token" }).click();
    await dialog.getByRole("textbox", { name: "token" }).waitFor();
    await answer("Close");
    assert.equal(await lifetime(label), seconds);
    await page.getByRole("button", { name: "Create token" }).click();
  }
  await answer("Cancel");
});

/** It offered what the admin may call: operations that no token may name, and those of admins for a service. */
test("The dialog for a token offers what a token of the account may name, and nothing else", async () => {
  await visit("tokens", "Access tokens");
  await page.getByRole("button", { name: "Create token" }).click();
  const list = dialog.locator(".choices.scroll");
  const offered = async () => {
    await list.locator("label").first().waitFor();
    return list.locator("label").allInnerTexts();
  };
  const own = await offered();
  assert.ok(own.includes("person.create"));
  for (const other of ["token.create", "self.passphrase_start"]) assert.ok(!own.includes(other), other);
  await dialog.getByLabel("person.create", { exact: true }).check();
  await dialog.getByText("1 chosen").waitFor();
  await dialog.getByLabel("Service", { exact: true }).fill("mailer");
  await dialog.getByText("none chosen").waitFor();
  await dialog.getByLabel("person.create", { exact: true }).waitFor({ state: "detached" });
  const service = await offered();
  for (let at = 0; at < service.length; at += 64)
    await site.call("token.create", { service: "mailer", operations: service.slice(at, at + 64) });
  await answer("Cancel");
});

/** Collects the texts of the buttons of the page from now on. */
const watchButtons = (on) =>
  on.evaluate(() => {
    const seen = new Set();
    globalThis.seenButtons = seen;
    new MutationObserver(() => {
      for (const { textContent, ariaBusy } of document.querySelectorAll("button"))
        if (ariaBusy === "true") seen.add(textContent);
    }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
const buttonsSeen = (on) => on.evaluate(() => [...globalThis.seenButtons]);

/** The client stretches the pass phrase for a second or more. The button was dimmed, and said nothing. */
test("A form that proves the pass phrase says so, and so does a verification on its own button", async () => {
  await visit("profile", "Your account");
  await page.getByRole("button", { name: "Enrol device" }).click();
  await watchButtons(page);
  await dialog.getByLabel("Your pass phrase").fill(ADMIN.passPhrase);
  await dialog.getByRole("button", { name: "Issue ticket" }).click();
  await dialog.getByRole("textbox", { name: "Ticket", exact: true }).waitFor();
  assert.deepEqual(await buttonsSeen(page), ["Checking the pass phrase…"]);
  await answer("Close");

  await visit("audit", "Audit log");
  await page.evaluate(() => globalThis.seenButtons.clear());
  await page.getByRole("button", { name: "Verify with peers" }).click();
  await page.getByRole("heading", { name: "Verification" }).waitFor();
  assert.deepEqual((await buttonsSeen(page)).sort(), ["Verify the log", "Verifying…"]);
});

test("Nothing failed in the page, and the content security policy was not violated", () => {
  assert.deepEqual(faults, []);
});
