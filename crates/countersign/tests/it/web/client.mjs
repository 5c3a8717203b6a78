// A program that uses the npm package: `node client.mjs PACKAGE URL URI URI_WITH_ANOTHER_KEY TICKET OTHER_TICKET`. Prints
// a line of JSON after each step; the test compares them.

const [packagePath, url, uri, elsewhere, ticket, otherTicket] = process.argv.slice(2);
const { connect, contentOf, piecesOf } = await import(packagePath);

const PASSPHRASE = 'correct horse battery staple';
const NEW_PASSPHRASE = 'another horse, another staple';
const REGISTERED = 'Zoë’s 한국 horse, registered';
// The same with other characters, as some systems type it.
const REGISTERED_ELSEWHERE = 'Zoe\u0308’s\u3000\u1112\u1161\u11ab국\u00a0horse, registered';

const print = (step, value) => console.log(JSON.stringify({ step, value: value ?? null }));
const lineOfTest = (() => {
  process.stdin.setEncoding('utf8');
  const lines = process.stdin[Symbol.asyncIterator]();
  return async () => (await lines.next()).value;
})();
const failure = async (promise) => {
  try {
    await promise;
    return 'no failure';
  } catch (error) {
    return { name: error.name, kind: error.kind, code: error.code, field: error.field };
  }
};

const site = await connect(url, uri);
print('known before', site.known);
print('wrong', await failure(site.login('maria', 'a wrong pass phrase')));
print('unknown', await failure(site.login('unknown', PASSPHRASE)));
print('usage', await failure(site.login('no good name', PASSPHRASE)));
print('wrong site', await failure((await connect(url, elsewhere)).login('maria', PASSPHRASE)));
const closed = (await connect('ws://127.0.0.1:9/session', uri)).login('maria', PASSPHRASE);
print('unreachable', await failure(closed));

const started = performance.now();
let session = await site.login('maria', PASSPHRASE);
console.error(`login: ${Math.round(performance.now() - started)} ms`);
print('account', session.account);
print('known', typeof site.known);
print('me', (await session.call('self show')).name);
print('parameters', (await session.call('person show', { name: 'maria' })).name);
print('no operation', await failure(session.call('no such')));
print('bad parameters', await failure(session.call('person show', { nam: 'maria' })));
const many = await Promise.all(Array.from({ length: 100 }, () => session.call('self show')));
print('many', many.length);

const event = new Promise((resolve) => session.onEvent(resolve));
print('listens');
print('event', await event);

const taken = await session.stream('test take', {}, contentOf([new Uint8Array(70_000), new Uint8Array(), new Uint8Array(7)]));
print('taken', taken.data);
const given = await session.stream('test give', { pieces: 40 });
let length = 0;
for await (const piece of piecesOf(given.takeContent())) {
  length += piece.length;
}
print('given', length);

const { id } = session;
print('cut');
await lineOfTest();
let answered;
while (answered === undefined) {
  // A call that was under way when the connection was lost fails; the next waits until the session is resumed.
  answered = await session.call('self show').catch((error) => (error.code === 'lost' ? undefined : Promise.reject(error)));
}
print('resumed', { same: session.id === id });

const stored = session.resumption();
const reloaded = await (await connect(url, uri, { known: site.known })).resume(stored);
print('reloaded', { same: reloaded.id === id, wiped: stored.every((byte) => byte === 0) });
print('replaced', await session.ended());
session = reloaded;

const bytes = new TextEncoder().encode(PASSPHRASE);
print('not proved', (await failure(session.call('token create', { operations: ['self.show'] }))).code);
print('wrong proof', await failure(session.provePassphrase('a wrong pass phrase')));
const proof = bytes.slice();
await session.provePassphrase(proof);
print('proved', { wiped: proof.every((byte) => byte === 0) });
print('token', typeof (await session.call('token create', { operations: ['self.show'] })).token);
print('wrong present', await failure(session.changePassphrase('a wrong pass phrase', NEW_PASSPHRASE)));
await session.changePassphrase(bytes, NEW_PASSPHRASE);
print('changed', { wiped: bytes.every((byte) => byte === 0) });
print('old', await failure(site.login('maria', PASSPHRASE)));
const again = await site.login('maria', NEW_PASSPHRASE);
print('new', again.account);
await again.logout();
print('after', await failure(again.call('self show')));
await session.logout();
print('done', await session.ended());

print('no ticket', await failure(site.registerPassphrase('countersign://x', 'ada', REGISTERED)));
print('other site', await failure((await connect(url, uri)).registerPassphrase(otherTicket, 'ada', REGISTERED)));
print('private use', await failure(site.registerPassphrase(ticket, 'ada', 'a horse with a private \ue000')));
const chosen = new TextEncoder().encode(REGISTERED_ELSEWHERE);
await site.registerPassphrase(ticket, 'ada', chosen);
print('registered', { wiped: chosen.every((byte) => byte === 0) });
print('spent', await failure(site.registerPassphrase(ticket, 'ada', 'yet another one')));
const ada = await site.login('ada', REGISTERED);
print('ada', ada.account);
await ada.logout();
// The program ends by itself: no timer and no connection is left.
process.stdin.unref?.();
process.stdin.destroy();
