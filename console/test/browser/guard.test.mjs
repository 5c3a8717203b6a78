// What other pages, other people at the same machine and leftovers of a session get from the console: nothing.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
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

test("The page can make no policy of trusted types but its own", async () => {
  const { page, context } = await openPage(browser);
  await page.goto(served.url);
  const made = await page.evaluate(() => {
    try {
      trustedTypes.createPolicy("another", { createHTML: (text) => text });
      return true;
    } catch {
      return false;
    }
  });
  assert.equal(made, false);
  await context.close();
});

/** What the console sends with each of its files. The page needs no more, and a hostile page gets no less. */
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; " +
    "connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; " +
    "require-trusted-types-for 'script'; trusted-types countersign-worker",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

// The test of the server has a policy of its own, so that one could be removed from the console unseen.
test("Each file of the console has its headers", async () => {
  const page = await fetch(served.url);
  const files = [...(await page.text()).matchAll(/(?:src|href)="([^"#:]+)"/g)].map(([, name]) => name);
  assert.ok(files.length >= 2, "the page names its script and its style");
  for (const response of [
    page,
    ...(await Promise.all(files.map((name) => fetch(new URL(name, served.url))))),
  ]) {
    assert.equal(response.status, 200, response.url);
    for (const [name, value] of Object.entries(HEADERS))
      assert.equal(response.headers.get(name), value, `${name} of ${response.url}`);
  }
});

test("A page of another origin cannot frame the console", async () => {
  const { page, context } = await openPage(browser);
  const hostile = http.createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(
      request.url === "/frame" ? "<h1>framed</h1>" : `<iframe src="${request.url.slice(2)}"></iframe>`,
    );
  });
  hostile.listen(0, "127.0.0.1");
  await once(hostile, "listening");
  const origin = `http://127.0.0.1:${hostile.address().port}`;
  const framed = async (url) => {
    await page.goto(`${origin}/?${url}`);
    return page.frames()[1].content();
  };
  assert.match(await framed(`${origin}/frame`), /framed/);
  assert.doesNotMatch(await framed(served.url), /id="console"/);
  assert.match(await (await fetch(served.url)).text(), /id="console"/);
  await context.close();
  hostile.close();
});

/** Waits until something is the case. */
async function until(is) {
  while (!(await is())) await new Promise(setImmediate);
}

const storage = (page) => page.evaluate(() => ({ ...sessionStorage }));

test("A session ends when its tab was left, and a reload resumes it", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  assert.deepEqual(await storage(page), {}, "a secret is in the storage while the page is open");
  await page.reload();
  await page.getByText("Logged in as maria@local").waitFor();
  assert.deepEqual(await storage(page), {});

  await page.goto("about:blank");
  await page.goBack();
  await page.getByText("This tab was closed or left").waitFor();
  await until(async () => (await site.call("session.list")).entries.length === 0);
  assert.deepEqual(await storage(page), {});
  await page.reload();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await context.close();
});

test("The site ends the session of a tab that stays closed", async () => {
  await site.call("config.set", { key: "limits.suspension_time_ms", value: 1 });
  const { page, context } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  assert.equal((await site.call("session.list")).entries.length, 1);
  await context.close();
  await until(async () => (await site.call("session.list")).entries.length === 0);
  await site.call("config.set", { key: "limits.suspension_time_ms", value: 900_000 });
});

// Back within half a minute showed the console to the next person, with the session of the one before.
test("Nothing is on a page that the browser keeps after it was left, and its session ends", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  const left = await page.evaluate(() => {
    dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
    return document.getElementById("console").innerHTML;
  });
  assert.equal(left, "");
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await context.close();
});

test("A link with a pass phrase logs in to temporary sites only, and elsewhere fills in the name", async () => {
  const { page, context } = await openPage(browser);
  const told = page.waitForResponse("**/site.json");
  await page.goto(`${served.url}#/login/${ADMIN.name}/${encodeURIComponent(ADMIN.passPhrase)}`);
  await page.waitForFunction((name) => document.querySelector("input")?.value === name, ADMIN.name);
  await (await told).finished();
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal(await page.getByLabel("Pass phrase").inputValue(), "");
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  assert.equal(new URL(page.url()).hash, "#/");
  await context.close();
});

