// Each of the three parties of Serveros 0.3, written only from a description of the wire protocol,
// because there is no package. Checks that it omits are also omitted by Serveros.
//
//   node serveros.mjs '{"role": "master" | "provider" | "consumer", "now": ms, …}'
//
// A server prints its port. A consumer prints a response for each line of JSON on its input.
import crypto from "node:crypto";
import http from "node:http";
import { createInterface } from "node:readline";

const config = JSON.parse(process.argv[2]);
const now = () => config.now;
const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const bytes = (text) => Buffer.from(text, "base64");
const nonce = () => Math.floor(Math.random() * (2 ** 53 - 1)) + 1;

class Refused extends Error {
  constructor(status, message, additionalInformation) {
    super(message);
    this.body = { status, message, additionalInformation };
  }
}

const unsupported = (status, what, requested, supported) =>
  new Refused(status, `An unsupported ${what} was encountered`, { requested, supported });

function fresh(ts) {
  if (!ts || Math.abs(now() - ts) > 60000)
    throw new Refused(401, "Stale Authentication Request.", { ServerClock: now() });
}

// Messages

function encipher(cipher, key, iv, message) {
  const by = crypto.createCipheriv(cipher, key, iv);
  return base64(Buffer.concat([by.update(JSON.stringify(message), "utf8"), by.final()]));
}

function decipher(cipher, key, iv, text) {
  const by = crypto.createDecipheriv(cipher, key, iv).setAutoPadding(false);
  const padded = Buffer.concat([by.update(bytes(text)), by.final()]).toString("utf8");
  const padding = /(?:([\u0000-\u001f])\1*|\u0080\u0000*|\u0000+[\u0001-\u001f])$/;
  return JSON.parse(padded.replace(padding, ""));
}

