import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { load } from "./load.mjs";

const { adapted, spoken, turns } = await load("text/spans.ts");
const { PLACES } = await load("text/places.ts");
const { en } = await load("text/en.ts");
const root = fileURLToPath(new URL("../../..", import.meta.url));

const everything = () => true;
const nothing = () => false;
const words = (span, may = everything) => spoken(span, en, may).words;

/** The operations that a session of an admin may call, from the reference. */
function ofAdmins() {
  const page = readFileSync(`${root}/docs/reference/operations.md`, "utf8");
  const found = [];
  let operation = "";
  for (const line of page.split("\n")) {
    operation = /^### (\w+ \w+)$/.exec(line)?.[1] ?? operation;
    if (/^- Who: (.*, )?admin\b(?! socket)/.test(line)) found.push(operation);
  }
  assert.ok(found.length > 100, `${found.length}`);
  return found;
}

/** Operations without a screen, of which docs/guide/console.md has the last ones. */
const WITHOUT_SCREEN = [
  // The console itself calls them.
  "operation list",
  "event list",
  "self proof_start",
  "self proof_finish",
  // Programs call them.
  "broker ticket",
  "broker ticket_keys",
  "self deliver_key",
  "self withdraw_key",
  "person withdraw_key",
  // They need a file or a prompt of a person's machine.
  "broker new_v1_key",
  "person deliver_key",
  "person passphrase_start",
  "person passphrase_finish",
];

test("Each operation of an admin has a place in the console, or a reason why not", () => {
  const placed = Object.keys(PLACES).map((key) => key.split(" ").slice(0, 2).join(" "));
  assert.deepEqual([...new Set([...placed, ...WITHOUT_SCREEN])].sort(), ofAdmins().sort());
  assert.deepEqual(
    placed.filter((operation) => WITHOUT_SCREEN.includes(operation)),
    [],
  );
});

