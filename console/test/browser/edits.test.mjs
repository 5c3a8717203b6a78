// What an admin changes of accounts, applications, encryption options and alarms, and two admins who edit at once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN, MEMBER } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, console_, browser, page, faults, dialog;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  await site.person(MEMBER.name, MEMBER.passPhrase, { full_name: "Tom Baker" });
  for (const name of ["mailer", "robot", "ledger", "billing"]) await site.run(["key", "new", "--out", name]);
  for (const id of ["ledger", "billing"]) await site.run(["key", "party", id, "--out", `${id}.party`]);
  await site.run(["app", "create", "ledger", "--public-key", "ledger.party"]);
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
const press = (name) => page.getByRole("button", { name, exact: true }).click();
/** Presses the button of the dialog, which then closes. */
const send = async (button) => {
  await dialog.getByRole("button", { name: button, exact: true }).click();
  await dialog.waitFor({ state: "detached" });
};
const fill = async (fields) => {
  for (const [label, value] of Object.entries(fields))
    await dialog.getByLabel(label, { exact: true }).fill(value);
};
/** Waits until a fact or a cell of the page has this text. */
const shown = (words) => page.getByText(words, { exact: true }).first().waitFor();

test("The name, the full name and the role of a person are changed", async () => {
  await visit("people/tom@local", "tom@local");
  await press("Edit Account");
  await fill({ Name: "thomas", "Full name": "Thomas Baker" });
  await dialog.getByLabel("Role").selectOption("admin");
  await dialog.getByText("A new name or role cuts this person's sessions.").waitFor();
  await send("Save");
  await page.getByRole("heading", { name: "thomas@local", level: 1 }).waitFor();
  await shown("Thomas Baker");
  const { full_name, role } = await site.call("person.show", { name: "thomas" });
  assert.deepEqual({ full_name, role }, { full_name: "Thomas Baker", role: "admin" });
  await site.call("person.update", { name: "thomas", new_name: "tom", role: "member" });
});

test("The contact data and the attributes of a person are changed", async () => {
  await visit("people/tom@local", "tom@local");
  await press("Edit Contact data");
  await fill({
    "Email addresses": "tom@example.org\nt@example.com",
    "Telephone numbers": "work: +49301234567",
    City: "Berlin",
    Country: "DE",
    Language: "de",
    Attributes: "room: 12",
  });
  await send("Save");
  await shown("t@example.com");
  const { emails, telephones, postal_address, language, attributes } = await site.call("person.show", {
    name: "tom",
  });
  assert.deepEqual(emails, ["tom@example.org", "t@example.com"]);
  assert.deepEqual(telephones, [{ label: "work", number: "+49301234567" }]);
  assert.equal(postal_address.city, "Berlin");
  assert.deepEqual({ language, attributes }, { language: "de", attributes: { room: "12" } });
});

/** What the site says of a line was next to the button, and no field was marked. */
test("A wrong line of the contact data is named at its field", async () => {
  await visit("people/tom@local", "tom@local");
  await press("Edit Contact data");
  for (const [label, typed, words] of [
    ["Telephone numbers", "work: +49 30 1\n+49 30 1234567", "“+49 30 1234567” has no label."],
    ["Telephone numbers", "work: +49 30 1\nhome: by the door", "Line 2, number: "],
    ["Email addresses", "tom@example.org\nnone", "Line 2: "],
    ["Attributes", "room: 1\nroom: 2", "“room” is there twice."],
  ]) {
    await fill({ "Telephone numbers": "", "Email addresses": "", Attributes: "", [label]: typed });
    await dialog.getByRole("button", { name: "Save" }).click();
    const field = dialog.locator("[aria-invalid=true]");
    await dialog.getByRole("alert").getByText(words).waitFor();
    const [of] = await field.evaluate(({ labels }) => [...labels].map(({ textContent }) => textContent));
    assert.equal(of, label);
  }
  await send("Cancel");
});

