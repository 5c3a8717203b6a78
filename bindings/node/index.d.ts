import type { Content, Site } from './dist/countersign.js';

export type { Content, CountersignError, Reply, Session, Site } from './dist/countersign.js';

export interface ConnectOptions {
  /** What `Site.known` returned after an earlier connection. */
  known?: string;
  /** Another WebSocket than the engine's. */
  WebSocket?: new (url: string, protocol: string) => WebSocket;
}

/**
 * Prepares a connection to a site; `login` and `resume` of the result open it.
 *
 * @param url The site's WebSocket, `wss://HOST/session`.
 * @param uri The site's URI, `countersign://HOST:PORT#KEY`. It pins the site's key, so get it by a way that
 *   you trust.
 */
export function connect(url: string, uri: string, options?: ConnectOptions): Promise<Site>;

/** Content for `Session.stream`. */
export function contentOf(
  source: Uint8Array | Blob | ReadableStream<Uint8Array> | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): () => Promise<Uint8Array | undefined>;

/** The pieces of the content of a result. They are complete when the loop ends without an exception. */
export function piecesOf(content: Content): AsyncGenerator<Uint8Array, void, void>;
