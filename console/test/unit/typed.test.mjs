// What forms make of what is typed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { changes, written } = await load("screens/people/contact-lines.ts");
const { read } = await load("screens/settings/screen.tsx");
const { lifts } = await load("screens/lockdown/screen.tsx");

const TEXT = {
  contact: {
    attributeWrong: (line) => `wrong: ${line}`,
    attributeTwice: (name) => `twice: ${name}`,
    telephoneWrong: (line) => `no label: ${line}`,
  },
  settings: { types: { number: "a number", boolean: "true or false", other: "JSON" } },
};
const DATA = {
  etag: "a-1",
  emails: ["maria@example.org", "m@example.com"],
  telephones: [
    { label: "work: reception", number: "+49301234567" },
    { label: "mobile", number: "+4915112345678" },
  ],
  postal_address: { lines: ["Unter den Linden 77"], postal_code: "10117", city: "Berlin", country: "DE" },
  language: "de",
};
const ATTRIBUTES = { department: "sales", note: "two\nlines" };

/** What was changed after `change` typed in the fields of `DATA`. */
function after(change) {
  const start = written(DATA, ATTRIBUTES);
  return changes(start, { ...start, ...change(start) }, TEXT);
}

test("What was not typed is not sent", () => {
  assert.deepEqual(
    after(() => ({})),
    {},
  );
  assert.deepEqual(
    after(() => ({ language: "" })),
    { language: null },
  );
  assert.deepEqual(
    after(({ emails }) => ({ emails: `${emails}\n  third@example.org \n\n` })),
    { emails: ["maria@example.org", "m@example.com", "third@example.org"] },
  );
});

/** The label "work: reception" became "work" as soon as any number was edited. */
test("A telephone label may have a colon", () => {
  assert.deepEqual(after(({ telephones }) => ({ telephones: `${telephones}\nhome: +49 30 7` })).telephones, [
    ...DATA.telephones,
    { label: "home", number: "+49 30 7" },
  ]);
});

test("An address is sent as a whole, or removed", () => {
  assert.deepEqual(
    after(() => ({ city: "Potsdam", postal_code: "" })),
    { postal_address: { lines: ["Unter den Linden 77"], city: "Potsdam", country: "DE" } },
  );
  const empty = { lines: "", postal_code: "", city: " ", region: "", country: "" };
  assert.deepEqual(
    after(() => empty),
    { postal_address: null },
  );
});

/** The form refused the second line of an attribute, which the user had not typed. */
test("Attributes are changed one by one, and may have several lines", () => {
  assert.deepEqual(after(({ attributes }) => ({ attributes: `${attributes}\nroom: 12` })).attributes, {
    room: "12",
  });
  assert.deepEqual(after(() => ({ attributes: "note: two⏎other lines" })).attributes, {
    department: null,
    note: "two\nother lines",
  });
  assert.throws(
    () => after(() => ({ attributes: "sales" })),
    ({ message, field }) => message === "wrong: sales" && field === "attributes",
  );
});

/** The site refused "+49 30 1234567" with "Telephones[0].label: it is empty", and no field was marked. */
test("A telephone number without a label is refused at its field, with the line", () => {
  for (const line of ["+49 30 1234567", ": +49 30 1234567"])
    assert.throws(
      () => after(() => ({ telephones: `work: +49 30 1\n${line}` })),
      ({ message, field }) => message === `no label: ${line}` && field === "telephones",
    );
});

/** Of "room: 12" and "room: 14" the second one won, and nothing said so. */
test("An attribute that is there twice is refused", () => {
  assert.throws(
    () => after(() => ({ attributes: "room: 12\nroom : 14" })),
    ({ message, field }) => message === "twice: room" && field === "attributes",
  );
});

test("A setting keeps its type", () => {
  assert.equal(read("7", "text", TEXT), "7");
  assert.equal(read("7", 8, TEXT), 7);
  assert.deepEqual(read("10.0.0.1\n::1\n", ["127.0.0.1"], TEXT), ["10.0.0.1", "::1"]);
  assert.deepEqual(read('{"a": "b"}', {}, TEXT), { a: "b" });
  assert.equal(read("a", null, TEXT), "a");
});

/** "The value is not of the type of this setting." did not say which type that is. */
test("A value of another type is refused with the type of the setting", () => {
  for (const [before, type] of [
    [8, "a number"],
    [true, "true or false"],
    [{ a: "b" }, "JSON"],
  ])
    assert.throws(
      () => read("many", before, TEXT),
      ({ message, field }) => message === type && field === "value",
    );
});

test("A lockdown is lifted by the id of the account or peer, or by the name of the application", () => {
  assert.deepEqual(lifts({ target: "person eve@local", account: "id" }), { account: "id" });
  assert.deepEqual(lifts({ target: "peer example.org", peer: "site" }), { peer: "site" });
  assert.deepEqual(lifts({ target: "app the ledger", app: "the ledger" }), { app: "the ledger" });
});
