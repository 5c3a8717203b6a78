// A peer from the ticket of a member to what an admin allows it, on two real sites.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "node:test";
import { ADMIN, MEMBER } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, other, console_, browser, admin, member;

before(async () => {
  site = await startSite();
  other = await startSite("example.org");
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  await site.person(MEMBER.name, MEMBER.passPhrase);
  await other.call("person.create", { name: "olga" });
  for (const each of [site, other]) await each.call("peer.start");
  console_ = await startConsole(site);
  browser = await launch();
  admin = await openPage(browser);
  member = await openPage(browser);
  await logIn(admin.page, console_.url, ADMIN.name, ADMIN.passPhrase);
  await logIn(member.page, console_.url, MEMBER.name, MEMBER.passPhrase);
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await other?.stop();
  await site?.stop();
});

const visit = async ({ page }, name) => {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
};
const dialog = ({ page }) => page.getByRole("dialog");
const shown = () => site.call("peer.show", { peer: "example.org" });

/** A member read "Start it with `countersign peer start`", and so did an admin beside the button "Start". */
test("Without a peer server, the page says which button starts it, and who may press it", async () => {
  await site.call("peer.stop");
  for (const [who, { passPhrase }, more] of [
    [member, MEMBER, " Only an admin can do that: ask one."],
    [admin, ADMIN, ""],
  ]) {
    await visit(who, "Your account");
    await who.page.getByRole("button", { name: "Peer ticket" }).click();
    await dialog(who).getByLabel("Your pass phrase").fill(passPhrase);
    await dialog(who).getByRole("button", { name: "Issue ticket" }).click();
    const hint = dialog(who).getByRole("alert").locator(".hint");
    assert.equal(await hint.innerText(), `Start it with “Peers: Start”.${more}`);
    await dialog(who).getByRole("button", { name: "Cancel" }).click();
  }
  await visit(admin, "Peers");
  await admin.page.getByRole("button", { name: "Start", exact: true }).click();
  await admin.page.locator(".said").getByText("The peer server is started.").waitFor();
});

/**
 * A member may issue a peer ticket and join with one, but the buttons were on a screen for admins. The command that is
 * copied was refused for want of `--for`.
 */
test("A member introduces another site, which joins with the command that the page offers", async () => {
  const { page } = member;
  await visit(member, "Your account");
  await page.getByRole("button", { name: "Peer ticket" }).click();
  await dialog(member).getByLabel("Your pass phrase").fill(MEMBER.passPhrase);
  await dialog(member).getByRole("button", { name: "Issue ticket" }).click();
  const box = (name) => dialog(member).getByRole("textbox", { name, exact: true });
  const ticket = (await box("Ticket").innerText()).trim();
  const [program, ...words] = (await box("command").innerText()).trim().split(" ");
  assert.equal(program, "countersign");
  const at = words.indexOf("PERSON");
  // A terminal would ask for the ticket.
  await other.run([...words.with(at, "olga"), "-"], { COUNTERSIGN_DATA: other.data }, ticket);
  await dialog(member).getByText("The other site is a peer now.").waitFor();
  await dialog(member).getByRole("button", { name: "Close" }).click();
  const { introductions } = await shown();
  assert.deepEqual(
    introductions.map(({ own, other: them }) => [own, them]),
    [["tom@local", "olga@example.org"]],
  );
});

test("A member joins another site with a ticket from there", async () => {
  const { page } = member;
  await other.call("person.create", { name: "otto" });
  const { uri } = await other.call("peer.ticket", { person: "otto" });
  await page.getByRole("button", { name: "Join a site" }).click();
  await dialog(member).getByLabel("Ticket").fill(uri);
  await dialog(member).getByLabel("Your pass phrase").fill("not the pass phrase");
  await dialog(member).getByRole("button", { name: "Join a site" }).click();
  await dialog(member).getByRole("alert").waitFor();
  await dialog(member).getByLabel("Your pass phrase").fill(MEMBER.passPhrase);
  await dialog(member).getByRole("button", { name: "Join a site" }).click();
  await page.locator(".said").getByText("example.org is a peer now.").waitFor();
  const { introductions } = await shown();
  assert.deepEqual(
    introductions.map(({ own, other: them }) => [own, them]),
    [
      ["tom@local", "olga@example.org"],
      ["tom@local", "otto@example.org"],
    ],
  );
});

