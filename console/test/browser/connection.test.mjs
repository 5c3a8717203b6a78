// A connection that is lost, a site that is sealed, and what the forms and screens make of both.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { fillLogin, launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, served, browser, page, faults, dialog, lost;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  served = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
  dialog = page.getByRole("dialog");
  lost = page.getByText("The connection to the site was lost.");
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
});

beforeEach(() => served.restore());

after(async () => {
  await browser?.close();
  await served?.stop();
  await site?.stop();
});

const visit = async (place, heading, on = page) => {
  await on.goto(`${served.url}#/${place}`);
  await on.getByRole("heading", { name: heading, level: 1 }).waitFor();
};
const click = (button) => dialog.getByRole("button", { name: button, exact: true }).click();
const said = (words) => page.locator(".said").getByText(words).waitFor();
const cut = async () => {
  served.interrupt();
  await lost.waitFor();
};
const resume = async () => {
  served.restore();
  await lost.waitFor({ state: "detached" });
};
const names = async () => (await site.call("person.list", { limit: 1_000 })).entries.map(({ name }) => name);
const WAITS = "The connection to the site is lost. This is sent when it is back.";

/** Cancel closed the dialog alone: the account was deleted when the connection was back, and the page moved. */
test("What is cancelled while the connection is lost is not carried out, and leads to no other screen", async () => {
  await site.call("person.create", { name: "paula" });
  await site.call("person.create", { name: "rosa" });
  await visit("people/paula@local", "paula@local");
  const erase = page.getByRole("button", { name: "Delete paula@local" });
  await erase.waitFor();
  await cut();
  await erase.click();
  await dialog.getByLabel("Type paula@local to confirm").fill("paula@local");
  await click("Delete");
  await dialog.getByText(`${WAITS} “Cancel” withdraws it.`).waitFor();
  await click("Cancel");
  await dialog.waitFor({ state: "detached" });
  await said("Withdrawn. It was not sent to the site.");
  await visit("people/rosa@local", "rosa@local");
  await resume();
  await page.getByText("Take access away").waitFor();

  await visit("people", "People");
  await page.getByRole("cell", { name: "rosa@local", exact: true }).waitFor();
  await cut();
  await page.getByRole("button", { name: "Create person" }).click();
  await dialog.getByLabel("Name", { exact: true }).fill("quinn");
  await click("Create person");
  await dialog.getByText(WAITS).waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await visit("services", "Services");
  await resume();

  // What is read afterwards was asked for after whatever had waited.
  await visit("people", "People");
  await page.getByRole("cell", { name: "paula@local", exact: true }).waitFor();
  assert.deepEqual((await names()).sort(), ["maria@local", "paula@local", "rosa@local"]);
  assert.ok(page.url().endsWith("#/people"));
});

test("What waits for the connection is carried out when it is back", async () => {
  await visit("people", "People");
  await cut();
  await page.getByRole("button", { name: "Create person" }).click();
  await dialog.getByLabel("Name", { exact: true }).fill("sami");
  await click("Create person");
  await dialog.getByText(WAITS).waitFor();
  await resume();
  await page.getByRole("heading", { name: "sami@local", level: 1 }).waitFor();
  assert.ok((await names()).includes("sami@local"));
});

test("A form that is left by another way while it waits is withdrawn too", async () => {
  await visit("services", "Services");
  await visit("people", "People");
  await cut();
  await page.getByRole("button", { name: "Create person" }).click();
  await dialog.getByLabel("Name", { exact: true }).fill("tilda");
  await click("Create person");
  await dialog.getByText(WAITS).waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "Services", level: 1 }).waitFor();
  await said("Withdrawn.");
  await resume();
  await visit("people", "People");
  await page.getByRole("cell", { name: "sami@local", exact: true }).waitFor();
  assert.ok(!(await names()).includes("tilda@local"));
});

test("What was sent before it was cancelled is not called withdrawn, and leads to no other screen", async () => {
  await visit("people", "People");
  await page.getByRole("button", { name: "Create person" }).click();
  await dialog.getByLabel("Name", { exact: true }).fill("uma");
  // The answer waits at the proxy.
  let pass;
  const passing = new Promise((resolve) => (pass = () => resolve(false)));
  served.interruptOnce(() => passing);
  await click("Create person");
  while (!(await names()).includes("uma@local")) await new Promise(setImmediate);
  await click("Cancel");
  await dialog.waitFor({ state: "detached" });
  await said("It was sent before you cancelled. Check whether the site has carried it out.");
  pass();
  await page.getByRole("navigation").getByRole("link", { name: "Services" }).click();
  await page.getByText("No services").or(page.getByRole("table")).first().waitFor();
  assert.ok(page.url().endsWith("#/services"));
});

/** The dialog was gone, and the token was created when the pass phrase was proved. */
test("A form that is cancelled while it proves the pass phrase changes nothing", async () => {
  await visit("tokens", "Access tokens");
  await page.getByRole("button", { name: "Create token" }).click();
  await dialog.getByLabel("Label").fill("never");
  await dialog.getByLabel("alarm.list", { exact: true }).check();
  await dialog.getByLabel("Your pass phrase").fill(ADMIN.passPhrase);
  await click("Create token");
  await dialog.getByRole("button", { name: "Checking the pass phrase…" }).waitFor();
  await click("Cancel");
  await dialog.waitFor({ state: "detached" });
  // The next proof is answered after the one that was under way.
  await page.getByRole("button", { name: "Create token" }).click();
  await dialog.getByLabel("Label").fill("second");
  await dialog.getByLabel("alarm.list", { exact: true }).check();
  await dialog.getByLabel("Your pass phrase").fill(ADMIN.passPhrase);
  await click("Create token");
  await dialog.getByRole("button", { name: "Close" }).click();
  const { entries } = await site.call("token.list");
  assert.deepEqual(
    entries.map(({ label }) => label),
    ["second"],
  );
});

