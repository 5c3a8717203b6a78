// The admin's job and the member's, on a real site, in a browser. The tests run in this order and share the site.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, logIn, openPage, startConsole, startDev, startSite } from "./site.mjs";
import { inMemory, recordMessages, reveals, unmasked } from "./secrets.mjs";

const ADMIN = { name: "maria", passPhrase: "correct horse battery staple" };
const MEMBER = { name: "tom", passPhrase: "a pass phrase of tom's own" };
const CHANGED = "another pass phrase of tom's own";
/** All bytes that the browsers sent. */
const sent = [];
/** What the pages of each account told their workers. */
const told = {};
let site, console_, browser, admin, member;

before(async () => {
  site = await startSite();
  console_ = await startConsole(site, (bytes) => sent.push(bytes));
  browser = await launch();
  admin = await openPage(browser);
  member = await openPage(browser);
  told.admin = await recordMessages(admin.page);
  told.member = await recordMessages(member.page);
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await site?.stop();
});

const said = (page, words) => page.locator(".said").getByText(words).waitFor();
const visit = async ({ page }, name) => {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.locator("main h1").waitFor();
};
const dialog = ({ page }) => page.getByRole("dialog");

test("The ticket of the first launch creates the first admin, who is logged in", async () => {
  const { page } = admin;
  await page.goto(console_.url);
  await page.getByRole("link", { name: /I have a ticket/ }).click();
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByText("Paste the ticket.").waitFor();
  await page.getByLabel("Ticket").fill(site.ticket);
  await page.getByLabel("Name").fill(ADMIN.name);
  await page.getByLabel("New pass phrase", { exact: true }).fill("short");
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByText("Use at least 12 characters.").waitFor();
  await page.getByLabel("New pass phrase", { exact: true }).fill(ADMIN.passPhrase);
  await page.getByLabel("New pass phrase, once more").fill(ADMIN.passPhrase);
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  await page.getByText("Logged in as maria@local").waitFor();
});

test("A wrong pass phrase is refused next to the button, and the name stays", async () => {
  const { page } = member;
  await page.goto(console_.url);
  await page.getByLabel("Name").fill("maria");
  await page.getByLabel("Pass phrase").fill("a wrong pass phrase");
  await page.getByRole("button", { name: "Log in" }).click();
  // It named a key, which no login has.
  const words = await page.getByRole("alert").innerText();
  assert.equal(words, "Name or pass phrase is wrong, or the account may not log in.");
  assert.equal(await page.getByLabel("Name").inputValue(), "maria");
});

/** The settings of such a site were an error, on the site that the guide takes for a look at the console. */
test("The link of a temporary site logs in by itself and leaves the address, and the site has settings", async () => {
  const dev = await startDev();
  const { page, context, faults } = await openPage(browser);
  await page.goto(dev.link);
  await page.getByText("Logged in as dev@local").waitFor();
  assert.ok(!page.url().includes("login"));
  await visit({ page }, "Settings");
  // A flag of the command.
  await page.getByRole("row").filter({ hasText: "listen.session" }).getByText("Flag").waitFor();
  const limit = page.getByRole("row").filter({ hasText: "limits.sessions_per_account" });
  await limit.getByText("Default", { exact: true }).waitFor();
  await limit.getByRole("button", { name: "Change limits.sessions_per_account" }).click();
  await dialog({ page }).getByLabel("Value").fill("50");
  await dialog({ page }).getByRole("button", { name: "Save" }).click();
  await limit.getByText("Database", { exact: true }).waitFor();
  assert.deepEqual(faults, []);
  await context.close();
  await dev.stop();
});

test("A person is created, and a mistake in a field is shown at the field", async () => {
  const { page } = admin;
  await visit(admin, "People");
  await page.getByRole("button", { name: "Create person" }).click();
  await dialog(admin).getByLabel("Name", { exact: true }).fill("not a name");
  await dialog(admin).getByRole("button", { name: "Create person" }).click();
  const name = dialog(admin).getByLabel("Name", { exact: true });
  await page.locator('[aria-invalid="true"]').waitFor();
  assert.equal(await name.getAttribute("aria-invalid"), "true");
  await name.fill(MEMBER.name);
  await dialog(admin).getByLabel("Full name").fill("Tom Baker");
  await dialog(admin).getByRole("button", { name: "Create person" }).click();
  await page.getByRole("heading", { name: "tom@local", level: 1 }).waitFor();
});

