import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { load } from "./load.mjs";

const { encode, capacity } = await load("qr/encode.ts");
const digest = (rows) =>
  createHash("sha256")
    .update(rows.map((row) => row.map(Number).join("")).join("\n"))
    .digest("hex")
    .slice(0, 16);

test("The smallest code has 21 modules a side and the three finders", () => {
  const rows = encode("HELLO WORLD");
  assert.equal(rows.length, 21);
  const finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"];
  for (const [top, left] of [
    [0, 0],
    [0, 14],
    [14, 0],
  ]) {
    assert.deepEqual(
      rows.slice(top, top + 7).map((row) =>
        row
          .slice(left, left + 7)
          .map(Number)
          .join(""),
      ),
      finder,
    );
  }
});

// These codes were read back with zbarimg when the test was written.
test("Codes are those that a reader read", () => {
  const ticket =
    "COUNTERSIGN://127.0.0.1:34597/E#AJOZS6RBDLQLYBGDIGKF2EIWR3YJCQ6H2TQ2L3RPHAEZZLS34JDEU23X3MC4VRAWD3XATMARH4DW7LFIEKVQ";
  assert.equal(digest(encode("HELLO WORLD")), "83d76f36239756fc");
  assert.equal(digest(encode(ticket)), "69f9984caebda527");
  assert.equal(digest(encode("countersign://127.0.0.1:4747#abc")), "c796b830fcd5ca72");
});

test("The capacities are those of ISO/IEC 18004, table 1", () => {
  assert.deepEqual([1, 2, 7, 10, 25].map(capacity), [26, 44, 196, 346, 1588]);
});

test("A text that no code holds is refused", () => {
  assert.throws(() => encode("a".repeat(2000)), RangeError);
});
