/** The product's `Site`: the client in WebAssembly, in a worker, over a WebSocket of the server of this page. */
import { READS } from "../../../bindings/node/operations";
import { ClientWorker, type News } from "./client-worker";
import {
  Refusal,
  type About,
  type Connection,
  type Operation,
  type Params,
  type Result,
  type Site,
  type SiteEvent,
} from "./contract";
import { Held, type Withdrawn } from "./held";
import { forget, recall, remember } from "./known-sites";
import { arrive, leave } from "./resumption";
import { served } from "./served";
import { Subscribers } from "./subscribers";

/** They are repeated when the connection was lost under them. */
const REPEATED: ReadonlySet<Operation> = new Set(READS);

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
const stored = (text: string): Uint8Array => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Starts a worker and tells it where the site is. */
async function begin(hear: (news: News, uri: string, from: ClientWorker) => void): Promise<ClientWorker> {
  if (!WORKER_FILE)
    throw new Refusal(
      "no_client",
      "this console was built without the client",
      "run `scripts/build-web`, and build the console again",
    );
  const { uri, session, relay } = await served();
  const url = new URL(session, document.baseURI);
  url.hash = "";
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const known = [relay?.known, recall(uri)].filter((text) => text !== undefined);
  const client: ClientWorker = new ClientWorker((news) => hear(news, uri, client));
  try {
    await client.ask("connect", { url: url.href, uri, known });
    return client;
  } catch (error) {
    client.close();
    throw error;
  }
}

/** Ends a session that was left behind. Without the site it ends by its own limits. */
async function end(secret: string): Promise<void> {
  const client = await begin(() => {});
  try {
    await client.ask("resume", stored(secret));
  } catch (error) {
    client.close();
    throw error;
  }
  await client.logout();
}

class WebSite implements Site {
  private readonly heard = new Subscribers<SiteEvent>();
  private readonly states = new Subscribers<Connection>();
  private readonly reopened = new Set<() => void>();
  private readonly held = new Held();
  private state: Connection = { state: "open" };
  private connected: Promise<ClientWorker> | undefined;
  private client: ClientWorker | undefined;
  /** What resumes the session after a reload. */
  private resumption: Uint8Array | undefined;

  constructor() {
    addEventListener("pagehide", () => {
      if (this.resumption) leave(textOf(this.resumption));
    });
  }

  private set(state: Connection): void {
    this.state = state;
    this.states.tell(state);
    this.held.lost = state.state === "lost";
    if (state.state !== "lost") {
      for (const again of this.reopened) again();
      this.reopened.clear();
    }
  }

  private hear(news: News, uri: string, from: ClientWorker): void {
    // The worker of a session that is over may still talk.
    if (from !== this.client) return;
    switch (news.is) {
      case "event":
        this.heard.tell({ group: news.group, event: news.event, data: news.data as Record<string, unknown> });
        break;
      case "open":
        this.set({ state: "open" });
        break;
      case "lost":
        this.set({ state: "lost", attempt: this.state.state === "lost" ? this.state.attempt + 1 : 1 });
        break;
      case "ended":
        this.drop()?.close();
        this.set({ state: "ended", reason: news.reason });
        break;
      case "resumption":
        this.keep(news.bytes);
        if (news.known !== undefined) remember(uri, news.known);
        break;
    }
  }

  private keep(resumption: Uint8Array | undefined): void {
    this.resumption?.fill(0);
    this.resumption = resumption;
  }

  /** Forgets the session. */
  private drop(): ClientWorker | undefined {
    const { client } = this;
    this.keep(undefined);
    this.client = undefined;
    this.connected = undefined;
    return client;
  }

  private connect(): Promise<ClientWorker> {
    this.connected ??= begin((...news) => this.hear(...news)).then(
      (client) => (this.client = client),
      (error: unknown) => {
        this.connected = undefined;
        throw error;
      },
    );
    return this.connected;
  }

  /** The client of the present session. */
  private opened(): ClientWorker {
    if (!this.client) throw new Refusal("not_logged_in", "you are not logged in");
    return this.client;
  }

  async knowsKey(): Promise<boolean> {
    return recall((await served()).uri) !== undefined;
  }

  async forgetKey(): Promise<void> {
    forget((await served()).uri);
    this.drop()?.close();
  }

  async about(): Promise<About> {
    const { uri, closed, dev, relay } = await served();
    const [, address] = /^countersign:\/\/([^#/]+)/.exec(uri) ?? [];
    return { address, closed, dev, relay };
  }

  async login(name: string, passPhrase: string): Promise<void> {
    await (await this.connect()).ask("login", name, bytesOf(passPhrase));
  }

  async registerPassPhrase(ticket: string, id: string, passPhrase: string): Promise<void> {
    await (await this.connect()).ask("registerPassPhrase", ticket, id, bytesOf(passPhrase));
  }

  async changePassPhrase(current: string, next: string): Promise<void> {
    await this.held.pass();
    await this.opened().ask("changePassPhrase", bytesOf(current), bytesOf(next)).catch(atField);
  }

  async prove(passPhrase: string): Promise<void> {
    await this.held.pass(false);
    await this.opened().ask("prove", bytesOf(passPhrase)).catch(atField);
  }

  async call<N extends Operation>(operation: N, params: Params<N>): Promise<Result<N>> {
    if (!REPEATED.has(operation)) await this.held.pass();
    for (;;) {
      try {
        return (await this.opened().ask("call", operation, params)) as Result<N>;
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "lost" || !REPEATED.has(operation)) throw error;
        if (this.state.state === "ended") throw error;
        if (this.state.state === "lost") await new Promise<void>((resolve) => this.reopened.add(resolve));
      }
    }
  }

  watch(): () => Withdrawn {
    return this.held.watch();
  }

  async content<N extends Operation>(
    operation: N,
    params: Params<N>,
  ): Promise<{ data: Result<N>; content: Blob }> {
    await this.held.pass(false);
    const answer = await this.opened().ask("content", operation, params);
    return answer as { data: Result<N>; content: Blob };
  }

  async resume(): Promise<boolean> {
    const left = arrive();
    if (!left) return false;
    if (!left.reloaded) {
      const ended = await end(left.secret).then(
        () => true,
        (error: unknown) => !isUnreached(error),
      );
      throw ended
        ? new Refusal("tab_left", "this tab was closed or left, so its session was ended")
        : new Refusal("unreached", "the site was not reached to end the session of this tab");
    }
    try {
      await (await this.connect()).ask("resume", stored(left.secret));
      return true;
    } catch (error) {
      // The session has ended meanwhile. Anything else, such as no network, is told, and a reload tries again.
      if (error instanceof Refusal && !isUnreached(error)) return false;
      this.keep(stored(left.secret));
      throw error;
    }
  }

  async logout(): Promise<void> {
    const client = this.drop();
    this.set({ state: "ended", reason: "done" });
    await client?.logout();
  }

  events(listener: (event: SiteEvent) => void): () => void {
    return this.heard.add(listener);
  }

  connection(listener: (connection: Connection) => void): () => void {
    listener(this.state);
    return this.states.add(listener);
  }
}

const isUnreached = (error: unknown): boolean =>
  error instanceof Refusal && ["unreachable", "timeout", "closed", "no_network"].includes(error.code);

/** A wrong pass phrase is shown at its field. */
function atField(error: unknown): never {
  if (error instanceof Refusal && error.code === "wrong_passphrase")
    throw new Refusal(error.code, error.message, error.hint, "current");
  throw error;
}

export const connect = (): Site => new WebSite();
