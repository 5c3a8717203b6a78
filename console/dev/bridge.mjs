// Development only. Serves `dist-dev/` on loopback and relays operations to a real site on this
// machine: to its admin socket for admins, and through the command line for everything that needs
// a session of one's own (login, `self`, members). Nothing here is canned.
//
//   COUNTERSIGN=…/countersign COUNTERSIGN_DATA=…/site COUNTERSIGN_SITE=countersign://… node dev/bridge.mjs [PORT]
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { isOwn } from "./own-pages.mjs";

const { COUNTERSIGN = "countersign", COUNTERSIGN_DATA = "./site", COUNTERSIGN_SITE } = process.env;
const files = fileURLToPath(new URL("../dist-dev/", import.meta.url));
const { headers } = JSON.parse(readFileSync(join(files, "manifest.json"), "utf8"));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};
const sessions = new Map();

/** Calls one operation at the admin socket. */
function local(operation, params) {
  const [group, command] = operation.split(".");
  return new Promise((resolve, reject) => {
    const socket = net.connect(join(COUNTERSIGN_DATA, "admin.sock"));
    let text = "";
    socket.on("error", reject);
    socket.on("data", (piece) => {
      text += piece;
      const lines = text.split("\n");
      if (lines.length < 2) return;
      const result = JSON.parse(lines[0]);
      if (result.content && lines.at(-2) !== '"end"') return;
      socket.end();
      const pieces = lines.slice(1, -2).map((line) => Buffer.from(JSON.parse(line).piece, "base64"));
      resolve({ ...result, pieces: Buffer.concat(pieces).toString("base64") });
    });
    socket.write(`${JSON.stringify({ id: 1, group, command, params })}\n`);
  });
}

