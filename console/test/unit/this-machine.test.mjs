import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { isThisMachine, opensAnywhere } = await load("site/this-machine.ts");

/** A phone opened the link of a ticket at its own port, and gave the ticket to the program there. */
test("A link to this machine is for no other device", () => {
  for (const link of [
    "http://127.0.0.1:4749/console/#/ticket/x",
    "http://[::1]/#x",
    "http://a.localhost:80/",
  ])
    assert.equal(opensAnywhere(link), false, link);
  for (const link of [
    "https://site.example/console/#/ticket/x",
    "https://127.0.0.1.example/",
    "https://10.0.0.1/",
  ])
    assert.equal(opensAnywhere(link), true, link);
  assert.ok(isThisMachine("localhost"));
});
