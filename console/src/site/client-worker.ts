/** A worker with the client in WebAssembly, and the calls that wait for its answers. */
import { Refusal } from "./contract";
import type { Calls, Name, Report, Request } from "./messages";

/** How long a logout may take, in milliseconds, before the worker is ended without the site's answer. */
const LOGOUT = 5_000;

/** What the worker reports by itself. */
export type News = Exclude<Report, { is: "result" } | { is: "failure" }>;

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (failure: Refusal) => void;
}

interface Policy {
  createScriptURL: (url: string) => string;
}

let policy: Policy | undefined;

/** The one script that the page may start as a worker. Its policy is made once: the page admits no second one. */
function start(): Worker {
  const url = new URL(WORKER_FILE, import.meta.url).href;
  const { trustedTypes } = globalThis as {
    trustedTypes?: { createPolicy: (name: string, rules: Policy) => Policy };
  };
  policy ??= trustedTypes?.createPolicy("countersign-worker", {
    createScriptURL: (wanted) => {
      if (wanted !== url) throw new TypeError("another script than the worker");
      return wanted;
    },
  });
  return new Worker(policy ? policy.createScriptURL(url) : url, { type: "module" });
}

export class ClientWorker {
  private readonly worker = start();
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;

  constructor(hear: (news: News) => void) {
    this.worker.onmessage = ({ data }: MessageEvent<Report>) => {
      if (data.is === "result") this.take(data.id)?.resolve(data.value);
      else if (data.is === "failure") {
        const { code, message, hint, field, retryAfter } = data.failure;
        this.take(data.id)?.reject(new Refusal(code, message, hint, field, retryAfter));
      } else hear(data);
    };
    this.worker.onerror = () =>
      this.fail(new Refusal("no_worker", "the client did not start", "reload the page"));
  }

  ask<N extends Name>(name: N, ...args: Calls[N]["args"]): Promise<Calls[N]["result"]> {
    const request: Request = { id: ++this.count, name, args };
    // Secrets are moved to the worker, not copied.
    const moved = (args as readonly unknown[])
      .filter((value) => value instanceof Uint8Array)
      .map(({ buffer }) => buffer as ArrayBuffer);
    return new Promise<unknown>((resolve, reject) => {
      this.waiting.set(request.id, { resolve, reject });
      this.worker.postMessage(request, moved);
    }) as Promise<Calls[N]["result"]>;
  }

  /** Ends the worker, and with it the memory that had the keys of the session. */
  close(): void {
    this.worker.terminate();
    this.fail(new Refusal("ended", "the session has ended"));
  }

  /** Logs out, then ends the worker. */
  async logout(): Promise<void> {
    const late = setTimeout(() => this.close(), LOGOUT);
    try {
      await this.ask("logout");
    } finally {
      clearTimeout(late);
      this.close();
    }
  }

  private take(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  private fail(failure: Refusal): void {
    for (const { reject } of this.waiting.values()) reject(failure);
    this.waiting.clear();
  }
}
