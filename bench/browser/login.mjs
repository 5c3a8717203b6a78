// Measures logins of the npm package in headless Chromium, against a site on this machine.
//
//   cargo build --release && scripts/build-web
//   node bench/browser/login.mjs [target/release/countersign] [ROUNDS]
//
// Prints the median of each time, in milliseconds. *stretching* is the longest time between a message of the
// site and the page's next one: Argon2id, and a millisecond of other arithmetic. *beyond* is the rest of the
// login. The page is loaded, and the module compiled, before the clock starts; *module* is that time.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect as open, createServer as listen } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const [program = 'target/release/countersign', rounds = '7'] = process.argv.slice(2);
const PASSPHRASE = 'a pass phrase for measurements';
const packageFolder = fileURLToPath(new URL('../../bindings/node', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'countersign-browser-'));
const children = [];

/** Runs in the page. */
async function measure(uri, passphrase, rounds) {
  const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
  const begin = performance.now();
  const { connect } = await import('/index.js');
  const url = `ws://${location.host}/session`;
  await connect(url, uri);
  const module = performance.now() - begin;
  let marks;
  class Timed extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', () => marks.push({ at: performance.now(), arrived: true }));
    }
    send(data) {
      marks.push({ at: performance.now(), arrived: false });
      super.send(data);
    }
  }
  const [whole, stretching] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    marks = [];
    const site = await connect(url, uri, { WebSocket: Timed });
    const started = performance.now();
    const session = await site.login('root', passphrase);
    whole.push(performance.now() - started);
    const pauses = marks.map((mark, n) =>
      !mark.arrived && marks[n - 1]?.arrived ? mark.at - marks[n - 1].at : 0,
    );
    stretching.push(Math.max(...pauses));
    await session.logout();
  }
  const beyond = whole.map((time, n) => time - stretching[n]);
  return { module, login: median(whole), stretching: median(stretching), beyond: median(beyond) };
}

async function freePort() {
  const server = listen().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts a new site. Returns its HTTP port and the ticket of its first admin. */
async function startSite(key) {
  const [session, device, http] = [await freePort(), await freePort(), await freePort()];
  const words = ['serve', '--data', join(folder, 'site'), '--passphrase-file', key];
  words.push('--session-listen', `127.0.0.1:${session}`, '--device-listen', `127.0.0.1:${device}`);
  words.push('--http-listen', `127.0.0.1:${http}`);
  const site = spawn(program, words, { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(site);
  let said = '';
  for await (const part of site.stdout) {
    said += part;
    const ticket = /countersign:\/\/\S+\/e#\S+/.exec(said);
    if (ticket) return { http, ticket: ticket[0] };
  }
  throw new Error(`${program} did not start a site: ${said}`);
}

/** Serves the package and the page, and passes WebSockets on to the site. */
async function serve(http, uri) {
  const results = Promise.withResolvers?.() ?? {};
  if (!results.promise) {
    results.promise = new Promise((resolve, reject) => Object.assign(results, { resolve, reject }));
  }
  const types = { '.js': 'text/javascript', '.wasm': 'application/wasm' };
  const args = [uri, PASSPHRASE, Number(rounds)].map((arg) => JSON.stringify(arg)).join(', ');
  const page = `<!doctype html><title>login</title><script type="module">
    const tell = (body) => fetch('/result', { method: 'POST', body: JSON.stringify(body) });
    (${measure})(${args}).then(tell, (error) => tell({ error: String(error) }));
  </script>`;
  const server = createServer(async (request, response) => {
    if (request.url === '/result') {
      let body = '';
      for await (const part of request) body += part;
      response.end();
      results.resolve(JSON.parse(body));
      return;
    }
    if (request.url === '/') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
      return;
    }
    const file = join(packageFolder, normalize(request.url));
    let bytes;
    try {
      bytes = readFileSync(file);
    } catch {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'text/plain' }).end(bytes);
  });
  server.on('upgrade', (request, client, head) => {
    const site = open(http, '127.0.0.1', () => {
      const { rawHeaders } = request;
      const lines = rawHeaders.flatMap((name, n) => (n % 2 ? [] : [`${name}: ${rawHeaders[n + 1]}`]));
      site.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      site.write(head);
      site.pipe(client).pipe(site);
    });
    for (const socket of [site, client]) socket.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, result: results.promise, address: `http://127.0.0.1:${server.address().port}/` };
}

try {
  const key = join(folder, 'key');
  writeFileSync(key, 'the pass phrase of the site key\n');
  const { http, ticket } = await startSite(key);
  const shown = spawnSync(program, ['site', 'status', '--data', join(folder, 'site'), '--json'], { encoding: 'utf8' });
  const uri = /countersign:\/\/[^"\s]+#[^"\s]+/.exec(shown.stdout)?.[0];
  if (!uri) throw new Error(`site status: ${shown.stdout}${shown.stderr}`);
  const { connect } = await import(join(packageFolder, 'index.js'));
  const site = await connect(`ws://127.0.0.1:${http}/session`, uri);
  await site.registerPassphrase(ticket, 'root', PASSPHRASE);
  const { server, result, address } = await serve(http, uri);
  const words = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  words.push(`--user-data-dir=${join(folder, 'chromium')}`, address);
  const chromium = spawn(process.env.CHROMIUM ?? 'chromium', words, { stdio: 'ignore' });
  children.push(chromium);
  const gone = once(chromium, 'exit').then(() => ({ error: 'Chromium ended before the page had a result' }));
  const measured = await Promise.race([result, gone]);
  server.close();
  if (measured.error) throw new Error(measured.error);
  for (const [name, time] of Object.entries(measured)) console.log(`${name.padEnd(12)}${time.toFixed(0).padStart(6)} ms`);
} finally {
  for (const child of children) {
    if (child.exitCode === null && child.kill()) await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
}
// Connections of the browser that were kept open do not matter any more.
process.exit();