/** Lists are sent as a whole: who saved last took back what the other had added meanwhile. */
test("Of two admins who edit one person the second one is told, and reads what the first one saved", async () => {
  await visit("people/tom@local", "tom@local");
  await press("Edit Contact data");
  await site.call("person.set_data", { name: "tom", emails: ["tom@example.org", "new@example.org"] });
  await fill({ "Email addresses": "tom@example.org" });
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("It was changed or replaced meanwhile").waitFor();
  await shown("new@example.org");
  await send("Cancel");
  await press("Edit Contact data");
  const emails = dialog.getByLabel("Email addresses", { exact: true });
  assert.equal(await emails.inputValue(), "tom@example.org\nnew@example.org");
  await emails.fill("new@example.org");
  await send("Save");
  const read = async () => (await site.call("person.show", { name: "tom" })).emails;
  assert.deepEqual(await read(), ["new@example.org"]);

  await press("Edit Account");
  await site.call("person.update", { name: "tom", full_name: "Tom B." });
  await fill({ "Full name": "Tom" });
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("It was changed or replaced meanwhile").waitFor();
  await send("Cancel");
  assert.equal((await site.call("person.show", { name: "tom" })).full_name, "Tom B.");
});

/** The dialog sent its whole registration, as it was when the dialog had opened. */
test("An application keeps what another admin changed while its dialog was open", async () => {
  await visit("applications/ledger", "ledger");
  await press("Edit Registration");
  await site.call("app.update", { id: "ledger", settings: { groups: ["finance"], keys_last: 600_000 } });
  await fill({ Groups: "sales" });
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("It was changed or replaced meanwhile").waitFor();
  await shown("finance");
  await send("Cancel");
  await press("Edit Registration");
  await fill({ Groups: "finance, sales" });
  await send("Save");
  const { groups, keys_last } = await site.call("app.show", { id: "ledger" });
  assert.deepEqual({ groups, keys_last }, { groups: ["finance", "sales"], keys_last: 600_000 });
});

test("A person is dumped, deleted and loaded again", async () => {
  await visit("people/tom@local", "tom@local");
  const [download] = await Promise.all([page.waitForEvent("download"), press("Dump")]);
  assert.equal(download.suggestedFilename(), "tom@local.json");
  let dump = "";
  for await (const piece of await download.createReadStream()) dump += piece;
  await press("Delete tom@local");
  await fill({ "Type tom@local to confirm": "tom@local" });
  await send("Delete");
  await page.getByRole("heading", { name: "People", level: 1 }).waitFor();
  await assert.rejects(site.call("person.show", { name: "tom" }), /not_found/);
  await press("Load from dump");
  await fill({ Dump: "not a dump" });
  await dialog.getByRole("button", { name: "Load from dump" }).click();
  await page.locator('[aria-invalid="true"]').waitFor();
  await fill({ Dump: dump });
  await dialog.getByLabel("Without the pass phrase").check();
  await send("Load from dump");
  await page.getByRole("heading", { name: "tom@local", level: 1 }).waitFor();
  assert.deepEqual((await site.call("person.show", { name: "tom" })).emails, ["new@example.org"]);
});

test("A service gets keys, loses one, is locked, put in lockdown and deleted", async () => {
  await visit("services", "Services");
  await press("Create service");
  await fill({ Name: "mailer" });
  await dialog.getByLabel("File of the certificate (.pub)").setInputFiles(`${site.folder}/mailer.pub`);
  await page.waitForFunction(() => document.querySelector("dialog textarea").value.includes("CERTIFICATE"));
  await send("Create service");
  await page.getByRole("heading", { name: "mailer@local", level: 1 }).waitFor();
  await press("Add key");
  await dialog.getByLabel("File of the certificate (.pub)").setInputFiles(`${site.folder}/robot.pub`);
  await page.waitForFunction(() => document.querySelector("dialog textarea").value.includes("CERTIFICATE"));
  await fill({ Label: "the second one" });
  await send("Add key");
  const row = page.getByRole("row").filter({ hasText: "the second one" });
  await row.waitFor();
  const keys = async () => (await site.call("service.show", { name: "mailer" })).keys;
  const second = (await keys()).find(({ label }) => label === "the second one");
  await row.getByRole("button", { name: /^Revoke/ }).click();
  const asked = second.thumbprint.slice(0, 8);
  await fill({ [`Type ${asked} to confirm`]: asked });
  await send("Revoke");
  await row.waitFor({ state: "detached" });
  assert.equal((await keys()).length, 1);

  await press("Lock mailer@local");
  await send("Lock");
  await shown("Locked");
  await press("Unlock mailer@local");
  await shown("Active");
  await press("Lock down mailer@local");
  await send("Lock down");
  await page.locator(".said").getByText("mailer@local is in lockdown.").waitFor();
  assert.equal((await site.call("lockdown.status")).entries[0].target, "service mailer@local");
  await isShownUntilLifted("services", "Services", "mailer@local");
  await visit("services/mailer@local", "mailer@local");
  await press("Delete mailer@local");
  await fill({ "Type mailer@local to confirm": "mailer@local" });
  await send("Delete");
  await page.getByRole("heading", { name: "Services", level: 1 }).waitFor();
  await assert.rejects(site.call("service.show", { name: "mailer" }), /not_found/);
});

