// How far times are from now, in words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { distance } = await load("parts/time.tsx");

const HOUR = 3_600;

/**
 * Days were counted by cutting: an alarm of two days before, less an hour, was of "yesterday", and a ticket that
 * expires in 31 hours expired "tomorrow", which was two dates away. A ticket for 1 hour began with "in 59 minutes".
 */
test("A time within two days is so many hours away, rounded", () => {
  for (const [seconds, wanted] of [
    [-47 * HOUR, [-47, "hour"]],
    [31 * HOUR - 300, [31, "hour"]],
    [HOUR - 1, [1, "hour"]],
    [12 * HOUR - 2, [12, "hour"]],
    [48 * HOUR, [48, "hour"]],
    [49 * HOUR, undefined],
    [-3 * 24 * HOUR, undefined],
    [59 * 60, [59, "minute"]],
    [59.6, [60, "second"]],
    [90.4, [2, "minute"]],
    [-0.2, [-0, "second"]],
  ])
    assert.deepEqual(distance(seconds), wanted, String(seconds));
});