test("A ticket leaves the address before it is used, also when it comes to a console that is logged in", async () => {
  const { page, context } = await openPage(browser);
  const ticket = "countersign://127.0.0.1:4747/e#abc";
  const link = `${served.url}#/ticket/${encodeURIComponent(ticket)}`;
  await page.goto(link);
  await page.waitForFunction((text) => document.querySelector("textarea")?.value === text, ticket);
  assert.equal(new URL(page.url()).hash, "#/ticket");
  await logIn(page, `${served.url}#/`, ADMIN.name, ADMIN.passPhrase);
  await page.goto(link);
  await page.getByText("The ticket of the link was not used").waitFor();
  assert.equal(new URL(page.url()).hash, "#/");
  await context.close();
});

test("A console without input says so, and then logs out", async () => {
  const { page, context } = await openPage(browser);
  await page.clock.install();
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  await page.clock.fastForward("14:30");
  await page.getByRole("button", { name: "Stay logged in" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.clock.fastForward("14:30");
  await page.getByRole("dialog").waitFor();
  await page.clock.fastForward("00:31");
  await page.getByText("There was no input for 15 minutes").waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await context.close();
});

/**
 * The login said "The site is in lockdown" long after it was lifted, and to a person whose session a lockdown had ended
 * it did not say so: the pass phrase was typed without effect.
 */
test("The login says that a lockdown refuses logins as long as one does, and why a session ended", async () => {
  const [early, ended] = await Promise.all([openPage(browser), openPage(browser)]);
  const refused = ({ page }) => page.getByText("The site is in lockdown and accepts no logins.");
  await early.page.clock.install();
  await early.page.goto(served.url);
  await early.page.getByRole("heading", { name: "Log in" }).waitFor();
  await logIn(ended.page, served.url, ADMIN.name, ADMIN.passPhrase);
  assert.equal(await refused(early).count(), 0);

  await site.call("lockdown.site", { level: "all", reason: "a drill" });
  await ended.page.getByText("A lockdown ended your session.").waitFor();
  await refused(ended).waitFor();
  await early.page.clock.fastForward("00:15");
  await refused(early).waitFor();

  await site.call("lockdown.lift", { site: true });
  await early.page.clock.fastForward("00:15");
  await refused(early).waitFor({ state: "detached" });
  await ended.page.evaluate(() => dispatchEvent(new Event("focus")));
  await refused(ended).waitFor({ state: "detached" });
  await ended.page.getByText("A lockdown ended your session.").waitFor();
  for (const { context } of [early, ended]) await context.close();
});

test("A logout leaves nothing of the account in the page, in its storage and in its address", async () => {
  const { page, context, faults } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  await page.goto(`${served.url}#/people/maria@local`);
  await page.getByRole("heading", { name: "maria@local", level: 1 }).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByText("You logged out.").waitFor();
  const left = await page.evaluate(() =>
    [document.documentElement.outerHTML, location.href, JSON.stringify(sessionStorage)].join(" "),
  );
  assert.ok(!left.includes("maria"), left);
  await page.reload();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  assert.deepEqual(faults, []);
  await context.close();
});

test("What a browser knows of one site is not expected of another on the same address, and can be forgotten", async () => {
  const other = await startSite("example.org");
  const { page, context } = await openPage(browser);
  const known = () => page.evaluate(() => ({ ...localStorage }));
  const login = async (of, port) => {
    const server = await startConsole(of, undefined, port);
    await logIn(page, server.url, ADMIN.name, ADMIN.passPhrase);
    return server;
  };
  try {
    await other.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
    const first = await login(site, 0);
    const [[, ofFirst]] = Object.entries(await known());
    await first.stop();
    const second = await login(other, first.port);
    await page.getByRole("button", { name: "Log out" }).click();

    const [[entry]] = Object.entries(await known()).filter(([, text]) => text !== ofFirst);
    const replace = (text) =>
      page.evaluate(([key, value]) => localStorage.setItem(key, value), [entry, text]);
    await replace("of another version");
    await logIn(page, second.url, ADMIN.name, ADMIN.passPhrase);
    assert.notEqual((await known())[entry], "of another version");
    await page.getByRole("button", { name: "Log out" }).click();

    await replace(ofFirst);
    await page.reload();
    await page.getByLabel("Name", { exact: true }).fill(ADMIN.name);
    await page.getByLabel("Pass phrase").fill(ADMIN.passPhrase);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("This browser remembers a key of this site").waitFor();
    await page.getByRole("button", { name: "Forget the remembered key" }).click();
    await page.getByText("The remembered key is forgotten.").waitFor();
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("Logged in as maria@example.org").waitFor();
    await second.stop();
  } finally {
    await context.close();
    await other.stop();
  }
});

test("A service worker that another program left on the address is removed", async () => {
  const { page, context } = await openPage(browser);
  const before = http.createServer(({ url }, answer) => {
    const script = url === "/sw.js";
    answer.writeHead(200, { "content-type": script ? "text/javascript" : "text/html" });
    answer.end(script ? "onfetch = (event) => event.respondWith(fetch(event.request))" : "<p>before</p>");
  });
  await once(before.listen(0, "127.0.0.1"), "listening");
  const { port } = before.address();
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.evaluate(async () => {
    await navigator.serviceWorker.register("/sw.js");
    await navigator.serviceWorker.ready;
  });
  before.closeAllConnections();
  await once(before.close(), "close");

  const now = await startConsole(site, undefined, port);
  await page.goto(now.url);
  await page.waitForFunction(
    async () =>
      navigator.serviceWorker.controller === null &&
      (await navigator.serviceWorker.getRegistrations()).length === 0,
  );
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await context.close();
  await now.stop();
});

test("A ticket can be removed from the clipboard", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  await site.call("person.create", { name: "clara" });
  await page.goto(`${served.url}#/people/clara@local`);
  await page.getByRole("button", { name: "Pass phrase ticket" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Issue ticket" }).click();
  await dialog.getByRole("button", { name: "Copy link with the ticket" }).click();
  const clear = dialog.getByRole("button", { name: "Clear clipboard" });
  await clear.waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /#\/ticket\/countersign%3A/);
  await clear.click();
  await dialog.getByText("Cleared").first().waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "");
  await context.close();
});

test("No field but those for a name or one's own pass phrase lets the browser store what is typed", async () => {
  const { page, context } = await openPage(browser);
  const fields = () =>
    page.evaluate(() =>
      [...document.querySelectorAll("input:not([type=radio], [type=checkbox], [type=file]), textarea")].map(
        ({ autocomplete, type }) => [type, autocomplete],
      ),
    );
  await page.goto(`${served.url}#/ticket`);
  await page.getByRole("heading", { name: /ticket/ }).waitFor();
  assert.deepEqual(await fields(), [
    ["textarea", "off"],
    ["text", "username"],
    ["password", "new-password"],
    ["password", "new-password"],
  ]);
  await logIn(page, `${served.url}#/`, ADMIN.name, ADMIN.passPhrase);
  await page.goto(`${served.url}#/profile`);
  await page.getByRole("button", { name: "Change pass phrase" }).click();
  assert.deepEqual(await fields(), [
    ["text", "username"],
    ["password", "current-password"],
    ["password", "new-password"],
    ["password", "new-password"],
  ]);
  await context.close();
});

test("A logout that does not reach the site says so", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  served.interrupt();
  await page.getByText("The connection to the site was lost.").waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByText("The site was not reached").waitFor();
  served.restore();
  await page.reload();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  assert.deepEqual(await storage(page), {});
  await context.close();
});

test("A token, which is shown once, does not vanish with Escape", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  await page.goto(`${served.url}#/tokens`);
  await page.getByRole("button", { name: "Create token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Label").fill("a script");
  await dialog.getByLabel("alarm.list", { exact: true }).check();
  await dialog.getByLabel("Your pass phrase").fill(ADMIN.passPhrase);
  await dialog.getByRole("button", { name: "Create token" }).click();
  const token = dialog.getByRole("textbox", { name: "token" });
  await token.waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  assert.ok(await token.isVisible());
  await dialog.getByRole("button", { name: "Close" }).click();
  await dialog.waitFor({ state: "detached" });
  await context.close();
});

/** The dialog said "shown this once", and Escape closed it: it was valid, and had to be found and revoked. */
test("A ticket, which is shown once, does not vanish with Escape", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, `${served.url}#/people/clara@local`, ADMIN.name, ADMIN.passPhrase);
  const dialog = page.getByRole("dialog");
  for (const button of ["Enrol device", "Pass phrase ticket"]) {
    await page.getByRole("button", { name: button }).click();
    await dialog.waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("button", { name: button }).click();
    await dialog.getByRole("button", { name: "Issue ticket" }).click();
    const ticket = dialog.getByRole("textbox", { name: "Ticket", exact: true });
    await ticket.waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    assert.ok(await ticket.isVisible());
    await dialog.getByRole("button", { name: "Close" }).click();
    await dialog.waitFor({ state: "detached" });
  }
  await context.close();
});

