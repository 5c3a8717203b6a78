/**
 * The place in the console is the fragment of the address, `#/people/maria@local`, and what a list is filtered by is its
 * query: `#/audit?target=maria`.
 */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/** The path of the fragment and its query. */
const divided = (): [string, string] => {
  const [, path = "", query = ""] = /^#?\/?([^?]*)\??(.*)$/s.exec(location.hash) ?? [];
  return [path, query];
};

export const here = (): string[] => divided()[0].split("/").filter(Boolean).map(decoded);

/** Text that is no encoding stands for itself. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const to = (...parts: string[]): string => `#/${parts.map(encodeURIComponent).join("/")}`;

/** The address of a screen with its list filtered. Fields without text are left out. */
export function filtered(address: string, filter: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== ""));
  return query.size > 0 ? `${address}?${query}` : address;
}

export function go(...parts: string[]): void {
  location.hash = to(...parts);
}

/** Goes to the first screen, without a way back to the present one. */
export function leave(): void {
  history.replaceState(null, "", to());
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function usePlace(): string[] {
  const [place, set] = useState(here);
  useEffect(() => {
    const changed = (): void => set(here());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return place;
}

/**
 * What a list is filtered by, which the address has, so that Back and a reload keep it and a link can bring it. `none`
 * has every field as it is without a filter.
 */
export function useFilter<T extends Readonly<Record<string, string>>>(
  none: T,
): [T, (changed: Partial<T>) => void] {
  const first = useRef(none).current;
  const read = (): T => {
    const query = new URLSearchParams(divided()[1]);
    return Object.fromEntries(
      Object.entries(first).map(([field, without]) => [field, query.get(field) ?? without]),
    ) as T;
  };
  const [filter, set] = useState(read);
  const present = useRef(filter);
  present.current = filter;
  useEffect(() => {
    const place = here().join("/");
    const changed = (): void => {
      if (here().join("/") === place) set(read());
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const change = useCallback((changed: Partial<T>): void => {
    const next = { ...present.current, ...changed };
    present.current = next;
    set(next);
    const given = Object.entries(next).map(([field, value]) => [field, value === first[field] ? "" : value]);
    try {
      // Not a step of the history: a letter that is typed is none.
      history.replaceState(history.state, "", filtered(to(...here()), Object.fromEntries(given)));
    } catch {
      // A browser allows so many in a time. The list is filtered without its address, too.
    }
  }, []);
  return [filter, change];
}
