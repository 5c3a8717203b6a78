// The module's classes can be disposed of.
/// <reference lib="esnext.disposable" />
import type { Content, Reply as AnyReply, Session as AnySession, Site as AnySite } from './dist/countersign.js';
import type { Operations } from './operations.js';

export type { Content, CountersignError } from './dist/countersign.js';
export type { paths, Problem } from './paths.js';
export * from './operations.js';

/** The name of an operation, such as `self.show`. */
export type Operation = keyof Operations;
/** The same as a person writes it: `self show`. */
export type Spaced<N extends string> = N extends `${infer Group}.${infer Command}` ? `${Group} ${Command}` : never;
type Dotted<N extends string> = N extends `${infer Group} ${infer Command}` ? `${Group}.${Command}` : N;
type Entry<N extends string> = Dotted<N> extends Operation ? Operations[Dotted<N>] : never;

/** The parameters of an operation. */
export type Params<N extends string> = Entry<N>['params'];
/** The result of an operation. */
export type Result<N extends string> = Entry<N>['result'];

/** Nothing has to be passed if every parameter is optional. */
type Args<N extends string> = Record<string, never> extends Params<N>
  ? [params?: Params<N>]
  : {} extends Params<N>
    ? [params?: Params<N>]
    : [params: Params<N>];

/** A result and its content. */
export type Reply<R = unknown> = Omit<AnyReply, 'data'> & { readonly data: R };

/** An open session. */
export type Session = Omit<AnySession, 'call' | 'stream'> & {
  /** Runs an operation, such as `person show`, with its parameters. */
  call<N extends Operation | Spaced<Operation>>(operation: N, ...args: Args<N>): Promise<Result<N>>;
  /** Runs an operation that takes content, or whose result has content. */
  stream<N extends Operation | Spaced<Operation>>(
    operation: N,
    params?: Params<N>,
    content?: () => Promise<Uint8Array | undefined>,
  ): Promise<Reply<Result<N>>>;
};

/** A site, identified by the key in its URI. */
export type Site = Omit<AnySite, 'login' | 'resume'> & {
  /** Logs in as a person. The pass phrase is not sent. Bytes are overwritten once they are read. */
  login(name: string, passphrase: string | Uint8Array): Promise<Session>;
  /** Resumes the session of which `Session.resumption` returned this. The bytes are overwritten. */
  resume(resumption: Uint8Array): Promise<Session>;
};

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

/**
 * The pieces of the content of a result, none if it has no content. They are complete when the loop ends without an
 * exception.
 */
export function piecesOf(content: Content | undefined): AsyncGenerator<Uint8Array, void, void>;