/** On the thread of the page, the key stretching would leave no frame until it ends. */
test("The page goes on while the pass phrase is stretched", async () => {
  const { page, context } = await openPage(browser);
  await page.goto(served.url);
  await page.getByLabel("Name", { exact: true }).fill(ADMIN.name);
  await page.getByLabel("Pass phrase").fill(ADMIN.passPhrase);
  await page.evaluate(() => {
    const frames = (globalThis.frames = []);
    const note = (now) => {
      if (document.querySelector("button[aria-busy=true]")) frames.push(now);
      requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
  });
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("Logged in as maria@local").waitFor();
  const frames = await page.evaluate(() => globalThis.frames);
  const gaps = frames.slice(1).map((now, at) => now - frames[at]);
  assert.ok(Math.max(...gaps) < (frames.at(-1) - frames[0]) / 2, `${gaps}`);
  await context.close();
});

/**
 * A session that was resumed logs in beside itself to change the pass phrase. The end of that connection was taken for the
 * loss of the session's: the page said so until a reload, and told no real loss any more.
 */
test("After a change of the pass phrase in a resumed session the connection is not called lost until it is", async () => {
  const [first, second] = ["a pass phrase of vera's own", "another pass phrase of vera's"];
  await site.person("vera", first);
  const { page, context } = await openPage(browser);
  await logIn(page, `${served.url}#/profile`, "vera", first);
  await page.reload();
  await page.getByText("Logged in as vera@local").waitFor();
  await page.getByRole("button", { name: "Change pass phrase" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Your pass phrase").fill(first);
  await dialog.getByLabel("New pass phrase", { exact: true }).fill(second);
  await dialog.getByLabel("New pass phrase, once more").fill(second);
  await dialog.getByRole("button", { name: "Change pass phrase" }).click();
  await page.locator(".said").getByText("Your pass phrase is changed.").waitFor();
  const closed = async () => {
    const { entries } = await site.call("audit.list", { operation: "session.closed", limit: 1_000 });
    return entries.some(({ actor }) => actor === "vera@local");
  };
  while (!(await closed())) await new Promise(setImmediate);
  const lost = page.getByText("The connection to the site was lost.");
  // What is read afterwards has passed the end of the other connection.
  await page.getByRole("navigation").getByRole("link", { name: "Sessions" }).click();
  await page.getByRole("cell", { name: "vera@local" }).or(page.getByText("This session")).first().waitFor();
  assert.equal(await lost.count(), 0);
  served.interrupt();
  await page.getByRole("navigation").getByRole("link", { name: "Devices" }).click();
  await lost.waitFor();
  served.restore();
  await lost.waitFor({ state: "detached" });
  await context.close();
});