/** The banner was at the top of the page, and scrolled away with it. */
test("The loss of the connection is shown at the end of a long page too, also on a phone", async () => {
  const phone = await openPage(browser, { width: 360, height: 640 });
  await logIn(phone.page, served.url, ADMIN.name, ADMIN.passPhrase);
  for (const on of [page, phone.page]) {
    await visit("people/paula@local", "paula@local", on);
    await on.getByText("Take access away").waitFor();
  }
  served.interrupt();
  for (const on of [page, phone.page]) {
    const banner = on.locator(".banner.stays");
    await banner.waitFor();
    await on.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    const seen = await banner.evaluate((element) => {
      const { left, top, width, height } = element.getBoundingClientRect();
      const at = document.elementFromPoint(left + width / 2, top + height / 2);
      return scrollY > 0 && (at === element || element.contains(at));
    });
    assert.ok(seen, "the page is scrolled, and nothing covers the banner");
  }
  served.restore();
  await phone.page.locator(".banner.stays").waitFor({ state: "detached" });
  await phone.context.close();
});

/** Below its heading such a screen was blank. */
test("A screen that is opened while the connection is lost says when it is read", async () => {
  await visit("people", "People");
  await cut();
  await visit("people/rosa@local", "rosa@local");
  const words = page.locator("main").getByText("This is read when the connection to the site is back.");
  await words.waitFor();
  await resume();
  await words.waitFor({ state: "detached" });
  await page.getByText("Take access away").waitFor();
});

/** The form said "Failed to fetch", in English, to a reader of German too. */
test("A login that does not reach the site says so in the language of the page", async () => {
  for (const [language, button, words] of [
    ["en-GB", "Log in", "The site cannot be reached. Check the network of this device, then try again."],
    [
      "de-DE",
      "Anmelden",
      "Die Site ist nicht erreichbar. Prüfen Sie das Netz dieses Geräts, und versuchen Sie es erneut.",
    ],
  ]) {
    const other = await openPage(browser, { language });
    await other.page.goto(served.url);
    const send = other.page.getByRole("button", { name: button, exact: true });
    await send.waitFor();
    served.interrupt();
    await other.page.getByLabel("Name", { exact: true }).fill(ADMIN.name);
    await other.page.getByLabel(/^(Pass phrase|Passphrase)$/).fill(ADMIN.passPhrase);
    await send.click();
    const failure = other.page.getByRole("alert");
    await failure.waitFor();
    assert.equal(await failure.innerText(), words);
    served.restore();
    await send.click();
    await other.page.locator("main.screen h1").waitFor();
    await other.context.close();
  }
});

/** The dialog was as invisible as the rest of the screen until the list was read, and its field never had the focus. */
test("A dialog that is opened before its screen was read is shown, with the focus in its first field", async () => {
  await visit("sessions", "Sessions");
  served.hold();
  await page.goto(`${served.url}#/people`);
  await page.getByRole("button", { name: "Create person", exact: true }).click();
  await dialog.waitFor();
  await page.keyboard.type("wanda");
  assert.equal(await dialog.getByLabel("Name", { exact: true }).inputValue(), "wanda");
  served.restore();
  await click("Cancel");
  await dialog.waitFor({ state: "detached" });
});

/** "The site is stopping" stood above "The site is sealed", and the refusal of a login stayed when it was unsealed. */
test("The end of a session by a seal is told as that, and a refusal by the seal goes with it", async () => {
  const late = await openPage(browser);
  await late.page.clock.install();
  await visit("people", "People");
  await late.page.goto(served.url);
  await late.page.getByRole("heading", { name: "Log in" }).waitFor();
  await late.page.route("**/site.json", (route) => route.abort());
  await site.run(["site", "seal"]);
  await page.getByText("The site was sealed, which ended your session.").waitFor();
  const closed = (on) => on.getByText("The site is sealed and accepts no logins.");
  await closed(page).waitFor();
  assert.equal(await page.getByText("The site is stopping.").count(), 0);

  // This page has not asked yet whether the site accepts logins.
  assert.equal(await closed(late.page).count(), 0);
  await late.page.unroute("**/site.json");
  await late.page.getByLabel("Name", { exact: true }).fill(ADMIN.name);
  await late.page.getByLabel("Pass phrase", { exact: true }).fill(ADMIN.passPhrase);
  await late.page.getByRole("button", { name: "Log in" }).click();
  const refusal = late.page.getByRole("alert");
  await refusal.getByText("sealed").waitFor();
  await closed(late.page).waitFor();
  assert.equal(await refusal.count(), 1, "the refusal stays while it is true");

  await site.run(["site", "unseal", "--passphrase-file", `${site.folder}/passphrase`]);
  await late.page.clock.fastForward("00:15");
  await closed(late.page).waitFor({ state: "detached" });
  await refusal.waitFor({ state: "detached" });
  await page.evaluate(() => dispatchEvent(new Event("focus")));
  await closed(page).waitFor({ state: "detached" });
  await fillLogin(page, ADMIN.name, ADMIN.passPhrase);
  await late.context.close();
});

test("Nothing failed in the page, and the content security policy was not violated", () => {
  assert.deepEqual(faults, []);
});