/**
 * The dialog had the address of the page without the ticket. A QR code of a link to this machine, as here, would have a
 * phone give the ticket to what listens there, so that the code has the ticket alone.
 */
test("A pass phrase ticket is handed over with a link, and the page sees its use", async () => {
  const { page } = admin;
  await page.getByRole("button", { name: "Pass phrase ticket" }).click();
  await dialog(admin).getByRole("button", { name: "Issue ticket" }).click();
  await dialog(admin).getByRole("img", { name: "QR code of the ticket" }).waitFor();
  const ticket = await dialog(admin).getByRole("textbox", { name: "Ticket", exact: true }).innerText();
  assert.match(ticket, /^countersign:\/\//);
  const link = await dialog(admin).getByRole("textbox", { name: "link with the ticket" }).innerText();
  assert.equal(link, `${console_.url}#/ticket/${encodeURIComponent(ticket)}`);

  await member.page.goto(link);
  await member.page.getByLabel("Name").fill(MEMBER.name);
  assert.ok(!member.page.url().includes(encodeURIComponent(ticket)), "the ticket stayed in the address");
  await member.page.getByLabel("New pass phrase", { exact: true }).fill(MEMBER.passPhrase);
  await member.page.getByLabel("New pass phrase, once more").fill(MEMBER.passPhrase);
  await member.page.getByRole("button", { name: "Set pass phrase and log in" }).click();
  await member.page.getByText("Logged in as tom@local").waitFor();

  await dialog(admin).getByText("The pass phrase is set.").waitFor();
  await dialog(admin).getByRole("button", { name: "Close" }).click();
});

test("A member sees the screens of a member and no others", async () => {
  const links = await member.page.getByRole("navigation").getByRole("link").allInnerTexts();
  assert.deepEqual(
    links.map((text) => text.trim()),
    ["Overview", "Alarms", "Sessions", "Devices", "Access tokens", "Messages", "Your account"],
  );
});

test("A device enrols while the page watches", async () => {
  const { page } = admin;
  await page.getByRole("button", { name: "Enrol device" }).click();
  await dialog(admin).getByRole("button", { name: "Issue ticket" }).click();
  const ticket = await dialog(admin).getByRole("textbox", { name: "Ticket", exact: true }).innerText();
  await site.run(["enrol", "-", "--id", "tom@local", "--device-name", "pocket phone"], {}, ticket);
  await dialog(admin).getByText("The device is enrolled.").waitFor();
  await dialog(admin).getByText("pocket phone").waitFor();
  await dialog(admin).getByRole("button", { name: "Close" }).click();
  await page.getByRole("cell", { name: "pocket phone", exact: true }).waitFor();
});

test("A device is revoked only after its name was typed", async () => {
  const { page } = admin;
  await page.getByRole("button", { name: "Revoke pocket phone" }).click();
  await dialog(admin).getByRole("button", { name: "Revoke" }).click();
  await dialog(admin).getByText("The name differs. Type pocket phone.").waitFor();
  await dialog(admin).getByLabel("Type pocket phone to confirm").fill("pocket phone");
  await dialog(admin).getByRole("button", { name: "Revoke" }).click();
  await said(page, "Revoked pocket phone.");
  await page.getByText("No devices").waitFor();
});

test("An alarm arrives live and is acknowledged", async () => {
  await visit(member, "Alarms");
  await member.page.getByText("No alarms").waitFor();
  await visit(admin, "Alarms");
  await admin.page.getByRole("button", { name: "Raise alarm" }).click();
  await dialog(admin).getByLabel("What happened").fill("The coffee is cold.");
  await dialog(admin).getByLabel("To").fill("tom");
  await dialog(admin).getByRole("button", { name: "Raise alarm" }).click();
  await said(member.page, "New alarm, raised by maria@local: The coffee is cold.");
  await member.page.getByRole("link", { name: "The coffee is cold." }).waitFor();
  await member.page.getByRole("button", { name: "Acknowledge: The coffee is cold." }).click();
  await member.page.getByText("No alarms").waitFor();
});

test("A reload resumes the session", async () => {
  await member.page.reload();
  await member.page.getByRole("heading", { name: "Alarms", level: 1 }).waitFor();
});

test("A session that an admin cuts says why", async () => {
  const { page } = admin;
  await visit(admin, "Sessions");
  const row = page.getByRole("row").filter({ hasText: "tom@local" });
  await row.getByRole("button", { name: "Cut" }).first().click();
  await dialog(admin).getByRole("button", { name: "Cut" }).click();
  await said(page, "Cut a session of tom@local.");
  await member.page.getByText("Your session was cut").waitFor();
  await member.page.getByRole("heading", { name: "Log in" }).waitFor();
});

test("A locked person cannot log in until unlocked", async () => {
  const { page } = admin;
  await visit(admin, "People");
  await page.getByLabel("Search people").fill("To");
  const row = page.getByRole("row").filter({ hasText: "tom@local" });
  await row.getByRole("button", { name: "Lock tom@local" }).click();
  await dialog(admin).getByRole("button", { name: "Lock" }).click();
  await row.getByText("Locked").waitFor();
  await member.page.getByLabel("Name").fill(MEMBER.name);
  await member.page.getByLabel("Pass phrase").fill(MEMBER.passPhrase);
  await member.page.getByRole("button", { name: "Log in" }).click();
  await member.page.getByRole("alert").waitFor();
  await row.getByRole("button", { name: "Unlock" }).click();
  await row.getByText("Active").waitFor();
});

test("Encryption options are ranked with the keyboard and with the pointer", async () => {
  const { page } = admin;
  await visit(admin, "Encryption options");
  const order = () =>
    page.locator("ol.ranks li").evaluateAll((items) => items.map((item) => item.dataset.name));
  const first = await order();
  await page.locator("ol.ranks .grip").first().focus();
  await page.keyboard.press("ArrowDown");
  await said(page, `${first[0]} now has rank 2.`);
  await page.waitForFunction(
    (name) => document.querySelectorAll("ol.ranks li")[1].dataset.name === name,
    first[0],
  );
  assert.equal(await page.evaluate(() => document.activeElement.closest("li")?.dataset.name), first[0]);
  await page.locator("ol.ranks .grip").nth(1).dragTo(page.locator("ol.ranks li").first());
  await page.waitForFunction(
    (name) => document.querySelectorAll("ol.ranks li")[0].dataset.name === name,
    first[0],
  );
  assert.deepEqual(await order(), first);
});

test("An application is registered and the console says why it may not call another", async () => {
  const { page } = admin;
  for (const id of ["billing", "ledger"]) {
    await site.run(["key", "new", "--out", `${id}.key`]);
    await site.run(["key", "party", `${id}.key`, "--out", `${id}.party`]);
    await visit(admin, "Applications");
    await page.getByRole("button", { name: "Register application" }).click();
    await dialog(admin).getByLabel("Application", { exact: true }).fill(id);
    await dialog(admin).getByLabel("File of the public key").setInputFiles(`${site.folder}/${id}.party`);
    await dialog(admin).getByLabel("Public key", { exact: true }).and(page.locator("textarea")).waitFor();
    await page.waitForFunction(() => document.querySelector("dialog textarea").value.includes("PARTY KEY"));
    await dialog(admin).getByRole("button", { name: "Register application" }).click();
    await page.getByRole("heading", { name: id, level: 1 }).waitFor();
  }
  await visit(admin, "Applications");
  await page.getByLabel("Consumer").selectOption("billing");
  await page.getByLabel("Provider").selectOption("ledger");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.getByText("No: billing gets no ticket for ledger.").waitFor();
  await site.call("app.update", { id: "billing", allow: [{ app: "ledger" }] });
  await page.getByRole("button", { name: "Ask" }).click();
  await page.getByText("Yes: billing gets tickets for ledger.").waitFor();
});

test("The peer server is started and stopped", async () => {
  const { page } = admin;
  await visit(admin, "Peers");
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByText("Running").waitFor();
  await page.getByRole("button", { name: /^Stop/ }).click();
  await dialog(admin).getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();
});

test("A setting is changed while the site runs and reset to its default", async () => {
  const { page } = admin;
  await visit(admin, "Settings");
  const { settings } = await site.call("config.list");
  // One that fits the files that the process may open.
  const { key, value } = settings.find((one) => one.at_run_time && one.value > 1 && one.value < 1_000);
  await page.getByLabel("Search settings").fill(key);
  await page.getByRole("button", { name: `Change ${key}`, exact: true }).click();
  await dialog(admin).getByLabel("Value").fill("many");
  await dialog(admin).getByRole("button", { name: "Save" }).click();
  await dialog(admin).getByText("The value is a number.").waitFor();
  await dialog(admin)
    .getByLabel("Value")
    .fill(String(value + 1));
  await dialog(admin).getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: `Reset to default ${key}` }).click();
  await dialog(admin).getByRole("button", { name: "Reset to default" }).click();
  await page
    .getByRole("row")
    .filter({ has: page.getByText(key, { exact: true }) })
    .getByText("Default", { exact: true })
    .waitFor();
});

