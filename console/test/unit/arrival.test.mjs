// Tickets and pass phrases in links stayed in the address until a screen was shown that removed them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { read } = await load("app/arrival.ts");
const TICKET = "countersign://127.0.0.1:4747/e#abc";

test("A ticket leaves the address, encoded or not", () => {
  for (const link of [`#/ticket/${encodeURIComponent(TICKET)}`, `#ticket/${TICKET}`, `#/ticket/${TICKET}`])
    assert.deepEqual(read(link), { arrival: { is: "ticket", ticket: TICKET }, place: "#/ticket" });
});

test("A pass phrase leaves the address, whatever else is in it", () => {
  const place = "#/";
  assert.deepEqual(read("#/login/maria/a%20b%2Fc"), {
    arrival: { is: "login", name: "maria", passPhrase: "a b/c" },
    place,
  });
  assert.equal(read("#/login/maria/%E0%A4%A/more").place, place);
  assert.equal(read("#/login//secret").place, place);
});

test("Every other place stays", () => {
  for (const link of ["", "#/", "#/ticket", "#/ticket/", "#/login", "#/people/login", "#/tickets/x"])
    assert.equal(read(link), undefined, link);
});
