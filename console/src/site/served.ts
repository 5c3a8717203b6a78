/** `site.json`, by which the server of the page names its site. */
import { Refusal, type Closed, type Relay } from "./contract";

export interface Served {
  /** The URI of the site, which pins the site's key. */
  uri: string;
  /** The site's WebSocket, relative to the page. */
  session: string;
  /** Why the site accepts no login. */
  closed?: Closed;
  /** The site is a temporary one of `countersign dev`, whose link logs in by itself. */
  dev?: boolean;
  /** `countersign console` serves the page. */
  relay?: Relay & {
    /** What this device knows of the site, as text of the client. */
    known?: string;
  };
}

export async function served(): Promise<Served> {
  const answer = await fetch(new URL("site.json", document.baseURI)).catch(() => {
    throw new Refusal("no_network", "the server of this page was not reached");
  });
  if (!answer.ok)
    throw new Refusal(
      "unreachable",
      `the server of this page does not name its site (HTTP ${answer.status})`,
    );
  return (await answer.json()) as Served;
}
