/** What the page and the worker tell each other. */

/** Where the site is, and what is known of it. */
export interface Place {
  /** The site's WebSocket. */
  url: string;
  /** The site's URI, which pins its key. */
  uri: string;
  /** What earlier connections learned of the site's key. */
  known: string[];
}

/** The functions of the worker, by name. */
export interface Calls {
  connect: { args: [place: Place]; result: null };
  login: { args: [name: string, passPhrase: Uint8Array]; result: null };
  resume: { args: [resumption: Uint8Array]; result: null };
  registerPassPhrase: { args: [ticket: string, id: string, passPhrase: Uint8Array]; result: null };
  changePassPhrase: { args: [current: Uint8Array, next: Uint8Array]; result: null };
  prove: { args: [passPhrase: Uint8Array]; result: null };
  call: { args: [operation: string, params: object]; result: unknown };
  content: { args: [operation: string, params: object]; result: { data: unknown; content: Blob } };
  logout: { args: []; result: null };
}

export type Name = keyof Calls;

export interface Request {
  id: number;
  name: Name;
  args: Calls[Name]["args"];
}

export interface Failure {
  code: string;
  message: string;
  hint?: string;
  field?: string;
  retryAfter?: number;
}

export type Report =
  | { is: "result"; id: number; value: unknown }
  | { is: "failure"; id: number; failure: Failure }
  | { is: "event"; group: string; event: string; data: unknown }
  | { is: "open" }
  | { is: "lost" }
  | { is: "ended"; reason: string }
  /** What resumes the session after a reload, and what is known of the site. */
  | { is: "resumption"; bytes: Uint8Array; known: string | undefined };
