// What a change is for: the object that the page shows, and no other that has its name by now; and the public part of a
// key, never the private one.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, served, browser, page, faults, dialog;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  await site.run(["key", "new", "--out", "robot"]);
  served = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
  dialog = page.getByRole("dialog");
  // What the page asks its worker to send.
  await page.addInitScript(() => {
    globalThis.asked = [];
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ...more) {
      globalThis.asked.push(JSON.stringify(message));
      return post.call(this, message, ...more);
    };
  });
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
});

after(async () => {
  await browser?.close();
  await served?.stop();
  await site?.stop();
});

const visit = async (place, heading) => {
  await page.goto(`${served.url}#/${place}`);
  await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
};
/** Registers an application, with a key that no other one had. */
async function register(id) {
  const key = `${id}-${randomUUID()}`;
  await site.run(["key", "new", "--out", key]);
  await site.run(["key", "party", key, "--out", `${key}.party`]);
  await site.call("app.create", {
    id,
    public_keys: [readFileSync(`${site.folder}/${key}.party`, "utf8")],
  });
}
const press = (name) => page.getByRole("button", { name, exact: true }).click();
const click = (button) => dialog.getByRole("button", { name: button, exact: true }).click();

/**
 * A page that stood open while its person was deleted, and another one got the name, locked, disabled and deleted the
 * other one, and gave them a ticket for the pass phrase.
 */
test("What a page takes or gives is for the object that it shows, and for no other with its name", async () => {
  const replace = {
    person: async () => {
      await site.call("person.delete", { name: "nina" }).catch(() => {});
      return (await site.call("person.create", { name: "nina" })).id;
    },
    service: async () => {
      await site.call("service.delete", { name: "press" }).catch(() => {});
      return (await site.call("service.create", { name: "press" })).id;
    },
    app: async () => {
      await site.call("app.delete", { id: "desk" }).catch(() => {});
      await register("desk");
    },
  };
  for (const [kind, place, name, button, typed = false] of [
    ["person", "people/nina@local", "nina@local", "Lock"],
    ["person", "people/nina@local", "nina@local", "Disable"],
    ["person", "people/nina@local", "nina@local", "Lock down"],
    ["person", "people/nina@local", "nina@local", "Delete", true],
    ["person", "people/nina@local", "nina@local", "Pass phrase ticket"],
    ["person", "people", "nina@local", "Lock"],
    ["person", "people", "nina@local", "Pass phrase ticket"],
    ["service", "services/press@local", "press@local", "Lock"],
    ["service", "services/press@local", "press@local", "Lock down"],
    ["service", "services/press@local", "press@local", "Delete", true],
    ["app", "applications/desk", "desk", "Lock"],
    ["app", "applications/desk", "desk", "Lock down"],
    ["app", "applications/desk", "desk", "Delete", true],
  ]) {
    const told = `${button} at ${place}`;
    await replace[kind]();
    // Another screen between, so that the page is read.
    await visit("profile", "Your account");
    await visit(place, place.includes("/") ? name : "People");
    const isTicket = button === "Pass phrase ticket";
    const named = isTicket && place !== "people" ? button : `${button} ${name}`;
    await page.getByRole("button", { name: named, exact: true }).waitFor();
    const id = await replace[kind]();
    await press(named);
    if (typed) await dialog.getByLabel(`Type ${name} to confirm`).fill(name);
    const send = isTicket ? "Issue ticket" : button;
    await click(send);
    const refusal = dialog.getByText("It was changed or replaced meanwhile");
    await refusal.waitFor();
    // The dialog is for what was shown when it was opened, also the second time.
    await click(send);
    await refusal.waitFor();
    await click("Cancel");
    await dialog.waitFor({ state: "detached" });
    if (id && place !== "people") await page.getByText(id).waitFor();
    const shown = await site.call(`${kind}.show`, kind === "app" ? { id: name } : { name });
    assert.equal(shown.state, "active", told);
    assert.ok(!shown.lockdown, told);
    if (id) assert.equal(shown.id, id, told);
  }
  assert.deepEqual((await site.call("ticket.list", { person: "nina" })).entries, []);
  // A new dialog is for the present one.
  await visit("people/nina@local", "nina@local");
  await press("Lock nina@local");
  await click("Lock");
  await page.locator(".said").getByText("Locked nina@local.").waitFor();
});

