import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { load } from "./load.mjs";

const { en } = await load("text/en.ts");
const { de } = await load("text/de.ts");

/** Each text with its path. */
function* texts(of, path = []) {
  for (const [key, value] of Object.entries(of)) {
    if (typeof value === "object") yield* texts(value, [...path, key]);
    else yield [[...path, key].join("."), value];
  }
}

test("Both catalogues have the same keys, with the same parameters", () => {
  const shape = (catalogue) =>
    [...texts(catalogue)]
      .map(([path, value]) => `${path}/${typeof value === "function" ? value.length : "text"}`)
      .sort();
  assert.deepEqual(shape(de), shape(en));
});

test("No text is empty or has a space at its end", () => {
  for (const catalogue of [en, de]) {
    for (const [path, value] of texts(catalogue)) {
      const text = typeof value === "function" ? value(..."xyz") : value;
      assert.ok(text.trim(), path);
      if (typeof value === "string") assert.equal(text, text.trim(), path);
    }
  }
});

test("Every text is used by a screen", () => {
  const source = fileURLToPath(new URL("../../src", import.meta.url));
  const files = readdirSync(source, { recursive: true }).filter(
    (name) => /\.tsx?$/.test(name) && !name.startsWith("text/"),
  );
  const code = files.map((name) => readFileSync(join(source, name), "utf8")).join("\n");
  // Tables of states and codes are looked up by the site's own words.
  const looked =
    /^(states|failures|network|ended|proofs|screens|groups|roles)\.|\.(kinds|levels|strengths|strengthHelp|sources|sides|channels|closed|commands|checkNames|differences|ticketFaults|fields|helps|types|whys|own)\./;
  const unused = [...texts(en)]
    .map(([path]) => path)
    .filter(
      (path) =>
        !looked.test(path) &&
        !new RegExp(
          `\\b(${path.split(".").slice(-2).join("\\.")}|overview\\.${path.split(".").at(-1)})\\b`,
        ).test(code),
    );
  assert.deepEqual(unused, []);
});
