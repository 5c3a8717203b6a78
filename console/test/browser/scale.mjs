// Measures the search of the console: `node test/browser/scale.mjs [PEOPLE]`, 100,000 people by default.
// Prints the time from the input of a prefix to the matches on the screen, in milliseconds. Fails if one of
// them exceeds the target. `COUNTERSIGN` names the program, that of the debug build by default.
import net from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

const WRITERS = 8;
/** The target, in milliseconds. */
const TARGET = 200;
const count = Number(process.argv[2] ?? 100_000);

/** Creates people over one connection of the admin socket. */
async function create(site, writer, share) {
  const socket = net.connect(join(site.data, "admin.sock"));
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  for (let number = 0; number < share; number += 1) {
    const params = { name: `p${writer}${String(number).padStart(6, "0")}` };
    socket.write(`${JSON.stringify({ id: 1, group: "person", command: "create", params })}\n`);
    const { code, data } = JSON.parse((await lines.next()).value);
    if (code !== 0) throw new Error(JSON.stringify(data));
  }
  socket.end();
}

/** Types a prefix, in the page, and waits for the frame that shows its matches. */
async function search(prefix) {
  const input = document.querySelector("input[type=search]");
  const begin = performance.now();
  input.value = prefix;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  for (;;) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const names = [...document.querySelectorAll("td.name")].map((cell) => cell.textContent);
    const done = document.querySelector("section.card").getAttribute("aria-busy") === "false";
    if (done && names.length > 0 && names.every((name) => name.startsWith(prefix)))
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
  for (const prefix of ["p3", "p30", "p3000", "p3000123", "p7", "p70001"]) {
    const took = Math.round(await page.evaluate(search, prefix));
    process.stdout.write(`${prefix.padEnd(10)} ${took} ms\n`);
    if (took > TARGET) process.exitCode = 1;
  }
  await browser.close();
  await served.stop();
} finally {
  await site.stop();
}
