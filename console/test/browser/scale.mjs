// Measures the search of the console: `node test/browser/scale.mjs [PEOPLE [ROUNDS]]`, by default 100,000 people and
// 3 rounds. Types each prefix letter by letter. Prints for each prefix the time of the site's answer alone, and of each
// round the time from the input of the last letter to the matches on the screen, in milliseconds; at the end the median
// and the longest of all. Fails if one exceeds the target. `COUNTERSIGN` names the program, that of the debug build by
// default.
import net from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

const WRITERS = 8;
/** The target, in milliseconds. */
const TARGET = 200;
/** The time between two letters of a fast typist, in milliseconds. */
const LETTER = 80;
const [count = 100_000, rounds = 3] = process.argv.slice(2).map(Number);
const NAMES = ["Anna", "Chen", "Grace", "Maria", "Tom"];
/** Many matches at the start and at the end of the list, few anywhere, one, those of a name, of a word in few names. */
const PREFIXES = ["p", "p3", "p30", "p3000", "p3000123", "p7", "p70001", "maria", "lind99"];

/** Creates people over one connection of the admin socket. */
async function create(site, writer, share) {
  const socket = net.connect(join(site.data, "admin.sock"));
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  for (let number = 0; number < share; number += 1) {
    const name = `p${writer}${String(number).padStart(6, "0")}`;
    const full_name = `${NAMES[number % NAMES.length]} Lind${number}`;
    const params = { name, full_name, email: `${name}@example.org` };
    socket.write(`${JSON.stringify({ id: 1, group: "person", command: "create", params })}\n`);
    const { code, data } = JSON.parse((await lines.next()).value);
    if (code !== 0) throw new Error(JSON.stringify(data));
  }
  socket.end();
}

/** The time of an answer at the admin socket: what the command line and a request over HTTP wait for at least. */
async function answer(site, search) {
  const begin = performance.now();
  await site.call("person.list", { search, limit: 50 });
  return Math.round(performance.now() - begin);
}

/** Types a prefix, in the page, and waits for the frame that shows its matches. */
async function search({ prefix, letter }) {
  const input = document.querySelector("input[type=search]");
  const type = (text) => {
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  for (let count = 1; count < prefix.length; count += 1) {
    type(prefix.slice(0, count));
    await new Promise((resolve) => setTimeout(resolve, letter));
  }
  const begin = performance.now();
  type(prefix);
  for (;;) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const rows = [...document.querySelectorAll("tbody tr")].map((row) => row.textContent.toLowerCase());
    const done = document.querySelector("section.card").getAttribute("aria-busy") === "false";
    if (done && rows.length > 0 && rows.every((row) => row.includes(prefix)))
      return performance.now() - begin;
  }
}

const site = await startSite();
try {
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  await Promise.all(
    Array.from({ length: WRITERS }, (_, writer) => create(site, writer, Math.ceil(count / WRITERS))),
  );
  const served = await startConsole(site);
  const browser = await launch();
  const { page } = await openPage(browser);
  await logIn(page, served.url, ADMIN.name, ADMIN.passPhrase);
  await page.goto(`${served.url}#/people`);
  await page.locator("td.name").first().waitFor();
  const took = new Map(PREFIXES.map((prefix) => [prefix, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [prefix, times] of took) {
      times.push(Math.round(await page.evaluate(search, { prefix, letter: LETTER })));
    }
  }
  for (const [prefix, times] of took) {
    process.stdout.write(
      `${prefix.padEnd(10)} ${await answer(site, prefix)} ms, shown: ${times.join(", ")} ms\n`,
    );
    if (Math.max(...times) > TARGET) process.exitCode = 1;
  }
  const all = [...took.values()].flat().sort((one, other) => one - other);
  process.stdout.write(`median ${all[all.length >> 1]} ms, longest ${all.at(-1)} ms\n`);
  await browser.close();
  await served.stop();
} finally {
  await site.stop();
}
