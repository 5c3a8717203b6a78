// The page that sets a pass phrase with a ticket, while connections break and other tickets arrive.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, served, browser;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  served = await startConsole(site);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await served?.stop();
  await site?.stop();
});

/** Opens the page of tickets with one for a new person, and fills it in. */
async function fillTicket(page, name) {
  await site.call("person.create", { name });
  const { id, uri } = await site.call("ticket.issue", { person: name, kind: "passphrase" });
  await page.goto(`${served.url}#/ticket/${encodeURIComponent(uri)}`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("New pass phrase", { exact: true }).fill(ADMIN.passPhrase);
  await page.getByLabel("New pass phrase, once more").fill(ADMIN.passPhrase);
  const isUsed = async () => {
    const { entries } = await site.call("ticket.list", { person: name });
    return entries.find((ticket) => ticket.id === id).state === "bound";
  };
  return isUsed;
}

/** The same button registered again, and a used ticket takes one key only: the person read that the ticket was refused. */
test("After a pass phrase was set and the login failed, only the login is left", async () => {
  const { page, context } = await openPage(browser);
  await page.exposeFunction("interrupt", () => served.interrupt());
  await page.addInitScript(() => {
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (message, ...more) {
      const pass = () => postMessage.call(this, message, ...more);
      if (message.name === "login" && !globalThis.interrupted)
        globalThis.interrupted = globalThis.interrupt().then(pass);
      else pass();
    };
  });
  const isUsed = await fillTicket(page, "lena");
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByText("Only the login is left.").waitFor();
  await page.getByRole("alert").waitFor();
  assert.ok(await isUsed());
  served.restore();
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Logged in as lena@local").waitFor();
  await context.close();
});

/** The page said "log in to find out", and its button set the pass phrase anew. */
test("A connection that breaks while a pass phrase is set leaves it open whether it is: a login tells", async () => {
  const { page, context } = await openPage(browser);
  const isUsed = await fillTicket(page, "nora");
  served.interruptOnce(isUsed);
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByText("Log in to find out.").waitFor();
  await page.getByRole("alert").waitFor();
  served.restore();
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Logged in as nora@local").waitFor();
  await context.close();
});

/** Opens the page with a ticket for a new person, whose registration waits until another ticket has arrived. */
async function arriveWhileUsed(page, name) {
  await page.addInitScript(() => {
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (message, ...more) {
      const pass = () => postMessage.call(this, message, ...more);
      if (message.name === "registerPassPhrase") globalThis.register = pass;
      else if (message.name === "login" && globalThis.interrupt) void globalThis.interrupt().then(pass);
      else pass();
    };
  });
  const isUsed = await fillTicket(page, name);
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.waitForFunction(() => globalThis.register);
  const second = "countersign://127.0.0.1:4747/e#second";
  await page.goto(`${served.url}#/ticket/${encodeURIComponent(second)}`);
  await page.waitForFunction((text) => document.querySelector("textarea")?.value === text, second);
  await page.evaluate(() => globalThis.register());
  return { isUsed, second };
}

/**
 * The end of the registration hid the fields of the ticket that had arrived, and the button then said forever that an
 * empty pass phrase is too short.
 */
test("A ticket that arrives while an earlier one is used stays in the form after the login failed", async () => {
  const { page, context } = await openPage(browser);
  await page.exposeFunction("interrupt", () => served.interrupt());
  const { isUsed, second } = await arriveWhileUsed(page, "rosa");
  await page.getByRole("alert").waitFor();
  await page.getByText("The pass phrase is set with the earlier ticket").waitFor();
  assert.ok(await isUsed());
  assert.equal(await page.getByLabel("Ticket", { exact: true }).inputValue(), second);
  assert.equal(await page.getByLabel("New pass phrase", { exact: true }).inputValue(), "");
  served.restore();
  await context.close();
});

test("A ticket that arrives while an earlier one is used is named after the login", async () => {
  const { page, context } = await openPage(browser);
  await arriveWhileUsed(page, "vera");
  await page.getByText("Logged in as vera@local").waitFor();
  await page.getByText("The ticket of the link was not used").waitFor();
  await context.close();
});

/** The admin's dialog said "Revoked", which no admin had done, and the member read of an id, which no field has. */
test("A ticket that came with another name is revoked, and both sides read why", async () => {
  const { page: admin, context: ofAdmin } = await openPage(browser);
  await site.call("person.create", { name: "tina" });
  await logIn(admin, `${served.url}#/people/tina@local`, ADMIN.name, ADMIN.passPhrase);
  await admin.getByRole("button", { name: "Pass phrase ticket" }).click();
  const dialog = admin.getByRole("dialog");
  await dialog.getByRole("button", { name: "Issue ticket" }).click();
  const ticket = (await dialog.getByRole("textbox", { name: "Ticket", exact: true }).innerText()).trim();
  const { page, context } = await openPage(browser);
  await page.goto(`${served.url}#/ticket/${encodeURIComponent(ticket)}`);
  await page.getByText("another name voids the ticket").waitFor();
  await page.getByLabel("Name").fill("tim");
  await page.getByLabel("New pass phrase", { exact: true }).fill(ADMIN.passPhrase);
  await page.getByLabel("New pass phrase, once more").fill(ADMIN.passPhrase);
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByRole("alert").getByText("or the name is another person's. Ask for a new ticket.").waitFor();
  await dialog.getByText("Revoked. The ticket was used with another name than that of the person.").waitFor();
  await context.close();
  await ofAdmin.close();
});

/** The message was above the button, and the field was not marked. */
test("A wrong name or ticket is shown at its field", async () => {
  const { page, context } = await openPage(browser);
  await fillTicket(page, "olaf");
  const wrong = page.locator("[aria-invalid=true]");
  for (const [label, typed] of [
    ["Name", "Olaf!"],
    ["Ticket", "countersign://no-ticket"],
  ]) {
    const field = page.getByLabel(label, { exact: true });
    const before = await field.inputValue();
    await field.fill(typed);
    await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
    await page.getByRole("alert").waitFor();
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.equal(await wrong.count(), 1);
    await field.fill(before);
  }
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByText("Logged in as olaf@local").waitFor();
  await context.close();
});

/** It was listed as open, and refused as one that was used, revoked or expired. */
test("The ticket of the first admin ends with another admin, and the list and the refusal say so", async () => {
  const { page, context } = await openPage(browser);
  await page.goto(`${served.url}#/ticket/${encodeURIComponent(site.ticket)}`);
  await page.getByLabel("Name").fill("root");
  await page.getByLabel("New pass phrase", { exact: true }).fill(ADMIN.passPhrase);
  await page.getByLabel("New pass phrase, once more").fill(ADMIN.passPhrase);
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByText("it is for the first admin and the site has one").waitFor();
  await logIn(page, `${served.url}#/devices`, ADMIN.name, ADMIN.passPhrase);
  const row = page.getByRole("row").filter({ hasText: "First admin" });
  await row.getByText("Revoked", { exact: true }).waitFor();
  await row.getByText("There is an admin.").waitFor();
  await context.close();
});