/** The texts between backticks in the strings of the core, which writes refusals, findings and alarms. */
function* spans() {
  const folder = `${root}/crates/core/src`;
  for (const name of readdirSync(folder, { recursive: true })) {
    if (!name.endsWith(".rs") || name.endsWith("tests.rs")) continue;
    const code = readFileSync(`${folder}/${name}`, "utf8").split("#[cfg(test)]")[0];
    const lines = code.split("\n").filter((line) => !/^\s*\/\//.test(line));
    const strings = lines.join("\n").matchAll(/"((?:[^"\\]|\\[^])*)"/g);
    for (const [, string] of strings)
      for (const [, span] of string.replaceAll(/\\\n\s*/g, "").matchAll(/`([^`]*)`/g)) yield span;
  }
}

/**
 * Alarms said "See why with `countersign lockdown status`" beside the screen "Lockdown", and a member without a peer
 * server read "Start it with `countersign peer start`".
 */
test("No operation that a text of the site names is a command where the console has a screen", () => {
  const found = [...spans()];
  assert.ok(found.length > 200, `${found.length}`);
  // Of the machine of the site, or without a screen.
  const known = new Set(WITHOUT_SCREEN.map((operation) => words(operation)));
  const local = /^countersign (backup|lockdown lift site$|person passphrase|site (key|seal|setup|unseal))\b/;
  let places = 0;
  for (const span of found) {
    const { is, words } = spoken(span, en, everything);
    if (is === "place") places += 1;
    else if (words !== span && !local.test(words)) assert.ok(known.has(words), words);
  }
  assert.ok(places > 80, `${places}`);
});

/** "See why with “Lockdown”" was no link, and "“Applications: Edit” allows it" led to a screen without that button. */
test("A place has the address of its screen, or of the page of the object that the operation names", () => {
  for (const [span, address] of [
    ["lockdown status", ["lockdown"]],
    ["site status", []],
    ["app update ledger --allow billing", ["applications", "ledger"]],
    ["app update ID --allow OTHER", ["applications"]],
    ["key add mailer --public-key FILE", ["services", "mailer"]],
    ["person unlock tom@local", ["people", "tom@local"]],
    ["peer forget example.org", ["peers", "example.org"]],
    ["peer inbox bob", ["messages"]],
    ["lockdown lift peer example.org", ["lockdown"]],
  ])
    assert.deepEqual(spoken(span, en, everything).address, address, span);
  const said = (written) => adapted(written, en, everything).parts[0];
  assert.equal(said("See why with `lockdown status`."), "See why on the screen ");
  assert.equal(said("Disable it with `option disable NAME`."), "Disable it with ");
});

/** The overview said "Make one with `site backup`", which no person can run. */
test("An operation of the site's machine is the command that runs it", () => {
  assert.equal(words("site backup"), "countersign backup create");
  assert.equal(words("site key_slots"), "countersign site key slots list");
  assert.equal(words("site key_slot_remove 3"), "countersign site key slots remove 3");
  assert.equal(words("broker new_v1_key"), "countersign broker new-v1-key");
  assert.equal(words("operation list"), "countersign operation list");
  assert.equal(words("lockdown lift site"), "countersign lockdown lift site");
  assert.equal(words("broker new_v1_key 4096"), "countersign broker new-v1-key 4096");
});

test("An operation is named as the place of the console that has it", () => {
  assert.equal(words("option disable"), "Encryption options: Disable");
  assert.equal(words("peer permit"), "Peers: Permissions");
  assert.equal(words("site key_events"), "Site key");
  assert.equal(words("peer show b.example"), "Peers");
  assert.equal(words("lockdown lift peer b.example"), "Lockdown: Lift");
  assert.equal(words("key add mailer --public-key FILE"), "Services: Add key");
  assert.equal(words("audit verify --peers"), "Audit log: Verify with peers");
  assert.equal(words("audit list --operation peer.key_followed"), "Audit log");
  assert.equal(words("self passphrase_start --as NAME"), "Your account: Change pass phrase");
});

test("A text that names what the user may not do says who can", () => {
  const said = (written, may) => {
    const { parts, forAdmins } = adapted(written, en, may);
    return [parts.map((part) => part.words ?? part).join(""), forAdmins];
  };
  assert.deepEqual(said("Start it with `peer start`.", nothing), ["Start it with Peers: Start.", true]);
  assert.deepEqual(said("Start it with `peer start`.", everything), ["Start it with Peers: Start.", false]);
  assert.deepEqual(said("An admin lifts it with `lockdown lift`.", nothing), [
    "An admin lifts it with Lockdown: Lift.",
    false,
  ]);
  assert.deepEqual(said("Raise `LimitNOFILE`.", nothing), ["Raise LimitNOFILE.", false]);
  const elsewhere = "The other site decides too: its operator sees it with `countersign app ticket a@b c`.";
  assert.deepEqual(said(elsewhere, nothing), [elsewhere.replaceAll("`", ""), false]);
});

/** A backtick in the name of an application or in a reason made text of the spans that followed it. */
test("A single backtick in a name or a reason moves no span", () => {
  const spansIn = (written) => turns(written).filter((_, at) => at % 2 === 1);
  for (const free of ["it`s", "`", "x`", "` x", "``", "a ` b"]) {
    const written = `${free} is in lockdown; \`lockdown status\` (\`lockdown lift\`) ends it.`;
    assert.deepEqual(spansIn(written), ["lockdown status", "lockdown lift"], free);
    // Two of them enclose a part of the names alone.
    const twice = `${free}, in lockdown: ${free}; \`lockdown lift\` ends it.`;
    assert.equal(spansIn(twice).at(-1), "lockdown lift", free);
  }
  assert.deepEqual(turns("`peer list`"), ["", "peer list", ""]);
  assert.deepEqual(turns("`x`"), ["", "x", ""]);
});

test("Other text between backticks stays", () => {
  for (const span of ["LimitNOFILE", "countersign site unseal", "x y", "event list", "peer ping", "list"])
    assert.deepEqual(spoken(span, en, nothing), { is: "code", words: span });
});

/** The console told a command of another site from one of this site by the word "there" beside it. */
test("A command stays, whatever the text around it says", () => {
  for (const span of [
    "countersign lockdown status",
    "countersign peer resume b.example",
    "countersign doctor",
  ])
    assert.deepEqual(spoken(span, en, everything), { is: "code", words: span });
});