/**
 * The object of the open page, in lockdown, was called active, and its page offered the lockdown again. It is lifted in the
 * list.
 */
async function isShownUntilLifted(list, heading, name, reason = "No reason given") {
  await page.getByRole("heading", { name: "In lockdown", level: 2 }).waitFor();
  await shown(reason);
  const states = page.locator("main .tag");
  assert.deepEqual(await states.filter({ hasText: /^(Active|In lockdown)$/ }).allInnerTexts(), [
    "In lockdown",
  ]);
  assert.equal(await page.getByRole("button", { name: `Lock down ${name}` }).count(), 0);
  assert.equal(await page.getByRole("button", { name: `Lift ${name}` }).count(), 1);
  await visit(list, heading);
  const row = page.getByRole("row").filter({ hasText: name });
  await row.getByText("In lockdown", { exact: true }).waitFor();
  assert.equal(await row.getByText("Active", { exact: true }).count(), 0);
  if (reason !== "No reason given") await row.getByText(reason).waitFor();
  await row.getByRole("button", { name: `Lift ${name}` }).click();
  await send("Lift");
  await row.getByText("In lockdown", { exact: true }).waitFor({ state: "detached" });
}

test("A person in lockdown is shown as such until it is lifted, without a ticket for a pass phrase", async () => {
  await visit("people/tom@local", "tom@local");
  await page.getByRole("button", { name: "Pass phrase ticket" }).waitFor();
  await press("Lock down tom@local");
  await dialog.getByLabel("Reason").fill("the laptop was stolen");
  await send("Lock down");
  await page.getByRole("button", { name: "Pass phrase ticket" }).waitFor({ state: "detached" });
  await isShownUntilLifted("people", "People", "tom@local", "the laptop was stolen");
  // On the page of the person too, which learns of it by an event.
  await visit("people/tom@local", "tom@local");
  await site.call("lockdown.person", { name: "tom", reason: "once more" });
  await shown("once more");
  await press("Lift tom@local");
  await send("Lift");
  await shown("Active");
  assert.deepEqual((await site.call("lockdown.status")).entries, []);
});

test("The key of an application is rotated, and an application is put in lockdown", async () => {
  await visit("applications/ledger", "ledger");
  await press("Rotate key");
  await dialog.getByLabel("File of the public key").setInputFiles(`${site.folder}/billing.party`);
  await page.waitForFunction(() => document.querySelector("dialog textarea").value.includes("PARTY KEY"));
  await fill({ Label: "of this year" });
  await send("Rotate key");
  await page.getByRole("cell", { name: "of this year", exact: true }).waitFor();
  const { keys } = await site.call("app.show", { id: "ledger" });
  assert.deepEqual(
    keys.map(({ retires }) => Boolean(retires)).sort(),
    [false, true],
    "the previous key stays for the overlap",
  );
  await press("Lock down ledger");
  await dialog.getByLabel("Reason").fill("a drill");
  await send("Lock down");
  await page.locator(".said").getByText("ledger is in lockdown.").waitFor();
  await isShownUntilLifted("applications", "Applications", "ledger", "a drill");
  await site.call("lockdown.app", { id: "ledger" });
  await visit("lockdown", "Lockdown");
  await press("Lift app ledger");
  await send("Lift");
  await page.getByText("No account, application or peer is in lockdown").waitFor();
});

