import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

/** The screen of messages had no picture. */
test("The documents have a picture of each screen in both schemes, and of each at 320 px", () => {
  const list = readFileSync(new URL("../../src/app/screens.ts", import.meta.url), "utf8");
  const screens = [...list.matchAll(/\{ path: "[a-z]*", title: "([a-z]+)"/g)].map(([, title]) => title);
  assert.ok(screens.includes("overview") && screens.includes("profile"));
  const pictures = new Set(readdirSync(new URL("../../../docs/images/console", import.meta.url)));
  const wanted = screens.flatMap((name) =>
    ["light-1440", "dark-1440", "light-320"].map((kind) => `${name}-${kind}.png`),
  );
  assert.deepEqual(
    wanted.filter((name) => !pictures.has(name)),
    [],
  );
});
