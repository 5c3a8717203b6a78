// What a verification of the audit log shows.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { ADMIN, introduce } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, other, console_, browser, page, faults;

before(async () => {
  site = await startSite();
  other = await startSite("example.org");
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  console_ = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  await page.goto(`${console_.url}#/audit`);
  await page.getByRole("heading", { name: "Audit log", level: 1 }).waitFor();
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await other?.stop();
  await site?.stop();
});

/** What an attacker with access to the machine does. */
const alter = (sql) =>
  execFileSync("python3", [
    "-c",
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=60); c.executescript(sys.argv[2])",
    `${site.data}/site.db`,
    sql,
  ]);

/** Neither was shown, and the peers could not be asked. */
test("A verification shows what the site signed, and what each peer saw", async () => {
  await site.call("lockdown.site", { level: "enrolment" });
  await site.call("lockdown.lift", { site: true });
  await page.getByRole("button", { name: "Verify with peers" }).click();
  await page.getByText("No peer has seen the log").waitFor();
  const { signed } = await site.call("audit.verify", {});
  await page.getByText(`Up to entry ${signed.entry}, with the key of event 0`).waitFor();

  await introduce(site, other);
  await page.getByRole("button", { name: "Verify with peers" }).click();
  const row = page.getByRole("table", { name: "What peers saw" }).getByRole("row");
  await row.getByRole("link", { name: "example.org" }).waitFor();
  await row.getByText(/^(Answered|No answer)$/).waitFor();
});

/** "Entry 0 was altered." */
test("A log that is not as the site signed it is said to be that", async () => {
  alter("INSERT INTO audit_signature VALUES (3, zeroblob(152))");
  await page.getByRole("button", { name: "Verify the log" }).click();
  await page.getByText("Entry 3 is not as the site signed it.").waitFor();
  assert.equal(await page.getByText(/was altered/).count(), 0);
  assert.deepEqual(faults, []);
});

test("An altered entry is named, with what is wrong with it", async () => {
  alter("DROP TRIGGER audit_is_not_altered; UPDATE audit SET actor = 'another' WHERE seq = 2");
  await page.getByRole("button", { name: "Verify the log" }).click();
  await page.getByText("Entry 2 was altered.").waitFor();
});
