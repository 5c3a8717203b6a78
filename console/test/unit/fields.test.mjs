// At which field a failure of the site is shown, and in which words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { atField, fieldOf } = await load("parts/form.tsx");
const { sentence } = await load("parts/states.tsx");

const line = (number) => `Line ${number}`;
const FIELDS = new Set(["emails", "telephones", "postal_address.lines", "dump"]);
const of = (field, message = `${field}: it is empty`) => ({ code: "invalid_params", message, field });

/** "Telephones[0].label: it is empty." and "Dump.check: ..." were next to the button, and no field was marked. */
test("A failure is shown at the field that has its parameter", () => {
  for (const [field, shown] of [
    ["emails", "emails"],
    ["emails[1]", "emails"],
    ["telephones[0].label", "telephones"],
    ["postal_address.lines[2]", "postal_address.lines"],
    ["dump.person.name", "dump"],
    ["postal_address.city", undefined],
    ["other", undefined],
    ["emailsx", undefined],
    // Of a site that does not keep to the form of a path.
    ["a]", undefined],
    ["[0]", undefined],
    ["..", undefined],
    ["", undefined],
    [undefined, undefined],
  ])
    assert.equal(fieldOf({ field }, FIELDS), shown, field);
  assert.equal(fieldOf(undefined, FIELDS), undefined);
});

/** Of several email addresses, "It is not an email address." did not say which line is wrong. */
test("A failure at a field of lines says which line is wrong", () => {
  assert.equal(atField(of("emails[1]"), "emails", line), "Line 2: it is empty.");
  assert.equal(atField(of("telephones[0].number"), "telephones", line), "Line 1, number: it is empty.");
  assert.equal(atField(of("dump.check"), "dump", line), "Check: it is empty.");
  assert.equal(atField(of("dump"), "dump", line), "It is empty.");
});

/** "Is empty; give the whole text of the dump.", "Format: is missing (line 1, column 2)." and "…⏎in log.level." */
test("A failure at a field is a sentence", () => {
  assert.equal(atField(of("dump", "dump: is empty; give it"), "dump", line), "It is empty; give it.");
  assert.equal(
    atField(of("dump.format", "dump.format: is missing (line 1)"), "dump", line),
    "“format” is missing (line 1).",
  );
  assert.equal(atField(of("emails[1]", "emails[1]: has no domain"), "emails", line), "Line 2 has no domain.");
  const level = 'unknown log level "loud"; the levels are off, error\nin `log.level`\n';
  assert.equal(
    atField(of("value", level), "value", line),
    'Unknown log level "loud"; the levels are off, error.',
  );
});

/** The overview said "X25519-aes256gcm: a quantum computer...", and no option has that name. */
test("A name at the beginning of a message stays as it is", () => {
  assert.equal(sentence("x25519-aes256gcm: a quantum computer"), "x25519-aes256gcm: a quantum computer.");
  assert.equal(sentence("limits.connections is too high"), "limits.connections is too high.");
  assert.equal(sentence("maria@local is in lockdown"), "maria@local is in lockdown.");
  assert.equal(sentence("the disk is full"), "The disk is full.");
  assert.equal(sentence("pre-existing keys stay."), "Pre-existing keys stay.");
  assert.equal(sentence("done. Try it"), "Done. Try it.");
});
