/** What every screen of a logged-in account can reach. */
import { createContext, type ComponentChildren } from "preact";
import { useContext } from "preact/hooks";
import type { Closed, Operation, Params, Result, Site } from "../site/contract";

export interface Console {
  site: Site;
  me: Result<"self.show">;
  /** The address of the site's own console; unknown on a relay that does not know the site's HTTP address. */
  home: string | undefined;
  /** The zone of the site, which is that of every account's name. */
  zone: string;
  /** Whether the caller may call an operation, as `operation list` answers. */
  may: (operation: Operation) => boolean;
  /** The operations that the caller may call. */
  operations: readonly Operation[];
  /** Whether the user is asked before an operation with these parameters, because it is disruptive. */
  asks: <N extends Operation>(operation: N, params: Params<N>) => boolean;
  /** Says a short message in the corner and to screen readers. */
  say: (message: ComponentChildren) => void;
  /** Reads the account and the state of the site anew. */
  refresh: () => void;
}

export const ConsoleContext = createContext<Console | undefined>(undefined);

/** Whether the connection is lost. */
export const ConnectionLost = createContext(false);

/** Why the site accepts no login now. */
export const SiteClosed = createContext<Closed | undefined>(undefined);

export function useConsole(): Console {
  const value = useContext(ConsoleContext);
  if (!value) throw new Error("a screen is outside the console");
  return value;
}
