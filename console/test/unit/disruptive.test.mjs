import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { isDisruptive } = await load("site/disruptive.ts");

const when = (is) => ({ disruptive: false, disruptive_when: [{ parameter: "x", is, effect: "ends it" }] });

/** The console and the command line each had a rule of their own for what they ask about. */
test("The site says with which parameters an operation is disruptive", () => {
  assert.ok(isDisruptive({ disruptive: true }, {}));
  assert.ok(!isDisruptive({ disruptive: false }, { x: "a" }));
  const rows = [
    ["absent", [{}, { x: null }], [{ x: "a" }, { x: false }]],
    [{ one_of: ["a", "b"] }, [{ x: "a" }, { x: "b" }], [{}, { x: "c" }, { x: ["a"] }]],
    [{ without: ["a", "b"] }, [{ x: [] }, { x: ["a"] }], [{ x: ["b", "a"] }, {}]],
    // Of a later version.
    ["present", [{}, { x: "a" }], []],
    [{ longer_than: 3 }, [{}, { x: "a" }], []],
  ];
  for (const [is, asked, others] of rows) {
    for (const params of asked) assert.ok(isDisruptive(when(is), params), JSON.stringify([is, params]));
    for (const params of others) assert.ok(!isDisruptive(when(is), params), JSON.stringify([is, params]));
  }
});
