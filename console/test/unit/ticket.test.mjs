// The site checked the ticket after the pass phrase: a person who had copied half of it read that the pass phrase is wrong.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { load } from "./load.mjs";

const { faultOf } = await load("site/ticket.ts");
const folder = new URL("../../../vectors/hostile-peers/ticket/", import.meta.url);

test("A fault of a peer ticket that is in its form or its body is found in the page", async () => {
  const stages = new Set();
  for (const name of readdirSync(folder)) {
    const { text, stage } = JSON.parse(readFileSync(new URL(name, folder), "utf8"));
    stages.add(stage);
    const found = await faultOf(text);
    // The site reads JSON, and finds what is wrong with an address.
    if (stage === "accepted") assert.equal(found, undefined, name);
    else if (!text.startsWith("{") && ["form", "body"].includes(stage)) assert.ok(found, name);
  }
  for (const stage of ["accepted", "form", "body"]) assert.ok(stages.has(stage), stage);
});

test("A ticket that a mail program broke into lines is the same ticket", async () => {
  const { text } = JSON.parse(readFileSync(new URL("no-fault.json", folder), "utf8"));
  assert.equal(await faultOf(text.replaceAll(/(.{40})/g, "$1\r\n ")), undefined);
  assert.equal(await faultOf("countersign://x"), "path");
  assert.equal(await faultOf(text.slice(0, -2)), "check");
});
