import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { rowNames } = await load("parts/table.tsx");

/** Two open tickets of a person had two buttons "Revoke ada@local". */
test("Each row of a list has a name that no other has", () => {
  assert.deepEqual(
    rowNames([
      ["ada", "phone"],
      ["tom", "phone"],
      ["ada", "laptop"],
      ["mia", "phone"],
      ["mia", "phone"],
      ["zoe", ""],
      ["zoe", ""],
    ]),
    ["ada, phone", "tom", "ada, laptop", "mia, phone (1)", "mia, phone (2)", "zoe (1)", "zoe (2)"],
  );
});
