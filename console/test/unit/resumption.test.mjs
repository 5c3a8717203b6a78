// A browser keeps the storage of a closed tab. The secret in it resumed the session for the next user of the browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { MAX_AWAY, arrive, comeBack, leave } = await load("site/resumption.ts");
const NOW = 1_700_000_000_000;

/** The storage of a tab. */
function storage() {
  const entries = new Map();
  return {
    entries,
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => entries.set(key, value),
    removeItem: (key) => entries.delete(key),
  };
}

/** What a page finds that was left and begins after `away` milliseconds by this type of navigation. */
function found(type, away) {
  const tab = storage();
  leave("c2VjcmV0", tab, NOW);
  const left = arrive(type, tab, NOW + away);
  assert.equal(tab.entries.size, 0, "the secret stayed in the storage");
  return left;
}

test("A reload resumes the session", () => {
  assert.deepEqual(found("reload", 0), { secret: "c2VjcmV0", reloaded: true });
  assert.equal(found("reload", MAX_AWAY).reloaded, true);
});

test("A late reload, and a clock that was set back, resume nothing", () => {
  assert.equal(found("reload", MAX_AWAY + 1).reloaded, false);
  assert.equal(found("reload", -1).reloaded, false);
});

test("A reopened tab, a way back and a new visit resume nothing", () => {
  for (const type of ["back_forward", "navigate", "prerender", ""])
    assert.equal(found(type, 0).reloaded, false, type);
});

test("A page from the cache of the browser counts from when it was left first", () => {
  const tab = storage();
  leave("c2VjcmV0", tab, NOW);
  leave("c2VjcmV0", tab, NOW + MAX_AWAY + 1);
  assert.equal(arrive("reload", tab, NOW + MAX_AWAY + 2).reloaded, false);
});

// The browser kept a page that was left by a link; it reloads itself when the next person goes back to it.
test("A page that comes back from the cache of the browser resumes nothing", () => {
  const tab = storage();
  leave("c2VjcmV0", tab, NOW);
  comeBack(tab);
  assert.deepEqual(arrive("reload", tab, NOW + 1), { secret: "c2VjcmV0", reloaded: false });
  comeBack(tab);
  assert.equal(arrive("reload", tab, NOW), undefined);
});

test("An entry that cannot be read is removed", () => {
  for (const text of ["", "c2VjcmV0", "x c2VjcmV0", "1 "]) {
    const tab = storage();
    tab.setItem("countersign-resumption", text);
    assert.equal(arrive("reload", tab, NOW), undefined);
    assert.equal(tab.entries.size, 0);
  }
});
