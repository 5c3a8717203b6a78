// The npm package itself in a browser, from a server of another program: the page imports `/index.js`.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import net from "node:net";
import { extname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ADMIN } from "./sample.mjs";
import { launch, openPage, startSite } from "./site.mjs";

const PACKAGE = fileURLToPath(new URL("../../../bindings/node", import.meta.url));
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", "": "text/html" };

/** Serves the files of the package and an empty page, and passes WebSockets on to the site. */
async function servePackage(listener) {
  const server = createServer((request, response) => {
    const path = normalize(request.url);
    const body =
      path === "/"
        ? '<!doctype html><link rel="icon" href="data:,"><title>A program</title>'
        : readFileSync(join(PACKAGE, path));
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/plain" }).end(body);
  });
  const sockets = new Set();
  server.on("upgrade", ({ url, rawHeaders }, client, head) => {
    const site = net.connect(Number(listener.split(":").at(-1)), "127.0.0.1");
    const lines = rawHeaders.flatMap((name, at) => (at % 2 ? [] : [`${name}: ${rawHeaders[at + 1]}`]));
    site.write(`GET ${url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    site.write(head);
    site.pipe(client).pipe(site);
    for (const socket of [site, client]) sockets.add(socket.on("error", () => socket.destroy()));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    stop() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Runs in the page. */
async function use({ uri, name, passPhrase }) {
  const { connect, piecesOf, READS } = await import("/index.js");
  const site = await connect(`ws://${location.host}/session`, uri);
  const refused = await site.login(name, "a wrong pass phrase").catch(({ kind, code }) => ({ kind, code }));
  const session = await site.login(name, passPhrase);
  const me = await session.call("self show");
  const log = await session.stream("audit export");
  let bytes = 0;
  for await (const piece of piecesOf(log.takeContent())) bytes += piece.length;
  const resumed = await (
    await connect(`ws://${location.host}/session`, uri, { known: site.known })
  ).resume(session.resumption());
  const again = await resumed.call("self show");
  await resumed.logout();
  return { refused, name: me.name, again: again.name, bytes, reads: READS.includes("self.show") };
}

test("A page imports the npm package, logs in, reads content and resumes", async () => {
  const site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  const { listen } = await site.call("site.status");
  const served = await servePackage(listen.http);
  const browser = await launch();
  try {
    const { page, faults } = await openPage(browser);
    await page.goto(served.url);
    const { bytes, ...rest } = await page.evaluate(use, { uri: site.uri, ...ADMIN });
    assert.deepEqual(rest, {
      refused: { kind: "login", code: "not_authenticated" },
      name: "maria@local",
      again: "maria@local",
      reads: true,
    });
    assert.ok(bytes > 100);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    served.stop();
    await site.stop();
  }
});