test("An access token is made, used over HTTP, and revoked", async () => {
  const { page } = admin;
  await site.run(["key", "new", "--out", "mailer.key"]);
  await site.run(["service", "create", "mailer", "--public-key", "mailer.key.pub"]);
  await visit(admin, "Access tokens");
  await page.getByText("No access tokens").waitFor();
  await page.getByRole("button", { name: "Create token" }).click();
  await dialog(admin).getByLabel("Label").fill("the mail server");
  await dialog(admin).getByLabel("Service", { exact: true }).fill("mailer");
  await dialog(admin).getByLabel("site.status", { exact: true }).check();
  await dialog(admin).getByRole("button", { name: "Create token" }).click();
  const token = (await dialog(admin).getByRole("textbox", { name: "token" }).innerText()).trim();
  assert.match(token, /^cst_/);
  await dialog(admin).getByRole("button", { name: "Close" }).click();
  const row = page.getByRole("row").filter({ hasText: "the mail server" });
  await row.getByText("site.status").waitFor();

  const { listen } = await site.call("site.status");
  const ask = () =>
    fetch(`http://${listen.http}/api/v1/site`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await ask()).status, 200);
  await row.getByRole("button", { name: /^Revoke/ }).click();
  await dialog(admin).getByLabel("Type the mail server to confirm").fill("the mail server");
  await dialog(admin).getByRole("button", { name: "Revoke" }).click();
  await said(page, "Revoked the token.");
  assert.equal((await ask()).status, 401);
});

