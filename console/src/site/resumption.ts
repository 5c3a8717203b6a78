/**
 * The secret that resumes the session of this tab after a reload. It waits in the storage of the tab only while the
 * page is away. A browser keeps that storage when the tab is closed, for "reopen closed tab": so the secret resumes
 * the session after a prompt reload alone, and ends the session after anything else.
 */
const ENTRY = "countersign-resumption";
/** The longest time, in milliseconds, between leaving a page and its code running again after a reload. */
export const MAX_AWAY = 30_000;

export interface Left {
  secret: string;
  /** Whether the page was reloaded, so that the session goes on. */
  reloaded: boolean;
}

const navigation = (): string =>
  (performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined)?.type ?? "";

/** The page is left. A page that comes back from the cache of the browser and reloads leaves what it had. */
export function leave(secret: string, storage: Storage = sessionStorage, now = Date.now()): void {
  if (storage.getItem(ENTRY) === null) storage.setItem(ENTRY, `${now} ${secret}`);
}

/** A page that comes back from the cache of the browser: what it left ends the session and resumes none. */
export function comeBack(storage: Storage = sessionStorage): void {
  const entry = storage.getItem(ENTRY);
  if (entry !== null) storage.setItem(ENTRY, entry.replace(/^\d+/, "0"));
}

/** The page begins. Takes the secret out of the storage, if there is one. */
export function arrive(
  type = navigation(),
  storage: Storage = sessionStorage,
  now = Date.now(),
): Left | undefined {
  const entry = /^(\d+) (.+)$/.exec(storage.getItem(ENTRY) ?? "");
  storage.removeItem(ENTRY);
  const secret = entry?.[2];
  if (secret === undefined) return undefined;
  const away = now - Number(entry?.[1]);
  return { secret, reloaded: type === "reload" && away >= 0 && away <= MAX_AWAY };
}
