// Development and tests only. Serves `dist/` on loopback as the site and `countersign console` do: the files with
// their headers, `site.json` with the URI of the site, and `/session`, whose bytes it relays to the site's HTTP
// listener unchanged.
//
//   COUNTERSIGN_SITE=countersign://… node dev/serve.mjs HTTP-LISTENER [PORT]
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isOwn } from "./own-pages.mjs";

const files = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** Starts the server. `sent` is called with all bytes that the browser sends. */
export async function serve({ listener, uri, port = 0, sent = () => {} }) {
  const manifest = JSON.parse(readFileSync(join(files, "manifest.json"), "utf8"));
  const sockets = new Set();
  const server = http.createServer((request, answer) => {
    if (!isOwn(request, server.address().port)) return answer.writeHead(421, { connection: "close" }).end();
    const { pathname } = new URL(request.url, "http://localhost");
    sent(Buffer.from(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`));
    request.on("data", sent);
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    if (name === "site.json") {
      answer
        .writeHead(200, { ...manifest.headers, "content-type": "application/json" })
        .end(JSON.stringify({ uri }));
    } else if (Object.hasOwn(manifest.files, name)) {
      const cache = manifest.files[name].immutable ? "public, max-age=31536000, immutable" : "no-cache";
      answer
        .writeHead(200, { ...manifest.headers, "content-type": TYPES[extname(name)], "cache-control": cache })
        .end(readFileSync(join(files, name)));
    } else answer.writeHead(404, manifest.headers).end();
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (request, client, head) => {
    if (!isOwn(request, server.address().port, true))
      return client.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n");
    const { hostname, port: at } = new URL(`http://${listener}`);
    const site = net.connect(Number(at), hostname, () => {
      const lines = ["GET /session HTTP/1.1"];
      // The site compares the origin of the page with its own.
      const ours = { host: listener, origin: `http://${listener}` };
      for (let index = 0; index < request.rawHeaders.length; index += 2) {
        const key = request.rawHeaders[index];
        lines.push(`${key}: ${ours[key.toLowerCase()] ?? request.rawHeaders[index + 1]}`);
      }
      site.write(`${lines.join("\r\n")}\r\n\r\n`);
      site.write(head);
      client.on("data", sent);
      site.pipe(client).pipe(site);
    });
    for (const end of [site, client]) {
      end.on("error", () => {});
      end.on("close", () => (site.destroy(), client.destroy()));
    }
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    port: server.address().port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [listener, port = "8787"] = process.argv.slice(2);
  const { url } = await serve({ listener, uri: process.env.COUNTERSIGN_SITE, port: Number(port) });
  process.stdout.write(`The console is at ${url}\n`);
}
