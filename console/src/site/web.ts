/** The product's `Site`: the client in WebAssembly, in a worker, over a WebSocket of the server of this page. */
import {
  Refusal,
  type Closed,
  type Connection,
  type Operation,
  type Params,
  type Result,
  type Site,
  type SiteEvent,
} from "./contract";
import type { Calls, Name, Place, Report, Request } from "./messages";
import { Subscribers } from "./subscribers";

const RESUMPTION = "countersign-resumption";
const KNOWN = "countersign-known";

/** Operations that only read: they are repeated when the connection was lost under them. */
const READS = /\.(list|show|status|doctor|deliveries|key_events|key_slots)$/;

/** `site.json`, which the page's server writes. */
interface Served {
  /** The URI of the site, which pins the site's key. */
  uri: string;
  /** The site's WebSocket, relative to the page. */
  session: string;
  /** Why the site accepts no login. */
  closed?: Closed;
}

async function served(): Promise<Served> {
  const answer = await fetch(new URL("site.json", document.baseURI));
  if (!answer.ok)
    throw new Refusal(
      "unreachable",
      `the server of this page does not name its site (HTTP ${answer.status})`,
    );
  return (await answer.json()) as Served;
}

/** The one script that the page may start as a worker. */
function worker(): Worker {
  const url = new URL(WORKER_FILE, import.meta.url).href;
  interface Policies {
    createPolicy: (
      name: string,
      rules: { createScriptURL: (url: string) => string },
    ) => { createScriptURL: (url: string) => string };
  }
  const policies = (globalThis as { trustedTypes?: Policies }).trustedTypes;
  const policy = policies?.createPolicy("countersign-worker", {
    createScriptURL: (wanted) => {
      if (wanted !== url) throw new TypeError("another script than the worker");
      return wanted;
    },
  });
  return new Worker(policy ? policy.createScriptURL(url) : url, { type: "module" });
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
const stored = (text: string): Uint8Array => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

class WebSite implements Site {
  private worker: Worker | undefined;
  private readonly heard = new Subscribers<SiteEvent>();
  private readonly states = new Subscribers<Connection>();
  private readonly waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (failure: Refusal) => void }
  >();
  private readonly reopened = new Set<() => void>();
  private state: Connection = { state: "open" };
  private resumption: Uint8Array | undefined;
  private count = 0;
  private connected: Promise<unknown> | undefined;

  constructor() {
    addEventListener("pagehide", () => {
      if (this.resumption) sessionStorage.setItem(RESUMPTION, textOf(this.resumption));
    });
  }

  private set(state: Connection): void {
    this.state = state;
    this.states.tell(state);
    if (state.state !== "lost") {
      for (const again of this.reopened) again();
      this.reopened.clear();
    }
  }

  private hear(report: Report): void {
    switch (report.is) {
      case "result":
        this.waiting.get(report.id)?.resolve(report.value);
        this.waiting.delete(report.id);
        break;
      case "failure": {
        const { code, message, hint, field, retryAfter } = report.failure;
        this.waiting.get(report.id)?.reject(new Refusal(code, message, hint, field, retryAfter));
        this.waiting.delete(report.id);
        break;
      }
      case "event":
        this.heard.tell({
          group: report.group,
          event: report.event,
          data: report.data as Record<string, unknown>,
        });
        break;
      case "open":
        this.set({ state: "open" });
        break;
      case "lost":
        this.set({ state: "lost", attempt: this.state.state === "lost" ? this.state.attempt + 1 : 1 });
        break;
      case "ended":
        this.forget();
        this.set({ state: "ended", reason: report.reason });
        break;
      case "resumption":
        this.resumption = report.bytes;
        if (report.known !== undefined) localStorage.setItem(KNOWN, report.known);
        break;
    }
  }

  private forget(): void {
    this.resumption = undefined;
    sessionStorage.removeItem(RESUMPTION);
  }

  private ask<N extends Name>(name: N, ...args: Calls[N]["args"]): Promise<Calls[N]["result"]> {
    const request: Request = { id: ++this.count, name, args };
    // Secrets are moved to the worker, not copied.
    const moved = (args as readonly unknown[])
      .filter((value) => value instanceof Uint8Array)
      .map(({ buffer }) => buffer as ArrayBuffer);
    return new Promise<unknown>((resolve, reject) => {
      this.waiting.set(request.id, { resolve, reject });
      this.worker?.postMessage(request, moved);
    }) as Promise<Calls[N]["result"]>;
  }

  /** Tells the worker where the site is, once. */
  private connect(): Promise<unknown> {
    this.connected ??= this.place()
      .then((place) => this.ask("connect", place))
      .catch((error: unknown) => {
        this.connected = undefined;
        throw error;
      });
    return this.connected;
  }

  private async place(): Promise<Place> {
    if (!WORKER_FILE)
      throw new Refusal(
        "no_client",
        "this console was built without the client",
        "run `scripts/build-web`, and build the console again",
      );
    this.worker = worker();
    this.worker.onmessage = ({ data }: MessageEvent<Report>) => this.hear(data);
    const { uri, session } = await served();
    const url = new URL(session, document.baseURI);
    url.hash = "";
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const known = localStorage.getItem(KNOWN);
    return known === null ? { url: url.href, uri } : { url: url.href, uri, known };
  }

  async closed(): Promise<Closed | undefined> {
    return (await served()).closed;
  }

  async login(name: string, passPhrase: string): Promise<void> {
    await this.connect();
    await this.ask("login", name, bytesOf(passPhrase));
  }

  async registerPassPhrase(ticket: string, id: string, passPhrase: string): Promise<void> {
    await this.connect();
    await this.ask("registerPassPhrase", ticket, id, bytesOf(passPhrase));
  }

  async changePassPhrase(current: string, next: string): Promise<void> {
    await this.ask("changePassPhrase", bytesOf(current), bytesOf(next)).catch(atField);
  }

  async prove(passPhrase: string): Promise<void> {
    await this.ask("prove", bytesOf(passPhrase)).catch(atField);
  }

  async call<N extends Operation>(operation: N, params: Params<N>): Promise<Result<N>> {
    for (;;) {
      try {
        return (await this.ask("call", operation, params)) as Result<N>;
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "lost" || !READS.test(operation)) throw error;
        if (this.state.state === "ended") throw error;
        if (this.state.state === "lost") await new Promise<void>((resolve) => this.reopened.add(resolve));
      }
    }
  }

  async content<N extends Operation>(
    operation: N,
    params: Params<N>,
  ): Promise<{ data: Result<N>; content: Blob }> {
    return (await this.ask("content", operation, params)) as { data: Result<N>; content: Blob };
  }

  async resume(): Promise<boolean> {
    const text = sessionStorage.getItem(RESUMPTION);
    sessionStorage.removeItem(RESUMPTION);
    if (text === null) return false;
    try {
      await this.connect();
      await this.ask("resume", stored(text));
      return true;
    } catch (error) {
      // The session has ended meanwhile. Anything else, such as no network, is told.
      if (error instanceof Refusal && !["unreachable", "timeout", "closed"].includes(error.code))
        return false;
      sessionStorage.setItem(RESUMPTION, text);
      throw error;
    }
  }

  async logout(): Promise<void> {
    this.forget();
    if (this.worker) await this.ask("logout");
  }

  events(listener: (event: SiteEvent) => void): () => void {
    return this.heard.add(listener);
  }

  connection(listener: (connection: Connection) => void): () => void {
    listener(this.state);
    return this.states.add(listener);
  }
}

/** A wrong pass phrase is shown at its field. */
function atField(error: unknown): never {
  if (error instanceof Refusal && error.code === "wrong_passphrase")
    throw new Refusal(error.code, error.message, error.hint, "current");
  throw error;
}

export const connect = (): Site => new WebSite();