test("A member makes a token for themselves, and changes the pass phrase", async () => {
  const { page } = member;
  await logIn(page, console_.url, MEMBER.name, MEMBER.passPhrase);
  await visit(member, "Access tokens");
  await page.getByRole("button", { name: "Create token" }).click();
  await dialog(member).getByLabel("self.show", { exact: true }).check();
  await dialog(member).getByLabel("Your pass phrase").fill(MEMBER.passPhrase);
  await dialog(member).getByRole("button", { name: "Create token" }).click();
  await dialog(member).getByRole("textbox", { name: "token" }).waitFor();
  await dialog(member).getByRole("button", { name: "Close" }).click();

  await visit(member, "Your account");
  await page.getByRole("button", { name: "Change pass phrase" }).click();
  await dialog(member).getByLabel("Your pass phrase").fill(MEMBER.passPhrase);
  await dialog(member).getByLabel("New pass phrase", { exact: true }).fill(CHANGED);
  await dialog(member).getByLabel("New pass phrase, once more").fill(CHANGED);
  await dialog(member).getByRole("button", { name: "Change pass phrase" }).click();
  await dialog(member).waitFor({ state: "detached" });
});

test("A lockdown of a person and of the site is imposed, shown and lifted", async () => {
  const { page } = admin;
  await visit(admin, "People");
  await page.getByRole("link", { name: "tom@local", exact: true }).click();
  await page.getByRole("button", { name: "Lock down tom@local" }).click();
  await dialog(admin).getByLabel("Reason").fill("a drill");
  await dialog(admin).getByRole("button", { name: "Lock down" }).click();
  await member.page.getByText("A lockdown ended your session.").waitFor();
  await visit(admin, "Overview");
  await page.getByRole("link", { name: "1 in lockdown" }).click();
  await page.getByRole("cell", { name: "Person tom@local", exact: true }).waitFor();
  await page.getByRole("button", { name: "Lift person tom@local" }).click();
  await dialog(admin).getByRole("button", { name: "Lift" }).click();
  await page.getByText("No account, application or peer is in lockdown").waitFor();

  await page.getByLabel("Enrolment").check();
  await page.getByLabel("Reason").fill("a drill");
  await page.getByRole("button", { name: "Lock down local" }).click();
  await dialog(admin).getByLabel("Type local to confirm").fill("local");
  await dialog(admin).getByRole("button", { name: "Lock down" }).click();
  await page.getByText("The site is in lockdown at the level “Enrolment”.").waitFor();
  // Only a local admin lifts the lockdown of a site.
  const command = await page.getByRole("textbox", { name: "command" }).innerText();
  await site.run(command.trim().split(" ").slice(1));
  await page.getByText("The site is in lockdown at the level “Enrolment”.").waitFor({ state: "detached" });
});

