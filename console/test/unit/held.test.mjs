import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { Held } = await load("site/held.ts");

const withdrawn = { code: "withdrawn" };

test("While the connection is lost changes wait, and then go on in their order", async () => {
  const held = new Held();
  const gone = [];
  const ask = (name) => held.pass().then(() => gone.push(name));
  await ask("before");
  held.lost = true;
  const waiting = [ask("first"), ask("second")];
  await new Promise(setImmediate);
  assert.deepEqual(gone, ["before"]);
  held.lost = false;
  await Promise.all(waiting);
  assert.deepEqual(gone, ["before", "first", "second"]);
});

test("Only what began after the watch is withdrawn", async () => {
  const held = new Held();
  held.lost = true;
  const earlier = held.pass();
  const withdraw = held.watch();
  const later = held.pass();
  const rejected = assert.rejects(later, withdrawn);
  assert.equal(withdraw(), "withdrawn");
  await rejected;
  held.lost = false;
  await earlier;
});

test("What was sent is not called withdrawn, and a proof alone was nothing", async () => {
  const held = new Held();
  const none = held.watch();
  assert.equal(none(), "none");
  await held.pass(false);
  assert.equal(none(), "none");
  await held.pass();
  assert.equal(none(), "sent");
  // A step was sent, and the next one was not.
  const both = held.watch();
  await held.pass();
  held.lost = true;
  const rejected = assert.rejects(held.pass(), withdrawn);
  assert.equal(both(), "sent");
  await rejected;
});
