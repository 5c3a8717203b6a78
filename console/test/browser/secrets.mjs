// Looks for secrets in what a browser sends, in what a page tells its worker, and in the memory of the site.
import { Buffer } from "node:buffer";
import { open, readFile } from "node:fs/promises";

/** The bytes that reveal a text: as it is, in UTF-16, in a URL, in hexadecimal, in Base64 at each of its offsets. */
export function forms(text) {
  const bytes = Buffer.from(text);
  const utf16 = Buffer.from(text, "utf16le");
  const base64 = [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
    // Without the letters that depend on the bytes around the text.
    const own = encoded.slice(4, -4);
    return [own, own.replaceAll("+", "-").replaceAll("/", "_")];
  });
  const hex = bytes.toString("hex");
  const written = [encodeURIComponent(text), encodeURIComponent(text).replaceAll("%20", "+"), hex, ...base64];
  return [bytes, utf16, Buffer.from(utf16).swap16(), ...written.map((form) => Buffer.from(form))];
}

/** Whether the bytes have the text in one of its forms. */
export const reveals = (bytes, text) => forms(text).some((form) => bytes.includes(form));

/**
 * The payloads of WebSocket frames, which a browser masks with 4 bytes each. A frame is looked for at every byte
 * that can begin one of text or binary data, so none is missed.
 */
export function unmasked(bytes) {
  const out = [];
  for (let at = 0; at + 14 < bytes.length; at += 1) {
    if (bytes[at] !== 0x81 && bytes[at] !== 0x82) continue;
    if ((bytes[at + 1] & 0x80) === 0) continue;
    const short = bytes[at + 1] & 0x7f;
    const from = at + 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    const length =
      short === 126
        ? bytes.readUInt16BE(at + 2)
        : short === 127
          ? Number(bytes.readBigUInt64BE(at + 2))
          : short;
    if (length > 1 << 20) continue;
    const mask = bytes.subarray(from, from + 4);
    out.push(bytes.subarray(from + 4, from + 4 + length).map((byte, index) => byte ^ mask[index % 4]));
  }
  return Buffer.concat(out);
}

/**
 * Records what a page tells its worker, which is the console's plaintext: the operations with their parameters, before
 * the client encrypts them. Call it before the page is opened. Each message has its `name` and its `bytes`.
 */
export async function recordMessages(page) {
  const messages = [];
  await page.exposeFunction("recordMessage", (name, text) =>
    messages.push({ name, bytes: Buffer.from(text, "latin1") }),
  );
  await page.addInitScript(() => {
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (message, ...more) {
      const letters = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
      const parts = [];
      const walk = (value) => {
        if (value instanceof Uint8Array) parts.push(letters(value));
        else if (typeof value === "string") parts.push(letters(new TextEncoder().encode(value)));
        else if (typeof value === "object" && value !== null) Object.values(value).forEach(walk);
      };
      walk(message);
      globalThis.recordMessage(String(message?.name), parts.join("\n"));
      return postMessage.call(this, message, ...more);
    };
  });
  return messages;
}

/** At most so many bytes of the memory of a process are read at once. */
const PIECE = 16 << 20;

/**
 * The texts that are in the memory of a process, in one of their forms: what a site received is there after it was
 * decrypted, as long as the memory was not used again. The process is a child of this one, or of the same root user.
 */
export async function inMemory(pid, texts) {
  const found = new Set();
  const memory = await open(`/proc/${pid}/mem`);
  try {
    for (const line of (await readFile(`/proc/${pid}/maps`, "utf8")).split("\n")) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined) continue;
      const end = Number.parseInt(to, 16);
      for (let at = Number.parseInt(from, 16); at < end; at += PIECE) {
        // A region may be given back meanwhile.
        const size = Math.min(PIECE, end - at);
        const { bytesRead, buffer } = await memory
          .read(Buffer.alloc(size), 0, size, at)
          .catch(() => ({ bytesRead: 0, buffer: Buffer.alloc(0) }));
        const bytes = buffer.subarray(0, bytesRead);
        for (const text of texts) if (reveals(bytes, text)) found.add(text);
      }
    }
  } finally {
    await memory.close();
  }
  return found;
}
