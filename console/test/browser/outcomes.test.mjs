// What the console says before an admin takes something away from their own account, and after each action.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN, introduce } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, other, peer, console_, browser, page, faults, dialog;

before(async () => {
  site = await startSite();
  other = await startSite("example.org");
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  peer = await introduce(site, other);
  await site.call("person.create", { name: "ada" });
  for (const key of ["mailer", "billing"]) await site.run(["key", "new", "--out", key]);
  await site.run(["service", "create", "mailer", "--public-key", "mailer.pub"]);
  await site.run(["key", "party", "billing", "--out", "billing.party"]);
  await site.run(["app", "create", "billing", "--public-key", "billing.party"]);
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
const press = (name) => page.getByRole("button", { name, exact: true }).click();
const cancel = async () => {
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "detached" });
};
const said = (words) => page.locator(".said").getByText(words, { exact: true }).waitFor();
/** Answers the question, and types the name if it asks for that. */
const answer = async (button, typed) => {
  if (typed) await dialog.getByLabel(`Type ${typed} to confirm`).fill(typed);
  await dialog.getByRole("button", { name: button, exact: true }).click();
};

/**
 * The only admin deleted the own account, and the dialog said no word of it. The one that locks said "until you unlock
 * the account", which the user cannot.
 */
test("What takes away the own account says so, and what follows without another admin", async () => {
  for (const [place, heading, words] of [
    ["people/maria@local", "maria@local", ["Lock", "Disable", "Lock down", "Delete"]],
    ["people", "People", ["Lock"]],
  ]) {
    await visit(place, heading);
    for (const word of words) {
      await press(`${word} maria@local`);
      await dialog.getByText("This is your own account.").waitFor();
      await dialog.getByText("countersign person create NAME --role admin").waitFor();
      assert.equal(await dialog.getByText("until you unlock").count(), 0);
      await dialog.getByLabel("Type maria@local to confirm").waitFor();
      await cancel();
    }
  }
  await press("Lock ada@local");
  await dialog.getByText("until you unlock the account").waitFor();
  assert.equal(await dialog.getByText("This is your own account.").count(), 0);
  await cancel();
});

/** "A new name or role cuts this person's sessions" was all that stood before the site had no admin. */
test("The own role is given up only after the name was typed", async () => {
  await visit("people/maria@local", "maria@local");
  await press("Edit Account");
  await dialog.getByLabel("Name", { exact: true }).fill("mary");
  await dialog.getByText("A new name ends your sessions, this one too.").waitFor();
  await dialog.getByLabel("Name", { exact: true }).fill("maria@local");
  await dialog.getByLabel("Role").selectOption("member");
  await dialog.getByText("You cannot make yourself an admin again.").waitFor();
  await dialog.getByText("countersign person create NAME --role admin").waitFor();
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("The name differs. Type maria@local.").waitFor();
  assert.equal((await site.call("person.show", { name: "maria" })).role, "admin");
  await cancel();
});

/** After some actions it said nothing, after others what an earlier one had done, or "Saved." */
test("Each action says what it did", async () => {
  await visit("people/ada@local", "ada@local");
  await press("Dump");
  await said("The dump of ada@local is saved.");
  await press("Disable ada@local");
  await answer("Disable");
  await said("Disabled ada@local.");
  await press("Enable ada@local");
  await said("Enabled ada@local.");
  const { thumbprint } = (await site.call("service.show", { name: "mailer" })).keys[0];
  await visit("services/mailer@local", "mailer@local");
  await press(`Revoke ${thumbprint.slice(0, 8)}`);
  await answer("Revoke", thumbprint.slice(0, 8));
  await said("Revoked the key.");
  await press("Lock mailer@local");
  await answer("Lock");
  await said("Locked mailer@local.");
  await press("Disable mailer@local");
  await answer("Disable");
  await said("Disabled mailer@local.");
  await press("Delete mailer@local");
  await answer("Delete", "mailer@local");
  await said("Deleted mailer@local.");
  await page.getByRole("heading", { name: "Services", level: 1 }).waitFor();
  await visit("applications/billing", "billing");
  await press("Delete billing");
  await answer("Delete", "billing");
  await said("Deleted billing.");
  await page.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
  await site.call("ticket.issue", { person: "ada", kind: "device" });
  await visit("devices", "Devices");
  await press("Revoke ada@local");
  await answer("Revoke");
  await said("Revoked the ticket.");
  await site.call("config.set", { key: "limits.penalty_max_ms", value: 60_000 });
  await visit("settings", "Settings");
  await press("Reset to default limits.penalty_max_ms");
  await answer("Reset to default");
  await said("limits.penalty_max_ms has its default again.");
});

test("Each action on a peer says what it did", async () => {
  await visit(`peers/${peer}`, "example.org");
  await press("Suspend example.org");
  await answer("Suspend");
  await said("Suspended example.org.");
  await press("Resume");
  await said("Resumed example.org.");
  await press("Remove example.org");
  await answer("Remove", "example.org");
  await said("Removed example.org.");
  await press("Forget example.org");
  await answer("Forget", "example.org");
  await said("Forgot example.org.");
  await page.getByRole("heading", { name: "Peers", level: 1 }).waitFor();
});

test("Nothing failed in the page, and the content security policy was not violated", () => {
  assert.deepEqual(faults, []);
});
