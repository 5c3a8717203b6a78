/**
 * QR codes (ISO/IEC 18004), model 2, error correction level M, versions 1 to 25.
 *
 * Tickets for QR codes are upper case alone, so that they fit the alphanumeric mode; other text is
 * encoded as bytes.
 */
import { correction } from "./correction";
import { draw } from "./matrix";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/** For level M, by version: [error correction bytes of a block, number of blocks]. */
const BLOCKS: readonly (readonly [number, number])[] = [
  [10, 1],
  [16, 1],
  [26, 1],
  [18, 2],
  [24, 2],
  [16, 4],
  [18, 4],
  [22, 4],
  [22, 5],
  [26, 5],
  [30, 5],
  [22, 8],
  [22, 9],
  [24, 9],
  [24, 10],
  [28, 10],
  [28, 11],
  [26, 13],
  [26, 14],
  [26, 16],
  [26, 17],
  [28, 17],
  [28, 18],
  [28, 20],
  [28, 21],
];
export const MAX_VERSION = BLOCKS.length;

/** All data and error correction bytes of a version. */
export function capacity(version: number): number {
  let modules = (16 * version + 128) * version + 64;
  if (version >= 2) {
    const patterns = Math.floor(version / 7) + 2;
    modules -= (25 * patterns - 10) * patterns - 55;
    if (version >= 7) modules -= 36;
  }
  return Math.floor(modules / 8);
}

/** The dark modules of the code of `text`, as rows. Throws if the text is too long. */
export function encode(text: string): boolean[][] {
  const alphanumeric = [...text].every((letter) => ALPHABET.includes(letter));
  const bytes = new TextEncoder().encode(text);
  const count = alphanumeric ? text.length : bytes.length;
  for (const [index, [ecc, blocks]] of BLOCKS.entries()) {
    const version = index + 1;
    const data = capacity(version) - ecc * blocks;
    const countBits = alphanumeric ? (version < 10 ? 9 : version < 27 ? 11 : 13) : version < 10 ? 8 : 16;
    const length = 4 + countBits + (alphanumeric ? Math.floor(count / 2) * 11 + (count % 2) * 6 : count * 8);
    if (length > data * 8) continue;
    const bits: number[] = [];
    const put = (value: number, size: number): void => {
      for (let bit = size - 1; bit >= 0; bit -= 1) bits.push((value >>> bit) & 1);
    };
    put(alphanumeric ? 2 : 4, 4);
    put(count, countBits);
    if (alphanumeric) {
      for (let at = 0; at < count; at += 2) {
        const first = ALPHABET.indexOf(text.charAt(at));
        if (at + 1 < count) put(first * 45 + ALPHABET.indexOf(text.charAt(at + 1)), 11);
        else put(first, 6);
      }
    } else for (const byte of bytes) put(byte, 8);
    put(0, Math.min(4, data * 8 - bits.length));
    put(0, (8 - (bits.length % 8)) % 8);
    for (let pad = 0xec; bits.length < data * 8; pad ^= 0xec ^ 0x11) put(pad, 8);
    const message = Array.from({ length: data }, (_, at) =>
      bits.slice(at * 8, at * 8 + 8).reduce((byte, bit) => byte * 2 + bit, 0),
    );
    return draw(version, interleave(message, ecc, blocks));
  }
  throw new RangeError("the text is too long for a QR code");
}

/** Blocks of data and their error correction, byte by byte in turn. */
function interleave(message: readonly number[], ecc: number, blocks: number): number[] {
  const short = Math.floor(message.length / blocks);
  const long = message.length % blocks;
  const parts: (readonly number[])[] = [];
  let from = 0;
  for (let block = 0; block < blocks; block += 1) {
    const size = short + (block >= blocks - long ? 1 : 0);
    parts.push(message.slice(from, from + size));
    from += size;
  }
  const checks = parts.map((part) => correction(part, ecc));
  const out: number[] = [];
  for (const [columns, length] of [
    [parts, short + 1],
    [checks, ecc],
  ] as const) {
    for (let at = 0; at < length; at += 1) {
      for (const column of columns) {
        const byte = column[at];
        if (byte !== undefined) out.push(byte);
      }
    }
  }
  return out;
}
