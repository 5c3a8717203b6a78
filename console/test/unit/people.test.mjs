import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { before, normal } = await load("screens/people/prefix.ts");

test("The list begins right before the first name with the prefix", () => {
  const names = ["maq-z@local", "mar", "mar@local", "mara@local", "maria@local", "mas@local"];
  const after = before("mar");
  assert.deepEqual(
    names.filter((name) => name > after),
    ["mar", "mar@local", "mara@local", "maria@local", "mas@local"],
  );
});

test("A search ignores case and spaces around the text", () => {
  assert.equal(normal("  Maria "), "maria");
  assert.equal(before(""), undefined);
});
