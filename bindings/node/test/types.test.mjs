// The package as a program in TypeScript sees it: the lines of README.md, and calls that must not compile.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

/** What the compiler says. */
const compile = (words, cwd) => spawnSync(process.execPath, [tsc, ...words], { cwd, encoding: 'utf8' }).stdout;

/** What the compiler says of a program that has the package among its dependencies. */
function compiled(program, resolution) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-types-'));
  try {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/countersign'));
    for (const name of ['openapi-fetch', 'openapi-typescript-helpers'])
      symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(join(folder, 'program.ts'), program);
    const words = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable'];
    words.push('--module', resolution === 'nodenext' ? 'nodenext' : 'esnext', '--moduleResolution', resolution);
    return compile([...words, '--types', '', 'program.ts'], folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The program of README.md: its blocks, one after the other. */
function readme() {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const blocks = [...text.matchAll(/^```(?:js|ts)\n([^]*?)^```$/gm)].map(([, block]) => block);
  assert.equal(blocks.length, text.split('\n```js\n').length + text.split('\n```ts\n').length - 2);
  return blocks.join('\n');
}

for (const resolution of ['nodenext', 'bundler'])
  test(`The lines of the README compile with the resolution ${resolution}`, () => {
    assert.equal(compiled(readme(), resolution), '');
  });

test('The names, parameters and results of operations are checked', () => {
  const program = `
    import { READS, type Params, type Session } from 'countersign';
    declare const session: Session;
    const me: string = (await session.call('self show')).name;
    const listed: Params<'person.list'> = { search: 'mar', limit: 10 };
    await session.call('person.list', listed);
    const first: string | undefined = READS[0];
    // @ts-expect-error: there is no such operation
    await session.call('self shaw');
    // @ts-expect-error: a parameter is missing
    await session.call('person show');
    // @ts-expect-error: there is no such parameter
    await session.call('person list', { serch: 'mar' });
    // @ts-expect-error: the result has no such member
    (await session.call('self show')).nam;
    // @ts-expect-error: there is no such operation
    await session.stream('app upload', { name: 'a' });
    export { first, me };
  `;
  assert.equal(compiled(program, 'nodenext'), '');
});

test('The types of the REST API accept correct requests and refuse wrong ones', () => {
  assert.equal(compile(['--project', 'test'], root), '');
});

test('What is only read is in the list of reads, and nothing else', async () => {
  const { READS } = await import('../operations.js');
  assert.ok(READS.includes('person.list') && READS.includes('peer.inbox'));
  for (const name of ['person.create', 'peer.discard', 'audit.export', 'audit.verify', 'token.create'])
    assert.ok(!READS.includes(name), name);
});
