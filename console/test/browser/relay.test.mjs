// `countersign console`: the console on the user's own machine, with tickets, and with what the device knows of the site.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ADMIN, MEMBER } from "./sample.mjs";
import { fillLogin, launch, logIn, openPage, startRelay, startSite } from "./site.mjs";

let site, http, browser;

before(async () => {
  site = await startSite();
  http = `http://${(await site.call("site.status")).listen.http}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await site?.stop();
});

/** Runs `use` with a relay and a page, and checks that nothing failed in the page but what is `expected`. */
async function withRelay(words, env, use, expected) {
  const relay = await startRelay(words, env);
  const { page, context, faults } = await openPage(browser);
  try {
    await use(page, relay);
    assert.deepEqual(
      faults.filter((fault) => !expected?.test(fault)),
      [],
    );
  } finally {
    await context.close();
    await relay.stop();
  }
}

/** Sets a pass phrase on the page of tickets, which has the ticket. */
async function register(page, { name, passPhrase }) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("New pass phrase", { exact: true }).fill(passPhrase);
  await page.getByLabel("New pass phrase, once more").fill(passPhrase);
  await page.getByRole("button", { name: "Set pass phrase and log in" }).click();
}

/** The environment of a user with no other site. */
const user = (name) => {
  const folder = join(site.folder, name);
  mkdirSync(folder, { recursive: true });
  return { COUNTERSIGN_CONFIG_HOME: folder, XDG_STATE_HOME: folder };
};

test("The ticket of the first admin is used with the address of the site's HTTP listener", async () => {
  await withRelay(["--site", site.uri, "--http", http], user("first"), async (page, relay) => {
    await page.goto(relay.url);
    await page.getByRole("link", { name: /I have a ticket/ }).click();
    await page.getByLabel("Ticket").fill(site.ticket);
    await register(page, ADMIN);
    await page.getByText("Logged in as maria@local").waitFor();
    await page.reload();
    await page.getByText("Logged in as maria@local").waitFor();
  });
});

test("Without that address the console says that it takes no tickets, and logs in", async () => {
  await withRelay(["--site", site.uri], user("plain"), async (page, relay) => {
    assert.equal(relay.http, null);
    await page.goto(`${relay.url}#/ticket`);
    await page.getByText("This console takes no tickets").waitFor();
    assert.equal(await page.getByLabel("Ticket").count(), 0);
    await page.getByRole("link", { name: /Back to the login/ }).click();
    await page.getByText("This console takes no tickets").waitFor();
    await fillLogin(page, ADMIN.name, ADMIN.passPhrase);
    await page.goto(`${relay.url}#/people/maria@local`);
    await page.getByRole("heading", { name: "maria@local", level: 1 }).waitFor();
  });
});

test("Where that address is wrong, the page names it", async () => {
  const away = "http://127.0.0.1:9";
  const use = async (page, relay) => {
    await page.goto(`${relay.url}#/ticket/${encodeURIComponent(site.ticket)}`);
    await register(page, MEMBER);
    await page.getByText(`was not reached at ${away}`).waitFor();
  };
  await withRelay(["--site", site.uri, "--http", away], user("away"), use, /WebSocket connection .* failed/);
});

test("With a profile the site names the address, and a member sets a new pass phrase", async () => {
  const env = user("profile");
  await site.call("person.create", { name: MEMBER.name });
  const device = await site.call("ticket.issue", { person: MEMBER.name, kind: "device" });
  await site.run(["enrol", "-", "--id", `${MEMBER.name}@local`], env, device.uri);
  const { uri } = await site.call("ticket.issue", { person: MEMBER.name, kind: "passphrase" });
  await withRelay([], env, async (page, relay) => {
    assert.equal(relay.http, http);
    await page.goto(`${relay.url}#/ticket/${encodeURIComponent(uri)}`);
    await page.waitForFunction((ticket) => document.querySelector("textarea")?.value === ticket, uri);
    await register(page, MEMBER);
    await page.getByText("Logged in as tom@local").waitFor();
  });
});

test("The page accepts no site but the one that this user has logged in to before", async () => {
  const other = await startSite("example.org");
  try {
    await other.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
    const env = user("known");
    const passPhrase = site.file("passphrase-of-maria", ADMIN.passPhrase);
    const login = ["--as", ADMIN.name, "--passphrase-file", passPhrase, "self", "show"];
    for (const { uri } of [site, other]) await site.run(["call", "--site", uri, ...login], env);
    const words = ["--site", site.uri];
    await withRelay(words, env, (page, { url }) => logIn(page, url, ADMIN.name, ADMIN.passPhrase));

    const file = join(env.XDG_STATE_HOME, "countersign", "known_sites.json");
    const stored = JSON.parse(readFileSync(file, "utf8"));
    const pins = stored.sites.map(({ pin }) => pin).reverse();
    stored.sites.forEach((entry, at) => (entry.pin = pins[at]));
    writeFileSync(file, JSON.stringify(stored));
    await withRelay(words, env, async (page, { url }) => {
      await page.goto(url);
      await page.getByLabel("Name").fill(ADMIN.name);
      await page.getByLabel("Pass phrase").fill(ADMIN.passPhrase);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByRole("alert").waitFor();
      // What the program knows, the page cannot forget.
      assert.equal(await page.getByRole("button", { name: /Forget/ }).count(), 0);
    });
  } finally {
    await other.stop();
  }
});
