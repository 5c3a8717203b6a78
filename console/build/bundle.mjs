// Bundles the console into static files with hashed names, and measures them.
//
//   node build/bundle.mjs         dist/: the product
//   node build/bundle.mjs --dev   dist-dev/: the same screens on the bridge of dev/bridge.mjs
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dev = process.argv.includes("--dev");
const out = join(root, dev ? "dist-dev" : "dist");
/** JavaScript, styles and the page, compressed with gzip. */
const MAX_COMPRESSED = 90 * 1024;

/** What the server sends with each of the files. */
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const { metafile } = await build({
  entryPoints: [join(root, "src/main.tsx"), join(root, "src/style/console.css")],
  outdir: out,
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  alias: { "#site": join(root, dev ? "dev/bridge-site.ts" : "src/site/web.ts") },
  metafile: true,
  logLevel: "warning",
});

const made = Object.keys(metafile.outputs).map((path) => basename(path));
const script = made.find((name) => name.startsWith("main-") && name.endsWith(".js"));
const style = made.find((name) => name.endsWith(".css"));
const icon = readFileSync(join(root, "src/icon.svg"));
const iconName = `icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8).toUpperCase()}.svg`;
writeFileSync(join(out, iconName), icon);
const page = readFileSync(join(root, "src/index.html"), "utf8")
  .replace("{{script}}", script)
  .replace("{{style}}", style)
  .replace("{{icon}}", iconName);
writeFileSync(join(out, "index.html"), page);

let total = 0;
const files = {};
for (const name of readdirSync(out).sort()) {
  const bytes = readFileSync(join(out, name));
  const compressed = gzipSync(bytes, { level: 9 }).length;
  files[name] = {
    sha256: createHash("sha256").update(bytes).digest("hex"),
    bytes: bytes.length,
    // A hashed name never changes its content.
    immutable: name !== "index.html",
  };
  if (extname(name) !== ".wasm") total += compressed;
  process.stdout.write(`${String(bytes.length).padStart(8)} ${String(compressed).padStart(7)}  ${name}\n`);
}
writeFileSync(join(out, "manifest.json"), `${JSON.stringify({ headers: HEADERS, files }, null, 2)}\n`);
process.stdout.write(`${total} bytes compressed without WebAssembly, of at most ${MAX_COMPRESSED}\n`);
if (total > MAX_COMPRESSED) {
  process.stderr.write("the console is too large: remove what it does not need\n");
  process.exitCode = 1;
}
