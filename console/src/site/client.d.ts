/**
 * What the console uses of the client in WebAssembly: the module that `scripts/build-web` writes to
 * `bindings/node/dist/countersign.js`. Its failures have `kind`, `code`, `hint`, `field` and `retryAfterMs`.
 */
declare module "#client" {
  /** Compiles the module. */
  export default function init(options: { module_or_path: URL }): Promise<unknown>;

  export class Site {
    constructor(url: string, uri: string, open: (url: string, protocol: string) => WebSocket);
    /** What is known of the site, to be given to `expect` next time. */
    readonly known: string | undefined;
    expect(known: string): void;
    /** The pass phrase is overwritten. */
    login(name: string, passphrase: Uint8Array): Promise<Session>;
    /** Sets a pass phrase with a ticket. The pass phrase is overwritten. */
    registerPassphrase(ticket: string, name: string, passphrase: Uint8Array): Promise<void>;
    /** The bytes are overwritten. */
    resume(resumption: Uint8Array): Promise<Session>;
  }

  export class Session {
    call(operation: string, params: object): Promise<unknown>;
    stream(operation: string, params: object, content: undefined): Promise<Reply>;
    onEvent(listener: (event: { group: string; event: string; data: unknown }) => void): void;
    resumption(): Uint8Array;
    /** Proves the pass phrase again, for one change. The pass phrase is overwritten. */
    provePassphrase(passphrase: Uint8Array): Promise<void>;
    changePassphrase(present: Uint8Array, next: Uint8Array): Promise<void>;
    /** Waits until the session has ended, and tells why. */
    ended(): Promise<string>;
    logout(): Promise<void>;
  }

  export class Reply {
    readonly data: unknown;
    takeContent(): { next(): Promise<Uint8Array | undefined>; free(): void } | undefined;
  }
}

/** The hashed name of the module's file, which the build defines. */
declare const WASM_FILE: string;
/** The hashed name of the worker's file, which the build defines. */
declare const WORKER_FILE: string;