const oaep = (key) => ({ key, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" });

function drawn(cipher) {
  const { keyLength, ivLength } = crypto.getCipherInfo(cipher);
  return [crypto.randomBytes(keyLength), crypto.randomBytes(ivLength)];
}

function seal(cipher, hash, to, message) {
  const [key, iv] = drawn(cipher);
  const lock = JSON.stringify({ key: base64(key), iv: base64(iv), algorithm: cipher });
  const locked = crypto.publicEncrypt(oaep(to), Buffer.from(lock));
  const text = `${encipher(cipher, key, iv, message)}:${base64(locked)}`;
  return { message: text, signature: base64(crypto.sign(hash, Buffer.from(text), config.key)) };
}

function open({ message }) {
  const [text, lock] = message.split(":");
  const { key, iv, algorithm } = JSON.parse(crypto.privateDecrypt(oaep(config.key), bytes(lock)));
  if (!config.ciphers.includes(algorithm)) throw unsupported(409, "cipher", algorithm, config.ciphers);
  return decipher(algorithm, bytes(key), bytes(iv), text);
}

function verify({ message, signature }, hash, signer) {
  if (!config.hashes.includes(hash)) throw unsupported(490, "hash", hash, config.hashes);
  if (!crypto.verify(hash, Buffer.from(message), signer, bytes(signature)))
    throw new Refused(500, "Verifier Returned False.");
}

function choose(first, second) {
  if (!first.length || !second.length) return first[0] ?? second[0] ?? null;
  if (first[0] === second[0]) return first[0];
  const [long, short] = first.length < second.length ? [second, first] : [first, second];
  let [best, least] = [null, Infinity];
  short.forEach((item, at) => {
    const there = long.indexOf(item);
    if (there >= 0 && at + there < least) [best, least] = [item, at + there];
  });
  return best;
}

// Hawk 1

function mac({ key, algorithm }, { ts, nonce, hash = "", ext = "" }, method, url) {
  const port = url.port || (url.protocol === "https:" ? 443 : 80);
  const target = url.pathname + url.search;
  const parts = ["hawk.1.header", ts, nonce, method, target, url.hostname, port, hash, ext];
  const text = parts.map((part) => `${part}\n`).join("");
  return crypto.createHmac(algorithm, key).update(text).digest("base64");
}

function hawk(credentials, method, url, payload) {
  const once = { ts: Math.floor(now() / 1000), nonce: crypto.randomBytes(4).toString("hex") };
  const hashed = (text) => crypto.createHash(credentials.algorithm).update(text).digest("base64");
  if (payload != null) once.hash = hashed(`hawk.1.payload\ntext/plain\n${payload}\n`);
  const fields = { id: credentials.id, ...once, mac: mac(credentials, once, method, url) };
  return `Hawk ${Object.entries(fields).map(([name, value]) => `${name}="${value}"`).join(", ")}`;
}

// The master

function answer(authRequest) {
  const sealed = JSON.parse(authRequest);
  const request = open(sealed);
  fresh(request.ts);
  const known = (id, type) => {
    const entry = config.registry[id];
    if (!entry) throw new Refused(422, "Application resolution failed.", { type, cause: null });
    return entry;
  };
  const requester = known(request.requester, "requester");
  verify(sealed, request.hash, requester.publicKey);
  const requested = known(request.requested, "requested");
  const cipher = choose(requester.ciphers, requested.ciphers);
  const hash = choose(requester.hashes, requested.hashes);
  const [key, iv] = drawn(cipher).map(base64);
  const both = {
    requester: request.requester, requested: requested.id,
    serverNonce: nonce(), requesterNonce: request.nonce,
    id: base64(crypto.randomBytes(64)), secret: base64(crypto.randomBytes(64)),
  };
  const oneTimeCredentials = { key, iv, cipher, hash };
  const [ts, expires] = [now(), request.ts + requested.keysLast];
  const to = ({ ciphers }) => choose(config.ciphers, ciphers);
  const ticket = { ...both, oneTimeCredentials, hash, ts, expires, authData: requester.authData };
  const own = choose(config.hashes, requester.hashes);
  return seal(to(requester), own, requester.publicKey, {
    ...both, ts, oneTimeCredentials, hash: own, expires,
    ticket: seal(to(requested), hash, requested.publicKey, ticket),
  });
}

// The provider

let stored = new Map();

function accept({ id, ticket: sealed }) {
  const ticket = open(sealed);
  verify(sealed, ticket.hash, config.master);
  const { key, iv, cipher } = ticket.oneTimeCredentials;
  if (!config.ciphers.includes(cipher)) throw unsupported(409, "cipher", cipher, config.ciphers);
  const object = decipher(cipher, bytes(key), bytes(iv), id);
  const { serverNonce, requesterNonce, finalNonce } = object;
  if (serverNonce !== ticket.serverNonce || requesterNonce !== ticket.requesterNonce)
    throw new Refused(403, "Nonces don't match");
  fresh(ticket.ts);
  stored.set(ticket.id, ticket);
  const nonces = { serverNonce, requesterNonce, finalNonce, ts: now() };
  return { message: encipher(cipher, bytes(key), bytes(object.iv), nonces) };
}

function authenticated({ method, url, headers }) {
  const header = headers.authorization ?? "";
  const given = Object.fromEntries([...header.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
  const ticket = stored.get(given.id);
  if (!ticket) return { "Auth Error": "No Credentials Found." };
  if (now() > ticket.expires) return { "Auth Error": "Credentials Expired" };
  const credentials = { key: ticket.secret, algorithm: ticket.hash };
  if (mac(credentials, given, method, new URL(url, `http://${headers.host}`)) !== given.mac)
    return { "Auth Error": "Bad mac" };
  if (Math.abs(now() / 1000 - given.ts) > 60) return { "Auth Error": "Stale timestamp" };
  return { "Authed As": ticket.requester, "Auth Data": ticket.authData };
}

// HTTP

const roles = {
  master: (request, url) => answer(url.searchParams.get("authRequest")),
  provider: (request, url, body) => {
    if (url.pathname === "/authenticate") return accept(JSON.parse(body));
    if (url.pathname === "/forget") return stored.clear() ?? {};
    const authentication = authenticated(request);
    // Serveros leaves this to the service.
    if (authentication["Auth Error"]) throw Object.assign(new Error(), { body: { status: 401, ...authentication } });
    return authentication;
  },
};

async function serve(request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const url = new URL(request.url, `http://${request.headers.host}`);
  const json = { "content-type": "application/json; charset=utf-8" };
  try {
    const said = roles[config.role](request, url, body);
    response.writeHead(200, json).end(JSON.stringify(said));
  } catch (error) {
    const said = error.body ?? { status: 500, message: "An Error was encountered" };
    response.writeHead(said.status, json).end(JSON.stringify(said));
  }
}

// The consumer

async function credentials() {
  let [cipher, hash] = [config.ciphers[0], config.hashes[0]];
  for (let asked = 1; ; asked++) {
    const request = {
      requester: config.id, requested: config.requested, nonce: nonce(), ts: now(), hash,
      supportedHashes: config.hashes, supportedCiphers: config.ciphers,
    };
    const sealed = encodeURIComponent(JSON.stringify(seal(cipher, hash, config.master, request)));
    const answered = await fetch(`${config.site}/authenticate?authRequest=${sealed}`);
    const body = await answered.json();
    if (answered.status === 200) return present(body, request, asked);
    const supported = body.additionalInformation?.supported ?? [];
    const next = (own) => own.find((name) => supported.includes(name));
    if (answered.status === 409 && asked < 5) cipher = next(config.ciphers);
    else if (answered.status === 490 && asked < 5) hash = next(config.hashes);
    else throw Object.assign(new Error(), { body });
  }
}

async function present(sealed, request, asked) {
  const response = open(sealed);
  verify(sealed, response.hash, config.master);
  if (response.requesterNonce !== request.nonce) throw new Refused(403, "Nonces don't match");
  fresh(response.ts);
  const { key, iv, cipher } = response.oneTimeCredentials;
  const back = drawn(cipher)[1];
  const { serverNonce, requesterNonce, ticket } = response;
  const nonces = { serverNonce, requesterNonce, finalNonce: nonce() };
  const object = { id: config.id, ...nonces, iv: base64(back), ts: now() };
  const answered = await fetch(`${config.provider}/authenticate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: encipher(cipher, bytes(key), bytes(iv), object), ticket }),
  });
  const body = await answered.json();
  if (answered.status !== 200) throw Object.assign(new Error(), { body });
  const acknowledged = decipher(cipher, bytes(key), back, body.message);
  for (const name of Object.keys(nonces))
    if (acknowledged[name] !== nonces[name]) throw new Refused(403, "Nonces don't match");
  return { id: response.id, key: response.secret, algorithm: response.hash, asked };
}

async function call(shared, { method, path, body, payload }) {
  const url = new URL(config.provider + path);
  const authorization = hawk(shared, method, url, payload);
  const headers = { authorization, "content-type": "text/plain" };
  const answered = await fetch(url, { method, headers, body });
  return { asked: shared.asked, status: answered.status, body: await answered.text() };
}

const say = (said) => console.log(JSON.stringify(said));

if (config.role === "consumer") {
  const shared = await credentials().catch((error) => ({ refused: error.body ?? String(error) }));
  for await (const line of createInterface({ input: process.stdin }))
    say(shared.refused ? { refused: shared.refused } : await call(shared, JSON.parse(line)));
} else {
  const server = http.createServer(serve);
  server.listen(0, "127.0.0.1", () => say({ port: server.address().port }));
}
