import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { Idle, MAX_IDLE } = await load("app/idle.ts");

test("Input begins the time anew", () => {
  const idle = new Idle(0);
  idle.input(MAX_IDLE - 1);
  assert.equal(idle.left(MAX_IDLE - 1), MAX_IDLE);
  assert.equal(idle.left(2 * MAX_IDLE - 1), 0);
});

test("Input after the end, such as that which wakes the machine, does not go on with the session", () => {
  const idle = new Idle(0);
  idle.input(MAX_IDLE);
  assert.equal(idle.left(MAX_IDLE), 0);
});

test("A clock that was set back gives no more than the whole time", () => {
  const idle = new Idle(10 * MAX_IDLE);
  assert.equal(idle.left(0), MAX_IDLE);
  assert.equal(idle.left(MAX_IDLE), 0);
});
