// One entry held what was known of any site: after one site, the console on the same address refused the next.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { forget, recall, remember } = await load("site/known-sites.ts");

test("What is known of a site is found by its key, and not by its address", () => {
  const entries = new Map();
  const storage = {
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => entries.set(key, value),
    removeItem: (key) => entries.delete(key),
  };
  remember("countersign://127.0.0.1:4747#AAAA", "event of A", storage);
  assert.equal(recall("countersign://127.0.0.1:4747#BBBB", storage), undefined);
  assert.equal(recall("countersign://example.org:443#AAAA", storage), "event of A");
  forget("countersign://example.org:443#AAAA", storage);
  assert.equal(entries.size, 0);
});
