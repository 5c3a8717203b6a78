/**
 * The connection to a site, as the screens see it.
 *
 * The console is a client of the session protocol. Every implementation logs in, calls operations,
 * receives events and resumes its session after a lost connection. The screens know nothing else of
 * the site: names and shapes of operations come from the site's own reference.
 */
import type { Operations } from "../../../bindings/node/operations";
import type { Withdrawn } from "./held";

export type Operation = keyof Operations;
export type Params<N extends Operation> = Operations[N]["params"];
export type Result<N extends Operation> = Operations[N]["result"];

/** A message of the site that was not asked for, such as `alarm` `raised`. */
export interface SiteEvent {
  group: string;
  event: string;
  data: Record<string, unknown>;
}

/** What became of the connection. */
export type Connection =
  | { state: "open" }
  /** The connection was lost. The client tries to resume the session, and holds changes back until it has. */
  | { state: "lost"; attempt: number }
  /** The session is over. `reason` is the site's word for it, such as `cut` or `expired`. */
  | { state: "ended"; reason: string };

/** Why a site accepts no login of a person. */
export type Closed = "sealed" | "lockdown";

/** What `countersign console`, on the user's own machine, says of its way to the site. */
export interface Relay {
  /** The base URL of the site's HTTP listener. Without it the relay takes no tickets. */
  http?: string;
}

/** What the server of the page says of the site. */
export interface About {
  /** Host and port of the site. */
  address?: string | undefined;
  /** Why the site accepts no login now; absent if it accepts logins, and from a relay, which does not know. */
  closed?: Closed | undefined;
  /** The site is a temporary one of `countersign dev`, whose link logs in by itself. */
  dev?: boolean | undefined;
  relay?: Relay | undefined;
}

/** A failed operation: the members of the site's failure. */
export class Refusal extends Error {
  constructor(
    /** A stable name, such as `not_found`. */
    readonly code: string,
    message: string,
    /** What the caller can do. */
    readonly hint?: string | undefined,
    /** The path of the parameter that is wrong. */
    readonly field?: string | undefined,
    /** After how many milliseconds the caller may repeat the operation. */
    readonly retryAfter?: number | undefined,
  ) {
    super(message);
    this.name = "Refusal";
  }
}

/** The code of a failure that the console itself found, in the language of the screen. */
export const LOCAL = "local";

/** Input that the console refuses before it asks the site. */
export const mistake = (message: string, field?: string): Refusal =>
  new Refusal(LOCAL, message, undefined, field);

export interface Site {
  /** Asks the server of the page about the site. */
  about(): Promise<About>;
  /** Whether this browser remembers a key of the site, with which its key has to agree. */
  knowsKey(): Promise<boolean>;
  /** Forgets the remembered key, so that the next login accepts any key that the URI of the site pins. */
  forgetKey(): Promise<void>;
  /** Logs in with a pass phrase. It stays in this client; the site never receives it. */
  login(name: string, passPhrase: string): Promise<void>;
  /** Sets a pass phrase with a ticket. `id` is the person's name, which the ticket does not contain. */
  registerPassPhrase(ticket: string, id: string, passPhrase: string): Promise<void>;
  /** Replaces the pass phrase of the person who is logged in. */
  changePassPhrase(current: string, next: string): Promise<void>;
  /** Proves the pass phrase again, which a change of one's own credentials needs. Valid for one change. */
  prove(passPhrase: string): Promise<void>;
  /**
   * Calls an operation. Throws a `Refusal` if the site refuses it. While the connection is lost, a change waits until
   * the session is resumed.
   */
  call<N extends Operation>(operation: N, params: Params<N>): Promise<Result<N>>;
  /**
   * Returns the function that withdraws the changes from now on that wait for a lost connection, and that says whether
   * one was sent before. While a dialog is open, nothing else on the page starts a change.
   */
  watch(): () => Withdrawn;
  /** Calls an operation whose result comes with content. */
  content<N extends Operation>(operation: N, params: Params<N>): Promise<{ data: Result<N>; content: Blob }>;
  /**
   * Continues the session of this tab after a reload. `false` if there is none. After anything else than a reload the
   * session ends, and the refusal is `tab_left`.
   */
  resume(): Promise<boolean>;
  /** Ends the session. */
  logout(): Promise<void>;
  /** Subscribes to events. Returns the function that ends the subscription. */
  events(listener: (event: SiteEvent) => void): () => void;
  /** Subscribes to the state of the connection, beginning with the present one. */
  connection(listener: (connection: Connection) => void): () => void;
}
