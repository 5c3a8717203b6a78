// The client of Countersign for browsers and Node. README.md shows the first call; index.d.ts has the types.

import init, { Site } from './dist/countersign.js';

export { READS } from './operations.js';

const isNode = typeof process === 'object' && process.versions?.node !== undefined;

let loading;

/** Compiles the WebAssembly module, once. */
function load() {
  loading ??= compile().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function compile() {
  const wasm = new URL('./dist/countersign_bg.wasm', import.meta.url);
  if (!isNode) {
    return init({ module_or_path: wasm });
  }
  // Node does not fetch files.
  const { readFile } = await import('node:fs/promises');
  return init({ module_or_path: await readFile(wasm) });
}

/** The WebSocket of the engine. Before version 22, Node has none. */
async function engineWebSocket() {
  return globalThis.WebSocket ?? (await import('ws')).WebSocket;
}

/**
 * Prepares a connection to a site. It is opened by `login` and `resume`.
 */
export async function connect(url, uri, options = {}) {
  await load();
  const WebSocket = options.WebSocket ?? (await engineWebSocket());
  const open = (url, protocol) => {
    const socket = new WebSocket(url, protocol);
    // An emitter of Node throws an error for which nothing listens.
    socket.addEventListener('error', () => {});
    return socket;
  };
  const site = new Site(url, uri, open);
  if (options.known !== undefined) {
    site.expect(options.known);
  }
  return site;
}

/**
 * Content for `Session.stream`: from bytes, a Blob, a ReadableStream, or anything that yields pieces.
 */
export function contentOf(source) {
  if (source instanceof Uint8Array) {
    source = [source];
  } else if (typeof Blob === 'function' && source instanceof Blob) {
    source = source.stream();
  }
  const pieces = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]?.() ?? ofReader(source.getReader());
  return async () => (await pieces.next()).value;
}

/** Some browsers cannot iterate over a ReadableStream. */
async function* ofReader(reader) {
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    yield read.value;
  }
}

/**
 * The pieces of the content of a result, none if it has no content. They are complete when the loop ends without an
 * exception.
 */
export async function* piecesOf(content) {
  if (content === undefined) return;
  try {
    for (let piece = await content.next(); piece !== undefined; piece = await content.next()) {
      yield piece;
    }
  } finally {
    content.free();
  }
}
