// How long names, pass phrases and what is copied use the room that there is.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

const ZONE = "identity.example.org";
const NAME = "ada.kovacs-pemberton-140";
let site, console_, browser, page, faults;

before(async () => {
  site = await startSite(ZONE);
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  await site.call("person.create", { name: NAME, full_name: "Ada Kovács-Pemberton" });
  await site.call("person.set_data", {
    name: NAME,
    attributes: { department_of_the_organisation_at_large: "research" },
  });
  await site.call("ticket.issue", { person: NAME, kind: "device" });
  console_ = await startConsole(site);
  browser = await launch();
  ({ page, faults } = await openPage(browser));
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await site?.stop();
});

const visit = async (place, heading) => {
  await page.goto(`${console_.url}#/${place}`);
  await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
  await page.waitForFunction(() => document.querySelector("main").dataset.settled === "true");
};

/** Of twelve characters and more, none could be seen, and each mistake began the login anew. */
test("A pass phrase can be looked at while it is typed", async () => {
  await page.goto(console_.url);
  await page.getByLabel("Name", { exact: true }).fill(ADMIN.name);
  const field = page.getByLabel("Pass phrase", { exact: true });
  await field.fill(ADMIN.passPhrase);
  assert.equal(await field.getAttribute("type"), "password");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  assert.equal(await field.getAttribute("type"), "text");
  await page.getByRole("button", { name: "Hide", exact: true }).click();
  assert.equal(await field.getAttribute("type"), "password");
  await field.press("Enter");
  await page.getByText(`Logged in as maria@${ZONE}`).waitFor();
});

/** "ada.kovacs140@identity.exampl / e.org" in every row, and 300 px free to the right of it. */
test("The name of an account ends its line before the zone, and in no word", async () => {
  const lines = () =>
    page.evaluate(() =>
      [...document.querySelectorAll("td span.account")].flatMap((account) =>
        [...account.childNodes]
          .filter(({ nodeType }) => nodeType === Node.TEXT_NODE)
          .map((words) => {
            const range = document.createRange();
            range.selectNodeContents(words);
            return [words.textContent, range.getClientRects().length];
          }),
      ),
    );
  for (const [width, least] of [
    [1440, 1100],
    [1920, 1400],
  ]) {
    await page.setViewportSize({ width, height: 900 });
    for (const [place, heading] of [
      ["people", "People"],
      ["devices", "Devices"],
      ["audit", "Audit log"],
    ]) {
      await visit(place, heading);
      const found = await lines();
      assert.ok(found.length >= 2, place);
      for (const [words, count] of found) assert.equal(count, 1, `${place} ${width}: ${words}`);
      const { width: room } = await page.locator("table").last().boundingBox();
      assert.ok(room >= least, `${place} ${width}: ${room}`);
    }
  }
});

/** "department_of_the_organisation" lay over its value. */
test("The name of an attribute does not lie over its value in a narrow window", async () => {
  await page.setViewportSize({ width: 320, height: 800 });
  await visit(`people/${NAME}@${ZONE}`, `${NAME}@${ZONE}`);
  const wide = await page.evaluate(() =>
    [...document.querySelectorAll(".facts dt")]
      .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
      .map(({ textContent }) => textContent),
  );
  assert.deepEqual(wide, []);
  await page.setViewportSize({ width: 1440, height: 900 });
});

/** "Copied" and "Clear clipboard" widened the column of buttons: the text and all below it moved. */
test("What a button says after it has copied moves nothing", async () => {
  await visit(`people/${NAME}@${ZONE}`, `${NAME}@${ZONE}`);
  await page.getByRole("button", { name: "Pass phrase ticket" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Issue ticket" }).click();
  const copy = dialog.getByRole("button", { name: /^Copy / });
  await copy.first().waitFor();
  const boxes = () =>
    dialog.evaluate((element) =>
      [element, ...element.querySelectorAll("h2, code, .copy, .copy-buttons")].map((one) => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return [x, y, width, height].map(Math.round).join(" ");
      }),
    );
  const before = await boxes();
  await copy.first().click();
  await dialog.getByRole("button", { name: "Clear clipboard" }).waitFor();
  assert.deepEqual(await boxes(), before);
  await dialog.getByRole("button", { name: "Clear clipboard" }).click();
  await dialog.getByRole("button", { name: "Clear clipboard" }).waitFor({ state: "detached" });
  assert.deepEqual(await boxes(), before);
  assert.deepEqual(faults, []);
});
