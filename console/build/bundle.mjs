// Bundles the console into static files with hashed names in `dist/`, and measures them.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = join(root, "dist");
/** JavaScript, styles and the page, compressed with gzip. */
const MAX_COMPRESSED = 92 * 1024;
/** The same with the client in WebAssembly. Brotli is smaller; browsers ask for it over TLS and on this machine. */
const MAX_COMPRESSED_WHOLE = 350 * 1024;

/** What the server sends with each of the files. */
const HEADERS = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    // The one policy that the page makes, once: it admits the file of its worker (src/site/web.ts).
    "trusted-types countersign-worker",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** What `scripts/build-web` writes. */
const client = join(root, "../bindings/node/dist");
const withClient = existsSync(join(client, "countersign_bg.wasm"));

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Copies a file under a name with its digest. */
function place(from, name) {
  const bytes = readFileSync(from);
  const hashed = name.replace(/(\.\w+)$/, `-${digest(bytes).slice(0, 8).toUpperCase()}$1`);
  writeFileSync(join(out, hashed), bytes);
  return hashed;
}

/** Bundles entry points, and returns the names of what was written. */
async function bundle(entryPoints, more) {
  const { metafile } = await build({
    entryPoints: entryPoints.map((entry) => join(root, entry)),
    outdir: out,
    entryNames: "[name]-[hash]",
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    metafile: true,
    logLevel: "warning",
    ...more,
  });
  return Object.keys(metafile.outputs).map((path) => basename(path));
}

mkdirSync(out, { recursive: true });
// The folder itself stays: the build of the binary watches it.
for (const name of readdirSync(out)) if (!name.startsWith(".")) rmSync(join(out, name), { recursive: true });

let worker = "";
if (withClient) {
  const wasm = place(join(client, "countersign_bg.wasm"), "client.wasm");
  [worker] = await bundle(["src/site/worker.ts"], {
    alias: { "#client": join(client, "countersign.js") },
    define: { WASM_FILE: JSON.stringify(wasm) },
  });
} else {
  process.stderr.write(
    "warning: there is no client in bindings/node/dist, so this console cannot log in: run scripts/build-web first\n",
  );
}
const made = await bundle(["src/main.tsx", "src/style/console.css"], {
  define: { WORKER_FILE: JSON.stringify(worker) },
});
const script = made.find((name) => name.endsWith(".js"));
const style = made.find((name) => name.endsWith(".css"));
const page = readFileSync(join(root, "src/index.html"), "utf8")
  .replace("{{script}}", script)
  .replace("{{style}}", style)
  .replace("{{icon}}", place(join(root, "src/icon.svg"), "icon.svg"));
writeFileSync(join(out, "index.html"), page);

// A server that embeds the files compresses nothing itself.
const codings = {
  gz: (bytes) => gzipSync(bytes, { level: 9 }),
  br: (bytes) =>
    brotliCompressSync(bytes, {
      params: {
        [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      },
    }),
};
/** The sums of all files, and of those that are not WebAssembly. */
const whole = { gz: 0, br: 0 };
const pages = { gz: 0, br: 0 };
const files = {};
process.stdout.write("   bytes    gzip  brotli\n");
for (const name of readdirSync(out).sort()) {
  if (name.startsWith(".")) continue;
  const bytes = readFileSync(join(out, name));
  const sizes = [bytes.length];
  for (const [coding, compress] of Object.entries(codings)) {
    const compressed = compress(bytes);
    writeFileSync(join(out, `${name}.${coding}`), compressed);
    sizes.push(compressed.length);
    whole[coding] += compressed.length;
    if (extname(name) !== ".wasm") pages[coding] += compressed.length;
  }
  files[name] = {
    sha256: digest(bytes),
    bytes: bytes.length,
    // A hashed name never changes its content.
    immutable: name !== "index.html",
  };
  process.stdout.write(`${sizes.map((size) => String(size).padStart(8)).join("")}  ${name}\n`);
}
writeFileSync(
  join(out, "manifest.json"),
  `${JSON.stringify({ client: withClient, headers: HEADERS, files }, null, 2)}\n`,
);
process.stdout.write(
  `without WebAssembly: ${pages.gz} bytes with gzip, of at most ${MAX_COMPRESSED}; ${pages.br} with Brotli\n` +
    `in all: ${whole.gz} bytes with gzip, of at most ${MAX_COMPRESSED_WHOLE}; ${whole.br} with Brotli\n`,
);
if (pages.gz > MAX_COMPRESSED || whole.gz > MAX_COMPRESSED_WHOLE) {
  process.stderr.write("the console is too large: remove what it does not need\n");
  process.exitCode = 1;
}
