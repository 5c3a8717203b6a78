// Writes the TypeScript in README.md to a file, which `npm test` compiles.
import { readFileSync, writeFileSync } from 'node:fs';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map((block) => block[1]);
if (blocks.length === 0) throw new Error('README.md has no TypeScript');
writeFileSync(new URL('readme.ts', import.meta.url), blocks.join('').replaceAll("'countersign'", "'../index.js'"));
