import { useConsole } from "../app/context";
import type { Operation } from "../site/contract";
import { useText } from "../text/catalogue";
import { Confirm } from "./confirm";
import { Card } from "./page";

export interface Removal {
  /** The operation that the caller needs. */
  needs: Operation;
  /** Whether the state allows it; the default is that it does. */
  when?: boolean;
  /** The words on the button. */
  words: string;
  title: string;
  about: string;
  /** The caller can undo it, so the name need not be typed; the default for a lockdown. */
  light?: boolean;
  /** It takes a reason. */
  reasoned?: boolean;
  /** The site carries it out only if its object still has the entity tag, if there is one. */
  act: (reason: string, if_match: string | undefined) => Promise<unknown>;
  done?: () => void;
}

/**
 * The card of what takes access away from a person, a service, an application or a peer. It acts on what the page shows:
 * another one may have its name by now.
 */
export function Removals({
  target,
  etag,
  reload,
  removals,
}: {
  target: string;
  /** That of what the page shows; absent if the actions name it by an id. */
  etag?: string;
  /** Reads what the page shows again. */
  reload: () => void;
  removals: readonly Removal[];
}) {
  const text = useText();
  const { may } = useConsole();
  const possible = removals.filter(({ needs, when = true }) => when && may(needs));
  if (possible.length === 0) return null;
  return (
    <Card title={text.people.danger} about={text.people.dangerAbout} look="stop">
      <ul class="removals">
        {possible.map(
          ({
            needs,
            words,
            title,
            about,
            light = needs.startsWith("lockdown."),
            reasoned = false,
            act,
            done,
          }) => (
            <li key={needs}>
              <p>{about}</p>
              <Confirm
                target={target}
                typed={!light}
                title={title}
                explanation={about}
                reasoned={reasoned}
                etag={etag}
                reload={reload}
                act={act}
                {...(done ? { done } : {})}
              >
                {words}
              </Confirm>
            </li>
          ),
        )}
      </ul>
    </Card>
  );
}
