// A real site in a temporary folder, the console on it, and a browser.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { record } from "./recorder.mjs";

/** The program; `COUNTERSIGN` names another one. */
export const PROGRAM =
  process.env.COUNTERSIGN ?? fileURLToPath(new URL("../../../target/debug/countersign", import.meta.url));
const listen = (of, address = "127.0.0.1:0") => [`--${of}-listen`, address];
const LISTEN = ["session", "device", "http"].flatMap((of) => listen(of));

/** Reads lines until one answers. Rejects if the stream ends first. */
async function line(stream, wanted) {
  for await (const text of createInterface({ input: stream })) {
    const found = wanted(text);
    if (found !== undefined) return found;
  }
  throw new Error("the program ended before it was ready");
}

/** Starts a site. `zone` is that of its account names, `peer` the address of its peer server. */
export async function startSite(zone = "local", peer) {
  const folder = mkdtempSync(join(tmpdir(), "console-site-"));
  const file = (name, content) => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const passphrase = file("passphrase", "the pass phrase of the site key");
  const data = join(folder, "site");
  const child = spawn(
    PROGRAM,
    [
      ...["serve", "--new", "--json", "--zone", zone, "--data", data, "--passphrase-file", passphrase],
      ...[...LISTEN, ...listen("peer", peer)],
    ],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const [ticket, uri] = await Promise.all([
    line(child.stdout, (text) => JSON.parse(text).admin_ticket),
    line(child.stderr, (text) => /^The site is at (\S+)/.exec(text)?.[1]),
  ]);
  child.stdout.resume();
  child.stderr.resume();

  /** Calls one operation at the admin socket. */
  async function call(operation, params = {}) {
    const [group, command] = operation.split(".");
    const socket = net.connect(join(data, "admin.sock"));
    socket.end(`${JSON.stringify({ id: 1, group, command, params })}\n`);
    const result = JSON.parse(await line(socket, (text) => text));
    if (result.code !== 0) throw new Error(`${operation}: ${JSON.stringify(result.data)}`);
    return result.data;
  }

  /** Runs the command line. */
  async function run(words, env = {}, input = "") {
    const process_ = spawn(PROGRAM, [...words, "--yes"], {
      env: {
        ...process.env,
        COUNTERSIGN_SITE: uri,
        COUNTERSIGN_DATA: data,
        COUNTERSIGN_CONFIG_HOME: join(folder, "config"),
        ...env,
      },
      stdio: ["pipe", "pipe", "pipe"],
      cwd: folder,
    });
    let out = "";
    let err = "";
    process_.stdout.on("data", (piece) => (out += piece));
    process_.stderr.on("data", (piece) => (err += piece));
    process_.stdin.end(input);
    const [code] = await once(process_, "close");
    if (code !== 0) throw new Error(`countersign ${words.join(" ")}: ${err}`);
    return out;
  }

  return {
    folder,
    data,
    uri,
    ticket,
    /** The id of its process. */
    pid: child.pid,
    file,
    call,
    run,
    /** Creates a person with a pass phrase. */
    async person(name, passPhrase, more = {}) {
      await call("person.create", { name, ...more });
      await run(["person", "passphrase", name, "--passphrase-file", file(`new-${name}`, passPhrase)]);
    },
    async stop() {
      child.kill();
      await once(child, "close");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Starts a temporary site. Returns the link that it prints. */
export async function startDev() {
  const child = spawn(PROGRAM, ["dev", "--json", ...LISTEN, ...listen("peer")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const link = await line(child.stdout, (text) => JSON.parse(text).console);
  return {
    link,
    async stop() {
      child.kill();
      await once(child, "close");
    },
  };
}

/** The console of a site, as the program serves it. `recorded` gets all bytes that browsers send. */
export async function startConsole(site, recorded, port) {
  const { listen } = await site.call("site.status");
  const console_ = await record(listen.http, recorded, port);
  const { status } = await fetch(console_.url);
  if (status !== 200)
    throw new Error("the program has no console: run `scripts/build-web`, `npm run build` and `cargo build`");
  return console_;
}

/** Starts `countersign console`. Returns what it prints: `url`, and what it knows of the site. */
export async function startRelay(words, env = {}) {
  const child = spawn(PROGRAM, ["console", "--output", "jsonl", ...words], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, ...env },
  });
  const shown = await line(child.stdout, (text) => JSON.parse(text));
  return {
    ...shown,
    async stop() {
      child.kill("SIGINT");
      await once(child, "close");
    },
  };
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
}

/** A page that counts what must not happen: script errors and violations of the content security policy. */
export async function openPage(
  browser,
  { width = 1440, height = 900, scheme = "light", language = "en-GB" } = {},
) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    locale: language,
    reducedMotion: "reduce",
    permissions: ["clipboard-write", "clipboard-read"],
  });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (
      message.type() === "error" &&
      !/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE/.test(message.text())
    )
      faults.push(`console: ${message.text()}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  return { page, context, faults };
}

export async function logIn(page, url, name, passPhrase) {
  await page.goto(url);
  await fillLogin(page, name, passPhrase);
}

/** Fills in the login that the page shows. */
export async function fillLogin(page, name, passPhrase) {
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel(/^(Pass phrase|Passphrase)$/).fill(passPhrase);
  await page.getByRole("button", { name: /^(Log in|Anmelden)$/ }).click();
  await page.locator("main.screen h1").waitFor();
}
