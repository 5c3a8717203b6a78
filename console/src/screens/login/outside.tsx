import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Brand } from "../../parts/brand";
import { Languages } from "../../parts/languages";
import { Marked } from "../../parts/marked";
import type { About, Refusal, Site } from "../../site/contract";
import { isOfState } from "../../app/queries";
import { useText } from "../../text/catalogue";
import { RememberedKey } from "./remembered-key";

/** What the screens before the login get. */
export interface OutsideProps {
  site: Site;
  about: About;
  /** Asks the site again whether it accepts logins. */
  look: () => void;
  /** Why a session ended. */
  notice: string | undefined;
  /** The login succeeded. */
  done: () => Promise<void>;
}

/** Whether the page can use a ticket: a relay needs the site's HTTP address for that. */
export const takesTickets = ({ relay }: About): boolean => !relay || relay.http !== undefined;

/** A screen before the login: a form, and the way to the other one. */
export function Outside({
  site,
  notice,
  about: { address, closed },
  look,
  title,
  purpose,
  failure,
  other,
  children,
}: {
  site: Site;
  notice: string | undefined;
  about: About;
  look: () => void;
  title: string;
  purpose: string;
  /** Why the form failed. */
  failure: Refusal | undefined;
  /** What leads elsewhere. */
  other: ComponentChildren;
  children: ComponentChildren;
}) {
  const text = useText();
  const notices = [notice, closed && text.login.closed[closed]].filter((words) => words !== undefined);
  // What the form says of the site's state is over when that state is, so the state has to be known.
  useEffect(() => {
    if (failure && isOfState(failure)) look();
  }, [failure, look]);
  useEffect(() => {
    document.title = `${title} · Countersign`;
  }, [title]);
  return (
    <div class="alone">
      <main>
        <div class="brand">
          <Brand />
          <span>
            Countersign <small class="break">{address ?? "\u00a0"}</small>
          </span>
        </div>
        {notices.map((words) => (
          <p key={words} class="note" role="status">
            <Marked>{words}</Marked>
          </p>
        ))}
        <div>
          <h1>{title}</h1>
          <p class="soft">{purpose}</p>
        </div>
        <div>
          {children}
          <RememberedKey site={site} failure={failure} />
        </div>
        {other}
      </main>
      <Languages />
    </div>
  );
}