test("The broker gets a new key, and the old one is retired", async () => {
  await visit("applications", "Applications");
  const [{ fingerprint: old }] = (await site.call("broker.key_list")).keys;
  await press("Add key");
  await page.locator(".said").getByText("A key is added.").waitFor();
  const asked = old.slice(0, 8);
  await press(`Retire ${asked}`);
  await fill({ [`Type ${asked} to confirm`]: asked });
  await send("Retire");
  await page.getByRole("cell", { name: old, exact: true }).waitFor({ state: "detached" });
  const { keys } = await site.call("broker.key_list");
  assert.equal(keys.length, 1);
  assert.notEqual(keys[0].fingerprint, old);
});

test("An encryption option is disabled and enabled, and the floor is set", async () => {
  await visit("options", "Encryption options");
  const enabled = async () => {
    const { options } = await site.call("option.list");
    return options.filter((option) => option.enabled).map(({ name }) => name);
  };
  await press("Disable hybrid-chacha20poly1305");
  await send("Disable");
  await page.locator(".said").getByText("Disabled hybrid-chacha20poly1305.").waitFor();
  await press("Enable hybrid-chacha20poly1305");
  await press("Disable hybrid-chacha20poly1305");
  await send("Cancel");
  assert.ok((await enabled()).includes("hybrid-chacha20poly1305"));
  const floor = async () => (await site.call("option.list")).floor;
  const [before, wanted, words] =
    (await floor()) === "hybrid" ? ["hybrid", "classical", "Classical"] : [await floor(), "hybrid", "Hybrid"];
  await page.getByLabel(words, { exact: true }).check();
  await press(`Set floor ${wanted}`);
  await send("Set floor");
  await page.locator(".said").getByText(`The floor is ${words}.`).waitFor();
  assert.equal(await floor(), wanted);
  // The setting has the value of the configuration file.
  await visit("settings", "Settings");
  await page.getByText(`In force: ${words}.`).waitFor();
  // The site says that a weaker option is asked about.
  await site.call("option.floor", { floor: "classical" });
  await visit("alarms", "Alarms");
  await visit("options", "Encryption options");
  await press("Enable x25519-aes256gcm");
  await send("Cancel");
  assert.ok(!(await enabled()).includes("x25519-aes256gcm"));
  await site.call("option.floor", { floor: before });
});

test("A device is renamed", async () => {
  const { uri } = await site.call("ticket.issue", { person: "maria", kind: "device" });
  await site.run(["enrol", "-", "--id", "maria@local", "--device-name", "laptop"], {}, uri);
  await visit("devices", "Devices");
  await press("Rename laptop");
  await fill({ Device: "the old laptop" });
  await send("Save");
  await page.getByRole("cell", { name: "the old laptop", exact: true }).waitFor();
  assert.equal((await site.call("device.list", { person: "maria" })).entries[0].name, "the old laptop");
});

test("One's own alarms arrive as one wants, and only what was changed is sent", async () => {
  await visit("alarms", "Alarms");
  await press("Edit How your alarms arrive");
  await site.call("alarm.preferences", { person: "maria", language: "de" });
  await dialog.getByLabel("Email", { exact: true }).uncheck();
  await fill({ "Quiet from": "22:00", "Quiet until": "07:00", "Your pass phrase": "wrong pass phrase" });
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByRole("alert").waitFor();
  await fill({ "Your pass phrase": ADMIN.passPhrase });
  await send("Save");
  await shown("22:00 – 07:00");
  const { channels, language, quiet_from, quiet_to } = await site.call("alarm.preferences_show", {
    person: "maria",
  });
  assert.deepEqual(
    { channels: channels.includes("email"), language, quiet_from, quiet_to },
    { channels: false, language: "de", quiet_from: "22:00", quiet_to: "07:00" },
  );
});

