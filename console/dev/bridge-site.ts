/**
 * A `Site` for development: it calls the bridge of `dev/bridge.mjs`, which relays operations to a
 * real site on this machine. It is in no product: the pass phrase goes to the bridge.
 */
import {
  Refusal,
  type Connection,
  type Operation,
  type Params,
  type Result,
  type Site,
  type SiteEvent,
} from "../src/site/contract";
import { arrive, leave } from "../src/site/resumption";
import { served } from "../src/site/served";
import { Subscribers } from "../src/site/subscribers";

interface Failure {
  code: string;
  message: string;
  hint?: string;
  field?: string;
  retry_after_ms?: number;
}

class BridgeSite implements Site {
  private readonly heard = new Subscribers<SiteEvent>();
  private readonly states = new Subscribers<Connection>();
  private state: Connection = { state: "open" };
  private stream: EventSource | undefined;
  private session = "";

  constructor() {
    addEventListener("pagehide", () => this.session && leave(this.session));
  }

  private set(state: Connection): void {
    this.state = state;
    this.states.tell(state);
  }

  private async ask<T>(path: string, body: unknown): Promise<T> {
    const { session } = this;
    const again = async (attempt: number): Promise<Response> => {
      try {
        const answer = await fetch(`/bridge/${path}`, {
          method: "POST",
          headers: { "content-type": "application/json", "x-session": session },
          body: JSON.stringify(body),
        });
        if (this.state.state === "lost") this.set({ state: "open" });
        return answer;
      } catch {
        this.set({ state: "lost", attempt });
        await new Promise((resolve) => setTimeout(resolve, Math.min(250 * 2 ** attempt, 5000)));
        return again(attempt + 1);
      }
    };
    const answer = await again(1);
    const value = (await answer.json()) as { failure?: Failure; ended?: string; data?: T };
    if (value.ended) {
      this.session = "";
      this.set({ state: "ended", reason: value.ended });
    }
    if (value.failure) {
      const { code, message, hint, field, retry_after_ms } = value.failure;
      throw new Refusal(code, message, hint, field, retry_after_ms);
    }
    return value.data as T;
  }

  async isTemporary(): Promise<boolean> {
    return (await served()).dev === true;
  }

  /** The command line checks the key of the site. */
  async knowsKey(): Promise<boolean> {
    return false;
  }

  async forgetKey(): Promise<void> {}

  async login(name: string, passPhrase: string): Promise<void> {
    this.session = await this.ask<string>("login", { name, passPhrase });
    this.open();
  }

  private open(): void {
    this.set({ state: "open" });
    this.stream?.close();
    this.stream = new EventSource(`/bridge/events?session=${this.session}`);
    this.stream.onmessage = (message) => {
      const event = JSON.parse(message.data as string) as SiteEvent | { ended: string };
      if ("ended" in event) {
        this.session = "";
        this.stream?.close();
        this.set({ state: "ended", reason: event.ended });
      } else this.heard.tell(event);
    };
    this.stream.onerror = () => {
      if (this.state.state !== "ended" && this.session) this.set({ state: "lost", attempt: 1 });
    };
    this.stream.onopen = () => {
      if (this.state.state === "lost") this.set({ state: "open" });
    };
  }

  async registerPassPhrase(ticket: string, id: string, passPhrase: string): Promise<void> {
    await this.ask("register", { ticket, id, passPhrase });
  }

  async changePassPhrase(current: string, next: string): Promise<void> {
    await this.ask("change", { current, next });
  }

  async prove(passPhrase: string): Promise<void> {
    await this.ask("prove", { passPhrase });
  }

  call<N extends Operation>(operation: N, params: Params<N>): Promise<Result<N>> {
    return this.ask("call", { operation, params });
  }

  async content<N extends Operation>(
    operation: N,
    params: Params<N>,
  ): Promise<{ data: Result<N>; content: Blob }> {
    const { data, content } = await this.ask<{ data: Result<N>; content: string }>("call", {
      operation,
      params,
    });
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    return { data, content: new Blob([bytes]) };
  }

  async resume(): Promise<boolean> {
    const left = arrive();
    if (!left) return false;
    this.session = left.secret;
    if (!left.reloaded) {
      await this.logout();
      throw new Refusal("tab_left", "this tab was closed or left, so its session was ended");
    }
    try {
      await this.ask("resume", {});
      this.open();
      return true;
    } catch {
      return false;
    }
  }

  async logout(): Promise<void> {
    const asked = this.ask("logout", {});
    this.session = "";
    this.stream?.close();
    await asked;
  }

  events(listener: (event: SiteEvent) => void): () => void {
    return this.heard.add(listener);
  }

  connection(listener: (connection: Connection) => void): () => void {
    listener(this.state);
    return this.states.add(listener);
  }
}

export const connect = (): Site => new BridgeSite();
