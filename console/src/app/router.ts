/** The place in the console is the fragment of the address: `#/people/maria@local`. */
import { useEffect, useState } from "preact/hooks";

export const here = (): string[] =>
  location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decoded);

/** Text that is no encoding stands for itself. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const to = (...parts: string[]): string => `#/${parts.map(encodeURIComponent).join("/")}`;

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
