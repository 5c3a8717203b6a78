// Measures of what was drawn over something else, or beyond its card.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADMIN } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

let site, console_, browser;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  console_ = await startConsole(site);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await console_?.stop();
  await site?.stop();
});

/** The tag "Encryption options" lay over the first letters of its text at every width. */
test("The tags of the overview lie over no text, in both languages", async () => {
  await site.call("option.floor", { floor: "classical" });
  await site.call("option.enable", { name: "x25519-aes256gcm" });
  for (const language of ["en-GB", "de-DE"]) {
    const { page, context } = await openPage(browser, { language });
    await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
    const row = page.locator(".findings li").filter({ hasText: "x25519-aes256gcm" });
    await row.waitFor();
    for (const width of [1440, 1000, 780]) {
      await page.setViewportSize({ width, height: 900 });
      const rows = await page.locator(".findings li").evaluateAll((all) =>
        all.map(({ children: [tag, text] }) => {
          const range = document.createRange();
          range.selectNodeContents(text);
          return { tag: tag.getBoundingClientRect().right, text: range.getBoundingClientRect().left };
        }),
      );
      for (const { tag, text } of rows) assert.ok(tag < text, `${language}, ${width} px: ${tag} < ${text}`);
      // The texts of all rows begin at one place.
      assert.equal(new Set(rows.map(({ text }) => Math.round(text))).size, 1);
    }
    await context.close();
  }
});