/** "The current pass phrase is wrong" was all that an empty form said; what it lacked came after a right one. */
test("A form says what it lacks before it asks for a pass phrase, and that before it is proved", async () => {
  const click = (button) => dialog.getByRole("button", { name: button, exact: true }).click();
  const alert = (words) => dialog.getByRole("alert").getByText(words, { exact: true }).waitFor();
  await visit("tokens", "Access tokens");
  await press("Create token");
  await click("Create token");
  await alert("Choose at least one operation.");
  await dialog.getByLabel("alarm.list", { exact: true }).check();
  await click("Create token");
  await alert("Type your pass phrase.");
  assert.equal(await dialog.getByLabel("Your pass phrase").getAttribute("aria-invalid"), "true");
  await click("Cancel");
  await visit("profile", "Your account");
  await press("Join a site");
  await click("Join a site");
  await alert("Paste the ticket.");
  await fill({ Ticket: "countersign://x" });
  await click("Join a site");
  await alert("This is no ticket for a peer.");
  await click("Cancel");
  await press("Change pass phrase");
  await click("Change pass phrase");
  await alert("Use at least 12 characters.");
  await fill({ "New pass phrase": ADMIN.passPhrase, "New pass phrase, once more": ADMIN.passPhrase });
  await click("Change pass phrase");
  await alert("Type your pass phrase.");
  await click("Cancel");
});

/** An empty lifetime was sent as 0, and -5 was answered with a range of 4,294,967,295, below an empty line. */
test("A lifetime that is no number of seconds is refused at its field", async () => {
  await visit("settings", "Settings");
  const field = page.getByLabel("Session", { exact: true });
  const lifetime = await field.inputValue();
  for (const typed of ["", "-5", "0", "1.5"]) {
    await field.fill(typed);
    await press("Save");
    const wrong = page.getByRole("alert").getByText("Give a whole number of seconds, such as 3600.");
    await wrong.waitFor();
    const [{ y, height }, { y: below }] = [await field.boundingBox(), await wrong.boundingBox()];
    assert.ok(below - (y + height) < 10, `${below} after ${y + height}`);
    await field.fill(lifetime);
    await press("Save");
    await wrong.waitFor({ state: "detached" });
  }
});

/** Quiet hours from 22:00 without an end were stored as none, those until 07:00 as from midnight, and it said "Saved." */
test("Quiet hours with one time are a mistake at the other", async () => {
  await visit("alarms", "Alarms");
  await press("Edit How your alarms arrive");
  await fill({ "Quiet from": "", "Quiet until": "" });
  await send("Save");
  await shown("None");
  await press("Edit How your alarms arrive");
  const hours = () => site.call("alarm.preferences_show", { person: ADMIN.name });
  for (const [given, time, missing] of [
    ["Quiet from", "22:00", "Quiet until"],
    ["Quiet until", "07:00", "Quiet from"],
  ]) {
    await fill({ "Quiet from": "", "Quiet until": "", [given]: time });
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByText("Give both times, or neither for no quiet hours.").waitFor();
    await page.waitForFunction((label) => document.activeElement.labels?.[0]?.textContent === label, missing);
    assert.ok(!(await hours()).quiet_from);
  }
  await fill({ "Quiet from": "22:00" });
  await send("Save");
  await shown("22:00 – 07:00");
  await press("Edit How your alarms arrive");
  await fill({ "Quiet from": "", "Quiet until": "" });
  await send("Save");
  await shown("None");
  assert.ok(!(await hours()).quiet_from);
});

/** Scrolling the page over the field that had the focus changed 43200 to 43199, which the next Save stored. */
test("The wheel and the arrow keys change no number", async () => {
  await visit("settings", "Settings");
  const field = page.getByLabel("Session", { exact: true });
  const lifetime = await field.inputValue();
  await field.click();
  await page.mouse.wheel(0, 300);
  await page.waitForFunction(() => scrollY > 0);
  await page.keyboard.press("ArrowDown");
  assert.equal(await field.inputValue(), lifetime);
  assert.equal(await field.getAttribute("inputmode"), "numeric");
  await visit("applications/ledger", "ledger");
  await press("Edit Registration");
  const seconds = dialog.getByLabel("Ticket lifetime in seconds");
  for (const typed of ["", "an hour", "-1"]) {
    await seconds.fill(typed);
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByText("Give a whole number of seconds, such as 3600.").waitFor();
    await seconds.fill("60");
    await send("Save");
    await press("Edit Registration");
  }
  await dialog.getByRole("button", { name: "Cancel" }).click();
});

test("Nothing failed in the page, and the content security policy was not violated", () => {
  assert.deepEqual(faults, []);
});
