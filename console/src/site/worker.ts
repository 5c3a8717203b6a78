/**
 * The worker that runs the client in WebAssembly. The pass phrase is stretched here, so the page stays
 * responsive meanwhile.
 */
import init, { Site, type Session } from "#client";
import type { Calls, Failure, Name, Report, Request } from "./messages";

/** How often it is checked whether the session would be resumed with other bytes than before, in milliseconds. */
const RESUMPTION = 2_000;

/** Content leaves the memory of this worker in blobs of so many bytes, which a browser can keep on its disk. */
const BLOB = 1 << 20;

const scope = self as unknown as {
  postMessage: (report: Report) => void;
  onmessage: ((message: MessageEvent<Request>) => void) | null;
};
let site: Site | undefined;
let session: Session | undefined;
const sockets = new Set<WebSocket>();
let told = "";

const tell = (report: Report): void => scope.postMessage(report);

/**
 * Opens a WebSocket, and tells the page when the connection is lost and when another one is open. A socket that was
 * replaced closes beside the present one, and so does that of the login with which a resumed session changes the pass
 * phrase.
 */
function open(url: string, protocol: string): WebSocket {
  const socket = new WebSocket(url, protocol);
  sockets.add(socket);
  socket.addEventListener("open", () => void resumed());
  socket.addEventListener("close", () => {
    sockets.delete(socket);
    const isConnected = [...sockets].some(({ readyState }) => readyState === WebSocket.OPEN);
    if (session && !isConnected) tell({ is: "lost" });
  });
  return socket;
}

/** The connection is open when the session is resumed over it. Until then a change would wait in the client. */
async function resumed(): Promise<void> {
  const waiting = session;
  try {
    await waiting?.call("self.show", {});
  } catch (error) {
    // A refusal is an answer too. Otherwise the connection was lost again, or the session has ended.
    if ((error as { kind?: string }).kind !== "operation") return;
  }
  if (waiting && session === waiting) tell({ is: "open" });
}

function known(): Site {
  if (!site) throw new Error("the worker is not connected to a site");
  return site;
}

function opened(): Session {
  if (!session) throw Object.assign(new Error("you are not logged in"), { code: "not_logged_in" });
  return session;
}

/** Text that cannot be read is of another version of the client. The next connection replaces it. */
function expect(of: Site, known: string): void {
  try {
    of.expect(known);
  } catch {
    return;
  }
}

function keep(): void {
  if (!session) return;
  const bytes = session.resumption();
  const now = bytes.join();
  if (now === told) return;
  told = now;
  tell({ is: "resumption", bytes, known: site?.known });
}

function begin(begun: Session): null {
  session = begun;
  begun.onEvent(({ group, event, data }: { group: string; event: string; data: unknown }) =>
    tell({ is: "event", group, event, data }),
  );
  void begun.ended().then((reason: string) => {
    if (session !== begun) return;
    session = undefined;
    told = "";
    tell({ is: "ended", reason });
  });
  tell({ is: "open" });
  keep();
  return null;
}

const functions: { [N in Name]: (...args: Calls[N]["args"]) => Promise<Calls[N]["result"]> } = {
  async connect(place) {
    await init({ module_or_path: new URL(WASM_FILE, import.meta.url) }).catch((error: unknown) => {
      // `fetch` fails with nothing else.
      if (!(error instanceof TypeError)) throw error;
      throw Object.assign(new Error("the client could not be read"), { code: "no_network" });
    });
    site = new Site(place.url, place.uri, open);
    for (const known of place.known) expect(site, known);
    return null;
  },
  login: async (name, passPhrase) => begin(await known().login(name, passPhrase)),
  resume: async (resumption) => begin(await known().resume(resumption)),
  async registerPassPhrase(ticket, id, passPhrase) {
    await known().registerPassphrase(ticket, id, passPhrase);
    return null;
  },
  async changePassPhrase(current, next) {
    await opened().changePassphrase(current, next);
    return null;
  },
  async prove(passPhrase) {
    await opened().provePassphrase(passPhrase);
    return null;
  },
  call: (operation, params) => opened().call(operation, params),
  async content(operation, params) {
    const reply = await opened().stream(operation, params, undefined);
    const blobs: Blob[] = [];
    let pieces: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    const content = reply.takeContent();
    for (let piece = await content?.next(); piece !== undefined; piece = await content?.next()) {
      pieces.push(new Uint8Array(piece));
      size += piece.length;
      if (size < BLOB) continue;
      blobs.push(new Blob(pieces));
      pieces = [];
      size = 0;
    }
    return { data: reply.data, content: new Blob([...blobs, ...pieces]) };
  },
  async logout() {
    const ending = session;
    session = undefined;
    await ending?.logout();
    return null;
  },
};

function failureOf(error: unknown): Failure {
  const {
    message = String(error),
    code = "internal",
    hint,
    field,
    retryAfterMs,
  } = (error ?? {}) as Partial<Error> & {
    code?: string;
    hint?: string;
    field?: string;
    retryAfterMs?: number;
  };
  return {
    code,
    message,
    ...(hint ? { hint } : {}),
    ...(field ? { field } : {}),
    ...(retryAfterMs ? { retryAfter: retryAfterMs } : {}),
  };
}

scope.onmessage = ({ data: { id, name, args } }) => {
  const run = functions[name] as (...args: unknown[]) => Promise<unknown>;
  run(...args).then(
    (value) => {
      tell({ is: "result", id, value });
      keep();
    },
    (error: unknown) => tell({ is: "failure", id, failure: failureOf(error) }),
  );
};
setInterval(keep, RESUMPTION);
