/** Reading operations: one result, or a list page by page. Events and timers renew them. */
import { useCallback, useContext, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import {
  Refusal,
  type Closed,
  type Operation,
  type Params,
  type Result,
  type SiteEvent,
} from "../site/contract";
import type { Withdrawn } from "../site/held";
import { useText } from "../text/catalogue";
import { coalesced } from "./coalesced";
import { ConsoleContext, SiteClosed, useConsole } from "./context";
import { here } from "./router";

export interface Renewal {
  /** Reads again after so many milliseconds, while the page is visible. */
  every?: number;
  /** Reads again when such an event arrives. */
  on?: (event: SiteEvent) => boolean;
  /** Reads again when this changes. */
  after?: unknown;
  /** `false`: does not read. */
  when?: boolean;
}

export interface Reading<T> {
  /** The newest answer. While other parameters are read it is the previous one, so that nothing flickers. */
  data: T | undefined;
  /** Whether `data` and `failure` are of the present parameters. */
  isCurrent: boolean;
  failure: Refusal | undefined;
  /** Reads again. The promise ends when that was read, or could not be. */
  reload: () => Promise<void>;
}

export const asRefusal = (error: unknown): Refusal =>
  error instanceof Refusal
    ? error
    : new Refusal("internal", error instanceof Error ? error.message : String(error));

/** Whether what a change was based on is another one by now. */
export const isStale = (failure: Refusal | undefined): boolean => failure?.code === "precondition_failed";

/** Reads again what a change was based on if another one came first: the dialog then begins with that the next time. */
export const orReread = <T>(change: Promise<T>, reload: () => void): Promise<T> =>
  change.catch((error: unknown) => {
    if (isStale(asRefusal(error))) reload();
    throw error;
  });

/**
 * Runs `read` now, whenever `key` changes, and as `renewal` says. An older answer never replaces a newer one. A
 * screen about another object is another component, so an answer is never shown under another object's name.
 */
export function useReading<T>(key: string, read: () => Promise<T>, renewal: Renewal = {}): Reading<T> {
  const { site } = useConsole();
  const [state, set] = useState<{ key: string; data?: T; failure?: Refusal }>({ key: "" });
  const last = useRef(0);
  const reader = useRef(read);
  reader.current = read;
  const wanted = useRef(renewal.on);
  wanted.current = renewal.on;
  const when = renewal.when ?? true;

  const run = useCallback(async () => {
    if (!when) return;
    const turn = ++last.current;
    await reader.current().then(
      (data) => turn === last.current && set({ key, data }),
      (error: unknown) =>
        turn === last.current &&
        set((before) => {
          const failure = asRefusal(error);
          return before.key === key && before.data !== undefined
            ? { key, data: before.data, failure }
            : { key, failure };
        }),
    );
  }, [key, when]);
  const running = useRef(run);
  running.current = run;
  // The same function for all keys, so that what a screen makes of it need not be made again.
  const reload = useCallback(() => running.current(), []);

  // Before the next frame: the site works while the browser paints it.
  useLayoutEffect(() => void run(), [run, renewal.after]);
  useEffect(() => {
    // One read at a time, however long it takes: while the connection is lost it waits.
    const { ask, stop } = coalesced(run);
    const timer =
      renewal.every && when
        ? setInterval(() => document.visibilityState === "visible" && ask(), renewal.every)
        : undefined;
    const end = site.events((event) => {
      // The site dropped events because this client did not read in time: anything may have changed.
      const missed = event.group === "events" && event.event === "missed";
      if (wanted.current && (missed || wanted.current(event))) ask();
    });
    return () => {
      clearInterval(timer);
      stop();
      end();
    };
  }, [site, run, renewal.every, when]);

  return { data: state.data, isCurrent: state.key === key, failure: state.failure, reload };
}

/** Calls an operation that only reads. */
export function useQuery<N extends Operation>(
  operation: N,
  params: Params<N>,
  renewal: Renewal = {},
): Reading<Result<N>> {
  const { site } = useConsole();
  return useReading(`${operation} ${JSON.stringify(params)}`, () => site.call(operation, params), renewal);
}

type Listing = {
  [N in Operation]: Result<N> extends { entries: readonly unknown[]; next?: string | null | undefined }
    ? N
    : never;
}[Operation];
type Entry<N extends Listing> = Result<N> extends { entries: readonly (infer E)[] } ? E : never;

/** An entry of a list that the site cannot read. */
export interface Damaged {
  name?: string;
  id?: string;
  zone?: string;
  site?: string;
  problem: string;
}

export interface Pages<T> {
  entries: readonly T[] | undefined;
  damaged: readonly Damaged[];
  /** Whether there are further entries. */
  more: boolean;
  /** Whether the entries are of the present parameters. */
  isCurrent: boolean;
  showMore: () => void;
  /** Whether further entries are being read because they were asked for. */
  isGrowing: boolean;
  failure: Refusal | undefined;
  reload: () => void;
}

const PAGE = 50;
/** The most entries that the site returns at once. */
const MOST = 1_000;

interface Rows<T> {
  entries: readonly T[];
  damaged: readonly Damaged[];
  next?: string | null | undefined;
}

const sizeOf = ({ entries, damaged }: Rows<unknown>): number => entries.length + damaged.length;

/** Tells two entries of a list from each other. */
const keyOf = (entry: unknown): unknown => {
  const { id, site, name } = entry as { id?: unknown; site?: unknown; name?: unknown };
  return id ?? site ?? name ?? entry;
};

/** Adds the next page. An account that was renamed can be on both: the later one counts. */
function joined<T>(before: Rows<T>, page: Rows<T>): Rows<T> {
  const add = <E>(first: readonly E[], more: readonly E[]): E[] => {
    const later = new Set(more.map(keyOf));
    return [...first.filter((entry) => !later.has(keyOf(entry))), ...more];
  };
  return {
    entries: add(before.entries, page.entries),
    damaged: add(before.damaged, page.damaged),
    next: page.next,
  };
}

/** What is read of a list: how many entries are wanted, and whether they are all being read anew. */
interface Extent<T> {
  key: string;
  wanted: number;
  /** What is shown, to which the next page is added. */
  shown: Rows<T> | undefined;
  /** The next read adds to what is shown. */
  grows: boolean;
  /** How many reads of all wanted entries run. */
  whole: number;
}

/**
 * Lists entries by cursor. `showMore` reads the next page alone, unless all is being read again: then it comes with
 * that. `reload` reads as many entries again as are shown.
 */
export function usePages<N extends Listing>(
  operation: N,
  params: Params<N>,
  renewal: Renewal = {},
): Pages<Entry<N>> {
  const { site } = useConsole();
  const key = `${operation} ${JSON.stringify(params)}`;
  const extent = useRef<Extent<Entry<N>>>(undefined);
  if (extent.current?.key !== key)
    extent.current = { key, wanted: PAGE, shown: undefined, grows: false, whole: 0 };
  const list = extent.current;
  const [growing, setGrowing] = useState("");
  const reading = useReading(
    key,
    async () => {
      const base = list.grows && list.whole === 0 ? list.shown : undefined;
      list.grows = false;
      if (!base) list.whole += 1;
      let rows: Rows<Entry<N>> = base ?? { entries: [], damaged: [] };
      try {
        do {
          const limit = Math.min(MOST, Math.max(list.wanted - sizeOf(rows), 1));
          const asked = { limit, ...params, ...(rows.next ? { after: rows.next } : {}) } as Params<N>;
          const page = (await site.call(operation, asked)) as unknown as Partial<Rows<Entry<N>>>;
          rows = joined(rows, { entries: [], damaged: [], ...page, next: page.next });
        } while (rows.next && sizeOf(rows) < list.wanted);
      } finally {
        if (!base) list.whole -= 1;
      }
      return rows;
    },
    renewal,
  );
  const { data, isCurrent, failure, reload } = reading;
  list.shown = isCurrent ? data : undefined;
  return {
    entries: data?.entries,
    damaged: data?.damaged ?? [],
    more: Boolean(data?.next),
    isCurrent,
    isGrowing: growing === key,
    showMore: () => {
      if (!list.shown || growing === key) return;
      list.wanted = sizeOf(list.shown) + PAGE;
      list.grows = true;
      setGrowing(key);
      void reload().then(() => setGrowing((now) => (now === key ? "" : now)));
    },
    failure,
    reload,
  };
}

export interface Doing {
  busy: boolean;
  failure: Refusal | undefined;
  /** Runs a change. Keeps its failure, and answers whether it succeeded and the user still waits for it here. */
  run: (change: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
  /** The user cancels: what was not sent is withdrawn, and what was sent has no consequence here. Says which it was. */
  leave: () => void;
}

/** Failures by the state of the site, which are over when that state is. */
const OF_STATE: readonly string[] = ["sealed", "lockdown"] satisfies Closed[];
export const isOfState = ({ code }: Refusal): boolean => OF_STATE.includes(code);

/**
 * A change that the user asked for: its progress and its failure. A change that waits for a lost connection is
 * withdrawn when its form is left.
 */
export function useDoing(): Doing {
  const text = useText();
  const inside = useContext(ConsoleContext);
  const closed = useContext(SiteClosed);
  const [state, set] = useState<{ busy: boolean; failure?: Refusal }>({ busy: false });
  /** Withdraws the change that runs. */
  const running = useRef<(() => Withdrawn) | undefined>(undefined);
  const withdraw = (): Withdrawn | undefined => {
    const became = running.current?.();
    if (became === "withdrawn") inside?.say(text.common.withdrawn);
    return became;
  };
  const left = useRef(withdraw);
  left.current = withdraw;
  useEffect(() => () => void left.current(), []);
  useEffect(() => {
    if (state.failure && isOfState(state.failure) && state.failure.code !== closed) set({ busy: false });
  }, [closed]);
  return {
    busy: state.busy,
    failure: state.failure,
    clear: () => set({ busy: false }),
    leave: () => {
      if (withdraw() === "sent") inside?.say(text.common.sentAlready);
      running.current = undefined;
      set({ busy: false });
    },
    run: async (change) => {
      if (running.current) return false;
      const mine = inside?.site.watch() ?? (() => "none" as const);
      running.current = mine;
      set({ busy: true });
      const place = here().join("/");
      const end = (failure?: Refusal): boolean => {
        // The user has cancelled, and may run the next one.
        if (running.current !== mine) return false;
        running.current = undefined;
        set(failure ? { busy: false, failure } : { busy: false });
        // The user has left for another screen, and must not be led from there.
        return !failure && here().join("/") === place;
      };
      try {
        await change();
        return end();
      } catch (error) {
        return end(asRefusal(error));
      }
    },
  };
}
