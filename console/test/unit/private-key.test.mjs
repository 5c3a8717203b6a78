import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { load } from "./load.mjs";

const { isPrivateKey } = await load("parts/file-text.tsx");

test("Private keys of all PEM forms are known, and nothing public is taken for one", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 1_024 });
  const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const encrypted = { cipher: "aes-256-cbc", passphrase: "x" };
  for (const [key, form] of [
    [rsa, { type: "pkcs1" }],
    [rsa, { type: "pkcs8" }],
    [rsa, { type: "pkcs8", ...encrypted }],
    [rsa, { type: "pkcs1", ...encrypted }],
    [elliptic, { type: "sec1" }],
  ]) {
    const pem = key.privateKey.export({ format: "pem", ...form });
    assert.ok(isPrivateKey(pem), pem.split("\n")[0]);
    assert.ok(isPrivateKey(`# my key\r\n${pem.replaceAll("\n", "\r\n")}`));
  }
  assert.ok(isPrivateKey("-----BEGIN OPENSSH PRIVATE KEY-----\nAA=="));
  assert.ok(!isPrivateKey(rsa.publicKey.export({ format: "pem", type: "spki" })));
  assert.ok(isPrivateKey([..."-----BEGIN PRIVATE KEY-----"].join("\0")), "UTF-16");
  // The dump of a person with a delivered key, which is encrypted, could not be loaded.
  const dump = '\n{"delivered_key":{"key":"-----BEGIN ENCRYPTED PRIVATE KEY-----\\nAA=="}}';
  assert.ok(!isPrivateKey(dump, true));
  // The key file of a cloud service is JSON too. Every field took it.
  assert.ok(isPrivateKey('{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\\nAA=="}'));
});