/** Runs the command line with secrets in files that are removed afterwards. */
async function cli(words, secrets, input = "") {
  const folder = mkdtempSync(join(tmpdir(), "bridge-"));
  try {
    const env = { ...process.env, COUNTERSIGN_SITE, COUNTERSIGN_CONFIG_HOME: folder };
    for (const [name, secret] of Object.entries(secrets)) {
      writeFileSync(join(folder, name), secret, { mode: 0o600 });
      env[name] = join(folder, name);
    }
    return await new Promise((resolve) => {
      const child = spawn(COUNTERSIGN, [...words, "--yes"], { env });
      let out = "";
      let err = "";
      child.stdout.on("data", (piece) => (out += piece));
      child.stderr.on("data", (piece) => (err += piece));
      child.on("close", (code) => resolve({ code, out, err }));
      child.stdin.end(input);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Words for one operation of the command line. */
const own = (session, operation, params, prove = false) =>
  cli(
    [
      "call",
      "--json",
      "--as",
      session.name,
      ...(prove ? ["--prove"] : []),
      "--params-file",
      "-",
      ...operation.split("."),
    ],
    { COUNTERSIGN_PERSON_PASSPHRASE_FILE: session.passPhrase },
    JSON.stringify(params ?? {}),
  );

function outcome({ code, out, err }) {
  if (code === 0) return { data: out.trim() ? JSON.parse(out) : null };
  const line = err.trim().split("\n").at(-1);
  let failure;
  try {
    failure = JSON.parse(line);
    failure = failure.error ?? failure;
  } catch {
    failure = { code: "internal", message: line };
  }
  return { failure };
}

/** What a local admin and the person may call: this bridge does both. */
async function operations(session, params) {
  const [admin, person] = await Promise.all([
    local("operation.list", params),
    own(session, "operation.list", params),
  ]);
  const known = new Map();
  for (const list of [admin.data, outcome(person).data])
    for (const each of list?.operations ?? []) known.set(`${each.group}.${each.command}`, each);
  return { data: { operations: [...known.values()] } };
}

const handlers = {
  async login({ name, passPhrase }) {
    const session = { name, passPhrase, streams: new Set() };
    const answer = outcome(await own(session, "self.show"));
    if (answer.failure) return answer;
    session.role = answer.data.role;
    session.name = answer.data.name;
    const id = randomUUID();
    sessions.set(id, session);
    return { data: id };
  },
  async register({ ticket, id, passPhrase }) {
    return outcome(
      await cli(
        ["passphrase", "set", "-", "--json", "--id", id],
        { COUNTERSIGN_NEW_PASSPHRASE_FILE: passPhrase },
        ticket,
      ),
    );
  },
  async resume(_, session) {
    return session ? { data: null } : { ended: "expired" };
  },
  async logout(_, session, id) {
    session?.stop?.();
    sessions.delete(id);
    return { data: null };
  },
  async prove({ passPhrase }, session) {
    session.proof = passPhrase;
    return { data: null };
  },
  async change({ current, next }, session) {
    const answer = outcome(
      await cli(["passphrase", "change", "--json", "--as", session.name], {
        COUNTERSIGN_PERSON_PASSPHRASE_FILE: current,
        COUNTERSIGN_NEW_PASSPHRASE_FILE: next,
      }),
    );
    if (!answer.failure) session.passPhrase = next;
    return answer;
  },
  async call({ operation, params }, session) {
    if (!session)
      return { ended: "expired", failure: { code: "not_logged_in", message: "the session is over" } };
    const mine =
      operation.startsWith("self.") ||
      (operation === "alarm.preferences" && !params.person) ||
      operation === "alarm.test";
    if (session.role !== "admin" || mine) {
      const proof = session.proof;
      session.proof = undefined;
      if (proof !== undefined && proof !== session.passPhrase) {
        return {
          failure: { code: "wrong_passphrase", message: "the pass phrase is wrong", field: "current" },
        };
      }
      return outcome(await own(session, operation, params, proof !== undefined));
    }
    if (operation === "operation.list") return operations(session, params);
    const result = await local(operation, params);
    if (result.code !== 0) return { failure: result.data };
    return { data: result.content ? { data: result.data, content: result.pieces } : result.data };
  },
};

/** Sends the events of alarms: `alarm watch` holds a session open for them. */
function listen(session, answer) {
  answer.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  answer.write(": open\n\n");
  session.streams.add(answer);
  answer.on("close", () => session.streams.delete(answer));
  if (session.watcher) return;
  const folder = mkdtempSync(join(tmpdir(), "bridge-"));
  writeFileSync(join(folder, "p"), session.passPhrase, { mode: 0o600 });
  const child = spawn(
    COUNTERSIGN,
    ["alarm", "watch", "-o", "jsonl", "--as", session.name, "--passphrase-file", join(folder, "p")],
    {
      env: { ...process.env, COUNTERSIGN_SITE, COUNTERSIGN_CONFIG_HOME: folder },
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  session.watcher = child;
  session.stop = () => {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  let text = "";
  child.stdout.on("data", (piece) => {
    text += piece;
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines) {
      const { event, alarm } = JSON.parse(line);
      // What was open before is no event.
      if (event === "open") continue;
      for (const stream of session.streams)
        stream.write(`data: ${JSON.stringify({ group: "alarm", event, data: alarm })}\n\n`);
    }
  });
  child.on("close", (code) => {
    rmSync(folder, { recursive: true, force: true });
    session.watcher = undefined;
    if (code === null) return;
    // The session of the watcher was cut or its account was locked, so this session is over too.
    for (const [id, other] of sessions) if (other === session) sessions.delete(id);
    for (const stream of session.streams) stream.end(`data: ${JSON.stringify({ ended: "cut" })}\n\n`);
  });
}

async function respond(request, answer) {
  if (!isOwn(request, server.address().port, request.method !== "GET")) {
    answer.writeHead(421, { connection: "close" }).end();
    return;
  }
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/bridge/events") {
    const session = sessions.get(url.searchParams.get("session"));
    if (session) return listen(session, answer);
    answer.writeHead(204).end();
    return;
  }
  if (url.pathname.startsWith("/bridge/") && request.method === "POST") {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const id = request.headers["x-session"];
    const handler = handlers[url.pathname.slice("/bridge/".length)];
    const value = await handler(JSON.parse(Buffer.concat(pieces)), sessions.get(id), id);
    answer.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    return;
  }
  const path = normalize(url.pathname === "/" ? "/index.html" : url.pathname);
  const body = readFileSync(join(files, path));
  answer
    .writeHead(200, { ...headers, "content-type": TYPES[extname(path)] ?? "application/octet-stream" })
    .end(body);
}

const server = http.createServer((request, answer) => {
  respond(request, answer).catch((error) => {
    if (!answer.headersSent) answer.writeHead(error.code === "ENOENT" ? 404 : 500);
    answer.end(String(error.message));
  });
});
server.listen(Number(process.argv[2] ?? 8787), "127.0.0.1", () => {
  process.stdout.write(`The console is at http://127.0.0.1:${server.address().port}/\n`);
});
process.on("SIGTERM", () => {
  for (const session of sessions.values()) session.stop?.();
  process.exit(0);
});
