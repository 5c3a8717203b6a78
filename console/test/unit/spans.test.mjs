import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { spoken } = await load("text/spans.ts");
const { en } = await load("text/en.ts");

const everything = () => true;
const nothing = () => false;

/** The overview said "Make one with `site backup`", which no person can run. */
test("An operation that the caller may not call is the command that runs it", () => {
  assert.equal(spoken("site backup", en, nothing), "countersign backup create");
  assert.equal(spoken("site key_slots", en, nothing), "countersign site key slots list");
  assert.equal(spoken("option disable", en, nothing), "countersign option disable");
  assert.equal(spoken("peer discard_waiting", en, nothing), "countersign peer discard");
  assert.equal(spoken("broker new_v1_key", en, nothing), "countersign broker new-v1-key");
  assert.equal(spoken("site key_slot_remove 3", en, nothing), "countersign site key slots remove 3");
});

test("An operation that the caller may call is named with its screen", () => {
  assert.equal(spoken("option disable", en, everything), "Encryption options: disable");
  assert.equal(spoken("peer permit", en, everything), "Peers: permit");
  assert.equal(spoken("peer resume b.example", en, everything), "Peers: resume");
  assert.equal(spoken("peer inbox", en, everything), "Messages: inbox");
  assert.equal(spoken("site key_events", en, everything), "Site key: key events");
  // It has no screen.
  assert.equal(spoken("operation list", en, everything), "countersign operation list");
});

test("Other text between backticks stays", () => {
  for (const span of [
    "LimitNOFILE",
    "countersign site unseal",
    "x y",
    "self show",
    "event list",
    "peer ping",
  ])
    assert.equal(spoken(span, en, nothing), span);
});