test("A lost connection is shown, and the console recovers by itself", async () => {
  const { page } = admin;
  await visit(admin, "Overview");
  console_.interrupt();
  await visit(admin, "People");
  await page.getByText("The connection to the site was lost.").waitFor();
  console_.restore();
  await page.getByText("The connection to the site was lost.").waitFor({ state: "detached" });
  await page.getByRole("cell", { name: "tom@local", exact: true }).waitFor();
});

/**
 * The pass phrase was looked for in encrypted bytes, where no encoding of it could be found. The messages to the worker
 * are what the client then encrypts, and the canaries are found where a pass phrase would be.
 */
test("Only the messages that prove, set or change a pass phrase carry one", () => {
  const carriers = (messages, passPhrase) =>
    new Set(messages.filter(({ bytes }) => reveals(bytes, passPhrase)).map(({ name }) => name));
  assert.deepEqual(carriers(told.admin, ADMIN.passPhrase), new Set(["registerPassPhrase", "login"]));
  const all = ["registerPassPhrase", "login", "prove", "changePassPhrase"];
  assert.deepEqual(carriers(told.member, MEMBER.passPhrase), new Set(all));
  assert.deepEqual(carriers(told.member, CHANGED), new Set(["changePassPhrase"]));
  const calls = told.admin.filter(({ name }) => name === "call");
  assert.ok(calls.some(({ bytes }) => reveals(bytes, "Tom Baker")));
});

test("No pass phrase is in what the browsers sent", async () => {
  const canaries = ["a canary in the address", "a canary in a frame"];
  const { page, context } = await openPage(browser);
  await page.goto(console_.url);
  await page.evaluate(async ([inAddress, inFrame]) => {
    await fetch(`site.json?${encodeURIComponent(inAddress)}`);
    const url = new URL("../session", location.href);
    url.protocol = "ws:";
    const socket = new WebSocket(url, "countersign.session.1");
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
    socket.send(new TextEncoder().encode(`${inFrame}, and so many bytes that a frame has them`));
    socket.close();
    await closed;
  }, canaries);
  await context.close();
  const wire = Buffer.concat(sent);
  const bytes = Buffer.concat([wire, unmasked(wire)]);
  for (const canary of canaries) assert.ok(reveals(bytes, canary), `${canary} was not found`);
  for (const passPhrase of [ADMIN.passPhrase, MEMBER.passPhrase, CHANGED])
    assert.ok(!reveals(bytes, passPhrase), "a pass phrase was sent");
});

/**
 * What the browsers sent was searched on their side alone, where it is encrypted. The site has decrypted it: texts that
 * the pages sent in a session and in a login are found in its memory.
 */
test("No pass phrase is in the memory of the site, which has what the pages sent", async () => {
  const { page, context } = await openPage(browser);
  const unknown = "nora-without-an-account";
  await page.goto(console_.url);
  await page.getByLabel("Name").fill(unknown);
  await page.getByLabel("Pass phrase").fill("a pass phrase of nora, which is wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await context.close();
  const received = ["Tom Baker", unknown];
  const passPhrases = [ADMIN.passPhrase, MEMBER.passPhrase, CHANGED, "a pass phrase of nora, which is wrong"];
  assert.deepEqual(await inMemory(site.pid, [...received, ...passPhrases]), new Set(received));
});

test("Nothing failed in the pages, and the content security policy was not violated", () => {
  assert.deepEqual(
    [...admin.faults, ...member.faults].filter((fault) => !/ERR_INTERNET_DISCONNECTED/.test(fault)),
    [],
  );
});