/** One button sent `messages` or nothing: forbidding messages took the other permissions too, and voided tickets. */
test("Each kind of operation that a peer may ask for is allowed by itself", async () => {
  const { page } = admin;
  assert.deepEqual((await shown()).allows, ["messages", "audit_heads", "tickets"]);
  await visit(admin, "Peers");
  await page.getByRole("link", { name: "example.org" }).click();
  const change = () => page.getByRole("button", { name: "Change Permissions" }).click();
  const save = async () => {
    await dialog(admin).getByRole("button", { name: "Save" }).click();
    await dialog(admin).waitFor({ state: "detached" });
  };
  const kind = (name) => dialog(admin).getByRole("checkbox", { name });
  const warning = dialog(admin).getByText(/Their present tickets are void/);
  await change();
  await kind("Delivery of messages").uncheck();
  assert.equal(await warning.count(), 0);
  await save();
  assert.deepEqual((await shown()).allows, ["audit_heads", "tickets"]);

  await change();
  await kind("Tickets for its applications").uncheck();
  await warning.waitFor();
  await dialog(admin).getByRole("button", { name: "Cancel" }).click();
  assert.deepEqual((await shown()).allows, ["audit_heads", "tickets"]);

  await change();
  assert.ok(await kind("Tickets for its applications").isChecked());
  await kind("Tickets for its applications").uncheck();
  await kind("Delivery of messages").check();
  await save();
  assert.deepEqual((await shown()).allows, ["messages", "audit_heads"]);
  const row = page.locator(".fact").filter({ hasText: "Tickets for its applications" });
  await row.getByText("Refused").waitFor();
});

test("The page of a peer says what is wrong with it, what to do, and how far its limits are used", async () => {
  const { page } = admin;
  // It sends the head of the log to the peer at once.
  await site.call("audit.verify", { peers: true });
  const log = page.locator(".fact").filter({ hasText: "Of this site, by the peer" });
  await log.getByText(/^entry \d+, /).waitFor();
  const limit = page.getByRole("row").filter({ hasText: "New keys" });
  await limit.getByText("1 hour", { exact: true }).waitFor();
  await limit.getByText("Allowed").waitFor();
  await page.getByText("No breach of the protocol within the hour.").waitFor();
  assert.equal(await page.getByText("What to do:").count(), 0);

  // Each sends another head to this site, which countersigns 16 at once. Many more would be a flood.
  const heads = page.getByRole("row").filter({ hasText: "Heads of its audit log" });
  for (let sent = 0; sent <= 16; sent++) await other.call("audit.verify", { peers: true });
  await heads.getByText("Used up next one in").waitFor();
  await page
    .locator(".fact")
    .filter({ hasText: "Of the peer, by this site" })
    .getByText(/^entry \d+, /)
    .waitFor();

  // A connection is open then, for whose end the peer gives a reason.
  await site.call("audit.verify", { peers: true });
  await other.call("peer.stop");
  await site.call("peer.send", { from: "maria", to: "olga@example.org", text: "Are you there?" });
  await page.getByText("Not reached.").waitFor();
  await page.getByText("Check its address, its peer server, and the network between the sites.").waitFor();
  const next = page.locator(".fact").filter({ hasText: "Next attempt" });
  await next.getByText(/after \d+ failures?$/).waitFor();
  const ended = page.locator(".fact").filter({ hasText: "Ended by the peer" });
  await ended.getByText(/^its peer server was stopped, /).waitFor();
});

/**
 * The form knew applications and groups of this site alone: saving it took the permissions for applications of peers
 * away. No page showed which applications of peers may call.
 */
test("An application's page changes which applications of peers it may call and may be called by", async () => {
  const { page } = admin;
  for (const id of ["billing", "ledger"]) {
    await site.run(["key", "new", "--out", `${id}.key`]);
    await site.run(["key", "party", `${id}.key`, "--out", `${id}.party`]);
    await site.run(["app", "create", id, "--public-key", `${id}.party`]);
  }
  await site.call("app.update", {
    id: "billing",
    allow: [{ foreign: "ledger@example.org" }],
    allow_callers: ["reports@example.org"],
  });
  await visit(admin, "Applications");
  await page.getByRole("link", { name: "billing" }).click();
  const edit = async (fields) => {
    await page.getByRole("button", { name: "Edit Registration" }).click();
    for (const [label, value] of Object.entries(fields)) await dialog(admin).getByLabel(label).fill(value);
    await dialog(admin).getByRole("button", { name: "Save" }).click();
  };
  const saved = () => dialog(admin).waitFor({ state: "detached" });
  const billing = async () => {
    const { may_call, callers, keys_last } = await site.call("app.show", { id: "billing" });
    return { may_call, callers, keys_last };
  };
  await edit({ "Ticket lifetime in seconds": "600" });
  await saved();
  assert.deepEqual(await billing(), {
    may_call: [{ foreign: "ledger@example.org" }],
    callers: ["reports@example.org"],
    keys_last: 600_000,
  });
  const callers = page.locator(".fact").filter({ hasText: "May be called by" });
  await callers.getByText("reports@example.org").waitFor();
  // The next form begins with what the page has read since.
  await page.getByText("10 minutes", { exact: true }).waitFor();

  await edit({ "May be called by": "crm@example.com" });
  await dialog(admin)
    .getByText(/no peer has that zone/)
    .waitFor();
  await dialog(admin).getByLabel("May be called by").fill("crm@example.org, reports@example.org");
  await dialog(admin).getByLabel("May call").fill("ledger");
  await dialog(admin).getByRole("button", { name: "Save" }).click();
  await saved();
  assert.deepEqual(await billing(), {
    may_call: [{ app: "ledger" }],
    callers: ["reports@example.org", "crm@example.org"],
    keys_last: 600_000,
  });
  await edit({ "May be called by": "" });
  await saved();
  assert.equal((await billing()).callers, undefined);
  await callers.getByText("No application of a peer").waitFor();
});

