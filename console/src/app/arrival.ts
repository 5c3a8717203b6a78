/**
 * Secrets that a link brings in the fragment of the address: `#/ticket/TICKET`, and `#/login/NAME/PASS-PHRASE` of a
 * temporary site. They leave the address and this tab's history before anything is shown, and wait here until the
 * screen that they are for takes them.
 */
import { useEffect } from "preact/hooks";
import { Subscribers } from "../site/subscribers";
import { decoded, to } from "./router";

export type Arrival = { is: "ticket"; ticket: string } | { is: "login"; name: string; passPhrase: string };

/** Reads what a fragment brings, and the place that the address has without it. */
export function read(fragment: string): { arrival: Arrival; place: string } | undefined {
  // A ticket is a URI, which some programs do not encode in a link.
  const [, path, rest = ""] = /^#\/?(ticket|login)\/(.+)$/s.exec(fragment) ?? [];
  if (path === "ticket") return { arrival: { is: "ticket", ticket: decoded(rest) }, place: to("ticket") };
  if (path !== "login") return undefined;
  const [name = "", passPhrase = ""] = rest.split("/").map(decoded);
  return { arrival: { is: "login", name, passPhrase }, place: to() };
}

const arrived = new Subscribers<undefined>();
let waiting: Arrival | undefined;

/** Takes secrets out of the address, now and whenever it changes. Runs before anything else reads the address. */
export function watchAddress(): void {
  const look = (): void => {
    const found = read(location.hash);
    if (!found) return;
    history.replaceState(null, "", found.place);
    waiting = found.arrival;
    arrived.tell(undefined);
  };
  addEventListener("hashchange", look);
  look();
}

/** Leaves an arrival that was taken and not used to the screen that comes next. */
export function leave(arrival: Arrival): void {
  waiting = arrival;
}

/** Calls `use` once with what has arrived or arrives while the component is shown, if it is of this kind. */
export function useArrival<K extends Arrival["is"]>(
  kinds: readonly K[],
  use: (arrival: Extract<Arrival, { is: K }>) => void,
): void {
  useEffect(() => {
    const wanted = (arrival: Arrival): arrival is Extract<Arrival, { is: K }> =>
      (kinds as readonly string[]).includes(arrival.is);
    const look = (): void => {
      if (!waiting || !wanted(waiting)) return;
      const taken = waiting;
      waiting = undefined;
      use(taken);
    };
    look();
    return arrived.add(look);
  }, []);
}
