// What other pages, other people at the same machine and leftovers of a session get from the console: nothing.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, openPage, startConsole, startSite } from "./site.mjs";

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

/** The status of a request with any headers. */
async function status(path, headers, method = "GET") {
  const request = http.request(new URL(path, served.url), { method, headers }).end();
  const [answer] = await Promise.race([once(request, "response"), once(request, "upgrade")]);
  request.destroy();
  return answer.statusCode;
}

test("The server of the page answers neither other names nor other pages", async () => {
  const { host } = new URL(served.url);
  assert.equal(await status("/", { host }), 200);
  assert.equal(await status("/", { host: `evil.example:${new URL(served.url).port}` }), 421);
  assert.equal(await status("/", { host, origin: "http://evil.example" }), 421);
  const upgrade = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
  const [path, method, more, refused] = served.local
    ? ["/bridge/login", "POST", {}, 421]
    : ["/session", "GET", upgrade, 403];
  assert.equal(await status(path, { host, origin: "http://evil.example", ...more }, method), refused);
  assert.equal(await status(path, { host, ...more }, method), refused);
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
