// Prints a line for each character that the engine knows: its code point and, both in hexadecimal UTF-8, a text with
// the character and that text prepared as crates/crypto does in WebAssembly.

const unknown = /[\p{Cn}\p{Co}]/u;
const hex = (text) => Buffer.from(text).toString('hex');
let lines = [];
for (let code = 0; code <= 0x10ffff; code += 1) {
  if (code >= 0xd800 && code <= 0xdfff) continue;
  const character = String.fromCodePoint(code);
  if (unknown.test(character)) continue;
  // Composed with what is before it and after it, and moved behind or before other marks.
  const text = `${character}e${character}\u0323\u0301${character}\u1161\u11ab`;
  const prepared = text.replace(/\p{Zs}/gu, ' ').normalize('NFC');
  lines.push(`${code.toString(16)} ${hex(text)} ${hex(prepared)}\n`);
}
process.stdout.write(lines.join(''));
