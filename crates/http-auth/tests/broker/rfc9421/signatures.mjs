// Signs and verifies requests with the npm package `http-message-signatures` (RFC 9421). A call is a line of JSON,
// `[name, parameters]`, and so is its result.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createInterface } from 'node:readline';

import { httpbis } from 'http-message-signatures';

const NAME = 'countersign';
const FIELDS = ['@method', '@authority', '@request-target', 'content-digest'];
const PARAMS = ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'];

const digest = (name, content) => {
  const sum = createHash(name.replace('-', '')).update(content).digest('base64');
  return `${name}=:${sum}:`;
};

const mac = (secret, data) =>
  createHmac('sha256', Buffer.from(secret, 'base64')).update(data).digest();

const calls = {
  // The fields of a signed request to an absolute URL.
  async sign({ method, url, content, digests, id, secret, now, nonce }) {
    const headers = { 'content-digest': digests.map((name) => digest(name, content)).join(', ') };
    const signed = await httpbis.signMessage(
      {
        name: NAME,
        fields: FIELDS,
        params: PARAMS,
        paramValues: {
          created: new Date(now * 1000),
          expires: new Date((now + 30) * 1000),
          nonce,
          tag: NAME,
        },
        key: { id, alg: 'hmac-sha256', sign: async (data) => mac(secret, data) },
      },
      { method, url, headers },
    );
    return signed.headers;
  },

  // Whether a request that came to this URL with these headers is signed with the secret.
  async verify({ method, url, headers, content, secret, now }) {
    if (headers['content-digest'] !== digest('sha-256', content)) return false;
    return await httpbis.verifyMessage(
      {
        keyLookup: async () => ({
          verify: async (data, signature) => timingSafeEqual(mac(secret, data), signature),
        }),
        requiredFields: FIELDS,
        requiredParams: PARAMS,
        // Its tests of time are by the machine's clock, which is not that of the test.
        notAfter: new Date(now * 1000),
        tolerance: 10 ** 9,
      },
      { method, url, headers },
    );
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, parameters] = JSON.parse(line);
  const result = await Promise.resolve(calls[name](parameters)).catch((error) => ({
    error: String(error),
  }));
  console.log(JSON.stringify(result));
}
