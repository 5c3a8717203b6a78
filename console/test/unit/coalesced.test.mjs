import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { coalesced } = await load("app/coalesced.ts");

/** Reads that end when they are told to. */
function reads() {
  const open = [];
  let count = 0;
  return {
    read: () => {
      count += 1;
      return new Promise((resolve, reject) => open.push({ resolve, reject }));
    },
    async end(how = "resolve") {
      open.shift()[how]();
      await Promise.resolve();
      await Promise.resolve();
    },
    count: () => count,
  };
}

test("A flood of events causes one read at a time, and one after the last", async () => {
  const { read, end, count } = reads();
  const { ask } = coalesced(read);
  for (let event = 0; event < 100; event += 1) ask();
  assert.equal(count(), 1);
  await end();
  assert.equal(count(), 2);
  await end("reject");
  assert.equal(count(), 2);
  ask();
  assert.equal(count(), 3);
});

test("A screen that is gone reads nothing more", async () => {
  const { read, end, count } = reads();
  const { ask, stop } = coalesced(read);
  ask();
  ask();
  stop();
  await end();
  ask();
  assert.equal(count(), 1);
});