/** The table was wider than its card, the page scrolled sideways, and Acknowledge lay outside the window. */
test("A long word in an alarm leaves its table within its card", async () => {
  await site.call("alarm.raise", { to: "admins", severity: "info", key: "long", text: "x".repeat(120) });
  await site.call("person.create", { name: "lang", full_name: "y".repeat(120) });
  const { page, context } = await openPage(browser);
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  for (const [place, word] of [
    ["", "x"],
    ["alarms", "x"],
    ["people", "y"],
  ]) {
    await page.goto(`${console_.url}#/${place}`);
    await page.locator("main").getByText(word.repeat(120)).first().waitFor();
    for (const width of [1440, 1000, 780, 320]) {
      await page.setViewportSize({ width, height: 900 });
      const beyond = await page.evaluate(
        () =>
          [...document.querySelectorAll("main .card")].filter(
            ({ scrollWidth, clientWidth }) => scrollWidth > clientWidth,
          ).length,
      );
      assert.equal(beyond, 0, `${place} at ${width} px`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} px`);
    }
  }
  await context.close();
});

/** At 320 px, the port of a peer's address was cut in two: `example.org:47` and `50` below it. */
test("An address is broken before its port, and never within it", async () => {
  const { page, context } = await openPage(browser, { width: 320, height: 640 });
  await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
  const fact = page.locator(".fact").filter({ has: page.getByText("Session listener", { exact: true }) });
  await fact.locator("dd").waitFor();
  const lines = await fact.locator("dd").evaluate((value) => {
    const nodes = document.createTreeWalker(value, NodeFilter.SHOW_TEXT);
    const all = [];
    while (nodes.nextNode()) all.push(nodes.currentNode);
    const last = all.at(-1);
    const range = document.createRange();
    range.setStart(last, last.data.lastIndexOf(":"));
    range.setEnd(last, last.length);
    return [4, 5, 6, 7, 8].map((width) => {
      value.style.width = `${width}em`;
      return [range.toString(), range.getClientRects().length];
    });
  });
  for (const [port, count] of lines) {
    assert.match(port, /^:\d+$/);
    assert.equal(count, 1);
  }
  await context.close();
});

/**
 * One name of 63 letters took the room of all columns, so that each row had two lines of buttons, and the operations of
 * one token broke the labels of all: "que", "ue". In the notice the name was cut off.
 */
test("A long entry of a list leaves the others their lines", async () => {
  const full_name = Array(3).fill("Wolfeschlegelsteinhausenbergerdorff").join(" ");
  await site.call("person.create", { name: "z".repeat(63), full_name });
  await site.run(["key", "new", "--out", "mailer.key"]);
  await site.run(["service", "create", "mailer", "--public-key", "mailer.key.pub"]);
  const operations = ["broker.show", "event.list", "key.list", "self.show", "session.list", "site.status"];
  await site.call("token.create", { service: "mailer@local", label: "queue", operations });
  const { page, context } = await openPage(browser);
  await logIn(page, `${console_.url}#/tokens`, ADMIN.name, ADMIN.passPhrase);
  const label = page.locator("td.name strong").getByText("queue", { exact: true });
  const lines = () => label.evaluate((name) => name.getClientRects().length);
  const all = page.getByText("6 operations", { exact: true });
  await all.waitFor();
  for (const width of [1440, 1060]) {
    await page.setViewportSize({ width, height: 900 });
    assert.equal(await lines(), 1, `${width} px`);
    await all.click();
    await page.getByText("site.status").waitFor();
    assert.equal(await lines(), 1, `${width} px, open`);
    await all.click();
  }
  await page.goto(`${console_.url}#/people`);
  await page.getByText("z".repeat(63)).waitFor();
  for (const width of [1440, 1060]) {
    await page.setViewportSize({ width, height: 900 });
    const rows = await page
      .locator("td.end .buttons")
      .evaluateAll((cells) =>
        cells.map(({ children }) => new Set([...children].map((button) => button.offsetTop)).size),
      );
    assert.deepEqual([...new Set(rows)], [1], `${width} px`);
    const cells = await page
      .getByRole("row")
      .filter({ hasText: full_name })
      .locator("td")
      .evaluateAll((found) => found.slice(0, 2).map(({ offsetWidth }) => offsetWidth));
    for (const cell of cells) assert.ok(cell > 100, `${cell} px of ${width}`);
  }
  await page.getByRole("button", { name: `Lock ${"z".repeat(63)}@local` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Lock" }).click();
  const notice = page.locator(".said p").filter({ hasText: "Locked" });
  assert.ok(await notice.evaluate(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth));
  await context.close();
});

/** In windows of 704 to 1,040 px the rows began 8 px left of the heading, and the labels stood lower than the values. */
test("In a narrow card the rows begin below the heading, and labels stand on the line of the values", async () => {
  const { page, context } = await openPage(browser);
  await logIn(page, `${console_.url}#/sessions`, ADMIN.name, ADMIN.passPhrase);
  const left = (locator) =>
    locator.first().evaluate((element) => {
      const range = document.createRange();
      range.selectNodeContents(element);
      return range.getBoundingClientRect().left;
    });
  await page.locator("td.name").first().waitFor();
  for (const width of [1440, 1024, 720, 320]) {
    await page.setViewportSize({ width, height: 900 });
    const heading = await left(page.locator(".card h2"));
    assert.equal(await left(page.locator("td.name > div")), heading, `${width} px`);
  }
  await page.goto(`${console_.url}#/people/maria@local`);
  await page.locator(".fact .tag").first().waitFor();
  for (const width of [1440, 320]) {
    await page.setViewportSize({ width, height: 900 });
    const lines = await page.locator(".fact").evaluateAll((facts) =>
      facts.map((fact) =>
        [fact.querySelector("dt"), fact.querySelector("dd .tag") ?? fact.querySelector("dd")].map((part) => {
          const probe = document.createElement("img");
          part.prepend(probe);
          const { bottom } = probe.getBoundingClientRect();
          probe.remove();
          return Math.round(bottom);
        }),
      ),
    );
    for (const [label, value] of lines) assert.equal(label, value, `${width} px`);
  }
  await context.close();
});

/** "Notsperre verhängen" spilled out of its button, on the pages of people, services, applications and peers. */
test("No button is narrower than its words, in both languages", async () => {
  await site.run(["key", "new", "--out", "printer"]);
  await site.run(["service", "create", "printer", "--public-key", "printer.pub"]);
  await site.run(["key", "new", "--out", "ledger"]);
  await site.run(["key", "party", "ledger", "--out", "ledger.party"]);
  await site.run(["app", "create", "ledger", "--public-key", "ledger.party"]);
  for (const language of ["en-GB", "de-DE"]) {
    const { page, context } = await openPage(browser, { language });
    await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
    for (const place of ["people/maria@local", "services/printer@local", "applications/ledger", "people"]) {
      await page.goto(`${console_.url}#/${place}`);
      await page
        .locator(place === "people" ? "td.end button" : ".removals button")
        .first()
        .waitFor();
      for (const width of [760, 1024, 1180]) {
        await page.setViewportSize({ width, height: 900 });
        const spilled = await page
          .locator(".button:visible")
          .evaluateAll((buttons) =>
            buttons
              .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
              .map((button) => `${button.textContent} ${button.scrollWidth} ${button.clientWidth}`),
          );
        assert.deepEqual(spilled, [], `${place}, ${language}, ${width} px`);
      }
    }
    await context.close();
  }
});

/** It was one line in the corner of the window, without a margin. */
test("A browser without JavaScript shows what the console needs, in both languages", async () => {
  const context = await browser.newContext({
    javaScriptEnabled: false,
    viewport: { width: 320, height: 640 },
  });
  const page = await context.newPage();
  await page.goto(console_.url);
  const notes = page.locator("noscript .note");
  for (const [at, words] of ["The console needs JavaScript", "Die Konsole braucht JavaScript"].entries()) {
    const note = notes.nth(at);
    assert.ok((await note.innerText()).startsWith(words));
    const { x, width } = await note.boundingBox();
    assert.ok(x >= 16 && x + width <= 304, `${x}, ${width}`);
  }
  await context.close();
});

/** The notice lay over the last button of a page for seconds, and took its clicks. */
test("The notice at the lower right takes no click, and the end of a page is above it", async () => {
  await site.call("person.create", { name: "nils" });
  const { page, context } = await openPage(browser);
  await logIn(page, `${console_.url}#/people/nils@local`, ADMIN.name, ADMIN.passPhrase);
  await page.getByRole("button", { name: "Lock nils@local" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Lock" }).click();
  await page.locator(".said").getByText("Locked nils@local.").waitFor();
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  const last = await page.getByRole("button", { name: "Delete nils@local" }).boundingBox();
  const notice = await page.locator(".said p").boundingBox();
  assert.ok(last.y + last.height <= notice.y, `${last.y + last.height} <= ${notice.y}`);
  assert.equal(await page.locator(".said").evaluate((said) => getComputedStyle(said).pointerEvents), "none");
  await context.close();
});

/** The foot of a long dialog cut a field in half, and its scrollbar squared the round corners. */
test("A long dialog scrolls within its corners, with a line over its buttons", async () => {
  const { page, context } = await openPage(browser, { height: 600 });
  await logIn(page, `${console_.url}#/tokens`, ADMIN.name, ADMIN.passPhrase);
  await page.getByRole("button", { name: "Create token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("alarm.raise", { exact: true }).waitFor();
  const line = () =>
    dialog.locator(".send").evaluate((foot) => getComputedStyle(foot, "::before").borderTopWidth);
  assert.ok(
    await dialog.locator(".inside").evaluate(({ scrollHeight, clientHeight }) => scrollHeight > clientHeight),
  );
  assert.equal(await dialog.evaluate((whole) => getComputedStyle(whole).overflow), "hidden");
  assert.equal(await line(), "1px");
  await dialog.getByRole("button", { name: "Create token" }).click();
  // What is wrong is said at the operations.
  const wrong = dialog.getByRole("group", { name: /^Operations/ }).getByRole("alert");
  await wrong.getByText("Choose at least one operation.").waitFor();
  assert.equal(await dialog.locator(".scroll").getByText("`").count(), 0, "names are between backticks");
  await dialog.locator(".inside").evaluate((inside) => inside.scrollTo(0, inside.scrollHeight));
  await page.waitForFunction(
    () => getComputedStyle(document.querySelector("dialog .send"), "::before").borderTopWidth === "0px",
  );
  await context.close();
});
