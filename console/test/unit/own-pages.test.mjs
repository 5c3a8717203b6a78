// The servers of `dev/` relayed requests of any page, and of any name that points to this machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isOwn } from "../../dev/own-pages.mjs";

const PORT = 8787;
const own = (headers, mustTell) => isOwn({ headers }, PORT, mustTell);

test("A request for one of the server's own names is answered", () => {
  for (const host of ["127.0.0.1:8787", "localhost:8787"]) {
    assert.ok(own({ host }));
    assert.ok(own({ host, origin: `http://${host}` }, true));
  }
});

test("A request for another name is refused, wherever the name points", () => {
  for (const host of [undefined, "evil.example:8787", "127.0.0.1", "127.0.0.1:80", "localhost:87870"])
    assert.ok(!own({ host, origin: `http://${host}` }), host);
});

test("A request of another page is refused", () => {
  const host = "127.0.0.1:8787";
  for (const origin of ["null", "http://evil.example", "http://localhost:8787", "https://127.0.0.1:8787"])
    assert.ok(!own({ host, origin }), origin);
});

test("A request that changes something must tell its origin", () => {
  assert.ok(!own({ host: "127.0.0.1:8787" }, true));
});
