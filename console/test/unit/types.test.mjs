import assert from "node:assert/strict";
import { test } from "node:test";
import { read, render } from "../../build/types.mjs";

const PAGE = `
### door open

Parameters:

| field | type | meaning |
|---|---|---|
| \`how\` | \`wide\` or \`narrow\`, optional | How far. |

Result:

| field | type | meaning |
|---|---|---|
| \`doors\` | list of object | The doors. |
| \`doors[].id\` | string (uuid) | Its id. |
| \`doors[].size\` | integer, optional | Its size. |
`;

test("An operation of the reference becomes a type with its parameters and its nested result", () => {
  assert.equal(read(PAGE)[0].name, "door.open");
  const type = render(PAGE)
    .replace(/\/\*\*.*?\*\/\n/g, "")
    .replace(/\s+/g, " ");
  assert.match(type, /"door\.open": \{ params: \{ how\?: "wide" \| "narrow" \| null \| undefined; \};/);
  assert.match(type, /result: \{ doors: \{ id: string; size\?: number \| null \| undefined; \}\[\]; \}/);
});

test("A type of the reference that the generator does not know is an error", () => {
  assert.throws(() => render(PAGE.replace("integer", "colour")), /colour/);
});