/** "Ended by the peer: it suspended this site" stood beside its connection, as if that were the present state. */
test("Why the peer ended a connection is shown until the two sites connect again", async () => {
  const { page } = admin;
  await other.call("peer.start");
  await other.call("audit.verify", { peers: true });
  await visit(admin, "Peers");
  await page.getByRole("link", { name: "example.org" }).click();
  await other.call("peer.suspend", { peer: "local", reason: "a drill" });
  const ended = page.locator(".fact").filter({ hasText: "Ended by the peer" });
  await ended.getByText(/^it suspended this site, /).waitFor();
  await other.call("peer.resume", { peer: "local" });
  await other.call("audit.verify", { peers: true });
  await ended.waitFor({ state: "detached" });
});

test("A peer is put in lockdown, and the lockdown is lifted", async () => {
  const { page } = admin;
  await visit(admin, "Peers");
  await page.getByRole("link", { name: "example.org" }).click();
  await page.getByRole("button", { name: "Lock down example.org" }).click();
  await dialog(admin).getByLabel("Reason").fill("a drill");
  await dialog(admin).getByRole("button", { name: "Lock down" }).click();
  await page.locator(".said").getByText("example.org is in lockdown.").waitFor();
  const inForce = async () => (await site.call("lockdown.status")).entries.map(({ target }) => target);
  assert.match((await inForce()).join(), /^peer .* \(example\.org\)$/);
  await visit(admin, "Lockdown");
  await page.getByRole("button", { name: /^Lift peer .* \(example\.org\)$/ }).click();
  await dialog(admin).getByRole("button", { name: "Lift" }).click();
  await page.getByText("No account, application or peer is in lockdown").waitFor();
  assert.deepEqual(await inForce(), []);
});

/**
 * The card said "Address already in use (os error 98)", without the address and what to do, and had no button "Start",
 * which the refusal of a ticket named.
 */
test("A peer server that cannot listen says at which address and what to do, and is started once more", async () => {
  const taken = net.createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = `127.0.0.1:${taken.address().port}`;
  const blocked = await startSite("local", address);
  await blocked.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  await blocked.call("peer.start");
  const served = await startConsole(blocked);
  const { page, context } = await openPage(browser);
  await logIn(page, `${served.url}#/peers`, ADMIN.name, ADMIN.passPhrase);
  const fact = (name) =>
    page
      .locator(".fact")
      .filter({ has: page.getByText(name, { exact: true }) })
      .locator("dd");
  assert.equal(await fact("State").innerText(), "Not listening");
  await fact("Why").getByText("It cannot listen: Address already in use").waitFor();
  assert.equal(await fact("What to do").innerText(), "Free the address, or set another one in listen.peer.");
  assert.equal(await fact("Configured address").innerText(), address);
  await page.getByRole("button", { name: "Join a site" }).click();
  await dialog({ page })
    .getByText("The peer server does not run: the screen “Peers” shows why, and starts it.")
    .waitFor();
  await dialog({ page }).getByRole("button", { name: "Cancel" }).click();
  const start = page.getByRole("button", { name: "Start", exact: true });
  await start.click();
  await page.locator(".said").getByText("The peer server is switched on, and does not run.").waitFor();
  taken.close();
  await once(taken, "close");
  await start.click();
  await page.locator(".said").getByText("The peer server is started.").waitFor();
  await fact("Listens on").getByText(address).waitFor();
  assert.equal(await start.count(), 0);
  await context.close();
  await served.stop();
  await blocked.stop();
});

test("Nothing failed in the pages, and the content security policy was not violated", () => {
  assert.deepEqual([...admin.faults, ...member.faults], []);
});
