// Development and tests only. Serves `dist/` on loopback as the site and `countersign console` do: the files with
// their headers, `site.json` with the URI of the site, and `/session`, whose bytes it relays to the site's HTTP
// listener unchanged.
//
//   COUNTERSIGN_SITE=countersign://… node dev/serve.mjs HTTP-LISTENER [PORT]
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [listener, port = "8787"] = process.argv.slice(2);
const files = fileURLToPath(new URL("../dist/", import.meta.url));
const manifest = JSON.parse(readFileSync(join(files, "manifest.json"), "utf8"));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm" };

const server = http.createServer((request, answer) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const name = pathname === "/" ? "index.html" : pathname.slice(1);
  if (name === "site.json") {
    answer.writeHead(200, { ...manifest.headers, "content-type": "application/json" }).end(JSON.stringify({ uri: process.env.COUNTERSIGN_SITE }));
  } else if (Object.hasOwn(manifest.files, name)) {
    const cache = manifest.files[name].immutable ? "public, max-age=31536000, immutable" : "no-cache";
    answer.writeHead(200, { ...manifest.headers, "content-type": TYPES[extname(name)], "cache-control": cache }).end(readFileSync(join(files, name)));
  } else answer.writeHead(404, manifest.headers).end();
});

server.on("upgrade", (request, client, head) => {
  const [host, at] = [listener.slice(0, listener.lastIndexOf(":")), Number(listener.slice(listener.lastIndexOf(":") + 1))];
  const site = net.connect(at, host, () => {
    const lines = [`GET /session HTTP/1.1`];
    // The site compares the origin with its own.
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      const key = request.rawHeaders[index];
      const value = { host: listener, origin: `http://${listener}` }[key.toLowerCase()] ?? request.rawHeaders[index + 1];
      lines.push(`${key}: ${value}`);
    }
    site.write(`${lines.join("\r\n")}\r\n\r\n`);
    site.write(head);
    site.pipe(client).pipe(site);
  });
  for (const end of [site, client]) end.on("error", () => (site.destroy(), client.destroy()));
});

server.listen(Number(port), "127.0.0.1", () => process.stdout.write(`The console is at http://127.0.0.1:${server.address().port}/\n`));
