// Checks a page: axe-core in both schemes, its width, and the names of its buttons.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Loads axe into a world of the test, past the content security policy. Returns a function that checks the page. */
async function axeIn(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", {
    frameId: frameTree.frame.id,
  });
  await session.send("Runtime.evaluate", { expression: axe, contextId });
  /** The violations on the page, each in one line. */
  return async (options) => {
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
      expression: `axe.run(document, ${JSON.stringify(options)}).then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map((node) => id + " " + node.target.join(" ") + " " + (node.any[0]?.message ?? ""))))`,
      contextId,
      awaitPromise: true,
      returnByValue: true,
    });
    assert.equal(exceptionDetails, undefined);
    return result.value;
  };
}

/** The names that two buttons of the page have. A screen reader lists buttons without their rows. */
const namedTwice = (page) =>
  page.evaluate(() => {
    const shown = [...document.querySelectorAll("dialog[open] button, body:not(:has(dialog[open])) button")];
    const names = shown
      .filter((button) => button.checkVisibility())
      .map((button) => button.getAttribute("aria-label") ?? button.innerText);
    return [...new Set(names.filter((name, at) => names.indexOf(name) !== at))];
  });

export const tooWide = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

/** Returns what looks at the page under a name, in both schemes, and what it found. */
export async function lookerOn(page) {
  const violations = await axeIn(page);
  const found = [];
  const look = async (name) => {
    for (const violation of await violations({ runOnly: TAGS })) found.push(`${name}: ${violation}`);
    if ((await tooWide(page)) > 0) found.push(`${name}: wider than the window`);
    for (const twice of await namedTwice(page)) found.push(`${name}: two buttons "${twice}"`);
    // The schemes differ in their colours alone.
    await page.emulateMedia({ colorScheme: "dark" });
    for (const violation of await violations({ runOnly: ["color-contrast"] }))
      found.push(`${name}, dark: ${violation}`);
    await page.emulateMedia({ colorScheme: "light" });
  };
  return { found, look };
}