test("What gives access back is for the person that the page shows", async () => {
  await site.call("person.create", { name: "olaf" });
  await site.call("person.lock", { name: "olaf" });
  await visit("people/olaf@local", "olaf@local");
  await page.getByRole("button", { name: "Unlock olaf@local" }).waitFor();
  await site.call("person.delete", { name: "olaf" });
  await site.call("person.create", { name: "olaf" });
  await site.call("person.disable", { name: "olaf" });
  await press("Unlock olaf@local");
  await page.getByRole("button", { name: "Enable olaf@local" }).waitFor();
  assert.equal((await site.call("person.show", { name: "olaf" })).state, "disabled");
});

const REFUSED = "This is a private key. It was not sent, and stays where it is.";

/** The site got the private key as `certificate`, and its answer was what said so. */
test("A private key is refused in each field for a key, before the page has it", async () => {
  await site.call("service.create", { name: "robot" });
  await register("ledger");
  const key = readFileSync(`${site.folder}/robot`, "utf8");
  assert.match(key, /-----BEGIN PRIVATE KEY-----/);
  for (const [place, heading, open, file, empty] of [
    ["services", "Services", "Create service", "File of the certificate (.pub)"],
    ["services/robot@local", "robot@local", "Add key", "File of the certificate (.pub)", true],
    ["applications", "Applications", "Register application", "File of the public key", true],
    ["applications/ledger", "ledger", "Rotate key", "File of the public key", true],
    ["people", "People", "Load from dump", "File of the dump"],
  ]) {
    await visit(place, heading);
    await press(open);
    const field = dialog.locator("textarea").first();
    const wrong = dialog.getByRole("alert").filter({ hasText: REFUSED });
    const isRefused = async () => {
      await wrong.waitFor();
      assert.equal(await field.inputValue(), "", open);
      assert.equal(await field.getAttribute("aria-invalid"), "true", open);
    };
    const chooser = dialog.getByLabel(file, { exact: true });
    await chooser.setInputFiles(`${site.folder}/robot`);
    await isRefused();
    assert.equal(await chooser.inputValue(), "", open);
    // The second time too, and when the text is pasted.
    for (const text of [key, key, key.replaceAll("PRIVATE", "ENCRYPTED PRIVATE")]) {
      await field.fill(text);
      await isRefused();
    }
    // Nothing is sent: a service would have been created without the key that was meant for it.
    await click(open);
    await isRefused();
    assert.ok(await field.evaluate((input) => input === document.activeElement), open);
    if (empty) {
      // What the field says does not depend on other fields.
      await chooser.setInputFiles(`${site.folder}/robot.pub`);
      await page.waitForFunction(() => document.querySelector("dialog textarea").value.includes("BEGIN"));
      assert.equal(await wrong.count(), 0, open);
      await field.fill("");
      await click(open);
      await dialog.getByRole("alert").getByText("Choose a file, or paste its text.").waitFor();
    }
    await click("Cancel");
    await dialog.waitFor({ state: "detached" });
  }
  const secret = key.split("\n")[1];
  const asked = await page.evaluate(() => globalThis.asked);
  assert.ok(asked.some((message) => message.includes("person.list")));
  assert.ok(
    !asked.some((message) => /service\.create|key\.add|app\.(create|rotate_key)|person\.load/.test(message)),
  );
  assert.ok(!asked.some((message) => message.includes(secret)), "the page asked its worker to send the key");
});

test("Nothing failed in the page, and the content security policy was not violated", () => {
  assert.deepEqual(faults, []);
});
